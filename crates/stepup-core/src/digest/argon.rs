//! Argon2id: its cost, and its PHC strings.

use std::fmt;

use argon2::password_hash::phc::{Output, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Params, Version};
use zeroize::Zeroizing;

use crate::digest::fault::HashFault;
use crate::error::Fault;

/// The cost of a hash. A value in hand is above the floor and below the caps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashParams {
    pub(super) memory_kib: u32,
    pub(super) passes: u32,
    pub(super) lanes: u32,
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
    pub(super) fn is_bearable(self) -> bool {
        self.memory_kib <= MAX_MEMORY_KIB && self.passes <= MAX_PASSES && self.lanes <= 8
    }

    /// Whether there is such a hash at all (RFC 9106 §3.1).
    pub(super) fn is_possible(self) -> bool {
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

/// An Argon2id hash that may be verified.
#[derive(Clone)]
pub(super) struct ArgonHash {
    pub(super) params: HashParams,
    pub(super) salt: Vec<u8>,
    pub(super) output: Vec<u8>,
}

/// Whoever has a hash guesses at home: none of it is shown (R-SEC-2).
impl fmt::Debug for ArgonHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ArgonHash(..)")
    }
}

impl ArgonHash {
    /// Reads a PHC string: Argon2id, version 19, within the caps.
    pub(super) fn read(phc: &str) -> Result<Self, HashFault> {
        let hash = PasswordHash::new(phc).map_err(|_| HashFault::Malformed)?;
        if hash.algorithm.as_str() != "argon2id" || hash.version != Some(Version::V0x13.into()) {
            return Err(HashFault::Unknown);
        }
        // Exactly these: a key id or associated data would be ignored, and then the password be judged by less.
        let names: Vec<String> = hash.params.iter().map(|(name, _)| name.to_string()).collect();
        if names != ["m", "t", "p"] {
            return Err(HashFault::Malformed);
        }
        let number = |name| hash.params.get_decimal(name).ok_or(HashFault::Malformed);
        let params = HashParams {
            memory_kib: number("m")?,
            passes: number("t")?,
            lanes: number("p")?,
        };
        let salt = hash.salt.ok_or(HashFault::Malformed)?.to_vec();
        let output = hash.hash.ok_or(HashFault::Malformed)?.as_bytes().to_vec();
        if !params.is_bearable() {
            return Err(HashFault::TooCostly);
        }
        // Fewer than 16 bytes of output begin to match by chance.
        if !params.is_possible() || output.len() < 16 {
            return Err(HashFault::Malformed);
        }
        Ok(Self { params, salt, output })
    }

    pub(super) fn is_weaker_than(&self, params: HashParams) -> bool {
        self.params.memory_kib < params.memory_kib
            || self.params.passes < params.passes
            || self.salt.len() < SALT_LEN
            || self.output.len() < OUTPUT_LEN
    }
}

/// The hash itself.
pub(super) fn derive(
    params: HashParams,
    password: &str,
    salt: &[u8],
    len: usize,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
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
pub(super) fn phc_string(params: HashParams, salt: &[u8], output: &[u8]) -> Result<String, Fault> {
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

/// The most memory of a hash that is verified.
pub(super) const MAX_MEMORY_KIB: u32 = 256 * 1024;

/// The most passes of a hash that is verified.
pub(super) const MAX_PASSES: u32 = 10;

pub(super) const SALT_LEN: usize = 16;

pub(super) const OUTPUT_LEN: usize = 32;
