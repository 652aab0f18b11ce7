//! Sign-in and sign-up by a code or a link to a contact.

use crate::delivery::Channel;
use crate::error::Fault;
use crate::factor::passwordless::{DeviceId, Role};
use crate::flow::contact::Contact;
use crate::flow::first::{self, FirstOutcome, FirstRefusal, OpenedBy, SentFirst};
use crate::flow::pending::{self, Device};
use crate::flow::{Caller, Exists, General};
use crate::hook::{Done, Step};
use crate::id::{ChallengeId, TenantId};
use crate::secret::Secret;
use crate::stepup::turn::{Told, signed_in};
use crate::stepup::{Stepup, other_step};

impl Stepup {
    /// What codes are good for here; none if they are not on offer.
    pub fn codes(&self) -> Option<Role> {
        self.parts.passwordless.as_ref()?.role()
    }

    /// What codes by `channel` are good for here; none if they are not on offer.
    pub fn codes_by(&self, channel: Channel) -> Option<Role> {
        let way = self.parts.passwordless.as_ref()?.way(channel)?;
        Some(way.role)
    }

    /// Whether contacts of `channel` sign in, in any tenant.
    pub fn signs_in_by(&self, channel: Channel) -> bool {
        let factor = self.parts.passwordless.as_ref();
        factor.is_some_and(|factor| factor.first(channel).is_some())
    }

    /// Whether a challenge is one that signs in, and not one of a second factor. Unknown ones are none.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn is_first_code(&self, caller: &Caller, challenge: &ChallengeId) -> Result<bool, Fault> {
        let found = pending::open_challenge(&self.parts, &caller.tenant, challenge).await?;
        Ok(found.is_some())
    }

    /// Sends a code or a link that signs in, or up, by `contact`. It tells nothing about the contact.
    ///
    /// # Errors
    /// [`FirstRefusal`], as the inner error; [`Fault`].
    pub async fn create_first_code(
        &self,
        caller: &Caller,
        contact: &Contact,
    ) -> Result<Result<SentFirst, FirstRefusal>, Fault> {
        let typed = contact.as_str().to_owned();
        let turn = self.turn(caller, Step::CreateCode { contact: typed }).await?;
        let Step::CreateCode { contact: typed } = turn.step() else {
            return Err(other_step());
        };
        let create = async {
            // A hook may have changed it.
            match contact.retyped(typed) {
                Ok(contact) => first::create(&self.parts, caller, &contact).await,
                Err(general) => Ok(Err(FirstRefusal::General(general))),
            }
        };
        turn.end(create).await
    }

    /// Sends one more message of the challenge behind `device`.
    ///
    /// # Errors
    /// [`FirstRefusal`], as the inner error; [`Fault`].
    pub async fn resend_first_code(
        &self,
        caller: &Caller,
        device: &DeviceId,
    ) -> Result<Result<(), FirstRefusal>, Fault> {
        let challenge = device.challenge();
        let turn = self.turn(caller, Step::ResendCode { challenge }).await?;
        turn.end(first::resend(&self.parts, caller, device)).await
    }

    /// Signs in, or up, by a code or a link. A second factor that the policy demands is still due.
    ///
    /// # Errors
    /// [`Fault`]: no session was opened.
    pub async fn consume_first_code(
        &self,
        caller: &Caller,
        opened: OpenedBy<'_>,
    ) -> Result<FirstOutcome, Fault> {
        let challenge = match opened {
            OpenedBy::Code { device, .. } => device.challenge(),
            OpenedBy::Link { challenge, .. } => challenge.clone(),
        };
        let turn = self.turn(caller, Step::ConsumeCode { challenge }).await?;
        turn.end(first::consume(&self.parts, caller, opened)).await
    }

    /// Whether `typed` would be right now. It does not spend the code, but one of the tries of its challenge, the last of
    /// which ends it; and it counts as a try to sign in.
    ///
    /// # Errors
    /// Too many tries, as the inner error; [`Fault`].
    pub async fn check_first_code(
        &self,
        caller: &Caller,
        device: &DeviceId,
        typed: &str,
    ) -> Result<Result<bool, General>, Fault> {
        let challenge = device.challenge();
        let turn = self.turn(caller, Step::CheckCode { challenge }).await?;
        turn.end(first::check(&self.parts, caller, device, typed)).await
    }

    /// The code in a link, to be shown where it was opened and typed in where it was asked for. None if the link is not, or
    /// no longer, one of ours, or has no code. It spends nothing.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn code_of_link(
        &self,
        caller: &Caller,
        challenge: &ChallengeId,
        secret: &str,
    ) -> Result<Option<Secret<String>>, Fault> {
        first::shown(&self.parts, caller, challenge, secret).await
    }

    /// Whom a link signs in: the contact that it was sent to, in normal form, for the page that asks before it does. None if
    /// the link is not, or no longer, one of ours. It spends nothing.
    ///
    /// Whoever opens somebody else's link would otherwise sign in to that account without knowing it (threats A-CSR-05,
    /// A-OTP-18).
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn contact_of_link(
        &self,
        caller: &Caller,
        challenge: &ChallengeId,
        secret: &str,
    ) -> Result<Option<String>, Fault> {
        first::addressee(&self.parts, caller, challenge, secret).await
    }

    /// Signs in the account of `contact`, or makes one, without a code: for an application that proved the contact by
    /// itself. Never call it with what a stranger typed.
    ///
    /// # Errors
    /// [`Fault`]: no session was opened.
    pub async fn sign_in_up(&self, caller: &Caller, contact: &Contact) -> Result<FirstOutcome, Fault> {
        let typed = contact.as_str().to_owned();
        let turn = self.turn(caller, Step::SignInUp { contact: typed }).await?;
        turn.end(first::sign_in_up(&self.parts, caller, contact)).await
    }

    /// Whether `contact` signs in by codes. Strictly limited.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn contact_exists(&self, caller: &Caller, contact: &Contact) -> Result<Exists, Fault> {
        let typed = contact.as_str().to_owned();
        let turn = self.turn(caller, Step::Exists { contact: typed }).await?;
        let Step::Exists { contact: typed } = turn.step() else {
            return Err(other_step());
        };
        let exists = async {
            // A hook may have changed it.
            match contact.retyped(typed) {
                Ok(contact) => first::exists(&self.parts, caller, &contact).await,
                Err(_) => Ok(Exists::Malformed),
            }
        };
        turn.end(exists).await
    }

    /// The open challenges of a contact, newest first.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn first_codes(&self, tenant: &TenantId, contact: &Contact) -> Result<Vec<Device>, Fault> {
        pending::list(&self.parts, tenant, contact).await
    }

    /// Where the messages of a challenge go, in normal form; none if there is no such challenge. For hooks, which know
    /// challenges by name only.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn contact_of_code(
        &self,
        tenant: &TenantId,
        challenge: &ChallengeId,
    ) -> Result<Option<String>, Fault> {
        let challenge = self.parts.store.challenge(tenant, challenge).await?;
        Ok(challenge.map(|challenge| challenge.destination))
    }

    /// Ends all challenges of a contact. How many there were.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn revoke_first_codes(&self, tenant: &TenantId, contact: &Contact) -> Result<u64, Fault> {
        let typed = contact.as_str().to_owned();
        let step = Step::RevokeCodes { contact: typed };
        let turn = self.turn(Caller::within(tenant), step).await?;
        turn.end(pending::revoke_all(&self.parts, tenant, contact)).await
    }

    /// Ends one challenge that signs in. Whether there was one.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn revoke_first_code(&self, tenant: &TenantId, challenge: &ChallengeId) -> Result<bool, Fault> {
        let challenge = challenge.clone();
        let step = Step::RevokeCode { challenge };
        let turn = self.turn(Caller::within(tenant), step).await?;
        let Step::RevokeCode { challenge } = turn.step() else {
            return Err(other_step());
        };
        turn.end(pending::revoke(&self.parts, tenant, challenge)).await
    }
}

