//! G1: what a guarded request costs inside the process, from the router to the response, without sockets.
//!
//! Time is noisy on a shared machine, so that instructions are counted too, by valgrind: they are the same in every run.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::Command;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use actix_http::Request as ActixRequest;
use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::test::{TestRequest, init_service};
use axum::body::{Body, HttpBody};
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use axum::routing::RouterIntoService;
use rocket::http::Header;
use rocket::local::blocking::Client;
use rocket::{Build, Rocket};
use stats_alloc::Region;
use stepup::session::keys::SigningAlgorithm;
use stepup::storage::memory::MemoryStore;
use stepup::wire::Wire;
use tower::{Layer, Service};

use crate::serve;
use crate::site::Site;
use crate::table::{figure, median, show};
use crate::{COUNTED, Effort};

/// What is compared: its name, its variant of [`crate::serve`], and the one beside which it is shown.
const VARIANTS: &[(&str, &str, &str)] = &[
    ("axum, no guard", "bare", "bare"),
    ("axum, extractor that reads the header", "header", "bare"),
    ("the same, in a layer that does nothing", "layered", "bare"),
    ("stepup, remembered token", "warm", "bare"),
    (
        "stepup, remembered token, layer around the router",
        "around",
        "bare",
    ),
    ("actix-web, no guard", "actix-bare", "actix-bare"),
    (
        "stepup on actix-web, remembered token",
        "actix-warm",
        "actix-bare",
    ),
    ("rocket, no guard", "rocket-bare", "rocket-bare"),
    ("stepup on rocket, remembered token", "rocket-warm", "rocket-bare"),
];

/// Measures and prints.
pub fn run(effort: Effort) {
    let calls = 2_000 * effort.seconds * effort.rounds as u64;
    let rows: Vec<Row> = VARIANTS
        .iter()
        .map(|(name, variant, beside)| {
            let mut stack = Stack::new(variant);
            let mut times: Vec<f64> = (0..effort.rounds.max(3))
                .map(|_| stack.nanoseconds(calls))
                .collect();
            Row {
                name,
                variant,
                beside,
                ns: median(&mut times),
                instructions: instructions(variant),
                allocations: stack.allocations(),
            }
        })
        .collect();
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let bare = rows.iter().find(|bare| bare.variant == row.beside).unwrap_or(row);
            let over = row
                .instructions
                .zip(bare.instructions)
                .map(|(some, bare)| some - bare);
            let count = |count: Option<f64>| count.map_or("–".to_owned(), |count| format!("{count:.0}"));
            vec![
                row.name.to_owned(),
                figure(row.ns),
                count(row.instructions),
                count(over),
                row.allocations.to_string(),
                (row.allocations as f64 - bare.allocations as f64).to_string(),
            ]
        })
        .collect();
    show(
        "G1: a guarded route inside the process",
        &["", "ns", "instructions", "over bare", "allocations", "over bare"],
        &cells,
    );
    println!("\nRocket's own client for tests is part of its rows.");
}

/// What a request costs.
struct Row {
    name: &'static str,
    variant: &'static str,
    beside: &'static str,
    ns: f64,
    instructions: Option<f64>,
    allocations: usize,
}

/// Sends `calls` requests to `variant`, for whoever counts instructions.
pub fn send(variant: &str, calls: u64) {
    Stack::new(variant).send(calls);
}

/// An application, and a request to it.
struct Stack {
    call: Box<dyn FnMut()>,
    _site: Site,
}

