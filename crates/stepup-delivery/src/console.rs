//! The console: prints messages for the developer who sits in front of it.

use std::io::Write;

use async_trait::async_trait;
use stepup_core::delivery::{Channel, Deliver, DeliveryError, Message};

use crate::template::text;

/// Prints messages to standard output.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console;

#[async_trait]
impl Deliver for Console {
    fn carries(&self, _channel: Channel) -> bool {
        true
    }

    fn reveals_codes(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "console"
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let channel = match message.channel {
            Channel::Sms => "SMS",
            Channel::Email => "e-mail",
        };
        let body = text(message).body;
        let mut out = std::io::stdout().lock();
        writeln!(out, "--- {channel} to {}\n{body}\n---", message.to)
            .and_then(|()| out.flush())
            .map_err(DeliveryError::refused)
    }
}

/// Carries each message by two carriers; it is delivered if the first one did.
#[derive(Clone, Debug)]
pub struct Both<A, B>(pub A, pub B);

#[async_trait]
impl<A: Deliver, B: Deliver> Deliver for Both<A, B> {
    fn carries(&self, channel: Channel) -> bool {
        self.0.carries(channel)
    }

    fn reveals_codes(&self) -> bool {
        self.0.reveals_codes() || self.1.reveals_codes()
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        self.0.deliver(message).await?;
        if let Err(error) = self.1.deliver(message).await {
            tracing::debug!(target: "stepup::delivery", %error, "the second carrier failed");
        }
        Ok(())
    }
}
