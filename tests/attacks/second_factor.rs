//! Rows A-MFA: ways around the second factor.
//!
//! Alice has a password and a phone; Mallory knows the password, and has a phone of her own.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use proptest::prelude::*;
use serde_json::{Value, json};
use stepup::session::claim::ClaimSource;
use stepup::wire::route::{Endpoint, Open, ROUTES};
use stepup::wire::table::Access;
use stepup::{EnrollmentMode, FactorId, Policy, TenantId, UserId, any_of};
use stepup_core::delivery::{Channel, UserDirectory};
use stepup_core::error::Source;
use stepup_core::evidence::{Completed, Completion, Kind};
use stepup_core::id::CredentialId;
use stepup_core::policy::{
    EnrollRefusal, Leave, Offered, SessionAge, Standing, assess, is_complete, may_enroll,
};
use stepup_core::record::user::{Enrolled, Identifier, IdentifierKind, Summary, User};
use stepup_core::storage::memory::MemoryStore;
use stepup_core::storage::{CredentialStore, UserStore};
use stepup_core::time::Timestamp;
use stepup_testkit::faults::{FaultyStore, When};
use tokio::sync::Barrier;

use super::database::{self, Still};
use super::own::{Own, login};
use crate::kit::{
    Client, MODES, Mode, OTHER_PHONE, PASSWORD, PHONE, Response, Server, answer, form, full, half, wrong,
};

const ALICE: &str = "alice@example.com";
const MALLORY: &str = "mallory@example.com";
const BOB: &str = "bob@example.com";

fn public() -> TenantId {
    TenantId::public()
}

/// What `E403M` is: both claims named, nothing written.
fn assert_incomplete(response: &Response, at: &str) {
    assert_eq!(response.status, 403, "{at}: {response:?}");
    assert_eq!(response.message(), "invalid claim", "{at}");
    let failed = response.failed_claims();
    assert!(
        failed.contains(&"st-mfa".to_owned()) && failed.contains(&"2fa-completed".to_owned()),
        "{at}: {failed:?}"
    );
    assert!(response.touches_no_token(), "{at}");
}

fn assert_restart(response: &Response) {
    assert_eq!(
        (response.status, response.json()),
        (200, json!({ "status": "RESTART_FLOW_ERROR" })),
        "{response:?}"
    );
}

/// A refusal in words that says neither which number is stored nor what was typed.
fn assert_general(response: &Response, secrets: &[&str]) {
    assert_eq!(
        (response.status, response.status_field().as_str()),
        (200, "GENERAL_ERROR"),
        "{response:?}"
    );
    let text = String::from_utf8_lossy(&response.body);
    for secret in secrets {
        assert!(!text.contains(secret), "{text}");
    }
}

async fn assert_locked_out(client: &Client) {
    for path in ["/api/secret", "/layered/secret"] {
        assert_incomplete(&client.peek("GET", path, None, &[]).await, path);
    }
}

/// Alice enrolled a while ago, so that no budget of messages is touched yet.
async fn enrolled(server: &Server, email: &str, phone: &str) {
    full(server, Mode::Cookie, email, phone).await.sign_out().await;
    server.moved(3_700).await;
}

/// `S1(email)`: signed in by password, second factor not done.
async fn s1(server: &Server, mode: Mode, email: &str) -> Client {
    let mut client = server.client(mode);
    let response = client.sign_in(email).await;
    assert_eq!(response.status_field(), "OK", "{response:?}");
    client
}

/// Asks for a code to `phone`, and reads it.
async fn asked(server: &Server, client: &mut Client, phone: &str) -> (Value, String) {
    let created = client.create_code(phone).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    (created.json(), server.code().await)
}

// A-MFA-01

/// R-MFA-2: what a half-login may reach. A new route is closed to it unless it is listed here.
const HALF_LOGIN_ROUTES: [&str; 9] = [
    "/session/refresh",
    "/signout",
    "/signinup/code",
    "/signinup/code/resend",
    "/signinup/code/consume",
    "/mfa/info",
    "/factor/list",
    "/user/email/verify/token",
    "/user/email/verify",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_01_a_half_login_reaches_only_what_is_listed() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    for mode in MODES {
        let alice = s1(&server, mode, ALICE).await;
        for row in ROUTES {
            match row.access {
                Access::HalfLogin => assert!(HALF_LOGIN_ROUTES.contains(&row.path), "{row:?}"),
                Access::Open => assert!(
                    matches!(
                        row.endpoint,
                        Endpoint::Open(
                            Open::SignUp
                                | Open::SignIn
                                | Open::AskReset
                                | Open::ResetPassword
                                | Open::EmailExists
                                | Open::PhoneExists
                                | Open::ContactExists
                                | Open::LoginMethods
                                | Open::VerifyEmail
                                | Open::UndoPage
                                | Open::Undo
                                | Open::ConfirmPage
                                | Open::Confirm
                                | Open::AuthorisationUrl
                                | Open::SignInUp
                                | Open::FormPost
                                | Open::Keys
                                | Open::Discovery
                                | Open::ApiDocument
                        )
                    ),
                    "{row:?}"
                ),
                Access::Complete | Access::Fresh => {
                    let body = json!({});
                    let path = format!("/auth{}", row.path);
                    let response = alice.peek(row.method.as_str(), &path, Some(&body), &[]).await;
                    assert_incomplete(&response, row.path);
                }
            }
        }
    }
}

