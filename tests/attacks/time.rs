//! Clocks that jump, and clocks that disagree.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use stepup::delivery::BackgroundThread;
use stepup::flow::{Caller, SignUpOutcome};
use stepup::storage::memory::MemoryStore;
use stepup::time::Clock;
use stepup::{AppInfo, Password, SecretList, Stepup};
use stepup_core::entropy::OsEntropy;
use stepup_core::keyring::Root;
use stepup_testkit::clock::ManualClock;

use super::own::Own;
use crate::kit::{Client, MODES, Mode, PASSWORD, PHONE, form};

const ALICE: &str = "alice@example.com";
const YEAR: u64 = 365 * 24 * 3600;
const DAY: u64 = 24 * 3600;

/// Every endpoint that a client with a session calls. None of them may break.
async fn call_everything(client: &Client) {
    for (method, path, body) in [
        ("GET", "/plain", None),
        ("GET", "/fresh", None),
        ("PUT", "/auth/mfa/info", Some(json!({}))),
        ("GET", "/auth/factor/list", None),
        ("GET", "/auth/session/list", None),
        (
            "POST",
            "/auth/signinup/code",
            Some(json!({ "phoneNumber": PHONE })),
        ),
        ("POST", "/auth/signin", Some(form(ALICE, PASSWORD))),
        ("GET", "/auth/jwt/jwks.json", None),
        (
            "GET",
            "/auth/emailpassword/email/exists?email=a@example.com",
            None,
        ),
    ] {
        let response = client.peek(method, path, body.as_ref(), &[]).await;
        assert!((200..500).contains(&response.status), "{path}: {response:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clk_01_no_jump_breaks_anything_or_makes_a_token_that_lives_for_years() {
    let now = 1_764_000_000;
    // 1970, before 2038-01-19 and after it, before 2106-02-07 and after it, and a leap second.
    for at in [
        0,
        1,
        2_147_483_600,
        2_147_483_648,
        4_294_967_000,
        4_294_967_296,
        1_483_228_799,
    ] {
        let site = Own::start(MemoryStore::new()).await;
        let mut before = site.client(Mode::Header);
        before.sign_up(ALICE).await;
        if at >= now {
            site.clock.advance(Duration::from_secs(at - now));
        } else {
            site.clock.rewind(Duration::from_secs(now - at));
        }
        site.tick().await;
        call_everything(&before).await;
        let refreshed = before.refresh().await;
        assert!(
            refreshed.status == 200 || refreshed.status == 401,
            "{at}: {refreshed:?}"
        );
        let mut after = site.client(Mode::Header);
        let signed_up = after.sign_up("bob@example.com").await;
        assert_eq!(signed_up.status_field(), "OK", "{at}");
        call_everything(&after).await;
        for client in [&before, &after] {
            let Some(_) = client.access_token() else { continue };
            let payload = client.payload();
            let life = payload["exp"].as_i64().unwrap() - payload["iat"].as_i64().unwrap();
            assert!((0..=15 * 60).contains(&life), "{at}: {payload}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clk_01_a_jump_ahead_ends_what_has_an_end() {
    for mode in MODES {
        for seconds in [31 * DAY, 12 * YEAR, 80 * YEAR] {
            let site = Own::start(MemoryStore::new()).await;
            let (mut alice, created, code) = site.asked(mode, ALICE, PHONE).await;
            alice.consume(&created, &code).await;
            site.moved(seconds);
            assert_eq!(alice.get("/any").await.status, 401, "{seconds}");
            let late = alice.clone();
            assert_eq!(alice.refresh().await.status, 401, "{seconds}");
            // What the clean-up took does not come back with the time.
            site.tick().await;
            site.clock.rewind(Duration::from_secs(seconds));
            assert_eq!(late.clone().refresh().await.status, 401, "{seconds}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clk_01_a_clock_that_goes_back_revives_nothing_that_was_used_up() {
    for mode in MODES {
        let site = Own::start(MemoryStore::new()).await;
        let (mut alice, created, code) = site.asked(mode, ALICE, PHONE).await;
        let half = alice.clone();
        assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
        site.moved(10);
        let old = alice.clone();
        assert_eq!(alice.refresh().await.status, 200);
        let gone = alice.clone();
        alice.sign_out().await;
        site.clock.rewind(Duration::from_secs(3_600));
        // The code, the refresh tokens from before the rise and before the refresh, and the session that was signed out.
        assert_eq!(gone.clone().get("/any").await.status, 401);
        for mut client in [half, old, gone] {
            assert_eq!(client.refresh().await.status, 401);
            let again = client.consume(&created, &code).await;
            assert_ne!(again.status_field(), "OK", "{again:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clk_01_a_clock_that_goes_back_lengthens_no_session() {
    let site = Own::start(MemoryStore::new()).await;
    let (mut alice, created, code) = site.asked(Mode::Cookie, ALICE, PHONE).await;
    alice.consume(&created, &code).await;
    let end = |client: &Client| client.payload()["exp"].as_i64().unwrap();
    let before = end(&alice);
    site.clock.rewind(Duration::from_secs(2 * 3_600));
    assert_eq!(alice.refresh().await.status, 200);
    assert!(end(&alice) < before);
    // From where it is now it ends as every session ends.
    site.moved(8 * DAY);
    assert_eq!(alice.refresh().await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clk_01_a_clock_that_goes_back_revives_nothing_that_was_over() {
    for mode in MODES {
        // A half-login of 15 minutes, a code of 5; nothing was swept yet.
        for (late, back) in [(15 * 60 + 1, 5), (15 * 60 + 1, 600), (16 * 60, 3_600)] {
            let site = Own::start(MemoryStore::new()).await;
            let (mut alice, created, code) = site.asked(mode, ALICE, PHONE).await;
            site.moved(4 * 60);
            assert_eq!(alice.refresh().await.status, 200);
            site.moved(late - 4 * 60);
            let over = alice.clone();
            assert_eq!(over.clone().get("/any").await.status, 401, "{late} {back}");
            site.clock.rewind(Duration::from_secs(back));
            site.stepup.now();
            site.tick().await;
            for _ in 0..2 {
                assert_eq!(over.clone().get("/any").await.status, 401, "{late} {back}");
                assert_eq!(over.clone().refresh().await.status, 401, "{late} {back}");
                let consumed = over.clone().consume(&created, &code).await;
                assert_ne!(consumed.status_field(), "OK", "{late} {back}: {consumed:?}");
                site.moved(1);
            }
            // Nobody is kept out by it.
            let mut again = site.client(mode);
            assert_eq!(again.sign_in(ALICE).await.status_field(), "OK");
            assert_eq!(again.get("/any").await.status, 200, "{late} {back}");
            assert_eq!(again.refresh().await.status, 200, "{late} {back}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clk_01_an_expired_code_stays_expired_while_a_small_step_back_is_waited_out() {
    let site = Own::start(MemoryStore::new()).await;
    let (mut alice, created, code) = site.asked(Mode::Header, ALICE, PHONE).await;
    site.moved(301);
    assert_eq!(alice.refresh().await.status, 200);
    site.clock.rewind(Duration::from_secs(8));
    let consumed = alice.consume(&created, &code).await;
    assert_eq!(
        consumed.status_field(),
        "EXPIRED_USER_INPUT_CODE_ERROR",
        "{consumed:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clk_02_a_node_far_from_the_clock_of_the_database_does_not_start() {
    let build = async |ahead: i64| {
        let own = ManualClock::default();
        let theirs = ManualClock::at_ms(own.now().as_ms() - ahead * 1_000);
        let app = AppInfo::new("Acme", "http://localhost:1", "http://localhost:1");
        let secrets = SecretList::new(vec![Root::random("k1".into(), &OsEntropy).unwrap()]);
        let store = Arc::new(MemoryStore::new().with_clock(theirs));
        let built = Stepup::builder(app, store, secrets)
            .factor(Password::new())
            .background(BackgroundThread::start().unwrap())
            .clock(own)
            .build()
            .await;
        built.err().map(|error| error.to_string())
    };
    for near in [0, 2, -2, 30, -30] {
        assert_eq!(build(near).await, None, "{near} s");
    }
    for far in [31, -31, 300, -300, 86_400] {
        let error = build(far).await.expect("a refusal");
        assert!(error.contains("apart") && error.contains("database"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clk_02_what_one_node_made_is_good_on_another_within_the_leeway_and_not_beyond() {
    // One store and one secret, two clocks.
    let store = Arc::new(MemoryStore::new());
    let secret = SecretList::new(vec![Root::random("k1".into(), &OsEntropy).unwrap()]);
    let node = async |clock: ManualClock| {
        let app = AppInfo::new("Acme", "http://localhost:1", "http://localhost:1");
        Stepup::builder(app, store.clone(), secret.clone())
            .factor(Password::new())
            .background(BackgroundThread::start().unwrap())
            .clock(clock)
            .build()
            .await
            .unwrap()
    };
    let here = ManualClock::default();
    let first = node(here.clone()).await;
    let password = stepup_core::password::Password::parse(PASSWORD).unwrap();
    let signed_up = first.sign_up(&Caller::internal(), ALICE, password).await.unwrap();
    let SignUpOutcome::Created(signed_in) = signed_up else {
        panic!("{signed_up:?}")
    };
    let token = signed_in.tokens.access.expose().clone();
    let at = here.now().as_ms();
    for (skew, good) in [
        (0, true),
        (-9, true),
        (9, true),
        (-11, false),
        (-300, false),
        (899, true),
        (911, false),
    ] {
        let there = node(ManualClock::at_ms(at + skew * 1_000)).await;
        assert_eq!(there.verify(&token).is_ok(), good, "{skew} s");
    }
}

#[test]
fn a_clk_03_time_comes_from_one_clock_and_never_from_the_database() {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|end| end == "rs" || end == "sql") {
                files.push(path);
            }
        }
    }
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("crates");
    let mut files = Vec::new();
    for one in fs::read_dir(&crates).unwrap() {
        for folder in ["src", "migrations"] {
            let folder = one.as_ref().unwrap().path().join(folder);
            if folder.is_dir() {
                walk(&folder, &mut files);
            }
        }
    }
    assert!(files.len() > 100, "{}", files.len());
    let banned = [
        "SystemTime::now",
        "current_timestamp",
        "datetime('now",
        "julianday(",
        "strftime(",
        "unixepoch(",
        "now()::",
        "utc_timestamp",
        "clock_timestamp(",
        " now() ",
    ];
    for file in files {
        if file.ends_with("stepup-core/src/time.rs") || file.to_string_lossy().contains("tests") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        for word in banned {
            let found = text.contains(word) || text.to_lowercase().contains(&word.to_lowercase());
            assert!(!found, "{word} in {}", file.display());
        }
    }
}
