//! The core by itself: memory store, clock in hand, codes read from the outbox.

use std::sync::Arc;
use std::time::Duration;

use stepup::sqlite::SqliteStore;
use stepup_core::delivery::Channel;
use stepup_core::entropy::OsEntropy;
use stepup_core::factor::password::Password as PasswordFactor;
use stepup_core::factor::passwordless::{DeviceId, Passwordless};
use stepup_core::flow::{
    Caller, CodeRefusal, ConsumeOutcome, External, FactorInfoOutcome, General, RefreshOutcome, SignInOutcome,
    SignUpOutcome, SignedIn, Update,
};
use stepup_core::id::{FactorId, KeyId, TenantId, UserId};
use stepup_core::keyring::{Root, SecretList};
use stepup_core::password::Password;
use stepup_core::policy::{Policy, any_of};
use stepup_core::record::JsonMap;
use stepup_core::record::user::{Summary, User, UserState};
use stepup_core::rule::Rule;
use stepup_core::secret_file::SecretFile;
use stepup_core::session::access::AccessClaims;
use stepup_core::storage::memory::MemoryStore;
use stepup_core::storage::{Flows, Storage, UserStore};
use stepup_core::{AppInfo, Denied, Stepup, Trust};
use stepup_delivery::{BackgroundThread, Outbox};
use stepup_testkit::clock::ManualClock;
use stepup_testkit::faults::{FaultyStore, When};

const PHONE: &str = "+41791234567";
const OTHER: &str = "+41791234568";
const PASSWORD: &str = "correct horse battery";

struct Site {
    stepup: Stepup,
    store: Arc<FaultyStore<MemoryStore>>,
    clock: ManualClock,
    outbox: Outbox,
    background: BackgroundThread,
    caller: Caller,
}

impl Site {
    async fn new() -> Self {
        let store = Arc::new(FaultyStore::new(MemoryStore::new()));
        Self::over(store.clone(), store).await
    }

    /// `store` is the one that fails on demand, if it is in use.
    async fn over(storage: Arc<dyn Storage>, store: Arc<FaultyStore<MemoryStore>>) -> Self {
        let clock = ManualClock::default();
        let outbox = Outbox::new();
        let background = BackgroundThread::start().unwrap();
        let secrets = SecretList::new(vec![Root::random(KeyId::from("k1"), &OsEntropy).unwrap()]);
        let app = AppInfo::new("Acme", "http://localhost:3000", "http://localhost:3000");
        let stepup = Stepup::builder(app, storage, secrets)
            .factor(PasswordFactor::new())
            .factor(Passwordless::sms(outbox.clone()))
            .notices(outbox.clone())
            .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
            .background(background.clone())
            .clock(clock.clone())
            .build()
            .await
            .unwrap();
        let mut caller = Caller::internal();
        caller.origin.network = "192.0.2.1".to_owned();
        caller.origin.agent = "test".to_owned();
        Self {
            stepup,
            store,
            clock,
            outbox,
            background,
            caller,
        }
    }

    async fn sign_up(&self, email: &str) -> SignedIn {
        match self
            .stepup
            .sign_up(&self.caller, email, Password::parse(PASSWORD).unwrap())
            .await
            .unwrap()
        {
            SignUpOutcome::Created(signed_in) => *signed_in,
            other => panic!("{other:?}"),
        }
    }

    async fn sign_in(&self, email: &str) -> SignedIn {
        match self
            .stepup
            .sign_in(&self.caller, email, Password::parse(PASSWORD).unwrap())
            .await
            .unwrap()
        {
            SignInOutcome::SignedIn(signed_in) => *signed_in,
            other => panic!("{other:?}"),
        }
    }

    fn access(&self, signed_in: &SignedIn) -> std::sync::Arc<AccessClaims> {
        self.stepup.verify(signed_in.tokens.access.expose()).unwrap()
    }

    async fn code(&self) -> String {
        assert!(self.background.drain(Duration::from_secs(5)).await);
        self.outbox
            .sent()
            .iter()
            .rev()
            .find_map(|m| m.code.clone())
            .unwrap()
    }

    async fn create(&self, session: &SignedIn, phone: &str) -> Result<DeviceId, CodeRefusal> {
        let access = self.access(session);
        self.stepup
            .create_code(&self.caller, &access, Channel::Sms, phone)
            .await
            .unwrap()
            .map(|sent| sent.device)
    }

