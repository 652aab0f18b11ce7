//! Each row of the attack table has a test by its id, or a deferral whose reason still holds, and `docs/standards.md`
//! says which.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

use stepup::wire::route::ROUTES;

/// The groups that are covered as a whole.
const COVERED: &[&str] = &[
    "TOK", "SES", "COO", "CSR", "CLM", "MFA", "LEG", "OTP", "PWD", "RST", "ENU", "RL", "SMS", "INJ", "RES",
    "SEC", "CLK", "TEN", "OAU",
];

const BEGIN: &str = "<!-- rows: written by the test `the_standards_page_names_every_test` -->";
const END: &str = "<!-- end of rows -->";

/// A row of the attack table.
struct Row {
    id: String,
    gate: bool,
    title: String,
}

impl Row {
    /// `SES` of `A-SES-03`.
    fn group(&self) -> &str {
        self.id.split('-').nth(1).unwrap()
    }

    /// How its tests begin: `a_ses_03_`.
    fn prefix(&self) -> String {
        format!("{}_", self.id.to_ascii_lowercase().replace('-', "_"))
    }
}

/// A line of the list of deferrals.
struct Deferral {
    id: String,
    needs: Need,
    what: String,
}

/// What a deferred row waits for.
enum Need {
    Route(String, String),
    Source(String),
    File(String, String),
}

impl Need {
    fn parse(text: &str) -> Self {
        match text.split_once(' ') {
            Some(("route", rest)) => {
                let (method, path) = rest.split_once(' ').expect("a method and a path");
                assert!(path.starts_with('/'), "{path}");
                Self::Route(method.to_owned(), path.to_owned())
            }
            Some(("source", rest)) => Self::Source(rest.to_owned()),
            Some(("file", rest)) => {
                let (path, text) = rest.split_once(' ').expect("a path and a text");
                Self::File(path.to_owned(), text.to_owned())
            }
            _ => panic!("neither a route nor a source nor a file: {text}"),
        }
    }

    fn exists(&self, sources: &[(PathBuf, String)]) -> bool {
        match self {
            Self::Route(method, path) => ROUTES
                .iter()
                .any(|row| row.method.as_str() == method && row.path == path),
            Self::Source(text) => sources
                .iter()
                .any(|(file, source)| is_library(file) && source.contains(text)),
            Self::File(path, text) => {
                fs::read_to_string(root().join(path)).is_ok_and(|content| content.contains(text))
            }
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Route(method, path) => format!("`{method} {path}`"),
            Self::Source(text) => format!("`{text}`"),
            // A file that is not there yet is no place to look at.
            Self::File(path, text) if root().join(path).exists() => format!("`{text}` in `{path}`"),
            Self::File(path, _) => format!("there is `{path}`"),
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

fn lines(file: &str) -> Vec<String> {
    fs::read_to_string(root().join("tests/attacks").join(file))
        .unwrap()
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

fn rows() -> Vec<Row> {
    let row = |line: String| {
        let mut words = line.splitn(3, ' ').map(str::to_owned);
        Row {
            id: words.next().unwrap(),
            gate: words.next().unwrap() == "g",
            title: words.next().unwrap(),
        }
    };
    lines("rows.txt").into_iter().map(row).collect()
}

fn deferrals() -> Vec<Deferral> {
    let deferral = |line: String| {
        let parts: Vec<&str> = line.splitn(3, " | ").collect();
        let [id, needs, what] = parts[..] else {
            panic!("not three parts: {line}")
        };
        Deferral {
            id: id.to_owned(),
            needs: Need::parse(needs),
            what: what.to_owned(),
        }
    };
    lines("deferred.txt").into_iter().map(deferral).collect()
}

/// All Rust sources of the workspace, by their path below its root, in order.
fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "node_modules" && name != "target" {
                walk(&path, files);
            } else if path.extension().is_some_and(|end| end == "rs") {
                files.push(path);
            }
        }
    }
    let mut files = Vec::new();
    for folder in ["crates", "examples", "tests"] {
        walk(&root().join(folder), &mut files);
    }
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let source = fs::read_to_string(&file).unwrap();
            (file.strip_prefix(root()).unwrap().to_path_buf(), source)
        })
        .collect()
}

fn is_library(file: &Path) -> bool {
    file.starts_with("crates") && file.components().nth(2).is_some_and(|c| c.as_os_str() == "src")
}

/// The tests that are named after a row, by their prefix: where each stands, and its name.
fn tests(sources: &[(PathBuf, String)]) -> BTreeMap<String, Vec<(PathBuf, String)>> {
    let mut found: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for (file, source) in sources {
        let mut attributes = String::new();
        for line in source.lines().map(str::trim) {
            if line.starts_with("#[") {
                attributes.push_str(line);
                continue;
            }
            if let Some((prefix, rest)) = test_name(line) {
                let runs = attributes.contains("test") && !attributes.contains("ignore");
                if runs {
                    found.entry(prefix).or_default().push((file.clone(), rest));
                }
            }
            attributes.clear();
        }
    }
    found
}

