//! Sessions of a stepup site, verified in services beside it: without a database, by the site's public keys.
//!
//! ```no_run
//! use stepup_verify::Verifier;
//!
//! # async fn start() -> Result<(), stepup_verify::StartError> {
//! let verifier = Verifier::from_jwks("https://api.acme.test/auth/jwt/jwks.json")
//!     .issuer("https://api.acme.test/auth")
//!     .start()
//!     .await?;
//! # Ok(())
//! # }
//! ```
//!
//! `stepup_axum::layer(&verifier)` around a router makes `Session<Require2fa>` work there as it does at the site; for
//! what is not HTTP there is [`Verifier::check`]. Algorithm and issuer are pinned: nothing that is fetched, and nothing
//! in a token, changes them.
//!
//! What it cannot know: a session that was ended at the site is admitted here until its access token expires (15 min by
//! default, an hour at most). What cannot bear that belongs at the site.
//!
//! Keys are fetched every ten minutes at most, in the background, and once in ten seconds at most for a key that is not
//! known. No request ever waits for a fetch. While the site cannot be reached, the keys of the last time are used, for an
//! hour unless told otherwise; then everything is denied with 503.

mod builder;
mod refresh;
mod source;

use std::sync::Arc;

use stepup_core::require::{Requirement, rule_of};
use stepup_core::session::access::AccessClaims;
use stepup_core::verifier::PublicVerifier;
use stepup_core::{Denied, Ending, Trust};
use stepup_wire::Gate;

pub use builder::{StartError, VerifierBuilder};
pub use source::{FetchError, Fetched, KeySource};
pub use stepup_core::session::keys::SigningAlgorithm;
pub use stepup_core::verifier::{OnlyVerifies, Pinned};

/// Verifies sessions of one site. Cheap to clone; fetching ends when the last clone, and the last layer made of it, is
/// dropped.
#[derive(Clone, Debug)]
pub struct Verifier {
    public: PublicVerifier,
    gate: Gate,
}

impl Verifier {
    /// Begins with the address of the site's key set, `{api domain}{base path}/jwt/jwks.json`. It must be https, unless
    /// it is on this machine.
    pub fn from_jwks(url: impl Into<String>) -> VerifierBuilder {
        VerifierBuilder::from_url(url.into())
    }

    /// Begins with keys that come another way: through a proxy, from a file, over mutual TLS.
    pub fn from_source(source: impl KeySource) -> VerifierBuilder {
        VerifierBuilder::from_source(Box::new(source))
    }

    /// Whether there are keys that may be used now: for a readiness probe.
    pub fn is_ready(&self) -> bool {
        self.public.is_ready()
    }

    /// Verifies a token that came some other way than by HTTP, and admits its bearer if `R` holds. Whatever it came by
    /// must not be a thing that browsers attach by themselves.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn check<R: Requirement>(&self, token: &str) -> Result<Arc<AccessClaims>, Denied> {
        let claims = self.public.verify(token)?;
        self.public.admit_route(&claims, &R::rule(), Trust::Token)?;
        Ok(claims)
    }

    /// Waits until a bearer who was admitted by [`Verifier::check`] would not be any more: for what lasts longer than one
    /// request. As [`Session::until_ended`](stepup_wire::Session::until_ended).
    pub fn until_ended<R: Requirement>(
        &self,
        access: Arc<AccessClaims>,
    ) -> impl Future<Output = Ending> + Send + 'static + use<R> {
        self.public.clone().until_ended(access, rule_of::<R>())
    }
}

impl From<&Verifier> for Gate {
    fn from(verifier: &Verifier) -> Self {
        verifier.gate.clone()
    }
}
