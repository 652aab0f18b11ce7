//! The carrier of mails against a mail server on this machine that says and does what a test wants.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod kit;

use std::sync::Arc;

use stepup_core::delivery::{Channel, Deliver, Failure};
use stepup_delivery::{Smtp, SmtpError};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use kit::{Seen, code, is};

/// How a mail server behaves.
#[derive(Clone, Default)]
struct Manners {
    /// TLS from the first byte.
    wrapped: bool,
    /// Offers STARTTLS.
    starttls: bool,
    /// The answer to `RCPT TO`.
    recipient: Option<&'static str>,
    /// The answer to `AUTH`.
    login: Option<&'static str>,
    /// The answer to the mail itself; empty: the connection ends without one.
    end: Option<&'static str>,
}

/// A mail server that writes down what it is told. The certificate of its authority, and its log.
async fn mail_server(manners: Manners) -> (u16, Vec<u8>, Seen) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let (acceptor, log, manners) = (acceptor.clone(), Arc::clone(&log), manners.clone());
            tokio::spawn(async move {
                if manners.wrapped {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        talk(stream, &log, &manners, true).await;
                    }
                } else if let Some(stream) = talk(stream, &log, &manners, false).await
                    && let Ok(stream) = acceptor.accept(stream).await
                {
                    log.lock().unwrap().push("<TLS>".to_owned());
                    talk(stream, &log, &manners, true).await;
                }
            });
        }
    });
    (port, made.cert.pem().into_bytes(), seen)
}

/// Speaks SMTP until the client leaves, or wants TLS: then this is the connection.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    log: &Seen,
    manners: &Manners,
    tls: bool,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    if !tls || manners.wrapped {
        stream.write_all(b"220 mail.acme.test\r\n").await.ok()?;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        log.lock().unwrap().push(line.trim_end().to_owned());
        let answer = match line.split([' ', ':']).next().unwrap().trim() {
            "EHLO" if manners.starttls && !tls => "250-mail.acme.test\r\n250 STARTTLS",
            "EHLO" => "250-mail.acme.test\r\n250 AUTH PLAIN",
            "STARTTLS" => {
                stream.write_all(b"220 go on\r\n").await.ok()?;
                return Some(stream.into_inner());
            }
            "AUTH" => manners.login.unwrap_or("235 welcome"),
            "RCPT" => manners.recipient.unwrap_or("250 ok"),
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.ok()?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut mail).await.ok()?;
                }
                log.lock().unwrap().push(mail);
                match manners.end {
                    Some("") => return None,
                    end => end.unwrap_or("250 taken"),
                }
            }
            "QUIT" => "221 bye",
            _ => "250 ok",
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await.ok()?;
    }
}

#[tokio::test]
async fn a_mail_goes_over_tls_and_says_that_no_person_wrote_it() {
    for starttls in [false, true] {
        let manners = Manners {
            wrapped: !starttls,
            starttls,
            ..Manners::default()
        };
        let (port, authority, seen) = mail_server(manners).await;
        let scheme = if starttls { "smtp" } else { "smtps" };
        let url = format!("{scheme}://user%40acme:p%3Aw@localhost:{port}");
        let mail = Smtp::trusting(&url, "Acme <no-reply@acme.test>", &authority).unwrap();
        assert!(mail.carries(Channel::Email) && !mail.carries(Channel::Sms));
        mail.deliver(&code(Channel::Email, "ann@acme.test"))
            .await
            .unwrap();
        mail.deliver(&code(Channel::Email, "ben@acme.test"))
            .await
            .unwrap();

        let seen = seen.lock().unwrap();
        let first = |start: &str| seen.iter().position(|line| line.starts_with(start));
        // \0user@acme\0p:w
        let auth = first("AUTH PLAIN AHVzZXJAYWNtZQBwOnc=").unwrap();
        if starttls {
            assert!(first("<TLS>").unwrap() < auth, "{seen:?}");
        }
        // The second mail went by the same connection.
        assert_eq!(seen.iter().filter(|line| line.starts_with("AUTH")).count(), 1);
        assert!(first("MAIL FROM:<no-reply@acme.test>").is_some());
        assert!(first("RCPT TO:<ann@acme.test>").is_some() && first("RCPT TO:<ben@acme.test>").is_some());
        let mail = seen.iter().find(|line| line.contains("Subject:")).unwrap();
        let (head, text) = mail.split_once("\r\n\r\n").unwrap();
        let head = head.replace("\r\n ", " ");
        let mut names: Vec<_> = head
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name, value.split("; boundary").next().unwrap()))
            .collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                ("Auto-Submitted", "auto-generated"),
                ("Content-Type", "multipart/alternative"),
                ("Date", "Tue, 14 Nov 2023 22:13:20 +0000"),
                ("From", "Acme <no-reply@acme.test>"),
                ("MIME-Version", "1.0"),
                ("Message-ID", "<m-1@acme.test>"),
                ("Subject", "Your Acme code"),
                ("To", "ann@acme.test"),
            ]
        );
        let plain = text.find("Content-Type: text/plain; charset=utf-8").unwrap();
        let html = text.find("Content-Type: text/html; charset=utf-8").unwrap();
        // The last one is the one to show, where it can be shown (RFC 2046 §5.1.4).
        assert!(plain < html);
        assert!(text[plain..html].contains("123456 is your Acme code."));
        assert!(
            text[html..]
                .replace("=\r\n", "")
                .contains(">123456</strong> is your Acme code.")
        );
    }
}

