//! An issuer that is down, slow, endless, or elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::json;
use stepup_core::provider::Provider;

use super::fake::{Names, Reply, Server, found_by};
use super::world::{World, code, reason, request, secret};
use crate::address::Lookup;
use crate::client::Client;
use crate::http::MAX_ANSWER;
use crate::openid;

const DOCUMENTS: [&str; 3] = ["/.well-known/openid-configuration", "/token", "/keys"];

/// Signs in at an issuer of whom one document is wrong.
async fn with(path: &str, reply: Reply) -> String {
    let world = World::new().await;
    world.issuer.answers(path, reply);
    reason(world.sign_in().await)
}

#[tokio::test]
async fn a_provider_that_fails_is_unavailable() {
    for path in DOCUMENTS {
        for status in [500, 502, 503, 429] {
            assert_eq!(
                with(path, Reply::Status(status, json!({ "error": "canary" }))).await,
                "unavailable",
                "{path}"
            );
        }
    }
}

#[tokio::test]
async fn a_provider_that_is_not_there_is_unavailable() {
    let world = World::new().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    world.discovery(json!({ "token_endpoint": format!("{nobody}/canary") }));
    assert_eq!(reason(world.sign_in().await), "unavailable");
}

#[tokio::test]
async fn a_slow_provider_is_waited_for_so_long_and_no_longer() {
    for path in DOCUMENTS {
        let began = Instant::now();
        assert_eq!(with(path, Reply::Never).await, "unavailable", "{path}");
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn those_who_wait_for_one_document_do_not_wait_one_after_the_other() {
    let world = World::new().await;
    world
        .issuer
        .answers("/.well-known/openid-configuration", Reply::Never);
    let began = Instant::now();
    let request = request();
    let all = (0..6).map(|_| world.provider.authorize(&request));
    let mut running: Vec<_> = all.map(Box::pin).collect();
    std::future::poll_fn(|cx| {
        running.retain_mut(|one| one.as_mut().poll(cx).is_pending());
        if running.is_empty() {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    assert_eq!(world.issuer.count("/.well-known"), 1);
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_oau_11_an_answer_without_end_is_broken_off() {
    for path in DOCUMENTS {
        let endless = Reply::Raw(200, vec![], vec![b' '; MAX_ANSWER + 1]);
        assert_eq!(with(path, endless).await, "unavailable", "{path}");
    }
}

#[tokio::test]
async fn what_is_not_json_is_not_believed_whatever_its_type_says() {
    let html = b"<html>canary</html>".to_vec();
    for path in DOCUMENTS {
        for kind in ["text/html", "application/json"] {
            let reply = Reply::Raw(200, vec![("content-type", kind.to_owned())], html.clone());
            assert_eq!(with(path, reply).await, "untrusted: not_json", "{path}");
        }
        let twice =
            br#"{"issuer":"a","issuer":"b","access_token":"a","access_token":"b","keys":[],"keys":[]}"#;
        let said = with(path, Reply::Raw(200, vec![], twice.to_vec())).await;
        assert_eq!(said, "untrusted: not_json", "{path}");
    }
}

#[tokio::test]
async fn a_oau_11_no_redirect_is_followed() {
    let elsewhere = Server::start().await;
    for path in DOCUMENTS {
        for status in [301, 302, 303, 307, 308] {
            let world = World::new().await;
            // To somebody else, and to itself for ever.
            for to in [
                format!("{}/canary", elsewhere.origin()),
                format!("{}{path}", world.issuer.origin()),
            ] {
                world.clock.advance(5);
                world
                    .issuer
                    .answers(path, Reply::Raw(status, vec![("location", to)], vec![]));
                assert_eq!(
                    reason(world.sign_in().await),
                    "untrusted: redirect",
                    "{path} {status}"
                );
            }
        }
    }
    assert!(elsewhere.asked().is_empty());
}

#[tokio::test]
async fn a_oau_11_a_document_names_no_address_inside() {
    for inside in [
        "https://169.254.169.254/latest/meta-data",
        "http://169.254.169.254/",
        "https://10.0.0.1/token",
        "http://elsewhere.test/token",
        "https://user:canary@elsewhere.test/token",
        "file:///etc/passwd",
        "//elsewhere.test",
        "",
    ] {
        for endpoint in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
        ] {
            let world = World::new().await;
            world.discovery(json!({ endpoint: inside }));
            assert_eq!(
                reason(world.sign_in().await),
                "untrusted: address_not_asked",
                "{endpoint} {inside}"
            );
        }
    }
    let world = World::new().await;
    world.discovery(json!({ "jwks_uri": null }));
    assert_eq!(
        reason(world.sign_in().await),
        "untrusted: discovery_document_without_an_endpoint"
    );
}

#[tokio::test]
async fn a_oau_11_a_name_that_leads_inside_is_not_asked() {
    let (server, pem) = Server::start_as(&["login.acme.test"]).await;
    server.answers(
        "/.well-known/openid-configuration",
        Reply::Json(json!({ "issuer": "https://login.acme.test" })),
    );
    let client = || Client::new("shop", secret("s3cret"));
    let setup = |names: Names| {
        found_by(
            openid("own", "Own", "https://login.acme.test", client()).roots(pem.clone()),
            names,
        )
    };
    for inside in [
        "10.0.0.1:443",
        "169.254.169.254:80",
        "[fd00::1]:443",
        "[::ffff:127.0.0.1]:443",
    ] {
        let provider = setup(Names(vec![inside.parse().unwrap()])).build().unwrap();
        assert_eq!(
            reason(provider.identify(&code()).await),
            "untrusted: address_not_asked",
            "{inside}"
        );
    }
    let provider = setup(Names(vec![server.address])).build().unwrap();
    assert_eq!(
        reason(provider.identify(&code()).await),
        "untrusted: address_not_asked"
    );
    assert!(server.asked().is_empty());

    let provider = setup(Names(vec![server.address]))
        .allow_private_network()
        .build()
        .unwrap();
    assert_eq!(
        reason(provider.identify(&code()).await),
        "untrusted: discovery_document_without_an_endpoint"
    );
    assert_eq!(server.asked().len(), 1);
    // Where clouds keep their credentials is nobody's private network.
    let metadata = setup(Names(vec!["169.254.169.254:443".parse().unwrap()])).allow_private_network();
    assert_eq!(
        reason(metadata.build().unwrap().identify(&code()).await),
        "untrusted: address_not_asked"
    );
}

/// A name service that changes its mind: a place that may be asked first, the credentials of a cloud from then on.
#[derive(Clone, Debug)]
struct Rebinding(SocketAddr, Arc<AtomicUsize>);

#[async_trait]
impl Lookup for Rebinding {
    async fn lookup(&self, _: &str) -> std::io::Result<Vec<SocketAddr>> {
        match self.1.fetch_add(1, Ordering::SeqCst) {
            0 => Ok(vec![self.0]),
            _ => Ok(vec!["169.254.169.254:443".parse().unwrap()]),
        }
    }
}

#[tokio::test]
async fn a_oau_11_a_name_that_is_bound_anew_leads_to_no_place_that_was_not_judged() {
    let (server, pem) = Server::start_as(&["login.acme.test"]).await;
    let document = json!({
        "issuer": "https://login.acme.test",
        "authorization_endpoint": "https://login.acme.test/authorize",
        "token_endpoint": "https://login.acme.test/token",
        "jwks_uri": "https://login.acme.test/keys",
    });
    // The next request needs a connection of its own.
    let close = vec![("connection", "close".to_owned())];
    let document = Reply::Raw(200, close, document.to_string().into_bytes());
    server.answers("/.well-known/openid-configuration", document);
    let client = Client::new("shop", secret("s3cret"));
    let names = Rebinding(server.address, Arc::default());
    let setup = openid("own", "Own", "https://login.acme.test", client).roots(pem);
    let provider = found_by(setup, names.clone())
        .allow_private_network()
        .build()
        .unwrap();
    assert_eq!(
        reason(provider.identify(&code()).await),
        "untrusted: address_not_asked"
    );
    assert_eq!(
        names.1.load(Ordering::SeqCst),
        2,
        "each connection went where its own answer said"
    );
    assert_eq!(server.asked().len(), 1);
}

#[tokio::test]
async fn a_host_that_no_trusted_authority_vouches_for_is_told_nothing() {
    let (server, _) = Server::start_as(&["login.acme.test"]).await;
    let (_, other) = Server::start_as(&["login.acme.test"]).await;
    let client = Client::new("shop", secret("s3cret"));
    let setup = openid("own", "Own", "https://login.acme.test", client)
        .roots(other)
        .allow_private_network();
    let provider = found_by(setup, Names(vec![server.address])).build().unwrap();
    assert_eq!(reason(provider.identify(&code()).await), "unavailable");
    assert!(server.asked().is_empty());
}
