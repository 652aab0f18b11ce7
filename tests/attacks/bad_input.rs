//! Bad input, byte by byte, at every endpoint: an answer of the contract, and nothing else happens.

use std::time::Duration;

use demo_common::Settings;
use serde_json::{Value, json};
use stepup::config::EmailVerification;
use stepup::wire::route::{Endpoint, Open, ROUTES};
use stepup::wire::table::{Access, Body};
use stepup_core::storage::memory::MemoryStore;
use stepup_testkit::faults::{FaultyStore, When};

use super::database::{self, Still};
use super::own::{Own, login};
use crate::kit::framework::Framework;
use crate::kit::{Client, Mode, OTHER_PHONE, PASSWORD, PHONE, Response, Server, form, full, half};

const ALICE: &str = "alice@example.com";
const JSON: (&str, &str) = ("content-type", "application/json");

/// A request as bytes. It closes the connection, and tells the length of its body unless `headers` frame it.
fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let framed = headers
        .iter()
        .any(|(name, _)| matches!(*name, "content-length" | "transfer-encoding"));
    if !framed {
        text.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    [text.as_bytes(), body].concat()
}

/// Every refusal is JSON with a `message`, every answer of the protocol JSON with a `status`.
fn assert_answer(response: &Response, statuses: &[u16], at: &str) {
    assert!(
        statuses.contains(&response.status),
        "{at}: {} not in {statuses:?}: {response:?}",
        response.status
    );
    let field = if response.status == 200 {
        "status"
    } else {
        "message"
    };
    assert!(response.json()[field].is_string(), "{at}: {response:?}");
    let kind = response.header("content-type").unwrap_or_default();
    assert!(kind.starts_with("application/json"), "{at}: {kind}");
}

/// An endpoint that reads a JSON body, with one that it would take.
struct Taker {
    path: String,
    body: Value,
    /// The fields whose type matters.
    fields: Vec<&'static str>,
}

fn takers() -> Vec<Taker> {
    let takers: Vec<Taker> = ROUTES
        .iter()
        // What asks for more is closed to the half-login that these tests hold.
        .filter(|row| row.body == Body::Json && row.access <= Access::HalfLogin)
        .map(|row| {
            let pair = json!({ "deviceId": "x", "preAuthSessionId": "y" });
            let (body, fields) = match row.path {
                "/signup" | "/signin" => (form("odd@example.com", PASSWORD), vec!["formFields"]),
                "/user/password/reset/token" => {
                    let form = json!([{ "id": "email", "value": "odd@example.com" }]);
                    (json!({ "formFields": form }), vec!["formFields"])
                }
                "/user/password/reset" => {
                    let form = json!([{ "id": "password", "value": PASSWORD }]);
                    (
                        json!({ "token": "x", "formFields": form }),
                        vec!["token", "formFields"],
                    )
                }
                "/signinup/code" => (json!({ "phoneNumber": OTHER_PHONE }), vec!["phoneNumber"]),
                "/signinup/code/resend" => (pair, vec!["deviceId", "preAuthSessionId"]),
                "/signinup/code/consume" => {
                    let mut body = pair;
                    body["userInputCode"] = json!("123456");
                    (body, vec!["deviceId", "preAuthSessionId", "userInputCode"])
                }
                "/user/email/verify" => (
                    json!({ "method": "token", "token": "x" }),
                    vec!["method", "token"],
                ),
                "/signinup" => (
                    json!({
                        "thirdPartyId": "example",
                        "redirectURIInfo": {
                            "redirectURIOnProviderDashboard": "https://acme.test/auth/callback/example",
                            "redirectURIQueryParams": { "code": "x", "state": "y" },
                        },
                    }),
                    vec!["thirdPartyId", "redirectURIInfo"],
                ),
                other => panic!("{other} reads JSON: say here what it takes"),
            };
            Taker {
                path: format!("/auth{}", row.path),
                body,
                fields,
            }
        })
        .collect();
    assert_eq!(takers.len(), 9);
    takers
}

/// A server with an enrolled user, a bearer of her half-login, and what must not change.
async fn victim() -> (Server, Client, String, Still) {
    // What is turned off says so before it reads anything.
    let verifies = |settings: &mut Settings| settings.email_verification = EmailVerification::Optional;
    let server = Server::start_with(verifies).await;
    full(&server, Mode::Cookie, ALICE, PHONE).await.sign_out().await;
    server.moved(3_700).await;
    let mut alice = server.client(Mode::Header);
    assert_eq!(alice.sign_in(ALICE).await.status_field(), "OK");
    let bearer = format!("Bearer {}", alice.access.as_ref().unwrap());
    let still = Still::of(&server).await;
    (server, alice, bearer, still)
}

