//! [`Visit`]: one request of an application from its beginning to its response, for frameworks that are no tower services.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::header::{
    ACCEPT_LANGUAGE, ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, CACHE_CONTROL,
    CONTENT_LENGTH, CONTENT_TYPE, COOKIE, FORWARDED, HeaderName, HeaderValue, ORIGIN, SET_COOKIE,
    TRANSFER_ENCODING, UPGRADE, USER_AGENT, VARY,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, Uri};
use stepup_core::require::{Requirement, rule_of};
use stepup_core::rule::Rule;

use crate::body::{BodyError, MAX_BUFFERED};
use crate::csrf::{RID, SEC_FETCH_SITE};
use crate::fdi::FDI_VERSION;
use crate::gate::{Refused, Verified};
use crate::keeper::{Gate, X_FORWARDED_FOR, X_REAL_IP};
use crate::layer::Begun;
use crate::refusal::Refusal;
use crate::service::{Guard, Peer, Wire};
use crate::session::Session;
use crate::sign_in::SignIn;
use crate::transfer::AUTH_MODE;
use crate::writes::{ACCESS_TOKEN, FRONT_TOKEN, REFRESH_TOKEN};

/// All headers of a request that guards read. An adapter may leave out the others until somebody signs in or the request is one
/// to an endpoint; every line of these it must hand over as it came, since a repeated header means something else than a
/// single one.
pub static GUARD_HEADERS: [HeaderName; 14] = [
    ACCESS_CONTROL_REQUEST_METHOD,
    AUTHORIZATION,
    CONTENT_LENGTH,
    CONTENT_TYPE,
    COOKIE,
    ORIGIN,
    RID,
    SEC_FETCH_SITE,
    AUTH_MODE,
    TRANSFER_ENCODING,
    UPGRADE,
    FORWARDED,
    X_FORWARDED_FOR,
    X_REAL_IP,
];

/// What is read beside [`GUARD_HEADERS`] by those who sign somebody in, and by the endpoints. Every request of a browser has
/// most of these, so that a guarded one does without.
pub static OTHER_HEADERS: [HeaderName; 3] = [ACCEPT_LANGUAGE, FDI_VERSION, USER_AGENT];

/// All headers of a response that [`Visit::finish`] may read and write.
pub static WRITTEN_HEADERS: [HeaderName; 9] = [
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    CACHE_CONTROL,
    SET_COOKIE,
    VARY,
    FRONT_TOKEN,
    ACCESS_TOKEN,
    REFRESH_TOKEN,
];

/// Of the lines of a request's headers, those of [`GUARD_HEADERS`]. No other is looked at twice.
pub fn guard_headers<N, V>(lines: impl IntoIterator<Item = (N, V)>) -> HeaderMap
where
    N: AsRef<str>,
    V: Deref<Target: AsRef<[u8]>>,
{
    GUARD.select(lines)
}

/// Of the lines of a request's headers, those of [`OTHER_HEADERS`].
pub fn other_headers<N, V>(lines: impl IntoIterator<Item = (N, V)>) -> HeaderMap
where
    N: AsRef<str>,
    V: Deref<Target: AsRef<[u8]>>,
{
    OTHER.select(lines)
}

/// Of the lines of a response's headers, those of [`WRITTEN_HEADERS`].
pub fn written_headers<N, V>(lines: impl IntoIterator<Item = (N, V)>) -> HeaderMap
where
    N: AsRef<str>,
    V: Deref<Target: AsRef<[u8]>>,
{
    WRITTEN.select(lines)
}

/// Whether a header of a response is one of [`WRITTEN_HEADERS`], in whatever case.
pub fn is_written(name: &str) -> bool {
    WRITTEN.find(name).is_some()
}

/// The name of a response's header as text, which for one of [`WRITTEN_HEADERS`] is no copy.
pub fn word_of(name: &HeaderName) -> Cow<'static, str> {
    match WRITTEN.find(name.as_str()) {
        Some(ours) => Cow::Borrowed(ours.as_str()),
        None => Cow::Owned(name.as_str().to_owned()),
    }
}

/// A request as [`Visit::begin`] takes it.
pub fn parts(method: Method, address: Uri, headers: HeaderMap) -> Parts {
    let (mut parts, ()) = Request::new(()).into_parts();
    (parts.method, parts.uri, parts.headers) = (method, address, headers);
    parts
}

/// The address of a request. What is none for `http` 1 is none of an endpoint either.
pub fn address(path: &str, query: Option<&str>) -> Uri {
    let address = match query {
        None => Uri::try_from(path),
        Some(query) => Uri::try_from(format!("{path}?{query}")),
    };
    address.unwrap_or_default()
}

