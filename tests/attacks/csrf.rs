//! Rows A-CSR: requests that a page of another origin made the browser send.

use serde_json::json;
use stepup::config::EmailVerification;
use stepup::wire::route::ROUTES;
use stepup::wire::table::Access;

use super::expect::{TRY_REFRESH, UNAUTHORISED, e401_silent, e401_try_refresh, e403_foreign, lives, secret};
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PASSWORD, PHONE, Server, form, full, half};

const ANN: &str = "ann@example.com";
const MALLORY: &str = "mallory@example.com";
const EVIL: &str = "https://evil.example";

/// Every endpoint with its method, without and with a tenant.
fn endpoints() -> Vec<(&'static str, String, Access)> {
    let mut all = Vec::new();
    for row in ROUTES {
        all.push((row.method.as_str(), format!("/auth{}", row.path), row.access));
        if row.tenant {
            all.push((
                row.method.as_str(),
                format!("/auth/public{}", row.path),
                row.access,
            ));
        }
    }
    assert!(all.len() > 20, "the walk found the table");
    all
}

/// The endpoints that may change something. A provider's form post comes from another site and changes nothing: see
/// `a_oau_14_..`.
fn unsafe_endpoints() -> impl Iterator<Item = (&'static str, String, Access)> {
    let mut all = endpoints();
    all.retain(|(method, path, _)| *method != "GET" && !path.ends_with("/callback/apple"));
    all.into_iter()
}

/// A deployment whose cookies travel across sites: the only one where a browser attaches them to a foreign post.
async fn cross_site() -> Server {
    Server::start_with(|s| {
        s.api_domain = Some("https://localhost:3000".to_owned());
        s.website_domain = Some("http://localhost:4000".to_owned());
    })
    .await
}

/// The origin of a page of the site itself.
fn own_origin(server: &Server) -> String {
    server.site.stepup.app().website_origin().to_owned()
}

