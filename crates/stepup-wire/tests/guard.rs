//! An application behind the layer: what its guards admit, and what its responses carry.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod common;

use std::convert::Infallible;

use bytes::Bytes;
use common::{Answer, Client, PASSWORD, PHONE, Site, form};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Either, Full};
use serde_json::json;
use stepup_wire::core::flow::External;
use stepup_wire::core::id::UserId;
use stepup_wire::core::record::JsonMap;
use stepup_wire::core::require::{AnySession, Fresh, Require2fa, Requirement, SitePolicy};
use stepup_wire::core::rule::{ClaimRule, Rule};
use stepup_wire::{Guard, Reason, Refused, RequireLayer, Session, SessionLayer, Transport};
use tower::{Layer, ServiceExt, service_fn};

const EVIL: &str = "https://evil.test";

struct Admin;

impl Requirement for Admin {
    fn rule() -> Rule {
        Rule::Claim(ClaimRule::includes("role", "admin"))
    }
}

fn text(status: u16, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn refused(refused: Refused) -> Response<Full<Bytes>> {
    refused.into_response().map(Full::new)
}

fn named<R>(session: Result<Session<R>, Refused>) -> Response<Full<Bytes>> {
    match session {
        Ok(session) => text(200, session.user_id().to_string()),
        Err(error) => refused(error),
    }
}

fn object(value: serde_json::Value) -> JsonMap {
    value.as_object().unwrap().clone()
}

/// The application.
async fn app(request: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, _) = request.into_parts();
    let Some(guard) = parts.extensions.get::<Guard>().cloned() else {
        return Ok(refused(Refused::missing_layer("the layer")));
    };
    Ok(match parts.uri.path() {
        "/any" => named(guard.session::<AnySession>(&parts).await),
        "/site" => named(guard.session::<SitePolicy>(&parts).await),
        "/secret" => named(guard.session::<Require2fa>(&parts).await),
        "/fresh" => named(guard.session::<Fresh<300>>(&parts).await),
        "/admin" => named(guard.session::<(Require2fa, Admin)>(&parts).await),
        "/checked" => match guard.session::<AnySession>(&parts).await {
            Ok(session) => match session.ask_store().await {
                Ok(()) => named(Ok(session)),
                Err(error) => refused(error.into()),
            },
            Err(error) => refused(error),
        },
        "/optional" => match guard.optional_session::<AnySession>(&parts).await {
            Ok(session) => text(200, format!("{:?}", session.is_some())),
            Err(error) => refused(error),
        },
        "/merge" => match guard.session::<AnySession>(&parts).await {
            Ok(mut session) => {
                let patch = object(json!({ "role": { "v": ["admin"], "t": 1 }, "plan": null }));
                session.merge_payload(&patch).await.unwrap();
                // The handler goes on with what it merged, and then fails.
                assert_eq!(session.claim("role"), Some(&json!(["admin"])));
                text(422, String::new())
            }
            Err(error) => refused(error),
        },
        "/merge-reserved" => match guard.session::<AnySession>(&parts).await {
            Ok(mut session) => {
                let patch = object(json!({ "2fa-completed": { "v": true, "t": 1 } }));
                refused(session.merge_payload(&patch).await.unwrap_err().into())
            }
            Err(error) => refused(error),
        },
        "/leave" => match guard.session::<AnySession>(&parts).await {
            Ok(session) => {
                session.revoke().await.unwrap();
                text(200, String::new())
            }
            Err(error) => refused(error),
        },
        "/login" => match guard.sign_in(&parts).await {
            Ok(mut sign_in) => {
                let identifier = parts.uri.query().unwrap_or_default();
                if let Err(error) = sign_in.throttle(identifier).await {
                    return Ok(refused(error.into()));
                }
                if identifier != "right" {
                    sign_in.failed().await.unwrap();
                    return Ok(text(403, String::new()));
                }
                match sign_in
                    .complete(&UserId::from("row-7"), External::knowledge())
                    .await
                {
                    Ok(_) => text(200, String::new()),
                    Err(error) => refused(error.into()),
                }
            }
            Err(error) => refused(error),
        },
        "/open" => text(200, "open".to_owned()),
        _ => text(404, String::new()),
    })
}

async fn ask(site: &Site, request: http::request::Builder) -> Answer {
    let service = SessionLayer::new(&site.wire).layer(service_fn(app));
    let response = service
        .oneshot(request.body(Full::default()).unwrap())
        .await
        .unwrap();
    let (parts, body) = response.into_parts();
    Answer::of(Response::from_parts(
        parts,
        body.collect().await.unwrap().to_bytes(),
    ))
    .await
}

