//! A1 to A32, in cookie and in header mode, with a password and with a provider as the first factor. A2 stands in
//! `provider.rs`. What runs with one first factor alone is listed in `one-first-factor.txt`, with the reason.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use stepup::delivery::BackgroundThread;
use stepup::flow::{Caller, SignUpOutcome};
use stepup::storage::memory::MemoryStore;
use stepup::{
    AppInfo, Countries, FactorId, Password, Passwordless, Policy, SecretList, Stepup, TenantId, UserId,
    any_of,
};
use stepup_core::delivery::{Channel, Content, Deliver, DeliveryError, Message};
use stepup_core::entropy::OsEntropy;
use stepup_core::keyring::Root;
use tokio::sync::Barrier;

use crate::kit::first::{FIRSTS, WAYS};
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PASSWORD, PHONE, Response, Server, answer, wrong};

const ANN: &str = "ann@example.com";
const MALLORY: &str = "mallory@example.com";

/// What a refused call must leave as it was: messages with codes, challenges, and second-factor contacts. The tickets that
/// browsers take to a provider stand among the challenges, and are no refused call's.
async fn traces(server: &Server) -> (usize, i64, i64) {
    (
        server.codes_sent().await,
        server
            .number("SELECT count(*) FROM stepup_challenge WHERE purpose NOT LIKE 'oauth:%'")
            .await,
        contacts(server).await,
    )
}

async fn contacts(server: &Server) -> i64 {
    server
        .number("SELECT count(*) FROM stepup_credential WHERE kind = 'contact'")
        .await
}

/// `passwordlessUserId` as the application's metadata shows it.
async fn link(server: &Server, client: &Client) -> Option<String> {
    let user = UserId::from(client.user_id().as_str());
    let metadata = server.site.stepup.metadata(&TenantId::public(), &user).await;
    let link = metadata.unwrap().get("passwordlessUserId").cloned()?;
    Some(link.as_str().expect("an id is a text").to_owned())
}

/// How many sessions the user of `client` has.
async fn sessions(server: &Server, client: &Client) -> usize {
    let user = UserId::from(client.user_id().as_str());
    let sessions = server.site.stepup.sessions(&TenantId::public(), &user).await;
    sessions.unwrap().len()
}

/// A code on its way: the body of the answer that created it, and the code.
async fn code_to(server: &Server, client: &mut Client, phone: &str) -> (Value, String) {
    let before = server.codes_sent().await;
    let created = client.create_code(phone).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    assert_eq!(server.codes_sent().await, before + 1);
    (created.json(), server.code().await)
}

/// The session lacks its second factor, for everything that asks for it.
async fn assert_half(client: &mut Client) {
    assert!(!client.completed());
    assert_eq!(client.payload()["st-mfa"]["v"], false);
    for path in ["/api/secret", "/layered/secret"] {
        let refused = client.get(path).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        assert_eq!(refused.json()["message"], "invalid claim");
        assert_eq!(refused.failed_claims(), ["st-mfa", "2fa-completed"]);
        assert!(refused.touches_no_token());
    }
}

async fn assert_full(client: &mut Client) {
    assert!(client.completed());
    assert_eq!(client.payload()["st-mfa"]["v"], true);
    for path in ["/api/secret", "/layered/secret"] {
        let admitted = client.get(path).await;
        assert_eq!(admitted.status, 200, "{admitted:?}");
        assert_eq!(admitted.json()["userId"], json!(client.user_id()));
    }
}

/// A refusal in words, which the pre-built UI shows; it names no number.
fn assert_general(response: &Response, says: &str) {
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.status_field(), "GENERAL_ERROR", "{response:?}");
    assert!(response.message().contains(says), "{response:?}");
    let body = String::from_utf8_lossy(&response.body).into_owned();
    assert!(!body.contains("+41") && !body.contains("7912345"), "{body}");
    assert!(response.touches_no_token());
}

#[tokio::test(flavor = "multi_thread")]
async fn a1_sign_up_gives_a_session_whose_second_factor_claim_is_false() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        assert!(ann.payload().get("phoneNumber").is_none());
        assert_half(&mut ann).await;
        assert_eq!(traces(&server).await, (0, 0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_the_first_code_goes_out_as_one_sms_and_nowhere_else() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        let created = ann.create_code(PHONE).await;
        assert_eq!(created.status_field(), "OK", "{created:?}");
        assert_eq!(created.json()["flowType"], "USER_INPUT_CODE");
        assert!(created.touches_no_token());
        let sent = server.sent().await;
        let [message] = sent.as_slice() else {
            panic!("one message: {sent:?}");
        };
        let message = serde_json::to_value(message).unwrap();
        assert_eq!(
            (&message["channel"], &message["to"]),
            (&json!("sms"), &json!(PHONE))
        );
        assert_eq!(
            (&message["kind"], &message["link"]),
            (&json!("code"), &Value::Null)
        );
        let code = message["code"].as_str().unwrap();
        assert!(
            code.len() == 6 && code.bytes().all(|b| b.is_ascii_digit()),
            "{code}"
        );
        // The answer to the request shows nothing of the code.
        assert!(!String::from_utf8_lossy(&created.body).contains(code));
        assert_half(&mut ann).await;
    }
}

