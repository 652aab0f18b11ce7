//! Counters: the tallies of throttles.

use std::time::Duration;

use crate::time::{Timestamp, millis};

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
    /// How long the window lasts, from its first count; a curve's (`base` not zero) from its last one, since only
    /// silence may wear a failure count down. After it the count starts anew.
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

/// The end of a delay that there is none of. Not the moment of the count: a node whose clock is some milliseconds behind
/// would have to wait for it.
const NO_DELAY: Timestamp = Timestamp::from_ms(0);

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

    /// The same question without counting: it refuses exactly when one more count would be refused.
    #[must_use]
    pub fn look(mut self) -> Self {
        self.limit = self.limit.saturating_sub(self.cost);
        self.cost = 0;
        self
    }

    /// Puts the question to `counter`, or to one that does not exist yet: the counter as it is after granting,
    /// or how long to wait.
    ///
    /// # Errors
    /// The wait, if the counter refuses.
    pub fn put_to(&self, counter: Option<&Counter>, now: Timestamp) -> Result<Counter, Duration> {
        let fresh = Counter {
            since: now,
            count: 0,
            until: NO_DELAY,
            over_at: now,
        };
        let kept = counter.filter(|counter| now.since(counter.since) < self.window);
        let count = kept.map_or(0, |counter| counter.count);
        let until = counter.map_or(now, |counter| counter.until);
        if count.saturating_add(self.cost) > self.limit {
            let since = kept.map_or(now, |counter| counter.since);
            let window = if self.window == ENDLESS {
                ENDLESS
            } else {
                since.plus(self.window).since(now)
            };
            return Err(window.max(until.since(now)));
        }
        if until > now {
            return Err(until.since(now));
        }
        if self.cost == 0 {
            return Ok(kept.copied().unwrap_or(fresh));
        }
        let count = count.saturating_add(self.cost);
        let since = match kept {
            Some(counter) if self.base.is_zero() => counter.since,
            _ => now,
        };
        let until = if count >= self.free {
            now.plus(self.delay(count))
        } else {
            NO_DELAY
        };
        Ok(Counter {
            since,
            count,
            until,
            over_at: since.plus(self.window).max(until),
        })
    }

    /// The delay that follows the count `count`: `base` doubled for each count above `free`, at most `cap`.
    fn delay(&self, count: u32) -> Duration {
        doubled(self.base, count.saturating_sub(self.free), self.cap)
    }
}

/// `base * 2^times`, at most `cap`, without overflow.
pub(crate) fn doubled(base: Duration, times: u32, cap: Duration) -> Duration {
    // Halving the cap instead of doubling the base cannot overflow; the stores' SQL does the same.
    let (base, cap) = (millis(base), millis(cap));
    let times = times.min(62);
    let ms = if base > cap >> times { cap } else { base << times };
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// A counter as stored, keyed by its [`CounterKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    /// When its window began.
    pub since: Timestamp,
    /// What was counted since then.
    pub count: u32,
    /// Until when its delay lasts; 0 without one.
    pub until: Timestamp,
    /// When window and delay are both over: it may be swept then.
    pub over_at: Timestamp,
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

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Timestamp = Timestamp::from_ms(1_700_000_000_000);

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    #[test]
    fn a_plain_window_grants_up_to_its_limit_and_starts_anew_when_it_is_over() {
        let ask = Ask::window(CounterKey::new("k"), 2, secs(60));
        let one = ask.put_to(None, T0).unwrap();
        let two = ask.put_to(Some(&one), T0.plus(secs(10))).unwrap();
        assert_eq!((two.count, two.since), (2, T0));
        assert_eq!(ask.put_to(Some(&two), T0.plus(secs(59))), Err(secs(1)));
        let anew = ask.put_to(Some(&two), T0.plus(secs(60))).unwrap();
        assert_eq!((anew.count, anew.since), (1, T0.plus(secs(60))));
    }

    #[test]
    fn a_curve_doubles_its_delay_to_the_cap_and_stops_at_its_limit() {
        let ask = Ask::curve(CounterKey::new("k"), 5, secs(30), secs(3600), 14);
        let (mut counter, mut now, mut waits) = (None, T0, Vec::new());
        for _ in 0..14 {
            let next = ask.put_to(counter.as_ref(), now).unwrap();
            waits.push(next.until.since(now).as_secs());
            now = now.max(next.until);
            counter = Some(next);
        }
        assert_eq!(
            waits,
            [0, 0, 0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
        );
        assert_eq!(ask.put_to(counter.as_ref(), now), Err(ENDLESS));
    }

    #[test]
    fn only_silence_wears_a_curve_down() {
        let ask = Ask::curve(CounterKey::new("k"), 5, secs(30), secs(3600), 50);
        let one = ask.put_to(None, T0).unwrap();
        let late = T0.plus(ENDLESS - secs(1));
        let two = ask.put_to(Some(&one), late).unwrap();
        assert_eq!(two.count, 2);
        assert_eq!(
            ask.put_to(Some(&two), late.plus(ENDLESS - secs(1)))
                .unwrap()
                .count,
            3
        );
        assert_eq!(ask.put_to(Some(&two), late.plus(ENDLESS)).unwrap().count, 1);
    }

    #[test]
    fn a_look_counts_nothing_and_still_refuses() {
        let ask = Ask::curve(CounterKey::new("k"), 1, secs(30), secs(60), 9);
        let one = ask.put_to(None, T0).unwrap();
        assert_eq!(ask.clone().look().put_to(Some(&one), T0), Err(secs(30)));
        assert_eq!(ask.look().put_to(Some(&one), T0.plus(secs(30))), Ok(one));
    }

    #[test]
    fn a_clock_that_jumps_back_opens_nothing() {
        let ask = Ask::curve(CounterKey::new("k"), 1, secs(30), secs(60), 9);
        let one = ask.put_to(None, T0).unwrap();
        assert_eq!(ask.put_to(Some(&one), T0.minus(secs(10))), Err(secs(40)));
        let window = Ask::window(CounterKey::new("k"), 1, secs(60));
        let one = window.put_to(None, T0).unwrap();
        assert_eq!(window.put_to(Some(&one), T0.minus(secs(10))), Err(secs(70)));
    }

    #[test]
    fn a_node_whose_clock_is_behind_waits_for_no_count_without_delay() {
        let behind = T0.minus(Duration::from_millis(300));
        let window = Ask::window(CounterKey::new("k"), 2, secs(60));
        let one = window.put_to(None, T0).unwrap();
        assert_eq!(window.put_to(Some(&one), behind).unwrap().count, 2);
        let curve = Ask::curve(CounterKey::new("k"), 5, secs(30), secs(3600), 50);
        let one = curve.put_to(None, T0).unwrap();
        assert_eq!(curve.put_to(Some(&one), behind).unwrap().count, 2);
    }

    #[test]
    fn doubling_never_overflows() {
        assert_eq!(doubled(secs(1), u32::MAX, secs(900)), secs(900));
        assert_eq!(
            doubled(Duration::MAX, 3, Duration::MAX),
            Duration::from_millis(i64::MAX as u64)
        );
        assert_eq!(doubled(Duration::ZERO, 9, secs(900)), Duration::ZERO);
    }
}
