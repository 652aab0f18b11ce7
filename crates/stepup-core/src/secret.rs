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

    /// What stands at an address of this process, whoever has it now.
    #[cfg(target_os = "linux")]
    fn memory_at(address: usize, length: usize) -> Vec<u8> {
        use std::io::{Read, Seek, SeekFrom};

        let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut bytes = vec![0; length];
        memory.seek(SeekFrom::Start(address as u64)).unwrap();
        // Given back to the system is as good as wiped.
        let _ = memory.read_exact(&mut bytes);
        bytes
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_sec_09_a_secret_is_in_memory_while_it_lives_and_not_after() {
        let mut canary = [0_u8; 32];
        crate::entropy::Entropy::fill(&crate::entropy::OsEntropy, &mut canary).unwrap();
        let is_wiped = |address: usize| {
            let left = memory_at(address, canary.len());
            // An allocator may write into what it got back, and a neighbor may have it: not a half of it is left.
            left.windows(8)
                .all(|part| !canary.windows(8).any(|of| of == part))
        };
        let bytes = Secret::new(canary.to_vec());
        let address = bytes.expose().as_ptr() as usize;
        assert_eq!(memory_at(address, 32), canary);
        drop(bytes);
        assert!(is_wiped(address), "bytes");

        let array = Secret::new(canary);
        let copy = array.clone();
        let [first, second] = [&array, &copy].map(|secret| secret.expose().as_ptr() as usize);
        drop(array);
        assert!(is_wiped(first), "an array");
        assert_eq!(memory_at(second, 32), canary, "its copy lives");
        drop(copy);
        assert!(is_wiped(second), "the copy");

        let text: String = canary.iter().map(|byte| char::from(b'a' + byte % 26)).collect();
        let (first, shown) = (text.as_bytes().to_vec(), text.as_ptr() as usize);
        let text = Secret::from(text);
        assert_eq!(text.expose().as_ptr() as usize, shown, "taken, and not copied");
        drop(text);
        assert!(
            !memory_at(shown, 32)
                .windows(8)
                .any(|part| first.windows(8).any(|of| of == part)),
            "text"
        );
    }
}
