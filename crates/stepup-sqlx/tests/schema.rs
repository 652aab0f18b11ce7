//! Migrations, and users inside the application's own transaction.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use stepup_core::delivery::{Channel, UserDirectory};
use stepup_core::error::StoreError;
use stepup_core::id::{TenantId, UserId};
use stepup_core::record::user::{Changed, UserState};
use stepup_core::storage::{Flows, UserStore};
use stepup_core::time::Timestamp;
use stepup_sqlx::{Emails, MIGRATIONS, SqliteStore, users_in};
use tempfile::TempDir;

const NOW: Timestamp = Timestamp::from_ms(1_760_000_000_000);

#[tokio::test]
async fn a_database_without_the_tables_says_what_to_do() {
    let (_folder, _pool, store) = open().await;
    let told = store.ping().await;
    assert!(matches!(told, Err(StoreError::Schema(_))), "{told:?}");
    assert!(told.unwrap_err().to_string().contains("migrate()"));
    store.migrate().await.unwrap();
    store.ping().await.unwrap();
    store.migrate().await.unwrap();
}

#[tokio::test]
async fn tables_of_another_version_are_refused() {
    let (_folder, pool, store) = open().await;
    store.migrate().await.unwrap();
    for version in [0, 99] {
        let set = sqlx::query("UPDATE stepup_schema SET version = ?").bind(version);
        set.execute(&pool).await.unwrap();
        assert!(
            matches!(store.check_schema().await, Err(StoreError::Schema(_))),
            "{version}"
        );
    }
    // Half a migration: the tables are there, and their version is not.
    sqlx::query("DELETE FROM stepup_schema")
        .execute(&pool)
        .await
        .unwrap();
    assert!(matches!(store.check_schema().await, Err(StoreError::Schema(_))));
}

#[tokio::test]
async fn migrations_are_remembered_apart_from_those_of_the_application() {
    let (_folder, pool, store) = open().await;
    store.migrate().await.unwrap();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'stepup\\_%' ESCAPE '\\'",
    )
    .fetch_all(&pool)
    .await
    .unwrap();
    assert_eq!(tables, [""; 0]);
    let ran: i64 = sqlx::query_scalar("SELECT count(*) FROM stepup_migrations")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(ran, 3);
}

#[tokio::test]
async fn the_files_may_be_run_by_the_applications_own_migrations() {
    let (_folder, pool, store) = open().await;
    for file in MIGRATIONS {
        sqlx::raw_sql(file.sql).execute(&pool).await.unwrap();
    }
    store.ping().await.unwrap();
}

#[tokio::test]
async fn two_servers_that_migrate_at_once_make_one_schema() {
    let (_folder, pool, store) = open().await;
    let (one, two) = tokio::join!(store.migrate(), store.migrate());
    // SQLite has no lock for it: one may find the other at work. Afterwards the schema is whole, or nothing serves.
    assert!(one.is_ok() || two.is_ok());
    store.ping().await.unwrap();
    let versions: Vec<i64> = sqlx::query_scalar("SELECT version FROM stepup_schema")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert_eq!(versions, [1, 2, 3]);
}

#[tokio::test]
async fn a_database_in_memory_is_refused() {
    for url in ["sqlite::memory:", "sqlite://x.db?mode=memory"] {
        assert!(SqliteStore::connect(url).await.is_err(), "{url}");
    }
    let pool = SqlitePool::connect("sqlite::memory:").await.unwrap();
    assert!(SqliteStore::with_pool(pool).await.is_err());
}

