//! The keyring: one list of secrets, and every key that is derived from it.
//!
//! An application hands over a list of roots, newest first. From each root one key per [`Purpose`] and one for
//! sealing are derived (HKDF-SHA-256, RFC 5869), so that nothing made for one purpose is good for another. New things
//! are made under the newest root; older roots only judge and open what was made before. What a root has made names
//! it, and what names an unknown root is refused: no root is ever tried in the place of another.
//!
//! A check value of each root is kept in the store ([`admit_secrets`]), so that a node that is started with another
//! secret fails at its start and not at its first sign-in.

use std::fmt::{self, Debug};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::entropy::{self, Entropy, EntropyError};
use crate::error::{Fault, StoreError};
use crate::id::KeyId;
use crate::secret::{Mac, Secret};
use crate::storage::KeyStore;

/// Where the roots of the keyring come from: a list in the configuration, a vault, a key service.
pub trait Secrets: Debug + Send + Sync + 'static {
    /// The roots, newest first.
    ///
    /// # Errors
    /// The source cannot be read. Nothing is started then.
    fn roots(&self) -> Result<Vec<Root>, Fault>;

    /// Whether it makes a root by itself where it finds none. `build()` refuses such a source unless both domains are
    /// loopback: a site that lost its secret must stop, and not go on with another one (threat A-SEC-16).
    fn makes_its_own(&self) -> bool {
        false
    }
}

/// A root secret and its name.
#[derive(Clone, Debug)]
pub struct Root {
    /// Its name: 1 to 64 characters of `A-Z a-z 0-9 - _ .`. It is stored beside all that it made, so it is no secret.
    pub id: KeyId,
    /// At least 32 random bytes.
    pub key: Secret<Vec<u8>>,
}

impl Root {
    /// A fresh root of 32 random bytes.
    ///
    /// # Errors
    /// No randomness.
    pub fn random(id: KeyId, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        let drawn: Zeroizing<[u8; ROOT_BYTES]> = Zeroizing::new(entropy::bytes(entropy)?);
        Ok(Self {
            id,
            key: Secret::new(drawn.to_vec()),
        })
    }
}

/// Roots written as a list, newest first: `2026-05:base64,2025-11:base64`.
///
/// ```
/// use stepup_core::keyring::SecretList;
///
/// let wrong = SecretList::parse("2026-05=c2VjcmV0").unwrap_err();
/// assert_eq!(wrong.to_string(), "secret 1 of the list has no \"id:\" in front");
/// ```
#[derive(Clone, Debug)]
pub struct SecretList(Vec<Root>);

impl SecretList {
    /// Reads `id:base64,id2:base64`, newest first. Base64 is of the standard alphabet, padded or not; spaces around
    /// an entry are dropped. Whether the keys are good enough is judged by [`Keyring::new`].
    ///
    /// # Errors
    /// The first entry that does not read. No part of a key is shown, since such errors end in logs.
    pub fn parse(list: &str) -> Result<Self, SecretListError> {
        if list.trim().is_empty() {
            return Ok(Self(Vec::new()));
        }
        list.split(',')
            .map(str::trim)
            .enumerate()
            .map(|(index, entry)| read_entry(index + 1, entry))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// A list of these roots, newest first.
    pub fn new(roots: Vec<Root>) -> Self {
        Self(roots)
    }

    /// The list as text that [`SecretList::parse`] reads: for a file that only its owner may read.
    pub fn to_text(&self) -> Secret<String> {
        let mut text = String::new();
        for root in &self.0 {
            if !text.is_empty() {
                text.push(',');
            }
            text.push_str(root.id.as_str());
            text.push(':');
            BASE64.encode_string(root.key.expose(), &mut text);
        }
        Secret::new(text)
    }
}

impl Secrets for SecretList {
    fn roots(&self) -> Result<Vec<Root>, Fault> {
        Ok(self.0.clone())
    }
}

fn read_entry(position: usize, entry: &str) -> Result<Root, SecretListError> {
    let (id, text) = entry.split_once(':').ok_or(SecretListError::NoId { position })?;
    if !is_name(id) {
        return Err(SecretListError::BadId { position });
    }
    // Decoded in place, so that a wrong text leaves no copy behind that is not wiped.
    let mut bytes = Zeroizing::new(vec![0; text.len() + 3]);
    let length = BASE64
        .decode_slice(text, &mut bytes)
        .map_err(|_| SecretListError::NotBase64 { id: KeyId::from(id) })?;
    bytes.truncate(length);
    Ok(Root {
        id: KeyId::from(id),
        key: Secret::new(std::mem::take(&mut *bytes)),
    })
}

/// Why a list of secrets does not read. It shows positions and names, never a byte of a key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretListError {
    /// An entry has no name.
    #[error("secret {position} of the list has no \"id:\" in front")]
    NoId {
        /// Its place in the list, from 1.
        position: usize,
    },
    /// A name is empty, too long, or of other characters. It is not shown: it may be a key that lost its name.
    #[error("the id of secret {position} is not 1 to 64 characters of A-Z a-z 0-9 - _ .")]
    BadId {
        /// Its place in the list, from 1.
        position: usize,
    },
    /// A key is no base64.
    #[error("secret {id} is not base64")]
    NotBase64 {
        /// The name of the entry.
        id: KeyId,
    },
}

