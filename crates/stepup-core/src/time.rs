//! Time: one clock, handed in, and one unit, milliseconds since 1970 in UTC.

use std::fmt::Debug;
use std::sync::Arc;
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

/// A clock that does not go back unnoticed (R-CLK-1).
///
/// A step back of at most [`HOLD`] is none: time stands still until the clock has caught up. A longer one is followed, or
/// a clock that was a year ahead for a moment would stop everything for a year; but it is told to whoever asked, once, so
/// that what was over by the later time does not begin anew.
#[derive(Debug)]
pub(crate) struct SteadyClock {
    inner: Arc<dyn Clock>,
    latest: AtomicI64,
}

/// What a [`SteadyClock`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The time.
    Now(Timestamp),
    /// The time, which went back to `to` since somebody last looked.
    Fell { from: Timestamp, to: Timestamp },
}

impl SteadyClock {
    pub(crate) fn new(inner: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            latest: AtomicI64::new(i64::MIN),
        }
    }

    pub(crate) fn look(&self) -> Shown {
        let now = self.inner.now();
        let mut latest = self.latest.load(Ordering::Acquire);
        loop {
            let high = Timestamp::from_ms(latest);
            // No write while nothing changes: all cores read this word.
            if now == high || (now < high && high.since(now) <= HOLD) {
                return Shown::Now(high);
            }
            let swapped =
                self.latest
                    .compare_exchange(latest, now.as_ms(), Ordering::AcqRel, Ordering::Acquire);
            match swapped {
                Ok(_) if now < high => return Shown::Fell { from: high, to: now },
                Ok(_) => return Shown::Now(now),
                Err(other) => latest = other,
            }
        }
    }
}

/// Compares our clock with that of the database: all nodes have the database in common, and nothing else (threat
/// A-CLK-02).
pub(crate) fn clock_skew(ours: Timestamp, theirs: Timestamp) -> Skew {
    let skew = ours.since(theirs).max(theirs.since(ours));
    match skew {
        _ if skew <= NOTED_SKEW => Skew::None,
        _ if skew <= REFUSED_SKEW => Skew::Noted(skew),
        _ => Skew::Refused(skew),
    }
}

/// How far two clocks are apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Skew {
    /// As good as not.
    None,
    /// Within what tokens tolerate, and worth to know.
    Noted(Duration),
    /// Further than what tokens and codes stand.
    Refused(Duration),
}

/// A step back that is waited out: the leeway of tokens. Longer, and the graces of rotations would grow with it.
const HOLD: Duration = Duration::from_secs(10);
const NOTED_SKEW: Duration = Duration::from_secs(2);
const REFUSED_SKEW: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug)]
    struct Hand(Arc<AtomicI64>);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_ms(self.0.load(Ordering::SeqCst) * 1000)
        }
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_ms(secs * 1000)
    }

    #[test]
    fn a_small_step_back_is_waited_out_and_a_long_one_told_once() {
        let hand = Hand(Arc::new(AtomicI64::new(1_000)));
        let clock = SteadyClock::new(Arc::new(hand.clone()));
        let shows = |secs: i64| {
            hand.0.store(secs, Ordering::SeqCst);
            clock.look()
        };
        assert_eq!(shows(1_000), Shown::Now(at(1_000)));
        assert_eq!(shows(1_100), Shown::Now(at(1_100)));
        for held in [1_099, 1_090, 1_095, 1_100] {
            assert_eq!(shows(held), Shown::Now(at(1_100)));
        }
        assert_eq!(shows(1_101), Shown::Now(at(1_101)));
        let fell = Shown::Fell {
            from: at(1_101),
            to: at(1_090),
        };
        assert_eq!(shows(1_090), fell);
        assert_eq!(shows(1_090), Shown::Now(at(1_090)));
        assert_eq!(shows(1_200), Shown::Now(at(1_200)));
        // A leap ahead that is taken back does not stop time.
        assert_eq!(shows(9_999_999), Shown::Now(at(9_999_999)));
        assert!(matches!(shows(1_201), Shown::Fell { .. }));
        assert_eq!(shows(1_202), Shown::Now(at(1_202)));
    }

    #[test]
    fn clk_02_two_clocks_are_compared_whichever_is_ahead() {
        let secs = Duration::from_secs;
        for (ours, theirs) in [(0, 0), (2, 0), (0, 2)] {
            assert_eq!(clock_skew(at(ours), at(theirs)), Skew::None);
        }
        for (ours, theirs, skew) in [(3, 0, 3), (0, 3, 3), (30, 0, 30)] {
            assert_eq!(clock_skew(at(ours), at(theirs)), Skew::Noted(secs(skew)));
        }
        for (ours, theirs, skew) in [(31, 0, 31), (0, 31, 31), (100_000, 0, 100_000)] {
            assert_eq!(clock_skew(at(ours), at(theirs)), Skew::Refused(secs(skew)));
        }
    }

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
