//! A new password, by a link.

use crate::caller::Caller;
use crate::error::Fault;
use crate::flow::reset::{self, ResetAsked, ResetOutcome};
use crate::hook::{Done, Step};
use crate::password::{Password, PasswordFault};
use crate::stepup::turn::Told;
use crate::stepup::{Stepup, other_step};

impl Stepup {
    /// Whether a forgotten password can be replaced here: passwords sign in, and there is a carrier of e-mail
    /// (`Builder::notices`).
    pub fn offers_resets(&self) -> bool {
        self.parts.password.is_some() && reset::carrier(&self.parts).is_some()
    }

    /// Sends a link that sets a new password to `email`, if it is the address of an account that may have one. Nothing that
    /// depends on the address is done before this returns, and nothing of it is told.
    ///
    /// # Errors
    /// [`Fault`]: nothing is sent.
    ///
    /// # Source
    /// OWASP Forgot Password; threats A-RST-05, A-RST-07, A-ENU-03.
    pub async fn ask_reset(&self, caller: &Caller, email: &str) -> Result<ResetAsked, Fault> {
        let email = email.to_owned();
        let turn = self.turn(caller, Step::AskReset { email }).await?;
        let Step::AskReset { email } = turn.step() else {
            return Err(other_step());
        };
        turn.end(reset::ask(&self.parts, caller, email)).await
    }

    /// Sets the password of the account behind `token`, and ends all that was signed in to it. It signs nobody in. `typed` is
    /// what [`Password::parse`] said: it is looked at only if the token is good.
    ///
    /// # Errors
    /// [`Fault`]: whether the token is spent by then, only its next use tells.
    ///
    /// # Source
    /// ASVS v5.0.0-6.4.1, 6.4.3, 7.4.3; threats A-RST-01, A-RST-02, A-RST-08, A-MFA-20.
    pub async fn reset_password(
        &self,
        caller: &Caller,
        token: &str,
        typed: Result<Password, PasswordFault>,
    ) -> Result<ResetOutcome, Fault> {
        let turn = self.turn(caller, Step::ResetPassword).await?;
        turn.end(reset::complete(&self.parts, caller, token, typed)).await
    }
}

impl Told for ResetAsked {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Accepted => Done::Granted,
            Self::Malformed => Done::Refused("malformed"),
            Self::Busy => Done::Refused("busy"),
            Self::NotOffered => Done::Refused("not_offered"),
        }
    }
}

impl Told for ResetOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Done => Done::Granted,
            Self::InvalidToken => Done::Refused("invalid_token"),
            Self::Password(_) => Done::Refused("password"),
        }
    }
}
