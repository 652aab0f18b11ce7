//! stepup for Actix Web: three calls around an application, and extractors that name what a route asks.
//!
//! ```no_run
//! use actix_web::{App, HttpServer, web};
//! use stepup_actix::{Require2fa, Session, Stepup, Wire};
//!
//! async fn secret(session: Session<Require2fa>) -> String {
//!     format!("hello {}", session.user_id())
//! }
//!
//! # async fn serve(stepup: Stepup) -> std::io::Result<()> {
//! let site = Wire::from(&stepup); // one for all workers: outside of the closure
//! HttpServer::new(move || {
//!     App::new()
//!         .route("/secret", web::get().to(secret))
//!         .configure(stepup_actix::configure(&site)) // everything under /auth
//!         .wrap(stepup_actix::middleware(&site)) // cookies, headers and CORS, on every outcome
//! })
//! .bind("127.0.0.1:3000")?
//! .run()
//! .await
//! # }
//! ```
//!
//! # What Actix Web does its own way
//! * The `wrap` that is written last is outermost: [`middleware`] belongs there.
//! * The first route that fits answers. A route of the application's own under the base path stands before [`configure`].
//! * The extractors of a handler are polled together, whatever their order: beside a [`Session`], another argument may
//!   read the body of a request that is then refused. Where that matters, guard the scope: [`require`] decides before
//!   a body is read.
//! * `Option<Session<R>>` and `Result<Session<R>, _>` swallow every refusal. [`OptionalSession`] does not.
//! * A worker is a runtime of one thread that may end: what outlives a request runs in stepup's background, not there.
//! * A handler that panics takes its connection with it. Put whatever catches panics inside of [`middleware`], so that
//!   cookies that are owed go out with its response.
//! * A chunked body that nobody reads to its end keeps its connection without a deadline; the demo shows a way out.
//!
//! Everything is decided in `stepup-wire` and below it; this crate only moves types.

mod convert;
mod session;
mod wrap;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use stepup_wire::Gate;
use stepup_wire::core::require::rule_of;

pub use session::{OptionalSession, Rejection, Session, SignIn};
pub use stepup_wire::core::require::{
    AnySession, ClaimKey, Fresh, OnlyThese, Or, Require2fa, Requirement, SitePolicy, Without,
};
pub use stepup_wire::core::{Stepup, rule};
pub use stepup_wire::{SessionError, SignInError, Transport, Wire};
pub use wrap::{Middleware, Require, Wrapped};

/// What every guard needs: it belongs around the whole application, as the `wrap` that is written last.
///
/// Beside a site it takes whatever else can admit: a verifier of a service that has no store.
pub fn middleware(site: impl Into<Gate>) -> Middleware {
    Middleware(site.into())
}

/// Guards a scope, or whatever else it wraps: only requests whose session meets `R` get in, and nothing of a body is read
/// for others. It belongs inside of [`middleware`].
pub fn require<R: Requirement>() -> Require {
    Require(rule_of::<R>())
}

/// The endpoints of the protocol, under the base path, for [`App::configure`](actix_web::App::configure). Not for a
/// scope's: the base path is the whole one.
pub fn configure(site: impl Into<Wire>) -> impl FnOnce(&mut ServiceConfig) {
    let wire = site.into();
    move |app| {
        let paths = format!("{}/{{rest:.+}}", wire.rules().base);
        let endpoint = move |request, body| answer(wire.clone(), request, body);
        app.service(web::resource(paths).to(endpoint));
    }
}

async fn answer(wire: Wire, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let request = convert::request(&request, body);
    convert::response(&wire.handle_stream(request).await)
}
