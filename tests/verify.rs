//! A service beside the site, over real HTTP: the demo issues, the example verifies, and somebody stands between them.

mod kit;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response as Answer};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use stepup::AppInfo;
use stepup::axum::{AnySession, Require2fa, Session};
use stepup::verify::{FetchError, SigningAlgorithm, StartError, Verifier, VerifierBuilder};
use stepup::wire::site::SameSite;
use tokio::net::TcpListener;

use kit::{Client, Mode, OTHER_PHONE, PHONE, Response, Server, full, half};

const HOUR: u32 = 3600;
const WEBSITE: &str = "https://acme.test";
const SIBLING: &str = "https://blog.acme.test";

/// Serves `app` for one test.
async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// Whoever stands between the site and the service: it hands on the site's key set, unless it is told otherwise, and
/// counts who asks.
#[derive(Clone)]
struct Between {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    says: Arc<Mutex<Says>>,
}

#[derive(Clone)]
enum Says {
    TheKeysOf(stepup::Stepup),
    Document(Vec<u8>),
    Status(u16),
    Location(String),
}

impl Between {
    async fn new(site: &Server) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let between = Self {
            address: listener.local_addr().unwrap(),
            asked: Arc::default(),
            says: Arc::new(Mutex::new(Says::TheKeysOf(site.site.stepup.clone()))),
        };
        let app = Router::new()
            .route("/jwks.json", get(Self::answer))
            .with_state(between.clone());
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        between
    }

    async fn answer(State(between): State<Self>) -> Answer {
        between.asked.fetch_add(1, Ordering::SeqCst);
        let says = between.says.lock().unwrap().clone();
        match says {
            Says::TheKeysOf(stepup) => stepup.jwks().body.to_string().into_response(),
            Says::Document(document) => document.into_response(),
            Says::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
            Says::Location(to) => (StatusCode::FOUND, [("location", to)]).into_response(),
        }
    }

    fn says(&self, says: Says) {
        *self.says.lock().unwrap() = says;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }

    /// A verifier of the site's tokens that gets its keys here, on the site's clock.
    fn verifier(&self, site: &Server) -> VerifierBuilder {
        Verifier::from_jwks(format!("http://{}/jwks.json", self.address))
            .issuer(issuer(site))
            .clock(site.site.clock.clone())
    }
}

fn issuer(site: &Server) -> String {
    site.site.stepup.app().issuer()
}

/// A site, and the example beside it.
async fn both() -> (Server, Between, SocketAddr) {
    let site = Server::start().await;
    let between = Between::new(&site).await;
    let verifier = between.verifier(&site).start().await.unwrap();
    let service = serve(verify_elsewhere::app(&verifier)).await;
    (site, between, service)
}

/// `GET` of the service with a token in the header.
async fn with_token(service: SocketAddr, path: &str, token: &str) -> Response {
    let mut client = Client::at(service, Mode::Header);
    client.access = Some(token.to_owned());
    client.peek("GET", path, None, &[]).await
}

