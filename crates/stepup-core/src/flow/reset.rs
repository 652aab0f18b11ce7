//! A new password by a link in the mailbox: asked for, and set.
//!
//! Whoever asks is a stranger: the answer is given before anything is known of the address, and is the same for every one
//! (R-ENU-1). The link sets a password and signs nobody in; a second factor is still due at the next sign-in (R-MFA-11).

use std::sync::Arc;

use crate::caller::Caller;
use crate::contact::EmailAddress;
use crate::delivery::{Channel, Content, Deliver, NoticeKind};
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::factor::password;
use crate::flow::dispatch::carry_now;
use crate::flow::link::{self, LinkKind};
use crate::flow::update::{self, UpdateRefusal};
use crate::flow::{account, session, upkeep};
use crate::hook::{Outgoing, OutgoingContent};
use crate::id::FactorId;
use crate::limit::{self, Leave};
use crate::parts::Parts;
use crate::password::{Password, PasswordFault};
use crate::record::credential::{Credential, CredentialKind};
use crate::record::user::{Identifier, IdentifierKind, Method, User, UserState};
use crate::storage::{Beside, UpdateOutcome, UserUpdate};

/// What became of the wish for a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetAsked {
    /// If the address may be written to, a link is on its way. Nobody is told whether it may.
    Accepted,
    /// The address is none.
    Malformed,
    /// Too much is on its way already, whatever the address.
    Busy,
    /// Passwords are not reset here.
    NotOffered,
}

/// What became of a new password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetOutcome {
    /// It is set. Whatever was signed in is signed in no more.
    Done,
    /// The token is none, or used, too old, or from before another change of the account. The password was not looked at.
    InvalidToken,
    /// The password is not accepted. The token works still.
    Password(PasswordFault),
}

/// What carries the links; none if nothing does.
pub(crate) fn carrier(parts: &Parts) -> Option<&Arc<dyn Deliver>> {
    parts
        .notices
        .as_ref()
        .filter(|deliver| deliver.carries(Channel::Email))
}

/// Takes the wish for a link. All that depends on the address is done after the answer (threat A-ENU-03).
pub(crate) async fn ask(parts: &Arc<Parts>, caller: &Caller, email: &str) -> Result<ResetAsked, Fault> {
    if carrier(parts).is_none() || parts.password_in(&caller.tenant).is_none() {
        return Ok(ResetAsked::NotOffered);
    }
    let Ok(address) = EmailAddress::parse(email) else {
        return Ok(ResetAsked::Malformed);
    };
    let calls = [account::limits(parts).reset_calls(&caller.origin.network)];
    if let Leave::Refused { .. } = limit::ask(&*parts.store, &calls, parts.now()).await? {
        account::note_throttled(parts, caller, "reset");
        // The same answer all the same: a mailbox that is flooded is nobody's to know of (threat A-RST-05).
        return Ok(ResetAsked::Accepted);
    }
    let (later, caller) = (parts.clone(), caller.clone());
    let queued = parts.background.spawn(Box::pin(async move {
        if let Err(fault) = send(&later, &caller, &address).await {
            tracing::warn!(target: "stepup", error = %fault, "a link for a new password was not sent");
            later.record(&later.event(EventKind::Fault, Outcome::Noted).because("reset"));
        }
    }));
    Ok(match queued {
        Ok(()) => ResetAsked::Accepted,
        Err(_) => ResetAsked::Busy,
    })
}

