//! Hashes that other systems made: bcrypt, PBKDF2, and the scrypt of Firebase.
//!
//! They are read with their costs capped, before anything is computed, and verified as their origin did. None is ever made:
//! the next right sign-in replaces it by one of ours.

use std::fmt;
use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use base64::Engine;
use base64::alphabet::{BCRYPT, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::digest::fault::HashFault;
use crate::error::Fault;
use crate::secret::Secret;

/// The key that a Firebase project signs its hashes with: "base64_signer_key" of its hash parameters.
///
/// It is a secret. With a dump of the hashes it is all that is needed to guess at the passwords.
#[derive(Clone, Debug)]
pub struct FirebaseKey(Secret<Vec<u8>>);

impl FirebaseKey {
    /// Reads it as the Firebase console shows it, in base64.
    ///
    /// # Errors
    /// [`HashFault::Malformed`]: no base64 of 32 to 128 bytes.
    pub fn parse(base64: &str) -> Result<Self, HashFault> {
        let key = either_alphabet(base64.trim()).ok_or(HashFault::Malformed)?;
        if !(32..=128).contains(&key.len()) {
            return Err(HashFault::Malformed);
        }
        Ok(Self(Secret::new(key)))
    }

    /// As a part of a hash's text.
    pub(super) fn to_text(&self) -> String {
        format!("$k={}", either(STANDARD).encode(self.0.expose()))
    }
}

/// A hash of another system that may be verified.
#[derive(Clone)]
pub(super) enum ForeignHash {
    Bcrypt {
        cost: u32,
        salt: [u8; 16],
        output: [u8; BCRYPT_OUTPUT],
    },
    Pbkdf2 {
        digest: Digest,
        iterations: NonZeroU32,
        salt: Vec<u8>,
        output: Vec<u8>,
    },
    Firebase {
        /// Binary logarithm of scrypt's N.
        memory_cost: u8,
        /// Scrypt's r.
        rounds: u32,
        /// The user's salt and the project's separator.
        salt: Vec<u8>,
        signer: FirebaseKey,
        output: Vec<u8>,
    },
}

/// Whoever has a hash guesses at home: none of it is shown (R-SEC-2).
impl fmt::Debug for ForeignHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ForeignHash(..)")
    }
}

/// What PBKDF2 runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Digest {
    Sha256,
    Sha512,
}

impl Digest {
    /// Bytes of one block.
    pub(super) const fn block(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn algorithm(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }
}

impl ForeignHash {
    /// Reads the text of a hash. `firebase` is the key of hashes that do not name one.
    pub(super) fn read(text: &str, firebase: Option<&FirebaseKey>) -> Result<Self, HashFault> {
        let parts: Vec<&str> = text.split('$').collect();
        match parts.as_slice() {
            // `2x` and `2` mark hashes of known broken implementations.
            ["", "2a" | "2b" | "2y", cost, rest] => read_bcrypt(cost, rest),
            ["", "pbkdf2-sha256", params, salt, output] => read_phc(Digest::Sha256, params, salt, output),
            ["", "pbkdf2-sha512", params, salt, output] => read_phc(Digest::Sha512, params, salt, output),
            ["pbkdf2_sha256", iterations, salt, output] => {
                let output = either_alphabet(output).ok_or(HashFault::Malformed)?;
                // Django takes the salt as the text that it is.
                pbkdf2_hash(Digest::Sha256, iterations, salt.as_bytes().to_vec(), output)
            }
            ["", "f_scrypt", output, salt, params @ ..] => read_firebase(output, salt, params, firebase),
            _ => Err(HashFault::Unknown),
        }
    }

    /// What a verification allocates, in KiB.
    pub(super) fn memory_kib(&self) -> u32 {
        match self {
            Self::Bcrypt { .. } | Self::Pbkdf2 { .. } => 8,
            Self::Firebase {
                memory_cost, rounds, ..
            } => (rounds << memory_cost) / 8,
        }
    }

