//! The main rows of the acceptance table with a code by e-mail as the second factor, with each first factor.

use serde_json::{Value, json};
use stepup::{FactorId, TenantId, UserId};

use crate::kit::first::{FIRSTS, First, Place, WAYS};
use crate::kit::{Client, Mode, OTHER_PHONE, PHONE, Response, Server, wrong};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
/// Where Ann's codes go.
const BOX: &str = "ann@codes.example.net";
const OTHER_BOX: &str = "mallory@codes.example.net";

async fn serving(first: First, factors: &[FactorId]) -> Place {
    first
        .serve_with(|settings| settings.second_factors = factors.to_vec())
        .await
}

async fn by_mail(first: First) -> Place {
    serving(first, &[FactorId::OTP_EMAIL]).await
}

async fn by_both(first: First) -> Place {
    serving(first, &[FactorId::OTP_PHONE, FactorId::OTP_EMAIL]).await
}

async fn ask(client: &mut Client, address: &str) -> Response {
    client
        .post("/auth/signinup/code", json!({ "email": address }))
        .await
}

/// A code on its way to `address`: the body of the answer that created it, and the code.
async fn code_to(server: &Server, client: &mut Client, address: &str) -> (Value, String) {
    let before = server.codes_sent().await;
    let created = ask(client, address).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    assert_eq!(server.codes_sent().await, before + 1);
    let sent = server.sent().await;
    let last = serde_json::to_value(sent.iter().rev().find(|m| m.code.is_some()).unwrap()).unwrap();
    assert_eq!(last["channel"], "email");
    (created.json(), server.code().await)
}

async fn complete(server: &Server, client: &mut Client, address: &str) -> Response {
    let (created, code) = code_to(server, client, address).await;
    let consumed = client.consume(&created, &code).await;
    assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
    consumed
}

async fn enrolled(server: &Place, mode: Mode, email: &str, address: &str) -> Client {
    let mut client = server.half(mode, email).await;
    complete(server, &mut client, address).await;
    client
}

async fn info(client: &mut Client) -> Value {
    client
        .call("PUT", "/auth/mfa/info", Some(json!({})), &[])
        .await
        .json()
}

async fn contacts(server: &Server) -> i64 {
    server
        .number("SELECT count(*) FROM stepup_credential WHERE kind = 'contact'")
        .await
}

fn assert_general(response: &Response, says: &str) {
    assert_eq!(response.status_field(), "GENERAL_ERROR", "{response:?}");
    assert!(response.message().contains(says), "{response:?}");
    let body = String::from_utf8_lossy(&response.body).into_owned();
    assert!(!body.contains('@'), "{body}");
    assert!(response.touches_no_token());
}

