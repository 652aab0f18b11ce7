//! The verbs that cross records, each one transaction.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use stepup_core::error::StoreError;
use stepup_core::id::{ChallengeId, FactorId, MethodId, SessionHandle, TenantId, UserId};
use stepup_core::record::challenge::Answer;
use stepup_core::record::credential::CredentialKind;
use stepup_core::record::session::{Class, Session};
use stepup_core::record::user::{Identifier, Method, Summary, User, UserState};
use stepup_core::storage::{
    AccountOutcome, Enrollment, FactorCompletion, FactorOutcome, Flows, Keep, Look, NewAccount, SealedBy,
    Stored, UpdateOutcome, UserChange, UserUpdate,
};
use stepup_core::time::Timestamp;

use crate::pool::{SqliteStore, fault};
use crate::row::{Columns, json, malformed};
use crate::user::of;
use crate::{challenge, counter, credential, notice, session, user};

const IDENTIFIED: &str = "SELECT 1 FROM stepup_identifier
     WHERE tenant = ?1 AND user_id <> ?2 AND kind = ?3 AND value = ?4";

const IDENTIFY: &str = "INSERT INTO stepup_identifier (tenant, user_id, kind, value, method)
     VALUES (?1, ?2, ?3, ?4, ?5)";

/// One row for each contact, or one with none.
const LOOK: &str = concat!(
    "SELECT ",
    session::session_columns!("s."),
    ", ",
    user::user_columns!("u."),
    ", ",
    challenge::challenge_columns!("h."),
    ", ",
    credential::credential_columns!("c."),
    " FROM stepup_session s
      JOIN stepup_user u ON u.tenant = s.tenant AND u.id = s.user_id
      LEFT JOIN stepup_challenge h ON h.tenant = s.tenant AND h.id = ?2
      LEFT JOIN stepup_credential c ON c.tenant = s.tenant AND c.user_id = s.user_id AND c.kind = 'contact'
      WHERE s.handle = ?1
      ORDER BY c.created_at, c.id"
);

const REVISION: &str = "SELECT u.revision FROM stepup_session s
     JOIN stepup_user u ON u.tenant = s.tenant AND u.id = s.user_id AND u.state = 'live' AND u.epoch = s.epoch
     WHERE s.handle = ?3 AND s.tenant = ?1 AND s.user_id = ?2 AND s.idle_expires_at > ?4 AND s.ends_at > ?4";

const ENROLL: &str = "UPDATE stepup_user SET summary = ?3, revision = revision + 1, epoch = epoch + ?4
     WHERE tenant = ?1 AND id = ?2";

/// `?4`: how much the epoch rose in this transaction; `?5` forgets the factor, `?6` sets it, so that nothing of an
/// older completion shines through; `?8`: the digest of a rise, or none.
const COMPLETE: &str = concat!(
    "UPDATE stepup_session SET
        factors = json_patch(json_patch(factors, ?5), ?6),
        epoch = epoch + ?4,
        generation = CASE WHEN ?8 IS NULL THEN generation ELSE generation + 1 END,
        current = coalesce(?8, current),
        previous = CASE WHEN ?8 IS NULL THEN previous END,
        rotated_at = CASE WHEN ?8 IS NULL THEN rotated_at END,
        rotated_salt = CASE WHEN ?8 IS NULL THEN rotated_salt END,
        rotated_key = CASE WHEN ?8 IS NULL THEN rotated_key END,
        rotated_network = CASE WHEN ?8 IS NULL THEN rotated_network END,
        rotated_agent = CASE WHEN ?8 IS NULL THEN rotated_agent END,
        rise_generation = CASE WHEN ?8 IS NULL THEN rise_generation ELSE generation + 1 END,
        rise_at = CASE WHEN ?8 IS NULL THEN rise_at ELSE ?7 END,
        class = coalesce(?9, class),
        idle_expires_at = coalesce(?10, idle_expires_at),
        ends_at = coalesce(?11, ends_at)
     WHERE handle = ?3 AND tenant = ?1 AND user_id = ?2 AND idle_expires_at > ?7 AND ends_at > ?7
        AND epoch + ?4 = (SELECT u.epoch FROM stepup_user u WHERE u.tenant = ?1 AND u.id = ?2 AND u.state = 'live')
     RETURNING ",
    session::session_columns!("")
);