    /// Whether `password` is right, in these very bytes.
    pub(super) fn matches(&self, password: &[u8]) -> Result<bool, Fault> {
        match self {
            Self::Bcrypt { cost, salt, output } => {
                let computed = Zeroizing::new(bcrypt(*cost, *salt, password));
                let right = computed.iter().zip(output).fold(0, |odd, (a, b)| odd | (a ^ b));
                // One that holds a NUL would stand for others: bcrypt repeats a short password, with a NUL behind it.
                Ok(bool::from(right.ct_eq(&0)) && !password.contains(&0))
            }
            Self::Pbkdf2 {
                digest,
                iterations,
                salt,
                output,
            } => {
                let computed = pbkdf2(*digest, *iterations, salt, password, output.len());
                Ok(computed.ct_eq(output).into())
            }
            Self::Firebase {
                memory_cost,
                rounds,
                salt,
                signer,
                output,
            } => {
                let key = scrypt(*memory_cost, *rounds, salt, password)?;
                let mut computed = Zeroizing::new(signer.0.expose().clone());
                encrypt(&key, &mut computed)?;
                Ok(computed.ct_eq(output).into())
            }
        }
    }
}

fn read_bcrypt(cost: &str, rest: &str) -> Result<ForeignHash, HashFault> {
    let malformed = || HashFault::Malformed;
    let (salt, output) = rest.split_at_checked(22).ok_or_else(malformed)?;
    if cost.len() != 2 || output.len() != 31 {
        return Err(malformed());
    }
    let cost: u32 = number(cost)?;
    let salt = of_bcrypt()
        .decode(salt)
        .ok()
        .and_then(|salt| salt.try_into().ok());
    let output = of_bcrypt()
        .decode(output)
        .ok()
        .and_then(|out| out.try_into().ok());
    match (cost, salt, output) {
        (MAX_BCRYPT_COST_AND_ONE.., _, _) => Err(HashFault::TooCostly),
        (MIN_BCRYPT_COST.., Some(salt), Some(output)) => Ok(ForeignHash::Bcrypt { cost, salt, output }),
        _ => Err(malformed()),
    }
}

/// `i=29000`, `i=29000,l=32` as the PHC string format has it, or the bare number of passlib.
fn read_phc(digest: Digest, params: &str, salt: &str, output: &str) -> Result<ForeignHash, HashFault> {
    // passlib writes a dot for the plus.
    let bytes = |text: &str| either_alphabet(&text.replace('.', "+")).ok_or(HashFault::Malformed);
    let (salt, output) = (bytes(salt)?, bytes(output)?);
    let mut params = params.split(',');
    let iterations = params.next().unwrap_or_default();
    let length = params.next().map(|length| length.strip_prefix("l="));
    let agrees = match length {
        None => true,
        Some(length) => number::<usize>(length.ok_or(HashFault::Malformed)?)? == output.len(),
    };
    if !agrees || params.next().is_some() {
        return Err(HashFault::Malformed);
    }
    let iterations = iterations.strip_prefix("i=").unwrap_or(iterations);
    pbkdf2_hash(digest, iterations, salt, output)
}

fn pbkdf2_hash(
    digest: Digest,
    iterations: &str,
    salt: Vec<u8>,
    output: Vec<u8>,
) -> Result<ForeignHash, HashFault> {
    let iterations: NonZeroU32 = NonZeroU32::new(number(iterations)?).ok_or(HashFault::Malformed)?;
    if iterations.get() > MAX_ITERATIONS {
        return Err(HashFault::TooCostly);
    }
    if salt.is_empty() || !(16..=64).contains(&output.len()) {
        return Err(HashFault::Malformed);
    }
    Ok(ForeignHash::Pbkdf2 {
        digest,
        iterations,
        salt,
        output,
    })
}

/// `$f_scrypt$hash$salt$m=14$r=8$s=separator`, and `$k=signer key` where the hash brings it along. The parameters come in
/// any order, each once.
fn read_firebase(
    output: &str,
    salt: &str,
    params: &[&str],
    firebase: Option<&FirebaseKey>,
) -> Result<ForeignHash, HashFault> {
    let malformed = HashFault::Malformed;
    let (mut memory, mut rounds, mut separator, mut key) = (None, None, None, None);
    for param in params {
        let (name, value) = param.split_once('=').ok_or(malformed)?;
        let place = match name {
            "m" => &mut memory,
            "r" => &mut rounds,
            "s" => &mut separator,
            "k" => &mut key,
            _ => return Err(malformed),
        };
        if place.replace(value).is_some() {
            return Err(malformed);
        }
    }
    let (memory_cost, rounds): (u8, u32) = (
        number(memory.ok_or(malformed)?)?,
        number(rounds.ok_or(malformed)?)?,
    );
    if memory_cost > MAX_FIREBASE_MEMORY || rounds > MAX_FIREBASE_ROUNDS {
        return Err(HashFault::TooCostly);
    }
    let output = either_alphabet(output).ok_or(malformed)?;
    let mut salt = either_alphabet(salt).ok_or(malformed)?;
    salt.extend(either_alphabet(separator.unwrap_or_default()).ok_or(malformed)?);
    let signer = match key {
        Some(key) => FirebaseKey::parse(key)?,
        None => firebase.ok_or(HashFault::NoSignerKey)?.clone(),
    };
    let length = signer.0.expose().len();
    if memory_cost == 0 || rounds == 0 || salt.is_empty() || output.len() != length {
        return Err(malformed);
    }
    Ok(ForeignHash::Firebase {
        memory_cost,
        rounds,
        salt,
        signer,
        output,
    })
}

/// A number without a sign, without a zero in front of it, and without anything behind it.
fn number<T: std::str::FromStr>(text: &str) -> Result<T, HashFault> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    // One that is no number of the type is far above every cap.
    match text.parse() {
        Ok(number) if plain => Ok(number),
        Err(_) if plain => Err(HashFault::TooCostly),
        _ => Err(HashFault::Malformed),
    }
}

