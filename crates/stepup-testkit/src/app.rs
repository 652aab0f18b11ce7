//! For the tests of an application: stepup in memory, and requests of people who really signed in.
//!
//! ```
//! use stepup_testkit::app::TestApp;
//!
//! # async fn test() {
//! let kit = TestApp::new().await;
//! // Give `kit.stepup` to the application, then:
//! let request = kit.request_as("ann").complete().await.uri("/secret").body(String::new());
//! # }
//! ```
//!
//! Nothing is forged: `ann` is signed up, gets a code and answers it, over the protocol, as a browser does it. What a test
//! sends is therefore what a client would send, and what the guards admit is what they will admit in production.

#![expect(clippy::indexing_slicing, reason = "a test fails by panic")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, ORIGIN, SET_COOKIE};
use http::{Request, Response, StatusCode, request};
use serde_json::{Value, json};
use stepup_core::entropy::OsEntropy;
use stepup_core::factor::password::Password;
use stepup_core::factor::passwordless::Passwordless;
use stepup_core::id::{FactorId, KeyId, UserId};
use stepup_core::keyring::{Root, SecretList};
use stepup_core::policy::{Policy, any_of};
use stepup_core::rule::Rule;
use stepup_core::storage::memory::MemoryStore;
use stepup_core::{AppInfo, Builder, Stepup, Trust};
use stepup_wire::{Peer, Wire};
use tokio::sync::Mutex;

use crate::clock::ManualClock;
use crate::mailbox::Mailbox;

/// stepup for one test: a store in memory, a clock in hand, a mailbox for everybody.
#[derive(Debug)]
pub struct TestApp {
    /// What the application is given.
    pub stepup: Stepup,
    /// The time; it stands still until it is moved.
    pub clock: ManualClock,
    /// What was sent.
    pub outbox: Mailbox,
    wire: Wire,
    people: Mutex<BTreeMap<String, Person>>,
}

impl TestApp {
    /// With e-mail and password, and a code by SMS as the second factor that everybody needs.
    ///
    /// # Panics
    /// Here and below: if stepup refuses what is asked of it. The message says what.
    pub async fn new() -> Self {
        Self::with(|builder| builder).await
    }

    /// With changes, such as a policy or claims of the application's own.
    pub async fn with(change: impl FnOnce(Builder) -> Builder) -> Self {
        let (clock, outbox) = (ManualClock::default(), Mailbox::new());
        let root = Root::random(KeyId::from("test"), &OsEntropy).expect("the system gives random bytes");
        let builder = Stepup::builder(
            AppInfo::new("Test", ORIGIN_OF_ALL, ORIGIN_OF_ALL),
            Arc::new(MemoryStore::new()),
            SecretList::new(vec![root]),
        )
        .factor(Password::new())
        .factor(Passwordless::sms(outbox.clone()))
        .notices(outbox.clone())
        .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
        .background(outbox.clone())
        .clock(clock.clone());
        let stepup = match change(builder).build().await {
            Ok(stepup) => stepup,
            Err(error) => panic!("stepup was not built: {error}"),
        };
        Self {
            wire: Wire::from(&stepup),
            stepup,
            clock,
            outbox,
            people: Mutex::default(),
        }
    }

