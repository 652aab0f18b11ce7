//! What a person waits for: a sign-in beside the password's hash alone, a code's request beside a provider's pace, and a
//! thousand messages that wait for it.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use axum::Router;
use stats_alloc::Region;
use stepup::delivery::Outbox;
use stepup::session::keys::SigningAlgorithm;
use stepup::wire::core::delivery::{Channel, Deliver, DeliveryError, Message};
use stepup::wire::core::digest::{HashParams, PasswordHasher, Verdict};
use stepup::wire::core::entropy::OsEntropy;
use stepup::wire::core::offload::{Pool, PoolConfig};
use stepup::wire::core::password::Password as Typed;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::client::Client;
use crate::serve::{app, sqlite};
use crate::site::Site;
use crate::table::{Goal, at, figure, judged, median, ratio, show};
use crate::{COUNTED, Effort};

/// Measures and prints.
pub fn run(effort: Effort) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    sign_in(&runtime, effort);
    // Before sites that are dropped with messages still waiting: what those give back is no part of what is held.
    drain(&runtime, effort);
    code(&runtime, effort);
}

const PASSWORD: &str = "correct horse battery";
const FORM: &str = r#"{"formFields":[{"id":"email","value":"ann@example.com"},{"id":"password","value":"correct horse battery"}]}"#;

