//! Rows A-COO: planted, doubled and odd cookies, and what ours look like.

use serde_json::json;

use super::expect::{e401, e401_theft, e401_try_refresh, lives, refresh, secret, sessions};
use crate::kit::{Client, Mode, OTHER_PHONE, PHONE, Response, Server, full, half};

const ANN: &str = "ann@example.com";
const MALLORY: &str = "mallory@example.com";

/// A request with these `Cookie` lines.
async fn with_cookies(server: &Server, method: &str, path: &str, lines: &[String]) -> Response {
    let mut text = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nrid: anti-csrf\r\nst-auth-mode: cookie\r\n"
    );
    if method != "GET" && !path.ends_with("/session/refresh") {
        text.push_str("content-type: application/json\r\ncontent-length: 2\r\n");
    }
    for line in lines {
        text.push_str(&format!("cookie: {line}\r\n"));
    }
    text.push_str("\r\n");
    if text.contains("content-length: 2") {
        text.push_str("{}");
    }
    server.raw(text.as_bytes()).await
}

fn access(client: &Client) -> String {
    format!("sAccessToken={}", client.access_token().unwrap())
}

fn refresh_cookie(client: &Client) -> String {
    format!("sRefreshToken={}", client.refresh_token().unwrap())
}

/// Both orders of two cookies, in one `Cookie` line and in two.
fn orders(one: &str, other: &str) -> Vec<Vec<String>> {
    let mut all = Vec::new();
    for (first, second) in [(one, other), (other, one)] {
        all.push(vec![format!("{first}; {second}")]);
        all.push(vec![first.to_owned(), second.to_owned()]);
        all.push(vec![format!("a=b; {first}"), format!("{second}; c=d")]);
    }
    all
}

/// A planted access cookie decides nothing, wherever and however it stands.
async fn access_duplicates(lines: impl Fn(&str, &str) -> Vec<Vec<String>>) {
    let server = Server::start().await;
    let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    let mut mallory = full(&server, Mode::Cookie, MALLORY, OTHER_PHONE).await;
    let before = server.dump().await;
    for planted in [access(&mallory), "sAccessToken=x".to_owned()] {
        for lines in lines(&access(&ann), &planted) {
            for (method, path) in [
                ("GET", "/api/secret"),
                ("GET", "/layered/secret"),
                ("GET", "/api/optional"),
                ("POST", "/api/comment"),
                ("PUT", "/auth/mfa/info"),
                ("POST", "/auth/signout"),
            ] {
                e401_try_refresh(&with_cookies(&server, method, path, &lines).await);
            }
        }
    }
    assert_eq!(server.dump().await, before);
    lives(&mut ann).await;
    lives(&mut mallory).await;
}

/// One living refresh token among leftovers is used, and the leftovers go.
async fn one_living_duplicate(lines: impl Fn(&str, &str) -> Vec<Vec<String>>) {
    let server = Server::start().await;
    let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    let retired = refresh_cookie(&ann);
    ann.refresh().await;
    ann.refresh().await;
    server.moved(31).await;
    let mut ended = full(&server, Mode::Cookie, MALLORY, OTHER_PHONE).await;
    let dead = refresh_cookie(&ended);
    ended.sign_out().await;
    for leftover in [retired, dead, "sRefreshToken=garbage".to_owned()] {
        for times in 0..6 {
            let lines = lines(&refresh_cookie(&ann), &leftover);
            let Some(lines) = lines.get(times) else { break };
            let answer = with_cookies(&server, "POST", "/auth/session/refresh", lines).await;
            assert_eq!((answer.status, answer.json()), (200, json!({})), "{answer:?}");
            let expired: Vec<&str> = answer
                .all("set-cookie")
                .filter(|line| line.starts_with("sRefreshToken=;"))
                .collect();
            assert_eq!(expired.len(), 1, "{answer:?}");
            assert!(expired[0].contains("; Path=/;"), "{answer:?}");
            let before = ann.refresh_token().map(str::to_owned);
            let old = ann.cookies.clone();
            ann.absorb(&answer);
            // The kit knows cookies by name alone: it forgets what was expired under another path.
            let new = answer
                .all("set-cookie")
                .find(|line| line.starts_with("sRefreshToken=") && !line.starts_with("sRefreshToken=;"))
                .map(|line| line.split(['=', ';']).nth(1).unwrap().to_owned())
                .unwrap();
            let new_access = answer
                .all("set-cookie")
                .find(|line| line.starts_with("sAccessToken=") && !line.starts_with("sAccessToken=;"))
                .map(|line| line.split(['=', ';']).nth(1).unwrap().to_owned())
                .unwrap();
            ann.cookies = old;
            ann.cookies.insert("sRefreshToken".to_owned(), new);
            ann.cookies.insert("sAccessToken".to_owned(), new_access);
            assert_ne!(ann.refresh_token().map(str::to_owned), before);
            server.moved(3).await;
        }
    }
    assert_eq!(sessions(&server).await, 1);
    lives(&mut ann).await;
}

