//! Leave to add a first second factor or another way to sign in, or to change a contact: confirmed by mail, or given by an administrator.

use crate::caller::Caller;
use crate::error::Fault;
use crate::flow::leave::{self, ConfirmOutcome, PendingEnrollment};
use crate::hook::{Done, Step};
use crate::id::{SessionHandle, TenantId};
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

    /// The sessions that wait for leave to add a first second factor or another way to sign in, or to change a contact, newest
    /// wish first ([`EnrollmentMode::Approve`](crate::policy::EnrollmentMode::Approve)). For administrators.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn pending_enrollments(&self, tenant: &TenantId) -> Result<Vec<PendingEnrollment>, Fault> {
        leave::pending(&self.parts, tenant).await
    }

    /// Gives a session that asked leave to add a first second factor or another way to sign in, or to change a contact, and tells
    /// its user. It is for that session alone and for one of these: of two people with one password the other has nothing of it. An administrator
    /// makes sure beforehand that the owner is the one who asked, by what [`Stepup::pending_enrollments`] tells of it. False
    /// if no such session waits.
    ///
    /// # Errors
    /// [`Fault`].
    ///
    /// # Source
    /// Threat A-MFA-41.
    pub async fn approve_enrollment(
        &self,
        tenant: &TenantId,
        session: &SessionHandle,
    ) -> Result<bool, Fault> {
        self.decide_enrollment(tenant, session, true).await
    }

    /// Gives a session no leave, takes back what was given and is not spent, and tells its user. False if it neither waits nor
    /// has leave.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn deny_enrollment(&self, tenant: &TenantId, session: &SessionHandle) -> Result<bool, Fault> {
        self.decide_enrollment(tenant, session, false).await
    }

    async fn decide_enrollment(
        &self,
        tenant: &TenantId,
        session: &SessionHandle,
        allow: bool,
    ) -> Result<bool, Fault> {
        let session = session.clone();
        let step = Step::DecideEnrollment { session, allow };
        let turn = self.turn(Caller::within(tenant), step).await?;
        let Step::DecideEnrollment { session, .. } = turn.step() else {
            return Err(other_step());
        };
        turn.end(leave::decide(&self.parts, tenant, session, allow)).await
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
