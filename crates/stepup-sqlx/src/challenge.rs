//! Challenges: putting one, answering it, and one more code for it.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use stepup_core::error::StoreError;
use stepup_core::id::{ChallengeId, TenantId};
use stepup_core::record::challenge::{Answer, Binding, Challenge, MACS, Resend, Resent, SLOTS, Slot};
use stepup_core::secret::Mac;
use stepup_core::storage::{ChallengeStore, Payment, Stored};
use stepup_core::time::Timestamp;

use crate::pool::{SqliteStore, Statement, fault};
use crate::row::{Columns, malformed, ms};

/// The columns of a challenge, in the order that [`read`] reads.
macro_rules! challenge_columns {
    ($of:literal) => {
        concat!(
            $of,
            "tenant, ",
            $of,
            "id, ",
            $of,
            "purpose, ",
            $of,
            "user_id, ",
            $of,
            "session, ",
            $of,
            "destination, ",
            $of,
            "failed, ",
            $of,
            "max_failures, ",
            $of,
            "mac1, ",
            $of,
            "expires1, ",
            $of,
            "mac2, ",
            $of,
            "expires2, ",
            $of,
            "mac3, ",
            $of,
            "expires3, ",
            $of,
            "sends, ",
            $of,
            "next_send_at, ",
            $of,
            "closed, ",
            $of,
            "created_at, ",
            $of,
            "ends_at"
        )
    };
}
pub(crate) use challenge_columns;

/// How many columns those are.
const COLUMNS: usize = 19;

/// Takes the place of another challenge of the same session and purpose. A clash of the id is an error.
const PUT: &str = "INSERT INTO stepup_challenge (tenant, id, purpose, user_id, session, destination,
        failed, max_failures, mac1, expires1, mac2, expires2, mac3, expires3,
        sends, next_send_at, closed, created_at, ends_at)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)
     ON CONFLICT (tenant, session, purpose) DO UPDATE SET
        id = excluded.id, user_id = excluded.user_id, destination = excluded.destination,
        failed = excluded.failed, max_failures = excluded.max_failures,
        mac1 = excluded.mac1, expires1 = excluded.expires1,
        mac2 = excluded.mac2, expires2 = excluded.expires2,
        mac3 = excluded.mac3, expires3 = excluded.expires3,
        sends = excluded.sends, next_send_at = excluded.next_send_at, closed = excluded.closed,
        created_at = excluded.created_at, ends_at = excluded.ends_at";

/// Charges, compares and closes. A missing digest is `NULL`, which equals nothing.
///
/// `RETURNING` sees the new state: closed below the maximum is right. The slots are unchanged, so that they tell an
/// expired code from a wrong one.
const ANSWER: &str = "UPDATE stepup_challenge SET
        failed = CASE WHEN (mac1 IN (?6, ?7, ?8, ?9) AND expires1 > ?10)
                        OR (mac2 IN (?6, ?7, ?8, ?9) AND expires2 > ?10)
                        OR (mac3 IN (?6, ?7, ?8, ?9) AND expires3 > ?10)
                      THEN failed ELSE failed + 1 END,
        closed = CASE WHEN (mac1 IN (?6, ?7, ?8, ?9) AND expires1 > ?10)
                        OR (mac2 IN (?6, ?7, ?8, ?9) AND expires2 > ?10)
                        OR (mac3 IN (?6, ?7, ?8, ?9) AND expires3 > ?10)
                        OR failed + 1 >= max_failures
                      THEN 1 ELSE 0 END
     WHERE tenant = ?1 AND id = ?2 AND purpose = ?3 AND user_id = ?4 AND session = ?5
        AND closed = 0 AND failed < max_failures AND ends_at > ?10
     RETURNING failed,
        closed = 1 AND failed < max_failures,
        coalesce(mac1 IN (?6, ?7, ?8, ?9), 0) OR coalesce(mac2 IN (?6, ?7, ?8, ?9), 0)
                                              OR coalesce(mac3 IN (?6, ?7, ?8, ?9), 0)";

/// Pushes the slots down and lets those past `?8` die. The pause doubles: halving the cap cannot overflow.
const RESEND: &str = "UPDATE stepup_challenge SET
        mac1 = ?6, expires1 = ?7,
        mac2 = CASE WHEN ?8 >= 2 THEN mac1 END, expires2 = CASE WHEN ?8 >= 2 THEN expires1 END,
        mac3 = CASE WHEN ?8 >= 3 THEN mac2 END, expires3 = CASE WHEN ?8 >= 3 THEN expires2 END,
        sends = sends + 1,
        next_send_at = ?11 + CASE WHEN ?9 > (?10 >> min(sends, 62)) THEN ?10 ELSE ?9 << min(sends, 62) END
     WHERE tenant = ?1 AND id = ?2 AND purpose = ?3 AND user_id = ?4 AND session = ?5
        AND closed = 0 AND failed < max_failures AND ends_at > ?11 AND next_send_at <= ?11
     RETURNING sends";

