//! Those that speak OAuth 2.

use serde_json::{Value, json};
use stepup_core::provider::Provider;

use super::{Internet, client, email, sent, spent, usual};
use crate::tests::fake::Reply;
use crate::tests::world::{code, reason, tokens};
use crate::{Client, OAuth2, Setup, bitbucket, discord, facebook, github, linkedin, x};

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
    assert_eq!(reason(provider.identify(&code()).await), "refused: code");
}

#[tokio::test]
async fn a_oau_13_github_is_asked_whose_a_token_is() {
    let net = Internet::new().await;
    let provider = reached(&net, github(client().takes_tokens()));
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

    let ours = "refused: access_token_of_another_client";
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
    let public = reached(&net, github(Client::public("shop").takes_tokens()));
    assert_eq!(
        reason(public.identify(&tokens(None, Some("gho_canary"))).await),
        "the provider takes no such proof"
    );
}

#[tokio::test]
async fn facebook_is_shown_the_token_in_the_query_and_verifies_no_address() {
    let net = Internet::new().await;
    let provider = reached(&net, facebook(client().takes_tokens()));
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
        assert_eq!(reason(by().await), "refused: access_token_of_another_client");
    }
    assert!(net.reaching(facebook(Client::public("shop"))).build().is_err());
}

#[tokio::test]
async fn discord_says_whether_the_address_is_verified_and_whose_a_token_is() {
    let net = Internet::new().await;
    let provider = reached(&net, discord(client().takes_tokens()));
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
    assert_eq!(reason(by().await), "refused: access_token_of_another_client");
}

#[tokio::test]
async fn linkedin_gets_no_pkce_and_tells_by_its_user_info() {
    let net = Internet::new().await;
    let provider = reached(&net, linkedin(client().takes_tokens()));
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
    let provider = reached(&net, x(client().takes_tokens()));
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
    assert_eq!(identity.email, None);
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
