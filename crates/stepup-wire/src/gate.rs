//! The gate: which session a request has, and whether that is enough for where it goes.
//!
//! Everything that is guarded passes here: our own endpoints, the extractor, the layer. In this order (session contract
//! §6): choose the token, verify it, judge where the request comes from, then ask the store if it must be asked, then
//! judge the rule.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode};
use stepup_core::event::{EventKind, Outcome};
use stepup_core::require::{Requirement, rule_of};
use stepup_core::rule::{ClaimFailure, Rule};
use stepup_core::session::access::{AccessClaims, Named};
use stepup_core::{Denied, Trust};

use crate::csrf::Act;
use crate::keeper::Gate;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::service::Guard;
use crate::session::Session;
use crate::tokens;
use crate::transfer::{self, Access, Mode, Presented, Unclear};

/// A request's verified access token, and how it came.
#[derive(Clone, Debug)]
pub(crate) struct Verified {
    pub(crate) claims: Arc<AccessClaims>,
    pub(crate) mode: Mode,
}

/// Reads the session of a request: none if it carries no token of ours.
///
/// `act` is what the request is about to do with it, and `body` whether it has one, where that is known.
pub(crate) fn verify(
    gate: &Gate,
    parts: &Parts,
    act: impl FnOnce(Mode) -> Act,
    body: Option<bool>,
) -> Result<Option<Verified>, Refusal> {
    let found = find(gate, parts, act, body, |token| gate.read(token))?;
    Ok(found.map(|(claims, mode)| Verified { claims, mode }))
}

/// The session that a request's token names, though the token may be expired: for what is bound to a session now, and is
/// judged by a live token when it is used. It admits nobody.
pub(crate) fn named(
    gate: &Gate,
    parts: &Parts,
    act: impl FnOnce(Mode) -> Act,
    body: Option<bool>,
) -> Result<Option<Named>, Refusal> {
    let read = |token: &str| match gate.read(token) {
        Ok(claims) => Ok(claims.named()),
        Err(denied) => gate.lapsed(token).ok_or(denied),
    };
    Ok(find(gate, parts, act, body, read)?.map(|(named, _)| named))
}

/// Chooses a request's access token, and reads it.
fn find<T>(
    gate: &Gate,
    parts: &Parts,
    act: impl FnOnce(Mode) -> Act,
    body: Option<bool>,
    read: impl Fn(&str) -> Result<T, Denied>,
) -> Result<Option<(T, Mode)>, Refusal> {
    let rules = gate.rules();
    let presented = Presented::read(&parts.headers, rules.cookies.names);
    let read = |token: &str| match read(token) {
        Ok(found) => Some(Ok(found)),
        Err(Denied::NotOurs) => None,
        Err(denied) => Some(Err(denied)),
    };
    match transfer::access(rules.allowed, presented, read) {
        Access::None => Ok(None),
        Access::Unclear(why) => {
            if why == Unclear::Duplicate {
                gate.note(EventKind::CookieDuplicate, Outcome::Refused, "access", parts);
            }
            Err(Refusal::TryRefresh)
        }
        Access::Found(found, mode) => {
            gate.believe(parts, act(mode), body)?;
            Ok(Some((found?, mode)))
        }
    }
}

impl Guard {
    /// Admits a request of the application to a resource that asks `R` of its session.
    ///
    /// # Errors
    /// [`Refused`]: the response to send.
    pub async fn session<R: Requirement>(&self, parts: &Parts) -> Result<Session<R>, Refused> {
        self.demand(self.admit(parts, rule_of::<R>()).await)
    }

    /// The same where a session is optional: a request without one is admitted as nobody. An expired or forged token is
    /// still an error, and so is a session that does not meet `R`.
    ///
    /// # Errors
    /// [`Refused`]: the response to send.
    pub async fn optional_session<R: Requirement>(
        &self,
        parts: &Parts,
    ) -> Result<Option<Session<R>>, Refused> {
        self.admit(parts, rule_of::<R>())
            .await
            .map_err(|refusal| self.refuse(refusal))
    }

    /// A session must be there.
    pub(crate) fn demand<R>(
        &self,
        admitted: Result<Option<Session<R>>, Refusal>,
    ) -> Result<Session<R>, Refused> {
        admitted
            .and_then(|session| session.ok_or(Refusal::NoSession))
            .map_err(|refusal| self.refuse(refusal))
    }

    async fn admit<R>(&self, parts: &Parts, rule: &Rule) -> Result<Option<Session<R>>, Refusal> {
        match self.verify(parts)? {
            Some(verified) => self.admit_verified(verified, rule, parts).await.map(Some),
            None => Ok(None),
        }
    }

