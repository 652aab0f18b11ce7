//! The second factor of the application, over HTTP, against the binary that `cargo run -p existing-app` starts.

#[allow(clippy::indexing_slicing, reason = "a missing member fails the test")]
mod kit;

use std::time::{Duration, Instant};

use kit::{Browser, Server};
use serde_json::json;

const PASSWORD: &str = "correct horse battery";
const PHONE: &str = "+41791234567";
const OTHER_PHONE: &str = "+41791234568";

#[test]
fn a_right_password_alone_opens_no_protected_page_and_a_code_does() {
    let server = Server::start();
    let mut ann = server.browser();
    assert_eq!(ann.get("/account").status, 401, "nobody is logged in");
    assert_eq!(ann.register("ann@example.com", PASSWORD).status, 201);
    assert_eq!(ann.log_in("ann@example.com", PASSWORD).status, 204);

    let refused = ann.get("/account");
    assert_eq!(refused.status, 403);
    assert_eq!(refused.json()["claimValidationErrors"][0]["id"], "st-mfa");

    let created = ann.create_code(PHONE);
    assert_eq!(created["status"], "OK", "{created}");
    let code = server.code_to(PHONE);
    let wrong = ann.consume(&created, "000000x");
    assert_ne!(wrong["status"], "OK", "{wrong}");
    assert_eq!(ann.get("/account").status, 403, "a wrong code changes nothing");
    let consumed = ann.consume(&created, &code);
    assert_eq!(consumed["status"], "OK", "{consumed}");

    let account = ann.get("/account");
    assert_eq!(account.status, 200);
    assert_eq!(account.json()["email"], "ann@example.com");

    assert_eq!(ann.post("/logout", "").status, 204);
    assert_eq!(ann.get("/account").status, 401);
}

#[test]
fn the_notice_of_a_new_factor_goes_to_the_address_in_the_applications_table() {
    let server = Server::start();
    let mut ann = server.browser();
    ann.register(" Ann@Example.COM", PASSWORD);
    // The address at the time of the notice counts, not that of the registration.
    server.sql("UPDATE users SET email = 'new@example.com'");
    ann.log_in("new@example.com", PASSWORD);
    ann.second_factor(&server, PHONE);
    let notice = server.wait_for("--- e-mail to ");
    assert_eq!(notice, "--- e-mail to new@example.com");
}

#[test]
fn a_stored_number_is_the_only_one_that_gets_a_code() {
    let server = Server::start();
    let mut ann = server.signed_in("ann@example.com", PHONE);
    ann.post("/logout", "");
    assert_eq!(ann.log_in("ann@example.com", PASSWORD).status, 204);
    assert_eq!(ann.get("/account").status, 403, "asked for at every log-in");

    let refused = ann.create_code(OTHER_PHONE);
    assert_eq!(refused["status"], "GENERAL_ERROR", "{refused}");
    assert!(
        !refused.to_string().contains("4567"),
        "the stored number is not told"
    );
    let created = ann.create_code(PHONE);
    assert_eq!(created["status"], "OK", "{created}");
    // The first message since then: nothing went to the other number.
    assert_eq!(server.wait_for("--- SMS to "), format!("--- SMS to {PHONE}"));
    let code = server.code();
    assert_eq!(ann.consume(&created, &code)["status"], "OK");
    assert_eq!(ann.get("/account").status, 200);
}

#[test]
fn wrong_passwords_are_throttled_and_then_the_right_one_has_to_wait_too() {
    for email in ["ann@example.com", "nobody@example.com"] {
        let server = Server::start();
        for registered in ["ann@example.com", "bob@example.com"] {
            server.browser().register(registered, PASSWORD);
        }
        // On a machine that is very slow the pause, which is a second at first, may be over before the next try.
        let held = (0..5).any(|_| {
            let begun = Instant::now();
            let mut mallory = server.browser();
            let judged = (0..12).take_while(|_| mallory.log_in(email, "a guess").status == 401);
            let judged = judged.count();
            // However the address is written.
            let right = mallory.log_in(&format!(" {}", email.to_uppercase()), PASSWORD);
            assert!(
                (1..12).contains(&judged) || right.status == 429,
                "{email}: {judged}"
            );
            assert!(
                right.status == 429 || begun.elapsed() > Duration::from_secs(1),
                "{email}"
            );
            assert!(right.status != 429 || (mallory.cookies.is_empty() && right.retry_after() > 0));
            right.status == 429
        });
        assert!(held, "{email}");
        // It is that account that has to wait, not everybody.
        assert_eq!(server.browser().log_in("bob@example.com", PASSWORD).status, 204);
    }
}

#[test]
fn a_log_in_from_a_page_of_another_site_is_refused() {
    let server = Server::start();
    let mut eve = server.browser();
    eve.register("eve@example.com", PASSWORD);
    let foreign: [&[(&str, &str)]; 3] = [
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", ""), ("sec-fetch-site", "cross-site")],
    ];
    for headers in foreign {
        let form = Browser::credentials("eve@example.com", PASSWORD);
        let refused = eve.send(
            "POST",
            "/login",
            "application/x-www-form-urlencoded",
            &form,
            headers,
        );
        assert_eq!(refused.status, 403, "{headers:?}");
        assert!(eve.cookies.is_empty(), "{headers:?}");
    }
    assert_eq!(eve.log_in("eve@example.com", PASSWORD).status, 204);
}

