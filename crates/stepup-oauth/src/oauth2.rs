//! OAuth 2 by addresses: providers that have no id tokens, and are asked who it is.

use async_trait::async_trait;
use serde_json::{Value, json};
use stepup_core::app::is_loopback;
use stepup_core::provider::{Authorize, Identity, Proof, Provider, ProviderError};
use stepup_core::secret::Secret;
use url::Url;

use crate::address::Reach;
use crate::client::{Client, TokenAuth};
use crate::http::{Answer, Credentials};
use crate::mapping::{Emails, Mapping, at};
use crate::setup::{Base, Setup, SetupError, pkce};
use crate::token::{Exchange, is_token};

/// A provider of OAuth 2, being set up. See [`oauth2`].
#[derive(Clone, Debug)]
pub struct OAuth2 {
    issuer: String,
    endpoints: Endpoints,
    mapping: Mapping,
    pub(crate) emails: Option<Emails>,
    pub(crate) owner: Option<Owner>,
    pub(crate) shows_token: ShowsToken,
    pub(crate) auth: TokenAuth,
    has_pkce: bool,
}

/// The three addresses of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    authorization: String,
    token: String,
    user_info: String,
}

impl Endpoints {
    /// Where the browser is sent to, where codes become tokens, and where a token tells whose it is.
    pub fn new(
        authorization: impl Into<String>,
        token: impl Into<String>,
        user_info: impl Into<String>,
    ) -> Self {
        Self {
            authorization: authorization.into(),
            token: token.into(),
            user_info: user_info.into(),
        }
    }
}

/// Where an access token is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ShowsToken {
    /// In the header `Authorization` (RFC 6750 §2.1).
    Header,
    /// As the parameter `access_token`.
    Query,
}

/// How a provider tells whom an access token was given to.
#[derive(Clone, Debug)]
pub(crate) enum Owner {
    /// The token is shown to an address, whose answer has the client's id at a path.
    Path { url: String, path: String },
    /// The client asks about the token, by its secret.
    GitHub { url: String },
    /// The client asks about the token, by its secret, as a parameter.
    Facebook { url: String },
}

/// Sets up a provider of OAuth 2 by its addresses. `mapping` says where in its answer the person's id stands.
///
/// Users are kept by the id together with the origin of the authorization endpoint; [`Setup::issuer`] gives another name for the
/// latter. A provider that has a discovery document is better set up by [`openid`](crate::openid): what it says is signed.
///
/// ```
/// use stepup_core::factor::third_party::ThirdParty;
/// use stepup_core::secret::Secret;
/// use stepup_oauth::{Client, Endpoints, Mapping, SetupError, oauth2};
///
/// fn sign_in_with_forge(secret: Secret<String>) -> Result<ThirdParty, SetupError> {
///     let endpoints = Endpoints::new(
///         "https://forge.test/login/authorize",
///         "https://forge.test/login/token",
///         "https://forge.test/api/me",
///     );
///     // What is theirs for ever, and not a name that they can give up.
///     let person = Mapping::new("user.id").email("user.mail").email_verified("user.mail_confirmed");
///     let forge = oauth2("forge", "Forge", endpoints, person, Client::new("shop", secret))
///         .scopes(["me"])
///         .build()?;
///     Ok(ThirdParty::new().provider(forge))
/// }
/// # sign_in_with_forge(Secret::new("secret".to_owned())).unwrap();
/// ```
pub fn oauth2(id: &str, name: &str, endpoints: Endpoints, mapping: Mapping, client: Client) -> Setup<OAuth2> {
    let kind = OAuth2 {
        issuer: Url::parse(&endpoints.authorization)
            .map(|url| url.origin().ascii_serialization())
            .unwrap_or_default(),
        endpoints,
        mapping,
        emails: None,
        owner: None,
        shows_token: ShowsToken::Header,
        auth: TokenAuth::Post,
        has_pkce: true,
    };
    Setup::new(id, name, client, &[], kind)
}