/// What a key is derived for. The label of each is part of the stored format: it is never changed or used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Digests of short codes, kept in challenges (R-SEC-1).
    Code,
    /// The tag at the end of a refresh token, by which a forged one is told without a look at the store.
    RefreshTag,
    /// The secret of a refresh token's successor.
    RefreshSuccessor,
    /// Names in the keys of throttles. A new root starts their tallies anew.
    Throttle,
    /// Digests of tokens that let a new password be set.
    ResetLink,
    /// Digests of tokens that verify an address.
    VerifyLink,
    /// Digests of tokens that undo an enrollment.
    UndoLink,
    /// Digests of tokens that confirm an enrollment.
    ConfirmLink,
    /// What is derived of a sign-in by a provider: PKCE's verifier, the nonce, and the digest that is kept.
    Provider,
    /// Ids of users that are imported without one.
    ImportedUser,
}

impl Purpose {
    const ALL: [Self; 10] = [
        Self::Code,
        Self::RefreshTag,
        Self::RefreshSuccessor,
        Self::Throttle,
        Self::ResetLink,
        Self::VerifyLink,
        Self::UndoLink,
        Self::ConfirmLink,
        Self::Provider,
        Self::ImportedUser,
    ];

    const fn label(self) -> &'static str {
        match self {
            Self::Code => "mac code",
            Self::RefreshTag => "mac refresh tag",
            Self::RefreshSuccessor => "mac refresh successor",
            Self::Throttle => "mac throttle",
            Self::ResetLink => "mac reset link",
            Self::VerifyLink => "mac verify link",
            Self::UndoLink => "mac undo link",
            Self::ConfirmLink => "mac confirm link",
            Self::Provider => "mac provider",
            Self::ImportedUser => "mac imported user",
        }
    }
}

/// All keys derived from the roots. It shows the names of the roots and nothing else.
pub struct Keyring {
    newest: KeySet,
    older: Vec<KeySet>,
}

impl Keyring {
    /// Derives the keys of `secrets`.
    ///
    /// # Errors
    /// Everything that is wrong with the roots, at once (threat A-SEC-11). Nothing may be started then.
    pub fn new(secrets: &dyn Secrets) -> Result<Self, Vec<WeakSecret>> {
        let roots = secrets
            .roots()
            .map_err(|fault| vec![WeakSecret::Unreadable(fault)])?;
        let problems = weaknesses(&roots);
        if !problems.is_empty() {
            return Err(problems);
        }
        let mut sets = roots.iter().map(KeySet::derive);
        let newest = sets.next().ok_or_else(|| vec![WeakSecret::None])?;
        Ok(Self {
            newest,
            older: sets.collect(),
        })
    }

    /// The name of the root under which new things are made.
    pub fn newest(&self) -> &KeyId {
        &self.newest.id
    }

    /// HMAC-SHA-256 of `parts` under the newest root. Each part is preceded by its length, so that no two lists of
    /// parts are the same message.
    pub fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> Mac {
        self.newest.mac(purpose, parts)
    }

    /// The same under every root, newest first: to find what may have been made before a change of roots.
    pub fn macs(&self, purpose: Purpose, parts: &[&[u8]]) -> Vec<Mac> {
        self.sets().map(|set| set.mac(purpose, parts)).collect()
    }

    /// The same under the root named `key`; none if the keyring does not have it.
    pub fn mac_by(&self, key: &KeyId, purpose: Purpose, parts: &[&[u8]]) -> Option<Mac> {
        self.set(key.as_str()).map(|set| set.mac(purpose, parts))
    }

