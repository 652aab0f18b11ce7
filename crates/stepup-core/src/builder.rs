//! The builder: collects the parts, checks them together, and names every problem at once.

mod check;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use self::check::check_policy;
use crate::app::AppInfo;
use crate::background::{Background, Job};
use crate::config::{Config, EmailVerification};
use crate::delivery::{Channel, Deliver, UserDirectory};
use crate::digest::{PasswordHasher, are_bearable};
use crate::email::EmailVerified;
use crate::entropy::{Entropy, OsEntropy};
use crate::error::Fault;
use crate::event::{EventSink, TracingSink};
use crate::evidence::Kind;
use crate::factor::Part;
use crate::factor::password::{Password, PasswordFactor};
use crate::factor::passwordless::{Countries, Passwordless, PasswordlessFactor, factor_of};
use crate::factor::third_party::{ThirdParty, ThirdPartyFactor};
use crate::flow::upkeep::Upkeep;
use crate::hook::{Hook, Hooks};
use crate::keyring::{Keyring, Secrets, admit_secrets};
use crate::language::Language;
use crate::offload::{Offload, Pool, PoolConfig};
use crate::parts::{Parts, StoreHandle};
use crate::policy::{Offered, Policy, SecondFactor};
use crate::profile::Profile;
use crate::rule::ClaimRule;
use crate::session::access::AccessTokens;
use crate::session::claim::ClaimSource;
use crate::session::keys::{SigningAlgorithm, SigningKeys};
use crate::session::revocation::Revocations;
use crate::stepup::Stepup;
use crate::storage::Storage;
use crate::tenant::{Tenant, TenantList, Tenants};
use crate::time::{Clock, Skew, SteadyClock, SystemClock, clock_skew};

/// How often the background looks whether something is due.
const TICK: Duration = Duration::from_millis(500);

/// Whether numbers were changed, and whether a profile came after that and undid it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Configured {
    No,
    Yes,
    TooEarly,
}

/// Puts a [`Stepup`] together.
#[derive(Debug)]
#[must_use = "nothing is built until `build()`"]
pub struct Builder {
    app: AppInfo,
    store: StoreHandle,
    secrets: Box<dyn Secrets>,
    config: Config,
    policy: Option<Policy>,
    tenants: Vec<Tenant>,
    tenant_source: Option<Arc<dyn Tenants>>,
    passwords: Vec<Password>,
    codes: Vec<Passwordless>,
    third_parties: Vec<ThirdParty>,
    notices: Option<Arc<dyn Deliver>>,
    directory: Option<Arc<dyn UserDirectory>>,
    languages: Vec<Language>,
    email: EmailVerification,
    claims: Vec<Arc<dyn ClaimSource>>,
    everywhere: Vec<ClaimRule>,
    background: Option<Arc<dyn Background>>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    events: Arc<dyn EventSink>,
    hooks: Vec<Arc<dyn Hook>>,
    offload: Option<Arc<dyn Offload>>,
    algorithm: Option<SigningAlgorithm>,
    profiles: Vec<Profile>,
    configured: Configured,
    print_codes: bool,
    plain_http: bool,
}

/// Why nothing was built. `Debug` is made to be read: `main` shows it that way when it returns one.
pub enum BuildError {
    /// The configuration is wrong; a sentence for each problem.
    Config(Vec<String>),
    /// The store, or the source of randomness, failed.
    Fault(Fault),
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => write!(f, "the configuration is wrong: {}", problems.join("; ")),
            Self::Fault(_) => f.write_str("could not start"),
        }
    }
}

/// The problems one below the other, or the fault with what is behind it.
impl fmt::Debug for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(problems) => {
                f.write_str("the configuration is wrong:")?;
                problems
                    .iter()
                    .try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
            Self::Fault(_) => f.write_str(&with_causes(self)),
        }
    }
}

impl std::error::Error for BuildError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Config(_) => None,
            Self::Fault(fault) => Some(fault),
        }
    }
}

impl<E: Into<Fault>> From<E> for BuildError {
    fn from(fault: E) -> Self {
        Self::Fault(fault.into())
    }
}

