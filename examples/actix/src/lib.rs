//! The demo on Actix Web: the application, apart from `main`, so that tests can call it.

pub mod body;

use std::io;
use std::net::TcpListener;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{Handler, ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::error::{InternalError, PayloadError};
use actix_web::guard::fn_guard;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderName, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::web::{self, Bytes, Data, PayloadConfig};
use actix_web::{App, Error, FromRequest, HttpResponse, HttpServer, Resource, Responder};
use demo_common::answers::{self, AdminOnly, StepUp};
use demo_common::{Answer, Site, Unread};
use futures_util::FutureExt;
use stepup::actix::{AnySession, OptionalSession, Require2fa, Session};

/// Serves the demo until `stop` is ready, and lets the requests under way end.
///
/// # Errors
/// The listener's.
pub async fn serve(
    listener: TcpListener,
    site: Site,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    // One site for all workers.
    HttpServer::new(move || app(site.clone()))
        .workers(WORKERS)
        .max_connections(CONNECTIONS / WORKERS)
        .client_request_timeout(HEAD)
        .keep_alive(HEAD)
        .shutdown_signal(stop)
        .shutdown_timeout(STOP.as_secs())
        .listen(listener)?
        .run()
        .await
}

/// Everything that the demo serves.
pub fn app(
    site: Site,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    // Guarded as a whole, instead of route by route.
    let layered = web::scope("/layered")
        .wrap(stepup::actix::require::<Require2fa>())
        .service(get("/secret", layered));
    App::new()
        .app_data(Data::new(site.clone()))
        .app_data(PayloadConfig::new(answers::MAX_BODY))
        .service(get("/", index))
        .service(get("/auth/verify", by_contact))
        .service(get("/auth/verify-email", verify_email))
        .service(get("/auth/reset-password", new_password))
        .service(get("/auth/callback/example", callback))
        .service(get("/assets/{file}", asset))
        .service(get("/api/me", me))
        .service(get("/api/optional", optional))
        .service(get("/api/secret", secret))
        .service(post("/api/comment", comment))
        .service(post("/api/transfer", transfer))
        .service(get("/api/admin", admin))
        .service(post("/api/link-code", link_code))
        .service(get("/dev/outbox", outbox))
        .service(post("/dev/clock", clock))
        .service(get("/healthz", health))
        .service(layered)
        .default_service(web::to(not_found))
        .configure(stepup::actix::configure(&site.wire))
        .wrap(from_fn(in_time))
        // Inside of ours: a handler that panics must not lose the cookies that are owed to its response.
        .wrap(from_fn(caught))
        // Outermost of what answers: cookies, headers and CORS, on every outcome.
        .wrap(stepup::actix::middleware(&site.wire))
        .wrap(from_fn(body::held))
}

async fn index(site: Data<Site>) -> HttpResponse {
    written(answers::index(&site, FRAMEWORK))
}

async fn new_password(site: Data<Site>) -> HttpResponse {
    written(answers::new_password(&site, FRAMEWORK))
}

async fn callback(site: Data<Site>) -> HttpResponse {
    written(answers::callback(&site, FRAMEWORK))
}

async fn by_contact(site: Data<Site>) -> HttpResponse {
    written(answers::by_contact(&site, FRAMEWORK))
}

async fn verify_email(site: Data<Site>) -> HttpResponse {
    written(answers::verify_email(&site, FRAMEWORK))
}

async fn asset(file: Result<web::Path<String>, Error>) -> HttpResponse {
    written(match file {
        Ok(file) => answers::asset(&file),
        Err(_) => answers::not_found(),
    })
}

async fn me(session: Session<AnySession>) -> HttpResponse {
    written(answers::me(&session))
}

async fn optional(OptionalSession(session): OptionalSession<AnySession>) -> HttpResponse {
    written(answers::optional(session.as_deref()))
}

async fn secret(session: Session<Require2fa>) -> HttpResponse {
    written(answers::secret(&session))
}

async fn layered(session: Session<Require2fa>) -> HttpResponse {
    written(answers::secret(&session))
}

async fn comment(_: Session<Require2fa>, body: Result<Bytes, Error>) -> HttpResponse {
    written(answers::comment(read(body)))
}

async fn transfer(_: Session<StepUp>) -> HttpResponse {
    written(answers::transfer())
}

async fn admin(session: Session<AdminOnly>) -> HttpResponse {
    written(answers::admin(&session))
}

async fn link_code(site: Data<Site>, body: Result<Bytes, Error>) -> HttpResponse {
    written(answers::link_code(&site, read(body)).await)
}

async fn outbox(site: Data<Site>) -> HttpResponse {
    written(answers::outbox(&site).await)
}

async fn clock(site: Data<Site>, body: Result<Bytes, Error>) -> HttpResponse {
    written(answers::clock(&site, read(body)).await)
}

async fn health(site: Data<Site>) -> HttpResponse {
    written(answers::health(&site).await)
}

async fn not_found() -> HttpResponse {
    written(answers::not_found())
}

/// A path that is read. HEAD is answered like GET, without the body.
fn get<F, Args>(path: &'static str, handler: F) -> Resource
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    Args: FromRequest + 'static,
{
    let head = web::head().to(handler.clone());
    at(path, "GET,HEAD").route(web::get().to(handler)).route(head)
}

/// A path that is posted to.
fn post<F, Args>(path: &'static str, handler: F) -> Resource
where
    F: Handler<Args>,
    F::Output: Responder + 'static,
    Args: FromRequest + 'static,
{
    at(path, "POST").route(web::post().to(handler))
}

fn at(path: &'static str, methods: &'static str) -> Resource {
    // Actix Web would take `/api/%6De` for `/api/me`, which the demo's other servers do not.
    let literal = path.split('{').next().unwrap_or(path);
    let as_sent = fn_guard(move |request| request.head().uri.path().contains(literal));
    let not_allowed = move || async move {
        let mut response = written(answers::not_allowed());
        let allow = HeaderValue::from_static(methods);
        response.headers_mut().insert(ALLOW, allow);
        response
    };
    web::resource(path)
        .guard(as_sent)
        .default_service(web::to(not_allowed))
}

/// Whoever drips a body byte by byte is told so, and hung up on.
async fn in_time(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    match tokio::time::timeout(answers::PATIENCE, next.call(request)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(failed(answers::too_slow())),
    }
}

async fn caught(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let outcome = AssertUnwindSafe(async { next.call(request).await });
    match outcome.catch_unwind().await {
        Ok(outcome) => outcome,
        Err(_) => Err(failed(answers::broken())),
    }
}

/// Without a request no response can be made, only an error that knows its response.
fn failed(answer: Answer) -> Error {
    InternalError::from_response("the request was given up", written(answer)).into()
}

fn read(body: Result<Bytes, Error>) -> Result<Bytes, Unread> {
    body.map_err(|error| match error.as_error() {
        Some(PayloadError::Overflow) => Unread::TooLong,
        _ => Unread::Broken,
    })
}

fn written(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status).body(answer.body.into_owned());
    for (name, value) in answer.headers {
        let name = HeaderName::from_static(name);
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

const FRAMEWORK: &str = "Actix Web";

const WORKERS: usize = 2;

/// Connections at once. More wait in the listener's queue.
const CONNECTIONS: usize = 1024;

/// The whole head of a request has to arrive within this; a connection that is idle for so long is closed.
const HEAD: Duration = Duration::from_secs(10);

/// How long requests may take to end once the server is asked to stop.
const STOP: Duration = Duration::from_secs(10);
