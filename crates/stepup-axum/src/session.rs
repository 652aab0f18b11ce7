//! The extractors: a session that meets a requirement, an optional one, and a sign-in of the application's own.

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use stepup_wire::core::require::Requirement;
use stepup_wire::{Guard, Refused};

stepup_wire::guard_types!();

impl<S: Send + Sync, R: Requirement> FromRequestParts<S> for Session<R> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self(guard(parts)?.session(parts).await?))
    }
}

impl<S: Send + Sync, R: Requirement> FromRequestParts<S> for OptionalSession<R> {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self(guard(parts)?.optional_session(parts).await?.map(Session)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for SignIn {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Rejection> {
        Ok(Self(guard(parts)?.sign_in(parts).await?))
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        self.0.into_response().map(Body::from)
    }
}

fn guard(parts: &Parts) -> Result<&Guard, Rejection> {
    parts
        .extensions
        .get::<Guard>()
        .ok_or_else(|| Rejection(Refused::missing_layer("`.layer(stepup_axum::layer(..))`")))
}
