//! How many statements each verb takes, as the database's own log tells.
//!
//! One test alone in its binary: the log is the process's.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::sync::Mutex;
use std::time::Duration;

use stepup_core::evidence::{Completed, Completion, Kind};
use stepup_core::id::{FactorId, TenantId};
use stepup_core::record::JsonMap;
use stepup_core::record::challenge::{Binding, Challenge, Resend, Slot};
use stepup_core::record::counter::{Ask, CounterKey};
use stepup_core::record::credential::{Credential, CredentialKind};
use stepup_core::record::session::{Chain, Class, Origin, Rotate, Rotation, Session};
use stepup_core::record::user::{Identifier, IdentifierKind, Summary, User, UserState};
use stepup_core::secret::Mac;
use stepup_core::storage::{
    Beside, ChallengeStore, CounterStore, FactorCompletion, Flows, NewAccount, SessionStore, UserStore,
    UserUpdate,
};
use stepup_core::time::Timestamp;
use stepup_sqlx::SqliteStore;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

const NOW: Timestamp = Timestamp::from_ms(1_760_000_000_000);
const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn each_decision_takes_the_statements_that_were_promised() {
    tracing::subscriber::set_global_default(Log).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = [
        "sqlite://",
        &folder.path().join("test.db").to_string_lossy(),
        "?mode=rwc",
    ]
    .concat();
    let store = SqliteStore::connect(&url).await.unwrap();
    store.migrate().await.unwrap();
    let (tenant, now) = (TenantId::public(), NOW);
    let account = NewAccount {
        user: ann(),
        identifiers: vec![(email(), "ann".into())],
        credentials: Vec::new(),
        session: None,
    };
    store.create_account(&account).await.unwrap();
    take();

    store.open_session(&session()).await.unwrap();
    assert_eq!(take().len(), 1, "open_session");
    store
        .user_by_identifier(&tenant, &email())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(take().len(), 1, "user_by_identifier");
    store
        .look(&"s1".into(), Some(&"c1".into()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(take().len(), 1, "look");
    store.rotate(&rotate()).await.unwrap().unwrap();
    assert_eq!(take().len(), 1, "rotate");
    assert!(store.rotate(&rotate()).await.unwrap().is_none());
    assert_eq!(take().len(), 1, "rotate, refused");
    store.put_challenge(&challenge()).await.unwrap();
    assert_eq!(take().len(), 1, "put_challenge");
    store.resend(&resend()).await.unwrap();
    assert_eq!(take().len(), 1, "resend");

    let asks =
        ["ip", "account", "destination", "site"].map(|name| Ask::window(CounterKey::new(name), 2, MINUTE));
    store.charge(&asks, now).await.unwrap();
    assert_eq!(take().len(), 1, "charge of four counters");
    store.charge(&asks.clone().map(Ask::look), now).await.unwrap();
    assert_eq!(take().len(), 1, "a look at four counters");

    let (id, binding) = ("c1".into(), challenge().binding);
    for (code, what) in [(9, "wrong"), (1, "right"), (1, "gone")] {
        store
            .answer(&tenant, &id, &binding, &[Mac::new([code; 32])], now)
            .await
            .unwrap();
        assert_eq!(take().len(), 1, "answer, {what}");
    }
    store.complete_factor(&completion()).await.unwrap();
    // Session, challenges, user: one statement each in one transaction.
    assert_eq!(take().len(), 3, "complete_factor");

    store.update_user(&update(0)).await.unwrap();
    // User, identifier free?, user; identifiers out and in; password out and in; sessions, challenges, strangers'.
    assert_eq!(take().len(), 10, "update_user");
    store.update_user(&update(0)).await.unwrap();
    assert_eq!(take().len(), 1, "update_user, outrun");

    // No text, address or digest is part of a statement: everything is bound.
    store.charge(&asks, now).await.unwrap();
    store.user_by_identifier(&tenant, &email()).await.unwrap();
    store.update_user(&update(1)).await.unwrap();
    let log = take().concat();
    assert!(!log.contains("example") && !log.contains("account"), "{log}");
}

static STATEMENTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The statements since the last call.
fn take() -> Vec<String> {
    std::mem::take(&mut *STATEMENTS.lock().unwrap())
}

/// Listens to what sqlx tells of each statement that the database ran.
struct Log;

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        // A connection that the pool opens meanwhile sets itself up; that is no verb's.
        if !text.0.contains("PRAGMA") {
            STATEMENTS.lock().unwrap().push(text.0);
        }
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, _: &Field, value: &dyn std::fmt::Debug) {
        self.0 += &format!("{value:?} ");
    }
}

