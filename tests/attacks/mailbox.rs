//! Codes by e-mail as the second factor: what is tried with a mailbox that a phone does not have.

use std::sync::Arc;

use serde_json::{Value, json};
use stepup::flow::Caller;
use stepup::{External, FactorId, Profile, UserId};
use tokio::sync::Barrier;

use crate::kit::{Client, MODES, Mode, PHONE, Response, Server, answer, full, half, wrong};

const ALICE: &str = "alice@example.com";
const BOX: &str = "alice@codes.example.net";
const MALLORYS: &str = "mallory@codes.example.net";
const CREATE: &str = "/auth/signinup/code";
const CONSUME: &str = "/auth/signinup/code/consume";

async fn serving(second: &[FactorId], first: &[FactorId]) -> Server {
    Server::start_with(|settings| {
        settings.second_factors = second.to_vec();
        settings.first_factors.extend(first.iter().cloned());
    })
    .await
}

async fn by_mail() -> Server {
    serving(&[FactorId::OTP_EMAIL], &[]).await
}

async fn ask(client: &mut Client, contact: Value) -> Response {
    client.post(CREATE, contact).await
}

fn second(address: &str) -> Value {
    json!({ "email": address, "shouldTryLinkingWithSessionUser": true })
}

async fn complete(server: &Server, client: &mut Client, address: &str) {
    let created = ask(client, second(address)).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    let code = server.code().await;
    let mut body = answer(&created.json(), &code);
    body["shouldTryLinkingWithSessionUser"] = json!(true);
    let consumed = client.post(CONSUME, body).await;
    assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
}

async fn s1(server: &Server, mode: Mode) -> Client {
    let mut alice = server.client(mode);
    assert_eq!(alice.sign_in(ALICE).await.status_field(), "OK");
    alice
}

/// Signs in, or up, by a code to `email`.
async fn by_code(server: &Server, email: &str) -> (Client, bool) {
    let mut client = server.client(Mode::Header);
    let created = client.post(CREATE, json!({ "email": email })).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    let code = server.code().await;
    let consumed = client.post(CONSUME, answer(&created.json(), &code)).await;
    assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
    let new = consumed.json()["createdNewRecipeUser"].as_bool().unwrap();
    (client, new)
}

/// A half-login is told of both claims, a complete session that is stale of the first alone.
const HALF: &[&str] = &["st-mfa", "2fa-completed"];
const STALE: &[&str] = &["st-mfa"];