/// A sentence with what is behind it: whoever starts a server has to know which file cannot be read.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Builder {
    pub(crate) fn new(app: AppInfo, store: Arc<dyn Storage>, secrets: Box<dyn Secrets>) -> Self {
        Self {
            app,
            store: StoreHandle(store),
            secrets,
            config: Config::default(),
            policy: None,
            tenants: Vec::new(),
            tenant_source: None,
            passwords: Vec::new(),
            codes: Vec::new(),
            third_parties: Vec::new(),
            notices: None,
            directory: None,
            languages: Language::ALL.to_vec(),
            email: EmailVerification::Off,
            claims: Vec::new(),
            everywhere: Vec::new(),
            background: None,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(OsEntropy),
            events: Arc::new(TracingSink),
            hooks: Vec::new(),
            offload: None,
            algorithm: None,
            profiles: Vec::new(),
            configured: Configured::No,
            print_codes: false,
            plain_http: false,
        }
    }

    /// Adds a factor.
    pub fn factor(mut self, factor: impl Into<Part>) -> Self {
        match factor.into() {
            Part::Password(factor) => self.passwords.push(factor),
            Part::Passwordless(factor) => self.codes.push(factor),
            Part::ThirdParty(factor) => self.third_parties.push(factor),
        }
        self
    }

    /// What the site demands. Without it: a second factor from whoever has one.
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// The tenants beside the public one; `Tenant::new("public")` among them sets what that one takes and demands.
    pub fn tenants(mut self, tenants: impl IntoIterator<Item = Tenant>) -> Self {
        self.tenants.extend(tenants);
        self
    }

    /// Asks a source of the application's own for tenants, the public one included, which is closed if the source does not
    /// know it. What it says cannot be checked here: a tenant whose policy accepts only what no factor provides lets
    /// nobody in.
    pub fn tenants_from(mut self, source: impl Tenants) -> Self {
        self.tenant_source = Some(Arc::new(source));
        self
    }

    /// Carries security notices, by e-mail at least.
    pub fn notices(mut self, deliver: impl Deliver) -> Self {
        self.notices = Some(Arc::new(deliver));
        self
    }

    /// The addresses of users of the application's own table.
    pub fn directory(mut self, directory: impl UserDirectory) -> Self {
        self.directory = Some(Arc::new(directory));
        self
    }

    /// The languages that messages are written in: whoever reads none of them gets the first. Without this: those that
    /// stepup has texts in, English first.
    pub fn languages(mut self, languages: impl IntoIterator<Item = Language>) -> Self {
        self.languages = languages.into_iter().collect();
        self
    }

    /// Adds a claim of the application's own, for example a [`BooleanClaim`](crate::session::claim::BooleanClaim). It is
    /// put into the payload of every new session, unless it is to be fetched when asked for; and it is fetched anew when
    /// a rule finds it missing or too old.
    pub fn claim(mut self, claim: impl ClaimSource) -> Self {
        self.claims.push(Arc::new(claim));
        self
    }

    /// Whether the address behind a session is verified, by a link to its mailbox or a code that went there, and what is
    /// made of it. It never stands for a second factor. Links go out by [`Builder::notices`].
    pub fn email_verification(mut self, mode: EmailVerification) -> Self {
        self.email = mode;
        self
    }

    /// Asks `claim` of every guarded route of the application, beside what the route names. A route leaves it out
    /// visibly: by [`Without`](crate::require::Without), [`OnlyThese`](crate::require::OnlyThese), or
    /// [`AnySession`](crate::require::AnySession). The endpoints of the protocol do not ask it.
    pub fn require_claim(mut self, claim: ClaimRule) -> Self {
        self.everywhere.push(claim);
        self
    }

    /// Runs what outlives a request.
    pub fn background(mut self, background: impl Background) -> Self {
        self.background = Some(Arc::new(background));
        self
    }

    /// Replaces the clock, for tests.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Replaces the source of randomness, for tests.
    pub fn entropy(mut self, entropy: impl Entropy) -> Self {
        self.entropy = Arc::new(entropy);
        self
    }

    /// Receives audit events.
    pub fn events(mut self, events: impl EventSink) -> Self {
        self.events = Arc::new(events);
        self
    }

    /// Adds a hook behind those that were added before: see [`hook`](crate::hook).
    pub fn hook(mut self, hook: impl Hook) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Replaces the pool that hashes passwords.
    pub fn offload(mut self, offload: impl Offload) -> Self {
        self.offload = Some(Arc::new(offload));
        self
    }

    /// Signs access tokens by another algorithm than ES256.
    pub fn signing(mut self, algorithm: SigningAlgorithm) -> Self {
        self.algorithm = Some(algorithm);
        self
    }

    /// Chooses a set of numbers. It comes before [`Builder::configure`] and [`Builder::mask_contacts`], which have the last
    /// word; the algorithm of [`Builder::signing`] has it wherever it stands.
    pub fn profile(mut self, profile: Profile) -> Self {
        profile.apply(&mut self.config);
        self.profiles.push(profile);
        if self.configured == Configured::Yes {
            self.configured = Configured::TooEarly;
        }
        self
    }

    /// Changes numbers.
    pub fn configure(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        if self.configured == Configured::No {
            self.configured = Configured::Yes;
        }
        self
    }

    /// Shows phone numbers masked, in the payload and in answers, where scripts and whoever looks over a shoulder can read
    /// them. The mask is taken for the stored number when a client sends it back.
    pub fn mask_contacts(self) -> Self {
        self.configure(|config| config.mask_contacts = true)
    }

    /// Admits carriers that show codes to whoever looks, although a domain is not loopback.
    pub fn danger_print_codes(mut self) -> Self {
        self.print_codes = true;
        self
    }

    /// Admits an origin that is plain http although it is not loopback: tokens, passwords and codes travel in the clear,
    /// and cookies are not `Secure`.
    pub fn danger_plain_http(mut self) -> Self {
        self.plain_http = true;
        self
    }

    /// Checks everything together, compares the secrets with the store, and loads or makes the signing keys.
    ///
    /// # Errors
    /// [`BuildError::Config`] lists every problem, not the first.
    pub async fn build(mut self) -> Result<Stepup, BuildError> {
        let mut problems = self.config.problems();
        let app = match self.app.clone().checked() {
            Ok(app) => app,
            Err(wrong) => {
                problems.extend(wrong);
                self.app.clone()
            }
        };
        let keyring = if self.secrets.makes_its_own() && !app.is_loopback() {
            // Not even asked, so that it makes none.
            problems.push("a secret is made by itself on loopback only: configure one".to_owned());
            None
        } else {
            match Keyring::new(&*self.secrets) {
                Ok(keyring) => Some(Arc::new(keyring)),
                Err(weak) => {
                    problems.extend(weak.iter().map(|w| with_causes(w)));
                    None
                }
            }
        };
        let policy = self.policy.clone().unwrap_or_else(Policy::when_enrolled);
        let offered = self.offered();
        self.check_factors(&app, &policy, &offered, &mut problems);
        check_policy("the policy", &policy, &offered, &mut problems);
        self.check_tenants(&offered, &mut problems);
        self.check_mail(&policy, &mut problems);
        if self.passwords.iter().any(|own| !are_bearable(&own.imported)) {
            problems.push("the hashes of with_imported cost a failed sign-in more than half a second: drop the costliest kind".to_owned());
        }
        self.check_profiles(&policy, &mut problems);
        self.warn_of_dead_ends(&policy, &offered);
        let (Some(background), Some(keyring)) = (self.background.clone(), keyring) else {
            return Err(BuildError::Config(problems));
        };
        if let Err(mismatch) = admit_secrets(&keyring, &*self.store).await {
            match mismatch {
                crate::keyring::SecretMismatch::Fault(fault) => return Err(BuildError::Fault(fault)),
                other => problems.push(other.to_string()),
            }
        }
        self.compare_clocks(&mut problems).await?;
        if !problems.is_empty() {
            return Err(BuildError::Config(problems));
        }

        if self.opens_by_mail() && self.email == EmailVerification::Off {
            self.email = EmailVerification::Optional;
        }
        // Behind the checks, which take every claim for the application's own.
        if self.email != EmailVerification::Off {
            self.claims.push(Arc::new(EmailVerified));
        }
        if self.email == EmailVerification::Required {
            self.everywhere.push(ClaimRule::email_verified());
        }
        let second_factor = SecondFactor::of(&policy, &offered);
        let chosen = self.profiles.iter().rev().find_map(|profile| profile.signing());
        let algorithm = self.algorithm.or(chosen).unwrap_or_default();
        let now = self.clock.now();
        let keys = SigningKeys::load(
            self.store.0.clone(),
            keyring.clone(),
            self.entropy.clone(),
            algorithm,
            &self.config.sessions,
            now,
        )
        .await?;
        let keys = Arc::new(keys);
        let tokens = AccessTokens::new(
            keys.clone(),
            app.issuer(),
            None,
            self.config.claims.clone(),
            &self.config.sessions,
            &*self.entropy,
        )?
        .with_second_factor(second_factor);
        let revocations = Revocations::new(self.config.sessions.revocations, &self.config.sessions);
        let password = match self.passwords.into_iter().next() {
            None => None,
            Some(factor) => {
                let offload = match self.offload {
                    Some(offload) => offload,
                    None => {
                        let pool =
                            Pool::start(PoolConfig::default()).map_err(|e| Fault::Part(Box::new(e)))?;
                        Arc::new(pool)
                    }
                };
                let hasher = PasswordHasher::new(factor.params, self.entropy.clone(), offload)?
                    .with_firebase(factor.firebase)
                    .expecting(&factor.imported);
                Some(PasswordFactor {
                    rule: factor.rule,
                    hasher,
                })
            }
        };
        if !self.codes.is_empty() {
            // The first request should not wait for the numbering plans to be read.
            crate::contact::PhoneNumber::prepare();
        }
        let passwordless = (!self.codes.is_empty()).then(|| {
            let mut factor = PasswordlessFactor {
                sms: None,
                email: None,
                countries: Countries::All,
            };
            for part in self.codes {
                match part.channel {
                    Channel::Sms => {
                        factor.sms = Some(part.way);
                        factor.countries = part.countries.unwrap_or(Countries::All);
                    }
                    Channel::Email => factor.email = Some(part.way),
                }
            }
            factor
        });
        let tenants = match self.tenant_source {
            Some(source) => source,
            None => Arc::new(TenantList::new(&self.tenants)),
        };
        let parts = Arc::new(Parts {
            app,
            config: self.config,
            policy: Arc::new(policy),
            tenants,
            store: self.store,
            keyring,
            keys,
            tokens,
            revocations,
            upkeep: Upkeep::from(now),
            clock: SteadyClock::new(self.clock),
            entropy: self.entropy,
            background,
            events: self.events,
            hooks: Hooks::new(self.hooks),
            password,
            passwordless,
            third_party: self.third_parties.into_iter().next().map(ThirdPartyFactor::from),
            notices: self.notices,
            directory: self.directory,
            languages: self.languages,
            claim_ages: ages_of(&self.claims),
            claims: self.claims,
            email: self.email,
            everywhere: self.everywhere,
            offered,
            second_factor,
        });
        parts.hooks.attach(&parts);
        // The background must not keep alive what it works for.
        let weak = Arc::downgrade(&parts);
        parts.background.every(
            TICK,
            Arc::new(move || {
                let parts = weak.upgrade()?;
                let job: Job = Box::pin(async move { Stepup::from_parts(parts).tick().await });
                Some(job)
            }),
        );
        // Beside the rest, which may take its time.
        let weak = Arc::downgrade(&parts);
        parts.background.every(
            TICK,
            Arc::new(move || {
                let parts = weak.upgrade()?;
                let job: Job = Box::pin(async move { parts.revocations.watchers().call_due(parts.now()) });
                Some(job)
            }),
        );
        Ok(Stepup::from_parts(parts))
    }

    /// Nodes share nothing but the database: whoever is far from its clock is far from the others' (threat A-CLK-02).
    async fn compare_clocks(&self, problems: &mut Vec<String>) -> Result<(), Fault> {
        let Some(theirs) = self.store.clock().await? else {
            return Ok(());
        };
        match clock_skew(self.clock.now(), theirs) {
            Skew::None => {}
            Skew::Noted(skew) => {
                let ms = u64::try_from(skew.as_millis()).unwrap_or(u64::MAX);
                tracing::warn!(target: "stepup", ms, "the clock differs from that of the database");
            }
            Skew::Refused(skew) => problems.push(format!(
                "the clock of this machine and that of the database are {} s apart: set them by NTP",
                skew.as_secs()
            )),
        }
        Ok(())
    }

    fn offered(&self) -> Vec<Offered> {
        self.codes
            .iter()
            .filter(|codes| codes.way.role.is_second())
            .map(|codes| Offered {
                factor: factor_of(codes.channel, false),
                kind: Kind::Possession,
            })
            .collect()
    }
}

fn ages_of(claims: &[Arc<dyn ClaimSource>]) -> Vec<(String, Duration)> {
    let age = |source: &Arc<dyn ClaimSource>| Some((source.key().to_owned(), source.max_age()?));
    claims.iter().filter_map(age).collect()
}
