//! Messages from the request that causes them to the carrier: their language, what is told of each try, and what an outage
//! does. In one process, with a clock in hand; jobs run when the test says so.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

#[path = "kit/carrier.rs"]
mod carrier;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use carrier::{CLOSES, Exchange, SENDERS};
use http::Request;
use serde_json::json;
use stepup::Countries;
use stepup::wire::Wire;
use stepup_core::delivery::{
    Channel, Content, Deliver, DeliveryError, Failure, Language, Message, NoticeKind, UserDirectory,
};
use stepup_core::entropy::OsEntropy;
use stepup_core::error::Source;
use stepup_core::event::{Event, EventSink};
use stepup_core::factor::password::Password as PasswordFactor;
use stepup_core::factor::passwordless::Passwordless;
use stepup_core::flow::{Caller, Contact, FirstRefusal, General, SignUpOutcome, SignedIn};
use stepup_core::id::{KeyId, UserId};
use stepup_core::keyring::{Root, SecretList};
use stepup_core::password::Password;
use stepup_core::storage::memory::MemoryStore;
use stepup_core::{AppInfo, Builder, Stepup};
use stepup_delivery::FailOver;
use stepup_testkit::clock::ManualClock;
use stepup_testkit::mailbox::Mailbox;

const PHONE: &str = "+41791234567";

/// The events so far.
#[derive(Clone, Debug, Default)]
struct Events(Arc<Mutex<Vec<Event>>>);

