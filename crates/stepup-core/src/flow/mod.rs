//! Flows: what is asked of stepup, step by step: read, judge by pure functions, write once, answer with a value.

pub(crate) mod account;
pub(crate) mod answer;
pub(crate) mod change;
pub(crate) mod claim;
pub(crate) mod code;
pub(crate) mod contact;
pub(crate) mod dispatch;
pub(crate) mod export;
pub(crate) mod first;
pub(crate) mod identity;
pub(crate) mod import;
pub(crate) mod info;
pub(crate) mod kept;
pub(crate) mod key;
pub(crate) mod leave;
pub(crate) mod link;
pub(crate) mod mailbox;
pub(crate) mod moved;
pub(crate) mod own;
pub(crate) mod password;
pub(crate) mod pending;
pub(crate) mod readdress;
pub(crate) mod reset;
pub(crate) mod session;
pub(crate) mod third_party;
pub(crate) mod undo;
pub(crate) mod update;
pub(crate) mod upkeep;
pub(crate) mod user;
pub(crate) mod verify;

pub use account::{CheckBegun, Exists, External, ExternalRefusal, SignInOutcome, SignInTry, SignUpOutcome};
pub use answer::ConsumeOutcome;
pub use change::ChangeOutcome;
pub use claim::Renewed;
pub use code::{CodeRefusal, General, SentCode};
pub use contact::Contact;
pub use first::{FirstOutcome, FirstRefusal, OpenedBy, SentFirst};
pub use info::{ByFactor, FactorInfo, FactorInfoOutcome};
pub use leave::{ConfirmOutcome, PendingEnrollment};
pub use own::{OwnFactor, OwnFactors, Role};
pub use pending::Device;
pub use readdress::ContactOutcome;
pub use reset::{ResetAsked, ResetOutcome};
pub use session::{Checked, MergeError, RefreshOutcome, SessionEnded};
pub use third_party::{
    AskProvider, Bar, Brought, Departure, FromProvider, Intent, ProviderOutcome, ProviderRefusal,
};
pub use undo::{AfterUndo, UndoOutcome, Undoable};
pub use update::{Update, UpdateRefusal};
pub use user::DerivedKey;
pub use verify::{EmailStatus, VerificationAsked, VerifyOutcome};

pub use crate::caller::Caller;
pub use crate::record::user::{Changed, ContactEdit};

use crate::record::session::Session;
use crate::record::user::User;
use crate::secret::Secret;
use crate::time::Timestamp;

/// Tokens for the client, as values: which header or cookie carries them is `wire`'s affair.
#[derive(Clone, Debug)]
pub struct IssuedTokens {
    /// The access token.
    pub access: Secret<String>,
    /// Its payload as JSON text: exactly what the token contains, to be embedded once more for the client.
    pub payload: String,
    /// Its user.
    pub user: crate::id::UserId,
    /// When it expires.
    pub expires_at: Timestamp,
    /// The refresh token, unless the client keeps the one it has.
    pub refresh: Option<IssuedRefresh>,
}

/// A refresh token for the client.
#[derive(Clone, Debug)]
pub struct IssuedRefresh {
    /// The token.
    pub token: Secret<String>,
    /// When it stops working unless used.
    pub expires_at: Timestamp,
}

/// A user who just signed in, or completed a factor.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The user.
    pub user: User,
    /// The session.
    pub session: Session,
    /// What the client gets.
    pub tokens: IssuedTokens,
}
