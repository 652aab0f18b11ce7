//! Servers in processes of their own on the first core, and load by `wrk` on the second.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::Effort;
use crate::table::median;

/// A server under measure.
pub struct Server {
    name: String,
    child: Child,
    url: String,
    header: String,
    rates: Vec<f64>,
    costs: Vec<f64>,
}

/// What came of it.
pub struct Figures {
    /// Requests per second.
    pub rate: f64,
    /// Microseconds of processor time per request, of the server alone.
    pub cost: f64,
}

impl Server {
    /// Starts one of our own variants.
    pub fn ours(name: &str, variant: &[&str]) -> Self {
        let me = std::env::current_exe().expect("this program has a path");
        let mut words = vec!["serve"];
        words.extend(variant);
        Self::start(name, &me, &words).expect("our own server starts")
    }

    /// Starts a program that prints the URL to ask, and then the header to send, a line each.
    pub fn start(name: &str, program: &Path, words: &[&str]) -> Option<Self> {
        let mut child = Command::new("taskset")
            .args(["-c", "0"])
            .arg(program)
            .args(words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .ok()?;
        let mut lines = BufReader::new(child.stdout.take()?).lines();
        let (Some(Ok(url)), Some(Ok(header))) = (lines.next(), lines.next()) else {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        };
        // Whatever else it says must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Some(Self {
            name: name.to_owned(),
            child,
            url,
            header,
            rates: Vec::new(),
            costs: Vec::new(),
        })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Puts load on it once.
    pub fn round(&mut self, seconds: u64) {
        let (figures, _) = wrk(&self.url, &self.header, 32, seconds, self.child.id());
        self.rates.push(figures.rate);
        self.costs.push(figures.cost);
    }

    /// The medians of all rounds.
    pub fn figures(&mut self) -> Figures {
        Figures {
            rate: median(&mut self.rates),
            cost: median(&mut self.costs),
        }
    }

    /// The latency that one request in a hundred passes, in milliseconds, under the load of a few connections.
    pub fn slowest(&self, seconds: u64) -> f64 {
        wrk(&self.url, &self.header, 4, seconds, self.child.id()).1
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Lets servers take turns.
pub fn turns(servers: &mut [Server], effort: Effort) {
    for server in servers.iter_mut() {
        // A first round that nobody counts: caches fill, and slow starters start.
        wrk(&server.url, &server.header, 32, 1, server.child.id());
    }
    for _ in 0..effort.rounds {
        for server in servers.iter_mut() {
            server.round(effort.seconds);
        }
    }
}

/// Runs `wrk`; the figures, and the 99th percentile of latency in milliseconds.
fn wrk(url: &str, header: &str, connections: u32, seconds: u64, pid: u32) -> (Figures, f64) {
    let before = ticks(pid);
    let output = Command::new("taskset")
        .args(["-c", "1", "wrk", "--latency", "-t1"])
        .args([format!("-c{connections}"), format!("-d{seconds}s")])
        .args(["-H", header, url])
        .output()
        .expect("wrk is installed");
    let used = ticks(pid) - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let word = |label: &str| {
        let line = text.lines().find(|line| line.trim_start().starts_with(label))?;
        line.trim_start()
            .strip_prefix(label)?
            .split_whitespace()
            .next()
            .map(str::to_owned)
    };
    assert!(
        !text.contains("Non-2xx") && !text.contains("Socket errors"),
        "{url} does not answer well: {text}"
    );
    let rate: f64 = word("Requests/sec:")
        .and_then(|w| w.parse().ok())
        .unwrap_or(f64::NAN);
    let requests: f64 = text
        .lines()
        .find(|line| line.contains("requests in"))
        .and_then(|line| line.split_whitespace().next())
        .and_then(|count| count.parse().ok())
        .unwrap_or(f64::NAN);
    let slow = word("99%").map_or(f64::NAN, |word| milliseconds(&word));
    // The kernel counts processor time in hundredths of a second.
    let cost = used * 10_000.0 / requests;
    (Figures { rate, cost }, slow)
}

/// `312.00us`, `1.20ms` or `1.02s` in milliseconds.
fn milliseconds(text: &str) -> f64 {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    units
        .into_iter()
        .find_map(|(unit, factor)| Some(text.strip_suffix(unit)?.parse::<f64>().ok()? * factor))
        .unwrap_or(f64::NAN)
}

/// Processor time of a process so far, in hundredths of a second.
fn ticks(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name in brackets may hold spaces.
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok()).unwrap_or(0.0);
    field(11) + field(12)
}

/// Resident memory of a process, in bytes.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}
