//! Connections: kept alive, shared by many, and broken off.

use std::sync::Arc;

use bytes::Bytes;
use http::Request;

use super::guards::{get, is, post_to};
use super::subject::{Subject, written};
use crate::transcript::Connection;

/// A connection carries many requests, and each stands for itself: a session, what it owes, and a refusal end with their
/// request. In one write, too.
pub async fn nothing_of_a_request_is_left_for_the_next_on_its_connection(subject: Subject) {
    let kit = &subject.kit;
    let ann = bytes(get(kit.request_as("ann").complete().await, "/secret"));
    let plan = bytes(post_to(kit.request_as("ann").complete().await, "/plan"));
    let nobody = bytes(get(Request::builder(), "/secret"));
    let optional = bytes(get(Request::builder(), "/optional"));

    let mut connection = Connection::open(subject.address()).await;
    let mut ask = async |bytes: &[u8]| {
        connection.send(bytes).await;
        connection.answer("GET").await
    };
    is(&ask(&ann).await, 200, "ann");
    is(&ask(&nobody).await, 401, "nobody after ann");
    let changed = ask(&plan).await;
    assert!(changed.header("set-cookie").is_some(), "{changed}");
    let after = ask(&optional).await;
    assert_eq!((after.status, after.text().as_str()), (200, "nobody"), "{after}");
    assert!(after.header("set-cookie").is_none() && after.header("front-token").is_none());
    is(&ask(&ann).await, 200, "ann again");

    let mut connection = Connection::open(subject.address()).await;
    connection
        .send(&[&ann[..], &nobody, &plan, &optional].concat())
        .await;
    for (status, owes) in [(200, false), (401, false), (200, true), (200, false)] {
        let answer = connection.answer("GET").await;
        is(&answer, status, "in one write");
        assert_eq!(answer.header("set-cookie").is_some(), owes, "{answer}");
    }
}

/// Many requests at once: everybody gets what is theirs.
pub async fn requests_at_once_keep_their_answers_apart(subject: Subject) {
    let mut people = Vec::new();
    for number in 0..8 {
        let name = format!("person{number}");
        let request = subject.kit.request_as(&name).by_header().half().await;
        let token = request.headers_ref().unwrap()["authorization"].clone();
        people.push((token, subject.kit.user_id(&name).await));
    }
    let subject = Arc::new(subject);
    let mut tasks = tokio::task::JoinSet::new();
    for (token, user) in people {
        let subject = subject.clone();
        tasks.spawn(async move {
            for _ in 0..20 {
                let own = || Request::builder().header("authorization", token.clone());
                let answer = subject.send(get(own(), "/any")).await;
                assert_eq!(answer.text(), user.as_str(), "{answer}");
                let answer = subject.send(post_to(own(), "/plan")).await;
                let token = answer.header("st-access-token").expect("a token");
                let claims = subject.kit.stepup.verify(token).expect("a token of ours");
                assert_eq!(claims.user_id(), &user);
                is(
                    &subject.send(get(Request::builder(), "/any")).await,
                    401,
                    "nobody",
                );
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("everybody gets what is theirs");
    }
}

/// Clients that break off, at any place, leave the server to the others.
pub async fn a_client_that_hangs_up_takes_nobody_along(subject: Subject) {
    let kit = &subject.kit;
    let login = b"POST /auth/signin HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 400\r\n\r\n{\"form";
    let plan = bytes(post_to(kit.request_as("ann").complete().await, "/plan"));
    for whole in [&login[..], &plan, b"GET /any HTTP/1.1\r\nhost"] {
        for length in [1, whole.len() / 2, whole.len()] {
            let mut connection = Connection::open(subject.address()).await;
            connection.send(&whole[..length]).await;
            drop(connection);
        }
    }
    let request = get(kit.request_as("ann").complete().await, "/secret");
    is(&subject.send(request).await, 200, "the others");
}

fn bytes(request: http::request::Builder) -> Vec<u8> {
    written(&request.body(Bytes::new()).unwrap())
}
