//! What users may see and end of their own: their sessions, one by one, and the names of their factors.

use std::time::Duration;

use crate::error::Fault;
use crate::flow::session::{self, SessionEnded};
use crate::flow::{Caller, account};
use crate::id::{FactorId, SessionHandle};
use crate::limit::{self, Leave};
use crate::parts::Parts;
use crate::policy;
use crate::session::access::AccessClaims;
use crate::session::claim::mask_contact;
use crate::time::Timestamp;

/// The factors of a user, as a half-login may see them: names and times, and no address that could be written to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFactors {
    /// The first factors, then the second ones.
    pub factors: Vec<OwnFactor>,
    /// Any one of these is due next.
    pub next: Vec<FactorId>,
    /// Whether the session may change factors, as far as its completed factors go.
    pub complete: bool,
}

/// A factor that a user has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnFactor {
    /// Which.
    pub factor: FactorId,
    /// Whether it signs in, or comes second.
    pub role: Role,
    /// Its phone number or address, masked; none for other factors.
    pub contact: Option<String>,
    /// When the user got it; none for a first factor that the application keeps.
    pub added_at: Option<Timestamp>,
    /// When it was last completed in this session.
    pub completed_at: Option<Timestamp>,
}

/// What a factor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It signs in.
    First,
    /// It completes a sign-in.
    Second,
}

/// Counts a call of one of these by the session behind `access`. Err: how long to wait.
pub(crate) async fn begin(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
) -> Result<Result<(), Duration>, Fault> {
    let ask = [account::limits(parts).own_calls(access.handle())];
    Ok(match limit::ask(&*parts.store, &ask, parts.now()).await? {
        Leave::Granted(_) => Ok(()),
        Leave::Refused { retry_after, .. } => {
            account::note_throttled(parts, caller, "own_calls");
            Err(retry_after)
        }
    })
}

/// The factors of the user behind `access`; none if the session has ended.
pub(crate) async fn factors(parts: &Parts, access: &AccessClaims) -> Result<Option<OwnFactors>, Fault> {
    let checked = match session::check(parts, access, None).await? {
        Ok(checked) => checked,
        Err(SessionEnded) => return Ok(None),
    };
    let user = &checked.look.user;
    let completed_at = |factor: &FactorId| checked.done.get(factor).map(|completion| completion.at);
    let mut factors: Vec<OwnFactor> = user
        .methods
        .iter()
        .map(|method| OwnFactor {
            role: Role::First,
            contact: None,
            added_at: Some(method.joined_at),
            completed_at: completed_at(&method.factor),
            factor: method.factor.clone(),
        })
        .collect();
    // A first factor that the application checked may have no login method here.
    for (factor, completion) in checked.done.iter().filter(|(_, completion)| completion.first) {
        if !factors.iter().any(|own| own.factor == *factor) {
            factors.push(OwnFactor {
                factor: factor.clone(),
                role: Role::First,
                contact: None,
                added_at: None,
                completed_at: Some(completion.at),
            });
        }
    }
    factors.extend(user.summary.enrolled.iter().map(|enrolled| OwnFactor {
        factor: enrolled.factor.clone(),
        role: Role::Second,
        contact: enrolled.contact.as_deref().map(mask_contact),
        added_at: Some(enrolled.at),
        completed_at: completed_at(&enrolled.factor),
    }));
    Ok(Some(OwnFactors {
        factors,
        complete: policy::is_complete(&checked.standing, &user.summary),
        next: checked.standing.next,
    }))
}

/// Ends the session `handle` if it is one of the user behind `access`. Whether it was: a session of somebody else is as
/// good as none (R-MFA-12, threat A-SES-13).
pub(crate) async fn end(parts: &Parts, access: &AccessClaims, handle: &SessionHandle) -> Result<bool, Fault> {
    let look = parts.store.look(handle, None).await?;
    let is_own = look.is_some_and(|look| {
        look.session.user == *access.user_id()
            && look.session.tenant == *access.tenant_id()
            && !look.session.is_over(parts.now())
    });
    Ok(is_own && session::end(parts, handle).await?)
}
