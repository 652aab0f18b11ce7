//! Another contact in the place of one.

use crate::caller::Caller;
use crate::error::Fault;
use crate::factor::passwordless::DeviceId;
use crate::flow::contact::Contact;
use crate::flow::own::Role;
use crate::flow::readdress::{self, ContactOutcome};
use crate::flow::{CodeRefusal, SentCode};
use crate::hook::{Done, Step};
use crate::session::access::AccessClaims;
use crate::stepup::turn::{Told, signed_in};
use crate::stepup::{Stepup, other_step};

impl Stepup {
    /// Sends a code to `contact`, which is to take the place of one of the user behind `access`: of the one that signs in, or
    /// that the codes of the second factor go to, as `role` says. Where it says nothing it is the one that signs in, and with
    /// it the second factor's if it is the same; or the second factor's, if nothing signs in that way. Nothing changes yet.
    /// Whether the session may is for [`Stepup::admit_fresh`] to say.
    ///
    /// # Errors
    /// [`CodeRefusal`], as the inner error; it tells nothing of whose `contact` is. [`Fault`]: nothing is sent.
    ///
    /// # Source
    /// ASVS v5.0.0-7.5.1, 6.3.7; threat A-MFA-22.
    pub async fn change_contact(
        &self,
        caller: &Caller,
        access: &AccessClaims,
        contact: &Contact,
        role: Option<Role>,
    ) -> Result<Result<SentCode, CodeRefusal>, Fault> {
        let typed = contact.as_str().to_owned();
        let turn = self.turn(caller, Step::ChangeContact { contact: typed }).await?;
        let Step::ChangeContact { contact: typed } = turn.step() else {
            return Err(other_step());
        };
        let ask = async {
            // A hook may have changed it.
            match contact.retyped(typed) {
                Ok(contact) => readdress::ask(&self.parts, caller, access, &contact, role).await,
                Err(general) => Ok(Err(CodeRefusal::General(general))),
            }
        };
        turn.end(ask).await
    }

    /// Judges the answer `typed` to the challenge of such a code and, if it is right, puts the new contact in the place of the
    /// old one. Every other session ends; this one goes on by the tokens of the outcome, and no older refresh token. Access
    /// tokens of this session from before are believed until they expire, at most for their lifetime
    /// ([`SessionConfig::access`](crate::config::SessionConfig::access)). The contacts of before are told, with a link that
    /// undoes it. Without a second factor the leave is needed that the first of them needs
    /// ([`EnrollmentMode`](crate::policy::EnrollmentMode)). Whether the session may is for [`Stepup::admit_fresh`] to say.
    ///
    /// # Errors
    /// [`Fault`]: the contact is the old one, unless the answer of the store was lost.
    ///
    /// # Source
    /// ASVS v5.0.0-7.4.3, 7.5.1, 6.3.7; threats A-SES-10, A-MFA-22.
    pub async fn confirm_contact(
        &self,
        caller: &Caller,
        access: &AccessClaims,
        device: &DeviceId,
        typed: &str,
    ) -> Result<ContactOutcome, Fault> {
        let challenge = device.challenge();
        let turn = self.turn(caller, Step::ConfirmContact { challenge }).await?;
        turn.end(readdress::confirm(&self.parts, caller, access, device, typed))
            .await
    }
}

impl Told for ContactOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Changed(kept) => signed_in(kept),
            Self::Incorrect { .. } => Done::Refused("incorrect"),
            Self::Expired { .. } => Done::Refused("expired"),
            Self::Taken => Done::Refused("taken"),
            Self::Refused(refusal) => Done::Refused(refusal.word()),
        }
    }
}
