//! Credentials.

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use stepup_core::id::{CredentialId, TenantId, UserId};
use stepup_core::record::credential::{Credential, CredentialKind};
use stepup_core::storage::{CredentialStore, Stored};

use crate::pool::{SqliteStore, fault};
use crate::row::{Columns, json};
use crate::user::of;

/// The columns of a credential, in the order that [`read`] reads.
macro_rules! credential_columns {
    ($of:literal) => {
        concat!(
            $of,
            "tenant, ",
            $of,
            "user_id, ",
            $of,
            "kind, ",
            $of,
            "id, ",
            $of,
            "public, ",
            $of,
            "sealed, ",
            $of,
            "version, ",
            $of,
            "created_at"
        )
    };
}
pub(crate) use credential_columns;

/// How many columns those are.
const COLUMNS: usize = 8;

const SELECT: &str = concat!(
    "SELECT ",
    credential_columns!(""),
    " FROM stepup_credential WHERE tenant = ?1 AND user_id = ?2 AND kind = ?3 ORDER BY created_at, id"
);

const INSERT: &str =
    "INSERT INTO stepup_credential (tenant, user_id, kind, id, public, sealed, version, created_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

const RESEAL: &str = "UPDATE stepup_credential SET sealed = ?6, version = version + 1
     WHERE tenant = ?1 AND user_id = ?2 AND kind = ?3 AND id = ?4 AND version = ?5 RETURNING 1";

#[async_trait]
impl CredentialStore for SqliteStore {
    async fn credentials(
        &self,
        tenant: &TenantId,
        user: &UserId,
        kind: CredentialKind,
    ) -> Stored<Vec<Credential>> {
        let rows = self.read(of(SELECT, tenant, user).bind(kind.as_str())).await?;
        rows.iter().map(|row| read(&mut Columns::of(row))).collect()
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
        let statement = of(RESEAL, tenant, user)
            .bind(kind.as_str())
            .bind(id.as_str())
            .bind(version)
            .bind(sealed);
        Ok(!self.write(statement).await?.is_empty())
    }
}

/// Adds `credential`.
pub(crate) async fn insert(connection: &mut SqliteConnection, credential: &Credential) -> Stored<()> {
    of(INSERT, &credential.tenant, &credential.user)
        .bind(credential.kind.as_str())
        .bind(credential.id.as_str())
        .bind(json(&credential.public)?)
        .bind(credential.sealed.as_deref())
        .bind(credential.version)
        .bind(credential.created_at.as_ms())
        .execute(connection)
        .await
        .map_err(fault)?;
    Ok(())
}

/// Reads a credential from [`credential_columns`].
fn read(columns: &mut Columns<'_>) -> Stored<Credential> {
    Ok(Credential {
        tenant: columns.id()?,
        user: columns.id()?,
        kind: columns.word(CredentialKind::parse)?,
        id: columns.id()?,
        public: columns.json()?,
        sealed: columns.option()?,
        version: columns.int()?,
        created_at: columns.time()?,
    })
}

/// Reads the same from an outer join, which may have found none.
pub(crate) fn read_joined(columns: &mut Columns<'_>) -> Stored<Option<Credential>> {
    if columns.is_null()? {
        columns.skip(COLUMNS);
        return Ok(None);
    }
    read(columns).map(Some)
}
