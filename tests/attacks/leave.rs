//! Leave to add a first second factor, where a stolen password is not to be enough for it.

use serde_json::json;
use stepup::config::EmailVerification;
use stepup::{EnrollmentMode, FactorId, Policy, SessionHandle, TenantId, any_of};

use crate::kit::{Client, MODES, Mode, PHONE, Response, Server, half};

const ALICE: &str = "alice@example.com";
const CONFIRM: &str = "/auth/factor/confirm";

async fn serving(mode: EnrollmentMode) -> Server {
    Server::start_both(
        |settings| settings.email_verification = EmailVerification::Optional,
        move |builder| {
            let policy = Policy::second_factor(any_of([FactorId::OTP_PHONE]));
            builder.policy(policy.with_enrollment(mode))
        },
    )
    .await
}

/// The token of the last message of a kind, and how many of them there were.
async fn token(server: &Server, kind: &str) -> (String, usize) {
    let sent = server.sent().await;
    let links: Vec<String> = sent
        .iter()
        .filter(|mail| mail.kind == kind)
        .filter_map(|mail| mail.link.clone())
        .collect();
    let last = links.last().expect("a link was sent");
    let token = last
        .split(['?', '&'])
        .find_map(|part| part.strip_prefix("token="));
    (token.unwrap().to_owned(), links.len())
}

/// Signs up, and verifies the address.
async fn verified(server: &Server, mode: Mode) -> Client {
    let mut alice = half(server, mode, ALICE).await;
    let asked = alice.post("/auth/user/email/verify/token", json!({})).await;
    assert_eq!(asked.status_field(), "OK", "{asked:?}");
    let (token, _) = token(server, "verify").await;
    let body = json!({ "method": "token", "token": token });
    assert_eq!(
        alice.post("/auth/user/email/verify", body).await.status_field(),
        "OK"
    );
    alice
}

async fn signed_in(server: &Server, mode: Mode) -> Client {
    let mut client = server.client(mode);
    assert_eq!(client.sign_in(ALICE).await.status_field(), "OK");
    client
}

fn assert_told(response: &Response, words: &str) {
    assert_eq!(
        (response.status, response.status_field().as_str()),
        (200, "GENERAL_ERROR"),
        "{response:?}"
    );
    assert!(response.message().contains(words), "{response:?}");
}

