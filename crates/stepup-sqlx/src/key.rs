//! Signing keys, and the check values of secrets.

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use stepup_core::id::KeyId;
use stepup_core::record::key::SigningKeyRecord;
use stepup_core::secret::Mac;
use stepup_core::storage::{KeyStore, Stored};
use stepup_core::time::Timestamp;

use crate::pool::SqliteStore;
use crate::row::Columns;

const LIST: &str = "SELECT id, algorithm, sealed, created_at, signs_until, verifies_until, slot
     FROM stepup_signing_key ORDER BY created_at DESC, id DESC";

const ADD: &str = "INSERT INTO stepup_signing_key
        (id, algorithm, sealed, created_at, signs_until, verifies_until, slot)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
     ON CONFLICT (slot) DO NOTHING RETURNING 1";

const DROP: &str = "DELETE FROM stepup_signing_key WHERE verifies_until <= ?1";

const RESEAL: &str = "UPDATE stepup_signing_key SET sealed = ?3 WHERE id = ?1 AND sealed = ?2 RETURNING 1";

const CHECKS: &str = "SELECT id, value FROM stepup_secret_check ORDER BY id";

const ADD_CHECK: &str = "INSERT INTO stepup_secret_check (id, value) VALUES (?1, ?2)";

#[async_trait]
impl KeyStore for SqliteStore {
    async fn signing_keys(&self) -> Stored<Vec<SigningKeyRecord>> {
        self.read(sqlx::query(LIST)).await?.iter().map(read).collect()
    }

    async fn add_signing_key(&self, key: &SigningKeyRecord) -> Stored<bool> {
        let statement = sqlx::query(ADD)
            .bind(key.id.as_str())
            .bind(key.algorithm.as_str())
            .bind(key.sealed.as_slice())
            .bind(key.created_at.as_ms())
            .bind(key.signs_until.as_ms())
            .bind(key.verifies_until.as_ms())
            .bind(key.slot);
        Ok(!self.write(statement).await?.is_empty())
    }

    async fn drop_signing_keys(&self, now: Timestamp) -> Stored<()> {
        self.write(sqlx::query(DROP).bind(now.as_ms())).await?;
        Ok(())
    }

    async fn reseal_signing_key(&self, id: &KeyId, old: &[u8], sealed: &[u8]) -> Stored<bool> {
        let statement = sqlx::query(RESEAL).bind(id.as_str()).bind(old).bind(sealed);
        Ok(!self.write(statement).await?.is_empty())
    }

    async fn secret_checks(&self) -> Stored<Vec<(KeyId, Mac)>> {
        let rows = self.read(sqlx::query(CHECKS)).await?;
        let check = |row| {
            let mut columns = Columns::of(row);
            Ok((columns.id()?, columns.mac()?))
        };
        rows.iter().map(check).collect()
    }

    async fn add_secret_check(&self, id: &KeyId, check: &Mac) -> Stored<()> {
        let statement = sqlx::query(ADD_CHECK)
            .bind(id.as_str())
            .bind(check.as_bytes().as_slice());
        self.write(statement).await?;
        Ok(())
    }
}

fn read(row: &SqliteRow) -> Stored<SigningKeyRecord> {
    let mut columns = Columns::of(row);
    Ok(SigningKeyRecord {
        id: columns.id()?,
        algorithm: columns.text()?,
        sealed: columns.bytes()?,
        created_at: columns.time()?,
        signs_until: columns.time()?,
        verifies_until: columns.time()?,
        slot: columns.int()?,
    })
}
