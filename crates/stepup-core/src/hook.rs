//! Hooks: code of the application's own before and after what stepup does.
//!
//! A hook before a step may refuse it in words for the user, or fail: either way the step is not begun, nothing is written
//! and no message goes out. A hook after a step that fails takes back what the step was about to hand out: the tokens
//! are withheld, and the session they belong to is ended. Passwords, codes and tokens reach no hook.

use std::fmt::{self, Debug};
use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use serde_json::Value;

use crate::caller::Caller;
use crate::delivery::{Channel, NoticeKind};
use crate::error::{Fault, Source};
use crate::id::{ChallengeId, FactorId, SessionHandle, TenantId, UserId};
use crate::parts::Parts;
use crate::record::JsonMap;
use crate::record::user::{Changed, ContactEdit, User};
use crate::session::access::AccessClaims;
use crate::session::claim::{self, Claim};
use crate::stepup::Stepup;
use crate::time::Timestamp;

/// Code of the application's own around what stepup does. Every method does nothing unless written.
///
/// Hooks run in the order in which the builder was given them, those after a step in the reverse order. They run inside
/// the request, so they should be quick.
#[async_trait]
pub trait Hook: Debug + Send + Sync + 'static {
    /// Before a function of [`Stepup`] does its work, throttles included. It may change what the step holds, not which
    /// step it is.
    ///
    /// # Errors
    /// [`Stop`]: the step is not begun.
    async fn before(&self, cx: &Cx<'_>, step: &mut Step) -> Result<(), Stop> {
        let _ = (cx, step);
        Ok(())
    }

    /// After it, whatever came of it. The step is done and stays done.
    ///
    /// # Errors
    /// The application's own: no token is handed out, and the session that was opened, kept or raised is ended.
    async fn after(&self, cx: &Cx<'_>, step: &Step, done: &Done<'_>) -> Result<(), Source> {
        let _ = (cx, step, done);
        Ok(())
    }

    /// When a first factor was right and a session is about to be opened, before anything of it is written.
    ///
    /// # Errors
    /// [`Stop`]: no session is opened, and no account made.
    async fn on_session(&self, cx: &Cx<'_>, draft: &mut SessionDraft<'_>) -> Result<(), Stop> {
        let _ = (cx, draft);
        Ok(())
    }

    /// When a message is about to be sent, before the code in it is stored.
    ///
    /// # Errors
    /// [`Stop`]: no code is made. A notice about security counts as not delivered, and is tried again later.
    async fn on_delivery(&self, cx: &Cx<'_>, message: &Outgoing<'_>) -> Result<(), Stop> {
        let _ = (cx, message);
        Ok(())
    }

    /// Before an endpoint of the protocol reads its body; its session, where it needs one, was admitted.
    ///
    /// # Errors
    /// [`Stop`]: the endpoint is not called.
    async fn before_api(&self, cx: &Cx<'_>, api: &Api) -> Result<(), Stop> {
        let _ = (cx, api);
        Ok(())
    }

    /// After it, with the HTTP status that is about to be sent.
    ///
    /// # Errors
    /// The application's own: the answer is withheld, and the session that it opened or raised is ended.
    async fn after_api(&self, cx: &Cx<'_>, api: &Api, status: u16) -> Result<(), Source> {
        let _ = (cx, api, status);
        Ok(())
    }
}

/// Why a hook stops what is about to happen. Any error becomes a [`Stop::Fault`] by `?`.
#[derive(Debug)]
pub enum Stop {
    /// The caller may not. The text is for the user, who is shown it.
    Refuse(String),
    /// The caller needs a session for it: 401, so that a client with an old token refreshes and comes again.
    NeedsSession,
    /// The hook could not decide. The log is told; the user is not.
    Fault(Source),
}

impl Stop {
    /// Refuses in words for the user.
    pub fn refuse(text: impl Into<String>) -> Self {
        Self::Refuse(text.into())
    }
}

impl<E: Into<Source>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Fault(error.into())
    }
}

/// What every hook may look at.
#[derive(Debug)]
pub struct Cx<'a> {
    stepup: Stepup,
    caller: &'a Caller,
}

impl<'a> Cx<'a> {
    pub(crate) fn new(stepup: Stepup, caller: &'a Caller) -> Self {
        Self { stepup, caller }
    }

    /// stepup itself. What is asked of it here runs no [`Hook::before`] and [`Hook::after`], so that a hook never calls
    /// itself.
    pub fn stepup(&self) -> &Stepup {
        &self.stepup
    }

    /// Where the call comes from.
    pub fn caller(&self) -> &'a Caller {
        self.caller
    }

    /// The tenant that the call names.
    pub fn tenant(&self) -> &'a TenantId {
        &self.caller.tenant
    }

    /// The session of the call: its verified token. Whether it was ended elsewhere, only the store knows.
    pub fn session(&self) -> Option<&'a AccessClaims> {
        self.caller.session.as_deref()
    }

    /// The present moment.
    pub fn now(&self) -> Timestamp {
        self.stepup.now()
    }
}

