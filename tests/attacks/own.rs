//! An application of its own around stepup, where a row needs another store, clock, policy or log-in than the demo's.

#![allow(unreachable_pub, reason = "the rows use it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use stepup::axum::{OptionalSession, Rejection, Session, SignIn};
use stepup::delivery::{BackgroundThread, Outbox};
use stepup::flow::External;
use stepup::rule::{OwnRule, Rule};
use stepup::storage::Storage;
use stepup::{
    AnySession, AppInfo, Builder, Deliver, FactorId, Fresh, Password, Passwordless, Policy, Require2fa,
    Requirement, SecretList, Stepup, TenantId, UserId, any_of,
};
use stepup_core::background::{Background, Job, QueueFull, Repeat};
use stepup_core::entropy::OsEntropy;
use stepup_core::keyring::Root;
use stepup_testkit::clock::ManualClock;
use tokio::net::TcpListener;

use crate::kit::serving::only_on_axum;
use crate::kit::{Client, Mode, PASSWORD};

/// The application, served for one test. Nothing happens beside its requests unless [`Own::tick`] is called.
pub struct Own<S> {
    pub address: SocketAddr,
    pub stepup: Stepup,
    pub store: Arc<S>,
    pub clock: ManualClock,
    outbox: Outbox,
    background: BackgroundThread,
    serving: tokio::task::JoinHandle<()>,
}

impl<S: Storage> Own<S> {
    pub async fn start(store: S) -> Self {
        Self::start_with(store, |builder| builder).await
    }

    pub async fn start_with(store: S, change: impl FnOnce(Builder) -> Builder) -> Self {
        Self::build(store, None, change).await
    }

    /// With another carrier of codes than the outbox.
    pub async fn start_carried(store: S, codes: impl Deliver) -> Self {
        Self::build(store, Some(Arc::new(codes)), |builder| builder).await
    }

    async fn build(
        store: S,
        codes: Option<Arc<dyn Deliver>>,
        change: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        only_on_axum();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let store = Arc::new(store);
        let clock = ManualClock::default();
        let outbox = Outbox::new();
        let background = BackgroundThread::start().unwrap();
        let here = format!("http://localhost:{}", address.port());
        let secrets = SecretList::new(vec![Root::random("k1".into(), &OsEntropy).unwrap()]);
        let builder = Stepup::builder(AppInfo::new("Acme", &here, &here), store.clone(), secrets)
            .factor(Password::new())
            .factor(Passwordless::sms_by(
                codes.unwrap_or_else(|| Arc::new(outbox.clone())),
            ))
            .notices(outbox.clone())
            .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
            .background(RequestsOnly(background.clone()))
            .clock(clock.clone());
        let stepup = change(builder).build().await.unwrap();
        let app = Router::new()
            .route("/login", post(log_in))
            .route(
                "/any",
                get(async |session: Session<AnySession>| session.user_id().to_string()),
            )
            .route("/plain", get(async |_: Session| "in"))
            .route("/secret", get(async |_: Session<Require2fa>| "in"))
            .route("/fresh", get(async |_: Session<Fresh<300>>| "in"))
            .route("/panics", get(async |_: OptionalSession<Panics>| "in"))
            .route("/refuses", get(async |_: Session<Refuses>| "in"))
            .with_state(stepup.clone())
            .merge(stepup::axum::routes(&stepup))
            .layer(stepup::axum::layer(&stepup));
        let serving = tokio::spawn(async move {
            axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
                .await
                .unwrap();
        });
        Self {
            address,
            stepup,
            store,
            clock,
            outbox,
            background,
            serving,
        }
    }

    pub fn client(&self, mode: Mode) -> Client {
        Client::at(self.address, mode)
    }

    pub fn moved(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Does what is due beside requests.
    pub async fn tick(&self) {
        self.stepup.tick().await;
    }

    /// The messages so far.
    pub async fn sent(&self) -> Vec<stepup::delivery::Sent> {
        assert!(self.background.drain(Duration::from_secs(10)).await);
        self.outbox.sent()
    }

    /// The last code that another carrier has, once all is handed over.
    pub async fn drained(&self, carrier: &Outbox) -> String {
        assert!(self.background.drain(Duration::from_secs(10)).await);
        let sent = carrier.sent();
        sent.into_iter()
            .rev()
            .find_map(|message| message.code)
            .expect("a code was sent")
    }

    /// The last code that was sent.
    pub async fn code(&self) -> String {
        let sent = self.sent().await;
        sent.into_iter()
            .rev()
            .find_map(|message| message.code)
            .expect("a code was sent")
    }

    /// The user behind an address.
    pub async fn user(&self, email: &str) -> Option<stepup_core::record::user::User> {
        self.stepup
            .user_by_email(&TenantId::public(), email)
            .await
            .unwrap()
    }

    /// A signed-up client that asked for a code, with the answer to its request and the code.
    pub async fn asked(&self, mode: Mode, email: &str, phone: &str) -> (Client, Value, String) {
        let mut client = self.client(mode);
        let response = client.sign_up(email).await;
        assert_eq!(response.status_field(), "OK", "{response:?}");
        let created = client.create_code(phone).await;
        assert_eq!(created.status_field(), "OK", "{created:?}");
        (client, created.json(), self.code().await)
    }

    /// A client of the application's own log-in.
    pub async fn logged_in(&self, mode: Mode, user: &str) -> Client {
        let mut client = self.client(mode);
        let response = client.post("/login", login(user, PASSWORD)).await;
        assert_eq!(response.status, 200, "{response:?}");
        client
    }
}

impl<S> Drop for Own<S> {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// The body of the application's own log-in.
pub fn login(user: &str, password: &str) -> Value {
    json!({ "user": user, "password": password })
}

/// The application's log-in: everybody has the same password, and its user table is what is typed.
async fn log_in(
    State(_): State<Stepup>,
    SignIn(mut sign_in): SignIn,
    body: String,
) -> Result<Response, Rejection> {
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let user = text("user");
    sign_in.throttle(&user).await?;
    if text("password") != PASSWORD {
        sign_in.failed().await?;
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    }
    let external = match text("kind").as_str() {
        "possession" => External::possession(),
        _ => External::knowledge(),
    };
    let external = match body["factor"].as_str() {
        Some(name) => external.named(FactorId::new(name)),
        None => external,
    };
    sign_in.complete(&UserId::from(user), external).await?;
    Ok("welcome".into_response())
}

/// A requirement of the application's own that breaks.
pub struct Panics;

impl Requirement for Panics {
    fn rule() -> Rule {
        Rule::Own(OwnRule(|_| panic!("the application's rule broke")))
    }
}

/// One that is never met.
pub struct Refuses;

impl Requirement for Refuses {
    fn rule() -> Rule {
        Rule::Any(Vec::new())
    }
}

/// Runs messages, and nothing by itself.
#[derive(Debug)]
struct RequestsOnly(BackgroundThread);

impl Background for RequestsOnly {
    fn spawn(&self, job: Job) -> Result<(), QueueFull> {
        self.0.spawn(job)
    }

    fn every(&self, _: Duration, _: Repeat) {}
}
