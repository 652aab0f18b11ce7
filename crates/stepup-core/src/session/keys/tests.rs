use std::collections::HashSet;
use std::sync::Mutex;

use async_trait::async_trait;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use proptest::prelude::*;
use serde_json::Value;
use tokio::sync::Barrier;

use super::*;
use crate::entropy::{EntropyError, OsEntropy};
use crate::keyring::{Root, SecretList};
use crate::secret::Mac;
use crate::storage::Stored;
use crate::storage::memory::MemoryStore;

const ALL: [SigningAlgorithm; 3] = [
    SigningAlgorithm::Es256,
    SigningAlgorithm::Rs256,
    SigningAlgorithm::EdDsa,
];
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// The overlap of the default configuration: 15 min and 10 s.
const OVERLAP: Duration = Duration::from_secs(15 * 60 + 10);

/// The start of an interval of seven days, 500 ms in.
fn start() -> Timestamp {
    Timestamp::from_ms(2_917 * millis(WEEK) + 500)
}

fn ring(ids: &[&str]) -> Arc<Keyring> {
    use sha2::Digest;
    let roots = ids.iter().map(|id| Root {
        id: KeyId::from(*id),
        key: Secret::new(sha2::Sha256::digest(id).to_vec()),
    });
    Arc::new(Keyring::new(&SecretList::new(roots.collect())).unwrap())
}

async fn load_with(
    store: &Arc<MemoryStore>,
    ids: &[&str],
    algorithm: SigningAlgorithm,
    config: &SessionConfig,
    now: Timestamp,
) -> Result<SigningKeys, Fault> {
    let store: Arc<dyn KeyStore> = store.clone();
    SigningKeys::load(store, ring(ids), Arc::new(OsEntropy), algorithm, config, now).await
}

async fn load(store: &Arc<MemoryStore>, now: Timestamp) -> SigningKeys {
    load_with(
        store,
        &["a"],
        SigningAlgorithm::Es256,
        &SessionConfig::default(),
        now,
    )
    .await
    .unwrap()
}

