//! Faults: what broke under us, and what the application's hooks stopped. A refusal of ours (the caller may not) is never
//! a fault, and every fault denies.

use crate::entropy::EntropyError;

/// A boxed source of an error.
pub type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// Why a store did not do what it was asked. Whatever the reason, the caller denies (ASVS v5.0.0-16.5.3).
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database is gone, locked, full, or too slow. Trying again later may help.
    #[error("store unavailable")]
    Unavailable(#[source] Source),
    /// A row does not read as what it should be.
    #[error("stored record is malformed: {0}")]
    Malformed(&'static str),
    /// A fresh id clashed, or a statement met a state its caller excludes.
    #[error("store refused a write: {0}")]
    Conflict(&'static str),
    /// The tables are missing, or are not those of this version.
    #[error("store is not migrated: {0}")]
    Schema(&'static str),
}

/// What broke under an operation. Clients see a plain 503 or 500; the log sees the source.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The store failed.
    #[error("store failed")]
    Store(#[from] StoreError),
    /// No randomness.
    #[error("randomness failed")]
    Entropy(#[from] EntropyError),
    /// A key is missing, or what it sealed does not open.
    #[error("key failed: {0}")]
    Key(&'static str),
    /// A service that verifies elsewhere has no keys that are fresh enough.
    #[error("no fresh keys to verify by")]
    NoKeys,
    /// The pool that hashes passwords is full (threat A-RES-03).
    #[error("too busy")]
    Busy,
    /// A part of the application (delivery, directory, claim, hook) failed.
    #[error("a part of the application failed")]
    Part(#[source] Source),
    /// A hook of the application refused. The text is for the user, and for nobody's log.
    #[error("refused by a hook of the application")]
    Vetoed(String),
    /// A hook of the application asks for a session, and the call has none that lives.
    #[error("a hook of the application asks for a session")]
    NeedsSession,
}
