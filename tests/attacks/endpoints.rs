//! Endpoints of our own: a user's sessions and factors. They are read strictly, and know nobody but their caller.

use serde_json::{Value, json};
use stepup::storage::memory::MemoryStore;
use stepup::wire::route::ROUTES;
use stepup::wire::table::Access;
use stepup_testkit::faults::{FaultyStore, When};

use super::expect::{e401, e403_claims, is_dead, lives, sessions};
use super::own::Own;
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PHONE, Response, Server, full, half, returning};

const ALICE: &str = "alice@example.com";
const MALLORY: &str = "mallory@example.com";
const BOTH: [&str; 2] = ["st-mfa", "2fa-completed"];

/// There is no such thing: one answer, whatever the reason.
#[track_caller]
fn e404(response: &Response) {
    assert_eq!(response.status, 404, "{response:?}");
    assert_eq!(response.json(), json!({ "message": "not found" }));
    assert!(response.touches_no_token(), "{response:?}");
}

async fn list(client: &Client) -> Vec<Value> {
    let response = client.peek("GET", "/auth/session/list", None, &[]).await;
    assert_eq!(response.status_field(), "OK", "{response:?}");
    response.json()["sessions"].as_array().unwrap().clone()
}

async fn revoke(client: &Client, handle: &str) -> Response {
    let body = json!({ "sessionHandle": handle });
    client
        .peek("POST", "/auth/session/revoke", Some(&body), &[])
        .await
}

fn handles(list: &[Value]) -> Vec<&str> {
    list.iter()
        .map(|s| s["sessionHandle"].as_str().unwrap())
        .collect()
}

