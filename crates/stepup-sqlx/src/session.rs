//! Sessions: opening, rotating, ending them.

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use stepup_core::id::{SessionHandle, TenantId, UserId};
use stepup_core::record::JsonMap;
use stepup_core::record::session::{Chain, Class, Origin, Rise, Rotate, Rotation, Session, SessionView};
use stepup_core::record::user::merge;
use stepup_core::storage::{SessionStore, Stored};
use stepup_core::time::Timestamp;

use crate::pool::{SqliteStore, Statement, fault};
use crate::row::{Columns, json, malformed, ms};
use crate::user::of;

/// The columns of a session, in the order that [`read`] reads.
macro_rules! session_columns {
    ($of:literal) => {
        concat!(
            $of,
            "handle, ",
            $of,
            "tenant, ",
            $of,
            "user_id, ",
            $of,
            "method, ",
            $of,
            "epoch, ",
            $of,
            "factors, ",
            $of,
            "payload, ",
            $of,
            "class, ",
            $of,
            "created_at, ",
            $of,
            "idle_expires_at, ",
            $of,
            "ends_at, ",
            $of,
            "generation, ",
            $of,
            "current, ",
            $of,
            "previous, ",
            $of,
            "rotated_at, ",
            $of,
            "rotated_salt, ",
            $of,
            "rotated_key, ",
            $of,
            "rotated_network, ",
            $of,
            "rotated_agent, ",
            $of,
            "rise_generation, ",
            $of,
            "rise_at, ",
            $of,
            "tally_since, ",
            $of,
            "tally, ",
            $of,
            "network, ",
            $of,
            "agent"
        )
    };
}
pub(crate) use session_columns;

const OPEN: &str = concat!(
    "INSERT INTO stepup_session (",
    session_columns!(""),
    ") SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22,
         ?23, ?24, ?25
       FROM stepup_user WHERE tenant = ?2 AND id = ?3 AND state = 'live' AND epoch = ?5
       RETURNING 1"
);

/// The sub-selects see the same moment as the update: SQLite has one writer.
const ROTATE: &str = concat!(
    "UPDATE stepup_session SET
        previous = current, current = ?4, generation = generation + 1,
        rotated_at = ?5, rotated_salt = ?6, rotated_key = ?7, rotated_network = ?8, rotated_agent = ?9,
        tally = CASE WHEN ?5 - tally_since >= ?12 THEN 1 ELSE tally + 1 END,
        tally_since = CASE WHEN ?5 - tally_since >= ?12 THEN ?5 ELSE tally_since END,
        idle_expires_at = min(?5 + ?10, ends_at)
     WHERE handle = ?1 AND generation = ?2 AND current = ?3
        AND idle_expires_at > ?5 AND ends_at > ?5
        AND CASE WHEN ?5 - tally_since >= ?12 THEN 0 ELSE tally END < ?11
        AND epoch = (SELECT u.epoch FROM stepup_user u
                     WHERE u.tenant = stepup_session.tenant AND u.id = stepup_session.user_id AND u.state = 'live')
     RETURNING ",
    session_columns!(""),
    ", (SELECT u.summary FROM stepup_user u
        WHERE u.tenant = stepup_session.tenant AND u.id = stepup_session.user_id)"
);

const PAYLOAD: &str = "SELECT payload FROM stepup_session WHERE handle = ?1";

const SET_PAYLOAD: &str = "UPDATE stepup_session SET payload = ?2 WHERE handle = ?1";

const LIST: &str = concat!(
    "SELECT ",
    session_columns!(""),
    " FROM stepup_session WHERE tenant = ?1 AND user_id = ?2 AND idle_expires_at > ?3 AND ends_at > ?3
      ORDER BY created_at DESC, handle DESC"
);

const REVOKE: &str = concat!(
    "DELETE FROM stepup_session WHERE handle = ?1 RETURNING ",
    session_columns!("")
);

