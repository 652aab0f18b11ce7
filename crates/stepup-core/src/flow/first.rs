//! Signing in and up by a code or a link to a contact, before anybody is signed in.
//!
//! Whoever asks is a stranger, so the answer to a request is the same for every contact, known or not (R-ENU-1), and the
//! budgets are those of strangers. A contact signs in to the account whose *identifier* it is; that it is the second factor
//! of another account says nothing here (threat A-LEG-07).

use crate::background::QueueFull;
use crate::contact::PhoneNumber;
use crate::delivery::{Channel, Content};
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::factor::passwordless::{self, BoundTo, DeviceId, Means, NewCode, Way};
use crate::flow::account::{self, Exists, SignInTry};
use crate::flow::code::{General, country_of, throttled, watch_country};
use crate::flow::contact::{self, Contact, Opened, identifier};
use crate::flow::dispatch::{Parcel, hand_over};
use crate::flow::{Caller, SignedIn, pending, upkeep};
use crate::hook::{Outgoing, OutgoingContent};
use crate::id::{ChallengeId, FactorId, TenantId, UserId};
use crate::language::Language;
use crate::limit::{self, Leave};
use crate::parts::Parts;
use crate::record::challenge::{Answer, Challenge, Resend, Resent, SLOTS, Slot};
use crate::record::counter::Ask;
use crate::record::user::User;
use crate::secret::{Mac, Secret};
use crate::storage::Account;
use crate::time::Timestamp;

/// A message that is on its way.
#[derive(Debug)]
pub struct SentFirst {
    /// The secret that the asking client keeps.
    pub device: DeviceId,
    /// Its challenge.
    pub challenge: ChallengeId,
    /// What the message carries.
    pub means: Means,
}

/// Why nothing was sent.
#[derive(Debug)]
pub enum FirstRefusal {
    /// In words, for the user.
    General(General),
    /// There is no such challenge: start again.
    Restart,
    /// Codes do not sign in here, or not by such a contact.
    NotOffered,
}

/// What somebody shows to sign in.
#[derive(Clone, Copy, Debug)]
pub enum OpenedBy<'a> {
    /// The code, typed in where it was asked for.
    Code {
        /// What the asking client kept.
        device: &'a DeviceId,
        /// What was typed.
        typed: &'a str,
    },
    /// The link, opened anywhere.
    Link {
        /// The challenge that it names.
        challenge: &'a ChallengeId,
        /// Its secret.
        secret: &'a str,
    },
}

/// What became of it.
#[derive(Debug)]
pub enum FirstOutcome {
    /// Signed in.
    SignedIn {
        /// The user and the tokens.
        signed_in: Box<SignedIn>,
        /// Whether the account was made by it.
        created: bool,
    },
    /// Wrong code.
    Incorrect {
        /// Failures of this challenge so far.
        failed: u32,
        /// How many end it.
        max: u32,
    },
    /// The right code, too late.
    Expired {
        /// Failures of this challenge so far.
        failed: u32,
        /// How many end it.
        max: u32,
    },
    /// Gone, used up, used, or a link that is none: start again.
    Restart,
    /// The contact is that of an account which signs in by another way, or may not sign in. Only who proved the contact is
    /// told so.
    NotAllowed,
    /// In words, for the user.
    General(General),
    /// Codes do not sign in here.
    NotOffered,
}

/// A channel by which contacts sign in.
#[derive(Clone, Copy)]
struct Open<'p> {
    way: &'p Way,
    means: Means,
}

/// The channel, as far as the tenant takes what it carries.
fn offered<'p>(parts: &'p Parts, tenant: &TenantId, channel: Channel) -> Option<Open<'p>> {
    let way = parts.passwordless.as_ref()?.first(channel)?;
    let takes = |link| parts.opens(tenant, &passwordless::factor_of(channel, link));
    let means = way.means.narrowed(takes(false), takes(true))?;
    Some(Open { way, means })
}

