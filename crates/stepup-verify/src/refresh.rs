//! Keeping the keys fresh: one task, one fetch at a time, in the pace that the site names within bounds.

use std::time::Duration;

use stepup_core::session::keys::PUBLISH_BEFORE;
use stepup_core::verifier::{AskForKeys, PublicVerifier, WeakVerifier};
use tokio::sync::mpsc;

use crate::source::{FetchError, KeySource};

/// The longest pause between two fetches. A site publishes a key a quarter of an hour before it signs with it, so that
/// whoever asks this often knows it by then.
const LONGEST: Duration = Duration::from_secs(10 * 60);
const _: () = assert!(LONGEST.as_secs() < PUBLISH_BEFORE.as_secs());
/// The shortest, whatever the site says.
const SHORTEST: Duration = Duration::from_secs(60);
/// The pause after a failure; it doubles up to [`SHORTEST`] with every further one.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// How late a stream may end.
const TICK: Duration = Duration::from_millis(500);

/// Rung by the verifier when it meets a key that it does not know. Dropped with the verifier, which ends the task.
#[derive(Debug)]
pub(crate) struct Bell(pub(crate) mpsc::Sender<()>);

impl AskForKeys for Bell {
    fn ask(&self) {
        // Full: it is rung already. Closed: the runtime has ended, and the keys grow old until all is denied.
        let _ = self.0.try_send(());
    }
}

/// Fetches, and hands over.
#[derive(Debug)]
pub(crate) struct Keeper {
    source: Box<dyn KeySource>,
    rung: mpsc::Receiver<()>,
    failures: u32,
}

impl Keeper {
    pub(crate) fn new(source: Box<dyn KeySource>, rung: mpsc::Receiver<()>) -> Self {
        Self {
            source,
            rung,
            failures: 0,
        }
    }

    /// Fetches once. How long to pause after it.
    pub(crate) async fn fetch(&mut self, verifier: &PublicVerifier) -> Result<Duration, FetchError> {
        let asked_at = verifier.now();
        let fetched = self.source.fetch().await?;
        verifier.replace_keys(&fetched.document, asked_at)?;
        Ok(pause(fetched.max_age))
    }

    /// Fetches after each pause, and when the bell is rung, for as long as there is a verifier.
    pub(crate) async fn run(mut self, verifier: WeakVerifier, mut wait: Duration) {
        loop {
            if let Ok(None) = tokio::time::timeout(wait, self.rung.recv()).await {
                return;
            }
            let Some(verifier) = verifier.upgrade() else {
                return;
            };
            wait = match self.fetch(&verifier).await {
                Ok(wait) => {
                    self.failures = 0;
                    wait
                }
                Err(error) => {
                    self.failures = self.failures.saturating_add(1);
                    let cause = std::error::Error::source(&error).map(ToString::to_string);
                    tracing::warn!(
                        target: "stepup",
                        %error, cause, failures = self.failures,
                        "the site's keys were not fetched: those known before are used while they are fresh enough"
                    );
                    pause_after(self.failures)
                }
            };
        }
    }
}

/// Calls those who wait for the end of a session, for as long as there is a verifier.
pub(crate) async fn tick(verifier: WeakVerifier) {
    loop {
        tokio::time::sleep(TICK).await;
        match verifier.upgrade() {
            Some(verifier) => verifier.tick(),
            None => return,
        }
    }
}

/// The pause after a fetch whose answer may be kept for `max_age`.
fn pause(max_age: Option<Duration>) -> Duration {
    max_age.unwrap_or(LONGEST).clamp(SHORTEST, LONGEST)
}

/// The pause after the last of `failures` in a row.
fn pause_after(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    AFTER_FAILURE.saturating_mul(doubled).min(SHORTEST)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use stepup_core::entropy::OsEntropy;
    use stepup_core::event::TracingSink;
    use stepup_core::time::SystemClock;
    use stepup_core::verifier::Pinned;

    use super::*;
    use crate::source::Fetched;

    #[test]
    fn the_site_names_the_pace_within_bounds() {
        let secs = Duration::from_secs;
        for (max_age, wait) in [
            (None, LONGEST),
            (Some(secs(0)), SHORTEST),
            (Some(secs(90)), secs(90)),
            (Some(secs(604_800)), LONGEST),
        ] {
            assert_eq!(pause(max_age), wait, "{max_age:?}");
        }
        assert_eq!(
            [1, 2, 3, 4, 99, u32::MAX].map(|n| pause_after(n).as_secs()),
            [10, 20, 40, 60, 60, 60]
        );
    }

    /// Counts, and never answers with keys.
    #[derive(Clone, Debug, Default)]
    struct Counting(Arc<AtomicUsize>);

    #[async_trait]
    impl KeySource for Counting {
        async fn fetch(&self) -> Result<Fetched, FetchError> {
            self.0.fetch_add(1, Ordering::SeqCst);
            Err(FetchError::Status(500))
        }
    }

    fn started() -> (
        Counting,
        PublicVerifier,
        mpsc::Sender<()>,
        tokio::task::JoinHandle<()>,
    ) {
        let (source, (bell, rung)) = (Counting::default(), mpsc::channel(1));
        let keeper = Keeper::new(Box::new(source.clone()), rung);
        let verifier = PublicVerifier::new(
            Pinned::new("https://api.acme.test/auth"),
            Bell(bell.clone()),
            Arc::new(SystemClock),
            Arc::new(TracingSink),
            &OsEntropy,
        )
        .unwrap();
        let task = tokio::spawn(keeper.run(verifier.downgrade(), Duration::from_secs(600)));
        (source, verifier, bell, task)
    }

    #[tokio::test]
    async fn many_rings_while_one_is_pending_are_one_fetch() {
        let (source, _verifier, bell, _task) = started();
        for _ in 0..100 {
            Bell(bell.clone()).ask();
        }
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert_eq!(source.0.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn the_task_ends_with_the_last_verifier() {
        let (source, verifier, bell, task) = started();
        drop((verifier, bell));
        task.await.unwrap();
        assert_eq!(source.0.load(Ordering::SeqCst), 0);
    }
}
