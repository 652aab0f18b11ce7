//! The second factor by a one-time code: create and resend. What becomes of an answer is `answer`'s affair.
//!
//! All of them act on the live session, whatever the client says of linking; without one there is nothing to act on
//! (R-MFA-1, A-MFA-36). The stored contact is compared before anything is sent, on each of them.

use std::time::Duration;

use crate::background::QueueFull;
use crate::config::OwnMailbox;
use crate::contact::{EmailAddress, PhoneNumber};
use crate::delivery::{Channel, Content};
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::factor::passwordless::{self, BoundTo, DeviceId, Way};
use crate::flow::dispatch::{Parcel, hand_over};
use crate::flow::leave::{self, Wish};
use crate::flow::session::{self, Checked, SessionEnded};
use crate::flow::{Caller, account, upkeep};
use crate::hook::{Outgoing, OutgoingContent};
use crate::id::{ChallengeId, FactorId};
use crate::language::Language;
use crate::limit::{self, Leave, Limits, breaker_opens};
use crate::parts::Parts;
use crate::policy::{self, EnrollRefusal, SessionAge};
use crate::record::challenge::{Binding, Challenge, Resend, Resent, SLOTS, Slot};
use crate::record::counter::Ask;
use crate::record::credential::Credential;
use crate::record::session::Class;
use crate::record::user::User;
use crate::rule::{ClaimFailure, Rule, judge};
use crate::secret::Secret;
use crate::session::access::AccessClaims;
use crate::session::claim::mask_contact;

/// Why a code request was refused. Nothing was sent and no challenge was made.
#[derive(Debug)]
pub enum CodeRefusal {
    /// The session behind the token is gone.
    Ended,
    /// The access token is about to expire: refresh first, so that no refresh races with the factor.
    TryRefresh,
    /// The session is not allowed to: 403 with these claims.
    Claims(Vec<ClaimFailure>),
    /// A refusal in words, for the user.
    General(General),
    /// There is no such challenge in this session: start again.
    Restart,
    /// Codes are not on offer.
    NotOffered,
}

/// Refusals that the user is told in words. None says more than the user may know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum General {
    /// Not a phone number.
    ContactMalformed,
    /// Not an e-mail address.
    EmailMalformed,
    /// Not the number of this account. The stored one is not revealed.
    ForeignContact,
    /// Not the address that the codes of this account go to. It is not revealed either.
    ForeignEmail,
    /// The address that signs in, where it is no second factor.
    OwnMailbox,
    /// It opened this session, or came by the same channel, so that it proves nothing more.
    SameAsFirst,
    /// A number that is not sent to: country, or kind.
    NotServed,
    /// The first factor is too old to add a second one.
    SignInAgain,
    /// A link went to the mailbox of the account: once it is confirmed there, the factor can be added in this session.
    ConfirmByMail,
    /// That is how it is confirmed, and there is no mailbox that was verified.
    NoMailbox,
    /// An administrator is to give leave first.
    AwaitsApproval,
    /// The account's second factor cannot be used: an administrator has to reset it (A-LEG-03).
    Unusable,
    /// It is the account's contact already.
    Unchanged,
    /// It gets the codes of another factor of the account, and cannot sign in as well.
    SecondFactor,
    /// Too often, too early.
    Throttled(Duration),
    /// Too much to do.
    Busy,
}

/// A code that is on its way.
#[derive(Debug)]
pub struct SentCode {
    /// The secret that the client keeps.
    pub device: DeviceId,
    /// Its challenge.
    pub challenge: ChallengeId,
}

/// Codes by one channel, as a second factor.
#[derive(Clone)]
pub(super) struct Second<'p> {
    pub(super) channel: Channel,
    pub(super) factor: FactorId,
    way: &'p Way,
}

/// Codes by `channel`, if they are a second factor here.
pub(super) fn second(parts: &Parts, channel: Channel) -> Option<Second<'_>> {
    Some(Second {
        channel,
        factor: passwordless::factor_of(channel, false),
        way: parts.passwordless.as_ref()?.second(channel)?,
    })
}

/// All of them, in a fixed order.
pub(super) fn seconds(parts: &Parts) -> impl Iterator<Item = Second<'_>> {
    [Channel::Sms, Channel::Email]
        .into_iter()
        .filter_map(|channel| second(parts, channel))
}

