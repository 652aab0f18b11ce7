//! An honest issuer on loopback, a provider that is pinned to it, and a sign-in.

use std::time::Duration;

use serde_json::{Value, json};
use stepup_core::provider::{Authorize, Identity, Proof, Provider, ProviderError};
use stepup_core::secret::Secret;

use super::fake::{Hand, Reply, Server, Signer};
use crate::client::Client;
use crate::openid::{OpenId, OpenIdProvider, openid};
use crate::setup::Setup;

pub(super) const CLIENT: &str = "shop";
pub(super) const NONCE: &str = "n-0S6_WzA2Mj";
pub(super) const REDIRECT: &str = "https://acme.test/auth/callback/own";
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
/// Of [`VERIFIER`] (RFC 7636, appendix B).
pub(super) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(super) const NOW: i64 = 1_800_000_000;

pub(super) struct World {
    pub(super) issuer: Server,
    pub(super) key: Signer,
    pub(super) clock: Hand,
    pub(super) provider: OpenIdProvider,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(|setup| setup).await
    }

    pub(super) async fn with(change: impl FnOnce(Setup<OpenId>) -> Setup<OpenId>) -> Self {
        let issuer = Server::start().await;
        let (key, clock) = (Signer::es256("k1"), Hand::at(NOW));
        let client = Client::new(CLIENT, secret("s3cret canary")).takes_tokens();
        let setup = openid("own", "Own", &issuer.origin(), client)
            .clock(clock.clone())
            .patience(Duration::from_millis(500));
        let provider = change(setup).build().unwrap();
        let world = Self {
            issuer,
            key,
            clock,
            provider,
        };
        world.discovery(json!({}));
        world.keys(&[&world.key]);
        world.token(&world.key.sign(&world.claims()));
        world
    }

    /// Publishes the discovery document, with some members changed; those that are null are left out.
    pub(super) fn discovery(&self, changes: Value) {
        let origin = self.issuer.origin();
        let mut document = json!({
            "issuer": origin,
            "authorization_endpoint": format!("{origin}/authorize"),
            "token_endpoint": format!("{origin}/token"),
            "userinfo_endpoint": format!("{origin}/me"),
            "jwks_uri": format!("{origin}/keys"),
            "token_endpoint_auth_methods_supported": ["client_secret_post"],
        });
        change(&mut document, changes);
        self.issuer
            .answers("/.well-known/openid-configuration", Reply::Json(document));
    }

    pub(super) fn keys(&self, keys: &[&Signer]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.issuer.answers("/keys", Reply::Json(json!({ "keys": keys })));
    }

    /// The id token that the next code brings.
    pub(super) fn token(&self, id_token: &str) {
        let answer = json!({ "access_token": "at-canary", "token_type": "Bearer", "id_token": id_token });
        self.issuer.answers("/token", Reply::Json(answer));
    }

    /// What an honest token says.
    pub(super) fn claims(&self) -> Value {
        json!({
            "iss": self.issuer.origin(), "aud": CLIENT, "sub": "248289761001", "nonce": NONCE,
            "iat": self.clock.secs(), "exp": self.clock.secs() + 300,
            "email": "ann@acme.test", "email_verified": true,
        })
    }

    /// Signs in by a code.
    pub(super) async fn sign_in(&self) -> Result<Identity, ProviderError> {
        self.provider.identify(&code()).await
    }

    /// Signs in by a code whose id token says something else.
    pub(super) async fn sign_in_saying(&self, changes: Value) -> Result<Identity, ProviderError> {
        let mut claims = self.claims();
        change(&mut claims, changes);
        self.token(&self.key.sign(&claims));
        self.sign_in().await
    }

    pub(super) async fn sign_in_by(&self, id_token: &str) -> Result<Identity, ProviderError> {
        self.token(id_token);
        self.sign_in().await
    }
}

/// Changes members; null takes one away.
pub(super) fn change(object: &mut Value, changes: Value) {
    let (Value::Object(object), Value::Object(changes)) = (object, changes) else {
        panic!("no objects");
    };
    for (name, value) in changes {
        match value {
            Value::Null => drop(object.remove(&name)),
            value => drop(object.insert(name, value)),
        }
    }
}

pub(super) fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

pub(super) fn request() -> Authorize {
    Authorize::new(REDIRECT.to_owned(), CHALLENGE.to_owned(), NONCE.to_owned())
}

pub(super) fn code() -> Proof {
    Proof::Code {
        client_type: None,
        code: secret("c0de canary"),
        redirect_uri: REDIRECT.to_owned(),
        verifier: secret(VERIFIER),
        nonce: NONCE.to_owned(),
    }
}

pub(super) fn tokens(id: Option<&str>, access: Option<&str>) -> Proof {
    Proof::Tokens {
        client_type: None,
        id_token: id.map(secret),
        access_token: access.map(secret),
    }
}

/// Why somebody was refused; it must repeat no secret.
pub(super) fn reason(result: Result<Identity, ProviderError>) -> String {
    let error = result.expect_err("somebody was identified");
    let shown = format!("{error:?} {error}");
    assert!(!shown.contains("canary"), "{shown}");
    match error {
        ProviderError::Refused(reason) => format!("refused: {reason}"),
        ProviderError::Untrusted(reason) => format!("untrusted: {reason}"),
        ProviderError::Unavailable(_) => "unavailable".to_owned(),
        other => other.to_string(),
    }
}
