//! Attacks over the wire, by their names in the threat model.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod common;

use common::{Answer, Client, PASSWORD, PHONE, Site, consume, form};
use http::{Method, Request};
use proptest::prelude::*;
use serde_json::json;
use stepup_wire::route::ROUTES;
use stepup_wire::table::{Access, Body};
use stepup_wire::{Peer, Transport};

const EVIL: &str = "https://evil.test";

/// All endpoints that may change something, with their paths. What a page of another site posts changes nothing: attack
/// A-OAU-14 is tried on it.
fn unsafe_routes() -> impl Iterator<Item = (Method, String)> {
    ROUTES
        .iter()
        .filter(|row| row.method != Method::GET && row.body != Body::ForeignForm)
        .map(|row| (row.method.clone(), format!("/auth{}", row.path)))
}

/// Whether a path takes forms.
fn takes_forms(path: &str) -> bool {
    ROUTES
        .iter()
        .any(|row| format!("/auth{}", row.path) == path && row.body == Body::Form)
}

/// Whether a path has an endpoint that is read, beside one that may change something.
fn is_read_too(path: &str) -> bool {
    ROUTES
        .iter()
        .any(|row| format!("/auth{}", row.path) == path && row.method == Method::GET)
}

/// A site whose cookies travel across sites.
async fn cross_site() -> Site {
    Site::at("https://api.acme.test", "http://localhost:3000", Transport::new()).await
}

/// Whether the session of `client` still works, and its refresh token too.
async fn lives(client: &Client) -> bool {
    let mut copy = client.clone();
    copy.origin = Some("http://localhost:3000".to_owned());
    copy.put("/auth/mfa/info").await.status == 200 && copy.refresh().await.status == 200
}

#[tokio::test]
async fn csr_01_a_form_of_another_site_reaches_no_endpoint() {
    for site in [Site::new().await, cross_site().await] {
        let mut ann = site.complete("cookie", "ann@acme.test").await;
        let sent = site.codes().await.len();
        for (method, path) in unsafe_routes() {
            for kind in [
                "text/plain",
                "application/x-www-form-urlencoded",
                "multipart/form-data; boundary=x",
            ] {
                for origin in [Some(EVIL), None] {
                    ann.origin = origin.map(str::to_owned);
                    let mut request = ann.request(method.clone(), &path).header("content-type", kind);
                    request.headers_mut().unwrap().remove("rid");
                    let answer = ann
                        .send(request, form("ann@acme.test", PASSWORD).to_string())
                        .await;
                    // Where forms are taken, this one is none: its only authority would be a token in it.
                    let is_form = kind == "application/x-www-form-urlencoded" && origin.is_none();
                    let read = is_form && takes_forms(&path) && answer.status == 400;
                    assert!(
                        read || [401, 403, 415].contains(&answer.status.as_u16()),
                        "{path} {kind} {}",
                        answer.status
                    );
                    assert!(answer.is_silent(), "{path} {kind}");
                }
            }
        }
        assert_eq!(site.codes().await.len(), sent);
        assert!(lives(&ann).await);
    }
}

#[tokio::test]
async fn csr_02_a_foreign_origin_is_refused_with_rid_too() {
    for site in [Site::new().await, cross_site().await] {
        let mut ann = site.complete("cookie", "ann@acme.test").await;
        for origin in [
            EVIL,
            "null",
            "http://localhost:3000.evil.test",
            "http://LOCALHOST:3000",
            "http://localhost",
        ] {
            for (method, path) in unsafe_routes() {
                ann.origin = Some(origin.to_owned());
                let request = ann
                    .request(method, &path)
                    .header("content-type", "application/json");
                let answer = ann
                    .send(request, form("bob@acme.test", PASSWORD).to_string())
                    .await;
                assert_eq!(answer.status, 403, "{path} {origin}");
                assert!(!answer.message().is_empty() && answer.is_silent());
                assert_eq!(answer.header("access-control-allow-origin"), None);
            }
        }
        assert!(lives(&ann).await);
        assert!(site.events.count("origin.refused") > 0);
    }
}

