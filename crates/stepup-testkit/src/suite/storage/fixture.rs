//! Records to start from, and races.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use stepup_core::evidence::{Completed, Completion, Kind};
use stepup_core::id::{FactorId, MethodId, SessionHandle, TenantId, UserId};
use stepup_core::record::JsonMap;
use stepup_core::record::challenge::{Answer, Binding, Challenge, Slot};
use stepup_core::record::credential::{Credential, CredentialKind};
use stepup_core::record::notice::Notice;
use stepup_core::record::session::{Chain, Class, Origin, Rotate, Rotation, Session};
use stepup_core::record::user::{Enrolled, Identifier, IdentifierKind, Method, Summary, User, UserState};
use stepup_core::secret::Mac;
use stepup_core::storage::{Enrollment, FactorCompletion, NewAccount, RiseTo, Storage, Stored, UserChange};
use stepup_core::time::Timestamp;
use tokio::sync::Barrier;

pub(super) type Store = Arc<dyn Storage>;

/// The present moment of every sentence that does not move the clock.
pub(super) const NOW: Timestamp = Timestamp::from_ms(1_760_000_000_000);

pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
pub(super) const TICK: Duration = Duration::from_millis(1);

pub(super) const PASSWORD: FactorId = FactorId::from_static("emailpassword");
pub(super) const OTP_PHONE: FactorId = FactorId::from_static("otp-phone");
pub(super) const TOTP: FactorId = FactorId::from_static("totp");

pub(super) fn public() -> TenantId {
    TenantId::public()
}

pub(super) fn other() -> TenantId {
    TenantId::from("other")
}

/// A user that signs in by e-mail and has no second factor.
pub(super) fn user(id: &str) -> User {
    User {
        tenant: public(),
        id: id.into(),
        state: UserState::Live,
        epoch: 3,
        revision: 7,
        methods: vec![Method {
            id: MethodId::from(id),
            factor: PASSWORD,
            email: Some(address(id)),
            phone: None,
            third_party: None,
            verified: true,
            joined_at: NOW,
        }],
        summary: Summary::default(),
        metadata: map(serde_json::json!({ "name": id })),
        created_at: NOW,
    }
}

pub(super) fn address(id: &str) -> String {
    [id, "example.test"].join("@")
}

pub(super) fn email(address: &str) -> Identifier {
    Identifier {
        kind: IdentifierKind::Email,
        value: address.to_owned(),
    }
}

pub(super) fn password(user: &User) -> Credential {
    credential(user, CredentialKind::Password, user.id.as_str())
}

pub(super) fn contact(user: &User, id: &str) -> Credential {
    Credential {
        public: serde_json::json!({ "phone": "+15550100" }),
        ..credential(user, CredentialKind::Contact, id)
    }
}

pub(super) fn credential(user: &User, kind: CredentialKind, id: &str) -> Credential {
    Credential {
        tenant: user.tenant.clone(),
        user: user.id.clone(),
        kind,
        id: id.into(),
        public: serde_json::Value::Null,
        sealed: Some(b"sealed".to_vec()),
        version: 1,
        created_at: NOW,
    }
}

/// An account with an identifier, a password and no session.
pub(super) fn account(user: &User) -> NewAccount {
    NewAccount {
        user: user.clone(),
        identifiers: vec![(
            email(&address(user.id.as_str())),
            MethodId::from(user.id.as_str()),
        )],
        credentials: vec![password(user)],
        session: None,
    }
}

/// A half-login of `user`, opened now.
pub(super) fn session(user: &User, handle: &str) -> Session {
    Session {
        handle: handle.into(),
        tenant: user.tenant.clone(),
        user: user.id.clone(),
        method: MethodId::from(user.id.as_str()),
        epoch: user.epoch,
        factors: Completed::from([(PASSWORD, first(NOW))]),
        payload: map(serde_json::json!({ "z": 1, "a": [true, null] })),
        class: Class::Half,
        created_at: NOW,
        idle_expires_at: NOW.plus(DAY),
        ends_at: NOW.plus(30 * DAY),
        chain: Chain {
            generation: 0,
            current: secret(0),
            previous: None,
            rotated: None,
            rise: None,
            tally_since: NOW,
            tally: 0,
        },
        origin: Origin {
            network: "192.0.2.1".to_owned(),
            agent: "Browser/1".to_owned(),
        },
    }
}

/// Digest of the refresh secret of a generation.
pub(super) fn secret(generation: u8) -> Mac {
    Mac::new([100 + generation; 32])
}

/// Rotates from `generation` to the next one.
pub(super) fn rotation(handle: &str, generation: u8, at: Timestamp) -> Rotate {
    Rotate {
        handle: handle.into(),
        generation: generation.into(),
        current: secret(generation),
        next: secret(generation + 1),
        rotation: Rotation {
            at,
            salt: [generation; 16],
            key: "k1".into(),
            origin: Origin {
                network: "192.0.2.2".to_owned(),
                agent: "Browser/2".to_owned(),
            },
        },
        idle: DAY,
        tally_limit: 30,
        tally_window: MINUTE,
    }
}

pub(super) fn first(at: Timestamp) -> Completion {
    Completion {
        at,
        kind: Kind::Knowledge,
        channel: None,
        first: true,
        signed_up: true,
    }
}

