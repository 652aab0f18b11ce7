//! Those that speak OpenID Connect.

use serde_json::{Value, json};
use stepup_core::provider::{Identity, Proof, Provider, ProviderError};

use super::{Internet, client, email, pairs, sent, spent, usual};
use crate::apple::tests::handed_out;
use crate::tests::world::{NONCE, NOW, VERIFIER, change, code, reason, secret};
use crate::{
    AppleKey, Client, Directories, OpenId, Setup, Workspaces, apple, gitlab, google, google_workspaces,
    microsoft, okta,
};

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
    let one = || google_workspaces(Workspaces::Of(vec!["Acme.test".to_owned()]), client());
    let any = || google_workspaces(Workspaces::Any, client());
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
    assert!(
        google_workspaces(Workspaces::Of(vec![]), client())
            .build()
            .is_err()
    );
    tells(json!("acme.test"));
    assert!(signed_in(&net, one()).await.is_ok());
    tells(json!("other.test"));
    assert_eq!(
        reason(signed_in(&net, one()).await),
        "refused: person_of_another_organization"
    );
    assert!(signed_in(&net, any()).await.is_ok());
    for nothing in [json!(null), json!(""), json!(["acme.test"])] {
        tells(nothing);
        for setup in [one(), any()] {
            assert_eq!(
                reason(signed_in(&net, setup).await),
                "refused: person_of_another_organization"
            );
        }
    }
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
    let setup = apple(
        Client::apple("com.acme.web", key.clone())
            .of_type("web")
            .takes_tokens(),
    )
    .client(Client::apple("com.acme.ios", key).of_type("ios").takes_tokens());
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
        "refused: id_token_for_another_client"
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
        "untrusted: id_token_of_another_issuer"
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
        "untrusted: id_token_of_another_issuer"
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
            "untrusted: id_token_of_another_issuer",
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
        "untrusted: id_token_by_a_key_of_another_issuer"
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
