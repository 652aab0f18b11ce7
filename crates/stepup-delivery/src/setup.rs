//! What the carriers of a provider have in common: how they are set up, and how long they may take.

use std::time::Duration;

#[cfg(any(feature = "twilio", feature = "webhook"))]
use stepup_core::app::is_loopback;
#[cfg(any(feature = "twilio", feature = "webhook"))]
use url::Url;

/// One attempt takes no longer than this, connection included. Two of them fit into the deadline of a job in the
/// background (threats §3.4: 5 s).
pub(crate) const PATIENCE: Duration = Duration::from_secs(4);

/// A carrier cannot work as it was set up; a sentence that quotes no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SetupError(pub(crate) String);

impl SetupError {
    pub(crate) fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

/// An address that codes may be sent to: https, or this very machine.
#[cfg(any(feature = "twilio", feature = "webhook"))]
pub(crate) fn endpoint(url: &str) -> Result<Url, SetupError> {
    let parsed = Url::parse(url).map_err(|_| SetupError::new("the provider's address is no URL"))?;
    let is_safe = match parsed.scheme() {
        "https" => true,
        "http" => is_loopback(url),
        _ => false,
    };
    match is_safe {
        true => Ok(parsed),
        false => Err(SetupError::new(
            "the provider's address must be https, or http on this machine",
        )),
    }
}

/// A client that goes where it was told, and nowhere else.
#[cfg(any(feature = "twilio", feature = "webhook"))]
pub(crate) fn client(url: &Url) -> Result<reqwest::Client, SetupError> {
    reqwest::Client::builder()
        // Whoever answers must not name another place for the code to go to.
        .redirect(reqwest::redirect::Policy::none())
        .https_only(url.scheme() == "https")
        .timeout(PATIENCE)
        .no_proxy()
        .referer(false)
        .user_agent(concat!("stepup-delivery/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| SetupError::new(format!("there is no HTTP client: {error}")))
}
