//! What the black-box suites share: the demo served on a free port with an SQLite file of its own, and a client that
//! keeps tokens as a frontend does.

#![allow(dead_code, unreachable_pub, reason = "each suite uses its part of the kit")]

pub mod carrier;
pub mod document;
pub mod first;
pub mod framework;
pub mod own;
pub mod provider;
pub mod serving;
pub mod thread;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use demo_common::{Settings, Site};
use serde_json::{Value, json};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool};
use stepup::Builder;
use stepup::time::{Clock, SystemClock};
use stepup::wire::transfer::Allowed;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use serving::{App, Serving, anywhere, listen};

pub const PASSWORD: &str = "correct horse battery";
pub const PHONE: &str = "+41791234567";
pub const OTHER_PHONE: &str = "+41791234568";

/// How a client carries its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Cookie,
    Header,
}

pub const MODES: [Mode; 2] = [Mode::Cookie, Mode::Header];

/// The demo, served for one test.
pub struct Server {
    pub address: SocketAddr,
    pub site: Site,
    pub settings: Settings,
    app: App,
    add: Add,
    folder: Arc<TempDir>,
    serving: Serving,
}

/// What a test adds to the demo's builder.
type Add = Arc<dyn Fn(Builder) -> Builder + Send + Sync>;

impl Server {
    /// With the defaults of the demo.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// With other settings.
    pub async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::in_folder(App::Demo, plain(), Arc::new(tempfile::tempdir().unwrap()), change).await
    }

    /// With something added to stepup: hooks, claims.
    pub async fn start_adding(add: impl Fn(Builder) -> Builder + Send + Sync + 'static) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::in_folder(App::Demo, Arc::new(add), folder, |_| {}).await
    }

    /// With other settings, and with something added to stepup.
    pub async fn start_both(
        change: impl FnOnce(&mut Settings),
        add: impl Fn(Builder) -> Builder + Send + Sync + 'static,
    ) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::in_folder(App::Demo, Arc::new(add), folder, change).await
    }

    /// With an application on Axum of the test's own, and something added.
    pub async fn start_router_adding(
        make: fn(Site) -> Router,
        add: impl Fn(Builder) -> Builder + Send + Sync + 'static,
    ) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::in_folder(App::Router(make), Arc::new(add), folder, |_| {}).await
    }

    /// With the application of [`own`] in the place of the demo.
    pub async fn start_own() -> Self {
        Self::start_own_with(Allowed::Any).await
    }

    /// With the application of [`own`], which allows some of the transfer modes.
    pub async fn start_own_with(allowed: Allowed) -> Self {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        Self::in_folder(App::Own(allowed), plain(), folder, |_| {}).await
    }

    async fn in_folder(app: App, add: Add, folder: Arc<TempDir>, change: impl FnOnce(&mut Settings)) -> Self {
        let listener = listen(anywhere());
        let mut settings = Settings::read(|_| None).unwrap();
        settings.listen = listener.local_addr().unwrap();
        settings.dev_clock = true;
        settings.database = format!(
            "sqlite://{}?mode=rwc",
            folder.path().join("demo.sqlite").display()
        );
        change(&mut settings);
        Self::serve(app, add, folder, listener, settings).await
    }

    async fn serve(
        app: App,
        add: Add,
        folder: Arc<TempDir>,
        listener: std::net::TcpListener,
        settings: Settings,
    ) -> Self {
        let address = listener.local_addr().unwrap();
        let site = Site::start_with(&settings, address, &*add).await.unwrap();
        let serving = Serving::start(app, listener, site.clone()).await;
        Self {
            address,
            site,
            settings,
            app,
            add,
            folder,
            serving,
        }
    }

    /// Stops it and starts another process's worth of it on the same file and port: nothing in memory survives. The
    /// clock shows the same time.
    pub async fn restart(self) -> Self {
        let moved = self.clock_moved();
        self.serving.stop().await;
        self.site.settle().await;
        let listener = listen(self.address);
        let again = Self::serve(self.app, self.add, self.folder, listener, self.settings).await;
        again.moved(moved).await;
        again
    }

    /// Asks it to stop, and waits for the requests under way.
    pub async fn stop_gracefully(self) {
        self.serving.finish().await;
    }

    /// [`Server::restart`] with other settings.
    pub async fn changed(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self.restart().await
    }

    /// A second process's worth of the same deployment: the same origins, the same file, nothing else in common. Its
    /// clock shows the same time; who moves one moves the other.
    pub async fn second(&self) -> Self {
        let listener = listen(anywhere());
        let here = format!("http://localhost:{}", self.address.port());
        let mut settings = self.settings.clone();
        settings.listen = listener.local_addr().unwrap();
        settings.api_domain.get_or_insert_with(|| here.clone());
        settings.website_domain.get_or_insert(here);
        let second = Self::serve(
            self.app,
            self.add.clone(),
            Arc::clone(&self.folder),
            listener,
            settings,
        )
        .await;
        second.moved(self.clock_moved()).await;
        second
    }

    /// How far the clock was moved, in seconds.
    fn clock_moved(&self) -> u32 {
        let moved = self.site.clock.now().as_ms() - SystemClock.now().as_ms();
        u32::try_from((moved + 500) / 1000).unwrap()
    }

    /// All rows of all tables but the counters, a line each, in order: two dumps are equal if nothing was written. A
    /// notice that is on its way is waited for.
    pub async fn dump(&self) -> Vec<String> {
        for _ in 0..100 {
            self.site.settle().await;
            if self.number("SELECT count(*) FROM stepup_notice").await == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let pool = self.pool().await;
        let tables: Vec<String> = sqlx::query_scalar(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'stepup\\_%' ESCAPE '\\' \
             AND name <> 'stepup_counter' ORDER BY name",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        assert!(tables.len() > 5, "{tables:?}");
        let mut rows = Vec::new();
        for table in tables {
            let columns: Vec<String> =
                sqlx::query_scalar("SELECT 'quote(' || name || ')' FROM pragma_table_info(?)")
                    .bind(&table)
                    .fetch_all(&pool)
                    .await
                    .unwrap();
            let select = format!("SELECT {} FROM {table} ORDER BY 1", columns.join(" || ',' || "));
            let of_table: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(select))
                .fetch_all(&pool)
                .await
                .unwrap();
            rows.extend(of_table.into_iter().map(|row| format!("{table}: {row}")));
        }
        pool.close().await;
        rows
    }

    /// The file of the database.
    pub fn database(&self) -> std::path::PathBuf {
        self.folder.path().join("demo.sqlite")
    }

    /// Runs a statement on the database behind the server's back, as another node or an accident would. How many rows
    /// it changed.
    pub async fn execute(&self, statement: &'static str) -> u64 {
        let pool = self.pool().await;
        let done = sqlx::query(statement).execute(&pool).await.unwrap();
        pool.close().await;
        done.rows_affected()
    }

    /// Reads one number from the database.
    pub async fn number(&self, query: &'static str) -> i64 {
        let pool = self.pool().await;
        let number = sqlx::query_scalar(query).fetch_one(&pool).await.unwrap();
        pool.close().await;
        number
    }

    async fn pool(&self) -> SqlitePool {
        let options = SqliteConnectOptions::new().filename(self.database());
        SqlitePool::connect_with(options).await.unwrap()
    }

    /// Moves the clock.
    pub async fn moved(&self, seconds: u32) {
        self.site.advance(seconds).await;
    }

    /// The messages so far, oldest first.
    pub async fn sent(&self) -> Vec<stepup::delivery::Sent> {
        self.site.settle().await;
        self.site.outbox.sent()
    }

    /// The last code that was sent.
    pub async fn code(&self) -> String {
        self.sent()
            .await
            .into_iter()
            .rev()
            .find_map(|m| m.code)
            .expect("a code was sent")
    }

    /// How many codes were sent.
    pub async fn codes_sent(&self) -> usize {
        self.sent().await.iter().filter(|m| m.code.is_some()).count()
    }

    /// A client without a session.
    pub fn client(&self, mode: Mode) -> Client {
        Client::at(self.address, mode)
    }

    /// Sends bytes as they are, and reads what comes until the server closes or has nothing more to say.
    pub async fn raw(&self, bytes: &[u8]) -> Response {
        let response = exchange(self.address, bytes).await;
        // What the HTTP parser refuses is not answered by us, and not typed.
        let line = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let words = std::str::from_utf8(line)
            .ok()
            .map(|line| line.split(' ').collect::<Vec<_>>());
        if let Some([method, target, _]) = words.as_deref()
            && response.header("content-type") == Some("application/json")
        {
            document::check(self.address, method, target, &response).await;
        }
        response
    }
}

