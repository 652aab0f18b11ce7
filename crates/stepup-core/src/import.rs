//! A user of another system, as it is brought along: what is known of it, and what is wrong with that.
//!
//! It is read from JSON ([`ImportedUser::read`]) or put together by the application, and handed to
//! [`Stepup::import_user`](crate::Stepup::import_user). Nothing is trusted: contacts are read into their normal forms, and
//! hashes are judged before they are kept.

use std::fmt;

use serde_json::{Map, Value};

use crate::digest::HashFault;
use crate::id::{CredentialId, FactorId, TenantId, UserId};
use crate::json::read_object;
use crate::record::JsonMap;
use crate::record::user::ThirdParty;
use crate::secret::Secret;
use crate::time::Timestamp;

/// A user to be imported. `Default` is one of the public tenant, of whom nothing is known.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ImportedUser {
    /// The tenant; the public one if none.
    pub tenant: Option<TenantId>,
    /// The id, 1 to 255 bytes, kept as it is. Without one it is made from what signs in, so that the same user is
    /// recognized when it is imported again.
    pub id: Option<UserId>,
    /// The e-mail address that signs in.
    pub email: Option<String>,
    /// Whether the address was proved to be the user's.
    pub email_verified: bool,
    /// How it signs in: `emailpassword` if none, or `otp-email`.
    pub email_factor: Option<FactorId>,
    /// The phone number that signs in, by codes.
    pub phone: Option<String>,
    /// Whether the number was proved to be the user's; yes if none.
    pub phone_verified: Option<bool>,
    /// The hash of the password, of a format that [`digest`](crate::digest) lists. Without one the user has no password, and no
    /// link for a new one is sent: see `Stepup::update_user`.
    pub password_hash: Option<Secret<String>>,
    /// Who it is at providers of identities.
    pub third_party: Vec<ImportedIdentity>,
    /// Second factors that the user has.
    pub second_factors: Vec<ImportedFactor>,
    /// Factors that are demanded of this user, any one of them.
    pub required_factors: Vec<FactorId>,
    /// What the application keeps about the user.
    pub metadata: JsonMap,
    /// Whether the user may not sign in.
    pub disabled: bool,
    /// When the user joined; now if none.
    pub joined_at: Option<Timestamp>,
}

/// Somebody at a provider of identities.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedIdentity {
    /// Who.
    pub who: ThirdParty,
    /// The address that the provider told. It never signs in.
    pub email: Option<String>,
    /// Whether the provider had proved it.
    pub verified: bool,
}

/// A second factor that a user brings along: a contact that receives codes, proved to be the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportedFactor {
    /// `otp-phone` or `otp-email`.
    pub factor: FactorId,
    /// The number or address.
    pub contact: String,
    /// The id of its credential, which the protocol shows as `recipeUserId`; a fresh one if none.
    pub id: Option<CredentialId>,
}

/// What became of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The user is there now.
    Created(UserId),
    /// The same user was there before; nothing was written.
    AlreadyThere(UserId),
}

/// Why a user was not imported. Nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct ImportRefusal {
    /// All that is wrong.
    pub problems: Vec<ImportProblem>,
}

