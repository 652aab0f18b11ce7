//! The rules: each takes sources and tells what breaks it.

use std::collections::BTreeMap;
use std::path::Path;

use proc_macro2::{Delimiter, TokenTree};

use crate::source::{File, Named, Tests, each_level, group, is_mark, is_word, line, trees};
use crate::tables::{self, Others};

/// A rule about sources.
pub(crate) struct Rule {
    /// A line for each place that breaks it.
    pub(crate) broken: fn(&[File]) -> Vec<String>,
    /// What to do then.
    pub(crate) advice: &'static str,
}

/// A crate, as cargo sees it.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Its name.
    pub(crate) name: String,
    /// What it is built with; what only its tests need is left out.
    pub(crate) dependencies: Vec<String>,
}

impl Manifest {
    /// The crates below `folder` in the output of `cargo metadata`.
    pub(crate) fn of_metadata(metadata: &serde_json::Value, folder: &Path) -> Vec<Self> {
        let list = |value: &serde_json::Value, key: &str| {
            value
                .get(key)
                .and_then(|v| v.as_array())
                .cloned()
                .unwrap_or_default()
        };
        let text = |value: &serde_json::Value, key: &str| {
            value
                .get(key)
                .and_then(|v| v.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        list(metadata, "packages")
            .iter()
            .filter(|package| Path::new(&text(package, "manifest_path")).starts_with(folder))
            .map(|package| Self {
                name: text(package, "name"),
                dependencies: list(package, "dependencies")
                    .iter()
                    .filter(|dependency| text(dependency, "kind") != "dev")
                    .map(|dependency| text(dependency, "name"))
                    .collect(),
            })
            .collect()
    }
}

/// Dependencies of a crate on others of ours that its row does not name.
pub(crate) fn dependencies_on_ours(manifest: &Manifest) -> Vec<String> {
    let allowed = tables::row(&manifest.name).map_or(&[][..], |row| row.ours);
    let ours = manifest.dependencies.iter().filter(|name| is_ours(name));
    ours.filter(|name| !allowed.contains(&name.as_str()))
        .map(|name| format!("crates/{}: depends on {name}", manifest.name))
        .collect()
}

/// Dependencies of a crate on somebody's that its row forbids.
pub(crate) fn dependencies_on_others(manifest: &Manifest) -> Vec<String> {
    let others = manifest.dependencies.iter().filter(|name| !is_ours(name));
    others
        .filter(|name| !tables::row(&manifest.name).is_some_and(|row| may_know(&row.others, name)))
        .map(|name| format!("crates/{}: depends on {name}", manifest.name))
        .collect()
}

fn is_ours(name: &str) -> bool {
    name == "stepup" || name.starts_with("stepup-")
}

fn may_know(others: &Others, name: &str) -> bool {
    match others {
        Others::Only(names) => names.contains(&name),
        Others::Not(groups) => !groups.iter().any(|group| group.contains(&name)),
    }
}

/// Paths that start with a crate, or go into a module of core, that the table forbids.
pub(crate) const NAMES: Rule = Rule {
    broken: |files| {
        let mut broken = Vec::new();
        for file in files {
            let Some(row) = file.in_crate().and_then(|(name, _)| tables::row(name)) else {
                continue;
            };
            for named in file.names(Tests::Left) {
                if let Some(what) = forbidden_name(row, &named.segments) {
                    broken.push(format!("{}:{}: {what}", file.path, named.line));
                }
            }
        }
        broken
    },
    advice: "See `CRATES` in tests/architecture/tables.rs. Move the code to where it may know that, or hand the thing in as \
             a value. If a module of core is as innocent as a record, add it to the row's list. A crate with such a list \
             names the module (`stepup_core::id::UserId`), not the crate as a whole and no re-export.",
};

fn forbidden_name(row: &tables::Row, segments: &[String]) -> Option<String> {
    let written = segments.join("::");
    let (first, rest) = segments.split_first()?;
    // `http` alone may be the name of a variable; with a path behind it, it is the crate.
    let package = first.replace('_', "-");
    if is_ours(&package) && first.contains('_') {
        if package != row.name && !row.ours.contains(&package.as_str()) {
            return Some(format!("names {written}"));
        }
        let modules = row.core.filter(|_| package == "stepup-core")?;
        let module = rest.first().map_or("", String::as_str);
        return (!modules.contains(&module)).then(|| format!("names {written}"));
    }
    let is_denied = match &row.others {
        Others::Only(_) => false,
        Others::Not(groups) => groups.iter().any(|group| group.contains(&package.as_str())),
    };
    (is_denied && !rest.is_empty()).then(|| format!("names {written}"))
}

/// Files of core that are on no floor.
pub(crate) const FLOOR_IS_KNOWN: Rule = Rule {
    broken: |files| {
        let unknown = core_files(files).filter(|(path, _)| floor(path).is_none());
        unknown
            .map(|(_, file)| format!("{}: is on no floor", file.path))
            .collect()
    },
    advice: "Add the file to `FLOORS` in tests/architecture/tables.rs: above all that it imports, beside what it must not.",
};

/// Imports of core that do not look down.
pub(crate) const FLOORS: Rule = Rule {
    broken: |files| {
        let core: BTreeMap<Vec<String>, (&str, &File)> = core_files(files)
            .map(|(path, file)| (module_of(path), (path, file)))
            .collect();
        let exports = re_exports(&core);
        let mut broken = Vec::new();
        for (module, (path, file)) in &core {
            let Some(own) = floor(path) else { continue };
            for named in file.names(Tests::Left) {
                let Some(target) = absolute(module, &named) else {
                    continue;
                };
                let target = exports.get(&target).cloned().unwrap_or(target);
                let Some((found, (to, _))) = nearest(&core, &target) else {
                    continue;
                };
                let is_family = found.starts_with(module) || module.starts_with(found);
                if found == module || (is_family && !found.is_empty() && !module.is_empty()) {
                    continue;
                }
                let is_pair = tables::PAIRS
                    .iter()
                    .any(|pair| *pair == (path, to) || *pair == (to, path));
                if !is_pair && floor(to).is_some_and(|to| to >= own) {
                    let written = named.segments.join("::");
                    broken.push(format!(
                        "{}:{}: {written} is in {to}, which is not below",
                        file.path, named.line
                    ));
                }
            }
        }
        broken
    },
    advice: "See `FLOORS` in tests/architecture/tables.rs. Hand the value in from above, or move what both need one floor \
             down. Name the module that defines a thing, not the re-export in lib.rs.",
};

/// Sources of core but its tests, with their paths in `src`.
fn core_files(files: &[File]) -> impl Iterator<Item = (&str, &File)> {
    files
        .iter()
        .filter(|file| !file.is_test())
        .filter_map(|file| match file.in_crate() {
            Some(("stepup-core", path)) => Some((path, file)),
            _ => None,
        })
}

fn floor(path: &str) -> Option<usize> {
    tables::FLOORS.iter().position(|(_, files)| files.contains(&path))
}

/// `record/user.rs` is `record::user`; `record/mod.rs` is `record`; `lib.rs` is the crate.
fn module_of(path: &str) -> Vec<String> {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    let mut module: Vec<String> = path.split('/').map(str::to_owned).collect();
    if module.last().is_some_and(|last| last == "mod") || module == ["lib"] {
        module.pop();
    }
    module
}

/// Where a path that starts with `crate`, `self` or `super` leads from the root of the crate.
fn absolute(module: &[String], named: &Named) -> Option<Vec<String>> {
    // `crate` alone stands in `pub(crate)`, `self` alone is a value.
    if named.segments.len() < 2 {
        return None;
    }
    let mut segments = named.segments.iter().map(String::as_str).peekable();
    let mut base = [module, &named.inside].concat();
    match segments.peek().copied() {
        Some("crate") => base.clear(),
        Some("self" | "super") => {}
        _ => return None,
    }
    while let Some(step @ ("crate" | "self" | "super")) = segments.peek().copied() {
        if step == "super" {
            base.pop();
        }
        segments.next();
    }
    base.extend(segments.map(str::to_owned));
    Some(base)
}

/// What the face of a folder re-exports from its files: where the name seems to be, and where it is.
fn re_exports(core: &BTreeMap<Vec<String>, (&str, &File)>) -> BTreeMap<Vec<String>, Vec<String>> {
    let mut exports = BTreeMap::new();
    for (module, (_, file)) in core.iter().filter(|(module, _)| !module.is_empty()) {
        for named in file
            .names(Tests::Left)
            .iter()
            .filter(|named| named.inside.is_empty())
        {
            let target = absolute(module, named).unwrap_or_else(|| [&module[..], &named.segments].concat());
            let is_below =
                nearest(core, &target).is_some_and(|(found, _)| found != module && found.starts_with(module));
            if let Some(name) = target.last().filter(|_| is_below) {
                exports.insert([&module[..], std::slice::from_ref(name)].concat(), target.clone());
            }
        }
    }
    exports
}

/// The file that holds `path`: the longest module that it starts with.
fn nearest<'a>(
    core: &'a BTreeMap<Vec<String>, (&'a str, &'a File)>,
    path: &[String],
) -> Option<(&'a Vec<String>, &'a (&'a str, &'a File))> {
    (0..=path.len())
        .rev()
        .find_map(|end| core.get_key_value(path.get(..end)?))
}

/// Anything in the facade that is no re-export.
pub(crate) const FACADE: Rule = Rule {
    broken: |files| {
        let facade = files
            .iter()
            .filter(|file| matches!(file.in_crate(), Some(("stepup", _))));
        facade
            .flat_map(|file| other_than_re_exports(file, &file.tokens()))
            .collect()
    },
    advice: "The facade holds no logic: only `pub use`, `pub mod` around it, attributes and documentation.",
};

fn other_than_re_exports(file: &File, tokens: &[TokenTree]) -> Vec<String> {
    let mut rest = tokens;
    loop {
        rest = match rest {
            [] => return Vec::new(),
            [hash, bang, _attribute, after @ ..] if is_mark(Some(hash), '#') && is_mark(Some(bang), '!') => {
                after
            }
            [hash, _attribute, after @ ..] if is_mark(Some(hash), '#') => after,
            [public, import, after @ ..] if is_word(Some(public), "pub") && is_word(Some(import), "use") => {
                let end = after
                    .iter()
                    .position(|token| is_mark(Some(token), ';'))
                    .map_or(after.len(), |end| end + 1);
                after.get(end..).unwrap_or_default()
            }
            [public, module, _name, body, after @ ..]
                if is_word(Some(public), "pub") && is_word(Some(module), "mod") =>
            {
                let inner = group(Some(body), Delimiter::Brace).map(trees).unwrap_or_default();
                let broken = other_than_re_exports(file, &inner);
                if !broken.is_empty() {
                    return broken;
                }
                after
            }
            [other, ..] => return vec![format!("{}:{}: is no re-export", file.path, line(Some(other)))],
        }
    }
}

/// Source files that have grown too long.
pub(crate) const FILE_LENGTH: Rule = Rule {
    broken: |files| {
        let mut broken = Vec::new();
        for file in files.iter().filter(|file| file.in_crate().is_some()) {
            let lines = lines(file);
            let excused = tables::LONG_FILES
                .iter()
                .find(|(path, _)| *path == file.path)
                .map(|(_, most)| *most);
            if lines > excused.unwrap_or(tables::FILE_LINES) {
                broken.push(format!("{}: {lines} lines", file.path));
            } else if excused.is_some() && lines <= tables::FILE_LINES {
                broken.push(format!("{}: needs its row in `LONG_FILES` no more", file.path));
            }
        }
        broken
    },
    advice: "A file is one idea. Find the second one and give it a file; tests over 150 lines move to <file>/tests.rs.",
};

/// Adapters that do more than convert.
pub(crate) const ADAPTER_LENGTH: Rule = Rule {
    broken: |files| {
        let mut total = BTreeMap::<&str, usize>::new();
        for file in files {
            if let Some((name, _)) = file
                .in_crate()
                .filter(|(name, _)| tables::ADAPTERS.contains(name))
            {
                *total.entry(name).or_default() += lines(file);
            }
        }
        let long = total
            .into_iter()
            .filter(|(_, lines)| *lines >= tables::ADAPTER_LINES);
        long.map(|(name, lines)| format!("crates/{name}: {lines} lines"))
            .collect()
    },
    advice: "An adapter moves bytes and headers and decides nothing: what decides belongs to stepup-wire, once for all.",
};

fn lines(file: &File) -> usize {
    file.text.lines().count()
}

/// Places that read the system clock. Tests are no exception: they are handed one.
pub(crate) const CLOCK: Rule = Rule {
    broken: |files| {
        let mut broken = Vec::new();
        for file in files
            .iter()
            .filter(|file| file.in_crate().is_some() && file.path != tables::CLOCK)
        {
            for named in file.names(Tests::Included) {
                let reads = CLOCKS.iter().any(|clock| {
                    named
                        .segments
                        .iter()
                        .map(String::as_str)
                        .rev()
                        .take(2)
                        .eq(clock.iter().rev().copied())
                });
                if reads {
                    broken.push(format!(
                        "{}:{}: {}",
                        file.path,
                        named.line,
                        named.segments.join("::")
                    ));
                }
            }
        }
        broken
    },
    advice: "Take a `Clock`, or better the `Timestamp` of the call: time that is handed in can be moved by a test.",
};

const CLOCKS: &[[&str; 2]] = &[
    ["SystemTime", "now"],
    ["Utc", "now"],
    ["Local", "now"],
    ["OffsetDateTime", "now_utc"],
];

/// Statements and migrations that use the clock of the database.
pub(crate) const SQL_TIME: Rule = Rule {
    broken: |files| {
        let mut broken = Vec::new();
        for file in files {
            let texts = if file.path.ends_with(".sql") && file.path.starts_with("crates/") {
                file.text
                    .lines()
                    .enumerate()
                    .map(|(at, text)| (at + 1, text.to_owned()))
                    .collect()
            } else if matches!(file.in_crate(), Some(("stepup-sqlx", _))) {
                file.strings()
            } else {
                continue;
            };
            for (at, text) in texts {
                if let Some(word) = SQL_CLOCKS.iter().find(|word| has_word(&text, word)) {
                    broken.push(format!("{}:{at}: asks for {word}", file.path));
                }
            }
        }
        broken
    },
    advice: "Bind the `Timestamp` of the call. The clock of a database is another clock, and no test can move it.",
};

const SQL_CLOCKS: &[&str] = &[
    "now(",
    "'now'",
    "current_timestamp",
    "current_time",
    "current_date",
    "localtime",
    "localtimestamp",
    "unixepoch(",
    "julianday(",
    "clock_timestamp",
    "statement_timestamp",
    "transaction_timestamp",
    "utc_timestamp",
    "unix_timestamp",
    "sysdate",
    "curdate(",
    "curtime(",
];

/// Whether `text` has `word`, in any case, not as the end of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    let text = text.to_lowercase();
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|before| before.is_alphanumeric() || before == '_')
    })
}

