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

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use demo_common::Settings;
use kit::framework::Framework;
use kit::provider::{EXAMPLE, by_provider};
use kit::{Client, Mode, PASSWORD, PHONE, Server, form, full, half};
use serde_json::json;
use stepup::Builder;
use stepup::config::EmailVerification;
use stepup_core::factor::third_party::ThirdParty;
use stepup_testkit::provider::{FakeProvider, Somebody};
use stepup_testkit::suite::adapter::TRANSCRIPTS;
use stepup_testkit::transcript::{Connection, Transcript};
use tokio::task::JoinSet;

/// The fewest rows that all lists have together.
const ROWS: usize = 400;

/// The lists of this folder.
const OWN: [(&str, &str); 10] = [
    ("requests", include_str!("parity/requests.txt")),
    ("reset-link", include_str!("parity/reset-link.txt")),
    ("reset", include_str!("parity/reset.txt")),
    ("change", include_str!("parity/change.txt")),
    ("contact", include_str!("parity/contact.txt")),
    ("verify", include_str!("parity/verify.txt")),
    ("undo", include_str!("parity/undo.txt")),
    ("provider-url", include_str!("parity/provider-url.txt")),
    ("provider-back", include_str!("parity/provider-back.txt")),
    ("provider-form", include_str!("parity/provider-form.txt")),
];

const ANN: &str = "ann@example.com";

/// A demo with two people: Ann, who has both factors, and Bob, who has one. Two providers sign in there, addresses are
/// verified, and a second tenant has nobody.
struct Scene {
    server: Server,
    provider: FakeProvider,
    ann: Client,
    bob: Client,
}

impl Scene {
    async fn new() -> Self {
        // The list is long, and comes from one address.
        let change = |settings: &mut Settings| {
            settings.throttle_scale = 1_000;
            settings.email_verification = EmailVerification::Optional;
            settings.tenants = vec!["acme".to_owned()];
        };
        let provider = FakeProvider::new(EXAMPLE);
        let signs_in = provider.clone();
        let add = move |builder: Builder| {
            let apple = FakeProvider::new("apple");
            builder.factor(ThirdParty::new().provider(signs_in.clone()).provider(apple))
        };
        let server = Server::start_both(change, add).await;
        let ann = full(&server, Mode::Header, ANN, PHONE).await;
        let bob = half(&server, Mode::Header, "bob@example.com").await;
        Self {
            server,
            provider,
            ann,
            bob,
        }
    }

    /// The token of a link that sets somebody a new password.
    async fn reset(&self) -> String {
        let email = self.new_address().await;
        let mut client = half(&self.server, Mode::Header, &email).await;
        let body = json!({ "formFields": [{ "id": "email", "value": email }] });
        let asked = client.post("/auth/user/password/reset/token", body).await;
        assert_eq!(asked.status_field(), "OK", "{asked:?}");
        self.last_token(&email).await
    }

    /// The token of a link that verifies somebody's address.
    async fn verify(&self) -> String {
        let email = self.new_address().await;
        let mut client = half(&self.server, Mode::Header, &email).await;
        let asked = client.post("/auth/user/email/verify/token", json!({})).await;
        assert_eq!(asked.status_field(), "OK", "{asked:?}");
        self.last_token(&email).await
    }

    /// The token of a link that undoes a first second factor: of somebody whose address a provider vouched for.
    async fn undo(&self) -> String {
        let email = self.new_address().await;
        let mut client = self.server.client(Mode::Header);
        let somebody = Somebody::new(email.clone(), email.clone());
        let came = by_provider(&self.server, &self.provider, &mut client, &somebody).await;
        assert_eq!(came.status_field(), "OK", "{came:?}");
        client.complete(&self.server, PHONE).await;
        // The notice is on its way.
        self.server.dump().await;
        self.last_token(&email).await
    }

    /// An address that nobody has yet.
    async fn new_address(&self) -> String {
        format!("{}@example.com", self.server.sent().await.len())
    }

    async fn last_token(&self, to: &str) -> String {
        let sent = self.server.sent().await;
        let link = sent.iter().rev().find(|message| message.to == to);
        let link = link.and_then(|message| message.link.clone()).expect("a link");
        let (_, rest) = link.split_once("token=").expect("a token");
        rest.split('&').next().unwrap_or_default().to_owned()
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
        let (mut reset, mut verify, mut undo) = (String::new(), String::new(), String::new());
        if transcript.asks_for("reset") {
            reset = self.reset().await;
        }
        if transcript.asks_for("verify") {
            verify = self.verify().await;
        }
        if transcript.asks_for("undo") {
            undo = self.undo().await;
        }
        let (access, half) = (self.ann.access.clone().unwrap(), self.bob.access.clone().unwrap());
        let ours = format!("http://localhost:{}", self.server.address.port());
        // What Apple's page sends back: where the client wants its browser.
        let state = json!({ "frontendRedirectURI": format!("{ours}/auth/callback/apple") }).to_string();
        let apple = STANDARD.encode(state).replace('+', "%2B").replace('=', "%3D");
        move |name| {
            let value = match name {
                "access" => &access,
                "half" => &half,
                "refresh" => &refresh,
                "secret" => "/api/secret",
                "scope" => "/layered/secret",
                "optional" => "/api/optional",
                "ours" => &ours,
                "reset" => &reset,
                "verify" => &verify,
                "undo" => &undo,
                "apple" => &apple,
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

/// All rows of all lists.
fn lists() -> Vec<Transcript> {
    let own = OWN.iter().map(|(_, text)| *text);
    let texts = std::iter::once(TRANSCRIPTS).chain(own);
    texts.flat_map(Transcript::list).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_demo_answers_the_list_alike() {
    let scene = Scene::new().await;
    let mut differences = Vec::new();
    for transcript in &lists() {
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
    let lists = lists();
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
    let theirs = "../crates/stepup-testkit/src/suite/adapter/transcripts.txt".to_owned();
    let own = OWN.map(|(name, _)| format!("parity/{name}.txt"));
    for file in std::iter::once(theirs).chain(own) {
        let text = fs::read_to_string(root.join(&file)).unwrap();
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
