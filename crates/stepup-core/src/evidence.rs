//! Evidence: what a verified factor proves, and when.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::FactorId;
use crate::time::Timestamp;

/// The three kinds of factors (NIST SP 800-63-4). Two of one kind are one factor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Something the user knows.
    Knowledge,
    /// Something the user has.
    Possession,
    /// Something the user is.
    Inherence,
}

/// A factor that was completed in a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Completion {
    /// When.
    pub at: Timestamp,
    /// Its kind.
    pub kind: Kind,
    /// The channel it came by, where it has one: a digest of the address, never the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// Whether it opened the session. The factor that did never counts as a second one (R-MFA-6).
    #[serde(default, skip_serializing_if = "is_false")]
    pub first: bool,
    /// Whether the account was made with it, in this session.
    #[serde(default, skip_serializing_if = "is_false")]
    pub signed_up: bool,
}

// The reference is serde's wish.
fn is_false(value: &bool) -> bool {
    !*value
}

/// The factors completed in a session, by id. Kept in the session's row; nothing from a request can add to it.
pub type Completed = BTreeMap<FactorId, Completion>;

/// What verifying a factor proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The factor.
    pub factor: FactorId,
    /// The entry for the session's record.
    pub completion: Completion,
}
