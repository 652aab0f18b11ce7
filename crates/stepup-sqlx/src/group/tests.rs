use std::time::Instant;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions};
use tempfile::TempDir;

use super::*;

struct Place {
    pool: SqlitePool,
    writes: Writes,
    _folder: TempDir,
}

impl Place {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("test.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_millis(50));
        let pool = SqlitePoolOptions::new().connect_with(options).await.unwrap();
        let made = sqlx::query("CREATE TABLE t (x INTEGER PRIMARY KEY, y INTEGER CHECK (y < 1000)) STRICT");
        made.execute(&pool).await.unwrap();
        Self {
            writes: Writes::new(pool.clone(), Duration::from_secs(2)),
            pool,
            _folder: folder,
        }
    }

    async fn rows(&self) -> Vec<i64> {
        let all = sqlx::query_scalar("SELECT x FROM t ORDER BY x");
        all.fetch_all(&self.pool).await.unwrap()
    }

    /// Holds back who leads, so that what follows comes together.
    fn hold(&self) -> Held {
        let mut queue = lock(&self.writes.queue);
        queue.appoint();
        queue.begun = true;
        drop(queue);
        Held(self.writes.clone())
    }
}

struct Held(Writes);

impl Held {
    fn go(self) {
        lock(&self.0.queue).led = None;
        self.0.enqueue(Entry {
            ticket: Ticket(Arc::new(AtomicU8::new(Ticket::TAKEN_BACK))),
            job: Box::new(One {
                statement: None,
                done: None,
                tell: oneshot::channel().0,
            }),
        });
    }
}

fn insert(x: i64) -> Statement {
    sqlx::query("INSERT INTO t (x, y) VALUES (?1, ?1)").bind(x)
}

async fn twice(writes: &Writes, x: i64, then: Stored<()>) -> Stored<()> {
    writes
        .transaction(move |connection| {
            Box::pin(async move {
                insert(x).execute(&mut *connection).await.map_err(fault)?;
                insert(x + 1).execute(&mut *connection).await.map_err(fault)?;
                then
            })
        })
        .await
}

