//! Storage in a database, by sqlx: SQLite on a file.
//!
//! Every verb is one statement or one transaction, and what is decided is decided by the statement itself. A write
//! runs in a task of its own, so that a request that goes away stops nothing halfway. A database that is locked,
//! gone or full is a [`StoreError::Unavailable`](stepup_core::error::StoreError::Unavailable) within seconds, and
//! works again as soon as it is back.
//!
//! ```no_run
//! # async fn open() -> Result<(), Box<dyn std::error::Error>> {
//! let store = stepup_sqlx::SqliteStore::connect("sqlite://app.db?mode=rwc").await?;
//! store.migrate().await?; // or the files of `MIGRATIONS` among the application's own
//! # Ok(()) }
//! ```

mod challenge;
mod counter;
mod credential;
mod directory;
mod flows;
mod group;
mod key;
mod migration;
mod notice;
mod pool;
mod row;
mod session;
mod user;

pub use directory::Emails;
pub use migration::{MIGRATIONS, MigrationFile};
pub use pool::SqliteStore;
pub use user::{UsersIn, users_in};