/// A function of [`Stepup`] that is about to run, with what it was handed that is no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Makes an account.
    SignUp {
        /// The address, as it was typed.
        email: String,
    },
    /// Signs in.
    SignIn {
        /// The address, as it was typed.
        email: String,
    },
    /// Signs in by the application's own first factor.
    SignInExternal {
        /// The user.
        user: UserId,
    },
    /// Sends a browser to a provider of identities.
    AskProvider {
        /// The provider. To change it changes nothing.
        provider: String,
    },
    /// Signs in, or up, whom a provider of identities vouches for; in a live session, adds them to its user.
    SignInByProvider {
        /// The provider. To change it changes nothing.
        provider: String,
    },
    /// Signs in, or up, by a contact that the application proved.
    SignInUp {
        /// The contact, in normal form. To change it changes nothing.
        contact: String,
    },
    /// Sends a code.
    CreateCode {
        /// Where to, as it was typed.
        contact: String,
    },
    /// Sends one more code.
    ResendCode {
        /// The challenge. To change it changes nothing.
        challenge: ChallengeId,
    },
    /// Judges an answer.
    ConsumeCode {
        /// The challenge. To change it changes nothing.
        challenge: ChallengeId,
    },
    /// Says whether an answer would be right.
    CheckCode {
        /// The challenge. To change it changes nothing.
        challenge: ChallengeId,
    },
    /// Ends all challenges of a contact.
    RevokeCodes {
        /// The contact, in normal form. To change it changes nothing.
        contact: String,
    },
    /// Ends a challenge.
    RevokeCode {
        /// The challenge.
        challenge: ChallengeId,
    },
    /// Uses a refresh token.
    Refresh,
    /// Ends a session.
    End {
        /// Which.
        session: SessionHandle,
    },
    /// Ends all sessions of a user.
    EndAll {
        /// Whose.
        user: UserId,
    },
    /// Merges into the application's part of a session's payload.
    MergePayload {
        /// The session.
        session: SessionHandle,
        /// What.
        patch: JsonMap,
    },
    /// Says what a session may know of its factors.
    FactorInfo,
    /// Says whether an address is an account's.
    Exists {
        /// The address or number, as it was typed.
        contact: String,
    },
    /// Changes a user, or takes note of a change.
    ChangeUser {
        /// Whom.
        user: UserId,
        /// How.
        what: Changed,
    },
    /// Changes by which contacts a user signs in, or its password.
    UpdateUser {
        /// Whom.
        user: UserId,
        /// The address, as it was typed.
        email: ContactEdit,
        /// The number, as it was typed.
        phone: ContactEdit,
        /// Whether there is a new password. To change it changes nothing.
        password: bool,
    },
    /// Sends a link that sets a new password, if the address is an account's.
    AskReset {
        /// The address, as it was typed.
        email: String,
    },
    /// Sets a new password by such a link.
    ResetPassword,
    /// Sends a link that verifies the address behind a session.
    AskVerification,
    /// Verifies an address by such a link.
    VerifyEmail,
    /// Undoes the first second factor of an account, by the link in its notice.
    UndoFactor,
    /// Lets a session add the account's first second factor, by a link in the mailbox.
    ConfirmEnrollment,
    /// Gives, or denies, a session leave to add the first second factor.
    DecideEnrollment {
        /// Which.
        session: SessionHandle,
        /// Whether it is given. To change it changes nothing.
        allow: bool,
    },
    /// Sets a new password by the present one.
    ChangePassword,
    /// Sends a code to a contact that is to take the place of another.
    ChangeContact {
        /// The new one, as it was typed.
        contact: String,
    },
    /// Changes a contact by such a code.
    ConfirmContact {
        /// The challenge. To change it changes nothing.
        challenge: ChallengeId,
    },
    /// Brings in a user of another system.
    ImportUser {
        /// Its id, if it brings one along. To change it changes nothing.
        user: Option<UserId>,
    },
    /// Removes a user's second factors.
    ResetFactors {
        /// Whose.
        user: UserId,
    },
    /// Gives a suspended second factor its tries back.
    ForgiveFailures {
        /// Whose.
        user: UserId,
    },
    /// Replaces the factors that are required of a user.
    RequireFactors {
        /// Of whom.
        user: UserId,
        /// Which.
        factors: Vec<FactorId>,
    },
    /// Merges into what the application keeps about a user.
    MergeMetadata {
        /// About whom.
        user: UserId,
        /// What.
        patch: JsonMap,
    },
    /// Forgets what the application keeps about a user.
    ClearMetadata {
        /// About whom.
        user: UserId,
    },
}