/// One more complete session of a user who has a phone.
async fn another(server: &Server, mode: Mode, email: &str, phone: &str) -> Client {
    server.moved(60).await;
    let mut client = server.client(mode);
    assert_eq!(client.sign_in(email).await.status_field(), "OK");
    client.complete(server, phone).await;
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_13_sessions_of_others_are_neither_listed_nor_ended() {
    for mode in MODES {
        let server = Server::start().await;
        let mut alice = full(&server, mode, ALICE, PHONE).await;
        let mut mallory = full(&server, mode, MALLORY, OTHER_PHONE).await;
        assert_eq!(handles(&list(&mallory).await), [mallory.handle()]);
        let before = server.dump().await;
        let unknown = revoke(&mallory, "00000000-0000-4000-8000-000000000000").await;
        e404(&unknown);
        for handle in [alice.handle(), String::new(), format!("{}x", mallory.handle())] {
            let refused = revoke(&mallory, &handle).await;
            e404(&refused);
            assert_eq!(refused.body, unknown.body, "{handle}");
        }
        assert_eq!(server.dump().await, before);
        lives(&mut alice).await;
        lives(&mut mallory).await;
        assert_eq!(handles(&list(&alice).await), [alice.handle()]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_13_an_own_session_is_listed_and_ended_at_once() {
    for mode in MODES {
        let server = Server::start().await;
        let mut phone = full(&server, mode, ALICE, PHONE).await;
        let laptop = another(&server, mode, ALICE, PHONE).await;
        let half = server.client(mode);
        let mut half_login = half.clone();
        half_login.sign_in(ALICE).await;

        let listed = list(&phone).await;
        assert_eq!(
            handles(&listed),
            [half_login.handle(), laptop.handle(), phone.handle()],
            "newest first"
        );
        let own = &listed[2];
        assert_eq!(own["current"], true);
        assert_eq!(
            (&listed[0]["current"], &listed[1]["current"]),
            (&json!(false), &json!(false))
        );
        assert_eq!(own["network"], "127.0.0.0/24", "not the whole address");
        assert_eq!(own["userAgent"], "");
        assert!(own["factors"]["emailpassword"].is_i64() && own["factors"]["otp-phone"].is_i64());
        assert!(listed[0]["factors"].get("otp-phone").is_none());
        assert!(own["createdAt"].as_i64() <= own["refreshedAt"].as_i64());
        assert!(own["refreshedAt"].as_i64() < own["expiresAt"].as_i64());

        assert_eq!(revoke(&phone, &laptop.handle()).await.status_field(), "OK");
        is_dead(&laptop).await;
        e404(&revoke(&phone, &laptop.handle()).await);
        assert_eq!(sessions(&server).await, 2);
        lives(&mut phone).await;

        // The present one goes as by sign-out.
        let left = revoke(&phone, &phone.handle()).await;
        assert_eq!(left.status_field(), "OK", "{left:?}");
        assert_eq!(left.header("front-token"), Some("remove"));
        is_dead(&phone).await;
        e401(&phone.peek("GET", "/auth/session/list", None, &[]).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_13_a_session_that_is_over_is_neither_listed_nor_ended() {
    let server = Server::start().await;
    let mut old = full(&server, Mode::Header, ALICE, PHONE).await;
    let mut left = server.client(Mode::Header);
    server.moved(60).await;
    left.sign_in(ALICE).await;
    // A half-login is over after 15 minutes, and its row stays for a while.
    server.moved(16 * 60).await;
    old.refresh().await;
    assert_eq!(handles(&list(&old).await), [old.handle()]);
    e404(&revoke(&old, &left.handle()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clm_02_our_own_endpoints_take_no_field_that_they_do_not_know() {
    for mode in MODES {
        let server = Server::start().await;
        let mut alice = full(&server, mode, ALICE, PHONE).await;
        let laptop = another(&server, mode, ALICE, PHONE).await;
        let before = server.dump().await;
        let more = json!({
            "verified": true, "emailVerified": true, "userId": alice.user_id(), "tenantId": "public",
            "mfaComplete": true, "factorIds": ["otp-phone"], "role": "admin", "isPrimaryUser": true,
            "sessionHandles": [laptop.handle()], "sessionhandle": laptop.handle(), "": 1,
        });
        for (key, value) in more.as_object().unwrap() {
            let mut body = json!({ "sessionHandle": laptop.handle() });
            body[key] = value.clone();
            let refused = alice.peek("POST", "/auth/session/revoke", Some(&body), &[]).await;
            assert_eq!(refused.status, 400, "{key}: {refused:?}");
            assert!(!refused.message().is_empty() && refused.touches_no_token());
            assert!(
                key.is_empty() || !refused.message().contains(key),
                "nothing is echoed"
            );
        }
        for odd in [
            json!({}),
            json!({ "sessionHandle": null }),
            json!({ "sessionHandle": [laptop.handle()] }),
        ] {
            let refused = alice.peek("POST", "/auth/session/revoke", Some(&odd), &[]).await;
            assert_eq!(refused.status, 400, "{refused:?}");
        }
        assert_eq!(server.dump().await, before);
        lives(&mut alice).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_complete_session_may_do_is_refused_to_a_half_login() {
    for mode in MODES {
        let server = Server::start().await;
        let enrolling = half(&server, mode, MALLORY).await;
        let proving = returning(&server, mode, ALICE, PHONE).await;
        let before = server.dump().await;
        let mut walked = 0;
        for row in ROUTES.iter().filter(|row| row.access >= Access::Complete) {
            for client in [&enrolling, &proving] {
                let path = format!("/auth{}", row.path);
                let body = json!({ "sessionHandle": client.handle() });
                let refused = client.peek(row.method.as_str(), &path, Some(&body), &[]).await;
                e403_claims(&refused, &BOTH);
                walked += 1;
            }
        }
        assert!(walked >= 4);
        assert_eq!(server.dump().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_login_sees_the_names_of_its_factors_and_no_address() {
    for mode in MODES {
        let server = Server::start().await;
        let mut alice = returning(&server, mode, ALICE, PHONE).await;
        let factors = |client: &Client| {
            let client = client.clone();
            async move { client.peek("GET", "/auth/factor/list", None, &[]).await }
        };
        let seen = factors(&alice).await;
        let text = String::from_utf8(seen.body.clone()).unwrap();
        assert!(!text.contains(PHONE) && !text.contains(ALICE), "{text}");
        let json = seen.json();
        assert_eq!(
            (&json["status"], &json["complete"]),
            (&json!("OK"), &json!(false))
        );
        assert_eq!(json["next"], json!(["otp-phone"]));
        let ids: Vec<_> = json["factors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| (&f["id"], &f["role"]))
            .collect();
        assert_eq!(
            ids,
            [
                (&json!("emailpassword"), &json!("first")),
                (&json!("otp-phone"), &json!("second"))
            ]
        );
        assert_eq!(json["factors"][1]["contact"], "+41*******67");
        assert!(json["factors"][0]["completedAt"].is_i64());
        assert!(json["factors"][1].get("completedAt").is_none());

        alice.complete(&server, PHONE).await;
        let json = factors(&alice).await.json();
        assert_eq!((&json["next"], &json["complete"]), (&json!([]), &json!(true)));
        assert!(json["factors"][1]["completedAt"].is_i64());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_too_often_is_told_so_and_holds_up_no_other_session() {
    for mode in MODES {
        let server = Server::start().await;
        let mut thief = full(&server, mode, ALICE, PHONE).await;
        let owner = another(&server, mode, ALICE, PHONE).await;
        let mut refused = None;
        for n in 0..70 {
            let (method, path) = [("GET", "/auth/session/list"), ("GET", "/auth/factor/list")][n % 2];
            let answer = thief.peek(method, path, None, &[]).await;
            assert_eq!(answer.status, if n < 60 { 200 } else { 429 }, "{n}: {answer:?}");
            refused = Some(answer);
        }
        let refused = refused.unwrap();
        assert_eq!(refused.json(), json!({ "message": "too many requests" }));
        let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
        assert!(
            (1..=60).contains(&wait) && refused.touches_no_token(),
            "{refused:?}"
        );
        assert_eq!(revoke(&thief, &owner.handle()).await.status, 429);
        // What the clients call goes on, and the owner throws the thief out.
        assert_eq!(thief.refresh().await.status, 200);
        assert_eq!(revoke(&owner, &thief.handle()).await.status_field(), "OK");
        is_dead(&thief).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_lists_nothing_and_ends_nothing() {
    let site = Own::start(FaultyStore::new(MemoryStore::new())).await;
    let (mut alice, created, code) = site.asked(Mode::Header, ALICE, PHONE).await;
    assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
    let body = json!({ "sessionHandle": alice.handle() });
    for (method, path) in [
        ("GET", "/auth/session/list"),
        ("GET", "/auth/factor/list"),
        ("POST", "/auth/session/revoke"),
    ] {
        let mut failed = 0;
        for nth in 0.. {
            site.store.heal();
            site.store.fail_call(nth, When::Before);
            let response = alice.peek(method, path, Some(&body), &[]).await;
            if site.store.calls().len() <= nth {
                site.store.heal();
                break;
            }
            // The last call of a revocation is the deletion, before which this process refuses the token already.
            assert!(
                [503, 401].contains(&response.status),
                "{path} {nth}: {response:?}"
            );
            failed += 1;
        }
        assert!(failed >= 1, "{path}");
    }
}
