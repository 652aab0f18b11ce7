//! What goes around an application, and around a scope.

use std::cell::OnceCell;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse, Transform};
use actix_web::{Error, HttpMessage};
use stepup_wire::core::rule::Rule;
use stepup_wire::{Gate, Visit};

use crate::convert;
use crate::session::{Rejection, visit};

/// Carries stepup to the guards inside, and pays what they owe on every outcome.
#[derive(Clone, Debug)]
pub struct Middleware(pub(crate) Gate);

/// Admits only requests whose session meets a rule, to all that it wraps.
#[derive(Clone, Debug)]
pub struct Require(pub(crate) &'static Rule);

type Outcome<B> = Result<ServiceResponse<B>, Error>;

impl Middleware {
    async fn answer<S, B>(self, inner: Rc<S>, request: ServiceRequest) -> Outcome<EitherBody<B>>
    where
        S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    {
        let (parts, peer) = (
            convert::parts(request.request()),
            convert::peer(request.request()),
        );
        let visit = match Visit::begin(&self.0, parts, peer) {
            Ok(visit) => Rc::new(visit),
            Err(preflight) => {
                let response = request.into_response(convert::response(&preflight));
                return Ok(response.map_into_right_body());
            }
        };
        request.extensions_mut().insert(visit.clone());
        match inner.call(request).await {
            Ok(mut response) => {
                let owed = convert::owed(&visit, response.headers());
                convert::pay(response.headers_mut(), &owed);
                Ok(response.map_into_left_body())
            }
            // It has no response yet, and may be asked for it more than once.
            Err(mut error) => {
                let owed = OnceCell::new();
                error.add_response_mapper(move |mut response| {
                    let owed = owed.get_or_init(|| convert::owed(&visit, response.headers()));
                    convert::pay(response.headers_mut(), owed);
                    response
                });
                Err(error)
            }
        }
    }
}

impl Require {
    async fn answer<S, B>(self, inner: Rc<S>, request: ServiceRequest) -> Outcome<EitherBody<B>>
    where
        S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    {
        // No second handle of the request may be alive when the service is called: Actix Web panics over it.
        let admitted = match visit(request.request()) {
            Ok(visit) => visit.meets(self.0).await.map_err(Rejection::from),
            Err(rejection) => Err(rejection),
        };
        match admitted {
            Ok(()) => Ok(inner.call(request).await?.map_into_left_body()),
            Err(rejection) => Ok(request.error_response(rejection).map_into_right_body()),
        }
    }
}

/// What it makes of a service.
#[derive(Debug)]
pub struct Wrapped<S, W> {
    inner: Rc<S>,
    with: W,
}

/// Actix Web asks the same of everything that wraps.
macro_rules! wraps {
    ($with:ty) => {
        impl<S, B> Transform<S, ServiceRequest> for $with
        where
            S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
            B: MessageBody + 'static,
        {
            type Response = ServiceResponse<EitherBody<B>>;
            type Error = Error;
            type Transform = Wrapped<S, Self>;
            type InitError = ();
            type Future = Ready<Result<Self::Transform, ()>>;

            fn new_transform(&self, inner: S) -> Self::Future {
                let (inner, with) = (Rc::new(inner), self.clone());
                ready(Ok(Wrapped { inner, with }))
            }
        }

        impl<S, B> Service<ServiceRequest> for Wrapped<S, $with>
        where
            S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error> + 'static,
            B: MessageBody + 'static,
        {
            type Response = ServiceResponse<EitherBody<B>>;
            type Error = Error;
            type Future = Pin<Box<dyn Future<Output = Outcome<EitherBody<B>>>>>;

            fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
                self.inner.poll_ready(cx)
            }

            fn call(&self, request: ServiceRequest) -> Self::Future {
                Box::pin(self.with.clone().answer(self.inner.clone(), request))
            }
        }
    };
}

wraps!(Middleware);
wraps!(Require);
