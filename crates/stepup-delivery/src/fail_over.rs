//! Fail-over: the next carrier, if the first one does not take a message.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use stepup_core::delivery::{Attempt, Channel, Content, Deliver, DeliveryError, Failure, Message};
use stepup_core::time::Timestamp;
use tokio::time::timeout;

/// Carriers in order: a message goes by the first one that takes it.
///
/// Each gets an equal part of the nine seconds that a message has. What happens next depends on how far a try came:
///
/// * It was surely not sent, or refused: the next carrier is asked at once.
/// * Nobody knows, since no answer came: a code or a link goes no further. It may be on its way, a second one would cost a
///   second time, and whoever pays for slow answers could be made to pay double. The user asks again. A notice goes on,
///   since one that comes twice is better than one that never comes; [`FailOver::rather_twice`] says so of all messages.
///
/// A carrier that could not be reached, or did not answer, is asked last for a minute: who asks again is served by another.
#[derive(Clone, Debug)]
pub struct FailOver {
    carriers: Vec<Ranked>,
    rather_twice: bool,
}

#[derive(Clone, Debug)]
struct Ranked {
    carrier: Arc<dyn Deliver>,
    /// Until when others are asked first, in milliseconds.
    rests_until: Arc<AtomicI64>,
}

/// Shorter than the deadline of a job in the background, so that the last carrier still gets its turn.
const PATIENCE: Duration = Duration::from_secs(9);
/// How long a carrier that failed is asked last: a few messages of one user, and no more of an outage than that.
const REST: Duration = Duration::from_secs(60);

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
        let none = Self {
            carriers: Vec::new(),
            rather_twice: false,
        };
        none.then(first)
    }

    /// And then `next`, if none before it takes a message.
    #[must_use]
    pub fn then(mut self, next: impl Deliver) -> Self {
        self.carriers.push(Ranked {
            carrier: Arc::new(next),
            rests_until: Arc::new(AtomicI64::new(i64::MIN)),
        });
        self
    }

    /// Goes on to the next carrier although a message may have been sent: codes arrive where a provider has stopped to
    /// answer, and some of them twice.
    #[must_use]
    pub fn rather_twice(mut self) -> Self {
        self.rather_twice = true;
        self
    }

    /// Those that carry a message of `channel`, with those that rest behind the others.
    fn order(&self, channel: Channel, now: Timestamp) -> Vec<&Ranked> {
        let mut order: Vec<_> = self
            .carriers
            .iter()
            .filter(|ranked| ranked.carrier.carries(channel))
            .collect();
        order.sort_by_key(|ranked| ranked.rests(now));
        order
    }
}

impl Ranked {
    fn rests(&self, now: Timestamp) -> bool {
        now.as_ms() < self.rests_until.load(Ordering::Relaxed)
    }

    fn rest(&self, now: Timestamp) {
        self.rests_until.store(now.plus(REST).as_ms(), Ordering::Relaxed);
    }
}

#[async_trait]
impl Deliver for FailOver {
    fn carries(&self, channel: Channel) -> bool {
        self.carriers.iter().any(|ranked| ranked.carrier.carries(channel))
    }

    fn reveals_codes(&self) -> bool {
        self.carriers.iter().any(|ranked| ranked.carrier.reveals_codes())
    }

    fn name(&self) -> &'static str {
        "fail_over"
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        self.attempt(message, &mut Vec::new()).await
    }

    async fn attempt(&self, message: &Message, attempts: &mut Vec<Attempt>) -> Result<(), DeliveryError> {
        let order = self.order(message.channel, message.at);
        let parts = u32::try_from(order.len()).unwrap_or(u32::MAX).max(1);
        let mut failed = DeliveryError::refused(FailOverError::NoCarrier);
        for ranked in order {
            let told = timeout(PATIENCE / parts, ranked.carrier.attempt(message, attempts)).await;
            let error = match told {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => {
                    attempts.push(Attempt {
                        carrier: ranked.carrier.name(),
                        failure: Some(Failure::Uncertain),
                    });
                    DeliveryError::uncertain(FailOverError::Late)
                }
            };
            if error.failure != Failure::Refused {
                ranked.rest(message.at);
            }
            let goes_on = goes_on(error.failure, &message.content, self.rather_twice);
            failed = error;
            if !goes_on {
                break;
            }
        }
        Err(failed)
    }
}

/// Whether another carrier may be asked after a try that came so far.
fn goes_on(failure: Failure, content: &Content, rather_twice: bool) -> bool {
    match failure {
        Failure::Unsent | Failure::Refused => true,
        Failure::Uncertain => rather_twice || matches!(content, Content::Notice(_)),
    }
}
