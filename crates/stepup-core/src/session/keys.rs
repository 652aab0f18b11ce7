//! Signing keys: making them, rotating them, and the set of them that this process knows.
//!
//! Time is cut into intervals. The key of an interval signs until the interval ends, and verifies until the last token
//! that it signed has expired; after that it is unknown, whether or not anybody has deleted it. The next key is made,
//! and published, a quarter of an hour before it is needed, so that other nodes and other verifiers have fetched it by
//! then. An interval is a unique slot in the store: of several nodes that rotate at once one wins, and the others use
//! its key. Private keys are sealed by the keyring, bound to their id, algorithm and times.
//!
//! Signing and verifying only read memory. Whoever runs the background calls [`SigningKeys::poll`] every
//! [`POLL_EVERY`], and once more when [`SigningKeys::wants_early_poll`] says so.

use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use super::signature::KeyPair;
use crate::config::SessionConfig;
use crate::entropy::Entropy;
use crate::error::{Fault, StoreError};
use crate::id::KeyId;
use crate::keyring::Keyring;
use crate::record::key::SigningKeyRecord;
use crate::secret::Secret;
use crate::storage::KeyStore;
use crate::time::{Pace, Timestamp, millis};

pub use super::signature::SigningAlgorithm;

/// How often the store is asked for keys that other nodes made.
pub const POLL_EVERY: Duration = Duration::from_secs(60);

/// How long before its use a key is published.
pub const PUBLISH_BEFORE: Duration = Duration::from_secs(15 * 60);

/// The shortest time between two polls that unknown key ids ask for.
pub const EARLY_POLL_EVERY: Duration = Duration::from_secs(10);

/// The signing keys of a site, as this process knows them.
pub struct SigningKeys {
    store: Arc<dyn KeyStore>,
    keyring: Arc<Keyring>,
    entropy: Arc<dyn Entropy>,
    schedule: Schedule,
    known: RwLock<Known>,
    version: AtomicU64,
    tickets: AtomicU64,
    polled_at: AtomicI64,
    early: Pace,
}

impl SigningKeys {
    /// Reads the keys of the store, and makes the first one where there is none.
    ///
    /// # Errors
    /// The store or randomness failed, or a key that still verifies does not open: it was tampered with, or the secret
    /// that sealed it was dropped too early (threat A-SEC-05). Nothing may be started then.
    pub async fn load(
        store: Arc<dyn KeyStore>,
        keyring: Arc<Keyring>,
        entropy: Arc<dyn Entropy>,
        algorithm: SigningAlgorithm,
        config: &SessionConfig,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let keys = Self {
            store,
            keyring,
            entropy,
            schedule: Schedule {
                algorithm,
                interval: config.key_rotation,
                overlap: config.access.saturating_add(config.leeway),
            },
            known: RwLock::new(Known::default()),
            version: AtomicU64::new(0),
            tickets: AtomicU64::new(0),
            polled_at: AtomicI64::new(i64::MIN),
            early: Pace::every(EARLY_POLL_EVERY),
        };
        let polled = keys.poll(now).await?;
        if polled.unreadable > 0 {
            return Err(UNREADABLE);
        }
        Ok(keys)
    }

    /// Reads the keys of the store, and makes the next one where it is due. Of two calls at once the later one counts.
    ///
    /// # Errors
    /// The store or randomness failed, or no key could be had that may sign. The keys known before stay known.
    pub async fn poll(&self, now: Timestamp) -> Result<Polled, Fault> {
        let ticket = self.tickets.fetch_add(1, Ordering::Relaxed) + 1;
        let mut records = self.store.signing_keys().await?;
        let mut made = None;
        if self.schedule.is_due(&records, now) {
            made = self.make(now).await?;
            records = self.store.signing_keys().await?;
        }
        let (keys, unreadable) = self.read(&records, now);
        let known = Known::new(ticket, keys);
        let can_sign = known.signer(&self.schedule, now).is_some();
        {
            let mut current = self.known.write().unwrap_or_else(PoisonError::into_inner);
            if current.ticket < ticket {
                let changed = !current.has_the_keys_of(&known);
                *current = known;
                if changed {
                    // Inside of the lock: whoever sees the new number sees the new keys.
                    self.version.fetch_add(1, Ordering::Release);
                }
            }
        }
        self.polled_at.store(now.as_ms(), Ordering::Relaxed);
        match (can_sign, unreadable) {
            (true, _) => {}
            (false, 0) => return Err(NO_SIGNER),
            (false, _) => return Err(UNREADABLE),
        }
        Ok(Polled { made, unreadable })
    }

