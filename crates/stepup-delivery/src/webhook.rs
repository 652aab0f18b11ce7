//! A signed webhook: hands messages to a service of the application's own, which sends them by whatever it has.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;
use sha2::Sha256;
use stepup_core::delivery::{Channel, Deliver, DeliveryError, Failure, Language, Message};
use stepup_core::secret::Secret;
use url::Url;

use crate::http::{client, endpoint, failure_of, failure_of_status};
use crate::setup::{SetupError, undelivered};
use crate::template::{Standard, Templates};

/// Posts each message as JSON: `id`, `channel` (`sms`, `email`), `to`, `kind`, `language`, `subject`, `text`, and `html` of an
/// e-mail.
///
/// * `Idempotency-Key` is the message's id: the same id is the same message.
/// * `Stepup-Signature: t=…,v1=…` is the time in seconds, and HMAC-SHA-256 in hexadecimal over that time, a dot, and the body. The receiver compares it in
///   constant time, and refuses what is older than a few minutes.
/// * Any answer of 2xx means taken; a redirect does not, and is not followed.
#[derive(Clone)]
pub struct Webhook {
    client: reqwest::Client,
    url: Url,
    key: Secret<Vec<u8>>,
    only: Option<Channel>,
    templates: Arc<dyn Templates>,
}

/// Why the receiver did not take a message. It quotes nothing of it.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Nobody answered, or not in time.
    #[error("the webhook cannot be reached")]
    Unreachable(#[source] reqwest::Error),
    /// An answer other than 2xx.
    #[error("the webhook answered with status {0}")]
    Status(u16),
}

impl Webhook {
    /// Posts to `url`, signed with `key`, which has at least 32 bytes.
    ///
    /// # Errors
    /// [`SetupError`]: a short key, or an address that is neither https nor on this machine.
    pub fn new(url: &str, key: Secret<Vec<u8>>) -> Result<Self, SetupError> {
        if key.expose().len() < 32 {
            return Err(SetupError::new("the key of a webhook has at least 32 bytes"));
        }
        let url = endpoint(url)?;
        Ok(Self {
            client: client(&url)?,
            url,
            key,
            only: None,
            templates: Arc::new(Standard),
        })
    }

    /// Carries messages of this channel alone.
    #[must_use]
    pub fn only(mut self, channel: Channel) -> Self {
        self.only = Some(channel);
        self
    }

    /// Writes messages with other words.
    #[must_use]
    pub fn templates(mut self, templates: impl Templates) -> Self {
        self.templates = Arc::new(templates);
        self
    }

    async fn post(&self, message: &Message) -> Result<(), (Failure, WebhookError)> {
        let written = self.templates.write(message);
        let body = Body {
            id: &message.id,
            channel: message.channel,
            to: &message.to,
            kind: written.kind,
            language: message.language,
            subject: &written.subject,
            text: &written.body,
            html: written.html.as_deref(),
        };
        // Strings and an enum: there is nothing in it that JSON cannot say.
        let body = serde_json::to_vec(&body).unwrap_or_default();
        let signature = sign(self.key.expose(), message.at.as_ms() / 1000, &body);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", &message.id)
            .header("stepup-signature", signature)
            .body(body);
        let answer = request.send().await.map_err(|error| {
            let failure = failure_of(&error);
            (failure, WebhookError::Unreachable(error.without_url()))
        })?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let status = status.as_u16();
        Err((failure_of_status(status), WebhookError::Status(status)))
    }
}

#[async_trait]
impl Deliver for Webhook {
    fn carries(&self, channel: Channel) -> bool {
        self.only.is_none_or(|only| only == channel)
    }

    fn name(&self) -> &'static str {
        "webhook"
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let sent = self.post(message).await;
        sent.map_err(|(failure, error)| undelivered(failure, error))
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Body<'a> {
    id: &'a str,
    channel: Channel,
    to: &'a str,
    kind: &'a str,
    language: Language,
    subject: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    html: Option<&'a str>,
}

/// The header's value for a body that is sent at `at`, in seconds.
fn sign(key: &[u8], at: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(format!("{at}.").as_bytes());
    mac.update(body);
    let digest = mac.finalize().into_bytes();
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("t={at},v1={digest}")
}
