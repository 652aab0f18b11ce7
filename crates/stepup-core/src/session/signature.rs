//! Signatures: the three algorithms, and key pairs that are parsed once and held.
//!
//! Reading a private key costs as much as signing with it (RSA: many times as much), and reading a public one is a part of
//! every verification that starts from bytes. So a pair is read when its key is opened, and from then on only used.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
    RsaPublicKeyComponents, VerificationAlgorithm,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::error::Fault;

/// Bytes of the longest signature.
pub(super) const MAX_SIGNATURE: usize = 384;

/// How access tokens are signed. Verification knows only this one: the header of a token never chooses (R-TOK-1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SigningAlgorithm {
    /// ECDSA over P-256 with SHA-256.
    #[default]
    Es256,
    /// RSA of 3072 bits, PKCS #1 v1.5, SHA-256: for verifiers that read nothing else. Signing costs 25 times as much.
    Rs256,
    /// Ed25519.
    EdDsa,
}

impl SigningAlgorithm {
    /// The name in headers, key sets and the store.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Rs256 => "RS256",
            Self::EdDsa => "EdDSA",
        }
    }

    /// Bytes of a signature.
    pub const fn signature_bytes(self) -> usize {
        match self {
            Self::Es256 | Self::EdDsa => 64,
            Self::Rs256 => 384,
        }
    }

    /// Keeps the slots of two algorithms apart, so that a change of the setting finds its interval free.
    pub(super) const fn lane(self) -> i64 {
        match self {
            Self::Es256 => 0,
            Self::Rs256 => 1,
            Self::EdDsa => 2,
        }
    }
}

/// A key pair, parsed.
pub(super) struct KeyPair {
    private: Private,
    public: PublicKey,
    /// The members of its JWK that are its public part.
    members: String,
}

enum Private {
    Es256(EcdsaKeyPair),
    Rs256(RsaKeyPair),
    EdDsa(Ed25519KeyPair),
}

impl KeyPair {
    /// Makes a private key, in PKCS #8.
    pub(super) fn generate(algorithm: SigningAlgorithm) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let failed = |_| Fault::Key("a signing key could not be made");
        let document = match algorithm {
            SigningAlgorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                .and_then(|pair| pair.to_pkcs8v1())
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            SigningAlgorithm::EdDsa => Ed25519KeyPair::generate()
                .and_then(|pair| pair.to_pkcs8())
                .map_err(failed)?
                .as_ref()
                .to_vec(),
            SigningAlgorithm::Rs256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa3072).map_err(failed)?;
                AsDer::<Pkcs8V1Der<'_>>::as_der(&pair)
                    .map_err(failed)?
                    .as_ref()
                    .to_vec()
            }
        };
        Ok(Zeroizing::new(document))
    }

    /// Reads a private key of `algorithm`, in PKCS #8.
    pub(super) fn parse(algorithm: SigningAlgorithm, pkcs8: &[u8]) -> Option<Self> {
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        match algorithm {
            SigningAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8).ok()?;
                let point = pair.public_key().as_ref();
                // SEC 1 §2.3.3: an uncompressed point is 4, x, y.
                let (x, y) = point.strip_prefix(&[4])?.split_at_checked(32)?;
                Some(Self {
                    public: PublicKey::es256(point)?,
                    members: format!(r#""crv":"P-256","x":"{}","y":"{}""#, text(x), text(y)),
                    private: Private::Es256(pair),
                })
            }
            SigningAlgorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(pkcs8).ok()?;
                let point = pair.public_key().as_ref();
                Some(Self {
                    public: PublicKey::ed25519(point)?,
                    members: format!(r#""crv":"Ed25519","x":"{}""#, text(point)),
                    private: Private::EdDsa(pair),
                })
            }
            SigningAlgorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(pkcs8).ok()?;
                let public = pair.public_key();
                let (n, e) = (public.modulus(), public.exponent());
                let (n, e) = (
                    n.big_endian_without_leading_zero(),
                    e.big_endian_without_leading_zero(),
                );
                Some(Self {
                    public: PublicKey::rs256(public.as_ref())?,
                    members: format!(r#""n":"{}","e":"{}""#, text(n), text(e)),
                    private: Private::Rs256(pair),
                })
            }
        }
    }

    /// `kty` of its JWK.
    ///
    /// # Source
    /// RFC 7518 §6.1; RFC 8037 §2.
    pub(super) const fn key_type(&self) -> &'static str {
        match self.private {
            Private::Es256(_) => "EC",
            Private::Rs256(_) => "RSA",
            Private::EdDsa(_) => "OKP",
        }
    }

    /// The members of its JWK that are its public part.
    ///
    /// # Source
    /// RFC 7518 §6.2 and §6.3; RFC 8037 §2.
    pub(super) fn members(&self) -> &str {
        &self.members
    }

    /// The signature of `message`; none if it could not be made.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let signature = match &self.private {
            Private::Es256(pair) => pair.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec(),
            Private::EdDsa(pair) => pair.sign(message).as_ref().to_vec(),
            Private::Rs256(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature)
                    .ok()?;
                signature
            }
        };
        Some(Zeroizing::new(signature))
    }

    /// Its public half.
    pub(super) const fn public(&self) -> &PublicKey {
        &self.public
    }
}

