//! The providers that people know, against what they document: addresses, forms, headers, and answers as they give them.
//! The server is all of their hosts, over TLS; nothing of a provider's addresses is changed for the tests.

use serde_json::{Value, json};
use stepup_core::provider::{Identity, Proof, Provider, ProviderError};

use super::fake::{Asked, Hand, Names, Reply, Server, Signer, found_by};
use super::world::{
    CHALLENGE, NONCE, NOW, REDIRECT, VERIFIER, change, code, reason, request, secret, tokens,
};
use crate::apple::tests::handed_out;
use crate::{
    AppleKey, Client, Directories, OAuth2, OpenId, Setup, apple, bitbucket, discord, facebook, github,
    gitlab, google, google_workspaces, linkedin, microsoft, okta, x,
};

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

async fn signed_in(net: &Internet, setup: Setup<OpenId>) -> Result<Identity, ProviderError> {
    net.reaching(setup).build().unwrap().identify(&code()).await
}

#[tokio::test]
async fn google_is_asked_as_it_documents() {
    let net = Internet::new().await;
    net.publishes(
        "https://accounts.google.com",
        "https://oauth2.googleapis.com",
        "https://accounts.google.com",
    );
    net.tells(json!({
        "iss": "https://accounts.google.com", "azp": "shop", "sub": "110169484474386276334", "hd": "acme.test",
        "email": "ann@acme.test", "email_verified": true, "at_hash": crate::Algorithm::Rs256.half_hash("at"),
    }));
    let provider = net.reaching(google(client())).build().unwrap();
    assert_eq!((provider.id(), provider.name()), ("google", "Google"));
    let (to, with) = sent(&provider).await;
    assert_eq!(to, "https://oauth2.googleapis.com/authorize");
    let mut expected = usual("openid email", true);
    expected.extend(pairs(&[("nonce", NONCE)]));
    assert_eq!(with, expected);

    let identity = provider.identify(&code()).await.unwrap();
    assert_eq!(identity.issuer, "https://accounts.google.com");
    assert_eq!(identity.subject, "110169484474386276334");
    assert_eq!(email(&identity), Some(("ann@acme.test", true)));
    assert_eq!(
        net.lines(),
        [
            "GET https://accounts.google.com/.well-known/openid-configuration",
            "POST https://oauth2.googleapis.com/token",
            "GET https://oauth2.googleapis.com/keys",
        ]
    );
    assert_eq!(net.asked()[1].form(), spent(true));
}

#[tokio::test]
async fn google_workspaces_lets_the_domain_in_that_google_names() {
    let net = Internet::new().await;
    net.publishes(
        "https://accounts.google.com",
        "https://oauth2.googleapis.com",
        "https://accounts.google.com",
    );
    let tells = |hd: Value| {
        net.tells(json!({
            "iss": "https://accounts.google.com", "sub": "1", "hd": hd, "email": "ann@acme.test", "email_verified": true,
        }));
    };
    let one = || google_workspaces(client(), ["acme.test"]);
    let any = || google_workspaces(client(), [""; 0]);
    for (setup, hint) in [(one(), "acme.test"), (any(), "*")] {
        let provider = net.reaching(setup).build().unwrap();
        assert_eq!(provider.id(), "google-workspaces");
        assert!(
            sent(&provider)
                .await
                .1
                .contains(&("hd".to_owned(), hint.to_owned()))
        );
    }
    tells(json!("acme.test"));
    assert!(signed_in(&net, one()).await.is_ok());
    tells(json!("other.test"));
    assert_eq!(
        reason(signed_in(&net, one()).await),
        "refused: a person of another organization"
    );
    assert!(signed_in(&net, any()).await.is_ok());
    tells(json!(null));
    assert_eq!(
        reason(signed_in(&net, one()).await),
        "refused: a person of another organization"
    );
    assert_eq!(
        reason(signed_in(&net, any()).await),
        "refused: a person of another organization"
    );
}

