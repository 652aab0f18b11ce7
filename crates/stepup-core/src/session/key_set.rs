//! A key set as somebody else published it: read strictly, of one algorithm, for services that only verify; and the
//! set that such a service holds, for as long as it is fresh.
//!
//! The document comes over the network, from an address that was configured. It decides which keys verify and nothing
//! else: not the algorithm, not the issuer, and no further address. What is not of the form that we publish is passed
//! over, so that nothing unknown ever verifies a token; a document that contradicts itself is refused as a whole.
//!
//! # Source
//! RFC 7517 §4 and §5, RFC 7518 §6, RFC 8037 §2; R-TOK-1 of the threat model.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::keys::{Keys, Verifies, header_of, is_kid, next_number};
use super::signature::{PublicKey, SigningAlgorithm};
use crate::json;
use crate::record::JsonMap;
use crate::time::Timestamp;

/// The longest key set that is read, in bytes. Sixteen keys of RSA have less than half of it.
pub const MAX_KEY_SET: usize = 16 * 1024;

/// The most keys in a set. A site publishes two, three while one is retired.
pub const MAX_KEYS: usize = 16;

/// The public keys of a site, of one algorithm.
#[derive(Clone, Default)]
pub struct KeySet(Vec<Arc<PublishedKey>>);

impl KeySet {
    /// Reads a key set. Only keys of `algorithm` with the members that we publish are taken of it.
    ///
    /// # Errors
    /// [`KeySetError`]: nothing of it is to be used, and the keys known before stay.
    pub fn read(document: &[u8], algorithm: SigningAlgorithm) -> Result<Self, KeySetError> {
        if document.len() > MAX_KEY_SET {
            return Err(KeySetError::TooLong);
        }
        let document = json::read_object(document).map_err(|_| KeySetError::Malformed)?;
        let Some(Value::Array(entries)) = document.get("keys") else {
            return Err(KeySetError::Malformed);
        };
        if entries.len() > MAX_KEYS {
            return Err(KeySetError::TooMany);
        }
        let mut keys: Vec<Arc<PublishedKey>> = Vec::new();
        for entry in entries {
            let Value::Object(members) = entry else {
                return Err(KeySetError::Malformed);
            };
            if PRIVATE.iter().any(|name| members.contains_key(*name)) {
                return Err(KeySetError::Private);
            }
            let Some(key) = PublishedKey::read(members, algorithm) else {
                continue;
            };
            if keys.iter().any(|other| other.kid == key.kid) {
                return Err(KeySetError::Ambiguous);
            }
            keys.push(Arc::new(key));
        }
        if keys.is_empty() {
            return Err(KeySetError::NoKey);
        }
        Ok(Self(keys))
    }

    /// The ids of its keys.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|key| key.kid.as_str())
    }
}

impl Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySet")
            .field(&self.ids().collect::<Vec<_>>())
            .finish()
    }
}

/// The keys that a verifying service holds: those of the last document, until it is too old.
#[derive(Debug)]
pub(crate) struct HeldKeys {
    algorithm: SigningAlgorithm,
    keep_for: Duration,
    held: RwLock<Held>,
    version: AtomicU64,
}

/// The keys, and when the site was last seen to publish them.
#[derive(Debug, Default)]
struct Held {
    keys: KeySet,
    confirmed_at: Option<Timestamp>,
}

impl HeldKeys {
    /// None yet. Those to come are of `algorithm`, and may be used for `keep_for` without being confirmed.
    pub(crate) fn new(algorithm: SigningAlgorithm, keep_for: Duration) -> Self {
        Self {
            algorithm,
            keep_for,
            held: RwLock::default(),
            version: AtomicU64::new(0),
        }
    }

    /// Takes the keys of `document`, which is as old as `asked_at`, and of no other.
    ///
    /// # Errors
    /// [`KeySetError`]; the keys held before stay, and grow older.
    pub(crate) fn replace(&self, document: &[u8], asked_at: Timestamp) -> Result<(), KeySetError> {
        // Read here, so that no caller can bring keys of another algorithm.
        let mut keys = KeySet::read(document, self.algorithm)?;
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        for key in &mut keys.0 {
            // The same key is not a new one: tokens that it verified stay remembered.
            if let Some(same) = held.keys.0.iter().find(|other| other.jwk == key.jwk) {
                *key = Arc::clone(same);
            }
        }
        let numbers = |keys: &KeySet| keys.0.iter().map(|key| key.number).collect::<Vec<_>>();
        let changed = numbers(&held.keys) != numbers(&keys);
        *held = Held {
            keys,
            confirmed_at: Some(asked_at),
        };
        if changed {
            // Inside of the lock: whoever sees the new number sees the new keys.
            self.version.fetch_add(1, Ordering::Release);
        }
        Ok(())
    }

