//! What is wrong with a configuration, a sentence for each problem.

use url::Url;

use super::{Builder, Configured};
use crate::app::{AppInfo, is_loopback};
use crate::config::{Disclosure, EmailVerification};
use crate::delivery::Channel;
use crate::evidence::Kind;
use crate::factor::passwordless::{Countries, Means, Passwordless, factor_of};
use crate::factor::third_party::{Redirect, ThirdParty};
use crate::id::FactorId;
use crate::policy::{self, EnrollmentMode, Offered, Policy, SecondFactor};
use crate::profile::Profile;
use crate::session::access::is_reserved;
use crate::tenant::{Tenant, is_tenant_id};

impl Builder {
    pub(super) fn check_factors(
        &self,
        app: &AppInfo,
        policy: &Policy,
        offered: &[Offered],
        problems: &mut Vec<String>,
    ) {
        let mut say = |text: &str| problems.push(text.to_owned());
        if self.background.is_none() {
            say("no background: call .background(..), for example with the thread of stepup-delivery");
        }
        let twice = |channel| self.codes.iter().filter(|c| c.channel == channel).count() > 1;
        if self.passwords.len() > 1
            || self.third_parties.len() > 1
            || twice(Channel::Sms)
            || twice(Channel::Email)
        {
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
        for text in self.third_parties.iter().flat_map(problems_of_providers) {
            say(&text);
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
        if self.languages.is_empty() {
            say("the list of languages is empty");
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

    /// Whether an account with a password opens by a link to its address only.
    pub(super) fn opens_by_mail(&self) -> bool {
        self.config.disclosure == Disclosure::Hidden && !self.passwords.is_empty()
    }

    pub(super) fn check_mail(&self, site: &Policy, problems: &mut Vec<String>) {
        let carried = self.notices.as_ref().is_some_and(|d| d.carries(Channel::Email));
        if self.email != EmailVerification::Off && !carried {
            problems.push(
                "e-mail verification needs .notices(..) that carries e-mail: its links go there".to_owned(),
            );
        }
        let own = self.tenants.iter().filter_map(Tenant::own_policy);
        let policies = std::iter::once(site).chain(own.map(|policy| &**policy));
        let by_mail = policies
            .map(Policy::enrollment)
            .any(|mode| mode == EnrollmentMode::ConfirmByEmail);
        if by_mail && (!carried || self.email == EmailVerification::Off) {
            problems.push(
                "EnrollmentMode::ConfirmByEmail needs .email_verification(..) and .notices(..) that carries e-mail"
                    .to_owned(),
            );
        }
    }

    /// No problem, since other users may have another way in: but nobody gets far by that one.
    pub(super) fn warn_of_dead_ends(&self, site: &Policy, offered: &[Offered]) {
        let all = self.codes.iter().flat_map(Passwordless::first_factors);
        for factor in all.filter(|_| !policy::can_be_met(site, offered, Kind::Possession)) {
            tracing::warn!(
                target: "stepup",
                %factor,
                "a sign-in by this first factor never meets the policy: a second factor is of another kind"
            );
        }
    }

    pub(super) fn check_profiles(&self, site: &Policy, problems: &mut Vec<String>) {
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

    pub(super) fn check_tenants(&self, offered: &[Offered], problems: &mut Vec<String>) {
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
                    || (*factor == FactorId::THIRD_PARTY && !self.third_parties.is_empty())
                    || self.codes.iter().any(by_code);
                if factor.is_reserved() && !offered {
                    problems.push(format!(
                        "the tenant {id} takes {factor} as a first factor, which no factor provides"
                    ));
                }
            }
            for provider in tenant.own_providers().unwrap_or_default() {
                let mut all = self.third_parties.iter().flat_map(|factor| &factor.providers);
                if !all.any(|known| known.id() == provider) {
                    problems.push(format!(
                        "the tenant {id} has the provider {provider:?}, which nobody added"
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

/// What is wrong with a list of providers.
fn problems_of_providers(factor: &ThirdParty) -> Vec<String> {
    let mut problems = Vec::new();
    if factor.providers.is_empty() {
        problems.push("ThirdParty has no provider: call .provider(..)".to_owned());
    }
    // It stands in addresses that are compared as they are written.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    for (at, provider) in factor.providers.iter().enumerate() {
        let id = provider.id();
        if !(1..=64).contains(&id.len()) || !id.chars().all(plain) {
            problems.push(format!(
                "{id:?} cannot be a provider's id: 1 to 64 letters, digits, dots, hyphens and underscores"
            ));
        }
        if factor.providers.iter().take(at).any(|other| other.id() == id) {
            problems.push(format!("the provider {id} is there twice"));
        }
    }
    for Redirect { provider, uri } in &factor.redirects {
        if !factor.providers.iter().any(|held| held.id() == provider) {
            problems.push(format!(
                "{uri:?} is an address of {provider}, and there is no such provider"
            ));
        }
        let read = Url::parse(uri).ok();
        let scripted = |url: &Url| matches!(url.scheme(), "javascript" | "data" | "blob" | "file");
        if read
            .as_ref()
            .is_none_or(|url| scripted(url) || url.fragment().is_some())
        {
            problems.push(format!(
                "{uri:?} is no address that a provider could send browsers back to"
            ));
        }
    }
    problems
}

/// Whether a demand can be met by what is on offer.
pub(super) fn check_policy(whose: &str, policy: &Policy, offered: &[Offered], problems: &mut Vec<String>) {
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
