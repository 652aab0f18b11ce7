//! The carriers over HTTP against servers on this machine that check what they are sent.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod kit;

use std::sync::LazyLock;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use stepup_core::delivery::{Channel, Content, Deliver, Failure, Language, Message, NoticeKind};
use stepup_core::time::Timestamp;
use stepup_delivery::{
    AwsKeys, SetupError, Smtp, Sns, SnsError, Templates, Text, Twilio, TwilioError, Vonage, VonageError,
    Webhook, WebhookError, text,
};
use tokio::net::TcpListener;

use kit::{AT, TAKEN, body, code, header, http, message};

const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

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
        error.source.downcast_ref::<TwilioError>(),
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

#[tokio::test]
async fn vonage_is_sent_the_message_that_it_documents() {
    let (url, seen) = http(Some(TAKEN)).await;
    let vonage = |sender| Vonage::at(&url, "abcd1234", "secret".to_owned().into(), sender).unwrap();
    let notice = Content::Notice(NoticeKind::FactorsReset {
        at: Timestamp::from_ms(AT),
    });
    let to = "+41791234567";
    vonage("+15005550006")
        .deliver(&code(Channel::Sms, to).in_language(Language::JAPANESE, Language::ENGLISH))
        .await
        .unwrap();
    vonage("Acme")
        .deliver(&message(Channel::Sms, to, notice))
        .await
        .unwrap();

    let seen = seen.lock().unwrap();
    assert!(
        seen.iter()
            .all(|request| request.starts_with("POST /v1/messages HTTP/1.1\r\n"))
    );
    // abcd1234:secret
    assert_eq!(header(&seen[0], "authorization"), "Basic YWJjZDEyMzQ6c2VjcmV0");
    assert_eq!(header(&seen[0], "content-type"), "application/json");
    let sent: Vec<serde_json::Value> = seen
        .iter()
        .map(|request| serde_json::from_str(body(request)).unwrap())
        .collect();
    assert_eq!(
        sent[0],
        serde_json::json!({
            "message_type": "text", "channel": "sms", "to": "41791234567", "from": "15005550006", "client_ref": "m-1", "ttl": 300,
            "text": "Acmeの確認コード: 123456（有効期間5分）。誰にも教えないでください。\n\n@acme.test #123456",
        })
    );
    assert_eq!((&sent[1]["from"], sent[1].get("ttl")), (&"Acme".into(), None));
}

#[tokio::test]
async fn sns_is_sent_a_signed_form() {
    let (url, seen) = http(Some(TAKEN)).await;
    let keys = AwsKeys::new("AKIDEXAMPLE", "secret".to_owned().into());
    let plain = Sns::at(&url, "eu-west-1", keys.clone()).unwrap();
    let with_token = plain
        .clone()
        .sender("+15005550006")
        .unwrap()
        .keys_from(move || keys.clone().with_token("to/ken".to_owned().into()));
    let sms = code(Channel::Sms, "+41791234567");
    plain.sender("Acme").unwrap().deliver(&sms).await.unwrap();
    with_token.deliver(&sms).await.unwrap();

    let seen = seen.lock().unwrap();
    assert!(
        seen.iter()
            .all(|request| request.starts_with("POST / HTTP/1.1\r\n"))
    );
    let form = "Action=Publish&Version=2010-03-31&PhoneNumber=%2B41791234567&Message=123456+is+your+Acme+code.+It+works+for\
                +5+minutes.+Never+give+it+to+anybody.%0A%0A%40acme.test+%23123456\
                &MessageAttributes.entry.1.Name=AWS.SNS.SMS.SMSType&MessageAttributes.entry.1.Value.DataType=String\
                &MessageAttributes.entry.1.Value.StringValue=Transactional&MessageAttributes.entry.2.Name=";
    let attribute =
        "&MessageAttributes.entry.2.Value.DataType=String&MessageAttributes.entry.2.Value.StringValue=";
    assert_eq!(
        body(&seen[0]),
        format!("{form}AWS.SNS.SMS.SenderID{attribute}Acme")
    );
    assert_eq!(
        body(&seen[1]),
        format!("{form}AWS.MM.SMS.OriginationNumber{attribute}%2B15005550006")
    );
    assert_eq!(header(&seen[1], "x-amz-security-token"), "to/ken");
    for (request, token) in seen.iter().zip(["", "to/ken"]) {
        assert_eq!(header(request, "x-amz-date"), "20231114T221320Z");
        assert_eq!(
            header(request, "content-type"),
            "application/x-www-form-urlencoded"
        );
        assert_eq!(
            header(request, "authorization"),
            expected(header(request, "host"), token, body(request))
        );
    }
}

