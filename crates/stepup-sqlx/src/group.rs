//! Group commit: writes that wait for one another share a transaction, and with it the wait for the disk.
//!
//! SQLite has one writer at a time, and a durable commit waits for the disk. So whoever finds nobody writing leads: it
//! writes what is waiting, all of it in one transaction, and then what has come meanwhile, until nothing waits. Nobody is
//! answered before the commit that holds its write. A write that fails is undone by itself (a savepoint, or the
//! statement's own), and the others stand; if the commit fails, or the database does, all of the group are told so. A
//! write that nobody else waits behind is committed as if there were no groups.

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnection, SqlitePool, SqliteRow};
use sqlx::{Connection, Sqlite, Transaction};
use stepup_core::error::StoreError;
use stepup_core::storage::Stored;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::pool::{Statement, discard, fault, healthy};

/// What a verb does inside one transaction.
pub(crate) type Work<'c, T> = Pin<Box<dyn Future<Output = Stored<T>> + Send + 'c>>;

/// Writes of one commit, at most: the first one is answered no later than the last one is written.
const GROUP: usize = 64;

/// The writes that wait for a database.
#[derive(Clone)]
pub(crate) struct Writes {
    pool: SqlitePool,
    queue: Arc<Mutex<Queue>>,
    patience: Duration,
    /// Where it was made, and where leaders run: a caller's runtime may be one that its work blocks (a mail that is being
    /// handed over), and all other callers would wait for that.
    home: Handle,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Entry>,
    /// The number of who leads.
    led: Option<u64>,
    /// Whether that one ran yet.
    begun: bool,
    /// Leaders so far.
    leaders: u64,
}

impl Queue {
    /// A new leader's number. Whoever led before leads no more.
    fn appoint(&mut self) -> u64 {
        self.leaders += 1;
        self.led = Some(self.leaders);
        self.begun = false;
        self.leaders
    }
}

struct Entry {
    ticket: Ticket,
    job: Box<dyn Job>,
}

impl Writes {
    /// Writes by connections of `pool`. Whoever waits longer than `patience` for its turn is told so, and so is whoever
    /// waits as long again for its end. Made inside of a Tokio runtime.
    pub(crate) fn new(pool: SqlitePool, patience: Duration) -> Self {
        Self {
            pool,
            queue: Arc::default(),
            patience,
            home: Handle::current(),
        }
    }

    /// Writes by one statement. The rows are what it returns, all of them: SQLite ends a statement only when its last
    /// row was fetched.
    pub(crate) async fn statement(&self, statement: Statement) -> Stored<Vec<SqliteRow>> {
        self.wait(|tell| {
            Box::new(One {
                statement: Some(statement),
                done: None,
                tell,
            })
        })
        .await
    }

    /// Writes in one transaction: `work` is committed if it answers, and undone if it fails.
    pub(crate) async fn transaction<T, F>(&self, work: F) -> Stored<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    {
        self.wait(|tell| {
            Box::new(Many {
                work: Some(work),
                done: None,
                tell,
            })
        })
        .await
    }

    async fn wait<T>(&self, job: impl FnOnce(Tell<T>) -> Box<dyn Job>) -> Stored<T> {
        let (tell, mut told) = oneshot::channel();
        let ticket = Ticket::default();
        self.enqueue(Entry {
            ticket: ticket.clone(),
            job: job(tell),
        });
        let soon = self.patience / 8;
        let mut answer = tokio::time::timeout(soon, &mut told).await;
        if answer.is_err() {
            self.rescue();
            answer = tokio::time::timeout(self.patience - soon, &mut told).await;
        }
        if answer.is_err() && !ticket.take_back() {
            answer = tokio::time::timeout(self.patience, told).await;
        }
        match answer {
            Ok(Ok(answer)) => answer,
            // Whoever led is gone with its runtime, in the middle of it.
            Ok(Err(gone)) => Err(StoreError::Unavailable(gone.into())),
            // Not begun; or begun, and whether it was written nobody can tell.
            Err(late) => Err(StoreError::Unavailable(late.into())),
        }
    }