#[tokio::test]
async fn apple_is_asked_with_a_secret_that_its_key_signed() {
    let net = Internet::new().await;
    net.publishes(
        "https://appleid.apple.com",
        "https://appleid.apple.com/auth",
        "https://appleid.apple.com",
    );
    let (pem, _) = handed_out();
    let key = AppleKey::new("KEY1234567", "TEAM123456", &pem).unwrap();
    let setup = apple(Client::apple("com.acme.web", key.clone()).of_type("web"))
        .client(Client::apple("com.acme.ios", key).of_type("ios"));
    let provider = net.reaching(setup).build().unwrap();
    let (to, with) = sent(&provider).await;
    assert_eq!(to, "https://appleid.apple.com/auth/authorize");
    for pair in [
        ("response_mode", "form_post"),
        ("scope", "openid email"),
        ("nonce", NONCE),
        ("client_id", "com.acme.web"),
    ] {
        assert!(
            with.contains(&(pair.0.to_owned(), pair.1.to_owned())),
            "{pair:?} of {with:?}"
        );
    }
    let claims = json!({
        "iss": "https://appleid.apple.com", "aud": "com.acme.web", "sub": "001234.abcdef.5678", "iat": NOW, "exp": NOW + 600,
        "nonce": NONCE, "nonce_supported": true, "email": "x7@privaterelay.appleid.com", "email_verified": "true",
        "is_private_email": "true",
    });
    let answer = |claims: &Value| json!({ "access_token": "at", "id_token": net.key.sign(claims), "token_type": "Bearer" });
    net.answers("/auth/token", answer(&claims));
    net.answers("/auth/keys", json!({ "keys": [net.key.jwk()] }));
    let identity = provider.identify(&code()).await.unwrap();
    assert_eq!(identity.subject, "001234.abcdef.5678");
    assert_eq!(email(&identity), Some(("x7@privaterelay.appleid.com", true)));
    let form = net.asked()[1].form();
    let field = |name: &str| form.iter().find(|(field, _)| field == name).unwrap().1.clone();
    assert_eq!(field("client_id"), "com.acme.web");
    assert_eq!(field("client_secret").split('.').count(), 3);
    assert_eq!(field("code_verifier"), VERIFIER);

    // An application on a device has a token for its own bundle.
    let mut native = claims.clone();
    change(&mut native, json!({ "aud": "com.acme.ios", "nonce": null }));
    let proof = |kind: &str| Proof::Tokens {
        client_type: Some(kind.to_owned()),
        id_token: Some(secret(&net.key.sign(&native))),
        access_token: None,
    };
    assert_eq!(
        provider.identify(&proof("ios")).await.unwrap().subject,
        "001234.abcdef.5678"
    );
    assert_eq!(
        reason(provider.identify(&proof("web")).await),
        "refused: an id token for another client"
    );
}

const DIRECTORY: &str = "72f988bf-86f1-41af-91ab-2d7cd011db47";
const OTHER: &str = "11111111-2222-4333-8444-555555555555";

#[tokio::test]
async fn microsoft_is_pinned_to_the_directory() {
    let net = Internet::new().await;
    let issuer = |id: &str| format!("https://login.microsoftonline.com/{id}/v2.0");
    net.publishes(
        &issuer(DIRECTORY),
        "https://login.microsoftonline.com",
        &issuer(DIRECTORY),
    );
    let setup = || microsoft(Directories::One(DIRECTORY.to_uppercase()), client());
    let tells = |id: &str, more: Value| {
        let mut claims = json!({ "iss": issuer(id), "tid": id, "sub": "AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ", "email": "ceo@acme.test" });
        change(&mut claims, more);
        net.tells(claims);
    };
    tells(DIRECTORY, json!({ "email_verified": true }));
    let identity = signed_in(&net, setup()).await.unwrap();
    assert_eq!(identity.issuer, issuer(DIRECTORY));
    // Whoever administers a directory writes what he likes.
    assert_eq!(email(&identity), Some(("ceo@acme.test", false)));
    tells(DIRECTORY, json!({ "xms_edov": true }));
    assert_eq!(
        email(&signed_in(&net, setup()).await.unwrap()),
        Some(("ceo@acme.test", true))
    );
    tells(OTHER, json!({}));
    assert_eq!(
        reason(signed_in(&net, setup()).await),
        "untrusted: an id token of another issuer"
    );
    for wrong in ["acme.onmicrosoft.com", "common", ""] {
        assert!(
            microsoft(Directories::One(wrong.to_owned()), client())
                .build()
                .is_err(),
            "{wrong}"
        );
    }
    assert!(microsoft(Directories::Some(vec![]), client()).build().is_err());
    assert!(
        microsoft(Directories::Some(vec!["common".to_owned()]), client())
            .build()
            .is_err()
    );
}

