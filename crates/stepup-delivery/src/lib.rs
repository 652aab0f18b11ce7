//! Carriers of codes and notices, the texts that they carry, and what they run on: a thread of its own, or by hand.
//!
//! | feature | brings |
//! |---|---|
//! | `smtp` | `Smtp`: e-mail by a mail server |
//! | `sns` | `Sns`: text messages by Amazon SNS |
//! | `twilio` | `Twilio`: text messages |
//! | `vonage` | `Vonage`: text messages |
//! | `webhook` | `Webhook`: a service of the application's own, by signed requests |
//!
//! [`FailOver`] puts several in order. [`Console`] and [`Outbox`] show what they are given to whoever looks: they are for the own machine, and `build()`
//! refuses them elsewhere.

mod background;
mod console;
mod fail_over;
#[cfg(any(feature = "sns", feature = "twilio", feature = "vonage", feature = "webhook"))]
mod http;
mod manual;
mod outbox;
#[cfg(any(
    feature = "smtp",
    feature = "sns",
    feature = "twilio",
    feature = "vonage",
    feature = "webhook"
))]
mod setup;
#[cfg(feature = "smtp")]
mod smtp;
#[cfg(feature = "sns")]
mod sns;
mod template;
#[cfg(feature = "twilio")]
mod twilio;
#[cfg(feature = "vonage")]
mod vonage;
#[cfg(feature = "webhook")]
mod webhook;

pub use background::BackgroundThread;
pub use console::{Both, Console};
pub use fail_over::{FailOver, FailOverError};
pub use manual::Manual;
pub use outbox::{Outbox, Sent};
#[cfg(any(
    feature = "smtp",
    feature = "sns",
    feature = "twilio",
    feature = "vonage",
    feature = "webhook"
))]
pub use setup::SetupError;
#[cfg(feature = "smtp")]
pub use smtp::{Smtp, SmtpError};
#[cfg(feature = "sns")]
pub use sns::{AwsKeys, Sns, SnsError};
pub use template::{Standard, Templates, Text, text};
#[cfg(feature = "twilio")]
pub use twilio::{Twilio, TwilioError};
#[cfg(feature = "vonage")]
pub use vonage::{Vonage, VonageError};
#[cfg(feature = "webhook")]
pub use webhook::{Webhook, WebhookError};

#[cfg(test)]
mod tests;
