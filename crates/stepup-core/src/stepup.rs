//! [`Stepup`]: what an application holds; one method for each thing it can ask.

mod admit;
mod claims;
mod contact;
mod ended;
mod first;
mod leave;
mod reset;
mod third_party;
mod turn;
mod undo;
mod users;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use crate::app::AppInfo;
use crate::builder::Builder;
use crate::caller::Caller;
use crate::config::Config;
use crate::delivery::Channel;
use crate::error::Fault;
use crate::event::{Event, EventKind, Outcome};
use crate::factor::passwordless::DeviceId;
use crate::flow::account::{
    self, CheckBegun, Exists, External, ExternalRefusal, SignInOutcome, SignInTry, SignUpOutcome,
};
use crate::flow::answer::{self, ConsumeOutcome};
use crate::flow::code::{self, CodeRefusal, SentCode};
use crate::flow::info::{self, FactorInfoOutcome};
use crate::flow::own::{self, OwnFactors};
use crate::flow::session::{self, MergeError, RefreshOutcome};
use crate::flow::{IssuedTokens, SignedIn, upkeep};
use crate::hook::Step;
use crate::id::{FactorId, SessionHandle, TenantId, UserId};
use crate::keyring::Secrets;
use crate::language::Language;
use crate::parts::Parts;
use crate::password::Password;
use crate::record::JsonMap;
use crate::record::session::Session;
use crate::rule::ClaimFailure;
use crate::session::access::{AccessClaims, AccessRefusal, Named, TokenFlaw};
use crate::session::keys::Jwks;
use crate::session::refresh::RefreshToken;
use crate::storage::Storage;
use crate::time::Timestamp;

pub use ended::Ending;
pub(crate) use ended::{LOOK, is_lost_by_time};

/// Sessions and second factors of one application. Cheap to clone; build one and share it.
#[derive(Clone, Debug)]
pub struct Stepup {
    parts: Arc<Parts>,
    hooking: Hooking,
}

/// Whether the hooks around a step are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hooking {
    On,
    /// In the hands of a hook, which must not call itself.
    Off,
}

/// Why a token does not admit its bearer.
#[derive(Debug)]
pub enum Denied {
    /// It is not one of our access tokens: as if there were none.
    NotOurs,
    /// It is expired, or signed by a key that is unknown: a refresh may cure it.
    TryRefresh,
    /// Its session is ended.
    Ended,
    /// Its session is valid, but these claims fail.
    Claims(Vec<ClaimFailure>),
    /// The store, which had to be asked, failed.
    Fault(Fault),
}

impl From<Fault> for Denied {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// How much is asked about a session before it is admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The token's signature and what this process remembers of revocations.
    Token,
    /// The store too: a revocation by another process counts at once.
    Store,
}

impl Stepup {
    /// Begins to put one together. `secrets` is the key material, newest first.
    pub fn builder(app: AppInfo, store: Arc<dyn Storage>, secrets: impl Secrets) -> Builder {
        Builder::new(app, store, Box::new(secrets))
    }

    pub(crate) fn from_parts(parts: Arc<Parts>) -> Self {
        Self {
            parts,
            hooking: Hooking::On,
        }
    }

    /// For a hook.
    pub(crate) fn without_hooks(parts: Arc<Parts>) -> Self {
        Self {
            parts,
            hooking: Hooking::Off,
        }
    }

    /// The application's name and origins.
    pub fn app(&self) -> &AppInfo {
        &self.parts.app
    }

    /// The languages that messages are written in, the site's first one first.
    pub fn languages(&self) -> &[Language] {
        &self.parts.languages
    }

    /// The numbers in force.
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// The present moment by the clock that was handed in.
    pub fn now(&self) -> Timestamp {
        self.parts.now()
    }

    /// Whether there is such a tenant.
    pub fn knows_tenant(&self, tenant: &TenantId) -> bool {
        self.parts.knows(tenant)
    }

    /// What opens a session in `tenant`: those of our first factors that it takes, and factors of the application's own
    /// that it lists. None for an unknown tenant.
    pub fn first_factors(&self, tenant: &TenantId) -> Vec<FactorId> {
        self.parts.first_factors(tenant)
    }

    /// Whether e-mail and password sign in here, in some tenant.
    pub fn offers_passwords(&self) -> bool {
        self.parts.password.is_some()
    }

    /// Whether codes are a second factor here.
    pub fn offers_codes(&self) -> bool {
        self.parts.passwordless.is_some()
    }

    // Sessions

