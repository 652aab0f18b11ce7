//! Messages cost money and wake people up: who can make the site send them, to whom, and how many.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use stepup::delivery::Outbox;
use stepup::storage::memory::MemoryStore;
use stepup::wire::core::event::{Event, EventSink};
use stepup::{Channel, FactorId, Passwordless};
use stepup_core::background::{Background, Job, QueueFull, Repeat};
use stepup_testkit::faults::{FaultyStore, When};
use tokio::sync::Barrier;

use super::database::Still;
use super::own::Own;
use crate::kit::{Client, Mode, OTHER_PHONE, PHONE, Response, Server, full, half};

const ALICE: &str = "alice@example.com";
pub(super) const CREATE: &str = "/auth/signinup/code";

/// The names of the events.
#[derive(Clone, Debug, Default)]
pub(super) struct Events(Arc<Mutex<Vec<&'static str>>>);

impl EventSink for Events {
    fn record(&self, event: &Event) {
        self.0.lock().unwrap().push(event.kind.name());
    }
}

impl Events {
    pub(super) fn count(&self, name: &str) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|event| **event == name)
            .count()
    }
}

/// The demo where a phone also signs in, behind a proxy on this machine.
async fn by_phone(events: &Events) -> Server {
    let events = events.clone();
    Server::start_both(
        |settings| {
            settings.first_factors.push(FactorId::OTP_PHONE);
            settings.trusted_proxies = vec!["127.0.0.1".to_owned()];
        },
        move |builder| builder.events(events.clone()),
    )
    .await
}

pub(super) fn swiss(n: usize) -> String {
    format!("+41791{n:06}")
}

pub(super) fn german(n: usize) -> String {
    format!("+491511{n:07}")
}

/// For a session's second factor if there is one, for a sign-in otherwise.
pub(super) async fn ask(client: &Client, path: &str, phone: &str, from: &str) -> Response {
    let linking = client.access_token().is_some();
    let body = json!({ "phoneNumber": phone, "shouldTryLinkingWithSessionUser": linking });
    client
        .peek("POST", path, Some(&body), &[("x-forwarded-for", from)])
        .await
}

