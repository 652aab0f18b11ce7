//! The signed access token: a JWT of one fixed form, written once and read strictly.
//!
//! Its payload is serialized once; the same text goes into the token and, by `wire`, into `front-token`. Reading it
//! touches no storage. What is accepted is what we issue, byte for byte in its header and by type in its claims; a
//! token that fails is either *not ours*, and then counts as none, or one to be refreshed. Both deny.
//!
//! # Source
//! RFC 7519, RFC 8725; R-TOK-1 to R-TOK-4 of the threat model.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::keys::{Keys, SignedToken, SigningKeys, Verifies, is_kid};
use super::remembered::Remembered;
use super::verified::{Accepted, Said};
use crate::config::{ClaimNames, SessionConfig};
use crate::entropy::{Entropy, EntropyError};
use crate::error::Fault;
use crate::id::{FactorId, MethodId, SessionHandle, TenantId, UserId};
use crate::json::{self, Glance, Members};
use crate::policy::SecondFactor;
use crate::record::JsonMap;
use crate::time::Timestamp;

pub use super::verified::{AccessClaims, MfaClaim, Named, SecondFactorClaim};

/// The longest token that is looked at, in bytes; a longer one is refused before it is decoded (threat A-TOK-15).
pub const MAX_TOKEN: usize = 8 * 1024;

/// The longest token in a cookie, its name included, in bytes: browsers drop what is longer (ASVS v5.0.0-3.3.5).
pub const MAX_COOKIE: usize = 4096;

/// The longest payload that is issued, in bytes: in base64, with an RS256 signature and the longest cookie name, it
/// still fits [`MAX_COOKIE`].
pub const MAX_PAYLOAD: usize = 2600;

/// The longest part of the payload that is the application's own, in bytes. The rest is for base and factor claims,
/// so that no user is locked out by a factor that outgrows the cookie.
pub const MAX_OWN_PAYLOAD: usize = 1800;

/// Writes and reads access tokens.
#[derive(Debug)]
pub struct AccessTokens {
    keys: Arc<SigningKeys>,
    reader: AccessReader,
}

