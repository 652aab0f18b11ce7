//! Leave to add the first second factor or a provider as another way to sign in, or to change a contact, where a first factor
//! alone is not enough for it: confirmed from the account's verified mailbox, or given by an administrator, and in both cases
//! for the one session that asked (threat A-MFA-41).
//!
//! What is asked, and what is given, is a challenge of that session: it has its end, dies with the session and with the
//! credential epoch of its user, and what it admits ends it in its own transaction.

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
use crate::keyring::Purpose;
use crate::limit;
use crate::parts::Parts;
use crate::policy::{EnrollmentMode, Leave};
use crate::record::challenge::{Binding, Challenge, MACS, SLOTS, Slot};
use crate::record::session::{Origin, Session};
use crate::record::user::User;
use crate::storage::{Look, Payment};
use crate::time::Timestamp;

/// A session that waits for an administrator's leave to add a first second factor or another way to sign in, or to change a
/// contact. It has not said which.
///
/// Two people who know one password have two sessions. What is told of each is there to tell the owner's from a thief's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingEnrollment {
    /// Whose it is.
    pub user: UserId,
    /// The session, to which leave is given.
    pub session: SessionHandle,
    /// Since when it waits.
    pub asked_at: Timestamp,
    /// From where it was asked.
    pub asked_from: Origin,
    /// When the session was opened.
    pub signed_in_at: Timestamp,
    /// From where the session was opened.
    pub signed_in_from: Origin,
}

/// Whether this session has leave, where the policy wants one. Most sites ask the store nothing here.
pub(crate) async fn of(parts: &Parts, checked: &Checked) -> Result<Leave, Fault> {
    let Look { user, session, .. } = &checked.look;
    let Some(mark) = wanted(parts, user) else {
        return Ok(Leave::None);
    };
    let found = parts
        .store
        .challenge(&user.tenant, &mark.id(&session.handle))
        .await?;
    let now = parts.now();
    let lasts = |c: &Challenge| {
        c.is_open(&mark.binding(session), now) && c.slots.iter().flatten().any(|slot| now < slot.expires_at)
    };
    Ok(match found.filter(lasts) {
        Some(_) => Leave::Given,
        None => Leave::None,
    })
}

/// What the enrollment that a code of `asked_at` admits pays with, where the policy wants leave for it. An administrator who
/// takes the word back meanwhile is obeyed; that the leave ends meanwhile does not matter, as with a first factor that was
/// fresh enough when the code was sent.
pub(crate) fn payment(parts: &Parts, checked: &Checked, asked_at: Timestamp) -> Option<Payment> {
    let Look { user, session, .. } = &checked.look;
    let mark = wanted(parts, user)?;
    let mut macs = parts.keyring.macs(Purpose::ConfirmLink, &mark.message(session));
    macs.truncate(MACS);
    Some(Payment {
        challenge: mark.id(&session.handle),
        binding: mark.binding(session),
        macs,
        now: asked_at,
    })
}

/// The leave that the policy wants of `user`; none if it wants none.
fn wanted(parts: &Parts, user: &User) -> Option<Mark> {
    if !user.summary.enrolled.is_empty() {
        return None;
    }
    match parts.policy_of(&user.tenant).enrollment() {
        EnrollmentMode::ConfirmByEmail => Some(Mark::Confirmed),
        EnrollmentMode::Approve => Some(Mark::Approved),
        EnrollmentMode::FreshFirstFactor | EnrollmentMode::InSignUpSession => None,
    }
}

/// What stands for a wish of a session, or for leave.
#[derive(Clone, Copy)]
enum Mark {
    /// The mailbox gave leave.
    Confirmed,
    /// It waits for an administrator.
    Asked,
    /// From where it asked the administrator: a row beside [`Mark::Asked`], with that in the place of a destination.
    AskedFrom,
    /// An administrator gave leave.
    Approved,
}