/// SQL that is no literal.
pub(crate) const STATIC_SQL: Rule = Rule {
    broken: |files| {
        let mut broken = Vec::new();
        let store = files
            .iter()
            .filter(|file| matches!(file.in_crate(), Some(("stepup-sqlx", _))));
        for file in
            store.filter(|file| !file.is_test() && !tables::MAY_BUILD_SQL.contains(&file.path.as_str()))
        {
            for named in file.names(Tests::Left) {
                if named
                    .segments
                    .iter()
                    .any(|word| matches!(word.as_str(), "AssertSqlSafe" | "QueryBuilder" | "leak"))
                {
                    broken.push(format!(
                        "{}:{}: {}",
                        file.path,
                        named.line,
                        named.segments.join("::")
                    ));
                }
            }
            each_level(&file.tokens(), &mut |tokens| {
                for window in tokens.windows(3) {
                    let [name, bang, TokenTree::Group(arguments)] = window else {
                        continue;
                    };
                    let formats = ["format", "format_args", "write", "writeln"]
                        .iter()
                        .any(|word| is_word(Some(name), word));
                    if formats && is_mark(Some(bang), '!') && speaks_sql(&arguments.to_string()) {
                        broken.push(format!("{}:{}: formats SQL", file.path, line(Some(name))));
                    }
                }
            });
        }
        broken
    },
    advice: "A statement is one `&'static str` (`concat!` is fine) and its values are bound. If a form depends on a number, \
             write the forms down; a file that must do it otherwise goes to `MAY_BUILD_SQL` in tests/architecture/tables.rs.",
};

