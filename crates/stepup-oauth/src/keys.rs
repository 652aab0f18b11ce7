//! Keys of an issuer, and the algorithms by which its id tokens are signed.

use aws_lc_rs::digest::{self, digest};
use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PSS_2048_8192_SHA256, RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RsaParameters,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use stepup_core::provider::ProviderError;
use stepup_core::record::JsonMap;

/// The most keys that a set may have. Large providers publish ten.
const MAX_KEYS: usize = 100;

/// How an id token may be signed. There is neither `none` nor anything with a shared secret here, so that no header can
/// ask for it.
///
/// # Source
/// RFC 7518 §3.1, RFC 8037 §3.1; RFC 8725 §3.1 and §3.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are those of the registry")]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

impl Algorithm {
    const ALL: [Self; 10] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::Es512,
        Self::EdDsa,
    ];

    /// The one that a header names.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    /// Its name in headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// What `at_hash` says of an access token: the left half of its digest.
    ///
    /// # Source
    /// OpenID Connect Core §3.1.3.6.
    pub(crate) fn half_hash(self, token: &str) -> String {
        let by = match self {
            Self::Rs256 | Self::Ps256 | Self::Es256 => &digest::SHA256,
            Self::Rs384 | Self::Ps384 | Self::Es384 => &digest::SHA384,
            Self::Rs512 | Self::Ps512 | Self::Es512 | Self::EdDsa => &digest::SHA512,
        };
        let whole = digest(by, token.as_bytes());
        let (left, _) = whole.as_ref().split_at(whole.as_ref().len() / 2);
        URL_SAFE_NO_PAD.encode(left)
    }

    /// The type and the curve that a key for it has.
    const fn family(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 | Self::Ps384 | Self::Ps512 => {
                ("RSA", None)
            }
            Self::Es256 => ("EC", Some("P-256")),
            Self::Es384 => ("EC", Some("P-384")),
            Self::Es512 => ("EC", Some("P-521")),
            Self::EdDsa => ("OKP", Some("Ed25519")),
        }
    }
}

/// The keys that an issuer publishes.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Key>);

/// A public key, as it was published.
#[derive(Debug)]
pub(crate) struct Key {
    kid: Option<String>,
    algorithm: Option<String>,
    kind: &'static str,
    curve: Option<String>,
    material: Material,
    /// Whose it is, where a set holds keys of several issuers.
    pub(crate) issuer: Option<String>,
}

#[derive(Debug)]
enum Material {
    Rsa(PublicKeyComponents<Vec<u8>>),
    /// SEC 1 §2.3.3 for a point, RFC 8032 §5.1.2 for Ed25519.
    Point(Vec<u8>),
}

impl KeySet {
    /// Reads a key set. A key of a kind that is not known here, or that is for anything but signatures, is passed over.
    ///
    /// # Errors
    /// [`ProviderError::Untrusted`]: it is no key set, or has too many keys.
    ///
    /// # Source
    /// RFC 7517 §4 and §5, RFC 7518 §6, RFC 8037 §2.
    pub(crate) fn read(document: &Value) -> Result<Self, ProviderError> {
        let entries = document.get("keys").and_then(Value::as_array);
        let entries = entries.ok_or(ProviderError::Untrusted("no_key_set"))?;
        if entries.len() > MAX_KEYS {
            return Err(ProviderError::Untrusted("too_many_keys"));
        }
        Ok(Self(
            entries
                .iter()
                .filter_map(Value::as_object)
                .filter_map(Key::read)
                .collect(),
        ))
    }

    /// The one key by which a token with this header can be signed. One that names no key leaves no choice, or has none.
    pub(crate) fn find(&self, kid: Option<&str>, algorithm: Algorithm) -> Option<&Key> {
        let mut fitting = self
            .0
            .iter()
            .filter(|key| kid.is_none_or(|kid| key.kid.as_deref() == Some(kid)) && key.fits(algorithm));
        let first = fitting.next()?;
        fitting.next().is_none().then_some(first)
    }
}

