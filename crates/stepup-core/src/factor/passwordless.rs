//! One-time codes to a contact: `otp-phone`, as a second factor.
//!
//! A challenge is named by the SHA-256 of a device id that only the asking client holds. Its codes are stored as keyed
//! digests over everything that they are bound to, so that a code works for one user, session, destination and
//! purpose, and a copy of the database gives nobody a code (R-OTP-4, R-SEC-1).

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::contact::PhoneNumber;
use crate::delivery::Deliver;
use crate::entropy::{self, Entropy};
use crate::error::Fault;
use crate::id::{ChallengeId, FactorId, TenantId};
use crate::keyring::{Keyring, Purpose};
use crate::record::challenge::{Binding, MACS};
use crate::secret::{Mac, Secret};

/// The factor's id.
pub const ID: FactorId = FactorId::OTP_PHONE;

/// Codes by text message, as a second factor.
///
/// SMS is a restricted authenticator (NIST SP 800-63B-4 §3.2.9): offer another one beside it.
#[derive(Debug)]
pub struct Passwordless {
    pub(crate) deliver: Arc<dyn Deliver>,
    pub(crate) countries: Option<Countries>,
}

impl Passwordless {
    /// Sends codes by `deliver`. A carrier that leaves this machine needs [`Passwordless::countries`] too.
    pub fn sms(deliver: impl Deliver) -> Self {
        Self::sms_by(Arc::new(deliver))
    }

    /// The same with a shared carrier.
    pub fn sms_by(deliver: Arc<dyn Deliver>) -> Self {
        Self {
            deliver,
            countries: None,
        }
    }

    /// The countries that may be sent to. There is no default, since each one costs money (threat A-SMS-03).
    #[must_use]
    pub fn countries(mut self, countries: Countries) -> Self {
        self.countries = Some(countries);
        self
    }
}

/// Where messages may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Countries {
    /// Everywhere. Only sensible while no message leaves this machine.
    All,
    /// To these, by ISO 3166-1 alpha-2 code, upper case.
    Only(BTreeSet<String>),
}

impl Countries {
    /// To these countries, by their two-letter codes in any case.
    pub fn only<S: AsRef<str>>(codes: impl IntoIterator<Item = S>) -> Self {
        Self::Only(
            codes
                .into_iter()
                .map(|c| c.as_ref().trim().to_ascii_uppercase())
                .collect(),
        )
    }

    /// Whether a number may be sent to: its country is listed and its kind receives messages at an ordinary price.
    pub fn admit(&self, number: &PhoneNumber) -> bool {
        let listed = match self {
            Self::All => true,
            Self::Only(codes) => number.country().is_some_and(|c| codes.contains(c)),
        };
        listed && number.is_sendable()
    }
}

/// The factor at work.
#[derive(Debug)]
pub(crate) struct PasswordlessFactor {
    pub(crate) deliver: Arc<dyn Deliver>,
    pub(crate) countries: Countries,
}

/// The purpose of a code that completes `factor` as a second factor. It is part of the code's digest.
pub(crate) fn second_factor_purpose(factor: &FactorId) -> String {
    format!("second:{factor}")
}

/// The client's side of a challenge: a secret of 32 bytes, whose digest is the challenge's id.
#[derive(Clone, Debug)]
pub struct DeviceId(Secret<[u8; 32]>);

impl DeviceId {
    pub(crate) fn random(entropy: &dyn Entropy) -> Result<Self, Fault> {
        Ok(Self(Secret::new(entropy::bytes(entropy)?)))
    }

    /// Reads the protocol's form: padded standard base64 of 32 bytes.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
        bytes
            .as_slice()
            .try_into()
            .ok()
            .map(|bytes| Self(Secret::new(bytes)))
    }

    /// The protocol's form.
    pub fn encode(&self) -> String {
        STANDARD.encode(self.0.expose())
    }

    /// The id of its challenge: the digest of the bytes, not of the text.
    pub fn challenge(&self) -> ChallengeId {
        ChallengeId::new(URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.expose())))
    }
}

/// A code as it is sent, and what is stored of it.
pub(crate) struct NewCode {
    pub(crate) text: Secret<String>,
    pub(crate) mac: Mac,
}

/// Draws a code for a challenge.
pub(crate) fn draw(
    entropy: &dyn Entropy,
    keyring: &Keyring,
    digits: usize,
    bound: &BoundTo<'_>,
) -> Result<NewCode, Fault> {
    let text = entropy::digits(entropy, digits)?;
    let mac = keyring.mac(Purpose::Code, &bound.parts(&text));
    Ok(NewCode {
        text: Secret::new(text.to_string()),
        mac,
    })
}

/// The digests that `code` would have under each of the newest keys: codes live for minutes, keys for months, and a
/// store compares no more than [`MACS`] of them.
pub(crate) fn macs(keyring: &Keyring, bound: &BoundTo<'_>, code: &str) -> Vec<Mac> {
    let mut macs = keyring.macs(Purpose::Code, &bound.parts(code));
    macs.truncate(MACS);
    macs
}

/// All that a code is bound to.
pub(crate) struct BoundTo<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) challenge: &'a ChallengeId,
    pub(crate) binding: &'a Binding,
    pub(crate) destination: &'a str,
}

impl<'a> BoundTo<'a> {
    fn parts(&'a self, code: &'a str) -> [&'a [u8]; 7] {
        [
            self.tenant.as_str().as_bytes(),
            self.challenge.as_str().as_bytes(),
            self.binding.purpose.as_bytes(),
            self.binding.user.as_str().as_bytes(),
            self.binding.session.as_str().as_bytes(),
            self.destination.as_bytes(),
            code.as_bytes(),
        ]
    }
}

/// Whether what a client sent can be a code at all: ASCII digits of the right number. Anything else is answered like a
/// wrong code, and counted like one, but needs no digest.
pub(crate) fn is_code(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;

    #[test]
    fn a_device_id_survives_its_text_form_and_names_its_challenge() {
        let device = DeviceId::random(&OsEntropy).unwrap();
        let text = device.encode();
        assert_eq!(text.len(), 44);
        assert_eq!(DeviceId::parse(&text).unwrap().challenge(), device.challenge());
        assert_eq!(device.challenge().as_str().len(), 43);
    }

    #[test]
    fn a_device_id_of_another_form_is_none() {
        for odd in [
            "",
            "AAAA",
            "not base64!",
            &"A".repeat(44),
            &URL_SAFE_NO_PAD.encode([255; 32]),
        ] {
            assert!(DeviceId::parse(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn only_ascii_digits_of_the_right_number_can_be_a_code() {
        assert!(is_code("000000", 6));
        for odd in [
            "",
            "12345",
            "1234567",
            "12345a",
            "１２３４５６",
            " 12345",
            "123 456",
        ] {
            assert!(!is_code(odd, 6), "{odd}");
        }
    }
}