pub(super) fn second(at: Timestamp) -> Completion {
    Completion {
        at,
        kind: Kind::Possession,
        channel: Some("digest".to_owned()),
        first: false,
        signed_up: false,
    }
}

/// Completes `factor` in `session` now: no rise, no enrollment.
pub(super) fn completion(session: &Session, factor: &FactorId) -> FactorCompletion {
    FactorCompletion {
        tenant: session.tenant.clone(),
        handle: session.handle.clone(),
        user: session.user.clone(),
        factor: factor.clone(),
        completion: second(NOW),
        rise: None,
        enrollment: None,
        clear: Vec::new(),
        now: NOW,
    }
}

pub(super) fn rise() -> RiseTo {
    RiseTo {
        secret: Mac::new([200; 32]),
        class: Class::Full,
        idle_expires_at: NOW.plus(7 * DAY),
        ends_at: NOW.plus(60 * DAY),
    }
}

/// Enrolls a phone as second factor of `user`, and ends what else is signed in.
pub(super) fn enrollment(user: &User, id: &str) -> Enrollment {
    Enrollment {
        revision: user.revision,
        credential: contact(user, id),
        summary: enrolled(id),
        notices: vec![notice(user, id, NOW)],
        end_others: true,
        paid_by: None,
        challenges: Vec::new(),
    }
}

pub(super) fn enrolled(id: &str) -> Summary {
    Summary {
        enrolled: vec![Enrolled {
            factor: OTP_PHONE,
            credential: id.into(),
            kind: Kind::Possession,
            channel: Some("digest".to_owned()),
            contact: Some("+15550100".to_owned()),
            at: NOW,
        }],
        required: vec![OTP_PHONE],
    }
}

pub(super) fn notice(user: &User, id: &str, due_at: Timestamp) -> Notice {
    Notice {
        id: id.into(),
        tenant: user.tenant.clone(),
        user: user.id.clone(),
        sealed: vec![1, 2, 3],
        created_at: NOW,
        due_at,
        tries: 0,
    }
}

pub(super) fn change(state: Option<UserState>) -> UserChange {
    UserChange {
        state,
        reset_factors: false,
        retire_password: false,
        notices: Vec::new(),
        paid_by: None,
    }
}

pub(super) fn binding(user: &UserId, session: &SessionHandle) -> Binding {
    Binding {
        purpose: "second:otp-phone".to_owned(),
        user: user.clone(),
        session: session.clone(),
    }
}

/// The binding of most challenges here.
pub(super) fn to() -> Binding {
    binding(&"ann".into(), &"s1".into())
}

/// A challenge with one code, number 1, that lives for five minutes and allows five failures.
pub(super) fn challenge(id: &str) -> Challenge {
    Challenge {
        tenant: public(),
        id: id.into(),
        binding: to(),
        destination: "+15550100".to_owned(),
        failed: 0,
        max_failures: 5,
        slots: [Some(slot(1, NOW.plus(5 * MINUTE))), None, None],
        sends: 1,
        next_send_at: NOW.plus(PAUSE),
        closed: false,
        created_at: NOW,
        ends_at: NOW.plus(15 * MINUTE),
    }
}

pub(super) const PAUSE: Duration = Duration::from_secs(15);

pub(super) fn code(number: u8) -> Mac {
    Mac::new([number; 32])
}

pub(super) fn slot(number: u8, expires_at: Timestamp) -> Slot {
    Slot {
        mac: code(number),
        expires_at,
    }
}

/// Answers challenge `c1` under the usual binding.
pub(super) async fn answer(store: &Store, number: u8, now: Timestamp) -> Stored<Answer> {
    store
        .answer(&public(), &"c1".into(), &to(), &[code(number)], now)
        .await
}

pub(super) fn map(value: serde_json::Value) -> JsonMap {
    stepup_core::record::user::object(value).expect("an object")
}

/// Makes `user` with its account, and returns it.
pub(super) async fn with_user(store: &Store, id: &str) -> User {
    let user = user(id);
    store.create_account(&account(&user)).await.unwrap();
    user
}

/// Makes `user` with its account and a session `s1`.
pub(super) async fn with_session(store: &Store, id: &str) -> (User, Session) {
    let user = with_user(store, id).await;
    let session = session(&user, "s1");
    assert!(store.open_session(&session).await.unwrap());
    (user, session)
}

/// The session as it is stored.
pub(super) async fn stored(store: &Store, handle: &str) -> Option<Session> {
    let look = store.look(&handle.into(), None).await.unwrap();
    look.map(|look| look.session)
}

/// Starts `callers` at one moment, each on a task of its own, and gathers what they were told.
pub(super) async fn race<T, F>(callers: usize, mut call: impl FnMut(usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let barrier = Arc::new(Barrier::new(callers));
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let (barrier, call) = (Arc::clone(&barrier), call(caller));
            tokio::spawn(async move {
                barrier.wait().await;
                call.await
            })
        })
        .collect();
    let mut told = Vec::with_capacity(callers);
    for task in tasks {
        told.push(task.await.expect("a caller panicked"));
    }
    told
}

/// How many of `told` are as `wanted`.
pub(super) fn count<T>(told: &[T], wanted: impl Fn(&T) -> bool) -> usize {
    told.iter().filter(|one| wanted(one)).count()
}
