//! `user import` and `user export`: JSON lines.

use std::collections::BTreeSet;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Read, Write};
use std::mem::discriminant;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use futures_util::stream::{self, StreamExt};
use indicatif::{ProgressBar, ProgressStyle};
use stepup_core::desk::{Desk, portable};
use stepup_core::digest::{FirebaseKey, ForeignCost, are_bearable, foreign_cost};
use stepup_core::error::{Fault, StoreError};
use stepup_core::import::{ImportRefusal, Imported, ImportedUser};

use crate::cmd::Done;
use crate::site::{Place, firebase_key};
use crate::{Ending, with_causes};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Brings in users from a file of JSON lines, one user each. What is wrong with a line is told by its number, and the
    /// rest is imported. Who is there already is left alone, so that an import that was broken off is simply run again.
    Import {
        /// The file; - is the standard input.
        file: PathBuf,
    },
    /// Writes all users as JSON lines that an import reads: everything but secrets. Hashes never leave the database.
    Export {
        /// The file, which must not be there yet; the standard output without one.
        file: Option<PathBuf>,
    },
}

pub(crate) async fn run(place: &Place, command: Command) -> Done {
    match command {
        Command::Import { file } => import(place, &file).await,
        Command::Export { file } => export(place, file.as_deref()).await,
    }
}

/// Lines that are under way at a time: the database writes those that wait together at once.
const AT_ONCE: usize = 32;

/// The longest line, in bytes: above what any user may have.
const MAX_LINE: u64 = 2 << 20;

/// Users that are read at a time.
const PAGE: u32 = 500;

/// How often a database that is busy is asked again.
const TRIES: u32 = 5;

/// What became of the lines.
#[derive(Debug, Default)]
struct Tally {
    created: u64,
    there: u64,
    refused: u64,
    costs: BTreeSet<ForeignCost>,
}

