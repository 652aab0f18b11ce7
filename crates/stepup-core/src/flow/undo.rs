//! Undoing the first second factor of an account, by the link in its notice.
//!
//! Whoever stole a password could enroll a factor before its owner does. Only somebody who reads the account's mailboxes has
//! the link. It removes every second factor, since all of them came after the first; ends whatever is signed in; and retires
//! the password, which the thief knows (threat A-MFA-41).

use crate::delivery::NoticeKind;
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::flow::link::{self, LinkKind, LiveLink};
use crate::flow::{Caller, session, upkeep};
use crate::parts::Parts;
use crate::record::user::{Summary, User, UserState};
use crate::storage::UserChange;

/// What became of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoOutcome {
    /// The factor is gone, nothing is signed in any more, and the password has to be reset.
    Done,
    /// The token is none, or used, or too old.
    InvalidToken,
}

/// Whether `token` undoes something still. It spends nothing.
pub(crate) async fn is_live(parts: &Parts, caller: &Caller, token: &str) -> Result<bool, Fault> {
    Ok(found(parts, caller, token).await?.is_some())
}

/// Undoes what `token` was sent for.
pub(crate) async fn undo(parts: &Parts, caller: &Caller, token: &str) -> Result<UndoOutcome, Fault> {
    let note = |outcome, reason, user: Option<&User>| {
        let event = parts.event(EventKind::FactorUndone, outcome).because(reason);
        let event = event.from_network(&caller.origin.network);
        parts.record(&match user {
            Some(user) => event.of(&user.tenant, &user.id),
            None => event,
        });
    };
    let Some((link, user)) = found(parts, caller, token).await? else {
        note(Outcome::Refused, "no_such_token", None);
        return Ok(UndoOutcome::InvalidToken);
    };
    let kind = NoticeKind::FactorsReset { at: parts.now() };
    // Not to what is removed: that is where the thief reads.
    let own = User {
        summary: Summary::default(),
        ..user.clone()
    };
    let change = UserChange {
        state: None,
        reset_factors: true,
        retire_password: true,
        notices: upkeep::notices(parts, &own, &kind, None, caller.language).await?,
        // Spent in the same step: should anything fail, the owner can try again, and what is done is done once.
        paid_by: Some(link.payment(parts.now())),
    };
    let (tenant, id) = (&user.tenant, &user.id);
    let work = parts.store.change_user(tenant, id, &change);
    if session::ending(parts, tenant, id, work).await?.is_none() {
        note(Outcome::Refused, "spent", Some(&user));
        return Ok(UndoOutcome::InvalidToken);
    }
    session::revoke_tokens(parts, tenant, id, None);
    note(Outcome::Granted, "by_link", Some(&user));
    upkeep::wake(parts);
    Ok(UndoOutcome::Done)
}

async fn found(parts: &Parts, caller: &Caller, token: &str) -> Result<Option<(LiveLink, User)>, Fault> {
    let tenant = &caller.tenant;
    let Some(link) = link::find(parts, LinkKind::Undo, tenant, token).await? else {
        return Ok(None);
    };
    let Some(id) = link::undoes(&link) else {
        return Ok(None);
    };
    let user = parts.store.user(tenant, &id).await?;
    let user = user.filter(|user| user.state != UserState::Deleted && link.is_of(LinkKind::Undo, user));
    Ok(user.map(|user| (link, user)))
}