#[tokio::test]
async fn csr_03_reading_changes_nothing() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    for (_, path) in unsafe_routes() {
        for method in [Method::GET, Method::HEAD, Method::OPTIONS, Method::TRACE] {
            if [Method::GET, Method::HEAD].contains(&method) && is_read_too(&path) {
                continue;
            }
            let request = ann
                .request(method.clone(), &path)
                .header("x-http-method-override", "POST");
            let answer = ann.send(request, "").await;
            let status = answer.status.as_u16();
            assert!(
                status == 405 || (status == 204 && method == Method::OPTIONS),
                "{method} {path} {status}"
            );
            assert!(answer.header("allow").is_some() && answer.is_silent());
        }
    }
    assert!(lives(&ann).await);
}

#[tokio::test]
async fn csr_05_a_sign_in_replaces_the_session_as_a_whole() {
    let site = Site::new().await;
    let ann = site.complete("cookie", "ann@acme.test").await;
    let mut browser = ann.clone();
    site.signed_up("cookie", "mallory@acme.test").await;
    browser
        .post("/auth/signin", form("mallory@acme.test", PASSWORD))
        .await;
    assert_ne!(browser.payload()["sub"], ann.payload()["sub"]);
    assert_ne!(browser.payload()["sessionHandle"], ann.payload()["sessionHandle"]);
    assert_eq!(browser.payload()["2fa-completed"]["v"], false);
    assert!(lives(&ann).await);
}

#[tokio::test]
async fn csr_09_nobody_is_signed_out_by_another_site() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    for path in ["/auth/signout", "/auth/session/refresh"] {
        for bearer in [
            None,
            Some("Bearer ey.foreign.token"),
            Some("Bearer"),
            Some("Basic x"),
            Some("Bearer a b"),
        ] {
            for (origin, metadata) in [
                (Some(EVIL), None),
                (None, Some("cross-site")),
                (None, Some("same-site")),
            ] {
                ann.origin = origin.map(str::to_owned);
                let mut request = ann.request(Method::POST, path);
                if let Some(bearer) = bearer {
                    request = request.header("authorization", bearer);
                }
                if let Some(metadata) = metadata {
                    request = request.header("sec-fetch-site", metadata);
                }
                let answer = ann.send(request, "").await;
                assert_eq!(answer.status, 403, "{path} {bearer:?} {origin:?} {metadata:?}");
                assert!(answer.is_silent());
            }
        }
    }
    assert!(lives(&ann).await);
    assert_eq!(site.events.count("session.theft"), 0);
}

#[tokio::test]
async fn a_post_that_carries_no_cookie_cannot_clear_the_browsers() {
    // A form of another site is sent without Lax cookies, but the browser would take `Set-Cookie` from its answer.
    let site = Site::new().await;
    let mut evil = site.client("cookie");
    evil.origin = Some(EVIL.to_owned());
    for path in ["/auth/session/refresh", "/auth/signout"] {
        let request = evil.request(Method::POST, path);
        let answer = evil.send(request, "").await;
        assert_eq!(answer.status, 403);
        assert!(answer.is_silent());
    }
}

#[tokio::test]
async fn cookies_across_sites_need_rid() {
    let site = cross_site().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    let line = ann.refresh().await;
    assert!(
        line.cookies()
            .iter()
            .all(|line| line.ends_with("; HttpOnly; Secure; SameSite=None")),
        "{:?}",
        line.cookies()
    );
    for (path, message) in [
        ("/auth/signout", "try refresh token"),
        ("/auth/signinup/code", "try refresh token"),
        ("/auth/session/refresh", "unauthorised"),
    ] {
        let mut request = ann
            .request(Method::POST, path)
            .header("content-type", "application/json");
        request.headers_mut().unwrap().remove("rid");
        let answer = ann.send(request, "{}").await;
        assert_eq!(
            (answer.status.as_u16(), answer.message()),
            (401, message),
            "{path}"
        );
        assert!(answer.is_silent());
    }
    assert!(lives(&ann).await);
}

#[tokio::test]
async fn csr_06_cors_names_our_origins_only_on_every_status() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    let mut statuses = Vec::new();
    for origin in ["http://localhost:3000", EVIL, "null"] {
        ann.origin = Some(origin.to_owned());
        let requests = [
            (Method::PUT, "/auth/mfa/info", "application/json", "{}".to_owned()),
            (Method::GET, "/auth/nothing", "application/json", String::new()),
            (Method::GET, "/auth/signin", "application/json", String::new()),
            (Method::POST, "/auth/signin", "application/json", "x".to_owned()),
            (Method::POST, "/auth/signin", "text/plain", "x".to_owned()),
            (
                Method::POST,
                "/auth/signin",
                "application/json",
                "x".repeat(16 * 1024 + 1),
            ),
        ];
        for (method, path, kind, body) in requests {
            let request = ann.request(method, path).header("content-type", kind);
            let answer = ann.send(request, body).await;
            let named = (origin == "http://localhost:3000").then_some(origin);
            assert_eq!(answer.header("access-control-allow-origin"), named, "{path}");
            let vary: Vec<_> = answer
                .headers
                .get_all("vary")
                .iter()
                .map(|line| line.to_str().unwrap())
                .collect();
            assert!(vary.join(", ").contains("Origin"), "{vary:?}");
            statuses.push(answer.status.as_u16());
        }
    }
    for status in [200, 400, 403, 404, 405, 413, 415] {
        assert!(statuses.contains(&status), "{status} {statuses:?}");
    }
}

