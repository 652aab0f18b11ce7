//! SQLite on a file passes the storage suite.

use stepup_sqlx::SqliteStore;
use tempfile::TempDir;

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
