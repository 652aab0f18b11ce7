//! The protocol itself, through the adapter: every endpoint, a list of transcripts, and a session from its first request to
//! its last.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, ORIGIN};
use http::{HeaderMap, Method, Request, request};
use serde_json::{Value, json};
use stepup_core::id::TenantId;
use stepup_wire::route::ROUTES;
use stepup_wire::table::Row;

use super::guards::{form, get, is, is_refused, post_to};
use super::subject::Subject;
use crate::app::{ORIGIN_OF_ALL, TestApp};
use crate::transcript::{Answer, Transcript};

/// Requests that every adapter answers alike, as [`Transcript::list`] reads them. `{secret}`, `{scope}` and `{optional}`
/// are routes of the application; `{access}` and `{half}` are access tokens with both factors and with the first one,
/// `{refresh}` is a refresh token that was never used; `{ours}` is the origin of the site's pages. Ann, who signs in with
/// `{password}`, has both factors.
pub const TRANSCRIPTS: &str = include_str!("transcripts.txt");

/// Every endpoint there is, by whoever may knock, in every shape: the server says what the protocol says without a server,
/// in status, body, and every header that matters.
pub async fn every_endpoint_answers_as_the_protocol_says(subject: Subject) {
    let (kit, twin) = (&subject.kit, &subject.twin);
    for row in ROUTES {
        let mut ended = None;
        for (shape, request) in shapes(row) {
            // A new day has new throttles: who was signed out signs in again.
            if ended.is_none() || row.path == "/signout" {
                for kit in [kit, twin] {
                    kit.advance(DAY).await;
                }
                ended = Some((ended_session(kit).await, ended_session(twin).await));
            }
            for who in WHO {
                let (real, other) = match (who, &ended) {
                    (Who::Ended, Some((real, other))) => (real.clone(), other.clone()),
                    _ => (signed(kit, who).await, signed(twin, who).await),
                };
                let came = subject.ask(&with_headers(&request, &real)).await.lines();
                let says = subject.says(with_headers(&request, &other)).await.lines();
                let (method, path) = (request.method(), request.uri());
                assert_eq!(came, says, "{method} {path}, {shape}, by {who:?}");
            }
        }
    }
}

/// Who knocks.
#[derive(Clone, Copy, Debug)]
enum Who {
    Nobody,
    Forger,
    Half {
        by_header: bool,
    },
    Complete {
        by_header: bool,
    },
    /// Whose session was ended on the server a moment ago.
    Ended,
}

const WHO: [Who; 7] = [
    Who::Nobody,
    Who::Forger,
    Who::Half { by_header: false },
    Who::Half { by_header: true },
    Who::Complete { by_header: false },
    Who::Complete { by_header: true },
    Who::Ended,
];

/// What a request of somebody carries.
async fn signed(kit: &TestApp, who: Who) -> HeaderMap {
    // One session each: of two that began at once, nobody knows which is listed first.
    let by = |name: &str, by_header| match by_header {
        true => kit.request_as(&format!("{name}-app")).by_header(),
        false => kit.request_as(name),
    };
    let request = match who {
        Who::Half { by_header } => by("half", by_header).half().await,
        Who::Complete { by_header } => by("complete", by_header).complete().await,
        Who::Forger => {
            Request::builder().header(COOKIE, "sAccessToken=eyJhbGciOiJub25lIn0.e30.; sRefreshToken=x")
        }
        Who::Nobody | Who::Ended => Request::builder(),
    };
    request.headers_ref().unwrap().clone()
}

/// What a request carries of a session that was ended a moment ago.
async fn ended_session(kit: &TestApp) -> HeaderMap {
    let request = kit.request_as("ended").half().await;
    let user = kit.user_id("ended").await;
    kit.stepup.revoke_all(&TenantId::public(), &user).await.unwrap();
    request.headers_ref().unwrap().clone()
}

/// The request with these headers; what it has by itself stays.
fn with_headers(request: &Request<Bytes>, headers: &HeaderMap) -> Request<Bytes> {
    let mut signed = request.clone();
    for (name, value) in headers {
        if !request.headers().contains_key(name) {
            signed.headers_mut().append(name, value.clone());
        }
    }
    signed
}

