//! OpenID Connect by discovery: any issuer, pinned.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;
use stepup_core::app::is_loopback;
use stepup_core::provider::{Authorize, Identity, Proof, Provider, ProviderError};
use stepup_core::record::JsonMap;
use stepup_core::secret::Secret;

use crate::address::Reach;
use crate::client::Client;
use crate::discovery::Metadata;
use crate::held::Held;
use crate::http::Credentials;
use crate::id_token::{Expected, IdToken};
use crate::issuer::Issuer;
use crate::keys::{Algorithm, KeySet};
use crate::mapping::{Mapping, Told};
use crate::setup::{Base, Setup, SetupError, pkce};
use crate::token::{Exchange, Tokens, is_token};

/// An issuer of OpenID Connect, being set up. See [`openid`].
#[derive(Clone, Debug)]
pub struct OpenId {
    issuer: Issuer,
    algorithms: Vec<Algorithm>,
    mapping: Mapping,
    /// Claims that an id token must have, with the values of which it must have one.
    required: Vec<(String, Required)>,
    asks_user_info: bool,
}

/// Which values of a claim do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Required {
    /// Any text that is not empty.
    Any,
    OneOf(Vec<String>),
}

/// Sets up an issuer of OpenID Connect. Where its endpoints and keys are is read of its discovery document.
///
/// `issuer` is what the provider calls itself, byte for byte: in its discovery document and in each of its tokens. It is https,
/// or http on this machine. Only tokens that name it, and that are signed by the keys it publishes, are believed (R-OAU-1). The
/// scopes are `openid email`.
///
/// ```
/// use stepup_core::factor::third_party::ThirdParty;
/// use stepup_core::secret::Secret;
/// use stepup_oauth::{Algorithm, Client, SetupError, openid};
///
/// fn sign_in_with_acme(secret: Secret<String>) -> Result<ThirdParty, SetupError> {
///     let website = Client::new("shop", secret).of_type("web");
///     // An application on a device, which has a token from the issuer already.
///     let android = Client::public("shop-android").of_type("android").takes_tokens();
///     let acme = openid("acme", "Acme", "https://login.acme.test", website)
///         .client(android)
///         .algorithms([Algorithm::Es256])
///         .require_claim("department", ["sales"])
///         .build()?;
///     Ok(ThirdParty::new().provider(acme))
/// }
/// # sign_in_with_acme(Secret::new("secret".to_owned())).unwrap();
/// ```
pub fn openid(id: &str, name: &str, issuer: &str, client: Client) -> Setup<OpenId> {
    of_issuer(id, name, Issuer::Exact(issuer.to_owned()), client)
}

pub(crate) fn of_issuer(id: &str, name: &str, issuer: Issuer, client: Client) -> Setup<OpenId> {
    let kind = OpenId {
        issuer,
        algorithms: vec![Algorithm::Rs256, Algorithm::Es256],
        mapping: Mapping::openid(),
        required: Vec::new(),
        asks_user_info: true,
    };
    Setup::new(id, name, client, &["openid", "email"], kind)
}

impl Setup<OpenId> {
    /// Accepts id tokens that are signed by these algorithms alone; RS256 and ES256 by default.
    #[must_use]
    pub fn algorithms(mut self, algorithms: impl IntoIterator<Item = Algorithm>) -> Self {
        self.kind.algorithms = algorithms.into_iter().collect();
        self
    }

    /// Reads id and address elsewhere than at `sub`, `email` and `email_verified`. The id is read of the id token alone.
    #[must_use]
    pub fn mapping(mut self, mapping: Mapping) -> Self {
        self.kind.mapping = mapping;
        self
    }

    /// Lets only those in whose id token has one of `values` in `claim`. At least one value must be named.
    #[must_use]
    pub fn require_claim(
        self,
        claim: impl Into<String>,
        values: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        self.require(
            &claim.into(),
            Required::OneOf(values.into_iter().map(Into::into).collect()),
        )
    }

