//! Identifiers: opaque strings, one type each, so that one can never be passed for another.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps `value` as it is.
            pub fn new(value: impl Into<String>) -> Self {
                Self(value.into())
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(value: &str) -> Self {
                Self(value.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(value: String) -> Self {
                Self(value)
            }
        }
    };
}

id!(
    /// A user of the application. Opaque: the application may choose its own.
    UserId
);
id!(
    /// One way a user signs in, or a second-factor contact: the protocol's `recipeUserId`.
    MethodId
);
id!(
    /// A tenant; [`TenantId::public`] where the application knows none.
    TenantId
);
id!(
    /// A session. It is readable by the client and therefore no secret: it opens nothing by itself.
    SessionHandle
);
id!(
    /// A credential of a user.
    CredentialId
);
id!(
    /// A challenge: the unpadded base64url SHA-256 of the secret device id that the client holds.
    ChallengeId
);
id!(
    /// A security notice that waits for delivery.
    NoticeId
);
id!(
    /// A signing key (`kid`), `d-` and the milliseconds of its making, or a secret of the keyring.
    KeyId
);

impl TenantId {
    /// The tenant of everything that names none.
    pub fn public() -> Self {
        Self::from("public")
    }

    /// Whether this is the default tenant, which has no path segment.
    pub fn is_public(&self) -> bool {
        self.as_str() == "public"
    }
}

impl SessionHandle {
    /// The handle of a session of `tenant`: `uuid`, or `uuid_tenant` where it is not the public one.
    pub(crate) fn of(tenant: &TenantId, uuid: &str) -> Self {
        if tenant.is_public() {
            Self::from(uuid)
        } else {
            Self::new(format!("{uuid}_{tenant}"))
        }
    }

    /// The tenant that it names.
    pub(crate) fn tenant(&self) -> TenantId {
        self.as_str()
            .split_once('_')
            .map_or_else(TenantId::public, |(_, tenant)| TenantId::from(tenant))
    }
}

/// A factor, by its protocol name: `emailpassword`, `otp-phone`, `totp`, or one of the application's own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FactorId(Cow<'static, str>);

impl FactorId {
    /// E-mail and password.
    pub const EMAIL_PASSWORD: Self = Self::from_static("emailpassword");
    /// A provider of identities.
    pub const THIRD_PARTY: Self = Self::from_static("thirdparty");
    /// A one-time code to a phone.
    pub const OTP_PHONE: Self = Self::from_static("otp-phone");
    /// A one-time code to a mailbox.
    pub const OTP_EMAIL: Self = Self::from_static("otp-email");
    /// A link in a text message.
    pub const LINK_PHONE: Self = Self::from_static("link-phone");
    /// A link in an e-mail.
    pub const LINK_EMAIL: Self = Self::from_static("link-email");

    /// A factor known at compile time.
    pub const fn from_static(id: &'static str) -> Self {
        Self(Cow::Borrowed(id))
    }

    /// A factor named at run time.
    pub fn new(id: impl Into<String>) -> Self {
        Self(Cow::Owned(id.into()))
    }

    /// A factor named in a token: one of ours shares its name with all others of it.
    pub(crate) fn of_token(id: &str) -> Self {
        let ours = [
            Self::EMAIL_PASSWORD,
            Self::THIRD_PARTY,
            Self::OTP_PHONE,
            Self::OTP_EMAIL,
            Self::LINK_PHONE,
            Self::LINK_EMAIL,
        ];
        ours.into_iter()
            .find(|factor| factor.as_str() == id)
            .unwrap_or_else(|| Self::new(id))
    }

    /// The bytes that the name takes up by itself; none if it is shared.
    pub(crate) fn own_bytes(&self) -> Option<usize> {
        match &self.0 {
            Cow::Borrowed(_) => None,
            Cow::Owned(name) => Some(name.len()),
        }
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the name is one of ours, now or later: a factor of the application's own cannot bear it.
    pub fn is_reserved(&self) -> bool {
        RESERVED_FACTORS.contains(&self.as_str())
    }
}

const RESERVED_FACTORS: [&str; 10] = [
    "emailpassword",
    "thirdparty",
    "otp-phone",
    "otp-email",
    "link-phone",
    "link-email",
    "totp",
    "webauthn",
    "recovery-code",
    "trusted-device",
];

impl fmt::Display for FactorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_names_its_tenant() {
        for (tenant, handle) in [("public", "0-1"), ("acme", "0-1_acme"), ("a_b", "0-1_a_b")] {
            let tenant = TenantId::from(tenant);
            assert_eq!(SessionHandle::of(&tenant, "0-1").as_str(), handle);
            assert_eq!(SessionHandle::from(handle).tenant(), tenant);
        }
    }
}
