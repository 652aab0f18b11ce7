//! The program itself, in the hands of a service that speaks as AWS Lambda does to its runtimes.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod kit;

use std::convert::Infallible;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use kit::{ALL, Call, Gateway, call, form};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(60);

/// A function that runs.
struct Lambda {
    events: mpsc::Sender<String>,
    /// Where each answer was posted to, and what it is.
    answers: mpsc::Receiver<(String, Value)>,
    printed: Lines<BufReader<ChildStdout>>,
    _child: Child,
    _folder: TempDir,
}

/// What the function asks of the service.
struct Api {
    events: Mutex<mpsc::Receiver<String>>,
    answers: mpsc::Sender<(String, Value)>,
}

impl Api {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        if request.method() == Method::GET && path.ends_with("/invocation/next") {
            let event = self.events.lock().await.recv().await;
            return Response::builder()
                .header("lambda-runtime-aws-request-id", "1")
                .header("lambda-runtime-deadline-ms", "4102444800000")
                .header(
                    "lambda-runtime-invoked-function-arn",
                    "arn:aws:lambda:eu-central-1:0:function:on-lambda",
                )
                .body(Full::new(Bytes::from(event.unwrap_or_default())))
                .unwrap();
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        self.answers.send((path, body)).await.unwrap();
        Response::builder().status(202).body(Full::default()).unwrap()
    }
}

impl Lambda {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (events, to_function) = mpsc::channel(1);
        let (from_function, answers) = mpsc::channel(1);
        let api = Arc::new(Api {
            events: Mutex::new(to_function),
            answers: from_function,
        });
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let api = Arc::clone(&api);
                let service = service_fn(move |request| {
                    let api = Arc::clone(&api);
                    async move { Ok::<_, Infallible>(api.answer(request).await) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        let folder = TempDir::new().unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_on-lambda"))
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "on-lambda")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("DATABASE", folder.path().join("app.sqlite"))
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let printed = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            events,
            answers,
            printed,
            _child: child,
            _folder: folder,
        }
    }

    /// Sends an event; where the answer was posted to, and what it is.
    async fn invoke(&mut self, event: impl ToString) -> (String, Value) {
        self.events.send(event.to_string()).await.unwrap();
        let answer = timeout(SOON, self.answers.recv()).await;
        answer.expect("an answer in time").unwrap()
    }

    async fn send(&mut self, gateway: Gateway, call: &Call) -> Value {
        let (path, answer) = self.invoke(call.by(gateway)).await;
        assert!(path.ends_with("/response"), "{path}: {answer}");
        answer
    }

    async fn lives(&mut self) {
        let answer = self.send(Gateway::V2, &call("GET", "/secret")).await;
        assert_eq!(answer["statusCode"], 401);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_gateway_gets_an_answer_in_its_own_form_with_every_cookie() {
    let mut lambda = Lambda::start().await;
    for (n, gateway) in ALL.into_iter().enumerate() {
        let nobody = lambda.send(gateway, &call("GET", "/secret")).await;
        assert_eq!(nobody["statusCode"], 401);
        assert_eq!(nobody["body"], r#"{"message":"unauthorised"}"#);
        let sign_up = call("POST", "/auth/signup").header("st-auth-mode", "cookie");
        let sign_up = sign_up.json(&form(&format!("user{n}@example.com")));
        let answer = lambda.send(gateway, &sign_up).await;
        assert_eq!(answer["statusCode"], 200, "{answer}");
        let cookies = match gateway {
            Gateway::V2 => &answer["cookies"],
            Gateway::V1 | Gateway::Alb => &answer["multiValueHeaders"]["set-cookie"],
        };
        assert_eq!(cookies.as_array().map(Vec::len), Some(2), "{gateway:?}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_is_out_before_the_answer_is() {
    let mut lambda = Lambda::start().await;
    let sign_up = call("POST", "/auth/signup").header("st-auth-mode", "header");
    let signed_up = lambda
        .send(Gateway::V2, &sign_up.json(&form("ann@example.com")))
        .await;
    let token = signed_up["headers"]["st-access-token"].as_str().unwrap();
    let ask = call("POST", "/auth/signinup/code").header("authorization", format!("Bearer {token}"));
    let ask = ask.json(&json!({ "phoneNumber": "+41791234500" }));
    let asked = lambda.send(Gateway::V2, &ask).await;
    assert!(
        asked["body"].as_str().unwrap().contains(r#""status":"OK""#),
        "{asked}"
    );
    // No further event comes, and the process could be frozen by now.
    let line = timeout(SOON, lambda.printed.next_line()).await.unwrap().unwrap();
    assert_eq!(line.as_deref(), Some("--- SMS to +41791234500"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_or_a_broken_one_ends_nothing() {
    let mut lambda = Lambda::start().await;
    for event in ["{}", "[]", "null", "x", "", r#"{"version":"2.0"}"#] {
        let (path, answer) = lambda.invoke(event).await;
        assert!(path.ends_with("/error"), "{event}: {path} {answer}");
        lambda.lives().await;
    }
    for gateway in ALL {
        let plain = call("POST", "/auth/signup").json(&form("ann@example.com"));
        let mut broken_body = plain.by(gateway);
        broken_body["isBase64Encoded"] = true.into();
        for event in [
            broken_body,
            call("GET", "/secret").header("host", "a b").by(gateway),
            call("GET", "/secret")
                .header("host", "localhost/secret?")
                .by(gateway),
            call("GET", "/secret")
                .header("host", "x/auth/../secret#")
                .by(gateway),
            call("GET", "/\u{0}\n /sec\u{7f}ret").by(gateway),
            call("GET", "secret").by(gateway),
            call("GET", "/secret")
                .header("x-forwarded-proto", "javascript")
                .by(gateway),
        ] {
            // `lambda_http` panics on some; the runtime answers for it.
            let (path, answer) = lambda.invoke(&event).await;
            let refused =
                path.ends_with("/error") || answer["statusCode"].as_u64().is_some_and(|code| code >= 400);
            assert!(refused, "{event}: {path} {answer}");
            lambda.lives().await;
        }
    }
}
