use std::sync::LazyLock;

use jsonwebtoken::{Algorithm, EncodingKey, crypto};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::entropy::OsEntropy;
use crate::keyring::{Keyring, Root, SecretList};
use crate::record::user::object;
use crate::session::keys::SigningAlgorithm;
use crate::storage::KeyStore;
use crate::storage::memory::MemoryStore;

mod remembered;
mod rotation;

type Verified = Result<Arc<AccessClaims>, AccessRefusal>;

const ISSUER: &str = "https://api.acme.test/auth";
const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
const HANDLE_ID: &str = "5f0c1f5e-0b3a-4b0c-9f43-0f6f8f5d7c11";
const SECOND: Duration = Duration::from_secs(1);
const LEEWAY: Duration = Duration::from_secs(10);
const ACCESS: Duration = Duration::from_secs(900);

fn start() -> Timestamp {
    Timestamp::from_ms(1_764_201_600_500)
}

fn tokens(
    keys: Arc<SigningKeys>,
    issuer: &str,
    audience: Option<String>,
    names: ClaimNames,
    config: &SessionConfig,
) -> AccessTokens {
    AccessTokens::new(keys, issuer, audience, names, config, &OsEntropy).unwrap()
}

/// A site, its clock standing at [`start`].
struct Site {
    tokens: AccessTokens,
}

impl Site {
    async fn with(algorithm: SigningAlgorithm, audience: Option<&str>) -> Self {
        let root = Root::random("a".into(), &OsEntropy).unwrap();
        let ring = Keyring::new(&SecretList::new(vec![root])).unwrap();
        let store: Arc<dyn KeyStore> = Arc::new(MemoryStore::new());
        let config = SessionConfig::default();
        let keys = SigningKeys::load(
            store,
            Arc::new(ring),
            Arc::new(OsEntropy),
            algorithm,
            &config,
            start(),
        )
        .await
        .unwrap();
        let audience = audience.map(str::to_owned);
        Self {
            tokens: tokens(Arc::new(keys), ISSUER, audience, ClaimNames::default(), &config),
        }
    }

    async fn new() -> Self {
        Self::with(SigningAlgorithm::Es256, None).await
    }

    /// The same keys under other settings: a second deployment that shares them.
    fn sibling(&self, issuer: &str, audience: Option<&str>) -> AccessTokens {
        let audience = audience.map(str::to_owned);
        let (keys, names) = (self.tokens.keys.clone(), self.tokens.reader.names.clone());
        tokens(keys, issuer, audience, names, &SessionConfig::default())
    }

    fn sign(&self, payload: &str) -> String {
        let token = self.tokens.sign(payload, start()).unwrap().token;
        token.expose().clone()
    }

    /// The token of a user who has done both factors.
    fn token(&self) -> String {
        self.sign(&self.tokens.payload(&Sample::new("ann").parts()).unwrap())
    }

    /// A token whose header is `header`, rightly signed by the key of the site.
    fn sign_header(&self, header: &str) -> String {
        let payload = self.token().split('.').nth(1).unwrap().to_owned();
        let message = format!("{}.{payload}", b64(header));
        format!("{message}.{}", self.tokens.keys.sign_anything(&message, start()))
    }

    fn header(&self) -> String {
        String::from_utf8(
            URL_SAFE_NO_PAD
                .decode(self.token().split('.').next().unwrap())
                .unwrap(),
        )
        .unwrap()
    }

    fn verify(&self, token: &str) -> Verified {
        self.tokens.verify(token, start())
    }

    /// A payload like that of [`Site::token`], changed.
    fn changed(&self, change: impl FnOnce(&mut JsonMap)) -> String {
        let mut claims = plain_claims();
        change(&mut claims);
        self.sign(&Value::Object(claims).to_string())
    }

    fn public_key(&self) -> JsonMap {
        let jwks: Value = serde_json::from_str(&self.tokens.keys.jwks(start()).body).unwrap();
        object(jwks["keys"][0].clone()).unwrap()
    }
}

struct Sample {
    user: UserId,
    method: MethodId,
    tenant: TenantId,
    handle: SessionHandle,
    derived: JsonMap,
    own: JsonMap,
}

impl Sample {
    fn new(user: &str) -> Self {
        Self {
            user: user.into(),
            method: "method".into(),
            tenant: TenantId::public(),
            handle: HANDLE_ID.into(),
            derived: object(json!({
                "st-mfa": {"c": {"emailpassword": 1_764_201_500, "otp-phone": 1_764_201_590}, "v": true},
                "2fa-completed": {"v": true, "t": 1_764_201_590_123_i64},
                "phoneNumber": "+14155552671",
            }))
            .unwrap(),
            own: object(json!({"role": {"v": ["admin"], "t": 1}, "zebra": 1, "apple": "é"})).unwrap(),
        }
    }

    fn parts(&self) -> AccessParts<'_> {
        AccessParts {
            user: &self.user,
            method: &self.method,
            tenant: &self.tenant,
            handle: &self.handle,
            refresh_hash: HASH,
            issued_at: start(),
            expires_at: start().plus(ACCESS),
            derived: &self.derived,
            own: &self.own,
        }
    }
}

fn plain_claims() -> JsonMap {
    object(json!({
        "iat": start().as_secs(),
        "exp": start().as_secs() + 900,
        "sub": "ann",
        "tId": "public",
        "rsub": "method",
        "sessionHandle": HANDLE_ID,
        "refreshTokenHash1": HASH,
        "antiCsrfToken": null,
        "iss": ISSUER,
    }))
    .unwrap()
}