const ONE: &str = concat!(
    "SELECT ",
    challenge_columns!(""),
    " FROM stepup_challenge WHERE tenant = ?1 AND id = ?2"
);

const TO: &str = concat!(
    "SELECT ",
    challenge_columns!(""),
    " FROM stepup_challenge WHERE tenant = ?1 AND destination = ?2 AND purpose = ?3 ORDER BY created_at DESC, id DESC"
);

const REOPEN: &str = "UPDATE stepup_challenge SET closed = 0 WHERE tenant = ?1 AND id = ?2";

const DROP: &str = "DELETE FROM stepup_challenge WHERE tenant = ?1 AND id = ?2 RETURNING 1";

const DROP_TO: &str =
    "DELETE FROM stepup_challenge WHERE tenant = ?1 AND destination = ?2 AND purpose = ?3 RETURNING 1";

const NEXT_SEND: &str = "SELECT next_send_at FROM stepup_challenge
     WHERE tenant = ?1 AND id = ?2 AND purpose = ?3 AND user_id = ?4 AND session = ?5
        AND closed = 0 AND failed < max_failures AND ends_at > ?6";

/// The statement that puts `challenge`.
fn putting(challenge: &Challenge) -> Statement {
    let mut statement = bound(PUT, &challenge.tenant, &challenge.id, &challenge.binding)
        .bind(challenge.destination.as_str())
        .bind(i64::from(challenge.failed))
        .bind(i64::from(challenge.max_failures));
    for slot in &challenge.slots {
        statement = statement
            .bind(slot.as_ref().map(|slot| slot.mac.as_bytes().as_slice()))
            .bind(slot.as_ref().map(|slot| slot.expires_at.as_ms()));
    }
    statement
        .bind(i64::from(challenge.sends))
        .bind(challenge.next_send_at.as_ms())
        .bind(challenge.closed)
        .bind(challenge.created_at.as_ms())
        .bind(challenge.ends_at.as_ms())
}

/// The statement that charges, compares and closes.
fn answering(
    tenant: &TenantId,
    id: &ChallengeId,
    to: &Binding,
    macs: &[Mac],
    now: Timestamp,
) -> Stored<Statement> {
    if macs.len() > MACS {
        return Err(StoreError::Conflict("too many digests of one answer"));
    }
    let mut statement = bound(ANSWER, tenant, id, to);
    for place in 0..MACS {
        statement = statement.bind(macs.get(place).map(|mac| mac.as_bytes().as_slice()));
    }
    Ok(statement.bind(now.as_ms()))
}

/// Spends what pays for a verb, within it.
pub(crate) async fn pay(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    payment: &Payment,
) -> Stored<Answer> {
    let Payment {
        challenge,
        binding,
        macs,
        now,
    } = payment;
    let statement = answering(tenant, challenge, binding, macs, *now)?;
    let rows = statement.fetch_all(connection).await.map_err(fault)?;
    rows.first().map_or(Ok(Answer::Gone), verdict)
}

/// Takes a payment back that was right, within the verb that it did not bring about. A right answer changes nothing else.
pub(crate) async fn refund(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    payment: &Payment,
) -> Stored<()> {
    let reopen = sqlx::query(REOPEN)
        .bind(tenant.as_str())
        .bind(payment.challenge.as_str());
    reopen.execute(connection).await.map_err(fault)?;
    Ok(())
}

/// Adds `challenge` within a verb.
pub(crate) async fn insert(connection: &mut SqliteConnection, challenge: &Challenge) -> Stored<()> {
    putting(challenge).execute(connection).await.map_err(fault)?;
    Ok(())
}

#[async_trait]
impl ChallengeStore for SqliteStore {
    async fn put_challenge(&self, challenge: &Challenge) -> Stored<()> {
        self.write(putting(challenge)).await?;
        Ok(())
    }

    async fn answer(
        &self,
        tenant: &TenantId,
        id: &ChallengeId,
        to: &Binding,
        macs: &[Mac],
        now: Timestamp,
    ) -> Stored<Answer> {
        let rows = self.write(answering(tenant, id, to, macs, now)?).await?;
        rows.first().map_or(Ok(Answer::Gone), verdict)
    }

