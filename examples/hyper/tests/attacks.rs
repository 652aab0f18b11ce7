//! Ways around the guards, and clients that want to wear the server out.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod kit;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderValue};
use hyper::{Method, Request};
use kit::{BOTH, SOON, Site, Version};
use on_hyper::Bounds;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

#[tokio::test(flavor = "multi_thread")]
async fn no_other_spelling_of_a_path_or_method_gets_in() {
    let site = Site::start().await;
    for version in BOTH {
        for path in [
            "/secret?x=/auth/",
            "/secret/",
            "//secret",
            "/./secret",
            "/auth/../secret",
            "/auth/..%2fsecret",
            "/%73ecret",
            "/secret%2f",
            "/secret;x",
            "/Secret",
            "/authsecret",
            "/auth//secret",
            "/auth/secret",
            "/public/auth/../../secret",
        ] {
            for method in ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "get", "GETX"] {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let request = Request::builder().method(&method).uri(path);
                let sent = site.try_send(version, request, Full::new(Bytes::new())).await;
                let answer = sent.unwrap_or_else(|error| panic!("{version:?} {method} {path}: {error:?}"));
                let refused = answer.status().is_client_error() || answer.status() == 204;
                assert!(refused, "{version:?} {method} {path}: {answer:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_of_a_target_that_frameworks_read_differently_get_nobody_in() {
    let site = Site::start().await;
    for line in [
        "GET http://localhost/secret HTTP/1.1",
        "GET http://evil.test/secret HTTP/1.1",
        "CONNECT localhost:80 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET secret HTTP/1.1",
        "GET \\secret HTTP/1.1",
        "GET /secret HTTP/1.0",
        "GET /secret",
    ] {
        let answer = site
            .raw(format!("{line}\r\nhost: localhost\r\nconnection: close\r\n\r\n").as_bytes())
            .await;
        assert!(
            !answer.starts_with("HTTP/1.1 2") && !answer.contains("hello"),
            "{line}: {answer}"
        );
    }
    site.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_trailer_is_no_token() {
    let site = Site::start().await;
    let ann = site.kit.request_as("ann").by_header().complete().await;
    let token = ann.body(()).unwrap().headers()[AUTHORIZATION].clone();
    let cookie = site.kit.request_as("ann").complete().await.body(()).unwrap();
    let cookie = cookie.headers()[COOKIE].clone();
    for version in BOTH {
        for path in ["/note", "/auth/signout"] {
            let mut trailers = HeaderMap::new();
            trailers.insert(AUTHORIZATION, token.clone());
            trailers.insert(COOKIE, cookie.clone());
            let body = Full::new(Bytes::from_static(b"{}")).with_trailers(async { Some(Ok(trailers)) });
            let request = Request::post(path)
                .header("trailer", "authorization, cookie")
                .header("content-type", "application/json");
            let answer = site.send_body(version, request, Box::pin(body)).await;
            assert_eq!(answer.status(), 401, "{version:?} {path}");
        }
    }
    site.lives().await;
    let same = Request::get("/secret").header(AUTHORIZATION, token);
    assert_eq!(site.send(Version::Two, same).await.status(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_so_before_the_body_is_read() {
    let site = Site::start().await;
    // HTTP/1.1: neither `100 Continue`, nor a wait for what was announced.
    let head = "POST /note HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 1000000000\r\n\r\n";
    let answer = site.raw(head.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    // HTTP/2: a body that never ends.
    let answer = site
        .send_body(Version::Two, Request::post("/note"), Box::pin(Endless))
        .await;
    assert_eq!(answer.status(), 401);
    // Whoever may, may send so much.
    for version in BOTH {
        let ann = site.kit.request_as("ann").complete().await;
        let request = ann.method(Method::POST).uri("/note");
        match site.try_send(version, request, Box::pin(Endless)).await {
            Ok(answer) => assert_eq!(answer.status(), 413),
            // The answer went by while the client was still writing, and the connection was closed.
            Err(error) => assert!(matches!(version, Version::One), "{error:?}"),
        }
    }
    site.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_http_2_needs_no_length_to_count_as_one() {
    let site = Site::start().await;
    // An old browser without `Origin` and fetch metadata, which posts a form: nothing vouches for the page.
    let mut ann = site.kit.request_as("ann").complete().await;
    let headers = ann.headers_mut().unwrap();
    headers.remove("origin");
    headers.remove("rid");
    headers.insert(
        "content-type",
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    let body = Full::new(Bytes::from_static(b"a=b")).with_trailers(async { None });
    let answer = site
        .send_body(
            Version::Two,
            ann.method(Method::POST).uri("/note"),
            Box::pin(body),
        )
        .await;
    assert_eq!(answer.status(), 415, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_without_measure_are_refused_and_the_process_lives() {
    let site = Site::start().await;
    for version in BOTH {
        for (name, value) in [
            ("authorization", format!("Bearer {}", "a".repeat(1 << 19))),
            ("cookie", format!("sAccessToken={}", "a".repeat(1 << 19))),
            ("x", "a".repeat(1 << 19)),
        ] {
            let request = Request::get("/secret").header(name, value);
            match site.try_send(version, request, Full::new(Bytes::new())).await {
                Ok(answer) => assert!(answer.status().is_client_error(), "{answer:?}"),
                Err(error) => assert!(!error.is_timeout(), "{error:?}"),
            }
        }
        let many = (0..20_000).fold(Request::get("/secret"), |request, n| {
            request.header("cookie", format!("a{n}=b"))
        });
        match site.try_send(version, many, Full::new(Bytes::new())).await {
            Ok(answer) => assert!(answer.status().is_client_error(), "{answer:?}"),
            Err(error) => assert!(!error.is_timeout(), "{error:?}"),
        }
    }
    site.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_opens_a_connection_and_says_nothing_is_hung_up_on() {
    let site = Site::within(Bounds {
        head: Duration::from_millis(200),
        stop: Duration::from_millis(200),
        ..Bounds::default()
    })
    .await;
    // Nothing, a part of the preface of HTTP/2, the whole of it, and a part of a head.
    for words in [
        "",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /secret HTTP/1.1\r\nhost:",
    ] {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        stream.write_all(words.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        let closed = timeout(SOON, stream.read_to_end(&mut all)).await;
        assert!(closed.is_ok(), "{words:?} is still served");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_in_the_middle_takes_nothing_with_it() {
    let site = Site::start().await;
    let ann = site.kit.request_as("ann").by_header().complete().await;
    let token = ann.body(()).unwrap().headers()[AUTHORIZATION].clone();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(site.address).await.unwrap();
        let head = format!(
            "POST /note HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\ncontent-length: 100\r\n\r\nhalf",
            token.to_str().unwrap()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        drop(stream);
    }
    site.lives().await;
}

/// A body without end.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Bytes>, std::io::Error>>> {
        let data = hyper::body::Frame::data(Bytes::from_static(&[b'x'; 1024]));
        std::task::Poll::Ready(Some(Ok(data)))
    }
}
