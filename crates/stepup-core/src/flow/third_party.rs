//! Sign-in and sign-up by a provider of identities.
//!
//! Out: a challenge is stored, and the browser is sent away with a ticket. Back: the challenge is spent by one conditional
//! write, then the provider is asked who it is, and only then is anything of an account read. No transaction waits for a
//! provider (R-OAU-1).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::contact::EmailAddress;
use crate::delivery::Channel;
use crate::error::{Fault, StoreError};
use crate::event::{EventKind, Outcome};
use crate::factor::third_party::{Address, Begun, Held, ID, ThirdPartyFactor, Ticket, Use};
use crate::flow::code::{self, CodeRefusal};
use crate::flow::identity::{self, Somebody};
use crate::flow::session::Checked;
use crate::flow::{Caller, account, key};
use crate::id::{ChallengeId, SessionHandle, TenantId, UserId};
use crate::limit::{self, Leave};
use crate::parts::Parts;
use crate::provider::{Authorize, Identity, Proof, ProviderError};
use crate::record::challenge::{Answer, Binding, Challenge, SLOTS, Slot};
use crate::record::user::ThirdParty;
use crate::secret::{Mac, Secret};
use crate::session::access::AccessClaims;
use crate::time::Timestamp;

pub use crate::flow::identity::{Bar, ProviderOutcome, ProviderRefusal};

/// Where the browser is sent, and what it keeps meanwhile.
#[derive(Debug)]
pub struct Departure {
    /// The address, without a `state`.
    pub url: String,
    /// What it has to come back with.
    pub ticket: Ticket,
}

/// What a client asks a provider for.
#[derive(Clone, Copy, Debug)]
pub struct AskProvider<'a> {
    /// The provider's id.
    pub provider: &'a str,
    /// Which of its clients; none for the default.
    pub client_type: Option<&'a str>,
    /// Where the browser is to come back to.
    pub redirect_uri: &'a str,
    /// What for.
    pub intent: Intent<'a>,
}

/// What the browser is sent to a provider for.
#[derive(Clone, Copy, Debug)]
pub enum Intent<'a> {
    /// To sign in, or up.
    SignIn,
    /// To add the provider's account to the user of this session, and to no other.
    Link(&'a SessionHandle),
    /// The client says it when it is back, as the protocol has it: to sign in; or to add the account to the user of this session,
    /// which it had when it asked.
    Either(&'a SessionHandle),
}

/// What a client brings from a provider.
#[derive(Clone, Copy, Debug)]
pub struct FromProvider<'a> {
    /// The provider's id.
    pub provider: &'a str,
    /// Which of its clients; none for the default.
    pub client_type: Option<&'a str>,
    /// What it brings.
    pub brought: Brought<'a>,
}

/// See [`FromProvider`].
#[derive(Clone, Copy, Debug)]
pub enum Brought<'a> {
    /// The browser came back.
    Return {
        /// What it kept; none if that is not all there.
        ticket: Option<&'a Ticket>,
        /// Where it came back to.
        redirect_uri: &'a str,
        /// The code; none if the provider, or the user there, refused.
        code: Option<&'a Secret<String>>,
    },
    /// Tokens that an application on a device has.
    Tokens {
        /// The id token.
        id_token: Option<&'a Secret<String>>,
        /// The access token.
        access_token: Option<&'a Secret<String>>,
    },
}