    async fn challenge(&self, tenant: &TenantId, id: &ChallengeId) -> Stored<Option<Challenge>> {
        let statement = sqlx::query(ONE).bind(tenant.as_str()).bind(id.as_str());
        let rows = self.read(statement).await?;
        rows.first().map(|row| read(&mut Columns::of(row))).transpose()
    }

    async fn challenges_to(
        &self,
        tenant: &TenantId,
        purpose: &str,
        destination: &str,
    ) -> Stored<Vec<Challenge>> {
        let rows = self.read(to(TO, tenant, purpose, destination)).await?;
        rows.iter().map(|row| read(&mut Columns::of(row))).collect()
    }

    async fn drop_challenge(&self, tenant: &TenantId, id: &ChallengeId) -> Stored<bool> {
        let statement = sqlx::query(DROP).bind(tenant.as_str()).bind(id.as_str());
        Ok(!self.write(statement).await?.is_empty())
    }

    async fn drop_challenges_to(&self, tenant: &TenantId, purpose: &str, destination: &str) -> Stored<u64> {
        let dropped = self.write(to(DROP_TO, tenant, purpose, destination)).await?;
        Ok(dropped.len() as u64)
    }

    async fn resend(&self, resend: &Resend) -> Stored<Resent> {
        let keep = i64::try_from(resend.keep.clamp(1, SLOTS)).map_err(|_| malformed())?;
        let statement = bound(RESEND, &resend.tenant, &resend.id, &resend.binding)
            .bind(resend.slot.mac.as_bytes().as_slice())
            .bind(resend.slot.expires_at.as_ms())
            .bind(keep)
            .bind(ms(resend.base))
            .bind(ms(resend.cap))
            .bind(resend.now.as_ms());
        if let Some(row) = self.write(statement).await?.first() {
            return Ok(Resent::Added {
                sends: Columns::of(row).count()?,
            });
        }
        // Nothing was written; this only tells the caller why.
        let statement =
            bound(NEXT_SEND, &resend.tenant, &resend.id, &resend.binding).bind(resend.now.as_ms());
        match self.read(statement).await?.first() {
            Some(row) => Ok(Resent::TooEarly {
                at: Columns::of(row).time()?,
            }),
            None => Ok(Resent::Gone),
        }
    }
}

/// What [`ANSWER`] returned.
fn verdict(row: &SqliteRow) -> Stored<Answer> {
    let mut columns = Columns::of(row);
    let failed = columns.count()?;
    let (right, known) = (columns.flag()?, columns.flag()?);
    Ok(match (right, known) {
        (true, _) => Answer::Right,
        (false, true) => Answer::Expired { failed },
        (false, false) => Answer::Wrong { failed },
    })
}

/// A statement about the challenges of a purpose that went to a destination.
fn to(sql: &'static str, tenant: &TenantId, purpose: &str, destination: &str) -> Statement {
    sqlx::query(sql)
        .bind(tenant.as_str())
        .bind(destination.to_owned())
        .bind(purpose.to_owned())
}

/// A statement about one challenge under its binding: the first five values.
fn bound(sql: &'static str, tenant: &TenantId, id: &ChallengeId, to: &Binding) -> Statement {
    sqlx::query(sql)
        .bind(tenant.as_str())
        .bind(id.as_str())
        .bind(to.purpose.as_str())
        .bind(to.user.as_str())
        .bind(to.session.as_str())
}

/// Reads a challenge from [`challenge_columns`].
pub(crate) fn read(columns: &mut Columns<'_>) -> Stored<Challenge> {
    Ok(Challenge {
        tenant: columns.id()?,
        id: columns.id()?,
        binding: Binding {
            purpose: columns.text()?,
            user: columns.id()?,
            session: columns.id()?,
        },
        destination: columns.text()?,
        failed: columns.count()?,
        max_failures: columns.count()?,
        slots: [slot(columns)?, slot(columns)?, slot(columns)?],
        sends: columns.count()?,
        next_send_at: columns.time()?,
        closed: columns.flag()?,
        created_at: columns.time()?,
        ends_at: columns.time()?,
    })
}

/// Reads the same from an outer join, which may have found none.
pub(crate) fn read_joined(columns: &mut Columns<'_>) -> Stored<Option<Challenge>> {
    if columns.is_null()? {
        columns.skip(COLUMNS);
        return Ok(None);
    }
    read(columns).map(Some)
}

fn slot(columns: &mut Columns<'_>) -> Stored<Option<Slot>> {
    match (columns.option_mac()?, columns.option_time()?) {
        (Some(mac), Some(expires_at)) => Ok(Some(Slot { mac, expires_at })),
        (None, None) => Ok(None),
        _ => Err(malformed()),
    }
}