/// Makes and sends the link, if the address may have one.
async fn send(parts: &Parts, caller: &Caller, address: &EmailAddress) -> Result<(), Fault> {
    let identifier = Identifier {
        kind: IdentifierKind::Email,
        value: address.as_str().to_owned(),
    };
    let found = parts
        .store
        .user_by_identifier(&caller.tenant, &identifier)
        .await?;
    let note = |outcome, reason, user: Option<&User>| {
        let event = parts.event(EventKind::ResetAsked, outcome).because(reason);
        let event = event.from_network(&caller.origin.network);
        parts.record(&match user {
            Some(user) => event.of(&user.tenant, &user.id),
            None => event,
        });
    };
    let (Some(deliver), Some(account)) = (carrier(parts), found) else {
        note(Outcome::Refused, "unknown", None);
        return Ok(());
    };
    let user = &account.user;
    if let Err(reason) = may_reset(user, account.password.as_ref(), address.as_str()) {
        note(Outcome::Refused, reason, Some(user));
        return Ok(());
    }
    let limits = account::limits(parts);
    // Strangers must not use up what its owner needs (R-RL-4).
    let network = &caller.origin.network;
    let asks = match account::is_at_home(parts, user, network).await? {
        true => limits.reset_at_home(&user.tenant, &user.id, address.as_str()),
        false => limits.reset(network, &user.tenant, address.as_str()),
    };
    if let Leave::Refused { .. } = limit::ask(&*parts.store, &asks, parts.now()).await? {
        account::note_throttled(parts, caller, "reset_address");
        return Ok(());
    }
    let message = Outgoing {
        channel: Channel::Email,
        to: address.as_str(),
        content: OutgoingContent::Reset,
        tenant: &user.tenant,
        user: Some(&user.id),
    };
    if let Err(fault) = parts.hooks.on_delivery(caller, &message).await {
        note(Outcome::Refused, "hook", Some(user));
        return match fault {
            Fault::Vetoed(_) | Fault::NeedsSession => Ok(()),
            fault => Err(fault),
        };
    }
    let lifetime = parts.config.links.reset;
    let link = link::make(parts, LinkKind::Reset, user, address.as_str(), lifetime)?;
    parts.store.put_challenge(&link.challenge).await?;
    let url = link::url(parts, LinkKind::Reset, &user.tenant, &link.token);
    note(Outcome::Granted, "sent", Some(user));
    let about = parts.event(EventKind::DeliverySent, Outcome::Noted);
    let about = about.of(&user.tenant, &user.id).with_factor(&password::ID);
    let content = Content::Reset { url, lifetime };
    let message = upkeep::message(parts, Channel::Email, &link.challenge, content, caller.language);
    // Here and not by another job: whoever drains the background waits for this one. What became of it is told by events.
    let _ = carry_now(parts, &**deliver, &message, about).await;
    Ok(())
}

/// Whether a link to `address` may set the password of `user`; the reason if not. Asked when it is sent, and when it is used.
///
/// The address has to be the one that signs in with the password, and verified. One that nobody verified is good only for a
/// user who signs in by nothing else: then the mailbox is all that the account ever had, and who reads it gains no other
/// way in. With another way beside it, it may be a stranger's entry into somebody's account (threat A-RST-07).
///
/// A user who was imported without a hash has an address to sign in by, and no `password` yet. The link sets the first one
/// if the address is verified and nothing else signs in. Who signs in by a provider or by codes gets no password by mail: it
/// would be a way in that the account did not have.
fn may_reset(user: &User, password: Option<&Credential>, address: &str) -> Result<(), &'static str> {
    if user.state != UserState::Live {
        return Err("disabled");
    }
    let own = user.methods.iter().find(|method| is_own(method, address));
    let is_alone = user.methods.len() == 1;
    match (own, password) {
        (Some(own), Some(_)) if own.verified || is_alone => Ok(()),
        (Some(own), None) if own.verified && is_alone => Ok(()),
        (Some(own), _) if !own.verified => Err("unverified"),
        (Some(_) | None, _) => Err("no_password"),
    }
}

/// Whether `address` signs in with a password by `method`.
fn is_own(method: &Method, address: &str) -> bool {
    method.factor == password::ID && method.email.as_deref() == Some(address)
}

/// Sets a new password. In this order: the token is looked up, the password judged and hashed, the token spent, the account
/// changed. A password that is refused costs no token, and without a token none is judged (threat A-RST-08).
pub(crate) async fn complete(
    parts: &Parts,
    caller: &Caller,
    token: &str,
    typed: Result<Password, PasswordFault>,
) -> Result<ResetOutcome, Fault> {
    let done = set(parts, caller, token, typed).await?;
    if let Err((outcome, reason, user)) = done {
        let event = parts
            .event(EventKind::ResetDone, Outcome::Refused)
            .because(reason);
        let event = event.from_network(&caller.origin.network);
        parts.record(&match user {
            Some(user) => event.of(&user.tenant, &user.id),
            None => event,
        });
        return Ok(outcome);
    }
    Ok(ResetOutcome::Done)
}

