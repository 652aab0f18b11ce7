//! The delivery port: what a message is, and who carries it.
//!
//! Messages are handed over in the background, after the answer and never inside a transaction, so that neither the
//! timing nor the fate of a delivery tells a stranger anything (R-ENU-1). The texts are the carrier's affair.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::error::Source;
use crate::id::FactorId;
pub use crate::language::Language;
use crate::secret::Secret;
use crate::time::Timestamp;

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channel {
    /// A text message.
    Sms,
    /// An e-mail.
    Email,
}

/// A message to one address.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Message {
    /// Names this message: the same id is the same message, should it be handed over twice.
    pub id: String,
    /// How it travels.
    pub channel: Channel,
    /// Where to: E.164 or an e-mail address, in normal form.
    pub to: String,
    /// What it says.
    pub content: Content,
    /// What its reader reads, as far as the request that caused it tells.
    pub language: Language,
    /// The site's first language. Who caused a notice may be another than who reads it, so a mail says it in this one too.
    pub site_language: Language,
    /// The application's name, from the configuration.
    pub app_name: String,
    /// The host that the code is meant for (origin-bound codes), from the configuration.
    pub website_host: String,
    /// When it was handed over.
    pub at: Timestamp,
}

impl Message {
    /// Puts a message together, as stepup does: for the tests of a carrier.
    pub fn new(
        id: String,
        (channel, to): (Channel, String),
        content: Content,
        app: &crate::app::AppInfo,
        at: Timestamp,
    ) -> Self {
        Self {
            id,
            channel,
            to,
            content,
            language: Language::default(),
            site_language: Language::default(),
            app_name: app.name().to_owned(),
            website_host: app.website_host(),
            at,
        }
    }

    /// The same for a reader of `language`, of a site whose first language is `site`.
    #[must_use]
    pub fn in_language(self, language: Language, site: Language) -> Self {
        Self {
            language,
            site_language: site,
            ..self
        }
    }
}

/// What a message says. Nothing in it was typed by a user, so that nobody can write messages in our name.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Content {
    /// A one-time code.
    Code {
        /// The code.
        code: Secret<String>,
        /// How long it works.
        lifetime: Duration,
        /// Whether it is asked for after a first factor was right.
        second_factor: bool,
    },
    /// A link that signs in, with or without a code that does the same.
    Link {
        /// Where it leads: a page of the website that asks. Its secret is the fragment, which reaches no server.
        url: Secret<String>,
        /// The code, for another device.
        code: Option<Secret<String>>,
        /// How long both work.
        lifetime: Duration,
    },
    /// A link that lets whoever reads it set a new password. It signs nobody in.
    Reset {
        /// Where it leads: a page of the website that asks for the password.
        url: Secret<String>,
        /// How long it works.
        lifetime: Duration,
    },
    /// A link that proves that whoever reads it has the mailbox. It signs nobody in.
    Verify {
        /// Where it leads: a page of the website that asks.
        url: Secret<String>,
        /// How long it works.
        lifetime: Duration,
    },
    /// A link that lets a session add the account's first second factor.
    Confirm {
        /// Where it leads: a page that asks.
        url: Secret<String>,
        /// How long it works.
        lifetime: Duration,
    },
    /// A notice about the account's security.
    Notice(NoticeKind),
}

impl Content {
    /// How long what it carries works, if it carries anything that works: a message that comes later is dead.
    pub fn lifetime(&self) -> Option<Duration> {
        match self {
            Self::Code { lifetime, .. }
            | Self::Link { lifetime, .. }
            | Self::Reset { lifetime, .. }
            | Self::Verify { lifetime, .. }
            | Self::Confirm { lifetime, .. } => Some(*lifetime),
            Self::Notice(_) => None,
        }
    }
}

/// A link in a notice. `Debug` does not show it; it is written out where a notice is sealed, and nowhere else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NoticeLink(String);

impl NoticeLink {
    /// Takes it into a notice.
    pub fn new(url: &Secret<String>) -> Self {
        Self(url.expose().clone())
    }

    /// The link itself, for the text of the message.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl Debug for NoticeLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NoticeLink(..)")
    }
}

