//! Contacts in normal form: an [`EmailAddress`] or a [`PhoneNumber`] in hand is a valid one.
//!
//! Input is parsed once, where it enters, and the normal form is used everywhere after: for look-up, for throttles, for
//! the message. Two spellings of one mailbox are then one string, and two strings are two mailboxes. What could be
//! read in two ways is refused, never guessed. Whether a contact belongs to anybody is not this module's affair.
//!
//! # Source
//! ASVS v5.0.0-1.1.1 and 2.2.1; threats A-INJ-06, A-INJ-07, A-INJ-08, A-RL-01, A-SMS-03, A-SMS-04.

mod email;
mod phone;

pub use email::EmailAddress;
pub use phone::{PhoneKind, PhoneNumber};

/// Why a text is no contact. Every variant is a plain "invalid" to the client; the difference is for the application's
/// own log and tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContactError {
    /// Nothing is left when blanks are trimmed.
    #[error("contact is empty")]
    Empty,
    /// Longer than any contact may be.
    #[error("contact is too long")]
    TooLong,
    /// A character that is invisible, steers the direction of text, or has a second spelling of its own.
    #[error("contact contains a character that is not accepted")]
    Character,
    /// The parts are not where they belong.
    #[error("contact is malformed")]
    Malformed,
    /// The domain is none (IDNA, RFC 1123), or has a single label.
    #[error("domain is not valid")]
    Domain,
    /// It could be read as more than one number: a trunk zero in brackets, an extension, no country code.
    #[error("phone number is ambiguous")]
    Ambiguous,
    /// No numbering plan knows such a number.
    #[error("phone number is not assigned to any numbering plan")]
    Unassigned,
}

/// What marks the omitted part of a masked contact.
const ELLIPSIS: char = '…';
