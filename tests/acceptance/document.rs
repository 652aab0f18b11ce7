//! The OpenAPI document: it is served, it agrees with the interface that the clients were written against, and an answer
//! that it does not describe is noticed.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use stepup::wire::{Transport, Wire};

use crate::kit::document::Document;
use crate::kit::{Mode, PHONE, Response, Server, full, half};

async fn served(server: &Server) -> Value {
    let response = server
        .client(Mode::Header)
        .peek("GET", "/auth/openapi.json", None, &[])
        .await;
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert!(response.touches_no_token());
    response.json()
}

fn answer(status: u16, body: &Value) -> Response {
    Response {
        status,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: body.to_string().into_bytes(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_not_described_is_noticed() {
    let document = Document::of(served(&Server::start().await).await);
    let judge =
        |method: &str, path: &str, status, body: Value| document.judge(method, path, &answer(status, &body));
    let fine = |method: &str, path: &str, status, body| {
        assert_eq!(judge(method, path, status, body), Ok(()), "{path}")
    };
    let noticed = |method: &str, path: &str, status, body: Value| {
        assert!(
            judge(method, path, status, body.clone()).is_err(),
            "{method} {path} {status} {body}"
        );
    };
    fine("POST", "/signout", 200, json!({ "status": "OK" }));
    fine("POST", "/session/refresh", 200, json!({}));
    fine(
        "POST",
        "/public/signin",
        200,
        json!({ "status": "WRONG_CREDENTIALS_ERROR" }),
    );
    fine("PUT", "/mfa/info", 401, json!({ "message": "unauthorised" }));
    fine("GET", "/unknown", 404, json!({ "message": "not found" }));
    fine(
        "PATCH",
        "/signin",
        405,
        json!({ "message": "method not allowed" }),
    );

    noticed("POST", "/signout", 200, json!({ "status": "DONE" }));
    noticed("POST", "/signout", 200, json!({ "status": "OK", "more": 1 }));
    noticed("POST", "/signout", 204, json!({}));
    noticed("POST", "/session/refresh", 200, json!({ "status": "OK" }));
    noticed("POST", "/signin", 200, json!({ "status": "OK" }));
    noticed(
        "POST",
        "/signin",
        200,
        json!({ "status": "OK", "user": { "id": "x" } }),
    );
    noticed("POST", "/signin", 418, json!({ "message": "teapot" }));
    noticed("PUT", "/mfa/info", 401, json!({ "error": "unauthorised" }));
    noticed(
        "PUT",
        "/mfa/info",
        403,
        json!({ "message": "invalid claim", "claimValidationErrors": [] }),
    );
    noticed("GET", "/unknown", 200, json!({ "status": "OK" }));
    noticed("PATCH", "/signin", 200, json!({ "status": "OK" }));
    noticed("get", "/mfa/info", 200, json!({ "status": "OK" }));
    noticed("POST", "/unknown/session/revoke", 200, json!({ "status": "OK" }));
    let untyped = Response {
        headers: Vec::new(),
        ..answer(200, &json!({ "status": "OK" }))
    };
    assert!(document.judge("POST", "/signout", &untyped).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_the_same_for_everybody_and_names_no_user() {
    let server = Server::start().await;
    let before = served(&server).await;
    let mut ann = full(&server, Mode::Cookie, "ann@example.com", PHONE).await;
    let after = ann.get("/auth/openapi.json").await;
    assert_eq!(after.json(), before);
    assert_eq!(after.header("access-control-allow-origin"), Some("*"));
    let head = ann.peek("HEAD", "/auth/openapi.json", None, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_can_be_switched_off() {
    let server = Server::start().await;
    let silent = Wire::new(server.site.stepup.clone(), &Transport::new().without_document()).unwrap();
    let request = http::Request::get("/auth/openapi.json")
        .body(Default::default())
        .unwrap();
    assert_eq!(silent.handle(request).await.status(), 404);
}

/// What the published interface says of the endpoints that the clients call, as names: the fields that a body needs,
/// and the statuses that a 200 may have.
const INTERFACE: &[(&str, &str, &[&str], &[&str])] = &[
    (
        "post",
        "/signin",
        &["formFields"],
        &[
            "OK",
            "SIGN_IN_NOT_ALLOWED",
            "FIELD_ERROR",
            "WRONG_CREDENTIALS_ERROR",
            "GENERAL_ERROR",
        ],
    ),
    (
        "post",
        "/signup",
        &["formFields"],
        &["OK", "SIGN_UP_NOT_ALLOWED", "FIELD_ERROR", "GENERAL_ERROR"],
    ),
    (
        "get",
        "/emailpassword/email/exists",
        &[],
        &["OK", "GENERAL_ERROR"],
    ),
    (
        "get",
        "/passwordless/phoneNumber/exists",
        &[],
        &["OK", "GENERAL_ERROR"],
    ),
    (
        "post",
        "/signinup/code",
        &[],
        &["OK", "SIGN_IN_UP_NOT_ALLOWED", "GENERAL_ERROR"],
    ),
    (
        "post",
        "/signinup/code/resend",
        &["deviceId", "preAuthSessionId"],
        &["OK", "RESTART_FLOW_ERROR", "GENERAL_ERROR"],
    ),
    (
        "post",
        "/signinup/code/consume",
        &["preAuthSessionId"],
        &[
            "OK",
            "INCORRECT_USER_INPUT_CODE_ERROR",
            "EXPIRED_USER_INPUT_CODE_ERROR",
            "RESTART_FLOW_ERROR",
            "SIGN_IN_UP_NOT_ALLOWED",
            "GENERAL_ERROR",
        ],
    ),
    ("put", "/mfa/info", &[], &["OK", "GENERAL_ERROR"]),
    ("post", "/signout", &[], &["OK", "GENERAL_ERROR"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_status_is_answered_and_no_field_demanded_that_the_interface_does_not_have() {
    let document = served(&Server::start().await).await;
    for (method, path, fields, statuses) in INTERFACE {
        let operation = &document["paths"][*path][*method];
        let answers = &operation["responses"]["200"]["content"]["application/json"]["schema"]["anyOf"];
        let ours: BTreeSet<&str> = answers
            .as_array()
            .unwrap()
            .iter()
            .map(|answer| answer["properties"]["status"]["const"].as_str().unwrap())
            .collect();
        // A code for which there is no session to complete is one for which to start anew; the interface has no word
        // for it on create.
        let known = |status: &&str| {
            statuses.contains(status) || (*path == "/signinup/code" && *status == "RESTART_FLOW_ERROR")
        };
        assert!(ours.iter().all(known), "{path}: {ours:?}");
        assert!(ours.contains("OK"), "{path}");
        let body = &operation["requestBody"]["content"]["application/json"]["schema"];
        let demanded: Vec<&str> = body["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        assert_eq!(demanded, *fields, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flat_and_linked_users_are_both_described() {
    let server = Server::start().await;
    for version in ["1.17", "2.0", "3.0", "4.2"] {
        let mut client = half(&server, Mode::Header, &format!("v{version}@example.com")).await;
        client.extra.push(("fdi-version".to_owned(), version.to_owned()));
        // The kit holds every answer against the document.
        assert_eq!(
            client
                .sign_in(&format!("v{version}@example.com"))
                .await
                .status_field(),
            "OK"
        );
        server.moved(20).await;
    }
}