/// Why nothing was set.
type Refused = (ResetOutcome, &'static str, Option<Box<User>>);

async fn set(
    parts: &Parts,
    caller: &Caller,
    token: &str,
    typed: Result<Password, PasswordFault>,
) -> Result<Result<(), Refused>, Fault> {
    let invalid = |reason, user| Ok(Err((ResetOutcome::InvalidToken, reason, user)));
    let Some(link) = link::find(parts, LinkKind::Reset, &caller.tenant, token).await? else {
        return invalid("no_such_token", None);
    };
    let address = link.challenge.destination.clone();
    let found = parts
        .store
        .user(&caller.tenant, &link.challenge.binding.user)
        .await?;
    let Some(user) = found.filter(|user| link.is_of(LinkKind::Reset, user)) else {
        return invalid("old_token", None);
    };
    let passwords = parts
        .store
        .credentials(&user.tenant, &user.id, CredentialKind::Password)
        .await?;
    if let Err(reason) = may_reset(&user, passwords.first(), &address) {
        return invalid(reason, Some(Box::new(user)));
    }
    // Whoever reads the mailbox has proved it.
    let methods: Vec<Method> = user
        .methods
        .iter()
        .map(|method| proved(method, &address))
        .collect();
    let typed = match typed {
        Ok(typed) => typed,
        Err(fault) => {
            return Ok(Err((
                ResetOutcome::Password(fault),
                "password",
                Some(Box::new(user)),
            )));
        }
    };
    let credential = match update::password(parts, &user, &methods, &typed).await? {
        Ok(credential) => credential,
        Err(UpdateRefusal::Password(fault)) => {
            return Ok(Err((
                ResetOutcome::Password(fault),
                "password",
                Some(Box::new(user)),
            )));
        }
        Err(_) => return invalid("not_allowed", Some(Box::new(user))),
    };
    drop(typed);
    if !link.spend(parts).await? {
        return invalid("spent", Some(Box::new(user)));
    }
    let kind = NoticeKind::PasswordChanged { at: parts.now() };
    let work = UserUpdate {
        tenant: user.tenant.clone(),
        user: user.id.clone(),
        revision: user.revision,
        identifiers: methods.iter().flat_map(update::identifiers).collect(),
        methods,
        password: Some(credential),
        contacts: Vec::new(),
        notices: upkeep::notices(parts, &user, &kind, None, caller.language).await?,
        keep: None,
        beside: Beside::default(),
    };
    let stored = parts.store.update_user(&work);
    match session::ending(parts, &user.tenant, &user.id, stored).await? {
        UpdateOutcome::Done(user) => {
            update::updated(parts, &user, &[], true, None).await?;
            forgive(parts, caller, &user).await?;
            let event = parts.event(EventKind::ResetDone, Outcome::Granted);
            parts.record(
                &event
                    .of(&user.tenant, &user.id)
                    .from_network(&caller.origin.network),
            );
            Ok(Ok(()))
        }
        // Another change won, such as a reset by another token: this one was for the account as it was.
        UpdateOutcome::Outrun
        | UpdateOutcome::Gone
        | UpdateOutcome::Unpaid(_)
        | UpdateOutcome::IdentifierTaken(_)
        | UpdateOutcome::Kept(_) => invalid("changed", Some(Box::new(user))),
    }
}

/// What a completed reset starts anew: the wrong passwords of this network, the budgets of codes to the account's own
/// contacts, and a few tries at a second factor that has none left. What was guessed at the second factor stays counted.
async fn forgive(parts: &Parts, caller: &Caller, user: &User) -> Result<(), Fault> {
    let limits = account::limits(parts);
    let counted = format!("user:{}", user.id);
    let mut keys = limits.sign_in_keys(&caller.origin.network, &[user.tenant.as_str(), &counted]);
    let contacts = user
        .summary
        .enrolled
        .iter()
        .filter_map(|own| own.contact.as_deref());
    keys.extend(limits.code_keys(&user.tenant, &user.id, contacts));
    parts.store.clear(&keys).await?;
    let factors: Vec<FactorId> = user
        .summary
        .enrolled
        .iter()
        .map(|own| own.factor.clone())
        .collect();
    limit::give_back(
        &*parts.store,
        &limits,
        (&user.tenant, &user.id),
        &factors,
        parts.now(),
    )
    .await
}

fn proved(method: &Method, address: &str) -> Method {
    Method {
        verified: method.verified || is_own(method, address),
        ..method.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TenantId;
    use crate::time::Timestamp;

    const ADDRESS: &str = "ann@example.test";

    fn method(factor: FactorId, email: &str, verified: bool) -> Method {
        Method {
            id: factor.as_str().into(),
            factor,
            email: Some(email.to_owned()),
            phone: None,
            third_party: None,
            verified,
            joined_at: Timestamp::from_ms(0),
        }
    }

    fn stored() -> Credential {
        Credential {
            tenant: TenantId::public(),
            user: "ann".into(),
            kind: CredentialKind::Password,
            id: "password".into(),
            public: serde_json::json!({}),
            sealed: None,
            version: 1,
            created_at: Timestamp::from_ms(0),
        }
    }

    fn ann(methods: Vec<Method>) -> User {
        User {
            methods,
            ..User::bare(&TenantId::public(), &"ann".into(), Timestamp::from_ms(0))
        }
    }

    fn judged(methods: Vec<Method>) -> Result<(), &'static str> {
        may_reset(&ann(methods), Some(&stored()), ADDRESS)
    }

    #[test]
    fn a_first_password_is_set_by_a_verified_address_that_signs_in_and_by_no_other() {
        let judged = |methods| may_reset(&ann(methods), None, ADDRESS);
        let own = |verified| method(password::ID, ADDRESS, verified);
        let provider = || method(FactorId::new("thirdparty"), ADDRESS, true);
        assert_eq!(judged(vec![own(true)]), Ok(()));
        assert_eq!(judged(vec![own(true), provider()]), Err("no_password"));
        assert_eq!(judged(vec![own(false)]), Err("unverified"));
        assert_eq!(judged(vec![own(false), provider()]), Err("unverified"));
        assert_eq!(judged(vec![provider()]), Err("no_password"));
        assert_eq!(
            judged(vec![method(FactorId::OTP_EMAIL, ADDRESS, true)]),
            Err("no_password")
        );
    }

    #[test]
    fn an_unverified_address_is_good_only_where_it_is_the_only_way_in() {
        let own = |verified| method(password::ID, ADDRESS, verified);
        let other = || method(FactorId::OTP_EMAIL, "other@example.test", true);
        assert_eq!(judged(vec![own(true)]), Ok(()));
        assert_eq!(judged(vec![own(false)]), Ok(()));
        assert_eq!(judged(vec![own(true), other()]), Ok(()));
        assert_eq!(judged(vec![other(), own(false)]), Err("unverified"));
    }

    #[test]
    fn the_address_has_to_be_that_of_the_password() {
        let coded = method(FactorId::OTP_EMAIL, ADDRESS, true);
        let elsewhere = method(password::ID, "other@example.test", true);
        assert_eq!(judged(vec![coded, elsewhere]), Err("no_password"));
        assert_eq!(judged(Vec::new()), Err("no_password"));
    }

    #[test]
    fn who_is_disabled_or_deleted_gets_none() {
        for state in [UserState::Disabled, UserState::Deleted] {
            let user = User {
                state,
                methods: vec![method(password::ID, ADDRESS, true)],
                ..User::bare(&TenantId::public(), &"ann".into(), Timestamp::from_ms(0))
            };
            assert_eq!(may_reset(&user, Some(&stored()), ADDRESS), Err("disabled"));
        }
    }
}
