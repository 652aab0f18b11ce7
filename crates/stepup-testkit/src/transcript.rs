//! Transcripts: bytes that are sent over a real connection, and what has to come back. They name no framework, so one
//! list holds for all.
//!
//! ```text
//! == nobody is signed in
//! > GET /secret HTTP/1.1
//! > host: localhost
//! >
//! < 401
//! < ordinary
//! < {"message":"unauthorised"}
//! ```
//!
//! A line with `>` is sent, and ends with CR LF unless it stands after the empty one (the body) or ends with `\`. A line
//! with `>>` begins another request in the same write; a `>` after an answer is sent on the same connection. `{name}` is
//! filled in by the caller, `{length}` is the size of the body, `{x*9}` is nine times x, and `\xff`, `\r`, `\n`, `\t` are
//! bytes.
//!
//! Lines with `<` are an answer as [`Answer::lines`] writes it: status, the headers that matter to security, the body.
//! `< ordinary` is the four headers of every answer of ours in JSON, and what CORS adds to `Vary`; with `< ...` at the end
//! the rest is the application's own. In place of an answer may stand `< refused`, for what an HTTP parser refuses in its
//! own words (a status of 4xx, or a close without an answer), and `< hang up`, for a client that leaves without reading. Lines
//! with `|` after an answer are another one that will do, where a comment says why.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A row of a list.
#[derive(Clone, Debug)]
pub struct Transcript {
    /// What it shows.
    pub name: String,
    /// What happens on its connection, in order.
    pub steps: Vec<Step>,
}

/// Something sent, and what has to come back.
#[derive(Clone, Debug, Default)]
pub struct Step {
    sent: Vec<String>,
    /// The lines of the answers, one after the other.
    pub expected: Vec<String>,
    /// The same, where a framework cannot do better.
    pub or_else: Vec<String>,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The status; 0 if the connection was closed without an answer.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, its chunks put together.
    pub body: Vec<u8>,
}

/// What came back is not what has to.
#[derive(Debug, thiserror::Error)]
#[error("{name}\n  expected: {expected:#?}\n  came back: {came:#?}")]
pub struct Difference {
    name: String,
    expected: Vec<String>,
    came: Vec<String>,
}

impl Transcript {
    /// Reads a list.
    ///
    /// # Panics
    /// If it is not written as the module says.
    pub fn list(text: &str) -> Vec<Self> {
        let mut list: Vec<Self> = Vec::new();
        for line in text.lines() {
            if let Some(name) = line.strip_prefix("== ") {
                list.push(Self {
                    name: name.to_owned(),
                    steps: Vec::new(),
                });
                continue;
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let steps = &mut list.last_mut().expect("a list begins with a name").steps;
            match line.split_at(1) {
                (">", sent) => {
                    if steps.last().is_none_or(|step| !step.expected.is_empty()) {
                        steps.push(Step::default());
                    }
                    let step = steps.last_mut().expect("it was pushed");
                    step.sent.push(sent.strip_prefix(' ').unwrap_or(sent).to_owned());
                }
                ("<", came) => {
                    let step = steps.last_mut().expect("nothing is answered before it is asked");
                    step.expected.push(came.trim_start().to_owned());
                }
                ("|", came) => {
                    let step = steps.last_mut().expect("nothing is answered before it is asked");
                    step.or_else.push(came.trim_start().to_owned());
                }
                _ => panic!("neither sent nor answered: {line}"),
            }
        }
        list
    }

    /// Whether `{name}` stands in what is sent.
    pub fn asks_for(&self, name: &str) -> bool {
        let asked = format!("{{{name}}}");
        let mut lines = self.steps.iter().flat_map(|step| &step.sent);
        lines.any(|line| line.contains(&asked))
    }

    /// Sends it, and compares. `fill` knows what `{name}` stands for.
    ///
    /// # Errors
    /// The first difference.
    pub async fn play(
        &self,
        address: SocketAddr,
        fill: impl Fn(&str) -> Option<String>,
    ) -> Result<(), Difference> {
        let came = self.came(address, fill).await;
        for (step, came) in self.steps.iter().zip(came) {
            if !step.is_met_by(&came) {
                return Err(Difference {
                    name: self.name.clone(),
                    expected: step.expected.clone(),
                    came,
                });
            }
        }
        Ok(())
    }

    /// Sends it. What came back, step by step: for who writes a list.
    ///
    /// # Panics
    /// If the server neither answers nor closes within ten seconds.
    pub async fn came(&self, address: SocketAddr, fill: impl Fn(&str) -> Option<String>) -> Vec<Vec<String>> {
        // Each deployment has an origin of its own.
        let ours = fill("ours").unwrap_or_default();
        let escaped = ours.replace(':', "%3A").replace('/', "%2F");
        let unfilled = |line: String| match ours.is_empty() {
            true => line,
            false => line.replace(&ours, "{ours}").replace(&escaped, "{ours}"),
        };
        let mut connection = Connection::open(address).await;
        let mut all = Vec::new();
        for step in &self.steps {
            let bytes = step.bytes(&fill);
            connection.send(&bytes).await;
            let mut lines = Vec::new();
            if step.hangs_up() {
                connection = Connection::open(address).await;
                lines.push(HANG_UP.to_owned());
            } else {
                for method in step.methods() {
                    let answer = connection.answer(&method).await;
                    let gone = answer.status == 0;
                    lines.extend(answer.lines().into_iter().map(&unfilled));
                    if gone {
                        break;
                    }
                }
            }
            all.push(lines);
        }
        all
    }
}

impl Step {
    fn hangs_up(&self) -> bool {
        self.expected == [HANG_UP]
    }