/// An endpoint's requests, by what is odd about them.
fn shapes<E>(row: &Row<E>) -> Vec<(&'static str, Request<Bytes>)> {
    let path = format!("/auth{}", row.path);
    let base = |method: &Method, path: &str| Request::builder().method(method).uri(path);
    let sends_body = row.method != Method::GET;
    let plain = |path: &str| match sends_body {
        true => with_body(base(&row.method, path), "application/json", "{}"),
        false => with_body(base(&row.method, path), "", ""),
    };
    let other = match row.method {
        Method::GET => Method::POST,
        _ => Method::GET,
    };
    let asks = base(&Method::OPTIONS, &path)
        .header(ORIGIN, ORIGIN_OF_ALL)
        .header("access-control-request-method", row.method.as_str());
    let foreign = base(&row.method, &path).header(ORIGIN, "https://evil.test");
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(17 * 1024));
    let mut shapes = vec![
        ("as it is", plain(&path)),
        ("with a slash", plain(&format!("{path}/"))),
        (
            "with a query",
            plain(&format!(
                "{path}?email=ann%40example.com&phoneNumber=%2B41791234567"
            )),
        ),
        (
            "of the public tenant",
            plain(&format!("/auth/public{}", row.path)),
        ),
        (
            "of a tenant that is not there",
            plain(&format!("/auth/nobody{}", row.path)),
        ),
        ("by another method", with_body(base(&other, &path), "", "")),
        ("by HEAD", with_body(base(&Method::HEAD, &path), "", "")),
        ("by OPTIONS", with_body(base(&Method::OPTIONS, &path), "", "")),
        ("a preflight", with_body(asks, "", "")),
        ("of a foreign page", with_body(foreign, "", "")),
    ];
    if sends_body {
        let post = || base(&row.method, &path);
        shapes.extend([
            ("without a body", with_body(post(), "", "")),
            (
                "with a form",
                with_body(post(), "application/x-www-form-urlencoded", "a=b"),
            ),
            (
                "with an empty form",
                with_body(post(), "application/x-www-form-urlencoded", ""),
            ),
            ("with half an object", with_body(post(), "application/json", "{")),
            ("with a long body", with_body(post(), "application/json", &long)),
        ]);
    }
    shapes
}

fn with_body(builder: request::Builder, kind: &str, body: &str) -> Request<Bytes> {
    let builder = match kind {
        "" => builder,
        kind => builder.header(CONTENT_TYPE, kind),
    };
    builder.body(Bytes::copy_from_slice(body.as_bytes())).unwrap()
}

