use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;
use crate::session::signature::KeyPair;

const ALL: [SigningAlgorithm; 3] = [
    SigningAlgorithm::Es256,
    SigningAlgorithm::Rs256,
    SigningAlgorithm::EdDsa,
];

fn pair(algorithm: SigningAlgorithm) -> KeyPair {
    KeyPair::parse(algorithm, &KeyPair::generate(algorithm).unwrap()).unwrap()
}

/// A JWK as we publish it.
fn jwk(algorithm: SigningAlgorithm, kid: &str) -> Map<String, Value> {
    let pair = pair(algorithm);
    let text = format!(
        r#"{{"kty":"{}","kid":"{kid}",{},"alg":"{}","use":"sig"}}"#,
        pair.key_type(),
        pair.members(),
        algorithm.name()
    );
    serde_json::from_str(&text).unwrap()
}

fn read(keys: Value, algorithm: SigningAlgorithm) -> Result<KeySet, KeySetError> {
    KeySet::read(json!({ "keys": keys }).to_string().as_bytes(), algorithm)
}

/// What a set of one key becomes if that key is changed.
fn changed(
    algorithm: SigningAlgorithm,
    change: impl FnOnce(&mut Map<String, Value>),
) -> Result<KeySet, KeySetError> {
    let mut key = jwk(algorithm, "d-1");
    change(&mut key);
    read(json!([key]), algorithm)
}

#[test]
fn a_published_key_verifies_what_its_pair_signed() {
    for algorithm in ALL {
        let signer = pair(algorithm);
        let text = format!(
            r#"{{"keys":[{{"kty":"{}","kid":"d-17","alg":"{}","use":"sig",{}}}]}}"#,
            signer.key_type(),
            algorithm.name(),
            signer.members()
        );
        let set = KeySet::read(text.as_bytes(), algorithm).unwrap();
        assert_eq!(set.ids().collect::<Vec<_>>(), ["d-17"]);
        let key = &set.0[0];
        assert_eq!(key.header, header_of("d-17", algorithm));
        let signature = URL_SAFE_NO_PAD.encode(&*signer.sign(b"message").unwrap());
        assert!(key.verify(&signature, b"message"));
        assert!(!key.verify(&signature, b"massage"));
        assert!(!key.verify(&format!("{signature}="), b"message"));
    }
}

#[test]
fn only_keys_of_the_expected_algorithm_are_taken() {
    let keys: Vec<_> = ALL.into_iter().zip(["d-1", "d-2", "d-3"]).collect();
    let all: Vec<_> = keys.iter().map(|(algorithm, kid)| jwk(*algorithm, kid)).collect();
    for (algorithm, kid) in keys {
        let set = read(json!(all), algorithm).unwrap();
        assert_eq!(set.ids().collect::<Vec<_>>(), [kid]);
    }
}

#[test]
fn a_key_that_is_not_as_we_publish_it_verifies_nothing() {
    for algorithm in ALL {
        for (member, value) in [
            ("kid", json!("s-1")),
            ("kid", json!("d-1x")),
            ("kid", json!(1)),
            ("kty", json!("oct")),
            ("alg", json!("none")),
            ("alg", json!("HS256")),
            ("use", json!("enc")),
            ("crv", json!("P-384")),
            ("x5u", json!("https://evil.test/key")),
            ("x5c", json!(["MIIB"])),
            ("jku", json!("https://evil.test")),
            ("key_ops", json!(["verify"])),
            ("x", json!("AAAA")),
            ("n", json!("AQAB")),
            ("e", json!("Aw")),
        ] {
            let refused = changed(algorithm, |key| {
                key.insert(member.to_owned(), value.clone());
            });
            assert_eq!(
                refused.unwrap_err(),
                KeySetError::NoKey,
                "{algorithm:?} {member} {value}"
            );
        }
        let members: Vec<String> = jwk(algorithm, "d-1").keys().cloned().collect();
        for member in members {
            let refused = changed(algorithm, |key| drop(key.shift_remove(&member)));
            assert_eq!(refused.unwrap_err(), KeySetError::NoKey, "without {member}");
        }
    }
}

