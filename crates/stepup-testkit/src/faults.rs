//! A store that fails where a test wants it to.

use std::collections::HashMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use stepup_core::error::StoreError;
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
use stepup_core::storage::{
    Account, AccountOutcome, ChallengeStore, CounterStore, CredentialStore, FactorCompletion, FactorOutcome,
    Flows, KeyStore, Look, NewAccount, NoticeStore, SealedBy, SessionStore, Storage, Stored, UpdateOutcome,
    UserChange, UserStore, UserUpdate,
};
use stepup_core::time::Timestamp;

/// When a call of a verb fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before anything was done: the database could not be reached.
    Before,
    /// After it was done: the acknowledgement was lost (threat A-DB-02).
    After,
}

/// Wraps a store, counts the calls of each verb, and fails those that a test chose.
///
/// A crash test enumerates them: run the flow once to see [`calls`](Self::calls), then once for each call with a
/// fault before it and once with a fault after it (threat A-DB-01).
#[derive(Debug)]
pub struct FaultyStore<S> {
    inner: S,
    plan: Mutex<Plan>,
}

#[derive(Default)]
struct Plan {
    calls: Vec<&'static str>,
    by_number: HashMap<usize, When>,
    by_verb: HashMap<&'static str, When>,
    outruns: HashMap<&'static str, Outrun>,
}

/// What somebody else does just before a call.
type Outrun = Pin<Box<dyn Future<Output = ()> + Send>>;

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan")
            .field("calls", &self.calls)
            .finish_non_exhaustive()
    }
}

impl<S: Storage> FaultyStore<S> {
    /// Wraps `inner`; nothing fails yet.
    pub fn new(inner: S) -> Self {
        let plan = Mutex::default();
        Self { inner, plan }
    }

    /// The calls so far, by the names of their verbs.
    pub fn calls(&self) -> Vec<&'static str> {
        self.plan(|plan| plan.calls.clone())
    }

    /// Lets one call fail; `number` counts from 0 on.
    pub fn fail_call(&self, number: usize, when: When) {
        self.plan(|plan| plan.by_number.insert(number, when));
    }

    /// Lets every call of `verb` fail until [`heal`](Self::heal).
    pub fn fail_verb(&self, verb: &'static str, when: When) {
        self.plan(|plan| plan.by_verb.insert(verb, when));
    }

    /// Lets `other` happen just before the next call of `verb`: whoever called has read what was there before it, and writes
    /// after it. A race, in the one order that is looked for.
    pub fn outrun(&self, verb: &'static str, other: impl Future<Output = ()> + Send + 'static) {
        self.plan(|plan| plan.outruns.insert(verb, Box::pin(other)));
    }

    /// Lets nothing fail any more, and forgets the calls.
    pub fn heal(&self) {
        self.plan(|plan| *plan = Plan::default());
    }

    fn plan<T>(&self, change: impl FnOnce(&mut Plan) -> T) -> T {
        change(&mut self.plan.lock().unwrap_or_else(PoisonError::into_inner))
    }

    async fn call<T>(&self, verb: &'static str, work: impl Future<Output = Stored<T>>) -> Stored<T> {
        if let Some(other) = self.plan(|plan| plan.outruns.remove(verb)) {
            other.await;
        }
        let fault = self.plan(|plan| {
            let number = plan.calls.len();
            plan.calls.push(verb);
            plan.by_number
                .get(&number)
                .or_else(|| plan.by_verb.get(verb))
                .copied()
        });
        if fault == Some(When::Before) {
            return Err(lost());
        }
        let done = work.await?;
        if fault == Some(When::After) {
            Err(lost())
        } else {
            Ok(done)
        }
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("a fault of the test's making".into())
}