/// Nothing came of it all, and the server serves on.
async fn assert_unharmed(server: &Server, mut alice: Client, still: &Still) {
    still.holds(server).await;
    assert_eq!(alice.get("/api/secret").await.status, 403);
    alice.complete(server, PHONE).await;
    assert_eq!(alice.get("/api/secret").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_09_what_is_no_json_object_is_a_bad_request() {
    let (server, alice, bearer, still) = victim().await;
    for taker in takers() {
        let valid = taker.body.to_string();
        let mut bodies: Vec<Vec<u8>> = [
            "",
            " ",
            "{",
            "}",
            "[]",
            "[{}]",
            "null",
            "true",
            "0",
            "\"x\"",
            "{}x",
            "{} {}",
            "{\"a\":1,}",
            "{'a':1}",
            "{a:1}",
            "{\"a\":NaN}",
            "{\"a\":1e999}",
            "{\"a\":01}",
            "{\"a\":\"\u{1}\"}",
            "{\"a\":\"\\ud800\"}",
            "// {}",
            "<x/>",
            "a=b",
            "\u{feff}{}",
        ]
        .iter()
        .map(|text| text.as_bytes().to_vec())
        .collect();
        bodies.push(valid.as_bytes()[..valid.len() - 1].to_vec());
        bodies.push([valid.as_bytes(), b"\0"].concat());
        bodies.push([&b"\xff\xfe"[..], valid.as_bytes()].concat());
        bodies.push(b"{\"a\":\"\xff\"}".to_vec());
        bodies.push(b"{\"a\":\"\xc0\xaf\"}".to_vec());
        bodies.push(b"{\"\xed\xa0\x80\":1}".to_vec());
        // Valid but for what stands beside it: a second key of the same name, seventeen levels, too wide, too long.
        let beside = |more: &str| format!("{},{more}}}", &valid[..valid.len() - 1]).into_bytes();
        let field = taker.fields[0];
        bodies.push(beside(&format!("\"{field}\":{}", taker.body[field])));
        bodies.push(beside("\"x\":1,\"x\":1"));
        bodies.push(beside("\"x\":{\"y\":1,\"y\":2}"));
        bodies.push(beside("\"x\":1,\"\\u0078\":2"));
        bodies.push(beside(&format!("\"x\":{}{}", "[".repeat(16), "]".repeat(16))));
        bodies.push(beside(&format!(
            "\"x\":{}1{}",
            "{\"a\":".repeat(16),
            "}".repeat(16)
        )));
        bodies.push(beside(&format!(
            "\"x\":{}{}",
            "[".repeat(5_000),
            "]".repeat(5_000)
        )));
        bodies.push(beside(&format!("\"x\":[{}0]", "0,".repeat(300))));
        bodies.push(beside(&format!("\"x\":\"{}\"", "a".repeat(2_049))));
        bodies.push(beside(&format!("\"{}\":1", "a".repeat(2_049))));
        for body in bodies {
            let bytes = request("POST", &taker.path, &[JSON, ("authorization", &bearer)], &body);
            let response = server.raw(&bytes).await;
            let at = format!(
                "{} {}",
                taker.path,
                String::from_utf8_lossy(&body[..body.len().min(80)])
            );
            assert_answer(&response, &[400], &at);
            assert!(response.touches_no_token(), "{at}");
        }
    }
    assert_unharmed(&server, alice, &still).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_09_a_field_of_the_wrong_type_or_missing_is_a_bad_request() {
    let (server, alice, bearer, still) = victim().await;
    for taker in takers() {
        for field in &taker.fields {
            let odd = [
                json!(null),
                json!(0),
                json!(-1.5),
                json!(true),
                json!({}),
                json!([1]),
                json!([[]]),
            ];
            for value in odd.into_iter().map(Some).chain([None]) {
                let mut body = taker.body.clone();
                match &value {
                    Some(value) => body[*field] = value.clone(),
                    None => drop(body.as_object_mut().unwrap().remove(*field)),
                }
                let bytes = request(
                    "POST",
                    &taker.path,
                    &[JSON, ("authorization", &bearer)],
                    body.to_string().as_bytes(),
                );
                let response = server.raw(&bytes).await;
                assert_answer(&response, &[400], &format!("{} {field} {value:?}", taker.path));
            }
        }
        if taker.path.contains("/user/") {
            // The flag is for what signs in.
            continue;
        }
        let mut body = taker.body.clone();
        for flag in [json!(null), json!("true"), json!(1)] {
            body["shouldTryLinkingWithSessionUser"] = flag;
            let bytes = request(
                "POST",
                &taker.path,
                &[JSON, ("authorization", &bearer)],
                body.to_string().as_bytes(),
            );
            assert_answer(&server.raw(&bytes).await, &[400], &taker.path);
        }
    }
    // The fields of a form, one level down.
    for path in ["/auth/signup", "/auth/signin"] {
        let email = json!({ "id": "email", "value": "odd@example.com" });
        let password = json!({ "id": "password", "value": PASSWORD });
        for fields in [
            json!([email, email, password]),
            json!([email, password, { "id": "age", "value": "1" }]),
            json!([{ "id": "email" }, password]),
            json!([{ "value": "x" }, password]),
            json!([{ "id": 1, "value": "x" }, password]),
            json!([{ "id": "email", "value": ["a@example.com", "b@example.com"] }, password]),
            json!([{ "id": "email", "value": { "$ne": null } }, password]),
            json!([email, { "id": "password", "value": 12345678 }]),
            Value::Array(vec![email.clone(); 33]),
            json!([["email", "x"]]),
            json!(["email"]),
        ] {
            let body = json!({ "formFields": fields }).to_string();
            let response = server.raw(&request("POST", path, &[JSON], body.as_bytes())).await;
            assert_answer(&response, &[400], &format!("{path} {body}"));
        }
        for fields in [
            json!([]),
            json!([{ "id": "email", "value": "" }, { "id": "password", "value": null }]),
        ] {
            let body = json!({ "formFields": fields }).to_string();
            let response = server.raw(&request("POST", path, &[JSON], body.as_bytes())).await;
            assert_eq!(
                (response.status, response.status_field().as_str()),
                (200, "FIELD_ERROR"),
                "{response:?}"
            );
        }
    }
    assert_unharmed(&server, alice, &still).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_01_another_content_type_is_not_read_and_a_long_body_neither() {
    let (server, alice, bearer, still) = victim().await;
    let bearer = ("authorization", bearer.as_str());
    for taker in takers() {
        let valid = taker.body.to_string();
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
            "",
            "application/json; charset=utf-16",
            "application/jsonp",
            "text/json",
            "application/json, text/plain",
        ] {
            let bytes = request(
                "POST",
                &taker.path,
                &[("content-type", kind), bearer],
                valid.as_bytes(),
            );
            assert_answer(
                &server.raw(&bytes).await,
                &[415],
                &format!("{} {kind}", taker.path),
            );
        }
        let none = request("POST", &taker.path, &[bearer], valid.as_bytes());
        assert_answer(&server.raw(&none).await, &[415], &taker.path);
        let twice = request(
            "POST",
            &taker.path,
            &[JSON, ("content-type", "text/plain"), bearer],
            valid.as_bytes(),
        );
        assert_answer(&server.raw(&twice).await, &[415], &taker.path);

        // One byte too long, though its JSON would be fine; and far too long, announced and not.
        let padded = |length: usize| format!("{valid}{}", " ".repeat(length - valid.len()));
        for length in [16 * 1024 + 1, 64 * 1024, 64 * 1024 + 1, 200_000] {
            let bytes = request("POST", &taker.path, &[JSON, bearer], padded(length).as_bytes());
            assert_answer(
                &server.raw(&bytes).await,
                &[413],
                &format!("{} {length}", taker.path),
            );
        }
        let chunk = format!("{:x}\r\n{}\r\n", 17_000, " ".repeat(17_000));
        let chunked = format!("{}0\r\n\r\n", chunk.repeat(5));
        let bytes = request(
            "POST",
            &taker.path,
            &[JSON, bearer, ("transfer-encoding", "chunked")],
            chunked.as_bytes(),
        );
        assert_answer(&server.raw(&bytes).await, &[413], &taker.path);
        let begun: &[u8] = match Framework::chosen() {
            // It hands nothing on before it has the first fourteen bytes of a body: see `stepup-rocket`.
            Framework::Rocket => b"{\"formFields\":[",
            Framework::Axum | Framework::Actix => b"{",
        };
        let length = ("content-length", "999999999999");
        let claimed = request("POST", &taker.path, &[JSON, bearer, length], begun);
        assert_answer(&server.raw(&claimed).await, &[413], &taker.path);
    }
    // Exactly 16 KiB is taken, and a chunked body like any other.
    let wrong = form(ALICE, "not her password").to_string();
    let exact = format!("{wrong}{}", " ".repeat(16 * 1024 - wrong.len()));
    let response = server
        .raw(&request("POST", "/auth/signin", &[JSON], exact.as_bytes()))
        .await;
    assert_eq!(response.status_field(), "WRONG_CREDENTIALS_ERROR", "{response:?}");
    let (left, right) = wrong.split_at(20);
    let chunked = format!(
        "{:x}\r\n{left}\r\n{:X};a=b\r\n{right}\r\n0\r\n\r\n",
        left.len(),
        right.len()
    );
    let bytes = request(
        "POST",
        "/auth/signin",
        &[JSON, ("transfer-encoding", "chunked")],
        chunked.as_bytes(),
    );
    assert_eq!(server.raw(&bytes).await.status_field(), "WRONG_CREDENTIALS_ERROR");
    assert_unharmed(&server, alice, &still).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_12_what_the_http_parser_refuses_ends_in_4xx_or_a_close() {
    let (server, alice, _, still) = victim().await;
    let body = form(ALICE, PASSWORD).to_string();
    let long = "x".repeat(600_000);
    let lines: Vec<Vec<u8>> = vec![
        b"GET\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"POST /auth/signin HTTP/9.9\r\nhost: x\r\n\r\n".to_vec(),
        b"POST /auth/signin HTTP/1.1\r\nhost: x\r\nx: a\0b\r\n\r\n".to_vec(),
        b"POST /auth/signin HTTP/1.1\r\nhost: x\r\nbad header: y\r\n\r\n".to_vec(),
        b"POST /auth/signin HTTP/1.1\r\nhost: x\r\n folded: y\r\n\r\n".to_vec(),
        b"POST /auth/sign in HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
        format!("POST /auth/signin HTTP/1.1\r\nhost: x\r\nx: {long}\r\n\r\n").into_bytes(),
        format!("GET /auth/{long} HTTP/1.1\r\nhost: x\r\n\r\n").into_bytes(),
        request(
            "POST",
            "/auth/signin",
            &[JSON, ("content-length", "-1")],
            body.as_bytes(),
        ),
        request(
            "POST",
            "/auth/signin",
            &[JSON, ("content-length", "5"), ("content-length", "6")],
            body.as_bytes(),
        ),
        request(
            "POST",
            "/auth/signin",
            &[JSON, ("content-length", "99999999999999999999999")],
            body.as_bytes(),
        ),
        request(
            "POST",
            "/auth/signin",
            &[JSON, ("transfer-encoding", "gzip")],
            body.as_bytes(),
        ),
        request(
            "POST",
            "/auth/signin",
            &[JSON, ("transfer-encoding", "chunked")],
            b"zz\r\n{}\r\n0\r\n\r\n",
        ),
        request(
            "POST",
            "/auth/signin",
            &[JSON, ("transfer-encoding", "chunked")],
            b"ffffffffffffffffff\r\n{}",
        ),
    ];
    for bytes in lines {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        let response = server.raw(&bytes).await;
        // The preface of HTTP/2 ends in a close; everything else is told.
        let closed = response.status == 0 && bytes.starts_with(b"PRI");
        assert!(
            closed || (400..500).contains(&response.status),
            "{shown}: {response:?}"
        );
        assert!(response.touches_no_token(), "{shown}");
    }
    // Two framings at once must not be read as two requests.
    let smuggled = "0\r\n\r\nGET /api/me HTTP/1.1\r\nhost: x\r\n\r\n";
    let length = smuggled.len().to_string();
    let bytes = request(
        "POST",
        "/auth/signin",
        &[
            JSON,
            ("content-length", &length),
            ("transfer-encoding", "chunked"),
        ],
        smuggled.as_bytes(),
    );
    let response = server.raw(&bytes).await;
    assert!(
        response.status == 0 || (400..500).contains(&response.status),
        "{response:?}"
    );
    assert!(
        !String::from_utf8_lossy(&response.body).contains("HTTP/1.1"),
        "{response:?}"
    );
    assert_unharmed(&server, alice, &still).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_11_a_path_is_read_in_one_way_only() {
    let (server, alice, bearer, still) = victim().await;
    let body = form(ALICE, PASSWORD).to_string();
    for path in [
        "/auth/%73ignin",
        "/auth/sign%69n",
        "/auth//signin",
        "//auth/signin",
        "/auth/./signin",
        "/auth/x/../signin",
        "/auth/signin%00",
        "/auth/signin;a=b",
        "/auth/signin.json",
        "/AUTH/signin",
        "/auth/SIGNIN",
        "/auth%2fsignin",
        "/auth/signin%2f",
        "/auth/signin//",
        "/auth/t1/signin",
        "/auth/session/signin",
        "/auth/signinup/signin",
        "/auth/public%2fsignin",
        "/auth/-/signin",
        "/auth/../auth/signin",
        "/auth",
        "/auth/",
        "/authx/signin",
        "/auth/public/public/signin",
        "/auth/public/public/session/refresh",
        "/auth/\u{ff0f}signin",
    ] {
        let response = server.raw(&request("POST", path, &[JSON], body.as_bytes())).await;
        if path.is_ascii() {
            assert_answer(&response, &[404], path);
        } else {
            assert!(response.status == 404 || response.status == 400, "{response:?}");
        }
        assert!(response.touches_no_token(), "{path}");
    }
    let tenant = "a".repeat(65);
    for tenant in ["t1", "t-1", "PUBLIC", tenant.as_str()] {
        for row in ROUTES.iter().filter(|row| row.tenant) {
            let path = format!(
                "/auth/{tenant}{}?email=a@example.com&phoneNumber=%2B41791234567",
                row.path
            );
            let bytes = request(
                row.method.as_str(),
                &path,
                &[JSON, ("authorization", &bearer)],
                body.as_bytes(),
            );
            assert_answer(&server.raw(&bytes).await, &[404], &path);
        }
    }
    assert_unharmed(&server, alice, &still).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_method_is_told_which_ones_there_are_and_changes_nothing() {
    let (server, alice, bearer, still) = victim().await;
    let bearer = ("authorization", bearer.as_str());
    for row in ROUTES {
        let path = format!(
            "/auth{}?email=a@example.com&phoneNumber=%2B41791234567&token=x",
            row.path
        );
        let own = row.method.as_str();
        // Two endpoints may share a path.
        let takes = |method: &str| ROUTES.iter().any(|r| r.path == row.path && r.method == method);
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PURGE", "get"] {
            if takes(method) {
                continue;
            }
            let response = server.raw(&request(method, &path, &[bearer], b"")).await;
            assert_answer(&response, &[405], &format!("{method} {path}"));
            assert!(response.header("allow").unwrap().contains(own), "{response:?}");
        }
        let options = server.raw(&request("OPTIONS", &path, &[bearer], b"")).await;
        assert_eq!(
            (options.status, options.body.len()),
            (204, 0),
            "{path}: {options:?}"
        );
        assert!(options.header("allow").unwrap().contains(own));
        let head = server.raw(&request("HEAD", &path, &[bearer], b"")).await;
        assert_eq!(
            head.status,
            match (takes("GET"), row.access) {
                (true, Access::Complete) => 403,
                // There is no provider here.
                (true, _) if row.path == "/authorisationurl" => 404,
                (true, _) => 200,
                (false, _) => 405,
            },
            "{path}: {head:?}"
        );
        assert_eq!(head.body.len(), 0, "{path}");
        for response in [&options, &head] {
            assert!(response.touches_no_token(), "{path}");
        }
    }
    assert_unharmed(&server, alice, &still).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sms_04_odd_phones_and_addresses_reach_neither_table_nor_carrier() {
    let server = Server::start().await;
    let mut bob = half(&server, Mode::Header, "bob@example.com").await;
    let still = Still::of(&server).await;
    let long = format!("+41{}", "7".repeat(2_000));
    for phone in [
        "",
        " ",
        "+",
        "++41791234567",
        "41791234567",
        "0791234567",
        "0041791234567",
        "+41791234567,+41791234568",
        "+41791234567;ext=1",
        "+41791234567x1",
        "tel:+41791234567",
        "+41 79 123 45 6",
        "+417912345678901234",
        "+0123456789",
        "+41791234567\r\nBcc: x",
        "+4179123456\u{0}7",
        "+٤١٧٩١٢٣٤٥٦٧",
        "a@example.com",
        "+1-900-555-0123",
        "'; DROP TABLE stepup_user;--",
        "+999123456789",
        "<script>",
        "\u{202e}+41791234567",
        long.as_str(),
    ] {
        let response = bob
            .post("/auth/signinup/code", json!({ "phoneNumber": phone }))
            .await;
        assert_eq!(
            (response.status, response.status_field().as_str()),
            (200, "GENERAL_ERROR"),
            "{phone:?}: {response:?}"
        );
        assert!(response.touches_no_token());
    }
    let both = json!({ "phoneNumber": OTHER_PHONE, "email": "bob@example.com" });
    for body in [
        json!({}),
        json!({ "email": "bob@example.com" }),
        both,
        json!({ "phoneNumber": format!("+41{}", "7".repeat(2_100)) }),
    ] {
        assert_answer(&bob.post("/auth/signinup/code", body).await, &[400], "create");
    }
    let long = format!("{}@example.com", "a".repeat(300));
    for email in [
        "a",
        "@",
        "a@",
        "@example.com",
        "a@b@example.com",
        "a@example.com,b@example.com",
        "a@example.com b@example.com",
        "a@example.com\r\nBcc: b@example.com",
        "a\u{0}@example.com",
        "a\u{ff20}example.com",
        "<a@example.com>",
        "A <a@example.com>",
        "a@exa mple.com",
        "a@-example.com",
        "a@example..com",
        "a@.com",
        "a@xn--a.com",
        long.as_str(),
    ] {
        for path in ["/auth/signup", "/auth/signin"] {
            let response = server
                .client(Mode::Cookie)
                .post(path, form(email, PASSWORD))
                .await;
            assert_eq!(
                (response.status, response.status_field().as_str()),
                (200, "FIELD_ERROR"),
                "{path} {email:?}: {response:?}"
            );
            assert_eq!(response.json()["formFields"][0]["id"], "email");
        }
    }
    let very_long = "p".repeat(1_025);
    for password in [
        "short",
        "password1",
        very_long.as_str(),
        "nul\u{0}nul\u{0}nul\u{0}",
    ] {
        let response = server
            .client(Mode::Cookie)
            .post("/auth/signup", form("new@example.com", password))
            .await;
        assert_ne!(response.status_field(), "OK", "{password:?}");
        assert_answer(&response, &[200, 400], password);
    }
    still.holds(&server).await;
    // What exists is asked by a parameter that is there once.
    for query in [
        "",
        "?",
        "?email=",
        "?email=a@example.com&email=b@example.com",
        "?Email=a@example.com",
        "?email=%ff%fe",
        "?email[]=a",
    ] {
        let path = format!("/auth/emailpassword/email/exists{query}");
        let response = server.client(Mode::Cookie).peek("GET", &path, None, &[]).await;
        assert_answer(&response, &[200, 400], query);
        assert_ne!(response.json()["exists"], true);
    }
    bob.complete(&server, PHONE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_cookies_and_headers_are_no_session() {
    let (server, alice, bearer, still) = victim().await;
    let token = bearer.trim_start_matches("Bearer ").to_owned();
    let long = format!("Bearer {}", "a".repeat(9_000));
    let long_token = format!("sAccessToken={}", "a".repeat(5_000));
    let parts: Vec<&str> = token.split('.').collect();
    let none = format!("Bearer {}.{}.", parts[0], parts[1]);
    let truncated = format!("Bearer {}", &token[..token.len() - 1]);
    let crowd = (0..500).map(|n| format!("c{n}=x")).collect::<Vec<_>>().join("; ");
    let headers: Vec<(&str, &str)> = vec![
        ("authorization", "Bearer"),
        ("authorization", "Bearer "),
        ("authorization", "Bearer null"),
        ("authorization", "Bearer undefined"),
        ("authorization", "Basic YTpi"),
        ("authorization", &none),
        ("authorization", &truncated),
        ("authorization", &long),
        ("authorization", "Bearer a.b.c"),
        ("authorization", "Bearer \u{e9}\u{e9}"),
        ("cookie", "sAccessToken"),
        ("cookie", "sAccessToken="),
        ("cookie", "=;=;=; ;;;"),
        ("cookie", "sAccessToken=\"; sAccessToken=\\"),
        ("cookie", "sAccessToken=%00%0d%0a"),
        ("cookie", &long_token),
        ("cookie", &crowd),
        ("st-access-token", &token),
        ("x-access-token", &token),
        ("front-token", "eyJ1aWQiOiJ4In0="),
        ("st-mfa", "{\"v\":true}"),
    ];
    for header in &headers {
        let shown = format!("{}: {}", header.0, &header.1.chars().take(40).collect::<String>());
        for path in ["/api/secret", "/layered/secret", "/api/admin"] {
            let response = server.raw(&request("GET", path, &[*header], b"")).await;
            assert_eq!(response.status, 401, "{path} {shown}: {response:?}");
            assert!(!response.message().is_empty(), "{shown}");
        }
        for path in [
            "/auth/signinup/code",
            "/auth/signinup/code/consume",
            "/auth/session/refresh",
            "/auth/signout",
        ] {
            let body = json!({ "phoneNumber": OTHER_PHONE }).to_string();
            let response = server
                .raw(&request("POST", path, &[*header, JSON], body.as_bytes()))
                .await;
            let statuses: &[u16] = if path.ends_with("signout") {
                &[200, 401]
            } else {
                &[401]
            };
            assert_answer(&response, statuses, &format!("{path} {shown}"));
        }
        let optional = server
            .raw(&request("GET", "/api/optional", &[*header], b""))
            .await;
        assert!(matches!(optional.status, 200 | 401), "{shown}: {optional:?}");
        if optional.status == 200 {
            assert_eq!(optional.json(), json!({ "userId": null }), "{shown}");
        }
    }
    // Bytes that are no text, in a header that is read.
    for raw in [
        &b"cookie: sAccessToken=\xff\xfe\x80"[..],
        b"authorization: Bearer \xff\xfe",
        b"fdi-version: \xff",
        b"origin: \xff",
    ] {
        let bytes = [
            b"GET /api/secret HTTP/1.1\r\nhost: x\r\nconnection: close\r\n",
            raw,
            b"\r\n\r\n",
        ]
        .concat();
        let response = server.raw(&bytes).await;
        assert!(matches!(response.status, 401 | 403), "{response:?}");
        assert!(!response.message().is_empty());
    }
    // Two values of one name: order decides nothing.
    let twice = format!("sAccessToken={token}; sAccessToken=x");
    let response = server
        .raw(&request("GET", "/api/me", &[("cookie", &twice)], b""))
        .await;
    assert_eq!(
        (response.status, response.message().as_str()),
        (401, "try refresh token"),
        "{response:?}"
    );
    assert_unharmed(&server, alice, &still).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_applications_own_routes_answer_bad_bodies_in_json() {
    let server = Server::start().await;
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    let bearer = format!("Bearer {}", alice.access.as_ref().unwrap());
    for path in ["/api/comment", "/dev/clock"] {
        for body in [
            &b""[..],
            b"{",
            b"[]",
            b"null",
            b"{\"text\":1}",
            b"{\"text\":\"\"}",
            b"{\"advanceSeconds\":-1}",
            b"{\"advanceSeconds\":1e30}",
            b"\xff",
        ] {
            let bytes = request("POST", path, &[JSON, ("authorization", &bearer)], body);
            assert_answer(
                &server.raw(&bytes).await,
                &[400],
                &format!("{path} {}", String::from_utf8_lossy(body)),
            );
        }
    }
    for path in [
        "/nothing",
        "/api/secret/",
        "/assets/../Cargo.toml",
        "/assets/%2e%2e",
        "/api/%73ecret",
    ] {
        let response = server
            .raw(&request("GET", path, &[("authorization", &bearer)], b""))
            .await;
        assert_answer(&response, &[404], path);
    }
    assert_answer(
        &server
            .raw(&request(
                "DELETE",
                "/api/secret",
                &[("authorization", &bearer)],
                b"",
            ))
            .await,
        &[405],
        "DELETE",
    );
    assert_eq!(alice.get("/api/secret").await.status, 200);
}

// The database locked, broken, and back

/// Every call that must be denied while the store is away, at once: what each answered.
async fn call_everything(server: &Server, alice: &Client) -> Vec<(String, Response)> {
    let pair = json!({ "deviceId": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "preAuthSessionId": "Zmh6rfhivXdsj8GLjp-OIAiXFIVu4jOzkCpZHQ1fKSU" });
    let mut consume = pair.clone();
    consume["userInputCode"] = json!("123456");
    let calls = [
        ("/auth/signup", form("new@example.com", PASSWORD)),
        ("/auth/signin", form(ALICE, PASSWORD)),
        ("/auth/signinup/code", json!({ "phoneNumber": PHONE })),
        ("/auth/signinup/code/consume", consume),
        ("/auth/session/refresh", Value::Null),
    ];
    let tasks: Vec<_> = calls
        .into_iter()
        .map(|(path, body)| {
            let client = if path.ends_with("signup") || path.ends_with("signin") {
                server.client(Mode::Header)
            } else {
                alice.clone()
            };
            tokio::spawn(async move {
                let body = (!body.is_null()).then_some(body);
                (
                    path.to_owned(),
                    client.peek("POST", path, body.as_ref(), &[]).await,
                )
            })
        })
        .collect();
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await.unwrap());
    }
    all
}

fn assert_unavailable(response: &Response, at: &str) {
    assert_eq!(response.status, 503, "{at}: {response:?}");
    assert_eq!(
        response.json(),
        json!({ "message": "temporarily unavailable" }),
        "{at}"
    );
    assert!(response.touches_no_token(), "{at}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_07_a_locked_database_denies_everything_until_it_is_free() {
    let (server, mut alice, _, still) = victim().await;
    let mut other = database::open(&server.database()).await;
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    let began = std::time::Instant::now();
    for (path, response) in call_everything(&server, &alice).await {
        assert_unavailable(&response, &path);
    }
    let health = server
        .client(Mode::Cookie)
        .peek("GET", "/healthz", None, &[])
        .await;
    assert_eq!(health.status, 503, "{health:?}");
    assert!(!health.message().is_empty());
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(
        alice.get("/api/secret").await.status,
        403,
        "a half-login stays one"
    );
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    drop(other);
    assert_eq!(
        server
            .client(Mode::Cookie)
            .peek("GET", "/healthz", None, &[])
            .await
            .status,
        200
    );
    assert_unharmed(&server, alice, &still).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_08_a_database_whose_tables_are_gone_denies_everything_and_is_not_described() {
    let (server, alice, _, still) = victim().await;
    for table in ["stepup_user", "stepup_session", "stepup_counter"] {
        database::run(&server, &format!("ALTER TABLE {table} RENAME TO away")).await;
        for (path, response) in call_everything(&server, &alice).await {
            // What does not touch this table may answer, but nothing is let in.
            assert_ne!(response.status_field(), "OK", "{table} {path}: {response:?}");
            if response.status >= 500 {
                assert_unavailable(&response, &path);
            }
            assert!(
                response.header("st-access-token").is_none() || path.ends_with("refresh"),
                "{table} {path}"
            );
        }
        let secret = alice.peek("GET", "/api/secret", None, &[]).await;
        assert_eq!(secret.status, 403);
        database::run(&server, &format!("ALTER TABLE away RENAME TO {table}")).await;
    }
    // The codes that were asked for meanwhile went nowhere: the table was not the one that they need.
    server.moved(3_700).await;
    let mut again = server.client(Mode::Header);
    assert_eq!(again.sign_in(ALICE).await.status_field(), "OK");
    again.complete(&server, PHONE).await;
    drop(still);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sec_08_every_call_of_a_store_that_fails_is_a_503_and_nothing_more() {
    let site = Own::start(FaultyStore::new(MemoryStore::new())).await;
    let (mut alice, created, code) = site.asked(Mode::Header, ALICE, PHONE).await;
    let calls = [
        ("/auth/signup", form("new@example.com", PASSWORD)),
        ("/auth/signin", form(ALICE, PASSWORD)),
        ("/login", login("row-1", PASSWORD)),
        ("/auth/signinup/code", json!({ "phoneNumber": PHONE })),
        (
            "/auth/signinup/code/resend",
            json!({ "deviceId": created["deviceId"], "preAuthSessionId": created["preAuthSessionId"] }),
        ),
        ("/auth/signinup/code/consume", crate::kit::answer(&created, &code)),
        ("/auth/session/refresh", json!({})),
        ("/auth/signout", json!({})),
    ];
    site.moved(16);
    for (path, body) in &calls {
        // Each storage call of the flow in turn, until the flow gets through without one more.
        for nth in 0.. {
            assert!(nth < 20, "{path}");
            let before = alice.clone();
            site.store.heal();
            site.store.fail_call(nth, When::Before);
            let client =
                if path.starts_with("/auth/sign") && !path.contains("signinup") && !path.ends_with("out")
                    || *path == "/login"
                {
                    site.client(Mode::Header)
                } else {
                    before.clone()
                };
            let response = client.peek("POST", path, Some(body), &[]).await;
            if site.store.calls().len() <= nth {
                site.store.heal();
                break;
            }
            assert_eq!(
                response.status,
                503,
                "{path}, call {nth} {:?}: {response:?}",
                site.store.calls().last()
            );
            assert!(response.json()["message"].is_string(), "{path}");
            assert!(
                response.header("st-access-token").is_none_or(str::is_empty),
                "{path}"
            );
            // The throttles count what failed; they are not what this is about.
            site.moved(1_000);
            site.store.heal();
            if !path.contains("signinup") && !path.ends_with("refresh") && !path.ends_with("out") {
                continue;
            }
            alice = site.client(Mode::Header);
            assert_eq!(alice.sign_in(ALICE).await.status_field(), "OK");
        }
    }
}

#[test]
fn every_endpoint_was_looked_at() {
    // A new endpoint belongs into the lists above.
    let ignored: Vec<&str> = ROUTES
        .iter()
        .filter(|row| {
            row.body == Body::Ignored
                && !matches!(
                    row.endpoint,
                    Endpoint::Open(
                        Open::Keys | Open::Discovery | Open::ApiDocument | Open::UndoPage | Open::ConfirmPage
                    )
                )
        })
        .map(|row| row.path)
        .collect();
    assert_eq!(ignored.len(), 15, "{ignored:?}");
}
