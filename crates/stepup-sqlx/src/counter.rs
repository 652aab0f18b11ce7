//! Counters: asking several for leave in one statement.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;
use sqlx::sqlite::SqliteRow;
use stepup_core::error::StoreError;
use stepup_core::record::counter::{Ask, Charge, Counter, CounterKey};
use stepup_core::storage::{CounterStore, Stored};
use stepup_core::time::Timestamp;

use crate::pool::{SqliteStore, Statement};
use crate::row::{Columns, json, malformed, ms};

/// The asks with what their counters hold. `?1`: the asks as JSON, each `[name, cost, limit, window, free, base,
/// cap]`; `?2`: now.
macro_rules! asked {
    () => {
        "WITH asked AS (
            SELECT a.key AS place, a.value ->> 0 AS name, a.value ->> 1 AS cost, a.value ->> 2 AS most,
                a.value ->> 3 AS span, a.value ->> 4 AS free, a.value ->> 5 AS base, a.value ->> 6 AS cap,
                c.since, c.tally, c.closed_until, c.over_at,
                c.name IS NOT NULL AND ?2 - c.since < a.value ->> 3 AS kept
            FROM json_each(?1) a LEFT JOIN stepup_counter c ON c.name = a.value ->> 0
        ) "
    };
}

/// All grant and all count, or nothing is written and no row comes back. A refusal must cost no commit: whoever is
/// refused a thousand times a second would otherwise hold up everybody who writes.
///
/// A counter that is only looked at is written as it was, since `RETURNING` tells of written rows alone. The window
/// of a curve (base not zero) begins anew with each count. Without a delay `closed_until` is 0, and not now, for which a
/// node whose clock is behind would have to wait.
const CHARGE: &str = concat!(
    asked!(),
    ", judged AS (
        SELECT *, CASE WHEN kept THEN tally ELSE 0 END + cost AS counted,
            CASE WHEN kept THEN tally ELSE 0 END + cost <= most AND coalesce(closed_until, ?2) <= ?2 AS grants
        FROM asked
     ), next AS (
        SELECT name, span,
            CASE WHEN kept AND base = 0 THEN since ELSE ?2 END AS since,
            counted AS tally,
            CASE WHEN counted < free THEN 0
                 WHEN base > (cap >> min(counted - free, 62)) THEN ?2 + cap
                 ELSE ?2 + (base << min(counted - free, 62)) END AS closed_until
        FROM judged WHERE cost > 0
     )
     INSERT INTO stepup_counter (name, since, tally, closed_until, over_at)
     SELECT name, since, tally, closed_until, max(since + span, closed_until) FROM next
        WHERE NOT EXISTS (SELECT 1 FROM judged WHERE NOT grants)
     UNION ALL
     SELECT name, since, tally, closed_until, over_at FROM judged
        WHERE cost = 0 AND since IS NOT NULL AND NOT EXISTS (SELECT 1 FROM judged WHERE NOT grants)
     ON CONFLICT (name) DO UPDATE SET since = excluded.since, tally = excluded.tally,
        closed_until = excluded.closed_until, over_at = excluded.over_at
     RETURNING name, since, tally, closed_until, over_at"
);

/// What the counters hold. It needs no turn to write.
const LOOK: &str = concat!(
    asked!(),
    "SELECT name, since, tally, closed_until, over_at FROM asked WHERE since IS NOT NULL"
);

/// How often a charge is tried that was refused by counters which then turned out to be cleared.
const ROUNDS: u32 = 3;

const CLEAR: &str = "DELETE FROM stepup_counter WHERE name IN (SELECT value FROM json_each(?1))";

#[async_trait]
impl CounterStore for SqliteStore {
    async fn charge(&self, asks: &[Ask], now: Timestamp) -> Stored<Charge> {
        let mut keys = HashSet::new();
        if !asks.iter().all(|ask| keys.insert(&ask.key)) {
            return Err(StoreError::Conflict("one counter was asked twice"));
        }
        let counts = asks.iter().any(|ask| ask.cost > 0);
        for _ in 0..ROUNDS {
            if counts {
                let written = self.write(statement(CHARGE, asks, now)?).await?;
                if !written.is_empty() {
                    return Ok(Charge::Granted(counted(asks, &states(&written)?, now)?));
                }
            }
            // Refused, or only a look: the reference judges what the counters hold.
            let found = states(&self.read(statement(LOOK, asks, now)?).await?)?;
            match judge(asks, &found, now) {
                // Cleared between the two statements.
                Charge::Granted(_) if counts => {}
                verdict => return Ok(verdict),
            }
        }
        Err(StoreError::Conflict(
            "counters are cleared faster than they can be read",
        ))
    }

    async fn clear(&self, keys: &[CounterKey]) -> Stored<()> {
        if !keys.is_empty() {
            self.write(clearing(keys)?).await?;
        }
        Ok(())
    }
}

/// The statement that forgets `keys`.
pub(crate) fn clearing(keys: &[CounterKey]) -> Stored<Statement> {
    let names: Vec<&str> = keys.iter().map(CounterKey::as_str).collect();
    Ok(sqlx::query(CLEAR).bind(json(&names)?))
}

fn statement(sql: &'static str, asks: &[Ask], now: Timestamp) -> Stored<Statement> {
    let asks: Vec<_> = asks
        .iter()
        .map(|ask| {
            let (window, base, cap) = (ms(ask.window), ms(ask.base), ms(ask.cap));
            (ask.key.as_str(), ask.cost, ask.limit, window, ask.free, base, cap)
        })
        .collect();
    Ok(sqlx::query(sql).bind(json(&asks)?).bind(now.as_ms()))
}

/// Counters by name.
type States = HashMap<String, Counter>;

fn states(rows: &[SqliteRow]) -> Stored<States> {
    rows.iter().map(state).collect()
}

fn state(row: &SqliteRow) -> Stored<(String, Counter)> {
    let mut columns = Columns::of(row);
    let name = columns.text()?;
    let counter = Counter {
        since: columns.time()?,
        count: columns.count()?,
        until: columns.time()?,
        over_at: columns.time()?,
    };
    Ok((name, counter))
}

/// What the counters answer, before anything is counted.
fn judge(asks: &[Ask], found: &States, now: Timestamp) -> Charge {
    let mut counts = Vec::with_capacity(asks.len());
    for (index, ask) in asks.iter().enumerate() {
        match ask.put_to(found.get(ask.key.as_str()), now) {
            Ok(counter) => counts.push(counter.count),
            Err(retry_after) => return Charge::Refused { index, retry_after },
        }
    }
    Charge::Granted(counts)
}

/// The counts that [`CHARGE`] wrote.
fn counted(asks: &[Ask], written: &States, now: Timestamp) -> Stored<Vec<u32>> {
    let count = |ask: &Ask| match written.get(ask.key.as_str()) {
        Some(counter) if ask.cost > 0 => Ok(counter.count),
        None if ask.cost > 0 => Err(malformed()),
        found => Ok(ask.put_to(found, now).map_or(0, |counter| counter.count)),
    };
    asks.iter().map(count).collect()
}
