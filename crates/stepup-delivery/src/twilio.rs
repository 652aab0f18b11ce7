//! Twilio: text messages by its Programmable Messaging API.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::CONTENT_TYPE;
use stepup_core::delivery::{Channel, Deliver, DeliveryError, Failure, Message};
use stepup_core::secret::Secret;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::http::{client, endpoint, failure_of, failure_of_status, short_body};
use crate::setup::{SetupError, undelivered};
use crate::template::{Standard, Templates};

/// Sends text messages by Twilio. A message that was not taken is not tried again here; see [`FailOver`](crate::FailOver).
/// Twilio has no field that would keep it from sending the same message twice.
///
/// ```
/// # fn sms(token: String) -> Result<stepup_delivery::Twilio, stepup_delivery::SetupError> {
/// let sms = stepup_delivery::Twilio::new("AC00000000000000000000000000000000", token.into(), "+15005550006")?;
/// # Ok(sms)
/// # }
/// ```
///
/// # Source
/// Twilio, "Messages resource": `POST /2010-04-01/Accounts/{sid}/Messages.json`.
#[derive(Clone)]
pub struct Twilio {
    client: reqwest::Client,
    url: Url,
    user: String,
    password: Secret<String>,
    sender: Sender,
    templates: Arc<dyn Templates>,
}

/// Who a message comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sender {
    /// A number of ours, or a name of up to eleven letters.
    From(String),
    /// A messaging service, which chooses among its numbers.
    Service(String),
}

/// Why Twilio did not take a message. It quotes neither number nor text.
#[derive(Debug, thiserror::Error)]
pub enum TwilioError {
    /// Nobody answered, or not in time.
    #[error("twilio cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It refused. `code` is its own number of the reason, if it gave one.
    #[error("twilio answered with status {status}, error {code:?}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// Twilio's error code.
        code: Option<u64>,
    },
}

impl Twilio {
    /// Sends as `account` (`AC…`), with its auth token, from `sender`: a number in E.164, a messaging service (`MG…`), or an
    /// alphanumeric sender id.
    ///
    /// # Errors
    /// [`SetupError`]: account or sender are none.
    pub fn new(account: &str, token: Secret<String>, sender: &str) -> Result<Self, SetupError> {
        Self::at("https://api.twilio.com", account, token, sender)
    }

    /// The same at another address: a region's, or a test's on this machine.
    ///
    /// # Errors
    /// As [`Twilio::new`]; an address that is neither https nor on this machine.
    pub fn at(base: &str, account: &str, token: Secret<String>, sender: &str) -> Result<Self, SetupError> {
        if !is_sid(account, "AC") {
            return Err(SetupError::new(
                "a Twilio account is AC and 32 hexadecimal digits",
            ));
        }
        let mut url = endpoint(base)?;
        url.set_path(&format!("/2010-04-01/Accounts/{account}/Messages.json"));
        Ok(Self {
            client: client(&url)?,
            url,
            user: account.to_owned(),
            password: token,
            sender: Sender::parse(sender)?,
            templates: Arc::new(Standard),
        })
    }

    /// Writes messages with other words.
    #[must_use]
    pub fn templates(mut self, templates: impl Templates) -> Self {
        self.templates = Arc::new(templates);
        self
    }

    /// Signs in by an API key (`SK…`) and its secret instead of the account's token: a key can be taken back by itself.
    #[must_use]
    pub fn api_key(mut self, key: &str, secret: Secret<String>) -> Self {
        key.clone_into(&mut self.user);
        self.password = secret;
        self
    }

    fn form(&self, message: &Message) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("To", &message.to);
        match &self.sender {
            Sender::From(from) => form.append_pair("From", from),
            Sender::Service(service) => form.append_pair("MessagingServiceSid", service),
        };
        form.append_pair("Body", &self.templates.write(message).body);
        if let Some(lifetime) = message.content.lifetime() {
            // A code that waited in a queue until it was dead only confuses whoever gets it.
            form.append_pair("ValidityPeriod", &lifetime.as_secs().max(1).to_string());
        }
        form.finish()
    }

    async fn send(&self, message: &Message) -> Result<(), (Failure, TwilioError)> {
        let request = self
            .client
            .post(self.url.clone())
            .basic_auth(&self.user, Some(self.password.expose()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.form(message));
        let answer = request.send().await.map_err(|error| {
            let failure = failure_of(&error);
            (failure, TwilioError::Unreachable(error.without_url()))
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let status = status.as_u16();
        let code = short_body(answer).await.and_then(|body| reason(&body));
        Err((failure_of_status(status), TwilioError::Refused { status, code }))
    }
}

#[async_trait]
impl Deliver for Twilio {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Sms
    }

    fn name(&self) -> &'static str {
        "twilio"
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let sent = self.send(message).await;
        sent.map_err(|(failure, error)| undelivered(failure, error))
    }
}

impl fmt::Debug for Twilio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Twilio")
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

impl Sender {
    fn parse(sender: &str) -> Result<Self, SetupError> {
        let is_number = sender.strip_prefix('+').is_some_and(|digits| {
            (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
        });
        let is_name = (1..=11).contains(&sender.len())
            && sender.bytes().all(|b| b.is_ascii_alphanumeric() || b == b' ')
            && sender.bytes().any(|b| b.is_ascii_alphabetic());
        if is_sid(sender, "MG") {
            Ok(Self::Service(sender.to_owned()))
        } else if is_number || is_name {
            Ok(Self::From(sender.to_owned()))
        } else {
            Err(SetupError::new(
                "a Twilio sender is a number like +15005550006, a service like MG…, or a name of up to 11 letters",
            ))
        }
    }
}

fn is_sid(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Twilio's number of the reason. Its sentence is left alone: it quotes the destination.
fn reason(body: &[u8]) -> Option<u64> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    body.get("code")?.as_u64()
}
