//! One-time codes and links to a contact: `otp-*` as a second factor; `otp-*` and `link-*` as a first.
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
use crate::delivery::{Channel, Deliver};
use crate::entropy::{self, Entropy};
use crate::error::Fault;
use crate::id::{ChallengeId, FactorId, TenantId};
use crate::keyring::{Keyring, Purpose};
use crate::record::challenge::{Binding, MACS};
use crate::secret::{Mac, Secret};

/// Codes and links to a contact: as a second factor, as a first one, or both.
///
/// SMS is a restricted authenticator (NIST SP 800-63B-4 §3.2.9): offer another one beside it. A mailbox is none at all by that
/// standard (§3.1.3.1): codes by e-mail are weak, and the profile `aal2` takes none.
#[derive(Debug)]
pub struct Passwordless {
    pub(crate) channel: Channel,
    pub(crate) way: Way,
    pub(crate) countries: Option<Countries>,
}

/// How codes travel by one channel, and what for.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) deliver: Arc<dyn Deliver>,
    pub(crate) role: Role,
    pub(crate) means: Means,
}

impl Way {
    fn first_factors(&self, channel: Channel) -> Vec<FactorId> {
        let mut factors = Vec::new();
        if self.role.is_first() {
            factors.extend(self.means.has_code().then(|| factor_of(channel, false)));
            factors.extend(self.means.has_link().then(|| factor_of(channel, true)));
        }
        factors
    }
}

/// What codes are good for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Role {
    /// They complete the second factor of a session, and open none.
    #[default]
    SecondFactor,
    /// They sign in and up.
    FirstFactor,
    /// Both: the client says which (`shouldTryLinkingWithSessionUser`).
    Both,
}

impl Role {
    /// Whether a code can sign in.
    pub const fn is_first(self) -> bool {
        matches!(self, Self::FirstFactor | Self::Both)
    }

    /// Whether a code can complete a second factor.
    pub const fn is_second(self) -> bool {
        matches!(self, Self::SecondFactor | Self::Both)
    }
}

/// What a message that signs somebody in carries. A second factor is always a code: a link would be opened without the
/// session that it is to complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Means {
    /// A code to type in.
    #[default]
    Code,
    /// A link to open, in this browser or in another one.
    Link,
    /// Both; whichever is used first spends the other.
    Both,
}

impl Means {
    /// Whether there is a code to type in.
    pub const fn has_code(self) -> bool {
        matches!(self, Self::Code | Self::Both)
    }

    /// Whether there is a link.
    pub const fn has_link(self) -> bool {
        matches!(self, Self::Link | Self::Both)
    }

    /// What is left where only some of it is taken; none if nothing is.
    pub(crate) const fn narrowed(self, code: bool, link: bool) -> Option<Self> {
        match (self.has_code() && code, self.has_link() && link) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::Code),
            (false, true) => Some(Self::Link),
            (false, false) => None,
        }
    }
}

impl Passwordless {
    /// Sends codes to phones by `deliver`. A carrier that leaves this machine needs [`Passwordless::countries`] too.
    pub fn sms(deliver: impl Deliver) -> Self {
        Self::sms_by(Arc::new(deliver))
    }

    /// The same with a shared carrier.
    pub fn sms_by(deliver: Arc<dyn Deliver>) -> Self {
        Self::by(Channel::Sms, deliver)
    }

    /// Sends codes to mailboxes by `deliver`. Where both phones and mailboxes are wanted, add one of each.
    pub fn email(deliver: impl Deliver) -> Self {
        Self::by(Channel::Email, Arc::new(deliver))
    }

    fn by(channel: Channel, deliver: Arc<dyn Deliver>) -> Self {
        Self {
            channel,
            way: Way {
                deliver,
                role: Role::default(),
                means: Means::default(),
            },
            countries: None,
        }
    }

    /// The countries that may be sent to. There is no default, since each one costs money (threat A-SMS-03).
    #[must_use]
    pub fn countries(mut self, countries: Countries) -> Self {
        self.countries = Some(countries);
        self
    }

    /// Makes it a first factor too. Contacts that are a second factor do not become keys by that: who signs in by a contact
    /// signs in to the account whose *identifier* it is (threat A-LEG-07).
    #[must_use]
    pub fn as_first_factor(mut self) -> Self {
        self.way.role = Role::Both;
        self
    }

