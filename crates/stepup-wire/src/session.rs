//! [`Session`]: what a handler holds, once its request was admitted.

use std::fmt;
use std::marker::PhantomData;

use serde_json::Value;
use stepup_core::error::Fault;
use stepup_core::flow::{MergeError, SessionEnded};
use stepup_core::id::{SessionHandle, TenantId, UserId};
use stepup_core::record::JsonMap;
use stepup_core::require::{Requirement, SitePolicy, rule_of};
use stepup_core::rule::{ClaimFailure, ClaimRule, Rule};
use stepup_core::session::access::{AccessClaims, PayloadError};
use stepup_core::session::claim::{self, Claim};
use stepup_core::time::Timestamp;
use stepup_core::verifier::OnlyVerifies;
use stepup_core::{Denied, Ending, Trust};

use crate::gate::{Refused, Verified};
use crate::refusal::Refusal;
use crate::service::Guard;
use crate::tokens;
use crate::transfer::Mode;
use crate::writes::TokenWrites;

/// The session of a request that met `R`; the site's policy, if none is named.
pub struct Session<R = SitePolicy> {
    verified: Verified,
    guard: Guard,
    meets: PhantomData<fn() -> R>,
}

/// Why a session was not changed.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// It has ended; the client is told so.
    #[error("the session has ended")]
    Ended,
    /// What was to be merged is no payload of the application's.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// These claims fail.
    #[error("the session lacks what is asked of it")]
    Claims(Vec<ClaimFailure>),
    /// This service has the site's public keys alone. Only the site can change the session.
    #[error(transparent)]
    OnlyVerifies(#[from] OnlyVerifies),
    /// The store, or a key, failed.
    #[error("the session could not be changed")]
    Fault(#[from] Fault),
}

impl<R: Requirement> Session<R> {
    /// Asks the store whether the session lives, and whether it meets `R` by what stands there: before what cannot be undone.
    /// A token alone is good until it expires, although another process ended its session (R-SES-5).
    ///
    /// # Errors
    /// [`SessionError::Ended`], [`SessionError::Claims`], [`SessionError::Fault`]; a service that only verifies has no store
    /// to ask, which is a fault as well.
    pub async fn ask_store(&self) -> Result<(), SessionError> {
        let gate = self.guard.gate();
        let admitted = gate
            .admit_route(&self.verified.claims, rule_of::<R>(), Trust::Store)
            .await;
        admitted.map_err(|denied| self.denied(denied))
    }

    /// Waits until this session would not be admitted to this route any more: its access token has expired, it was
    /// revoked, or it does not meet `R` any longer. For answers that last, such as WebSockets and event streams: a guard
    /// judges only how they begin. The client comes back with a fresh token.
    ///
    /// The future borrows nothing; hand it to the task that goes on. A service that only verifies cannot tell that the site
    /// ended a session: there it resolves when the token expires or `R` is lost, and as [`Ending::Fault`] when the site's keys
    /// were not confirmed for too long.
    pub fn until_ended(&self) -> impl Future<Output = Ending> + Send + 'static + use<R> {
        let gate = self.guard.gate().clone();
        gate.until_ended(self.verified.claims.clone(), rule_of::<R>())
    }
}

// Not derived: `R` is only a mark, and need not be `Clone`.
impl<R> Clone for Session<R> {
    fn clone(&self) -> Self {
        Self::new(self.verified.clone(), self.guard.clone())
    }
}

impl<R> Session<R> {
    pub(crate) fn new(verified: Verified, guard: Guard) -> Self {
        Self {
            verified,
            guard,
            meets: PhantomData,
        }
    }

    pub(crate) fn verified(&self) -> &Verified {
        &self.verified
    }

    /// The user.
    pub fn user_id(&self) -> &UserId {
        self.claims().user_id()
    }

    /// The session's handle. It is no secret: it opens nothing by itself.
    pub fn handle(&self) -> &SessionHandle {
        self.claims().handle()
    }

    /// The tenant of the user.
    pub fn tenant_id(&self) -> &TenantId {
        self.claims().tenant_id()
    }

    /// All claims of the access token, typed.
    pub fn claims(&self) -> &AccessClaims {
        &self.verified.claims
    }

    /// The whole payload of the access token.
    pub fn payload(&self) -> &JsonMap {
        self.claims().payload()
    }

    /// The value of a claim `{"v", "t"}` of the application's own.
    pub fn claim(&self, key: &str) -> Option<&Value> {
        self.payload().get(key)?.get("v")
    }

    /// The value of `claim`; none if there is none, or none of the claim's type.
    pub fn claim_value<C: Claim>(&self, claim: &C) -> Option<C::Value> {
        claim::read(claim, self.payload()).map(|stamped| stamped.value)
    }

    /// When `claim` was fetched or set.
    pub fn claim_set_at<C: Claim>(&self, claim: &C) -> Option<Timestamp> {
        claim::read(claim, self.payload())?.at
    }

    /// When the access token expires; the session lasts longer.
    pub fn expires_at(&self) -> Timestamp {
        self.claims().expires_at()
    }

    /// How its tokens travel.
    pub fn mode(&self) -> Mode {
        self.verified.mode
    }

    /// Merges `patch` into the application's part of the payload; `null` removes a key. The client gets a new access
    /// token with this response, whatever its status: new `iat`, old `exp`.
    ///
    /// # Errors
    /// [`SessionError`]; nothing was changed.
    pub async fn merge_payload(&mut self, patch: &JsonMap) -> Result<(), SessionError> {
        let stepup = self.guard.gate().stepup()?;
        match stepup.merge_own_payload(&self.verified.claims, patch).await? {
            Ok(issued) => {
                // Our own token, signed a moment ago. Should it not verify, the old claims stay, which say less.
                if let Ok(claims) = stepup.verify(issued.access.expose()) {
                    self.verified.claims = claims;
                }
                self.guard.owe(tokens::hand_out(self.verified.mode, issued));
                Ok(())
            }
            Err(MergeError::Ended) => Err(self.ended()),
            Err(MergeError::Payload(error)) => Err(error.into()),
        }
    }