#[tokio::test]
async fn users_of_the_application_are_committed_and_undone_with_its_own_rows() {
    let (_folder, pool, store) = open().await;
    store.migrate().await.unwrap();
    let (tenant, id) = (TenantId::public(), UserId::from("ann"));

    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    assert!(users_in(&mut tx).create(&tenant, &id, NOW).await.unwrap());
    tx.rollback().await.unwrap();
    assert_eq!(store.user(&tenant, &id).await.unwrap(), None);

    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let mut users = users_in(&mut tx);
    assert!(users.create(&tenant, &id, NOW).await.unwrap());
    assert!(!users.create(&tenant, &id, NOW).await.unwrap(), "there is one");
    assert!(users.bump(&tenant, &id).await.unwrap());
    assert!(users.disable(&tenant, &id).await.unwrap());
    assert!(!users.bump(&tenant, &"bob".into()).await.unwrap());
    tx.commit().await.unwrap();
    let user = store.user(&tenant, &id).await.unwrap().unwrap();
    assert_eq!(
        (user.state, user.epoch, user.revision),
        (UserState::Disabled, 3, 3)
    );

    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let mut users = users_in(&mut tx);
    assert!(users.enable(&tenant, &id).await.unwrap());
    assert_eq!(users.delete(&tenant, &id).await.unwrap(), Some(vec![]));
    assert!(
        !users.enable(&tenant, &id).await.unwrap(),
        "a tombstone stays one"
    );
    tx.commit().await.unwrap();
    assert_eq!(
        store.user(&tenant, &id).await.unwrap().unwrap().state,
        UserState::Deleted
    );
}

#[tokio::test]
async fn what_changed_is_written_in_the_applications_transaction_or_not_at_all() {
    let (_folder, pool, store) = open().await;
    store.migrate().await.unwrap();
    let (tenant, id) = (TenantId::public(), UserId::new("ann"));
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let unknown = users_in(&mut tx).changed(&tenant, &id, Changed::Disabled).await;
    assert!(!unknown.unwrap(), "nobody of that id");
    users_in(&mut tx).create(&tenant, &id, NOW).await.unwrap();
    tx.commit().await.unwrap();

    let cases = [
        (Changed::Password, UserState::Live),
        (Changed::Contact, UserState::Live),
        (Changed::Disabled, UserState::Disabled),
        (Changed::Password, UserState::Disabled),
        (Changed::Enabled, UserState::Live),
        (Changed::Deleted, UserState::Deleted),
    ];
    for (what, state) in cases {
        let before = store.user(&tenant, &id).await.unwrap().unwrap();
        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        assert!(users_in(&mut tx).changed(&tenant, &id, what).await.unwrap());
        tx.rollback().await.unwrap();
        assert_eq!(
            store.user(&tenant, &id).await.unwrap().unwrap(),
            before,
            "{what:?}"
        );

        let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.unwrap();
        assert!(users_in(&mut tx).changed(&tenant, &id, what).await.unwrap());
        tx.commit().await.unwrap();
        let after = store.user(&tenant, &id).await.unwrap().unwrap();
        assert_eq!(after.state, state, "{what:?}");
        assert_ne!(
            after.epoch, before.epoch,
            "{what:?}: sessions and half-logins end"
        );
    }
}

#[tokio::test]
async fn notices_go_to_the_addresses_of_the_applications_own_table() {
    let (_folder, pool, _store) = open().await;
    let table = "CREATE TABLE users (id TEXT, email TEXT);
                 INSERT INTO users VALUES ('ann', 'ann@example.com'), ('bob', NULL), ('eve', 'eve@example.com')";
    sqlx::raw_sql(table).execute(&pool).await.unwrap();
    let directory = Emails::new(&pool, "SELECT email FROM users WHERE id = ?");
    let contacts = async |id: &str| directory.contacts(&UserId::new(id)).await.unwrap();
    assert_eq!(
        contacts("ann").await,
        [(Channel::Email, "ann@example.com".to_owned())]
    );
    assert_eq!(contacts("bob").await, [], "without an address");
    assert_eq!(contacts("' OR 1=1 --").await, [], "unknown");
}

#[tokio::test]
async fn a_directory_that_fails_says_so() {
    let (_folder, pool, _store) = open().await;
    let directory = Emails::new(&pool, "SELECT email FROM no_such_table WHERE id = ?");
    assert!(directory.contacts(&UserId::new("ann")).await.is_err());
}

async fn open() -> (TempDir, SqlitePool, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteConnectOptions::new()
        .filename(folder.path().join("test.db"))
        .create_if_missing(true);
    let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
    let store = SqliteStore::with_pool(pool.clone()).await.unwrap();
    (folder, pool, store)
}