impl AccessTokens {
    /// Tokens of `issuer`, which is the API's domain and base path; for `audience`, if one is configured.
    ///
    /// # Errors
    /// Randomness failed.
    pub fn new(
        keys: Arc<SigningKeys>,
        issuer: impl Into<String>,
        audience: Option<String>,
        names: ClaimNames,
        config: &SessionConfig,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyError> {
        Ok(Self {
            keys,
            reader: AccessReader::new(
                issuer.into(),
                audience,
                names,
                config.leeway,
                config.remembered_bytes,
                entropy,
            )?,
        })
    }

    /// The same for a site that may have no second factor of ours: a claim by the name of ours is then the application's,
    /// and proves nothing to us.
    #[must_use]
    pub fn with_second_factor(mut self, second_factor: SecondFactor) -> Self {
        self.reader = self.reader.with_second_factor(second_factor);
        self
    }

    /// The signing keys.
    pub fn keys(&self) -> &Arc<SigningKeys> {
        &self.keys
    }

    /// The payload of a token, serialized: for [`AccessTokens::sign`] and for `front-token`.
    ///
    /// # Errors
    /// [`PayloadError`]: the application's part is no such payload, or the whole is too long.
    pub fn payload(&self, parts: &AccessParts<'_>) -> Result<String, PayloadError> {
        self.check_own(parts.own)?;
        let mut claims = JsonMap::new();
        let mut put = |key: &str, value: Value| claims.insert(key.to_owned(), value);
        put(IAT, parts.issued_at.as_secs().into());
        put(EXP, parts.expires_at.as_secs().into());
        put(SUB, parts.user.as_str().into());
        put(TENANT, parts.tenant.as_str().into());
        put(METHOD, parts.method.as_str().into());
        put(HANDLE, parts.handle.as_str().into());
        put(REFRESH_HASH, parts.refresh_hash.into());
        put(ANTI_CSRF, Value::Null);
        put(ISS, self.reader.issuer.as_str().into());
        if let Some(audience) = &self.reader.audience {
            put(AUD, audience.as_str().into());
        }
        for (key, value) in parts.derived.iter().chain(parts.own) {
            put(key, value.clone());
        }
        let text = Value::Object(claims).to_string();
        if text.len() > MAX_PAYLOAD {
            return Err(PayloadError::TooLong {
                bytes: text.len(),
                limit: MAX_PAYLOAD,
            });
        }
        Ok(text)
    }

    /// Whether `own` may be an application's part of the payload, or a patch of it. Called when the application merges,
    /// so that the mistake shows there and not at somebody's sign-in.
    ///
    /// # Errors
    /// [`PayloadError`].
    pub fn check_own(&self, own: &JsonMap) -> Result<(), PayloadError> {
        if let Some(key) = own.keys().find(|key| self.is_reserved(key)) {
            return Err(PayloadError::Reserved { key: key.clone() });
        }
        // One level is that of the payload itself; what we could not read back must not be issued.
        if own.values().any(|value| json::depth(value) >= json::MAX_DEPTH) {
            return Err(PayloadError::TooDeep);
        }
        let bytes = serde_json::to_string(own).map_or(usize::MAX, |text| text.len());
        if bytes > MAX_OWN_PAYLOAD {
            return Err(PayloadError::TooLong {
                bytes,
                limit: MAX_OWN_PAYLOAD,
            });
        }
        Ok(())
    }

    /// Whether an application may not write `key` here.
    pub fn is_reserved(&self, key: &str) -> bool {
        is_reserved(key, &self.reader.names, self.reader.second_factor)
    }

    /// Signs a payload made by [`AccessTokens::payload`].
    ///
    /// # Errors
    /// As [`SigningKeys::sign`].
    pub fn sign(&self, claims_json: &str, now: Timestamp) -> Result<SignedToken, Fault> {
        self.keys.sign(claims_json, now)
    }

    /// Verifies a token, without a look at the store. One that was verified before, and that nothing has changed for
    /// since, is not verified again.
    ///
    /// Whether its session was revoked is not asked here: that is so for a remembered token and for any other.
    ///
    /// # Errors
    /// [`AccessRefusal`]. After [`TokenFlaw::UnknownKey`] the caller asks [`SigningKeys::wants_early_poll`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Arc<AccessClaims>, AccessRefusal> {
        self.reader.verify(&*self.keys, token, now)
    }

    /// The session of a token that is good but for its expiry. None of any other, of a live one too.
    pub fn lapsed(&self, token: &str, now: Timestamp) -> Option<Named> {
        self.reader.lapsed(&*self.keys, token, now)
    }
}

/// Judges access tokens by whatever keys it is handed, here and elsewhere, and remembers those that it verified. What it
/// remembers was accepted under its own settings and by the same keys, so neither is ever exchanged.
#[derive(Debug)]
pub(crate) struct AccessReader {
    issuer: String,
    audience: Option<String>,
    names: ClaimNames,
    leeway: Duration,
    second_factor: SecondFactor,
    remembered: Remembered<AccessClaims>,
}

