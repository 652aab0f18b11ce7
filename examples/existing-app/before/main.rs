//! An application with its own users, its own password check and its own sessions, before a second factor was added.
//!
//! `cargo run -p existing-app --bin existing-app-before`, then:
//!
//! ```sh
//! curl -i localhost:3000/register -d 'email=ann@example.com&password=correct horse battery'
//! curl -i localhost:3000/login -d 'email=ann@example.com&password=correct horse battery'
//! ```

use std::env;
use std::error::Error;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use axum::extract::{ConnectInfo, FromRequestParts, State};
use axum::http::header::{COOKIE, HeaderName, SET_COOKIE};
use axum::http::{StatusCode, request::Parts};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Form, Json, RequestPartsExt, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::Sqlite;
use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions};
use tokio::net::TcpListener;
use tokio::task::spawn_blocking;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let file = env::var("DATABASE").unwrap_or_else(|_| "existing-app.sqlite".to_owned());
    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let db = open(&file).await?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let url = format!("http://localhost:{}", listener.local_addr()?.port());
    let app = App { db };
    writeln!(std::io::stdout(), "listening on {url}")?;
    let service = router(app).into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}

/// What the handlers share.
#[derive(Clone)]
struct App {
    db: SqlitePool,
}

fn router(app: App) -> Router {
    Router::new()
        .route("/register", post(register))
        .route("/login", post(log_in))
        .route("/logout", post(log_out))
        .route("/account", get(account).delete(delete_account))
        .route("/account/password", post(change_password))
        .route("/admin/disable", post(disable))
        .with_state(app)
}

/// A row of the table of users.
struct User {
    id: String,
    email: String,
    password: String,
    is_admin: bool,
    is_disabled: bool,
}

#[derive(Deserialize)]
struct Credentials {
    email: String,
    password: String,
}

/// Whoever registers first is the administrator.
async fn register(State(app): State<App>, Form(form): Form<Credentials>) -> Result<StatusCode, Failure> {
    let email = normal(&form.email);
    if !email.contains('@') || form.password.chars().count() < 8 {
        return Ok(StatusCode::BAD_REQUEST);
    }
    let sql =
        "INSERT INTO users (id, email, password, is_admin) VALUES (?, ?, ?, NOT EXISTS (SELECT 1 FROM users))
               ON CONFLICT (email) DO NOTHING";
    let row = sqlx::query(sql)
        .bind(random()?)
        .bind(email)
        .bind(hash(form.password).await?);
    match row.execute(&app.db).await?.rows_affected() {
        0 => Ok(StatusCode::CONFLICT),
        _ => Ok(StatusCode::CREATED),
    }
}

async fn log_in(
    State(app): State<App>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Form(form): Form<Credentials>,
) -> axum::response::Result<impl IntoResponse> {
    let email = normal(&form.email);
    let user = find(&app.db, "email", &email).await?;
    // A hash is computed for an unknown address too, so that the time tells nothing.
    let stored = user.as_ref().map_or(NOBODY, |user| &user.password);
    let right = verify(form.password, stored.to_owned()).await?;
    let Some(user) = user.filter(|user| right && !user.is_disabled) else {
        tracing::warn!(%peer, "a log-in was refused");
        return Err(StatusCode::UNAUTHORIZED.into());
    };
    let cookie = Session::open(&app.db, &user.id).await?;
    Ok((StatusCode::NO_CONTENT, cookie))
}

