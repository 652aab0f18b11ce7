//! Where keys come from: the site's key set over HTTP, or another way of the application's own.

use std::fmt::Debug;
use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{CACHE_CONTROL, HeaderValue};
use reqwest::{Certificate, redirect};
use stepup_core::app::is_loopback;
use stepup_core::session::key_set::{KeySetError, MAX_KEY_SET};
use url::Url;

/// A fetch takes no longer than this, connection and body included.
const PATIENCE: Duration = Duration::from_secs(5);

/// Brings the site's key set.
#[async_trait]
pub trait KeySource: Debug + Send + Sync + 'static {
    /// Fetches it. One call at a time; it should give up after a few seconds.
    ///
    /// # Errors
    /// [`FetchError`].
    async fn fetch(&self) -> Result<Fetched, FetchError>;
}

/// A key set as it was fetched. Nothing of it has been believed yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fetched {
    /// The document.
    pub document: Vec<u8>,
    /// How long the site lets it be kept, if it says so.
    pub max_age: Option<Duration>,
}

/// Why there are no new keys. Those known before stay in use while they are fresh enough.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody answered, or not in time.
    #[error("the key set cannot be reached")]
    Unreachable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// Not 200. A redirect is not followed: it would let whoever answers name another source.
    #[error("the key set was answered with status {0}")]
    Status(u16),
    /// The document was refused.
    #[error(transparent)]
    Keys(#[from] KeySetError),
}

/// The key set at an address.
#[derive(Debug)]
pub(crate) struct HttpSource {
    client: reqwest::Client,
    url: Url,
}

impl HttpSource {
    /// The key set at `url`, whose host proves itself to these authorities alone (PEM), or to those of the system.
    ///
    /// # Errors
    /// A sentence: the address is not https (and not on this machine), there is no certificate in `roots`, or there is no
    /// TLS here.
    pub(crate) fn new(url: &str, roots: Option<&[u8]>) -> Result<Self, String> {
        let url = address(url)?;
        let builder = match roots {
            Some(pem) => reqwest::Client::builder().tls_certs_only(certificates(pem)?),
            None => reqwest::Client::builder(),
        };
        let client = builder
            .redirect(redirect::Policy::none())
            .https_only(url.scheme() == "https")
            .timeout(PATIENCE)
            // The address that was given, and no other: not even one from the environment.
            .no_proxy()
            .referer(false)
            .user_agent(concat!("stepup-verify/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("there is no client for the key set: {error}"))?;
        Ok(Self { client, url })
    }
}

#[async_trait]
impl KeySource for HttpSource {
    async fn fetch(&self) -> Result<Fetched, FetchError> {
        let request = self
            .client
            .get(self.url.clone())
            // Of a cache in between only what the site has confirmed: the answer counts as of now.
            .header(CACHE_CONTROL, "no-cache");
        let mut response = request.send().await.map_err(unreachable)?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status().as_u16()));
        }
        let max_age = response.headers().get(CACHE_CONTROL).and_then(max_age);
        let mut document = Vec::new();
        // Its length is what comes, not what was announced.
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if document.len() + chunk.len() > MAX_KEY_SET {
                return Err(KeySetError::TooLong.into());
            }
            document.extend_from_slice(&chunk);
        }
        Ok(Fetched { document, max_age })
    }
}

fn unreachable(error: reqwest::Error) -> FetchError {
    // Whoever reads the log knows the address from the configuration.
    FetchError::Unreachable(Box::new(error.without_url()))
}

/// Reads certificates, at least one.
fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    match Certificate::from_pem_bundle(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err("the roots must be certificates in PEM, at least one".to_owned()),
    }
}

/// Reads the address of a key set.
fn address(url: &str) -> Result<Url, String> {
    let wrong = || "the key set's address must be like https://api.acme.test/auth/jwt/jwks.json".to_owned();
    let parsed = Url::parse(url).map_err(|_| wrong())?;
    let plain = parsed.username().is_empty() && parsed.password().is_none() && parsed.fragment().is_none();
    match parsed.scheme() {
        "https" if plain => Ok(parsed),
        "http" if plain && is_loopback(url) => Ok(parsed),
        "http" => Err(
            "the key set must be fetched by https: whoever can change it can sign everybody in".to_owned(),
        ),
        _ => Err(wrong()),
    }
}

/// `max-age` of a `Cache-Control`; none if it may not be kept, or says nothing of it.
///
/// # Source
/// RFC 9111 §5.2.2.
fn max_age(header: &HeaderValue) -> Option<Duration> {
    let directives = || header.to_str().unwrap_or_default().split(',').map(str::trim);
    let is = |name: &str| directives().any(|directive| directive.eq_ignore_ascii_case(name));
    if is("no-store") || is("no-cache") {
        return Some(Duration::ZERO);
    }
    directives().find_map(|directive| {
        let (name, value) = directive.split_once('=')?;
        let seconds = value.parse().ok()?;
        name.eq_ignore_ascii_case("max-age")
            .then(|| Duration::from_secs(seconds))
    })
}

#[cfg(test)]
mod tests;
