//! The builder: collects the parts, checks them together, and names every problem at once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::app::{AppInfo, is_loopback};
use crate::background::{Background, Job};
use crate::config::{Config, Disclosure};
use crate::delivery::{Channel, Deliver, UserDirectory};
use crate::digest::PasswordHasher;
use crate::entropy::{Entropy, OsEntropy};
use crate::error::Fault;
use crate::event::{EventSink, TracingSink};
use crate::evidence::Kind;
use crate::factor::Part;
use crate::factor::password::{Password, PasswordFactor};
use crate::factor::passwordless::{Countries, Means, Passwordless, PasswordlessFactor, factor_of};
use crate::flow::upkeep::Upkeep;
use crate::hook::{Hook, Hooks};
use crate::id::FactorId;
use crate::keyring::{Keyring, Secrets, admit_secrets};
use crate::offload::{Offload, Pool, PoolConfig};
use crate::parts::{Parts, StoreHandle};
use crate::policy::{self, EnrollmentMode, Offered, Policy, SecondFactor};
use crate::profile::Profile;
use crate::rule::ClaimRule;
use crate::session::access::{AccessTokens, is_reserved};
use crate::session::claim::ClaimSource;
use crate::session::keys::{SigningAlgorithm, SigningKeys};
use crate::session::revocation::Revocations;
use crate::stepup::Stepup;
use crate::storage::Storage;
use crate::tenant::{Tenant, TenantList, Tenants, is_tenant_id};
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
    notices: Option<Arc<dyn Deliver>>,
    directory: Option<Arc<dyn UserDirectory>>,
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
            notices: None,
            directory: None,
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

    /// Adds a claim of the application's own, for example a [`BooleanClaim`](crate::session::claim::BooleanClaim). It is
    /// put into the payload of every new session, unless it is to be fetched when asked for; and it is fetched anew when
    /// a rule finds it missing or too old.
    pub fn claim(mut self, claim: impl ClaimSource) -> Self {
        self.claims.push(Arc::new(claim));
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
    pub async fn build(self) -> Result<Stepup, BuildError> {
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
                let hasher = PasswordHasher::new(factor.params, self.entropy.clone(), offload)?;
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
            notices: self.notices,
            directory: self.directory,
            claim_ages: ages_of(&self.claims),
            claims: self.claims,
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

    fn check_factors(&self, app: &AppInfo, policy: &Policy, offered: &[Offered], problems: &mut Vec<String>) {
        let mut say = |text: &str| problems.push(text.to_owned());
        if self.background.is_none() {
            say("no background: call .background(..), for example with the thread of stepup-delivery");
        }
        let twice = |channel| self.codes.iter().filter(|c| c.channel == channel).count() > 1;
        if self.passwords.len() > 1 || twice(Channel::Sms) || twice(Channel::Email) {
            say("a factor was added twice");
        }
        let shows = self
            .codes
            .iter()
            .map(|c| &c.way.deliver)
            .chain(&self.notices)
            .any(|d| d.reveals_codes());
        if shows && !app.is_loopback() && !self.print_codes {
            say(
                "a delivery shows codes, and a domain is not loopback: use a real one, or call danger_print_codes()",
            );
        }
        if self.config.limits.scale > 1 && !app.is_loopback() && !self.print_codes {
            say("limits.scale is for load tests on loopback: leave it at 1");
        }
        let in_the_clear = app
            .origins()
            .any(|origin| origin.starts_with("http:") && !is_loopback(origin));
        if in_the_clear && !self.plain_http {
            say("an origin is plain http and not loopback: use https, or call danger_plain_http()");
        }
        for factor in &self.codes {
            let carries = factor.way.deliver.carries(factor.channel);
            match factor.channel {
                Channel::Sms if !carries => say("the delivery of Passwordless::sms carries no text messages"),
                Channel::Email if !carries => say("the delivery of Passwordless::email carries no e-mail"),
                _ => {}
            }
            if !factor.way.role.is_first() && factor.way.means != Means::Code {
                say(
                    "a second factor is always a code: .means(..) is for what signs in, call .as_first_factor()",
                );
            }
            match &factor.countries {
                None if factor.channel == Channel::Sms && !factor.way.deliver.reveals_codes() => {
                    say("Passwordless::sms needs .countries(..): each country costs money");
                }
                Some(Countries::Only(codes)) if codes.is_empty() => say("the list of countries is empty"),
                _ => {}
            }
        }
        if !offered.is_empty() {
            match &self.notices {
                None => say("no notices: whoever adds a second factor must be told, call .notices(..)"),
                Some(deliver) if !deliver.carries(Channel::Email) => {
                    say("the delivery of notices carries no e-mail")
                }
                Some(_) => {}
            }
        }
        let second_factor = SecondFactor::of(policy, offered);
        let mut keys: Vec<&str> = Vec::new();
        for claim in &self.claims {
            if is_reserved(claim.key(), &self.config.claims, second_factor) {
                say(&format!("the claim key {} is reserved", claim.key()));
            }
            if keys.contains(&claim.key()) {
                say(&format!("the claim key {} is used twice", claim.key()));
            }
            keys.push(claim.key());
        }
        let names = &self.config.claims;
        let distinct = names.mfa != names.second_factor
            && names.mfa != names.phone
            && names.second_factor != names.phone;
        let filled = [&names.mfa, &names.second_factor, &names.phone]
            .iter()
            .all(|n| !n.is_empty() && n.is_ascii());
        if !distinct || !filled {
            say("the names of the derived claims must be three different ones");
        }
    }

    /// No problem, since other users may have another way in: but nobody gets far by that one.
    fn warn_of_dead_ends(&self, site: &Policy, offered: &[Offered]) {
        let all = self.codes.iter().flat_map(Passwordless::first_factors);
        for factor in all.filter(|_| !policy::can_be_met(site, offered, Kind::Possession)) {
            tracing::warn!(
                target: "stepup",
                %factor,
                "a sign-in by this first factor never meets the policy: a second factor is of another kind"
            );
        }
    }

    fn check_profiles(&self, site: &Policy, problems: &mut Vec<String>) {
        if self.configured == Configured::TooEarly {
            problems.push("a profile was chosen after numbers were changed: call profile() first".to_owned());
        }
        let own = self.tenants.iter().filter_map(Tenant::own_policy);
        let policies: Vec<&Policy> = std::iter::once(site).chain(own.map(|policy| &**policy)).collect();
        if self.profiles.contains(&Profile::Aal2) && policies.iter().any(|p| p.lets_in_by_one_factor()) {
            problems
                .push("the profile aal2 needs policies that demand a second factor at sign-in".to_owned());
        }
        let takes_mail = |policy: &&Policy| {
            policy
                .demanded()
                .is_some_and(|d| d.contains(&FactorId::OTP_EMAIL))
        };
        if self.profiles.contains(&Profile::Aal2) && policies.iter().any(takes_mail) {
            // NIST SP 800-63B-4 §3.1.3.1.
            problems.push(
                "the profile aal2 takes no codes by e-mail: a mailbox is no authenticator there".to_owned(),
            );
        }
        if self.config.disclosure == Disclosure::Hidden {
            let told = self.notices.as_ref().is_some_and(|d| d.carries(Channel::Email));
            if !self.passwords.is_empty() && !told {
                problems.push("hidden accounts need .notices(..): sign-up is answered by mail".to_owned());
            }
            if policies
                .iter()
                .any(|p| p.enrollment() == EnrollmentMode::InSignUpSession)
            {
                problems.push(
                    "hidden accounts have no session at sign-up, so that none can enroll in it".to_owned(),
                );
            }
        }
    }

    fn check_tenants(&self, offered: &[Offered], problems: &mut Vec<String>) {
        if self.tenant_source.is_some() && !self.tenants.is_empty() {
            problems.push("tenants come from a list or from a source, not from both".to_owned());
        }
        for (at, tenant) in self.tenants.iter().enumerate() {
            let id = tenant.id();
            if !is_tenant_id(id.as_str()) {
                problems.push(format!(
                    "{:?} cannot be a tenant's id: 1 to 64 letters, digits and hyphens, and not a word that our paths begin with",
                    id.as_str()
                ));
            }
            if self.tenants.iter().take(at).any(|other| other.id() == id) {
                problems.push(format!("the tenant {id} is there twice"));
            }
            for factor in tenant.own_first_factors().unwrap_or_default() {
                let by_code = |codes: &Passwordless| codes.first_factors().contains(factor);
                let offered = (*factor == FactorId::EMAIL_PASSWORD && !self.passwords.is_empty())
                    || self.codes.iter().any(by_code);
                if factor.is_reserved() && !offered {
                    problems.push(format!(
                        "the tenant {id} takes {factor} as a first factor, which no factor provides"
                    ));
                }
            }
            if let Some(policy) = tenant.own_policy() {
                check_policy(
                    &format!("the policy of the tenant {id}"),
                    policy,
                    offered,
                    problems,
                );
            }
        }
    }
}

/// Whether a demand can be met by what is on offer.
fn check_policy(whose: &str, policy: &Policy, offered: &[Offered], problems: &mut Vec<String>) {
    let Some(demanded) = policy.demanded() else {
        return;
    };
    if demanded.is_empty() {
        problems.push(format!("{whose} demands a second factor and accepts none"));
    }
    for factor in demanded
        .iter()
        .filter(|f| !offered.iter().any(|o| o.factor == **f))
    {
        problems.push(match factor_by_code(factor) {
            // It would be opened without the session that it is to complete.
            Some(code) => format!("{whose} accepts {factor}, and a link is no second factor: accept {code}"),
            None => format!("{whose} accepts {factor}, which no factor provides"),
        });
    }
}

/// The code that goes where the links of `factor` do, if it is links.
fn factor_by_code(factor: &FactorId) -> Option<FactorId> {
    let channels = [Channel::Sms, Channel::Email];
    let channel = channels
        .into_iter()
        .find(|channel| factor_of(*channel, true) == *factor)?;
    Some(factor_of(channel, false))
}

fn ages_of(claims: &[Arc<dyn ClaimSource>]) -> Vec<(String, Duration)> {
    let age = |source: &Arc<dyn ClaimSource>| Some((source.key().to_owned(), source.max_age()?));
    claims.iter().filter_map(age).collect()
}
