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

    /// The password as it was typed.
    pub(crate) fn typed(&self) -> &str {
        self.0.expose()
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
    words: Vec<String>,
}

/// Lengths that are not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRuleError {
    /// The least length is below eight.
    #[error("passwords of fewer than 8 characters may not be accepted")]
    MinTooLow,
    /// The greatest length is below 64, or below the least.
    #[error("passwords of 64 characters must be accepted")]
    MaxTooLow,
}

impl PasswordRule {
    /// For a password that is followed by a second factor: 8 to 256 code points.
    pub const fn with_second_factor() -> Self {
        Self {
            min: 8,
            max: 256,
            words: Vec::new(),
        }
    }

    /// For a password that is the only factor: 15 to 256 code points.
    pub const fn sole_factor() -> Self {
        Self {
            min: 15,
            max: 256,
            words: Vec::new(),
        }
    }

    /// With other lengths, in code points.
    ///
    /// # Errors
    /// `min` below 8, or `max` below 64 or `min`.
    ///
    /// # Source
    /// NIST SP 800-63B-4 §3.1.1.2; ASVS v5.0.0-6.2.1 and 6.2.9.
    pub fn with_lengths(mut self, min: usize, max: usize) -> Result<Self, PasswordRuleError> {
        if min < 8 {
            return Err(PasswordRuleError::MinTooLow);
        }
        if max < min.max(64) {
            return Err(PasswordRuleError::MaxTooLow);
        }
        (self.min, self.max) = (min, max);
        Ok(self)
    }

    /// With words that are refused like the service's name: of the organization, its products, its places.
    ///
    /// # Source
    /// ASVS v5.0.0-6.1.2 and 6.2.11.
    #[must_use]
    pub fn with_words<W: Into<String>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.words.extend(words.into_iter().map(Into::into));
        self
    }

    /// The least length, in code points.
    pub fn min(&self) -> usize {
        self.min
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
        let folded = folded(&normal);
        // A word written twice is as easily guessed as the word.
        let word = repeated_unit(&folded);
        if word.chars().count() < self.min || is_run(word) || is_common(word) {
            return Err(PasswordFault::Common);
        }
        let address = email.map(|email| [email.local_part(), email.as_str()]);
        let words = address.iter().flatten().copied();
        let words = words
            .chain([service_name])
            .chain(self.words.iter().map(String::as_str));
        if words.into_iter().any(|word| is_derived(&folded, word)) {
            return Err(PasswordFault::PersonalData);
        }
        Ok(())
    }
}

impl Default for PasswordRule {
    fn default() -> Self {
        Self::with_second_factor()
    }
}

/// Lower case, in a buffer that is wiped.
fn folded(normal: &str) -> Zeroizing<String> {
    let mut folded = Zeroizing::new(String::with_capacity(normal.len() * 3));
    folded.extend(normal.chars().flat_map(char::to_lowercase));
    folded
}

/// The shortest text that `text` is a repetition of; `text` itself if it repeats nothing.
fn repeated_unit(text: &str) -> &str {
    text.char_indices()
        .skip(1)
        .filter_map(|(end, _)| text.get(..end))
        .find(|unit| {
            text.len().is_multiple_of(unit.len())
                && text
                    .as_bytes()
                    .chunks(unit.len())
                    .all(|chunk| chunk == unit.as_bytes())
        })
        .unwrap_or(text)
}

/// Whether `text` counts up or down: `abcdefgh`, `9876543210`, `34567890`.
fn is_run(text: &str) -> bool {
    let step = |from: char, to: char| match (from.to_digit(10), to.to_digit(10)) {
        (Some(9), Some(0)) => 1,
        (Some(0), Some(9)) => -1,
        _ => i64::from(u32::from(to)) - i64::from(u32::from(from)),
    };
    let steps = || {
        text.chars()
            .zip(text.chars().skip(1))
            .map(|(from, to)| step(from, to))
    };
    steps().all(|step| step == 1) || steps().all(|step| step == -1)
}

/// Whether `word` is on the block list. New passwords are rare and hashing one takes many times as long, so the
/// list is read through and not indexed.
fn is_common(word: &str) -> bool {
    common_passwords().any(|common| common == word)
}

/// The block list, most common first.
fn common_passwords() -> impl Iterator<Item = &'static str> {
    let list = include_str!("../data/common-passwords.txt");
    list.lines().skip_while(|line| !line.is_empty()).skip(1)
}

/// Whether `folded` is `word` with little around it: other case, signs between, up to eight signs and digits more.
fn is_derived(folded: &str, word: &str) -> bool {
    let letters = |text: &str| -> Zeroizing<String> {
        let mut letters = Zeroizing::new(String::with_capacity(text.len() * 3));
        letters.extend(
            text.nfkc()
                .flat_map(char::to_lowercase)
                .filter(|c| c.is_alphanumeric()),
        );
        letters
    };
    let (typed, word) = (letters(folded), letters(word));
    if typed.is_empty() || word.is_empty() {
        return false;
    }
    let core = |text| str::trim_matches(text, char::is_numeric);
    let (typed_core, word_core) = (core(typed.as_str()), core(word.as_str()));
    let around = folded.chars().count() - typed_core.chars().count();
    typed == word || (!word_core.is_empty() && typed_core == word_core && around <= 8)
}

#[cfg(test)]
mod tests;