#[tokio::test]
async fn a_preflight_is_answered_below_the_base_path() {
    let site = Site::new().await;
    let mut ann = site.client("cookie");
    let ask = |client: &Client| {
        client
            .request(Method::OPTIONS, "/auth/mfa/info")
            .header("access-control-request-method", "PUT")
    };
    let request = ask(&ann);
    let answer = ann.send(request, "").await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    assert_eq!(answer.header("access-control-allow-credentials"), Some("true"));
    ann.origin = Some(EVIL.to_owned());
    let request = ask(&ann);
    let answer = ann.send(request, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), None);
}

/// The cookies of `client`, written out, with more in front and behind.
fn tossed(client: &Client, path: &str, front: &str, behind: &str) -> http::request::Builder {
    let mut request = client.request(Method::POST, path);
    let headers = request.headers_mut().unwrap();
    let own = headers
        .remove("cookie")
        .map(|own| own.to_str().unwrap().to_owned())
        .unwrap_or_default();
    let parts: Vec<&str> = [front, &own, behind]
        .into_iter()
        .filter(|part| !part.is_empty())
        .collect();
    request.header("cookie", parts.join("; "))
}

#[tokio::test]
async fn coo_01_a_planted_access_cookie_asks_for_a_refresh() {
    let site = Site::new().await;
    let ann = site.complete("cookie", "ann@acme.test").await;
    let mallory = site.complete("cookie", "mallory@acme.test").await;
    for planted in [
        format!("sAccessToken={}", mallory.access_token()),
        "sAccessToken=x".to_owned(),
    ] {
        for (front, behind) in [(planted.as_str(), ""), ("", planted.as_str())] {
            let mut ann = ann.clone();
            let request = tossed(&ann, "/auth/signout", front, behind);
            let answer = ann.send(request, "").await;
            assert_eq!(
                (answer.status.as_u16(), answer.message()),
                (401, "try refresh token")
            );
            assert!(answer.is_silent());
        }
    }
    assert!(site.events.count("cookie.duplicate access") >= 4);
}

#[tokio::test]
async fn coo_01_the_one_living_refresh_cookie_is_refreshed_and_the_leftovers_go() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    let retired = ann.refresh_token();
    ann.refresh().await;
    ann.refresh().await;
    site.advance(31);
    let mut ended = site.complete("cookie", "mallory@acme.test").await;
    let dead = ended.refresh_token();
    ended.post("/auth/signout", json!({})).await;
    for leftover in [retired, dead, "garbage".to_owned()] {
        let leftover = format!("sRefreshToken={leftover}");
        for (front, behind) in [(leftover.as_str(), ""), ("", leftover.as_str())] {
            let request = tossed(&ann, "/auth/session/refresh", front, behind);
            let answer = ann.send(request, "").await;
            assert_eq!((answer.status.as_u16(), &answer.json), (200, &json!({})));
            assert_ne!(answer.header("front-token"), Some("remove"));
            let removed = |line: &&&str| line.starts_with("sRefreshToken=; Path=/;");
            assert_eq!(
                answer.cookies().iter().filter(removed).count(),
                1,
                "{:?}",
                answer.cookies()
            );
        }
    }
    assert_eq!(site.events.count("session.theft"), 0);
    assert!(site.events.count("cookie.duplicate refresh") >= 6);
    assert!(lives(&ann).await);
}

#[tokio::test]
async fn coo_01_two_living_sessions_are_one_too_many() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    let mallory = site.complete("cookie", "mallory@acme.test").await;
    let copy = ann.clone();
    let planted = format!("sRefreshToken={}", mallory.refresh_token());
    let request = tossed(&ann, "/auth/session/refresh", &planted, "");
    let answer = ann.send(request, "").await;
    assert_eq!((answer.status.as_u16(), answer.message()), (401, "unauthorised"));
    assert_eq!(answer.header("front-token"), Some("remove"));
    assert!(lives(&copy).await && lives(&mallory).await);
}