impl Key {
    fn read(members: &JsonMap) -> Option<Self> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        if let Some(operations) = members.get("key_ops") {
            let verifies = |operation: &Value| operation == "verify";
            operations.as_array()?.iter().any(verifies).then_some(())?;
        }
        let curve = text("crv").map(str::to_owned);
        let (kind, material) = match text("kty")? {
            "RSA" => {
                let (n, e) = (bytes("n")?, bytes("e")?);
                ("RSA", Material::Rsa(PublicKeyComponents { n, e }))
            }
            "EC" => (
                "EC",
                Material::Point([&[4], &*bytes("x")?, &*bytes("y")?].concat()),
            ),
            "OKP" => ("OKP", Material::Point(bytes("x")?)),
            _ => return None,
        };
        Some(Self {
            kid: text("kid").map(str::to_owned),
            algorithm: text("alg").map(str::to_owned),
            kind,
            curve,
            material,
            issuer: text("issuer").map(str::to_owned),
        })
    }

    fn fits(&self, algorithm: Algorithm) -> bool {
        let (kind, curve) = algorithm.family();
        let named = self
            .algorithm
            .as_deref()
            .is_none_or(|name| name == algorithm.name());
        named && self.kind == kind && (curve.is_none() || self.curve.as_deref() == curve)
    }

    /// Whether `signature` is this key's over `message`, by `algorithm`.
    pub(crate) fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let rsa = |by: &RsaParameters| match &self.material {
            Material::Rsa(key) => key.verify(by, message, signature).is_ok(),
            Material::Point(_) => false,
        };
        let point = |by: &'static dyn VerificationAlgorithm| match &self.material {
            Material::Point(key) => UnparsedPublicKey::new(by, key).verify(message, signature).is_ok(),
            Material::Rsa(_) => false,
        };
        match algorithm {
            Algorithm::Rs256 => rsa(&RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => rsa(&RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => rsa(&RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Ps256 => rsa(&RSA_PSS_2048_8192_SHA256),
            Algorithm::Ps384 => rsa(&RSA_PSS_2048_8192_SHA384),
            Algorithm::Ps512 => rsa(&RSA_PSS_2048_8192_SHA512),
            Algorithm::Es256 => point(&ECDSA_P256_SHA256_FIXED),
            Algorithm::Es384 => point(&ECDSA_P384_SHA384_FIXED),
            Algorithm::Es512 => point(&ECDSA_P521_SHA512_FIXED),
            Algorithm::EdDsa => point(&ED25519),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn set(keys: Value) -> KeySet {
        KeySet::read(&json!({ "keys": keys })).unwrap()
    }

    #[test]
    fn a_key_is_taken_for_what_it_is_published_for_alone() {
        let keys = set(json!([
            { "kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB" },
            { "kty": "RSA", "kid": "wrap", "key_ops": ["wrapKey"], "n": "AQAB", "e": "AQAB" },
            { "kty": "oct", "kid": "shared", "k": "AQAB" },
            { "kty": "RSA", "kid": "ps", "alg": "PS256", "n": "AQAB", "e": "AQAB" },
            { "kty": "EC", "kid": "ec", "crv": "P-384", "x": "AQAB", "y": "AQAB" },
            { "kty": "RSA", "kid": "broken", "n": "***", "e": "AQAB" },
            "no key at all",
        ]));
        for kid in ["enc", "wrap", "shared", "broken", "other"] {
            for algorithm in Algorithm::ALL {
                assert!(keys.find(Some(kid), algorithm).is_none(), "{kid}");
            }
        }
        assert!(keys.find(Some("ps"), Algorithm::Ps256).is_some());
        assert!(keys.find(Some("ps"), Algorithm::Rs256).is_none());
        assert!(keys.find(Some("ec"), Algorithm::Es384).is_some());
        assert!(keys.find(Some("ec"), Algorithm::Es256).is_none());
    }

    #[test]
    fn a_token_that_names_no_key_is_by_the_only_one_or_by_none() {
        let key = |kid: &str| json!({ "kty": "RSA", "kid": kid, "n": "AQAB", "e": "AQAB" });
        assert!(set(json!([key("a")])).find(None, Algorithm::Rs256).is_some());
        assert!(
            set(json!([key("a"), key("b")]))
                .find(None, Algorithm::Rs256)
                .is_none()
        );
        assert!(
            set(json!([key("a"), key("a")]))
                .find(Some("a"), Algorithm::Rs256)
                .is_none()
        );
    }

    #[test]
    fn what_is_no_key_set_is_refused() {
        for document in [json!({}), json!([]), json!({ "keys": {} }), json!(null)] {
            assert!(KeySet::read(&document).is_err(), "{document}");
        }
        assert!(KeySet::read(&json!({ "keys": vec![json!({}); MAX_KEYS + 1] })).is_err());
        assert!(set(json!([])).find(None, Algorithm::Rs256).is_none());
    }

    #[test]
    fn no_header_can_ask_for_an_algorithm_with_a_shared_secret_or_for_none() {
        for name in ["none", "None", "HS256", "HS384", "HS512", "rs256", "ES256K", ""] {
            assert_eq!(Algorithm::named(name), None, "{name}");
        }
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::named(algorithm.name()), Some(algorithm));
        }
    }

    #[test]
    fn the_half_hash_is_that_of_the_standard() {
        // OpenID Connect Core, appendix A.3.
        let token = "jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y";
        assert_eq!(Algorithm::Rs256.half_hash(token), "77QmUPtjPfzWtF2AnpK9RQ");
    }
}
