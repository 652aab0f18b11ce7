//! The extractors: a session that meets a requirement, an optional one, and a sign-in of the application's own.

use std::ops::{Deref, DerefMut};

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use stepup_wire::core::error::Fault;
use stepup_wire::core::flow::External;
use stepup_wire::core::id::{SessionHandle, UserId};
use stepup_wire::core::require::{Requirement, SitePolicy};
use stepup_wire::{Guard, Refused, SessionError, SignInError};

/// A session that meets `R`; without a parameter, the site's policy.
///
/// As an argument of a handler it refuses with 401 a request without a session, and with 403 a session that does not
/// meet `R`. What it changes of the session reaches the client with the response, whatever its status.
#[derive(Debug)]
pub struct Session<R = SitePolicy>(stepup_wire::Session<R>);

impl<R> Session<R> {
    /// Ends the session, and tells the client so.
    ///
    /// # Errors
    /// [`Fault`]; its tokens are refused by this process all the same.
    pub async fn revoke(self) -> Result<(), Fault> {
        self.0.revoke().await
    }
}

impl<R> Deref for Session<R> {
    type Target = stepup_wire::Session<R>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<R> DerefMut for Session<R> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<S: Send + Sync, R: Requirement> FromRequestParts<S> for Session<R> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self(guard(parts)?.session(parts).await?))
    }
}

/// A session that meets `R`, or none: `None` if the request carries no token. An expired token is still an error, and so
/// is a session that does not meet `R`.
///
/// It is not the same as `Option<Session<R>>`, which some frameworks fill with `None` on every error.
#[derive(Debug)]
pub struct OptionalSession<R = SitePolicy>(pub Option<Session<R>>);

impl<S: Send + Sync, R: Requirement> FromRequestParts<S> for OptionalSession<R> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self(guard(parts)?.optional_session(parts).await?.map(Session)))
    }
}

/// A sign-in by the application's own first factor, in a log-in handler of its own. The request's origin was judged.
#[derive(Debug)]
pub struct SignIn(pub stepup_wire::SignIn);

impl SignIn {
    /// Counts the try, before anything is compared. `identifier` is what the account is called, in normal form.
    ///
    /// # Errors
    /// [`Rejection`]: 429, or 503 if nobody could count. Do not check the password.
    pub async fn throttle(&mut self, identifier: &str) -> Result<(), Rejection> {
        Ok(self.0.throttle(identifier).await?)
    }

    /// The first factor was wrong. What the client is told is the application's affair.
    ///
    /// # Errors
    /// [`Rejection`]: nobody could count.
    pub async fn failed(self) -> Result<(), Rejection> {
        Ok(self.0.failed().await?)
    }

    /// The first factor was right: opens a session for `user`, which comes from the application's own row and never
    /// from the request. The tokens go out with the response.
    ///
    /// # Errors
    /// [`Rejection`]: the user is disabled or deleted, or the store failed. No session was opened.
    pub async fn complete(self, user: &UserId, external: External) -> Result<SessionHandle, Rejection> {
        Ok(self.0.complete(user, external).await?)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignIn {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self(guard(parts)?.sign_in(parts).await?))
    }
}

/// A request was refused; it knows its response.
#[derive(Debug)]
pub struct Rejection(Refused);

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.0.into_response().map(Body::from)
    }
}

impl From<Refused> for Rejection {
    fn from(refused: Refused) -> Self {
        Self(refused)
    }
}

impl From<SessionError> for Rejection {
    /// So that a handler can pass it on by `?`.
    fn from(error: SessionError) -> Self {
        Self(error.into())
    }
}

impl From<SignInError> for Rejection {
    /// So that a log-in handler can pass it on by `?`.
    fn from(error: SignInError) -> Self {
        Self(error.into())
    }
}

fn guard(parts: &Parts) -> Result<&Guard, Rejection> {
    parts
        .extensions
        .get::<Guard>()
        .ok_or_else(|| Rejection(Refused::missing_layer("`.layer(stepup_axum::layer(..))`")))
}
