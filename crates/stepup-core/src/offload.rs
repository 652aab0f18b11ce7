//! Hard work off the async threads: the port, and a small bounded pool of threads behind it.
//!
//! A password hash takes milliseconds of CPU and megabytes of memory, on purpose. Everybody can ask for one, so how
//! many run and wait at a time is bounded here; above the bounds the answer is "busy", soon, and not a queue that grows
//! (requirement R-PWD-4, threat A-RES-03). No async runtime is needed.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::num::NonZero;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_channel::oneshot;

use crate::error::Fault;

/// Runs work that would hold up an async thread.
#[async_trait]
pub trait Offload: fmt::Debug + Send + Sync + 'static {
    /// Runs `job` on a thread that may be held up, and returns when it has run.
    ///
    /// A caller that goes away takes nothing with it: a job that has begun ends, one that has not is dropped.
    ///
    /// # Errors
    /// [`OffloadError`]. The job then has not run, or not to its end.
    async fn run(&self, job: Job) -> Result<(), OffloadError>;
}

/// A piece of work.
pub struct Job {
    /// What it allocates while it runs, in KiB.
    pub memory_kib: u32,
    /// The work. It passes on its result by itself.
    pub work: Box<dyn FnOnce() + Send>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job")
            .field("memory_kib", &self.memory_kib)
            .finish_non_exhaustive()
    }
}

/// Why a job did not run to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OffloadError {
    /// The queue was full, or the job waited too long.
    #[error("pool is busy")]
    Busy,
    /// The job panicked.
    #[error("job panicked")]
    Panicked,
}

impl From<OffloadError> for Fault {
    fn from(error: OffloadError) -> Self {
        match error {
            OffloadError::Busy => Self::Busy,
            OffloadError::Panicked => Self::Part(Box::new(error)),
        }
    }
}

/// Runs `work` on `offload` and brings back what it returned.
pub(crate) async fn compute<T: Send + 'static>(
    offload: &dyn Offload,
    memory_kib: u32,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Fault> {
    let (result, mut computed) = oneshot::channel();
    let work = Box::new(move || {
        // Nobody listens only if the caller is gone; there is nobody to tell.
        let _ = result.send(work());
    });
    offload.run(Job { memory_kib, work }).await?;
    // A port that says "done" without having run the job is broken, and a broken part denies.
    computed
        .try_recv()
        .ok()
        .flatten()
        .ok_or_else(|| OffloadError::Panicked.into())
}

/// Bounds of a [`Pool`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PoolConfig {
    /// Threads, and so the most jobs at a time: the cores of the machine.
    pub threads: usize,
    /// Memory of all running jobs together, in KiB: 256 MiB. A job that needs more by itself runs alone.
    pub memory_kib: u32,
    /// Jobs that may wait: 64.
    pub queue: usize,
    /// How long a job may wait: 2 s. More than a minute is taken for a minute.
    pub wait: Duration,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            threads: thread::available_parallelism().map_or(1, NonZero::get),
            memory_kib: 256 * 1024,
            queue: 64,
            wait: Duration::from_secs(2),
        }
    }
}

/// Threads of our own behind a bounded queue, first come, first served.
///
/// When the pool is dropped, waiting jobs are refused and the threads end after what they are at.
pub struct Pool {
    shared: Arc<Shared>,
}

impl Pool {
    /// Starts the threads.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(config: PoolConfig) -> io::Result<Self> {
        let threads = config.threads.max(1);
        let pool = Self {
            shared: Arc::new(Shared {
                config,
                state: Mutex::default(),
                work: Condvar::new(),
                deadline: Condvar::new(),
            }),
        };
        for n in 0..threads {
            let shared = pool.shared.clone();
            thread::Builder::new()
                .name(format!("stepup-pool-{n}"))
                .spawn(move || shared.work())?;
        }
        let shared = pool.shared.clone();
        thread::Builder::new()
            .name("stepup-pool-clock".to_owned())
            .spawn(move || shared.expire())?;
        Ok(pool)
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.shared.lock();
            state.closed = true;
            std::mem::take(&mut state.queue)
        };
        self.shared.work.notify_all();
        self.shared.deadline.notify_all();
        refuse(waiting);
    }
}

