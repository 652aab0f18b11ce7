//! Codes and links that sign in: what strangers try with them.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};
use stepup::delivery::Outbox;
use stepup::flow::Caller;
use stepup::{FactorId, Passwordless, Tenant, TenantId};
use stepup_core::factor::passwordless::DeviceId;
use stepup_core::id::ChallengeId;
use tokio::sync::Barrier;

use super::database;
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PHONE, Response, Server, answer, full, wrong};

const ALICE: &str = "alice@example.com";
const RESTART: &str = "RESTART_FLOW_ERROR";
const CREATE: &str = "/auth/signinup/code";
const CONSUME: &str = "/auth/signinup/code/consume";

/// The demo with passwords and these as first factors, and the default second factor.
async fn serving(first: &[FactorId]) -> Server {
    Server::start_with(|settings| settings.first_factors.extend(first.iter().cloned())).await
}

async fn by_code() -> Server {
    serving(&[FactorId::OTP_PHONE, FactorId::OTP_EMAIL]).await
}

async fn by_both() -> Server {
    serving(&[
        FactorId::OTP_PHONE,
        FactorId::OTP_EMAIL,
        FactorId::LINK_PHONE,
        FactorId::LINK_EMAIL,
    ])
    .await
}

async fn ask(server: &Server, client: &mut Client, contact: Value) -> (Value, String) {
    let created = client.post(CREATE, contact).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    (created.json(), server.code().await)
}

/// The newest link: its query and its secret.
async fn link(server: &Server) -> String {
    let sent = server.sent().await;
    let links = sent.iter().rev().filter(|m| m.kind == "link");
    links.filter_map(|m| m.link.clone()).next().expect("a link")
}

fn parts(link: &str) -> (&str, &str) {
    let (before, secret) = link.split_once('#').expect("a fragment");
    let id = before.split("preAuthSessionId=").nth(1).unwrap();
    (id.split('&').next().unwrap(), secret)
}

fn opening(link: &str) -> Value {
    let (id, secret) = parts(link);
    json!({ "preAuthSessionId": id, "linkCode": secret })
}

