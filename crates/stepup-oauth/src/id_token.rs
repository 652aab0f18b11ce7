//! Id tokens: read strictly, verified by one key, and believed for one client, one nonce and a short time.
//!
//! Nothing in a token chooses how it is judged: not the algorithm, which must be one of the configuration, not the keys,
//! which are those of the pinned issuer, and not the address of any further key (`jwk`, `jku`, `x5u` are not read).
//!
//! # Source
//! OpenID Connect Core §2 and §3.1.3.7; RFC 7515; RFC 8725.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use stepup_core::json;
use stepup_core::provider::ProviderError;
use stepup_core::record::JsonMap;
use stepup_core::time::Timestamp;

use crate::issuer::Issuer;
use crate::keys::{Algorithm, Key};

/// The longest token that is read, in bytes.
const MAX_TOKEN: usize = 32 * 1024;

/// How far the clocks of two servers may be apart (threat model: at most 60 s).
pub(crate) const LEEWAY: Duration = Duration::from_secs(60);

/// How long after its issue a token still signs somebody in, whenever it ends: some issuers give theirs a day.
const MAX_AGE: Duration = Duration::from_secs(60 * 60);

/// An id token of the right shape. Nothing of it is believed yet.
pub(crate) struct IdToken<'a> {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    claims: JsonMap,
    message: &'a str,
    signature: Vec<u8>,
}

/// What a token has to say.
pub(crate) struct Expected<'a> {
    /// Who issued it.
    pub(crate) issuer: &'a Issuer,
    /// Whom it is for.
    pub(crate) client: &'a str,
    /// Who may have asked for it: the client itself; for tokens that an application on a device got, any client of ours.
    pub(crate) parties: &'a [&'a str],
    /// The nonce of this sign-in. None if the token does not come from the code flow.
    pub(crate) nonce: Option<&'a str>,
    /// The access token that came with it.
    pub(crate) access_token: Option<&'a str>,
    pub(crate) now: Timestamp,
}

impl<'a> IdToken<'a> {
    /// Reads a token that is signed by one of `allowed`.
    ///
    /// # Errors
    /// [`ProviderError::Untrusted`].
    pub(crate) fn read(token: &'a str, allowed: &[Algorithm]) -> Result<Self, ProviderError> {
        let malformed = || ProviderError::Untrusted("no_id_token");
        if token.len() > MAX_TOKEN {
            return Err(malformed());
        }
        let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = message.split_once('.').ok_or_else(malformed)?;
        let bytes = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        let object = |part: &str| json::read_object(&bytes(part)?).map_err(|_| malformed());
        let (header, claims, signature) = (object(header)?, object(claims)?, bytes(signature)?);

        // RFC 7515 §4.1.11: what must be understood is not.
        if header.contains_key("crit") {
            return Err(malformed());
        }
        // RFC 8725 §3.11: an access token, or any other kind of token of the same issuer, is no id token.
        match header.get("typ") {
            None => {}
            Some(Value::String(kind)) if kind.eq_ignore_ascii_case("jwt") => {}
            Some(_) => return Err(ProviderError::Untrusted("token_of_another_kind")),
        }
        let algorithm = header
            .get("alg")
            .and_then(Value::as_str)
            .and_then(Algorithm::named)
            .filter(|algorithm| allowed.contains(algorithm))
            .ok_or(ProviderError::Untrusted("algorithm_not_allowed"))?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(malformed()),
        };
        Ok(Self {
            algorithm,
            kid,
            claims,
            message,
            signature,
        })
    }

    /// Its claims, if `key` signed it and it says what is `expected`.
    ///
    /// # Errors
    /// [`ProviderError::Untrusted`].
    pub(crate) fn claims(self, key: &Key, expected: &Expected<'_>) -> Result<JsonMap, ProviderError> {
        let signed = key.verify(self.algorithm, self.message.as_bytes(), &self.signature);
        if !signed {
            return Err(ProviderError::Untrusted("wrong_signature"));
        }
        expected
            .refuses(&self.claims, self.algorithm, key)
            .map_or(Ok(self.claims), |reason| Err(ProviderError::Untrusted(reason)))
    }
}

