//! What a handler answers: a status, a JSON body, and what is said about tokens.

use std::time::Duration;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};
use stepup_core::time::Timestamp;

use crate::cookie::CookieRules;
use crate::header::keep_private;
use crate::writes::TokenWrites;

/// An answer of ours.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    body: Bytes,
    headers: HeaderMap,
    kind: HeaderValue,
    writes: TokenWrites,
    cached: Option<Duration>,
}

impl Reply {
    /// A JSON body under `status`.
    pub(crate) fn json(status: StatusCode, body: &Value) -> Self {
        Self::bytes(status, Bytes::from(body.to_string()))
    }

    /// 200 with a JSON body: what the clients read an outcome from.
    pub(crate) fn ok(body: &Value) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// 200 with a `status` and nothing else.
    pub(crate) fn status(status: &'static str) -> Self {
        Self::ok(&json!({ "status": status }))
    }

    /// 200 with a sentence that the clients show to the user.
    pub(crate) fn general_error(message: &str) -> Self {
        Self::ok(&json!({ "status": "GENERAL_ERROR", "message": message }))
    }

    /// A `message` under `status`: the shape of everything that is not 200.
    pub(crate) fn message(status: StatusCode, message: &str) -> Self {
        Self::json(status, &json!({ "message": message }))
    }

    /// An empty body.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self::bytes(status, Bytes::new())
    }

    /// A body that is JSON already.
    pub(crate) fn bytes(status: StatusCode, body: Bytes) -> Self {
        Self {
            status,
            body,
            headers: HeaderMap::new(),
            kind: HeaderValue::from_static("application/json"),
            writes: TokenWrites::new(),
            cached: None,
        }
    }

    /// Says something about tokens.
    #[must_use]
    pub(crate) fn with_tokens(mut self, writes: TokenWrites) -> Self {
        self.writes.then(writes);
        self
    }

    /// Says that the body is no JSON, and what it is.
    #[must_use]
    pub(crate) fn typed(self, kind: HeaderValue) -> Self {
        Self { kind, ..self }
    }

    /// Adds a header.
    #[must_use]
    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Its headers, to which cookies are added that are no tokens.
    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.headers
    }

    /// Says when to try again, in whole seconds, rounded up.
    #[must_use]
    pub(crate) fn retry_after(self, after: Duration) -> Self {
        let secs = after.as_secs() + u64::from(after.subsec_nanos() > 0);
        self.with_header(RETRY_AFTER, HeaderValue::from(secs))
    }

    /// Lets caches keep the answer for `span`. It is for everyone and carries no token.
    #[must_use]
    pub(crate) fn cached_for(mut self, span: Duration) -> Self {
        self.cached = Some(span);
        self
    }

    /// The HTTP status.
    pub(crate) fn code(&self) -> u16 {
        self.status.as_u16()
    }

    /// The access token that it hands out, if it does.
    pub(crate) fn access_token(&self) -> Option<&str> {
        self.writes.access_token()
    }

    /// Whether it is for everyone.
    pub(crate) fn is_public(&self) -> bool {
        self.cached.is_some() && self.writes.is_empty()
    }

    /// The answer as it goes out: typed, unsniffable (ASVS v5.0.0-3.4.4), and out of every cache unless it is for
    /// everyone.
    pub(crate) fn into_response(self, rules: &CookieRules, now: Timestamp) -> Response<Bytes> {
        let (mut response, writes) = self.split();
        writes.apply(rules, now, response.headers_mut());
        response
    }

    /// The answer without what it says about tokens, and that.
    pub(crate) fn split(self) -> (Response<Bytes>, TokenWrites) {
        let public = self.is_public();
        let has_body = !self.body.is_empty();
        let mut response = Response::new(self.body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        *headers = self.headers;
        if has_body {
            headers.insert(CONTENT_TYPE, self.kind);
        }
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        match self.cached.filter(|_| public) {
            Some(span) => {
                let value = format!("public, max-age={}, must-revalidate", span.as_secs());
                if let Ok(value) = HeaderValue::try_from(value) {
                    headers.insert(CACHE_CONTROL, value);
                }
            }
            None => keep_private(headers),
        }
        (response, self.writes)
    }
}

#[cfg(test)]
mod tests {
    use http::header::VARY;

    use super::*;
    use crate::site::SameSite;
    use crate::transfer::Mode;

    fn sent(reply: Reply) -> Response<Bytes> {
        let rules = CookieRules::new(SameSite::Lax, true, "/auth/session/refresh");
        reply.into_response(&rules, Timestamp::from_ms(0))
    }

    #[test]
    fn an_answer_is_typed_unsniffable_and_uncached() {
        let response = sent(Reply::status("OK"));
        assert_eq!(response.status(), 200);
        assert_eq!(response.body(), r#"{"status":"OK"}"#);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/json");
        assert_eq!(response.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
        assert_eq!(response.headers()[CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[VARY], "Cookie, Authorization");
    }

    #[test]
    fn keys_may_be_cached_and_tokens_never() {
        let keys = || Reply::ok(&json!({})).cached_for(Duration::from_secs(60));
        assert_eq!(
            sent(keys()).headers()[CACHE_CONTROL],
            "public, max-age=60, must-revalidate"
        );
        let mut writes = TokenWrites::new();
        writes.end(Mode::Header);
        assert_eq!(
            sent(keys().with_tokens(writes)).headers()[CACHE_CONTROL],
            "no-store"
        );
    }

    #[test]
    fn a_pause_is_rounded_up_to_seconds() {
        let after = |ms| {
            let response = sent(Reply::general_error("later").retry_after(Duration::from_millis(ms)));
            response.headers()[RETRY_AFTER].clone()
        };
        assert_eq!(after(0), "0");
        assert_eq!(after(1), "1");
        assert_eq!(after(1000), "1");
        assert_eq!(after(1001), "2");
    }
}
