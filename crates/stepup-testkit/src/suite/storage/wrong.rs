//! The test of the tests: stores that are wrong in one way each, and the sentences that are then false.

use std::collections::HashMap;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use stepup_core::id::{
    ChallengeId, CredentialId, FactorId, KeyId, NoticeId, SessionHandle, TenantId, UserId,
};
use stepup_core::record::JsonMap;
use stepup_core::record::challenge::{Answer, Binding, Challenge, Resend, Resent};
use stepup_core::record::counter::{Ask, Charge, CounterKey};
use stepup_core::record::credential::{Credential, CredentialKind};
use stepup_core::record::key::SigningKeyRecord;
use stepup_core::record::notice::Notice;
use stepup_core::record::session::{Rotate, Session, SessionView};
use stepup_core::record::user::{Identifier, Method, User};
use stepup_core::secret::Mac;
use stepup_core::storage::memory::MemoryStore;
use stepup_core::storage::{
    Account, AccountOutcome, Beside, ChallengeStore, CounterStore, CredentialStore, FactorCompletion,
    FactorOutcome, Flows, KeyStore, Look, NewAccount, NoticeStore, SealedBy, SessionStore, Storage, Stored,
    UpdateOutcome, UserChange, UserStore, UserUpdate,
};
use stepup_core::time::Timestamp;

use crate::faults::delegate;

/// Whether `sentence` is false of the stores that `make` makes.
fn is_false<S: Storage>(
    sentence: impl AsyncFnOnce(Arc<dyn Storage>),
    make: impl AsyncFnOnce() -> (S, ()),
) -> bool {
    catch_unwind(AssertUnwindSafe(|| super::prove(sentence, make))).is_err()
}

/// The moment between reading and writing, long enough for everybody else to read the same.
async fn dawdle() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

/// Judges an answer in two steps: reads, judges, writes back.
#[derive(Debug, Default)]
struct ReadsThenWrites {
    inner: MemoryStore,
    challenges: Mutex<HashMap<ChallengeId, Challenge>>,
}

impl ReadsThenWrites {
    async fn call<T>(&self, _: &'static str, work: impl Future<Output = Stored<T>>) -> Stored<T> {
        work.await
    }
}

delegate!([] [ReadsThenWrites]: UserStore CredentialStore NoticeStore KeyStore);

#[async_trait]
impl ChallengeStore for ReadsThenWrites {
    async fn put_challenge(&self, challenge: &Challenge) -> Stored<()> {
        self.inner.put_challenge(challenge).await?;
        let mut kept = self.challenges.lock().unwrap();
        kept.insert(challenge.id.clone(), challenge.clone());
        Ok(())
    }

    async fn answer(
        &self,
        _: &TenantId,
        id: &ChallengeId,
        to: &Binding,
        macs: &[Mac],
        now: Timestamp,
    ) -> Stored<Answer> {
        let Some(mut read) = self.challenges.lock().unwrap().get(id).cloned() else {
            return Ok(Answer::Gone);
        };
        let answer = read.answer(to, macs, now);
        dawdle().await;
        self.challenges.lock().unwrap().insert(id.clone(), read);
        Ok(answer)
    }

    async fn challenge(&self, tenant: &TenantId, id: &ChallengeId) -> Stored<Option<Challenge>> {
        self.inner.challenge(tenant, id).await
    }

    async fn challenges_to(
        &self,
        tenant: &TenantId,
        purpose: &str,
        destination: &str,
    ) -> Stored<Vec<Challenge>> {
        self.inner.challenges_to(tenant, purpose, destination).await
    }

    async fn drop_challenge(&self, tenant: &TenantId, id: &ChallengeId) -> Stored<bool> {
        self.inner.drop_challenge(tenant, id).await
    }

    async fn drop_challenges_to(&self, tenant: &TenantId, purpose: &str, destination: &str) -> Stored<u64> {
        self.inner.drop_challenges_to(tenant, purpose, destination).await
    }

    async fn resend(&self, resend: &Resend) -> Stored<Resent> {
        let Some(mut read) = self.challenges.lock().unwrap().get(&resend.id).cloned() else {
            return Ok(Resent::Gone);
        };
        let told = read.resend(resend);
        dawdle().await;
        self.challenges.lock().unwrap().insert(resend.id.clone(), read);
        Ok(told)
    }
}