const REVOKE_CHALLENGES: &str = "DELETE FROM stepup_challenge WHERE tenant = ?1 AND session = ?2";

const REVOKE_USER: &str = "DELETE FROM stepup_session WHERE tenant = ?1 AND user_id = ?2
        AND (?3 IS NULL OR handle <> ?3) RETURNING handle";

const REVOKE_USER_CHALLENGES: &str = "DELETE FROM stepup_challenge WHERE tenant = ?1 AND user_id = ?2";

#[async_trait]
impl SessionStore for SqliteStore {
    async fn open_session(&self, session: &Session) -> Stored<bool> {
        Ok(!self.write(opening(session)?).await?.is_empty())
    }

    async fn rotate(&self, rotate: &Rotate) -> Stored<Option<SessionView>> {
        let rotation = &rotate.rotation;
        let statement = sqlx::query(ROTATE)
            .bind(rotate.handle.as_str())
            .bind(rotate.generation)
            .bind(rotate.current.as_bytes().as_slice())
            .bind(rotate.next.as_bytes().as_slice())
            .bind(rotation.at.as_ms())
            .bind(rotation.salt.as_slice())
            .bind(rotation.key.as_str())
            .bind(rotation.origin.network.as_str())
            .bind(rotation.origin.agent.as_str())
            .bind(ms(rotate.idle))
            .bind(i64::from(rotate.tally_limit))
            .bind(ms(rotate.tally_window));
        let rows = self.write(statement).await?;
        rows.first().map(view).transpose()
    }

    async fn merge_payload(&self, handle: &SessionHandle, patch: &JsonMap) -> Stored<Option<JsonMap>> {
        let (handle, patch) = (handle.clone(), patch.clone());
        self.transact(move |tx| {
            Box::pin(async move {
                let find = sqlx::query(PAYLOAD).bind(handle.as_str());
                let rows = find.fetch_all(&mut *tx).await.map_err(fault)?;
                let Some(row) = rows.first() else {
                    return Ok(None);
                };
                let mut payload: JsonMap = Columns::of(row).json()?;
                merge(&mut payload, &patch);
                let set = sqlx::query(SET_PAYLOAD)
                    .bind(handle.as_str())
                    .bind(json(&payload)?);
                set.execute(&mut *tx).await.map_err(fault)?;
                Ok(Some(payload))
            })
        })
        .await
    }

    async fn sessions(&self, tenant: &TenantId, user: &UserId, now: Timestamp) -> Stored<Vec<Session>> {
        let rows = self.read(of(LIST, tenant, user).bind(now.as_ms())).await?;
        rows.iter().map(|row| read(&mut Columns::of(row))).collect()
    }

    async fn revoke_session(&self, handle: &SessionHandle) -> Stored<Option<Session>> {
        let handle = handle.clone();
        self.transact(move |tx| {
            Box::pin(async move {
                let revoke = sqlx::query(REVOKE).bind(handle.as_str());
                let rows = revoke.fetch_all(&mut *tx).await.map_err(fault)?;
                let Some(row) = rows.first() else {
                    return Ok(None);
                };
                let session = read(&mut Columns::of(row))?;
                sqlx::query(REVOKE_CHALLENGES)
                    .bind(session.tenant.as_str())
                    .bind(handle.as_str())
                    .execute(&mut *tx)
                    .await
                    .map_err(fault)?;
                Ok(Some(session))
            })
        })
        .await
    }

    async fn revoke_sessions(&self, tenant: &TenantId, user: &UserId) -> Stored<Vec<SessionHandle>> {
        let (tenant, user) = (tenant.clone(), user.clone());
        self.transact(move |tx| Box::pin(async move { end_all(tx, &tenant, &user, None).await }))
            .await
    }
}