const FORM_TYPES: [&str; 4] = [
    "text/plain",
    "text/plain; charset=application/json",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_01_a_form_of_another_site_changes_nothing() {
    for server in [cross_site().await, Server::start().await] {
        let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
        let body = form("new@example.com", PASSWORD);
        let (before, sent) = (server.dump().await, server.sent().await.len());
        for (method, path, access) in unsafe_endpoints() {
            for kind in FORM_TYPES {
                // Without `Origin`, as old browsers post.
                let answer = ann
                    .peek(
                        method,
                        &path,
                        Some(&body),
                        &[("rid", "-"), ("content-type", kind)],
                    )
                    .await;
                let expected = match (access, path.ends_with("/session/refresh")) {
                    (_, true) => vec![(401, UNAUTHORISED), (415, "the body must be application/json")],
                    // It takes forms; this body is none.
                    (Access::Open, _)
                        if path.ends_with("/factor/undo") || path.ends_with("/factor/confirm") =>
                    {
                        vec![
                            (400, "token is missing"),
                            (
                                415,
                                "the body must be application/json or application/x-www-form-urlencoded",
                            ),
                        ]
                    }
                    (Access::Open, _) => vec![(415, "the body must be application/json")],
                    _ => vec![(401, TRY_REFRESH), (415, "the body must be application/json")],
                };
                let got = (answer.status, answer.message());
                assert!(
                    expected.contains(&(got.0, got.1.as_str())),
                    "{method} {path} {kind}: {answer:?}"
                );
                assert!(answer.touches_no_token(), "{method} {path} {kind}: {answer:?}");
                // With the origin and the metadata that browsers of today add.
                let headers = [
                    ("rid", "-"),
                    ("content-type", kind),
                    ("origin", EVIL),
                    ("sec-fetch-site", "cross-site"),
                ];
                let answer = ann.peek(method, &path, Some(&body), &headers).await;
                assert!(
                    [403, 415].contains(&answer.status),
                    "{method} {path} {kind}: {answer:?}"
                );
                assert!(answer.touches_no_token(), "{method} {path} {kind}: {answer:?}");
            }
        }
        assert_eq!(server.dump().await, before);
        assert_eq!(server.sent().await.len(), sent);
        lives(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_01_across_sites_the_header_is_needed_without_a_body_too() {
    let server = cross_site().await;
    let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    let before = server.dump().await;
    for path in ["/auth/signout", "/api/comment"] {
        e401_try_refresh(&ann.peek("POST", path, None, &[("rid", "-")]).await);
    }
    e401_silent(
        &ann.peek("POST", "/auth/session/refresh", None, &[("rid", "-")])
            .await,
    );
    assert_eq!(server.dump().await, before);
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_02_a_foreign_origin_is_refused_although_it_sends_rid() {
    for server in [cross_site().await, Server::start().await] {
        let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
        let own = own_origin(&server);
        let (before, sent) = (server.dump().await, server.sent().await.len());
        let foreign = [
            EVIL.to_owned(),
            "null".to_owned(),
            String::from("http://localhost"),
            "http://localhost:1".to_owned(),
            own.to_uppercase(),
            format!("{own}/"),
            format!("{own}.evil.example"),
            own.replace("localhost", "xlocalhost"),
            own.replace("localhost", "evil.localhost"),
            format!("{own}, {EVIL}"),
        ];
        for origin in &foreign {
            for (method, path, _) in unsafe_endpoints() {
                let body = form("new@example.com", PASSWORD);
                let answer = ann.peek(method, &path, Some(&body), &[("origin", origin)]).await;
                e403_foreign(&answer);
                assert_eq!(
                    answer.header("access-control-allow-origin"),
                    None,
                    "{path} {origin}"
                );
            }
            for path in ["/api/comment", "/api/transfer"] {
                let answer = ann
                    .peek("POST", path, Some(&json!({ "text": "x" })), &[("origin", origin)])
                    .await;
                e403_foreign(&answer);
            }
        }
        assert_eq!(server.dump().await, before);
        assert_eq!(server.sent().await.len(), sent);
        // The same from a page of ours.
        let ours = [("origin", own.as_str())];
        let body = json!({ "text": "x" });
        assert_eq!(
            ann.peek("POST", "/api/comment", Some(&body), &ours).await.status,
            200
        );
        lives(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_03_no_endpoint_changes_anything_by_another_method() {
    for mode in MODES {
        let server = Server::start_with(|s| s.email_verification = EmailVerification::Optional).await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        let (before, sent) = (server.dump().await, server.sent().await.len());
        let body = form("new@example.com", PASSWORD);
        let all = endpoints();
        for (allowed, path, _) in &all {
            let (allowed, path) = (*allowed, path.as_str());
            for method in [
                "GET", "HEAD", "OPTIONS", "TRACE", "POST", "PUT", "DELETE", "PATCH", "QUERY", "post",
            ] {
                let is_own = method == allowed || (method == "HEAD" && allowed == "GET");
                // Two endpoints may share a path; each is looked at in its turn.
                let as_get = if method == "HEAD" { "GET" } else { method };
                let is_others = !is_own && all.iter().any(|(m, p, _)| (*m, p.as_str()) == (as_get, path));
                if is_others || is_own && method != "GET" && method != "HEAD" {
                    continue;
                }
                for over in ["x-http-method-override", "x-http-method", "x-method-override"] {
                    let path = format!(
                        "{path}?_method=POST&token=undo_x&email=a@example.com&phoneNumber=%2B41791234567"
                    );
                    let answer = ann.peek(method, &path, Some(&body), &[(over, allowed)]).await;
                    let expected: &[u16] = match method {
                        // There is no provider here.
                        _ if is_own && path.contains("/authorisationurl") => &[404],
                        _ if is_own => &[200],
                        "OPTIONS" => &[204, 405],
                        _ => &[405],
                    };
                    assert!(expected.contains(&answer.status), "{method} {path}: {answer:?}");
                    assert!(answer.touches_no_token(), "{method} {path}: {answer:?}");
                    if answer.status == 405 {
                        let allow = answer.header("allow").unwrap_or_default();
                        assert!(allow.contains(allowed), "{method} {path}: {answer:?}");
                    }
                }
            }
        }
        assert_eq!(server.dump().await, before);
        assert_eq!(server.sent().await.len(), sent);
        lives(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_05_a_forced_sign_in_is_refused_and_a_real_one_replaces_the_session_whole() {
    let server = Server::start().await;
    let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    let mallory = half(&server, Mode::Cookie, MALLORY).await;
    let before = server.dump().await;
    for headers in [&[("origin", EVIL)][..], &[("sec-fetch-site", "cross-site")]] {
        for path in ["/auth/signin", "/auth/signup"] {
            let answer = ann
                .peek("POST", path, Some(&form(MALLORY, PASSWORD)), headers)
                .await;
            e403_foreign(&answer);
        }
    }
    assert_eq!(server.dump().await, before);
    let mut browser = ann.clone();
    assert_eq!(browser.sign_in(MALLORY).await.status_field(), "OK");
    assert_eq!(browser.user_id(), mallory.user_id());
    assert_ne!(browser.handle(), ann.handle());
    assert!(!browser.completed() && browser.payload().get("phoneNumber").is_none());
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_06_no_foreign_origin_may_read_an_answer() {
    for mode in MODES {
        let server = Server::start_with(|s| {
            s.api_domain = Some("http://localhost:3000".to_owned());
            s.website_domain = Some("http://localhost:4000".to_owned());
        })
        .await;
        let ann = full(&server, mode, ANN, PHONE).await;
        let nobody = server.client(mode);
        let ours = "http://localhost:4000";
        let calls = [
            ("GET", "/api/secret", 200),
            ("GET", "/api/admin", 403),
            ("GET", "/api/nothing", 404),
            ("DELETE", "/api/secret", 405),
            ("GET", "/auth/nothing", 404),
            ("GET", "/auth/signin", 405),
            ("GET", "/auth/emailpassword/email/exists?email=x@example.com", 200),
        ];
        for origin in [
            EVIL,
            "null",
            "http://localhost:4000.evil.example",
            "http://xlocalhost:4000",
            "HTTP://LOCALHOST:4000",
            "http://localhost:4001",
            "http://localhost",
            "https://localhost:4000",
            "http://localhost:4000/",
            "*",
            "",
            ours,
        ] {
            let named = (origin == ours).then_some(ours);
            for (method, path, status) in calls {
                for client in [&ann, &nobody] {
                    let answer = client.peek(method, path, None, &[("origin", origin)]).await;
                    if client.access_token().is_some() {
                        assert_eq!(answer.status, status, "{method} {path} {origin}: {answer:?}");
                    }
                    assert_eq!(
                        answer.header("access-control-allow-origin"),
                        named,
                        "{path} {origin}"
                    );
                    let credentials = answer.header("access-control-allow-credentials");
                    assert_eq!(credentials, named.map(|_| "true"), "{path} {origin}");
                    let vary = answer.all("vary").collect::<Vec<_>>().join(", ");
                    assert!(vary.contains("Origin"), "{path} {origin} {vary}");
                }
            }
            for path in ["/auth/signin", "/auth/mfa/info", "/api/secret", "/auth/nothing"] {
                let asks = [("origin", origin), ("access-control-request-method", "PUT")];
                let answer = nobody.peek("OPTIONS", path, None, &asks).await;
                assert_eq!(
                    answer.header("access-control-allow-origin"),
                    named,
                    "{path} {origin}"
                );
                let vary = answer.all("vary").collect::<Vec<_>>().join(", ");
                assert!(vary.contains("Origin"), "{path} {origin} {vary}");
                if named.is_none() {
                    assert_eq!(
                        answer.header("access-control-allow-methods"),
                        None,
                        "{path} {origin}"
                    );
                    assert_eq!(
                        answer.header("access-control-allow-headers"),
                        None,
                        "{path} {origin}"
                    );
                }
            }
        }
        // Keys are for everyone, without credentials.
        let keys = ann
            .peek("GET", "/auth/jwt/jwks.json", None, &[("origin", EVIL)])
            .await;
        assert_eq!(keys.header("access-control-allow-origin"), Some("*"));
        assert_eq!(keys.header("access-control-allow-credentials"), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_09_another_site_signs_nobody_out() {
    for server in [cross_site().await, Server::start().await] {
        let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
        let mut mallory = full(&server, Mode::Header, MALLORY, OTHER_PHONE).await;
        let before = server.dump().await;
        let mallorys = format!("Bearer {}", mallory.access_token().unwrap());
        let bearers = [
            "-",
            "Bearer ey.foreign.token",
            "Bearer",
            "Bearer a b",
            "Basic YTpi",
            "\u{1f36a}",
            mallorys.as_str(),
        ];
        for path in ["/auth/signout", "/auth/session/refresh"] {
            for bearer in bearers {
                for (name, value) in [
                    ("origin", EVIL),
                    ("origin", "null"),
                    ("sec-fetch-site", "cross-site"),
                    ("sec-fetch-site", "same-site"),
                ] {
                    let headers = [("authorization", bearer), (name, value)];
                    e403_foreign(&ann.peek("POST", path, None, &headers).await);
                }
            }
        }
        assert_eq!(server.dump().await, before);
        lives(&mut ann).await;
        lives(&mut mallory).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_09_a_broken_bearer_does_not_sign_the_cookie_out() {
    let server = Server::start().await;
    let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    for bearer in ["Bearer ey.foreign.token", "Bearer", "Basic YTpi"] {
        let headers = [("authorization", bearer)];
        let answer = ann.call("POST", "/auth/session/refresh", None, &headers).await;
        assert_eq!(answer.status, 200, "{bearer}: {answer:?}");
        assert_eq!(
            ann.peek("GET", "/api/secret", None, &headers).await.status,
            200,
            "{bearer}"
        );
    }
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_10_without_an_origin_fetch_metadata_decides() {
    for server in [cross_site().await, Server::start().await] {
        let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
        let before = server.dump().await;
        for site in ["cross-site", "same-site", "Same-Origin", "other", ""] {
            for (method, path, _) in unsafe_endpoints() {
                let body = form("new@example.com", PASSWORD);
                let answer = ann
                    .peek(method, &path, Some(&body), &[("sec-fetch-site", site)])
                    .await;
                e403_foreign(&answer);
            }
            let body = json!({ "text": "x" });
            let headers = [("sec-fetch-site", site)];
            e403_foreign(&ann.peek("POST", "/api/comment", Some(&body), &headers).await);
        }
        assert_eq!(server.dump().await, before);
        for site in ["same-origin", "none"] {
            let body = json!({ "text": "x" });
            let headers = [("sec-fetch-site", site)];
            assert_eq!(
                ann.peek("POST", "/api/comment", Some(&body), &headers)
                    .await
                    .status,
                200
            );
        }
        lives(&mut ann).await;
    }
}

/// The headers of a WebSocket's handshake.
fn handshake(origin: &str) -> Vec<(&str, &str)> {
    vec![
        ("connection", "upgrade, close"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        // A handshake can carry no header of a script's choice.
        ("rid", "-"),
        ("origin", origin),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_11_a_handshake_of_a_foreign_or_sibling_page_is_refused() {
    for server in [cross_site().await, Server::start().await] {
        let mut ann: Client = full(&server, Mode::Cookie, ANN, PHONE).await;
        let own = own_origin(&server);
        for path in ["/api/secret", "/layered/secret", "/api/me", "/api/optional"] {
            for origin in [
                EVIL,
                "null",
                "http://localhost:1",
                &own.replace("localhost", "evil.localhost"),
            ] {
                e403_foreign(&ann.peek("GET", path, None, &handshake(origin)).await);
            }
            // A page of ours is believed.
            assert_eq!(
                ann.peek("GET", path, None, &handshake(&own)).await.status,
                200,
                "{path}"
            );
        }
        assert_eq!(secret(&ann).await.status, 200);
        lives(&mut ann).await;
    }
    // Without an origin it was no browser; where cookies travel across sites not even that is believed.
    let server = Server::start().await;
    let ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    assert_eq!(
        ann.peek("GET", "/api/secret", None, &handshake("-")).await.status,
        200
    );
    let server = cross_site().await;
    let ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    e401_try_refresh(&ann.peek("GET", "/api/secret", None, &handshake("-")).await);
}
