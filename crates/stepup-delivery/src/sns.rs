//! AWS SNS: text messages by its `Publish` action.

mod signature;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::header::{CONTENT_TYPE, HOST};
use stepup_core::delivery::{Channel, Deliver, DeliveryError, Failure, Message};
use stepup_core::secret::Secret;
use url::Url;
use url::form_urlencoded::Serializer;

use crate::http::{client, endpoint, failure_of, failure_of_status, short_body};
use crate::setup::{SetupError, undelivered};
use crate::template::{Standard, Templates};
use signature::{Signed, sign};

/// Sends text messages by Amazon SNS, as transactional ones. A message that was not taken is not tried again here; see
/// [`FailOver`](crate::FailOver). SNS has no field that would keep it from sending the same message twice.
///
/// ```
/// # fn sms(secret: String) -> Result<stepup_delivery::Sns, stepup_delivery::SetupError> {
/// use stepup_delivery::{AwsKeys, Sns};
///
/// let sms = Sns::new("eu-west-1", AwsKeys::new("AKIAIOSFODNN7EXAMPLE", secret.into()))?.sender("Acme")?;
/// # Ok(sms)
/// # }
/// ```
///
/// # Source
/// Amazon SNS, API reference: `Publish`; "Signature Version 4 for API requests".
#[derive(Clone)]
pub struct Sns {
    client: reqwest::Client,
    url: Url,
    host: String,
    region: String,
    keys: Arc<dyn Fn() -> AwsKeys + Send + Sync>,
    sender: Option<Sender>,
    templates: Arc<dyn Templates>,
}

/// What requests to AWS are signed with.
#[derive(Clone, Debug)]
pub struct AwsKeys {
    id: String,
    secret: Secret<String>,
    token: Option<Secret<String>>,
}

/// Who a message comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sender {
    /// A name.
    Id(String),
    /// A number of ours.
    Number(String),
}

/// Why SNS did not take a message. It quotes neither number nor text.
#[derive(Debug, thiserror::Error)]
pub enum SnsError {
    /// Nobody answered, or not in time.
    #[error("sns cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// It refused. `code` is its own word for the reason, if it gave one.
    #[error("sns answered with status {status}, error {code:?}")]
    Refused {
        /// The status of the answer.
        status: u16,
        /// The error code of AWS.
        code: Option<String>,
    },
}

impl AwsKeys {
    /// The access key `id` (`AKIA…`) and its secret.
    pub fn new(id: &str, secret: Secret<String>) -> Self {
        Self {
            id: id.to_owned(),
            secret,
            token: None,
        }
    }

    /// With the session token that comes with keys of a role (`ASIA…`).
    #[must_use]
    pub fn with_token(mut self, token: Secret<String>) -> Self {
        self.token = Some(token);
        self
    }
}

impl Sns {
    /// Sends in `region`, signed with `keys`, which need `sns:Publish` and nothing else.
    ///
    /// # Errors
    /// [`SetupError`]: region or key are none.
    pub fn new(region: &str, keys: AwsKeys) -> Result<Self, SetupError> {
        Self::at(&format!("https://sns.{region}.amazonaws.com"), region, keys)
    }

    /// The same at another address: a private endpoint's, or a test's on this machine.
    ///
    /// # Errors
    /// As [`Sns::new`]; an address that is neither https nor on this machine.
    pub fn at(base: &str, region: &str, keys: AwsKeys) -> Result<Self, SetupError> {
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if region.is_empty() || !plain(region) {
            return Err(SetupError::new("an AWS region is like eu-west-1"));
        }
        if keys.id.is_empty() || !keys.id.bytes().all(|b| b.is_ascii_alphanumeric()) {
            return Err(SetupError::new(
                "the id of an AWS access key is made of letters and digits",
            ));
        }
        let mut url = endpoint(base)?;
        url.set_path("/");
        let host = url.host_str().unwrap_or_default();
        let host = url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Ok(Self {
            client: client(&url)?,
            url,
            host,
            region: region.to_owned(),
            keys: Arc::new(move || keys.clone()),
            sender: None,
            templates: Arc::new(Standard),
        })
    }