#[async_trait]
impl CounterStore for ReadsThenWrites {
    async fn charge(&self, asks: &[Ask], now: Timestamp) -> Stored<Charge> {
        let looks: Vec<_> = asks.iter().cloned().map(Ask::look).collect();
        let told = self.inner.charge(&looks, now).await?;
        dawdle().await;
        let Charge::Granted(_) = told else {
            return Ok(told);
        };
        let mut asks = asks.to_vec();
        for ask in &mut asks {
            ask.limit = u32::MAX;
        }
        self.inner.charge(&asks, now).await
    }

    async fn clear(&self, keys: &[CounterKey]) -> Stored<()> {
        self.inner.clear(keys).await
    }
}

#[async_trait]
impl SessionStore for ReadsThenWrites {
    async fn open_session(&self, session: &Session) -> Stored<bool> {
        self.inner.open_session(session).await
    }

    async fn rotate(&self, rotate: &Rotate) -> Stored<Option<SessionView>> {
        let Some(mut look) = self.inner.look(&rotate.handle, None).await? else {
            return Ok(None);
        };
        if !look.session.rotate(rotate) {
            return Ok(None);
        }
        dawdle().await;
        self.inner.revoke_session(&rotate.handle).await?;
        // Whoever comes second finds the handle taken, and thinks nothing of it.
        let _ = self.inner.open_session(&look.session).await;
        Ok(Some(SessionView {
            session: look.session,
            summary: look.user.summary,
        }))
    }

    async fn merge_payload(&self, handle: &SessionHandle, patch: &JsonMap) -> Stored<Option<JsonMap>> {
        self.inner.merge_payload(handle, patch).await
    }

    async fn sessions(&self, tenant: &TenantId, user: &UserId, now: Timestamp) -> Stored<Vec<Session>> {
        self.inner.sessions(tenant, user, now).await
    }

    async fn revoke_session(&self, handle: &SessionHandle) -> Stored<Option<Session>> {
        self.inner.revoke_session(handle).await
    }

    async fn revoke_sessions(&self, tenant: &TenantId, user: &UserId) -> Stored<Vec<SessionHandle>> {
        self.challenges.lock().unwrap().clear();
        self.inner.revoke_sessions(tenant, user).await
    }
}

#[async_trait]
impl Flows for ReadsThenWrites {
    async fn create_account(&self, account: &NewAccount) -> Stored<AccountOutcome> {
        let mut second = account.clone();
        for (identifier, _) in &account.identifiers {
            let found = self
                .inner
                .user_by_identifier(&account.user.tenant, identifier)
                .await?;
            dawdle().await;
            if found.is_some() {
                return Ok(AccountOutcome::IdentifierTaken);
            }
        }
        if self.inner.create_account(account).await? == AccountOutcome::IdentifierTaken {
            second.identifiers.clear();
            return self.inner.create_account(&second).await;
        }
        Ok(AccountOutcome::Created)
    }

    async fn look(&self, handle: &SessionHandle, challenge: Option<&ChallengeId>) -> Stored<Option<Look>> {
        self.inner.look(handle, challenge).await
    }

    async fn complete_factor(&self, completion: &FactorCompletion) -> Stored<FactorOutcome> {
        let mut completion = completion.clone();
        if let Some(enrollment) = &mut completion.enrollment {
            let user = self.inner.user(&completion.tenant, &completion.user).await?;
            enrollment.revision = user.map_or(0, |user| user.revision);
        }
        self.inner.complete_factor(&completion).await
    }

    async fn change_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        change: &UserChange,
    ) -> Stored<Option<User>> {
        self.inner.change_user(tenant, user, change).await
    }

    async fn update_user(&self, update: &UserUpdate) -> Stored<UpdateOutcome> {
        let mut update = update.clone();
        // Whoever asks for it is signed out like everybody else.
        if update.keep.take().is_some() {
            return self.inner.update_user(&update).await;
        }
        let user = self.inner.user(&update.tenant, &update.user).await?;
        update.revision = user.map_or(0, |user| user.revision);
        let told = self.inner.update_user(&update).await?;
        if matches!(told, UpdateOutcome::IdentifierTaken(_)) {
            update.identifiers.clear();
            return self.inner.update_user(&update).await;
        }
        Ok(told)
    }

    async fn require_factors(
        &self,
        tenant: &TenantId,
        user: &UserId,
        revision: i64,
        required: &[FactorId],
    ) -> Stored<bool> {
        self.inner.require_factors(tenant, user, revision, required).await
    }

    async fn set_methods(
        &self,
        tenant: &TenantId,
        user: &UserId,
        revision: i64,
        methods: &[Method],
    ) -> Stored<bool> {
        self.inner.set_methods(tenant, user, revision, methods).await
    }

    async fn delete_user(&self, tenant: &TenantId, user: &UserId) -> Stored<Option<Vec<SessionHandle>>> {
        self.inner.delete_user(tenant, user).await
    }

    async fn sealed_by(&self, head: &[u8]) -> Stored<SealedBy> {
        self.inner.sealed_by(head).await
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Stored<u64> {
        self.inner.sweep(now, limit).await
    }

    async fn ping(&self) -> Stored<()> {
        self.inner.ping().await
    }
}

