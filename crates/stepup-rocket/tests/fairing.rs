//! The fairing: endpoints, preflights, scopes, and what stops a launch.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod kit;

use std::path::PathBuf;

use http::Request;
use kit::{ORIGIN, Server, build, serve};
use rocket::error::ErrorKind;
use rocket::{Build, Rocket, catch, catchers, get, routes};
use serde_json::{Value, json};
use stepup_rocket::{AnySession, OptionalSession, Require2fa, Session, SignIn};
use stepup_testkit::app::TestApp;

#[get("/open")]
fn open() -> &'static str {
    "open"
}

#[get("/secret")]
fn secret() -> &'static str {
    "the secret"
}

/// As a folder of files reads its paths.
#[get("/<path..>", rank = 20)]
fn files(path: PathBuf) -> String {
    match path.to_str().map(str::to_lowercase).as_deref() {
        Some("layered/secret") => "the secret".to_owned(),
        other => format!("file {other:?}"),
    }
}

#[get("/<path..>", rank = 19)]
fn more_files(path: PathBuf) -> String {
    files(path)
}

#[catch(default)]
fn page() -> &'static str {
    "the application's page"
}

fn app() -> Rocket<Build> {
    build()
        .mount("/", routes![open, files])
        .mount("/layered", routes![secret])
        .mount("/files", routes![more_files])
        .register("/", catchers![page])
}

async fn start() -> (TestApp, Server) {
    let kit = TestApp::new().await;
    let fairing = stepup_rocket::fairing(&kit.stepup)
        .require::<Require2fa>("/layered")
        .require::<AnySession>("/files/layered");
    let server = serve(app().attach(fairing)).await;
    (kit, server)
}

#[tokio::test]
async fn a_scope_lets_in_whom_it_asks_for_and_nobody_else() {
    let (kit, server) = start().await;
    let answer = server
        .get("/layered/secret", kit.request_as("ann").complete().await)
        .await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "the secret"));
    let half = server
        .get("/layered/secret", kit.request_as("ann").half().await)
        .await;
    assert_eq!(half.status, 403);
    let nobody = server.get("/layered/secret", Request::builder()).await;
    assert_eq!(nobody.status, 401);
    assert_eq!(
        serde_json::from_str::<Value>(&nobody.body).unwrap(),
        json!({ "message": "unauthorised" })
    );
    assert_eq!(nobody.one("cache-control"), "no-store");
    // Outside of it nobody is asked.
    assert_eq!(server.get("/open", Request::builder()).await.body, "open");
}

#[tokio::test]
async fn no_method_leads_around_a_scope() {
    let (_kit, server) = start().await;
    for method in [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE",
    ] {
        let answer = server
            .send(&format!("{method} /layered/secret"), Request::builder(), "", "")
            .await;
        assert_eq!(answer.status, 401, "{method}");
        assert!(!answer.body.contains("secret"), "{method}");
        assert_eq!(answer.body.is_empty(), method == "HEAD", "{method}");
    }
    // By a form, too.
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    for body in ["_method=get", "_method=delete", "_method=options"] {
        let answer = server
            .send("POST /layered/secret", Request::builder(), form, body)
            .await;
        assert_eq!(answer.status, 401, "{body}");
    }
}

