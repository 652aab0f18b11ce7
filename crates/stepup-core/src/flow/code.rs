//! The second factor by a one-time code: create and resend. What becomes of an answer is `answer`'s affair.
//!
//! All of them act on the live session, whatever the client says of linking; without one there is nothing to act on
//! (R-MFA-1, A-MFA-36). The stored contact is compared before anything is sent, on each of them.

use std::sync::Arc;
use std::time::Duration;

use crate::background::QueueFull;
use crate::contact::PhoneNumber;
use crate::delivery::{Channel, Content, Deliver, Message};
use crate::error::Fault;
use crate::event::{Event, EventKind, Outcome, fingerprint};
use crate::factor::passwordless::{self, BoundTo, DeviceId, PasswordlessFactor};
use crate::flow::session::{self, Checked, SessionEnded};
use crate::flow::{Caller, account};
use crate::hook::{Outgoing, OutgoingContent};
use crate::id::{ChallengeId, FactorId};
use crate::limit::{self, Leave, Limits, breaker_opens};
use crate::parts::Parts;
use crate::policy::{self, EnrollRefusal, SessionAge};
use crate::record::challenge::{Binding, Challenge, Resend, Resent, SLOTS, Slot};
use crate::record::credential::Credential;
use crate::record::session::Class;
use crate::rule::{ClaimFailure, Rule, judge};
use crate::secret::Secret;
use crate::session::access::AccessClaims;
use crate::session::claim::mask_phone;

pub(super) const FACTOR: FactorId = passwordless::ID;

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
    /// A number that is not sent to: country, or kind.
    NotServed,
    /// The first factor is too old to add a second one.
    SignInAgain,
    /// The account's second factor cannot be used: an administrator has to reset it (A-LEG-03).
    Unusable,
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

/// What an enrolled contact looks like to this session.
pub(super) enum Contact {
    /// None yet.
    None,
    /// This number.
    Enrolled(String),
    /// Enrolled, but its credential is gone: nobody may pass, and nobody may enroll another (A-LEG-03).
    Lost,
}

