//! What the tests of carriers have in common: messages, and a server on this machine that writes down what it is sent.

#![allow(dead_code, unreachable_pub, reason = "each test takes what it needs")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use stepup_core::AppInfo;
use stepup_core::delivery::{Channel, Content, DeliveryError, Message};
use stepup_core::time::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

pub(crate) const AT: i64 = 1_700_000_000_000;

pub(crate) fn code(channel: Channel, to: &str) -> Message {
    let content = Content::Code {
        code: "123456".to_owned().into(),
        lifetime: Duration::from_secs(300),
        second_factor: true,
    };
    message(channel, to, content)
}

pub(crate) fn message(channel: Channel, to: &str, content: Content) -> Message {
    let app = AppInfo::new("Acme", "https://api.acme.test", "https://acme.test");
    Message::new(
        "m-1".to_owned(),
        (channel, to.to_owned()),
        content,
        &app,
        Timestamp::from_ms(AT),
    )
}

/// What a carrier's error is.
pub(crate) fn is<E: std::error::Error + PartialEq + 'static>(
    told: &Result<(), DeliveryError>,
    wanted: &E,
) -> bool {
    matches!(told, Err(error) if error.source.downcast_ref::<E>() == Some(wanted))
}

/// What a server was told.
pub(crate) type Seen = Arc<Mutex<Vec<String>>>;

/// An HTTP server that writes down each request and gives one answer to all. None: it never answers.
pub(crate) async fn http(answer: Option<&'static str>) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut request = String::new();
                while !request.ends_with("\r\n\r\n") {
                    if stream.read_line(&mut request).await.unwrap() == 0 {
                        return;
                    }
                }
                let length = header(&request, "content-length").parse().unwrap();
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                request.push_str(std::str::from_utf8(&body).unwrap());
                log.lock().unwrap().push(request);
                match answer {
                    Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                    None => std::future::pending().await,
                }
            });
        }
    });
    (url, seen)
}

pub(crate) fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let lines = request.lines().filter_map(|line| line.split_once(": "));
    let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value).unwrap()
}

pub(crate) fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}

pub(crate) const TAKEN: &str = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