#[async_trait]
impl Offload for Pool {
    async fn run(&self, job: Job) -> Result<(), OffloadError> {
        let until = Instant::now() + self.shared.config.wait.min(MAX_WAIT);
        let ran = self.shared.enqueue(job, until)?;
        ran.await.unwrap_or(Err(OffloadError::Busy))
    }
}

struct Shared {
    config: PoolConfig,
    state: Mutex<State>,
    /// Something may be ready to run.
    work: Condvar,
    /// The job at the head of the queue is another one.
    deadline: Condvar,
}

#[derive(Default)]
struct State {
    /// Oldest first, so that the head is always the next one to run out of time.
    queue: VecDeque<Waiting>,
    memory_kib: u64,
    closed: bool,
}

struct Waiting {
    job: Job,
    done: oneshot::Sender<Result<(), OffloadError>>,
    until: Instant,
}

impl Shared {
    /// No code of a job runs under this lock, so that a poisoned one is still in order.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enqueue(
        &self,
        job: Job,
        until: Instant,
    ) -> Result<oneshot::Receiver<Result<(), OffloadError>>, OffloadError> {
        let (done, ran) = oneshot::channel();
        let mut abandoned = VecDeque::new();
        let mut state = self.lock();
        if state.queue.len() >= self.config.queue {
            // Whoever hung up does not keep the others out.
            let (dead, alive) = std::mem::take(&mut state.queue)
                .into_iter()
                .partition(|waiting: &Waiting| waiting.done.is_canceled());
            abandoned = dead;
            state.queue = alive;
        }
        let has_room = !state.closed && state.queue.len() < self.config.queue;
        if has_room {
            state.queue.push_back(Waiting { job, done, until });
        }
        drop(state);
        drop(abandoned);
        if !has_room {
            return Err(OffloadError::Busy);
        }
        self.work.notify_one();
        self.deadline.notify_one();
        Ok(ran)
    }

    /// A worker: takes the oldest job that there is memory for, again and again.
    fn work(&self) {
        while let Some(Waiting { job, done, .. }) = self.next() {
            let memory_kib = u64::from(job.memory_kib);
            let ran = if done.is_canceled() {
                drop(job);
                Ok(())
            } else {
                // The job may leave its own data half-written; nobody sees them again.
                catch_unwind(AssertUnwindSafe(job.work)).map_err(|_| OffloadError::Panicked)
            };
            self.lock().memory_kib -= memory_kib;
            // The memory that has come free may be enough for a job that another worker waits for.
            self.work.notify_all();
            let _ = done.send(ran);
        }
    }

    /// The next job, with its memory charged; none once the pool is closed.
    fn next(&self) -> Option<Waiting> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            let in_use = state.memory_kib;
            let fits = |waiting: &Waiting| {
                in_use == 0 || in_use + u64::from(waiting.job.memory_kib) <= u64::from(self.config.memory_kib)
            };
            if state.queue.front().is_some_and(fits)
                && let Some(waiting) = state.queue.pop_front()
            {
                state.memory_kib += u64::from(waiting.job.memory_kib);
                return Some(waiting);
            }
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The clock: refuses jobs that have waited too long, also while every worker is busy.
    fn expire(&self) {
        let mut state = self.lock();
        while !state.closed {
            let now = Instant::now();
            let late = state
                .queue
                .iter()
                .take_while(|waiting| waiting.until <= now)
                .count();
            if late > 0 {
                let late = state.queue.drain(..late).collect();
                drop(state);
                refuse(late);
                state = self.lock();
                continue;
            }
            state = match state.queue.front().map(|waiting| waiting.until - now) {
                Some(left) => {
                    self.deadline
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
                None => self.deadline.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// Answers "busy" to each of `waiting`, and drops its job.
fn refuse(waiting: VecDeque<Waiting>) {
    for Waiting { done, .. } in waiting {
        let _ = done.send(Err(OffloadError::Busy));
    }
}

/// No client waits longer.
const MAX_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