async fn get(site: &Site, client: &mut Client, path: &str) -> Answer {
    let answer = ask(site, client.request(Method::GET, path)).await;
    client.learn(&answer);
    answer
}

async fn post(site: &Site, client: &mut Client, path: &str) -> Answer {
    let answer = ask(site, client.request(Method::POST, path)).await;
    client.learn(&answer);
    answer
}

fn failing(answer: &Answer) -> Vec<&str> {
    assert_eq!((answer.status.as_u16(), answer.message()), (403, "invalid claim"));
    let errors = answer.json["claimValidationErrors"].as_array().unwrap();
    errors.iter().map(|error| error["id"].as_str().unwrap()).collect()
}

const MODES: [&str; 2] = ["cookie", "header"];

#[tokio::test]
async fn without_a_session_a_guard_says_401_and_clears_nothing() {
    let site = Site::new().await;
    let mut nobody = site.client("cookie");
    for path in ["/any", "/site", "/secret", "/fresh", "/admin", "/checked"] {
        let answer = get(&site, &mut nobody, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.message()),
            (401, "unauthorised"),
            "{path}"
        );
        assert!(answer.is_silent());
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some("http://localhost:3000")
        );
        assert_eq!(answer.header("cache-control"), Some("no-store"));
    }
    assert_eq!(get(&site, &mut nobody, "/optional").await.body, "false");
}

#[tokio::test]
async fn each_guard_admits_what_it_asks_for_and_names_what_is_missing() {
    for mode in MODES {
        let site = Site::new().await;
        let mut ann = site.signed_up(mode, "ann@acme.test").await;
        assert_eq!(get(&site, &mut ann, "/any").await.status, 200);
        assert_eq!(
            failing(&get(&site, &mut ann, "/site").await),
            ["st-mfa", "2fa-completed"]
        );
        assert_eq!(
            failing(&get(&site, &mut ann, "/secret").await),
            ["st-mfa", "2fa-completed"]
        );
        assert_eq!(
            failing(&get(&site, &mut ann, "/admin").await),
            ["st-mfa", "2fa-completed", "role"]
        );
        ann.second_factor(&site, PHONE).await;
        for path in ["/any", "/site", "/secret", "/fresh", "/checked"] {
            let answer = get(&site, &mut ann, path).await;
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.body, ann.payload()["sub"].as_str().unwrap());
        }
        assert_eq!(failing(&get(&site, &mut ann, "/admin").await), ["role"]);
        site.advance(301);
        assert_eq!(failing(&get(&site, &mut ann, "/fresh").await), ["st-mfa"]);
        assert_eq!(get(&site, &mut ann, "/secret").await.status, 200);
    }
}

#[tokio::test]
async fn a_refusal_says_nothing_about_tokens() {
    let site = Site::new().await;
    let mut ann = site.signed_up("cookie", "ann@acme.test").await;
    assert!(get(&site, &mut ann, "/secret").await.is_silent());
    site.advance(300);
    for path in ["/any", "/optional"] {
        let answer = get(&site, &mut ann, path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.message()),
            (401, "try refresh token")
        );
        assert!(answer.is_silent());
    }
}

#[tokio::test]
async fn an_ended_session_is_refused_at_the_next_request_and_cleared() {
    for mode in MODES {
        let site = Site::new().await;
        let mut ann = site.complete(mode, "ann@acme.test").await;
        let mut copy = ann.clone();
        ann.post("/auth/signout", json!({})).await;
        let answer = get(&site, &mut copy, "/secret").await;
        assert_eq!((answer.status.as_u16(), answer.message()), (401, "unauthorised"));
        assert_eq!(answer.header("front-token"), Some("remove"));
        assert!(copy.cookies.is_empty() && copy.access.is_none());
        assert!(
            answer
                .header("access-control-expose-headers")
                .unwrap()
                .contains("front-token")
        );
    }
}

#[tokio::test]
async fn what_a_guard_owes_is_paid_although_the_handler_fails() {
    for mode in MODES {
        let site = Site::new().await;
        let mut ann = site.complete(mode, "ann@acme.test").await;
        let before = ann.payload();
        site.advance(5);
        let answer = post(&site, &mut ann, "/merge").await;
        assert_eq!(answer.status, 422);
        let after = ann.payload();
        assert_eq!(after["role"]["v"], json!(["admin"]));
        assert_eq!(after["exp"], before["exp"]);
        assert_eq!(
            after["iat"].as_i64().unwrap(),
            before["iat"].as_i64().unwrap() + 5
        );
        assert_eq!(get(&site, &mut ann, "/admin").await.status, 200);
        ann.refresh().await;
        assert_eq!(ann.payload()["role"]["v"], json!(["admin"]));
    }
}

