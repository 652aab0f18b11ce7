//! The reference store: what the storage traits mean.
//!
//! Everything lies in maps under one lock, and a verb holds the lock from its first look to its last write: each is
//! trivially one atomic step, and the other stores have to do the same by conditional statements. It forgets
//! everything when the process ends, so that it is for tests and examples.

mod flows;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Account, ChallengeStore, CounterStore, CredentialStore, KeyStore, NoticeStore, Payment, SessionStore,
    Stored, UserStore,
};
use crate::error::StoreError;
use crate::id::{ChallengeId, CredentialId, KeyId, MethodId, NoticeId, SessionHandle, TenantId, UserId};
use crate::record::JsonMap;
use crate::record::challenge::{Answer, Binding, Challenge, MACS, Resend, Resent};
use crate::record::counter::{Ask, Charge, Counter, CounterKey};
use crate::record::credential::{Credential, CredentialKind};
use crate::record::key::SigningKeyRecord;
use crate::record::notice::Notice;
use crate::record::session::{Rotate, Session, SessionView};
use crate::record::user::{Identifier, User, UserState, merge};
use crate::secret::Mac;
use crate::time::{Clock, Timestamp};

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<Tables>,
    clock: Option<Arc<dyn Clock>>,
}

/// The tables, by their keys.
#[derive(Debug, Default)]
struct Tables {
    users: HashMap<UserKey, User>,
    identifiers: HashMap<(TenantId, Identifier), (UserId, MethodId)>,
    credentials: HashMap<CredentialKey, Credential>,
    challenges: HashMap<(TenantId, ChallengeId), Challenge>,
    sessions: HashMap<SessionHandle, Session>,
    counters: HashMap<CounterKey, Counter>,
    notices: BTreeMap<NoticeId, Notice>,
    keys: Vec<SigningKeyRecord>,
    checks: Vec<(KeyId, Mac)>,
}

