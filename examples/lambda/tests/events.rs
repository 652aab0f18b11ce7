//! Events of each kind of gateway, through the parser of `lambda_http`, with a clock and a mailbox in hand.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod kit;

use std::sync::{Arc, Mutex};

use kit::{ALL, Call, Gateway, call, form};
use lambda_http::http::{Response, header};
use lambda_http::{Body, IntoResponse};
use on_lambda::{App, app};
use serde_json::{Value, json};
use stepup::delivery::Manual;
use stepup::event::{Event, EventSink};
use stepup_testkit::app::TestApp;
use stepup_testkit::mailbox::Mailbox;
use tower::ServiceExt;

struct Function {
    kit: TestApp,
    mailbox: Mailbox,
    seen: Networks,
    app: App,
}

/// From where the refused came.
#[derive(Clone, Debug, Default)]
struct Networks(Arc<Mutex<Vec<String>>>);

impl EventSink for Networks {
    fn record(&self, event: &Event) {
        self.0.lock().unwrap().extend(event.network.clone());
    }
}

impl Function {
    async fn start() -> Self {
        let (manual, mailbox, seen) = (Manual::new(), Mailbox::new(), Networks::default());
        let kit = TestApp::with(|builder| {
            builder
                .background(manual.clone())
                .notices(mailbox.clone())
                .events(seen.clone())
        })
        .await;
        let app = app(&kit.stepup, &manual);
        Self {
            kit,
            mailbox,
            seen,
            app,
        }
    }

    async fn send(&self, gateway: Gateway, call: &Call) -> Response<Body> {
        let event = call.by(gateway).to_string();
        let request = lambda_http::request::from_str(&event).unwrap();
        let answer = self.app.clone().oneshot(request).await.unwrap();
        answer.into_response().await
    }
}

fn json_of(answer: &Response<Body>) -> Value {
    serde_json::from_slice(answer.body()).unwrap_or_default()
}

fn access_of(answer: &Response<Body>) -> String {
    answer.headers()["st-access-token"].to_str().unwrap().to_owned()
}

/// The code in the newest text message.
async fn code(function: &Function) -> String {
    function.kit.outbox.last_code().await
}

#[tokio::test]
async fn both_factors_are_done_by_events_of_every_gateway() {
    let function = Function::start().await;
    for (n, gateway) in ALL.into_iter().enumerate() {
        let nobody = function.send(gateway, &call("GET", "/secret")).await;
        assert_eq!(nobody.status(), 401, "{gateway:?}");
        assert_eq!(json_of(&nobody), json!({ "message": "unauthorised" }));

        let sign_up = call("POST", "/auth/signup").header("st-auth-mode", "header");
        let sign_up = sign_up.json(&form(&format!("user{n}@example.com")));
        let signed_up = function.send(gateway, &sign_up).await;
        assert_eq!(json_of(&signed_up)["status"], "OK", "{signed_up:?}");
        let bearer = format!("Bearer {}", access_of(&signed_up));

        let secret = call("GET", "/secret").header("authorization", bearer.as_str());
        let half = function.send(gateway, &secret).await;
        assert_eq!(half.status(), 403);
        assert_eq!(json_of(&half)["claimValidationErrors"][0]["id"], "st-mfa");

        let ask = call("POST", "/auth/signinup/code").header("authorization", bearer.as_str());
        let ask = ask.json(&json!({ "phoneNumber": format!("+4179123450{n}") }));
        let asked = json_of(&function.send(gateway, &ask).await);
        assert_eq!(asked["status"], "OK", "{asked}");
        let consume = call("POST", "/auth/signinup/code/consume")
            .header("authorization", bearer.as_str())
            .json(&json!({
                "deviceId": asked["deviceId"],
                "preAuthSessionId": asked["preAuthSessionId"],
                "userInputCode": code(&function).await,
            }));
        let consumed = function.send(gateway, &consume).await;
        assert_eq!(json_of(&consumed)["status"], "OK", "{consumed:?}");

        let bearer = format!("Bearer {}", access_of(&consumed));
        let secret = call("GET", "/secret").header("authorization", bearer);
        let full = function.send(gateway, &secret).await;
        assert_eq!(full.status(), 200);
        let user = json_of(&signed_up)["user"]["id"].as_str().unwrap().to_owned();
        assert_eq!(full.body().as_ref(), format!("hello {user}").as_bytes());
    }
}