const CLOSE: &str = "UPDATE stepup_challenge SET closed = 1
     WHERE tenant = ?1 AND session = ?2 AND substr(purpose, instr(purpose, ':') + 1) = ?3";

const CHANGE: &str = concat!(
    "UPDATE stepup_user SET state = coalesce(?3, state), revision = revision + 1,
        epoch = (SELECT max(epoch) + 1 FROM stepup_user),
        summary = CASE WHEN ?4 THEN json_set(summary, '$.enrolled', json('[]')) ELSE summary END
     WHERE tenant = ?1 AND id = ?2 AND state <> 'deleted'
     RETURNING ",
    user::user_columns!("")
);

const UNBIND: &str = "DELETE FROM stepup_credential
     WHERE tenant = ?1 AND user_id = ?2 AND (kind <> 'password' OR ?3)";

const UPDATE: &str = concat!(
    "UPDATE stepup_user SET methods = ?3, summary = coalesce(?4, summary), revision = revision + 1,
        epoch = (SELECT max(epoch) + 1 FROM stepup_user)
     WHERE tenant = ?1 AND id = ?2
     RETURNING ",
    user::user_columns!("")
);

/// The member is [`Credential::RETIRED`](stepup_core::record::credential::Credential::RETIRED).
const RETIRE_PASSWORD: &str = "UPDATE stepup_credential SET version = version + 1,
        public = CASE json_type(public) WHEN 'object' THEN json_set(public, '$.retired', json('true'))
                                        ELSE json_object('retired', json('true')) END
     WHERE tenant = ?1 AND user_id = ?2 AND kind = 'password'";

const FORGET_PASSWORD: &str = "DELETE FROM stepup_credential
     WHERE tenant = ?1 AND user_id = ?2 AND kind = 'password'";

const FORGET_CONTACTS: &str = "DELETE FROM stepup_credential
     WHERE tenant = ?1 AND user_id = ?2 AND kind = 'contact'";

const FORGET_CHALLENGES: &str = "DELETE FROM stepup_challenge
     WHERE tenant = ?1 AND id IN (SELECT value FROM json_each(?2))";

/// Challenges of strangers are bound to no user.
const FORGET_STRANGERS: &str = "DELETE FROM stepup_challenge
     WHERE tenant = ?1 AND user_id = '' AND destination IN (SELECT value FROM json_each(?2))";

const REQUIRE: &str = "UPDATE stepup_user SET revision = revision + 1,
        summary = json_set(summary, '$.required', json(?4))
     WHERE tenant = ?1 AND id = ?2 AND state <> 'deleted' AND revision = ?3 RETURNING 1";

const SET_METHODS: &str = "UPDATE stepup_user SET methods = ?4, revision = revision + 1
     WHERE tenant = ?1 AND id = ?2 AND revision = ?3 AND state <> 'deleted' RETURNING 1";

const BURY: &str = "UPDATE stepup_user SET state = 'deleted', epoch = epoch + 1, revision = revision + 1,
        methods = '[]', summary = ?3, metadata = '{}'
     WHERE tenant = ?1 AND id = ?2 AND state <> 'deleted' RETURNING 1";

const FORGET_IDENTIFIERS: &str = "DELETE FROM stepup_identifier WHERE tenant = ?1 AND user_id = ?2";

const FORGET_NOTICES: &str = "DELETE FROM stepup_notice WHERE tenant = ?1 AND user_id = ?2";

const SEALED_BY: &str = "SELECT
        (SELECT count(*) FROM stepup_credential WHERE substr(sealed, 1, ?2) = ?1),
        (SELECT count(*) FROM stepup_signing_key WHERE substr(sealed, 1, ?2) = ?1),
        (SELECT count(*) FROM stepup_notice WHERE substr(sealed, 1, ?2) = ?1)";

const SWEEP_SESSIONS: &str = "DELETE FROM stepup_session WHERE rowid IN (
        SELECT rowid FROM stepup_session WHERE min(idle_expires_at, ends_at) <= ?1 LIMIT ?2)";

const SWEEP_CHALLENGES: &str = "DELETE FROM stepup_challenge WHERE rowid IN (
        SELECT rowid FROM stepup_challenge WHERE ends_at <= ?1 LIMIT ?2)";

const SWEEP_COUNTERS: &str = "DELETE FROM stepup_counter WHERE name IN (
        SELECT name FROM stepup_counter WHERE over_at <= ?1 LIMIT ?2)";