#[test]
fn the_user_is_the_one_of_the_row_whatever_the_request_names() {
    let server = Server::start();
    server.signed_in("ann@example.com", PHONE);
    let ann = server.scalar("SELECT id FROM users WHERE email = 'ann@example.com'");
    let mut eve = server.browser();
    eve.register("eve@example.com", PASSWORD);
    let form = format!(
        "{}&id={ann}&user_id={ann}&userId={ann}",
        Browser::credentials("eve@example.com", PASSWORD)
    );
    let headers = [("x-user-id", ann.as_str())];
    let path = format!("/login?id={ann}&userId={ann}");
    let done = eve.send(
        "POST",
        &path,
        "application/x-www-form-urlencoded",
        &form,
        &headers,
    );
    assert_eq!(done.status, 204);
    // Ann's number would be refused to anybody who has another one, and is not hers alone to enroll.
    eve.second_factor(&server, OTHER_PHONE);
    assert_eq!(eve.get("/account").json()["email"], "eve@example.com");
}

#[test]
fn a_disabled_user_is_out_at_once_and_stays_out() {
    let server = Server::start();
    let mut boss = server.signed_in("boss@example.com", OTHER_PHONE);
    let mut ann = server.signed_in("ann@example.com", PHONE);
    let mut half = server.browser();
    half.log_in("ann@example.com", PASSWORD);
    let created = half.create_code(PHONE);
    let code = server.code_to(PHONE);
    assert_eq!(
        ann.post("/admin/disable", "email=boss@example.com").status,
        403,
        "no administrator"
    );
    assert_eq!(ann.get("/account").status, 200);

    assert_eq!(boss.post("/admin/disable", "email=ann@example.com").status, 204);
    assert_eq!(ann.get("/account").status, 401);
    assert_eq!(ann.refresh().status, 401);
    let late = half.json("/auth/signinup/code/consume", &Browser::answer(&created, &code));
    assert_eq!(late.status, 401, "half-logins end as well");
    assert_eq!(server.browser().log_in("ann@example.com", PASSWORD).status, 401);

    // Should the application forget, there is a second lock on the door.
    server.sql("UPDATE users SET is_disabled = FALSE");
    let mut again = server.browser();
    let refused = again.log_in("ann@example.com", PASSWORD);
    assert_eq!(refused.status, 403);
    assert!(again.cookies.is_empty());
    assert_eq!(boss.get("/account").status, 200, "nobody else is touched");
}

#[test]
fn a_new_password_ends_all_sessions_and_half_log_ins() {
    let server = Server::start();
    let mut ann = server.signed_in("ann@example.com", PHONE);
    let mut thief = server.browser();
    thief.log_in("ann@example.com", PASSWORD);
    thief.second_factor(&server, PHONE);
    let mut half = server.browser();
    half.log_in("ann@example.com", PASSWORD);
    assert_eq!(half.get("/account").status, 403);

    let wrong = "old=not+it&new=a+brand+new+one";
    assert_eq!(ann.post("/account/password", wrong).status, 400);
    assert_eq!(thief.get("/account").status, 200, "nothing has changed yet");
    let form = "old=correct+horse+battery&new=a+brand+new+one";
    assert_eq!(
        half.post("/account/password", form).status,
        403,
        "not with half a log-in"
    );
    assert_eq!(ann.post("/account/password", form).status, 204);

    assert_eq!(thief.get("/account").status, 401);
    assert_eq!(thief.refresh().status, 401);
    let created = half.json("/auth/signinup/code", &json!({ "phoneNumber": PHONE }));
    assert_eq!(created.status, 401);
    let mut new = server.browser();
    assert_eq!(new.log_in("ann@example.com", PASSWORD).status, 401);
    assert_eq!(new.log_in("ann@example.com", "a brand new one").status, 204);
    assert_eq!(
        new.create_code(OTHER_PHONE)["status"],
        "GENERAL_ERROR",
        "the phone stays"
    );
}

#[test]
fn a_deleted_user_is_gone_and_a_new_one_of_that_address_has_nothing_of_it() {
    let server = Server::start();
    let mut ann = server.signed_in("ann@example.com", PHONE);
    let mut elsewhere = server.browser();
    elsewhere.log_in("ann@example.com", PASSWORD);
    elsewhere.second_factor(&server, PHONE);
    let old = server.scalar("SELECT id FROM users");

    assert_eq!(ann.send("DELETE", "/account", "", "", &[]).status, 204);
    assert_eq!(ann.get("/account").status, 401);
    assert_eq!(elsewhere.get("/account").status, 401);
    assert_eq!(elsewhere.refresh().status, 401);
    assert_eq!(server.browser().log_in("ann@example.com", PASSWORD).status, 401);
    assert_eq!(
        server.scalar("SELECT CAST(count(*) AS TEXT) FROM stepup_credential"),
        "0"
    );
    assert_eq!(server.scalar("SELECT state FROM stepup_user"), "deleted");

    let mut new = server.signed_in("ann@example.com", OTHER_PHONE);
    assert_eq!(new.get("/account").status, 200);
    assert_ne!(server.scalar("SELECT id FROM users"), old);
}

#[test]
fn after_a_restart_the_secret_beside_the_database_is_the_same() {
    let server = Server::start();
    let secret = server.folder().join("app.secret");
    server.signed_in("ann@example.com", PHONE);
    let kept = std::fs::read(&secret).unwrap();
    let server = server.restart();
    assert_eq!(std::fs::read(&secret).unwrap(), kept);
    let mut ann = server.browser();
    assert_eq!(ann.log_in("ann@example.com", PASSWORD).status, 204);
    assert_eq!(ann.create_code(OTHER_PHONE)["status"], "GENERAL_ERROR");
    assert_eq!(ann.create_code(PHONE)["status"], "OK");

    // With another secret nothing of it could be read: better not to start at all.
    let folder = server.stop();
    std::fs::remove_file(&secret).unwrap();
    assert!(!kit::starts(folder.path()));
}