impl Mark {
    const fn purpose(self) -> &'static str {
        match self {
            Self::Confirmed => "leave:confirmed",
            Self::Asked => "leave:asked",
            Self::AskedFrom => "leave:asked_from",
            Self::Approved => "leave:approved",
        }
    }

    /// One for each session, so that two at once are one.
    fn id(self, session: &SessionHandle) -> ChallengeId {
        let digest = Sha256::new()
            .chain_update(self.purpose())
            .chain_update([0])
            .chain_update(session.as_str())
            .finalize();
        ChallengeId::new(URL_SAFE_NO_PAD.encode(digest))
    }

    /// It names the session, so that it ends with it.
    fn binding(self, session: &Session) -> Binding {
        Binding {
            purpose: self.purpose().to_owned(),
            user: session.user.clone(),
            session: session.handle.clone(),
        }
    }

    /// What its digest is made of. Nobody types an answer to it: the enrollment itself gives it.
    fn message(self, session: &Session) -> [&[u8]; 4] {
        [
            self.purpose().as_bytes(),
            session.tenant.as_str().as_bytes(),
            session.user.as_str().as_bytes(),
            session.handle.as_str().as_bytes(),
        ]
    }

    /// The row of a wish, or of leave for `lasts`. The row stays somewhat longer, for a code that was sent in time.
    fn row(self, parts: &Parts, session: &Session, lasts: Duration) -> Challenge {
        let now = parts.now();
        let expires_at = now.plus(lasts);
        let (slot, ends_at) = match self {
            Self::Asked | Self::AskedFrom => (None, expires_at),
            Self::Confirmed | Self::Approved => {
                let mac = parts.keyring.mac(Purpose::ConfirmLink, &self.message(session));
                let ends_at = expires_at.plus(parts.config.codes.challenge);
                (Some(Slot { mac, expires_at }), ends_at)
            }
        };
        let mut slots = [None; SLOTS];
        slots[0] = slot;
        Challenge {
            tenant: session.tenant.clone(),
            id: self.id(&session.handle),
            binding: self.binding(session),
            destination: ALL.to_owned(),
            failed: 0,
            max_failures: 1,
            slots,
            sends: 0,
            next_send_at: ends_at,
            // There is nothing to answer in a wish.
            closed: slot.is_none(),
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
    put(parts, &Mark::Confirmed.row(parts, &session, lasts)).await?;
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

/// Notes that a session waits for an administrator. Once, however often it is tried.
pub(crate) async fn ask_administrator(
    parts: &Parts,
    caller: &Caller,
    checked: &Checked,
) -> Result<(), Fault> {
    let Look { user, session, .. } = &checked.look;
    let lasts = parts.config.links.approval;
    let row = Mark::Asked.row(parts, session, lasts);
    let waiting = parts.store.challenge(&user.tenant, &row.id).await?;
    if waiting.is_some_and(|c| c.binding == row.binding && parts.now() < c.ends_at) {
        return Ok(());
    }
    // First, so that no wish is listed of which it is not known where it came from.
    let from = Challenge {
        destination: place(&caller.origin),
        ..Mark::AskedFrom.row(parts, session, lasts)
    };
    put(parts, &from).await?;
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

/// An origin as one text. No network has a space in it.
fn place(origin: &Origin) -> String {
    format!("{} {}", origin.network, origin.agent)
}

fn placed(text: &str) -> Origin {
    let (network, agent) = text.split_once(' ').unwrap_or((text, ""));
    Origin {
        network: network.to_owned(),
        agent: agent.to_owned(),
    }
}

/// The living sessions that wait, newest wish first.
pub(crate) async fn pending(parts: &Parts, tenant: &TenantId) -> Result<Vec<PendingEnrollment>, Fault> {
    let all = parts
        .store
        .challenges_to(tenant, Mark::Asked.purpose(), ALL)
        .await?;
    let now = parts.now();
    let mut waiting = Vec::new();
    for wish in all.into_iter().filter(|wish| now < wish.ends_at) {
        let handle = &wish.binding.session;
        let from = Mark::AskedFrom.id(handle);
        let Some(look) = waits(parts, tenant, handle, Some(&from)).await? else {
            continue;
        };
        let Look {
            session, challenge, ..
        } = look;
        waiting.push(PendingEnrollment {
            user: session.user,
            session: session.handle,
            asked_at: wish.created_at,
            asked_from: challenge
                .map(|from| placed(&from.destination))
                .unwrap_or_default(),
            signed_in_at: session.created_at,
            signed_in_from: session.origin,
        });
    }
    Ok(waiting)
}

/// The session `handle`, if it lives and its user has no second factor.
async fn waits(
    parts: &Parts,
    tenant: &TenantId,
    handle: &SessionHandle,
    beside: Option<&ChallengeId>,
) -> Result<Option<Look>, Fault> {
    let look = parts.store.look(handle, beside).await?;
    Ok(look.filter(|look| {
        let is_of = look.user.tenant == *tenant;
        is_of && session::is_alive(look, parts.now()) && look.user.summary.enrolled.is_empty()
    }))
}

/// Decides for a session that asked, and tells its user. Whether there was anything to decide.
pub(crate) async fn decide(
    parts: &Parts,
    tenant: &TenantId,
    handle: &SessionHandle,
    allow: bool,
) -> Result<bool, Fault> {
    let Some(Look { user, session, .. }) = waits(parts, tenant, handle, None).await? else {
        return Ok(false);
    };
    let wish = Mark::Asked.id(handle);
    let found = parts.store.challenge(tenant, &wish).await?;
    let lasts = found.is_some_and(|c| c.binding == Mark::Asked.binding(&session) && parts.now() < c.ends_at);
    // Of two who decide at once, one does.
    let mut decided = parts.store.drop_challenge(tenant, &wish).await? && lasts;
    parts
        .store
        .drop_challenge(tenant, &Mark::AskedFrom.id(handle))
        .await?;
    if !allow {
        decided |= parts
            .store
            .drop_challenge(tenant, &Mark::Approved.id(handle))
            .await?;
    }
    if !decided {
        return Ok(false);
    }
    if allow {
        let leave = Mark::Approved.row(parts, &session, parts.config.links.approval);
        put(parts, &leave).await?;
    }
    let kind = NoticeKind::EnrollmentDecided {
        allowed: allow,
        at: parts.now(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_as_it_was_written() {
        for (network, agent) in [
            ("192.0.2.1", "Mozilla/5.0 (X11)"),
            ("", ""),
            ("2001:db8::/64", ""),
        ] {
            let origin = Origin {
                network: network.to_owned(),
                agent: agent.to_owned(),
            };
            assert_eq!(placed(&place(&origin)), origin);
        }
    }
}
