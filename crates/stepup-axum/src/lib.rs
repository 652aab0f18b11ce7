//! stepup for Axum: three calls around a router, and extractors that name what a route asks.
//!
//! ```no_run
//! use axum::Router;
//! use axum::routing::get;
//! use stepup_axum::{Require2fa, Session};
//!
//! async fn secret(session: Session<Require2fa>) -> String {
//!     format!("hello {}", session.user_id())
//! }
//!
//! # fn app(stepup: stepup_axum::Stepup) -> Router {
//! Router::new()
//!     .route("/secret", get(secret))
//!     .merge(stepup_axum::routes(&stepup)) // everything under /auth
//!     .layer(stepup_axum::layer(&stepup)) // cookies, headers and CORS, on every status
//! # }
//! ```
//!
//! Serve it with `into_make_service_with_connect_info::<SocketAddr>()`, so that throttles can tell networks apart.
//! Everything is decided in `stepup-wire` and below it; this crate only moves types.

mod layer;
mod session;

use axum::Router;
use axum::routing::any_service;
use stepup_wire::{Gate, RequireLayer, WireService};

pub use layer::{StepupFuture, StepupLayer, StepupService};
pub use session::{OptionalSession, Rejection, Session, SignIn};
pub use stepup_wire::core::require::{
    AnySession, ClaimKey, Fresh, OnlyThese, Or, Require2fa, Requirement, SitePolicy, Without,
};
pub use stepup_wire::core::{Stepup, rule};
pub use stepup_wire::{SessionError, SignInError, Transport, Wire};

/// The endpoints of the protocol, under the base path. Merge it; do not nest it, since it needs its whole path.
pub fn routes<S: Clone + Send + Sync + 'static>(site: impl Into<Wire>) -> Router<S> {
    let wire = site.into();
    let base = wire.rules().base.clone();
    let service = WireService(wire);
    Router::new().route(&format!("{base}/{{*rest}}"), any_service(service))
}

/// What every guard needs: it belongs around all routes, the protocol's too, as the last layer added.
///
/// Beside a site it takes whatever else can admit: a verifier of a service that has no store.
pub fn layer(site: impl Into<Gate>) -> StepupLayer {
    StepupLayer::new(site.into())
}

/// Guards a whole router: only requests whose session meets `R` get in. It belongs inside of [`layer`].
pub fn require<R: Requirement>() -> RequireLayer<R> {
    RequireLayer::new()
}
