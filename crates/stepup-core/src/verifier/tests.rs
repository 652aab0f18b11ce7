use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::*;
use crate::config::SessionConfig;
use crate::entropy::OsEntropy;
use crate::event::TracingSink;
use crate::keyring::{Keyring, Root, SecretList};
use crate::record::JsonMap;
use crate::require::{AnySession, Fresh, Require2fa, Requirement, SitePolicy};
use crate::session::access::{AccessParts, AccessTokens};
use crate::session::keys::SigningKeys;
use crate::storage::memory::MemoryStore;

const ISSUER: &str = "https://api.acme.test/auth";
const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The site that issues, on the clock of the service that verifies.
struct Site {
    tokens: AccessTokens,
    clock: Hand,
}

impl Site {
    async fn new(algorithm: SigningAlgorithm, clock: &Hand) -> Self {
        let root = Root::random("a".into(), &OsEntropy).unwrap();
        let ring = Keyring::new(&SecretList::new(vec![root])).unwrap();
        let config = SessionConfig::default();
        let keys = SigningKeys::load(
            Arc::new(MemoryStore::new()),
            Arc::new(ring),
            Arc::new(OsEntropy),
            algorithm,
            &config,
            clock.now(),
        );
        let keys = Arc::new(keys.await.unwrap());
        Self {
            tokens: AccessTokens::new(keys, ISSUER, None, ClaimNames::default(), &config, &OsEntropy)
                .unwrap(),
            clock: clock.clone(),
        }
    }

    fn published(&self) -> Arc<str> {
        self.tokens.keys().jwks(self.clock.now()).body
    }

    /// A token of ann's, with these derived claims.
    fn token(&self, derived: Value) -> String {
        let now = self.clock.now();
        let Value::Object(derived) = derived else {
            panic!("no object");
        };
        let payload = self.tokens.payload(&AccessParts {
            user: &"ann".into(),
            method: &"ann".into(),
            tenant: &"public".into(),
            handle: &"5f0c1f5e-0b3a-4b0c-9f43-0f6f8f5d7c11".into(),
            refresh_hash: "9f86d081",
            issued_at: now,
            expires_at: now.plus(900 * SECOND),
            derived: &derived,
            own: &JsonMap::new(),
        });
        let signed = self.tokens.sign(&payload.unwrap(), now).unwrap();
        signed.token.expose().clone()
    }

    fn complete(&self) -> String {
        let at = self.clock.now();
        self.token(json!({
            "st-mfa": { "c": { "emailpassword": at.as_secs() - 9, "otp-phone": at.as_secs() }, "v": true },
            "2fa-completed": { "v": true, "t": at.as_ms() },
        }))
    }

    fn half(&self) -> String {
        let at = self.clock.now();
        self.token(json!({
            "st-mfa": { "c": { "emailpassword": at.as_secs() }, "v": false },
            "2fa-completed": { "v": false, "t": at.as_ms() },
        }))
    }
}

#[derive(Clone, Debug)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_764_201_600_500)))
    }

    fn set(&self, to: Timestamp) {
        self.0.store(to.as_ms(), Ordering::SeqCst);
    }
}

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.0.load(Ordering::SeqCst))
    }
}

#[derive(Clone, Debug, Default)]
struct Asked(Arc<AtomicUsize>);