    /// Asks for the keys with every message: those of a role change every few hours. It must not block; whoever renews them
    /// does so beside.
    #[must_use]
    pub fn keys_from(mut self, keys: impl Fn() -> AwsKeys + Send + Sync + 'static) -> Self {
        self.keys = Arc::new(keys);
        self
    }

    /// Sends from a number in E.164 that the account owns, or with a sender id of up to eleven letters and digits, where the
    /// country allows one. Without this: whatever the account has been given.
    ///
    /// # Errors
    /// [`SetupError`]: neither.
    pub fn sender(mut self, sender: &str) -> Result<Self, SetupError> {
        let digits = sender.strip_prefix('+').unwrap_or_default();
        let is_number = (7..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        let is_id = (1..=11).contains(&sender.len())
            && sender.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && sender.bytes().any(|b| b.is_ascii_alphabetic());
        self.sender = Some(match (is_number, is_id) {
            (true, _) => Sender::Number(sender.to_owned()),
            (_, true) => Sender::Id(sender.to_owned()),
            _ => {
                return Err(SetupError::new(
                    "an SNS sender is a number like +15005550006, or up to 11 letters and digits",
                ));
            }
        });
        Ok(self)
    }

    /// Writes messages with other words.
    #[must_use]
    pub fn templates(mut self, templates: impl Templates) -> Self {
        self.templates = Arc::new(templates);
        self
    }

    fn form(&self, message: &Message) -> String {
        let mut form = Serializer::new(String::new());
        form.append_pair("Action", "Publish")
            .append_pair("Version", "2010-03-31")
            .append_pair("PhoneNumber", &message.to)
            .append_pair("Message", &self.templates.write(message).body);
        let sender = self.sender.as_ref().map(|sender| match sender {
            Sender::Id(id) => ("AWS.SNS.SMS.SenderID", id.as_str()),
            Sender::Number(number) => ("AWS.MM.SMS.OriginationNumber", number.as_str()),
        });
        let attributes = [Some(("AWS.SNS.SMS.SMSType", "Transactional")), sender];
        for (number, (name, value)) in (1..).zip(attributes.into_iter().flatten()) {
            let entry = format!("MessageAttributes.entry.{number}");
            form.append_pair(&format!("{entry}.Name"), name)
                .append_pair(&format!("{entry}.Value.DataType"), "String")
                .append_pair(&format!("{entry}.Value.StringValue"), value);
        }
        form.finish()
    }

    async fn send(&self, message: &Message) -> Result<(), (Failure, SnsError)> {
        let keys = (self.keys)();
        let body = self.form(message);
        let Signed { date, authorization } = sign(
            &keys,
            (&self.region, "sns"),
            &self.host,
            message.at,
            body.as_bytes(),
        );
        let mut request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, signature::FORM)
            .header(HOST, &self.host)
            .header("x-amz-date", date)
            .header("authorization", authorization);
        if let Some(token) = &keys.token {
            request = request.header("x-amz-security-token", token.expose());
        }
        let answer = request.body(body).send().await.map_err(|error| {
            let failure = failure_of(&error);
            (failure, SnsError::Unreachable(error.without_url()))
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let status = status.as_u16();
        let code = short_body(answer).await.and_then(|body| reason(&body));
        let failure = match code.as_deref() {
            // These come with status 400.
            Some("Throttled" | "Throttling" | "ThrottlingException") => Failure::Unsent,
            _ => failure_of_status(status),
        };
        Err((failure, SnsError::Refused { status, code }))
    }
}

#[async_trait]
impl Deliver for Sns {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Sms
    }

    fn name(&self) -> &'static str {
        "sns"
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let sent = self.send(message).await;
        sent.map_err(|(failure, error)| undelivered(failure, error))
    }
}

impl fmt::Debug for Sns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sns")
            .field("region", &self.region)
            .field("sender", &self.sender)
            .finish_non_exhaustive()
    }
}

/// The word in `<Code>`, if it is one. The sentence beside it is left alone: it quotes the number.
fn reason(body: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let (_, rest) = text.split_once("<Code>")?;
    let (code, _) = rest.split_once("</Code>")?;
    let is_word = (1..=64).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
    is_word.then(|| code.to_owned())
}