    async fn complete(&self, session: &SignedIn, phone: &str) -> SignedIn {
        let device = self.create(session, phone).await.unwrap();
        let code = self.code().await;
        match self
            .stepup
            .consume_code(&self.caller, &self.access(session), &device, &code)
            .await
            .unwrap()
        {
            ConsumeOutcome::Completed { signed_in, .. } => *signed_in,
            other => panic!("{other:?}"),
        }
    }

    fn moved(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

#[tokio::test]
async fn a_secret_is_made_by_itself_on_loopback_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.secret");
    let build = async |api: &str| {
        let app = AppInfo::new("Acme", api, "http://localhost:3000");
        Stepup::builder(app, Arc::new(MemoryStore::new()), SecretFile::new(&path))
            .background(BackgroundThread::start().unwrap())
            .build()
            .await
            .map(drop)
    };
    let refused = build("https://api.acme.test").await.unwrap_err().to_string();
    assert!(refused.contains("on loopback only"), "{refused}");
    assert!(!path.exists(), "it was not even asked");
    build("http://localhost:3000").await.unwrap();
    assert!(path.exists());
    std::fs::write(&path, "k1:short").unwrap();
    let refused = build("http://localhost:3000").await.unwrap_err().to_string();
    assert!(
        refused.contains("app.secret") || refused.contains("k1"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_main_job_from_sign_up_to_the_stored_number() {
    let site = Site::new().await;
    let half = site.sign_up("ann@example.com").await;
    let access = site.access(&half);
    let refused = site
        .stepup
        .admit(&access, &Rule::SecondFactor, Trust::Token)
        .await;
    assert!(
        matches!(refused, Err(Denied::Claims(ref failures)) if failures.len() == 2),
        "{refused:?}"
    );

    let full = site.complete(&half, "+41 79 123 45 67").await;
    assert_eq!(full.session.handle, half.session.handle);
    let access = site.access(&full);
    site.stepup
        .admit(&access, &Rule::SecondFactor, Trust::Store)
        .await
        .unwrap();
    assert_eq!(access.payload()["phoneNumber"], PHONE);
    let metadata = site
        .stepup
        .metadata(&TenantId::public(), &full.user.id)
        .await
        .unwrap();
    assert!(metadata.contains_key("passwordlessUserId"));
    // The notice went to the e-mail address.
    site.stepup.tick().await;
    assert!(
        site.outbox
            .sent()
            .iter()
            .any(|m| m.kind == "factor_added" && m.to == "ann@example.com")
    );

    site.stepup.revoke(&full.session.handle).await.unwrap();
    assert!(matches!(
        site.stepup.admit(&access, &Rule::Valid, Trust::Token).await,
        Err(Denied::Ended)
    ));

    let again = site.sign_in("Ann@Example.com").await;
    let sent = site.outbox.sent().len();
    let refused = site.create(&again, OTHER).await;
    assert!(
        matches!(refused, Err(CodeRefusal::General(General::ForeignContact))),
        "{refused:?}"
    );
    assert_eq!(site.outbox.sent().len(), sent);
    let full = site.complete(&again, PHONE).await;
    site.stepup
        .admit(
            &site.access(&full),
            &Rule::Fresh(Duration::from_secs(300)),
            Trust::Token,
        )
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_a_login_method_of_ours_is_told_of_its_factors() {
    let site = Site::new().await;
    let row = User {
        tenant: TenantId::public(),
        id: UserId::from("own-1"),
        state: UserState::Live,
        epoch: 0,
        revision: 0,
        methods: Vec::new(),
        summary: Summary::default(),
        metadata: JsonMap::new(),
        created_at: site.stepup.now(),
    };
    site.store.ensure_user(&row).await.unwrap();
    let opened = site
        .stepup
        .sign_in_external(&site.caller, &row.id, External::knowledge())
        .await
        .unwrap();
    let opened = opened.unwrap();
    let outcome = site.stepup.factor_info(&site.access(&opened)).await.unwrap();
    let FactorInfoOutcome::Known(info) = outcome else {
        panic!("{outcome:?}")
    };
    assert_eq!(info.choices.next, [FactorId::OTP_PHONE]);
    assert!(info.choices.already_set_up.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_rotates_and_reuse_after_the_grace_ends_the_session() {
    let site = Site::new().await;
    let half = site.sign_up("ann@example.com").await;
    let first = half.tokens.refresh.unwrap().token;
    let refresh = async |token: &str| site.stepup.refresh(token, &site.caller).await.unwrap();
    let RefreshOutcome::Refreshed(second) = refresh(first.expose()).await else {
        panic!()
    };
    let second = second.refresh.unwrap().token;
    let RefreshOutcome::Refreshed(again) = refresh(first.expose()).await else {
        panic!()
    };
    assert_eq!(again.refresh.unwrap().token.expose(), second.expose());
    site.moved(31);
    assert!(matches!(refresh(first.expose()).await, RefreshOutcome::Theft));
    assert!(matches!(refresh(second.expose()).await, RefreshOutcome::Ended));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_half_logins_refresh_token_is_refused_quietly_after_a_rise_and_theft_later() {
    let site = Site::new().await;
    let half = site.sign_up("ann@example.com").await;
    let old = half.tokens.refresh.clone().unwrap().token;
    let full = site.complete(&half, PHONE).await;
    for seconds in [1, 28] {
        site.moved(seconds);
        let outcome = site.stepup.refresh(old.expose(), &site.caller).await.unwrap();
        assert!(matches!(outcome, RefreshOutcome::BeforeRise), "{outcome:?}");
    }
    let new = full.tokens.refresh.unwrap().token;
    let outcome = site.stepup.refresh(new.expose(), &site.caller).await.unwrap();
    assert!(matches!(outcome, RefreshOutcome::Refreshed(_)), "{outcome:?}");
    site.moved(32);
    let outcome = site.stepup.refresh(old.expose(), &site.caller).await.unwrap();
    assert!(matches!(outcome, RefreshOutcome::Theft), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn five_wrong_codes_end_the_challenge_and_not_the_session() {
    let site = Site::new().await;
    let half = site.sign_up("ann@example.com").await;
    let device = site.create(&half, PHONE).await.unwrap();
    let right = site.code().await;
    let wrong = if right == "000000" { "000001" } else { "000000" };
    let access = site.access(&half);
    for n in 1..=4 {
        let outcome = site
            .stepup
            .consume_code(&site.caller, &access, &device, wrong)
            .await
            .unwrap();
        assert!(
            matches!(outcome, ConsumeOutcome::Incorrect { failed, max: 5 } if failed == n),
            "{outcome:?}"
        );
    }
    let fifth = site
        .stepup
        .consume_code(&site.caller, &access, &device, wrong)
        .await
        .unwrap();
    assert!(
        matches!(fifth, ConsumeOutcome::Refused(CodeRefusal::Restart)),
        "{fifth:?}"
    );
    // The account's delay has begun, so even the right code waits; after it the challenge is gone.
    let sixth = site
        .stepup
        .consume_code(&site.caller, &access, &device, &right)
        .await
        .unwrap();
    assert!(
        matches!(
            sixth,
            ConsumeOutcome::Refused(CodeRefusal::General(General::Throttled(_)))
        ),
        "{sixth:?}"
    );
    site.moved(31);
    let seventh = site
        .stepup
        .consume_code(&site.caller, &access, &device, &right)
        .await
        .unwrap();
    assert!(
        matches!(seventh, ConsumeOutcome::Refused(CodeRefusal::Restart)),
        "{seventh:?}"
    );
    site.stepup
        .admit(&access, &Rule::Valid, Trust::Store)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_misses_what_was_required_meanwhile_does_not_get_the_life_of_a_complete_one() {
    let site = Site::new().await;
    site.complete(&site.sign_up("ann@example.com").await, PHONE).await;
    let half = site.sign_in("ann@example.com").await;
    let device = site.create(&half, PHONE).await.unwrap();
    let code = site.code().await;

    // Read before, written after: an administrator asks for another factor in between.
    let (store, user) = (site.store.clone(), half.user.clone());
    site.store.outrun("complete_factor", async move {
        let kept = store.user(&user.tenant, &user.id).await.unwrap().unwrap();
        let required = [FactorId::from_static("totp")];
        let done = store.require_factors(&user.tenant, &user.id, kept.revision, &required);
        assert!(done.await.unwrap());
    });
    let told = site
        .stepup
        .consume_code(&site.caller, &site.access(&half), &device, &code)
        .await
        .unwrap();
    assert!(
        matches!(told, ConsumeOutcome::Refused(CodeRefusal::Ended)),
        "{told:?}"
    );
    let look = site.store.look(&half.session.handle, None).await.unwrap();
    assert!(look.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_whose_acknowledgement_was_lost_holds_for_the_very_next_request() {
    // Threats A-SES-18 and A-DB-02: the store ended the sessions, and nobody told so.
    let site = Site::new().await;
    let tenant = TenantId::public();
    for (round, verb) in ["change_user", "update_user", "delete_user", "revoke_sessions"]
        .into_iter()
        .enumerate()
    {
        let half = site.sign_up(&format!("ann{round}@example.com")).await;
        let (user, access) = (half.user.id.clone(), site.access(&half));
        site.stepup
            .admit(&access, &Rule::Valid, Trust::Token)
            .await
            .unwrap();
        site.store.fail_verb(verb, When::After);
        let failed = match verb {
            "change_user" => site.stepup.disable(&tenant, &user).await.is_err(),
            "update_user" => {
                let update = Update::new().email(format!("eve{round}@example.com"));
                site.stepup.update_user(&tenant, &user, update).await.is_err()
            }
            "delete_user" => site.stepup.delete(&tenant, &user).await.is_err(),
            _ => site.stepup.revoke_all(&tenant, &user).await.is_err(),
        };
        site.store.heal();
        assert!(failed, "{verb}");
        let next = site.stepup.admit(&access, &Rule::Valid, Trust::Token).await;
        assert!(matches!(next, Err(Denied::Ended)), "{verb}: {next:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_was_not_done_ends_nothing() {
    let site = Site::new().await;
    let half = site.sign_up("ann@example.com").await;
    let access = site.access(&half);
    site.store.fail_verb("change_user", When::Before);
    assert!(
        site.stepup
            .disable(&TenantId::public(), &half.user.id)
            .await
            .is_err()
    );
    site.store.heal();
    site.stepup
        .admit(&access, &Rule::Valid, Trust::Token)
        .await
        .unwrap();
    // While the store is silent, nobody knows, and then nobody is admitted.
    site.store.fail_verb("look", When::Before);
    let silent = site.stepup.admit(&access, &Rule::Valid, Trust::Token).await;
    assert!(matches!(silent, Err(Denied::Fault(_))), "{silent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_factor_whose_acknowledgement_was_lost_ends_the_other_sessions_at_once() {
    let site = Site::new().await;
    let here = site.sign_up("ann@example.com").await;
    let there = site.access(&site.sign_in("ann@example.com").await);
    let device = site.create(&here, PHONE).await.unwrap();
    let code = site.code().await;
    site.store.fail_verb("complete_factor", When::After);
    let lost = site
        .stepup
        .consume_code(&site.caller, &site.access(&here), &device, &code)
        .await;
    assert!(lost.is_err());
    site.store.heal();
    let next = site.stepup.admit(&there, &Rule::Valid, Trust::Token).await;
    assert!(matches!(next, Err(Denied::Ended)), "{next:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_that_nobody_waited_for_holds_for_the_very_next_request() {
    // A client that hangs up, or a deadline, drops the future of a request; what it asked of the database is done.
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}?mode=rwc", folder.path().join("db").display());
    let store = SqliteStore::connect(&file).await.unwrap();
    store.migrate().await.unwrap();
    let store = Arc::new(store);
    let unused = Arc::new(FaultyStore::new(MemoryStore::new()));
    let site = Site::over(store.clone(), unused).await;
    let half = site.sign_up("ann@example.com").await;
    let (tenant, access) = (TenantId::public(), site.access(&half));
    {
        let mut disabling = std::pin::pin!(site.stepup.disable(&tenant, &half.user.id));
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(disabling.as_mut().poll(&mut cx).is_pending());
    }
    for tries in 0.. {
        let row = store.user(&tenant, &half.user.id).await.unwrap().unwrap();
        if row.state == UserState::Disabled {
            break;
        }
        assert!(tries < 500, "it was never done");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let next = site.stepup.admit(&access, &Rule::Valid, Trust::Token).await;
    assert!(matches!(next, Err(Denied::Ended)), "{next:?}");
}
