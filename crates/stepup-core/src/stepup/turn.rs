//! A turn: one function of [`Stepup`] with what goes around it, hooks and a span.
//!
//! The span names the step, the tenant and what came of it, and nothing else: no address, no code, no token and no id.

use std::borrow::Cow;

use tracing::field::Empty;
use tracing::{Instrument, Span};

use crate::caller::Caller;
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::flow::account::{Exists, ExternalRefusal, SignInOutcome, SignUpOutcome};
use crate::flow::answer::ConsumeOutcome;
use crate::flow::code::{CodeRefusal, SentCode};
use crate::flow::info::FactorInfoOutcome;
use crate::flow::own::OwnFactors;
use crate::flow::session::{self, MergeError, RefreshOutcome};
use crate::flow::update::UpdateRefusal;
use crate::flow::user::DerivedKey;
use crate::flow::{IssuedTokens, SignedIn};
use crate::hook::{Api, Done, Step};
use crate::id::SessionHandle;
use crate::import::{ImportRefusal, Imported};
use crate::record::JsonMap;
use crate::record::user::User;
use crate::session::access::AccessClaims;
use crate::stepup::{Hooking, Stepup, other_step};

/// A step that the hooks before it let through.
pub(super) struct Turn<'a> {
    stepup: &'a Stepup,
    caller: Cow<'a, Caller>,
    step: Step,
    span: Span,
}

impl Stepup {
    /// Runs the hooks before `step`.
    pub(super) async fn turn<'a>(
        &'a self,
        caller: impl Into<Cow<'a, Caller>>,
        mut step: Step,
    ) -> Result<Turn<'a>, Fault> {
        let caller = caller.into();
        let name = step.name();
        let tenant = caller.tenant.as_str();
        let span = tracing::debug_span!(target: "stepup::core", "step", step = name, tenant, outcome = Empty);
        if self.hooking == Hooking::On {
            let before = self.parts.hooks.before(&caller, &mut step);
            let before = before.instrument(span.clone()).await;
            // What was prepared for one step would be done by another.
            let before = before.and(if step.name() == name {
                Ok(())
            } else {
                Err(other_step())
            });
            if let Err(fault) = before {
                span.record("outcome", "stopped");
                self.note_stopped(&caller, &fault, name);
                return Err(fault);
            }
        }
        Ok(Turn {
            stepup: self,
            caller,
            step,
            span,
        })
    }

    pub(super) fn note_stopped(&self, caller: &Caller, fault: &Fault, step: &'static str) {
        let (kind, outcome) = match fault {
            Fault::Vetoed(_) | Fault::NeedsSession => (EventKind::HookRefused, Outcome::Refused),
            _ => (EventKind::HookFailed, Outcome::Refused),
        };
        let event = self.parts.event(kind, outcome).because(step);
        let event = event.from_network(&caller.origin.network);
        self.parts.record(&match &caller.session {
            Some(access) => event
                .of(access.tenant_id(), access.user_id())
                .in_session(access.handle()),
            None => event,
        });
    }
}

/// Hooks around endpoints: for the layer above.
impl Stepup {
    /// Whether the application has hooks.
    pub fn has_hooks(&self) -> bool {
        !self.parts.hooks.is_empty()
    }

    /// Runs the hooks before an endpoint.
    ///
    /// # Errors
    /// [`Fault`]: the endpoint must not be called.
    pub async fn before_api(&self, caller: &Caller, api: &Api) -> Result<(), Fault> {
        let before = self.parts.hooks.before_api(caller, api).await;
        before.inspect_err(|fault| self.note_stopped(caller, fault, api.path))
    }

    /// Runs the hooks after it.
    ///
    /// # Errors
    /// [`Fault`]: nothing of its answer must be handed out.
    pub async fn after_api(&self, caller: &Caller, api: &Api, status: u16) -> Result<(), Fault> {
        let after = self.parts.hooks.after_api(caller, api, status).await;
        after.inspect_err(|fault| self.note_stopped(caller, fault, api.path))
    }

    /// Ends the session of a token that must not be handed out, whatever hooks say.
    ///
    /// # Errors
    /// [`Fault`]; its tokens are refused by this process all the same.
    pub async fn take_back(&self, access: &AccessClaims) -> Result<bool, Fault> {
        session::end(&self.parts, access.handle()).await
    }
}

impl Turn<'_> {
    /// The step, as the hooks left it.
    pub(super) fn step(&self) -> &Step {
        &self.step
    }

    /// Does the work, and runs the hooks after it. If one of them fails, the tokens of the outcome are dropped and their
    /// session is ended.
    pub(super) async fn end<T: Told>(
        &self,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, Fault> {
        let outcome = work.instrument(self.span.clone()).await;
        let done = outcome.as_ref().map_or(Done::Failed, Told::done);
        self.span.record("outcome", done.word());
        if self.stepup.hooking == Hooking::Off {
            return outcome;
        }
        let parts = &self.stepup.parts;
        let after = parts.hooks.after(&self.caller, &self.step, &done);
        match after.instrument(self.span.clone()).await {
            Ok(()) => outcome,
            Err(fault) => {
                self.span.record("outcome", "taken_back");
                self.stepup.note_stopped(&self.caller, &fault, self.step.name());
                if let Done::SignedIn { session, .. } = done {
                    // The session that nobody gets the tokens of must not live on; what fails here denies all the same.
                    session::end(parts, session).await?;
                }
                // What broke under us is the better answer.
                Err(outcome.err().unwrap_or(fault))
            }
        }
    }
}

/// An outcome that hooks and spans are told.
pub(super) trait Told {
    fn done(&self) -> Done<'_>;
}

