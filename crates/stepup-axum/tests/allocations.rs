//! What a guarded request allocates: nothing for a token that was seen before, and the layer two things.
//!
//! Numbers of allocations are the same on every machine, unlike times. The counter replaces the allocator of this test
//! alone, and counts the thread that measures.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

use std::convert::Infallible;
use std::future::{Future, Ready, ready};
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use allocation_counter::{AllocationInfo, measure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;
use http::{Request, Response};
use serde_json::{Value, json};
use stepup_axum::rule::{ClaimRule, Rule};
use stepup_axum::{AnySession, Fresh, OptionalSession, Or, Require2fa, Requirement, Session, Stepup, Wire};
use stepup_delivery::Outbox;
use stepup_wire::core::AppInfo;
use stepup_wire::core::background::{Background, Job, QueueFull, Repeat};
use stepup_wire::core::entropy::OsEntropy;
use stepup_wire::core::factor::password::Password;
use stepup_wire::core::factor::passwordless::Passwordless;
use stepup_wire::core::id::{FactorId, KeyId, SessionHandle};
use stepup_wire::core::keyring::{Root, SecretList};
use stepup_wire::core::policy::{Policy, any_of};
use stepup_wire::core::record::JsonMap;
use stepup_wire::core::storage::memory::MemoryStore;
use stepup_wire::{SessionLayer, SessionService, Transport};
use tower::{Layer, Service, ServiceExt};

const ORIGIN: &str = "http://localhost:3000";

/// Runs jobs beside the test.
#[derive(Debug)]
struct OnTokio;

impl Background for OnTokio {
    fn spawn(&self, job: Job) -> Result<(), QueueFull> {
        tokio::spawn(job);
        Ok(())
    }

    fn every(&self, _: Duration, _: Repeat) {}
}

/// A claim of the application's own.
struct Admin;

impl Requirement for Admin {
    fn rule() -> Rule {
        Rule::Claim(ClaimRule::includes("role", "admin"))
    }
}

struct Site {
    stepup: Stepup,
    wire: Wire,
    app: Router,
    sent: Outbox,
}

impl Site {
    async fn new() -> Self {
        Self::with(16 * 1024 * 1024).await
    }

    async fn with(remembered_bytes: usize) -> Self {
        let sent = Outbox::new();
        let root = Root::random(KeyId::from("test"), &OsEntropy).unwrap();
        let stepup = Stepup::builder(
            AppInfo::new("Acme", ORIGIN, ORIGIN),
            Arc::new(MemoryStore::new()),
            SecretList::new(vec![root]),
        )
        .factor(Password::new())
        .factor(Passwordless::sms(sent.clone()))
        .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
        .notices(sent.clone())
        .background(OnTokio)
        .configure(|config| config.sessions.remembered_bytes = remembered_bytes)
        .build()
        .await
        .unwrap();
        let wire = Wire::new(stepup.clone(), &Transport::new()).unwrap();
        let app = Router::new()
            .merge(stepup_axum::routes(&wire))
            .layer(stepup_axum::layer(&wire));
        Self {
            stepup,
            wire,
            app,
            sent,
        }
    }

    async fn post(&self, path: &str, token: Option<&str>, body: Value) -> (Option<String>, Value) {
        let mut request = Request::post(path)
            .header("content-type", "application/json")
            .header("origin", ORIGIN)
            .header("rid", "anti-csrf")
            .header("st-auth-mode", "header");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let access = response.headers().get("st-access-token");
        let access = access.map(|token| token.to_str().unwrap().to_owned());
        let body = to_bytes(response.into_body(), 64 * 1024).await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(body["status"], "OK", "{path}: {body}");
        (access, body)
    }

    /// The access token of a session with both factors.
    async fn complete(&self, email: &str) -> String {
        let form = json!({ "formFields": [
            { "id": "email", "value": email }, { "id": "password", "value": "correct horse battery" },
        ]});
        let (token, _) = self.post("/auth/signup", None, form).await;
        let phone = json!({ "phoneNumber": "+41791234567" });
        let (_, created) = self.post("/auth/signinup/code", token.as_deref(), phone).await;
        let code = loop {
            tokio::task::yield_now().await;
            if let Some(code) = self.sent.sent().into_iter().rev().find_map(|sent| sent.code) {
                break code;
            }
        };
        let answer = json!({
            "deviceId": created["deviceId"],
            "preAuthSessionId": created["preAuthSessionId"],
            "userInputCode": code,
        });
        let consume = "/auth/signinup/code/consume";
        let (token, _) = self.post(consume, token.as_deref(), answer).await;
        token.unwrap()
    }

    /// A request of the application's, as an extractor finds it inside of the layer.
    fn inside(&self, header: (&str, &str)) -> Parts {
        let (mut service, request) = self.around(header, |request: Request<()>| {
            ready(Ok::<_, Infallible>(Response::new(Some(request))))
        });
        let mut response = now(service.call(request)).unwrap();
        match response.body_mut() {
            http_body_util::Either::Right(request) => request.take().unwrap().into_parts().0,
            http_body_util::Either::Left(_) => panic!("a preflight"),
        }
    }

    fn around<F, B>(&self, (name, value): (&str, &str), f: F) -> (SessionService<Inner<F>>, Request<()>)
    where
        F: Fn(Request<()>) -> Ready<Result<Response<B>, Infallible>>,
    {
        let mut request = Request::get("/secret").header(name, value).body(()).unwrap();
        let peer = SocketAddr::from(([127, 0, 0, 1], 4711));
        request.extensions_mut().insert(ConnectInfo(peer));
        (SessionLayer::new(&self.wire).layer(Inner(f)), request)
    }
}

/// A service that allocates nothing.
struct Inner<F>(F);

impl<F, B> Service<Request<()>> for Inner<F>
where
    F: Fn(Request<()>) -> Ready<Result<Response<B>, Infallible>>,
{
    type Response = Response<B>;
    type Error = Infallible;
    type Future = Ready<Result<Response<B>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        (self.0)(request)
    }
}

