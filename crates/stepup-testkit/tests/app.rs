//! The kit for applications, under an application.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, StatusCode, request};
use axum::routing::{get, post};
use axum::{Router, body};
use stepup_axum::{AnySession, Fresh, Require2fa, Session};
use stepup_testkit::app::TestApp;
use tower::ServiceExt;

fn app(kit: &TestApp) -> Router {
    Router::new()
        .route(
            "/me",
            get(async |session: Session<AnySession>| session.user_id().to_string()),
        )
        .route(
            "/handle",
            get(async |session: Session<AnySession>| session.handle().to_string()),
        )
        .route("/secret", get(async |_: Session<Require2fa>| "in"))
        .route("/comment", post(async |_: Session<Require2fa>| "in"))
        .route("/fresh", get(async |_: Session<Fresh<300>>| "in"))
        .merge(stepup_axum::routes(&kit.stepup))
        .layer(stepup_axum::layer(&kit.stepup))
}

async fn ask(kit: &TestApp, path: &str, request: request::Builder) -> (StatusCode, String) {
    let request = request.uri(path).body(Body::empty()).unwrap();
    let response = app(kit).oneshot(request).await.unwrap();
    let status = response.status();
    let body = body::to_bytes(response.into_body(), 64 * 1024).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_complete_request_passes_and_a_half_login_does_not() {
    let kit = TestApp::new().await;
    assert_eq!(
        ask(&kit, "/secret", kit.request_as("ann").complete().await)
            .await
            .0,
        StatusCode::OK
    );
    assert_eq!(
        ask(&kit, "/secret", kit.request_as("bob").half().await).await.0,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        ask(&kit, "/me", kit.request_as("bob").half().await).await.0,
        StatusCode::OK
    );
    let by_header = kit.request_as("cid").by_header().complete().await;
    assert!(by_header.headers_ref().unwrap().get("cookie").is_none());
    assert_eq!(ask(&kit, "/secret", by_header).await.0, StatusCode::OK);
    // What changes something is taken too: it comes from a page of the site.
    let post = kit.request_as("ann").complete().await.method(Method::POST);
    assert_eq!(ask(&kit, "/comment", post).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_name_is_one_user_and_one_session_until_it_ends() {
    let kit = TestApp::new().await;
    let (_, me) = ask(&kit, "/me", kit.request_as("ann").complete().await).await;
    assert_eq!(me, kit.user_id("ann").await.as_str());
    let (_, first) = ask(&kit, "/handle", kit.request_as("ann").complete().await).await;
    let (_, again) = ask(&kit, "/handle", kit.request_as("ann").complete().await).await;
    assert_eq!(first, again);
    // An hour later the token has expired: it is refreshed, and the session is the same.
    kit.advance(Duration::from_secs(3_600)).await;
    let (status, later) = ask(&kit, "/handle", kit.request_as("ann").complete().await).await;
    assert_eq!((status, &later), (StatusCode::OK, &first));
    let (_, other) = ask(&kit, "/handle", kit.request_as("ann").anew().complete().await).await;
    assert_ne!(other, first);
    // A session that was ended is not used again.
    let tenant = stepup_core::id::TenantId::public();
    kit.stepup
        .revoke_all(&tenant, &kit.user_id("ann").await)
        .await
        .unwrap();
    kit.advance(Duration::from_secs(60)).await;
    let (status, fresh) = ask(&kit, "/handle", kit.request_as("ann").complete().await).await;
    assert_eq!(status, StatusCode::OK);
    assert!(fresh != first && fresh != other);
}

#[tokio::test]
async fn the_clock_decides_what_is_fresh_and_the_mailbox_has_the_code() {
    let kit = TestApp::new().await;
    assert_eq!(
        ask(&kit, "/fresh", kit.request_as("ann").complete().await)
            .await
            .0,
        StatusCode::OK
    );
    let code = kit.outbox.last_code().await;
    assert!(code.len() >= 6 && code.bytes().all(|byte| byte.is_ascii_digit()));
    assert_eq!(kit.outbox.code_to(&kit.phone("ann").await).await, Some(code));
    assert_eq!(kit.outbox.code_to("+41790000000").await, None);
    kit.clock.advance(Duration::from_secs(301));
    assert_eq!(
        ask(&kit, "/fresh", kit.request_as("ann").complete().await)
            .await
            .0,
        StatusCode::FORBIDDEN
    );
    // The notice of the first enrollment.
    kit.advance(Duration::from_secs(5)).await;
    let messages = kit.outbox.messages().await;
    assert!(messages.iter().any(|message| message.to == "ann@example.com"));
}

#[tokio::test]
#[should_panic(expected = "made no request yet")]
async fn a_name_without_a_request_is_told() {
    TestApp::new().await.user_id("nobody").await;
}
