//! Sign-in by a provider of identities: a first factor.
//!
//! Nothing that is secret of a sign-in is stored. The browser that begins one is handed 256 random bits, its [`Ticket`]; of
//! these the store holds a keyed digest, and from them PKCE's verifier and the nonce are derived by a key that no browser
//! has. So the address of the provider, the row and the ticket are worth nothing without one another (R-OAU-1).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::app::{AppInfo, is_loopback};
use crate::entropy::{self, Entropy};
use crate::error::Fault;
use crate::evidence::Kind;
use crate::id::{ChallengeId, FactorId, SessionHandle, TenantId};
use crate::keyring::{Keyring, Purpose};
use crate::provider::Provider;
use crate::record::challenge::{Binding, MACS};
use crate::secret::{Mac, Secret};

/// The factor's id.
pub const ID: FactorId = FactorId::THIRD_PARTY;

/// What a provider's word is worth: that somebody knew the password of an account elsewhere. More than that no provider
/// says in a form that all of them share, so that a second factor has to be something that the user has, or is.
pub(crate) const KIND: Kind = Kind::Knowledge;

/// Sign-in and sign-up by providers of identities.
#[derive(Debug, Default)]
#[must_use = "a factor does nothing until the builder has it"]
pub struct ThirdParty {
    pub(crate) providers: Vec<Arc<dyn Provider>>,
    pub(crate) redirects: Vec<Redirect>,
    pub(crate) linking: Linking,
    pub(crate) address: Address,
}

/// One more address that one provider may send browsers back to.
#[derive(Clone, Debug)]
pub(crate) struct Redirect {
    pub(crate) provider: String,
    pub(crate) uri: String,
}

/// When a provider's account is added to one that exists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Linking {
    /// At the first sign-in, if both sides have proved the same e-mail address, the account here before that (R-OAU-2); and
    /// by whoever is signed in. An account that nothing opens but codes to this mailbox is joined as it is. A password does not survive
    /// it, and is good again after a reset: a link that verifies may have been asked for by a squatter, and opened by its reader
    /// without a thought. Nothing says whose it is what stands beside, a phone, another provider, a password's second factor; so such
    /// an account is joined by whoever is signed in to it, and in no other way (threat A-OAU-08).
    VerifiedAddress,
    /// Only by whoever is signed in.
    #[default]
    SignedIn,
}

/// Whether a provider has to tell an e-mail address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Address {
    #[default]
    Required,
    Optional,
}

impl ThirdParty {
    /// Without a provider yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a provider. Which of them a tenant has is said by
    /// [`Tenant::providers`](crate::tenant::Tenant::providers); all, if it is not said.
    pub fn provider(self, provider: impl Provider) -> Self {
        self.shared(Arc::new(provider))
    }

    /// The same for a provider that is held elsewhere too.
    pub fn shared(mut self, provider: Arc<dyn Provider>) -> Self {
        self.providers.push(provider);
        self
    }

    /// Lets the provider of this id send browsers back to `uri` too, exactly as it is written here, and no other provider. Without
    /// it they come back to `{origin}{path of the sign-in pages}/callback/{id}` at the configured origins, and nowhere else.
    ///
    /// A form post (Apple's) is handed on only to an address that is https, or http on this machine.
    pub fn redirect_uri(mut self, provider: impl Into<String>, uri: impl Into<String>) -> Self {
        self.redirects.push(Redirect {
            provider: provider.into(),
            uri: uri.into(),
        });
        self
    }

    /// Changes when a provider's account is added to one that exists.
    pub fn linking(mut self, linking: Linking) -> Self {
        self.linking = linking;
        self
    }

    /// Takes people of whom the provider tells no e-mail address.
    pub fn without_email(mut self) -> Self {
        self.address = Address::Optional;
        self
    }
}

/// The factor at work.
#[derive(Debug)]
pub(crate) struct ThirdPartyFactor {
    pub(crate) providers: Vec<Held>,
    pub(crate) redirects: Vec<Redirect>,
    pub(crate) linking: Linking,
    pub(crate) address: Address,
}

