//! G1 and G2: what a guarded route costs on each framework, beside a bare one, and beside peers that keep sessions.

use std::path::PathBuf;

use crate::Effort;
use crate::load::{Figures, Server, turns};
use crate::table::{Goal, figure, ratio, show};

/// Measures and prints.
pub fn run(effort: Effort) {
    let mut servers: Vec<_> = OURS
        .iter()
        .map(|(name, variant)| Server::ours(name, &[variant]))
        .collect();
    let mut missing = Vec::new();
    for (name, variable, words) in PEERS {
        // `cargo xtask bench` builds the peers and says where they are.
        let peer = std::env::var_os(variable).map(PathBuf::from);
        match peer.and_then(|program| Server::start(name, &program, words)) {
            Some(server) => servers.push(server),
            None => missing.push(*name),
        }
    }
    turns(&mut servers, effort);
    let figures: Vec<_> = servers
        .iter_mut()
        .map(|s| (s.name().to_owned(), s.figures()))
        .collect();
    let of = |name: &str| figures.iter().find(|(known, _)| known == name).map(|(_, f)| f);
    let rows: Vec<Vec<String>> = figures
        .iter()
        .filter_map(|(name, f)| Some(row(name, f, of(bare(name))?)))
        .collect();
    show(
        "G1, G2: a guarded route",
        &["server", "requests/s", "CPU µs/request", "µs over bare", "× bare"],
        &rows,
    );
    println!("\nBare is the unguarded route of the same framework; of Axum, for what has none here.");
    let goals: Vec<Vec<String>> = GOALS
        .iter()
        .filter_map(|(ours, other, goal)| {
            let measured = of(ours)?.rate / of(other)?.rate;
            Some(vec![
                format!("{ours} ÷ {other}"),
                ratio(measured, Goal::AtLeast(*goal)),
            ])
        })
        .collect();
    show("G1, G2: goals", &["ratio of requests/s", "measured"], &goals);
    for name in missing {
        println!("\nNot measured: {name} did not start.");
    }
}

fn row(name: &str, f: &Figures, bare: &Figures) -> Vec<String> {
    vec![
        name.to_owned(),
        figure(f.rate),
        figure(f.cost),
        figure(f.cost - bare.cost),
        figure(f.rate / bare.rate),
    ]
}

/// The bare route that a server is shown beside.
fn bare(name: &str) -> &'static str {
    match name {
        ACTIX_BARE | ACTIX | IDENTITY_COOKIE | IDENTITY_MEMORY => ACTIX_BARE,
        ROCKET_BARE | ROCKET => ROCKET_BARE,
        _ => AXUM_BARE,
    }
}

const AXUM_BARE: &str = "axum, no guard, same header";
const AXUM_HEADER: &str = "axum, extractor that reads the header";
const AXUM: &str = "stepup on axum, remembered token";
const ACTIX_BARE: &str = "actix-web, no guard, same header";
const ACTIX: &str = "stepup on actix-web, remembered token";
const ROCKET_BARE: &str = "rocket, no guard, same header";
const ROCKET: &str = "stepup on rocket, remembered token";

/// Name, and variant of [`crate::serve`].
const OURS: &[(&str, &str)] = &[
    (AXUM_BARE, "bare"),
    (AXUM_HEADER, "header"),
    (AXUM, "warm"),
    (ACTIX_BARE, "actix-bare"),
    (ACTIX, "actix-warm"),
    (ROCKET_BARE, "rocket-bare"),
    (ROCKET, "rocket-warm"),
    ("stepup on axum, cold token, ES256", "cold-es256"),
    ("stepup on axum, cold token, EdDSA", "cold-eddsa"),
    ("stepup on axum, cold token, RS256", "cold-rs256"),
];

const MEMORY: &str = "axum-login, sessions in memory";
const SQLITE: &str = "axum-login, sessions in SQLite";
const IDENTITY_COOKIE: &str = "actix-identity, sessions in cookies";
const IDENTITY_MEMORY: &str = "actix-identity, sessions in memory";
const NODE: &str = "supertokens-node on fastify";

/// Name, the variable that says where it is, and what it is started with.
const PEERS: &[(&str, &str, &[&str])] = &[
    (MEMORY, "STEPUP_BENCH_AXUM_LOGIN", &["memory"]),
    (SQLITE, "STEPUP_BENCH_AXUM_LOGIN", &["sqlite"]),
    (IDENTITY_COOKIE, "STEPUP_BENCH_ACTIX_SESSION", &["cookie"]),
    (IDENTITY_MEMORY, "STEPUP_BENCH_ACTIX_SESSION", &["memory"]),
    (NODE, "STEPUP_BENCH_NODE", &[]),
];

/// Ours, what it is compared with, and the ratio of requests per second that it should reach at least.
const GOALS: &[(&str, &str, f64)] = &[
    (AXUM, AXUM_HEADER, 0.97),
    (AXUM, AXUM_BARE, 0.92),
    (ACTIX, ACTIX_BARE, 0.95),
    (ROCKET, ROCKET_BARE, 0.97),
    (AXUM, MEMORY, 1.8),
    (AXUM, SQLITE, 4.0),
    (ACTIX, IDENTITY_COOKIE, 1.8),
    (ACTIX, IDENTITY_MEMORY, 1.0),
    (AXUM, NODE, 20.0),
];
