//! stepup, put together from the settings.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use stepup::delivery::{BackgroundThread, Outbox};
use stepup::session::claim::ClaimSource;
use stepup::sqlite::SqliteStore;
use stepup::storage::Storage;
use stepup::storage::memory::MemoryStore;
use stepup::wire::core::entropy::OsEntropy;
use stepup::wire::core::error::Fault;
use stepup::wire::core::keyring::{Root, Secrets};
use stepup::wire::{Transport, Wire};
use stepup::{
    AppInfo, Builder, Countries, FactorId, Means, Password, Passwordless, Policy, SecretFile, SecretList,
    Stepup, Tenant, ThirdParty, any_of,
};

use crate::carriers::Carriers;
use crate::clock::DemoClock;
use crate::settings::Settings;

/// A running demo, but for the web framework.
#[derive(Clone, Debug)]
pub struct Site {
    /// stepup itself.
    pub stepup: Stepup,
    /// The protocol at this site.
    pub wire: Wire,
    /// The messages that were sent.
    pub outbox: Outbox,
    /// The clock.
    pub clock: DemoClock,
    /// Where messages are sent from.
    pub background: BackgroundThread,
    /// Whether `/dev/*` answers.
    pub dev: bool,
    /// Whether `POST /dev/clock` answers.
    pub dev_clock: bool,
}

/// The demo's name, as its messages call it.
pub const NAME: &str = "stepup demo";

impl Site {
    /// Puts it together for a server that listens on `bound`.
    ///
    /// # Errors
    /// A sentence for each problem.
    pub async fn start(settings: &Settings, bound: SocketAddr) -> Result<Self, Vec<String>> {
        Self::start_with(settings, bound, |builder| builder).await
    }

    /// The same with something added, for tests.
    ///
    /// # Errors
    /// As [`Site::start`].
    pub async fn start_with(
        settings: &Settings,
        bound: SocketAddr,
        add: impl FnOnce(Builder) -> Builder,
    ) -> Result<Self, Vec<String>> {
        let here = format!("http://localhost:{}", bound.port());
        let api = settings.api_domain.clone().unwrap_or_else(|| here.clone());
        let website = settings.website_domain.clone().unwrap_or(here);
        let app = AppInfo::new(NAME, api, website);
        let local = app.is_loopback() && settings.listens_on_loopback();
        if settings.throttle_scale != 1 && !local {
            return Err(vec![
                "STEPUP_DEMO_THROTTLE_SCALE works on loopback only".to_owned(),
            ]);
        }

        let store = store(settings).await.map_err(|problem| vec![problem])?;
        let secrets = Keys::of(settings, local).map_err(|problem| vec![problem])?;
        let clock = DemoClock::default();
        let outbox = Outbox::new();
        let carriers = Carriers::new(settings, &outbox);
        // Somebody who waits for a real message is no developer in front of the console.
        let dev = local && settings.twilio.is_none() && settings.smtp.is_none();
        let background = BackgroundThread::start().map_err(|e| vec![e.to_string()])?;
        let countries = match &settings.sms_countries {
            Some(list) => Countries::only(list),
            None => Countries::All,
        };
        let scale = settings.throttle_scale;
        let mut builder = Stepup::builder(app, store, secrets);
        if settings.first_factors.contains(&FactorId::EMAIL_PASSWORD) {
            builder = builder.factor(Password::new());
        }
        if let Some(provider) = &settings.provider
            && settings.first_factors.contains(&FactorId::THIRD_PARTY)
        {
            builder = builder.factor(ThirdParty::new().shared(provider.clone()));
        }
        let phones = Passwordless::sms(carriers.sms).countries(countries);
        if let Some(phones) = role(settings, phones, [FactorId::OTP_PHONE, FactorId::LINK_PHONE]) {
            builder = builder.factor(phones);
        }
        let mailboxes = Passwordless::email(carriers.email);
        if let Some(mailboxes) = role(settings, mailboxes, [FactorId::OTP_EMAIL, FactorId::LINK_EMAIL]) {
            builder = builder.factor(mailboxes);
        }
        let builder = builder
            .policy(Policy::second_factor(any_of(settings.second_factors.clone())))
            .tenants(settings.tenants.iter().map(|id| Tenant::new(id.as_str())))
            .notices(carriers.notices)
            .email_verification(settings.email_verification)
            .claim(Role {
                admins: settings.admins.clone(),
            })
            .background(background.clone())
            .clock(clock.clone())
            .profile(settings.profile)
            .configure(|config| config.limits.scale = scale)
            .configure(settings.configure);
        let builder = match settings.signing {
            Some(algorithm) => builder.signing(algorithm),
            None => builder,
        };
        let stepup = add(builder).build().await.map_err(|error| match error {
            stepup::BuildError::Config(problems) => problems,
            fault => vec![with_causes(&fault)],
        })?;

        let mut transport = Transport::new();
        if let Some(domain) = &settings.cookie_domain {
            transport = transport.with_cookie_domain(domain);
        }
        if let Some(domain) = &settings.cookie_domain_older {
            transport = transport.with_older_cookie_domain(domain);
        }
        let proxies: Result<Vec<_>, _> = settings
            .trusted_proxies
            .iter()
            .map(|proxy| proxy.parse())
            .collect();
        transport = transport
            .with_trusted_proxies(proxies.map_err(|e| vec![format!("STEPUP_TRUSTED_PROXIES: {e}")])?);
        let wire = Wire::new(stepup.clone(), &transport).map_err(|error| error.0)?;
        Ok(Self {
            stepup,
            wire,
            outbox,
            clock,
            background,
            dev,
            dev_clock: dev && settings.dev_clock,
        })
    }