    /// Whether there are keys that may be used at `now`.
    pub(crate) fn are_fresh(&self, now: Timestamp) -> bool {
        self.with_held(|held| self.is_fresh(held, now))
    }

    fn is_fresh(&self, held: &Held, now: Timestamp) -> bool {
        let (from, until) = self.span(held);
        from <= now && now <= until
    }

    /// The first and the last moment at which the keys may be used. A clock that went back tells nothing about their age,
    /// so they count as too old then; the next fetch mends it.
    fn span(&self, held: &Held) -> (Timestamp, Timestamp) {
        match held.confirmed_at {
            Some(at) => (at.minus(SKEW), at.plus(self.keep_for)),
            None => (Timestamp::from_ms(i64::MAX), Timestamp::from_ms(i64::MIN)),
        }
    }

    fn with_held<T>(&self, read: impl FnOnce(&Held) -> T) -> T {
        read(&self.held.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Keys for HeldKeys {
    type Key = Arc<PublishedKey>;

    fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    fn by_header(&self, encoded: &str, now: Timestamp) -> Option<Arc<PublishedKey>> {
        self.with_held(|held| {
            let mut keys = held.keys.0.iter().filter(|_| self.is_fresh(held, now));
            keys.find(|key| key.header == encoded).cloned()
        })
    }

    fn knows(&self, kid: &str, _: Timestamp) -> bool {
        self.with_held(|held| held.keys.ids().any(|id| id == kid))
    }

    fn issued(&self, token: &str) -> bool {
        self.with_held(|held| held.keys.0.iter().any(|key| token.starts_with(&key.header)))
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn has_number(&self, number: u64) -> bool {
        self.with_held(|held| held.keys.0.iter().any(|key| key.number == number))
    }

    fn verifies_within(&self, _: &Arc<PublishedKey>) -> (Timestamp, Timestamp) {
        self.with_held(|held| self.span(held))
    }
}

/// Why a document is no key set that may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// More than [`MAX_KEY_SET`] bytes.
    #[error("the key set is longer than {MAX_KEY_SET} bytes")]
    TooLong,
    /// Not one JSON object with distinct members and a list of objects under `keys`.
    #[error("the key set is malformed")]
    Malformed,
    /// More than [`MAX_KEYS`] keys.
    #[error("the key set has more than {MAX_KEYS} keys")]
    TooMany,
    /// It holds a private or a shared key: whoever can read it can sign with it.
    #[error("the key set holds a private key")]
    Private,
    /// Two keys have the same id.
    #[error("two keys of the key set have the same id")]
    Ambiguous,
    /// No key of the algorithm in the form that we publish.
    #[error("the key set has no key of the expected algorithm")]
    NoKey,
}

/// One public key.
pub(crate) struct PublishedKey {
    /// Its number in this process.
    number: u64,
    jwk: JsonMap,
    kid: String,
    /// The header of its tokens, encoded.
    header: String,
    key: PublicKey,
}

impl PublishedKey {
    /// Reads a JWK; none if it is not one that we could have published for `algorithm`.
    fn read(members: &JsonMap, algorithm: SigningAlgorithm) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let (kty, crv, parts) = match algorithm {
            SigningAlgorithm::Es256 => ("EC", Some("P-256"), &["x", "y"][..]),
            SigningAlgorithm::EdDsa => ("OKP", Some("Ed25519"), &["x"][..]),
            SigningAlgorithm::Rs256 => ("RSA", None, &["n", "e"][..]),
        };
        let kid = text("kid").filter(|kid| is_kid(kid))?;
        let ours = text("kty") == Some(kty)
            && text("crv") == crv
            && text("alg") == Some(algorithm.name())
            && text("use") == Some("sig")
            // Nothing beside: no certificate, no address of one, no operation.
            && members.len() == 4 + usize::from(crv.is_some()) + parts.len();
        let key =
            ours.then(|| PublicKey::of_members(algorithm, |name| URL_SAFE_NO_PAD.decode(text(name)?).ok()))??;
        Some(Self {
            number: next_number(),
            jwk: members.clone(),
            kid: kid.to_owned(),
            header: header_of(kid, algorithm),
            key,
        })
    }
}

impl Verifies for Arc<PublishedKey> {
    fn verify(&self, signature: &str, message: &[u8]) -> bool {
        self.key.verify_text(signature, message)
    }

    fn number(&self) -> u64 {
        self.number
    }
}

/// How far a clock is set back in the ordinary course of things.
const SKEW: Duration = Duration::from_secs(60);

/// Members of private and shared keys (RFC 7518 §6.2.2, §6.3.2 and §6.4.1).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

#[cfg(test)]
mod tests;