async fn log_out(session: Session) -> Result<StatusCode, Failure> {
    session.revoke().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn account(user: User) -> Json<Value> {
    Json(json!({ "email": user.email, "isAdmin": user.is_admin }))
}

#[derive(Deserialize)]
struct NewPassword {
    old: String,
    new: String,
}

async fn change_password(
    State(app): State<App>,
    user: User,
    Form(form): Form<NewPassword>,
) -> Result<StatusCode, Failure> {
    if !verify(form.old, user.password).await? || form.new.chars().count() < 8 {
        return Ok(StatusCode::BAD_REQUEST);
    }
    let hash = hash(form.new).await?;
    let set = sqlx::query("UPDATE users SET password = ?2 WHERE id = ?1").bind(user.id.clone());
    app.change(&user.id, Changed::Password, set.bind(hash)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_account(State(app): State<App>, user: User) -> Result<StatusCode, Failure> {
    let gone = sqlx::query("DELETE FROM users WHERE id = ?1").bind(user.id.clone());
    app.change(&user.id, Changed::Deleted, gone).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Deserialize)]
struct Whom {
    email: String,
}

async fn disable(State(app): State<App>, admin: User, Form(form): Form<Whom>) -> Result<StatusCode, Failure> {
    if !admin.is_admin {
        return Ok(StatusCode::FORBIDDEN);
    }
    let Some(user) = find(&app.db, "email", &normal(&form.email)).await? else {
        return Ok(StatusCode::NOT_FOUND);
    };
    let set = sqlx::query("UPDATE users SET is_disabled = TRUE WHERE id = ?1").bind(user.id.clone());
    app.change(&user.id, Changed::Disabled, set).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What happened to a user, as the table `history` calls it.
#[derive(Clone, Copy, Debug)]
enum Changed {
    Password,
    Disabled,
    Deleted,
}

type Statement = Query<'static, Sqlite, SqliteArguments>;

impl App {
    /// Changes the row of a user, writes history, and ends the user's sessions: all of it or nothing.
    async fn change(&self, user: &str, what: Changed, statement: Statement) -> Result<(), Failure> {
        let mut tx = self.db.begin_with("BEGIN IMMEDIATE").await?;
        statement.execute(&mut *tx).await?;
        let history = sqlx::query("INSERT INTO history (user_id, what) VALUES (?, ?)").bind(user);
        history.bind(format!("{what:?}")).execute(&mut *tx).await?;
        let sessions = sqlx::query("DELETE FROM sessions WHERE user_id = ?").bind(user);
        sessions.execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }
}

/// The user who is logged in: the argument that guards a handler.
impl FromRequestParts<App> for User {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let session = parts.extract_with_state::<Session, App>(app).await;
        let session = session.map_err(IntoResponse::into_response)?;
        let user = find(&app.db, "id", session.user_id().as_str()).await;
        user.map_err(IntoResponse::into_response)?
            .filter(|user| !user.is_disabled)
            .ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())
    }
}

/// The session behind the cookie.
struct Session {
    token: String,
    user_id: String,
    db: SqlitePool,
}

impl Session {
    async fn open(db: &SqlitePool, user_id: &str) -> Result<[(HeaderName, String); 1], Failure> {
        let token = random()?;
        let row = sqlx::query("INSERT INTO sessions (token, user_id) VALUES (?, ?)").bind(&token);
        row.bind(user_id).execute(db).await?;
        Ok([(SET_COOKIE, format!("sid={token}; Path=/; HttpOnly; SameSite=Lax"))])
    }

    fn user_id(&self) -> &String {
        &self.user_id
    }

    async fn revoke(self) -> sqlx::Result<()> {
        let gone = sqlx::query("DELETE FROM sessions WHERE token = ?").bind(self.token);
        gone.execute(&self.db).await.map(drop)
    }
}

impl FromRequestParts<App> for Session {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Response> {
        let cookies = parts.headers.get(COOKIE).and_then(|line| line.to_str().ok());
        let token = cookies
            .into_iter()
            .flat_map(|line| line.split("; "))
            .find_map(|cookie| cookie.strip_prefix("sid="))
            .unwrap_or_default();
        let row = sqlx::query_scalar("SELECT user_id FROM sessions WHERE token = ?").bind(token);
        let user_id: Option<String> = row
            .fetch_optional(&app.db)
            .await
            .map_err(|error| Failure::from(error).into_response())?;
        Ok(Self {
            token: token.to_owned(),
            user_id: user_id.ok_or_else(|| StatusCode::UNAUTHORIZED.into_response())?,
            db: app.db.clone(),
        })
    }
}

/// The user whose `column`, `id` or `email`, is `value`.
async fn find(db: &SqlitePool, column: &str, value: &str) -> Result<Option<User>, Failure> {
    let sql = match column {
        "id" => "SELECT id, email, password, is_admin, is_disabled FROM users WHERE id = ?",
        _ => "SELECT id, email, password, is_admin, is_disabled FROM users WHERE email = ?",
    };
    let row: Option<(String, String, String, bool, bool)> =
        sqlx::query_as(sql).bind(value).fetch_optional(db).await?;
    Ok(row.map(|(id, email, password, is_admin, is_disabled)| User {
        id,
        email,
        password,
        is_admin,
        is_disabled,
    }))
}

fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

/// 128 random bits.
fn random() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

async fn hash(password: String) -> Result<String, Failure> {
    let hash = spawn_blocking(move || Argon2::default().hash_password(password.as_bytes())).await??;
    Ok(hash.to_string())
}

async fn verify(password: String, hash: String) -> Result<bool, Failure> {
    let verdict = spawn_blocking(move || Argon2::default().verify_password(password.as_bytes(), &*hash));
    Ok(verdict.await?.is_ok())
}

/// A hash that no password is known for.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

async fn open(file: &str) -> sqlx::Result<SqlitePool> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(2));
    let pool = SqlitePoolOptions::new().acquire_timeout(Duration::from_secs(2));
    let db = pool.connect_with(options).await?;
    sqlx::raw_sql(SCHEMA).execute(&db).await?;
    Ok(db)
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS users (
        id          TEXT PRIMARY KEY,
        email       TEXT NOT NULL UNIQUE,
        password    TEXT NOT NULL,
        is_admin    BOOLEAN NOT NULL,
        is_disabled BOOLEAN NOT NULL DEFAULT FALSE
    );
    CREATE TABLE IF NOT EXISTS sessions (token TEXT PRIMARY KEY, user_id TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS history (user_id TEXT NOT NULL, what TEXT NOT NULL);
";

/// Something broke. The log says what, the client learns nothing.
struct Failure(Box<dyn Error + Send + Sync>);

impl<E: Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        tracing::error!(error = %self.0, "a request failed");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}
