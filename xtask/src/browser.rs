//! The browser suite: the unmodified frontend SDK in Chromium, against the demo servers.
//!
//! The suite lives in `tests/browser` and starts the servers by itself. It is told where things are: `STEPUP_DEMO` is a
//! demo's binary, `STEPUP_BY_HAND` that of `examples/by-hand`, `CHROMIUM` the browser. On Axum all of it runs; on the other
//! frameworks the client's own flow, by cookies and by headers, from the API's origin and from another one.

use std::fs;
use std::path::{Path, PathBuf};

use crate::framework::{self, Framework};
use crate::install;
use crate::report::{Outcome, run, run_suite};
use crate::workspace::Workspace;

/// The whole suite, on Axum.
pub(crate) fn suite(workspace: &Workspace) -> Outcome {
    against(workspace, "demo-axum", &["npm", "test"])
}

/// The client's flow, on another framework.
pub(crate) fn client(workspace: &Workspace, framework: Framework) -> Outcome {
    let words = ["node", "--test", "--test-reporter=spec", "web-js.test.js"];
    against(workspace, framework.demo, &words)
}

/// Sign-in with an OpenID provider that nobody here wrote. It needs node and no browser; the tests are ignored wherever nobody
/// says where the provider is.
pub(crate) fn openid_provider(workspace: &Workspace) -> Outcome {
    let folder = workspace.root().join("tests/browser");
    node(workspace)?;
    packages(workspace, &folder)?;
    let words = [
        "test",
        "--package",
        "stepup-oauth",
        "--test",
        "openid_provider",
        "--",
        "--ignored",
    ];
    let mut test = workspace.cargo(&words);
    test.env(
        "STEPUP_OPENID_PROVIDER",
        folder.join("harness/openid-provider.js"),
    );
    run_suite(&mut test)
}

/// Mails to a server that nobody here wrote, over TLS. It needs node and no browser.
pub(crate) fn mail_server(workspace: &Workspace) -> Outcome {
    let folder = workspace.root().join("tests/browser");
    node(workspace)?;
    packages(workspace, &folder)?;
    let words = [
        "test",
        "--package",
        "stepup-delivery",
        "--test",
        "mail_server",
        "--",
        "--ignored",
    ];
    let mut test = workspace.cargo(&words);
    test.env("STEPUP_MAIL_SERVER", folder.join("harness/mail-server.js"));
    run_suite(&mut test)
}

/// Builds a demo, gets what the suite needs, and runs it.
fn against(workspace: &Workspace, demo: &str, words: &[&str]) -> Outcome {
    let folder = workspace.root().join("tests/browser");
    let chromium = install::program(
        workspace,
        &["chromium", "chromium-browser", "google-chrome"],
        &["chromium"],
    )?;
    node(workspace)?;
    packages(workspace, &folder)?;
    // All demos at once: what they share is built with the features of all of them, once.
    let mut build = workspace.cargo(&["build", "--package", "demo-axum", "--package", "by-hand"]);
    for other in framework::others(workspace)? {
        build.args(["--package", other.demo]);
    }
    run(&mut build)?;
    let demo = Copied::of(workspace, demo)?;
    let by_hand = Copied::of(workspace, "by-hand")?;
    let (program, words) = words.split_first().ok_or_else(|| "nothing to run".to_owned())?;
    let mut test = workspace.command(program);
    test.args(words)
        .current_dir(&folder)
        .env("STEPUP_DEMO", &demo.0)
        .env("STEPUP_BY_HAND", &by_hand.0)
        .env("CHROMIUM", on_path(chromium)?);
    run_suite(&mut test)
}

/// Node of [`NODE`] or newer, with npm.
fn node(workspace: &Workspace) -> Result<(), String> {
    install::program(workspace, &["node"], &["nodejs"])?;
    install::program(workspace, &["npm"], &["npm"])?;
    let version = install::version("node").unwrap_or_default();
    match major(&version) {
        Some(NODE..) => Ok(()),
        _ => Err(format!(
            "node is {version:?}, the browser suite needs {NODE} or newer"
        )),
    }
}

/// `node_modules` as the lock file says.
fn packages(workspace: &Workspace, folder: &Path) -> Result<(), String> {
    // npm writes this file last: a set-up that was cut off does not have it.
    let installed = modified(&folder.join("node_modules/.package-lock.json"));
    let locked = modified(&folder.join("package-lock.json"))
        .ok_or("tests/browser/package-lock.json is missing: nothing is installed that is not pinned")?;
    if installed.is_some_and(|installed| installed >= locked) {
        return Ok(());
    }
    let mut ci = workspace.command("npm");
    ci.args(["ci", "--no-audit", "--no-fund"]).current_dir(folder);
    run(&mut ci).map(drop).map_err(|failure| failure.why)
}

/// A copy of a built binary, removed when dropped: a build that goes on meanwhile must not swap the server under the
/// suite, which starts it more than once.
struct Copied(PathBuf);

impl Copied {
    fn of(workspace: &Workspace, name: &str) -> Result<Self, String> {
        let from = workspace.binary(name);
        let folder = workspace.target_folder("xtask");
        let to = folder.join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&folder)
            .and_then(|()| fs::copy(&from, &to))
            .map_err(|error| format!("cannot copy {} to {}: {error}", from.display(), to.display()))?;
        Ok(Self(to))
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        // If it stays, it is one file too many in the target folder.
        let _ = fs::remove_file(&self.0);
    }
}

/// The full path of `program`: a library that starts a browser may not search for it.
fn on_path(program: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("{program} runs, but is in no folder of PATH"))
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    fs::metadata(path).and_then(|metadata| metadata.modified()).ok()
}

/// `20` of `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version.strip_prefix('v')?.split('.').next()?.parse().ok()
}

/// Oldest major version of node that the suite is written for.
const NODE: u32 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_of_node_is_read() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("20.20.2"), None);
        assert_eq!(major("vx"), None);
        assert_eq!(major(""), None);
    }
}