    fn enqueue(&self, entry: Entry) {
        let mut queue = lock(&self.queue);
        queue.waiting.push_back(entry);
        if queue.led.is_none() {
            let leader = self.leader(queue.appoint());
            drop(queue);
            self.home.spawn(leader);
        }
    }

    /// Leads from here if nobody does who runs: a runtime that has ended takes tasks and drops them, and one that nobody
    /// drives keeps them.
    fn rescue(&self) {
        let mut queue = lock(&self.queue);
        if !queue.begun && !queue.waiting.is_empty() {
            let leader = self.leader(queue.appoint());
            drop(queue);
            tokio::spawn(leader);
        }
    }

    /// Writes until nothing waits. A task of its own: a request that goes away takes nothing back, so that no guess is for
    /// free, and leaves no open transaction on a connection that the next one is given (sqlx issue 4393).
    fn leader(&self, number: u64) -> impl Future<Output = ()> + Send + 'static {
        let lead = Lead {
            queue: Arc::clone(&self.queue),
            number,
        };
        let pool = self.pool.clone();
        async move {
            while let Some(group) = lead.next() {
                write(&pool, group).await;
            }
        }
    }
}

impl Debug for Writes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Writes(..)")
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whoever leads, unless another one was appointed meanwhile. When it ends, for whatever reason, the next one to come leads.
struct Lead {
    queue: Arc<Mutex<Queue>>,
    number: u64,
}

impl Lead {
    /// The next group; none if nothing waits, and then nobody leads any more, or if another one leads.
    fn next(&self) -> Option<Vec<Box<dyn Job>>> {
        let mut queue = lock(&self.queue);
        if queue.led != Some(self.number) {
            return None;
        }
        queue.begun = true;
        let mut group = Vec::new();
        while group.len() < GROUP {
            let Some(entry) = queue.waiting.pop_front() else {
                break;
            };
            if entry.ticket.begin() {
                group.push(entry.job);
            }
        }
        if group.is_empty() {
            queue.led = None;
            return None;
        }
        Some(group)
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let mut queue = lock(&self.queue);
        if queue.led == Some(self.number) {
            // It did not come to its end: its runtime did. Who waits is told by the loss of its job. If it never ran, the
            // next one to come, or the first to lose patience, leads what waits.
            queue.led = None;
            if queue.begun {
                queue.waiting.clear();
            }
        }
    }
}

/// Whose turn it is: a write is taken back by a caller who waited too long, or begun by who leads, and never both.
#[derive(Clone, Default)]
struct Ticket(Arc<AtomicU8>);

impl Ticket {
    const WAITING: u8 = 0;
    const BEGUN: u8 = 1;
    const TAKEN_BACK: u8 = 2;

    fn begin(&self) -> bool {
        self.turn(Self::BEGUN)
    }

    fn take_back(&self) -> bool {
        self.turn(Self::TAKEN_BACK)
    }

