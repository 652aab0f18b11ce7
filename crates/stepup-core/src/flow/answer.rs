//! The second factor by a one-time code: what becomes of an answer.
//!
//! In this order: the session, then the charge, then the comparison, then all that follows from it, in one transaction.

use crate::delivery::{Channel, NoticeKind, NoticeLink};
use crate::email;
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::evidence::Completion;
use crate::factor::passwordless::{self, BoundTo, DeviceId};
use crate::flow::code::{
    CodeRefusal, Contact, General, Second, binding, contact, country_of, of_challenge, own_challenge,
    seconds, session_for,
};
use crate::flow::link::{self, LinkKind, NewLink};
use crate::flow::session::{self, Checked};
use crate::flow::{Caller, IssuedRefresh, SignedIn, account, leave, mailbox, upkeep};
use crate::id::{CredentialId, FactorId};
use crate::limit::{self, Leave};
use crate::parts::Parts;
use crate::record::challenge::{Answer, Challenge};
use crate::record::counter::{Ask, CounterKey};
use crate::record::credential::{Credential, CredentialKind};
use crate::record::session::{Class, Session};
use crate::record::user::{Enrolled, Summary, User};
use crate::secret::Secret;
use crate::session::access::AccessClaims;
use crate::session::claim::mask_contact;
use crate::session::refresh::RefreshToken;
use crate::storage::{Enrollment, FactorCompletion, FactorOutcome, Look, RiseTo};

/// What became of an answer.
#[derive(Debug)]
pub enum ConsumeOutcome {
    /// Right: the same session, with the factor completed.
    Completed {
        /// The session's user and tokens.
        signed_in: Box<SignedIn>,
        /// Whether the contact was enrolled by it.
        enrolled: bool,
    },
    /// Wrong.
    Incorrect {
        /// Failures of this challenge so far.
        failed: u32,
        /// How many end it.
        max: u32,
    },
    /// Right, but too late.
    Expired {
        /// Failures of this challenge so far.
        failed: u32,
        /// How many end it.
        max: u32,
    },
    /// Refused.
    Refused(CodeRefusal),
}

