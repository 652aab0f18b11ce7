//! stepup on the HTTP runtime of AWS Lambda: API Gateway (both payload formats), function URLs and load balancers.
//!
//! The application, apart from the runtime, so that tests can call it.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use lambda_http::http::{HeaderMap, Method, Response, StatusCode};
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use stepup::delivery::Manual;
use stepup::wire::{MaybeOurs, Peer, Refused, RequireLayer, Session, SessionLayer, Wire, WireService};
use stepup::{AnySession, Require2fa, Requirement, Stepup};
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

/// The application as one service.
pub type App = BoxCloneSyncService<Request, Response<MaybeOurs<Body>>, Infallible>;

/// The body of an answer.
type Body = MaybeOurs<Full<Bytes>>;

/// Everything that is served. `background` is the one that `stepup` was built with.
pub fn app(stepup: &Stepup, background: &Manual) -> App {
    let wire = Wire::from(stepup);
    // Around all routes: guards need it, and it pays what they owe on every answer, errors too.
    let layer = SessionLayer::new(&wire);
    let site = layer.layer(service_fn(move |request| route(wire.clone(), request)));
    let background = background.clone();
    BoxCloneSyncService::new(service_fn(move |request| {
        let (answer, background) = (site.clone().oneshot(with_peer(request)), background.clone());
        async move {
            let answer = answer.await;
            // Once the answer is out the process is frozen: what outlives a request elsewhere is done before it here.
            background.tick(PATIENCE).await;
            answer
        }
    }))
}

async fn route(wire: Wire, request: Request) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path();
    if is_under(&wire.rules().base, path) {
        return Ok(WireService(wire).oneshot(request).await?.map(Either::Left));
    }
    match (request.method(), path) {
        (&Method::GET, "/me") => guarded::<AnySession>(request).await,
        (&Method::GET, "/secret") => guarded::<Require2fa>(request).await,
        _ => Ok(text(StatusCode::NOT_FOUND, "not found").map(Either::Right)),
    }
}

/// Greets whoever meets `R`.
async fn guarded<R: Requirement>(request: Request) -> Result<Response<Body>, Infallible> {
    let handler = RequireLayer::<R>::new().layer(service_fn(async |request: Request| {
        Ok(match request.extensions().get::<Session<R>>() {
            Some(session) => text(StatusCode::OK, &format!("hello {}", session.user_id())),
            // Every error denies: somebody took the layer away.
            None => Refused::missing_layer("the `SessionLayer`")
                .into_response()
                .map(Full::new),
        })
    }));
    handler.oneshot(request).await
}

/// Tells stepup who is at the other end: what the gateway saw, and never what the client wrote.
fn with_peer(mut request: Request) -> Request {
    let peer = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV2(gateway)) => read(gateway.http.source_ip.as_deref()),
        Some(RequestContext::ApiGatewayV1(gateway)) => read(gateway.identity.source_ip.as_deref()),
        Some(RequestContext::Alb(_)) => last_hop(request.headers()),
        _ => None,
    };
    // The gateway has added to them, so they are always there: stepup would take it for a proxy that nobody vouched for.
    for name in ["x-forwarded-for", "x-real-ip", "forwarded"] {
        request.headers_mut().remove(name);
    }
    if let Some(peer) = peer {
        request.extensions_mut().insert(Peer(peer));
    }
    request
}

/// Who called the load balancer, which writes it to the end of the list. Its attribute `routing.http.xff_header_processing.mode`
/// has to be `append`, as it is by default: with `preserve` the client writes it.
fn last_hop(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?;
    // By bytes: what the client wrote before it need not be text.
    let hop = last.as_bytes().rsplit(|byte| *byte == b',').next()?;
    read(std::str::from_utf8(hop).ok())
}

/// An address, with a port or without.
fn read(address: Option<&str>) -> Option<IpAddr> {
    let address = address?.trim();
    let with_port = || Some(address.parse::<SocketAddr>().ok()?.ip());
    address.parse().ok().or_else(with_port)
}

fn is_under(base: &str, path: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.starts_with('/'))
}

fn text(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}

/// How long an answer waits for its messages. The function's own timeout has to be longer: its default is 3 s.
const PATIENCE: Duration = Duration::from_secs(5);
