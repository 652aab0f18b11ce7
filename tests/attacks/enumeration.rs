//! Who has an account here? What strangers are told of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use stepup::delivery::Outbox;
use stepup::flow::{Caller, SignInOutcome};
use stepup::storage::memory::MemoryStore;
use stepup::wire::core::delivery::{DeliveryError, Message};
use stepup::wire::core::password::Password;
use stepup::wire::route::{Endpoint, ROUTES};
use stepup::{Builder, Channel, Deliver, Passwordless, Profile, TenantId};
use stepup_core::offload::{Job, Offload, OffloadError, Pool, PoolConfig};
use tokio::sync::Semaphore;

use super::own::Own;
use crate::kit::framework::Framework;
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PASSWORD, PHONE, Response, answer, form};

const ALICE: &str = "alice@example.com";
const NOBODY: &str = "nobod@example.com";
const WRONG: &str = "wrong horse battery";

/// Counts the hashes that are computed.
#[derive(Clone, Debug)]
struct Counting(Arc<Pool>, Arc<AtomicUsize>);

impl Counting {
    fn new() -> Self {
        Self(
            Arc::new(Pool::start(PoolConfig::default()).unwrap()),
            Arc::default(),
        )
    }

    /// How many since the last time.
    fn since(&self) -> usize {
        self.1.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl Offload for Counting {
    async fn run(&self, job: Job) -> Result<(), OffloadError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        self.0.run(job).await
    }
}

async fn site(change: impl FnOnce(Builder) -> Builder) -> Own<MemoryStore> {
    Own::start_with(MemoryStore::new(), change).await
}

/// Everything that a stranger sees of an answer, but for the time of day.
fn seen(response: &Response) -> (u16, Vec<(String, String)>, String) {
    let body = String::from_utf8(response.body.clone()).unwrap();
    (response.status, headers(response), body)
}

/// The headers of an answer, but for the time of day. Actix Web shuffles their names for each answer, which tells nothing.
fn headers(response: &Response) -> Vec<(String, String)> {
    let mut headers = response.headers.clone();
    headers.retain(|(name, _)| name != "date");
    if Framework::chosen() == Framework::Actix {
        headers.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    headers
}

async fn disabled(site: &Own<MemoryStore>, email: &str) {
    site.client(Mode::Cookie).sign_up(email).await;
    let user = site.user(email).await.unwrap();
    assert!(site.stepup.disable(&TenantId::public(), &user.id).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_01_a_sign_in_that_fails_looks_the_same_for_everybody() {
    for mode in MODES {
        let site = site(|builder| builder).await;
        site.client(mode).sign_up(ALICE).await;
        disabled(&site, "disab@example.com").await;
        site.client(mode).sign_up("gone1@example.com").await;
        let gone = site.user("gone1@example.com").await.unwrap();
        site.stepup.delete(&TenantId::public(), &gone.id).await.unwrap();
        let stranger = site.client(mode);
        let mut answers = Vec::new();
        for (email, password) in [
            (ALICE, WRONG),
            (NOBODY, WRONG),
            (NOBODY, PASSWORD),
            ("disab@example.com", WRONG),
            ("disab@example.com", PASSWORD),
            ("gone1@example.com", PASSWORD),
        ] {
            let body = form(email, password);
            let response = stranger.peek("POST", "/auth/signin", Some(&body), &[]).await;
            assert_eq!(response.status_field(), "WRONG_CREDENTIALS_ERROR", "{email}");
            answers.push(seen(&response));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_01_a_challenge_that_never_was_is_answered_like_a_foreign_one() {
    let site = site(|builder| builder).await;
    let (_, created, code) = site.asked(Mode::Cookie, ALICE, PHONE).await;
    let mut mallory = site.client(Mode::Cookie);
    mallory.sign_up("mallory@example.com").await;
    let (mut other, own, _) = site.asked(Mode::Cookie, "bob@example.com", OTHER_PHONE).await;
    other.sign_out().await;
    for path in ["consume", "resend"] {
        let path = format!("/auth/signinup/code/{path}");
        let mut answers = Vec::new();
        for created in [&created, &own] {
            let body = answer(created, &code);
            answers.push(seen(&mallory.peek("POST", &path, Some(&body), &[]).await));
        }
        assert_eq!(answers[0], answers[1], "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_02_each_sign_in_computes_one_hash_whoever_it_is() {
    let hashes = Counting::new();
    let pool = hashes.clone();
    let site = site(|builder| builder.offload(pool)).await;
    site.client(Mode::Cookie).sign_up(ALICE).await;
    disabled(&site, "disabled@example.com").await;
    hashes.since();
    let stranger = site.client(Mode::Cookie);
    for (email, password) in [
        (ALICE, WRONG),
        (ALICE, PASSWORD),
        (NOBODY, PASSWORD),
        ("disabled@example.com", PASSWORD),
        ("disabled@example.com", WRONG),
    ] {
        let body = form(email, password);
        stranger.peek("POST", "/auth/signin", Some(&body), &[]).await;
        assert_eq!(hashes.since(), 1, "{email} {password}");
    }
    // Throttled, it is none for anybody.
    for email in [ALICE, NOBODY] {
        for n in 0..7 {
            let body = form(email, WRONG);
            let response = stranger.peek("POST", "/auth/signin", Some(&body), &[]).await;
            let throttled = response.status_field() == "GENERAL_ERROR";
            assert_eq!(hashes.since(), usize::from(!throttled), "{email} {n}");
            assert!(n < 5 || throttled, "{email} {n}");
        }
        site.moved(61);
    }
}

/// A carrier that is stuck until the test lets it go, or that refuses everything.
#[derive(Clone, Debug)]
struct Stuck {
    open: Arc<Semaphore>,
    sent: Outbox,
    works: bool,
}

#[async_trait]
impl Deliver for Stuck {
    fn carries(&self, _: Channel) -> bool {
        true
    }

    fn reveals_codes(&self) -> bool {
        true
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        self.open.acquire().await.unwrap().forget();
        if self.works {
            self.sent.deliver(message).await
        } else {
            Err(DeliveryError::unsent("the provider is down, number +41791234567"))
        }
    }
}

/// The same site with another carrier of codes.
async fn carried_by(carrier: &Stuck) -> Own<MemoryStore> {
    let codes = carrier.clone();
    Own::start_carried(MemoryStore::new(), codes).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_03_the_answer_to_a_code_request_does_not_wait_for_the_carrier() {
    let carrier = Stuck {
        open: Arc::new(Semaphore::new(0)),
        sent: Outbox::new(),
        works: true,
    };
    let site = carried_by(&carrier).await;
    let mut alice = site.client(Mode::Cookie);
    alice.sign_up(ALICE).await;
    // The carrier hands nothing over before the answer is there: were it waited for, there would be no answer.
    let created = alice.create_code(PHONE).await;
    assert_eq!(created.status_field(), "OK");
    assert!(carrier.sent.sent().is_empty());
    carrier.open.add_permits(1);
    for _ in 0..1_000 {
        if !carrier.sent.sent().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the message never went out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_03_a_code_to_sign_in_is_answered_before_the_carrier_has_it_for_known_and_unknown() {
    let carrier = Stuck {
        open: Arc::new(Semaphore::new(0)),
        sent: Outbox::new(),
        works: true,
    };
    let codes = carrier.clone();
    let site = site(|builder| builder.factor(Passwordless::email(codes).only_first_factor())).await;
    let mut stranger = site.client(Mode::Cookie);
    carrier.open.add_permits(1);
    let created = stranger
        .post("/auth/signinup/code", json!({ "email": ALICE }))
        .await;
    let code = site.drained(&carrier.sent).await;
    let signed_in = stranger.consume(&created.json(), &code).await;
    assert_eq!(signed_in.status_field(), "OK", "{signed_in:?}");
    let mut answers = Vec::new();
    for email in [ALICE, NOBODY] {
        let body = json!({ "email": email });
        let created = site
            .client(Mode::Cookie)
            .peek("POST", "/auth/signinup/code", Some(&body), &[])
            .await;
        assert_eq!(carrier.sent.sent().len(), 1, "{email}");
        let mut seen = seen(&created);
        for id in ["deviceId", "preAuthSessionId"] {
            seen.2 = seen.2.replace(created.json()[id].as_str().unwrap(), id);
        }
        answers.push(seen);
    }
    assert_eq!(answers[0], answers[1]);
}

fn reset_of(email: &str) -> Value {
    json!({ "formFields": [{ "id": "email", "value": email }] })
}

const RESET: &str = "/auth/user/password/reset/token";

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_01_a_new_password_is_asked_for_alike_by_everybody() {
    let sent = Outbox::new();
    let codes = sent.clone();
    let site = site(|builder| builder.factor(Passwordless::email(codes).only_first_factor())).await;
    site.client(Mode::Cookie).sign_up(ALICE).await;
    disabled(&site, "disab@example.com").await;
    let mut coded = site.client(Mode::Cookie);
    let created = coded
        .post("/auth/signinup/code", json!({ "email": "codes@example.com" }))
        .await;
    let code = site.drained(&sent).await;
    assert_eq!(coded.consume(&created.json(), &code).await.status_field(), "OK");
    let mut answers = Vec::new();
    for email in [ALICE, NOBODY, "codes@example.com", "disab@example.com"] {
        let body = reset_of(email);
        let asked = site
            .client(Mode::Cookie)
            .peek("POST", RESET, Some(&body), &[])
            .await;
        assert_eq!(asked.status_field(), "OK", "{email}");
        answers.push(seen(&asked));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_03_a_new_password_is_asked_for_before_anybody_is_looked_up() {
    let hashes = Counting::new();
    let pool = hashes.clone();
    let carrier = Stuck {
        open: Arc::new(Semaphore::new(0)),
        sent: Outbox::new(),
        works: true,
    };
    let mails = carrier.clone();
    let site = site(|builder| builder.offload(pool).notices(mails)).await;
    site.client(Mode::Cookie).sign_up(ALICE).await;
    hashes.since();
    // The carrier hands nothing over before the answers are there, and nothing is hashed for them.
    let mut answers = Vec::new();
    for email in [ALICE, NOBODY] {
        let body = reset_of(email);
        let asked = site
            .client(Mode::Cookie)
            .peek("POST", RESET, Some(&body), &[])
            .await;
        answers.push(seen(&asked));
    }
    assert_eq!(answers[0], answers[1]);
    assert!(carrier.sent.sent().is_empty() && hashes.since() == 0);
    carrier.open.add_permits(1);
    for _ in 0..1_000 {
        if let [mail] = carrier.sent.sent().as_slice() {
            assert_eq!((mail.kind, mail.to.as_str()), ("reset", ALICE));
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the mail never went out");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_01_a_code_to_sign_in_is_asked_for_alike_by_everybody() {
    let sent = Outbox::new();
    let codes = sent.clone();
    let site = site(|builder| builder.factor(Passwordless::email(codes).only_first_factor())).await;
    site.client(Mode::Cookie).sign_up("passw@example.com").await;
    disabled(&site, "disab@example.com").await;
    let mut alice = site.client(Mode::Cookie);
    let created = alice.post("/auth/signinup/code", json!({ "email": ALICE })).await;
    let code = site.drained(&sent).await;
    assert_eq!(alice.consume(&created.json(), &code).await.status_field(), "OK");
    let mut answers = Vec::new();
    for email in [ALICE, NOBODY, "passw@example.com", "disab@example.com"] {
        let body = json!({ "email": email });
        let created = site
            .client(Mode::Cookie)
            .peek("POST", "/auth/signinup/code", Some(&body), &[])
            .await;
        assert_eq!(created.status_field(), "OK", "{email}");
        let mut seen = seen(&created);
        for id in ["deviceId", "preAuthSessionId"] {
            seen.2 = seen.2.replace(created.json()[id].as_str().unwrap(), id);
        }
        answers.push(seen);
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_04_the_exists_endpoints_are_throttled_or_say_nothing() {
    const PATHS: [&str; 2] = [
        "/auth/emailpassword/email/exists?email=",
        "/auth/signup/email/exists?email=",
    ];
    let open = site(|builder| builder).await;
    open.client(Mode::Cookie).sign_up(ALICE).await;
    let stranger = open.client(Mode::Cookie);
    let ask = async |client: &Client, path: String| client.peek("GET", &path, None, &[]).await;
    assert_eq!(
        ask(&stranger, format!("{}{ALICE}", PATHS[0])).await.json()["exists"],
        true
    );
    let mut told = 1;
    for n in 0..100 {
        let path = format!("{}guess{n}@example.com", PATHS[n % 2]);
        told += usize::from(ask(&stranger, path).await.status_field() == "OK");
    }
    assert_eq!(told, 10);
    let throttled = ask(&stranger, format!("{}{ALICE}", PATHS[0])).await;
    assert_eq!(throttled.status_field(), "GENERAL_ERROR");
    assert!(throttled.header("retry-after").is_some());

    let hidden = site(|builder| builder.profile(Profile::SafeEnumeration)).await;
    hidden.client(Mode::Cookie).sign_up(ALICE).await;
    let stranger = hidden.client(Mode::Cookie);
    let nobodys = seen(&ask(&stranger, format!("{}{NOBODY}", PATHS[0])).await);
    for n in 0..100 {
        let email = if n % 3 == 0 {
            ALICE.to_owned()
        } else {
            format!("guess{n}@example.com")
        };
        let told = ask(&stranger, format!("{}{email}", PATHS[n % 2])).await;
        assert_eq!(told.json(), json!({ "status": "OK", "exists": false }));
        assert_eq!(seen(&told), nobodys, "{email}");
    }
    let phone = ask(
        &stranger,
        "/auth/passwordless/phonenumber/exists?phoneNumber=%2B41791234567".into(),
    )
    .await;
    assert_eq!(phone.json()["exists"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_05_sign_up_says_that_an_address_is_taken_as_the_protocol_has_it() {
    let site = site(|builder| builder).await;
    site.client(Mode::Cookie).sign_up(ALICE).await;
    let taken = site.client(Mode::Cookie).sign_up(ALICE).await;
    assert_eq!(taken.status_field(), "FIELD_ERROR");
    assert_eq!(taken.json()["formFields"][0]["id"], "email");
}

/// An answer to sign-up without what differs between any two people.
fn leveled(mut response: Response, email: &str) -> (u16, Vec<String>, Value) {
    let mut body = response.json();
    let id = body["user"]["id"].as_str().unwrap().to_owned();
    assert_eq!(body["user"]["loginMethods"][0]["recipeUserId"], id.as_str());
    let text = body.to_string().replace(&id, "ID").replace(email, "ADDRESS");
    body = serde_json::from_str(&text).unwrap();
    response.headers.retain(|(name, _)| name != "content-length");
    let names = headers(&response)
        .into_iter()
        .map(|(name, value)| format!("{name}: {value}"));
    (response.status, names.collect(), body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_05_a_hidden_sign_up_answers_the_same_and_tells_the_owner() {
    for mode in MODES {
        let hashes = Counting::new();
        let pool = hashes.clone();
        let site = site(|builder| builder.profile(Profile::SafeEnumeration).offload(pool)).await;
        let mut alice = site.client(mode);
        let made = alice.sign_up(ALICE).await;
        assert_eq!((made.status_field(), hashes.since()), ("OK".to_owned(), 1));
        let before = site.user(ALICE).await.unwrap();
        assert_eq!(made.json()["user"]["id"], before.id.as_str());
        let mut mallory = site.client(mode);
        let tried = mallory
            .post("/auth/signup", form(ALICE, "mallorys own battery"))
            .await;
        assert_eq!((tried.status_field(), hashes.since()), ("OK".to_owned(), 1));
        // Nobody gets a session by signing up, and the account is as it was.
        for (client, response) in [(&alice, &made), (&mallory, &tried)] {
            assert!(response.touches_no_token() && client.access_token().is_none());
        }
        assert_ne!(tried.json()["user"]["id"], before.id.as_str());
        let ids = [&made, &tried].map(|response| response.json()["user"]["id"].as_str().unwrap().len());
        assert_eq!(ids[0], ids[1]);
        assert_eq!(site.user(ALICE).await.unwrap(), before);
        assert_eq!(leveled(made, ALICE), leveled(tried, ALICE));

        site.tick().await;
        let mails: Vec<_> = site.sent().await.into_iter().map(|m| (m.to, m.kind)).collect();
        let expected = ["account_made", "sign_up_tried"].map(|kind| (ALICE.to_owned(), kind));
        assert_eq!(mails.len(), 2, "{mails:?}");
        for (to, kind) in expected {
            assert!(
                mails.iter().any(|mail| mail.0 == to && mail.1 == kind),
                "{kind}: {mails:?}"
            );
        }
        // The account opens once its address is verified: until then neither of them sees which it was by signing in.
        for (client, password) in [(&alice, PASSWORD), (&mallory, "mallorys own battery")] {
            let before = hashes.since();
            let body = form(ALICE, password);
            let answer = client.peek("POST", "/auth/signin", Some(&body), &[]).await;
            assert_eq!(
                (answer.status_field().as_str(), before, hashes.since()),
                ("WRONG_CREDENTIALS_ERROR", 0, 1)
            );
        }
        let sent = site.sent().await.into_iter();
        let link = sent.filter_map(|mail| mail.link).next().unwrap();
        let token = link
            .split(['?', '&'])
            .find_map(|part| part.strip_prefix("token="))
            .unwrap();
        let body = json!({ "method": "token", "token": token });
        let verified = site.client(mode).post("/auth/user/email/verify", body).await;
        assert_eq!(verified.status_field(), "OK", "{verified:?}");
        assert!(verified.touches_no_token());
        // The owner signs in as always.
        assert_eq!(alice.sign_in(ALICE).await.status_field(), "OK");
        let wrong = mallory
            .post("/auth/signin", form(ALICE, "mallorys own battery"))
            .await;
        assert_eq!(wrong.status_field(), "WRONG_CREDENTIALS_ERROR");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_05_nobody_fills_a_mailbox_by_hidden_sign_ups() {
    let site = site(|builder| builder.profile(Profile::SafeEnumeration)).await;
    let mut mallory = site.client(Mode::Cookie);
    for _ in 0..15 {
        assert_eq!(mallory.sign_up(ALICE).await.status_field(), "OK");
    }
    site.tick().await;
    assert_eq!(site.sent().await.len(), 3);
    // A bad form is told as ever: it says nothing of the address.
    let bad = mallory.post("/auth/signup", form(ALICE, "short")).await;
    assert_eq!(bad.status_field(), "FIELD_ERROR");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_06_a_throttle_closes_to_unknown_addresses_as_to_known_ones() {
    let site = site(|builder| builder).await;
    site.client(Mode::Cookie).sign_up(ALICE).await;
    let stranger = site.client(Mode::Cookie);
    let mut courses = Vec::new();
    for email in [ALICE, NOBODY] {
        let mut course = Vec::new();
        for _ in 0..9 {
            let body = form(email, WRONG);
            course.push(seen(
                &stranger.peek("POST", "/auth/signin", Some(&body), &[]).await,
            ));
        }
        assert_eq!(
            course
                .iter()
                .filter(|seen| seen.2.contains("GENERAL_ERROR"))
                .count(),
            4
        );
        courses.push(course);
        // The network's own count of failures is no part of it.
        site.moved(61);
    }
    assert_eq!(courses[0], courses[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_06_an_error_of_the_carrier_never_reaches_an_answer() {
    let mut answers = Vec::new();
    for works in [true, false] {
        let carrier = Stuck {
            open: Arc::new(Semaphore::new(100)),
            sent: Outbox::new(),
            works,
        };
        let site = carried_by(&carrier).await;
        let mut alice = site.client(Mode::Cookie);
        alice.sign_up(ALICE).await;
        let created = alice.create_code(PHONE).await;
        let mut seen = seen(&created);
        let body = created.json();
        for id in ["deviceId", "preAuthSessionId"] {
            seen.2 = seen.2.replace(body[id].as_str().unwrap(), id);
        }
        answers.push(seen);
    }
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_07_no_endpoint_but_sign_in_checks_a_password() {
    let hashes = Counting::new();
    let pool = hashes.clone();
    let site = site(|builder| builder.offload(pool)).await;
    let mut alice = site.client(Mode::Cookie);
    alice.sign_up(ALICE).await;
    hashes.since();
    let mut body = form(ALICE, PASSWORD);
    for (name, value) in [
        ("email", ALICE),
        ("password", PASSWORD),
        ("phoneNumber", PHONE),
        ("deviceId", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("preAuthSessionId", "x"),
        ("userInputCode", "123456"),
        ("sessionHandle", "x"),
    ] {
        body[name] = value.into();
    }
    for row in ROUTES {
        if row.path == "/signin" || row.path == "/signup" {
            continue;
        }
        let path = format!("/auth{}?email={ALICE}&phoneNumber=%2B41791234567", row.path);
        let sends = (row.method != "GET").then_some(&body);
        let nobody = site
            .client(Mode::Cookie)
            .peek(row.method.as_str(), &path, sends, &[])
            .await;
        if matches!(row.endpoint, Endpoint::Guarded(_)) {
            assert_eq!(nobody.status, 401, "{path}");
        }
        alice.clone().peek(row.method.as_str(), &path, sends, &[]).await;
        assert_eq!(hashes.since(), 0, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_08_ids_are_random_and_strangers_see_no_time() {
    let site = site(|builder| builder.configure(|config| config.limits.scale = 10)).await;
    let mut ids = BTreeSet::new();
    for n in 0..12 {
        let mut client = site.client(Mode::Cookie);
        client.sign_up(&format!("user{n}@example.com")).await;
        for id in [client.user_id(), client.handle()] {
            // RFC 9562 §5.4: 122 of its 128 bits are random.
            assert_eq!((id.len(), &id[14..15]), (36, "4"), "{id}");
            assert!(matches!(&id[19..20], "8" | "9" | "a" | "b"), "{id}");
            ids.insert(id);
        }
    }
    assert_eq!(ids.len(), 24);
    // None follows another: all bits that are free change from one to the next.
    let first: BTreeSet<&str> = ids.iter().map(|id| &id[..8]).collect();
    let last: BTreeSet<&str> = ids.iter().map(|id| &id[24..]).collect();
    assert_eq!((first.len(), last.len()), (24, 24));

    let stranger = site.client(Mode::Cookie);
    for (method, path, body) in [
        ("POST", "/auth/signin", Some(form("user1@example.com", WRONG))),
        ("POST", "/auth/signup", Some(form("user1@example.com", PASSWORD))),
        (
            "GET",
            "/auth/emailpassword/email/exists?email=user1@example.com",
            None,
        ),
    ] {
        let told = stranger.peek(method, path, body.as_ref(), &[]).await;
        let body = String::from_utf8_lossy(&told.body).into_owned();
        assert!(
            !body.contains("timeJoined") && !body.contains("\"id\":\"0"),
            "{body}"
        );
        assert!(ids.iter().all(|id| !body.contains(id)), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_09_a_refusal_to_link_is_the_same_whoever_has_the_address() {
    let site = site(|builder| builder).await;
    site.client(Mode::Cookie).sign_up(ALICE).await;
    let mut mallory = site.client(Mode::Cookie);
    mallory.sign_up("mallory@example.com").await;
    let version = [("fdi-version", "4.1")];
    for (path, status) in [
        ("signup", "SIGN_UP_NOT_ALLOWED"),
        ("signin", "SIGN_IN_NOT_ALLOWED"),
    ] {
        let path = format!("/auth/{path}");
        let mut answers = Vec::new();
        for email in [ALICE, NOBODY, "mallory@example.com"] {
            let mut body = form(email, PASSWORD);
            body["shouldTryLinkingWithSessionUser"] = true.into();
            let refused = mallory.peek("POST", &path, Some(&body), &version).await;
            assert_eq!(refused.status_field(), status);
            answers.push(seen(&refused));
        }
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rl_06_in_the_strict_profile_a_guessed_password_is_locked_until_it_is_forgiven() {
    let site = site(|builder| {
        builder
            .profile(Profile::Strict)
            .configure(|config| config.limits.password_account = 8)
    })
    .await;
    let mut alice = site.client(Mode::Cookie);
    alice.sign_up(ALICE).await;
    let from = |network: &str| {
        let mut caller = Caller::internal();
        network.clone_into(&mut caller.origin.network);
        caller
    };
    let sign_in = async |email: &str, password: &str, network: &str| {
        let password = Password::parse(password).unwrap();
        site.stepup
            .sign_in(&from(network), email, password)
            .await
            .unwrap()
    };
    for email in [ALICE, NOBODY] {
        for n in 0..8 {
            let outcome = sign_in(email, WRONG, &format!("198.51.100.{n}")).await;
            assert!(
                matches!(outcome, SignInOutcome::WrongCredentials),
                "{email} {n}: {outcome:?}"
            );
        }
        // The right password as little as a wrong one, from a network where she is signed in as little as from afar, and
        // for an address that nobody has as for hers.
        for network in ["127.0.0.1", "198.51.100.77"] {
            let outcome = sign_in(email, PASSWORD, network).await;
            assert!(
                matches!(outcome, SignInOutcome::Throttled(_)),
                "{email}: {outcome:?}"
            );
        }
    }
    for _ in 0..30 {
        // Day by day, since signing keys are made as time goes by.
        site.moved(24 * 3_600);
        site.tick().await;
    }
    let outcome = sign_in(ALICE, PASSWORD, "198.51.100.78").await;
    assert!(matches!(outcome, SignInOutcome::Throttled(_)), "{outcome:?}");
    let user = site.user(ALICE).await.unwrap();
    site.stepup
        .forgive_failures(&TenantId::public(), &user.id)
        .await
        .unwrap();
    let outcome = sign_in(ALICE, PASSWORD, "198.51.100.79").await;
    assert!(matches!(outcome, SignInOutcome::SignedIn(_)), "{outcome:?}");
}
