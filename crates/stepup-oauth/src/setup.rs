//! What a provider is set up with, checked as a whole.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stepup_core::provider::{Authorize, Identity, ProvidedEmail, ProviderError};
use stepup_core::time::{Clock, SystemClock, Timestamp};
use url::Url;

use crate::address::{Lookup, Reach, SystemLookup};
use crate::client::Client;
use crate::http::Network;
use crate::mapping::{Told, fake};

/// Why a provider cannot be used as it is set up. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the provider is not set up right: {}", .0.join("; "))]
pub struct SetupError(Vec<String>);

impl SetupError {
    pub(crate) fn new(problem: impl Into<String>) -> Self {
        Self(vec![problem.into()])
    }

    /// Every problem, a sentence each.
    pub fn problems(&self) -> &[String] {
        &self.0
    }
}

/// A provider that is being set up. `K` is how it is spoken to: [`OpenId`](crate::OpenId) or [`OAuth2`](crate::OAuth2).
#[derive(Clone)]
pub struct Setup<K> {
    pub(crate) common: Common,
    pub(crate) kind: K,
}

#[derive(Clone)]
pub(crate) struct Common {
    id: String,
    name: String,
    clients: Vec<Client>,
    pub(crate) scopes: Vec<String>,
    /// Parameters of the authorization request, beside those of the protocol.
    parameters: Vec<(String, String)>,
    roots: Option<Vec<u8>>,
    private: bool,
    patience: Duration,
    clock: Arc<dyn Clock>,
    pub(crate) lookup: Arc<dyn Lookup>,
    fake_emails: bool,
}

impl<K> Setup<K> {
    pub(crate) fn new(id: &str, name: &str, client: Client, scopes: &[&str], kind: K) -> Self {
        Self {
            common: Common {
                id: id.to_owned(),
                name: name.to_owned(),
                clients: vec![client],
                scopes: scopes.iter().map(|&scope| scope.to_owned()).collect(),
                parameters: Vec::new(),
                roots: None,
                private: false,
                patience: PATIENCE,
                clock: Arc::new(SystemClock),
                lookup: Arc::new(SystemLookup),
                fake_emails: false,
            },
            kind,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Common)) -> Self {
        change(&mut self.common);
        self
    }

    /// Gives it another id: what `thirdPartyId` names. Users are kept by it, so it must never change once there are some.
    #[must_use]
    pub fn id(self, id: impl Into<String>) -> Self {
        self.with(|common| common.id = id.into())
    }

    /// Gives it another name, for people.
    #[must_use]
    pub fn name(self, name: impl Into<String>) -> Self {
        self.with(|common| common.name = name.into())
    }

    /// Adds a client. With several, each needs a type ([`Client::of_type`]); the first is the default.
    #[must_use]
    pub fn client(self, client: Client) -> Self {
        self.with(|common| common.clients.push(client))
    }

    /// Asks for these scopes, for clients that name none of their own.
    #[must_use]
    pub fn scopes(self, scopes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with(|common| common.scopes = scopes.into_iter().map(Into::into).collect())
    }

    /// Adds a parameter to the address that the browser is sent to, `prompt` for example; one that is there already is replaced.
    /// Those of the protocol cannot be set.
    #[must_use]
    pub fn parameter(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let (name, value) = (name.into(), value.into());
        self.without_parameter(&name)
            .with(|common| common.parameters.push((name, value)))
    }

    /// Leaves out a parameter that the provider usually gets.
    #[must_use]
    pub fn without_parameter(self, name: &str) -> Self {
        self.with(|common| common.parameters.retain(|(other, _)| other != name))
    }

    /// Believes hosts by these authorities (PEM) alone, instead of by those of the system: for a provider in a network of one's
    /// own.
    #[must_use]
    pub fn roots(self, pem: impl Into<Vec<u8>>) -> Self {
        self.with(|common| common.roots = Some(pem.into()))
    }

    /// Asks addresses in private networks too (RFC 1918, RFC 4193, RFC 6598). Without it a provider's documents cannot make this
    /// server ask its own network (threat A-OAU-11). Link-local addresses, where clouds keep their credentials, are never asked.
    #[must_use]
    pub fn allow_private_network(self) -> Self {
        self.with(|common| common.private = true)
    }

    /// How long one request may take: 100 ms to 30 s, 5 s by default. A sign-in takes up to five, and no longer than three times
    /// this.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        self.with(|common| common.patience = patience)
    }

    /// Judges the times in tokens by this clock; by default the system's.
    #[must_use]
    pub fn clock(self, clock: impl Clock) -> Self {
        self.with(|common| common.clock = Arc::new(clock))
    }

    /// Gives people of whom the provider tells no address one that is fake, `<id>.<provider>@stfakeemail.supertokens.com`, which the
    /// protocol's clients know as such. It is never verified. The host is not yours: what is sent there is sent to a stranger, so
    /// take people without an address instead where nothing depends on it.
    #[must_use]
    pub fn fake_emails(self) -> Self {
        self.with(|common| common.fake_emails = true)
    }
}