fn b64(text: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

/// `E401R` on the wire.
#[track_caller]
fn assert_try_refresh(found: &Verified) {
    assert!(matches!(found, Err(AccessRefusal::TryRefresh(_))), "{found:?}");
}

#[track_caller]
fn assert_flaw(found: &Verified, flaw: TokenFlaw) {
    assert_eq!(found.as_ref().err(), Some(&AccessRefusal::TryRefresh(flaw)));
}

#[tokio::test]
async fn a_token_reads_as_it_was_written() {
    for algorithm in [
        SigningAlgorithm::Es256,
        SigningAlgorithm::Rs256,
        SigningAlgorithm::EdDsa,
    ] {
        let site = Site::with(algorithm, Some("acme")).await;
        let sample = Sample::new("ann");
        let claims = site.verify(&site.token()).unwrap();
        assert_eq!(claims.user_id(), &sample.user);
        assert_eq!(claims.method_id(), &sample.method);
        assert_eq!(claims.tenant_id(), &sample.tenant);
        assert_eq!(claims.handle(), &sample.handle);
        assert_eq!(claims.refresh_hash(), HASH);
        assert_eq!(
            claims.issued_at(),
            Timestamp::from_ms(1_764_201_600_000),
            "rounded down"
        );
        assert_eq!(claims.expires_at(), Timestamp::from_ms(1_764_202_500_000));
        let mfa = claims.mfa().unwrap();
        assert!(mfa.satisfied);
        assert_eq!(
            mfa.completed[&FactorId::from_static("otp-phone")],
            Timestamp::from_ms(1_764_201_590_000)
        );
        assert_eq!(
            claims.second_factor(),
            Some(SecondFactorClaim {
                completed: true,
                at: Timestamp::from_ms(1_764_201_590_123),
            })
        );
        assert_eq!(claims.payload()["role"], sample.own["role"]);
    }
}

#[tokio::test]
async fn the_payload_is_written_once_in_the_order_of_the_contract() {
    // Contract traps 8 to 11.
    let site = Site::new().await;
    let text = site.tokens.payload(&Sample::new("ann").parts()).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"iat":1764201600,"exp":1764202500,"sub":"ann","tId":"public","rsub":"method","#,
            r#""sessionHandle":"5f0c1f5e-0b3a-4b0c-9f43-0f6f8f5d7c11","#,
            r#""refreshTokenHash1":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08","#,
            r#""antiCsrfToken":null,"iss":"https://api.acme.test/auth","#,
            r#""st-mfa":{"c":{"emailpassword":1764201500,"otp-phone":1764201590},"v":true},"#,
            r#""2fa-completed":{"v":true,"t":1764201590123},"phoneNumber":"+14155552671","#,
            r#""role":{"v":["admin"],"t":1},"zebra":1,"apple":"é"}"#,
        )
    );
    let token = site.sign(&text);
    assert_eq!(
        token.split('.').nth(1).unwrap(),
        b64(&text),
        "embedded byte for byte"
    );
    let claims = site.verify(&token).unwrap();
    assert_eq!(Value::Object(claims.payload().clone()).to_string(), text);
}

