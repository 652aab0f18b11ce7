//! Hands messages to their carriers in the background, and tells what became of each try.
//!
//! A message is handed over once. Whether a carrier that failed may be followed by another is the carriers' affair; what is
//! told of it is here: one event for each try, with the carrier's name and the address masked.

use std::sync::{Arc, Weak};

use crate::background::QueueFull;
use crate::delivery::{Attempt, Deliver, DeliveryError, Failure, Message};
use crate::event::{Event, EventKind, EventSink, Outcome};
use crate::limit;
use crate::parts::Parts;
use crate::record::counter::Ask;
use crate::session::claim::mask_contact;
use crate::time::Timestamp;

/// A message on its way to a carrier.
pub(crate) struct Parcel {
    pub(crate) deliver: Arc<dyn Deliver>,
    pub(crate) message: Message,
    /// Whom it is about, for events.
    pub(crate) about: Event,
    /// What counts it among the messages that were surely not sent.
    pub(crate) unsent: Option<Ask>,
}

/// Hands a parcel to the background. The answer does not wait for it, and does not tell how it went.
pub(crate) fn hand_over(parts: &Parts, parcel: Parcel) -> Result<(), QueueFull> {
    let site = parts.hooks.site();
    let told = Told {
        events: parts.events.clone(),
        about: parcel
            .about
            .clone()
            .with_destination(&mask_contact(&parcel.message.to)),
        finished: false,
    };
    parts.background.spawn(Box::pin(carry(site, parcel, told)))
}

async fn carry(site: Weak<Parts>, parcel: Parcel, mut told: Told) {
    let message = &parcel.message;
    let now = || site.upgrade().map(|parts| parts.now());
    let ends_at = message
        .content
        .lifetime()
        .map(|lifetime| message.at.plus(lifetime));
    if let (Some(ends_at), Some(now)) = (ends_at, now())
        && ends_at <= now
    {
        // It waited in the queue until it was dead: it would only confuse whoever gets it.
        return told.finish(now, &[], Some("too_late"));
    }
    let mut attempts = Vec::new();
    let delivered = parcel.deliver.attempt(message, &mut attempts).await;
    told.finish(now().unwrap_or(message.at), &attempts, untried(&attempts));
    let surely_unsent = matches!(&delivered, Err(error) if error.failure != Failure::Uncertain);
    if let (true, Some(unsent), Some(parts)) = (surely_unsent, parcel.unsent, site.upgrade()) {
        // A provider that is down must not look like numbers that nobody answers from. If the store is down as well, it does.
        let _ = limit::ask(&*parts.store, &[unsent], parts.now()).await;
    }
}

/// Hands over at once what was written down before, and tells what became of each try.
pub(crate) async fn carry_now(
    parts: &Parts,
    deliver: &dyn Deliver,
    message: &Message,
    about: Event,
) -> Result<(), DeliveryError> {
    let mut told = Told {
        events: parts.events.clone(),
        about: about.with_destination(&mask_contact(&message.to)),
        finished: false,
    };
    let mut attempts = Vec::new();
    let delivered = deliver.attempt(message, &mut attempts).await;
    told.finish(parts.now(), &attempts, untried(&attempts));
    delivered
}

/// Why nobody was asked, if nobody was: no carrier takes such messages.
fn untried(attempts: &[Attempt]) -> Option<&'static str> {
    attempts.is_empty().then_some("no_carrier")
}

/// What is to be told of a message. If its job is dropped, because it took too long or broke, that is told.
struct Told {
    events: Arc<dyn EventSink>,
    about: Event,
    finished: bool,
}

impl Told {
    fn finish(&mut self, at: Timestamp, attempts: &[Attempt], reason: Option<&'static str>) {
        self.finished = true;
        for event in events(&self.about, attempts) {
            self.events.record(&Event { at, ..event });
        }
        if let Some(reason) = reason {
            self.failed(at, reason);
        }
    }

    fn failed(&self, at: Timestamp, reason: &'static str) {
        let event = Event {
            at,
            kind: EventKind::DeliveryFailed,
            outcome: Outcome::Noted,
            ..self.about.clone()
        };
        self.events.record(&event.because(reason));
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if !self.finished {
            self.failed(self.about.at, "dropped");
        }
    }
}

/// One event for each try: the last one tells how it ended, those before it that another carrier had to follow.
fn events(about: &Event, attempts: &[Attempt]) -> Vec<Event> {
    let last = attempts.len().saturating_sub(1);
    let event = |(index, attempt): (usize, &Attempt)| {
        let kind = match attempt.failure {
            None => EventKind::DeliverySent,
            Some(_) if index < last => EventKind::DeliveryFailedOver,
            Some(Failure::Refused) => EventKind::DeliveryRefused,
            Some(Failure::Unsent | Failure::Uncertain) => EventKind::DeliveryFailed,
        };
        Event {
            kind,
            outcome: Outcome::Noted,
            reason: attempt.failure.map(Failure::word),
            carrier: Some(attempt.carrier),
            ..about.clone()
        }
    };
    attempts.iter().enumerate().map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(attempts: &[(&'static str, Option<Failure>)]) -> Vec<(&'static str, Option<&'static str>)> {
        let about = Event::new(EventKind::DeliveryFailed, Outcome::Noted, Timestamp::from_ms(0));
        let attempts: Vec<Attempt> = attempts
            .iter()
            .map(|(carrier, failure)| Attempt {
                carrier,
                failure: *failure,
            })
            .collect();
        let told = events(&about, &attempts);
        assert!(
            told.iter()
                .zip(&attempts)
                .all(|(event, attempt)| event.carrier == Some(attempt.carrier))
        );
        told.iter()
            .map(|event| (event.kind.name(), event.reason))
            .collect()
    }

    #[test]
    fn each_try_is_one_event_and_the_last_one_tells_how_it_ended() {
        use Failure::{Refused, Uncertain, Unsent};
        assert_eq!(told(&[("a", None)]), [("delivery.sent", None)]);
        assert_eq!(
            told(&[("a", Some(Unsent)), ("b", None)]),
            [("delivery.failed_over", Some("unsent")), ("delivery.sent", None)]
        );
        assert_eq!(
            told(&[("a", Some(Refused)), ("b", Some(Refused))]),
            [
                ("delivery.failed_over", Some("refused")),
                ("delivery.refused", Some("refused"))
            ]
        );
        assert_eq!(
            told(&[("a", Some(Uncertain))]),
            [("delivery.failed", Some("uncertain"))]
        );
        assert_eq!(told(&[]), []);
    }
}
