//! Leave to add the first second factor, where a first factor alone is not enough for it: confirmed from the account's verified
//! mailbox for the session that asked, or given by an administrator (threat A-MFA-41).
//!
//! What is asked, and what is given, is a challenge that nobody can answer: it has its end, dies with the credential epoch of
//! its user, and the first enrollment ends it like any other.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::delivery::{Channel, Content, NoticeKind};
use crate::error::{Fault, StoreError};
use crate::event::{EventKind, Outcome};
use crate::flow::dispatch::{Parcel, hand_over};
use crate::flow::link::{self, LinkKind, LiveLink};
use crate::flow::session::{self, Checked};
use crate::flow::{Caller, account, upkeep};
use crate::hook::{Outgoing, OutgoingContent};
use crate::id::{ChallengeId, SessionHandle, TenantId, UserId};
use crate::limit;
use crate::parts::Parts;
use crate::policy::{EnrollmentMode, Leave};
use crate::record::challenge::{Binding, Challenge, SLOTS};
use crate::record::user::{User, UserState};
use crate::storage::Look;
use crate::time::Timestamp;

/// Somebody who waits for an administrator's leave to add a first second factor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEnrollment {
    /// Who.
    pub user: UserId,
    /// Since when.
    pub asked_at: Timestamp,
}

/// Whether this session has leave, where the policy wants one. Most sites ask the store nothing here.
pub(crate) async fn of(parts: &Parts, checked: &Checked) -> Result<Leave, Fault> {
    let Look { user, session, .. } = &checked.look;
    if !user.summary.enrolled.is_empty() {
        return Ok(Leave::None);
    }
    let mark = match parts.policy_of(&user.tenant).enrollment() {
        EnrollmentMode::ConfirmByEmail => Mark::Confirmed(&session.handle),
        EnrollmentMode::Approve => Mark::Approved,
        EnrollmentMode::FreshFirstFactor | EnrollmentMode::InSignUpSession => return Ok(Leave::None),
    };
    let found = parts.store.challenge(&user.tenant, &mark.id(&user.id)).await?;
    let lasts = |c: &Challenge| c.binding == mark.binding(&user.id) && parts.now() < c.ends_at;
    Ok(match found.filter(lasts) {
        Some(_) => Leave::Given,
        None => Leave::None,
    })
}

/// What stands for a wish, or for leave.
#[derive(Clone, Copy)]
enum Mark<'a> {
    /// Leave for one session.
    Confirmed(&'a SessionHandle),
    /// A user waits for an administrator.
    Asked,
    /// An administrator's leave for a user.
    Approved,
}

impl Mark<'_> {
    const fn purpose(self) -> &'static str {
        match self {
            Self::Confirmed(_) => "leave:confirmed",
            Self::Asked => "leave:asked",
            Self::Approved => "leave:approved",
        }
    }

    /// One for each session or user, so that two at once are one.
    fn id(self, user: &UserId) -> ChallengeId {
        let of = match self {
            Self::Confirmed(session) => session.as_str(),
            Self::Asked | Self::Approved => user.as_str(),
        };
        let digest = Sha256::new()
            .chain_update(self.purpose())
            .chain_update([0])
            .chain_update(of)
            .finalize();
        ChallengeId::new(URL_SAFE_NO_PAD.encode(digest))
    }

    fn binding(self, user: &UserId) -> Binding {
        Binding {
            purpose: self.purpose().to_owned(),
            user: user.clone(),
            session: match self {
                Self::Confirmed(session) => session.clone(),
                Self::Asked | Self::Approved => format!("leave:{}", self.id(user)).into(),
            },
        }
    }

    /// The row. It is closed from the start: there is nothing to answer.
    fn row(self, tenant: &TenantId, user: &UserId, now: Timestamp, lasts: Duration) -> Challenge {
        let ends_at = now.plus(lasts);
        Challenge {
            tenant: tenant.clone(),
            id: self.id(user),
            binding: self.binding(user),
            destination: ALL.to_owned(),
            failed: 0,
            max_failures: 1,
            slots: [None; SLOTS],
            sends: 0,
            next_send_at: ends_at,
            closed: true,
            created_at: now,
            ends_at,
        }
    }
}

