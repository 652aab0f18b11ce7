//! The tests that `cargo test` runs.

use crate::counts::Counts;
use crate::part::Part;
use crate::report::{Outcome, run, run_suite};
use crate::workspace::Workspace;

/// Tests of all packages, documentation examples included.
pub(crate) fn all(workspace: &Workspace) -> Outcome {
    run_suite(&mut workspace.cargo(&["test", "--workspace", "--no-fail-fast"]))
}

/// Tests that belong to `part`.
pub(crate) fn part(workspace: &Workspace, part: Part) -> Outcome {
    let packages = workspace
        .packages()?
        .into_iter()
        .filter(|name| Part::of_package(name) == part);
    let targets = workspace
        .test_targets()?
        .into_iter()
        .filter(|name| Part::of_target(name) == part);
    let runs = [
        (vec!["test", "--no-fail-fast"], flagged("--package", packages)),
        (
            vec!["test", "--no-fail-fast", "--package", "stepup-tests"],
            flagged("--test", targets),
        ),
    ];

    let mut counts = Counts::default();
    let mut failed = None;
    for (words, names) in runs.into_iter().filter(|(_, names)| !names.is_empty()) {
        match run(workspace.cargo(&words).args(names)) {
            Ok(more) => counts.add(more),
            Err(failure) => {
                counts.add(failure.counts);
                failed = failed.or(Some(failure.why));
            }
        }
    }
    match failed {
        Some(why) => Err(crate::report::Failure { counts, why }),
        None if counts.passed == 0 => Err(format!("no test belongs to `{}`", part.name()).into()),
        None => Ok(counts),
    }
}

fn flagged(flag: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    names.flat_map(|name| [flag.to_owned(), name]).collect()
}