/// A sign-in over HTTP on a kept connection, SQLite in a file, and the same hash by the same pool and nothing else.
fn sign_in(runtime: &Runtime, effort: Effort) {
    let served = Served::new(runtime, Outbox::new());
    let mut client = Client::connect(&served.address);
    let (status, _) = client.post("/auth/signup", &[], FORM);
    assert_eq!(status, 200);
    let pool = Pool::start(PoolConfig::default()).expect("threads");
    let hasher =
        PasswordHasher::new(HashParams::default(), Arc::new(OsEntropy), Arc::new(pool)).expect("randomness");
    let typed = Typed::parse(PASSWORD).expect("a password");
    let stored = runtime.block_on(hasher.hash(&typed)).expect("a hash");

    // What the disk takes for a write that has to last, of which a sign-in has several.
    let mut file = tempfile::tempfile_in(".").expect("a file on a disk");
    let mut write = || {
        let began = Instant::now();
        file.write_all(&[0; 4096])
            .and_then(|()| file.sync_data())
            .expect("a disk");
        milliseconds(began)
    };

    let (mut hashes, mut sign_ins, mut more) = (Vec::new(), Vec::new(), Vec::new());
    let mut writes = Vec::new();
    for n in 0..samples(effort) {
        let began = Instant::now();
        let verdict = runtime
            .block_on(hasher.verify(stored.expose(), &typed))
            .expect("is judged");
        let hash = milliseconds(began);
        assert!(matches!(verdict, Verdict::Right { .. }));
        let began = Instant::now();
        let (status, body) = client.post("/auth/signin", &[], FORM);
        let sign_in = milliseconds(began);
        assert!(
            status == 200 && body.contains(r#""status":"OK""#),
            "{status} {body}"
        );
        // The first ones of all meet caches that are empty.
        if n > 10 {
            hashes.push(hash);
            sign_ins.push(sign_in);
            more.push(sign_in - hash);
            writes.push(write());
        }
    }
    let row = |name: &str, times: &mut [f64]| {
        vec![
            name.to_owned(),
            figure(at(times, 0.0)),
            figure(median(times)),
            figure(at(times, 0.95)),
        ]
    };
    show(
        "A sign-in with SQLite, over HTTP",
        &["", "quickest ms", "p50 ms", "p95 ms"],
        &[
            row("the password's hash alone", &mut hashes),
            row("the whole sign-in", &mut sign_ins),
            row("one after the other: what is added", &mut more),
            row("one write to this disk that lasts", &mut writes),
        ],
    );
    println!(
        "\nAdded to the hash, median: {}",
        judged(median(&mut more), " ms", Goal::AtMost(2.0))
    );
}

/// How long the answer to "send me a code" takes, by a provider that is done at once and by one that takes five seconds.
fn code(runtime: &Runtime, effort: Effort) {
    let sites = [
        Served::new(runtime, Outbox::new()),
        Served::new(runtime, Slow::taking(Duration::from_secs(5))),
    ];
    let mut askers: Vec<_> = sites.iter().map(|site| Asker::new(&site.address)).collect();
    let mut times = [Vec::new(), Vec::new()];
    // Fewer than there is room for behind a provider that is slow.
    for n in 0..samples(effort).min(800) {
        // Each goes first every other time.
        for turn in [n % 2, (n + 1) % 2] {
            let began = Instant::now();
            askers[turn].ask();
            if n > 10 {
                times[turn].push(milliseconds(began));
            }
        }
    }
    let [mut quick, mut slow] = times;
    let row = |name: &str, times: &mut [f64]| {
        vec![
            name.to_owned(),
            figure(at(times, 0.0)),
            figure(median(times)),
            figure(at(times, 0.95)),
        ]
    };
    show(
        "A code is asked for, SQLite, over HTTP",
        &["the provider", "quickest ms", "p50 ms", "p95 ms"],
        &[row("is done at once", &mut quick), row("takes 5 s", &mut slow)],
    );
    println!(
        "\nSlow provider ÷ quick one, medians: {}",
        ratio(median(&mut slow) / median(&mut quick), Goal::AtMost(1.05))
    );
}

/// How long it takes until a thousand messages that were asked for at once have all been handed over, and what they hold.
fn drain(runtime: &Runtime, effort: Effort) {
    let provider = Slow::taking(Duration::from_millis(if effort.rounds > 1 { 400 } else { 100 }));
    let site = Served::new(runtime, provider.clone());
    let mut asker = Asker::new(&site.address);
    // What is made once.
    asker.ask();
    provider.wait(1);

    let region = Region::new(COUNTED);
    let held = || {
        let change = region.change();
        (change.bytes_allocated as f64 - change.bytes_deallocated as f64).max(0.0) / MESSAGES as f64
    };
    let began = Instant::now();
    (0..MESSAGES).for_each(|_| asker.ask());
    let (asked, waiting) = (milliseconds(began), held());
    let sent_meanwhile = provider.sent() - 1;
    provider.wait(1 + MESSAGES);
    let (drained, left) = (milliseconds(began), held());

    let pace = MESSAGES as f64 / LANES as f64 * provider.takes.as_secs_f64() * 1e3;
    let row = |what: &str, figure: String| vec![what.to_owned(), figure];
    show(
        "A thousand messages at once, SQLite, over HTTP",
        &["", ""],
        &[
            row(
                "the provider takes",
                format!(
                    "{} ms, {LANES} at once",
                    figure(provider.takes.as_secs_f64() * 1e3)
                ),
            ),
            row("all were asked for after", format!("{} ms", figure(asked))),
            row("handed over by then", sent_meanwhile.to_string()),
            row("all were handed over after", format!("{} ms", figure(drained))),
            row(
                "held by each while they waited",
                format!("{} bytes", figure(waiting)),
            ),
            row("held by each afterwards", format!("{} bytes", figure(left))),
        ],
    );
    println!(
        "\nAll handed over ÷ the provider's pace: {}",
        ratio(drained / pace, Goal::AtMost(1.1))
    );
}

const MESSAGES: usize = 1_000;
/// As many as the background hands over side by side.
const LANES: usize = 32;

fn samples(effort: Effort) -> usize {
    (60 * effort.rounds * effort.seconds as usize).max(60)
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// A site that listens.
struct Served {
    address: String,
    _site: Site,
    _folder: TempDir,
}

impl Served {
    fn new(runtime: &Runtime, carrier: impl Deliver) -> Self {
        // Not in memory, as a temporary folder may be.
        let folder = tempfile::tempdir_in(".").expect("a folder on a disk");
        let (site, address) = runtime.block_on(async {
            let store = sqlite(folder.path()).await;
            let site = Site::carried_by(carrier, store, SigningAlgorithm::Es256, |builder| builder).await;
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address").to_string();
            let app: Router = app("accounts", &site.stepup);
            tokio::spawn(async move { axum::serve(listener, app).await });
            (site, address)
        });
        Self {
            address,
            _site: site,
            _folder: folder,
        }
    }
}

/// Somebody with a first factor, who asks for codes.
struct Asker {
    client: Client,
    token: String,
}

impl Asker {
    fn new(address: &str) -> Self {
        let mut client = Client::connect(address);
        let (_, answer) = client.post("/auth/signup", &["st-auth-mode: header"], FORM);
        let token = answer
            .lines()
            .find_map(|line| line.strip_prefix("st-access-token: "))
            .expect("a token")
            .to_owned();
        Self { client, token }
    }

    fn ask(&mut self) {
        let bearer = format!("authorization: Bearer {}", self.token);
        let (status, answer) = self.client.post(
            "/auth/signinup/code",
            &[&bearer],
            r#"{"phoneNumber":"+41791234567"}"#,
        );
        assert!(
            status == 200 && answer.contains(r#""status":"OK""#),
            "{status} {answer}"
        );
    }
}

/// A provider that takes its time. Clones count together.
#[derive(Clone, Debug)]
struct Slow {
    takes: Duration,
    sent: Arc<AtomicUsize>,
}

impl Slow {
    fn taking(takes: Duration) -> Self {
        Self {
            takes,
            sent: Arc::default(),
        }
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    fn wait(&self, sent: usize) {
        while self.sent() < sent {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[async_trait]
impl Deliver for Slow {
    fn carries(&self, channel: Channel) -> bool {
        channel == Channel::Sms
    }

    async fn deliver(&self, _: &Message) -> Result<(), DeliveryError> {
        tokio::time::sleep(self.takes).await;
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
