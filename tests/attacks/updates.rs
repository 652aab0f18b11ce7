//! A user whose contact or password the application changes: what ends, who is told, and what never becomes a key.

use std::sync::Arc;

use serde_json::json;
use stepup::flow::{Update, UpdateRefusal};
use stepup::{FactorId, TenantId, User, UserId};
use stepup_core::password::Password;
use tokio::sync::Barrier;

use crate::kit::{
    Client, MODES, Mode, OTHER_PHONE, PASSWORD, PHONE, Response, Server, answer, form, full, half, wrong,
};

const ALICE: &str = "alice@example.com";
const NEW: &str = "alice@new.example.com";
const BOB: &str = "bob@example.com";
const OTHER_PASSWORD: &str = "another horse battery";
const CREATE: &str = "/auth/signinup/code";
const CONSUME: &str = "/auth/signinup/code/consume";

async fn update(server: &Server, user: &str, update: Update) -> Result<User, UpdateRefusal> {
    let (tenant, user) = (TenantId::public(), UserId::from(user));
    server
        .site
        .stepup
        .update_user(&tenant, &user, update)
        .await
        .unwrap()
}

fn password(text: &str) -> Update {
    Update::new().password(Password::parse(text).unwrap())
}

async fn signed_in(server: &Server, email: &str, password: &str) -> Response {
    let mut client = server.client(Mode::Header);
    client.post("/auth/signin", form(email, password)).await
}

/// Signs in, or up, by a code to `contact`.
async fn by_code(server: &Server, contact: serde_json::Value) -> (Client, bool) {
    let mut client = server.client(Mode::Header);
    let created = client.post(CREATE, contact).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    let code = server.code().await;
    let consumed = client.post(CONSUME, answer(&created.json(), &code)).await;
    assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
    let new = consumed.json()["createdNewRecipeUser"].as_bool().unwrap();
    (client, new)
}

