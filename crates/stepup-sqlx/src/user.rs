//! Users, and what the application does to them inside a transaction of its own.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Sqlite, Transaction};
use stepup_core::id::{SessionHandle, TenantId, UserId};
use stepup_core::record::JsonMap;
use stepup_core::record::user::{Changed, Identifier, User, UserState, merge};
use stepup_core::storage::{Account, Stored, UserChange, UserStore};
use stepup_core::time::Timestamp;

use crate::credential;
use crate::flows;
use crate::pool::{SqliteStore, Statement, fault};
use crate::row::{Columns, json};

/// The columns of a user, in the order that [`read`] reads.
macro_rules! user_columns {
    ($of:literal) => {
        concat!(
            $of,
            "tenant, ",
            $of,
            "id, ",
            $of,
            "state, ",
            $of,
            "epoch, ",
            $of,
            "revision, ",
            $of,
            "methods, ",
            $of,
            "summary, ",
            $of,
            "metadata, ",
            $of,
            "created_at"
        )
    };
}
pub(crate) use user_columns;

const SELECT: &str = concat!(
    "SELECT ",
    user_columns!(""),
    " FROM stepup_user WHERE tenant = ?1 AND id = ?2"
);

const SELECT_BY_IDENTIFIER: &str = concat!(
    "SELECT ",
    user_columns!("u."),
    ", ",
    credential::credential_columns!("c."),
    " FROM stepup_identifier i
      JOIN stepup_user u ON u.tenant = i.tenant AND u.id = i.user_id
      LEFT JOIN stepup_credential c ON c.tenant = u.tenant AND c.user_id = u.id AND c.kind = 'password'
      WHERE i.tenant = ?1 AND i.kind = ?2 AND i.value = ?3
      ORDER BY c.created_at, c.id LIMIT 1"
);

const INSERT: &str =
    "INSERT INTO stepup_user (tenant, id, state, epoch, revision, methods, summary, metadata, created_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const ENSURE: &str =
    "INSERT INTO stepup_user (tenant, id, state, epoch, revision, methods, summary, metadata, created_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
     ON CONFLICT (tenant, id) DO NOTHING";

const SELECT_AFTER: &str = concat!(
    "SELECT ",
    user_columns!(""),
    " FROM stepup_user WHERE (tenant, id) > (?1, ?2) ORDER BY tenant, id LIMIT ?3"
);

const NEWEST_EPOCH: &str = "SELECT coalesce(max(epoch), 1) FROM stepup_user";

const SET_METADATA: &str =
    "UPDATE stepup_user SET metadata = ?3 WHERE tenant = ?1 AND id = ?2 AND state <> 'deleted' RETURNING 1";

#[async_trait]
impl UserStore for SqliteStore {
    async fn user(&self, tenant: &TenantId, id: &UserId) -> Stored<Option<User>> {
        let rows = self.read(of(SELECT, tenant, id)).await?;
        rows.first().map(|row| read(&mut Columns::of(row))).transpose()
    }

    async fn user_by_identifier(
        &self,
        tenant: &TenantId,
        identifier: &Identifier,
    ) -> Stored<Option<Account>> {
        let statement = sqlx::query(SELECT_BY_IDENTIFIER)
            .bind(tenant.as_str())
            .bind(identifier.kind.as_str())
            .bind(identifier.value.as_str());
        let rows = self.read(statement).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut columns = Columns::of(row);
        let user = read(&mut columns)?;
        let password = credential::read_joined(&mut columns)?;
        Ok(Some(Account { user, password }))
    }

    async fn merge_metadata(
        &self,
        tenant: &TenantId,
        id: &UserId,
        patch: &JsonMap,
    ) -> Stored<Option<JsonMap>> {
        let (tenant, id, patch) = (tenant.clone(), id.clone(), patch.clone());
        // Not merged by SQL: `json_patch` goes deeper than the first level. The lock is held from the first look on.
        self.transact(move |tx| {
            Box::pin(async move {
                let found = one(tx, &tenant, &id).await?;
                let Some(user) = found.filter(|user| user.state != UserState::Deleted) else {
                    return Ok(None);
                };
                let mut metadata = user.metadata;
                merge(&mut metadata, &patch);
                let set = of(SET_METADATA, &tenant, &id).bind(json(&metadata)?);
                set.fetch_all(&mut *tx).await.map_err(fault)?;
                Ok(Some(metadata))
            })
        })
        .await
    }

    async fn clear_metadata(&self, tenant: &TenantId, id: &UserId) -> Stored<bool> {
        let rows = self.write(of(SET_METADATA, tenant, id).bind("{}")).await?;
        Ok(!rows.is_empty())
    }

    async fn ensure_user(&self, user: &User) -> Stored<User> {
        let (tenant, id) = (user.tenant.clone(), user.id.clone());
        let statement = written(ENSURE, user)?;
        self.transact(move |tx| {
            Box::pin(async move {
                statement.execute(&mut *tx).await.map_err(fault)?;
                one(tx, &tenant, &id).await?.ok_or_else(crate::row::malformed)
            })
        })
        .await
    }

    async fn newest_epoch(&self) -> Stored<i64> {
        let rows = self.read(sqlx::query(NEWEST_EPOCH)).await?;
        let row = rows.first().ok_or_else(crate::row::malformed)?;
        Columns::of(row).int()
    }