    /// Makes it a first factor only.
    #[must_use]
    pub fn only_first_factor(mut self) -> Self {
        self.way.role = Role::FirstFactor;
        self
    }

    /// The first factors that it provides.
    pub(crate) fn first_factors(&self) -> Vec<FactorId> {
        self.way.first_factors(self.channel)
    }

    /// What a message that signs in carries; a code, unless told otherwise.
    #[must_use]
    pub fn means(mut self, means: Means) -> Self {
        self.way.means = means;
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
    pub(crate) sms: Option<Way>,
    pub(crate) email: Option<Way>,
    pub(crate) countries: Countries,
}

impl PasswordlessFactor {
    /// The way of a channel.
    pub(crate) fn way(&self, channel: Channel) -> Option<&Way> {
        match channel {
            Channel::Sms => self.sms.as_ref(),
            Channel::Email => self.email.as_ref(),
        }
    }

    /// The way of a channel, if codes by it sign in.
    pub(crate) fn first(&self, channel: Channel) -> Option<&Way> {
        self.way(channel).filter(|way| way.role.is_first())
    }

    /// The way of a channel, if codes by it are a second factor.
    pub(crate) fn second(&self, channel: Channel) -> Option<&Way> {
        self.way(channel).filter(|way| way.role.is_second())
    }

    /// The first factors that it provides.
    pub(crate) fn first_factors(&self) -> Vec<FactorId> {
        let of = |way: &Option<Way>, channel| way.iter().flat_map(|way| way.first_factors(channel)).collect();
        let (mut phones, mailboxes): (Vec<_>, Vec<_>) =
            (of(&self.sms, Channel::Sms), of(&self.email, Channel::Email));
        phones.extend(mailboxes);
        phones
    }

    /// What codes are good for, by whichever channel.
    pub(crate) fn role(&self) -> Option<Role> {
        let first = self.first(Channel::Sms).or(self.first(Channel::Email));
        let second = self.second(Channel::Sms).or(self.second(Channel::Email));
        match (first, second) {
            (Some(_), Some(_)) => Some(Role::Both),
            (Some(_), None) => Some(Role::FirstFactor),
            (None, Some(_)) => Some(Role::SecondFactor),
            (None, None) => None,
        }
    }
}

/// The factor that a code or link to a channel is.
pub(crate) fn factor_of(channel: Channel, link: bool) -> FactorId {
    match (channel, link) {
        (Channel::Sms, false) => FactorId::OTP_PHONE,
        (Channel::Sms, true) => FactorId::LINK_PHONE,
        (Channel::Email, false) => FactorId::OTP_EMAIL,
        (Channel::Email, true) => FactorId::LINK_EMAIL,
    }
}

/// The purpose of a code that completes `factor` as a second factor. It is part of the code's digest.
pub(crate) fn second_factor_purpose(factor: &FactorId) -> String {
    format!("second:{factor}")
}

/// The purpose of a code that signs in by a contact. It is part of the code's digest, so that it is worth nothing as a
/// second factor, and one of a second factor nothing here.
pub(crate) fn first_factor_purpose(channel: Channel) -> String {
    format!("first:{}", factor_of(channel, false))
}

/// What a challenge is bound to before anybody is signed in: to itself, so that challenges of two strangers to one contact
/// stand side by side (threat A-RL-07).
pub(crate) fn first_factor_binding(channel: Channel, challenge: &ChallengeId) -> Binding {
    Binding {
        purpose: first_factor_purpose(channel),
        user: "".into(),
        session: format!("none:{challenge}").into(),
    }
}

/// The secret of a link: the code of its message, sealed for its challenge and destination. Whoever has it can do what the
/// code can, and nobody can make one up (threat A-OTP-24). Nothing of it is stored.
pub(crate) fn link_code(
    keyring: &Keyring,
    entropy: &dyn Entropy,
    bound: &BoundTo<'_>,
    code: &str,
) -> Result<Secret<String>, Fault> {
    let sealed = keyring.seal(&bound.link(), code.as_bytes(), entropy)?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(sealed)))
}

