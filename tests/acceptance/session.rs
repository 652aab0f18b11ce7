//! The session checklist. Its cases of refetched claims and of `anti-csrf` tokens do not exist here: neither is offered.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use stepup::delivery::{BackgroundThread, Outbox};
use stepup::storage::memory::MemoryStore;
use stepup::time::Clock;
use stepup::wire::transfer::Allowed;
use stepup::wire::{Transport, Wire};
use stepup::{AppInfo, FactorId, Password, Passwordless, Policy, SecretList, Stepup, any_of};
use stepup_core::entropy::OsEntropy;
use stepup_core::keyring::Root;
use tokio::sync::Barrier;

use crate::kit::own::{self, Own};
use crate::kit::serving::{anywhere, listen};
use crate::kit::{Client, MODES, Mode, PASSWORD, PHONE, Response, Server, form, full, half};

const ANN: &str = "ann@example.com";
const BEN: &str = "ben@example.com";

const DAY: u32 = 24 * 3600;

/// Access and refresh token, whichever way they came.
fn tokens(client: &Client) -> (String, String) {
    let access = client
        .access
        .clone()
        .or_else(|| client.cookies.get("sAccessToken").cloned());
    let refresh = client
        .refresh
        .clone()
        .or_else(|| client.cookies.get("sRefreshToken").cloned());
    (access.unwrap(), refresh.unwrap())
}

/// A client that is not signed in and sends what it is told.
fn bare(server: &Server) -> Client {
    server.client(Mode::Cookie)
}

fn signed_out(response: &Response) {
    assert_eq!(
        (response.status, response.message().as_str()),
        (401, "unauthorised")
    );
    assert!(response.clears_everything(), "{response:?}");
}

fn left_alone(response: &Response, status: u16, message: &str) {
    assert_eq!((response.status, response.message().as_str()), (status, message));
    assert!(response.touches_no_token(), "{response:?}");
}

/// The headers that scripts of another origin may read.
fn exposed(response: &Response) -> Vec<&str> {
    response
        .all("access-control-expose-headers")
        .flat_map(|line| line.split(','))
        .map(str::trim)
        .collect()
}

fn epoch(date: &str) -> i64 {
    let at = httpdate::parse_http_date(date).unwrap();
    at.duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs()
        .try_into()
        .unwrap()
}

/// A cookie's line without its value and its `Expires`, and the two by themselves.
fn dissect(line: &str) -> (String, String, i64) {
    let mut parts: Vec<&str> = line.split("; ").collect();
    let (name, value) = parts[0].split_once('=').unwrap();
    let at = parts
        .iter()
        .position(|part| part.starts_with("Expires="))
        .unwrap();
    let expires = epoch(parts[at].strip_prefix("Expires=").unwrap());
    let value = value.to_owned();
    let first = format!("{name}=");
    parts[0] = &first;
    parts[at] = "Expires";
    (parts.join("; "), value, expires)
}

// 1. Create; the matrices; the cookies