/// The destination of all of them, by which they are listed. No address looks like it.
const ALL: &str = "leave";

/// Puts a mark in the place of an older one of the same name. Of two at once either is as good.
async fn put(parts: &Parts, row: &Challenge) -> Result<(), Fault> {
    parts.store.drop_challenge(&row.tenant, &row.id).await?;
    match parts.store.put_challenge(row).await {
        Ok(()) | Err(StoreError::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// What became of the wish for leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// A link is on its way to the mailbox.
    Mailed,
    /// There is no mailbox that anybody verified.
    NoMailbox,
    /// Too often.
    Throttled(Duration),
    /// Too much to do.
    Busy,
}

/// Sends a link to the account's verified mailbox, by which `checked` gets leave.
pub(crate) async fn ask_by_mail(parts: &Parts, caller: &Caller, checked: &Checked) -> Result<Wish, Fault> {
    let Look { user, session, .. } = &checked.look;
    // That of the session first.
    let verified = user.methods.iter().filter(|m| m.verified && m.email.is_some());
    let Some(address) = verified
        .max_by_key(|method| method.id == session.method)
        .and_then(|method| method.email.clone())
    else {
        return Ok(Wish::NoMailbox);
    };
    let Some(deliver) = parts.notices.clone().filter(|d| d.carries(Channel::Email)) else {
        return Err(Fault::Part("nothing carries e-mail".into()));
    };
    let limits = account::limits(parts);
    let asks = limits.verification(&user.tenant, &user.id, &address, &caller.origin.network);
    if let limit::Leave::Refused { retry_after, .. } = limit::ask(&*parts.store, &asks, parts.now()).await? {
        account::note_throttled(parts, caller, "confirmation");
        return Ok(Wish::Throttled(retry_after));
    }
    let message = Outgoing {
        channel: Channel::Email,
        to: &address,
        content: OutgoingContent::Confirm,
        tenant: &user.tenant,
        user: Some(&user.id),
    };
    parts.hooks.on_delivery(caller, &message).await?;
    let lifetime = parts.config.links.confirmation;
    // Where it goes is no secret to who asked; for whom it is has to be kept.
    let link = link::make(
        parts,
        LinkKind::Confirm,
        user,
        &session_place(&session.handle),
        lifetime,
    )?;
    parts.store.put_challenge(&link.challenge).await?;
    let url = link::url(parts, LinkKind::Confirm, &user.tenant, &link.token);
    let about = parts.event(EventKind::DeliverySent, Outcome::Noted);
    let sent = Challenge {
        destination: address,
        ..link.challenge
    };
    let content = Content::Confirm { url, lifetime };
    let message = upkeep::message(parts, Channel::Email, &sent, content, caller.language);
    let handed = hand_over(
        parts,
        Parcel {
            deliver,
            message,
            about: about.of(&user.tenant, &user.id),
            unsent: None,
        },
    );
    note(
        parts,
        caller,
        EventKind::EnrollmentAsked,
        Outcome::Noted,
        user,
        "by_mail",
    );
    Ok(handed.map_or(Wish::Busy, |()| Wish::Mailed))
}

fn session_place(handle: &SessionHandle) -> String {
    format!("{SESSION}{handle}")
}

const SESSION: &str = "session:";

fn note(
    parts: &Parts,
    caller: &Caller,
    kind: EventKind,
    outcome: Outcome,
    user: &User,
    reason: &'static str,
) {
    let event = parts.event(kind, outcome).of(&user.tenant, &user.id);
    parts.record(&event.because(reason).from_network(&caller.origin.network));
}

/// What became of a link that gives leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfirmOutcome {
    /// The session that asked may add the factor now.
    Done,
    /// The token is none, or used, or too old, or its session is over.
    InvalidToken,
}

/// Whether `token` gives leave still. It spends nothing.
pub(crate) async fn is_live(parts: &Parts, caller: &Caller, token: &str) -> Result<bool, Fault> {
    Ok(found(parts, caller, token).await?.is_some())
}

/// Gives leave to the session that asked for `token`.
pub(crate) async fn confirm(parts: &Parts, caller: &Caller, token: &str) -> Result<ConfirmOutcome, Fault> {
    let Some((link, Look { user, session, .. })) = found(parts, caller, token).await? else {
        let event = parts.event(EventKind::EnrollmentAllowed, Outcome::Refused);
        parts.record(
            &event
                .because("no_such_token")
                .from_network(&caller.origin.network),
        );
        return Ok(ConfirmOutcome::InvalidToken);
    };
    if !link.spend(parts).await? {
        return Ok(ConfirmOutcome::InvalidToken);
    }
    let lasts = parts.config.links.confirmation;
    let mark = Mark::Confirmed(&session.handle);
    put(parts, &mark.row(&user.tenant, &user.id, parts.now(), lasts)).await?;
    note(
        parts,
        caller,
        EventKind::EnrollmentAllowed,
        Outcome::Granted,
        &user,
        "by_mail",
    );
    Ok(ConfirmOutcome::Done)
}

/// The link, and the living session that asked for it.
async fn found(parts: &Parts, caller: &Caller, token: &str) -> Result<Option<(LiveLink, Look)>, Fault> {
    let Some(link) = link::find(parts, LinkKind::Confirm, &caller.tenant, token).await? else {
        return Ok(None);
    };
    let Some(handle) = link.challenge.destination.strip_prefix(SESSION) else {
        return Ok(None);
    };
    let look = parts.store.look(&SessionHandle::from(handle), None).await?;
    let look =
        look.filter(|look| session::is_alive(look, parts.now()) && link.is_of(LinkKind::Confirm, &look.user));
    Ok(look.map(|look| (link, look)))
}

/// Notes that a user waits for an administrator. Once, however often it is tried.
pub(crate) async fn ask_administrator(parts: &Parts, caller: &Caller, user: &User) -> Result<(), Fault> {
    let now = parts.now();
    let row = Mark::Asked.row(&user.tenant, &user.id, now, parts.config.links.approval);
    let waiting = parts.store.challenge(&user.tenant, &row.id).await?;
    if waiting.is_some_and(|c| c.binding == row.binding && now < c.ends_at) {
        return Ok(());
    }
    put(parts, &row).await?;
    note(
        parts,
        caller,
        EventKind::EnrollmentAsked,
        Outcome::Noted,
        user,
        "administrator",
    );
    Ok(())
}

/// Who waits, newest first.
pub(crate) async fn pending(parts: &Parts, tenant: &TenantId) -> Result<Vec<PendingEnrollment>, Fault> {
    let all = parts
        .store
        .challenges_to(tenant, Mark::Asked.purpose(), ALL)
        .await?;
    let now = parts.now();
    let waiting = all.into_iter().filter(|c| now < c.ends_at);
    Ok(waiting
        .map(|c| PendingEnrollment {
            user: c.binding.user,
            asked_at: c.created_at,
        })
        .collect())
}

/// Decides for a user, asked or not, and tells it. Whether there is such a user without a second factor.
pub(crate) async fn decide(
    parts: &Parts,
    tenant: &TenantId,
    id: &UserId,
    allow: bool,
) -> Result<bool, Fault> {
    let found = parts.store.user(tenant, id).await?;
    let without = |user: &User| user.state == UserState::Live && user.summary.enrolled.is_empty();
    let Some(user) = found.filter(without) else {
        return Ok(false);
    };
    let now = parts.now();
    for mark in [Mark::Asked, Mark::Approved] {
        parts.store.drop_challenge(tenant, &mark.id(id)).await?;
    }
    if allow {
        put(
            parts,
            &Mark::Approved.row(tenant, id, now, parts.config.links.approval),
        )
        .await?;
    }
    let kind = NoticeKind::EnrollmentDecided {
        allowed: allow,
        at: now,
    };
    let notices = upkeep::notices(parts, &user, &kind, None, None).await?;
    parts.store.add_notices(&notices).await?;
    upkeep::wake(parts);
    let kind = match allow {
        true => EventKind::EnrollmentAllowed,
        false => EventKind::EnrollmentDenied,
    };
    let caller = Caller::within(tenant);
    note(parts, &caller, kind, Outcome::Noted, &user, "administrator");
    Ok(true)
}