async fn reads_then_writes() -> (ReadsThenWrites, ()) {
    (ReadsThenWrites::default(), ())
}

#[test]
fn a_store_that_reads_before_it_writes_is_found_out() {
    // Alone, each of its verbs is right: only a race tells.
    assert!(!is_false(super::a_right_code_is_right_once, reads_then_writes));
    assert!(!is_false(
        super::nothing_is_answered_after_the_last_failure,
        reads_then_writes
    ));
    assert!(!is_false(
        super::only_the_current_token_rotates,
        reads_then_writes
    ));
    assert!(!is_false(
        super::a_window_starts_anew_when_it_is_over,
        reads_then_writes
    ));

    assert!(is_false(
        super::a_right_code_is_right_for_exactly_one_of_many,
        reads_then_writes
    ));
    assert!(is_false(
        super::racing_guesses_are_compared_no_more_often_than_allowed,
        reads_then_writes
    ));
    assert!(is_false(
        super::of_many_resends_one_adds_a_code,
        reads_then_writes
    ));
    assert!(is_false(
        super::racing_charges_never_pass_the_limit,
        reads_then_writes
    ));
    assert!(is_false(super::of_many_rotations_one_succeeds, reads_then_writes));
    assert!(is_false(
        super::of_many_accounts_with_one_identifier_one_is_made,
        reads_then_writes
    ));
    assert!(is_false(
        super::of_many_enrollments_from_one_revision_one_is_done,
        reads_then_writes
    ));
    assert!(is_false(
        super::of_many_updates_from_one_revision_one_is_done,
        reads_then_writes
    ));
    assert!(is_false(
        super::of_many_users_that_want_one_identifier_one_gets_it,
        reads_then_writes
    ));
    // And it forgets which session is to be kept.
    assert!(is_false(
        super::an_update_keeps_the_session_it_was_done_in_by_a_new_token,
        reads_then_writes
    ));
    assert!(is_false(
        super::an_update_by_a_session_that_is_none_writes_nothing,
        reads_then_writes
    ));
}

/// Compares ids as some databases do: without regard to case and trailing blanks, and forgets the tenant.
#[derive(Debug, Default)]
struct Careless {
    inner: MemoryStore,
}

impl Careless {
    async fn call<T>(&self, _: &'static str, work: impl Future<Output = Stored<T>>) -> Stored<T> {
        work.await
    }
}

delegate!([] [Careless]: CredentialStore ChallengeStore SessionStore CounterStore NoticeStore KeyStore Flows);

#[async_trait]
impl UserStore for Careless {
    async fn user(&self, _: &TenantId, id: &UserId) -> Stored<Option<User>> {
        let folded = id.as_str().to_lowercase();
        let folded = UserId::from(folded.trim_end());
        self.inner.user(&TenantId::public(), &folded).await
    }

    async fn user_by_identifier(&self, _: &TenantId, identifier: &Identifier) -> Stored<Option<Account>> {
        self.inner
            .user_by_identifier(&TenantId::public(), identifier)
            .await
    }

    async fn merge_metadata(
        &self,
        tenant: &TenantId,
        id: &UserId,
        patch: &JsonMap,
    ) -> Stored<Option<JsonMap>> {
        self.inner.merge_metadata(tenant, id, patch).await
    }

    async fn users_after(&self, after: Option<&(TenantId, UserId)>, limit: u32) -> Stored<Vec<User>> {
        self.inner.users_after(after, limit).await
    }

    async fn clear_metadata(&self, tenant: &TenantId, id: &UserId) -> Stored<bool> {
        self.inner.clear_metadata(tenant, id).await
    }

    async fn ensure_user(&self, user: &User) -> Stored<User> {
        self.inner.ensure_user(user).await
    }

