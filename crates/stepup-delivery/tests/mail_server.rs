//! The carrier of mails against a mail server that nobody here wrote (npm's smtp-server, read by mailparser).
//!
//! `cargo xtask test` starts these tests: they need node, and the packages of `tests/browser`. Elsewhere they are listed as
//! ignored, and fail if they are called without `STEPUP_MAIL_SERVER`, the path of the script that starts the server.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod kit;

use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use stepup_core::delivery::{Channel, Deliver, Failure, Language};
use stepup_core::entropy::OsEntropy;
use stepup_core::factor::password::Password as PasswordFactor;
use stepup_core::factor::passwordless::Passwordless;
use stepup_core::flow::{Caller, Contact, SignUpOutcome};
use stepup_core::id::{KeyId, TenantId};
use stepup_core::keyring::{Root, SecretList};
use stepup_core::password::Password;
use stepup_core::storage::memory::MemoryStore;
use stepup_core::time::{Clock, Timestamp};
use stepup_core::{AppInfo, Stepup};
use stepup_delivery::{Manual, Smtp, SmtpError};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use kit::{AT, code, is};

const SENDER: &str = "Acme <no-reply@acme.test>";

/// The server's process. It ends with its standard input, so none is left behind.
struct Server {
    _process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    port: u64,
    authority: Vec<u8>,
}

