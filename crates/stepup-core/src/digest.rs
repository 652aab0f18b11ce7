//! Password hashing: Argon2id in PHC strings, off the async thread.
//!
//! Hashing and verification cost the same whoever asks: a user that does not exist, and a stored hash that cannot be
//! read, take a hash of the present parameters too (requirement R-ENU-1). What is stored is judged before it is obeyed,
//! since a row may have been altered or imported: its costs are capped. Whether a password is acceptable is decided in
//! [`crate::password`].
//!
//! # Source
//! RFC 9106; OWASP Password Storage Cheat Sheet; ASVS v5.0.0-11.4.2; NIST SP 800-63B-4 §3.1.1.2.

use std::sync::Arc;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::entropy::{self, Entropy};
use crate::error::Fault;
use crate::offload::{Offload, compute};
use crate::password::Password;
use crate::secret::Secret;

/// Hashes passwords and verifies them.
#[derive(Debug)]
pub struct PasswordHasher {
    params: HashParams,
    /// A hash that no password is known for, verified in place of one that is not there.
    decoy: Stored,
    entropy: Arc<dyn Entropy>,
    offload: Arc<dyn Offload>,
}

/// What a stored hash says about a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right.
    Right {
        /// The hash is weaker than one made today: store a new one, by compare-and-set on the old (threat A-PWD-06).
        rehash: bool,
    },
    /// The password is wrong.
    Wrong,
    /// The stored text is no hash that we would verify: unknown, malformed, or too costly. It counts as wrong, and is
    /// worth an event: somebody may have written to the database (threat A-PWD-05).
    Hostile,
}

impl PasswordHasher {
    /// A hasher with `params` for new hashes.
    ///
    /// # Errors
    /// [`Fault::Entropy`].
    pub fn new(
        params: HashParams,
        entropy: Arc<dyn Entropy>,
        offload: Arc<dyn Offload>,
    ) -> Result<Self, Fault> {
        let decoy = Stored {
            params,
            salt: entropy::bytes::<SALT_LEN>(&*entropy)?.to_vec(),
            output: entropy::bytes::<OUTPUT_LEN>(&*entropy)?.to_vec(),
        };
        Ok(Self {
            params,
            decoy,
            entropy,
            offload,
        })
    }

    /// A PHC string for `password`, with a fresh salt.
    ///
    /// # Errors
    /// [`Fault::Busy`] when too many are hashing; [`Fault::Entropy`].
    pub async fn hash(&self, password: &Password) -> Result<Secret<String>, Fault> {
        let params = self.params;
        let salt: [u8; SALT_LEN] = entropy::bytes(&*self.entropy)?;
        let password = password.normal();
        let output = compute(&*self.offload, params.memory_kib, move || {
            derive(params, &password, &salt, OUTPUT_LEN)
        })
        .await??;
        Ok(Secret::new(phc_string(params, &salt, &output)?))
    }

    /// Whether `password` is the one that `phc` was made from.
    ///
    /// # Errors
    /// [`Fault::Busy`] when too many are hashing.
    pub async fn verify(&self, phc: &str, password: &Password) -> Result<Verdict, Fault> {
        let Some(stored) = Stored::read(phc) else {
            self.burn(password).await?;
            return Ok(Verdict::Hostile);
        };
        let rehash = stored.is_weaker_than(self.params);
        match self.matches(stored, password).await? {
            true => Ok(Verdict::Right { rehash }),
            false => Ok(Verdict::Wrong),
        }
    }

    /// Spends what [`PasswordHasher::verify`] would have spent, where there is no hash to verify.
    ///
    /// # Errors
    /// As [`PasswordHasher::verify`].
    pub async fn burn(&self, password: &Password) -> Result<(), Fault> {
        self.matches(self.decoy.clone(), password).await.map(drop)
    }

    async fn matches(&self, stored: Stored, password: &Password) -> Result<bool, Fault> {
        let password = password.normal();
        compute(&*self.offload, stored.params.memory_kib, move || {
            let output = derive(stored.params, &password, &stored.salt, stored.output.len())?;
            Ok(bool::from(output.ct_eq(&stored.output)))
        })
        .await?
    }
}

/// The cost of a hash. A value in hand is above the floor and below the caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashParams {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// A cost that is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashParamsError {
    /// Cheaper to guess than the standards allow.
    #[error("argon2id needs at least 46 MiB and 1 pass, 19 MiB and 2, or 12 MiB and 3")]
    TooWeak,
    /// So costly that a few sign-ins would stop the service.
    #[error("argon2id may take at most 256 MiB, 10 passes and 8 lanes")]
    TooCostly,
}

