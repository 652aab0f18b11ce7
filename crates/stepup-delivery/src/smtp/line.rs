//! Connections to a mail server: opened, used, and kept for the next mail.
//!
//! The pool of the mail library starts tasks wherever one of its values is made or dropped, which panics outside of a
//! runtime, and an application makes its carriers in `main` and drops them after it. So there is one here, without tasks:
//! what was kept too long is dropped by the next who looks. It also tells a server that never got a mail from one that got it
//! and did not answer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::Error as LettreError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use tokio::time::{Instant, timeout, timeout_at};

use super::SmtpError;
use crate::setup::PATIENCE;

/// Where the mail server is, and how it is spoken to.
pub(super) struct Server {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) credentials: Option<Credentials>,
}

/// How a connection is made secret.
pub(super) enum Security {
    /// TLS from the first byte.
    Wrapped(TlsParameters),
    /// STARTTLS, or nothing.
    Required(TlsParameters),
    /// STARTTLS where it is offered: for servers on this machine.
    IfOffered(TlsParameters),
}

/// The connections to a server.
pub(super) struct Lines {
    server: Server,
    kept: Mutex<Vec<Kept>>,
}

struct Kept {
    line: AsyncSmtpConnection,
    since: Instant,
}

/// Connections that are kept, and how long: servers close idle ones after some minutes, and some after some seconds.
const KEEP: usize = 4;
const KEPT_FOR: Duration = Duration::from_secs(20);
/// What a kept connection may take to say that it still works, before a new one is opened.
const SIGN_OF_LIFE: Duration = Duration::from_millis(500);

impl Lines {
    pub(super) fn to(server: Server) -> Self {
        Self {
            server,
            kept: Mutex::default(),
        }
    }

    /// Sends a mail, by a kept connection if there is one.
    pub(super) async fn send(&self, envelope: &Envelope, mail: &[u8]) -> Result<(), SmtpError> {
        let deadline = Instant::now() + PATIENCE;
        let begun = timeout_at(deadline, async {
            let mut line = match self.kept().await {
                Some(line) => line,
                None => self.server.open().await?,
            };
            begin(&mut line, envelope, mail.is_ascii()).await?;
            Ok(line)
        });
        let mut line = begun.await.unwrap_or(Err(SmtpError::Unreachable))?;
        match timeout_at(deadline, line.message(mail)).await {
            Ok(Ok(_)) => {
                self.keep(line);
                Ok(())
            }
            Ok(Err(error)) => Err(refusal(&error).unwrap_or(SmtpError::Unanswered)),
            Err(_) => Err(SmtpError::Unanswered),
        }
    }

    /// A kept connection that still works.
    async fn kept(&self) -> Option<AsyncSmtpConnection> {
        loop {
            let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            let mut line = kept.line;
            let alive = kept.since.elapsed() < KEPT_FOR
                && timeout(SIGN_OF_LIFE, line.test_connected()).await == Ok(true);
            if alive {
                return Some(line);
            }
        }
    }

    fn keep(&self, line: AsyncSmtpConnection) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| kept.since.elapsed() < KEPT_FOR);
        if kept.len() < KEEP {
            let since = Instant::now();
            kept.push(Kept { line, since });
        }
    }
}

impl Server {
    async fn open(&self) -> Result<AsyncSmtpConnection, SmtpError> {
        let hello = ClientId::default();
        let wrapped = match &self.security {
            Security::Wrapped(tls) => Some(tls.clone()),
            Security::Required(_) | Security::IfOffered(_) => None,
        };
        let place = (self.host.as_str(), self.port);
        let opened = AsyncSmtpConnection::connect_tokio1(place, Some(PATIENCE), &hello, wrapped, None).await;
        let mut line = opened.map_err(|error| not_begun(&error))?;
        let upgrade = match &self.security {
            Security::Wrapped(_) => None,
            // Fails where it is not offered.
            Security::Required(tls) => Some(tls),
            Security::IfOffered(tls) => line.can_starttls().then_some(tls),
        };
        if let Some(tls) = upgrade {
            let upgraded = line.starttls(tls.clone(), &hello).await;
            upgraded.map_err(|_| SmtpError::Unreachable)?;
        }
        if let Some(credentials) = &self.credentials {
            let welcome = line.auth(DEFAULT_MECHANISMS, credentials).await;
            welcome.map_err(|error| match refusal(&error) {
                Some(SmtpError::Permanent) => SmtpError::Login,
                _ => not_begun(&error),
            })?;
        }
        Ok(line)
    }
}

/// Everything up to the mail itself: what fails here has sent nothing.
async fn begin(line: &mut AsyncSmtpConnection, envelope: &Envelope, ascii: bool) -> Result<(), SmtpError> {
    let mut parameters = Vec::new();
    let mut addresses = envelope.from().into_iter().chain(envelope.to());
    if addresses.any(|address| !AsRef::<str>::as_ref(address).is_ascii()) {
        if !line.server_info().supports_feature(Extension::SmtpUtfEight) {
            return Err(SmtpError::Permanent);
        }
        parameters.push(MailParameter::SmtpUtfEight);
    }
    if !ascii {
        parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
    }
    let from = Mail::new(envelope.from().cloned(), parameters);
    line.command(from).await.map_err(|error| not_begun(&error))?;
    for to in envelope.to() {
        let to = Rcpt::new(to.clone(), Vec::new());
        line.command(to).await.map_err(|error| not_begun(&error))?;
    }
    line.command(Data).await.map_err(|error| not_begun(&error))?;
    Ok(())
}

fn not_begun(error: &LettreError) -> SmtpError {
    refusal(error).unwrap_or(SmtpError::Unreachable)
}

/// What the server said, if it said no.
fn refusal(error: &LettreError) -> Option<SmtpError> {
    if error.is_permanent() {
        Some(SmtpError::Permanent)
    } else if error.is_transient() {
        Some(SmtpError::Transient)
    } else {
        None
    }
}
