//! Who is admitted: by a verified token and what this process knows, or by the session's row.

use crate::flow::session::{self, Checked, SessionEnded};
use crate::policy;
use crate::rule::{ClaimFailure, Facts, Rule, judge, judge_route, stale};
use crate::session::access::AccessClaims;
use crate::session::revocation::Known;
use crate::stepup::{Denied, Stepup, Trust};
use crate::time::Timestamp;

impl Stepup {
    /// Admits the bearer of `access` if its session was not revoked and `rule` holds. The store is asked when `trust`
    /// says so, or when the memory of revocations is full: it is never skipped.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn admit(
        &self,
        access: &AccessClaims,
        rule: &Rule,
        trust: Trust,
    ) -> Result<Option<Checked>, Denied> {
        self.admit_if(access, trust, |facts| judge(rule, facts)).await
    }

    /// The same for a route of the application: the site's policy and the claims of every route are asked beside `rule`
    /// ([`judge_route`]). Claims are judged as they are: see [`Stepup::fetch_due_claims`]. Whoever refuses by it records it.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn admit_route(
        &self,
        access: &AccessClaims,
        rule: &Rule,
        trust: Trust,
    ) -> Result<Option<Checked>, Denied> {
        let everywhere = &self.parts.everywhere;
        self.admit_if(access, trust, |facts| judge_route(rule, everywhere, facts))
            .await
    }

    /// The same for a route whose claims were not fetched yet, if that can be said at once: none if one is to be fetched
    /// ([`Stepup::fetch_due_claims`]), or the store to be asked. Most requests are admitted here.
    pub fn admit_route_at_once(
        &self,
        access: &AccessClaims,
        rule: &Rule,
        trust: Trust,
    ) -> Option<Result<(), Denied>> {
        if self.has_due_claims(access, rule) {
            return None;
        }
        let everywhere = &self.parts.everywhere;
        self.admit_by_token(access, trust, self.now(), |facts| {
            judge_route(rule, everywhere, facts)
        })
    }

    async fn admit_if(
        &self,
        access: &AccessClaims,
        trust: Trust,
        judge: impl Fn(&Facts<'_>) -> Vec<ClaimFailure> + Send,
    ) -> Result<Option<Checked>, Denied> {
        if let Some(admitted) = self.admit_by_token(access, trust, self.now(), &judge) {
            return admitted.map(|()| None);
        }
        let checked = session::check(&self.parts, access, None)
            .await?
            .map_err(|SessionEnded| Denied::Ended)?;
        no_failures(judge(&session::facts_of(&self.parts, &checked)))?;
        Ok(Some(checked))
    }

    /// What the token itself and this process say; none if the store is to be asked.
    fn admit_by_token(
        &self,
        access: &AccessClaims,
        trust: Trust,
        now: Timestamp,
        judge: impl Fn(&Facts<'_>) -> Vec<ClaimFailure>,
    ) -> Option<Result<(), Denied>> {
        if !self.parts.knows(access.tenant_id()) {
            return Some(Err(Denied::Ended));
        }
        match (self.parts.revocations.standing(access, now), trust) {
            (Known::Revoked, _) => Some(Err(Denied::Ended)),
            (Known::Live, Trust::Token) => {
                let facts = session::facts(&self.parts, access, now);
                Some(no_failures(judge(&facts)))
            }
            (Known::AskStore, _) | (Known::Live, Trust::Store) => None,
        }
    }

    /// Admits the bearer of `access` to what only a complete session may do: the site's policy is satisfied and, if the
    /// user has any second factor, it was completed. The store is always asked (R-SES-5).
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn admit_complete(&self, access: &AccessClaims) -> Result<Checked, Denied> {
        // A session that this process ended is over, even if its row could not be deleted.
        if self.parts.revocations.standing(access, self.now()) == Known::Revoked {
            return Err(Denied::Ended);
        }
        let checked = session::check(&self.parts, access, None)
            .await?
            .map_err(|SessionEnded| Denied::Ended)?;
        if policy::is_complete(&checked.standing, &checked.look.user.summary) {
            return Ok(checked);
        }
        let facts = session::facts_of(&self.parts, &checked);
        Err(Denied::Claims(judge(&Rule::SecondFactor, &facts)))
    }
}

impl Stepup {
    /// The same for what only a fresh proof may do: the strongest factor that the account has was completed within the step-up
    /// age. For whoever has a second factor that is one; for others the factor that they signed in by.
    ///
    /// # Errors
    /// [`Denied`].
    ///
    /// # Source
    /// ASVS v5.0.0-7.5.1; threats R-STU-1.
    pub async fn admit_fresh(&self, access: &AccessClaims) -> Result<Checked, Denied> {
        let checked = self.admit_complete(access).await?;
        let (at, now) = (checked.standing.at, self.now());
        let within = self.parts.config.sessions.step_up;
        if at <= now && now.since(at) <= within {
            return Ok(checked);
        }
        let facts = session::facts_of(&self.parts, &checked);
        Err(Denied::Claims(vec![stale(&facts, within)]))
    }
}

fn no_failures(failures: Vec<ClaimFailure>) -> Result<(), Denied> {
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Denied::Claims(failures))
    }
}