/// The output of a future that does not wait.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// What the second of two equal extractions allocates.
fn extracting<E: FromRequestParts<()>>(parts: &mut Parts) -> AllocationInfo {
    assert!(now(E::from_request_parts(parts, &())).is_ok());
    let mut admitted = false;
    let info = measure(|| admitted = now(E::from_request_parts(parts, &())).is_ok());
    assert!(admitted);
    info
}

#[tokio::test]
async fn a_guard_allocates_nothing_for_a_token_that_was_seen_before() {
    let site = Site::new().await;
    let token = site.complete("ann@example.com").await;
    let bearer = format!("Bearer {token}");
    let cookie = format!("theme=dark; sAccessToken={token}; lang=de");
    for header in [("authorization", bearer.as_str()), ("cookie", cookie.as_str())] {
        let parts = &mut site.inside(header);
        for (name, info) in [
            ("Session<Require2fa>", extracting::<Session<Require2fa>>(parts)),
            ("Session", extracting::<Session>(parts)),
            ("Session<AnySession>", extracting::<Session<AnySession>>(parts)),
            ("Session<Fresh<300>>", extracting::<Session<Fresh<300>>>(parts)),
            (
                "Session<(Require2fa, Fresh<300>)>",
                extracting::<Session<(Require2fa, Fresh<300>)>>(parts),
            ),
            (
                "Session<Or<Fresh<60>, Require2fa>>",
                extracting::<Session<Or<Fresh<60>, Require2fa>>>(parts),
            ),
            (
                "OptionalSession<Require2fa>",
                extracting::<OptionalSession<Require2fa>>(parts),
            ),
        ] {
            println!("{name} by {}: {} allocations", header.0, info.count_total);
            assert_eq!(info.count_total, 0, "{name} by {}", header.0);
        }
    }
}

#[tokio::test]
async fn a_claim_of_the_applications_own_is_judged_without_allocation_too() {
    let site = Site::new().await;
    let token = site.complete("ann@example.com").await;
    let claims = site.stepup.verify(&token).unwrap();
    let role = json!({ "role": { "v": ["admin"], "t": 1 } });
    let issued = site.stepup.merge_own_payload(&claims, role.as_object().unwrap());
    let issued = issued.await.unwrap().unwrap();
    let bearer = format!("Bearer {}", issued.access.expose());
    let parts = &mut site.inside(("authorization", &bearer));
    let info = extracting::<Session<(Require2fa, Admin)>>(parts);
    assert_eq!(info.count_total, 0);
}

