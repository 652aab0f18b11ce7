//! Factors: one a file. Each holds what decides whether an answer is right; what follows from it is `flow`'s affair.

pub mod password;
pub mod passwordless;
pub mod third_party;

/// A factor that the builder takes.
#[derive(Debug)]
#[non_exhaustive]
pub enum Part {
    /// E-mail and password.
    Password(password::Password),
    /// One-time codes.
    Passwordless(passwordless::Passwordless),
    /// Providers of identities.
    ThirdParty(third_party::ThirdParty),
}

impl From<password::Password> for Part {
    fn from(factor: password::Password) -> Self {
        Self::Password(factor)
    }
}

impl From<passwordless::Passwordless> for Part {
    fn from(factor: passwordless::Passwordless) -> Self {
        Self::Passwordless(factor)
    }
}

impl From<third_party::ThirdParty> for Part {
    fn from(factor: third_party::ThirdParty) -> Self {
        Self::ThirdParty(factor)
    }
}
