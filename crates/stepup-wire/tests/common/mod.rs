//! A site in memory, and a client that keeps cookies or header tokens as browsers and SDKs do.

#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, missing_docs, reason = "a test file is no crate to others")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use stepup_delivery::Outbox;
use stepup_wire::core::background::{Background, Job, QueueFull, Repeat};
use stepup_wire::core::entropy::OsEntropy;
use stepup_wire::core::event::{Event, EventSink};
use stepup_wire::core::factor::password::Password;
use stepup_wire::core::factor::passwordless::Passwordless;
use stepup_wire::core::id::{FactorId, KeyId};
use stepup_wire::core::keyring::{Root, SecretList};
use stepup_wire::core::policy::{Policy, any_of};
use stepup_wire::core::storage::memory::MemoryStore;
use stepup_wire::core::time::{Clock, Timestamp};
use stepup_wire::core::{AppInfo, Stepup};
use stepup_wire::{Peer, Transport, Wire};

pub const PHONE: &str = "+41791234567";
pub const PASSWORD: &str = "correct horse battery";

#[derive(Clone, Debug)]
pub struct TestClock(Arc<AtomicI64>);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Debug)]
struct OnTokio;

impl Background for OnTokio {
    fn spawn(&self, job: Job) -> Result<(), QueueFull> {
        tokio::spawn(job);
        Ok(())
    }

    fn every(&self, _: Duration, _: Repeat) {}
}

#[derive(Clone, Debug, Default)]
pub struct Events(Arc<std::sync::Mutex<Vec<String>>>);

impl EventSink for Events {
    fn record(&self, event: &Event) {
        let reason = event.reason.unwrap_or_default();
        self.0
            .lock()
            .unwrap()
            .push(format!("{} {reason}", event.kind.name()));
    }
}

impl Events {
    pub fn count(&self, start: &str) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|event| event.starts_with(start))
            .count()
    }
}

pub struct Site {
    pub wire: Wire,
    pub clock: TestClock,
    pub sent: Outbox,
    pub events: Events,
}

impl Site {
    /// API and website on one origin, a phone demanded as second factor.
    pub async fn new() -> Self {
        Self::at("http://localhost:3000", "http://localhost:3000", Transport::new()).await
    }

    pub async fn at(api: &str, website: &str, transport: Transport) -> Self {
        let clock = TestClock(Arc::new(AtomicI64::new(1_764_000_000_123)));
        let (sent, events) = (Outbox::new(), Events::default());
        let root = Root::random(KeyId::from("test"), &OsEntropy).unwrap();
        let stepup = Stepup::builder(
            AppInfo::new("Acme", api, website),
            Arc::new(MemoryStore::new()),
            SecretList::new(vec![root]),
        )
        .factor(Password::new())
        .factor(Passwordless::sms(sent.clone()))
        .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
        .notices(sent.clone())
        .background(OnTokio)
        .clock(clock.clone())
        .events(events.clone())
        .danger_print_codes()
        .build()
        .await
        .unwrap();
        Self {
            wire: Wire::new(stepup, &transport).unwrap(),
            clock,
            sent,
            events,
        }
    }

    pub fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    /// The codes sent so far, oldest first.
    pub async fn codes(&self) -> Vec<String> {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        self.sent
            .sent()
            .into_iter()
            .filter_map(|sent| sent.code)
            .collect()
    }

    pub async fn code(&self) -> String {
        self.codes().await.pop().unwrap()
    }

    pub fn client(&self, mode: &'static str) -> Client {
        Client {
            wire: self.wire.clone(),
            mode,
            origin: Some("http://localhost:3000".to_owned()),
            cookies: BTreeMap::new(),
            access: None,
            refresh: None,
            front: None,
        }
    }

    /// A client with an account, signed up, second factor missing.
    pub async fn signed_up(&self, mode: &'static str, email: &str) -> Client {
        let mut client = self.client(mode);
        let answer = client.post("/auth/signup", form(email, PASSWORD)).await;
        assert_eq!(answer.json["status"], "OK", "{:?}", answer.json);
        client
    }

    /// A client with an account and a phone, complete.
    pub async fn complete(&self, mode: &'static str, email: &str) -> Client {
        let mut client = self.signed_up(mode, email).await;
        let answer = client.second_factor(self, PHONE).await;
        assert_eq!(answer.json["status"], "OK", "{:?}", answer.json);
        client
    }
}

pub fn form(email: &str, password: &str) -> Value {
    json!({ "formFields": [{ "id": "email", "value": email }, { "id": "password", "value": password }] })
}

#[derive(Clone)]
pub struct Client {
    wire: Wire,
    pub mode: &'static str,
    pub origin: Option<String>,
    pub cookies: BTreeMap<(String, String), String>,
    pub access: Option<String>,
    pub refresh: Option<String>,
    pub front: Option<String>,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: http::HeaderMap,
    pub json: Value,
    pub body: Bytes,
}