    /// Reads and verifies an access token; one that was verified before is remembered. Touches no storage and does not
    /// wait. Whether its session was revoked is for [`Stepup::admit`].
    ///
    /// # Errors
    /// [`Denied::NotOurs`] or [`Denied::TryRefresh`].
    pub fn verify(&self, token: &str) -> Result<Arc<AccessClaims>, Denied> {
        self.parts
            .tokens
            .verify(token, self.now())
            .map_err(|refusal| match refusal {
                AccessRefusal::NotOurs => Denied::NotOurs,
                AccessRefusal::TryRefresh(flaw) => {
                    self.note_flaw(flaw);
                    Denied::TryRefresh
                }
            })
    }

    /// The session of an access token that is good but for its expiry, for what a live token judges when it is used. None
    /// of any other.
    pub fn lapsed(&self, token: &str) -> Option<Named> {
        self.parts.tokens.lapsed(token, self.now())
    }

    fn note_flaw(&self, flaw: TokenFlaw) {
        // Every session's token expires every few minutes: no event.
        if flaw == TokenFlaw::Expired {
            return;
        }
        let event = self.parts.event(EventKind::TokenInvalid, Outcome::Refused);
        self.parts.record(&event.because(flaw.as_str()));
        // Another node may have rotated; a flood of invented ids asks no more than once in ten seconds.
        if flaw == TokenFlaw::UnknownKey && self.parts.keys.wants_early_poll(self.now()) {
            let parts = self.parts.clone();
            // A full queue polls within the minute anyway.
            let _ = self
                .parts
                .background
                .spawn(Box::pin(async move { upkeep::poll_keys(&parts).await }));
        }
    }

    /// Uses a refresh token.
    ///
    /// # Errors
    /// [`Fault`]: the token was not used up.
    pub async fn refresh(&self, token: &str, caller: &Caller) -> Result<RefreshOutcome, Fault> {
        let turn = self.turn(caller, Step::Refresh).await?;
        turn.end(session::refresh(&self.parts, token, caller)).await
    }

    /// Uses the one of several refresh tokens that belongs to a living session. With two living sessions, and with
    /// none, the outcome is [`RefreshOutcome::Ended`].
    ///
    /// # Errors
    /// [`Fault`]: no token was used up.
    pub async fn refresh_one_of(&self, tokens: &[&str], caller: &Caller) -> Result<RefreshOutcome, Fault> {
        let turn = self.turn(caller, Step::Refresh).await?;
        turn.end(session::refresh_one_of(&self.parts, tokens, caller))
            .await
    }

    /// Whether `text` is a refresh token that this site made. It may long be used or ended; no storage is touched.
    pub fn is_refresh_token(&self, text: &str) -> bool {
        RefreshToken::decode(&self.parts.keyring, text).is_some()
    }

    /// Ends a session. Whether there was one.
    ///
    /// # Errors
    /// [`Fault`]; its tokens are refused by this process all the same.
    pub async fn revoke(&self, handle: &SessionHandle) -> Result<bool, Fault> {
        self.revoke_by(&Caller::internal(), handle).await
    }

    /// The same at the wish of `caller`, whom hooks may want to know.
    ///
    /// # Errors
    /// As [`Stepup::revoke`].
    pub async fn revoke_by(&self, caller: &Caller, handle: &SessionHandle) -> Result<bool, Fault> {
        let session = handle.clone();
        let turn = self.turn(caller, Step::End { session }).await?;
        let Step::End { session } = turn.step() else {
            return Err(other_step());
        };
        turn.end(session::end(&self.parts, session)).await
    }

