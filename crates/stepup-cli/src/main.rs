//! `stepup-cli`: users in and out, secrets, migrations, beside a site that runs or not.
//!
//! Secrets come from the environment or a file, never from the command line, where every user of the machine can read
//! them. No hash, password or key is ever printed.
//!
//! Exit codes: 0 if all was done, 1 if some of it was refused and the rest done, 2 if it was broken off or never begun.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it is a command line tool"
)]

mod cmd;
mod site;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::cmd::{migrate, secret, user};
use crate::site::Place;

/// Users in and out, secrets and migrations of a site that uses stepup.
///
/// The secrets of the site come from STEPUP_SECRET ("id:base64,…", newest first), or from the file that
/// STEPUP_SECRET_FILE names, or from the one beside an SQLite database (app.secret for app.sqlite).
#[derive(Debug, Parser)]
#[command(name = "stepup-cli", version)]
struct Arguments {
    /// URL of the database, such as sqlite://app.sqlite. Without it STEPUP_DATABASE_URL is asked.
    #[arg(long, global = true)]
    database: Option<String>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the tables, or brings them up to this version.
    Migrate,
    /// Users in and out.
    #[command(subcommand)]
    User(user::Command),
    /// The secrets of the site.
    #[command(subcommand)]
    Secret(secret::Command),
}

/// How a command ended that was not broken off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// All was done.
    Whole,
    /// Some of it was refused.
    Partly,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { database, command } = Arguments::parse();
    let ending = async {
        let place = Place::of(database)?;
        match command {
            Command::Migrate => migrate::run(&place).await,
            Command::User(command) => user::run(&place, command).await,
            Command::Secret(command) => secret::run(&place, command).await,
        }
    };
    match ending.await {
        Ok(Ending::Whole) => ExitCode::SUCCESS,
        Ok(Ending::Partly) => ExitCode::from(1),
        Err(error) => {
            eprintln!("stepup-cli: {}", with_causes(&*error));
            ExitCode::from(2)
        }
    }
}

/// A sentence with what is behind it.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |error| (**error).source());
    causes.fold(error.to_string(), |text, cause| match cause.to_string() {
        cause if text.ends_with(&cause) => text,
        cause => format!("{text}: {cause}"),
    })
}