impl From<ThirdParty> for ThirdPartyFactor {
    fn from(part: ThirdParty) -> Self {
        let held = |provider| Held {
            provider,
            running: AtomicUsize::new(0),
        };
        Self {
            providers: part.providers.into_iter().map(held).collect(),
            redirects: part.redirects,
            linking: part.linking,
            address: part.address,
        }
    }
}

impl ThirdPartyFactor {
    /// Whether a provider may send a browser to `uri`. It is compared, never taken apart: what two readers of an address
    /// could understand differently is not in the list (RFC 9700 §4.1; threats A-OAU-09, A-OAU-14).
    pub(crate) fn admits(&self, app: &AppInfo, provider: &str, uri: &str) -> bool {
        // Providers that answer by a form post come back to the API first.
        let posted = || uri == format!("{}/callback/{provider}", app.issuer());
        self.lists(app, provider, uri) || (posts_back(provider) && posted())
    }

    /// Whether the form that a provider posts is handed on to `uri`: to a page, and not to whatever application on a device has
    /// taken a scheme for itself, since nothing but the address says who gets the code (threat A-OAU-14).
    pub(crate) fn hands_on(&self, app: &AppInfo, provider: &str, uri: &str) -> bool {
        let is_page = uri.starts_with("https://") || (uri.starts_with("http://") && is_loopback(uri));
        posts_back(provider) && is_page && self.lists(app, provider, uri)
    }

    fn lists(&self, app: &AppInfo, provider: &str, uri: &str) -> bool {
        let path = app.website_base_path();
        let usual = |origin: &str| uri == format!("{origin}{path}/callback/{provider}");
        let own = |own: &Redirect| own.provider == provider && own.uri == uri;
        app.origins().any(usual) || self.redirects.iter().any(own)
    }
}

/// Whether a provider answers by a form post, which the protocol knows of Apple alone.
pub(crate) fn posts_back(provider: &str) -> bool {
    provider == "apple"
}

/// A provider, and the calls to it that are under way.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) provider: Arc<dyn Provider>,
    running: AtomicUsize,
}

/// The place of a call among those that are under way.
#[derive(Debug)]
pub(crate) struct Running<'a>(&'a AtomicUsize);

impl Held {
    /// Takes a place. None if `most` calls are under way: a provider that hangs must not hold more of us than that.
    pub(crate) fn begin(&self, most: usize) -> Option<Running<'_>> {
        let running = Running(&self.running);
        (self.running.fetch_add(1, Ordering::Relaxed) < most).then_some(running)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the browser that began a sign-in keeps until it comes back: 256 random bits.
#[derive(Clone, Debug)]
pub struct Ticket(Secret<[u8; 32]>);

impl Ticket {
    pub(crate) fn random(entropy: &dyn Entropy) -> Result<Self, Fault> {
        Ok(Self(Secret::new(entropy::bytes(entropy)?)))
    }

    /// Reads [`Ticket::encode`].
    pub fn parse(text: &str) -> Option<Self> {
        // 43 characters; nothing longer is decoded.
        let text = Some(text).filter(|text| text.len() == 43)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        let bytes = bytes.as_slice().try_into().ok()?;
        Some(Self(Secret::new(bytes)))
    }

    /// Its text: 43 unreserved characters, so that clients take it for a verifier of PKCE, which they keep and send back.
    pub fn encode(&self) -> Secret<String> {
        Secret::new(URL_SAFE_NO_PAD.encode(self.0.expose()))
    }

    /// The id of its challenge, which tells nothing of it.
    pub fn challenge(&self) -> ChallengeId {
        ChallengeId::new(URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.expose())))
    }
}

/// What a sign-in is begun with and has to come back with. All of it is in the digest that is stored, so that a code of one
/// provider, tenant, client or address is none of another (threat A-OAU-03).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) provider: &'a str,
    pub(crate) client_type: Option<&'a str>,
    pub(crate) redirect_uri: &'a str,
}