type UserKey = (TenantId, UserId);
/// Without the user: a credential's id is unique among all users of its tenant.
type CredentialKey = (TenantId, CredentialKind, CredentialId);

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A store with a clock of its own, as a database server has one.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// The tables, for the length of one verb. No verb awaits while it holds them.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        // A verb checks everything before it writes, so that even one that panicked left whole records behind.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    /// The user, unless it is a tombstone.
    fn user_mut(&mut self, tenant: &TenantId, id: &UserId) -> Option<&mut User> {
        let user = self.users.get_mut(&(tenant.clone(), id.clone()))?;
        (user.state != UserState::Deleted).then_some(user)
    }

    fn newest_epoch(&self) -> i64 {
        self.users.values().map(|user| user.epoch).max().unwrap_or(1)
    }

    /// The user that a session may live by: there, live, and of the same epoch.
    fn live_user(&self, session: &Session) -> Option<&User> {
        let user = self.users.get(&(session.tenant.clone(), session.user.clone()))?;
        (user.state == UserState::Live && user.epoch == session.epoch).then_some(user)
    }

    fn add_credential(&mut self, credential: &Credential) {
        let key = (credential.tenant.clone(), credential.kind, credential.id.clone());
        self.credentials.insert(key, credential.clone());
    }

    fn has_credential(&self, credential: &Credential) -> bool {
        let key = (credential.tenant.clone(), credential.kind, credential.id.clone());
        self.credentials.contains_key(&key)
    }

    fn add_notices(&mut self, notices: &[Notice]) {
        for notice in notices {
            self.notices.insert(notice.id.clone(), notice.clone());
        }
    }

    fn check_notices(&self, notices: &[Notice]) -> Stored<()> {
        let mut fresh = HashSet::new();
        let clash = notices
            .iter()
            .any(|notice| self.notices.contains_key(&notice.id) || !fresh.insert(&notice.id));
        if clash {
            Err(StoreError::Conflict("notice id"))
        } else {
            Ok(())
        }
    }

    fn check_challenges(&self, challenges: &[Challenge]) -> Stored<()> {
        let key = |challenge: &Challenge| (challenge.tenant.clone(), challenge.id.clone());
        match challenges.iter().any(|c| self.challenges.contains_key(&key(c))) {
            true => Err(StoreError::Conflict("challenge id")),
            false => Ok(()),
        }
    }

    /// Adds `challenge` in the place of any other of the same session and purpose.
    fn add_challenge(&mut self, challenge: &Challenge) {
        self.challenges.retain(|_, other| {
            other.tenant != challenge.tenant
                || other.binding.session != challenge.binding.session
                || other.binding.purpose != challenge.binding.purpose
        });
        let key = (challenge.tenant.clone(), challenge.id.clone());
        self.challenges.insert(key, challenge.clone());
    }

    fn answer(
        &mut self,
        tenant: &TenantId,
        id: &ChallengeId,
        to: &Binding,
        macs: &[Mac],
        now: Timestamp,
    ) -> Stored<Answer> {
        if macs.len() > MACS {
            return Err(StoreError::Conflict("too many digests of one answer"));
        }
        let challenge = self.challenges.get_mut(&(tenant.clone(), id.clone()));
        Ok(challenge.map_or(Answer::Gone, |challenge| challenge.answer(to, macs, now)))
    }

    /// Spends what pays for a verb, within it.
    fn pay(&mut self, tenant: &TenantId, payment: &Payment) -> Stored<Answer> {
        let Payment {
            challenge,
            binding,
            macs,
            now,
        } = payment;
        self.answer(tenant, challenge, binding, macs, *now)
    }

    /// What [`Tables::pay`] would say. It charges nothing and spends nothing.
    fn peek(&self, tenant: &TenantId, payment: &Payment) -> Stored<Answer> {
        let Payment {
            challenge,
            binding,
            macs,
            now,
        } = payment;
        if macs.len() > MACS {
            return Err(StoreError::Conflict("too many digests of one answer"));
        }
        let found = self.challenges.get(&(tenant.clone(), challenge.clone()));
        Ok(found.map_or(Answer::Gone, |found| found.clone().answer(binding, macs, *now)))
    }

    fn retire_password(&mut self, tenant: &TenantId, user: &UserId) {
        self.credentials
            .values_mut()
            .filter(|c| c.tenant == *tenant && c.user == *user && c.kind == CredentialKind::Password)
            .for_each(Credential::retire);
    }

    /// Ends all sessions of a user but `keep`, and all its challenges. The handles of the ended sessions.
    fn end_sessions(
        &mut self,
        tenant: &TenantId,
        user: &UserId,
        keep: Option<&SessionHandle>,
    ) -> Vec<SessionHandle> {
        self.challenges
            .retain(|_, challenge| challenge.tenant != *tenant || challenge.binding.user != *user);
        self.sessions
            .extract_if(|handle, session| {
                session.tenant == *tenant && session.user == *user && Some(handle) != keep
            })
            .map(|(handle, _)| handle)
            .collect()
    }
}

#[async_trait]
impl UserStore for MemoryStore {
    async fn user(&self, tenant: &TenantId, id: &UserId) -> Stored<Option<User>> {
        Ok(self.tables().users.get(&(tenant.clone(), id.clone())).cloned())
    }

    async fn user_by_identifier(
        &self,
        tenant: &TenantId,
        identifier: &Identifier,
    ) -> Stored<Option<Account>> {
        let tables = self.tables();
        let Some((id, _)) = tables.identifiers.get(&(tenant.clone(), identifier.clone())) else {
            return Ok(None);
        };
        let Some(user) = tables.users.get(&(tenant.clone(), id.clone())) else {
            return Ok(None);
        };
        let password = of_user(&tables, tenant, id, CredentialKind::Password)
            .into_iter()
            .next();
        Ok(Some(Account {
            user: user.clone(),
            password,
        }))
    }

