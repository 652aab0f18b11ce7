//! Jobs that run when the application says so: for processes that stand still between requests.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stepup_core::background::{Background, Job, QueueFull, Repeat};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::background::{LANES, QUEUE, run};

/// Runs jobs in [`Manual::tick`], and nowhere else. Clones share the queue.
///
/// On AWS Lambda and its like a process is frozen once it has answered: a thread of its own would send the code with the
/// next request, or never. There a request ends with a tick, after its answer was made and before it is sent.
///
/// The answer then takes as long as its messages, and so tells whether there was one. Where that must stay hidden
/// ([`Profile::SafeEnumeration`](stepup_core::profile::Profile::SafeEnumeration)), use
/// [`BackgroundThread`](crate::BackgroundThread) in a process that stays.
#[derive(Clone, Default)]
pub struct Manual(Arc<Inner>);

struct Inner {
    queue: Mutex<Queue>,
    /// Held by the tick that runs jobs: who comes after it waits, since it may be running theirs.
    turn: tokio::sync::Mutex<()>,
    lanes: Semaphore,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            queue: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            lanes: Semaphore::new(LANES),
        }
    }
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Job>,
    repeats: Vec<Repeat>,
}

impl Manual {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Does what is due beside requests, and then the jobs that are here, those that come of them included. It waits for
    /// them, at most for `deadline`. Whether nothing is left.
    ///
    /// What is under way at the deadline goes on for as long as the process does. Must be called inside of a Tokio
    /// runtime.
    pub async fn tick(&self, deadline: Duration) -> bool {
        timeout(deadline, async {
            let _turn = self.0.turn.lock().await;
            self.repeat().await;
            loop {
                let jobs = mem::take(&mut self.lock().jobs);
                if jobs.is_empty() {
                    return;
                }
                // At once, and as tasks: a carrier that hangs or panics delays no other message, and a request that is
                // given up in the middle loses none.
                let tasks: Vec<_> = jobs.into_iter().map(|job| self.start(job)).collect();
                for task in tasks {
                    // One that panicked has ended like any other.
                    let _ = task.await;
                }
            }
        })
        .await
        .is_ok()
    }

    /// Every repetition once, whatever its period: a tick is when something can be done at all.
    async fn repeat(&self) {
        let repeats = self.lock().repeats.clone();
        let mut over = Vec::new();
        for make in repeats {
            match make() {
                Some(job) => {
                    let _ = self.start(job).await;
                }
                None => over.push(make),
            }
        }
        let gone = |make: &Repeat| over.iter().any(|over| Arc::ptr_eq(over, make));
        self.lock().repeats.retain(|make| !gone(make));
    }

    fn start(&self, job: Job) -> JoinHandle<()> {
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move { run(job, &inner.lanes).await })
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Background for Manual {
    fn spawn(&self, job: Job) -> Result<(), QueueFull> {
        let mut queue = self.lock();
        if queue.jobs.len() >= QUEUE {
            return Err(QueueFull);
        }
        queue.jobs.push(job);
        Ok(())
    }

    fn every(&self, _: Duration, make: Repeat) {
        self.lock().repeats.push(make);
    }
}

impl fmt::Debug for Manual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Manual({})", self.lock().jobs.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    fn adds(count: &Arc<AtomicU32>) -> Job {
        let count = Arc::clone(count);
        Box::pin(async move {
            count.fetch_add(1, Ordering::SeqCst);
        })
    }

    #[tokio::test]
    async fn nothing_runs_before_the_tick_and_everything_in_it() {
        let (manual, count) = (Manual::new(), Arc::new(AtomicU32::new(0)));
        manual.spawn(adds(&count)).unwrap();
        let (more, inner) = (manual.clone(), adds(&count));
        manual
            .spawn(Box::pin(async move { more.spawn(inner).unwrap() }))
            .unwrap();
        tokio::task::yield_now().await;
        assert_eq!(count.load(Ordering::SeqCst), 0);
        assert!(manual.tick(SOON).await);
        assert_eq!(count.load(Ordering::SeqCst), 2);
    }

    #[tokio::test]
    async fn a_job_that_panics_takes_nothing_with_it() {
        let (manual, count) = (Manual::new(), Arc::new(AtomicU32::new(0)));
        manual.every(
            SOON,
            Arc::new(|| Some(Box::pin(async { panic!("a repetition") }))),
        );
        manual.spawn(Box::pin(async { panic!("a job") })).unwrap();
        manual.spawn(adds(&count)).unwrap();
        assert!(manual.tick(SOON).await);
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn the_queue_is_bounded_and_has_room_again_after_a_tick() {
        let (manual, count) = (Manual::new(), Arc::new(AtomicU32::new(0)));
        for _ in 0..QUEUE {
            manual.spawn(adds(&count)).unwrap();
        }
        assert!(manual.spawn(adds(&count)).is_err());
        assert!(manual.tick(SOON).await);
        assert!(manual.spawn(adds(&count)).is_ok());
    }

    #[tokio::test]
    async fn a_repetition_runs_in_every_tick_until_there_is_nothing_left() {
        let (manual, count) = (Manual::new(), Arc::new(AtomicU32::new(0)));
        let counted = Arc::clone(&count);
        manual.every(
            SOON,
            Arc::new(move || (counted.load(Ordering::SeqCst) < 2).then(|| adds(&counted))),
        );
        for after in [1, 2, 2, 2] {
            assert!(manual.tick(SOON).await);
            assert_eq!(count.load(Ordering::SeqCst), after);
        }
        assert!(manual.lock().repeats.is_empty());
    }

    #[tokio::test]
    async fn what_a_repetition_hands_over_is_done_in_the_same_tick() {
        let (manual, count) = (Manual::new(), Arc::new(AtomicU32::new(0)));
        let (to, counted) = (manual.clone(), Arc::clone(&count));
        manual.every(
            SOON,
            Arc::new(move || {
                to.spawn(adds(&counted)).unwrap();
                Some(Box::pin(async {}))
            }),
        );
        assert!(manual.tick(SOON).await);
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_carrier_that_hangs_holds_up_the_answer_to_its_deadline_and_no_other_message() {
        let (manual, count) = (Manual::new(), Arc::new(AtomicU32::new(0)));
        manual.spawn(Box::pin(std::future::pending())).unwrap();
        manual.spawn(adds(&count)).unwrap();
        assert!(!manual.tick(Duration::from_millis(20)).await);
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn who_ticks_beside_another_waits_for_jobs_that_the_other_took() {
        let manual = Manual::new();
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        manual.spawn(Box::pin(async { drop(gate.await) })).unwrap();
        let other = tokio::spawn({
            let manual = manual.clone();
            async move { manual.tick(SOON).await }
        });
        tokio::task::yield_now().await;
        assert!(!manual.tick(Duration::from_millis(20)).await);
        open.send(()).unwrap();
        assert!(manual.tick(SOON).await && other.await.unwrap());
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_loses_no_message() {
        let (manual, count) = (Manual::new(), Arc::new(AtomicU32::new(0)));
        let (open, gate) = tokio::sync::oneshot::channel::<()>();
        let counted = Arc::clone(&count);
        manual
            .spawn(Box::pin(async move {
                drop(gate.await);
                counted.fetch_add(1, Ordering::SeqCst);
            }))
            .unwrap();
        drop(timeout(Duration::from_millis(20), manual.tick(SOON)).await);
        open.send(()).unwrap();
        tokio::task::yield_now().await;
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }
}
