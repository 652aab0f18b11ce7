//! Values that never print, and comparison that takes the same time whatever it finds.

use std::fmt;

use secrecy::{ExposeSecret, SecretBox};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A secret: wiped on drop, silent in `Debug`, without `Display` and without `Serialize`.
///
/// The one way to its value is the loud door [`Secret::expose`].
///
/// # Source
/// ASVS v5.0.0-16.2.5, 11.7.2.
pub struct Secret<T: Zeroize>(SecretBox<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes the value into custody.
    pub fn new(value: T) -> Self {
        Self(SecretBox::new(Box::new(value)))
    }

    /// The value itself. Keep the borrow short, and never format it.
    pub fn expose(&self) -> &T {
        self.0.expose_secret()
    }
}

impl<T: Zeroize + Clone> Clone for Secret<T> {
    fn clone(&self) -> Self {
        Self::new(self.expose().clone())
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

/// A digest of 32 bytes: an HMAC-SHA-256 of a code, or the SHA-256 of a random token.
///
/// Equality takes constant time and `Debug` shows nothing, since the digest of a short code under a known key
/// is as good as the code.
#[derive(Clone, Copy, Eq)]
pub struct Mac([u8; 32]);

impl Mac {
    /// Wraps a finished digest.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads a stored digest; anything but 32 bytes is no digest.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The digest, to be stored or bound to a statement.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl PartialEq for Mac {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        let shown = format!(
            "{:?} {:?}",
            Secret::from("canary".to_owned()),
            Mac::new([0x61; 32])
        );
        assert!(
            !shown.contains("canary") && !shown.contains("97") && !shown.contains("61"),
            "{shown}"
        );
    }

    #[test]
    fn digests_are_equal_only_in_every_byte() {
        let mut other = [7; 32];
        assert_eq!(Mac::new([7; 32]), Mac::new(other));
        other[31] ^= 1;
        assert_ne!(Mac::new([7; 32]), Mac::new(other));
    }
}
