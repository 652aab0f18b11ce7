use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

/// Answers every connection with `answer`, byte for byte. Its address, and how many came.
async fn answering(answer: Vec<u8>) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 2048]).await;
            let _ = stream.write_all(&answer).await;
        }
    });
    (url, count)
}

async fn fetched(answer: impl Into<Vec<u8>>) -> Result<Fetched, FetchError> {
    let (url, _) = answering(answer.into()).await;
    HttpSource::new(&url, None).unwrap().fetch().await
}

#[test]
fn only_https_is_fetched_except_on_this_machine() {
    for good in [
        "https://api.acme.test/auth/jwt/jwks.json",
        "http://localhost:3000/auth/jwt/jwks.json",
        "http://127.0.0.1:3000/x",
        "http://[::1]/x",
    ] {
        assert!(HttpSource::new(good, None).is_ok(), "{good}");
    }
    for wrong in [
        "http://api.acme.test/auth/jwt/jwks.json",
        "http://localhost.evil.test/x",
        "https://user:pass@api.acme.test/x",
        "http://localhost@evil.test/x",
        "https://api.acme.test/x#y",
        "file:///etc/keys.json",
        "ftp://api.acme.test",
        "api.acme.test",
        "",
    ] {
        assert!(HttpSource::new(wrong, None).is_err(), "{wrong}");
    }
}

#[test]
fn roots_without_a_certificate_are_refused() {
    let address = "https://api.acme.test/auth/jwt/jwks.json";
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for roots in [&b""[..], b"no certificate", broken] {
        assert!(HttpSource::new(address, Some(roots)).is_err(), "{roots:?}");
    }
}

#[test]
fn the_age_is_read_of_cache_control_alone() {
    let read = |text: &str| max_age(&HeaderValue::from_str(text).unwrap()).map(|age| age.as_secs());
    assert_eq!(read("public, max-age=300"), Some(300));
    assert_eq!(read("Max-Age=5, must-revalidate"), Some(5));
    assert_eq!(read("no-store"), Some(0));
    assert_eq!(read("max-age=60, no-cache"), Some(0));
    for nothing in ["", "public", "max-age", "max-age=-1", "max-age=x", "s-maxage=9"] {
        assert_eq!(read(nothing), None, "{nothing}");
    }
}

#[tokio::test]
async fn what_was_answered_is_brought_whatever_its_type_says() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncache-control: max-age=90\r\ncontent-length: 11\r\n\r\n{\"keys\":[]}";
    let fetched = fetched(answer).await.unwrap();
    assert_eq!(fetched.document, br#"{"keys":[]}"#);
    assert_eq!(fetched.max_age, Some(Duration::from_secs(90)));
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other_that_is_not_200() {
    let (elsewhere, reached) = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_vec()).await;
    for status in [301, 302, 307, 308] {
        let answer = format!("HTTP/1.1 {status} Moved\r\nlocation: {elsewhere}\r\ncontent-length: 0\r\n\r\n");
        assert!(matches!(fetched(answer).await, Err(FetchError::Status(code)) if code == status));
    }
    for status in [204, 404, 500] {
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\n\r\n");
        assert!(matches!(fetched(answer).await, Err(FetchError::Status(code)) if code == status));
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_document_without_end_is_broken_off() {
    let mut announced = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1 << 30).into_bytes();
    announced.resize(announced.len() + 4 * MAX_KEY_SET, b' ');
    let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for _ in 0..40 {
        chunked.extend_from_slice(b"400\r\n");
        chunked.resize(chunked.len() + 0x400, b' ');
        chunked.extend_from_slice(b"\r\n");
    }
    for answer in [announced, chunked] {
        let refused = fetched(answer).await;
        assert!(
            matches!(refused, Err(FetchError::Keys(KeySetError::TooLong))),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn nobody_there_is_an_error_that_names_no_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/secret-path", listener.local_addr().unwrap());
    drop(listener);
    let error = HttpSource::new(&url, None).unwrap().fetch().await.unwrap_err();
    assert!(matches!(error, FetchError::Unreachable(_)));
    assert!(!format!("{error:?}").contains("secret-path"), "{error:?}");
}
