//! A document of a provider, held for a while.

use std::sync::Arc;
use std::time::Duration;

use stepup_core::provider::ProviderError;
use stepup_core::time::{Clock, Timestamp};
use tokio::sync::Mutex;

/// How long a document is believed without asking again: it names the keys, and a key that was taken back is to be gone.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// How soon it may be asked for again because something is not in it (an unknown key), however many strangers ask.
const EARLY: Duration = Duration::from_secs(10);

/// How long a failure stands for those who waited behind it: they need not all find out one after the other.
const FAILED: Duration = Duration::from_secs(2);

/// A document, or why there is none. Only one call at a time asks for it; the others wait for what it brings.
#[derive(Debug)]
pub(crate) struct Held<T>(Mutex<State<T>>);

#[derive(Debug)]
struct State<T> {
    document: Option<(Arc<T>, Timestamp)>,
    failed: Option<(Failure, Timestamp)>,
}

/// A failure, without its source.
#[derive(Clone, Copy, Debug)]
enum Failure {
    Untrusted(&'static str),
    Unavailable,
}

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self(Mutex::new(State {
            document: None,
            failed: None,
        }))
    }
}

impl<T> Held<T> {
    /// The document while it is fresh; else what `fetch` brings.
    pub(crate) async fn document(
        &self,
        clock: &dyn Clock,
        fetch: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<Arc<T>, ProviderError> {
        let mut state = self.0.lock().await;
        match &state.document {
            Some((document, at)) if is_within(FRESH, *at, clock.now()) => Ok(Arc::clone(document)),
            _ => state.fetch(clock, fetch).await,
        }
    }

    /// A newer one than `seen`, in which something is missing; `seen` itself if it was fetched just now.
    pub(crate) async fn newer(
        &self,
        seen: &Arc<T>,
        clock: &dyn Clock,
        fetch: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<Arc<T>, ProviderError> {
        let mut state = self.0.lock().await;
        match &state.document {
            Some((document, _)) if !Arc::ptr_eq(document, seen) => Ok(Arc::clone(document)),
            Some((document, at)) if is_within(EARLY, *at, clock.now()) => Ok(Arc::clone(document)),
            _ => state.fetch(clock, fetch).await,
        }
    }
}

impl<T> State<T> {
    async fn fetch(
        &mut self,
        clock: &dyn Clock,
        fetch: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<Arc<T>, ProviderError> {
        // It is as old as the question, not as the answer.
        let asked_at = clock.now();
        if let Some((failure, at)) = self.failed
            && is_within(FAILED, at, asked_at)
        {
            return Err(failure.into());
        }
        match fetch.await {
            Ok(document) => {
                let document = Arc::new(document);
                self.document = Some((Arc::clone(&document), asked_at));
                self.failed = None;
                Ok(document)
            }
            Err(error) => {
                let failure = match &error {
                    ProviderError::Untrusted(reason) => Failure::Untrusted(reason),
                    _ => Failure::Unavailable,
                };
                // From now on, or those who waited for a slow failure would each ask anew.
                self.failed = Some((failure, clock.now()));
                Err(error)
            }
        }
    }
}

impl From<Failure> for ProviderError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Untrusted(reason) => Self::Untrusted(reason),
            Failure::Unavailable => Self::Unavailable("it did not answer a moment ago".into()),
        }
    }
}

/// Whether `now` is no further than `span` after `at`. A clock that went back tells nothing about an age.
fn is_within(span: Duration, at: Timestamp, now: Timestamp) -> bool {
    at <= now && now < at.plus(span)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::tests::fake::Hand;

    fn at(secs: i64) -> Hand {
        Hand::at(secs)
    }

    struct Source(AtomicUsize);

    impl Source {
        async fn ask(&self) -> Result<usize, ProviderError> {
            Ok(self.0.fetch_add(1, Ordering::SeqCst))
        }
    }

    #[tokio::test]
    async fn a_document_is_asked_for_once_an_hour() {
        let (held, source) = (Held::default(), Source(AtomicUsize::new(0)));
        let mut seen = Vec::new();
        for secs in [1000, 1001, 4599, 4600, 4601, 4000] {
            seen.push(*held.document(&at(secs), source.ask()).await.unwrap());
        }
        // The last: a clock that went back.
        assert_eq!(seen, [0, 0, 0, 1, 1, 2]);
    }

    #[tokio::test]
    async fn what_is_missing_is_asked_for_once_in_ten_seconds() {
        let (held, source) = (Held::default(), Source(AtomicUsize::new(0)));
        let first = held.document(&at(1000), source.ask()).await.unwrap();
        assert_eq!(*held.newer(&first, &at(1009), source.ask()).await.unwrap(), 0);
        assert_eq!(*held.newer(&first, &at(1010), source.ask()).await.unwrap(), 1);
        // Whoever waited behind that one is served by it.
        assert_eq!(*held.newer(&first, &at(1010), source.ask()).await.unwrap(), 1);
        assert_eq!(source.0.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_failure_stands_for_those_who_waited_and_no_longer() {
        let (held, source) = (Held::<usize>::default(), Source(AtomicUsize::new(0)));
        let fails = || async {
            source.ask().await?;
            Err::<usize, _>(ProviderError::Untrusted("lie"))
        };
        for secs in [1000, 1000, 1001] {
            let error = held.document(&at(secs), fails()).await.unwrap_err();
            assert!(matches!(error, ProviderError::Untrusted("lie")));
        }
        assert_eq!(source.0.load(Ordering::SeqCst), 1);
        assert!(held.document(&at(1002), source.ask()).await.is_ok());
    }

    #[tokio::test]
    async fn those_who_waited_for_a_slow_failure_do_not_each_ask_anew() {
        let (held, source, clock) = (Held::<usize>::default(), Source(AtomicUsize::new(0)), at(1000));
        let slow = async {
            source.ask().await?;
            clock.advance(5);
            Err::<usize, _>(ProviderError::Unavailable("slow".into()))
        };
        assert!(held.document(&clock, slow).await.is_err());
        assert!(held.document(&clock, source.ask()).await.is_err());
        assert_eq!(source.0.load(Ordering::SeqCst), 1);
    }
}