    /// Sets `claim`, as of now. The client gets a new access token with this response.
    ///
    /// # Errors
    /// As [`Session::merge_payload`].
    pub async fn set_claim<C: Claim>(&mut self, claim: &C, value: C::Value) -> Result<(), SessionError> {
        let patch = self.guard.gate().stepup()?.claim_patch(claim, &value)?;
        self.merge_payload(&patch).await
    }

    /// Sets `claim` to what its source says now. If that is nothing, all stays as it is.
    ///
    /// # Errors
    /// As [`Session::merge_payload`]; [`SessionError::Fault`] if the source failed.
    pub async fn fetch_claim<C: Claim>(&mut self, claim: &C) -> Result<(), SessionError> {
        let stepup = self.guard.gate().stepup()?;
        match stepup.fetched_claim_patch(self.handle(), claim).await? {
            Ok(patch) if patch.is_empty() => Ok(()),
            Ok(patch) => self.merge_payload(&patch).await,
            Err(SessionEnded) => Err(self.ended()),
        }
    }

    /// Removes `claim`. The client gets a new access token with this response.
    ///
    /// # Errors
    /// As [`Session::merge_payload`].
    pub async fn remove_claim<C: Claim>(&mut self, claim: &C) -> Result<(), SessionError> {
        let patch = JsonMap::from_iter([(Claim::key(claim).to_owned(), Value::Null)]);
        self.merge_payload(&patch).await
    }

    /// Asks more of the session than its type does, in the middle of a handler. What `claims` find missing or too old is
    /// fetched first; the client gets the new access token with this response, whatever its status.
    ///
    /// # Errors
    /// [`SessionError::Claims`] with every one that fails, [`SessionError::Ended`], [`SessionError::Fault`].
    pub async fn assert_claims(
        &mut self,
        claims: impl IntoIterator<Item = ClaimRule>,
    ) -> Result<(), SessionError> {
        // What the site asks everywhere was asked when the request came in.
        let named = claims.into_iter().map(Rule::Claim);
        let rule = Rule::All(std::iter::once(Rule::Valid).chain(named).collect());
        self.meet(&rule).await
    }

    /// Asks `M` of the session in the middle of a handler: where the request itself says how much is at stake, or where one
    /// guard stands before several handlers. As [`Session::assert_claims`] otherwise.
    ///
    /// # Errors
    /// [`SessionError::Claims`] with every one that fails, [`SessionError::Ended`], [`SessionError::Fault`].
    pub async fn require<M: Requirement>(&mut self) -> Result<(), SessionError> {
        self.meet(rule_of::<M>()).await
    }

    async fn meet(&mut self, rule: &Rule) -> Result<(), SessionError> {
        let gate = self.guard.gate();
        let due = gate.fetch_due_claims(&self.verified.claims, rule).await;
        if let Some(renewed) = due.map_err(|denied| self.denied(denied))? {
            self.guard
                .owe(tokens::hand_out(self.verified.mode, renewed.tokens));
            self.verified.claims = renewed.claims;
        }
        let gate = self.guard.gate();
        let admitted = gate.admit_route(&self.verified.claims, rule, Trust::Token).await;
        admitted.map_err(|denied| self.denied(denied))
    }

    fn denied(&self, denied: Denied) -> SessionError {
        match denied {
            Denied::Claims(failures) => {
                self.guard.gate().note_denied(&self.verified.claims, None);
                SessionError::Claims(failures)
            }
            Denied::Fault(fault) => SessionError::Fault(fault),
            Denied::Ended | Denied::NotOurs | Denied::TryRefresh => self.ended(),
        }
    }

    /// The session is over: the client is told so.
    fn ended(&self) -> SessionError {
        self.guard.owe(everything_taken_back());
        SessionError::Ended
    }

    /// Ends the session and tells the client.
    ///
    /// # Errors
    /// [`Fault`]; this process refuses its tokens all the same, and the client is told. A service that only verifies
    /// ([`OnlyVerifies`], as the source) has done nothing.
    pub async fn revoke(self) -> Result<(), Fault> {
        let stepup = self.guard.gate().stepup()?;
        let mut writes = TokenWrites::new();
        writes.end(self.verified.mode);
        self.guard.owe(writes);
        stepup.revoke(self.handle()).await.map(drop)
    }
}

fn everything_taken_back() -> TokenWrites {
    let mut writes = TokenWrites::new();
    writes.end_everywhere();
    writes
}

impl<R> fmt::Debug for Session<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("user", self.user_id())
            .field("mode", &self.verified.mode)
            .finish_non_exhaustive()
    }
}

impl From<SessionError> for Refused {
    /// So that a handler can pass it on by `?`.
    fn from(error: SessionError) -> Self {
        Self::new(match error {
            // The outbox holds what the client is told.
            SessionError::Ended => Refusal::Unusable,
            SessionError::Payload(error) => {
                tracing::error!(target: "stepup", %error, "a handler merged what is no payload");
                Refusal::Broken
            }
            SessionError::Claims(failures) => Refusal::InvalidClaims(failures),
            SessionError::OnlyVerifies(error) => Fault::from(error).into(),
            SessionError::Fault(fault) => Refusal::of_route(&fault),
        })
    }
}