    /// Whether it is time for [`SigningKeys::poll`]: a minute has passed, the clock went back, or no key may sign.
    pub fn wants_poll(&self, now: Timestamp) -> bool {
        let last = Timestamp::from_ms(self.polled_at.load(Ordering::Relaxed));
        now < last
            || now >= last.plus(POLL_EVERY)
            || self.with_known(|known| known.signer(&self.schedule, now).is_none())
    }

    /// Whether a token with an unknown key id is a reason to poll at once: yes, once in [`EARLY_POLL_EVERY`]. The
    /// caller of verification asks, and hands the poll to the background: a flood of invented ids costs nothing more.
    pub fn wants_early_poll(&self, now: Timestamp) -> bool {
        self.early.take(now)
    }

    /// The public keys that verify at `now`, newest first.
    pub fn jwks(&self, now: Timestamp) -> Jwks {
        self.with_known(|known| {
            let fresh = known.keys.iter().all(|key| self.schedule.verifies(key, now));
            let body = if fresh {
                Arc::clone(&known.jwks)
            } else {
                // A key retired since the last poll.
                let live = known.keys.iter().filter(|key| self.schedule.verifies(key, now));
                write_jwks(live.map(Arc::as_ref))
            };
            let newest = known.keys.iter().map(|key| key.signs_until).max();
            let made_at = newest.unwrap_or(now).minus(PUBLISH_BEFORE);
            Jwks {
                body,
                max_age: Duration::from_secs(made_at.since(now).as_secs().max(1)),
            }
        })
    }

    /// Signs a payload: JSON that is embedded as it is.
    ///
    /// # Errors
    /// No key may sign at `now` (call [`SigningKeys::poll`]), or the signature failed.
    pub fn sign(&self, claims_json: &str, now: Timestamp) -> Result<SignedToken, Fault> {
        let key = self
            .with_known(|known| known.signer(&self.schedule, now).cloned())
            .ok_or(NO_SIGNER)?;
        let payload_chars = claims_json.len().div_ceil(3) * 4;
        let signature_chars = key.algorithm.signature_bytes().div_ceil(3) * 4;
        // Reserved in full, so that no half-grown copy of the token stays behind unwiped.
        let mut token = Zeroizing::new(String::with_capacity(
            key.header.len() + payload_chars + signature_chars + 2,
        ));
        token.push_str(&key.header);
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(claims_json, &mut token);
        let signature = key.sign(token.as_bytes())?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(&*signature, &mut token);
        Ok(SignedToken {
            token: Secret::new(std::mem::take(&mut *token)),
            kid: key.id.clone(),
        })
    }

