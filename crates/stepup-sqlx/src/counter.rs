//! Counters: asking several for leave in one statement.

use std::collections::HashSet;

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

/// All grant and all count, or the first that refuses is returned and nothing counts.
///
/// A row that does not change is written as it was, with the verdict: that is how `RETURNING` comes to tell it. The
/// window of a curve (base not zero) begins anew with each count.
const CHARGE: &str = concat!(
    asked!(),
    ", judged AS (
        SELECT *, CASE WHEN kept THEN tally ELSE 0 END + cost AS counted,
            CASE WHEN kept THEN tally ELSE 0 END + cost <= most AND coalesce(closed_until, ?2) <= ?2 AS grants
        FROM asked
     ), refusal AS (
        SELECT min(place) AS place FROM judged WHERE NOT grants
     ), next AS (
        SELECT name, span,
            CASE WHEN kept AND base = 0 THEN since ELSE ?2 END AS since,
            counted AS tally,
            CASE WHEN counted < free THEN ?2
                 WHEN base > (cap >> min(counted - free, 62)) THEN ?2 + cap
                 ELSE ?2 + (base << min(counted - free, 62)) END AS closed_until
        FROM judged WHERE cost > 0 AND (SELECT place FROM refusal) IS NULL
     )
     INSERT INTO stepup_counter (name, since, tally, closed_until, over_at, granted)
     SELECT name, since, tally, closed_until, max(since + span, closed_until), 1 FROM next
     UNION ALL
     SELECT name, since, tally, closed_until, over_at, 1 FROM judged
        WHERE cost = 0 AND since IS NOT NULL AND (SELECT place FROM refusal) IS NULL
     UNION ALL
     SELECT name, coalesce(since, ?2), coalesce(tally, 0), coalesce(closed_until, ?2), coalesce(over_at, ?2), 0
        FROM judged WHERE place = (SELECT place FROM refusal)
     ON CONFLICT (name) DO UPDATE SET since = excluded.since, tally = excluded.tally,
        closed_until = excluded.closed_until, over_at = excluded.over_at, granted = excluded.granted
     RETURNING name, granted, since, tally, closed_until, over_at"
);

/// Asks that count nothing need no turn to write.
const LOOK: &str = concat!(
    asked!(),
    "SELECT name, 1, since, tally, closed_until, over_at FROM asked WHERE since IS NOT NULL"
);

const CLEAR: &str = "DELETE FROM stepup_counter WHERE name IN (SELECT value FROM json_each(?1))";

#[async_trait]
impl CounterStore for SqliteStore {
    async fn charge(&self, asks: &[Ask], now: Timestamp) -> Stored<Charge> {
        let mut keys = HashSet::new();
        if !asks.iter().all(|ask| keys.insert(&ask.key)) {
            return Err(StoreError::Conflict("one counter was asked twice"));
        }
        if asks.iter().all(|ask| ask.cost == 0) {
            let found = self.read(statement(LOOK, asks, now)?).await?;
            return looked(asks, &states(&found)?, now);
        }
        let written = self.write(statement(CHARGE, asks, now)?).await?;
        charged(asks, &states(&written)?, now)
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

/// A counter as the statement left it.
struct State {
    name: String,
    granted: bool,
    counter: Counter,
}

fn states(rows: &[SqliteRow]) -> Stored<Vec<State>> {
    rows.iter().map(state).collect()
}

fn state(row: &SqliteRow) -> Stored<State> {
    let mut columns = Columns::of(row);
    Ok(State {
        name: columns.text()?,
        granted: columns.flag()?,
        counter: Counter {
            since: columns.time()?,
            count: columns.count()?,
            until: columns.time()?,
            over_at: columns.time()?,
        },
    })
}

fn of<'s>(states: &'s [State], ask: &Ask) -> Option<&'s State> {
    states.iter().find(|state| state.name == ask.key.as_str())
}

/// What [`LOOK`] found, judged as the reference does.
fn looked(asks: &[Ask], states: &[State], now: Timestamp) -> Stored<Charge> {
    let mut counts = Vec::with_capacity(asks.len());
    for (index, ask) in asks.iter().enumerate() {
        match ask.put_to(of(states, ask).map(|state| &state.counter), now) {
            Ok(counter) => counts.push(counter.count),
            Err(retry_after) => return Ok(Charge::Refused { index, retry_after }),
        }
    }
    Ok(Charge::Granted(counts))
}

/// What [`CHARGE`] decided.
fn charged(asks: &[Ask], states: &[State], now: Timestamp) -> Stored<Charge> {
    if let Some(refused) = states.iter().find(|state| !state.granted) {
        let index = asks.iter().position(|ask| ask.key.as_str() == refused.name).ok_or_else(malformed)?;
        // The row is as the statement judged it, so that the wait follows from it.
        let judged = asks.get(index).map(|ask| ask.put_to(Some(&refused.counter), now));
        let Some(Err(retry_after)) = judged else {
            return Err(malformed());
        };
        return Ok(Charge::Refused { index, retry_after });
    }
    let count = |ask: &Ask| match of(states, ask) {
        Some(state) if ask.cost > 0 => Ok(state.counter.count),
        None if ask.cost > 0 => Err(malformed()),
        found => Ok(ask.put_to(found.map(|state| &state.counter), now).map_or(0, |counter| counter.count)),
    };
    Ok(Charge::Granted(asks.iter().map(count).collect::<Stored<_>>()?))
}
