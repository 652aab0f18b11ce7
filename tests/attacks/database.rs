//! What the rows look at past the server: the tables in the file, and the messages that went out.

#![allow(unreachable_pub, reason = "the rows use it")]

use std::collections::BTreeMap;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Row};

use crate::kit::Server;

/// A connection of its own to a file.
pub async fn open(file: &std::path::Path) -> SqliteConnection {
    SqliteConnectOptions::new()
        .filename(file)
        .connect()
        .await
        .unwrap()
}

/// Runs a statement past the server.
pub async fn run(server: &Server, sql: &str) -> u64 {
    let mut connection = open(&server.database()).await;
    let done = sqlx::query(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await;
    done.unwrap().rows_affected()
}

/// The rows of a question.
pub async fn ask(file: &std::path::Path, sql: &str) -> Vec<SqliteRow> {
    let mut connection = open(file).await;
    sqlx::query(AssertSqlSafe(sql.to_owned()))
        .fetch_all(&mut connection)
        .await
        .unwrap()
}

/// A number.
pub async fn count(file: &std::path::Path, sql: &str) -> i64 {
    ask(file, sql).await[0].get(0)
}

/// How often the throttles whose name begins with `label` have counted.
pub async fn tally(file: &std::path::Path, label: &str) -> i64 {
    count(
        file,
        &format!("SELECT coalesce(max(tally), 0) FROM stepup_counter WHERE name LIKE '{label}:%'"),
    )
    .await
}

/// Every table but the counters, and the failure count of a challenge left out, row by row.
pub async fn dump(file: &std::path::Path) -> BTreeMap<String, Vec<String>> {
    let mut tables = BTreeMap::new();
    let names = "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'stepup_%' ORDER BY name";
    for table in ask(file, names).await {
        let table: String = table.get(0);
        if table == "stepup_counter" || table.contains("migration") {
            continue;
        }
        let columns = ask(file, &format!("SELECT name FROM pragma_table_info('{table}')")).await;
        let columns: Vec<String> = columns
            .iter()
            .map(|column| column.get::<String, _>(0))
            .filter(|column| !(table == "stepup_challenge" && column == "failed"))
            .map(|column| format!("quote({column})"))
            .collect();
        let all = format!("SELECT {} FROM {table} ORDER BY 1", columns.join(" || ', ' || "));
        let rows = ask(file, &all).await.iter().map(|row| row.get(0)).collect();
        tables.insert(table, rows);
    }
    tables
}

/// How many messages went out, once no notice is under way any more.
async fn quiet(server: &Server) -> usize {
    for _ in 0..1_000 {
        server.site.stepup.tick().await;
        let messages = server.sent().await.len();
        if count(&server.database(), "SELECT count(*) FROM stepup_notice").await == 0 {
            return messages;
        }
        tokio::task::yield_now().await;
    }
    panic!("a notice is not delivered");
}

/// "No state change" (threat model §1.4): the tables but for failure counters, and the messages, as they were.
pub struct Still {
    tables: BTreeMap<String, Vec<String>>,
    messages: usize,
}

impl Still {
    pub async fn of(server: &Server) -> Self {
        let messages = quiet(server).await;
        Self {
            tables: dump(&server.database()).await,
            messages,
        }
    }

    pub async fn holds(&self, server: &Server) {
        let messages = quiet(server).await;
        assert_eq!(messages, self.messages, "a message went out");
        let now = dump(&server.database()).await;
        for (table, rows) in &self.tables {
            assert_eq!(rows, &now[table], "{table} changed");
        }
    }
}
