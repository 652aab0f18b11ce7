//! Refusals: what a caller is told who may not, or who cannot be understood.
//!
//! The bodies are the protocol's. A 401 means "refresh, then try again" to every client, so it is said only where a
//! refresh can help or the session is over; everything else has another status.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use http::header::{ALLOW, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use stepup_core::Denied;
use stepup_core::error::{Fault, StoreError};
use stepup_core::rule::ClaimFailure;

use crate::csrf::Forgery;
use crate::gate::Reason;
use crate::json::InputError;
use crate::reply::Reply;
use crate::table::Body;
use crate::writes::TokenWrites;

/// Why there is no better answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Refusal {
    /// There is no session. Nothing is cleared: the request may have raced with the sign-in of another tab.
    NoSession,
    /// The session is over. Its tokens are taken back, whichever way they travel.
    SessionOver,
    /// The session is over, or cannot be used, but what the client holds stays as it is: a page of another origin
    /// could have caused this, or newer tokens are on their way.
    Unusable,
    /// The access token is of no use, a refresh may give a better one. Nothing is cleared.
    TryRefresh,
    /// A retired refresh token was used again. The session has been ended.
    Theft,
    /// The session lacks what the route asks for: every failing claim, once.
    InvalidClaims(Vec<ClaimFailure>),
    /// A page of another origin sent the request.
    Forged(Forgery),
    /// The caller is known, and may not.
    NotAllowed,
    /// A hook of the application refused, in words for the user.
    InWords(String),
    /// The request cannot be understood.
    BadRequest(InputError),
    /// There is no such thing.
    NotFound,
    /// The path is ours, the method is not.
    WrongMethod(Vec<Method>),
    /// The body is too long. It was not read to its end.
    TooLarge,
    /// The body did not arrive in time.
    Late,
    /// The body has a type that the endpoint does not take. It was not read.
    WrongType(Body),
    /// Throttled, on an endpoint that may say so by status.
    TooMany(Duration),
    /// The store, or another part under us, does not answer. Trying again later may help; until then all is denied.
    Unavailable,
    /// A part is missing or broken that no later try mends. The log names it.
    Broken,
}

impl Refusal {
    /// What a fault below us is to the caller: denied, whatever broke. The log is told what did.
    pub(crate) fn of_fault(fault: &Fault) -> Self {
        match fault {
            Fault::Vetoed(text) => return Self::InWords(text.clone()),
            Fault::NeedsSession => return Self::NoSession,
            _ => {}
        }
        tracing::error!(target: "stepup", error = %Chain(fault), "request denied by a fault");
        match fault {
            Fault::Store(StoreError::Unavailable(_)) | Fault::Busy | Fault::NoKeys | Fault::Entropy(_) => {
                Self::Unavailable
            }
            Fault::Store(_) | Fault::Key(_) | Fault::Part(_) | Fault::Vetoed(_) | Fault::NeedsSession => {
                Self::Broken
            }
        }
    }

    /// The same on a route of the application's own, whose clients do not read a refusal from a 200.
    pub(crate) fn of_route(fault: &Fault) -> Self {
        match fault {
            Fault::Vetoed(_) => Self::NotAllowed,
            fault => Self::of_fault(fault),
        }
    }

    /// The same for whoever answers in another language than HTTP's.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            Self::NoSession | Self::SessionOver | Self::Unusable | Self::Theft => Reason::NoSession,
            Self::TryRefresh | Self::Forged(Forgery::NoCustomHeader) => Reason::TryRefresh,
            Self::InvalidClaims(failures) => Reason::Claims(failures.clone()),
            Self::Forged(Forgery::ForeignOrigin | Forgery::CrossSite)
            | Self::NotAllowed
            | Self::InWords(_) => Reason::NotAllowed,
            Self::Forged(Forgery::FormBody)
            | Self::BadRequest(_)
            | Self::NotFound
            | Self::WrongMethod(_)
            | Self::TooLarge
            | Self::Late
            | Self::WrongType(_) => Reason::BadRequest,
            Self::TooMany(after) => Reason::TooMany(*after),
            Self::Unavailable => Reason::Unavailable,
            Self::Broken => Reason::Broken,
        }
    }

    /// The answer.
    pub(crate) fn into_reply(self) -> Reply {
        match self {
            Self::NoSession | Self::Unusable => Reply::message(StatusCode::UNAUTHORIZED, UNAUTHORISED),
            Self::SessionOver => {
                Reply::message(StatusCode::UNAUTHORIZED, UNAUTHORISED).with_tokens(everything_taken_back())
            }
            Self::TryRefresh => Reply::message(StatusCode::UNAUTHORIZED, TRY_REFRESH),
            Self::Theft => {
                Reply::message(StatusCode::UNAUTHORIZED, THEFT).with_tokens(everything_taken_back())
            }
            Self::InvalidClaims(failures) => Reply::json(StatusCode::FORBIDDEN, &invalid_claims(failures)),
            Self::Forged(Forgery::NoCustomHeader) => Reply::message(StatusCode::UNAUTHORIZED, TRY_REFRESH),
            Self::Forged(Forgery::FormBody) => wrong_type(Body::Json),
            Self::WrongType(takes) => wrong_type(takes),
            Self::Forged(Forgery::ForeignOrigin | Forgery::CrossSite) => {
                Reply::message(StatusCode::FORBIDDEN, "requests from this origin are not allowed")
            }
            Self::NotAllowed => Reply::message(StatusCode::FORBIDDEN, "not allowed"),
            Self::InWords(text) => Reply::general_error(&text),
            Self::BadRequest(error) => Reply::message(StatusCode::BAD_REQUEST, &error.to_string()),
            Self::NotFound => Reply::message(StatusCode::NOT_FOUND, "not found"),
            Self::WrongMethod(methods) => wrong_method(&methods),
            Self::TooLarge => Reply::message(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large"),
            Self::Late => Reply::message(StatusCode::REQUEST_TIMEOUT, "the request took too long"),
            Self::TooMany(after) => {
                Reply::message(StatusCode::TOO_MANY_REQUESTS, "too many requests").retry_after(after)
            }
            Self::Unavailable => Reply::message(StatusCode::SERVICE_UNAVAILABLE, "temporarily unavailable"),
            Self::Broken => Reply::message(StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
        }
    }
}

fn wrong_type(takes: Body) -> Reply {
    let says = match takes {
        Body::Json | Body::Ignored => "the body must be application/json",
        Body::Form => "the body must be application/json or application/x-www-form-urlencoded",
        Body::ForeignForm => "the body must be application/x-www-form-urlencoded",
    };
    Reply::message(StatusCode::UNSUPPORTED_MEDIA_TYPE, says)
}

/// An error with its sources.
struct Chain<'a>(&'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            write!(f, ": {error}")?;
            source = error.source();
        }
        Ok(())
    }
}

