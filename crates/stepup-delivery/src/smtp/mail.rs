//! A message as a mail.

use std::time::{Duration, SystemTime};

use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Mailbox, Message as Email, MultiPart};
use stepup_core::delivery::Message;

use super::SmtpError;
use crate::template::Text;

/// Writes a mail: the text alone, or with its HTML beside it.
pub(super) fn write(message: &Message, written: Text, from: &Mailbox) -> Result<Email, SmtpError> {
    let to = message.to.parse().map_err(|_| SmtpError::Unwritable)?;
    let at = u64::try_from(message.at.as_ms()).unwrap_or_default();
    let mail = Email::builder()
        .from(from.clone())
        .to(Mailbox::new(None, to))
        .subject(written.subject)
        // The same message has the same id, should it be handed over twice.
        .message_id(Some(format!("<{}@{}>", message.id, from.email.domain())))
        .date(SystemTime::UNIX_EPOCH + Duration::from_millis(at))
        .header(MIME_VERSION_1_0)
        .header(AutoSubmitted);
    let mail = match written.html {
        Some(html) => mail.multipart(MultiPart::alternative_plain_html(written.body, html)),
        None => mail.header(ContentType::TEXT_PLAIN).body(written.body),
    };
    mail.map_err(|_| SmtpError::Unwritable)
}

/// Tells mail programs not to answer by themselves.
#[derive(Clone, Copy, Debug)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}
