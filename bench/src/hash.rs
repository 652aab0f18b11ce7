//! G9: a guarded route while passwords are hashed as fast as they can be, on the very core of the server.

use std::process::{Command, Stdio};

use crate::Effort;
use crate::load::Server;
use crate::table::{Goal, figure, median, ratio, show};

/// Measures and prints.
pub fn run(effort: Effort) {
    let quiet = Server::ours("quiet", &["warm"]);
    let hashing = Server::ours("hashing", &["warm", "hashing"]);
    let (mut alone, mut beside, mut hashed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        alone.push(quiet.slowest(effort.seconds));
        let mut other = busy();
        beside.push(quiet.slowest(effort.seconds));
        if let Some(other) = &mut other {
            let _ = other.kill();
            let _ = other.wait();
        }
        hashed.push(hashing.slowest(effort.seconds));
    }
    let (alone, beside, hashed) = (median(&mut alone), median(&mut beside), median(&mut hashed));
    let rows = vec![
        vec!["nothing".to_owned(), figure(alone)],
        vec!["one busy process of somebody else".to_owned(), figure(beside)],
        vec!["its own password hashing at full rate".to_owned(), figure(hashed)],
    ];
    show(
        "G9: a guarded route beside password hashing",
        &["on the same core", "p99 ms"],
        &rows,
    );
    println!(
        "\np99 beside hashing ÷ beside a busy process: {}",
        ratio(hashed / beside, Goal::AtMost(2.0))
    );
}

/// A process that does nothing but count, on the server's core.
fn busy() -> Option<std::process::Child> {
    Command::new("taskset")
        .args(["-c", "0", "sh", "-c", "while :; do :; done"])
        .stdout(Stdio::null())
        .spawn()
        .ok()
}
