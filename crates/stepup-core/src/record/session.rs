//! Sessions: a signed-in user on one device, and the chain of refresh tokens that keeps it alive.

use std::time::Duration;

use super::JsonMap;
use super::user::Summary;
use crate::evidence::Completed;
use crate::id::{KeyId, MethodId, SessionHandle, TenantId, UserId};
use crate::secret::Mac;
use crate::time::Timestamp;

/// A session as stored, keyed by its handle.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// Its handle.
    pub handle: SessionHandle,
    /// The tenant of its user.
    pub tenant: TenantId,
    /// Its user.
    pub user: UserId,
    /// The login method that opened it.
    pub method: MethodId,
    /// The user's credential epoch when it was opened; it lives only while the two are equal.
    pub epoch: i64,
    /// The factors completed in it, with their times. `st-mfa` and `2fa-completed` are derived from these.
    pub factors: Completed,
    /// The application's part of the access-token payload.
    pub payload: JsonMap,
    /// Whether the site's policy still waits for a second factor.
    pub class: Class,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it ends unless refreshed.
    pub idle_expires_at: Timestamp,
    /// When it ends whatever happens: the absolute end, or the end of a half-login.
    pub ends_at: Timestamp,
    /// The refresh tokens.
    pub chain: Chain,
    /// From where it was opened.
    pub origin: Origin,
}

impl Session {
    /// Whether its time is over: idle or absolute, whichever comes first.
    pub fn is_over(&self, now: Timestamp) -> bool {
        now >= self.idle_expires_at || now >= self.ends_at
    }

    /// The end that comes first; no access token outlives it.
    pub fn end(&self) -> Timestamp {
        self.idle_expires_at.min(self.ends_at)
    }

    /// Rotates the chain if `rotate` presents the current token, the session is not over and its tally not full.
    /// Whether it did. A store does the same in one statement, with a look at the user.
    pub fn rotate(&mut self, rotate: &Rotate) -> bool {
        let now = rotate.rotation.at;
        let chain = &mut self.chain;
        let anew = now.since(chain.tally_since) >= rotate.tally_window;
        let tally = if anew { 0 } else { chain.tally };
        let over = now >= self.idle_expires_at || now >= self.ends_at;
        if over
            || chain.generation != rotate.generation
            || chain.current != rotate.current
            || tally >= rotate.tally_limit
        {
            return false;
        }
        chain.generation += 1;
        chain.previous = Some(chain.current);
        chain.current = rotate.next;
        chain.rotated = Some(rotate.rotation.clone());
        chain.tally = tally + 1;
        if anew {
            chain.tally_since = now;
        }
        self.idle_expires_at = now.plus(rotate.idle).min(self.ends_at);
        true
    }
}

/// How long-lived a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A half-login: the site's policy demands a second factor that has not been completed.
    Half,
    /// Complete in the eyes of the site's policy when it was opened, or since.
    Full,
}

impl Class {
    /// The class as stored.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Half => "half",
            Self::Full => "full",
        }
    }

    /// Reads a stored class.
    pub fn parse(class: &str) -> Option<Self> {
        match class {
            "half" => Some(Self::Half),
            "full" => Some(Self::Full),
            _ => None,
        }
    }
}

/// Where a request came from, as far as a session remembers it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The network: an IPv4 address or an IPv6 /64 in canonical form; empty if unknown.
    pub network: String,
    /// The user agent, at most 200 bytes of it.
    pub agent: String,
}

/// The chain of refresh tokens of a session: exactly one is live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    /// Counts rotations and rises; it is part of every refresh token.
    pub generation: i64,
    /// Digest of the live token's secret.
    pub current: Mac,
    /// Digest of the secret before the last rotation.
    pub previous: Option<Mac>,
    /// The last ordinary rotation; none since a rise.
    pub rotated: Option<Rotation>,
    /// The last rise in assurance.
    pub rise: Option<Rise>,
    /// When the present tally began.
    pub tally_since: Timestamp,
    /// Rotations since then.
    pub tally: u32,
}

/// How and when the chain was last rotated: enough to derive the successor once more, for whoever lost the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// When. The grace is counted from here and not extended by use.
    pub at: Timestamp,
    /// The salt of the successor's derivation.
    pub salt: [u8; 16],
    /// The key of the successor's derivation.
    pub key: KeyId,
    /// Who rotated.
    pub origin: Origin,
}

/// A rise in assurance: refresh tokens of a lower generation belong to a weaker session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rise {
    /// The generation that the rise made.
    pub generation: i64,
    /// When.
    pub at: Timestamp,
}

/// Asks to rotate the chain: the presented token is (`generation`, `current`), the successor `next`.
#[derive(Clone, Debug)]
pub struct Rotate {
    /// The session.
    pub handle: SessionHandle,
    /// Generation of the presented token.
    pub generation: i64,
    /// Digest of the presented token's secret.
    pub current: Mac,
    /// Digest of the successor's secret.
    pub next: Mac,
    /// What is remembered of this rotation; `at` is the present moment.
    pub rotation: Rotation,
    /// How far the idle end moves; never past `ends_at`.
    pub idle: Duration,
    /// The most rotations within `tally_window`.
    pub tally_limit: u32,
    /// How long a tally lasts.
    pub tally_window: Duration,
}

/// What a rotation, or a look at a live session, yields: all that a new access token needs.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionView {
    /// The session.
    pub session: Session,
    /// Its user's summary.
    pub summary: Summary,
}