impl AccessReader {
    /// For tokens of `issuer`, and for `audience`, if one is named. `leeway` is at most a minute (R-TOK-2); so many bytes
    /// of verified tokens are remembered.
    ///
    /// # Errors
    /// Randomness failed.
    pub(crate) fn new(
        issuer: String,
        audience: Option<String>,
        names: ClaimNames,
        leeway: Duration,
        remembered_bytes: usize,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyError> {
        Ok(Self {
            issuer,
            audience,
            names,
            leeway: leeway.min(MAX_LEEWAY),
            second_factor: SecondFactor::BuiltIn,
            remembered: Remembered::new(remembered_bytes, entropy)?,
        })
    }

    /// The same for a site that may have no second factor of ours.
    pub(crate) fn with_second_factor(mut self, second_factor: SecondFactor) -> Self {
        self.second_factor = second_factor;
        self
    }

    /// What the derived claims are called.
    pub(crate) fn names(&self) -> &ClaimNames {
        &self.names
    }

    /// Verifies a token.
    ///
    /// # Errors
    /// [`AccessRefusal`].
    pub(crate) fn verify(
        &self,
        keys: &impl Keys,
        token: &str,
        now: Timestamp,
    ) -> Result<Arc<AccessClaims>, AccessRefusal> {
        if let Some(claims) = self.remembered.find(token)
            && still_accepts(keys, &claims, now)
        {
            return Ok(claims);
        }
        let claims = self.judge(keys, token, now, now).map_err(|flaw| {
            if flaw == TokenFlaw::Oversize || is_ours(keys, token) {
                AccessRefusal::TryRefresh(flaw)
            } else {
                AccessRefusal::NotOurs
            }
        })?;
        let claims = Arc::new(claims);
        self.remembered.remember(&claims);
        Ok(claims)
    }

    /// See [`AccessTokens::lapsed`].
    fn lapsed(&self, keys: &impl Keys, token: &str, now: Timestamp) -> Option<Named> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let payload = token.split('.').nth(1)?;
        let exp = leading_exp(&URL_SAFE_NO_PAD.decode(payload).ok()?)?;
        if !self.is_past(exp, now) {
            return None;
        }
        // By the keys of today, as of its last moment.
        self.judge(keys, token, now, at(exp))
            .ok()
            .map(|claims| claims.named())
    }