impl AskForKeys for Asked {
    fn ask(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Asked {
    fn times(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Hands the published keys over, as of now.
fn publish(site: &Site, verifier: &PublicVerifier) {
    verifier
        .replace_keys(site.published().as_bytes(), site.clock.now())
        .unwrap();
}

fn verifier(pinned: Pinned, asked: &Asked, clock: &Hand) -> PublicVerifier {
    PublicVerifier::new(
        pinned,
        asked.clone(),
        Arc::new(clock.clone()),
        Arc::new(TracingSink),
        &OsEntropy,
    )
    .unwrap()
}

/// A site, and a verifier that has just fetched its keys.
async fn pair() -> (Site, PublicVerifier, Asked) {
    let (clock, asked) = (Hand::new(), Asked::default());
    let site = Site::new(SigningAlgorithm::Es256, &clock).await;
    let verifier = verifier(Pinned::new(ISSUER), &asked, &clock);
    publish(&site, &verifier);
    (site, verifier, asked)
}

fn admits<R: Requirement>(verifier: &PublicVerifier, token: &str) -> bool {
    let claims = verifier.verify(token).unwrap();
    verifier.admit_route(&claims, &R::rule(), Trust::Token).is_ok()
}

/// An id of our form that no key has.
fn invented(number: usize, token: &str) -> String {
    let header = format!(r#"{{"kid":"d-{number}","typ":"JWT","version":"5","alg":"ES256"}}"#);
    format!(
        "{}{}",
        URL_SAFE_NO_PAD.encode(header),
        &token[token.find('.').unwrap()..]
    )
}

#[tokio::test]
async fn a_token_is_read_by_the_published_keys_alone() {
    for algorithm in [
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
        SigningAlgorithm::Rs256,
    ] {
        let clock = Hand::new();
        let site = Site::new(algorithm, &clock).await;
        let pinned = Pinned {
            algorithm,
            ..Pinned::new(ISSUER)
        };
        let verifier = verifier(pinned, &Asked::default(), &clock);
        publish(&site, &verifier);
        let token = site.complete();
        assert_eq!(verifier.verify(&token).unwrap().user_id().as_str(), "ann");
        assert_eq!(
            verifier.verify(&token).unwrap().payload(),
            site.tokens.verify(&token, clock.now()).unwrap().payload()
        );
    }
}

#[tokio::test]
async fn a_half_login_passes_no_rule_that_a_complete_session_is_needed_for() {
    let (site, verifier, _) = pair().await;
    let (complete, half) = (site.complete(), site.half());
    assert!(admits::<Require2fa>(&verifier, &complete) && admits::<SitePolicy>(&verifier, &complete));
    assert!(!admits::<Require2fa>(&verifier, &half) && !admits::<SitePolicy>(&verifier, &half));
    assert!(admits::<Fresh<300>>(&verifier, &complete));
    site.clock.set(site.clock.now().plus(301 * SECOND));
    assert!(!admits::<Fresh<300>>(&verifier, &complete));
    assert!(!admits::<Require2fa>(&verifier, &site.token(json!({}))));
}

#[tokio::test]
async fn a_route_asks_the_sites_policy_and_the_claims_of_every_route_unnamed() {
    struct Unnamed;
    impl Requirement for Unnamed {
        fn rule() -> Rule {
            Rule::All(Vec::new())
        }
    }
    let (site, verifier, asked) = pair().await;
    assert!(admits::<Unnamed>(&verifier, &site.complete()));
    assert!(!admits::<Unnamed>(&verifier, &site.half()));
    assert!(admits::<AnySession>(&verifier, &site.half()));
    let everywhere = Pinned {
        everywhere: vec![ClaimRule::is("terms", true)],
        ..Pinned::new(ISSUER)
    };
    let strict = self::verifier(everywhere, &asked, &site.clock);
    publish(&site, &strict);
    assert!(!admits::<Require2fa>(&strict, &site.complete()));
}

#[tokio::test]
async fn where_the_site_has_no_second_factor_of_ours_nobody_has_two() {
    let (site, _, asked) = pair().await;
    let pinned = Pinned {
        second_factor: SecondFactor::Absent,
        ..Pinned::new(ISSUER)
    };
    let verifier = verifier(pinned, &asked, &site.clock);
    publish(&site, &verifier);
    assert!(!admits::<Require2fa>(&verifier, &site.complete()));
}

#[tokio::test]
async fn without_keys_everything_is_denied_and_they_are_asked_for() {
    let (clock, asked) = (Hand::new(), Asked::default());
    let site = Site::new(SigningAlgorithm::Es256, &clock).await;
    let verifier = verifier(Pinned::new(ISSUER), &asked, &clock);
    assert!(!verifier.is_ready());
    let token = site.complete();
    assert!(matches!(
        verifier.verify(&token),
        Err(Denied::Fault(Fault::NoKeys))
    ));
    assert_eq!(asked.times(), 1);
    assert!(matches!(verifier.verify("foreign"), Err(Denied::NotOurs)));
    publish(&site, &verifier);
    assert!(verifier.is_ready() && verifier.verify(&token).is_ok());
}

#[tokio::test]
async fn keys_that_nobody_confirmed_for_an_hour_verify_nothing() {
    let (site, verifier, _) = pair().await;
    let start = site.clock.now();
    site.clock.set(start.plus(KEEP_KEYS_FOR));
    assert!(verifier.verify(&site.complete()).is_ok());
    site.clock.set(start.plus(KEEP_KEYS_FOR + SECOND));
    assert!(matches!(
        verifier.verify(&site.complete()),
        Err(Denied::Fault(Fault::NoKeys))
    ));
    publish(&site, &verifier);
    assert!(verifier.verify(&site.complete()).is_ok());
}

#[tokio::test]
async fn a_remembered_token_falls_with_its_key_and_with_the_age_of_the_keys() {
    let (site, verifier, _) = pair().await;
    let token = site.complete();
    let first = verifier.verify(&token).unwrap();
    assert!(Arc::ptr_eq(&first, &verifier.verify(&token).unwrap()));
    publish(&site, &verifier);
    assert!(
        Arc::ptr_eq(&first, &verifier.verify(&token).unwrap()),
        "the same keys again"
    );
    site.clock.set(site.clock.now().plus(SECOND));
    let rotated = Site::new(SigningAlgorithm::Es256, &site.clock).await;
    publish(&rotated, &verifier);
    assert!(matches!(verifier.verify(&token), Err(Denied::TryRefresh)));

    let short = Pinned {
        keep_keys_for: 60 * SECOND,
        ..Pinned::new(ISSUER)
    };
    let verifier = self::verifier(short, &Asked::default(), &site.clock);
    publish(&site, &verifier);
    let token = site.complete();
    assert!(verifier.verify(&token).is_ok());
    site.clock.set(site.clock.now().plus(61 * SECOND));
    assert!(matches!(
        verifier.verify(&token),
        Err(Denied::Fault(Fault::NoKeys))
    ));
}

#[tokio::test]
async fn a_clock_that_goes_back_makes_no_keys_younger() {
    let (site, verifier, _) = pair().await;
    let start = site.clock.now();
    site.clock.set(start.minus(Duration::from_secs(60)));
    assert!(verifier.is_ready());
    site.clock.set(start.minus(DAY));
    assert!(!verifier.is_ready());
}

#[tokio::test]
async fn a_key_is_unknown_until_it_is_fetched_and_refused_once_it_is_withdrawn() {
    let (site, verifier, asked) = pair().await;
    // A moment later: the id of a key is the time at which it was made.
    site.clock.set(site.clock.now().plus(SECOND));
    let rotated = Site::new(SigningAlgorithm::Es256, &site.clock).await;
    let (old, new) = (site.complete(), rotated.complete());
    assert!(verifier.verify(&old).is_ok());
    assert!(matches!(verifier.verify(&new), Err(Denied::TryRefresh)));
    assert_eq!(asked.times(), 1);
    publish(&rotated, &verifier);
    assert!(verifier.verify(&new).is_ok());
    assert!(matches!(verifier.verify(&old), Err(Denied::TryRefresh)));
}

#[tokio::test]
async fn a_flood_of_invented_key_ids_asks_once_in_ten_seconds() {
    let (site, verifier, asked) = pair().await;
    let token = site.complete();
    for round in 1..=3 {
        for number in 0..200 {
            let judged = verifier.verify(&invented(number, &token));
            assert!(matches!(judged, Err(Denied::TryRefresh)));
        }
        assert_eq!(asked.times(), round);
        site.clock.set(site.clock.now().plus(EARLY_POLL_EVERY));
    }
}

#[tokio::test]
async fn ids_that_are_not_of_our_form_ask_for_nothing() {
    let (site, verifier, asked) = pair().await;
    let rest = site.complete().split_once('.').unwrap().1.to_owned();
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"kid":"s-1","typ":"JWT","version":"5","alg":"ES256"}"#,
        r#"{"kid":"d-1","typ":"JWT","version":"5","alg":"HS256"}"#,
        r#"{"kid":"d-1","typ":"JWT","version":"5","alg":"ES256","jku":"https://evil.test"}"#,
        "",
    ] {
        let token = format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header));
        assert!(matches!(verifier.verify(&token), Err(Denied::TryRefresh)));
    }
    assert_eq!(asked.times(), 0);
}

#[tokio::test]
async fn what_was_pinned_is_compared_exactly() {
    let (site, _, asked) = pair().await;
    let token = site.complete();
    let judged = |pinned| {
        let verifier = verifier(pinned, &asked, &site.clock);
        publish(&site, &verifier);
        verifier.verify(&token).is_ok()
    };
    assert!(judged(Pinned::new(ISSUER)));
    for issuer in ["https://api.acme.test", "https://api.acme.test/auth/", ""] {
        assert!(!judged(Pinned::new(issuer)), "{issuer}");
    }
    assert!(!judged(Pinned {
        audience: Some("reports".to_owned()),
        ..Pinned::new(ISSUER)
    }));
    site.clock.set(site.clock.now().plus(911 * SECOND));
    assert!(!judged(Pinned::new(ISSUER)));
}

#[tokio::test]
async fn keys_of_another_algorithm_than_the_pinned_are_never_taken() {
    let (site, _, asked) = pair().await;
    let pinned = Pinned {
        algorithm: SigningAlgorithm::EdDsa,
        ..Pinned::new(ISSUER)
    };
    let verifier = verifier(pinned, &asked, &site.clock);
    let refused = verifier.replace_keys(site.published().as_bytes(), site.clock.now());
    assert_eq!(refused.unwrap_err(), KeySetError::NoKey);
    assert!(!verifier.is_ready());
}

#[tokio::test]
async fn a_document_that_is_refused_leaves_the_keys_as_they_are_and_makes_them_no_younger() {
    let (site, verifier, _) = pair().await;
    site.clock.set(site.clock.now().plus(KEEP_KEYS_FOR));
    assert!(verifier.replace_keys(b"{}", site.clock.now()).is_err());
    assert!(verifier.verify(&site.complete()).is_ok());
    site.clock.set(site.clock.now().plus(SECOND));
    assert!(!verifier.is_ready());
}

#[tokio::test]
async fn what_only_the_store_knows_is_refused() {
    let (site, verifier, _) = pair().await;
    let claims = verifier.verify(&site.complete()).unwrap();
    let refused = verifier
        .admit_route(&claims, &Rule::Valid, Trust::Store)
        .unwrap_err();
    let Denied::Fault(Fault::Part(source)) = refused else {
        panic!("{refused:?}");
    };
    assert!(source.is::<OnlyVerifies>());
}

/// Looks at a future once, after a tick.
fn after_a_tick<F: Future<Output = Ending>>(
    verifier: &PublicVerifier,
    future: Pin<&mut F>,
) -> Option<Ending> {
    verifier.tick();
    match future.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ending) => Some(ending),
        Poll::Pending => None,
    }
}