/// The one that the challenge at hand belongs to, if it is one of this session's.
pub(super) fn of_challenge<'p>(parts: &'p Parts, checked: &Checked) -> Option<Second<'p>> {
    let challenge = checked.look.challenge.as_ref()?;
    seconds(parts).find(|second| challenge.binding == binding(checked, &second.factor))
}

/// What an enrolled contact looks like to this session.
pub(super) enum Contact {
    /// None yet.
    None,
    /// This number or address.
    Enrolled(String),
    /// Enrolled, but its credential is gone: nobody may pass, and nobody may enroll another (A-LEG-03).
    Lost,
}

pub(super) fn contact(checked: &Checked, factor: &FactorId) -> Contact {
    let credentials = &checked.look.contacts;
    match checked.look.user.summary.enrolled(factor) {
        Some(enrolled) => credentials
            .iter()
            .find(|c| c.id == enrolled.credential)
            .and_then(address)
            .map_or(Contact::Lost, Contact::Enrolled),
        // A credential without its summary is no reason to let a stranger enroll another one.
        None if credentials
            .iter()
            .any(|c| c.public.get("factor").and_then(|f| f.as_str()) == Some(factor.as_str())) =>
        {
            Contact::Lost
        }
        None => Contact::None,
    }
}

/// The address of a contact credential.
fn address(credential: &Credential) -> Option<String> {
    credential
        .public
        .get("address")
        .and_then(|a| a.as_str())
        .map(str::to_owned)
}

/// A session that may work on factors: alive in the store, with a token that outlives the request.
pub(super) async fn session_for(
    parts: &Parts,
    access: &AccessClaims,
    challenge: Option<&ChallengeId>,
) -> Result<Result<Checked, CodeRefusal>, Fault> {
    if access.expires_at().since(parts.now()) < parts.config.sessions.factor_margin {
        return Ok(Err(CodeRefusal::TryRefresh));
    }
    Ok(session::check(parts, access, challenge)
        .await?
        .map_err(|SessionEnded| CodeRefusal::Ended))
}

pub(super) fn binding(checked: &Checked, factor: &FactorId) -> Binding {
    Binding {
        purpose: passwordless::second_factor_purpose(factor),
        user: checked.look.user.id.clone(),
        session: checked.look.session.handle.clone(),
    }
}

/// The first factor of a session, whether it made the account, and whether it has leave to enroll.
fn session_age(checked: &Checked, leave: policy::Leave) -> SessionAge {
    let first = checked
        .look
        .session
        .factors
        .values()
        .filter(|c| c.first)
        .min_by_key(|c| c.at);
    SessionAge {
        first_factor_at: first.map_or(checked.look.session.created_at, |c| c.at),
        signed_up: first.is_some_and(|c| c.signed_up),
        leave,
    }
}

/// Whether this session may enroll `factor` now. `leave` is what [`leave::of`] says of it.
pub(crate) fn enrollable(
    parts: &Parts,
    checked: &Checked,
    leave: policy::Leave,
    factor: &FactorId,
) -> Result<(), EnrollRefusal> {
    let summary = &checked.look.user.summary;
    let age = session_age(checked, leave);
    let step_up = parts.config.sessions.step_up;
    policy::may_enroll(
        &parts.policy_of(&checked.look.user.tenant),
        summary,
        &checked.standing,
        factor,
        age,
        step_up,
        parts.now(),
    )
}

/// What a session lacks that may do nothing here.
pub(super) fn gate(parts: &Parts, checked: &Checked) -> Vec<ClaimFailure> {
    let facts = session::facts_of(parts, checked);
    match judge(&Rule::Site, &facts) {
        // Where only routes ask for the second factor, it is what is missing here.
        met if met.is_empty() => judge(&Rule::SecondFactor, &facts),
        failures => failures,
    }
}