fn assert_gate(response: &Response, failed: &[&str]) {
    assert_eq!(response.status, 403, "{response:?}");
    assert_eq!(response.failed_claims(), failed, "{response:?}");
    assert!(response.touches_no_token());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_03_another_mailbox_is_refused_before_anything_is_sent() {
    for mode in MODES {
        let server = by_mail().await;
        let mut alice = half(&server, mode, ALICE).await;
        complete(&server, &mut alice, BOX).await;
        server.moved(60).await;
        let mut mallory = s1(&server, mode).await;
        let before = server.dump().await;
        let sent = server.codes_sent().await;
        for body in [
            json!({ "email": MALLORYS }),
            second(MALLORYS),
            second(ALICE),
            json!({ "email": MALLORYS, "shouldTryLinkingWithSessionUser": false }),
        ] {
            let refused = ask(&mut mallory, body).await;
            assert_eq!(refused.status_field(), "GENERAL_ERROR", "{refused:?}");
            assert!(
                !String::from_utf8_lossy(&refused.body).contains('@'),
                "{refused:?}"
            );
        }
        assert_eq!(server.dump().await, before);
        assert_eq!(server.codes_sent().await, sent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_05_a_half_login_adds_no_mailbox_beside_the_phone() {
    let server = serving(&[FactorId::OTP_PHONE, FactorId::OTP_EMAIL], &[]).await;
    full(&server, Mode::Cookie, ALICE, PHONE).await;
    server.moved(60).await;
    let mut mallory = s1(&server, Mode::Cookie).await;
    let before = server.dump().await;
    for address in [MALLORYS, ALICE] {
        assert_gate(&ask(&mut mallory, second(address)).await, HALF);
    }
    assert_eq!(server.dump().await, before);
    let known = mallory
        .call("PUT", "/auth/mfa/info", Some(json!({})), &[])
        .await
        .json();
    assert_eq!(known["factors"]["next"], json!(["otp-phone"]));
    assert_eq!(known["factors"]["allowedToSetup"], json!([]));
    assert_eq!(
        known["emails"]["otp-email"],
        json!([]),
        "nothing to be tempted by"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_05_a_half_login_adds_no_phone_beside_the_mailbox() {
    let server = serving(&[FactorId::OTP_PHONE, FactorId::OTP_EMAIL], &[]).await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    complete(&server, &mut alice, BOX).await;
    let mut mallory = s1(&server, Mode::Header).await;
    assert_gate(&mallory.create_code(PHONE).await, HALF);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_10_a_stale_session_adds_no_mailbox() {
    let server = serving(&[FactorId::OTP_PHONE, FactorId::OTP_EMAIL], &[]).await;
    let mut stolen = full(&server, Mode::Header, ALICE, PHONE).await;
    server.moved(301).await;
    assert_gate(&ask(&mut stolen, second(MALLORYS)).await, STALE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_16_the_mailbox_that_signed_in_is_no_second_factor() {
    let server = serving(
        &[FactorId::OTP_PHONE, FactorId::OTP_EMAIL],
        &[FactorId::OTP_EMAIL, FactorId::LINK_EMAIL],
    )
    .await;
    let (mut alice, _) = by_code(&server, ALICE).await;
    server.moved(60).await;
    // The same mailbox, and any other: a possession was proved already, and a second one is no second kind.
    for address in [ALICE, BOX] {
        let before = server.codes_sent().await;
        assert_gate(&ask(&mut alice, second(address)).await, HALF);
        assert_eq!(server.codes_sent().await, before);
    }
    let known = alice.call("PUT", "/auth/mfa/info", Some(json!({})), &[]).await;
    assert_eq!(known.status_field(), "GENERAL_ERROR", "{known:?}");
    // What opened the session is still what it was: nothing was written over it.
    assert!(alice.payload()["st-mfa"]["c"]["otp-email"].is_i64());
    assert_eq!(alice.refresh().await.status, 200);
    assert_eq!(alice.get("/api/me").await.status, 200);
    assert_eq!(alice.get("/api/secret").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_16_a_mailbox_that_is_enrolled_seconds_no_sign_in_by_mail_and_takes_nothing_from_it() {
    let server = serving(&[FactorId::OTP_EMAIL], &[FactorId::OTP_EMAIL]).await;
    let (by_mail, _) = by_code(&server, ALICE).await;
    server.moved(60).await;
    // The same account by the application's own password check, and with a second factor.
    let id = UserId::from(by_mail.user_id().as_str());
    let stepup = &server.site.stepup;
    let caller = Caller::internal();
    let opened = stepup
        .sign_in_external(&caller, &id, External::knowledge())
        .await
        .unwrap()
        .unwrap();
    let mut alice = server.client(Mode::Header);
    alice.access = Some(opened.tokens.access.expose().clone());
    complete(&server, &mut alice, BOX).await;
    server.moved(700).await;

    let (mut again, new) = by_code(&server, ALICE).await;
    assert!(!new && again.user_id() == id.as_str());
    let before = server.dump().await;
    let sent = server.codes_sent().await;
    for address in [BOX, ALICE] {
        assert_gate(&ask(&mut again, second(address)).await, HALF);
    }
    assert_eq!(server.codes_sent().await, sent);
    assert_eq!(server.dump().await, before);
    assert_eq!(again.get("/api/me").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_16_the_own_mailbox_is_refused_in_the_strict_profile_and_admitted_by_default() {
    let server = by_mail().await;
    let mut alice = half(&server, Mode::Cookie, ALICE).await;
    complete(&server, &mut alice, ALICE).await;
    assert_eq!(alice.get("/api/secret").await.status, 200);
    // There is no other way to tell her.
    server.dump().await;
    let sent = server.sent().await;
    assert!(
        sent.iter().any(|m| m.kind == "factor_added" && m.to == ALICE),
        "{sent:?}"
    );

    let server = Server::start_with(|settings| {
        settings.second_factors = vec![FactorId::OTP_EMAIL];
        settings.profile = Profile::Strict;
    })
    .await;
    let mut alice = half(&server, Mode::Cookie, ALICE).await;
    let before = server.dump().await;
    for own in [ALICE, " Alice@EXAMPLE.com "] {
        let refused = ask(&mut alice, second(own)).await;
        assert_eq!(refused.status_field(), "GENERAL_ERROR", "{refused:?}");
        assert!(
            refused.message().contains("You sign in with this address"),
            "{refused:?}"
        );
    }
    assert_eq!(server.codes_sent().await, 0);
    assert_eq!(server.dump().await, before);
    let known = alice
        .call("PUT", "/auth/mfa/info", Some(json!({})), &[])
        .await
        .json();
    assert_eq!(
        known["emails"]["otp-email"],
        json!([]),
        "it is not suggested either"
    );
    complete(&server, &mut alice, BOX).await;
    assert_eq!(alice.get("/api/secret").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_36_a_mailbox_that_comes_second_never_acts_as_a_first_factor() {
    // Phones sign in, mailboxes do not: the wire has to tell them apart in one endpoint.
    let server = serving(&[FactorId::OTP_EMAIL], &[FactorId::OTP_PHONE]).await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    complete(&server, &mut alice, BOX).await;
    server.moved(60).await;
    let sent = server.codes_sent().await;
    for flag in [json!(false), json!(true), Value::Null] {
        let mut body = json!({ "email": BOX });
        if !flag.is_null() {
            body["shouldTryLinkingWithSessionUser"] = flag;
        }
        let refused = ask(&mut server.client(Mode::Header), body).await;
        assert_eq!(refused.status, 401, "{refused:?}");
    }
    assert_eq!(server.codes_sent().await, sent);
    // With a session the mailbox completes it, whatever the client says.
    let mut again = s1(&server, Mode::Header).await;
    let handle = again.handle();
    let created = ask(&mut again, json!({ "email": BOX })).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    let code = server.code().await;
    server.moved(16).await;
    let mut nobody = server.client(Mode::Header);
    assert_eq!(nobody.resend(&created.json()).await.status, 401);
    assert_eq!(again.resend(&created.json()).await.status_field(), "OK");
    assert_eq!(nobody.consume(&created.json(), &code).await.status, 401);
    let consumed = again.consume(&created.json(), &code).await;
    assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
    assert!(again.handle() == handle && again.completed());
    // And a phone signs in beside it, without a session.
    let mut bob = server.client(Mode::Header);
    let created = bob.create_code(PHONE).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    let code = server.code().await;
    assert_eq!(bob.consume(&created.json(), &code).await.status_field(), "OK");
    assert_ne!(bob.user_id(), alice.user_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_07_a_second_factors_mailbox_signs_in_to_no_account() {
    let server = by_mail().await;
    let mut alice = half(&server, Mode::Cookie, ALICE).await;
    complete(&server, &mut alice, BOX).await;
    server.moved(3_700).await;
    // The same database, with sign-in by e-mail turned on.
    let server = server
        .changed(|settings| {
            settings.first_factors.push(FactorId::OTP_EMAIL);
            settings.second_factors = vec![FactorId::OTP_EMAIL];
        })
        .await;
    let exists = server
        .client(Mode::Header)
        .get(&format!("/auth/passwordless/email/exists?email={BOX}"))
        .await;
    assert_eq!(exists.json(), json!({ "status": "OK", "exists": false }));
    let (mallory, new) = by_code(&server, BOX).await;
    assert!(new, "as for an address that nobody knows");
    assert_ne!(mallory.user_id(), alice.user_id());
    assert!(!mallory.completed());
    // Her password and its code still are hers.
    server.moved(3_700).await;
    let mut alice = s1(&server, Mode::Cookie).await;
    complete(&server, &mut alice, BOX).await;
    assert_eq!(alice.get("/api/secret").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_08_success_with_a_shared_mailbox_closes_the_own_challenges_only() {
    let server = by_mail().await;
    let mut alice = half(&server, Mode::Cookie, ALICE).await;
    complete(&server, &mut alice, BOX).await;
    let mut bob = half(&server, Mode::Cookie, "bob@example.com").await;
    complete(&server, &mut bob, BOX).await;
    server.moved(700).await;
    let mut alice = s1(&server, Mode::Cookie).await;
    let mut bob = server.client(Mode::Cookie);
    bob.sign_in("bob@example.com").await;
    let of_bob = ask(&mut bob, second(BOX)).await.json();
    let code_of_bob = server.code().await;
    complete(&server, &mut alice, BOX).await;
    assert_eq!(bob.consume(&of_bob, &code_of_bob).await.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_08_a_guess_at_the_mailbox_counts_at_the_phone() {
    let server = serving(&[FactorId::OTP_PHONE, FactorId::OTP_EMAIL], &[]).await;
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    server.moved(60).await;
    complete(&server, &mut alice, BOX).await;
    server.moved(700).await;
    let mut mallory = s1(&server, Mode::Header).await;
    let by_phone = mallory.create_code(PHONE).await.json();
    let phones = server.code().await;
    let by_mail = ask(&mut mallory, second(BOX)).await.json();
    let mails = server.code().await;
    for n in 0..5 {
        let (created, code) = match n % 2 {
            0 => (&by_phone, &phones),
            _ => (&by_mail, &mails),
        };
        let refused = mallory.consume(created, &wrong(code)).await;
        assert_eq!(
            refused.status_field(),
            "INCORRECT_USER_INPUT_CODE_ERROR",
            "{n} {refused:?}"
        );
    }
    // Three and two of five each; five together.
    for (created, code) in [(&by_phone, &phones), (&by_mail, &mails)] {
        let throttled = mallory.consume(created, code).await;
        assert_eq!(throttled.status_field(), "GENERAL_ERROR", "{throttled:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_02_of_many_right_answers_from_a_mailbox_one_is_right() {
    let server = by_mail().await;
    let elsewhere = server.second().await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let created = ask(&mut alice, second(BOX)).await.json();
    let code = server.code().await;
    let barrier = Arc::new(Barrier::new(16));
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let mut client = match n % 2 {
                0 => alice.clone(),
                _ => alice.moved_to(&elsewhere),
            };
            let (barrier, created, code) = (barrier.clone(), created.clone(), code.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                client.consume(&created, &code).await.status_field()
            })
        })
        .collect();
    let mut right = 0;
    for task in tasks {
        right += usize::from(task.await.unwrap() == "OK");
    }
    assert_eq!(right, 1);
    let enrolled = "SELECT count(*) FROM stepup_credential WHERE kind = 'contact'";
    assert_eq!(server.number(enrolled).await, 1);
    assert_eq!(server.number("SELECT count(*) FROM stepup_session").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_13_a_code_that_signs_in_completes_nothing_and_the_other_way_round() {
    let server = serving(&[FactorId::OTP_EMAIL], &[FactorId::OTP_EMAIL]).await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let of_second = ask(&mut alice, second(BOX)).await.json();
    let second_code = server.code().await;
    let mut stranger = server.client(Mode::Header);
    let of_first = ask(&mut stranger, json!({ "email": BOX })).await.json();
    let first_code = server.code().await;
    // The code of each under the challenge of the other, and each challenge at the door of the other.
    for (created, code, linking) in [
        (&of_second, &first_code, true),
        (&of_first, &first_code, true),
        (&of_second, &second_code, false),
    ] {
        let mut body = answer(created, code);
        body["shouldTryLinkingWithSessionUser"] = json!(linking);
        let refused = alice.clone().post(CONSUME, body).await;
        assert_ne!(refused.status_field(), "OK", "{refused:?}");
    }
    assert!(!alice.completed());
    let enrolled = "SELECT count(*) FROM stepup_credential WHERE kind = 'contact'";
    assert_eq!(server.number(enrolled).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_28_a_strict_site_shows_the_mailbox_to_whom_it_is_due_and_masks_it_afterwards() {
    let server = Server::start_with(|settings| {
        settings.second_factors = vec![FactorId::OTP_EMAIL];
        settings.profile = Profile::Strict;
    })
    .await;
    let mut alice = half(&server, Mode::Cookie, ALICE).await;
    complete(&server, &mut alice, BOX).await;
    let info = json!({});
    let known = alice
        .call("PUT", "/auth/mfa/info", Some(info.clone()), &[])
        .await
        .json();
    assert_eq!(known["emails"]["otp-email"], json!(["a***@codes.example.net"]));
    // The mask is taken for the stored address, and for nothing else.
    server.moved(60).await;
    complete(&server, &mut alice, "a***@codes.example.net").await;
    let other = ask(&mut alice, second("m***@codes.example.net")).await;
    assert_eq!(other.status_field(), "GENERAL_ERROR", "{other:?}");
    let mut again = s1(&server, Mode::Cookie).await;
    let known = again
        .call("PUT", "/auth/mfa/info", Some(info.clone()), &[])
        .await
        .json();
    assert_eq!(known["emails"]["otp-email"], json!([BOX]), "due");
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_to_mailboxes_that_nobody_has_verified_is_bounded_per_account_and_network() {
    let server = by_mail().await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let mut sent = 0;
    for n in 0..6 {
        let created = ask(&mut alice, second(&format!("victim{n}@example.org"))).await;
        sent += usize::from(created.status_field() == "OK");
    }
    assert_eq!(sent, 3, "three in ten minutes");
    assert_eq!(server.codes_sent().await, 3);
    // No country, and none of its budgets.
    let messages = "SELECT count(*) FROM stepup_counter WHERE name LIKE 'sms%'";
    assert_eq!(server.number(messages).await, 0);
}
