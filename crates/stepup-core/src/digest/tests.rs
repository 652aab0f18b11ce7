use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use proptest::prelude::*;

use super::*;
use crate::entropy::OsEntropy;
use crate::offload::{Job, OffloadError, Pool, PoolConfig};

/// Runs jobs where they are, and counts them and their memory.
#[derive(Debug, Default)]
struct Inline {
    jobs: AtomicUsize,
    memory_kib: AtomicUsize,
}

#[async_trait]
impl Offload for Inline {
    async fn run(&self, job: Job) -> Result<(), OffloadError> {
        self.jobs.fetch_add(1, Ordering::SeqCst);
        self.memory_kib
            .fetch_add(job.memory_kib as usize, Ordering::SeqCst);
        (job.work)();
        Ok(())
    }
}

fn hasher(params: HashParams) -> (PasswordHasher, Arc<Inline>) {
    let inline = Arc::new(Inline::default());
    let hasher = PasswordHasher::new(params, Arc::new(OsEntropy), inline.clone()).unwrap();
    (hasher, inline)
}

fn password(text: &str) -> Password {
    Password::parse(text).unwrap()
}

const RIGHT: Verdict = Verdict::Right { rehash: false };

#[test]
fn no_debug_shows_a_hash() {
    for text in [
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$/HetJC6LZ4lnwgLB+wJSS2a9bFu2Kq4HxwNWzoJq2qU",
        "$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    ] {
        let shown = format!("{:?}", StoredHash::read(text, None).unwrap());
        assert!(shown.ends_with("Hash(..))"), "{shown}");
    }
}

#[tokio::test]
async fn a_pwd_01_only_the_exact_password_is_right() {
    let (hasher, _) = hasher(HashParams::default());
    for text in [
        "x".repeat(72),
        "x".repeat(73),
        "é🔑".repeat(100),
        "nul\0inside".to_owned(),
    ] {
        let phc = hasher.hash(&password(&text)).await.unwrap();
        assert_eq!(
            hasher.verify(phc.expose(), &password(&text)).await.unwrap(),
            RIGHT
        );
        let mut shorter = text.clone();
        shorter.pop();
        let nul = text.split('\0').next().unwrap_or_default().to_owned();
        for other in [
            shorter,
            format!("{text}x"),
            format!("{text}\0"),
            text.to_uppercase(),
            format!("{nul}\0"),
        ] {
            assert_eq!(
                hasher.verify(phc.expose(), &password(&other)).await.unwrap(),
                Verdict::Wrong,
                "{other:?}"
            );
        }
    }
}

#[tokio::test]
async fn a_pwd_02_forms_equal_under_nfkc_are_right_and_no_others() {
    let (hasher, _) = hasher(HashParams::default());
    let phc = hasher
        .hash(&password("p\u{e4}ss w\u{f6}rd \u{fb01}"))
        .await
        .unwrap();
    for same in [
        "p\u{e4}ss w\u{f6}rd fi",
        "pa\u{308}ss wo\u{308}rd fi",
        "ｐ\u{e4}ss\u{a0}w\u{f6}rd fi",
    ] {
        assert_eq!(
            hasher.verify(phc.expose(), &password(same)).await.unwrap(),
            RIGHT,
            "{same}"
        );
    }
    for other in [
        "P\u{e4}ss w\u{f6}rd fi",
        " p\u{e4}ss w\u{f6}rd fi",
        "p\u{e4}ss w\u{f6}rd fi ",
        "pass word fi",
    ] {
        assert_eq!(
            hasher.verify(phc.expose(), &password(other)).await.unwrap(),
            Verdict::Wrong,
            "{other}"
        );
    }
}

#[tokio::test]
async fn a_pwd_04_equal_passwords_have_different_hashes_and_the_text_is_argon2id() {
    let (hasher, _) = hasher(HashParams::default());
    let one = hasher.hash(&password("the same words")).await.unwrap();
    let two = hasher.hash(&password("the same words")).await.unwrap();
    assert_ne!(one.expose(), two.expose());
    for phc in [one, two] {
        let rest = phc
            .expose()
            .strip_prefix("$argon2id$v=19$m=19456,t=2,p=1$")
            .unwrap();
        let (salt, output) = rest.split_once('$').unwrap();
        // 16 and 32 bytes, in base64 without padding.
        assert_eq!((salt.len(), output.len()), (22, 43));
    }
}

