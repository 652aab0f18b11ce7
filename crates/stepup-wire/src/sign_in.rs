//! [`SignIn`]: a log-in handler of the application's own, with the same throttles, origin check and tokens as ours.

use std::time::Duration;

use http::request::Parts;
use stepup_core::Stepup;
use stepup_core::error::Fault;
use stepup_core::flow::{Caller, CheckBegun, External, ExternalRefusal, SignInTry};
use stepup_core::id::{SessionHandle, TenantId, UserId};

use crate::csrf::Act;
use crate::gate::{self, Refused};
use crate::keeper::Gate;
use crate::language;
use crate::refusal::Refusal;
use crate::service::Guard;
use crate::tokens;
use crate::transfer::{self, Mode, Presented};
use crate::writes::TokenWrites;

/// A sign-in by the application's own first factor: throttle, check, complete.
///
/// The origin of its request has been judged. Any session that the browser held is replaced as a whole, never merged.
#[derive(Debug)]
#[must_use = "a sign-in that is not completed opens no session"]
pub struct SignIn {
    guard: Guard,
    stepup: Stepup,
    caller: Caller,
    mode: Mode,
    session_mode: Option<Mode>,
    other_to_leave: Option<Mode>,
    begun: CheckBegun,
    attempt: Option<SignInTry>,
}

/// Why no session was opened.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Too many tries; the first factor must not be checked.
    #[error("too many attempts")]
    Throttled {
        /// When to try again.
        retry_after: Duration,
    },
    /// The user may not sign in, or the factor's name is one of ours.
    #[error(transparent)]
    Refused(#[from] ExternalRefusal),
    /// The store, or another part, failed.
    #[error("sign-in failed")]
    Fault(#[from] Fault),
}

impl Guard {
    /// Begins a sign-in by the application's own first factor.
    ///
    /// # Errors
    /// [`Refused`]: a page of another origin sent the request, or the store failed.
    pub async fn sign_in(&self, parts: &Parts) -> Result<SignIn, Refused> {
        self.outbox().note_read();
        // Asked before anything is counted or compared.
        let stepup = match self.gate().stepup() {
            Ok(stepup) => stepup.clone(),
            Err(error) => return Err(self.refuse(Fault::from(error).into())),
        };
        self.gate()
            .believe(parts, Act::Open, None)
            .map_err(|refusal| self.refuse(refusal))?;
        let mode = transfer::mode_for_own(self.gate().rules().allowed, &parts.headers);
        // For hooks alone; what is wrong with it is no matter of a sign-in.
        let session = match stepup.has_hooks() {
            true => gate::verify(self.gate(), parts, Act::Application, None).unwrap_or_default(),
            false => None,
        };
        // Now, since the application has read nothing yet of whoever it will be.
        let begun = stepup.begin_check().await;
        let begun = begun.map_err(|fault| self.refuse(Refusal::of_route(&fault)))?;
        Ok(SignIn {
            session_mode: session.as_ref().map(|session| session.mode),
            caller: Caller {
                tenant: TenantId::public(),
                origin: self.gate().origin(parts),
                session: session.map(|session| session.claims),
                language: language::wanted(&parts.headers, stepup.languages()),
            },
            other_to_leave: other_to_leave(self.gate(), parts, mode),
            guard: self.clone(),
            stepup,
            mode,
            begun,
            attempt: None,
        })
    }
}

impl SignIn {
    /// Signs in to `tenant` instead of the public one. The application knows which: by host, path or form.
    pub fn in_tenant(mut self, tenant: TenantId) -> Self {
        self.caller.tenant = tenant;
        self
    }

    /// Counts the try, before anything is compared. `identifier` is what the account is called, in normal form.
    ///
    /// # Errors
    /// [`SignInError::Throttled`]: do not check the password. [`SignInError::Fault`].
    pub async fn throttle(&mut self, identifier: &str) -> Result<(), SignInError> {
        match self.stepup.begin_sign_in(&self.caller, identifier).await? {
            Ok(attempt) => {
                self.attempt = Some(attempt);
                Ok(())
            }
            Err(retry_after) => Err(SignInError::Throttled { retry_after }),
        }
    }

    /// The first factor was wrong. Without this call the try stays counted as well, but not against its network.
    ///
    /// # Errors
    /// [`SignInError::Fault`].
    pub async fn failed(self) -> Result<(), SignInError> {
        match self.attempt {
            Some(attempt) => Ok(self.stepup.end_sign_in(attempt, false).await?),
            None => Ok(()),
        }
    }

    /// The first factor was right: opens a session for `user`, which comes from the application's own row and never
    /// from the request. What is still missing is policy's to say. The tokens go out with the response.
    ///
    /// # Errors
    /// [`SignInError::Refused`], [`SignInError::Fault`]; no session was opened then.
    pub async fn complete(self, user: &UserId, external: External) -> Result<SessionHandle, SignInError> {
        let stepup = &self.stepup;
        let signed_in = stepup
            .sign_in_external(&self.caller, user, external.begun(self.begun))
            .await??;
        if let Some(attempt) = self.attempt {
            stepup.end_sign_in(attempt, true).await?;
        }
        let mut writes = TokenWrites::new();
        match (&signed_in.tokens.refresh, self.session_mode) {
            // A session comes with a refresh token. Without one it is that of the call, which a hook kept.
            (None, Some(mode)) => writes.then(tokens::hand_out(mode, signed_in.tokens)),
            _ => {
                if let Some(other) = self.other_to_leave {
                    writes.leave(other);
                }
                writes.then(tokens::hand_out(self.mode, signed_in.tokens));
            }
        }
        self.guard.owe(writes);
        Ok(signed_in.session.handle)
    }
}

/// The mode that a request's old access token came in, if a session of `mode` is about to take its place.
pub(crate) fn other_to_leave(gate: &Gate, parts: &Parts, mode: Mode) -> Option<Mode> {
    let presented = Presented::read(&parts.headers, gate.rules().cookies.names);
    let other = mode.other();
    presented.carries(other).then_some(other)
}

impl From<SignInError> for Refused {
    /// So that a handler can pass it on by `?`.
    fn from(error: SignInError) -> Self {
        Self::new(match error {
            SignInError::Throttled { retry_after } => Refusal::TooMany(retry_after),
            // Whoever reads it learns nothing that a wrong password would not tell.
            SignInError::Refused(
                ExternalRefusal::Disabled
                | ExternalRefusal::Deleted
                | ExternalRefusal::Changed
                | ExternalRefusal::NotOffered,
            ) => Refusal::NotAllowed,
            SignInError::Refused(error @ ExternalRefusal::ReservedFactor) => {
                tracing::error!(target: "stepup", %error, "a handler named a first factor like one of ours");
                Refusal::Broken
            }
            SignInError::Fault(fault) => Refusal::of_route(&fault),
        })
    }
}
