//! The demo on Axum: the application, apart from the server, so that tests can call it.

#![allow(
    clippy::result_large_err,
    reason = "an answer that refuses is as large as one that grants"
)]

pub mod serve;

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use demo_common::answers::{self, AdminOnly, StepUp};
use demo_common::page::{self, PageView};
use demo_common::site::{NAME, Site};
use stepup::axum::{AnySession, OptionalSession, Require2fa, Session};
use stepup::flow::Caller;
use tower_http::catch_panic::CatchPanicLayer;

/// How long a client may take to send a body, and a handler to answer it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Everything that the demo serves.
pub fn app(site: Site) -> Router {
    app_within(site, PATIENCE)
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

async fn me(session: Session<AnySession>) -> Response {
    ok(answers::me(&session))
}

async fn optional(OptionalSession(session): OptionalSession<AnySession>) -> Response {
    ok(answers::optional(session.as_deref()))
}

async fn secret(session: Session<Require2fa>) -> Response {
    ok(answers::secret(&session))
}

async fn layered(session: Session<Require2fa>) -> Response {
    ok(answers::secret(&session))
}

async fn comment(_: Session<Require2fa>, body: Result<Bytes, BytesRejection>) -> Response {
    match read(body).and_then(|body| answers::comment(&body).map_err(bad)) {
        Ok(answer) => ok(answer),
        Err(response) => response,
    }
}

async fn transfer(_: Session<StepUp>) -> Response {
    ok(answers::transfer())
}

async fn admin(session: Session<AdminOnly>) -> Response {
    ok(answers::admin(&session))
}

async fn outbox(State(site): State<Site>) -> Response {
    if !site.dev {
        return not_found().await;
    }
    site.settle().await;
    ok(answers::outbox(&site))
}

async fn clock(State(site): State<Site>, body: Result<Bytes, BytesRejection>) -> Response {
    if !site.dev_clock {
        return not_found().await;
    }
    match read(body).and_then(|body| answers::clock(&body).map_err(bad)) {
        Ok(seconds) => {
            site.advance(seconds).await;
            ok(answers::now(&site))
        }
        Err(response) => response,
    }
}

async fn health(State(site): State<Site>) -> Response {
    match site.stepup.ping().await {
        Ok(()) => "ok".into_response(),
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer"),
    }
}

async fn index(State(site): State<Site>) -> Response {
    let view = view(&site);
    shown(page::index(&view))
}

async fn by_contact(State(site): State<Site>) -> Response {
    if !signs_in_by_contact(&site) {
        return not_found().await;
    }
    shown(page::by_contact(&view(&site)))
}

/// The code in a link, for whoever opened it elsewhere than where it was asked for.
async fn link_code(State(site): State<Site>, body: Result<Bytes, BytesRejection>) -> Response {
    let (id, secret) = match read(body).and_then(|body| answers::link(&body).map_err(bad)) {
        Ok(link) => link,
        Err(response) => return response,
    };
    match site.stepup.code_of_link(&Caller::internal(), &id, &secret).await {
        Ok(code) => ok(answers::link_code(code)),
        Err(_) => error(StatusCode::SERVICE_UNAVAILABLE, "the store does not answer"),
    }
}

fn signs_in_by_contact(site: &Site) -> bool {
    site.stepup.codes().is_some_and(|role| role.is_first())
}

fn view(site: &Site) -> PageView<'_> {
    let app = site.stepup.app();
    PageView {
        app_name: NAME,
        framework: "Axum",
        website_origin: app.website_origin(),
        api_origin: app.api_origin(),
        api_base_path: app.base_path(),
        by_contact: signs_in_by_contact(site),
        has_outbox: site.dev,
        has_clock: site.dev_clock,
    }
}

fn shown(page: String) -> Response {
    (security_headers(), [(CONTENT_TYPE, page::CONTENT_TYPE)], page).into_response()
}

async fn asset(file: Result<Path<String>, PathRejection>) -> Response {
    match file
        .ok()
        .and_then(|Path(file)| page::asset(&format!("/assets/{file}")))
    {
        Some((kind, bytes)) => (security_headers(), [(CONTENT_TYPE, kind)], bytes).into_response(),
        None => not_found().await,
    }
}

async fn not_found() -> Response {
    error(StatusCode::NOT_FOUND, "not found")
}

async fn not_allowed() -> Response {
    error(StatusCode::METHOD_NOT_ALLOWED, "method not allowed")
}

/// Whoever drips a body byte by byte is told so, and hung up on.
async fn in_time(State(patience): State<Duration>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(patience, next.run(request)).await {
        Ok(response) => response,
        Err(_) => error(StatusCode::REQUEST_TIMEOUT, "the request took too long"),
    }
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    error(StatusCode::INTERNAL_SERVER_ERROR, "something went wrong")
}

fn ok(body: serde_json::Value) -> Response {
    Json(body).into_response()
}

fn error(status: StatusCode, text: &str) -> Response {
    (status, Json(answers::message(text))).into_response()
}

fn bad(text: &'static str) -> Response {
    error(StatusCode::BAD_REQUEST, text)
}

fn read(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Response> {
    body.map_err(|rejection| error(rejection.status(), "the body could not be read"))
}

fn security_headers() -> HeaderMap {
    page::HEADERS
        .iter()
        .filter_map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)))
        .collect()
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

/// The code of the chapter on testing, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/testing.md")]
pub struct Testing;
