//! The verbs that cross records.

use async_trait::async_trait;

use super::{MemoryStore, Tables, of_user};
use crate::error::StoreError;
use crate::id::{ChallengeId, FactorId, SessionHandle, TenantId, UserId};
use crate::record::challenge::Answer;
use crate::record::credential::{Credential, CredentialKind};
use crate::record::session::{Rise, Session};
use crate::record::user::{Identifier, Method, Summary, User, UserState};
use crate::storage::{
    AccountOutcome, Enrollment, FactorCompletion, FactorOutcome, Flows, Look, NewAccount, RiseTo, SealedBy,
    Stored, UpdateOutcome, UserChange, UserUpdate,
};
use crate::time::Timestamp;

#[async_trait]
impl Flows for MemoryStore {
    async fn create_account(&self, account: &NewAccount) -> Stored<AccountOutcome> {
        let mut tables = self.tables();
        let user = &account.user;
        let key = (user.tenant.clone(), user.id.clone());
        let named = |identifier: &Identifier| (user.tenant.clone(), identifier.clone());
        if account
            .identifiers
            .iter()
            .any(|(i, _)| tables.identifiers.contains_key(&named(i)))
        {
            return Ok(AccountOutcome::IdentifierTaken);
        }
        if tables.users.contains_key(&key) {
            return Err(StoreError::Conflict("user id"));
        }
        if account.credentials.iter().any(|c| tables.has_credential(c)) {
            return Err(StoreError::Conflict("credential id"));
        }
        if let Some(session) = &account.session {
            if tables.sessions.contains_key(&session.handle) {
                return Err(StoreError::Conflict("session handle"));
            }
            let of_user = session.tenant == user.tenant && session.user == user.id;
            if !of_user || session.epoch != user.epoch || user.state != UserState::Live {
                return Err(StoreError::Conflict("a session of another user or epoch"));
            }
        }
        for (identifier, method) in &account.identifiers {
            let owner = (user.id.clone(), method.clone());
            tables.identifiers.insert(named(identifier), owner);
        }
        for credential in &account.credentials {
            tables.add_credential(credential);
        }
        if let Some(session) = &account.session {
            tables.sessions.insert(session.handle.clone(), session.clone());
        }
        tables.users.insert(key, user.clone());
        Ok(AccountOutcome::Created)
    }

    async fn look(&self, handle: &SessionHandle, challenge: Option<&ChallengeId>) -> Stored<Option<Look>> {
        let tables = self.tables();
        let Some(session) = tables.sessions.get(handle) else {
            return Ok(None);
        };
        let Some(user) = tables.users.get(&(session.tenant.clone(), session.user.clone())) else {
            return Ok(None);
        };
        let challenge = challenge.and_then(|id| tables.challenges.get(&(session.tenant.clone(), id.clone())));
        Ok(Some(Look {
            session: session.clone(),
            user: user.clone(),
            contacts: of_user(&tables, &session.tenant, &session.user, CredentialKind::Contact),
            challenge: challenge.cloned(),
        }))
    }

    async fn complete_factor(&self, completion: &FactorCompletion) -> Stored<FactorOutcome> {
        let mut tables = self.tables();
        let at = completion.now;
        let found = tables.sessions.get(&completion.handle).filter(|session| {
            session.tenant == completion.tenant && session.user == completion.user && !session.is_over(at)
        });
        let Some(mut session) = found.cloned() else {
            return Ok(FactorOutcome::Gone);
        };
        let Some(mut user) = tables.live_user(&session).cloned() else {
            return Ok(FactorOutcome::Gone);
        };
        if let Some(enrollment) = &completion.enrollment {
            if user.revision != enrollment.revision {
                return Ok(FactorOutcome::Outrun);
            }
            if tables.has_credential(&enrollment.credential) {
                return Err(StoreError::Conflict("credential id"));
            }
            tables.check_notices(&enrollment.notices)?;
            tables.check_challenges(&enrollment.challenges)?;
            if let Some(payment) = &enrollment.paid_by
                && tables.pay(&completion.tenant, payment)? != Answer::Right
            {
                return Ok(FactorOutcome::Outrun);
            }
        }

        session
            .factors
            .insert(completion.factor.clone(), completion.completion.clone());
        if let Some(rise) = &completion.rise {
            rise_to(&mut session, rise, at);
        }
        for challenge in tables.challenges.values_mut() {
            let binding = &challenge.binding;
            if challenge.tenant == session.tenant
                && binding.session == session.handle
                && binding.factor() == completion.factor
            {
                challenge.closed = true;
            }
        }
        if let Some(enrollment) = &completion.enrollment {
            enroll(&mut tables, &mut user, &mut session, enrollment);
        }
        for key in &completion.clear {
            tables.counters.remove(key);
        }
        tables.sessions.insert(session.handle.clone(), session.clone());
        tables
            .users
            .insert((user.tenant.clone(), user.id.clone()), user.clone());
        Ok(FactorOutcome::Done(Box::new((session, user))))
    }