/// Judges an answer. In this order: the session, then the charge, then the comparison, then what follows from it.
pub(crate) async fn consume(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
    device: &DeviceId,
    typed: &str,
) -> Result<ConsumeOutcome, Fault> {
    let refused = |refusal| Ok(ConsumeOutcome::Refused(refusal));
    let Some(any) = seconds(parts).next() else {
        return refused(CodeRefusal::NotOffered);
    };
    let id = device.challenge();
    let checked = match session_for(parts, access, Some(&id)).await? {
        Ok(checked) => checked,
        Err(refusal) => return refused(refusal),
    };
    // A challenge that is none of this session's is a guess all the same, at whichever factor comes first.
    let second = of_challenge(parts, &checked).unwrap_or(any);
    let factor = &second.factor;
    let user = &checked.look.user;
    let note = |kind, outcome, reason| {
        let event = parts
            .event(kind, outcome)
            .of(&user.tenant, &user.id)
            .with_factor(factor)
            .because(reason);
        parts.record(
            &event
                .in_session(&checked.look.session.handle)
                .from_network(&caller.origin.network),
        );
    };
    // Charged before anything is compared, and whether or not the challenge is this session's: an answer to a foreign
    // one is a guess like any other (A-MFA-12).
    let now = parts.now();
    let limits = account::limits(parts);
    let account = (&user.tenant, &user.id, factor);
    let network = limits.second_factor_failed(&caller.origin.network);
    let looks = network.into_iter().map(Ask::look).collect();
    let failures = match limit::ask_second_factor(&*parts.store, &limits, account, looks, now).await? {
        Leave::Granted(counts) => counts.get(ALL_KINDS).copied().unwrap_or(u32::MAX),
        Leave::Refused { retry_after, index } => {
            let reason = match index {
                0 | ALL_KINDS => "second_factor",
                _ => "second_factor_network",
            };
            note(EventKind::Throttled, Outcome::Refused, reason);
            return refused(CodeRefusal::General(General::Throttled(retry_after)));
        }
    };
    let binding = binding(&checked, factor);
    let challenge = match own_challenge(&checked, factor, &binding) {
        Ok(challenge) => challenge,
        Err(refusal) => {
            note(EventKind::CodeAnswered, Outcome::Refused, "no_such_challenge");
            failed(parts, caller, &checked, factor, failures).await?;
            return refused(refusal);
        }
    };
    let bound = BoundTo {
        tenant: &user.tenant,
        challenge: &id,
        binding: &binding,
        destination: &challenge.destination,
    };
    let macs = if passwordless::is_code(typed, parts.config.codes.digits) {
        passwordless::macs(&parts.keyring, &bound, typed)
    } else {
        Vec::new()
    };
    let max = challenge.max_failures;
    let answer = parts
        .store
        .answer(&user.tenant, &id, &binding, &macs, now)
        .await?;
    if answer != Answer::Right {
        failed(parts, caller, &checked, factor, failures).await?;
    }
    match answer {
        Answer::Gone => {
            note(EventKind::CodeAnswered, Outcome::Refused, "gone");
            refused(CodeRefusal::Restart)
        }
        Answer::Wrong { failed } | Answer::Expired { failed } if failed >= max => {
            note(EventKind::CodeAnswered, Outcome::Refused, "used_up");
            refused(CodeRefusal::Restart)
        }
        Answer::Wrong { failed } => {
            note(EventKind::CodeAnswered, Outcome::Refused, "wrong");
            Ok(ConsumeOutcome::Incorrect { failed, max })
        }
        Answer::Expired { failed } => {
            note(EventKind::CodeAnswered, Outcome::Refused, "expired");
            Ok(ConsumeOutcome::Expired { failed, max })
        }
        Answer::Right => {
            let keys = limits.second_factor_keys(&user.tenant, &user.id, std::slice::from_ref(factor));
            let challenge = challenge.clone();
            complete(parts, caller, access, &checked, &second, &challenge, keys).await
        }
    }
}

/// What follows from an answer that was not right: the network and the site count it, and the user is told once of a
/// series of them (R-MFA-10). `failures` is the account's count, this one included.
async fn failed(
    parts: &Parts,
    caller: &Caller,
    checked: &Checked,
    factor: &FactorId,
    failures: u32,
) -> Result<(), Fault> {
    let (user, now) = (&checked.look.user, parts.now());
    let config = &parts.config.limits;
    let event = |kind| {
        let event = parts.event(kind, Outcome::Noted).with_factor(factor);
        event.from_network(&caller.origin.network)
    };
    let asks = account::limits(parts).second_factor_failed(&caller.origin.network);
    // Refused means full, and full is what it was to become.
    if let Leave::Granted(counts) = limit::ask(&*parts.store, &asks, now).await? {
        let half = config
            .second_factor_site
            .count
            .saturating_mul(config.scale)
            .div_ceil(2);
        if counts.last() == Some(&half) {
            parts.record(&event(EventKind::FactorAlarm).because("half_of_the_site_budget"));
        }
    }
    if failures == config.second_factor.free.saturating_mul(config.scale) {
        // The contact itself may be in the wrong hands, or a thief's: it is not where the user is told.
        let own = match contact(checked, factor) {
            Contact::Enrolled(own) => Some(own),
            Contact::None | Contact::Lost => None,
        };
        let kind = NoticeKind::FactorGuessed { at: now };
        let notices = upkeep::notices(parts, user, &kind, own.as_deref(), caller.language).await?;
        parts.store.add_notices(&notices).await?;
        parts.record(&event(EventKind::FactorGuessed).of(&user.tenant, &user.id));
        upkeep::wake(parts);
    }
    Ok(())
}