/// What a browser comes back for. It is in the digest that is stored, so that what was begun for one is not used for the other: a
/// provider's account that a stranger chose would be added to the session of whoever follows him (threat A-OAU-02).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Use<'a> {
    /// To sign in, or up.
    SignIn,
    /// To be added to the user of this session.
    Link(&'a SessionHandle),
}

impl<'a> Use<'a> {
    fn parts(self) -> (&'a str, &'a str) {
        match self {
            Self::SignIn => ("sign-in", ""),
            Self::Link(session) => ("link", session.as_str()),
        }
    }
}

/// What is derived from a ticket under one root of the keyring.
#[derive(Debug)]
pub(crate) struct Derived {
    /// What is stored. It alone depends on the use.
    pub(crate) mac: Mac,
    /// PKCE's verifier (RFC 7636 §4.1): 43 unreserved characters.
    pub(crate) verifier: Secret<String>,
    /// What an id token has to repeat.
    pub(crate) nonce: String,
}

impl Derived {
    /// PKCE's challenge, of the method S256 (RFC 7636 §4.2).
    pub(crate) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.expose()))
    }
}

impl Begun<'_> {
    /// Bound to itself: nobody is signed in yet.
    pub(crate) fn binding(&self, ticket: &Ticket) -> Binding {
        Binding {
            purpose: format!("oauth:{}", self.provider),
            user: "".into(),
            session: format!("none:{}", ticket.challenge()).into(),
        }
    }

    /// Under the newest root.
    pub(crate) fn derive(&self, keyring: &Keyring, ticket: &Ticket, used: Use<'_>) -> Derived {
        let of = |what, used| keyring.mac(Purpose::Provider, &self.message(what, used, ticket));
        derived(of(STORED, used.parts()), &of(VERIFIER, ANY), &of(NONCE, ANY))
    }

    /// Under each root that the sign-in may have begun under, newest first.
    pub(crate) fn derive_all(&self, keyring: &Keyring, ticket: &Ticket, used: Use<'_>) -> Vec<Derived> {
        let of = |what, used| keyring.macs(Purpose::Provider, &self.message(what, used, ticket));
        let (macs, verifiers, nonces) = (of(STORED, used.parts()), of(VERIFIER, ANY), of(NONCE, ANY));
        let all = macs.into_iter().zip(verifiers).zip(nonces);
        all.take(MACS)
            .map(|((mac, verifier), nonce)| derived(mac, &verifier, &nonce))
            .collect()
    }

    fn message<'m>(
        &'m self,
        what: &'m str,
        (used, session): (&'m str, &'m str),
        ticket: &'m Ticket,
    ) -> [&'m [u8]; 9] {
        // No client and a client without a name are two.
        let (named, client) = match self.client_type {
            Some(client) => ("named", client),
            None => ("default", ""),
        };
        [
            what.as_bytes(),
            used.as_bytes(),
            session.as_bytes(),
            self.tenant.as_str().as_bytes(),
            self.provider.as_bytes(),
            named.as_bytes(),
            client.as_bytes(),
            self.redirect_uri.as_bytes(),
            ticket.0.expose(),
        ]
    }
}

fn derived(mac: Mac, verifier: &Mac, nonce: &Mac) -> Derived {
    Derived {
        mac,
        verifier: Secret::new(URL_SAFE_NO_PAD.encode(verifier.as_bytes())),
        nonce: URL_SAFE_NO_PAD.encode(nonce.as_bytes()),
    }
}

/// What the provider is told is the same whatever it is used for, which the clients say when they are back.
const ANY: (&str, &str) = ("", "");

