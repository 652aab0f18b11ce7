//! The parts of a running [`Stepup`](crate::Stepup), as flows see them.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use crate::app::AppInfo;
use crate::background::Background;
use crate::config::{Config, EmailVerification};
use crate::delivery::{Channel, Deliver, UserDirectory};
use crate::entropy::{self, Entropy};
use crate::error::Fault;
use crate::event::{Event, EventKind, EventSink, Outcome};
use crate::evidence::Kind;
use crate::factor::password::PasswordFactor;
use crate::factor::passwordless::PasswordlessFactor;
use crate::factor::third_party::{Held, ThirdPartyFactor};
use crate::hook::Hooks;
use crate::id::{FactorId, TenantId};
use crate::keyring::Keyring;
use crate::language::Language;
use crate::policy::{Offered, Policy, SecondFactor};
use crate::record::JsonMap;
use crate::rule::{ClaimRule, EMAIL_VERIFIED};
use crate::session::access::AccessTokens;
use crate::session::claim::ClaimSource;
use crate::session::keys::SigningKeys;
use crate::session::revocation::Revocations;
use crate::storage::Storage;
use crate::tenant::{Tenant, Tenants};
use crate::time::{Shown, SteadyClock, Timestamp};

/// Everything that was handed in, checked and put together by the builder.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) app: AppInfo,
    pub(crate) config: Config,
    pub(crate) policy: Arc<Policy>,
    pub(crate) tenants: Arc<dyn Tenants>,
    pub(crate) store: StoreHandle,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) keys: Arc<SigningKeys>,
    pub(crate) tokens: AccessTokens,
    pub(crate) revocations: Revocations,
    pub(crate) clock: SteadyClock,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) background: Arc<dyn Background>,
    pub(crate) events: Arc<dyn EventSink>,
    pub(crate) hooks: Hooks,
    pub(crate) password: Option<PasswordFactor>,
    pub(crate) passwordless: Option<PasswordlessFactor>,
    pub(crate) third_party: Option<ThirdPartyFactor>,
    pub(crate) notices: Option<Arc<dyn Deliver>>,
    pub(crate) directory: Option<Arc<dyn UserDirectory>>,
    /// What messages are written in; the first where none of them is asked for.
    pub(crate) languages: Vec<Language>,
    /// What is made of whether an address was verified.
    pub(crate) email: EmailVerification,
    pub(crate) claims: Vec<Arc<dyn ClaimSource>>,
    /// How old the values of these claims may be, where a rule does not say.
    pub(crate) claim_ages: Vec<(String, Duration)>,
    /// What every guarded route of the application asks.
    pub(crate) everywhere: Vec<ClaimRule>,
    pub(crate) offered: Vec<Offered>,
    pub(crate) second_factor: SecondFactor,
    pub(crate) upkeep: crate::flow::upkeep::Upkeep,
}

/// The store, silent in `Debug`.
pub(crate) struct StoreHandle(pub(crate) Arc<dyn Storage>);

impl std::fmt::Debug for StoreHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Storage(..)")
    }
}

impl std::ops::Deref for StoreHandle {
    type Target = dyn Storage;

    fn deref(&self) -> &Self::Target {
        &*self.0
    }
}

impl Parts {
    pub(crate) fn now(&self) -> Timestamp {
        match self.clock.look() {
            Shown::Now(now) => now,
            Shown::Fell { from, to } => {
                self.clock_fell(from, to);
                to
            }
        }
    }

    /// The clock went back. What was over by the later time stays over: the next upkeep deletes it, and until tokens of
    /// that time have expired anew, the session's row is asked about each.
    #[cold]
    fn clock_fell(&self, from: Timestamp, to: Timestamp) {
        let seconds = from.since(to).as_secs();
        tracing::error!(target: "stepup", seconds, "the clock went back");
        self.revocations
            .ask_store_until(from.plus(self.config.sessions.leeway));
        self.upkeep.clock_fell(from);
        let event = Event::new(EventKind::ClockBack, Outcome::Noted, to);
        self.record(&event.because("clock_went_back"));
    }

    /// The site's first language.
    pub(crate) fn site_language(&self) -> Language {
        self.languages.first().copied().unwrap_or_default()
    }

    /// What to write in for somebody who reads `asked`: a list that has grown shorter has the last word.
    pub(crate) fn language(&self, asked: Option<Language>) -> Language {
        asked
            .filter(|asked| self.languages.contains(asked))
            .unwrap_or_else(|| self.site_language())
    }

    pub(crate) fn uuid(&self) -> Result<String, Fault> {
        Ok(entropy::uuid(&*self.entropy)?)
    }

    pub(crate) fn random<const N: usize>(&self) -> Result<[u8; N], Fault> {
        Ok(entropy::bytes(&*self.entropy)?)
    }

    pub(crate) fn event(&self, kind: EventKind, outcome: Outcome) -> Event {
        Event::new(kind, outcome, self.now())
    }

