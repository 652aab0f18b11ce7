//! Bodies that do not come.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use actix_web::middleware::from_fn;
use actix_web::{App, HttpResponse, HttpServer, web};
use demo_actix::body::held;

#[tokio::test]
async fn whoever_sends_half_a_body_is_answered_and_hung_up_on() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let app = || {
        App::new()
            .route(
                "/lets-go",
                web::to(async |_: web::Payload| HttpResponse::Forbidden()),
            )
            .route("/echoes", web::to(async |body: web::Bytes| body))
            .wrap(from_fn(held))
    };
    let server = HttpServer::new(app).workers(1).disable_signals();
    tokio::spawn(server.listen(listener).unwrap().run());
    for (path, rest, expected) in [
        ("/lets-go", "", "HTTP/1.1 403"),
        ("/nothing", "", "HTTP/1.1 404"),
        ("/echoes", "0\r\n\r\n", "hello"),
    ] {
        let answer = tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(8))).unwrap();
            let close = if rest.is_empty() {
                ""
            } else {
                "connection: close\r\n"
            };
            let half = format!(
                "POST {path} HTTP/1.1\r\nhost: a\r\n{close}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n{rest}"
            );
            stream.write_all(half.as_bytes()).unwrap();
            let mut answer = String::new();
            // Until the server hangs up.
            stream.read_to_string(&mut answer).unwrap();
            answer
        });
        let answer = answer.await.unwrap();
        assert!(answer.contains(expected), "{path}: {answer}");
    }
}