    /// A request of somebody, by a name of the test's choice. Who is new is signed up; who is not goes on with the session
    /// that there is, as a browser does, and refreshes it when the clock was moved.
    pub fn request_as(&self, name: &str) -> RequestAs<'_> {
        RequestAs {
            app: self,
            name: name.to_owned(),
            carrier: Carrier::Cookie,
            anew: false,
        }
    }

    /// The id of somebody who made a request before.
    pub async fn user_id(&self, name: &str) -> UserId {
        let people = self.people.lock().await;
        let id = people.get(name).and_then(|person| person.id.clone());
        id.unwrap_or_else(|| panic!("{name} made no request yet"))
    }

    /// The phone number of somebody, as it is or will be enrolled.
    pub async fn phone(&self, name: &str) -> String {
        self.person(&mut *self.people.lock().await, name).phone.clone()
    }

    /// Moves the clock, and does what is due then: notices, keys, streams that have to end.
    pub async fn advance(&self, span: Duration) {
        // What was handed over is with its reader before the time passes: a code that waits until it is dead is not sent.
        self.outbox.settle().await;
        self.clock.advance(span);
        self.stepup.tick().await;
        self.outbox.settle().await;
    }

    /// The protocol, as the application has it.
    pub(crate) fn wire(&self) -> &Wire {
        &self.wire
    }

    fn person<'p>(&self, people: &'p mut BTreeMap<String, Person>, name: &str) -> &'p mut Person {
        let number = people.len();
        people.entry(name.to_owned()).or_insert_with(|| Person {
            email: format!("{name}@example.com"),
            phone: format!("+4179123{:04}", 4_000 + number),
            ..Person::default()
        })
    }

    /// Calls an endpoint of the protocol.
    async fn call(
        &self,
        path: &str,
        session: Option<(&Session, Carrier)>,
        carrier: Carrier,
        body: &Value,
    ) -> Response<Bytes> {
        let mut request = Request::post(format!("{}{path}", self.stepup.app().base_path()))
            .header(CONTENT_TYPE, "application/json")
            .header("st-auth-mode", carrier.name());
        if let Some((session, carrier)) = session {
            let token = if path == REFRESH {
                &session.refresh
            } else {
                &session.access
            };
            let name = if path == REFRESH {
                REFRESH_COOKIE
            } else {
                ACCESS_COOKIE
            };
            request = carrier.carry(request, name, token);
        }
        let request = request.extension(Peer(HOME));
        let request = request
            .body(Bytes::from(body.to_string()))
            .expect("a request of known parts");
        self.wire.handle(request).await
    }

    /// Calls an endpoint that must answer `OK`.
    async fn succeed(
        &self,
        path: &str,
        session: Option<(&Session, Carrier)>,
        carrier: Carrier,
        body: &Value,
    ) -> Response<Bytes> {
        let response = self.call(path, session, carrier, body).await;
        let status = json_of(&response)["status"].as_str().map(str::to_owned);
        assert_eq!(status.as_deref(), Some("OK"), "{path}: {:?}", response.body());
        response
    }

    /// The session as it can be used now; none if it has ended.
    async fn living(&self, session: Session, carrier: Carrier) -> Option<Session> {
        // A guard forgives an expired token some seconds, for clocks that differ; here there is one.
        if let Ok(access) = self.stepup.verify(&session.access)
            && self.stepup.now() < access.expires_at()
            && self
                .stepup
                .admit(&access, &Rule::Valid, Trust::Store)
                .await
                .is_ok()
        {
            return Some(session);
        }
        let response = self
            .call(REFRESH, Some((&session, carrier)), carrier, &json!({}))
            .await;
        (response.status() == StatusCode::OK).then(|| session.after(&response, carrier))
    }

    /// A session with a first factor only. An account is made for who has none.
    async fn sign_in(&self, person: &mut Person, carrier: Carrier) -> Session {
        let path = if person.id.is_some() { "/signin" } else { "/signup" };
        let fields = [("email", person.email.as_str()), ("password", PASSWORD)];
        let fields: Vec<Value> = fields
            .iter()
            .map(|(id, value)| json!({ "id": id, "value": value }))
            .collect();
        let response = self
            .succeed(path, None, carrier, &json!({ "formFields": fields }))
            .await;
        person.id = json_of(&response)["user"]["id"].as_str().map(UserId::from);
        Session::default().after(&response, carrier)
    }

    /// The same session with its second factor completed.
    async fn complete(&self, person: &Person, session: Session, carrier: Carrier) -> Session {
        let own = Some((&session, carrier));
        let asked = json!({ "phoneNumber": person.phone });
        let created = json_of(&self.succeed("/signinup/code", own, carrier, &asked).await);
        let code = self.outbox.code_to(&person.phone).await.expect("a code was sent");
        let answer = json!({
            "deviceId": created["deviceId"],
            "preAuthSessionId": created["preAuthSessionId"],
            "userInputCode": code,
        });
        let response = self
            .succeed("/signinup/code/consume", own, carrier, &answer)
            .await;
        session.after(&response, carrier)
    }
}

/// A request of somebody, about to be made.
#[derive(Debug)]
#[must_use = "nobody has signed in yet: call `half` or `complete`"]
pub struct RequestAs<'a> {
    app: &'a TestApp,
    name: String,
    carrier: Carrier,
    anew: bool,
}