    async fn merge_metadata(
        &self,
        tenant: &TenantId,
        id: &UserId,
        patch: &JsonMap,
    ) -> Stored<Option<JsonMap>> {
        Ok(self.tables().user_mut(tenant, id).map(|user| {
            merge(&mut user.metadata, patch);
            user.metadata.clone()
        }))
    }

    async fn clear_metadata(&self, tenant: &TenantId, id: &UserId) -> Stored<bool> {
        Ok(self
            .tables()
            .user_mut(tenant, id)
            .map(|user| user.metadata.clear())
            .is_some())
    }

    async fn ensure_user(&self, user: &User) -> Stored<User> {
        let key = (user.tenant.clone(), user.id.clone());
        Ok(self
            .tables()
            .users
            .entry(key)
            .or_insert_with(|| user.clone())
            .clone())
    }

    async fn newest_epoch(&self) -> Stored<i64> {
        Ok(self.tables().newest_epoch())
    }

    async fn users_after(&self, after: Option<&(TenantId, UserId)>, limit: u32) -> Stored<Vec<User>> {
        let tables = self.tables();
        let mut users: Vec<_> = tables
            .users
            .iter()
            .filter(|(key, _)| Some(*key) > after)
            .collect();
        users.sort_by_key(|(key, _)| *key);
        let users = users.into_iter().take(limit as usize);
        Ok(users.map(|(_, user)| user.clone()).collect())
    }
}

#[async_trait]
impl CredentialStore for MemoryStore {
    async fn credentials(
        &self,
        tenant: &TenantId,
        user: &UserId,
        kind: CredentialKind,
    ) -> Stored<Vec<Credential>> {
        Ok(of_user(&self.tables(), tenant, user, kind))
    }

    async fn reseal(
        &self,
        tenant: &TenantId,
        user: &UserId,
        kind: CredentialKind,
        id: &CredentialId,
        version: i64,
        sealed: &[u8],
    ) -> Stored<bool> {
        let mut tables = self.tables();
        let found = tables
            .credentials
            .get_mut(&(tenant.clone(), kind, id.clone()))
            .filter(|credential| credential.user == *user && credential.version == version);
        let Some(credential) = found else {
            return Ok(false);
        };
        credential.sealed = Some(sealed.to_vec());
        credential.version += 1;
        Ok(true)
    }
}

/// The credentials of one kind of a user, oldest first.
fn of_user(tables: &Tables, tenant: &TenantId, user: &UserId, kind: CredentialKind) -> Vec<Credential> {
    let mut found: Vec<_> = tables
        .credentials
        .values()
        .filter(|c| c.tenant == *tenant && c.user == *user && c.kind == kind)
        .cloned()
        .collect();
    found.sort_by(|a, b| (a.created_at, &a.id).cmp(&(b.created_at, &b.id)));
    found
}

#[async_trait]
impl ChallengeStore for MemoryStore {
    async fn put_challenge(&self, challenge: &Challenge) -> Stored<()> {
        let mut tables = self.tables();
        tables.check_challenges(std::slice::from_ref(challenge))?;
        tables.add_challenge(challenge);
        Ok(())
    }

    async fn answer(
        &self,
        tenant: &TenantId,
        id: &ChallengeId,
        to: &Binding,
        macs: &[Mac],
        now: Timestamp,
    ) -> Stored<Answer> {
        self.tables().answer(tenant, id, to, macs, now)
    }

    async fn challenge(&self, tenant: &TenantId, id: &ChallengeId) -> Stored<Option<Challenge>> {
        Ok(self
            .tables()
            .challenges
            .get(&(tenant.clone(), id.clone()))
            .cloned())
    }

    async fn challenges_to(
        &self,
        tenant: &TenantId,
        purpose: &str,
        destination: &str,
    ) -> Stored<Vec<Challenge>> {
        let tables = self.tables();
        let mut found: Vec<Challenge> = tables
            .challenges
            .values()
            .filter(|c| is_to(c, tenant, purpose, destination))
            .cloned()
            .collect();
        found.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(found)
    }