/// Whom the messages about a change went to.
async fn told(server: &Server, kind: &str) -> Vec<String> {
    server.dump().await;
    let sent = server.sent().await;
    let about = sent.iter().filter(|message| message.kind == kind);
    about.map(|message| message.to.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_09_a_password_that_the_site_changes_ends_every_session_at_once() {
    for mode in MODES {
        let server = Server::start().await;
        let elsewhere = server.second().await;
        let alice = full(&server, mode, ALICE, PHONE).await;
        let mut other = server.client(mode);
        other.sign_in(ALICE).await;
        server.moved(20).await;
        elsewhere.moved(20).await;
        let created = other.create_code(PHONE).await.json();
        let code = server.code().await;
        let mut bob = full(&server, mode, BOB, OTHER_PHONE).await;

        let user = update(&server, &alice.user_id(), password(OTHER_PASSWORD))
            .await
            .unwrap();
        assert_eq!(user.methods[0].email.as_deref(), Some(ALICE));
        for mut client in [alice.clone(), other.clone(), alice.moved_to(&elsewhere)] {
            let refused = client.refresh().await;
            assert!(
                refused.status == 401 && refused.clears_everything(),
                "{refused:?}"
            );
        }
        for client in [&alice, &other] {
            assert_eq!(client.clone().get("/api/me").await.status, 401);
        }
        // A code of a half-login from before completes nothing.
        assert_eq!(other.consume(&created, &code).await.status, 401);
        assert_eq!(bob.get("/api/secret").await.status, 200);

        let refused = signed_in(&server, ALICE, PASSWORD).await;
        assert_eq!(refused.status_field(), "WRONG_CREDENTIALS_ERROR");
        let mut anew = server.client(mode);
        let response = anew.post("/auth/signin", form(ALICE, OTHER_PASSWORD)).await;
        assert_eq!(response.status_field(), "OK");
        // The second factor is what it was, and due.
        assert_eq!(anew.get("/api/secret").await.status, 403);
        anew.complete(&server, PHONE).await;
        assert_eq!(anew.get("/api/secret").await.status, 200);
        assert_eq!(told(&server, "password_changed").await, [ALICE, PHONE]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_09_no_sign_in_with_the_old_password_outlives_its_change() {
    let server = Server::start_with(|settings| settings.throttle_scale = 100).await;
    let second = server.second().await;
    let alice = half(&server, Mode::Header, ALICE).await;
    let barrier = Arc::new(Barrier::new(17));
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let mut client = match n % 2 {
                0 => server.client(Mode::Header),
                _ => second.client(Mode::Header),
            };
            let barrier = barrier.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                client.sign_in(ALICE).await;
                client
            })
        })
        .collect();
    barrier.wait().await;
    update(&server, &alice.user_id(), password(OTHER_PASSWORD))
        .await
        .unwrap();
    for task in tasks {
        let mut client = task.await.unwrap();
        if client.refresh.is_some() {
            assert_eq!(client.refresh().await.status, 401);
        }
    }
    assert_eq!(server.number("SELECT count(*) FROM stepup_session").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_changes_takes_the_account_with_it_and_tells_the_old_one() {
    let server = Server::start().await;
    let mut alice = full(&server, Mode::Cookie, ALICE, PHONE).await;
    let id = alice.user_id();
    let user = update(&server, &id, Update::new().email(" Alice@New.Example.COM "))
        .await
        .unwrap();
    assert_eq!(user.methods[0].email.as_deref(), Some(NEW));
    assert_eq!(user.methods[0].id.as_str(), id);
    assert!(!user.methods[0].verified, "nobody has proved it");
    assert_eq!(alice.get("/api/me").await.status, 401);
    assert_eq!(
        signed_in(&server, ALICE, PASSWORD).await.status_field(),
        "WRONG_CREDENTIALS_ERROR"
    );
    assert_eq!(signed_in(&server, NEW, PASSWORD).await.status_field(), "OK");
    // The old address and the second factor, and nothing to the new one, which may be a thief's.
    assert_eq!(told(&server, "contact_changed").await, [ALICE, PHONE]);
    let body = server
        .sent()
        .await
        .into_iter()
        .find(|m| m.kind == "contact_changed")
        .unwrap()
        .body;
    assert!(!body.contains('@'), "{body}");
    // It is free for whoever comes next.
    let stranger = half(&server, Mode::Header, ALICE).await;
    assert_ne!(stranger.user_id(), id);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_that_is_refused_changes_nothing_and_ends_nothing() {
    let server = Server::start().await;
    let mut alice = full(&server, Mode::Cookie, ALICE, PHONE).await;
    half(&server, Mode::Cookie, BOB).await;
    let before = server.dump().await;
    let sent = server.sent().await.len();
    let id = alice.user_id();
    let both = password(OTHER_PASSWORD);
    for (update_, refusal) in [
        (both.email(" BOB@example.com"), UpdateRefusal::EmailTaken),
        (Update::new().email("no address"), UpdateRefusal::EmailMalformed),
        (Update::new().phone("0041"), UpdateRefusal::PhoneMalformed),
        (Update::new().phone(OTHER_PHONE), UpdateRefusal::NotAllowed),
        (Update::new().without_email(), UpdateRefusal::NotAllowed),
        (Update::new().phone(PHONE), UpdateRefusal::SecondFactor),
    ] {
        assert_eq!(update(&server, &id, update_).await, Err(refusal));
    }
    let weak = update(&server, &id, password("password").email(NEW)).await;
    assert!(matches!(weak, Err(UpdateRefusal::Password(_))), "{weak:?}");
    // What is there already is no change.
    update(&server, &id, Update::new().email("Alice@Example.com"))
        .await
        .unwrap();
    update(&server, &id, Update::new()).await.unwrap();
    assert_eq!(server.dump().await, before);
    assert_eq!(server.sent().await.len(), sent);
    assert_eq!(alice.get("/api/secret").await.status, 200);
    assert_eq!(alice.refresh().await.status, 200);
    let unknown = update(&server, "nobody", Update::new().email(NEW)).await;
    assert_eq!(unknown, Err(UpdateRefusal::UnknownUser));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_disabled_stays_so_and_who_is_deleted_is_unknown() {
    let server = Server::start_with(|settings| settings.tenants = vec!["acme".to_owned()]).await;
    let (stepup, public) = (&server.site.stepup, TenantId::public());
    let alice = half(&server, Mode::Cookie, ALICE).await;
    let id = UserId::from(alice.user_id().as_str());
    let elsewhere = stepup
        .update_user(&TenantId::from("acme"), &id, Update::new().email(NEW))
        .await
        .unwrap();
    assert_eq!(elsewhere, Err(UpdateRefusal::UnknownUser));
    stepup.disable(&public, &id).await.unwrap();
    update(&server, id.as_str(), password(OTHER_PASSWORD).email(NEW))
        .await
        .unwrap();
    let refused = signed_in(&server, NEW, OTHER_PASSWORD).await;
    assert_eq!(refused.status_field(), "WRONG_CREDENTIALS_ERROR");
    stepup.enable(&public, &id).await.unwrap();
    assert_eq!(signed_in(&server, NEW, OTHER_PASSWORD).await.status_field(), "OK");
    stepup.delete(&public, &id).await.unwrap();
    let buried = update(&server, id.as_str(), Update::new().email(ALICE)).await;
    assert_eq!(buried, Err(UpdateRefusal::UnknownUser));
    assert_eq!(
        signed_in(&server, ALICE, PASSWORD).await.status_field(),
        "WRONG_CREDENTIALS_ERROR"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_opens_what_wrong_ones_had_locked() {
    let server = Server::start_with(|settings| {
        settings.profile = stepup::Profile::Strict;
        settings.configure = |config| {
            config.limits.password_account = 2;
        };
    })
    .await;
    let alice = half(&server, Mode::Cookie, ALICE).await;
    for _ in 0..3 {
        signed_in(&server, ALICE, "wrong horse battery").await;
    }
    assert_eq!(
        signed_in(&server, ALICE, PASSWORD).await.status_field(),
        "GENERAL_ERROR"
    );
    update(&server, &alice.user_id(), password(OTHER_PASSWORD))
        .await
        .unwrap();
    assert_eq!(
        signed_in(&server, ALICE, OTHER_PASSWORD).await.status_field(),
        "OK"
    );
}

async fn serving_contacts() -> Server {
    Server::start_with(|settings| {
        settings
            .first_factors
            .extend([FactorId::OTP_PHONE, FactorId::OTP_EMAIL]);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_that_signs_in_by_codes_moves_and_no_code_to_the_old_one_is_worth_anything() {
    let server = serving_contacts().await;
    let (alice, new) = by_code(&server, json!({ "email": ALICE })).await;
    assert!(new);
    server.moved(60).await;
    let mut asked = Vec::new();
    for email in [ALICE, NEW] {
        let mut client = server.client(Mode::Header);
        let created = client.post(CREATE, json!({ "email": email })).await.json();
        asked.push((client, created, server.code().await));
    }
    update(&server, &alice.user_id(), Update::new().email(NEW))
        .await
        .unwrap();
    // Both were sent while the account was another address's.
    for (client, created, code) in &mut asked {
        let late = client.post(CONSUME, answer(created, code)).await;
        assert_eq!(late.status_field(), "RESTART_FLOW_ERROR", "{late:?}");
    }
    server.moved(60).await;
    let (moved, new) = by_code(&server, json!({ "email": NEW })).await;
    assert!(!new && moved.user_id() == alice.user_id());
    let (stranger, new) = by_code(&server, json!({ "email": ALICE })).await;
    assert!(new && stranger.user_id() != alice.user_id());
    assert_eq!(told(&server, "contact_changed").await, [ALICE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_phone_beside_a_mailbox_signs_in_to_the_same_account_until_it_is_taken_away() {
    let server = serving_contacts().await;
    let (alice, _) = by_code(&server, json!({ "email": ALICE })).await;
    update(&server, &alice.user_id(), Update::new().phone("+41 79 123 45 67"))
        .await
        .unwrap();
    let (by_phone, new) = by_code(&server, json!({ "phoneNumber": PHONE })).await;
    assert!(!new && by_phone.user_id() == alice.user_id());
    // Of two accounts that want one number, the store lets one have it.
    let (bob, _) = by_code(&server, json!({ "email": BOB })).await;
    let taken = update(&server, &bob.user_id(), Update::new().phone(PHONE)).await;
    assert_eq!(taken, Err(UpdateRefusal::PhoneTaken));
    update(&server, &alice.user_id(), Update::new().without_phone())
        .await
        .unwrap();
    let last = update(&server, &alice.user_id(), Update::new().without_email()).await;
    assert_eq!(last, Err(UpdateRefusal::NotAllowed));
    server.moved(700).await;
    let (stranger, new) = by_code(&server, json!({ "phoneNumber": PHONE })).await;
    assert!(new && stranger.user_id() != alice.user_id());
    assert_eq!(told(&server, "contact_changed").await, [ALICE, ALICE, PHONE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_07_an_update_makes_no_key_of_a_second_factors_phone() {
    let server = serving_contacts().await;
    let mut alice = server.client(Mode::Cookie);
    alice.sign_up(ALICE).await;
    let second = json!({ "phoneNumber": PHONE, "shouldTryLinkingWithSessionUser": true });
    let created = alice.post(CREATE, second).await.json();
    let code = server.code().await;
    let mut body = answer(&created, &code);
    body["shouldTryLinkingWithSessionUser"] = json!(true);
    assert_eq!(alice.post(CONSUME, body).await.status_field(), "OK");
    let id = alice.user_id();

    let refused = update(&server, &id, Update::new().phone(PHONE)).await;
    assert_eq!(refused, Err(UpdateRefusal::SecondFactor));
    let user = update(&server, &id, password(OTHER_PASSWORD).email(NEW))
        .await
        .unwrap();
    let enrolled = user.summary.enrolled(&FactorId::OTP_PHONE).unwrap();
    assert_eq!(enrolled.contact.as_deref(), Some(PHONE));
    server.moved(3_700).await;
    let exists = server
        .client(Mode::Header)
        .get("/auth/passwordless/phonenumber/exists?phoneNumber=%2B41791234567")
        .await;
    assert_eq!(exists.json()["exists"], false);
    let (mallory, new) = by_code(&server, json!({ "phoneNumber": PHONE })).await;
    assert!(new && mallory.user_id() != id);
    // Nor does the number that is another account's key now ever become this one's.
    let taken = update(&server, &id, Update::new().phone(PHONE)).await;
    assert_eq!(taken, Err(UpdateRefusal::SecondFactor));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_19_a_code_of_before_the_update_is_no_better_than_a_wrong_one() {
    let server = Server::start().await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let created = alice.create_code(PHONE).await.json();
    let code = server.code().await;
    update(&server, &alice.user_id(), Update::new().email(NEW))
        .await
        .unwrap();
    let mut anew = server.client(Mode::Header);
    anew.sign_in(NEW).await;
    for code in [code.clone(), wrong(&code)] {
        let refused = anew.consume(&created, &code).await;
        assert_eq!(refused.status_field(), "RESTART_FLOW_ERROR", "{refused:?}");
    }
    assert!(!anew.completed());
}
