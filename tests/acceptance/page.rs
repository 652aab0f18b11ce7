//! `docs/acceptance.md` names a test for each row of the acceptance table and of the session checklist, and no row is
//! without one.

use std::path::{Path, PathBuf};
use std::{env, fs};

const BEGIN: &str = "<!-- rows: written by the test `the_acceptance_page_names_every_test` -->";
const END: &str = "<!-- end of rows -->";

/// A row: how the names of its tests begin, its title, and what else stands for it.
struct Row(&'static str, &'static str, &'static str);

#[rustfmt::skip]
const TABLE: &[Row] = &[
    Row("a1", "sign-up by password", ""),
    Row("a2", "sign-up by a third party", ""),
    Row("a3", "first code", ""),
    Row("a4", "wrong code", ""),
    Row("a5", "right code; the refresh token is new too", ""),
    Row("a6", "sign-in of an enrolled user", ""),
    Row("a7", "code to the stored number", ""),
    Row("a8", "sign-in completed", ""),
    Row("a9", "another number", ""),
    Row("a10", "the same number, spelled otherwise", ""),
    Row("a11", "an e-mail address instead of a number", ""),
    Row("a12", "no session", ""),
    Row("a13", "expired access token", ""),
    Row("a14", "interrupted sign-up", ""),
    Row("a15", "five wrong codes", ""),
    Row("a16", "expired code", ""),
    Row("a17", "resend", ""),
    Row("a18", "replay", ""),
    Row("a19", "a code of another session", ""),
    Row("a20", "second enrollment: refused; a change of contact is not built yet", ""),
    Row("a21", "another browser", ""),
    Row("a22", "refresh", ""),
    Row("a23", "sign-out at the second screen", ""),
    Row("a24", "a second claim, of the application's own", ""),
    Row("a25", "routes that ask for more, or less", ""),
    Row("a26", "the stored contact is gone", ""),
    Row("a27", "cookie and header mode", "every test here that has a session runs in both"),
    Row("a28", "two right answers at once", ""),
    Row("a29", "session revoked in between", ""),
    Row("a30", "what the frontend reads", "`tests/browser/web-js.test.js`: the SDK itself"),
    Row("a31", "a code as first factor", ""),
    Row("a32", "shared phone", ""),
];

#[rustfmt::skip]
const CHECKLIST: &[Row] = &[
    Row("checklist_1", "create; the matrices of transfer; cookie attributes", ""),
    Row("checklist_2", "refresh", "`anti-csrf` tokens are not offered"),
    Row("checklist_3", "verify", ""),
    Row("checklist_4", "sign-out", ""),
    Row("checklist_5", "payload update", ""),
    Row("checklist_6", "signing keys and discovery", ""),
    Row("checklist_7", "clients as they are", "`tests/browser/web-js.test.js`: both modes of the web SDK, two tabs"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// The names of the tests in a file of this folder.
fn tests(file: &str) -> Vec<String> {
    let source = fs::read_to_string(root().join("tests/acceptance").join(file)).unwrap();
    let mut names = Vec::new();
    let mut is_test = false;
    for line in source.lines() {
        if line.starts_with("#[tokio::test") {
            is_test = true;
        } else if is_test {
            let name = line
                .strip_prefix("async fn ")
                .and_then(|rest| rest.split('(').next());
            names.extend(name.map(str::to_owned));
            is_test = false;
        }
    }
    names
}

/// The lines of a table, with the tests of `files`.
fn written(rows: &[Row], files: &[&str]) -> Vec<String> {
    let all: Vec<String> = files.iter().flat_map(|file| tests(file)).collect();
    let mut lines = vec!["| row | what | tests |".to_owned(), "|---|---|---|".to_owned()];
    let mut named = 0;
    for Row(prefix, title, note) in rows {
        let own: Vec<String> = all
            .iter()
            .filter(|name| {
                name.strip_prefix(prefix)
                    .is_some_and(|rest| rest.starts_with('_'))
            })
            .map(|name| format!("`{name}`"))
            .collect();
        named += own.len();
        assert!(!own.is_empty(), "{prefix} has no test");
        let note = Some(format!("({note})")).filter(|_| !note.is_empty());
        let cell: Vec<String> = own.into_iter().chain(note).collect();
        let id = prefix.strip_prefix("checklist_").unwrap_or(prefix).to_uppercase();
        lines.push(format!("| {id} | {title} | {} |", cell.join("<br>")));
    }
    assert_eq!(named, all.len(), "a test of {files:?} belongs to no row");
    lines
}

/// The tests that run with one first factor alone, each with a reason.
fn with_one_first_factor() -> Vec<String> {
    include_str!("one-first-factor.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| {
            let (name, reason) = line.split_once(" | ").expect("a test and a reason");
            assert!(reason.len() > 10, "{name}: {reason:?} is no reason");
            name.to_owned()
        })
        .collect()
}

/// The source of a test, from its name on.
fn body<'a>(source: &'a str, name: &str) -> &'a str {
    let (_, rest) = source
        .split_once(&format!("async fn {name}("))
        .expect("it is there");
    rest.split_once("\n}\n").expect("it ends").0
}