    /// Ends the session `handle` if it is one of the user behind `access`. Whether it was; a session of somebody else is
    /// as good as none.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn revoke_own(
        &self,
        access: &Arc<AccessClaims>,
        handle: &SessionHandle,
    ) -> Result<bool, Fault> {
        let session = handle.clone();
        let turn = self.turn(Caller::of(access), Step::End { session }).await?;
        let Step::End { session } = turn.step() else {
            return Err(other_step());
        };
        turn.end(own::end(&self.parts, access, session)).await
    }

    /// Ends all sessions of a user. Their handles.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn revoke_all(&self, tenant: &TenantId, user: &UserId) -> Result<Vec<SessionHandle>, Fault> {
        let turn = self
            .turn(Caller::within(tenant), Step::EndAll { user: user.clone() })
            .await?;
        let Step::EndAll { user } = turn.step() else {
            return Err(other_step());
        };
        turn.end(session::end_all(&self.parts, tenant, user)).await
    }

    /// The living sessions of a user, newest first.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn sessions(&self, tenant: &TenantId, user: &UserId) -> Result<Vec<Session>, Fault> {
        Ok(self.parts.store.sessions(tenant, user, self.now()).await?)
    }

    /// Merges `patch` into the application's part of a session's payload; `null` removes a key. The client sees it
    /// after its next refresh; [`Stepup::merge_own_payload`] tells it at once.
    ///
    /// # Errors
    /// [`MergeError`], as the inner error; [`Fault`].
    pub async fn merge_payload(
        &self,
        handle: &SessionHandle,
        patch: &JsonMap,
    ) -> Result<Result<(), MergeError>, Fault> {
        let turn = self.turn(Caller::internal(), merge_step(handle, patch)).await?;
        let Step::MergePayload { session, patch } = turn.step() else {
            return Err(other_step());
        };
        let merged = async {
            Ok(session::merge_payload(&self.parts, session, patch)
                .await?
                .map(drop))
        };
        turn.end(merged).await
    }

    /// The same for the session of a request, with a new access token for it: new `iat`, old `exp`.
    ///
    /// # Errors
    /// As [`Stepup::merge_payload`].
    pub async fn merge_own_payload(
        &self,
        access: &Arc<AccessClaims>,
        patch: &JsonMap,
    ) -> Result<Result<IssuedTokens, MergeError>, Fault> {
        let turn = self
            .turn(Caller::of(access), merge_step(access.handle(), patch))
            .await?;
        // The token that is made stands for the session of `access`, whatever a hook would like to merge into.
        let Step::MergePayload { patch, .. } = turn.step() else {
            return Err(other_step());
        };
        let merged = async {
            match session::merge_payload(&self.parts, access.handle(), patch).await? {
                Ok(look) => session::reissue(&self.parts, &look.session, &look.user.summary, access).map(Ok),
                Err(error) => Ok(Err(error)),
            }
        };
        turn.end(merged).await
    }

    // First factors

    /// Makes an account with e-mail and password.
    ///
    /// # Errors
    /// [`Fault`]: no account was made.
    pub async fn sign_up(
        &self,
        caller: &Caller,
        email: &str,
        password: Password,
    ) -> Result<SignUpOutcome, Fault> {
        let email = email.to_owned();
        let turn = self.turn(caller, Step::SignUp { email }).await?;
        let Step::SignUp { email } = turn.step() else {
            return Err(other_step());
        };
        turn.end(account::sign_up(&self.parts, caller, email, password))
            .await
    }

    /// Signs in with e-mail and password. Any session of the caller's is for the adapter to replace.
    ///
    /// # Errors
    /// [`Fault`]: no session was opened.
    pub async fn sign_in(
        &self,
        caller: &Caller,
        email: &str,
        password: Password,
    ) -> Result<SignInOutcome, Fault> {
        let email = email.to_owned();
        let turn = self.turn(caller, Step::SignIn { email }).await?;
        let Step::SignIn { email } = turn.step() else {
            return Err(other_step());
        };
        turn.end(account::sign_in(&self.parts, caller, email, password))
            .await
    }

    /// Whether an e-mail address is an account's. Strictly limited.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn email_exists(&self, caller: &Caller, email: &str) -> Result<Exists, Fault> {
        let contact = email.to_owned();
        let turn = self.turn(caller, Step::Exists { contact }).await?;
        let Step::Exists { contact } = turn.step() else {
            return Err(other_step());
        };
        turn.end(account::email_exists(&self.parts, caller, contact))
            .await
    }

    /// Whether a phone number may sign in. A second-factor phone may not, so it does not exist. Strictly limited.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn phone_exists(&self, caller: &Caller, phone: &str) -> Result<Exists, Fault> {
        let contact = phone.to_owned();
        let turn = self.turn(caller, Step::Exists { contact }).await?;
        let Step::Exists { contact } = turn.step() else {
            return Err(other_step());
        };
        turn.end(account::phone_exists(&self.parts, caller, contact))
            .await
    }

    /// Counts a try to sign in by the application's own first factor, before it is checked: the same counters as our
    /// own sign-in. `identifier` is what the account is called at sign-in, in normal form.
    ///
    /// # Errors
    /// The inner error is how long to wait; [`Fault`] denies as well.
    pub async fn begin_sign_in(
        &self,
        caller: &Caller,
        identifier: &str,
    ) -> Result<Result<SignInTry, Duration>, Fault> {
        account::begin(&self.parts, caller, None, format!("own:{identifier}")).await
    }

    /// Tells how a try ended that [`Stepup::begin_sign_in`] counted.
    ///
    /// # Errors
    /// [`Fault`]; the try then stays counted.
    pub async fn end_sign_in(&self, attempt: SignInTry, right: bool) -> Result<(), Fault> {
        match right {
            true => attempt.succeeded(&self.parts).await,
            false => attempt.failed(&self.parts, None, "wrong_password").await,
        }
    }

    /// Notes that the application begins to check a first factor of its own, before it reads what it compares with; for
    /// [`External::begun`]. The extractor of an adapter does it by itself.
    ///
    /// # Errors
    /// [`Fault`]; do not check.
    pub async fn begin_check(&self) -> Result<CheckBegun, Fault> {
        account::begin_check(&self.parts).await
    }

    /// Opens a session for a user of the application's own table, whose first factor the application checked.
    /// `user` comes from the application's row, never from the request; an unknown id makes a user row.
    ///
    /// # Errors
    /// [`ExternalRefusal`], as the inner error; [`Fault`].
    pub async fn sign_in_external(
        &self,
        caller: &Caller,
        user: &UserId,
        external: External,
    ) -> Result<Result<SignedIn, ExternalRefusal>, Fault> {
        let turn = self
            .turn(caller, Step::SignInExternal { user: user.clone() })
            .await?;
        let Step::SignInExternal { user } = turn.step() else {
            return Err(other_step());
        };
        turn.end(account::sign_in_external(&self.parts, caller, user, external))
            .await
    }

    // Second factor

    /// Sends a code that completes the second factor of the session behind `access`, to the number or address `typed`.
    ///
    /// # Errors
    /// [`CodeRefusal`], as the inner error; [`Fault`].
    pub async fn create_code(
        &self,
        caller: &Caller,
        access: &AccessClaims,
        channel: Channel,
        typed: &str,
    ) -> Result<Result<SentCode, CodeRefusal>, Fault> {
        let contact = typed.to_owned();
        let turn = self.turn(caller, Step::CreateCode { contact }).await?;
        let Step::CreateCode { contact } = turn.step() else {
            return Err(other_step());
        };
        turn.end(code::create(&self.parts, caller, access, channel, contact))
            .await
    }

    /// Sends one more code of the challenge behind `device`.
    ///
    /// # Errors
    /// [`CodeRefusal`], as the inner error; [`Fault`].
    pub async fn resend_code(
        &self,
        caller: &Caller,
        access: &AccessClaims,
        device: &DeviceId,
    ) -> Result<Result<(), CodeRefusal>, Fault> {
        let challenge = device.challenge();
        let turn = self.turn(caller, Step::ResendCode { challenge }).await?;
        turn.end(code::resend(&self.parts, caller, access, device)).await
    }

    /// Judges the answer `typed` to the challenge behind `device`.
    ///
    /// # Errors
    /// [`Fault`]: the factor is not completed.
    pub async fn consume_code(
        &self,
        caller: &Caller,
        access: &AccessClaims,
        device: &DeviceId,
        typed: &str,
    ) -> Result<ConsumeOutcome, Fault> {
        let challenge = device.challenge();
        let turn = self.turn(caller, Step::ConsumeCode { challenge }).await?;
        turn.end(answer::consume(&self.parts, caller, access, device, typed))
            .await
    }

    /// What the session behind `access` may know of its factors.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn factor_info(&self, access: &Arc<AccessClaims>) -> Result<FactorInfoOutcome, Fault> {
        let turn = self.turn(Caller::of(access), Step::FactorInfo).await?;
        turn.end(info::factors(&self.parts, access)).await
    }

    /// The names of the factors that the user behind `access` has; none if the session has ended.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn own_factors(&self, access: &Arc<AccessClaims>) -> Result<Option<OwnFactors>, Fault> {
        let turn = self.turn(Caller::of(access), Step::FactorInfo).await?;
        turn.end(own::factors(&self.parts, access)).await
    }

    /// Counts a call by which the user behind `access` looks at what is their own, or ends it. The inner error: how long to
    /// wait.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn begin_own_call(
        &self,
        caller: &Caller,
        access: &AccessClaims,
    ) -> Result<Result<(), Duration>, Fault> {
        own::begin(&self.parts, caller, access).await
    }

    // The site

    /// The public keys as a JWK set, and for how long it may be kept.
    pub fn jwks(&self) -> Jwks {
        self.parts.keys.jwks(self.now())
    }

    /// The algorithm that access tokens are signed with, by its JWA name.
    pub fn signing_algorithm(&self) -> &'static str {
        self.parts.keys.algorithm().name()
    }

    /// Records an event of the layers above.
    pub fn record(&self, event: &Event) {
        self.parts.record(event);
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn ping(&self) -> Result<(), Fault> {
        Ok(self.parts.store.ping().await?)
    }

    /// Does what is due beside requests: notices, keys, clean-up. The background calls it every second; an application
    /// without one (serverless) calls it by itself.
    pub async fn tick(&self) {
        upkeep::tick(&self.parts).await;
    }
}

fn merge_step(session: &SessionHandle, patch: &JsonMap) -> Step {
    Step::MergePayload {
        session: session.clone(),
        patch: patch.clone(),
    }
}

/// A hook turned a step into another one: nothing is done.
fn other_step() -> Fault {
    Fault::Part("a hook changed one step into another".into())
}