impl Answer {
    pub async fn of(response: Response<Bytes>) -> Self {
        let (parts, body) = response.into_parts();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Self {
            status: parts.status,
            headers: parts.headers,
            json,
            body,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn cookies(&self) -> Vec<&str> {
        self.headers
            .get_all("set-cookie")
            .iter()
            .map(|line| line.to_str().unwrap())
            .collect()
    }

    pub fn message(&self) -> &str {
        self.json["message"].as_str().unwrap_or_default()
    }

    /// Whether it says anything to the client about tokens.
    pub fn is_silent(&self) -> bool {
        ["front-token", "st-access-token", "st-refresh-token", "set-cookie"]
            .iter()
            .all(|name| !self.headers.contains_key(*name))
    }
}

impl Client {
    pub fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("st-auth-mode", self.mode);
        request = request
            .header("rid", "anti-csrf")
            .header("user-agent", "test")
            .extension(Peer([192, 0, 2, 1].into()));
        if let Some(origin) = &self.origin {
            request = request.header("origin", origin);
        }
        let cookies: Vec<String> = self
            .cookies
            .iter()
            .filter(|((_, at), _)| path.starts_with(at.as_str()))
            .map(|((name, _), value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request = request.header("cookie", cookies.join("; "));
        }
        let bearer = if path.ends_with("/session/refresh") {
            &self.refresh
        } else {
            &self.access
        };
        match bearer {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    pub async fn send(&mut self, request: http::request::Builder, body: impl Into<Bytes>) -> Answer {
        let answer = Answer::of(self.wire.handle(request.body(body.into()).unwrap()).await).await;
        self.learn(&answer);
        answer
    }

    pub async fn post(&mut self, path: &str, body: Value) -> Answer {
        let request = self
            .request(Method::POST, path)
            .header("content-type", "application/json");
        self.send(request, body.to_string()).await
    }

    pub async fn put(&mut self, path: &str) -> Answer {
        let request = self
            .request(Method::PUT, path)
            .header("content-type", "application/json");
        self.send(request, "{}").await
    }

    pub async fn get(&mut self, path: &str) -> Answer {
        let request = self.request(Method::GET, path);
        self.send(request, "").await
    }

    pub async fn refresh(&mut self) -> Answer {
        let request = self.request(Method::POST, "/auth/session/refresh");
        self.send(request, "").await
    }

    /// Asks for a code and answers it.
    pub async fn second_factor(&mut self, site: &Site, phone: &str) -> Answer {
        let created = self
            .post("/auth/signinup/code", json!({ "phoneNumber": phone }))
            .await;
        assert_eq!(created.json["status"], "OK", "{:?}", created.json);
        let code = site.code().await;
        self.post("/auth/signinup/code/consume", consume(&created.json, &code))
            .await
    }

    /// Keeps what an answer says about tokens, as a client does, whatever its status.
    pub fn learn(&mut self, answer: &Answer) {
        for line in answer.cookies() {
            let (pair, attributes) = line.split_once("; ").unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let path = attributes
                .split("; ")
                .find_map(|part| part.strip_prefix("Path="))
                .unwrap();
            assert!(attributes.contains("; HttpOnly"), "{line}");
            let slot = (name.to_owned(), path.to_owned());
            if attributes.contains("Expires=Thu, 01 Jan 1970") {
                self.cookies.remove(&slot);
            } else {
                self.cookies.insert(slot, value.to_owned());
            }
        }
        let stored = |value: &str| Some(value.to_owned()).filter(|value| !value.is_empty());
        if let Some(token) = answer.header("st-access-token") {
            self.access = stored(token);
        }
        if let Some(token) = answer.header("st-refresh-token") {
            self.refresh = stored(token);
        }
        match answer.header("front-token") {
            Some("remove") => (self.front, self.access, self.refresh) = (None, None, None),
            Some(front) => self.front = Some(front.to_owned()),
            None => {}
        }
    }

    /// The payload as the client sees it.
    pub fn payload(&self) -> Value {
        let front = self.front.as_ref().expect("a front token");
        let text = base64::engine::general_purpose::STANDARD.decode(front).unwrap();
        let front: Value = serde_json::from_slice(&text).unwrap();
        front["up"].clone()
    }

    pub fn cookie(&self, name: &str) -> Option<&String> {
        self.cookies
            .iter()
            .find(|((found, _), _)| found == name)
            .map(|(_, value)| value)
    }

    /// Its access token, wherever it keeps it.
    pub fn access_token(&self) -> String {
        self.access
            .clone()
            .or_else(|| self.cookie("sAccessToken").cloned())
            .unwrap()
    }

    /// Its refresh token, wherever it keeps it.
    pub fn refresh_token(&self) -> String {
        self.refresh
            .clone()
            .or_else(|| self.cookie("sRefreshToken").cloned())
            .unwrap()
    }
}

pub fn consume(created: &Value, code: &str) -> Value {
    json!({
        "deviceId": created["deviceId"],
        "preAuthSessionId": created["preAuthSessionId"],
        "userInputCode": code,
    })
}