/// Implements the storage traits that are named by handing each verb to `inner`, through the method `call`.
macro_rules! delegate {
    ($generics:tt $subject:tt: $($port:ident)*) => {
        $(crate::faults::delegate!(@$port $generics $subject);)*
    };
    (@verbs $port:ident [$($generics:tt)*] [$subject:ty];
        $(fn $verb:ident($($name:ident: $type:ty),*) -> $out:ty;)*) => {
        #[async_trait]
        impl $($generics)* $port for $subject {
            $(async fn $verb(&self, $($name: $type),*) -> Stored<$out> {
                self.call(stringify!($verb), self.inner.$verb($($name),*)).await
            })*
        }
    };
    (@UserStore $generics:tt $subject:tt) => { crate::faults::delegate! { @verbs UserStore $generics $subject;
        fn user(tenant: &TenantId, id: &UserId) -> Option<User>;
        fn user_by_identifier(tenant: &TenantId, identifier: &Identifier) -> Option<Account>;
        fn merge_metadata(tenant: &TenantId, id: &UserId, patch: &JsonMap) -> Option<JsonMap>;
        fn clear_metadata(tenant: &TenantId, id: &UserId) -> bool;
        fn ensure_user(user: &User) -> User;
        fn newest_epoch() -> i64;
        fn users_after(after: Option<&(TenantId, UserId)>, limit: u32) -> Vec<User>;
    } };
    (@CredentialStore $generics:tt $subject:tt) => { crate::faults::delegate! { @verbs CredentialStore $generics $subject;
        fn credentials(tenant: &TenantId, user: &UserId, kind: CredentialKind) -> Vec<Credential>;
        fn reseal(tenant: &TenantId, user: &UserId, kind: CredentialKind, id: &CredentialId, version: i64, sealed: &[u8]) -> bool;
    } };
    (@ChallengeStore $generics:tt $subject:tt) => { crate::faults::delegate! { @verbs ChallengeStore $generics $subject;
        fn put_challenge(challenge: &Challenge) -> ();
        fn answer(tenant: &TenantId, id: &ChallengeId, to: &Binding, macs: &[Mac], now: Timestamp) -> Answer;
        fn challenge(tenant: &TenantId, id: &ChallengeId) -> Option<Challenge>;
        fn challenges_to(tenant: &TenantId, purpose: &str, destination: &str) -> Vec<Challenge>;
        fn drop_challenge(tenant: &TenantId, id: &ChallengeId) -> bool;
        fn drop_challenges_to(tenant: &TenantId, purpose: &str, destination: &str) -> u64;
        fn resend(resend: &Resend) -> Resent;
    } };
    (@SessionStore $generics:tt $subject:tt) => { crate::faults::delegate! { @verbs SessionStore $generics $subject;
        fn open_session(session: &Session) -> bool;
        fn rotate(rotate: &Rotate) -> Option<SessionView>;
        fn merge_payload(handle: &SessionHandle, patch: &JsonMap) -> Option<JsonMap>;
        fn sessions(tenant: &TenantId, user: &UserId, now: Timestamp) -> Vec<Session>;
        fn revoke_session(handle: &SessionHandle) -> Option<Session>;
        fn revoke_sessions(tenant: &TenantId, user: &UserId) -> Vec<SessionHandle>;
    } };
    (@CounterStore $generics:tt $subject:tt) => { crate::faults::delegate! { @verbs CounterStore $generics $subject;
        fn charge(asks: &[Ask], now: Timestamp) -> Charge;
        fn clear(keys: &[CounterKey]) -> ();
    } };
    (@NoticeStore $generics:tt $subject:tt) => { crate::faults::delegate! { @verbs NoticeStore $generics $subject;
        fn add_notices(notices: &[Notice]) -> ();
        fn take_notices(now: Timestamp, until: Timestamp, limit: u32) -> Vec<Notice>;
        fn finish_notice(id: &NoticeId) -> ();
    } };
    (@KeyStore $generics:tt $subject:tt) => { crate::faults::delegate! { @verbs KeyStore $generics $subject;
        fn signing_keys() -> Vec<SigningKeyRecord>;
        fn add_signing_key(key: &SigningKeyRecord) -> bool;
        fn drop_signing_keys(now: Timestamp) -> ();
        fn reseal_signing_key(id: &KeyId, old: &[u8], sealed: &[u8]) -> bool;
        fn secret_checks() -> Vec<(KeyId, Mac)>;
        fn add_secret_check(id: &KeyId, check: &Mac) -> ();
    } };
    (@Flows $generics:tt $subject:tt) => { crate::faults::delegate! { @verbs Flows $generics $subject;
        fn create_account(account: &NewAccount) -> AccountOutcome;
        fn look(handle: &SessionHandle, challenge: Option<&ChallengeId>) -> Option<Look>;
        fn complete_factor(completion: &FactorCompletion) -> FactorOutcome;
        fn change_user(tenant: &TenantId, user: &UserId, change: &UserChange) -> Option<User>;
        fn update_user(update: &UserUpdate) -> UpdateOutcome;
        fn require_factors(tenant: &TenantId, user: &UserId, revision: i64, required: &[FactorId]) -> bool;
        fn set_methods(tenant: &TenantId, user: &UserId, revision: i64, methods: &[Method]) -> bool;
        fn delete_user(tenant: &TenantId, user: &UserId) -> Option<Vec<SessionHandle>>;
        fn sealed_by(head: &[u8]) -> SealedBy;
        fn sweep(now: Timestamp, limit: u32) -> u64;
        fn clock() -> Option<Timestamp>;
        fn ping() -> ();
    } };
}
pub(crate) use delegate;

delegate!([<S: Storage>] [FaultyStore<S>]: UserStore CredentialStore ChallengeStore SessionStore CounterStore NoticeStore KeyStore Flows);

#[cfg(test)]
mod tests {
    use stepup_core::storage::memory::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn a_call_fails_before_or_after_it_was_done() {
        let store = FaultyStore::new(MemoryStore::new());
        store.fail_call(0, When::Before);
        store.fail_call(1, When::After);
        let (id, check) = ("k1".into(), Mac::new([1; 32]));
        assert!(store.add_secret_check(&id, &check).await.is_err());
        assert!(store.secret_checks().await.is_err());
        assert_eq!(store.secret_checks().await.unwrap(), []);
        store.fail_verb("add_secret_check", When::After);
        assert!(store.add_secret_check(&id, &check).await.is_err());
        assert_eq!(store.secret_checks().await.unwrap().len(), 1);
        assert_eq!(store.calls().len(), 5);
        store.heal();
        let (told, happened) = std::sync::mpsc::channel();
        store.outrun("secret_checks", async move { told.send(()).unwrap() });
        assert!(happened.try_recv().is_err());
        assert_eq!(store.secret_checks().await.unwrap().len(), 1);
        assert!(happened.try_recv().is_ok() && happened.try_recv().is_err());
        store.heal();
        assert!(store.add_secret_check(&"k2".into(), &check).await.is_ok());
        assert_eq!(store.calls(), ["add_secret_check"]);
    }
}
