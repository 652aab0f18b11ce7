//! axum-login with tower-sessions, as its own documentation sets it up: a user in the session, a route that asks for one.
//!
//! `peer-axum-login memory|sqlite` prints the URL to ask and the header to send, and serves with one worker.

use std::convert::Infallible;

use axum::Router;
use axum::http::header::SET_COOKIE;
use axum::routing::{get, post};
use axum_login::{AuthManagerLayerBuilder, AuthSession, AuthUser, AuthnBackend, UserId, login_required};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower_sessions::{MemoryStore, SessionManagerLayer, SessionStore};
use tower_sessions_sqlx_store::{SqliteStore, sqlx::sqlite::SqlitePoolOptions};

#[derive(Clone, Debug)]
struct User(i64);

impl AuthUser for User {
    type Id = i64;

    fn id(&self) -> i64 {
        self.0
    }

    fn session_auth_hash(&self) -> &[u8] {
        b"a hash of the password"
    }
}

/// Users in memory: what is compared is the session, not the look-up of a user.
#[derive(Clone, Debug)]
struct Backend;

impl AuthnBackend for Backend {
    type User = User;
    type Credentials = i64;
    type Error = Infallible;

    async fn authenticate(&self, id: i64) -> Result<Option<User>, Infallible> {
        Ok(Some(User(id)))
    }

    async fn get_user(&self, id: &UserId<Self>) -> Result<Option<User>, Infallible> {
        Ok(Some(User(*id)))
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("sqlite") => {
            let folder = tempfile::tempdir().expect("a folder");
            let url = format!(
                "sqlite://{}?mode=rwc",
                folder.path().join("sessions.db").display()
            );
            let pool = SqlitePoolOptions::new().connect(&url).await.expect("a database");
            let store = SqliteStore::new(pool);
            store.migrate().await.expect("tables");
            serve(store).await;
        }
        _ => serve(MemoryStore::default()).await,
    }
}

async fn serve<S: SessionStore + Clone>(store: S) {
    let sessions = SessionManagerLayer::new(store).with_secure(false);
    let layer = AuthManagerLayerBuilder::new(Backend, sessions).build();
    let app = Router::new()
        .route("/", get(async || "hello"))
        .route_layer(login_required!(Backend))
        .route(
            "/login",
            post(async |mut session: AuthSession<Backend>| {
                session.login(&User(1)).await.expect("logs in");
            }),
        )
        .layer(layer);
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream
        .write_all(
            b"POST /login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        )
        .await
        .expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("answers");
    let cookie = answer
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{SET_COOKIE}: ")))
        .and_then(|cookie| cookie.split(';').next())
        .expect("a cookie");
    println!("http://{address}/");
    println!("cookie: {cookie}");
    let _ = serving.await;
}
