//! A new password by whoever is signed in and knows the present one.
//!
//! The present password is counted and compared as at sign-in (threat A-ENU-07), the session was asked for its strongest
//! factor before (R-PWD-3), and what was signed in elsewhere ends; the session itself goes on by a new token.

use std::time::Duration;

use crate::caller::Caller;
use crate::delivery::NoticeKind;
use crate::digest::Verdict;
use crate::error::Fault;
use crate::flow::password::{self, Outcome};
use crate::flow::session::SessionEnded;
use crate::flow::update::{self, UpdateRefusal};
use crate::flow::{SignedIn, account, kept, session, upkeep};
use crate::parts::Parts;
use crate::password::{Password, PasswordFault};
use crate::record::credential::CredentialKind;
use crate::secret::Secret;
use crate::session::access::AccessClaims;
use crate::storage::{Beside, UpdateOutcome, UserUpdate};

/// What became of a change of the password.
#[derive(Debug)]
pub enum ChangeOutcome {
    /// It is changed. Everything else that was signed in is signed in no more; here are new tokens for this session.
    Changed(Box<SignedIn>),
    /// The present password is wrong. The try was counted.
    WrongPassword,
    /// The new one is not accepted.
    Password(PasswordFault),
    /// Too many tries. No hash was computed.
    Throttled(Duration),
    /// The session has ended.
    Ended,
    /// The user has no password.
    NotOffered,
}

/// Changes the password of the user behind `access`.
pub(crate) async fn change(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
    current: Option<Password>,
    typed: Result<Password, PasswordFault>,
) -> Result<ChangeOutcome, Fault> {
    let checked = match session::check(parts, access, None).await? {
        Ok(checked) => checked,
        Err(SessionEnded) => return Ok(ChangeOutcome::Ended),
    };
    let user = &checked.look.user;
    let Some(factor) = parts.password_in(&user.tenant) else {
        return Ok(ChangeOutcome::NotOffered);
    };
    let kind = CredentialKind::Password;
    let stored = parts.store.credentials(&user.tenant, &user.id, kind).await?;
    // One that was retired is known to somebody else: it is replaced by a link alone (threat A-MFA-41).
    let Some(stored) = stored.first().filter(|stored| !stored.is_retired()) else {
        return Ok(ChangeOutcome::NotOffered);
    };
    let counted = format!("user:{}", user.id);
    let attempt = match account::begin(parts, caller, Some(user), counted).await? {
        Ok(attempt) => attempt,
        Err(retry_after) => return Ok(ChangeOutcome::Throttled(retry_after)),
    };
    // What is too long never was accepted, and is not hashed to find out (threat A-RES-04).
    let verdict = match &current {
        Some(current) => password::judge(parts, factor, Some(stored), current, Outcome::Open).await?,
        None => Verdict::Wrong,
    };
    if !matches!(verdict, Verdict::Right { .. }) {
        attempt.failed(parts, Some(user), "wrong_password").await?;
        return Ok(ChangeOutcome::WrongPassword);
    }
    drop(current);
    attempt.succeeded(parts).await?;
    let typed = match typed {
        Ok(typed) => typed,
        Err(fault) => return Ok(ChangeOutcome::Password(fault)),
    };
    let credential = match update::password(parts, user, &user.methods, &typed).await? {
        Ok(credential) => credential,
        Err(UpdateRefusal::Password(fault)) => return Ok(ChangeOutcome::Password(fault)),
        Err(_) => return Ok(ChangeOutcome::NotOffered),
    };
    drop(typed);
    let now = parts.now();
    let old = &checked.look.session;
    let secret: Secret<[u8; 32]> = Secret::new(parts.random()?);
    let kind = NoticeKind::PasswordChanged { at: now };
    let work = UserUpdate {
        tenant: user.tenant.clone(),
        user: user.id.clone(),
        revision: user.revision,
        methods: user.methods.clone(),
        identifiers: user.methods.iter().flat_map(update::identifiers).collect(),
        password: Some(credential),
        contacts: Vec::new(),
        notices: upkeep::notices(parts, user, &kind, None, caller.language).await?,
        keep: Some(kept::going_on(parts, old, &secret, now)),
        beside: Beside::default(),
    };
    let stored = parts.store.update_user(&work);
    let (session, user) = match session::ending(parts, &user.tenant, &user.id, stored).await? {
        UpdateOutcome::Kept(kept) => *kept,
        UpdateOutcome::Gone => return Ok(ChangeOutcome::Ended),
        // The account changed while the password was compared: what was right may be right no more.
        UpdateOutcome::Outrun
        | UpdateOutcome::Unpaid(_)
        | UpdateOutcome::IdentifierTaken(_)
        | UpdateOutcome::Done(_) => {
            return Err(Fault::Busy);
        }
    };
    update::updated(parts, &user, &[], true, Some(&session.handle)).await?;
    let signed_in = kept::gone_on(parts, session, user, secret)?;
    Ok(ChangeOutcome::Changed(Box::new(signed_in)))
}