/// The signature of AWS as its documentation puts it together, written a second time.
fn expected(host: &str, token: &str, body: &str) -> String {
    let mac = |key: &[u8], text: &str| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
        mac.update(text.as_bytes());
        mac.finalize().into_bytes().to_vec()
    };
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut headers = vec![
        ("content-type", "application/x-www-form-urlencoded"),
        ("host", host),
        ("x-amz-date", "20231114T221320Z"),
    ];
    if !token.is_empty() {
        headers.push(("x-amz-security-token", token));
    }
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}:{value}\n"))
        .collect();
    let names = headers
        .iter()
        .map(|(name, _)| *name)
        .collect::<Vec<_>>()
        .join(";");
    let canonical = ["POST", "/", "", &lines, &names, &hex(&Sha256::digest(body))].join("\n");
    let scope = "20231114/eu-west-1/sns/aws4_request";
    let digest = hex(&Sha256::digest(canonical));
    let text = ["AWS4-HMAC-SHA256", "20231114T221320Z", scope, &digest].join("\n");
    let key = mac(
        &mac(&mac(&mac(b"AWS4secret", "20231114"), "eu-west-1"), "sns"),
        "aws4_request",
    );
    let signature = hex(&mac(&key, &text));
    format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={signature}")
}

/// All carriers over HTTP, at `url`.
fn carriers(url: &str) -> Vec<Box<dyn Deliver>> {
    let secret = || "s3cret-token-s3cret-token-s3cret".to_owned();
    vec![
        Box::new(Twilio::at(url, ACCOUNT, secret().into(), "Acme").unwrap()),
        Box::new(Vonage::at(url, "abcd1234", secret().into(), "Acme").unwrap()),
        Box::new(Sns::at(url, "eu-west-1", AwsKeys::new("AKID", secret().into())).unwrap()),
        Box::new(Webhook::new(url, secret().into_bytes().into()).unwrap()),
    ]
}

/// An answer of 400 with a body that goes on and on.
fn huge() -> &'static str {
    static HUGE: LazyLock<String> = LazyLock::new(|| {
        let body = "{\"code\":21211,\"type\":\"x#1\"<Code>X</Code>".to_owned() + &"x".repeat(4 << 20);
        format!(
            "HTTP/1.1 400 Bad\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
    });
    &HUGE
}

