//! Throttles: whoever tries to be counted as somebody else, or as nobody, and whoever uses them against others.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sqlx::Row;
use stepup::FactorId;
use stepup::storage::memory::MemoryStore;
use stepup_testkit::faults::{FaultyStore, When};
use tokio::sync::Barrier;

use super::database;
use super::own::{Own, login};
use crate::kit::{Client, Mode, PASSWORD, PHONE, Server, form, full, half};

const ALICE: &str = "alice@example.com";
const WRONG: &str = "wrong horse battery";
const EXISTS: &str = "/auth/emailpassword/email/exists?email=a@example.com";

/// The demo behind a proxy on this machine.
async fn behind_a_proxy() -> Server {
    Server::start_with(|settings| {
        settings.trusted_proxies = vec!["127.0.0.1".to_owned()];
        // A test may take longer than a minute.
        settings.configure = |config| config.limits.exists.window = Duration::from_secs(3_600);
    })
    .await
}

/// Asks whether an address exists, with these headers. Whether it was told.
async fn is_told(client: &Client, headers: &[(&str, &str)]) -> bool {
    let answer = client.peek("GET", EXISTS, None, headers).await;
    let told = answer.status_field() == "OK";
    assert!(told || answer.header("retry-after").is_some(), "{answer:?}");
    told
}

