//! A provider of identities in memory, which tells what a test wants it to, lies included.
//!
//! It is as strict as a good provider: a code works once, for the client, the address and the challenge that it was asked
//! for with. What a test finds accepted would therefore be accepted by a real one.
//!
//! ```
//! use stepup_core::factor::third_party::ThirdParty;
//! use stepup_testkit::app::TestApp;
//! use stepup_testkit::provider::{FakeProvider, Somebody};
//!
//! # async fn test() {
//! let provider = FakeProvider::new("example");
//! let factor = ThirdParty::new().provider(provider.clone());
//! let kit = TestApp::with(|builder| builder.factor(factor)).await;
//! // The address is that of `GET /auth/authorisationurl`; what the browser comes back with goes to `POST /auth/signinup`.
//! let code = provider.consent("https://example.provider.test/…", &Somebody::new("1", "ann@example.com"));
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use stepup_core::provider::{Authorize, Identity, Proof, ProvidedEmail, Provider, ProviderError};
use url::Url;

/// A provider. Clones share it.
#[derive(Clone)]
pub struct FakeProvider {
    id: String,
    name: String,
    clients: Vec<String>,
    takes_tokens: bool,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    codes: BTreeMap<String, Granted>,
    tokens: BTreeMap<String, Granted>,
    mood: Mood,
    issued: usize,
    asked: usize,
}

#[derive(Clone)]
struct Granted {
    client: Option<String>,
    redirect_uri: String,
    challenge: String,
    nonce: String,
    somebody: Somebody,
}

/// How it behaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mood {
    /// As it should.
    #[default]
    Honest,
    /// It does not answer.
    Down,
    /// What it answers is not believed, for this reason: another issuer, a wrong nonce, an expired token.
    Untrusted(&'static str),
}

/// Who has an account there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Somebody {
    /// Who vouches.
    pub issuer: String,
    /// Who it is.
    pub subject: String,
    /// The address that is told.
    pub email: Option<String>,
    /// Whether the provider vouches for it.
    pub verified: bool,
}

impl Somebody {
    /// Somebody with an address that the provider vouches for.
    pub fn new(subject: impl Into<String>, email: impl Into<String>) -> Self {
        Self {
            issuer: "https://issuer.test".to_owned(),
            subject: subject.into(),
            email: Some(email.into()),
            verified: true,
        }
    }

    /// The same, but for the address the provider does not vouch.
    #[must_use]
    pub fn unverified(self) -> Self {
        Self {
            verified: false,
            ..self
        }
    }

    /// The same without an address.
    #[must_use]
    pub fn without_email(self) -> Self {
        Self { email: None, ..self }
    }
}

