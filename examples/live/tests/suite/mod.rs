//! Streams end with their session, and no other page opens one, whatever serves them.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{Request, StatusCode, request};
use stepup::{TenantId, UserId};
use stepup_testkit::app::TestApp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::serve;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Makes a handshake of a request.
fn handshake(address: SocketAddr, request: request::Builder) -> Request<()> {
    request
        .uri(format!("ws://{address}/socket"))
        .header("host", address.to_string())
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", generate_key())
        .body(())
        .unwrap()
}

async fn open(address: SocketAddr, request: request::Builder) -> Result<Socket, StatusCode> {
    match tokio_tungstenite::connect_async(handshake(address, request)).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status()),
        Err(other) => panic!("{other}"),
    }
}

async fn echoes(socket: &mut Socket) {
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(
        soon(socket.next()).await.unwrap().unwrap(),
        Message::text("hello")
    );
}

/// The reason that the server closed with.
async fn closing(socket: &mut Socket) -> String {
    match soon(socket.next()).await {
        Some(Ok(Message::Close(Some(frame)))) => frame.reason.to_string(),
        other => panic!("not closed: {other:?}"),
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(5), what)
        .await
        .expect("in time")
}

/// An event stream, read as bytes.
struct Events {
    stream: TcpStream,
    read: String,
}

