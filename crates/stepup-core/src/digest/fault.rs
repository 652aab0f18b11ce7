//! Why a stored hash is not verified.

/// What is wrong with the text of a hash. It holds nothing of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashFault {
    /// Of no format that is known here.
    #[error("the format of the hash is not known")]
    Unknown,
    /// Of a known format, and broken.
    #[error("the hash is malformed")]
    Malformed,
    /// To verify it would cost more than a sign-in may.
    #[error("the hash is too costly to verify")]
    TooCostly,
    /// Made by a Firebase project whose key is neither in the text nor configured.
    #[error("the signer key of the Firebase project is missing")]
    NoSignerKey,
}
