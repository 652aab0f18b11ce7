//! An application on a real listener, and a client that sends bytes as they are written down.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, missing_docs, reason = "a test file is no crate to others")]

use std::net::SocketAddr;
use std::time::Duration;

use http::request;
use rocket::fairing::AdHoc;
use rocket::{Build, Config, Rocket, Shutdown};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

pub const ORIGIN: &str = "http://localhost:3000";

/// Rocket without what makes tests speak or stop: no log, no signals, any port.
pub fn build() -> Rocket<Build> {
    let mut config = Config {
        port: 0,
        log_level: rocket::config::LogLevel::Off,
        cli_colors: false,
        ..Config::debug_default()
    };
    config.shutdown.ctrlc = false;
    config.shutdown.signals.clear();
    config.shutdown.grace = 0;
    config.shutdown.mercy = 0;
    rocket::custom(config)
}

pub struct Server {
    pub address: SocketAddr,
    shutdown: Shutdown,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.clone().notify();
    }
}

pub async fn serve(app: Rocket<Build>) -> Server {
    let (tell, told) = oneshot::channel();
    let tell = std::sync::Mutex::new(Some(tell));
    let app = app.attach(AdHoc::on_liftoff("tells where", move |rocket| {
        let at = (
            SocketAddr::new(rocket.config().address, rocket.config().port),
            rocket.shutdown(),
        );
        if let Some(tell) = tell.lock().unwrap().take() {
            let _ = tell.send(at);
        }
        Box::pin(async {})
    }));
    tokio::spawn(app.launch());
    let (address, shutdown) = told.await.unwrap();
    Server { address, shutdown }
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("no answer: {text:?}"));
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// All values of a header, in their order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines
            .filter(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect()
    }

    pub fn one(&self, name: &str) -> &str {
        match self.all(name).as_slice() {
            [value] => value,
            other => panic!("{name}: {other:?} in {}", self.head),
        }
    }

    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }
}

impl Server {
    /// Sends bytes on a connection of their own, and reads until it is closed.
    pub async fn raw(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes.as_ref()).await.unwrap();
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        let _ = tokio::time::timeout(Duration::from_secs(10), read)
            .await
            .expect("in time");
        Answer::read(&answer)
    }

    /// A request with the headers of `who` and `more` lines, each ended by a line break.
    pub async fn send(&self, start: &str, who: request::Builder, more: &str, body: &str) -> Answer {
        let who = who.body(()).unwrap();
        let mut text = format!(
            "{start} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
            self.address
        );
        for (name, value) in who.headers() {
            text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap()));
        }
        if !body.is_empty() {
            text.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        self.raw(format!("{text}{more}\r\n{body}")).await
    }

    pub async fn get(&self, path: &str, who: request::Builder) -> Answer {
        self.send(&format!("GET {path}"), who, "", "").await
    }
}
