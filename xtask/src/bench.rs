//! The benchmarks: a workspace of their own, with peers beside ours.

use std::path::Path;
use std::process::Command;

use crate::install;
use crate::workspace::Workspace;

/// Builds everything and runs it with `words`.
///
/// # Errors
/// What could not be installed, built or run.
pub(crate) fn run(workspace: &Workspace, words: &[String]) -> Result<(), String> {
    let bench = workspace.root().join("bench");
    let target = workspace.target_folder("bench");
    // It answers no `--version` with success, so it is looked for by name.
    if !install::is_on_path("wrk") {
        install::apt(workspace, &["wrk"])?;
    }
    install::program(workspace, &["taskset"], &["util-linux"])?;
    build(workspace, &bench, &target)?;
    let mut command = Command::new(target.join("release/stepup-bench"));
    // A peer that cannot be had is reported as not measured.
    match build(workspace, &bench.join("peers"), &target) {
        Ok(()) => {
            command.env("STEPUP_BENCH_AXUM_LOGIN", target.join("release/peer-axum-login"));
            command.env(
                "STEPUP_BENCH_ACTIX_SESSION",
                target.join("release/peer-actix-session"),
            );
        }
        Err(why) => eprintln!("xtask: no axum-login, no actix-identity: {why}"),
    }
    let node = bench.join("node");
    let packages = ["ci", "--no-audit", "--no-fund"];
    match call(Command::new("npm").args(packages).current_dir(&node)) {
        Ok(()) => {
            command.env("STEPUP_BENCH_NODE", node.join("server.js"));
        }
        Err(why) => eprintln!("xtask: no supertokens-node: {why}"),
    }
    call(command.args(words).current_dir(&target))
}

fn build(workspace: &Workspace, folder: &Path, target: &Path) -> Result<(), String> {
    let mut command = workspace.cargo(&["build", "--release", "--locked", "--manifest-path"]);
    command
        .arg(folder.join("Cargo.toml"))
        .env("CARGO_TARGET_DIR", target);
    call(&mut command)
}

fn call(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().display().to_string();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{name}: {status}")),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
