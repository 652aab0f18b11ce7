//! Verification of an address, by a link.

use std::sync::Arc;

use crate::caller::Caller;
use crate::error::Fault;
use crate::flow::verify::{self, EmailStatus, VerificationAsked, VerifyOutcome};
use crate::hook::{Done, Step};
use crate::session::access::AccessClaims;
use crate::stepup::Stepup;
use crate::stepup::turn::Told;

impl Stepup {
    /// Whether addresses are verified here ([`Builder::email_verification`](crate::Builder::email_verification)).
    pub fn verifies_email(&self) -> bool {
        self.parts.verifies_email()
    }

    /// Sends a link to the address behind the session of `access`. A half-login may ask.
    ///
    /// # Errors
    /// [`Fault`]: nothing is sent.
    pub async fn ask_verification(
        &self,
        caller: &Caller,
        access: &Arc<AccessClaims>,
    ) -> Result<VerificationAsked, Fault> {
        let turn = self.turn(caller, Step::AskVerification).await?;
        turn.end(verify::ask(&self.parts, caller, access)).await
    }

    /// Verifies the address that `token` was sent to. It opens no session and completes no factor; `access` is told if it is
    /// the user's own.
    ///
    /// # Errors
    /// [`Fault`]: whether the token is spent by then, only its next use tells.
    ///
    /// # Source
    /// ASVS v5.0.0-6.4.3; threats A-MFA-21, A-CSR-05, A-CSR-08, A-OTP-19.
    pub async fn verify_email(
        &self,
        caller: &Caller,
        token: &str,
        access: Option<&Arc<AccessClaims>>,
    ) -> Result<VerifyOutcome, Fault> {
        let turn = self.turn(caller, Step::VerifyEmail).await?;
        let access = access.map(|access| &**access);
        turn.end(verify::verify(&self.parts, caller, token, access)).await
    }

    /// Whether the address behind the session of `access` is verified, as the user's row has it.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn email_status(&self, access: &Arc<AccessClaims>) -> Result<EmailStatus, Fault> {
        verify::status(&self.parts, access).await
    }
}

impl Told for VerificationAsked {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Sent(_) => Done::Granted,
            Self::AlreadyVerified(_) => Done::Refused("already_verified"),
            Self::Ended => Done::Refused("ended"),
            Self::Throttled(_) => Done::Refused("throttled"),
            Self::Busy => Done::Refused("busy"),
        }
    }
}

impl Told for VerifyOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Verified(_) => Done::Granted,
            Self::InvalidToken => Done::Refused("invalid_token"),
        }
    }
}
