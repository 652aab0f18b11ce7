//! What becomes of an address whose mailbox was proved, and what a session is told of it.
//!
//! It never completes a factor and opens no session: a mailbox that is read proves that it is read (threat A-MFA-21).

use crate::email;
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::flow::IssuedTokens;
use crate::flow::session::{self, MergeError};
use crate::id::{TenantId, UserId};
use crate::parts::Parts;
use crate::record::JsonMap;
use crate::record::user::{User, UserState};
use crate::rule::EMAIL_VERIFIED;
use crate::session::access::AccessClaims;
use crate::session::claim;
use crate::storage::Look;

/// How often a user that changes at the same moment is read anew.
const TRIES: u32 = 3;

/// Marks `address` as verified wherever the user signs in by it. The user as it is then; none if it does so no more.
pub(crate) async fn prove(
    parts: &Parts,
    tenant: &TenantId,
    id: &UserId,
    address: &str,
) -> Result<Option<User>, Fault> {
    for _ in 0..TRIES {
        let found = parts.store.user(tenant, id).await?;
        let Some(user) = found.filter(|user| user.state == UserState::Live) else {
            return Ok(None);
        };
        let Some(methods) = email::verified(&user, address) else {
            return Ok(None);
        };
        if methods == user.methods {
            return Ok(Some(user));
        }
        let revision = user.revision;
        if parts.store.set_methods(tenant, id, revision, &methods).await? {
            let event = parts.event(EventKind::VerificationDone, Outcome::Granted);
            parts.record(&event.of(tenant, id));
            let revision = revision + 1;
            return Ok(Some(User {
                methods,
                revision,
                ..user
            }));
        }
    }
    Err(Fault::Busy)
}

/// What the user's row says of the address behind a session.
pub(crate) fn is_verified(look: &Look) -> bool {
    email::is_verified_by(&look.user, &look.session.method)
}

/// The session with the claim as the user's row has it, written only if it was not so; none if it has just ended.
pub(crate) async fn claimed(parts: &Parts, look: Look) -> Result<Option<Look>, Fault> {
    let verified = is_verified(&look);
    if says(&look.session.payload) == Some(verified) {
        return Ok(Some(look));
    }
    let entry = claim::entry(verified.into(), parts.now());
    let patch = JsonMap::from_iter([(EMAIL_VERIFIED.to_owned(), entry)]);
    match session::merge_into(parts, look, &patch).await? {
        Ok(look) => Ok(Some(look)),
        Err(MergeError::Ended) => Ok(None),
        Err(MergeError::Payload(error)) => Err(Fault::Part(Box::new(error))),
    }
}

/// A token in the place of `access` that says what the user's row says; none if it says so already, or its session has
/// just ended.
pub(crate) async fn told(
    parts: &Parts,
    access: &AccessClaims,
    look: Look,
) -> Result<Option<IssuedTokens>, Fault> {
    if says(access.payload()) == Some(is_verified(&look)) {
        return Ok(None);
    }
    match claimed(parts, look).await? {
        Some(look) => session::reissue(parts, &look.session, &look.user.summary, access).map(Some),
        None => Ok(None),
    }
}

fn says(payload: &JsonMap) -> Option<bool> {
    payload.get(EMAIL_VERIFIED)?.get("v")?.as_bool()
}