    /// Judges a token by the keys of `now`, and its times as of `then`.
    fn judge(
        &self,
        keys: &impl Keys,
        token: &str,
        now: Timestamp,
        then: Timestamp,
    ) -> Result<AccessClaims, TokenFlaw> {
        if token.len() > MAX_TOKEN {
            return Err(TokenFlaw::Oversize);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(TokenFlaw::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenFlaw::Malformed)?;
        let version = keys.version();
        let Some(key) = keys.by_header(header, now) else {
            return Err(header_flaw(keys, token, header, now));
        };
        let json = URL_SAFE_NO_PAD
            .decode(payload)
            .map_err(|_| TokenFlaw::Malformed)?;
        // Most refused tokens are merely old: the expiry, where we write it, is looked at before the signature is.
        // It can only refuse.
        if leading_exp(&json).is_some_and(|exp| self.is_past(exp, then)) {
            return Err(TokenFlaw::Expired);
        }
        if !key.verify(signature, message.as_bytes()) {
            return Err(TokenFlaw::Signature);
        }
        let claims = json::read_members(&json).map_err(|_| TokenFlaw::Malformed)?;
        let (said, starts) = self.read(&claims, then)?;
        let (from, until) = keys.verifies_within(&key);
        let accepted = Accepted {
            from: from.max(starts.minus(self.leeway)),
            until: until.min(said.expires_at.plus(self.leeway)),
            key: key.number(),
            keys: AtomicU64::new(version),
        };
        Ok(AccessClaims::new(said, token, accepted, &self.remembered))
    }

    /// Reads the claims of a token whose signature is right; and from when on it may be used, by its `iat` and `nbf`.
    fn read(&self, payload: &Members<'_>, now: Timestamp) -> Result<(Said, Timestamp), TokenFlaw> {
        let iat = seconds(payload, IAT)?.ok_or(TokenFlaw::Claim(IAT))?;
        let exp = seconds(payload, EXP)?.ok_or(TokenFlaw::Claim(EXP))?;
        let said = Said {
            user: UserId::from(text(payload, SUB)?),
            method: MethodId::from(text(payload, METHOD)?),
            tenant: TenantId::from(text(payload, TENANT)?),
            handle: SessionHandle::from(text(payload, HANDLE)?),
            refresh_hash: text(payload, REFRESH_HASH)?.to_owned(),
            issued_at: at(iat),
            expires_at: at(exp),
            mfa: mfa(payload.get(&self.names.mfa))?,
            second_factor: match self.second_factor {
                SecondFactor::BuiltIn => second_factor(payload.get(&self.names.second_factor))?,
                SecondFactor::Absent => None,
            },
        };
        if text(payload, ISS)? != self.issuer {
            return Err(TokenFlaw::Claim(ISS));
        }
        // RFC 7519 §4.1.3: who is not named is not meant; so a token for somebody is not for a site without a name.
        match (&self.audience, payload.get(AUD)) {
            (None, None) => {}
            (Some(ours), Some(Glance::Text(theirs))) if ours == theirs => {}
            _ => return Err(TokenFlaw::Claim(AUD)),
        }
        if payload.get(STT).is_some_and(|kind| kind.as_i64() != Some(0)) {
            return Err(TokenFlaw::Claim(STT));
        }
        if payload.get(ANTI_CSRF).is_some_and(|value| *value != Glance::Null) {
            return Err(TokenFlaw::Claim(ANTI_CSRF));
        }
        let lifetime = exp.checked_sub(iat);
        if !lifetime.is_some_and(|secs| (0..=MAX_LIFETIME_SECS).contains(&secs)) {
            return Err(TokenFlaw::Claim(EXP));
        }
        if self.is_past(exp, now) {
            return Err(TokenFlaw::Expired);
        }
        let starts = at(seconds(payload, NBF)?.unwrap_or(iat).max(iat));
        if starts > now.plus(self.leeway) {
            return Err(TokenFlaw::Early);
        }
        Ok((said, starts))
    }

    fn is_past(&self, exp: i64, now: Timestamp) -> bool {
        now > at(exp).plus(self.leeway)
    }
}

/// Whether a token that was accepted once is accepted now. Its bytes are the same and our settings are; the time is
/// another one, and the key may have gone.
fn still_accepts(keys: &impl Keys, claims: &AccessClaims, now: Timestamp) -> bool {
    let accepted = claims.accepted();
    if !accepted.covers(now) {
        return false;
    }
    // Before the look, so that a key that goes meanwhile is looked for again with the next request.
    let version = keys.version();
    if accepted.keys.load(Ordering::Relaxed) == version {
        return true;
    }
    let known = keys.has_number(accepted.key);
    if known {
        accepted.keys.store(version, Ordering::Relaxed);
    }
    known
}

/// Why a header belongs to no key: for the event, and for whoever may poll.
fn header_flaw(keys: &impl Keys, token: &str, header: &str, now: Timestamp) -> TokenFlaw {
    if keys.issued(token) {
        return TokenFlaw::RetiredKey;
    }
    let Some(members) = URL_SAFE_NO_PAD
        .decode(header)
        .ok()
        .and_then(|bytes| json::read_object(&bytes).ok())
    else {
        return TokenFlaw::Header;
    };
    let is = |key: &str, value: &str| members.get(key).and_then(Value::as_str) == Some(value);
    let kid = members.get("kid").and_then(Value::as_str).unwrap_or_default();
    let ours = members.len() == 4
        && is("typ", "JWT")
        && is("version", "5")
        && is("alg", keys.algorithm().name())
        && is_kid(kid)
        && !keys.knows(kid, now);
    if ours {
        TokenFlaw::UnknownKey
    } else {
        TokenFlaw::Header
    }
}

/// Whether a refused token was meant to be one of ours, so that its bearer should refresh. One that was not counts as
/// absent, and a cookie beside it is used instead. It may be mangled: parts are decoded as far as they can be.
fn is_ours(keys: &impl Keys, token: &str) -> bool {
    keys.issued(token)
        || token.split('.').take(4).any(|part| {
            let decoded = decode_leniently(part);
            decoded
                .windows(MARK.len())
                .any(|window| window == MARK.as_bytes())
        })
}

/// What a token is made of.
#[derive(Clone, Copy, Debug)]
pub struct AccessParts<'a> {
    /// The user.
    pub user: &'a UserId,
    /// The login method that opened the session.
    pub method: &'a MethodId,
    /// The tenant.
    pub tenant: &'a TenantId,
    /// The session.
    pub handle: &'a SessionHandle,
    /// Lower-case hex SHA-256 of the refresh token.
    pub refresh_hash: &'a str,
    /// Now; a token that is issued again takes a new one, since clients derive the skew of their clock from it.
    pub issued_at: Timestamp,
    /// When it expires: no later than its session.
    pub expires_at: Timestamp,
    /// The claims that policy derived, in order.
    pub derived: &'a JsonMap,
    /// The application's part.
    pub own: &'a JsonMap,
}