fn plain() -> Add {
    Arc::new(|builder| builder)
}

/// A code that is not `right`.
pub fn wrong(right: &str) -> String {
    let last = right.as_bytes()[right.len() - 1];
    let other = if last == b'9' { '0' } else { char::from(last + 1) };
    format!("{}{other}", &right[..right.len() - 1])
}

/// A response.
#[derive(Clone, Debug, Default)]
pub struct Response {
    pub status: u16,
    /// Names in lower case, in their order.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// All values of a header.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The protocol's status.
    pub fn status_field(&self) -> String {
        self.json()["status"].as_str().unwrap_or_default().to_owned()
    }

    /// `message` of the body.
    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }

    /// The ids of the claims that failed.
    pub fn failed_claims(&self) -> Vec<String> {
        let json = self.json();
        let errors = json["claimValidationErrors"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        errors
            .iter()
            .map(|e| e["id"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// The `Set-Cookie` of a name.
    pub fn set_cookie(&self, name: &str) -> Option<&str> {
        self.all("set-cookie").find(|c| c.split('=').next() == Some(name))
    }

    /// Whether it takes every session token from the client, in both modes.
    pub fn clears_everything(&self) -> bool {
        let emptied = |name: &str| {
            self.set_cookie(name)
                .is_some_and(|c| c.starts_with(&format!("{name}=;")))
        };
        self.header("front-token") == Some("remove")
            && emptied("sAccessToken")
            && emptied("sRefreshToken")
            && self.header("st-access-token") == Some("")
            && self.header("st-refresh-token") == Some("")
    }

    /// Whether it leaves the client's tokens as they are.
    pub fn touches_no_token(&self) -> bool {
        ["front-token", "st-access-token", "st-refresh-token", "set-cookie"]
            .iter()
            .all(|n| self.header(n).is_none())
    }
}

/// A client as a frontend SDK is: it keeps what the server hands out, and sends it back.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    pub mode: Mode,
    /// Cookies by name; the refresh cookie goes to its own path only.
    pub cookies: BTreeMap<String, String>,
    pub access: Option<String>,
    pub refresh: Option<String>,
    /// The last `front-token`; none after `remove`.
    pub front: Option<String>,
    /// Sent with every request.
    pub extra: Vec<(String, String)>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            mode: Mode::Cookie,
            cookies: BTreeMap::new(),
            access: None,
            refresh: None,
            front: None,
            extra: Vec::new(),
        }
    }
}

