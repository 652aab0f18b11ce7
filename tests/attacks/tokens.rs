//! Rows A-TOK: forged, changed, outlived and misused access tokens.
//!
//! Where a row needs a token that no server would issue, it is signed with the server's own key: read from its database,
//! opened with its secret. Most rows run against a token that the server has just seen and remembers, so that a mutation
//! of it is one of a remembered token.

use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use serde_json::{Map, Value, json};
use sha2::{Sha256, Sha384, Sha512};
use stepup::session::keys::SigningAlgorithm;
use stepup::sqlite::SqliteStore;
use stepup_core::entropy::OsEntropy;
use stepup_core::id::KeyId;
use stepup_core::keyring::{Keyring, Root, SecretList};
use stepup_core::record::key::SigningKeyRecord;
use stepup_core::storage::KeyStore;

use super::expect::{e401_try_refresh, lives, refresh, secret};
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PHONE, Response, Server, full, half};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";

const MINUTE: u32 = 60;
const DAY: u32 = 24 * 60 * MINUTE;

/// Whoever holds a server's signing key.
struct Forger {
    private: EncodingKey,
    algorithm: Algorithm,
    kid: String,
}

impl Forger {
    /// Opens the oldest key of a server started by [`server`].
    async fn of(server: &Server) -> Self {
        let store = SqliteStore::connect(&server.settings.database).await.unwrap();
        let record = store.signing_keys().await.unwrap().remove(0);
        Self::open(&record, server.settings.secret.as_ref().unwrap().expose())
    }

    fn open(record: &SigningKeyRecord, secret: &str) -> Self {
        let ring = Keyring::new(&SecretList::parse(secret).unwrap()).unwrap();
        let times = [
            record.created_at.as_ms(),
            record.signs_until.as_ms(),
            record.verifies_until.as_ms(),
            record.slot,
        ];
        let times = times.map(i64::to_be_bytes);
        let mut place = vec![
            &b"signing key"[..],
            record.id.as_str().as_bytes(),
            record.algorithm.as_bytes(),
        ];
        place.extend(times.iter().map(|time| &time[..]));
        let pkcs8 = ring.open(&place, &record.sealed).unwrap();
        let (private, algorithm) = match record.algorithm.as_str() {
            "ES256" => (EncodingKey::from_ec_der(&pkcs8), Algorithm::ES256),
            "EdDSA" => (EncodingKey::from_ed_der(&pkcs8), Algorithm::EdDSA),
            other => panic!("{other}"),
        };
        Self {
            private,
            algorithm,
            kid: record.id.to_string(),
        }
    }

    fn header(&self) -> Value {
        header(&self.kid)
    }

    fn sign(&self, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", b64(header), b64(payload));
        let signature = crypto::sign(message.as_bytes(), &self.private, self.algorithm).unwrap();
        format!("{message}.{signature}")
    }

    /// A token of `client`'s, with other claims.
    fn changed(&self, client: &Client, change: impl FnOnce(&mut Map<String, Value>)) -> String {
        let mut claims: Map<String, Value> = serde_json::from_str(&client.token_payload()).unwrap();
        change(&mut claims);
        self.sign(&self.header().to_string(), &Value::Object(claims).to_string())
    }
}

fn header(kid: &str) -> Value {
    json!({ "kid": kid, "typ": "JWT", "version": "5", "alg": "ES256" })
}

fn b64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// A server whose secret is known.
async fn server() -> Server {
    server_with(SigningAlgorithm::Es256).await
}

async fn server_with(signing: SigningAlgorithm) -> Server {
    let root = Root::random(KeyId::from("k1"), &OsEntropy).unwrap();
    let secret = SecretList::new(vec![root]).to_text().expose().clone();
    Server::start_with(|settings| {
        settings.secret = Some(secret.into());
        settings.signing = Some(signing);
    })
    .await
}

/// A server, a complete session whose token it remembers, and its key.
async fn scene() -> (Server, Client, Forger) {
    let server = server().await;
    let ann = full(&server, Mode::Header, ANN, PHONE).await;
    assert_eq!(secret(&ann).await.status, 200);
    let forger = Forger::of(&server).await;
    // What the forger signs is a token, but for what a row changes of it.
    let honest = forger.changed(&ann, |_| {});
    for mode in MODES {
        assert_eq!(secret(&bearing(&server, mode, &honest)).await.status, 200);
    }
    (server, ann, forger)
}

