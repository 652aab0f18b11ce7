//! Password hashing: Argon2id in PHC strings, off the async thread; and the hashes of other systems, verified once.
//!
//! Hashing and verification cost the same whoever asks: a user that does not exist, and a stored hash that cannot be
//! read, take a hash of the present parameters too (requirement R-ENU-1), and where users have hashes of other systems a
//! check that fails takes what the costliest of these takes, within bounds. What is stored is judged before it is obeyed, since a row may
//! have been altered or imported: its costs are capped. Whether a password is acceptable is decided in
//! [`crate::password`].
//!
//! | text | made by |
//! | --- | --- |
//! | `$argon2id$v=19$m=19456,t=2,p=1$salt$hash` | us, and others |
//! | `$2a$…`, `$2b$…`, `$2y$…` | bcrypt. It takes 72 bytes of a password, and so does the check, once |
//! | `$pbkdf2-sha256$i=27500,l=64$salt$hash`, `$pbkdf2-sha512$…` | PBKDF2 as PHC strings; passlib writes the bare number for `i=` |
//! | `pbkdf2_sha256$600000$salt$hash` | Django, whose names in front of others (`argon2$argon2id$…`, `bcrypt$$2b$…`) are read over |
//! | `$f_scrypt$hash$salt$m=14$r=8$s=separator`, with `$k=signer key` or a key that is configured | Firebase |
//!
//! Hashes of others are compared with the bytes as they were typed first, and with their normalization form NFKC then.
//!
//! # Source
//! RFC 9106; RFC 8018 §5.2; RFC 7914; OWASP Password Storage Cheat Sheet; ASVS v5.0.0-11.4.2; NIST SP 800-63B-4 §3.1.1.2.

mod argon;
mod effort;
mod fault;
mod foreign;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use subtle::ConstantTimeEq;

use crate::digest::argon::{ArgonHash, OUTPUT_LEN, SALT_LEN, derive, phc_string};
use crate::digest::effort::{Effort, Expected};
use crate::digest::foreign::{BCRYPT_TAKES, ForeignHash};
use crate::entropy::{self, Entropy};
use crate::error::Fault;
use crate::offload::{Offload, compute};
use crate::password::Password;
use crate::secret::Secret;

pub use crate::digest::argon::{HashParams, HashParamsError};
pub use crate::digest::effort::{ForeignCost, are_bearable};
pub use crate::digest::fault::HashFault;
pub use crate::digest::foreign::FirebaseKey;

/// Hashes passwords and verifies them.
#[derive(Debug)]
pub struct PasswordHasher {
    params: HashParams,
    /// Of hashes that are computed for nobody.
    decoy_salt: [u8; SALT_LEN],
    /// The work of a check that fails.
    expected: Mutex<Expected>,
    firebase: Option<FirebaseKey>,
    entropy: Arc<dyn Entropy>,
    offload: Arc<dyn Offload>,
}

/// What a stored hash says about a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The password is right.
    Right {
        /// The hash is another one than would be made today: store a new one, by compare-and-set on the old (threat
        /// A-PWD-06).
        rehash: bool,
    },
    /// The password is wrong.
    Wrong,
    /// The stored text is no hash that we would verify: unknown, malformed, or too costly. It counts as wrong, and is
    /// worth an event: somebody may have written to the database (threat A-PWD-05).
    Hostile,
}

