//! Rows A-OTP: replay, races and guessing of one-time codes.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac as _};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::Row;
use stepup::sqlite::SqliteStore;
use stepup::{TenantId, UserId};
use stepup_core::id::{ChallengeId, SessionHandle};
use stepup_core::record::challenge::{Answer, Binding};
use stepup_core::secret::Mac;
use stepup_core::storage::memory::MemoryStore;
use stepup_core::storage::{ChallengeStore, Flows};
use stepup_core::time::Timestamp;
use stepup_testkit::faults::{FaultyStore, When};
use tempfile::TempDir;
use tokio::sync::Barrier;

use super::database::{self, Still};
use super::own::Own;
use crate::kit::{
    Client, MODES, Mode, OTHER_PHONE, PASSWORD, PHONE, Response, Server, answer, form, full, half, wrong,
};

const ALICE: &str = "alice@example.com";
const MALLORY: &str = "mallory@example.com";
const RESTART: &str = "RESTART_FLOW_ERROR";
const INCORRECT: &str = "INCORRECT_USER_INPUT_CODE_ERROR";
const EXPIRED: &str = "EXPIRED_USER_INPUT_CODE_ERROR";
const CONSUME: &str = "/auth/signinup/code/consume";

async fn enrolled(server: &Server, email: &str, phone: &str) {
    full(server, Mode::Cookie, email, phone).await.sign_out().await;
    server.moved(3_700).await;
}

async fn s1(server: &Server, mode: Mode, email: &str) -> Client {
    let mut client = server.client(mode);
    let response = client.sign_in(email).await;
    assert_eq!(response.status_field(), "OK", "{response:?}");
    client
}

async fn asked(server: &Server, client: &mut Client, phone: &str) -> (Value, String) {
    let created = client.create_code(phone).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    (created.json(), server.code().await)
}

fn counted(status: &str, failed: u32) -> Value {
    json!({ "status": status, "failedCodeInputAttemptCount": failed, "maximumCodeInputAttempts": 5 })
}

fn is_throttled(response: &Response) -> bool {
    response.status == 200
        && response.status_field() == "GENERAL_ERROR"
        && response.header("retry-after").is_some()
}

fn assert_throttled(response: &Response) {
    assert!(is_throttled(response), "{response:?}");
    assert_eq!(response.message(), "Too many attempts. Please try again later.");
    assert!(response.touches_no_token());
}

/// Sends bodies at once, each from a task of its own, started by a barrier, in turn to each of the servers.
async fn burst(client: &Client, servers: &[&Server], bodies: Vec<Value>) -> Vec<Response> {
    let barrier = Arc::new(Barrier::new(bodies.len()));
    let tasks: Vec<_> = bodies
        .into_iter()
        .zip(servers.iter().cycle())
        .map(|(body, server)| {
            let mut sender = Client::at(server.address, client.mode);
            (sender.cookies, sender.access) = (client.cookies.clone(), client.access.clone());
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                sender.peek("POST", CONSUME, Some(&body), &[]).await
            })
        })
        .collect();
    let mut responses = Vec::new();
    for task in tasks {
        responses.push(task.await.unwrap());
    }
    responses
}

