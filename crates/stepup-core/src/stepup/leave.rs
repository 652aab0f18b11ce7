//! Leave to add a first second factor: confirmed by mail, or given by an administrator.

use crate::caller::Caller;
use crate::error::Fault;
use crate::flow::leave::{self, ConfirmOutcome, PendingEnrollment};
use crate::hook::{Done, Step};
use crate::id::{TenantId, UserId};
use crate::stepup::turn::Told;
use crate::stepup::{Stepup, other_step};

impl Stepup {
    /// Whether `token` gives a session leave still. It spends nothing.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn can_confirm_enrollment(&self, caller: &Caller, token: &str) -> Result<bool, Fault> {
        leave::is_live(&self.parts, caller, token).await
    }

    /// Lets the session that asked for `token` add the account's first second factor
    /// ([`EnrollmentMode::ConfirmByEmail`](crate::policy::EnrollmentMode::ConfirmByEmail)). Whoever holds the token gets no
    /// session by it.
    ///
    /// # Errors
    /// [`Fault`]: whether the token is spent by then, only its next use tells.
    ///
    /// # Source
    /// Threats A-MFA-41, A-CSR-08.
    pub async fn confirm_enrollment(&self, caller: &Caller, token: &str) -> Result<ConfirmOutcome, Fault> {
        let turn = self.turn(caller, Step::ConfirmEnrollment).await?;
        turn.end(leave::confirm(&self.parts, caller, token)).await
    }

    /// Who waits for leave to add a first second factor, newest first
    /// ([`EnrollmentMode::Approve`](crate::policy::EnrollmentMode::Approve)). For administrators.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn pending_enrollments(&self, tenant: &TenantId) -> Result<Vec<PendingEnrollment>, Fault> {
        leave::pending(&self.parts, tenant).await
    }

    /// Gives a user leave to add a first second factor, and tells it. Whether it asked does not matter: an administrator makes
    /// sure beforehand that it is the owner who asks. False if there is no such user, or if it has a second factor.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn approve_enrollment(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        self.decide_enrollment(tenant, user, true).await
    }

    /// Gives a user no leave, takes back what was given, and tells it. As [`Stepup::approve_enrollment`].
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn deny_enrollment(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        self.decide_enrollment(tenant, user, false).await
    }

    async fn decide_enrollment(&self, tenant: &TenantId, user: &UserId, allow: bool) -> Result<bool, Fault> {
        let user = user.clone();
        let step = Step::DecideEnrollment { user, allow };
        let turn = self.turn(Caller::within(tenant), step).await?;
        let Step::DecideEnrollment { user, .. } = turn.step() else {
            return Err(other_step());
        };
        turn.end(leave::decide(&self.parts, tenant, user, allow)).await
    }
}

impl Told for ConfirmOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Done => Done::Granted,
            Self::InvalidToken => Done::Refused("invalid_token"),
        }
    }
}