    /// Seals `plain` under the newest root: XChaCha20-Poly1305 with a random nonce of 192 bits, which may be drawn
    /// without counting (threat A-SEC-04). `aad` names the place that the sealed value belongs to, such as tenant,
    /// user and credential: it does not open in another place (threat A-SEC-03).
    ///
    /// # Errors
    /// No randomness.
    pub fn seal(&self, aad: &[&[u8]], plain: &[u8], entropy: &dyn Entropy) -> Result<Vec<u8>, Fault> {
        let nonce: [u8; NONCE_BYTES] = entropy::bytes(entropy)?;
        let mut sealed = Self::head(&self.newest.id)?;
        sealed.reserve(NONCE_BYTES + plain.len() + TAG_BYTES);
        let bound = framed(&sealed, aad);
        sealed.extend_from_slice(&nonce);
        let payload = Payload {
            msg: plain,
            aad: &bound,
        };
        let ciphertext = self
            .newest
            .seal
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Fault::Key("a value is too long to be sealed"))?;
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    /// How everything begins that the root named `id` has sealed.
    ///
    /// # Errors
    /// The name is too long for one.
    pub fn head(id: &KeyId) -> Result<Vec<u8>, Fault> {
        let id = id.as_str().as_bytes();
        let length = u8::try_from(id.len()).map_err(|_| Fault::Key("the id of a secret is too long"))?;
        Ok([&[SEAL_VERSION, length], id].concat())
    }

    /// Opens what [`Keyring::seal`] sealed with the same `aad`.
    ///
    /// # Errors
    /// [`Fault::Key`]: sealed by a root that the keyring does not have, sealed for another place, or tampered with.
    pub fn open(&self, aad: &[&[u8]], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let blob = Blob::read(sealed).ok_or(Fault::Key("a sealed value is malformed"))?;
        let set = self.set(blob.id).ok_or(Fault::Key(
            "a value was sealed by a secret that is not in the list",
        ))?;
        let payload = Payload {
            msg: blob.ciphertext,
            aad: &framed(blob.head, aad),
        };
        set.seal
            .decrypt(&XNonce::from(*blob.nonce), payload)
            .map(Zeroizing::new)
            .map_err(|_| Fault::Key("a sealed value does not open"))
    }

    /// Whether `sealed` was sealed by an older root, so that who reads it should seal it again.
    pub fn is_outdated(&self, sealed: &[u8]) -> bool {
        Blob::read(sealed).is_none_or(|blob| blob.id != self.newest.id.as_str())
    }

    /// The check value of each root, newest first: what [`KeyStore::secret_checks`] holds. It tells roots apart and
    /// nothing about them.
    pub fn checks(&self) -> Vec<(KeyId, Mac)> {
        self.sets().map(|set| (set.id.clone(), set.check)).collect()
    }

    fn sets(&self) -> impl Iterator<Item = &KeySet> {
        std::iter::once(&self.newest).chain(&self.older)
    }

    fn set(&self, id: &str) -> Option<&KeySet> {
        self.sets().find(|set| set.id.as_str() == id)
    }
}

impl Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids: Vec<_> = self.sets().map(|set| &set.id).collect();
        f.debug_struct("Keyring")
            .field("ids", &ids)
            .finish_non_exhaustive()
    }
}

/// The keys of one root. The sealing key is no [`Purpose`], so that it can never be used for a digest.
struct KeySet {
    id: KeyId,
    /// HMAC states that have taken in their keys, in the order of [`Purpose::ALL`].
    macs: [Hmac<Sha256>; Purpose::ALL.len()],
    seal: XChaCha20Poly1305,
    check: Mac,
}

impl KeySet {
    fn derive(root: &Root) -> Self {
        let hkdf = Hkdf::<Sha256>::new(Some(SALT), root.key.expose());
        let check: Zeroizing<[u8; 32]> = expand(&hkdf, "check");
        Self {
            id: root.id.clone(),
            macs: Purpose::ALL.map(|purpose| keyed(&expand(&hkdf, purpose.label()))),
            seal: XChaCha20Poly1305::new(&(*expand(&hkdf, "seal xchacha20poly1305")).into()),
            check: Mac::new(*check),
        }
    }