// A-OTP-01, A-OTP-02, A-OTP-03

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_01_a_code_that_was_used_is_gone() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        let mut alice = s1(&server, mode, ALICE).await;
        let mut other = s1(&server, mode, ALICE).await;
        let (created, code) = asked(&server, &mut alice, PHONE).await;
        assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
        let still = Still::of(&server).await;
        for client in [&mut alice, &mut other] {
            let again = client.consume(&created, &code).await;
            assert_eq!(again.json(), json!({ "status": RESTART }));
            assert!(again.touches_no_token());
        }
        still.holds(&server).await;
        assert_eq!(other.get("/api/secret").await.status, 403);
        let file = server.database();
        assert_eq!(
            database::count(&file, "SELECT count(*) FROM stepup_session WHERE class = 'full'").await,
            1
        );
        // A restart of the process remembers it as well.
        let server = server.restart().await;
        let mut again = Client::at(server.address, mode);
        (again.cookies, again.access) = (alice.cookies.clone(), alice.access.clone());
        let response = again
            .peek("POST", CONSUME, Some(&answer(&created, &code)), &[])
            .await;
        assert_ne!(response.status_field(), "OK", "{response:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_02_of_many_answers_with_the_right_code_one_succeeds() {
    let server = Server::start().await;
    for round in 0..4 {
        let mode = MODES[round % 2];
        let email = format!("alice{round}@example.com");
        let phone = format!("+4179123456{round}");
        enrolled(&server, &email, &phone).await;
        let mut alice = s1(&server, mode, &email).await;
        let (created, code) = asked(&server, &mut alice, &phone).await;
        let second = server.second().await;
        let responses = burst(&alice, &[&server, &second], vec![answer(&created, &code); 32]).await;
        let won: Vec<&Response> = responses.iter().filter(|r| r.status_field() == "OK").collect();
        assert_eq!(
            won.len(),
            1,
            "{:?}",
            responses.iter().map(Response::status_field).collect::<Vec<_>>()
        );
        for lost in responses.iter().filter(|r| r.status_field() != "OK") {
            assert!(lost.status_field() == RESTART || is_throttled(lost), "{lost:?}");
            assert!(lost.touches_no_token(), "{lost:?}");
        }
        alice.absorb(won[0]);
        assert_eq!(alice.get("/api/secret").await.status, 200);
        let sessions = format!(
            "SELECT count(*) FROM stepup_session WHERE user_id = '{}'",
            alice.user_id()
        );
        assert_eq!(database::count(&server.database(), &sessions).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_03_parallel_guesses_do_not_beat_the_counter() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        let mut alice = s1(&server, mode, ALICE).await;
        let (created, code) = asked(&server, &mut alice, PHONE).await;
        let guesses: Vec<Value> = (0..200u32)
            .map(|n| format!("{n:06}"))
            .map(|guess| answer(&created, if guess == code { "999999" } else { guess.as_str() }))
            .collect();
        let second = server.second().await;
        let responses = burst(&alice, &[&server, &second], guesses).await;
        // Whoever was compared was told so: wrong, or wrong and the last one.
        let compared = responses
            .iter()
            .filter(|r| r.status_field() == INCORRECT || r.status_field() == RESTART)
            .count();
        assert_eq!(compared, 5, "{compared} were compared");
        let mut told: Vec<i64> = responses
            .iter()
            .filter_map(|r| r.json()["failedCodeInputAttemptCount"].as_i64())
            .collect();
        told.sort_unstable();
        assert_eq!(told, [1, 2, 3, 4]);
        assert_eq!(responses.iter().filter(|r| is_throttled(r)).count(), 195);
        let file = server.database();
        assert_eq!(
            database::count(
                &file,
                "SELECT failed FROM stepup_challenge WHERE purpose NOT LIKE 'link:%'"
            )
            .await,
            5
        );
        assert_eq!(
            database::count(
                &file,
                "SELECT closed FROM stepup_challenge WHERE purpose NOT LIKE 'link:%'"
            )
            .await,
            1
        );
        for label in ["2f", "2f-all"] {
            assert_eq!(database::tally(&file, label).await, 5, "{label}");
        }
        assert_throttled(&alice.consume(&created, &code).await);
        server.moved(31).await;
        assert_eq!(
            alice.consume(&created, &code).await.json(),
            json!({ "status": RESTART })
        );
        assert_eq!(alice.get("/api/secret").await.status, 403);
    }
}

// A-OTP-04 to A-OTP-08: the count is the account's

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_04_a_new_code_does_not_reset_the_count() {
    let server = Server::start_with(|settings| settings.trusted_proxies = vec!["127.0.0.1".to_owned()]).await;
    enrolled(&server, ALICE, PHONE).await;
    let mut thief = s1(&server, Mode::Cookie, ALICE).await;
    let mut tried = 0;
    for round in 0..3 {
        thief.extra = vec![("x-forwarded-for".to_owned(), format!("198.51.{round}.7"))];
        let (created, code) = asked(&server, &mut thief, PHONE).await;
        for guess in 0..4 {
            thief.extra = vec![("x-forwarded-for".to_owned(), format!("203.0.{round}.{guess}"))];
            let response = thief.consume(&created, &wrong(&code)).await;
            if tried < 5 {
                assert_eq!(response.json(), counted(INCORRECT, guess + 1), "{tried}");
            } else {
                assert_throttled(&response);
            }
            tried += 1;
        }
        if tried >= 8 {
            assert_throttled(&thief.consume(&created, &code).await);
        }
    }
    assert_eq!(database::tally(&server.database(), "2f").await, 5);
    assert_eq!(thief.get("/api/secret").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_05_a_new_sign_in_does_not_reset_the_count() {
    let server = Server::start_with(|settings| settings.trusted_proxies = vec!["127.0.0.1".to_owned()]).await;
    enrolled(&server, ALICE, PHONE).await;
    // Two at a time, and one after the other.
    let mut tried = 0;
    for round in 0..3 {
        let mut one = s1(&server, Mode::Cookie, ALICE).await;
        let mut two = s1(&server, Mode::Header, ALICE).await;
        one.extra = vec![("x-forwarded-for".to_owned(), format!("198.51.100.{round}"))];
        two.extra = vec![("x-forwarded-for".to_owned(), format!("203.0.113.{round}"))];
        let (created, code) = asked(&server, &mut one, PHONE).await;
        for guess in 0..2 {
            let response = one.consume(&created, &wrong(&code)).await;
            if tried < 5 {
                assert_eq!(response.json(), counted(INCORRECT, guess + 1));
            } else {
                assert_throttled(&response);
            }
            tried += 1;
            let response = two.consume(&created, &wrong(&code)).await;
            if tried < 5 {
                assert_eq!(response.json(), json!({ "status": RESTART }));
            } else {
                assert_throttled(&response);
            }
            tried += 1;
        }
        if round > 0 {
            assert_throttled(&one.consume(&created, &code).await);
        }
        one.sign_out().await;
        two.sign_out().await;
    }
    assert_eq!(database::tally(&server.database(), "2f").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_06_a_resend_does_not_reset_the_count_of_its_challenge() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        let mut alice = s1(&server, mode, ALICE).await;
        let (created, first) = asked(&server, &mut alice, PHONE).await;
        for n in 1..=4 {
            let response = alice.consume(&created, &wrong(&first)).await;
            assert_eq!(response.json(), counted(INCORRECT, n));
        }
        server.moved(16).await;
        assert_eq!(alice.resend(&created).await.status_field(), "OK");
        let second = server.code().await;
        let fifth = if wrong(&second) == first {
            wrong(&first)
        } else {
            wrong(&second)
        };
        assert_eq!(
            alice.consume(&created, &fifth).await.json(),
            json!({ "status": RESTART })
        );
        let sent = server.codes_sent().await;
        server.moved(40).await;
        assert_eq!(alice.resend(&created).await.json(), json!({ "status": RESTART }));
        for code in [&first, &second] {
            assert_eq!(alice.consume(&created, code).await.status_field(), RESTART);
            server.moved(70).await;
        }
        assert_eq!(server.codes_sent().await, sent);
        assert_eq!(alice.get("/api/secret").await.status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_07_time_gives_one_guess_a_delay_and_never_the_count_back() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    let mut alice = s1(&server, Mode::Cookie, ALICE).await;
    let user = UserId::from(alice.user_id());
    // A challenge that is gone is a guess like any other, and needs no message.
    let (created, code) = asked(&server, &mut alice, PHONE).await;
    assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
    let guess = async |client: &mut Client| client.consume(&created, &code).await;
    for _ in 0..5 {
        assert_eq!(guess(&mut alice).await.status_field(), RESTART);
    }
    for n in 5..50u32 {
        let delay = (30u64 << (n - 5).min(20)).min(3_600);
        let mut client = s1(&server, Mode::Header, ALICE).await;
        let early = guess(&mut client).await;
        assert_throttled(&early);
        let wait: u64 = early.header("retry-after").unwrap().parse().unwrap();
        assert!(wait <= delay && wait + 3 >= delay, "after {n}: {wait} of {delay}");
        server.moved(u32::try_from(delay).unwrap()).await;
        let mut client = s1(&server, Mode::Header, ALICE).await;
        let response = guess(&mut client).await;
        assert_eq!(response.status_field(), RESTART, "after {n}: {response:?}");
        assert_throttled(&guess(&mut client).await);
    }
    assert_eq!(database::tally(&server.database(), "2f").await, 50);
    // Suspended: no delay ends it, the right code neither.
    for days in [1, 30] {
        server.moved(days * 24 * 3600).await;
        let mut client = s1(&server, Mode::Header, ALICE).await;
        let (created, code) = asked(&server, &mut client, PHONE).await;
        assert_throttled(&client.consume(&created, &code).await);
        assert_eq!(client.get("/api/secret").await.status, 403);
    }
    server
        .site
        .stepup
        .forgive_failures(&TenantId::public(), &user)
        .await
        .unwrap();
    server.moved(700).await;
    s1(&server, Mode::Header, ALICE)
        .await
        .complete(&server, PHONE)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_08_the_account_has_one_count_for_all_factors_beside_that_of_each() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    let mut alice = s1(&server, Mode::Cookie, ALICE).await;
    let (created, code) = asked(&server, &mut alice, PHONE).await;
    for _ in 0..4 {
        alice.consume(&created, &wrong(&code)).await;
    }
    let file = server.database();
    assert_eq!(
        (
            database::tally(&file, "2f").await,
            database::tally(&file, "2f-all").await
        ),
        (4, 4)
    );
    // The count of all factors alone stops this one too.
    database::run(&server, "DELETE FROM stepup_counter WHERE name LIKE '2f:%'").await;
    assert_eq!(
        alice.consume(&created, &wrong(&code)).await.status_field(),
        RESTART
    );
    assert_eq!(
        (
            database::tally(&file, "2f").await,
            database::tally(&file, "2f-all").await
        ),
        (1, 5)
    );
    assert_throttled(&alice.consume(&created, &code).await);
    server.moved(31).await;
    let (created, code) = asked(&server, &mut alice, PHONE).await;
    assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
    // Only success clears them, and it clears both.
    assert_eq!(
        (
            database::tally(&file, "2f").await,
            database::tally(&file, "2f-all").await
        ),
        (0, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_07_the_owner_is_told_once_of_wrong_codes_after_the_right_password() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    let mut mallory = s1(&server, Mode::Header, ALICE).await;
    let (created, code) = asked(&server, &mut mallory, PHONE).await;
    let told = async || {
        server.moved(1).await;
        let sent = server.sent().await;
        let told = sent.iter().filter(|m| m.kind == "factor_guessed");
        told.map(|m| m.to.clone()).collect::<Vec<_>>()
    };
    for _ in 0..4 {
        mallory.consume(&created, &wrong(&code)).await;
    }
    assert_eq!(told().await, Vec::<String>::new());
    mallory.consume(&created, &wrong(&code)).await;
    // By the other channel: the phone is what is being guessed at.
    assert_eq!(told().await, [ALICE]);
    server.moved(31).await;
    mallory.consume(&created, &wrong(&code)).await;
    assert_eq!(told().await, [ALICE], "a series is told of once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_09_one_guess_at_each_of_many_accounts_ends_in_a_throttled_network() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    let mut alice = s1(&server, Mode::Cookie, ALICE).await;
    let (created, code) = asked(&server, &mut alice, PHONE).await;
    let mut others = Vec::new();
    for n in 0..20 {
        let mut other = server.client(Mode::Header);
        let response = other.sign_up(&format!("user{n}@example.com")).await;
        assert_eq!(response.status_field(), "OK", "{response:?}");
        others.push(other);
    }
    for other in &mut others {
        // To a challenge of somebody else: a guess like any other.
        assert_eq!(other.consume(&created, &code).await.status_field(), RESTART);
    }
    assert_throttled(&others[0].consume(&created, &code).await);
    assert_throttled(&alice.consume(&created, &code).await);
    server.moved(61).await;
    assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
}

// A-OTP-10, A-OTP-11: how long a code lives

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_10_the_fourth_newest_code_is_dead_and_the_tries_are_shared() {
    let server = Server::start().await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let (created, first) = asked(&server, &mut alice, PHONE).await;
    let mut codes = vec![first];
    for pause in [16, 31] {
        server.moved(pause).await;
        assert_eq!(alice.resend(&created).await.status_field(), "OK");
        codes.push(server.code().await);
    }
    for pause in [180, 190, 190] {
        server.moved(pause).await;
        assert_eq!(alice.refresh().await.status, 200);
    }
    assert_eq!(alice.resend(&created).await.status_field(), "OK");
    codes.push(server.code().await);
    let mut distinct = codes.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(
        distinct.len(),
        4,
        "a coincidence of one in a hundred thousand: run it again"
    );
    // Evicted: a wrong code. Kept but old: expired. All of them count.
    assert_eq!(
        alice.consume(&created, &codes[0]).await.json(),
        counted(INCORRECT, 1)
    );
    assert_eq!(
        alice.consume(&created, &codes[1]).await.json(),
        counted(EXPIRED, 2)
    );
    assert_eq!(
        alice.consume(&created, &codes[2]).await.json(),
        counted(EXPIRED, 3)
    );
    assert_eq!(alice.consume(&created, &codes[3]).await.status_field(), "OK");
    for code in &codes {
        assert_eq!(
            alice.consume(&created, code).await.json(),
            json!({ "status": RESTART })
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_10_of_three_live_codes_one_success_kills_all() {
    for used in 0..3 {
        let server = Server::start().await;
        let mut alice = half(&server, Mode::Cookie, ALICE).await;
        let (created, first) = asked(&server, &mut alice, PHONE).await;
        let mut codes = vec![first];
        for pause in [16, 31] {
            server.moved(pause).await;
            assert_eq!(alice.resend(&created).await.status_field(), "OK");
            codes.push(server.code().await);
        }
        assert_eq!(
            alice.consume(&created, &codes[used]).await.status_field(),
            "OK",
            "code {used}"
        );
        for code in &codes {
            assert_eq!(
                alice.consume(&created, code).await.json(),
                json!({ "status": RESTART })
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_11_a_code_is_good_a_second_before_its_end_and_expired_a_second_after() {
    for mode in MODES {
        for (seconds, status) in [(299, "OK"), (300, EXPIRED), (301, EXPIRED)] {
            let site = Own::start(MemoryStore::new()).await;
            let (mut alice, created, code) = site.asked(mode, ALICE, PHONE).await;
            site.moved(200);
            assert_eq!(alice.refresh().await.status, 200);
            site.moved(seconds - 200);
            if status == EXPIRED {
                // Expired is said of the right code only.
                let other = alice.consume(&created, &wrong(&code)).await;
                assert_eq!(other.json(), counted(INCORRECT, 1));
                let response = alice.consume(&created, &code).await;
                assert_eq!(response.json(), counted(EXPIRED, 2), "at {seconds} s");
                assert_eq!(alice.get("/secret").await.status, 403);
                // It was charged like any other.
                for n in 3..5 {
                    assert_eq!(alice.consume(&created, &code).await.json(), counted(EXPIRED, n));
                }
                assert_eq!(
                    alice.consume(&created, &code).await.json(),
                    json!({ "status": RESTART })
                );
                assert_throttled(&alice.consume(&created, &code).await);
            } else {
                assert_eq!(
                    alice.consume(&created, &code).await.status_field(),
                    status,
                    "at {seconds} s"
                );
            }
        }
    }
}

// A-OTP-13

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_13_a_code_answers_its_own_purpose_session_and_user_only() {
    let folder = tempfile::tempdir().unwrap();
    let site = on_a_file(&folder).await;
    let (alice, created, _) = site.asked(Mode::Header, ALICE, PHONE).await;
    let rows = database::ask(&file(&folder), "SELECT mac1, purpose FROM stepup_challenge").await;
    let mac = Mac::new(rows[0].get::<Vec<u8>, _>(0).try_into().unwrap());
    let right = Binding {
        purpose: rows[0].get(1),
        user: UserId::from(alice.user_id()),
        session: SessionHandle::from(alice.handle()),
    };
    let id = ChallengeId::from(created["preAuthSessionId"].as_str().unwrap());
    let now = site.stepup.now();
    let store = &site.store;
    let public = TenantId::public();
    let mut elsewhere = Vec::new();
    for purpose in [
        "first:otp-phone",
        "verify:email",
        "reset",
        "step-up",
        "second:otp-email",
        "second:OTP-PHONE",
        "",
    ] {
        elsewhere.push((
            public.clone(),
            Binding {
                purpose: purpose.to_owned(),
                ..right.clone()
            },
        ));
    }
    elsewhere.push((
        public.clone(),
        Binding {
            user: "somebody".into(),
            ..right.clone()
        },
    ));
    elsewhere.push((
        public.clone(),
        Binding {
            session: "another".into(),
            ..right.clone()
        },
    ));
    elsewhere.push((TenantId::from("t1"), right.clone()));
    for (tenant, binding) in &elsewhere {
        let answer = store
            .answer(tenant, &id, binding, std::slice::from_ref(&mac), now)
            .await
            .unwrap();
        assert_eq!(answer, Answer::Gone, "{binding:?}");
    }
    let answer = store.answer(&public, &id, &right, &[mac], now).await.unwrap();
    assert_eq!(answer, Answer::Right);
}

// A-OTP-15

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_15_no_answer_contains_a_code() {
    for mode in MODES {
        let server = Server::start().await;
        let mut said: Vec<Response> = Vec::new();
        let mut alice = server.client(mode);
        said.push(alice.sign_up(ALICE).await);
        said.push(alice.call("PUT", "/auth/mfa/info", None, &[]).await);
        let created = alice.create_code(PHONE).await;
        said.push(created.clone());
        let created = created.json();
        let first = server.code().await;
        said.push(alice.create_code("nonsense").await);
        said.push(alice.resend(&created).await);
        server.moved(16).await;
        said.push(alice.resend(&created).await);
        let second = server.code().await;
        said.push(alice.consume(&created, &wrong(&second)).await);
        said.push(
            alice
                .post(CONSUME, json!({ "userInputCode": second, "deviceId": 1 }))
                .await,
        );
        said.push(alice.post(CONSUME, json!({ "userInputCode": second })).await);
        said.push(
            alice
                .call(
                    "POST",
                    CONSUME,
                    Some(answer(&created, &second)),
                    &[("content-type", "text/plain")],
                )
                .await,
        );
        said.push(server.client(mode).post(CONSUME, answer(&created, &second)).await);
        said.push(
            alice
                .call("GET", &format!("{CONSUME}?userInputCode={second}"), None, &[])
                .await,
        );
        said.push(alice.consume(&created, &second).await);
        said.push(alice.consume(&created, &second).await);
        for path in [
            "/api/me",
            "/api/secret",
            "/api/optional",
            "/healthz",
            "/auth/jwt/jwks.json",
        ] {
            said.push(alice.get(path).await);
        }
        said.push(alice.refresh().await);
        said.push(alice.sign_out().await);
        let codes = [first, second];
        for response in &said {
            let front = response
                .header("front-token")
                .and_then(|token| STANDARD.decode(token).ok())
                .unwrap_or_default();
            let texts = response.headers.iter().map(|(_, value)| value.clone()).chain([
                String::from_utf8_lossy(&response.body).into_owned(),
                String::from_utf8_lossy(&front).into_owned(),
            ]);
            for text in texts {
                for code in &codes {
                    assert!(!text.contains(code.as_str()), "{code} in {text}");
                }
            }
        }
        assert!(said.len() > 20);
    }
}

// A-OTP-17

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_17_the_host_of_a_request_stands_in_no_message() {
    let server = Server::start().await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let evil = [
        ("host", "evil.test"),
        ("x-forwarded-host", "evil.test"),
        ("forwarded", "host=evil.test;proto=https"),
        ("x-original-host", "evil.test"),
    ];
    let body = json!({ "phoneNumber": PHONE });
    let created = alice.call("POST", "/auth/signinup/code", Some(body), &evil).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    let message = server.sent().await.pop().unwrap();
    assert!(!message.body.contains("evil"), "{}", message.body);
    assert!(
        message
            .body
            .ends_with(&format!("@localhost #{}", message.code.unwrap())),
        "{}",
        message.body
    );
    assert!(
        created.headers.iter().all(|(_, value)| !value.contains("evil")),
        "{created:?}"
    );
}

// A-OTP-20 to A-OTP-23

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_20_half_a_pair_of_ids_is_none() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    let mut mallory = half(&server, Mode::Cookie, MALLORY).await;
    let (hers, _) = asked(&server, &mut mallory, OTHER_PHONE).await;
    let mut alice = s1(&server, Mode::Cookie, ALICE).await;
    let (created, code) = asked(&server, &mut alice, PHONE).await;
    let still = Still::of(&server).await;
    let device = created["deviceId"].as_str().unwrap();
    let bytes = STANDARD.decode(device).unwrap();
    let devices = [
        URL_SAFE_NO_PAD.encode(&bytes),
        device.trim_end_matches('=').to_owned(),
        format!("{device}="),
        format!(" {device}"),
        format!("{device}\n"),
        device.to_lowercase(),
        STANDARD.encode([&bytes[..], b"x"].concat()),
    ];
    for other in devices.iter().filter(|d| *d != device) {
        let mut body = answer(&created, &code);
        body["deviceId"] = json!(other);
        let response = alice.post(CONSUME, body).await;
        assert_eq!(response.status, 400, "{other}: {response:?}");
    }
    let id = created["preAuthSessionId"].as_str().unwrap();
    let ids = [
        hers["preAuthSessionId"].as_str().unwrap().to_owned(),
        id.to_uppercase(),
        format!("{id}A"),
        id[..id.len() - 1].to_owned(),
        STANDARD
            .encode(URL_SAFE_NO_PAD.decode(id).unwrap())
            .replace('=', "%3D"),
        String::new(),
    ];
    for other in &ids {
        let mut body = answer(&created, &code);
        body["preAuthSessionId"] = json!(other);
        let response = alice.post(CONSUME, body).await;
        assert_eq!(response.status, 400, "{other}: {response:?}");
    }
    still.holds(&server).await;
    assert_eq!(database::tally(&server.database(), "2f").await, 0);
    // The padded spelling is the same bytes, and what some clients send.
    let mut body = answer(&created, &code);
    body["preAuthSessionId"] = json!(URL_SAFE.encode(URL_SAFE_NO_PAD.decode(id).unwrap()));
    assert_eq!(alice.post(CONSUME, body).await.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_21_a_session_that_must_refresh_first_burns_no_code() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        let mut alice = s1(&server, mode, ALICE).await;
        server.moved(100).await;
        let (created, code) = asked(&server, &mut alice, PHONE).await;
        for seconds in [115, 60] {
            // With less than 30 s to live, and past its end.
            server.moved(seconds).await;
            let response = alice.consume(&created, &code).await;
            assert_eq!(
                (response.status, response.message().as_str()),
                (401, "try refresh token"),
                "{response:?}"
            );
            assert!(response.touches_no_token());
        }
        assert_eq!(database::tally(&server.database(), "2f").await, 0);
        assert_eq!(alice.refresh().await.status, 200);
        assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_22_nobody_else_resends() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        enrolled(&server, MALLORY, OTHER_PHONE).await;
        let mut alice = s1(&server, mode, ALICE).await;
        let (created, code) = asked(&server, &mut alice, PHONE).await;
        let mut mallory = s1(&server, mode, MALLORY).await;
        mallory.complete(&server, OTHER_PHONE).await;
        server.moved(16).await;
        let still = Still::of(&server).await;
        let response = server.client(mode).resend(&created).await;
        assert_eq!(
            (response.status, response.message().as_str()),
            (401, "unauthorised")
        );
        assert_eq!(
            mallory.resend(&created).await.json(),
            json!({ "status": RESTART })
        );
        still.holds(&server).await;
        assert_eq!(alice.resend(&created).await.status_field(), "OK");
        assert_eq!(server.sent().await.last().unwrap().to, PHONE);
        assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_23_the_id_of_a_challenge_alone_is_worth_nothing() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        let mut alice = s1(&server, mode, ALICE).await;
        let (created, code) = asked(&server, &mut alice, PHONE).await;
        server.moved(16).await;
        let still = Still::of(&server).await;
        let known = created["preAuthSessionId"].clone();
        let invented = json!(URL_SAFE_NO_PAD.encode([7; 32]));
        for (path, body) in [
            (CONSUME, json!({ "userInputCode": code })),
            (CONSUME, json!({ "linkCode": code })),
            (CONSUME, json!({ "linkCode": created["deviceId"] })),
            ("/auth/signinup/code/resend", json!({})),
        ] {
            let mut answers = Vec::new();
            for id in [&known, &invented] {
                let mut body = body.clone();
                body["preAuthSessionId"] = id.clone();
                for client in [alice.clone(), server.client(mode)] {
                    let response = client.peek("POST", path, Some(&body), &[]).await;
                    assert_ne!(response.status_field(), "OK", "{response:?}");
                    assert!(response.touches_no_token());
                    answers.push((response.status, response.body));
                }
            }
            assert_eq!(
                answers[..2],
                answers[2..],
                "{path}: a known id is told from an invented one"
            );
        }
        still.holds(&server).await;
        assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
    }
}

// A-OTP-24

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_24_a_stolen_database_gives_nobody_a_code() {
    let server = Server::start().await;
    let mut alice = half(&server, Mode::Cookie, ALICE).await;
    let (created, code) = asked(&server, &mut alice, PHONE).await;
    let rows = database::ask(
        &server.database(),
        "SELECT mac1, id, session, user_id, destination FROM stepup_challenge",
    )
    .await;
    assert_eq!(rows.len(), 1);
    let stored: Vec<u8> = rows[0].get(0);
    assert_eq!(stored.len(), 32);
    let device = STANDARD.decode(created["deviceId"].as_str().unwrap()).unwrap();
    let id: String = rows[0].get(1);
    assert_eq!(id, created["preAuthSessionId"].as_str().unwrap());
    // All that the row and the client know, alone and as a prefix, a suffix and a key.
    let mut salts: Vec<Vec<u8>> = vec![Vec::new(), device.clone(), id.clone().into_bytes()];
    salts.push(created["deviceId"].as_str().unwrap().as_bytes().to_vec());
    salts.push(rows[0].get::<String, _>(2).into_bytes());
    let found = tokio::task::spawn_blocking(move || {
        let prefixed: Vec<Sha256> = salts
            .iter()
            .map(|salt| Sha256::new().chain_update(salt))
            .collect();
        let keyed: Vec<Hmac<Sha256>> = salts
            .iter()
            .map(|salt| Hmac::new_from_slice(salt).unwrap())
            .collect();
        (0..1_000_000u32).find(|n| {
            let code = format!("{n:06}");
            prefixed
                .iter()
                .any(|h| h.clone().chain_update(&code).finalize()[..] == stored[..])
                || salts
                    .iter()
                    .any(|s| Sha256::new().chain_update(&code).chain_update(s).finalize()[..] == stored[..])
                || keyed
                    .iter()
                    .any(|h| h.clone().chain_update(&code).finalize().into_bytes()[..] == stored[..])
        })
    });
    assert_eq!(found.await.unwrap(), None);

    // Nor does it lie about in plain, in the file or in its log.
    for name in ["demo.sqlite", "demo.sqlite-wal"] {
        let bytes = std::fs::read(server.database().with_file_name(name)).unwrap_or_default();
        assert!(
            !bytes.windows(6).any(|window| window == code.as_bytes()),
            "{name}"
        );
        assert!(
            !bytes.windows(32).any(|window| window == &device[..]),
            "the device id in {name}"
        );
    }
    assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
}

// A-OTP-25, A-OTP-26

fn file(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("own.sqlite")
}

async fn store(folder: &TempDir) -> SqliteStore {
    let store = SqliteStore::connect(&format!("sqlite://{}?mode=rwc", file(folder).display()))
        .await
        .unwrap();
    store.migrate().await.unwrap();
    store
}

async fn on_a_file(folder: &TempDir) -> Own<SqliteStore> {
    Own::start(store(folder).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_25_no_failure_takes_its_count_back() {
    let folder = tempfile::tempdir().unwrap();
    let site = Own::start(FaultyStore::new(store(&folder).await)).await;
    let file = file(&folder);
    let (mut alice, created, code) = site.asked(Mode::Cookie, ALICE, PHONE).await;
    let expect = async |n: i64, after: &str| {
        for label in ["2f", "2f-all"] {
            assert_eq!(database::tally(&file, label).await, n, "{label} after {after}");
        }
    };
    assert_eq!(
        alice.consume(&created, &wrong(&code)).await.status_field(),
        INCORRECT
    );
    expect(1, "a wrong code").await;
    site.store.fail_verb("answer", When::Before);
    assert_eq!(alice.consume(&created, &code).await.status, 503);
    expect(2, "a store that failed before it compared").await;
    site.store.heal();
    site.store.fail_verb("complete_factor", When::Before);
    assert_eq!(alice.consume(&created, &code).await.status, 503);
    expect(3, "a right code whose completion was rolled back").await;
    site.store.heal();
    assert_eq!(alice.consume(&created, &code).await.status_field(), RESTART);
    expect(4, "a challenge that is gone").await;
    site.store.fail_verb("charge", When::After);
    assert_eq!(alice.consume(&created, &code).await.status, 503);
    expect(5, "a lost acknowledgement of the charge").await;
    site.store.heal();
    assert_throttled(&alice.consume(&created, &code).await);
    expect(5, "a refusal").await;

    // Passwords: right or wrong, what fails afterwards leaves the try counted.
    for n in 1..=3 {
        let response = site
            .client(Mode::Cookie)
            .post("/auth/signin", form(ALICE, "wrong horse battery"))
            .await;
        assert_eq!(response.status_field(), "WRONG_CREDENTIALS_ERROR");
        assert_eq!(database::tally(&file, "pw").await, n);
    }
    site.store.fail_verb("open_session", When::Before);
    assert_eq!(
        site.client(Mode::Cookie)
            .post("/auth/signin", form(ALICE, PASSWORD))
            .await
            .status,
        503
    );
    assert_eq!(database::tally(&file, "pw").await, 4);
    site.store.heal();
    assert_eq!(
        site.client(Mode::Cookie).sign_in(ALICE).await.status_field(),
        "OK"
    );
    assert_eq!(database::tally(&file, "pw").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_25_parallel_failures_are_all_counted() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    let mut alice = s1(&server, Mode::Cookie, ALICE).await;
    let (created, code) = asked(&server, &mut alice, PHONE).await;
    let second = server.second().await;
    let responses = burst(
        &alice,
        &[&server, &second],
        vec![answer(&created, &wrong(&code)); 4],
    )
    .await;
    assert!(
        responses.iter().all(|r| r.status_field() == INCORRECT),
        "{responses:?}"
    );
    let file = server.database();
    assert_eq!(
        (
            database::tally(&file, "2f").await,
            database::tally(&file, "2f-all").await
        ),
        (4, 4)
    );
    assert_eq!(
        database::count(
            &file,
            "SELECT failed FROM stepup_challenge WHERE purpose NOT LIKE 'link:%'"
        )
        .await,
        4
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_26_what_is_over_is_refused_though_nothing_sweeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let site = on_a_file(&folder).await;
    let (mut alice, created, code) = site.asked(Mode::Header, ALICE, PHONE).await;
    for seconds in [200, 200, 200, 200] {
        site.moved(seconds);
        assert_eq!(alice.refresh().await.status, 200);
    }
    assert_eq!(alice.consume(&created, &code).await.json(), counted(EXPIRED, 1));
    // The half-login ends after 15 min: token, refresh token and challenge with it.
    site.moved(111);
    assert_eq!(alice.get("/any").await.status, 401);
    let refused = alice.peek("POST", "/auth/session/refresh", None, &[]).await;
    assert_eq!(
        (refused.status, refused.message().as_str()),
        (401, "unauthorised"),
        "{refused:?}"
    );
    let consumed = alice
        .peek("POST", CONSUME, Some(&answer(&created, &code)), &[])
        .await;
    assert_eq!(consumed.status, 401, "{consumed:?}");
    // They are all still there: it was not the sweep that refused them.
    let file = file(&folder);
    assert_eq!(
        database::count(&file, "SELECT count(*) FROM stepup_challenge").await,
        1
    );
    assert_eq!(
        database::count(&file, "SELECT count(*) FROM stepup_session").await,
        1
    );

    // A complete session that was not refreshed for a week.
    let mut alice = site.client(Mode::Header);
    assert_eq!(alice.sign_in(ALICE).await.status_field(), "OK");
    let created = alice.create_code(PHONE).await.json();
    let code = site.code().await;
    assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
    site.moved(7 * 24 * 3600);
    assert_eq!(alice.refresh().await.status, 401);
    assert_eq!(
        database::count(&file, "SELECT count(*) FROM stepup_session WHERE class = 'full'").await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_26_a_sweep_takes_what_is_over_by_its_clock_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let site = on_a_file(&folder).await;
    let (mut alice, created, code) = site.asked(Mode::Header, ALICE, PHONE).await;
    let file = file(&folder);
    let left = async || {
        let challenges = database::count(&file, "SELECT count(*) FROM stepup_challenge").await;
        (
            challenges,
            database::count(&file, "SELECT count(*) FROM stepup_session").await,
        )
    };
    let now = site.stepup.now();
    let end = now.plus(Duration::from_secs(15 * 60));
    // By a clock behind, and up to the last millisecond.
    for at in [
        Timestamp::from_ms(0),
        now,
        now.plus(Duration::from_secs(301)),
        end.minus(Duration::from_millis(1)),
    ] {
        site.store.sweep(at, 1_000).await.unwrap();
        assert_eq!(left().await, (1, 1), "{at:?}");
    }
    assert_eq!(alice.get("/any").await.status, 200);
    // By a clock ahead it takes what is over then; that comes back with no clock.
    site.store.sweep(end, 1_000).await.unwrap();
    assert_eq!(left().await, (0, 0));
    assert_eq!(alice.consume(&created, &code).await.status, 401);
    assert_eq!(alice.refresh().await.status, 401);
    assert_eq!(alice.get("/secret").await.status, 401);
}
