//! What is particular to Actix Web, over real sockets: requests that end in other ways than by a response, scopes with
//! parameters, bodies that wait, and bytes that pass from the one `http` to the other.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServerHandle, ServiceRequest, ServiceResponse};
use actix_web::error::{ErrorImATeapot, ErrorInternalServerError, ErrorTooManyRequests};
use actix_web::middleware::{Condition, Next, from_fn};
use actix_web::{App, Error, FromRequest, HttpRequest, HttpServer, web};
use futures_util::FutureExt;
use http::request;
use serde_json::{Value, json};
use stepup_actix::{
    AnySession, OptionalSession, Rejection, Require2fa, Session, SignIn, Wire, configure, middleware, require,
};
use stepup_testkit::app::TestApp;
use stepup_wire::core::flow::External;
use stepup_wire::core::id::{TenantId, UserId};
use stepup_wire::core::record::JsonMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const OURS: &str = "http://localhost:3000";

fn object(value: Value) -> JsonMap {
    value.as_object().unwrap().clone()
}

/// An argument that changes the session while the request is still being taken apart.
struct Merged(Session<AnySession>);

impl FromRequest for Merged {
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Error>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let session = Session::from_request(request, payload);
        Box::pin(async move {
            let mut session = session.await?;
            let merged = session.merge_payload(&object(json!({ "plan": "pro" }))).await;
            merged.map_err(Rejection::from)?;
            Ok(Self(session))
        })
    }
}

async fn fails(_: Merged) -> Result<&'static str, Error> {
    Err(ErrorImATeapot("no coffee"))
}

async fn panics(_: Merged) -> &'static str {
    panic!("a handler broke")
}

/// A claim of the protocol's own is no payload.
async fn refuses(merged: Merged) -> Result<&'static str, Rejection> {
    let mut session = merged.0;
    session.merge_payload(&object(json!({ "sub": "eve" }))).await?;
    Ok("merged")
}

async fn optional(OptionalSession(session): OptionalSession<AnySession>) -> String {
    session.map_or_else(|| "nobody".to_owned(), |session| session.user_id().to_string())
}

async fn log_in(mut sign_in: SignIn, body: web::Json<Value>) -> Result<&'static str, Rejection> {
    sign_in.throttle("ann").await?;
    if body["password"] != "right" {
        sign_in.failed().await?;
        return Ok("wrong");
    }
    sign_in
        .complete(&UserId::from("own-row-1"), External::knowledge())
        .await?;
    Ok("welcome")
}

type Outcome = Result<ServiceResponse<BoxBody>, Error>;

async fn caught(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Outcome {
    let outcome = AssertUnwindSafe(async { next.call(request).await })
        .catch_unwind()
        .await;
    match outcome {
        Ok(outcome) => Ok(outcome?.map_into_boxed_body()),
        Err(_) => Err(ErrorInternalServerError("something went wrong")),
    }
}

/// Lets the handler answer, and then ends the request with an error all the same.
async fn turns_away(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Outcome {
    next.call(request).await?;
    Err(ErrorTooManyRequests("slow down"))
}

/// Stands outside, and looks at what an error would answer.
async fn looks(request: ServiceRequest, next: Next<impl MessageBody + 'static>) -> Outcome {
    let outcome = next.call(request).await;
    if let Err(error) = &outcome {
        assert!(error.error_response().status().as_u16() >= 400);
    }
    Ok(outcome?.map_into_boxed_body())
}

/// An application on a port of its own.
struct Served {
    address: SocketAddr,
    server: ServerHandle,
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.server.stop(false));
    }
}

impl Served {
    async fn new(kit: &TestApp) -> Self {
        Self::layered(kit, true).await
    }