    pub(crate) fn require(mut self, claim: &str, required: Required) -> Self {
        self.kind.required.push((claim.to_owned(), required));
        self
    }

    /// Does not ask the user info endpoint for an address that the id token lacks.
    #[must_use]
    pub fn without_user_info(mut self) -> Self {
        self.kind.asks_user_info = false;
        self
    }

    /// Checks it all. Nothing is asked of the provider yet.
    ///
    /// # Errors
    /// [`SetupError`] with every problem.
    pub fn build(self) -> Result<OpenIdProvider, SetupError> {
        let mut problems: Vec<String> = self
            .kind
            .issuer
            .problem()
            .map(str::to_owned)
            .into_iter()
            .collect();
        if self.kind.algorithms.is_empty() {
            problems.push("no algorithm is allowed".to_owned());
        }
        let is_closed =
            |required: &Required| matches!(required, Required::OneOf(values) if values.is_empty());
        if self.kind.required.iter().any(|(_, required)| is_closed(required)) {
            problems.push("a required claim has no value that would do".to_owned());
        }
        let scopes = |client: &Client| {
            client
                .scopes
                .clone()
                .unwrap_or_else(|| self.common.scopes.clone())
        };
        if !self
            .common
            .clients()
            .iter()
            .all(|client| scopes(client).iter().any(|scope| scope == "openid"))
        {
            problems.push("the scope openid is missing".to_owned());
        }
        let reach = Reach {
            loopback: is_loopback(&self.kind.issuer.document()),
            private: self.common.is_private(),
        };
        Ok(OpenIdProvider {
            base: self.common.build(reach, problems)?,
            openid: self.kind,
            metadata: Held::default(),
            keys: Held::default(),
        })
    }
}

/// A provider that speaks OpenID Connect.
#[derive(Debug)]
pub struct OpenIdProvider {
    base: Base,
    openid: OpenId,
    metadata: Held<Metadata>,
    keys: Held<KeySet>,
}

#[async_trait]
impl Provider for OpenIdProvider {
    fn id(&self) -> &str {
        &self.base.id
    }

    fn name(&self) -> &str {
        &self.base.name
    }

    fn client_types(&self) -> &[String] {
        &self.base.kinds
    }

    fn takes_tokens(&self, client_type: Option<&str>) -> bool {
        self.base.client_with_tokens(client_type).is_ok()
    }

    async fn authorize(&self, request: &Authorize) -> Result<String, ProviderError> {
        let client = self.base.client(request.client_type.as_deref())?;
        let metadata = self.base.in_time(self.metadata()).await?;
        let [challenge, method] = pkce(request);
        let of_protocol = [challenge, method, ("nonce", request.nonce.as_str())];
        Ok(self.base.address(
            &metadata.authorization,
            client,
            &request.redirect_uri,
            &of_protocol,
        ))
    }

    async fn identify(&self, proof: &Proof) -> Result<Identity, ProviderError> {
        self.base.in_time(self.judge(proof)).await
    }
}

impl OpenIdProvider {
    async fn judge(&self, proof: &Proof) -> Result<Identity, ProviderError> {
        match proof {
            Proof::Code {
                client_type,
                code,
                redirect_uri,
                verifier,
                nonce,
            } => {
                let client = self.base.client(client_type.as_deref())?;
                let exchange = Exchange {
                    code,
                    redirect_uri,
                    verifier: Some(verifier),
                };
                self.by_code(client, &exchange, nonce).await
            }
            Proof::Tokens {
                client_type,
                id_token: Some(id),
                access_token,
            } => {
                let client = self.base.client_with_tokens(client_type.as_deref())?;
                let tokens = Tokens {
                    id: Some(id.clone()),
                    access: access_token.clone(),
                };
                self.by_tokens(client, &tokens).await.map_err(told_by_client)
            }
            // An access token alone does not tell whom it was given to (threat A-OAU-13).
            _ => Err(ProviderError::Unsupported),
        }
    }

