//! G1: what it costs to convert between a framework's types and those of `http` 1, for a guarded request.
//!
//! The files are the adapters' own, taken in as they are: they are private there, and what is measured must be what runs.

#[path = "../../crates/stepup-actix/src/convert.rs"]
#[expect(dead_code, reason = "endpoints are not measured")]
mod actix;
#[path = "../../crates/stepup-rocket/src/convert.rs"]
#[expect(dead_code, reason = "endpoints are not measured")]
mod rocket;

use std::hint::black_box;
use std::ops::Sub;
use std::sync::Arc;
use std::time::Instant;

use ::rocket::local::blocking::Client;
use actix_web::HttpResponse;
use actix_web::test::TestRequest;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use stats_alloc::Region;
use stepup::session::keys::SigningAlgorithm;
use stepup::storage::memory::MemoryStore;
use stepup_wire::{Gate, Visit, Wire};

use crate::site::Site;
use crate::table::{Goal, at, figure, judged, show};
use crate::{COUNTED, Effort};

/// Measures and prints.
pub fn run(effort: Effort) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (_site, gate, token) = runtime.block_on(async {
        let store = Arc::new(MemoryStore::new());
        let site = Site::new(store, SigningAlgorithm::Es256, |builder| builder).await;
        let token = site.complete("ann").await;
        let gate = Gate::from(&Wire::from(&site.stepup));
        (site, gate, token)
    });
    let bearer = format!("Bearer {token}");
    let lines = || {
        BROWSER
            .iter()
            .copied()
            .chain([("authorization", bearer.as_str())])
    };

    let mut actix = TestRequest::get().uri("/");
    for line in lines() {
        actix = actix.insert_header(line);
    }
    let actix = actix.to_http_request();
    let client = Client::untracked(::rocket::custom(::rocket::Config {
        log_level: ::rocket::config::LogLevel::Off,
        ..::rocket::Config::release_default()
    }))
    .expect("rocket ignites");
    let mut rocket = client.get("/");
    for (name, value) in lines() {
        rocket.add_header(::rocket::http::Header::new(name, value.to_owned()));
    }
    let rocket = rocket.inner();

    let parts = || actix::parts(&actix);
    let visit = Visit::begin(&gate, parts(), None).expect("no preflight");
    // A response is made anew each time: what is owed comes to headers that hold none of it.
    let actix_made = || HttpResponse::Ok().content_type("text/plain").body("hello");
    let rocket_made = || {
        let mut response = ::rocket::Response::new();
        response.set_raw_header("content-type", "text/plain");
        response
    };
    let plain_made = || {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
        headers
    };

    let mut measured = [
        Measured::new(|| drop(black_box(actix::parts(black_box(&actix))))),
        Measured::new(|| drop(black_box(actix_made()))),
        Measured::new(|| {
            let mut response = black_box(actix_made());
            let owed = actix::owed(black_box(&visit), response.headers());
            actix::pay(response.headers_mut(), &owed);
            drop(black_box(response));
        }),
        Measured::new(|| drop(black_box(rocket::parts(black_box(rocket), http::Method::GET)))),
        Measured::new(|| drop(black_box(rocket_made()))),
        Measured::new(|| {
            let mut response = black_box(rocket_made());
            rocket::finish(black_box(&visit), &mut response);
            drop(black_box(response));
        }),
        // What a response owes is found out on every framework: it is part of both above, and no conversion.
        Measured::new(|| drop(black_box(plain_made()))),
        Measured::new(|| {
            let mut headers = black_box(plain_made());
            visit.finish(black_box(&mut headers));
            drop(black_box(headers));
        }),
    ];
    for _ in 0..100 * effort.rounds {
        measured.iter_mut().for_each(Measured::round);
    }
    let [
        actix_in,
        actix_made,
        actix_out,
        rocket_in,
        rocket_made,
        rocket_out,
        made,
        finished,
    ] = measured.each_mut().map(Measured::figures);
    let finish = finished - made;
    let row = |name: &str, read: Cost, written: Cost| {
        let (together, allocations) = (read.ns + written.ns, read.allocations + written.allocations);
        vec![
            name.to_owned(),
            figure(read.ns),
            figure(written.ns),
            format!("{allocations:.0}"),
            judged(together, " ns", Goal::AtMost(500.0)),
        ]
    };
    show(
        "G1: types converted for a guarded request",
        &["", "request ns", "response ns", "allocations", "together"],
        &[
            row("Actix Web", actix_in, actix_out - actix_made - finish),
            row("Rocket", rocket_in, rocket_out - rocket_made - finish),
        ],
    );
}

/// What a browser sends beside its token. The lines of ours among them have to be found.
const BROWSER: &[(&str, &str)] = &[
    ("host", "api.example.com"),
    ("connection", "keep-alive"),
    ("sec-ch-ua-platform", "\"Linux\""),
    (
        "user-agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36",
    ),
    ("accept", "*/*"),
    ("sec-fetch-site", "same-origin"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-dest", "empty"),
    ("referer", "https://example.com/account"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-US,en;q=0.9"),
    ("rid", "anti-csrf"),
];

/// Something that is done over and over.
struct Measured<'a> {
    call: Box<dyn FnMut() + 'a>,
    times: Vec<f64>,
}

impl<'a> Measured<'a> {
    fn new(call: impl FnMut() + 'a) -> Self {
        Self {
            call: Box::new(call),
            times: Vec::new(),
        }
    }

    fn round(&mut self) {
        const CALLS: u32 = 1_000;
        let began = Instant::now();
        for _ in 0..CALLS {
            (self.call)();
        }
        self.times
            .push(began.elapsed().as_nanos() as f64 / f64::from(CALLS));
    }

    fn figures(&mut self) -> Cost {
        let region = Region::new(COUNTED);
        (self.call)();
        let allocations = region.change().allocations as f64;
        Cost {
            // Of many short rounds the quickest is the one that nobody disturbed.
            ns: at(&mut self.times, 0.0),
            allocations,
        }
    }
}

/// What it costs.
#[derive(Clone, Copy)]
struct Cost {
    ns: f64,
    allocations: f64,
}

impl Sub for Cost {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            ns: self.ns - other.ns,
            allocations: self.allocations - other.allocations,
        }
    }
}
