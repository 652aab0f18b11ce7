//! What an issuer may say wrong, and what then happens.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use stepup_core::provider::{Proof, Provider};

use super::fake::{Reply, Signer, unsigned};
use super::world::{
    CHALLENGE, CLIENT, NONCE, REDIRECT, VERIFIER, World, code, reason, request, secret, tokens,
};
use crate::client::Client;
use crate::keys::Algorithm;

#[tokio::test]
async fn an_honest_issuer_is_believed() {
    let world = World::new().await;
    let identity = world.sign_in().await.unwrap();
    assert!(!format!("{:?}", world.provider).contains("canary"));
    assert_eq!(identity.issuer, world.issuer.origin());
    assert_eq!(identity.subject, "248289761001");
    let email = identity.email.unwrap();
    assert_eq!((email.address.as_str(), email.verified), ("ann@acme.test", true));
}

#[tokio::test]
async fn a_oau_04_the_browser_is_sent_with_challenge_and_nonce_and_the_code_is_spent_with_the_verifier() {
    let world = World::new().await;
    let address = world.provider.authorize(&request()).await.unwrap();
    let address = url::Url::parse(&address).unwrap();
    let pairs: Vec<(String, String)> = address.query_pairs().into_owned().collect();
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(address.path(), "/authorize");
    assert_eq!(
        pairs,
        [
            pair("client_id", CLIENT),
            pair("redirect_uri", REDIRECT),
            pair("response_type", "code"),
            pair("scope", "openid email"),
            pair("code_challenge", CHALLENGE),
            pair("code_challenge_method", "S256"),
            pair("nonce", NONCE),
        ]
    );
    world.sign_in().await.unwrap();
    let asked = world.issuer.asked();
    let spent = asked.iter().find(|asked| asked.line.contains("/token")).unwrap();
    assert_eq!(
        spent.form(),
        [
            pair("grant_type", "authorization_code"),
            pair("code", "c0de canary"),
            pair("redirect_uri", REDIRECT),
            pair("code_verifier", VERIFIER),
            pair("client_id", CLIENT),
            pair("client_secret", "s3cret canary"),
        ]
    );
    assert_eq!(spent.header("authorization"), None);
    assert_eq!(
        spent.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
}

#[tokio::test]
async fn an_issuer_that_does_not_say_it_takes_the_secret_in_the_form_gets_it_in_the_header() {
    let world = World::new().await;
    world.discovery(json!({ "token_endpoint_auth_methods_supported": null }));
    world.sign_in().await.unwrap();
    let asked = world.issuer.asked();
    let spent = asked.iter().find(|asked| asked.line.contains("/token")).unwrap();
    assert!(!spent.body.contains("canary%21") && !spent.body.contains("client_secret"));
    // `shop:s3cret+canary`
    assert_eq!(
        spent.header("authorization"),
        Some("Basic c2hvcDpzM2NyZXQrY2FuYXJ5")
    );
}

#[tokio::test]
async fn a_oau_05_the_discovery_document_of_another_issuer_is_refused() {
    let world = World::new().await;
    let origin = world.issuer.origin();
    for issuer in [
        json!("https://mallory.test"),
        json!(format!("{origin}/")),
        json!(origin.to_uppercase()),
        json!([origin]),
        json!(null),
    ] {
        world.clock.advance(10);
        world.discovery(json!({ "issuer": issuer }));
        assert_eq!(
            reason(world.sign_in().await),
            "untrusted: discovery_document_of_another_issuer",
            "{issuer}"
        );
        assert!(world.provider.authorize(&request()).await.is_err());
    }
    assert_eq!(world.issuer.count("/token"), 0, "the code went nowhere");
}

#[tokio::test]
async fn a_oau_05_a_token_of_another_issuer_is_refused_whoever_signed_it() {
    let world = World::new().await;
    let mallory = Signer::es256("k1");
    let mut claims = world.claims();
    assert_eq!(
        reason(world.sign_in_by(&mallory.sign(&claims)).await),
        "untrusted: wrong_signature"
    );
    for issuer in ["https://mallory.test", &format!("{}/", world.issuer.origin()), ""] {
        let said = world.sign_in_saying(json!({ "iss": issuer })).await;
        assert_eq!(reason(said), "untrusted: id_token_of_another_issuer");
    }
    assert_eq!(
        reason(world.sign_in_saying(json!({ "iss": null })).await),
        "untrusted: id_token_of_another_issuer"
    );
    // The key comes along, or an address where it is.
    claims["iss"] = json!(world.issuer.origin());
    let mut header = mallory.header();
    header["jwk"] = mallory.jwk();
    header["jku"] = json!(format!("{}/mallory", world.issuer.origin()));
    world
        .issuer
        .answers("/mallory", Reply::Json(json!({ "keys": [mallory.jwk()] })));
    let said = world.sign_in_by(&mallory.sign_as(&header, &claims)).await;
    assert_eq!(reason(said), "untrusted: wrong_signature");
    assert_eq!(world.issuer.count("/mallory"), 0);
}

#[tokio::test]
async fn a_oau_06_a_token_for_another_client_or_of_another_party_is_refused() {
    let world = World::new().await;
    for (changes, why) in [
        (json!({ "aud": "other" }), "id_token_for_another_client"),
        (json!({ "aud": null }), "id_token_for_another_client"),
        (json!({ "aud": ["other"] }), "id_token_for_another_client"),
        (json!({ "aud": { "shop": true } }), "id_token_for_another_client"),
        (json!({ "aud": [CLIENT, "other"] }), "id_token_names_no_party"),
        (
            json!({ "aud": [CLIENT, "other"], "azp": "other" }),
            "id_token_of_another_party",
        ),
        (json!({ "azp": "other" }), "id_token_of_another_party"),
        (json!({ "azp": [CLIENT] }), "id_token_of_another_party"),
    ] {
        assert_eq!(
            reason(world.sign_in_saying(changes.clone()).await),
            format!("untrusted: {why}"),
            "{changes}"
        );
    }
    for changes in [
        json!({ "aud": [CLIENT] }),
        json!({ "azp": CLIENT }),
        json!({ "aud": ["other", CLIENT], "azp": CLIENT }),
    ] {
        assert!(world.sign_in_saying(changes.clone()).await.is_ok(), "{changes}");
    }
}

#[tokio::test]
async fn a_oau_06_a_token_with_another_nonce_or_none_is_refused() {
    let world = World::new().await;
    for nonce in [json!("other"), json!(null), json!(""), json!([NONCE])] {
        let said = world.sign_in_saying(json!({ "nonce": nonce })).await;
        assert_eq!(reason(said), "untrusted: wrong_nonce", "{nonce}");
    }
}

#[tokio::test]
async fn a_oau_06_a_token_is_in_time_by_a_minute_and_no_more() {
    let world = World::new().await;
    let now = world.clock.secs();
    for (changes, why) in [
        (json!({ "exp": now - 60 }), "id_token_expired"),
        (json!({ "exp": 0 }), "id_token_expired"),
        (json!({ "exp": null }), "id_token_without_its_times"),
        (json!({ "exp": "tomorrow" }), "id_token_without_its_times"),
        (json!({ "iat": null }), "id_token_without_its_times"),
        (
            json!({ "iat": now - 3661, "exp": now + 86_400 }),
            "id_token_too_old",
        ),
        (json!({ "iat": now + 61 }), "id_token_of_the_future"),
        (json!({ "nbf": now + 61 }), "id_token_of_the_future"),
        (json!({ "nbf": "soon" }), "id_token_of_the_future"),
    ] {
        assert_eq!(
            reason(world.sign_in_saying(changes.clone()).await),
            format!("untrusted: {why}"),
            "{changes}"
        );
    }
    for changes in [
        json!({ "exp": now - 59 }),
        json!({ "iat": now - 3660 }),
        json!({ "iat": now + 60 }),
        json!({ "iat": now as f64 + 0.5 }),
        json!({ "nbf": now + 60, "exp": 1e300 }),
    ] {
        assert!(world.sign_in_saying(changes.clone()).await.is_ok(), "{changes}");
    }
}

#[tokio::test]
async fn a_oau_06_no_header_chooses_how_the_token_is_judged() {
    let rsa = Signer::rs256("r1");
    let world = World::new().await;
    world.keys(&[&world.key, &rsa]);
    let claims = world.claims();
    for alg in ["none", "None", "nOnE", ""] {
        for signature in ["", "AAAA"] {
            let token = format!(
                "{}.{signature}",
                unsigned(&json!({ "alg": alg }).to_string(), &claims.to_string())
            );
            assert_eq!(
                reason(world.sign_in_by(&token).await),
                "untrusted: algorithm_not_allowed",
                "{alg}"
            );
        }
    }
    // The public key as a shared secret, in each form in which it may have been read.
    let public = rsa.public();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        URL_SAFE_NO_PAD.encode(&public)
    );
    for shared in [public.clone(), pem.into_bytes(), world.key.public()] {
        for kid in ["r1", "k1"] {
            let message = unsigned(
                &json!({ "alg": "HS256", "kid": kid }).to_string(),
                &claims.to_string(),
            );
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &shared);
            let tag = aws_lc_rs::hmac::sign(&key, message.as_bytes());
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag.as_ref()));
            assert_eq!(
                reason(world.sign_in_by(&token).await),
                "untrusted: algorithm_not_allowed"
            );
        }
    }
    // A key of one kind for the algorithm of another.
    for (signer, alg) in [(&world.key, "RS256"), (&rsa, "ES256")] {
        let mut header = signer.header();
        header["alg"] = json!(alg);
        let said = world.sign_in_by(&signer.sign_as(&header, &claims)).await;
        assert_eq!(reason(said), "untrusted: unknown_key");
        world.clock.advance(1);
    }
    assert!(world.sign_in_by(&rsa.sign(&claims)).await.is_ok());
}

