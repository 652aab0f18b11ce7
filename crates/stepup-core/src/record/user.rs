//! Users: login methods, metadata and its merge, and the summary that policy reads.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::JsonMap;
use crate::evidence::Kind;
use crate::id::{CredentialId, FactorId, MethodId, TenantId, UserId};
use crate::time::Timestamp;

/// A user as stored, keyed by (tenant, id).
#[derive(Clone, Debug, PartialEq)]
pub struct User {
    /// The tenant.
    pub tenant: TenantId,
    /// The id, opaque.
    pub id: UserId,
    /// Whether sessions of this user may live.
    pub state: UserState,
    /// The credential epoch: a session or half-login of another epoch is dead (R-MFA-9).
    pub epoch: i64,
    /// Counts the changes of this row; a verb that rewrites it names the revision that it read.
    pub revision: i64,
    /// How this user signs in.
    pub methods: Vec<Method>,
    /// What factors the user has and must use; rewritten by every verb that changes a factor.
    pub summary: Summary,
    /// What the application keeps about the user. No factor is ever decided by it (R-MFA-7).
    pub metadata: JsonMap,
    /// When the row was made.
    pub created_at: Timestamp,
}

impl User {
    /// A live user without any way to sign in here: one of the application's own table.
    pub fn bare(tenant: &TenantId, id: &UserId, now: Timestamp) -> Self {
        Self {
            tenant: tenant.clone(),
            id: id.clone(),
            state: UserState::Live,
            epoch: 1,
            revision: 1,
            methods: Vec::new(),
            summary: Summary::default(),
            metadata: JsonMap::new(),
            created_at: now,
        }
    }
}

/// Whether a user may have sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UserState {
    /// May sign in.
    Live,
    /// May not, until enabled again.
    Disabled,
    /// A tombstone: everything personal is gone, and the id is never used again.
    Deleted,
}

impl UserState {
    /// The state as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
        }
    }

    /// Reads a stored state; an unknown one is no live one.
    pub fn parse(state: &str) -> Option<Self> {
        match state {
            "live" => Some(Self::Live),
            "disabled" => Some(Self::Disabled),
            "deleted" => Some(Self::Deleted),
            _ => None,
        }
    }
}

/// What the application changed of a user by itself. Whatever it was, the user's sessions and half-logins end (R-SES-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Changed {
    /// The password, in the application's own table.
    Password,
    /// An address.
    Contact,
    /// The user may not sign in any more.
    Disabled,
    /// The user may sign in again.
    Enabled,
    /// The user is gone.
    Deleted,
}

impl Changed {
    /// The state that the user is in afterwards; none if it stays what it was.
    pub const fn state(self) -> Option<UserState> {
        match self {
            Self::Password | Self::Contact => None,
            Self::Disabled => Some(UserState::Disabled),
            Self::Enabled => Some(UserState::Live),
            Self::Deleted => Some(UserState::Deleted),
        }
    }

    /// One word for events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Contact => "contact",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Deleted => "deleted",
        }
    }
}

/// What becomes of a contact by which a user signs in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ContactEdit {
    /// It stays.
    #[default]
    Keep,
    /// This one takes its place, as it was typed.
    Set(String),
    /// It signs in no more.
    Remove,
}

/// A way to sign in: the protocol's login method.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Method {
    /// Its id, the protocol's `recipeUserId`.
    pub id: MethodId,
    /// The factor that it is (`emailpassword`), or the name of an external one.
    pub factor: FactorId,
    /// The e-mail address, in normal form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// The phone number, E.164.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// Who it is at a provider of identities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub third_party: Option<ThirdParty>,
    /// Whether the contact was proved to be the user's.
    pub verified: bool,
    /// When it was added.
    pub joined_at: Timestamp,
}