/// When what is missing to the expected work is done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pad {
    /// If the password is wrong. Whoever knows the right one learns nothing from the time.
    UnlessRight,
    /// Whatever comes of it.
    Always,
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
        Ok(Self {
            params,
            decoy_salt: entropy::bytes(&*entropy)?,
            expected: Mutex::new(Expected::of(params)),
            firebase: None,
            entropy,
            offload,
        })
    }

    /// With the key of a Firebase project, for hashes that do not name theirs.
    #[must_use]
    pub fn with_firebase(mut self, key: Option<FirebaseKey>) -> Self {
        self.firebase = key;
        self
    }

    /// Expects that users have hashes of these costs, so that none of them is told from others from the first check on. What
    /// is more than [`are_bearable`] is left out.
    #[must_use]
    pub fn expecting(self, costs: &[ForeignCost]) -> Self {
        for cost in costs {
            let _ = self.expected().raise_foreign(Effort::of(*cost));
        }
        self
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

    /// Whether `password` is the one that the stored `text` was made from.
    ///
    /// # Errors
    /// [`Fault::Busy`] when too many are hashing.
    pub async fn verify(&self, text: &str, password: &Password) -> Result<Verdict, Fault> {
        self.judge(Some(text), password, Pad::UnlessRight).await
    }

    /// The same where the answer will be no, whatever the password is: a right one takes as long as a wrong one.
    ///
    /// # Errors
    /// As [`PasswordHasher::verify`].
    pub async fn verify_in_vain(&self, text: &str, password: &Password) -> Result<Verdict, Fault> {
        self.judge(Some(text), password, Pad::Always).await
    }

    /// Spends what [`PasswordHasher::verify`] would have spent on a wrong password, where there is no hash to verify.
    ///
    /// # Errors
    /// As [`PasswordHasher::verify`].
    pub async fn burn(&self, password: &Password) -> Result<(), Fault> {
        self.judge(None, password, Pad::Always).await.map(drop)
    }

    /// Reads the `text` of a hash that is to be stored, and expects more like it. The text to store: it brings along what
    /// it takes to verify it.
    ///
    /// # Errors
    /// [`HashFault`]: it would not be verified, or not beside those that are expected.
    pub fn admit(&self, text: &str) -> Result<Secret<String>, HashFault> {
        let (effort, text) = admit(text, self.firebase.as_ref())?;
        match self.expected().raise_foreign(effort) {
            true => Ok(text),
            false => Err(HashFault::TooCostly),
        }
    }

    /// Whether `text` holds for other passwords that begin like `password` as well. What is stored in its place has to be
    /// looked at again if somebody else was quicker to replace it (threat A-PWD-01).
    pub fn cuts(&self, text: &str, password: &Password) -> bool {
        let bcrypt = matches!(
            self.read(text),
            Ok(StoredHash::Foreign(ForeignHash::Bcrypt { .. }))
        );
        bcrypt && (password.typed().len() >= BCRYPT_TAKES || password.normal().len() >= BCRYPT_TAKES)
    }

    fn read(&self, text: &str) -> Result<StoredHash, HashFault> {
        StoredHash::read(text, self.firebase.as_ref())
    }

    /// Raises the work of a check that fails to that of `stored`. False if that is more than any check may cost.
    ///
    /// Who calls this opened the text under a key of the site, for its row: an import stored it, in another process.
    fn expects(&self, stored: &StoredHash) -> bool {
        let mut expected = self.expected();
        if stored.is_foreign() {
            return expected.raise_foreign(stored.effort());
        }
        expected.raise_own(stored.effort());
        true
    }

    fn expected(&self) -> MutexGuard<'_, Expected> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn judge(&self, text: Option<&str>, password: &Password, pad: Pad) -> Result<Verdict, Fault> {
        let stored = text.and_then(|text| self.read(text).ok());
        // What no other check is made to cost would tell its user from others: it is not verified.
        let stored = stored.filter(|stored| self.expects(stored));
        let (params, salt, expected) = (self.params, self.decoy_salt, *self.expected());
        let own = stored.as_ref().map_or(0, StoredHash::memory_kib);
        let memory_kib = expected.work(1).memory_kib(params).max(own);
        let password = password.clone();
        compute(&*self.offload, memory_kib, move || {
            let (typed, normal) = (password.typed(), password.normal());
            let forms = if typed == normal.as_str() { 1 } else { 2 };
            let mut verdict = match stored {
                Some(_) => Verdict::Wrong,
                None => Verdict::Hostile,
            };
            let mut spent = Effort::default();
            for form in stored.iter().flat_map(|stored| stored.order(typed, &normal)) {
                let Some(stored) = &stored else { break };
                spent = spent + stored.effort();
                if stored.matches(form)? {
                    let rehash = stored.is_old(params) || form != normal.as_str();
                    verdict = Verdict::Right { rehash };
                    break;
                }
            }
            if pad == Pad::Always || !matches!(verdict, Verdict::Right { .. }) {
                expected.work(forms).minus(spent).burn(params, &salt, &normal)?;
            }
            Ok(verdict)
        })
        .await?
    }
}

/// Reads the `text` of a hash that is to be stored, without a hasher: for tools.
///
/// # Errors
/// [`HashFault`]: it would not be verified.
pub fn admit_hash(text: &str, firebase: Option<&FirebaseKey>) -> Result<Secret<String>, HashFault> {
    let (effort, text) = admit(text, firebase)?;
    match effort.is_bearable() {
        true => Ok(text),
        false => Err(HashFault::TooCostly),
    }
}

