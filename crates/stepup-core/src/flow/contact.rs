//! Contacts that sign in, and the accounts behind them.

use crate::contact::{EmailAddress, PhoneNumber};
use crate::delivery::Channel;
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::evidence::Kind;
use crate::factor::passwordless;
use crate::flow::code::General;
use crate::flow::{Caller, SignedIn, account, session};
use crate::id::{FactorId, MethodId, UserId};
use crate::parts::Parts;
use crate::record::JsonMap;
use crate::record::user::{Identifier, IdentifierKind, Method, Summary, User, UserState};
use crate::storage::{Account, AccountOutcome, NewAccount};

/// A contact that signs in, in normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Contact {
    /// A phone.
    Phone(PhoneNumber),
    /// A mailbox.
    Email(EmailAddress),
}

impl Contact {
    /// Reads a phone number.
    ///
    /// # Errors
    /// It is none.
    pub fn phone(typed: &str) -> Result<Self, General> {
        PhoneNumber::parse(typed)
            .map(Self::Phone)
            .map_err(|_| General::ContactMalformed)
    }

    /// Reads an e-mail address.
    ///
    /// # Errors
    /// It is none.
    pub fn email(typed: &str) -> Result<Self, General> {
        EmailAddress::parse(typed)
            .map(Self::Email)
            .map_err(|_| General::EmailMalformed)
    }

    /// Reads another one of its kind.
    pub(crate) fn retyped(&self, typed: &str) -> Result<Self, General> {
        match self {
            Self::Phone(_) => Self::phone(typed),
            Self::Email(_) => Self::email(typed),
        }
    }

    /// How it is reached.
    pub fn channel(&self) -> Channel {
        match self {
            Self::Phone(_) => Channel::Sms,
            Self::Email(_) => Channel::Email,
        }
    }

    /// Its normal form.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Phone(number) => number.as_str(),
            Self::Email(address) => address.as_str(),
        }
    }

    pub(super) fn identifier(&self) -> Identifier {
        identifier(self.channel(), self.as_str())
    }
}

pub(super) fn identifier(channel: Channel, value: &str) -> Identifier {
    Identifier {
        kind: match channel {
            Channel::Sms => IdentifierKind::Phone,
            Channel::Email => IdentifierKind::Email,
        },
        value: value.to_owned(),
    }
}

/// What became of a contact that was proved.
pub(super) enum Opened {
    /// Signed in; whether the account was made by it.
    In(Box<SignedIn>, bool),
    /// Something changed in between: start again.
    Restart,
    /// The contact is that of an account which signs in by another way, or may not sign in.
    NotAllowed,
}

/// Opens a session for the account of a contact, or for a new one.
pub(super) async fn open(
    parts: &Parts,
    caller: &Caller,
    channel: Channel,
    destination: &str,
    factor: FactorId,
    account: Option<Account>,
) -> Result<Opened, Fault> {
    let now = parts.now();
    let traveled = Some(parts.channel(channel, destination));
    if let Some(Account { user, .. }) = account {
        let own = passwordless::factor_of(channel, false);
        let method = user.methods.iter().find(|m| {
            m.factor == own
                && [&m.email, &m.phone]
                    .iter()
                    .any(|c| c.as_deref() == Some(destination))
        });
        // The address of an account that signs in otherwise: whoever made that account may not be who reads the mailbox, so
        // the two are not made one here (CVE-2026-53516).
        let Some(method) = method
            .filter(|_| user.state == UserState::Live)
            .map(|m| m.id.clone())
        else {
            return Ok(Opened::NotAllowed);
        };
        let first = account::first(now, Kind::Possession, traveled, false);
        return Ok(
            match account::open(parts, caller, user, &method, &factor, first).await? {
                Some(signed_in) => Opened::In(Box::new(signed_in), false),
                // Disabled or changed between reading and writing.
                None => Opened::Restart,
            },
        );
    }
    let id = UserId::new(parts.uuid()?);
    let method = MethodId::new(id.as_str());
    let (phone, email) = match channel {
        Channel::Sms => (Some(destination.to_owned()), None),
        Channel::Email => (None, Some(destination.to_owned())),
    };
    let user = User {
        tenant: caller.tenant.clone(),
        id,
        state: UserState::Live,
        epoch: 1,
        revision: 1,
        methods: vec![Method {
            id: method.clone(),
            factor: passwordless::factor_of(channel, false),
            email,
            phone,
            third_party: None,
            verified: true,
            joined_at: now,
        }],
        summary: Summary::default(),
        metadata: JsonMap::new(),
        created_at: now,
    };
    let first = account::first(now, Kind::Possession, traveled, true);
    let opening = session::prepare(parts, &user, &method, &factor, first, caller).await?;
    let new = NewAccount {
        user: user.clone(),
        identifiers: vec![(identifier(channel, destination), method)],
        credentials: Vec::new(),
        session: opening.session().cloned(),
    };
    match parts.store.create_account(&new).await? {
        // Another one was faster with the same contact.
        AccountOutcome::IdentifierTaken => Ok(Opened::Restart),
        AccountOutcome::Created => {
            let event = parts.event(EventKind::AccountCreated, Outcome::Granted);
            parts.record(
                &event
                    .of(&user.tenant, &user.id)
                    .from_network(&caller.origin.network),
            );
            Ok(Opened::In(
                Box::new(session::opened(parts, opening, user).await?),
                true,
            ))
        }
    }
}