#[async_trait]
impl Flows for SqliteStore {
    async fn create_account(&self, account: &NewAccount) -> Stored<AccountOutcome> {
        let account = account.clone();
        self.transact(move |tx| Box::pin(async move { create(tx, &account).await }))
            .await
    }

    async fn look(&self, handle: &SessionHandle, challenge: Option<&ChallengeId>) -> Stored<Option<Look>> {
        let statement = sqlx::query(LOOK)
            .bind(handle.as_str())
            .bind(challenge.map(ChallengeId::as_str));
        let rows = self.read(statement).await?;
        let mut look: Option<Look> = None;
        for row in &rows {
            let mut columns = Columns::of(row);
            let (session, user) = (session::read(&mut columns)?, user::read(&mut columns)?);
            let challenge = challenge::read_joined(&mut columns)?;
            let contact = credential::read_joined(&mut columns)?;
            let look = look.get_or_insert_with(|| Look {
                session,
                user,
                contacts: Vec::new(),
                challenge,
            });
            look.contacts.extend(contact);
        }
        Ok(look)
    }

    async fn complete_factor(&self, completion: &FactorCompletion) -> Stored<FactorOutcome> {
        let completion = completion.clone();
        self.transact(move |tx| Box::pin(async move { complete(tx, &completion).await }))
            .await
    }

    async fn change_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        change: &UserChange,
    ) -> Stored<Option<User>> {
        let (tenant, user, changes) = (tenant.clone(), user.clone(), change.clone());
        self.transact(move |tx| Box::pin(async move { self::change(tx, &tenant, &user, &changes).await }))
            .await
    }

    async fn update_user(&self, update: &UserUpdate) -> Stored<UpdateOutcome> {
        let update = update.clone();
        self.transact(move |tx| Box::pin(async move { self::update(tx, &update).await }))
            .await
    }

    async fn require_factors(
        &self,
        tenant: &TenantId,
        user: &UserId,
        revision: i64,
        required: &[FactorId],
    ) -> Stored<bool> {
        // SQLite has one writer: a refresh comes before this or after it, and no session row needs to be touched.
        let statement = of(REQUIRE, tenant, user).bind(revision).bind(json(required)?);
        Ok(!self.write(statement).await?.is_empty())
    }

    async fn set_methods(
        &self,
        tenant: &TenantId,
        user: &UserId,
        revision: i64,
        methods: &[Method],
    ) -> Stored<bool> {
        let statement = of(SET_METHODS, tenant, user).bind(revision).bind(json(methods)?);
        Ok(!self.write(statement).await?.is_empty())
    }

    async fn delete_user(&self, tenant: &TenantId, user: &UserId) -> Stored<Option<Vec<SessionHandle>>> {
        let (tenant, user) = (tenant.clone(), user.clone());
        self.transact(move |tx| Box::pin(async move { delete(tx, &tenant, &user).await }))
            .await
    }

    async fn sealed_by(&self, head: &[u8]) -> Stored<SealedBy> {
        let length = i64::try_from(head.len()).unwrap_or(i64::MAX);
        let rows = self.read(sqlx::query(SEALED_BY).bind(head).bind(length)).await?;
        let row = rows.first().ok_or_else(crate::row::malformed)?;
        let mut columns = Columns::of(row);
        let mut next = || Ok(u64::try_from(columns.int()?).unwrap_or_default());
        Ok(SealedBy {
            credentials: next()?,
            signing_keys: next()?,
            notices: next()?,
        })
    }

    async fn sweep(&self, now: Timestamp, limit: u32) -> Stored<u64> {
        // One transaction each: nobody who waits for a turn waits for all three.
        let mut swept = 0;
        for sql in [SWEEP_SESSIONS, SWEEP_CHALLENGES, SWEEP_COUNTERS] {
            swept += self
                .transact(move |tx| {
                    Box::pin(async move {
                        let sweep = sqlx::query(sql).bind(now.as_ms()).bind(i64::from(limit));
                        Ok(sweep.execute(tx).await.map_err(fault)?.rows_affected())
                    })
                })
                .await?;
        }
        Ok(swept)
    }

    async fn ping(&self) -> Stored<()> {
        self.check_schema().await?;
        // Reading works while somebody else holds the lock, and helps nobody: every sign-in writes. Nothing is written.
        self.transact(|_| Box::pin(async { Ok(()) })).await
    }
}

