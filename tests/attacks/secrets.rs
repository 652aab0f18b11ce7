//! Secrets: at rest, in what is printed, in what fails, and in what a deployment gets wrong.

use std::collections::HashSet;
use std::fmt::{Debug, Display};
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use demo_common::{Settings, Site};
use hmac::{Hmac, KeyInit, Mac as _};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use sqlx::Row;
use stepup::hook::{Cx, Hook, Step, Stop};
use stepup::storage::memory::MemoryStore;
use stepup::wire::core::delivery::{Content, Message};
use stepup::wire::core::event::{Event, EventKind, EventSink, Outcome};
use stepup::{FactorId, SecretList};
use stepup_core::entropy::OsEntropy;
use stepup_core::factor::passwordless::DeviceId;
use stepup_core::keyring::{Keyring, Root};
use stepup_core::password::Password;
use stepup_core::secret::{Mac, Secret};

use super::database;
use super::own::Own;
use crate::kit::{
    Client, Mode, OTHER_PHONE, PASSWORD, PHONE, Server, answer, form, full, half, returning, wrong,
};

const ALICE: &str = "alice@example.com";
const MALLORY: &str = "mallory@example.com";

/// A root of its own name, as text for the settings.
fn root(id: &str) -> String {
    let root = Root::random(id.into(), &OsEntropy).unwrap();
    SecretList::new(vec![root]).to_text().expose().clone()
}

/// All bytes of the database and its log.
fn bytes(server: &Server) -> Vec<u8> {
    let read = |name: &str| fs::read(server.database().with_file_name(name)).unwrap_or_default();
    let all = [read("demo.sqlite"), read("demo.sqlite-wal")].concat();
    assert!(all.len() > 10_000);
    all
}

/// A secret as it is, and as it is written in other alphabets.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let hex = |upper: bool| -> String {
        let byte = |b: &u8| {
            if upper {
                format!("{b:02X}")
            } else {
                format!("{b:02x}")
            }
        };
        secret.iter().map(byte).collect()
    };
    let mut forms = vec![secret.to_vec(), hex(true).into_bytes(), hex(false).into_bytes()];
    for engine in [&STANDARD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        forms.push(engine.encode(secret).trim_end_matches('=').as_bytes().to_vec());
    }
    for engine in [&STANDARD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        forms.extend(engine.decode(secret).ok().filter(|decoded| decoded.len() >= 16));
    }
    forms
}