/// Two living sessions are one too many: neither is used, and neither is ended.
async fn two_living_duplicates(lines: impl Fn(&str, &str) -> Vec<Vec<String>>) {
    let server = Server::start().await;
    let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    let mut mallory = full(&server, Mode::Cookie, MALLORY, OTHER_PHONE).await;
    let before = server.dump().await;
    for lines in lines(&refresh_cookie(&ann), &refresh_cookie(&mallory)) {
        e401(&with_cookies(&server, "POST", "/auth/session/refresh", &lines).await);
    }
    assert_eq!(server.dump().await, before);
    lives(&mut ann).await;
    lives(&mut mallory).await;
}

fn in_one_line(one: &str, other: &str) -> Vec<Vec<String>> {
    orders(one, other)
        .into_iter()
        .filter(|lines| lines.len() == 1)
        .collect()
}

fn over_lines(one: &str, other: &str) -> Vec<Vec<String>> {
    orders(one, other)
        .into_iter()
        .filter(|lines| lines.len() > 1)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_01_a_planted_access_cookie_decides_nothing() {
    access_duplicates(in_one_line).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_01_the_one_living_refresh_cookie_is_used_and_the_leftovers_go() {
    one_living_duplicate(in_one_line).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_01_two_living_sessions_are_one_too_many() {
    two_living_duplicates(in_one_line).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_01_duplicates_are_expired_on_the_host_and_on_the_older_domain() {
    let server = Server::start_with(|s| {
        s.api_domain = Some("http://api.acme.localhost:3000".to_owned());
        s.website_domain = Some("http://api.acme.localhost:3000".to_owned());
        s.cookie_domain_older = Some("acme.localhost".to_owned());
    })
    .await;
    let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    let mut mallory = full(&server, Mode::Cookie, MALLORY, OTHER_PHONE).await;
    let living = [refresh_cookie(&ann), refresh_cookie(&mallory)];
    for (other, status) in [(living[1].as_str(), 401), ("sRefreshToken=x", 200)] {
        let line = format!("{}; {other}", living[0]);
        let answer = with_cookies(&server, "POST", "/auth/session/refresh", &[line]).await;
        assert_eq!(answer.status, status, "{answer:?}");
        let expired = |name: &str, place: &str| {
            answer
                .all("set-cookie")
                .any(|line| line.starts_with(&format!("{name}=;")) && line.contains(place))
        };
        for name in ["sAccessToken", "sRefreshToken"] {
            assert!(expired(name, "Domain=acme.localhost; Path=/;"), "{answer:?}");
            assert!(
                expired(name, "Domain=acme.localhost; Path=/auth/session/refresh;"),
                "{answer:?}"
            );
        }
        assert!(expired("sRefreshToken", "=; Path=/;"), "{answer:?}");
    }
    // Both live: Ann by the successor that she was just handed.
    lives(&mut mallory).await;
    assert_eq!(ann.refresh().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_02_a_planted_access_cookie_is_seen_over_several_lines() {
    access_duplicates(over_lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_02_refresh_cookies_over_several_lines_are_one_list() {
    one_living_duplicate(over_lines).await;
    two_living_duplicates(over_lines).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_02_cookies_that_are_no_duplicates_may_come_in_several_lines() {
    let server = Server::start().await;
    let ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    let lines = ["theme=dark".to_owned(), access(&ann), "a=b; c=d".to_owned()];
    let answer = with_cookies(&server, "GET", "/api/secret", &lines).await;
    assert_eq!(answer.status, 200);
}

/// One way to deploy, and the attributes that follow from it.
struct Deployment {
    api: &'static str,
    website: &'static str,
    end: &'static str,
}

/// Every session cookie of the answer, judged. How many there were.
#[track_caller]
fn judge(answer: &Response, end: &str) -> usize {
    let mut seen = 0;
    for line in answer.all("set-cookie") {
        let (name, rest) = line.split_once('=').unwrap();
        let path = match name {
            "sAccessToken" => "/",
            "sRefreshToken" => "/auth/session/refresh",
            _ => panic!("a cookie of no use: {line}"),
        };
        let (value, attributes) = rest.split_once("; ").unwrap();
        assert!(
            attributes.starts_with(&format!("Path={path}; Expires=")),
            "{line}"
        );
        assert!(attributes.ends_with(end), "{line}");
        assert!(
            !attributes.contains("Domain") && !attributes.contains("Max-Age"),
            "{line}"
        );
        assert!(name.len() + value.len() <= 4096, "{line}");
        if value.is_empty() {
            assert!(
                attributes.contains("Expires=Thu, 01 Jan 1970 00:00:00 GMT"),
                "{line}"
            );
        }
        seen += 1;
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_03_every_cookie_has_the_attributes_of_its_deployment() {
    for Deployment { api, website, end } in [
        Deployment {
            api: "http://localhost:3000",
            website: "http://localhost:3000",
            end: "; HttpOnly; SameSite=Lax",
        },
        Deployment {
            api: "https://localhost:3000",
            website: "https://localhost:4000",
            end: "; HttpOnly; Secure; SameSite=Lax",
        },
        Deployment {
            api: "https://localhost:3000",
            website: "http://localhost:4000",
            end: "; HttpOnly; Secure; SameSite=None",
        },
    ] {
        let server = Server::start_with(|s| {
            s.api_domain = Some(api.to_owned());
            s.website_domain = Some(website.to_owned());
        })
        .await;
        let mut ann = server.client(Mode::Cookie);
        assert_eq!(judge(&ann.sign_up(ANN).await, end), 2);
        let half = ann.clone();
        let created = ann.create_code(PHONE).await;
        assert_eq!(judge(&created, end), 0);
        let code = server.code().await;
        let completed = ann.consume(&created.json(), &code).await;
        assert_eq!(completed.status_field(), "OK");
        assert_eq!(judge(&completed, end), 2);
        let stolen = ann.clone();
        let refreshed = ann.refresh().await;
        assert_eq!(judge(&refreshed, end), 2);
        assert!(refreshed.set_cookie("sAccessToken").unwrap().len() > 300);
        assert_eq!(judge(&ann.post("/auth/mfa/info", json!({})).await, end), 0);
        assert_eq!(judge(&refresh(&half).await, end), 0);
        server.moved(31).await;
        let theft = refresh(&stolen).await;
        e401_theft(&theft);
        assert_eq!(judge(&theft, end), 2);
        let over = secret(&ann).await;
        e401(&over);
        assert_eq!(judge(&over, end), 2);
        let mut ann = server.client(Mode::Cookie);
        assert_eq!(judge(&ann.sign_in(ANN).await, end), 2);
        assert_eq!(judge(&ann.sign_out().await, end), 2);
        // A client of the other mode is handed no cookie at all.
        let mut bob = half_in_header_mode(&server).await;
        for answer in [bob.refresh().await, bob.sign_out().await] {
            assert_eq!(answer.status, 200);
            assert_eq!(judge(&answer, end), 0);
        }
    }
}

async fn half_in_header_mode(server: &Server) -> Client {
    half(server, Mode::Header, MALLORY).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_04_odd_cookies_are_read_or_refused_and_harm_nobody() {
    let server = Server::start().await;
    let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    let token = ann.access_token().unwrap().to_owned();
    // Read: quotes, blanks, other cookies in every number, parts that are no cookies.
    for line in [
        format!("sAccessToken=\"{token}\""),
        format!("  sAccessToken = {token}  ;"),
        format!(";;; x; =y; sAccessToken={token}; Path=/; Expires=never; Max-Age=99999999999999999999"),
        format!("{}sAccessToken={token}", "a=b; ".repeat(200)),
        format!("caf\u{e9}=\u{1f36a}; sAccessToken={token}"),
        format!("sAccessToken=; sAccessToken={token}"),
    ] {
        let answer = with_cookies(&server, "GET", "/api/secret", std::slice::from_ref(&line)).await;
        assert_eq!(answer.status, 200, "{line:.80} {answer:?}");
    }
    // Refused: what is no token of ours is no session, or asks for a refresh.
    for (line, status) in [
        (format!("sAccessToken={token},sAccessToken={token}"), 401),
        (format!("sAccessToken='{token}'"), 401),
        (format!("saccesstoken={token}"), 401),
        (format!("%73AccessToken={token}"), 401),
        ("sAccessToken=\u{1f36a}".to_owned(), 401),
        (format!("sAccessToken={}", "x".repeat(4097)), 401),
        (format!("sAccessToken={}", "x".repeat(32 * 1024)), 401),
        ("sAccessToken".to_owned(), 401),
        ("=".to_owned(), 401),
    ] {
        let answer = with_cookies(&server, "GET", "/api/secret", std::slice::from_ref(&line)).await;
        assert_eq!(answer.status, status, "{line:.80} {answer:?}");
        assert!(answer.json()["message"].is_string() && answer.touches_no_token());
    }
    lives(&mut ann).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coo_06_an_answer_that_looked_at_a_session_is_not_cached() {
    for mode in crate::kit::MODES {
        let server = Server::start().await;
        let ann = full(&server, mode, ANN, PHONE).await;
        let nobody = server.client(mode);
        for client in [&ann, &nobody] {
            for path in ["/api/secret", "/layered/secret", "/api/me", "/api/optional"] {
                let answer = client.peek("GET", path, None, &[]).await;
                assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
                let vary = answer.all("vary").collect::<Vec<_>>().join(", ");
                for name in ["Cookie", "Authorization", "Origin"] {
                    assert!(vary.contains(name), "{path} {vary}");
                }
            }
        }
        let body = ann.peek("GET", "/api/me", None, &[]).await.body;
        let body = String::from_utf8(body).unwrap();
        assert!(!body.contains(ann.access_token().unwrap()));
        assert!(!body.contains(ann.refresh_token().unwrap()));
    }
}