fn speaks_sql(text: &str) -> bool {
    let text = text.to_lowercase();
    SQL_WORDS.iter().any(|word| text.contains(word))
}

const SQL_WORDS: &[&str] = &[
    "select ",
    "insert into",
    "update ",
    "delete from",
    "where ",
    "values (",
    "returning ",
    "pragma ",
    "create ",
    "alter table",
    "drop table",
    " set ",
    " from ",
    " order by",
    " limit ",
    "stepup_",
];

/// Tests that are ignored and do not say why.
pub(crate) const IGNORED: Rule = Rule {
    broken: |files| {
        let mut broken = Vec::new();
        for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
            each_level(&file.tokens(), &mut |tokens| {
                for window in tokens.windows(2) {
                    let attribute =
                        group(window.get(1), Delimiter::Bracket).filter(|_| is_mark(window.first(), '#'));
                    if attribute.is_some_and(|attribute| ignores_silently(&trees(attribute))) {
                        broken.push(format!("{}:{}: #[ignore]", file.path, line(window.first())));
                    }
                }
            });
        }
        broken
    },
    advice: "Write `#[ignore = \"what it needs\"]`: whoever reads the list of ignored tests must learn what was not tried.",
};

/// Whether an attribute is `ignore` without a reason, or `cfg_attr(.., ignore)`.
fn ignores_silently(attribute: &[TokenTree]) -> bool {
    if is_word(attribute.first(), "cfg_attr") {
        let Some(inner) = group(attribute.get(1), Delimiter::Parenthesis) else {
            return false;
        };
        return trees(inner)
            .split(|token| is_mark(Some(token), ','))
            .skip(1)
            .any(ignores_silently);
    }
    is_word(attribute.first(), "ignore") && !is_mark(attribute.get(1), '=')
}
