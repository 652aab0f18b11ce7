//! Who calls.

use std::sync::Arc;

use crate::id::TenantId;
use crate::language::Language;
use crate::record::session::Origin;
use crate::session::access::AccessClaims;

/// Who calls: the tenant that the call names, where it comes from, and the session that it carries.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The tenant. Once a session is at hand, the session's tenant wins.
    pub tenant: TenantId,
    /// Network and user agent.
    pub origin: Origin,
    /// The verified token of the call, where there is one. No flow is decided by it: it is for hooks.
    pub session: Option<Arc<AccessClaims>>,
    /// What whoever calls reads, of the languages of the site. None: the site's first.
    pub language: Option<Language>,
}

impl Caller {
    /// A call to the public tenant from nowhere in particular, for calls that the application makes by itself.
    pub fn internal() -> Self {
        Self::within(&TenantId::public())
    }

    /// The bearer of `access`, from nowhere in particular.
    pub fn of(access: &Arc<AccessClaims>) -> Self {
        Self {
            session: Some(access.clone()),
            ..Self::within(access.tenant_id())
        }
    }

    /// A call to `tenant` from nowhere in particular.
    pub fn within(tenant: &TenantId) -> Self {
        Self {
            tenant: tenant.clone(),
            origin: Origin::default(),
            session: None,
            language: None,
        }
    }

    /// Whether this call can act in a session of `tenant`. The public tenant needs no name, so that a call that names
    /// it, or none, goes by the session; one that names another tenant than the session's finds nothing there
    /// (threat A-TEN-01).
    pub fn reaches(&self, tenant: &TenantId) -> bool {
        self.tenant.is_public() || self.tenant == *tenant
    }
}