/// The row's prefix and the rest of the name, of the line that begins such a function. Inside the crates the names have
/// no `a_`.
fn test_name(line: &str) -> Option<(String, String)> {
    let rest = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    let name = rest.split('(').next()?;
    let name = name.strip_prefix("a_").unwrap_or(name);
    let shape: Vec<&str> = name.splitn(3, '_').collect();
    let [group, number, rest] = shape[..] else {
        return None;
    };
    let is_row = (2..=3).contains(&group.len())
        && group.bytes().all(|byte| byte.is_ascii_lowercase())
        && number.len() == 2
        && number.bytes().all(|byte| byte.is_ascii_digit());
    is_row.then(|| (format!("a_{group}_{number}_"), rest.to_owned()))
}

#[test]
fn every_row_is_tested_or_deferred() {
    let tests = tests(&sources());
    let deferred: BTreeSet<String> = deferrals().into_iter().map(|d| d.id).collect();
    let missing: Vec<String> = rows()
        .into_iter()
        .filter(|row| COVERED.contains(&row.group()))
        .filter(|row| !tests.contains_key(&row.prefix()) && !deferred.contains(&row.id))
        .map(|row| row.id)
        .collect();
    assert!(missing.is_empty(), "neither tested nor deferred: {missing:?}");
}

#[test]
fn every_gate_of_a_covered_group_that_is_not_deferred_is_tested_over_http() {
    let tests = tests(&sources());
    let deferred: BTreeSet<String> = deferrals().into_iter().map(|d| d.id).collect();
    for row in rows() {
        if !row.gate || !COVERED.contains(&row.group()) || deferred.contains(&row.id) {
            continue;
        }
        let http = tests[&row.prefix()]
            .iter()
            .any(|(file, _)| file.starts_with("tests/attacks"));
        assert!(http, "{} has no test in tests/attacks", row.id);
    }
}

#[test]
fn every_deferral_names_a_row_and_still_waits() {
    let sources = sources();
    let rows: BTreeSet<String> = rows().into_iter().map(|row| row.id).collect();
    for deferral in deferrals() {
        assert!(rows.contains(&deferral.id), "no such row: {}", deferral.id);
        assert!(
            !deferral.needs.exists(&sources),
            "{} is there: test {} and take its line out of deferred.txt",
            deferral.needs.words(),
            deferral.id
        );
    }
}

#[test]
fn every_test_that_is_named_after_a_row_has_one() {
    let rows = rows();
    let known: BTreeSet<String> = rows.iter().map(Row::prefix).collect();
    let groups: BTreeSet<String> = rows.iter().map(|row| row.group().to_ascii_lowercase()).collect();
    for (prefix, tests) in tests(&sources()) {
        let listed = groups.contains(prefix.split('_').nth(1).unwrap());
        assert!(!listed || known.contains(&prefix), "{tests:?}");
    }
}

#[test]
fn the_rows_are_unique_and_in_order() {
    let order = [
        "TOK", "SES", "COO", "CSR", "CLM", "MFA", "LEG", "OTP", "PWD", "RST", "ENU", "RL", "SMS", "INJ",
        "RES", "SEC", "CLK", "TEN", "OAU",
    ];
    let keys: Vec<_> = rows()
        .iter()
        .map(|row| {
            let group = order.iter().position(|name| *name == row.group());
            (group.expect("a known group"), row.id.clone())
        })
        .collect();
    assert!(keys.is_sorted() && keys.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn the_standards_page_names_every_test() {
    let page = root().join("docs/standards.md");
    let text = fs::read_to_string(&page).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the begin of the rows");
    let (_, after) = rest.split_once(END).expect("the end of the rows");
    let written = format!("{before}{BEGIN}\n{}{END}{after}", table());
    if env::var_os("STEPUP_BLESS").is_some() {
        fs::write(&page, written).unwrap();
        return;
    }
    assert!(
        text == written,
        "docs/standards.md is behind the tests: run this test with STEPUP_BLESS=1 and commit what it wrote"
    );
}

/// All rows with their tests and deferrals, as Markdown.
fn table() -> String {
    let tests = tests(&sources());
    let deferrals = deferrals();
    let mut text = String::new();
    let mut group = String::new();
    for row in rows() {
        if group != row.group() {
            row.group().clone_into(&mut group);
            let _ = write!(
                text,
                "\n### A-{group}\n\n| row | gate | attack | tests |\n| --- | --- | --- | --- |\n"
            );
        }
        let mut cells: Vec<String> = Vec::new();
        for (file, name) in tests.get(&row.prefix()).into_iter().flatten() {
            cells.push(format!("{}: `{name}`", file.display()));
        }
        for deferral in deferrals.iter().filter(|d| d.id == row.id) {
            cells.push(format!(
                "*deferred until {}*: {}",
                deferral.needs.words(),
                deferral.what
            ));
        }
        if cells.is_empty() {
            cells.push("–".to_owned());
        }
        let gate = if row.gate { "g" } else { "" };
        let _ = writeln!(
            text,
            "| {} | {gate} | {} | {} |",
            row.id,
            row.title.replace('|', "\\|"),
            cells.join("<br>")
        );
    }
    text.push('\n');
    text
}
