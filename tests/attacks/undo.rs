//! The undo link of a first enrollment: what a thief of the password gains, and how the owner gets the account back.

use std::sync::Arc;

use serde_json::json;
use stepup::config::EmailVerification;
use stepup_testkit::provider::{FakeProvider, Somebody};
use tokio::sync::Barrier;

use super::reset;
use crate::kit::provider::{EXAMPLE, by_provider, linking, serving};
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PASSWORD, PHONE, Response, Server, form, full, half};

const ALICE: &str = "alice@example.com";
const UNDO: &str = "/auth/factor/undo";
const DAY: u32 = 24 * 3600;
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// The path and token of the last undo link that was sent.
async fn link(server: &Server) -> (String, String) {
    for _ in 0..200 {
        server.site.stepup.tick().await;
        let sent = server.sent().await;
        let notices = sent.iter().rev().filter(|mail| mail.kind == "factor_added");
        if let Some(link) = notices.filter_map(|mail| mail.link.clone()).next() {
            let origin = server.site.stepup.app().api_origin().to_owned();
            let path = link
                .strip_prefix(&origin)
                .expect("it leads to the API")
                .to_owned();
            let token = path.split_once("?token=").expect("a token").1.to_owned();
            return (path, token);
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("no link was sent");
}

async fn undo(client: &mut Client, token: &str) -> Response {
    client.post(UNDO, json!({ "token": token })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_the_owner_undoes_the_enrollment_of_a_thief_and_the_old_password_opens_nothing() {
    for mode in MODES {
        let server = Server::start().await;
        half(&server, mode, ALICE).await.sign_out().await;
        // Mallory knows the password, and adds her phone; then whatever else ends challenges.
        let mut mallory = server.client(mode);
        assert_eq!(mallory.sign_in(ALICE).await.status_field(), "OK");
        mallory.complete(&server, PHONE).await;
        assert_eq!(mallory.get("/api/secret").await.status, 200);
        let (_, token) = link(&server).await;
        let mut half_login = server.client(mode);
        assert_eq!(half_login.sign_in(ALICE).await.status_field(), "OK");

        let mut alice = server.client(mode);
        let undone = undo(&mut alice, &token).await;
        assert_eq!(undone.json(), json!({ "status": "OK" }));
        assert!(undone.touches_no_token());
        for thief in [&mut mallory, &mut half_login] {
            assert_eq!(thief.get("/api/secret").await.status, 401);
            assert_eq!(thief.call("PUT", "/auth/mfa/info", None, &[]).await.status, 401);
            assert_eq!(thief.refresh().await.status, 401);
        }
        // The password is right, and answered as a wrong one: here and after a restart.
        let mut again = server.client(mode);
        assert_eq!(
            again.sign_in(ALICE).await.status_field(),
            "WRONG_CREDENTIALS_ERROR"
        );
        let server = server.restart().await;
        assert_eq!(
            server.client(mode).sign_in(ALICE).await.status_field(),
            "WRONG_CREDENTIALS_ERROR"
        );

        // Another password, and the account is hers, with no factor but what she adds.
        let tenant = stepup::TenantId::public();
        let user = server
            .site
            .stepup
            .user_by_email(&tenant, ALICE)
            .await
            .unwrap()
            .unwrap();
        assert!(user.summary.enrolled.is_empty());
        let mailed = reset::token(&server, ALICE).await;
        assert_eq!(
            reset::reset(&server, &mailed, "my own new battery")
                .await
                .status_field(),
            "OK"
        );
        let mut alice = server.client(mode);
        assert_eq!(
            alice
                .post("/auth/signin", form(ALICE, PASSWORD))
                .await
                .status_field(),
            "WRONG_CREDENTIALS_ERROR"
        );
        assert_eq!(
            alice
                .post("/auth/signin", form(ALICE, "my own new battery"))
                .await
                .status_field(),
            "OK"
        );
        alice.complete(&server, OTHER_PHONE).await;
        assert_eq!(alice.get("/api/secret").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_the_link_outlives_whatever_the_thief_does_next_and_works_for_three_days_once() {
    let server = Server::start_with(|settings| {
        settings.second_factors = vec![stepup::FactorId::OTP_PHONE, stepup::FactorId::OTP_EMAIL];
    })
    .await;
    let mut mallory = full(&server, Mode::Header, ALICE, PHONE).await;
    let (_, token) = link(&server).await;
    // A second second factor ends the user's challenges once more, and so does all that changes the account.
    let body = json!({ "email": "mallory@codes.example", "shouldTryLinkingWithSessionUser": true });
    let created = mallory.post("/auth/signinup/code", body).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    let code = server.code().await;
    let consumed = mallory.consume(&created.json(), &code).await;
    assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
    let (tenant, user) = (
        stepup::TenantId::public(),
        stepup::UserId::from(mallory.user_id().as_str()),
    );
    server
        .site
        .stepup
        .user_changed(&tenant, &user, stepup::flow::Changed::Contact)
        .await
        .unwrap();

    server.moved(3 * DAY - 60).await;
    let stranger = server.client(Mode::Header);
    assert_eq!(undo(&mut stranger.clone(), &token).await.status_field(), "OK");
    let now = server.site.stepup.user(&tenant, &user).await.unwrap().unwrap();
    assert!(now.summary.enrolled.is_empty());
    assert_eq!(
        undo(&mut stranger.clone(), &token).await.status_field(),
        "INVALID_TOKEN_ERROR"
    );

    let mut bob = full(&server, Mode::Header, "bob@example.com", OTHER_PHONE).await;
    let (_, late) = link(&server).await;
    assert_ne!(late, token);
    server.moved(3 * DAY).await;
    assert_eq!(
        undo(&mut stranger.clone(), &late).await.status_field(),
        "INVALID_TOKEN_ERROR"
    );
    assert_eq!(bob.refresh().await.status, 200);
    assert_eq!(bob.get("/api/secret").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_of_many_who_use_one_link_at_once_one_is_told_that_it_worked() {
    let server = Server::start().await;
    full(&server, Mode::Header, ALICE, PHONE).await;
    let (_, token) = link(&server).await;
    let barrier = Arc::new(Barrier::new(12));
    let tries: Vec<_> = (0..12)
        .map(|_| {
            let (mut client, token, barrier) = (server.client(Mode::Header), token.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                undo(&mut client, &token).await.status_field()
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
async fn a_mfa_41_no_link_comes_with_a_later_factor_and_none_of_another_tenant_or_kind_undoes() {
    let server = Server::start_with(|settings| settings.tenants = vec!["t1".to_owned()]).await;
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    let (_, token) = link(&server).await;
    let mut stranger = server.client(Mode::Header);
    let other = stranger
        .post("/auth/t1/factor/undo", json!({ "token": token }))
        .await;
    assert_eq!(other.status_field(), "INVALID_TOKEN_ERROR");
    for odd in [
        "",
        "undo_",
        "reset_x",
        &token[..token.len() - 1],
        &token.replacen("undo_", "verify_", 1),
    ] {
        assert_eq!(
            undo(&mut stranger, odd).await.status_field(),
            "INVALID_TOKEN_ERROR",
            "{odd}"
        );
    }
    for body in [
        json!({}),
        json!({ "token": 1 }),
        json!({ "token": token, "userId": "x" }),
    ] {
        assert_eq!(stranger.post(UNDO, body.clone()).await.status, 400, "{body}");
    }
    assert_eq!(alice.get("/api/secret").await.status, 200);
    // Erasure takes it along.
    let user = stepup::UserId::from(alice.user_id().as_str());
    server
        .site
        .stepup
        .erase(&stepup::TenantId::public(), &user)
        .await
        .unwrap();
    assert_eq!(server.number("SELECT count(*) FROM stepup_challenge").await, 0);
    assert_eq!(alice.get("/api/secret").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_07_the_page_that_asks_is_framed_by_nobody_loads_nothing_and_tells_no_other_site_its_token() {
    let server = Server::start().await;
    full(&server, Mode::Cookie, ALICE, PHONE).await;
    let (path, token) = link(&server).await;
    let visitor = server.client(Mode::Cookie);
    for (path, asks) in [(path.clone(), true), (format!("{UNDO}?token=undo_x"), false)] {
        let page = visitor.peek("GET", &path, None, &[]).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
            (
                "content-security-policy",
                "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
            ),
        ] {
            assert_eq!(page.header(name), Some(value), "{name}");
        }
        let text = String::from_utf8(page.body.clone()).unwrap();
        assert_eq!(text.contains("<form"), asks);
        assert_eq!(text.contains(&token), asks);
        assert!(
            !text.contains("<script") && !text.contains("href=") && !text.contains("src="),
            "{text}"
        );
        // Nobody is told whose account it is.
        assert!(!text.contains(ALICE) && !text.contains(&PHONE[3..]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_08_looking_at_the_link_undoes_nothing_and_the_page_does_without_script() {
    let server = Server::start().await;
    let mut alice = full(&server, Mode::Cookie, ALICE, PHONE).await;
    let (path, token) = link(&server).await;
    let before = server.dump().await;
    let scanner = server.client(Mode::Header);
    for method in ["GET", "HEAD"] {
        for _ in 0..3 {
            assert_eq!(scanner.peek(method, &path, None, &[]).await.status, 200);
        }
    }
    assert_eq!(server.dump().await, before);
    assert_eq!(alice.get("/api/secret").await.status, 200);

    // A page of another origin cannot have it posted, though it knew the token.
    let body = format!("token={token}");
    let host = format!("localhost:{}", server.address.port());
    let posted = async |more: &[(&str, &str)]| {
        let mut head = format!("POST {UNDO} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
        for (name, value) in more.iter().chain([&FORM]) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let request = format!("{head}content-length: {}\r\n\r\n{body}", body.len());
        server.raw(request.as_bytes()).await
    };
    for origin in ["https://evil.example", "null"] {
        let forced = posted(&[("origin", origin), ("sec-fetch-site", "cross-site")]).await;
        assert_eq!(forced.status, 403, "{forced:?}");
    }
    let origin = format!("http://{host}");
    let done = posted(&[("origin", origin.as_str()), ("sec-fetch-site", "same-origin")]).await;
    assert_eq!(
        (done.status, done.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    assert!(String::from_utf8_lossy(&done.body).contains("It is undone"));
    assert_eq!(alice.get("/api/secret").await.status, 401);
    let again = posted(&[("origin", origin.as_str())]).await;
    assert!(String::from_utf8_lossy(&again.body).contains("does not work any more"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_an_address_that_nobody_verified_gets_no_link_where_addresses_are_verified() {
    let server =
        Server::start_with(|settings| settings.email_verification = EmailVerification::Optional).await;
    full(&server, Mode::Header, ALICE, PHONE).await;
    server.dump().await;
    let sent = server.sent().await;
    let told: Vec<_> = sent.iter().filter(|mail| mail.kind == "factor_added").collect();
    assert!(
        !told.is_empty() && told.iter().all(|mail| mail.link.is_none()),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_a_reset_by_the_site_ends_the_link() {
    let server = Server::start().await;
    let alice = full(&server, Mode::Header, ALICE, PHONE).await;
    let (_, token) = link(&server).await;
    let user = stepup::UserId::from(alice.user_id().as_str());
    let tenant = stepup::TenantId::public();
    let done = server.site.stepup.reset_factors(&tenant, &user).await;
    assert!(done.unwrap());
    let mut stranger = server.client(Mode::Header);
    assert_eq!(
        undo(&mut stranger, &token).await.status_field(),
        "INVALID_TOKEN_ERROR"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_what_the_thief_signs_in_by_goes_with_the_factor_and_the_owner_gets_a_new_password() {
    for mode in MODES {
        let provider = FakeProvider::new(EXAMPLE);
        let server = serving(&provider).await;
        half(&server, mode, ALICE).await.sign_out().await;
        let mut mallory = server.client(mode);
        assert_eq!(mallory.sign_in(ALICE).await.status_field(), "OK");
        mallory.complete(&server, PHONE).await;
        let (_, token) = link(&server).await;
        // Complete and fresh, so that he can add a provider of his own: it would outlive the factor, and with it beside
        // the password no link would go to an address that nobody verified.
        server.moved(1).await;
        let own = Somebody::new("mallory-there", "mallory@example.net");
        let linked = linking(&server, &provider, &mut mallory, &own).await;
        assert_eq!(linked.status_field(), "OK", "{linked:?}");
        let tenant = stepup::TenantId::public();
        let user = async || {
            let found = server.site.stepup.user_by_email(&tenant, ALICE).await;
            found.unwrap().unwrap()
        };
        assert_eq!(user().await.methods.len(), 2);

        let mut alice = server.client(mode);
        assert_eq!(undo(&mut alice, &token).await.status_field(), "OK");
        let left = user().await;
        assert_eq!(left.methods.len(), 1);
        // By his provider he is somebody else now.
        let mut again = server.client(mode);
        let elsewhere = by_provider(&server, &provider, &mut again, &own).await;
        assert_eq!(elsewhere.status_field(), "OK", "{elsewhere:?}");
        assert_ne!(again.user_id(), left.id.as_str());
        // And the mailbox is all that the account ever had.
        let mailed = reset::token(&server, ALICE).await;
        let set = reset::reset(&server, &mailed, "my own new battery").await;
        assert_eq!(set.status_field(), "OK");
        let signed_in = alice
            .post("/auth/signin", form(ALICE, "my own new battery"))
            .await;
        assert_eq!(signed_in.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_says_of_a_password_only_what_was_done_to_one() {
    let provider = FakeProvider::new(EXAMPLE);
    let server = serving(&provider).await;
    let mut alice = server.client(Mode::Header);
    let own = Somebody::new("alice-there", ALICE);
    let signed_in = by_provider(&server, &provider, &mut alice, &own).await;
    assert_eq!(signed_in.status_field(), "OK", "{signed_in:?}");
    alice.complete(&server, PHONE).await;
    let (path, token) = link(&server).await;
    let browser = server.client(Mode::Cookie);
    let asks = browser.peek("GET", &path, None, &[]).await;
    let body = format!("token={token}");
    let host = format!("localhost:{}", server.address.port());
    let request = format!(
        "POST {UNDO} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\norigin: http://{host}\r\n{}: {}\r\n\
         content-length: {}\r\n\r\n{body}",
        FORM.0,
        FORM.1,
        body.len()
    );
    let done = server.raw(request.as_bytes()).await;
    for (page, says) in [
        (asks, "you have no password here"),
        (done, "Somebody can still sign in"),
    ] {
        let text = String::from_utf8(page.body).unwrap();
        assert!(text.contains(says), "{text}");
        assert!(
            !text.contains("new password") && !text.contains("your password"),
            "{text}"
        );
    }
    assert_eq!(alice.get("/api/secret").await.status, 401);
}