    async fn layered(kit: &TestApp, layered: bool) -> Self {
        let site = Wire::from(&kit.stepup);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let app = move || {
            let named = async |path: web::Path<(String, String)>| format!("{} {}", path.0, path.1);
            let scope = web::scope("/scope/{name}")
                .wrap(require::<Require2fa>())
                .service(web::scope("/{room}").route("/in", web::to(named)));
            let turned_away = web::resource("/turned-away")
                .wrap(from_fn(turns_away))
                .route(web::post().to(async |_: Merged| "merged"));
            App::new()
                .route(
                    "/secret",
                    web::to(async |session: Session<Require2fa>| session.user_id().to_string()),
                )
                .route("/merged", web::post().to(async |_: Merged| "merged"))
                .route("/fails", web::post().to(fails))
                .route("/panics", web::post().to(panics))
                .route("/refuses", web::post().to(refuses))
                .route(
                    "/unread",
                    web::post().to(async |_: Merged, _: web::Json<Value>| "read"),
                )
                .service(turned_away)
                .route("/optional", web::get().to(optional))
                .route("/login", web::post().to(log_in))
                .service(scope)
                .configure(configure(&site))
                .wrap(from_fn(caught))
                .wrap(Condition::new(layered, middleware(&site)))
                .wrap(from_fn(looks))
        };
        let server = HttpServer::new(app)
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run();
        let handle = server.handle();
        tokio::spawn(server);
        Self {
            address,
            server: handle,
        }
    }

    /// Sends a request with a JSON body, if there is one, and reads its answer.
    async fn send(&self, line: &str, request: request::Builder, body: Option<&str>) -> Answer {
        let mut bytes = head(line, request);
        if let Some(body) = body {
            let length = body.len();
            let typed = format!("content-type: application/json\r\ncontent-length: {length}\r\n");
            bytes.extend_from_slice(typed.as_bytes());
        }
        bytes.extend_from_slice(b"connection: close\r\n\r\n");
        bytes.extend_from_slice(body.unwrap_or_default().as_bytes());
        self.raw(&bytes).await
    }

    async fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let count = soon(stream.read(&mut buffer)).await.unwrap();
            answer.extend_from_slice(&buffer[..count]);
            let answer = Answer(String::from_utf8(answer.clone()).unwrap());
            // Not until the server hangs up: it may wait for what is left of a body.
            if count == 0 || answer.is_whole() {
                return answer;
            }
        }
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    let in_time = tokio::time::timeout(Duration::from_secs(10), what).await;
    in_time.expect("in time")
}

