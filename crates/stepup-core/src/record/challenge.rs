//! Challenges: secrets that can be answered once, counted and timed.

use std::time::Duration;

use crate::id::{ChallengeId, SessionHandle, TenantId, UserId};
use crate::secret::Mac;
use crate::time::Timestamp;

/// How many codes of one challenge may live at once, at most (threats §3.2).
pub const SLOTS: usize = 3;

/// A challenge as stored, keyed by (tenant, id).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// The tenant.
    pub tenant: TenantId,
    /// The id: a digest of the device id, which only the asking client knows.
    pub id: ChallengeId,
    /// What a right answer is good for, and for whom.
    pub binding: Binding,
    /// Where the codes go, in normal form.
    pub destination: String,
    /// Wrong and expired answers so far.
    pub failed: u32,
    /// Answers that end it.
    pub max_failures: u32,
    /// The live codes, newest first.
    pub slots: [Option<Slot>; SLOTS],
    /// Messages sent so far.
    pub sends: u32,
    /// When the next message may be asked for.
    pub next_send_at: Timestamp,
    /// Whether it was answered rightly, or used up.
    pub closed: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it is swept. Until then an expired code is told from a wrong one.
    pub ends_at: Timestamp,
}

/// What a challenge is bound to. An answer that comes with another binding meets no challenge at all (R-OTP-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What a right answer is good for: `second:otp-phone`.
    pub purpose: String,
    /// The user it was made for.
    pub user: UserId,
    /// The session that asked.
    pub session: SessionHandle,
}

/// One code of a challenge: its keyed digest, never the code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// HMAC over tenant, challenge, binding, destination and code.
    pub mac: Mac,
    /// When it stops being right.
    pub expires_at: Timestamp,
}

/// What an answer met. The verb that tells it has already charged, compared and closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Right: the challenge is closed now, and nobody else is told so.
    Right,
    /// Wrong; `failed` counts this answer. At the maximum the challenge is closed.
    Wrong {
        /// Failures so far.
        failed: u32,
    },
    /// One of the codes, but too late; counted like a wrong one.
    Expired {
        /// Failures so far.
        failed: u32,
    },
    /// No such challenge under this binding, or it is closed, or used up.
    Gone,
}

/// Asks for one more code of a challenge.
#[derive(Clone, Debug)]
pub struct Resend {
    /// The tenant.
    pub tenant: TenantId,
    /// The challenge.
    pub id: ChallengeId,
    /// What it must be bound to.
    pub binding: Binding,
    /// The new code.
    pub slot: Slot,
    /// How many codes stay live, the new one included: 1 to [`SLOTS`].
    pub keep: usize,
    /// The pause before the first resend; it doubles with each message.
    pub base: Duration,
    /// The longest pause.
    pub cap: Duration,
    /// Now.
    pub now: Timestamp,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resent {
    /// The code is live; it is to be sent now, once.
    Added {
        /// The number of this message in its challenge, from 2 on.
        sends: u32,
    },
    /// Too early.
    TooEarly {
        /// When it may be asked again.
        at: Timestamp,
    },
    /// No such open challenge under this binding.
    Gone,
}
