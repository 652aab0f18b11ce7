//! [`Stepup`]: what an application holds; one method for each thing it can ask.

mod claims;

use std::sync::Arc;
use std::time::Duration;

use crate::app::AppInfo;
use crate::builder::Builder;
use crate::config::Config;
use crate::error::Fault;
use crate::event::{Event, EventKind, Outcome};
use crate::factor::passwordless::DeviceId;
use crate::flow::account::{
    self, Exists, External, ExternalRefusal, SignInOutcome, SignInTry, SignUpOutcome,
};
use crate::flow::answer::{self, ConsumeOutcome};
use crate::flow::code::{self, CodeRefusal, SentCode};
use crate::flow::info::{self, FactorInfoOutcome};
use crate::flow::own::{self, OwnFactors};
use crate::flow::session::{self, Checked, MergeError, RefreshOutcome, SessionEnded};
use crate::flow::user::{self, DerivedKey};
use crate::flow::{Caller, Changed, IssuedTokens, SignedIn, upkeep};
use crate::id::{FactorId, SessionHandle, TenantId, UserId};
use crate::keyring::Secrets;
use crate::parts::Parts;
use crate::password::Password;
use crate::policy;
use crate::record::JsonMap;
use crate::record::session::Session;
use crate::record::user::{Identifier, IdentifierKind, User};
use crate::rule::{ClaimFailure, Facts, Rule, judge, judge_route};
use crate::session::access::{AccessClaims, AccessRefusal, TokenFlaw};
use crate::session::keys::Jwks;
use crate::session::refresh::RefreshToken;
use crate::session::revocation::Known;
use crate::storage::Storage;
use crate::time::Timestamp;

