//! Codes and links that sign in, case by case: what the suites of the protocol try and no row of the acceptance table says.
//! `docs/protocol-cases.md` has the whole list.

use serde_json::{Value, json};
use stepup::flow::Contact;
use stepup::{FactorId, TenantId};
use stepup_core::id::ChallengeId;

use crate::kit::{Client, MODES, Mode, PHONE, Server, answer, half};

const ANN: &str = "ann@example.com";
const CREATE: &str = "/auth/signinup/code";
const RESEND: &str = "/auth/signinup/code/resend";
const CONSUME: &str = "/auth/signinup/code/consume";

/// The demo where these sign in beside passwords.
async fn serving(first: &[FactorId]) -> Server {
    Server::start_with(|settings| settings.first_factors.extend(first.iter().cloned())).await
}

async fn by_codes() -> Server {
    serving(&[FactorId::OTP_EMAIL, FactorId::OTP_PHONE]).await
}

/// A contact of each kind, and where its messages go.
fn contacts() -> [(Value, &'static str); 2] {
    [
        (json!({ "email": ANN }), ANN),
        (json!({ "phoneNumber": PHONE }), PHONE),
    ]
}

async fn created(client: &mut Client, contact: &Value) -> Value {
    let created = client.post(CREATE, contact.clone()).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    created.json()
}

fn pair(created: &Value) -> Value {
    json!({ "deviceId": created["deviceId"], "preAuthSessionId": created["preAuthSessionId"] })
}

async fn challenges(server: &Server) -> i64 {
    server.number("SELECT count(*) FROM stepup_challenge").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_sent_once_more_to_a_mailbox_and_to_a_phone_and_both_are_right() {
    for mode in MODES {
        for (contact, to) in contacts() {
            let server = by_codes().await;
            let mut ann = server.client(mode);
            let device = created(&mut ann, &contact).await;
            let first = server.code().await;
            let early = ann.post(RESEND, pair(&device)).await;
            assert_eq!(early.status_field(), "GENERAL_ERROR", "{early:?}");
            server.moved(16).await;
            let again = ann.post(RESEND, pair(&device)).await;
            assert_eq!(again.json(), json!({ "status": "OK" }));
            let sent = server.sent().await;
            assert_eq!(sent.iter().map(|m| m.to.as_str()).collect::<Vec<_>>(), [to, to]);
            let signed_in = ann.post(CONSUME, answer(&device, &first)).await;
            assert_eq!(signed_in.status_field(), "OK", "{signed_in:?}");
            assert_eq!(signed_in.json()["createdNewRecipeUser"], true);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_contact_gets_no_code() {
    let server = by_codes().await;
    let mut nobody = server.client(Mode::Header);
    for body in [
        json!({}),
        json!({ "email": ANN, "phoneNumber": PHONE }),
        json!({ "email": null, "phoneNumber": null }),
        json!({ "email": [ANN] }),
    ] {
        let refused = nobody.post(CREATE, body).await;
        assert_eq!(refused.status, 400, "{refused:?}");
    }
    for body in [
        json!({ "email": "nonsense" }),
        json!({ "email": "ann@@example.com" }),
        json!({ "phoneNumber": "12" }),
        json!({ "phoneNumber": "0791234567" }),
        json!({ "phoneNumber": ANN }),
    ] {
        let refused = nobody.post(CREATE, body).await;
        assert_eq!(
            (refused.status, refused.status_field().as_str()),
            (200, "GENERAL_ERROR"),
            "{refused:?}"
        );
    }
    assert_eq!((server.sent().await.len(), challenges(&server).await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_its_fields_is_a_bad_request() {
    let server = by_codes().await;
    let mut ann = server.client(Mode::Header);
    let device = created(&mut ann, &json!({ "email": ANN })).await;
    let code = server.code().await;
    let (id, secret) = (&device["preAuthSessionId"], &device["deviceId"]);
    for body in [
        json!({}),
        json!({ "preAuthSessionId": id }),
        json!({ "preAuthSessionId": id, "deviceId": secret }),
        json!({ "preAuthSessionId": id, "userInputCode": code }),
        json!({ "deviceId": secret, "userInputCode": code }),
        json!({ "linkCode": "x" }),
        json!({ "preAuthSessionId": id, "deviceId": secret, "userInputCode": code, "linkCode": "x" }),
    ] {
        let refused = ann.post(CONSUME, body.clone()).await;
        assert_eq!(refused.status, 400, "{body}: {refused:?}");
    }
    for body in [
        json!({}),
        json!({ "deviceId": secret }),
        json!({ "preAuthSessionId": id }),
    ] {
        let refused = ann.post(RESEND, body.clone()).await;
        assert_eq!(refused.status, 400, "{body}: {refused:?}");
    }
    let signed_in = ann.post(CONSUME, answer(&device, &code)).await;
    assert_eq!(signed_in.status_field(), "OK", "nothing was used up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_has_the_form_that_clients_read() {
    let server = serving(&[FactorId::LINK_EMAIL]).await;
    let mut ann = server.client(Mode::Header);
    let device = created(&mut ann, &json!({ "email": ANN })).await;
    let link = server.sent().await[0].link.clone().unwrap();
    let expected = format!(
        "http://localhost:{}/auth/verify?preAuthSessionId={}&tenantId=public#",
        server.address.port(),
        device["preAuthSessionId"].as_str().unwrap()
    );
    let secret = link.strip_prefix(&expected).expect(&link);
    let opened = json!({ "preAuthSessionId": device["preAuthSessionId"], "linkCode": secret });
    // Without the id of the device: a link may be opened anywhere.
    let mut elsewhere = server.client(Mode::Cookie);
    let signed_in = elsewhere.post(CONSUME, opened).await;
    assert_eq!(signed_in.status_field(), "OK", "{signed_in:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_in_by_codes_exists_under_old_and_new_paths_whatever_recipe_is_named() {
    let server = by_codes().await;
    for (contact, _) in contacts() {
        let mut ann = server.client(Mode::Header);
        let device = created(&mut ann, &contact).await;
        let code = server.code().await;
        assert_eq!(
            ann.post(CONSUME, answer(&device, &code)).await.status_field(),
            "OK"
        );
    }
    let phone = PHONE.replace('+', "%2B");
    for (path, exists) in [
        (format!("/auth/passwordless/email/exists?email={ANN}"), true),
        (
            format!("/auth/passwordless/phonenumber/exists?phoneNumber={phone}"),
            true,
        ),
        (
            format!("/auth/passwordless/phoneNumber/exists?phoneNumber={phone}"),
            true,
        ),
        (
            format!("/auth/signup/phonenumber/exists?phoneNumber={phone}"),
            true,
        ),
        (
            "/auth/passwordless/email/exists?email=ben@example.com".to_owned(),
            false,
        ),
        // An address is one account's, however it signs in: nobody else signs up with it.
        (format!("/auth/emailpassword/email/exists?email={ANN}"), true),
    ] {
        for rid in [
            "passwordless",
            "emailpassword",
            "thirdpartypasswordless",
            "nonsense",
            "-",
        ] {
            let nobody = server.client(Mode::Header);
            let found = nobody.peek("GET", &path, None, &[("rid", rid)]).await;
            assert_eq!(
                found.json(),
                json!({ "status": "OK", "exists": exists }),
                "{rid} {path}"
            );
        }
        server.moved(60).await;
    }
    let taken = server.client(Mode::Header).sign_up(ANN).await;
    assert_eq!(taken.status_field(), "FIELD_ERROR", "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_not_sent_once_more_where_its_contact_signs_in_no_longer() {
    let server = by_codes().await;
    let mut ann = server.client(Mode::Header);
    let device = created(&mut ann, &json!({ "email": ANN })).await;
    let code = server.code().await;
    let server = server
        .changed(|settings| {
            settings
                .first_factors
                .retain(|factor| *factor != FactorId::OTP_EMAIL)
        })
        .await;
    server.moved(16).await;
    let refused = ann.post(RESEND, pair(&device)).await;
    assert_eq!(
        (refused.status, refused.status_field().as_str()),
        (200, "RESTART_FLOW_ERROR"),
        "{refused:?}"
    );
    // Codes of a kind that signs nobody in act on a session, and there is none.
    assert_eq!(ann.post(CONSUME, answer(&device, &code)).await.status, 401);
    assert_eq!(server.number("SELECT count(*) FROM stepup_user").await, 0);
    assert_eq!(
        server.sent().await.len(),
        0,
        "the outbox is that of the new process"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_not_sent_once_more_by_another_tenant() {
    let server = Server::start_with(|settings| {
        settings
            .first_factors
            .extend([FactorId::OTP_EMAIL, FactorId::OTP_PHONE]);
        settings.tenants = vec!["acme".to_owned()];
    })
    .await;
    for (contact, _) in contacts() {
        let mut ann = server.client(Mode::Header);
        let device = created(&mut ann, &contact).await;
        let (code, sent) = (server.code().await, server.sent().await.len());
        server.moved(16).await;
        for (path, body) in [
            ("/auth/acme/signinup/code/resend", pair(&device)),
            ("/auth/acme/signinup/code/consume", answer(&device, &code)),
        ] {
            let refused = ann.post(path, body).await;
            assert_eq!(
                (refused.status, refused.status_field().as_str()),
                (200, "RESTART_FLOW_ERROR"),
                "{path}: {refused:?}"
            );
        }
        assert_eq!(server.sent().await.len(), sent);
        assert_eq!(
            ann.post(CONSUME, answer(&device, &code)).await.status_field(),
            "OK"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sent_goes_by_what_signs_in() {
    for (contact, kinds, second) in [
        (
            json!({ "email": ANN }),
            [FactorId::OTP_EMAIL, FactorId::LINK_EMAIL],
            FactorId::OTP_PHONE,
        ),
        (
            json!({ "phoneNumber": PHONE }),
            [FactorId::OTP_PHONE, FactorId::LINK_PHONE],
            FactorId::OTP_EMAIL,
        ),
    ] {
        let [code, link] = kinds;
        for (first, flow, carries) in [
            (vec![code.clone()], "USER_INPUT_CODE", (true, false)),
            (vec![link.clone()], "MAGIC_LINK", (false, true)),
            (
                vec![code.clone(), link.clone()],
                "USER_INPUT_CODE_AND_MAGIC_LINK",
                (true, true),
            ),
        ] {
            let server = Server::start_with(|settings| {
                settings.first_factors.clone_from(&first);
                settings.second_factors = vec![second.clone()];
            })
            .await;
            let mut ann = server.client(Mode::Header);
            let device = created(&mut ann, &contact).await;
            assert_eq!(device["flowType"], flow, "{first:?}");
            let sent = server.sent().await;
            let [message] = sent.as_slice() else {
                panic!("one message: {sent:?}");
            };
            assert_eq!(
                (message.code.is_some(), message.link.is_some()),
                carries,
                "{first:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_asked_for_a_code_although_links_sign_in() {
    for mode in MODES {
        let server = serving(&[FactorId::OTP_PHONE, FactorId::LINK_PHONE]).await;
        let mut ann = half(&server, mode, ANN).await;
        let ask = json!({ "phoneNumber": PHONE, "shouldTryLinkingWithSessionUser": true });
        let device = created(&mut ann, &ask).await;
        assert_eq!(device["flowType"], "USER_INPUT_CODE");
        let sent = server.sent().await;
        assert!(
            sent.iter()
                .all(|message| message.link.is_none() && message.code.is_some())
        );
        // Nor does the code sign anybody in who has no session.
        let code = server.code().await;
        let stranger = server.client(mode).post(CONSUME, answer(&device, &code)).await;
        assert_ne!(stranger.status_field(), "OK", "{stranger:?}");
        let mut body = answer(&device, &code);
        body["shouldTryLinkingWithSessionUser"] = true.into();
        assert_eq!(ann.post(CONSUME, body).await.status_field(), "OK");
        assert!(ann.completed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_wait_are_listed_by_contact_and_revoked_together_or_one_by_one() {
    let server = by_codes().await;
    let (stepup, tenant) = (&server.site.stepup, TenantId::public());
    let contact = Contact::email(ANN).unwrap();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut client = server.client(Mode::Header);
        let device = created(&mut client, &json!({ "email": ANN })).await;
        waiting.push((client, device, server.code().await));
        server.moved(20).await;
    }
    assert_eq!(stepup.first_codes(&tenant, &contact).await.unwrap().len(), 3);
    let other = Contact::phone(PHONE).unwrap();
    assert!(stepup.first_codes(&tenant, &other).await.unwrap().is_empty());
    let one = ChallengeId::from(waiting[0].1["preAuthSessionId"].as_str().unwrap());
    assert!(stepup.revoke_first_code(&tenant, &one).await.unwrap());
    let (mut client, device, code) = waiting.swap_remove(0);
    let refused = client.post(CONSUME, answer(&device, &code)).await;
    assert_eq!(refused.status_field(), "RESTART_FLOW_ERROR", "{refused:?}");
    assert_eq!(stepup.revoke_first_codes(&tenant, &contact).await.unwrap(), 2);
    assert!(stepup.first_codes(&tenant, &contact).await.unwrap().is_empty());
    for (mut client, device, code) in waiting {
        let refused = client.post(CONSUME, answer(&device, &code)).await;
        assert_eq!(refused.status_field(), "RESTART_FLOW_ERROR", "{refused:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_signs_in_ends_the_other_codes_of_the_contact() {
    let server = by_codes().await;
    for (contact, _) in contacts() {
        let mut waiting = Vec::new();
        for _ in 0..2 {
            let mut client = server.client(Mode::Header);
            let device = created(&mut client, &contact).await;
            waiting.push((client, device, server.code().await));
            server.moved(20).await;
        }
        let (mut late, other, other_code) = waiting.swap_remove(0);
        let (mut ann, device, code) = waiting.swap_remove(0);
        let signed_in = ann.post(CONSUME, answer(&device, &code)).await;
        assert_eq!(signed_in.status_field(), "OK", "{signed_in:?}");
        let refused = late.post(CONSUME, answer(&other, &other_code)).await;
        assert_eq!(refused.status_field(), "RESTART_FLOW_ERROR", "{refused:?}");
    }
}