async fn confirm(client: &mut Client, token: &str) -> String {
    client
        .post(CONFIRM, json!({ "token": token }))
        .await
        .status_field()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_where_the_mailbox_confirms_a_password_alone_enrolls_nothing() {
    for mode in MODES {
        let server = serving(EnrollmentMode::ConfirmByEmail).await;
        let mut alice = verified(&server, mode).await;
        let mut mallory = signed_in(&server, mode).await;
        // The list is as ever, so that the client gets to ask; and the answer is told in words, without a code.
        let info = mallory.call("PUT", "/auth/mfa/info", None, &[]).await;
        assert_eq!(info.json()["factors"]["next"], json!(["otp-phone"]), "{info:?}");
        assert_told(&mallory.create_code(PHONE).await, "We sent you an e-mail");
        assert_eq!(server.codes_sent().await, 0);
        // Alice does not confirm it; her own wish is confirmed for her own session alone.
        assert_told(&alice.create_code(PHONE).await, "We sent you an e-mail");
        let (own, count) = token(&server, "confirm").await;
        assert_eq!(count, 2);
        let mut browser = server.client(mode);
        // Looking at it gives nothing.
        for method in ["GET", "HEAD"] {
            let looked = browser
                .peek(method, &format!("{CONFIRM}?token={own}"), None, &[])
                .await;
            assert_eq!(looked.status, 200);
        }
        assert_told(&alice.create_code(PHONE).await, "");
        assert_eq!(confirm(&mut browser, &own).await, "OK");
        assert_eq!(confirm(&mut browser, &own).await, "INVALID_TOKEN_ERROR");
        assert!(browser.access_token().is_none());
        assert_told(&mallory.create_code(PHONE).await, "");
        assert_eq!(server.codes_sent().await, 0);
        alice.complete(&server, PHONE).await;
        assert_eq!(alice.get("/api/secret").await.status, 200);
        assert_eq!(
            mallory.get("/api/me").await.status,
            401,
            "an enrollment ends other sessions"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_leave_by_mail_ends_with_its_quarter_of_an_hour_and_with_its_session() {
    let server = serving(EnrollmentMode::ConfirmByEmail).await;
    let mut alice = verified(&server, Mode::Header).await;
    let mut browser = server.client(Mode::Header);
    // A session that is over confirms nothing.
    let mut other = signed_in(&server, Mode::Header).await;
    assert_told(&other.create_code(PHONE).await, "We sent you an e-mail");
    let (dead, _) = token(&server, "confirm").await;
    assert_eq!(other.sign_out().await.status_field(), "OK");
    assert_eq!(confirm(&mut browser, &dead).await, "INVALID_TOKEN_ERROR");
    // A link of a quarter of an hour ago confirms nothing either.
    assert_told(&alice.create_code(PHONE).await, "We sent you an e-mail");
    let (late, _) = token(&server, "confirm").await;
    server.moved(15 * 60).await;
    assert_eq!(confirm(&mut browser, &late).await, "INVALID_TOKEN_ERROR");
    // Nor does a token of another kind.
    for odd in ["", "confirm_", &late.replacen("confirm_", "undo_", 1)] {
        assert_eq!(confirm(&mut browser, odd).await, "INVALID_TOKEN_ERROR", "{odd}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_without_a_verified_mailbox_nothing_is_confirmed_and_nothing_sent() {
    let server = serving(EnrollmentMode::ConfirmByEmail).await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    assert_told(
        &alice.create_code(PHONE).await,
        "confirm your e-mail address first",
    );
    assert!(server.sent().await.is_empty());
}

/// How many decisions were told, once the background is through with them.
async fn told(server: &Server) -> usize {
    server.dump().await;
    let sent = server.sent().await;
    sent.iter()
        .filter(|mail| mail.kind == "enrollment_decided")
        .count()
}

fn of(client: &Client) -> SessionHandle {
    client.handle().as_str().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_where_an_administrator_approves_nobody_enrolls_before() {
    for mode in MODES {
        let server = serving(EnrollmentMode::Approve).await;
        let (stepup, tenant) = (server.site.stepup.clone(), TenantId::public());
        let mut alice = half(&server, mode, ALICE).await;
        // Nothing is given that was not asked for.
        assert!(stepup.pending_enrollments(&tenant).await.unwrap().is_empty());
        assert!(!stepup.approve_enrollment(&tenant, &of(&alice)).await.unwrap());
        for _ in 0..2 {
            assert_told(&alice.create_code(PHONE).await, "An administrator");
        }
        let pending = stepup.pending_enrollments(&tenant).await.unwrap();
        let waiting: Vec<_> = pending
            .iter()
            .map(|one| (one.user.as_str(), &one.session))
            .collect();
        assert_eq!(waiting, [(alice.user_id().as_str(), &of(&alice))]);
        assert_eq!(server.codes_sent().await, 0);

        // Denied, it waits no more; approved, it may.
        assert!(stepup.deny_enrollment(&tenant, &of(&alice)).await.unwrap());
        assert!(stepup.pending_enrollments(&tenant).await.unwrap().is_empty());
        assert!(!stepup.approve_enrollment(&tenant, &of(&alice)).await.unwrap());
        assert_told(&alice.create_code(PHONE).await, "An administrator");
        assert!(stepup.approve_enrollment(&tenant, &of(&alice)).await.unwrap());
        assert!(stepup.pending_enrollments(&tenant).await.unwrap().is_empty());
        alice.complete(&server, PHONE).await;
        assert_eq!(alice.get("/api/secret").await.status, 200);
        // Whoever has a second factor needs no leave, and gets none.
        assert!(!stepup.approve_enrollment(&tenant, &of(&alice)).await.unwrap());
        assert!(
            !stepup
                .approve_enrollment(&tenant, &"nobody".into())
                .await
                .unwrap()
        );
        assert_eq!(told(&server).await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_leave_that_the_owner_asked_for_is_nothing_to_a_thief_with_the_same_password() {
    for mode in MODES {
        let server = serving(EnrollmentMode::Approve).await;
        let (stepup, tenant) = (server.site.stepup.clone(), TenantId::public());
        let mut alice = half(&server, mode, ALICE).await;
        let mut mallory = signed_in(&server, mode).await;
        let typed = json!({ "phoneNumber": PHONE });
        let asked = async |client: &mut Client, agent: &str| {
            let headers = [("user-agent", agent)];
            let told = client
                .call("POST", "/auth/signinup/code", Some(typed.clone()), &headers)
                .await;
            assert_told(&told, "An administrator");
        };
        asked(&mut mallory, "Thief/1.0").await;
        server.moved(60).await;
        asked(&mut alice, "Owner/1.0").await;
        // Both are told apart before anything is decided.
        let pending = stepup.pending_enrollments(&tenant).await.unwrap();
        let told: Vec<_> = pending
            .iter()
            .map(|one| (&one.session, one.asked_from.agent.as_str()))
            .collect();
        assert_eq!(told, [(&of(&alice), "Owner/1.0"), (&of(&mallory), "Thief/1.0")]);
        assert!(pending.iter().all(|one| one.asked_from.network == "127.0.0.1"));
        assert!(pending.iter().all(|one| one.signed_in_at <= one.asked_at));
        assert_eq!(pending[0].asked_at.since(pending[1].asked_at).as_secs(), 60);

        assert!(stepup.approve_enrollment(&tenant, &of(&alice)).await.unwrap());
        assert_told(&mallory.create_code(PHONE).await, "An administrator");
        // Nor is it to whoever signs in now.
        let mut other = signed_in(&server, mode).await;
        assert_told(&other.create_code(PHONE).await, "An administrator");
        assert_eq!(server.codes_sent().await, 0);
        alice.complete(&server, PHONE).await;
        assert_eq!(mallory.get("/api/me").await.status, 401);
        assert!(stepup.pending_enrollments(&tenant).await.unwrap().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_leave_that_is_taken_back_admits_not_even_a_code_that_was_sent() {
    let server = serving(EnrollmentMode::Approve).await;
    let (stepup, tenant) = (server.site.stepup.clone(), TenantId::public());
    let mut alice = half(&server, Mode::Header, ALICE).await;
    assert_told(&alice.create_code(PHONE).await, "An administrator");
    assert!(stepup.approve_enrollment(&tenant, &of(&alice)).await.unwrap());
    let created = alice.create_code(PHONE).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    assert!(stepup.deny_enrollment(&tenant, &of(&alice)).await.unwrap());
    let code = server.code().await;
    let consumed = alice.consume(&created.json(), &code).await;
    assert_eq!(consumed.status_field(), "RESTART_FLOW_ERROR", "{consumed:?}");
    assert_told(&alice.create_code(PHONE).await, "An administrator");
    assert_eq!(alice.get("/api/secret").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_leave_by_an_administrator_is_asked_for_freshly_and_ends_with_its_session() {
    let server = serving(EnrollmentMode::Approve).await;
    let (stepup, tenant) = (server.site.stepup.clone(), TenantId::public());
    let mut late = half(&server, Mode::Header, ALICE).await;
    server.moved(6 * 60).await;
    late.refresh().await;
    assert_told(&late.create_code(PHONE).await, "sign in again");
    assert!(stepup.pending_enrollments(&tenant).await.unwrap().is_empty());
    // An administrator takes longer than a first factor is fresh.
    let mut alice = signed_in(&server, Mode::Header).await;
    assert_told(&alice.create_code(PHONE).await, "An administrator");
    server.moved(6 * 60).await;
    alice.refresh().await;
    assert!(stepup.approve_enrollment(&tenant, &of(&alice)).await.unwrap());
    let handle = of(&alice);
    assert_eq!(alice.sign_out().await.status_field(), "OK");
    assert!(!stepup.deny_enrollment(&tenant, &handle).await.unwrap());
    // A half-login that is over waits for nothing more.
    let mut alice = signed_in(&server, Mode::Header).await;
    assert_told(&alice.create_code(PHONE).await, "An administrator");
    server.moved(16 * 60).await;
    assert!(stepup.pending_enrollments(&tenant).await.unwrap().is_empty());
    assert!(!stepup.approve_enrollment(&tenant, &of(&alice)).await.unwrap());
}