#[tokio::test]
async fn a_oau_05_directories_of_microsoft_cannot_speak_for_one_another() {
    let net = Internet::new().await;
    let host = "https://login.microsoftonline.com";
    let issuer = |id: &str| format!("{host}/{id}/v2.0");
    net.publishes(&issuer("{tenantid}"), host, &format!("{host}/organizations/v2.0"));
    let some = || microsoft(Directories::Some(vec![DIRECTORY.to_owned()]), client());
    let any = || microsoft(Directories::Any, client());
    let tells = |iss: String, tid: Value| net.tells(json!({ "iss": iss, "tid": tid, "sub": "1" }));

    tells(issuer(DIRECTORY), json!(DIRECTORY));
    assert_eq!(signed_in(&net, some()).await.unwrap().issuer, issuer(DIRECTORY));
    tells(issuer(OTHER), json!(OTHER));
    assert_eq!(
        reason(signed_in(&net, some()).await),
        "untrusted: an id token of another issuer"
    );
    assert_eq!(signed_in(&net, any()).await.unwrap().issuer, issuer(OTHER));
    for (iss, tid) in [
        (issuer(OTHER), json!(DIRECTORY)),
        (issuer("{tenantid}"), json!("{tenantid}")),
        (issuer("x"), json!("x")),
        (issuer(OTHER), json!(null)),
        (format!("https://evil.test/{OTHER}/v2.0"), json!(OTHER)),
    ] {
        tells(iss.clone(), tid.clone());
        assert_eq!(
            reason(signed_in(&net, any()).await),
            "untrusted: an id token of another issuer",
            "{iss} {tid}"
        );
    }
    // The set has keys of directories that sign for themselves alone.
    let mut key = net.key.jwk();
    key["issuer"] = json!(issuer(OTHER));
    net.answers("/keys", json!({ "keys": [key] }));
    tells(issuer(DIRECTORY), json!(DIRECTORY));
    assert_eq!(
        reason(signed_in(&net, any()).await),
        "untrusted: an id token by a key of another issuer"
    );
    tells(issuer(OTHER), json!(OTHER));
    assert!(signed_in(&net, any()).await.is_ok());
}

#[tokio::test]
async fn gitlab_and_okta_are_found_by_their_own_addresses() {
    let net = Internet::new().await;
    for (setup, issuer, id) in [
        (
            gitlab("https://gitlab.com", client()),
            "https://gitlab.com",
            "gitlab",
        ),
        (
            okta("https://acme.okta.com", client()),
            "https://acme.okta.com",
            "okta",
        ),
    ] {
        net.publishes(issuer, issuer, issuer);
        net.tells(json!({ "iss": issuer, "sub": "7", "email": "ann@acme.test", "email_verified": false }));
        let provider = net.reaching(setup).build().unwrap();
        assert_eq!(provider.id(), id);
        let identity = provider.identify(&code()).await.unwrap();
        assert_eq!(
            (identity.issuer.as_str(), email(&identity)),
            (issuer, Some(("ann@acme.test", false)))
        );
    }
}

fn reached(net: &Internet, setup: Setup<OAuth2>) -> impl Provider {
    net.reaching(setup).build().unwrap()
}