    /// The algorithm of this site.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.schedule.algorithm
    }

    /// The signature of the present key over any text: what no caller may ask for outside of tests.
    #[cfg(test)]
    pub(super) fn sign_anything(&self, message: &str, now: Timestamp) -> String {
        let key = self.with_known(|known| known.signer(&self.schedule, now).cloned());
        URL_SAFE_NO_PAD.encode(&*key.unwrap().sign(message.as_bytes()).unwrap())
    }

    fn with_known<T>(&self, read: impl FnOnce(&Known) -> T) -> T {
        read(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the key that is due. Its id, unless another node was faster.
    async fn make(&self, now: Timestamp) -> Result<Option<KeyId>, Fault> {
        let record = self.schedule.record(&self.keyring, &*self.entropy, now)?;
        // A whole interval late, so that a clock that leaps ahead and back has not deleted what still verifies.
        self.store
            .drop_signing_keys(now.minus(self.schedule.interval))
            .await?;
        let added = match self.store.add_signing_key(&record).await {
            Err(StoreError::Conflict(_)) => false,
            other => other?,
        };
        Ok(added.then_some(record.id))
    }

    /// Opens the records that verify at `now`; how many of them did not open.
    fn read(&self, records: &[SigningKeyRecord], now: Timestamp) -> (Vec<Arc<SigningKey>>, usize) {
        let before = self.with_known(|known| known.keys.clone());
        let mut keys = Vec::new();
        let mut unreadable = 0;
        for record in records.iter().filter(|record| self.schedule.admits(record, now)) {
            let same = before
                .iter()
                .find(|key| key.id == record.id && key.sealed == record.sealed);
            match same.cloned().map_or_else(
                || SigningKey::open(record, self.schedule.algorithm, &self.keyring).map(Arc::new),
                Ok,
            ) {
                Ok(key) => keys.push(key),
                Err(fault) => {
                    unreadable += 1;
                    tracing::error!(kid = %record.id, %fault, "a signing key does not open");
                }
            }
        }
        keys.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        (keys, unreadable)
    }
}

/// The keys that a token may be signed by, as its reader knows them.
pub(crate) trait Keys {
    /// One of them.
    type Key: Verifies;

    /// The algorithm of all of them.
    fn algorithm(&self) -> SigningAlgorithm;
    /// The key whose header `encoded` is, if it verifies at `now`. Headers are compared as a whole with those that are
    /// issued, so that one with any other member, order or spelling belongs to no key.
    fn by_header(&self, encoded: &str, now: Timestamp) -> Option<Self::Key>;
    /// Whether a key of that id verifies at `now`.
    fn knows(&self, kid: &str, now: Timestamp) -> bool;
    /// Whether `token` begins with the header of one of them, which may be retired by now.
    fn issued(&self, token: &str) -> bool;
    /// Counts the changes of the set of keys, so that who remembers verified tokens sees with one load that no key came
    /// or went. Keys that retire by the time alone are not counted: see [`Keys::verifies_within`].
    fn version(&self) -> u64;
    /// Whether the key of that [number](Verifies::number) is in the set.
    fn has_number(&self, number: u64) -> bool;
    /// The first and the last moment at which a key verifies.
    fn verifies_within(&self, key: &Self::Key) -> (Timestamp, Timestamp);
}

/// A public key.
pub(crate) trait Verifies {
    /// Whether `signature`, in base64url, is this key's over `message`.
    fn verify(&self, signature: &str, message: &[u8]) -> bool;
    /// Tells it from every other key that this process has opened, the same record opened again included.
    fn number(&self) -> u64;
}

/// A number that no key of this process has.
pub(super) fn next_number() -> u64 {
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

impl Keys for SigningKeys {
    type Key = Arc<SigningKey>;

    fn algorithm(&self) -> SigningAlgorithm {
        self.schedule.algorithm
    }

    fn by_header(&self, encoded: &str, now: Timestamp) -> Option<Arc<SigningKey>> {
        self.with_known(|known| {
            known
                .keys
                .iter()
                .find(|key| key.header == encoded && self.schedule.verifies(key, now))
                .cloned()
        })
    }

    fn knows(&self, kid: &str, now: Timestamp) -> bool {
        self.with_known(|known| {
            known
                .keys
                .iter()
                .any(|key| key.id.as_str() == kid && self.schedule.verifies(key, now))
        })
    }

    fn issued(&self, token: &str) -> bool {
        self.with_known(|known| known.keys.iter().any(|key| token.starts_with(&key.header)))
    }

    fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    fn has_number(&self, number: u64) -> bool {
        self.with_known(|known| known.keys.iter().any(|key| key.number == number))
    }

    fn verifies_within(&self, key: &Arc<SigningKey>) -> (Timestamp, Timestamp) {
        self.schedule.span(key.signs_until, key.verifies_until)
    }
}

impl Debug for SigningKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = self.with_known(|known| known.keys.iter().map(|key| key.id.clone()).collect::<Vec<_>>());
        f.debug_struct("SigningKeys")
            .field("schedule", &self.schedule)
            .field("ids", &ids)
            .finish_non_exhaustive()
    }
}

/// What a poll found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polled {
    /// The key that this call made, if it made one.
    pub made: Option<KeyId>,
    /// Keys that should verify and do not open. Their tokens are refused until the secret list is mended.
    pub unreadable: usize,
}

/// A token and the key that signed it.
#[derive(Clone, Debug)]
pub struct SignedToken {
    /// The token, in its compact form.
    pub token: Secret<String>,
    /// The key.
    pub kid: KeyId,
}

/// The public keys, as published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwks {
    /// JSON: `{"keys":[…]}`.
    pub body: Arc<str>,
    /// How long it may be cached: until the next key is made, at least a second.
    pub max_age: Duration,
}