#[tokio::test]
async fn clm_01_a_reserved_claim_cannot_be_merged() {
    let site = Site::new().await;
    let mut ann = site.signed_up("cookie", "ann@acme.test").await;
    let answer = post(&site, &mut ann, "/merge-reserved").await;
    assert_eq!(
        (answer.status.as_u16(), answer.message()),
        (500, "internal error")
    );
    assert!(answer.is_silent());
    ann.refresh().await;
    assert_eq!(ann.payload()["2fa-completed"]["v"], false);
}

#[tokio::test]
async fn ses_02_a_merge_with_an_older_token_hands_out_no_better_one() {
    for mode in MODES {
        let site = Site::new().await;
        let mut ann = site.signed_up(mode, "ann@acme.test").await;
        let mut copy = ann.clone();
        ann.second_factor(&site, PHONE).await;
        assert_eq!(post(&site, &mut copy, "/merge").await.status, 422);
        assert_eq!(copy.payload()["role"]["v"], json!(["admin"]));
        assert_eq!(copy.payload()["st-mfa"]["v"], false);
        assert_eq!(copy.payload()["2fa-completed"]["v"], false);
        assert_eq!(get(&site, &mut copy, "/secret").await.status, 403);
        assert_eq!(get(&site, &mut ann, "/secret").await.status, 200);
    }
}

#[tokio::test]
async fn a_handler_can_end_its_session() {
    for mode in MODES {
        let site = Site::new().await;
        let mut ann = site.complete(mode, "ann@acme.test").await;
        let mut copy = ann.clone();
        assert_eq!(post(&site, &mut ann, "/leave").await.status, 200);
        assert!(ann.front.is_none() && ann.cookies.is_empty());
        assert_eq!(copy.refresh().await.message(), "unauthorised");
    }
}

#[tokio::test]
async fn csr_02_a_foreign_page_cannot_act_with_the_cookie() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    for (origin, metadata) in [
        (Some(EVIL), None),
        (Some("null"), None),
        (None, Some("cross-site")),
    ] {
        ann.origin = origin.map(str::to_owned);
        for path in ["/secret", "/merge", "/leave", "/optional"] {
            let mut request = ann.request(Method::POST, path);
            if let Some(metadata) = metadata {
                request = request.header("sec-fetch-site", metadata);
            }
            let answer = ask(&site, request).await;
            assert_eq!(answer.status, 403, "{path} {origin:?} {metadata:?}");
            assert!(answer.is_silent());
        }
    }
    // Reading is the browser's affair: CORS keeps the answer from the page.
    ann.origin = Some(EVIL.to_owned());
    let answer = get(&site, &mut ann, "/secret").await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.header("access-control-allow-origin")
        ),
        (200, None)
    );
}

#[tokio::test]
async fn csr_11_a_foreign_or_sibling_handshake_is_refused() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    let shake = |client: &Client| {
        client
            .request(Method::GET, "/secret")
            .header("upgrade", "websocket")
    };
    assert_eq!(ask(&site, shake(&ann)).await.status, 200);
    for origin in [EVIL, "http://evil.localhost:3000", "http://localhost:3001"] {
        ann.origin = Some(origin.to_owned());
        assert_eq!(ask(&site, shake(&ann)).await.status, 403, "{origin}");
        let connect = ann.request(Method::CONNECT, "/secret");
        assert_eq!(ask(&site, connect).await.status, 403, "{origin}");
    }
}

#[tokio::test]
async fn a_header_token_acts_from_anywhere() {
    let site = Site::new().await;
    let mut ann = site.complete("header", "ann@acme.test").await;
    ann.origin = Some("https://partner.test".to_owned());
    let answer = post(&site, &mut ann, "/secret").await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.header("access-control-allow-origin")
        ),
        (200, None)
    );
}

#[tokio::test]
async fn a_foreign_bearer_token_leaves_the_cookie_in_force() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    ann.access = Some("eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzb21lYm9keSJ9.c2ln".to_owned());
    assert_eq!(get(&site, &mut ann, "/secret").await.status, 200);
    ann.cookies.clear();
    assert_eq!(get(&site, &mut ann, "/secret").await.message(), "unauthorised");
}

