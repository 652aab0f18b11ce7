//! Keeps the shape of the workspace true: who may import whom, what lies where, how long a file may grow.
//!
//! The tables come first; they are meant to be read, and to be changed in the same commit as the code when the shape
//! itself changes. A rule that fails says what to do. `rules_can_fail` shows each of them a source that breaks it.

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

#[test]
fn rules_can_fail() {
    let core = "crates/stepup-core/src";
    let sqlx = "crates/stepup-sqlx/src";
    let long = "\n".repeat(701);
    let half = "\n".repeat(250);
    let cases: &[(Rule, &[(&str, &str)])] = &[
        (
            rules::NAMES,
            &[(&format!("{sqlx}/user.rs"), "use stepup_wire::Wire;")],
        ),
        (
            rules::NAMES,
            &[(
                &format!("{sqlx}/user.rs"),
                "use stepup_core::{id::UserId, policy::Policy};",
            )],
        ),
        (
            rules::NAMES,
            &[(&format!("{sqlx}/user.rs"), "use stepup_core::{self, id};")],
        ),
        (
            rules::NAMES,
            &[(&format!("{sqlx}/user.rs"), "use stepup_core as c;")],
        ),
        (
            rules::NAMES,
            &[(&format!("{sqlx}/user.rs"), "fn f() { stepup_core::flow::run() }")],
        ),
        (
            rules::NAMES,
            &[("crates/stepup-axum/src/lib.rs", "use stepup_core::id::UserId;")],
        ),
        (
            rules::NAMES,
            &[(&format!("{core}/id.rs"), "type R = http::Request<()>;")],
        ),
        (rules::FLOOR_IS_KNOWN, &[(&format!("{core}/helpers.rs"), "")]),
        (
            rules::FLOORS,
            &[
                (&format!("{core}/id.rs"), "use crate::time::Timestamp;"),
                (&format!("{core}/time.rs"), ""),
            ],
        ),
        (
            rules::FLOORS,
            &[
                (
                    &format!("{core}/record/user.rs"),
                    "fn f() { crate::storage::g() }",
                ),
                (&format!("{core}/storage/mod.rs"), ""),
            ],
        ),
        (
            rules::FLOORS,
            &[
                (
                    &format!("{core}/factor/mod.rs"),
                    "pub use self::password::Password;",
                ),
                (&format!("{core}/factor/password.rs"), ""),
                (
                    &format!("{core}/factor/totp.rs"),
                    "mod inner { use super::super::Password; }",
                ),
            ],
        ),
        (
            rules::FLOORS,
            &[
                (&format!("{core}/policy.rs"), "use crate::Stepup;"),
                (&format!("{core}/lib.rs"), ""),
            ],
        ),
        (
            rules::FACADE,
            &[("crates/stepup/src/lib.rs", "pub use a::b;\nfn f() {}")],
        ),
        (
            rules::FACADE,
            &[("crates/stepup/src/lib.rs", "pub mod m { const C: u8 = 1; }")],
        ),
        (rules::FILE_LENGTH, &[(&format!("{core}/id.rs"), &long)]),
        (
            rules::ADAPTER_LENGTH,
            &[
                ("crates/stepup-axum/src/lib.rs", &half),
                ("crates/stepup-axum/src/session.rs", &half),
            ],
        ),
        (
            rules::CLOCK,
            &[(
                &format!("{core}/id.rs"),
                "fn f() { std::time::SystemTime::now(); }",
            )],
        ),
        (
            rules::CLOCK,
            &[(
                &format!("{core}/id.rs"),
                "#[cfg(test)] mod tests { fn f() { SystemTime::now(); } }",
            )],
        ),
        (
            rules::SQL_TIME,
            &[(&format!("{sqlx}/user.rs"), r#"const S: &str = "SELECT now()";"#)],
        ),
        (
            rules::SQL_TIME,
            &[(
                "crates/stepup-sqlx/migrations/1.sql",
                "x INTEGER DEFAULT CURRENT_TIMESTAMP",
            )],
        ),
        (
            rules::STATIC_SQL,
            &[(
                &format!("{sqlx}/user.rs"),
                r#"fn f() { format!("SELECT {a} FROM b"); }"#,
            )],
        ),
        (
            rules::STATIC_SQL,
            &[(
                &format!("{sqlx}/user.rs"),
                "fn f(s: String) { query(AssertSqlSafe(s)); }",
            )],
        ),
        (
            rules::STATIC_SQL,
            &[(&format!("{sqlx}/user.rs"), "use sqlx::QueryBuilder;")],
        ),
        (
            rules::IGNORED,
            &[(&format!("{core}/id.rs"), "#[test] #[ignore] fn f() {}")],
        ),
        (
            rules::IGNORED,
            &[(
                "tests/adapters.rs",
                "mod m { #[cfg_attr(unix, ignore)] #[test] fn f() {} }",
            )],
        ),
    ];
    for (rule, sources) in cases {
        let files: Vec<_> = sources.iter().map(|(path, text)| File::new(path, text)).collect();
        assert!(!(rule.broken)(&files).is_empty(), "{sources:?} was accepted");
    }

    let good: &[(Rule, &[(&str, &str)])] = &[
        (
            rules::NAMES,
            &[(
                &format!("{sqlx}/user.rs"),
                "//! Not `stepup_core::flow`.\nuse stepup_core::id::{A, B};",
            )],
        ),
        (
            rules::NAMES,
            &[(
                &format!("{sqlx}/user.rs"),
                "#[cfg(test)] mod tests { use stepup_testkit::Kit; }",
            )],
        ),
        (
            rules::FLOORS,
            &[
                (
                    &format!("{core}/record/mod.rs"),
                    "pub mod user; pub use self::user::User;",
                ),
                (
                    &format!("{core}/record/user.rs"),
                    "use super::JsonMap; pub(crate) use crate::id::UserId; #[cfg(test)] use crate::flow::F;",
                ),
                (
                    &format!("{core}/id.rs"),
                    "pub(crate) fn f() {} mod tests { use super::*; }",
                ),
                (&format!("{core}/flow.rs"), ""),
            ],
        ),
        (
            rules::FACADE,
            &[(
                "crates/stepup/src/lib.rs",
                "//! d\n#[cfg(feature = \"x\")]\npub use a;\npub mod m { pub use b::*; }",
            )],
        ),
        (
            rules::CLOCK,
            &[(&format!("{core}/time.rs"), "fn f() { SystemTime::now(); }")],
        ),
        (
            rules::SQL_TIME,
            &[(
                &format!("{sqlx}/user.rs"),
                r#"/// not now()
            const S: &str = "SELECT known FROM t";"#,
            )],
        ),
        (
            rules::STATIC_SQL,
            &[(
                &format!("{sqlx}/pool.rs"),
                r#"fn f() { format!("cannot open {path}"); }"#,
            )],
        ),
        (
            rules::IGNORED,
            &[(
                &format!("{core}/id.rs"),
                "#[test] #[ignore = \"needs a server\"] fn f() { ignore(); }",
            )],
        ),
    ];
    for (rule, sources) in good {
        let files: Vec<_> = sources.iter().map(|(path, text)| File::new(path, text)).collect();
        assert_eq!(
            (rule.broken)(&files),
            Vec::<String>::new(),
            "{sources:?} was refused"
        );
    }

    let manifest = |name: &str, dependency: &str| Manifest {
        name: name.to_owned(),
        dependencies: vec![dependency.to_owned()],
    };
    for (name, dependency) in [
        ("stepup-core", "stepup-wire"),
        ("stepup-axum", "stepup-core"),
        ("stepup", "stepup-testkit"),
    ] {
        assert!(
            !rules::dependencies_on_ours(&manifest(name, dependency)).is_empty(),
            "{name} on {dependency}"
        );
    }
    for (name, dependency) in [
        ("stepup-core", "tokio"),
        ("stepup-axum", "serde_json"),
        ("stepup-wire", "sqlx-core"),
    ] {
        assert!(
            !rules::dependencies_on_others(&manifest(name, dependency)).is_empty(),
            "{name} on {dependency}"
        );
    }
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