impl FakeProvider {
    /// A provider with one client that has no name.
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self {
            name: format!("Provider {id}"),
            id,
            clients: Vec::new(),
            takes_tokens: false,
            held: Arc::default(),
        }
    }

    /// The same with several clients, the first of which is the default.
    #[must_use]
    pub fn with_clients<C: Into<String>>(self, clients: impl IntoIterator<Item = C>) -> Self {
        Self {
            clients: clients.into_iter().map(Into::into).collect(),
            ..self
        }
    }

    /// The same, whose clients take tokens that applications on devices got by themselves.
    #[must_use]
    pub fn with_tokens(self) -> Self {
        Self {
            takes_tokens: true,
            ..self
        }
    }

    /// Changes how it behaves.
    pub fn behave(&self, mood: Mood) {
        self.held().mood = mood;
    }

    /// How often it was asked who somebody is.
    pub fn asked(&self) -> usize {
        self.held().asked
    }

    /// `somebody` says yes on the page at `url`: the code that the browser brings back.
    ///
    /// # Panics
    /// If `url` is not of this provider, or lacks what a sign-in must have: PKCE by S256, a nonce, an address to go back to.
    pub fn consent(&self, url: &str, somebody: &Somebody) -> String {
        let url = Url::parse(url).expect("an address");
        assert_eq!(url.host_str(), Some(self.host().as_str()), "{url}");
        let parameter = |name: &str| {
            let mut all = url.query_pairs().filter(|(key, _)| key == name);
            let (_, value) = all.next().unwrap_or_else(|| panic!("{name} is missing: {url}"));
            assert!(all.next().is_none(), "{name} is there twice: {url}");
            value.into_owned()
        };
        assert_eq!(parameter("response_type"), "code");
        assert_eq!(parameter("code_challenge_method"), "S256");
        let client = Some(parameter("client_id")).filter(|client| !client.is_empty());
        let granted = Granted {
            client,
            redirect_uri: parameter("redirect_uri"),
            challenge: parameter("code_challenge"),
            nonce: parameter("nonce"),
            somebody: somebody.clone(),
        };
        let mut held = self.held();
        held.issued += 1;
        let code = format!("code-{}-{}", self.id, held.issued);
        held.codes.insert(code.clone(), granted);
        code
    }

    /// An id token about `somebody` that was given to `client`: one of ours, or somebody else's.
    pub fn id_token(&self, somebody: &Somebody, client: Option<&str>) -> String {
        let mut held = self.held();
        held.issued += 1;
        let token = format!("token-{}-{}", self.id, held.issued);
        let granted = Granted {
            client: client.map(str::to_owned),
            redirect_uri: String::new(),
            challenge: String::new(),
            nonce: String::new(),
            somebody: somebody.clone(),
        };
        held.tokens.insert(token.clone(), granted);
        token
    }

    fn host(&self) -> String {
        format!("{}.provider.test", self.id)
    }

    fn client(&self, named: Option<&String>) -> Option<String> {
        named.or(self.clients.first()).cloned()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Provider for FakeProvider {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn client_types(&self) -> &[String] {
        &self.clients
    }

    fn takes_tokens(&self, _: Option<&str>) -> bool {
        self.takes_tokens
    }

    async fn authorize(&self, request: &Authorize) -> Result<String, ProviderError> {
        if self.held().mood == Mood::Down {
            return Err(down());
        }
        let mut url = Url::parse(&format!("https://{}/authorize", self.host())).expect("an address");
        let client = self.client(request.client_type.as_ref()).unwrap_or_default();
        url.query_pairs_mut()
            .append_pair("client_id", &client)
            .append_pair("redirect_uri", &request.redirect_uri)
            .append_pair("response_type", "code")
            .append_pair("code_challenge", &request.challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("nonce", &request.nonce);
        Ok(url.into())
    }

    async fn identify(&self, proof: &Proof) -> Result<Identity, ProviderError> {
        let mut held = self.held();
        held.asked += 1;
        match held.mood {
            Mood::Down => return Err(down()),
            Mood::Untrusted(reason) => return Err(ProviderError::Untrusted(reason)),
            Mood::Honest => {}
        }
        let granted = match proof {
            Proof::Code {
                client_type,
                code,
                redirect_uri,
                verifier,
                nonce,
            } => {
                // Spent before it is judged.
                let granted = held.codes.remove(code.expose());
                let granted = granted.ok_or(ProviderError::Refused("unknown_code"))?;
                if granted.client != self.client(client_type.as_ref()) {
                    return Err(ProviderError::Refused("other_client"));
                }
                if granted.redirect_uri != *redirect_uri {
                    return Err(ProviderError::Refused("other_redirect"));
                }
                let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.expose()));
                if granted.challenge != challenge {
                    return Err(ProviderError::Refused("wrong_verifier"));
                }
                if granted.nonce != *nonce {
                    return Err(ProviderError::Untrusted("nonce"));
                }
                granted
            }
            Proof::Tokens {
                client_type,
                id_token: Some(token),
                ..
            } => {
                // It lives on, as that of a real one.
                let granted = held.tokens.get(token.expose()).cloned();
                let granted = granted.ok_or(ProviderError::Refused("unknown_token"))?;
                if granted.client != self.client(client_type.as_ref()) {
                    return Err(ProviderError::Refused("audience"));
                }
                granted
            }
            _ => return Err(ProviderError::Unsupported),
        };
        let Somebody {
            issuer,
            subject,
            email,
            verified,
        } = granted.somebody;
        Ok(Identity {
            issuer,
            subject,
            email: email.map(|address| ProvidedEmail { address, verified }),
        })
    }
}

fn down() -> ProviderError {
    ProviderError::Unavailable("nobody answers".into())
}

impl fmt::Debug for FakeProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FakeProvider({})", self.id)
    }
}