fn admits(parts: &Parts, number: &PhoneNumber) -> bool {
    let factor = parts.passwordless.as_ref();
    factor.is_some_and(|factor| factor.countries.admit(number))
}

/// Sends a code or a link to `contact`.
pub(crate) async fn create(
    parts: &Parts,
    caller: &Caller,
    contact: &Contact,
) -> Result<Result<SentFirst, FirstRefusal>, Fault> {
    let channel = contact.channel();
    let Some(way) = offered(parts, &caller.tenant, channel) else {
        return Ok(Err(FirstRefusal::NotOffered));
    };
    if let Contact::Phone(number) = contact
        && !admits(parts, number)
    {
        note(
            parts,
            caller,
            channel,
            EventKind::CodeRefused,
            Outcome::Refused,
            "not_served",
        );
        return Ok(Err(FirstRefusal::General(General::NotServed)));
    }
    let unsent = match budget(parts, caller, channel, contact.as_str()).await? {
        Ok(unsent) => unsent,
        Err(general) => return Ok(Err(FirstRefusal::General(general))),
    };
    announce(parts, caller, channel, contact.as_str()).await?;
    let now = parts.now();
    let codes = &parts.config.codes;
    let device = DeviceId::random(&*parts.entropy)?;
    let id = device.challenge();
    let binding = passwordless::first_factor_binding(channel, &id);
    let mut challenge = Challenge {
        tenant: caller.tenant.clone(),
        id: id.clone(),
        binding,
        destination: contact.as_str().to_owned(),
        failed: 0,
        max_failures: codes.attempts,
        slots: [None; SLOTS],
        sends: 1,
        next_send_at: now.plus(codes.resend_base),
        closed: false,
        created_at: now,
        ends_at: now.plus(codes.challenge.max(codes.first_lifetime)),
    };
    let code = draw(parts, way, &challenge)?;
    challenge.slots = [
        Some(Slot {
            mac: code.mac,
            expires_at: now.plus(codes.first_lifetime),
        }),
        None,
        None,
    ];
    parts.store.put_challenge(&challenge).await?;
    if send(
        parts,
        way,
        channel,
        &challenge,
        code.text,
        caller.language,
        unsent,
    )?
    .is_err()
    {
        return Ok(Err(FirstRefusal::General(General::Busy)));
    }
    note(
        parts,
        caller,
        channel,
        EventKind::CodeSent,
        Outcome::Granted,
        "sign_in",
    );
    Ok(Ok(SentFirst {
        device,
        challenge: id,
        means: way.means,
    }))
}

/// Sends one more code or link of a challenge.
pub(crate) async fn resend(
    parts: &Parts,
    caller: &Caller,
    device: &DeviceId,
) -> Result<Result<(), FirstRefusal>, Fault> {
    let restart = || Ok(Err(FirstRefusal::Restart));
    let id = device.challenge();
    let now = parts.now();
    let Some((challenge, channel)) = pending::open_challenge(parts, &caller.tenant, &id).await? else {
        return restart();
    };
    let Some(way) = offered(parts, &caller.tenant, channel) else {
        return restart();
    };
    if challenge.closed || challenge.failed >= challenge.max_failures || now >= challenge.ends_at {
        return restart();
    }
    let early = |at: Timestamp| Ok(Err(FirstRefusal::General(General::Throttled(at.since(now)))));
    // A look before the budget is charged: an impatient user should not pay for a message that is not sent.
    if now < challenge.next_send_at {
        return early(challenge.next_send_at);
    }
    let unsent = match budget(parts, caller, channel, &challenge.destination).await? {
        Ok(unsent) => unsent,
        Err(general) => return Ok(Err(FirstRefusal::General(general))),
    };
    announce(parts, caller, channel, &challenge.destination).await?;
    let codes = &parts.config.codes;
    let code = draw(parts, way, &challenge)?;
    let resent = parts
        .store
        .resend(&Resend {
            tenant: challenge.tenant.clone(),
            id,
            binding: challenge.binding.clone(),
            slot: Slot {
                mac: code.mac,
                expires_at: now.plus(codes.first_lifetime),
            },
            keep: codes.live.min(SLOTS),
            base: codes.resend_base,
            cap: codes.resend_cap,
            now,
        })
        .await?;
    match resent {
        Resent::Gone => restart(),
        Resent::TooEarly { at } => early(at),
        Resent::Added { sends } => {
            let message = Challenge { sends, ..challenge };
            if send(parts, way, channel, &message, code.text, caller.language, unsent)?.is_err() {
                return Ok(Err(FirstRefusal::General(General::Busy)));
            }
            note(
                parts,
                caller,
                channel,
                EventKind::CodeSent,
                Outcome::Granted,
                "sign_in",
            );
            Ok(Ok(()))
        }
    }
}

