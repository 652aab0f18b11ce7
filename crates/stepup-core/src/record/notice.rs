//! Notices: messages about security that must not be lost, written by the verb that causes them.

use crate::id::{NoticeId, TenantId, UserId};
use crate::time::Timestamp;

/// A notice as stored. It is drained in the background and deleted once delivered or given up.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Its id.
    pub id: NoticeId,
    /// The tenant of its user.
    pub tenant: TenantId,
    /// Whom it concerns.
    pub user: UserId,
    /// The message (address and text variables), sealed by the keyring with the id as associated data.
    pub sealed: Vec<u8>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it may be taken next; taking it moves this moment, so that two nodes do not send it at once.
    pub due_at: Timestamp,
    /// How often it was taken.
    pub tries: u32,
}