impl Common {
    /// Puts together what both kinds have.
    ///
    /// # Errors
    /// Every problem, with those in `problems`.
    pub(crate) fn build(self, reach: Reach, mut problems: Vec<String>) -> Result<Base, SetupError> {
        let mut say = |problem: &str| problems.push(problem.to_owned());
        let is_id = |id: &str| {
            (1..=64).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte))
        };
        if !is_id(&self.id) {
            say("the id must be 1 to 64 lower-case letters, digits, - and _");
        }
        if self.name.trim().is_empty() || self.name.len() > 64 || self.name.chars().any(char::is_control) {
            say("the name must have 1 to 64 printable characters");
        }
        if !(Duration::from_millis(100)..=Duration::from_secs(30)).contains(&self.patience) {
            say("patience must be 100 ms to 30 s");
        }
        if let Some((name, _)) = self
            .parameters
            .iter()
            .find(|(name, _)| RESERVED.contains(&name.as_str()))
        {
            say(&format!("the parameter {name} is the protocol's"));
        }
        let kinds: Vec<String> = self
            .clients
            .iter()
            .filter_map(|client| client.kind.clone())
            .collect();
        if self.clients.len() > 1 && kinds.len() < self.clients.len() {
            say("each of several clients needs a type");
        }
        if kinds
            .iter()
            .enumerate()
            .any(|(at, kind)| kinds.iter().skip(at + 1).any(|other| other == kind))
        {
            say("two clients have the same type");
        }
        problems.extend(self.clients.iter().flat_map(Client::problems));
        let network = Network::new(reach, self.roots.as_deref(), self.patience, self.lookup);
        match network {
            Ok(network) if problems.is_empty() => Ok(Base {
                id: self.id,
                name: self.name,
                clients: self.clients,
                kinds,
                scopes: self.scopes,
                parameters: self.parameters,
                network,
                deadline: self.patience * 3,
                clock: self.clock,
                fake_emails: self.fake_emails,
            }),
            Ok(_) => Err(SetupError(problems)),
            Err(problem) => {
                problems.push(problem);
                Err(SetupError(problems))
            }
        }
    }

    pub(crate) fn is_private(&self) -> bool {
        self.private
    }

    pub(crate) fn clients(&self) -> &[Client] {
        &self.clients
    }
}

impl<K: fmt::Debug> fmt::Debug for Setup<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("id", &self.common.id)
            .field("clients", &self.common.clients)
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

/// What every provider has, whatever it speaks.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) clients: Vec<Client>,
    pub(crate) kinds: Vec<String>,
    scopes: Vec<String>,
    parameters: Vec<(String, String)>,
    pub(crate) network: Network,
    deadline: Duration,
    clock: Arc<dyn Clock>,
    fake_emails: bool,
}

impl Base {
    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The client of that type; the first if none is named.
    ///
    /// # Errors
    /// [`ProviderError::UnknownClient`].
    pub(crate) fn client(&self, kind: Option<&str>) -> Result<&Client, ProviderError> {
        let found = match kind {
            None => self.clients.first(),
            Some(kind) => self
                .clients
                .iter()
                .find(|client| client.kind.as_deref() == Some(kind)),
        };
        found.ok_or(ProviderError::UnknownClient)
    }

    /// The same, if it takes tokens that an application on a device got by itself.
    ///
    /// # Errors
    /// [`ProviderError::UnknownClient`]; [`ProviderError::Unsupported`].
    pub(crate) fn client_with_tokens(&self, kind: Option<&str>) -> Result<&Client, ProviderError> {
        let client = self.client(kind)?;
        client
            .takes_tokens
            .then_some(client)
            .ok_or(ProviderError::Unsupported)
    }

    /// The address that the browser is sent to.
    ///
    /// # Source
    /// RFC 6749 §4.1.1, RFC 7636 §4.3.
    pub(crate) fn address(
        &self,
        endpoint: &Url,
        client: &Client,
        redirect_uri: &str,
        of_protocol: &[(&str, &str)],
    ) -> String {
        let scope = client.scopes.as_ref().unwrap_or(&self.scopes).join(" ");
        let ours = [
            ("client_id", client.id.as_str()),
            ("redirect_uri", redirect_uri),
            ("response_type", "code"),
            ("scope", &scope),
        ];
        let more = self
            .parameters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let all: Vec<(&str, &str)> = ours
            .into_iter()
            .chain(of_protocol.iter().copied())
            .chain(more)
            .filter(|(name, value)| *name != "scope" || !value.is_empty())
            .collect();
        // An endpoint may come with a query of its own (RFC 6749 §3.1), in which nothing of ours may be said otherwise.
        let theirs: Vec<(String, String)> = endpoint
            .query_pairs()
            .filter(|(name, _)| !RESERVED.contains(&&**name) && all.iter().all(|(other, _)| name != other))
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        let mut address = endpoint.clone();
        address.set_query(None);
        address.query_pairs_mut().extend_pairs(theirs).extend_pairs(all);
        address.into()
    }

    /// Puts together who it is.
    pub(crate) fn identity(&self, issuer: String, subject: String, told: Option<Told>) -> Identity {
        let email = told.map(ProvidedEmail::from).or_else(|| {
            self.fake_emails.then(|| ProvidedEmail {
                address: fake(&self.id, &subject),
                verified: false,
            })
        });
        Identity {
            issuer,
            subject,
            email,
        }
    }

    /// What `work` brings, if it does so in time.
    ///
    /// # Errors
    /// Those of `work`, and [`ProviderError::Unavailable`].
    pub(crate) async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ProviderError>>,
    ) -> Result<T, ProviderError> {
        match tokio::time::timeout(self.deadline, work).await {
            Ok(result) => result,
            Err(elapsed) => Err(ProviderError::Unavailable(Box::new(elapsed))),
        }
    }
}

/// The PKCE parameters of a request.
pub(crate) fn pkce(request: &Authorize) -> [(&str, &str); 2] {
    [
        ("code_challenge", &request.challenge),
        ("code_challenge_method", "S256"),
    ]
}

/// The default of [`Setup::patience`].
const PATIENCE: Duration = Duration::from_secs(5);

/// Parameters that are the protocol's, or its client's.
const RESERVED: [&str; 11] = [
    "client_id",
    "redirect_uri",
    "response_type",
    "scope",
    "state",
    "nonce",
    "code_challenge",
    "code_challenge_method",
    "request",
    "request_uri",
    "client_secret",
];
