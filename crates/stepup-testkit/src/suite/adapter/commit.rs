//! What is owed to a response is paid, whatever became of the request.

use std::time::Duration;

use http::header::ORIGIN;
use http::{Method, Request};
use serde_json::json;
use stepup_core::id::TenantId;

use super::guards::{cookie_of, get, is, is_refused, post_to, put};
use super::subject::Subject;
use crate::transcript::Answer;

/// Merges by cookie and by header: whatever the handler makes of the request, the client gets the token that says so.
async fn a_change_reaches_the_client(subject: &Subject, path: &str, status: u16) {
    let kit = &subject.kit;
    let answer = subject
        .send(post_to(kit.request_as("ann").complete().await, path))
        .await;
    is(&answer, status, path);
    let token = cookie_of(&answer, "sAccessToken");
    assert!(
        answer
            .header("front-token")
            .is_some_and(|front| front != "remove"),
        "{answer}"
    );
    says_pro(subject, &token).await;

    let by_header = kit.request_as("bob").by_header().complete().await;
    let answer = subject.send(post_to(by_header, path)).await;
    is(&answer, status, path);
    let token = answer
        .header("st-access-token")
        .unwrap_or_else(|| panic!("no token\n{answer}"));
    assert!(answer.header("set-cookie").is_none(), "{answer}");
    says_pro(subject, token).await;
}

async fn says_pro(subject: &Subject, token: &str) {
    let claims = subject.kit.stepup.verify(token).expect("a token of ours");
    assert_eq!(claims.payload()["plan"], "pro");
}

/// The ordinary case.
pub async fn a_change_reaches_the_client_of_a_handler_that_succeeds(subject: Subject) {
    a_change_reaches_the_client(&subject, "/plan", 200).await;
}

/// An error of the application's own takes nothing back of what was stored.
pub async fn a_change_reaches_the_client_of_a_handler_that_fails(subject: Subject) {
    a_change_reaches_the_client(&subject, "/plan/refused", 418).await;
}

/// Neither does a panic, and whoever comes next is served as before.
pub async fn a_change_reaches_the_client_of_a_handler_that_panics(subject: Subject) {
    a_change_reaches_the_client(&subject, "/plan/panics", 500).await;
    for _ in 0..20 {
        let request = get(subject.kit.request_as("ann").complete().await, "/secret");
        is(&subject.send(request).await, 200, "after a panic");
    }
}

/// A guard that fetched a claim owes a token. An argument behind it that cannot be read must not lose it.
pub async fn what_a_guard_owes_is_paid_though_a_later_argument_fails(subject: Subject) {
    let kit = &subject.kit;
    let to = async || post_to(kit.request_as("ann").complete().await, "/due");
    let request = to().await;
    kit.advance(Duration::from_secs(61)).await;
    let mut broken = request.body(bytes::Bytes::from_static(b"{")).unwrap();
    broken
        .headers_mut()
        .insert("content-type", "application/json".parse().unwrap());
    let answer = subject.ask(&broken).await;
    assert!((400..500).contains(&answer.status), "{answer}");
    let token = cookie_of(&answer, "sAccessToken");
    assert!(kit.stepup.verify(&token).is_ok());
    assert!(answer.header("front-token").is_some(), "{answer}");

    let answer = subject.post(to().await, Some(&json!({}))).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "in"), "{answer}");
}

/// The refusal of a session that was ended takes its tokens from the client, both ways.
pub async fn a_session_that_is_over_is_taken_from_the_client(subject: Subject) {
    let kit = &subject.kit;
    for path in ["/any", "/secret", "/optional", "/scope/in"] {
        let request = get(kit.request_as("ann").complete().await, path);
        let ann = kit.user_id("ann").await;
        kit.stepup.revoke_all(&TenantId::public(), &ann).await.unwrap();
        let answer = subject.send(request).await;
        is_refused(&answer, 401, path);
        is_taken_back(&answer);
        // The next one signs in anew, and is not throttled for it.
        kit.advance(Duration::from_secs(3600)).await;
    }
}

/// A handler that ends the session says so to the client.
pub async fn a_session_that_is_left_is_taken_from_the_client(subject: Subject) {
    let kit = &subject.kit;
    let request = kit.request_as("ann").complete().await;
    let cookie = request.headers_ref().unwrap()["cookie"].clone();
    let answer = subject.send(post_to(request, "/leave")).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "left"), "{answer}");
    assert_eq!(answer.header("front-token"), Some("remove"), "{answer}");
    assert_eq!(cookie_of(&answer, "sAccessToken"), "");
    assert_eq!(cookie_of(&answer, "sRefreshToken"), "");
    let again = Request::builder().header("cookie", cookie);
    is_refused(
        &subject.send(get(again, "/any")).await,
        401,
        "the token that was left",
    );
}