/// Why a token was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessRefusal {
    /// It is no access token of ours: it counts as none.
    #[error("not an access token of this site")]
    NotOurs,
    /// It was one, or claims to be: its bearer should refresh. Nothing is cleared.
    #[error("access token refused: {}", .0.as_str())]
    TryRefresh(TokenFlaw),
}

/// What is wrong with a token: for the event, never for the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenFlaw {
    /// Longer than [`MAX_TOKEN`].
    Oversize,
    /// Not three parts of base64url, or not one JSON object with distinct members.
    Malformed,
    /// A header that we do not issue: another algorithm, a key inside, a critical extension.
    Header,
    /// A header of our form that names a key we do not know.
    UnknownKey,
    /// A key that verifies no more.
    RetiredKey,
    /// The signature is not that of the key.
    Signature,
    /// A claim is missing, of the wrong type, or not ours.
    Claim(&'static str),
    /// Past `exp`.
    Expired,
    /// Before `nbf` or `iat`.
    Early,
}

impl TokenFlaw {
    /// A fixed word for the event.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Oversize => "oversize",
            Self::Malformed => "malformed",
            Self::Header => "header",
            Self::UnknownKey => "unknown key",
            Self::RetiredKey => "retired key",
            Self::Signature => "signature",
            Self::Claim(_) => "claim",
            Self::Expired => "expired",
            Self::Early => "early",
        }
    }
}

/// Why a payload cannot be issued.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// A key that only we write.
    #[error("the payload contains protected field {key:?}")]
    Reserved {
        /// The key.
        key: String,
    },
    /// Too long to travel in a cookie.
    #[error("the payload has {bytes} bytes, more than {limit}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// Nested deeper than a token may be.
    #[error("the payload is nested too deeply")]
    TooDeep,
}

/// Whether an application may not write `key` into the payload (R-TOK-4): base and registered claims, the clients'
/// `st-` claims, the derived claims by their configured names, and `__proto__`, which scripts would not read as a member.
/// Where no second factor of ours is at work, the names of its claims are the application's.
///
/// # Source
/// RFC 8725 §3.10; ASVS v5.0.0-8.2.3.
pub fn is_reserved(key: &str, names: &ClaimNames, second_factor: SecondFactor) -> bool {
    let derived = match second_factor {
        SecondFactor::BuiltIn => [&names.second_factor, &names.phone]
            .into_iter()
            .any(|name| name == key),
        SecondFactor::Absent => false,
    };
    RESERVED.contains(&key) || key.starts_with("st-") || key == names.mfa || derived
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_ms(seconds.saturating_mul(1000))
}

/// A claim that must be there, as text that is not empty.
fn text<'a>(claims: &'a Members<'_>, key: &'static str) -> Result<&'a str, TokenFlaw> {
    match claims.get(key) {
        Some(Glance::Text(text)) if !text.is_empty() => Ok(text),
        _ => Err(TokenFlaw::Claim(key)),
    }
}

