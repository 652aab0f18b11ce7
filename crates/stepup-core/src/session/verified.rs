//! What a verified access token says: read once, shared by all requests that carry the token.
//!
//! Whatever decides over a request is a plain field here. The whole payload, which few ask for, is read again from the
//! token when somebody does, and then kept.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::mem::size_of;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use super::remembered::{Charge, Remember, Remembered};
use crate::id::{FactorId, MethodId, SessionHandle, TenantId, UserId};
use crate::json;
use crate::record::JsonMap;
use crate::rule::Unpack;
use crate::time::Timestamp;

/// The claims of a verified token.
pub struct AccessClaims {
    said: Said,
    token: Zeroizing<Box<str>>,
    accepted: Accepted,
    /// The version of the memory of revocations by which nothing spoke against it; zero if it was never asked.
    cleared: AtomicU64,
    payload: OnceLock<Box<JsonMap>>,
    charge: Charge,
}

/// The session that a token names, be the token alive or not: enough to bind something to, and to admit nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// Its tenant.
    pub tenant: TenantId,
    /// The session.
    pub session: SessionHandle,
}

/// The claims that are read at once.
pub(super) struct Said {
    pub(super) user: UserId,
    pub(super) method: MethodId,
    pub(super) tenant: TenantId,
    pub(super) handle: SessionHandle,
    pub(super) refresh_hash: String,
    pub(super) issued_at: Timestamp,
    pub(super) expires_at: Timestamp,
    pub(super) mfa: Option<MfaClaim>,
    pub(super) second_factor: Option<SecondFactorClaim>,
}

/// By what a token was accepted: as long as all of it stands, the token is accepted without another look.
pub(super) struct Accepted {
    /// The first moment at which it is.
    pub(super) from: Timestamp,
    /// The last one.
    pub(super) until: Timestamp,
    /// The key's number in this process.
    pub(super) key: u64,
    /// The version of the set of keys in which that key was last found.
    pub(super) keys: AtomicU64,
}

impl AccessClaims {
    pub(super) fn new(said: Said, token: &str, accepted: Accepted, memory: &Remembered<Self>) -> Self {
        let charge = memory.charge(said.bytes() + ALLOCATION + token.len() + size_of::<Self>() + ALLOCATION);
        Self {
            said,
            token: Zeroizing::new(token.into()),
            accepted,
            cleared: AtomicU64::new(0),
            payload: OnceLock::new(),
            charge,
        }
    }

    /// `sub`: the user.
    pub fn user_id(&self) -> &UserId {
        &self.said.user
    }

    /// `rsub`: the login method that opened the session.
    pub fn method_id(&self) -> &MethodId {
        &self.said.method
    }

    /// `tId`: the tenant.
    pub fn tenant_id(&self) -> &TenantId {
        &self.said.tenant
    }

    /// `sessionHandle`: the session.
    pub fn handle(&self) -> &SessionHandle {
        &self.said.handle
    }

    /// The session, without what the token says of it.
    pub fn named(&self) -> Named {
        Named {
            tenant: self.said.tenant.clone(),
            session: self.said.handle.clone(),
        }
    }

    /// `refreshTokenHash1`: lower-case hex SHA-256 of the refresh token that belongs to it.
    pub fn refresh_hash(&self) -> &str {
        &self.said.refresh_hash
    }

    /// `iat`, whole seconds.
    pub fn issued_at(&self) -> Timestamp {
        self.said.issued_at
    }

    /// `exp`, whole seconds, without leeway.
    pub fn expires_at(&self) -> Timestamp {
        self.said.expires_at
    }

    /// The claim of the multi-factor clients; none if the token has no such claim.
    pub fn mfa(&self) -> Option<&MfaClaim> {
        self.said.mfa.as_ref()
    }

    /// The second-factor claim; none if the token has no such claim.
    pub fn second_factor(&self) -> Option<SecondFactorClaim> {
        self.said.second_factor
    }

    /// All claims, in their order.
    pub fn payload(&self) -> &JsonMap {
        self.payload.get_or_init(|| {
            let part = self.token.split('.').nth(1).unwrap_or_default();
            let text = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            // It was read before, by the same reader. Were it not for that: an empty payload meets no requirement.
            let map = json::read_object(&text).unwrap_or_default();
            self.charge.add(ALLOCATION + map_bytes(&map));
            Box::new(map)
        })
    }

    pub(super) fn accepted(&self) -> &Accepted {
        &self.accepted
    }

    /// Whether nothing spoke against it in that version of the memory of revocations.
    pub(super) fn is_cleared_by(&self, version: u64) -> bool {
        // The version was loaded with what it orders; this number only has to be that one.
        self.cleared.load(Ordering::Relaxed) == version
    }