/// Ends all sessions of a user but `keep`, and all its challenges. The handles of the ended sessions.
pub(crate) async fn end_all(
    connection: &mut SqliteConnection,
    tenant: &TenantId,
    user: &UserId,
    keep: Option<&SessionHandle>,
) -> Stored<Vec<SessionHandle>> {
    let rows = of(REVOKE_USER, tenant, user)
        .bind(keep.map(SessionHandle::as_str))
        .fetch_all(&mut *connection)
        .await
        .map_err(fault)?;
    of(REVOKE_USER_CHALLENGES, tenant, user)
        .execute(connection)
        .await
        .map_err(fault)?;
    rows.iter().map(|row| Columns::of(row).id()).collect()
}

/// The statement that adds `session`, if its user is live and of its epoch.
pub(crate) fn opening(session: &Session) -> Stored<Statement> {
    let chain = &session.chain;
    let rotated = chain.rotated.as_ref();
    Ok(sqlx::query(OPEN)
        .bind(session.handle.as_str())
        .bind(session.tenant.as_str())
        .bind(session.user.as_str())
        .bind(session.method.as_str())
        .bind(session.epoch)
        .bind(json(&session.factors)?)
        .bind(json(&session.payload)?)
        .bind(session.class.as_str())
        .bind(session.created_at.as_ms())
        .bind(session.idle_expires_at.as_ms())
        .bind(session.ends_at.as_ms())
        .bind(chain.generation)
        .bind(chain.current.as_bytes().as_slice())
        .bind(chain.previous.as_ref().map(|mac| mac.as_bytes().as_slice()))
        .bind(rotated.map(|rotated| rotated.at.as_ms()))
        .bind(rotated.map(|rotated| rotated.salt.as_slice()))
        .bind(rotated.map(|rotated| rotated.key.as_str()))
        .bind(rotated.map(|rotated| rotated.origin.network.as_str()))
        .bind(rotated.map(|rotated| rotated.origin.agent.as_str()))
        .bind(chain.rise.map(|rise| rise.generation))
        .bind(chain.rise.map(|rise| rise.at.as_ms()))
        .bind(chain.tally_since.as_ms())
        .bind(i64::from(chain.tally))
        .bind(session.origin.network.as_str())
        .bind(session.origin.agent.as_str()))
}

/// Reads a session from [`session_columns`].
pub(crate) fn read(columns: &mut Columns<'_>) -> Stored<Session> {
    Ok(Session {
        handle: columns.id()?,
        tenant: columns.id()?,
        user: columns.id()?,
        method: columns.id()?,
        epoch: columns.int()?,
        factors: columns.json()?,
        payload: columns.json()?,
        class: columns.word(Class::parse)?,
        created_at: columns.time()?,
        idle_expires_at: columns.time()?,
        ends_at: columns.time()?,
        chain: chain(columns)?,
        origin: Origin {
            network: columns.text()?,
            agent: columns.text()?,
        },
    })
}

fn chain(columns: &mut Columns<'_>) -> Stored<Chain> {
    Ok(Chain {
        generation: columns.int()?,
        current: columns.mac()?,
        previous: columns.option_mac()?,
        rotated: rotation(columns)?,
        rise: rise(columns)?,
        tally_since: columns.time()?,
        tally: columns.count()?,
    })
}

fn rotation(columns: &mut Columns<'_>) -> Stored<Option<Rotation>> {
    if columns.is_null()? {
        columns.skip(5);
        return Ok(None);
    }
    Ok(Some(Rotation {
        at: columns.time()?,
        salt: columns.bytes()?.try_into().map_err(|_| malformed())?,
        key: columns.id()?,
        origin: Origin {
            network: columns.text()?,
            agent: columns.text()?,
        },
    }))
}

fn rise(columns: &mut Columns<'_>) -> Stored<Option<Rise>> {
    if columns.is_null()? {
        columns.skip(2);
        return Ok(None);
    }
    Ok(Some(Rise {
        generation: columns.int()?,
        at: columns.time()?,
    }))
}

fn view(row: &SqliteRow) -> Stored<SessionView> {
    let mut columns = Columns::of(row);
    Ok(SessionView {
        session: read(&mut columns)?,
        summary: columns.json()?,
    })
}
