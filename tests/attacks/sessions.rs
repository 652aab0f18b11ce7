//! Rows A-SES: planted, copied, replayed, raced and outlived session tokens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use stepup::flow::Changed;
use stepup::{TenantId, UserId};
use stepup_core::id::SessionHandle;
use tokio::sync::Barrier;

use super::expect::{
    e401, e401_silent, e401_theft, e401_try_refresh, e403_claims, is_dead, is_dead_at_the_store, lives,
    refresh, secret, sessions, unavailable, user,
};
use crate::kit::own::CHANGES;
use crate::kit::{Client, MODES, Mode, OTHER_PHONE, PHONE, Response, Server, answer, full, half, returning};

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";
const MALLORY: &str = "mallory@example.com";

const MINUTE: u32 = 60;
const DAY: u32 = 24 * 60 * MINUTE;

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_01_a_planted_session_is_never_adopted() {
    for mode in MODES {
        let server = Server::start().await;
        full(&server, mode, ANN, PHONE).await.sign_out().await;
        let mut mallory = full(&server, mode, MALLORY, OTHER_PHONE).await;
        let mut random = mallory.clone();
        for value in random.cookies.values_mut() {
            *value = "planted".to_owned();
        }
        random.access = random.access.map(|_| "planted".to_owned());
        random.refresh = random.refresh.map(|_| "planted".to_owned());
        for planted in [mallory.clone(), random] {
            let mut browser = planted.clone();
            assert_eq!(browser.sign_in(ANN).await.status_field(), "OK");
            assert_ne!(browser.user_id(), mallory.user_id());
            assert_ne!(browser.handle(), mallory.handle());
            assert_ne!(browser.access_token(), planted.access_token());
            assert_ne!(browser.refresh_token(), planted.refresh_token());
            // Mallory's complete session completes nobody else's.
            assert!(!browser.completed());
            e403_claims(&secret(&browser).await, &["st-mfa", "2fa-completed"]);
        }
        let seen = mallory.get("/api/secret").await.json();
        assert_eq!(seen["userId"], mallory.user_id());
        lives(&mut mallory).await;
        assert_eq!(server.number("SELECT count(*) FROM stepup_user").await, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_02_the_half_logins_access_token_keeps_its_half_rights() {
    for mode in MODES {
        let server = Server::start().await;
        let enrolling = half(&server, mode, ANN).await;
        let proving = returning(&server, mode, BOB, OTHER_PHONE).await;
        for (mut client, phone) in [(enrolling, PHONE), (proving, OTHER_PHONE)] {
            let before = client.clone();
            client.complete(&server, phone).await;
            assert_eq!(before.handle(), client.handle());
            assert_eq!(before.user_id(), client.user_id());
            assert_ne!(before.access_token(), client.access_token());
            assert_ne!(before.refresh_token(), client.refresh_token());
            for path in ["/api/secret", "/layered/secret"] {
                let refused = before.peek("GET", path, None, &[]).await;
                e403_claims(&refused, &["st-mfa", "2fa-completed"]);
            }
            // Nor does the endpoint that brings a token up to date make it a better one.
            let mut copy = before.clone();
            let info = copy.call("PUT", "/auth/mfa/info", Some(json!({})), &[]).await;
            assert_eq!(info.status_field(), "OK", "{info:?}");
            assert!(info.touches_no_token(), "{info:?}");
            assert_eq!(info.json()["factors"]["next"], json!(["otp-phone"]));
            e403_claims(&secret(&copy).await, &["st-mfa", "2fa-completed"]);
            lives(&mut client).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_03_a_replayed_refresh_token_ends_the_session() {
    for mode in MODES {
        let server = Server::start().await;
        let elsewhere = server.second().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        let mut bob = full(&server, mode, BOB, OTHER_PHONE).await;
        let stolen = ann.clone();
        assert_eq!(ann.refresh().await.status, 200);
        server.moved(31).await;
        elsewhere.moved(31).await;

        e401_theft(&refresh(&stolen).await);
        assert_eq!(sessions(&server).await, 1, "bob's");
        is_dead(&ann).await;
        is_dead_at_the_store(&ann.moved_to(&elsewhere)).await;
        e401(&refresh(&stolen).await);
        lives(&mut bob).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_04_the_grace_covers_the_predecessor_only() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        let first = ann.clone();
        ann.refresh().await;
        let second = ann.clone();
        ann.refresh().await;
        // The predecessor is answered the current token once more.
        let again = refresh(&second).await;
        assert_eq!(again.status, 200);
        let mut copy = second.clone();
        copy.absorb(&again);
        assert_eq!(copy.refresh_token(), ann.refresh_token());
        // Its own predecessor is not.
        e401_theft(&refresh(&first).await);
        is_dead(&ann).await;
        assert_eq!(sessions(&server).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_02_a_token_from_before_a_step_up_is_no_fresher_by_it() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        server.moved(6 * MINUTE).await;
        let before = ann.clone();
        ann.complete(&server, PHONE).await;
        assert_eq!(ann.post("/api/transfer", json!({})).await.status, 200);
        let stale = before.peek("POST", "/api/transfer", Some(&json!({})), &[]).await;
        e403_claims(&stale, &["st-mfa"]);
        let mut copy = before.clone();
        let info = copy.call("PUT", "/auth/mfa/info", Some(json!({})), &[]).await;
        assert_eq!(info.status_field(), "OK", "{info:?}");
        assert!(info.touches_no_token(), "{info:?}");
        e403_claims(&copy.post("/api/transfer", json!({})).await, &["st-mfa"]);
        lives(&mut ann).await;
    }
}

/// Uses the refresh token of `client` in as many requests at once, over these servers in turn.
async fn race(client: &Client, servers: &[&Server], times: usize) -> Vec<Response> {
    let barrier = Arc::new(Barrier::new(times));
    let tasks: Vec<_> = (0..times)
        .map(|n| {
            let client = client.moved_to(servers[n % servers.len()]);
            let barrier = Arc::clone(&barrier);
            tokio::spawn(async move {
                barrier.wait().await;
                refresh(&client).await
            })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_ses_05_a_race_of_refreshes_has_one_successor() {
    let server = Server::start().await;
    let second = server.second().await;
    for servers in [&[&server][..], &[&server, &second]] {
        for mode in MODES {
            let nth = servers.len() * 2 + usize::from(mode == Mode::Header);
            let (email, phone) = (format!("ann{nth}@example.com"), format!("+4179123456{nth}"));
            let mut ann = full(&server, mode, &email, &phone).await;
            let before = sessions(&server).await;
            let old = ann.refresh_token().unwrap().to_owned();
            let mut successors = Vec::new();
            for answer in race(&ann, servers, 32).await {
                assert_eq!(answer.status, 200, "{answer:?}");
                let mut copy = ann.clone();
                copy.absorb(&answer);
                assert_eq!(secret(&copy).await.status, 200);
                successors.push(copy);
            }
            let next = successors[0].refresh_token().unwrap().to_owned();
            assert_ne!(next, old);
            assert!(
                successors
                    .iter()
                    .all(|c| c.refresh_token() == Some(next.as_str()))
            );
            assert_eq!(sessions(&server).await, before);
            // Exactly that one is live: it rotates, and the retired one is not answered its own successor again.
            ann = successors.pop().unwrap();
            lives(&mut ann).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_06_thief_and_owner_never_hold_two_chains() {
    for mode in MODES {
        for thief_first in [true, false] {
            let server = Server::start().await;
            let mut ann = full(&server, mode, ANN, PHONE).await;
            let mut mallory = ann.clone();
            let (first, last) = if thief_first {
                (&mut mallory, &mut ann)
            } else {
                (&mut ann, &mut mallory)
            };
            assert_eq!(first.refresh().await.status, 200);
            server.moved(29).await;
            assert_eq!(last.refresh().await.status, 200);
            assert_eq!(first.refresh_token(), last.refresh_token());
            // Once either rotates it, the other's copy is retired.
            assert_eq!(first.refresh().await.status, 200);
            server.moved(31).await;
            e401_theft(&refresh(last).await);
            is_dead(first).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_06_grace_is_theft_from_another_network_and_another_agent() {
    let server = Server::start_with(|s| s.trusted_proxies = vec!["127.0.0.1".to_owned()]).await;
    for (n, (network, agent, same)) in [
        ("198.51.100.7", "Other/1", false),
        ("198.51.100.7", "Firefox/1", true),
        ("192.0.2.1", "Other/1", true),
    ]
    .into_iter()
    .enumerate()
    {
        let mut ann = server.client(Mode::Cookie);
        let from = |network: &str, agent: &str| {
            vec![
                ("x-forwarded-for".to_owned(), network.to_owned()),
                ("user-agent".to_owned(), agent.to_owned()),
            ]
        };
        ann.extra = from("192.0.2.1", "Firefox/1");
        ann.sign_up(&format!("ann{n}@example.com")).await;
        ann.complete(&server, PHONE).await;
        let mut mallory = ann.clone();
        mallory.extra = from(network, agent);
        assert_eq!(ann.refresh().await.status, 200);
        let answer = refresh(&mallory).await;
        if same {
            assert_eq!(answer.status, 200, "{network} {agent}");
            lives(&mut ann).await;
        } else {
            e401_theft(&answer);
            is_dead(&ann).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_07_a_restart_forgets_no_reuse() {
    for mode in MODES {
        let mut server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        let stolen = ann.clone();
        ann.refresh().await;

        // Inside the grace the same successor, though whoever answers it has never seen it.
        server = server.restart().await;
        let mut late = stolen.clone();
        assert_eq!(late.refresh().await.status, 200);
        assert_eq!(late.refresh_token(), ann.refresh_token());

        server.moved(31).await;
        server = server.restart().await;
        e401_theft(&refresh(&stolen).await);
        assert_eq!(sessions(&server).await, 0);

        let _server = server.restart().await;
        is_dead_at_the_store(&ann).await;
        e401(&refresh(&stolen).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_08_nothing_works_after_sign_out() {
    for mode in MODES {
        let server = Server::start().await;
        let elsewhere = server.second().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        let mut bob = full(&server, mode, BOB, OTHER_PHONE).await;
        let copy = ann.clone();
        let left = ann.sign_out().await;
        assert_eq!(left.status_field(), "OK");
        assert!(ann.access_token().is_none() && ann.refresh_token().is_none() && ann.front.is_none());

        is_dead(&copy).await;
        // Another process refuses it where it asks the store, and elsewhere once the token expires.
        let there = copy.moved_to(&elsewhere);
        is_dead_at_the_store(&there).await;
        assert_eq!(secret(&there).await.status, 200);
        elsewhere.moved(15 * MINUTE + 11).await;
        e401_try_refresh(&secret(&there).await);
        assert_eq!(sessions(&server).await, 1);
        lives(&mut bob).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_09_a_change_of_password_ends_every_session() {
    for mode in MODES {
        for what in [Changed::Password, Changed::Contact] {
            let server = Server::start().await;
            let elsewhere = server.second().await;
            let first = full(&server, mode, ANN, PHONE).await;
            let mut second = server.client(mode);
            second.sign_in(ANN).await;
            server.moved(20).await;
            elsewhere.moved(20).await;
            second.complete(&server, PHONE).await;
            let mut bob = full(&server, mode, BOB, OTHER_PHONE).await;

            let (tenant, ann) = user(&first);
            assert!(
                server
                    .site
                    .stepup
                    .user_changed(&tenant, &ann, what)
                    .await
                    .unwrap()
            );
            for client in [&first, &second] {
                is_dead(client).await;
                let there = client.moved_to(&elsewhere);
                is_dead_at_the_store(&there).await;
            }
            elsewhere.moved(15 * MINUTE + 11).await;
            e401_try_refresh(&secret(&first.moved_to(&elsewhere)).await);
            assert_eq!(sessions(&server).await, 1);
            lives(&mut bob).await;

            let mut anew = server.client(mode);
            assert_eq!(anew.sign_in(ANN).await.status_field(), "OK");
            e403_claims(&secret(&anew).await, &["st-mfa", "2fa-completed"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_10_the_first_enrollment_ends_every_other_session() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = half(&server, mode, ANN).await;
        let mut other = server.client(mode);
        other.sign_in(ANN).await;
        let in_flight = other.create_code(OTHER_PHONE).await;
        assert_eq!(in_flight.status_field(), "OK");
        let code = server.code().await;
        let mut bob = full(&server, mode, BOB, OTHER_PHONE).await;

        server.moved(20).await;
        ann.complete(&server, PHONE).await;
        e401(
            &other
                .peek(
                    "POST",
                    "/auth/signinup/code/consume",
                    Some(&answer(&in_flight.json(), &code)),
                    &[],
                )
                .await,
        );
        is_dead(&other).await;
        assert_eq!(sessions(&server).await, 2);
        assert_eq!(
            server
                .number("SELECT count(*) FROM stepup_credential WHERE kind <> 'password'")
                .await,
            2
        );
        lives(&mut ann).await;
        lives(&mut bob).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_10_a_reset_of_the_factors_ends_every_session() {
    for mode in MODES {
        let server = Server::start().await;
        let ann = full(&server, mode, ANN, PHONE).await;
        let mut waiting = server.client(mode);
        waiting.sign_in(ANN).await;
        let mut bob = full(&server, mode, BOB, OTHER_PHONE).await;

        let (tenant, id) = user(&ann);
        assert!(server.site.stepup.reset_factors(&tenant, &id).await.unwrap());
        is_dead(&ann).await;
        is_dead(&waiting).await;
        assert_eq!(sessions(&server).await, 1);
        lives(&mut bob).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_11_a_half_login_dies_with_the_old_password() {
    for mode in MODES {
        let server = Server::start().await;
        let mut mallory = returning(&server, mode, ANN, PHONE).await;
        let created = mallory.create_code(PHONE).await;
        assert_eq!(created.status_field(), "OK");
        let code = server.code().await;

        let (tenant, ann) = user(&mallory);
        assert!(
            server
                .site
                .stepup
                .user_changed(&tenant, &ann, Changed::Password)
                .await
                .unwrap()
        );
        let copy = mallory.clone();
        e401(&mallory.consume(&created.json(), &code).await);
        is_dead(&copy).await;
        assert_eq!(sessions(&server).await, 0);
    }
}

/// The check of an old password may outlast the change of it: what it found then counts for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_ses_11_a_log_in_under_way_ends_with_the_password_that_it_was_checked_against() {
    for mode in MODES {
        let server = Server::start_own().await;
        let log_in = async |user: &str, change: usize| {
            let mut client = server.client(mode);
            let path = format!("/login/{user}/{change}");
            let answer = client.call("POST", &path, None, &[]).await;
            (answer, client)
        };
        for (index, what) in CHANGES.iter().enumerate() {
            // A user who has signed in before, and one who never has: no row of ours speaks of that one yet.
            for known in [true, false] {
                let user = format!("{what:?}-{known}");
                if known {
                    assert_eq!(log_in(&user, CHANGES.len()).await.0.status, 204);
                }
                let (refused, client) = log_in(&user, index).await;
                assert_eq!(refused.status, 403, "{what:?} {refused:?}");
                assert!(client.access_token().is_none(), "{what:?}");
                assert_eq!(sessions(&server).await, 0, "{what:?}");
                // Whoever begins after the change signs in, where that is allowed.
                let status = match what {
                    Changed::Disabled | Changed::Deleted => 403,
                    _ => 204,
                };
                assert_eq!(log_in(&user, CHANGES.len()).await.0.status, status, "{what:?}");
                server.execute("DELETE FROM stepup_session").await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_12_a_disabled_or_deleted_user_is_out_at_once() {
    for mode in MODES {
        for delete in [false, true] {
            let server = Server::start().await;
            let elsewhere = server.second().await;
            let bob = full(&server, mode, BOB, OTHER_PHONE).await;
            let mut waiting = server.client(mode);
            waiting.sign_in(BOB).await;
            server.moved(20).await;
            elsewhere.moved(20).await;
            let created = waiting.create_code(OTHER_PHONE).await;
            assert_eq!(created.status_field(), "OK");
            let code = server.code().await;
            let mut ann = full(&server, mode, ANN, PHONE).await;
            let sent = server.codes_sent().await;

            let (tenant, id) = user(&bob);
            let stepup = &server.site.stepup;
            let there = if delete {
                stepup.delete(&tenant, &id).await
            } else {
                stepup.disable(&tenant, &id).await
            };
            assert!(there.unwrap());
            for consume_at in [&server, &elsewhere] {
                let answer = answer(&created.json(), &code);
                let consumed = waiting
                    .moved_to(consume_at)
                    .peek("POST", "/auth/signinup/code/consume", Some(&answer), &[])
                    .await;
                e401(&consumed);
            }
            for client in [&bob, &waiting] {
                is_dead(client).await;
                is_dead_at_the_store(&client.moved_to(&elsewhere)).await;
            }
            for server in [&server, &elsewhere] {
                let mut again = server.client(mode);
                let refused = again.sign_in(BOB).await;
                assert_eq!(
                    (refused.status, refused.status_field().as_str()),
                    (200, "WRONG_CREDENTIALS_ERROR")
                );
                assert!(again.access_token().is_none() && refused.header("front-token").is_none());
            }
            assert_eq!(server.codes_sent().await, sent);
            assert_eq!(sessions(&server).await, 1);
            lives(&mut ann).await;

            if !delete {
                // Let in again, what was ended stays ended.
                assert!(stepup.enable(&tenant, &id).await.unwrap());
                is_dead(&bob).await;
                assert_eq!(server.client(mode).sign_in(BOB).await.status_field(), "OK");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_14_refreshes_move_the_idle_limit_and_never_the_absolute_one() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        for day in 1..30 {
            server.moved(DAY).await;
            assert_eq!(ann.refresh().await.status, 200, "day {day}");
        }
        assert_eq!(secret(&ann).await.status, 200);
        server.moved(DAY - 10 * MINUTE).await;
        assert_eq!(ann.refresh().await.status, 200, "ten minutes before the end");
        // The last access token does not outlive the session.
        server.moved(10 * MINUTE + 11).await;
        e401_try_refresh(&secret(&ann).await);
        e401(&refresh(&ann).await);

        let mut ann = server.client(mode);
        ann.sign_in(ANN).await;
        ann.complete(&server, PHONE).await;
        server.moved(6 * DAY).await;
        assert_eq!(ann.refresh().await.status, 200, "idle for six days");
        server.moved(7 * DAY + 1).await;
        e401(&refresh(&ann).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_14_a_half_login_ends_whatever_it_refreshes() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = returning(&server, mode, ANN, PHONE).await;
        for _ in 0..4 {
            server.moved(3 * MINUTE + 30).await;
            assert_eq!(ann.refresh().await.status, 200);
        }
        server.moved(MINUTE + 1).await;
        e401(&refresh(&ann).await);
        // Its last access token ended with it.
        e401_try_refresh(&ann.clone().create_code(PHONE).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_16_the_half_logins_refresh_token_never_becomes_a_complete_one() {
    for mode in MODES {
        for enrolled in [false, true] {
            let server = Server::start().await;
            let elsewhere = server.second().await;
            let mut ann = if enrolled {
                returning(&server, mode, ANN, PHONE).await
            } else {
                half(&server, mode, ANN).await
            };
            let stolen = ann.clone();
            ann.complete(&server, PHONE).await;
            for wait in [1, 28] {
                server.moved(wait).await;
                elsewhere.moved(wait).await;
                for server in [&server, &elsewhere] {
                    let before = server.dump().await;
                    e401_silent(&refresh(&stolen.moved_to(server)).await);
                    assert_eq!(server.dump().await, before);
                    assert_eq!(secret(&ann.moved_to(server)).await.status, 200);
                }
            }
            lives(&mut ann).await;
            // A rotation since does not make the old token a predecessor.
            e401_silent(&refresh(&stolen).await);
            server.moved(32).await;
            elsewhere.moved(32).await;
            e401_theft(&refresh(&stolen.moved_to(&elsewhere)).await);
            is_dead_at_the_store(&ann).await;
            assert_eq!(sessions(&server).await, 0);
        }
    }
}

/// The refresh token of `client`, taken apart and put together otherwise.
fn forged(client: &Client, change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut bytes = URL_SAFE_NO_PAD.decode(client.refresh_token().unwrap()).unwrap();
    change(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_17_nobody_ends_a_session_by_its_readable_handle() {
    for mode in MODES {
        let server = Server::start().await;
        let mut ann = full(&server, mode, ANN, PHONE).await;
        let mallory = full(&server, mode, MALLORY, OTHER_PHONE).await;
        let handle = ann.handle();
        let put_handle = |bytes: &mut Vec<u8>| {
            let theirs = mallory.handle();
            let at = bytes
                .windows(theirs.len())
                .position(|window| window == theirs.as_bytes())
                .unwrap();
            bytes[at..at + theirs.len()].copy_from_slice(handle.as_bytes());
        };
        let generation = |by: u8| {
            move |bytes: &mut Vec<u8>| {
                let last_byte = bytes.len() - 16 - 32 - 1;
                bytes[last_byte] = bytes[last_byte].wrapping_add(by);
            }
        };
        let guesses = [
            handle.clone(),
            URL_SAFE_NO_PAD.encode(&handle),
            URL_SAFE_NO_PAD.encode(format!("{handle}{}", "x".repeat(60))),
            forged(&mallory, put_handle),
            forged(&ann, generation(1)),
            forged(&ann, generation(255)),
            forged(&ann, |bytes| *bytes.last_mut().unwrap() ^= 1),
            forged(&ann, |bytes| {
                let secret = bytes.len() - 17;
                bytes[secret] ^= 1;
            }),
            forged(&ann, |bytes| bytes.truncate(bytes.len() - 16)),
        ];
        let before = server.dump().await;
        // No guess gets as far as the store, so it makes no difference whether there is one.
        for store in [true, false] {
            if !store {
                server.execute("ALTER TABLE stepup_session RENAME TO away").await;
            }
            for guess in &guesses {
                let mut thief = server.client(mode);
                match mode {
                    Mode::Cookie => drop(thief.cookies.insert("sRefreshToken".to_owned(), guess.clone())),
                    Mode::Header => thief.refresh = Some(guess.clone()),
                }
                e401(&refresh(&thief).await);
            }
        }
        unavailable(&refresh(&ann).await);
        server.execute("ALTER TABLE away RENAME TO stepup_session").await;
        assert_eq!(server.dump().await, before);
        lives(&mut ann).await;
    }
}

/// What ends sessions.
#[derive(Clone, Copy, Debug)]
enum End {
    SignOut,
    Theft,
    Revoke,
    RevokeAll,
    Password,
    Disable,
    Delete,
    Reset,
}

impl End {
    const ALL: [Self; 8] = [
        Self::SignOut,
        Self::Theft,
        Self::Revoke,
        Self::RevokeAll,
        Self::Password,
        Self::Disable,
        Self::Delete,
        Self::Reset,
    ];

    async fn happen(self, server: &Server, client: &Client, retired: &Client) {
        let (tenant, id) = user(client);
        let stepup = &server.site.stepup;
        match self {
            Self::SignOut => assert_eq!(client.clone().sign_out().await.status_field(), "OK"),
            Self::Theft => e401_theft(&refresh(retired).await),
            Self::Revoke => {
                let handle = SessionHandle::from(client.handle().as_str());
                assert!(stepup.revoke(&handle).await.unwrap());
            }
            Self::RevokeAll => assert_eq!(stepup.revoke_all(&tenant, &id).await.unwrap().len(), 1),
            Self::Password => assert!(
                stepup
                    .user_changed(&tenant, &id, Changed::Password)
                    .await
                    .unwrap()
            ),
            Self::Disable => assert!(stepup.disable(&tenant, &id).await.unwrap()),
            Self::Delete => assert!(stepup.delete(&tenant, &id).await.unwrap()),
            Self::Reset => assert!(stepup.reset_factors(&tenant, &id).await.unwrap()),
        }
    }
}

/// A complete session with a retired refresh token, and another access token of it that no server has seen yet.
async fn copied(server: &Server, mode: Mode, email: &str, phone: &str) -> (Client, Client, Client) {
    let mut ann = full(server, mode, email, phone).await;
    let retired = ann.clone();
    ann.refresh().await;
    let warm = ann.clone();
    assert_eq!(secret(&warm).await.status, 200);
    server.moved(31).await;
    let mut cold = ann;
    cold.refresh().await;
    assert_ne!(warm.access_token(), cold.access_token());
    (warm, cold, retired)
}

/// Whether the server knows the client's access token without verifying it: it hands out what it has.
fn is_remembered(server: &Server, client: &Client) -> bool {
    let verify = || server.site.stepup.verify(client.access_token().unwrap()).unwrap();
    Arc::ptr_eq(&verify(), &verify())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_18_no_request_begun_after_the_answer_to_a_sign_out_is_admitted() {
    for mode in MODES {
        let server = Server::start().await;
        let ann = full(&server, mode, ANN, PHONE).await;
        let over = Arc::new(AtomicBool::new(false));
        let load: Vec<_> = (0..8)
            .map(|_| {
                let (ann, over) = (ann.clone(), Arc::clone(&over));
                tokio::spawn(async move {
                    let (mut admitted, mut refused) = (0, 0);
                    while refused < 5 {
                        let begun_after = over.load(Ordering::SeqCst);
                        let answer = secret(&ann).await;
                        match answer.status {
                            200 if !begun_after => admitted += 1,
                            200 => panic!("admitted after the answer"),
                            _ => {
                                e401(&answer);
                                refused += 1;
                            }
                        }
                    }
                    admitted
                })
            })
            .collect();
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        assert!(is_remembered(&server, &ann));
        assert_eq!(ann.clone().sign_out().await.status_field(), "OK");
        over.store(true, Ordering::SeqCst);
        for task in load {
            assert!(task.await.unwrap() > 0);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_18_a_revocation_holds_for_the_very_next_request() {
    for mode in MODES {
        for end in End::ALL {
            let server = Server::start().await;
            let (warm, cold, retired) = copied(&server, mode, ANN, PHONE).await;
            let mut bob = full(&server, mode, BOB, OTHER_PHONE).await;
            assert!(is_remembered(&server, &warm));
            end.happen(&server, &cold, &retired).await;
            assert!(is_remembered(&server, &warm), "it was forgotten by chance");
            for client in [&warm, &cold] {
                e401(&secret(client).await);
                e401(&client.peek("GET", "/layered/secret", None, &[]).await);
                e401(&client.peek("GET", "/api/me", None, &[]).await);
            }
            lives(&mut bob).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ses_18_an_overflow_of_the_memory_asks_the_store_and_opens_nothing() {
    const ROOM: usize = 64;
    let server =
        Server::start_with(|settings| settings.configure = |config| config.sessions.revocations = ROOM).await;
    let elsewhere = server.second().await;
    let mut bob = full(&server, Mode::Header, BOB, OTHER_PHONE).await;
    let mut ended = Vec::new();
    for (n, end) in End::ALL.into_iter().enumerate() {
        let (email, phone) = (format!("ann{n}@example.com"), format!("+4179123451{n}"));
        let (warm, cold, retired) = copied(&server, Mode::Header, &email, &phone).await;
        elsewhere.moved(31).await;
        ended.push((end, warm, cold, retired));
    }
    let leaver = full(&server, Mode::Header, MALLORY, OTHER_PHONE).await;
    let unknown = UserId::from("nobody");
    for n in 0..ROOM {
        let handle = SessionHandle::from(format!("unknown-{n}").as_str());
        assert!(!server.site.stepup.revoke(&handle).await.unwrap());
    }
    // Nothing more fits: neither handles nor users.
    assert!(
        !server
            .site
            .stepup
            .disable(&TenantId::public(), &unknown)
            .await
            .unwrap()
    );
    for (end, warm, cold, retired) in &ended {
        end.happen(&server, cold, retired).await;
        for client in [warm, cold] {
            e401(&secret(client).await);
        }
    }
    // The store is asked: what another process ended is refused too.
    assert_eq!(secret(&leaver).await.status, 200);
    leaver.moved_to(&elsewhere).sign_out().await;
    e401(&secret(&leaver).await);
    // A store that does not answer denies, and nobody is signed out by it.
    server.execute("ALTER TABLE stepup_session RENAME TO away").await;
    unavailable(&secret(&bob).await);
    server.execute("ALTER TABLE away RENAME TO stepup_session").await;
    lives(&mut bob).await;
    // Once what did not fit has expired, a token is trusted again without the store.
    server.moved(15 * MINUTE + 21).await;
    bob.refresh().await;
    server.execute("ALTER TABLE stepup_session RENAME TO away").await;
    assert_eq!(secret(&bob).await.status, 200);
}