    fn mac(&self, purpose: Purpose, parts: &[&[u8]]) -> Mac {
        let [
            code,
            tag,
            successor,
            throttle,
            reset,
            verify,
            undo,
            confirm,
            provider,
            imported,
        ] = &self.macs;
        let mut mac = match purpose {
            Purpose::Code => code,
            Purpose::RefreshTag => tag,
            Purpose::RefreshSuccessor => successor,
            Purpose::Throttle => throttle,
            Purpose::ResetLink => reset,
            Purpose::VerifyLink => verify,
            Purpose::UndoLink => undo,
            Purpose::ConfirmLink => confirm,
            Purpose::Provider => provider,
            Purpose::ImportedUser => imported,
        }
        .clone();
        for part in parts {
            mac.update(&length(part));
            mac.update(part);
        }
        Mac::new(mac.finalize().into_bytes().into())
    }
}

fn expand(hkdf: &Hkdf<Sha256>, label: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf.expand(label.as_bytes(), &mut *key)
        .expect("HKDF-SHA-256 yields up to 8160 bytes");
    key
}

fn keyed(key: &[u8; 32]) -> Hmac<Sha256> {
    <Hmac<Sha256> as KeyInit>::new_from_slice(key).expect("HMAC takes a key of any length")
}

/// `head`, then each part preceded by its length.
fn framed(head: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut out = head.to_vec();
    for part in parts {
        out.extend_from_slice(&length(part));
        out.extend_from_slice(part);
    }
    out
}

fn length(part: &[u8]) -> [u8; 8] {
    // A slice never holds more than `isize::MAX` bytes.
    (part.len() as u64).to_be_bytes()
}

/// A sealed value, taken apart: version, length of the key's id, id, nonce, ciphertext with its tag.
struct Blob<'a> {
    head: &'a [u8],
    id: &'a str,
    nonce: &'a [u8; NONCE_BYTES],
    ciphertext: &'a [u8],
}

impl<'a> Blob<'a> {
    fn read(sealed: &'a [u8]) -> Option<Self> {
        let (&[version, length], rest) = sealed.split_first_chunk::<2>()?;
        if version != SEAL_VERSION {
            return None;
        }
        let (id, rest) = rest.split_at_checked(usize::from(length))?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
        Some(Self {
            head: sealed.get(..2 + id.len())?,
            id: std::str::from_utf8(id).ok()?,
            nonce,
            ciphertext,
        })
    }
}