/// Something that is wrong with a user. It shows no value, but names of fields.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImportProblem {
    /// Not a JSON object with distinct members, or too deep.
    #[error("not one JSON object with distinct members")]
    NotAnObject,
    /// There is no such field.
    #[error("unknown field {}", shown(.0))]
    UnknownField(String),
    /// A field holds something of another type.
    #[error("{0} must be {1}")]
    WrongType(&'static str, &'static str),
    /// A field is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A field holds no such thing.
    #[error("{0} is not valid")]
    Malformed(&'static str),
    /// A field names a second thing of a kind of which there is one.
    #[error("{0} names the same twice")]
    Twice(&'static str),
    /// There is no such tenant.
    #[error("there is no such tenant")]
    UnknownTenant,
    /// Nothing signs in, and there is no id by which the application could know the user.
    #[error("nothing signs in: email, phone, thirdParty or an id must be given")]
    NothingSignsIn,
    /// A hash without an address that signs in with a password.
    #[error("passwordHash needs an email that signs in by emailpassword")]
    HashWithoutEmail,
    /// The hash would never be verified.
    #[error("passwordHash: {0}")]
    Hash(HashFault),
    /// A contact is to sign in by itself and to be a second factor: it would be no second one.
    #[error("a contact cannot sign in and be a second factor")]
    SecondFactorSignsIn,
    /// Metadata that stepup derives from what it keeps elsewhere.
    #[error("metadata.{0} is derived and cannot be imported")]
    DerivedMetadata(&'static str),
    /// Metadata of more than 1 MiB.
    #[error("metadata is longer than 1 MiB")]
    MetadataTooLong,
    /// Another user has the id.
    #[error("another user has the id")]
    IdTaken,
    /// The user was deleted; its id is never used again.
    #[error("the user was deleted")]
    Deleted,
    /// What signs in signs in somebody else.
    #[error("{0} signs in another user")]
    Taken(&'static str),
    /// Another second factor has the id.
    #[error("another second factor has the id of one in secondFactors")]
    FactorIdTaken,
}

/// A name that somebody may have put a secret in by mistake: short, and of plain characters, or not at all.
fn shown(name: &str) -> &str {
    let plain = name.len() <= 32
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
    if plain { name } else { "(not shown)" }
}

impl ImportedUser {
    /// Reads one from a JSON object.
    ///
    /// ```
    /// use stepup_core::import::ImportedUser;
    ///
    /// let ann = ImportedUser::read(br#"{ "email": "ann@example.com", "emailVerified": true }"#).unwrap();
    /// assert!(ann.email_verified);
    /// let wrong = ImportedUser::read(br#"{ "mail": "ann@example.com", "disabled": "no" }"#).unwrap_err();
    /// assert_eq!(wrong.to_string(), "unknown field mail; disabled must be true or false");
    /// ```
    ///
    /// # Errors
    /// All that is wrong with its fields.
    pub fn read(text: &[u8]) -> Result<Self, ImportRefusal> {
        let Ok(object) = read_object(text) else {
            let problems = vec![ImportProblem::NotAnObject];
            return Err(ImportRefusal { problems });
        };
        let mut fields = Fields::of(object, Vec::new());
        let user = Self {
            tenant: fields.text("tenant").map(TenantId::from),
            id: fields.text("id").map(UserId::from),
            email: fields.text("email"),
            email_verified: fields.flag("emailVerified").unwrap_or_default(),
            email_factor: fields.text("emailFactor").map(FactorId::new),
            phone: fields.text("phone"),
            phone_verified: fields.flag("phoneVerified"),
            password_hash: fields.text("passwordHash").map(Secret::new),
            third_party: fields.list("thirdParty", read_identity),
            second_factors: fields.list("secondFactors", read_factor),
            required_factors: fields.names("requiredFactors"),
            metadata: fields.object("metadata"),
            disabled: fields.flag("disabled").unwrap_or_default(),
            joined_at: fields.number("joinedAt").map(Timestamp::from_ms),
        };
        match fields.end() {
            problems if problems.is_empty() => Ok(user),
            problems => Err(ImportRefusal { problems }),
        }
    }
}

fn read_identity(fields: &mut Fields) -> Option<ImportedIdentity> {
    let (provider, issuer, subject) = (fields.text("id"), fields.text("issuer"), fields.text("subject"));
    let (email, verified) = (
        fields.text("email"),
        fields.flag("emailVerified").unwrap_or_default(),
    );
    match (provider, issuer, subject) {
        (Some(provider), Some(issuer), Some(subject)) => Some(ImportedIdentity {
            who: ThirdParty {
                provider,
                issuer,
                subject,
            },
            email,
            verified,
        }),
        _ => fields.lacks("id, issuer and subject of thirdParty"),
    }
}

fn read_factor(fields: &mut Fields) -> Option<ImportedFactor> {
    let (factor, contact, id) = (fields.text("factor"), fields.text("contact"), fields.text("id"));
    match (factor, contact) {
        (Some(factor), Some(contact)) => Some(ImportedFactor {
            factor: FactorId::new(factor),
            contact,
            id: id.map(CredentialId::from),
        }),
        _ => fields.lacks("factor and contact of secondFactors"),
    }
}

/// The members of an object, taken one by one, and what was wrong with them. `null` is as good as nothing.
struct Fields {
    members: JsonMap,
    problems: Vec<ImportProblem>,
}

impl Fields {
    fn of(members: JsonMap, problems: Vec<ImportProblem>) -> Self {
        Self { members, problems }
    }

    fn take<T>(
        &mut self,
        name: &'static str,
        wanted: &'static str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Option<T> {
        let value = self.members.shift_remove(name).filter(|value| !value.is_null())?;
        let read = read(value);
        if read.is_none() {
            self.problems.push(ImportProblem::WrongType(name, wanted));
        }
        read
    }

    fn text(&mut self, name: &'static str) -> Option<String> {
        self.take(name, "text", |value| match value {
            Value::String(text) => Some(text),
            _ => None,
        })
    }

    fn flag(&mut self, name: &'static str) -> Option<bool> {
        self.take(name, "true or false", |value| value.as_bool())
    }

    fn number(&mut self, name: &'static str) -> Option<i64> {
        self.take(name, "a whole number", |value| value.as_i64())
    }

    fn object(&mut self, name: &'static str) -> JsonMap {
        let read = |value| match value {
            Value::Object(map) => Some(map),
            _ => None,
        };
        self.take(name, "an object", read).unwrap_or_default()
    }

    fn names(&mut self, name: &'static str) -> Vec<FactorId> {
        let text = |value: Value| value.as_str().map(FactorId::new);
        let read = |value| match value {
            Value::Array(items) => items.into_iter().map(text).collect(),
            _ => None,
        };
        self.take(name, "a list of texts", read).unwrap_or_default()
    }

    fn list<T>(&mut self, name: &'static str, read: impl Fn(&mut Self) -> Option<T>) -> Vec<T> {
        let objects = |value| match value {
            Value::Array(items) => items
                .into_iter()
                .map(|item| match item {
                    Value::Object(map) => Some(map),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        let objects: Vec<Map<_, _>> = self.take(name, "a list of objects", objects).unwrap_or_default();
        let mut all = Vec::with_capacity(objects.len());
        for object in objects {
            let mut fields = Self::of(object, std::mem::take(&mut self.problems));
            all.extend(read(&mut fields));
            self.problems = fields.end();
        }
        all
    }

    fn lacks<T>(&mut self, what: &'static str) -> Option<T> {
        self.problems.push(ImportProblem::Missing(what));
        None
    }

    /// What was wrong; what is left is unknown.
    fn end(self) -> Vec<ImportProblem> {
        let unknown = self.members.into_iter().map(|(name, _)| name);
        let mut problems: Vec<_> = unknown.map(ImportProblem::UnknownField).collect();
        problems.extend(self.problems);
        problems
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created(_) => "created",
            Self::AlreadyThere(_) => "already there",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_known_of_a_user_is_read() {
        let text = br#"{
            "tenant": "acme", "id": "u1", "email": "ann@example.com", "emailVerified": true, "emailFactor": "otp-email",
            "phone": "+41791234567", "phoneVerified": false, "passwordHash": "$2b$04$x", "joinedAt": 1700000000000,
            "thirdParty": [{ "id": "google", "issuer": "https://accounts.google.com", "subject": "7" }],
            "secondFactors": [{ "factor": "otp-phone", "contact": "+41791234568", "id": "c1" }],
            "requiredFactors": ["otp-phone"], "metadata": { "a": 1 }, "disabled": true
        }"#;
        let user = ImportedUser::read(text).unwrap();
        assert_eq!(user.tenant, Some("acme".into()));
        assert_eq!(user.id, Some("u1".into()));
        assert_eq!(user.email.as_deref(), Some("ann@example.com"));
        assert!(user.email_verified && user.disabled);
        assert_eq!(user.email_factor, Some(FactorId::OTP_EMAIL));
        assert_eq!(user.phone.as_deref(), Some("+41791234567"));
        assert_eq!(user.phone_verified, Some(false));
        assert_eq!(user.password_hash.unwrap().expose(), "$2b$04$x");
        assert_eq!(user.third_party[0].who.subject, "7");
        assert_eq!(user.second_factors[0].id, Some("c1".into()));
        assert_eq!(user.required_factors, [FactorId::OTP_PHONE]);
        assert_eq!(user.metadata["a"], 1);
        assert_eq!(user.joined_at, Some(Timestamp::from_ms(1_700_000_000_000)));
        let bare = ImportedUser::read(br#"{ "id": "u1", "email": null }"#).unwrap();
        assert_eq!(bare.email, None);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_and_no_value_is_shown() {
        let text = br#"{
            "email": 7, "emailVerified": "yes", "passwordHash": ["$2b$canary"], "hash": "$2b$canary", "$2b$canary": 1,
            "thirdParty": [{ "id": "google", "sub": "canary" }], "secondFactors": ["canary"], "joinedAt": "canary"
        }"#;
        let told = ImportedUser::read(text).unwrap_err();
        assert_eq!(told.problems.len(), 9, "{told}");
        let shown = told.to_string();
        assert!(
            !shown.contains("canary") && shown.contains("unknown field hash"),
            "{shown}"
        );
        for text in [
            &b"[]"[..],
            b"{",
            b"",
            br#"{"id":"a","id":"b"}"#,
            b"{} {}",
            b"\xff",
        ] {
            let refused = ImportedUser::read(text).unwrap_err();
            assert_eq!(refused.problems, [ImportProblem::NotAnObject]);
        }
    }

    #[test]
    fn debug_shows_no_hash() {
        let user = ImportedUser::read(br#"{ "passwordHash": "canary" }"#).unwrap();
        assert!(!format!("{user:?}").contains("canary"));
    }
}
