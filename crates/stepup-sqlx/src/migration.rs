//! Migrations: the files, running them, and telling whether they ran.

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use stepup_core::error::StoreError;
use stepup_core::storage::Stored;

use crate::pool::{SqliteStore, fault};
use crate::row::Columns;

/// The table that remembers which files ran, apart from the application's own.
const TABLE: &str = "stepup_migrations";

/// One file of the schema, for an application that puts it among its own migrations.
#[derive(Clone, Copy, Debug)]
pub struct MigrationFile {
    /// Its number, from 1 on: also the version that the schema has afterwards.
    pub version: i64,
    /// What it does.
    pub description: &'static str,
    /// Its statements.
    pub sql: &'static str,
}

/// All files for SQLite, in order. Published files never change.
pub const MIGRATIONS: &[MigrationFile] = &[
    MigrationFile {
        version: 1,
        description: "base",
        sql: include_str!("../migrations/sqlite/0001_base.sql"),
    },
    MigrationFile {
        version: 2,
        description: "challenges by destination",
        sql: include_str!("../migrations/sqlite/0002_challenge_destination.sql"),
    },
    MigrationFile {
        version: 3,
        description: "newest epoch",
        sql: include_str!("../migrations/sqlite/0003_newest_epoch.sql"),
    },
];

const VERSION: &str = "SELECT max(version) FROM stepup_schema";

impl SqliteStore {
    /// Brings the schema to this version. Never done by itself: the role that serves requests needs no right to
    /// change tables.
    ///
    /// # Errors
    /// The database failed, or holds a schema that these files did not make.
    pub async fn migrate(&self) -> Result<(), MigrateError> {
        let files = MIGRATIONS.iter().map(|file| {
            let sql = file.sql.into_sql_str();
            Migration::new(
                file.version,
                file.description.into(),
                MigrationType::Simple,
                sql,
                false,
            )
        });
        let mut migrator = Migrator::with_migrations(files.collect());
        migrator.dangerous_set_table_name(TABLE);
        migrator.run(self.writer()).await
    }

    /// Whether the database holds the schema of this version.
    ///
    /// # Errors
    /// [`StoreError::Schema`] if it does not; [`StoreError::Unavailable`] if nobody knows.
    pub async fn check_schema(&self) -> Stored<()> {
        let rows = match self.fetch(sqlx::query(VERSION)).await {
            Ok(rows) => rows,
            Err(error) => return Err(no_table(error)),
        };
        let found = rows
            .first()
            .map(|row| Columns::of(row).option::<i64>())
            .transpose()?
            .flatten();
        match (found, MIGRATIONS.last().map(|file| file.version)) {
            (Some(found), Some(wanted)) if found == wanted => Ok(()),
            (Some(found), Some(wanted)) if found > wanted => Err(StoreError::Schema(
                "its tables are newer than this version of stepup",
            )),
            (Some(_), _) => Err(StoreError::Schema(
                "its tables are older than this version: run `migrate()`",
            )),
            (None, _) => Err(StoreError::Schema("a migration ended halfway: run `migrate()`")),
        }
    }
}

/// A missing table is a schema that is not there; anything else stays what it is.
fn no_table(error: sqlx::Error) -> StoreError {
    let missing = error
        .as_database_error()
        .is_some_and(|error| error.message().contains("no such table"));
    if missing {
        StoreError::Schema("its tables are missing: run `migrate()`")
    } else {
        fault(error)
    }
}
