//! Guards: who is admitted where.

use std::time::Duration;

use http::header::ORIGIN;
use http::{Method, Request, request};
use serde_json::{Value, json};
use stepup_core::id::{TenantId, UserId};

use super::application::{Login, login};
use super::subject::Subject;
use crate::transcript::Answer;

/// Each route asks for what its argument names: nothing but a session, the site's policy, a second factor, a fresh one.
pub async fn a_route_admits_who_meets_what_it_asks(subject: Subject) {
    let kit = &subject.kit;
    let ways = [false, true];
    for by_header in ways {
        let who = |name: &str| match by_header {
            true => kit.request_as(name).by_header(),
            false => kit.request_as(name),
        };
        for (path, nobody, half, complete) in [
            ("/any", 401, 200, 200),
            ("/plain", 401, 403, 200),
            ("/secret", 401, 403, 200),
            ("/fresh", 401, 403, 200),
            ("/refuses", 401, 403, 403),
        ] {
            let answer = subject.send(get(Request::builder(), path)).await;
            is_refused(&answer, nobody, path);
            let answer = subject.send(get(who("bob").half().await, path)).await;
            is(&answer, half, path);
            if half == 403 {
                assert_eq!(answer.json()["message"], "invalid claim", "{path}\n{answer}");
            }
            let answer = subject.send(get(who("ann").complete().await, path)).await;
            is(&answer, complete, path);
        }
        let answer = subject.send(get(who("ann").half().await, "/any")).await;
        assert_eq!(answer.text(), kit.user_id("ann").await.as_str(), "{answer}");
        let answer = subject.send(get(who("ann").complete().await, "/secret")).await;
        assert_eq!(answer.text(), "in", "{answer}");
    }
    // Six minutes later the second factor is not fresh any more, and all else is as it was.
    kit.advance(Duration::from_secs(360)).await;
    let answer = subject
        .send(get(kit.request_as("ann").complete().await, "/fresh"))
        .await;
    is_refused(&answer, 403, "/fresh");
    let answer = subject
        .send(get(kit.request_as("ann").complete().await, "/secret"))
        .await;
    is(&answer, 200, "/secret");
    // A token that has expired is not refused for good.
    let old = kit.request_as("ann").complete().await;
    kit.advance(Duration::from_secs(24 * 3600)).await;
    let answer = subject.send(get(old, "/any")).await;
    is_refused(&answer, 401, "/any");
    assert_eq!(answer.json()["message"], "try refresh token", "{answer}");
}

/// A request that changes something and is signed by a cookie is believed if it comes from a page of ours.
pub async fn what_changes_something_is_taken_from_our_own_pages_only(subject: Subject) {
    let kit = &subject.kit;
    let post = async || post_to(kit.request_as("ann").complete().await, "/secret");
    is(&subject.send(post().await).await, 200, "a page of ours");
    let mut foreign = post().await;
    put(&mut foreign, ORIGIN.as_str(), "https://evil.test");
    is_refused(&subject.send(foreign).await, 403, "a foreign page");
    let mut unnamed = post().await;
    unnamed.headers_mut().unwrap().remove(ORIGIN);
    put(&mut unnamed, "sec-fetch-site", "cross-site");
    is_refused(&subject.send(unnamed).await, 403, "a page that names itself not");
    // Around the scope as well.
    let mut foreign = post_to(kit.request_as("ann").complete().await, "/scope/in");
    put(&mut foreign, ORIGIN.as_str(), "https://evil.test");
    is_refused(&subject.send(foreign).await, 403, "a foreign page");
    // Who holds the token needs no page.
    let by_header = kit.request_as("ann").by_header().complete().await;
    is(
        &subject.send(post_to(by_header, "/secret")).await,
        200,
        "by header",
    );
}