/// The keys of one poll.
#[derive(Default)]
struct Known {
    ticket: u64,
    /// Newest first.
    keys: Vec<Arc<SigningKey>>,
    jwks: Arc<str>,
}

impl Known {
    fn new(ticket: u64, keys: Vec<Arc<SigningKey>>) -> Self {
        let jwks = write_jwks(keys.iter().map(Arc::as_ref));
        Self { ticket, keys, jwks }
    }

    fn has_the_keys_of(&self, other: &Self) -> bool {
        let numbers = |known: &Self| known.keys.iter().map(|key| key.number).collect::<Vec<_>>();
        numbers(self) == numbers(other)
    }

    /// The newest key that was published long enough ago; in a pinch, the oldest that was not.
    fn signer(&self, schedule: &Schedule, now: Timestamp) -> Option<&Arc<SigningKey>> {
        let mut able = self.keys.iter().filter(|key| schedule.signs(key, now));
        able.clone()
            .find(|key| key.created_at.plus(PUBLISH_BEFORE) <= now)
            .or_else(|| able.next_back())
    }
}

/// When keys are made, sign and verify: pure functions of the time.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    algorithm: SigningAlgorithm,
    interval: Duration,
    /// Life of a token, and the tolerance on it.
    overlap: Duration,
}

impl Schedule {
    /// Whether a key must be made: none of those there will sign once the publication delay has passed.
    fn is_due(&self, records: &[SigningKeyRecord], now: Timestamp) -> bool {
        !records
            .iter()
            .any(|record| self.admits(record, now) && record.signs_until > now.plus(LEAD))
    }

    /// A key for the interval in which `now`, and the publication delay, end.
    fn record(
        &self,
        keyring: &Keyring,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<SigningKeyRecord, Fault> {
        let interval = millis(self.interval).max(1);
        let number = now.plus(LEAD).as_ms().div_euclid(interval);
        let signs_until = Timestamp::from_ms(number.saturating_add(1).saturating_mul(interval));
        let mut record = SigningKeyRecord {
            id: KeyId::new(format!("{KID_PREFIX}{}", now.as_ms())),
            algorithm: self.algorithm.name().to_owned(),
            sealed: Vec::new(),
            created_at: now,
            signs_until,
            verifies_until: signs_until.plus(self.overlap),
            slot: number.saturating_mul(LANES).saturating_add(self.algorithm.lane()),
        };
        let private = KeyPair::generate(self.algorithm)?;
        record.sealed = keyring.seal(&place(&record).parts(), &private, entropy)?;
        Ok(record)
    }

    /// Whether a stored key is of the algorithm of this site and verifies at `now`.
    fn admits(&self, record: &SigningKeyRecord, now: Timestamp) -> bool {
        record.algorithm == self.algorithm.name()
            && self.holds(record.signs_until, record.verifies_until, now)
    }

    fn verifies(&self, key: &SigningKey, now: Timestamp) -> bool {
        self.holds(key.signs_until, key.verifies_until, now)
    }

    fn signs(&self, key: &SigningKey, now: Timestamp) -> bool {
        self.verifies(key, now) && now < key.signs_until
    }

    fn holds(&self, signs_until: Timestamp, verifies_until: Timestamp, now: Timestamp) -> bool {
        let (from, until) = self.span(signs_until, verifies_until);
        from <= now && now <= until
    }

    /// The first and the last moment at which a key of these times is one.
    fn span(&self, signs_until: Timestamp, verifies_until: Timestamp) -> (Timestamp, Timestamp) {
        (
            // A key that was made while the clock stood far ahead must not sign for decades (threat A-CLK-01).
            signs_until.minus(self.interval).minus(self.interval),
            verifies_until.minus(Duration::from_millis(1)),
        )
    }
}

/// A signing key, opened.
pub(crate) struct SigningKey {
    /// Its number in this process: another one for each key that was ever opened.
    number: u64,
    id: KeyId,
    algorithm: SigningAlgorithm,
    sealed: Vec<u8>,
    created_at: Timestamp,
    signs_until: Timestamp,
    verifies_until: Timestamp,
    /// The header of its tokens, encoded.
    header: String,
    /// Its entry in the key set.
    jwk: String,
    pair: KeyPair,
}

impl SigningKey {
    fn open(
        record: &SigningKeyRecord,
        algorithm: SigningAlgorithm,
        keyring: &Keyring,
    ) -> Result<Self, Fault> {
        if !is_kid(record.id.as_str()) {
            return Err(Fault::Key("a signing key has a malformed id"));
        }
        let pkcs8 = keyring.open(&place(record).parts(), &record.sealed)?;
        let pair = KeyPair::parse(algorithm, &pkcs8).ok_or(Fault::Key("a signing key does not parse"))?;
        let (kid, alg) = (&record.id, algorithm.name());
        let key = Self {
            number: next_number(),
            id: kid.clone(),
            algorithm,
            sealed: record.sealed.clone(),
            created_at: record.created_at,
            signs_until: record.signs_until,
            verifies_until: record.verifies_until,
            header: header_of(kid.as_str(), algorithm),
            jwk: format!(
                r#"{{"kty":"{}","kid":"{kid}",{},"alg":"{alg}","use":"sig"}}"#,
                pair.key_type(),
                pair.members()
            ),
            pair,
        };
        // A key pair whose halves do not match would issue tokens that nobody accepts.
        let probe = key.sign(b"probe")?;
        if !key.pair.public().verify(&probe, b"probe") {
            return Err(Fault::Key("a signing key does not verify what it signed"));
        }
        Ok(key)
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        self.pair
            .sign(message)
            .ok_or(Fault::Key("a signature could not be made"))
    }
}

impl Verifies for Arc<SigningKey> {
    fn verify(&self, signature: &str, message: &[u8]) -> bool {
        self.pair.public().verify_text(signature, message)
    }