    async fn by_code(
        &self,
        client: &Client,
        exchange: &Exchange<'_>,
        nonce: &str,
    ) -> Result<Identity, ProviderError> {
        let metadata = self.metadata().await?;
        let auth = client.auth.unwrap_or(metadata.auth);
        let endpoint = (&self.base.network, metadata.token.clone());
        let tokens = exchange.send(endpoint, (client, auth), self.base.now()).await?;
        self.person(client, &[&client.id], &tokens, Some(nonce)).await
    }

    async fn by_tokens(&self, client: &Client, tokens: &Tokens) -> Result<Identity, ProviderError> {
        if tokens
            .access
            .as_ref()
            .is_some_and(|token| !is_token(token.expose()))
        {
            return Err(ProviderError::Refused("token_of_a_strange_form"));
        }
        // An application on a device asks by its own id for a token that is for the site's.
        let parties: Vec<&str> = self
            .base
            .clients
            .iter()
            .map(|client| client.id.as_str())
            .collect();
        self.person(client, &parties, tokens, None).await
    }

    async fn person(
        &self,
        client: &Client,
        parties: &[&str],
        tokens: &Tokens,
        nonce: Option<&str>,
    ) -> Result<Identity, ProviderError> {
        let id_token = tokens.id.as_ref();
        let id_token = id_token.ok_or(ProviderError::Untrusted("no_id_token_in_answer"))?;
        let expected = Expected {
            issuer: &self.openid.issuer,
            client: &client.id,
            parties,
            nonce,
            access_token: tokens.access.as_ref().map(|token| token.expose().as_str()),
            now: self.base.now(),
        };
        let claims = self.verified(id_token, &expected).await?;
        self.openid.admits(&claims)?;
        let issuer = claims
            .get("iss")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let claims = Value::Object(claims);
        let subject = self.openid.mapping.subject_of(&claims)?;
        let told = self.openid.mapping.email_of(&claims);
        let told = match told {
            // The pair stands in what is signed.
            Some(told) if told.verified.is_some() => Some(told),
            told => together(told, self.asked(&claims, tokens.access.as_ref()).await?),
        };
        Ok(self.base.identity(issuer, subject, told))
    }

    /// The claims of `token`, verified by the issuer's keys.
    async fn verified(
        &self,
        token: &Secret<String>,
        expected: &Expected<'_>,
    ) -> Result<JsonMap, ProviderError> {
        let token = IdToken::read(token.expose(), &self.openid.algorithms)?;
        let mut keys = self.keys.document(self.base.clock(), self.fetch_keys()).await?;
        if keys.find(token.kid.as_deref(), token.algorithm).is_none() {
            // The issuer may have changed its keys since.
            keys = self
                .keys
                .newer(&keys, self.base.clock(), self.fetch_keys())
                .await?;
        }
        let key = keys
            .find(token.kid.as_deref(), token.algorithm)
            .ok_or(ProviderError::Untrusted("unknown_key"))?;
        token.claims(key, expected)
    }

    /// What the user info endpoint tells of an address, if there is one to ask.
    async fn asked(
        &self,
        claims: &Value,
        access: Option<&Secret<String>>,
    ) -> Result<Option<Told>, ProviderError> {
        let Some(access) = access.filter(|_| self.openid.asks_user_info) else {
            return Ok(None);
        };
        let Some(url) = self.metadata().await?.user_info.clone() else {
            return Ok(None);
        };
        let answer = self.base.network.get(url, Credentials::Bearer(access)).await?;
        let person = answer.value("access_token")?;
        // OpenID Connect Core §5.3.2: or it is somebody else's access token.
        if person.get("sub").is_none() || person.get("sub") != claims.get("sub") {
            return Err(ProviderError::Untrusted("user_info_of_another_person"));
        }
        Ok(self.openid.mapping.email_of(&person))
    }

