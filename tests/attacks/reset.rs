//! A new password, by a link or by the present one: what is tried with it, and what ends by it.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stepup::delivery::Sent;
use stepup::import::ImportedUser;
use stepup::{FactorId, TenantId, UserId};
use tokio::sync::Barrier;

use crate::kit::{
    Client, MODES, Mode, OTHER_PHONE, PASSWORD, PHONE, Response, Server, form, full, half, wrong,
};

const ALICE: &str = "alice@example.com";
const MALLORY: &str = "mallory@example.com";
const NOBODY: &str = "nobody@example.com";
const NEW: &str = "another horse battery";
const ASK: &str = "/auth/user/password/reset/token";
const RESET: &str = "/auth/user/password/reset";
const CHANGE: &str = "/auth/password/change";
const BAD: &str = "RESET_PASSWORD_INVALID_TOKEN_ERROR";

async fn server() -> Server {
    Server::start_with(|settings| settings.throttle_scale = 100).await
}

async fn ask_for(server: &Server, path: &str, email: &str) -> Response {
    let body = json!({ "formFields": [{ "id": "email", "value": email }] });
    let asked = server
        .client(Mode::Header)
        .peek("POST", path, Some(&body), &[])
        .await;
    assert!(asked.touches_no_token(), "{asked:?}");
    asked
}

async fn resets(server: &Server) -> Vec<Sent> {
    let sent = server.sent().await;
    sent.into_iter()
        .filter(|message| message.kind == "reset")
        .collect()
}

fn token_of(sent: &Sent) -> String {
    let link = sent.link.as_deref().expect("a link");
    let (_, token) = link
        .split_once("/auth/reset-password?token=")
        .expect("a page of the website");
    token.split('&').next().unwrap().to_owned()
}

/// Asks, and reads the mail.
pub(super) async fn token(server: &Server, email: &str) -> String {
    let before = resets(server).await.len();
    assert_eq!(ask_for(server, ASK, email).await.status_field(), "OK");
    let sent = resets(server).await;
    assert_eq!(sent.len(), before + 1);
    let last = sent.last().unwrap();
    assert_eq!(last.to, email);
    token_of(last)
}

fn to(token: &str, password: &str) -> Value {
    let fields = json!([{ "id": "password", "value": password }]);
    json!({ "method": "token", "token": token, "formFields": fields })
}

pub(super) async fn reset(server: &Server, token: &str, password: &str) -> Response {
    let body = to(token, password);
    let response = server
        .client(Mode::Header)
        .peek("POST", RESET, Some(&body), &[])
        .await;
    assert!(response.touches_no_token(), "{response:?}");
    response
}

async fn signs_in(server: &Server, email: &str, password: &str) -> bool {
    let mut client = server.client(Mode::Header);
    let answer = client.post("/auth/signin", form(email, password)).await;
    answer.status_field() == "OK"
}