#[tokio::test]
async fn no_spelling_of_a_path_leads_around_a_scope() {
    let (_kit, server) = start().await;
    for path in [
        "/layered/secret?x=/open",
        "/layered/secret/",
        "//layered/secret",
        "///layered//secret",
        "/layered//secret",
        "/%6cayered/secret",
        "/%6Cayered/%73ecret",
        "/LAYERED/secret",
        "/Layered/Secret",
        "/layered%2fsecret",
        "/layered%5Csecret",
        "/./layered/secret",
        "/open/../layered/secret",
        "/open/%2e%2e/layered/secret",
        "/open/%2E./layered/secret",
        "/open/..%2flayered/secret",
        "/../layered/secret",
        "/layered/../layered/secret",
        "/files/../layered/secret",
        "/files/x/../layered/secret",
        "/files/layered/secret",
        "http://other.test/layered/secret",
    ] {
        let answer = server.get(path, Request::builder()).await;
        assert_eq!(answer.status, 401, "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn the_place_aside_is_nothing_to_whoever_asks_for_it() {
    let (kit, server) = start().await;
    for path in ["/auth/aside", "/auth//aside", "/auth/aside/", "/auth/%61side"] {
        for who in [Request::builder(), kit.request_as("ann").complete().await] {
            let answer = server.get(path, who).await;
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (404, r#"{"message":"not found"}"#)
            );
        }
    }
}

#[tokio::test]
async fn a_preflight_is_answered_wherever_it_goes() {
    let (_kit, server) = start().await;
    let ours = format!("origin: {ORIGIN}\r\naccess-control-request-method: POST\r\n");
    for path in ["/open", "/layered/secret", "/auth/signin", "/nowhere/at/all"] {
        let answer = server
            .send(&format!("OPTIONS {path}"), Request::builder(), &ours, "")
            .await;
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(answer.one("access-control-allow-origin"), ORIGIN);
        assert!(
            answer
                .one("access-control-allow-headers")
                .contains("st-auth-mode")
        );
        assert!(
            answer.body.is_empty() && !answer.has("content-length"),
            "{}",
            answer.head
        );
    }
    let foreign = "origin: https://evil.test\r\naccess-control-request-method: POST\r\n";
    let answer = server
        .send("OPTIONS /open", Request::builder(), foreign, "")
        .await;
    assert!(!answer.has("access-control-allow-origin"), "{}", answer.head);
    // A form that calls itself a preflight is none.
    let form = format!("{ours}content-type: application/x-www-form-urlencoded\r\n");
    let answer = server
        .send(
            "POST /layered/secret",
            Request::builder(),
            &form,
            "_method=options",
        )
        .await;
    assert_eq!(answer.status, 401);
}

#[tokio::test]
async fn endpoints_answer_bodies_of_every_kind() {
    let (_kit, server) = start().await;
    let json = "content-type: application/json\r\n";
    let signup = r#"{"formFields":[{"id":"email","value":"eve@example.com"},{"id":"password","value":"a long enough one"}]}"#;
    let answer = server
        .send("POST /auth/signup", Request::builder(), json, signup)
        .await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.has("st-access-token") && answer.has("front-token"));
    for (start, more, body, status) in [
        ("POST /auth/signup", json, "{".to_owned(), 400),
        ("POST /auth/signup", json, "x".repeat(16 * 1024 + 1), 413),
        ("POST /auth/signup", json, "x".repeat(64 * 1024 + 1), 413),
        ("POST /auth/signup", "", "{}".to_owned(), 415),
        ("POST /auth/session/refresh", "", String::new(), 401),
        ("GET /auth/signup", "", String::new(), 405),
        ("GET /auth/nothing", "", String::new(), 404),
        ("GET /auth", "", String::new(), 404),
        ("GET /auth/jwt/jwks.json", "", String::new(), 200),
        ("HEAD /auth/jwt/jwks.json", "", String::new(), 200),
    ] {
        let answer = server.send(start, Request::builder(), more, &body).await;
        assert_eq!(answer.status, status, "{start} {}", body.len());
    }
    // A form that names another method is answered as what it is.
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let answer = server
        .send(
            "POST /auth/session/refresh",
            Request::builder(),
            form,
            "_method=get",
        )
        .await;
    assert_eq!(answer.status, 401, "{}", answer.body);
}

#[tokio::test]
async fn a_body_that_does_not_come_is_waited_for_no_longer_than_told() {
    let kit = TestApp::new().await;
    let patience = std::time::Duration::from_millis(100);
    let server = serve(app().attach(stepup_rocket::fairing(&kit.stepup).body_within(patience))).await;
    // Rocket itself waits for the first bytes.
    let start = "POST /auth/signin HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n";
    let answer = server
        .raw(format!("{start}content-length: 500\r\n\r\n{{\"formFields\":["))
        .await;
    assert_eq!(answer.status, 408);
}

#[tokio::test]
async fn what_rocket_refuses_by_itself_carries_nothing() {
    let (kit, server) = start().await;
    let who = kit.request_as("ann").complete().await;
    let answer = server.send("BREW /layered/secret", who, "", "").await;
    assert_eq!(
        (answer.status, answer.body.as_str()),
        (400, "the application's page")
    );
    assert!(!answer.has("set-cookie"));
    // Endpoints are ours.
    for (path, status) in [("/auth/signin", 405), ("/auth/nowhere", 404), ("/auth", 404)] {
        let answer = server
            .send(&format!("BREW {path}"), Request::builder(), "", "")
            .await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.one("content-type"), "application/json");
        assert_eq!(answer.has("allow"), status == 405);
        assert!(answer.all("vary").contains(&"Origin"), "{}", answer.head);
    }
}

#[get("/guarded")]
fn guarded(_session: Session<Require2fa>) {}

#[get("/optional")]
fn maybe(_session: OptionalSession) {}

#[get("/sign-in")]
fn sign_in(_sign_in: SignIn) {}

#[get("/wrapped")]
fn wrapped(_session: Option<Session>) {}

#[tokio::test]
async fn a_launch_without_the_fairing_stops() {
    for route in [
        routes![guarded],
        routes![maybe],
        routes![sign_in],
        routes![wrapped],
    ] {
        let error = build().mount("/", route).ignite().await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::SentinelAborts(..)), "{error}");
    }
    let kit = TestApp::new().await;
    let all = build().mount("/", routes![guarded, maybe, sign_in, wrapped]);
    all.attach(stepup_rocket::fairing(&kit.stepup))
        .ignite()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_fairing_that_cannot_do_what_it_says_stops_the_launch() {
    let kit = TestApp::new().await;
    let fairing = || stepup_rocket::fairing(&kit.stepup);
    for scope in ["/", "/auth", "/AUTH", "", "/in/<id>"] {
        let error = build()
            .attach(fairing().require::<AnySession>(scope))
            .ignite()
            .await
            .unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::FailedFairings(_)),
            "{scope}: {error}"
        );
    }
    let twice = build()
        .attach(fairing())
        .attach(fairing())
        .ignite()
        .await
        .unwrap_err();
    assert!(matches!(twice.kind(), ErrorKind::FailedFairings(_)), "{twice}");
}

#[tokio::test]
async fn guards_alone_serve_no_endpoints() {
    let kit = TestApp::new().await;
    let fairing = stepup_rocket::guards(&kit.stepup).require::<Require2fa>("/");
    let server = serve(app().attach(fairing)).await;
    for path in ["/auth/jwt/jwks.json", "/auth/aside", "/open"] {
        assert_eq!(server.get(path, Request::builder()).await.status, 401, "{path}");
    }
    let who = kit.request_as("ann").complete().await;
    let answer = server.get("/auth/jwt/jwks.json", who).await;
    assert!(answer.body.starts_with("file"), "{}", answer.body);
}