#[tokio::test]
async fn hashes_of_the_reference_implementation_are_verified() {
    let (hasher, _) = hasher(HashParams::default());
    for (phc, text, rehash) in [
        (
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$/HetJC6LZ4lnwgLB+wJSS2a9bFu2Kq4HxwNWzoJq2qU",
            "correct horse battery",
            false,
        ),
        (
            "$argon2id$v=19$m=87795,t=1,p=2$c29tZXNhbHRzb21lc2FsdA$fhzU12n/lfYQsA1c5ThrRi2B2AVm9qs1wL9i8qD5Wyk",
            "correct horse battery",
            true,
        ),
        (
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$DGdLvte6QeIKFy6m5g7xt0byrb7gPZCv0Ac5cKJH0Uc",
            "pa\u{308}ss wo\u{308}rd \u{fb01}",
            false,
        ),
    ] {
        assert_eq!(
            hasher.verify(phc, &password(text)).await.unwrap(),
            Verdict::Right { rehash },
            "{phc}"
        );
        assert_eq!(
            hasher.verify(phc, &password("correct horse")).await.unwrap(),
            Verdict::Wrong,
            "{phc}"
        );
    }
}

#[tokio::test]
async fn a_pwd_05_a_hostile_hash_is_told_apart_and_never_obeyed() {
    let (hasher, inline) = hasher(HashParams::default());
    let salt = "c29tZXNhbHRzb21lc2FsdA";
    let output = "/HetJC6LZ4lnwgLB+wJSS2a9bFu2Kq4HxwNWzoJq2qU";
    let of = |params: &str| format!("$argon2id$v=19${params}${salt}${output}");
    let hostile = [
        of("m=4194304,t=2,p=1"),
        of("m=262145,t=2,p=1"),
        of("m=19456,t=1000000000,p=1"),
        of("m=19456,t=11,p=1"),
        of("m=19456,t=2,p=9"),
        of("m=19456,t=2,p=16777215"),
        of("m=19456,t=0,p=1"),
        of("m=19456,t=2,p=0"),
        of("m=7,t=2,p=1"),
        of("m=63,t=2,p=8"),
        of("m=4294967295,t=4294967295,p=4294967295"),
        of("m=99999999999999999999,t=2,p=1"),
        of("m=-1,t=2,p=1"),
        of("m=19456,t=2"),
        of("t=2,m=19456,p=1"),
        of("m=19456,t=2,p=1,keyid=AAAA"),
        of("m=19456,t=2,p=1,data=AAAA"),
        of("m=19456,t=2,p=1,x=1"),
        of("m=19456,m=19456,t=2,p=1"),
        of("m=019456,t=2,p=1"),
        format!("$argon2i$v=19$m=19456,t=2,p=1${salt}$z/6saUikqnKo3F3JLZlx2JGmNRCKVYbApaNbQNXSVTY"),
        format!("$argon2d$v=19$m=19456,t=2,p=1${salt}${output}"),
        format!("$argon2id$v=16$m=19456,t=2,p=1${salt}$C1OgubScLQN8fBSLiM038+B7NKeb51FwINlnwS2mPaE"),
        format!("$argon2id$m=19456,t=2,p=1${salt}${output}"),
        format!("$argon2id$v=19$m=19456,t=2,p=1${salt}"),
        format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$"),
        format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$AAAA"),
        format!("$argon2id$v=19$m=19456,t=2,p=1${salt}$AAAAAAAAAAAAAAAAAAAA"),
        format!("$argon2id$v=19$m=19456,t=2,p=1$$${output}"),
        format!("$argon2id$v=19$m=19456,t=2,p=1$AAAA${output}"),
        format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${output}$more"),
        format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${}", "A".repeat(10_000)),
        format!("$argon2id$v=19$m=19456,t=2,p=1${}${output}", "A".repeat(300)),
        format!("$argon2id$v=19$m=19456,t=2,p=1${salt}${output}\u{e9}"),
        format!(" $argon2id$v=19$m=19456,t=2,p=1${salt}${output}"),
        "$2x$11$K2CtDP7zSGOKgjXjxD9SYeK6mIWBTNC4uFu2MvXKl3gKlZMNZK3Eu".to_owned(),
        "correct horse battery".to_owned(),
        "\u{e9}".repeat(20),
        "$".repeat(500),
        String::new(),
    ];
    for phc in &hostile {
        let verdict = hasher
            .verify(phc, &password("correct horse battery"))
            .await
            .unwrap();
        assert_eq!(verdict, Verdict::Hostile, "{phc}");
    }
    // Each took one hash of the present parameters, so that the answer takes as long as any other.
    assert_eq!(inline.jobs.load(Ordering::SeqCst), hostile.len());
    assert_eq!(inline.memory_kib.load(Ordering::SeqCst), hostile.len() * 19_456);
}