/// An optional session is none for who carries no token. A token that is wrong, expired or over is an error, not nobody.
pub async fn a_session_is_optional_for_who_carries_no_token_only(subject: Subject) {
    let kit = &subject.kit;
    let answer = subject.send(get(Request::builder(), "/optional")).await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, "nobody"),
        "{answer}"
    );
    let answer = subject
        .send(get(kit.request_as("ann").complete().await, "/optional"))
        .await;
    let ann = kit.user_id("ann").await;
    assert_eq!(
        (answer.status, answer.text().as_str()),
        (200, ann.as_str()),
        "{answer}"
    );

    let late = kit.request_as("ann").complete().await;
    kit.advance(Duration::from_secs(24 * 3600)).await;
    is_refused(&subject.send(get(late, "/optional")).await, 401, "expired");
    let over = kit.request_as("ann").anew().complete().await;
    kit.stepup
        .revoke_all(&TenantId::public(), &UserId::from(ann.as_str()))
        .await
        .unwrap();
    is_refused(&subject.send(get(over, "/optional")).await, 401, "over");
}

/// A guard around a scope admits who meets it to all inside, whatever the method, and refuses before the application is
/// asked anything: what is not there is no more told than what is.
pub async fn a_scope_is_guarded_as_a_whole(subject: Subject) {
    let kit = &subject.kit;
    let by_header = || kit.request_as("ann").by_header();
    for method in [Method::GET, Method::POST, Method::HEAD] {
        let to = |request: request::Builder| request.method(method.clone()).uri("/scope/in");
        let answer = subject.send(to(by_header().complete().await)).await;
        is(&answer, 200, "complete");
        if method != Method::HEAD {
            assert_eq!(answer.text(), "in", "{answer}");
        }
        let answer = subject
            .send(to(kit.request_as("bob").by_header().half().await))
            .await;
        is(&answer, 403, "half");
        let answer = subject.send(to(Request::builder())).await;
        is(&answer, 401, "nobody");
        assert_ne!(answer.text(), "in");
    }
    let half = kit.request_as("bob").half().await;
    let refused = subject.send(get(half, "/scope/in")).await;
    assert_eq!(refused.json()["message"], "invalid claim", "{refused}");
    // Other spellings are other paths, and get in nowhere.
    for path in [
        "/scope/%69n",
        "/scope//in",
        "//scope/in",
        "/scope/in/",
        "/scope/./in",
        "/x/../scope/in",
        "/SCOPE/in",
    ] {
        let answer = subject.send(get(Request::builder(), path)).await;
        assert!((400..500).contains(&answer.status), "{path}\n{answer}");
        assert_ne!(answer.text(), "in", "{path}");
    }
    // A body that is refused is not read: it may not even come.
    let mut announced = post_to(Request::builder(), "/scope/in");
    put(&mut announced, "expect", "100-continue");
    is_refused(&subject.send(announced).await, 401, "a body that waits");
}

/// An application's own requirement that panics is a fault, and a fault denies.
pub async fn a_requirement_that_breaks_admits_nobody(subject: Subject) {
    let kit = &subject.kit;
    let answer = subject
        .send(get(kit.request_as("ann").complete().await, "/panics"))
        .await;
    assert_eq!(answer.status, 500, "{answer}");
    assert_ne!(answer.text(), "in");
    let answer = subject.send(get(Request::builder(), "/panics")).await;
    is(&answer, 200, "nobody is asked");
}

/// A log-in of the application's own: tokens go out in the way that the client asks for, and open what a first factor does.
pub async fn a_sign_in_of_the_applications_own_opens_a_session(subject: Subject) {
    for mode in ["cookie", "header"] {
        let to = || post_to(Request::builder(), "/login").header("st-auth-mode", mode);
        let answer = subject.post(to(), Some(&login("ext-ann", Login::RIGHT))).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "welcome"),
            "{answer}"
        );
        assert!(
            answer
                .header("front-token")
                .is_some_and(|front| front != "remove"),
            "{answer}"
        );
        let request = match mode {
            "cookie" => {
                let cookie = cookie_of(&answer, "sAccessToken");
                assert!(answer.header("st-access-token").is_none(), "{answer}");
                Request::builder().header("cookie", format!("sAccessToken={cookie}"))
            }
            _ => {
                let token = answer.header("st-access-token").unwrap();
                assert!(answer.header("set-cookie").is_none(), "{answer}");
                Request::builder().header("authorization", format!("Bearer {token}"))
            }
        };
        let answer = subject.send(get(request, "/any")).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "ext-ann"),
            "{answer}"
        );
    }
}

