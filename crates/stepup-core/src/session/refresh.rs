//! Refresh tokens: their form, rotation, the grace period, and theft detection.
//!
//! A refresh token works once. For a few seconds its use answers the same successor again, so that a lost response does
//! not log the user out; its use after that ends the session (RFC 9700 §4.14.2). Cookies and headers are `wire`'s affair.
//!
//! The token is the unpadded base64url of
//! `version ‖ length ‖ key id ‖ length ‖ handle ‖ generation (8 bytes) ‖ secret (32) ‖ tag (16)`.
//! The tag is a keyed digest of all before it, so that nobody can end a session by guessing at its readable handle
//! (threat A-SES-17): without a right tag no storage is touched. Stored is only the SHA-256 of the secret.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::SessionConfig;
use crate::id::{KeyId, SessionHandle};
use crate::keyring::{Keyring, Purpose};
use crate::record::session::{Origin, Session};
use crate::record::user::{User, UserState};
use crate::secret::{Mac, Secret};
use crate::time::Timestamp;

const VERSION: u8 = 1;
const TAG: usize = 16;
/// Longer than any token of ours: key id and handle have at most 255 bytes each.
const MAX_TEXT: usize = 1024;

/// A refresh token whose tag is right.
#[derive(Clone, Debug)]
pub struct RefreshToken {
    /// The session that it belongs to.
    pub handle: SessionHandle,
    /// Its place in the chain.
    pub generation: i64,
    secret: Secret<[u8; 32]>,
}

impl RefreshToken {
    /// A token of `secret`. Handles of ours are far shorter than the 255 bytes that the form has room for.
    pub fn new(handle: SessionHandle, generation: i64, secret: Secret<[u8; 32]>) -> Self {
        Self {
            handle,
            generation,
            secret,
        }
    }

    /// What the store keeps of it.
    pub fn digest(&self) -> Mac {
        digest(self.secret.expose())
    }

    /// The text that the client keeps, tagged under the newest key.
    pub fn encode(&self, keyring: &Keyring) -> Secret<String> {
        let key = keyring.newest();
        let mut bytes = vec![VERSION];
        for text in [key.as_str(), self.handle.as_str()] {
            let text = text.as_bytes();
            bytes.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(text);
        }
        bytes.extend_from_slice(&self.generation.to_be_bytes());
        bytes.extend_from_slice(self.secret.expose());
        let tag = keyring.mac(Purpose::RefreshTag, &[&bytes]);
        bytes.extend_from_slice(tag.as_bytes().get(..TAG).unwrap_or_default());
        Secret::new(URL_SAFE_NO_PAD.encode(&bytes))
    }

    /// Reads a token, if its form and its tag are right. No storage is touched.
    pub fn decode(keyring: &Keyring, text: &str) -> Option<Self> {
        if text.len() > MAX_TEXT {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (body, tag) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
        let (version, rest) = body.split_first()?;
        let (key, rest) = text_field(rest)?;
        let (handle, rest) = text_field(rest)?;
        let (generation, secret) = rest.split_at_checked(8)?;
        let generation = i64::from_be_bytes(generation.try_into().ok()?);
        let secret: [u8; 32] = secret.try_into().ok()?;
        let right = keyring.mac_by(&KeyId::from(key), Purpose::RefreshTag, &[body])?;
        let same: bool = right.as_bytes().get(..TAG)?.ct_eq(tag).into();
        (*version == VERSION && same)
            .then(|| Self::new(SessionHandle::from(handle), generation, Secret::new(secret)))
    }
}

fn text_field(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (len, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*len))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

fn digest(secret: &[u8; 32]) -> Mac {
    Mac::new(Sha256::digest(secret).into())
}

/// The successor's secret: keyed from a fresh random salt, so that it can be derived once more for whoever lost the
/// answer, and nothing plain is stored. None if the key is gone.
pub fn successor(
    keyring: &Keyring,
    key: &KeyId,
    handle: &SessionHandle,
    generation: i64,
    salt: &[u8; 16],
) -> Option<Secret<[u8; 32]>> {
    let parts: [&[u8]; 3] = [handle.as_str().as_bytes(), &generation.to_be_bytes(), salt];
    keyring
        .mac_by(key, Purpose::RefreshSuccessor, &parts)
        .map(|mac| Secret::new(*mac.as_bytes()))
}

/// What a presented token deserves that could not be rotated.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// There is no such session, or it is over, or its user may not have one: sign in again.
    Ended,
    /// It belongs to the session before a rise in assurance, just now: refused, and nothing is cleared, since
    /// the client may hold the new tokens under the same names.
    BeforeRise,
    /// It is the current token, rotated too often: the same token again.
    Repeat,
    /// It is the predecessor within the grace: the successor once more.
    Grace(RefreshToken),
    /// It was used before: whoever presents it, or whoever used it, stole it.
    Theft,
}

/// Judges a token that the store did not rotate, from one reading of its session and user.
///
/// # Source
/// RFC 9700 §4.14.2; threats R-SES-2, R-SES-3, A-SES-03 to A-SES-06, A-SES-16.
pub fn judge(
    keyring: &Keyring,
    config: &SessionConfig,
    row: Option<(&Session, &User)>,
    token: &RefreshToken,
    from: &Origin,
    now: Timestamp,
) -> Verdict {
    let Some((session, user)) = row else {
        return Verdict::Ended;
    };
    if session.is_over(now) || user.state != UserState::Live || user.epoch != session.epoch {
        return Verdict::Ended;
    }
    let chain = &session.chain;
    if let Some(rise) = chain.rise.filter(|rise| token.generation < rise.generation) {
        return if now.since(rise.at) < config.rise_grace {
            Verdict::BeforeRise
        } else {
            Verdict::Theft
        };
    }
    if token.generation == chain.generation && token.digest() == chain.current {
        return Verdict::Repeat;
    }
    let predecessor =
        token.generation.checked_add(1) == Some(chain.generation) && chain.previous == Some(token.digest());
    if let Some(rotated) = chain.rotated.as_ref().filter(|_| predecessor) {
        // Another node's clock may be a little ahead; one that jumped back must not bring a grace back (R-CLK-1).
        let in_time = now.since(rotated.at) <= config.grace && rotated.at.since(now) <= config.leeway;
        let somewhere_else = rotated.origin.network != from.network && rotated.origin.agent != from.agent;
        if in_time
            && !somewhere_else
            && let Some(secret) = successor(
                keyring,
                &rotated.key,
                &session.handle,
                chain.generation,
                &rotated.salt,
            )
        {
            let next = RefreshToken::new(session.handle.clone(), chain.generation, secret);
            if next.digest() == chain.current {
                return Verdict::Grace(next);
            }
        }
    }
    Verdict::Theft
}

#[cfg(test)]
mod tests;
