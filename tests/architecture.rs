//! Keeps the shape of the workspace true: who may import whom, what lies where, how long a file may grow.
//!
//! The tables come first; they are meant to be read, and to be changed in the same commit as the code when the shape
//! itself changes. A rule that fails says what to do; `examples` shows each of them sources that break it.

#[path = "architecture/examples.rs"]
mod examples;
#[path = "architecture/rules.rs"]
mod rules;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/tables.rs"]
mod tables;

use std::fs;
use std::path::Path;

use crate::rules::{Manifest, Rule};
use crate::source::File;

/// Fails with everything that breaks `rule` in the workspace, and with what to do about it.
fn keep(rule: Rule, files: &[File]) {
    let broken = (rule.broken)(files);
    assert!(broken.is_empty(), "\n{}\n\n{}\n", broken.join("\n"), rule.advice);
}

#[test]
fn every_crate_has_a_row_in_the_table() {
    let unknown: Vec<_> = manifests()
        .into_iter()
        .map(|manifest| manifest.name)
        .filter(|name| tables::row(name).is_none())
        .collect();
    assert!(
        unknown.is_empty(),
        "{unknown:?}: say in `CRATES` (tests/architecture/tables.rs) what each may import"
    );
}

#[test]
fn a_crate_depends_on_no_other_of_ours_than_the_table_names() {
    let broken: Vec<_> = manifests().iter().flat_map(rules::dependencies_on_ours).collect();
    assert!(
        broken.is_empty(),
        "\n{}\n\nData flows one way. Move the code to the crate that may know both, or hand the thing in as a value. \
         The testkit is only ever a dev-dependency.\n",
        broken.join("\n"),
    );
}

#[test]
fn a_crate_depends_on_nothing_that_it_must_not_know() {
    let broken: Vec<_> = manifests()
        .iter()
        .flat_map(rules::dependencies_on_others)
        .collect();
    assert!(
        broken.is_empty(),
        "\n{}\n\nMove the code to the crate whose subject that is. If the dependency is harmless (no I/O, no \
         framework), add it to the crate's row in tests/architecture/tables.rs.\n",
        broken.join("\n"),
    );
}

#[test]
fn a_source_names_no_crate_of_ours_and_no_part_of_core_that_the_table_forbids() {
    keep(rules::NAMES, &workspace());
}

#[test]
fn every_file_of_core_has_a_floor() {
    keep(rules::FLOOR_IS_KNOWN, &workspace());
}

#[test]
fn a_file_of_core_imports_only_from_floors_below_its_own() {
    keep(rules::FLOORS, &workspace());
}

#[test]
fn the_facade_only_re_exports() {
    keep(rules::FACADE, &workspace());
}

#[test]
fn no_source_file_has_more_than_700_lines() {
    keep(rules::FILE_LENGTH, &workspace());
}

#[test]
fn an_adapter_has_fewer_than_500_lines() {
    keep(rules::ADAPTER_LENGTH, &workspace());
}

#[test]
fn only_the_clock_reads_the_time() {
    keep(rules::CLOCK, &workspace());
}

#[test]
fn no_statement_asks_the_database_for_the_time() {
    keep(rules::SQL_TIME, &workspace());
}

#[test]
fn no_statement_is_put_together_at_run_time() {
    keep(rules::STATIC_SQL, &workspace());
}

#[test]
fn an_ignored_test_says_why() {
    keep(rules::IGNORED, &workspace());
}

/// The sources and migrations of the workspace.
fn workspace() -> Vec<File> {
    let mut files = Vec::new();
    for folder in ["crates", "examples", "tests", "xtask"] {
        collect(&root().join(folder), &mut files);
    }
    assert!(files.len() > 20, "the sources were not found: {}", files.len());
    files
}

fn collect(folder: &Path, files: &mut Vec<File>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != "node_modules" {
                collect(&path, files);
            }
        } else if matches!(path.extension().and_then(|end| end.to_str()), Some("rs" | "sql")) {
            let text = fs::read_to_string(&path).expect("a source is readable UTF-8");
            let name = path
                .strip_prefix(root())
                .expect("it lies below the root")
                .to_string_lossy();
            files.push(File::new(&name, &text));
        }
    }
}

/// What cargo says of the crates in `crates/`; dev-dependencies are left out.
fn manifests() -> Vec<Manifest> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo writes JSON");
    let manifests = Manifest::of_metadata(&metadata, &root().join("crates"));
    assert!(manifests.len() > 5, "cargo was not understood: {manifests:?}");
    manifests
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the root")
}