#[tokio::test]
async fn a_mail_server_that_cannot_be_trusted_is_told_nothing() {
    // A certificate that nobody known has issued; a server without TLS where there must be some; one that strips STARTTLS.
    let wrapped = Manners {
        wrapped: true,
        ..Manners::default()
    };
    for (manners, scheme, host) in [
        (wrapped, "smtps", "localhost"),
        (Manners::default(), "smtps", "localhost"),
        // This machine as well, by a name that is not known to be it.
        (Manners::default(), "smtp", "0.0.0.0"),
    ] {
        let (port, _, seen) = mail_server(manners).await;
        let mail = Smtp::new(
            &format!("{scheme}://user:password@{host}:{port}"),
            "no-reply@acme.test",
        )
        .unwrap();
        let told = mail.deliver(&code(Channel::Email, "ann@acme.test")).await;
        assert!(is(&told, &SmtpError::Unreachable), "{told:?}");
        let seen = seen.lock().unwrap();
        assert!(
            !seen
                .iter()
                .any(|line| line.contains("AUTH ") || line.contains("MAIL") || line.contains("123456")),
            "{seen:?}"
        );
    }
}

#[tokio::test]
async fn a_refusal_of_a_mail_server_is_told_without_what_it_quotes() {
    for (recipient, wanted) in [
        ("550 <ann@acme.test>: no such user", SmtpError::Permanent),
        ("451 <ann@acme.test>: greylisted, try again", SmtpError::Transient),
        ("nonsense", SmtpError::Unreachable),
    ] {
        let manners = Manners {
            recipient: Some(recipient),
            ..Manners::default()
        };
        let (port, _, _) = mail_server(manners).await;
        let mail = Smtp::new(&format!("smtp://localhost:{port}"), "no-reply@acme.test").unwrap();
        let told = mail.deliver(&code(Channel::Email, "ann@acme.test")).await;
        assert!(is(&told, &wanted), "{told:?}");
        assert!(!format!("{told:?}").contains("ann@"));
    }
}

/// Threat A-INJ-04: nothing that an address holds becomes a header or a command of its own.
#[tokio::test]
async fn inj_04_an_address_with_line_breaks_is_written_to_nobody() {
    let (port, _, seen) = mail_server(Manners::default()).await;
    let mail = Smtp::new(&format!("smtp://localhost:{port}"), "no-reply@acme.test").unwrap();
    for to in [
        "ann@acme.test\r\nBcc: mallory@acme.test",
        "ann@acme.test\nRCPT TO:<mallory@acme.test>",
        "\"ann\r\n\"@acme.test",
        "ann@acme.test\0",
        "ann@acme.test\u{2028}Bcc: mallory@acme.test",
        "ann@acme.test, mallory@acme.test",
        "",
    ] {
        let told = mail.deliver(&code(Channel::Email, to)).await;
        assert!(is(&told, &SmtpError::Unwritable), "{to:?} {told:?}");
    }
    assert!(seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_mail_that_was_given_away_without_a_word_may_have_been_sent() {
    for (manners, wanted, failure) in [
        (
            Manners {
                end: Some(""),
                ..Manners::default()
            },
            SmtpError::Unanswered,
            Failure::Uncertain,
        ),
        (
            Manners {
                end: Some("452 <ann@acme.test>: no room"),
                ..Manners::default()
            },
            SmtpError::Transient,
            Failure::Unsent,
        ),
        (
            Manners {
                end: Some("554 no"),
                ..Manners::default()
            },
            SmtpError::Permanent,
            Failure::Refused,
        ),
        (
            Manners {
                login: Some("535 wrong password p:w"),
                ..Manners::default()
            },
            SmtpError::Login,
            Failure::Unsent,
        ),
    ] {
        let (port, _, _) = mail_server(manners).await;
        let mail = Smtp::new(&format!("smtp://u:p%3Aw@localhost:{port}"), "no-reply@acme.test").unwrap();
        let told = mail.deliver(&code(Channel::Email, "ann@acme.test")).await;
        assert!(is(&told, &wanted), "{told:?}");
        let error = told.unwrap_err();
        assert_eq!(error.failure, failure);
        assert!(!format!("{error:?} {}", error.source).contains("ann@"));
    }
}

#[test]
fn a_carrier_of_mails_is_made_and_dropped_outside_of_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mail = runtime.block_on(async {
        let (port, _, _) = mail_server(Manners::default()).await;
        let mail = Smtp::new(&format!("smtp://localhost:{port}"), "no-reply@acme.test").unwrap();
        mail.deliver(&code(Channel::Email, "ann@acme.test"))
            .await
            .unwrap();
        mail
    });
    drop(runtime);
    // Its connection is that of a runtime which is gone, as is the server: it is found out, and not a reason to panic.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let told = runtime.block_on(mail.deliver(&code(Channel::Email, "ann@acme.test")));
    assert!(is(&told, &SmtpError::Unreachable), "{told:?}");
    drop(runtime);
    drop(mail);
}
