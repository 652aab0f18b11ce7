//! Challenges: secrets that can be answered once, counted and timed.

use std::time::Duration;

use super::counter::doubled;
use crate::id::{ChallengeId, FactorId, SessionHandle, TenantId, UserId};
use crate::secret::Mac;
use crate::time::Timestamp;

/// How many codes of one challenge may live at once, at most (threats §3.2).
pub const SLOTS: usize = 3;

/// How many digests of one answer are compared at most: one for each key that codes may still be under. Codes live
/// for minutes and keys for months, so that the newest keys are enough.
pub const MACS: usize = 4;

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
    /// When it is gone, swept or not. Until then an expired code is told from a wrong one.
    pub ends_at: Timestamp,
}

impl Challenge {
    /// Whether an answer or a resend under `binding` meets it.
    pub fn is_open(&self, binding: &Binding, now: Timestamp) -> bool {
        self.binding == *binding && !self.closed && self.failed < self.max_failures && now < self.ends_at
    }

    /// Judges an answer and changes what follows from it: closes on a right one, counts any other, and closes at
    /// the maximum. A store does the same in one statement.
    pub fn answer(&mut self, to: &Binding, macs: &[Mac], now: Timestamp) -> Answer {
        if !self.is_open(to, now) {
            return Answer::Gone;
        }
        let (mut known, mut live) = (false, false);
        for slot in self.slots.iter().flatten() {
            // Every slot and every digest is compared, so that time tells nothing of which one was near.
            let equal = macs.iter().fold(false, |equal, mac| equal | (slot.mac == *mac));
            known |= equal;
            live |= equal && now < slot.expires_at;
        }
        if live {
            self.closed = true;
            return Answer::Right;
        }
        self.failed += 1;
        self.closed = self.failed >= self.max_failures;
        if known {
            Answer::Expired { failed: self.failed }
        } else {
            Answer::Wrong { failed: self.failed }
        }
    }

    /// Adds the code of `resend` if the pause is over. A store does the same in one step.
    pub fn resend(&mut self, resend: &Resend) -> Resent {
        if !self.is_open(&resend.binding, resend.now) {
            return Resent::Gone;
        }
        if resend.now < self.next_send_at {
            return Resent::TooEarly {
                at: self.next_send_at,
            };
        }
        self.slots.rotate_right(1);
        let (first, older) = self.slots.split_first_mut().expect("there is at least one slot");
        *first = Some(resend.slot);
        for slot in older.iter_mut().skip(resend.keep.max(1) - 1) {
            *slot = None;
        }
        self.sends += 1;
        self.next_send_at = resend.now.plus(doubled(resend.base, self.sends - 1, resend.cap));
        Resent::Added { sends: self.sends }
    }
}

/// What a challenge is bound to. An answer that comes with another binding meets no challenge at all (R-OTP-4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// What a right answer is good for, and by which factor: `second:otp-phone`.
    pub purpose: String,
    /// The user it was made for.
    pub user: UserId,
    /// The session that asked.
    pub session: SessionHandle,
}

impl Binding {
    /// The factor: what follows the first colon of the purpose.
    pub fn factor(&self) -> FactorId {
        let factor = self
            .purpose
            .split_once(':')
            .map_or(&*self.purpose, |(_, factor)| factor);
        FactorId::new(factor)
    }
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
    /// No such challenge under this binding, or it is closed, used up, or past its end. Nothing was compared.
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

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_ms(1_700_000_000_000);
    const LIFE: Duration = Duration::from_secs(300);
    const PAUSE: Duration = Duration::from_secs(15);

    fn binding() -> Binding {
        Binding {
            purpose: "second:otp-phone".to_owned(),
            user: "ann".into(),
            session: "s1".into(),
        }
    }

    fn slot(code: u8, made: Timestamp) -> Slot {
        Slot {
            mac: Mac::new([code; 32]),
            expires_at: made.plus(LIFE),
        }
    }

    fn challenge() -> Challenge {
        Challenge {
            tenant: TenantId::public(),
            id: "c1".into(),
            binding: binding(),
            destination: "+15550100".to_owned(),
            failed: 0,
            max_failures: 3,
            slots: [Some(slot(1, T0)), None, None],
            sends: 1,
            next_send_at: T0.plus(PAUSE),
            closed: false,
            created_at: T0,
            ends_at: T0.plus(LIFE * 3),
        }
    }

    fn resend(code: u8, keep: usize, now: Timestamp) -> Resend {
        Resend {
            tenant: TenantId::public(),
            id: "c1".into(),
            binding: binding(),
            slot: slot(code, now),
            keep,
            base: PAUSE,
            cap: PAUSE * 16,
            now,
        }
    }

    fn mac(code: u8) -> [Mac; 1] {
        [Mac::new([code; 32])]
    }

    #[test]
    fn a_right_answer_closes_and_is_right_once() {
        let mut it = challenge();
        assert_eq!(it.answer(&binding(), &mac(1), T0), Answer::Right);
        assert_eq!(it.answer(&binding(), &mac(1), T0), Answer::Gone);
        assert_eq!(it.failed, 0);
    }

    #[test]
    fn a_code_is_right_to_the_last_millisecond_of_its_life_and_expired_from_then_on() {
        let end = T0.plus(LIFE);
        let mut late = challenge();
        assert_eq!(
            late.answer(&binding(), &mac(1), end),
            Answer::Expired { failed: 1 }
        );
        let before = end.minus(Duration::from_millis(1));
        assert_eq!(challenge().answer(&binding(), &mac(1), before), Answer::Right);
    }

    #[test]
    fn the_last_failure_closes() {
        let mut it = challenge();
        for failed in 1..=3 {
            assert_eq!(it.answer(&binding(), &mac(9), T0), Answer::Wrong { failed });
        }
        assert!(it.closed);
        assert_eq!(it.answer(&binding(), &mac(1), T0), Answer::Gone);
    }

    #[test]
    fn the_pause_doubles_with_each_message_to_its_cap() {
        let (mut it, mut pauses, mut now) = (challenge(), Vec::new(), T0.plus(PAUSE));
        it.ends_at = Timestamp::from_ms(i64::MAX);
        for sends in 2..=7 {
            assert_eq!(it.resend(&resend(2, 3, now)), Resent::Added { sends });
            pauses.push(it.next_send_at.since(now).as_secs());
            assert_eq!(
                it.resend(&resend(2, 3, now)),
                Resent::TooEarly { at: it.next_send_at }
            );
            now = it.next_send_at;
        }
        assert_eq!(pauses, [30, 60, 120, 240, 240, 240]);
    }

    #[test]
    fn as_many_codes_live_as_are_kept() {
        for (keep, alive) in [(1, vec![4]), (2, vec![4, 3]), (3, vec![4, 3, 2]), (0, vec![4])] {
            let mut it = challenge();
            it.max_failures = 9;
            let mut now = it.next_send_at;
            for code in 2..=4 {
                it.resend(&resend(code, keep, now));
                now = it.next_send_at;
            }
            let right = |code: &u8| it.clone().answer(&binding(), &mac(*code), now) == Answer::Right;
            let found: Vec<u8> = [4, 3, 2, 1].into_iter().filter(right).collect();
            assert_eq!(found, alive, "keep {keep}");
        }
    }

    #[test]
    fn the_factor_is_the_tail_of_the_purpose() {
        assert_eq!(binding().factor().as_str(), "otp-phone");
    }
}