#[tokio::test]
async fn a_configured_audience_is_written_and_other_names_are_used() {
    let mut site = Site::with(SigningAlgorithm::Es256, Some("acme")).await;
    site.tokens.reader.names = other_names();
    let mut sample = Sample::new("ann");
    sample.derived = object(json!({"mfa": {"c": {}, "v": false}, "second": {"v": false, "t": 5}})).unwrap();
    let text = site.tokens.payload(&sample.parts()).unwrap();
    assert!(
        text.contains(r#""iss":"https://api.acme.test/auth","aud":"acme","mfa""#),
        "{text}"
    );
    let claims = site.verify(&site.sign(&text)).unwrap();
    assert!(!claims.mfa().unwrap().satisfied);
    assert!(!claims.second_factor().unwrap().completed);
}

fn other_names() -> ClaimNames {
    ClaimNames {
        mfa: "mfa".to_owned(),
        second_factor: "second".to_owned(),
        ..ClaimNames::default()
    }
}

#[tokio::test]
async fn a_tok_01_no_spelling_of_alg_none_is_accepted() {
    let site = Site::new().await;
    let token = site.token();
    let parts: Vec<&str> = token.split('.').collect();
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        for header in [
            format!(r#"{{"alg":"{alg}"}}"#),
            format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#),
            site.header().replace("ES256", alg),
        ] {
            for signature in ["", parts[2]] {
                let forged = format!("{}.{}.{signature}", b64(&header), parts[1]);
                assert_flaw(&site.verify(&forged), TokenFlaw::Header);
            }
        }
    }
    assert_flaw(
        &site.verify(&format!("{}.{}.", parts[0], parts[1])),
        TokenFlaw::Signature,
    );
    assert_flaw(
        &site.verify(&format!("{}.{}", parts[0], parts[1])),
        TokenFlaw::Malformed,
    );
}

#[tokio::test]
async fn a_tok_02_a_public_key_is_no_hmac_secret() {
    for algorithm in [
        SigningAlgorithm::Es256,
        SigningAlgorithm::Rs256,
        SigningAlgorithm::EdDsa,
    ] {
        let site = Site::with(algorithm, None).await;
        let jwk = site.public_key();
        let raw = |name: &str| {
            jwk.get(name)
                .and_then(Value::as_str)
                .map(|text| URL_SAFE_NO_PAD.decode(text).unwrap())
                .unwrap_or_default()
        };
        let point = [vec![4], raw("x"), raw("y")].concat();
        // SubjectPublicKeyInfo of P-256, as DER and PEM.
        let spki = [
            URL_SAFE_NO_PAD
                .decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE")
                .unwrap(),
            point[1..].to_vec(),
        ]
        .concat();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            base64::engine::general_purpose::STANDARD.encode(&spki)
        );
        let jwks = site.tokens.keys.jwks(start()).body;
        let secrets = [
            Value::Object(jwk.clone()).to_string().into_bytes(),
            jwks.as_bytes().to_vec(),
            point,
            spki,
            pem.into_bytes(),
            raw("x"),
            raw("n"),
        ];
        let payload = site.token().split('.').nth(1).unwrap().to_owned();
        for (hmac, name) in [
            (Algorithm::HS256, "HS256"),
            (Algorithm::HS384, "HS384"),
            (Algorithm::HS512, "HS512"),
        ] {
            for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
                let lying = site.header().replace(algorithm.name(), name);
                for header in [lying, site.header()] {
                    let message = format!("{}.{payload}", b64(&header));
                    let key = EncodingKey::from_secret(secret);
                    let signature = crypto::sign(message.as_bytes(), &key, hmac).unwrap();
                    assert_try_refresh(&site.verify(&format!("{message}.{signature}")));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_tok_03_no_key_or_algorithm_of_another_is_accepted_under_our_key_id() {
    use aws_lc_rs::signature as sig;
    let site = Site::new().await;
    let payload = site.token().split('.').nth(1).unwrap().to_owned();
    let p256 = sig::EcdsaKeyPair::generate(&sig::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let p384 = sig::EcdsaKeyPair::generate(&sig::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap();
    let ed = sig::Ed25519KeyPair::generate().unwrap();
    let mallory = Site::with(SigningAlgorithm::Rs256, None).await;
    for (name, key) in [
        (
            "ES256",
            Some((
                Algorithm::ES256,
                EncodingKey::from_ec_der(p256.to_pkcs8v1().unwrap().as_ref()),
            )),
        ),
        (
            "ES384",
            Some((
                Algorithm::ES384,
                EncodingKey::from_ec_der(p384.to_pkcs8v1().unwrap().as_ref()),
            )),
        ),
        (
            "EdDSA",
            Some((
                Algorithm::EdDSA,
                EncodingKey::from_ed_der(ed.to_pkcs8().unwrap().as_ref()),
            )),
        ),
        ("RS256", None),
        ("PS256", None),
    ] {
        for header in [site.header(), site.header().replace("ES256", name)] {
            let message = format!("{}.{payload}", b64(&header));
            let signature = match &key {
                Some((algorithm, key)) => crypto::sign(message.as_bytes(), key, *algorithm).unwrap(),
                None => mallory.tokens.keys.sign_anything(&message, start()),
            };
            assert_try_refresh(&site.verify(&format!("{message}.{signature}")));
        }
    }
}

#[tokio::test]
async fn a_tok_04_a_key_id_is_matched_exactly_or_not_at_all() {
    let site = Site::new().await;
    let ours = site.tokens.keys.sign("{}", start()).unwrap().kid.to_string();
    for kid in [
        json!("../../dev/null"),
        json!("' OR 1=1--"),
        json!("x\u{0}y"),
        json!("d-".to_owned() + &"1".repeat(2_500)),
        json!(1_764_201_600_500_i64),
        json!([ours]),
        json!({"kid": ours}),
        json!(null),
        json!(""),
        json!(format!("{ours} ")),
        json!(ours.to_uppercase()),
        json!(format!("{ours}0")),
        json!("s-5f0c1f5e-0b3a-4b0c-9f43-0f6f8f5d7c11"),
    ] {
        let header = format!(r#"{{"kid":{kid},"typ":"JWT","version":"5","alg":"ES256"}}"#);
        assert_try_refresh(&site.verify(&site.sign_header(&header)));
    }
    assert_flaw(
        &site.verify(&site.sign_header(r#"{"typ":"JWT","version":"5","alg":"ES256"}"#)),
        TokenFlaw::Header,
    );
}

#[tokio::test]
async fn a_tok_04_only_a_well_formed_unknown_key_id_may_start_a_poll() {
    let site = Site::new().await;
    let with = |kid: &str, alg: &str| {
        site.sign_header(&format!(
            r#"{{"kid":"{kid}","typ":"JWT","version":"5","alg":"{alg}"}}"#
        ))
    };
    assert_flaw(
        &site.verify(&with("d-1764201600999", "ES256")),
        TokenFlaw::UnknownKey,
    );
    assert_flaw(&site.verify(&with("d-1764201600999", "RS256")), TokenFlaw::Header);
    assert_flaw(&site.verify(&with("s-1764201600999", "ES256")), TokenFlaw::Header);
    let ours = site.tokens.keys.sign("{}", start()).unwrap().kid;
    assert_flaw(&site.verify(&with(ours.as_str(), "RS256")), TokenFlaw::Header);
}

#[tokio::test]
async fn a_tok_05_a_key_in_the_header_is_never_used() {
    let site = Site::new().await;
    let mallory = Site::new().await;
    let payload = site.token().split('.').nth(1).unwrap().to_owned();
    let jwk = Value::Object(mallory.public_key());
    for member in [
        format!(r#""jwk":{jwk}"#),
        r#""jku":"https://mallory.test/jwks.json""#.to_owned(),
        r#""x5u":"https://mallory.test/cert""#.to_owned(),
        r#""x5c":["MIIB"]"#.to_owned(),
    ] {
        let header = site.header().replace("{\"kid\"", &format!("{{{member},\"kid\""));
        assert_flaw(&site.verify(&site.sign_header(&header)), TokenFlaw::Header);
        let message = format!("{}.{payload}", b64(&header));
        let signature = mallory.tokens.keys.sign_anything(&message, start());
        assert_flaw(&site.verify(&format!("{message}.{signature}")), TokenFlaw::Header);
    }
}

#[tokio::test]
async fn a_tok_06_no_extension_of_the_header_is_understood() {
    let site = Site::new().await;
    assert!(site.verify(&site.sign_header(&site.header())).is_ok());
    for member in [
        r#""crit":["exp"]"#,
        r#""crit":[]"#,
        r#""b64":false"#,
        r#""zip":"DEF""#,
        r#""cty":"JWT""#,
        r#""enc":"A256GCM""#,
        r#""kid":"d-1""#,
        r#""x":1"#,
    ] {
        let header = site.header().replace('}', &format!(",{member}}}"));
        assert_flaw(&site.verify(&site.sign_header(&header)), TokenFlaw::Header);
    }
    for header in [
        site.header().replace("JWT", "at+jwt"),
        site.header().replace("JWT", "jwt"),
        site.header().replace(r#""5""#, "5"),
        site.header().replace(r#""5""#, r#""4""#),
        site.header().replace(r#","version":"5""#, ""),
        site.header().replace(r#""typ":"JWT","#, ""),
        site.header().replace(':', ": "),
        format!("[{}]", site.header()),
    ] {
        assert_flaw(&site.verify(&site.sign_header(&header)), TokenFlaw::Header);
    }
    // JWE in compact form has five parts.
    assert_try_refresh(&site.verify(&format!("{}.a.b.c", site.token())));
}

#[tokio::test]
async fn a_tok_07_a_token_with_any_bit_flipped_is_refused() {
    let site = Site::new().await;
    let token = site.token();
    for bit in 0..token.len() * 8 {
        let mut bytes = token.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // What is no text never becomes a token.
        if let Ok(text) = String::from_utf8(bytes) {
            assert_try_refresh(&site.verify(&text));
        }
    }
}

#[tokio::test]
async fn a_tok_07_decoded_bits_flipped_and_parts_swapped_between_users_are_refused() {
    let site = Site::new().await;
    let token = site.token();
    let parts: Vec<&str> = token.split('.').collect();
    for index in 0..3 {
        let plain = URL_SAFE_NO_PAD.decode(parts[index]).unwrap();
        for bit in 0..plain.len() * 8 {
            let mut other = plain.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            let mut swapped: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            swapped[index] = b64(other);
            assert_try_refresh(&site.verify(&swapped.join(".")));
        }
    }
    let bob = site.sign(&site.tokens.payload(&Sample::new("bob").parts()).unwrap());
    let bobs: Vec<&str> = bob.split('.').collect();
    assert_flaw(
        &site.verify(&format!("{}.{}.{}", parts[0], bobs[1], parts[2])),
        TokenFlaw::Signature,
    );
    assert!(site.verify(&bob).is_ok());
}

#[tokio::test]
async fn a_tok_08_one_token_has_one_spelling() {
    for algorithm in [
        SigningAlgorithm::Es256,
        SigningAlgorithm::Rs256,
        SigningAlgorithm::EdDsa,
    ] {
        let site = Site::with(algorithm, None).await;
        let token = site.token();
        let parts: Vec<&str> = token.split('.').collect();
        let mut others = vec![
            format!("{token}="),
            format!("{token}=="),
            format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
            format!("{}.{}=.{}", parts[0], parts[1], parts[2]),
            format!("{token}."),
            format!(".{token}"),
            format!("{token}.{}", parts[2]),
            format!("{token}\n"),
            format!(" {token}"),
            format!("{} {}", &token[..20], &token[20..]),
            format!("Bearer {token}"),
            token.replace('.', "%2E"),
            format!("{token}A"),
            token[..token.len() - 1].to_owned(),
        ];
        // A signature with `-` or `_`, in the other alphabet.
        let mut salted = token.clone();
        for _ in 0..64 {
            if salted.rsplit('.').next().unwrap().contains(['-', '_']) {
                break;
            }
            salted = site.token();
        }
        let (message, signature) = salted.rsplit_once('.').unwrap();
        let standard = signature.replace('-', "+").replace('_', "/");
        if standard != signature {
            others.push(format!("{message}.{standard}"));
        }
        // The last character of 64 bytes carries four bits that must be zero, of 384 bytes none.
        if algorithm != SigningAlgorithm::Rs256 {
            let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
            let last = token.chars().last().unwrap();
            let at = alphabet.find(last).unwrap();
            for bits in 1..16 {
                let other = &alphabet[at + bits..=at + bits];
                others.push(format!("{}{other}", &token[..token.len() - 1]));
            }
        }
        for other in others {
            assert_try_refresh(&site.verify(&other));
        }
    }
}

#[tokio::test]
async fn a_tok_09_a_token_is_old_a_leeway_after_its_expiry() {
    let site = Site::new().await;
    let token = site.token();
    let exp = Timestamp::from_ms(1_764_202_500_000);
    assert!(site.tokens.verify(&token, exp).is_ok());
    assert!(site.tokens.verify(&token, exp.plus(LEEWAY)).is_ok());
    for late in [Duration::from_millis(1), SECOND, Duration::from_secs(86_400)] {
        assert_flaw(
            &site.tokens.verify(&token, exp.plus(LEEWAY).plus(late)),
            TokenFlaw::Expired,
        );
    }
}

#[tokio::test]
async fn a_tok_09_expiry_is_judged_wherever_it_stands_in_the_payload() {
    let site = Site::new().await;
    let old = site.changed(|claims| {
        claims.shift_remove("iat");
        claims.insert("iat".to_owned(), json!(start().as_secs() - 1_000));
        claims.insert("exp".to_owned(), json!(start().as_secs() - 100));
    });
    assert_eq!(
        leading_exp(&URL_SAFE_NO_PAD.decode(old.split('.').nth(1).unwrap()).unwrap()),
        None
    );
    assert_flaw(&site.verify(&old), TokenFlaw::Expired);
    assert_eq!(leading_exp(br#"{"iat":1,"exp":2,"#), Some(2));
    for other in [
        r#"{"iat":1,"exp":2}"#,
        r#"{"iat":1,"exp":2.5,"#,
        r#"{"iat":1,"exp":,"#,
        r#"{"exp":2,"#,
        "",
    ] {
        assert_eq!(leading_exp(other.as_bytes()), None, "{other}");
    }
}

#[tokio::test]
async fn a_token_that_is_good_but_for_its_expiry_names_its_session_and_no_other_does() {
    let site = Site::new().await;
    let token = site.token();
    let late = Timestamp::from_ms(1_764_202_500_000).plus(LEEWAY).plus(SECOND);
    let lapsed = |token: &str| site.tokens.lapsed(token, late);
    let named = site.verify(&token).unwrap().named();
    assert_eq!(named.session.as_str(), HANDLE_ID);
    assert_eq!(lapsed(&token), Some(named));
    assert_flaw(&site.tokens.verify(&token, late), TokenFlaw::Expired);
    assert_eq!(site.tokens.lapsed(&token, start()), None, "it is alive");
    let (message, signature) = token.rsplit_once('.').unwrap();
    let other = site.changed(|claims| {
        claims.insert("sessionHandle".to_owned(), json!("another"));
    });
    let (other, _) = other.rsplit_once('.').unwrap();
    let foreign = Site::new().await.token();
    for forged in [
        format!("{other}.{signature}"),
        format!("{message}."),
        message.to_owned(),
        String::new(),
        "x".repeat(MAX_TOKEN + 1),
        foreign,
    ] {
        assert_eq!(lapsed(&forged), None, "{forged}");
    }
    let elsewhere = site.sibling("https://other.test/auth", None);
    assert_eq!(elsewhere.lapsed(&token, late), None);
}

#[tokio::test]
async fn a_tok_09_leeway_never_passes_a_minute() {
    let config = SessionConfig {
        leeway: Duration::from_secs(3_600),
        ..SessionConfig::default()
    };
    let site = Site::new().await;
    let lax = tokens(
        site.tokens.keys.clone(),
        ISSUER,
        None,
        ClaimNames::default(),
        &config,
    );
    let exp = Timestamp::from_ms(1_764_202_500_000);
    assert!(lax.verify(&site.token(), exp.plus(60 * SECOND)).is_ok());
    assert_flaw(
        &lax.verify(&site.token(), exp.plus(61 * SECOND)),
        TokenFlaw::Expired,
    );
}

#[tokio::test]
async fn a_tok_10_a_claim_of_the_wrong_type_is_refused_and_never_taken_for_absent() {
    let site = Site::new().await;
    assert!(site.verify(&site.changed(|_| {})).is_ok());
    let now = start().as_secs();
    for key in ["exp", "nbf", "iat"] {
        for value in [
            json!(now.to_string()),
            json!(1.764_202_000e9),
            json!(-1),
            json!(9_223_372_036_854_775_808_u64),
            json!(u64::MAX),
            json!(i64::MAX),
            json!(null),
            json!([now]),
            json!({"v": now}),
            json!(true),
        ] {
            let token = site.changed(|claims| {
                claims.insert(key.to_owned(), value.clone());
            });
            assert_try_refresh(&site.verify(&token));
        }
        for number in [
            "1764201600.0",
            "1.7642016e9",
            "1764201600e0",
            "-0",
            "1764201600E0",
        ] {
            let mut claims = plain_claims();
            claims.insert(key.to_owned(), json!("X"));
            let text = Value::Object(claims).to_string().replace("\"X\"", number);
            assert_try_refresh(&site.verify(&site.sign(&text)));
        }
    }
    for key in ["sub", "rsub", "tId", "sessionHandle", "refreshTokenHash1", "iss"] {
        for value in [
            json!(1),
            json!(null),
            json!(["ann"]),
            json!({"a": 1}),
            json!(true),
            json!(""),
        ] {
            let token = site.changed(|claims| {
                claims.insert(key.to_owned(), value.clone());
            });
            assert_try_refresh(&site.verify(&token));
        }
    }
    for (key, values) in [
        (
            "aud",
            vec![
                json!({"a": 1}),
                json!(null),
                json!(1),
                json!(["acme"]),
                json!("acme"),
            ],
        ),
        ("antiCsrfToken", vec![json!("x"), json!(false), json!(0)]),
        (
            "stt",
            vec![
                json!(1),
                json!("0"),
                json!(null),
                json!(0.0),
                json!(false),
                json!([]),
            ],
        ),
        (
            "st-mfa",
            vec![
                json!(true),
                json!(null),
                json!({"v": true}),
                json!({"c": {}}),
                json!({"c": {}, "v": 1}),
                json!({"c": {}, "v": "true"}),
                json!({"c": [], "v": true}),
                json!({"c": {"totp": "1"}, "v": true}),
                json!({"c": {"totp": 1.5}, "v": true}),
                json!({"c": {"totp": -1}, "v": true}),
                json!({"c": {}, "v": true, "x": 1}),
            ],
        ),
        (
            "2fa-completed",
            vec![
                json!(true),
                json!(null),
                json!({"v": true}),
                json!({"t": 1}),
                json!({"v": 1, "t": 1}),
                json!({"v": null, "t": 1}),
                json!({"v": true, "t": "1"}),
                json!({"v": true, "t": 1.5}),
                json!({"v": true, "t": 1, "x": 1}),
            ],
        ),
    ] {
        for value in values {
            let token = site.changed(|claims| {
                claims.insert(key.to_owned(), value.clone());
            });
            assert_try_refresh(&site.verify(&token));
        }
    }
}

#[tokio::test]
async fn a_tok_11_every_required_claim_is_missed() {
    let site = Site::with(SigningAlgorithm::Es256, Some("acme")).await;
    let full = |claims: &mut JsonMap| {
        claims.insert("aud".to_owned(), json!("acme"));
    };
    assert!(site.verify(&site.changed(full)).is_ok());
    for key in [
        "iat",
        "exp",
        "sub",
        "tId",
        "rsub",
        "sessionHandle",
        "refreshTokenHash1",
        "iss",
        "aud",
    ] {
        let token = site.changed(|claims| {
            full(claims);
            claims.shift_remove(key);
        });
        assert_try_refresh(&site.verify(&token));
    }
}

#[tokio::test]
async fn a_token_without_derived_claims_speaks_of_no_factor() {
    let site = Site::new().await;
    let claims = site.verify(&site.changed(|_| {})).unwrap();
    assert_eq!((claims.mfa(), claims.second_factor()), (None, None));
}

#[tokio::test]
async fn a_tok_12_a_token_from_the_future_is_refused() {
    let site = Site::new().await;
    let now = start().as_secs();
    let with = |iat: i64, nbf: Option<i64>| {
        site.changed(|claims| {
            claims.insert("iat".to_owned(), json!(iat));
            claims.insert("exp".to_owned(), json!(iat + 900));
            if let Some(nbf) = nbf {
                claims.insert("nbf".to_owned(), json!(nbf));
            }
        })
    };
    assert_flaw(&site.verify(&with(now + 3_600, None)), TokenFlaw::Early);
    assert_flaw(&site.verify(&with(now, Some(now + 3_600))), TokenFlaw::Early);
    assert_flaw(&site.verify(&with(now + 11, None)), TokenFlaw::Early);
    assert!(site.verify(&with(now + 10, None)).is_ok());
    assert!(site.verify(&with(now, Some(now + 10))).is_ok());
    assert!(site.verify(&with(now, Some(now - 3_600))).is_ok());
}

#[tokio::test]
async fn a_lifetime_that_we_never_issue_is_refused() {
    // Threat A-CLK-01: no lifetime of 136 years, whoever's clock wrote it.
    let site = Site::new().await;
    for exp in [
        start().as_secs() + 3_601,
        start().as_secs() - 1,
        i64::MAX / 1_000,
        4_294_967_295,
    ] {
        let token = site.changed(|claims| {
            claims.insert("exp".to_owned(), json!(exp));
        });
        assert_try_refresh(&site.verify(&token));
    }
}

#[tokio::test]
async fn a_clock_that_leaps_neither_panics_nor_revives_a_token() {
    // Threat A-CLK-01.
    let site = Site::new().await;
    let token = site.token();
    for ms in [i64::MIN, -1, 0, 1, 2_147_483_648_000, 4_294_967_296_000, i64::MAX] {
        assert_try_refresh(&site.tokens.verify(&token, Timestamp::from_ms(ms)));
    }
    assert!(site.verify(&token).is_ok());
}

#[tokio::test]
async fn a_tok_13_issuer_and_audience_are_compared_exactly() {
    let site = Site::new().await;
    let token = site.token();
    for issuer in [
        "https://other.acme.test/auth",
        "https://api.acme.test/auth/",
        "https://api.acme.test/aut",
        "https://api.acme.test/auth2",
        "https://API.acme.test/auth",
        "http://api.acme.test/auth",
        " https://api.acme.test/auth",
        "",
    ] {
        let other = site.sibling(issuer, None);
        assert_flaw(&other.verify(&token, start()), TokenFlaw::Claim("iss"));
    }
    let acme = site.sibling(ISSUER, Some("acme"));
    assert_flaw(&acme.verify(&token, start()), TokenFlaw::Claim("aud"));
    let named = site.sign(&acme.payload(&Sample::new("ann").parts()).unwrap());
    assert!(acme.verify(&named, start()).is_ok());
    for audience in [None, Some("acm"), Some("acme2"), Some("Acme"), Some("")] {
        let other = site.sibling(ISSUER, audience);
        assert_flaw(&other.verify(&named, start()), TokenFlaw::Claim("aud"));
    }
}

#[tokio::test]
async fn a_tok_14_what_is_no_access_token_counts_as_none() {
    let site = Site::new().await;
    let refresh = b64([7_u8; 120]);
    let foreign = format!(
        "{}.{}.{}",
        b64(r#"{"alg":"RS256","typ":"JWT","kid":"abc"}"#),
        b64(r#"{"iss":"https://accounts.other.test","sub":"1","aud":"x","exp":1764202500,"nonce":"n"}"#),
        b64([1; 256])
    );
    for other in [
        "",
        ".",
        "..",
        "...",
        "abc",
        "123456",
        "a.b.c",
        refresh.as_str(),
        foreign.as_str(),
        "ey.ey.ey",
        "🦀.🦀.🦀",
        "sessionHandle",
    ] {
        assert_eq!(site.verify(other).err(), Some(AccessRefusal::NotOurs), "{other}");
    }
}

#[tokio::test]
async fn a_tok_15_a_long_token_is_refused_unread() {
    let site = Site::new().await;
    let token = site.token();
    for length in [MAX_TOKEN + 1, 64 * 1024, 1024 * 1024] {
        let padded = format!("{token}{}", "A".repeat(length - token.len()));
        assert_flaw(&site.verify(&padded), TokenFlaw::Oversize);
    }
    let longest = format!("{token}{}", "A".repeat(MAX_TOKEN - token.len()));
    assert_flaw(&site.verify(&longest), TokenFlaw::Signature);
}

#[tokio::test]
async fn a_tok_16_the_token_of_a_retired_key_is_refused_even_if_it_claims_to_live() {
    let store: Arc<MemoryStore> = Arc::default();
    let root = Root::random("a".into(), &OsEntropy).unwrap();
    let ring = Arc::new(Keyring::new(&SecretList::new(vec![root])).unwrap());
    let config = SessionConfig::default();
    let keys = SigningKeys::load(
        store.clone(),
        ring,
        Arc::new(OsEntropy),
        SigningAlgorithm::Es256,
        &config,
        start(),
    )
    .await
    .unwrap();
    let tokens = tokens(Arc::new(keys), ISSUER, None, ClaimNames::default(), &config);
    // What a thief of the old key would write: a token for each moment, under the first key.
    let forge = |now: Timestamp| {
        let sample = Sample::new("ann");
        let parts = AccessParts {
            issued_at: now,
            expires_at: now.plus(ACCESS),
            ..sample.parts()
        };
        let header = tokens
            .sign("{}", start())
            .map(|signed| signed.token.expose().split('.').next().unwrap().to_owned());
        (header, b64(tokens.payload(&parts).unwrap()))
    };
    let (header, _) = forge(start());
    let header = header.unwrap();
    let interval = config.key_rotation;
    let key = tokens.keys.by_header(&header, start()).unwrap();
    let token_at = |now: Timestamp| {
        let message = format!("{header}.{}", forge(now).1);
        format!("{message}.{}", b64(&*key.sign(message.as_bytes()).unwrap()))
    };
    let overlap_end = {
        let records = store.signing_keys().await.unwrap();
        records[0].verifies_until
    };
    let mut polled = start();
    while polled < start().plus(2 * interval) {
        tokens.keys.poll(polled).await.unwrap();
        polled = polled.plus(Duration::from_secs(600));
        let known = tokens.verify(&token_at(polled), polled);
        assert_eq!(known.is_ok(), polled < overlap_end, "{known:?}");
        let listed = tokens.keys.jwks(polled).body.matches("kid").count();
        assert!((1..=2).contains(&listed));
    }
    assert_try_refresh(&tokens.verify(&token_at(polled), polled));
}

#[tokio::test]
async fn a_tok_17_a_claim_twice_is_refused() {
    let site = Site::new().await;
    let plain = Value::Object(plain_claims()).to_string();
    assert!(site.verify(&site.sign(&plain)).is_ok());
    for (from, to) in [
        (r#""sub":"ann""#, r#""sub":"bob","sub":"ann""#),
        (r#""sub":"ann""#, r#""sub":"ann","\u0073ub":"ann""#),
        (r#""sub":"ann""#, r#""sub":"ann","own":{"a":1,"a":1}"#),
        (
            r#""sub":"ann""#,
            r#""sub":"ann","st-mfa":{"c":{},"v":false,"v":true}"#,
        ),
        (r#""sub":"ann""#, r#""sub":"ann","own":[{"a":1,"a":2}]"#),
    ] {
        let text = plain.replace(from, to);
        assert_ne!(text, plain);
        assert_flaw(&site.verify(&site.sign(&text)), TokenFlaw::Malformed);
    }
}

#[tokio::test]
async fn a_payload_that_is_no_single_object_is_refused() {
    let site = Site::new().await;
    let plain = Value::Object(plain_claims()).to_string();
    for text in [
        "".to_owned(),
        "null".to_owned(),
        format!("[{plain}]"),
        format!("{plain}{plain}"),
        plain.replace('}', ",}"),
        plain.replace(
            "null",
            &format!("null,\"deep\":{}1{}", "[".repeat(16), "]".repeat(16)),
        ),
    ] {
        assert_flaw(&site.verify(&site.sign(&text)), TokenFlaw::Malformed);
    }
}

#[tokio::test]
async fn reserved_keys_are_an_error_and_never_dropped() {
    // R-TOK-4; threats A-CLM-01, A-LEG-06.
    let site = Site::new().await;
    for key in [
        "sub",
        "rsub",
        "tId",
        "sessionHandle",
        "refreshTokenHash1",
        "parentRefreshTokenHash1",
        "antiCsrfToken",
        "stt",
        "iat",
        "exp",
        "nbf",
        "iss",
        "aud",
        "jti",
        "kid",
        "typ",
        "amr",
        "acr",
        "auth_time",
        "__proto__",
        "st-mfa",
        "st-ev",
        "st-",
        "st-anything",
        "2fa-completed",
        "phoneNumber",
    ] {
        for value in [json!(1), json!(null)] {
            let mut sample = Sample::new("ann");
            sample.own.insert(key.to_owned(), value);
            let error = PayloadError::Reserved { key: key.to_owned() };
            assert_eq!(site.tokens.check_own(&sample.own), Err(error.clone()));
            assert_eq!(site.tokens.payload(&sample.parts()), Err(error));
        }
    }
    for key in ["role", "Sub", "st", "stx", "mfa", "proto", "email", "phone"] {
        assert!(
            !is_reserved(key, &ClaimNames::default(), SecondFactor::BuiltIn),
            "{key}"
        );
    }
    let reserved = |key, second_factor| is_reserved(key, &other_names(), second_factor);
    assert!(reserved("mfa", SecondFactor::BuiltIn) && reserved("second", SecondFactor::BuiltIn));
    // Without a second factor of ours the names of its claims are like any others; the clients' own are not.
    assert!(reserved("mfa", SecondFactor::Absent) && reserved("st-mfa", SecondFactor::Absent));
    assert!(!reserved("second", SecondFactor::Absent) && !reserved("phoneNumber", SecondFactor::Absent));
}

#[tokio::test]
async fn a_payload_too_long_for_a_cookie_is_an_error_when_it_is_merged() {
    let site = Site::new().await;
    let mut sample = Sample::new("ann");
    let fill = |bytes: usize| object(json!({ "x": "a".repeat(bytes - r#"{"x":""}"#.len()) })).unwrap();
    assert_eq!(site.tokens.check_own(&fill(MAX_OWN_PAYLOAD)), Ok(()));
    assert_eq!(
        site.tokens.check_own(&fill(MAX_OWN_PAYLOAD + 1)),
        Err(PayloadError::TooLong {
            bytes: MAX_OWN_PAYLOAD + 1,
            limit: MAX_OWN_PAYLOAD
        })
    );
    sample.own = fill(MAX_OWN_PAYLOAD);
    assert!(site.tokens.payload(&sample.parts()).is_ok());
    sample.user = "u".repeat(500).into();
    assert!(matches!(
        site.tokens.payload(&sample.parts()),
        Err(PayloadError::TooLong {
            limit: MAX_PAYLOAD,
            ..
        })
    ));
}

#[tokio::test]
async fn the_longest_payload_fits_a_cookie_with_every_algorithm() {
    // ASVS v5.0.0-3.3.5.
    for algorithm in [
        SigningAlgorithm::Es256,
        SigningAlgorithm::Rs256,
        SigningAlgorithm::EdDsa,
    ] {
        let site = Site::with(algorithm, None).await;
        let token = site.sign(&"x".repeat(MAX_PAYLOAD));
        assert!(
            "__Host-sAccessToken=".len() + token.len() <= MAX_COOKIE,
            "{}",
            token.len()
        );
        // The client's own cookie holds the payload in base64 with padding, and two short members.
        let front = json!({"uid": "u".repeat(36), "ate": 1_764_202_500_000_i64, "up": ""}).to_string();
        let front = (front.len() + MAX_PAYLOAD).div_ceil(3) * 4;
        assert!("sFrontToken=".len() + front <= MAX_COOKIE, "{front}");
    }
}

#[tokio::test]
async fn what_could_not_be_read_back_is_not_issued() {
    let site = Site::new().await;
    let nested = |levels: usize| {
        let text = format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        object(json!({ "x": serde_json::from_str::<Value>(&text).unwrap() })).unwrap()
    };
    let mut sample = Sample::new("ann");
    sample.own = nested(json::MAX_DEPTH - 1);
    let token = site.sign(&site.tokens.payload(&sample.parts()).unwrap());
    assert!(site.verify(&token).is_ok());
    sample.own = nested(json::MAX_DEPTH);
    assert_eq!(site.tokens.payload(&sample.parts()), Err(PayloadError::TooDeep));
}

#[tokio::test]
async fn a_token_issued_again_keeps_its_expiry_and_takes_a_new_date() {
    // Contract trap 10.
    let site = Site::new().await;
    let sample = Sample::new("ann");
    let again = AccessParts {
        issued_at: start().plus(100 * SECOND),
        ..sample.parts()
    };
    let now = start().plus(100 * SECOND);
    let token = site
        .tokens
        .sign(&site.tokens.payload(&again).unwrap(), now)
        .unwrap()
        .token;
    let claims = site.tokens.verify(token.expose(), now).unwrap();
    assert_eq!(claims.issued_at().as_secs(), start().as_secs() + 100);
    assert_eq!(claims.expires_at().as_secs(), start().as_secs() + 900);
}

#[tokio::test]
async fn refusals_say_why_to_the_log_and_hold_nothing_of_the_token() {
    let site = Site::new().await;
    let refusal = site
        .verify(&site.changed(|claims| {
            claims.insert("iss".to_owned(), json!("canary"));
        }))
        .unwrap_err();
    assert_eq!(refusal.to_string(), "access token refused: claim");
    assert!(!format!("{refusal:?}").contains("canary"));
}

/// One site for all cases of a property.
fn site() -> &'static Site {
    static SITE: LazyLock<Site> = LazyLock::new(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(Site::new())
    });
    &SITE
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::vec(("[a-z]{1,4}", inner), 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_text_is_refused_without_a_panic(text in any::<String>(), tail in "[A-Za-z0-9_.=-]{0,200}") {
        let site = site();
        prop_assert!(site.verify(&text).is_err());
        prop_assert!(site.verify(&tail).is_err());
        let header = site.token().split('.').next().unwrap().to_owned();
        for forged in [format!("{header}.{tail}"), format!("{header}.{text}.{tail}")] {
            prop_assert!(site.verify(&forged).is_err());
        }
    }

    #[test]
    fn any_edit_of_a_token_is_refused(
        at in any::<prop::sample::Index>(),
        cut in 0..5_usize,
        insert in "[A-Za-z0-9_.=+/ -]{0,5}",
    ) {
        let site = site();
        let token = site.token();
        let from = at.index(token.len());
        let to = (from + cut).min(token.len());
        let edited = format!("{}{insert}{}", &token[..from], &token[to..]);
        prop_assume!(edited != token);
        prop_assert!(site.verify(&edited).is_err(), "{}", edited);
    }

    #[test]
    fn any_signed_payload_is_judged_without_a_panic(value in any_json(), key in "[a-zA-Z0-9_-]{1,8}") {
        let site = site();
        let mut claims = plain_claims();
        claims.insert(key, value.clone());
        let _ = site.verify(&site.sign(&Value::Object(claims).to_string()));
        for claim in ["iat", "exp", "nbf", "sub", "aud", "stt", "st-mfa", "2fa-completed", "antiCsrfToken"] {
            let token = site.changed(|claims| {
                claims.insert(claim.to_owned(), value.clone());
            });
            let _ = site.verify(&token);
        }
        prop_assert!(site.verify(&site.sign(&value.to_string())).is_err());
    }

    #[test]
    fn an_own_payload_that_passes_the_check_reads_back_equal(
        own in proptest::collection::vec(("[a-z]{1,6}", any_json()), 0..6),
    ) {
        let site = site();
        let mut sample = Sample::new("ann");
        sample.own = own.into_iter().collect();
        if let Ok(text) = site.tokens.payload(&sample.parts()) {
            let claims = site.verify(&site.sign(&text)).unwrap();
            prop_assert_eq!(Value::Object(claims.payload().clone()).to_string(), text);
        }
    }
}