/// A client that has nothing but an access token.
fn bearing(server: &Server, mode: Mode, token: &str) -> Client {
    let mut client = server.client(mode);
    match mode {
        Mode::Cookie => {
            client.cookies.insert("sAccessToken".to_owned(), token.to_owned());
        }
        Mode::Header => client.access = Some(token.to_owned()),
    }
    client
}

/// What extractor, layer and an endpoint of ours answer to a token.
async fn answers(server: &Server, mode: Mode, token: &str) -> [Response; 3] {
    let client = bearing(server, mode, token);
    [
        secret(&client).await,
        client.peek("GET", "/layered/secret", None, &[]).await,
        client.peek("PUT", "/auth/mfa/info", Some(&json!({})), &[]).await,
    ]
}

/// It is refused everywhere, as one of ours that is no good: `E401R`.
async fn refused(server: &Server, token: &str) {
    for mode in MODES {
        for answer in answers(server, mode, token).await {
            e401_try_refresh(&answer);
        }
    }
}

/// It is refused everywhere, whatever it is taken for.
async fn admits_nobody(server: &Server, token: &str) {
    for mode in MODES {
        for answer in answers(server, mode, token).await {
            assert_eq!(answer.status, 401, "{token}: {answer:?}");
            assert!(answer.touches_no_token(), "{answer:?}");
        }
    }
}