/// Signs in, or up, by what `opened` shows. In this order: the challenge, then the charge, then the comparison, then all
/// that follows from it.
pub(crate) async fn consume(
    parts: &Parts,
    caller: &Caller,
    opened: OpenedBy<'_>,
) -> Result<FirstOutcome, Fault> {
    let device;
    let id = match opened {
        OpenedBy::Code { device: kept, .. } => {
            device = kept.challenge();
            &device
        }
        OpenedBy::Link { challenge, .. } => challenge,
    };
    let Some((challenge, channel)) = pending::open_challenge(parts, &caller.tenant, id).await? else {
        return Ok(FirstOutcome::Restart);
    };
    let Some(way) = offered(parts, &caller.tenant, channel) else {
        return Ok(FirstOutcome::NotOffered);
    };
    let macs = match judge(parts, way, &challenge, opened) {
        Some(macs) => macs,
        // Not a link of ours: nobody could have come near by guessing, so nothing is charged to the owner's challenge.
        None => {
            note(
                parts,
                caller,
                channel,
                EventKind::CodeAnswered,
                Outcome::Refused,
                "no_such_link",
            );
            return Ok(FirstOutcome::Restart);
        }
    };
    let who = identifier(channel, &challenge.destination);
    let account = parts.store.user_by_identifier(&caller.tenant, &who).await?;
    let attempt = match begin(parts, caller, channel, &challenge.destination, account.as_ref()).await? {
        Ok(attempt) => attempt,
        Err(wait) => return Ok(FirstOutcome::General(General::Throttled(wait))),
    };
    let now = parts.now();
    let answer = parts
        .store
        .answer(&challenge.tenant, id, &challenge.binding, &macs, now)
        .await?;
    let max = challenge.max_failures;
    let by_link = matches!(opened, OpenedBy::Link { .. });
    let (outcome, reason) = match answer {
        Answer::Right => {
            let factor = passwordless::factor_of(channel, by_link);
            return enter(parts, caller, &challenge, channel, factor, account, attempt).await;
        }
        Answer::Gone => (FirstOutcome::Restart, "gone"),
        Answer::Wrong { failed } | Answer::Expired { failed } if failed >= max => {
            (FirstOutcome::Restart, "used_up")
        }
        // The clients know nothing of an expired link.
        Answer::Expired { .. } if by_link => (FirstOutcome::Restart, "expired"),
        Answer::Wrong { failed } => (FirstOutcome::Incorrect { failed, max }, "wrong_code"),
        Answer::Expired { failed } => (FirstOutcome::Expired { failed, max }, "expired"),
    };
    attempt
        .failed(parts, account.as_ref().map(|a| &a.user), reason)
        .await?;
    Ok(outcome)
}