/// The first 72 bytes of a password with a NUL behind it, as all of its implementations take them.
pub(super) fn bcrypt(cost: u32, salt: [u8; 16], password: &[u8]) -> [u8; BCRYPT_OUTPUT] {
    let mut taken = Zeroizing::new([0; BCRYPT_TAKES]);
    let mut length = BCRYPT_TAKES;
    for (n, (place, byte)) in taken.iter_mut().zip(password.iter().chain([&0])).enumerate() {
        *place = *byte;
        length = n + 1;
    }
    let taken = taken.get(..length).unwrap_or_default();
    let output = Zeroizing::new(::bcrypt::bcrypt(cost, salt, taken));
    let mut kept = [0; BCRYPT_OUTPUT];
    // The text of a hash leaves out the last byte.
    kept.iter_mut()
        .zip(output.iter())
        .for_each(|(to, from)| *to = *from);
    kept
}

pub(super) fn pbkdf2(
    digest: Digest,
    iterations: NonZeroU32,
    salt: &[u8],
    password: &[u8],
    len: usize,
) -> Zeroizing<Vec<u8>> {
    let mut output = Zeroizing::new(vec![0; len]);
    pbkdf2::derive(digest.algorithm(), iterations, salt, password, &mut output);
    output
}

pub(super) fn scrypt(
    memory_cost: u8,
    rounds: u32,
    salt: &[u8],
    password: &[u8],
) -> Result<Zeroizing<[u8; 64]>, Fault> {
    let params = ::scrypt::Params::new(memory_cost, rounds, 1).map_err(part)?;
    let mut output = Zeroizing::new([0; 64]);
    ::scrypt::scrypt(password, salt, &params, &mut *output).map_err(part)?;
    Ok(output)
}

/// AES-256 in counter mode from zero, under the first half of `key`.
fn encrypt(key: &[u8; 64], text: &mut [u8]) -> Result<(), Fault> {
    let broken = |_| Fault::Key("a Firebase hash could not be computed");
    let (key, _) = key.split_at(32);
    let key = EncryptingKey::ctr(UnboundCipherKey::new(&AES_256, key).map_err(broken)?).map_err(broken)?;
    let zero = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    key.less_safe_encrypt(text, zero).map_err(broken)?;
    Ok(())
}

fn part(error: impl std::error::Error + Send + Sync + 'static) -> Fault {
    Fault::Part(Box::new(error))
}

/// Base64 of either alphabet, padded or not: exports have both.
fn either_alphabet(text: &str) -> Option<Vec<u8>> {
    let alphabet = match text.contains(['-', '_']) {
        true => URL_SAFE,
        false => STANDARD,
    };
    either(alphabet).decode(text).ok()
}

fn either(alphabet: base64::alphabet::Alphabet) -> GeneralPurpose {
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    GeneralPurpose::new(&alphabet, config)
}

/// Salts and outputs of bcrypt: some of its implementations leave bits behind the last byte.
fn of_bcrypt() -> GeneralPurpose {
    let config = GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&BCRYPT, config)
}

/// Bytes of a password that bcrypt takes.
pub(super) const BCRYPT_TAKES: usize = 72;

/// Bytes of its output that a text keeps.
pub(super) const BCRYPT_OUTPUT: usize = 23;

pub(super) const MIN_BCRYPT_COST: u32 = 4;

/// About half a second.
pub(super) const MAX_BCRYPT_COST: u32 = 13;

const MAX_BCRYPT_COST_AND_ONE: u32 = MAX_BCRYPT_COST + 1;

/// More than is bearable of either digest: this only bounds what is read.
pub(super) const MAX_ITERATIONS: u32 = 2_000_000;

/// The most that Firebase takes by itself.
pub(super) const MAX_FIREBASE_MEMORY: u8 = 14;

/// The most that Firebase takes by itself.
pub(super) const MAX_FIREBASE_ROUNDS: u32 = 8;
