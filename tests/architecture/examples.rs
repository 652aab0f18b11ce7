//! Small sources that break a rule, and some that come near and do not: a rule that cannot fail keeps nothing true.

use crate::rules::{self, Manifest, Rule};
use crate::source::File;

/// A rule, and files with their paths.
type Case = (Rule, &'static [(&'static str, &'static str)]);

#[rustfmt::skip]
const BROKEN: &[Case] = &[
    (rules::NAMES, &[("crates/stepup-sqlx/src/user.rs", "use stepup_wire::Wire;")]),
    (rules::NAMES, &[("crates/stepup-sqlx/src/user.rs", "use stepup_core::{id::UserId, policy::Policy};")]),
    (rules::NAMES, &[("crates/stepup-sqlx/src/user.rs", "use stepup_core::{self, id};")]),
    (rules::NAMES, &[("crates/stepup-sqlx/src/user.rs", "use stepup_core as core;")]),
    (rules::NAMES, &[("crates/stepup-sqlx/src/user.rs", "use stepup_core::*;")]),
    (rules::NAMES, &[("crates/stepup-sqlx/src/user.rs", "fn f() { stepup_core::flow::run() }")]),
    (rules::NAMES, &[("crates/stepup-sqlx/src/user.rs", "fn f() { println!(\"{}\", stepup_core::flow::run()) }")]),
    (rules::NAMES, &[("crates/stepup-axum/src/lib.rs", "use stepup_core::id::UserId;")]),
    (rules::NAMES, &[("crates/stepup-core/src/id.rs", "type R = http::Request<()>;")]),
    (rules::NAMES, &[("crates/stepup-wire/src/lib.rs", "impl From<::axum::Router> for A {}")]),

    (rules::FLOOR_IS_KNOWN, &[("crates/stepup-core/src/helpers.rs", "")]),

    (rules::FLOORS, &[
        ("crates/stepup-core/src/id.rs", "use crate::time::Timestamp;"),
        ("crates/stepup-core/src/time.rs", ""),
    ]),
    (rules::FLOORS, &[
        ("crates/stepup-core/src/record/user.rs", "fn f() { crate::storage::g() }"),
        ("crates/stepup-core/src/storage/mod.rs", ""),
    ]),
    (rules::FLOORS, &[
        ("crates/stepup-core/src/factor/totp.rs", "use super::{Factor, password::Password};"),
        ("crates/stepup-core/src/factor/password.rs", ""),
    ]),
    (rules::FLOORS, &[
        ("crates/stepup-core/src/factor/mod.rs", "pub use self::password::Password;"),
        ("crates/stepup-core/src/factor/password.rs", ""),
        ("crates/stepup-core/src/factor/totp.rs", "mod inner { use super::super::Password; }"),
    ]),
    (rules::FLOORS, &[
        ("crates/stepup-core/src/policy.rs", "use crate::Stepup;"),
        ("crates/stepup-core/src/lib.rs", ""),
    ]),

    (rules::FACADE, &[("crates/stepup/src/lib.rs", "pub use a::b;\nfn f() {}")]),
    (rules::FACADE, &[("crates/stepup/src/lib.rs", "pub mod m { const C: u8 = 1; }")]),
    (rules::FACADE, &[("crates/stepup/src/lib.rs", "use a::b;")]),

    (rules::CLOCK, &[("crates/stepup-core/src/id.rs", "fn f() { std::time::SystemTime::now(); }")]),
    (rules::CLOCK, &[("crates/stepup-wire/src/csrf.rs", "#[cfg(test)] mod tests { fn f() { SystemTime::now(); } }")]),

    (rules::SQL_TIME, &[("crates/stepup-sqlx/src/user.rs", r#"const S: &str = "SELECT now()";"#)]),
    (rules::SQL_TIME, &[("crates/stepup-sqlx/migrations/1.sql", "x INTEGER DEFAULT CURRENT_TIMESTAMP")]),
    (rules::SQL_TIME, &[("crates/stepup-sqlx/migrations/1.sql", "DEFAULT (strftime('%s', 'now'))")]),

    (rules::STATIC_SQL, &[("crates/stepup-sqlx/src/user.rs", r#"fn f() { format!("SELECT {a} FROM b"); }"#)]),
    (rules::STATIC_SQL, &[("crates/stepup-sqlx/src/user.rs", r#"fn f() { write!(sql, " where id = {id}"); }"#)]),
    (rules::STATIC_SQL, &[("crates/stepup-sqlx/src/user.rs", "fn f(s: String) { query(AssertSqlSafe(s)); }")]),
    (rules::STATIC_SQL, &[("crates/stepup-sqlx/src/user.rs", "use sqlx::QueryBuilder;")]),
    (rules::STATIC_SQL, &[("crates/stepup-sqlx/src/user.rs", "fn f(s: String) { query(s.leak()); }")]),

    (rules::IGNORED, &[("crates/stepup-core/src/id.rs", "#[test] #[ignore] fn f() {}")]),
    (rules::IGNORED, &[("tests/adapters.rs", "mod m { #[cfg_attr(unix, ignore)] #[test] fn f() {} }")]),
];

#[rustfmt::skip]
const KEPT: &[Case] = &[
    (rules::NAMES, &[("crates/stepup-sqlx/src/user.rs", "//! Not `stepup_core::flow`.\nuse stepup_core::id::{A, B};")]),
    (rules::NAMES, &[("crates/stepup-sqlx/src/user.rs", "#[cfg(test)] mod tests { use stepup_testkit::Kit; }")]),
    (rules::NAMES, &[("crates/stepup-sqlx/src/user/tests.rs", "use stepup_testkit::Kit;")]),
    (rules::NAMES, &[("crates/stepup-core/src/id.rs", "fn f(http: u8) -> u8 { http }")]),

    (rules::FLOORS, &[
        ("crates/stepup-core/src/record/mod.rs", "pub mod user; pub use self::user::User; pub struct JsonMap;"),
        ("crates/stepup-core/src/record/user.rs", "use super::JsonMap; pub(crate) use crate::id::UserId; #[cfg(test)] use crate::flow::F;"),
        ("crates/stepup-core/src/id.rs", "fn f() { self.g(); } mod tests { use super::*; }"),
        ("crates/stepup-core/src/flow.rs", ""),
        ("crates/stepup-core/src/lib.rs", "pub use crate::flow::F;"),
        ("crates/stepup-core/src/builder.rs", "use crate::stepup::Stepup;"),
        ("crates/stepup-core/src/stepup.rs", "use crate::builder::Builder;"),
    ]),

    (rules::FACADE, &[("crates/stepup/src/lib.rs", "//! d\n#[cfg(feature = \"x\")]\npub use a;\npub mod m { pub use b::*; }")]),
    (rules::CLOCK, &[("crates/stepup-core/src/time.rs", "fn f() { SystemTime::now(); }")]),
    (rules::SQL_TIME, &[("crates/stepup-sqlx/src/user.rs", "/// Not now().\nconst S: &str = \"SELECT unknown(a) FROM t\";")]),
    (rules::STATIC_SQL, &[("crates/stepup-sqlx/src/pool.rs", r#"fn f() { format!("cannot open {path}"); }"#)]),
    (rules::STATIC_SQL, &[("crates/stepup-sqlx/src/user.rs", r#"const S: &str = concat!("SELECT a ", "FROM b");"#)]),
    (rules::IGNORED, &[("crates/stepup-core/src/id.rs", "#[test] #[ignore = \"needs a server\"] fn f() { ignore(); }")]),
];

#[test]
fn each_rule_refuses_what_breaks_it() {
    for (rule, sources) in BROKEN {
        assert!(!judge(rule, sources).is_empty(), "{sources:?} was accepted");
    }
}

#[test]
fn no_rule_refuses_what_keeps_it() {
    for (rule, sources) in KEPT {
        assert_eq!(
            judge(rule, sources),
            Vec::<String>::new(),
            "{sources:?} was refused"
        );
    }
}

#[test]
fn a_line_too_many_is_refused() {
    let source = |path: &str, lines| File::new(path, &"\n".repeat(lines));
    let broken = |rule: &Rule, files: &[File]| !(rule.broken)(files).is_empty();

    assert!(!broken(
        &rules::FILE_LENGTH,
        &[source("crates/stepup-core/src/id.rs", 700)]
    ));
    assert!(broken(
        &rules::FILE_LENGTH,
        &[source("crates/stepup-core/src/id.rs", 701)]
    ));

    if let Some((path, most)) = crate::tables::LONG_FILES.first() {
        assert!(!broken(&rules::FILE_LENGTH, &[source(path, *most)]));
        assert!(broken(&rules::FILE_LENGTH, &[source(path, most + 1)]));
        assert!(
            broken(&rules::FILE_LENGTH, &[source(path, 700)]),
            "a row that is not needed was accepted"
        );
    }

    let adapter = |more| {
        [
            source("crates/stepup-axum/src/lib.rs", 250),
            source("crates/stepup-axum/src/session.rs", more),
        ]
    };
    assert!(!broken(&rules::ADAPTER_LENGTH, &adapter(249)));
    assert!(broken(&rules::ADAPTER_LENGTH, &adapter(250)));
}

#[test]
fn a_dependency_that_the_table_does_not_name_is_refused() {
    let manifest = |name: &str, dependency: &str| Manifest {
        name: name.to_owned(),
        dependencies: vec![dependency.to_owned()],
    };
    let ours = |name, dependency| rules::dependencies_on_ours(&manifest(name, dependency));
    for (name, dependency) in [
        ("stepup-core", "stepup-wire"),
        ("stepup-axum", "stepup-core"),
        ("stepup-wire", "stepup-testkit"),
        ("stepup", "stepup-testkit"),
    ] {
        assert!(
            !ours(name, dependency).is_empty(),
            "{name} may depend on {dependency}"
        );
    }
    assert!(ours("stepup-wire", "stepup-core").is_empty());

    let others = |name, dependency| rules::dependencies_on_others(&manifest(name, dependency));
    for (name, dependency) in [
        ("stepup-core", "tokio"),
        ("stepup-axum", "serde_json"),
        ("stepup-wire", "sqlx-core"),
        ("stepup", "serde"),
    ] {
        assert!(
            !others(name, dependency).is_empty(),
            "{name} may depend on {dependency}"
        );
    }
    assert!(others("stepup-core", "serde").is_empty());
}

fn judge(rule: &Rule, sources: &[(&str, &str)]) -> Vec<String> {
    let files: Vec<_> = sources.iter().map(|(path, text)| File::new(path, text)).collect();
    (rule.broken)(&files)
}