/// Kinds of security notices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum NoticeKind {
    /// A second factor was added.
    FactorAdded {
        /// Which.
        factor: FactorId,
        /// Its address, masked.
        contact: Option<String>,
        /// When.
        at: Timestamp,
        /// Where to undo it, if it was the first one: it is removed, all that was signed in ends, and the password opens
        /// nothing until it was reset.
        #[serde(default)]
        undo: Option<NoticeLink>,
    },
    /// The first factor was right, and the second wrong again and again.
    FactorGuessed {
        /// When.
        at: Timestamp,
    },
    /// An account was made with this address, where the answer to sign-up does not say so.
    AccountMade {
        /// When.
        at: Timestamp,
        /// Where to confirm that the address is one's own; the account opens then.
        #[serde(default)]
        verify: Option<NoticeLink>,
    },
    /// Somebody tried to sign up with the address of this account.
    SignUpTried {
        /// When.
        at: Timestamp,
    },
    /// A contact by which the user signs in, or is sent codes, was changed. It goes to where the user was reached before, and
    /// names no address: whoever reads the old one need not know the new one.
    ContactChanged {
        /// Which kind of contact.
        channel: Channel,
        /// When.
        at: Timestamp,
        /// Where to undo it, if a session did it: the contact is what it was, all that was signed in ends, and the password
        /// opens nothing until it was reset. By mail, if there is a mailbox: a phone that is replaced may have been stolen.
        #[serde(default)]
        undo: Option<NoticeLink>,
    },
    /// The password was changed.
    PasswordChanged {
        /// When.
        at: Timestamp,
    },
    /// The site decided whether the user may add the first second factor.
    EnrollmentDecided {
        /// Whether it may.
        allowed: bool,
        /// When.
        at: Timestamp,
    },
    /// An account at a provider of identities was added, and signs in to this one from now on.
    IdentityLinked {
        /// The provider's name for people.
        provider: String,
        /// When.
        at: Timestamp,
        /// Where to undo it: the account at the provider signs in to this one no more, all that is signed in ends, and the
        /// password opens nothing until it was reset.
        #[serde(default)]
        undo: Option<NoticeLink>,
    },
    /// All second factors were removed by the site.
    FactorsReset {
        /// When.
        at: Timestamp,
    },
}

impl NoticeKind {
    /// The same without a link that changes the account: for an address that may be a stranger's.
    #[must_use]
    pub fn without_link(&self) -> Self {
        let mut kind = self.clone();
        if let Self::FactorAdded { undo, .. }
        | Self::ContactChanged { undo, .. }
        | Self::IdentityLinked { undo, .. } = &mut kind
        {
            *undo = None;
        }
        kind
    }
}

/// Carries messages. It is called in the background and may take its time, up to the deadline of its caller.
#[async_trait]
pub trait Deliver: Debug + Send + Sync + 'static {
    /// Whether it can carry messages of `channel`.
    fn carries(&self, channel: Channel) -> bool;

    /// Whether it shows messages to whoever looks at the console or the demo's outbox. `build()` refuses such a
    /// carrier unless both domains are loopback or `danger_print_codes()` was called (threat A-SEC-15).
    fn reveals_codes(&self) -> bool {
        false
    }

    /// What it is called in events.
    fn name(&self) -> &'static str {
        "carrier"
    }

    /// Hands `message` over.
    ///
    /// # Errors
    /// [`DeliveryError`]; a code is not retried (the user asks again), a notice is.
    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError>;

    /// The same, and writes each try down. Whoever asks several carriers writes down those of each.
    ///
    /// # Errors
    /// As [`Deliver::deliver`].
    async fn attempt(&self, message: &Message, attempts: &mut Vec<Attempt>) -> Result<(), DeliveryError> {
        let told = self.deliver(message).await;
        attempts.push(Attempt {
            carrier: self.name(),
            failure: told.as_ref().err().map(|error| error.failure),
        });
        told
    }
}

/// A carrier's try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The carrier's name.
    pub carrier: &'static str,
    /// How far it came. None: the carrier took the message.
    pub failure: Option<Failure>,
}

/// How far a message came that was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It surely was not sent: nobody could be reached, or the carrier refuses for now.
    Unsent,
    /// It surely was not sent, and this carrier will never send it: it refuses for good.
    Refused,
    /// Nobody knows: it was handed over, and no answer came. Another try may be a second message.
    Uncertain,
}

impl Failure {
    /// The word for events.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unsent => "unsent",
            Self::Refused => "refused",
            Self::Uncertain => "uncertain",
        }
    }
}

/// A message could not be handed over.
#[derive(Debug, thiserror::Error)]
#[error("message not delivered")]
pub struct DeliveryError {
    /// How far it came.
    pub failure: Failure,
    /// Why. It may quote the address, so that nothing of it is logged.
    pub source: Source,
}

impl DeliveryError {
    /// It surely was not sent; another try may do better.
    pub fn unsent(source: impl Into<Source>) -> Self {
        Self::new(Failure::Unsent, source)
    }

    /// It surely was not sent, and this carrier refuses for good.
    pub fn refused(source: impl Into<Source>) -> Self {
        Self::new(Failure::Refused, source)
    }

    /// It may have been sent. In doubt, this one: a code that is sent twice costs twice.
    pub fn uncertain(source: impl Into<Source>) -> Self {
        Self::new(Failure::Uncertain, source)
    }

    /// It came so far.
    pub fn new(failure: Failure, source: impl Into<Source>) -> Self {
        Self {
            failure,
            source: source.into(),
        }
    }
}

/// Gives the addresses of a user of the application's own table, for notices.
#[async_trait]
pub trait UserDirectory: Debug + Send + Sync + 'static {
    /// Where the user can be told about changes, by another way than the factor that changed.
    ///
    /// # Errors
    /// The application's own.
    async fn contacts(&self, user: &crate::id::UserId) -> Result<Vec<(Channel, String)>, Source>;

    /// What the user reads, for notices. None: what the request that causes one asks for.
    ///
    /// # Errors
    /// The application's own.
    async fn language(&self, _user: &crate::id::UserId) -> Result<Option<Language>, Source> {
        Ok(None)
    }
}