impl HashParams {
    /// `memory_kib` KiB of memory, gone over `passes` times, in `lanes` lanes.
    ///
    /// # Errors
    /// Below the floor of OWASP and ASVS, or above what we would verify.
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, HashParamsError> {
        let params = Self {
            memory_kib,
            passes,
            lanes,
        };
        if !params.is_bearable() {
            return Err(HashParamsError::TooCostly);
        }
        let is_strong = FLOOR
            .iter()
            .any(|(least_kib, least_passes)| memory_kib >= *least_kib && passes >= *least_passes);
        if is_strong && params.is_possible() {
            Ok(params)
        } else {
            Err(HashParamsError::TooWeak)
        }
    }

    /// Memory, in KiB.
    pub fn memory_kib(self) -> u32 {
        self.memory_kib
    }

    /// Passes over the memory.
    pub fn passes(self) -> u32 {
        self.passes
    }

    /// Lanes.
    pub fn lanes(self) -> u32 {
        self.lanes
    }

    /// Whether a verification at this cost does not hurt.
    fn is_bearable(self) -> bool {
        self.memory_kib <= 256 * 1024 && self.passes <= 10 && self.lanes <= 8
    }

    /// Whether there is such a hash at all (RFC 9106 §3.1).
    fn is_possible(self) -> bool {
        self.passes >= 1 && self.lanes >= 1 && self.memory_kib / 8 >= self.lanes
    }
}

/// 19 MiB, two passes, one lane.
impl Default for HashParams {
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            passes: 2,
            lanes: 1,
        }
    }
}

/// A stored hash that may be verified.
#[derive(Clone, Debug)]
struct Stored {
    params: HashParams,
    salt: Vec<u8>,
    output: Vec<u8>,
}

impl Stored {
    /// Reads a PHC string; none if it is not Argon2id, version 19, within the caps.
    fn read(phc: &str) -> Option<Self> {
        if phc.len() > MAX_PHC_BYTES || !phc.is_ascii() {
            return None;
        }
        let hash = PasswordHash::new(phc).ok()?;
        if hash.algorithm.as_str() != "argon2id" || hash.version != Some(Version::V0x13.into()) {
            return None;
        }
        // Exactly these: a key id or associated data would be ignored, and then the password be judged by less.
        let names: Vec<String> = hash.params.iter().map(|(name, _)| name.to_string()).collect();
        if names != ["m", "t", "p"] {
            return None;
        }
        let params = HashParams {
            memory_kib: hash.params.get_decimal("m")?,
            passes: hash.params.get_decimal("t")?,
            lanes: hash.params.get_decimal("p")?,
        };
        let salt = hash.salt?.to_vec();
        let output = hash.hash?.as_bytes().to_vec();
        // Fewer than 16 bytes of output begin to match by chance.
        if !params.is_bearable() || !params.is_possible() || output.len() < 16 {
            return None;
        }
        Some(Self { params, salt, output })
    }

    fn is_weaker_than(&self, params: HashParams) -> bool {
        self.params.memory_kib < params.memory_kib
            || self.params.passes < params.passes
            || self.salt.len() < SALT_LEN
            || self.output.len() < OUTPUT_LEN
    }
}

/// The hash itself.
fn derive(params: HashParams, password: &str, salt: &[u8], len: usize) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let costs = Params::new(params.memory_kib, params.passes, params.lanes, Some(len))
        .map_err(|error| Fault::Part(Box::new(error)))?;
    let mut output = Zeroizing::new(vec![0; len]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, costs)
        .hash_password_into(password.as_bytes(), salt, &mut output)
        .map_err(|error| match error {
            argon2::Error::OutOfMemory => Fault::Busy,
            error => Fault::Part(Box::new(error)),
        })?;
    Ok(output)
}

/// `$argon2id$v=19$m=..,t=..,p=..$salt$output`, as the PHC string format writes it.
fn phc_string(params: HashParams, salt: &[u8], output: &[u8]) -> Result<String, Fault> {
    let HashParams {
        memory_kib: m,
        passes: t,
        lanes: p,
    } = params;
    let malformed = |_| Fault::Key("hash is not to be written as PHC");
    let salt = Salt::new(salt).map_err(malformed)?;
    let output = Output::new(output).map_err(malformed)?;
    Ok(format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${output}"))
}

/// The floor: memory in KiB, and passes.
///
/// # Source
/// OWASP Password Storage Cheat Sheet; ASVS v5.0.0, appendix C.
const FLOOR: [(u32, u32); 3] = [(46 * 1024, 1), (19 * 1024, 2), (12 * 1024, 3)];

/// No PHC string of ours or of a peer comes near.
const MAX_PHC_BYTES: usize = 512;

const SALT_LEN: usize = 16;

const OUTPUT_LEN: usize = 32;

#[cfg(test)]
mod tests;
