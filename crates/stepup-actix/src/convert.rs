//! Actix Web's types, which are those of `http` 0.2, to and from those of `http` 1: by name and by bytes.

use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::error::PayloadError;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use actix_web::web::{Bytes, Payload};
use actix_web::{HttpRequest, HttpResponse};
use futures_util::StreamExt;
use http::request::Parts;
use http_body::{Body, Frame, SizeHint};
use stepup_wire::{Peer, Visit, guard_headers, is_written, other_headers, written_headers};

/// What guards read of a request.
pub(crate) fn parts(request: &HttpRequest) -> Parts {
    // Guards read no address.
    stepup_wire::parts(
        method(request),
        http::Uri::default(),
        guard_headers(lines(request.headers())),
    )
}

/// What is read beside it by those who sign somebody in, and by the endpoints.
pub(crate) fn other(request: &HttpRequest) -> http::HeaderMap {
    other_headers(lines(request.headers()))
}

/// A request to an endpoint, and its body, which is still to be read.
pub(crate) fn request(request: &HttpRequest, payload: Payload) -> http::Request<Streamed> {
    let mut parts = parts(request);
    parts.headers.extend(other(request));
    // What is no address for `http` 1 is none of an endpoint either.
    parts.uri = http::Uri::try_from(request.uri().to_string()).unwrap_or_default();
    if let Some(peer) = peer(request) {
        parts.extensions.insert(peer);
    }
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    http::Request::from_parts(parts, Streamed { payload, length })
}

/// The address at the other end of the connection.
pub(crate) fn peer(request: &HttpRequest) -> Option<Peer> {
    request.peer_addr().map(|peer| Peer(peer.ip()))
}

/// A response of ours.
pub(crate) fn response(ours: &http::Response<Bytes>) -> HttpResponse {
    let mut response = HttpResponse::build(status(ours)).body(ours.body().clone());
    append(response.headers_mut(), ours.headers());
    response
}

/// The status of a response of ours.
pub(crate) fn status(ours: &http::Response<Bytes>) -> StatusCode {
    // The same numbers are statuses to both.
    StatusCode::from_u16(ours.status().as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// What the guards owe to a response: these lines go into the place of all that it has of [`WRITTEN_HEADERS`](stepup_wire::WRITTEN_HEADERS).
pub(crate) fn owed(visit: &Visit, headers: &HeaderMap) -> http::HeaderMap {
    let mut headers = written_headers(lines(headers));
    visit.finish(&mut headers);
    headers
}

/// Puts it there.
pub(crate) fn pay(headers: &mut HeaderMap, owed: &http::HeaderMap) {
    headers.retain(|name, _| !is_written(name.as_str()));
    append(headers, owed);
}

fn method(request: &HttpRequest) -> http::Method {
    // The same words are methods to both. What were none is taken for one that changes something.
    http::Method::from_bytes(request.method().as_str().as_bytes()).unwrap_or(http::Method::POST)
}

fn lines(headers: &HeaderMap) -> impl Iterator<Item = (&str, &[u8])> {
    headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
}

fn append(headers: &mut HeaderMap, lines: &http::HeaderMap) {
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_str().as_bytes());
        if let (Ok(name), Ok(mut line)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            // Tokens are kept out of the compression's memory of HTTP/2.
            line.set_sensitive(value.is_sensitive());
            headers.append(name, line);
        }
    }
}

/// A body that is still to be read.
pub(crate) struct Streamed {
    payload: Payload,
    /// What was announced, in bytes: a body that is too long is not read at all.
    length: Option<u64>,
}

impl Body for Streamed {
    type Data = Bytes;
    type Error = PayloadError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, PayloadError>>> {
        let chunk = self.payload.poll_next_unpin(cx);
        chunk.map(|chunk| chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn size_hint(&self) -> SizeHint {
        self.length.map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}