#[tokio::test]
async fn coo_02_duplicates_are_seen_over_several_header_lines() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    let token = ann.access_token();
    let request = ann
        .request(Method::POST, "/auth/signout")
        .header("cookie", format!("sAccessToken={token}"));
    let answer = ann.send(request, "").await;
    assert_eq!(
        (answer.status.as_u16(), answer.message()),
        (401, "try refresh token")
    );
}

#[tokio::test]
async fn coo_03_no_cookie_is_set_with_other_attributes() {
    for (api, secure, same_site) in [
        ("http://localhost:3000", "", "Lax"),
        ("https://api.acme.test", "; Secure", "None"),
    ] {
        let site = Site::at(api, "http://localhost:3000", Transport::new()).await;
        let mut ann = site.client("cookie");
        let answer = ann.post("/auth/signup", form("ann@acme.test", PASSWORD)).await;
        let end = format!("; HttpOnly{secure}; SameSite={same_site}");
        let lines = answer.cookies();
        assert!(
            lines[0].starts_with("sAccessToken=") && lines[0].contains("; Path=/; Expires="),
            "{lines:?}"
        );
        assert!(
            lines[1].starts_with("sRefreshToken=")
                && lines[1].contains("; Path=/auth/session/refresh; Expires=")
        );
        for line in lines {
            assert!(
                line.ends_with(&end) && !line.contains("Domain") && line.len() < 4096,
                "{line}"
            );
        }
        let answer = ann.post("/auth/signout", json!({})).await;
        assert_eq!(answer.cookies().len(), 2);
        assert!(answer.cookies().iter().all(|line| line.ends_with(&end)));
    }
}

#[tokio::test]
async fn coo_05_a_token_in_the_url_or_the_body_is_none() {
    let site = Site::new().await;
    let ann = site.complete("header", "ann@acme.test").await;
    let mut thief = site.client("header");
    let token = ann.access_token();
    for name in ["access_token", "st-access-token", "sAccessToken", "token"] {
        let path = format!("/auth/signout?{name}={token}");
        let answer = thief.post(&path, json!({ name: token })).await;
        assert_eq!((answer.status.as_u16(), answer.message()), (401, "unauthorised"));
    }
}