    async fn metadata(&self) -> Result<Arc<Metadata>, ProviderError> {
        let fetch = async {
            let network = &self.base.network;
            let url = network.url(&self.openid.issuer.document())?;
            let document = network
                .get(url, Credentials::None)
                .await?
                .value("discovery_document")?;
            Metadata::read(&document, &self.openid.issuer, network)
        };
        self.metadata.document(self.base.clock(), fetch).await
    }

    async fn fetch_keys(&self) -> Result<KeySet, ProviderError> {
        let url = self.metadata().await?.keys.clone();
        let document = self
            .base
            .network
            .get(url, Credentials::None)
            .await?
            .value("keys")?;
        KeySet::read(&document)
    }
}

impl OpenId {
    /// Whether the site lets people with these claims in.
    fn admits(&self, claims: &JsonMap) -> Result<(), ProviderError> {
        let has = |(claim, required): &(String, Required)| {
            let value = claims.get(claim).and_then(Value::as_str);
            value.is_some_and(|value| match required {
                Required::Any => !value.is_empty(),
                Required::OneOf(values) => values.iter().any(|one| one == value),
            })
        };
        match self.required.iter().all(has) {
            true => Ok(()),
            false => Err(ProviderError::Refused("person_of_another_organization")),
        }
    }
}

/// An address and the word about it, of an id token that does not have both, and of the user info. The word is about the
/// address beside which it stands, and about no other.
fn together(signed: Option<Told>, asked: Option<Told>) -> Option<Told> {
    match (signed, asked) {
        (None, asked) => asked,
        (Some(signed), Some(asked)) if signed.address == asked.address => Some(asked),
        (signed, _) => signed,
    }
}

/// What the client brought is not the provider's word: if it is wrong, the provider did not lie.
fn told_by_client(error: ProviderError) -> ProviderError {
    match error {
        ProviderError::Untrusted(reason) => ProviderError::Refused(reason),
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(address: &str, verified: Option<bool>) -> Option<Told> {
        Some(Told {
            address: address.to_owned(),
            verified,
        })
    }

    #[test]
    fn the_word_about_one_address_is_not_taken_for_another() {
        let alice = || told("alice@acme.test", None);
        assert_eq!(together(alice(), told("mallory@acme.test", Some(true))), alice());
        assert_eq!(
            together(alice(), told("alice@acme.test", Some(true))),
            told("alice@acme.test", Some(true))
        );
        assert_eq!(
            together(None, told("alice@acme.test", Some(false))),
            told("alice@acme.test", Some(false))
        );
        assert_eq!(together(alice(), None), alice());
        assert_eq!(together(None, None), None);
    }

    fn problems(setup: Setup<OpenId>) -> usize {
        setup.build().map_or_else(|error| error.problems().len(), |_| 0)
    }

    #[test]
    fn every_problem_of_a_setup_is_named_at_once() {
        let client = || Client::new("id", Secret::new("secret".to_owned()));
        let good = || openid("acme", "Acme", "https://login.acme.test", client());
        assert_eq!(problems(good()), 0);
        assert_eq!(problems(good().client(client())), 1);
        // An empty list, out of a configuration perhaps, lets nobody in, and not everybody.
        assert_eq!(problems(good().require_claim("hd", [""; 0])), 1);
        assert_eq!(
            problems(good().parameter("state", "x").id("A B").name("").algorithms([])),
            4
        );
        let same = client().of_type("web");
        let twice = openid("acme", "Acme", "https://login.acme.test", same.clone()).client(same);
        assert_eq!(problems(twice), 1);
        let plain = openid(
            "acme",
            "Acme",
            "http://login.acme.test",
            client().scopes(["email", "a b"]),
        );
        assert_eq!(problems(plain), 3);
        assert_eq!(
            problems(openid(
                "acme",
                "Acme",
                "https://login.acme.test",
                Client::new("", Secret::new(String::new()))
            )),
            2
        );
        assert_eq!(problems(good().roots("no certificate")), 1);
    }
}