async fn create(tx: &mut SqliteConnection, account: &NewAccount) -> Stored<AccountOutcome> {
    let user = &account.user;
    for (identifier, _) in &account.identifiers {
        if is_taken(tx, &user.tenant, &user.id, identifier).await? {
            return Ok(AccountOutcome::IdentifierTaken);
        }
    }
    user::insert(tx, user).await?;
    identify(tx, &user.tenant, &user.id, &account.identifiers).await?;
    for credential in &account.credentials {
        credential::insert(tx, credential).await?;
    }
    if let Some(session) = &account.session {
        if session.tenant != user.tenant || session.user != user.id {
            return Err(StoreError::Conflict("a session of another user"));
        }
        let rows = session::opening(session)?
            .fetch_all(&mut *tx)
            .await
            .map_err(fault)?;
        if rows.is_empty() {
            return Err(StoreError::Conflict("a session of another epoch"));
        }
    }
    Ok(AccountOutcome::Created)
}

/// Whether `identifier` signs in to another user than this one.
async fn is_taken(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    user: &UserId,
    identifier: &Identifier,
) -> Stored<bool> {
    let rows = of(IDENTIFIED, tenant, user)
        .bind(identifier.kind.as_str())
        .bind(identifier.value.as_str())
        .fetch_all(tx)
        .await
        .map_err(fault)?;
    Ok(!rows.is_empty())
}

/// Adds what a user signs in by. The primary key has the last word on whether it is free.
async fn identify(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    user: &UserId,
    identifiers: &[(Identifier, MethodId)],
) -> Stored<()> {
    for (identifier, method) in identifiers {
        of(IDENTIFY, tenant, user)
            .bind(identifier.kind.as_str())
            .bind(identifier.value.as_str())
            .bind(method.as_str())
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
    }
    Ok(())
}

async fn complete(tx: &mut SqliteConnection, completion: &FactorCompletion) -> Stored<FactorOutcome> {
    let FactorCompletion {
        tenant,
        user,
        handle,
        now,
        ..
    } = completion;
    let mut risen = 0;
    if let Some(enrollment) = &completion.enrollment {
        let rows = of(REVISION, tenant, user)
            .bind(handle.as_str())
            .bind(now.as_ms())
            .fetch_all(&mut *tx)
            .await
            .map_err(fault)?;
        match rows.first().map(|row| Columns::of(row).int()).transpose()? {
            None => return Ok(FactorOutcome::Gone),
            Some(revision) if revision != enrollment.revision => return Ok(FactorOutcome::Outrun),
            Some(_) => {
                if let Some(payment) = &enrollment.paid_by
                    && challenge::pay(tx, tenant, payment).await? != Answer::Right
                {
                    return Ok(FactorOutcome::Outrun);
                }
                risen = enroll(tx, completion, enrollment).await?;
            }
        }
    }
    let Some(session) = record(tx, completion, risen).await? else {
        return match completion.enrollment {
            None => Ok(FactorOutcome::Gone),
            // It was there a moment ago, under the same lock. An error undoes the enrollment.
            Some(_) => Err(malformed()),
        };
    };
    sqlx::query(CLOSE)
        .bind(tenant.as_str())
        .bind(handle.as_str())
        .bind(completion.factor.as_str())
        .execute(&mut *tx)
        .await
        .map_err(fault)?;
    if !completion.clear.is_empty() {
        counter::clearing(&completion.clear)?
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
    }
    let user = user::one(tx, tenant, user).await?.ok_or_else(malformed)?;
    Ok(FactorOutcome::Done(Box::new((session, user))))
}

/// Writes an enrollment; how much the epoch rose by it.
async fn enroll(
    tx: &mut SqliteConnection,
    completion: &FactorCompletion,
    enrollment: &Enrollment,
) -> Stored<i64> {
    let FactorCompletion {
        tenant, user, handle, ..
    } = completion;
    let risen = i64::from(enrollment.end_others);
    of(ENROLL, tenant, user)
        .bind(json(&enrollment.summary)?)
        .bind(risen)
        .execute(&mut *tx)
        .await
        .map_err(fault)?;
    credential::insert(tx, &enrollment.credential).await?;
    notice::insert(tx, &enrollment.notices).await?;
    if enrollment.end_others {
        session::end_all(tx, tenant, user, Some(handle)).await?;
    }
    for challenge in &enrollment.challenges {
        challenge::insert(tx, challenge).await?;
    }
    Ok(risen)
}

