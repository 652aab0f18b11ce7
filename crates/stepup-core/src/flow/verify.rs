//! Verification of the address behind a session, by a link to its mailbox.
//!
//! The link proves the mailbox and nothing else: it signs nobody in, completes no factor, and leaves whatever session its
//! browser has as it was (threats A-MFA-21, A-CSR-05). It belongs to one user, address and credential epoch.

use std::time::Duration;

use crate::delivery::{Channel, Content};
use crate::email;
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::flow::dispatch::{Parcel, hand_over};
use crate::flow::link::{self, LinkKind};
use crate::flow::session::{self, SessionEnded};
use crate::flow::{Caller, IssuedTokens, account, mailbox, reset, upkeep};
use crate::hook::{Outgoing, OutgoingContent};
use crate::limit::{self, Leave};
use crate::parts::Parts;
use crate::record::user::{Method, User};
use crate::session::access::AccessClaims;

/// What became of the wish for a link. Where the access token said otherwise, there is a new one that says whether the
/// address is verified.
#[derive(Debug)]
pub enum VerificationAsked {
    /// It is on its way.
    Sent(Option<Box<IssuedTokens>>),
    /// There is nothing to verify.
    AlreadyVerified(Option<Box<IssuedTokens>>),
    /// The session is gone.
    Ended,
    /// Too often.
    Throttled(Duration),
    /// Too much to do.
    Busy,
}

/// What became of a link.
#[derive(Debug)]
pub enum VerifyOutcome {
    /// The address is verified. If the session of the call is the user's own, and said otherwise, there is a new access
    /// token for it.
    Verified(Option<Box<IssuedTokens>>),
    /// The token is none, or used, too old, or of an address that the user has no more.
    InvalidToken,
}

/// What the user's row says of the address behind a session.
#[derive(Debug)]
pub enum EmailStatus {
    /// Whether it is verified, and a new access token if the old one said otherwise.
    Known(bool, Option<Box<IssuedTokens>>),
    /// The session is gone.
    Ended,
}

/// Sends a link to the address behind the session of `access`.
pub(crate) async fn ask(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
) -> Result<VerificationAsked, Fault> {
    let look = match session::check(parts, access, None).await? {
        Ok(checked) => checked.look,
        Err(SessionEnded) => return Ok(VerificationAsked::Ended),
    };
    let own = email::method_of(&look.user, &look.session.method);
    let address = own
        .filter(|method| !method.verified)
        .and_then(|m| m.email.clone());
    let Some(address) = address else {
        let tokens = mailbox::told(parts, access, look).await?;
        return Ok(VerificationAsked::AlreadyVerified(tokens.map(Box::new)));
    };
    let sent = send(parts, caller, &look.user, &address).await?;
    let (outcome, reason) = match sent {
        Sent::Yes => (Outcome::Granted, "sent"),
        Sent::Throttled(_) => (Outcome::Refused, "budget"),
        Sent::Busy => (Outcome::Refused, "queue_full"),
    };
    let event = parts.event(EventKind::VerificationAsked, outcome).because(reason);
    let event = event.of(&look.user.tenant, &look.user.id);
    parts.record(
        &event
            .in_session(&look.session.handle)
            .from_network(&caller.origin.network),
    );
    Ok(match sent {
        Sent::Yes => {
            let tokens = mailbox::told(parts, access, look).await?;
            VerificationAsked::Sent(tokens.map(Box::new))
        }
        Sent::Throttled(after) => VerificationAsked::Throttled(after),
        Sent::Busy => VerificationAsked::Busy,
    })
}

/// Whether a link is on its way.
enum Sent {
    Yes,
    Throttled(Duration),
    Busy,
}

