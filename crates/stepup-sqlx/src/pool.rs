//! Connections: many that read, and one that writes.

use std::str::FromStr;
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

use crate::group::{Work, Writes};

/// How long a request waits for its turn to write, or for a connection; the database's own lock is waited for as long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Connections that read. Reads are rare beside verified tokens, which touch no storage.
const READERS: u32 = 4;

/// A statement with its values.
pub(crate) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// A store in an SQLite file.
///
/// SQLite has one writer at a time. Writes therefore take turns here, in the order they came, instead of meeting as
/// `SQLITE_BUSY`, and those that wait together share a commit. Whoever waits longer than two seconds for its turn is told
/// that the store is unavailable.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    reader: SqlitePool,
    writer: SqlitePool,
    writes: Writes,
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
        let writes = Writes::new(writer.clone(), PATIENCE);
        Self {
            reader,
            writer,
            writes,
        }
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

    /// Writes by one statement, whole or not at all.
    pub(crate) async fn write(&self, statement: Statement) -> Stored<Vec<SqliteRow>> {
        self.writes.statement(statement).await
    }

    /// Writes in one transaction: `work` is committed if it answers, and undone if it fails.
    pub(crate) async fn transact<T, F>(&self, work: F) -> Stored<T>
    where
        T: Send + 'static,
        F: for<'c> FnOnce(&'c mut SqliteConnection) -> Work<'c, T> + Send + 'static,
    {
        self.writes.transaction(work).await
    }
}

/// A connection that is in no transaction. One that is was left so by a request that went away while it began one:
/// what we wrote there would never be committed, and what we read would be old.
pub(crate) async fn healthy(pool: &SqlitePool) -> Result<PoolConnection<Sqlite>, sqlx::Error> {
    loop {
        let connection = pool.acquire().await?;
        if !connection.is_in_transaction() {
            return Ok(connection);
        }
        discard(connection).await;
    }
}

pub(crate) async fn discard(connection: PoolConnection<Sqlite>) {
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
