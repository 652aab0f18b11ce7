//! `cargo xtask timing`: whether the time that an answer takes tells who has an account (threats A-ENU-02 and A-ENU-03).
//!
//! A release build of the demo is asked over HTTP, again and again, about addresses of several classes in an order that
//! changes from round to round. Noise on the machine can make two classes differ that do not, so that it is no part of
//! `cargo xtask test`, and what differs is measured once more before it counts.

mod client;
mod shuffle;
mod site;
mod statistics;

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::timing::client::Client;
use crate::timing::shuffle::Shuffle;
use crate::timing::site::{ADDRESSES, PASSWORD, PATIENCE, Site, address, form};
use crate::timing::statistics::{Finding, MAX_T, Sample};
use crate::workspace::Workspace;

/// Samples of a class, if nothing else is asked for.
pub(crate) const SAMPLES: usize = 2_000;

/// Measures `samples` of each class, and prints what was found.
///
/// # Errors
/// Classes can be told apart, twice; or something could not be measured.
pub(crate) fn run(workspace: &Workspace, samples: usize) -> Result<(), String> {
    let site = Site::start(workspace)?;
    // The server has the first core.
    let own = std::process::id().to_string();
    let _ = Command::new("taskset").args(["-cp", "1", &own]).output();
    let mut client = Client::connect(&site.address)?;
    let hash = hash(&mut client)?;
    println!(
        "{samples} samples of each class, in turn; a password's hash takes {hash:.2} ms.\n\
         Two classes differ from |t| = {MAX_T} on, or if their medians are {:.2} ms apart.",
        statistics::MAX_SHARE * hash
    );
    let mut told_apart = Vec::new();
    for question in QUESTIONS {
        if !question.is_known(&mut client)? {
            println!("\n{}: not measured, there is no such endpoint", question.title);
            continue;
        }
        let before = site.mail.asked();
        let mut fine = question.ask(&mut client, samples, hash)?;
        if !fine {
            println!("\nOnce more:");
            fine = question.ask(&mut client, samples, hash)?;
        }
        if !fine {
            told_apart.push(question.title);
        }
        if question.sends {
            thread::sleep(PATIENCE);
            match site.mail.asked() - before {
                0 => {
                    return Err(format!(
                        "{}: no mail was sent, so nothing was shown",
                        question.title
                    ));
                }
                mails => println!("A mail server that takes {PATIENCE:?} was asked {mails} times meanwhile."),
            }
        }
    }
    match told_apart.as_slice() {
        [] => Ok(()),
        some => Err(format!("told apart by time: {}", some.join(", "))),
    }
}

/// How long a password's hash takes, in milliseconds: what a sign-in takes, less what one takes that is refused before.
fn hash(client: &mut Client) -> Result<f64, String> {
    let (mut whole, mut refused) = (Sample::default(), Sample::default());
    for n in 0..5 * ADDRESSES {
        whole.add(
            client
                .post("/auth/signin", &form(&address("known", n), WRONG))?
                .ms,
        );
        refused.add(client.post("/auth/signin", &form("no address at all", WRONG))?.ms);
    }
    Ok(whole.median() - refused.median())
}

/// Something that a stranger may ask about an address.
struct Question {
    title: &'static str,
    path: &'static str,
    /// Whether somebody gets a mail by it.
    sends: bool,
    /// What the body of every answer holds.
    answer: &'static str,
    classes: &'static [Class],
}

