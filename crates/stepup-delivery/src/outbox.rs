//! The outbox: keeps messages in memory, for demos and tests that read the code from it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde::Serialize;
use stepup_core::delivery::{Channel, Content, Deliver, DeliveryError, Language, Message, NoticeKind};

use crate::template::text;

/// How many messages are kept; the oldest go first.
const KEEP: usize = 10_000;

/// Keeps messages in memory. Clones share them.
#[derive(Clone, Default)]
pub struct Outbox {
    sent: Arc<Mutex<VecDeque<Sent>>>,
}

/// A message that was handed over.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// The message's id.
    pub id: String,
    /// `sms` or `email`.
    pub channel: Channel,
    /// The address.
    pub to: String,
    /// `code`, or the kind of the notice.
    pub kind: &'static str,
    /// The code, if it carries one.
    pub code: Option<String>,
    /// The link, if it carries one.
    pub link: Option<String>,
    /// The language that it was to be written in.
    pub language: Language,
    /// The text.
    pub body: String,
    /// When it was handed over, in milliseconds.
    pub sent_at: i64,
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}

impl Outbox {
    /// An empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// The messages, oldest first.
    pub fn sent(&self) -> Vec<Sent> {
        self.lock().iter().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Deliver for Outbox {
    fn carries(&self, _channel: Channel) -> bool {
        true
    }

    fn reveals_codes(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "outbox"
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        let text = text(message);
        let (code, link) = match &message.content {
            Content::Code { code, .. } => (Some(code), None),
            Content::Link { url, code, .. } => (code.as_ref(), Some(url)),
            Content::Reset { url, .. } | Content::Verify { url, .. } | Content::Confirm { url, .. } => {
                (None, Some(url))
            }
            _ => (None, None),
        };
        let in_notice = match &message.content {
            Content::Notice(NoticeKind::AccountMade { verify, .. }) => verify.as_ref(),
            Content::Notice(
                NoticeKind::FactorAdded { undo, .. }
                | NoticeKind::ContactChanged { undo, .. }
                | NoticeKind::IdentityLinked { undo, .. },
            ) => undo.as_ref(),
            _ => None,
        };
        let shown = |secret: &stepup_core::secret::Secret<String>| secret.expose().clone();
        let mut sent = self.lock();
        if sent.len() == KEEP {
            sent.pop_front();
        }
        sent.push_back(Sent {
            id: message.id.clone(),
            channel: message.channel,
            to: message.to.clone(),
            kind: text.kind,
            code: code.map(shown),
            link: link
                .map(shown)
                .or_else(|| in_notice.map(|link| link.expose().to_owned())),
            language: message.language,
            body: text.body,
            sent_at: message.at.as_ms(),
        });
        Ok(())
    }
}