impl RequestAs<'_> {
    /// Carries the token in `Authorization`, as apps do, instead of a cookie.
    pub fn by_header(self) -> Self {
        Self {
            carrier: Carrier::Header,
            ..self
        }
    }

    /// Signs in anew, as in another browser.
    pub fn anew(self) -> Self {
        Self { anew: true, ..self }
    }

    /// With the second factor completed: it passes `Session<Require2fa>`.
    pub async fn complete(self) -> request::Builder {
        self.at(Level::Complete).await
    }

    /// With a first factor only: a half-login.
    pub async fn half(self) -> request::Builder {
        self.at(Level::Half).await
    }

    /// [`RequestAs::complete`] for a framework with requests of its own: `add` adds a header to one.
    ///
    /// On Actix Web `complete_on(TestRequest::get(), |request, header| request.insert_header(header))`, on Rocket
    /// `complete_on(client.get("/"), |request, (name, value)| request.header(Header::new(name, value)))`.
    pub async fn complete_on<T>(self, request: T, add: impl FnMut(T, (String, String)) -> T) -> T {
        carried(self.complete().await, request, add)
    }

    /// [`RequestAs::half`] for a framework with requests of its own, as [`RequestAs::complete_on`].
    pub async fn half_on<T>(self, request: T, add: impl FnMut(T, (String, String)) -> T) -> T {
        carried(self.half().await, request, add)
    }

    async fn at(self, level: Level) -> request::Builder {
        let (app, carrier) = (self.app, self.carrier);
        let mut people = app.people.lock().await;
        let person = app.person(&mut people, &self.name);
        let kept = person.sessions.remove(&(level, carrier)).filter(|_| !self.anew);
        let living = match kept {
            Some(session) => app.living(session, carrier).await,
            None => None,
        };
        let session = match (living, level) {
            (Some(session), _) => session,
            (None, Level::Half) => app.sign_in(person, carrier).await,
            (None, Level::Complete) => {
                let half = app.sign_in(person, carrier).await;
                app.complete(person, half, carrier).await
            }
        };
        let request = carrier.carry(Request::builder(), ACCESS_COOKIE, &session.access);
        person.sessions.insert((level, carrier), session);
        request.extension(Peer(HOME))
    }
}

/// Puts the headers of a request into another one.
fn carried<T>(from: request::Builder, into: T, add: impl FnMut(T, (String, String)) -> T) -> T {
    let headers = from.headers_ref().into_iter().flatten();
    let pairs = headers.map(|(name, value)| {
        let value = value.to_str().expect("tokens and origins are ASCII");
        (name.as_str().to_owned(), value.to_owned())
    });
    pairs.fold(into, add)
}

#[derive(Debug, Default)]
struct Person {
    email: String,
    phone: String,
    id: Option<UserId>,
    sessions: BTreeMap<(Level, Carrier), Session>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Half,
    Complete,
}

/// How tokens travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Carrier {
    Cookie,
    Header,
}

impl Carrier {
    fn name(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Header => "header",
        }
    }

    fn carry(self, request: request::Builder, cookie: &str, token: &str) -> request::Builder {
        match self {
            // A page of the site sends its origin along, and the clients a header that no form can send.
            Self::Cookie => request
                .header(COOKIE, format!("{cookie}={token}"))
                .header("rid", "anti-csrf")
                .header(ORIGIN, ORIGIN_OF_ALL),
            Self::Header => request.header(AUTHORIZATION, format!("Bearer {token}")),
        }
    }
}

#[derive(Clone, Default)]
struct Session {
    access: String,
    refresh: String,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Session(..)")
    }
}

impl Session {
    /// The session after a response that handed out tokens.
    fn after(self, response: &Response<Bytes>, carrier: Carrier) -> Self {
        let headers = response.headers();
        let handed = |cookie: &str, header: &str| match carrier {
            Carrier::Cookie => headers
                .get_all(SET_COOKIE)
                .iter()
                .filter_map(|line| line.to_str().ok()?.split(';').next()?.split_once('='))
                .find(|(name, _)| *name == cookie)
                .map(|(_, value)| value.to_owned()),
            Carrier::Header => Some(headers.get(header)?.to_str().ok()?.to_owned()),
        };
        Self {
            access: handed(ACCESS_COOKIE, "st-access-token").unwrap_or(self.access),
            refresh: handed(REFRESH_COOKIE, "st-refresh-token").unwrap_or(self.refresh),
        }
    }
}

fn json_of(response: &Response<Bytes>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or_default()
}

pub(crate) const ORIGIN_OF_ALL: &str = "http://localhost:3000";
pub(crate) const PASSWORD: &str = "correct horse battery staple";
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const REFRESH: &str = "/session/refresh";
const ACCESS_COOKIE: &str = "sAccessToken";
const REFRESH_COOKIE: &str = "sRefreshToken";
