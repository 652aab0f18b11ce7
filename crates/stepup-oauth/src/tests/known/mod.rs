//! The providers that people know, against what they document: addresses, forms, headers, and answers as they give them.
//! The server is all of their hosts, over TLS; nothing of a provider's addresses is changed for the tests.

mod oauth2;
mod openid;

use serde_json::{Value, json};
use stepup_core::provider::{Identity, Provider};

use super::fake::{Asked, Hand, Names, Reply, Server, Signer, found_by};
use super::world::{CHALLENGE, NONCE, NOW, REDIRECT, VERIFIER, change, request, secret};
use crate::{Client, Setup};

const HOSTS: &[&str] = &[
    "accounts.google.com",
    "oauth2.googleapis.com",
    "www.googleapis.com",
    "appleid.apple.com",
    "login.microsoftonline.com",
    "gitlab.com",
    "acme.okta.com",
    "github.com",
    "api.github.com",
    "graph.facebook.com",
    "discord.com",
    "www.linkedin.com",
    "api.linkedin.com",
    "api.x.com",
    "bitbucket.org",
    "api.bitbucket.org",
];

fn client() -> Client {
    Client::new("shop", secret("s3cret"))
}

/// A server that is everybody.
struct Internet {
    server: Server,
    pem: String,
    key: Signer,
}

impl Internet {
    async fn new() -> Self {
        let (server, pem) = Server::start_as(HOSTS).await;
        Self {
            server,
            pem,
            key: Signer::rs256("k1"),
        }
    }

    /// Lets a provider be reached here.
    fn reaching<K>(&self, setup: Setup<K>) -> Setup<K> {
        found_by(setup, Names(vec![self.server.address]))
            .roots(self.pem.clone())
            .allow_private_network()
            .clock(Hand::at(NOW))
    }

    fn answers(&self, at: &str, value: Value) {
        self.server.answers(at, Reply::Json(value));
    }

    /// Publishes an issuer whose endpoints are at `base`.
    fn publishes(&self, issuer: &str, base: &str, document: &str) {
        let document = document.trim_start_matches("https://");
        self.answers(
            &format!("{document}/.well-known/openid-configuration"),
            json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{base}/authorize"),
                "token_endpoint": format!("{base}/token"),
                "jwks_uri": format!("{base}/keys"),
                "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
            }),
        );
        self.answers("/keys", json!({ "keys": [self.key.jwk()] }));
    }

    /// The id token that the next code brings.
    fn tells(&self, claims: Value) {
        let mut all = json!({ "aud": "shop", "iat": NOW, "exp": NOW + 600, "nonce": NONCE });
        change(&mut all, claims);
        let token = self.key.sign(&all);
        self.answers(
            "/token",
            json!({ "access_token": "at", "id_token": token, "token_type": "Bearer", "expires_in": 3599 }),
        );
    }

    /// The requests, in their order.
    fn asked(&self) -> Vec<Asked> {
        self.server.asked()
    }

    fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

/// The address that the browser is sent to: without its query, and its parameters.
async fn sent(provider: &impl Provider) -> (String, Vec<(String, String)>) {
    let mut url = url::Url::parse(&provider.authorize(&request()).await.unwrap()).unwrap();
    let pairs = url.query_pairs().into_owned().collect();
    url.set_query(None);
    (url.into(), pairs)
}

fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter()
        .map(|&(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// What the browser of a client of OAuth 2 is sent with.
fn usual(scope: &str, pkce: bool) -> Vec<(String, String)> {
    let mut all = vec![
        ("client_id", "shop"),
        ("redirect_uri", REDIRECT),
        ("response_type", "code"),
        ("scope", scope),
    ];
    if pkce {
        all.extend([("code_challenge", CHALLENGE), ("code_challenge_method", "S256")]);
    }
    pairs(&all)
}

/// How a client of OAuth 2 spends its code: the secret in the form.
fn spent(pkce: bool) -> Vec<(String, String)> {
    let mut all = vec![
        ("grant_type", "authorization_code"),
        ("code", "c0de canary"),
        ("redirect_uri", REDIRECT),
    ];
    if pkce {
        all.push(("code_verifier", VERIFIER));
    }
    all.extend([("client_id", "shop"), ("client_secret", "s3cret")]);
    pairs(&all)
}

fn email(identity: &Identity) -> Option<(&str, bool)> {
    identity
        .email
        .as_ref()
        .map(|email| (email.address.as_str(), email.verified))
}