/// Makes a link and hands it to the background. Its budgets are charged before (R-SMS-1).
async fn send(parts: &Parts, caller: &Caller, user: &User, address: &str) -> Result<Sent, Fault> {
    let Some(deliver) = reset::carrier(parts).cloned() else {
        return Err(Fault::Part("nothing carries e-mail".into()));
    };
    let limits = account::limits(parts);
    let asks = limits.verification(&user.tenant, &user.id, address, &caller.origin.network);
    if let Leave::Refused { retry_after, .. } = limit::ask(&*parts.store, &asks, parts.now()).await? {
        account::note_throttled(parts, caller, "verification");
        return Ok(Sent::Throttled(retry_after));
    }
    let message = Outgoing {
        channel: Channel::Email,
        to: address,
        content: OutgoingContent::Verify,
        tenant: &user.tenant,
        user: Some(&user.id),
    };
    parts.hooks.on_delivery(caller, &message).await?;
    let lifetime = parts.config.links.verification;
    let link = link::make(parts, LinkKind::Verify, user, address, lifetime)?;
    parts.store.put_challenge(&link.challenge).await?;
    let url = link::url(parts, LinkKind::Verify, &user.tenant, &link.token);
    let about = parts.event(EventKind::DeliverySent, Outcome::Noted);
    let content = Content::Verify { url, lifetime };
    let message = upkeep::message(parts, Channel::Email, &link.challenge, content, caller.language);
    let handed = hand_over(
        parts,
        Parcel {
            deliver,
            message,
            about: about.of(&user.tenant, &user.id),
            unsent: None,
        },
    );
    Ok(handed.map_or(Sent::Busy, |()| Sent::Yes))
}

/// Spends a link. `access` is the session of the browser that opened it, if it has one: only the user's own is told.
pub(crate) async fn verify(
    parts: &Parts,
    caller: &Caller,
    token: &str,
    access: Option<&AccessClaims>,
) -> Result<VerifyOutcome, Fault> {
    let refuse = |reason, user: Option<&User>| {
        let event = parts.event(EventKind::VerificationDone, Outcome::Refused);
        let event = event.because(reason).from_network(&caller.origin.network);
        parts.record(&match user {
            Some(user) => event.of(&user.tenant, &user.id),
            None => event,
        });
        Ok(VerifyOutcome::InvalidToken)
    };
    let tenant = &caller.tenant;
    let Some(link) = link::find(parts, LinkKind::Verify, tenant, token).await? else {
        return refuse("no_such_token", None);
    };
    let (id, address) = (&link.challenge.binding.user, &link.challenge.destination);
    let found = parts.store.user(tenant, id).await?;
    let Some(user) = found.filter(|user| link.is_of(LinkKind::Verify, user)) else {
        return refuse("old_token", None);
    };
    let is_at = |method: &Method| method.email.as_ref() == Some(address);
    if !user.methods.iter().any(is_at) {
        return refuse("other_address", Some(&user));
    }
    if !link.spend(parts).await? {
        return refuse("spent", Some(&user));
    }
    if mailbox::prove(parts, tenant, id, address).await?.is_none() {
        return refuse("changed", Some(&user));
    }
    // What was sent beside it has nothing left to do.
    let purpose = LinkKind::Verify.purpose();
    for other in parts.store.challenges_to(tenant, purpose, address).await? {
        if other.binding.user == user.id {
            parts.store.drop_challenge(tenant, &other.id).await?;
        }
    }
    let own = access.filter(|access| *access.user_id() == user.id && access.tenant_id() == tenant);
    let tokens = match own {
        None => None,
        Some(access) => match session::check(parts, access, None).await? {
            Ok(checked) => mailbox::told(parts, access, checked.look).await?,
            Err(SessionEnded) => None,
        },
    };
    Ok(VerifyOutcome::Verified(tokens.map(Box::new)))
}

/// Tells what the user's row says of the address behind the session of `access`.
pub(crate) async fn status(parts: &Parts, access: &AccessClaims) -> Result<EmailStatus, Fault> {
    let look = match session::check(parts, access, None).await? {
        Ok(checked) => checked.look,
        Err(SessionEnded) => return Ok(EmailStatus::Ended),
    };
    let verified = mailbox::is_verified(&look);
    let tokens = mailbox::told(parts, access, look).await?;
    Ok(EmailStatus::Known(verified, tokens.map(Box::new)))
}
