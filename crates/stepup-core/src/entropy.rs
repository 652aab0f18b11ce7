//! Randomness: one port, and the few shapes that are drawn from it.

use std::fmt::Debug;

use zeroize::Zeroizing;

/// Where random bytes come from. The default is the operating system's generator.
///
/// # Source
/// ASVS v5.0.0-11.5.1.
pub trait Entropy: Debug + Send + Sync + 'static {
    /// Fills `out` with bytes nobody can predict.
    ///
    /// # Errors
    /// The source failed. Nothing may be issued then.
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError>;
}

/// The source of randomness failed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("no randomness to be had")]
pub struct EntropyError;

/// The operating system's generator.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsEntropy;

impl Entropy for OsEntropy {
    fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
        getrandom::fill(out).map_err(|_| EntropyError)
    }
}

/// `N` random bytes.
pub(crate) fn bytes<const N: usize>(entropy: &dyn Entropy) -> Result<[u8; N], EntropyError> {
    let mut out = [0; N];
    entropy.fill(&mut out)?;
    Ok(out)
}

/// A random identifier: a version 4 UUID of 122 random bits (threat A-ENU-08).
pub(crate) fn uuid(entropy: &dyn Entropy) -> Result<String, EntropyError> {
    Ok(uuid_of(bytes(entropy)?))
}

/// The same of bytes that look random to whoever lacks the key that made them.
pub(crate) fn uuid_of(random: [u8; 16]) -> String {
    uuid::Builder::from_random_bytes(random).into_uuid().to_string()
}

/// `count` decimal digits, each equally likely, leading zeros kept.
///
/// Bytes of 250 and above are thrown away, since their remainder would favor the low digits.
///
/// # Source
/// NIST SP 800-63B-4 §3.1.3.2; threat A-OTP-14.
pub(crate) fn digits(entropy: &dyn Entropy, count: usize) -> Result<Zeroizing<String>, EntropyError> {
    let mut out = Zeroizing::new(String::with_capacity(count));
    let mut draws = 0_usize;
    while out.len() < count {
        // A broken source that only yields rejected bytes must fail, not spin.
        draws += 1;
        if draws > 64 {
            return Err(EntropyError);
        }
        let block: Zeroizing<[u8; 16]> = Zeroizing::new(bytes(entropy)?);
        for byte in block.iter().filter(|byte| **byte < 250) {
            if out.len() < count {
                out.push(char::from(b'0' + byte % 10));
            }
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Stuck;

    impl Entropy for Stuck {
        fn fill(&self, out: &mut [u8]) -> Result<(), EntropyError> {
            out.fill(255);
            Ok(())
        }
    }

    #[test]
    fn a_otp_14_every_digit_is_equally_likely() {
        let mut seen = [0_u32; 10];
        for _ in 0..20_000 {
            for digit in digits(&OsEntropy, 6).unwrap().bytes() {
                seen[usize::from(digit - b'0')] += 1;
            }
        }
        // Chi-square with nine degrees of freedom; 40 is passed by chance once in 130 000 runs.
        let chi: f64 = seen
            .iter()
            .map(|n| (f64::from(*n) - 12_000.0).powi(2) / 12_000.0)
            .sum();
        assert!(chi < 40.0, "{seen:?}: {chi}");
    }

    #[test]
    fn a_source_that_yields_only_rejected_bytes_fails_instead_of_spinning() {
        assert!(digits(&Stuck, 6).is_err());
    }
}
