//! Counters: the tallies of throttles.

use std::time::Duration;

/// Names a counter: a keyed digest of what is counted, so that the table holds no address and no identifier.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CounterKey(String);

impl CounterKey {
    /// Wraps a finished key of at most 64 characters.
    pub fn new(key: impl Into<String>) -> Self {
        Self(key.into())
    }

    /// The key as stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Asks one counter for leave.
///
/// A counter grants while its window is not full **and** its delay has passed:
/// `(since + window <= now or count + cost <= limit) and until <= now`.
/// When it grants, it counts `cost`; once `count >= free` it also closes until `now + min(base * 2^(count - free), cap)`.
/// A plain window has `base` zero; a curve has an endless window and `limit` as its hard stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Which counter.
    pub key: CounterKey,
    /// How much to count: 1, or 0 to look without counting.
    pub cost: u32,
    /// The most the window may hold.
    pub limit: u32,
    /// How long the window lasts from its first count; after it the count starts anew.
    pub window: Duration,
    /// Counts that cost no delay.
    pub free: u32,
    /// The first delay; zero for a plain window.
    pub base: Duration,
    /// The longest delay.
    pub cap: Duration,
}

/// A window that never ends by itself: only success, or half a year of silence, clears a failure count.
pub const ENDLESS: Duration = Duration::from_secs(180 * 24 * 3600);

impl Ask {
    /// A plain window: at most `limit` counts in `window`.
    pub fn window(key: CounterKey, limit: u32, window: Duration) -> Self {
        Self {
            key,
            cost: 1,
            limit,
            window,
            free: u32::MAX,
            base: Duration::ZERO,
            cap: Duration::ZERO,
        }
    }

    /// A curve: `free` counts without delay, then `base` doubling to `cap`, and a stop at `limit`.
    pub fn curve(key: CounterKey, free: u32, base: Duration, cap: Duration, limit: u32) -> Self {
        Self {
            key,
            cost: 1,
            limit,
            window: ENDLESS,
            free,
            base,
            cap,
        }
    }

    /// The same question without counting.
    #[must_use]
    pub fn look(mut self) -> Self {
        self.cost = 0;
        self
    }
}

/// What a set of counters answered. All grant and all count, or none counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// Every counter granted; their counts afterwards, in the order asked.
    Granted(Vec<u32>),
    /// The first counter, in the order asked, that refused, and after how long it may grant.
    Refused {
        /// Its place in the order asked.
        index: usize,
        /// How long to wait; a full curve (`count >= limit`) says [`ENDLESS`].
        retry_after: Duration,
    },
}