/// Sends the browser to a provider.
pub(crate) async fn begin(
    parts: &Parts,
    caller: &Caller,
    ask: AskProvider<'_>,
) -> Result<Result<Departure, ProviderRefusal>, Fault> {
    let (factor, held) = match offered(parts, &caller.tenant, ask.provider, ask.client_type) {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    if !factor.admits(&parts.app, ask.provider, ask.redirect_uri) {
        note(parts, caller, EventKind::ProviderRefused, "foreign_redirect");
        return Ok(Err(ProviderRefusal::ForeignRedirect));
    }
    let now = parts.now();
    let asked = account::limits(parts).provider_asked(&caller.origin.network);
    if let Leave::Refused { retry_after, .. } = limit::ask(&*parts.store, &[asked], now).await? {
        account::note_throttled(parts, caller, "provider");
        return Ok(Err(ProviderRefusal::Throttled(retry_after)));
    }
    let ticket = Ticket::random(&*parts.entropy)?;
    let begun = Begun {
        tenant: &caller.tenant,
        provider: ask.provider,
        client_type: ask.client_type,
        redirect_uri: ask.redirect_uri,
    };
    let derive = |used| begun.derive(&parts.keyring, &ticket, used);
    let (derived, other) = match ask.intent {
        Intent::SignIn => (derive(Use::SignIn), None),
        Intent::Link(session) => (derive(Use::Link(session)), None),
        Intent::Either(session) => (derive(Use::SignIn), Some(derive(Use::Link(session)).mac)),
    };
    let mut authorize = Authorize::new(
        ask.redirect_uri.to_owned(),
        derived.challenge(),
        derived.nonce.clone(),
    );
    authorize.client_type = ask.client_type.map(str::to_owned);
    let url = {
        let Some(_running) = held.begin(parts.config.providers.calls) else {
            return Ok(Err(unavailable(parts, caller, "too_many_calls")));
        };
        match held.provider.authorize(&authorize).await {
            Ok(url) => url,
            Err(error) => return Ok(Err(told(parts, caller, &error))),
        }
    };
    let until = now.plus(parts.config.providers.lifetime);
    let challenge = Challenge {
        tenant: caller.tenant.clone(),
        id: ticket.challenge(),
        binding: begun.binding(&ticket),
        destination: String::new(),
        failed: 0,
        // Whoever comes back with something else than was begun has spent it.
        max_failures: 1,
        slots: slots(derived.mac, other, until),
        sends: 1,
        next_send_at: until,
        closed: false,
        created_at: now,
        ends_at: until,
    };
    parts.store.put_challenge(&challenge).await?;
    Ok(Ok(Departure { url, ticket }))
}

/// One slot for each use: whichever comes spends both.
fn slots(one: Mac, other: Option<Mac>, expires_at: Timestamp) -> [Option<Slot>; SLOTS] {
    let slot = |mac| Slot { mac, expires_at };
    let mut slots = [None; SLOTS];
    for (place, mac) in slots.iter_mut().zip([Some(one), other]) {
        *place = mac.map(slot);
    }
    slots
}

/// Signs in, or up, whom a provider vouches for.
pub(crate) async fn sign_in(
    parts: &Parts,
    caller: &Caller,
    from: FromProvider<'_>,
) -> Result<ProviderOutcome, Fault> {
    let (factor, somebody) = match identify(parts, caller, Use::SignIn, from).await? {
        Ok(found) => found,
        Err(refusal) => return Ok(ProviderOutcome::Refused(refusal)),
    };
    let outcome = identity::enter(parts, caller, factor, &somebody).await?;
    if let ProviderOutcome::NotAllowed(bar) = &outcome {
        note(parts, caller, EventKind::SignIn, bar.word());
    }
    Ok(outcome)
}

/// Adds whom a provider vouches for to the user of a live session, which has to be complete, and its strongest factor new:
/// it is one more key to the account (threats A-MFA-32, A-STU-11). Without a second factor it needs the leave that the first of
/// them does: a stolen password would add a key for good by either (threat A-MFA-41).
pub(crate) async fn link(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
    from: FromProvider<'_>,
) -> Result<Result<ProviderOutcome, CodeRefusal>, Fault> {
    // A session acts in its own tenant, whatever the path says.
    let caller = &Caller {
        tenant: access.tenant_id().clone(),
        ..caller.clone()
    };
    // Before leave is asked for, which nobody needs who can add nothing by it.
    if let Err(refusal) = possible(parts, caller, from) {
        return Ok(Ok(ProviderOutcome::Refused(refusal)));
    }
    // Before the provider is asked, so that nothing is spent in vain.
    if let Err(refusal) = admitted(parts, caller, access).await? {
        return Ok(Err(refusal));
    }
    let used = Use::Link(access.handle());
    let (factor, somebody) = match identify(parts, caller, used, from).await? {
        Ok(found) => found,
        Err(refusal) => return Ok(Ok(ProviderOutcome::Refused(refusal))),
    };
    if somebody.email.is_none() && factor.address == Address::Required {
        return Ok(Ok(ProviderOutcome::NoEmail));
    }
    // And after it: it took its time.
    let checked = match admitted(parts, caller, access).await? {
        Ok(checked) => checked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let outcome = identity::add(parts, caller, access, checked, &somebody).await?;
    if let ProviderOutcome::NotAllowed(bar) = &outcome {
        note(parts, caller, EventKind::IdentityLinked, bar.word());
    }
    Ok(Ok(outcome))
}

/// The session behind `access`, if it may add a way to sign in.
async fn admitted(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
) -> Result<Result<Checked, CodeRefusal>, Fault> {
    let checked = match code::session_for(parts, access, None).await? {
        Ok(checked) => checked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    Ok(key::admitted(parts, caller, &checked, Channel::Email)
        .await?
        .map(|()| checked))
}

fn offered<'p>(
    parts: &'p Parts,
    tenant: &TenantId,
    provider: &str,
    client_type: Option<&str>,
) -> Result<(&'p ThirdPartyFactor, &'p Held), ProviderRefusal> {
    let factor = parts.third_party.as_ref().ok_or(ProviderRefusal::NotOffered)?;
    if !parts.opens(tenant, &ID) {
        return Err(ProviderRefusal::NotOffered);
    }
    let held = parts
        .providers_in(tenant)
        .find(|held| held.provider.id() == provider);
    let held = held.ok_or(ProviderRefusal::UnknownProvider)?;
    let clients = held.provider.client_types();
    if client_type.is_some_and(|named| !clients.iter().any(|client| client == named)) {
        return Err(ProviderRefusal::UnknownClient);
    }
    Ok((factor, held))
}

/// Whether the provider is on offer, and browsers may be sent back from it to where this one says it is.
fn possible<'p>(
    parts: &'p Parts,
    caller: &Caller,
    from: FromProvider<'_>,
) -> Result<(&'p ThirdPartyFactor, &'p Held), ProviderRefusal> {
    let (factor, held) = offered(parts, &caller.tenant, from.provider, from.client_type)?;
    if let Brought::Return { redirect_uri, .. } = from.brought
        && !factor.admits(&parts.app, from.provider, redirect_uri)
    {
        note(parts, caller, EventKind::ProviderRefused, "foreign_redirect");
        return Err(ProviderRefusal::ForeignRedirect);
    }
    Ok((factor, held))
}

/// Asks the provider. In this order: the throttle, the challenge, and then the call.
async fn identify<'p>(
    parts: &'p Parts,
    caller: &Caller,
    used: Use<'_>,
    from: FromProvider<'_>,
) -> Result<Result<(&'p ThirdPartyFactor, Somebody), ProviderRefusal>, Fault> {
    let (factor, held) = match offered(parts, &caller.tenant, from.provider, from.client_type) {
        Ok(found) => found,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let asks = account::limits(parts).sign_in_by_provider(&caller.origin.network);
    if let Leave::Refused { retry_after, .. } = limit::ask(&*parts.store, &asks, parts.now()).await? {
        account::note_throttled(parts, caller, "sign_in");
        return Ok(Err(ProviderRefusal::Throttled(retry_after)));
    }
    let proof = match spend(parts, caller, (factor, held), used, from).await? {
        Ok(proof) => proof,
        Err(refusal) => return failed(parts, caller, refusal).await.map(Err),
    };
    let identity = {
        let Some(_running) = held.begin(parts.config.providers.calls) else {
            return Ok(Err(unavailable(parts, caller, "too_many_calls")));
        };
        held.provider.identify(&proof).await
    };
    let read = identity.and_then(|identity| read(held, identity));
    match read {
        Ok(_) if !is_first_use(parts, &proof).await? => {
            note(parts, caller, EventKind::ProviderRefused, "token_used_before");
            failed(parts, caller, ProviderRefusal::Refused).await.map(Err)
        }
        Ok(somebody) => Ok(Ok((factor, somebody))),
        Err(error) => match told(parts, caller, &error) {
            refusal @ ProviderRefusal::Refused => failed(parts, caller, refusal).await.map(Err),
            refusal => Ok(Err(refusal)),
        },
    }
}

/// Spends what was begun, and makes of it what the provider is asked with.
async fn spend(
    parts: &Parts,
    caller: &Caller,
    (factor, held): (&ThirdPartyFactor, &Held),
    used: Use<'_>,
    from: FromProvider<'_>,
) -> Result<Result<Proof, ProviderRefusal>, Fault> {
    let client_type = from.client_type.map(str::to_owned);
    let (ticket, redirect_uri, code) = match from.brought {
        Brought::Tokens {
            id_token,
            access_token,
        } => {
            if !held.provider.takes_tokens(from.client_type) {
                note(parts, caller, EventKind::ProviderRefused, "code_only");
                return Ok(Err(ProviderRefusal::CodeOnly));
            }
            return Ok(Ok(Proof::Tokens {
                client_type,
                id_token: id_token.cloned(),
                access_token: access_token.cloned(),
            }));
        }
        Brought::Return {
            ticket,
            redirect_uri,
            code,
        } => (ticket, redirect_uri, code),
    };
    if !factor.admits(&parts.app, from.provider, redirect_uri) {
        note(parts, caller, EventKind::ProviderRefused, "foreign_redirect");
        return Ok(Err(ProviderRefusal::ForeignRedirect));
    }
    let Some(ticket) = ticket else {
        note(parts, caller, EventKind::ProviderRefused, "no_ticket");
        return Ok(Err(ProviderRefusal::NotBegun));
    };
    let begun = Begun {
        tenant: &caller.tenant,
        provider: from.provider,
        client_type: from.client_type,
        redirect_uri,
    };
    let id = ticket.challenge();
    let not_begun = |reason| {
        note(parts, caller, EventKind::ProviderRefused, reason);
        Ok(Err(ProviderRefusal::NotBegun))
    };
    let Some(challenge) = parts.store.challenge(&caller.tenant, &id).await? else {
        return not_begun("not_begun");
    };
    let all = begun.derive_all(&parts.keyring, ticket, used);
    let macs: Vec<_> = all.iter().map(|derived| derived.mac).collect();
    let answer = parts
        .store
        .answer(&caller.tenant, &id, &begun.binding(ticket), &macs, parts.now())
        .await?;
    match answer {
        Answer::Right => {}
        Answer::Gone => return not_begun("spent"),
        Answer::Wrong { .. } => return not_begun("begun_otherwise"),
        Answer::Expired { .. } => return not_begun("expired"),
    }
    // Keys rotate: the verifier is of the root that the sign-in began under.
    let stored = |mac: Mac| challenge.slots.iter().flatten().any(|slot| slot.mac == mac);
    let derived = all.into_iter().find(|derived| stored(derived.mac));
    let derived = derived.ok_or(Fault::Key("a challenge that no root made"))?;
    let Some(code) = code else {
        note(parts, caller, EventKind::ProviderRefused, "refused_there");
        return Ok(Err(ProviderRefusal::Refused));
    };
    Ok(Ok(Proof::Code {
        client_type,
        code: code.clone(),
        redirect_uri: redirect_uri.to_owned(),
        verifier: derived.verifier,
        nonce: derived.nonce,
    }))
}

/// How long a used id token is remembered: longer than any is believed ([`Provider::takes_tokens`](crate::provider::Provider::takes_tokens)).
const REMEMBERED: Duration = Duration::from_secs(2 * 60 * 60);

/// Whether an id token that was believed is presented for the first time. A row under its digest is what decides: of many
/// callers one can write it. Codes are spent at the provider, and access tokens are its own to end.
async fn is_first_use(parts: &Parts, proof: &Proof) -> Result<bool, Fault> {
    let Proof::Tokens {
        id_token: Some(token),
        ..
    } = proof
    else {
        return Ok(true);
    };
    // What is signed. The signature is none of it: some algorithms allow several for one text.
    let token = token.expose();
    let signed = token
        .rsplit_once('.')
        .map_or(token.as_str(), |(signed, _)| signed);
    let id = ChallengeId::new(URL_SAFE_NO_PAD.encode(Sha256::digest(signed)));
    let now = parts.now();
    let until = now.plus(REMEMBERED);
    let row = Challenge {
        // One for all of them: in another tenant it is the same token.
        tenant: TenantId::public(),
        id,
        binding: Binding {
            purpose: "oauth:token".to_owned(),
            user: UserId::from(""),
            // Never the same, or it would take the place of the first one.
            session: format!("none:{}", parts.uuid()?).into(),
        },
        destination: String::new(),
        failed: 0,
        max_failures: 1,
        slots: [None; SLOTS],
        sends: 0,
        next_send_at: until,
        // There is nothing to answer.
        closed: true,
        created_at: now,
        ends_at: until,
    };
    match parts.store.put_challenge(&row).await {
        Ok(()) => Ok(true),
        Err(StoreError::Conflict(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The longest issuer and subject that are taken (OpenID Connect Core §2 has 255 characters for a subject).
const MAX_NAME: usize = 255;

/// Reads what a provider says. A provider whose subjects are empty, or have no end, tells nobody apart.
fn read(held: &Held, identity: Identity) -> Result<Somebody, ProviderError> {
    let fits = |name: &str| (1..=MAX_NAME).contains(&name.len()) && !name.chars().any(char::is_control);
    if !fits(&identity.issuer) || !fits(&identity.subject) {
        return Err(ProviderError::Untrusted("no_subject"));
    }
    // What is no address is none.
    let email = identity.email.and_then(|email| {
        let address = EmailAddress::parse(&email.address).ok()?;
        Some((address.as_str().to_owned(), email.verified))
    });
    Ok(Somebody {
        who: ThirdParty {
            provider: held.provider.id().to_owned(),
            issuer: identity.issuer,
            subject: identity.subject,
        },
        provider: held.provider.name().to_owned(),
        email,
    })
}

/// What a caller is told of a provider's error, and the log besides.
fn told(parts: &Parts, caller: &Caller, error: &ProviderError) -> ProviderRefusal {
    match error {
        ProviderError::UnknownClient => ProviderRefusal::UnknownClient,
        ProviderError::Unsupported => {
            note(parts, caller, EventKind::ProviderRefused, "code_only");
            ProviderRefusal::CodeOnly
        }
        ProviderError::Refused(reason) | ProviderError::Untrusted(reason) => {
            note(parts, caller, EventKind::ProviderRefused, reason);
            ProviderRefusal::Refused
        }
        ProviderError::Unavailable(source) => {
            tracing::warn!(target: "stepup", error = %source, "a provider of identities does not answer");
            unavailable(parts, caller, "no_answer")
        }
    }
}

fn unavailable(parts: &Parts, caller: &Caller, reason: &'static str) -> ProviderRefusal {
    note(parts, caller, EventKind::ProviderFailed, reason);
    ProviderRefusal::Unavailable
}

/// Counts a failure to the network, as one of a password is.
async fn failed(parts: &Parts, caller: &Caller, refusal: ProviderRefusal) -> Result<ProviderRefusal, Fault> {
    let asks = account::limits(parts).sign_in_failed(&caller.origin.network);
    limit::ask(&*parts.store, &asks, parts.now()).await?;
    Ok(refusal)
}

fn note(parts: &Parts, caller: &Caller, kind: EventKind, reason: &'static str) {
    let event = parts.event(kind, Outcome::Refused).with_factor(&ID);
    parts.record(&event.because(reason).from_network(&caller.origin.network));
}
