//! What the carriers of a provider have in common: how they are set up, how long they may take, and what they say of a
//! message that was not taken.

use std::error::Error;
use std::time::Duration;

use stepup_core::delivery::{DeliveryError, Failure};

/// One attempt takes no longer than this, connection included. Two of them fit into the deadline of a job in the
/// background (threats §3.4: 5 s).
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

/// A carrier cannot work as it was set up; a sentence that quotes no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(String);

impl SetupError {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// Tells the log why a message was not taken. `error` is of this crate, and quotes neither address nor text.
pub(crate) fn undelivered(failure: Failure, error: impl Error + Send + Sync + 'static) -> DeliveryError {
    tracing::warn!(target: "stepup::delivery", %error, "a message was not taken");
    DeliveryError::new(failure, error)
}
