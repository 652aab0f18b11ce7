//! Another contact in the place of one: what a stolen session gains by it, and how the owner gets the account back.

use std::sync::Arc;

use serde_json::{Value, json};
use stepup::config::EmailVerification;
use stepup::{FactorId, TenantId, User, UserId};
use stepup_core::record::user::UserState;
use tokio::sync::Barrier;

use super::reset;
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PHONE, Response, Server, form, full, half, wrong};

const ALICE: &str = "alice@example.com";
const NEW: &str = "alice@new.example.com";
const MALLORY: &str = "mallory@example.net";
const BOB: &str = "bob@example.com";
const CHANGE: &str = "/auth/contact/change";
const CONFIRM: &str = "/auth/contact/change/confirm";
const UNDO: &str = "/auth/factor/undo";
const OWN_PASSWORD: &str = "my own new battery";

async fn server() -> Server {
    Server::start_with(|settings| settings.throttle_scale = 100).await
}

/// With codes by e-mail as a second factor beside those by text message.
async fn with_mailboxes() -> Server {
    Server::start_with(|settings| {
        settings.throttle_scale = 100;
        settings.second_factors = vec![FactorId::OTP_PHONE, FactorId::OTP_EMAIL];
    })
    .await
}

pub(super) fn email(address: &str) -> Value {
    json!({ "email": address })
}

fn phone(number: &str) -> Value {
    json!({ "phoneNumber": number })
}

/// Asks for a code to the new contact; what the answer calls the device, and the code.
pub(super) async fn asked(server: &Server, client: &mut Client, body: Value) -> (Value, String) {
    let before = server.codes_sent().await;
    let asked = client.post(CHANGE, body.clone()).await;
    assert_eq!(asked.status_field(), "OK", "{body}: {asked:?}");
    assert!(asked.touches_no_token());
    let sent = server.sent().await;
    assert_eq!(server.codes_sent().await, before + 1);
    let last = sent.iter().rev().find(|message| message.code.is_some()).unwrap();
    let to = [&body["email"], &body["phoneNumber"]];
    assert!(to.contains(&&json!(last.to)), "{last:?}");
    (asked.json()["deviceId"].clone(), last.code.clone().unwrap())
}

pub(super) async fn confirm(client: &mut Client, device: &Value, code: &str) -> Response {
    client
        .post(CONFIRM, json!({ "deviceId": device, "userInputCode": code }))
        .await
}

/// Changes a contact, from the wish to the new tokens.
pub(super) async fn changed(server: &Server, client: &mut Client, body: Value) {
    let (device, code) = asked(server, client, body).await;
    let done = confirm(client, &device, &code).await;
    assert_eq!(done.json(), json!({ "status": "OK" }), "{done:?}");
    assert!(!done.touches_no_token());
}

async fn user(server: &Server, id: &str) -> User {
    let stepup = &server.site.stepup;
    let found = stepup.user(&TenantId::public(), &UserId::from(id)).await;
    found.unwrap().unwrap()
}

/// The address that signs in, and the contacts of the second factors.
async fn contacts(server: &Server, id: &str) -> (String, Vec<String>) {
    let user = user(server, id).await;
    let second = user.summary.enrolled.iter().filter_map(|e| e.contact.clone());
    (user.methods[0].email.clone().unwrap(), second.collect())
}

/// Whom notices of changes went to, and with a link or without.
async fn told(server: &Server) -> Vec<(String, bool)> {
    server.dump().await;
    let sent = server.sent().await;
    let about = sent.iter().filter(|message| message.kind == "contact_changed");
    about
        .map(|message| (message.to.clone(), message.link.is_some()))
        .collect()
}

/// The token of the last undo link that went to `to`.
async fn token(server: &Server, to: &str) -> String {
    server.dump().await;
    let sent = server.sent().await;
    let mut mails = sent.iter().rev().filter(|mail| mail.to == to);
    let link = mails
        .find_map(|mail| mail.link.clone().filter(|link| link.contains("?token=undo_")))
        .expect("a link to undo");
    link.split_once("?token=").unwrap().1.to_owned()
}