#[tokio::test]
async fn who_waits_for_the_end_is_told_when_the_token_expires() {
    let (site, verifier, _) = pair().await;
    let start = site.clock.now();
    let claims = verifier.verify(&site.complete()).unwrap();
    let rule = Require2fa::rule();
    let mut ended = pin!(verifier.clone().until_ended(claims.clone(), &rule));
    assert_eq!(after_a_tick(&verifier, ended.as_mut()), None);
    site.clock.set(start.plus(899 * SECOND));
    assert_eq!(after_a_tick(&verifier, ended.as_mut()), None);
    // Not later, although a guard forgives it some seconds.
    site.clock.set(claims.expires_at());
    assert_eq!(after_a_tick(&verifier, ended.as_mut()), Some(Ending::Expired));
}

#[tokio::test]
async fn who_waits_for_the_end_is_told_when_the_requirement_is_lost() {
    let (site, verifier, _) = pair().await;
    let start = site.clock.now();
    let claims = verifier.verify(&site.complete()).unwrap();
    let rule = Fresh::<300>::rule();
    let mut ended = pin!(verifier.clone().until_ended(claims, &rule));
    site.clock.set(start.plus(299 * SECOND));
    assert_eq!(after_a_tick(&verifier, ended.as_mut()), None);
    site.clock.set(start.plus(301 * SECOND));
    assert_eq!(after_a_tick(&verifier, ended.as_mut()), Some(Ending::Requirement));
    // And at once, of a session that never met it.
    let half = verifier.verify(&site.half()).unwrap();
    let mut ended = pin!(verifier.clone().until_ended(half, &rule));
    assert_eq!(after_a_tick(&verifier, ended.as_mut()), Some(Ending::Requirement));
}

#[tokio::test]
async fn who_waits_for_the_end_is_told_when_there_are_no_keys_left_to_judge_by() {
    let (site, _, asked) = pair().await;
    let pinned = Pinned {
        keep_keys_for: 60 * SECOND,
        ..Pinned::new(ISSUER)
    };
    let verifier = verifier(pinned, &asked, &site.clock);
    publish(&site, &verifier);
    let start = site.clock.now();
    let claims = verifier.verify(&site.complete()).unwrap();
    let rule = AnySession::rule();
    let mut ended = pin!(verifier.clone().until_ended(claims, &rule));
    assert_eq!(after_a_tick(&verifier, ended.as_mut()), None);
    site.clock.set(start.plus(75 * SECOND));
    assert_eq!(after_a_tick(&verifier, ended.as_mut()), Some(Ending::Fault));
}
