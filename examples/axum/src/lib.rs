//! The demo on Axum: the application, apart from the server, so that tests can call it.

pub mod serve;

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{get, post};
use demo_common::answers::{self, AdminOnly, StepUp};
use demo_common::{Answer, Site, Unread};
use stepup::axum::{AnySession, OptionalSession, Require2fa, Session};
use stepup::wire::body::buffer;
use tower_http::catch_panic::CatchPanicLayer;

use crate::serve::Bounds;

/// Serves the demo until `stop` is ready, and lets the requests under way end.
///
/// # Errors
/// The listener's.
pub async fn serve(
    listener: TcpListener,
    site: Site,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = tokio::net::TcpListener::from_std(listener)?;
    serve::serve(listener, app(site), Bounds::default(), stop).await
}

/// Everything that the demo serves.
pub fn app(site: Site) -> Router {
    app_within(site, answers::PATIENCE)
}

/// The same with another patience.
pub fn app_within(site: Site, patience: Duration) -> Router {
    // Guarded as a whole, instead of route by route.
    let layered = Router::new()
        .route("/layered/secret", get(layered))
        .layer(stepup::axum::require::<Require2fa>());
    let routes = Router::new()
        .route("/", get(index))
        .route("/auth/verify", get(by_contact))
        .route("/auth/verify-email", get(verify_email))
        .route("/auth/reset-password", get(new_password))
        .route("/auth/callback/example", get(callback))
        .route("/assets/{file}", get(asset))
        .route("/api/me", get(me))
        .route("/api/optional", get(optional))
        .route("/api/secret", get(secret))
        .route("/api/comment", post(comment))
        .route("/api/transfer", post(transfer))
        .route("/api/admin", get(admin))
        .route("/api/link-code", post(link_code))
        .route("/dev/outbox", get(outbox))
        .route("/dev/clock", post(clock))
        .route("/healthz", get(health))
        .merge(layered)
        .fallback(not_found)
        .method_not_allowed_fallback(not_allowed)
        .with_state(site.clone());
    routes
        .merge(stepup::axum::routes(&site.wire))
        .layer(middleware::from_fn_with_state(patience, in_time))
        // Inside of ours: a handler that panics must not lose the cookies that are owed to its response.
        .layer(CatchPanicLayer::custom(panicked))
        // Outermost: cookies, headers and CORS, on every status.
        .layer(stepup::axum::layer(&site.wire))
}

async fn index(State(site): State<Site>) -> Response {
    written(answers::index(&site, "Axum"))
}

async fn new_password(State(site): State<Site>) -> Response {
    written(answers::new_password(&site, "Axum"))
}

async fn callback(State(site): State<Site>) -> Response {
    written(answers::callback(&site, "Axum"))
}

async fn by_contact(State(site): State<Site>) -> Response {
    written(answers::by_contact(&site, "Axum"))
}

async fn verify_email(State(site): State<Site>) -> Response {
    written(answers::verify_email(&site, "Axum"))
}

async fn asset(file: Result<Path<String>, PathRejection>) -> Response {
    written(match file {
        Ok(Path(file)) => answers::asset(&file),
        Err(_) => answers::not_found(),
    })
}

async fn me(session: Session<AnySession>) -> Response {
    written(answers::me(&session))
}

async fn optional(OptionalSession(session): OptionalSession<AnySession>) -> Response {
    written(answers::optional(session.as_deref()))
}

async fn secret(session: Session<Require2fa>) -> Response {
    written(answers::secret(&session))
}

async fn layered(session: Session<Require2fa>) -> Response {
    written(answers::secret(&session))
}

async fn comment(_: Session<Require2fa>, body: Body) -> Response {
    written(answers::comment(read(body).await))
}

async fn transfer(_: Session<StepUp>) -> Response {
    written(answers::transfer())
}

async fn admin(session: Session<AdminOnly>) -> Response {
    written(answers::admin(&session))
}

async fn link_code(State(site): State<Site>, body: Body) -> Response {
    written(answers::link_code(&site, read(body).await).await)
}

async fn outbox(State(site): State<Site>) -> Response {
    written(answers::outbox(&site).await)
}

async fn clock(State(site): State<Site>, body: Body) -> Response {
    written(answers::clock(&site, read(body).await).await)
}

async fn health(State(site): State<Site>) -> Response {
    written(answers::health(&site).await)
}

async fn not_found() -> Response {
    written(answers::not_found())
}

async fn not_allowed() -> Response {
    written(answers::not_allowed())
}

/// Whoever drips a body byte by byte is told so, and hung up on.
async fn in_time(State(patience): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => written(answers::too_slow()),
    }
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    written(answers::broken())
}

async fn read(body: Body) -> Result<Bytes, Unread> {
    Ok(buffer(body, answers::MAX_BODY).await?)
}

fn written(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body.into_owned()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in answer.headers {
        let name = HeaderName::from_static(name);
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The code of the quick start, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/quick-start.md")]
pub struct QuickStart;

/// The code of the chapter on claims, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/claims.md")]
pub struct Claims;

/// The code of the chapter on hooks, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/hooks.md")]
pub struct Hooks;

/// The code of the chapter on users, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/users.md")]
pub struct Users;

/// The code of the chapter on users of another system, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/import.md")]
pub struct Import;

/// The code of the chapter on delivery, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/delivery.md")]
pub struct Delivery;

/// The code of the chapter on testing, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/testing.md")]
pub struct Testing;

/// The code of the front page, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

/// The code of the chapter on configuration, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/configuration.md")]
pub struct Configuration;

/// The code of the chapter on tenants, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/tenants.md")]
pub struct Tenants;

/// The code of the chapter on providers, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/providers.md")]
pub struct Providers;

/// The code of the chapter on rolling out, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/rollout.md")]
pub struct Rollout;
