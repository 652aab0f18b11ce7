//! Passwords: what is typed, what is stored, and hashes that came from elsewhere.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::json;
use sqlx::Row;
use stepup::storage::memory::MemoryStore;
use stepup::wire::core::event::{Event, EventKind, EventSink, Outcome};
use stepup::{Password, TenantId, UserId};
use stepup_core::digest::{ForeignCost, HashParams};
use stepup_core::flow::Update;
use stepup_core::import::{ImportProblem, Imported, ImportedUser};
use stepup_core::offload::{Job, Offload, OffloadError, Pool, PoolConfig};
use stepup_core::record::credential::CredentialKind;
use stepup_core::storage::CredentialStore;
use stepup_testkit::faults::FaultyStore;

use super::database;
use super::expect::secret;
use super::own::Own;
use crate::kit::{Client, Mode, OTHER_PHONE, PASSWORD, PHONE, Response, Server, form};

const ANN: &str = "ann@example.com";

/// `PASSWORD`, by the implementation in the C library.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS";
const BCRYPT_10: &str = "$2b$10$abcdefghijklmnopqrstuuCj7fyLDJytXL.TfOiOeiv0fQvSOK1/2";
/// 72 times the letter x.
const BCRYPT_LONG: &str = "$2b$04$abcdefghijklmnopqrstuubzadhGtS2zEF.gu0yd0opP6cVzb.e0i";

/// Ann, with a password that another system hashed.
fn ann(hash: &str) -> ImportedUser {
    let line = json!({ "email": ANN, "emailVerified": true, "passwordHash": hash });
    ImportedUser::read(line.to_string().as_bytes()).unwrap()
}

async fn imported<S: stepup::storage::Storage>(site: &Own<S>, user: &ImportedUser) -> UserId {
    match site.stepup.import_user(user).await.unwrap().unwrap() {
        Imported::Created(id) => id,
        other => panic!("{other:?}"),
    }
}

async fn sign_in(client: &mut Client, email: &str, password: &str) -> Response {
    client.post("/auth/signin", form(email, password)).await
}

/// Whether a password signs in. The throttles are let cool down before.
async fn opens<S: stepup::storage::Storage>(site: &Own<S>, password: &str) -> bool {
    site.moved(3600);
    let answer = sign_in(&mut site.client(Mode::Header), ANN, password).await;
    match answer.status_field().as_str() {
        "OK" => true,
        "WRONG_CREDENTIALS_ERROR" => false,
        _ => panic!("{answer:?}"),
    }
}

/// Keeps the reasons of refused sign-ins.
#[derive(Clone, Debug, Default)]
struct Reasons(Arc<Mutex<Vec<String>>>);