/// What a session is told that may not enroll; where leave is wanted, it is asked for.
pub(super) async fn enroll_refusal(
    parts: &Parts,
    caller: &Caller,
    checked: &Checked,
    channel: Channel,
    refusal: EnrollRefusal,
) -> Result<CodeRefusal, Fault> {
    let facts = session::facts_of(parts, checked);
    let step_up = parts.config.sessions.step_up;
    Ok(match refusal {
        EnrollRefusal::Confirm => {
            CodeRefusal::General(match leave::ask_by_mail(parts, caller, checked).await? {
                Wish::Mailed => General::ConfirmByMail,
                Wish::NoMailbox => General::NoMailbox,
                Wish::Throttled(after) => General::Throttled(after),
                Wish::Busy => General::Busy,
            })
        }
        EnrollRefusal::Approval => {
            leave::ask_administrator(parts, caller, checked).await?;
            CodeRefusal::General(General::AwaitsApproval)
        }
        EnrollRefusal::SignInAgain => CodeRefusal::General(General::SignInAgain),
        EnrollRefusal::Enrolled => CodeRefusal::General(foreign(channel)),
        EnrollRefusal::Gate => CodeRefusal::Claims(gate(parts, checked)),
        EnrollRefusal::StepUp => CodeRefusal::Claims(judge(&Rule::Fresh(step_up), &facts)),
    })
}

/// Whether `typed` is the stored contact as this site shows it: itself, or the mask that stands for it.
fn is_shown(parts: &Parts, own: &str, typed: &str) -> bool {
    let masks = parts.config.mask_contacts || parts.config.mask_settled;
    typed.trim() == own || (masks && typed == mask_contact(own))
}

const fn foreign(channel: Channel) -> General {
    match channel {
        Channel::Sms => General::ForeignContact,
        Channel::Email => General::ForeignEmail,
    }
}

/// The normal form of what the client sent, and whether messages go there at all.
fn read(parts: &Parts, channel: Channel, typed: &str) -> Result<(String, bool), General> {
    match channel {
        Channel::Sms => {
            let number = PhoneNumber::parse(typed).map_err(|_| General::ContactMalformed)?;
            let factor = parts.passwordless.as_ref();
            let served = factor.is_some_and(|factor| factor.countries.admit(&number));
            Ok((number.as_str().to_owned(), served))
        }
        Channel::Email => {
            let address = EmailAddress::parse(typed).map_err(|_| General::EmailMalformed)?;
            Ok((address.as_str().to_owned(), true))
        }
    }
}

/// Whether `user` signs in with this address, here or by the application's own account of it.
pub(super) async fn signs_in_with(parts: &Parts, user: &User, address: &str) -> Result<bool, Fault> {
    if user.methods.iter().any(|m| m.email.as_deref() == Some(address)) {
        return Ok(true);
    }
    let Some(directory) = &parts.directory else {
        return Ok(false);
    };
    let known = directory.contacts(&user.id).await.map_err(Fault::Part)?;
    Ok(known.iter().any(|(channel, known)| {
        let known = (*channel == Channel::Email).then(|| EmailAddress::parse(known));
        matches!(known, Some(Ok(known)) if known.as_str() == address)
    }))
}