impl Client {
    /// A client without a session, of a server that the test started by itself.
    pub fn at(address: SocketAddr, mode: Mode) -> Self {
        Self {
            address,
            mode,
            ..Self::default()
        }
    }

    /// The same client, talking to another process of the deployment.
    pub fn moved_to(&self, server: &Server) -> Self {
        self.talking_to(server.address)
    }

    /// The same client, talking to another service.
    pub fn talking_to(&self, address: SocketAddr) -> Self {
        Self {
            address,
            ..self.clone()
        }
    }

    /// Calls without touching what the client keeps.
    pub async fn peek(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Response {
        let body = body.map(|b| b.to_string()).unwrap_or_default();
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut put = |name: &str, value: &str| lines.push((name.to_owned(), value.to_owned()));
        put(
            "host",
            &self.address.to_string().replace("127.0.0.1", "localhost"),
        );
        put("connection", "close");
        put(
            "st-auth-mode",
            if self.mode == Mode::Cookie {
                "cookie"
            } else {
                "header"
            },
        );
        put("rid", "anti-csrf");
        if !body.is_empty() {
            put("content-type", "application/json");
        }
        put("content-length", &body.len().to_string());
        match self.mode {
            Mode::Cookie => {
                let to_refresh = path.ends_with("/session/refresh");
                let cookies: Vec<String> = self
                    .cookies
                    .iter()
                    .filter(|(name, _)| *name != "sRefreshToken" || to_refresh)
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                if !cookies.is_empty() {
                    put("cookie", &cookies.join("; "));
                }
            }
            Mode::Header => {
                let token = if path.ends_with("/session/refresh") {
                    &self.refresh
                } else {
                    &self.access
                };
                if let Some(token) = token {
                    put("authorization", &format!("Bearer {token}"));
                }
            }
        }
        for (name, value) in self
            .extra
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_str()))
            .chain(headers.iter().copied())
        {
            lines.retain(|(n, _)| n != name);
            lines.push((name.to_owned(), value.to_owned()));
        }
        let mut text = format!("{method} {path} HTTP/1.1\r\n");
        for (name, value) in lines.iter().filter(|(_, v)| v != "-") {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("\r\n");
        text.push_str(&body);
        let response = exchange(self.address, text.as_bytes()).await;
        document::check(self.address, method, path, &response).await;
        response
    }