/// Who guesses is slowed down, and told so by 429; the right password does not help then.
pub async fn a_sign_in_of_the_applications_own_is_throttled(subject: Subject) {
    let tried = async |password: &str| {
        let request = post_to(Request::builder(), "/login");
        subject.post(request, Some(&login("ext-bob", password))).await
    };
    let mut last = tried("a wrong one").await;
    is(&last, 401, "the first guess");
    assert!(last.header("front-token").is_none(), "{last}");
    for _ in 0..200 {
        if last.status == 429 {
            break;
        }
        last = tried("a wrong one").await;
    }
    is_refused(&last, 429, "many guesses");
    is_refused(&tried(Login::RIGHT).await, 429, "the right one among them");
}

/// A foreign page cannot sign a visitor in.
pub async fn a_sign_in_of_the_applications_own_is_not_for_foreign_pages(subject: Subject) {
    let request = post_to(Request::builder(), "/login").header(ORIGIN, "https://evil.test");
    let answer = subject.post(request, Some(&login("ext-cid", Login::RIGHT))).await;
    is_refused(&answer, 403, "a foreign page");
    assert!(answer.header("set-cookie").is_none() && answer.header("st-access-token").is_none());
}

/// What every guard answers without the layer.
pub(super) async fn nothing_is_admitted(subject: Subject) {
    let kit = &subject.kit;
    for path in ["/any", "/secret", "/optional", "/scope/in"] {
        for request in [Request::builder(), kit.request_as("ann").complete().await] {
            let answer = subject.send(get(request, path)).await;
            assert_eq!(answer.status, 500, "{path}\n{answer}");
            assert!(answer.json()["message"].is_string(), "{path}\n{answer}");
        }
    }
    let request = post_to(Request::builder(), "/login");
    let answer = subject.post(request, Some(&login("ext-ann", Login::RIGHT))).await;
    assert_eq!(answer.status, 500, "{answer}");
}

pub(super) fn get(request: request::Builder, path: &str) -> request::Builder {
    request.method(Method::GET).uri(path)
}

pub(super) fn post_to(request: request::Builder, path: &str) -> request::Builder {
    request.method(Method::POST).uri(path)
}

pub(super) fn put(request: &mut request::Builder, name: &'static str, value: &str) {
    let headers = request.headers_mut().unwrap();
    headers.insert(name, value.parse().unwrap());
}

#[track_caller]
pub(super) fn is(answer: &Answer, status: u16, what: &str) {
    assert_eq!(answer.status, status, "{what}\n{answer}");
}

/// A refusal: JSON with a message, whatever else.
#[track_caller]
pub(super) fn is_refused(answer: &Answer, status: u16, what: &str) {
    is(answer, status, what);
    assert!(answer.json()["message"].is_string(), "{what}\n{answer}");
    assert_eq!(
        answer.header("content-type"),
        Some("application/json"),
        "{what}\n{answer}"
    );
}

pub(super) fn cookie_of(answer: &Answer, name: &str) -> String {
    let mut cookies = answer
        .all("set-cookie")
        .filter_map(|line| line.split(';').next()?.split_once('='));
    let found = cookies.find(|(cookie, _)| *cookie == name);
    let (_, value) = found.unwrap_or_else(|| panic!("no cookie {name}\n{answer}"));
    value.to_owned()
}

/// The body of sign-up and sign-in.
pub(super) fn form(email: &str, password: &str) -> Value {
    json!({ "formFields": [{ "id": "email", "value": email }, { "id": "password", "value": password }] })
}
