//! Waiting for the end of a session.

use std::sync::Arc;
use std::time::Duration;

use crate::rule::{Rule, each_claim};
use crate::session::access::AccessClaims;
use crate::session::watch::Whose;
use crate::stepup::{Denied, Stepup, Trust};

/// Why an answer that lasts must end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The access token that opened it has expired: the client may come back with a fresh one.
    Expired,
    /// Its session has ended.
    Revoked,
    /// Its session does not meet any more what was asked of it.
    Requirement,
    /// It could not be told whether the session lives.
    Fault,
}

/// How often a requirement that time alone can break is judged anew.
pub(crate) const LOOK: Duration = Duration::from_secs(1);

impl Stepup {
    /// Waits until the bearer of `access` would not be admitted any more: its token has expired, its session was revoked
    /// in this process, or `rule` is lost. Revocations of other processes are seen when the token expires.
    ///
    /// It takes no time of its own: revocations wake it at once, and the rest is seen by the tick of the background, which
    /// comes every half second ([`Stepup::tick`]).
    ///
    /// # Source
    /// ASVS v5.0.0-4.4.4, 7.4.1.
    pub async fn until_ended(self, access: Arc<AccessClaims>, rule: &Rule) -> Ending {
        let watch = self.parts.revocations.watchers().watch(Whose {
            session: access.handle().clone(),
            tenant: access.tenant_id().clone(),
            user: access.user_id().clone(),
        });
        let ages = is_lost_by_time(rule) || !self.parts.everywhere.is_empty();
        loop {
            watch.begin();
            let now = self.now();
            if now >= access.expires_at() {
                return Ending::Expired;
            }
            match self.admit_route(&access, rule, Trust::Token).await {
                Ok(_) => {}
                Err(Denied::Claims(_)) => return Ending::Requirement,
                Err(Denied::Fault(_)) => return Ending::Fault,
                Err(Denied::Ended | Denied::NotOurs | Denied::TryRefresh) => return Ending::Revoked,
            }
            let due = if ages {
                access.expires_at().min(now.plus(LOOK))
            } else {
                access.expires_at()
            };
            watch.called(due).await;
        }
    }
}

/// Whether a rule that holds may fail later although nothing happened.
pub(crate) fn is_lost_by_time(rule: &Rule) -> bool {
    let mut claims = false;
    each_claim(rule, &[], &mut |_| claims = true);
    claims
        || match rule {
            Rule::Fresh(_) | Rule::Own(_) => true,
            Rule::All(rules) | Rule::Any(rules) => rules.iter().any(is_lost_by_time),
            Rule::Valid | Rule::LeaveOut(_) | Rule::Site | Rule::SecondFactor | Rule::Claim(_) => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rule::ClaimRule;

    #[test]
    fn what_ages_is_judged_again_and_again() {
        let fresh = || Rule::Fresh(Duration::from_secs(300));
        assert!(is_lost_by_time(&Rule::All(vec![Rule::SecondFactor, fresh()])));
        assert!(is_lost_by_time(&Rule::Any(vec![Rule::Site, fresh()])));
        assert!(is_lost_by_time(&Rule::Claim(ClaimRule::includes(
            "role", "admin"
        ))));
        assert!(!is_lost_by_time(&Rule::All(vec![Rule::SecondFactor, Rule::Site])));
        assert!(!is_lost_by_time(&Rule::Valid));
    }
}