impl EventSink for Events {
    fn record(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Events {
    /// Those of deliveries: name, reason, carrier.
    fn of_deliveries(&self) -> Vec<(&'static str, Option<&'static str>, Option<&'static str>)> {
        let events = self.0.lock().unwrap();
        let told = events
            .iter()
            .filter(|event| event.kind.name().starts_with("delivery."));
        told.map(|event| (event.kind.name(), event.reason, event.carrier))
            .collect()
    }

    fn count(&self, name: &str) -> usize {
        let events = self.0.lock().unwrap();
        events.iter().filter(|event| event.kind.name() == name).count()
    }
}

/// A carrier that ends as it is told.
#[derive(Clone, Debug)]
struct Ends(&'static str, Option<Failure>);

#[async_trait]
impl Deliver for Ends {
    fn carries(&self, _: Channel) -> bool {
        true
    }

    fn reveals_codes(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        self.0
    }

    async fn deliver(&self, message: &Message) -> Result<(), DeliveryError> {
        self.1.map_or(Ok(()), |failure| {
            Err(DeliveryError::new(failure, format!("no {}", message.to)))
        })
    }
}

struct Site {
    stepup: Stepup,
    mailbox: Mailbox,
    clock: ManualClock,
    events: Events,
}

/// A site whose codes go by `codes` and whose notices go to the mailbox, which also runs the jobs.
async fn site(mailbox: Mailbox, codes: impl Deliver, change: impl FnOnce(Builder) -> Builder) -> Site {
    let (clock, events) = (ManualClock::default(), Events::default());
    let secrets = SecretList::new(vec![Root::random(KeyId::from("k1"), &OsEntropy).unwrap()]);
    let app = AppInfo::new("Acme", "http://localhost:3000", "http://localhost:3000");
    let builder = Stepup::builder(app, Arc::new(MemoryStore::new()), secrets)
        .factor(PasswordFactor::new())
        .factor(
            Passwordless::sms(codes)
                .countries(Countries::All)
                .as_first_factor(),
        )
        .notices(mailbox.clone())
        .background(mailbox.clone())
        .events(events.clone())
        .clock(clock.clone());
    Site {
        stepup: change(builder).build().await.unwrap(),
        mailbox,
        clock,
        events,
    }
}

fn caller(language: Option<Language>) -> Caller {
    let mut caller = Caller::internal();
    caller.origin.network = "192.0.2.1".to_owned();
    caller.language = language;
    caller
}

impl Site {
    /// Asks for a code that signs in, from a network of its own. Whether it was taken.
    async fn ask(&self, number: &str, network: usize) -> bool {
        let mut caller = caller(None);
        caller.origin.network = format!("198.51.{network}.1");
        let contact = Contact::phone(number).unwrap();
        match self.stepup.create_first_code(&caller, &contact).await.unwrap() {
            Ok(_) => true,
            Err(FirstRefusal::General(General::Throttled(_))) => false,
            Err(other) => panic!("{other:?}"),
        }
    }

    async fn sign_up(&self) -> SignedIn {
        let password = Password::parse("correct horse battery").unwrap();
        match self
            .stepup
            .sign_up(&caller(None), "ann@acme.test", password)
            .await
            .unwrap()
        {
            SignUpOutcome::Created(signed_in) => *signed_in,
            other => panic!("{other:?}"),
        }
    }

    /// Adds a phone, asked for in `language`.
    async fn enroll(&self, language: Option<Language>) {
        let signed_in = self.sign_up().await;
        let access = self.stepup.verify(signed_in.tokens.access.expose()).unwrap();
        let caller = caller(language);
        let sent = self
            .stepup
            .create_code(&caller, &access, Channel::Sms, PHONE)
            .await
            .unwrap()
            .unwrap();
        let code = self.mailbox.last_code().await;
        self.stepup
            .consume_code(&caller, &access, &sent.device, &code)
            .await
            .unwrap();
        self.stepup.tick().await;
    }
}

#[tokio::test]
async fn a_code_is_in_the_language_that_its_request_asks_for() {
    let mailbox = Mailbox::new();
    let languages = [Language::FRENCH, Language::GERMAN, Language::ENGLISH];
    let site = site(mailbox.clone(), mailbox, |builder| builder.languages(languages)).await;
    let wire = Wire::from(&site.stepup);
    for (index, (asked, wanted)) in [
        ("de-CH,de;q=0.9,en;q=0.5", Language::GERMAN),
        ("en", Language::ENGLISH),
        ("ja", Language::FRENCH),
        ("", Language::FRENCH),
        ("<script>alert(1)</script>", Language::FRENCH),
    ]
    .into_iter()
    .enumerate()
    {
        let body = json!({ "phoneNumber": format!("+4179123456{index}") }).to_string();
        let request = Request::post("/auth/signinup/code")
            .header("content-type", "application/json")
            .header("origin", "http://localhost:3000")
            .header("accept-language", asked)
            .body(body.into_bytes().into())
            .unwrap();
        let answer = wire.handle(request).await;
        assert_eq!(answer.status(), 200, "{answer:?}");
        let message = site.mailbox.messages().await.pop().unwrap();
        assert_eq!(
            (message.language, message.site_language),
            (wanted, Language::FRENCH),
            "{asked}"
        );
        assert!(!format!("{message:?}").contains("script"));
    }
}

/// Knows what its users read.
#[derive(Debug)]
struct Portuguese;

#[async_trait]
impl UserDirectory for Portuguese {
    async fn contacts(&self, _: &UserId) -> Result<Vec<(Channel, String)>, Source> {
        Ok(Vec::new())
    }

    async fn language(&self, _: &UserId) -> Result<Option<Language>, Source> {
        Ok(Some(Language::PORTUGUESE))
    }
}

#[tokio::test]
async fn a_notice_keeps_the_language_it_was_caused_in_unless_the_application_knows_better() {
    for (known, wanted) in [(false, Language::JAPANESE), (true, Language::PORTUGUESE)] {
        let mailbox = Mailbox::new();
        let site = site(mailbox.clone(), mailbox, |builder| match known {
            true => builder.directory(Portuguese),
            false => builder,
        })
        .await;
        site.enroll(Some(Language::JAPANESE)).await;
        let messages = site.mailbox.messages().await;
        let notice = messages.last().unwrap();
        assert!(
            matches!(notice.content, Content::Notice(NoticeKind::FactorAdded { .. })),
            "{notice:?}"
        );
        assert_eq!(
            (notice.language, notice.site_language),
            (wanted, Language::ENGLISH)
        );
    }
}

#[tokio::test]
async fn each_try_is_told_with_its_carrier_and_a_masked_address_and_no_secret() {
    let mailbox = Mailbox::new();
    let order = FailOver::new(Ends("first", Some(Failure::Unsent)))
        .then(Ends("second", Some(Failure::Refused)))
        .then(mailbox.clone());
    let site = site(mailbox, order, |builder| builder).await;
    assert!(site.ask(PHONE, 1).await);
    let code = site.mailbox.last_code().await;
    assert_eq!(
        site.events.of_deliveries(),
        [
            ("delivery.failed_over", Some("unsent"), Some("first")),
            ("delivery.failed_over", Some("refused"), Some("second")),
            ("delivery.sent", None, Some("carrier")),
        ]
    );
    let events = site.events.0.lock().unwrap();
    let deliveries = || events.iter().filter(|event| event.carrier.is_some());
    assert!(deliveries().all(|event| event.destination.as_deref() == Some("+41*******67")));
    let printed = format!("{events:?}");
    assert!(!printed.contains(PHONE) && !printed.contains(&code), "{printed}");
}

#[tokio::test]
async fn what_nobody_took_is_told_as_refused_or_failed() {
    for (failure, wanted) in [
        (
            Failure::Refused,
            ("delivery.refused", Some("refused"), Some("only")),
        ),
        (Failure::Unsent, ("delivery.failed", Some("unsent"), Some("only"))),
        (
            Failure::Uncertain,
            ("delivery.failed", Some("uncertain"), Some("only")),
        ),
    ] {
        let site = site(Mailbox::new(), Ends("only", Some(failure)), |builder| builder).await;
        assert!(site.ask(PHONE, 1).await);
        site.mailbox.settle().await;
        assert_eq!(site.events.of_deliveries(), [wanted]);
    }
}

#[tokio::test]
async fn a_code_that_waited_until_it_was_dead_is_not_sent() {
    let mailbox = Mailbox::new();
    let site = site(mailbox.clone(), mailbox, |builder| builder).await;
    assert!(site.ask(PHONE, 1).await);
    // Codes that sign in live for ten minutes.
    site.clock.advance(Duration::from_secs(600));
    assert!(site.mailbox.messages().await.is_empty());
    assert_eq!(
        site.events.of_deliveries(),
        [("delivery.failed", Some("too_late"), None)]
    );
}

#[tokio::test]
async fn a_job_that_is_given_up_is_told() {
    /// Never ends.
    #[derive(Debug)]
    struct Hangs;

    #[async_trait]
    impl Deliver for Hangs {
        fn carries(&self, _: Channel) -> bool {
            true
        }

        fn reveals_codes(&self) -> bool {
            true
        }

        async fn deliver(&self, _: &Message) -> Result<(), DeliveryError> {
            std::future::pending().await
        }
    }

    let site = site(Mailbox::new(), Hangs, |builder| builder).await;
    assert!(site.ask(PHONE, 1).await);
    let settled = tokio::time::timeout(Duration::from_millis(20), site.mailbox.settle()).await;
    assert!(settled.is_err());
    assert_eq!(
        site.events.of_deliveries(),
        [("delivery.failed", Some("dropped"), None)]
    );
}

/// Threat A-SMS-02: a country is closed when hardly anybody answers from it, and not when nothing was sent to it. By what the
/// real senders make of the answer of a provider.
#[tokio::test]
async fn a_provider_that_is_down_closes_no_country_and_one_that_is_silent_does() {
    for (name, sender) in SENDERS {
        for (status, closes) in [
            (503, false),
            (429, false),
            (400, false),
            (500, true),
            (CLOSES, true),
            (201, true),
        ] {
            let exchange = Exchange::start().await;
            exchange.answers(status);
            let site = site(Mailbox::new(), sender(&exchange), |builder| builder).await;
            let mut taken = 0;
            for n in 0..40 {
                taken += usize::from(site.ask(&format!("+41791{n:06}"), n).await);
                site.mailbox.settle().await;
            }
            let expected = if closes { 30 } else { 40 };
            assert_eq!((taken, exchange.count()), (expected, expected), "{name} {status}");
            assert_eq!(site.events.count("sms.breaker") > 0, closes, "{name} {status}");
        }
    }
}
