//! How messages are handed to a provider over HTTP.

use stepup_core::app::is_loopback;
use url::Url;

use crate::setup::{PATIENCE, SetupError};

/// An address that codes may be sent to: https, or this very machine.
pub(crate) fn endpoint(url: &str) -> Result<Url, SetupError> {
    let parsed = Url::parse(url).map_err(|_| SetupError::new("the provider's address is no URL"))?;
    match parsed.scheme() {
        "https" => Ok(parsed),
        "http" if is_loopback(url) => Ok(parsed),
        _ => Err(SetupError::new(
            "the provider's address must be https, or http on this machine",
        )),
    }
}

/// A client that goes where it was told, and nowhere else.
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
