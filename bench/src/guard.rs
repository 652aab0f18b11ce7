//! G1 and G2: what a guarded route costs, beside a bare one, and beside peers that keep sessions.

use std::path::PathBuf;

use crate::Effort;
use crate::load::{Server, turns};
use crate::table::{Goal, figure, ratio, show};

/// Measures and prints.
pub fn run(effort: Effort) {
    let mut servers = vec![
        Server::ours("axum, no guard, same header", &["bare"]),
        Server::ours("axum, extractor that reads the header", &["header"]),
        Server::ours("stepup, remembered token", &["warm"]),
        Server::ours("stepup, cold token, ES256", &["cold-es256"]),
        Server::ours("stepup, cold token, EdDSA", &["cold-eddsa"]),
        Server::ours("stepup, cold token, RS256", &["cold-rs256"]),
    ];
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
    let (bare, header) = (&figures[0].1, &figures[1].1);
    let warm = &figures[2].1;
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|(name, f)| {
            vec![
                name.clone(),
                figure(f.rate),
                figure(f.cost),
                figure(f.cost - bare.cost),
                figure(f.rate / bare.rate),
            ]
        })
        .collect();
    show(
        "G1, G2: a guarded route",
        &["server", "requests/s", "CPU µs/request", "µs over bare", "× bare"],
        &rows,
    );
    let mut goals = vec![
        vec![
            "G1 warm ÷ header-only extractor".to_owned(),
            ratio(warm.rate / header.rate, Goal::AtLeast(0.97)),
        ],
        vec![
            "G1 warm ÷ unguarded".to_owned(),
            ratio(warm.rate / bare.rate, Goal::AtLeast(0.92)),
        ],
    ];
    for (name, f) in figures.iter().skip(6) {
        let goal = GOALS
            .iter()
            .find(|(peer, _)| peer == name)
            .map_or(1.0, |(_, goal)| *goal);
        goals.push(vec![
            format!("G2 warm ÷ {name}"),
            ratio(warm.rate / f.rate, Goal::AtLeast(goal)),
        ]);
    }
    show("G1, G2: goals", &["ratio of requests/s", "measured"], &goals);
    for name in missing {
        println!("\nNot measured: {name} did not start.");
    }
}

/// Name, the variable that says where it is, and what it is started with.
const PEERS: &[(&str, &str, &[&str])] = &[
    (MEMORY, "STEPUP_BENCH_AXUM_LOGIN", &["memory"]),
    (SQLITE, "STEPUP_BENCH_AXUM_LOGIN", &["sqlite"]),
    (NODE, "STEPUP_BENCH_NODE", &[]),
];

const MEMORY: &str = "axum-login, sessions in memory";
const SQLITE: &str = "axum-login, sessions in SQLite";
const NODE: &str = "supertokens-node on fastify";

const GOALS: &[(&str, f64)] = &[(MEMORY, 1.8), (SQLITE, 4.0), (NODE, 20.0)];
