//! HTTP/2: there is no `Host` line, and a client may send each cookie in a line of its own (RFC 9113 §8.2.3).
//!
//! On Axum alone: what Actix Web and Rocket read HTTP/2 with has an open advisory (docs/decisions/0087-http2.md). Without TLS,
//! since what is proved here lies above it: the first bytes tell which version a client speaks.

use std::net::{SocketAddr, TcpListener};

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use http::{HeaderMap, Method, Response, StatusCode, Version, request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use stepup_testkit::app::TestApp;
use tokio::net::TcpStream;

mod axum {
    use axum::Router;
    use axum::routing::get;
    use stepup::axum::{Require2fa, Session};

    use super::{TcpListener, TestApp};
    use crate::subject::axum::{Stop, serve_router};

    async fn secret(_: Session<Require2fa>) -> &'static str {
        "in"
    }

    pub(super) fn serve(kit: &TestApp, listener: TcpListener) -> Stop {
        let app = Router::new()
            .route("/secret", get(secret).post(secret))
            .merge(stepup::axum::routes(&kit.stepup))
            .layer(stepup::axum::layer(&kit.stepup));
        serve_router(listener, app)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_guarded_over_http_2_as_over_http_1() {
    let kit = TestApp::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let guard = axum::serve(&kit, listener);
    a_session_is_guarded(&kit, address).await;
    drop(guard);
}

async fn a_session_is_guarded(kit: &TestApp, address: SocketAddr) {
    let nobody = ask(address, "/secret", request::Builder::new(), "").await;
    assert_eq!(nobody.status(), StatusCode::UNAUTHORIZED);

    let half = kit.request_as("bob").half().await;
    let refused = ask(address, "/secret", half, "").await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.body()["claimValidationErrors"][0]["id"], "st-mfa");

    let complete = ask(address, "/secret", kit.request_as("ann").complete().await, "").await;
    assert_eq!(
        (complete.status(), complete.version()),
        (StatusCode::OK, Version::HTTP_2)
    );

    // Each cookie in a line of its own, as browsers send them.
    let crumbs = with_cookies(kit, |token| {
        vec!["theme=dark".to_owned(), token, "sFrontToken=x".to_owned()]
    });
    assert_eq!(
        ask(address, "/secret", crumbs.await, "").await.status(),
        StatusCode::OK
    );
    // Two tokens of one name: their order decides nothing (R-COO-2), in whichever lines they come.
    let twice = with_cookies(kit, |token| vec![token, "sAccessToken=other".to_owned()]);
    assert_eq!(
        ask(address, "/secret", twice.await, "").await.status(),
        StatusCode::UNAUTHORIZED
    );

    // What changes something is taken from our own pages only.
    let own = kit.request_as("ann").complete().await.method(Method::POST);
    assert_eq!(ask(address, "/secret", own, "").await.status(), StatusCode::OK);
    let mut foreign = kit.request_as("ann").complete().await.method(Method::POST);
    let headers = foreign.headers_mut().unwrap();
    headers.insert(ORIGIN, "https://evil.example".parse().unwrap());
    let foreign = ask(address, "/secret", foreign, "").await;
    assert!(foreign.status().is_client_error(), "{}", foreign.status());
    assert!(!foreign.headers().contains_key(ACCESS_CONTROL_ALLOW_ORIGIN));

    // The protocol's own endpoints, with a body, and with all the cookies they set.
    let form = json!({ "formFields": [
        { "id": "email", "value": "h2@example.org" },
        { "id": "password", "value": "correct horse battery staple" },
    ]});
    let sign_up = request::Builder::new()
        .method(Method::POST)
        .header(CONTENT_TYPE, "application/json")
        .header("st-auth-mode", "cookie")
        .header(ORIGIN, "http://localhost:3000");
    let made = ask(address, "/auth/signup", sign_up, &form.to_string()).await;
    assert_eq!(
        (made.status(), &made.body()["status"]),
        (StatusCode::OK, &json!("OK"))
    );
    let cookies = names(made.headers());
    assert!(cookies.contains(&"sAccessToken".to_owned()), "{cookies:?}");
    assert!(cookies.contains(&"sRefreshToken".to_owned()), "{cookies:?}");
}

/// A complete request of Ann's, whose cookies come in these lines.
async fn with_cookies(kit: &TestApp, lines: impl FnOnce(String) -> Vec<String>) -> request::Builder {
    let mut request = kit.request_as("ann").complete().await;
    let headers = request.headers_mut().unwrap();
    let token = headers.remove(COOKIE).unwrap().to_str().unwrap().to_owned();
    for line in lines(token) {
        headers.append(COOKIE, line.parse().unwrap());
    }
    request
}

fn names(headers: &HeaderMap) -> Vec<String> {
    let lines = headers.get_all(SET_COOKIE).iter();
    lines
        .map(|line| line.to_str().unwrap().split('=').next().unwrap().to_owned())
        .collect()
}

/// Asks over a connection of its own, which speaks HTTP/2 from its first byte.
async fn ask(address: SocketAddr, path: &str, request: request::Builder, body: &str) -> Response<Value> {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    let request = request
        .uri(format!("http://localhost:{}{path}", address.port()))
        .body(Full::new(Bytes::from(body.to_owned())))
        .unwrap();
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, serde_json::from_slice(&body).unwrap_or_default())
}