async fn import(place: &Place, file: &Path) -> Done {
    let (desk, _) = place.desk().await?;
    let firebase = firebase_key()?;
    let (input, length): (Box<dyn Read>, Option<u64>) = match file.as_os_str() == "-" {
        true => (Box::new(io::stdin()), None),
        false => {
            let opened = File::open(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let length = opened.metadata()?.len();
            (Box::new(opened), Some(length))
        }
    };
    let bar = bar(length);
    let mut tally = Tally::default();
    let done = lines(&desk, Lines::of(input), firebase.as_ref(), &bar, &mut tally).await;
    bar.finish_and_clear();
    println!(
        "{} imported, {} there already, {} refused",
        tally.created, tally.there, tally.refused
    );
    if !tally.costs.is_empty() {
        let costs = costliest(tally.costs);
        if !are_bearable(&costs) {
            println!(
                "these kinds of hashes are too much side by side, and the site will not verify the costliest:"
            );
        }
        let costs: Vec<String> = costs
            .iter()
            .map(|cost| format!("ForeignCost::{cost:?}"))
            .collect();
        println!("tell the site, so that these users are not told apart by the time of a sign-in:");
        println!("    Password::new().with_imported([{}])", costs.join(", "));
    }
    done.map_err(|(line, error)| {
        let error = with_causes(&*error);
        format!("broken off at line {line}, run it again: {error}")
    })?;
    Ok(match tally.refused {
        0 => Ending::Whole,
        _ => Ending::Partly,
    })
}

/// The costliest of each kind.
fn costliest(costs: BTreeSet<ForeignCost>) -> Vec<ForeignCost> {
    let mut costs: Vec<ForeignCost> = costs.into_iter().rev().collect();
    costs.dedup_by_key(|cost| discriminant(cost));
    costs
}

/// Imports line after line. On an error of the database, or of the file: at which line.
async fn lines(
    desk: &Desk,
    lines: Lines,
    firebase: Option<&FirebaseKey>,
    bar: &ProgressBar,
    tally: &mut Tally,
) -> Result<(), (u64, Box<dyn Error>)> {
    let mut results = stream::iter(lines)
        .map(|(number, line)| async move {
            let (length, done) = match line {
                Err(error) => (0, Err(Box::from(error))),
                Ok(Line::TooLong) => (MAX_LINE, Ok(Err("longer than 2 MiB".to_owned()))),
                Ok(Line::Text(text)) => (text.len() as u64, one(desk, &text, firebase).await),
            };
            (number, length, done)
        })
        .buffered(AT_ONCE);
    while let Some((number, length, done)) = results.next().await {
        bar.inc(length);
        match done.map_err(|error| (number, error))? {
            Ok(None) => {}
            Ok(Some((Imported::Created(_), cost))) => {
                tally.created += 1;
                tally.costs.extend(cost);
            }
            Ok(Some((Imported::AlreadyThere(_), _))) => tally.there += 1,
            Err(reason) => {
                tally.refused += 1;
                bar.suspend(|| eprintln!("line {number}: {reason}"));
            }
        }
    }
    Ok(())
}

/// What became of a line: nothing of a blank one; as the inner error, why it was refused.
type One = Result<Result<Option<(Imported, Option<ForeignCost>)>, String>, Box<dyn Error>>;

async fn one(desk: &Desk, text: &[u8], firebase: Option<&FirebaseKey>) -> One {
    if text.trim_ascii().is_empty() {
        return Ok(Ok(None));
    }
    let told = |refusal: ImportRefusal| Ok(Err(refusal.to_string()));
    let user = match ImportedUser::read(text) {
        Ok(user) => user,
        Err(refusal) => return told(refusal),
    };
    let hash = user.password_hash.as_ref();
    let cost = hash.and_then(|hash| foreign_cost(hash.expose(), firebase));
    for pause in 1..TRIES {
        match desk.import_user(&user).await {
            Ok(Ok(imported)) => return Ok(Ok(Some((imported, cost)))),
            Ok(Err(refusal)) => return told(refusal),
            // The site is busy with its own writes.
            Err(Fault::Store(StoreError::Unavailable(_)) | Fault::Busy) => {
                tokio::time::sleep(Duration::from_millis(200) * pause).await;
            }
            Err(fault) => return Err(fault.into()),
        }
    }
    match desk.import_user(&user).await? {
        Ok(imported) => Ok(Ok(Some((imported, cost)))),
        Err(refusal) => told(refusal),
    }
}

enum Line {
    Text(Vec<u8>),
    TooLong,
}

/// Lines with their numbers, from 1 on. None is ever held that is too long.
struct Lines {
    input: BufReader<Box<dyn Read>>,
    number: u64,
}

impl Lines {
    fn of(input: Box<dyn Read>) -> Self {
        let input = BufReader::new(input);
        Self { input, number: 0 }
    }

    fn line(&mut self) -> io::Result<Option<Line>> {
        let mut text = Vec::new();
        (&mut self.input).take(MAX_LINE).read_until(b'\n', &mut text)?;
        if text.is_empty() {
            return Ok(None);
        }
        if text.len() as u64 == MAX_LINE && !text.ends_with(b"\n") {
            self.input.skip_until(b'\n')?;
            return Ok(Some(Line::TooLong));
        }
        Ok(Some(Line::Text(text)))
    }
}

impl Iterator for Lines {
    type Item = (u64, io::Result<Line>);

    fn next(&mut self) -> Option<Self::Item> {
        self.number += 1;
        Some((self.number, self.line().transpose()?))
    }
}

/// A bar on a terminal, and nothing elsewhere.
fn bar(length: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = match length {
        Some(length) => ProgressBar::new(length),
        None => ProgressBar::no_length(),
    };
    let style = ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes}, {eta} left");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

async fn export(place: &Place, file: Option<&Path>) -> Done {
    let (desk, _) = place.desk().await?;
    match file {
        Some(file) => {
            let new = own::create_new(file).map_err(|error| format!("{}: {error}", file.display()))?;
            let written = write_all(&desk, BufWriter::new(&new)).await?;
            new.sync_all()?;
            println!("{written} users");
        }
        None => {
            write_all(&desk, io::stdout().lock()).await?;
        }
    }
    Ok(Ending::Whole)
}

async fn write_all(desk: &Desk, mut output: impl Write) -> Result<u64, Box<dyn Error>> {
    let mut written = 0;
    let mut after = None;
    loop {
        let (users, next) = desk.users_after(after.as_ref(), PAGE).await?;
        for user in &users {
            serde_json::to_writer(&mut output, &portable(user))?;
            output.write_all(b"\n")?;
            written += 1;
        }
        let Some(next) = next else { break };
        after = Some(next);
    }
    output.flush()?;
    Ok(written)
}

#[cfg(unix)]
mod own {
    use std::fs::File;
    use std::io;
    use std::os::unix::fs::OpenOptionsExt;
    use std::path::Path;

    /// A new file that only its owner may read: addresses and numbers of everybody are in it.
    pub(super) fn create_new(file: &Path) -> io::Result<File> {
        File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(file)
    }
}

#[cfg(not(unix))]
mod own {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    /// A new file, with the permissions of its folder.
    pub(super) fn create_new(file: &Path) -> io::Result<File> {
        File::create_new(file)
    }
}
