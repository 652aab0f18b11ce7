//! Credentials: what binds an authenticator to a user, a second-factor contact too.

use serde_json::Value;

use crate::id::{CredentialId, TenantId, UserId};
use crate::time::Timestamp;

/// What kind of authenticator a credential binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum CredentialKind {
    /// A password; the sealed part is its Argon2id hash.
    Password,
    /// An address that receives second-factor codes. It can never sign in.
    Contact,
}

impl CredentialKind {
    /// All of them: what an export asks for.
    pub const ALL: [Self; 2] = [Self::Password, Self::Contact];

    /// The kind as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Contact => "contact",
        }
    }

    /// Reads a stored kind.
    pub fn parse(kind: &str) -> Option<Self> {
        // A kind that is not listed cannot be read, so that none is left out of an export.
        Self::ALL.into_iter().find(|known| known.as_str() == kind)
    }
}

/// A credential as stored. Its key is (tenant, user, kind, id), and (tenant, kind, id) is unique as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    /// The tenant of its user.
    pub tenant: TenantId,
    /// Its user.
    pub user: UserId,
    /// What it binds.
    pub kind: CredentialKind,
    /// Its id; for a contact also the `recipeUserId` that the protocol shows.
    pub id: CredentialId,
    /// What may be read by whoever reads the database: the address of a contact, a device's name.
    pub public: Value,
    /// What may not: sealed by the keyring with (tenant, user, kind, id) as associated data.
    pub sealed: Option<Vec<u8>>,
    /// Counts the changes; a change names the version it read (threat A-PWD-06).
    pub version: i64,
    /// When it was bound.
    pub created_at: Timestamp,
}

impl Credential {
    /// The member of [`Credential::public`] that retires a password.
    pub const RETIRED: &'static str = "retired";

    /// Whether it opens nothing any more, until another takes its place. Only what plainly says no does not.
    pub fn is_retired(&self) -> bool {
        !matches!(self.public.get(Self::RETIRED), None | Some(Value::Bool(false)))
    }

    /// Retires it.
    pub fn retire(&mut self) {
        if let Value::Object(public) = &mut self.public {
            public.insert(Self::RETIRED.to_owned(), Value::Bool(true));
        } else {
            self.public = serde_json::json!({ Self::RETIRED: true });
        }
        self.version += 1;
    }
}