static GUARD: LazyLock<Names> = LazyLock::new(|| Names::of(&GUARD_HEADERS));
static OTHER: LazyLock<Names> = LazyLock::new(|| Names::of(&OTHER_HEADERS));
static WRITTEN: LazyLock<Names> = LazyLock::new(|| Names::of(&WRITTEN_HEADERS));

/// Header names by their lengths, which tell most lines of a request from ours at once: each line is looked at for every
/// guarded request.
struct Names([Vec<(&'static str, &'static HeaderName)>; LONGEST + 1]);

/// No name of ours is longer.
const LONGEST: usize = 32;

impl Names {
    fn of(names: &'static [HeaderName]) -> Self {
        let words = || names.iter().map(|name| (name.as_str(), name));
        Self(std::array::from_fn(|length| {
            words().filter(|(word, _)| word.len() == length).collect()
        }))
    }

    fn find(&self, name: &str) -> Option<&'static HeaderName> {
        // Most come in lower case, and are told by one comparison.
        let is_it = |word: &str| word == name || word.eq_ignore_ascii_case(name);
        let (_, ours) = self.0.get(name.len())?.iter().find(|(word, _)| is_it(word))?;
        Some(ours)
    }

    fn select<N, V>(&self, lines: impl IntoIterator<Item = (N, V)>) -> HeaderMap
    where
        N: AsRef<str>,
        V: Deref<Target: AsRef<[u8]>>,
    {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            if let Some(name) = self.find(name.as_ref()) {
                // Bytes that no header may hold are taken for a value that means nothing to anybody.
                let value = HeaderValue::from_bytes((*value).as_ref());
                headers.append(name, value.unwrap_or(HeaderValue::from_static("?")));
            }
        }
        headers
    }
}

/// One request, and what is owed to its response. Its token is verified once, however many guards ask for a session.
pub struct Visit {
    guard: Guard,
    parts: Parts,
    verified: Mutex<Option<Verified>>,
}

impl Visit {
    /// Begins with a request, before the application sees it. `peer` is the address at the other end of the connection.
    ///
    /// # Errors
    /// The request is a preflight, and this is the answer to it.
    pub fn begin(gate: &Gate, mut parts: Parts, peer: Option<Peer>) -> Result<Self, Box<Response<Bytes>>> {
        match Guard::begin(gate, peer, &parts.method, &parts.headers) {
            Begun::Preflight(response) => Err(Box::new(response)),
            Begun::Guard(guard) => {
                if let Some(peer) = peer {
                    parts.extensions.insert(peer);
                }
                Ok(Self {
                    guard,
                    parts,
                    verified: Mutex::new(None),
                })
            }
        }
    }

    /// As [`Guard::session`].
    ///
    /// # Errors
    /// [`Refused`]: the response to send.
    pub async fn session<R: Requirement>(&self) -> Result<Session<R>, Refused> {
        self.guard.demand(self.admit(rule_of::<R>()).await)
    }

    /// The same for whoever asks no more of a session than that it meets `rule`: a guard around a scope.
    ///
    /// # Errors
    /// [`Refused`]: the response to send.
    pub async fn meets(&self, rule: &Rule) -> Result<(), Refused> {
        self.guard.demand(self.admit::<()>(rule).await).map(drop)
    }

    /// As [`Guard::optional_session`].
    ///
    /// # Errors
    /// [`Refused`]: the response to send.
    pub async fn optional_session<R: Requirement>(&self) -> Result<Option<Session<R>>, Refused> {
        self.admit(rule_of::<R>())
            .await
            .map_err(|refusal| self.guard.refuse(refusal))
    }

    async fn admit<R>(&self, rule: &Rule) -> Result<Option<Session<R>>, Refusal> {
        let Some(verified) = self.verify()? else {
            return Ok(None);
        };
        let session = self.guard.admit_verified(verified, rule, &self.parts).await?;
        // With the claims that were fetched for it.
        *self.verified() = Some(session.verified().clone());
        Ok(Some(session))
    }

    /// The origin is judged by what carries the token, which is the same for every guard of one request.
    fn verify(&self) -> Result<Option<Verified>, Refusal> {
        let mut verified = self.verified();
        if verified.is_none() {
            *verified = self.guard.verify(&self.parts)?;
        }
        Ok(verified.clone())
    }

