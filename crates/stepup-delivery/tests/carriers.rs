//! The carriers against servers on this machine that check what they are sent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use stepup_core::AppInfo;
use stepup_core::delivery::{Channel, Content, Deliver, DeliveryError, Message, NoticeKind};
use stepup_core::time::Timestamp;
use stepup_delivery::{
    FailOver, FailOverError, SetupError, Smtp, SmtpError, Twilio, TwilioError, Webhook, WebhookError,
};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";
const AT: i64 = 1_700_000_000_000;

fn code(channel: Channel, to: &str) -> Message {
    let content = Content::Code {
        code: "123456".to_owned().into(),
        lifetime: Duration::from_secs(300),
        second_factor: true,
    };
    message(channel, to, content)
}

fn message(channel: Channel, to: &str, content: Content) -> Message {
    let app = AppInfo::new("Acme", "https://api.acme.test", "https://acme.test");
    Message::new(
        "m-1".to_owned(),
        (channel, to.to_owned()),
        content,
        &app,
        Timestamp::from_ms(AT),
    )
}

/// What a carrier's error is.
fn is<E: std::error::Error + PartialEq + 'static>(told: &Result<(), DeliveryError>, wanted: &E) -> bool {
    matches!(told, Err(error) if error.0.downcast_ref::<E>() == Some(wanted))
}

// HTTP

type Seen = Arc<Mutex<Vec<String>>>;

/// An HTTP server that writes down each request and gives one answer to all. None: it never answers.
async fn http(answer: Option<&'static str>) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let log = Arc::clone(&log);
            tokio::spawn(async move {
                let mut stream = BufReader::new(stream);
                let mut request = String::new();
                while !request.ends_with("\r\n\r\n") {
                    if stream.read_line(&mut request).await.unwrap() == 0 {
                        return;
                    }
                }
                let length = header(&request, "content-length").parse().unwrap();
                let mut body = vec![0; length];
                stream.read_exact(&mut body).await.unwrap();
                request.push_str(std::str::from_utf8(&body).unwrap());
                log.lock().unwrap().push(request);
                match answer {
                    Some(answer) => stream.write_all(answer.as_bytes()).await.unwrap(),
                    None => std::future::pending().await,
                }
            });
        }
    });
    (url, seen)
}

fn header<'a>(request: &'a str, name: &str) -> &'a str {
    let lines = request.lines().filter_map(|line| line.split_once(": "));
    let mut found = lines.filter(|(key, _)| key.eq_ignore_ascii_case(name));
    found.next().map(|(_, value)| value).unwrap()
}

fn body(request: &str) -> &str {
    request.split_once("\r\n\r\n").unwrap().1
}

const TAKEN: &str = "HTTP/1.1 201 Created\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

#[tokio::test]
async fn twilio_is_sent_the_form_that_it_documents() {
    let (url, seen) = http(Some(TAKEN)).await;
    let by_number = Twilio::at(&url, ACCOUNT, "token".to_owned().into(), "+15005550006").unwrap();
    let service = format!("MG{}", &ACCOUNT[2..]);
    let by_service = Twilio::at(&url, ACCOUNT, "token".to_owned().into(), &service)
        .unwrap()
        .api_key("SK1", "secret".to_owned().into());
    let notice = Content::Notice(NoticeKind::FactorsReset {
        at: Timestamp::from_ms(AT),
    });
    let sms = code(Channel::Sms, "+41791234567");
    by_number.deliver(&sms).await.unwrap();
    by_service
        .deliver(&message(Channel::Sms, "+41791234567", notice))
        .await
        .unwrap();

    let seen = seen.lock().unwrap();
    let line = format!("POST /2010-04-01/Accounts/{ACCOUNT}/Messages.json HTTP/1.1\r\n");
    assert!(seen.iter().all(|request| request.starts_with(&line)));
    // AC…:token and SK1:secret.
    assert_eq!(
        header(&seen[0], "authorization"),
        "Basic QUMwMTIzNDU2Nzg5YWJjZGVmMDEyMzQ1Njc4OWFiY2RlZjp0b2tlbg=="
    );
    assert_eq!(header(&seen[1], "authorization"), "Basic U0sxOnNlY3JldA==");
    assert_eq!(
        header(&seen[0], "content-type"),
        "application/x-www-form-urlencoded"
    );
    assert_eq!(
        body(&seen[0]),
        "To=%2B41791234567&From=%2B15005550006&Body=123456+is+your+Acme+code.+It+works+for+5+minutes.+Never+give+it+to+anybody.\
         %0A%0A%40acme.test+%23123456&ValidityPeriod=300"
    );
    assert!(body(&seen[1]).starts_with(&format!(
        "To=%2B41791234567&MessagingServiceSid={service}&Body=We+removed"
    )));
    assert!(!body(&seen[1]).contains("ValidityPeriod"));
}