    /// Whether the lines are what was expected.
    fn is_met_by(&self, came: &[String]) -> bool {
        if self.expected == [REFUSED] {
            return matches!(came.first().map(String::as_str), Some(CLOSED))
                || came
                    .first()
                    .is_some_and(|status| status.starts_with('4') && status.len() == 3);
        }
        let other = !self.or_else.is_empty() && is_as(&self.or_else, came);
        other || is_as(&self.expected, came)
    }

    /// The methods of the requests in it; what is no request counts as one.
    fn methods(&self) -> Vec<String> {
        let begins = |(at, line): (usize, &String)| match line.strip_prefix('>') {
            Some(line) => Some(line.trim_start().to_owned()),
            None => (at == 0).then(|| line.clone()),
        };
        let lines = self.sent.iter().enumerate().filter_map(begins);
        lines
            .map(|line| line.split(' ').next().unwrap_or_default().to_owned())
            .collect()
    }

    fn bytes(&self, fill: &impl Fn(&str) -> Option<String>) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut request: Vec<&str> = Vec::new();
        for line in &self.sent {
            match line.strip_prefix('>') {
                Some(line) => {
                    bytes.extend(bytes_of(&request, fill));
                    request = vec![line.strip_prefix(' ').unwrap_or(line)];
                }
                None => request.push(line),
            }
        }
        bytes.extend(bytes_of(&request, fill));
        bytes
    }
}

/// Whether the lines are these, or begin with them and the rest is the application's own.
fn is_as(expected: &[String], came: &[String]) -> bool {
    match expected.split_last() {
        Some((last, first)) if last == REST => came.starts_with(first),
        _ => expected == came,
    }
}

/// The bytes of one request.
fn bytes_of(lines: &[&str], fill: &impl Fn(&str) -> Option<String>) -> Vec<u8> {
    let end = lines.iter().position(|line| line.is_empty());
    let (head, body) = match end {
        Some(end) => lines.split_at(end),
        None => (lines, &[][..]),
    };
    let body: Vec<u8> = body
        .iter()
        .flat_map(|line| unescaped(&filled(line, fill)))
        .collect();
    let length = body.len().to_string();
    let with_length = |name: &str| match name {
        "length" => Some(length.clone()),
        name => fill(name),
    };
    let mut bytes = Vec::new();
    for line in head {
        let (line, ending) = match line.strip_suffix('\\') {
            Some(line) => (line, &b""[..]),
            None => (*line, &b"\r\n"[..]),
        };
        bytes.extend(unescaped(&filled(line, &with_length)));
        bytes.extend(ending);
    }
    if end.is_some() {
        bytes.extend(b"\r\n");
    }
    bytes.extend(body);
    bytes
}