#[test]
fn every_row_runs_with_each_first_factor_or_says_why_not() {
    let mut excused = with_one_first_factor();
    for file in ["second_factor.rs", "mailbox.rs"] {
        let source = fs::read_to_string(root().join("tests/acceptance").join(file)).unwrap();
        for name in tests(file) {
            let body = body(&source, &name);
            let runs_with_each = body.contains("in WAYS {") || body.contains("for first in FIRSTS {");
            let listed = excused.iter().position(|excused| *excused == name);
            assert_eq!(runs_with_each, listed.is_none(), "{name}");
            // A server that the first factor did not choose would run the same thing twice.
            assert!(!runs_with_each || !body.contains("Server::start"), "{name}");
            listed.map(|position| excused.swap_remove(position));
        }
    }
    assert!(excused.is_empty(), "no such tests: {excused:?}");
}

#[test]
fn the_acceptance_page_names_every_test() {
    let path = root().join("docs/acceptance.md");
    let page = fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).expect("the page has a place for the rows");
    let (_, tail) = rest.split_once(END).expect("the rows end");
    let mut lines = vec![
        BEGIN.to_owned(),
        String::new(),
        "## Acceptance table".to_owned(),
        String::new(),
    ];
    lines.push(
        "In `tests/acceptance/second_factor.rs` and, for codes by e-mail, `tests/acceptance/mailbox.rs` (`.._mailbox..`). Each test there runs \
         with a password and with a provider as the first factor, but for those that `tests/acceptance/one-first-factor.txt` lists with the \
         reason. `tests/acceptance/provider.rs` has what a provider brings of its own."
            .to_owned(),
    );
    lines.push(String::new());
    lines.extend(written(TABLE, &["second_factor.rs", "mailbox.rs", "provider.rs"]));
    lines.extend(
        [
            "",
            "## Session checklist",
            "",
            "In `tests/acceptance/session.rs` and, for claims of the application's own, `tests/acceptance/claims.rs`.",
            "",
        ]
        .map(str::to_owned),
    );
    lines.extend(written(CHECKLIST, &["session.rs", "claims.rs"]));
    lines.extend(
        [
            "",
            "## Clients",
            "",
            "In `tests/acceptance/clients.rs`: what real clients send and insist on.",
            "",
        ]
        .map(str::to_owned),
    );
    lines.extend(tests("clients.rs").into_iter().map(|name| format!("* `{name}`")));
    lines.push(String::new());
    let expected = format!("{head}{}\n{END}{tail}", lines.join("\n"));
    if env::var_os("STEPUP_BLESS").is_some() {
        fs::write(&path, &expected).unwrap();
    }
    let now = fs::read_to_string(&path).unwrap();
    assert!(
        now == expected,
        "docs/acceptance.md is stale: run this test with STEPUP_BLESS=1"
    );
}

#[test]
fn the_page_of_cases_names_tests_that_there_are_or_says_why_not() {
    let page = fs::read_to_string(root().join("docs/protocol-cases.md")).unwrap();
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| ---"));
    let mut named = Vec::new();
    for row in rows.filter(|row| *row != "| case | test |") {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        let [_, tests] = cells[..] else {
            panic!("not two cells: {row}");
        };
        let before = named.len();
        for span in tests.split('`').skip(1).step_by(2) {
            let Some((file, name)) = span.split_once("::") else {
                continue;
            };
            let source = fs::read_to_string(root().join(file)).unwrap_or_else(|_| panic!("no file: {file}"));
            assert!(source.contains(&format!("fn {name}(")), "{file} has no {name}");
            named.push(name);
        }
        let excused = tests.trim().strip_prefix("does not apply: ");
        assert_eq!(
            excused.is_some_and(|why| why.len() > 20),
            named.len() == before,
            "{row}"
        );
    }
    for name in tests("cases.rs") {
        assert!(named.contains(&name.as_str()), "{name} stands in no row");
    }
}