/// A name, and the body of the request about address number `n`.
type Class = (&'static str, fn(usize) -> String);

const QUESTIONS: [Question; 3] = [
    Question {
        title: "sign-in (A-ENU-02)",
        path: "/auth/signin",
        sends: false,
        answer: r#"{"status":"WRONG_CREDENTIALS_ERROR"}"#,
        classes: &[
            ("known address", |n| form(&address("known", n), WRONG)),
            ("unknown address", |n| form(&address("nobody", n), WRONG)),
            ("disabled account", |n| form(&address("disabled", n), WRONG)),
            ("disabled account, right password", |n| {
                form(&address("disabled", n), PASSWORD)
            }),
        ],
    },
    Question {
        title: "a code to sign in, slow provider (A-ENU-03)",
        path: "/auth/signinup/code",
        sends: true,
        answer: r#"{"status":"OK","#,
        classes: &[
            ("known address", |n| email(&address("known", n))),
            ("unknown address", |n| email(&address("nobody", n))),
            ("disabled account", |n| email(&address("disabled", n))),
        ],
    },
    Question {
        title: "a password's reset, slow provider (A-ENU-03)",
        path: "/auth/user/password/reset/token",
        sends: true,
        answer: r#"{"status":"OK"}"#,
        classes: &[
            ("known address", |n| field(&address("known", n))),
            ("unknown address", |n| field(&address("nobody", n))),
            ("disabled account", |n| field(&address("disabled", n))),
        ],
    },
];

const WRONG: &str = "wrong horse battery";

fn email(address: &str) -> String {
    format!(r#"{{"email":"{address}"}}"#)
}

fn field(address: &str) -> String {
    format!(r#"{{"formFields":[{{"id":"email","value":"{address}"}}]}}"#)
}

impl Question {
    fn is_known(&self, client: &mut Client) -> Result<bool, String> {
        Ok(client.post(self.path, "{}")?.status != 404)
    }

    /// Asks so often of each class; whether no two of them can be told apart.
    fn ask(&self, client: &mut Client, samples: usize, hash: f64) -> Result<bool, String> {
        let mut times = vec![Sample::default(); self.classes.len()];
        let mut shuffle = Shuffle::new(samples as u64);
        for round in 0..samples + WARM_UP {
            for turn in shuffle.order(self.classes.len()) {
                let (Some((_, body)), Some(times)) = (self.classes.get(turn), times.get_mut(turn)) else {
                    continue;
                };
                if self.sends {
                    thread::sleep(PAUSE);
                }
                let answer = client.post(self.path, &body(round))?;
                if !answer.body.starts_with(self.answer) {
                    return Err(format!("{}: {} {}", self.title, answer.status, answer.body));
                }
                if round >= WARM_UP {
                    times.add(answer.ms);
                }
            }
        }
        Ok(self.report(&times, hash))
    }

    fn report(&self, times: &[Sample], hash: f64) -> bool {
        println!("\n{}", self.title);
        let named: Vec<_> = self.classes.iter().map(|(name, _)| *name).zip(times).collect();
        for (name, times) in &named {
            println!(
                "  {name:<34} median {:>7.3} ms of {}",
                times.median(),
                times.len()
            );
        }
        let mut fine = true;
        for (first, (a, left)) in named.iter().enumerate() {
            for (b, right) in named.iter().skip(first + 1) {
                let finding = Finding::of(left, right, hash);
                fine &= finding.is_fine();
                println!(
                    "  t {:>6.2}  medians {:>+7.3} ms  {}  {a} | {b}",
                    finding.t,
                    finding.difference,
                    if finding.is_fine() { "same  " } else { "DIFFER" },
                );
            }
        }
        fine
    }
}

/// Rounds that do not count: the first request about an address makes its counters.
const WARM_UP: usize = ADDRESSES;

/// Between requests that send something: the background sends 32 messages at once, so that none waits for long.
const PAUSE: Duration = Duration::from_millis(12);

#[cfg(test)]
mod tests {
    use super::*;

    fn times(around: f64) -> Sample {
        let mut sample = Sample::default();
        (0..500).for_each(|n| sample.add(around + f64::from(n % 10) / 10.0));
        sample
    }

    #[test]
    fn one_class_that_differs_from_another_is_enough() {
        let [sign_in, ..] = &QUESTIONS;
        let same = || times(15.0);
        assert!(sign_in.report(&[same(), same(), same(), same()], 14.0));
        for odd in 0..4 {
            let mut all = [same(), same(), same(), same()];
            all[odd] = times(16.0);
            assert!(!sign_in.report(&all, 14.0));
        }
    }

    #[test]
    fn requests_of_one_question_are_equally_long_whomever_they_are_about() {
        for question in QUESTIONS {
            let lengths: Vec<_> = question
                .classes
                .iter()
                .filter(|(name, _)| !name.ends_with("right password"))
                .map(|(_, body)| body(7).len())
                .collect();
            assert!(lengths.windows(2).all(|pair| pair[0] == pair[1]), "{lengths:?}");
        }
    }
}