#[tokio::test]
async fn every_carrier_tells_how_far_a_message_came_and_quotes_nothing() {
    const QUOTING: &str = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n\
                           {\"code\":\"+41791234567\",\"type\":\"+41791234567 123456\",\"detail\":\"+41791234567\"}\
                           <Code>+41791234567</Code>";
    for (answer, failure) in [
        (
            "HTTP/1.1 422 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Failure::Refused,
        ),
        (QUOTING, Failure::Refused),
        (huge(), Failure::Refused),
        (
            "HTTP/1.1 401 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Failure::Unsent,
        ),
        (
            "HTTP/1.1 429 Slowly\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Failure::Unsent,
        ),
        (
            "HTTP/1.1 503 Later\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Failure::Unsent,
        ),
        (
            "HTTP/1.1 307 Away\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Failure::Unsent,
        ),
        (
            "HTTP/1.1 500 Oops\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{]",
            Failure::Uncertain,
        ),
        ("no HTTP at all\r\n\r\n", Failure::Uncertain),
        ("", Failure::Uncertain),
    ] {
        let (url, seen) = http(Some(answer)).await;
        for (index, carrier) in carriers(&url).iter().enumerate() {
            let mut attempts = Vec::new();
            let told = carrier
                .attempt(&code(Channel::Sms, "+41791234567"), &mut attempts)
                .await;
            let error = told.unwrap_err();
            assert_eq!(error.failure, failure, "{carrier:?} {answer:.40}");
            assert_eq!((attempts.len(), attempts[0].failure), (1, Some(failure)));
            let printed = format!("{error:?} {} {carrier:?}", error.source);
            for secret in ["41791234567", "123456", "s3cret", "127.0.0.1"] {
                assert!(!printed.contains(secret), "{printed}");
            }
            // Neither a redirect nor a failure is followed by a second request.
            assert_eq!(seen.lock().unwrap().len(), index + 1);
        }
    }
    // Nobody is there: surely not sent.
    let closed = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    for carrier in carriers(&format!("http://{closed}")) {
        let error = carrier
            .deliver(&code(Channel::Sms, "+41791234567"))
            .await
            .unwrap_err();
        assert_eq!(error.failure, Failure::Unsent, "{carrier:?}");
    }
}

#[tokio::test]
async fn what_sns_and_vonage_refuse_is_told_by_their_own_words() {
    let throttled = "HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n\
                     <ErrorResponse><Error><Code>Throttling</Code><Message>+41791234567</Message></Error></ErrorResponse>";
    let (url, _) = http(Some(throttled)).await;
    let sns = Sns::at(&url, "eu-west-1", AwsKeys::new("AKID", "s".to_owned().into())).unwrap();
    let error = sns
        .deliver(&code(Channel::Sms, "+41791234567"))
        .await
        .unwrap_err();
    assert_eq!(error.failure, Failure::Unsent);
    assert!(matches!(
        error.source.downcast_ref(),
        Some(SnsError::Refused { status: 400, code: Some(code) }) if code == "Throttling"
    ));
    let invalid = "HTTP/1.1 422 Unprocessable\r\nconnection: close\r\n\r\n\
                   {\"type\":\"https://developer.vonage.com/api-errors/messages#1150\",\"detail\":\"+41791234567\"}";
    let (url, _) = http(Some(invalid)).await;
    let vonage = Vonage::at(&url, "abcd1234", "s".to_owned().into(), "Acme").unwrap();
    let error = vonage
        .deliver(&code(Channel::Sms, "+41791234567"))
        .await
        .unwrap_err();
    assert!(matches!(
        error.source.downcast_ref(),
        Some(VonageError::Refused {
            status: 422,
            code: Some(1150)
        })
    ));
}

/// Words of an application's own.
#[derive(Debug)]
struct Ours;

impl Templates for Ours {
    fn write(&self, message: &Message) -> Text {
        Text {
            body: format!("ours in {}", message.language),
            ..text(message)
        }
    }
}

#[tokio::test]
async fn an_application_writes_its_own_words() {
    let (url, seen) = http(Some(TAKEN)).await;
    let secret = || "secret".to_owned().into();
    let carriers: [Box<dyn Deliver>; 4] = [
        Box::new(
            Twilio::at(&url, ACCOUNT, secret(), "Acme")
                .unwrap()
                .templates(Ours),
        ),
        Box::new(
            Vonage::at(&url, "abcd1234", secret(), "Acme")
                .unwrap()
                .templates(Ours),
        ),
        Box::new(
            Sns::at(&url, "eu-west-1", AwsKeys::new("AKID", secret()))
                .unwrap()
                .templates(Ours),
        ),
        Box::new(Webhook::new(&url, vec![7; 32].into()).unwrap().templates(Ours)),
    ];
    let italian = Language::new("it").unwrap();
    for carrier in carriers {
        let sms = code(Channel::Sms, "+41791234567").in_language(italian, Language::ENGLISH);
        carrier.deliver(&sms).await.unwrap();
    }
    let seen = seen.lock().unwrap();
    assert!(
        seen.iter()
            .all(|request| body(request).replace('+', " ").contains("ours in it"))
    );
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
    let vonage = |url: &str, key: &str, from: &str| Vonage::at(url, key, "s".to_owned().into(), from).err();
    assert_eq!(vonage("https://api.nexmo.com", "abcd1234", "+15005550006"), None);
    for (url, key, from) in [
        ("http://api.nexmo.com", "abcd1234", "Acme"),
        ("https://api.nexmo.com", "", "Acme"),
        ("https://api.nexmo.com", "ab:cd", "Acme"),
        ("https://api.nexmo.com", "abcd1234", "15005550006"),
        ("https://api.nexmo.com", "abcd1234", "A name that is too long"),
    ] {
        assert!(vonage(url, key, from).is_some(), "{url} {key} {from}");
    }
    let sns = |url: &str, region: &str, id: &str, from: &str| {
        Sns::at(url, region, AwsKeys::new(id, "s".to_owned().into())).and_then(|sns| sns.sender(from))
    };
    assert!(sns("https://sns.eu-west-1.amazonaws.com", "eu-west-1", "AKID", "Acme").is_ok());
    for (url, region, id, from) in [
        ("http://sns.eu-west-1.amazonaws.com", "eu-west-1", "AKID", "Acme"),
        ("https://sns.eu-west-1.amazonaws.com", "eu/west", "AKID", "Acme"),
        ("https://sns.eu-west-1.amazonaws.com", "", "AKID", "Acme"),
        (
            "https://sns.eu-west-1.amazonaws.com",
            "eu-west-1",
            "AK ID",
            "Acme",
        ),
        (
            "https://sns.eu-west-1.amazonaws.com",
            "eu-west-1",
            "AKID",
            "Ac me",
        ),
        ("https://sns.eu-west-1.amazonaws.com", "eu-west-1", "AKID", "+1"),
    ] {
        assert!(sns(url, region, id, from).is_err(), "{url} {region} {id} {from}");
    }
    assert!(Sns::new("evil.test/", AwsKeys::new("AKID", "s".to_owned().into())).is_err());
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
    let seen = seen.lock().unwrap().clone();
    assert!(seen[0].starts_with("POST /send HTTP/1.1\r\n"));
    assert_eq!(header(&seen[0], "idempotency-key"), "m-1");
    let sent: serde_json::Value = serde_json::from_str(body(&seen[0])).unwrap();
    assert_eq!(
        sent,
        serde_json::json!({
            "id": "m-1", "channel": "email", "to": "ann@acme.test", "kind": "code", "language": "en",
            "subject": "Your Acme code",
            "text": "123456 is your Acme code. It works for 5 minutes. Never give it to anybody.",
            "html": sent["html"],
        })
    );
    assert!(sent["html"].as_str().unwrap().contains("<strong"));

    // Computed by hand: printf '%s' "1700000000.$body" | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707…
    let (url, seen) = http(Some(TAKEN)).await;
    let hook = Webhook::new(&url, vec![7; 32].into()).unwrap();
    hook.deliver(&code(Channel::Sms, "+41791234567")).await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(body(&seen[0]), SIGNED);
    assert_eq!(header(&seen[0], "stepup-signature"), SIGNATURE);
}

const SIGNED: &str = r#"{"id":"m-1","channel":"sms","to":"+41791234567","kind":"code","language":"en","subject":"Your Acme code","text":"123456 is your Acme code. It works for 5 minutes. Never give it to anybody.\n\n@acme.test #123456"}"#;
const SIGNATURE: &str = "t=1700000000,v1=24637b97ccbf195b66a90598a3dcac8491060229d31d348f418586874e8adc72";

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
            error.source.downcast_ref(),
            Some(WebhookError::Status(302 | 500))
        ));
        assert_eq!(seen.lock().unwrap().len(), 1);
    }
}
