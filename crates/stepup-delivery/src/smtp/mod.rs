//! SMTP: e-mail by any mail server.

mod line;
mod mail;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, TlsParameters};
use percent_encoding::percent_decode_str;
use stepup_core::app::is_loopback;
use stepup_core::delivery::{Channel, Deliver, DeliveryError, Failure, Message};
use url::Url;

use crate::setup::{SetupError, undelivered};
use crate::template::{Standard, Templates};
use line::{Lines, Security, Server};

/// Sends e-mail by a mail server. A few connections are kept for the next mails, for 20 seconds each.
///
/// ```
/// # fn mail() -> Result<stepup_delivery::Smtp, stepup_delivery::SetupError> {
/// let mail = stepup_delivery::Smtp::new("smtps://user:password@mail.example.com", "Acme <no-reply@example.com>")?;
/// # Ok(mail)
/// # }
/// ```
///
/// # Source
/// RFC 5321; RFC 3207 (STARTTLS); RFC 8314 §3 (TLS from the start on port 465); RFC 3834 §5 (`Auto-Submitted`); RFC 2046
/// §5.1.4 (`multipart/alternative`).
#[derive(Clone)]
pub struct Smtp {
    lines: Arc<Lines>,
    from: Mailbox,
    templates: Arc<dyn Templates>,
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
    /// The server does not let us in.
    #[error("the mail server refused user or password")]
    Login,
    /// The server refused for now (4xx): a full mailbox, greylisting.
    #[error("the mail server refused for now")]
    Transient,
    /// The server refused for good (5xx).
    #[error("the mail server refused")]
    Permanent,
    /// The server was given the mail, and did not say that it took it: it may have.
    #[error("the mail server did not confirm")]
    Unanswered,
}

impl SmtpError {
    fn failure(self) -> Failure {
        match self {
            Self::Unreachable | Self::Login | Self::Transient => Failure::Unsent,
            Self::Unwritable | Self::Permanent => Failure::Refused,
            Self::Unanswered => Failure::Uncertain,
        }
    }
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

    /// Writes mails with other words.
    #[must_use]
    pub fn templates(mut self, templates: impl Templates) -> Self {
        self.templates = Arc::new(templates);
        self
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
        let (security, port) = match url.scheme() {
            "smtps" => (Security::Wrapped(tls), 465),
            "smtp" if is_loopback(url.as_str()) => (Security::IfOffered(tls), 587),
            "smtp" => (Security::Required(tls), 587),
            _ => {
                return Err(SetupError::new(
                    "the mail server's address begins with smtps: or smtp:",
                ));
            }
        };
        let credentials = match url.password() {
            Some(password) => Some(Credentials::new(decoded(url.username())?, decoded(password)?)),
            None => None,
        };
        let server = Server {
            host: host.to_owned(),
            port: url.port().unwrap_or(port),
            security,
            credentials,
        };
        Ok(Self {
            lines: Arc::new(Lines::to(server)),
            from,
            templates: Arc::new(Standard),
        })
    }

    async fn send(&self, message: &Message) -> Result<(), SmtpError> {
        let mail = mail::write(message, self.templates.write(message), &self.from)?;
        self.lines.send(mail.envelope(), &mail.formatted()).await
    }
}

#[async_trait]
impl Deliver for Smtp {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Email
    }

    fn name(&self) -> &'static str {
        "smtp"
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let sent = self.send(message).await;
        sent.map_err(|error| undelivered(error.failure(), error))
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp")
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}

fn decoded(part: &str) -> Result<String, SetupError> {
    let text = percent_decode_str(part).decode_utf8();
    text.map(Into::into)
        .map_err(|_| SetupError::new("user and password of the mail server are no UTF-8"))
}
