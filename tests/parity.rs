//! The same bytes to every demo: the same status, the same JSON, the same headers that matter to security. Never a 5xx, and
//! never a server that is gone.
//!
//! The list of the adapter suite holds for the demos too; beside it stands what the demos have of their own. The answers
//! were read from the demo on Axum, by `STEPUP_BLESS=1`, and looked through: they are not what the demo happens to say, but
//! what it has to.

mod kit;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{env, fs};

use kit::framework::Framework;
use kit::{Client, Mode, PASSWORD, PHONE, Server, form, full, half};
use serde_json::json;
use stepup_testkit::suite::adapter::TRANSCRIPTS;
use stepup_testkit::transcript::{Connection, Transcript};
use tokio::task::JoinSet;

/// The fewest rows that both lists have together.
const ROWS: usize = 150;

const OWN: &str = include_str!("parity/requests.txt");

const ANN: &str = "ann@example.com";

/// A demo with two people: Ann, who has both factors, and Bob, who has one.
struct Scene {
    server: Server,
    ann: Client,
    bob: Client,
}

impl Scene {
    async fn new() -> Self {
        // The list is long, and comes from one address.
        let server = Server::start_with(|settings| settings.throttle_scale = 1_000).await;
        let ann = full(&server, Mode::Header, ANN, PHONE).await;
        let bob = half(&server, Mode::Header, "bob@example.com").await;
        Self { server, ann, bob }
    }

    /// What the names in a list stand for, for one row.
    async fn names(&self, transcript: &Transcript) -> impl Fn(&str) -> Option<String> + use<> {
        let refresh = match transcript.asks_for("refresh") {
            true => {
                let mut client = self.server.client(Mode::Header);
                let signed_in = client.sign_in(ANN).await;
                assert_eq!(signed_in.status_field(), "OK", "{signed_in:?}");
                client.refresh.unwrap()
            }
            false => String::new(),
        };
        let (access, half) = (self.ann.access.clone().unwrap(), self.bob.access.clone().unwrap());
        let ours = format!("http://localhost:{}", self.server.address.port());
        move |name| {
            let value = match name {
                "access" => &access,
                "half" => &half,
                "refresh" => &refresh,
                "secret" => "/api/secret",
                "scope" => "/layered/secret",
                "optional" => "/api/optional",
                "ours" => &ours,
                "password" => PASSWORD,
                _ => return None,
            };
            Some(value.to_owned())
        }
    }

    /// The process lives, and nobody got anything that is not theirs.
    async fn is_unharmed(&self, after: &str) {
        let secret = self.ann.peek("GET", "/api/secret", None, &[]).await;
        assert_eq!(secret.status, 200, "after {after}");
        let refused = self.bob.peek("GET", "/api/secret", None, &[]).await;
        assert_eq!(refused.status, 403, "after {after}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_demo_answers_the_list_alike() {
    let scene = Scene::new().await;
    let mut differences = Vec::new();
    for transcript in Transcript::list(TRANSCRIPTS).iter().chain(&Transcript::list(OWN)) {
        let names = scene.names(transcript).await;
        if let Err(difference) = transcript.play(scene.server.address, names).await {
            differences.push(difference.to_string());
        }
        scene.is_unharmed(&transcript.name).await;
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn the_list_is_long_and_allows_no_5xx() {
    let lists = [Transcript::list(TRANSCRIPTS), Transcript::list(OWN)].concat();
    assert!(lists.len() >= ROWS, "{}", lists.len());
    for transcript in &lists {
        for step in &transcript.steps {
            assert!(
                !step.expected.is_empty(),
                "{}: nothing is expected",
                transcript.name
            );
            let server_error = |line: &&String| line.len() == 3 && line.starts_with('5');
            assert_eq!(
                step.expected.iter().find(server_error),
                None,
                "{}",
                transcript.name
            );
        }
    }
    let mut names: Vec<&str> = lists.iter().map(|transcript| transcript.name.as_str()).collect();
    names.sort_unstable();
    assert!(
        names.windows(2).all(|pair| pair[0] != pair[1]),
        "two rows of one name"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_come_at_once_are_each_answered_as_theirs() {
    let scene = Arc::new(Scene::new().await);
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let scene = scene.clone();
        tasks.spawn(async move {
            for _ in 0..25 {
                let (client, status) = match number % 2 {
                    0 => (&scene.ann, 200),
                    _ => (&scene.bob, 403),
                };
                let answer = client.peek("GET", "/api/secret", None, &[]).await;
                assert_eq!(answer.status, status, "{answer:?}");
                let me = client.peek("GET", "/api/me", None, &[]).await;
                assert_eq!(me.json()["userId"], client.user_id(), "{me:?}");
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_is_under_way_is_answered_though_the_server_is_asked_to_stop() {
    let server = Server::start().await;
    let address = server.address;
    let mut connection = Connection::open(address).await;
    let body = form("dan@example.com", PASSWORD).to_string();
    let (first, rest) = body.split_at(10);
    let head = format!(
        "POST /auth/signup HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nst-auth-mode: header\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    connection.send(head.as_bytes()).await;
    connection.send(first.as_bytes()).await;
    // The server has begun to read it.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stopping = tokio::spawn(server.stop_gracefully());
    tokio::time::sleep(Duration::from_millis(200)).await;
    connection.send(rest.as_bytes()).await;
    let answer = connection.answer("POST").await;
    assert_eq!(
        (answer.status, &answer.json()["status"]),
        (200, &json!("OK")),
        "{answer}"
    );
    assert!(answer.header("st-access-token").is_some(), "{answer}");
    tokio::time::timeout(Duration::from_secs(20), stopping)
        .await
        .expect("it stops")
        .unwrap();
    assert!(
        tokio::net::TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

/// Writes the answers of the demo on Axum into the lists. Look through what it changed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes the lists anew: run it with STEPUP_BLESS=1"]
async fn bless() {
    assert!(env::var_os("STEPUP_BLESS").is_some(), "STEPUP_BLESS is not set");
    assert_eq!(Framework::chosen(), Framework::Axum);
    let scene = Scene::new().await;
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    for file in [
        "../crates/stepup-testkit/src/suite/adapter/transcripts.txt",
        "parity/requests.txt",
    ] {
        let text = fs::read_to_string(root.join(file)).unwrap();
        let mut came = Vec::new();
        for transcript in Transcript::list(&text) {
            let names = scene.names(&transcript).await;
            came.extend(transcript.came(scene.server.address, names).await);
        }
        fs::write(root.join(file), recorded(&text, came)).unwrap();
    }
}

/// The list with these answers, a step after the other. What says less than everything was written so by hand, and stays.
fn recorded(text: &str, came: Vec<Vec<String>>) -> String {
    let mut came = came.into_iter();
    let mut written = Vec::new();
    let mut lines = text.lines().map(str::to_owned).peekable();
    while let Some(line) = lines.next() {
        let sent = line.starts_with('>');
        written.push(line);
        if !sent || lines.peek().is_some_and(|next| next.starts_with('>')) {
            continue;
        }
        let mut kept = Vec::new();
        while let Some(line) = lines.next_if(|next| next.starts_with('<')) {
            kept.push(line);
        }
        let now = came.next().unwrap();
        let by_hand = kept.last().is_some_and(|last| BY_HAND.contains(&last.as_str()));
        match by_hand {
            true => written.extend(kept),
            false => written.extend(now.into_iter().map(|line| format!("< {line}"))),
        }
    }
    written.join("\n") + "\n"
}

const BY_HAND: [&str; 3] = ["< refused", "< hang up", "< ..."];