/// The demo's routes that ask nothing of a session, or only that there is one.
const DEMO_OPEN: [&str; 12] = [
    "/",
    "/assets/{file}",
    "/api/me",
    "/api/optional",
    "/auth/verify",
    "/auth/verify-email",
    "/auth/reset-password",
    "/auth/callback/example",
    "/api/link-code",
    "/dev/outbox",
    "/dev/clock",
    "/healthz",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_01_every_guarded_route_of_the_application_is_closed_to_a_half_login() {
    // The application's own source is the list of its routes, so that a new one is covered when it is written.
    let source = include_str!("../../examples/axum/src/lib.rs");
    let routes: Vec<(&str, &str)> = source
        .split(".route(\"")
        .skip(1)
        .filter_map(|rest| {
            let (path, rest) = rest.split_once("\", ")?;
            Some((path, rest.split('(').next()?))
        })
        .collect();
    assert!(routes.len() >= 12, "{routes:?}");
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    for mode in MODES {
        let alice = s1(&server, mode, ALICE).await;
        let still = Still::of(&server).await;
        let mut closed = 0;
        for (path, method) in routes.iter().filter(|(path, _)| !DEMO_OPEN.contains(path)) {
            let body = (*method == "post").then(|| json!({ "text": "hello" }));
            let response = alice
                .peek(&method.to_ascii_uppercase(), path, body.as_ref(), &[])
                .await;
            assert_incomplete(&response, path);
            closed += 1;
        }
        assert!(closed >= 5, "{closed}");
        still.holds(&server).await;
    }
}

// A-MFA-02

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_02_every_first_factor_leaves_the_second_one_due() {
    let site = Own::start(MemoryStore::new()).await;
    for mode in MODES {
        let email = format!("{mode:?}@example.com").to_lowercase();
        let (mut alice, created, code) = site.asked(mode, &email, PHONE).await;
        assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
        alice.sign_out().await;

        let external = format!("row-{mode:?}");
        let mut other = site.logged_in(mode, &external).await;
        let created = other.create_code(OTHER_PHONE).await;
        let code = site.code().await;
        assert_eq!(other.consume(&created.json(), &code).await.status_field(), "OK");
        assert_eq!(other.get("/secret").await.status, 200);
        other.sign_out().await;

        let mut by_password = site.client(mode);
        assert_eq!(by_password.sign_in(&email).await.status_field(), "OK");
        let by_own_login = site.logged_in(mode, &external).await;
        for mut again in [by_password, by_own_login] {
            assert_eq!(again.payload()["st-mfa"]["v"], false);
            assert!(!again.completed());
            for path in ["/plain", "/secret", "/fresh"] {
                assert_eq!(again.get(path).await.status, 403, "{path}");
            }
            assert_eq!(again.refresh().await.status, 200);
            assert!(!again.completed());
            assert_eq!(again.get("/secret").await.status, 403);
        }
        site.moved(3_700);
    }
}

// A-MFA-03

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_03_another_phone_is_refused_before_anything_is_sent() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        let mut mallory = s1(&server, mode, ALICE).await;
        let still = Still::of(&server).await;
        for typed in [
            OTHER_PHONE,
            "+41 79 123 45 68",
            "+14155550132",
            "+41791234567,+41791234568",
        ] {
            let response = mallory.create_code(typed).await;
            assert_general(&response, &[PHONE, "1234567", OTHER_PHONE]);
            assert!(response.touches_no_token());
        }
        let both = json!({ "phoneNumber": PHONE, "email": MALLORY });
        assert_eq!(mallory.post("/auth/signinup/code", both).await.status, 400);
        for (path, status) in [
            ("/auth/contact/change", 403),
            ("/auth/factor/otp-phone/remove", 404),
        ] {
            let refused = mallory.post(path, json!({ "phoneNumber": OTHER_PHONE })).await;
            assert_eq!(refused.status, status, "{path}");
        }
        still.holds(&server).await;
        assert_locked_out(&mallory).await;

        // A sign-in cannot carry one either.
        let mut body = form(ALICE, PASSWORD);
        body["phoneNumber"] = json!(OTHER_PHONE);
        assert_eq!(mallory.post("/auth/signin", body).await.status_field(), "OK");
        let mut body = form(ALICE, PASSWORD);
        let fields = body["formFields"].as_array_mut().unwrap();
        fields.push(json!({ "id": "phoneNumber", "value": OTHER_PHONE }));
        assert_eq!(mallory.post("/auth/signin", body).await.status, 400);
        assert_eq!(mallory.payload()["phoneNumber"], PHONE);
        assert_general(&mallory.create_code(OTHER_PHONE).await, &[PHONE]);

        // The same number in another spelling is the same number.
        let mut alice = s1(&server, mode, ALICE).await;
        alice.complete(&server, " +41 (79) 123-45-67").await;
        assert_eq!(alice.get("/api/secret").await.status, 200);
        // Nor does a complete session swap it here.
        assert_general(&alice.create_code(OTHER_PHONE).await, &[PHONE]);
        assert!(
            server
                .sent()
                .await
                .iter()
                .all(|message| message.to != OTHER_PHONE)
        );
    }
}

// A-MFA-04

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_04_the_destination_of_a_challenge_is_fixed_when_it_is_made() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        let mut mallory_own = half(&server, mode, MALLORY).await;
        let (hers, her_code) = asked(&server, &mut mallory_own, OTHER_PHONE).await;
        let to_mallory = server.sent().await.iter().filter(|m| m.to == OTHER_PHONE).count();

        let mut thief = s1(&server, mode, ALICE).await;
        let (created, code) = asked(&server, &mut thief, PHONE).await;
        server.moved(16).await;
        let mut body =
            json!({ "deviceId": created["deviceId"], "preAuthSessionId": created["preAuthSessionId"] });
        body["phoneNumber"] = json!(OTHER_PHONE);
        let resent = thief.post("/auth/signinup/code/resend", body).await;
        assert_eq!(resent.json(), json!({ "status": "OK" }));
        assert_eq!(server.sent().await.last().unwrap().to, PHONE);

        // Her own code is a wrong answer to Alice's challenge, if it is not the same by chance.
        if her_code != code && her_code != server.code().await {
            let response = thief.consume(&created, &her_code).await;
            assert_eq!(
                response.status_field(),
                "INCORRECT_USER_INPUT_CODE_ERROR",
                "{response:?}"
            );
            assert_eq!(response.json()["failedCodeInputAttemptCount"], 1);
        }
        let mut mixed = answer(&created, &her_code);
        mixed["preAuthSessionId"] = hers["preAuthSessionId"].clone();
        assert_eq!(thief.post("/auth/signinup/code/consume", mixed).await.status, 400);
        let mut mixed = answer(&hers, &her_code);
        mixed["preAuthSessionId"] = created["preAuthSessionId"].clone();
        assert_eq!(thief.post("/auth/signinup/code/consume", mixed).await.status, 400);
        assert_general(&thief.create_code(OTHER_PHONE).await, &[PHONE]);
        assert_locked_out(&thief).await;
        let to_mallory_now = server.sent().await.iter().filter(|m| m.to == OTHER_PHONE).count();
        assert_eq!(to_mallory, to_mallory_now);
        // Alice's own challenge still works in the session that asked.
        assert_eq!(thief.consume(&created, &code).await.status_field(), "OK");
    }
}

// A-MFA-05, A-MFA-10

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_05_a_half_login_enrolls_nothing_beside_the_factor_that_is_there() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        let mut thief = s1(&server, mode, ALICE).await;
        let still = Still::of(&server).await;
        for path in [
            "/auth/totp/device",
            "/auth/totp/device/verify",
            "/auth/webauthn/options/register",
            "/auth/webauthn/credential",
            "/auth/recovery/generate",
            "/auth/device/trust",
            "/auth/factor/totp/prompt",
        ] {
            let response = thief.post(path, json!({ "deviceName": "mine" })).await;
            assert!(matches!(response.status, 403 | 404), "{path}: {response:?}");
            assert!(response.touches_no_token());
        }
        assert_eq!(
            thief
                .post("/auth/signinup/code", json!({ "email": MALLORY }))
                .await
                .status,
            400
        );
        assert_general(&thief.create_code(OTHER_PHONE).await, &[PHONE]);
        let info = thief.call("PUT", "/auth/mfa/info", None, &[]).await.json();
        assert_eq!(info["factors"]["allowedToSetup"], json!([]));
        still.holds(&server).await;
        assert_locked_out(&thief).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_10_a_complete_session_goes_stale_where_a_fresh_one_is_asked_for() {
    for mode in MODES {
        let server = Server::start().await;
        let mut alice = full(&server, mode, ALICE, PHONE).await;
        assert_eq!(alice.post("/api/transfer", json!({})).await.status, 200);
        server.moved(299).await;
        assert_eq!(alice.post("/api/transfer", json!({})).await.status, 200);
        server.moved(2).await;
        let before = alice.token_payload();
        for _ in 0..2 {
            let stale = alice.post("/api/transfer", json!({})).await;
            assert_eq!(
                (stale.status, stale.message().as_str()),
                (403, "invalid claim"),
                "{stale:?}"
            );
            assert_eq!(stale.failed_claims(), ["st-mfa"]);
            assert_eq!(
                stale.json()["claimValidationErrors"][0]["reason"]["factorId"],
                "otp-phone"
            );
            assert!(stale.touches_no_token());
            // A refresh copies the time, and does not renew it.
            assert_eq!(alice.refresh().await.status, 200);
        }
        assert!(alice.completed() && before.contains("otp-phone"));
        assert_eq!(alice.get("/api/secret").await.status, 200);
        // Only the factor renews it.
        server.moved(600).await;
        alice.complete(&server, PHONE).await;
        assert_eq!(alice.post("/api/transfer", json!({})).await.status, 200);
    }
}

