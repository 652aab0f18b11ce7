//! Rows A-LEG: a second factor read from a boolean claim and a stored phone, as older frontends do.

use serde_json::json;
use stepup::{TenantId, UserId};

use super::database::{self, Still};
use crate::kit::{
    Client, MODES, Mode, OTHER_PHONE, PASSWORD, PHONE, Response, Server, answer, form, full, half,
};

const ALICE: &str = "alice@example.com";
const BOB: &str = "bob@example.com";
const MALLORY: &str = "mallory@example.com";
const CONTACTS: &str = "SELECT count(*) FROM stepup_credential WHERE kind = 'contact'";

fn public() -> TenantId {
    TenantId::public()
}

async fn s1(server: &Server, mode: Mode, email: &str) -> Client {
    let mut client = server.client(mode);
    let response = client.sign_in(email).await;
    assert_eq!(response.status_field(), "OK", "{response:?}");
    client
}

fn assert_refused_in_words(response: &Response) {
    assert_eq!(
        (response.status, response.status_field().as_str()),
        (200, "GENERAL_ERROR"),
        "{response:?}"
    );
    assert!(
        !String::from_utf8_lossy(&response.body).contains("4179"),
        "{response:?}"
    );
    assert!(response.touches_no_token());
}

/// What is stored of the second factors: nothing of it may move.
async fn contacts(server: &Server) -> Vec<String> {
    let tables = database::dump(&server.database()).await;
    [
        tables["stepup_credential"].clone(),
        tables["stepup_user"].clone(),
        tables["stepup_identifier"].clone(),
    ]
    .concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_01_the_stored_number_decides_and_not_the_payload() {
    for mode in MODES {
        let server = Server::start().await;
        let mut alice = half(&server, mode, ALICE).await;
        let before = alice.clone();
        assert!(before.payload().get("phoneNumber").is_none());
        alice.complete(&server, PHONE).await;
        let still = Still::of(&server).await;
        // The token from before knows no number, the one from after does; the answer is the same.
        for client in [&before, &alice] {
            let body = json!({ "phoneNumber": OTHER_PHONE });
            let response = client.peek("POST", "/auth/signinup/code", Some(&body), &[]).await;
            assert_refused_in_words(&response);
        }
        still.holds(&server).await;

        // A session with a former number is over once the number is another one.
        let user = UserId::from(alice.user_id());
        assert!(server.site.stepup.reset_factors(&public(), &user).await.unwrap());
        let mut again = s1(&server, mode, ALICE).await;
        assert!(again.payload().get("phoneNumber").is_none());
        again.complete(&server, OTHER_PHONE).await;
        for old in [&before, &alice] {
            let body = json!({ "phoneNumber": PHONE });
            let response = old.peek("POST", "/auth/signinup/code", Some(&body), &[]).await;
            assert_eq!(response.status, 401, "{response:?}");
        }
        assert_refused_in_words(&again.create_code(PHONE).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_02_the_stored_number_is_never_overwritten() {
    for mode in MODES {
        let server = Server::start().await;
        full(&server, mode, ALICE, PHONE).await.sign_out().await;
        server.moved(700).await;
        let mut mallory = half(&server, mode, MALLORY).await;
        let hers = mallory.create_code(OTHER_PHONE).await.json();
        let her_code = server.code().await;
        let mut alice = s1(&server, mode, ALICE).await;
        let stored = contacts(&server).await;
        let restart = alice.consume(&hers, &her_code).await;
        assert_eq!(
            restart.json(),
            json!({ "status": "RESTART_FLOW_ERROR" }),
            "{restart:?}"
        );
        assert_eq!(contacts(&server).await, stored);
        assert!(!alice.completed());

        alice.complete(&server, PHONE).await;
        assert_eq!(
            contacts(&server).await,
            stored,
            "a completion wrote to the enrollment"
        );
        // A complete session gets no second number here either, nor by Mallory's challenge.
        assert_refused_in_words(&alice.create_code(OTHER_PHONE).await);
        let restart = alice.consume(&hers, &her_code).await;
        assert_eq!(
            restart.json(),
            json!({ "status": "RESTART_FLOW_ERROR" }),
            "{restart:?}"
        );
        assert_eq!(contacts(&server).await, stored);
        assert_eq!(alice.payload()["phoneNumber"], PHONE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_03_a_vanished_contact_closes_the_account_until_a_reset() {
    let vanished = [
        "DELETE FROM stepup_credential WHERE kind = 'contact'",
        "UPDATE stepup_credential SET public = '{}' WHERE kind = 'contact'",
        // The other half alone: a credential that the summary does not name.
        "UPDATE stepup_user SET summary = '{\"enrolled\":[],\"required\":[]}'",
    ];
    for sql in vanished {
        let server = Server::start().await;
        full(&server, Mode::Cookie, ALICE, PHONE).await.sign_out().await;
        server.moved(700).await;
        let mut alice = s1(&server, Mode::Cookie, ALICE).await;
        assert_eq!(database::run(&server, sql).await, 1, "{sql}");
        let still = Still::of(&server).await;
        for phone in [OTHER_PHONE, PHONE] {
            assert_refused_in_words(&alice.create_code(phone).await);
        }
        still.holds(&server).await;
        assert_eq!(alice.get("/api/secret").await.status, 403);
        let mut again = s1(&server, Mode::Cookie, ALICE).await;
        assert_refused_in_words(&again.create_code(OTHER_PHONE).await);
        assert_eq!(again.get("/api/secret").await.status, 403);

        let user = UserId::from(alice.user_id());
        assert!(
            server.site.stepup.reset_factors(&public(), &user).await.unwrap(),
            "{sql}"
        );
        s1(&server, Mode::Cookie, ALICE)
            .await
            .complete(&server, OTHER_PHONE)
            .await;
        assert_eq!(database::count(&server.database(), CONTACTS).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_04_a_second_factor_phone_is_no_login_and_dies_with_its_owner() {
    for mode in MODES {
        let server = Server::start().await;
        let mut alice = full(&server, mode, ALICE, PHONE).await;
        server.moved(700).await;
        let created = alice.create_code(PHONE).await.json();
        let code = server.code().await;
        let still = Still::of(&server).await;
        for (path, body) in [
            ("/auth/signinup/code", json!({ "phoneNumber": PHONE })),
            (
                "/auth/signinup/code/resend",
                json!({ "deviceId": created["deviceId"], "preAuthSessionId": created["preAuthSessionId"] }),
            ),
            ("/auth/signinup/code/consume", answer(&created, &code)),
        ] {
            let mut nobody = server.client(mode);
            let response = nobody.post(path, body).await;
            assert_eq!(
                (response.status, response.message().as_str()),
                (401, "unauthorised"),
                "{path}"
            );
            assert!(response.touches_no_token());
        }
        still.holds(&server).await;
        let file = server.database();
        assert_eq!(
            database::count(&file, "SELECT count(*) FROM stepup_user").await,
            1,
            "a helper user"
        );
        assert_eq!(
            database::count(
                &file,
                "SELECT count(*) FROM stepup_identifier WHERE kind = 'phone'"
            )
            .await,
            0
        );

        let user = UserId::from(alice.user_id());
        assert!(server.site.stepup.delete(&public(), &user).await.unwrap());
        assert_eq!(
            database::count(&file, "SELECT count(*) FROM stepup_credential").await,
            0
        );
        for (table, column) in [
            ("stepup_user", "summary || methods || metadata"),
            ("stepup_challenge", "destination"),
            ("stepup_identifier", "value"),
        ] {
            let left = format!(
                "SELECT count(*) FROM {table} WHERE {column} LIKE '%4179123%' OR {column} LIKE '%alice%'"
            );
            assert_eq!(database::count(&file, &left).await, 0, "{table}");
        }
        assert_eq!(alice.consume(&created, &code).await.status, 401);
        assert_eq!(
            server.client(mode).sign_in(ALICE).await.status_field(),
            "WRONG_CREDENTIALS_ERROR"
        );
        // The number is anybody's again.
        full(&server, mode, BOB, PHONE).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_05_completion_in_one_browser_leaves_the_other_as_it_is() {
    for mode in MODES {
        let server = Server::start().await;
        full(&server, mode, ALICE, PHONE).await.sign_out().await;
        server.moved(700).await;
        let mut one = s1(&server, mode, ALICE).await;
        let mut other = s1(&server, mode, ALICE).await;
        one.complete(&server, PHONE).await;
        assert_eq!(one.get("/api/secret").await.status, 200);
        for _ in 0..2 {
            assert_eq!(other.get("/api/secret").await.status, 403);
            assert_eq!(other.refresh().await.status, 200);
            assert!(!other.completed());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_06_no_payload_from_a_request_sets_the_claim() {
    for mode in MODES {
        let server = Server::start().await;
        full(&server, mode, ALICE, PHONE).await.sign_out().await;
        server.moved(700).await;
        let mut thief = server.client(mode);
        let mut body = form(ALICE, PASSWORD);
        for key in [
            "2fa-completed",
            "st-mfa",
            "accessTokenPayload",
            "claims",
            "userDataInAccessToken",
        ] {
            body[key] = json!({ "v": true, "t": 1, "2fa-completed": { "v": true, "t": 1 } });
        }
        assert_eq!(thief.post("/auth/signin", body).await.status_field(), "OK");
        assert!(!thief.completed());

        let stepup = &server.site.stepup;
        let handle = stepup
            .verify(thief.access_token().unwrap())
            .unwrap()
            .handle()
            .clone();
        let still = Still::of(&server).await;
        for key in [
            "2fa-completed",
            "st-mfa",
            "phoneNumber",
            "sub",
            "iss",
            "exp",
            "sessionHandle",
            "tId",
            "st-perm",
            "amr",
            "acr",
        ] {
            for value in [json!({ "v": true, "t": 1 }), json!(null)] {
                let patch =
                    serde_json::Map::from_iter([("color".to_owned(), json!("red")), (key.to_owned(), value)]);
                let merged = stepup.merge_payload(&handle, &patch).await.unwrap();
                assert!(merged.is_err(), "{key}");
            }
        }
        still.holds(&server).await;
        // An ordinary key is merged, by handle, and lifts nothing.
        let patch = serde_json::Map::from_iter([("color".to_owned(), json!("red"))]);
        stepup.merge_payload(&handle, &patch).await.unwrap().unwrap();
        assert_eq!(thief.refresh().await.status, 200);
        assert_eq!(thief.payload()["color"], "red");
        assert!(!thief.completed());
        assert_eq!(thief.get("/api/secret").await.status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_07_a_second_factor_phone_does_not_exist_for_who_asks() {
    let server = Server::start().await;
    full(&server, Mode::Cookie, ALICE, PHONE).await;
    let client = server.client(Mode::Cookie);
    for path in [
        "/auth/passwordless/phonenumber/exists",
        "/auth/passwordless/phoneNumber/exists",
        "/auth/signup/phonenumber/exists",
    ] {
        let known = client
            .peek("GET", &format!("{path}?phoneNumber=%2B41791234567"), None, &[])
            .await;
        let unknown = client
            .peek("GET", &format!("{path}?phoneNumber=%2B41791234569"), None, &[])
            .await;
        assert_eq!(known.json(), json!({ "status": "OK", "exists": false }), "{path}");
        assert_eq!(known.body, unknown.body, "{path}");
    }
    // Nothing in the tables would let it sign in, were it a first factor tomorrow.
    let identifiers = database::ask(&server.database(), "SELECT value FROM stepup_identifier").await;
    let values: Vec<String> = identifiers.iter().map(|row| sqlx::Row::get(row, 0)).collect();
    assert_eq!(values, [ALICE]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leg_08_two_users_share_a_phone_and_neither_learns_of_the_other() {
    for mode in MODES {
        let server = Server::start().await;
        let mut alice = full(&server, mode, ALICE, PHONE).await;
        alice.sign_out().await;
        let mut bob = half(&server, mode, BOB).await;
        let created = bob.create_code(PHONE).await;
        assert_eq!(created.status_field(), "OK", "{created:?}");
        let mut keys: Vec<String> = created.json().as_object().unwrap().keys().cloned().collect();
        keys.sort();
        assert_eq!(keys, ["deviceId", "flowType", "preAuthSessionId", "status"]);
        let bobs_code = server.code().await;
        server.moved(20).await;

        // Alice asks and answers meanwhile: that closes her challenge, and not Bob's.
        let mut alice = s1(&server, mode, ALICE).await;
        alice.complete(&server, PHONE).await;
        let consumed = bob.consume(&created.json(), &bobs_code).await;
        assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
        assert_ne!(alice.user_id(), bob.user_id());
        for client in [&mut alice, &mut bob] {
            let id = client.user_id();
            assert_eq!(client.get("/api/secret").await.json()["userId"], id.as_str());
        }
        assert_eq!(database::count(&server.database(), CONTACTS).await, 2);
    }
}