    /// Nothing speaks against it in that version of the memory of revocations.
    pub(super) fn clear_by(&self, version: u64) {
        self.cleared.store(version, Ordering::Relaxed);
    }

    /// The bytes that it takes up now, by its own account.
    #[cfg(test)]
    pub(super) fn accounted(&self) -> usize {
        self.charge.bytes()
    }

    /// Claims that nobody signed.
    #[cfg(test)]
    pub(crate) fn for_tests(tenant: &str, user: &str, handle: &str, issued_at: Timestamp) -> Self {
        let issued_at = Timestamp::from_ms(issued_at.as_secs().saturating_mul(1000));
        Self {
            said: Said {
                user: user.into(),
                method: user.into(),
                tenant: tenant.into(),
                handle: handle.into(),
                refresh_hash: String::new(),
                issued_at,
                expires_at: issued_at.plus(std::time::Duration::from_secs(900)),
                mfa: None,
                second_factor: None,
            },
            token: Zeroizing::new("".into()),
            accepted: Accepted {
                from: issued_at,
                until: issued_at,
                key: 0,
                keys: AtomicU64::new(0),
            },
            cleared: AtomicU64::new(0),
            payload: OnceLock::new(),
            charge: Charge::default(),
        }
    }
}

impl Remember for AccessClaims {
    fn token(&self) -> &str {
        &self.token
    }

    fn charge(&self) -> &Charge {
        &self.charge
    }
}

impl Unpack for AccessClaims {
    fn unpack(&self) -> &JsonMap {
        self.payload()
    }
}

impl Debug for AccessClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The payload may hold a phone number, and the token is one.
        f.debug_struct("AccessClaims")
            .field("user", &self.said.user)
            .field("tenant", &self.said.tenant)
            .field("handle", &self.said.handle)
            .field("expires_at", &self.said.expires_at)
            .finish_non_exhaustive()
    }
}

impl Said {
    /// The bytes behind it.
    fn bytes(&self) -> usize {
        let texts = [
            self.user.as_str(),
            self.method.as_str(),
            self.tenant.as_str(),
            self.handle.as_str(),
            &self.refresh_hash,
        ];
        let texts: usize = texts.iter().map(|text| ALLOCATION + text.len()).sum();
        let factors = self.mfa.as_ref().map_or(0, |mfa| {
            let names = mfa.completed.keys().filter_map(FactorId::own_bytes);
            // A tree of few entries is one node with room for eleven.
            let nodes = mfa.completed.len().div_ceil(6);
            let names: usize = names.map(|bytes| ALLOCATION + bytes).sum();
            nodes * (ALLOCATION + 11 * size_of::<(FactorId, Timestamp)>()) + names
        });
        texts + factors
    }
}

impl Accepted {
    /// Whether the time alone would let it pass.
    pub(super) fn covers(&self, now: Timestamp) -> bool {
        self.from <= now && now <= self.until
    }
}

/// What a map takes up, rather more than less: a table of indices beside a list of entries, each with room to grow.
fn map_bytes(map: &JsonMap) -> usize {
    let room = map.len().next_power_of_two().max(4);
    let entries = room * (size_of::<(u64, String, Value)>() + 2 * size_of::<usize>());
    let behind = map
        .iter()
        .map(|(key, value)| ALLOCATION + key.len() + value_bytes(value));
    2 * ALLOCATION + entries + behind.sum::<usize>()
}

fn value_bytes(value: &Value) -> usize {
    match value {
        Value::Object(map) => map_bytes(map),
        Value::Array(items) => {
            let room = items.len().next_power_of_two().max(4) * size_of::<Value>();
            ALLOCATION + room + items.iter().map(value_bytes).sum::<usize>()
        }
        Value::String(text) => ALLOCATION + text.len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

/// What an allocation takes up beside what was asked for: its header, and the rounding.
const ALLOCATION: usize = 16;

/// `st-mfa`: `{"c":{"<factor>":seconds},"v":bool}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MfaClaim {
    /// Whether the site's policy is satisfied.
    pub satisfied: bool,
    /// The completed factors, with their times in whole seconds.
    pub completed: BTreeMap<FactorId, Timestamp>,
}

/// `2fa-completed`: `{"v":bool,"t":milliseconds}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecondFactorClaim {
    /// Whether two distinct factors were completed and the policy is satisfied.
    pub completed: bool,
    /// When the newest accepted second factor was completed; while `completed` is false, the first factor.
    pub at: Timestamp,
}