    fn number(&self) -> u64 {
        self.number
    }
}

/// What a sealed key is bound to: nobody who can write to the store lends it another name or a longer life.
struct Place<'a> {
    record: &'a SigningKeyRecord,
    times: [[u8; 8]; 4],
}

/// Seals a stored key anew; none if the newest root has sealed it.
///
/// # Errors
/// It does not open, or no randomness.
pub(crate) fn resealed(
    keyring: &Keyring,
    entropy: &dyn Entropy,
    record: &SigningKeyRecord,
) -> Result<Option<Vec<u8>>, Fault> {
    if !keyring.is_outdated(&record.sealed) {
        return Ok(None);
    }
    let place = place(record);
    let private = keyring.open(&place.parts(), &record.sealed)?;
    keyring.seal(&place.parts(), &private, entropy).map(Some)
}

fn place(record: &SigningKeyRecord) -> Place<'_> {
    Place {
        record,
        times: [
            record.created_at.as_ms(),
            record.signs_until.as_ms(),
            record.verifies_until.as_ms(),
            record.slot,
        ]
        .map(i64::to_be_bytes),
    }
}

impl Place<'_> {
    fn parts(&self) -> [&[u8]; 7] {
        let [created, signs, verifies, slot] = &self.times;
        [
            b"signing key",
            self.record.id.as_str().as_bytes(),
            self.record.algorithm.as_bytes(),
            created,
            signs,
            verifies,
            slot,
        ]
    }
}

/// The header of the tokens of a key, encoded.
pub(super) fn header_of(kid: &str, algorithm: SigningAlgorithm) -> String {
    let alg = algorithm.name();
    URL_SAFE_NO_PAD.encode(format!(
        r#"{{"kid":"{kid}","typ":"JWT","version":"5","alg":"{alg}"}}"#
    ))
}

/// Whether `kid` is of the form of our key ids: `d-` and up to 16 digits.
pub(super) fn is_kid(kid: &str) -> bool {
    kid.strip_prefix(KID_PREFIX).is_some_and(|digits| {
        (1..=16).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn write_jwks<'a>(keys: impl Iterator<Item = &'a SigningKey>) -> Arc<str> {
    let entries: Vec<&str> = keys.map(|key| key.jwk.as_str()).collect();
    format!(r#"{{"keys":[{}]}}"#, entries.join(",")).into()
}

static NUMBERS: AtomicU64 = AtomicU64::new(1);

const NO_SIGNER: Fault = Fault::Key("no signing key may sign now");
const UNREADABLE: Fault =
    Fault::Key("a signing key does not open: it was changed, or its secret is not in the list");
const KID_PREFIX: &str = "d-";
const LANES: i64 = 4;
/// A key is made this long before the last one ends: the publication delay, and two polls in which to make it.
const LEAD: Duration = Duration::from_secs(15 * 60 + 2 * 60);

#[cfg(test)]
mod tests;