impl Step {
    /// Its name, for logs.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::SignUp { .. } => "sign_up",
            Self::SignIn { .. } => "sign_in",
            Self::SignInExternal { .. } => "sign_in_external",
            Self::AskProvider { .. } => "ask_provider",
            Self::SignInByProvider { .. } => "sign_in_by_provider",
            Self::SignInUp { .. } => "sign_in_up",
            Self::CreateCode { .. } => "create_code",
            Self::ResendCode { .. } => "resend_code",
            Self::ConsumeCode { .. } => "consume_code",
            Self::CheckCode { .. } => "check_code",
            Self::RevokeCodes { .. } => "revoke_codes",
            Self::RevokeCode { .. } => "revoke_code",
            Self::Refresh => "refresh",
            Self::End { .. } => "end",
            Self::EndAll { .. } => "end_all",
            Self::MergePayload { .. } => "merge_payload",
            Self::FactorInfo => "factor_info",
            Self::Exists { .. } => "exists",
            Self::ChangeUser { .. } => "change_user",
            Self::UpdateUser { .. } => "update_user",
            Self::AskReset { .. } => "ask_reset",
            Self::ResetPassword => "reset_password",
            Self::AskVerification => "ask_verification",
            Self::VerifyEmail => "verify_email",
            Self::UndoFactor => "undo_factor",
            Self::ConfirmEnrollment => "confirm_enrollment",
            Self::DecideEnrollment { .. } => "decide_enrollment",
            Self::ChangePassword => "change_password",
            Self::ChangeContact { .. } => "change_contact",
            Self::ConfirmContact { .. } => "confirm_contact",
            Self::ImportUser { .. } => "import_user",
            Self::ResetFactors { .. } => "reset_factors",
            Self::ForgiveFailures { .. } => "forgive_failures",
            Self::RequireFactors { .. } => "require_factors",
            Self::MergeMetadata { .. } => "merge_metadata",
            Self::ClearMetadata { .. } => "clear_metadata",
        }
    }
}

/// What came of a step.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Done<'a> {
    /// A factor was right, and tokens are about to be handed out.
    SignedIn {
        /// Who proved it.
        user: &'a User,
        /// The session that was opened, kept or raised.
        session: &'a SessionHandle,
    },
    /// It was done.
    Granted,
    /// It was refused; a fixed word says why.
    Refused(&'static str),
    /// It failed under us, and denied.
    Failed,
}

impl Done<'_> {
    /// A fixed word, for logs.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::SignedIn { .. } => "signed_in",
            Self::Granted => "granted",
            Self::Refused(why) => why,
            Self::Failed => "failed",
        }
    }
}

/// A session that is about to be opened.
#[derive(Debug)]
pub struct SessionDraft<'a> {
    /// Whose it will be. The row may be about to be written only.
    pub user: &'a User,
    /// The factor that was right.
    pub factor: &'a FactorId,
    live: Option<&'a Arc<AccessClaims>>,
    keep: bool,
    patch: JsonMap,
    now: Timestamp,
}

impl<'a> SessionDraft<'a> {
    pub(crate) fn new(
        user: &'a User,
        factor: &'a FactorId,
        live: Option<&'a Arc<AccessClaims>>,
        now: Timestamp,
    ) -> Self {
        Self {
            user,
            factor,
            live,
            keep: false,
            patch: JsonMap::new(),
            now,
        }
    }

    /// Puts `value` under `key` into its payload; null leaves out what a claim put there.
    pub fn put(&mut self, key: impl Into<String>, value: impl Into<Value>) {
        self.patch.insert(key.into(), value.into());
    }

    /// Sets `claim`, as of now.
    ///
    /// # Errors
    /// [`Stop::Fault`]: the value is no JSON.
    pub fn set_claim<C: Claim>(&mut self, claim: &C, value: &C::Value) -> Result<(), Stop> {
        let value = serde_json::to_value(value)?;
        self.put(Claim::key(claim), claim::entry(value, self.now));
        Ok(())
    }

    /// Opens no session, and keeps that of the call: what was put goes there, and the client gets a new access token for
    /// it. The caller then still is the user whom it was before.
    ///
    /// # Errors
    /// [`Stop::NeedsSession`]: the call carries no session of this tenant.
    pub fn keep_session(&mut self) -> Result<(), Stop> {
        // What was proved in one tenant is nothing in another.
        if self.live.is_none_or(|live| *live.tenant_id() != self.user.tenant) {
            return Err(Stop::NeedsSession);
        }
        self.keep = true;
        Ok(())
    }

    /// The session to keep, if one is to be kept, and what is to be put.
    pub(crate) fn finish(self) -> (Option<&'a Arc<AccessClaims>>, JsonMap) {
        (self.live.filter(|_| self.keep), self.patch)
    }
}

