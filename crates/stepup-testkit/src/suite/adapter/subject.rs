//! A server under test, and how it is spoken to.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Method, Request, request};
use serde_json::Value;
use stepup_wire::Peer;

use super::Application;
use super::application::level;
use crate::app::TestApp;
use crate::transcript::{Answer, Connection};

/// An application on the adapter under test, with everything around it.
#[derive(Debug)]
pub struct Subject {
    /// stepup, as the application has it: people, their messages, and the time.
    pub kit: TestApp,
    /// The same, known to no server: what it says is what the server has to say.
    pub twin: TestApp,
    address: SocketAddr,
}

impl Subject {
    pub(super) async fn new() -> (Self, Application) {
        let kit = || TestApp::with(|builder| builder.claim(level()));
        let subject = Self {
            kit: kit().await,
            twin: kit().await,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let application = Application::new(subject.kit.wire().clone());
        (subject, application)
    }

    pub(super) fn at(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a request without a body, on a connection of its own.
    pub async fn send(&self, request: request::Builder) -> Answer {
        self.post(request, None).await
    }

    /// Sends a request with a body of JSON, on a connection of its own.
    pub async fn post(&self, request: request::Builder, body: Option<&Value>) -> Answer {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = request.body(Bytes::from(body)).unwrap();
        if !request.body().is_empty() {
            let json = HeaderValue::from_static("application/json");
            request.headers_mut().insert(CONTENT_TYPE, json);
        }
        self.ask(&request).await
    }

    /// Sends a request as it is, on a connection of its own.
    pub async fn ask(&self, request: &Request<Bytes>) -> Answer {
        let mut connection = Connection::open(self.address).await;
        connection.send(&written(request)).await;
        connection.answer(request.method().as_str()).await
    }

    /// What the protocol answers to it, without a server.
    pub async fn says(&self, mut request: Request<Bytes>) -> Answer {
        request.extensions_mut().insert(Peer(self.address.ip()));
        let response = self.twin.wire().handle(request).await;
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status.as_u16(),
            headers: parts
                .headers
                .iter()
                .map(|(name, value)| {
                    let value = String::from_utf8_lossy(value.as_bytes());
                    (name.as_str().to_owned(), value.into_owned())
                })
                .collect(),
            body: body.to_vec(),
        }
    }
}

/// A request as bytes.
pub(super) fn written(request: &Request<Bytes>) -> Vec<u8> {
    let mut bytes = format!("{} {} HTTP/1.1\r\n", request.method(), request.uri()).into_bytes();
    let mut line = |name: &HeaderName, value: &[u8]| {
        bytes.extend(name.as_str().as_bytes());
        bytes.extend(b": ");
        bytes.extend(value);
        bytes.extend(b"\r\n");
    };
    if !request.headers().contains_key(HOST) {
        line(&HOST, b"localhost");
    }
    for (name, value) in request.headers() {
        line(name, value.as_bytes());
    }
    if !request.body().is_empty() || request.method() == Method::POST {
        line(&CONTENT_LENGTH, request.body().len().to_string().as_bytes());
    }
    bytes.extend(b"\r\n");
    bytes.extend(request.body());
    bytes
}