const UNAUTHORISED: &str = "unauthorised";
const TRY_REFRESH: &str = "try refresh token";
const THEFT: &str = "token theft detected";

/// After a failed request it is not known which way the client keeps its tokens, so both are emptied.
fn everything_taken_back() -> TokenWrites {
    let mut writes = TokenWrites::new();
    writes.end_everywhere();
    writes
}

fn invalid_claims(failures: Vec<ClaimFailure>) -> Value {
    let errors: Vec<Value> = failures
        .into_iter()
        .map(|failure| match failure.reason {
            Some(reason) => json!({ "id": failure.id, "reason": reason }),
            None => json!({ "id": failure.id }),
        })
        .collect();
    json!({ "message": "invalid claim", "claimValidationErrors": errors })
}

fn wrong_method(methods: &[Method]) -> Reply {
    let reply = Reply::message(StatusCode::METHOD_NOT_ALLOWED, "method not allowed");
    match HeaderValue::try_from(allow(methods.iter())) {
        Ok(allow) => reply.with_header(ALLOW, allow),
        Err(_) => reply,
    }
}

/// The value of `Allow`: the methods, and those that come with them.
pub(crate) fn allow<'a>(methods: impl Iterator<Item = &'a Method>) -> String {
    let mut names: Vec<&str> = methods.map(Method::as_str).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.join(", ")
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::of_fault(&fault)
    }
}