/// Writes the completed factor and the rise into the session; none if it may not have them.
async fn record(
    tx: &mut SqliteConnection,
    completion: &FactorCompletion,
    risen: i64,
) -> Stored<Option<Session>> {
    let rise = completion.rise.as_ref();
    let factor = completion.factor.as_str();
    let rows = of(COMPLETE, &completion.tenant, &completion.user)
        .bind(completion.handle.as_str())
        .bind(risen)
        .bind(json(&serde_json::json!({ factor: null }))?)
        .bind(json(&serde_json::json!({ factor: completion.completion }))?)
        .bind(completion.now.as_ms())
        .bind(rise.map(|rise| rise.secret.as_bytes().as_slice()))
        .bind(rise.map(|rise| Class::as_str(rise.class)))
        .bind(rise.map(|rise| rise.idle_expires_at.as_ms()))
        .bind(rise.map(|rise| rise.ends_at.as_ms()))
        .fetch_all(tx)
        .await
        .map_err(fault)?;
    rows.first()
        .map(|row| session::read(&mut Columns::of(row)))
        .transpose()
}

/// Applies `change` to a user and ends what it was signed in to.
pub(crate) async fn change(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    id: &UserId,
    change: &UserChange,
) -> Stored<Option<User>> {
    if change.state == Some(UserState::Deleted) {
        return Err(StoreError::Conflict("a user is deleted by delete_user"));
    }
    if let Some(payment) = &change.paid_by {
        let found = user::one(tx, tenant, id).await?;
        let is_there = found.is_some_and(|user| user.state != UserState::Deleted);
        if !is_there || challenge::pay(tx, tenant, payment).await? != Answer::Right {
            return Ok(None);
        }
    }
    let rows = of(CHANGE, tenant, id)
        .bind(change.state.map(UserState::as_str))
        .bind(change.reset_factors)
        .fetch_all(&mut *tx)
        .await
        .map_err(fault)?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let user = user::read(&mut Columns::of(row))?;
    if change.reset_factors {
        of(UNBIND, tenant, id)
            .bind(false)
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
    }
    if change.retire_password {
        let retire = of(RETIRE_PASSWORD, tenant, id);
        retire.execute(&mut *tx).await.map_err(fault)?;
    }
    session::end_all(tx, tenant, id, None).await?;
    notice::insert(tx, &change.notices).await?;
    Ok(Some(user))
}

