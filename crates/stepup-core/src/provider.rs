//! The port to providers of identities: "continue with a provider".
//!
//! A provider is asked twice: where the browser is to be sent, and, once it came back, who that was. What is secret of a
//! sign-in (the PKCE verifier, the nonce) is made and kept by its caller, so that a provider holds no state of any browser.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::error::Source;
use crate::secret::Secret;

/// A provider of identities. `stepup-oauth` has those that people know; any other implements this.
#[async_trait]
pub trait Provider: Debug + Send + Sync + 'static {
    /// Its id in the configuration and on the wire, `google`: what `thirdPartyId` names.
    fn id(&self) -> &str;

    /// Its name for people, `Google`.
    fn name(&self) -> &str;

    /// The clients that it is configured with (the protocol's `clientType`), the first of which is the default; empty if
    /// there is one that has no name.
    fn client_types(&self) -> &[String] {
        &[]
    }

    /// Whether a client takes tokens that an application on a device got by itself ([`Proof::Tokens`]). Nothing of the kind is
    /// presented otherwise: no ticket tells for whose browser such a token was made, so that it is for the site to choose.
    ///
    /// An id token is refused for two hours after it was used, so one must not be believed for longer than that; and one that has
    /// a nonce is not to be believed at all (threat A-OAU-13).
    fn takes_tokens(&self, client_type: Option<&str>) -> bool {
        let _ = client_type;
        false
    }

    /// Where the browser is sent to. The address has no `state`, which the client of the protocol adds.
    ///
    /// # Errors
    /// [`ProviderError`].
    async fn authorize(&self, request: &Authorize) -> Result<String, ProviderError>;

    /// Who it is. The code, or the tokens, are spent by this.
    ///
    /// # Errors
    /// [`ProviderError`]; whichever it is, nobody is signed in.
    async fn identify(&self, proof: &Proof) -> Result<Identity, ProviderError>;
}

/// What is to be in the address that the browser is sent to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Authorize {
    /// Which client asks; none for the default.
    pub client_type: Option<String>,
    /// Where the provider sends the browser back to. It was compared with the allowed ones.
    pub redirect_uri: String,
    /// The PKCE challenge, of the method S256 (RFC 7636 §4.2).
    pub challenge: String,
    /// What an id token has to repeat (OpenID Connect Core §3.1.2.1).
    pub nonce: String,
}

impl Authorize {
    /// Asks for the address of the default client.
    pub fn new(redirect_uri: String, challenge: String, nonce: String) -> Self {
        Self {
            client_type: None,
            redirect_uri,
            challenge,
            nonce,
        }
    }
}

/// What a client presents.
#[derive(Debug)]
#[non_exhaustive]
pub enum Proof {
    /// A code that the provider gave to the browser.
    Code {
        /// Which client asked for it.
        client_type: Option<String>,
        /// The code.
        code: Secret<String>,
        /// Where the provider sent it, as in [`Authorize`].
        redirect_uri: String,
        /// The PKCE verifier (RFC 7636 §4.1).
        verifier: Secret<String>,
        /// The nonce that an id token has to repeat.
        nonce: String,
    },
    /// Tokens that an application on a device got from the provider by itself. A provider that cannot tell whom they were
    /// given to refuses them (threat A-OAU-13).
    Tokens {
        /// Which client got them.
        client_type: Option<String>,
        /// The id token.
        id_token: Option<Secret<String>>,
        /// The access token.
        access_token: Option<Secret<String>>,
    },
}

/// Somebody, in the words of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who vouches: the pinned issuer, or the provider's own address where there is no such thing.
    pub issuer: String,
    /// Who it is there, for ever: never an address, and never reused.
    pub subject: String,
    /// The e-mail address that the provider tells, as it tells it.
    pub email: Option<ProvidedEmail>,
}

/// An address by the word of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvidedEmail {
    /// The address, not yet in normal form.
    pub address: String,
    /// Whether the provider says that it was proved to be theirs. What it does not say is no.
    pub verified: bool,
}

/// Why nobody was identified. None of it holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// There is no such client of this provider.
    #[error("the provider has no such client")]
    UnknownClient,
    /// This kind of proof cannot be checked at this provider.
    #[error("the provider takes no such proof")]
    Unsupported,
    /// The provider refuses the code or the token: wrong, spent, expired, of another client.
    #[error("the provider refused: {0}")]
    Refused(&'static str),
    /// What it answers contradicts the configuration or itself; the reason is one of a fixed list.
    #[error("the provider is not believed: {0}")]
    Untrusted(&'static str),
    /// It cannot be reached, is too slow, fails, or answers too much.
    #[error("the provider does not answer")]
    Unavailable(#[source] Source),
}
