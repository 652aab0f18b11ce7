//! Cross-origin resource sharing: which pages of other origins may read the API's answers.
//!
//! Exact configured origins only, always with credentials; never `*` with them, never the request's origin put back
//! unread, never `null` (R-CSRF-2). The headers go on every status: an answer without them is a network error to the
//! client, and a 401 that it cannot see causes no refresh.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap,
    HeaderName, HeaderValue, ORIGIN, VARY,
};
use http::{Method, Response, StatusCode};

use crate::header::{BY_ORIGIN, extend_list};
use crate::site::Origin;

/// What pages of other origins may do.
#[derive(Clone, Debug)]
pub struct Cors {
    origins: Vec<HeaderValue>,
    headers: HeaderValue,
}

impl Cors {
    /// Lets pages of `origins` call with credentials. `headers` are what the application's own pages send beside the
    /// headers of the protocol.
    pub fn new<'a>(origins: impl IntoIterator<Item = &'a Origin>, headers: &[HeaderName]) -> Self {
        let mut allowed = PROTOCOL_HEADERS.to_owned();
        for name in headers {
            allowed.push_str(", ");
            allowed.push_str(name.as_str());
        }
        Self {
            // An origin's serialization and a header's name are both visible ASCII.
            origins: origins
                .into_iter()
                .filter_map(|origin| HeaderValue::from_str(origin.as_str()).ok())
                .collect(),
            headers: HeaderValue::from_str(&allowed)
                .unwrap_or_else(|_| HeaderValue::from_static(PROTOCOL_HEADERS)),
        }
    }

    /// The origin of a request, if its pages may read the answer.
    pub fn admits<'a>(&self, request: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let mut lines = request.get_all(ORIGIN).iter();
        match (lines.next(), lines.next()) {
            (Some(origin), None) if self.origins.contains(origin) => Some(origin),
            _ => None,
        }
    }

    /// Adds the headers to an answer. `origin` is what [`Cors::admits`] said of the request. An origin that is not
    /// admitted gets nothing but `Vary`, without which a shared cache would serve one origin's answer to another.
    pub fn apply(origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        extend_list(response, VARY, BY_ORIGIN);
        Self::name(origin, response);
    }

    /// The same for who has added `Vary`.
    pub(crate) fn name(origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        if let Some(origin) = origin {
            response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
            response.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                const { HeaderValue::from_static("true") },
            );
        }
    }

    /// Adds the headers of an answer that is for everyone, keys and their discovery. Without credentials, unless the
    /// origin is one of ours: its client sends them with every request, and `*` is void then.
    pub fn apply_public(origin: Option<&HeaderValue>, response: &mut HeaderMap) {
        Self::apply(origin, response);
        if origin.is_none() {
            response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
    }

    /// The answer to a preflight, and none if the request is no preflight. A page of a foreign origin learns nothing:
    /// its browser misses the headers and stops there.
    pub fn preflight(&self, method: &Method, request: &HeaderMap) -> Option<Response<Bytes>> {
        let asks = method == Method::OPTIONS
            && request.contains_key(ORIGIN)
            && request.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks {
            return None;
        }
        let origin = self.admits(request);
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        Self::apply(origin, headers);
        extend_list(
            headers,
            VARY,
            const { HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers") },
        );
        if origin.is_some() {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
        }
        Some(response)
    }
}

/// What the clients of the protocol send.
const PROTOCOL_HEADERS: &str = "content-type, rid, fdi-version, anti-csrf, authorization, st-auth-mode";

/// `*` would not cover requests with credentials.
const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// How long a browser may remember the answer, in seconds. Nearly every call of the clients is preflighted; ten
/// minutes spare most of that, and a change of the configured origins is felt soon.
const MAX_AGE: &str = "600";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cors() -> Cors {
        let origins = ["https://acme.test", "http://localhost:3000"].map(|o| Origin::parse(o).unwrap());
        Cors::new(&origins, &[HeaderName::from_static("x-request-id")])
    }

    fn from(origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers
    }

    fn asking(origin: &str) -> HeaderMap {
        let mut headers = from(origin);
        headers.insert(ACCESS_CONTROL_REQUEST_METHOD, HeaderValue::from_static("PUT"));
        headers
    }

    fn answered(origin: &str) -> HeaderMap {
        let (cors, request, mut response) = (cors(), from(origin), HeaderMap::new());
        Cors::apply(cors.admits(&request), &mut response);
        response
    }

    #[test]
    fn a_configured_origin_is_named_with_credentials() {
        let headers = answered("http://localhost:3000");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "http://localhost:3000");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_CREDENTIALS], "true");
        assert_eq!(headers[VARY], "Origin");
    }

    #[test]
    fn no_other_origin_is_named_on_answers_or_preflights() {
        for origin in [
            "https://evil.test",
            "null",
            "https://acme.test.evil.test",
            "https://xacme.test",
            "https://ACME.test",
            "https://acme.test:443",
            "https://acme.test:8443",
            "http://acme.test",
            "*",
        ] {
            let preflight = cors().preflight(&Method::OPTIONS, &asking(origin)).unwrap();
            for headers in [&answered(origin), preflight.headers()] {
                assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), "{origin}");
                assert!(
                    !headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS),
                    "{origin}"
                );
                assert!(headers[VARY].to_str().unwrap().starts_with("Origin"), "{origin}");
            }
        }
    }

    #[test]
    fn two_origin_lines_are_no_origin() {
        let mut request = from("https://acme.test");
        request.append(ORIGIN, HeaderValue::from_static("https://acme.test"));
        assert_eq!(cors().admits(&request), None);
    }

    #[test]
    fn a_preflight_names_the_methods_and_headers_of_protocol_and_application() {
        let response = cors()
            .preflight(&Method::OPTIONS, &asking("https://acme.test"))
            .unwrap();
        assert_eq!(response.status(), 204);
        let allowed = response.headers()[ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
        for name in [
            "content-type",
            "rid",
            "fdi-version",
            "anti-csrf",
            "authorization",
            "st-auth-mode",
            "x-request-id",
        ] {
            assert!(allowed.split(", ").any(|allowed| allowed == name), "{name}");
        }
        let methods = response.headers()[ACCESS_CONTROL_ALLOW_METHODS].to_str().unwrap();
        for method in ["GET", "POST", "PUT", "DELETE"] {
            assert!(methods.split(", ").any(|allowed| allowed == method), "{method}");
        }
    }

    #[test]
    fn only_a_preflight_is_answered_as_one() {
        assert!(
            cors()
                .preflight(&Method::GET, &asking("https://acme.test"))
                .is_none()
        );
        assert!(
            cors()
                .preflight(&Method::OPTIONS, &from("https://acme.test"))
                .is_none()
        );
        assert!(cors().preflight(&Method::OPTIONS, &HeaderMap::new()).is_none());
    }

    #[test]
    fn a_public_answer_is_for_everyone_without_credentials() {
        let mut headers = HeaderMap::new();
        Cors::apply_public(None, &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert!(!headers.contains_key(ACCESS_CONTROL_ALLOW_CREDENTIALS));
        let (cors, request) = (cors(), from("https://acme.test"));
        Cors::apply_public(cors.admits(&request), &mut headers);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://acme.test");
    }

    #[test]
    fn the_applications_own_wildcard_gives_way_to_our_origin() {
        let (cors, request, mut headers) = (cors(), from("https://acme.test"), HeaderMap::new());
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        Cors::apply(cors.admits(&request), &mut headers);
        assert_eq!(headers.get_all(ACCESS_CONTROL_ALLOW_ORIGIN).iter().count(), 1);
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_ORIGIN], "https://acme.test");
    }

    proptest! {
        #[test]
        fn an_origin_is_named_only_if_it_is_configured(origin in "[ -~]{0,40}") {
            let configured = ["https://acme.test", "http://localhost:3000"].contains(&origin.as_str());
            prop_assert_eq!(answered(&origin).contains_key(ACCESS_CONTROL_ALLOW_ORIGIN), configured);
        }
    }
}
