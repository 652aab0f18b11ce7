//! The session that goes on after an update of its user that ends all others.

use crate::error::Fault;
use crate::flow::{SignedIn, session};
use crate::parts::Parts;
use crate::record::session::Session;
use crate::record::user::User;
use crate::secret::Secret;
use crate::session::refresh::RefreshToken;
use crate::storage::{Keep, RiseTo};
use crate::time::Timestamp;

/// How `old` outlives the update: by a new generation, whose token is made of `secret` and which no older one leads to
/// ([`gone_on`]).
pub(crate) fn going_on(parts: &Parts, old: &Session, secret: &Secret<[u8; 32]>, now: Timestamp) -> Keep {
    Keep {
        handle: old.handle.clone(),
        rise: Some(RiseTo {
            secret: RefreshToken::new(old.handle.clone(), 0, secret.clone()).digest(),
            class: old.class,
            idle_expires_at: now.plus(parts.config.sessions.idle).min(old.ends_at),
            ends_at: old.ends_at,
        }),
        now,
    }
}

/// The tokens by which a session goes on that was kept by [`going_on`] with `secret`.
pub(crate) fn gone_on(
    parts: &Parts,
    session: Session,
    user: User,
    secret: Secret<[u8; 32]>,
) -> Result<SignedIn, Fault> {
    let refresh = RefreshToken::new(session.handle.clone(), session.chain.generation, secret);
    let tokens = session::issue(parts, &session, &user.summary, &refresh)?;
    Ok(SignedIn {
        user,
        session,
        tokens,
    })
}
