//! Attacks on what a server has of everything: connections, memory, time.

use std::net::SocketAddr;
use std::time::Duration;

use demo_axum::serve::{Bounds, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::kit::serving::only_on_axum;
use super::kit::{Client, Mode, Server};

const SHORT: Duration = Duration::from_millis(300);
/// Far more than any deadline here: who has to wait for so long waits in vain.
const LONG: Duration = Duration::from_secs(20);

/// The demo behind the hardened server, with short deadlines.
struct Hardened {
    address: SocketAddr,
    // Its database and its background live here.
    _server: Server,
    serving: JoinHandle<()>,
}

impl Hardened {
    async fn start(connections: usize) -> Self {
        // The deadlines are those of the demo's own server on Axum; the others bring theirs.
        only_on_axum();
        let server = Server::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = demo_axum::app_within(server.site.clone(), SHORT);
        let bounds = Bounds {
            head: SHORT,
            answer: SHORT,
            connections,
            ..Bounds::default()
        };
        let serving = tokio::spawn(async move {
            serve(listener, app, bounds, std::future::pending())
                .await
                .unwrap();
        });
        Self {
            address,
            _server: server,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

impl Drop for Hardened {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// All that the server still says before it hangs up. Bytes are dripped until then.
async fn until_closed(mut stream: TcpStream, drip: &[u8]) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    tokio::time::timeout(LONG, async {
        loop {
            tokio::select! {
                read = stream.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(n) => said.extend_from_slice(&buffer[..n]),
                },
                () = tokio::time::sleep(SHORT / 4) => {
                    // Hung up upon is what is wanted.
                    let _ = stream.write_all(drip).await;
                }
            }
        }
    })
    .await
    .expect("the server hangs up");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_res_05_whoever_drips_a_head_is_hung_up_on() {
    let hardened = Hardened::start(64).await;
    let mut stream = hardened.connect().await;
    stream
        .write_all(b"POST /auth/signin HTTP/1.1\r\nhost: localhost\r\n")
        .await
        .unwrap();
    let said = until_closed(stream, b"x-a: b\r\n").await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
}

#[tokio::test]
async fn a_res_05_whoever_drips_a_body_is_told_and_hung_up_on() {
    let hardened = Hardened::start(64).await;
    let mut stream = hardened.connect().await;
    stream
        .write_all(
            b"POST /auth/signin HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n{",
        )
        .await
        .unwrap();
    let said = until_closed(stream, b" ").await;
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(
        said.contains(r#"{"message":"the request took too long"}"#),
        "{said}"
    );
}

#[tokio::test]
async fn a_res_05_idle_connections_make_room_for_others() {
    let hardened = Hardened::start(8).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(hardened.connect().await);
    }
    // Behind a hundred silent ones; each of them is closed in its turn.
    let mut stream = hardened.connect().await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LONG, stream.read_to_string(&mut answer))
        .await
        .expect("an answer")
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_res_05_whoever_does_not_take_the_answers_is_hung_up_on() {
    let hardened = Hardened::start(1).await;
    let mut deaf = hardened.connect().await;
    let requests = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(64);
    // Until the server can write no more, and therefore reads no more.
    while let Ok(Ok(())) = tokio::time::timeout(SHORT, deaf.write_all(&requests)).await {}
    // There is room for one connection, so this one is served when that one has gone.
    let mut stream = hardened.connect().await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LONG, stream.read_to_string(&mut answer))
        .await
        .expect("an answer")
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_res_05_an_ordinary_client_notices_nothing_of_it() {
    let hardened = Hardened::start(64).await;
    let mut ann = Client::at(hardened.address, Mode::Cookie);
    let answer = ann.sign_up("ann@example.com").await;
    assert_eq!(answer.status_field(), "OK");
}