    async fn drop_challenge(&self, tenant: &TenantId, id: &ChallengeId) -> Stored<bool> {
        let key = (tenant.clone(), id.clone());
        Ok(self.tables().challenges.remove(&key).is_some())
    }

    async fn drop_challenges_to(&self, tenant: &TenantId, purpose: &str, destination: &str) -> Stored<u64> {
        let mut tables = self.tables();
        let before = tables.challenges.len();
        tables
            .challenges
            .retain(|_, c| !is_to(c, tenant, purpose, destination));
        Ok((before - tables.challenges.len()) as u64)
    }

    async fn resend(&self, resend: &Resend) -> Stored<Resent> {
        let mut tables = self.tables();
        let challenge = tables
            .challenges
            .get_mut(&(resend.tenant.clone(), resend.id.clone()));
        Ok(challenge.map_or(Resent::Gone, |challenge| challenge.resend(resend)))
    }
}

fn is_to(challenge: &Challenge, tenant: &TenantId, purpose: &str, destination: &str) -> bool {
    challenge.tenant == *tenant
        && challenge.binding.purpose == purpose
        && challenge.destination == destination
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn open_session(&self, session: &Session) -> Stored<bool> {
        let mut tables = self.tables();
        if tables.sessions.contains_key(&session.handle) {
            return Err(StoreError::Conflict("session handle"));
        }
        if tables.live_user(session).is_none() {
            return Ok(false);
        }
        tables.sessions.insert(session.handle.clone(), session.clone());
        Ok(true)
    }

    async fn rotate(&self, rotate: &Rotate) -> Stored<Option<SessionView>> {
        let mut tables = self.tables();
        let Some(mut session) = tables.sessions.get(&rotate.handle).cloned() else {
            return Ok(None);
        };
        let Some(user) = tables.live_user(&session) else {
            return Ok(None);
        };
        let summary = user.summary.clone();
        if !session.rotate(rotate) {
            return Ok(None);
        }
        tables.sessions.insert(session.handle.clone(), session.clone());
        Ok(Some(SessionView { session, summary }))
    }

    async fn merge_payload(&self, handle: &SessionHandle, patch: &JsonMap) -> Stored<Option<JsonMap>> {
        Ok(self.tables().sessions.get_mut(handle).map(|session| {
            merge(&mut session.payload, patch);
            session.payload.clone()
        }))
    }

    async fn sessions(&self, tenant: &TenantId, user: &UserId, now: Timestamp) -> Stored<Vec<Session>> {
        let mut found: Vec<_> = self
            .tables()
            .sessions
            .values()
            .filter(|s| s.tenant == *tenant && s.user == *user && !s.is_over(now))
            .cloned()
            .collect();
        found.sort_by(|a, b| (b.created_at, &b.handle).cmp(&(a.created_at, &a.handle)));
        Ok(found)
    }

    async fn revoke_session(&self, handle: &SessionHandle) -> Stored<Option<Session>> {
        let mut tables = self.tables();
        let Some(session) = tables.sessions.remove(handle) else {
            return Ok(None);
        };
        tables
            .challenges
            .retain(|_, c| c.tenant != session.tenant || c.binding.session != session.handle);
        Ok(Some(session))
    }

    async fn revoke_sessions(&self, tenant: &TenantId, user: &UserId) -> Stored<Vec<SessionHandle>> {
        Ok(self.tables().end_sessions(tenant, user, None))
    }
}