impl From<InputError> for Refusal {
    fn from(error: InputError) -> Self {
        Self::BadRequest(error)
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NotOurs => Self::NoSession,
            Denied::TryRefresh => Self::TryRefresh,
            Denied::Ended => Self::SessionOver,
            Denied::Claims(failures) => Self::InvalidClaims(failures),
            Denied::Fault(fault) => Self::of_fault(&fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::header::SET_COOKIE;
    use stepup_core::time::Timestamp;

    use super::*;
    use crate::cookie::CookieRules;
    use crate::site::SameSite;
    use crate::writes::FRONT_TOKEN;

    fn sent(refusal: Refusal) -> (u16, String, bool) {
        let rules = CookieRules::new(SameSite::Lax, true, "/auth/session/refresh");
        let response = refusal.into_reply().into_response(&rules, Timestamp::from_ms(0));
        let cleared = response.headers().contains_key(FRONT_TOKEN);
        assert_eq!(cleared, response.headers().contains_key(SET_COOKIE));
        (
            response.status().as_u16(),
            String::from_utf8(response.body().to_vec()).unwrap(),
            cleared,
        )
    }

    #[test]
    fn the_401s_clear_what_the_contract_says() {
        let body = |message: &str| format!(r#"{{"message":"{message}"}}"#);
        assert_eq!(sent(Refusal::NoSession), (401, body("unauthorised"), false));
        assert_eq!(sent(Refusal::Unusable), (401, body("unauthorised"), false));
        assert_eq!(sent(Refusal::SessionOver), (401, body("unauthorised"), true));
        assert_eq!(sent(Refusal::TryRefresh), (401, body("try refresh token"), false));
        assert_eq!(sent(Refusal::Theft), (401, body("token theft detected"), true));
    }

    #[test]
    fn a_forged_request_changes_nothing_on_the_client() {
        assert_eq!(sent(Refusal::Forged(Forgery::ForeignOrigin)).0, 403);
        assert_eq!(sent(Refusal::Forged(Forgery::CrossSite)).0, 403);
        assert_eq!(sent(Refusal::Forged(Forgery::NoCustomHeader)).0, 401);
        assert_eq!(sent(Refusal::Forged(Forgery::FormBody)).0, 415);
        for forgery in [
            Forgery::ForeignOrigin,
            Forgery::CrossSite,
            Forgery::NoCustomHeader,
            Forgery::FormBody,
        ] {
            assert!(!sent(Refusal::Forged(forgery)).2, "{forgery:?}");
        }
    }

    #[test]
    fn failing_claims_are_listed_with_their_reasons() {
        let failures = vec![
            ClaimFailure {
                id: "st-mfa".to_owned(),
                reason: Some(json!({ "message": "x" })),
            },
            ClaimFailure {
                id: "role".to_owned(),
                reason: None,
            },
        ];
        assert_eq!(
            sent(Refusal::InvalidClaims(failures)),
            (
                403,
                r#"{"message":"invalid claim","claimValidationErrors":[{"id":"st-mfa","reason":{"message":"x"}},{"id":"role"}]}"#
                    .to_owned(),
                false
            )
        );
    }

    #[test]
    fn a_fault_denies_whatever_broke() {
        let gone = || "database is locked".into();
        for (fault, refusal) in [
            (
                Fault::Store(StoreError::Unavailable(gone())),
                Refusal::Unavailable,
            ),
            (Fault::Busy, Refusal::Unavailable),
            (Fault::NoKeys, Refusal::Unavailable),
            (Fault::Store(StoreError::Malformed("x")), Refusal::Broken),
            (Fault::Key("x"), Refusal::Broken),
            (Fault::Part(gone()), Refusal::Broken),
        ] {
            assert_eq!(Refusal::from(fault), refusal);
        }
        let (_, body, cleared) = sent(Refusal::Unavailable);
        assert!(!body.contains("locked") && !cleared);
    }

    #[test]
    fn every_other_refusal_is_json_with_a_message() {
        for (refusal, status) in [
            (Refusal::BadRequest(InputError::Malformed), 400),
            (Refusal::BadRequest(InputError::Missing("totp")), 400),
            (Refusal::NotAllowed, 403),
            (Refusal::NotFound, 404),
            (Refusal::WrongMethod(vec![Method::GET]), 405),
            (Refusal::Late, 408),
            (Refusal::TooLarge, 413),
            (Refusal::WrongType(Body::Json), 415),
            (Refusal::WrongType(Body::Form), 415),
            (Refusal::WrongType(Body::ForeignForm), 415),
            (Refusal::TooMany(Duration::from_secs(1)), 429),
            (Refusal::Broken, 500),
            (Refusal::Unavailable, 503),
        ] {
            let (code, body, cleared) = sent(refusal);
            let body: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(code, status);
            assert!(body["message"].is_string() && !cleared);
        }
    }

    #[test]
    fn the_reason_agrees_with_the_status() {
        let claim = ClaimFailure {
            id: "role".to_owned(),
            reason: None,
        };
        for (refusal, reason) in [
            (Refusal::NoSession, Reason::NoSession),
            (Refusal::Theft, Reason::NoSession),
            (Refusal::TryRefresh, Reason::TryRefresh),
            (
                Refusal::InvalidClaims(vec![claim.clone()]),
                Reason::Claims(vec![claim]),
            ),
            (Refusal::NotAllowed, Reason::NotAllowed),
            (Refusal::Forged(Forgery::ForeignOrigin), Reason::NotAllowed),
            (Refusal::Forged(Forgery::NoCustomHeader), Reason::TryRefresh),
            (Refusal::Forged(Forgery::FormBody), Reason::BadRequest),
            (Refusal::TooLarge, Reason::BadRequest),
            (
                Refusal::TooMany(Duration::from_secs(9)),
                Reason::TooMany(Duration::from_secs(9)),
            ),
            (Refusal::Unavailable, Reason::Unavailable),
            (Refusal::Broken, Reason::Broken),
        ] {
            let status = match &reason {
                Reason::NoSession | Reason::TryRefresh => 401..402,
                Reason::Claims(_) | Reason::NotAllowed => 403..404,
                Reason::BadRequest => 400..429,
                Reason::TooMany(_) => 429..430,
                Reason::Unavailable => 503..504,
                Reason::Broken => 500..501,
            };
            assert_eq!(refusal.reason(), reason);
            assert!(status.contains(&sent(refusal.clone()).0), "{refusal:?}");
        }
    }

    #[test]
    fn a_wrong_method_names_the_right_ones() {
        let reply = wrong_method(&[Method::GET, Method::POST]);
        let rules = CookieRules::new(SameSite::Lax, true, "/auth/session/refresh");
        let response = reply.into_response(&rules, Timestamp::from_ms(0));
        assert_eq!(response.headers()[ALLOW], "GET, POST, HEAD, OPTIONS");
    }
}
