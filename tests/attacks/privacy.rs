//! What is shown of people, and what is left of them.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sqlx::Row;
use stepup::sqlite::SqliteStore;
use stepup::storage::memory::MemoryStore;
use stepup::{FactorId, Profile, TenantId, UserId};
use stepup_core::storage::Storage;

use super::database;
use super::own::Own;
use crate::kit::{Client, MODES, Mode, PHONE, Server, answer, full};

const ALICE: &str = "alice@example.com";
const MASK: &str = "+41*******67";

/// An enrolled user who signed in anew.
async fn returning<S: Storage>(site: &Own<S>, mode: Mode) -> Client {
    let (mut alice, created, code) = site.asked(mode, ALICE, PHONE).await;
    assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
    alice.sign_out().await;
    let mut alice = site.client(mode);
    assert_eq!(alice.sign_in(ALICE).await.status_field(), "OK");
    alice
}

async fn phones(client: &mut Client) -> Value {
    let info = client.call("PUT", "/auth/mfa/info", Some(json!({})), &[]).await;
    info.json()["phoneNumbers"]["otp-phone"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_14_the_number_is_in_clear_by_default_since_clients_send_it_back() {
    for mode in MODES {
        let site = Own::start(MemoryStore::new()).await;
        let mut alice = returning(&site, mode).await;
        assert_eq!(alice.payload()["phoneNumber"], PHONE);
        assert_eq!(phones(&mut alice).await, json!([PHONE]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_14_a_masked_number_is_shown_nowhere_and_its_mask_is_taken_for_it() {
    for mode in MODES {
        let site = Own::start_with(MemoryStore::new(), |builder| builder.mask_contacts()).await;
        let mut alice = returning(&site, mode).await;
        assert_eq!(alice.payload()["phoneNumber"], MASK);
        assert!(!alice.token_payload().contains(PHONE));
        assert_eq!(phones(&mut alice).await, json!([MASK]));

        // A mask that another number would have is another number's.
        let sent = site.sent().await.len();
        for foreign in ["+41*******68", "+42*******67", "+41******67", "*"] {
            let refused = alice.create_code(foreign).await;
            assert_eq!(refused.status_field(), "GENERAL_ERROR", "{foreign}");
            assert!(!String::from_utf8_lossy(&refused.body).contains("+41"));
        }
        assert_eq!(site.sent().await.len(), sent);

        let created = alice.create_code(MASK).await;
        assert_eq!(created.status_field(), "OK", "{created:?}");
        let message = site.sent().await.pop().unwrap();
        assert_eq!(message.to, PHONE);
        let consumed = alice.consume(&created.json(), &site.code().await).await;
        assert_eq!(consumed.status_field(), "OK");
        let body = String::from_utf8_lossy(&consumed.body).into_owned();
        assert!(body.contains(MASK) && !body.contains(PHONE), "{body}");
        assert!(alice.completed());
        // Whoever knows the number may type it.
        let created = alice.create_code("+41 79 123 45 67").await;
        assert_eq!(created.status_field(), "OK", "{created:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mfa_28_the_strict_profile_shows_in_clear_what_is_due_and_nothing_else() {
    let site = Own::start_with(MemoryStore::new(), |builder| builder.profile(Profile::Strict)).await;
    let mut alice = returning(&site, Mode::Cookie).await;
    let info = alice
        .call("PUT", "/auth/mfa/info", Some(json!({})), &[])
        .await
        .json();
    assert_eq!(info["phoneNumbers"]["otp-phone"], json!([PHONE]));
    assert_eq!(info["emails"]["emailpassword"], json!(["a***@example.com"]));
    let created = alice.create_code(PHONE).await.json();
    alice.consume(&created, &site.code().await).await;
    assert_eq!(phones(&mut alice).await, json!([MASK]));
    // What the client was shown it may send back.
    assert_eq!(alice.create_code(MASK).await.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_personal_is_left_in_the_file_of_whoever_was_erased() {
    let server = Server::start().await;
    let mut bob = full(&server, Mode::Cookie, "bob@example.com", "+41791234599").await;
    let mut alice = full(&server, Mode::Cookie, ALICE, PHONE).await;
    let agent = [("user-agent", "alices-browser/1.0")];
    alice.call("POST", "/auth/session/refresh", None, &agent).await;
    alice.create_code(PHONE).await;
    let stepup = &server.site.stepup;
    let (tenant, user) = (TenantId::public(), UserId::from(alice.user_id()));
    let patch = json!({ "note": "likes-tea" }).as_object().unwrap().clone();
    stepup
        .merge_metadata(&tenant, &user, &patch)
        .await
        .unwrap()
        .unwrap();
    let personal = [ALICE, PHONE, "4179123456", "alices-browser", "likes-tea", "alice"];
    let before = server.dump().await.join("\n");
    for trace in personal {
        assert!(before.contains(trace), "{trace} was never there");
    }

    assert!(stepup.erase(&tenant, &user).await.unwrap());
    assert!(!stepup.erase(&tenant, &user).await.unwrap());
    let after = server.dump().await.join("\n");
    for trace in personal {
        assert!(!after.contains(trace), "{trace} is left");
    }
    // One row stays, so that the id is never given again.
    let left: Vec<&str> = after
        .lines()
        .filter(|line| line.contains(user.as_str()))
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(
        left[0].starts_with("stepup_user:") && left[0].contains("deleted"),
        "{left:?}"
    );
    assert_eq!(stepup.export(&tenant, &user).await.unwrap(), None);
    assert_eq!(
        stepup.export(&tenant, &UserId::from("nobody")).await.unwrap(),
        None
    );
    let counters = database::ask(&server.database(), "SELECT name FROM stepup_counter").await;
    for name in counters.iter().map(|row| row.get::<String, _>(0)) {
        assert!(personal.iter().all(|trace| !name.contains(trace)), "{name}");
    }
    // It was hers alone.
    assert_eq!(bob.get("/api/secret").await.status, 200);
    assert_eq!(alice.get("/api/secret").await.status, 401);
    // Her address is free again, for another account.
    let mut again = server.client(Mode::Cookie);
    assert_eq!(again.sign_up(ALICE).await.status_field(), "OK");
    assert_ne!(again.user_id(), user.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_still_open_goes_with_whoever_was_erased() {
    let server = Server::start_with(|settings| settings.first_factors.push(FactorId::OTP_EMAIL)).await;
    let mut alice = server.client(Mode::Header);
    let ask = json!({ "email": ALICE });
    let created = alice.post("/auth/signinup/code", ask.clone()).await.json();
    let body = answer(&created, &server.code().await);
    assert_eq!(
        alice
            .post("/auth/signinup/code/consume", body)
            .await
            .status_field(),
        "OK"
    );
    let open = server.client(Mode::Header).post("/auth/signinup/code", ask).await;
    assert_eq!(open.status_field(), "OK");
    assert!(server.dump().await.join("\n").contains(ALICE));
    let (tenant, user) = (TenantId::public(), UserId::from(alice.user_id()));
    assert!(server.site.stepup.erase(&tenant, &user).await.unwrap());
    let after = server.dump().await.join("\n");
    assert!(!after.contains(ALICE), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_everything_but_secrets() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("export.sqlite");
    let store = SqliteStore::connect(&format!("sqlite://{}?mode=rwc", file.display()))
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let site = Own::start(store).await;
    let mut alice = returning(&site, Mode::Cookie).await;
    alice.refresh().await;
    let (tenant, user) = (TenantId::public(), UserId::from(alice.user_id()));
    let patch = json!({ "note": "likes tea" }).as_object().unwrap().clone();
    site.stepup
        .merge_metadata(&tenant, &user, &patch)
        .await
        .unwrap()
        .unwrap();

    let export = site.stepup.export(&tenant, &user).await.unwrap().unwrap();
    assert_eq!(export["user"]["id"], user.as_str());
    assert_eq!(export["user"]["methods"][0]["email"], ALICE);
    assert_eq!(export["user"]["secondFactors"][0]["contact"], PHONE);
    assert_eq!(export["metadata"]["note"], "likes tea");
    let kinds: Vec<&Value> = export["credentials"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["kind"])
        .collect();
    assert_eq!(kinds, ["password", "contact"]);
    assert_eq!(export["credentials"][1]["public"]["address"], PHONE);
    let sessions = export["sessions"].as_array().unwrap();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0]["handle"], alice.handle().as_str());
    assert!(sessions[0]["refreshedAt"].is_i64());

    // Of every secret that the tables hold, in any writing, nothing is in it.
    let text = export.to_string();
    let blobs = database::ask(
        &file,
        "SELECT sealed FROM stepup_credential WHERE sealed IS NOT NULL UNION SELECT current FROM stepup_session \
         UNION SELECT rotated_salt FROM stepup_session UNION SELECT mac1 FROM stepup_challenge",
    );
    let blobs: Vec<Vec<u8>> = blobs.await.iter().map(|row| row.get(0)).collect();
    assert!(blobs.len() >= 3, "{}", blobs.len());
    for blob in blobs {
        let hex: String = blob.iter().map(|byte| format!("{byte:02x}")).collect();
        for written in [hex, STANDARD.encode(&blob), URL_SAFE_NO_PAD.encode(&blob)] {
            assert!(
                !text.to_lowercase().contains(&written.to_lowercase()),
                "{written}"
            );
        }
    }
    for word in ["argon2", "sealed", "hash", "mac", "secret\""] {
        assert!(!text.contains(word), "{word} in {text}");
    }
    assert!(!text.contains(alice.refresh_token().unwrap()));
}
