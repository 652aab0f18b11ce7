//! The rows of messages once more, with a real sender: Twilio's, over HTTP, to a provider on this machine. What counts is what
//! reaches the provider, and what it answers.

use serde_json::{Value, json};
use stepup::FactorId;

use super::messages::{CREATE, Events, ask, german, is_sent, swiss};
use crate::kit::carrier::{CLOSES, Exchange};
use crate::kit::{Client, MODES, Mode, PHONE, Response, Server, answer, half};

/// The demo that sends by Twilio to Switzerland and Germany, where a phone also signs in, behind a proxy on this machine.
async fn sending(exchange: &Exchange, events: &Events) -> Server {
    let (twilio, events) = (exchange.twilio(), events.clone());
    Server::start_both(
        |settings| {
            settings.first_factors.push(FactorId::OTP_PHONE);
            settings.trusted_proxies = vec!["127.0.0.1".to_owned()];
            settings.sms_countries = Some(vec!["CH".to_owned(), "DE".to_owned()]);
            settings.twilio = Some(twilio);
        },
        move |builder| builder.events(events.clone()),
    )
    .await
}

/// Asks for a code to each of `phones`, each from a network of its own. How many were granted.
async fn asked(server: &Server, phones: impl IntoIterator<Item = String>) -> usize {
    let mallory = server.client(Mode::Cookie);
    let mut granted = 0;
    for (n, phone) in phones.into_iter().enumerate() {
        granted += usize::from(is_sent(
            &ask(&mallory, CREATE, &phone, &format!("198.51.{n}.1")).await,
        ));
        // The next one is judged by what became of this one.
        server.site.settle().await;
    }
    granted
}

/// Answers the code that the provider was given last.
async fn consumed(exchange: &Exchange, client: &mut Client, created: &Value) -> Response {
    client.consume(created, &exchange.code()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_01_no_more_than_ten_an_hour_from_one_network_reach_the_provider() {
    let exchange = Exchange::start().await;
    let server = sending(&exchange, &Events::default()).await;
    let mallory = server.client(Mode::Cookie);
    let mut granted = 0;
    for n in 0..40 {
        granted += usize::from(is_sent(&ask(&mallory, CREATE, &swiss(n), "198.51.100.1").await));
    }
    server.site.settle().await;
    assert_eq!((granted, exchange.numbers().len()), (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_02_what_the_provider_takes_and_nobody_answers_closes_a_country() {
    let (exchange, events) = (Exchange::start().await, Events::default());
    let server = sending(&exchange, &events).await;
    assert_eq!(asked(&server, (0..45).map(swiss)).await, 30);
    assert!(events.count("sms.breaker") >= 1);
    assert_eq!(asked(&server, [german(1)]).await, 1);
    let numbers = exchange.numbers();
    assert_eq!((numbers.len(), numbers.last()), (31, Some(&german(1))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_02_what_the_provider_refuses_closes_no_country_and_what_may_have_been_sent_does() {
    for (status, expected) in [(503, 45), (400, 45), (500, 30), (CLOSES, 30)] {
        let (exchange, events) = (Exchange::start().await, Events::default());
        exchange.answers(status);
        let server = sending(&exchange, &events).await;
        assert_eq!(asked(&server, (0..45).map(swiss)).await, expected, "{status}");
        assert_eq!(events.count("sms.breaker") > 0, expected == 30, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_02_a_country_that_people_answer_from_stays_open() {
    let (exchange, events) = (Exchange::start().await, Events::default());
    let server = sending(&exchange, &events).await;
    for n in 0..45 {
        let mut client = server.client(Mode::Header);
        let from = format!("198.51.{n}.1");
        client.extra = vec![("x-forwarded-for".to_owned(), from.clone())];
        let created = ask(&client, CREATE, &swiss(n), &from).await;
        assert!(is_sent(&created), "{n}");
        server.site.settle().await;
        if n % 3 == 0 {
            let answered = consumed(&exchange, &mut client, &created.json()).await;
            assert_eq!(answered.status_field(), "OK", "{answered:?}");
        }
    }
    assert_eq!((exchange.count(), events.count("sms.breaker")), (45, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_03_nothing_for_a_number_that_is_not_served_reaches_the_provider() {
    let exchange = Exchange::start().await;
    let server = sending(&exchange, &Events::default()).await;
    let account = half(&server, Mode::Header, "alice@example.com").await;
    for phone in [
        "+447911123456",
        "+88213300000",
        "+979123456789",
        "+19005550123",
        "+41442345678",
    ] {
        for client in [&server.client(Mode::Header), &account] {
            let body = json!({ "phoneNumber": phone });
            let refused = client.peek("POST", CREATE, Some(&body), &[]).await;
            assert_eq!(refused.status, 200, "{phone}: {refused:?}");
            assert_ne!(refused.status_field(), "OK", "{phone}: {refused:?}");
        }
    }
    server.site.settle().await;
    assert_eq!(exchange.count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_05_one_number_reaches_the_provider_three_times_whoever_asks() {
    let exchange = Exchange::start().await;
    let server = sending(&exchange, &Events::default()).await;
    assert_eq!(asked(&server, (0..12).map(|_| PHONE.to_owned())).await, 3);
    assert_eq!(exchange.numbers(), [PHONE; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_07_a_code_is_handed_to_the_provider_once_whatever_it_answers() {
    for status in [201, 400, 429, 500, 503, CLOSES] {
        let exchange = Exchange::start().await;
        exchange.answers(status);
        let server = sending(&exchange, &Events::default()).await;
        assert_eq!(asked(&server, [swiss(1)]).await, 1, "the answer does not tell");
        // Long enough for whoever would try again.
        server.moved(120).await;
        server.site.settle().await;
        assert_eq!(exchange.numbers(), [swiss(1)], "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_11_an_enrolled_owner_gets_a_code_while_the_country_is_closed() {
    for mode in MODES {
        let (exchange, events) = (Exchange::start().await, Events::default());
        let server = sending(&exchange, &events).await;
        let mut alice = half(&server, mode, "alice@example.com").await;
        for enrolled in [false, true] {
            let body = json!({ "phoneNumber": PHONE, "shouldTryLinkingWithSessionUser": true });
            let created = alice.post(CREATE, body).await;
            assert!(is_sent(&created));
            server.site.settle().await;
            assert_eq!(exchange.numbers().last().map(String::as_str), Some(PHONE));
            let body = answer(&created.json(), &exchange.code());
            let mut linked = body.clone();
            linked["shouldTryLinkingWithSessionUser"] = true.into();
            let consumed = alice.post("/auth/signinup/code/consume", linked).await;
            assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
            assert!(alice.completed());
            if !enrolled {
                assert_eq!(asked(&server, (10..60).map(swiss)).await, 29);
                assert!(events.count("sms.breaker") >= 1);
                alice = server.client(mode);
                assert_eq!(alice.sign_in("alice@example.com").await.status_field(), "OK");
            }
        }
    }
}