/// Whether `typed` is a code of the challenge now. The code is not spent; one of the challenge's tries is, right or wrong,
/// and before anything is compared: whoever may check without end may guess without end (R-OTP-5, R-OTP-7).
pub(crate) async fn check(
    parts: &Parts,
    caller: &Caller,
    device: &DeviceId,
    typed: &str,
) -> Result<Result<bool, General>, Fault> {
    let id = device.challenge();
    let now = parts.now();
    let Some((challenge, channel)) = pending::open_challenge(parts, &caller.tenant, &id).await? else {
        return Ok(Ok(false));
    };
    let Some(way) = offered(parts, &caller.tenant, channel) else {
        return Ok(Ok(false));
    };
    let opened = OpenedBy::Code { device, typed };
    let macs = judge(parts, way, &challenge, opened).unwrap_or_default();
    let who = identifier(channel, &challenge.destination);
    let account = parts.store.user_by_identifier(&caller.tenant, &who).await?;
    let attempt = match begin(parts, caller, channel, &challenge.destination, account.as_ref()).await? {
        Ok(attempt) => attempt,
        Err(wait) => return Ok(Err(General::Throttled(wait))),
    };
    // An answer that nothing can be is the charge. The last try is not one to check by: it ends the challenge.
    let charged = parts
        .store
        .answer(&challenge.tenant, &id, &challenge.binding, &[], now)
        .await?;
    let may_compare = matches!(charged, Answer::Wrong { failed } if failed < challenge.max_failures);
    // On a copy: what is told here is not spent.
    let right = may_compare && challenge.clone().answer(&challenge.binding, &macs, now) == Answer::Right;
    match right {
        true => attempt.succeeded(parts).await?,
        false => attempt.failed(parts, None, "checked").await?,
    }
    Ok(Ok(right))
}

/// The code in a link, so that who opened it elsewhere can carry it over by hand. It spends nothing.
pub(crate) async fn shown(
    parts: &Parts,
    caller: &Caller,
    id: &ChallengeId,
    secret: &str,
) -> Result<Option<Secret<String>>, Fault> {
    let opened = opened(parts, caller, id, secret).await?;
    let both = opened.filter(|link| link.means == Means::Both);
    Ok(both.map(|link| link.code))
}

/// Whom a link signs in, so that who opens it is told before. It spends nothing.
pub(crate) async fn addressee(
    parts: &Parts,
    caller: &Caller,
    id: &ChallengeId,
    secret: &str,
) -> Result<Option<String>, Fault> {
    let opened = opened(parts, caller, id, secret).await?;
    Ok(opened.map(|link| link.destination))
}

/// A link that works still.
struct LiveLink {
    means: Means,
    destination: String,
    code: Secret<String>,
}

async fn opened(
    parts: &Parts,
    caller: &Caller,
    id: &ChallengeId,
    secret: &str,
) -> Result<Option<LiveLink>, Fault> {
    let Some((challenge, channel)) = pending::open_challenge(parts, &caller.tenant, id).await? else {
        return Ok(None);
    };
    let Some(way) = offered(parts, &caller.tenant, channel).filter(|way| way.means.has_link()) else {
        return Ok(None);
    };
    let bound = bound(&challenge);
    let Some(code) = passwordless::code_of_link(&parts.keyring, &bound, secret) else {
        return Ok(None);
    };
    let macs = passwordless::macs(&parts.keyring, &bound, code.expose());
    // On a copy: what is told here is not spent.
    let answer = challenge.clone().answer(&challenge.binding, &macs, parts.now());
    Ok((answer == Answer::Right).then(|| LiveLink {
        means: way.means,
        destination: challenge.destination,
        code,
    }))
}

/// Signs in the account of `contact`, or makes one, without a code: the application knows who it is.
pub(crate) async fn sign_in_up(
    parts: &Parts,
    caller: &Caller,
    contact: &Contact,
) -> Result<FirstOutcome, Fault> {
    let channel = contact.channel();
    if offered(parts, &caller.tenant, channel).is_none() {
        return Ok(FirstOutcome::NotOffered);
    }
    let account = parts
        .store
        .user_by_identifier(&caller.tenant, &contact.identifier())
        .await?;
    let factor = passwordless::factor_of(channel, false);
    Ok(
        contact::open(parts, caller, channel, contact.as_str(), factor, account)
            .await?
            .into(),
    )
}