async fn undo(server: &Server, token: &str) -> String {
    let mut anybody = server.client(Mode::Header);
    let undone = anybody.post(UNDO, json!({ "token": token })).await;
    assert!(undone.touches_no_token());
    undone.status_field()
}

async fn signs_in(server: &Server, address: &str, password: &str) -> bool {
    let mut client = server.client(Mode::Header);
    let answer = client.post("/auth/signin", form(address, password)).await;
    answer.status_field() == "OK"
}

async fn mallory_gets_no_reset(server: &Server) {
    let asks = json!({ "formFields": [{ "id": "email", "value": MALLORY }] });
    let mut anybody = server.client(Mode::Header);
    anybody.post("/auth/user/password/reset/token", asks).await;
    assert!(server.sent().await.iter().all(|mail| mail.kind != "reset"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_a_stale_session_and_a_half_login_change_no_contact() {
    for mode in MODES {
        let server = server().await;
        let mut alice = full(&server, mode, ALICE, PHONE).await;
        let (device, code) = asked(&server, &mut alice, email(NEW)).await;
        let mut half_login = server.client(mode);
        half_login.sign_in(ALICE).await;
        server.moved(301).await;
        for client in [&mut alice, &mut half_login] {
            assert_eq!(client.refresh().await.status, 200);
        }
        let sent = server.sent().await.len();
        let before = server.dump().await;
        for body in [email(MALLORY), phone(OTHER_PHONE), email("x"), json!({})] {
            let stale = alice.post(CHANGE, body.clone()).await;
            assert_eq!(
                (stale.status, stale.failed_claims()),
                (403, vec!["st-mfa".to_owned()])
            );
            let half = half_login.post(CHANGE, body).await;
            assert_eq!(half.status, 403, "{half:?}");
            let nobody = server.client(mode).post(CHANGE, email(MALLORY)).await;
            assert_eq!(nobody.status, 401);
        }
        for client in [&mut alice, &mut half_login] {
            assert_eq!(confirm(client, &device, &code).await.status, 403);
        }
        assert_eq!(server.dump().await, before);
        assert_eq!(server.sent().await.len(), sent);
        // Who proves the second factor anew may go on where they were.
        server.moved(20).await;
        alice.complete(&server, PHONE).await;
        changed(&server, &mut alice, email(NEW)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_until_the_code_is_right_everything_goes_where_it_went() {
    let server = server().await;
    let mut alice = full(&server, Mode::Cookie, ALICE, PHONE).await;
    let id = alice.user_id();
    let (to_mail, _) = asked(&server, &mut alice, email(NEW)).await;
    asked(&server, &mut alice, phone(OTHER_PHONE)).await;
    // Codes and links go to the old contacts; to the new ones goes nothing.
    let mut again = server.client(Mode::Header);
    assert!(again.sign_in(ALICE).await.status_field() == "OK" && !signs_in(&server, NEW, "x").await);
    again.complete(&server, PHONE).await;
    let foreign = again.create_code(OTHER_PHONE).await;
    assert_eq!(foreign.status_field(), "GENERAL_ERROR");
    let asks = json!({ "formFields": [{ "id": "email", "value": NEW }] });
    again.post("/auth/user/password/reset/token", asks).await;
    assert!(server.sent().await.iter().all(|mail| mail.kind != "reset"));
    reset::token(&server, ALICE).await;
    assert_eq!(
        contacts(&server, &id).await,
        (ALICE.to_owned(), vec![PHONE.to_owned()])
    );
    assert_eq!(told(&server).await, []);
    // A code that is wrong changes nothing either, and after five the challenge is over.
    let code = server.sent().await;
    let code = code
        .iter()
        .find(|m| m.to == NEW)
        .and_then(|m| m.code.clone())
        .unwrap();
    for failed in 1..5 {
        let answer = confirm(&mut alice, &to_mail, &wrong(&code)).await;
        assert_eq!(answer.json()["status"], "INCORRECT_USER_INPUT_CODE_ERROR");
        assert_eq!(answer.json()["failedCodeInputAttemptCount"], failed);
    }
    for answer in [wrong(&code), code] {
        let over = confirm(&mut alice, &to_mail, &answer).await;
        assert_eq!(over.status_field(), "RESTART_FLOW_ERROR");
    }
    assert_eq!(contacts(&server, &id).await.0, ALICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_a_changed_address_ends_all_else_and_is_told_to_the_old_one_with_a_link() {
    for mode in MODES {
        let server = server().await;
        let elsewhere = server.second().await;
        let mut other = full(&server, mode, ALICE, PHONE).await;
        let mut alice = server.client(mode);
        alice.sign_in(ALICE).await;
        let mut waiting = server.client(mode);
        waiting.sign_in(ALICE).await;
        server.moved(20).await;
        elsewhere.moved(20).await;
        alice.complete(&server, PHONE).await;
        let late = reset::token(&server, ALICE).await;
        let (handle, old) = (alice.handle(), alice.clone());
        changed(&server, &mut alice, email(NEW)).await;
        let id = alice.user_id();
        assert_eq!(
            contacts(&server, &id).await,
            (NEW.to_owned(), vec![PHONE.to_owned()])
        );
        assert!(
            user(&server, &id).await.methods[0].verified,
            "the code went there"
        );
        // This session goes on by new tokens, and no other does.
        assert_eq!(alice.handle(), handle);
        assert_ne!(alice.access_token(), old.access_token());
        assert_eq!(alice.get("/api/secret").await.status, 200);
        assert_eq!(alice.refresh().await.status, 200);
        assert_eq!(old.clone().refresh().await.status, 401);
        for mut client in [other.clone(), waiting.clone(), other.moved_to(&elsewhere)] {
            assert_eq!(client.refresh().await.status, 401);
        }
        assert_eq!(other.get("/api/me").await.status, 401);
        // The mailbox is told, and can undo it; the phone is told.
        let expected = [(ALICE.to_owned(), true), (PHONE.to_owned(), false)];
        assert_eq!(told(&server).await, expected);
        let notices = server.sent().await;
        let mut notices = notices.iter().filter(|mail| mail.kind == "contact_changed");
        assert!(notices.all(|mail| !mail.body.contains("new.example")));
        // What was sent to the old address before is dead, and what is asked for goes to the new one.
        let refused = reset::reset(&server, &late, OWN_PASSWORD).await;
        assert_eq!(refused.status_field(), "RESET_PASSWORD_INVALID_TOKEN_ERROR");
        assert!(!signs_in(&server, ALICE, crate::kit::PASSWORD).await);
        assert!(signs_in(&server, NEW, crate::kit::PASSWORD).await);
        reset::token(&server, NEW).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_03_a_changed_phone_gets_the_codes_and_the_old_one_none() {
    for mode in MODES {
        let server = server().await;
        let mut alice = full(&server, mode, ALICE, PHONE).await;
        let id = alice.user_id();
        changed(&server, &mut alice, phone(OTHER_PHONE)).await;
        assert_eq!(
            contacts(&server, &id).await,
            (ALICE.to_owned(), vec![OTHER_PHONE.to_owned()])
        );
        assert_eq!(alice.get("/api/secret").await.status, 200);
        assert_eq!(
            told(&server).await,
            [(ALICE.to_owned(), true), (PHONE.to_owned(), false)]
        );
        let mut again = server.client(mode);
        assert_eq!(again.sign_in(ALICE).await.status_field(), "OK");
        assert_eq!(again.create_code(PHONE).await.status_field(), "GENERAL_ERROR");
        again.complete(&server, OTHER_PHONE).await;
        assert_eq!(again.get("/api/secret").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_the_owner_undoes_the_changes_of_a_thief_within_three_days() {
    for mode in MODES {
        let server = with_mailboxes().await;
        let mut mallory = full(&server, mode, ALICE, PHONE).await;
        let id = mallory.user_id();
        server.moved(1).await;
        // In a stolen session: the address, then another one, the phone, a factor of her own, and the password.
        changed(&server, &mut mallory, email(MALLORY)).await;
        let own = token(&server, ALICE).await;
        server.moved(1).await;
        changed(&server, &mut mallory, email("mallory2@example.net")).await;
        changed(&server, &mut mallory, phone(OTHER_PHONE)).await;
        let body = json!({ "email": "codes@example.net", "shouldTryLinkingWithSessionUser": true });
        let created = mallory.post("/auth/signinup/code", body).await;
        let code = server.code().await;
        assert_eq!(mallory.consume(&created.json(), &code).await.status_field(), "OK");
        let hers = token(&server, MALLORY).await;
        let mailed = reset::token(&server, "mallory2@example.net").await;
        assert_eq!(
            reset::reset(&server, &mailed, OWN_PASSWORD).await.status_field(),
            "OK"
        );
        assert!(signs_in(&server, "mallory2@example.net", OWN_PASSWORD).await);

        server.moved(3 * 24 * 3600 - 60).await;
        let page = server
            .client(Mode::Cookie)
            .peek("GET", &format!("{UNDO}?token={own}"), None, &[])
            .await;
        assert!(String::from_utf8_lossy(&page.body).contains("Undo the change of your contact?"));
        assert_eq!(undo(&server, &own).await, "OK");
        let (address, second) = contacts(&server, &id).await;
        assert_eq!((address.as_str(), second), (ALICE, vec![PHONE.to_owned()]));
        assert_eq!(mallory.get("/api/secret").await.status, 401);
        assert_eq!(mallory.refresh().await.status, 401);
        // Neither her links nor her password open it again, nor does hers a second time.
        for spent in [&hers, &own] {
            assert_eq!(undo(&server, spent).await, "INVALID_TOKEN_ERROR");
        }
        assert_eq!(contacts(&server, &id).await.0, ALICE);
        for address in [ALICE, MALLORY, "mallory2@example.net"] {
            assert!(!signs_in(&server, address, OWN_PASSWORD).await);
        }
        // The owner sets a password by the old mailbox, and passes by the old phone.
        let mailed = reset::token(&server, ALICE).await;
        assert_eq!(
            reset::reset(&server, &mailed, "a third horse battery")
                .await
                .status_field(),
            "OK"
        );
        let mut alice = server.client(mode);
        let answer = alice
            .post("/auth/signin", form(ALICE, "a third horse battery"))
            .await;
        assert_eq!(answer.status_field(), "OK");
        alice.complete(&server, PHONE).await;
        assert_eq!(alice.get("/api/secret").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_what_a_thief_adds_before_the_change_goes_with_it() {
    let server = with_mailboxes().await;
    let mut mallory = full(&server, Mode::Header, ALICE, PHONE).await;
    let id = mallory.user_id();
    let body = json!({ "email": "codes@example.net", "shouldTryLinkingWithSessionUser": true });
    let created = mallory.post("/auth/signinup/code", body).await;
    let code = server.code().await;
    server.moved(1).await;
    assert_eq!(mallory.consume(&created.json(), &code).await.status_field(), "OK");
    changed(&server, &mut mallory, email(MALLORY)).await;
    assert!(
        told(&server)
            .await
            .contains(&("codes@example.net".to_owned(), false))
    );
    let own = token(&server, ALICE).await;
    assert_eq!(undo(&server, &own).await, "OK");
    assert_eq!(contacts(&server, &id).await.1, [PHONE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_undoing_the_first_factor_of_a_thief_puts_the_address_back_as_well() {
    let server = server().await;
    let mut mallory = half(&server, Mode::Header, ALICE).await;
    mallory.complete(&server, PHONE).await;
    let id = mallory.user_id();
    let own = token(&server, ALICE).await;
    server.moved(1).await;
    changed(&server, &mut mallory, email(MALLORY)).await;
    assert_eq!(undo(&server, &own).await, "OK");
    assert_eq!(contacts(&server, &id).await, (ALICE.to_owned(), Vec::new()));
    // No contact is left behind in the rows either, of a factor that is no more or of a mailbox that is none.
    assert_eq!(
        server
            .number("SELECT count(*) FROM stepup_credential WHERE kind = 'contact'")
            .await,
        0
    );
    let rows = server.dump().await.join("\n");
    assert!(!rows.contains(MALLORY) && !rows.contains(PHONE), "{rows}");
    mallory_gets_no_reset(&server).await;
    reset::token(&server, ALICE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_what_cannot_be_given_back_is_left_to_nobody() {
    let server = server().await;
    let mut mallory = full(&server, Mode::Header, ALICE, PHONE).await;
    let id = mallory.user_id();
    changed(&server, &mut mallory, email(MALLORY)).await;
    let own = token(&server, ALICE).await;
    // Another account proves that it reads the address that became free.
    let mut other = full(&server, Mode::Header, BOB, OTHER_PHONE).await;
    changed(&server, &mut other, email(ALICE)).await;
    assert_eq!(undo(&server, &own).await, "OK");
    assert_eq!(user(&server, &id).await.state, UserState::Disabled);
    assert_eq!(mallory.refresh().await.status, 401);
    mallory_gets_no_reset(&server).await;
    assert!(!signs_in(&server, MALLORY, crate::kit::PASSWORD).await);
    assert_eq!(undo(&server, &own).await, "INVALID_TOKEN_ERROR");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_who_signs_up_with_the_old_address_and_proves_nothing_holds_no_undo_up() {
    let server = server().await;
    let mut mallory = full(&server, Mode::Header, ALICE, PHONE).await;
    let id = mallory.user_id();
    changed(&server, &mut mallory, email(MALLORY)).await;
    let own = token(&server, ALICE).await;
    let mut squatter = half(&server, Mode::Header, ALICE).await;
    assert_eq!(undo(&server, &own).await, "OK");
    assert_eq!(contacts(&server, &id).await.0, ALICE);
    assert_eq!(squatter.refresh().await.status, 401);
    reset::token(&server, ALICE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_what_the_site_sets_afterwards_is_not_undone() {
    let server = server().await;
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    let id = alice.user_id();
    changed(&server, &mut alice, email(NEW)).await;
    let own = token(&server, ALICE).await;
    let update = stepup::flow::Update::new().email(BOB);
    let (tenant, user) = (TenantId::public(), UserId::from(id.as_str()));
    server
        .site
        .stepup
        .update_user(&tenant, &user, update)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(undo(&server, &own).await, "INVALID_TOKEN_ERROR");
    assert_eq!(contacts(&server, &id).await.0, BOB);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_an_address_that_nobody_verified_gets_no_link_where_addresses_are_verified() {
    let server =
        Server::start_with(|settings| settings.email_verification = EmailVerification::Optional).await;
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    assert_eq!(alice.payload()["st-ev"]["v"], false);
    changed(&server, &mut alice, email(NEW)).await;
    assert_eq!(alice.payload()["st-ev"]["v"], true);
    // The phone is a second factor, and the only contact that anybody proved.
    assert_eq!(
        told(&server).await,
        [(ALICE.to_owned(), false), (PHONE.to_owned(), true)]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_whose_the_new_contact_is_nobody_is_told_but_who_reads_it() {
    for mode in MODES {
        let server = server().await;
        let mut alice = full(&server, mode, ALICE, PHONE).await;
        half(&server, mode, BOB).await;
        let id = alice.user_id();
        let mut answers = Vec::new();
        for to in [NEW, BOB] {
            let (device, code) = asked(&server, &mut alice, email(to)).await;
            let incorrect = confirm(&mut alice, &device, &wrong(&code)).await;
            assert_eq!(incorrect.json()["status"], "INCORRECT_USER_INPUT_CODE_ERROR");
            answers.push(incorrect.json());
        }
        assert_eq!(answers[0], answers[1]);
        let before = contacts(&server, &id).await;
        let (device, code) = asked(&server, &mut alice, email(BOB)).await;
        for _ in 0..2 {
            let taken = confirm(&mut alice, &device, &code).await;
            assert_eq!(taken.status_field(), "CONTACT_ALREADY_EXISTS_ERROR");
            assert!(taken.touches_no_token());
        }
        assert_eq!(contacts(&server, &id).await, before);
        assert_eq!(told(&server).await, []);
        assert_eq!(alice.get("/api/secret").await.status, 200);
        // A phone may be the second factor of two.
        full(&server, mode, "carol@example.com", OTHER_PHONE).await;
        changed(&server, &mut alice, phone(OTHER_PHONE)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_02_of_two_answers_at_once_one_changes_the_contact() {
    let server = server().await;
    let second = server.second().await;
    let alice = full(&server, Mode::Header, ALICE, PHONE).await;
    let id = alice.user_id();
    let mut asking = alice.clone();
    let (device, code) = asked(&server, &mut asking, email(NEW)).await;
    let (phones, number) = asked(&server, &mut asking, phone(OTHER_PHONE)).await;
    let epoch = user(&server, &id).await.epoch;
    let barrier = Arc::new(Barrier::new(16));
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let mut client = if n % 2 == 0 {
                alice.clone()
            } else {
                alice.moved_to(&second)
            };
            let (device, code) = if n % 4 < 2 {
                (device.clone(), code.clone())
            } else {
                (phones.clone(), number.clone())
            };
            let barrier = barrier.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                let answer = confirm(&mut client, &device, &code).await;
                assert!(answer.status < 500, "{answer:?}");
                answer.status == 200 && answer.status_field() == "OK"
            })
        })
        .collect();
    let mut won = 0;
    for task in tasks {
        won += u32::from(task.await.unwrap());
    }
    // The first change ends what was sent before it, of the other contact too.
    assert_eq!(won, 1);
    let now = user(&server, &id).await;
    assert_eq!(now.epoch, epoch + 1);
    let (address, phones) = contacts(&server, &id).await;
    assert!(
        (address == NEW) != (phones == [OTHER_PHONE]),
        "{address} {phones:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_a_code_is_good_in_its_own_session_and_for_nothing_else() {
    let server = server().await;
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    let mut other = server.client(Mode::Header);
    other.sign_in(ALICE).await;
    server.moved(20).await;
    other.complete(&server, PHONE).await;
    let mut bob = full(&server, Mode::Header, BOB, OTHER_PHONE).await;
    let (device, code) = asked(&server, &mut alice, phone(OTHER_PHONE)).await;
    for client in [&mut other, &mut bob] {
        assert_eq!(
            confirm(client, &device, &code).await.status_field(),
            "RESTART_FLOW_ERROR"
        );
    }
    // It completes no factor, and one that does changes no contact.
    let mut half_login = server.client(Mode::Header);
    half_login.sign_in(ALICE).await;
    let id = stepup_core::factor::passwordless::DeviceId::parse(device.as_str().unwrap())
        .unwrap()
        .challenge();
    let created = json!({ "deviceId": device, "preAuthSessionId": id.as_str() });
    for client in [&mut half_login, &mut alice] {
        assert_eq!(
            client.consume(&created, &code).await.status_field(),
            "RESTART_FLOW_ERROR"
        );
    }
    server.moved(20).await;
    let second = alice.create_code(PHONE).await.json();
    let answer = server.code().await;
    let refused = confirm(&mut alice, &second["deviceId"], &answer).await;
    assert_eq!(refused.status_field(), "RESTART_FLOW_ERROR");
    // Too late is too late, and a later wish takes the place of an earlier one.
    let (newer, newer_code) = asked(&server, &mut alice, phone("+41791234569")).await;
    assert_eq!(
        confirm(&mut alice, &device, &code).await.status_field(),
        "RESTART_FLOW_ERROR"
    );
    server.moved(270).await;
    alice.complete(&server, PHONE).await;
    server.moved(40).await;
    let late = confirm(&mut alice, &newer, &newer_code).await;
    assert_eq!(late.json()["status"], "EXPIRED_USER_INPUT_CODE_ERROR");
    assert_eq!(contacts(&server, &alice.user_id()).await.1, [PHONE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_what_may_not_stand_there_is_refused_before_anything_is_sent() {
    let server = Server::start_with(|settings| {
        settings.second_factors = vec![FactorId::OTP_PHONE, FactorId::OTP_EMAIL];
        settings.sms_countries = Some(vec!["CH".to_owned()]);
    })
    .await;
    let mut alice = full(&server, Mode::Cookie, ALICE, PHONE).await;
    let body = json!({ "email": "codes@example.com", "shouldTryLinkingWithSessionUser": true });
    let created = alice.post("/auth/signinup/code", body).await;
    let code = server.code().await;
    assert_eq!(alice.consume(&created.json(), &code).await.status_field(), "OK");
    let (before, sent) = (server.dump().await, server.sent().await.len());
    for body in [
        // Its own already, in another spelling too; that of the other factor; and what is none.
        email("ALICE@example.com"),
        phone("+41 79 123 45 67"),
        email("codes@example.com"),
        email("no address"),
        phone("0041"),
        // A country that nothing is sent to.
        phone("+14155550132"),
        json!({ "email": "codes@example.com", "role": "second" }),
    ] {
        let refused = alice.post(CHANGE, body.clone()).await;
        assert_eq!(
            (refused.status, refused.status_field().as_str()),
            (200, "GENERAL_ERROR"),
            "{body}"
        );
    }
    let none = alice
        .post(CHANGE, json!({ "phoneNumber": OTHER_PHONE, "role": "first" }))
        .await;
    assert_eq!(none.status, 404);
    for body in [
        json!({}),
        json!({ "email": NEW, "phoneNumber": OTHER_PHONE }),
        json!({ "email": 1 }),
        json!({ "email": NEW, "role": "third" }),
        json!({ "email": NEW, "userId": "x" }),
        json!({ "email": NEW, "role": null }),
    ] {
        assert_eq!(alice.post(CHANGE, body.clone()).await.status, 400, "{body}");
    }
    for body in [
        json!({}),
        json!({ "deviceId": "x", "userInputCode": "1" }),
        json!({ "deviceId": 1, "userInputCode": "1" }),
    ] {
        assert_eq!(alice.post(CONFIRM, body.clone()).await.status, 400, "{body}");
    }
    assert_eq!(server.dump().await, before);
    assert_eq!(server.sent().await.len(), sent);
    // The mailbox of the codes has a role of its own.
    let id = alice.user_id();
    changed(&server, &mut alice, json!({ "email": NEW, "role": "second" })).await;
    assert_eq!(
        contacts(&server, &id).await,
        (ALICE.to_owned(), vec![PHONE.to_owned(), NEW.to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_a_mailbox_that_signs_in_and_gets_the_codes_moves_in_both_places() {
    let server = with_mailboxes().await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let body = json!({ "email": ALICE, "shouldTryLinkingWithSessionUser": true });
    let created = alice.post("/auth/signinup/code", body).await;
    let code = server.code().await;
    assert_eq!(alice.consume(&created.json(), &code).await.status_field(), "OK");
    let id = alice.user_id();
    changed(&server, &mut alice, email(NEW)).await;
    assert_eq!(
        contacts(&server, &id).await,
        (NEW.to_owned(), vec![NEW.to_owned()])
    );
    let own = token(&server, ALICE).await;
    assert_eq!(undo(&server, &own).await, "OK");
    assert_eq!(
        contacts(&server, &id).await,
        (ALICE.to_owned(), vec![ALICE.to_owned()])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_22_a_stolen_session_neither_floods_a_stranger_nor_guesses_for_ever() {
    let server = Server::start().await;
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    let mut sent = 0;
    let refused = loop {
        let answer = alice.post(CHANGE, phone(OTHER_PHONE)).await;
        if answer.status != 200 {
            break answer;
        }
        sent += 1;
        server.moved(1).await;
    };
    // The budget of the account, of which the enrollment took one.
    assert_eq!((sent, refused.status), (2, 429));
    assert!(refused.header("retry-after").is_some());
    // Answers are counted by account, whichever challenge they are for.
    let mut tries = 0;
    let device = stepup_device();
    let refused = loop {
        let answer = confirm(&mut alice, &json!(device), "000000").await;
        if answer.status != 200 {
            break answer;
        }
        assert_eq!(answer.status_field(), "RESTART_FLOW_ERROR");
        tries += 1;
    };
    assert_eq!((tries, refused.status), (5, 429));
}

/// A device that nobody was told of.
fn stepup_device() -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode([7; 32])
}
