//! The demo's clock: the system's, plus what `POST /dev/clock` has added.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use stepup::time::{Clock, SystemClock, Timestamp};

/// A clock that can be moved forward. Clones show the same time.
#[derive(Clone, Debug, Default)]
pub struct DemoClock(Arc<AtomicI64>);

impl DemoClock {
    /// Moves it forward, in seconds.
    pub fn advance(&self, seconds: u32) {
        self.0.fetch_add(i64::from(seconds) * 1_000, Ordering::SeqCst);
    }
}

impl Clock for DemoClock {
    fn now(&self) -> Timestamp {
        let now = SystemClock.now().as_ms();
        Timestamp::from_ms(now.saturating_add(self.0.load(Ordering::SeqCst)))
    }
}
