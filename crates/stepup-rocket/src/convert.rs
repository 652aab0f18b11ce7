//! Requests and responses, to and from `http` 1.x by name and value.

use std::borrow::Cow;
use std::io::Cursor;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::request::Parts;
use rocket::data::ToByteUnit;
use rocket::form::Form;
use rocket::http::{HeaderMap, Status};
use rocket::tokio::time::timeout;
use rocket::{Data, Request, Response};
use stepup_wire::body::{BodyError, MAX_BUFFERED};
use stepup_wire::{Visit, address, guard_headers, other_headers, word_of, written_headers};

/// A response as `stepup-wire` makes it.
pub(crate) type Ours = http::Response<Bytes>;

/// What guards read of a request.
pub(crate) fn parts(request: &Request<'_>, method: Method) -> Parts {
    let uri = request.uri();
    let uri = address(uri.path().as_str(), uri.query().map(|query| query.as_str()));
    stepup_wire::parts(method, uri, guard_headers(lines(request.headers())))
}

/// What is read beside it by those who sign somebody in, and by the endpoints.
pub(crate) fn other(request: &Request<'_>) -> http::HeaderMap {
    other_headers(lines(request.headers()))
}

/// The method that was sent. By now Rocket has put another in its place if a form names one in its first field: a foreign
/// page could pass off its POST as a GET, which nobody asks where it comes from.
pub(crate) async fn method(request: &Request<'_>, data: &mut Data<'_>) -> Method {
    let method = request.method();
    if request.content_type().is_some_and(|kind| kind.is_form()) {
        let start = data.peek("_method=delete".len()).await;
        let form = std::str::from_utf8(start).unwrap_or_default();
        let named = Form::values(form).next().filter(|field| field.name == "_method");
        if named.and_then(|field| field.value.parse().ok()) == Some(method) {
            return Method::POST;
        }
    }
    Method::from_bytes(method.as_str().as_bytes()).unwrap_or(Method::POST)
}

/// The body, as far as endpoints take it.
pub(crate) async fn body(data: Data<'_>, patience: Duration) -> Result<Bytes, BodyError> {
    match timeout(patience, data.open(MAX_BUFFERED.bytes()).into_bytes()).await {
        Ok(Ok(body)) if body.is_complete() => Ok(Bytes::from(body.into_inner())),
        Ok(Ok(_)) => Err(BodyError::TooLarge),
        Ok(Err(_)) => Err(BodyError::Incomplete),
        Err(_) => Err(BodyError::Late),
    }
}

/// A response of ours.
pub(crate) fn response(ours: &Ours) -> Response<'static> {
    let mut response = Response::new();
    put(ours, &mut response);
    response
}

/// Puts a response of ours into the place of another, of which the other headers stay.
pub(crate) fn put(ours: &Ours, response: &mut Response<'_>) {
    response.set_status(Status::new(ours.status().as_u16()));
    put_headers(ours.headers(), response);
    response.set_sized_body(ours.body().len(), Cursor::new(ours.body().clone()));
}

/// Takes a cookie off a response; whether it was there. `start` is how its line starts.
pub(crate) fn take_cookie(start: &str, response: &mut Response<'_>) -> bool {
    let lines = response.headers().get("set-cookie").map(str::to_owned);
    let (found, rest): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with(start));
    response.remove_header("set-cookie");
    for line in rest {
        response.adjoin_raw_header("set-cookie", line);
    }
    !found.is_empty()
}

/// Puts what the guards owe, and CORS, on a response.
pub(crate) fn finish(visit: &Visit, response: &mut Response<'_>) {
    let mut headers = written_headers(lines(response.headers()));
    visit.finish(&mut headers);
    put_headers(&headers, response);
}

/// Each name takes the place of all its lines.
fn put_headers(headers: &http::HeaderMap, response: &mut Response<'_>) {
    for name in headers.keys() {
        response.remove_header(name.as_str());
        for line in headers.get_all(name) {
            // What we write is ASCII, and what we read of Rocket is UTF-8.
            let line = String::from_utf8_lossy(line.as_bytes()).into_owned();
            response.adjoin_raw_header(word_of(name), line);
        }
    }
}

fn lines<'a>(headers: &'a HeaderMap<'_>) -> impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)> {
    headers.iter().map(|line| (line.name.into_cow(), line.value))
}
