//! Connections: many that read, one that writes, and what becomes of a request that goes away.

use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteRow, SqliteSynchronous,
};
use sqlx::{Connection, Sqlite};
use stepup_core::error::StoreError;
use stepup_core::storage::Stored;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a request waits for its turn to write, or for a connection; the database's own lock is waited for as long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Connections that read. Reads are rare beside verified tokens, which touch no storage.
const READERS: u32 = 4;

/// A statement with its values.
pub(crate) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// What a verb does inside one transaction.
pub(crate) type Work<'c, T> = Pin<Box<dyn Future<Output = Stored<T>> + Send + 'c>>;

/// A store in an SQLite file.
///
/// SQLite has one writer at a time. Writes therefore take turns here, in the order they came, instead of meeting as
/// `SQLITE_BUSY`; whoever waits longer than two seconds is told that the store is unavailable.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    reader: SqlitePool,
    writer: SqlitePool,
    turn: Arc<Semaphore>,
}

impl SqliteStore {
    /// Opens the file that `url` names: `sqlite://app.db`, with `?mode=rwc` to make it if it is missing.
    ///
    /// A commit is durable when it is answered (`synchronous=FULL`): a code that was accepted stays spent even when
    /// the power fails.
    ///
    /// # Errors
    /// The URL does not read, or the file cannot be opened. A database in memory is refused: each connection would
    /// have one of its own.
    pub async fn connect(url: &str) -> Result<Self, sqlx::Error> {
        let options = SqliteConnectOptions::from_str(url)?
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(PATIENCE);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(PATIENCE)
                .test_before_acquire(false)
        };
        // The writer comes first: it makes the file and sets the journal, which the readers then find.
        let writer = pool(1).connect_with(options.clone()).await?;
        on_a_file(&writer).await?;
        let reader = pool(READERS).connect_lazy_with(options);
        Ok(Self::of(reader, writer))
    }

    /// Uses the application's own pool, with the application's own settings: `foreign_keys`, a `busy_timeout` and
    /// an `acquire_timeout` of a few seconds, and `synchronous=FULL` where commits must outlive a power failure.
    ///
    /// # Errors
    /// The database does not answer, or is one in memory, where each connection has one of its own.
    pub async fn with_pool(pool: SqlitePool) -> Result<Self, sqlx::Error> {
        on_a_file(&pool).await?;
        Ok(Self::of(pool.clone(), pool))
    }

    fn of(reader: SqlitePool, writer: SqlitePool) -> Self {
        let turn = Arc::new(Semaphore::new(1));
        Self { reader, writer, turn }
    }

    /// The pool that writes, for migrations.
    pub(crate) fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// Closes all connections, after what is under way has ended.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    /// Reads by one statement.
    pub(crate) async fn fetch(&self, statement: Statement) -> Result<Vec<SqliteRow>, sqlx::Error> {
        let mut connection = healthy(&self.reader).await?;
        statement.fetch_all(&mut *connection).await
    }

    /// Reads by one statement.
    pub(crate) async fn read(&self, statement: Statement) -> Stored<Vec<SqliteRow>> {
        self.fetch(statement).await.map_err(fault)
    }

    /// Writes by one statement, committed by itself. The rows are what it returns, all of them: SQLite ends a
    /// statement only when its last row was fetched.
    pub(crate) async fn write(&self, statement: Statement) -> Stored<Vec<SqliteRow>> {
        let (turn, writer) = (self.turn().await?, self.writer.clone());
        finish(turn, async move {
            let mut connection = healthy(&writer).await.map_err(fault)?;
            statement.fetch_all(&mut *connection).await.map_err(fault)
        })
        .await
    }

    /// Writes in one transaction: `work` is committed if it answers, and undone if it fails.
    pub(crate) async fn transact<T, F>(&self, work: F) -> Stored<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    {
        let (turn, writer) = (self.turn().await?, self.writer.clone());
        finish(turn, async move {
            let mut connection = healthy(&writer).await.map_err(fault)?;
            let done = transaction(&mut connection, work).await;
            // A full disk ends a transaction without sqlx noticing; such a connection would refuse ever after.
            if connection.is_in_transaction() {
                discard(connection).await;
            }
            done
        })
        .await
    }

    /// Waits for the turn to write.
    async fn turn(&self) -> Stored<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.turn).acquire_owned();
        match tokio::time::timeout(PATIENCE, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(closed)) => Err(StoreError::Unavailable(closed.into())),
            Err(late) => Err(StoreError::Unavailable(late.into())),
        }
    }
}

/// `BEGIN IMMEDIATE` takes the write lock before anything is read, so that nothing has to be tried again.
async fn transaction<T, F>(connection: &mut PoolConnection<Sqlite>, work: F) -> Stored<T>
where
    F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T>,
{
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await.map_err(fault)?;
    match work(&mut transaction).await {
        Ok(done) => {
            transaction.commit().await.map_err(fault)?;
            Ok(done)
        }
        Err(error) => {
            if let Err(undone) = transaction.rollback().await {
                tracing::warn!(error = %undone, "a transaction could not be rolled back");
            }
            Err(error)
        }
    }
}

/// Runs `work` in a task of its own and waits for it: a request that goes away meanwhile leaves it to its end, and
/// with it no open transaction on a connection that the next one is given (sqlx issue 4393).
async fn finish<T: Send + 'static>(
    turn: OwnedSemaphorePermit,
    work: impl Future<Output = Stored<T>> + Send + 'static,
) -> Stored<T> {
    let task = tokio::spawn(async move {
        let done = work.await;
        drop(turn);
        done
    });
    task.await
        .unwrap_or_else(|ended| Err(StoreError::Unavailable(ended.into())))
}

/// A connection that is in no transaction. One that is was left so by a request that went away while it began one:
/// what we wrote there would never be committed, and what we read would be old.
async fn healthy(pool: &SqlitePool) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
    loop {
        let connection = pool.acquire().await?;
        if !connection.is_in_transaction() {
            return Ok(connection);
        }
        discard(connection).await;
    }
}

async fn discard(connection: PoolConnection<Sqlite>) {
    tracing::warn!("closing a database connection that was left in a transaction");
    if let Err(error) = connection.detach().close_hard().await {
        tracing::warn!(%error, "a connection did not close");
    }
}

/// Refuses a database in memory: each connection has one of its own.
async fn on_a_file(pool: &SqlitePool) -> Result<(), sqlx::Error> {
    let sql = "SELECT file FROM pragma_database_list WHERE name = 'main'";
    let file: Option<String> = sqlx::query_scalar(sql).fetch_one(pool).await?;
    if file.is_none_or(|file| file.is_empty()) {
        let why = "a database in memory is one per connection: name a file";
        return Err(sqlx::Error::Configuration(why.into()));
    }
    Ok(())
}

/// What a failure of the database means to the caller.
pub(crate) fn fault(error: sqlx::Error) -> StoreError {
    use sqlx::error::ErrorKind;
    match &error {
        sqlx::Error::Database(found) => match found.kind() {
            ErrorKind::UniqueViolation => StoreError::Conflict("a key is taken"),
            ErrorKind::ForeignKeyViolation => StoreError::Conflict("a row it belongs to is missing"),
            ErrorKind::NotNullViolation | ErrorKind::CheckViolation => {
                StoreError::Conflict("a value is not allowed")
            }
            _ => StoreError::Unavailable(error.into()),
        },
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => StoreError::Malformed("column"),
        _ => StoreError::Unavailable(error.into()),
    }
}