/// `line` with what stands for its names. What is no name stays: a body of JSON has braces of its own.
fn filled(line: &str, fill: &impl Fn(&str) -> Option<String>) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let known = after.split_once('}').and_then(|(name, after)| {
            let repeated = |(what, times): (&str, &str)| times.parse().ok().map(|n| what.repeat(n));
            let value = name.rsplit_once('*').and_then(repeated).or_else(|| fill(name))?;
            Some((value, after))
        });
        match known {
            Some((value, after)) => {
                text.push_str(&value);
                rest = after;
            }
            None => {
                text.push('{');
                rest = after;
            }
        }
    }
    text + rest
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend(before.as_bytes());
        let mut chars = after.chars();
        rest = match chars.next() {
            Some('r') => push(&mut bytes, b'\r', chars.as_str()),
            Some('n') => push(&mut bytes, b'\n', chars.as_str()),
            Some('t') => push(&mut bytes, b'\t', chars.as_str()),
            Some('x') => match after.get(1..3).map(|hex| u8::from_str_radix(hex, 16)) {
                Some(Ok(byte)) => push(&mut bytes, byte, after.get(3..).unwrap_or_default()),
                _ => panic!("not a byte: \\{after}"),
            },
            // JSON has backslashes of its own.
            _ => push(&mut bytes, b'\\', after),
        };
    }
    bytes.extend(rest.as_bytes());
    bytes
}

fn push<'a>(bytes: &mut Vec<u8>, byte: u8, rest: &'a str) -> &'a str {
    bytes.push(byte);
    rest
}

/// A connection, kept alive.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Connection {
    /// Opens one.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn open(address: SocketAddr) -> Self {
        Self {
            stream: TcpStream::connect(address).await.expect("the server listens"),
            read: Vec::new(),
        }
    }

    /// Sends bytes. A server that refuses early may close before all is written.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads the answer to a request of this method. Interim answers are skipped.
    ///
    /// # Panics
    /// If the server neither answers nor closes within ten seconds.
    pub async fn answer(&mut self, method: &str) -> Answer {
        let answer = tokio::time::timeout(PATIENCE, self.next(method)).await;
        answer.expect("the server answers or closes in time")
    }

    async fn next(&mut self, method: &str) -> Answer {
        loop {
            let Some(answer) = self.head().await else {
                return Answer::default();
            };
            if !(100..200).contains(&answer.status) {
                return self.with_body(answer, method).await;
            }
        }
    }

    async fn head(&mut self) -> Option<Answer> {
        let end = loop {
            if let Some(at) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at;
            }
            if !self.more().await {
                return None;
            }
        };
        let head: Vec<u8> = self.read.drain(..end + 4).collect();
        let head = String::from_utf8_lossy(&head);
        let mut lines = head.split("\r\n");
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Some(Answer {
            status,
            headers,
            body: Vec::new(),
        })
    }

    async fn with_body(&mut self, mut answer: Answer, method: &str) -> Answer {
        let length = answer
            .header("content-length")
            .and_then(|length| length.parse().ok());
        let chunked = answer.header("transfer-encoding").is_some();
        if method == "HEAD" || matches!(answer.status, 204 | 304) {
            // Nothing follows, whatever the headers say of it.
        } else if chunked {
            while let Some(size) = self.line().await.and_then(|line| size_of(&line)) {
                let chunk = self.exactly(size).await;
                answer.body.extend(chunk);
                self.line().await;
                if size == 0 {
                    break;
                }
            }
        } else if let Some(length) = length {
            answer.body = self.exactly(length).await;
        } else {
            while self.more().await {}
            answer.body = std::mem::take(&mut self.read);
        }
        answer
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.read.windows(2).position(|bytes| bytes == b"\r\n") {
                let line: Vec<u8> = self.read.drain(..at + 2).collect();
                return Some(String::from_utf8_lossy(&line).trim().to_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn exactly(&mut self, length: usize) -> Vec<u8> {
        while self.read.len() < length && self.more().await {}
        let length = length.min(self.read.len());
        self.read.drain(..length).collect()
    }

    async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.read).await, Ok(1..))
    }
}

fn size_of(line: &str) -> Option<usize> {
    usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()
}

