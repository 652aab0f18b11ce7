//! The application as a process of its own, and a browser that keeps its cookies.

#![allow(unreachable_pub, reason = "a module of tests")]
#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The running application.
pub struct Server {
    process: Process,
    folder: TempDir,
}

/// A child that does not outlive its test.
struct Process {
    child: Child,
    said: Receiver<String>,
    port: u16,
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// On a free port, with a database of its own.
    pub fn start() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    fn on(folder: TempDir) -> Self {
        let process = Process::start(folder.path()).expect("it says where it listens");
        Self { process, folder }
    }

    /// Kills it and starts it again on the same database.
    pub fn restart(self) -> Self {
        Self::on(self.stop())
    }

    /// Kills it.
    pub fn stop(self) -> TempDir {
        drop(self.process);
        self.folder
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Somebody who is not logged in.
    pub fn browser(&self) -> Browser {
        Browser {
            port: self.process.port,
            cookies: BTreeMap::new(),
        }
    }

    /// A new user who has given a code.
    pub fn signed_in(&self, email: &str, phone: &str) -> Browser {
        let mut browser = self.browser();
        assert_eq!(browser.register(email, crate::PASSWORD).status, 201);
        assert_eq!(browser.log_in(email, crate::PASSWORD).status, 204);
        browser.second_factor(self, phone);
        browser
    }

    /// The next line on standard output that begins so.
    pub fn wait_for(&self, start: &str) -> String {
        loop {
            let line = self.process.said.recv_timeout(PATIENCE);
            let line = line.expect("the message arrives");
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// The next code, which must have been sent to `phone`.
    pub fn code_to(&self, phone: &str) -> String {
        self.wait_for(&format!("--- SMS to {phone}"));
        self.code()
    }

    /// The code of the message that was just found.
    pub fn code(&self) -> String {
        let text = self.process.said.recv_timeout(PATIENCE).unwrap();
        text.split(' ').next().unwrap().to_owned()
    }

    /// Changes the database behind the application's back.
    pub fn sql(&self, statement: &'static str) {
        block_on(async {
            let mut db = self.database().await;
            sqlx::raw_sql(statement).execute(&mut db).await.unwrap();
        });
    }

    /// Looks into the database.
    pub fn scalar(&self, query: &'static str) -> String {
        block_on(async {
            let mut db = self.database().await;
            sqlx::query_scalar(query).fetch_one(&mut db).await.unwrap()
        })
    }

    async fn database(&self) -> SqliteConnection {
        let file = self.folder.path().join("app.sqlite");
        let options = SqliteConnectOptions::new().filename(file).busy_timeout(PATIENCE);
        options.connect().await.unwrap()
    }
}

/// Whether the application starts in `folder`.
pub fn starts(folder: &Path) -> bool {
    Process::start(folder).is_some()
}

impl Process {
    fn start(folder: &Path) -> Option<Self> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_existing-app"))
            .env("DATABASE", folder.join("app.sqlite"))
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (tell, said) = channel();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        std::thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let mut process = Self { child, said, port: 0 };
        let first = process.said.recv_timeout(PATIENCE).ok()?;
        process.port = first.rsplit(':').next()?.parse().ok()?;
        Some(process)
    }
}

fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

/// A browser: it keeps cookies, and says which page a request comes from.
pub struct Browser {
    port: u16,
    /// Value and path by name.
    pub cookies: BTreeMap<String, (String, String)>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    head: String,
    body: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// `Retry-After`, in seconds.
    pub fn retry_after(&self) -> u64 {
        let found = self.headers().find(|(name, _)| name == "retry-after");
        found.expect("it says how long to wait").1.parse().unwrap()
    }

    fn headers(&self) -> impl Iterator<Item = (String, &str)> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.map(|(name, value)| (name.to_ascii_lowercase(), value))
    }
}

impl Browser {
    pub fn get(&mut self, path: &str) -> Answer {
        self.send("GET", path, "", "", &[])
    }

    /// Posts a form.
    pub fn post(&mut self, path: &str, form: &str) -> Answer {
        self.send("POST", path, "application/x-www-form-urlencoded", form, &[])
    }

    /// Posts JSON, as a frontend does.
    pub fn json(&mut self, path: &str, body: &Value) -> Answer {
        let rid = [("rid", "anti-csrf")];
        self.send("POST", path, "application/json", &body.to_string(), &rid)
    }

    pub fn register(&mut self, email: &str, password: &str) -> Answer {
        self.post("/register", &Self::credentials(email, password))
    }

    pub fn log_in(&mut self, email: &str, password: &str) -> Answer {
        self.post("/login", &Self::credentials(email, password))
    }

    pub fn refresh(&mut self) -> Answer {
        self.json("/auth/session/refresh", &json!({}))
    }

    pub fn create_code(&mut self, phone: &str) -> Value {
        self.json("/auth/signinup/code", &json!({ "phoneNumber": phone }))
            .json()
    }

    pub fn consume(&mut self, created: &Value, code: &str) -> Value {
        self.json("/auth/signinup/code/consume", &Self::answer(created, code))
            .json()
    }

    /// Asks for a code to `phone`, and gives it.
    pub fn second_factor(&mut self, server: &Server, phone: &str) {
        let created = self.create_code(phone);
        assert_eq!(created["status"], "OK", "{created}");
        let code = server.code_to(phone);
        let consumed = self.consume(&created, &code);
        assert_eq!(consumed["status"], "OK", "{consumed}");
    }

    /// The form of registration and log-in.
    pub fn credentials(email: &str, password: &str) -> String {
        format!("email={email}&password={password}").replace(' ', "+")
    }

    /// The body that gives a code.
    pub fn answer(created: &Value, code: &str) -> Value {
        json!({
            "deviceId": created["deviceId"],
            "preAuthSessionId": created["preAuthSessionId"],
            "userInputCode": code,
        })
    }

    /// Sends a request, and keeps the cookies of its answer. A header without a value is left out.
    pub fn send(
        &mut self,
        method: &str,
        path: &str,
        kind: &str,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Answer {
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|(_, (_, of))| path.starts_with(of.as_str()))
            .map(|(name, (value, _))| format!("{name}={value}"))
            .collect();
        let (cookies, length) = (cookies.join("; "), body.len().to_string());
        let origin = format!("http://localhost:{}", self.port);
        let host = format!("localhost:{}", self.port);
        let mut lines = BTreeMap::from([
            ("host", host.as_str()),
            ("connection", "close"),
            ("content-length", &length),
            ("content-type", kind),
            ("cookie", &cookies),
        ]);
        if method != "GET" {
            lines.insert("origin", &origin);
        }
        lines.extend(headers.iter().copied());
        let mut request = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        request.push_str("\r\n");
        request.push_str(body);

        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        let answer = Answer {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        };
        for (_, line) in answer.headers().filter(|(name, _)| name == "set-cookie") {
            let mut parts = line.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let path = parts.find_map(|part| part.strip_prefix("Path=")).unwrap_or("/");
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies
                    .insert(name.to_owned(), (value.to_owned(), path.to_owned()));
            }
        }
        answer
    }
}