impl Setup<OAuth2> {
    /// Keeps users by this name of the provider. It must never change once there are some.
    #[must_use]
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.kind.issuer = issuer.into();
        self
    }

    /// Asks an endpoint for the person's addresses, instead of reading one where [`Mapping`] says.
    #[must_use]
    pub fn emails(mut self, emails: Emails) -> Self {
        self.kind.emails = Some(emails);
        self
    }

    /// Accepts access tokens from applications on devices, for clients that take them ([`Client::takes_tokens`]), of which `url` tells whom they were given to: it is asked with the
    /// token, and must answer with the client's id at `path`. Without it only codes are accepted (threat A-OAU-13).
    #[must_use]
    pub fn token_owner(mut self, url: impl Into<String>, path: impl Into<String>) -> Self {
        self.kind.owner = Some(Owner::Path {
            url: url.into(),
            path: path.into(),
        });
        self
    }

    /// Sends no PKCE, for a provider that refuses requests that have it. A code that is stolen on its way back is then protected
    /// by the client's secret and by the state alone (RFC 9700 §2.1.1), so every client must have a secret.
    #[must_use]
    pub fn danger_without_pkce(mut self) -> Self {
        self.kind.has_pkce = false;
        self
    }

    /// Checks it all. Nothing is asked of the provider yet.
    ///
    /// # Errors
    /// [`SetupError`] with every problem.
    pub fn build(self) -> Result<OAuth2Provider, SetupError> {
        let kind = self.kind;
        let mut problems = Vec::new();
        let reach = Reach {
            loopback: is_loopback(&kind.endpoints.authorization),
            private: self.common.is_private(),
        };
        let mut url = |what: &str, text: &str| {
            let url = reach.url(text);
            if url.is_none() {
                problems.push(format!(
                    "the {what} must be https, or http on this machine, and not inside a network"
                ));
            }
            url
        };
        let authorization = url("authorization endpoint", &kind.endpoints.authorization);
        let token = url("token endpoint", &kind.endpoints.token);
        let user_info = url("user info endpoint", &kind.endpoints.user_info);
        let emails = match kind.emails {
            None => Some(None),
            Some(emails) => url("endpoint of addresses", &emails.url).map(|url| Some((emails, url))),
        };
        let owner = match kind.owner {
            None => Some(None),
            Some(owner) => url("endpoint that tells of tokens", owner.url()).map(|url| Some((owner, url))),
        };
        if kind.issuer.is_empty() || kind.issuer.len() > 255 || kind.issuer.chars().any(char::is_control) {
            problems.push("the issuer must have 1 to 255 printable characters".to_owned());
        }
        if !kind.has_pkce && !self.common.clients().iter().all(Client::has_secret) {
            problems.push("without PKCE every client needs a secret".to_owned());
        }
        let base = self.common.build(reach, problems)?;
        let urls = authorization.zip(token).zip(user_info).zip(emails).zip(owner);
        let Some(((((authorization, token), user_info), emails), owner)) = urls else {
            return Err(SetupError::new("an address is none"));
        };
        Ok(OAuth2Provider {
            base,
            issuer: kind.issuer,
            authorization,
            token,
            user_info,
            mapping: kind.mapping,
            emails,
            owner,
            shows_token: kind.shows_token,
            auth: kind.auth,
            has_pkce: kind.has_pkce,
        })
    }
}

impl Owner {
    fn url(&self) -> &str {
        match self {
            Self::Path { url, .. } | Self::GitHub { url } | Self::Facebook { url } => url,
        }
    }
}

/// A provider that speaks OAuth 2.
#[derive(Debug)]
pub struct OAuth2Provider {
    base: Base,
    issuer: String,
    authorization: Url,
    token: Url,
    user_info: Url,
    mapping: Mapping,
    emails: Option<(Emails, Url)>,
    owner: Option<(Owner, Url)>,
    shows_token: ShowsToken,
    auth: TokenAuth,
    has_pkce: bool,
}

#[async_trait]
impl Provider for OAuth2Provider {
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
        let pkce = pkce(request);
        let of_protocol = if self.has_pkce { &pkce[..] } else { &[] };
        Ok(self
            .base
            .address(&self.authorization, client, &request.redirect_uri, of_protocol))
    }

    async fn identify(&self, proof: &Proof) -> Result<Identity, ProviderError> {
        self.base.in_time(self.judge(proof)).await
    }
}

impl OAuth2Provider {
    async fn judge(&self, proof: &Proof) -> Result<Identity, ProviderError> {
        match proof {
            Proof::Code {
                client_type,
                code,
                redirect_uri,
                verifier,
                ..
            } => {
                let client = self.base.client(client_type.as_deref())?;
                let exchange = Exchange {
                    code,
                    redirect_uri,
                    verifier: self.has_pkce.then_some(verifier),
                };
                let endpoint = (&self.base.network, self.token.clone());
                let auth = client.auth.unwrap_or(self.auth);
                let tokens = exchange.send(endpoint, (client, auth), self.base.now()).await?;
                let access = tokens.access;
                self.person(&access.ok_or(ProviderError::Untrusted("no_access_token_in_answer"))?)
                    .await
            }
            Proof::Tokens {
                client_type,
                access_token: Some(access),
                ..
            } => {
                let client = self.base.client_with_tokens(client_type.as_deref())?;
                self.check_owner(client, access).await?;
                self.person(access).await
            }
            _ => Err(ProviderError::Unsupported),
        }
    }

