//! Fail-over: the next carrier, if the first one does not take a message.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stepup_core::delivery::{Channel, Deliver, DeliveryError, Message};
use tokio::time::timeout;

/// Carriers in order: a message goes by the first one that takes it.
///
/// Each gets an equal part of the nine seconds that a message has. One that answers too late may have sent its message all
/// the same, and then the user gets the same code twice, which is better than not at all.
#[derive(Clone, Debug)]
pub struct FailOver(Vec<Arc<dyn Deliver>>);

/// Shorter than the deadline of a job in the background, so that the last carrier still gets its turn.
const PATIENCE: Duration = Duration::from_secs(9);

/// No carrier took a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FailOverError {
    /// None of them carries messages of this channel.
    #[error("no carrier for this channel")]
    NoCarrier,
    /// The last one did not answer in time.
    #[error("the carrier did not answer in time")]
    Late,
}

impl FailOver {
    /// Begins with `first`.
    pub fn new(first: impl Deliver) -> Self {
        Self(vec![Arc::new(first)])
    }

    /// And then `next`, if none before it takes a message.
    #[must_use]
    pub fn then(mut self, next: impl Deliver) -> Self {
        self.0.push(Arc::new(next));
        self
    }
}

#[async_trait]
impl Deliver for FailOver {
    fn carries(&self, channel: Channel) -> bool {
        self.0.iter().any(|carrier| carrier.carries(channel))
    }

    fn reveals_codes(&self) -> bool {
        self.0.iter().any(|carrier| carrier.reveals_codes())
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let carriers: Vec<_> = self.0.iter().filter(|c| c.carries(message.channel)).collect();
        let parts = u32::try_from(carriers.len()).unwrap_or(u32::MAX).max(1);
        let mut failed = DeliveryError(Box::new(FailOverError::NoCarrier));
        for (number, carrier) in carriers.into_iter().enumerate() {
            let told = timeout(PATIENCE / parts, carrier.deliver(message)).await;
            match told.unwrap_or_else(|_| Err(DeliveryError(Box::new(FailOverError::Late)))) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    // The carriers of this crate quote neither address nor text; another's error may.
                    tracing::warn!(target: "stepup::delivery", number, "a carrier did not take a message");
                    failed = error;
                }
            }
        }
        Err(failed)
    }
}