pub(super) fn contact(checked: &Checked) -> Contact {
    let credentials = &checked.look.contacts;
    match checked.look.user.summary.enrolled(&FACTOR) {
        Some(enrolled) => credentials
            .iter()
            .find(|c| c.id == enrolled.credential)
            .and_then(address)
            .map_or(Contact::Lost, Contact::Enrolled),
        // A credential without its summary is no reason to let a stranger enroll another one.
        None if credentials
            .iter()
            .any(|c| c.public.get("factor").and_then(|f| f.as_str()) == Some(FACTOR.as_str())) =>
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

pub(super) fn binding(checked: &Checked) -> Binding {
    Binding {
        purpose: passwordless::second_factor_purpose(&FACTOR),
        user: checked.look.user.id.clone(),
        session: checked.look.session.handle.clone(),
    }
}

/// The first factor of a session, and whether it made the account.
pub(crate) fn session_age(checked: &Checked) -> SessionAge {
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
    }
}

/// Whether this session may enroll `factor` now.
pub(crate) fn enrollable(parts: &Parts, checked: &Checked, factor: &FactorId) -> Result<(), EnrollRefusal> {
    let summary = &checked.look.user.summary;
    let age = session_age(checked);
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

fn enroll_refusal(parts: &Parts, checked: &Checked, refusal: EnrollRefusal) -> CodeRefusal {
    let facts = session::facts_of(parts, checked);
    let step_up = parts.config.sessions.step_up;
    match refusal {
        EnrollRefusal::SignInAgain => CodeRefusal::General(General::SignInAgain),
        EnrollRefusal::Enrolled => CodeRefusal::General(General::ForeignContact),
        EnrollRefusal::Gate => CodeRefusal::Claims(match judge(&Rule::Site, &facts) {
            // Where only routes ask for the second factor, it is what is missing here.
            met if met.is_empty() => judge(&Rule::SecondFactor, &facts),
            failures => failures,
        }),
        EnrollRefusal::StepUp => CodeRefusal::Claims(judge(&Rule::Fresh(step_up), &facts)),
    }
}

/// Whether `typed` is the stored number as this site shows it: itself, or the mask that stands for it.
fn is_shown(parts: &Parts, own: &str, typed: &str) -> bool {
    let masks = parts.config.mask_contacts || parts.config.mask_settled;
    typed.trim() == own || (masks && typed == mask_phone(own))
}

/// Codes, if they are a second factor here.
pub(super) fn second(parts: &Parts) -> Option<&PasswordlessFactor> {
    parts
        .passwordless
        .as_ref()
        .filter(|factor| factor.second().is_some())
}

/// Creates a code for `typed`, the number that the client sent.
pub(crate) async fn create(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
    typed: &str,
) -> Result<Result<SentCode, CodeRefusal>, Fault> {
    let Some(factor) = second(parts) else {
        return Ok(Err(CodeRefusal::NotOffered));
    };
    let checked = match session_for(parts, access, None).await? {
        Ok(checked) => checked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let refuse = |refusal: CodeRefusal, reason| {
        note_refused(parts, caller, &checked, reason);
        Ok(Err(refusal))
    };
    let stored = contact(&checked);
    let (number, verified) = match &stored {
        Contact::Lost => return refuse(CodeRefusal::General(General::Unusable), "contact_lost"),
        // Sent back as the payload shows it. Numbering plans change: the stored number needs none to be itself.
        Contact::Enrolled(own) if is_shown(parts, own, typed) => (own.clone(), true),
        stored => {
            let Ok(number) = PhoneNumber::parse(typed) else {
                return refuse(
                    CodeRefusal::General(General::ContactMalformed),
                    "contact_malformed",
                );
            };
            match stored {
                Contact::Enrolled(own) if own == number.as_str() => (own.clone(), true),
                // Somebody with the password and a phone of their own (A-MFA-03).
                Contact::Enrolled(_) | Contact::Lost => {
                    return refuse(CodeRefusal::General(General::ForeignContact), "foreign_contact");
                }
                Contact::None => {
                    if let Err(refusal) = enrollable(parts, &checked, &FACTOR) {
                        return refuse(enroll_refusal(parts, &checked, refusal), "enrollment_closed");
                    }
                    if !factor.countries.admit(&number) {
                        return refuse(CodeRefusal::General(General::NotServed), "not_served");
                    }
                    (number.as_str().to_owned(), false)
                }
            }
        }
    };
    if let Err(general) = budget(parts, caller, &checked, &number, verified).await? {
        return refuse(CodeRefusal::General(general), "budget");
    }
    announce(parts, caller, &checked, &number).await?;

    let now = parts.now();
    let device = DeviceId::random(&*parts.entropy)?;
    let id = device.challenge();
    let binding = binding(&checked);
    let tenant = &checked.look.user.tenant;
    let bound = BoundTo {
        tenant,
        challenge: &id,
        binding: &binding,
        destination: &number,
    };
    let codes = &parts.config.codes;
    let code = passwordless::draw(&*parts.entropy, &parts.keyring, codes.digits, &bound)?;
    let session = &checked.look.session;
    let challenge = Challenge {
        tenant: tenant.clone(),
        id: id.clone(),
        binding,
        destination: number.clone(),
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
    if send(parts, factor, &challenge, code.text).is_err() {
        return refuse(CodeRefusal::General(General::Busy), "queue_full");
    }
    note_sent(parts, caller, &checked);
    Ok(Ok(SentCode {
        device,
        challenge: id,
    }))
}

fn note_refused(parts: &Parts, caller: &Caller, checked: &Checked, reason: &'static str) {
    let user = &checked.look.user;
    let event = parts
        .event(EventKind::CodeRefused, Outcome::Refused)
        .of(&user.tenant, &user.id);
    let event = event
        .in_session(&checked.look.session.handle)
        .with_factor(&FACTOR);
    parts.record(&event.because(reason).from_network(&caller.origin.network));
}

fn note_sent(parts: &Parts, caller: &Caller, checked: &Checked) {
    let user = &checked.look.user;
    let event = parts
        .event(EventKind::CodeSent, Outcome::Granted)
        .of(&user.tenant, &user.id)
        .with_factor(&FACTOR);
    parts.record(
        &event
            .in_session(&checked.look.session.handle)
            .from_network(&caller.origin.network),
    );
}

/// Asks the application's hooks whether a code may go out, before it is made.
async fn announce(parts: &Parts, caller: &Caller, checked: &Checked, number: &str) -> Result<(), Fault> {
    let user = &checked.look.user;
    let message = Outgoing {
        channel: Channel::Sms,
        to: number,
        content: OutgoingContent::Code { second_factor: true },
        tenant: &user.tenant,
        user: Some(&user.id),
    };
    parts.hooks.on_delivery(caller, &message).await
}

/// Hands a code to the background. The answer does not wait for it, and does not tell how it went.
fn send(
    parts: &Parts,
    factor: &PasswordlessFactor,
    challenge: &Challenge,
    code: Secret<String>,
) -> Result<(), QueueFull> {
    let content = Content::Code {
        code,
        lifetime: parts.config.codes.lifetime,
        second_factor: true,
    };
    let Some(way) = factor.second() else {
        return Ok(());
    };
    let failed = parts
        .event(EventKind::DeliveryFailed, Outcome::Noted)
        .of(&challenge.tenant, &challenge.binding.user)
        .with_factor(&FACTOR);
    hand_over(
        parts,
        way.deliver.clone(),
        Channel::Sms,
        challenge,
        content,
        failed,
    )
}

/// Hands the message of a challenge to the background; `failed` is recorded if it is not delivered.
pub(super) fn hand_over(
    parts: &Parts,
    deliver: Arc<dyn Deliver>,
    channel: Channel,
    challenge: &Challenge,
    content: Content,
    failed: Event,
) -> Result<(), QueueFull> {
    // One id per challenge and code number: a carrier that is handed the same one twice can tell (A-SMS-07).
    let id = format!("{}-{}", fingerprint(challenge.id.as_str()), challenge.sends);
    let to = (channel, challenge.destination.clone());
    let message = Message::new(id, to, content, &parts.app, parts.now());
    let events = parts.events.clone();
    parts.background.spawn(Box::pin(async move {
        if let Err(error) = deliver.deliver(&message).await {
            // The source may quote the address; only its type of failure is ours to tell.
            tracing::debug!(target: "stepup::delivery", error = %error, "message not delivered");
            events.record(&failed);
        }
    }))
}

/// Charges the budgets of a message. They are all charged before the carrier is called (R-SMS-1).
async fn budget(
    parts: &Parts,
    caller: &Caller,
    checked: &Checked,
    number: &str,
    verified: bool,
) -> Result<Result<(), General>, Fault> {
    let limits = account::limits(parts);
    let user = &checked.look.user;
    let now = parts.now();
    if verified {
        let asks = limits.code_to_verified(&user.tenant, &user.id, number);
        return Ok(match limit::ask(&*parts.store, &asks, now).await? {
            Leave::Granted(_) => Ok(()),
            Leave::Refused { retry_after, .. } => Err(throttled(parts, caller, retry_after)),
        });
    }
    let country = country_of(number);
    let asks = limits.code_to_unverified(&user.tenant, &user.id, number, &country, &caller.origin.network);
    let counts = match limit::ask(&*parts.store, &asks, now).await? {
        Leave::Granted(counts) => counts,
        Leave::Refused { retry_after, .. } => return Ok(Err(throttled(parts, caller, retry_after))),
    };
    if let Err(wait) = watch_country(parts, &country, &counts).await? {
        return Ok(Err(throttled(parts, caller, wait)));
    }
    Ok(Ok(()))
}

/// Looks at what a message to an unverified phone counted: half of the site's budget is an alarm, and a country that hardly
/// anybody answers from is closed. Err: for how long.
pub(super) async fn watch_country(
    parts: &Parts,
    country: &str,
    counts: &[u32],
) -> Result<Result<(), Duration>, Fault> {
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
    if breaker_opens(&parts.config.limits, count(Limits::SENT), count(Limits::VERIFIED)) {
        limit::ask(&*parts.store, &[limits.breaker(country)], parts.now()).await?;
        parts.record(
            &parts
                .event(EventKind::SmsBreaker, Outcome::Noted)
                .because("few_answers"),
        );
        return Ok(Err(parts.config.limits.breaker_open));
    }
    Ok(Ok(()))
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
    binding: &Binding,
) -> Result<&'c Challenge, CodeRefusal> {
    let challenge = checked
        .look
        .challenge
        .as_ref()
        .filter(|c| c.binding == *binding && c.tenant == checked.look.user.tenant);
    let challenge = challenge.ok_or(CodeRefusal::Restart)?;
    match contact(checked) {
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
    let Some(factor) = second(parts) else {
        return Ok(Err(CodeRefusal::NotOffered));
    };
    let id = device.challenge();
    let checked = match session_for(parts, access, Some(&id)).await? {
        Ok(checked) => checked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let binding = binding(&checked);
    let refuse = |refusal: CodeRefusal, reason| {
        note_refused(parts, caller, &checked, reason);
        Ok(Err(refusal))
    };
    let challenge = match own_challenge(&checked, &binding) {
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
    let verified = matches!(contact(&checked), Contact::Enrolled(_));
    if let Err(general) = budget(parts, caller, &checked, &challenge.destination, verified).await? {
        return refuse(CodeRefusal::General(general), "budget");
    }
    announce(parts, caller, &checked, &challenge.destination).await?;
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
            if send(parts, factor, &message, code.text).is_err() {
                return refuse(CodeRefusal::General(General::Busy), "queue_full");
            }
            note_sent(parts, caller, &checked);
            Ok(Ok(()))
        }
    }
}