#[async_trait]
impl CounterStore for MemoryStore {
    async fn charge(&self, asks: &[Ask], now: Timestamp) -> Stored<Charge> {
        let mut keys = HashSet::new();
        if !asks.iter().all(|ask| keys.insert(&ask.key)) {
            return Err(StoreError::Conflict("one counter was asked twice"));
        }
        let mut tables = self.tables();
        let mut granted = Vec::with_capacity(asks.len());
        for (index, ask) in asks.iter().enumerate() {
            match ask.put_to(tables.counters.get(&ask.key), now) {
                Ok(counter) => granted.push(counter),
                Err(retry_after) => return Ok(Charge::Refused { index, retry_after }),
            }
        }
        let counts = granted.iter().map(|counter| counter.count).collect();
        for (ask, counter) in asks.iter().zip(granted) {
            if ask.cost > 0 {
                tables.counters.insert(ask.key.clone(), counter);
            }
        }
        Ok(Charge::Granted(counts))
    }

    async fn clear(&self, keys: &[CounterKey]) -> Stored<()> {
        let mut tables = self.tables();
        for key in keys {
            tables.counters.remove(key);
        }
        Ok(())
    }
}

#[async_trait]
impl NoticeStore for MemoryStore {
    async fn add_notices(&self, notices: &[Notice]) -> Stored<()> {
        let mut tables = self.tables();
        if notices
            .iter()
            .any(|notice| tables.notices.contains_key(&notice.id))
        {
            return Err(StoreError::Conflict("notice id"));
        }
        let rows = notices.iter().map(|notice| (notice.id.clone(), notice.clone()));
        tables.notices.extend(rows);
        Ok(())
    }

    async fn take_notices(&self, now: Timestamp, until: Timestamp, limit: u32) -> Stored<Vec<Notice>> {
        let mut tables = self.tables();
        let mut due: Vec<_> = tables.notices.values_mut().filter(|n| n.due_at <= now).collect();
        due.sort_by(|a, b| (a.due_at, &a.id).cmp(&(b.due_at, &b.id)));
        let taken = due.into_iter().take(limit as usize).map(|notice| {
            notice.due_at = until;
            notice.tries += 1;
            notice.clone()
        });
        Ok(taken.collect())
    }

    async fn finish_notice(&self, id: &NoticeId) -> Stored<()> {
        self.tables().notices.remove(id);
        Ok(())
    }
}

#[async_trait]
impl KeyStore for MemoryStore {
    async fn signing_keys(&self) -> Stored<Vec<SigningKeyRecord>> {
        let mut keys = self.tables().keys.clone();
        keys.sort_by(|a, b| (b.created_at, &b.id).cmp(&(a.created_at, &a.id)));
        Ok(keys)
    }

    async fn add_signing_key(&self, key: &SigningKeyRecord) -> Stored<bool> {
        let mut tables = self.tables();
        if tables.keys.iter().any(|other| other.slot == key.slot) {
            return Ok(false);
        }
        if tables.keys.iter().any(|other| other.id == key.id) {
            return Err(StoreError::Conflict("signing key id"));
        }
        tables.keys.push(key.clone());
        Ok(true)
    }

    async fn drop_signing_keys(&self, now: Timestamp) -> Stored<()> {
        self.tables().keys.retain(|key| now < key.verifies_until);
        Ok(())
    }

    async fn reseal_signing_key(&self, id: &KeyId, old: &[u8], sealed: &[u8]) -> Stored<bool> {
        let mut tables = self.tables();
        let key = tables
            .keys
            .iter_mut()
            .find(|key| key.id == *id && key.sealed == old);
        Ok(key.map(|key| key.sealed = sealed.to_vec()).is_some())
    }

    async fn secret_checks(&self) -> Stored<Vec<(KeyId, Mac)>> {
        Ok(self.tables().checks.clone())
    }

    async fn add_secret_check(&self, id: &KeyId, check: &Mac) -> Stored<()> {
        let mut tables = self.tables();
        if tables.checks.iter().any(|(other, _)| other == id) {
            return Err(StoreError::Conflict("secret id"));
        }
        tables.checks.push((id.clone(), *check));
        Ok(())
    }
}
