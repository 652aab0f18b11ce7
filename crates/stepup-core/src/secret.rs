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
    use zeroize::Zeroizing;

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

    /// Whether `canary` stands somewhere in the heap of this process, but for where it is looked for.
    #[cfg(target_os = "linux")]
    fn is_in_memory(canary: &[u8]) -> bool {
        use std::io::{Read, Seek, SeekFrom};

        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let mut memory = std::fs::File::open("/proc/self/mem").unwrap();
        let mut buffer = vec![0_u8; 1 << 20];
        let own = buffer.as_ptr() as u64;
        let own = own..own + buffer.len() as u64;
        let writable = maps
            .lines()
            .filter(|line| line.contains("rw-p") && !line.contains("[stack]"));
        for line in writable {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let [mut at, end] = [from, to].map(|text| u64::from_str_radix(text, 16).unwrap());
            while at < end {
                let length = buffer.len().min(usize::try_from(end - at).unwrap());
                let here = at..at + length as u64;
                memory.seek(SeekFrom::Start(at)).unwrap();
                let read = memory.read(&mut buffer[..length]).unwrap_or(0);
                let overlaps = here.start < own.end && own.start < here.end;
                // The canary is spelled backwards here, so that the one that is looked for is no copy itself.
                let found = buffer[..read]
                    .windows(canary.len())
                    .any(|window| window.iter().eq(canary.iter().rev()));
                if found && !overlaps {
                    return true;
                }
                at += length as u64;
            }
        }
        false
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_sec_09_a_secret_is_in_memory_while_it_lives_and_not_after() {
        let mut backwards = [0_u8; 24];
        crate::entropy::Entropy::fill(&crate::entropy::OsEntropy, &mut backwards).unwrap();
        let forwards = || backwards.iter().rev().copied();
        let bytes = Secret::new(forwards().collect::<Vec<u8>>());
        assert!(is_in_memory(&backwards), "the search finds what is there");
        drop(bytes);
        assert!(!is_in_memory(&backwards), "bytes");
        // As text, that of a code or a token.
        backwards = backwards.map(|byte| b'a' + byte % 26);
        let forwards: Zeroizing<Vec<u8>> = Zeroizing::new(backwards.iter().rev().copied().collect());
        let text = Secret::new(std::str::from_utf8(&forwards).unwrap().to_owned());
        let copy = text.clone();
        drop(forwards);
        drop(text);
        assert!(is_in_memory(&backwards), "the copy lives");
        drop(copy);
        assert!(!is_in_memory(&backwards), "text");
    }
}
