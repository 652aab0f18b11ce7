//! Notices: written by the verb that causes them, taken and finished in the background.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use stepup_core::id::NoticeId;
use stepup_core::record::notice::Notice;
use stepup_core::storage::{NoticeStore, Stored};
use stepup_core::time::Timestamp;

use crate::pool::{SqliteStore, fault};
use crate::row::Columns;

const TAKE: &str = "UPDATE stepup_notice SET due_at = ?2, tries = tries + 1
     WHERE id IN (SELECT id FROM stepup_notice WHERE due_at <= ?1 ORDER BY due_at, id LIMIT ?3)
     RETURNING id, tenant, user_id, sealed, created_at, due_at, tries";

const FINISH: &str = "DELETE FROM stepup_notice WHERE id = ?1";

const INSERT: &str = "INSERT INTO stepup_notice (id, tenant, user_id, sealed, created_at, due_at, tries)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

#[async_trait]
impl NoticeStore for SqliteStore {
    async fn add_notices(&self, notices: &[Notice]) -> Stored<()> {
        let notices = notices.to_vec();
        self.transact(move |connection| Box::pin(async move { insert(connection, &notices).await }))
            .await
    }

    async fn take_notices(&self, now: Timestamp, until: Timestamp, limit: u32) -> Stored<Vec<Notice>> {
        let statement = sqlx::query(TAKE)
            .bind(now.as_ms())
            .bind(until.as_ms())
            .bind(i64::from(limit));
        self.write(statement).await?.iter().map(read).collect()
    }

    async fn finish_notice(&self, id: &NoticeId) -> Stored<()> {
        self.write(sqlx::query(FINISH).bind(id.as_str())).await?;
        Ok(())
    }
}

/// Adds `notices`.
pub(crate) async fn insert(connection: &mut SqliteConnection, notices: &[Notice]) -> Stored<()> {
    for notice in notices {
        sqlx::query(INSERT)
            .bind(notice.id.as_str())
            .bind(notice.tenant.as_str())
            .bind(notice.user.as_str())
            .bind(notice.sealed.as_slice())
            .bind(notice.created_at.as_ms())
            .bind(notice.due_at.as_ms())
            .bind(i64::from(notice.tries))
            .execute(&mut *connection)
            .await
            .map_err(fault)?;
    }
    Ok(())
}

fn read(row: &SqliteRow) -> Stored<Notice> {
    let mut columns = Columns::of(row);
    Ok(Notice {
        id: columns.id()?,
        tenant: columns.id()?,
        user: columns.id()?,
        sealed: columns.bytes()?,
        created_at: columns.time()?,
        due_at: columns.time()?,
        tries: columns.count()?,
    })
}
