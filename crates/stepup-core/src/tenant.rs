//! Tenants: groups of users that share one site and know nothing of each other.
//!
//! A tenant is part of every key: the same address in two tenants is two people, and no id, code or token of one is
//! worth anything in another (threat A-TEN-01). What a tenant may differ in is what opens a session and what is demanded
//! of it; numbers, carriers and keys are the site's.

use std::fmt::Debug;
use std::sync::Arc;

use crate::id::{FactorId, TenantId};
use crate::policy::Policy;

/// One tenant.
///
/// ```
/// use stepup_core::id::FactorId;
/// use stepup_core::policy::{Policy, any_of};
/// use stepup_core::tenant::Tenant;
///
/// let acme = Tenant::new("acme")
///     .first_factors([FactorId::EMAIL_PASSWORD])
///     .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])));
/// assert_eq!(acme.id().as_str(), "acme");
/// ```
#[derive(Clone, Debug)]
pub struct Tenant {
    id: TenantId,
    first_factors: Option<Vec<FactorId>>,
    policy: Option<Arc<Policy>>,
    providers: Option<Vec<String>>,
}

impl Tenant {
    /// A tenant with everything as the site has it. Its id is what stands in paths, `/auth/acme/signin`; see
    /// [`is_tenant_id`].
    pub fn new(id: impl Into<TenantId>) -> Self {
        Self {
            id: id.into(),
            first_factors: None,
            policy: None,
            providers: None,
        }
    }

    /// What opens a session here, and nothing else does; an empty list closes the tenant to new sign-ins. Factors of the
    /// application's own ([`External`](crate::flow::External)) are listed by their names.
    #[must_use]
    pub fn first_factors(mut self, factors: impl IntoIterator<Item = FactorId>) -> Self {
        self.first_factors = Some(factors.into_iter().collect());
        self
    }

    /// What is demanded here, in the place of the site's policy.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = Some(Arc::new(policy));
        self
    }

    /// The providers of identities that sign in here, by their ids, and no others. The factor itself is one of
    /// [`Tenant::first_factors`].
    #[must_use]
    pub fn providers<P: Into<String>>(mut self, ids: impl IntoIterator<Item = P>) -> Self {
        self.providers = Some(ids.into_iter().map(Into::into).collect());
        self
    }

    /// Its id.
    pub fn id(&self) -> &TenantId {
        &self.id
    }

    /// Its own list of first factors; none if it has what the site has.
    pub fn own_first_factors(&self) -> Option<&[FactorId]> {
        self.first_factors.as_deref()
    }

    /// Its own list of providers; none if it has all that the site has.
    pub fn own_providers(&self) -> Option<&[String]> {
        self.providers.as_deref()
    }

    /// Its own policy; none if the site's is in force.
    pub fn own_policy(&self) -> Option<&Arc<Policy>> {
        self.policy.as_ref()
    }
}

/// The tenants that there are.
///
/// It is asked in every request, and while tokens are made: it answers from memory. A source that reads a table of the
/// application's keeps what it read, and reads again beside requests.
///
/// A tenant that it no longer knows is closed at once: its paths are unknown, and its sessions are over. The public one
/// cannot go, since paths without a tenant are its; where the source knows none of that name, nothing opens a session
/// there.
pub trait Tenants: Debug + Send + Sync + 'static {
    /// The tenant of that id; none if there is no such tenant, or it cannot be told.
    fn tenant(&self, id: &TenantId) -> Option<Arc<Tenant>>;
}

/// Tenants that are known from the start: the builder's list. The public one, which needs no name, is always among
/// them.
#[derive(Clone, Debug)]
pub(crate) struct TenantList(Vec<Arc<Tenant>>);

impl TenantList {
    pub(crate) fn new(tenants: &[Tenant]) -> Self {
        let mut list: Vec<Arc<Tenant>> = tenants.iter().cloned().map(Arc::new).collect();
        if !list.iter().any(|tenant| tenant.id.is_public()) {
            list.insert(0, Arc::new(Tenant::new(TenantId::public())));
        }
        Self(list)
    }
}

impl Tenants for TenantList {
    fn tenant(&self, id: &TenantId) -> Option<Arc<Tenant>> {
        self.0.iter().find(|tenant| tenant.id == *id).cloned()
    }
}

/// The most characters of a tenant's id.
const MAX_ID: usize = 64;

/// Whether `text` can be a tenant's id: 1 to 64 letters, digits and hyphens, and not a word that a path of the protocol,
/// or one of ours, begins with.
pub fn is_tenant_id(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(plain) && !FIRST_WORDS.contains(&text)
}

/// Words that paths below the base path begin with, those that are still to come included: a tenant that is named today
/// must not lose its paths to an endpoint of tomorrow.
const FIRST_WORDS: &[&str] = &[
    "authorisationurl",
    "callback",
    "contact",
    "device",
    "emailpassword",
    "factor",
    "jwt",
    "loginmethods",
    "mfa",
    "oauth",
    "passwordless",
    "password",
    "recovery",
    "session",
    "signin",
    "signinup",
    "signout",
    "signup",
    "thirdparty",
    "totp",
    "user",
    "verify",
    "verify-email",
    "webauthn",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_tenant_is_there_unless_it_is_listed() {
        let list = TenantList::new(&[Tenant::new("acme")]);
        assert!(list.tenant(&TenantId::public()).is_some());
        assert!(list.tenant(&TenantId::from("acme")).is_some());
        assert!(list.tenant(&TenantId::from("Acme")).is_none());
        let closed = TenantList::new(&[Tenant::new("public").first_factors([])]);
        let public = closed.tenant(&TenantId::public()).unwrap();
        assert_eq!(public.own_first_factors(), Some(&[][..]));
        assert_eq!(closed.0.len(), 1);
    }

    #[test]
    fn a_tenant_id_stands_in_a_path_and_is_no_path_of_ours() {
        for good in ["public", "acme", "A-1", &"a".repeat(64)] {
            assert!(is_tenant_id(good), "{good}");
        }
        for bad in [
            "", "a_b", "a.b", "a/b", "a%31", "ä", "signin", "session", "webauthn",
        ] {
            assert!(!is_tenant_id(bad), "{bad}");
        }
        assert!(!is_tenant_id(&"a".repeat(65)));
    }
}
