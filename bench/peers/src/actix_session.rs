//! actix-session with actix-identity, as their own documentation sets them up: a route that asks who somebody is.
//!
//! `peer-actix-session cookie|memory` prints the URL to ask and the header to send, and serves with one worker.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use actix_identity::{Identity, IdentityMiddleware};
use actix_session::SessionMiddleware;
use actix_session::storage::{
    CookieSessionStore, LoadError, SaveError, SessionKey, SessionStore, UpdateError, generate_session_key,
};
use actix_web::cookie::{Key, time::Duration};
use actix_web::{App, Error, HttpMessage, HttpRequest, HttpServer, rt, web};

fn main() -> io::Result<()> {
    let memory = Memory::default();
    match std::env::args().nth(1).as_deref() {
        Some("memory") => serve(move || memory.clone()),
        _ => serve(CookieSessionStore::default),
    }
}

fn serve<S: SessionStore + 'static>(store: impl Fn() -> S + Clone + Send + 'static) -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    let key = Key::generate();
    let server = HttpServer::new(move || {
        let sessions = SessionMiddleware::builder(store(), key.clone()).cookie_secure(false);
        App::new()
            .route("/", web::get().to(secret))
            .route("/login", web::post().to(log_in))
            .wrap(IdentityMiddleware::default())
            .wrap(sessions.build())
    });
    let server = server.workers(1).listen(listener)?;
    rt::System::new().block_on(async move {
        rt::task::spawn_blocking(move || announce(address));
        server.run().await
    })
}

async fn secret(_: Identity) -> &'static str {
    "hello"
}

async fn log_in(request: HttpRequest) -> Result<&'static str, Error> {
    Identity::login(&request.extensions(), "1".to_owned())?;
    Ok("welcome")
}

fn announce(address: SocketAddr) {
    let mut stream = TcpStream::connect(address).expect("connects");
    stream
        .write_all(
            b"POST /login HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        )
        .expect("sends");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    let cookie = answer
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .and_then(|cookie| cookie.split(';').next())
        .expect("a cookie");
    println!("http://{address}/");
    println!("cookie: {cookie}");
}

/// Sessions in memory, which actix-session leaves to the application: the least that a store can cost.
#[derive(Clone, Default)]
struct Memory(Arc<Mutex<HashMap<String, State>>>);

type State = HashMap<String, String>;

impl Memory {
    fn sessions(&self) -> MutexGuard<'_, HashMap<String, State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SessionStore for Memory {
    async fn load(&self, key: &SessionKey) -> Result<Option<State>, LoadError> {
        Ok(self.sessions().get(key.as_ref()).cloned())
    }

    async fn save(&self, state: State, _: &Duration) -> Result<SessionKey, SaveError> {
        let key = generate_session_key();
        self.sessions().insert(key.as_ref().to_owned(), state);
        Ok(key)
    }

    async fn update(&self, key: SessionKey, state: State, _: &Duration) -> Result<SessionKey, UpdateError> {
        self.sessions().insert(key.as_ref().to_owned(), state);
        Ok(key)
    }

    async fn update_ttl(&self, _: &SessionKey, _: &Duration) -> Result<(), anyhow::Error> {
        Ok(())
    }

    async fn delete(&self, key: &SessionKey) -> Result<(), anyhow::Error> {
        self.sessions().remove(key.as_ref());
        Ok(())
    }
}
