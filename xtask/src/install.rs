//! Gets programs from the distribution when the machine has none.

use std::path::Path;
use std::process::Command;

use crate::report::{output, run};
use crate::workspace::Workspace;

/// The first of `programs` that answers `--version`; else the distribution's `packages` are installed and it is asked
/// again.
///
/// # Errors
/// A sentence that names what is missing, if it could not be installed or still does not run.
pub(crate) fn program(
    workspace: &Workspace,
    programs: &[&'static str],
    packages: &[&str],
) -> Result<&'static str, String> {
    let find = || programs.iter().copied().find(|name| version(name).is_some());
    if let Some(found) = find() {
        return Ok(found);
    }
    println!("none of {programs:?} runs here: installing {packages:?}");
    apt(workspace, packages)?;
    find().ok_or_else(|| format!("installed {packages:?}, but none of {programs:?} runs"))
}

/// What `program --version` prints.
pub(crate) fn version(program: &str) -> Option<String> {
    output(Command::new(program).arg("--version"))
}

/// Whether a program of that name can be called.
pub(crate) fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

pub(crate) fn apt(workspace: &Workspace, packages: &[&str]) -> Result<(), String> {
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(format!(
            "please install {packages:?}: this system has no apt-get to do it with"
        ));
    }
    let is_root = output(Command::new("id").arg("-u")).as_deref() == Some("0");
    let apt_get = |words: &[&str]| {
        // -n: never wait for a password.
        let mut command = workspace.command(if is_root { "env" } else { "sudo" });
        if !is_root {
            command.args(["-n", "env"]);
        }
        command
            .args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"])
            .args(words);
        run(&mut command).map(drop).map_err(|failure| failure.why)
    };
    apt_get(&["update"])?;
    let mut words = vec!["install", "--yes", "--no-install-recommends"];
    words.extend(packages);
    apt_get(&words)
}
