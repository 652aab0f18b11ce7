//! The standard answers of the attack table, exactly.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stepup::{TenantId, UserId};
use stepup_core::factor::passwordless::DeviceId;

use crate::kit::{Client, PHONE, Response, Server};

pub(crate) const TRY_REFRESH: &str = "try refresh token";
pub(crate) const UNAUTHORISED: &str = "unauthorised";
const THEFT: &str = "token theft detected";

/// A refusal with a message, that takes no token from the client.
#[track_caller]
fn refused(response: &Response, status: u16, message: &str) {
    assert_eq!(response.status, status, "{response:?}");
    assert_eq!(response.json(), json!({ "message": message }), "{response:?}");
}

/// The session is over: every token is cleared, in both modes.
#[track_caller]
pub(crate) fn e401(response: &Response) {
    refused(response, 401, UNAUTHORISED);
    assert!(response.clears_everything(), "{response:?}");
}

/// The session cannot be used, and nothing is cleared.
#[track_caller]
pub(crate) fn e401_silent(response: &Response) {
    refused(response, 401, UNAUTHORISED);
    assert!(response.touches_no_token(), "{response:?}");
}

/// A refresh may help; nothing is cleared.
#[track_caller]
pub(crate) fn e401_try_refresh(response: &Response) {
    refused(response, 401, TRY_REFRESH);
    assert!(response.touches_no_token(), "{response:?}");
}

/// A retired refresh token came back: every token is cleared.
#[track_caller]
pub(crate) fn e401_theft(response: &Response) {
    refused(response, 401, THEFT);
    assert!(response.clears_everything(), "{response:?}");
}

/// The second factor is missing: exactly these claims failed, and nothing is cleared.
#[track_caller]
pub(crate) fn e403_claims(response: &Response, ids: &[&str]) {
    assert_eq!(response.status, 403, "{response:?}");
    assert_eq!(response.message(), "invalid claim", "{response:?}");
    assert_eq!(response.failed_claims(), ids, "{response:?}");
    assert!(response.touches_no_token(), "{response:?}");
}

/// A page of another origin sent it; nothing is cleared.
#[track_caller]
pub(crate) fn e403_foreign(response: &Response) {
    refused(response, 403, "requests from this origin are not allowed");
    assert!(response.touches_no_token(), "{response:?}");
}

/// The store does not answer: denied.
#[track_caller]
pub(crate) fn unavailable(response: &Response) {
    assert!([500, 503].contains(&response.status), "{response:?}");
    assert!(response.touches_no_token(), "{response:?}");
}

/// Asks what only a complete session gets.
pub(crate) async fn secret(client: &Client) -> Response {
    client.peek("GET", "/api/secret", None, &[]).await
}

/// Whether the client's session works: its access token, at the store too, and its refresh token, which it uses up.
pub(crate) async fn lives(client: &mut Client) {
    assert_eq!(secret(client).await.status, 200, "the access token");
    at_the_store(client).await;
    let refreshed = client.refresh().await;
    assert_eq!(refreshed.status, 200, "the refresh token: {refreshed:?}");
    assert_eq!(secret(client).await.status, 200, "the new access token");
}

async fn at_the_store(client: &Client) {
    let info = client.peek("PUT", "/auth/mfa/info", Some(&json!({})), &[]).await;
    assert_eq!(info.status_field(), "OK", "{info:?}");
}

/// Calls every endpoint that writes in the name of a session, but refresh and sign-out, with a body that it takes.
pub(crate) async fn write_endpoints(client: &Client) -> Vec<(&'static str, Response)> {
    let device = DeviceId::parse(&STANDARD.encode([0; 32])).unwrap();
    let unknown = json!({ "deviceId": device.encode(), "preAuthSessionId": device.challenge().as_str() });
    let mut code = unknown.clone();
    code["userInputCode"] = json!("000000");
    let calls: [(&str, &str, Value); 4] = [
        ("PUT", "/auth/mfa/info", json!({})),
        ("POST", "/auth/signinup/code", json!({ "phoneNumber": PHONE })),
        ("POST", "/auth/signinup/code/resend", unknown),
        ("POST", "/auth/signinup/code/consume", code),
    ];
    let mut answers = Vec::new();
    for (method, path, body) in calls {
        answers.push((path, client.peek(method, path, Some(&body), &[]).await));
    }
    answers
}

/// Nothing of the session works any more: not its refresh token, and not its access token where the store is asked.
pub(crate) async fn is_dead_at_the_store(client: &Client) {
    for (_, answer) in write_endpoints(client).await {
        e401(&answer);
    }
    e401(&refresh(client).await);
}

/// The same, and this process refuses the access token everywhere.
pub(crate) async fn is_dead(client: &Client) {
    e401(&secret(client).await);
    is_dead_at_the_store(client).await;
}

/// Uses the refresh token without taking note of the answer.
pub(crate) async fn refresh(client: &Client) -> Response {
    client.peek("POST", "/auth/session/refresh", None, &[]).await
}

/// The client's user, as the application's server calls take it.
pub(crate) fn user(client: &Client) -> (TenantId, UserId) {
    (TenantId::public(), UserId::from(client.user_id().as_str()))
}

/// How many sessions there are.
pub(crate) async fn sessions(server: &Server) -> i64 {
    server.number("SELECT count(*) FROM stepup_session").await
}
