//! Carriers in order, and what a try that came so far means for the next.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod kit;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use stepup_core::delivery::{
    Attempt, Channel, Content, Deliver, DeliveryError, Failure, Message, NoticeKind,
};
use stepup_core::time::Timestamp;
use stepup_delivery::{FailOver, FailOverError};

use kit::{AT, code, is, message};

/// A carrier that always ends alike, and counts how often it was asked.
#[derive(Clone, Debug)]
struct Ends(&'static str, Option<Failure>, Arc<AtomicUsize>);

fn ends(name: &'static str, failure: Option<Failure>) -> Ends {
    Ends(name, failure, Arc::default())
}

impl Ends {
    fn asked(&self) -> usize {
        self.2.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl Deliver for Ends {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Sms
    }

    fn name(&self) -> &'static str {
        self.0
    }

    async fn deliver(&self, _: &Message) -> Result<(), DeliveryError> {
        self.2.fetch_add(1, Ordering::SeqCst);
        match self.1 {
            None => Ok(()),
            Some(failure) => Err(DeliveryError::new(failure, "by the test")),
        }
    }
}

#[derive(Debug)]
struct Hangs;

#[async_trait]
impl Deliver for Hangs {
    fn carries(&self, _: Channel) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "hangs"
    }

    async fn deliver(&self, _: &Message) -> Result<(), DeliveryError> {
        std::future::pending().await
    }
}

fn sms() -> Message {
    code(Channel::Sms, "+41791234567")
}

fn notice() -> Message {
    let kind = NoticeKind::FactorsReset {
        at: Timestamp::from_ms(AT),
    };
    message(Channel::Sms, "+41791234567", Content::Notice(kind))
}

async fn tries(order: &FailOver, message: &Message) -> Vec<(&'static str, Option<Failure>)> {
    let mut attempts = Vec::new();
    let told = order.attempt(message, &mut attempts).await;
    assert_eq!(
        told.is_ok(),
        attempts.last().is_some_and(|last| last.failure.is_none())
    );
    attempts
        .iter()
        .map(|Attempt { carrier, failure }| (*carrier, *failure))
        .collect()
}

#[tokio::test]
async fn the_next_carrier_takes_what_the_first_one_surely_did_not_send() {
    for failure in [Failure::Unsent, Failure::Refused] {
        let third = ends("third", None);
        let order = FailOver::new(ends("first", Some(failure)))
            .then(ends("second", None))
            .then(third.clone());
        assert_eq!(
            tries(&order, &sms()).await,
            [("first", Some(failure)), ("second", None)]
        );
        assert_eq!(third.asked(), 0);
    }
    // Who carries no mail is not asked for it; the last error is what is told.
    let only = FailOver::new(ends("first", None));
    assert!(!only.carries(Channel::Email));
    let told = only.deliver(&code(Channel::Email, "ann@acme.test")).await;
    assert!(is(&told, &FailOverError::NoCarrier));
}

#[tokio::test]
async fn a_code_that_may_have_been_sent_is_not_sent_again_and_a_notice_is() {
    let uncertain = || ends("first", Some(Failure::Uncertain));
    let second = ends("second", None);
    let order = FailOver::new(uncertain()).then(second.clone());
    assert_eq!(tries(&order, &sms()).await, [("first", Some(Failure::Uncertain))]);
    assert_eq!(second.asked(), 0);
    let both = [("first", Some(Failure::Uncertain)), ("second", None)];
    let order = FailOver::new(uncertain()).then(ends("second", None));
    assert_eq!(tries(&order, &notice()).await, both);
    let order = FailOver::new(uncertain())
        .then(ends("second", None))
        .rather_twice();
    assert_eq!(tries(&order, &sms()).await, both);
}

#[tokio::test(start_paused = true)]
async fn a_carrier_that_hangs_is_left_and_whoever_asks_again_is_served_by_the_next() {
    let order = FailOver::new(Hangs).then(ends("second", None));
    assert_eq!(tries(&order, &sms()).await, [("hangs", Some(Failure::Uncertain))]);
    let mut again = sms();
    again.at = Timestamp::from_ms(AT + 15_000);
    assert_eq!(tries(&order, &again).await, [("second", None)]);
    // A minute later it has its first place back.
    again.at = Timestamp::from_ms(AT + 61_000);
    assert_eq!(tries(&order, &again).await, [("hangs", Some(Failure::Uncertain))]);
    assert!(is(
        &FailOver::new(Hangs).deliver(&sms()).await,
        &FailOverError::Late
    ));
}

#[tokio::test(start_paused = true)]
async fn a_carrier_that_hangs_leaves_time_for_the_next() {
    let order = FailOver::new(Hangs).then(ends("second", None)).rather_twice();
    let begun = tokio::time::Instant::now();
    assert_eq!(
        tries(&order, &sms()).await,
        [("hangs", Some(Failure::Uncertain)), ("second", None)]
    );
    // Half of the nine seconds.
    assert_eq!(begun.elapsed().as_millis(), 4_500);
}

#[tokio::test]
async fn a_refused_message_says_nothing_of_its_carrier() {
    let first = ends("first", Some(Failure::Refused));
    let order = FailOver::new(first.clone()).then(ends("second", None));
    for asked in 1..=3 {
        order.deliver(&sms()).await.unwrap();
        assert_eq!(first.asked(), asked);
    }
}