    async fn change_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        change: &UserChange,
    ) -> Stored<Option<User>> {
        if change.state == Some(UserState::Deleted) {
            return Err(StoreError::Conflict("a user is deleted by delete_user"));
        }
        let mut tables = self.tables();
        tables.check_notices(&change.notices)?;
        let newest = tables.newest_epoch();
        if tables.user_mut(tenant, user).is_none() {
            return Ok(None);
        }
        if let Some(payment) = &change.paid_by
            && tables.pay(tenant, payment)? != Answer::Right
        {
            return Ok(None);
        }
        let Some(row) = tables.user_mut(tenant, user) else {
            return Ok(None);
        };
        row.state = change.state.unwrap_or(row.state);
        row.epoch = newest + 1;
        row.revision += 1;
        if change.reset_factors {
            row.summary.enrolled.clear();
        }
        let row = row.clone();
        if change.reset_factors {
            tables
                .credentials
                .retain(|_, c| c.tenant != *tenant || c.user != *user || c.kind == CredentialKind::Password);
        }
        if change.retire_password {
            tables.retire_password(tenant, user);
        }
        tables.end_sessions(tenant, user, None);
        tables.add_notices(&change.notices);
        Ok(Some(row))
    }

    async fn update_user(&self, update: &UserUpdate) -> Stored<UpdateOutcome> {
        let (tenant, id) = (&update.tenant, &update.user);
        let mut tables = self.tables();
        let Some(user) = tables.user_mut(tenant, id).cloned() else {
            return Ok(UpdateOutcome::Gone);
        };
        if user.revision != update.revision {
            return Ok(UpdateOutcome::Outrun);
        }
        let mut kept = None;
        if let Some(keep) = &update.keep {
            let found = tables.sessions.get(&keep.handle).filter(|session| {
                session.tenant == *tenant && session.user == *id && !session.is_over(keep.now)
            });
            let Some(session) = found.filter(|session| tables.live_user(session).is_some()) else {
                return Ok(UpdateOutcome::Gone);
            };
            kept = Some(session.clone());
        }
        let beside = &update.beside;
        if let Some(payment) = &beside.paid_by {
            let owed = tables.peek(tenant, payment)?;
            if owed != Answer::Right {
                return Ok(UpdateOutcome::Unpaid(tables.pay(tenant, payment)?));
            }
        }
        for (identifier, _) in &update.identifiers {
            let named = (tenant.clone(), identifier.clone());
            if tables
                .identifiers
                .get(&named)
                .is_some_and(|(owner, _)| owner != id)
            {
                return Ok(UpdateOutcome::IdentifierTaken(identifier.kind));
            }
        }
        tables.check_notices(&update.notices)?;
        if let Some(password) = &update.password {
            if password.kind != CredentialKind::Password || (&password.tenant, &password.user) != (tenant, id)
            {
                return Err(StoreError::Conflict(
                    "a credential that is no password of the user",
                ));
            }
            if tables.has_credential(password) {
                return Err(StoreError::Conflict("credential id"));
            }
        }
        tables.check_challenges(&beside.begin)?;
        let of_user =
            |c: &Credential| c.kind == CredentialKind::Contact && (&c.tenant, &c.user) == (tenant, id);
        for contact in beside.second.iter().flat_map(|second| &second.contacts) {
            if !of_user(contact) {
                return Err(StoreError::Conflict(
                    "a credential that is no contact of the user",
                ));
            }
            if tables
                .credentials
                .values()
                .any(|c| c.id == contact.id && c.tenant == *tenant && c.kind == contact.kind && !of_user(c))
            {
                return Err(StoreError::Conflict("credential id"));
            }
        }
        if let Some(payment) = &beside.paid_by {
            tables.pay(tenant, payment)?;
        }

        let user = User {
            epoch: tables.newest_epoch() + 1,
            revision: user.revision + 1,
            methods: update.methods.clone(),
            summary: beside
                .second
                .as_ref()
                .map_or(user.summary, |second| second.summary.clone()),
            ..user
        };
        tables.users.insert((tenant.clone(), id.clone()), user.clone());
        tables
            .identifiers
            .retain(|(of, _), (owner, _)| of != tenant || owner != id);
        for (identifier, method) in &update.identifiers {
            let named = (tenant.clone(), identifier.clone());
            tables.identifiers.insert(named, (id.clone(), method.clone()));
        }
        if let Some(password) = &update.password {
            tables
                .credentials
                .retain(|_, c| c.tenant != *tenant || c.user != *id || c.kind != CredentialKind::Password);
            tables.add_credential(password);
        }
        if beside.retire_password {
            tables.retire_password(tenant, id);
        }
        if let Some(second) = &beside.second {
            tables.credentials.retain(|_, c| !of_user(c));
            for contact in &second.contacts {
                tables.add_credential(contact);
            }
        }
        tables.end_sessions(tenant, id, update.keep.as_ref().map(|keep| &keep.handle));
        for ended in &beside.end {
            tables.challenges.remove(&(tenant.clone(), ended.clone()));
        }
        tables.challenges.retain(|_, c| {
            c.tenant != *tenant
                || !c.binding.user.as_str().is_empty()
                || !update.contacts.contains(&c.destination)
        });
        for challenge in &beside.begin {
            tables.add_challenge(challenge);
        }
        tables.add_notices(&update.notices);
        if let (Some(mut session), Some(keep)) = (kept, &update.keep) {
            if let Some(rise) = &keep.rise {
                rise_to(&mut session, rise, keep.now);
            }
            session.epoch = user.epoch;
            tables.sessions.insert(session.handle.clone(), session.clone());
            return Ok(UpdateOutcome::Kept(Box::new((session, user))));
        }
        Ok(UpdateOutcome::Done(Box::new(user)))
    }

    async fn require_factors(
        &self,
        tenant: &TenantId,
        user: &UserId,
        revision: i64,
        required: &[FactorId],
    ) -> Stored<bool> {
        let mut tables = self.tables();
        let Some(row) = tables
            .user_mut(tenant, user)
            .filter(|row| row.revision == revision)
        else {
            return Ok(false);
        };
        row.summary.required = required.to_vec();
        row.revision += 1;
        Ok(true)
    }

    async fn set_methods(
        &self,
        tenant: &TenantId,
        user: &UserId,
        revision: i64,
        methods: &[Method],
    ) -> Stored<bool> {
        let mut tables = self.tables();
        let Some(row) = tables
            .user_mut(tenant, user)
            .filter(|row| row.revision == revision)
        else {
            return Ok(false);
        };
        row.methods = methods.to_vec();
        row.revision += 1;
        Ok(true)
    }

    async fn delete_user(&self, tenant: &TenantId, user: &UserId) -> Stored<Option<Vec<SessionHandle>>> {
        let mut tables = self.tables();
        let Some(row) = tables.user_mut(tenant, user) else {
            return Ok(None);
        };
        row.state = UserState::Deleted;
        row.epoch += 1;
        row.revision += 1;
        row.methods.clear();
        row.summary = Summary::default();
        row.metadata.clear();
        tables
            .identifiers
            .retain(|(of, _), (owner, _)| of != tenant || owner != user);
        tables
            .credentials
            .retain(|_, c| c.tenant != *tenant || c.user != *user);
        tables
            .notices
            .retain(|_, n| n.tenant != *tenant || n.user != *user);
        Ok(Some(tables.end_sessions(tenant, user, None)))
    }

    async fn sealed_by(&self, head: &[u8]) -> Stored<SealedBy> {
        let tables = self.tables();
        let count = |sealed: &mut dyn Iterator<Item = &[u8]>| {
            sealed.filter(|sealed| sealed.starts_with(head)).count() as u64
        };
        Ok(SealedBy {
            credentials: count(&mut tables.credentials.values().filter_map(|c| c.sealed.as_deref())),
            signing_keys: count(&mut tables.keys.iter().map(|key| &*key.sealed)),
            notices: count(&mut tables.notices.values().map(|notice| &*notice.sealed)),
        })
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Stored<u64> {
        let mut tables = self.tables();
        let limit = limit as usize;
        let sessions = tables
            .sessions
            .extract_if(|_, s| s.is_over(now))
            .take(limit)
            .count();
        let challenges = tables
            .challenges
            .extract_if(|_, c| c.ends_at <= now)
            .take(limit)
            .count();
        let counters = tables
            .counters
            .extract_if(|_, c| c.over_at <= now)
            .take(limit)
            .count();
        Ok((sessions + challenges + counters) as u64)
    }

    async fn clock(&self) -> Stored<Option<Timestamp>> {
        Ok(self.clock.as_ref().map(|clock| clock.now()))
    }

    async fn ping(&self) -> Stored<()> {
        Ok(())
    }
}

/// Writes a rise in assurance into the session: no earlier token leads to the new one.
fn rise_to(session: &mut Session, rise: &RiseTo, at: Timestamp) {
    let chain = &mut session.chain;
    chain.generation += 1;
    chain.current = rise.secret;
    chain.previous = None;
    chain.rotated = None;
    chain.rise = Some(Rise {
        generation: chain.generation,
        at,
    });
    session.class = rise.class;
    session.idle_expires_at = rise.idle_expires_at;
    session.ends_at = rise.ends_at;
}

/// Writes an enrollment: credential, summary, notices and, if the others end, a new epoch that `session` takes.
fn enroll(tables: &mut Tables, user: &mut User, session: &mut Session, enrollment: &Enrollment) {
    tables.add_credential(&enrollment.credential);
    tables.add_notices(&enrollment.notices);
    user.summary = enrollment.summary.clone();
    user.revision += 1;
    if enrollment.end_others {
        user.epoch += 1;
        session.epoch = user.epoch;
        tables.end_sessions(&user.tenant, &user.id, Some(&session.handle));
    }
    for challenge in &enrollment.challenges {
        tables.add_challenge(challenge);
    }
}
