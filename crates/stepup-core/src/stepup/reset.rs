//! A new password, by a link or by the present one.

use crate::caller::Caller;
use crate::error::Fault;
use crate::flow::change::{self, ChangeOutcome};
use crate::flow::reset::{self, ResetAsked, ResetOutcome};
use crate::hook::{Done, Step};
use crate::password::{Password, PasswordFault};
use crate::session::access::AccessClaims;
use crate::stepup::turn::{Told, signed_in};
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

    /// Changes the password of the user behind `access`, who knows the present one: none is none that anybody can have.
    /// Every other session ends; this one goes on by the tokens of the outcome, and no older refresh token. Access tokens of
    /// this session from before are believed until they expire, at most for their lifetime
    /// ([`SessionConfig::access`](crate::config::SessionConfig::access)). Whether the session may is for
    /// [`Stepup::admit_fresh`] to say. `typed` is what [`Password::parse`] said of the new one: it is looked at only if
    /// the present one is right.
    ///
    /// # Errors
    /// [`Fault`]: the password is the old one, unless the answer of the store was lost.
    ///
    /// # Source
    /// ASVS v5.0.0-6.2.3, 7.4.3; threats A-SES-09, A-STU-10.
    pub async fn change_password(
        &self,
        caller: &Caller,
        access: &AccessClaims,
        current: Option<Password>,
        typed: Result<Password, PasswordFault>,
    ) -> Result<ChangeOutcome, Fault> {
        let turn = self.turn(caller, Step::ChangePassword).await?;
        turn.end(change::change(&self.parts, caller, access, current, typed))
            .await
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

impl Told for ChangeOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Changed(kept) => signed_in(kept),
            Self::WrongPassword => Done::Refused("wrong_password"),
            Self::Password(_) => Done::Refused("password"),
            Self::Throttled(_) => Done::Refused("throttled"),
            Self::Ended => Done::Refused("ended"),
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
