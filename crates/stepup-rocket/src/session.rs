//! The request guards: a session that meets a requirement, an optional one, and a sign-in of the application's own.

use rocket::http::Status;
use rocket::request::{FromRequest, Outcome};
use rocket::response::{self, Responder};
use rocket::{Ignite, Request, Rocket, Sentinel};
use stepup_wire::core::require::Requirement;
use stepup_wire::{Refused, Visit};

use crate::convert;
use crate::fairing::Attached;
use crate::seen::Seen;

stepup_wire::guard_types!();

#[rocket::async_trait]
impl<'r, R: Requirement> FromRequest<'r> for Session<R> {
    type Error = Rejection;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Rejection> {
        guard(request, Visit::session).await.map(Self)
    }
}

#[rocket::async_trait]
impl<'r, R: Requirement> FromRequest<'r> for OptionalSession<R> {
    type Error = Rejection;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Rejection> {
        let read = async |visit: &Visit| visit.optional_session().await;
        guard(request, read)
            .await
            .map(|session| Self(session.map(Session)))
    }
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for SignIn {
    type Error = Rejection;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Rejection> {
        let other = convert::other(request);
        guard(request, |visit| visit.sign_in(&other)).await.map(Self)
    }
}

impl<'r> Responder<'r, 'static> for Rejection {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'static> {
        Ok(convert::response(self.0.response()))
    }
}

impl<R: Requirement> Sentinel for Session<R> {
    fn abort(rocket: &Rocket<Ignite>) -> bool {
        is_missing(rocket)
    }
}

impl<R: Requirement> Sentinel for OptionalSession<R> {
    fn abort(rocket: &Rocket<Ignite>) -> bool {
        is_missing(rocket)
    }
}

impl Sentinel for SignIn {
    fn abort(rocket: &Rocket<Ignite>) -> bool {
        is_missing(rocket)
    }
}

async fn guard<'r, T, F>(request: &'r Request<'_>, read: impl FnOnce(&'r Visit) -> F) -> Outcome<T, Rejection>
where
    F: Future<Output = Result<T, Refused>>,
{
    let seen = Seen::of(request);
    let refused = match seen.and_then(|seen| seen.visit.as_ref()) {
        Some(visit) => match read(visit).await {
            Ok(guard) => return Outcome::Success(guard),
            Err(refused) => refused,
        },
        None => Refused::missing_layer("stepup_rocket::fairing(&stepup)"),
    };
    if let Some(seen) = seen {
        seen.refuse(request, refused.response());
    }
    let status = Status::new(refused.response().status().as_u16());
    Outcome::Error((status, refused.into()))
}

/// Whether the launch must be stopped: every guard would answer 500.
fn is_missing(rocket: &Rocket<Ignite>) -> bool {
    let missing = rocket.state::<Attached>().is_none();
    if missing {
        rocket::error!("a route has a guard of stepup: .attach(stepup_rocket::fairing(&stepup)) is missing");
    }
    missing
}