#[tokio::test]
async fn the_layer_answers_the_applications_preflights() {
    let site = Site::new().await;
    let mut client = site.client("cookie");
    for (origin, allowed) in [
        ("http://localhost:3000", Some("http://localhost:3000")),
        (EVIL, None),
    ] {
        client.origin = Some(origin.to_owned());
        let request = client
            .request(Method::OPTIONS, "/open")
            .header("access-control-request-method", "DELETE");
        let answer = ask(&site, request).await;
        assert_eq!(
            (
                answer.status.as_u16(),
                answer.header("access-control-allow-origin")
            ),
            (204, allowed)
        );
    }
}

#[tokio::test]
async fn an_application_without_sessions_keeps_its_own_headers() {
    let site = Site::new().await;
    let mut client = site.client("cookie");
    let answer = get(&site, &mut client, "/open").await;
    assert_eq!(answer.header("cache-control"), None);
    assert_eq!(answer.header("vary"), Some("Origin"));
    assert_eq!(
        get(&site, &mut client, "/nothing")
            .await
            .header("access-control-allow-credentials"),
        Some("true")
    );
}

#[tokio::test]
async fn cors_can_be_left_to_the_application() {
    let site = Site::at(
        "http://localhost:3000",
        "http://localhost:3000",
        Transport::new().without_cors(),
    )
    .await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    let answer = get(&site, &mut ann, "/secret").await;
    assert_eq!(
        (
            answer.status.as_u16(),
            answer.header("access-control-allow-origin")
        ),
        (200, None)
    );
    let request = ann
        .request(Method::OPTIONS, "/open")
        .header("access-control-request-method", "GET");
    assert_eq!(ask(&site, request).await.body, "open");
}

#[tokio::test]
async fn without_the_layer_a_guard_denies() {
    let request = Request::get("/open").body(Full::default()).unwrap();
    let response = service_fn(app).oneshot(request).await.unwrap();
    assert_eq!(response.status(), 500);
    let request = Request::get("/open").body(Full::default()).unwrap();
    let guarded = RequireLayer::<AnySession>::new().layer(service_fn(app));
    assert_eq!(guarded.oneshot(request).await.unwrap().status(), 500);
}

#[tokio::test]
async fn a_guarding_layer_admits_as_the_extractor_does() {
    let site = Site::new().await;
    let mut ann = site.signed_up("cookie", "ann@acme.test").await;
    let ask = async |request: http::request::Builder| {
        let guarded = RequireLayer::<Require2fa>::new().layer(service_fn(app));
        let service = SessionLayer::new(&site.wire).layer(guarded);
        let response = service
            .oneshot(request.body(Full::default()).unwrap())
            .await
            .unwrap();
        let (parts, body) = response.into_parts();
        Answer::of(Response::from_parts(
            parts,
            body.collect().await.unwrap().to_bytes(),
        ))
        .await
    };
    let answer = ask(ann.request(Method::GET, "/open")).await;
    assert_eq!(failing(&answer), ["st-mfa", "2fa-completed"]);
    assert_eq!(
        answer.header("access-control-allow-origin"),
        Some("http://localhost:3000")
    );
    ann.second_factor(&site, PHONE).await;
    assert_eq!(ask(ann.request(Method::GET, "/open")).await.body, "open");
    ann.origin = Some(EVIL.to_owned());
    assert_eq!(ask(ann.request(Method::POST, "/open")).await.status, 403);
    assert_eq!(
        ask(site.client("cookie").request(Method::GET, "/open"))
            .await
            .message(),
        "unauthorised"
    );
}

#[tokio::test]
async fn what_is_behind_a_guarding_layer_finds_the_session_and_what_is_around_it_the_reason() {
    let site = Site::new().await;
    let mut ann = site.signed_up("cookie", "ann@acme.test").await;
    let inside = service_fn(async |request: Request<Full<Bytes>>| {
        let mut session = request
            .extensions()
            .get::<Session<AnySession>>()
            .cloned()
            .unwrap();
        Ok::<_, Infallible>(match session.require::<Require2fa>().await {
            Ok(()) => text(200, session.user_id().to_string()),
            Err(error) => refused(error.into()),
        })
    });
    let ask = async |request: http::request::Builder| {
        let guarded = RequireLayer::<AnySession>::new().layer(inside);
        let service = SessionLayer::new(&site.wire).layer(guarded);
        service
            .oneshot(request.body(Full::default()).unwrap())
            .await
            .unwrap()
    };
    let nobody = ask(Request::get("/")).await;
    assert_eq!(nobody.extensions().get::<Reason>(), Some(&Reason::NoSession));
    assert!(matches!(nobody.body(), Either::Right(Either::Left(_))));
    // What a handler refuses says why too, and is told from what the layer refuses.
    let half = ask(ann.request(Method::GET, "/")).await;
    assert!(matches!(half.body(), Either::Right(Either::Right(_))));
    let Some(Reason::Claims(failures)) = half.extensions().get::<Reason>() else {
        panic!("no claim fails: {half:?}");
    };
    let ids: Vec<&str> = failures.iter().map(|failure| failure.id.as_str()).collect();
    assert_eq!(ids, ["st-mfa", "2fa-completed"]);
    ann.second_factor(&site, PHONE).await;
    let full = ask(ann.request(Method::GET, "/")).await;
    assert_eq!(full.status(), 200);
    assert!(full.extensions().get::<Reason>().is_none());
}