/// What it costs to verify the `text` of a hash, if another system made it: for
/// `Password::with_imported`.
pub fn foreign_cost(text: &str, firebase: Option<&FirebaseKey>) -> Option<ForeignCost> {
    match StoredHash::read(text, firebase).ok()? {
        StoredHash::Argon(ArgonHash { params, .. }) if params == HashParams::default() => None,
        StoredHash::Argon(ArgonHash { params, .. }) | StoredHash::ForeignArgon(ArgonHash { params, .. }) => {
            Some(ForeignCost::Argon2id {
                memory_kib: params.memory_kib,
                passes: params.passes,
            })
        }
        StoredHash::Foreign(hash) => Some(effort::cost_of(&hash)),
    }
}

/// The work of a hash that is to be stored, and its text.
fn admit(text: &str, firebase: Option<&FirebaseKey>) -> Result<(Effort, Secret<String>), HashFault> {
    let stored = StoredHash::read(text, firebase)?;
    if let StoredHash::Argon(_) = stored {
        // So that it is known for another's: it may have been made from what is no normal form.
        return Ok((stored.effort(), Secret::new(format!("{FOREIGN_ARGON}{text}"))));
    }
    let brings_key = text.contains("$k=");
    let key = match (&stored, firebase) {
        (StoredHash::Foreign(ForeignHash::Firebase { .. }), Some(key)) if !brings_key => key.to_text(),
        _ => String::new(),
    };
    Ok((stored.effort(), Secret::new(format!("{text}{key}"))))
}

/// A stored hash that may be verified.
#[derive(Clone, Debug)]
enum StoredHash {
    /// Made here, or without a word of where.
    Argon(ArgonHash),
    /// Made elsewhere.
    ForeignArgon(ArgonHash),
    Foreign(ForeignHash),
}

impl StoredHash {
    fn read(text: &str, firebase: Option<&FirebaseKey>) -> Result<Self, HashFault> {
        if text.len() > MAX_TEXT || !text.is_ascii() {
            return Err(HashFault::Malformed);
        }
        // Django writes the name of its hasher in front of texts that have their own.
        let bare = match text.split_once('$') {
            Some(("bcrypt", rest)) => rest,
            _ => text.strip_prefix(FOREIGN_ARGON).unwrap_or(text),
        };
        match bare.starts_with("$argon2") {
            true if bare != text => ArgonHash::read(bare).map(Self::ForeignArgon),
            true => ArgonHash::read(bare).map(Self::Argon),
            false => ForeignHash::read(bare, firebase).map(Self::Foreign),
        }
    }

    fn effort(&self) -> Effort {
        match self {
            Self::Argon(hash) | Self::ForeignArgon(hash) => Effort::of_argon_hash(hash),
            Self::Foreign(hash) => Effort::of_foreign(hash),
        }
    }

    fn memory_kib(&self) -> u32 {
        match self {
            Self::Argon(hash) | Self::ForeignArgon(hash) => hash.params.memory_kib,
            Self::Foreign(hash) => hash.memory_kib(),
        }
    }

    /// The forms of a password, in the order in which they are tried. Ours were made from the normal form; those of others
    /// from what was typed, or from a normal form.
    fn order<'p>(&self, typed: &'p str, normal: &'p str) -> impl Iterator<Item = &'p str> + use<'p> {
        let first = if self.is_foreign() { typed } else { normal };
        std::iter::once(first).chain((first != normal).then_some(normal))
    }

    fn is_foreign(&self) -> bool {
        !matches!(self, Self::Argon(_))
    }

    fn matches(&self, password: &str) -> Result<bool, Fault> {
        match self {
            Self::Argon(hash) | Self::ForeignArgon(hash) => {
                let ArgonHash { params, salt, output } = hash;
                let computed = derive(*params, password, salt, output.len())?;
                Ok(computed.ct_eq(output).into())
            }
            Self::Foreign(hash) => hash.matches(password.as_bytes()),
        }
    }

    /// Whether another one would be made today.
    fn is_old(&self, params: HashParams) -> bool {
        match self {
            Self::Argon(hash) => hash.is_weaker_than(params),
            Self::ForeignArgon(_) | Self::Foreign(_) => true,
        }
    }
}

/// What stands in front of an Argon2id hash of others, as Django writes it.
const FOREIGN_ARGON: &str = "argon2";

/// No text of ours or of a peer comes near.
const MAX_TEXT: usize = 512;

#[cfg(test)]
mod tests;
