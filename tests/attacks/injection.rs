//! Text that is meant to be read as something else: as SQL, as a header, as markup, as another address, as a log line.

use std::fmt::Write as _;
use std::io;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use stepup::storage::memory::MemoryStore;
use stepup::wire::core::event::{Event, EventSink, TracingSink};
use stepup::wire::core::record::JsonMap;
use stepup::{FactorId, TenantId, UserId};
use tracing_subscriber::fmt::MakeWriter;

use super::database::{self, Still};
use super::own::{Own, login};
use crate::kit::{Client, Mode, PASSWORD, PHONE, Response, Server, form, full, half, returning};

const ALICE: &str = "alice@example.com";
const SQL: [&str; 8] = [
    "' OR '1'='1",
    "' OR 1=1--",
    "'; DROP TABLE stepup_user;--",
    "\" OR \"\"=\"",
    "x') UNION SELECT key_id, sealed FROM stepup_signing_key--",
    "\\'; DELETE FROM stepup_session;#",
    "%' AND randomblob(100000000) --",
    "?1 $1 :id @id",
];

async fn sign_up(server: &Server, email: &str) -> Response {
    server
        .client(Mode::Header)
        .post("/auth/signup", form(email, PASSWORD))
        .await
}

async fn exists(server: &Server, email: &str) -> Value {
    let text: String = email.bytes().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "%{byte:02x}");
        text
    });
    let path = format!("/auth/emailpassword/email/exists?email={text}");
    let answer = server.client(Mode::Header).peek("GET", &path, None, &[]).await;
    answer.json()["exists"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_01_statements_in_any_field_are_text() {
    let server = Server::start_with(|settings| {
        settings.first_factors.push(FactorId::OTP_EMAIL);
        settings.throttle_scale = 1_000;
    })
    .await;
    full(&server, Mode::Header, ALICE, PHONE).await.sign_out().await;
    let waiting = {
        let mut client = server.client(Mode::Header);
        client.sign_in(ALICE).await;
        client
    };
    let mut complete = server.client(Mode::Header);
    complete.sign_in(ALICE).await;
    complete.complete(&server, PHONE).await;
    let still = Still::of(&server).await;
    for sql in SQL {
        let pair = json!({ "deviceId": sql, "preAuthSessionId": sql });
        let answer = json!({ "deviceId": sql, "preAuthSessionId": sql, "userInputCode": sql });
        let link = json!({ "preAuthSessionId": sql, "linkCode": sql });
        for (client, path, body) in [
            (&waiting, "/auth/signup", form(sql, PASSWORD)),
            (&waiting, "/auth/signin", form(sql, PASSWORD)),
            (&waiting, "/auth/signin", form(ALICE, sql)),
            (&waiting, "/auth/signinup/code", json!({ "phoneNumber": sql })),
            (&waiting, "/auth/signinup/code", json!({ "email": sql })),
            (&waiting, "/auth/signinup/code/resend", pair),
            (&waiting, "/auth/signinup/code/consume", answer),
            (&waiting, "/auth/signinup/code/consume", link),
            (&complete, "/auth/session/revoke", json!({ "sessionHandle": sql })),
        ] {
            let got = client.peek("POST", path, Some(&body), &[]).await;
            assert!(got.status < 500, "{path} {sql}: {got:?}");
            assert_ne!(got.status_field(), "OK", "{path} {sql}: {got:?}");
        }
        assert_ne!(exists(&server, sql).await, true, "{sql}");
        // In headers, cookies and the tenant of the path.
        let encoded = sql
            .replace('%', "%25")
            .replace(' ', "%20")
            .replace('#', "%23")
            .replace('"', "%22");
        let tenant = format!("/auth/{encoded}/signin");
        let nobody = server.client(Mode::Header);
        let refused = nobody
            .peek("POST", &tenant, Some(&form(ALICE, PASSWORD)), &[])
            .await;
        assert_eq!(refused.status, 404, "{sql}");
        for name in [
            "user-agent",
            "cookie",
            "authorization",
            "rid",
            "fdi-version",
            "st-auth-mode",
            "origin",
        ] {
            let value = match name {
                "cookie" => format!("sAccessToken={sql}; sRefreshToken={sql}"),
                "authorization" => format!("Bearer {sql}"),
                _ => sql.to_owned(),
            };
            let refreshed = nobody
                .peek("POST", "/auth/session/refresh", None, &[(name, &value)])
                .await;
            assert!(
                (400..500).contains(&refreshed.status),
                "{name} {sql}: {refreshed:?}"
            );
        }
    }
    still.holds(&server).await;
    // What is an address, or a name, and looks like SQL is kept as it is.
    let quoted = "o'brien+1=1--@example.com";
    assert_eq!(sign_up(&server, quoted).await.status_field(), "OK");
    assert_eq!(exists(&server, quoted).await, true);
    assert_ne!(exists(&server, "o").await, true);
    let mut agent = server.client(Mode::Header);
    agent.extra = vec![("user-agent".to_owned(), SQL[2].to_owned())];
    agent.sign_in(ALICE).await;
    agent.complete(&server, PHONE).await;
    let listed = agent.get("/auth/session/list").await.json();
    assert_eq!(listed["sessions"][0]["userAgent"], SQL[2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_02_no_value_of_any_size_reaches_the_driver() {
    let site = Own::start(MemoryStore::new()).await;
    let (tenant, user) = (TenantId::public(), UserId::from("row-1"));
    site.logged_in(Mode::Header, "row-1").await;
    let patch = |length: usize| -> JsonMap {
        let text = "x".repeat(length);
        json!({ "note": text }).as_object().unwrap().clone()
    };
    assert!(
        site.stepup
            .merge_metadata(&tenant, &user, &patch(100_000))
            .await
            .unwrap()
            .is_ok()
    );
    let before = site.stepup.metadata(&tenant, &user).await.unwrap();
    assert!(
        site.stepup
            .merge_metadata(&tenant, &user, &patch(1 << 21))
            .await
            .is_err()
    );
    let mut key = JsonMap::new();
    key.insert("k".repeat(1 << 21), json!(1));
    assert!(site.stepup.merge_metadata(&tenant, &user, &key).await.is_err());
    assert_eq!(site.stepup.metadata(&tenant, &user).await.unwrap(), before);
    // Ids that the application hands over have an end as well.
    for length in [300, 1 << 21] {
        let long = site
            .client(Mode::Header)
            .post("/login", login(&"x".repeat(length), PASSWORD))
            .await;
        assert!(long.status >= 400, "{length}: {}", long.status);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_03_a_pattern_or_a_letter_like_it_finds_nobody() {
    let server = Server::start_with(|settings| settings.throttle_scale = 100).await;
    for email in ["alice_b@example.com", "strasse@example.com"] {
        assert_eq!(sign_up(&server, email).await.status_field(), "OK");
    }
    for other in [
        "alice%@example.com",
        "%@example.com",
        "_______@example.com",
        "alicexb@example.com",
        "alic\u{e9}_b@example.com",
        "\u{e1}lice_b@example.com",
        "stra\u{df}e@example.com",
        "stras\u{17f}e@example.com",
        "alice_b@example.com\u{1f600}",
        "\u{1f600}alice_b@example.com",
        "alice_b@example.com%",
    ] {
        assert_ne!(exists(&server, other).await, true, "{other}");
        let signed_in = server.client(Mode::Header).sign_in(other).await;
        assert_ne!(signed_in.status_field(), "OK", "{other}");
    }
    for same in [
        "ALICE_B@example.com",
        "alice_b@example.com ",
        "alice_b@EXAMPLE.com",
    ] {
        assert_eq!(exists(&server, same).await, true, "{same}");
    }
    // Session handles and codes are compared byte by byte, too.
    let mut alice = full(&server, Mode::Header, ALICE, PHONE).await;
    for handle in [
        "%".to_owned(),
        alice.handle().to_uppercase(),
        format!("{} ", alice.handle()),
    ] {
        let body = json!({ "sessionHandle": handle });
        assert_eq!(
            alice.post("/auth/session/revoke", body).await.status,
            404,
            "{handle}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_04_no_break_of_a_line_gets_into_a_message() {
    let server = Server::start_with(|settings| settings.first_factors.push(FactorId::OTP_EMAIL)).await;
    let still = Still::of(&server).await;
    for breaking in [
        "\r\n", "\n", "\r", "\0", "\u{2028}", "\u{2029}", "\u{85}", "\u{b}", "%0d%0a", ",", ";",
    ] {
        for email in [
            format!("alice{breaking}Bcc: mallory@example.com"),
            format!("alice@example.com{breaking}Bcc: mallory@example.com"),
            format!("alice@example.com{breaking}mallory@example.com"),
        ] {
            let signed_up = sign_up(&server, &email).await;
            assert_eq!(
                signed_up.status_field(),
                "FIELD_ERROR",
                "{email:?}: {signed_up:?}"
            );
            let asked = server
                .client(Mode::Header)
                .post("/auth/signinup/code", json!({ "email": email }))
                .await;
            assert_ne!(asked.status_field(), "OK", "{email:?}: {asked:?}");
        }
    }
    still.holds(&server).await;
    // What the site itself is called cannot break a subject either.
    let broken = stepup::AppInfo::new("Acme\r\nBcc: x", "http://localhost:1", "http://localhost:1");
    assert!(broken.checked().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_05_no_message_and_no_page_holds_what_a_user_typed() {
    let server = Server::start_with(|settings| settings.throttle_scale = 100).await;
    for local in ["{{7*7}}", "${7*7}", "#{7*7}", "a%7b%7bb", "o'b&c"] {
        let email = format!("{local}@example.com");
        let mut client = server.client(Mode::Header);
        let agent = "<img src=x onerror=alert(1)></a>{{7*7}}\u{202e}";
        client.extra = vec![("user-agent".to_owned(), agent.to_owned())];
        let signed_up = client.sign_up(&email).await;
        if signed_up.status_field() != "OK" {
            continue;
        }
        client.complete(&server, PHONE).await;
    }
    server.moved(1).await;
    let sent = server.sent().await;
    let notices = sent.iter().filter(|message| message.code.is_none()).count();
    assert!(notices >= 3, "{notices}");
    for message in &sent {
        for typed in ["{{", "${", "#{", "<", "49", "img", "\u{202e}", "%7b", "&"] {
            let code = message.code.as_deref().unwrap_or_default();
            let body = message.body.replace(code, "");
            assert!(
                !body.contains(typed) || code.is_empty() && typed == "49",
                "{typed} in {}",
                message.body
            );
        }
        let is_plain = |c: char| c == '\n' || !c.is_control();
        assert!(message.body.chars().all(is_plain), "{:?}", message.body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_06_two_spellings_of_a_mailbox_are_one_user_and_look_alikes_are_none() {
    let server = Server::start_with(|settings| settings.throttle_scale = 100).await;
    let host = "b\u{fc}cher.example";
    assert_eq!(
        sign_up(&server, &format!("alice@{host}")).await.status_field(),
        "OK"
    );
    for same in [
        "alice@xn--bcher-kva.example",
        "Alice@B\u{dc}CHER.example",
        "alice@bu\u{308}cher.example",
    ] {
        let again = sign_up(&server, same).await;
        assert_eq!(again.status_field(), "FIELD_ERROR", "{same}");
        assert_eq!(
            server.client(Mode::Header).sign_in(same).await.status_field(),
            "OK",
            "{same}"
        );
    }
    for refused in [
        "alice\u{ff20}evil.example@example.com",
        "alice\u{ff20}example.com",
        "alice@example.com@evil.example",
        "al\u{200b}ice@example.com",
        "al\u{ad}ice@example.com",
        "\u{202e}alice@example.com",
        "alice@exam\u{200d}ple.com",
        "alice@xn--a.example",
        "alice@xn--zzzzzz-.example",
        "alice@-.example",
        "al\u{ff41}ce@example.com",
    ] {
        let answer = sign_up(&server, refused).await;
        assert_eq!(answer.status_field(), "FIELD_ERROR", "{refused:?}: {answer:?}");
    }
    // Letters of another alphabet make another mailbox, and never the same user.
    let ann = sign_up(&server, "anna@example.com").await.json()["user"]["id"].clone();
    let other = sign_up(&server, "\u{430}nn\u{430}@example.com").await;
    assert!(
        other.status_field() == "FIELD_ERROR" || other.json()["user"]["id"] != ann,
        "{other:?}"
    );
    assert_eq!(
        server
            .number("SELECT count(*) FROM stepup_identifier WHERE value LIKE 'alice@%'")
            .await,
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_13_a_page_takes_nothing_of_its_address() {
    let server = Server::start_with(|settings| settings.first_factors.push(FactorId::LINK_EMAIL)).await;
    let plain = server.client(Mode::Header);
    for path in ["/", "/auth/verify", "/auth/reset-password"] {
        let page = plain.peek("GET", path, None, &[]).await;
        assert_eq!(page.status, 200, "{path}");
        for query in [
            "redirectToPath=https://evil.example",
            "redirectToPath=//evil.example",
            "redirectToPath=javascript:alert(1)",
            "state=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
            "preAuthSessionId=%3Cimg%20src=x%3E&tenantId=%27%22",
        ] {
            let asked = plain.peek("GET", &format!("{path}?{query}"), None, &[]).await;
            assert_eq!(asked.status, 200, "{path}?{query}");
            assert_eq!(asked.body, page.body, "{path}?{query}");
            assert_eq!(asked.header("location"), None);
        }
    }
}

/// Writes log lines into memory.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Keeps the events, to be written out under a subscriber of the test's own.
#[derive(Clone, Debug, Default)]
struct Kept(Arc<Mutex<Vec<Event>>>);

impl EventSink for Kept {
    fn record(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_10_an_event_is_one_line_whatever_its_values_hold() {
    let kept = Kept::default();
    let events = kept.clone();
    let site = Own::start_with(MemoryStore::new(), move |builder| builder.events(events)).await;
    // The application names its users; a client names itself and its address.
    for name in [
        "eve\nevent=\"signin\" outcome=Granted",
        "eve\r\n2026-01-01T00:00:00Z INFO forged",
        "eve\u{1b}[2J\u{1b}[31m",
        "eve\" outcome=Granted user=\"alice",
        "eve\u{2028}\u{85}\0",
    ] {
        let mut client = site.client(Mode::Header);
        assert_eq!(client.post("/login", login(name, PASSWORD)).await.status, 200);
        client.post("/login", login(name, "wrong")).await;
        client.create_code("not a number").await;
        client.refresh().await;
        client.sign_out().await;
    }
    let events = kept.0.lock().unwrap().clone();
    assert!(events.len() >= 20, "{}", events.len());
    let lines = Lines::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(lines.clone())
        .with_ansi(false)
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        for event in &events {
            TracingSink.record(event);
        }
    });
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count(), events.len(), "{text}");
    for line in text.lines() {
        assert!(
            line.contains("stepup::audit") && !line.starts_with("eve"),
            "{line}"
        );
        assert!(
            !line
                .chars()
                .any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{85}')),
            "{line:?}"
        );
        assert_eq!(line.matches("stepup::audit").count(), 1, "{line}");
        assert!(!line.contains("eve\" outcome"), "a quote is encoded: {line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_inj_08_no_spelling_of_a_number_breaks_an_endpoint() {
    let server = Server::start().await;
    let mut waiting: Client = returning(&server, Mode::Header, ALICE, PHONE).await;
    let enrolling = half(&server, Mode::Header, "bob@example.com").await;
    let still = Still::of(&server).await;
    let mut seed: u32 = 7;
    for _ in 0..300 {
        // A small generator of its own: the corpus is the same at every run.
        let mut text = String::new();
        for _ in 0..(seed % 24) {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let pool = [
                '+', '0', '4', '1', '7', '9', ' ', '-', '(', ')', '\u{ff17}', '\u{202e}', ';', 'x', '\0', '٣',
            ];
            text.push(pool[(seed >> 24) as usize % pool.len()]);
        }
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let body = json!({ "phoneNumber": text });
        for client in [&waiting, &enrolling] {
            let answer = client.peek("POST", "/auth/signinup/code", Some(&body), &[]).await;
            assert_eq!(
                (answer.status, answer.status_field().as_str()),
                (200, "GENERAL_ERROR"),
                "{text:?}"
            );
        }
    }
    still.holds(&server).await;
    waiting.complete(&server, PHONE).await;
    assert_eq!(
        database::count(&server.database(), "SELECT count(*) FROM stepup_user").await,
        2
    );
}