/// Whether it was sent; if not, it was said how long to wait.
#[track_caller]
pub(super) fn is_sent(answer: &Response) -> bool {
    assert_eq!(answer.status, 200, "{answer:?}");
    let sent = answer.status_field() == "OK";
    assert!(sent || answer.header("retry-after").is_some(), "{answer:?}");
    sent
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_01_one_network_has_ten_messages_an_hour_and_twenty_a_day() {
    let server = by_phone(&Events::default()).await;
    let mallory = server.client(Mode::Cookie);
    let mut sent = 0;
    for n in 0..100 {
        sent += usize::from(is_sent(&ask(&mallory, CREATE, &swiss(n), "198.51.100.1").await));
    }
    assert_eq!(sent, 10);
    // With accounts of her own it is the same budget.
    for n in 0..5 {
        let account = half(&server, Mode::Header, &format!("m{n}@example.com")).await;
        let answer = ask(&account, CREATE, &swiss(200 + n), "198.51.100.1").await;
        assert!(!is_sent(&answer));
    }
    for _ in 0..5 {
        server.moved(3_601).await;
        for n in 300..315 {
            sent += usize::from(is_sent(&ask(&mallory, CREATE, &swiss(n), "198.51.100.1").await));
        }
    }
    assert_eq!(sent, 20);
    assert_eq!(server.sent().await.len(), 20, "nothing else reached the carrier");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_02_a_country_that_nobody_answers_from_is_closed_and_others_are_not() {
    let events = Events::default();
    let server = by_phone(&events).await;
    let mallory = server.client(Mode::Cookie);
    let mut sent = 0;
    for n in 0..80 {
        let from = format!("198.51.{n}.1");
        sent += usize::from(is_sent(&ask(&mallory, CREATE, &swiss(n), &from).await));
    }
    assert_eq!(sent, 30);
    assert_eq!(server.sent().await.len(), 30);
    assert!(events.count("sms.breaker") >= 1);
    assert!(is_sent(&ask(&mallory, CREATE, &german(1), "198.51.100.9").await));
    // It opens again after an hour, if it does not look the same then.
    server.moved(3_601).await;
    assert!(is_sent(
        &ask(&mallory, CREATE, &swiss(100), "198.51.100.10").await
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_03_nothing_is_written_for_a_number_that_is_not_served() {
    let server = Server::start_with(|settings| {
        settings.first_factors.push(FactorId::OTP_PHONE);
        settings.sms_countries = Some(vec!["CH".to_owned(), "DE".to_owned()]);
    })
    .await;
    let stranger = server.client(Mode::Header);
    let account = half(&server, Mode::Header, ALICE).await;
    let still = Still::of(&server).await;
    let counters = server
        .number("SELECT coalesce(sum(tally), 0) FROM stepup_counter")
        .await;
    for phone in [
        // Another country, a satellite, the world, a premium rate, a shared cost, a fixed line, a service.
        "+447911123456",
        "+88213300000",
        "+882161234567",
        "+979123456789",
        "+19005550123",
        "+41900123456",
        "+41848123456",
        "+41442345678",
        "+41117",
        "+49115",
        "+80012345678",
        "+881612345678",
    ] {
        for client in [&stranger, &account] {
            let body = json!({ "phoneNumber": phone });
            let answer = client.peek("POST", CREATE, Some(&body), &[]).await;
            assert_eq!(answer.status, 200, "{phone}: {answer:?}");
            assert_ne!(answer.status_field(), "OK", "{phone}: {answer:?}");
        }
    }
    still.holds(&server).await;
    assert_eq!(
        server
            .number("SELECT coalesce(sum(tally), 0) FROM stepup_counter")
            .await,
        counters
    );
    let body = json!({ "phoneNumber": PHONE });
    assert_eq!(
        stranger
            .peek("POST", CREATE, Some(&body), &[])
            .await
            .status_field(),
        "OK"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_05_a_number_has_one_budget_over_accounts_tenants_and_purposes() {
    let server = Server::start_with(|settings| {
        settings.first_factors.push(FactorId::OTP_PHONE);
        settings.tenants = vec!["acme".to_owned()];
        settings.trusted_proxies = vec!["127.0.0.1".to_owned()];
    })
    .await;
    let mut sent = 0;
    for n in 0..16 {
        let from = format!("198.51.{n}.1");
        let mut client = server.client(Mode::Header);
        client.extra = vec![("x-forwarded-for".to_owned(), from.clone())];
        // A second factor of an account, a sign-in, and a sign-in to another tenant; spelled differently.
        let (path, phone) = match n % 4 {
            0 => {
                client.sign_up(&format!("a{n}@example.com")).await;
                (CREATE, PHONE.to_owned())
            }
            1 => (CREATE, format!("{} {}", &PHONE[..5], &PHONE[5..])),
            2 => ("/auth/acme/signinup/code", PHONE.to_owned()),
            _ => (CREATE, format!(" {PHONE} ")),
        };
        sent += usize::from(is_sent(&ask(&client, path, &phone, &from).await));
    }
    assert_eq!(sent, 3);
    assert_eq!(server.codes_sent().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_06_of_a_hundred_resends_at_once_one_sends() {
    let server = Server::start().await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let created = alice.create_code(PHONE).await.json();
    server.moved(16).await;
    let pair = json!({ "deviceId": created["deviceId"], "preAuthSessionId": created["preAuthSessionId"] });
    let barrier = Arc::new(Barrier::new(100));
    let tasks: Vec<_> = (0..100)
        .map(|_| {
            let (client, body, barrier) = (alice.clone(), pair.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                client
                    .peek("POST", "/auth/signinup/code/resend", Some(&body), &[])
                    .await
            })
        })
        .collect();
    let mut sent = 0;
    for task in tasks {
        let answer = task.await.unwrap();
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        sent += usize::from(answer.status_field() == "OK");
    }
    assert_eq!(sent, 1);
    assert_eq!(server.codes_sent().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_07_a_store_that_fails_makes_no_message_twice() {
    // Each storage call of a create and of a resend fails in turn, before it was done and after.
    for when in [When::Before, When::After] {
        for nth in 0.. {
            let site = Own::start(FaultyStore::new(MemoryStore::new())).await;
            let mut alice = site.client(Mode::Header);
            alice.sign_up(ALICE).await;
            let messages = site.sent().await.len();
            site.store.heal();
            site.store.fail_call(nth, when);
            let created = alice.create_code(PHONE).await;
            let calls = site.store.calls().len();
            let codes = site.sent().await.len() - messages;
            assert_eq!(
                codes,
                usize::from(created.status_field() == "OK"),
                "{when:?} {nth}"
            );
            site.store.heal();
            if calls <= nth {
                break;
            }
            assert_eq!(created.status, 503, "{when:?} {nth}: {created:?}");
        }
        for nth in 0.. {
            let site = Own::start(FaultyStore::new(MemoryStore::new())).await;
            let (mut alice, created, _) = site.asked(Mode::Header, ALICE, PHONE).await;
            site.moved(16);
            site.store.heal();
            site.store.fail_call(nth, when);
            let resent = alice.resend(&created).await;
            let calls = site.store.calls().len();
            site.store.heal();
            // The client tries again, as clients do.
            alice.resend(&created).await;
            site.moved(31);
            alice.resend(&created).await;
            let sent = site.sent().await;
            let ids: BTreeSet<&str> = sent.iter().map(|message| message.id.as_str()).collect();
            assert_eq!(ids.len(), sent.len(), "{when:?} {nth}: one id, one message");
            let codes: BTreeSet<_> = sent.iter().filter_map(|message| message.code.as_ref()).collect();
            assert!(codes.len() <= 3, "{when:?} {nth}");
            if calls <= nth {
                assert_eq!(resent.status_field(), "OK");
                break;
            }
            assert_eq!(resent.status, 503, "{when:?} {nth}: {resent:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_08_a_text_message_holds_nothing_that_a_user_wrote() {
    let server = Server::start().await;
    let mut alice = server.client(Mode::Header);
    alice.extra = vec![
        (
            "user-agent".to_owned(),
            "win @evil.com #123456 https://evil.com".to_owned(),
        ),
        ("x-forwarded-host".to_owned(), "evil.com".to_owned()),
    ];
    alice.sign_up("evil.com@example.com").await;
    alice.create_code(PHONE).await;
    let sent = server.sent().await;
    let message = sent.iter().rev().find(|message| message.code.is_some()).unwrap();
    let code = message.code.as_ref().unwrap();
    assert_eq!(
        message.body,
        format!(
            "{code} is your stepup demo code. It works for 5 minutes. Never give it to anybody.\n\n@localhost #{code}"
        )
    );
    assert!(
        message.body.is_ascii() && message.body.len() <= 160,
        "one segment"
    );
}

/// Takes no job.
#[derive(Debug)]
struct Full;

impl Background for Full {
    fn spawn(&self, _: Job) -> Result<(), QueueFull> {
        Err(QueueFull)
    }

    fn every(&self, _: Duration, _: Repeat) {}
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_10_a_full_queue_is_told_and_nothing_waits() {
    let site = Own::start_with(MemoryStore::new(), |builder| builder.background(Full)).await;
    let mut alice = site.client(Mode::Header);
    alice.sign_up(ALICE).await;
    let answer = alice.create_code(PHONE).await;
    assert_eq!(
        (answer.status, answer.status_field().as_str()),
        (200, "GENERAL_ERROR"),
        "{answer:?}"
    );
    assert!(site.sent().await.is_empty());
    assert_eq!(alice.get("/any").await.status, 200);

    let carrier = Outbox::new();
    let site = Own::start_with(MemoryStore::new(), |builder| {
        builder
            .background(Full)
            .factor(Passwordless::email(carrier.clone()).only_first_factor())
    })
    .await;
    let body = json!({ "email": ALICE });
    let answer = site.client(Mode::Header).post(CREATE, body).await;
    assert_eq!(
        (answer.status, answer.status_field().as_str()),
        (200, "GENERAL_ERROR"),
        "{answer:?}"
    );
    assert!(
        carrier
            .sent()
            .iter()
            .all(|message| message.channel != Channel::Email)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_11_spent_budgets_stop_no_code_to_a_number_that_is_enrolled() {
    let server = Server::start_with(|settings| {
        settings.configure = |config| {
            config.limits.sms_country.count = 6;
            config.limits.sms_site.count = 8;
            config.limits.breaker_sent = 3;
        };
    })
    .await;
    full(&server, Mode::Header, ALICE, PHONE).await.sign_out().await;
    // From her own network, as somebody does who shares an address with her: network, breaker, country and site are spent.
    let mut refused = 0;
    for n in 0..14 {
        let account = half(&server, Mode::Header, &format!("m{n}@example.com")).await;
        for phone in &[swiss(n), german(n)] {
            let asked = ask(&account, CREATE, phone, "-").await;
            refused += usize::from(!is_sent(&asked));
        }
    }
    assert!(refused >= 20, "{refused}");
    for phone in [OTHER_PHONE, "+4915112345678"] {
        let account = half(&server, Mode::Header, &format!("last{}@example.com", &phone[1..])).await;
        assert!(!is_sent(&ask(&account, CREATE, phone, "-").await), "spent");
    }
    let before = server.codes_sent().await;
    let mut alice = server.client(Mode::Header);
    alice.sign_in(ALICE).await;
    alice.complete(&server, PHONE).await;
    assert_eq!(server.codes_sent().await, before + 1);
}
