//! `cargo xtask bench`: what stepup costs, beside its peers, in one run and as ratios.
//!
//! Servers run on one core and the load comes from another, so that requests per second and CPU time per request both
//! speak of the server alone. What is compared takes turns in short rounds, and medians are shown: machines are noisy, and
//! absolute figures are worth nothing on another one.

mod client;
mod convert;
mod guard;
mod hash;
mod latency;
mod load;
mod memory;
mod serve;
mod site;
mod stack;
mod table;
mod tokens;
mod writes;

use std::alloc::System;
use std::process::ExitCode;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const USAGE: &str = "\
usage: stepup-bench [--quick] [PART]...

parts, all if none is named:
  guard    G1, G2: a guarded route beside a bare one and beside peers
  convert  G1: types of Actix Web and Rocket converted for a guard
  stack    G1: the same without sockets, in instructions and allocations
  tokens   G3, G4, G8: verifying, remembering and signing access tokens
  writes   G6: a code judged by SQLite, alone and among many
  memory   G8: what ten thousand accounts leave behind in the process
  hash     G9: a guarded route while passwords are hashed
  latency  a sign-in beside its hash, a code's request beside a slow provider, a thousand messages

--quick   short rounds and few accounts: to see whether it runs
";

/// How long things take.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds of everything that takes turns.
    pub rounds: usize,
    /// Seconds of load in a round.
    pub seconds: u64,
    /// Accounts of the memory part.
    pub accounts: usize,
}

/// A part: its name, and what measures and prints it.
type Part = (&'static str, fn(Effort));

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["serve", variant, rest @ ..] = words.as_slice() {
        serve::run(variant, rest);
        return ExitCode::SUCCESS;
    }
    if let ["send", variant, calls] = words.as_slice() {
        stack::send(variant, calls.parse().expect("a number"));
        return ExitCode::SUCCESS;
    }
    let quick = words.contains(&"--quick");
    let effort = match quick {
        true => Effort {
            rounds: 1,
            seconds: 1,
            accounts: 200,
        },
        false => Effort {
            rounds: 7,
            seconds: 2,
            accounts: 10_000,
        },
    };
    let parts: Vec<&str> = words.into_iter().filter(|word| *word != "--quick").collect();
    let known: [Part; 8] = [
        ("guard", guard::run),
        ("convert", convert::run),
        ("stack", stack::run),
        ("tokens", tokens::run),
        ("writes", writes::run),
        ("memory", memory::run),
        ("hash", hash::run),
        ("latency", latency::run),
    ];
    if parts == ["help"] {
        print!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    if parts
        .iter()
        .any(|part| !known.iter().any(|(name, _)| name == part))
    {
        eprint!("{USAGE}");
        return ExitCode::FAILURE;
    }
    table::about_this_machine();
    for (name, run) in known {
        if parts.is_empty() || parts.contains(&name) {
            run(effort);
        }
    }
    ExitCode::SUCCESS
}
