//! What goes on beside requests: notices, signing keys, clean-up.

use std::future::poll_fn;
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::caller::Caller;
use crate::contact::EmailAddress;
use crate::delivery::{Channel, Content, Deliver, Message, NoticeKind};
use crate::error::Fault;
use crate::event::{EventKind, Outcome, fingerprint};
use crate::flow::dispatch::carry_now;
use crate::hook::{Outgoing, OutgoingContent};
use crate::id::NoticeId;
use crate::language::Language;
use crate::limit::{self, Leave, Limits};
use crate::parts::Parts;
use crate::record::challenge::Challenge;
use crate::record::notice::Notice;
use crate::record::user::{Method, User};
use crate::time::Timestamp;

/// How many notices are taken at once, and rows swept in one step.
const BATCH: u32 = 32;
const SWEEP_BATCH: u32 = 1_000;
const SWEEP_STEPS: u32 = 20;
/// A notice that was taken is not taken again for this long, so that two nodes do not send it at once.
const LEASE: Duration = Duration::from_secs(60);
/// Tries of a notice, over about two days, before it is given up with an event.
const TRIES: u32 = 12;
const SWEEP_EVERY: Duration = Duration::from_secs(60);
const KEYS_EVERY: Duration = Duration::from_secs(60);
const NOTICES_EVERY: Duration = Duration::from_secs(5);

/// When what is due next.
#[derive(Debug)]
pub(crate) struct Upkeep {
    due: Mutex<Due>,
}

#[derive(Clone, Copy, Debug)]
struct Due {
    notices: Timestamp,
    keys: Timestamp,
    sweep: Timestamp,
    /// What was over by this time is still to be deleted, although the clock has gone back behind it.
    fallen_from: Option<Timestamp>,
}

impl Upkeep {
    pub(crate) fn from(now: Timestamp) -> Self {
        let due = Due {
            notices: now,
            keys: now.plus(KEYS_EVERY),
            sweep: now.plus(SWEEP_EVERY),
            fallen_from: None,
        };
        Self { due: Mutex::new(due) }
    }

    /// The clock went back from this time.
    pub(crate) fn clock_fell(&self, from: Timestamp) {
        self.with(|due| due.fallen_from = due.fallen_from.max(Some(from)));
    }