    fn turn(&self, to: u8) -> bool {
        self.0
            .compare_exchange(Self::WAITING, to, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

type Tell<T> = oneshot::Sender<Stored<T>>;

/// One write of a group.
trait Job: Send {
    /// Whether it is one statement, which undoes itself when it fails.
    fn is_statement(&self) -> bool;

    /// Writes, and keeps the outcome to itself.
    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> Work<'c, ()>;

    /// Tells the outcome, now that it is committed.
    fn settle(self: Box<Self>);

    /// Tells that nothing is committed. What the job itself met with comes first.
    fn undone(self: Box<Self>, why: StoreError);
}

/// A job that is one statement.
struct One {
    statement: Option<Statement>,
    done: Option<Stored<Vec<SqliteRow>>>,
    tell: Tell<Vec<SqliteRow>>,
}

/// A job that is a transaction.
struct Many<T, F> {
    work: Option<F>,
    done: Option<Stored<T>>,
    tell: Tell<T>,
}

impl Job for One {
    fn is_statement(&self) -> bool {
        true
    }

    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> Work<'c, ()> {
        Box::pin(async move {
            if let Some(statement) = self.statement.take() {
                self.done = Some(statement.fetch_all(connection).await.map_err(fault));
            }
            keep(&mut self.done)
        })
    }

    fn settle(self: Box<Self>) {
        tell(self.tell, self.done);
    }

    fn undone(self: Box<Self>, why: StoreError) {
        tell(self.tell, undone(self.done, why));
    }
}

impl<T, F> Job for Many<T, F>
where
    T: Send + 'static,
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
{
    fn is_statement(&self) -> bool {
        false
    }

    fn run<'c>(&'c mut self, connection: &'c mut SqliteConnection) -> Work<'c, ()> {
        Box::pin(async move {
            if let Some(work) = self.work.take() {
                self.done = Some(work(connection).await);
            }
            keep(&mut self.done)
        })
    }

    fn settle(self: Box<Self>) {
        tell(self.tell, self.done);
    }

    fn undone(self: Box<Self>, why: StoreError) {
        tell(self.tell, undone(self.done, why));
    }
}

/// Whether the job did what it was to do. The error itself stays with the job.
fn keep<T>(done: &mut Option<Stored<T>>) -> Stored<()> {
    match done {
        Some(Ok(_)) => Ok(()),
        Some(Err(StoreError::Unavailable(_))) | None => Err(StoreError::Unavailable(GONE.into())),
        Some(Err(_)) => Err(StoreError::Conflict("undone by itself")),
    }
}

fn undone<T>(done: Option<Stored<T>>, why: StoreError) -> Option<Stored<T>> {
    match done {
        Some(Err(error)) => Some(Err(error)),
        Some(Ok(_)) | None => Some(Err(why)),
    }
}

fn tell<T>(to: Tell<T>, outcome: Option<Stored<T>>) {
    // Whoever asked may be gone.
    let _ = to.send(outcome.unwrap_or_else(|| Err(StoreError::Unavailable(GONE.into()))));
}

const GONE: &str = "the database failed while a group of writes was under way";

/// Writes a group and tells each of its jobs how it went.
async fn write(pool: &SqlitePool, mut group: Vec<Box<dyn Job>>) {
    let committed = commit(pool, &mut group).await;
    match committed {
        Ok(()) => group.into_iter().for_each(|job| job.settle()),
        Err(error) => {
            let why = error.to_string();
            for job in group {
                job.undone(StoreError::Unavailable(why.clone().into()));
            }
        }
    }
}

async fn commit(pool: &SqlitePool, group: &mut [Box<dyn Job>]) -> Stored<()> {
    let mut connection = healthy(pool).await.map_err(fault)?;
    let done = match group {
        [job] if job.is_statement() => {
            // Committed by itself, or undone by itself.
            let _ = job.run(&mut connection).await;
            Ok(())
        }
        group => together(&mut connection, group).await,
    };
    // A full disk ends a transaction without sqlx noticing; such a connection would refuse ever after.
    if connection.is_in_transaction() {
        discard(connection).await;
    }
    done
}

/// `BEGIN IMMEDIATE` takes the write lock before anything is read, so that nothing has to be tried again.
async fn together(connection: &mut SqliteConnection, group: &mut [Box<dyn Job>]) -> Stored<()> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(fault)?;
    for job in group {
        if let Err(error) = step(&mut transaction, job.as_mut()).await {
            // The database failed, and may have undone the transaction behind our back: nothing after it can be trusted.
            if let Err(undone) = transaction.rollback().await {
                tracing::warn!(error = %undone, "a transaction could not be rolled back");
            }
            return Err(error);
        }
    }
    transaction.commit().await.map_err(fault)
}

/// Runs one job so that its failure undoes nothing but itself. An error is the database's, and ends the group.
async fn step(transaction: &mut Transaction<'_, Sqlite>, job: &mut dyn Job) -> Stored<()> {
    if job.is_statement() {
        return match job.run(transaction).await {
            Err(error @ StoreError::Unavailable(_)) => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
    }
    let mut savepoint = transaction.begin().await.map_err(fault)?;
    match job.run(&mut savepoint).await {
        Ok(()) => savepoint.commit().await.map_err(fault),
        Err(error @ StoreError::Unavailable(_)) => Err(error),
        Err(_) => savepoint.rollback().await.map_err(fault),
    }
}

#[cfg(test)]
mod tests;