#[tokio::test]
async fn github_is_asked_twice_and_people_are_told_apart_by_number() {
    let net = Internet::new().await;
    let provider = reached(&net, github(client()));
    let (to, with) = sent(&provider).await;
    assert_eq!(to, "https://github.com/login/oauth/authorize");
    assert_eq!(with, usual("read:user user:email", true));
    net.answers(
        "/login/oauth/access_token",
        json!({ "access_token": "gho_x", "scope": "read:user,user:email", "token_type": "bearer" }),
    );
    net.answers("api.github.com/user", json!({ "login": "octocat", "id": 583_231, "email": "public@other.test", "two_factor_authentication": true }));
    let list = |verified: bool| {
        json!([
            { "email": "old@acme.test", "primary": false, "verified": true, "visibility": null },
            { "email": "octocat@acme.test", "primary": true, "verified": verified, "visibility": "public" },
        ])
    };
    net.answers("api.github.com/user/emails", list(true));
    let identity = provider.identify(&code()).await.unwrap();
    assert_eq!(
        (identity.issuer.as_str(), identity.subject.as_str()),
        ("https://github.com", "583231")
    );
    assert_eq!(email(&identity), Some(("octocat@acme.test", true)));
    let asked = net.asked();
    assert_eq!(
        net.lines(),
        [
            "POST https://github.com/login/oauth/access_token",
            "GET https://api.github.com/user",
            "GET https://api.github.com/user/emails",
        ]
    );
    assert_eq!(asked[0].form(), spent(true));
    assert_eq!(asked[0].header("accept"), Some("application/json"));
    for asked in &asked[1..] {
        assert_eq!(asked.header("authorization"), Some("Bearer gho_x"));
        assert!(asked.header("user-agent").unwrap().starts_with("stepup-oauth/"));
    }
    net.answers("api.github.com/user/emails", list(false));
    assert_eq!(
        email(&provider.identify(&code()).await.unwrap()),
        Some(("octocat@acme.test", false))
    );
    net.answers("api.github.com/user/emails", json!([]));
    assert_eq!(provider.identify(&code()).await.unwrap().email, None);
    // It refuses with 200.
    net.answers(
        "/login/oauth/access_token",
        json!({ "error": "bad_verification_code", "error_description": "canary" }),
    );
    assert_eq!(reason(provider.identify(&code()).await), "refused: the code");
}

