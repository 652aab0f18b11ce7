//! stepup on plain hyper: the endpoints, a route behind a layer, and a route that is guarded by hand.
//!
//! The application, apart from the server, so that tests can call it.

mod serve;

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use stepup::wire::body::{self, BodyError};
use stepup::wire::{Guard, MaybeOurs, Refused, RequireLayer, Session, SessionLayer, Wire, WireService};
use stepup::{Fresh, Require2fa, Requirement, Stepup};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

pub use serve::{Bounds, serve};

/// The application as one service.
pub type App = BoxCloneSyncService<Request<Incoming>, Response<MaybeOurs<Body>>, Infallible>;

/// The body of an answer.
type Body = MaybeOurs<Full<Bytes>>;

/// Everything that is served.
pub fn app(stepup: &Stepup) -> App {
    let wire = Wire::from(stepup);
    // Around all routes: guards need it, and it pays what they owe on every answer, errors too.
    let layer = SessionLayer::new(&wire);
    BoxCloneSyncService::new(layer.layer(service_fn(move |request: Request<Incoming>| {
        let head = request.method() == Method::HEAD;
        let answer = in_time(route(wire.clone(), request));
        // hyper leaves it to us that an answer to HEAD has no body; to a client of HTTP/2 one is a broken stream.
        async move {
            answer
                .await
                .map(|answer| if head { without_body(answer) } else { answer })
        }
    })))
}

async fn route(wire: Wire, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    if is_under(&wire.rules().base, path) {
        return Ok(WireService(wire).oneshot(request).await?.map(Either::Left));
    }
    match (request.method(), path) {
        (&Method::GET, "/secret") => {
            let guarded = RequireLayer::<Require2fa>::new().layer(service_fn(secret));
            guarded.oneshot(request).await
        }
        (&Method::POST, "/note") => Ok(note(request).await.map(Either::Right)),
        (_, "/secret" | "/note") => {
            Ok(text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed").map(Either::Right))
        }
        _ => Ok(text(StatusCode::NOT_FOUND, "not found").map(Either::Right)),
    }
}

/// Behind the layer, which leaves the session that it admitted.
async fn secret(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(match request.extensions().get::<Session<Require2fa>>() {
        Some(session) => text(StatusCode::OK, &format!("hello {}", session.user_id())),
        // Every error denies: somebody took the layer away.
        None => Refused::missing_layer("the `SessionLayer`")
            .into_response()
            .map(Full::new),
    })
}

/// Guarded by hand.
async fn note(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    // Before the first byte of the body: nobody makes us read who may not.
    let session = match session::<Fresh<300>>(&parts).await {
        Ok(session) => session,
        Err(refused) => return refused.into_response().map(Full::new),
    };
    match body::buffer(body, LONGEST_NOTE).await {
        Ok(note) => text(
            StatusCode::OK,
            &format!("{} bytes of {}", note.len(), session.user_id()),
        ),
        Err(BodyError::TooLarge) => text(StatusCode::PAYLOAD_TOO_LARGE, "too long"),
        Err(BodyError::Late) => text(StatusCode::REQUEST_TIMEOUT, "too slow"),
        Err(BodyError::Incomplete) => text(StatusCode::BAD_REQUEST, "it broke off"),
    }
}

/// The session of a request, if it meets `R`.
async fn session<R: Requirement>(parts: &Parts) -> Result<Session<R>, Refused> {
    match parts.extensions.get::<Guard>() {
        Some(guard) => guard.session(parts).await,
        None => Err(Refused::missing_layer("the `SessionLayer`")),
    }
}

/// A body that is sent a byte a minute keeps nobody. Inside of the layer: what was owed by then is paid.
async fn in_time(
    answer: impl Future<Output = Result<Response<Body>, Infallible>>,
) -> Result<Response<Body>, Infallible> {
    tokio::time::timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|_| Ok(text(StatusCode::REQUEST_TIMEOUT, "too slow").map(Either::Right)))
}

fn without_body(answer: Response<Body>) -> Response<Body> {
    answer.map(|_| Either::Right(Full::default()))
}

fn is_under(base: &str, path: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'))
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}

/// A request has to be there, and answered, within this.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest note, in bytes.
const LONGEST_NOTE: usize = 4 * 1024;
