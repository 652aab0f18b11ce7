//! Signing keys as stored: the private part is sealed, the key's id is its associated data.

use crate::id::KeyId;
use crate::time::Timestamp;

/// A stored signing key.
#[derive(Clone, Debug)]
pub struct SigningKeyRecord {
    /// The `kid`.
    pub id: KeyId,
    /// `ES256`, `RS256` or `EdDSA`.
    pub algorithm: String,
    /// The private key in PKCS #8, sealed by the keyring.
    pub sealed: Vec<u8>,
    /// When the key was made. It is published at once and signs after the publication delay.
    pub created_at: Timestamp,
    /// When it signs no more.
    pub signs_until: Timestamp,
    /// When it verifies no more, and may be deleted.
    pub verifies_until: Timestamp,
    /// The rotation interval that it serves; unique, so that of several nodes that rotate at once one wins.
    pub slot: i64,
}