fn parts(token: &str) -> [&str; 3] {
    let parts: Vec<&str> = token.split('.').collect();
    parts.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_01_no_spelling_of_alg_none_is_accepted() {
    let (server, mut ann, forger) = scene().await;
    let token = ann.access_token().unwrap().to_owned();
    let [_, payload, signature] = parts(&token);
    for none in ["none", "None", "NONE", "nOnE", ""] {
        let mut ours = forger.header();
        ours["alg"] = json!(none);
        for header in [json!({ "alg": none }), json!({ "alg": none, "typ": "JWT" }), ours] {
            let message = format!("{}.{payload}", b64(header.to_string()));
            for forged in [
                format!("{message}.{signature}"),
                format!("{message}."),
                message.clone(),
            ] {
                refused(&server, &forged).await;
            }
        }
    }
    let bare = token.trim_end_matches(signature);
    refused(&server, bare).await;
    refused(&server, bare.trim_end_matches('.')).await;
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_02_a_public_key_is_no_hmac_secret() {
    let (server, mut ann, forger) = scene().await;
    let jwks = server
        .client(Mode::Header)
        .peek("GET", "/auth/jwt/jwks.json", None, &[])
        .await;
    let jwk = jwks.json()["keys"][0].clone();
    let point = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let raw = [vec![4], point("x"), point("y")].concat();
    // RFC 5480 §2: the point as SubjectPublicKeyInfo.
    let spki = "3059301306072a8648ce3d020106082a8648ce3d030107034200";
    let prefix = (0..spki.len()).step_by(2);
    let mut der: Vec<u8> = prefix
        .map(|i| u8::from_str_radix(&spki[i..i + 2], 16).unwrap())
        .collect();
    der.extend(&raw);
    let body = STANDARD.encode(&der);
    let lines = format!("{}\n{}", &body[..64], &body[64..]);
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----");
    let secrets: Vec<Vec<u8>> = vec![
        format!("{pem}\n").into_bytes(),
        pem.into_bytes(),
        der,
        raw,
        jwk.to_string().into_bytes(),
        jwks.body.clone(),
        point("x"),
        Vec::new(),
    ];
    let token = ann.access_token().unwrap().to_owned();
    let payload = parts(&token)[1];
    for secret in &secrets {
        for alg in ["HS256", "HS384", "HS512"] {
            let mut ours = forger.header();
            ours["alg"] = json!(alg);
            for header in [ours, json!({ "alg": alg, "typ": "JWT" }), forger.header()] {
                let message = format!("{}.{payload}", b64(header.to_string()));
                let bytes = message.as_bytes();
                let signature = match alg {
                    "HS256" => b64(mac::<Hmac<Sha256>>(secret, bytes)),
                    "HS384" => b64(mac::<Hmac<Sha384>>(secret, bytes)),
                    _ => b64(mac::<Hmac<Sha512>>(secret, bytes)),
                };
                refused(&server, &format!("{message}.{signature}")).await;
            }
        }
    }
    lives(&mut ann).await;
}

fn mac<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_03_no_key_of_another_is_accepted_under_our_key_id() {
    let (server, mut ann, forger) = scene().await;
    for theirs in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
        let mallory = Forger::of(&server_with(theirs).await).await;
        for alg in ["ES256", "EdDSA", "ES384", "RS256", "PS256"] {
            let mut header = forger.header();
            header["alg"] = json!(alg);
            let forged = mallory.sign(&header.to_string(), &ann.token_payload());
            refused(&server, &forged).await;
        }
        // Nor under a key id of theirs.
        refused(
            &server,
            &mallory.sign(&mallory.header().to_string(), &ann.token_payload()),
        )
        .await;
    }
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_04_a_key_id_is_matched_exactly_or_not_at_all() {
    let (server, mut ann, forger) = scene().await;
    let kid = forger.kid.clone();
    let ids = [
        json!("../../dev/null"),
        json!("' OR 1=1--"),
        json!("x\u{0}y"),
        json!(format!("{kid}\u{0}")),
        json!(format!(" {kid}")),
        json!(format!("{kid}/../{kid}")),
        json!(kid.to_uppercase()),
        json!(&kid[..kid.len() - 1]),
        json!(""),
        json!(kid.trim_start_matches("d-").parse::<i64>().unwrap()),
        json!([kid]),
        json!({ "kid": kid }),
        Value::Null,
        json!(true),
    ];
    for id in ids {
        let mut header = forger.header();
        header["kid"] = id;
        refused(&server, &forger.sign(&header.to_string(), &ann.token_payload())).await;
    }
    let missing = r#"{"typ":"JWT","version":"5","alg":"ES256"}"#;
    refused(&server, &forger.sign(missing, &ann.token_payload())).await;
    let twice = format!(r#"{{"kid":"{kid}","kid":"{kid}","typ":"JWT","version":"5","alg":"ES256"}}"#);
    refused(&server, &forger.sign(&twice, &ann.token_payload())).await;
    // Ten thousand characters are not even looked at.
    let long = forger.sign(&header(&"x".repeat(10_000)).to_string(), &ann.token_payload());
    e401_try_refresh(&secret(&bearing(&server, Mode::Header, &long)).await);
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_05_a_key_in_the_header_is_never_used_nor_fetched() {
    let (server, mut ann, forger) = scene().await;
    let mallory_server = server_with(SigningAlgorithm::Es256).await;
    let mallory = Forger::of(&mallory_server).await;
    let jwks = mallory_server
        .client(Mode::Header)
        .peek("GET", "/auth/jwt/jwks.json", None, &[])
        .await;
    let jwk = jwks.json()["keys"][0].clone();
    // A recorder: whoever fetches a key connects to it.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(0));
    let recorder = tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            while listener.accept().await.is_ok() {
                *seen.lock().unwrap() += 1;
            }
        }
    });
    for (name, value) in [
        ("jwk", jwk.clone()),
        ("jku", json!(url)),
        ("x5u", json!(url)),
        ("x5c", json!([STANDARD.encode(b"certificate")])),
    ] {
        for kid in [forger.kid.as_str(), mallory.kid.as_str()] {
            let mut header = header(kid);
            header[name] = value.clone();
            for signer in [&forger, &mallory] {
                refused(&server, &signer.sign(&header.to_string(), &ann.token_payload())).await;
            }
        }
    }
    recorder.abort();
    assert_eq!(*seen.lock().unwrap(), 0);
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_06_no_extension_of_the_header_is_understood() {
    let (server, mut ann, forger) = scene().await;
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("enc", json!("A128GCM")),
        ("typ", json!("at+jwt")),
        ("typ", json!("JWE")),
        ("version", json!("4")),
        ("version", json!(5)),
    ] {
        let mut header = forger.header();
        header[name] = value;
        refused(&server, &forger.sign(&header.to_string(), &ann.token_payload())).await;
    }
    // A token inside a token, and the five parts of an encrypted one.
    let token = ann.access_token().unwrap().to_owned();
    let nested = forger.sign(&forger.header().to_string(), &format!("\"{token}\""));
    refused(&server, &nested).await;
    refused(&server, &format!("{token}.{}.{}", b64("iv"), b64("tag"))).await;
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_07_a_remembered_token_with_any_character_changed_is_refused() {
    let (server, mut ann, _) = scene().await;
    let token = ann.access_token().unwrap().to_owned();
    for place in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = match bytes[place] {
            b'.' => b'A',
            b'z' => b'y',
            byte => byte + 1,
        };
        let changed = String::from_utf8(bytes).unwrap();
        let client = bearing(&server, Mode::Header, &changed);
        let answer = secret(&client).await;
        assert_eq!(answer.status, 401, "at {place}: {answer:?}");
        assert!(answer.touches_no_token(), "{answer:?}");
    }
    // Decoded and changed where it decides, under the old signature.
    let payload = ann.token_payload();
    for (claim, other) in [
        (r#""v":true"#, r#""v":1"#),
        (r#""exp":"#, r#""exp":9"#),
        (r#""sub":""#, r#""sub":"x"#),
    ] {
        let forged = payload.replacen(claim, other, 1);
        assert_ne!(forged, payload);
        let [header, _, signature] = parts(&token);
        refused(&server, &format!("{header}.{}.{signature}", b64(forged))).await;
    }
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_07_parts_of_two_tokens_make_no_third() {
    let (server, mut ann, _) = scene().await;
    let mut bob = half(&server, Mode::Header, BOB).await;
    bob.complete(&server, OTHER_PHONE).await;
    assert_eq!(secret(&bob).await.status, 200);
    let (anns, bobs) = (
        ann.access_token().unwrap().to_owned(),
        bob.access_token().unwrap().to_owned(),
    );
    let (a, b) = (parts(&anns), parts(&bobs));
    assert_eq!(a[0], b[0]);
    refused(&server, &format!("{}.{}.{}", a[0], a[1], b[2])).await;
    refused(&server, &format!("{}.{}.{}", b[0], b[1], a[2])).await;
    // The end of a remembered token alone finds nothing.
    let tail = &anns[anns.len() - 32..];
    let grafted = format!("{}{tail}", &bobs[..bobs.len() - 32]);
    refused(&server, &grafted).await;
    admits_nobody(&server, tail).await;
    lives(&mut ann).await;
    lives(&mut bob).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_08_one_token_has_one_spelling() {
    let (server, mut ann, _) = scene().await;
    let token = ann.access_token().unwrap().to_owned();
    let [header, payload, signature] = parts(&token);
    let bytes = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let padded = |part: &str| URL_SAFE.encode(URL_SAFE_NO_PAD.decode(part).unwrap());
    assert!(padded(signature).ends_with('='));
    let mut spellings = vec![
        format!("{header}.{payload}.{}", padded(signature)),
        format!("{token}="),
        format!("{token}.x"),
        format!("{token}."),
        format!(".{token}"),
        format!("{header}..{payload}.{signature}"),
    ];
    // The last character of 64 bytes carries two bits that mean nothing.
    let last = signature.chars().last().unwrap();
    for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        if other != last {
            spellings.push(format!("{}{other}", &token[..token.len() - 1]));
        }
    }
    let standard = STANDARD.encode(&bytes);
    if standard.contains(['+', '/']) {
        spellings.push(format!("{header}.{payload}.{}", standard.trim_end_matches('=')));
    }
    for spelling in spellings {
        refused(&server, &spelling).await;
    }
    // The scheme's name has any case; a second word, or none, is no token.
    let with = |value: String| {
        let nobody = server.client(Mode::Header);
        async move {
            nobody
                .peek("GET", "/api/secret", None, &[("authorization", &value)])
                .await
        }
    };
    for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
        assert_eq!(with(format!("{scheme} {token}")).await.status, 200);
    }
    for value in [
        format!("Bearer Bearer {token}"),
        format!("Bearer {token} {token}"),
        format!("Bearer{token}"),
        format!("Bearer \"{token}\""),
        format!("Basic {token}"),
        token.clone(),
    ] {
        let answer = with(value).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_09_a_remembered_token_is_old_a_leeway_after_its_expiry() {
    for mode in MODES {
        let server = server().await;
        let ann = full(&server, mode, ANN, PHONE).await;
        let token = ann.access_token().unwrap().to_owned();
        assert_eq!(secret(&ann).await.status, 200);
        // Fifteen minutes to the second of issue, and ten seconds of leeway; a second for the time the test takes.
        server.moved(15 * MINUTE + 8).await;
        assert_eq!(secret(&ann).await.status, 200, "within the leeway");
        server.moved(4).await;
        refused(&server, &token).await;
        server.moved(DAY).await;
        refused(&server, &token).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_10_a_claim_of_the_wrong_type_is_refused() {
    let (server, mut ann, forger) = scene().await;
    let now: i64 = serde_json::from_str::<Value>(&ann.token_payload()).unwrap()["iat"]
        .as_i64()
        .unwrap();
    for claim in ["exp", "iat", "nbf"] {
        for value in [
            json!(now.to_string()),
            json!(now as f64 + 0.5),
            json!(-1),
            json!(9_223_372_036_854_775_808_u64),
            Value::Null,
            json!([now]),
            json!({ "v": now }),
            json!(true),
        ] {
            let token = forger.changed(&ann, |claims| {
                claims.insert(claim.to_owned(), value.clone());
            });
            refused(&server, &token).await;
        }
    }
    for claim in ["sub", "rsub", "tId", "sessionHandle", "refreshTokenHash1", "iss"] {
        for value in [json!(1), Value::Null, json!(["ann"]), json!({}), json!("")] {
            let token = forger.changed(&ann, |claims| claims[claim] = value.clone());
            refused(&server, &token).await;
        }
    }
    for (claim, value) in [
        ("aud", json!({})),
        ("aud", json!(["acme"])),
        ("st-mfa", json!({ "v": "true", "c": {} })),
        ("st-mfa", json!(true)),
        ("2fa-completed", json!({ "v": 1, "t": now })),
        ("2fa-completed", json!("true")),
    ] {
        let token = forger.changed(&ann, |claims| {
            claims.insert(claim.to_owned(), value.clone());
        });
        refused(&server, &token).await;
    }
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_11_every_required_claim_is_missed() {
    let (server, mut ann, forger) = scene().await;
    for claim in [
        "exp",
        "iat",
        "sub",
        "rsub",
        "tId",
        "sessionHandle",
        "refreshTokenHash1",
        "iss",
    ] {
        let token = forger.changed(&ann, |claims| {
            claims.shift_remove(claim).unwrap();
        });
        refused(&server, &token).await;
    }
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_12_a_token_from_the_future_is_refused() {
    let (server, mut ann, forger) = scene().await;
    for claim in ["nbf", "iat"] {
        let token = forger.changed(&ann, |claims| {
            let later = claims["iat"].as_i64().unwrap() + 3_600;
            claims.insert(claim.to_owned(), json!(later));
            claims["exp"] = json!(later + 900);
        });
        refused(&server, &token).await;
    }
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_13_issuer_and_audience_are_compared_exactly() {
    let (server, mut ann, forger) = scene().await;
    let issuer = format!("http://localhost:{}/auth", server.address.port());
    let honest = forger.changed(&ann, |claims| claims["iss"] = json!(issuer));
    assert_eq!(secret(&bearing(&server, Mode::Header, &honest)).await.status, 200);
    for other in [
        format!("{issuer}/"),
        issuer[..issuer.len() - 1].to_owned(),
        format!("{issuer}2"),
        issuer.to_uppercase(),
        issuer.replace("http:", "https:"),
        issuer.replace("localhost", "127.0.0.1"),
        format!(" {issuer}"),
        "https://b.acme.test/auth".to_owned(),
    ] {
        let token = forger.changed(&ann, |claims| claims["iss"] = json!(other));
        refused(&server, &token).await;
    }
    let named = forger.changed(&ann, |claims| {
        claims.insert("aud".to_owned(), json!(issuer));
    });
    refused(&server, &named).await;
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_14_no_token_serves_for_one_of_another_kind() {
    let server = server().await;
    let mut ann = full(&server, Mode::Header, ANN, PHONE).await;
    let mut waiting = half(&server, Mode::Header, BOB).await;
    let created = waiting.create_code(OTHER_PHONE).await.json();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut as_access = vec![
        ann.refresh_token().unwrap().to_owned(),
        text(&created["deviceId"]),
        text(&created["preAuthSessionId"]),
        server.code().await,
        ann.front.clone().unwrap(),
        ann.handle(),
        ann.user_id(),
        b64(ann.token_payload()),
    ];
    // An id token of a provider, rightly signed by somebody.
    let id_token = b64(r#"{"alg":"ES256","kid":"1","typ":"JWT"}"#);
    let claims = json!({ "iss": "https://accounts.example", "sub": ann.user_id(), "aud": "acme", "exp": 4_102_444_800_i64 });
    as_access.push(format!("{id_token}.{}.{}", b64(claims.to_string()), b64([7; 64])));
    for token in &as_access {
        admits_nobody(&server, token).await;
    }
    // And the other way round.
    for token in [
        ann.access_token().unwrap().to_owned(),
        text(&created["deviceId"]),
        text(&created["preAuthSessionId"]),
        ann.handle(),
    ] {
        for mode in MODES {
            let mut thief = bearing(&server, mode, "-");
            match mode {
                Mode::Cookie => {
                    thief.cookies.clear();
                    thief.cookies.insert("sRefreshToken".to_owned(), token.clone());
                }
                Mode::Header => (thief.access, thief.refresh) = (None, Some(token.clone())),
            }
            let answer = refresh(&thief).await;
            assert_eq!(answer.status, 401, "{answer:?}");
            assert_eq!(answer.message(), "unauthorised");
        }
    }
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_15_a_long_token_is_refused_unread() {
    let (server, mut ann, forger) = scene().await;
    // Rightly signed, so that it is only its length that is refused.
    let long = |bytes: usize| {
        let padding = |length: usize| {
            forger.changed(&ann, |claims| {
                claims.insert("padding".to_owned(), json!("x".repeat(length)));
            })
        };
        let mut length = bytes * 3 / 4;
        while padding(length).len() > bytes {
            length -= 1;
        }
        while padding(length).len() < bytes {
            length += 1;
        }
        padding(length)
    };
    let longest = long(8 * 1024 - 16);
    assert!(longest.len() <= 8 * 1024);
    assert_eq!(
        secret(&bearing(&server, Mode::Header, &longest)).await.status,
        200
    );
    e401_try_refresh(&secret(&bearing(&server, Mode::Header, &long(8 * 1024 + 1))).await);
    for (mode, bytes) in [
        (Mode::Header, 1024 * 1024),
        (Mode::Cookie, 4_097),
        (Mode::Cookie, 64 * 1024),
    ] {
        let token = format!("{}{}", ann.access_token().unwrap(), "A".repeat(bytes));
        let answer = secret(&bearing(&server, mode, &token)).await;
        // The server itself closes the connection on more headers than it reads.
        assert!([0, 401, 431].contains(&answer.status), "{answer:?}");
        assert!(answer.touches_no_token(), "{answer:?}");
    }
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_16_the_token_of_a_retired_key_is_refused() {
    let (server, mut ann, forger) = scene().await;
    let listed = |server: &Server| {
        let nobody = server.client(Mode::Header);
        async move {
            let jwks = nobody.peek("GET", "/auth/jwt/jwks.json", None, &[]).await.json();
            let keys = jwks["keys"].as_array().unwrap().clone();
            keys.iter()
                .map(|key| key["kid"].as_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        }
    };
    assert_eq!(listed(&server).await, std::slice::from_ref(&forger.kid));
    let mut keys = std::collections::BTreeSet::from([forger.kid.clone()]);
    let mut known = true;
    for _ in 0..31 {
        // Half a day at a time: two rotations of a week, and some.
        server.moved(DAY / 2).await;
        assert_eq!(ann.refresh().await.status, 200);
        // What a thief of the old key writes: a token of today.
        let forged = forger.changed(&ann, |_| {});
        assert_eq!(secret(&ann).await.status, 200);
        let ids = listed(&server).await;
        assert!(ids.len() <= 2, "{ids:?}");
        let still = ids.contains(&forger.kid);
        assert!(known || !still, "a retired key came back");
        known = still;
        keys.extend(ids);
        if known {
            assert_eq!(secret(&bearing(&server, Mode::Header, &forged)).await.status, 200);
        } else {
            refused(&server, &forged).await;
        }
    }
    assert!(!known);
    assert!(keys.len() >= 3, "{keys:?}");
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tok_17_a_claim_twice_is_refused() {
    let (server, mut ann, forger) = scene().await;
    let payload = ann.token_payload();
    let header = forger.header().to_string();
    for twice in [
        payload.replacen('{', r#"{"sub":"bob","#, 1),
        payload.replacen("{", r#"{"\u0073ub":"bob","#, 1),
        format!("{},\"sub\":\"bob\"}}", payload.trim_end_matches('}')),
        payload.replacen(r#""v":true"#, r#""v":false,"v":true"#, 1),
        format!("{payload}{payload}"),
    ] {
        refused(&server, &forger.sign(&header, &twice)).await;
    }
    lives(&mut ann).await;
}
