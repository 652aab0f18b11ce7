//! What becomes of the store when something beside it breaks.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions};
use sqlx::{ConnectOptions, Connection};
use stepup_core::error::StoreError;
use stepup_core::id::TenantId;
use stepup_core::record::JsonMap;
use stepup_core::record::challenge::{Answer, Binding, Challenge, Slot};
use stepup_core::record::counter::{Ask, Charge, CounterKey};
use stepup_core::record::user::{Identifier, IdentifierKind, Summary, User, UserState};
use stepup_core::secret::Mac;
use stepup_core::storage::{
    Beside, ChallengeStore, CounterStore, Flows, KeyStore, UserChange, UserStore, UserUpdate,
};
use stepup_core::time::Timestamp;
use stepup_sqlx::SqliteStore;
use tempfile::TempDir;
use tokio::sync::Barrier;

const NOW: Timestamp = Timestamp::from_ms(1_760_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_goes_away_at_any_point_leaves_no_transaction_open() {
    let (folder, store) = open().await;
    store.ensure_user(&ann()).await.unwrap();
    for polls in 0..12 {
        let change = UserChange {
            state: None,
            reset_factors: false,
            retire_password: false,
            notices: Vec::new(),
            paid_by: None,
        };
        let patch = JsonMap::from_iter([("x".to_owned(), polls.into())]);
        let (tenant, id) = (TenantId::public(), "ann".into());
        give_up_after(polls, store.change_user(&tenant, &id, &change)).await;
        give_up_after(polls, store.merge_metadata(&tenant, &id, &patch)).await;
        give_up_after(polls, store.update_user(&update())).await;
        give_up_after(polls, store.charge(&[ask("k", 1_000_000)], NOW)).await;
        give_up_after(polls, store.user(&tenant, &id)).await;
    }
    // Whoever gave up meanwhile is still being finished; then nothing holds the lock, and everything works.
    store.clear(&[CounterKey::new("k")]).await.unwrap();
    let mut other = connection(&folder, Duration::from_millis(1)).await;
    other
        .begin_with("BEGIN EXCLUSIVE")
        .await
        .unwrap()
        .rollback()
        .await
        .unwrap();
    assert_eq!(
        store.charge(&[ask("k", 1)], NOW).await.unwrap(),
        Charge::Granted(vec![1])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_whose_request_went_away_is_done_whole_or_not_at_all() {
    let (folder, store) = open().await;
    store.ensure_user(&ann()).await.unwrap();
    let (tenant, id) = (TenantId::public(), "ann".into());
    let mut other = connection(&folder, MINUTE).await;
    for polls in 0..40 {
        let before = store.user(&tenant, &id).await.unwrap().unwrap();
        let address = format!("ann{polls}@example.test");
        let identifier = Identifier {
            kind: IdentifierKind::Email,
            value: address.clone(),
        };
        let update = UserUpdate {
            revision: before.revision,
            identifiers: vec![(identifier, "ann".into())],
            ..update()
        };
        give_up_after(polls % 8, store.update_user(&update)).await;
        // Whoever writes next waits until it is done.
        store.clear(&[CounterKey::new("other")]).await.unwrap();
        let after = store.user(&tenant, &id).await.unwrap().unwrap();
        let sql = "SELECT count(*) FROM stepup_identifier WHERE value = ?";
        let named: i64 = sqlx::query_scalar(sql)
            .bind(&address)
            .fetch_one(&mut other)
            .await
            .unwrap();
        assert_eq!(after.revision - before.revision, named, "after {polls} polls");
        assert_eq!(after.epoch - before.epoch, named);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_charge_is_counted_though_its_request_went_away() {
    let (_folder, store) = open().await;
    let mut started = 0;
    for _ in 0..20 {
        // Polled once, it has its turn and is on its way; what is compared after it must have been counted.
        give_up_after(1, store.charge(&[ask("k", 1_000)], NOW)).await;
        started += 1;
        // Whoever writes next waits until it is done.
        store.clear(&[CounterKey::new("other")]).await.unwrap();
    }
    let Charge::Granted(counts) = store.charge(&[ask("k", 1_000)], NOW).await.unwrap() else {
        panic!("far below the limit");
    };
    assert_eq!(counts, [started + 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_application_left_in_a_transaction_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder, 1).await;
    let store = SqliteStore::with_pool(pool.clone()).await.unwrap();
    store.migrate().await.unwrap();

    // What a future leaves behind that is dropped between BEGIN and its answer (sqlx issue 4393).
    let poison = async || {
        let mut connection = pool.acquire().await.unwrap();
        std::mem::forget(connection.begin_with("BEGIN IMMEDIATE").await.unwrap());
    };
    poison().await;
    assert_eq!(
        store.charge(&[ask("k", 9)], NOW).await.unwrap(),
        Charge::Granted(vec![1])
    );
    poison().await;
    assert_eq!(store.signing_keys().await.unwrap().len(), 0);
    poison().await;
    store.ensure_user(&ann()).await.unwrap();

    let mut other = connection(&folder, MINUTE).await;
    let sql = "SELECT (SELECT tally FROM stepup_counter) + (SELECT count(*) FROM stepup_user)";
    let seen: i64 = sqlx::query_scalar(sql).fetch_one(&mut other).await.unwrap();
    assert_eq!(seen, 2, "both are committed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_is_unavailable_within_seconds_and_works_again_when_it_is_free() {
    let (folder, store) = open().await;
    store.ensure_user(&ann()).await.unwrap();
    let mut other = connection(&folder, MINUTE).await;
    let lock = other.begin_with("BEGIN IMMEDIATE").await.unwrap();

    let began = Instant::now();
    let change = UserChange {
        state: None,
        reset_factors: false,
        retire_password: false,
        notices: Vec::new(),
        paid_by: None,
    };
    let (tenant, id) = (TenantId::public(), "ann".into());
    // They wait side by side for the turn, not one after the other for the lock.
    let asks = [ask("a", 9)];
    let (charged, changed) = tokio::join!(store.charge(&asks, NOW), store.change_user(&tenant, &id, &change));
    assert!(matches!(charged, Err(StoreError::Unavailable(_))), "{charged:?}");
    assert!(matches!(changed, Err(StoreError::Unavailable(_))), "{changed:?}");
    assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    let told = store.ping().await;
    assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");
    assert!(
        store.user(&tenant, &id).await.unwrap().is_some(),
        "readers are not held up"
    );

    lock.rollback().await.unwrap();
    store.ping().await.unwrap();
    assert_eq!(
        store.charge(&[ask("a", 9)], NOW).await.unwrap(),
        Charge::Granted(vec![1])
    );
    assert!(store.change_user(&tenant, &id, &change).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_unavailable_writes_nothing_and_works_again_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let pool = pool(&folder, 1).await;
    let store = SqliteStore::with_pool(pool.clone()).await.unwrap();
    store.migrate().await.unwrap();
    store.ensure_user(&ann()).await.unwrap();
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert!(pages < 200);
    sqlx::query("PRAGMA max_page_count = 200")
        .fetch_all(&pool)
        .await
        .unwrap();

    let (tenant, id) = (TenantId::public(), "ann".into());
    let big = JsonMap::from_iter([("big".to_owned(), "x".repeat(1_000_000).into())]);
    for _ in 0..3 {
        let told = store.merge_metadata(&tenant, &id, &big).await;
        assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");
    }
    assert_eq!(store.user(&tenant, &id).await.unwrap(), Some(ann()));

    // The connection that met the full disk was given up, and its small limit with it.
    assert!(
        store
            .merge_metadata(&tenant, &id, &JsonMap::new())
            .await
            .unwrap()
            .is_some()
    );
    sqlx::query("PRAGMA max_page_count = 100000")
        .fetch_all(&pool)
        .await
        .unwrap();
    assert!(store.merge_metadata(&tenant, &id, &big).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_gone_is_unavailable_and_works_again_when_it_is_back() {
    let (folder, store) = open().await;
    store.ensure_user(&ann()).await.unwrap();
    let (here, away) = (folder.path().join("data"), folder.path().join("away"));
    let url = url(&here.join("test.db"));
    std::fs::create_dir(&here).unwrap();
    let store = SqliteStore::connect(&url).await.unwrap();
    store.migrate().await.unwrap();

    // No connection has read yet: the next read has to open the file.
    std::fs::rename(&here, &away).unwrap();
    let told = store.signing_keys().await;
    assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");
    std::fs::rename(&away, &here).unwrap();
    assert_eq!(store.signing_keys().await.unwrap().len(), 0);
    assert!(
        SqliteStore::connect("sqlite:///nowhere/at/all.db?mode=rwc")
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_store_is_unavailable() {
    let (_folder, store) = open().await;
    store.close().await;
    assert!(matches!(store.ping().await, Err(StoreError::Unavailable(_))));
    assert!(matches!(
        store.charge(&[ask("k", 1)], NOW).await,
        Err(StoreError::Unavailable(_))
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_on_one_file_agree_on_the_one_right_answer() {
    let (folder, one) = open().await;
    let two = SqliteStore::connect(&url(&folder.path().join("test.db")))
        .await
        .unwrap();
    let stores = [Arc::new(one), Arc::new(two)];
    for round in 0..5 {
        stores[0].put_challenge(&challenge()).await.unwrap();
        let barrier = Arc::new(Barrier::new(32));
        let callers: Vec<_> = (0..32)
            .map(|caller| {
                let (store, barrier) = (Arc::clone(&stores[caller % 2]), Arc::clone(&barrier));
                tokio::spawn(async move {
                    barrier.wait().await;
                    let id = "c1".into();
                    let binding = challenge().binding;
                    let key = format!("limited{round}");
                    let charge = store.charge(&[ask(&key, 10)], NOW).await;
                    let answer = store
                        .answer(&TenantId::public(), &id, &binding, &[mac()], NOW)
                        .await;
                    (charge.unwrap(), answer.unwrap())
                })
            })
            .collect();
        let (mut right, mut granted) = (0, 0);
        for caller in callers {
            let (charge, answer) = caller.await.unwrap();
            right += usize::from(answer == Answer::Right);
            granted += usize::from(matches!(charge, Charge::Granted(_)));
        }
        assert_eq!((right, granted), (1, 10), "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_requests_at_once_all_have_their_turn() {
    let (_folder, store) = open().await;
    let store = Arc::new(store);
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.charge(&[ask(&format!("k{caller}"), 1)], NOW).await })
        })
        .collect();
    for caller in callers {
        assert_eq!(caller.await.unwrap().unwrap(), Charge::Granted(vec![1]));
    }
}

/// Polls `future` up to `polls` times, as far as it goes by itself, and drops it there.
async fn give_up_after<F: Future>(polls: usize, future: F) {
    let mut future = pin!(future);
    for _ in 0..polls {
        if future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
            .is_ready()
        {
            return;
        }
        tokio::time::sleep(Duration::from_micros(50)).await;
    }
}

async fn open() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::connect(&url(&folder.path().join("test.db")))
        .await
        .unwrap();
    store.migrate().await.unwrap();
    (folder, store)
}

fn url(file: &Path) -> String {
    ["sqlite://", &file.to_string_lossy(), "?mode=rwc"].concat()
}

fn options(folder: &TempDir) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(folder.path().join("test.db"))
        .create_if_missing(true)
}

/// A pool as an application has one.
async fn pool(folder: &TempDir, connections: u32) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .connect_with(options(folder))
        .await
        .unwrap()
}

/// A connection of somebody else.
async fn connection(folder: &TempDir, patience: Duration) -> SqliteConnection {
    options(folder).busy_timeout(patience).connect().await.unwrap()
}

fn ask(name: &str, limit: u32) -> Ask {
    Ask::window(CounterKey::new(name), limit, MINUTE)
}

fn ann() -> User {
    User {
        tenant: TenantId::public(),
        id: "ann".into(),
        state: UserState::Live,
        epoch: 0,
        revision: 0,
        methods: Vec::new(),
        summary: Summary::default(),
        metadata: JsonMap::new(),
        created_at: NOW,
    }
}

/// No contact at all, from the first revision on.
fn update() -> UserUpdate {
    UserUpdate {
        tenant: TenantId::public(),
        user: "ann".into(),
        revision: 0,
        methods: Vec::new(),
        identifiers: Vec::new(),
        password: None,
        contacts: Vec::new(),
        notices: Vec::new(),
        keep: None,
        beside: Beside::default(),
    }
}

fn mac() -> Mac {
    Mac::new([1; 32])
}

fn challenge() -> Challenge {
    let binding = Binding {
        purpose: "second:otp-phone".to_owned(),
        user: "ann".into(),
        session: "s1".into(),
    };
    Challenge {
        tenant: TenantId::public(),
        id: "c1".into(),
        binding,
        destination: "+15550100".to_owned(),
        failed: 0,
        max_failures: 5,
        slots: [
            Some(Slot {
                mac: mac(),
                expires_at: NOW.plus(MINUTE),
            }),
            None,
            None,
        ],
        sends: 1,
        next_send_at: NOW,
        closed: false,
        created_at: NOW,
        ends_at: NOW.plus(MINUTE),
    }
}
