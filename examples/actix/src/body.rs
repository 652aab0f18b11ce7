//! A connection ends with the answer to a request whose body nobody read.
//!
//! Actix Web reads on in a chunked body that was let go, to use its connection once more, and has no deadline for that:
//! whoever sends none of the rest keeps a connection for ever (R-RES-1). While somebody holds the body it hangs up instead.
//!
//! It has no deadline either for who does not take an answer. Put a proxy that has one in front.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{Error, HttpMessage};
use futures_util::{Stream, StreamExt};

/// Holds the body of a request until its answer was sent. It belongs around everything.
pub async fn held(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let held = Held(Rc::new(RefCell::new(request.take_payload())));
    request.set_payload(Payload::Stream {
        payload: Box::pin(held.clone()),
    });
    match next.call(request).await {
        Ok(response) => Ok(response.map_body(|_, body| held.until_sent(body.boxed()))),
        Err(mut error) => {
            error.add_response_mapper(move |response| {
                response.map_body(|_, body| held.clone().until_sent(body))
            });
            Err(error)
        }
    }
}

#[derive(Clone)]
struct Held(Rc<RefCell<Payload>>);

impl Held {
    fn until_sent(self, body: BoxBody) -> BoxBody {
        BoxBody::new(Holding { body, held: self })
    }
}

impl Stream for Held {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.borrow_mut().poll_next_unpin(cx)
    }
}

/// The body of the answer, and that of the request.
struct Holding {
    body: BoxBody,
    #[expect(dead_code, reason = "held, not read")]
    held: Held,
}

impl MessageBody for Holding {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.body).poll_next(cx)
    }
}