impl Answer {
    /// The first header of a name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers.find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All headers of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let named = self.headers.iter().filter(move |(n, _)| n == name);
        named.map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// How a transcript writes it: the status, the headers that matter to security in order of their names, and the body.
    /// What is new each time (tokens, times, ids) is named instead of shown, and of a page stands its title.
    pub fn lines(&self) -> Vec<String> {
        if self.status == 0 {
            return vec![CLOSED.to_owned()];
        }
        let mut headers: Vec<String> = self
            .headers
            .iter()
            .filter(|(name, _)| HEADERS.contains(&name.as_str()) || name.starts_with("access-control-"))
            // A framework may add what a path takes to a preflight, which no browser reads there.
            .filter(|(name, _)| name != "allow" || self.header("access-control-max-age").is_none())
            .map(|(name, value)| format!("{name}: {}", value_of(name, value)))
            .collect();
        headers.sort();
        if ORDINARY
            .iter()
            .all(|line| headers.iter().any(|header| header == line))
        {
            headers.retain(|header| !ORDINARY.contains(&header.as_str()));
            headers.insert(0, "ordinary".to_owned());
        }
        let mut lines = vec![self.status.to_string()];
        lines.extend(headers);
        match self.body.len() {
            0 => {}
            _ if self.is_page() => lines.push(format!("(a page: {})", title(&self.text()))),
            1..=LONG => lines.push(masked(&self.text())),
            _ => lines.push("(a long body)".to_owned()),
        }
        lines
    }

    fn is_page(&self) -> bool {
        self.header("content-type")
            .is_some_and(|is| is.starts_with("text/html"))
    }
}

/// What a page is called.
fn title(page: &str) -> &str {
    let rest = page.split_once("<title>").map_or("", |(_, rest)| rest);
    rest.split_once("</title>").map_or("", |(title, _)| title)
}

/// A header's value, tokens and times taken out.
fn value_of(name: &str, value: &str) -> String {
    match name {
        // In whatever order, and with whatever blanks.
        "allow" => {
            let mut methods: Vec<&str> = value.split(',').map(str::trim).collect();
            methods.sort_unstable();
            methods.join(", ")
        }
        // Keys are kept until the next ones come; what is kept for a round time is told.
        "cache-control" => match value
            .split_once("max-age=")
            .and_then(|(_, rest)| rest.split_once(','))
        {
            Some((seconds, _)) if seconds.len() > 3 => value.replace(seconds, "(seconds)"),
            _ => value.to_owned(),
        },
        "front-token" if value != "remove" => "(a token)".to_owned(),
        "st-access-token" | "st-refresh-token" if !value.is_empty() => "(a token)".to_owned(),
        "set-cookie" => {
            let mut parts = value.split("; ").map(|part| match part.split_once('=') {
                Some(("Expires", date)) if !date.ends_with("1970 00:00:00 GMT") => {
                    "Expires=(a date)".to_owned()
                }
                _ => part.to_owned(),
            });
            let pair = parts.next().unwrap_or_default();
            let pair = match pair.split_once('=') {
                Some((cookie, token)) if !token.is_empty() => format!("{}=(a token)", named(cookie)),
                _ => pair,
            };
            std::iter::once(pair).chain(parts).collect::<Vec<_>>().join("; ")
        }
        // What it carries may be new each time.
        "location" => masked(value),
        _ => value.to_owned(),
    }
}

/// The name of a cookie without what is new each time.
fn named(cookie: &str) -> String {
    match cookie.split_once("Ticket-") {
        Some((before, _)) => format!("{before}Ticket-(an id)"),
        None => cookie.to_owned(),
    }
}

/// A body without what is new each time: words that are a UUID, a time in milliseconds or seconds, or longer than any word.
fn masked(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let run = rest
            .find(|char: char| !char.is_ascii_alphanumeric() && !['-', '_'].contains(&char))
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(run);
        let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        out.push_str(match word.len() {
            36 if word.matches('-').count() == 4 => "(an id)",
            10 | 13 if digits => "(a time)",
            40.. => "(a key)",
            _ => word,
        });
        let next = after.chars().next();
        out.extend(next);
        rest = after.get(next.map_or(0, char::len_utf8)..).unwrap_or_default();
    }
    out
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

/// The headers of every answer of ours in JSON.
const ORDINARY: [&str; 5] = [
    "cache-control: no-store",
    "content-type: application/json",
    "vary: Cookie, Authorization",
    "vary: Origin",
    "x-content-type-options: nosniff",
];

const REFUSED: &str = "refused";
const REST: &str = "...";
const HANG_UP: &str = "hang up";
const CLOSED: &str = "closed";

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Bodies up to this length are shown.
const LONG: usize = 600;

/// The headers that matter to security, beside those of CORS.
const HEADERS: &[&str] = &[
    "allow",
    "cache-control",
    "content-security-policy",
    "content-type",
    "front-token",
    "location",
    "referrer-policy",
    "retry-after",
    "set-cookie",
    "st-access-token",
    "st-refresh-token",
    "vary",
    "www-authenticate",
    "x-content-type-options",
    "x-frame-options",
];

#[cfg(test)]
mod tests;