    fn with<T>(&self, f: impl FnOnce(&mut Due) -> T) -> T {
        f(&mut self.due.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// A due time that lies further away than its period was set by a clock that has jumped back since.
fn is_due(at: Timestamp, period: Duration, now: Timestamp) -> bool {
    now >= at || at > now.plus(period)
}

/// Notices were written: they go out at the next tick.
pub(crate) fn wake(parts: &Parts) {
    parts.upkeep.with(|due| due.notices = parts.now());
}

/// Does what is due. Errors are events: the next tick tries again.
pub(crate) async fn tick(parts: &Parts) {
    let now = parts.now();
    parts.revocations.watchers().call_due(now);
    let (notices, keys, sweep) = parts.upkeep.with(|due| {
        let did = (
            is_due(due.notices, NOTICES_EVERY, now),
            is_due(due.keys, KEYS_EVERY, now),
            is_due(due.sweep, SWEEP_EVERY, now),
        );
        if did.0 {
            due.notices = now.plus(NOTICES_EVERY);
        }
        if did.1 {
            due.keys = now.plus(KEYS_EVERY);
        }
        if did.2 {
            due.sweep = now.plus(SWEEP_EVERY);
        }
        did
    });
    if notices && let Err(error) = drain(parts).await {
        failed(parts, "notices", &error);
    }
    if keys || parts.keys.wants_poll(now) {
        poll_keys(parts).await;
    }
    if sweep && let Err(error) = clean_up(parts, now).await {
        failed(parts, "sweep", &error);
    }
    if let Err(error) = clean_up_fallen(parts).await {
        failed(parts, "sweep", &error);
    }
}

/// Deletes what is over, in bounded steps, between which others get their turn. Whether that was all.
async fn clean_up(parts: &Parts, now: Timestamp) -> Result<bool, Fault> {
    for _ in 0..SWEEP_STEPS {
        if parts.store.sweep(now, SWEEP_BATCH).await? < u64::from(SWEEP_BATCH) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Deletes what was over before the clock went back, until none is left (threat A-CLK-01).
async fn clean_up_fallen(parts: &Parts) -> Result<(), Fault> {
    let fallen_from = parts.upkeep.with(|due| due.fallen_from);
    if let Some(from) = fallen_from
        && clean_up(parts, from).await?
    {
        parts.upkeep.with(|due| {
            if due.fallen_from == Some(from) {
                due.fallen_from = None;
            }
        });
    }
    Ok(())
}

/// Reads the signing keys anew, and makes the next one where it is due.
pub(crate) async fn poll_keys(parts: &Parts) {
    match parts.keys.poll(parts.now()).await {
        Ok(polled) => {
            if polled.made.is_some() {
                parts.record(&parts.event(EventKind::KeyRotated, Outcome::Noted));
            }
            if polled.unreadable > 0 {
                failed(
                    parts,
                    "unreadable_keys",
                    &Fault::Key("a signing key does not open"),
                );
            }
        }
        Err(error) => failed(parts, "keys", &error),
    }
}

fn failed(parts: &Parts, what: &'static str, fault: &Fault) {
    tracing::warn!(target: "stepup", what, error = %fault, "upkeep failed");
    parts.record(&parts.event(EventKind::Fault, Outcome::Noted).because(what));
}

/// A notice as it is sealed.
#[derive(Debug, Serialize, Deserialize)]
struct Sealed {
    channel: Channel,
    to: String,
    notice: NoticeKind,
    /// What its reader reads. Notices that were written before there were languages have none.
    #[serde(default)]
    language: Option<Language>,
}

fn place(id: &NoticeId) -> [&[u8]; 2] {
    [b"notice", id.as_str().as_bytes()]
}

/// Notices to the contacts of a user, but for the one that the notice is about. They are to be written by the verb that
/// causes them, so that none is lost (R-MFA-10). They are in the user's own language where the application's directory knows
/// it, since whoever causes one may read another; else in `language`.
pub(crate) async fn notices(
    parts: &Parts,
    user: &User,
    kind: &NoticeKind,
    but: Option<&str>,
    language: Option<Language>,
) -> Result<Vec<Notice>, Fault> {
    let Some(deliver) = &parts.notices else {
        return Ok(Vec::new());
    };
    // What signs in is told even if it is what the notice is about: there may be no other way to the user.
    let mut to: Vec<(Channel, String)> = Vec::new();
    // What a provider says of an address, and does not vouch for, may be a stranger's.
    let reached = |method: &&Method| method.third_party.is_none() || method.verified;
    for method in user.methods.iter().filter(reached) {
        to.extend(method.email.clone().map(|email| (Channel::Email, email)));
        to.extend(method.phone.clone().map(|phone| (Channel::Sms, phone)));
    }
    let mut language = language;
    let mut others = Vec::new();
    if let Some(directory) = &parts.directory {
        others.extend(directory.contacts(&user.id).await.map_err(Fault::Part)?);
        let own = directory.language(&user.id).await.map_err(Fault::Part)?;
        language = own.or(language);
    }
    let seconds = user.summary.enrolled.iter().filter_map(|e| e.contact.clone());
    others.extend(seconds.map(|contact| match contact.starts_with('+') {
        true => (Channel::Sms, contact),
        false => (Channel::Email, contact),
    }));
    for other in others {
        if Some(other.1.as_str()) != but && !to.contains(&other) {
            to.push(other);
        }
    }
    to.retain(|(channel, _)| deliver.carries(*channel));
    let since = parts.now().minus(parts.config.links.undo);
    let may_undo = |to: &(Channel, String)| may_undo(user, parts.verifies_email(), since, to);
    // Whoever found or stole the phone that is replaced reads its text messages.
    let by_mail = matches!(kind, NoticeKind::ContactChanged { .. })
        && to.iter().any(|to| to.0 == Channel::Email && may_undo(to));
    to.into_iter()
        .map(|to| match may_undo(&to) && !(by_mail && to.0 == Channel::Sms) {
            true => sealed(parts, user, kind, to, language),
            false => sealed(parts, user, &kind.without_link(), to, language),
        })
        .collect()
}

/// Whether what is sent to `to` may hold a link by which the account is changed. A site that verifies addresses knows which
/// are its users' own; an address that nobody verified may be a stranger's, by a slip of the hand at sign-up. What was added
/// after `since`, but for what the account was made with, may be a thief's: the link would be hers, and no other contact would
/// get it in its place. A phone that is a second factor gets it all the same, since it does only where no mailbox may.
fn may_undo(
    user: &User,
    site_verifies: bool,
    since: Timestamp,
    (channel, contact): &(Channel, String),
) -> bool {
    let is_it = |method: &&Method| match channel {
        Channel::Email => method.email.as_deref() == Some(contact),
        Channel::Sms => method.phone.as_deref() == Some(contact),
    };
    let first = user.methods.iter().map(|method| method.joined_at).min();
    let settled = |method: &Method| method.joined_at < since || Some(method.joined_at) == first;
    let mut methods = user.methods.iter().filter(is_it).peekable();
    if methods.peek().is_some() {
        return methods.any(|method| settled(method) && (!site_verifies || method.verified));
    }
    let mut seconds = user.summary.enrolled.iter();
    let new = seconds.any(|second| second.contact.as_deref() == Some(contact) && second.at >= since);
    *channel == Channel::Sms || !new
}

/// One notice to one address.
fn sealed(
    parts: &Parts,
    user: &User,
    kind: &NoticeKind,
    (channel, to): (Channel, String),
    language: Option<Language>,
) -> Result<Notice, Fault> {
    let now = parts.now();
    let id = NoticeId::new(parts.uuid()?);
    let sealed = Sealed {
        channel,
        to,
        notice: kind.clone(),
        language,
    };
    let plain = serde_json::to_vec(&sealed).map_err(|e| Fault::Part(Box::new(e)))?;
    Ok(Notice {
        sealed: parts.keyring.seal(&place(&id), &plain, &*parts.entropy)?,
        id,
        tenant: user.tenant.clone(),
        user: user.id.clone(),
        created_at: now,
        due_at: now,
        tries: 0,
    })
}

/// Tells an address what a sign-up with it came to, unless it was told too often already. By mail alone: a stranger can
/// cause it, and text messages cost money.
pub(crate) async fn tell(
    parts: &Parts,
    caller: &Caller,
    user: &User,
    address: &EmailAddress,
    kind: &NoticeKind,
) -> Result<(), Fault> {
    let limits = Limits {
        keyring: &parts.keyring,
        config: &parts.config.limits,
    };
    let asks = limits.sign_up_mail(&user.tenant, address.as_str());
    if let Leave::Granted(_) = limit::ask(&*parts.store, &asks, parts.now()).await? {
        let to = (Channel::Email, address.as_str().to_owned());
        let notice = sealed(parts, user, kind, to, caller.language)?;
        parts.store.add_notices(&[notice]).await?;
        wake(parts);
    }
    Ok(())
}

/// The message of a challenge.
pub(crate) fn message(
    parts: &Parts,
    channel: Channel,
    challenge: &Challenge,
    content: Content,
    language: Option<Language>,
) -> Message {
    // One id per challenge and code number: a carrier that is handed the same one twice can tell (A-SMS-07).
    let id = format!("{}-{}", fingerprint(challenge.id.as_str()), challenge.sends);
    let to = (channel, challenge.destination.clone());
    Message::new(id, to, content, &parts.app, parts.now())
        .in_language(parts.language(language), parts.site_language())
}

async fn drain(parts: &Parts) -> Result<(), Fault> {
    let Some(deliver) = &parts.notices else {
        return Ok(());
    };
    loop {
        let now = parts.now();
        let taken = parts.store.take_notices(now, now.plus(LEASE), BATCH).await?;
        let full = taken.len() == BATCH as usize;
        // Side by side: one after the other, a slow provider would take longer than the lease, and another node would send
        // the last ones a second time.
        let batch = taken.iter().map(|notice| send(parts, &**deliver, notice));
        for ended in all(batch).await {
            ended?;
        }
        if !full {
            return Ok(());
        }
    }
}

/// Hands one notice over, and strikes it off if it was taken or is given up.
async fn send(parts: &Parts, deliver: &dyn Deliver, notice: &Notice) -> Result<(), Fault> {
    let about = |kind, outcome| parts.event(kind, outcome).of(&notice.tenant, &notice.user);
    let opened = parts.keyring.open(&place(&notice.id), &notice.sealed);
    let sealed = opened
        .ok()
        .and_then(|plain| serde_json::from_slice::<Sealed>(&plain).ok());
    let delivered = match sealed {
        None => false,
        Some(sealed) => {
            let outgoing = Outgoing {
                channel: sealed.channel,
                to: &sealed.to,
                content: OutgoingContent::Notice(&sealed.notice),
                tenant: &notice.tenant,
                user: Some(&notice.user),
            };
            let caller = Caller::within(&notice.tenant);
            let admitted = parts.hooks.on_delivery(&caller, &outgoing).await.is_ok();
            let id = notice.id.as_str().to_owned();
            let to = (sealed.channel, sealed.to);
            let message = Message::new(id, to, Content::Notice(sealed.notice), &parts.app, parts.now())
                .in_language(parts.language(sealed.language), parts.site_language());
            let told = about(EventKind::DeliverySent, Outcome::Noted);
            admitted && carry_now(parts, deliver, &message, told).await.is_ok()
        }
    };
    if delivered {
        parts.store.finish_notice(&notice.id).await?;
        parts.record(&about(EventKind::NoticeDelivered, Outcome::Noted));
    } else if notice.tries >= TRIES {
        parts.store.finish_notice(&notice.id).await?;
        parts.record(&about(EventKind::NoticeFailed, Outcome::Noted).because("given_up"));
    } else {
        parts.record(&about(EventKind::NoticeFailed, Outcome::Noted).because("will_retry"));
    }
    Ok(())
}

/// Runs futures side by side, and returns what they came to in their order. Core knows no runtime that would do it.
async fn all<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut running: Vec<_> = futures
        .into_iter()
        .map(|future| (Box::pin(future), None))
        .collect();
    poll_fn(|cx| {
        let mut left = false;
        for (future, ended) in running.iter_mut().filter(|(_, ended)| ended.is_none()) {
            match future.as_mut().poll(cx) {
                Poll::Ready(value) => *ended = Some(value),
                Poll::Pending => left = true,
            }
        }
        if left { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    running.into_iter().filter_map(|(_, ended)| ended).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Kind;
    use crate::id::{FactorId, TenantId};
    use crate::record::user::Enrolled;

    #[test]
    fn a_mfa_22_what_was_added_lately_gets_no_link_but_for_what_the_account_was_made_with() {
        let at = Timestamp::from_ms;
        let mut user = User::bare(&TenantId::public(), &"ann".into(), at(0));
        let method = |email: &str, verified, ms| Method {
            id: email.into(),
            factor: FactorId::EMAIL_PASSWORD,
            email: Some(email.to_owned()),
            phone: None,
            third_party: None,
            verified,
            joined_at: at(ms),
        };
        user.methods = vec![
            method("first", true, 20),
            method("stranger", false, 20),
            method("new", true, 21),
        ];
        let second = |contact: &str, ms| Enrolled {
            factor: FactorId::OTP_EMAIL,
            credential: contact.into(),
            kind: Kind::Possession,
            channel: None,
            contact: Some(contact.to_owned()),
            at: at(ms),
        };
        user.summary.enrolled = vec![second("old code", 9), second("new code", 10), second("+1", 10)];
        let may = |channel, contact: &str| may_undo(&user, true, at(10), &(channel, contact.to_owned()));
        for (contact, may_it) in [
            ("first", true),
            ("stranger", false),
            ("new", false),
            ("old code", true),
            ("new code", false),
            ("the application's", true),
        ] {
            assert_eq!(may(Channel::Email, contact), may_it, "{contact}");
        }
        assert!(may(Channel::Sms, "+1"));
        let anybody = |contact: &str| may_undo(&user, false, at(10), &(Channel::Email, contact.to_owned()));
        assert!(anybody("stranger") && !anybody("new"));
    }

    #[test]
    fn a_notice_that_was_written_before_there_were_languages_is_read() {
        let old = r#"{"channel":"email","to":"ann@acme.test","notice":{"kind":"factors_reset","at":0}}"#;
        let read: Sealed = serde_json::from_str(old).unwrap();
        assert_eq!((read.language, read.to.as_str()), (None, "ann@acme.test"));
    }
}
