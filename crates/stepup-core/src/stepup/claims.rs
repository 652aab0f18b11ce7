//! What an application asks of its claims: for a request, and by handle.

use crate::error::Fault;
use crate::flow::Renewed;
use crate::flow::claim;
use crate::flow::session::{self, MergeError, SessionEnded};
use crate::id::SessionHandle;
use crate::record::JsonMap;
use crate::rule::{ClaimFailure, ClaimRule, Rule};
use crate::session::access::AccessClaims;
use crate::session::claim::{Claim, Stamped};
use crate::stepup::{Denied, Stepup};

impl Stepup {
    /// Fetches the claims that a route asks for, by `rule` or for every route, and that are missing in the token or too
    /// old, writes them to the session, and makes a new token. None if nothing changed; no storage is touched if nothing
    /// is due.
    ///
    /// # Errors
    /// [`Denied::Ended`]; [`Denied::Fault`], also if the source of a claim failed.
    pub async fn fetch_due_claims(
        &self,
        access: &AccessClaims,
        rule: &Rule,
    ) -> Result<Option<Renewed>, Denied> {
        claim::fetch_due(&self.parts, access, rule)
            .await?
            .map_err(|SessionEnded| Denied::Ended)
    }

    /// Whether [`Stepup::fetch_due_claims`] has something to fetch.
    pub(super) fn has_due_claims(&self, access: &AccessClaims, rule: &Rule) -> bool {
        claim::is_due(&self.parts, access, rule)
    }

    /// A patch that sets `claim` to `value` as of now, for [`Stepup::merge_own_payload`].
    ///
    /// # Errors
    /// [`Fault::Part`]: the value is no JSON.
    pub fn claim_patch<C: Claim>(&self, claim: &C, value: &C::Value) -> Result<JsonMap, Fault> {
        claim::set(&self.parts, claim, value)
    }

    /// A patch that sets `claim` to what its source says now; empty if the source says nothing.
    ///
    /// # Errors
    /// [`SessionEnded`], as the inner error; [`Fault`], also if the source failed.
    pub async fn fetched_claim_patch<C: Claim>(
        &self,
        handle: &SessionHandle,
        claim: &C,
    ) -> Result<Result<JsonMap, SessionEnded>, Fault> {
        claim::fetch(&self.parts, handle, claim).await
    }

    /// What a session says of `claim`, and since when. None if nothing, or nothing of the claim's type.
    ///
    /// # Errors
    /// [`SessionEnded`], as the inner error; [`Fault`].
    pub async fn claim<C: Claim>(
        &self,
        handle: &SessionHandle,
        claim: &C,
    ) -> Result<Result<Option<Stamped<C::Value>>, SessionEnded>, Fault> {
        claim::read(&self.parts, handle, claim).await
    }

    /// Sets `claim` in a session. The client sees it after its next refresh, and a route that asks the store at once.
    ///
    /// # Errors
    /// As [`Stepup::merge_payload`].
    pub async fn set_claim<C: Claim>(
        &self,
        handle: &SessionHandle,
        claim: &C,
        value: &C::Value,
    ) -> Result<Result<(), MergeError>, Fault> {
        let patch = claim::set(&self.parts, claim, value)?;
        self.merge_payload(handle, &patch).await
    }

    /// Sets `claim` in a session to what its source says now. If that is nothing, the claim stays as it is.
    ///
    /// # Errors
    /// As [`Stepup::merge_payload`]; [`Fault::Part`] if the source failed.
    pub async fn fetch_claim<C: Claim>(
        &self,
        handle: &SessionHandle,
        claim: &C,
    ) -> Result<Result<(), MergeError>, Fault> {
        match claim::fetch(&self.parts, handle, claim).await? {
            Ok(patch) => self.merge_payload(handle, &patch).await,
            Err(SessionEnded) => Ok(Err(MergeError::Ended)),
        }
    }

    /// Removes `claim` from a session.
    ///
    /// # Errors
    /// As [`Stepup::merge_payload`].
    pub async fn remove_claim<C: Claim>(
        &self,
        handle: &SessionHandle,
        claim: &C,
    ) -> Result<Result<(), MergeError>, Fault> {
        self.merge_payload(handle, &claim::removed(claim)).await
    }

    /// Judges `rules` for a session, without a request of its client. What they find missing or too old is fetched and
    /// written first. The failures; none if all hold.
    ///
    /// # Errors
    /// [`SessionEnded`], as the inner error; [`Fault`], also if the source of a claim failed.
    pub async fn validate_claims(
        &self,
        handle: &SessionHandle,
        rules: &[ClaimRule],
    ) -> Result<Result<Vec<ClaimFailure>, SessionEnded>, Fault> {
        claim::judge_by_row(&self.parts, handle, rules).await
    }

    /// A session as the store has it, if it lives: its user and tenant, when it was opened and ends, its payload.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn session(
        &self,
        handle: &SessionHandle,
    ) -> Result<Option<crate::record::session::Session>, Fault> {
        let look = self.parts.store.look(handle, None).await?;
        let alive = look.filter(|look| session::is_alive(look, self.now()));
        Ok(alive.map(|look| look.session))
    }
}
