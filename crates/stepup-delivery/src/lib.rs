//! Carriers of codes and notices, the texts that they carry, and what they run on: a thread of its own, or by hand.
//!
//! | feature | brings |
//! |---|---|
//! | `smtp` | `Smtp`: e-mail by a mail server |
//! | `twilio` | `Twilio`: text messages |
//! | `webhook` | `Webhook`: a service of the application's own, by signed requests |
//!
//! [`FailOver`] puts several in order. [`Console`] and [`Outbox`] show what they are given to whoever looks: they are for the own machine, and `build()`
//! refuses them elsewhere.

mod background;
mod console;
mod fail_over;
#[cfg(any(feature = "twilio", feature = "webhook"))]
mod http;
mod manual;
mod outbox;
#[cfg(any(feature = "smtp", feature = "twilio", feature = "webhook"))]
mod setup;
#[cfg(feature = "smtp")]
mod smtp;
mod template;
#[cfg(feature = "twilio")]
mod twilio;
#[cfg(feature = "webhook")]
mod webhook;

pub use background::BackgroundThread;
pub use console::{Both, Console};
pub use fail_over::{FailOver, FailOverError};
pub use manual::Manual;
pub use outbox::{Outbox, Sent};
#[cfg(any(feature = "smtp", feature = "twilio", feature = "webhook"))]
pub use setup::SetupError;
#[cfg(feature = "smtp")]
pub use smtp::{Smtp, SmtpError};
pub use template::{Text, text};
#[cfg(feature = "twilio")]
pub use twilio::{Twilio, TwilioError};
#[cfg(feature = "webhook")]
pub use webhook::{Webhook, WebhookError};

#[cfg(test)]
mod tests;