// A-MFA-12, A-MFA-13, A-MFA-14

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_12_another_users_code_completes_nothing_and_counts_as_a_failure_of_the_session() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        let mut mallory = half(&server, mode, MALLORY).await;
        let (hers, her_code) = asked(&server, &mut mallory, OTHER_PHONE).await;
        let mut thief = s1(&server, mode, ALICE).await;
        let (own, own_code) = asked(&server, &mut thief, PHONE).await;
        let still = Still::of(&server).await;
        for _ in 0..4 {
            assert_restart(&thief.consume(&hers, &her_code).await);
        }
        still.holds(&server).await;
        // Of the fifth the owner is told.
        assert_restart(&thief.consume(&hers, &her_code).await);
        assert_locked_out(&thief).await;
        // Five failures of Alice's account: even her own right code has to wait now.
        let throttled = thief.consume(&own, &own_code).await;
        assert_general(&throttled, &[]);
        assert!(throttled.header("retry-after").is_some(), "{throttled:?}");
        // Mallory's challenge was not touched by it.
        let consumed = mallory.consume(&hers, &her_code).await;
        assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
        server.moved(31).await;
        assert_eq!(thief.consume(&own, &own_code).await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_13_a_seen_code_is_of_no_use_in_the_session_of_who_saw_it() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        enrolled(&server, MALLORY, OTHER_PHONE).await;
        let mut alice = s1(&server, mode, ALICE).await;
        let (created, code) = asked(&server, &mut alice, PHONE).await;
        let mut mallory = s1(&server, mode, MALLORY).await;
        let still = Still::of(&server).await;
        assert_restart(&mallory.consume(&created, &code).await);
        still.holds(&server).await;
        assert_locked_out(&mallory).await;
        assert_locked_out(&alice).await;
        assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
        assert_eq!(alice.get("/api/secret").await.status, 200);
        assert_locked_out(&mallory).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_14_a_code_is_of_no_use_in_another_session_of_the_same_user() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        let mut asking = s1(&server, mode, ALICE).await;
        let mut other = s1(&server, mode, ALICE).await;
        let (created, code) = asked(&server, &mut asking, PHONE).await;
        let still = Still::of(&server).await;
        assert_restart(&other.consume(&created, &code).await);
        assert_restart(&other.resend(&created).await);
        still.holds(&server).await;
        assert_locked_out(&other).await;
        assert_eq!(asking.consume(&created, &code).await.status_field(), "OK");
        assert_locked_out(&other).await;
    }
}

// A-MFA-17, A-MFA-18

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_17_no_cache_promotes_a_half_login() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        // A complete session of hers is about at the same time.
        let mut complete = s1(&server, mode, ALICE).await;
        complete.complete(&server, PHONE).await;
        let mut thief = s1(&server, mode, ALICE).await;
        for _ in 0..6 {
            assert_eq!(complete.get("/api/secret").await.status, 200);
            assert_eq!(thief.get("/api/me").await.status, 200);
            assert_eq!(thief.get("/api/optional").await.status, 200);
            assert_eq!(
                thief
                    .call("PUT", "/auth/mfa/info", None, &[])
                    .await
                    .status_field(),
                "OK"
            );
            for _ in 0..3 {
                assert_locked_out(&thief).await;
            }
            server.moved(120).await;
            assert_eq!(thief.refresh().await.status, 200);
            assert!(!thief.completed());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_18_nothing_in_the_answer_of_step_one_is_worth_more_than_step_one() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        let mut thief = server.client(mode);
        let response = thief.sign_in(ALICE).await;
        let mut cookies: Vec<&str> = response
            .all("set-cookie")
            .filter_map(|cookie| cookie.split('=').next())
            .collect();
        cookies.sort_unstable();
        let expected: &[&str] = if mode == Mode::Cookie {
            &["sAccessToken", "sRefreshToken"]
        } else {
            &[]
        };
        assert_eq!(cookies, expected);

        // Every value of the answer, as a bearer and as each cookie.
        let values: Vec<String> = response
            .headers
            .iter()
            .flat_map(|(_, value)| value.split([';', '=', ' ']).map(str::to_owned))
            .filter(|value| value.len() >= 16)
            .collect();
        assert!(values.len() >= 3, "{values:?}");
        for value in &values {
            let bearer = format!("Bearer {value}");
            let as_cookie = format!("sAccessToken={value}");
            for header in [("authorization", bearer.as_str()), ("cookie", as_cookie.as_str())] {
                let bare = server.client(mode);
                let refused = bare.peek("GET", "/api/secret", None, &[header]).await;
                assert!(matches!(refused.status, 401 | 403), "{refused:?}");
            }
        }

        // Without the access token the refresh token makes another half-login, not more.
        thief.cookies.remove("sAccessToken");
        thief.access = None;
        assert_eq!(thief.get("/api/secret").await.status, 401);
        assert_eq!(thief.refresh().await.status, 200);
        assert_locked_out(&thief).await;
    }
}

// A-MFA-24

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_24_an_empty_or_odd_code_is_a_wrong_one() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    for mode in MODES {
        let mut alice = s1(&server, mode, ALICE).await;
        let (created, code) = asked(&server, &mut alice, PHONE).await;
        let still = Still::of(&server).await;
        let ill_typed = [
            Value::Null,
            json!(0),
            json!(code.parse::<u32>().unwrap()),
            json!([code]),
            json!({ "code": code }),
            json!(true),
            json!(code.repeat(2_000)),
        ];
        for odd in ill_typed {
            let mut body = answer(&created, "");
            body["userInputCode"] = odd;
            let response = alice.post("/auth/signinup/code/consume", body).await;
            assert_eq!(response.status, 400, "{response:?}");
            assert!(!String::from_utf8_lossy(&response.body).contains(&code));
        }
        let mut missing = answer(&created, "");
        missing.as_object_mut().unwrap().remove("userInputCode");
        assert_eq!(
            alice.post("/auth/signinup/code/consume", missing).await.status,
            400
        );
        // None of those was an attempt; each of these is one.
        let full_width: String = code
            .chars()
            .map(|c| char::from_u32(c as u32 + 0xfee0).unwrap())
            .collect();
        let spellings = if mode == Mode::Cookie {
            [String::new(), full_width, format!(" {code}"), format!("{code}0")]
        } else {
            [
                wrong(&code),
                format!("{code}\0"),
                code[..5].to_owned(),
                format!("+{}", &code[1..]),
            ]
        };
        for (n, typed) in spellings.iter().enumerate() {
            let response = alice.consume(&created, typed).await;
            assert_eq!(
                response.json(),
                json!({
                    "status": "INCORRECT_USER_INPUT_CODE_ERROR",
                    "failedCodeInputAttemptCount": n + 1,
                    "maximumCodeInputAttempts": 5,
                }),
                "{typed:?}"
            );
        }
        still.holds(&server).await;
        assert_locked_out(&alice).await;
        assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
        server.moved(700).await;
    }
}