#[tokio::test]
async fn coo_06_no_answer_about_a_session_is_cached() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    let created = ann
        .post("/auth/signinup/code", json!({ "phoneNumber": PHONE }))
        .await;
    let answers = [
        created,
        ann.put("/auth/mfa/info").await,
        ann.refresh().await,
        ann.get("/auth/emailpassword/email/exists?email=ann@acme.test")
            .await,
        ann.post("/auth/signout", json!({})).await,
        ann.put("/auth/mfa/info").await,
    ];
    for answer in answers {
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let vary = answer
            .headers
            .get_all("vary")
            .iter()
            .map(|line| line.to_str().unwrap().to_owned());
        let vary = vary.collect::<Vec<_>>().join(", ");
        assert!(
            vary.contains("Cookie") && vary.contains("Authorization") && vary.contains("Origin"),
            "{vary}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test]
async fn ses_15_header_and_cookie_are_never_merged() {
    let site = Site::new().await;
    let cookie = site.complete("cookie", "ann@acme.test").await;
    let header = site.complete("header", "bob@acme.test").await;
    // The refresh token of one in the header, the access token of the other in the cookie.
    let mut mixed = site.client("cookie");
    mixed.refresh = Some(header.refresh_token());
    mixed
        .cookies
        .insert(("sAccessToken".to_owned(), "/".to_owned()), cookie.access_token());
    let answer = mixed.refresh().await;
    assert_eq!(answer.status, 200);
    assert!(answer.cookies().is_empty() && answer.header("st-refresh-token").is_some());
    assert_eq!(mixed.payload()["sub"], header.payload()["sub"]);
    assert!(lives(&cookie).await);
    // An access token is no refresh token.
    let mut mixed = site.client("header");
    mixed.refresh = Some(cookie.access_token());
    assert_eq!(mixed.refresh().await.message(), "unauthorised");
    assert!(lives(&cookie).await);
}

#[tokio::test]
async fn tok_14_no_kind_of_token_passes_for_another() {
    let site = Site::new().await;
    let mut ann = site.complete("header", "ann@acme.test").await;
    let created = ann
        .post("/auth/signinup/code", json!({ "phoneNumber": PHONE }))
        .await
        .json;
    let own = ["deviceId", "preAuthSessionId"].map(|name| created[name].as_str().unwrap().to_owned());
    for token in [
        ann.refresh_token(),
        own[0].clone(),
        own[1].clone(),
        ann.payload()["sessionHandle"].to_string(),
    ] {
        let mut thief = site.client("header");
        thief.access = Some(token.clone());
        thief.refresh = Some(token.clone());
        let answer = thief.put("/auth/mfa/info").await;
        assert_eq!(answer.status, 401, "{token}");
        if token != ann.refresh_token() {
            assert_eq!(thief.refresh().await.status, 401, "{token}");
        }
    }
    assert!(lives(&ann).await);
}

#[tokio::test]
async fn tok_15_an_oversize_token_is_refused() {
    let site = Site::new().await;
    let mut thief = site.client("header");
    for bytes in [8 * 1024 + 1, 1024 * 1024] {
        thief.access = Some("x".repeat(bytes));
        assert_eq!(thief.put("/auth/mfa/info").await.message(), "try refresh token");
        thief.refresh = Some("x".repeat(bytes));
        assert_eq!(thief.refresh().await.message(), "unauthorised");
    }
    for bytes in [4097, 64 * 1024] {
        let mut thief = site.client("cookie");
        thief
            .cookies
            .insert(("sAccessToken".to_owned(), "/".to_owned()), "x".repeat(bytes));
        assert_eq!(thief.put("/auth/mfa/info").await.message(), "try refresh token");
    }
}

#[tokio::test]
async fn mfa_01_every_endpoint_that_needs_a_session_says_so() {
    let site = Site::new().await;
    let mut nobody = site.client("cookie");
    for row in ROUTES.iter().filter(|row| row.access > Access::Open) {
        for tenant in ["", "/public"] {
            if !tenant.is_empty() && !row.tenant {
                continue;
            }
            let request = nobody.request(row.method.clone(), &format!("/auth{tenant}{}", row.path));
            let answer = nobody
                .send(request.header("content-type", "application/json"), "{}")
                .await;
            assert_eq!(
                (answer.status.as_u16(), answer.message()),
                (401, "unauthorised"),
                "{}",
                row.path
            );
        }
    }
}

#[tokio::test]
async fn inj_09_json_is_read_strictly_or_not_at_all() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    let created = ann
        .post("/auth/signinup/code", json!({ "phoneNumber": PHONE }))
        .await
        .json;
    let sent = site.codes().await.len();
    let valid = consume(&created, "123456").to_string();
    let doubled = valid.replacen('{', r#"{"userInputCode":"654321","#, 1);
    let odd: Vec<Vec<u8>> = vec![
        doubled.into_bytes(),
        format!("\u{feff}{valid}").into_bytes(),
        format!("{valid}x").into_bytes(),
        format!("{valid}//").into_bytes(),
        b"{\"formFields\":[NaN]}".to_vec(),
        b"{\"x\":1e400}".to_vec(),
        b"{\"x\":\"\\ud800\"}".to_vec(),
        b"{\"x\":\"\xff\"}".to_vec(),
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        "[".repeat(10_000).into_bytes(),
        format!("{}1{}", "{\"a\":".repeat(17), "}".repeat(17)).into_bytes(),
        format!("{{\"x\":[{}]}}", vec!["0"; 5000].join(",")).into_bytes(),
        format!(
            "{{{}}}",
            (0..1500)
                .map(|n| format!("\"{n}\":0"))
                .collect::<Vec<_>>()
                .join(",")
        )
        .into_bytes(),
    ];
    for row in ROUTES.iter().filter(|row| row.body == Body::Json) {
        for body in &odd {
            let path = format!("/auth{}", row.path);
            let request = ann
                .request(row.method.clone(), &path)
                .header("content-type", "application/json");
            let answer = ann.send(request, body.clone()).await;
            // Addresses are not verified here, and what is turned off reads nothing.
            let refused = if row.path == "/user/email/verify" {
                404
            } else {
                400
            };
            assert_eq!(
                answer.status,
                refused,
                "{path} {:?}",
                String::from_utf8_lossy(&body[..body.len().min(60)])
            );
            assert!(!answer.message().is_empty() && answer.is_silent());
        }
    }
    assert_eq!(site.codes().await.len(), sent);
}

#[tokio::test]
async fn inj_11_no_reading_of_a_path_reaches_a_handler_without_its_guards() {
    let site = Site::new().await;
    let mut nobody = site.client("cookie");
    for path in [
        "//auth/mfa/info",
        "/auth//mfa/info",
        "/auth/mfa//info",
        "/auth/%6dfa/info",
        "/auth/mfa%2finfo",
        "/auth/mfa/info;a=b",
        "/auth/mfa/info%00",
        "/auth/./mfa/info",
        "/auth/x/../mfa/info",
        "/auth/MFA/info",
        "/auth/unknown/mfa/info",
        "/auth/signin/mfa/info",
        "/auth/mfa/info//",
        "/other/mfa/info",
    ] {
        let answer = nobody.put(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.message()),
            (404, "not found"),
            "{path}"
        );
    }
    assert_eq!(nobody.put("/auth/mfa/info/").await.status, 401);
}

#[tokio::test]
async fn res_01_a_large_body_is_refused() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    for (method, path) in unsafe_routes() {
        for bytes in [16 * 1024 + 1, 100 * 1024] {
            let request = ann
                .request(method.clone(), &path)
                .header("content-type", "application/json");
            let answer = ann.send(request, vec![b' '; bytes]).await;
            assert_eq!(answer.status, 413, "{path}");
            assert!(!answer.message().is_empty());
        }
    }
    assert!(lives(&ann).await);
}

