//! What is owed to a client reaches it, however its request ends.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod kit;

use http::Request;
use kit::{Answer, ORIGIN, Server, build, serve};
use rocket::http::{CookieJar, Status};
use rocket::request::{FromRequest, Outcome};
use rocket::{Build, Rocket, catch, catchers, get, post, routes};
use serde_json::{Value, json};
use stepup_rocket::{AnySession, OptionalSession, Rejection, Require2fa, Session};
use stepup_testkit::app::TestApp;

#[get("/ok")]
async fn ok(mut session: Session<AnySession>) -> &'static str {
    change(&mut session).await;
    "done"
}

#[get("/err")]
async fn err(mut session: Session<AnySession>) -> Status {
    change(&mut session).await;
    Status::ImATeapot
}

#[get("/panic")]
async fn panics(mut session: Session<AnySession>) -> &'static str {
    change(&mut session).await;
    panic!("an application's mistake")
}

/// A guard of the application's own that refuses after ours has changed the session.
struct Never;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Never {
    type Error = ();

    async fn from_request(request: &'r rocket::Request<'_>) -> Outcome<Self, ()> {
        if let Outcome::Success(mut session) = request.guard::<Session<AnySession>>().await {
            change(&mut session).await;
        }
        Outcome::Error((Status::Conflict, ()))
    }
}

#[get("/guard")]
fn guard(_never: Never) -> &'static str {
    "never"
}

#[get("/forward", rank = 1)]
async fn forward(never: Forwards) -> &'static str {
    let Forwards = never;
    "never"
}

struct Forwards;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Forwards {
    type Error = ();

    async fn from_request(request: &'r rocket::Request<'_>) -> Outcome<Self, ()> {
        if let Outcome::Success(mut session) = request.guard::<Session<AnySession>>().await {
            change(&mut session).await;
        }
        Outcome::Forward(Status::NotFound)
    }
}

#[get("/leave")]
async fn leave(session: Session<AnySession>, cookies: &CookieJar<'_>) -> &'static str {
    cookies.add(("own", "kept"));
    session.revoke().await.unwrap();
    "left"
}

#[get("/secret")]
fn secret(session: Session<Require2fa>) -> String {
    session.user_id().to_string()
}

#[get("/both")]
fn both(one: Session<AnySession>, other: Session<Require2fa>) -> String {
    assert_eq!(one.handle(), other.handle());
    "both".to_owned()
}

#[get("/optional")]
fn optional(session: OptionalSession<Require2fa>) -> String {
    session.0.is_some().to_string()
}

#[get("/own-page")]
fn own_page(session: Result<Session<Require2fa>, Rejection>) -> (Status, &'static str) {
    match session {
        Ok(_) => (Status::Ok, "in"),
        Err(rejection) => {
            let _ = rejection;
            (Status::Unauthorized, "please sign in")
        }
    }
}

#[get("/swallowed")]
fn swallowed(session: Option<Session<Require2fa>>) -> (Status, &'static str) {
    (Status::Unauthorized, if session.is_some() { "in" } else { "out" })
}

#[get("/passed-on")]
fn passed_on(session: Result<Session<Require2fa>, Rejection>) -> Result<&'static str, Rejection> {
    session.map(|_| "in")
}

#[post("/write")]
fn write(_session: Session<Require2fa>) -> &'static str {
    "written"
}

#[get("/write")]
fn read(_session: Session<Require2fa>) -> &'static str {
    "read"
}

#[catch(default)]
fn page() -> &'static str {
    "the application's page"
}

async fn change(session: &mut Session<AnySession>) {
    let patch = json!({ "seen": { "v": true, "t": 1 } });
    session.merge_payload(patch.as_object().unwrap()).await.unwrap();
}

fn app() -> Rocket<Build> {
    build()
        .mount(
            "/",
            routes![
                ok, err, panics, guard, forward, leave, secret, both, optional, own_page, swallowed,
                passed_on, write, read
            ],
        )
        .register("/", catchers![page])
}