/// Whether a contact signs in by codes, as the protocol lets clients ask.
pub(crate) async fn exists(parts: &Parts, caller: &Caller, contact: &Contact) -> Result<Exists, Fault> {
    let own = passwordless::factor_of(contact.channel(), false);
    account::exists(parts, caller, contact.identifier(), |user| {
        user.methods.iter().any(|method| method.factor == own)
    })
    .await
}

fn bound(challenge: &Challenge) -> BoundTo<'_> {
    BoundTo {
        tenant: &challenge.tenant,
        challenge: &challenge.id,
        binding: &challenge.binding,
        destination: &challenge.destination,
    }
}

fn draw(parts: &Parts, way: Open<'_>, challenge: &Challenge) -> Result<NewCode, Fault> {
    let bound = bound(challenge);
    match way.means {
        // Nobody types it in, so it need not be short.
        Means::Link => passwordless::draw_hidden(&*parts.entropy, &parts.keyring, &bound),
        Means::Code | Means::Both => {
            passwordless::draw(&*parts.entropy, &parts.keyring, parts.config.codes.digits, &bound)
        }
    }
}

/// The digests to compare. None for a link that nobody could have come near by guessing.
fn judge(parts: &Parts, way: Open<'_>, challenge: &Challenge, opened: OpenedBy<'_>) -> Option<Vec<Mac>> {
    let bound = bound(challenge);
    match opened {
        OpenedBy::Code { typed, .. } => {
            // Where there is only a link, nothing that can be typed is right.
            let can_be = way.means.has_code() && passwordless::is_code(typed, parts.config.codes.digits);
            Some(if can_be {
                passwordless::macs(&parts.keyring, &bound, typed)
            } else {
                Vec::new()
            })
        }
        OpenedBy::Link { secret, .. } => {
            let code = passwordless::code_of_link(&parts.keyring, &bound, secret)?;
            way.means
                .has_link()
                .then(|| passwordless::macs(&parts.keyring, &bound, code.expose()))
        }
    }
}

/// Counts a try by the counters of every sign-in to the account: what is known of it counts, not what was typed (R-RL-2).
async fn begin(
    parts: &Parts,
    caller: &Caller,
    channel: Channel,
    destination: &str,
    account: Option<&Account>,
) -> Result<Result<SignInTry, std::time::Duration>, Fault> {
    let counted = match (account, channel) {
        (Some(account), _) => format!("user:{}", account.user.id),
        (None, Channel::Email) => format!("mail:{destination}"),
        (None, Channel::Sms) => format!("phone:{destination}"),
    };
    account::begin(parts, caller, account.map(|a| &a.user), counted).await
}

