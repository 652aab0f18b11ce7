//! Where things are.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository, and where its builds go.
#[derive(Debug)]
pub(crate) struct Workspace {
    root: PathBuf,
    binaries: PathBuf,
    target: Option<PathBuf>,
}

impl Workspace {
    /// The workspace that this tool is a member of.
    pub(crate) fn find() -> Result<Self, String> {
        // At run time, not at compile time: two checkouts may share a target folder, and with it this binary.
        let manifest = env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
        let root = manifest.parent().ok_or("xtask has no parent folder")?.to_owned();
        // Cargo puts the demo beside this very binary, whatever its configuration says of folders.
        let exe = env::current_exe().map_err(|error| format!("where am I? {error}"))?;
        let binaries = exe.parent().ok_or("xtask lies in no folder")?.to_owned();
        // Relative to where the user stands, while steps run in the root.
        let here = env::current_dir().map_err(|error| format!("no current folder: {error}"))?;
        let target = env::var_os("CARGO_TARGET_DIR").map(|target| here.join(target));
        Ok(Self {
            root,
            binaries,
            target,
        })
    }

    /// The root folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Where a built binary called `name` lies.
    pub(crate) fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(format!("{name}{}", env::consts::EXE_SUFFIX))
    }

    /// A folder of our own beside what cargo builds.
    pub(crate) fn target_folder(&self, name: &str) -> PathBuf {
        self.binaries.parent().unwrap_or(&self.binaries).join(name)
    }

    /// `program`, to be run in the root.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.root);
        if let Some(target) = &self.target {
            command.env("CARGO_TARGET_DIR", target);
        }
        // `cargo run` describes this package in the environment; a build script that looks there would be run again.
        for (key, _) in env::vars_os() {
            let is_ours = key.to_str().is_some_and(|key| {
                key.starts_with("CARGO_PKG_")
                    || key.starts_with("CARGO_MANIFEST_")
                    || key.starts_with("CARGO_BIN_")
            });
            if is_ours {
                command.env_remove(key);
            }
        }
        command
    }

    /// `cargo` with `words`, the one that runs this tool.
    pub(crate) fn cargo(&self, words: &[&str]) -> Command {
        let mut command = self.command(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command.args(words);
        command
    }

    /// Names of all packages but `tests`.
    pub(crate) fn packages(&self) -> Result<Vec<String>, String> {
        let mut names = vec!["xtask".to_owned()];
        for folder in ["crates", "examples"] {
            let folder = self.root.join(folder);
            if !folder.is_dir() {
                continue;
            }
            let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
            for entry in entries.flatten() {
                if let Ok(manifest) = fs::read_to_string(entry.path().join("Cargo.toml")) {
                    names.extend(names_after(&manifest, "[package]"));
                }
            }
        }
        names.sort();
        Ok(names)
    }

    /// Names of the test targets of `tests`.
    pub(crate) fn test_targets(&self) -> Result<Vec<String>, String> {
        let path = self.root.join("tests/Cargo.toml");
        let manifest = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(names_after(&manifest, "[[test]]"))
    }
}

/// The value of `name` in each table of `manifest` that starts with the line `header`.
fn names_after(manifest: &str, header: &str) -> Vec<String> {
    let mut inside = false;
    let mut names = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == header;
        } else if inside && let Some(("name", value)) = line.split_once('=').map(|(key, v)| (key.trim(), v)) {
            names.push(value.trim().trim_matches('"').to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_the_tables_asked_for() {
        let manifest = "[package]\nname = \"a\"\n[[test]]\nname = \"b\"\npath = \"b.rs\"\n[[test]]\npath = \"c.rs\"\nname=\"c\"\n[dependencies]\nname = \"d\"\n";
        assert_eq!(names_after(manifest, "[package]"), ["a"]);
        assert_eq!(names_after(manifest, "[[test]]"), ["b", "c"]);
    }

    #[test]
    fn this_workspace_knows_its_packages_and_test_targets() {
        let workspace = Workspace::find().unwrap();
        let packages = workspace.packages().unwrap();
        for name in ["xtask", "stepup", "stepup-core"] {
            assert!(
                packages.contains(&name.to_owned()),
                "{name} is not among {packages:?}"
            );
        }
        assert!(
            workspace
                .test_targets()
                .unwrap()
                .contains(&"architecture".to_owned())
        );
    }
}
