//! A mailbox for every address, and the background that fills it: messages are handed over when a test looks.

use std::fmt;
use std::mem;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use stepup_core::background::{Background, Job, QueueFull, Repeat};
use stepup_core::delivery::{Channel, Content, Deliver, DeliveryError, Message};

/// Keeps what was sent, and what is still to be done. Clones share it.
///
/// As a [`Background`] it does nothing by itself: jobs wait until a test looks into the mailbox. As a [`Deliver`] it
/// carries everything.
#[derive(Clone, Default)]
pub struct Mailbox(Arc<Inner>);

#[derive(Default)]
struct Inner {
    jobs: Mutex<Vec<Job>>,
    messages: Mutex<Vec<Message>>,
}

impl Mailbox {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// All messages so far, oldest first.
    pub async fn messages(&self) -> Vec<Message> {
        self.settle().await;
        lock(&self.0.messages).clone()
    }

    /// The code in the newest message that has one.
    ///
    /// # Panics
    /// If none was sent.
    pub async fn last_code(&self) -> String {
        self.newest(|_| true).await.expect("no code was sent")
    }

    /// The code in the newest message to `address` that has one.
    pub async fn code_to(&self, address: &str) -> Option<String> {
        self.newest(|message| message.to == address).await
    }

    async fn newest(&self, wanted: impl Fn(&Message) -> bool) -> Option<String> {
        let messages = self.messages().await;
        messages
            .iter()
            .rev()
            .filter(|message| wanted(message))
            .find_map(code_of)
    }

    /// Does what is to be done beside requests, until nothing is left.
    pub async fn settle(&self) {
        loop {
            let jobs = mem::take(&mut *lock(&self.0.jobs));
            if jobs.is_empty() {
                return;
            }
            for job in jobs {
                job.await;
            }
        }
    }
}

fn code_of(message: &Message) -> Option<String> {
    match &message.content {
        Content::Code { code, .. } => Some(code.expose().clone()),
        _ => None,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mailbox({})", lock(&self.0.messages).len())
    }
}

#[async_trait]
impl Deliver for Mailbox {
    fn carries(&self, _: Channel) -> bool {
        true
    }

    fn reveals_codes(&self) -> bool {
        true
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        lock(&self.0.messages).push(message.clone());
        Ok(())
    }
}

impl Background for Mailbox {
    fn spawn(&self, job: Job) -> Result<(), QueueFull> {
        lock(&self.0.jobs).push(job);
        Ok(())
    }

    // Nothing comes by itself: a test calls `Stepup::tick`.
    fn every(&self, _: Duration, _: Repeat) {}
}