/// The list of [`TRANSCRIPTS`].
pub async fn every_transcript_holds(subject: Subject) {
    let kit = &subject.kit;
    let mut differences = Vec::new();
    for transcript in Transcript::list(TRANSCRIPTS) {
        // Time for another sign-in.
        kit.advance(Duration::from_secs(1800)).await;
        let access = bearer(kit.request_as("ann").by_header().complete().await);
        let half = bearer(kit.request_as("bob").by_header().half().await);
        let refresh = match transcript.asks_for("refresh") {
            true => signed_in(&subject, "ann").await,
            false => String::new(),
        };
        let fill = |name: &str| {
            let value = match name {
                "access" => &access,
                "half" => &half,
                "refresh" => &refresh,
                "secret" => "/secret",
                "scope" => "/scope/in",
                "optional" => "/optional",
                "ours" => ORIGIN_OF_ALL,
                "password" => crate::app::PASSWORD,
                _ => return None,
            };
            Some(value.to_owned())
        };
        if let Err(difference) = transcript.play(subject.address(), fill).await {
            differences.push(difference.to_string());
        }
        // Whatever it was, the process lives.
        let answer = subject.send(get(Request::builder(), "/optional")).await;
        is(&answer, 200, &transcript.name);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

fn bearer(request: request::Builder) -> String {
    let line = request.headers_ref().unwrap()["authorization"].to_str().unwrap();
    line.trim_start_matches("Bearer ").to_owned()
}

/// A refresh token of somebody who signed in.
async fn signed_in(subject: &Subject, name: &str) -> String {
    let request = post_to(Request::builder(), "/auth/signin").header("st-auth-mode", "header");
    let typed = form(&format!("{name}@example.com"), crate::app::PASSWORD);
    let answer = subject.post(request, Some(&typed)).await;
    let token = answer.header("st-refresh-token");
    token
        .unwrap_or_else(|| panic!("no refresh token\n{answer}"))
        .to_owned()
}

/// A session from its first request to its last, carried by cookies.
pub async fn a_session_lives_from_sign_up_to_sign_out_by_cookie(subject: Subject) {
    a_session_lives(&subject, &mut Browser::new(false)).await;
}

/// The same, carried by headers.
pub async fn a_session_lives_from_sign_up_to_sign_out_by_header(subject: Subject) {
    a_session_lives(&subject, &mut Browser::new(true)).await;
}

async fn a_session_lives(subject: &Subject, client: &mut Browser) {
    let typed = form("dan@example.com", crate::app::PASSWORD);
    client.ok(subject, "/auth/signup", &typed).await;
    is(&client.get(subject, "/any").await, 200, "the first factor");
    is_refused(
        &client.get(subject, "/secret").await,
        403,
        "the first factor alone",
    );

    let phone = "+41791234567";
    let created = client
        .ok(subject, "/auth/signinup/code", &json!({ "phoneNumber": phone }))
        .await;
    let code = subject.kit.outbox.code_to(phone).await.expect("a code was sent");
    let half = client.clone();
    let answer = json!({
        "deviceId": created["deviceId"],
        "preAuthSessionId": created["preAuthSessionId"],
        "userInputCode": code,
    });
    client.ok(subject, "/auth/signinup/code/consume", &answer).await;
    assert_ne!(client.access, half.access, "new tokens with the second factor");
    assert_ne!(client.refresh, half.refresh, "new tokens with the second factor");
    is(&client.get(subject, "/secret").await, 200, "both factors");

    let old = client.clone();
    client.ok(subject, "/auth/session/refresh", &json!({})).await;
    assert_ne!(client.access, old.access, "a refresh");
    assert_ne!(client.refresh, old.refresh, "a refresh");
    is(&client.get(subject, "/secret").await, 200, "after a refresh");

    // The adapter tells where the caller is, or throttles could not tell networks apart.
    let list = client.get(subject, "/auth/session/list").await;
    assert_eq!(list.json()["sessions"][0]["network"], "127.0.0.0/24", "{list}");

    let out = client.post(subject, "/auth/signout", &json!({})).await;
    assert_eq!(out.json()["status"], "OK", "{out}");
    assert_eq!(out.header("front-token"), Some("remove"), "{out}");
    let again = old.clone().get(subject, "/any").await;
    is_refused(&again, 401, "a token of a session that was left");
    let mut again = old.clone();
    let refused = again.post(subject, "/auth/session/refresh", &json!({})).await;
    is_refused(&refused, 401, "its refresh token");
}

/// Keeps what the server hands out, and sends it back.
#[derive(Clone, Debug)]
struct Browser {
    by_header: bool,
    access: String,
    refresh: String,
}

impl Browser {
    fn new(by_header: bool) -> Self {
        Self {
            by_header,
            access: String::new(),
            refresh: String::new(),
        }
    }

    async fn ok(&mut self, subject: &Subject, path: &str, body: &Value) -> Value {
        let answer = self.post(subject, path, body).await;
        is(&answer, 200, path);
        let json = answer.json();
        // A refresh answers an empty object.
        assert!(
            matches!(json["status"].as_str(), Some("OK") | None),
            "{path}\n{answer}"
        );
        json
    }

    async fn post(&mut self, subject: &Subject, path: &str, body: &Value) -> Answer {
        let request = self.signed(post_to(Request::builder(), path), path);
        let answer = subject.post(request, Some(body)).await;
        self.keep(&answer);
        answer
    }

    async fn get(&mut self, subject: &Subject, path: &str) -> Answer {
        let answer = subject
            .send(self.signed(get(Request::builder(), path), path))
            .await;
        self.keep(&answer);
        answer
    }

    fn signed(&self, request: request::Builder, path: &str) -> request::Builder {
        let (name, token) = match path.ends_with("/refresh") {
            true => ("sRefreshToken", &self.refresh),
            false => ("sAccessToken", &self.access),
        };
        let mode = if self.by_header { "header" } else { "cookie" };
        let request = request.header("st-auth-mode", mode);
        match (token.is_empty(), self.by_header) {
            (true, _) => request,
            (false, true) => request.header("authorization", format!("Bearer {token}")),
            (false, false) => request
                .header(COOKIE, format!("{name}={token}"))
                .header(ORIGIN, ORIGIN_OF_ALL),
        }
    }

    fn keep(&mut self, answer: &Answer) {
        for line in answer.all("set-cookie") {
            match line.split(';').next().and_then(|pair| pair.split_once('=')) {
                Some(("sAccessToken", token)) => token.clone_into(&mut self.access),
                Some(("sRefreshToken", token)) => token.clone_into(&mut self.refresh),
                _ => {}
            }
        }
        for (name, slot) in [
            ("st-access-token", &mut self.access),
            ("st-refresh-token", &mut self.refresh),
        ] {
            if let Some(token) = answer.header(name).filter(|_| self.by_header) {
                token.clone_into(slot);
            }
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 3600);