/// A request's line and headers, byte for byte.
fn head(line: &str, request: request::Builder) -> Vec<u8> {
    let mut bytes = format!("{line} HTTP/1.1\r\nhost: localhost\r\n").into_bytes();
    for (name, value) in request.body(()).unwrap().headers() {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[derive(Debug)]
struct Answer(String);

impl Answer {
    /// Whether nothing more can come.
    fn is_whole(&self) -> bool {
        let Some((_, body)) = self.0.split_once("\r\n\r\n") else {
            return false;
        };
        let length = self.all("content-length").next();
        length.is_some_and(|length| length.parse() == Ok(body.len()))
    }

    fn status(&self) -> u16 {
        self.0[9..12].parse().unwrap()
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let head = self.0.split("\r\n\r\n").next().unwrap();
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .filter(move |(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// A header that comes once.
    fn header<'a>(&'a self, name: &'a str) -> &'a str {
        let lines: Vec<_> = self.all(name).collect();
        assert_eq!(lines.len(), 1, "{name}: {self:?}");
        lines[0]
    }

    fn body(&self) -> &str {
        self.0.split_once("\r\n\r\n").unwrap().1
    }
}

fn nobody() -> request::Builder {
    http::Request::builder()
}

fn ours(request: request::Builder) -> request::Builder {
    request.header("origin", OURS)
}

#[tokio::test]
async fn what_a_guard_owes_goes_out_on_every_outcome() {
    let kit = TestApp::new().await;
    let served = Served::new(&kit).await;
    for (path, status) in [
        ("/merged", 200),
        ("/fails", 418),
        // An error of ours.
        ("/refuses", 500),
        // The other argument finds no JSON.
        ("/unread", 400),
        ("/turned-away", 429),
        ("/panics", 500),
    ] {
        let ann = kit.request_as("ann").complete().await;
        let answer = served.send(&format!("POST {path}"), ann, Some("{")).await;
        assert_eq!(answer.status(), status, "{path} {answer:?}");
        assert!(
            answer.header("set-cookie").starts_with("sAccessToken=ey"),
            "{path} {answer:?}"
        );
        assert!(answer.header("front-token").starts_with("ey"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), OURS, "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn what_a_guard_takes_back_goes_out_with_its_refusal() {
    let kit = TestApp::new().await;
    let served = Served::new(&kit).await;
    let ann = kit.request_as("ann").by_header().complete().await;
    let (tenant, id) = (TenantId::public(), kit.user_id("ann").await);
    assert_eq!(kit.stepup.revoke_all(&tenant, &id).await.unwrap().len(), 1);
    let answer = served.send("POST /merged", ann, None).await;
    assert_eq!(answer.status(), 401, "{answer:?}");
    assert_eq!(answer.header("front-token"), "remove");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn pages_of_ours_may_read_every_answer_and_other_pages_none() {
    let kit = TestApp::new().await;
    let served = Served::new(&kit).await;
    for (line, status) in [
        ("GET /secret", 401),
        ("GET /nothing", 404),
        ("GET /auth/nothing", 404),
        ("GET /scope/a/b/in", 401),
    ] {
        let answer = served.send(line, ours(nobody()), None).await;
        assert_eq!(answer.status(), status, "{answer:?}");
        assert_eq!(answer.header("access-control-allow-origin"), OURS, "{line}");
        assert_eq!(
            answer.header("access-control-allow-credentials"),
            "true",
            "{line}"
        );
        let evil = nobody().header("origin", "https://evil.test");
        let answer = served.send(line, evil, None).await;
        assert!(
            answer.all("access-control-allow-origin").next().is_none(),
            "{line}"
        );
    }
    let asks = ours(nobody()).header("access-control-request-method", "PUT");
    let answer = served.send("OPTIONS /nothing", asks, None).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.header("access-control-allow-origin"), OURS);
}

#[tokio::test]
async fn a_scope_is_judged_before_its_parameters_and_its_body_are_read() {
    let kit = TestApp::new().await;
    let served = Served::new(&kit).await;
    let ann = kit.request_as("ann").complete().await;
    let answer = served.send("GET /scope/a/b/in", ann, None).await;
    assert_eq!((answer.status(), answer.body()), (200, "a b"));
    let bob = kit.request_as("bob").half().await;
    let answer = served.send("GET /scope/a/b/in", bob, None).await;
    assert_eq!(answer.status(), 403, "{answer:?}");
    assert!(answer.body().contains("invalid claim"), "{answer:?}");
    // The body never comes.
    let mut waits = head("POST /scope/a/b/in", nobody());
    waits.extend_from_slice(b"content-length: 1000\r\n\r\n");
    assert_eq!(served.raw(&waits).await.status(), 401);
}

#[tokio::test]
async fn an_optional_session_is_nobody_for_lack_of_a_token_alone() {
    let kit = TestApp::new().await;
    let served = Served::new(&kit).await;
    assert_eq!(
        served.send("GET /optional", nobody(), None).await.body(),
        "nobody"
    );
    let ann = kit.request_as("ann").half().await;
    let id = kit.user_id("ann").await;
    let answer = served.send("GET /optional", ann, None).await;
    assert_eq!(answer.body(), id.to_string());
    let old = kit.request_as("ann").half().await;
    kit.advance(kit.stepup.config().sessions.access).await;
    let answer = served.send("GET /optional", old, None).await;
    assert_eq!(answer.status(), 401);
    assert!(answer.body().contains("try refresh token"), "{answer:?}");
}

#[tokio::test]
async fn cookies_keep_their_lines_and_their_bytes() {
    let kit = TestApp::new().await;
    let served = Served::new(&kit).await;
    let cookie = |request: request::Builder| {
        let request = request.body(()).unwrap();
        request.headers()["cookie"].to_str().unwrap().to_owned()
    };
    let ann = cookie(kit.request_as("ann").complete().await);
    let bob = cookie(kit.request_as("bob").complete().await);
    for (lines, status) in [
        // Split as proxies from HTTP/2 may, with a byte that is no text beside it.
        (
            format!("cookie: a=\u{e9}\r\ncookie: {ann}\r\ncookie: b=2\r\n"),
            200,
        ),
        // A planted one is seen on a line of its own as well.
        (format!("cookie: {ann}\r\ncookie: {bob}\r\n"), 401),
        (format!("cookie: {ann}; {bob}\r\n"), 401),
    ] {
        let request = format!("GET /secret HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{lines}\r\n");
        let latin: Vec<u8> = request.chars().map(|c| c as u8).collect();
        let answer = served.raw(&latin).await;
        assert_eq!(answer.status(), status, "{lines} {answer:?}");
    }
}

#[tokio::test]
async fn an_own_log_in_opens_a_session_and_is_closed_to_other_pages() {
    let kit = TestApp::new().await;
    let served = Served::new(&kit).await;
    let form = r#"{"password":"right"}"#;
    let by_header = || ours(nobody()).header("st-auth-mode", "header");
    let answer = served.send("POST /login", by_header(), Some(form)).await;
    assert_eq!((answer.status(), answer.body()), (200, "welcome"), "{answer:?}");
    let bearer = format!("Bearer {}", answer.header("st-access-token"));
    let request = nobody().header("authorization", bearer);
    assert_eq!(
        served.send("GET /optional", request, None).await.body(),
        "own-row-1"
    );
    // The throttles need to know where from.
    let own = UserId::from("own-row-1");
    let sessions = kit.stepup.sessions(&TenantId::public(), &own).await.unwrap();
    assert!(sessions[0].origin.network.starts_with("127.0.0."), "{sessions:?}");

    let evil = nobody().header("origin", "https://evil.test");
    assert_eq!(served.send("POST /login", evil, Some(form)).await.status(), 403);
    let mut last = 200;
    for _ in 0..20 {
        last = served.send("POST /login", by_header(), Some("{}")).await.status();
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn an_endpoint_reads_no_more_than_its_limit() {
    let kit = TestApp::new().await;
    let served = Served::new(&kit).await;
    let signin = || {
        let mut bytes = head("POST /auth/signin", ours(nobody()));
        bytes.extend_from_slice(b"content-type: application/json\r\n");
        bytes
    };
    let mut announced = signin();
    announced.extend_from_slice(b"content-length: 10000000\r\n\r\n{");
    assert_eq!(served.raw(&announced).await.status(), 413);
    let mut chunked = signin();
    chunked.extend_from_slice(b"transfer-encoding: chunked\r\n\r\n");
    // Nothing after the limit is waited for.
    for _ in 0..9 {
        chunked.extend_from_slice(b"2000\r\n");
        chunked.extend_from_slice(&[b'x'; 0x2000]);
        chunked.extend_from_slice(b"\r\n");
    }
    assert_eq!(served.raw(&chunked).await.status(), 413);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn without_the_middleware_nobody_is_admitted_and_the_log_names_the_call() {
    let log = Log::default();
    let writer = log.clone();
    // Of the whole process, since workers are threads of their own.
    tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .init();
    let kit = TestApp::new().await;
    let served = Served::layered(&kit, false).await;
    let lines = ["GET /secret", "GET /scope/a/b/in", "GET /optional", "POST /login"];
    for line in lines {
        let ann = kit.request_as("ann").complete().await;
        let answer = served.send(line, ann, Some("{}")).await;
        assert_eq!(answer.status(), 500, "{answer:?}");
        assert!(answer.body().contains(r#"{"message":"#), "{answer:?}");
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let named = text.matches("`.wrap(stepup_actix::middleware(..))`").count();
    assert_eq!(named, lines.len(), "{text}");
}
