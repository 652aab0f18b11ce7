//! A site that asks for the second factor on some routes only.

use serde_json::json;
use stepup::storage::memory::MemoryStore;
use stepup::{FactorId, Policy, any_of};

use super::own::Own;
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PHONE};

const ALICE: &str = "alice@example.com";

async fn site(policy: Policy) -> Own<MemoryStore> {
    Own::start_with(MemoryStore::new(), |builder| {
        builder.policy(policy.on_routes_only())
    })
    .await
}

fn policies() -> [Policy; 2] {
    [
        Policy::second_factor(any_of([FactorId::OTP_PHONE])),
        Policy::when_enrolled(),
    ]
}

async fn complete(site: &Own<MemoryStore>, client: &mut Client, phone: &str) {
    let created = client.create_code(phone).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    let consumed = client.consume(&created.json(), &site.code().await).await;
    assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
}

async fn factors(client: &mut Client) -> serde_json::Value {
    let info = client.call("PUT", "/auth/mfa/info", Some(json!({})), &[]).await;
    assert_eq!(info.status_field(), "OK", "{info:?}");
    info.json()["factors"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_factor_is_enough_but_for_routes_that_ask_for_two() {
    for (policy, mode) in policies().into_iter().zip(MODES) {
        let site = site(policy).await;
        let mut alice = site.client(mode);
        assert_eq!(alice.sign_up(ALICE).await.status_field(), "OK");
        assert_eq!(alice.payload()["st-mfa"]["v"], true);
        assert_eq!(alice.get("/plain").await.status, 200);
        let refused = alice.get("/secret").await;
        assert_eq!(refused.status, 403);
        assert_eq!(refused.failed_claims(), ["2fa-completed"]);
        // What the pre-built UI needs to let the user set one up.
        let shown = factors(&mut alice).await;
        assert_eq!(
            shown,
            json!({ "next": [], "alreadySetup": ["emailpassword"], "allowedToSetup": ["otp-phone"] })
        );
        complete(&site, &mut alice, PHONE).await;
        assert_eq!(alice.get("/secret").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn such_a_session_is_no_half_login_and_lives_as_long_as_any() {
    let site = site(Policy::second_factor(any_of([FactorId::OTP_PHONE]))).await;
    let mut alice = site.client(Mode::Cookie);
    alice.sign_up(ALICE).await;
    site.moved(3_600);
    assert_eq!(alice.refresh().await.status, 200);
    assert_eq!(alice.get("/plain").await.status, 200);
    assert_eq!(alice.get("/secret").await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_has_a_second_factor_needs_it_for_what_changes_the_account() {
    for (policy, mode) in policies().into_iter().zip(MODES) {
        let site = site(policy).await;
        let mut alice = site.client(mode);
        alice.sign_up(ALICE).await;
        complete(&site, &mut alice, PHONE).await;
        alice.sign_out().await;

        // A thief of the password gets what one factor is for, and no more.
        let mut thief = site.client(mode);
        assert_eq!(thief.sign_in(ALICE).await.status_field(), "OK");
        assert_eq!(thief.get("/plain").await.status, 200);
        for path in ["/secret", "/fresh", "/auth/session/list"] {
            let refused = thief.get(path).await;
            assert_eq!(refused.status, 403, "{path}: {refused:?}");
            assert_eq!(refused.failed_claims(), ["2fa-completed"], "{path}");
        }
        let sent = site.sent().await.len();
        let refused = thief.create_code(OTHER_PHONE).await;
        assert_eq!(refused.status_field(), "GENERAL_ERROR");
        assert_eq!(site.sent().await.len(), sent);
        assert_eq!(
            factors(&mut thief).await,
            json!({ "next": [], "alreadySetup": ["emailpassword", "otp-phone"], "allowedToSetup": [] })
        );

        // The owner steps up in the same session.
        complete(&site, &mut thief, PHONE).await;
        for path in ["/secret", "/fresh", "/auth/session/list"] {
            assert_eq!(thief.get(path).await.status, 200, "{path}");
        }
    }
}