#[tokio::test]
async fn a_oau_13_github_is_asked_whose_a_token_is() {
    let net = Internet::new().await;
    let provider = reached(&net, github(client()));
    net.answers("api.github.com/user", json!({ "id": 1 }));
    net.answers("api.github.com/user/emails", json!([]));
    let check = "api.github.com/applications/shop/token";
    let app = |id: &str| json!({ "app": { "client_id": id, "name": "Shop" }, "user": { "id": 1 } });
    net.answers(check, app("shop"));
    assert_eq!(
        provider
            .identify(&tokens(None, Some("gho_canary")))
            .await
            .unwrap()
            .subject,
        "1"
    );
    let asked = net.asked();
    assert_eq!(
        asked[0].line,
        "POST https://api.github.com/applications/shop/token"
    );
    assert_eq!(asked[0].header("authorization"), Some("Basic c2hvcDpzM2NyZXQ="));
    assert_eq!(asked[0].body, r#"{"access_token":"gho_canary"}"#);

    let ours = "refused: an access token of another client";
    net.answers(check, app("mallorys-game"));
    assert_eq!(
        reason(provider.identify(&tokens(None, Some("gho_canary"))).await),
        ours
    );
    net.server
        .answers(check, Reply::Status(404, json!({ "message": "Not Found" })));
    assert_eq!(
        reason(provider.identify(&tokens(None, Some("gho_canary"))).await),
        ours
    );
    net.answers(check, json!({}));
    assert_eq!(
        reason(provider.identify(&tokens(None, Some("gho_canary"))).await),
        ours
    );
    let id_token = provider.identify(&tokens(Some("a.b.c"), None)).await;
    assert_eq!(reason(id_token), "the provider takes no such proof");
    // Nobody asked whose it is without a secret to ask with.
    let public = reached(&net, github(Client::public("shop")));
    assert_eq!(
        reason(public.identify(&tokens(None, Some("gho_canary"))).await),
        "the provider takes no such proof"
    );
}

#[tokio::test]
async fn facebook_is_shown_the_token_in_the_query_and_verifies_no_address() {
    let net = Internet::new().await;
    let provider = reached(&net, facebook(client()));
    let (to, with) = sent(&provider).await;
    assert_eq!(to, "https://www.facebook.com/v23.0/dialog/oauth");
    assert_eq!(with, usual("email", false));
    net.answers(
        "/v23.0/oauth/access_token",
        json!({ "access_token": "EAA", "token_type": "bearer", "expires_in": 5_180_000 }),
    );
    net.answers(
        "/v23.0/me",
        json!({ "id": "10158", "email": "ann@acme.test", "verified": true }),
    );
    let identity = provider.identify(&code()).await.unwrap();
    assert_eq!(
        (identity.issuer.as_str(), identity.subject.as_str()),
        ("https://www.facebook.com", "10158")
    );
    assert_eq!(email(&identity), Some(("ann@acme.test", false)));
    let asked = net.asked();
    assert_eq!(asked[0].form(), spent(false));
    assert_eq!(
        asked[1].line,
        "GET https://graph.facebook.com/v23.0/me?fields=id%2Cemail&access_token=EAA".replace("%2C", ",")
    );
    assert_eq!(asked[1].header("authorization"), None);

    let told =
        |app: Value, valid: bool| json!({ "data": { "app_id": app, "is_valid": valid, "user_id": "10158" } });
    let by = async || provider.identify(&tokens(None, Some("EAA"))).await;
    net.answers("/v23.0/debug_token", told(json!("shop"), true));
    assert!(by().await.is_ok());
    let line = net
        .lines()
        .into_iter()
        .find(|line| line.contains("debug_token"))
        .unwrap();
    assert!(
        line.ends_with("/v23.0/debug_token?input_token=EAA&access_token=shop%7Cs3cret"),
        "{line}"
    );
    for told in [
        told(json!("other"), true),
        told(json!("shop"), false),
        json!({ "data": {} }),
    ] {
        net.answers("/v23.0/debug_token", told);
        assert_eq!(reason(by().await), "refused: an access token of another client");
    }
    assert!(net.reaching(facebook(Client::public("shop"))).build().is_err());
}

#[tokio::test]
async fn discord_says_whether_the_address_is_verified_and_whose_a_token_is() {
    let net = Internet::new().await;
    let provider = reached(&net, discord(client()));
    let (to, with) = sent(&provider).await;
    assert_eq!(to, "https://discord.com/oauth2/authorize");
    assert_eq!(with, usual("identify email", true));
    net.answers("/api/oauth2/token", json!({ "access_token": "6qrZ", "token_type": "Bearer", "expires_in": 604_800, "scope": "identify email" }));
    for (word, verified) in [(json!(true), true), (json!(false), false), (json!(null), false)] {
        net.answers("/api/users/@me", json!({ "id": "80351110224678912", "username": "nelly", "verified": word, "email": "nelly@acme.test" }));
        let identity = provider.identify(&code()).await.unwrap();
        assert_eq!(
            (identity.issuer.as_str(), identity.subject.as_str()),
            ("https://discord.com", "80351110224678912")
        );
        assert_eq!(email(&identity), Some(("nelly@acme.test", verified)));
    }
    assert_eq!(net.asked()[0].form(), spent(true));
    assert_eq!(net.asked()[1].header("authorization"), Some("Bearer 6qrZ"));

    let by = async || provider.identify(&tokens(None, Some("6qrZ"))).await;
    net.answers(
        "/api/oauth2/@me",
        json!({ "application": { "id": "shop" }, "scopes": ["identify"] }),
    );
    assert!(by().await.is_ok());
    net.answers(
        "/api/oauth2/@me",
        json!({ "application": { "id": "mallorys-game" } }),
    );
    assert_eq!(reason(by().await), "refused: an access token of another client");
}

#[tokio::test]
async fn linkedin_gets_no_pkce_and_tells_by_its_user_info() {
    let net = Internet::new().await;
    let provider = reached(&net, linkedin(client()));
    let (to, with) = sent(&provider).await;
    assert_eq!(to, "https://www.linkedin.com/oauth/v2/authorization");
    assert_eq!(with, usual("openid profile email", false));
    // No `token_type`, and an id token that is not read.
    net.answers(
        "/oauth/v2/accessToken",
        json!({ "access_token": "AQX", "expires_in": 5_184_000, "id_token": "a.b.c" }),
    );
    net.answers(
        "/v2/userinfo",
        json!({ "sub": "782bbtaQ", "name": "Ann", "email": "ann@acme.test", "email_verified": true }),
    );
    let identity = provider.identify(&code()).await.unwrap();
    assert_eq!(
        (identity.issuer.as_str(), identity.subject.as_str()),
        ("https://www.linkedin.com", "782bbtaQ")
    );
    assert_eq!(email(&identity), Some(("ann@acme.test", true)));
    assert_eq!(net.asked()[0].form(), spent(false));
    assert_eq!(
        reason(provider.identify(&tokens(None, Some("AQX"))).await),
        "the provider takes no such proof"
    );
}

#[tokio::test]
async fn x_wants_the_secret_in_the_header_and_tells_no_address() {
    let net = Internet::new().await;
    let provider = reached(&net, x(client()));
    assert_eq!(provider.id(), "twitter");
    let (to, with) = sent(&provider).await;
    assert_eq!(to, "https://x.com/i/oauth2/authorize");
    assert_eq!(with, usual("users.read tweet.read", true));
    net.answers("/2/oauth2/token", json!({ "token_type": "bearer", "expires_in": 7200, "access_token": "bW", "scope": "users.read tweet.read" }));
    net.answers(
        "/2/users/me",
        json!({ "data": { "id": "2244994945", "name": "Dev", "username": "dev" } }),
    );
    let identity = provider.identify(&code()).await.unwrap();
    assert_eq!(
        (identity.issuer.as_str(), identity.subject.as_str()),
        ("https://x.com", "2244994945")
    );
    assert_eq!(
        email(&identity),
        Some(("2244994945.twitter@stfakeemail.supertokens.com", false))
    );
    let asked = net.asked();
    assert_eq!(asked[0].header("authorization"), Some("Basic c2hvcDpzM2NyZXQ="));
    let mut form = spent(true);
    form.truncate(4);
    assert_eq!(asked[0].form(), form);
    net.answers(
        "/2/users/me",
        json!({ "data": { "id": "2244994945", "confirmed_email": "dev@acme.test" } }),
    );
    assert_eq!(
        email(&provider.identify(&code()).await.unwrap()),
        Some(("dev@acme.test", false))
    );
    assert_eq!(
        reason(provider.identify(&tokens(None, Some("bW"))).await),
        "the provider takes no such proof"
    );
}

#[tokio::test]
async fn bitbucket_lists_its_addresses() {
    let net = Internet::new().await;
    let provider = reached(&net, bitbucket(client()));
    let (to, with) = sent(&provider).await;
    assert_eq!(to, "https://bitbucket.org/site/oauth2/authorize");
    assert_eq!(with, usual("account email", true));
    net.answers(
        "/site/oauth2/access_token",
        json!({ "access_token": "bb", "token_type": "bearer", "scopes": "account email" }),
    );
    net.answers(
        "/2.0/user",
        json!({ "uuid": "{a1b2}", "username": "ann", "type": "user" }),
    );
    net.answers(
        "/2.0/user/emails",
        json!({ "pagelen": 10, "values": [
            { "email": "old@acme.test", "is_primary": false, "is_confirmed": true },
            { "email": "ann@acme.test", "is_primary": true, "is_confirmed": true },
        ] }),
    );
    let identity = provider.identify(&code()).await.unwrap();
    assert_eq!(
        (identity.issuer.as_str(), identity.subject.as_str()),
        ("https://bitbucket.org", "{a1b2}")
    );
    assert_eq!(email(&identity), Some(("ann@acme.test", true)));
    assert_eq!(net.asked()[0].form(), spent(true));
}