impl Expected<'_> {
    /// The first thing in `claims` that is not as it should be.
    fn refuses(&self, claims: &JsonMap, algorithm: Algorithm, key: &Key) -> Option<&'static str> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let Some(issuer) = self.issuer.of_token(claims) else {
            return Some("id_token_of_another_issuer");
        };
        if text("iss") != Some(&issuer) {
            return Some("id_token_of_another_issuer");
        }
        if key
            .issuer
            .as_deref()
            .is_some_and(|of| !self.issuer.owns_key(of, &issuer))
        {
            return Some("id_token_by_a_key_of_another_issuer");
        }
        if let Some(reason) = self.refuses_audience(claims) {
            return Some(reason);
        }
        if let Some(reason) = self.refuses_time(claims) {
            return Some(reason);
        }
        match self.nonce {
            // OpenID Connect Core §3.1.3.7 (11): sent, so it must be there.
            Some(nonce) if text("nonce") != Some(nonce) => return Some("wrong_nonce"),
            // Made for a sign-in that somebody else began, and is to compare: taken here, it would be a stolen one's way around
            // that.
            None if claims.contains_key("nonce") => return Some("id_token_of_another_sign_in"),
            _ => {}
        }
        if let (Some(hash), Some(token)) = (claims.get("at_hash"), self.access_token)
            && hash.as_str() != Some(&algorithm.half_hash(token))
        {
            return Some("id_token_with_another_access_token");
        }
        None
    }

    fn refuses_audience(&self, claims: &JsonMap) -> Option<&'static str> {
        let (is_ours, several) = match claims.get("aud") {
            Some(Value::String(one)) => (one == self.client, false),
            Some(Value::Array(all)) => (all.iter().any(|one| one == self.client), all.len() > 1),
            _ => (false, false),
        };
        if !is_ours {
            return Some("id_token_for_another_client");
        }
        match claims.get("azp") {
            None if several => Some("id_token_names_no_party"),
            None => None,
            Some(Value::String(party)) if self.parties.contains(&party.as_str()) => None,
            Some(_) => Some("id_token_of_another_party"),
        }
    }

    fn refuses_time(&self, claims: &JsonMap) -> Option<&'static str> {
        let (Some(exp), Some(iat)) = (seconds(claims, "exp"), seconds(claims, "iat")) else {
            return Some("id_token_without_its_times");
        };
        if self.now >= exp.plus(LEEWAY) {
            return Some("id_token_expired");
        }
        // OpenID Connect Core §3.1.3.7 (10).
        if self.now > iat.plus(MAX_AGE + LEEWAY) {
            return Some("id_token_too_old");
        }
        let latest = self.now.plus(LEEWAY);
        if iat > latest || claims.contains_key("nbf") && seconds(claims, "nbf").is_none_or(|nbf| nbf > latest)
        {
            return Some("id_token_of_the_future");
        }
        None
    }
}

/// A time in whole seconds since 1970; RFC 7519 §2 allows a fraction, which is cut off.
fn seconds(claims: &JsonMap, name: &str) -> Option<Timestamp> {
    let value = claims.get(name)?;
    #[allow(clippy::cast_possible_truncation, reason = "a cast of a float saturates")]
    let whole = value
        .as_i64()
        .or_else(|| value.as_f64().map(|secs| secs.floor() as i64))?;
    Some(Timestamp::from_ms(whole.saturating_mul(1000)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_token_of_any_text_never_panics(text in r"[A-Za-z0-9_.=-]{0,80}|\PC{0,20}") {
            prop_assert!(IdToken::read(&text, &[Algorithm::Rs256]).is_err());
        }

        #[test]
        fn a_time_of_any_size_never_panics(exp: i64, iat: i64, fraction: f64) {
            let claims = serde_json::json!({ "exp": exp, "iat": iat, "nbf": fraction });
            for name in ["exp", "iat", "nbf"] {
                let _ = seconds(claims.as_object().unwrap(), name);
            }
        }
    }
}