fn kids(keys: &SigningKeys, now: Timestamp) -> Vec<String> {
    let set: Value = serde_json::from_str(&keys.jwks(now).body).unwrap();
    let entries = set["keys"].as_array().unwrap();
    entries
        .iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

fn signer(keys: &SigningKeys, now: Timestamp) -> String {
    keys.sign("{}", now).unwrap().kid.to_string()
}

#[tokio::test]
async fn what_is_signed_verifies_by_the_published_key_in_an_independent_reader() {
    for algorithm in ALL {
        let keys = load_with(
            &Arc::default(),
            &["a"],
            algorithm,
            &SessionConfig::default(),
            start(),
        )
        .await
        .unwrap();
        let signed = keys.sign(r#"{"sub":"ann","n":1}"#, start()).unwrap();
        let set: JwkSet = serde_json::from_str(&keys.jwks(start()).body).unwrap();
        let jwk = set.find(signed.kid.as_str()).unwrap();
        let mut rules = Validation::new(match algorithm {
            SigningAlgorithm::Es256 => Algorithm::ES256,
            SigningAlgorithm::Rs256 => Algorithm::RS256,
            SigningAlgorithm::EdDsa => Algorithm::EdDSA,
        });
        rules.required_spec_claims = HashSet::new();
        rules.validate_exp = false;
        let read = decode::<Value>(
            signed.token.expose(),
            &DecodingKey::from_jwk(jwk).unwrap(),
            &rules,
        )
        .unwrap();
        assert_eq!(read.claims["sub"], "ann");
        assert_eq!(read.header.kid.as_deref(), Some(signed.kid.as_str()));
    }
}

#[tokio::test]
async fn header_and_key_set_are_written_as_the_contract_says() {
    for (algorithm, pattern) in [
        (
            SigningAlgorithm::Es256,
            r#"{"keys":[{"kty":"EC","kid":"d-1764201600500","crv":"P-256","x":"43","y":"43","alg":"ES256","use":"sig"}]}"#,
        ),
        (
            SigningAlgorithm::Rs256,
            r#"{"keys":[{"kty":"RSA","kid":"d-1764201600500","n":"512","e":"4","alg":"RS256","use":"sig"}]}"#,
        ),
        (
            SigningAlgorithm::EdDsa,
            r#"{"keys":[{"kty":"OKP","kid":"d-1764201600500","crv":"Ed25519","x":"43","alg":"EdDSA","use":"sig"}]}"#,
        ),
    ] {
        let keys = load_with(
            &Arc::default(),
            &["a"],
            algorithm,
            &SessionConfig::default(),
            start(),
        )
        .await
        .unwrap();
        let token = keys.sign("{}", start()).unwrap().token;
        let header = URL_SAFE_NO_PAD
            .decode(token.expose().split('.').next().unwrap())
            .unwrap();
        assert_eq!(
            String::from_utf8(header).unwrap(),
            format!(
                r#"{{"kid":"d-1764201600500","typ":"JWT","version":"5","alg":"{}"}}"#,
                algorithm.name()
            )
        );
        // The members in their order, each value of base64 replaced by its length.
        let shape = |text: &str, name: &str| {
            let from = text.find(&format!("\"{name}\":\"")).map(|at| at + name.len() + 4);
            from.map_or_else(
                || text.to_owned(),
                |from| {
                    let length = text[from..].find('"').unwrap();
                    format!("{}{length}{}", &text[..from], &text[from + length..])
                },
            )
        };
        let shaped = ["x", "y", "n", "e"]
            .iter()
            .fold(keys.jwks(start()).body.to_string(), |text, name| {
                shape(&text, name)
            });
        assert_eq!(shaped, pattern);
    }
}

#[tokio::test]
async fn a_key_signs_for_its_interval_and_the_next_is_published_before_it_is_used() {
    let store = Arc::default();
    let keys = load(&store, start()).await;
    let first = signer(&keys, start());
    let (mut published, mut switched, mut retired) = (None, None, None);
    // A poll a minute, for eight days.
    for minute in 0..8 * 24 * 60 {
        let now = start().plus(minute * MINUTE);
        if keys.wants_poll(now) {
            keys.poll(now).await.unwrap();
        }
        if published.is_none() && kids(&keys, now).len() == 2 {
            published = Some(now);
        }
        if switched.is_none() && signer(&keys, now) != first {
            switched = Some(now);
        }
        if switched.is_some() && retired.is_none() && kids(&keys, now).len() == 1 {
            retired = Some(now);
        }
    }
    let (published, switched) = (published.unwrap(), switched.unwrap());
    let end = start().plus(WEEK);
    assert!(switched.since(published) >= PUBLISH_BEFORE);
    assert!(switched <= end && end.since(switched) <= LEAD - PUBLISH_BEFORE);
    let late = retired.unwrap().since(end.plus(OVERLAP).minus(SECOND));
    assert!(late < MINUTE, "{late:?}");
    assert_eq!(store.signing_keys().await.unwrap().len(), 2);
}

#[tokio::test]
async fn the_key_set_may_be_cached_until_the_next_key_is_made() {
    let keys = load(&Arc::default(), start()).await;
    assert_eq!(keys.jwks(start()).max_age, WEEK - PUBLISH_BEFORE - SECOND);
    assert_eq!(
        keys.jwks(start().plus(WEEK - PUBLISH_BEFORE)).max_age,
        SECOND,
        "never zero, which some caches read as for ever"
    );
}

#[tokio::test]
async fn a_retired_key_is_unknown_even_if_nobody_deleted_it() {
    // Threat A-TOK-16: no poll happens in between, and the row is still there.
    let store: Arc<MemoryStore> = Arc::default();
    let keys = load(&store, start()).await;
    let token = keys.sign("{}", start()).unwrap().token;
    let header = token.expose().split('.').next().unwrap();
    let retired = start().plus(WEEK).plus(OVERLAP);
    assert!(keys.by_header(header, retired.minus(SECOND)).is_some());
    assert!(keys.by_header(header, retired).is_none());
    assert_eq!(store.signing_keys().await.unwrap().len(), 1);
    assert!(kids(&keys, retired).is_empty());
    assert!(matches!(keys.sign("{}", retired), Err(Fault::Key(_))));
    assert!(keys.wants_poll(retired));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_nodes_that_rotate_at_once_one_wins_and_all_sign_with_its_key() {
    // Contract trap 32.
    let store: Arc<MemoryStore> = Arc::default();
    for round in 0..5 {
        let now = start().plus(WEEK * round);
        let barrier = Arc::new(Barrier::new(8));
        let nodes: Vec<_> = (0..8_u64)
            .map(|node| {
                let (store, barrier) = (store.clone(), barrier.clone());
                tokio::spawn(async move {
                    barrier.wait().await;
                    // No two clocks agree to the millisecond.
                    load(&store, now.plus(Duration::from_millis(node))).await
                })
            })
            .collect();
        let mut signers = HashSet::new();
        for node in nodes {
            signers.insert(signer(&node.await.unwrap(), now.plus(SECOND)));
        }
        assert_eq!(signers.len(), 1, "round {round}");
    }
}

#[tokio::test]
async fn a_node_signs_with_a_new_key_only_when_others_had_time_to_fetch_it() {
    let store = Arc::default();
    let here = load(&store, start()).await;
    let there = load(&store, start()).await;
    let due = start().plus(WEEK).minus(LEAD);
    let made = here.poll(due).await.unwrap().made.unwrap();
    assert_ne!(signer(&here, due), made.as_str());
    assert_eq!(there.poll(due.plus(MINUTE)).await.unwrap().made, None);
    let both = [&here, &there].map(|keys| signer(keys, due.plus(PUBLISH_BEFORE)));
    assert_eq!(both, [made.as_str(), made.as_str()]);
}

#[tokio::test]
async fn after_a_long_sleep_a_new_key_signs_at_once() {
    let store = Arc::default();
    let keys = load(&store, start()).await;
    let old = signer(&keys, start());
    let later = start().plus(3 * WEEK);
    assert!(keys.wants_poll(later));
    let made = keys.poll(later).await.unwrap().made.unwrap();
    assert_eq!(signer(&keys, later), made.as_str());
    assert_eq!(kids(&keys, later), [made.to_string()]);
    assert_ne!(old, made.as_str());
}

#[tokio::test]
async fn the_private_key_is_sealed_and_bound_to_its_name_and_times() {
    // Threats A-SEC-03, A-SEC-16.
    let store: Arc<MemoryStore> = Arc::default();
    load(&store, start()).await;
    let record = store.signing_keys().await.unwrap().remove(0);
    let pkcs8 = ring(&["a"])
        .open(&place(&record).parts(), &record.sealed)
        .unwrap();
    // The private scalar of P-256 lies at byte 36 of this document; neither it nor any longer run may show.
    assert!(
        !record
            .sealed
            .windows(16)
            .any(|run| pkcs8.windows(16).any(|other| run == other))
    );
    let open = |record: &SigningKeyRecord| SigningKey::open(record, SigningAlgorithm::Es256, &ring(&["a"]));
    assert!(open(&record).is_ok());
    for tamper in [
        (|r: &mut SigningKeyRecord| r.id = KeyId::from("d-1764201600501")) as fn(&mut SigningKeyRecord),
        |r| r.algorithm = "EdDSA".to_owned(),
        |r| r.created_at = r.created_at.minus(SECOND),
        |r| r.signs_until = r.signs_until.plus(DAY),
        |r| r.verifies_until = r.verifies_until.plus(DAY),
        |r| r.slot += LANES,
    ] {
        let mut other = record.clone();
        tamper(&mut other);
        assert!(open(&other).is_err(), "{other:?}");
    }
}

#[tokio::test]
async fn a_start_is_refused_while_a_key_lives_that_the_secrets_do_not_open() {
    // Threat A-SEC-05: k1 may go when nothing that it sealed is in use any more.
    let store = Arc::default();
    let config = SessionConfig::default();
    let es = SigningAlgorithm::Es256;
    load_with(&store, &["k1"], es, &config, start()).await.unwrap();
    let wrong = load_with(&store, &["k2"], es, &config, start()).await;
    assert!(matches!(wrong, Err(Fault::Key(_))));
    let both = load_with(&store, &["k2", "k1"], es, &config, start())
        .await
        .unwrap();
    let next = start().plus(WEEK);
    both.poll(next).await.unwrap();
    assert!(load_with(&store, &["k2"], es, &config, next).await.is_err());
    load_with(&store, &["k2"], es, &config, next.plus(OVERLAP))
        .await
        .unwrap();
}

#[tokio::test]
async fn a_key_that_another_node_sealed_with_a_newer_secret_does_not_stop_this_one() {
    let store = Arc::default();
    let config = SessionConfig::default();
    let es = SigningAlgorithm::Es256;
    let old = load_with(&store, &["k1"], es, &config, start()).await.unwrap();
    let new = load_with(&store, &["k2", "k1"], es, &config, start())
        .await
        .unwrap();
    let due = start().plus(WEEK).minus(LEAD);
    new.poll(due).await.unwrap();
    let polled = old.poll(due).await.unwrap();
    assert_eq!(
        polled,
        Polled {
            made: None,
            unreadable: 1
        }
    );
    assert!(old.sign("{}", due).is_ok());
    // Once the other key alone may sign, this node says so instead of signing with an old one.
    assert!(old.poll(start().plus(WEEK)).await.is_err());
}

#[tokio::test]
async fn an_unknown_key_id_asks_for_one_poll_in_ten_seconds() {
    let keys = load(&Arc::default(), start()).await;
    let asked: Vec<_> = (0..31)
        .filter(|second| keys.wants_early_poll(start().plus(*second * SECOND)))
        .collect();
    assert_eq!(asked, [0, 10, 20, 30]);
    assert!(
        keys.wants_early_poll(start()),
        "a clock that went back does not block it"
    );
}

#[tokio::test]
async fn a_poll_is_due_each_minute_and_when_the_clock_went_back() {
    let keys = load(&Arc::default(), start()).await;
    assert!(!keys.wants_poll(start()));
    assert!(!keys.wants_poll(start().plus(59 * SECOND)));
    assert!(keys.wants_poll(start().plus(60 * SECOND)));
    assert!(keys.wants_poll(start().minus(SECOND)));
}

#[tokio::test]
async fn another_algorithm_starts_with_a_key_of_its_own() {
    let store = Arc::default();
    let config = SessionConfig::default();
    let es = load(&store, start()).await;
    let token = es.sign("{}", start()).unwrap().token;
    let ed = load_with(
        &store,
        &["a"],
        SigningAlgorithm::EdDsa,
        &config,
        start().plus(SECOND),
    )
    .await
    .unwrap();
    let header = token.expose().split('.').next().unwrap();
    assert!(ed.by_header(header, start().plus(SECOND)).is_none());
    assert_eq!(kids(&ed, start().plus(SECOND)).len(), 1);
    assert!(es.poll(start().plus(2 * SECOND)).await.is_ok());
}

#[tokio::test]
async fn a_clock_that_leaps_ahead_and_back_leaves_no_key_that_signs_for_decades() {
    // Threat A-CLK-01.
    let store: Arc<MemoryStore> = Arc::default();
    let keys = load(&store, start()).await;
    for leap in [DAY, 3 * WEEK, 12 * 365 * DAY, 80 * 365 * DAY] {
        let ahead = start().plus(leap);
        keys.poll(ahead).await.unwrap();
        keys.sign("{}", ahead).unwrap();
    }
    keys.poll(start()).await.unwrap();
    let now = signer(&keys, start());
    let records = store.signing_keys().await.unwrap();
    let record = records.iter().find(|record| record.id.as_str() == now).unwrap();
    assert!(record.signs_until <= start().plus(2 * WEEK));
    assert_eq!(kids(&keys, start()), [now]);
    for extreme in [
        Timestamp::from_ms(0),
        Timestamp::from_ms(i64::MAX),
        Timestamp::from_ms(i64::MIN),
    ] {
        // Wrong is allowed, a panic is not.
        let _ = keys.poll(extreme).await;
        let _ = keys.sign("{}", extreme);
        let _ = keys.jwks(extreme);
        let _ = (keys.wants_poll(extreme), keys.wants_early_poll(extreme));
    }
}

/// A store that can be switched off.
#[derive(Default)]
struct Flaky {
    inner: MemoryStore,
    off: Mutex<bool>,
}

impl Flaky {
    fn check(&self) -> Stored<()> {
        if *self.off.lock().unwrap() {
            return Err(StoreError::Unavailable("switched off".into()));
        }
        Ok(())
    }
}

#[async_trait]
impl KeyStore for Flaky {
    async fn signing_keys(&self) -> Stored<Vec<SigningKeyRecord>> {
        self.check()?;
        self.inner.signing_keys().await
    }

    async fn add_signing_key(&self, key: &SigningKeyRecord) -> Stored<bool> {
        self.check()?;
        self.inner.add_signing_key(key).await
    }

    async fn drop_signing_keys(&self, now: Timestamp) -> Stored<()> {
        self.check()?;
        self.inner.drop_signing_keys(now).await
    }

    async fn reseal_signing_key(&self, id: &KeyId, old: &[u8], sealed: &[u8]) -> Stored<bool> {
        self.inner.reseal_signing_key(id, old, sealed).await
    }

    async fn secret_checks(&self) -> Stored<Vec<(KeyId, Mac)>> {
        self.inner.secret_checks().await
    }

    async fn add_secret_check(&self, id: &KeyId, check: &Mac) -> Stored<()> {
        self.inner.add_secret_check(id, check).await
    }
}

#[tokio::test]
async fn without_the_store_known_keys_go_on_until_their_time_is_over() {
    let store = Arc::new(Flaky::default());
    let keys = SigningKeys::load(
        store.clone(),
        ring(&["a"]),
        Arc::new(OsEntropy),
        SigningAlgorithm::Es256,
        &SessionConfig::default(),
        start(),
    )
    .await
    .unwrap();
    *store.off.lock().unwrap() = true;
    assert!(matches!(keys.poll(start().plus(DAY)).await, Err(Fault::Store(_))));
    assert!(keys.sign("{}", start().plus(DAY)).is_ok());
    assert!(keys.sign("{}", start().plus(WEEK)).is_err());
}

#[derive(Debug)]
struct Dry;

impl Entropy for Dry {
    fn fill(&self, _: &mut [u8]) -> Result<(), EntropyError> {
        Err(EntropyError)
    }
}

#[tokio::test]
async fn no_key_is_stored_without_randomness_to_seal_it() {
    let store: Arc<MemoryStore> = Arc::default();
    let failed = SigningKeys::load(
        store.clone(),
        ring(&["a"]),
        Arc::new(Dry),
        SigningAlgorithm::Es256,
        &SessionConfig::default(),
        start(),
    )
    .await;
    assert!(matches!(failed, Err(Fault::Entropy(_))));
    assert!(store.signing_keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn keys_and_tokens_show_names_only() {
    // Threat A-SEC-07.
    let keys = load(&Arc::default(), start()).await;
    let signed = keys.sign("{}", start()).unwrap();
    let shown = format!("{keys:?} {signed:?}");
    assert!(shown.contains("d-1764201600500"), "{shown}");
    assert!(!shown.contains(signed.token.expose()), "{shown}");
}

#[test]
fn a_key_id_is_d_and_digits() {
    for kid in ["d-1", "d-1764201600500"] {
        assert!(is_kid(kid), "{kid}");
    }
    for kid in [
        "",
        "d-",
        "s-1",
        "d-x",
        "d-1\u{0}",
        "d-12345678901234567",
        "D-1",
        "d--1",
        " d-1",
        "d-١",
    ] {
        assert!(!is_kid(kid), "{kid}");
    }
}

proptest! {
    #[test]
    fn at_any_moment_a_made_key_signs_at_once_and_ends_within_the_rotation_interval(
        ms in 0..4_102_444_800_000_i64,
        hours in 1..=2_160_u64,
    ) {
        let schedule = Schedule {
            algorithm: SigningAlgorithm::Es256,
            interval: Duration::from_secs(hours * 3600),
            overlap: OVERLAP,
        };
        let now = Timestamp::from_ms(ms);
        let record = schedule.record(&ring(&["a"]), &OsEntropy, now).unwrap();
        prop_assert!(schedule.admits(&record, now));
        prop_assert!(!schedule.is_due(std::slice::from_ref(&record), now));
        prop_assert!(record.signs_until > now.plus(LEAD));
        prop_assert!(record.signs_until <= now.plus(LEAD).plus(schedule.interval));
        prop_assert_eq!(record.verifies_until, record.signs_until.plus(OVERLAP));
    }
}