#[tokio::test]
async fn an_unknown_user_costs_what_a_wrong_password_costs() {
    let (hasher, inline) = hasher(HashParams::new(12 * 1024, 3, 1).unwrap());
    hasher.burn(&password("whatever it was")).await.unwrap();
    assert_eq!(inline.jobs.load(Ordering::SeqCst), 1);
    assert_eq!(inline.memory_kib.load(Ordering::SeqCst), 12 * 1024);
}

#[tokio::test]
async fn a_pwd_06_a_hash_is_renewed_when_parameters_rise_and_not_otherwise() {
    let (old, _) = hasher(HashParams::new(12 * 1024, 3, 1).unwrap());
    let (new, _) = hasher(HashParams::new(19 * 1024, 3, 1).unwrap());
    let secret = password("the same words");
    let weaker = old.hash(&secret).await.unwrap();
    let stronger = new.hash(&secret).await.unwrap();
    assert_eq!(
        new.verify(weaker.expose(), &secret).await.unwrap(),
        Verdict::Right { rehash: true }
    );
    assert_eq!(
        new.verify(weaker.expose(), &password("others")).await.unwrap(),
        Verdict::Wrong
    );
    assert_eq!(new.verify(stronger.expose(), &secret).await.unwrap(), RIGHT);
    assert_eq!(old.verify(stronger.expose(), &secret).await.unwrap(), RIGHT);
}

#[test]
fn parameters_below_the_floor_or_above_the_caps_are_refused() {
    for (m, t, p) in [(47_104, 1, 1), (19_456, 2, 1), (12_288, 3, 1), (262_144, 10, 8)] {
        assert!(HashParams::new(m, t, p).is_ok(), "{m} {t} {p}");
    }
    for (m, t, p) in [
        (47_103, 1, 1),
        (19_455, 2, 1),
        (12_287, 3, 1),
        (12_287, 10, 1),
        (262_144, 0, 1),
        (19_456, 2, 0),
    ] {
        assert_eq!(
            HashParams::new(m, t, p),
            Err(HashParamsError::TooWeak),
            "{m} {t} {p}"
        );
    }
    for (m, t, p) in [(262_145, 1, 1), (19_456, 11, 1), (19_456, 2, 9)] {
        assert_eq!(
            HashParams::new(m, t, p),
            Err(HashParamsError::TooCostly),
            "{m} {t} {p}"
        );
    }
    let default = HashParams::default();
    assert_eq!(
        HashParams::new(default.memory_kib, default.passes, default.lanes),
        Ok(default)
    );
}

#[derive(Debug)]
struct Silent;

impl Entropy for Silent {
    fn fill(&self, _: &mut [u8]) -> Result<(), entropy::EntropyError> {
        Err(entropy::EntropyError)
    }
}

#[tokio::test]
async fn without_randomness_nothing_is_hashed() {
    let inline = Arc::new(Inline::default());
    assert!(matches!(
        PasswordHasher::new(HashParams::default(), Arc::new(Silent), inline.clone()),
        Err(Fault::Entropy(_))
    ));
    let (mut hasher, inline) = hasher(HashParams::default());
    hasher.entropy = Arc::new(Silent);
    assert!(matches!(
        hasher.hash(&password("whatever it was")).await,
        Err(Fault::Entropy(_))
    ));
    assert_eq!(inline.jobs.load(Ordering::SeqCst), 0);
}