#[tokio::test]
async fn what_twilio_refuses_is_told_by_number_and_quotes_nothing() {
    let refused = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n\
                   {\"code\":21211,\"message\":\"Invalid 'To' Phone Number: +41791234567\"}";
    let (url, _) = http(Some(refused)).await;
    let twilio = Twilio::at(&url, ACCOUNT, "token".to_owned().into(), "Acme").unwrap();
    let error = twilio
        .deliver(&code(Channel::Sms, "+41791234567"))
        .await
        .unwrap_err();
    assert!(matches!(
        error.0.downcast_ref::<TwilioError>(),
        Some(TwilioError::Refused {
            status: 400,
            code: Some(21211)
        })
    ));
    for odd in [
        "HTTP/1.1 500 Oops\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{]",
        "HTTP/1.1 307 Away\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "no HTTP at all\r\n\r\n",
    ] {
        let (url, seen) = http(Some(odd)).await;
        let twilio = Twilio::at(&url, ACCOUNT, "token".to_owned().into(), "Acme").unwrap();
        let error = twilio
            .deliver(&code(Channel::Sms, "+41791234567"))
            .await
            .unwrap_err();
        let printed = format!("{error:?} {twilio:?}");
        for secret in ["41791234567", "123456", "token", "127.0.0.1"] {
            assert!(!printed.contains(secret), "{printed}");
        }
        assert_eq!(seen.lock().unwrap().len(), 1);
    }
}

#[test]
fn carriers_that_cannot_work_are_refused_at_once() {
    let twilio =
        |url: &str, account: &str, from: &str| Twilio::at(url, account, "t".to_owned().into(), from).err();
    assert_eq!(twilio("https://api.twilio.com", ACCOUNT, "+15005550006"), None);
    for (url, account, from) in [
        ("http://api.twilio.com", ACCOUNT, "+15005550006"),
        ("ftp://localhost", ACCOUNT, "+15005550006"),
        ("no url", ACCOUNT, "+15005550006"),
        ("https://api.twilio.com", "AC/../Calls", "+15005550006"),
        ("https://api.twilio.com", "AC0123", "+15005550006"),
        ("https://api.twilio.com", ACCOUNT, "+1-500"),
        ("https://api.twilio.com", ACCOUNT, "A name that is too long"),
        ("https://api.twilio.com", ACCOUNT, ""),
    ] {
        assert!(twilio(url, account, from).is_some(), "{url} {account} {from}");
    }
    let hook = |url: &str, key: usize| Webhook::new(url, vec![7; key].into()).err();
    assert_eq!(hook("https://acme.test/hook", 32), None);
    assert!(hook("https://acme.test/hook", 31).is_some() && hook("http://acme.test/hook", 32).is_some());
    let smtp = |url: &str, from: &str| Smtp::new(url, from).err();
    for url in [
        "smtps://u:p@mail.acme.test",
        "smtp://mail.acme.test:2525",
        "smtp://localhost:1025",
    ] {
        assert_eq!(smtp(url, "Acme <no-reply@acme.test>"), None, "{url}");
    }
    for (url, from) in [
        ("https://mail.acme.test", "a@acme.test"),
        ("mail.acme.test", "a@acme.test"),
        ("smtp:", "a@acme.test"),
        ("smtps://u:%ff@mail.acme.test", "a@acme.test"),
        ("smtps://mail.acme.test", "nobody"),
        ("smtps://mail.acme.test", "a@acme.test\r\nBcc: b@acme.test"),
    ] {
        let SetupError { .. } = smtp(url, from).unwrap_or_else(|| panic!("{url} {from}"));
    }
    assert!(Smtp::trusting("smtps://mail.acme.test", "a@acme.test", b"no certificate").is_err());
}

#[tokio::test]
async fn a_webhook_is_signed_and_named() {
    let (url, seen) = http(Some(TAKEN)).await;
    let hook = Webhook::new(&format!("{url}/send"), vec![7; 32].into()).unwrap();
    hook.deliver(&code(Channel::Email, "ann@acme.test"))
        .await
        .unwrap();
    let seen = seen.lock().unwrap();
    assert!(seen[0].starts_with("POST /send HTTP/1.1\r\n"));
    assert_eq!(header(&seen[0], "idempotency-key"), "m-1");
    let sent: serde_json::Value = serde_json::from_str(body(&seen[0])).unwrap();
    assert_eq!(
        sent,
        serde_json::json!({
            "id": "m-1", "channel": "email", "to": "ann@acme.test", "kind": "code", "subject": "Your Acme code",
            "text": "123456 is your Acme code. It works for 5 minutes. Never give it to anybody.",
        })
    );
    // Computed by hand: printf '%s' "1700000000.$body" | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…
    assert_eq!(
        header(&seen[0], "stepup-signature"),
        "t=1700000000,v1=e64090af20684ed3efb3199b1980428ee1fd95dbc93822245177891c4a0ba852"
    );
}

#[tokio::test]
async fn a_webhook_that_does_not_answer_2xx_has_not_taken_the_message() {
    for answer in [
        "HTTP/1.1 302 Away\r\nlocation: /else\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        "HTTP/1.1 500 Oops\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    ] {
        let (url, seen) = http(Some(answer)).await;
        let hook = Webhook::new(&url, vec![7; 32].into()).unwrap().only(Channel::Sms);
        assert!(hook.carries(Channel::Sms) && !hook.carries(Channel::Email));
        let error = hook
            .deliver(&code(Channel::Sms, "+41791234567"))
            .await
            .unwrap_err();
        assert!(matches!(
            error.0.downcast_ref(),
            Some(WebhookError::Status(302 | 500))
        ));
        assert_eq!(seen.lock().unwrap().len(), 1);
    }
}

// Fail-over

#[derive(Debug)]
struct Fails;

#[async_trait]
impl Deliver for Fails {
    fn carries(&self, _: Channel) -> bool {
        true
    }

    async fn deliver(&self, _: &Message) -> Result<(), DeliveryError> {
        Err(DeliveryError("by the test".into()))
    }
}

#[tokio::test]
async fn the_next_carrier_takes_what_the_first_one_does_not() {
    let (url, seen) = http(Some(TAKEN)).await;
    let twilio = Twilio::at(&url, ACCOUNT, "token".to_owned().into(), "Acme").unwrap();
    let order = FailOver::new(Fails).then(twilio.clone()).then(Fails);
    order.deliver(&code(Channel::Sms, "+41791234567")).await.unwrap();
    assert_eq!(seen.lock().unwrap().len(), 1);
    // Who carries no mail is not asked for it; the last error is what is told.
    let only = FailOver::new(twilio);
    assert!(!only.carries(Channel::Email));
    let told = only.deliver(&code(Channel::Email, "ann@acme.test")).await;
    assert!(is(&told, &FailOverError::NoCarrier));
}

#[tokio::test(start_paused = true)]
async fn a_carrier_that_hangs_leaves_time_for_the_next() {
    #[derive(Debug)]
    struct Hangs;

    #[async_trait]
    impl Deliver for Hangs {
        fn carries(&self, _: Channel) -> bool {
            true
        }

        async fn deliver(&self, _: &Message) -> Result<(), DeliveryError> {
            std::future::pending().await
        }
    }

    let sms = code(Channel::Sms, "+41791234567");
    let told = FailOver::new(Hangs).then(Fails).deliver(&sms).await;
    assert!(!is(&told, &FailOverError::Late));
    assert!(is(
        &FailOver::new(Hangs).deliver(&sms).await,
        &FailOverError::Late
    ));
}

// SMTP

/// How a mail server behaves.
#[derive(Clone, Default)]
struct Manners {
    /// TLS from the first byte.
    wrapped: bool,
    /// Offers STARTTLS.
    starttls: bool,
    /// The answer to `RCPT TO`.
    recipient: Option<&'static str>,
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
            "AUTH" => "235 welcome",
            "RCPT" => manners.recipient.unwrap_or("250 ok"),
            "DATA" => {
                stream.write_all(b"354 go on\r\n").await.ok()?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    stream.read_line(&mut mail).await.ok()?;
                }
                log.lock().unwrap().push(mail);
                "250 taken"
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
            recipient: None,
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
        assert_eq!(seen.iter().filter(|line| line.starts_with("AUTH")).count(), 2);
        assert!(first("MAIL FROM:<no-reply@acme.test>").is_some());
        assert!(first("RCPT TO:<ann@acme.test>").is_some() && first("RCPT TO:<ben@acme.test>").is_some());
        let mail = seen.iter().find(|line| line.contains("Subject:")).unwrap();
        let (head, text) = mail.split_once("\r\n\r\n").unwrap();
        let mut names: Vec<_> = head.lines().map(|line| line.split_once(": ").unwrap()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                ("Auto-Submitted", "auto-generated"),
                ("Content-Transfer-Encoding", "7bit"),
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Date", "Tue, 14 Nov 2023 22:13:20 +0000"),
                ("From", "Acme <no-reply@acme.test>"),
                ("MIME-Version", "1.0"),
                ("Message-ID", "<m-1@acme.test>"),
                ("Subject", "Your Acme code"),
                ("To", "ann@acme.test"),
            ]
        );
        assert!(text.starts_with("123456 is your Acme code."));
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