/// Sessions and second factors of one application. Cheap to clone; build one and share it.
#[derive(Clone, Debug)]
pub struct Stepup {
    parts: Arc<Parts>,
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
        Self { parts }
    }

    /// The application's name and origins.
    pub fn app(&self) -> &AppInfo {
        &self.parts.app
    }

    /// The numbers in force.
    pub fn config(&self) -> &Config {
        &self.parts.config
    }

    /// The present moment by the clock that was handed in.
    pub fn now(&self) -> Timestamp {
        self.parts.now()
    }

    /// Whether `tenant` exists. Until tenants are configured there is one.
    pub fn knows_tenant(&self, tenant: &TenantId) -> bool {
        tenant.is_public()
    }

    /// Whether e-mail and password sign in here.
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

    /// Admits the bearer of `access` if its session was not revoked and `rule` holds. The store is asked when `trust`
    /// says so, or when the memory of revocations is full: it is never skipped.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn admit(
        &self,
        access: &AccessClaims,
        rule: &Rule,
        trust: Trust,
    ) -> Result<Option<Checked>, Denied> {
        self.admit_if(access, trust, |facts| judge(rule, facts)).await
    }

    /// The same for a route of the application: the site's policy and the claims of every route are asked beside `rule`
    /// ([`judge_route`]). Claims are judged as they are: see [`Stepup::fetch_due_claims`].
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn admit_route(
        &self,
        access: &AccessClaims,
        rule: &Rule,
        trust: Trust,
    ) -> Result<Option<Checked>, Denied> {
        let everywhere = &self.parts.everywhere;
        self.admit_if(access, trust, |facts| judge_route(rule, everywhere, facts))
            .await
    }

    async fn admit_if(
        &self,
        access: &AccessClaims,
        trust: Trust,
        judge: impl Fn(&Facts<'_>) -> Vec<ClaimFailure> + Send,
    ) -> Result<Option<Checked>, Denied> {
        let known = self.parts.revocations.standing(access, self.now());
        match (known, trust) {
            (Known::Revoked, _) => Err(Denied::Ended),
            (Known::Live, Trust::Token) => {
                let failures = judge(&session::facts(&self.parts, access));
                if failures.is_empty() {
                    Ok(None)
                } else {
                    Err(Denied::Claims(failures))
                }
            }
            (Known::AskStore, _) | (Known::Live, Trust::Store) => {
                let checked = session::check(&self.parts, access, None)
                    .await?
                    .map_err(|SessionEnded| Denied::Ended)?;
                let failures = judge(&session::facts_of(&self.parts, &checked));
                if failures.is_empty() {
                    Ok(Some(checked))
                } else {
                    Err(Denied::Claims(failures))
                }
            }
        }
    }

    /// Admits the bearer of `access` to what only a complete session may do: the site's policy is satisfied and, if the
    /// user has any second factor, it was completed. The store is always asked (R-SES-5).
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn admit_complete(&self, access: &AccessClaims) -> Result<Checked, Denied> {
        // A session that this process ended is over, even if its row could not be deleted.
        if self.parts.revocations.standing(access, self.now()) == Known::Revoked {
            return Err(Denied::Ended);
        }
        let checked = session::check(&self.parts, access, None)
            .await?
            .map_err(|SessionEnded| Denied::Ended)?;
        if policy::is_complete(&checked.standing, &checked.look.user.summary) {
            return Ok(checked);
        }
        let facts = session::facts_of(&self.parts, &checked);
        Err(Denied::Claims(judge(&Rule::SecondFactor, &facts)))
    }

    /// Uses a refresh token.
    ///
    /// # Errors
    /// [`Fault`]: the token was not used up.
    pub async fn refresh(&self, token: &str, caller: &Caller) -> Result<RefreshOutcome, Fault> {
        session::refresh(&self.parts, token, caller).await
    }

    /// Uses the one of several refresh tokens that belongs to a living session. With two living sessions, and with
    /// none, the outcome is [`RefreshOutcome::Ended`].
    ///
    /// # Errors
    /// [`Fault`]: no token was used up.
    pub async fn refresh_one_of(&self, tokens: &[&str], caller: &Caller) -> Result<RefreshOutcome, Fault> {
        session::refresh_one_of(&self.parts, tokens, caller).await
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
        session::end(&self.parts, handle).await
    }

    /// Ends the session `handle` if it is one of the user behind `access`. Whether it was; a session of somebody else is
    /// as good as none.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn revoke_own(&self, access: &AccessClaims, handle: &SessionHandle) -> Result<bool, Fault> {
        own::end(&self.parts, access, handle).await
    }

    /// Ends all sessions of a user. Their handles.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn revoke_all(&self, tenant: &TenantId, user: &UserId) -> Result<Vec<SessionHandle>, Fault> {
        session::end_all(&self.parts, tenant, user).await
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
        Ok(session::merge_payload(&self.parts, handle, patch)
            .await?
            .map(drop))
    }

    /// The same for the session of a request, with a new access token for it: new `iat`, old `exp`.
    ///
    /// # Errors
    /// As [`Stepup::merge_payload`].
    pub async fn merge_own_payload(
        &self,
        access: &AccessClaims,
        patch: &JsonMap,
    ) -> Result<Result<IssuedTokens, MergeError>, Fault> {
        match session::merge_payload(&self.parts, access.handle(), patch).await? {
            Ok(look) => session::reissue(&self.parts, &look.session, &look.user.summary, access).map(Ok),
            Err(error) => Ok(Err(error)),
        }
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
        account::sign_up(&self.parts, caller, email, password).await
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
        account::sign_in(&self.parts, caller, email, password).await
    }

    /// Whether an e-mail address is an account's. Strictly limited.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn email_exists(&self, caller: &Caller, email: &str) -> Result<Exists, Fault> {
        account::email_exists(&self.parts, caller, email).await
    }

    /// Whether a phone number may sign in. A second-factor phone may not, so it does not exist. Strictly limited.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn phone_exists(&self, caller: &Caller, phone: &str) -> Result<Exists, Fault> {
        account::phone_exists(&self.parts, caller, phone).await
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
        account::sign_in_external(&self.parts, caller, user, external).await
    }

    // Second factor

    /// Sends a code that completes the second factor of the session behind `access`.
    ///
    /// # Errors
    /// [`CodeRefusal`], as the inner error; [`Fault`].
    pub async fn create_code(
        &self,
        caller: &Caller,
        access: &AccessClaims,
        phone: &str,
    ) -> Result<Result<SentCode, CodeRefusal>, Fault> {
        code::create(&self.parts, caller, access, phone).await
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
        code::resend(&self.parts, caller, access, device).await
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
        answer::consume(&self.parts, caller, access, device, typed).await
    }

    /// What the session behind `access` may know of its factors.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn factor_info(&self, access: &AccessClaims) -> Result<FactorInfoOutcome, Fault> {
        info::factors(&self.parts, access).await
    }

    /// The names of the factors that the user behind `access` has; none if the session has ended.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn own_factors(&self, access: &AccessClaims) -> Result<Option<OwnFactors>, Fault> {
        own::factors(&self.parts, access).await
    }

    // Users

    /// A user, tombstones included.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn user(&self, tenant: &TenantId, user: &UserId) -> Result<Option<User>, Fault> {
        Ok(self.parts.store.user(tenant, user).await?)
    }

    /// The user who signs in with `email`. A malformed address is nobody's.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn user_by_email(&self, tenant: &TenantId, email: &str) -> Result<Option<User>, Fault> {
        let Ok(address) = crate::contact::EmailAddress::parse(email) else {
            return Ok(None);
        };
        let identifier = Identifier {
            kind: IdentifierKind::Email,
            value: address.as_str().to_owned(),
        };
        Ok(self
            .parts
            .store
            .user_by_identifier(tenant, &identifier)
            .await?
            .map(|account| account.user))
    }

    /// Disables a user: sessions and half-logins end, and none is opened until [`Stepup::enable`].
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn disable(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        user::changed(&self.parts, tenant, user, Changed::Disabled).await
    }

    /// Lets a disabled user sign in again.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn enable(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        user::changed(&self.parts, tenant, user, Changed::Enabled).await
    }

    /// Deletes a user with everything personal. A tombstone stays: the id is never used again.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn delete(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        user::changed(&self.parts, tenant, user, Changed::Deleted).await
    }

    /// Tells what the application changed by itself; sessions and half-logins of the user end.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn user_changed(&self, tenant: &TenantId, user: &UserId, what: Changed) -> Result<bool, Fault> {
        user::changed(&self.parts, tenant, user, what).await
    }

    /// Removes all second factors of a user who lost them; sessions end, the user is told, and the next sign-in enrolls
    /// anew. For administrators.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn reset_factors(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        user::reset_factors(&self.parts, tenant, user).await
    }

    /// Gives a suspended second factor its tries back. For administrators.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn forgive_failures(&self, tenant: &TenantId, user: &UserId) -> Result<(), Fault> {
        user::forgive_failures(&self.parts, tenant, user).await
    }

    /// Replaces the factors of which this user must use one, beside what the site demands.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn require_factors(
        &self,
        tenant: &TenantId,
        user: &UserId,
        required: &[FactorId],
    ) -> Result<bool, Fault> {
        user::require_factors(&self.parts, tenant, user, required).await
    }

    /// What the application keeps about a user, with the views that stepup derives; empty for an unknown user.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn metadata(&self, tenant: &TenantId, user: &UserId) -> Result<JsonMap, Fault> {
        user::metadata(&self.parts, tenant, user).await
    }

    /// Merges `patch` into it on the first level; `null` removes a key. None for an unknown user.
    ///
    /// # Errors
    /// [`DerivedKey`], as the inner error, if a view is to be written; [`Fault`].
    pub async fn merge_metadata(
        &self,
        tenant: &TenantId,
        user: &UserId,
        patch: &JsonMap,
    ) -> Result<Result<Option<JsonMap>, DerivedKey>, Fault> {
        user::merge_metadata(&self.parts, tenant, user, patch).await
    }

    /// Forgets it, but for the views.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn clear_metadata(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        Ok(self.parts.store.clear_metadata(tenant, user).await?)
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