impl Stack {
    fn new(variant: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let (site, token) = runtime.block_on(async {
            let store = Arc::new(MemoryStore::new());
            let site = Site::new(store, SigningAlgorithm::Es256, |builder| builder).await;
            let token = site.complete("ann").await;
            (site, token)
        });
        let bearer = format!("Bearer {token}");
        let call: Box<dyn FnMut()> = match variant {
            "around" => {
                let app = serve::guarded().into_service::<Body>();
                let mut service = stepup::axum::layer(&site.stepup).layer(app);
                Box::new(move || ask(&mut service, &bearer))
            }
            "actix-bare" => on_actix(runtime.block_on(init_service(serve::actix::bare())), bearer),
            "actix-warm" => {
                let wire = Wire::from(&site.stepup);
                on_actix(runtime.block_on(init_service(serve::actix::warm(&wire))), bearer)
            }
            rocket if rocket.starts_with("rocket") => {
                on_rocket(serve::rocket::app(rocket, &site.stepup), bearer)
            }
            _ => {
                let mut service: RouterIntoService<Body> = serve::app(variant, &site.stepup).into_service();
                Box::new(move || ask(&mut service, &bearer))
            }
        };
        Self { call, _site: site }
    }

    fn send(&mut self, calls: u64) {
        for _ in 0..calls {
            (self.call)();
        }
    }

    fn nanoseconds(&mut self, calls: u64) -> f64 {
        self.send(calls / 10);
        let began = Instant::now();
        self.send(calls);
        began.elapsed().as_nanos() as f64 / calls as f64
    }

    fn allocations(&mut self) -> usize {
        self.send(10);
        let region = Region::new(COUNTED);
        self.send(1);
        region.change().allocations
    }
}

/// Sends one request, as a server makes it of what it read, and reads the answer. A profile finds it by its name.
#[inline(never)]
fn ask<S, B>(service: &mut S, bearer: &str)
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: HttpBody,
{
    let mut request = Request::get("/")
        .header("host", "127.0.0.1:3000")
        .header("authorization", bearer)
        .body(Body::empty())
        .expect("a request");
    let peer = SocketAddr::from(([127, 0, 0, 1], 4711));
    request.extensions_mut().insert(ConnectInfo(peer));
    let response = now(service.call(request)).expect("answers");
    assert!(response.status().is_success());
    let mut body = pin!(response.into_body());
    while now(std::future::poll_fn(|cx| body.as_mut().poll_frame(cx))).is_some() {}
}

/// The same on Actix Web.
fn on_actix<S, B>(service: S, bearer: String) -> Box<dyn FnMut()>
where
    S: actix_web::dev::Service<ActixRequest, Response = ServiceResponse<B>, Error = actix_web::Error>
        + 'static,
    B: MessageBody + 'static,
{
    Box::new(move || {
        let request = TestRequest::get()
            .uri("/")
            .insert_header(("host", "127.0.0.1:3000"))
            .insert_header(("authorization", bearer.as_str()))
            .peer_addr(SocketAddr::from(([127, 0, 0, 1], 4711)))
            .to_request();
        let response = now(service.call(request)).expect("answers");
        assert!(response.status().is_success());
        let mut body = pin!(response.into_body());
        while now(std::future::poll_fn(|cx| body.as_mut().poll_next(cx))).is_some() {}
    })
}

/// The same on Rocket.
fn on_rocket(app: Rocket<Build>, bearer: String) -> Box<dyn FnMut()> {
    let client = Client::untracked(app).expect("it ignites");
    Box::new(move || {
        let response = client
            .get("/")
            .header(Header::new("host", "127.0.0.1:3000"))
            .header(Header::new("authorization", bearer.clone()))
            .remote(SocketAddr::from(([127, 0, 0, 1], 4711)))
            .dispatch();
        assert_eq!(response.status().code, 200);
        assert!(response.into_bytes().is_some());
    })
}

/// The output of a future that does not wait.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it waits"),
    }
}

/// Instructions a request, by valgrind; none if there is no valgrind.
fn instructions(variant: &str) -> Option<f64> {
    const FEW: u64 = 1_000;
    const MANY: u64 = 11_000;
    // What both have in common, the start of the site above all, falls away.
    Some((counted(variant, MANY)? - counted(variant, FEW)?) / (MANY - FEW) as f64)
}

fn counted(variant: &str, calls: u64) -> Option<f64> {
    let me = std::env::current_exe().ok()?;
    let output = Command::new("valgrind")
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .arg(me)
        .args(["send", variant, &calls.to_string()])
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("refs:"))?;
    line.rsplit(' ').next()?.replace(',', "").parse().ok()
}