    /// Calls, and keeps what the server hands out. A header of value `-` is left out.
    pub async fn call(
        &mut self,
        method: &str,
        path: &str,
        body: Option<Value>,
        headers: &[(&str, &str)],
    ) -> Response {
        let response = self.peek(method, path, body.as_ref(), headers).await;
        self.absorb(&response);
        response
    }

    pub async fn get(&mut self, path: &str) -> Response {
        self.call("GET", path, None, &[]).await
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Response {
        self.call("POST", path, Some(body), &[]).await
    }

    /// Keeps the tokens of a response.
    pub fn absorb(&mut self, response: &Response) {
        for cookie in response.all("set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let keep = |slot: &mut Option<String>, name: &str, none: &str| {
            if let Some(value) = response.header(name) {
                *slot = (value != none).then(|| value.to_owned());
            }
        };
        keep(&mut self.access, "st-access-token", "");
        keep(&mut self.refresh, "st-refresh-token", "");
        keep(&mut self.front, "front-token", "remove");
        if response.header("front-token") == Some("remove") {
            (self.access, self.refresh) = (None, None);
        }
    }

    /// The access token, wherever it is kept.
    pub fn access_token(&self) -> Option<&str> {
        match self.mode {
            Mode::Cookie => self.cookies.get("sAccessToken").map(String::as_str),
            Mode::Header => self.access.as_deref(),
        }
    }

    /// The refresh token, wherever it is kept.
    pub fn refresh_token(&self) -> Option<&str> {
        match self.mode {
            Mode::Cookie => self.cookies.get("sRefreshToken").map(String::as_str),
            Mode::Header => self.refresh.as_deref(),
        }
    }

    /// What the client reads in its `front-token`: the payload under `up`.
    pub fn payload(&self) -> Value {
        let front = self.front.as_ref().expect("a front token");
        let json: Value = serde_json::from_slice(&STANDARD.decode(front).unwrap()).unwrap();
        json["up"].clone()
    }

    /// The payload of the access token itself, as text.
    pub fn token_payload(&self) -> String {
        let part = self.access_token().unwrap().split('.').nth(1).unwrap();
        String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    pub fn user_id(&self) -> String {
        self.payload()["sub"].as_str().unwrap().to_owned()
    }

    pub fn handle(&self) -> String {
        self.payload()["sessionHandle"].as_str().unwrap().to_owned()
    }

    /// `2fa-completed.v`.
    pub fn completed(&self) -> bool {
        self.payload()["2fa-completed"]["v"] == true
    }

    // The steps of the flow

    pub async fn sign_up(&mut self, email: &str) -> Response {
        self.post("/auth/signup", form(email, PASSWORD)).await
    }

    pub async fn sign_in(&mut self, email: &str) -> Response {
        self.post("/auth/signin", form(email, PASSWORD)).await
    }

    pub async fn sign_out(&mut self) -> Response {
        self.call("POST", "/auth/signout", None, &[]).await
    }

    pub async fn refresh(&mut self) -> Response {
        self.call("POST", "/auth/session/refresh", None, &[]).await
    }

    pub async fn create_code(&mut self, phone: &str) -> Response {
        self.post("/auth/signinup/code", json!({ "phoneNumber": phone }))
            .await
    }

    pub async fn resend(&mut self, created: &Value) -> Response {
        let body =
            json!({ "deviceId": created["deviceId"], "preAuthSessionId": created["preAuthSessionId"] });
        self.post("/auth/signinup/code/resend", body).await
    }

    pub async fn consume(&mut self, created: &Value, code: &str) -> Response {
        self.post("/auth/signinup/code/consume", answer(created, code))
            .await
    }

    /// Asks for a code to `phone`, reads it from the outbox, and answers it.
    pub async fn complete(&mut self, server: &Server, phone: &str) -> Response {
        let created = self.create_code(phone).await;
        assert_eq!(created.status_field(), "OK", "{created:?}");
        let code = server.code().await;
        let consumed = self.consume(&created.json(), &code).await;
        assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
        consumed
    }
}

/// The body of a consume call.
pub fn answer(created: &Value, code: &str) -> Value {
    json!({
        "deviceId": created["deviceId"],
        "preAuthSessionId": created["preAuthSessionId"],
        "userInputCode": code,
    })
}

/// The body of sign-up and sign-in.
pub fn form(email: &str, password: &str) -> Value {
    json!({ "formFields": [{ "id": "email", "value": email }, { "id": "password", "value": password }] })
}

/// A signed-up client, first factor only.
pub async fn half(server: &Server, mode: Mode, email: &str) -> Client {
    let mut client = server.client(mode);
    let response = client.sign_up(email).await;
    assert_eq!(response.status_field(), "OK", "{response:?}");
    client
}

/// A signed-up client with its second factor completed.
pub async fn full(server: &Server, mode: Mode, email: &str, phone: &str) -> Client {
    let mut client = half(server, mode, email).await;
    client.complete(server, phone).await;
    client
}

/// An enrolled user who signed in anew: first factor only.
pub async fn returning(server: &Server, mode: Mode, email: &str, phone: &str) -> Client {
    full(server, mode, email, phone).await.sign_out().await;
    let mut client = server.client(mode);
    let response = client.sign_in(email).await;
    assert_eq!(response.status_field(), "OK", "{response:?}");
    client
}

async fn exchange(address: SocketAddr, bytes: &[u8]) -> Response {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // A server that refuses early may close before all is written.
    let _ = stream.write_all(bytes).await;
    let mut all = Vec::new();
    let read = tokio::time::timeout(std::time::Duration::from_secs(30), stream.read_to_end(&mut all)).await;
    let _ = read.expect("the server answers or closes within 30 s");
    parse(&all)
}

fn parse(all: &[u8]) -> Response {
    let Some(end) = all.windows(4).position(|w| w == b"\r\n\r\n") else {
        return Response::default();
    };
    let head = String::from_utf8_lossy(&all[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|l| l.split(' ').nth(1))
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    let headers: Vec<(String, String)> = lines
        .filter_map(|l| l.split_once(':'))
        .map(|(n, v)| (n.trim().to_ascii_lowercase(), v.trim().to_owned()))
        .collect();
    let rest = &all[end + 4..];
    let chunked = headers
        .iter()
        .any(|(n, v)| n == "transfer-encoding" && v.contains("chunked"));
    let body = if chunked { unchunk(rest) } else { rest.to_vec() };
    Response {
        status,
        headers,
        body,
    }
}

fn unchunk(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|w| w == b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap().trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
    body
}