pub(super) fn signed_in(signed_in: &SignedIn) -> Done<'_> {
    Done::SignedIn {
        user: &signed_in.user,
        session: &signed_in.session.handle,
    }
}

impl Told for SignUpOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Created(opened) => signed_in(opened),
            Self::Accepted(_) => Done::Granted,
            Self::Fields(_) => Done::Refused("fields"),
            Self::Throttled(_) => Done::Refused("throttled"),
            Self::NotOffered => Done::Refused("not_offered"),
        }
    }
}

impl Told for SignInOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::SignedIn(opened) => signed_in(opened),
            Self::WrongCredentials => Done::Refused("wrong_credentials"),
            Self::Fields(_) => Done::Refused("fields"),
            Self::Throttled(_) => Done::Refused("throttled"),
            Self::NotOffered => Done::Refused("not_offered"),
        }
    }
}

impl Told for Result<SignedIn, ExternalRefusal> {
    fn done(&self) -> Done<'_> {
        match self {
            Ok(opened) => signed_in(opened),
            Err(ExternalRefusal::Disabled) => Done::Refused("disabled"),
            Err(ExternalRefusal::Deleted) => Done::Refused("deleted"),
            Err(ExternalRefusal::Changed) => Done::Refused("changed"),
            Err(ExternalRefusal::ReservedFactor) => Done::Refused("reserved_factor"),
            Err(ExternalRefusal::NotOffered) => Done::Refused("not_offered"),
        }
    }
}

impl Told for Exists {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Known(_) => Done::Granted,
            Self::Malformed => Done::Refused("malformed"),
            Self::Throttled(_) => Done::Refused("throttled"),
        }
    }
}

impl CodeRefusal {
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::TryRefresh => "try_refresh",
            Self::Claims(_) => "claims",
            Self::General(_) => "general",
            Self::Restart => "restart",
            Self::NotOffered => "not_offered",
        }
    }
}

impl Told for Result<SentCode, CodeRefusal> {
    fn done(&self) -> Done<'_> {
        match self {
            Ok(_) => Done::Granted,
            Err(refusal) => Done::Refused(refusal.word()),
        }
    }
}

impl Told for Result<(), CodeRefusal> {
    fn done(&self) -> Done<'_> {
        match self {
            Ok(()) => Done::Granted,
            Err(refusal) => Done::Refused(refusal.word()),
        }
    }
}

impl Told for ConsumeOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Completed {
                signed_in: raised, ..
            } => signed_in(raised),
            Self::Incorrect { .. } => Done::Refused("incorrect"),
            Self::Expired { .. } => Done::Refused("expired"),
            Self::Refused(refusal) => Done::Refused(refusal.word()),
        }
    }
}

impl Told for RefreshOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Refreshed(_) => Done::Granted,
            Self::Ended => Done::Refused("ended"),
            Self::BeforeRise => Done::Refused("before_rise"),
            Self::Theft => Done::Refused("theft"),
        }
    }
}

impl Told for FactorInfoOutcome {
    fn done(&self) -> Done<'_> {
        match self {
            Self::Known(_) => Done::Granted,
            Self::Ended => Done::Refused("ended"),
            Self::SignInAgain => Done::Refused("sign_in_again"),
            Self::Stuck => Done::Refused("stuck"),
        }
    }
}

impl Told for Option<OwnFactors> {
    fn done(&self) -> Done<'_> {
        self.as_ref().map_or(Done::Refused("ended"), |_| Done::Granted)
    }
}

impl MergeError {
    const fn word(&self) -> &'static str {
        match self {
            Self::Payload(_) => "payload",
            Self::Ended => "ended",
        }
    }
}

impl Told for Result<(), MergeError> {
    fn done(&self) -> Done<'_> {
        self.as_ref()
            .map_or_else(|e| Done::Refused(e.word()), |()| Done::Granted)
    }
}

impl Told for Result<IssuedTokens, MergeError> {
    fn done(&self) -> Done<'_> {
        self.as_ref()
            .map_or_else(|e| Done::Refused(e.word()), |_| Done::Granted)
    }
}

impl Told for Result<Option<JsonMap>, DerivedKey> {
    fn done(&self) -> Done<'_> {
        match self {
            Ok(Some(_)) => Done::Granted,
            Ok(None) => Done::Refused("unknown"),
            Err(_) => Done::Refused("derived_key"),
        }
    }
}

impl Told for Result<Imported, ImportRefusal> {
    fn done(&self) -> Done<'_> {
        match self {
            Ok(_) => Done::Granted,
            Err(_) => Done::Refused("not_importable"),
        }
    }
}

impl Told for Result<User, UpdateRefusal> {
    fn done(&self) -> Done<'_> {
        self.as_ref()
            .map_or_else(|refusal| Done::Refused(refusal.word()), |_| Done::Granted)
    }
}

/// Whether there was what was to be changed.
impl Told for bool {
    fn done(&self) -> Done<'_> {
        if *self {
            Done::Granted
        } else {
            Done::Refused("unknown")
        }
    }
}

impl Told for () {
    fn done(&self) -> Done<'_> {
        Done::Granted
    }
}

impl Told for Vec<SessionHandle> {
    fn done(&self) -> Done<'_> {
        Done::Granted
    }
}

impl<'a> From<&'a Caller> for Cow<'a, Caller> {
    fn from(caller: &'a Caller) -> Self {
        Cow::Borrowed(caller)
    }
}

impl From<Caller> for Cow<'_, Caller> {
    fn from(caller: Caller) -> Self {
        Cow::Owned(caller)
    }
}