/// What is wrong with a root. It shows names and counts, never a byte of a key.
#[derive(Debug, thiserror::Error)]
pub enum WeakSecret {
    /// There is no root at all.
    #[error("no secret is configured")]
    None,
    /// A name is empty, too long, or of other characters.
    #[error("the id of secret {position} is not 1 to 64 characters of A-Z a-z 0-9 - _ .")]
    BadId {
        /// Its place, from 1.
        position: usize,
    },
    /// A key is shorter than 32 bytes (R-TOK-5: 256 random bits).
    #[error("secret {id} has {bytes} bytes, fewer than 32")]
    Short {
        /// The root.
        id: KeyId,
        /// Its length.
        bytes: usize,
    },
    /// A key repeats itself or counts: no random source makes such bytes.
    #[error("secret {id} is not random: its bytes repeat or count")]
    Pattern {
        /// The root.
        id: KeyId,
    },
    /// A key is text: an example, a password, or the written form of a key.
    #[error("secret {id} is text, not random bytes; `openssl rand -base64 32` makes a good one")]
    Text {
        /// The root.
        id: KeyId,
    },
    /// Two roots have one name.
    #[error("two secrets are named {id}")]
    SameId {
        /// The name.
        id: KeyId,
    },
    /// Two names have one key.
    #[error("secrets {id} and {other} are the same key")]
    SameKey {
        /// The newer.
        id: KeyId,
        /// The older.
        other: KeyId,
    },
    /// The source of the roots failed.
    #[error("the secrets cannot be read")]
    Unreadable(#[source] Fault),
}

fn weaknesses(roots: &[Root]) -> Vec<WeakSecret> {
    if roots.is_empty() {
        return vec![WeakSecret::None];
    }
    let mut problems = Vec::new();
    for (index, root) in roots.iter().enumerate() {
        let (id, key) = (&root.id, root.key.expose().as_slice());
        if !is_name(id.as_str()) {
            problems.push(WeakSecret::BadId { position: index + 1 });
        }
        if key.len() < ROOT_BYTES {
            problems.push(WeakSecret::Short {
                id: id.clone(),
                bytes: key.len(),
            });
        } else if is_pattern(key) {
            problems.push(WeakSecret::Pattern { id: id.clone() });
        } else if is_text(key) {
            problems.push(WeakSecret::Text { id: id.clone() });
        }
        for older in roots.iter().skip(index + 1) {
            if older.id == *id {
                problems.push(WeakSecret::SameId { id: id.clone() });
            } else if bool::from(older.key.expose().ct_eq(key)) {
                problems.push(WeakSecret::SameKey {
                    id: id.clone(),
                    other: older.id.clone(),
                });
            }
        }
    }
    problems
}

fn is_name(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Few distinct bytes, a period, or a constant step. Of 32 random bytes fewer than 16 are distinct once in 10^15
/// keys.
fn is_pattern(key: &[u8]) -> bool {
    let mut seen = [false; 256];
    for byte in key {
        if let Some(mark) = seen.get_mut(usize::from(*byte)) {
            *mark = true;
        }
    }
    let few = seen.iter().filter(|mark| **mark).count() < 16;
    let periodic = (1..=key.len() / 2).any(|period| {
        key.iter()
            .zip(key.iter().skip(period))
            .all(|(here, there)| here == there)
    });
    let mut steps = key
        .iter()
        .zip(key.iter().skip(1))
        .map(|(here, there)| there.wrapping_sub(*here));
    let first = steps.next();
    few || periodic || steps.all(|step| Some(step) == first)
}

/// Readable throughout, as 32 random bytes are once in 10^13 keys. Text of 32 characters holds fewer than 256 bits.
fn is_text(key: &[u8]) -> bool {
    key.iter()
        .all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace())
}

/// Compares the roots with those that the store has seen, and adds new ones (threat A-SEC-16).
///
/// The first start on an empty store claims it by a marker, so that of two nodes that start at once with different
/// secrets one is refused.
///
/// # Errors
/// [`SecretMismatch`]; the node must not start then.
pub async fn admit_secrets(keyring: &Keyring, store: &dyn KeyStore) -> Result<(), SecretMismatch> {
    let ours = keyring.checks();
    let mut seen = store.secret_checks().await?;
    if seen.is_empty() {
        add_check(store, &KeyId::from(CLAIM), &keyring.newest.check).await?;
        seen = store.secret_checks().await?;
    }
    let mut known = false;
    for (id, check) in &ours {
        match seen.iter().find(|(name, _)| name == id) {
            Some((_, stored)) if stored == check => known = true,
            Some(_) => return Err(SecretMismatch::Changed { id: id.clone() }),
            None => {}
        }
        // The claim is all that there is while the node that won it has not yet added its roots.
        known |= seen
            .iter()
            .any(|(name, stored)| name.as_str() == CLAIM && stored == check);
    }
    if !known {
        return Err(SecretMismatch::Foreign);
    }
    for (id, check) in &ours {
        if !seen.iter().any(|(name, _)| name == id) {
            add_check(store, id, check).await?;
            let now = store.secret_checks().await?;
            if !now.iter().any(|(name, stored)| name == id && stored == check) {
                return Err(SecretMismatch::Changed { id: id.clone() });
            }
        }
    }
    Ok(())
}

/// Adds a check value; a clash means that another node was faster, and is judged by reading again.
async fn add_check(store: &dyn KeyStore, id: &KeyId, check: &Mac) -> Result<(), StoreError> {
    match store.add_secret_check(id, check).await {
        Err(StoreError::Conflict(_)) => Ok(()),
        other => other,
    }
}

/// Why a node with these secrets must not start on this store.
#[derive(Debug, thiserror::Error)]
pub enum SecretMismatch {
    /// The store knows another secret of that name.
    #[error("the store knows another secret named {id}")]
    Changed {
        /// The name.
        id: KeyId,
    },
    /// The store knows none of the secrets: it belongs to another list, or the list was lost.
    #[error("the store belongs to other secrets: it knows none of those configured")]
    Foreign,
    /// The store failed.
    #[error("the secrets could not be compared with the store")]
    Fault(#[from] Fault),
}

impl From<StoreError> for SecretMismatch {
    fn from(error: StoreError) -> Self {
        Self::Fault(error.into())
    }
}

/// Bytes of a root, at least: the strength of HMAC-SHA-256 (R-TOK-5).
const ROOT_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;
const TAG_BYTES: usize = 16;
const SEAL_VERSION: u8 = 1;
const SALT: &[u8] = b"stepup keyring 1";
/// The id of the marker that claims an empty store; no root can be named so.
const CLAIM: &str = "*";
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests;