/// A message that is about to be sent. The code in it is nobody's to see.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Outgoing<'a> {
    /// How it travels.
    pub channel: Channel,
    /// Where to, in normal form.
    pub to: &'a str,
    /// What it says.
    pub content: OutgoingContent<'a>,
    /// The tenant of the user.
    pub tenant: &'a TenantId,
    /// Whom it is about, where that is known.
    pub user: Option<&'a UserId>,
}

/// What a message says.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum OutgoingContent<'a> {
    /// A one-time code, or a link.
    Code {
        /// Whether it is asked for after a first factor was right.
        second_factor: bool,
    },
    /// A link that sets a new password.
    Reset,
    /// A link that verifies an address.
    Verify,
    /// A link that lets a session add the first second factor.
    Confirm,
    /// A notice about the account's security.
    Notice(&'a NoticeKind),
}

/// An endpoint of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Api {
    /// The method.
    pub method: &'static str,
    /// The path below the base path, without a tenant: `/signinup/code`.
    pub path: &'static str,
}

impl Api {
    /// The endpoint at `path`.
    pub const fn new(method: &'static str, path: &'static str) -> Self {
        Self { method, path }
    }
}

/// The hooks of a site, in their order.
#[derive(Default)]
pub(crate) struct Hooks {
    list: Vec<Arc<dyn Hook>>,
    site: OnceLock<Weak<Parts>>,
}

impl Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.list).finish()
    }
}

impl Hooks {
    pub(crate) fn new(list: Vec<Arc<dyn Hook>>) -> Self {
        Self {
            list,
            site: OnceLock::new(),
        }
    }

    /// Tells the hooks whom they serve. The parts hold the hooks, so that these must not keep them alive.
    /// The site, for what outlives a request and must not keep it alive.
    pub(crate) fn site(&self) -> Weak<Parts> {
        self.site.get().cloned().unwrap_or_default()
    }

    pub(crate) fn attach(&self, parts: &Arc<Parts>) {
        let _ = self.site.set(Arc::downgrade(parts));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    fn cx<'a>(&self, caller: &'a Caller) -> Result<Cx<'a>, Fault> {
        let parts = self.site.get().and_then(Weak::upgrade);
        let parts = parts.ok_or(Fault::Key("the site is gone"))?;
        Ok(Cx::new(Stepup::without_hooks(parts), caller))
    }

    pub(crate) async fn before(&self, caller: &Caller, step: &mut Step) -> Result<(), Fault> {
        if self.is_empty() {
            return Ok(());
        }
        let cx = self.cx(caller)?;
        for hook in &self.list {
            hook.before(&cx, step).await?;
        }
        Ok(())
    }

    pub(crate) async fn after(&self, caller: &Caller, step: &Step, done: &Done<'_>) -> Result<(), Fault> {
        if self.is_empty() {
            return Ok(());
        }
        let cx = self.cx(caller)?;
        for hook in self.list.iter().rev() {
            hook.after(&cx, step, done).await.map_err(Fault::Part)?;
        }
        Ok(())
    }

    pub(crate) async fn on_session(
        &self,
        caller: &Caller,
        draft: &mut SessionDraft<'_>,
    ) -> Result<(), Fault> {
        if self.is_empty() {
            return Ok(());
        }
        let cx = self.cx(caller)?;
        for hook in &self.list {
            hook.on_session(&cx, draft).await?;
        }
        Ok(())
    }

    pub(crate) async fn on_delivery(&self, caller: &Caller, message: &Outgoing<'_>) -> Result<(), Fault> {
        if self.is_empty() {
            return Ok(());
        }
        let cx = self.cx(caller)?;
        for hook in &self.list {
            hook.on_delivery(&cx, message).await?;
        }
        Ok(())
    }

    pub(crate) async fn before_api(&self, caller: &Caller, api: &Api) -> Result<(), Fault> {
        if self.is_empty() {
            return Ok(());
        }
        let cx = self.cx(caller)?;
        for hook in &self.list {
            hook.before_api(&cx, api).await?;
        }
        Ok(())
    }

    pub(crate) async fn after_api(&self, caller: &Caller, api: &Api, status: u16) -> Result<(), Fault> {
        if self.is_empty() {
            return Ok(());
        }
        let cx = self.cx(caller)?;
        for hook in self.list.iter().rev() {
            hook.after_api(&cx, api, status).await.map_err(Fault::Part)?;
        }
        Ok(())
    }
}

impl From<Stop> for Fault {
    fn from(stop: Stop) -> Self {
        match stop {
            Stop::Refuse(text) => Self::Vetoed(text),
            Stop::NeedsSession => Self::NeedsSession,
            Stop::Fault(source) => Self::Part(source),
        }
    }
}