/// Replaces how a user signs in, and ends what it was signed in to. Whoever is refused is refused before anything is
/// written, under the lock.
async fn update(tx: &mut SqliteConnection, update: &UserUpdate) -> Stored<UpdateOutcome> {
    let (tenant, id) = (&update.tenant, &update.user);
    let found = user::one(tx, tenant, id).await?;
    let epoch = match found.filter(|user| user.state != UserState::Deleted) {
        None => return Ok(UpdateOutcome::Gone),
        Some(user) if user.revision != update.revision => return Ok(UpdateOutcome::Outrun),
        Some(user) => user.epoch,
    };
    if let Some(keep) = &update.keep {
        let alive = of(REVISION, tenant, id)
            .bind(keep.handle.as_str())
            .bind(keep.now.as_ms());
        if alive.fetch_all(&mut *tx).await.map_err(fault)?.is_empty() {
            return Ok(UpdateOutcome::Gone);
        }
    }
    let beside = &update.beside;
    if let Some(payment) = &beside.paid_by {
        match challenge::pay(tx, tenant, payment).await? {
            Answer::Right => {}
            other => return Ok(UpdateOutcome::Unpaid(other)),
        }
    }
    for (identifier, _) in &update.identifiers {
        if is_taken(tx, tenant, id, identifier).await? {
            if let Some(payment) = &beside.paid_by {
                challenge::refund(tx, tenant, payment).await?;
            }
            return Ok(UpdateOutcome::IdentifierTaken(identifier.kind));
        }
    }
    let summary = beside.second.as_ref().map(|second| json(&second.summary));
    let rows = of(UPDATE, tenant, id)
        .bind(json(&update.methods)?)
        .bind(summary.transpose()?)
        .fetch_all(&mut *tx)
        .await
        .map_err(fault)?;
    let user = user::read(&mut Columns::of(rows.first().ok_or_else(malformed)?))?;
    let forget = of(FORGET_IDENTIFIERS, tenant, id);
    forget.execute(&mut *tx).await.map_err(fault)?;
    identify(tx, tenant, id, &update.identifiers).await?;
    if let Some(password) = &update.password {
        if password.kind != CredentialKind::Password || (&password.tenant, &password.user) != (tenant, id) {
            return Err(StoreError::Conflict(
                "a credential that is no password of the user",
            ));
        }
        let forget = of(FORGET_PASSWORD, tenant, id);
        forget.execute(&mut *tx).await.map_err(fault)?;
        credential::insert(tx, password).await?;
    }
    if beside.retire_password {
        let retire = of(RETIRE_PASSWORD, tenant, id);
        retire.execute(&mut *tx).await.map_err(fault)?;
    }
    if let Some(second) = &beside.second {
        let forget = of(FORGET_CONTACTS, tenant, id);
        forget.execute(&mut *tx).await.map_err(fault)?;
        for contact in &second.contacts {
            if contact.kind != CredentialKind::Contact || (&contact.tenant, &contact.user) != (tenant, id) {
                return Err(StoreError::Conflict(
                    "a credential that is no contact of the user",
                ));
            }
            credential::insert(tx, contact).await?;
        }
    }
    let handle = update.keep.as_ref().map(|keep| &keep.handle);
    session::end_all(tx, tenant, id, handle).await?;
    if !update.contacts.is_empty() {
        sqlx::query(FORGET_STRANGERS)
            .bind(tenant.as_str())
            .bind(json(&update.contacts)?)
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
    }
    if !beside.end.is_empty() {
        sqlx::query(FORGET_CHALLENGES)
            .bind(tenant.as_str())
            .bind(json(&beside.end)?)
            .execute(&mut *tx)
            .await
            .map_err(fault)?;
    }
    for begun in &beside.begin {
        challenge::insert(tx, begun).await?;
    }
    notice::insert(tx, &update.notices).await?;
    match &update.keep {
        None => Ok(UpdateOutcome::Done(Box::new(user))),
        Some(keep) => {
            let kept = keep_on(tx, update, keep, user.epoch - epoch).await?;
            Ok(UpdateOutcome::Kept(Box::new((kept, user))))
        }
    }
}

/// Takes a session along into the new epoch of its user.
async fn keep_on(tx: &mut SqliteConnection, update: &UserUpdate, keep: &Keep, risen: i64) -> Stored<Session> {
    let Keep { handle, rise, now } = keep;
    let rise = rise.as_ref();
    let nothing = json(&serde_json::json!({}))?;
    let rows = of(COMPLETE, &update.tenant, &update.user)
        .bind(handle.as_str())
        .bind(risen)
        .bind(nothing.clone())
        .bind(nothing)
        .bind(now.as_ms())
        .bind(rise.map(|rise| rise.secret.as_bytes().to_vec()))
        .bind(rise.map(|rise| Class::as_str(rise.class)))
        .bind(rise.map(|rise| rise.idle_expires_at.as_ms()))
        .bind(rise.map(|rise| rise.ends_at.as_ms()))
        .fetch_all(tx)
        .await
        .map_err(fault)?;
    // It was there a moment ago, under the same lock. An error undoes the update.
    session::read(&mut Columns::of(rows.first().ok_or_else(malformed)?))
}

/// Deletes everything of a user but a tombstone.
pub(crate) async fn delete(
    tx: &mut SqliteConnection,
    tenant: &TenantId,
    id: &UserId,
) -> Stored<Option<Vec<SessionHandle>>> {
    let rows = of(BURY, tenant, id)
        .bind(json(&Summary::default())?)
        .fetch_all(&mut *tx)
        .await
        .map_err(fault)?;
    if rows.is_empty() {
        return Ok(None);
    }
    for sql in [FORGET_IDENTIFIERS, FORGET_NOTICES] {
        of(sql, tenant, id).execute(&mut *tx).await.map_err(fault)?;
    }
    of(UNBIND, tenant, id)
        .bind(true)
        .execute(&mut *tx)
        .await
        .map_err(fault)?;
    session::end_all(tx, tenant, id, None).await.map(Some)
}