/// Somebody at a provider of identities. Who it is never goes by an address, which changes hands (R-OAU-1).
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ThirdParty {
    /// The provider's id in the configuration, the protocol's `thirdPartyId`.
    pub provider: String,
    /// Who vouches: the pinned issuer of an OpenID provider, or the provider's own address.
    pub issuer: String,
    /// Who it is there: a string that the issuer never gives to anybody else (OpenID Connect Core §2, `sub`).
    pub subject: String,
}

/// What policy needs to know of a user, beside the session, so that it needs no second look-up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The verified second factors.
    #[serde(default)]
    pub enrolled: Vec<Enrolled>,
    /// Factors that the application demands of this user, any one of them.
    #[serde(default)]
    pub required: Vec<FactorId>,
}

/// A verified second factor of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enrolled {
    /// The factor.
    pub factor: FactorId,
    /// The credential that binds it.
    pub credential: CredentialId,
    /// Knowledge, possession or inherence.
    pub kind: Kind,
    /// The channel it travels by, so that a factor never seconds itself (R-MFA-6).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The address, for display and for the client that sends the code by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<String>,
    /// When it was enrolled.
    pub at: Timestamp,
}

impl Summary {
    /// The enrollment of `factor`, if the user has one.
    pub fn enrolled(&self, factor: &FactorId) -> Option<&Enrolled> {
        self.enrolled.iter().find(|e| e.factor == *factor)
    }
}

/// What may sign in: unique in its tenant, and the key of its look-up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identifier {
    /// What it is.
    pub kind: IdentifierKind,
    /// Its normal form.
    pub value: String,
}

impl Identifier {
    /// The identity at a provider. Its normal form is a JSON array, so that no two identities read alike.
    pub fn third_party(identity: &ThirdParty) -> Self {
        let ThirdParty {
            provider,
            issuer,
            subject,
        } = identity;
        Self {
            kind: IdentifierKind::ThirdParty,
            value: serde_json::json!([provider, issuer, subject]).to_string(),
        }
    }
}

/// Kinds of identifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IdentifierKind {
    /// An e-mail address.
    Email,
    /// A phone number.
    Phone,
    /// Somebody at a provider of identities: see [`Identifier::third_party`].
    ThirdParty,
}

impl IdentifierKind {
    /// The kind as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::ThirdParty => "third-party",
        }
    }
}

/// Merges `patch` into `metadata` on the first level only: a value replaces, `null` removes.
pub fn merge(metadata: &mut JsonMap, patch: &JsonMap) {
    for (key, value) in patch {
        if value.is_null() {
            metadata.shift_remove(key);
        } else {
            metadata.insert(key.clone(), value.clone());
        }
    }
}

/// Reads a JSON object; anything else is none.
pub fn object(value: Value) -> Option<JsonMap> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn identities_that_are_told_apart_by_their_parts_have_different_forms() {
        let of = |provider: &str, issuer: &str, subject: &str| {
            let identity = ThirdParty {
                provider: provider.to_owned(),
                issuer: issuer.to_owned(),
                subject: subject.to_owned(),
            };
            Identifier::third_party(&identity).value
        };
        assert_eq!(of("a", "https://i", "1"), r#"["a","https://i","1"]"#);
        let alike = [
            of("a", "b\",\"c", "d"),
            of("a", "b", "c\",\"d"),
            of("a\",\"b", "c", "d"),
        ];
        assert!(alike[0] != alike[1] && alike[1] != alike[2] && alike[0] != alike[2]);
    }

    #[test]
    fn a_merge_is_shallow_and_null_removes_only_on_the_first_level() {
        let mut data = object(json!({"a": {"x": 1}, "b": 2, "c": [1]})).unwrap();
        merge(
            &mut data,
            &object(json!({"a": {"y": null}, "b": null, "c": [2], "d": 4})).unwrap(),
        );
        assert_eq!(
            serde_json::Value::Object(data),
            json!({"a": {"y": null}, "c": [2], "d": 4})
        );
    }
}
