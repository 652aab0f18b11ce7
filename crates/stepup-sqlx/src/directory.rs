//! The application's own table of users, asked for the addresses that notices go to.

use async_trait::async_trait;
use sqlx::sqlite::SqlitePool;
use stepup_core::delivery::{Channel, UserDirectory};
use stepup_core::error::Source;
use stepup_core::id::UserId;

/// The e-mail addresses of a user, read from the application's own table when a notice is written.
///
/// ```
/// # fn directory(db: sqlx::SqlitePool) -> stepup_sqlx::Emails {
/// stepup_sqlx::Emails::new(&db, "SELECT email FROM users WHERE id = ?")
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Emails {
    pool: SqlitePool,
    sql: &'static str,
}

impl Emails {
    /// `sql` takes the user's id, and answers a text column: one row for each address, in normal form.
    pub fn new(pool: &SqlitePool, sql: &'static str) -> Self {
        let pool = pool.clone();
        Self { pool, sql }
    }
}

#[async_trait]
impl UserDirectory for Emails {
    async fn contacts(&self, user: &UserId) -> Result<Vec<(Channel, String)>, Source> {
        let query = sqlx::query_scalar::<_, Option<String>>(self.sql).bind(user.as_str());
        let emails = query.fetch_all(&self.pool).await?;
        // NULL is a user without an address.
        Ok(emails
            .into_iter()
            .flatten()
            .map(|email| (Channel::Email, email))
            .collect())
    }
}