    async fn newest_epoch(&self) -> Stored<i64> {
        Ok(1)
    }
}

#[test]
fn a_store_that_compares_keys_carelessly_is_found_out() {
    let careless = async || (Careless::default(), ());
    assert!(is_false(super::keys_are_compared_byte_by_byte, careless));
    assert!(is_false(
        super::a_user_is_found_by_its_key_and_by_no_other_tenant,
        careless
    ));
    assert!(is_false(
        super::one_identifier_may_sign_in_once_in_each_tenant,
        careless
    ));
    assert!(is_false(
        super::a_change_raises_the_epoch_above_that_of_every_user,
        careless
    ));
}

/// Ends an enrollment's own challenges with the others, and forgets what a change is to do with the password.
#[derive(Debug, Default)]
struct Forgetful {
    inner: MemoryStore,
}

impl Forgetful {
    async fn call<T>(&self, _: &'static str, work: impl Future<Output = Stored<T>>) -> Stored<T> {
        work.await
    }
}

delegate!([] [Forgetful]: UserStore CredentialStore ChallengeStore SessionStore CounterStore NoticeStore KeyStore);

#[async_trait]
impl Flows for Forgetful {
    async fn create_account(&self, account: &NewAccount) -> Stored<AccountOutcome> {
        self.inner.create_account(account).await
    }

    async fn look(&self, handle: &SessionHandle, challenge: Option<&ChallengeId>) -> Stored<Option<Look>> {
        self.inner.look(handle, challenge).await
    }

    async fn complete_factor(&self, completion: &FactorCompletion) -> Stored<FactorOutcome> {
        let mut completion = completion.clone();
        if let Some(enrollment) = &mut completion.enrollment {
            enrollment.challenges.clear();
            enrollment.paid_by = None;
        }
        self.inner.complete_factor(&completion).await
    }

    async fn change_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        change: &UserChange,
    ) -> Stored<Option<User>> {
        let change = UserChange {
            retire_password: false,
            paid_by: None,
            ..change.clone()
        };
        self.inner.change_user(tenant, user, &change).await
    }

    async fn update_user(&self, update: &UserUpdate) -> Stored<UpdateOutcome> {
        let update = UserUpdate {
            beside: Beside::default(),
            ..update.clone()
        };
        self.inner.update_user(&update).await
    }

    async fn require_factors(
        &self,
        tenant: &TenantId,
        user: &UserId,
        revision: i64,
        required: &[FactorId],
    ) -> Stored<bool> {
        self.inner.require_factors(tenant, user, revision, required).await
    }

    async fn set_methods(
        &self,
        tenant: &TenantId,
        user: &UserId,
        revision: i64,
        methods: &[Method],
    ) -> Stored<bool> {
        self.inner.set_methods(tenant, user, revision, methods).await
    }

    async fn delete_user(&self, tenant: &TenantId, user: &UserId) -> Stored<Option<Vec<SessionHandle>>> {
        self.inner.delete_user(tenant, user).await
    }

    async fn sealed_by(&self, head: &[u8]) -> Stored<SealedBy> {
        self.inner.sealed_by(head).await
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Stored<u64> {
        self.inner.sweep(now, limit).await
    }

    async fn ping(&self) -> Stored<()> {
        self.inner.ping().await
    }
}

#[test]
fn a_store_that_forgets_how_an_enrollment_is_undone_is_found_out() {
    let forgetful = async || (Forgetful::default(), ());
    assert!(!is_false(
        super::a_first_enrollment_ends_everything_else_that_was_signed_in,
        forgetful
    ));
    assert!(is_false(
        super::what_begins_with_an_enrollment_outlives_the_end_of_all_else,
        forgetful
    ));
    assert!(is_false(
        super::a_retired_password_says_so_until_another_takes_its_place,
        forgetful
    ));
    assert!(is_false(
        super::a_change_is_made_only_by_what_pays_for_it,
        forgetful
    ));
    assert!(is_false(
        super::an_enrollment_is_made_only_by_what_pays_for_it,
        forgetful
    ));
    assert!(is_false(
        super::an_update_is_done_only_by_what_pays_for_it,
        forgetful
    ));
    assert!(is_false(
        super::an_update_replaces_second_factors_and_begins_what_undoes_it,
        forgetful
    ));
    assert!(is_false(
        super::of_many_changes_that_one_challenge_pays_for_one_is_made,
        forgetful
    ));
}