    /// Moves the clock, and lets what became due by it be done.
    pub async fn advance(&self, seconds: u32) {
        // A code that waits until it is dead is not sent.
        self.settle().await;
        self.clock.advance(seconds);
        self.stepup.tick().await;
    }

    /// Waits for the messages that are under way.
    pub async fn settle(&self) {
        self.background.drain(Duration::from_secs(5)).await;
    }
}

/// What codes and links of a kind are good for by the settings; none if for nothing.
fn role(settings: &Settings, codes: Passwordless, [code, link]: [FactorId; 2]) -> Option<Passwordless> {
    let means = match [&code, &link].map(|factor| settings.first_factors.contains(factor)) {
        [true, true] => Some(Means::Both),
        [true, false] => Some(Means::Code),
        [false, true] => Some(Means::Link),
        [false, false] => None,
    };
    match (means, settings.second_factors.contains(&code)) {
        (Some(means), true) => Some(codes.as_first_factor().means(means)),
        (Some(means), false) => Some(codes.only_first_factor().means(means)),
        (None, true) => Some(codes),
        (None, false) => None,
    }
}

/// The store that the settings name, migrated.
///
/// An SQLite database in memory would be another one for each connection; the store in memory means the same by the
/// same suite.
async fn store(settings: &Settings) -> Result<Arc<dyn Storage>, String> {
    if settings.database_file().is_none() {
        return Ok(Arc::new(MemoryStore::new()));
    }
    let store = SqliteStore::connect(&settings.database)
        .await
        .map_err(|e| with_causes(&e))?;
    store.migrate().await.map_err(|e| with_causes(&e))?;
    Ok(Arc::new(store))
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

/// The key material: from the environment, or made at the first start and kept beside the database's file.
#[derive(Debug)]
enum Keys {
    Given(SecretList),
    Kept(SecretFile),
}

impl Keys {
    fn of(settings: &Settings, local: bool) -> Result<Self, String> {
        match (&settings.secret, settings.database_file()) {
            (Some(list), _) => SecretList::parse(list.expose())
                .map(Self::Given)
                .map_err(|e| format!("STEPUP_SECRET: {e}")),
            // Loopback domains are not enough: the listener may be everybody's.
            (None, _) if !local => {
                Err("STEPUP_SECRET is needed: one is made by itself on loopback only".to_owned())
            }
            (None, Some(file)) => Ok(Self::Kept(SecretFile::beside(file))),
            // Nothing outlives the process, so its secret need not.
            (None, None) => Root::random("k1".into(), &OsEntropy)
                .map(|root| Self::Given(SecretList::new(vec![root])))
                .map_err(|e| e.to_string()),
        }
    }
}

impl Secrets for Keys {
    fn roots(&self) -> Result<Vec<Root>, Fault> {
        match self {
            Self::Given(list) => list.roots(),
            Self::Kept(file) => file.roots(),
        }
    }

    fn makes_its_own(&self) -> bool {
        matches!(self, Self::Kept(_))
    }
}

/// A claim of the application's own: what a user may do here.
///
/// The demo goes by the address alone, which nobody has verified. A real application reads its own table.
#[derive(Debug)]
struct Role {
    admins: Vec<String>,
}

#[async_trait]
impl ClaimSource for Role {
    fn key(&self) -> &str {
        "role"
    }

    async fn fetch(
        &self,
        user: &stepup::wire::core::record::user::User,
    ) -> Result<Option<Value>, stepup::wire::core::error::Source> {
        let admin = user
            .methods
            .iter()
            .filter_map(|m| m.email.as_ref())
            .any(|email| self.admins.contains(email));
        Ok(admin.then(|| json!(["admin"])))
    }
}
