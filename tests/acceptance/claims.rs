//! The session checklist, 3 and 5, for claims of the application's own: when they are fetched, what a refusal carries, and
//! what the site asks of every route.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};
use stepup::delivery::{BackgroundThread, Outbox};
use stepup::flow::MergeError;
use stepup::storage::memory::MemoryStore;
use stepup::wire::Wire;
use stepup::{AppInfo, Claim, Password, SecretList, SessionHandle, Stepup};
use stepup_core::entropy::OsEntropy;
use stepup_core::keyring::Root;
use stepup_testkit::clock::ManualClock;

use crate::kit::own::claims::{MINUTE, Table, level, roles_of, terms};
use crate::kit::own::{self, Own};
use crate::kit::serving::{Serving, anywhere, listen};
use crate::kit::{Client, MODES, Mode, Response, Server, half};

const ANN: &str = "ann@example.com";

/// A site without a second factor, with three claims: `role`, fetched when asked for; `level`, at most a minute old;
/// `terms`, which the application sets and every route asks.
struct Site {
    stepup: Stepup,
    clock: ManualClock,
    table: Arc<Table>,
    address: SocketAddr,
    _serving: Serving,
}

impl Site {
    async fn start() -> Self {
        Self::start_with(|_, builder| builder).await
    }

    async fn start_with(change: impl FnOnce(&Arc<Table>, stepup::Builder) -> stepup::Builder) -> Self {
        let listener = listen(anywhere());
        let address = listener.local_addr().unwrap();
        let here = format!("http://localhost:{}", address.port());
        let (clock, table) = (ManualClock::default(), Arc::<Table>::default());
        let secrets = SecretList::new(vec![Root::random("k1".into(), &OsEntropy).unwrap()]);
        let builder = Stepup::builder(
            AppInfo::new("Acme", &*here, &*here),
            Arc::new(MemoryStore::new()),
            secrets,
        )
        .factor(Password::new())
        .notices(Outbox::new())
        .claim(roles_of(table.clone()))
        .claim(level())
        .background(BackgroundThread::start().unwrap())
        .clock(clock.clone());
        let stepup = change(&table, builder).build().await.unwrap();
        let wire = Wire::from(&stepup);
        let own = Own {
            stepup: stepup.clone(),
            wire,
        };
        let serving = own::serve(listener, own).await;
        Self {
            stepup,
            clock,
            table,
            address,
            _serving: serving,
        }
    }

    async fn ann(&self, mode: Mode) -> Client {
        let mut ann = Client::at(self.address, mode);
        assert_eq!(ann.sign_up(ANN).await.status_field(), "OK");
        ann
    }

    fn asked(&self) -> u32 {
        self.table.asked.load(Ordering::SeqCst)
    }

    fn promote(&self) {
        self.table.roles.lock().unwrap().push("admin".to_owned());
    }
}

fn reason(refused: &Response) -> Value {
    assert_eq!(refused.status, 403, "{refused:?}");
    assert_eq!(refused.json()["message"], "invalid claim");
    refused.json()["claimValidationErrors"][0]["reason"].clone()
}

