//! What a guard owes to the response: tokens that changed while the request was judged or handled.
//!
//! A guard runs long before there is a response, and the handler behind it may fail. So the guard leaves what it owes
//! here, and the layer around everything pays it on whatever response passes, errors included: a renewed or ended
//! session must reach the client on every status (trap: a 403 that forgets the new token).

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use stepup_core::time::Timestamp;

use crate::cookie::CookieRules;
use crate::writes::TokenWrites;

/// Collects what is owed to one response.
#[derive(Default)]
pub(crate) struct Outbox {
    read: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    writes: TokenWrites,
    committed: bool,
}

/// The response has gone: what was to be written cannot reach the client any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the response has been sent already")]
pub(crate) struct Committed;

impl Outbox {
    /// An empty one.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Notes that a session was read. The answer depends on it, whatever it says, and must not be cached.
    pub(crate) fn note_read(&self) {
        self.read.store(true, Ordering::Relaxed);
    }

    /// Adds `writes`. They win over earlier ones where both speak.
    ///
    /// # Errors
    /// [`Committed`], if the response was sent already, say because a task outlived its request. The caller's
    /// change stands in the store all the same, and reaches the client with its next refresh.
    pub(crate) fn push(&self, writes: TokenWrites) -> Result<(), Committed> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.committed {
            return Err(Committed);
        }
        state.writes.then(writes);
        Ok(())
    }

    /// Writes what is owed to the response's headers, once; a second commit writes nothing. Whether a session was read:
    /// the response must be kept out of caches then.
    #[must_use]
    pub(crate) fn commit(
        &self,
        rules: &CookieRules,
        now: impl FnOnce() -> Timestamp,
        headers: &mut HeaderMap,
    ) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::replace(&mut state.committed, true) {
            return false;
        }
        let writes = std::mem::take(&mut state.writes);
        drop(state);
        if !writes.is_empty() {
            writes.apply(rules, now(), headers);
        }
        self.read.load(Ordering::Relaxed)
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Outbox(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::SameSite;
    use crate::transfer::Mode;
    use crate::writes::FRONT_TOKEN;

    const NOW: Timestamp = Timestamp::from_ms(1_764_000_000_000);

    fn rules() -> CookieRules {
        CookieRules::new(SameSite::Lax, true, "/auth/session/refresh")
    }

    fn access(front: &str) -> TokenWrites {
        let mut writes = TokenWrites::new();
        writes.set_access(Mode::Header, "a".to_owned().into(), front.to_owned());
        writes
    }

    fn ended() -> TokenWrites {
        let mut writes = TokenWrites::new();
        writes.end(Mode::Header);
        writes
    }

    #[test]
    fn what_is_owed_is_paid_once() {
        let outbox = Outbox::new();
        outbox.push(access("one")).unwrap();
        outbox.push(access("two")).unwrap();
        let mut headers = HeaderMap::new();
        assert!(!outbox.commit(&rules(), || NOW, &mut headers));
        assert_eq!(headers[FRONT_TOKEN], "two");
        let mut again = HeaderMap::new();
        assert!(!outbox.commit(&rules(), || NOW, &mut again));
        assert!(again.is_empty());
    }

    #[test]
    fn a_session_that_ended_later_is_ended() {
        let outbox = Outbox::new();
        outbox.push(access("one")).unwrap();
        outbox.push(ended()).unwrap();
        let mut headers = HeaderMap::new();
        assert!(!outbox.commit(&rules(), || NOW, &mut headers));
        assert_eq!(headers[FRONT_TOKEN], "remove");
    }

    #[test]
    fn a_write_after_the_response_is_an_error() {
        let outbox = Outbox::new();
        assert!(!outbox.commit(&rules(), || NOW, &mut HeaderMap::new()));
        assert_eq!(outbox.push(access("late")), Err(Committed));
    }

    #[test]
    fn that_a_session_was_read_is_told_though_nothing_is_owed() {
        let outbox = Outbox::new();
        outbox.note_read();
        let mut headers = HeaderMap::new();
        assert!(outbox.commit(&rules(), || NOW, &mut headers));
        assert!(headers.is_empty());
    }

    #[test]
    fn a_request_without_a_session_leaves_the_answer_alone() {
        let mut headers = HeaderMap::new();
        assert!(!Outbox::new().commit(&rules(), || NOW, &mut headers));
        assert!(headers.is_empty());
    }
}
