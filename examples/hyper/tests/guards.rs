//! Over real sockets, by both versions of HTTP: what is admitted, what is refused, and what the answers carry.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod kit;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use hyper::{Method, Request, Response};
use kit::{BOTH, Site, Version, text};
use serde_json::{Value, json};

fn json_of(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_layer_admits_whoever_completed_both_factors_by_either_version() {
    let site = Site::start().await;
    for version in BOTH {
        let nobody = site.send(version, Request::get("/secret")).await;
        assert_eq!(nobody.status(), 401, "{version:?}");
        assert_eq!(json_of(&nobody), json!({ "message": "unauthorised" }));

        let half = site.kit.request_as("ann").half().await.uri("/secret");
        let half = site.send(version, half).await;
        assert_eq!(half.status(), 403, "{version:?}");
        let ids: Vec<Value> = json_of(&half)["claimValidationErrors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["id"].clone())
            .collect();
        assert_eq!(ids, ["st-mfa", "2fa-completed"], "{half:?}");

        let hello = format!("hello {}", site.kit.user_id("ann").await);
        let by_cookie = site.kit.request_as("ann").complete().await;
        let by_header = site.kit.request_as("ann").by_header().complete().await;
        for request in [by_cookie, by_header] {
            let full = site.send(version, request.uri("/secret")).await;
            assert_eq!((full.status().as_u16(), text(&full)), (200, hello.clone()));
            assert_eq!(full.headers()["cache-control"], "no-store");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_by_hand_asks_more_of_its_route() {
    let site = Site::start().await;
    for version in BOTH {
        let name = format!("{version:?}");
        let note = || async {
            let request = site.kit.request_as(&name).complete().await;
            let request = request.method(Method::POST).uri("/note");
            let body = Full::new(Bytes::from_static(b"hello"));
            site.send_body(version, request, body).await
        };
        let fresh = note().await;
        assert_eq!(fresh.status(), 200);
        assert_eq!(
            text(&fresh),
            format!("5 bytes of {}", site.kit.user_id(&name).await)
        );
        site.kit.advance(Duration::from_secs(301)).await;
        let stale = note().await;
        assert_eq!(stale.status(), 403);
        assert_eq!(json_of(&stale)["claimValidationErrors"][0]["id"], "st-mfa");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_endpoints_are_served_and_their_tokens_arrive() {
    let site = Site::start().await;
    for (n, version) in BOTH.into_iter().enumerate() {
        let keys = site.send(version, Request::get("/auth/jwt/jwks.json")).await;
        assert!(keys.status() == 200 && json_of(&keys)["keys"].is_array());
        let fields = json!({ "formFields": [
            { "id": "email", "value": format!("new{n}@example.com") },
            { "id": "password", "value": "correct horse battery staple" },
        ] });
        let sign_up = Request::post("/auth/signup")
            .header(CONTENT_TYPE, "application/json")
            .header("st-auth-mode", "cookie");
        let body = Full::new(Bytes::from(fields.to_string()));
        let answer = site.send_body(version, sign_up, body).await;
        assert_eq!(json_of(&answer)["status"], "OK", "{answer:?}");
        assert_eq!(answer.headers().get_all(SET_COOKIE).iter().count(), 2);
        let unknown = site.send(version, Request::get("/auth/nothing")).await;
        assert_eq!(unknown.status(), 404);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_is_answered_before_any_route() {
    let site = Site::start().await;
    for version in BOTH {
        let preflight = Request::options("/secret")
            .header(ORIGIN, "http://localhost:3000")
            .header("access-control-request-method", "GET");
        let answer = site.send(version, preflight).await;
        assert_eq!(answer.status(), 204);
        assert_eq!(
            answer.headers()["access-control-allow-origin"],
            "http://localhost:3000"
        );
    }
}

/// The access cookie of somebody who completed both factors.
async fn access(site: &Site, name: &str) -> String {
    let request = site.kit.request_as(name).complete().await.body(()).unwrap();
    request.headers()[COOKIE].to_str().unwrap().to_owned()
}

/// A request whose cookies come in a header field each, as HTTP/2 clients send them.
fn crumbs(method: Method, path: &str, crumbs: &[&str]) -> hyper::http::request::Builder {
    let request = Request::builder().method(method).uri(path);
    let request = request
        .header("rid", "anti-csrf")
        .header(ORIGIN, "http://localhost:3000");
    crumbs
        .iter()
        .fold(request, |request, crumb| request.header(COOKIE, *crumb))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_02_a_cookie_among_the_crumbs_of_http_2_is_found() {
    let site = Site::start().await;
    let ann = access(&site, "ann").await;
    for version in BOTH {
        for order in [
            ["a=b", &ann, "c=d"],
            [&ann, "a=b", "c=d"],
            ["a=b; e=f", "c=d", &ann],
        ] {
            let answer = site.send(version, crumbs(Method::GET, "/secret", &order)).await;
            assert_eq!(answer.status(), 200, "{order:?}");
        }
        // What is split within a cookie is none: crumbs are joined by `; `, RFC 9113 §8.2.3.
        let (name, value) = ann.split_once('=').unwrap();
        let with_equals = format!("={value}");
        for split in [[name, value], [name, with_equals.as_str()]] {
            let answer = site.send(version, crumbs(Method::GET, "/secret", &split)).await;
            assert_eq!(answer.status(), 401, "{split:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_02_a_planted_access_cookie_among_the_crumbs_of_http_2_decides_nothing() {
    let site = Site::start().await;
    let ann = access(&site, "ann").await;
    let mallory = access(&site, "mallory").await;
    for planted in [mallory.as_str(), "sAccessToken=x"] {
        for order in [
            vec![ann.as_str(), planted],
            vec![planted, ann.as_str()],
            vec!["a=b", planted, "c=d", ann.as_str()],
        ] {
            for (method, path) in [
                (Method::GET, "/secret"),
                (Method::POST, "/note"),
                (Method::GET, "/auth/session/list"),
                (Method::POST, "/auth/signout"),
            ] {
                let answer = site.send(Version::Two, crumbs(method, path, &order)).await;
                assert_eq!(answer.status(), 401, "{path} {order:?}");
                assert_eq!(json_of(&answer), json!({ "message": "try refresh token" }));
                assert!(!answer.headers().contains_key(SET_COOKIE), "{path} {order:?}");
            }
        }
    }
    for living in [&ann, &mallory] {
        let answer = site
            .send(Version::Two, crumbs(Method::GET, "/secret", &[living]))
            .await;
        assert_eq!(answer.status(), 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_02_refresh_cookies_among_the_crumbs_of_http_2_are_told_apart() {
    let site = Site::start().await;
    let refresh = |answer: &Response<Bytes>| {
        let cookies = answer.headers().get_all(SET_COOKIE).iter();
        let found = cookies
            .filter_map(|line| line.to_str().unwrap().split(';').next())
            .find(|pair| pair.starts_with("sRefreshToken=") && pair.len() > 20);
        found.map(str::to_owned)
    };
    let sign_up = async |email: &str| {
        let fields = json!({ "formFields": [
            { "id": "email", "value": email },
            { "id": "password", "value": "correct horse battery staple" },
        ] });
        let request = Request::post("/auth/signup")
            .header(CONTENT_TYPE, "application/json")
            .header("st-auth-mode", "cookie");
        let body = Full::new(Bytes::from(fields.to_string()));
        let answer = site.send_body(Version::Two, request, body).await;
        refresh(&answer).unwrap()
    };
    let (mut ann, bob) = (sign_up("ann@a.test").await, sign_up("bob@a.test").await);
    let call = async |crumbs_of: &[&str]| {
        let request = crumbs(Method::POST, "/auth/session/refresh", crumbs_of);
        site.send(Version::Two, request.header("st-auth-mode", "cookie"))
            .await
    };
    // Two that live: none is used, and none is ended.
    assert_eq!(call(&[&ann, &bob]).await.status(), 401);
    assert_eq!(call(&[&bob, &ann]).await.status(), 401);
    // One that lives, among garbage: it is used, and what was found beside it is expired.
    for order in [true, false] {
        let crumbs = if order {
            [ann.as_str(), "sRefreshToken=garbage"]
        } else {
            ["sRefreshToken=garbage", ann.as_str()]
        };
        let answer = call(&crumbs).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        let lines = answer.headers().get_all(SET_COOKIE).iter();
        let expired = lines.filter(|line| line.as_bytes().starts_with(b"sRefreshToken=;"));
        assert_eq!(expired.count(), 1);
        ann = refresh(&answer).unwrap();
    }
    assert_eq!(call(&[&bob]).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_http_1_within_http_2_gets_nothing_more() {
    let site = Site::start().await;
    // Another authority, and a `Host` that contradicts it: neither is what a request is judged by.
    let ann = site.kit.request_as("ann").complete().await;
    let request = ann
        .method(Method::POST)
        .uri("http://evil.test/note")
        .header("host", "localhost");
    let mut request = request;
    request
        .headers_mut()
        .unwrap()
        .insert(ORIGIN, "http://evil.test".parse().unwrap());
    assert_eq!(site.send(Version::Two, request).await.status(), 403);
    let token = site.kit.request_as("ann").by_header().complete().await;
    let token = token.body(()).unwrap().headers()[AUTHORIZATION].clone();
    let request = Request::get("http://evil.test/secret").header(AUTHORIZATION, token);
    assert_eq!(site.send(Version::Two, request).await.status(), 200);
}
