//! A request at a framework that is no tower service: begun and ended by two calls.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod common;

use std::collections::BTreeSet;
use std::future::ready;
use std::path::Path;

use bytes::Bytes;
use common::{Client, Site};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::json;
use stepup_wire::body::BodyError;
use stepup_wire::core::require::{AnySession, Require2fa, rule_of};
use stepup_wire::{GUARD_HEADERS, Gate, OTHER_HEADERS, Peer, Visit, WRITTEN_HEADERS};

const PEER: Option<Peer> = Some(Peer(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST)));

fn begin(site: &Site, request: http::request::Builder) -> Visit {
    let (parts, ()) = request.body(()).unwrap().into_parts();
    Visit::begin(&Gate::from(&site.wire), parts, PEER).unwrap()
}

async fn answer(
    site: &Site,
    request: http::request::Builder,
    body: impl Future<Output = Result<Bytes, BodyError>>,
) -> Response<Bytes> {
    let headers = request.headers_ref().unwrap().clone();
    begin(site, request).answer(&site.wire, &headers, body).await
}

fn visit(site: &Site, client: &Client) -> Visit {
    begin(site, client.request(Method::GET, "/anywhere"))
}

fn ended(visit: &Visit) -> HeaderMap {
    let mut headers = HeaderMap::new();
    visit.finish(&mut headers);
    headers
}

#[tokio::test]
async fn a_preflight_is_answered_at_once() {
    let site = Site::new().await;
    let request = Request::builder()
        .method(Method::OPTIONS)
        .header("origin", "http://localhost:3000")
        .header("access-control-request-method", "POST");
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let answer = Visit::begin(&Gate::from(&site.wire), parts, PEER).unwrap_err();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn the_guards_of_one_request_verify_once() {
    let site = Site::new().await;
    let client = site.complete("cookie", "ann@acme.test").await;
    let (one, other) = (visit(&site, &client), visit(&site, &client));
    assert!(one.session::<AnySession>().await.is_ok());
    // Past the end of the token: whoever verifies now refuses.
    site.advance(24 * 3600);
    assert!(other.session::<AnySession>().await.is_err());
    assert!(one.session::<Require2fa>().await.is_ok());
    assert!(one.optional_session::<AnySession>().await.unwrap().is_some());
}

#[tokio::test]
async fn a_session_that_is_revoked_by_one_guard_is_refused_to_the_next() {
    let site = Site::new().await;
    let client = site.complete("header", "ann@acme.test").await;
    let visit = visit(&site, &client);
    visit
        .session::<AnySession>()
        .await
        .unwrap()
        .revoke()
        .await
        .unwrap();
    let refused = visit.session::<AnySession>().await.unwrap_err();
    assert_eq!(refused.into_response().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(ended(&visit)["front-token"], "remove");
    // Once: whoever ends it again owes nothing.
    assert!(!ended(&visit).contains_key("front-token"));
}

#[tokio::test]
async fn what_one_guard_is_refused_another_may_be_granted() {
    let site = Site::new().await;
    let half = site.signed_up("cookie", "ann@acme.test").await;
    let visit = visit(&site, &half);
    let refused = visit.session::<Require2fa>().await.unwrap_err();
    assert_eq!(refused.into_response().status(), StatusCode::FORBIDDEN);
    assert!(visit.meets(rule_of::<Require2fa>()).await.is_err());
    assert!(visit.meets(rule_of::<AnySession>()).await.is_ok());
    assert!(visit.session::<AnySession>().await.is_ok());
    assert_eq!(ended(&visit)["cache-control"], "no-store");
}

#[tokio::test]
async fn a_foreign_page_is_refused_by_every_guard() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    ann.origin = Some("https://evil.test".to_owned());
    let visit = begin(&site, ann.request(Method::POST, "/anywhere"));
    for _ in 0..2 {
        let refused = visit.session::<AnySession>().await.unwrap_err();
        assert_eq!(refused.into_response().status(), StatusCode::FORBIDDEN);
    }
    assert!(visit.sign_in(&HeaderMap::new()).await.is_err());
    assert!(!ended(&visit).contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn an_endpoint_answers_whatever_came_of_the_body() {
    let site = Site::new().await;
    let client = site.client("header");
    let status = async |body: Result<Bytes, BodyError>| {
        let request = client
            .request(Method::POST, "/auth/signin")
            .header("content-type", "application/json");
        answer(&site, request, ready(body)).await.status().as_u16()
    };
    assert_eq!(
        status(Ok(json!({ "formFields": 1 }).to_string().into())).await,
        400
    );
    assert_eq!(status(Err(BodyError::TooLarge)).await, 413);
    assert_eq!(status(Err(BodyError::Incomplete)).await, 400);
    assert_eq!(status(Err(BodyError::Late)).await, 408);
}

#[tokio::test]
async fn a_body_that_announces_too_much_is_not_read() {
    let site = Site::new().await;
    let client = site.client("header");
    for (lengths, status) in [
        (&["65537"][..], 413),
        (&["999999999999"], 413),
        (&["2", "999999999999"], 413),
    ] {
        let mut request = client
            .request(Method::POST, "/auth/signin")
            .header("content-type", "application/json");
        for length in lengths {
            request = request.header("content-length", *length);
        }
        let unread = async { panic!("it was read") };
        let response = answer(&site, request, unread).await;
        assert_eq!(response.status(), status);
    }
    let request = client
        .request(Method::POST, "/auth/signin")
        .header("content-length", "65536");
    let read = async { Err(BodyError::Late) };
    let response = answer(&site, request, read).await;
    assert_eq!(response.status(), 408);
}

/// Names that stand on our own answers alone, beside what [`Visit::finish`] writes.
const ANSWERED: [&str; 11] = [
    "ACCESS_CONTROL_ALLOW_HEADERS",
    "ACCESS_CONTROL_ALLOW_METHODS",
    "ACCESS_CONTROL_MAX_AGE",
    "ALLOW",
    "CONTENT_SECURITY_POLICY",
    "LOCATION",
    "REFERRER_POLICY",
    "RETRY_AFTER",
    "WWW_AUTHENTICATE",
    "X_CONTENT_TYPE_OPTIONS",
    "X_FRAME_OPTIONS",
];

#[test]
fn no_header_is_read_or_written_that_adapters_are_not_told_of() {
    let listed: BTreeSet<String> = GUARD_HEADERS
        .iter()
        .chain(&OTHER_HEADERS)
        .chain(&WRITTEN_HEADERS)
        .map(|name| name.as_str().to_owned())
        .chain(ANSWERED.map(|name| name.to_ascii_lowercase().replace('_', "-")))
        .collect();
    let mut named = BTreeSet::new();
    sources(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")), &mut named);
    let unlisted: Vec<&String> = named.difference(&listed).collect();
    assert!(unlisted.is_empty(), "in neither list: {unlisted:?}");
    assert!(named.len() > 20, "the reading of the sources broke: {named:?}");
}

/// The headers that the code names: those imported from `http`, and those made from a text.
fn sources(folder: &Path, named: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, named);
        } else if !path.ends_with("tests.rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for import in code.split("use http::header::").skip(1) {
                let import = import.split(';').next().unwrap();
                let words = import.split(|c: char| !c.is_ascii_uppercase() && c != '_');
                let names = words.filter(|word| word.len() > 2 && word.contains(char::is_uppercase));
                named.extend(names.map(|name| name.to_ascii_lowercase().replace('_', "-")));
            }
            for literal in code.split("HeaderName::from_static(\"").skip(1) {
                named.insert(literal.split('"').next().unwrap().to_owned());
            }
        }
    }
}