#[track_caller]
fn is_nowhere(dump: &[u8], what: &str, secret: &[u8]) {
    for form in forms(secret) {
        let found = dump.windows(form.len()).any(|window| window == form);
        assert!(
            !found,
            "{what} is in the file: {}",
            String::from_utf8_lossy(&form)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_01_no_code_is_found_by_trying_them_all_against_a_dump() {
    let server = Server::start_with(|settings| {
        settings
            .first_factors
            .extend([FactorId::OTP_EMAIL, FactorId::LINK_EMAIL]);
    })
    .await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let created = alice.create_code(PHONE).await.json();
    server.moved(16).await;
    alice.resend(&created).await;
    let mut other = server.client(Mode::Header);
    other
        .post("/auth/signinup/code", json!({ "email": "new@example.com" }))
        .await;
    let rows = database::ask(
        &server.database(),
        "SELECT mac1, mac2, id, session, user_id, destination FROM stepup_challenge",
    )
    .await;
    assert_eq!(rows.len(), 2);
    let mut stored: HashSet<Vec<u8>> = HashSet::new();
    let mut salts: Vec<Vec<u8>> = vec![Vec::new()];
    for row in &rows {
        for column in 0..2 {
            stored.extend(row.get::<Option<Vec<u8>>, _>(column));
        }
        salts.extend((2..6).map(|column| row.get::<String, _>(column).into_bytes()));
    }
    assert_eq!(stored.len(), 3);
    // Plain, and salted with whatever stands in the same row.
    let found = tokio::task::spawn_blocking(move || {
        let prefixed: Vec<Sha256> = salts
            .iter()
            .map(|salt| Sha256::new().chain_update(salt))
            .collect();
        let keyed: Vec<Hmac<Sha256>> = salts.iter().map(|s| Hmac::new_from_slice(s).unwrap()).collect();
        (0..1_000_000_u32).find(|n| {
            let code = format!("{n:06}");
            prefixed
                .iter()
                .any(|h| stored.contains(&h.clone().chain_update(&code).finalize()[..]))
                || keyed
                    .iter()
                    .any(|h| stored.contains(&h.clone().chain_update(&code).finalize().into_bytes()[..]))
        })
    });
    assert_eq!(found.await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_02_nothing_that_opens_anything_is_in_a_dump() {
    let server = Server::start_with(|settings| {
        settings.secret = Some(root("k1").into());
        settings
            .first_factors
            .extend([FactorId::OTP_EMAIL, FactorId::LINK_EMAIL]);
    })
    .await;
    let mut alice = server.client(Mode::Header);
    alice.sign_up(ALICE).await;
    let before = alice.refresh_token().unwrap().to_owned();
    let created = alice.create_code(PHONE).await.json();
    let code = server.code().await;
    alice.consume(&created, &code).await;
    let raised = alice.refresh_token().unwrap().to_owned();
    alice.refresh().await;
    let mut new = server.client(Mode::Header);
    let asked = new
        .post("/auth/signinup/code", json!({ "email": "new@example.com" }))
        .await
        .json();
    let sent = server.sent().await;
    let link = sent
        .iter()
        .rev()
        .filter(|message| message.kind == "link")
        .find_map(|message| message.link.clone())
        .unwrap();
    let link_secret = link.split_once('#').unwrap().1;
    let key = server
        .settings
        .secret
        .as_ref()
        .unwrap()
        .expose()
        .split_once(':')
        .unwrap()
        .1
        .to_owned();
    let dump = bytes(&server);
    for (what, secret) in [
        ("the password", PASSWORD),
        ("a refresh token", &before),
        ("a refresh token", &raised),
        ("a refresh token", alice.refresh_token().unwrap()),
        ("an access token", alice.access_token().unwrap()),
        ("a link", link_secret),
        ("a device id", created["deviceId"].as_str().unwrap()),
        ("a device id", asked["deviceId"].as_str().unwrap()),
        ("the root secret", &key),
    ] {
        is_nowhere(&dump, what, secret.as_bytes());
    }
    // The 32 bytes of a refresh token that are secret, which follow what is readable; the tag is the last 16.
    for token in [&before, &raised] {
        let plain = URL_SAFE_NO_PAD.decode(token).unwrap();
        is_nowhere(
            &dump,
            "the secret of a refresh token",
            &plain[plain.len() - 48..plain.len() - 16],
        );
    }
    // No private key lies open: the curve's object identifier stands in every PKCS#8 of its keys.
    let curve = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    assert!(!dump.windows(curve.len()).any(|window| window == curve));
    assert!(
        !dump.windows(8).any(|window| window == b"$argon2i"),
        "hashes are sealed as well"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_03_what_was_sealed_or_digested_for_one_row_is_good_in_no_other() {
    let server = Server::start().await;
    let mut mallory = server.client(Mode::Header);
    let own = "mallorys own password";
    mallory.post("/auth/signup", form(MALLORY, own)).await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    // Mallory writes to the database: her hash into alice's row.
    let stolen = format!(
        "UPDATE stepup_credential SET sealed = (SELECT sealed FROM stepup_credential WHERE user_id = '{}') \
         WHERE user_id = '{}'",
        mallory.user_id(),
        alice.user_id()
    );
    let saved = "CREATE TABLE saved AS SELECT * FROM stepup_credential";
    database::run(&server, saved).await;
    assert_eq!(database::run(&server, &stolen).await, 1);
    for password in [own, PASSWORD] {
        let refused = server
            .client(Mode::Header)
            .post("/auth/signin", form(ALICE, password))
            .await;
        assert_ne!(refused.status_field(), "OK", "{refused:?}");
        assert!(
            refused.status >= 500 || refused.status_field() == "WRONG_CREDENTIALS_ERROR",
            "{refused:?}"
        );
    }
    let back = "UPDATE stepup_credential SET sealed = (SELECT sealed FROM saved WHERE saved.id = stepup_credential.id)";
    database::run(&server, back).await;
    assert_eq!(
        server.client(Mode::Header).sign_in(ALICE).await.status_field(),
        "OK"
    );
    // And her code's digest into alice's challenge, and into her own with alice's number.
    let asked = alice.create_code(PHONE).await.json();
    let hers = mallory.create_code(OTHER_PHONE).await.json();
    let code = server.code().await;
    let swap = format!(
        "UPDATE stepup_challenge SET mac1 = (SELECT mac1 FROM stepup_challenge WHERE id = '{}')",
        hers["preAuthSessionId"].as_str().unwrap()
    );
    database::run(&server, &swap).await;
    assert_eq!(
        alice.consume(&asked, &code).await.status_field(),
        "INCORRECT_USER_INPUT_CODE_ERROR"
    );
    let move_number = format!("UPDATE stepup_challenge SET destination = '{PHONE}'");
    database::run(&server, &move_number).await;
    assert_ne!(mallory.consume(&hers, &code).await.status_field(), "OK");
    // A session's hash in another session's row opens nothing either.
    let hash = format!(
        "UPDATE stepup_session SET current = (SELECT current FROM stepup_session WHERE handle = '{}') WHERE handle = '{}'",
        mallory.handle(),
        alice.handle()
    );
    database::run(&server, &hash).await;
    let mut forged = alice.clone();
    forged.refresh = mallory.refresh.clone();
    assert_eq!(
        forged.refresh().await.status,
        200,
        "her own session, by its handle"
    );
    assert_eq!(forged.user_id(), mallory.user_id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_05_an_older_secret_reads_what_it_made_and_an_unknown_one_reads_nothing() {
    let (old, new) = (root("k1"), root("k2"));
    let both = format!("{new},{old}");
    let first = old.clone();
    let server = Server::start_with(|settings| settings.secret = Some(first.into())).await;
    let mut alice = half(&server, Mode::Header, ALICE).await;
    let created = alice.create_code(PHONE).await.json();
    let code = server.code().await;
    // Both: the password, the session, the code and the signing keys are read as before, and what is new is newer.
    let server = server
        .changed(|settings| settings.secret = Some(both.into()))
        .await;
    assert_eq!(alice.get("/auth/factor/list").await.status, 200);
    assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
    assert_eq!(alice.refresh().await.status, 200);
    assert_eq!(
        server.client(Mode::Header).sign_in(ALICE).await.status_field(),
        "OK"
    );
    half(&server, Mode::Header, "bob@example.com").await;
    server.site.settle().await;
    let bob = "bob@example.com";
    // The new one alone does not start while a signing key needs the old one.
    let mut settings = server.settings.clone();
    settings.secret = Some(new.clone().into());
    let problems = Site::start(&settings, server.address).await.unwrap_err();
    let shown = problems.join(" ");
    assert!(shown.contains("key"), "{shown}");
    for secret in [&new, &old] {
        assert!(!shown.contains(secret.split_once(':').unwrap().1), "{shown}");
    }
    // The old one alone, which somebody put back, reads what it made and nothing newer.
    let server = server
        .changed(|settings| settings.secret = Some(old.into()))
        .await;
    assert_eq!(
        server.client(Mode::Header).sign_in(ALICE).await.status_field(),
        "OK"
    );
    let closed = server.client(Mode::Header).sign_in(bob).await;
    assert!(closed.status >= 500 && closed.touches_no_token(), "{closed:?}");
    // Behind the server's back a key is forgotten: closed, and not read by another.
    let forgotten = "UPDATE stepup_credential SET sealed = unhex(replace(hex(sealed), hex('k1'), hex('k9')))";
    database::run(&server, forgotten).await;
    let refused = server.client(Mode::Header).sign_in(ALICE).await;
    assert_ne!(refused.status_field(), "OK", "{refused:?}");
}

/// Formats whatever is public and holds a secret.
#[test]
fn a_sec_07_no_debug_shows_a_secret() {
    let canary = "canary-5d1f";
    let key: Vec<u8> = (0..32_u8).map(|n| n.wrapping_mul(37) ^ 0x5a).collect();
    let list = || {
        SecretList::new(vec![Root {
            id: "k1".into(),
            key: Secret::new(key.clone()),
        }])
    };
    let code = Content::Code {
        code: Secret::from(canary.to_owned()),
        lifetime: Duration::from_secs(1),
        second_factor: true,
    };
    let link = Content::Link {
        url: Secret::from(canary.to_owned()),
        code: Some(Secret::from(canary.to_owned())),
        lifetime: Duration::from_secs(1),
    };
    let mut settings = Settings::read(|_| None).unwrap();
    settings.secret = Some(Secret::from(canary.to_owned()));
    let encoded = STANDARD.encode([0x63; 32]);
    let device = DeviceId::parse(&encoded).unwrap();
    let shown: Vec<Box<dyn Debug>> = vec![
        Box::new(Secret::from(canary.to_owned())),
        Box::new(Some(Secret::new(canary.as_bytes().to_vec()))),
        Box::new(Password::parse(canary).unwrap()),
        Box::new(Mac::new([0x63; 32])),
        Box::new(list()),
        Box::new(Keyring::new(&list()).unwrap()),
        Box::new(code),
        Box::new(link),
        Box::new(device),
        Box::new(settings),
    ];
    for value in shown {
        for text in [format!("{value:?}"), format!("{value:#?}")] {
            assert!(!text.contains(canary) && !text.contains(&encoded), "{text}");
            // Bytes as numbers, in decimal and in hex.
            assert!(
                !text.contains("99, 97, 110") && !text.contains("63, 61") && !text.contains("99, 99, 99"),
                "{text}"
            );
            assert!(
                !text.contains(&format!("{}, {}, {}", key[0], key[1], key[2])),
                "{text}"
            );
        }
    }
}

/// A hook that breaks with the secret in its text.
#[derive(Debug)]
struct Breaks;

#[async_trait]
impl Hook for Breaks {
    async fn before(&self, _: &Cx<'_>, _: &mut Step) -> Result<(), Stop> {
        panic!("canary-77aa at {}", file!())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_07_the_text_of_a_panic_reaches_no_answer() {
    let server = Server::start_adding(|builder| builder.hook(Breaks)).await;
    let client = server.client(Mode::Header);
    let broken = client
        .peek("POST", "/auth/signup", Some(&form(ALICE, PASSWORD)), &[])
        .await;
    assert_eq!(broken.status, 500, "{broken:?}");
    assert_eq!(broken.json(), json!({ "message": "something went wrong" }));
    assert!(!format!("{broken:?}").contains("canary"), "{broken:?}");
    assert_eq!(client.peek("GET", "/healthz", None, &[]).await.status, 200);
}

/// `T` does not implement the trait: two candidates for `_` would be ambiguous if it did.
macro_rules! never {
    ($type:ty: $trait:path) => {{
        trait Ambiguous<A> {
            fn check() {}
        }
        struct Implemented;
        impl<T: ?Sized> Ambiguous<()> for T {}
        impl<T: ?Sized + $trait> Ambiguous<Implemented> for T {}
        <$type as Ambiguous<_>>::check();
    }};
}

#[test]
fn a_sec_07_a_secret_has_no_display_and_is_never_serialized() {
    never!(Secret<String>: Display);
    never!(Secret<Vec<u8>>: Display);
    never!(Mac: Display);
    never!(Password: Display);
    never!(DeviceId: Display);
    never!(Root: Display);
    never!(Message: Display);
    never!(Secret<String>: Serialize);
    never!(Mac: Serialize);
    never!(Password: Serialize);
    never!(DeviceId: Serialize);
    never!(Root: Serialize);
    never!(Message: Serialize);
}

#[test]
fn a_sec_10_secrets_are_compared_in_constant_time_or_not_at_all() {
    // `==` on these does not compile; a digest has one, which takes the same time whatever it finds.
    never!(Secret<String>: PartialEq);
    never!(Secret<Vec<u8>>: PartialEq);
    never!(Password: PartialEq);
    never!(Root: PartialEq);
    never!(DeviceId: PartialEq);
    let crates = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("crates");
    let mut read = 0;
    let mut folders = vec![crates];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs")
                && !path.to_string_lossy().contains("tests")
            {
                read += 1;
                for line in fs::read_to_string(&path).unwrap().lines() {
                    let exposed = line.contains("expose()") && (line.contains("==") || line.contains("!="));
                    assert!(!exposed || line.contains("assert"), "{}: {line}", path.display());
                }
            }
        }
    }
    assert!(read > 100, "{read}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_11_a_weak_configuration_does_not_start_and_shows_no_key() {
    let start = async |change: &dyn Fn(&mut Settings)| {
        let mut settings = Settings::read(|_| None).unwrap();
        settings.database = "sqlite::memory:".to_owned();
        change(&mut settings);
        Site::start(&settings, ([127, 0, 0, 1], 3000).into())
            .await
            .err()
            .unwrap_or_default()
    };
    let good = root("k1");
    let key = good.split_once(':').unwrap().1.to_owned();
    let encoded = |bytes: &[u8]| STANDARD.encode(bytes);
    for (list, problem) in [
        (" ".to_owned(), "no secret"),
        ("k1".to_owned(), "id"),
        (":".to_owned() + &key, "id"),
        ("k1:????".to_owned(), "base64"),
        (format!("k1:{}", encoded(&[1, 2, 3])), "k1"),
        (format!("k1:{}", encoded(&[0; 32])), "k1"),
        (format!("k1:{}", encoded(&[0xab; 64])), "k1"),
        (
            format!(
                "k1:{}",
                encoded(b"the quick brown fox jumps over it, twice a day")
            ),
            "text",
        ),
        (format!("k1:{key},k2:{key}"), "same key"),
        (format!("{good},{good}"), "two secrets"),
    ] {
        let problems = start(&|settings| settings.secret = Some(list.clone().into())).await;
        assert!(
            problems.iter().any(|p| p.contains(problem)),
            "{problem}: {problems:?}"
        );
        assert!(problems.iter().all(|p| !p.contains(&key)), "{problems:?}");
    }
    // No secret at all where not only this machine comes in, and plain http there.
    let problems = start(&|settings| settings.api_domain = Some("https://api.example.com".to_owned())).await;
    assert!(
        problems.iter().any(|p| p.contains("STEPUP_SECRET")),
        "{problems:?}"
    );
    for domain in ["http://api.example.com", "http://192.0.2.1:3000"] {
        let problems = start(&|settings| {
            settings.api_domain = Some(domain.to_owned());
            settings.website_domain = Some("https://example.com".to_owned());
            settings.secret = Some(good.clone().into());
        })
        .await;
        assert!(
            problems.iter().any(|p| p.contains("http")),
            "{domain}: {problems:?}"
        );
    }
    assert_eq!(
        start(&|settings| settings.secret = Some(good.clone().into())).await,
        Vec::<String>::new()
    );
}

#[test]
fn a_sec_12_no_private_key_of_rsa_is_used_by_a_crate_that_leaks_its_timing() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for lock in ["Cargo.lock", "bench/Cargo.lock"] {
        let text = fs::read_to_string(root.join(lock)).unwrap();
        assert!(!text.contains("name = \"rsa\"\n"), "{lock}");
    }
    let banned = fs::read_to_string(root.join("deny.toml")).unwrap();
    assert!(banned.contains("crate = \"rsa\""));
}

/// Keeps the events.
#[derive(Clone, Debug, Default)]
struct Trail(Arc<Mutex<Vec<Event>>>);

impl EventSink for Trail {
    fn record(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Trail {
    /// The refusals since the last time.
    fn refused(&self) -> Vec<Event> {
        let events = std::mem::take(&mut *self.0.lock().unwrap());
        events
            .into_iter()
            .filter(|event| event.outcome == Outcome::Refused)
            .collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_13_every_kind_of_refusal_leaves_a_trace_with_who_why_and_whence() {
    let trail = Trail::default();
    let events = trail.clone();
    let site = Own::start_with(MemoryStore::new(), move |builder| builder.events(events)).await;
    let (mut alice, created, code) = site.asked(Mode::Header, ALICE, PHONE).await;
    let id = alice.user_id();
    let sees = |kind: EventKind, reason: Option<&str>, user: Option<&str>| {
        let refused = trail.refused();
        let event = refused
            .iter()
            .find(|event| event.kind == kind)
            .unwrap_or_else(|| panic!("{} is missing: {refused:?}", kind.name()));
        // A token is verified where no request is in sight.
        let inside = kind == EventKind::TokenInvalid;
        assert!(
            inside || event.network.as_deref() == Some("127.0.0.1"),
            "{event:?}"
        );
        assert!(event.at.as_ms() >= 1_764_000_000_000, "{event:?}");
        if reason.is_some() {
            assert_eq!(event.reason, reason, "{event:?}");
        }
        assert!(event.reason.is_some(), "{event:?}");
        assert_eq!(event.user.as_ref().map(|user| user.as_str()), user, "{event:?}");
        // A handle is digested: whoever reads logs cannot name a session.
        let known = format!("{event:?}");
        assert!(
            !known.contains(PHONE) && !known.contains(ALICE) && !known.contains(&code),
            "{known}"
        );
    };
    trail.refused();
    let stranger = || site.client(Mode::Header);
    stranger()
        .post("/auth/signin", form(ALICE, "wrong horse battery"))
        .await;
    sees(EventKind::SignIn, Some("wrong_password"), Some(&id));
    stranger()
        .post("/auth/signin", form("nobody@example.com", PASSWORD))
        .await;
    sees(EventKind::SignIn, Some("unknown"), None);
    stranger().sign_up(ALICE).await;
    sees(EventKind::AccountCreated, Some("taken"), None);
    alice.consume(&created, &wrong(&code)).await;
    sees(EventKind::CodeAnswered, None, Some(&id));
    alice.get("/secret").await;
    sees(EventKind::AccessDenied, None, Some(&id));
    alice.create_code("nonsense").await;
    sees(EventKind::CodeRefused, Some("contact_malformed"), Some(&id));
    assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
    alice.create_code(OTHER_PHONE).await;
    sees(EventKind::CodeRefused, Some("foreign_contact"), Some(&id));
    let mut forged = alice.clone();
    forged.access = Some(format!("{}x", alice.access.as_ref().unwrap()));
    forged.get("/any").await;
    sees(EventKind::TokenInvalid, None, None);
    let mut cookies = site.client(Mode::Cookie);
    cookies.sign_in(ALICE).await;
    trail.refused();
    cookies
        .call(
            "POST",
            "/auth/signout",
            None,
            &[("origin", "https://evil.example")],
        )
        .await;
    sees(EventKind::OriginRefused, None, None);
    let old = alice.clone();
    assert_eq!(alice.refresh().await.status, 200);
    site.moved(120);
    trail.refused();
    old.clone().refresh().await;
    sees(EventKind::SessionTheft, None, Some(&id));
    for _ in 0..11 {
        let asked = "/auth/emailpassword/email/exists?email=a@example.com";
        stranger().peek("GET", asked, None, &[]).await;
    }
    sees(EventKind::Throttled, Some("exists"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_15_doors_of_the_demo_are_shut_wherever_others_can_come_in() {
    let secret = root("k1");
    let public = |settings: &mut Settings| {
        settings.api_domain = Some("https://api.example.com".to_owned());
        settings.website_domain = Some("https://example.com".to_owned());
        settings.secret = Some(secret.clone().into());
    };
    // Codes on a console are no way to deliver them.
    let mut settings = Settings::read(|_| None).unwrap();
    settings.database = "sqlite::memory:".to_owned();
    public(&mut settings);
    let bound = ([127, 0, 0, 1], 3000).into();
    let problems = Site::start(&settings, bound).await.unwrap_err();
    assert!(
        problems.iter().any(|p| p.contains("danger_print_codes")),
        "{problems:?}"
    );
    settings.throttle_scale = 10;
    let problems = Site::start(&settings, bound).await.unwrap_err();
    assert!(problems.iter().any(|p| p.contains("loopback")), "{problems:?}");

    let doors = async |server: &Server| {
        let client = server.client(Mode::Header);
        let mut answers = Vec::new();
        for (method, path, body) in [
            ("GET", "/dev/outbox", None),
            ("POST", "/dev/clock", Some(json!({ "advanceSeconds": 60 }))),
        ] {
            answers.push(client.peek(method, path, body.as_ref(), &[]).await.status);
        }
        let page = client.peek("GET", "/", None, &[]).await;
        let page = String::from_utf8(page.body).unwrap();
        (
            answers,
            page.contains("/dev/outbox") || page.contains("data-outbox"),
        )
    };
    let server = Server::start_both(public, |builder| builder.danger_print_codes()).await;
    assert_eq!(doors(&server).await.0, [404, 404], "an https domain");
    let server = Server::start_with(|settings| {
        settings.listen = ([0, 0, 0, 0], settings.listen.port()).into();
        settings.secret = Some(secret.clone().into());
    })
    .await;
    assert_eq!(doors(&server).await.0, [404, 404], "a listener for everybody");
    let server = Server::start().await;
    assert_eq!(doors(&server).await.0, [200, 200], "this machine alone");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_16_another_secret_or_none_does_not_start_on_a_database_that_knows_one() {
    let secret = root("k1");
    let server = Server::start_with(|settings| settings.secret = Some(secret.clone().into())).await;
    let mut alice: Client = returning(&server, Mode::Header, ALICE, PHONE).await;
    // Another one, another one of the same name, and the demo's own, which it would make beside the file.
    let others = [Some(root("k2")), Some(root("k1")), None];
    for other in others {
        let mut settings = server.settings.clone();
        settings.secret = other.clone().map(Into::into);
        let problems = Site::start(&settings, server.address).await.unwrap_err();
        assert!(problems.iter().any(|p| p.contains("secret")), "{problems:?}");
        let shown = problems.join(" ");
        for key in [Some(&secret), other.as_ref()].into_iter().flatten() {
            assert!(!shown.contains(key.split_once(':').unwrap().1), "{shown}");
        }
    }
    // Nothing of those starts was left behind: the deployment goes on, on every node of the right secret.
    let second = server.second().await;
    assert_eq!(alice.refresh().await.status, 200);
    let created = alice.create_code(PHONE).await.json();
    let code = server.code().await;
    let there = alice.moved_to(&second);
    let consumed = there
        .peek(
            "POST",
            "/auth/signinup/code/consume",
            Some(&answer(&created, &code)),
            &[],
        )
        .await;
    assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
    // The private parts of the signing keys are sealed for their rows.
    for row in database::ask(&server.database(), "SELECT sealed FROM stepup_signing_key").await {
        let sealed: Vec<u8> = row.get(0);
        assert!(
            sealed.len() > 60 && !sealed.windows(2).any(|w| w == [0x30, 0x81]),
            "no DER in the open"
        );
    }
    full(&second, Mode::Header, "bob@example.com", OTHER_PHONE).await;
}
