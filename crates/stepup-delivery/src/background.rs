//! A thread of its own with a small Tokio runtime: neither a dropped request nor an ended worker cancels a message.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use stepup_core::background::{Background, Job, QueueFull, Repeat};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

/// Jobs that may wait or run at once. A job is a message of a few hundred bytes.
pub(crate) const QUEUE: usize = 1_024;
/// A job that takes longer is dropped: a carrier that hangs must not fill the queue.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);
/// Jobs that run at once: what a provider takes side by side without calling it a flood. The others wait, and their time does
/// not run yet.
pub(crate) const LANES: usize = 32;
/// What is done again and again is given up for this time, if it takes longer: one carrier that never answers must not hold
/// up keys and clean-up for ever. Shorter than the lease of a notice.
const REPEAT_DEADLINE: Duration = Duration::from_secs(50);
/// How long the thread goes on for what was begun, once nobody holds it any more.
const FAREWELL: Duration = Duration::from_secs(5);

/// Runs jobs on a thread of its own. Clones share it; it ends when the last one is dropped.
#[derive(Clone)]
pub struct BackgroundThread {
    orders: mpsc::UnboundedSender<Order>,
    places: Arc<Semaphore>,
}

enum Order {
    Run(Job, OwnedSemaphorePermit),
    Every(Duration, Repeat),
    Drain(oneshot::Sender<()>),
}

impl fmt::Debug for BackgroundThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackgroundThread")
            .field("free_places", &self.places.available_permits())
            .finish()
    }
}

impl BackgroundThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system gives no thread, or no event queue.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let (orders, inbox) = mpsc::unbounded_channel();
        thread::Builder::new()
            .name("stepup-background".to_owned())
            .spawn(move || runtime.block_on(work(inbox)))?;
        Ok(Self {
            orders,
            places: Arc::new(Semaphore::new(QUEUE)),
        })
    }

    /// Waits until the jobs that are here now have ended, at most for `deadline`. Whether they have.
    pub async fn drain(&self, deadline: Duration) -> bool {
        let (done, wait) = oneshot::channel();
        if self.orders.send(Order::Drain(done)).is_err() {
            return true;
        }
        timeout(deadline, wait).await.is_ok()
    }
}

impl Background for BackgroundThread {
    fn spawn(&self, job: Job) -> Result<(), QueueFull> {
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(|_| QueueFull)?;
        self.orders.send(Order::Run(job, place)).map_err(|_| QueueFull)
    }

    fn every(&self, period: Duration, make: Repeat) {
        // A thread that has ended repeats nothing; there is nobody left to tell.
        let _ = self.orders.send(Order::Every(period, make));
    }
}

async fn work(mut inbox: mpsc::UnboundedReceiver<Order>) {
    let mut jobs = JoinSet::new();
    let lanes = Arc::new(Semaphore::new(LANES));
    let mut repeats = JoinSet::new();
    loop {
        tokio::select! {
            order = inbox.recv() => match order {
                None => break,
                Some(Order::Run(job, place)) => {
                    let lanes = Arc::clone(&lanes);
                    jobs.spawn(async move {
                        run(job, &lanes).await;
                        drop(place);
                    });
                }
                Some(Order::Every(period, make)) => {
                    repeats.spawn(repeat(period, make));
                }
                Some(Order::Drain(done)) => {
                    while jobs.join_next().await.is_some() {}
                    let _ = done.send(());
                }
            },
            // A job that panicked has ended like any other.
            Some(_) = jobs.join_next() => {}
        }
    }
    repeats.shutdown().await;
    let _ = timeout(FAREWELL, async { while jobs.join_next().await.is_some() {} }).await;
}

/// Runs a job once a lane is free, first come, first served.
pub(crate) async fn run(job: Job, lanes: &Semaphore) {
    // Nobody closes it.
    let Ok(_lane) = lanes.acquire().await else { return };
    if timeout(DEADLINE, job).await.is_err() {
        tracing::warn!(target: "stepup::delivery", "a background job took too long and was dropped");
    }
}

async fn repeat(period: Duration, make: Repeat) {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(job) = make() else { return };
        // One that panics must not end the repetition: its next run may do better.
        let _ = tokio::spawn(timeout(REPEAT_DEADLINE, job)).await;
    }
}
