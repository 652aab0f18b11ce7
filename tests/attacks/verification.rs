//! Links that verify an address: what is tried with them, and what they never do.

use std::sync::Arc;

use serde_json::json;
use stepup::config::EmailVerification;
use stepup::delivery::Sent;
use tokio::sync::Barrier;

use crate::kit::{Client, MODES, Mode, PHONE, Response, Server, full, half, returning};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const ASK: &str = "/auth/user/email/verify/token";
const VERIFY: &str = "/auth/user/email/verify";
const INVALID: &str = "EMAIL_VERIFICATION_INVALID_TOKEN_ERROR";
const DAY: u32 = 24 * 3600;

async fn serving(mode: EmailVerification) -> Server {
    Server::start_with(move |settings| settings.email_verification = mode).await
}

async fn ask(client: &mut Client) -> Response {
    client.post(ASK, json!({})).await
}

/// The mails that verify, oldest first.
async fn mails(server: &Server) -> Vec<Sent> {
    let sent = server.sent().await;
    sent.into_iter().filter(|mail| mail.kind == "verify").collect()
}

/// The token in the last of them.
async fn token(server: &Server) -> String {
    let link = mails(server)
        .await
        .pop()
        .and_then(|mail| mail.link)
        .expect("a link was sent");
    parameter(&link, "token")
}

fn parameter(link: &str, name: &str) -> String {
    let query = link.split_once('?').expect("a query").1;
    let found = query
        .split('&')
        .find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    found.expect("the parameter").to_owned()
}

async fn verify(client: &mut Client, token: &str) -> Response {
    client
        .post(VERIFY, json!({ "method": "token", "token": token }))
        .await
}

