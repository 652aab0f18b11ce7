//! The application on a port of its own, and clients of both versions of HTTP.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "each test file uses a part of it, and a test fails by panic"
)]

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Body;
use hyper::header::HOST;
use hyper::http::request;
use hyper::{Request, Response, Uri};
use hyper_util::rt::{TokioExecutor, TokioIo};
use on_hyper::{Bounds, app, serve};
use stepup_testkit::app::TestApp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// What nobody waits longer for.
pub const SOON: Duration = Duration::from_secs(30);

/// A running application.
pub struct Site {
    pub kit: TestApp,
    pub address: SocketAddr,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug)]
pub enum Version {
    One,
    Two,
}

pub const BOTH: [Version; 2] = [Version::One, Version::Two];

impl Site {
    pub async fn start() -> Self {
        Self::within(Bounds::default()).await
    }

    pub async fn within(bounds: Bounds) -> Self {
        let kit = TestApp::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(serve(listener, app(&kit.stepup), bounds, pending()));
        Self { kit, address }
    }

    /// Sends a request, in a connection of its own.
    pub async fn send(&self, version: Version, request: request::Builder) -> Response<Bytes> {
        self.send_body(version, request, Full::new(Bytes::new())).await
    }

    pub async fn send_body<B>(&self, version: Version, request: request::Builder, body: B) -> Response<Bytes>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let answer = self.try_send(version, request, body).await;
        answer.unwrap_or_else(|error| panic!("{version:?}: {error:?}"))
    }

    pub async fn try_send<B>(
        &self,
        version: Version,
        request: request::Builder,
        body: B,
    ) -> hyper::Result<Response<Bytes>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let mut request = request.body(body).unwrap();
        let io = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let exchange = async {
            let response = match version {
                Version::One => {
                    request
                        .headers_mut()
                        .entry(HOST)
                        .or_insert("localhost".parse().unwrap());
                    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
                    tokio::spawn(connection);
                    sender.send_request(request).await?
                }
                Version::Two => {
                    absolute(&mut request);
                    let (mut sender, connection) =
                        hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
                    tokio::spawn(connection);
                    sender.send_request(request).await?
                }
            };
            let (parts, body) = response.into_parts();
            Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
        };
        timeout(SOON, exchange).await.expect("an answer in time")
    }

    /// Sends bytes and reads until the server closes, which it is asked to.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let _ = stream.write_all(bytes).await;
        let mut all = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut all))
            .await
            .expect("an answer in time");
        String::from_utf8_lossy(&all).into_owned()
    }

    /// That the process serves others.
    pub async fn lives(&self) {
        for version in BOTH {
            let ann = self.kit.request_as("ann").complete().await.uri("/secret");
            assert_eq!(self.send(version, ann).await.status(), 200);
        }
    }
}

/// HTTP/2 wants scheme and authority.
fn absolute<B>(request: &mut Request<B>) {
    if request.uri().authority().is_none() {
        let uri = format!("http://localhost{}", request.uri());
        *request.uri_mut() = uri.parse::<Uri>().unwrap();
    }
}

pub fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}
