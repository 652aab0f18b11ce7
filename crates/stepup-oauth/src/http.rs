//! The way to a provider: it goes where it was told, waits so long, and reads so much.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Certificate, Client, RequestBuilder, redirect};
use serde_json::Value;
use stepup_core::json;
use stepup_core::provider::ProviderError;
use stepup_core::record::JsonMap;
use stepup_core::secret::Secret;
use url::{Url, form_urlencoded};
use zeroize::Zeroizing;

use crate::address::{Forbidden, Lookup, Reach, Resolver};

/// The longest answer that is read, in bytes.
pub(crate) const MAX_ANSWER: usize = 1024 * 1024;

/// A connection that is not there by then never comes.
const CONNECT: Duration = Duration::from_secs(3);

/// The network, as far as a provider may use it.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    client: Client,
    reach: Reach,
}

/// How one identifies oneself to an endpoint.
#[derive(Clone, Copy)]
pub(crate) enum Credentials<'a> {
    None,
    /// An access token (RFC 6750 §2.1).
    Bearer(&'a Secret<String>),
    /// Two words (RFC 7617), as they are to be joined.
    Basic(&'a str, &'a Secret<String>),
}

impl Network {
    /// A way into the networks of `reach`. Hosts prove themselves to the authorities in `roots` (PEM), or to those of the
    /// system; a request ends after `patience`.
    ///
    /// # Errors
    /// A sentence: there is no certificate in `roots`, or there is no TLS here.
    pub(crate) fn new(
        reach: Reach,
        roots: Option<&[u8]>,
        patience: Duration,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, String> {
        let builder = match roots {
            Some(pem) => Client::builder().tls_certs_only(certificates(pem)?),
            None => Client::builder(),
        };
        let client = builder
            // Whoever answers must not name another place for a code or a token to go to.
            .redirect(redirect::Policy::none())
            .https_only(!reach.loopback)
            .dns_resolver(Resolver { reach, lookup })
            .connect_timeout(CONNECT.min(patience))
            .timeout(patience)
            .no_proxy()
            .referer(false)
            // GitHub answers nobody without a name.
            .user_agent(concat!("stepup-oauth/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| format!("there is no HTTP client: {error}"))?;
        Ok(Self { client, reach })
    }

    /// Reads an address that a document names.
    ///
    /// # Errors
    /// [`ProviderError::Untrusted`] if it is none that is asked.
    pub(crate) fn url(&self, text: &str) -> Result<Url, ProviderError> {
        self.reach
            .url(text)
            .ok_or(ProviderError::Untrusted("address_not_asked"))
    }

    /// Asks for a document.
    ///
    /// # Errors
    /// [`ProviderError::Unavailable`], or that its address is not asked.
    pub(crate) async fn get(&self, url: Url, by: Credentials<'_>) -> Result<Answer, ProviderError> {
        self.send(self.client.get(url), by).await
    }

    /// Sends a form.
    ///
    /// # Errors
    /// As [`Network::get`].
    pub(crate) async fn post_form(
        &self,
        url: Url,
        fields: &[(&str, &str)],
        by: Credentials<'_>,
    ) -> Result<Answer, ProviderError> {
        let form = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        self.send(request, by).await
    }

    /// Sends a JSON object.
    ///
    /// # Errors
    /// As [`Network::get`].
    pub(crate) async fn post_json(
        &self,
        url: Url,
        body: &Value,
        by: Credentials<'_>,
    ) -> Result<Answer, ProviderError> {
        let request = self
            .client
            .post(url)
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string());
        self.send(request, by).await
    }

    async fn send(&self, request: RequestBuilder, by: Credentials<'_>) -> Result<Answer, ProviderError> {
        let request = match authorization(by) {
            Some(value) => request.header(AUTHORIZATION, value?),
            None => request,
        };
        let mut response = request
            .header(ACCEPT, "application/json")
            .send()
            .await
            .map_err(unsent)?;
        let status = response.status().as_u16();
        let mut body = Zeroizing::new(Vec::new());
        // Its length is what comes, not what was announced.
        while let Some(chunk) = response.chunk().await.map_err(unsent)? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(ProviderError::Unavailable("an answer without end".into()));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, body })
    }
}

/// What came back. Nothing of it has been believed yet.
pub(crate) struct Answer {
    pub(crate) status: u16,
    body: Zeroizing<Vec<u8>>,
}

impl Answer {
    /// The JSON object in it, read strictly.
    pub(crate) fn object(&self) -> Option<JsonMap> {
        json::read_object(&self.body).ok()
    }

    /// The JSON value in an answer that is a success.
    ///
    /// # Errors
    /// [`ProviderError`]: of no success by its status (see [`refused`]), and that it is no JSON that we read.
    pub(crate) fn value(&self, refusal: &'static str) -> Result<Value, ProviderError> {
        if self.status != 200 {
            return Err(refused(self.status, refusal));
        }
        json::read_value(&self.body).map_err(|_| ProviderError::Untrusted("not_json"))
    }
}

/// What a status says that is no success. A redirect is not followed, so it is an answer out of turn.
pub(crate) fn refused(status: u16, refusal: &'static str) -> ProviderError {
    match status {
        300..=399 => ProviderError::Untrusted("redirect"),
        // Too many requests, or too slow: it may be tried again.
        408 | 425 | 429 => ProviderError::Unavailable(format!("status {status}").into()),
        400..=499 => ProviderError::Refused(refusal),
        _ => ProviderError::Unavailable(format!("status {status}").into()),
    }
}

fn authorization(by: Credentials<'_>) -> Option<Result<HeaderValue, ProviderError>> {
    let text = match by {
        Credentials::None => return None,
        Credentials::Bearer(token) => Zeroizing::new(format!("Bearer {}", token.expose())),
        Credentials::Basic(id, secret) => {
            let both = Zeroizing::new(format!("{id}:{}", secret.expose()));
            Zeroizing::new(format!("Basic {}", STANDARD.encode(both.as_bytes())))
        }
    };
    let value = HeaderValue::from_str(&text).map(|mut value| {
        value.set_sensitive(true);
        value
    });
    Some(value.map_err(|_| ProviderError::Untrusted("token_of_a_strange_form")))
}

fn unsent(error: reqwest::Error) -> ProviderError {
    // The address may hold a token.
    let error = error.without_url();
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(inner) = cause {
        if inner.is::<Forbidden>() {
            return ProviderError::Untrusted("address_not_asked");
        }
        cause = inner.source();
    }
    ProviderError::Unavailable(Box::new(error))
}

/// Reads certificates, at least one.
fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    match Certificate::from_pem_bundle(pem) {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err("the roots must be certificates in PEM, at least one".to_owned()),
    }
}
