//! "Continue with Example": an OpenID provider that the environment names.

use std::sync::Arc;

use stepup::oauth::{Client, OpenIdProvider, openid};
use stepup::wire::core::secret::Secret;

/// The provider's id: it comes back to `/auth/callback/example`.
pub const ID: &str = "example";

/// Reads `STEPUP_OIDC_ISSUER`, `STEPUP_OIDC_CLIENT_ID` and, where the client has one, `STEPUP_OIDC_CLIENT_SECRET`.
///
/// # Errors
/// A sentence.
pub(crate) fn read(var: impl Fn(&str) -> Option<String>) -> Result<Option<Arc<OpenIdProvider>>, String> {
    let Some(issuer) = var("STEPUP_OIDC_ISSUER") else {
        return Ok(None);
    };
    let id = var("STEPUP_OIDC_CLIENT_ID").ok_or("STEPUP_OIDC_ISSUER needs STEPUP_OIDC_CLIENT_ID as well")?;
    let client = match var("STEPUP_OIDC_CLIENT_SECRET") {
        Some(secret) => Client::new(id, Secret::new(secret)),
        None => Client::public(id),
    };
    let provider = openid(ID, "Example", &issuer, client).build();
    let provider = provider.map_err(|error| format!("STEPUP_OIDC_ISSUER: {error}"))?;
    Ok(Some(Arc::new(provider)))
}
