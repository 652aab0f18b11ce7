//! The port that runs what outlives a request: deliveries, notices, key rotation, clean-up.
//!
//! Core knows no runtime, so the application hands one in (`stepup-delivery` has a thread with a small Tokio runtime
//! of its own, so that neither a dropped request nor an ended worker cancels a message).

use std::fmt::Debug;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Work that outlives its request.
pub type Job = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Makes the same work again and again.
pub type Repeat = Arc<dyn Fn() -> Option<Job> + Send + Sync + 'static>;

/// Runs jobs.
pub trait Background: Debug + Send + Sync + 'static {
    /// Runs `job` soon. The queue is bounded.
    ///
    /// # Errors
    /// [`QueueFull`]; the job was dropped.
    fn spawn(&self, job: Job) -> Result<(), QueueFull>;

    /// Runs what `make` yields every `period`, one at a time, until it yields none.
    fn every(&self, period: Duration, make: Repeat);
}

/// The background has too much to do.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("background queue is full")]
pub struct QueueFull;
