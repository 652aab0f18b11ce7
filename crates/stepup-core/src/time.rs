//! Time: one clock, handed in, and one unit, milliseconds since 1970 in UTC.

use std::fmt::Debug;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// A moment, in milliseconds since 1970-01-01T00:00:00Z.
///
/// Arithmetic saturates: a clock that jumps (threat A-CLK-01) may make a wrong answer, never a panic and never
/// a lifetime that wraps around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `ms` milliseconds after 1970.
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since 1970.
    pub const fn as_ms(self) -> i64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down: a token must never be issued in the future.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment, `span` later.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(millis(span)))
    }

    /// This moment, `span` earlier.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(millis(span)))
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// `span` in whole milliseconds, saturating.
pub(crate) fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Lets something happen no more often than once in a while, however many ask at once.
#[derive(Debug)]
pub(crate) struct Pace {
    every: Duration,
    last: AtomicI64,
}

impl Pace {
    pub(crate) const fn every(every: Duration) -> Self {
        Self {
            every,
            last: AtomicI64::new(i64::MIN),
        }
    }

    /// Whether it may happen now; then it counts as having happened. A clock that went back holds nothing up.
    pub(crate) fn take(&self, now: Timestamp) -> bool {
        let last = self.last.load(Ordering::Relaxed);
        let ready =
            last == i64::MIN || now.as_ms() < last || now >= Timestamp::from_ms(last).plus(self.every);
        ready
            && self
                .last
                .compare_exchange(last, now.as_ms(), Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

/// Where the time comes from. Everything that judges an expiry is handed a [`Timestamp`] from here.
pub trait Clock: Debug + Send + Sync + 'static {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// The system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the system's clock is read"
    )]
    fn now(&self) -> Timestamp {
        // A clock before 1970 reads as 1970: every lifetime then ends, nothing is extended.
        let since = std::time::SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp(millis(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_at_the_edges_saturates() {
        let last = Timestamp::from_ms(i64::MAX);
        assert_eq!(last.plus(Duration::from_secs(1)), last);
        let first = Timestamp::from_ms(i64::MIN);
        assert_eq!(first.minus(Duration::MAX), first);
        assert_eq!(first.since(last), Duration::ZERO);
    }

    #[test]
    fn a_pace_is_kept_whoever_asks_and_however_the_clock_goes() {
        let pace = Pace::every(Duration::from_secs(10));
        let at = |secs: i64| pace.take(Timestamp::from_ms(secs * 1000));
        assert!(at(100));
        assert!(!at(100) && !at(109));
        assert!(at(110));
        assert!(at(50), "a clock that went back");
        assert!(!at(59));
    }

    #[test]
    fn seconds_are_rounded_down() {
        assert_eq!(Timestamp::from_ms(1_999).as_secs(), 1);
        assert_eq!(Timestamp::from_ms(-1).as_secs(), -1);
    }
}