/// The code in a link; none if it is not one of ours, or of another challenge.
pub(crate) fn code_of_link(keyring: &Keyring, bound: &BoundTo<'_>, link: &str) -> Option<Secret<String>> {
    // A link of ours has some 90 characters.
    let sealed = URL_SAFE_NO_PAD.decode(link).ok().filter(|_| link.len() <= 512)?;
    let code = keyring.open(&bound.link(), &sealed).ok()?;
    std::str::from_utf8(&code)
        .ok()
        .map(|code| Secret::new(code.to_owned()))
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

/// Draws what takes the place of the code in a message that has none to type in: 256 bits.
pub(crate) fn draw_hidden(
    entropy: &dyn Entropy,
    keyring: &Keyring,
    bound: &BoundTo<'_>,
) -> Result<NewCode, Fault> {
    let bytes = Zeroizing::new(entropy::bytes::<32>(entropy)?);
    let text = URL_SAFE_NO_PAD.encode(*bytes);
    let mac = keyring.mac(Purpose::Code, &bound.parts(&text));
    Ok(NewCode {
        text: Secret::new(text),
        mac,
    })
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
    fn link(&'a self) -> [&'a [u8]; 5] {
        [
            b"link",
            self.tenant.as_str().as_bytes(),
            self.challenge.as_str().as_bytes(),
            self.binding.purpose.as_bytes(),
            self.destination.as_bytes(),
        ]
    }

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
    use proptest::prelude::*;

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

    #[test]
    fn a_link_opens_for_its_own_challenge_and_destination_only() {
        let root = crate::keyring::Root::random("k".into(), &OsEntropy).unwrap();
        let keyring = Keyring::new(&crate::keyring::SecretList::new(vec![root])).unwrap();
        let (tenant, id) = (TenantId::public(), ChallengeId::from("c1"));
        let binding = first_factor_binding(Channel::Email, &id);
        let bound = |challenge, destination| BoundTo {
            tenant: &tenant,
            challenge,
            binding: &binding,
            destination,
        };
        let own = bound(&id, "ann@example.com");
        let link = link_code(&keyring, &OsEntropy, &own, "012345").unwrap();
        let code = |bound: &BoundTo<'_>, link: &str| {
            code_of_link(&keyring, bound, link).map(|code| code.expose().clone())
        };
        assert_eq!(code(&own, link.expose()).as_deref(), Some("012345"));
        let other = ChallengeId::from("c2");
        assert_eq!(code(&bound(&other, "ann@example.com"), link.expose()), None);
        assert_eq!(code(&bound(&id, "bob@example.com"), link.expose()), None);
        for odd in ["", "AAAA", "not base64!", &"A".repeat(600), &link.expose()[1..]] {
            assert_eq!(code(&own, odd), None, "{odd}");
        }
    }

    fn scene() -> (Keyring, TenantId, ChallengeId, Binding) {
        let root = crate::keyring::Root::random("k".into(), &OsEntropy).unwrap();
        let keyring = Keyring::new(&crate::keyring::SecretList::new(vec![root])).unwrap();
        let id = ChallengeId::from("c1");
        let binding = first_factor_binding(Channel::Email, &id);
        (keyring, TenantId::public(), id, binding)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_text_is_no_link_and_a_changed_link_is_none(
            text in prop_oneof!["\\PC{0,150}", "[A-Za-z0-9_-]{0,200}"],
            code in "[0-9]{6}",
            at in any::<prop::sample::Index>(),
            other in "[A-Za-z0-9_=+/. -]",
        ) {
            let (keyring, tenant, challenge, binding) = scene();
            let bound = BoundTo {
                tenant: &tenant,
                challenge: &challenge,
                binding: &binding,
                destination: "ann@example.com",
            };
            prop_assert!(code_of_link(&keyring, &bound, &text).is_none());
            let link = link_code(&keyring, &OsEntropy, &bound, &code).unwrap().expose().clone();
            let opened = code_of_link(&keyring, &bound, &link).unwrap();
            prop_assert_eq!(opened.expose(), &code);
            let mut changed = link.clone();
            let at = at.index(link.len());
            changed.replace_range(at..=at, &other);
            prop_assert_eq!(code_of_link(&keyring, &bound, &changed).is_some(), changed == link);
            for cut in [&link[..at], &link[at + 1..]] {
                prop_assert!(code_of_link(&keyring, &bound, cut).is_none());
            }
        }

        #[test]
        fn a_device_id_has_one_spelling(text in prop_oneof!["\\PC{0,60}", "[A-Za-z0-9+/]{43}=", "[A-Za-z0-9_-]{43}"]) {
            if let Some(device) = DeviceId::parse(&text) {
                prop_assert_eq!(device.encode(), text);
            }
        }
    }
}