/// A public key, parsed.
pub(super) struct PublicKey {
    algorithm: SigningAlgorithm,
    key: ParsedPublicKey,
}

impl PublicKey {
    /// Reads the members of a JWK that are its public part: `member` yields the bytes of one. None if they are no key of
    /// `algorithm`, or not one of the size that we make.
    ///
    /// # Source
    /// RFC 7518 §6.2 and §6.3; RFC 8037 §2.
    pub(super) fn of_members(
        algorithm: SigningAlgorithm,
        member: impl Fn(&str) -> Option<Vec<u8>>,
    ) -> Option<Self> {
        match algorithm {
            SigningAlgorithm::Es256 => {
                let (x, y) = (member("x")?, member("y")?);
                let whole = x.len() == 32 && y.len() == 32;
                whole
                    .then(|| [&[4], &*x, &*y].concat())
                    .and_then(|point| Self::es256(&point))
            }
            SigningAlgorithm::EdDsa => Self::ed25519(&member("x").filter(|x| x.len() == 32)?),
            SigningAlgorithm::Rs256 => {
                let (n, e) = (member("n")?, member("e")?);
                let bits = n.len() == algorithm.signature_bytes() && n.first() >= Some(&0x80);
                let parts = RsaPublicKeyComponents { n, e };
                (bits && parts.e == RSA_EXPONENT)
                    .then(|| parts.to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256).ok())
                    .flatten()
                    .map(|key| Self { algorithm, key })
            }
        }
    }

    fn es256(point: &[u8]) -> Option<Self> {
        Self::parse(SigningAlgorithm::Es256, &ECDSA_P256_SHA256_FIXED, point)
    }

    fn ed25519(point: &[u8]) -> Option<Self> {
        Self::parse(SigningAlgorithm::EdDsa, &ED25519, point)
    }

    fn rs256(document: &[u8]) -> Option<Self> {
        Self::parse(SigningAlgorithm::Rs256, &RSA_PKCS1_2048_8192_SHA256, document)
    }

    fn parse(
        algorithm: SigningAlgorithm,
        by: &'static dyn VerificationAlgorithm,
        key: &[u8],
    ) -> Option<Self> {
        let key = ParsedPublicKey::new(by, key).ok()?;
        Some(Self { algorithm, key })
    }

    /// Whether `signature` is this key's over `message`.
    pub(super) fn verify(&self, signature: &[u8], message: &[u8]) -> bool {
        self.key.verify_sig(message, signature).is_ok()
    }

    /// The same for a signature in base64url.
    pub(super) fn verify_text(&self, signature: &str, message: &[u8]) -> bool {
        // Only the one spelling that we issue: no padding, no other alphabet, no trailing bits (threat A-TOK-08).
        let mut bytes = [0; MAX_SIGNATURE];
        let length = URL_SAFE_NO_PAD.decode_slice(signature, &mut bytes);
        length
            .ok()
            .filter(|length| *length == self.algorithm.signature_bytes())
            .and_then(|length| bytes.get(..length))
            .is_some_and(|signature| self.verify(signature, message))
    }
}

/// 65537, the exponent of the keys that we make.
const RSA_EXPONENT: [u8; 3] = [1, 0, 1];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [SigningAlgorithm; 3] = [
        SigningAlgorithm::Es256,
        SigningAlgorithm::Rs256,
        SigningAlgorithm::EdDsa,
    ];

    fn pair(algorithm: SigningAlgorithm) -> KeyPair {
        KeyPair::parse(algorithm, &KeyPair::generate(algorithm).unwrap()).unwrap()
    }

    #[test]
    fn a_signature_is_that_of_its_pair_and_of_its_message_alone() {
        for algorithm in ALL {
            let (ours, theirs) = (pair(algorithm), pair(algorithm));
            let signature = ours.sign(b"message").unwrap();
            assert_eq!(signature.len(), algorithm.signature_bytes());
            assert!(signature.len() <= MAX_SIGNATURE);
            assert!(ours.public().verify(&signature, b"message"));
            assert!(!ours.public().verify(&signature, b"massage"));
            assert!(!ours.public().verify(&signature[1..], b"message"));
            assert!(!ours.public().verify(b"", b"message"));
            assert!(!theirs.public().verify(&signature, b"message"));
        }
    }

    #[test]
    fn the_key_of_one_algorithm_is_none_of_another() {
        for made in ALL {
            let document = KeyPair::generate(made).unwrap();
            for read in ALL {
                assert_eq!(
                    KeyPair::parse(read, &document).is_some(),
                    made == read,
                    "{made:?} as {read:?}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn a_document_of_any_bytes_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for algorithm in ALL {
                prop_assert!(KeyPair::parse(algorithm, &bytes).is_none());
            }
        }
    }
}