impl EventSink for Reasons {
    fn record(&self, event: &Event) {
        if event.kind == EventKind::SignIn && event.outcome == Outcome::Refused {
            let reason = event.reason.unwrap_or_default();
            self.0.lock().unwrap().push(reason.to_owned());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pwd_01_only_the_exact_password_signs_in() {
    for password in [
        "x".repeat(72),
        "x".repeat(73),
        "\u{fc}".repeat(200),
        "nul\0inside of it".to_owned(),
    ] {
        let site = Own::start(MemoryStore::new()).await;
        // Of one letter it is refused as too common; that is another row.
        let password = format!("{password}horse");
        let made = site
            .client(Mode::Header)
            .post("/auth/signup", form(ANN, &password))
            .await;
        assert_eq!(made.status_field(), "OK", "{made:?}");
        let mut shorter = password.clone();
        shorter.pop();
        let cut: String = password.chars().take(72).collect();
        let nul = password.split('\0').next().unwrap_or_default().to_owned();
        for wrong in [shorter, cut, nul, format!("{password}x"), format!("{password}\0")] {
            assert!(wrong == password || !opens(&site, &wrong).await, "{wrong:?}");
        }
        assert!(opens(&site, &password).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pwd_01_an_imported_bcrypt_hash_takes_72_bytes_once_and_then_the_whole_password() {
    let site = Own::start(MemoryStore::new()).await;
    imported(&site, &ann(BCRYPT_LONG)).await;
    assert!(!opens(&site, &"x".repeat(71)).await);
    let whole = format!("{}and more", "x".repeat(72));
    assert!(opens(&site, &whole).await, "as its origin would have it");
    for wrong in [
        "x".repeat(72),
        format!("{}and mor", "x".repeat(72)),
        format!("{whole}!"),
    ] {
        assert!(!opens(&site, &wrong).await, "{wrong}");
    }
    assert!(opens(&site, &whole).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pwd_01_of_two_passwords_that_begin_alike_one_becomes_the_password() {
    for _ in 0..8 {
        let site = Own::start(MemoryStore::new()).await;
        imported(&site, &ann(BCRYPT_LONG)).await;
        let typed: Vec<String> = (0..8).map(|n| format!("{}{n}", "x".repeat(72))).collect();
        let barrier = Arc::new(tokio::sync::Barrier::new(typed.len()));
        let tries = typed.iter().map(|password| {
            let (mut client, password, barrier) =
                (site.client(Mode::Header), password.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                sign_in(&mut client, ANN, &password).await.status_field() == "OK"
            })
        });
        let tries: Vec<_> = tries.collect();
        let mut right = Vec::new();
        for (a_try, password) in tries.into_iter().zip(&typed) {
            if a_try.await.unwrap() {
                right.push(password);
            }
        }
        assert_eq!(right.len(), 1, "{right:?}");
        for password in &typed {
            let expected = right.first() == Some(&password);
            assert!(
                right.is_empty() || opens(&site, password).await == expected,
                "{password}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pwd_02_an_imported_hash_holds_for_what_was_typed_first_and_for_its_normal_form_then() {
    // Made from "pa", a combining mark, "ss".
    let decomposed = "$2b$04$abcdefghijklmnopqrstuuTNWzNSKikSjaCS4YOaxzq43uxdLGfqy";
    let site = Own::start(MemoryStore::new()).await;
    imported(&site, &ann(decomposed)).await;
    for wrong in ["p\u{e4}ss", "Pa\u{308}ss", "pa\u{308}ss "] {
        assert!(!opens(&site, wrong).await, "{wrong}");
    }
    assert!(opens(&site, "pa\u{308}ss").await);
    // It is ours now: every form is right that is equal under NFKC.
    for same in ["p\u{e4}ss", "pa\u{308}ss", "p\u{e4}\u{17f}s"] {
        assert!(opens(&site, same).await, "{same}");
    }
    for wrong in ["P\u{e4}ss", "p\u{e4}ss ", "pass"] {
        assert!(!opens(&site, wrong).await, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pwd_04_an_imported_hash_lies_sealed_and_is_ours_after_the_first_sign_in() {
    let server = Server::start().await;
    let line = ann(BCRYPT);
    server.site.stepup.import_user(&line).await.unwrap().unwrap();
    let sealed = || async {
        let rows = database::ask(&server.database(), "SELECT sealed FROM stepup_credential").await;
        rows[0].get::<Vec<u8>, _>(0)
    };
    let before = sealed().await;
    let needle = &BCRYPT.as_bytes()[..20];
    assert!(!before.windows(needle.len()).any(|window| window == needle));
    let signed_in = sign_in(&mut server.client(Mode::Header), ANN, PASSWORD).await;
    assert_eq!(signed_in.status_field(), "OK", "{signed_in:?}");
    let after = sealed().await;
    // An Argon2id text is longer than one of bcrypt.
    assert!(after != before && after.len() > before.len());
    let again = sign_in(&mut server.client(Mode::Header), ANN, PASSWORD).await;
    assert_eq!(again.status_field(), "OK");
    assert_eq!(sealed().await, after, "and stays as it is");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pwd_05_a_hostile_hash_is_a_wrong_password_and_an_event_within_the_time_of_any() {
    let hostile = [
        "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$fhzU12n/lfYQsA1c5ThrRi2B2AVm9qs1wL9i8qD5Wyk",
        "$argon2id$v=19$m=19456,t=1000000000,p=1$c29tZXNhbHRzb21lc2FsdA$fhzU12n/lfYQsA1c5ThrRi2B2AVm9qs1wL9i8qD5Wyk",
        "$2b$31$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS",
        "$pbkdf2-sha256$i=4294967295$MDEyMzQ1Njc4OWFiY2RlZg$HwysB+Ke0YuzHEd/zzqZI6iTbuC8ephxy6jSfQdwV8M",
        "pbkdf2_sha256$2000001$seasalt$DrdiWD40lyBuydnjvZiDrdQMx1S1mOA9O0QYex0R6ww=",
        "$f_scrypt$AAAA$AAAA$m=30$r=8$s=Bw==",
        "$md5$x",
        "\u{e9}",
        "",
    ];
    let long = "$".repeat(10_000);
    let reasons = Reasons::default();
    let events = reasons.clone();
    let store = MemoryStore::new();
    let site = Own::start_with(store, |builder| builder.events(events)).await;
    let refused = site
        .stepup
        .import_user(&ann(hostile[2]))
        .await
        .unwrap()
        .unwrap_err();
    assert!(
        matches!(refused.problems[..], [ImportProblem::Hash(_)]),
        "{refused}"
    );
    let id = imported(&site, &ann(BCRYPT)).await;
    // Somebody writes to the database, and has the secret as well.
    for text in hostile.iter().copied().chain([long.as_str()]) {
        site.plant_hash(&id, text).await;
        let begun = Instant::now();
        assert!(!opens(&site, PASSWORD).await, "{text}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{text}");
        let reason = reasons.0.lock().unwrap().pop();
        assert_eq!(reason.as_deref(), Some("hostile_hash"), "{text}");
    }
    site.plant_hash(&id, BCRYPT).await;
    assert!(opens(&site, PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pwd_06_of_32_sign_ins_with_an_old_hash_all_succeed_and_it_is_replaced_once() {
    // All of them wait for their turn, however busy the machine is.
    let mut patient = PoolConfig::default();
    patient.wait = Duration::from_secs(60);
    let pool = Pool::start(patient).unwrap();
    let site = Own::start_with(MemoryStore::new(), |builder| {
        builder
            .offload(pool)
            .configure(|config| config.limits.scale = 100)
    })
    .await;
    let id = imported(&site, &ann(BCRYPT)).await;
    let barrier = Arc::new(tokio::sync::Barrier::new(32));
    let tries: Vec<_> = (0..32)
        .map(|_| {
            let (mut client, barrier) = (site.client(Mode::Header), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                sign_in(&mut client, ANN, PASSWORD).await
            })
        })
        .collect();
    for a_try in tries {
        let answer = a_try.await.unwrap();
        assert_eq!(answer.status_field(), "OK", "{answer:?}");
    }
    let kept = site
        .store
        .credentials(&TenantId::public(), &id, CredentialKind::Password)
        .await;
    let kept = kept.unwrap();
    assert_eq!((kept.len(), kept[0].version), (1, 2));
    assert!(opens(&site, PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pwd_06_a_change_of_the_password_in_between_is_never_overwritten() {
    let store = FaultyStore::new(MemoryStore::new());
    let site = Own::start(store).await;
    let id = imported(&site, &ann(BCRYPT)).await;
    // The sign-in has read and judged the old hash, and is about to store its successor.
    let stepup = site.stepup.clone();
    let changed = Arc::new(AtomicBool::new(false));
    let done = changed.clone();
    site.store.outrun("reseal", async move {
        let new = stepup::wire::core::password::Password::parse("a horse and a battery").unwrap();
        let update = Update::new().password(new);
        stepup
            .update_user(&TenantId::public(), &id, update)
            .await
            .unwrap()
            .unwrap();
        done.store(true, Ordering::SeqCst);
    });
    assert!(!opens(&site, PASSWORD).await, "the old password opens no session");
    assert!(changed.load(Ordering::SeqCst));
    assert!(!opens(&site, PASSWORD).await);
    assert!(opens(&site, "a horse and a battery").await);
}

/// The time that this thread has computed, which is not that of others beside it; where the system does not tell, the time.
fn computed() -> Duration {
    static BEGUN: OnceLock<Instant> = OnceLock::new();
    let stat = fs::read_to_string("/proc/thread-self/schedstat").ok();
    let nanos = stat.and_then(|stat| stat.split(' ').next()?.parse().ok());
    nanos.map_or_else(|| BEGUN.get_or_init(Instant::now).elapsed(), Duration::from_nanos)
}

/// Measures how long jobs compute.
#[derive(Clone, Debug)]
struct Timed(Arc<Pool>, Arc<Mutex<Duration>>);

impl Timed {
    fn new() -> Self {
        let mut config = PoolConfig::default();
        config.threads = 1;
        config.wait = Duration::from_secs(60);
        Self(Arc::new(Pool::start(config).unwrap()), Arc::default())
    }
}

#[async_trait]
impl Offload for Timed {
    async fn run(&self, job: Job) -> Result<(), OffloadError> {
        let (total, Job { memory_kib, work }) = (self.1.clone(), job);
        let work = Box::new(move || {
            let begun = computed();
            work();
            *total.lock().unwrap() += computed() - begun;
        });
        self.0.run(Job { memory_kib, work }).await
    }
}

/// The least time, of some tries, that a wrong password of each address computes.
async fn least(password: Password) -> BTreeMap<&'static str, Duration> {
    let timed = Timed::new();
    let pool = timed.clone();
    let site = Own::start_hashing(MemoryStore::new(), password, |builder| builder.offload(pool)).await;
    let user = |email: &str, hash: Option<&str>, disabled: bool| {
        let line = json!({ "email": email, "passwordHash": hash, "disabled": disabled });
        ImportedUser::read(line.to_string().as_bytes()).unwrap()
    };
    let weak =
        "$argon2id$v=19$m=4096,t=1,p=1$c29tZXNhbHRzb21lc2FsdA$fhzU12n/lfYQsA1c5ThrRi2B2AVm9qs1wL9i8qD5Wyk";
    let classes = [
        "own", "bcrypt", "cheaper", "weak", "disabled", "without", "nobody",
    ];
    site.client(Mode::Header).sign_up("own@example.com").await;
    for (email, hash, disabled) in [
        ("bcrypt@example.com", Some(BCRYPT_10), false),
        ("cheaper@example.com", Some(BCRYPT), false),
        ("weak@example.com", Some(weak), false),
        ("disabled@example.com", Some(BCRYPT_10), true),
        ("without@example.com", None, false),
    ] {
        imported(&site, &user(email, hash, disabled)).await;
    }
    let mut times: BTreeMap<&str, Duration> = BTreeMap::new();
    for round in 0..5 {
        for class in classes {
            site.moved(3600);
            *timed.1.lock().unwrap() = Duration::ZERO;
            let email = format!("{class}@example.com");
            // Of a disabled user the right password is as good as a wrong one.
            let password = if class == "disabled" && round % 2 == 0 {
                PASSWORD
            } else {
                "wrong horse battery"
            };
            let answer = sign_in(&mut site.client(Mode::Header), &email, password).await;
            assert_eq!(
                answer.status_field(),
                "WRONG_CREDENTIALS_ERROR",
                "{class} {answer:?}"
            );
            let time = *timed.1.lock().unwrap();
            let least = times.entry(class).or_insert(time);
            *least = time.min(*least);
        }
    }
    times
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_02_a_wrong_password_computes_as_long_whoever_hashed_the_right_one() {
    let named = [ForeignCost::Bcrypt { cost: 10 }];
    let times = least(Password::new().with_imported(named)).await;
    let (shortest, longest) = (times.values().min().unwrap(), times.values().max().unwrap());
    // Unpadded they are several times apart; on a busy machine the least of some tries still comes near.
    assert!(longest.as_secs_f64() < shortest.as_secs_f64() * 1.4, "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_enu_02_hashes_of_stronger_parameters_that_were_are_not_told_apart_either() {
    let strong = HashParams::new(64 * 1024, 2, 1).unwrap();
    let times = least(Password::new().with_hash_params(strong)).await;
    let (shortest, longest) = (times.values().min().unwrap(), times.values().max().unwrap());
    assert!(longest.as_secs_f64() < shortest.as_secs_f64() * 1.4, "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_was_imported_has_its_second_factor() {
    let server = Server::start().await;
    let line = json!({
        "email": ANN, "passwordHash": BCRYPT,
        "secondFactors": [{ "factor": "otp-phone", "contact": PHONE }]
    });
    let user = ImportedUser::read(line.to_string().as_bytes()).unwrap();
    server.site.stepup.import_user(&user).await.unwrap().unwrap();
    let mut client = server.client(Mode::Header);
    let signed_in = sign_in(&mut client, ANN, PASSWORD).await;
    assert_eq!(signed_in.status_field(), "OK");
    assert_eq!(secret(&client).await.status, 403);
    // Another number is refused; hers is sent a code.
    let refused = client.create_code(OTHER_PHONE).await;
    assert_eq!(refused.status_field(), "GENERAL_ERROR", "{refused:?}");
    let created = client.create_code(PHONE).await.json();
    let code = server.code().await;
    assert_eq!(client.consume(&created, &code).await.status_field(), "OK");
    assert_eq!(secret(&client).await.status, 200);
}