fn created(response: &Response) -> bool {
    assert_eq!(response.status_field(), "OK", "{response:?}");
    response.json()["createdNewRecipeUser"].as_bool().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_signs_up_then_in_and_the_second_factor_is_still_due() {
    for mode in MODES {
        let server = by_code().await;
        for contact in [
            json!({ "email": "Ann@Example.com " }),
            json!({ "phoneNumber": "+41 79 123 45 67" }),
        ] {
            let mut ann = server.client(mode);
            let (device, code) = ask(&server, &mut ann, contact.clone()).await;
            assert_eq!(device["flowType"], "USER_INPUT_CODE");
            assert_eq!(
                ann.post(CONSUME, answer(&device, &wrong(&code)))
                    .await
                    .status_field(),
                "INCORRECT_USER_INPUT_CODE_ERROR"
            );
            let response = ann.post(CONSUME, answer(&device, &code)).await;
            assert!(created(&response));
            let user = response.json()["user"].clone();
            assert_eq!(user["loginMethods"][0]["recipeId"], "passwordless");
            assert_eq!(user["loginMethods"][0]["verified"], true);
            assert!(!ann.completed());
            assert_eq!(ann.get("/api/secret").await.status, 403);
            assert_eq!(
                ann.post(CONSUME, answer(&device, &code)).await.status_field(),
                RESTART
            );

            server.moved(120).await;
            let mut again = server.client(mode);
            let (device, code) = ask(&server, &mut again, contact).await;
            let response = again.post(CONSUME, answer(&device, &code)).await;
            assert!(!created(&response));
            assert_eq!(response.json()["user"]["id"], user["id"]);
            assert_ne!(again.handle(), ann.handle());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_signs_in_where_it_is_opened_and_spends_the_code() {
    let server = by_both().await;
    let mut asking = server.client(Mode::Cookie);
    let (device, code) = ask(&server, &mut asking, json!({ "email": ALICE })).await;
    assert_eq!(device["flowType"], "USER_INPUT_CODE_AND_MAGIC_LINK");
    let sent = link(&server).await;
    let mut opener = server.client(Mode::Header);
    assert!(created(&opener.post(CONSUME, opening(&sent)).await));
    assert_eq!(
        asking.post(CONSUME, answer(&device, &code)).await.status_field(),
        RESTART
    );
    assert_eq!(opener.post(CONSUME, opening(&sent)).await.status_field(), RESTART);
    assert!(opener.payload()["st-mfa"]["c"].get("link-email").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_site_of_links_takes_no_code_and_links_expire() {
    let server = serving(&[FactorId::LINK_EMAIL]).await;
    let mut ann = server.client(Mode::Header);
    let response = ann.post(CREATE, json!({ "email": ALICE })).await;
    assert_eq!(response.json()["flowType"], "MAGIC_LINK");
    let sent = link(&server).await;
    assert!(server.sent().await.iter().all(|m| m.code.is_none()));
    for typed in ["000000", "123456"] {
        let answered = ann.post(CONSUME, answer(&response.json(), typed)).await;
        assert_eq!(answered.status_field(), "INCORRECT_USER_INPUT_CODE_ERROR");
    }
    server.moved(601).await;
    assert_eq!(ann.post(CONSUME, opening(&sent)).await.status_field(), RESTART);
    // A phone is a second factor here, and completes no session that is not there.
    let refused = ann.post(CREATE, json!({ "phoneNumber": PHONE })).await;
    assert_eq!(refused.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_end_a_challenge_and_an_old_code_is_told_from_a_wrong_one() {
    let server = by_code().await;
    let mut ann = server.client(Mode::Header);
    let (device, code) = ask(&server, &mut ann, json!({ "email": ALICE })).await;
    server.moved(601).await;
    assert_eq!(
        ann.post(CONSUME, answer(&device, &code)).await.status_field(),
        "EXPIRED_USER_INPUT_CODE_ERROR"
    );
    server.moved(60).await;
    let (device, code) = ask(&server, &mut ann, json!({ "email": ALICE })).await;
    for _ in 0..4 {
        let answered = ann.post(CONSUME, answer(&device, &wrong(&code))).await;
        assert_eq!(
            answered.status_field(),
            "INCORRECT_USER_INPUT_CODE_ERROR",
            "{answered:?}"
        );
        server.moved(20).await;
    }
    assert_eq!(
        ann.post(CONSUME, answer(&device, &wrong(&code)))
            .await
            .status_field(),
        RESTART
    );
    server.moved(60).await;
    assert_eq!(
        ann.post(CONSUME, answer(&device, &code)).await.status_field(),
        RESTART
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_checked_no_more_often_than_it_is_answered() {
    let server = by_code().await;
    let mut ann = server.client(Mode::Header);
    let (device, code) = ask(&server, &mut ann, json!({ "email": ALICE })).await;
    let (stepup, caller) = (&server.site.stepup, Caller::internal());
    let id = DeviceId::parse(device["deviceId"].as_str().unwrap()).unwrap();
    let check = async |typed: &str| {
        // Clear of the pauses that any failed sign-in brings: the challenge itself has to end the guessing.
        server.moved(20).await;
        stepup
            .check_first_code(&caller, &id, typed)
            .await
            .unwrap()
            .unwrap()
    };
    assert!(check(&code).await, "a check does not spend the code");
    for _ in 0..3 {
        assert!(!check(&wrong(&code)).await);
    }
    assert!(!check(&code).await, "the last try is none to check by");
    assert_eq!(
        ann.post(CONSUME, answer(&device, &code)).await.status_field(),
        RESTART
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_checked_still_signs_in() {
    let server = by_code().await;
    let mut ann = server.client(Mode::Header);
    let (device, code) = ask(&server, &mut ann, json!({ "email": ALICE })).await;
    let id = DeviceId::parse(device["deviceId"].as_str().unwrap()).unwrap();
    let (stepup, caller) = (&server.site.stepup, Caller::internal());
    assert!(
        stepup
            .check_first_code(&caller, &id, &code)
            .await
            .unwrap()
            .unwrap()
    );
    assert!(created(&ann.post(CONSUME, answer(&device, &code)).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_code_and_its_link_used_at_once_one_signs_in() {
    let server = by_both().await;
    let second = server.second().await;
    let mut ann = server.client(Mode::Header);
    let (device, code) = ask(&server, &mut ann, json!({ "email": ALICE })).await;
    let sent = link(&server).await;
    let barrier = Arc::new(Barrier::new(16));
    let tasks: Vec<_> = (0..16)
        .map(|n| {
            let mut client = if n % 4 < 2 {
                server.client(Mode::Header)
            } else {
                second.client(Mode::Header)
            };
            let body = if n % 2 == 0 {
                answer(&device, &code)
            } else {
                opening(&sent)
            };
            let barrier = barrier.clone();
            tokio::spawn(async move {
                barrier.wait().await;
                client.post(CONSUME, body).await
            })
        })
        .collect();
    let mut signed_in = 0;
    for task in tasks {
        let response = task.await.unwrap();
        assert_eq!(response.status, 200, "{response:?}");
        signed_in += usize::from(response.status_field() == "OK");
    }
    assert_eq!(signed_in, 1);
    assert_eq!(server.number("SELECT count(*) FROM stepup_session").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_07_a_second_factors_phone_signs_in_to_no_account() {
    let server = Server::start().await;
    let alice = full(&server, Mode::Cookie, ALICE, PHONE).await;
    server.moved(3_700).await;
    // The same database, with sign-in by phone turned on.
    let server = server
        .changed(|settings| settings.first_factors.push(FactorId::OTP_PHONE))
        .await;
    let mut mallory = server.client(Mode::Header);
    let known = mallory
        .get("/auth/passwordless/phonenumber/exists?phoneNumber=%2B41791234567")
        .await;
    assert_eq!(known.json(), json!({ "status": "OK", "exists": false }));
    let (device, code) = ask(&server, &mut mallory, json!({ "phoneNumber": PHONE })).await;
    let response = mallory.post(CONSUME, answer(&device, &code)).await;
    assert!(created(&response), "as for a number that nobody knows");
    assert_ne!(mallory.user_id(), alice.user_id());
    assert!(!mallory.completed());
    assert_eq!(mallory.get("/api/secret").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_16_the_channel_that_signed_in_is_no_second_factor() {
    let server = by_both().await;
    let mut alice = server.client(Mode::Header);
    alice.post(CREATE, json!({ "phoneNumber": PHONE })).await;
    let sent = link(&server).await;
    assert!(created(&alice.post(CONSUME, opening(&sent)).await));
    server.moved(60).await;
    // The same phone, and any other: what was a possession before is no second kind of proof.
    for number in [PHONE, OTHER_PHONE] {
        let before = server.codes_sent().await;
        let second = json!({ "phoneNumber": number, "shouldTryLinkingWithSessionUser": true });
        let refused = alice.post(CREATE, second).await;
        assert_ne!(refused.status_field(), "OK", "{refused:?}");
        assert_eq!(server.codes_sent().await, before);
    }
    assert_eq!(alice.get("/api/secret").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_16_the_secret_of_a_link_is_its_fragment_and_its_page_is_silent() {
    let server = by_both().await;
    let mut ann = server.client(Mode::Header);
    ann.post(CREATE, json!({ "email": ALICE })).await;
    let sent = link(&server).await;
    let (page, secret) = sent.split_once('#').unwrap();
    assert!(secret.len() >= 64 && !page.contains(secret));
    let path = page.split_once("://").unwrap().1.split_once('/').unwrap().1;
    let shown = ann.get(&format!("/{path}")).await;
    assert_eq!(shown.status, 200);
    assert_eq!(shown.header("referrer-policy"), Some("no-referrer"));
    let policy = shown.header("content-security-policy").unwrap().to_owned();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let body = String::from_utf8(shown.body).unwrap();
    let foreign: Vec<_> = body.match_indices("://").collect();
    assert!(foreign.is_empty() || !body.contains("src=\"http"), "{body}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_17_a_link_leads_to_the_configured_site_whatever_the_request_says() {
    let server = by_both().await;
    let body = json!({ "email": ALICE }).to_string();
    let origin = format!("http://localhost:{}", server.address.port());
    for headers in [
        "host: evil.example\r\n",
        "host: localhost\r\nx-forwarded-host: evil.example\r\n",
        "host: localhost\r\nforwarded: host=evil.example;proto=https\r\n",
        "host: localhost:1\r\n",
    ] {
        let request = format!(
            "POST {CREATE} HTTP/1.1\r\n{headers}content-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let response = server.raw(request.as_bytes()).await;
        assert_eq!(response.status_field(), "OK", "{response:?}");
        let sent = link(&server).await;
        assert!(sent.starts_with(&format!("{origin}/auth/verify?")), "{sent}");
        server.moved(700).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_18_a_link_that_was_passed_on_leaves_the_readers_session_alone() {
    let server = serving(&[FactorId::OTP_EMAIL, FactorId::LINK_EMAIL]).await;
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    let mut mallory = server.client(Mode::Header);
    mallory
        .post(CREATE, json!({ "email": "mallory@example.com" }))
        .await;
    let sent = link(&server).await;
    // Alice's browser opens the page: that alone changes nothing.
    let (page, _) = sent.split_once('#').unwrap();
    let path = page.split_once("://").unwrap().1.split_once('/').unwrap().1;
    let before = (alice.handle(), alice.user_id());
    alice.get(&format!("/{path}")).await;
    assert_eq!((alice.handle(), alice.user_id()), before);
    assert_eq!(alice.get("/api/secret").await.status, 200);
    // Opened after all, it is Mallory's account in a session of its own; nothing of Alice's goes with it.
    let mut opened = alice.clone();
    let response = opened.post(CONSUME, opening(&sent)).await;
    assert!(created(&response));
    assert_ne!(opened.user_id(), before.1);
    assert!(!opened.completed());
    assert_eq!(alice.get("/api/secret").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_18_whoever_opens_a_link_can_be_told_whose_it_is() {
    for (first, shows_code) in [
        (&[FactorId::OTP_EMAIL, FactorId::LINK_EMAIL][..], true),
        (&[FactorId::LINK_EMAIL], false),
    ] {
        let server = serving(first).await;
        let mut mallory = server.client(Mode::Header);
        mallory
            .post(CREATE, json!({ "email": "Mallory@example.com" }))
            .await;
        let sent = link(&server).await;
        let (id, secret) = parts(&sent);
        let (stepup, caller, id) = (&server.site.stepup, Caller::internal(), ChallengeId::from(id));
        let whose = async |secret: &str| stepup.contact_of_link(&caller, &id, secret).await.unwrap();
        assert_eq!(whose(secret).await.as_deref(), Some("mallory@example.com"));
        let code = stepup.code_of_link(&caller, &id, secret).await.unwrap();
        assert_eq!(code.is_some(), shows_code);
        // The name of the challenge, which stands in logs, tells nobody.
        assert_eq!(whose(&secret[1..]).await, None);
        let elsewhere = Caller::within(&TenantId::from("acme"));
        assert_eq!(
            stepup.contact_of_link(&elsewhere, &id, secret).await.unwrap(),
            None
        );
        // Nothing was spent by looking, and nothing is told of a link that works no more.
        assert!(created(&mallory.post(CONSUME, opening(&sent)).await));
        assert_eq!(whose(secret).await, None);
        assert!(stepup.code_of_link(&caller, &id, secret).await.unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_08_looking_at_a_link_spends_nothing() {
    let server = by_both().await;
    let mut ann = server.client(Mode::Header);
    ann.post(CREATE, json!({ "email": ALICE })).await;
    let sent = link(&server).await;
    let (id, secret) = parts(&sent);
    for path in [
        format!("/auth/verify?preAuthSessionId={id}&tenantId=public"),
        format!("{CONSUME}?preAuthSessionId={id}&linkCode={secret}"),
    ] {
        for method in ["GET", "HEAD"] {
            let request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
            server.raw(request.as_bytes()).await;
        }
    }
    assert!(created(&ann.post(CONSUME, opening(&sent)).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_23_the_name_of_a_challenge_opens_nothing_and_ends_nothing() {
    let server = by_both().await;
    let mut ann = server.client(Mode::Header);
    let (device, code) = ask(&server, &mut ann, json!({ "email": ALICE })).await;
    let sent = link(&server).await;
    let (id, secret) = parts(&sent);
    let mut mallory = server.client(Mode::Header);
    let flipped = format!(
        "{}{}",
        &secret[..secret.len() - 2],
        if secret.ends_with('A') { "BB" } else { "AA" }
    );
    for guess in ["", "AAAA", "000000", &flipped, &"A".repeat(secret.len())] {
        let body = json!({ "preAuthSessionId": id, "linkCode": guess });
        for _ in 0..2 {
            assert_eq!(mallory.post(CONSUME, body.clone()).await.status_field(), RESTART);
        }
    }
    // Ten guesses did not use up the owner's five.
    assert!(created(&ann.post(CONSUME, answer(&device, &code)).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_otp_24_nothing_of_a_link_or_a_code_is_stored() {
    let server = by_both().await;
    let mut ann = server.client(Mode::Header);
    let (_, code) = ask(&server, &mut ann, json!({ "email": ALICE })).await;
    let sent = link(&server).await;
    let (_, secret) = parts(&sent);
    let dump = database::dump(&server.database()).await;
    let text = format!("{dump:?}");
    assert!(!text.contains(secret) && !text.contains(&secret[20..60]));
    assert!(!text.contains(&format!("'{code}'")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rl_07_a_strangers_code_leaves_the_owners_alive_and_spends_the_same_budget() {
    let server = by_code().await;
    let mut alice = server.client(Mode::Header);
    let (device, code) = ask(&server, &mut alice, json!({ "phoneNumber": PHONE })).await;
    let mut mallory = server.client(Mode::Header);
    for _ in 0..2 {
        ask(&server, &mut mallory, json!({ "phoneNumber": PHONE })).await;
    }
    // Three messages to one phone in ten minutes, whoever asked for them.
    let fourth = mallory.post(CREATE, json!({ "phoneNumber": PHONE })).await;
    assert_eq!(fourth.status_field(), "GENERAL_ERROR");
    assert!(fourth.header("retry-after").is_some());
    assert!(created(&alice.post(CONSUME, answer(&device, &code)).await));
    // A right answer ends them all.
    assert_eq!(server.number("SELECT count(*) FROM stepup_challenge").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_01_known_and_unknown_contacts_are_answered_alike() {
    let server = by_code().await;
    let mut ann = server.client(Mode::Header);
    ann.sign_up("password@example.com").await;
    let (device, code) = ask(&server, &mut ann, json!({ "email": "known@example.com" })).await;
    assert!(created(&ann.post(CONSUME, answer(&device, &code)).await));
    server.moved(700).await;
    let mut shapes = BTreeSet::new();
    for email in ["known@example.com", "unknown@example.com", "password@example.com"] {
        let mut stranger = server.client(Mode::Header);
        let response = stranger.post(CREATE, json!({ "email": email })).await;
        let mut body = response.json();
        for id in ["deviceId", "preAuthSessionId"] {
            body[id] = body[id].as_str().unwrap().len().into();
        }
        let mut names: Vec<String> = response.headers.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        shapes.insert(format!("{} {body} {names:?}", response.status));
    }
    assert_eq!(shapes.len(), 1, "{shapes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_of_an_account_with_a_password_is_refused_only_to_who_proved_it() {
    let server = serving(&[FactorId::OTP_EMAIL]).await;
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    server.moved(700).await;
    let mut reader = server.client(Mode::Header);
    let (device, code) = ask(&server, &mut reader, json!({ "email": ALICE })).await;
    let refused = reader.post(CONSUME, answer(&device, &code)).await;
    assert_eq!(refused.status_field(), "SIGN_IN_UP_NOT_ALLOWED");
    assert!(
        refused.json()["reason"]
            .as_str()
            .unwrap()
            .ends_with("(ERR_CODE_002)")
    );
    assert!(refused.touches_no_token());
    assert_eq!(alice.refresh().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_takes_of_codes_and_links_what_it_lists() {
    let server = Server::start_with(|settings| {
        settings
            .first_factors
            .extend([FactorId::OTP_EMAIL, FactorId::LINK_EMAIL]);
        settings.tenants.push("acme".to_owned());
    })
    .await;
    let mut ann = server.client(Mode::Header);
    let sent = ann
        .post("/auth/acme/signinup/code", json!({ "email": ALICE }))
        .await;
    assert_eq!(sent.status_field(), "OK", "{sent:?}");
    let code = server.code().await;
    // A challenge of one tenant is nothing in another.
    let elsewhere = ann.post(CONSUME, answer(&sent.json(), &code)).await;
    assert_eq!(elsewhere.status, 401);
    let here = ann
        .post("/auth/acme/signinup/code/consume", answer(&sent.json(), &code))
        .await;
    assert!(created(&here));
    assert_eq!(ann.payload()["tId"], "acme");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_does_not_list_codes_takes_none() {
    let server = Server::start_adding(|builder| {
        builder
            .factor(Passwordless::email(Outbox::new()).only_first_factor())
            .tenants([Tenant::new("initech").first_factors([FactorId::EMAIL_PASSWORD])])
    })
    .await;
    let mut ann = server.client(Mode::Header);
    let ask = json!({ "email": ALICE });
    assert_eq!(ann.post(CREATE, ask.clone()).await.status_field(), "OK");
    let before = server.number("SELECT count(*) FROM stepup_challenge").await;
    let refused = ann.post("/auth/initech/signinup/code", ask).await;
    assert_eq!(
        (refused.status, refused.message().as_str()),
        (401, "unauthorised"),
        "{refused:?}"
    );
    assert_eq!(
        server.number("SELECT count(*) FROM stepup_challenge").await,
        before
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_csr_05_the_page_of_a_link_says_whose_it_is_in_its_own_tenant() {
    let server = Server::start_with(|settings| {
        settings
            .first_factors
            .extend([FactorId::OTP_EMAIL, FactorId::LINK_EMAIL]);
        settings.tenants.push("acme".to_owned());
    })
    .await;
    let mut ann = server.client(Mode::Header);
    let asked = ann
        .post("/auth/acme/signinup/code", json!({ "email": ALICE }))
        .await;
    assert_eq!(asked.status_field(), "OK");
    let code = server.code().await;
    let mut look = opening(&link(&server).await);
    for tenant in ["public", "globex", "../acme", ""] {
        look["tenantId"] = json!(tenant);
        let told = ann.post("/api/link-code", look.clone()).await.json();
        assert_eq!(told, json!({ "contact": null, "code": null }), "{tenant}");
    }
    look["tenantId"] = json!("acme");
    let told = ann.post("/api/link-code", look).await.json();
    assert_eq!(told, json!({ "contact": ALICE, "code": code }));
}
