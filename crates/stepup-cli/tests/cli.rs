//! The real binary on a real SQLite file.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row};
use stepup_core::delivery::Channel;
use stepup_core::digest::ForeignCost;
use stepup_core::entropy::OsEntropy;
use stepup_core::factor::password::Password as PasswordFactor;
use stepup_core::factor::passwordless::Passwordless;
use stepup_core::flow::{Caller, SignInOutcome};
use stepup_core::id::FactorId;
use stepup_core::keyring::{Root, SecretList};
use stepup_core::password::Password;
use stepup_core::policy::{Policy, any_of};
use stepup_core::{AppInfo, Stepup};
use stepup_delivery::{BackgroundThread, Outbox};
use stepup_sqlx::SqliteStore;
use tempfile::TempDir;

const PASSWORD: &str = "correct horse battery";

/// `PASSWORD`, by the implementation in the C library.
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS";

/// A folder with a database, and the secrets of its site.
struct Place {
    folder: TempDir,
    secrets: String,
}

fn root(id: &str) -> String {
    let root = Root::random(id.into(), &OsEntropy).unwrap();
    SecretList::new(vec![root]).to_text().expose().clone()
}

impl Place {
    fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().unwrap(),
            secrets: root("k1"),
        };
        let done = place.run(&["migrate"]);
        assert_eq!(done.status.code(), Some(0), "{done:?}");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.path("app.sqlite").display())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepup-cli"));
        command
            .args(arguments)
            .env_clear()
            .env("STEPUP_DATABASE_URL", self.url())
            .env("STEPUP_SECRET", &self.secrets)
            .current_dir(self.folder.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    async fn users(&self) -> i64 {
        let options = SqliteConnectOptions::new().filename(self.path("app.sqlite"));
        let mut connection = options.connect().await.unwrap();
        let counted = sqlx::query("SELECT count(*) FROM stepup_user")
            .fetch_one(&mut connection)
            .await;
        counted.unwrap().get(0)
    }

    /// The site itself.
    async fn site(&self) -> (Stepup, Outbox, BackgroundThread) {
        let store = SqliteStore::connect(&self.url()).await.unwrap();
        let outbox = Outbox::new();
        let background = BackgroundThread::start().unwrap();
        let here = "http://localhost:3000";
        let secrets = SecretList::parse(&self.secrets).unwrap();
        let stepup = Stepup::builder(AppInfo::new("Acme", here, here), Arc::new(store), secrets)
            .factor(PasswordFactor::new().with_imported([ForeignCost::Bcrypt { cost: 4 }]))
            .factor(Passwordless::sms(outbox.clone()))
            .notices(outbox.clone())
            .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
            .background(background.clone())
            .build()
            .await
            .unwrap();
        (stepup, outbox, background)
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// `lines` lines, of which every thousandth is wrong, but for three that are one user.
fn write_users(file: &Path, lines: usize) -> usize {
    let mut output = BufWriter::new(File::create(file).unwrap());
    let mut wrong = 0;
    for n in 1..=lines {
        let line = match (n % 1000, n / 1000 % 4) {
            (0, 0) => "{ not json".to_owned(),
            (0, 1) => json!({ "email": format!("user{n}@example.com"), "passwordHash": "$2b$31$canary" })
                .to_string(),
            (0, 2) => json!({ "email": "thrice@example.com" }).to_string(),
            (0, _) => json!({ "email": format!("user{n}@example.com"), "password": "canary" }).to_string(),
            _ => {
                let phone = format!("+4179{:07}", 1_000_000 + n);
                json!({
                    "email": format!("user{n}@example.com"), "emailVerified": true, "passwordHash": BCRYPT,
                    "secondFactors": [{ "factor": "otp-phone", "contact": phone }], "metadata": { "n": n }
                })
                .to_string()
            }
        };
        wrong += usize::from(n % 1000 == 0 && n / 1000 % 4 != 2);
        writeln!(output, "{line}").unwrap();
    }
    wrong
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_users_are_imported_though_the_tool_is_killed_in_the_middle() {
    let place = Place::new();
    let file = place.path("users.jsonl");
    let wrong = write_users(&file, 10_000);
    let mut killed = place
        .command(&["user", "import", "users.jsonl"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while place.users().await < 1_500 {
        assert!(begun.elapsed() < Duration::from_secs(120), "it does not come on");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = place.users().await;
    assert!((1_500..9_000).contains(&before), "{before}");

    let done = place.run(&["user", "import", "users.jsonl"]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    let (told, errors) = (text(&done.stdout), text(&done.stderr));
    let users = 10_000 - i64::try_from(wrong).unwrap() - 2;
    let rest = users - before;
    assert!(told.contains(&format!("{rest} imported, ")), "{told}");
    assert!(told.contains(&format!("{wrong} refused")), "{told}");
    assert!(
        told.contains("with_imported([ForeignCost::Bcrypt { cost: 4 }])"),
        "{told}"
    );
    for line in [
        "line 1000: passwordHash: ",
        "line 3000: unknown field password",
        "line 4000: not one JSON object",
    ] {
        assert!(errors.contains(line), "{errors}");
    }
    assert_eq!(errors.lines().count(), wrong, "{errors}");
    // Neither a hash nor a password, nor a bar where there is no terminal.
    for hidden in ["canary", "$2b$", "\u{1b}"] {
        assert!(
            !told.contains(hidden) && !errors.contains(hidden),
            "{hidden}: {told} {errors}"
        );
    }
    assert_eq!(place.users().await, users);

    let again = place.run(&["user", "import", "users.jsonl"]);
    let told = text(&again.stdout);
    assert!(
        told.starts_with(&format!(
            "0 imported, {} there already, {wrong} refused",
            10_000 - wrong
        )),
        "{told}"
    );

    // A user of it signs in with the password of the former system, and has the second factor from there.
    let (stepup, outbox, background) = place.site().await;
    let caller = Caller::internal();
    for (password, right) in [("wrong horse battery", false), (PASSWORD, true)] {
        let password = Password::parse(password).unwrap();
        let outcome = stepup
            .sign_in(&caller, "user4711@example.com", password)
            .await
            .unwrap();
        match outcome {
            SignInOutcome::SignedIn(signed_in) if right => {
                let access = stepup.verify(signed_in.tokens.access.expose());
                let access = access.unwrap();
                let sent = stepup
                    .create_code(&caller, &access, Channel::Sms, "+41791004711")
                    .await;
                sent.unwrap().unwrap();
            }
            SignInOutcome::WrongCredentials if !right => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(background.drain(Duration::from_secs(10)).await);
    assert_eq!(outbox.sent().len(), 1);
}

#[test]
fn what_is_exported_is_imported_elsewhere_and_holds_no_secret() {
    let place = Place::new();
    let wrong = write_users(&place.path("users.jsonl"), 50);
    assert_eq!(wrong, 0);
    assert_eq!(
        place.run(&["user", "import", "users.jsonl"]).status.code(),
        Some(0)
    );
    let done = place.run(&["user", "export", "out.jsonl"]);
    assert_eq!(
        (done.status.code(), text(&done.stdout)),
        (Some(0), "50 users\n".to_owned())
    );
    let out = fs::read_to_string(place.path("out.jsonl")).unwrap();
    assert!(!out.contains("$2b$") && !out.contains("passwordHash"));
    assert_eq!(text(&place.run(&["user", "export"]).stdout), out);
    // A file that is there is not written over.
    let refused = place.run(&["user", "export", "out.jsonl"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");

    let other = Place::new();
    fs::write(other.path("in.jsonl"), &out).unwrap();
    let done = other.run(&["user", "import", "in.jsonl"]);
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    assert_eq!(text(&other.run(&["user", "export"]).stdout), out);
    let first: Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(first["secondFactors"][0]["factor"], "otp-phone");
}

#[test]
fn a_line_that_is_too_long_is_told_and_the_next_one_imported() {
    let place = Place::new();
    let long = format!("{{\"email\":\"{}\"}}", "x".repeat(3 << 20));
    let lines = format!("{long}\n\n{}", json!({ "email": "ann@example.com" }));
    fs::write(place.path("users.jsonl"), lines).unwrap();
    let done = place.run(&["user", "import", "users.jsonl"]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert_eq!(text(&done.stderr), "line 1: longer than 2 MiB\n");
    assert_eq!(text(&done.stdout), "1 imported, 0 there already, 1 refused\n");
}

#[test]
fn without_database_tables_or_the_secrets_of_the_site_nothing_is_begun() {
    let place = Place::new();
    fs::write(
        place.path("users.jsonl"),
        json!({ "email": "ann@example.com" }).to_string(),
    )
    .unwrap();
    assert_eq!(
        place.run(&["user", "import", "users.jsonl"]).status.code(),
        Some(0)
    );
    let fails = |command: &mut Command, words: &str| {
        let done = command.output().unwrap();
        let told = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{told}");
        assert!(told.contains(words), "{told}");
        told
    };
    let other = root("k9");
    let export = ["user", "export"];
    let told = fails(
        place.command(&export).env("STEPUP_SECRET", &other),
        "other secrets",
    );
    assert!(!told.contains(other.split_once(':').unwrap().1));
    fails(
        place.command(&export).env_remove("STEPUP_SECRET"),
        "no secret is configured",
    );
    fails(place.command(&export).env("STEPUP_SECRET", "k1:!"), "not base64");
    fails(
        place.command(&export).env_remove("STEPUP_DATABASE_URL"),
        "no database is named",
    );
    fails(
        place.command(&export).env("STEPUP_DATABASE_URL", "postgres://x"),
        "only sqlite:",
    );
    let missing = format!("sqlite://{}", place.path("none.sqlite").display());
    fails(
        place.command(&export).env("STEPUP_DATABASE_URL", missing),
        "unable to open",
    );
    assert!(!place.path("none.sqlite").exists());
    File::create(place.path("empty.sqlite")).unwrap();
    let empty = format!("sqlite://{}", place.path("empty.sqlite").display());
    fails(
        place.command(&export).env("STEPUP_DATABASE_URL", empty),
        "not migrated",
    );
    fails(
        &mut place.command(&["user", "import", "nothing.jsonl"]),
        "nothing.jsonl",
    );
}

#[test]
fn a_sec_05_the_command_seals_anew_and_refuses_to_drop_a_secret_that_is_needed() {
    let mut place = Place::new();
    write_users(&place.path("users.jsonl"), 20);
    assert_eq!(
        place.run(&["user", "import", "users.jsonl"]).status.code(),
        Some(0)
    );
    let old = place.secrets.clone();
    place.secrets = format!("{},{old}", root("k2"));
    let refused = place.run(&["secret", "drop", "k1"]);
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(
        text(&refused.stderr).contains("it has sealed 20 credentials"),
        "{refused:?}"
    );
    for (id, why) in [("k2", "the newest"), ("k3", "no such secret")] {
        let refused = place.run(&["secret", "drop", id]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(text(&refused.stderr).contains(why), "{refused:?}");
    }
    let done = place.run(&["secret", "reseal"]);
    assert_eq!(
        (done.status.code(), text(&done.stdout)),
        (
            Some(0),
            "sealed anew: 20 credentials, 0 signing keys\n".to_owned()
        )
    );
    // From a file it is taken out.
    let file = place.path("app.secret");
    fs::write(&file, &place.secrets).unwrap();
    let mut drop = place.command(&["secret", "drop", "k1"]);
    let done = drop.env_remove("STEPUP_SECRET").output().unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let left = fs::read_to_string(&file).unwrap();
    assert!(left.starts_with("k2:") && !left.contains("k1:") && place.secrets.starts_with(&left));
    place.secrets = left;
    assert_eq!(
        place
            .run(&["user", "export"])
            .stdout
            .split(|b| *b == b'\n')
            .count(),
        21
    );
}
