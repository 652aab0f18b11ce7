//! Attacks on what a server has of everything: connections, memory, time.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use demo_axum::serve::{Bounds, serve};
use serde_json::{Value, json};
use stepup::storage::memory::MemoryStore;
use stepup_core::offload::{Job, Offload, OffloadError, Pool, PoolConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Barrier, Semaphore};
use tokio::task::JoinHandle;

use super::database;
use super::own::Own;
use crate::kit::framework::only_on_axum;
use crate::kit::{Client, MODES, Mode, PASSWORD, PHONE, Server, answer, form, full, half};

const SHORT: Duration = Duration::from_millis(300);
/// Far more than any deadline here: who has to wait for so long waits in vain.
const LONG: Duration = Duration::from_secs(20);

/// The demo behind the hardened server, with short deadlines.
struct Hardened {
    address: SocketAddr,
    // Its database and its background live here.
    _server: Server,
    serving: JoinHandle<()>,
}

impl Hardened {
    async fn start(connections: usize) -> Self {
        // The deadlines are those of the demo's own server on Axum; the others bring theirs.
        only_on_axum();
        let server = Server::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = demo_axum::app_within(server.site.clone(), SHORT);
        let bounds = Bounds {
            head: SHORT,
            answer: SHORT,
            connections,
            ..Bounds::default()
        };
        let serving = tokio::spawn(async move {
            serve(listener, app, bounds, std::future::pending())
                .await
                .unwrap();
        });
        Self {
            address,
            _server: server,
            serving,
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

impl Drop for Hardened {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// All that the server still says before it hangs up. Bytes are dripped until then.
async fn until_closed(mut stream: TcpStream, drip: &[u8]) -> String {
    let mut said = Vec::new();
    let mut buffer = [0; 1024];
    tokio::time::timeout(LONG, async {
        loop {
            tokio::select! {
                read = stream.read(&mut buffer) => match read {
                    Ok(0) | Err(_) => break,
                    Ok(n) => said.extend_from_slice(&buffer[..n]),
                },
                () = tokio::time::sleep(SHORT / 4) => {
                    // Hung up upon is what is wanted.
                    let _ = stream.write_all(drip).await;
                }
            }
        }
    })
    .await
    .expect("the server hangs up");
    String::from_utf8_lossy(&said).into_owned()
}

#[tokio::test]
async fn a_res_05_whoever_drips_a_head_is_hung_up_on() {
    let hardened = Hardened::start(64).await;
    let mut stream = hardened.connect().await;
    stream
        .write_all(b"POST /auth/signin HTTP/1.1\r\nhost: localhost\r\n")
        .await
        .unwrap();
    let said = until_closed(stream, b"x-a: b\r\n").await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408"), "{said}");
}

#[tokio::test]
async fn a_res_05_whoever_drips_a_body_is_told_and_hung_up_on() {
    let hardened = Hardened::start(64).await;
    let mut stream = hardened.connect().await;
    stream
        .write_all(
            b"POST /auth/signin HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9000\r\n\r\n{",
        )
        .await
        .unwrap();
    let said = until_closed(stream, b" ").await;
    assert!(said.starts_with("HTTP/1.1 408"), "{said}");
    assert!(
        said.contains(r#"{"message":"the request took too long"}"#),
        "{said}"
    );
}

#[tokio::test]
async fn a_res_05_idle_connections_make_room_for_others() {
    let hardened = Hardened::start(8).await;
    let mut idle = Vec::new();
    for _ in 0..100 {
        idle.push(hardened.connect().await);
    }
    // Behind a hundred silent ones; each of them is closed in its turn.
    let mut stream = hardened.connect().await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LONG, stream.read_to_string(&mut answer))
        .await
        .expect("an answer")
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_res_05_whoever_does_not_take_the_answers_is_hung_up_on() {
    let hardened = Hardened::start(1).await;
    let mut deaf = hardened.connect().await;
    let requests = b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(64);
    // Until the server can write no more, and therefore reads no more.
    while let Ok(Ok(())) = tokio::time::timeout(SHORT, deaf.write_all(&requests)).await {}
    // There is room for one connection, so this one is served when that one has gone.
    let mut stream = hardened.connect().await;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    tokio::time::timeout(LONG, stream.read_to_string(&mut answer))
        .await
        .expect("an answer")
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[tokio::test]
async fn a_res_05_an_ordinary_client_notices_nothing_of_it() {
    let hardened = Hardened::start(64).await;
    let mut ann = Client::at(hardened.address, Mode::Cookie);
    let answer = ann.sign_up("ann@example.com").await;
    assert_eq!(answer.status_field(), "OK");
}

/// A body of this text, to an endpoint that reads JSON.
async fn status_of(server: &Server, body: &str) -> (u16, String) {
    let head = format!(
        "POST /auth/signin HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    let response = server.raw(&[head.as_bytes(), body.as_bytes()].concat()).await;
    (response.status, response.message())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_02_what_is_deep_or_wide_is_refused_before_it_is_built() {
    let server = Server::start().await;
    let fields = form("alice@example.com", PASSWORD)["formFields"].to_string();
    let with = |more: &str| format!("{{\"formFields\":{fields},\"x\":{more}}}");
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let keyed = |count: usize| {
        let keys: Vec<String> = (0..count).map(|n| format!("\"{n}\":0")).collect();
        format!("{{{}}}", keys.join(","))
    };
    // The object itself is the first level.
    assert_eq!(status_of(&server, &with(&nested(15))).await.0, 200);
    for deep in [16, 100, 7_000] {
        assert_eq!(
            status_of(&server, &with(&nested(deep))).await.0,
            400,
            "{deep} levels"
        );
        assert_eq!(
            status_of(&server, &"[".repeat(deep)).await.0,
            400,
            "{deep} levels, open"
        );
        let objects = format!("{}1", "{\"a\":".repeat(deep.min(2_000)));
        assert_eq!(status_of(&server, &objects).await.0, 400, "{deep} objects");
    }
    for wide in [300, 1_500] {
        assert_eq!(
            status_of(&server, &with(&keyed(wide))).await.0,
            400,
            "{wide} keys"
        );
        let list = format!("[{}0]", "0,".repeat(wide));
        assert_eq!(status_of(&server, &with(&list)).await.0, 400, "{wide} elements");
    }
    // More than that is not even read.
    for long in [
        "[".repeat(100_000),
        keyed(100_000),
        format!("[{}0]", "0,".repeat(1_000_000)),
    ] {
        assert_eq!(status_of(&server, &long).await.0, 413);
    }
    assert_eq!(status_of(&server, &with("1")).await.0, 200);
}

/// A pool of one thread that works when the test lets it.
#[derive(Debug)]
struct Held {
    pool: Pool,
    open: Arc<Semaphore>,
}

#[async_trait]
impl Offload for Held {
    async fn run(&self, job: Job) -> Result<(), OffloadError> {
        let (open, work) = (self.open.clone(), job.work);
        let held = move || {
            // Held on the thread of the pool, as a slow hash would hold it.
            while open.try_acquire().map(|permit| permit.forget()).is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
            work();
        };
        self.pool
            .run(Job {
                work: Box::new(held),
                ..job
            })
            .await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_03_a_flood_of_passwords_is_bounded_and_holds_up_nothing_else() {
    let open = Arc::new(Semaphore::new(1_000));
    let mut config = PoolConfig::default();
    (config.threads, config.queue) = (1, 8);
    let held = Held {
        pool: Pool::start(config).unwrap(),
        open: open.clone(),
    };
    let site = Own::start_with(MemoryStore::new(), |builder| {
        builder
            .offload(held)
            .configure(|config| config.limits.scale = 1_000)
    })
    .await;
    let mut alice = site.client(Mode::Header);
    assert_eq!(alice.sign_up("alice@example.com").await.status_field(), "OK");
    open.forget_permits(1_000);
    let began = Instant::now();
    let flood: Vec<_> = (0..100)
        .map(|n| {
            let client = site.client(Mode::Cookie);
            let body = form(&format!("nobody{n}@example.com"), PASSWORD);
            tokio::spawn(async move { client.peek("POST", "/auth/signin", Some(&body), &[]).await })
        })
        .collect();
    // One runs and eight wait; all others are told at once, and those that wait are told after two seconds.
    for _ in 0..5 {
        assert_eq!(alice.refresh().await.status, 200);
        assert_eq!(alice.get("/any").await.status, 200);
    }
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    let (mut refused, mut done) = (0, 0);
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    open.add_permits(1_000);
    for task in flood {
        let answer = task.await.unwrap();
        match (answer.status, answer.status_field().as_str()) {
            (503, _) | (200, "GENERAL_ERROR") => refused += 1,
            (200, "WRONG_CREDENTIALS_ERROR") => done += 1,
            _ => panic!("{answer:?}"),
        }
    }
    assert!(refused >= 91 && done <= 9, "{refused} {done}");
    assert_eq!(alice.sign_in("alice@example.com").await.status_field(), "OK");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_04_a_password_or_a_code_of_any_length_costs_no_hash() {
    let server = Server::start().await;
    let mut alice = half(&server, Mode::Header, "alice@example.com").await;
    let created = alice.create_code(PHONE).await.json();
    let long = "p".repeat(2_000);
    for path in ["/auth/signup", "/auth/signin"] {
        let refused = alice
            .peek("POST", path, Some(&form("new@example.com", &long)), &[])
            .await;
        assert_ne!(refused.status_field(), "OK", "{path}");
    }
    let wrong = alice
        .peek(
            "POST",
            "/auth/signinup/code/consume",
            Some(&answer(&created, &long)),
            &[],
        )
        .await;
    assert_ne!(wrong.status_field(), "OK");
    for path in ["/auth/signup", "/auth/signin", "/auth/signinup/code/consume"] {
        let megabyte = json!({ "x": "p".repeat(1 << 20) });
        assert_eq!(
            alice.peek("POST", path, Some(&megabyte), &[]).await.status,
            413,
            "{path}"
        );
    }
}

#[test]
fn a_res_06_a_server_of_http_2_is_none_that_rapid_resets_wear_out() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    // RUSTSEC-2024-0003, 2024-0332, 2026-0258: the versions that bound what one connection may reset and continue.
    for (at, _) in lock.match_indices("name = \"h2\"") {
        let version = lock[at..]
            .split("version = \"")
            .nth(1)
            .unwrap()
            .split('"')
            .next()
            .unwrap();
        let parts: Vec<u32> = version.split('.').map(|part| part.parse().unwrap()).collect();
        assert!(parts[..] >= [0, 4, 16][..], "h2 {version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_07_more_requests_than_connections_are_told_and_none_hangs() {
    let server = Server::start_with(|settings| settings.throttle_scale = 1_000).await;
    let mut alice = full(&server, Mode::Header, "alice@example.com", PHONE).await;
    let mut other = database::open(&server.database()).await;
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
    let barrier = Arc::new(Barrier::new(120));
    let tasks: Vec<_> = (0..120)
        .map(|n| {
            let (client, barrier) = (alice.clone(), barrier.clone());
            tokio::spawn(async move {
                barrier.wait().await;
                let began = Instant::now();
                let (method, path, body) = match n % 3 {
                    0 => ("POST", "/auth/signin", Some(form("nobody@example.com", PASSWORD))),
                    1 => ("POST", "/auth/session/refresh", None),
                    _ => (
                        "POST",
                        "/auth/signinup/code",
                        Some(json!({ "phoneNumber": PHONE })),
                    ),
                };
                let answer = client.peek(method, path, body.as_ref(), &[]).await;
                (answer, began.elapsed())
            })
        })
        .collect();
    for task in tasks {
        let (answer, took) = task.await.unwrap();
        assert_eq!(answer.status, 503, "{answer:?}");
        assert!(took < Duration::from_secs(15), "{took:?}");
    }
    sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
    assert_eq!(alice.refresh().await.status, 200);
    alice.complete(&server, PHONE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_08_whoever_hangs_up_in_the_middle_leaves_nothing_behind() {
    let server = Server::start_with(|settings| settings.throttle_scale = 10_000).await;
    let mut alice = half(&server, Mode::Header, "alice@example.com").await;
    let created = alice.create_code(PHONE).await.json();
    let code = server.code().await;
    let bearer = alice.access.clone().unwrap();
    let request = |path: &str, body: &Value| {
        let body = body.to_string();
        format!(
            "POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {bearer}\r\nst-auth-mode: header\r\n\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let requests = [
        request("/auth/signup", &form("left@example.com", PASSWORD)),
        request("/auth/signin", &form("alice@example.com", PASSWORD)),
        request("/auth/signinup/code", &json!({ "phoneNumber": PHONE })),
        request("/auth/signinup/code/consume", &answer(&created, "000000")),
    ];
    let mut tasks = Vec::new();
    for n in 0..200_u64 {
        let (address, bytes) = (server.address, requests[n as usize % requests.len()].clone());
        tasks.push(tokio::spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            // Within the head, within the body, and at some point of the work.
            let cut = if n % 5 == 0 {
                bytes.len() * (n as usize % 11) / 11
            } else {
                bytes.len()
            };
            let _ = stream.write_all(&bytes.as_bytes()[..cut]).await;
            tokio::time::sleep(Duration::from_micros(n * 97 % 20_000)).await;
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    // Nobody's transaction is open, and no lock is held: all of this goes at once.
    let began = Instant::now();
    let mut bob = full(&server, Mode::Header, "bob@example.com", PHONE).await;
    assert_eq!(bob.refresh().await.status, 200);
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // Whole or not at all: a user has a credential and a way to sign in.
    let halves = server
        .number(
            "SELECT count(*) FROM stepup_user u WHERE NOT EXISTS (SELECT 1 FROM stepup_credential c \
             WHERE c.user_id = u.id) OR NOT EXISTS (SELECT 1 FROM stepup_identifier i WHERE i.user_id = u.id)",
        )
        .await;
    assert_eq!(halves, 0);
    // Her code was guessed at by those who left; it is used up or right, and nothing else.
    let consumed = alice.consume(&created, &code).await.status_field();
    assert!(
        ["OK", "RESTART_FLOW_ERROR"].contains(&consumed.as_str()),
        "{consumed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_09_what_nobody_finished_is_bounded_and_goes_by_itself() {
    let server = Server::start().await;
    let count = async |table: &str| {
        database::count(
            &server.database(),
            &format!("SELECT count(*) FROM stepup_{table}"),
        )
        .await
    };
    // Half-logins and challenges, as many as the throttles let anybody make.
    let mut alice = half(&server, Mode::Cookie, "alice@example.com").await;
    for n in 0..60 {
        let mut client = server.client(Mode::Cookie);
        client.sign_in("alice@example.com").await;
        client.create_code(PHONE).await;
        if n % 10 == 0 {
            server.moved(60).await;
        }
    }
    assert!(count("challenge").await <= 10, "an account's codes of a day");
    assert!(count("session").await <= 31 * 6);
    alice.sign_out().await;
    // A half-login is over in a quarter of an hour; its row stays a while, so that theft is told from age.
    for _ in 0..9 {
        server.moved(24 * 3_600).await;
    }
    for table in ["challenge", "session"] {
        assert_eq!(count(table).await, 0, "{table}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_res_11_no_request_and_no_panic_ends_the_process_or_poisons_a_lock() {
    for mode in MODES {
        let site = Own::start(MemoryStore::new()).await;
        let (mut alice, created, code) = site.asked(mode, "alice@example.com", PHONE).await;
        // A rule of the application's own that panics, many times and at once.
        let panics: Vec<_> = (0..20)
            .map(|_| {
                let client = alice.clone();
                tokio::spawn(async move { client.peek("GET", "/panics", None, &[]).await })
            })
            .collect();
        for task in panics {
            let answer = task.await.unwrap();
            assert!(answer.status == 0 || answer.status >= 400, "{answer:?}");
        }
        assert_eq!(alice.consume(&created, &code).await.status_field(), "OK");
        assert_eq!(alice.get("/secret").await.status, 200);
        assert_eq!(alice.refresh().await.status, 200);
    }
    // Bytes that are no request, and requests that are made of odd parts.
    let server = Server::start().await;
    let mut seed: u64 = 11;
    let mut next = |bound: usize| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize % bound
    };
    let heads: [&[u8]; 8] = [
        b"POST /auth/signin HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n",
        b"POST /auth/session/refresh HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n",
        b"GET /api/secret HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n",
        b"PUT /auth/mfa/info HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n",
        b"POST /auth/signinup/code/consume HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n",
        b"GET /auth/emailpassword/email/exists?email=%ff HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n",
        b"\x16\x03\x01\x00\xff",
        b"",
    ];
    let names = [
        "cookie",
        "authorization",
        "origin",
        "content-type",
        "rid",
        "st-auth-mode",
        "x-forwarded-for",
        "upgrade",
    ];
    let atoms: [&[u8]; 12] = [
        b"sAccessToken=",
        b"Bearer ",
        b"eyJ",
        b".",
        b";",
        b"\"",
        b"\xff",
        b"application/json",
        b"{\"formFields\":",
        b"[",
        b"\x01",
        b"null",
    ];
    for _ in 0..300 {
        let mut bytes = heads[next(heads.len())].to_vec();
        for _ in 0..next(5) {
            bytes.extend_from_slice(names[next(names.len())].as_bytes());
            bytes.extend_from_slice(b": ");
            for _ in 0..next(8) {
                bytes.extend_from_slice(atoms[next(atoms.len())]);
            }
            bytes.extend_from_slice(b"\r\n");
        }
        let mut body = Vec::new();
        for _ in 0..next(12) {
            body.extend_from_slice(atoms[next(atoms.len())]);
        }
        bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
        bytes.extend_from_slice(&body);
        let answer = server.raw(&bytes).await;
        assert!(
            answer.status < 500,
            "{}: {answer:?}",
            String::from_utf8_lossy(&bytes)
        );
    }
    let mut bob = full(&server, Mode::Header, "bob@example.com", PHONE).await;
    assert_eq!(bob.get("/api/secret").await.status, 200);
}
