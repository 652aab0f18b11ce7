//! Vonage: text messages by its Messages API.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use stepup_core::delivery::{Channel, Deliver, DeliveryError, Failure, Message};
use stepup_core::secret::Secret;
use url::Url;

use crate::http::{client, endpoint, failure_of, failure_of_status, short_body};
use crate::setup::{SetupError, undelivered};
use crate::template::{Standard, Templates};

/// Sends text messages by Vonage. A message that was not taken is not tried again here; see [`FailOver`](crate::FailOver).
///
/// The message's id is sent as `client_ref`: it is in every report of Vonage's, but does not keep it from sending twice.
///
/// ```
/// # fn sms(secret: String) -> Result<stepup_delivery::Vonage, stepup_delivery::SetupError> {
/// let sms = stepup_delivery::Vonage::new("abcd1234", secret.into(), "Acme")?;
/// # Ok(sms)
/// # }
/// ```
///
/// # Source
/// Vonage, "Messages API", version 1: `POST /v1/messages`, channel `sms`, basic authentication.
#[derive(Clone)]
pub struct Vonage {
    client: reqwest::Client,
    url: Url,
    key: String,
    secret: Secret<String>,
    from: String,
    templates: Arc<dyn Templates>,
}

/// Why Vonage did not take a message. It quotes neither number nor text.
#[derive(Debug, thiserror::Error)]
pub enum VonageError {
    /// Nobody answered, or not in time.
    #[error("vonage cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It refused. `code` is its own number of the reason, if it gave one.
    #[error("vonage answered with status {status}, error {code:?}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// Vonage's error code.
        code: Option<u64>,
    },
}

impl Vonage {
    /// Sends for the account of `key` and its secret, from `sender`: a number in E.164, or a name of up to eleven letters where
    /// the country allows one.
    ///
    /// # Errors
    /// [`SetupError`]: key or sender are none.
    pub fn new(key: &str, secret: Secret<String>, sender: &str) -> Result<Self, SetupError> {
        Self::at("https://api.nexmo.com", key, secret, sender)
    }

    /// The same at another address: a region's, such as `https://api-eu.vonage.com`, or a test's on this machine.
    ///
    /// # Errors
    /// As [`Vonage::new`]; an address that is neither https nor on this machine.
    pub fn at(base: &str, key: &str, secret: Secret<String>, sender: &str) -> Result<Self, SetupError> {
        if key.is_empty() || !key.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(SetupError::new("a Vonage API key is made of letters and digits"));
        }
        let mut url = endpoint(base)?;
        url.set_path("/v1/messages");
        Ok(Self {
            client: client(&url)?,
            url,
            key: key.to_owned(),
            secret,
            from: from(sender)?,
            templates: Arc::new(Standard),
        })
    }

    /// Writes messages with other words.
    #[must_use]
    pub fn templates(mut self, templates: impl Templates) -> Self {
        self.templates = Arc::new(templates);
        self
    }

    async fn send(&self, message: &Message) -> Result<(), (Failure, VonageError)> {
        let text = self.templates.write(message).body;
        let body = Body {
            message_type: "text",
            channel: "sms",
            to: message.to.trim_start_matches('+'),
            from: &self.from,
            text: &text,
            client_ref: &message.id,
            // A code that waited for its phone until it was dead only confuses whoever gets it.
            ttl: message
                .content
                .lifetime()
                .map(|lifetime| lifetime.as_secs().max(1)),
        };
        // Strings and a number: there is nothing in it that JSON cannot say.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let request = self
            .client
            .post(self.url.clone())
            .basic_auth(&self.key, Some(self.secret.expose()))
            .header(CONTENT_TYPE, "application/json")
            .body(body);
        let answer = request.send().await.map_err(|error| {
            let failure = failure_of(&error);
            (failure, VonageError::Unreachable(error.without_url()))
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let status = status.as_u16();
        let code = short_body(answer).await.and_then(|body| reason(&body));
        Err((failure_of_status(status), VonageError::Refused { status, code }))
    }
}

#[async_trait]
impl Deliver for Vonage {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Sms
    }

    fn name(&self) -> &'static str {
        "vonage"
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let sent = self.send(message).await;
        sent.map_err(|(failure, error)| undelivered(failure, error))
    }
}

impl fmt::Debug for Vonage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vonage")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    message_type: &'a str,
    channel: &'a str,
    to: &'a str,
    from: &'a str,
    text: &'a str,
    client_ref: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<u64>,
}

/// The sender as Vonage writes it: a number without its plus, or a name.
fn from(sender: &str) -> Result<String, SetupError> {
    let digits = sender.strip_prefix('+');
    let is_number = digits
        .is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()));
    let is_name = (1..=11).contains(&sender.len())
        && sender.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ')
        && sender.bytes().any(|b| b.is_ascii_alphabetic());
    match digits {
        Some(digits) if is_number => Ok(digits.to_owned()),
        _ if is_name => Ok(sender.to_owned()),
        _ => Err(SetupError::new(
            "a Vonage sender is a number like +15005550006, or a name of up to 11 letters",
        )),
    }
}

/// Vonage's number of the reason: the fragment of the error's `type`. Its sentences are left alone: they may quote.
fn reason(body: &[u8]) -> Option<u64> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let (_, number) = body.get("type")?.as_str()?.rsplit_once('#')?;
    number.parse().ok()
}