#[tokio::test(flavor = "multi_thread")]
async fn checklist_1_a_session_is_created_in_the_mode_that_the_client_names() {
    let server = Server::start().await;
    for (number, (named, mode)) in [
        ("cookie", Mode::Cookie),
        ("header", Mode::Header),
        ("COOKIE", Mode::Cookie),
        ("-", Mode::Header),
        ("both", Mode::Header),
    ]
    .into_iter()
    .enumerate()
    {
        let body = form(&format!("user{number}@example.com"), PASSWORD);
        let created = bare(&server)
            .peek("POST", "/auth/signup", Some(&body), &[("st-auth-mode", named)])
            .await;
        assert_eq!(created.status_field(), "OK", "{created:?}");
        let front = created.header("front-token").unwrap();
        let front: Value = serde_json::from_slice(&STANDARD.decode(front).unwrap()).unwrap();
        assert_eq!(
            front["ate"].as_i64().unwrap(),
            front["up"]["exp"].as_i64().unwrap() * 1000
        );
        assert_eq!(front["uid"], front["up"]["sub"]);
        let mut keys: Vec<_> = front.as_object().unwrap().keys().collect();
        keys.sort();
        assert_eq!(keys, ["ate", "uid", "up"]);
        assert_eq!(created.header("cache-control"), Some("no-store"));
        assert_eq!(created.header("anti-csrf"), None);
        match mode {
            Mode::Cookie => {
                assert_eq!(created.all("set-cookie").count(), 2, "{named}");
                assert_eq!(created.header("st-access-token"), None);
                assert_eq!(created.header("st-refresh-token"), None);
                assert_eq!(exposed(&created), ["front-token"]);
            }
            Mode::Header => {
                assert_eq!(created.all("set-cookie").count(), 0, "{named}");
                assert!(created.header("st-access-token").is_some_and(|t| !t.is_empty()));
                assert!(created.header("st-refresh-token").is_some_and(|t| !t.is_empty()));
                assert_eq!(
                    exposed(&created),
                    ["front-token", "st-access-token", "st-refresh-token"]
                );
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_1_a_session_in_the_other_mode_is_left_behind_by_a_new_one() {
    let server = Server::start().await;
    let old = half(&server, Mode::Cookie, ANN).await;
    let body = form(ANN, PASSWORD);
    let new = old
        .peek("POST", "/auth/signin", Some(&body), &[("st-auth-mode", "header")])
        .await;
    assert_eq!(new.status_field(), "OK");
    // The old cookies go, and the client ends with the new session's front token, not with `remove`.
    assert!(
        new.set_cookie("sAccessToken")
            .unwrap()
            .starts_with("sAccessToken=;")
    );
    assert!(
        new.set_cookie("sRefreshToken")
            .unwrap()
            .starts_with("sRefreshToken=;")
    );
    assert_ne!(new.header("front-token"), Some("remove"));
    assert_eq!(new.all("front-token").count(), 1);
    assert!(new.header("st-access-token").is_some_and(|t| !t.is_empty()));

    let old = half(&server, Mode::Header, BEN).await;
    let body = form(BEN, PASSWORD);
    let new = old
        .peek("POST", "/auth/signin", Some(&body), &[("st-auth-mode", "cookie")])
        .await;
    assert_eq!(new.header("st-access-token"), Some(""));
    assert_eq!(new.header("st-refresh-token"), Some(""));
    assert_ne!(new.header("front-token"), Some("remove"));
    assert!(
        !new.set_cookie("sAccessToken")
            .unwrap()
            .starts_with("sAccessToken=;")
    );
}

/// What a request carries.
const CARRIED: [(bool, bool); 4] = [(false, false), (true, false), (false, true), (true, true)];

#[tokio::test(flavor = "multi_thread")]
async fn checklist_1_the_verify_matrix() {
    const H: Option<Mode> = Some(Mode::Header);
    const C: Option<Mode> = Some(Mode::Cookie);
    let rows: [(Allowed, [Option<Mode>; 4]); 3] = [
        (Allowed::Any, [None, H, C, H]),
        (Allowed::Header, [None, H, None, H]),
        (Allowed::Cookie, [None, None, C, C]),
    ];
    for (allowed, expected) in rows {
        let server = Server::start_own_with(allowed).await;
        let (ann, ben) = (
            half(&server, Mode::Header, ANN).await,
            half(&server, Mode::Header, BEN).await,
        );
        let bearer = format!("Bearer {}", tokens(&ann).0);
        let cookie = format!("sAccessToken={}", tokens(&ben).0);
        for ((header, in_cookie), expected) in CARRIED.into_iter().zip(expected) {
            let mut sent = Vec::new();
            if header {
                sent.push(("authorization", bearer.as_str()));
            }
            if in_cookie {
                sent.push(("cookie", cookie.as_str()));
            }
            let required = bare(&server).peek("GET", "/required", None, &sent).await;
            let optional = bare(&server).peek("GET", "/optional", None, &sent).await;
            assert_eq!(optional.status, 200);
            match expected {
                None => {
                    left_alone(&required, 401, "unauthorised");
                    assert_eq!(optional.json(), json!({ "user": null }));
                }
                Some(mode) => {
                    let user = if mode == Mode::Header {
                        ann.user_id()
                    } else {
                        ben.user_id()
                    };
                    assert_eq!(required.status, 200, "{required:?}");
                    assert_eq!(
                        required.json(),
                        json!({ "user": user, "mode": format!("{mode:?}") })
                    );
                    assert_eq!(optional.json(), json!({ "user": user }));
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_1_the_refresh_matrix() {
    const H: Option<Mode> = Some(Mode::Header);
    const C: Option<Mode> = Some(Mode::Cookie);
    let rows: [(Allowed, [Option<Mode>; 4]); 3] = [
        (Allowed::Any, [None, H, C, H]),
        (Allowed::Header, [None, H, None, H]),
        (Allowed::Cookie, [None, None, C, C]),
    ];
    for (allowed, expected) in rows {
        let server = Server::start_own_with(allowed).await;
        for ((header, in_cookie), expected) in CARRIED.into_iter().zip(expected) {
            let name = format!("{header}-{in_cookie}");
            let ann = half(&server, Mode::Header, &format!("ann-{name}@example.com")).await;
            let ben = half(&server, Mode::Header, &format!("ben-{name}@example.com")).await;
            let bearer = format!("Bearer {}", tokens(&ann).1);
            let cookie = format!("sRefreshToken={}", tokens(&ben).1);
            let mut sent = Vec::new();
            if header {
                sent.push(("authorization", bearer.as_str()));
            }
            if in_cookie {
                sent.push(("cookie", cookie.as_str()));
            }
            let refreshed = bare(&server)
                .peek("POST", "/auth/session/refresh", None, &sent)
                .await;
            let set = |name: &str| {
                refreshed
                    .set_cookie(name)
                    .map(|c| !c.starts_with(&format!("{name}=;")))
            };
            let headed = |name: &str| refreshed.header(name).map(|value| !value.is_empty());
            let both = header && in_cookie;
            match expected {
                None => signed_out(&refreshed),
                Some(mode) => {
                    assert_eq!(
                        (refreshed.status, refreshed.json()),
                        (200, json!({})),
                        "{refreshed:?}"
                    );
                    let user = if mode == Mode::Header {
                        ann.user_id()
                    } else {
                        ben.user_id()
                    };
                    let mut client = server.client(mode);
                    client.absorb(&refreshed);
                    assert_eq!(client.user_id(), user);
                    // The request's mode is set; the other one is emptied if it carried a token, else not touched.
                    let other = both.then_some(false);
                    let (in_cookies, in_headers) = match mode {
                        Mode::Cookie => (Some(true), other),
                        Mode::Header => (other, Some(true)),
                    };
                    assert_eq!([set("sAccessToken"), set("sRefreshToken")], [in_cookies; 2]);
                    assert_eq!(
                        [headed("st-access-token"), headed("st-refresh-token")],
                        [in_headers; 2]
                    );
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_1_cookies_have_exactly_these_attributes_on_plain_localhost() {
    let server = Server::start().await;
    let mut ann = server.client(Mode::Cookie);
    let now = server.site.clock.now().as_secs();
    let created = ann.sign_up(ANN).await;
    let (access, value, expires) = dissect(created.set_cookie("sAccessToken").unwrap());
    assert_eq!(access, "sAccessToken=; Path=/; Expires; HttpOnly; SameSite=Lax");
    assert_eq!(value.split('.').count(), 3);
    let year = i64::from(365 * DAY);
    assert!((now + year - 1..=now + year + 5).contains(&expires), "{expires}");

    // A half-login's refresh token ends with it; that of a complete session after seven days without a refresh.
    let (refresh, value, expires) = dissect(created.set_cookie("sRefreshToken").unwrap());
    assert_eq!(
        refresh,
        "sRefreshToken=; Path=/auth/session/refresh; Expires; HttpOnly; SameSite=Lax"
    );
    assert!(
        value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'),
        "{value}"
    );
    assert!((now + 899..=now + 905).contains(&expires), "{expires}");
    let completed = ann.complete(&server, PHONE).await;
    let (_, _, expires) = dissect(completed.set_cookie("sRefreshToken").unwrap());
    let week = i64::from(7 * DAY);
    assert!((now + week - 1..=now + week + 10).contains(&expires), "{expires}");

    let out = ann.sign_out().await;
    assert_eq!(
        out.set_cookie("sAccessToken").unwrap(),
        "sAccessToken=; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax"
    );
    assert_eq!(
        out.set_cookie("sRefreshToken").unwrap(),
        "sRefreshToken=; Path=/auth/session/refresh; Expires=Thu, 01 Jan 1970 00:00:00 GMT; HttpOnly; SameSite=Lax"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_1_cookies_are_secure_on_https_and_cross_site_where_the_website_is() {
    let https = "https://api.acme.localhost";
    for (website, expected) in [
        ("https://www.acme.localhost", "HttpOnly; Secure; SameSite=Lax"),
        // Another scheme is another site.
        ("http://localhost:3000", "HttpOnly; Secure; SameSite=None"),
    ] {
        let server = Server::start_with(|s| {
            s.api_domain = Some(https.to_owned());
            s.website_domain = Some(website.to_owned());
        })
        .await;
        let mut ann = server.client(Mode::Cookie);
        let created = ann.sign_up(ANN).await;
        let out = ann.sign_out().await;
        for (name, path) in [("sAccessToken", "/"), ("sRefreshToken", "/auth/session/refresh")] {
            for response in [&created, &out] {
                let (line, _, _) = dissect(response.set_cookie(name).unwrap());
                assert_eq!(line, format!("{name}=; Path={path}; Expires; {expected}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_1_cookies_carry_the_configured_domain_and_are_cleared_under_it() {
    let app = AppInfo::new("Acme", "https://api.acme.test", "https://www.acme.test");
    let secrets = SecretList::new(vec![Root::random("k1".into(), &OsEntropy).unwrap()]);
    let stepup = Stepup::builder(app, Arc::new(MemoryStore::new()), secrets)
        .factor(Password::new())
        .factor(Passwordless::sms(Outbox::new()))
        .notices(Outbox::new())
        .danger_print_codes()
        .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
        .background(BackgroundThread::start().unwrap())
        .build()
        .await
        .unwrap();
    let transport = Transport::new().with_cookie_domain(".acme.test");
    let wire = Wire::new(stepup.clone(), &transport).unwrap();
    let listener = listen(anywhere());
    let address = listener.local_addr().unwrap();
    let serving = own::serve(listener, Own { stepup, wire }).await;

    let mut ann = Client::at(address, Mode::Cookie);
    let created = ann.sign_up(ANN).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    let out = ann.sign_out().await;
    for (name, path) in [("sAccessToken", "/"), ("sRefreshToken", "/auth/session/refresh")] {
        for response in [&created, &out] {
            let (line, _, _) = dissect(response.set_cookie(name).unwrap());
            assert_eq!(
                line,
                format!("{name}=; Domain=.acme.test; Path={path}; Expires; HttpOnly; Secure; SameSite=Lax")
            );
        }
    }
    serving.stop().await;
}

// 2. Refresh

#[tokio::test(flavor = "multi_thread")]
async fn checklist_2_a_refresh_rotates_both_tokens_and_carries_a_front_token() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        let before = ann.clone();
        server.moved(60).await;
        let refreshed = ann.refresh().await;
        assert_eq!((refreshed.status, refreshed.json()), (200, json!({})));
        assert_eq!(refreshed.header("cache-control"), Some("no-store"));
        assert!(exposed(&refreshed).contains(&"front-token"));
        assert_ne!(ann.access_token(), before.access_token());
        assert_ne!(ann.refresh_token(), before.refresh_token());
        assert_eq!(ann.handle(), before.handle());
        let claim = |client: &Client, name: &str| client.payload()[name].as_i64().unwrap();
        assert!(claim(&ann, "iat") >= claim(&before, "iat") + 60);
        assert!(claim(&ann, "exp") >= claim(&before, "exp") + 60);
        assert_eq!(ann.get("/api/secret").await.status, 200);
        // Bodies and their types, which some clients send, make no difference.
        for (body, kind) in [
            (json!({}), "application/json"),
            (json!(""), "application/x-www-form-urlencoded"),
        ] {
            let refreshed = ann
                .call(
                    "POST",
                    "/auth/session/refresh",
                    Some(body),
                    &[("content-type", kind)],
                )
                .await;
            assert_eq!(refreshed.status, 200, "{refreshed:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_2_a_missing_or_unknown_refresh_token_clears_both_modes() {
    for mode in MODES {
        let server = Server::start().await;
        let mut nobody = server.client(mode);
        signed_out(&nobody.refresh().await);

        let ann = full(&server, mode, ANN, PHONE).await;
        let real = ann.refresh_token().unwrap().to_owned();
        let mut flipped = real.clone().into_bytes();
        let middle = flipped.len() / 2;
        flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
        let access = ann.access_token().unwrap().to_owned();
        for token in [
            "x",
            "not.a.token",
            std::str::from_utf8(&flipped).unwrap(),
            &real[..real.len() - 1],
            access.as_str(),
        ] {
            let mut stranger = server.client(mode);
            stranger.refresh = Some(token.to_owned());
            stranger
                .cookies
                .insert("sRefreshToken".to_owned(), token.to_owned());
            signed_out(&stranger.refresh().await);
        }
        // None of it was taken for theft.
        let mut ann = ann;
        assert_eq!(ann.get("/api/secret").await.status, 200);
        assert_eq!(ann.refresh().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_2_a_session_that_is_over_or_gone_is_not_refreshed() {
    for mode in MODES {
        // Seven days without a refresh; a half-login's fifteen minutes; a row that is gone.
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        server.moved(7 * DAY + 1).await;
        signed_out(&ann.refresh().await);

        let mut ben = half(&server, mode, BEN).await;
        server.moved(901).await;
        signed_out(&ben.refresh().await);

        let mut eve = half(&server, mode, "eve@example.com").await;
        server.execute("DELETE FROM stepup_session").await;
        signed_out(&eve.refresh().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_2_a_session_is_refreshed_until_its_absolute_end() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        for _ in 0..5 {
            server.moved(6 * DAY - 60).await;
            let refreshed = ann.refresh().await;
            assert_eq!(refreshed.status, 200, "{refreshed:?}");
        }
        server.moved(301).await;
        signed_out(&ann.refresh().await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_2_reuse_after_the_grace_is_theft_and_ends_the_session() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        let mut other = server.client(mode);
        assert_eq!(other.sign_in(ANN).await.status_field(), "OK");
        let mut thief = ann.clone();
        assert_eq!(ann.refresh().await.status, 200);
        server.moved(31).await;
        let caught = thief.refresh().await;
        assert_eq!(
            (caught.status, caught.message().as_str()),
            (401, "token theft detected")
        );
        assert!(caught.clears_everything(), "{caught:?}");
        // Neither of the two goes on; the user's other session does.
        assert_eq!(ann.get("/api/secret").await.status, 401);
        signed_out(&ann.refresh().await);
        assert_eq!(other.get("/api/me").await.status, 200);
        assert_eq!(other.refresh().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_2_a_lost_answer_is_given_once_more() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        let lost = ann.peek("POST", "/auth/session/refresh", None, &[]).await;
        assert_eq!(lost.status, 200);
        let mut first = server.client(mode);
        first.absorb(&lost);
        server.moved(29).await;
        let again = ann.refresh().await;
        assert_eq!(again.status, 200);
        assert!(again.header("front-token").is_some_and(|front| front != "remove"));
        assert_eq!(ann.refresh_token(), first.refresh_token());
        assert_eq!(ann.get("/api/secret").await.status, 200);
        server.moved(100).await;
        assert_eq!(ann.refresh().await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_2_parallel_refreshes_end_with_the_same_tokens_and_one_session() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        let barrier = Arc::new(Barrier::new(2));
        let calls = [0, 1].map(|_| {
            let (client, barrier) = (ann.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                barrier.wait().await;
                client.peek("POST", "/auth/session/refresh", None, &[]).await
            })
        });
        let mut successors = Vec::new();
        for call in calls {
            let response = call.await.unwrap();
            assert_eq!(response.status, 200, "{response:?}");
            assert!(
                response
                    .header("front-token")
                    .is_some_and(|front| front != "remove")
            );
            ann.absorb(&response);
            successors.push(ann.refresh_token().unwrap().to_owned());
        }
        assert_eq!(successors[0], successors[1]);
        assert_eq!(server.number("SELECT count(*) FROM stepup_session").await, 1);
        server.moved(60).await;
        assert_eq!(ann.refresh().await.status, 200);
        assert_eq!(ann.get("/api/secret").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_2_of_duplicate_cookies_the_live_one_is_refreshed_and_the_others_go() {
    let server = Server::start().await;
    let ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    let mut old = server.client(Mode::Cookie);
    old.sign_in(ANN).await;
    let (_, dead) = tokens(&old);
    old.sign_out().await;
    let (access, mut live) = tokens(&ann);
    for dead_first in [true, false] {
        let pair = if dead_first {
            [&dead, &live]
        } else {
            [&live, &dead]
        };
        let cookie = format!(
            "sAccessToken={access}; sRefreshToken={}; sRefreshToken={}",
            pair[0], pair[1]
        );
        let refreshed = bare(&server)
            .peek("POST", "/auth/session/refresh", None, &[("cookie", &cookie)])
            .await;
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        assert!(
            refreshed
                .header("front-token")
                .is_some_and(|front| front != "remove")
        );
        let lines: Vec<&str> = refreshed.all("set-cookie").collect();
        // The live pair, each on its own path, and leftovers removed on the other's.
        let kept = |line: &&&str| !line.contains("Token=;");
        assert_eq!(lines.iter().filter(kept).count(), 2, "{lines:?}");
        assert!(
            lines
                .iter()
                .any(|l| l.starts_with("sRefreshToken=; Path=/; Expires=Thu, 01 Jan 1970"))
        );
        let mut client = server.client(Mode::Cookie);
        for line in lines.iter().filter(kept) {
            let (name, value) = line.split(';').next().unwrap().split_once('=').unwrap();
            client.cookies.insert(name.to_owned(), value.to_owned());
        }
        assert_eq!(client.get("/api/secret").await.status, 200);
        live = client.refresh_token().unwrap().to_owned();
    }

    // On verify it cannot be told which is meant; nothing is cleared, and a refresh will tell.
    let cookie = format!("sAccessToken={access}; sAccessToken={access}x");
    for path in ["/api/me", "/api/optional"] {
        let refused = bare(&server)
            .peek("GET", path, None, &[("cookie", &cookie)])
            .await;
        left_alone(&refused, 401, "try refresh token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_2_the_cookie_of_old_sessions_is_refused_and_removed() {
    let server = Server::start().await;
    let ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    let (access, refresh) = tokens(&ann);
    let cookie = format!("sAccessToken={access}; sIdRefreshToken=x");
    for path in ["/api/me", "/api/optional"] {
        let refused = bare(&server)
            .peek("GET", path, None, &[("cookie", &cookie)])
            .await;
        left_alone(&refused, 401, "try refresh token");
    }
    let cookie = format!("sRefreshToken={refresh}; sIdRefreshToken=x");
    let refreshed = bare(&server)
        .peek("POST", "/auth/session/refresh", None, &[("cookie", &cookie)])
        .await;
    assert_eq!(refreshed.status, 200);
    assert!(
        refreshed
            .set_cookie("sIdRefreshToken")
            .unwrap()
            .starts_with("sIdRefreshToken=;")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_2_a_foreign_bearer_token_does_not_sign_the_cookies_user_out() {
    let server = Server::start().await;
    let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    for foreign in ["Bearer abc.def.ghi", "Basic YTpi", "Bearer x"] {
        let refreshed = ann
            .call(
                "POST",
                "/auth/session/refresh",
                None,
                &[("authorization", foreign)],
            )
            .await;
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        assert!(refreshed.set_cookie("sRefreshToken").is_some());
    }
    assert_eq!(ann.get("/api/secret").await.status, 200);
}

/// The website has another scheme, and so is another site; both are loopback.
async fn cross_site() -> Server {
    Server::start_with(|s| s.website_domain = Some("https://localhost:8443".to_owned())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_2_without_rid_a_cross_site_refresh_by_cookie_is_refused_and_nothing_is_lost() {
    let server = cross_site().await;
    let mut ann = half(&server, Mode::Cookie, ANN).await;
    let before = server.number("SELECT sum(generation) FROM stepup_session").await;
    let refused = ann
        .call("POST", "/auth/session/refresh", None, &[("rid", "-")])
        .await;
    left_alone(&refused, 401, "unauthorised");
    assert_eq!(
        server.number("SELECT sum(generation) FROM stepup_session").await,
        before
    );
    assert_eq!(ann.refresh().await.status, 200);

    // In headers nothing can be forged.
    let mut ben = half(&server, Mode::Header, BEN).await;
    let refreshed = ben
        .call("POST", "/auth/session/refresh", None, &[("rid", "-")])
        .await;
    assert_eq!(refreshed.status, 200);
}

// 3. Verify

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_without_a_token_there_is_no_session_and_nothing_is_cleared() {
    for mode in MODES {
        let server = Server::start().await;
        let nobody = server.client(mode);
        for (method, path) in [
            ("GET", "/api/me"),
            ("GET", "/api/secret"),
            ("GET", "/layered/secret"),
            ("POST", "/api/comment"),
            ("PUT", "/auth/mfa/info"),
        ] {
            left_alone(&nobody.peek(method, path, None, &[]).await, 401, "unauthorised");
        }
        let optional = nobody.peek("GET", "/api/optional", None, &[]).await;
        assert_eq!(
            (optional.status, optional.json()),
            (200, json!({ "userId": null }))
        );
        assert!(optional.touches_no_token());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_a_foreign_bearer_token_is_passed_over() {
    let server = Server::start().await;
    let ann = half(&server, Mode::Cookie, ANN).await;
    let jwt = |header: Value, claims: Value| {
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("Bearer {}.{}.c2lnbmF0dXJl", part(header), part(claims))
    };
    let foreign = [
        jwt(
            json!({ "alg": "HS256", "typ": "JWT" }),
            json!({ "sub": "1", "iat": 1_516_239_022 }),
        ),
        jwt(
            json!({ "alg": "RS256", "kid": "a", "typ": "at+jwt" }),
            json!({ "iss": "https://idp.test" }),
        ),
        "Bearer opaque".to_owned(),
        "Basic YTpi".to_owned(),
    ];
    for foreign in foreign {
        let foreign = [("authorization", foreign.as_str())];
        let by_cookie = ann.peek("GET", "/api/me", None, &foreign).await;
        assert_eq!(by_cookie.json()["userId"], json!(ann.user_id()), "{by_cookie:?}");
        let alone = bare(&server).peek("GET", "/api/me", None, &foreign).await;
        left_alone(&alone, 401, "unauthorised");
        let optional = bare(&server).peek("GET", "/api/optional", None, &foreign).await;
        assert_eq!(optional.json(), json!({ "userId": null }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_an_expired_token_asks_for_a_refresh_also_where_a_session_is_optional() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        // The token's fifteen minutes and the leeway of ten seconds.
        server.moved(900).await;
        assert_eq!(ann.get("/api/secret").await.status, 200);
        server.moved(11).await;
        for path in ["/api/me", "/api/secret", "/api/optional", "/layered/secret"] {
            left_alone(&ann.get(path).await, 401, "try refresh token");
        }
        left_alone(&ann.sign_out().await, 401, "try refresh token");
        assert_eq!(ann.refresh().await.status, 200);
        assert_eq!(ann.get("/api/secret").await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_a_token_that_does_not_verify_asks_for_a_refresh() {
    for mode in MODES {
        let server = Server::start().await;
        let ann = full(&server, mode, ANN, PHONE).await;
        let token = ann.access_token().unwrap().to_owned();
        let parts: Vec<&str> = token.split('.').collect();
        let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(parts[0]).unwrap()).unwrap();
        let with = |name: &str, value: Value| {
            let mut header = header.clone();
            header[name] = value;
            URL_SAFE_NO_PAD.encode(header.to_string())
        };
        let payload = String::from_utf8(URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap();
        let raised = URL_SAFE_NO_PAD.encode(payload.replace("\"tId\":\"public\"", "\"tId\":\"acme\""));
        assert_ne!(raised, parts[1]);
        let kid = header["kid"].as_str().unwrap();
        let tokens = [
            // Another signature, another payload, a key that does not exist, a key of the other kind.
            format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode([7_u8; 64])),
            format!("{}.{}.{}", parts[0], raised, parts[2]),
            format!("{}.{}.{}", with("kid", json!("d-1")), parts[1], parts[2]),
            format!(
                "{}.{}.{}",
                with("kid", json!(kid.replace("d-", "s-"))),
                parts[1],
                parts[2]
            ),
        ];
        for token in tokens {
            let mut forger = ann.clone();
            forger.access = Some(token.clone());
            forger.cookies.insert("sAccessToken".to_owned(), token.clone());
            for path in ["/api/me", "/api/secret", "/api/optional"] {
                left_alone(&forger.get(path).await, 401, "try refresh token");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_across_sites_head_and_post_need_rid_and_get_does_not() {
    let server = cross_site().await;
    let mut ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    let text = json!({ "text": "hello" });
    let no_rid = [("rid", "-")];
    assert_eq!(ann.peek("GET", "/api/secret", None, &no_rid).await.status, 200);
    assert_eq!(ann.peek("HEAD", "/api/secret", None, &no_rid).await.status, 401);
    assert_eq!(ann.peek("HEAD", "/api/optional", None, &no_rid).await.status, 401);
    let refused = ann.peek("POST", "/api/comment", Some(&text), &no_rid).await;
    left_alone(&refused, 401, "try refresh token");
    let refused = ann.peek("PUT", "/auth/mfa/info", None, &no_rid).await;
    left_alone(&refused, 401, "try refresh token");
    let head = ann.peek("HEAD", "/api/secret", None, &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
    let saved = ann.post("/api/comment", text.clone()).await;
    assert_eq!(saved.json(), json!({ "saved": true, "text": "hello" }));

    // A token in the header was put there by a script that holds it.
    let ben = full(&server, Mode::Header, BEN, PHONE).await;
    assert_eq!(
        ben.peek("POST", "/api/comment", Some(&text), &no_rid)
            .await
            .status,
        200
    );
    assert_eq!(ben.peek("HEAD", "/api/secret", None, &no_rid).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_on_one_site_rid_is_not_asked_for() {
    let server = Server::start().await;
    let ann = full(&server, Mode::Cookie, ANN, PHONE).await;
    let text = json!({ "text": "hello" });
    let saved = ann
        .peek("POST", "/api/comment", Some(&text), &[("rid", "-")])
        .await;
    assert_eq!(saved.status, 200, "{saved:?}");
    assert_eq!(
        ann.peek("HEAD", "/api/secret", None, &[("rid", "-")])
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_a_session_revoked_elsewhere_fails_where_the_store_is_asked_and_here_at_once() {
    for mode in MODES {
        let server = Server::start_own().await;
        let mut ann = half(&server, mode, ANN).await;
        assert_eq!(ann.get("/checked").await.status, 200);
        assert_eq!(server.execute("DELETE FROM stepup_session").await, 1);
        // Another process did it: a token alone is good until it expires.
        assert_eq!(ann.get("/required").await.status, 200);
        signed_out(&ann.peek("GET", "/checked", None, &[]).await);
        signed_out(&ann.peek("PUT", "/auth/mfa/info", None, &[]).await);
        signed_out(&ann.peek("POST", "/auth/session/refresh", None, &[]).await);

        let mut ben = half(&server, mode, BEN).await;
        assert_eq!(ben.get("/required").await.status, 200);
        let handle = ben.handle().as_str().into();
        assert!(server.site.stepup.revoke(&handle).await.unwrap());
        for path in ["/required", "/optional", "/checked"] {
            signed_out(&ben.peek("GET", path, None, &[]).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_3_a_403_names_each_failing_claim_once_and_takes_nothing() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = half(&server, mode, ANN).await;
        for path in ["/api/secret", "/layered/secret"] {
            let refused = ann.get(path).await;
            left_alone(&refused, 403, "invalid claim");
            let errors = refused.json()["claimValidationErrors"].clone();
            assert_eq!(errors.as_array().unwrap().len(), 2);
            assert_eq!(errors[0]["id"], "st-mfa");
            assert_eq!(
                errors[1],
                json!({
                    "id": "2fa-completed",
                    "reason": { "message": "wrong value", "expectedValue": true, "actualValue": false },
                })
            );
        }
        ann.complete(&server, PHONE).await;
        assert_eq!(ann.call("POST", "/api/transfer", None, &[]).await.status, 200);
        server.moved(301).await;
        let stale = ann.call("POST", "/api/transfer", None, &[]).await;
        left_alone(&stale, 403, "invalid claim");
        assert_eq!(stale.failed_claims(), ["st-mfa"]);
        assert_eq!(ann.get("/api/secret").await.status, 200);
    }
}

// 4. Sign-out

#[tokio::test(flavor = "multi_thread")]
async fn checklist_4_sign_out_works_half_and_fully_signed_in_and_clears_its_mode() {
    for mode in MODES {
        let server = Server::start().await;
        let half = half(&server, mode, ANN).await;
        let full = full(&server, mode, BEN, PHONE).await;
        for mut client in [half, full] {
            let mut copy = client.clone();
            let out = client.sign_out().await;
            assert_eq!((out.status, out.json()), (200, json!({ "status": "OK" })));
            assert_eq!(out.header("front-token"), Some("remove"));
            assert!(exposed(&out).contains(&"front-token"));
            match mode {
                Mode::Cookie => {
                    assert!(
                        out.set_cookie("sAccessToken")
                            .unwrap()
                            .starts_with("sAccessToken=;")
                    );
                    assert!(
                        out.set_cookie("sRefreshToken")
                            .unwrap()
                            .starts_with("sRefreshToken=;")
                    );
                    assert_eq!(out.header("st-access-token"), None);
                }
                Mode::Header => {
                    assert_eq!(out.header("st-access-token"), Some(""));
                    assert_eq!(out.header("st-refresh-token"), Some(""));
                    assert_eq!(out.set_cookie("sAccessToken"), None);
                }
            }
            assert_eq!(copy.get("/api/me").await.status, 401);
            signed_out(&copy.refresh().await);
        }
        assert_eq!(server.number("SELECT count(*) FROM stepup_session").await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_4_sign_out_clears_although_the_session_is_gone() {
    for mode in MODES {
        for elsewhere in [true, false] {
            let server = Server::start().await;
            let mut ann = half(&server, mode, ANN).await;
            if elsewhere {
                server.execute("DELETE FROM stepup_session").await;
            } else {
                server
                    .site
                    .stepup
                    .revoke(&ann.handle().as_str().into())
                    .await
                    .unwrap();
            }
            let out = ann.sign_out().await;
            assert_eq!((out.status, out.status_field().as_str()), (200, "OK"), "{out:?}");
            assert_eq!(out.header("front-token"), Some("remove"));
            assert!(ann.front.is_none() && ann.access_token().is_none() && ann.refresh_token().is_none());
        }
        let server = Server::start().await;
        left_alone(&server.client(mode).sign_out().await, 401, "unauthorised");
    }
}

// 5. The payload

/// The front token's text and the access token's payload are the same bytes.
fn assert_same_bytes(client: &Client) {
    let front = STANDARD.decode(client.front.as_ref().unwrap()).unwrap();
    let front = String::from_utf8(front).unwrap();
    let up = front.split_once("\"up\":").unwrap().1.strip_suffix('}').unwrap();
    assert_eq!(up, client.token_payload());
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_5_a_payload_update_has_a_new_iat_the_same_exp_and_equal_bytes_on_both_sides() {
    for mode in MODES {
        let server = Server::start_own().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        assert_same_bytes(&ann);
        let before = ann.clone();
        server.moved(40).await;
        let patch = json!({
            "plan": { "v": "pro", "t": 1_764_000_000_000_i64 },
            "zeta": 1.0, "alpha": [1e3, -0.5, "\u{e9}\u{1F600}\"\\/"], "big": 9_007_199_254_740_993_i64, "nil": { "a": null },
        });
        let merged = ann.post("/merge", patch.clone()).await;
        assert_eq!(merged.status, 200, "{merged:?}");
        assert_same_bytes(&ann);
        let (old, new) = (before.payload(), ann.payload());
        for (key, value) in patch.as_object().unwrap() {
            assert_eq!(new[key], *value);
        }
        assert_eq!(new["exp"], old["exp"]);
        assert!(new["iat"].as_i64().unwrap() >= old["iat"].as_i64().unwrap() + 40);
        assert_eq!(new["refreshTokenHash1"], old["refreshTokenHash1"]);
        assert_ne!(ann.access_token(), before.access_token());
        assert_eq!(ann.refresh_token(), before.refresh_token());
        assert_eq!(new["2fa-completed"], old["2fa-completed"]);

        // What the client holds now is what the server reads, and a refresh keeps it.
        assert_eq!(ann.refresh().await.status, 200);
        assert_same_bytes(&ann);
        assert_eq!(ann.payload()["plan"], patch["plan"]);

        let removed = ann.post("/merge", json!({ "plan": null, "zeta": 2 })).await;
        assert_eq!(removed.status, 200);
        assert_same_bytes(&ann);
        assert!(ann.payload().get("plan").is_none());
        assert_eq!(ann.payload()["zeta"], 2);
        assert_eq!(ann.refresh().await.status, 200);
        assert!(ann.payload().get("plan").is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_5_a_payload_update_reaches_the_client_with_a_refusal_too() {
    for mode in MODES {
        let server = Server::start_own().await;
        let mut ann = half(&server, mode, ANN).await;
        let merged = ann.post("/merge/403", json!({ "plan": "pro" })).await;
        assert_eq!(merged.status, 403);
        assert_same_bytes(&ann);
        assert_eq!(ann.payload()["plan"], "pro");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_5_what_decides_is_never_the_applications_to_merge() {
    for mode in MODES {
        let server = Server::start_own().await;
        let mut ann = half(&server, mode, ANN).await;
        for key in [
            "sub",
            "iat",
            "exp",
            "sessionHandle",
            "parentRefreshTokenHash1",
            "refreshTokenHash1",
            "antiCsrfToken",
            "rsub",
            "tId",
            "stt",
            "st-mfa",
            "2fa-completed",
        ] {
            for value in [json!({ "v": true }), Value::Null] {
                let refused = ann.post("/merge", json!({ "plan": "pro", (key): value })).await;
                assert_eq!(refused.status, 422, "{key} {refused:?}");
                assert!(refused.touches_no_token());
            }
        }
        assert_eq!(ann.refresh().await.status, 200);
        assert!(ann.payload().get("plan").is_none());
        assert!(!ann.completed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_5_a_merge_by_handle_reaches_the_client_with_its_next_refresh() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        let handle = ann.handle().as_str().into();
        let patch = |value: Value| value.as_object().unwrap().clone();
        let stepup = &server.site.stepup;
        stepup
            .merge_payload(&handle, &patch(json!({ "plan": "pro" })))
            .await
            .unwrap()
            .unwrap();
        assert!(ann.get("/api/me").await.json()["claims"].get("plan").is_none());
        assert_eq!(ann.refresh().await.status, 200);
        assert_eq!(ann.payload()["plan"], "pro");
        assert_same_bytes(&ann);
        stepup
            .merge_payload(&handle, &patch(json!({ "plan": null })))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(ann.refresh().await.status, 200);
        assert!(ann.payload().get("plan").is_none());
    }
}

// 6. Keys

/// The ids in the key set.
async fn kids(server: &Server) -> Vec<String> {
    let set = bare(server).peek("GET", "/auth/jwt/jwks.json", None, &[]).await;
    assert_eq!(set.status, 200);
    assert_eq!(set.header("access-control-allow-origin"), Some("*"));
    let cached = set.header("cache-control").unwrap();
    let seconds: u32 = cached
        .split(|c: char| !c.is_ascii_digit())
        .find_map(|n| n.parse().ok())
        .unwrap_or_else(|| panic!("{cached}"));
    assert!(
        cached.contains("max-age=") && (1..=7 * DAY).contains(&seconds),
        "{cached}"
    );
    let keys = set.json()["keys"].as_array().unwrap().clone();
    for key in &keys {
        assert_eq!(
            (&key["kty"], &key["crv"], &key["alg"], &key["use"]),
            (&json!("EC"), &json!("P-256"), &json!("ES256"), &json!("sig"))
        );
        // Nothing private is shown.
        let names: Vec<&String> = key.as_object().unwrap().keys().collect();
        assert!(
            names
                .iter()
                .all(|n| ["kty", "kid", "crv", "x", "y", "alg", "use"].contains(&n.as_str())),
            "{names:?}"
        );
    }
    keys.iter()
        .map(|key| key["kid"].as_str().unwrap().to_owned())
        .collect()
}

fn kid(client: &Client) -> String {
    let header = client.access_token().unwrap().split('.').next().unwrap();
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).unwrap()).unwrap();
    assert_eq!(header["typ"], "JWT");
    assert!(header["version"].is_string());
    header["kid"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_6_during_a_rotation_both_keys_are_published_and_both_verify() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        let old = kid(&ann);
        assert!(old.starts_with("d-"));
        assert_eq!(kids(&server).await, std::slice::from_ref(&old));

        // Ten minutes before the key's end its successor is published and does not sign.
        let ends = server
            .number("SELECT max(signs_until) FROM stepup_signing_key")
            .await;
        let left = u32::try_from((ends - server.site.clock.now().as_ms()) / 1000).unwrap();
        for _ in 0..left / (3 * DAY) {
            server.moved(3 * DAY).await;
            assert_eq!(ann.refresh().await.status, 200);
        }
        let left = u32::try_from((ends - server.site.clock.now().as_ms()) / 1000).unwrap();
        server.moved(left - 600).await;
        assert_eq!(ann.refresh().await.status, 200);
        assert_eq!(kid(&ann), old);
        let published = kids(&server).await;
        assert_eq!(published.len(), 2, "{published:?}");
        assert!(published.contains(&old));
        let new = published.iter().find(|kid| **kid != old).unwrap().clone();

        // After it the new one signs, and what the old one signed verifies until it expires.
        server.moved(601).await;
        assert_eq!(ann.get("/api/secret").await.status, 200);
        let mut ben = half(&server, mode, BEN).await;
        assert_eq!(kid(&ben), new);
        assert_eq!(ben.get("/api/me").await.status, 200);
        assert_eq!(kids(&server).await.len(), 2);
        assert_eq!(ann.refresh().await.status, 200);
        assert_eq!(kid(&ann), new);
        assert_eq!(ann.get("/api/secret").await.status, 200);

        // When no token of the old key can be alive it is gone.
        server.moved(1000).await;
        assert_eq!(kids(&server).await, [new]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_6_keys_outlive_a_restart() {
    // The port is another one after a restart; the name, which tokens carry as their issuer, is not.
    let server = Server::start_with(|s| s.api_domain = Some("http://localhost:3000".to_owned())).await;
    let mut ann = full(&server, Mode::Header, ANN, PHONE).await;
    let before = kids(&server).await;
    let server = server.restart().await;
    assert_eq!(kids(&server).await, before);
    let mut again = server.client(Mode::Header);
    (again.access, again.refresh) = (ann.access.take(), ann.refresh.take());
    assert_eq!(again.get("/api/secret").await.status, 200);
    assert_eq!(again.refresh().await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_6_discovery_has_the_values_of_the_contract() {
    let server = Server::start().await;
    let found = bare(&server)
        .peek("GET", "/auth/.well-known/openid-configuration", None, &[])
        .await;
    assert_eq!(found.status, 200);
    assert_eq!(found.header("access-control-allow-origin"), Some("*"));
    let issuer = format!("http://localhost:{}/auth", server.address.port());
    assert_eq!(
        found.json(),
        json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/jwt/jwks.json"),
            "authorization_endpoint": format!("{issuer}/oauth/auth"),
            "token_endpoint": format!("{issuer}/oauth/token"),
            "userinfo_endpoint": format!("{issuer}/oauth/userinfo"),
            "revocation_endpoint": format!("{issuer}/oauth/revoke"),
            "token_introspection_endpoint": format!("{issuer}/oauth/introspect"),
            "end_session_endpoint": format!("{issuer}/oauth/end_session"),
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "response_types_supported": ["code", "id_token", "id_token token"],
        })
    );
    let ann = half(&server, Mode::Header, ANN).await;
    assert_eq!(ann.payload()["iss"], json!(issuer));
}

// 7. A client as it is

/// What React Native sends, header by header: the recipe's calls, the application's, refresh and sign-out without a body
/// and without a content type. `{access}` and `{refresh}` stand for the tokens that it keeps.
const SIGN_UP: &str = "POST /auth/signup HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
    fdi-version: 1.16,1.17,1.18,1.19,2.0,3.0,3.1,4.0,4.1\r\nrid: emailpassword\r\nst-auth-mode: header\r\n\
    accept: */*\r\nuser-agent: okhttp/4.12.0\r\naccept-encoding: gzip\r\n";
const GET_SECRET: &str = "GET /api/secret HTTP/1.1\r\nhost: {host}\r\nrid: anti-csrf\r\nst-auth-mode: header\r\n\
    authorization: Bearer {access}\r\naccept: */*\r\nuser-agent: okhttp/4.12.0\r\naccept-encoding: gzip\r\n";
const REFRESH: &str = "POST /auth/session/refresh HTTP/1.1\r\nhost: {host}\r\nrid: session\r\n\
    fdi-version: 1.16,1.17,1.18,1.19,2.0,3.0,3.1,4.0,4.1\r\nst-auth-mode: header\r\n\
    authorization: Bearer {refresh}\r\naccept: */*\r\nuser-agent: okhttp/4.12.0\r\naccept-encoding: gzip\r\n";
const CREATE: &str = "POST /auth/signinup/code HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
    fdi-version: 1.16,1.17,1.18,1.19,2.0,3.0,3.1,4.0,4.1\r\nrid: passwordless\r\nst-auth-mode: header\r\n\
    authorization: Bearer {access}\r\naccept: */*\r\nuser-agent: okhttp/4.12.0\r\naccept-encoding: gzip\r\n";
const CONSUME: &str = "POST /auth/signinup/code/consume HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n\
    fdi-version: 1.16,1.17,1.18,1.19,2.0,3.0,3.1,4.0,4.1\r\nrid: passwordless\r\nst-auth-mode: header\r\n\
    authorization: Bearer {access}\r\naccept: */*\r\nuser-agent: okhttp/4.12.0\r\naccept-encoding: gzip\r\n";
const SIGN_OUT: &str = "POST /auth/signout HTTP/1.1\r\nhost: {host}\r\nrid: session\r\n\
    fdi-version: 1.16,1.17,1.18,1.19,2.0,3.0,3.1,4.0,4.1\r\nst-auth-mode: header\r\n\
    authorization: Bearer {access}\r\naccept: */*\r\nuser-agent: okhttp/4.12.0\r\naccept-encoding: gzip\r\n";

/// Sends a recorded request with the tokens of `client`, and keeps what comes back.
async fn replay(server: &Server, client: &mut Client, recorded: &str, body: Option<&Value>) -> Response {
    let body = body.map(Value::to_string).unwrap_or_default();
    let mut text = recorded
        .replace("{host}", &format!("localhost:{}", server.address.port()))
        .replace("{access}", client.access.as_deref().unwrap_or_default())
        .replace("{refresh}", client.refresh.as_deref().unwrap_or_default());
    text.push_str(&format!(
        "connection: close\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ));
    let response = server.raw(text.as_bytes()).await;
    // Both tokens come back in headers, no cookie ever, and `front-token` with each change.
    assert_eq!(
        response.all("set-cookie").filter(|c| !c.contains("=;")).count(),
        0
    );
    client.absorb(&response);
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn checklist_7_react_native_in_header_mode_from_sign_up_to_sign_out() {
    let server = Server::start().await;
    let mut app = server.client(Mode::Header);
    let signed_up = replay(&server, &mut app, SIGN_UP, Some(&form(ANN, PASSWORD))).await;
    assert_eq!(signed_up.status_field(), "OK", "{signed_up:?}");
    assert!(app.access.is_some() && app.refresh.is_some() && app.front.is_some());

    let refused = replay(&server, &mut app, GET_SECRET, None).await;
    assert_eq!(refused.status, 403);
    assert_eq!(refused.failed_claims(), ["st-mfa", "2fa-completed"]);

    let created = replay(&server, &mut app, CREATE, Some(&json!({ "phoneNumber": PHONE }))).await;
    assert_eq!(created.status_field(), "OK", "{created:?}");
    let body = crate::kit::answer(&created.json(), &server.code().await);
    let consumed = replay(&server, &mut app, CONSUME, Some(&body)).await;
    assert_eq!(consumed.status_field(), "OK", "{consumed:?}");
    assert!(app.completed());
    assert_eq!(replay(&server, &mut app, GET_SECRET, None).await.status, 200);

    // The token expires; several screens ask at once, one refresh serves them all.
    server.moved(911).await;
    for _ in 0..2 {
        let refused = replay(&server, &mut app, GET_SECRET, None).await;
        left_alone(&refused, 401, "try refresh token");
    }
    let before = (app.access.clone(), app.refresh.clone());
    let refreshed = replay(&server, &mut app, REFRESH, None).await;
    assert_eq!(
        (refreshed.status, refreshed.json()),
        (200, json!({})),
        "{refreshed:?}"
    );
    assert!(refreshed.header("front-token").is_some());
    assert_ne!((app.access.clone(), app.refresh.clone()), before);
    assert_eq!(replay(&server, &mut app, GET_SECRET, None).await.status, 200);

    let mut held = app.clone();
    let out = replay(&server, &mut app, SIGN_OUT, None).await;
    assert_eq!((out.status, out.json()), (200, json!({ "status": "OK" })));
    assert_eq!(out.header("front-token"), Some("remove"));
    assert_eq!(replay(&server, &mut held, GET_SECRET, None).await.status, 401);
    let dead = replay(&server, &mut held, REFRESH, None).await;
    assert_eq!(dead.status, 401);
    assert_eq!(dead.header("front-token"), Some("remove"));
}
