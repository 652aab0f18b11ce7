//! The extractors: a session that meets a requirement, an optional one, and a sign-in of the application's own.

use std::fmt;
use std::pin::Pin;
use std::rc::Rc;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use stepup_wire::core::require::Requirement;
use stepup_wire::{Refused, Visit};

use crate::convert;

stepup_wire::guard_types!();

impl<R: Requirement> FromRequest for Session<R> {
    type Error = Rejection;
    type Future = Judged<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visit = visit(request);
        Box::pin(async move { Ok(Self(visit?.session().await?)) })
    }
}

impl<R: Requirement> FromRequest for OptionalSession<R> {
    type Error = Rejection;
    type Future = Judged<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let visit = visit(request);
        Box::pin(async move { Ok(Self(visit?.optional_session().await?.map(Session))) })
    }
}

impl FromRequest for SignIn {
    type Error = Rejection;
    type Future = Judged<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (visit, other) = (visit(request), convert::other(request));
        Box::pin(async move { Ok(Self(visit?.sign_in(&other).await?)) })
    }
}

type Judged<T> = Pin<Box<dyn Future<Output = Result<T, Rejection>>>>;

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the request was refused")
    }
}

impl ResponseError for Rejection {
    fn status_code(&self) -> StatusCode {
        convert::status(self.0.response())
    }

    fn error_response(&self) -> HttpResponse {
        convert::response(self.0.response())
    }
}

/// What the middleware left with a request.
pub(crate) fn visit(request: &HttpRequest) -> Result<Rc<Visit>, Rejection> {
    let visit = request.extensions().get::<Rc<Visit>>().cloned();
    visit.ok_or_else(|| Rejection(Refused::missing_layer("`.wrap(stepup_actix::middleware(..))`")))
}
