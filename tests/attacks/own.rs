//! An application of its own around stepup, where a row needs another store, clock, policy or log-in than the demo's.

#![allow(unreachable_pub, reason = "the rows use it")]

use std::any::Any;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use stepup::delivery::{BackgroundThread, Outbox};
use stepup::storage::Storage;
use stepup::wire::Wire;
use stepup::{
    AppInfo, Builder, Deliver, FactorId, Password, Passwordless, Policy, SecretList, Stepup, TenantId,
    UserId, any_of,
};
use stepup_core::background::{Background, Job, QueueFull, Repeat};
use stepup_core::entropy::OsEntropy;
use stepup_core::keyring::{Keyring, Root};
use stepup_core::record::credential::CredentialKind;
use stepup_testkit::clock::ManualClock;
use stepup_testkit::suite::adapter::{Application, Login};

use crate::kit::serving::{anywhere, listen};
use crate::kit::{Client, Mode};
use crate::subject;

pub use stepup_testkit::suite::adapter::login;

/// The application of the adapter suite, served for one test on the framework of the run. Nothing happens beside its
/// requests unless [`Own::tick`] is called.
pub struct Own<S> {
    pub address: SocketAddr,
    pub stepup: Stepup,
    pub store: Arc<S>,
    pub clock: ManualClock,
    keyring: Keyring,
    outbox: Outbox,
    background: BackgroundThread,
    _serving: Box<dyn Any + Send>,
}

impl<S: Storage> Own<S> {
    pub async fn start(store: S) -> Self {
        Self::start_with(store, |builder| builder).await
    }

    pub async fn start_with(store: S, change: impl FnOnce(Builder) -> Builder) -> Self {
        Self::build(store, None, Password::new(), change).await
    }

    /// With another first factor than the default.
    pub async fn start_hashing(
        store: S,
        password: Password,
        change: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        Self::build(store, None, password, change).await
    }

    /// With another carrier of codes than the outbox.
    pub async fn start_carried(store: S, codes: impl Deliver) -> Self {
        Self::build(store, Some(Arc::new(codes)), Password::new(), |builder| builder).await
    }

    async fn build(
        store: S,
        codes: Option<Arc<dyn Deliver>>,
        password: Password,
        change: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let listener = listen(anywhere());
        let address = listener.local_addr().unwrap();
        let store = Arc::new(store);
        let clock = ManualClock::default();
        let outbox = Outbox::new();
        let background = BackgroundThread::start().unwrap();
        let here = format!("http://localhost:{}", address.port());
        let secrets = SecretList::new(vec![Root::random("k1".into(), &OsEntropy).unwrap()]);
        let keyring = Keyring::new(&secrets).unwrap();
        let builder = Stepup::builder(AppInfo::new("Acme", &here, &here), store.clone(), secrets)
            .factor(password)
            .factor(Passwordless::sms_by(
                codes.unwrap_or_else(|| Arc::new(outbox.clone())),
            ))
            .notices(outbox.clone())
            .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
            .background(RequestsOnly(background.clone()))
            .clock(clock.clone());
        let stepup = change(builder).build().await.unwrap();
        let application = Application {
            wire: Wire::from(&stepup),
            layered: true,
        };
        let serving = subject::serve(listener, application).await;
        Self {
            address,
            stepup,
            store,
            clock,
            keyring,
            outbox,
            background,
            _serving: serving,
        }
    }

    pub fn client(&self, mode: Mode) -> Client {
        Client::at(self.address, mode)
    }

    pub fn moved(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// Writes `text` where the hash of a user's password lies: what somebody can who has the database and the secret.
    pub async fn plant_hash(&self, user: &UserId, text: &str) {
        let (public, kind) = (TenantId::public(), CredentialKind::Password);
        let kept = self.store.credentials(&public, user, kind).await.unwrap();
        let kept = kept.first().expect("a password");
        let place = [
            &b"password"[..],
            b"public",
            user.as_str().as_bytes(),
            kept.id.as_str().as_bytes(),
        ];
        let sealed = self.keyring.seal(&place, text.as_bytes(), &OsEntropy).unwrap();
        let planted = self
            .store
            .reseal(&public, user, kind, &kept.id, kept.version, &sealed);
        assert!(planted.await.unwrap());
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
        let response = client.post("/login", login(user, Login::RIGHT)).await;
        assert_eq!(response.status, 200, "{response:?}");
        client
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
