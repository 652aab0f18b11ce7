//! The discovery document: where a pinned issuer's endpoints are.

use serde_json::Value;
use stepup_core::provider::ProviderError;
use url::Url;

use crate::client::TokenAuth;
use crate::http::Network;
use crate::issuer::Issuer;

/// What is read of a discovery document. It names addresses and nothing else: neither the issuer nor the algorithms are
/// its to choose.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub(crate) authorization: Url,
    pub(crate) token: Url,
    pub(crate) user_info: Option<Url>,
    pub(crate) keys: Url,
    /// Where the token endpoint wants a client's secret.
    pub(crate) auth: TokenAuth,
}

impl Metadata {
    /// Reads the document of `issuer`.
    ///
    /// # Errors
    /// [`ProviderError::Untrusted`]: it is another issuer's, or an address is missing or is none that is asked.
    ///
    /// # Source
    /// OpenID Connect Discovery §3 and §4.3.
    pub(crate) fn read(document: &Value, issuer: &Issuer, network: &Network) -> Result<Self, ProviderError> {
        let text = |name: &str| document.get(name).and_then(Value::as_str);
        // §4.3: exactly. Not normalized, not without a slash: it is what tokens must say too.
        if text("issuer") != Some(issuer.in_document()) {
            return Err(ProviderError::Untrusted("discovery_document_of_another_issuer"));
        }
        let url = |name: &str| {
            let text =
                text(name).ok_or(ProviderError::Untrusted("discovery_document_without_an_endpoint"))?;
            network.url(text)
        };
        let methods = document.get("token_endpoint_auth_methods_supported");
        let posts = methods
            .and_then(Value::as_array)
            .is_some_and(|all| all.iter().any(|method| method == "client_secret_post"));
        Ok(Self {
            authorization: url("authorization_endpoint")?,
            token: url("token_endpoint")?,
            user_info: text("userinfo_endpoint")
                .map(|text| network.url(text))
                .transpose()?,
            keys: url("jwks_uri")?,
            // §3: where nothing is said, it is the header.
            auth: if posts { TokenAuth::Post } else { TokenAuth::Basic },
        })
    }
}