#[tokio::test]
async fn a_notice_is_out_before_the_answer_is() {
    let function = Function::start().await;
    let sign_up = call("POST", "/auth/signup").header("st-auth-mode", "header");
    let signed_up = function
        .send(Gateway::V2, &sign_up.json(&form("ann@example.com")))
        .await;
    let bearer = format!("Bearer {}", access_of(&signed_up));
    let ask = call("POST", "/auth/signinup/code")
        .header("authorization", bearer.as_str())
        .json(&json!({ "phoneNumber": "+41791234500" }));
    let asked = json_of(&function.send(Gateway::V2, &ask).await);
    assert!(function.mailbox.messages().await.is_empty());
    let consume = call("POST", "/auth/signinup/code/consume")
        .header("authorization", bearer)
        .json(&json!({
            "deviceId": asked["deviceId"],
            "preAuthSessionId": asked["preAuthSessionId"],
            "userInputCode": code(&function).await,
        }));
    function.send(Gateway::V2, &consume).await;
    // Nobody has ticked but the application: "a factor was added", to the address of the account.
    let notices = function.mailbox.messages().await;
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].to, "ann@example.com");
}

#[tokio::test]
async fn who_calls_is_told_by_the_gateway_and_not_by_the_client() {
    let function = Function::start().await;
    for gateway in ALL {
        for (name, value) in [
            ("accept", "*/*"),
            ("x-forwarded-for", "198.51.100.1"),
            ("x-forwarded-for", "198.51.100.1, 198.51.100.2"),
            ("x-forwarded-for", "unknown, \u{e9}"),
            ("x-real-ip", "198.51.100.1"),
            ("forwarded", "for=198.51.100.1"),
        ] {
            function.seen.0.lock().unwrap().clear();
            let sign_in = call("POST", "/auth/signin")
                .header(name, value)
                .json(&form("nobody@example.com"));
            function.send(gateway, &sign_in).await;
            let seen = function.seen.0.lock().unwrap().clone();
            assert!(!seen.is_empty(), "{gateway:?} {name}: no event");
            assert!(
                seen.iter().all(|network| network == "203.0.113.7"),
                "{gateway:?} {name}: {seen:?}"
            );
        }
    }
}

#[tokio::test]
async fn cookies_travel_by_every_gateway_and_doubled_ones_decide_nothing() {
    let function = Function::start().await;
    for (n, gateway) in ALL.into_iter().enumerate() {
        let sign_up = call("POST", "/auth/signup").header("st-auth-mode", "cookie");
        let signed_up = function
            .send(gateway, &sign_up.json(&form(&format!("user{n}@example.com"))))
            .await;
        let lines = signed_up.headers().get_all(header::SET_COOKIE).iter();
        let cookies: Vec<&str> = lines
            .filter_map(|line| line.to_str().ok()?.split(';').next())
            .collect();
        assert_eq!(cookies.len(), 2, "{gateway:?}: {signed_up:?}");
        let access = cookies
            .iter()
            .find(|cookie| cookie.starts_with("sAccessToken="))
            .unwrap();
        let me = |cookies: &str| call("GET", "/me").header("cookie", cookies);
        assert_eq!(function.send(gateway, &me(access)).await.status(), 200);
        let among = format!("a=b; {access}; c=d");
        assert_eq!(function.send(gateway, &me(&among)).await.status(), 200);
        for doubled in [
            format!("{access}; sAccessToken=x"),
            format!("sAccessToken=x; {access}"),
        ] {
            let answer = function.send(gateway, &me(&doubled)).await;
            assert_eq!(answer.status(), 401, "{gateway:?}");
            assert_eq!(json_of(&answer), json!({ "message": "try refresh token" }));
        }
    }
}

#[tokio::test]
async fn no_other_spelling_of_a_path_gets_in() {
    let function = Function::start().await;
    for gateway in ALL {
        for path in [
            "/secret/",
            "//secret",
            "/%73ecret",
            "/Secret",
            "/secret;x",
            "/auth/../secret",
            "/auth/%2e%2e/secret",
            "/auth/secret",
            "/prod/secret",
            "",
            "/",
            "/auth",
            "/secret?x=y",
            "/secret#x",
        ] {
            for method in ["GET", "HEAD", "POST", "OPTIONS", "PATCH", "TRACE"] {
                let answer = function.send(gateway, &call(method, path)).await;
                assert!(
                    answer.status().is_client_error(),
                    "{gateway:?} {method} {path}: {answer:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_body_in_base64_is_read_and_a_broken_one_refused() {
    let function = Function::start().await;
    let sign_up = call("POST", "/auth/signup").json(&form("ann@example.com"));
    for gateway in ALL {
        for (body, encoded) in [("AP8=", true), ("{", false), ("", false), ("W10=", true)] {
            let mut event = sign_up.by(gateway);
            event["body"] = body.into();
            event["isBase64Encoded"] = encoded.into();
            let request = lambda_http::request::from_str(&event.to_string()).unwrap();
            let answer = function.app.clone().oneshot(request).await.unwrap();
            assert_eq!(answer.status(), 400, "{gateway:?} {body}");
        }
    }
    let large = call("POST", "/auth/signup").json(&json!({ "formFields": "x".repeat(70_000) }));
    assert_eq!(function.send(Gateway::V2, &large).await.status(), 413);
}