/// Charges the budgets of a message that is to sign somebody in: a stranger's, or those of whoever is signed in in this
/// network by this very contact, which no stranger elsewhere can spend (R-RL-4, threat A-RL-06).
async fn budget(
    parts: &Parts,
    caller: &Caller,
    channel: Channel,
    destination: &str,
) -> Result<Result<Option<Ask>, General>, Fault> {
    let country = match channel {
        Channel::Sms => Some(country_of(destination)),
        Channel::Email => None,
    };
    let network = &caller.origin.network;
    let limits = account::limits(parts);
    // Asked for a contact of nobody's too: the answer takes as long.
    let who = identifier(channel, destination);
    let found = parts.store.user_by_identifier(&caller.tenant, &who).await?;
    let nobody = || User::bare(&caller.tenant, &UserId::new(String::new()), parts.now());
    let user = found.map_or_else(nobody, |account| account.user);
    let own = passwordless::factor_of(channel, false);
    let signs_in = user.methods.iter().any(|method| method.factor == own);
    if account::is_at_home(parts, &user, network).await? && signs_in {
        let asks = limits.first_code_at_home(&user.tenant, &user.id, destination);
        return Ok(match limit::ask(&*parts.store, &asks, parts.now()).await? {
            Leave::Granted(_) => Ok(None),
            Leave::Refused { retry_after, .. } => Err(throttled(parts, caller, retry_after)),
        });
    }
    let asks = limits.first_code(destination, country.as_deref(), network);
    let counts = match limit::ask(&*parts.store, &asks, parts.now()).await? {
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

/// Asks the application's hooks whether a message may go out, before its code is made.
async fn announce(parts: &Parts, caller: &Caller, channel: Channel, to: &str) -> Result<(), Fault> {
    let message = Outgoing {
        channel,
        to,
        content: OutgoingContent::Code { second_factor: false },
        tenant: &caller.tenant,
        user: None,
    };
    parts.hooks.on_delivery(caller, &message).await
}

/// Hands a message to the background. The answer does not wait for it, and does not tell how it went.
fn send(
    parts: &Parts,
    way: Open<'_>,
    channel: Channel,
    challenge: &Challenge,
    code: Secret<String>,
    language: Option<Language>,
    unsent: Option<Ask>,
) -> Result<Result<(), QueueFull>, Fault> {
    let lifetime = parts.config.codes.first_lifetime;
    let content = match way.means {
        Means::Code => Content::Code {
            code,
            lifetime,
            second_factor: false,
        },
        Means::Link | Means::Both => {
            let bound = bound(challenge);
            let secret = passwordless::link_code(&parts.keyring, &*parts.entropy, &bound, code.expose())?;
            Content::Link {
                url: link(parts, challenge, &secret),
                code: way.means.has_code().then_some(code),
                lifetime,
            }
        }
    };
    let about = parts
        .event(EventKind::DeliverySent, Outcome::Noted)
        .with_factor(&passwordless::factor_of(channel, false));
    let parcel = Parcel {
        deliver: way.way.deliver.clone(),
        message: upkeep::message(parts, channel, challenge, content, language),
        about,
        unsent,
    };
    Ok(hand_over(parts, parcel))
}

/// The page of the website that asks and then signs in. Origin and path are configured and nothing of a request is in it
/// (threat A-OTP-17); the secret is the fragment, so that it reaches no server and no log.
fn link(parts: &Parts, challenge: &Challenge, secret: &Secret<String>) -> Secret<String> {
    Secret::new(format!(
        "{}{}/verify?preAuthSessionId={}&tenantId={}#{}",
        parts.app.website_origin(),
        parts.app.website_base_path(),
        challenge.id,
        challenge.tenant,
        secret.expose()
    ))
}

/// Signs in by an answer that was right.
async fn enter(
    parts: &Parts,
    caller: &Caller,
    challenge: &Challenge,
    channel: Channel,
    factor: FactorId,
    account: Option<Account>,
    attempt: SignInTry,
) -> Result<FirstOutcome, Fault> {
    let destination = &challenge.destination;
    if channel == Channel::Sms {
        let answered = account::limits(parts).verified(&country_of(destination));
        limit::ask(&*parts.store, &[answered], parts.now()).await?;
    }
    // Whatever else was sent to this contact is void now.
    let purpose = passwordless::first_factor_purpose(channel);
    parts
        .store
        .drop_challenges_to(&challenge.tenant, &purpose, destination)
        .await?;
    let opened = contact::open(parts, caller, channel, destination, factor, account).await?;
    match &opened {
        Opened::In(..) => attempt.succeeded(parts).await?,
        Opened::Restart | Opened::NotAllowed => attempt.failed(parts, None, "not_allowed").await?,
    }
    Ok(opened.into())
}

impl From<Opened> for FirstOutcome {
    fn from(opened: Opened) -> Self {
        match opened {
            Opened::In(signed_in, created) => Self::SignedIn { signed_in, created },
            Opened::Restart => Self::Restart,
            Opened::NotAllowed => Self::NotAllowed,
        }
    }
}

fn note(
    parts: &Parts,
    caller: &Caller,
    channel: Channel,
    kind: EventKind,
    outcome: Outcome,
    reason: &'static str,
) {
    let event = parts
        .event(kind, outcome)
        .with_factor(&passwordless::factor_of(channel, false));
    parts.record(&event.because(reason).from_network(&caller.origin.network));
}