impl FirstRefusal {
    const fn word(&self) -> &'static str {
        match self {
            Self::General(_) => "general",
            Self::Restart => "restart",
            Self::NotOffered => "not_offered",
        }
    }
}

impl Told for Result<SentFirst, FirstRefusal> {
    fn done(&self) -> Done<'_> {
        match self {
            Ok(_) => Done::Granted,
            Err(refusal) => Done::Refused(refusal.word()),
        }
    }
}

impl Told for Result<(), FirstRefusal> {
    fn done(&self) -> Done<'_> {
        match self {
            Ok(()) => Done::Granted,
            Err(refusal) => Done::Refused(refusal.word()),
        }
    }
}

impl Told for FirstOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::SignedIn {
                signed_in: opened, ..
            } => signed_in(opened),
            Self::Incorrect { .. } => Done::Refused("incorrect"),
            Self::Expired { .. } => Done::Refused("expired"),
            Self::Restart => Done::Refused("restart"),
            Self::NotAllowed => Done::Refused("not_allowed"),
            Self::General(_) => Done::Refused("general"),
            Self::NotOffered => Done::Refused("not_offered"),
        }
    }
}

impl Told for Result<bool, General> {
    fn done(&self) -> Done<'_> {
        match self {
            Ok(true) => Done::Granted,
            Ok(false) => Done::Refused("incorrect"),
            Err(_) => Done::Refused("general"),
        }
    }
}

/// How many there were.
impl Told for u64 {
    fn done(&self) -> Done<'_> {
        Done::Granted
    }
}
