//! What can be said without running anything: form, lints, documentation, dependencies.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::report::{Outcome, output, run};
use crate::workspace::Workspace;

/// Formatting.
pub(crate) fn format(workspace: &Workspace) -> Outcome {
    run(&mut workspace.cargo(&["fmt", "--all", "--check"]))
}

/// Clippy and rustc, over all targets and features, with warnings denied.
pub(crate) fn clippy(workspace: &Workspace) -> Outcome {
    let words = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ];
    run(&mut workspace.cargo(&words))
}

/// Documentation as docs.rs builds it, with warnings denied.
pub(crate) fn docs(workspace: &Workspace) -> Outcome {
    let mut flags = env::var("RUSTDOCFLAGS").unwrap_or_default();
    flags.push_str(" -Dwarnings");
    let words = ["doc", "--workspace", "--no-deps", "--all-features"];
    run(workspace.cargo(&words).env("RUSTDOCFLAGS", flags.trim()))
}

/// Banned crates, licenses, sources: `deny.toml`.
pub(crate) fn deny(workspace: &Workspace) -> Outcome {
    run(cargo_deny(workspace)?.args(["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]))
}

/// Known vulnerabilities, from the copy of the database that `STEPUP_ADVISORY_DB` names; nothing is fetched.
pub(crate) fn advisories(workspace: &Workspace) -> Outcome {
    run(cargo_deny(workspace)?.args(["--offline", "check", "advisories"]))
}

/// Where the advisory database is, if anywhere. `deny.toml` reads the same variable.
pub(crate) fn advisory_db() -> Option<OsString> {
    env::var_os("STEPUP_ADVISORY_DB").filter(|path| !path.is_empty())
}

/// `cargo-deny`: the user's own, else one that is built once into the target folder.
fn cargo_deny(workspace: &Workspace) -> Result<Command, String> {
    let tools = workspace.target_folder("tools");
    let own = tools.join("bin/cargo-deny");
    let runs = |path: &PathBuf| output(Command::new(path).arg("--version")).is_some();
    let found = [PathBuf::from("cargo-deny"), own.clone()].into_iter().find(runs);
    let program = match found {
        Some(program) => program,
        None => {
            let build = tools.join("build");
            // Unoptimized: it is built more often than it is waited for.
            let mut install = workspace.cargo(&[
                "install",
                "--locked",
                "--debug",
                "--version",
                CARGO_DENY,
                "cargo-deny",
            ]);
            // A build folder of its own, so that it holds no lock on ours.
            install.arg("--root").arg(&tools).arg("--target-dir").arg(&build);
            run(&mut install).map_err(|failure| failure.why)?;
            // Only the binary is needed from now on; if the rest stays, it is in nobody's way.
            let _ = fs::remove_dir_all(build);
            own
        }
    };
    let mut command = workspace.command(program);
    command.arg("--all-features");
    Ok(command)
}

/// Version of `cargo-deny` that is built if there is none.
const CARGO_DENY: &str = "0.20.2";