/// Tries until the service answers with `status`: what it waits for is a fetch in the background.
async fn until(status: u16, service: SocketAddr, token: &str) {
    for _ in 0..200 {
        if with_token(service, "/report", token).await.status == status {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("the service never answered {status}");
}

fn b64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

#[tokio::test]
async fn beside_the_site_the_same_guard_asks_for_both_factors() {
    let (site, _, service) = both().await;
    let half = half(&site, Mode::Header, "half@example.com")
        .await
        .talking_to(service);
    assert_eq!(half.peek("GET", "/whoami", None, &[]).await.status, 200);
    for method in ["GET", "POST"] {
        let refused = half.peek(method, "/report", None, &[]).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        assert_eq!(refused.failed_claims(), ["st-mfa", "2fa-completed"]);
        assert!(refused.touches_no_token());
    }
    let full = full(&site, Mode::Header, "full@example.com", PHONE).await;
    let elsewhere = full.talking_to(service);
    for method in ["GET", "POST"] {
        let admitted = elsewhere.peek(method, "/report", None, &[]).await;
        assert_eq!(admitted.status, 200, "{admitted:?}");
        assert!(
            String::from_utf8(admitted.body)
                .unwrap()
                .ends_with(&full.user_id())
        );
    }
    let nobody = Client::at(service, Mode::Header)
        .peek("GET", "/report", None, &[])
        .await;
    assert_eq!((nobody.status, nobody.message().as_str()), (401, "unauthorised"));
    assert_eq!(
        Client::at(service, Mode::Header)
            .peek("GET", "/readyz", None, &[])
            .await
            .status,
        204
    );
}

#[tokio::test]
async fn what_the_site_did_not_sign_gets_nobody_in() {
    let (site, between, service) = both().await;
    let client = full(&site, Mode::Header, "ann@example.com", PHONE).await;
    let token = client.access_token().unwrap();
    let [header, payload, signature] = token.split('.').collect::<Vec<_>>()[..] else {
        panic!("{token}");
    };
    let kid =
        serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap()["kid"].clone();
    let own = |alg: &str| b64(json!({ "kid": kid, "typ": "JWT", "version": "5", "alg": alg }).to_string());
    let mut forged = vec![
        format!("{header}.{payload}."),
        format!("{header}.{payload}.{}", b64([0; 64])),
        format!("{}.{payload}.", own("none")),
        format!("{}.{payload}.{signature}", own("none")),
        format!("{}.{payload}.{signature}", own("ES384")),
    ];
    let mut other: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap();
    other["sub"] = json!("bob");
    forged.push(format!("{header}.{}.{signature}", b64(other.to_string())));
    // The public key as the secret of an HMAC, in every form in which it lies around.
    let jwks: Value = serde_json::from_str(&site.site.stepup.jwks().body).unwrap();
    let jwk = &jwks["keys"][0];
    let point: Vec<u8> = ["x", "y"]
        .iter()
        .flat_map(|part| URL_SAFE_NO_PAD.decode(jwk[part].as_str().unwrap()).unwrap())
        .collect();
    let secrets = [jwk.to_string().into_bytes(), jwks.to_string().into_bytes(), point];
    for secret in secrets {
        let message = format!("{}.{payload}", own("HS256"));
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
        mac.update(message.as_bytes());
        forged.push(format!("{message}.{}", b64(mac.finalize().into_bytes())));
    }
    // Another site's token is right in itself.
    let stranger = Server::start().await;
    let theirs = full(&stranger, Mode::Header, "ann@example.com", OTHER_PHONE).await;
    forged.push(theirs.access_token().unwrap().to_owned());
    let asked = between.asked();
    for forged in forged {
        let refused = with_token(service, "/whoami", &forged).await;
        assert_eq!(refused.status, 401, "{forged}: {refused:?}");
        assert!(refused.touches_no_token());
    }
    // Of all of them only the stranger's names a key that could be there.
    assert!(between.asked() <= asked + 1);
    assert_eq!(with_token(service, "/report", token).await.status, 200);

    // The very same keys under another issuer, or another audience.
    for change in [
        between.verifier(&site).issuer("https://api.acme.test/auth"),
        between.verifier(&site).issuer(format!("{}/", issuer(&site))),
        between
            .verifier(&site)
            .pin(|pinned| pinned.audience = Some("reports".to_owned())),
    ] {
        let verifier = change.start().await.unwrap();
        let strict = serve(verify_elsewhere::app(&verifier)).await;
        assert_eq!(with_token(strict, "/whoami", token).await.status, 401);
    }

    site.moved(HOUR / 3).await;
    let expired = with_token(service, "/whoami", token).await;
    assert_eq!(
        (expired.status, expired.message().as_str()),
        (401, "try refresh token")
    );
}

#[tokio::test]
async fn a_new_key_is_fetched_once_and_a_withdrawn_one_is_refused() {
    let (site, between, service) = both().await;
    let before = full(&site, Mode::Header, "ann@example.com", PHONE).await;
    let old = before.access_token().unwrap();
    assert_eq!(with_token(service, "/report", old).await.status, 200);
    // The site is set up anew: other keys, the same name.
    let anew = Server::start_with(|settings| {
        settings.api_domain = Some(site.site.stepup.app().api_origin().to_owned());
        settings.website_domain = Some(site.site.stepup.app().website_origin().to_owned());
    })
    .await;
    between.says(Says::TheKeysOf(anew.site.stepup.clone()));
    let asked = between.asked();
    let after = full(&anew, Mode::Header, "ann@example.com", PHONE).await;
    let new = after.access_token().unwrap();
    let first = with_token(service, "/report", new).await;
    assert_eq!(
        (first.status, first.message().as_str()),
        (401, "try refresh token")
    );
    until(200, service, new).await;
    assert_eq!(between.asked(), asked + 1);
    // Remembered or not: its key is gone.
    assert_eq!(with_token(service, "/report", old).await.status, 401);
}

#[tokio::test]
async fn a_flood_of_invented_keys_costs_the_site_one_request_in_ten_seconds() {
    let (site, between, service) = both().await;
    let client = full(&site, Mode::Header, "ann@example.com", PHONE).await;
    let token = client.access_token().unwrap();
    let rest = &token[token.find('.').unwrap()..];
    let asked = between.asked();
    for round in 1..=2 {
        for number in 0..40 {
            let header = format!(r#"{{"kid":"d-{number}","typ":"JWT","version":"5","alg":"ES256"}}"#);
            let refused = with_token(service, "/report", &format!("{}{rest}", b64(header))).await;
            assert_eq!(refused.status, 401);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(between.asked(), asked + round);
        assert_eq!(with_token(service, "/report", token).await.status, 200);
        site.moved(10).await;
    }
}

#[tokio::test]
async fn while_the_site_is_gone_its_keys_are_used_for_an_hour_and_then_nobody_gets_in() {
    let (site, between, service) = both().await;
    let mut client = full(&site, Mode::Header, "ann@example.com", PHONE).await;
    between.says(Says::Status(503));
    site.moved(HOUR - 60).await;
    client.refresh().await;
    assert_eq!(
        with_token(service, "/report", client.access_token().unwrap())
            .await
            .status,
        200
    );
    site.moved(120).await;
    let token = client.access_token().unwrap();
    let refused = with_token(service, "/report", token).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert!(refused.touches_no_token());
    assert_eq!(
        Client::at(service, Mode::Header)
            .peek("GET", "/readyz", None, &[])
            .await
            .status,
        503
    );
    // Documents that are no key set do not help.
    for document in [&b"{}"[..], b"<html>", br#"{"keys":[]}"#] {
        between.says(Says::Document(document.to_vec()));
        site.moved(10).await;
        assert_eq!(with_token(service, "/report", token).await.status, 503);
    }
    between.says(Says::TheKeysOf(site.site.stepup.clone()));
    site.moved(10).await;
    until(200, service, token).await;
}

#[tokio::test]
async fn without_keys_it_does_not_start_unless_it_may_wait() {
    let site = Server::start().await;
    let between = Between::new(&site).await;
    let client = full(&site, Mode::Header, "ann@example.com", PHONE).await;
    let token = client.access_token().unwrap();
    // Behind the redirect are the right keys.
    let behind = format!("{}/jwt/jwks.json", issuer(&site));
    let refusals = [
        Says::Status(404),
        Says::Location(behind),
        Says::Document(vec![b' '; 1 << 20]),
        Says::Document(b"{}".to_vec()),
    ];
    for says in refusals {
        between.says(says);
        let refused = between.verifier(&site).start().await;
        assert!(matches!(refused, Err(StartError::Keys(_))), "{refused:?}");
    }
    between.says(Says::TheKeysOf(site.site.stepup.clone()));
    for algorithm in [SigningAlgorithm::Rs256, SigningAlgorithm::EdDsa] {
        let refused = between.verifier(&site).algorithm(algorithm).start().await;
        assert!(
            matches!(refused, Err(StartError::Keys(FetchError::Keys(_)))),
            "{refused:?}"
        );
    }

    between.says(Says::Status(404));
    let verifier = between.verifier(&site).start_lazy().unwrap();
    let service = serve(verify_elsewhere::app(&verifier)).await;
    assert_eq!(with_token(service, "/report", token).await.status, 503);
    between.says(Says::TheKeysOf(site.site.stepup.clone()));
    site.moved(10).await;
    until(200, service, token).await;
}

#[tokio::test]
async fn a_cookie_counts_only_where_it_was_asked_for_and_only_from_the_services_own_pages() {
    let site = Server::start().await;
    let between = Between::new(&site).await;
    let client = full(&site, Mode::Cookie, "ann@example.com", PHONE).await;
    let app = AppInfo::new("Reports", "https://reports.acme.test", WEBSITE);
    let ask = async |service: SocketAddr, method: &'static str, headers: &[(&str, &str)]| {
        let mut lines = vec![(
            "cookie",
            format!("sAccessToken={}", client.access_token().unwrap()),
        )];
        lines.extend(headers.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let lines: Vec<(&str, &str)> = lines
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        bare(service, method, &lines).await
    };

    let headers_only = between.verifier(&site).app(app.clone()).start().await.unwrap();
    let service = serve(verify_elsewhere::app(&headers_only)).await;
    let ignored = ask(service, "GET", &[]).await;
    assert_eq!(
        (ignored.status, ignored.message().as_str()),
        (401, "unauthorised")
    );

    for same_site in [SameSite::Lax, SameSite::None] {
        let builder = between.verifier(&site).app(app.clone()).cookies(same_site);
        let service = serve(verify_elsewhere::app(&builder.start().await.unwrap())).await;
        assert_eq!(ask(service, "GET", &[]).await.status, 200);
        let from = async |origin| ask(service, "POST", &[("origin", origin), ("rid", "anti-csrf")]).await;
        for ours in [WEBSITE, "https://reports.acme.test"] {
            let admitted = from(ours).await;
            assert_eq!(admitted.status, 200, "{admitted:?}");
            assert_eq!(admitted.header("access-control-allow-origin"), Some(ours));
        }
        // A sibling is the same site to a browser, which attaches the cookie whatever its SameSite.
        for foreign in [SIBLING, "https://evil.test", "null"] {
            let refused = from(foreign).await;
            assert_eq!(refused.status, 403, "{foreign}: {refused:?}");
            assert_eq!(refused.header("access-control-allow-origin"), None);
        }
        for site in ["same-site", "cross-site"] {
            assert_eq!(
                ask(service, "POST", &[("sec-fetch-site", site), ("rid", "x")])
                    .await
                    .status,
                403
            );
        }
        let without_rid = ask(service, "POST", &[("origin", WEBSITE)]).await;
        assert_eq!(
            without_rid.status,
            if same_site == SameSite::None { 401 } else { 200 }
        );
    }
}

/// A request to the service with these headers, and without those that the kit's clients send by themselves.
async fn bare(service: SocketAddr, method: &str, headers: &[(&str, &str)]) -> Response {
    let headers = [&[("rid", "-")], headers].concat();
    Client::at(service, Mode::Header)
        .peek(method, "/report", None, &headers)
        .await
}

#[tokio::test]
async fn what_only_the_site_can_do_is_an_error_and_touches_nothing() {
    async fn merge(mut session: Session<AnySession>) -> Result<StatusCode, Answer> {
        let patch = json!({ "note": 1 }).as_object().unwrap().clone();
        match session.merge_payload(&patch).await {
            Ok(()) => Ok(StatusCode::OK),
            Err(error) => Err((StatusCode::CONFLICT, error.to_string()).into_response()),
        }
    }
    async fn revoke(session: Session<Require2fa>) -> StatusCode {
        match session.revoke().await {
            Ok(()) => StatusCode::OK,
            Err(_) => StatusCode::CONFLICT,
        }
    }
    async fn checked(session: Session<AnySession>) -> Result<StatusCode, stepup::axum::Rejection> {
        session.ask_store().await?;
        Ok(StatusCode::OK)
    }
    async fn log_in(_: stepup::axum::SignIn) -> StatusCode {
        StatusCode::OK
    }
    let site = Server::start().await;
    let verifier = Between::new(&site).await.verifier(&site).start().await.unwrap();
    let app = Router::new()
        .route("/merge", post(merge))
        .route("/revoke", post(revoke))
        .route("/checked", post(checked))
        .route("/log-in", post(log_in))
        .layer(stepup::axum::layer(&verifier));
    let service = serve(app).await;
    let client = full(&site, Mode::Header, "ann@example.com", PHONE).await;
    let elsewhere = client.talking_to(service);
    for (path, status) in [
        ("/merge", 409),
        ("/revoke", 409),
        ("/checked", 500),
        ("/log-in", 500),
    ] {
        let answer = elsewhere.peek("POST", path, None, &[]).await;
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.touches_no_token(), "{path}: {answer:?}");
        if path == "/merge" {
            assert!(String::from_utf8_lossy(&answer.body).contains("only verifies"));
        }
    }
    assert_eq!(client.peek("GET", "/api/secret", None, &[]).await.status, 200);
}

#[tokio::test]
async fn a_token_that_came_another_way_is_checked_the_same() {
    let site = Server::start().await;
    let verifier = Between::new(&site).await.verifier(&site).start().await.unwrap();
    let half = half(&site, Mode::Header, "half@example.com").await;
    let full = full(&site, Mode::Header, "full@example.com", PHONE).await;
    assert!(verifier.check::<Require2fa>(full.access_token().unwrap()).is_ok());
    assert!(
        verifier
            .check::<Require2fa>(half.access_token().unwrap())
            .is_err()
    );
    assert!(verifier.check::<AnySession>(half.access_token().unwrap()).is_ok());
    // What scripts may read is no token.
    let front = STANDARD.decode(full.front.as_deref().unwrap()).unwrap();
    assert!(
        verifier
            .check::<AnySession>(&String::from_utf8(front).unwrap())
            .is_err()
    );
}