#[test]
fn a_point_that_is_not_on_the_curve_is_no_key() {
    let refused = changed(SigningAlgorithm::Es256, |key| {
        key.insert("x".to_owned(), json!(URL_SAFE_NO_PAD.encode([1; 32])));
    });
    assert_eq!(refused.unwrap_err(), KeySetError::NoKey);
}

#[test]
fn a_short_rsa_key_is_no_key() {
    for bytes in [128, 256, 383, 385, 512] {
        let refused = changed(SigningAlgorithm::Rs256, |key| {
            key.insert("n".to_owned(), json!(URL_SAFE_NO_PAD.encode(vec![0xff; bytes])));
        });
        assert_eq!(refused.unwrap_err(), KeySetError::NoKey, "{bytes}");
    }
}

#[test]
fn a_set_that_holds_a_private_key_is_refused_as_a_whole() {
    let good = jwk(SigningAlgorithm::Es256, "d-1");
    for member in PRIVATE {
        let mut leaked = jwk(SigningAlgorithm::Es256, "d-2");
        leaked.insert(member.to_owned(), json!("AAAA"));
        let refused = read(json!([good, leaked]), SigningAlgorithm::Es256);
        assert_eq!(refused.unwrap_err(), KeySetError::Private, "{member}");
    }
}

#[test]
fn two_keys_of_one_id_are_refused() {
    let keys = [(); 2].map(|()| jwk(SigningAlgorithm::Es256, "d-1"));
    assert_eq!(
        read(json!(keys), SigningAlgorithm::Es256).unwrap_err(),
        KeySetError::Ambiguous
    );
}

#[test]
fn a_set_of_too_many_keys_or_bytes_is_refused() {
    let filler: Vec<_> = (0..=MAX_KEYS).map(|_| json!({ "kty": "oct" })).collect();
    assert_eq!(
        read(json!(filler), SigningAlgorithm::Es256).unwrap_err(),
        KeySetError::TooMany
    );
    let long = vec![b' '; MAX_KEY_SET + 1];
    assert_eq!(
        KeySet::read(&long, SigningAlgorithm::Es256).unwrap_err(),
        KeySetError::TooLong
    );
}

#[test]
fn what_is_no_key_set_is_refused() {
    for text in [
        "",
        "[]",
        "{}",
        "null",
        r#"{"keys":{}}"#,
        r#"{"keys":[1]}"#,
        r#"{"keys":[],"keys":[]}"#,
        r#"{"keys":[]} x"#,
        "<html>",
    ] {
        let refused = KeySet::read(text.as_bytes(), SigningAlgorithm::Es256);
        assert_eq!(refused.unwrap_err(), KeySetError::Malformed, "{text}");
    }
    assert_eq!(
        read(json!([]), SigningAlgorithm::Es256).unwrap_err(),
        KeySetError::NoKey
    );
}

#[test]
fn the_same_keys_again_are_no_change_and_others_are() {
    let held = HeldKeys::new(SigningAlgorithm::Es256, Duration::from_secs(3600));
    let keys = ["d-1", "d-2"].map(|kid| jwk(SigningAlgorithm::Es256, kid));
    let take = |keys: &[Map<String, Value>]| {
        let document = json!({ "keys": keys }).to_string();
        held.replace(document.as_bytes(), Timestamp::from_ms(0)).unwrap();
        (held.version(), held.with_held(|held| held.keys.0[0].number))
    };
    let first = take(&keys);
    assert_eq!(take(&keys), first);
    let (version, _) = take(&keys[1..]);
    assert!(version > first.0 && !held.has_number(first.1));
    // The id of one that was withdrawn, and another key: it is not that one.
    let again = take(&[jwk(SigningAlgorithm::Es256, "d-1")]);
    assert!(again.0 > version && again.1 != first.1);
}

proptest! {
    #[test]
    fn a_document_of_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        for algorithm in ALL {
            prop_assert!(KeySet::read(&bytes, algorithm).is_err());
        }
    }
}