/// A pool that notes the most memory that its jobs used at a time.
#[derive(Debug)]
struct Watched {
    pool: Pool,
    in_use: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[async_trait]
impl Offload for Watched {
    async fn run(&self, job: Job) -> Result<(), OffloadError> {
        let (in_use, most) = (self.in_use.clone(), self.most.clone());
        let Job { memory_kib, work } = job;
        let watched = Box::new(move || {
            let now = in_use.fetch_add(memory_kib as usize, Ordering::SeqCst) + memory_kib as usize;
            most.fetch_max(now, Ordering::SeqCst);
            work();
            in_use.fetch_sub(memory_kib as usize, Ordering::SeqCst);
        });
        self.pool
            .run(Job {
                memory_kib,
                work: watched,
            })
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_03_a_flood_of_sign_ins_takes_bounded_memory_and_each_is_judged_or_refused() {
    let config = PoolConfig {
        threads: 4,
        memory_kib: 2 * 19_456,
        ..PoolConfig::default()
    };
    let watched = Arc::new(Watched {
        pool: Pool::start(config).unwrap(),
        in_use: Arc::default(),
        most: Arc::default(),
    });
    let hasher = PasswordHasher::new(HashParams::default(), Arc::new(OsEntropy), watched.clone()).unwrap();
    let hasher = Arc::new(hasher);
    let phc = Arc::new(hasher.hash(&password("the right words")).await.unwrap());
    let calls: Vec<_> = (0..1_000)
        .map(|_| {
            let (hasher, phc) = (hasher.clone(), phc.clone());
            tokio::spawn(async move { hasher.verify(phc.expose(), &password("the wrong words")).await })
        })
        .collect();
    for call in calls {
        assert!(matches!(
            call.await.unwrap(),
            Ok(Verdict::Wrong) | Err(Fault::Busy)
        ));
    }
    assert!(watched.most.load(Ordering::SeqCst) <= 2 * 19_456);
    // The flood is over: the next one is judged.
    assert_eq!(
        hasher
            .verify(phc.expose(), &password("the right words"))
            .await
            .unwrap(),
        RIGHT
    );
}

proptest! {
    #[test]
    fn a_pwd_05_reading_any_text_never_panics_and_never_yields_more_than_the_caps(
        text in "\\PC{0,100}|\\$argon2id\\$v=19\\$m=[0-9]{1,11},t=[0-9]{1,11},p=[0-9]{1,9}\\$[A-Za-z0-9+/]{0,70}\\$[A-Za-z0-9+/]{0,100}",
    ) {
        if let Ok(stored) = ArgonHash::read(&text) {
            prop_assert!(stored.params.is_bearable() && stored.params.is_possible());
            prop_assert!(stored.output.len() >= 16 && stored.output.len() <= 64);
            // Written anew it reads as the same, and is written the same ever after.
            let written = phc_string(stored.params, &stored.salt, &stored.output).unwrap();
            let again = ArgonHash::read(&written).unwrap();
            prop_assert_eq!(phc_string(again.params, &again.salt, &again.output).unwrap(), written);
        }
    }

    #[test]
    fn a_pwd_05_a_hash_with_one_byte_changed_is_another_one_or_none(
        salt in any::<[u8; 16]>(),
        output in any::<[u8; 32]>(),
        at in any::<prop::sample::Index>(),
        other in "[A-Za-z0-9+/$=,. -]",
    ) {
        let text = phc_string(HashParams::default(), &salt, &output).unwrap();
        let stored = ArgonHash::read(&text).unwrap();
        prop_assert_eq!((&stored.salt[..], &stored.output[..]), (&salt[..], &output[..]));
        let mut changed = text.clone();
        let at = at.index(text.len());
        changed.replace_range(at..=at, &other);
        if changed != text && let Ok(other) = ArgonHash::read(&changed) {
            let same = other.params == stored.params && other.salt == stored.salt && other.output == stored.output;
            prop_assert!(!same, "{} reads as {}", changed, text);
        }
    }
}

mod foreign;