impl Server {
    /// Starts it: with TLS from the start, with STARTTLS, or without any.
    async fn start(secure: bool, starttls: bool) -> Self {
        let script = std::env::var("STEPUP_MAIL_SERVER")
            .expect("STEPUP_MAIL_SERVER names tests/browser/harness/mail-server.js");
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let options = json!({
            "key": made.signing_key.serialize_pem(), "cert": made.cert.pem(), "secure": secure, "starttls": starttls,
            "login": (secure || starttls).then(|| json!({ "user": "user@acme", "pass": "p:w" })),
        });
        let mut process = Command::new("node")
            .args([&script, &options.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut server = Self {
            _process: process,
            lines,
            port: 0,
            authority: made.cert.pem().into_bytes(),
        };
        server.port = server.told().await["port"].as_u64().unwrap();
        server
    }

    /// What it tells next.
    async fn told(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(20), self.lines.next_line()).await;
        serde_json::from_str(&line.unwrap().unwrap().expect("the server goes on")).unwrap()
    }

    /// The next mail.
    async fn mail(&mut self) -> Value {
        loop {
            let mut told = self.told().await;
            if told.get("mail").is_some() {
                return told["mail"].take();
            }
        }
    }

    /// A carrier that logs in and trusts the server's certificate.
    fn carrier(&self, scheme: &str) -> Smtp {
        let url = format!("{scheme}://user%40acme:p%3Aw@localhost:{}", self.port);
        Smtp::trusting(&url, SENDER, &self.authority).unwrap()
    }
}

#[tokio::test]
#[ignore = "needs node and its packages: cargo xtask test"]
async fn a_mail_arrives_over_tls_with_its_headers_and_both_parts() {
    for (secure, scheme) in [(true, "smtps"), (false, "smtp")] {
        let mut server = Server::start(secure, !secure).await;
        let carrier = server.carrier(scheme);
        for language in Language::ALL {
            let message = code(Channel::Email, "ann@example.test").in_language(language, Language::ENGLISH);
            let written = stepup_delivery::text(&message);
            carrier.deliver(&message).await.unwrap();
            let mail = server.mail().await;
            assert_eq!(mail["from"], "no-reply@acme.test");
            assert_eq!(mail["to"], json!(["ann@example.test"]));
            assert_eq!((&mail["user"], &mail["tls"]), (&json!("user@acme"), &json!(true)));
            assert_eq!(mail["subject"], written.subject);
            assert_eq!(mail["text"].as_str().unwrap().trim_end(), written.body);
            let html = mail["html"].as_str().unwrap().replace("\r\n", "\n");
            assert_eq!(html.trim_end(), written.html.unwrap().trim_end());
            let headers = mail["headers"].as_array().unwrap();
            let value = |name: &str| {
                headers
                    .iter()
                    .find(|line| line[0] == name)
                    .map(|line| line[1].clone())
            };
            for (name, wanted) in [
                ("from", SENDER),
                ("to", "ann@example.test"),
                ("date", "Tue, 14 Nov 2023 22:13:20 +0000"),
                ("message-id", "<m-1@acme.test>"),
                ("auto-submitted", "auto-generated"),
                ("mime-version", "1.0"),
            ] {
                assert_eq!(value(name), Some(json!(wanted)), "{name}");
            }
            let kind = value("content-type").unwrap();
            assert!(
                kind.as_str().unwrap().starts_with("multipart/alternative"),
                "{kind}"
            );
            // And nothing else: no line of ours has brought a header of its own.
            let mut names: Vec<_> = headers.iter().map(|line| line[0].as_str().unwrap()).collect();
            names.sort_unstable();
            names.retain(|name| *name != "received");
            assert_eq!(
                names,
                [
                    "auto-submitted",
                    "content-type",
                    "date",
                    "from",
                    "message-id",
                    "mime-version",
                    "subject",
                    "to"
                ]
            );
        }
    }
}

#[tokio::test]
#[ignore = "needs node and its packages: cargo xtask test"]
async fn mails_share_a_connection_while_it_lasts() {
    let mut server = Server::start(true, false).await;
    let carrier = server.carrier("smtps");
    let mut connections = Vec::new();
    // The third one ends the connection: the fourth opens its own.
    for to in [
        "ann@example.test",
        "ben@example.test",
        "drop@example.test",
        "eve@example.test",
    ] {
        let told = carrier.deliver(&code(Channel::Email, to)).await;
        if to.starts_with("drop") {
            assert!(is(&told, &SmtpError::Unreachable), "{told:?}");
        } else {
            told.unwrap();
            connections.push(server.mail().await["connection"].clone());
        }
    }
    assert_eq!(connections[0], connections[1]);
    assert_ne!(connections[1], connections[2]);
}

#[tokio::test]
#[ignore = "needs node and its packages: cargo xtask test"]
async fn no_mail_goes_to_a_server_that_cannot_be_trusted() {
    let mut server = Server::start(true, false).await;
    let starttls = Server::start(false, true).await;
    let bare = Server::start(false, false).await;
    let url = |scheme: &str, host: &str, server: &Server| {
        format!("{scheme}://user%40acme:p%3Aw@{host}:{}", server.port)
    };
    for carrier in [
        // An authority that nobody knows.
        Smtp::new(&url("smtps", "localhost", &server), SENDER),
        Smtp::new(&url("smtp", "localhost", &starttls), SENDER),
        // The certificate of another host.
        Smtp::trusting(&url("smtps", "127.0.0.1", &server), SENDER, &server.authority),
        // The certificate of another server.
        Smtp::trusting(&url("smtps", "localhost", &server), SENDER, &starttls.authority),
        // No STARTTLS where it must be, by a name that is not known to be this machine.
        Smtp::new(&url("smtp", "0.0.0.0", &bare), SENDER),
    ] {
        let told = carrier
            .unwrap()
            .deliver(&code(Channel::Email, "ann@example.test"))
            .await;
        assert!(is(&told, &SmtpError::Unreachable), "{told:?}");
        assert_eq!(told.unwrap_err().failure, Failure::Unsent);
    }
    // It was asked for nobody: the first thing it tells is of a mail that may go.
    server
        .carrier("smtps")
        .deliver(&code(Channel::Email, "ben@example.test"))
        .await
        .unwrap();
    assert_eq!(server.told().await, json!({ "asked": "ben@example.test" }));
}

#[tokio::test]
#[ignore = "needs node and its packages: cargo xtask test"]
async fn what_the_server_refuses_or_leaves_open_is_told_apart() {
    let server = Server::start(false, true).await;
    let carrier = server.carrier("smtp");
    for (to, wanted, failure) in [
        ("unknown@example.test", SmtpError::Permanent, Failure::Refused),
        ("grey@example.test", SmtpError::Transient, Failure::Unsent),
        ("drop@example.test", SmtpError::Unreachable, Failure::Unsent),
        ("mute@example.test", SmtpError::Unanswered, Failure::Uncertain),
    ] {
        let told = carrier.deliver(&code(Channel::Email, to)).await;
        assert!(is(&told, &wanted), "{to}: {told:?}");
        let error = told.unwrap_err();
        assert_eq!(error.failure, failure, "{to}");
        assert!(!format!("{error:?} {}", error.source).contains("example.test"));
    }
    let url = format!("smtp://user%40acme:wrong@localhost:{}", server.port);
    let stranger = Smtp::trusting(&url, SENDER, &server.authority).unwrap();
    let told = stranger.deliver(&code(Channel::Email, "ann@example.test")).await;
    assert!(is(&told, &SmtpError::Login), "{told:?}");
}

/// A clock in hand.
#[derive(Clone, Debug)]
struct Hand(Arc<AtomicI64>);

impl Clock for Hand {
    fn now(&self) -> Timestamp {
        Timestamp::from_ms(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
#[ignore = "needs node and its packages: cargo xtask test"]
async fn a_greylisted_notice_comes_the_second_time_and_a_code_is_not_sent_again() {
    const SOON: Duration = Duration::from_secs(20);
    let mut server = Server::start(true, false).await;
    let (clock, manual) = (Hand(Arc::new(AtomicI64::new(AT))), Manual::new());
    let secrets = SecretList::new(vec![Root::random(KeyId::from("k1"), &OsEntropy).unwrap()]);
    let app = AppInfo::new("Acme", "https://api.acme.test", "https://acme.test");
    let stepup = Stepup::builder(app, Arc::new(MemoryStore::new()), secrets)
        .factor(PasswordFactor::new())
        .factor(Passwordless::email(server.carrier("smtps")).only_first_factor())
        .notices(server.carrier("smtps"))
        .background(manual.clone())
        .clock(clock.clone())
        .build()
        .await
        .unwrap();
    let later = || clock.0.fetch_add(61_000, Ordering::SeqCst);

    let contact = Contact::email("grey@code.test").unwrap();
    stepup
        .create_first_code(&Caller::internal(), &contact)
        .await
        .unwrap()
        .unwrap();
    assert!(manual.tick(SOON).await);
    assert_eq!(server.told().await, json!({ "asked": "grey@code.test" }));

    let password = Password::parse("correct horse battery").unwrap();
    let signed_up = stepup
        .sign_up(&Caller::internal(), "grey@notice.test", password)
        .await
        .unwrap();
    let SignUpOutcome::Created(ann) = signed_up else {
        panic!("{signed_up:?}");
    };
    assert!(
        stepup
            .reset_factors(&TenantId::public(), &ann.user.id)
            .await
            .unwrap()
    );
    assert!(manual.tick(SOON).await);
    assert_eq!(server.told().await, json!({ "asked": "grey@notice.test" }));
    later();
    assert!(manual.tick(SOON).await);
    // The code was asked for once and never again, although the server would take it now.
    assert_eq!(server.told().await, json!({ "asked": "grey@notice.test" }));
    let mail = server.told().await["mail"].take();
    assert_eq!(mail["to"], json!(["grey@notice.test"]));
    assert!(
        mail["text"]
            .as_str()
            .unwrap()
            .contains("removed the second factors"),
        "{mail}"
    );
    later();
    assert!(manual.tick(SOON).await);
    let carrier = server.carrier("smtps");
    carrier
        .deliver(&code(Channel::Email, "last@example.test"))
        .await
        .unwrap();
    assert_eq!(server.told().await, json!({ "asked": "last@example.test" }));
}
