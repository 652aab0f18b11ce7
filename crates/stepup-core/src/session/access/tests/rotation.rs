//! Keys rotate while tokens are issued and used.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Mutex, RwLock};
use std::thread;

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// A node of a site: its keys are polled once a minute, and so is whatever it remembers its own.
async fn node(store: &Arc<MemoryStore>, secret: &SecretList, config: &SessionConfig) -> AccessTokens {
    let store: Arc<dyn KeyStore> = store.clone();
    let ring = Arc::new(Keyring::new(secret).unwrap());
    let keys = SigningKeys::load(
        store,
        ring,
        Arc::new(OsEntropy),
        SigningAlgorithm::EdDsa,
        config,
        start(),
    );
    let keys = Arc::new(keys.await.unwrap());
    tokens(keys, ISSUER, None, ClaimNames::default(), config)
}

#[test]
fn no_token_is_refused_while_keys_rotate_under_load() {
    let config = SessionConfig {
        key_rotation: HOUR,
        // Small, so that tokens are forgotten and verified anew all the time.
        remembered_bytes: 64 * 1024,
        ..SessionConfig::default()
    };
    let secret = SecretList::new(vec![Root::random("a".into(), &OsEntropy).unwrap()]);
    let store: Arc<MemoryStore> = Arc::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let nodes = [
        runtime.block_on(node(&store, &secret, &config)),
        runtime.block_on(node(&store, &secret, &config)),
    ];
    // Whoever issues or verifies holds the clock while he does, as real work takes no minutes. Polls do not.
    let clock = RwLock::new(start());
    let done = AtomicBool::new(false);
    let (issued, used) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // The tokens in use, each with its end.
    let live: Mutex<Vec<(String, Timestamp)>> = Mutex::default();

    let issue = |seed: usize| {
        let sample = Sample::new("ann");
        while !done.load(Ordering::Relaxed) {
            let node = &nodes[(seed + issued.fetch_add(1, Ordering::Relaxed)) % 2];
            let clock = clock.read().unwrap();
            let at = *clock;
            let parts = AccessParts {
                issued_at: at,
                expires_at: at.plus(ACCESS),
                ..sample.parts()
            };
            let payload = node.payload(&parts).unwrap();
            let signed = node.sign(&payload, at).unwrap();
            let mut live = live.lock().unwrap();
            live.push((signed.token.expose().clone(), at.plus(ACCESS)));
            live.retain(|(_, until)| *until > at);
        }
    };
    let look = |seed: usize| {
        let mut turn = seed;
        while !done.load(Ordering::Relaxed) {
            turn = turn
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695);
            let token = {
                let live = live.lock().unwrap();
                let place = (turn >> 33) % live.len().max(1);
                live.get(place).cloned()
            };
            let Some((token, until)) = token else { continue };
            let clock = clock.read().unwrap();
            let at = *clock;
            if at > until {
                continue;
            }
            for node in &nodes {
                let verdict = node.verify(&token, at);
                assert!(
                    verdict.is_ok(),
                    "{verdict:?} at {at:?} of a token until {until:?}"
                );
            }
            used.fetch_add(1, Ordering::Relaxed);
        }
    };
    let mut kids = std::collections::BTreeSet::new();
    thread::scope(|scope| {
        for seed in 0..2 {
            scope.spawn(move || issue(seed));
            scope.spawn(move || look(seed + 7));
        }
        // Four hours, a minute at a time; the second node hears of each key a poll later than the first.
        for minute in 0..240 {
            let before = issued.load(Ordering::Relaxed) + used.load(Ordering::Relaxed);
            let at = {
                let mut clock = clock.write().unwrap();
                *clock = clock.plus(MINUTE);
                *clock
            };
            runtime.block_on(nodes[minute % 2].keys.poll(at)).unwrap();
            kids.insert(nodes[0].sign("{}", at).unwrap().kid);
            // Every minute sees some of the load.
            while issued.load(Ordering::Relaxed) + used.load(Ordering::Relaxed) < before + 8 {
                thread::yield_now();
            }
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(kids.len() >= 4, "{kids:?}");
    assert!(issued.into_inner() > 100 && used.into_inner() > 100);
}