fn refused() -> Stored<()> {
    Err(StoreError::Conflict("by the test"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_together_is_committed_together_and_in_order() {
    let place = Place::new().await;
    let held = place.hold();
    let tasks: Vec<_> = (0..200)
        .map(|x| {
            let writes = place.writes.clone();
            tokio::spawn(async move { writes.statement(insert(x)).await.map(drop) })
        })
        .collect();
    while lock(&place.writes.queue).waiting.len() < 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(place.rows().await, Vec::<i64>::new());
    held.go();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(place.rows().await.len(), 200);
    assert!(lock(&place.writes.queue).led.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_fails_undoes_itself_and_no_other() {
    let place = Place::new().await;
    let held = place.hold();
    let writes = &place.writes;
    let all = async {
        tokio::join!(
            writes.statement(insert(1)),
            writes.statement(insert(1)),
            twice(writes, 10, Ok(())),
            twice(writes, 20, refused()),
            // The second half meets what is there.
            twice(writes, 9, Ok(())),
            writes.statement(insert(5_000)),
            writes.statement(insert(2)),
        )
    };
    let go = async {
        while lock(&place.writes.queue).waiting.len() < 7 {
            tokio::task::yield_now().await;
        }
        held.go();
    };
    let ((one, again, ten, twenty, nine, large, two), ()) = tokio::join!(all, go);
    assert!(one.is_ok() && ten.is_ok() && two.is_ok());
    for failed in [again.map(drop), twenty, nine, large.map(drop)] {
        assert!(matches!(failed, Err(StoreError::Conflict(_))), "{failed:?}");
    }
    assert_eq!(place.rows().await, [1, 2, 10, 11]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_told_of_success_if_the_group_is_not_committed() {
    let place = Place::new().await;
    let held = place.hold();
    let writes = &place.writes;
    let broken = writes.transaction(|connection| {
        Box::pin(async move {
            let gone = sqlx::query("SELECT x FROM nowhere").execute(connection).await;
            gone.map(drop).map_err(fault)
        })
    });
    let all = async { tokio::join!(writes.statement(insert(1)), broken, twice(writes, 10, Ok(()))) };
    let go = async {
        while lock(&place.writes.queue).waiting.len() < 3 {
            tokio::task::yield_now().await;
        }
        held.go();
    };
    let ((one, broken, ten), ()) = tokio::join!(all, go);
    for failed in [one.map(drop), broken, ten] {
        assert!(matches!(failed, Err(StoreError::Unavailable(_))), "{failed:?}");
    }
    assert_eq!(place.rows().await, Vec::<i64>::new());
    place.writes.statement(insert(1)).await.unwrap();
    assert_eq!(place.rows().await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_is_everybodys() {
    let place = Place::new().await;
    let mut other = place.pool.acquire().await.unwrap();
    let lock_out = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let writes = &place.writes;
    let (one, ten) = tokio::join!(writes.statement(insert(1)), twice(writes, 10, Ok(())));
    assert!(matches!(one, Err(StoreError::Unavailable(_))), "{one:?}");
    assert!(matches!(ten, Err(StoreError::Unavailable(_))), "{ten:?}");
    lock_out.rollback().await.unwrap();
    twice(writes, 10, Ok(())).await.unwrap();
    assert_eq!(place.rows().await, [10, 11]);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_too_long_is_told_and_writes_nothing() {
    let mut place = Place::new().await;
    place.writes.patience = Duration::from_millis(20);
    let held = place.hold();
    let began = Instant::now();
    let late = place.writes.statement(insert(1)).await;
    assert!(matches!(late, Err(StoreError::Unavailable(_))), "{late:?}");
    assert!(began.elapsed() < Duration::from_secs(2));
    held.go();
    place.writes.patience = Duration::from_secs(2);
    place.writes.statement(insert(2)).await.unwrap();
    assert_eq!(place.rows().await, [2]);
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn a_leader_whose_runtime_ends_leaves_the_lead_to_the_next() {
    let (first, second) = (runtime(), runtime());
    let place = first.block_on(Place::new());
    let writes = place.writes.clone();
    let (begun, was_begun) = std::sync::mpsc::channel();
    first.spawn(async move {
        let endless = writes.transaction(move |_| {
            Box::pin(async move {
                begun.send(()).unwrap();
                std::future::pending::<Stored<()>>().await
            })
        });
        endless.await
    });
    was_begun.recv().unwrap();
    let waiting = {
        let writes = place.writes.clone();
        second.spawn(async move { writes.statement(insert(1)).await.map(drop) })
    };
    while lock(&place.writes.queue).waiting.is_empty() {
        std::thread::yield_now();
    }
    first.shutdown_timeout(Duration::from_secs(5));
    let told = second.block_on(waiting).unwrap();
    assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");
    // Where it was made there is nobody any more: whoever loses patience leads from where it is.
    for x in [2, 3] {
        second.block_on(place.writes.statement(insert(x))).unwrap();
    }
    assert_eq!(second.block_on(place.rows()), [2, 3]);
}

#[test]
fn a_runtime_that_nobody_drives_holds_up_no_write() {
    let still = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let place = still.block_on(Place::new());
    let other = runtime();
    other.block_on(place.writes.statement(insert(1))).unwrap();
    assert_eq!(other.block_on(place.rows()), [1]);
    // Its own leader comes late, and finds that it is none.
    still.block_on(tokio::task::yield_now());
    other.block_on(place.writes.statement(insert(2))).unwrap();
    assert_eq!(other.block_on(place.rows()), [1, 2]);
}

#[test]
fn whoever_calls_from_a_runtime_that_blocks_holds_up_nobody_else() {
    let home = runtime();
    let place = home.block_on(Place::new());
    let writes = place.writes.clone();
    let (written, was_written) = std::sync::mpsc::channel();
    let blocking = std::thread::spawn(move || {
        let one = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        one.block_on(async move {
            let mut first = Box::pin(writes.statement(insert(1)));
            // Asked for, and then something else takes the thread for as long as the others need.
            tokio::select! {
                biased;
                _ = &mut first => {}
                () = std::future::ready(()) => {}
            }
            was_written.recv().unwrap();
            first.await.map(drop)
        })
    });
    while lock(&place.writes.queue).leaders == 0 {
        std::thread::yield_now();
    }
    home.block_on(place.writes.statement(insert(2))).unwrap();
    written.send(()).unwrap();
    blocking.join().unwrap().unwrap();
    assert_eq!(home.block_on(place.rows()), [1, 2]);
}

#[tokio::test]
async fn a_write_that_was_begun_and_does_not_end_is_given_up() {
    let mut place = Place::new().await;
    place.writes.patience = Duration::from_millis(20);
    let endless = place
        .writes
        .transaction(|_| Box::pin(std::future::pending::<Stored<()>>()));
    let told = endless.await;
    assert!(matches!(told, Err(StoreError::Unavailable(_))), "{told:?}");
}

#[test]
fn the_end_of_a_leader_leaves_alone_what_another_one_leads() {
    let queue = Arc::new(Mutex::new(Queue::default()));
    let appoint = || Lead {
        queue: queue.clone(),
        number: lock(&queue).appoint(),
    };
    let ended = appoint();
    assert!(ended.next().is_none());
    let replaced = appoint();
    // The next one leads, and somebody waits for it, before the others are gone.
    let leads = appoint();
    lock(&queue).waiting.push_back(Entry {
        ticket: Ticket::default(),
        job: Box::new(One {
            statement: None,
            done: None,
            tell: oneshot::channel().0,
        }),
    });
    assert!(replaced.next().is_none());
    drop((ended, replaced));
    assert_eq!(lock(&queue).waiting.len(), 1);
    assert_eq!(leads.next().map(|group| group.len()), Some(1));
    assert_eq!(lock(&queue).led, Some(leads.number));
}