/// Writes down of each code whether it was announced as a second factor.
#[derive(Clone, Debug, Default)]
struct Announced(Arc<Mutex<Vec<bool>>>);

#[async_trait]
impl Deliver for Announced {
    fn carries(&self, _: Channel) -> bool {
        true
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        if let Content::Code { second_factor, .. } = &message.content {
            self.0.lock().unwrap().push(*second_factor);
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_the_carrier_is_told_that_the_code_is_a_second_factor() {
    let announced = Announced::default();
    let background = BackgroundThread::start().unwrap();
    let secrets = SecretList::new(vec![Root::random("k1".into(), &OsEntropy).unwrap()]);
    let app = AppInfo::new("Acme", "http://localhost:3000", "http://localhost:3000");
    let stepup = Stepup::builder(app, Arc::new(MemoryStore::new()), secrets)
        .factor(Password::new())
        .factor(Passwordless::sms(announced.clone()).countries(Countries::All))
        .notices(announced.clone())
        .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
        .background(background.clone())
        .build()
        .await
        .unwrap();
    let typed = stepup_core::password::Password::parse(PASSWORD).unwrap();
    let SignUpOutcome::Created(ann) = stepup.sign_up(&Caller::internal(), ANN, typed).await.unwrap() else {
        panic!("signed up");
    };
    let session = stepup.verify(ann.tokens.access.expose()).unwrap();
    let sent = stepup
        .create_code(&Caller::internal(), &session, Channel::Sms, PHONE)
        .await
        .unwrap();
    assert!(sent.is_ok());
    assert!(background.drain(Duration::from_secs(5)).await);
    assert_eq!(*announced.0.lock().unwrap(), [true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_a_wrong_code_is_counted_and_changes_nothing() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        let (created, code) = code_to(&server, &mut ann, PHONE).await;
        let before = traces(&server).await;
        let refused = ann.consume(&created, &wrong(&code)).await;
        assert_eq!(refused.status, 200);
        assert_eq!(
            refused.json(),
            json!({
                "status": "INCORRECT_USER_INPUT_CODE_ERROR",
                "failedCodeInputAttemptCount": 1,
                "maximumCodeInputAttempts": 5,
            })
        );
        assert!(refused.touches_no_token());
        assert_eq!(traces(&server).await, before);
        assert_eq!(link(&server, &ann).await, None);
        assert_half(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_the_right_code_completes_the_same_session_with_new_tokens() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        let before = ann.clone();
        let completed = ann.complete(&server, PHONE).await;
        assert_eq!((ann.handle(), ann.user_id()), (before.handle(), before.user_id()));
        assert!(completed.header("front-token").is_some());
        assert_ne!(ann.access_token(), before.access_token());
        assert_ne!(ann.refresh_token(), before.refresh_token());
        assert_full(&mut ann).await;

        // One user, one session; the phone is a login method with an id of its own, and the metadata points to it.
        let body = completed.json();
        assert_eq!(body["createdNewRecipeUser"], true);
        assert_eq!(body["user"]["id"], json!(ann.user_id()));
        assert_eq!(body["user"]["phoneNumbers"], json!([PHONE]));
        let methods = body["user"]["loginMethods"].as_array().unwrap();
        let phone = methods.iter().find(|m| m["recipeId"] == "passwordless").unwrap();
        let linked = link(&server, &ann).await.expect("the link is set");
        assert_eq!(phone["recipeUserId"], json!(linked));
        assert_ne!(linked, ann.user_id());
        assert_eq!(sessions(&server, &ann).await, 1);
        assert_eq!(server.number("SELECT count(*) FROM stepup_user").await, 1);
        assert_eq!(server.number("SELECT count(*) FROM stepup_session").await, 1);

        // The half-login's refresh token opens nothing more, and its use takes nothing from the client.
        let mut late = before.clone();
        let refused = late.refresh().await;
        assert_eq!(
            (refused.status, refused.message().as_str()),
            (401, "unauthorised")
        );
        assert!(refused.touches_no_token());
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a6_a_new_sign_in_knows_the_number_and_lacks_the_second_factor() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut first = server.full(mode, ANN, PHONE).await;
        let handle = first.handle();
        assert_eq!(first.sign_out().await.status_field(), "OK");
        let mut ann = server.client(mode);
        assert_eq!(server.sign_in(&mut ann, ANN).await.status_field(), "OK");
        assert_ne!(ann.handle(), handle);
        assert_eq!(ann.payload()["phoneNumber"], PHONE);
        assert_half(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_a_code_goes_to_the_number_that_the_payload_shows() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.returning(mode, ANN, PHONE).await;
        let before = server.codes_sent().await;
        let shown = ann.payload()["phoneNumber"].as_str().unwrap().to_owned();
        assert_eq!(ann.create_code(&shown).await.status_field(), "OK");
        assert_eq!(server.codes_sent().await, before + 1);
        assert_eq!(server.sent().await.last().unwrap().to, PHONE);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_the_code_completes_the_sign_in_and_leaves_the_metadata_alone() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.returning(mode, ANN, PHONE).await;
        let linked = link(&server, &ann).await;
        assert!(linked.is_some());
        let handle = ann.handle();
        let completed = ann.complete(&server, PHONE).await;
        assert_eq!(completed.json()["createdNewRecipeUser"], false);
        assert_eq!(ann.handle(), handle);
        assert_eq!(link(&server, &ann).await, linked);
        assert_eq!(contacts(&server).await, 1);
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a9_another_number_is_refused_without_sms_and_without_a_challenge() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.returning(mode, ANN, PHONE).await;
        let (before, linked) = (traces(&server).await, link(&server, &ann).await);
        for number in [OTHER_PHONE, "+1 202 555 0123", "+41791234560"] {
            let refused = ann.create_code(number).await;
            assert_general(&refused, "not the phone number of this account");
        }
        assert_eq!(traces(&server).await, before);
        assert_eq!(link(&server, &ann).await, linked);
        assert_half(&mut ann).await;
        // The stored one still works.
        ann.complete(&server, PHONE).await;
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_the_same_number_in_another_spelling_is_the_same_number() {
    for first in FIRSTS {
        for (mode, spelling) in [
            (Mode::Cookie, "+41 79 123 45 67"),
            (Mode::Header, "+41-79-123-45-67"),
            (Mode::Cookie, " +41 (79) 123 4567 "),
        ] {
            let server = first.serve().await;
            let mut ann = server.returning(mode, ANN, PHONE).await;
            ann.complete(&server, spelling).await;
            let sent = server.sent().await;
            assert_eq!(sent.iter().rfind(|m| m.code.is_some()).unwrap().to, PHONE);
            assert_eq!(contacts(&server).await, 1);
            assert_full(&mut ann).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a11_an_email_address_instead_of_a_number_is_a_bad_request() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        for body in [
            json!({ "email": ANN }),
            json!({ "email": ANN, "phoneNumber": PHONE }),
            json!({}),
        ] {
            let refused = ann.post("/auth/signinup/code", body).await;
            assert_eq!(refused.status, 400, "{refused:?}");
            assert!(!refused.message().is_empty() && refused.touches_no_token());
        }
        assert_eq!(traces(&server).await, (0, 0, 0));
        assert_half(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_without_a_session_create_resend_and_consume_are_refused() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        let (created, code) = code_to(&server, &mut ann, PHONE).await;
        server.moved(20).await;
        let before = traces(&server).await;
        let mut nobody = server.client(mode);
        for refused in [
            nobody.create_code(PHONE).await,
            nobody.resend(&created).await,
            nobody.consume(&created, &code).await,
        ] {
            assert_eq!(
                (refused.status, refused.message().as_str()),
                (401, "unauthorised")
            );
            assert!(refused.touches_no_token(), "{refused:?}");
        }
        assert_eq!(traces(&server).await, before);
        // The code was not used up by it.
        assert_eq!(ann.consume(&created, &code).await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a13_an_expired_access_token_asks_for_a_refresh_and_then_gets_its_code() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        server.moved(251).await;
        let refused = ann.create_code(PHONE).await;
        assert_eq!(
            (refused.status, refused.message().as_str()),
            (401, "try refresh token")
        );
        assert!(refused.touches_no_token());
        assert_eq!(traces(&server).await, (0, 0, 0));
        assert_eq!(ann.refresh().await.status, 200);
        ann.complete(&server, PHONE).await;
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a13_a_token_about_to_expire_is_refreshed_before_a_code_is_burnt() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        let (created, code) = code_to(&server, &mut ann, PHONE).await;
        // 29 s of the token's four minutes are left.
        server.moved(211).await;
        let refused = ann.consume(&created, &code).await;
        assert_eq!(
            (refused.status, refused.message().as_str()),
            (401, "try refresh token")
        );
        assert_eq!(ann.refresh().await.status, 200);
        assert_eq!(ann.consume(&created, &code).await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_a_sign_up_that_stopped_before_the_second_factor_may_enroll_at_the_next_sign_in() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        assert_eq!(ann.sign_out().await.status_field(), "OK");
        assert_eq!(server.sign_in(&mut ann, ANN).await.status_field(), "OK");
        assert!(ann.payload().get("phoneNumber").is_none());
        assert_half(&mut ann).await;
        ann.complete(&server, PHONE).await;
        assert_full(&mut ann).await;
        assert!(link(&server, &ann).await.is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a15_five_wrong_codes_end_the_challenge_and_not_the_session() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        let (created, code) = code_to(&server, &mut ann, PHONE).await;
        for n in 1..=4 {
            let refused = ann.consume(&created, &wrong(&code)).await;
            assert_eq!(refused.status_field(), "INCORRECT_USER_INPUT_CODE_ERROR");
            assert_eq!(refused.json()["failedCodeInputAttemptCount"], n);
        }
        let fifth = ann.consume(&created, &wrong(&code)).await;
        assert_eq!(
            (fifth.status, fifth.status_field().as_str()),
            (200, "RESTART_FLOW_ERROR")
        );
        // The account's delay has begun; after it the right code is as dead as the challenge.
        server.moved(31).await;
        let late = ann.consume(&created, &code).await;
        assert_eq!(late.status_field(), "RESTART_FLOW_ERROR", "{late:?}");
        assert_eq!(ann.get("/api/me").await.status, 200);
        assert_eq!(contacts(&server).await, 0);
        assert_half(&mut ann).await;
        // A new code of the same session works, once the delay is over, which the try above has doubled.
        server.moved(61).await;
        ann.complete(&server, PHONE).await;
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_an_expired_code_is_told_from_a_wrong_one_and_a_resend_helps() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        let (created, code) = code_to(&server, &mut ann, PHONE).await;
        server.moved(301).await;
        assert_eq!(ann.refresh().await.status, 200);
        let expired = ann.consume(&created, &code).await;
        assert_eq!(
            expired.json(),
            json!({
                "status": "EXPIRED_USER_INPUT_CODE_ERROR",
                "failedCodeInputAttemptCount": 1,
                "maximumCodeInputAttempts": 5,
            })
        );
        assert!(expired.touches_no_token());
        assert_half(&mut ann).await;

        assert_eq!(ann.resend(&created).await.status_field(), "OK");
        let fresh = server.code().await;
        assert_eq!(ann.consume(&created, &fresh).await.status_field(), "OK");
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_a_challenge_ends_with_its_half_login_and_so_do_its_resends() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        let (created, code) = code_to(&server, &mut ann, PHONE).await;
        let before = server.codes_sent().await;
        for _ in 0..4 {
            server.moved(180).await;
            assert_eq!(ann.refresh().await.status, 200);
        }
        server.moved(181).await;
        for refused in [ann.resend(&created).await, ann.consume(&created, &code).await] {
            assert_eq!(refused.status, 401, "{refused:?}");
        }
        assert_eq!(server.codes_sent().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a17_after_two_resends_every_code_is_right_and_the_count_goes_on() {
    for (first, mode) in WAYS {
        for choice in 0..3 {
            let server = first.serve().await;
            let mut ann = server.half(mode, ANN).await;
            let (created, first) = code_to(&server, &mut ann, PHONE).await;
            let counted = ann.consume(&created, &wrong(&first)).await;
            assert_eq!(counted.json()["failedCodeInputAttemptCount"], 1);
            let mut codes = vec![first];
            for pause in [16, 31] {
                // Too early is refused in words, and sends nothing.
                let early = ann.resend(&created).await;
                assert_general(&early, "Too many attempts");
                assert_eq!(server.codes_sent().await, codes.len());
                server.moved(pause).await;
                let resent = ann.resend(&created).await;
                assert_eq!(resent.json(), json!({ "status": "OK" }));
                codes.push(server.code().await);
                assert_eq!(server.codes_sent().await, codes.len());
            }
            let mut other = wrong(&codes[0]);
            while codes.contains(&other) {
                other = wrong(&other);
            }
            let counted = ann.consume(&created, &other).await;
            assert_eq!(counted.json()["failedCodeInputAttemptCount"], 2, "{counted:?}");
            assert_eq!(ann.consume(&created, &codes[choice]).await.status_field(), "OK");
            assert_full(&mut ann).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a18_a_code_is_accepted_once() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        let (created, code) = code_to(&server, &mut ann, PHONE).await;
        assert_eq!(ann.consume(&created, &code).await.status_field(), "OK");
        let done_at = ann.payload()["2fa-completed"]["t"].clone();
        server.moved(2).await;
        let again = ann.consume(&created, &code).await;
        assert_eq!(
            (again.status, again.status_field().as_str()),
            (200, "RESTART_FLOW_ERROR")
        );
        assert!(again.touches_no_token());
        assert_eq!(contacts(&server).await, 1);
        assert_eq!(ann.payload()["2fa-completed"]["t"], done_at);
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a19_a_code_that_another_session_asked_for_completes_nothing() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut alice = server.returning(mode, ANN, PHONE).await;
        let mut mallory = server.half(mode, MALLORY).await;
        let (created, code) = code_to(&server, &mut mallory, OTHER_PHONE).await;
        let (before, linked) = (traces(&server).await, link(&server, &alice).await);

        let refused = alice.consume(&created, &code).await;
        assert_eq!(refused.status_field(), "RESTART_FLOW_ERROR", "{refused:?}");
        assert!(refused.touches_no_token());
        server.moved(20).await;
        let refused = alice.resend(&created).await;
        assert_eq!(refused.status_field(), "RESTART_FLOW_ERROR", "{refused:?}");
        assert_eq!(traces(&server).await, before);
        assert_eq!(link(&server, &alice).await, linked);
        assert_half(&mut alice).await;

        // A second session of Alice's own account is another session too.
        let mut second = server.client(mode);
        assert_eq!(server.sign_in(&mut second, ANN).await.status_field(), "OK");
        let (own, own_code) = code_to(&server, &mut alice, PHONE).await;
        let refused = second.consume(&own, &own_code).await;
        assert_eq!(refused.status_field(), "RESTART_FLOW_ERROR", "{refused:?}");
        assert_half(&mut second).await;

        // Each code still works where it was asked for.
        assert_eq!(mallory.consume(&created, &code).await.status_field(), "OK");
        assert_eq!(alice.consume(&own, &own_code).await.status_field(), "OK");
        assert_ne!(link(&server, &mallory).await, linked);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a20_a_second_number_is_refused_in_a_complete_session() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.full(mode, ANN, PHONE).await;
        let (before, linked) = (traces(&server).await, link(&server, &ann).await);
        let refused = ann.create_code(OTHER_PHONE).await;
        assert_general(&refused, "not the phone number of this account");
        assert_eq!(traces(&server).await, before);
        assert_eq!(link(&server, &ann).await, linked);
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a20_a_code_to_a_second_number_from_before_the_enrollment_enrolls_nothing() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        let mut elsewhere = server.client(mode);
        assert_eq!(server.sign_in(&mut elsewhere, ANN).await.status_field(), "OK");
        let (own, own_code) = code_to(&server, &mut ann, OTHER_PHONE).await;
        let (foreign, foreign_code) = code_to(&server, &mut elsewhere, OTHER_PHONE).await;
        ann.complete(&server, PHONE).await;
        let linked = link(&server, &ann).await;

        let refused = ann.consume(&own, &own_code).await;
        assert_eq!(refused.status_field(), "RESTART_FLOW_ERROR", "{refused:?}");
        // The first enrollment ended every other session of the account.
        let refused = elsewhere.consume(&foreign, &foreign_code).await;
        assert_eq!(refused.status, 401, "{refused:?}");
        assert_eq!(contacts(&server).await, 1);
        assert_eq!(link(&server, &ann).await, linked);
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a21_completing_one_browser_leaves_the_other_as_it_is() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut one = server.returning(mode, ANN, PHONE).await;
        let mut two = server.client(mode);
        assert_eq!(server.sign_in(&mut two, ANN).await.status_field(), "OK");
        one.complete(&server, PHONE).await;
        assert_full(&mut one).await;
        assert_half(&mut two).await;
        assert_eq!(two.refresh().await.status, 200);
        assert_half(&mut two).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a22_a_refresh_moves_the_claim_neither_up_nor_down() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut done = server.full(mode, ANN, PHONE).await;
        let claims = |client: &Client| {
            let payload = client.payload();
            (payload["2fa-completed"].clone(), payload["st-mfa"].clone())
        };
        let before = claims(&done);
        server.moved(100).await;
        assert_eq!(done.refresh().await.status, 200);
        assert_eq!(claims(&done), before);
        assert_full(&mut done).await;

        done.sign_out().await;
        let mut ann = server.client(mode);
        server.sign_in(&mut ann, ANN).await;
        let before = claims(&ann);
        server.moved(100).await;
        assert_eq!(ann.refresh().await.status, 200);
        assert_eq!(claims(&ann), before);
        assert_eq!(ann.payload()["phoneNumber"], PHONE);
        assert_half(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a23_whoever_stops_at_the_second_screen_can_sign_out() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.returning(mode, ANN, PHONE).await;
        let held = ann.clone();
        let out = ann.sign_out().await;
        assert_eq!((out.status, out.json()), (200, json!({ "status": "OK" })));
        assert_eq!(out.header("front-token"), Some("remove"));
        assert_eq!(server.number("SELECT count(*) FROM stepup_session").await, 0);
        // What was copied from the browser before is worth nothing now.
        let mut held = held;
        assert_eq!(held.get("/api/me").await.status, 401);
        assert_eq!(held.refresh().await.status, 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a24_a_second_claim_is_named_beside_the_second_factor_and_closes_none_of_its_endpoints() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.half(mode, ANN).await;
        let refused = ann.get("/api/admin").await;
        assert_eq!(refused.status, 403);
        assert_eq!(refused.failed_claims(), ["st-mfa", "2fa-completed", "role"]);
        // Both false, and still the factor can be completed.
        ann.complete(&server, PHONE).await;
        let refused = ann.get("/api/admin").await;
        assert_eq!(refused.status, 403);
        assert_eq!(refused.failed_claims(), ["role"]);
        assert_eq!(
            refused.json()["claimValidationErrors"][0]["reason"],
            json!({ "message": "value does not exist", "expectedToInclude": "admin" })
        );

        let server = first.serve_with(|s| s.admins = vec![ANN.to_owned()]).await;
        let mut ann = server.half(mode, ANN).await;
        let refused = ann.get("/api/admin").await;
        assert_eq!(refused.failed_claims(), ["st-mfa", "2fa-completed"]);
        ann.complete(&server, PHONE).await;
        assert_eq!(ann.get("/api/admin").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a25_each_route_asks_for_what_it_names_and_a_plain_session_for_the_sites_policy() {
    for (first, mode) in WAYS {
        let server = first.serve_own().await;
        let mut ann = server.half(mode, ANN).await;
        let answers = async |client: &mut Client| {
            let mut statuses = Vec::new();
            for path in ["/policy", "/plain", "/second", "/any"] {
                statuses.push(client.get(path).await.status);
            }
            statuses
        };
        assert_eq!(answers(&mut ann).await, [403, 403, 403, 200]);
        ann.complete(&server, PHONE).await;
        assert_eq!(answers(&mut ann).await, [200, 200, 200, 200]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a26_a_contact_that_is_gone_admits_no_number_until_an_administrator_resets() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.returning(mode, ANN, PHONE).await;
        let removed = server
            .execute("DELETE FROM stepup_credential WHERE kind = 'contact'")
            .await;
        assert_eq!(removed, 1);
        let before = traces(&server).await;
        for number in [PHONE, OTHER_PHONE] {
            assert_general(&ann.create_code(number).await, "cannot be used");
        }
        let mut again = server.client(mode);
        assert_eq!(server.sign_in(&mut again, ANN).await.status_field(), "OK");
        for number in [PHONE, OTHER_PHONE] {
            assert_general(&again.create_code(number).await, "cannot be used");
        }
        assert_eq!(traces(&server).await, before);
        assert_half(&mut again).await;

        let user = UserId::from(ann.user_id().as_str());
        let reset = server.site.stepup.reset_factors(&TenantId::public(), &user).await;
        assert!(reset.unwrap());
        assert_eq!(again.get("/api/me").await.status, 401);
        let mut ann = server.client(mode);
        assert_eq!(server.sign_in(&mut ann, ANN).await.status_field(), "OK");
        assert!(ann.payload().get("phoneNumber").is_none());
        ann.complete(&server, OTHER_PHONE).await;
        assert_full(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a26_a_contact_that_vanishes_between_create_and_consume_completes_nothing() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.returning(mode, ANN, PHONE).await;
        let (created, code) = code_to(&server, &mut ann, PHONE).await;
        server
            .execute("DELETE FROM stepup_credential WHERE kind = 'contact'")
            .await;
        assert_general(&ann.consume(&created, &code).await, "cannot be used");
        assert_eq!(contacts(&server).await, 0);
        assert_half(&mut ann).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a27_both_modes_answer_the_whole_flow_alike() {
    for first in FIRSTS {
        let mut runs = Vec::new();
        for mode in MODES {
            let server = first.serve().await;
            let mut ann = server.client(mode);
            let mut seen: Vec<(u16, Value)> = Vec::new();
            let mut note = |client: &Client, response: &Response| {
                let payload = client.front.as_ref().map_or(Value::Null, |_| client.payload());
                seen.push((response.status, json!([shape(&response.json()), shape(&payload)])));
            };
            let response = server.sign_up(&mut ann, ANN).await;
            note(&ann, &response);
            for phone in [PHONE, PHONE] {
                let response = ann.get("/api/secret").await;
                note(&ann, &response);
                let created = ann.create_code(phone).await;
                note(&ann, &created);
                let code = server.code().await;
                let response = ann.consume(&created.json(), &wrong(&code)).await;
                note(&ann, &response);
                let response = ann.consume(&created.json(), &code).await;
                note(&ann, &response);
                let response = ann.get("/api/secret").await;
                note(&ann, &response);
                let response = ann.sign_out().await;
                note(&ann, &response);
                let response = server.sign_in(&mut ann, ANN).await;
                note(&ann, &response);
            }
            runs.push(seen);
        }
        assert_eq!(runs[0], runs[1]);
        assert!(runs[0].len() == 15 && runs[0].iter().any(|(status, _)| *status == 403));
    }
}

/// A JSON value with what differs between two runs, ids and times, taken out.
fn shape(value: &Value) -> Value {
    const VARYING: [&str; 14] = [
        "id",
        "recipeUserId",
        "timeJoined",
        "deviceId",
        "preAuthSessionId",
        "sub",
        "rsub",
        "sessionHandle",
        "refreshTokenHash1",
        "iat",
        "exp",
        "t",
        "userId",
        "iss",
    ];
    match value {
        Value::Object(map) => map
            .iter()
            .map(|(key, value)| {
                let kept = if VARYING.contains(&key.as_str()) && !value.is_object() {
                    json!("varies")
                } else if key == "c" {
                    json!(value.as_object().map(|c| c.keys().cloned().collect::<Vec<_>>()))
                } else {
                    shape(value)
                };
                (key.clone(), kept)
            })
            .collect(),
        Value::Array(list) => list.iter().map(shape).collect(),
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a28_of_two_right_answers_at_once_one_is_right_and_the_other_starts_again() {
    for (first, mode) in WAYS {
        for round in 0..3 {
            let server = first.serve().await;
            let mut ann = server.half(mode, ANN).await;
            let (created, code) = code_to(&server, &mut ann, PHONE).await;
            let barrier = Arc::new(Barrier::new(2));
            let calls = [0, 1].map(|_| {
                let (client, barrier, body) = (ann.clone(), Arc::clone(&barrier), answer(&created, &code));
                tokio::spawn(async move {
                    barrier.wait().await;
                    client
                        .peek("POST", "/auth/signinup/code/consume", Some(&body), &[])
                        .await
                })
            });
            let mut statuses = Vec::new();
            for call in calls {
                let response = call.await.unwrap();
                assert_eq!(response.status, 200, "round {round}: {response:?}");
                ann.absorb(&response);
                statuses.push(response.status_field());
            }
            statuses.sort();
            assert_eq!(statuses, ["OK", "RESTART_FLOW_ERROR"], "round {round}");
            assert_eq!(contacts(&server).await, 1);
            assert!(link(&server, &ann).await.is_some());
            assert_full(&mut ann).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a29_a_session_revoked_in_between_completes_nothing() {
    for (first, mode) in WAYS {
        // By this process, and by another one.
        for elsewhere in [false, true] {
            let server = first.serve().await;
            let mut ann = server.half(mode, ANN).await;
            let user = UserId::from(ann.user_id().as_str());
            let (created, code) = code_to(&server, &mut ann, PHONE).await;
            if elsewhere {
                assert_eq!(server.execute("DELETE FROM stepup_session").await, 1);
            } else {
                let ended = server.site.stepup.revoke_all(&TenantId::public(), &user).await;
                assert_eq!(ended.unwrap().len(), 1);
            }
            let before = server.codes_sent().await;
            let refused = ann
                .peek(
                    "POST",
                    "/auth/signinup/code/consume",
                    Some(&answer(&created, &code)),
                    &[],
                )
                .await;
            assert_eq!(
                (refused.status, refused.message().as_str()),
                (401, "unauthorised")
            );
            assert!(refused.clears_everything(), "{refused:?}");
            for path in ["/auth/signinup/code", "/auth/signinup/code/resend"] {
                let mut body = created.clone();
                if path.ends_with("code") {
                    body = json!({ "phoneNumber": PHONE });
                }
                let refused = ann.peek("POST", path, Some(&body), &[]).await;
                assert_eq!(refused.status, 401, "{refused:?}");
            }
            assert_eq!(server.codes_sent().await, before);
            assert_eq!(contacts(&server).await, 0);
            let metadata = server
                .site
                .stepup
                .metadata(&TenantId::public(), &user)
                .await
                .unwrap();
            assert!(metadata.get("passwordlessUserId").is_none());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a30_the_front_token_answers_every_question_of_the_second_screen() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        // Signed up, completed, signed in, completed: session, claim, and number.
        let mut ann = server.half(mode, ANN).await;
        let state = |client: &Client| {
            let payload = client.payload();
            (
                payload["2fa-completed"]["v"].clone(),
                payload.get("phoneNumber").cloned(),
            )
        };
        assert_eq!(state(&ann), (json!(false), None));
        ann.complete(&server, PHONE).await;
        assert_eq!(state(&ann).0, json!(true));
        ann.sign_out().await;
        assert!(ann.front.is_none());
        server.sign_in(&mut ann, ANN).await;
        assert_eq!(state(&ann), (json!(false), Some(json!(PHONE))));
        ann.complete(&server, PHONE).await;
        assert_eq!(state(&ann), (json!(true), Some(json!(PHONE))));

        // The boolean claim counts milliseconds, the other one seconds; both are of this moment.
        let payload = ann.payload();
        let iat = payload["iat"].as_i64().unwrap();
        let t = payload["2fa-completed"]["t"].as_i64().unwrap();
        assert!((t / 1000 - iat).abs() <= 2, "{payload}");
        for factor in [first.id(), FactorId::OTP_PHONE] {
            let c = payload["st-mfa"]["c"][factor.as_str()].as_i64().unwrap();
            assert!((c - iat).abs() <= 2, "{payload}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a31_a_code_is_no_first_factor_whatever_the_client_says_of_linking() {
    for mode in MODES {
        let server = Server::start().await;
        let nobody = server.client(mode);
        for flag in [Value::Null, json!(false), json!(true)] {
            let mut body = json!({ "phoneNumber": PHONE });
            if !flag.is_null() {
                body["shouldTryLinkingWithSessionUser"] = flag;
            }
            let refused = nobody.peek("POST", "/auth/signinup/code", Some(&body), &[]).await;
            assert_eq!(
                (refused.status, refused.message().as_str()),
                (401, "unauthorised")
            );
            assert!(refused.touches_no_token());
        }
        assert_eq!(traces(&server).await, (0, 0, 0));
        assert_eq!(server.number("SELECT count(*) FROM stepup_user").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a31_with_a_session_the_code_acts_on_it_whatever_the_client_says_of_linking() {
    for (first, mode) in WAYS {
        for flag in [json!(false), json!(true)] {
            let server = first.serve().await;
            let mut ann = server.half(mode, ANN).await;
            let handle = ann.handle();
            let body = json!({ "phoneNumber": PHONE, "shouldTryLinkingWithSessionUser": flag });
            let created = ann.post("/auth/signinup/code", body).await;
            assert_eq!(created.status_field(), "OK", "{created:?}");
            let mut body = answer(&created.json(), &server.code().await);
            body["shouldTryLinkingWithSessionUser"] = flag;
            assert_eq!(
                ann.post("/auth/signinup/code/consume", body).await.status_field(),
                "OK"
            );
            assert_eq!(ann.handle(), handle);
            assert_eq!(server.number("SELECT count(*) FROM stepup_user").await, 1);
            assert_full(&mut ann).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a32_two_users_share_a_phone_and_each_keeps_a_link_of_its_own() {
    for (first, mode) in WAYS {
        let server = first.serve().await;
        let mut ann = server.full(mode, ANN, PHONE).await;
        let first = link(&server, &ann).await.unwrap();
        let mut ben = server.full(mode, "ben@example.com", PHONE).await;
        let second = link(&server, &ben).await.unwrap();
        assert_ne!(first, second);
        assert_ne!(ann.user_id(), ben.user_id());
        assert_eq!(link(&server, &ann).await.unwrap(), first);
        assert_full(&mut ann).await;
        assert_full(&mut ben).await;
        // Each signs in with it again.
        for (email, linked) in [(ANN, first), ("ben@example.com", second)] {
            server.moved(601).await;
            let mut client = server.client(mode);
            server.sign_in(&mut client, email).await;
            client.complete(&server, PHONE).await;
            assert_eq!(link(&server, &client).await.unwrap(), linked);
            assert_full(&mut client).await;
        }
    }
}
