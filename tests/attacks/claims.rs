//! Rows A-CLM: what cannot be put into a session from outside.

use serde_json::{Value, json};
use stepup_core::id::SessionHandle;

use super::expect::{e403_claims, lives, secret, user};
use crate::kit::{Client, MODES, OTHER_PHONE, PASSWORD, PHONE, Server, answer, form, full, half};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const BOTH: [&str; 2] = ["st-mfa", "2fa-completed"];

/// What is decided by stepup alone.
fn reserved() -> Vec<(&'static str, Value)> {
    vec![
        ("st-mfa", json!({ "c": { "otp-phone": 1 }, "v": true })),
        ("st-mfa.v", json!(true)),
        ("st-anything", json!(1)),
        ("2fa-completed", json!({ "v": true, "t": 1 })),
        ("phoneNumber", json!(OTHER_PHONE)),
        ("sub", json!("bob")),
        ("rsub", json!("bob")),
        ("tId", json!("other")),
        ("sessionHandle", json!("other")),
        ("refreshTokenHash1", json!("x")),
        ("parentRefreshTokenHash1", json!("x")),
        ("antiCsrfToken", json!("x")),
        ("iss", json!("x")),
        ("aud", json!("x")),
        ("iat", json!(1)),
        ("exp", json!(99_999_999_999_i64)),
        ("nbf", json!(1)),
        ("jti", json!("x")),
        ("kid", json!("x")),
        ("typ", json!("x")),
        ("amr", json!(["otp"])),
        ("acr", json!("aal2")),
        ("auth_time", json!(1)),
        ("stt", json!(1)),
        ("__proto__", json!({ "st-mfa": { "v": true } })),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clm_01_fields_of_a_form_become_no_claims() {
    for mode in MODES {
        let server = Server::start().await;
        let before = server.dump().await;
        for (key, value) in reserved() {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let mut body = form(ANN, PASSWORD);
            body["formFields"]
                .as_array_mut()
                .unwrap()
                .push(json!({ "id": key, "value": text }));
            // The form has two fields; more are refused as a whole.
            let mut nobody = server.client(mode);
            let refused = nobody.post("/auth/signup", body).await;
            assert_eq!(refused.status, 400, "{key} {refused:?}");
            assert!(refused.touches_no_token() && !refused.message().is_empty());
        }
        assert_eq!(server.dump().await, before);
        // Beside the form they are ignored.
        let mut body = form(ANN, PASSWORD);
        for (key, value) in reserved() {
            body[key] = value;
        }
        body["stepup"] = json!({ "completed": true });
        body["__proto__"] = json!({ "v": true });
        let mut ann = server.client(mode);
        assert_eq!(ann.post("/auth/signup", body).await.status_field(), "OK");
        e403_claims(&secret(&ann).await, &BOTH);
        assert_eq!(
            ann.payload()["st-mfa"],
            json!({ "c": ann.payload()["st-mfa"]["c"], "v": false })
        );
        assert_eq!(ann.payload()["tId"], "public");
        for key in [
            "stepup",
            "__proto__",
            "amr",
            "phoneNumber",
            "st-mfa.v",
            "st-anything",
        ] {
            assert!(ann.payload().get(key).is_none(), "{key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clm_01_an_application_that_merges_what_it_was_sent_gets_an_error() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = half(&server, mode, ANN).await;
        let handle = SessionHandle::from(ann.handle().as_str());
        let before = server.dump().await;
        for (key, value) in reserved() {
            let patch = json!({ "plan": "gold", key: value });
            let patch = patch.as_object().unwrap();
            let merged = server.site.stepup.merge_payload(&handle, patch).await.unwrap();
            assert!(merged.is_err(), "{key}");
            let removed = json!({ key: null });
            let removed = removed.as_object().unwrap();
            assert!(
                server
                    .site
                    .stepup
                    .merge_payload(&handle, removed)
                    .await
                    .unwrap()
                    .is_err(),
                "{key}"
            );
        }
        assert_eq!(server.dump().await, before);
        // What is the application's own it may merge, whatever it looks like.
        let own = json!({ "plan": "gold", "deep": { "st-mfa": { "v": true } } });
        server
            .site
            .stepup
            .merge_payload(&handle, own.as_object().unwrap())
            .await
            .unwrap()
            .unwrap();
        ann.refresh().await;
        assert_eq!(ann.payload()["plan"], "gold");
        e403_claims(&secret(&ann).await, &BOTH);
    }
}

/// What no client may say of itself.
fn assigned(ann: &Client, bob: &Client) -> Value {
    json!({
        "verified": true,
        "emailVerified": true,
        "userId": bob.user_id(),
        "recipeUserId": bob.user_id(),
        "sub": bob.user_id(),
        "tenantId": "other",
        "tId": "other",
        "sessionHandle": bob.handle(),
        "session": bob.handle(),
        "mfaComplete": true,
        "st-mfa": { "v": true, "c": { "otp-phone": 1 } },
        "2fa-completed": { "v": true, "t": 1 },
        "factorIds": ["otp-phone"],
        "factors": { "otp-phone": 1 },
        "role": { "v": ["admin"], "t": 1 },
        "isPrimaryUser": true,
        "destination": OTHER_PHONE,
        "phone": OTHER_PHONE,
        "failed": 0,
        "class": "full",
        "epoch": 0,
        "own": ann.user_id(),
    })
}

fn with(mut body: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clm_02_more_fields_than_a_body_has_change_nothing() {
    for mode in MODES {
        let server = Server::start().await;
        let mut bob = full(&server, mode, BOB, OTHER_PHONE).await;
        let plain = half(&server, mode, "plain@example.com").await;
        let more = assigned(&plain, &bob);

        let mut ann = server.client(mode);
        let up = ann.post("/auth/signup", with(form(ANN, PASSWORD), &more)).await;
        assert_eq!(up.status_field(), "OK", "{up:?}");
        let user_json = up.json()["user"].clone();
        assert_eq!(user_json["tenantIds"], json!(["public"]));
        assert_eq!(user_json["phoneNumbers"], json!([]));
        assert_eq!(user_json["loginMethods"][0]["verified"], false);
        e403_claims(&secret(&ann).await, &BOTH);
        assert_ne!(ann.user_id(), bob.user_id());

        ann = server.client(mode);
        let signed_in = ann.post("/auth/signin", with(form(ANN, PASSWORD), &more)).await;
        assert_eq!(signed_in.status_field(), "OK", "{signed_in:?}");
        e403_claims(&secret(&ann).await, &BOTH);

        let info = ann.call("PUT", "/auth/mfa/info", Some(more.clone()), &[]).await;
        assert_eq!(info.status_field(), "OK", "{info:?}");
        e403_claims(&secret(&ann).await, &BOTH);

        let refreshed = ann
            .call("POST", "/auth/session/refresh", Some(more.clone()), &[])
            .await;
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        e403_claims(&secret(&ann).await, &BOTH);

        // The code goes to the number that was named, and to no other.
        let sent = server.codes_sent().await;
        let created = ann
            .post(
                "/auth/signinup/code",
                with(json!({ "phoneNumber": PHONE }), &more),
            )
            .await;
        assert_eq!(created.status_field(), "OK", "{created:?}");
        let messages = server.sent().await;
        assert_eq!(server.codes_sent().await, sent + 1);
        assert_eq!(messages.iter().rfind(|m| m.code.is_some()).unwrap().to, PHONE);
        let code = server.code().await;
        let wrong = ann
            .post(
                "/auth/signinup/code/consume",
                with(answer(&created.json(), &crate::kit::wrong(&code)), &more),
            )
            .await;
        assert_eq!(wrong.json()["failedCodeInputAttemptCount"], 1, "{wrong:?}");
        server.moved(16).await;
        let ids = json!({ "deviceId": created.json()["deviceId"], "preAuthSessionId": created.json()["preAuthSessionId"] });
        let resent = ann.post("/auth/signinup/code/resend", with(ids, &more)).await;
        assert_eq!(resent.status_field(), "OK", "{resent:?}");
        assert_eq!(
            server.sent().await.iter().rfind(|m| m.code.is_some()).unwrap().to,
            PHONE
        );
        let code = server.code().await;
        let consumed = ann
            .post(
                "/auth/signinup/code/consume",
                with(answer(&created.json(), &code), &more),
            )
            .await;
        assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
        assert_eq!(ann.payload()["phoneNumber"], PHONE);
        assert!(ann.payload().get("role").is_none() && ann.payload().get("emailVerified").is_none());
        assert_eq!(
            ann.peek("GET", "/api/admin", None, &[]).await.failed_claims(),
            ["role"]
        );
        lives(&mut ann).await;
        lives(&mut bob).await;

        let left = ann.call("POST", "/auth/signout", Some(more), &[]).await;
        assert_eq!(left.status_field(), "OK");
        lives(&mut bob).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clm_03_nothing_that_a_client_keeps_or_says_decides() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = half(&server, mode, ANN).await;
        let front = ann.front.clone().unwrap();
        ann.cookies.insert("sFrontToken".to_owned(), front.clone());
        ann.cookies
            .insert("st-last-access-token-update".to_owned(), "1".to_owned());
        for (name, value) in [
            ("front-token", front.as_str()),
            ("st-mfa", "true"),
            ("x-mfa-complete", "1"),
            ("2fa-completed", "{\"v\":true,\"t\":1}"),
            ("st-access-token", "x"),
        ] {
            let answer = ann.peek("GET", "/api/secret", None, &[(name, value)]).await;
            e403_claims(&answer, &BOTH);
            let answer = ann
                .peek(
                    "POST",
                    "/api/transfer",
                    Some(&json!({ "mfa": true })),
                    &[(name, value)],
                )
                .await;
            assert_eq!(answer.status, 403, "{answer:?}");
        }
        for query in ["?mfa=true", "?st-mfa=1", "?2fa-completed=true"] {
            let answer = ann.peek("GET", &format!("/api/secret{query}"), None, &[]).await;
            e403_claims(&answer, &BOTH);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clm_04_a_removed_factor_counts_for_nothing_any_more() {
    for mode in MODES {
        let server = Server::start().await;
        let ann = full(&server, mode, ANN, PHONE).await;
        let (tenant, id) = user(&ann);
        assert!(server.site.stepup.reset_factors(&tenant, &id).await.unwrap());
        super::expect::is_dead(&ann).await;
        let mut anew = server.client(mode);
        assert_eq!(anew.sign_in(ANN).await.status_field(), "OK");
        e403_claims(&secret(&anew).await, &BOTH);
        // Another number may be enrolled now, and what completed before is not carried over.
        server.moved(20).await;
        anew.complete(&server, OTHER_PHONE).await;
        assert_eq!(anew.payload()["phoneNumber"], OTHER_PHONE);
        lives(&mut anew).await;
    }
}
