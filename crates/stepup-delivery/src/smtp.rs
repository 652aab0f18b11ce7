//! SMTP: e-mail by any mail server.

use std::fmt;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lettre::message::header::{ContentType, Header, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Mailbox, Message as Email};
use lettre::transport::smtp::Error as LettreError;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use percent_encoding::percent_decode_str;
use stepup_core::app::is_loopback;
use stepup_core::delivery::{Channel, Deliver, DeliveryError, Message};
use url::Url;

use crate::setup::{PATIENCE, SetupError, undelivered};
use crate::template::text;

/// Sends e-mail by a mail server, over a connection for each mail.
///
/// ```
/// # fn mail() -> Result<stepup_delivery::Smtp, stepup_delivery::SetupError> {
/// let mail = stepup_delivery::Smtp::new("smtps://user:password@mail.example.com", "Acme <no-reply@example.com>")?;
/// # Ok(mail)
/// # }
/// ```
///
/// # Source
/// RFC 5321; RFC 3207 (STARTTLS); RFC 8314 §3 (TLS from the start on port 465); RFC 3834 §5 (`Auto-Submitted`).
#[derive(Clone)]
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// Why the mail server did not take a message. It quotes neither address nor text, which servers like to repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmtpError {
    /// The address cannot be written into a mail.
    #[error("the message cannot be written as a mail")]
    Unwritable,
    /// The server cannot be reached, or not in time, or not over TLS.
    #[error("the mail server cannot be reached")]
    Unreachable,
    /// The server refused for now (4xx): a full mailbox, greylisting.
    #[error("the mail server refused for now")]
    Transient,
    /// The server refused for good (5xx).
    #[error("the mail server refused")]
    Permanent,
}

impl Smtp {
    /// Sends by the server at `url`, from `sender`, which is an address with or without a name.
    ///
    /// * `smtps://user:password@host:465`: TLS from the start.
    /// * `smtp://user:password@host:587`: STARTTLS, without which nothing is sent. On this machine a server without TLS will do.
    ///
    /// User and password are percent-encoded, and left out where the server asks for none.
    ///
    /// # Errors
    /// [`SetupError`], which does not quote the URL.
    pub fn new(url: &str, sender: &str) -> Result<Self, SetupError> {
        Self::build(url, sender, None)
    }

    /// The same for a server whose certificate was issued by an authority of one's own (PEM).
    ///
    /// # Errors
    /// As [`Smtp::new`]; a certificate that is none.
    pub fn trusting(url: &str, sender: &str, authority: &[u8]) -> Result<Self, SetupError> {
        let no_pem = || SetupError::new("the authority's certificate is no PEM");
        // Whatever holds none is read as an empty list.
        let text = std::str::from_utf8(authority).map_err(|_| no_pem())?;
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            return Err(no_pem());
        }
        let authority = Certificate::from_pem(authority).map_err(|_| no_pem())?;
        Self::build(url, sender, Some(authority))
    }

    fn build(url: &str, sender: &str, authority: Option<Certificate>) -> Result<Self, SetupError> {
        let Ok(from) = sender.parse() else {
            return Err(SetupError::new("the sender of mails is no address"));
        };
        let url = Url::parse(url).map_err(|_| SetupError::new("the mail server's address is no URL"))?;
        let Some(host) = url.host_str() else {
            return Err(SetupError::new("the mail server's address names no host"));
        };
        let mut tls = TlsParameters::builder(host.to_owned());
        if let Some(authority) = authority {
            tls = tls.add_root_certificate(authority);
        }
        let tls = tls
            .build()
            .map_err(|_| SetupError::new("there is no TLS for the mail server"))?;
        let (tls, port) = match url.scheme() {
            "smtps" => (Tls::Wrapper(tls), 465),
            "smtp" if is_loopback(url.as_str()) => (Tls::Opportunistic(tls), 587),
            "smtp" => (Tls::Required(tls), 587),
            _ => {
                return Err(SetupError::new(
                    "the mail server's address begins with smtps: or smtp:",
                ));
            }
        };
        let mut transport = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
            .port(url.port().unwrap_or(port))
            .tls(tls)
            .timeout(Some(PATIENCE));
        if let Some(password) = url.password() {
            transport = transport.credentials(Credentials::new(decoded(url.username())?, decoded(password)?));
        }
        Ok(Self {
            transport: transport.build(),
            from,
        })
    }

    fn write(&self, message: &Message) -> Result<Email, SmtpError> {
        let written = text(message);
        let to = message.to.parse().map_err(|_| SmtpError::Unwritable)?;
        let at = u64::try_from(message.at.as_ms()).unwrap_or_default();
        Email::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(written.subject)
            // The same message has the same id, should it be handed over twice.
            .message_id(Some(format!("<{}@{}>", message.id, self.from.email.domain())))
            .date(SystemTime::UNIX_EPOCH + Duration::from_millis(at))
            .header(MIME_VERSION_1_0)
            .header(AutoSubmitted)
            .header(ContentType::TEXT_PLAIN)
            .body(written.body)
            .map_err(|_| SmtpError::Unwritable)
    }

    async fn send(&self, message: &Message) -> Result<(), SmtpError> {
        let mail = self.write(message)?;
        match self.transport.send(mail).await {
            Ok(_) => Ok(()),
            Err(error) => Err(reason(&error)),
        }
    }
}

#[async_trait]
impl Deliver for Smtp {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Email
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        self.send(message).await.map_err(undelivered)
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
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

fn decoded(part: &str) -> Result<String, SetupError> {
    let text = percent_decode_str(part).decode_utf8();
    text.map(Into::into)
        .map_err(|_| SetupError::new("user and password of the mail server are no UTF-8"))
}

fn reason(error: &LettreError) -> SmtpError {
    if error.is_permanent() {
        SmtpError::Permanent
    } else if error.is_transient() {
        SmtpError::Transient
    } else {
        SmtpError::Unreachable
    }
}