fn handle(client: &Client) -> SessionHandle {
    SessionHandle::from(client.handle().as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_a_claim_is_fetched_once_and_only_when_a_rule_asks_for_it() {
    for mode in MODES {
        let site = Site::start().await;
        site.promote();
        let mut ann = site.ann(mode).await;
        assert!(ann.payload().get("role").is_none());
        for path in ["/plain", "/any", "/seven"] {
            let answer = ann.get(path).await;
            assert_eq!(answer.status, 200);
            assert!(answer.touches_no_token());
        }
        assert_eq!(site.asked(), 0);

        let before = ann.clone();
        let admitted = ann.get("/admin").await;
        assert_eq!((admitted.status, site.asked()), (200, 1));
        assert!(admitted.header("front-token").is_some());
        assert_eq!(ann.payload()["role"]["v"], json!(["admin"]));
        assert_eq!(ann.payload()["exp"], before.payload()["exp"]);
        assert_eq!(ann.refresh_token(), before.refresh_token());
        assert!(ann.get("/admin").await.touches_no_token());
        // The older token gets the newer one in its place, by the row.
        let mut older = before;
        assert_eq!(older.get("/admin").await.status, 200);
        assert_eq!(older.payload()["role"], ann.payload()["role"]);
        assert_eq!(site.asked(), 1);
        // It stays through a refresh.
        assert_eq!(ann.refresh().await.status, 200);
        assert_eq!(ann.get("/admin").await.status, 200);
        assert_eq!(site.asked(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_a_refusal_carries_the_claim_that_was_fetched_for_it() {
    for mode in MODES {
        let site = Site::start().await;
        let mut ann = site.ann(mode).await;
        let refused = ann.get("/admin").await;
        assert_eq!(
            reason(&refused),
            json!({ "message": "wrong value", "expectedToInclude": "admin", "actualValue": [] })
        );
        assert!(refused.header("front-token").is_some());
        assert_eq!(ann.payload()["role"]["v"], json!([]));
        // What is known is not asked again, until the application says so.
        site.promote();
        assert_eq!(ann.get("/admin").await.status, 403);
        assert_eq!(site.asked(), 1);
        let role = roles_of(site.table.clone());
        site.stepup
            .fetch_claim(&handle(&ann), &role)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(ann.get("/admin").await.status, 403);
        ann.refresh().await;
        assert_eq!(ann.get("/admin").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_an_old_claim_is_fetched_again_and_a_young_one_is_not() {
    for mode in MODES {
        let site = Site::start().await;
        site.promote();
        let mut ann = site.ann(mode).await;
        assert_eq!(ann.get("/recent").await.status, 200);
        let first = ann.payload()["role"]["t"].as_i64().unwrap();
        site.clock.advance(MINUTE);
        assert!(ann.get("/recent").await.touches_no_token());
        assert_eq!(site.asked(), 1);
        // Demoted meanwhile: the rule with an age sees it, and the one without one from then on too.
        site.table.roles.lock().unwrap().clear();
        site.clock.advance(Duration::from_millis(1));
        assert_eq!(ann.get("/admin").await.status, 200);
        let refused = ann.get("/recent").await;
        assert_eq!(reason(&refused)["message"], "wrong value");
        assert_eq!(ann.payload()["role"]["t"].as_i64().unwrap(), first + 60_001);
        assert_eq!(ann.get("/admin").await.status, 403);
        assert_eq!(site.asked(), 2);
        // A claim's own age counts where the rule names none.
        let level = ann.payload()["level"]["t"].clone();
        assert_eq!(ann.get("/seven").await.status, 200);
        assert_ne!(ann.payload()["level"]["t"], level);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_a_claim_that_only_the_application_sets_expires_and_is_not_reset() {
    for mode in MODES {
        let site = Site::start_with(|_, builder| builder.require_claim(terms().is(true))).await;
        let mut ann = site.ann(mode).await;
        ann.call("POST", "/accept", None, &[]).await;
        site.clock.advance(MINUTE * 2);
        let rules = [terms().is(true).within(MINUTE)];
        let failures = site
            .stepup
            .validate_claims(&handle(&ann), &rules)
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            failures[0].reason,
            Some(json!({ "message": "expired", "ageInSeconds": 120.0, "maxAgeInSeconds": 60 }))
        );
        assert_eq!(ann.get("/plain").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_a_source_that_fails_denies_the_routes_that_ask_and_no_other() {
    for mode in MODES {
        let site = Site::start().await;
        site.promote();
        let mut ann = site.ann(mode).await;
        site.table.broken.store(true, Ordering::SeqCst);
        for path in ["/admin", "/recent", "/only", "/any/admin"] {
            let denied = ann.get(path).await;
            assert_eq!(denied.status, 500, "{path} {denied:?}");
            assert!(denied.touches_no_token() && !denied.message().contains("table"));
        }
        for path in ["/plain", "/any", "/seven"] {
            assert_eq!(ann.get(path).await.status, 200, "{path}");
        }
        let row = site.stepup.session(&handle(&ann)).await.unwrap().unwrap();
        assert!(!row.payload.contains_key("role"));
        site.table.broken.store(false, Ordering::SeqCst);
        assert_eq!(ann.get("/admin").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_nothing_is_fetched_for_a_session_that_was_revoked() {
    for mode in MODES {
        let site = Site::start().await;
        let mut ann = site.ann(mode).await;
        let stale = ann.clone();
        assert_eq!(ann.sign_out().await.status_field(), "OK");
        let mut late = stale;
        let refused = late.get("/admin").await;
        assert_eq!((refused.status, site.asked()), (401, 0));
        assert!(refused.clears_everything());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_what_the_site_asks_everywhere_is_left_out_only_where_it_shows() {
    for mode in MODES {
        let site = Site::start_with(|_, builder| builder.require_claim(terms().is(true))).await;
        site.promote();
        let mut ann = site.ann(mode).await;
        for path in ["/plain", "/admin", "/seven"] {
            let refused = ann.get(path).await;
            assert_eq!(refused.failed_claims(), ["terms"], "{path} {refused:?}");
            assert_eq!(
                reason(&refused),
                json!({ "message": "value does not exist", "expectedValue": true })
            );
        }
        for path in ["/any", "/terms", "/only", "/any/admin"] {
            assert_eq!(ann.get(path).await.status, 200, "{path}");
        }
        // The protocol's own endpoints do not ask it.
        assert_eq!(ann.refresh().await.status, 200);
        let info = ann.call("PUT", "/auth/mfa/info", None, &[]).await;
        assert_eq!(info.status, 200, "{info:?}");
        assert_eq!(ann.call("POST", "/accept", None, &[]).await.status, 200);
        assert_eq!(ann.get("/plain").await.status, 200);
        assert_eq!(ann.call("POST", "/withdraw", None, &[]).await.status, 200);
        assert_eq!(ann.get("/plain").await.status, 403);
        assert_eq!(ann.sign_out().await.status_field(), "OK");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_a_claim_alone_does_not_open_a_route_to_a_half_login() {
    for mode in MODES {
        let server = Server::start_own().await;
        let mut ann = half(&server, mode, ANN).await;
        assert_eq!(ann.call("POST", "/zeta", None, &[]).await.status, 200);
        let refused = ann.get("/zeta/mine").await;
        assert_eq!(refused.failed_claims(), ["st-mfa", "2fa-completed"]);
        assert_eq!(ann.get("/zeta/any").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_a_handler_asks_for_more_and_its_refusal_carries_the_token() {
    for mode in MODES {
        let site = Site::start().await;
        let mut ann = site.ann(mode).await;
        let refused = ann.call("POST", "/assert", None, &[]).await;
        assert_eq!(refused.failed_claims(), ["admin"]);
        assert!(refused.header("front-token").is_some());
        assert_eq!((ann.payload()["role"]["v"].clone(), site.asked()), (json!([]), 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_5_a_claim_by_handle_reaches_the_client_with_its_next_refresh() {
    for mode in MODES {
        let site = Site::start().await;
        let mut ann = site.ann(mode).await;
        let (stepup, handle) = (&site.stepup, handle(&ann));
        stepup.set_claim(&handle, &terms(), &true).await.unwrap().unwrap();
        let stored = stepup.claim(&handle, &terms()).await.unwrap().unwrap().unwrap();
        assert_eq!((stored.value, stored.at), (true, Some(stepup.now())));
        assert!(ann.payload().get("terms").is_none());
        ann.refresh().await;
        assert_eq!(
            ann.payload()["terms"],
            json!({ "v": true, "t": stepup.now().as_ms() })
        );
        stepup.remove_claim(&handle, &terms()).await.unwrap().unwrap();
        assert_eq!(stepup.claim(&handle, &terms()).await.unwrap().unwrap(), None);
        ann.refresh().await;
        assert!(ann.payload().get("terms").is_none());
        ann.sign_out().await;
        let gone = stepup.set_claim(&handle, &terms(), &true).await.unwrap();
        assert_eq!(gone, Err(MergeError::Ended));
        assert!(stepup.claim(&handle, &terms()).await.unwrap().is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_5_a_claim_under_a_reserved_key_is_an_error_wherever_it_is_written() {
    #[derive(Debug)]
    struct Forged(&'static str);
    impl Claim for Forged {
        type Value = Value;
        fn key(&self) -> &str {
            self.0
        }
        async fn fetch(&self, _: &stepup::User) -> Result<Option<Value>, stepup_core::error::Source> {
            Ok(Some(json!(true)))
        }
    }
    let server = Server::start().await;
    let ann = half(&server, Mode::Header, ANN).await;
    let (stepup, handle) = (&server.site.stepup, handle(&ann));
    let before = server.dump().await;
    for key in [
        "sub",
        "st-mfa",
        "st-anything",
        "2fa-completed",
        "phoneNumber",
        "amr",
        "__proto__",
    ] {
        let forged = Forged(key);
        for refused in [
            stepup.set_claim(&handle, &forged, &json!(true)).await.unwrap(),
            stepup.fetch_claim(&handle, &forged).await.unwrap(),
            stepup.remove_claim(&handle, &forged).await.unwrap(),
        ] {
            assert!(
                matches!(refused, Err(MergeError::Payload(_))),
                "{key} {refused:?}"
            );
        }
    }
    assert_eq!(server.dump().await, before);
}