fn change(current: &str, new: &str) -> Value {
    json!({ "currentPassword": current, "newPassword": new })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rst_01_of_several_tokens_the_first_that_is_used_is_the_only_one() {
    let server = server().await;
    half(&server, Mode::Header, ALICE).await;
    let mut tokens = Vec::new();
    for _ in 0..3 {
        tokens.push(token(&server, ALICE).await);
    }
    let stored = server.dump().await.join("\n");
    for token in &tokens {
        let secret = token.strip_prefix("reset_").unwrap();
        assert_eq!(secret.len(), 64);
        assert!(!stored.contains(&secret[22..]), "a secret is stored");
    }
    assert_eq!(reset(&server, &tokens[1], NEW).await.status_field(), "OK");
    for at in [0, 2, 1] {
        let refused = reset(&server, &tokens[at], "a third horse battery").await;
        assert_eq!((refused.status, refused.status_field().as_str()), (200, BAD));
    }
    assert!(signs_in(&server, ALICE, NEW).await);
    assert!(!signs_in(&server, ALICE, PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rst_02_of_many_resets_at_once_one_wins_and_its_password_is_the_one() {
    let server = server().await;
    let second = server.second().await;
    half(&server, Mode::Header, ALICE).await;
    for several in [false, true] {
        let one = token(&server, ALICE).await;
        let mut tasks = Vec::new();
        let barrier = Arc::new(Barrier::new(32));
        for n in 0..32 {
            let token = if several {
                token(&server, ALICE).await
            } else {
                one.clone()
            };
            let client = match n % 2 {
                0 => server.client(Mode::Header),
                _ => second.client(Mode::Header),
            };
            let (barrier, password) = (barrier.clone(), format!("horse battery number {several} {n}"));
            tasks.push(tokio::spawn(async move {
                barrier.wait().await;
                let body = to(&token, &password);
                let answer = client.peek("POST", RESET, Some(&body), &[]).await;
                (answer.status_field(), password)
            }));
        }
        let mut won = Vec::new();
        for task in tasks {
            let (status, password) = task.await.unwrap();
            match status.as_str() {
                "OK" => won.push(password),
                // The pool of hashes may have been full: nothing was spent then.
                _ => assert!([BAD, "GENERAL_ERROR", ""].contains(&status.as_str()), "{status}"),
            }
        }
        assert_eq!(won.len(), 1, "{won:?}");
        assert!(signs_in(&server, ALICE, &won[0]).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rst_03_a_token_is_for_its_own_account_whatever_the_body_says() {
    let server = server().await;
    let alice = half(&server, Mode::Header, ALICE).await;
    half(&server, Mode::Header, MALLORY).await;
    let token = token(&server, MALLORY).await;
    let mut body = to(&token, NEW);
    body["userId"] = alice.user_id().into();
    body["email"] = ALICE.into();
    let answer = server
        .client(Mode::Header)
        .peek("POST", RESET, Some(&body), &[])
        .await;
    assert_eq!(answer.status_field(), "OK");
    assert!(signs_in(&server, ALICE, PASSWORD).await && signs_in(&server, MALLORY, NEW).await);
    // In a field of the form it is one too many.
    let mut fields = to(&token, NEW);
    fields["formFields"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "id": "email", "value": ALICE }));
    let answer = server
        .client(Mode::Header)
        .peek("POST", RESET, Some(&fields), &[])
        .await;
    assert_eq!(answer.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rst_04_what_is_no_address_gets_no_mail() {
    let server = server().await;
    half(&server, Mode::Header, ALICE).await;
    half(&server, Mode::Header, MALLORY).await;
    let stranger = server.client(Mode::Header);
    let odd = [
        json!([ALICE, MALLORY]),
        json!({ "email": ALICE }),
        json!(7),
        json!("alice@example.com,mallory@example.com"),
        json!("alice@example.com;mallory@example.com"),
        json!("alice@example.com mallory@example.com"),
        json!("alice@example.com\r\nBcc: mallory@example.com"),
        json!("alice@example.com%0a"),
        json!("alice@example.com\u{0}"),
        json!("\"alice\"@example.com"),
        json!("<alice@example.com>"),
        json!("Alice <alice@example.com>"),
        json!("@mallory.test:alice@example.com"),
        json!("alice@example.com@mallory.test"),
        json!(""),
    ];
    for value in odd {
        let body = json!({ "formFields": [{ "id": "email", "value": value }] });
        let answer = stranger.peek("POST", ASK, Some(&body), &[]).await;
        let refused = answer.status == 400 || answer.status_field() == "FIELD_ERROR";
        assert!(refused, "{value}: {answer:?}");
    }
    let twice = json!([{ "id": "email", "value": ALICE }, { "id": "email", "value": MALLORY }]);
    let answer = stranger
        .peek("POST", ASK, Some(&json!({ "formFields": twice })), &[])
        .await;
    assert_eq!(answer.status, 400);
    assert!(server.sent().await.is_empty());
    // Spelled another way it is still the one address, and the mail goes to that.
    assert_eq!(
        ask_for(&server, ASK, "  Alice@Example.COM ").await.status_field(),
        "OK"
    );
    assert_eq!(resets(&server).await[0].to, ALICE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rst_05_a_mailbox_gets_five_links_a_minute_and_ten_a_day_and_nobody_is_told() {
    let server = Server::start().await;
    half(&server, Mode::Header, ALICE).await;
    let mut answers = Vec::new();
    for minute in 0..4 {
        for _ in 0..25 {
            for email in [ALICE, NOBODY] {
                let answer = ask_for(&server, ASK, email).await;
                answers.push((
                    answer.status,
                    answer.body.clone(),
                    answer.header("retry-after").map(str::to_owned),
                ));
            }
        }
        let expected = [5, 10, 10, 10][minute];
        assert_eq!(resets(&server).await.len(), expected, "minute {minute}");
        server.moved(61).await;
    }
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{:?}",
        answers[0]
    );
    server.moved(24 * 3600).await;
    ask_for(&server, ASK, ALICE).await;
    assert_eq!(resets(&server).await.len(), 11);
}

/// Asks from a network; how many links were sent by then.
async fn asked_from(server: &Server, network: &str) -> usize {
    let body = json!({ "formFields": [{ "id": "email", "value": ALICE }] });
    let from = [("x-forwarded-for", network)];
    let client = server.client(Mode::Header);
    let asked = client.peek("POST", ASK, Some(&body), &from).await;
    assert_eq!(asked.status_field(), "OK", "{asked:?}");
    resets(server).await.len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rl_06_strangers_do_not_shut_the_links_of_an_owner_off() {
    let server = Server::start_with(|settings| settings.trusted_proxies = vec!["127.0.0.1".to_owned()]).await;
    let mut home = server.client(Mode::Header);
    home.extra = vec![("x-forwarded-for".to_owned(), "192.0.2.1".to_owned())];
    assert_eq!(home.sign_up(ALICE).await.status_field(), "OK");
    home.complete(&server, PHONE).await;
    // One stranger leaves a link for whoever comes from elsewhere.
    for _ in 0..10 {
        asked_from(&server, "198.51.100.1").await;
    }
    assert_eq!(resets(&server).await.len(), 4);
    assert_eq!(asked_from(&server, "203.0.113.1").await, 5);
    // From everywhere they have the mailbox written to now and then, ten times a day, and not never again.
    for hour in 1..24 {
        server.moved(3600).await;
        for n in 0..5 {
            asked_from(&server, &format!("198.51.{hour}.{n}")).await;
        }
    }
    assert_eq!(resets(&server).await.len(), 10);
    // Where she is signed in it is as if nobody had asked, and that ends too.
    assert_eq!(home.refresh().await.status, 200);
    for sent in 11..=15 {
        assert_eq!(asked_from(&server, "192.0.2.1").await, sent);
    }
    assert_eq!(asked_from(&server, "192.0.2.1").await, 15);
    // Elsewhere she waits for some hours at most.
    server.moved(4 * 3600).await;
    assert_eq!(asked_from(&server, "203.0.113.9").await, 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rst_06_asking_for_a_link_touches_nothing() {
    let server = server().await;
    let mut alice = full(&server, Mode::Cookie, ALICE, PHONE).await;
    let without = |rows: Vec<String>| -> Vec<String> {
        rows.into_iter()
            .filter(|row| !row.starts_with("stepup_challenge"))
            .collect()
    };
    let before = without(server.dump().await);
    for _ in 0..40 {
        ask_for(&server, ASK, ALICE).await;
    }
    for token in ["", "reset_", "reset_x", "x"] {
        reset(&server, token, NEW).await;
    }
    assert_eq!(without(server.dump().await), before);
    assert_eq!(alice.get("/api/secret").await.status, 200);
    assert!(signs_in(&server, ALICE, PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rst_07_no_link_goes_where_it_could_take_an_account_over() {
    let server = Server::start_with(|settings| {
        settings.first_factors.push(FactorId::OTP_EMAIL);
        settings.throttle_scale = 100;
    })
    .await;
    // Codes sign in by this mailbox, and there is no password to set.
    let mut codes = server.client(Mode::Header);
    let created = codes
        .post("/auth/signinup/code", json!({ "email": "codes@example.com" }))
        .await;
    let code = server.code().await;
    assert_eq!(codes.consume(&created.json(), &code).await.status_field(), "OK");
    let bob = half(&server, Mode::Header, "bob@example.com").await;
    let bob = UserId::from(bob.user_id().as_str());
    assert!(
        server
            .site
            .stepup
            .disable(&TenantId::public(), &bob)
            .await
            .unwrap()
    );
    // An unverified address with another way to sign in beside it.
    half(&server, Mode::Header, ALICE).await;
    let beside = "UPDATE stepup_user SET methods = json_insert(methods, '$[#]', \
                  json_set(methods, '$[0].id', 'p', '$[0].factor', 'thirdparty', '$[0].email', 'a@p.test') -> '$[0]') \
                  WHERE json_extract(methods, '$[0].email') = 'alice@example.com'";
    assert_eq!(server.execute(beside).await, 1);
    for email in ["codes@example.com", "bob@example.com", ALICE, NOBODY] {
        assert_eq!(ask_for(&server, ASK, email).await.status_field(), "OK", "{email}");
    }
    assert!(resets(&server).await.is_empty());
    // Once it is verified the mailbox is the owner's.
    let verified = "UPDATE stepup_user SET methods = json_set(methods, '$[0].verified', json('true')) \
                    WHERE json_extract(methods, '$[0].email') = 'alice@example.com'";
    assert_eq!(server.execute(verified).await, 1);
    let kept = token(&server, ALICE).await;
    // And what changes in between is judged anew.
    let alice = server
        .site
        .stepup
        .user_by_email(&TenantId::public(), ALICE)
        .await
        .unwrap()
        .unwrap();
    assert!(
        server
            .site
            .stepup
            .disable(&TenantId::public(), &alice.id)
            .await
            .unwrap()
    );
    assert_eq!(reset(&server, &kept, NEW).await.status_field(), BAD);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rst_07_who_was_imported_without_a_hash_sets_the_first_password_by_a_verified_address() {
    let server = server().await;
    let import = async |line: Value| {
        let user = ImportedUser::read(line.to_string().as_bytes()).unwrap();
        server.site.stepup.import_user(&user).await.unwrap().unwrap();
    };
    let number = json!([{ "factor": "otp-phone", "contact": PHONE }]);
    import(json!({ "email": ALICE, "emailVerified": true, "secondFactors": number })).await;
    import(json!({ "email": MALLORY })).await;
    let subject = json!([{ "id": "example", "issuer": "https://id.test", "subject": "1" }]);
    let provided = "provided@example.com";
    import(json!({ "email": provided, "emailVerified": true, "thirdParty": subject })).await;
    // Nobody proved this address; and who comes by a provider gets no password by mail.
    for email in [MALLORY, provided, NOBODY] {
        assert_eq!(ask_for(&server, ASK, email).await.status_field(), "OK", "{email}");
    }
    assert!(resets(&server).await.is_empty());
    let (first, second) = (token(&server, ALICE).await, token(&server, ALICE).await);
    assert_eq!(reset(&server, &first, NEW).await.status_field(), "OK");
    assert_eq!(reset(&server, &second, PASSWORD).await.status_field(), BAD);
    assert!(!signs_in(&server, ALICE, PASSWORD).await);
    // It signs nobody in, and her second factor is due still.
    let mut alice = server.client(Mode::Header);
    let signed_in = alice.post("/auth/signin", form(ALICE, NEW)).await;
    assert_eq!(signed_in.status_field(), "OK");
    assert_eq!(alice.get("/api/secret").await.status, 403);
    assert_eq!(
        alice.create_code(OTHER_PHONE).await.status_field(),
        "GENERAL_ERROR"
    );
    alice.complete(&server, PHONE).await;
    assert_eq!(alice.get("/api/secret").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rst_08_a_bad_password_costs_no_token_and_without_a_token_none_is_judged() {
    let server = server().await;
    half(&server, Mode::Header, ALICE).await;
    let token = token(&server, ALICE).await;
    let bad = ["", "short", "password", "alice@example.com"];
    for password in bad {
        let refused = reset(&server, &token, password).await;
        assert_eq!(refused.status_field(), "FIELD_ERROR", "{password}");
        assert_eq!(refused.json()["formFields"][0]["id"], "password");
    }
    let long = "x".repeat(1100);
    let other = format!("reset_{}", "A".repeat(64));
    let mut answers = Vec::new();
    for password in bad.into_iter().chain([long.as_str(), NEW]) {
        let answer = reset(&server, &other, password).await;
        answers.push((answer.status, answer.body));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]));
    assert_eq!(reset(&server, &other, NEW).await.status_field(), BAD);
    assert_eq!(reset(&server, &token, NEW).await.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_09_a_reset_ends_every_session_and_tells_the_user() {
    for mode in MODES {
        let server = server().await;
        let elsewhere = server.second().await;
        let alice = full(&server, mode, ALICE, PHONE).await;
        let mut other = server.client(mode);
        other.sign_in(ALICE).await;
        server.moved(20).await;
        elsewhere.moved(20).await;
        let created = other.create_code(PHONE).await.json();
        let code = server.code().await;
        let mut bob = full(&server, mode, "bob@example.com", OTHER_PHONE).await;
        let token = token(&server, ALICE).await;
        assert_eq!(reset(&server, &token, NEW).await.status_field(), "OK");
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
        assert_eq!(other.consume(&created, &code).await.status, 401);
        assert_eq!(bob.get("/api/secret").await.status, 200);
        server.dump().await;
        let told = server
            .sent()
            .await
            .into_iter()
            .filter(|m| m.kind == "password_changed");
        assert_eq!(told.map(|m| m.to).collect::<Vec<_>>(), [ALICE, PHONE]);
        // The mailbox was proved by it.
        let user = server
            .site
            .stepup
            .user_by_email(&TenantId::public(), ALICE)
            .await
            .unwrap();
        assert!(user.unwrap().methods[0].verified);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_20_a_reset_is_no_way_around_the_second_factor() {
    for mode in MODES {
        let server = server().await;
        full(&server, mode, ALICE, PHONE).await;
        let token = token(&server, ALICE).await;
        let answer = reset(&server, &token, NEW).await;
        assert_eq!(answer.json(), json!({ "status": "OK" }));
        let mut mallory = server.client(mode);
        mallory.post("/auth/signin", form(ALICE, NEW)).await;
        assert!(!mallory.completed());
        assert_eq!(mallory.get("/api/secret").await.status, 403);
        // Not with a phone of her own, and the account's gets the code.
        let foreign = mallory.create_code(OTHER_PHONE).await;
        assert_eq!(foreign.status_field(), "GENERAL_ERROR");
        server.moved(20).await;
        mallory.complete(&server, PHONE).await;
        assert_eq!(mallory.get("/api/secret").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_12_a_link_for_a_password_has_a_lifetime_of_its_own() {
    for (moved, expected) in [(29 * 60 + 55, "OK"), (30 * 60 + 1, BAD)] {
        let server = server().await;
        half(&server, Mode::Header, ALICE).await;
        let token = token(&server, ALICE).await;
        server.moved(moved).await;
        assert_eq!(
            reset(&server, &token, NEW).await.status_field(),
            expected,
            "{moved}"
        );
    }
    // Codes keep theirs whatever is set for links.
    let server = Server::start_with(|settings| {
        settings.configure = |config| config.links.reset = Duration::from_secs(23 * 3600);
    })
    .await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let created = alice.create_code(PHONE).await.json();
    let code = server.code().await;
    let token = token(&server, ALICE).await;
    server.moved(301).await;
    alice.refresh().await;
    assert_eq!(
        alice.consume(&created, &code).await.status_field(),
        "EXPIRED_USER_INPUT_CODE_ERROR"
    );
    server.moved(22 * 3600).await;
    assert_eq!(reset(&server, &token, NEW).await.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_19_a_link_works_once_and_dies_with_the_epoch() {
    let server = server().await;
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    let one = token(&server, ALICE).await;
    let changed = alice.post(CHANGE, change(PASSWORD, NEW)).await;
    assert_eq!(changed.status_field(), "OK", "{changed:?}");
    assert_eq!(reset(&server, &one, PASSWORD).await.status_field(), BAD);
    let two = token(&server, ALICE).await;
    // One that was written after the change, by somebody who had read the account before it.
    assert_eq!(
        server.execute("UPDATE stepup_user SET epoch = epoch + 1").await,
        1
    );
    assert_eq!(reset(&server, &two, PASSWORD).await.status_field(), BAD);
    let three = token(&server, ALICE).await;
    assert_eq!(
        reset(&server, &three, "a third horse battery")
            .await
            .status_field(),
        "OK"
    );
    assert_eq!(reset(&server, &three, PASSWORD).await.status_field(), BAD);
    assert!(signs_in(&server, ALICE, "a third horse battery").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ten_01_a_link_of_one_tenant_is_nothing_at_another() {
    let server = Server::start_with(|settings| {
        settings.tenants = vec!["acme".to_owned(), "globex".to_owned()];
        settings.throttle_scale = 100;
    })
    .await;
    for tenant in ["acme", "globex"] {
        let mut alice = server.client(Mode::Header);
        alice
            .post(&format!("/auth/{tenant}/signup"), form(ALICE, PASSWORD))
            .await;
    }
    assert_eq!(ask_for(&server, ASK, ALICE).await.status_field(), "OK");
    assert!(resets(&server).await.is_empty(), "nobody of the public tenant");
    ask_for(&server, "/auth/acme/user/password/reset/token", ALICE).await;
    let sent = resets(&server).await;
    assert!(sent[0].link.as_deref().unwrap().ends_with("&tenantId=acme"));
    let token = token_of(&sent[0]);
    for tenant in ["globex", "public"] {
        let path = format!("/auth/{tenant}/user/password/reset");
        let body = to(&token, NEW);
        let answer = server
            .client(Mode::Header)
            .peek("POST", &path, Some(&body), &[])
            .await;
        assert_eq!(answer.status_field(), BAD, "{tenant}");
    }
    let body = to(&token, NEW);
    let own = "/auth/acme/user/password/reset";
    let answer = server
        .client(Mode::Header)
        .peek("POST", own, Some(&body), &[])
        .await;
    assert_eq!(answer.status_field(), "OK");
    let mut alice = server.client(Mode::Header);
    let kept = alice.post("/auth/globex/signin", form(ALICE, PASSWORD)).await;
    assert_eq!(kept.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pwd_03_a_new_password_is_judged_wherever_it_is_set() {
    let server = server().await;
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    let token = token(&server, ALICE).await;
    for weak in ["password", "12345678", "alice@example.com", "seven77"] {
        let by_link = reset(&server, &token, weak).await;
        let by_change = alice.post(CHANGE, change(PASSWORD, weak)).await;
        for (answer, id) in [(by_link, "password"), (by_change, "newPassword")] {
            assert_eq!(answer.status_field(), "FIELD_ERROR", "{weak}");
            let field = &answer.json()["formFields"][0];
            assert_eq!(field["id"], id);
            assert!(!field["error"].as_str().unwrap().is_empty());
        }
    }
    // No rule of composition.
    let plain = alice
        .post(CHANGE, change(PASSWORD, "only lower case words"))
        .await;
    assert_eq!(plain.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pwd_02_a_password_that_was_set_matches_in_every_normal_form_and_in_no_other_case() {
    let server = server().await;
    half(&server, Mode::Header, ALICE).await;
    let token = token(&server, ALICE).await;
    // A composed letter, and a ligature that NFKC takes apart.
    assert_eq!(
        reset(&server, &token, "Caf\u{e9} o\u{fb03}ce horse ")
            .await
            .status_field(),
        "OK"
    );
    assert!(signs_in(&server, ALICE, "Cafe\u{301} office horse ").await);
    for other in [
        "caf\u{e9} office horse ",
        "Caf\u{e9} office horse",
        "Cafe office horse ",
    ] {
        assert!(!signs_in(&server, ALICE, other).await, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_09_a_change_by_the_user_keeps_the_own_session_by_new_tokens() {
    for mode in MODES {
        let server = server().await;
        let elsewhere = server.second().await;
        let mut other = full(&server, mode, ALICE, PHONE).await;
        let mut alice = server.client(mode);
        alice.sign_in(ALICE).await;
        server.moved(20).await;
        elsewhere.moved(20).await;
        alice.complete(&server, PHONE).await;
        let (handle, old) = (alice.handle(), alice.clone());
        let changed = alice.post(CHANGE, change(PASSWORD, NEW)).await;
        assert_eq!(changed.json(), json!({ "status": "OK" }), "{changed:?}");
        assert_ne!(alice.access_token(), old.access_token());
        assert_ne!(alice.refresh_token(), old.refresh_token());
        assert_eq!(alice.handle(), handle);
        assert_eq!(alice.get("/api/secret").await.status, 200);
        assert_eq!(alice.refresh().await.status, 200);
        assert_eq!(alice.get("/api/secret").await.status, 200);
        for mut client in [other.clone(), other.moved_to(&elsewhere)] {
            let refused = client.refresh().await;
            assert!(
                refused.status == 401 && refused.clears_everything(),
                "{refused:?}"
            );
        }
        assert_eq!(other.get("/api/me").await.status, 401);
        // The token from before is refused, and after the grace of a rise it is a thief's.
        let mut thief = old.clone();
        assert_eq!(thief.refresh().await.status, 401);
        assert!(signs_in(&server, ALICE, NEW).await && !signs_in(&server, ALICE, PASSWORD).await);
        server.dump().await;
        let told = server
            .sent()
            .await
            .into_iter()
            .filter(|m| m.kind == "password_changed");
        assert_eq!(told.map(|m| m.to).collect::<Vec<_>>(), [ALICE, PHONE]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stu_10_a_change_needs_the_present_password_and_a_fresh_factor() {
    for mode in MODES {
        let server = Server::start().await;
        let mut alice = full(&server, mode, ALICE, PHONE).await;
        let before = server.dump().await;
        for body in [
            json!({ "newPassword": NEW }),
            json!({ "currentPassword": null, "newPassword": NEW }),
            json!({ "currentPassword": PASSWORD }),
            json!({ "currentPassword": PASSWORD, "newPassword": NEW, "userId": "x" }),
        ] {
            assert_eq!(alice.post(CHANGE, body).await.status, 400);
        }
        // By the counters of sign-in: each door counts what is tried at the other (threat A-ENU-07).
        let mut failures = 0;
        let mut thief = server.client(mode);
        while failures < 9 {
            let (current, by_change) = (["", "wrong horse battery", NEW][failures % 3], failures % 2 == 0);
            let refused = match by_change {
                true => alice.post(CHANGE, change(current, NEW)).await,
                false => {
                    thief
                        .post("/auth/signin", form(ALICE, "wrong horse battery"))
                        .await
                }
            };
            assert!(refused.touches_no_token());
            match refused.status_field().as_str() {
                "WRONG_CREDENTIALS_ERROR" => failures += 1,
                _ => server.moved(9).await,
            }
        }
        let throttled = alice.post(CHANGE, change(PASSWORD, NEW)).await;
        assert_eq!(throttled.status, 429, "{throttled:?}");
        assert!(throttled.header("retry-after").is_some());
        assert_eq!(server.dump().await, before);
        server.moved(60).await;
        assert_eq!(
            alice.post(CHANGE, change(PASSWORD, NEW)).await.status_field(),
            "OK"
        );
        // Not by a half-login, and not once the factor is old.
        let mut half = server.client(mode);
        half.post("/auth/signin", form(ALICE, NEW)).await;
        assert_eq!(half.post(CHANGE, change(NEW, PASSWORD)).await.status, 403);
        server.moved(301).await;
        alice.refresh().await;
        let stale = alice.post(CHANGE, change(NEW, PASSWORD)).await;
        assert_eq!(
            (stale.status, stale.failed_claims()),
            (403, vec!["st-mfa".to_owned()])
        );
        assert_eq!(
            server
                .client(mode)
                .post(CHANGE, change(NEW, PASSWORD))
                .await
                .status,
            401
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_changes_at_once_one_wins() {
    let server = server().await;
    let second = server.second().await;
    let alice = full(&server, Mode::Header, ALICE, PHONE).await;
    let barrier = Arc::new(Barrier::new(8));
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let mut client = match n % 2 {
                0 => alice.clone(),
                _ => alice.moved_to(&second),
            };
            let (barrier, password) = (barrier.clone(), format!("horse battery number {n}"));
            tokio::spawn(async move {
                barrier.wait().await;
                let answer = client.post(CHANGE, change(PASSWORD, &password)).await;
                (answer, password, client)
            })
        })
        .collect();
    let mut won: Vec<(String, Client)> = Vec::new();
    for task in tasks {
        let (answer, password, client) = task.await.unwrap();
        match answer.status_field().as_str() {
            "OK" => won.push((password, client)),
            _ => assert!(answer.touches_no_token() || answer.status == 401, "{answer:?}"),
        }
    }
    assert!(!won.is_empty());
    let stored = server.number("SELECT count(*) FROM stepup_session").await;
    assert_eq!(stored, 1);
    // Whoever came later compared with the password of before it, and was refused: one password is left, and works.
    let mut works = 0;
    for (password, _) in &won {
        works += usize::from(signs_in(&server, ALICE, password).await);
    }
    assert_eq!((works, won.len()), (1, 1));
}

/// Fails at the second factor as often as it takes until it is suspended.
async fn suspend(server: &Server, mallory: &mut Client) -> usize {
    let mut failures = 0;
    for _ in 0..400 {
        mallory.sign_in(ALICE).await;
        let created = mallory.create_code(PHONE).await;
        if created.status_field() == "OK" {
            let code = server.code().await;
            loop {
                let answer = mallory.consume(&created.json(), &wrong(&code)).await;
                match answer.status_field().as_str() {
                    "INCORRECT_USER_INPUT_CODE_ERROR" => failures += 1,
                    "RESTART_FLOW_ERROR" => {
                        failures += 1;
                        break;
                    }
                    _ => {
                        let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
                        if wait > 30 * 24 * 3600 {
                            return failures;
                        }
                        break;
                    }
                }
            }
        }
        server.moved(3_601).await;
    }
    panic!("never suspended");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_04_a_reset_gives_five_tries_back_at_a_suspended_factor_and_no_more_than_the_cap() {
    let server = Server::start_with(|settings| {
        settings.configure = |config| {
            config.limits.second_factor.stop = 10;
            config.limits.codes[1].count = 10_000;
            config.limits.destination[2].count = 10_000;
            config.limits.destination[1].count = 10_000;
        };
    })
    .await;
    full(&server, Mode::Header, ALICE, PHONE).await;
    let mut mallory = server.client(Mode::Header);
    assert_eq!(suspend(&server, &mut mallory).await, 10);
    for turn in 0..2 {
        let token = token(&server, ALICE).await;
        // The same password, so that the client of this test can go on.
        assert_eq!(reset(&server, &token, PASSWORD).await.status_field(), "OK");
        assert_eq!(suspend(&server, &mut mallory).await, 5, "turn {turn}");
    }
    let token = token(&server, ALICE).await;
    assert_eq!(reset(&server, &token, PASSWORD).await.status_field(), "OK");
    // The owner gets in with one of them, and all is forgotten.
    server.moved(3_601).await;
    let mut alice = server.client(Mode::Header);
    alice.sign_in(ALICE).await;
    alice.complete(&server, PHONE).await;
    assert_eq!(suspend(&server, &mut mallory).await, 10);
}