#[tokio::test(flavor = "multi_thread")]
async fn a3_the_first_code_to_a_mailbox_goes_out_as_one_mail() {
    for (first, mode) in WAYS {
        let server = by_mail(first).await;
        let mut ann = server.half(mode, ANN).await;
        let before = info(&mut ann).await;
        assert_eq!(before["factors"]["next"], json!(["otp-email"]));
        assert_eq!(before["factors"]["allowedToSetup"], json!(["otp-email"]));
        assert_eq!(before["phoneNumbers"], json!({}));
        let created = ask(&mut ann, BOX).await;
        assert_eq!(created.status_field(), "OK", "{created:?}");
        assert_eq!(created.json()["flowType"], "USER_INPUT_CODE");
        let sent = server.sent().await;
        let [message] = sent.as_slice() else {
            panic!("one message: {sent:?}");
        };
        let message = serde_json::to_value(message).unwrap();
        assert_eq!(
            (&message["channel"], &message["to"]),
            (&json!("email"), &json!(BOX))
        );
        assert_eq!(
            (&message["kind"], &message["link"]),
            (&json!("code"), &Value::Null)
        );
        assert_eq!(
            contacts(&server).await,
            0,
            "nothing is enrolled before it is answered"
        );
        assert_eq!(ann.get("/api/secret").await.status, 403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a4_a_wrong_code_to_a_mailbox_is_counted_and_changes_nothing() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        let mut ann = server.half(Mode::Cookie, ANN).await;
        let (created, code) = code_to(&server, &mut ann, BOX).await;
        let refused = ann.consume(&created, &wrong(&code)).await;
        assert_eq!(refused.status_field(), "INCORRECT_USER_INPUT_CODE_ERROR");
        assert_eq!(refused.json()["failedCodeInputAttemptCount"], 1);
        assert!(!ann.completed() && refused.touches_no_token());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a5_a_right_code_enrolls_the_mailbox_and_completes_the_session() {
    for (first, mode) in WAYS {
        let server = by_mail(first).await;
        let mut ann = server.half(mode, ANN).await;
        let (handle, refresh) = (ann.handle(), ann.refresh.clone());
        let consumed = complete(&server, &mut ann, BOX).await;
        assert_eq!(ann.handle(), handle);
        if mode == Mode::Header {
            assert_ne!(ann.refresh, refresh, "a rise in assurance");
        }
        assert!(ann.completed());
        assert_eq!(ann.get("/api/secret").await.status, 200);
        assert_eq!(ann.get("/layered/secret").await.status, 200);
        assert!(ann.payload()["st-mfa"]["c"]["otp-email"].is_i64());
        assert!(ann.payload().get("phoneNumber").is_none());
        assert_eq!(consumed.json()["createdNewRecipeUser"], true);
        let user = consumed.json()["user"].clone();
        assert_eq!(user["emails"], json!([ANN, BOX]));
        assert_eq!(user["phoneNumbers"], json!([]));
        let second = &user["loginMethods"][1];
        assert_eq!(
            (&second["recipeId"], &second["email"], &second["verified"]),
            (&json!("passwordless"), &json!(BOX), &json!(true))
        );
        assert!(second.get("phoneNumber").is_none());
        let id = UserId::from(ann.user_id().as_str());
        let stepup = &server.site.stepup;
        let metadata = stepup.metadata(&TenantId::public(), &id).await.unwrap();
        assert_eq!(metadata["passwordlessUserId"], second["recipeUserId"]);
        let known = info(&mut ann).await;
        assert_eq!(known["emails"]["otp-email"], json!([BOX]));
        assert_eq!(
            known["factors"]["alreadySetup"],
            json!([first.id().as_str(), "otp-email"])
        );
        assert_eq!(known["factors"]["next"], json!([]));
        let listed = ann.get("/auth/factor/list").await.json();
        assert_eq!(listed["factors"][1]["contact"], "a***@codes.example.net");
        // The account's other address is told, in words that fit. Whoever added the mailbox typed its domain: it is no part of them.
        server.dump().await;
        let sent = server.sent().await;
        let told: Vec<_> = sent.iter().filter(|m| m.kind == "factor_added").collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].to, ANN);
        assert!(
            told[0].body.starts_with("An e-mail address was added") && !told[0].body.contains('@'),
            "{}",
            told[0].body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a6_a_sign_in_of_who_has_a_mailbox_waits_for_its_code() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        enrolled(&server, Mode::Cookie, ANN, BOX).await;
        let mut ann = server.back(Mode::Cookie, ANN).await;
        let refused = ann.get("/api/secret").await;
        assert_eq!(
            (refused.status, refused.failed_claims()),
            (403, vec!["st-mfa".to_owned(), "2fa-completed".to_owned()])
        );
        let known = info(&mut ann).await;
        assert_eq!(known["factors"]["next"], json!(["otp-email"]));
        // What the client sends back, and nothing that it could take for it.
        assert_eq!(known["emails"]["otp-email"], json!([BOX]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a7_a_code_goes_to_the_stored_mailbox() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        enrolled(&server, Mode::Header, ANN, BOX).await;
        server.moved(60).await;
        let mut ann = server.back(Mode::Header, ANN).await;
        code_to(&server, &mut ann, BOX).await;
        let sent = server.sent().await;
        let to: Vec<_> = sent
            .iter()
            .filter(|m| m.code.is_some())
            .map(|m| m.to.as_str())
            .collect();
        assert_eq!(to, [BOX, BOX]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a8_a_code_to_the_stored_mailbox_completes_the_sign_in() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        enrolled(&server, Mode::Cookie, ANN, BOX).await;
        server.moved(60).await;
        let mut ann = server.back(Mode::Cookie, ANN).await;
        let consumed = complete(&server, &mut ann, BOX).await;
        assert_eq!(consumed.json()["createdNewRecipeUser"], false);
        assert_eq!(ann.get("/api/secret").await.status, 200);
        assert_eq!(contacts(&server).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a9_another_mailbox_gets_no_code_and_the_stored_one_is_not_told() {
    for (first, mode) in WAYS {
        let server = by_mail(first).await;
        enrolled(&server, mode, ANN, BOX).await;
        server.moved(60).await;
        let mut ann = server.back(mode, ANN).await;
        let before = server.dump().await;
        let sent = server.codes_sent().await;
        for other in [OTHER_BOX, ANN, "ann+x@codes.example.net"] {
            assert_general(
                &ask(&mut ann, other).await,
                "not the e-mail address that the codes",
            );
        }
        assert_eq!(server.codes_sent().await, sent);
        assert_eq!(server.dump().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a10_the_same_mailbox_spelled_otherwise_is_the_same() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        enrolled(&server, Mode::Header, ANN, BOX).await;
        server.moved(60).await;
        let mut ann = server.back(Mode::Header, ANN).await;
        let (created, code) = code_to(&server, &mut ann, "  Ann@CODES.Example.net ").await;
        assert_eq!(ann.consume(&created, &code).await.status_field(), "OK");
        assert_eq!(contacts(&server).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a11_a_number_instead_of_a_mailbox_is_refused() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        let mut ann = server.half(Mode::Cookie, ANN).await;
        let refused = ann.create_code(PHONE).await;
        assert_eq!(refused.status, 400, "{refused:?}");
        // Where both are offered, the one that is there comes first.
        let server = by_both(first).await;
        enrolled(&server, Mode::Cookie, ANN, BOX).await;
        let mut ann = server.back(Mode::Cookie, ANN).await;
        let sent = server.codes_sent().await;
        let refused = ann.create_code(PHONE).await;
        assert_eq!(refused.status, 403, "{refused:?}");
        assert_eq!(refused.failed_claims(), ["st-mfa", "2fa-completed"]);
        assert_eq!((server.codes_sent().await, contacts(&server).await), (sent, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a12_without_a_session_no_mailbox_gets_a_code() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        let mut ann = server.half(Mode::Header, ANN).await;
        let (created, code) = code_to(&server, &mut ann, BOX).await;
        let mut nobody = server.client(Mode::Header);
        assert_eq!(ask(&mut nobody, BOX).await.status, 401);
        server.moved(20).await;
        assert_eq!(nobody.resend(&created).await.status, 401);
        assert_eq!(nobody.consume(&created, &code).await.status, 401);
        assert_eq!(server.codes_sent().await, 1);
        assert_eq!(ann.consume(&created, &code).await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a15_five_wrong_codes_to_a_mailbox_end_the_challenge() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        let mut ann = server.half(Mode::Cookie, ANN).await;
        let (created, code) = code_to(&server, &mut ann, BOX).await;
        for failed in 1..=4 {
            let refused = ann.consume(&created, &wrong(&code)).await;
            assert_eq!(refused.json()["failedCodeInputAttemptCount"], failed);
        }
        let last = ann.consume(&created, &wrong(&code)).await;
        assert_eq!(last.status_field(), "RESTART_FLOW_ERROR");
        assert_eq!(ann.get("/api/me").await.status, 200);
        assert!(!ann.completed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a16_a_code_to_a_mailbox_is_too_late_after_five_minutes() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        let mut ann = server.half(Mode::Header, ANN).await;
        let (created, code) = code_to(&server, &mut ann, BOX).await;
        server.moved(301).await;
        ann.refresh().await;
        let late = ann.consume(&created, &code).await;
        assert_eq!(late.status_field(), "EXPIRED_USER_INPUT_CODE_ERROR", "{late:?}");
        assert_eq!(ann.resend(&created).await.status_field(), "OK");
        let fresh = server.code().await;
        assert_eq!(ann.consume(&created, &fresh).await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a17_a_second_mail_brings_a_second_code_and_both_are_right() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        let mut ann = server.half(Mode::Cookie, ANN).await;
        let (created, first) = code_to(&server, &mut ann, BOX).await;
        assert_general(&ann.resend(&created).await, "");
        server.moved(16).await;
        assert_eq!(ann.resend(&created).await.status_field(), "OK");
        let sent = server.sent().await;
        assert!(sent.iter().all(|m| m.to == BOX) && sent.len() == 2, "{sent:?}");
        assert_eq!(ann.consume(&created, &first).await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a18_a_code_to_a_mailbox_is_accepted_once() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        let mut ann = server.half(Mode::Header, ANN).await;
        let (created, code) = code_to(&server, &mut ann, BOX).await;
        assert_eq!(ann.consume(&created, &code).await.status_field(), "OK");
        let again = ann.consume(&created, &code).await;
        assert_eq!(again.status_field(), "RESTART_FLOW_ERROR");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a19_a_mailbox_of_another_session_completes_nothing() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        enrolled(&server, Mode::Cookie, ANN, BOX).await;
        let mut ann = server.back(Mode::Cookie, ANN).await;
        let mut mallory = server.half(Mode::Cookie, "mallory@example.com").await;
        let (created, code) = code_to(&server, &mut mallory, OTHER_BOX).await;
        let refused = ann.consume(&created, &code).await;
        assert_eq!(refused.status_field(), "RESTART_FLOW_ERROR", "{refused:?}");
        assert!(!ann.completed());
        assert_eq!(contacts(&server).await, 1);
        assert_eq!(mallory.consume(&created, &code).await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a20_a_second_mailbox_is_refused_in_a_complete_session() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        let mut ann = enrolled(&server, Mode::Header, ANN, BOX).await;
        assert_general(
            &ask(&mut ann, OTHER_BOX).await,
            "not the e-mail address that the codes",
        );
        assert_eq!(contacts(&server).await, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a26_a_mailbox_that_is_gone_admits_no_other() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        enrolled(&server, Mode::Cookie, ANN, BOX).await;
        server
            .execute("DELETE FROM stepup_credential WHERE kind = 'contact'")
            .await;
        let mut ann = server.back(Mode::Cookie, ANN).await;
        let sent = server.codes_sent().await;
        for address in [BOX, OTHER_BOX] {
            assert_general(&ask(&mut ann, address).await, "cannot be used");
        }
        assert_eq!(server.codes_sent().await, sent);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a31_a_mailbox_that_comes_second_signs_nobody_in() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        enrolled(&server, Mode::Header, ANN, BOX).await;
        for linking in [json!(false), json!(true)] {
            let body = json!({ "email": BOX, "shouldTryLinkingWithSessionUser": linking });
            let refused = server
                .client(Mode::Header)
                .post("/auth/signinup/code", body)
                .await;
            assert_eq!(refused.status, 401, "{refused:?}");
        }
        let exists = server
            .client(Mode::Header)
            .get(&format!("/auth/passwordless/email/exists?email={BOX}"))
            .await;
        assert_eq!(exists.json(), json!({ "status": "OK", "exists": false }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a32_two_users_share_a_mailbox() {
    for first in FIRSTS {
        let server = by_mail(first).await;
        let mut ann = enrolled(&server, Mode::Cookie, ANN, BOX).await;
        let mut bob = enrolled(&server, Mode::Cookie, BOB, BOX).await;
        for client in [&mut ann, &mut bob] {
            assert_eq!(client.get("/api/secret").await.status, 200);
        }
        assert_eq!(contacts(&server).await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a14_of_a_phone_and_a_mailbox_either_one_is_enrolled_first() {
    for first in FIRSTS {
        for (factor, contact) in [("otp-phone", PHONE), ("otp-email", BOX)] {
            let server = by_both(first).await;
            let mut ann = server.half(Mode::Header, ANN).await;
            let known = info(&mut ann).await;
            assert_eq!(known["factors"]["next"], json!(["otp-phone", "otp-email"]));
            assert_eq!(known["phoneNumbers"], json!({ "otp-phone": [] }));
            // What the pre-built UI asks for a code to: the account's own address, for who has nothing else yet. A mailbox
            // that the provider vouched for is behind the first factor already.
            let offered = match first {
                First::Password => json!([ANN]),
                First::Provider => json!([]),
            };
            assert_eq!(known["emails"]["otp-email"], offered);
            ann.sign_out().await;
            let mut ann = server.back(Mode::Header, ANN).await;
            match factor {
                "otp-phone" => ann.complete(&server, contact).await,
                _ => complete(&server, &mut ann, contact).await,
            };
            assert_eq!(ann.get("/api/secret").await.status, 200);
            let mut again = server.back(Mode::Header, ANN).await;
            assert_eq!(info(&mut again).await["factors"]["next"], json!([factor]));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a25_of_a_phone_and_a_mailbox_a_route_takes_either_and_names_the_one_that_is_stale() {
    for first in FIRSTS {
        let server = by_both(first).await;
        let mut ann = server.full(Mode::Header, ANN, PHONE).await;
        // Complete and fresh, so the mailbox may be added.
        server.moved(60).await;
        let added = complete(&server, &mut ann, BOX).await;
        assert_eq!(added.json()["createdNewRecipeUser"], true);
        assert_eq!(
            info(&mut ann).await["factors"]["alreadySetup"],
            json!([first.id().as_str(), "otp-phone", "otp-email"])
        );
        server.moved(301).await;
        let stale = ann.post("/api/transfer", json!({})).await;
        assert_eq!(
            (stale.status, stale.failed_claims()),
            (403, vec!["st-mfa".to_owned()])
        );
        assert_eq!(
            stale.json()["claimValidationErrors"][0]["reason"]["factorId"],
            "otp-email"
        );
        // Stale, nothing is added any more; and either one renews.
        let refused = ask(&mut ann, OTHER_BOX).await;
        assert_general(&refused, "not the e-mail address that the codes");
        ann.complete(&server, PHONE).await;
        assert_eq!(ann.post("/api/transfer", json!({})).await.status, 200);
        server.moved(301).await;
        ann.refresh().await;
        let stale = ann.post("/api/transfer", json!({})).await;
        assert_eq!(
            stale.json()["claimValidationErrors"][0]["reason"]["factorId"],
            "otp-phone"
        );
        complete(&server, &mut ann, BOX).await;
        assert_eq!(ann.post("/api/transfer", json!({})).await.status, 200);
        // At the next sign-in either will do.
        let mut again = server.back(Mode::Header, ANN).await;
        assert_eq!(
            info(&mut again).await["factors"]["next"],
            json!(["otp-phone", "otp-email"])
        );
        server.moved(60).await;
        again.complete(&server, PHONE).await;
        assert_eq!(again.get("/api/secret").await.status, 200);
        assert_general(&again.create_code(OTHER_PHONE).await, "");
    }
}