/// Creates a code for `typed`, the number or address that the client sent.
pub(crate) async fn create(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
    channel: Channel,
    typed: &str,
) -> Result<Result<SentCode, CodeRefusal>, Fault> {
    let Some(second) = second(parts, channel) else {
        return Ok(Err(CodeRefusal::NotOffered));
    };
    let checked = match session_for(parts, access, None).await? {
        Ok(checked) => checked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let factor = &second.factor;
    let refuse = |refusal: CodeRefusal, reason| {
        note_refused(parts, caller, &checked, factor, reason);
        Ok(Err(refusal))
    };
    let general = |general, reason| refuse(CodeRefusal::General(general), reason);
    let summary = &checked.look.user.summary;
    if !policy::would_be_second(&parts.offered, summary, &checked.done, factor) {
        return match gate(parts, &checked) {
            met if met.is_empty() => general(General::SameAsFirst, "same_as_first"),
            failures => refuse(CodeRefusal::Claims(failures), "same_as_first"),
        };
    }
    let stored = contact(&checked, factor);
    let (destination, verified) = match &stored {
        Contact::Lost => return general(General::Unusable, "contact_lost"),
        // Sent back as the payload shows it. Numbering plans change: the stored number needs none to be itself.
        Contact::Enrolled(own) if is_shown(parts, own, typed) => (own.clone(), true),
        stored => match (read(parts, channel, typed), stored) {
            (Err(malformed), _) => return general(malformed, "contact_malformed"),
            (Ok((read, _)), Contact::Enrolled(own)) if *own == read => (read, true),
            // Somebody with the password and a contact of their own (A-MFA-03).
            (Ok(_), Contact::Enrolled(_) | Contact::Lost) => {
                return general(foreign(channel), "foreign_contact");
            }
            (Ok((read, served)), Contact::None) => {
                let leave = leave::of(parts, &checked).await?;
                if let Err(refusal) = enrollable(parts, &checked, leave, factor) {
                    let refusal = enroll_refusal(parts, caller, &checked, channel, refusal).await?;
                    return refuse(refusal, "enrollment_closed");
                }
                if !served {
                    return general(General::NotServed, "not_served");
                }
                // What is likely to open the account at a provider as well is nothing beside it (R-MFA-6).
                let traveled = parts.channel(channel, &read);
                let mut firsts = checked.done.values().filter(|done| done.first);
                if firsts.any(|first| first.channel.as_ref() == Some(&traveled)) {
                    return general(General::OwnMailbox, "own_mailbox");
                }
                let refuses_own = parts.config.codes.own_mailbox == OwnMailbox::Refused;
                if channel == Channel::Email
                    && refuses_own
                    && signs_in_with(parts, &checked.look.user, &read).await?
                {
                    return general(General::OwnMailbox, "own_mailbox");
                }
                (read, false)
            }
        },
    };
    let unsent = match budget(parts, caller, &checked, channel, &destination, verified).await? {
        Ok(unsent) => unsent,
        Err(spent) => return general(spent, "budget"),
    };
    announce(parts, caller, &checked, channel, &destination).await?;

    let now = parts.now();
    let device = DeviceId::random(&*parts.entropy)?;
    let id = device.challenge();
    let binding = binding(&checked, factor);
    let tenant = &checked.look.user.tenant;
    let bound = BoundTo {
        tenant,
        challenge: &id,
        binding: &binding,
        destination: &destination,
    };
    let codes = &parts.config.codes;
    let code = passwordless::draw(&*parts.entropy, &parts.keyring, codes.digits, &bound)?;
    let session = &checked.look.session;
    let challenge = Challenge {
        tenant: tenant.clone(),
        id: id.clone(),
        binding,
        destination: destination.clone(),
        failed: 0,
        max_failures: codes.attempts,
        slots: [
            Some(Slot {
                mac: code.mac,
                expires_at: now.plus(codes.lifetime),
            }),
            None,
            None,
        ],
        sends: 1,
        next_send_at: now.plus(codes.resend_base),
        closed: false,
        created_at: now,
        ends_at: match session.class {
            Class::Half => session.ends_at,
            Class::Full => now.plus(codes.challenge).min(session.end()),
        },
    };
    parts.store.put_challenge(&challenge).await?;
    if send(parts, &second, &challenge, code.text, caller.language, unsent).is_err() {
        return general(General::Busy, "queue_full");
    }
    note_sent(parts, caller, &checked, factor);
    Ok(Ok(SentCode {
        device,
        challenge: id,
    }))
}

fn note_refused(parts: &Parts, caller: &Caller, checked: &Checked, factor: &FactorId, reason: &'static str) {
    let user = &checked.look.user;
    let event = parts
        .event(EventKind::CodeRefused, Outcome::Refused)
        .of(&user.tenant, &user.id);
    let event = event.in_session(&checked.look.session.handle).with_factor(factor);
    parts.record(&event.because(reason).from_network(&caller.origin.network));
}

fn note_sent(parts: &Parts, caller: &Caller, checked: &Checked, factor: &FactorId) {
    let user = &checked.look.user;
    let event = parts
        .event(EventKind::CodeSent, Outcome::Granted)
        .of(&user.tenant, &user.id)
        .with_factor(factor);
    parts.record(
        &event
            .in_session(&checked.look.session.handle)
            .from_network(&caller.origin.network),
    );
}

/// Asks the application's hooks whether a code may go out, before it is made.
pub(super) async fn announce(
    parts: &Parts,
    caller: &Caller,
    checked: &Checked,
    channel: Channel,
    to: &str,
) -> Result<(), Fault> {
    let user = &checked.look.user;
    let message = Outgoing {
        channel,
        to,
        content: OutgoingContent::Code { second_factor: true },
        tenant: &user.tenant,
        user: Some(&user.id),
    };
    parts.hooks.on_delivery(caller, &message).await
}

/// Hands a code to the background. The answer does not wait for it, and does not tell how it went.
fn send(
    parts: &Parts,
    second: &Second<'_>,
    challenge: &Challenge,
    code: Secret<String>,
    language: Option<Language>,
    unsent: Option<Ask>,
) -> Result<(), QueueFull> {
    let content = Content::Code {
        code,
        lifetime: parts.config.codes.lifetime,
        second_factor: true,
    };
    let about = parts
        .event(EventKind::DeliverySent, Outcome::Noted)
        .of(&challenge.tenant, &challenge.binding.user)
        .with_factor(&second.factor);
    let parcel = Parcel {
        deliver: second.way.deliver.clone(),
        message: upkeep::message(parts, second.channel, challenge, content, language),
        about,
        unsent,
    };
    hand_over(parts, parcel)
}

/// Charges the budgets of a message. They are all charged before the carrier is called (R-SMS-1). What is returned counts it
/// among those that were not sent, if it comes to that.
pub(super) async fn budget(
    parts: &Parts,
    caller: &Caller,
    checked: &Checked,
    channel: Channel,
    destination: &str,
    verified: bool,
) -> Result<Result<Option<Ask>, General>, Fault> {
    let limits = account::limits(parts);
    let user = &checked.look.user;
    let now = parts.now();
    if verified {
        let asks = limits.code_to_verified(&user.tenant, &user.id, destination);
        return Ok(match limit::ask(&*parts.store, &asks, now).await? {
            Leave::Granted(_) => Ok(None),
            Leave::Refused { retry_after, .. } => Err(throttled(parts, caller, retry_after)),
        });
    }
    let country = match channel {
        Channel::Sms => Some(country_of(destination)),
        Channel::Email => None,
    };
    let network = &caller.origin.network;
    let asks = limits.code_to_unverified(&user.tenant, &user.id, destination, country.as_deref(), network);
    let counts = match limit::ask(&*parts.store, &asks, now).await? {
        Leave::Granted(counts) => counts,
        Leave::Refused { retry_after, .. } => return Ok(Err(throttled(parts, caller, retry_after))),
    };
    let Some(country) = country else {
        return Ok(Ok(None));
    };
    match watch_country(parts, &country, &counts).await? {
        Ok(unsent) => Ok(Ok(Some(unsent))),
        Err(wait) => Ok(Err(throttled(parts, caller, wait))),
    }
}

/// Looks at what a message to an unverified phone counted: half of the site's budget is an alarm, and a country that hardly
/// anybody answers from is closed. Err: for how long. Ok: what counts the message among those that were not sent.
pub(super) async fn watch_country(
    parts: &Parts,
    country: &str,
    counts: &[u32],
) -> Result<Result<Ask, Duration>, Fault> {
    let limits = account::limits(parts);
    let count = |index: usize| counts.get(index).copied().unwrap_or(0);
    let site = parts
        .config
        .limits
        .sms_site
        .count
        .saturating_mul(parts.config.limits.scale);
    if count(Limits::SITE) == site.div_ceil(2) {
        parts.record(
            &parts
                .event(EventKind::SmsBudget, Outcome::Noted)
                .because("half_of_the_site_budget"),
        );
    }
    // The count holds this message as well, of which nobody knows yet.
    let sent = count(Limits::SENT).saturating_sub(count(Limits::UNSENT));
    if breaker_opens(&parts.config.limits, sent, count(Limits::VERIFIED)) {
        limit::ask(&*parts.store, &[limits.breaker(country)], parts.now()).await?;
        parts.record(
            &parts
                .event(EventKind::SmsBreaker, Outcome::Noted)
                .because("few_answers"),
        );
        return Ok(Err(parts.config.limits.breaker_open));
    }
    Ok(Ok(limits.unsent(country)))
}

pub(super) fn throttled(parts: &Parts, caller: &Caller, retry_after: Duration) -> General {
    account::note_throttled(parts, caller, "codes");
    General::Throttled(retry_after)
}

pub(super) fn country_of(number: &str) -> String {
    PhoneNumber::from_stored(number)
        .ok()
        .and_then(|n| n.country())
        .unwrap_or_default()
        .to_owned()
}

/// A challenge that this session may work on: its own, and to the contact that the account has now.
pub(super) fn own_challenge<'c>(
    checked: &'c Checked,
    factor: &FactorId,
    binding: &Binding,
) -> Result<&'c Challenge, CodeRefusal> {
    let challenge = checked
        .look
        .challenge
        .as_ref()
        .filter(|c| c.binding == *binding && c.tenant == checked.look.user.tenant);
    let challenge = challenge.ok_or(CodeRefusal::Restart)?;
    match contact(checked, factor) {
        Contact::None => Ok(challenge),
        Contact::Enrolled(own) if own == challenge.destination => Ok(challenge),
        // Enrolled since, with another number: the challenge is void.
        Contact::Enrolled(_) => Err(CodeRefusal::Restart),
        Contact::Lost => Err(CodeRefusal::General(General::Unusable)),
    }
}

