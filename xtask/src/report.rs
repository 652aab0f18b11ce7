//! Runs steps one after the other, and sums them up.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use crate::counts::Counts;

/// What has been run so far.
pub(crate) struct Report {
    rows: Vec<Row>,
}

/// How a step ended.
pub(crate) type Outcome = Result<Counts, Failure>;

/// Why a step failed, with what its suite had counted by then.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the suite counted.
    pub(crate) counts: Counts,
    /// One line for the table.
    pub(crate) why: String,
}

impl From<String> for Failure {
    fn from(why: String) -> Self {
        Self {
            counts: Counts::default(),
            why,
        }
    }
}

impl Report {
    /// A report about nothing yet.
    pub(crate) fn new() -> Self {
        Self { rows: Vec::new() }
    }

    /// Runs one step.
    pub(crate) fn step(&mut self, name: &'static str, run: impl FnOnce() -> Outcome) {
        println!("\n=== {name}");
        let start = Instant::now();
        let (state, counts) = match run() {
            Ok(counts) => (State::Passed, counts),
            Err(Failure { counts, why }) => (State::Failed(why), counts),
        };
        let row = Row {
            name,
            state,
            counts,
            took: start.elapsed(),
        };
        println!("=== {row}");
        self.rows.push(row);
    }

    /// Says that a step was not run, and why: a gap that everybody sees.
    pub(crate) fn not_run(&mut self, name: &'static str, why: &'static str) {
        println!("\nnot run: {name} ({why})");
        self.rows.push(Row {
            name,
            state: State::NotRun(why),
            counts: Counts::default(),
            took: Duration::ZERO,
        });
    }

    /// Prints the table and the sum. Fails if a step has, or if there was none.
    pub(crate) fn finish(self) -> ExitCode {
        println!("\n=== summary");
        for row in &self.rows {
            println!("{row}");
        }
        let sum = self.sum();
        println!("{} passed, {} failed", sum.passed, sum.failed);
        if sum.failed == 0 && !self.rows.is_empty() {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }

    /// Passed and failed tests of all steps. A step that failed counts as one failure at least: a lint or a build
    /// has no tests that could.
    fn sum(&self) -> Counts {
        let mut sum = Counts::default();
        for row in &self.rows {
            sum.add(row.counts);
            if matches!(row.state, State::Failed(_)) && row.counts.failed == 0 {
                sum.failed += 1;
            }
        }
        sum
    }
}

/// Runs `command` and shows its output. What its suite counted, if it ended well.
///
/// Standard input is closed: no step may wait for a person.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let line = shown(command);
    println!("$ {line}");
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start `{line}`: {error}"))?;
    let counts = child.stdout.take().map(tee).unwrap_or_default();
    let status = child
        .wait()
        .map_err(|error| format!("cannot wait for `{line}`: {error}"))?;
    if status.success() {
        Ok(counts)
    } else {
        Err(Failure {
            counts,
            why: format!("`{line}`: {status}"),
        })
    }
}

/// Like [`run`], for a suite: one that counts no test, or counts a failure and still ends well, has failed.
pub(crate) fn run_suite(command: &mut Command) -> Outcome {
    let counts = run(command)?;
    let why = if counts.failed > 0 {
        "reported failures, but ended as if there were none"
    } else if counts.passed == 0 {
        "ran no test"
    } else {
        return Ok(counts);
    };
    Err(Failure {
        counts,
        why: format!("`{}` {why}", shown(command)),
    })
}

/// What `command` prints, if it ends well; nothing is shown.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Passes the lines of a suite on and counts.
fn tee(output: impl Read) -> Counts {
    let mut counts = Counts::default();
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    // Bytes, because a suite may print what is not UTF-8; an error ends the reading, and the exit status judges.
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        print!("{text}");
        counts.add(Counts::of_line(&text));
        line.clear();
    }
    counts
}

/// `command` as a person would type it, without folders before the program.
fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let program = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    words
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

struct Row {
    name: &'static str,
    state: State,
    counts: Counts,
    took: Duration,
}

enum State {
    Passed,
    Failed(String),
    NotRun(&'static str),
}

impl std::fmt::Display for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (state, why) = match &self.state {
            State::Passed => ("ok", ""),
            State::Failed(why) => ("FAILED", why.as_str()),
            State::NotRun(why) => ("not run", *why),
        };
        write!(
            f,
            "{:<14} {state:<8} {:>7.1} s",
            self.name,
            self.took.as_secs_f64()
        )?;
        let Counts {
            passed,
            failed,
            ignored,
            left_out,
        } = self.counts;
        if self.counts != Counts::default() {
            write!(f, "   {passed} passed, {failed} failed, {ignored} ignored")?;
        }
        if left_out > 0 {
            write!(f, ", {left_out} left to axum")?;
        }
        if !why.is_empty() {
            write!(f, "   {why}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn counted(passed: u64, failed: u64) -> Counts {
        Counts {
            passed,
            failed,
            ..Counts::default()
        }
    }

    #[test]
    fn a_failed_step_counts_as_one_failure_at_least() {
        let mut report = Report::new();
        report.step("lint", || Ok(Counts::default()));
        report.step("build", || Err(Failure::from("broken".to_owned())));
        report.step("tests", || {
            Err(Failure {
                counts: counted(5, 2),
                why: "two".to_owned(),
            })
        });
        report.not_run("advisories", "no copy");
        assert_eq!(report.sum(), counted(5, 3));
        assert_eq!(report.finish(), ExitCode::FAILURE);
    }

    #[test]
    fn a_report_about_nothing_is_a_failure() {
        assert_eq!(Report::new().finish(), ExitCode::FAILURE);
    }

    #[test]
    fn a_suite_that_ran_no_test_has_failed() {
        assert!(run(&mut shell("true")).is_ok());
        assert!(run_suite(&mut shell("true")).is_err());
        assert!(run_suite(&mut shell("echo '# pass 2'; echo '# fail 1'")).is_err());
        assert_eq!(
            run_suite(&mut shell("echo '# pass 2'; echo '# fail 0'")).unwrap(),
            counted(2, 0)
        );
    }

    #[test]
    fn a_failed_suite_keeps_its_counts() {
        let failure = run_suite(&mut shell("echo '# pass 2'; echo '# fail 1'; exit 1")).unwrap_err();
        assert_eq!(failure.counts, counted(2, 1));
    }

    #[test]
    fn a_program_that_is_missing_is_a_failure() {
        assert!(run(&mut Command::new("no-such-program-here")).is_err());
    }
}