async fn start() -> (TestApp, Server) {
    let kit = TestApp::new().await;
    let server = serve(app().attach(stepup_rocket::fairing(&kit.stepup))).await;
    (kit, server)
}

/// Whether an answer hands out a new access token, in the way that its request took.
fn hands_out(answer: &Answer) -> bool {
    let cookies = answer.all("set-cookie");
    let cookie = cookies.iter().any(|line| line.starts_with("sAccessToken=ey"));
    assert_eq!(cookie, answer.has("front-token"));
    cookie
}

fn json(answer: &Answer) -> Value {
    assert_eq!(answer.one("content-type"), "application/json");
    serde_json::from_str(&answer.body).unwrap()
}

#[tokio::test]
async fn a_changed_session_reaches_the_client_whatever_the_outcome() {
    let (kit, server) = start().await;
    for (path, status) in [
        ("/ok", 200),
        ("/err", 418),
        ("/panic", 500),
        ("/guard", 409),
        ("/forward", 404),
    ] {
        let who = kit.request_as("ann").complete().await;
        let answer = server.get(path, who).await;
        assert_eq!(answer.status, status, "{path}");
        assert!(hands_out(&answer), "{path}: {}", answer.head);
        assert_eq!(answer.one("access-control-allow-origin"), ORIGIN);
        assert_eq!(answer.one("cache-control"), "no-store");
        let exposed = answer.all("access-control-expose-headers").join(",");
        assert!(exposed.contains("front-token"), "{path}");
    }
}

#[tokio::test]
async fn a_session_that_is_left_takes_its_cookies_along_and_no_others() {
    let (kit, server) = start().await;
    let answer = server.get("/leave", kit.request_as("ann").complete().await).await;
    let cookies = answer.all("set-cookie");
    let of = |name: &str| cookies.iter().filter(|line| line.starts_with(name)).count();
    assert_eq!(
        (of("own=kept"), of("sAccessToken=;"), of("sRefreshToken=;")),
        (1, 1, 1)
    );
    assert_eq!(answer.one("front-token"), "remove");
}

#[tokio::test]
async fn a_refusal_takes_the_place_of_the_catchers_page() {
    let (kit, server) = start().await;
    let nobody = server.get("/secret", Request::builder()).await;
    assert_eq!(nobody.status, 401);
    assert_eq!(json(&nobody), json!({ "message": "unauthorised" }));
    assert!(!nobody.has("set-cookie"), "{}", nobody.head);
    assert_eq!(nobody.one("x-content-type-options"), "nosniff");

    let half = server.get("/secret", kit.request_as("ann").half().await).await;
    assert_eq!(half.status, 403);
    assert_eq!(json(&half)["message"], "invalid claim");
    // What is no refusal of ours stays the application's.
    let lost = server.get("/nowhere", Request::builder()).await;
    assert_eq!((lost.status, lost.body.as_str()), (404, "the application's page"));
}

#[tokio::test]
async fn a_handler_that_takes_the_refusal_as_a_value_answers_by_itself() {
    let (_kit, server) = start().await;
    for (path, body) in [("/own-page", "please sign in"), ("/swallowed", "out")] {
        let answer = server.get(path, Request::builder()).await;
        assert_eq!((answer.status, answer.body.as_str()), (401, body), "{path}");
        assert!(!answer.has("set-cookie"), "{}", answer.head);
    }
    let passed_on = server.get("/passed-on", Request::builder()).await;
    assert_eq!(passed_on.status, 401);
    assert_eq!(json(&passed_on), json!({ "message": "unauthorised" }));
    assert!(!passed_on.has("set-cookie"), "{}", passed_on.head);
}

