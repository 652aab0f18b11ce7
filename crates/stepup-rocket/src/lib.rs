//! stepup for Rocket: one fairing, and request guards that name what a route asks.
//!
//! ```no_run
//! use rocket::{Build, Rocket, get, routes};
//! use stepup_rocket::{Require2fa, Session};
//!
//! #[get("/secret")]
//! fn secret(session: Session<Require2fa>) -> String {
//!     format!("hello {}", session.user_id())
//! }
//!
//! # fn app(stepup: stepup_rocket::Stepup) -> Rocket<Build> {
//! rocket::build()
//!     .mount("/", routes![secret])
//!     .attach(stepup_rocket::fairing(&stepup)) // everything under /auth; cookies, headers and CORS, on every status
//! # }
//! ```
//!
//! Attach it after all other fairings: it then sees the address that is routed, and its headers are the last word. Without it,
//! a launch with a guard aborts.
//!
//! What Rocket 0.5 does by itself, and what it means here:
//!
//! * It hands on headers in UTF-8 only. A line of other bytes is as good as not sent: it holds no token, and no origin.
//! * It refuses a method that it does not know with 400, past all fairings. Under the base path a catcher of ours answers.
//! * A form may name another method in its first field, `_method`. Routes go by that one; whether the request is believed
//!   goes by the one that was sent.
//! * It has no deadlines for slow clients but [`StepupFairing::body_within`] at our endpoints, and that begins with the fourteenth
//!   byte of a body: it waits for those before any fairing runs, without end. Put a proxy that has deadlines in front.
//!
//! Everything is decided in `stepup-wire` and below it; this crate only moves types.

mod convert;
mod fairing;
mod seen;
mod session;

use stepup_wire::Gate;

pub use fairing::StepupFairing;
pub use session::{OptionalSession, Rejection, Session, SignIn};
pub use stepup_wire::core::require::{
    AnySession, ClaimKey, Fresh, OnlyThese, Or, Require2fa, Requirement, SitePolicy, Without,
};
pub use stepup_wire::core::{Stepup, rule};
pub use stepup_wire::{SessionError, SignInError, Transport, Wire};

/// What every guard needs, and the endpoints of the protocol under the base path. Attach it after all other fairings.
pub fn fairing(site: impl Into<Wire>) -> StepupFairing {
    let wire = site.into();
    StepupFairing::new(Gate::from(&wire), Some(wire))
}

/// The same without the endpoints: for whatever else can admit, as the verifier of a service that has no store.
pub fn guards(gate: impl Into<Gate>) -> StepupFairing {
    StepupFairing::new(gate.into(), None)
}