/// A claim in whole seconds since 1970. A value of another type is an error, never an absence (CVE-2026-25537).
fn seconds(claims: &Members<'_>, key: &'static str) -> Result<Option<i64>, TokenFlaw> {
    claims
        .get(key)
        .map(|value| whole(value).ok_or(TokenFlaw::Claim(key)))
        .transpose()
}

/// An integer that is not negative: no float, no exponent, no text.
fn whole(value: &Glance<'_>) -> Option<i64> {
    value.as_i64().filter(|number| *number >= 0)
}

fn mfa(value: Option<&Glance<'_>>) -> Result<Option<MfaClaim>, TokenFlaw> {
    let Some(value) = value else { return Ok(None) };
    let read = || {
        let members = value.as_object().filter(|members| members.len() == 2)?;
        let completed = members.get("c")?.as_object()?;
        Some(MfaClaim {
            satisfied: members.get("v")?.as_bool()?,
            completed: completed
                .iter()
                .map(|(factor, secs)| Some((FactorId::of_token(factor), at(whole(secs)?))))
                .collect::<Option<_>>()?,
        })
    };
    read().map(Some).ok_or(TokenFlaw::Claim("mfa"))
}

fn second_factor(value: Option<&Glance<'_>>) -> Result<Option<SecondFactorClaim>, TokenFlaw> {
    let Some(value) = value else { return Ok(None) };
    let read = || {
        let members = value.as_object().filter(|members| members.len() == 2)?;
        Some(SecondFactorClaim {
            completed: members.get("v")?.as_bool()?,
            at: Timestamp::from_ms(whole(members.get("t")?)?),
        })
    };
    read().map(Some).ok_or(TokenFlaw::Claim("second factor"))
}

/// `exp` of a payload that begins as [`AccessTokens::payload`] writes it.
fn leading_exp(json: &[u8]) -> Option<i64> {
    let rest = json.strip_prefix(b"{\"iat\":")?;
    let (_, rest) = digits(rest)?;
    let (exp, rest) = digits(rest.strip_prefix(b",\"exp\":")?)?;
    (rest.first() == Some(&b',')).then_some(exp)
}

fn digits(text: &[u8]) -> Option<(i64, &[u8])> {
    let length = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at_checked(length)?;
    Some((std::str::from_utf8(digits).ok()?.parse().ok()?, rest))
}

fn decode_leniently(part: &str) -> Vec<u8> {
    let mut text: String = part
        .chars()
        .filter_map(|c| match c {
            '+' => Some('-'),
            '/' => Some('_'),
            '-' | '_' => Some(c),
            c if c.is_ascii_alphanumeric() => Some(c),
            _ => None,
        })
        .collect();
    if text.len() % 4 == 1 {
        text.pop();
    }
    LENIENT.decode(text).unwrap_or_default()
}

const SUB: &str = "sub";
const METHOD: &str = "rsub";
const TENANT: &str = "tId";
const HANDLE: &str = "sessionHandle";
const REFRESH_HASH: &str = "refreshTokenHash1";
const ANTI_CSRF: &str = "antiCsrfToken";
const STT: &str = "stt";
const IAT: &str = "iat";
const EXP: &str = "exp";
const NBF: &str = "nbf";
const ISS: &str = "iss";
const AUD: &str = "aud";

const RESERVED: [&str; 20] = [
    SUB,
    METHOD,
    TENANT,
    HANDLE,
    REFRESH_HASH,
    "parentRefreshTokenHash1",
    ANTI_CSRF,
    STT,
    IAT,
    EXP,
    NBF,
    ISS,
    AUD,
    "jti",
    "kid",
    "typ",
    "amr",
    "acr",
    "auth_time",
    "__proto__",
];

/// By this a payload is known for an access token's, whoever made it.
const MARK: &str = "\"sessionHandle\"";
const MAX_LEEWAY: Duration = Duration::from_secs(60);
/// The hard limit of an access token's life (ASVS v5.0.0-8.3.2).
const MAX_LIFETIME_SECS: i64 = 3600;
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

#[cfg(test)]
mod tests;