const STORED: &str = "stored";
const VERIFIER: &str = "verifier";
const NONCE: &str = "nonce";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::OsEntropy;
    use crate::id::KeyId;
    use crate::keyring::{Root, SecretList};

    fn root(name: &str) -> Root {
        Root::random(KeyId::from(name), &OsEntropy).unwrap()
    }

    fn begun(tenant: &TenantId) -> Begun<'_> {
        Begun {
            tenant,
            provider: "example",
            client_type: None,
            redirect_uri: "https://acme.test/auth/callback/example",
        }
    }

    #[test]
    fn a_ticket_reads_back_and_nothing_else_does() {
        let ticket = Ticket::random(&OsEntropy).unwrap();
        let text = ticket.encode().expose().clone();
        assert_eq!(text.len(), 43);
        assert_eq!(Ticket::parse(&text).unwrap().challenge(), ticket.challenge());
        let longer = format!("{text}A");
        for wrong in ["", &text[1..], &longer, &"?".repeat(43), &"é".repeat(22)] {
            assert!(Ticket::parse(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{ticket:?}").contains(&text));
    }

    #[test]
    fn verifier_nonce_and_what_is_stored_have_nothing_in_common() {
        let keyring = Keyring::new(&SecretList::new(vec![root("a")])).unwrap();
        let ticket = Ticket::random(&OsEntropy).unwrap();
        let tenant = TenantId::public();
        let derived = begun(&tenant).derive(&keyring, &ticket, Use::SignIn);
        let stored = URL_SAFE_NO_PAD.encode(derived.mac.as_bytes());
        let all = [
            derived.verifier.expose().clone(),
            derived.nonce.clone(),
            stored,
            ticket.encode().expose().clone(),
            derived.challenge(),
        ];
        for (at, one) in all.iter().enumerate() {
            assert_eq!(one.len(), 43);
            assert!(!all[..at].contains(one));
        }
    }

    #[test]
    fn each_part_of_what_was_begun_changes_all_that_is_derived() {
        let keyring = Keyring::new(&SecretList::new(vec![root("a")])).unwrap();
        let ticket = Ticket::random(&OsEntropy).unwrap();
        let (tenant, other) = (TenantId::public(), TenantId::from("acme"));
        let own = begun(&tenant);
        let others = [
            Begun {
                tenant: &other,
                ..own
            },
            Begun {
                provider: "other",
                ..own
            },
            Begun {
                client_type: Some(""),
                ..own
            },
            Begun {
                client_type: Some("web"),
                ..own
            },
            Begun {
                redirect_uri: "https://acme.test/auth/callback/other",
                ..own
            },
        ];
        let derived = own.derive(&keyring, &ticket, Use::SignIn);
        for begun in others {
            let other = begun.derive(&keyring, &ticket, Use::SignIn);
            assert!(derived.mac != other.mac && derived.nonce != other.nonce);
            assert_ne!(derived.verifier.expose(), other.verifier.expose());
        }
    }

    #[test]
    fn what_is_stored_depends_on_the_use_and_what_the_provider_is_told_does_not() {
        let keyring = Keyring::new(&SecretList::new(vec![root("a")])).unwrap();
        let ticket = Ticket::random(&OsEntropy).unwrap();
        let tenant = TenantId::public();
        let (one, other, none) = ("one".into(), "other".into(), "".into());
        let uses = [Use::SignIn, Use::Link(&one), Use::Link(&other), Use::Link(&none)];
        let all = uses.map(|used| begun(&tenant).derive(&keyring, &ticket, used));
        for (at, derived) in all.iter().enumerate() {
            assert!(all[..at].iter().all(|earlier| earlier.mac != derived.mac));
            assert_eq!(derived.nonce, all[0].nonce);
            assert_eq!(derived.challenge(), all[0].challenge());
        }
    }

    #[test]
    fn what_began_under_an_older_root_is_found() {
        let (old, new) = (root("old"), root("new"));
        let before = Keyring::new(&SecretList::new(vec![old.clone()])).unwrap();
        let after = Keyring::new(&SecretList::new(vec![new, old])).unwrap();
        let ticket = Ticket::random(&OsEntropy).unwrap();
        let tenant = TenantId::public();
        let first = begun(&tenant).derive(&before, &ticket, Use::SignIn);
        let all = begun(&tenant).derive_all(&after, &ticket, Use::SignIn);
        let found = all.iter().find(|derived| derived.mac == first.mac).unwrap();
        assert_eq!(found.verifier.expose(), first.verifier.expose());
        assert_eq!(found.nonce, first.nonce);
    }

    #[test]
    fn only_the_listed_addresses_are_come_back_to() {
        let app = AppInfo::new("Acme", "https://api.acme.test", "https://acme.test")
            .checked()
            .unwrap();
        let factor = ThirdPartyFactor::from(ThirdParty::new().redirect_uri("google", "acme://callback"));
        let admits = |provider: &str, uri: &str| factor.admits(&app, provider, uri);
        assert!(admits("google", "https://acme.test/auth/callback/google"));
        assert!(admits("google", "acme://callback"));
        assert!(!admits("github", "acme://callback"));
        assert!(admits("apple", "https://api.acme.test/auth/callback/apple"));
        for uri in [
            "",
            "https://acme.test/auth/callback/github",
            "https://acme.test/auth/callback/google/",
            "https://acme.test/auth/callback/google?x=1",
            "https://acme.test/auth/callback/google#x",
            "https://acme.test/auth%2fcallback/google",
            "https://acme.test@evil.test/auth/callback/google",
            "https://evil.test/auth/callback/google",
            "https://acme.test.evil.test/auth/callback/google",
            "http://acme.test/auth/callback/google",
            "HTTPS://acme.test/auth/callback/google",
            "//acme.test/auth/callback/google",
            "javascript:alert(1)//https://acme.test/auth/callback/google",
        ] {
            assert!(!admits("google", uri), "{uri}");
        }
    }

    #[test]
    fn a_form_post_is_handed_on_to_pages_of_its_provider_alone() {
        let app = AppInfo::new("Acme", "https://api.acme.test", "https://acme.test")
            .checked()
            .unwrap();
        let part = ["acme://back", "intent://back", "http://acme.test/back"]
            .into_iter()
            .chain(["https://app.acme.test/back", "http://127.0.0.1:7000/back"])
            .fold(ThirdParty::new(), |part, uri| part.redirect_uri("apple", uri))
            .redirect_uri("google", "https://acme.test/google");
        let factor = ThirdPartyFactor::from(part);
        let hands_on = |uri: &str| factor.hands_on(&app, "apple", uri);
        assert!(hands_on("https://acme.test/auth/callback/apple"));
        assert!(hands_on("https://app.acme.test/back") && hands_on("http://127.0.0.1:7000/back"));
        for uri in [
            "acme://back",
            "intent://back",
            "http://acme.test/back",
            "https://acme.test/google",
        ] {
            assert!(!hands_on(uri), "{uri}");
        }
        // Nobody else posts forms.
        assert!(!factor.hands_on(&app, "google", "https://acme.test/google"));
    }

    #[test]
    fn a_provider_that_hangs_holds_so_many_calls_and_no_more() {
        let held = Held {
            provider: Arc::new(Never),
            running: AtomicUsize::new(0),
        };
        let first = held.begin(2).unwrap();
        let second = held.begin(2).unwrap();
        assert!(held.begin(2).is_none() && held.begin(2).is_none());
        drop(first);
        let third = held.begin(2);
        assert!(third.is_some() && held.begin(2).is_none());
        drop((second, third));
        assert_eq!(held.running.load(Ordering::Relaxed), 0);
    }

    #[derive(Debug)]
    struct Never;

    #[async_trait::async_trait]
    impl Provider for Never {
        fn id(&self) -> &str {
            "never"
        }
        fn name(&self) -> &str {
            "Never"
        }
        async fn authorize(
            &self,
            _: &crate::provider::Authorize,
        ) -> Result<String, crate::provider::ProviderError> {
            Err(crate::provider::ProviderError::Unsupported)
        }
        async fn identify(
            &self,
            _: &crate::provider::Proof,
        ) -> Result<crate::provider::Identity, crate::provider::ProviderError> {
            Err(crate::provider::ProviderError::Unsupported)
        }
    }
}