// A-MFA-25, A-MFA-26, A-MFA-40

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_25_a_verifier_that_fails_completes_nothing() {
    for mode in MODES {
        for verb in ["look", "charge", "answer", "complete_factor"] {
            let site = Own::start(FaultyStore::new(MemoryStore::new())).await;
            let (mut alice, created, code) = site.asked(mode, ALICE, PHONE).await;
            site.store.fail_verb(verb, When::Before);
            let response = alice.consume(&created, &code).await;
            assert_eq!(response.status, 503, "{verb}: {response:?}");
            assert!(
                !response.message().is_empty() && response.touches_no_token(),
                "{verb}"
            );
            site.store.heal();
            assert_eq!(alice.get("/secret").await.status, 403, "{verb}");
            assert_eq!(alice.refresh().await.status, 200, "{verb}");
            assert!(!alice.completed(), "{verb}");
            let user = site.user(ALICE).await.unwrap();
            assert!(user.summary.enrolled.is_empty(), "{verb}");
            // A code that was compared is lost, never the account; one that was not is as good as before.
            let again = alice.consume(&created, &code).await;
            let expected = if verb == "complete_factor" {
                "RESTART_FLOW_ERROR"
            } else {
                "OK"
            };
            assert_eq!(again.status_field(), expected, "{verb}: {again:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_25_a_lost_acknowledgement_is_an_error_and_hands_out_nothing() {
    for verb in ["answer", "complete_factor"] {
        let site = Own::start(FaultyStore::new(MemoryStore::new())).await;
        let (mut alice, created, code) = site.asked(Mode::Cookie, ALICE, PHONE).await;
        site.store.fail_verb(verb, When::After);
        let response = alice.consume(&created, &code).await;
        assert_eq!(response.status, 503, "{verb}: {response:?}");
        assert!(response.touches_no_token(), "{verb}");
        site.store.heal();
        assert_eq!(alice.get("/secret").await.status, 403, "{verb}");
        assert_restart(&alice.consume(&created, &code).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_25_a_password_that_does_not_read_signs_nobody_in() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    let broken = [
        "UPDATE stepup_credential SET sealed = x'00' WHERE kind = 'password'",
        "UPDATE stepup_credential SET sealed = NULL WHERE kind = 'password'",
        "UPDATE stepup_user SET summary = '{\"enrolled\":[{}]}'",
        "UPDATE stepup_user SET summary = 'nonsense'",
        "UPDATE stepup_user SET state = 'disabled'",
    ];
    for sql in broken {
        assert_eq!(database::run(&server, sql).await, 1, "{sql}");
        let mut client = server.client(Mode::Cookie);
        let response = client.sign_in(ALICE).await;
        assert_ne!(response.status_field(), "OK", "{sql}: {response:?}");
        assert!(response.touches_no_token() && client.cookies.is_empty(), "{sql}");
        assert_eq!(
            database::count(&server.database(), "SELECT count(*) FROM stepup_session").await,
            0,
            "{sql}"
        );
    }
}

#[derive(Debug)]
struct FailingClaim;

#[async_trait]
impl ClaimSource for FailingClaim {
    fn key(&self) -> &str {
        "plan"
    }

    async fn fetch(&self, _: &User) -> Result<Option<Value>, Source> {
        Err("the application's table is away".into())
    }
}

#[derive(Debug)]
struct FailingDirectory;

#[async_trait]
impl UserDirectory for FailingDirectory {
    async fn contacts(&self, _: &UserId) -> Result<Vec<(Channel, String)>, Source> {
        Err("the application's table is away".into())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_26_a_callback_that_fails_denies() {
    let site = Own::start_with(MemoryStore::new(), |builder| builder.claim(FailingClaim)).await;
    let mut client = site.client(Mode::Cookie);
    for path in ["/auth/signup", "/auth/signin"] {
        let response = client.post(path, form(ALICE, PASSWORD)).await;
        assert_ne!(response.status_field(), "OK", "{path}: {response:?}");
        assert!(response.touches_no_token(), "{path}");
    }
    let response = client.post("/login", login("row-1", PASSWORD)).await;
    assert!(
        response.status >= 500 && response.touches_no_token(),
        "{response:?}"
    );
    assert!(site.user(ALICE).await.is_none(), "half an account was made");

    // Whom to tell of the enrollment cannot be found out: then nothing is enrolled.
    let site = Own::start_with(MemoryStore::new(), |builder| builder.directory(FailingDirectory)).await;
    let (mut alice, created, code) = site.asked(Mode::Cookie, ALICE, PHONE).await;
    let response = alice.consume(&created, &code).await;
    assert!(
        response.status >= 500 && response.touches_no_token(),
        "{response:?}"
    );
    assert_eq!(alice.get("/secret").await.status, 403);
    assert!(site.user(ALICE).await.unwrap().summary.enrolled.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_26_a_rule_that_breaks_or_names_the_unknown_admits_nobody() {
    let site = Own::start(MemoryStore::new()).await;
    let (mut alice, created, code) = site.asked(Mode::Cookie, ALICE, PHONE).await;
    assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
    assert_eq!(alice.get("/secret").await.status, 200);
    assert_ne!(alice.get("/panics").await.status, 200);
    assert_eq!(alice.get("/refuses").await.status, 403);
    assert_eq!(alice.get("/secret").await.status, 200, "the server lives");

    // A demand of factors that do not exist is never met, however much was completed.
    let user = UserId::from(alice.user_id());
    let unknown = [FactorId::new("retina")];
    assert!(
        site.stepup
            .require_factors(&public(), &user, &unknown)
            .await
            .unwrap()
    );
    for _ in 0..2 {
        assert_eq!(alice.refresh().await.status, 200);
        assert_eq!(alice.payload()["st-mfa"]["v"], false);
        for path in ["/plain", "/secret", "/fresh"] {
            assert_eq!(alice.get(path).await.status, 403, "{path}");
        }
        alice = site.client(Mode::Header);
        assert_eq!(alice.sign_in(ALICE).await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_40_half_of_a_completion_is_none() {
    let site = Own::start(FaultyStore::new(MemoryStore::new())).await;
    let (mut alice, created, code) = site.asked(Mode::Cookie, ALICE, PHONE).await;
    let user = UserId::from(alice.user_id());
    site.store.fail_verb("complete_factor", When::Before);
    assert_eq!(alice.consume(&created, &code).await.status, 503);
    site.store.heal();
    let kind = stepup_core::record::credential::CredentialKind::Contact;
    assert_eq!(site.store.credentials(&public(), &user, kind).await.unwrap(), []);
    let phone = Identifier {
        kind: IdentifierKind::Phone,
        value: PHONE.to_owned(),
    };
    assert!(
        site.store
            .user_by_identifier(&public(), &phone)
            .await
            .unwrap()
            .is_none()
    );
    site.tick().await;
    assert!(
        site.sent().await.iter().all(|message| message.code.is_some()),
        "a notice of nothing"
    );
    // The account is not lost by it.
    site.moved(20);
    let created = alice.create_code(PHONE).await;
    let code = site.code().await;
    assert_eq!(alice.consume(&created.json(), &code).await.status_field(), "OK");
}

// A-MFA-27, A-MFA-34, A-MFA-35: properties of the one function that decides

const IDS: [&str; 6] = [
    "emailpassword",
    "external",
    "otp-phone",
    "totp",
    "webauthn",
    "retina",
];

fn factor() -> impl Strategy<Value = FactorId> {
    proptest::sample::select(&IDS[..]).prop_map(FactorId::from_static)
}

fn kind() -> impl Strategy<Value = Kind> {
    proptest::sample::select(&[Kind::Knowledge, Kind::Possession, Kind::Inherence][..])
}

fn channel() -> impl Strategy<Value = Option<String>> {
    proptest::sample::select(&[None, Some("a"), Some("b")][..]).prop_map(|c| c.map(str::to_owned))
}

prop_compose! {
    fn first()(factor in factor(), kind in kind(), channel in channel()) -> (FactorId, Completion) {
        (factor, Completion { at: Timestamp::from_ms(1_000), kind, channel, first: true, signed_up: false })
    }
}

prop_compose! {
    fn summary()(
        enrolled in proptest::collection::vec((factor(), kind(), channel()), 0..4),
        required in proptest::collection::vec(factor(), 0..3),
    ) -> Summary {
        let enrolled = enrolled
            .into_iter()
            .map(|(factor, kind, channel)| Enrolled {
                factor,
                credential: CredentialId::from("c"),
                kind,
                channel,
                contact: None,
                at: Timestamp::from_ms(1),
            })
            .collect();
        Summary { enrolled, required }
    }
}

fn policy() -> impl Strategy<Value = Policy> {
    prop_oneof![
        Just(Policy::when_enrolled()),
        proptest::collection::vec(factor(), 0..4).prop_map(|list| Policy::second_factor(any_of(list))),
    ]
}

fn offered() -> Vec<Offered> {
    let offer = |factor, kind| Offered { factor, kind };
    vec![
        offer(FactorId::OTP_PHONE, Kind::Possession),
        offer(FactorId::from_static("totp"), Kind::Possession),
        offer(FactorId::from_static("webauthn"), Kind::Inherence),
    ]
}

fn denies(standing: &Standing) -> bool {
    !standing.satisfied && !standing.second_factor && (standing.stuck || !standing.next.is_empty())
}

proptest! {
    #[test]
    fn a_mfa_27_whoever_has_a_second_factor_is_asked_for_one(first in first(), summary in summary(), policy in policy()) {
        let standing = assess(&policy, &offered(), &summary, &Completed::from([first]));
        if !summary.enrolled.is_empty() {
            prop_assert!(denies(&standing), "{standing:?}");
        }
        prop_assert!(!standing.second_factor, "one factor is not two: {standing:?}");
    }

    #[test]
    fn a_mfa_06_an_enrolled_factor_that_is_not_done_blocks_every_enrollment(
        first in first(), summary in summary(), policy in policy(), wanted in factor(), signed_up in any::<bool>(),
    ) {
        let now = Timestamp::from_ms(2_000);
        let standing = assess(&policy, &offered(), &summary, &Completed::from([first]));
        let age = SessionAge { first_factor_at: Timestamp::from_ms(1_000), signed_up, leave: Leave::None };
        let minutes = std::time::Duration::from_secs(300);
        let judged = may_enroll(&policy, &summary, &standing, &wanted, age, minutes, now);
        if summary.enrolled(&wanted).is_some() {
            prop_assert_eq!(judged, Err(EnrollRefusal::Enrolled));
        } else if !summary.enrolled.is_empty() {
            prop_assert!(!is_complete(&standing, &summary));
            prop_assert_eq!(judged, Err(EnrollRefusal::Gate));
        }
    }

    #[test]
    fn a_mfa_16_one_channel_is_one_factor(
        (id, mut done) in first(), summary in summary(), policy in policy(), seconds in proptest::collection::vec((factor(), kind()), 1..4),
    ) {
        done.channel = Some("the one mailbox".to_owned());
        let mut all = Completed::new();
        for (factor, kind) in seconds {
            let second = Completion { at: Timestamp::from_ms(2_000), kind, first: false, signed_up: false, channel: done.channel.clone() };
            all.insert(factor, second);
        }
        all.insert(id, done);
        let standing = assess(&policy, &offered(), &summary, &all);
        prop_assert!(!standing.second_factor, "{standing:?}");
        prop_assert!(standing.newest.is_none());
        if !summary.enrolled.is_empty() {
            prop_assert!(denies(&standing), "{standing:?}");
        }
    }

    #[test]
    fn a_mfa_34_the_first_factor_never_meets_its_own_demand(
        (id, done) in first(), mut summary in summary(), policy in policy(), again in kind(),
    ) {
        // It is enrolled as a second factor as well, and even completed once more by another channel.
        summary.enrolled.push(Enrolled {
            factor: id.clone(),
            credential: CredentialId::from("own"),
            kind: done.kind,
            channel: done.channel.clone(),
            contact: None,
            at: Timestamp::from_ms(1),
        });
        let mut all = Completed::from([(id.clone(), done.clone())]);
        prop_assert!(denies(&assess(&policy, &offered(), &summary, &all)));
        // Another factor of the same kind, or over the same channel, is no second one either.
        let mut same = Completion { at: Timestamp::from_ms(2_000), first: false, ..done.clone() };
        all.insert(FactorId::from_static("other"), same.clone());
        prop_assert!(denies(&assess(&policy, &offered(), &summary, &all)));
        if done.channel.is_some() {
            same.kind = again;
            all.insert(FactorId::from_static("other"), same);
            prop_assert!(denies(&assess(&policy, &offered(), &summary, &all)));
        }
    }

    #[test]
    fn a_mfa_35_no_requirement_is_empty_for_a_user_with_a_second_factor(
        first in first(), mut summary in summary(), required in proptest::collection::vec(factor(), 0..4),
    ) {
        summary.required = required.clone();
        let none = Policy::second_factor(any_of([]));
        let done = Completed::from([first]);
        // Demanding "one of nothing" is never met.
        prop_assert!(denies(&assess(&none, &offered(), &summary, &done)));
        let unknown = Policy::second_factor(any_of([FactorId::from_static("retina-scan")]));
        prop_assert!(denies(&assess(&unknown, &offered(), &summary, &done)));
        if !summary.enrolled.is_empty() || !required.is_empty() {
            prop_assert!(denies(&assess(&Policy::when_enrolled(), &offered(), &summary, &done)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_34_two_factors_of_one_kind_are_one() {
    let site = Own::start(MemoryStore::new()).await;
    for mode in MODES {
        // Something she has opened the session; a phone is something she has.
        let mut alice = site.client(mode);
        let mut body = login("card-holder", PASSWORD);
        body["kind"] = json!("possession");
        assert_eq!(alice.post("/login", body).await.status, 200);
        let refused = alice.create_code(PHONE).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        let info = alice.call("PUT", "/auth/mfa/info", None, &[]).await;
        assert_eq!(info.status_field(), "GENERAL_ERROR", "{info:?}");
        for path in ["/plain", "/secret"] {
            assert_eq!(alice.get(path).await.status, 403, "{path}");
        }
    }
    assert_eq!(site.sent().await.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_35_an_empty_or_unknown_requirement_lifts_none() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    let alice = server
        .site
        .stepup
        .user_by_email(&public(), ALICE)
        .await
        .unwrap()
        .unwrap()
        .id;
    let unknown = FactorId::new("retina");
    for required in [
        vec![],
        vec![unknown.clone()],
        vec![unknown.clone(), FactorId::EMAIL_PASSWORD],
        vec![FactorId::OTP_PHONE, unknown],
    ] {
        assert!(
            server
                .site
                .stepup
                .require_factors(&public(), &alice, &required)
                .await
                .unwrap()
        );
        let mut client = s1(&server, Mode::Header, ALICE).await;
        assert_eq!(client.payload()["st-mfa"]["v"], false, "{required:?}");
        assert_locked_out(&client).await;
        assert_general(&client.create_code(OTHER_PHONE).await, &[PHONE]);
    }
}

// A-MFA-31, A-MFA-32, A-MFA-36, A-MFA-37

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_31_sessions_from_before_the_enrollment_end_with_it() {
    for mode in MODES {
        let server = Server::start().await;
        let mut here = half(&server, mode, ALICE).await;
        let mut elsewhere = s1(&server, mode, ALICE).await;
        let mut waiting = s1(&server, mode, ALICE).await;
        let (pending, pending_code) = asked(&server, &mut waiting, OTHER_PHONE).await;
        here.complete(&server, PHONE).await;
        for path in ["/api/me", "/api/secret"] {
            assert_eq!(elsewhere.get(path).await.status, 401, "{path}");
            elsewhere = elsewhere.clone();
        }
        let late = waiting
            .peek(
                "POST",
                "/auth/signinup/code/consume",
                Some(&answer(&pending, &pending_code)),
                &[],
            )
            .await;
        assert_eq!(late.status, 401, "{late:?}");
        for old in [&mut elsewhere, &mut waiting] {
            let refused = old.refresh().await;
            assert_eq!(refused.status, 401, "{refused:?}");
            assert_eq!(refused.message(), "unauthorised");
        }
        assert_eq!(here.get("/api/secret").await.status, 200);
        assert_eq!(
            database::count(&server.database(), "SELECT count(*) FROM stepup_session").await,
            1
        );
        let stored = "SELECT count(*) FROM stepup_credential WHERE kind = 'contact'";
        assert_eq!(database::count(&server.database(), stored).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_32_no_account_is_linked_on_the_word_of_a_half_login() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        enrolled(&server, BOB, OTHER_PHONE).await;
        let thief = s1(&server, mode, ALICE).await;
        let still = Still::of(&server).await;
        for (path, email, status) in [
            ("/auth/signup", MALLORY, "SIGN_UP_NOT_ALLOWED"),
            ("/auth/signin", BOB, "SIGN_IN_NOT_ALLOWED"),
            ("/auth/signin", ALICE, "SIGN_IN_NOT_ALLOWED"),
        ] {
            let mut body = form(email, PASSWORD);
            body["shouldTryLinkingWithSessionUser"] = json!(true);
            let response = thief.peek("POST", path, Some(&body), &[]).await;
            assert_eq!(
                (response.status, response.status_field().as_str()),
                (200, status),
                "{response:?}"
            );
            assert!(response.touches_no_token());
            let response = server.client(mode).peek("POST", path, Some(&body), &[]).await;
            assert_eq!(response.status, 401, "{response:?}");
        }
        still.holds(&server).await;
        assert_locked_out(&thief).await;

        // Alice's phone on an account of Mallory's is Mallory's second factor, and no way to Alice.
        server.moved(700).await;
        let mut mallory = full(&server, mode, MALLORY, PHONE).await;
        assert_eq!(
            mallory.get("/api/secret").await.json()["userId"],
            mallory.user_id().as_str()
        );
        assert_ne!(mallory.user_id(), thief.user_id());
        assert_locked_out(&s1(&server, mode, ALICE).await).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_36_a_second_factor_never_acts_as_a_first_one() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        let mut alice = s1(&server, mode, ALICE).await;
        let (created, code) = asked(&server, &mut alice, PHONE).await;
        server.moved(16).await;
        let still = Still::of(&server).await;
        let bodies: [(&str, Value); 3] = [
            ("/auth/signinup/code", json!({ "phoneNumber": PHONE })),
            ("/auth/signinup/code/resend", answer(&created, "")),
            ("/auth/signinup/code/consume", answer(&created, &code)),
        ];
        let flags = [None, Some(json!(false)), Some(json!(true)), Some(Value::Null)];
        for (path, body) in &bodies {
            for flag in &flags {
                for version in ["1.16", "3.0", "4.1"] {
                    let mut body = body.clone();
                    if let Some(flag) = flag {
                        body["shouldTryLinkingWithSessionUser"] = flag.clone();
                    }
                    let nobody = server.client(mode);
                    let response = nobody
                        .peek("POST", path, Some(&body), &[("fdi-version", version)])
                        .await;
                    assert_eq!(response.status, 401, "{path} {flag:?} {version}: {response:?}");
                    assert_eq!(response.message(), "unauthorised");
                    assert!(response.touches_no_token());
                }
            }
        }
        still.holds(&server).await;

        // With the session, it is the session's user whatever the flag says, and never a new session.
        let mut body = answer(&created, &code);
        body["shouldTryLinkingWithSessionUser"] = json!(false);
        let (user, handle) = (alice.user_id(), alice.handle());
        let users = "SELECT count(*) FROM stepup_user";
        let consumed = alice
            .call(
                "POST",
                "/auth/signinup/code/consume",
                Some(body),
                &[("fdi-version", "1.17")],
            )
            .await;
        assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
        assert_eq!((alice.user_id(), alice.handle()), (user, handle));
        assert_eq!(database::count(&server.database(), users).await, 1);
        assert_eq!(
            database::count(&server.database(), "SELECT count(*) FROM stepup_session").await,
            1
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_37_no_version_mode_or_tenant_changes_a_decision() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    enrolled(&server, MALLORY, OTHER_PHONE).await;
    for mode in MODES {
        let mut alice = s1(&server, mode, ALICE).await;
        let (created, code) = asked(&server, &mut alice, PHONE).await;
        let mallory = s1(&server, mode, MALLORY).await;
        let still = Still::of(&server).await;
        let foreign = json!({ "phoneNumber": OTHER_PHONE });
        let stolen = answer(&created, &code);
        let mut tried = 0;
        for version in [
            "1.16", "1.19", "2.0", "3.0", "3.1", "4.1", "4.2", "99.9", "0.0", "x", "-",
        ] {
            for auth in ["cookie", "header", "any", "nonsense", "-"] {
                for rid in ["-", "anti-csrf", "passwordless", "session", "emailpassword"] {
                    let headers = [("fdi-version", version), ("st-auth-mode", auth), ("rid", rid)];
                    let at = format!("{mode:?} {headers:?}");
                    let create = alice
                        .peek("POST", "/auth/signinup/code", Some(&foreign), &headers)
                        .await;
                    assert_general(&create, &[PHONE]);
                    let secret = alice.peek("GET", "/api/secret", None, &headers).await;
                    assert_incomplete(&secret, &at);
                    let info = alice.peek("PUT", "/auth/mfa/info", None, &headers).await;
                    assert_eq!(
                        info.json()["factors"]["next"],
                        json!(["otp-phone"]),
                        "{at}: {info:?}"
                    );
                    let nobody = server.client(mode);
                    let without = nobody
                        .peek("POST", "/auth/signinup/code", Some(&foreign), &headers)
                        .await;
                    assert_eq!(without.status, 401, "{at}");
                    tried += 1;
                }
            }
        }
        assert_eq!(tried, 275);
        for tenant in ["/public", "/t1", "/PUBLIC", "/%70ublic", "/public/public"] {
            let known = tenant == "/public";
            let path = |rest: &str| format!("/auth{tenant}{rest}");
            let create = alice
                .peek("POST", &path("/signinup/code"), Some(&foreign), &[])
                .await;
            assert_eq!(
                create.status,
                if known { 200 } else { 404 },
                "{tenant}: {create:?}"
            );
            let consumed = mallory
                .peek("POST", &path("/signinup/code/consume"), Some(&stolen), &[])
                .await;
            assert_eq!(
                consumed.status,
                if known { 200 } else { 404 },
                "{tenant}: {consumed:?}"
            );
            assert_ne!(consumed.status_field(), "OK");
        }
        still.holds(&server).await;
        assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
        server.moved(700).await;
    }
}

// A-MFA-38, A-MFA-41, A-MFA-42, A-MFA-43

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_38_removal_does_not_forget_the_failures() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    let mut thief = s1(&server, Mode::Cookie, ALICE).await;
    let (created, code) = asked(&server, &mut thief, PHONE).await;
    for _ in 0..5 {
        thief.consume(&created, &wrong(&code)).await;
    }
    let alice = UserId::from(thief.user_id());
    assert!(server.site.stepup.reset_factors(&public(), &alice).await.unwrap());
    let mut again = s1(&server, Mode::Cookie, ALICE).await;
    let (created, code) = asked(&server, &mut again, OTHER_PHONE).await;
    assert_general(&again.consume(&created, &code).await, &[]);
    server.moved(31).await;
    let response = again.consume(&created, &wrong(&code)).await;
    assert_eq!(
        response.status_field(),
        "INCORRECT_USER_INPUT_CODE_ERROR",
        "{response:?}"
    );
    // The sixth failure of the account, not the first of the device: a minute now.
    server.moved(31).await;
    let throttled = again.consume(&created, &code).await;
    assert_general(&throttled, &[]);
    server.moved(30).await;
    assert_eq!(again.consume(&created, &code).await.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_a_first_enrollment_is_told_to_the_owner_and_not_lost() {
    let site = Own::start(FaultyStore::new(MemoryStore::new())).await;
    let (mut thief, created, code) = site.asked(Mode::Cookie, ALICE, OTHER_PHONE).await;
    // The mail is down when it happens: the notice was written in the same transaction, and waits.
    site.store.fail_verb("take_notices", When::Before);
    assert_eq!(thief.consume(&created, &code).await.status_field(), "OK");
    site.tick().await;
    let told = |sent: &[stepup::delivery::Sent]| {
        sent.iter()
            .filter(|m| m.kind == "factor_added" && m.to == ALICE)
            .count()
    };
    assert_eq!(told(&site.sent().await), 0);
    site.store.heal();
    site.moved(10);
    site.tick().await;
    let sent = site.sent().await;
    assert_eq!(told(&sent), 1);
    assert!(
        sent.iter()
            .all(|m| m.code.is_some() || !m.body.contains(OTHER_PHONE)),
        "the number is told in full"
    );

    // If the transaction fails, there is neither factor nor notice.
    let site = Own::start(FaultyStore::new(MemoryStore::new())).await;
    let (mut thief, created, code) = site.asked(Mode::Cookie, ALICE, OTHER_PHONE).await;
    site.store.fail_verb("complete_factor", When::Before);
    assert_eq!(thief.consume(&created, &code).await.status, 503);
    site.store.heal();
    site.moved(10);
    site.tick().await;
    assert_eq!(told(&site.sent().await), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_a_later_sign_in_cannot_enroll_where_only_the_sign_up_may() {
    let demand =
        Policy::second_factor(any_of([FactorId::OTP_PHONE])).with_enrollment(EnrollmentMode::InSignUpSession);
    let site = Own::start_with(MemoryStore::new(), |builder| builder.policy(demand)).await;
    for mode in MODES {
        let email = format!("{mode:?}@example.com").to_lowercase();
        let mut owner = site.client(mode);
        assert_eq!(owner.sign_up(&email).await.status_field(), "OK");
        let mut thief = site.client(mode);
        assert_eq!(thief.sign_in(&email).await.status_field(), "OK");
        let before = site.sent().await.len();
        assert_general(&thief.create_code(OTHER_PHONE).await, &[]);
        let info = thief.call("PUT", "/auth/mfa/info", None, &[]).await;
        assert_eq!(info.status_field(), "GENERAL_ERROR", "{info:?}");
        assert_eq!(thief.get("/secret").await.status, 403);
        assert_eq!(site.sent().await.len(), before);
        let created = owner.create_code(PHONE).await;
        let code = site.code().await;
        assert_eq!(owner.consume(&created.json(), &code).await.status_field(), "OK");
        site.moved(700);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_41_a_first_factor_of_yesterday_enrolls_nothing() {
    for mode in MODES {
        let server = Server::start().await;
        let mut alice = half(&server, mode, ALICE).await;
        server.moved(200).await;
        assert_eq!(alice.refresh().await.status, 200);
        server.moved(110).await;
        let still = Still::of(&server).await;
        assert_general(&alice.create_code(OTHER_PHONE).await, &[]);
        let info = alice.call("PUT", "/auth/mfa/info", None, &[]).await;
        assert_eq!(info.status_field(), "GENERAL_ERROR", "{info:?}");
        still.holds(&server).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_42_metadata_is_no_way_in() {
    assert!(ROUTES.iter().all(|row| !row.path.contains("metadata")));
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    let mut thief = s1(&server, Mode::Cookie, ALICE).await;
    let still = Still::of(&server).await;
    for path in [
        "/auth/user/metadata",
        "/auth/usermetadata",
        "/auth/recipe/user/metadata",
        "/auth/public/user/metadata",
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH"] {
            let body = json!({ "metadata": { "passwordlessUserId": "x" } });
            assert_eq!(
                thief.call(method, path, Some(body), &[]).await.status,
                404,
                "{method} {path}"
            );
        }
    }
    let stepup = &server.site.stepup;
    let alice = UserId::from(thief.user_id());
    let before = stepup.metadata(&public(), &alice).await.unwrap();
    for key in ["passwordlessUserId", "_supertokens"] {
        for value in [json!("x"), Value::Null, json!({ "requiredSecondaryFactors": [] })] {
            let patch =
                serde_json::Map::from_iter([(key.to_owned(), value), ("color".to_owned(), json!("red"))]);
            assert!(
                stepup
                    .merge_metadata(&public(), &alice, &patch)
                    .await
                    .unwrap()
                    .is_err(),
                "{key}"
            );
        }
    }
    assert!(stepup.clear_metadata(&public(), &alice).await.unwrap());
    assert_eq!(stepup.metadata(&public(), &alice).await.unwrap(), before);
    assert!(before.contains_key("passwordlessUserId"));
    still.holds(&server).await;
    let mut again = s1(&server, Mode::Cookie, ALICE).await;
    assert_locked_out(&again).await;
    assert_general(&again.create_code(OTHER_PHONE).await, &[PHONE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_43_an_external_factor_cannot_call_itself_one_of_ours() {
    let site = Own::start(MemoryStore::new()).await;
    for name in [
        "otp-phone",
        "emailpassword",
        "totp",
        "webauthn",
        "recovery-code",
        "trusted-device",
        "",
        "a b",
        "otp-phone\u{0}",
    ] {
        let user = format!("row of {name}");
        let mut body = login(&user, PASSWORD);
        body["factor"] = json!(name);
        let mut client = site.client(Mode::Cookie);
        let response = client.post("/login", body).await;
        assert_eq!(response.status, 500, "{name}: {response:?}");
        assert!(response.touches_no_token(), "{name}");
        assert!(
            site.stepup.user(&public(), &user.into()).await.unwrap().is_none(),
            "{name}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_43_who_is_disabled_or_gone_is_refused_and_who_is_unknown_begins_with_half() {
    for mode in MODES {
        let site = Own::start(MemoryStore::new()).await;
        let mut new = site.logged_in(mode, "row-1").await;
        assert_eq!(new.get("/any").await.body, b"row-1");
        assert_eq!(new.get("/secret").await.status, 403);
        let (one, two) = (UserId::from("row-1"), UserId::from("row-2"));
        site.logged_in(mode, "row-2").await;
        assert!(site.stepup.disable(&public(), &one).await.unwrap());
        assert!(site.stepup.delete(&public(), &two).await.unwrap());
        assert_eq!(new.get("/any").await.status, 401);
        for user in ["row-1", "row-2"] {
            let mut client = site.client(mode);
            let response = client.post("/login", login(user, PASSWORD)).await;
            assert_eq!(response.status, 403, "{response:?}");
            assert!(response.touches_no_token());
            assert_eq!(
                site.stepup.sessions(&public(), &user.into()).await.unwrap().len(),
                0
            );
        }
        assert!(site.stepup.enable(&public(), &one).await.unwrap());
        site.logged_in(mode, "row-1").await;
        // A deleted user stays deleted.
        site.stepup.enable(&public(), &two).await.unwrap();
        assert_eq!(
            site.client(mode)
                .post("/login", login("row-2", PASSWORD))
                .await
                .status,
            403
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_43_a_flood_of_log_ins_meets_the_throttles_of_our_own() {
    let site = Own::start(MemoryStore::new()).await;
    let mut client = site.client(Mode::Cookie);
    for _ in 0..5 {
        assert_eq!(client.post("/login", login("row-1", "wrong")).await.status, 401);
    }
    let refused = client.post("/login", login("row-1", PASSWORD)).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert!(refused.touches_no_token());
    site.moved(2);
    site.logged_in(Mode::Cookie, "row-1").await;

    // One budget per network: what our own sign-in used up is missing here.
    let site = Own::start(MemoryStore::new()).await;
    for n in 0..10 {
        let response = site
            .client(Mode::Cookie)
            .sign_in(&format!("nobody{n}@example.com"))
            .await;
        assert_eq!(response.status_field(), "WRONG_CREDENTIALS_ERROR");
    }
    let refused = site
        .client(Mode::Cookie)
        .post("/login", login("row-1", PASSWORD))
        .await;
    assert_eq!(refused.status, 429, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_43_a_page_of_another_origin_signs_nobody_in() {
    let site = Own::start(MemoryStore::new()).await;
    for header in [
        ("origin", "https://evil.test"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        for mode in MODES {
            let body = login("row-1", PASSWORD);
            let response = site
                .client(mode)
                .peek("POST", "/login", Some(&body), &[header])
                .await;
            assert_eq!(response.status, 403, "{header:?}: {response:?}");
            assert!(response.touches_no_token());
        }
    }
    assert!(
        site.stepup
            .user(&public(), &"row-1".into())
            .await
            .unwrap()
            .is_none()
    );
}

// Rows beside the gate

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_08_of_two_first_enrollments_one_wins_and_the_other_ends() {
    for _ in 0..5 {
        let server = Server::start().await;
        let mut owner = half(&server, Mode::Cookie, BOB).await;
        let mut thief = s1(&server, Mode::Cookie, BOB).await;
        let (a, a_code) = asked(&server, &mut owner, PHONE).await;
        let (b, b_code) = asked(&server, &mut thief, OTHER_PHONE).await;
        let barrier = Arc::new(Barrier::new(2));
        let race = |mut client: Client, created: Value, code: String| {
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                let response = client.consume(&created, &code).await;
                (client, response)
            })
        };
        let (one, two) = (race(owner, a, a_code), race(thief, b, b_code));
        let mut won = BTreeMap::new();
        for (name, outcome) in [(PHONE, one.await.unwrap()), (OTHER_PHONE, two.await.unwrap())] {
            let (mut client, response) = outcome;
            if response.status_field() == "OK" {
                assert_eq!(client.get("/api/secret").await.status, 200);
                won.insert(name, ());
            } else {
                assert!(
                    response.status == 401 || response.status_field() == "RESTART_FLOW_ERROR",
                    "{response:?}"
                );
                assert_eq!(client.get("/api/secret").await.status, 401);
            }
        }
        assert_eq!(won.len(), 1, "{won:?}");
        let stored = database::ask(
            &server.database(),
            "SELECT public FROM stepup_credential WHERE kind = 'contact'",
        )
        .await;
        assert_eq!(stored.len(), 1);
        let public: String = sqlx::Row::get(&stored[0], 0);
        assert!(public.contains(won.keys().next().unwrap()), "{public}");
        server.moved(10).await;
        assert!(
            server
                .sent()
                .await
                .iter()
                .any(|m| m.kind == "factor_added" && m.to == BOB)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_19_ids_of_other_things_name_no_challenge() {
    let server = Server::start().await;
    enrolled(&server, ALICE, PHONE).await;
    let mut alice = s1(&server, Mode::Cookie, ALICE).await;
    let (created, code) = asked(&server, &mut alice, PHONE).await;
    let still = Still::of(&server).await;
    let (handle, user) = (alice.handle(), alice.user_id());
    for id in [
        handle.as_str(),
        user.as_str(),
        "1",
        "0",
        "",
        "../..",
        "' OR 1=1 --",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    ] {
        for field in ["deviceId", "preAuthSessionId"] {
            let mut body = answer(&created, &code);
            body[field] = json!(id);
            let response = alice.post("/auth/signinup/code/consume", body).await;
            assert!(
                response.status == 400 || response.status_field() == "RESTART_FLOW_ERROR",
                "{id}: {response:?}"
            );
        }
    }
    still.holds(&server).await;
    assert_locked_out(&alice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_28_factor_info_tells_a_user_of_itself_alone_and_raises_nothing() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        enrolled(&server, BOB, OTHER_PHONE).await;
        let mut alice = s1(&server, mode, ALICE).await;
        let still = Still::of(&server).await;
        let info = alice.call("PUT", "/auth/mfa/info", None, &[]).await;
        assert_eq!(
            info.json(),
            json!({
                "status": "OK",
                "factors": { "next": ["otp-phone"], "alreadySetup": ["emailpassword", "otp-phone"], "allowedToSetup": [] },
                "emails": { "emailpassword": [ALICE] },
                "phoneNumbers": { "otp-phone": [PHONE] },
            })
        );
        let foreign = alice
            .peek("PUT", "/auth/mfa/info", None, &[("origin", "https://evil.test")])
            .await;
        assert_eq!(foreign.status, 403, "{foreign:?}");
        still.holds(&server).await;
        assert_locked_out(&alice).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_29_steps_out_of_order_are_clean_errors() {
    let server = Server::start().await;
    let mut alice = half(&server, Mode::Cookie, ALICE).await;
    let mut bob = half(&server, Mode::Cookie, BOB).await;
    let (foreign, _) = asked(&server, &mut bob, OTHER_PHONE).await;
    let still = Still::of(&server).await;
    assert_restart(&alice.consume(&foreign, "000000").await);
    assert_restart(&alice.resend(&foreign).await);
    assert_eq!(
        alice
            .post(
                "/auth/signinup/code/consume",
                json!({ "userInputCode": "000000" })
            )
            .await
            .status,
        400
    );
    assert_eq!(
        alice.post("/auth/signinup/code/resend", json!({})).await.status,
        400
    );
    still.holds(&server).await;
    assert_locked_out(&alice).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_33_an_administrators_reset_ends_sessions_tells_the_user_and_asks_for_a_fresh_sign_in() {
    for mode in MODES {
        let server = Server::start().await;
        let mut alice = full(&server, mode, ALICE, PHONE).await;
        let user = UserId::from(alice.user_id());
        assert!(server.site.stepup.reset_factors(&public(), &user).await.unwrap());
        assert_eq!(alice.get("/api/secret").await.status, 401);
        server.moved(10).await;
        let sent = server.sent().await;
        assert!(
            sent.iter().any(|m| m.kind == "factors_reset" && m.to == ALICE),
            "{:?}",
            sent.iter().map(|m| m.kind).collect::<Vec<_>>()
        );
        let mut again = s1(&server, mode, ALICE).await;
        assert_locked_out(&again).await;
        server.moved(200).await;
        assert_eq!(again.refresh().await.status, 200);
        server.moved(110).await;
        assert_general(&again.create_code(OTHER_PHONE).await, &[]);
        s1(&server, mode, ALICE)
            .await
            .complete(&server, OTHER_PHONE)
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_39_a_challenge_ends_with_the_session_that_asked() {
    for mode in MODES {
        let server = Server::start().await;
        enrolled(&server, ALICE, PHONE).await;
        enrolled(&server, MALLORY, OTHER_PHONE).await;
        let mut browser = s1(&server, mode, ALICE).await;
        let (created, code) = asked(&server, &mut browser, PHONE).await;
        assert_eq!(browser.sign_in(MALLORY).await.status_field(), "OK");
        assert_restart(&browser.consume(&created, &code).await);
        assert_locked_out(&browser).await;
    }
}