#[tokio::test]
async fn rl_02_a_forwarding_header_opens_no_budget_of_its_own() {
    let site = Site::new().await;
    let mut throttled = 0;
    for n in 0..200 {
        let mut client = site.client("cookie");
        let request = client
            .request(Method::GET, "/auth/emailpassword/email/exists?email=a@acme.test")
            .header("x-forwarded-for", format!("198.51.100.{n}"));
        throttled += usize::from(client.send(request, "").await.json["status"] == "GENERAL_ERROR");
    }
    assert!(throttled >= 100, "{throttled}");
}

#[tokio::test]
async fn rl_02_a_trusted_proxy_tells_clients_apart_by_the_last_hop() {
    let transport = Transport::new().with_trusted_proxies(["192.0.2.1".parse().unwrap()]);
    let site = Site::at("http://localhost:3000", "http://localhost:3000", transport).await;
    let ask = async |hops: String| {
        let mut client = site.client("cookie");
        let request = client
            .request(Method::GET, "/auth/emailpassword/email/exists?email=a@acme.test")
            .header("x-forwarded-for", hops);
        client.send(request, "").await.json["status"] == "OK"
    };
    for n in 0..30 {
        assert!(ask(format!("198.51.100.{n}")).await, "{n}");
    }
    let mut granted = 0;
    for n in 0..30 {
        granted += usize::from(ask(format!("203.0.113.{n}, 198.51.100.99")).await);
    }
    assert_eq!(granted, 10);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn res_11_no_request_is_answered_by_a_5xx_or_a_panic(
        method in "(GET|POST|PUT|OPTIONS|HEAD|PATCH|X)",
        row in 0..ROUTES.len(),
        tail in "(/|\\?[ -~&&[^#]]{0,20}|;x|%00|)",
        headers in prop::collection::vec((
            "(cookie|authorization|origin|content-type|rid|fdi-version|st-auth-mode|sec-fetch-site|upgrade|x-forwarded-for)",
            prop::collection::vec(any::<u8>(), 0..60),
        ), 0..6),
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..100),
            "[{}\\[\\]\",:0-9a-z\\\\ ]{0,80}".prop_map(String::into_bytes),
        ],
    ) {
        let path = format!("/auth{}{tail}", ROUTES[row].path);
        let mut request = Request::builder().method(method.as_str()).uri(&path).extension(Peer([192, 0, 2, 1].into()));
        for (name, value) in &headers {
            if let Ok(value) = http::HeaderValue::from_bytes(value) {
                request = request.header(name, value);
            }
        }
        if let Ok(request) = request.body(bytes::Bytes::from(body)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let answer = runtime.block_on(async {
                let site = Site::new().await;
                Answer::of(site.wire.handle(request).await).await
            });
            prop_assert!(answer.status.as_u16() < 500, "{}", answer.status);
            prop_assert!(answer.status.as_u16() < 300 || method == "HEAD" || !answer.message().is_empty());
        }
    }
}