#[tokio::test]
async fn after_a_revocation_of_somebody_else_nothing_is_allocated_either() {
    let site = Site::new().await;
    let token = site.complete("ann@example.com").await;
    let bearer = format!("Bearer {token}");
    let parts = &mut site.inside(("authorization", &bearer));
    extracting::<Session<Require2fa>>(parts);
    site.stepup.revoke(&SessionHandle::from("another")).await.unwrap();
    let mut admitted = false;
    let info = measure(|| admitted = now(Session::<Require2fa>::from_request_parts(parts, &())).is_ok());
    assert!(admitted);
    assert_eq!(info.count_total, 0);
}

#[tokio::test]
async fn the_layer_adds_two_allocations_to_a_request_and_none_to_its_response() {
    let site = Site::new().await;
    let token = site.complete("ann@example.com").await;
    let bearer = format!("Bearer {token}");
    // What a first request allocates is another matter.
    site.stepup.verify(&token).unwrap();
    for guarded in [true, false] {
        let made = Mutex::new(Some(typed()));
        let (mut service, request) = site.around(("authorization", &bearer), |request| {
            let mut parts = request.into_parts().0;
            if guarded {
                assert!(now(Session::<Require2fa>::from_request_parts(&mut parts, &())).is_ok());
            }
            ready(Ok(made.lock().unwrap().take().unwrap()))
        });
        let mut answer = None;
        let before = measure(|| answer = Some(service.call(request)));
        let mut response = None;
        let behind = measure(|| response = answer.take().map(|answer| now(answer).unwrap()));
        let headers = response.unwrap().into_parts().0.headers;
        match guarded {
            true => assert_eq!(headers["vary"], "Cookie, Authorization, Origin"),
            false => assert_eq!(headers["vary"], "Origin"),
        }
        println!(
            "guarded {guarded}: {} allocations before the application, {} behind it",
            before.count_total, behind.count_total
        );
        assert_eq!((before.count_total, behind.count_total), (2, 0));
    }
}

#[tokio::test]
async fn a_body_of_axums_own_is_passed_on_as_it_is() {
    let site = Site::new().await;
    let made = Mutex::new(Some(typed()));
    let mut service =
        stepup_axum::layer(&site.wire).layer(Inner(|_| ready(Ok(made.lock().unwrap().take().unwrap()))));
    let mut answer = Some(service.call(Request::new(())));
    let mut response = None;
    let info = measure(|| response = answer.take().map(|answer| now(answer).unwrap()));
    assert_eq!(info.count_total, 0);
    assert_eq!(response.unwrap().headers()["vary"], "Origin");
}

/// A response as any with a body: its map of headers has room for more.
fn typed() -> Response<Body> {
    let response = Response::builder().header("content-type", "text/plain");
    response.body(Body::from("hello")).unwrap()
}

#[tokio::test]
async fn a_remembered_token_takes_up_less_than_1800_bytes() {
    const COUNT: i64 = 100;
    // A memory of one part, whose tables then grow as those of a full one do.
    let site = Site::with(256 * 1024).await;
    let token = site.complete("ann@example.com").await;
    let mut claims = site.stepup.verify(&token).unwrap();
    let (mut stays, mut allocated) = (0, 0);
    let patch = JsonMap::new();
    for _ in 0..COUNT {
        // Another token of the same session, which nobody has seen.
        let issued = site.stepup.merge_own_payload(&claims, &patch).await;
        let token = issued.unwrap().unwrap().access.expose().clone();
        assert!(token.len() > 800, "a token of a usual length: {}", token.len());
        let mut verified = None;
        let info = measure(|| verified = site.stepup.verify(&token).ok());
        claims = verified.unwrap();
        stays += info.bytes_current;
        allocated += info.count_total;
    }
    let (each, allocations) = (stays / COUNT, allocated / u64::try_from(COUNT).unwrap());
    println!("a remembered token takes up {each} bytes; verifying it made {allocations} allocations");
    assert!(each < 1_800, "{each}");
}