/// Records the completed factor with all that follows from it, in one transaction.
async fn complete(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
    checked: &Checked,
    second: &Second<'_>,
    challenge: &Challenge,
    clear: Vec<CounterKey>,
) -> Result<ConsumeOutcome, Fault> {
    let now = parts.now();
    let destination = challenge.destination.as_str();
    let user = &checked.look.user;
    let old = &checked.look.session;
    let factor = &second.factor;
    let kind = parts
        .kind_of(factor)
        .ok_or(Fault::Key("a factor without a kind"))?;
    let completion = Completion {
        at: now,
        kind,
        channel: Some(parts.channel(second.channel, destination)),
        first: false,
        signed_up: false,
    };
    let enrollment = match contact(checked, factor) {
        Contact::None => Some(enrollment(parts, caller, checked, second, challenge, &completion).await?),
        _ => None,
    };
    let summary = enrollment.as_ref().map_or(&user.summary, |e| &e.summary);
    let mut done = old.factors.clone();
    done.insert(factor.clone(), completion.clone());
    let after = session::standing(parts, &user.tenant, summary, &done);

    // A session that was complete before is only renewed; everything else is a rise in assurance: a new generation,
    // whose token is drawn, not derived, and which no older token leads to (design §3, A-SES-16).
    let renewal = enrollment.is_none() && checked.standing.second_factor;
    let secret: Secret<[u8; 32]> = Secret::new(parts.random()?);
    let rise = if renewal {
        None
    } else {
        let config = &parts.config.sessions;
        let (class, ends_at) = match (old.class, after.satisfied) {
            (Class::Half, true) => (Class::Full, old.created_at.plus(config.absolute)),
            (class, _) => (class, old.ends_at),
        };
        Some(RiseTo {
            secret: RefreshToken::new(old.handle.clone(), 0, secret.clone()).digest(),
            class,
            idle_expires_at: now.plus(config.idle).min(ends_at),
            ends_at,
        })
    };
    let enrolled = enrollment.is_some();
    let became_full = rise.as_ref().is_some_and(|rise| rise.class != old.class);
    let completion = FactorCompletion {
        tenant: user.tenant.clone(),
        handle: old.handle.clone(),
        user: user.id.clone(),
        factor: factor.clone(),
        completion,
        rise,
        enrollment,
        clear,
        now,
    };
    let work = parts.store.complete_factor(&completion);
    // An enrollment ends the user's other sessions.
    let outcome = match enrolled {
        true => session::ending(parts, &user.tenant, &user.id, work).await?,
        false => work.await?,
    };
    let (mut session, mut user) = match outcome {
        FactorOutcome::Done(done) => *done,
        FactorOutcome::Gone => return Ok(ConsumeOutcome::Refused(CodeRefusal::Ended)),
        FactorOutcome::Outrun => return Ok(ConsumeOutcome::Refused(CodeRefusal::Restart)),
    };
    let now_asked = session::standing(parts, &user.tenant, &user.summary, &session.factors);
    if became_full && !now_asked.satisfied {
        // More was required of the user meanwhile: this is no complete session, and must not have the life of one.
        session::end(parts, &session.handle).await?;
        return Ok(ConsumeOutcome::Refused(CodeRefusal::Ended));
    }
    let note = |kind| {
        let event = parts
            .event(kind, Outcome::Granted)
            .of(&user.tenant, &user.id)
            .with_factor(factor);
        parts.record(
            &event
                .in_session(&session.handle)
                .from_network(&caller.origin.network),
        );
    };
    note(EventKind::FactorCompleted);
    if enrolled {
        note(EventKind::FactorEnrolled);
        session::revoke_tokens(parts, &user.tenant, &user.id, Some(&session.handle));
        if second.channel == Channel::Sms {
            let answered = account::limits(parts).verified(&country_of(destination));
            limit::ask(&*parts.store, &[answered], now).await?;
        }
        upkeep::wake(parts);
    }
    if second.channel == Channel::Email && parts.verifies_email() {
        (session, user) = proved(parts, session, user, destination).await?;
    }
    let mut tokens = if renewal {
        session::renew(parts, &session, &user.summary, access)?
    } else {
        let refresh = RefreshToken::new(session.handle.clone(), session.chain.generation, secret);
        session::issue(parts, &session, &user.summary, &refresh)?
    };
    if let Some(IssuedRefresh { expires_at, .. }) = &mut tokens.refresh {
        *expires_at = session.end();
    }
    let signed_in = Box::new(SignedIn {
        user,
        session,
        tokens,
    });
    Ok(ConsumeOutcome::Completed { signed_in, enrolled })
}