    fn verified(&self) -> MutexGuard<'_, Option<Verified>> {
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Guard::sign_in`]. `other` is what [`other_headers`] finds in the same request.
    ///
    /// # Errors
    /// [`Refused`]: a page of another origin sent the request.
    pub async fn sign_in(&self, other: &HeaderMap) -> Result<SignIn, Refused> {
        self.guard.sign_in(&with(&self.parts, other)).await
    }

    /// Answers the request as one to an endpoint of `wire`. `other` is what [`other_headers`] finds in the same request.
    /// A body that announces more than is ever buffered is not read: `body` is not polled then.
    pub async fn answer(
        &self,
        wire: &Wire,
        other: &HeaderMap,
        body: impl Future<Output = Result<Bytes, BodyError>>,
    ) -> Response<Bytes> {
        let body = match self.announces_too_much() {
            true => Err(BodyError::TooLarge),
            false => body.await,
        };
        wire.answer(&with(&self.parts, other), body).await
    }

    fn announces_too_much(&self) -> bool {
        let lines = self.parts.headers.get_all(CONTENT_LENGTH).iter();
        let mut lengths = lines.filter_map(|line| line.to_str().ok()?.parse::<u64>().ok());
        lengths.any(|length| length > MAX_BUFFERED as u64)
    }

    /// Ends with the response, whoever made it: pays what the guards owe, once, and adds CORS.
    pub fn finish(&self, headers: &mut HeaderMap) {
        let origin = self.guard.origin_of(&self.parts.headers);
        self.guard.finish(origin, headers);
    }
}

impl fmt::Debug for Visit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Its headers hold tokens.
        f.write_str("Visit(..)")
    }
}

/// A request with the headers that guards do without.
fn with(parts: &Parts, other: &HeaderMap) -> Parts {
    let mut parts = parts.clone();
    // No other names: whatever an adapter brings, the guards' headers stay what they were judged by.
    for name in &OTHER_HEADERS {
        // One that handed over all of them at the beginning brings these again.
        if other.contains_key(name) {
            parts.headers.remove(name);
        }
        for value in other.get_all(name) {
            parts.headers.append(name, value.clone());
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_an_adapter_hands_over_twice_are_there_once_and_the_guards_stay_as_they_were() {
        let request = http::Request::get("/auth/signin")
            .header(USER_AGENT, "a browser")
            .header(FDI_VERSION, "3.0")
            .header(COOKIE, "one");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let mut other = HeaderMap::new();
        other.append(USER_AGENT, HeaderValue::from_static("a browser"));
        other.append(ACCEPT_LANGUAGE, HeaderValue::from_static("de"));
        other.append(ACCEPT_LANGUAGE, HeaderValue::from_static("en"));
        other.append(COOKIE, HeaderValue::from_static("two"));
        let all = with(&parts, &other).headers;
        let lines = |name: &HeaderName| all.get_all(name).iter().collect::<Vec<_>>();
        assert_eq!(lines(&USER_AGENT), ["a browser"]);
        assert_eq!(lines(&ACCEPT_LANGUAGE), ["de", "en"]);
        assert_eq!(
            lines(&FDI_VERSION),
            ["3.0"],
            "what came at the beginning alone stays"
        );
        assert_eq!(lines(&COOKIE), ["one"]);
    }

    #[test]
    fn every_name_is_found_in_whatever_case_and_nothing_else_is() {
        for (names, all) in [
            (&GUARD, &GUARD_HEADERS[..]),
            (&OTHER, &OTHER_HEADERS),
            (&WRITTEN, &WRITTEN_HEADERS),
        ] {
            for name in all {
                assert_eq!(names.find(name.as_str()), Some(name));
                assert_eq!(names.find(&name.as_str().to_ascii_uppercase()), Some(name));
                assert_eq!(names.find(&format!("{name}-")), None);
            }
            assert_eq!(names.find(""), None);
            assert_eq!(names.find(&"x".repeat(LONGEST + 1)), None);
        }
        assert!(is_written("Set-Cookie") && !is_written("cookie"));
        assert_eq!(GUARD.find("user-agent"), None);
    }

    #[test]
    fn a_name_of_ours_is_handed_out_without_a_copy_and_another_one_is_copied() {
        assert!(matches!(word_of(&VARY), Cow::Borrowed("vary")));
        assert_eq!(word_of(&COOKIE), "cookie");
    }

    #[test]
    fn an_address_is_put_together_and_what_is_none_is_the_root() {
        assert_eq!(address("/auth/signin", None), "/auth/signin");
        assert_eq!(address("/a%20b", Some("c=d?e")), "/a%20b?c=d?e");
        assert_eq!(address("/a b", None), Uri::default());
        assert_eq!(address("/a", Some("b c")), Uri::default());
    }
}