impl Events {
    async fn open(address: SocketAddr, path: &str, request: request::Builder) -> Self {
        let request = request.body(()).unwrap();
        let mut text = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in request.headers() {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
        let mut events = Self {
            stream,
            read: String::new(),
        };
        events.until("event: tick\n").await;
        events.until("data: 0\n").await;
        assert!(events.read.starts_with("HTTP/1.1 200"), "{}", events.read);
        events
    }

    async fn until(&mut self, wanted: &str) {
        // The blank after a field's name may be left out, and each line may be a chunk of its own.
        let wanted = wanted.replace(": ", ":");
        let mut buffer = [0; 1024];
        while !self.read.replace(": ", ":").contains(&wanted) {
            let count = soon(self.stream.read(&mut buffer)).await.unwrap();
            assert!(count > 0, "it ended before {wanted:?}: {}", self.read);
            self.read.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    }

    /// The last event, and then nothing more.
    async fn end(mut self, why: &str) {
        self.until("event: end\n").await;
        self.until(&format!("data: {why}\n")).await;
        // The last chunk.
        self.until("\r\n0\r\n").await;
    }
}

/// Signs somebody out over the protocol.
async fn sign_out(address: SocketAddr, request: request::Builder) {
    let request = request.body(()).unwrap();
    let mut text = format!(
        "POST /auth/signout HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 0\r\n"
    );
    for (name, value) in request.headers() {
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

async fn user(kit: &TestApp, name: &str) -> (TenantId, UserId) {
    (TenantId::public(), kit.user_id(name).await)
}

#[tokio::test]
async fn csr_11_streams_end_at_sign_out_and_those_of_others_go_on() {
    let kit = TestApp::new().await;
    let address = serve(&kit).await;
    let mut socket = open(address, kit.request_as("ann").complete().await)
        .await
        .unwrap();
    let mut events = Events::open(address, "/events", kit.request_as("ann").complete().await).await;
    let mut others = open(address, kit.request_as("bob").complete().await)
        .await
        .unwrap();
    echoes(&mut socket).await;
    // Time passes, and nothing happens.
    kit.advance(Duration::from_secs(30)).await;
    echoes(&mut socket).await;
    events.until("data: 1").await;

    sign_out(address, kit.request_as("ann").complete().await).await;
    assert_eq!(closing(&mut socket).await, "revoked");
    events.end("revoked").await;
    echoes(&mut others).await;
}

#[tokio::test]
async fn csr_11_streams_end_when_the_token_expires() {
    let kit = TestApp::new().await;
    let address = serve(&kit).await;
    let mut socket = open(address, kit.request_as("ann").complete().await)
        .await
        .unwrap();
    let events = Events::open(address, "/events", kit.request_as("ann").complete().await).await;
    let life = kit.stepup.config().sessions.access;
    kit.advance(life - Duration::from_secs(1)).await;
    echoes(&mut socket).await;
    kit.advance(Duration::from_secs(1)).await;
    assert_eq!(closing(&mut socket).await, "expired");
    events.end("expired").await;
    // The client refreshes, and is back.
    let mut again = open(address, kit.request_as("ann").complete().await)
        .await
        .unwrap();
    echoes(&mut again).await;
}

#[tokio::test]
async fn csr_11_a_stream_ends_when_its_requirement_is_lost() {
    let kit = TestApp::new().await;
    let address = serve(&kit).await;
    let fresh = Events::open(address, "/events/fresh", kit.request_as("ann").complete().await).await;
    let mut socket = open(address, kit.request_as("ann").complete().await)
        .await
        .unwrap();
    kit.advance(Duration::from_secs(299)).await;
    kit.advance(Duration::from_secs(2)).await;
    fresh.end("requirement").await;
    // What asks for less goes on, until the factors are reset.
    echoes(&mut socket).await;
    let (tenant, ann) = user(&kit, "ann").await;
    assert!(kit.stepup.reset_factors(&tenant, &ann).await.unwrap());
    assert_eq!(closing(&mut socket).await, "revoked");
}

#[tokio::test]
async fn csr_11_streams_end_however_the_session_is_ended() {
    let kit = TestApp::new().await;
    let address = serve(&kit).await;
    for (name, how) in [("a", 0), ("b", 1), ("c", 2), ("d", 3)] {
        let mut socket = open(address, kit.request_as(name).complete().await)
            .await
            .unwrap();
        echoes(&mut socket).await;
        let (tenant, id) = user(&kit, name).await;
        let sessions = kit.stepup.sessions(&tenant, &id).await.unwrap();
        let done = match how {
            0 => kit.stepup.revoke(&sessions[0].handle).await.unwrap(),
            1 => kit.stepup.revoke_all(&tenant, &id).await.unwrap().len() == 1,
            2 => kit.stepup.disable(&tenant, &id).await.unwrap(),
            _ => kit.stepup.delete(&tenant, &id).await.unwrap(),
        };
        assert!(done, "{name}");
        assert_eq!(closing(&mut socket).await, "revoked", "{name}");
    }
}

#[tokio::test]
async fn csr_11_no_other_page_and_no_half_login_opens_a_socket() {
    let kit = TestApp::new().await;
    let address = serve(&kit).await;
    assert_eq!(
        open(address, Request::builder()).await.unwrap_err(),
        StatusCode::UNAUTHORIZED
    );
    let half = kit.request_as("ann").half().await;
    assert_eq!(open(address, half).await.unwrap_err(), StatusCode::FORBIDDEN);
    for origin in [
        "https://evil.example",
        "http://sub.localhost:3000",
        "http://localhost:3001",
        "null",
    ] {
        let mut request = kit.request_as("ann").complete().await;
        let headers = request.headers_mut().unwrap();
        headers.insert("origin", origin.parse().unwrap());
        assert_eq!(
            open(address, request).await.unwrap_err(),
            StatusCode::FORBIDDEN,
            "{origin}"
        );
    }
    // Apps send no origin, and carry their token by themselves.
    assert!(
        open(address, kit.request_as("ann").by_header().complete().await)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_stream_that_is_hung_up_is_waited_for_no_longer() {
    let kit = TestApp::new().await;
    let address = serve(&kit).await;
    let mut socket = open(address, kit.request_as("ann").complete().await)
        .await
        .unwrap();
    echoes(&mut socket).await;
    socket.close(None).await.unwrap();
    while let Some(Ok(_)) = soon(socket.next()).await {}
    // Nothing is left to call: the tick and the end of the session find nobody.
    kit.advance(Duration::from_secs(1)).await;
    sign_out(address, kit.request_as("ann").complete().await).await;
}