/// The same session and user once the address that a code went to is verified, if it is the one behind the session: whoever
/// has the code reads the mailbox (contract/recipes.md §5.10).
async fn proved(
    parts: &Parts,
    session: Session,
    user: User,
    destination: &str,
) -> Result<(Session, User), Fault> {
    let own = email::method_of(&user, &session.method);
    if own.is_none_or(|method| method.verified || method.email.as_deref() != Some(destination)) {
        return Ok((session, user));
    }
    let Some(proved) = mailbox::prove(parts, &user.tenant, &user.id, destination).await? else {
        return Ok((session, user));
    };
    let look = Look {
        session: session.clone(),
        user: proved,
        contacts: Vec::new(),
        challenge: None,
    };
    Ok(match mailbox::claimed(parts, look).await? {
        Some(look) => (look.session, look.user),
        None => (session, user),
    })
}

/// The contact as a credential of its user, the summary that includes it, and the notice.
async fn enrollment(
    parts: &Parts,
    caller: &Caller,
    checked: &Checked,
    Second { channel, factor, .. }: &Second<'_>,
    challenge: &Challenge,
    completion: &Completion,
) -> Result<Enrollment, Fault> {
    let destination = challenge.destination.as_str();
    let user = &checked.look.user;
    let now = completion.at;
    let credential = CredentialId::new(parts.uuid()?);
    let mut summary: Summary = user.summary.clone();
    summary.enrolled.push(Enrolled {
        factor: factor.clone(),
        credential: credential.clone(),
        kind: completion.kind,
        channel: completion.channel.clone(),
        contact: Some(destination.to_owned()),
        at: now,
    });
    // Whoever stole a password could enroll first: the owner hears of it elsewhere, and can undo it (threat A-MFA-41).
    let undo = match user.summary.enrolled.is_empty() {
        true => Some(link::make_undo(parts, user, "")?),
        false => None,
    };
    let url = |link: &NewLink| link::url(parts, LinkKind::Undo, &user.tenant, &link.token);
    let notice = NoticeKind::FactorAdded {
        factor: factor.clone(),
        contact: Some(mask_contact(destination)),
        at: now,
        undo: undo.as_ref().map(|link| NoticeLink::new(&url(link))),
    };
    let notices = upkeep::notices(parts, user, &notice, Some(destination), caller.language).await?;
    // A token that nobody was sent is no use to anybody.
    let undo = undo.filter(|_| !notices.is_empty());
    Ok(Enrollment {
        revision: user.revision,
        credential: Credential {
            tenant: user.tenant.clone(),
            user: user.id.clone(),
            kind: CredentialKind::Contact,
            id: credential,
            public: serde_json::json!({ "factor": factor, "channel": channel, "address": destination }),
            sealed: None,
            version: 1,
            created_at: now,
        },
        summary,
        notices,
        end_others: true,
        paid_by: leave::payment(parts, checked, challenge.created_at),
        challenges: undo.into_iter().map(|link| link.challenge).collect(),
    })
}

/// Where the charge of an answer asks for the account's failures at all kinds of factors.
const ALL_KINDS: usize = 1;