fn email() -> Identifier {
    Identifier {
        kind: IdentifierKind::Email,
        value: "ann@example.test".to_owned(),
    }
}

fn ann() -> User {
    User {
        tenant: TenantId::public(),
        id: "ann".into(),
        state: UserState::Live,
        epoch: 0,
        revision: 0,
        methods: Vec::new(),
        summary: Summary::default(),
        metadata: JsonMap::new(),
        created_at: NOW,
    }
}

fn session() -> Session {
    Session {
        handle: "s1".into(),
        tenant: TenantId::public(),
        user: "ann".into(),
        method: "ann".into(),
        epoch: 0,
        factors: Completed::new(),
        payload: JsonMap::new(),
        class: Class::Half,
        created_at: NOW,
        idle_expires_at: NOW.plus(MINUTE),
        ends_at: NOW.plus(MINUTE),
        chain: Chain {
            generation: 0,
            current: Mac::new([0; 32]),
            previous: None,
            rotated: None,
            rise: None,
            tally_since: NOW,
            tally: 0,
        },
        origin: Origin::default(),
    }
}

fn rotate() -> Rotate {
    Rotate {
        handle: "s1".into(),
        generation: 0,
        current: Mac::new([0; 32]),
        next: Mac::new([1; 32]),
        rotation: Rotation {
            at: NOW,
            salt: [0; 16],
            key: "k1".into(),
            origin: Origin::default(),
        },
        idle: MINUTE,
        tally_limit: 9,
        tally_window: MINUTE,
    }
}

fn slot() -> Slot {
    Slot {
        mac: Mac::new([1; 32]),
        expires_at: NOW.plus(MINUTE),
    }
}

fn challenge() -> Challenge {
    let binding = Binding {
        purpose: "second:otp-phone".to_owned(),
        user: "ann".into(),
        session: "s1".into(),
    };
    Challenge {
        tenant: TenantId::public(),
        id: "c1".into(),
        binding,
        destination: "+15550100".to_owned(),
        failed: 0,
        max_failures: 5,
        slots: [Some(slot()), None, None],
        sends: 1,
        next_send_at: NOW,
        closed: false,
        created_at: NOW,
        ends_at: NOW.plus(MINUTE),
    }
}

fn resend() -> Resend {
    Resend {
        tenant: TenantId::public(),
        id: "c1".into(),
        binding: challenge().binding,
        slot: slot(),
        keep: 3,
        base: MINUTE,
        cap: MINUTE,
        now: NOW,
    }
}

fn completion() -> FactorCompletion {
    FactorCompletion {
        tenant: TenantId::public(),
        handle: "s1".into(),
        user: "ann".into(),
        factor: FactorId::from_static("otp-phone"),
        completion: Completion {
            at: NOW,
            kind: Kind::Possession,
            channel: None,
            first: false,
            signed_up: false,
        },
        rise: None,
        enrollment: None,
        clear: Vec::new(),
        now: NOW,
    }
}

/// The address as it is, and a new password.
fn update(revision: i64) -> UserUpdate {
    let password = Credential {
        tenant: TenantId::public(),
        user: "ann".into(),
        kind: CredentialKind::Password,
        id: format!("p{revision}").as_str().into(),
        public: serde_json::json!({}),
        sealed: Some(b"sealed".to_vec()),
        version: 1,
        created_at: NOW,
    };
    UserUpdate {
        tenant: TenantId::public(),
        user: "ann".into(),
        revision,
        methods: Vec::new(),
        identifiers: vec![(email(), "ann".into())],
        password: Some(password),
        contacts: vec!["ann@example.test".to_owned(), "old@example.test".to_owned()],
        notices: Vec::new(),
        keep: None,
        beside: Beside::default(),
    }
}
