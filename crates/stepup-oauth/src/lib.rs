//! "Continue with a provider" for stepup: OpenID Connect by discovery, OAuth 2 by addresses, and the providers that people know.
//!
//! ```
//! use stepup_core::secret::Secret;
//! use stepup_oauth::{Client, SetupError, github, google, openid};
//!
//! # fn main() -> Result<(), SetupError> {
//! let secret = |name: &str| Secret::new(std::env::var(name).unwrap_or("none".to_owned()));
//! let google = google(Client::new("1234.apps.googleusercontent.com", secret("GOOGLE_SECRET"))).build()?;
//! let github = github(Client::new("Iv1.0123456789abcdef", secret("GITHUB_SECRET"))).build()?;
//! // Any issuer that has a discovery document.
//! let own = openid("acme", "Acme", "https://login.acme.test", Client::new("shop", secret("ACME_SECRET"))).build()?;
//! # let _ = (google, github, own);
//! # Ok(())
//! # }
//! ```
//!
//! A provider stands behind the port [`Provider`](stepup_core::provider::Provider) and holds no state of any browser: PKCE verifier,
//! nonce and state are made and kept by its caller. What it promises (R-OAU-1):
//!
//! * The issuer is pinned by the configuration and compared byte for byte: in the discovery document, and in every id token.
//! * An id token is believed if it is signed by a key of that issuer, by an algorithm of the configuration, for this client, with
//!   the nonce of this sign-in, and is in time.
//! * A token that a client brings by itself is accepted only of a client that was told so ([`Client::takes_tokens`]), only where it
//!   can be told whom it was given to, and only without a nonce, which nobody here could compare (threat A-OAU-13).
//! * An address is verified only where the provider says so, of this very address.
//! * Requests go to the addresses of the configuration and of the issuer's documents: over TLS, to no private network, along no
//!   redirect, for a bounded time, and for at most 1 MiB of answer (threat A-OAU-11).
//! * Neither error nor `Debug` shows a code, a token or a secret.

mod address;
mod apple;
mod client;
mod discovery;
mod held;
mod http;
mod id_token;
mod issuer;
mod keys;
mod mapping;
mod oauth2;
mod openid;
mod provider;
mod setup;
mod token;

#[cfg(test)]
mod tests;

pub use apple::AppleKey;
pub use client::{Client, TokenAuth};
pub use keys::Algorithm;
pub use mapping::{Emails, Mapping};
pub use oauth2::{Endpoints, OAuth2, OAuth2Provider, oauth2};
pub use openid::{OpenId, OpenIdProvider, openid};
pub use provider::{
    Directories, Workspaces, apple, bitbucket, discord, facebook, github, gitlab, google, google_workspaces,
    linkedin, microsoft, okta, x,
};
pub use setup::{Setup, SetupError};