/// CORS headers go on every status, for our pages and for no others: a 401 that a page cannot see causes no refresh.
pub async fn every_answer_can_be_read_by_our_pages_and_no_others(subject: Subject) {
    let kit = &subject.kit;
    for (method, path) in [
        (Method::GET, "/any"),
        (Method::GET, "/optional"),
        (Method::GET, "/scope/in"),
        (Method::GET, "/nowhere"),
        (Method::DELETE, "/secret"),
        (Method::POST, "/plan/refused"),
        (Method::POST, "/plan/panics"),
        (Method::GET, "/auth/session/list"),
        (Method::GET, "/auth/nowhere"),
        (Method::GET, "/auth/signin"),
    ] {
        for who in [
            Request::builder(),
            kit.request_as("ann").by_header().complete().await,
        ] {
            let mut request = who.method(method.clone()).uri(path);
            put(&mut request, ORIGIN.as_str(), OURS);
            let answer = subject.send(request).await;
            assert_eq!(answer.header(ALLOW_ORIGIN), Some(OURS), "{path}\n{answer}");
            assert_eq!(answer.header(ALLOW_CREDENTIALS), Some("true"), "{path}\n{answer}");
            assert!(varies(&answer), "{path}\n{answer}");
        }
        let mut request = Request::builder().method(method).uri(path);
        put(&mut request, ORIGIN.as_str(), "https://evil.test");
        let answer = subject.send(request).await;
        assert!(answer.header(ALLOW_ORIGIN).is_none(), "{path}\n{answer}");
        assert!(answer.header(ALLOW_CREDENTIALS).is_none(), "{path}\n{answer}");
        assert!(varies(&answer), "{path}\n{answer}");
    }
}

/// A preflight is answered by the layer, for any path, and reaches neither guards nor handlers.
pub async fn every_preflight_is_answered_before_the_application(subject: Subject) {
    for path in [
        "/any",
        "/secret",
        "/scope/in",
        "/nowhere",
        "/auth/signin",
        "/auth/nowhere",
    ] {
        let ask = |origin: &str| {
            Request::builder()
                .method(Method::OPTIONS)
                .uri(path)
                .header(ORIGIN, origin)
                .header("access-control-request-method", "POST")
                .header("access-control-request-headers", "rid,content-type")
        };
        let answer = subject.send(ask(OURS)).await;
        assert_eq!((answer.status, answer.body.len()), (204, 0), "{path}\n{answer}");
        assert_eq!(answer.header(ALLOW_ORIGIN), Some(OURS), "{path}\n{answer}");
        assert_eq!(answer.header(ALLOW_CREDENTIALS), Some("true"), "{path}\n{answer}");
        let allowed = answer.header("access-control-allow-headers").unwrap_or_default();
        assert!(
            allowed.contains("st-auth-mode") && allowed.contains("rid"),
            "{path}\n{answer}"
        );
        let answer = subject.send(ask("https://evil.test")).await;
        assert_eq!(answer.status, 204, "{path}\n{answer}");
        assert!(answer.header(ALLOW_ORIGIN).is_none(), "{path}\n{answer}");
        assert!(
            answer.header("access-control-allow-headers").is_none(),
            "{path}\n{answer}"
        );
    }
}

/// Every token is taken from the client, both ways.
#[track_caller]
fn is_taken_back(answer: &Answer) {
    assert_eq!(answer.header("front-token"), Some("remove"), "{answer}");
    assert_eq!(answer.header("st-access-token"), Some(""), "{answer}");
    assert_eq!(answer.header("st-refresh-token"), Some(""), "{answer}");
    for name in ["sAccessToken", "sRefreshToken"] {
        assert_eq!(cookie_of(answer, name), "", "{answer}");
    }
}

fn varies(answer: &Answer) -> bool {
    let mut names = answer.all("vary").flat_map(|line| line.split(','));
    names.any(|name| name.trim().eq_ignore_ascii_case("origin"))
}

/// The origin of the site's pages.
const OURS: &str = crate::app::ORIGIN_OF_ALL;

const ALLOW_ORIGIN: &str = "access-control-allow-origin";
const ALLOW_CREDENTIALS: &str = "access-control-allow-credentials";