    async fn users_after(&self, after: Option<&(TenantId, UserId)>, limit: u32) -> Stored<Vec<User>> {
        // No tenant's id is empty, so that every user comes after this one.
        let (tenant, id) = after.map_or(("", ""), |(tenant, id)| (tenant.as_str(), id.as_str()));
        let statement = sqlx::query(SELECT_AFTER)
            .bind(tenant.to_owned())
            .bind(id.to_owned())
            .bind(i64::from(limit));
        let rows = self.read(statement).await?;
        rows.iter().map(|row| read(&mut Columns::of(row))).collect()
    }
}

/// Users inside the application's own transaction: what happens to them is committed or undone with the
/// application's own rows.
///
/// SQLite: begin that transaction with `BEGIN IMMEDIATE` (sqlx: `begin_with`). After the commit tell
/// `Stepup::user_changed`, so that access tokens this process remembers end as well, and log-ins that are under way.
pub fn users_in<'t, 'c>(transaction: &'t mut Transaction<'c, Sqlite>) -> UsersIn<'t, 'c> {
    UsersIn { transaction }
}

/// See [`users_in`].
#[derive(Debug)]
pub struct UsersIn<'t, 'c> {
    transaction: &'t mut Transaction<'c, Sqlite>,
}

impl UsersIn<'_, '_> {
    /// Makes a live user without any way to sign in here. Whether there was none of that id.
    ///
    /// # Errors
    /// The database failed.
    pub async fn create(&mut self, tenant: &TenantId, id: &UserId, now: Timestamp) -> Stored<bool> {
        let user = User::bare(tenant, id, now);
        let statement = written(ENSURE, &user)?;
        let done = statement.execute(&mut **self.transaction).await.map_err(fault)?;
        Ok(done.rows_affected() == 1)
    }

    /// Disables a user and ends what it was signed in to. Whether there was one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn disable(&mut self, tenant: &TenantId, id: &UserId) -> Stored<bool> {
        self.change(tenant, id, Some(UserState::Disabled)).await
    }

    /// Enables a user again. What it was signed in to stays ended. Whether there was one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn enable(&mut self, tenant: &TenantId, id: &UserId) -> Stored<bool> {
        self.change(tenant, id, Some(UserState::Live)).await
    }

    /// Ends what a user was signed in to: for a changed password or contact. Whether there was one.
    ///
    /// # Errors
    /// The database failed.
    pub async fn bump(&mut self, tenant: &TenantId, id: &UserId) -> Stored<bool> {
        self.change(tenant, id, None).await
    }

    /// Deletes everything of a user but a tombstone. The sessions that ended with it; none if there was no user.
    ///
    /// # Errors
    /// The database failed.
    pub async fn delete(&mut self, tenant: &TenantId, id: &UserId) -> Stored<Option<Vec<SessionHandle>>> {
        flows::delete(self.transaction, tenant, id).await
    }

    /// Writes that `what` has changed: the same words that `Stepup::user_changed` takes after the commit. Whether there
    /// was such a user; one who never signed in is not known here, and `user_changed` makes the row.
    ///
    /// # Errors
    /// The database failed.
    pub async fn changed(&mut self, tenant: &TenantId, id: &UserId, what: Changed) -> Stored<bool> {
        match what.state() {
            Some(UserState::Deleted) => Ok(self.delete(tenant, id).await?.is_some()),
            state => self.change(tenant, id, state).await,
        }
    }

    async fn change(&mut self, tenant: &TenantId, id: &UserId, state: Option<UserState>) -> Stored<bool> {
        let change = UserChange {
            state,
            reset_factors: false,
            retire_password: false,
            notices: Vec::new(),
            paid_by: None,
        };
        let user = flows::change(self.transaction, tenant, id, &change).await?;
        Ok(user.is_some())
    }
}

/// The user, whatever its state.
pub(crate) async fn one(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    id: &UserId,
) -> Stored<Option<User>> {
    let rows = of(SELECT, tenant, id)
        .fetch_all(connection)
        .await
        .map_err(fault)?;
    rows.first().map(|row| read(&mut Columns::of(row))).transpose()
}

/// Adds `user`.
pub(crate) async fn insert(connection: &mut SqliteConnection, user: &User) -> Stored<()> {
    written(INSERT, user)?.execute(connection).await.map_err(fault)?;
    Ok(())
}

/// Reads a user from [`user_columns`].
pub(crate) fn read(columns: &mut Columns<'_>) -> Stored<User> {
    Ok(User {
        tenant: columns.id()?,
        id: columns.id()?,
        state: columns.word(UserState::parse)?,
        epoch: columns.int()?,
        revision: columns.int()?,
        methods: columns.json()?,
        summary: columns.json()?,
        metadata: columns.json()?,
        created_at: columns.time()?,
    })
}

/// A statement about one user: its key is the first two values.
pub(crate) fn of(sql: &'static str, tenant: &TenantId, id: &UserId) -> Statement {
    sqlx::query(sql).bind(tenant.as_str()).bind(id.as_str())
}

fn written(sql: &'static str, user: &User) -> Stored<Statement> {
    Ok(of(sql, &user.tenant, &user.id)
        .bind(user.state.as_str())
        .bind(user.epoch)
        .bind(user.revision)
        .bind(json(&user.methods)?)
        .bind(json(&user.summary)?)
        .bind(json(&user.metadata)?)
        .bind(user.created_at.as_ms()))
}
