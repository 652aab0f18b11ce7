//! `cargo xtask`: everything that is checked about this repository, by one command.
//!
//! A check is a [`report::Report::step`]. Each stands alone: one that fails does not keep the later ones from running,
//! and what cannot be run is a failure, never a silent gap. To add a check, write a function that returns a
//! [`report::Outcome`] into a file of its subject and call it from [`test()`].

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "this is a command line tool"
)]

mod bench;
mod browser;
mod counts;
mod framework;
mod install;
mod lint;
mod part;
mod report;
mod rust;
mod timing;
mod workspace;

use std::env;
use std::process::ExitCode;

use crate::framework::Framework;
use crate::part::Part;
use crate::report::Report;
use crate::workspace::Workspace;

const USAGE: &str = "\
usage: cargo xtask <command>

  test [--only PART]...   run everything, or only the named parts
  bench [--quick] [PART]...   run the benchmarks, peers beside ours; `bench help` names the parts
  timing [--samples N]    whether the time of an answer tells who has an account: a release build, some minutes
  help                    show this

parts:
  lint       formatting, clippy, documentation, licenses and banned crates
  core       unit tests of the crates below the protocol, and the architecture
  sqlx       the stores
  adapters   the protocol, the frameworks, the examples; acceptance, attacks and parity on every framework but Axum
  attacks    attacks over HTTP, on Axum
  browser    what needs node: sign-in with an OpenID provider, mails, the frontend SDK in Chromium against the demos

environment:
  CARGO_TARGET_DIR      where to build (default: target)
  STEPUP_ADVISORY_DB    folder with a copy of the RustSec database, as `cargo deny fetch` lays it out
";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    match Order::parse(&words) {
        Ok(Order::Help) => {
            print!("{USAGE}");
            ExitCode::SUCCESS
        }
        Ok(Order::Bench(words)) => measured(|workspace| bench::run(workspace, &words)),
        Ok(Order::Timing(samples)) => measured(|workspace| timing::run(workspace, samples)),
        Ok(Order::Test(parts)) => match Workspace::find() {
            Ok(workspace) => test(&workspace, &parts),
            Err(why) => {
                eprintln!("xtask: {why}");
                ExitCode::FAILURE
            }
        },
        Err(why) => {
            eprint!("xtask: {why}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

/// Does `work`, and says why if it fails.
fn measured(work: impl FnOnce(&Workspace) -> Result<(), String>) -> ExitCode {
    match Workspace::find().and_then(|workspace| work(&workspace)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `parts`, all if none is named.
fn test(workspace: &Workspace, parts: &[Part]) -> ExitCode {
    let mut report = Report::new();
    let everything = parts.is_empty();

    if everything || parts.contains(&Part::Lint) {
        report.step("format", || lint::format(workspace));
        report.step("clippy", || lint::clippy(workspace));
        report.step("docs", || lint::docs(workspace));
        report.step("deny", || lint::deny(workspace));
        match lint::advisory_db() {
            Some(_) => report.step("advisories", || lint::advisories(workspace)),
            None => report.not_run("advisories", "STEPUP_ADVISORY_DB is not set"),
        }
    }
    if everything {
        // One build for all of them: features are unified over the workspace once.
        report.step("tests", || rust::all(workspace));
    } else {
        for &part in parts.iter().filter(|part| part.is_rust()) {
            report.step(part.name(), || rust::part(workspace, part));
        }
    }
    if everything || parts.contains(&Part::Adapters) {
        let chosen: &[&str] = if everything {
            &["--workspace"]
        } else {
            &["--package", "stepup-tests"]
        };
        on_others(workspace, &mut report, |other, report| {
            report.step(other.name, || framework::pass(workspace, other, chosen));
        });
    }
    if everything || parts.contains(&Part::Browser) {
        report.step("openid provider", || browser::openid_provider(workspace));
        report.step("mail server", || browser::mail_server(workspace));
        report.step("browser", || browser::suite(workspace));
        on_others(workspace, &mut report, |other, report| {
            report.step(other.browser, || browser::client(workspace, other));
        });
    }

    report.finish()
}

/// Does `work` for each framework but Axum.
fn on_others(workspace: &Workspace, report: &mut Report, work: impl Fn(Framework, &mut Report)) {
    match framework::others(workspace) {
        Ok(others) => others.into_iter().for_each(|other| work(other, report)),
        Err(why) => report.step("frameworks", || Err(why.into())),
    }
}

/// What the command line asks for.
#[derive(Debug, PartialEq)]
enum Order {
    Help,
    Test(Vec<Part>),
    Bench(Vec<String>),
    Timing(usize),
}

impl Order {
    fn parse(words: &[String]) -> Result<Self, String> {
        let mut words = words.iter().map(String::as_str);
        let order = match words.next() {
            None => return Err("no command given".to_owned()),
            Some("help" | "--help" | "-h") => Self::Help,
            Some("bench") => return Ok(Self::Bench(words.map(str::to_owned).collect())),
            Some("timing") => match (words.next(), words.next().map(str::parse)) {
                (None, _) => Self::Timing(timing::SAMPLES),
                (Some("--samples"), Some(Ok(samples @ 100..))) => Self::Timing(samples),
                _ => return Err("`timing` takes `--samples` with a number from 100 on".to_owned()),
            },
            Some("test") => {
                let mut parts = Vec::new();
                while let Some(word) = words.next() {
                    let part = match (word, words.next()) {
                        ("--only", Some(name)) => {
                            Part::named(name).ok_or_else(|| format!("there is no part `{name}`"))?
                        }
                        ("--only", None) => return Err("`--only` needs a part".to_owned()),
                        (other, _) => return Err(format!("unknown word `{other}`")),
                    };
                    if !parts.contains(&part) {
                        parts.push(part);
                    }
                }
                Self::Test(parts)
            }
            Some(other) => return Err(format!("unknown command `{other}`")),
        };
        match words.next() {
            Some(word) => Err(format!("unknown word `{word}`")),
            None => Ok(order),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Order, String> {
        Order::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn parts_are_chosen_by_name_and_once() {
        assert_eq!(parse("test"), Ok(Order::Test(vec![])));
        assert_eq!(
            parse("test --only core --only browser --only core"),
            Ok(Order::Test(vec![Part::Core, Part::Browser])),
        );
    }

    #[test]
    fn timing_takes_a_number_of_samples() {
        assert_eq!(parse("timing"), Ok(Order::Timing(timing::SAMPLES)));
        assert_eq!(parse("timing --samples 200"), Ok(Order::Timing(200)));
    }

    #[test]
    fn an_unknown_word_is_refused() {
        for line in [
            "",
            "tset",
            "test core",
            "test --only",
            "test --only cor",
            "help me",
            "test --only core x",
            "timing --samples",
            "timing --samples 10",
            "timing 200",
            "timing --samples 200 x",
        ] {
            assert!(parse(line).is_err(), "{line:?} was accepted");
        }
    }
}