/// Sends one more code of a challenge.
pub(crate) async fn resend(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
    device: &DeviceId,
) -> Result<Result<(), CodeRefusal>, Fault> {
    let Some(any) = seconds(parts).next() else {
        return Ok(Err(CodeRefusal::NotOffered));
    };
    let id = device.challenge();
    let checked = match session_for(parts, access, Some(&id)).await? {
        Ok(checked) => checked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let second = of_challenge(parts, &checked).unwrap_or(any);
    let factor = &second.factor;
    let binding = binding(&checked, factor);
    let refuse = |refusal: CodeRefusal, reason| {
        note_refused(parts, caller, &checked, factor, reason);
        Ok(Err(refusal))
    };
    let challenge = match own_challenge(&checked, factor, &binding) {
        Ok(challenge) => challenge,
        Err(refusal) => return refuse(refusal, "no_such_challenge"),
    };
    let now = parts.now();
    if challenge.closed || challenge.failed >= challenge.max_failures || now >= challenge.ends_at {
        return refuse(CodeRefusal::Restart, "used_up");
    }
    let early = |at: crate::time::Timestamp| {
        refuse(
            CodeRefusal::General(General::Throttled(at.since(now))),
            "too_early",
        )
    };
    // A look before the budget is charged: an impatient user should not pay for a message that is not sent.
    if now < challenge.next_send_at {
        return early(challenge.next_send_at);
    }
    let verified = matches!(contact(&checked, factor), Contact::Enrolled(_));
    let (channel, to) = (second.channel, &challenge.destination);
    let unsent = match budget(parts, caller, &checked, channel, to, verified).await? {
        Ok(unsent) => unsent,
        Err(spent) => return refuse(CodeRefusal::General(spent), "budget"),
    };
    announce(parts, caller, &checked, channel, to).await?;
    let codes = &parts.config.codes;
    let bound = BoundTo {
        tenant: &challenge.tenant,
        challenge: &id,
        binding: &binding,
        destination: &challenge.destination,
    };
    let code = passwordless::draw(&*parts.entropy, &parts.keyring, codes.digits, &bound)?;
    let resent = parts
        .store
        .resend(&Resend {
            tenant: challenge.tenant.clone(),
            id: id.clone(),
            binding: binding.clone(),
            slot: Slot {
                mac: code.mac,
                expires_at: now.plus(codes.lifetime),
            },
            keep: codes.live.min(SLOTS),
            base: codes.resend_base,
            cap: codes.resend_cap,
            now,
        })
        .await?;
    match resent {
        Resent::Gone => refuse(CodeRefusal::Restart, "gone"),
        Resent::TooEarly { at } => early(at),
        Resent::Added { sends } => {
            let message = Challenge {
                sends,
                ..challenge.clone()
            };
            if send(parts, &second, &message, code.text, caller.language, unsent).is_err() {
                return refuse(CodeRefusal::General(General::Busy), "queue_full");
            }
            note_sent(parts, caller, &checked, factor);
            Ok(Ok(()))
        }
    }
}
