//! A service beside the site: reports, for those who have done both factors there. It has no database and no secret.
//!
//! The application, apart from the server, so that tests can call it.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use stepup::axum::{AnySession, Require2fa, Session};
use stepup::verify::Verifier;

/// Everything that it serves.
pub fn app(verifier: &Verifier) -> Router {
    Router::new()
        .route("/whoami", get(whoami))
        .route("/report", get(report))
        .route("/report", post(order))
        .route("/readyz", get(ready))
        .with_state(verifier.clone())
        .layer(stepup::axum::layer(verifier)) // the last one added
}

/// Whoever has signed in, with one factor or two.
async fn whoami(session: Session<AnySession>) -> String {
    session.user_id().to_string()
}

/// Whoever has done both.
async fn report(session: Session<Require2fa>) -> String {
    format!("a report for {}", session.user_id())
}

/// The same guard before something that changes.
async fn order(session: Session<Require2fa>) -> String {
    format!("a report is made for {}", session.user_id())
}

/// Whether the site's keys are there: for whoever sends requests this way.
async fn ready(State(verifier): State<Verifier>) -> StatusCode {
    match verifier.is_ready() {
        true => StatusCode::NO_CONTENT,
        false => StatusCode::SERVICE_UNAVAILABLE,
    }
}

/// The code of the guide, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/verify-elsewhere.md")]
pub struct Guide;