#[tokio::test]
async fn a_refusal_of_head_has_no_body() {
    let site = Site::new().await;
    let guarded = RequireLayer::<AnySession>::new().layer(service_fn(app));
    let service = SessionLayer::new(&site.wire).layer(guarded);
    let request = Request::head("/open").body(Full::default()).unwrap();
    let answer = service.oneshot(request).await.unwrap();
    assert_eq!(answer.status(), 401);
    assert!(answer.into_body().collect().await.unwrap().to_bytes().is_empty());
}

#[tokio::test]
async fn an_own_first_factor_opens_a_half_login_in_the_mode_that_was_asked_for() {
    for mode in MODES {
        let site = Site::new().await;
        let mut ann = site.client(mode);
        assert_eq!(post(&site, &mut ann, "/login?right").await.status, 200);
        assert_eq!(ann.payload()["sub"], "row-7");
        assert_eq!(ann.cookies.is_empty(), mode == "header");
        assert_eq!(
            failing(&get(&site, &mut ann, "/site").await),
            ["st-mfa", "2fa-completed"]
        );
        ann.second_factor(&site, PHONE).await;
        assert_eq!(get(&site, &mut ann, "/secret").await.body, "row-7");
    }
}

#[tokio::test]
async fn an_own_first_factor_replaces_the_session_of_the_other_mode() {
    let site = Site::new().await;
    let mut ann = site.complete("cookie", "ann@acme.test").await;
    ann.mode = "header";
    post(&site, &mut ann, "/login?right").await;
    assert!(ann.cookies.is_empty() && ann.access.is_some());
    assert_eq!(ann.payload()["sub"], "row-7");
}

#[tokio::test]
async fn mfa_43_an_own_first_factor_has_our_throttle_and_our_origin_check() {
    let site = Site::new().await;
    let mut mallory = site.client("cookie");
    let mut statuses = Vec::new();
    for _ in 0..8 {
        statuses.push(post(&site, &mut mallory, "/login?wrong").await.status.as_u16());
    }
    assert_eq!(
        statuses.iter().filter(|status| **status == 403).count(),
        5,
        "{statuses:?}"
    );
    let answer = post(&site, &mut mallory, "/login?wrong").await;
    assert_eq!(answer.status, 429);
    assert!(answer.header("retry-after").is_some());
    mallory.origin = Some(EVIL.to_owned());
    let answer = post(&site, &mut mallory, "/login?right").await;
    assert_eq!(answer.status, 403);
    assert!(answer.is_silent());
}

#[tokio::test]
async fn mfa_43_a_disabled_user_gets_no_session() {
    let site = Site::new().await;
    let mut ann = site.client("cookie");
    post(&site, &mut ann, "/login?right").await;
    let tenant = stepup_wire::core::id::TenantId::public();
    site.wire
        .stepup()
        .disable(&tenant, &UserId::from("row-7"))
        .await
        .unwrap();
    let answer = post(&site, &mut ann, "/login?right").await;
    assert_eq!((answer.status.as_u16(), answer.message()), (403, "not allowed"));
    assert_eq!(get(&site, &mut ann, "/any").await.message(), "unauthorised");
}

#[tokio::test]
async fn ses_01_a_planted_session_is_not_adopted() {
    let site = Site::new().await;
    let mallory = site.complete("cookie", "mallory@acme.test").await;
    site.signed_up("cookie", "ann@acme.test").await;
    let mut ann = mallory.clone();
    ann.post("/auth/signin", form("ann@acme.test", PASSWORD)).await;
    assert_ne!(ann.payload()["sessionHandle"], mallory.payload()["sessionHandle"]);
    let mut mallory = mallory;
    let answer = get(&site, &mut mallory, "/secret").await;
    assert_eq!(answer.body, mallory.payload()["sub"].as_str().unwrap());
}
