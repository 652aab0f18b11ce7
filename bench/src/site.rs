//! A site to measure, and sessions of it that went through the real flow.

use std::sync::Arc;
use std::time::Duration;

use stepup::delivery::{BackgroundThread, Outbox};
use stepup::flow::{Caller, ConsumeOutcome, SignUpOutcome};
use stepup::session::keys::SigningAlgorithm;
use stepup::storage::Storage;
use stepup::wire::core::delivery::Deliver;
use stepup::wire::core::entropy::OsEntropy;
use stepup::wire::core::keyring::Root;
use stepup::wire::core::password::Password as Typed;
use stepup::{
    AppInfo, Builder, Channel, Countries, FactorId, Password, Passwordless, Policy, SecretList, Stepup,
    any_of,
};

/// A site.
pub struct Site {
    /// stepup.
    pub stepup: Stepup,
    outbox: Outbox,
    background: BackgroundThread,
}

impl Site {
    /// On `store`, signing by `algorithm`; `change` may change the rest.
    pub async fn new(
        store: Arc<dyn Storage>,
        algorithm: SigningAlgorithm,
        change: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let outbox = Outbox::new();
        let site = Self::carried_by(outbox.clone(), store, algorithm, change).await;
        Self { outbox, ..site }
    }

    /// The same, with codes that `carrier` carries.
    pub async fn carried_by(
        carrier: impl Deliver,
        store: Arc<dyn Storage>,
        algorithm: SigningAlgorithm,
        change: impl FnOnce(Builder) -> Builder,
    ) -> Self {
        let outbox = Outbox::new();
        let background = BackgroundThread::start().expect("a thread starts");
        let root = Root::random("k1".into(), &OsEntropy).expect("randomness");
        let origin = "http://localhost:3000";
        let builder = Stepup::builder(
            AppInfo::new("bench", origin, origin),
            store,
            SecretList::new(vec![root]),
        )
        .factor(Password::new())
        .factor(Passwordless::sms(carrier).countries(Countries::All))
        .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
        .notices(outbox.clone())
        .background(background.clone())
        .signing(algorithm)
        .configure(|config| config.limits.scale = 1_000_000);
        let stepup = change(builder).build().await.expect("the site builds");
        Self {
            stepup,
            outbox,
            background,
        }
    }

    /// The access token of a new account whose second factor is complete.
    pub async fn complete(&self, name: &str) -> String {
        let caller = Caller::internal();
        let typed = Typed::parse("correct horse battery").expect("a password");
        let signed_up = self
            .stepup
            .sign_up(&caller, &format!("{name}@example.com"), typed)
            .await
            .expect("sign-up");
        let SignUpOutcome::Created(session) = signed_up else {
            panic!("{signed_up:?}");
        };
        let access = self
            .stepup
            .verify(session.tokens.access.expose())
            .expect("our own token");
        let sent = self
            .stepup
            .create_code(&caller, &access, Channel::Sms, "+41791234567")
            .await
            .expect("a code")
            .expect("is sent");
        self.background.drain(Duration::from_secs(5)).await;
        let code = self
            .outbox
            .sent()
            .iter()
            .rev()
            .find_map(|m| m.code.clone())
            .expect("a code");
        let done = self
            .stepup
            .consume_code(&caller, &access, &sent.device, &code)
            .await
            .expect("is judged");
        match done {
            ConsumeOutcome::Completed { signed_in, .. } => signed_in.tokens.access.expose().clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Signs in without a pause, from as many callers as keep the hashing pool busy.
    pub fn hash_for_ever(&self) {
        for _ in 0..4 {
            let stepup = self.stepup.clone();
            tokio::spawn(async move {
                loop {
                    let typed = Typed::parse("correct horse battery").expect("a password");
                    let signed_in = stepup
                        .sign_in(&Caller::internal(), "ann@example.com", typed)
                        .await;
                    signed_in.expect("is judged");
                }
            });
        }
    }
}