#[tokio::test]
async fn pages_of_refusals_can_be_left_to_the_catchers() {
    let kit = TestApp::new().await;
    let fairing = stepup_rocket::fairing(&kit.stepup).with_pages_of_catchers();
    let server = serve(app().attach(fairing)).await;
    let answer = server.get("/secret", Request::builder()).await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (401, "the application's page")
    );
    assert!(!answer.has("set-cookie"), "{}", answer.head);
    assert_eq!(answer.one("cache-control"), "no-store");
}

#[tokio::test]
async fn several_guards_agree_on_one_session() {
    let (kit, server) = start().await;
    let answer = server.get("/both", kit.request_as("ann").complete().await).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "both"));
    assert_eq!(
        server
            .get("/both", kit.request_as("ann").half().await)
            .await
            .status,
        403
    );
}

#[tokio::test]
async fn an_optional_session_is_none_for_nobody_and_an_error_for_a_broken_one() {
    let (kit, server) = start().await;
    assert_eq!(server.get("/optional", Request::builder()).await.body, "false");
    let whole = kit.request_as("ann").complete().await;
    assert_eq!(server.get("/optional", whole).await.body, "true");
    assert_eq!(
        server
            .get("/optional", kit.request_as("bob").half().await)
            .await
            .status,
        403
    );
    let who = kit.request_as("ann").complete().await;
    kit.clock.advance(std::time::Duration::from_secs(24 * 3600));
    let stale = server.get("/optional", who).await;
    assert_eq!(
        (stale.status, json(&stale)),
        (401, json!({ "message": "try refresh token" }))
    );
}

#[tokio::test]
async fn csr_a_post_that_calls_itself_a_get_is_judged_as_a_post() {
    let (kit, server) = start().await;
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    for (start, body) in [
        ("POST /write", "a=b"),
        ("POST /write", "_method=get&a=b"),
        ("POST /write", "_method=GET&a=b"),
        ("POST /write", "%5Fmethod=get&a=b"),
        ("POST /write", "_method=options"),
        ("POST /write", "_method=trace&"),
        ("HEAD /write", ""),
    ] {
        let mut who = kit.request_as("ann").complete().await;
        let headers = who.headers_mut().unwrap();
        headers.insert("origin", "https://evil.test".parse().unwrap());
        let answer = server.send(start, who, form, body).await;
        assert!(
            [403, 404].contains(&answer.status),
            "{start} {body}: {}",
            answer.head
        );
        assert!(
            !answer.body.contains("read") && !answer.body.contains("written"),
            "{body}"
        );
        assert!(!answer.has("access-control-allow-origin"));
    }
    // The same from a page of ours goes where Rocket sends it.
    let who = kit.request_as("ann").complete().await;
    let answer = server.send("POST /write", who, form, "_method=get&a=b").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "read"));
}

#[tokio::test]
async fn headers_that_are_no_text_name_nobody_and_no_origin() {
    let (kit, server) = start().await;
    let who = kit.request_as("ann").complete().await.body(()).unwrap();
    let cookie = who.headers()["cookie"].to_str().unwrap();
    let host = "host: localhost\r\nconnection: close\r\n";
    let mut bytes = format!("GET /secret HTTP/1.1\r\n{host}cookie: {cookie}; x=").into_bytes();
    bytes.extend_from_slice(b"\xff\r\n\r\n");
    assert_eq!(server.raw(bytes).await.status, 401);
    // Letters beyond ASCII are text.
    let text = format!("GET /secret HTTP/1.1\r\n{host}cookie: x=\u{e4}; {cookie}\r\n\r\n");
    assert_eq!(server.raw(text).await.status, 200);
    // Two lines stay two lines, and a repeated origin is nobody's.
    let twice = format!(
        "POST /write HTTP/1.1\r\n{host}content-length: 0\r\ncookie: {cookie}\r\norigin: {ORIGIN}\r\norigin: {ORIGIN}\r\n\r\n"
    );
    assert_eq!(server.raw(twice).await.status, 403);
}
