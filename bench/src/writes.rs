//! G6: judging codes in an SQLite file with durable commits, alone and among many, beside one commit for each.

use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use stepup::sqlite::SqliteStore;
use stepup::storage::ChallengeStore;
use stepup::time::Timestamp;
use stepup::wire::core::id::TenantId;
use stepup::wire::core::record::challenge::{Binding, Challenge, Slot};
use stepup::wire::core::secret::Mac;
use tokio::sync::Mutex;

use crate::Effort;
use crate::table::{Goal, figure, median, ratio, show};

/// Measures and prints.
pub fn run(effort: Effort) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure(effort));
}

async fn measure(effort: Effort) {
    let folder = tempfile::tempdir_in(".").expect("a folder on a disk");
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("bench.db").display());
    let store = SqliteStore::connect(&url).await.expect("a store");
    store.migrate().await.expect("tables");
    // The same statement by hand: a connection of its own, which takes turns, one commit each.
    let options = SqliteConnectOptions::from_str(&url)
        .expect("the URL reads")
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(2));
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .connect_with(options)
        .await
        .expect("a pool");
    let turn = Arc::new(Mutex::new(()));

    for caller in 0..64 {
        store
            .put_challenge(&challenge(caller))
            .await
            .expect("a challenge");
    }

    let mut rows = Vec::new();
    for (callers, goal) in [
        (1, Goal::AtLeast(0.9)),
        (8, Goal::AtLeast(2.0)),
        (64, Goal::AtLeast(4.0)),
    ] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..effort.rounds {
            let seconds = Duration::from_secs(effort.seconds);
            ours.push(
                rate(callers, seconds, {
                    let store = store.clone();
                    move |caller| {
                        let store = store.clone();
                        async move {
                            let (id, binding) = (name(caller).into(), binding(caller));
                            let answer = store
                                .answer(&TenantId::public(), &id, &binding, &[WRONG], NOW)
                                .await;
                            answer.expect("is judged");
                        }
                    }
                })
                .await,
            );
            theirs.push(
                rate(callers, seconds, {
                    let (pool, turn) = (pool.clone(), turn.clone());
                    move |caller| {
                        let (pool, turn) = (pool.clone(), turn.clone());
                        async move {
                            let _turn = turn.lock().await;
                            let answer = sqlx::query(BY_HAND)
                                .bind(&WRONG.as_bytes()[..])
                                .bind(NOW.as_ms())
                                .bind(name(caller))
                                .fetch_all(&pool)
                                .await;
                            assert_eq!(answer.expect("is judged").len(), 1);
                        }
                    }
                })
                .await,
            );
        }
        let (ours, theirs) = (median(&mut ours), median(&mut theirs));
        rows.push(vec![
            callers.to_string(),
            figure(ours),
            figure(theirs),
            ratio(ours / theirs, goal),
        ]);
    }
    show(
        "G6: wrong codes judged in an SQLite file, durable commits",
        &["callers", "stepup-sqlx /s", "one commit each /s", "ratio"],
        &rows,
    );
}

/// What the store does, by hand.
const BY_HAND: &str = "UPDATE stepup_challenge SET
        failed = CASE WHEN mac1 = ?1 AND expires1 > ?2 THEN failed ELSE failed + 1 END,
        closed = (mac1 = ?1 AND expires1 > ?2) OR failed + 1 >= max_failures
     WHERE tenant = 'public' AND id = ?3 AND NOT closed AND failed < max_failures AND ends_at > ?2
     RETURNING failed, closed, mac1 = ?1";

const NOW: Timestamp = Timestamp::from_ms(1_760_000_000_000);
const RIGHT: Mac = Mac::new([1; 32]);
const WRONG: Mac = Mac::new([2; 32]);

fn name(caller: usize) -> String {
    format!("challenge-{caller}")
}

fn binding(caller: usize) -> Binding {
    Binding {
        purpose: "second:otp-phone".to_owned(),
        user: format!("user-{caller}").into(),
        session: format!("session-{caller}").into(),
    }
}

/// A challenge that stands more wrong answers than anybody gives.
fn challenge(caller: usize) -> Challenge {
    let end = NOW.plus(Duration::from_secs(3600));
    Challenge {
        tenant: TenantId::public(),
        id: name(caller).into(),
        binding: binding(caller),
        destination: "+41791234567".to_owned(),
        failed: 0,
        max_failures: u32::MAX,
        slots: [
            Some(Slot {
                mac: RIGHT,
                expires_at: end,
            }),
            None,
            None,
        ],
        sends: 1,
        next_send_at: NOW,
        closed: false,
        created_at: NOW,
        ends_at: end,
    }
}

/// Calls per second of `callers` at once.
async fn rate<F>(callers: usize, time: Duration, call: impl Fn(usize) -> F + Clone + Send + 'static) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let done = Arc::new(AtomicU64::new(0));
    let began = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (done, call) = (done.clone(), call.clone());
            tokio::spawn(async move {
                while began.elapsed() < time {
                    call(caller).await;
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a caller ends");
    }
    done.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()
}
