//! Apple's client secret: a token that is signed with a key of the developer's team.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use stepup_core::provider::ProviderError;
use stepup_core::secret::Secret;
use stepup_core::time::Timestamp;
use zeroize::Zeroizing;

use crate::setup::SetupError;

/// How long a secret holds. Apple allows 180 days; what is made here at no cost need not live that long.
pub(crate) const LIFETIME: Duration = Duration::from_secs(60 * 60);

/// A secret that ends so soon is not used any more.
const SPARE: Duration = Duration::from_secs(5 * 60);

/// Who takes the secret.
const AUDIENCE: &str = "https://appleid.apple.com";

/// A key for "Sign in with Apple", as Apple's developer console hands it out.
#[derive(Clone)]
pub struct AppleKey(Arc<Inner>);

struct Inner {
    key_id: String,
    team_id: String,
    pair: EcdsaKeyPair,
    /// The last secret, its client, and when it ends.
    made: Mutex<Option<(String, Secret<String>, Timestamp)>>,
}

impl AppleKey {
    /// Takes the key: its id, the id of the team, and the content of the file `AuthKey_….p8`.
    ///
    /// # Errors
    /// [`SetupError`]: an id is not ten letters and digits, or the file holds no key of the curve P-256.
    pub fn new(
        key_id: impl Into<String>,
        team_id: impl Into<String>,
        private_key: &Secret<String>,
    ) -> Result<Self, SetupError> {
        let (key_id, team_id) = (key_id.into(), team_id.into());
        let is_id = |id: &str| id.len() == 10 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if !is_id(&key_id) || !is_id(&team_id) {
            return Err(SetupError::new(
                "Apple's ids of key and team are ten letters and digits",
            ));
        }
        let pair = read(private_key.expose()).ok_or_else(|| {
            SetupError::new("Apple's private key is not PKCS #8 in PEM, of the curve P-256")
        })?;
        Ok(Self(Arc::new(Inner {
            key_id,
            team_id,
            pair,
            made: Mutex::default(),
        })))
    }

    /// The secret of the client `id` at `now`; the last one while it lives.
    pub(crate) fn secret(&self, id: &str, now: Timestamp) -> Result<Secret<String>, ProviderError> {
        let mut made = self.0.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((client, secret, ends)) = &*made
            && client == id
            // Not one from the future either, after a clock went back: Apple would refuse it.
            && now.plus(SPARE) < *ends
            && *ends <= now.plus(LIFETIME)
        {
            return Ok(secret.clone());
        }
        let ends = now.plus(LIFETIME);
        let secret = self
            .sign(id, now, ends)
            .ok_or_else(|| ProviderError::Unavailable("the client's secret could not be signed".into()))?;
        *made = Some((id.to_owned(), secret.clone(), ends));
        Ok(secret)
    }

    fn sign(&self, id: &str, now: Timestamp, ends: Timestamp) -> Option<Secret<String>> {
        let header = json!({ "alg": "ES256", "kid": self.0.key_id });
        let claims = json!({
            "iss": self.0.team_id,
            "sub": id,
            "aud": AUDIENCE,
            "iat": now.as_secs(),
            "exp": ends.as_secs(),
        });
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", part(header), part(claims));
        let signature = self.0.pair.sign(&SystemRandom::new(), message.as_bytes()).ok()?;
        Some(Secret::new(format!(
            "{message}.{}",
            URL_SAFE_NO_PAD.encode(signature)
        )))
    }
}

impl fmt::Debug for AppleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppleKey")
            .field("key_id", &self.0.key_id)
            .finish_non_exhaustive()
    }
}

/// # Source
/// RFC 7468 §10.
fn read(pem: &str) -> Option<EcdsaKeyPair> {
    let body = pem.trim().strip_prefix("-----BEGIN PRIVATE KEY-----")?;
    let body = body.strip_suffix("-----END PRIVATE KEY-----")?;
    let mut text = Zeroizing::new(body.to_owned());
    text.retain(|char| !char.is_ascii_whitespace());
    let document = Zeroizing::new(STANDARD.decode(text.as_bytes()).ok()?);
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &document).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair, UnparsedPublicKey};
    use serde_json::Value;

    use super::*;

    /// A key as Apple hands it out, and its public half.
    pub(crate) fn handed_out() -> (Secret<String>, Vec<u8>) {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new()).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref()).unwrap();
        let body = STANDARD.encode(document.as_ref());
        let lines: Vec<&str> = body
            .as_bytes()
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----",
            lines.join("\n")
        );
        (Secret::new(pem), pair.public_key().as_ref().to_vec())
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_ms(secs * 1000)
    }

    #[test]
    fn the_secret_is_a_token_of_the_team_for_apple_and_lives_an_hour() {
        let (pem, public) = handed_out();
        let key = AppleKey::new("KEY1234567", "TEAM123456", &pem).unwrap();
        let secret = key.secret("com.acme.web", at(1_000_000)).unwrap();
        let parts: Vec<&str> = secret.expose().split('.').collect();
        let [header, claims, signature] = parts[..] else {
            panic!("no token");
        };
        let read =
            |part: &str| -> Value { serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap() };
        assert_eq!(read(header), json!({ "alg": "ES256", "kid": "KEY1234567" }));
        assert_eq!(
            read(claims),
            json!({
                "iss": "TEAM123456", "sub": "com.acme.web", "aud": "https://appleid.apple.com",
                "iat": 1_000_000, "exp": 1_003_600,
            })
        );
        let message = format!("{header}.{claims}");
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
            .verify(message.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap())
            .unwrap();
    }

    #[test]
    fn a_secret_is_used_until_shortly_before_its_end_and_by_its_client_alone() {
        let (pem, _) = handed_out();
        let key = AppleKey::new("KEY1234567", "TEAM123456", &pem).unwrap();
        let secret = |id: &str, secs: i64| key.secret(id, at(secs)).unwrap().expose().clone();
        let first = secret("web", 0);
        assert_eq!(secret("web", 3299), first);
        let second = secret("web", 3300);
        assert_ne!(second, first);
        assert_ne!(secret("ios", 3300), second);
        let third = secret("web", 3400);
        assert_ne!(secret("web", 0), third, "a clock that went back");
    }

    #[test]
    fn what_is_no_key_of_apple_is_refused_and_not_shown() {
        let (pem, _) = handed_out();
        assert!(AppleKey::new("KEY", "TEAM123456", &pem).is_err());
        assert!(AppleKey::new("KEY1234567", "", &pem).is_err());
        for text in [
            "",
            "canary",
            "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----",
        ] {
            let error = AppleKey::new("KEY1234567", "TEAM123456", &Secret::new(text.to_owned())).unwrap_err();
            assert!(!format!("{error:?} {error}").contains("canary"));
        }
        let key = AppleKey::new("KEY1234567", "TEAM123456", &pem).unwrap();
        assert_eq!(format!("{key:?}"), "AppleKey { key_id: \"KEY1234567\", .. }");
    }
}
