//! SQLite on a file passes the storage suite, in every way that it can be opened.

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use stepup_sqlx::SqliteStore;
use tempfile::TempDir;

mod own_pool {
    use super::*;

    stepup_testkit::storage_suite!(open);

    async fn open() -> (SqliteStore, TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = [
            "sqlite://",
            &folder.path().join("test.db").to_string_lossy(),
            "?mode=rwc",
        ]
        .concat();
        let store = SqliteStore::connect(&url).await.expect("the file opens");
        store.migrate().await.expect("the schema is made");
        (store, folder)
    }
}

/// The pool of an application that knows nothing of WAL (threat A-DB-05).
mod pool_of_the_application {
    use super::*;

    stepup_testkit::storage_suite!(open);

    async fn open() -> (SqliteStore, TempDir) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("test.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Delete)
            .synchronous(SqliteSynchronous::Off);
        let pool = SqlitePoolOptions::new()
            .max_connections(5)
            .connect_with(options)
            .await
            .expect("the file opens");
        let store = SqliteStore::with_pool(pool).await.expect("a file");
        store.migrate().await.expect("the schema is made");
        (store, folder)
    }
}
