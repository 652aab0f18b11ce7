//! A verified address beside the second factor: both are named, and neither closes the endpoints of the other.

use serde_json::json;
use stepup::config::EmailVerification;

use crate::kit::{Client, MODES, PHONE, Server, answer, half};

const ANN: &str = "ann@example.com";
const VERIFY: &str = "/auth/user/email/verify";

async fn serving(mode: EmailVerification) -> Server {
    Server::start_with(move |settings| settings.email_verification = mode).await
}

async fn link(server: &Server, ann: &mut Client) -> String {
    let asked = ann.post("/auth/user/email/verify/token", json!({})).await;
    assert_eq!(asked.status_field(), "OK", "{asked:?}");
    let sent = server.sent().await.into_iter().rev();
    let mail = sent
        .filter(|mail| mail.kind == "verify")
        .find_map(|mail| mail.link);
    let link = mail.expect("a link was sent");
    link.split(['?', '&'])
        .find_map(|part| part.strip_prefix("token="))
        .unwrap()
        .to_owned()
}

async fn verify(client: &mut Client, token: &str) {
    let verified = client
        .post(VERIFY, json!({ "method": "token", "token": token }))
        .await;
    assert_eq!(verified.status_field(), "OK", "{verified:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a24_a_verified_address_is_asked_for_beside_the_second_factor_and_neither_closes_the_others_endpoints()
 {
    for mode in MODES {
        let server = serving(EmailVerification::Required).await;
        let mut ann = half(&server, mode, ANN).await;
        assert_eq!(ann.payload()["st-ev"]["v"], false);
        let refused = ann.get("/api/secret").await;
        assert_eq!(refused.status, 403);
        assert_eq!(refused.failed_claims(), ["st-mfa", "2fa-completed", "st-ev"]);
        assert_eq!(
            refused.json()["claimValidationErrors"][2]["reason"],
            json!({ "message": "wrong value", "expectedValue": true, "actualValue": false })
        );
        // Both false, and each can be mended first.
        let info = ann.call("PUT", "/auth/mfa/info", None, &[]).await;
        assert_eq!(info.status_field(), "OK", "{info:?}");
        ann.complete(&server, PHONE).await;
        let refused = ann.get("/api/secret").await;
        assert_eq!(
            (refused.status, refused.failed_claims()),
            (403, vec!["st-ev".to_owned()])
        );
        let token = link(&server, &mut ann).await;
        verify(&mut ann, &token).await;
        assert_eq!(ann.payload()["st-ev"]["v"], true);
        assert_eq!(ann.get("/api/secret").await.status, 200);

        // The other way round; and the claim is in every new session from the start.
        let mut ben = half(&server, mode, "ben@example.com").await;
        let token = link(&server, &mut ben).await;
        verify(&mut ben, &token).await;
        let refused = ben.get("/api/secret").await;
        assert_eq!(refused.failed_claims(), ["st-mfa", "2fa-completed"]);
        ben.complete(&server, PHONE).await;
        assert_eq!(ben.get("/api/secret").await.status, 200);
        let mut again = server.client(mode);
        assert_eq!(again.sign_in("ben@example.com").await.status_field(), "OK");
        assert_eq!(again.payload()["st-ev"]["v"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a24_an_optional_address_is_said_in_the_claim_and_asked_for_by_nobody() {
    for mode in MODES {
        let server = serving(EmailVerification::Optional).await;
        let mut ann = half(&server, mode, ANN).await;
        ann.complete(&server, PHONE).await;
        assert_eq!(ann.payload()["st-ev"]["v"], false);
        assert_eq!(ann.get("/api/secret").await.status, 200);
        // It outlives a refresh, and nobody writes it but by proof.
        assert_eq!(ann.refresh().await.status, 200);
        assert_eq!(ann.payload()["st-ev"]["v"], false);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a24_an_address_that_was_verified_elsewhere_is_seen_by_the_tab_that_waits_and_by_the_next_guard() {
    for mode in MODES {
        let server = serving(EmailVerification::Required).await;
        let mut ann = half(&server, mode, ANN).await;
        ann.complete(&server, PHONE).await;
        let token = link(&server, &mut ann).await;
        let mut guarded = ann.clone();
        verify(&mut server.client(mode), &token).await;

        // The tab that polls: the claim is written, and the token says so.
        let seen = ann.get(VERIFY).await;
        assert_eq!(seen.json(), json!({ "status": "OK", "isVerified": true }));
        assert!(!seen.touches_no_token());
        assert_eq!(ann.payload()["st-ev"]["v"], true);
        assert_eq!(ann.get("/api/secret").await.status, 200);
        // Once it says so, it is not written again.
        assert!(ann.get(VERIFY).await.touches_no_token());

        // A guard that is asked later finds out by itself, once the old answer is ten seconds old.
        server.moved(11).await;
        assert_eq!(guarded.get("/api/secret").await.status, 200);
        assert_eq!(guarded.payload()["st-ev"]["v"], true);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a24_a_code_to_the_address_that_signs_in_verifies_it() {
    for mode in MODES {
        let server = Server::start_with(|settings| {
            settings.email_verification = EmailVerification::Required;
            settings.second_factors = vec![stepup::FactorId::OTP_EMAIL];
        })
        .await;
        for (name, to, verified) in [
            ("ann", "ann@example.com", true),
            ("ben", "ben@codes.example", false),
        ] {
            let mut client = half(&server, mode, &format!("{name}@example.com")).await;
            let body = json!({ "email": to, "shouldTryLinkingWithSessionUser": true });
            let created = client.post("/auth/signinup/code", body).await;
            assert_eq!(created.status_field(), "OK", "{created:?}");
            let mut body = answer(&created.json(), &server.code().await);
            body["shouldTryLinkingWithSessionUser"] = json!(true);
            let consumed = client.post("/auth/signinup/code/consume", body).await;
            assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
            assert_eq!(client.payload()["st-ev"]["v"], verified, "{to}");
            assert_eq!(
                client.get("/api/secret").await.status,
                if verified { 200 } else { 403 }
            );
        }
    }
}
