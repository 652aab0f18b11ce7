//! Who waits for the end of a session: WebSockets, event streams, whatever lasts longer than one request.
//!
//! Nobody here looks at a clock or knows a runtime. Whoever waits is called when a session is revoked in this process,
//! and by the tick when its time has come; it then looks for itself. A call between two looks is not lost.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::id::{SessionHandle, TenantId, UserId};
use crate::time::Timestamp;

/// All who wait, in this process.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<Seats>);

#[derive(Default)]
struct Seats {
    next: u64,
    taken: HashMap<u64, Seat>,
}

struct Seat {
    of: Whose,
    /// When its time comes.
    due: Option<Timestamp>,
    called: bool,
    waker: Option<Waker>,
}

/// Whose end is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Whose {
    /// The session.
    pub(crate) session: SessionHandle,
    /// Its tenant.
    pub(crate) tenant: TenantId,
    /// Its user.
    pub(crate) user: UserId,
}

impl Watchers {
    /// Takes a seat among those who wait.
    pub(crate) fn watch(self: &Arc<Self>, of: Whose) -> Watch {
        let mut seats = self.lock();
        let id = seats.next;
        seats.next += 1;
        let seat = Seat {
            of,
            due: None,
            called: false,
            waker: None,
        };
        seats.taken.insert(id, seat);
        drop(seats);
        Watch {
            watchers: Arc::clone(self),
            id,
        }
    }

    /// Calls those who wait for this session.
    pub(crate) fn call_session(&self, session: &SessionHandle) {
        self.call(|seat| seat.of.session == *session);
    }

    /// Calls those who wait for a session of this user.
    pub(crate) fn call_user(&self, tenant: &TenantId, user: &UserId) {
        self.call(|seat| seat.of.user == *user && seat.of.tenant == *tenant);
    }

    /// Calls those whose time has come.
    pub(crate) fn call_due(&self, now: Timestamp) {
        self.call(|seat| seat.due.is_some_and(|due| due <= now));
    }

    // All seats are looked at: some nanoseconds each, and revocations are rare beside requests.
    fn call(&self, whom: impl Fn(&Seat) -> bool) {
        let mut wakers = Vec::new();
        for seat in self.lock().taken.values_mut().filter(|seat| whom(seat)) {
            seat.called = true;
            wakers.extend(seat.waker.take());
        }
        // Not under the lock: a waker may run its task at once.
        wakers.into_iter().for_each(Waker::wake);
    }

    fn lock(&self) -> MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Debug for Watchers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watchers({})", self.lock().taken.len())
    }
}

/// A seat; given up when it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    watchers: Arc<Watchers>,
    id: u64,
}

impl Watch {
    /// Forgets the calls so far. Look at the session after this, and then wait for the next one.
    pub(crate) fn begin(&self) {
        if let Some(seat) = self.watchers.lock().taken.get_mut(&self.id) {
            seat.called = false;
        }
    }

    /// Waits for a call since [`Watch::begin`]; one comes at `due` at the latest, by the tick.
    pub(crate) async fn called(&self, due: Timestamp) {
        poll_fn(|cx| self.poll(due, cx)).await;
    }

    fn poll(&self, due: Timestamp, cx: &Context<'_>) -> Poll<()> {
        let mut seats = self.watchers.lock();
        let Some(seat) = seats.taken.get_mut(&self.id) else {
            return Poll::Ready(());
        };
        seat.due = Some(due);
        if seat.called {
            return Poll::Ready(());
        }
        seat.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.watchers.lock().taken.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use super::*;

    fn of(session: &str, user: &str) -> Whose {
        Whose {
            session: session.into(),
            tenant: TenantId::public(),
            user: user.into(),
        }
    }

    fn is_called(watch: &Watch, due: i64) -> bool {
        let future = pin!(watch.called(Timestamp::from_ms(due)));
        future.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn who_is_meant_is_called_and_nobody_else() {
        let watchers = Arc::new(Watchers::default());
        let (ann, again, bob) = (
            watchers.watch(of("s1", "ann")),
            watchers.watch(of("s2", "ann")),
            watchers.watch(of("s3", "bob")),
        );
        let called = || [&ann, &again, &bob].map(|watch| is_called(watch, 1_000));
        assert_eq!(called(), [false; 3]);
        watchers.call_session(&"s2".into());
        assert_eq!(called(), [false, true, false]);
        watchers.call_user(&TenantId::from("other"), &"bob".into());
        assert_eq!(called(), [false, true, false]);
        watchers.call_user(&TenantId::public(), &"ann".into());
        assert_eq!(called(), [true, true, false]);
    }

    #[test]
    fn a_call_between_the_look_and_the_wait_is_not_lost() {
        let watchers = Arc::new(Watchers::default());
        let watch = watchers.watch(of("s1", "ann"));
        watch.begin();
        watchers.call_session(&"s1".into());
        assert!(is_called(&watch, 1_000));
        watch.begin();
        assert!(!is_called(&watch, 1_000));
    }

    #[test]
    fn the_tick_calls_whose_time_has_come() {
        let watchers = Arc::new(Watchers::default());
        let (soon, late) = (watchers.watch(of("s1", "ann")), watchers.watch(of("s2", "ann")));
        assert!(!is_called(&soon, 1_000) && !is_called(&late, 2_000));
        watchers.call_due(Timestamp::from_ms(999));
        assert!(!is_called(&soon, 1_000));
        watchers.call_due(Timestamp::from_ms(1_000));
        assert!(is_called(&soon, 1_000) && !is_called(&late, 2_000));
    }

    #[test]
    fn who_waits_is_woken_and_who_is_gone_leaves_nothing() {
        struct Bell(std::sync::atomic::AtomicBool);
        impl std::task::Wake for Bell {
            fn wake(self: Arc<Self>) {
                self.0.store(true, std::sync::atomic::Ordering::SeqCst);
            }
        }
        let bell = Arc::new(Bell(false.into()));
        let waker = Waker::from(bell.clone());
        let watchers = Arc::new(Watchers::default());
        let watch = watchers.watch(of("s1", "ann"));
        {
            let future = pin!(watch.called(Timestamp::from_ms(1)));
            assert!(future.poll(&mut Context::from_waker(&waker)).is_pending());
        }
        watchers.call_session(&"s1".into());
        assert!(bell.0.load(std::sync::atomic::Ordering::SeqCst));
        drop(watch);
        assert_eq!(format!("{watchers:?}"), "Watchers(0)");
    }
}
