//! How messages are handed to a provider over HTTP.

use stepup_core::app::is_loopback;
use stepup_core::delivery::Failure;
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

/// How far a request came that has no answer: without a connection, nowhere; else nobody knows.
pub(crate) fn failure_of(error: &reqwest::Error) -> Failure {
    if error.is_connect() || error.is_builder() {
        Failure::Unsent
    } else {
        Failure::Uncertain
    }
}

/// How far a message came by the status of an answer that is no success.
pub(crate) fn failure_of_status(status: u16) -> Failure {
    match status {
        // The carrier's own trouble, which the next message would have too: credentials, money, too many at once, another
        // place. It says nothing of this message.
        300..=399 | 401..=403 | 408 | 429 | 503 => Failure::Unsent,
        400..=499 => Failure::Refused,
        // Something broke after the message was read, and nobody knows when.
        _ => Failure::Uncertain,
    }
}

/// The body of an answer that is no success, for the reason in it. None: it is longer than a reason.
#[cfg(any(feature = "sns", feature = "twilio", feature = "vonage"))]
pub(crate) async fn short_body(mut answer: reqwest::Response) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = answer.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_ANSWER {
            return None;
        }
    }
    Some(body)
}

#[cfg(any(feature = "sns", feature = "twilio", feature = "vonage"))]
const MAX_ANSWER: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_tells_whether_a_message_may_be_on_its_way() {
        for (statuses, wanted) in [
            (&[302, 401, 402, 403, 429, 503][..], Failure::Unsent),
            (&[400, 404, 422], Failure::Refused),
            (&[500, 502, 504, 199, 600], Failure::Uncertain),
        ] {
            for status in statuses {
                assert_eq!(failure_of_status(*status), wanted, "{status}");
            }
        }
    }
}