    async fn person(&self, access: &Secret<String>) -> Result<Identity, ProviderError> {
        let person = self
            .show(self.user_info.clone(), access)
            .await?
            .value("access_token")?;
        let subject = self.mapping.subject_of(&person)?;
        let told = match &self.emails {
            None => self.mapping.email_of(&person),
            Some((emails, url)) => {
                let answer = self.show(url.clone(), access).await?;
                emails.primary_of(&answer.value("access_token")?)
            }
        };
        Ok(self.base.identity(self.issuer.clone(), subject, told))
    }

    async fn show(&self, mut url: Url, access: &Secret<String>) -> Result<Answer, ProviderError> {
        match self.shows_token {
            ShowsToken::Header => self.base.network.get(url, Credentials::Bearer(access)).await,
            ShowsToken::Query => {
                url.query_pairs_mut().append_pair("access_token", access.expose());
                self.base.network.get(url, Credentials::None).await
            }
        }
    }

    /// Refuses an access token that was given to another client than ours, or of which that cannot be told.
    async fn check_owner(&self, client: &Client, access: &Secret<String>) -> Result<(), ProviderError> {
        const NOT_OURS: &str = "access_token_of_another_client";
        if !is_token(access.expose()) {
            return Err(ProviderError::Refused("token_of_a_strange_form"));
        }
        let (owner, url) = self.owner.as_ref().ok_or(ProviderError::Unsupported)?;
        let mut url = url.clone();
        let secret = || {
            let secret = client.secret_at(self.base.now())?;
            secret.ok_or(ProviderError::Unsupported)
        };
        let is_ours = |answer: &Value, path: &str| match at(answer, path) {
            Some(Value::String(id)) => *id == client.id,
            Some(Value::Number(id)) => id.to_string() == client.id,
            _ => false,
        };
        let given = match owner {
            Owner::Path { path, .. } => {
                let answer = self.base.network.get(url, Credentials::Bearer(access)).await?;
                is_ours(&answer.value(NOT_OURS)?, path)
            }
            Owner::GitHub { .. } => {
                let path = url.path_segments_mut();
                path.map_err(|()| ProviderError::Unsupported)?
                    .extend(["applications", &client.id, "token"]);
                let body = json!({ "access_token": access.expose() });
                let secret = secret()?;
                let by = Credentials::Basic(&client.id, &secret);
                let answer = self.base.network.post_json(url, &body, by).await?;
                is_ours(&answer.value(NOT_OURS)?, "app.client_id")
            }
            Owner::Facebook { .. } => {
                url.query_pairs_mut()
                    .append_pair("input_token", access.expose())
                    .append_pair("access_token", &format!("{}|{}", client.id, secret()?.expose()));
                let answer = self
                    .base
                    .network
                    .get(url, Credentials::None)
                    .await?
                    .value(NOT_OURS)?;
                at(&answer, "data.is_valid") == Some(&Value::Bool(true)) && is_ours(&answer, "data.app_id")
            }
        };
        match given {
            true => Ok(()),
            false => Err(ProviderError::Refused(NOT_OURS)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(setup: Setup<OAuth2>) -> Vec<String> {
        setup
            .build()
            .map_or_else(|error| error.problems().to_vec(), |_| Vec::new())
    }

    #[test]
    fn every_address_of_a_setup_is_checked() {
        let client = || Client::new("id", Secret::new("secret".to_owned()));
        let at = |authorization: &str, token: &str, user_info: &str| {
            oauth2(
                "acme",
                "Acme",
                Endpoints::new(authorization, token, user_info),
                Mapping::new("id"),
                client(),
            )
        };
        let good = || {
            at(
                "https://a.test/authorize",
                "https://a.test/token",
                "https://api.a.test/me",
            )
        };
        assert!(problems(good()).is_empty());
        assert_eq!(good().build().unwrap().issuer, "https://a.test");
        assert_eq!(
            problems(at(
                "javascript:x",
                "http://a.test/token",
                "https://169.254.169.254/"
            ))
            .len(),
            3
        );
        // The authorization endpoint decides whether this machine may be asked; the others do not.
        assert_eq!(
            problems(at(
                "https://a.test",
                "http://localhost/token",
                "https://127.0.0.1/me"
            ))
            .len(),
            2
        );
        assert_eq!(
            problems(good().emails(Emails::at("http://a.test", "", ["a", "b", "c"]))).len(),
            1
        );
        assert_eq!(problems(good().token_owner("ftp://a.test", "x")).len(), 1);
        assert_eq!(problems(good().issuer("")).len(), 1);
    }

    #[test]
    fn a_client_without_a_secret_is_never_without_pkce() {
        let endpoints = Endpoints::new("https://a.test/a", "https://a.test/t", "https://a.test/me");
        let setup = oauth2(
            "acme",
            "Acme",
            endpoints,
            Mapping::new("id"),
            Client::public("id"),
        );
        assert!(problems(setup.clone()).is_empty());
        assert_eq!(
            problems(setup.danger_without_pkce()),
            ["without PKCE every client needs a secret"]
        );
    }
}