async fn is_verified(client: &mut Client) -> bool {
    let answer = client.get(VERIFY).await;
    assert_eq!(answer.status_field(), "OK", "{answer:?}");
    answer.json()["isVerified"].as_bool().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_21_a_verified_address_completes_no_second_factor_and_opens_no_session() {
    for mode in MODES {
        let server = serving(EmailVerification::Required).await;
        let mut alice = returning(&server, mode, ALICE, PHONE).await;
        assert_eq!(ask(&mut alice).await.status_field(), "OK");
        let token = token(&server).await;

        // The mailbox alone: no session, no token, whatever is asked with it.
        let mut thief = server.client(mode);
        let verified = verify(&mut thief, &token).await;
        assert_eq!(verified.json(), json!({ "status": "OK" }), "{verified:?}");
        assert!(verified.touches_no_token());
        assert_eq!(thief.get("/api/me").await.status, 401);

        // And who has the password as well still lacks the second factor.
        assert!(is_verified(&mut alice).await);
        let refused = alice.get("/api/secret").await;
        assert_eq!(refused.status, 403);
        assert_eq!(refused.failed_claims(), ["st-mfa", "2fa-completed"]);
        alice.complete(&server, PHONE).await;
        assert_eq!(alice.get("/api/secret").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_05_a_link_that_verifies_leaves_the_session_of_whoever_opens_it_alone() {
    for mode in MODES {
        let server = serving(EmailVerification::Optional).await;
        let mut mallory = half(&server, mode, "mallory@example.com").await;
        assert_eq!(ask(&mut mallory).await.status_field(), "OK");
        let token = token(&server).await;

        let mut alice = full(&server, mode, ALICE, PHONE).await;
        let (handle, before) = (alice.handle(), alice.payload());
        let verified = verify(&mut alice, &token).await;
        assert_eq!(verified.status_field(), "OK", "{verified:?}");
        assert!(verified.touches_no_token(), "{verified:?}");
        assert_eq!((alice.handle(), alice.payload()), (handle, before));
        assert!(!is_verified(&mut alice).await, "her own address is as it was");
        assert!(is_verified(&mut mallory).await);

        // A foreign page can not have it opened either.
        let body = json!({ "method": "token", "token": token });
        let origin = [("origin", "https://evil.example")];
        let forced = alice.peek("POST", VERIFY, Some(&body), &origin).await;
        assert_eq!(forced.status, 403, "{forced:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_08_looking_at_a_link_that_verifies_spends_nothing() {
    let server = serving(EmailVerification::Optional).await;
    let mut alice = half(&server, Mode::Cookie, ALICE).await;
    assert_eq!(ask(&mut alice).await.status_field(), "OK");
    let token = token(&server).await;
    let scanner = server.client(Mode::Header);
    for method in ["GET", "HEAD"] {
        for path in [
            format!("/auth/verify-email?token={token}&tenantId=public"),
            format!("{VERIFY}?method=token&token={token}"),
        ] {
            scanner.peek(method, &path, None, &[]).await;
        }
    }
    // Nor does a session's own look, whatever the query says.
    let peeked = alice.get(&format!("{VERIFY}?token={token}")).await;
    assert_eq!(peeked.json()["isVerified"], false);
    assert_eq!(
        verify(&mut server.client(Mode::Header), &token)
            .await
            .status_field(),
        "OK"
    );
    assert!(is_verified(&mut alice).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_13_tokens_and_codes_of_one_address_are_good_for_their_own_purpose_only() {
    let server = Server::start_with(|settings| {
        settings.email_verification = EmailVerification::Optional;
        settings.first_factors.push(stepup::FactorId::OTP_EMAIL);
    })
    .await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    assert_eq!(ask(&mut alice).await.status_field(), "OK");
    let verification = token(&server).await;

    // A token that verifies sets no password and signs nobody in.
    let fields = json!([{ "id": "password", "value": "another horse battery" }]);
    let body = json!({ "method": "token", "token": verification, "formFields": fields });
    let mut stranger = server.client(Mode::Header);
    let reset = stranger.post("/auth/user/password/reset", body).await;
    assert_ne!(reset.status_field(), "OK", "{reset:?}");
    let created = stranger
        .post("/auth/signinup/code", json!({ "email": "carol@example.com" }))
        .await;
    let created = created.json();
    let consumed = stranger.consume(&created, &verification).await;
    assert_ne!(consumed.status_field(), "OK", "{consumed:?}");

    // A code that signs in, or the parts of a link, verify nothing.
    let code = server.code().await;
    for other in [
        code.as_str(),
        created["deviceId"].as_str().unwrap(),
        "",
        "verify_",
    ] {
        assert_eq!(
            verify(&mut stranger, other).await.status_field(),
            INVALID,
            "{other}"
        );
    }
    // The text of the token under another kind's name is none.
    let renamed = verification.replacen("verify_", "reset_", 1);
    assert_eq!(verify(&mut stranger, &renamed).await.status_field(), INVALID);
    assert!(!is_verified(&mut alice).await);
    assert_eq!(verify(&mut stranger, &verification).await.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_19_a_token_that_verifies_works_once_for_a_day_and_not_beside_another() {
    let server = serving(EmailVerification::Optional).await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        assert_eq!(ask(&mut alice).await.status_field(), "OK");
        tokens.push(token(&server).await);
    }
    let mut stranger = server.client(Mode::Header);
    assert_eq!(verify(&mut stranger, &tokens[0]).await.status_field(), "OK");
    for used in &tokens {
        assert_eq!(verify(&mut stranger, used).await.status_field(), INVALID);
    }
    // There is nothing more to verify, and no more mail.
    assert_eq!(
        ask(&mut alice).await.status_field(),
        "EMAIL_ALREADY_VERIFIED_ERROR"
    );
    assert_eq!(mails(&server).await.len(), 2);

    // A day, and not a second longer.
    let mut bob = half(&server, Mode::Header, BOB).await;
    for (wait, outcome) in [(DAY, INVALID), (DAY - 1, "OK")] {
        let answer = ask(&mut bob).await;
        assert_eq!(answer.status_field(), "OK", "{answer:?}");
        let token = token(&server).await;
        server.moved(wait).await;
        assert_eq!(verify(&mut stranger, &token).await.status_field(), outcome);
        let mut again = server.client(Mode::Header);
        assert_eq!(again.sign_in(BOB).await.status_field(), "OK");
        bob = again;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_19_a_token_that_verifies_dies_with_the_address_and_with_the_credential_epoch() {
    let server = serving(EmailVerification::Optional).await;
    let mut stranger = server.client(Mode::Header);
    // The second factor that is enrolled ends whatever was begun before it.
    let mut alice = half(&server, Mode::Header, ALICE).await;
    assert_eq!(ask(&mut alice).await.status_field(), "OK");
    let before = token(&server).await;
    alice.complete(&server, PHONE).await;
    assert_eq!(verify(&mut stranger, &before).await.status_field(), INVALID);

    // Another address: what went to the old one verifies neither.
    assert_eq!(ask(&mut alice).await.status_field(), "OK");
    let old = token(&server).await;
    let user = stepup::UserId::from(alice.user_id().as_str());
    let update = stepup::flow::Update::new().email("alice@new.example.com");
    let tenant = stepup::TenantId::public();
    server
        .site
        .stepup
        .update_user(&tenant, &user, update)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(verify(&mut stranger, &old).await.status_field(), INVALID);
    let now = server.site.stepup.user(&tenant, &user).await.unwrap().unwrap();
    assert!(now.methods.iter().all(|method| !method.verified));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_19_of_many_who_use_one_token_at_once_one_is_told_that_it_was_right() {
    let server = serving(EmailVerification::Optional).await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    assert_eq!(ask(&mut alice).await.status_field(), "OK");
    let token = token(&server).await;
    let barrier = Arc::new(Barrier::new(16));
    let tries: Vec<_> = (0..16)
        .map(|_| {
            let (mut client, token, barrier) = (server.client(Mode::Header), token.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                verify(&mut client, &token).await.status_field()
            })
        })
        .collect();
    let mut right = 0;
    for attempt in tries {
        right += u32::from(attempt.await.unwrap() == "OK");
    }
    assert_eq!(right, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_fills_a_mailbox_with_links_that_verify() {
    let server = serving(EmailVerification::Optional).await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let mut answers = Vec::new();
    for _ in 0..6 {
        answers.push(ask(&mut alice).await.status_field());
    }
    assert_eq!(
        answers,
        [
            "OK",
            "OK",
            "OK",
            "GENERAL_ERROR",
            "GENERAL_ERROR",
            "GENERAL_ERROR"
        ]
    );
    assert_eq!(mails(&server).await.len(), 3);
    // It is a budget of its own: codes still go out.
    alice.complete(&server, PHONE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ten_01_a_token_that_verifies_belongs_to_its_tenant() {
    let server = Server::start_with(|settings| {
        settings.email_verification = EmailVerification::Optional;
        settings.tenants = vec!["t1".to_owned()];
    })
    .await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    assert_eq!(ask(&mut alice).await.status_field(), "OK");
    let link = mails(&server).await.pop().and_then(|mail| mail.link).unwrap();
    let origin = server.site.stepup.app().website_origin().to_owned();
    assert!(
        link.starts_with(&format!("{origin}/auth/verify-email?token=verify_")),
        "{link}"
    );
    assert_eq!(parameter(&link, "tenantId"), "public");
    let token = parameter(&link, "token");
    let mut stranger = server.client(Mode::Header);
    let body = || json!({ "method": "token", "token": token });
    let elsewhere = stranger.post("/auth/t1/user/email/verify", body()).await;
    assert_eq!(elsewhere.status_field(), INVALID);
    let here = stranger.post("/auth/public/user/email/verify", body()).await;
    assert_eq!(here.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_to_verify_is_refused_in_its_shape() {
    let server = serving(EmailVerification::Optional).await;
    let mut client = server.client(Mode::Header);
    for body in [
        json!({}),
        json!({ "method": "token" }),
        json!({ "token": "verify_x" }),
        json!({ "method": "token", "token": null }),
        json!({ "method": "token", "token": ["verify_x"] }),
        json!({ "method": "code", "token": "verify_x" }),
    ] {
        let refused = client.post(VERIFY, body.clone()).await;
        assert_eq!(refused.status, 400, "{body}: {refused:?}");
    }
    assert_eq!(ask(&mut client).await.status, 401);
    assert_eq!(client.get(VERIFY).await.status, 401);
    // And where nothing is verified there are no such endpoints.
    let server = serving(EmailVerification::Off).await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    assert!(alice.payload().get("st-ev").is_none());
    for (method, path) in [("POST", ASK), ("POST", VERIFY), ("GET", VERIFY)] {
        let body =
            (path == VERIFY && method == "POST").then(|| json!({ "method": "token", "token": "verify_x" }));
        assert_eq!(
            alice.call(method, path, body, &[]).await.status,
            404,
            "{method} {path}"
        );
    }
}