async fn sign_in_from(client: &Client, email: &str, password: &str, address: &str) -> String {
    let from = [("x-forwarded-for", address)];
    let answer = client
        .peek("POST", "/auth/signin", Some(&form(email, password)), &from)
        .await;
    answer.status_field()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rl_01_every_spelling_of_an_address_has_one_count() {
    // Five free failures, then a pause; the clock stands still.
    for known in [true, false] {
        let site = Own::start(MemoryStore::new()).await;
        let stored = "jos\u{e9}@example.com";
        if known {
            let signed_up = site.client(Mode::Cookie).sign_up(stored).await;
            assert_eq!(signed_up.status_field(), "OK", "{signed_up:?}");
        }
        let stranger = site.client(Mode::Cookie);
        let try_as = async |spelling: &str, password: &str| {
            let body = form(spelling, password);
            let answer = stranger.peek("POST", "/auth/signin", Some(&body), &[]).await;
            answer.status_field()
        };
        for spelling in [
            "jos\u{e9}@example.com",
            "JOS\u{c9}@EXAMPLE.COM",
            "jose\u{301}@example.com",
            "  Jos\u{e9}@Example.com ",
            "jOSE\u{301}@eXample.com",
        ] {
            assert_eq!(
                try_as(spelling, WRONG).await,
                "WRONG_CREDENTIALS_ERROR",
                "{spelling}"
            );
        }
        for spelling in [stored, "JOSE\u{301}@example.COM", " jos\u{e9}@example.com"] {
            assert_eq!(
                try_as(spelling, PASSWORD).await,
                "GENERAL_ERROR",
                "{known} {spelling}"
            );
        }
        // Somebody else of a similar name is not held up.
        assert_eq!(try_as("jose@example.com", WRONG).await, "WRONG_CREDENTIALS_ERROR");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rl_02_no_header_of_a_client_moves_it_into_another_network() {
    let site = Own::start(MemoryStore::new()).await;
    let mallory = site.client(Mode::Cookie);
    // Headers of forwarding that nobody vouches for: all of them share one count, ten times as wide, whatever they say.
    let mut told = 0;
    for n in 0..150 {
        let (plain, forwarded) = (format!("198.51.100.{n}"), format!("for=198.51.100.{n}"));
        let name = ["x-forwarded-for", "forwarded", "x-real-ip"][n % 3];
        let value = if name == "forwarded" { &forwarded } else { &plain };
        told += usize::from(is_told(&mallory, &[(name, value)]).await);
    }
    assert_eq!(told, 100);
    // Others are nothing to us: it is who it is.
    told = 0;
    for n in 0..30 {
        let name = ["true-client-ip", "cf-connecting-ip", "x-client-ip"][n % 3];
        told += usize::from(is_told(&mallory, &[(name, &format!("198.51.100.{n}"))]).await);
    }
    assert_eq!(told, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rl_02_behind_a_proxy_only_the_hop_that_it_wrote_counts() {
    let server = behind_a_proxy().await;
    let client = server.client(Mode::Cookie);
    let mut told = 0;
    for n in 0..40 {
        // Invented hops on the left, and headers that this proxy does not write.
        let hops = format!("203.0.113.{n}, 10.0.0.{n}, 198.51.100.7");
        let other = format!("203.0.113.{n}");
        told += usize::from(is_told(&client, &[("x-forwarded-for", &hops), ("x-real-ip", &other)]).await);
    }
    assert_eq!(told, 10);
    // A hop that is no address is the proxy itself: one more bucket, however it is written.
    told = 0;
    for n in 0..40 {
        told += usize::from(is_told(&client, &[("x-forwarded-for", &format!("unknown-{n}"))]).await);
    }
    assert_eq!(told, 10);
    assert!(
        is_told(&client, &[("x-forwarded-for", "198.51.100.8")]).await,
        "others go on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rl_03_a_64_has_one_count_and_so_have_all_spellings_of_an_address() {
    let server = behind_a_proxy().await;
    let client = server.client(Mode::Cookie);
    let mut told = 0;
    for n in 0..50 {
        let hop = match n % 4 {
            0 => format!("2001:db8:1:2::{n:x}"),
            1 => format!("2001:0DB8:0001:0002:{n:04X}:0:0:1"),
            2 => format!("[2001:db8:1:2:ffff::{n:x}]:443"),
            _ => format!("2001:db8:1:2::{n:x}%eth0"),
        };
        told += usize::from(is_told(&client, &[("x-forwarded-for", &hop)]).await);
    }
    assert_eq!(told, 10, "one /64");
    assert!(is_told(&client, &[("x-forwarded-for", "2001:db8:1:3::1")]).await);
    told = 0;
    for hop in [
        "192.0.2.9",
        "::ffff:192.0.2.9",
        "0:0:0:0:0:FFFF:C000:0209",
        "192.0.2.9:80",
        "64:ff9b::192.0.2.9",
    ]
    .iter()
    .cycle()
    .take(30)
    {
        told += usize::from(is_told(&client, &[("x-forwarded-for", hop)]).await);
    }
    assert_eq!(told, 10, "one IPv4 address");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rl_04_many_at_once_and_at_two_processes_do_not_pass_a_limit() {
    let server = Server::start().await;
    let second = server.second().await;
    let mut asker = half(&server, Mode::Header, ALICE).await;
    assert_eq!(asker.refresh().await.status, 200);
    let barrier = Arc::new(Barrier::new(200));
    let mut tasks = Vec::new();
    for n in 0..200 {
        let at = if n % 2 == 0 { &server } else { &second };
        let (client, asker) = (at.client(Mode::Cookie), asker.moved_to(at));
        let barrier = barrier.clone();
        tasks.push(tokio::spawn(async move {
            barrier.wait().await;
            let answer = match n % 5 {
                // One account asks for codes: three in ten minutes.
                0 => {
                    let body = json!({ "phoneNumber": PHONE });
                    asker.peek("POST", "/auth/signinup/code", Some(&body), &[]).await
                }
                _ => client.peek("GET", EXISTS, None, &[]).await,
            };
            (n % 5 == 0, answer)
        }));
    }
    let (mut codes, mut told) = (0, 0);
    for task in tasks {
        let (is_code, answer) = task.await.unwrap();
        match answer.status_field().as_str() {
            "OK" if is_code => codes += 1,
            "OK" => told += 1,
            _ => assert!([200, 503].contains(&answer.status), "{answer:?}"),
        }
    }
    assert!((1..=10).contains(&told), "{told}");
    assert!((1..=3).contains(&codes), "{codes}");
    assert_eq!(server.codes_sent().await + second.codes_sent().await, codes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rl_05_without_counters_nothing_is_compared_and_nothing_sent() {
    let site = Own::start(FaultyStore::new(MemoryStore::new())).await;
    let (alice, created, code) = site.asked(Mode::Header, ALICE, PHONE).await;
    site.moved(20);
    let messages = site.sent().await.len();
    site.store.fail_verb("charge", When::Before);
    let pair = json!({ "deviceId": created["deviceId"], "preAuthSessionId": created["preAuthSessionId"] });
    for (path, body) in [
        ("/auth/signup", form("new@example.com", PASSWORD)),
        ("/auth/signin", form(ALICE, PASSWORD)),
        ("/login", login("row-1", PASSWORD)),
        ("/auth/signinup/code", json!({ "phoneNumber": PHONE })),
        ("/auth/signinup/code/resend", pair),
        ("/auth/signinup/code/consume", crate::kit::answer(&created, &code)),
    ] {
        let answer = alice.peek("POST", path, Some(&body), &[]).await;
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
    }
    assert_eq!(alice.peek("GET", EXISTS, None, &[]).await.status, 503);
    assert_eq!(site.sent().await.len(), messages);
    // What needs no counter goes on.
    let mut same = alice.clone();
    assert_eq!(same.get("/any").await.status, 200);
    assert_eq!(
        same.call("PUT", "/auth/mfa/info", Some(json!({})), &[])
            .await
            .status,
        200
    );
    assert_eq!(same.refresh().await.status, 200);
    // The code was not spent on any of it.
    site.store.heal();
    assert_eq!(same.consume(&created, &code).await.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rl_06_strangers_delay_an_owner_and_lock_nobody_out() {
    let server = Server::start_with(|settings| {
        settings.trusted_proxies = vec!["127.0.0.1".to_owned()];
        settings.configure = |config| config.limits.password_account = 20;
    })
    .await;
    let mut home = server.client(Mode::Header);
    home.extra = vec![("x-forwarded-for".to_owned(), "192.0.2.1".to_owned())];
    home.sign_up(ALICE).await;
    home.complete(&server, PHONE).await;
    let stranger = server.client(Mode::Cookie);
    // Wrong passwords from everywhere, three of each network, as far as they are let.
    let mut answers = Vec::new();
    for n in 0..90 {
        answers.push(sign_in_from(&stranger, ALICE, WRONG, &format!("198.51.100.{}", n / 3)).await);
    }
    assert!(
        answers[..20].iter().all(|a| a == "WRONG_CREDENTIALS_ERROR"),
        "{answers:?}"
    );
    let later = &answers[60..];
    assert!(
        later.iter().filter(|a| *a == "WRONG_CREDENTIALS_ERROR").count() <= later.len() / 3,
        "{later:?}"
    );
    // Where she is signed in she signs in at once; and elsewhere with the first try of a quarter of an hour.
    assert_eq!(sign_in_from(&stranger, ALICE, PASSWORD, "192.0.2.1").await, "OK");
    for n in 0..90 {
        sign_in_from(&stranger, ALICE, WRONG, &format!("203.0.113.{}", n / 3)).await;
    }
    assert_eq!(
        sign_in_from(&stranger, ALICE, WRONG, "192.0.2.77").await,
        "WRONG_CREDENTIALS_ERROR"
    );
    assert_eq!(
        sign_in_from(&stranger, ALICE, PASSWORD, "192.0.2.77").await,
        "GENERAL_ERROR"
    );
    server.moved(15 * 60).await;
    assert_eq!(sign_in_from(&stranger, ALICE, PASSWORD, "192.0.2.77").await, "OK");
    // Her second factor was never touched by any of it.
    let mut again = server.client(Mode::Header);
    again.extra = vec![("x-forwarded-for".to_owned(), "192.0.2.78".to_owned())];
    assert_eq!(again.sign_in(ALICE).await.status_field(), "OK");
    again.complete(&server, PHONE).await;
}

/// Whoever signs in by codes has nothing else to sign in by: strangers must not use up what goes to that contact.
#[tokio::test(flavor = "multi_thread")]
async fn a_rl_06_strangers_do_not_use_up_the_codes_of_an_owner_at_home() {
    for (factor, contact) in [
        (FactorId::OTP_PHONE, json!({ "phoneNumber": PHONE })),
        (FactorId::OTP_EMAIL, json!({ "email": ALICE })),
    ] {
        let server = Server::start_with(|settings| {
            settings.trusted_proxies = vec!["127.0.0.1".to_owned()];
            settings.first_factors = vec![factor.clone()];
            settings.second_factors = match factor == FactorId::OTP_PHONE {
                true => vec![FactorId::OTP_EMAIL],
                false => vec![FactorId::OTP_PHONE],
            };
        })
        .await;
        let ask_from = async |address: &str| {
            let from = [("x-forwarded-for", address)];
            let client = server.client(Mode::Header);
            let answer = client
                .peek("POST", "/auth/signinup/code", Some(&contact), &from)
                .await;
            answer.status_field()
        };
        let mut home = server.client(Mode::Header);
        home.extra = vec![("x-forwarded-for".to_owned(), "192.0.2.1".to_owned())];
        let sent = home.post("/auth/signinup/code", contact.clone()).await;
        let code = server.code().await;
        let signed_in = home.consume(&sent.json(), &code).await;
        assert_eq!(signed_in.status_field(), "OK", "{signed_in:?}");

        // From everywhere, as far as the contact's budget goes.
        for n in 0..6 {
            ask_from(&format!("198.51.100.{n}")).await;
        }
        assert_eq!(ask_from("203.0.113.1").await, "GENERAL_ERROR");
        // Where its owner is signed in there is another one, and it ends as well.
        for _ in 0..3 {
            assert_eq!(ask_from("192.0.2.1").await, "OK");
        }
        assert_eq!(ask_from("192.0.2.1").await, "GENERAL_ERROR");
        // Once she is signed out there is no home, and her neighbors are strangers like all others.
        server.moved(11 * 60).await;
        assert_eq!(home.refresh().await.status, 200);
        assert_eq!(home.sign_out().await.status_field(), "OK");
        for n in 0..6 {
            ask_from(&format!("198.51.100.{n}")).await;
        }
        assert_eq!(ask_from("192.0.2.1").await, "GENERAL_ERROR");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rl_08_a_name_that_looks_like_an_address_has_a_count_of_its_own() {
    let site = Own::start(MemoryStore::new()).await;
    site.client(Mode::Cookie).sign_up(ALICE).await;
    let alice = site.user(ALICE).await.unwrap();
    let mallory = site.client(Mode::Cookie);
    // The application's own users are called as they like: like her address, like her id, like our own labels.
    for name in [
        ALICE.to_owned(),
        alice.id.to_string(),
        format!("user:{}", alice.id),
        format!("mail:{ALICE}"),
    ] {
        site.moved(3_600);
        for n in 0..7 {
            let answer = mallory
                .peek("POST", "/login", Some(&login(&name, WRONG)), &[])
                .await;
            assert_eq!(answer.status, if n < 5 { 401 } else { 429 }, "{name} {n}");
        }
        let answer = site.client(Mode::Cookie).sign_in(ALICE).await;
        assert_eq!(answer.status_field(), "OK", "{name}: {answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rl_09_counters_are_digests_and_are_swept_when_they_are_over() {
    let server = behind_a_proxy().await;
    let stranger = server.client(Mode::Cookie);
    for n in 0..40 {
        let email = format!("nobody-{n}@example.com");
        sign_in_from(&stranger, &email, WRONG, &format!("198.51.{n}.1")).await;
        is_told(&stranger, &[("x-forwarded-for", &format!("198.51.{n}.2"))]).await;
    }
    let names = "SELECT name FROM stepup_counter";
    let rows: Vec<String> = database::ask(&server.database(), names)
        .await
        .iter()
        .map(|row| row.get(0))
        .collect();
    // A few for each try, each of them as long as the last one, and none that shows whom it counts.
    assert!(rows.len() <= 40 * 7, "{}", rows.len());
    for name in &rows {
        assert!(
            name.len() <= 64 && !name.contains('@') && !name.contains("198."),
            "{name}"
        );
    }
    let distinct: BTreeSet<&String> = rows.iter().collect();
    assert_eq!(distinct.len(), rows.len());
    let count = async || database::count(&server.database(), "SELECT count(*) FROM stepup_counter").await;
    // What a minute or an hour bounds goes with it; an account's failures are remembered for half a year.
    server.moved(2 * 24 * 3_600).await;
    let kept = count().await;
    assert!(kept <= 40 * 2, "{kept}");
    for _ in 0..61 {
        // In steps, since signing keys are made as time goes by.
        server.moved(3 * 24 * 3_600).await;
    }
    assert_eq!(count().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_throttled_says_so_in_the_shape_of_its_endpoint_and_how_long_to_wait() {
    let server = Server::start().await;
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    for _ in 0..2 {
        alice.create_code(PHONE).await;
    }
    let refused = alice.create_code(PHONE).await;
    assert_eq!(
        (refused.status, refused.status_field().as_str()),
        (200, "GENERAL_ERROR")
    );
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=24 * 3_600).contains(&wait), "{wait}");
}