    /// Whether `own` may be the application's part of a payload; its mistake if not.
    pub(crate) fn check_own(&self, own: &JsonMap) -> Result<(), Fault> {
        self.tokens
            .check_own(own)
            .map_err(|error| Fault::Part(Box::new(error)))
    }

    /// The same for what is kept in a row, beside which our own claim stands.
    pub(crate) fn check_stored(&self, payload: &JsonMap) -> Result<(), Fault> {
        self.check_own(&self.without_ours(payload))
    }

    /// `payload` without what we keep in it ourselves.
    pub(crate) fn without_ours<'p>(&self, payload: &'p JsonMap) -> Cow<'p, JsonMap> {
        if !self.verifies_email() || !payload.contains_key(EMAIL_VERIFIED) {
            return Cow::Borrowed(payload);
        }
        let mut own = payload.clone();
        own.shift_remove(EMAIL_VERIFIED);
        Cow::Owned(own)
    }

    /// Whether addresses are verified here.
    pub(crate) fn verifies_email(&self) -> bool {
        self.email != EmailVerification::Off
    }

    pub(crate) fn record(&self, event: &Event) {
        self.events.record(event);
    }

    /// The tenant of that id. The public one is always there, since clients name no tenant where they refresh and sign
    /// out; a source that says nothing of it closes it to new sign-ins.
    fn tenant(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        let closed = || Arc::new(Tenant::new(TenantId::public()).first_factors([]));
        let known = self.tenants.tenant(id);
        known.or_else(|| id.is_public().then(closed))
    }

    /// Whether there is such a tenant.
    pub(crate) fn knows(&self, tenant: &TenantId) -> bool {
        tenant.is_public() || self.tenants.tenant(tenant).is_some()
    }

    /// What is demanded in `tenant`. Where there is no such tenant, what nobody meets.
    pub(crate) fn policy_of(&self, tenant: &TenantId) -> Arc<Policy> {
        match self.tenant(tenant) {
            Some(tenant) => tenant.own_policy().unwrap_or(&self.policy).clone(),
            None => Arc::new(Policy::never()),
        }
    }

    /// The first factors of ours that are on offer, in their order.
    fn own_first_factors(&self) -> Vec<FactorId> {
        let mut factors: Vec<FactorId> = self.password.iter().map(|_| FactorId::EMAIL_PASSWORD).collect();
        factors.extend(self.third_party.iter().map(|_| FactorId::THIRD_PARTY));
        factors.extend(
            self.passwordless
                .iter()
                .flat_map(PasswordlessFactor::first_factors),
        );
        factors
    }

    /// What opens a session in `tenant`. Names that are not ours are factors of the application's own.
    pub(crate) fn first_factors(&self, tenant: &TenantId) -> Vec<FactorId> {
        let ours = self.own_first_factors();
        match self.tenant(tenant) {
            None => Vec::new(),
            Some(tenant) => match tenant.own_first_factors() {
                None => ours,
                Some(own) => {
                    let usable = |factor: &&FactorId| ours.contains(factor) || !factor.is_reserved();
                    own.iter().filter(usable).cloned().collect()
                }
            },
        }
    }

    /// Whether `factor`, of ours or the application's own, opens a session in `tenant`.
    pub(crate) fn opens(&self, tenant: &TenantId, factor: &FactorId) -> bool {
        self.tenant(tenant)
            .is_some_and(|tenant| tenant.own_first_factors().is_none_or(|own| own.contains(factor)))
    }

    /// The password factor, where it opens sessions of `tenant`.
    pub(crate) fn password_in(&self, tenant: &TenantId) -> Option<&PasswordFactor> {
        self.password
            .as_ref()
            .filter(|_| self.opens(tenant, &FactorId::EMAIL_PASSWORD))
    }

    /// The providers that sign in in `tenant`, in their order.
    pub(crate) fn providers_in(&self, tenant: &TenantId) -> impl Iterator<Item = &Held> {
        let all = self.third_party.iter().flat_map(|factor| &factor.providers);
        let known = self
            .tenant(tenant)
            .filter(|_| self.opens(tenant, &FactorId::THIRD_PARTY));
        all.filter(move |held| {
            let takes = |ids: &[String]| ids.iter().any(|id| id == held.provider.id());
            known
                .as_ref()
                .is_some_and(|tenant| tenant.own_providers().is_none_or(takes))
        })
    }

    /// The kind of a factor on offer.
    pub(crate) fn kind_of(&self, factor: &FactorId) -> Option<Kind> {
        self.offered.iter().find(|o| o.factor == *factor).map(|o| o.kind)
    }

    /// A digest of an address, as the channel of a completion: equal for equal addresses, and no address.
    pub(crate) fn channel(&self, channel: Channel, address: &str) -> String {
        channel_of(channel, address)
    }
}

/// See [`Parts::channel`].
pub(crate) fn channel_of(channel: Channel, address: &str) -> String {
    let name = match channel {
        Channel::Sms => "phone",
        Channel::Email => "mailbox",
    };
    format!("{name}:{}", crate::event::fingerprint(address))
}
