//! The suites over HTTP, once for each framework that there is a demo on.
//!
//! They run on Axum with all other tests. Here the same binaries run on the others, told by an environment variable, but
//! for the tests that bring an Axum application of their own or serve nothing: `tests/kit/axum-only.txt` names them.

use std::collections::BTreeSet;
use std::fs;

use crate::counts::Counts;
use crate::report::{Failure, Outcome, run};
use crate::workspace::Workspace;

/// A framework other than Axum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Framework {
    /// Its name, as the suites and the report know it.
    pub(crate) name: &'static str,
    /// The package of its demo.
    pub(crate) demo: &'static str,
    /// What its row of the browser suite is called.
    pub(crate) browser: &'static str,
}

/// Every framework that has a demo.
const OTHERS: [Framework; 2] = [
    Framework {
        name: "actix",
        demo: "demo-actix",
        browser: "web-js actix",
    },
    Framework {
        name: "rocket",
        demo: "demo-rocket",
        browser: "web-js rocket",
    },
];

/// The suites that run on each.
const SUITES: [&str; 3] = ["acceptance", "attacks", "parity"];

/// The frameworks that the workspace has a demo on, Axum left out.
pub(crate) fn others(workspace: &Workspace) -> Result<Vec<Framework>, String> {
    let packages = workspace.packages()?;
    let is_there = |framework: &Framework| packages.iter().any(|name| name == framework.demo);
    Ok(OTHERS.into_iter().filter(is_there).collect())
}

/// Runs the suites on `framework`. `chosen` are the packages that the run before was about: the same ones, so that
/// nothing is built again with other features.
pub(crate) fn pass(workspace: &Workspace, framework: Framework, chosen: &[&str]) -> Outcome {
    let list = workspace.root().join("tests/kit/axum-only.txt");
    let list = fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let mut sum = Counts::default();
    let mut failed = None;
    for suite in SUITES {
        match of_suite(workspace, framework, chosen, suite, &left_out(&list, suite)) {
            Ok(counts) => sum.add(counts),
            Err(failure) => {
                sum.add(failure.counts);
                failed = failed.or(Some(failure.why));
            }
        }
    }
    match failed {
        Some(why) => Err(Failure { counts: sum, why }),
        None => Ok(sum),
    }
}

fn of_suite(
    workspace: &Workspace,
    framework: Framework,
    chosen: &[&str],
    suite: &str,
    left_out: &BTreeSet<&str>,
) -> Outcome {
    let mut command = workspace.cargo(&["test", "--no-fail-fast"]);
    command
        .args(chosen)
        .args(["--test", suite, "--", "--exact"])
        .env("STEPUP_TEST_FRAMEWORK", framework.name);
    for test in left_out {
        command.args(["--skip", test]);
    }
    let counts = run(&mut command)?;
    let why = if counts.passed == 0 {
        format!("`{suite}` ran no test on {}", framework.name)
    } else if counts.left_out != left_out.len() as u64 {
        // A test that was renamed would run again, and fail; one that is gone must leave the list.
        format!("axum-only.txt names a test that `{suite}` does not have")
    } else {
        return Ok(counts);
    };
    Err(Failure { counts, why })
}

/// The tests of `suite` that the list names: a line is the suite's name, and the test's.
fn left_out<'a>(list: &'a str, suite: &str) -> BTreeSet<&'a str> {
    list.lines()
        .filter_map(|line| line.split_once(' ').filter(|(of, _)| *of == suite))
        .map(|(_, test)| test.trim())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_leaves_out_what_the_list_names_for_it() {
        let list = "# a comment\n\nattacks codes::a\nacceptance page::b\nattacks own::c\n";
        assert_eq!(left_out(list, "attacks"), BTreeSet::from(["codes::a", "own::c"]));
        assert_eq!(left_out(list, "acceptance"), BTreeSet::from(["page::b"]));
        assert!(left_out(list, "flows").is_empty());
    }
}