#[tokio::test]
async fn an_algorithm_that_the_site_does_not_allow_is_refused_though_the_issuer_uses_it() {
    let world = World::with(|setup| setup.algorithms([Algorithm::Rs256])).await;
    assert_eq!(reason(world.sign_in().await), "untrusted: algorithm_not_allowed");
}

#[tokio::test]
async fn a_token_of_another_kind_or_shape_is_no_id_token() {
    let world = World::new().await;
    let claims = world.claims();
    for kind in [
        json!("at+jwt"),
        json!("logout+jwt"),
        json!("dpop+jwt"),
        json!(1),
        json!(null),
    ] {
        let mut header = world.key.header();
        header["typ"] = kind.clone();
        assert_eq!(
            reason(world.sign_in_by(&world.key.sign_as(&header, &claims)).await),
            "untrusted: token_of_another_kind",
            "{kind}"
        );
    }
    let (header, claims) = (world.key.header().to_string(), claims.to_string());
    let good = world.key.sign_text(&header, &claims);
    for broken in [
        "canary".to_owned(),
        "..".to_owned(),
        format!("{good}."),
        format!("{good}="),
        format!("{good}.x"),
        good.replacen('.', "=.", 1),
        world
            .key
            .sign_text(&header.replacen('{', r#"{"crit":["exp"],"#, 1), &claims),
        world
            .key
            .sign_text(&header.replacen('{', r#"{"alg":"none","#, 1), &claims),
        world
            .key
            .sign_text(&header.replacen(r#""kid":"k1""#, r#""kid":1"#, 1), &claims),
        // Two readers could read two things.
        world
            .key
            .sign_text(&header, &claims.replacen('{', r#"{"sub":"mallory","#, 1)),
        world.key.sign_text(&header, "[]"),
        world.key.sign_text(&header, "{} {}"),
        world.key.sign_text(
            &header,
            &claims.replacen('{', &format!(r#"{{"x":"{}","#, "x".repeat(40_000)), 1),
        ),
    ] {
        assert_eq!(
            reason(world.sign_in_by(&broken).await),
            "untrusted: no_id_token",
            "{broken:.80}"
        );
    }
    assert!(
        world
            .sign_in_by(
                &world
                    .key
                    .sign_text(&header.replacen(r#""typ":"JWT","#, "", 1), &claims)
            )
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_token_belongs_to_the_access_token_that_came_with_it() {
    let world = World::new().await;
    let right = Algorithm::Es256.half_hash("at-canary");
    assert!(world.sign_in_saying(json!({ "at_hash": right })).await.is_ok());
    for wrong in [json!(Algorithm::Es256.half_hash("other")), json!(""), json!(1)] {
        let said = world.sign_in_saying(json!({ "at_hash": wrong })).await;
        assert_eq!(reason(said), "untrusted: id_token_with_another_access_token");
    }
}

#[tokio::test]
async fn a_person_without_an_id_is_nobody() {
    let world = World::new().await;
    for sub in [json!(null), json!(""), json!(["a"]), json!("x".repeat(256))] {
        assert_eq!(
            reason(world.sign_in_saying(json!({ "sub": sub })).await),
            "untrusted: person_without_an_id"
        );
    }
}

#[tokio::test]
async fn a_oau_07_the_word_about_an_address_is_taken_as_it_is_said() {
    let world = World::new().await;
    world
        .issuer
        .answers("/me", Reply::Json(json!({ "sub": "248289761001" })));
    for (word, verified) in [
        (json!(true), true),
        (json!("true"), true),
        (json!(false), false),
        (json!("false"), false),
        (json!(1), false),
        (json!(null), false),
    ] {
        let identity = world
            .sign_in_saying(json!({ "email_verified": word }))
            .await
            .unwrap();
        assert_eq!(identity.email.unwrap().verified, verified, "{word}");
    }
    let identity = world.sign_in_saying(json!({ "email": null })).await.unwrap();
    assert_eq!(identity.email, None);
}

#[tokio::test]
async fn an_address_that_the_token_lacks_is_asked_of_the_user_info() {
    let world = World::new().await;
    let told = json!({ "sub": "248289761001", "email": "ann@acme.test", "email_verified": true });
    world.issuer.answers("/me", Reply::Json(told.clone()));
    let bare = json!({ "email": null, "email_verified": null });
    let email = world.sign_in_saying(bare.clone()).await.unwrap().email.unwrap();
    assert_eq!((email.address.as_str(), email.verified), ("ann@acme.test", true));
    let asked = world.issuer.asked();
    let asked = asked.iter().find(|asked| asked.line.contains("/me")).unwrap();
    assert_eq!(asked.header("authorization"), Some("Bearer at-canary"));
    // Its word about one address is not its word about that of the token.
    let email = world
        .sign_in_saying(json!({ "email": "alice@acme.test", "email_verified": null }))
        .await
        .unwrap()
        .email
        .unwrap();
    assert_eq!(
        (email.address.as_str(), email.verified),
        ("alice@acme.test", false)
    );
    // Nor is it about somebody else.
    for sub in [json!("mallory"), json!(null)] {
        let mut other = told.clone();
        super::world::change(&mut other, json!({ "sub": sub }));
        world.issuer.answers("/me", Reply::Json(other));
        assert_eq!(
            reason(world.sign_in_saying(bare.clone()).await),
            "untrusted: user_info_of_another_person"
        );
    }
    world.issuer.answers("/me", Reply::Status(401, json!({})));
    assert_eq!(
        reason(world.sign_in_saying(bare.clone()).await),
        "refused: access_token"
    );
    world.issuer.answers("/me", Reply::Status(500, json!({})));
    assert_eq!(reason(world.sign_in_saying(bare).await), "unavailable");
}

#[tokio::test]
async fn a_new_key_of_the_issuer_is_found_and_an_old_one_is_gone() {
    let world = World::new().await;
    world.sign_in().await.unwrap();
    let next = Signer::es256("k2");
    world.keys(&[&next]);
    let sign_in = async |key: &Signer| world.sign_in_by(&key.sign(&world.claims())).await;
    // Just fetched: strangers cannot have it fetched again and again.
    assert_eq!(reason(sign_in(&next).await), "untrusted: unknown_key");
    assert_eq!(world.issuer.count("/keys"), 1);
    world.clock.advance(10);
    assert!(sign_in(&next).await.is_ok());
    assert_eq!(world.issuer.count("/keys"), 2);
    assert_eq!(reason(sign_in(&world.key).await), "untrusted: unknown_key");
    assert_eq!(world.issuer.count("/keys"), 2);
    // A key that was taken back is believed for an hour at most.
    world.keys(&[&world.key]);
    world.clock.advance(3599);
    assert!(sign_in(&next).await.is_ok());
    world.clock.advance(1);
    assert_eq!(reason(sign_in(&next).await), "untrusted: unknown_key");
}

#[tokio::test]
async fn a_oau_10_a_code_that_is_wrong_or_spent_is_refused_and_not_repeated() {
    let world = World::new().await;
    for (status, error, why) in [
        (400, "invalid_grant", "code"),
        (401, "invalid_client", "client"),
        (200, "bad_verification_code", "code"),
        (400, "c0de canary", "token_request"),
    ] {
        let body = json!({ "error": error, "error_description": "c0de canary was spent" });
        world.issuer.answers("/token", Reply::Status(status, body));
        assert_eq!(reason(world.sign_in().await), format!("refused: {why}"));
    }
    world
        .issuer
        .answers("/token", Reply::Json(json!({ "access_token": "x" })));
    assert_eq!(reason(world.sign_in().await), "untrusted: no_id_token_in_answer");
    let mut none = code();
    let Proof::Code { code, .. } = &mut none else {
        unreachable!()
    };
    *code = secret("");
    let count = world.issuer.count("/token");
    assert_eq!(reason(world.provider.identify(&none).await), "refused: no_code");
    assert_eq!(world.issuer.count("/token"), count);
}

#[tokio::test]
async fn a_oau_13_a_token_of_another_application_signs_nobody_in() {
    let world = World::new().await;
    let sign = |changes: Value| {
        let mut claims = world.claims();
        super::world::change(&mut claims, changes);
        world.key.sign(&claims)
    };
    let by = async |proof: Proof| world.provider.identify(&proof).await;
    // What was made for a sign-in that was begun elsewhere, with whatever nonce, is to be finished there.
    for nonce in [json!(super::world::NONCE), json!(""), json!(7)] {
        let begun = sign(json!({ "nonce": nonce }));
        assert_eq!(
            reason(by(tokens(Some(&begun), None)).await),
            "refused: id_token_of_another_sign_in"
        );
    }
    let sign = |mut changes: Value| {
        changes["nonce"] = Value::Null;
        sign(changes)
    };
    let ours = sign(json!({}));
    assert_eq!(
        by(tokens(Some(&ours), None)).await.unwrap().subject,
        "248289761001"
    );
    let theirs = sign(json!({ "aud": "mallorys-game" }));
    assert_eq!(
        reason(by(tokens(Some(&theirs), None)).await),
        "refused: id_token_for_another_client"
    );
    let party = sign(json!({ "azp": "mallorys-game" }));
    assert_eq!(
        reason(by(tokens(Some(&party), None)).await),
        "refused: id_token_of_another_party"
    );
    let over = sign(json!({ "exp": 1 }));
    assert_eq!(
        reason(by(tokens(Some(&over), None)).await),
        "refused: id_token_expired"
    );
    assert_eq!(
        reason(by(tokens(Some("canary"), None)).await),
        "refused: no_id_token"
    );
    // Of an access token alone nobody can tell.
    assert_eq!(
        reason(by(tokens(None, Some("at"))).await),
        "the provider takes no such proof"
    );
    assert_eq!(
        reason(by(tokens(None, None)).await),
        "the provider takes no such proof"
    );
    assert_eq!(
        reason(by(tokens(Some(&ours), Some("a\r\nb"))).await),
        "refused: token_of_a_strange_form"
    );
    // An access token of somebody else beside an id token that is ours.
    let bare = sign(json!({ "email": null }));
    world.issuer.answers(
        "/me",
        Reply::Json(json!({ "sub": "mallory", "email": "alice@acme.test", "email_verified": true })),
    );
    assert_eq!(
        reason(by(tokens(Some(&bare), Some("at"))).await),
        "refused: user_info_of_another_person"
    );
}

#[tokio::test]
async fn a_oau_13_a_client_that_was_not_told_to_takes_no_tokens() {
    let world = World::new().await;
    let setup = crate::openid(
        "own",
        "Own",
        &world.issuer.origin(),
        Client::public(CLIENT).of_type("web"),
    )
    .client(Client::public("app").of_type("app").takes_tokens())
    .clock(world.clock.clone());
    let provider = setup.build().unwrap();
    let mut claims = world.claims();
    super::world::change(
        &mut claims,
        json!({ "nonce": null, "aud": [CLIENT, "app"], "azp": "app" }),
    );
    let token = world.key.sign(&claims);
    let by = async |kind: Option<&str>| {
        let proof = Proof::Tokens {
            client_type: kind.map(str::to_owned),
            id_token: Some(secret(&token)),
            access_token: None,
        };
        provider.identify(&proof).await
    };
    // It is not even read, whoever asks.
    for kind in [None, Some("web")] {
        assert!(!provider.takes_tokens(kind));
        assert_eq!(reason(by(kind).await), "the provider takes no such proof");
    }
    assert_eq!(world.issuer.count("/keys"), 0);
    assert!(provider.takes_tokens(Some("app")) && !provider.takes_tokens(Some("other")));
    assert!(by(Some("app")).await.is_ok());
}

#[tokio::test]
async fn an_application_on_a_device_asks_by_its_own_client_for_a_token_of_the_sites() {
    let web = Client::new(CLIENT, secret("s3cret"))
        .of_type("web")
        .takes_tokens();
    let world = World::new().await;
    let setup = crate::openid("own", "Own", &world.issuer.origin(), web)
        .client(Client::public("shop-android").of_type("android"))
        .clock(world.clock.clone());
    let provider = setup.build().unwrap();
    assert_eq!(provider.client_types(), ["web", "android"]);
    let mut claims = world.claims();
    claims["azp"] = json!("shop-android");
    let token = world.key.sign(&claims);
    super::world::change(&mut claims, json!({ "nonce": null }));
    let bare = world.key.sign(&claims);
    assert!(provider.identify(&tokens(Some(&bare), None)).await.is_ok());
    // In the code flow the party is the client itself.
    world.token(&token);
    assert_eq!(
        reason(provider.identify(&code()).await),
        "untrusted: id_token_of_another_party"
    );

    let mut request = request();
    request.client_type = Some("android".to_owned());
    assert!(
        provider
            .authorize(&request)
            .await
            .unwrap()
            .contains("client_id=shop-android")
    );
    request.client_type = Some("ios".to_owned());
    assert!(provider.authorize(&request).await.is_err());
    let unknown = Proof::Tokens {
        client_type: Some("ios".to_owned()),
        id_token: Some(secret(&token)),
        access_token: None,
    };
    assert_eq!(
        reason(provider.identify(&unknown).await),
        "the provider has no such client"
    );
}

#[tokio::test]
async fn only_people_with_the_claim_that_the_site_asks_for_come_in() {
    let world = World::with(|setup| setup.require_claim("hd", ["acme.test", "acme.example"])).await;
    assert!(
        world
            .sign_in_saying(json!({ "hd": "acme.example" }))
            .await
            .is_ok()
    );
    for hd in [
        json!(null),
        json!(""),
        json!("evil.test"),
        json!("acme.test.evil.test"),
        json!(["acme.test"]),
    ] {
        let said = world
            .sign_in_saying(json!({ "hd": hd, "email": "ann@acme.test" }))
            .await;
        assert_eq!(reason(said), "refused: person_of_another_organization", "{hd}");
    }
}

#[tokio::test]
async fn a_person_without_an_address_gets_a_fake_one_only_where_the_site_says_so() {
    let world = World::with(|setup| setup.fake_emails().without_user_info()).await;
    let email = world
        .sign_in_saying(json!({ "email": null }))
        .await
        .unwrap()
        .email
        .unwrap();
    assert_eq!(email.address, "248289761001.own@stfakeemail.supertokens.com");
    assert!(!email.verified);
    let real = world.sign_in_saying(json!({})).await.unwrap().email.unwrap();
    assert_eq!(real.address, "ann@acme.test");
}