    /// Reads and verifies the session of an application's request. The answer depends on it from now on.
    pub(crate) fn verify(&self, parts: &Parts) -> Result<Option<Verified>, Refusal> {
        self.outbox().note_read();
        verify(self.gate(), parts, Act::Application, None)
    }

    /// Admits the bearer of a verified token, who sent `parts`.
    pub(crate) async fn admit_verified<R>(
        &self,
        verified: Verified,
        rule: &Rule,
        parts: &Parts,
    ) -> Result<Session<R>, Refusal> {
        let verified = match self.gate().admit_at_once(&verified.claims, rule, Trust::Token) {
            Some(Ok(())) => verified,
            Some(Err(denied)) => return Err(self.denied(&verified, denied, parts)),
            // In a box, since it is rare: whatever waits for a guard would have room for it otherwise.
            None => Box::pin(self.admit_slowly(verified, rule, parts)).await?,
        };
        Ok(Session::new(verified, self.clone()))
    }

    async fn admit_slowly(
        &self,
        mut verified: Verified,
        rule: &Rule,
        parts: &Parts,
    ) -> Result<Verified, Refusal> {
        if let Some(renewed) = self.gate().fetch_due_claims(&verified.claims, rule).await? {
            // Before the rule is judged: a refusal carries the new token too.
            self.owe(tokens::hand_out(verified.mode, renewed.tokens));
            verified.claims = renewed.claims;
        }
        let admitted = self
            .gate()
            .admit_route(&verified.claims, rule, Trust::Token)
            .await;
        match admitted {
            Ok(()) => Ok(verified),
            Err(denied) => Err(self.denied(&verified, denied, parts)),
        }
    }

    fn denied(&self, verified: &Verified, denied: Denied, parts: &Parts) -> Refusal {
        if let Denied::Claims(_) = &denied {
            self.gate().note_denied(&verified.claims, Some(parts));
        }
        denied.into()
    }

    /// The response to a refusal. What it takes back from the client is left to the outbox, where it wins over what
    /// was owed before.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Refused {
        let refusal = match refusal {
            // The clients of a route do not read a refusal from a 200.
            Refusal::InWords(_) => Refusal::NotAllowed,
            refusal => refusal,
        };
        let reason = refusal.reason();
        let (response, writes) = refusal.into_reply().split();
        if !writes.is_empty() {
            self.owe(writes);
        }
        Refused::because(reason, response)
    }

    pub(crate) fn owe(&self, writes: crate::writes::TokenWrites) {
        if self.outbox().push(writes).is_err() {
            tracing::warn!(
                target: "stepup",
                "the session changed after the response was sent: the client sees it with its next refresh"
            );
        }
    }
}

/// A request was refused; this is the response to send.
#[derive(Debug)]
pub struct Refused(Box<Response<Bytes>>);

/// Why a guard refused, for whoever says it in another language than HTTP's, such as gRPC. It travels in the extensions of
/// the response, so that a layer around the guards can read it there.
#[derive(Clone, Debug, PartialEq)]
pub enum Reason {
    /// There is no session, or it is over: the user has to sign in.
    NoSession,
    /// The access token is of no use; a refresh may give a better one.
    TryRefresh,
    /// The session lacks what was asked: every failing claim, once.
    Claims(Vec<ClaimFailure>),
    /// The caller is known, and may not; or the request was sent by a page of another origin.
    NotAllowed,
    /// There is something wrong with the request itself.
    BadRequest,
    /// Throttled; how long to wait.
    TooMany(Duration),
    /// It cannot be judged now. Trying again later may help; until then all is denied.
    Unavailable,
    /// A part is missing or broken. The log names it.
    Broken,
}

impl Refused {
    /// The layer that every guard needs is missing. The log names `call`, the one that was forgotten.
    pub fn missing_layer(call: &'static str) -> Self {
        tracing::error!(
            target: "stepup",
            "a guard found no stepup in the request: put {call} around the application's routes"
        );
        let reply = Reply::message(StatusCode::INTERNAL_SERVER_ERROR, "the session layer is missing");
        Self::because(Reason::Broken, reply.split().0)
    }

    pub(crate) fn new(refusal: Refusal) -> Self {
        let reason = refusal.reason();
        Self::because(reason, refusal.into_reply().split().0)
    }

    /// The response, for whoever needs it more than once.
    pub fn response(&self) -> &Response<Bytes> {
        &self.0
    }

    fn because(reason: Reason, mut response: Response<Bytes>) -> Self {
        response.extensions_mut().insert(reason);
        Self(Box::new(response))
    }

    /// Why.
    pub fn reason(&self) -> &Reason {
        // Every constructor puts one there; without one nobody knows, and nothing is let through for that.
        self.0.extensions().get().unwrap_or(&Reason::Broken)
    }

    /// The response. Its extensions hold the [`Reason`].
    pub fn into_response(self) -> Response<Bytes> {
        *self.0
    }
}
