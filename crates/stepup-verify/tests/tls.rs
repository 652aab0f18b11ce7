//! Keys over TLS: who answers must prove to be the host that was named, to an authority that is trusted.

#![allow(clippy::unwrap_used, reason = "a test fails by panic")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use stepup_core::Ending;
use stepup_core::require::{AnySession, Require2fa};
use stepup_testkit::app::TestApp;
use stepup_verify::{FetchError, StartError, Verifier, VerifierBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// An authority.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    fn pem(&self) -> String {
        self.0.pem()
    }

    /// A server's part, with a certificate for `host`.
    fn vouches_for(&self, host: &str, change: impl FnOnce(&mut CertificateParams)) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        TlsAcceptor::from(Arc::new(config))
    }
}

/// Serves the key set of a site over TLS.
async fn serve(kit: &TestApp, tls: TlsAcceptor) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let keys = kit.stepup.jwks().body;
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{keys}", keys.len());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Whom the client does not believe, it hangs up on.
            let Ok(mut stream) = tls.accept(stream).await else {
                continue;
            };
            let _ = stream.read(&mut [0; 2048]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    address
}

/// A verifier of the site's tokens that gets its keys there.
fn verifier(kit: &TestApp, address: SocketAddr) -> VerifierBuilder {
    Verifier::from_jwks(format!("https://localhost:{}/jwks.json", address.port()))
        .issuer(kit.stepup.app().issuer())
        .clock(kit.clock.clone())
}

async fn token(kit: &TestApp) -> String {
    let request = kit
        .request_as("ann")
        .by_header()
        .complete()
        .await
        .body(())
        .unwrap();
    let value = request.headers()["authorization"].to_str().unwrap();
    value.trim_start_matches("Bearer ").to_owned()
}

async fn is_refused(builder: VerifierBuilder) -> bool {
    let started = builder.start().await;
    matches!(started, Err(StartError::Keys(FetchError::Unreachable(_))))
}

#[tokio::test]
async fn the_keys_of_a_host_that_a_trusted_authority_vouches_for_verify() {
    let (kit, authority) = (TestApp::new().await, Authority::new());
    let address = serve(&kit, authority.vouches_for("localhost", |_| {})).await;
    let started = verifier(&kit, address).only_roots(authority.pem()).start();
    let verifier = started.await.unwrap();
    let claims = verifier.check::<Require2fa>(&token(&kit).await).unwrap();
    assert_eq!(claims.user_id(), &kit.user_id("ann").await);
    // One of several roots is enough.
    let both = format!("{}{}", Authority::new().pem(), authority.pem());
    assert!(
        self::verifier(&kit, address)
            .only_roots(both)
            .start()
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_host_that_only_others_vouch_for_is_not_believed() {
    let (kit, authority) = (TestApp::new().await, Authority::new());
    let address = serve(&kit, authority.vouches_for("localhost", |_| {})).await;
    let other = Authority::new().pem();
    assert!(is_refused(verifier(&kit, address).only_roots(other)).await);
    // The system has never heard of it either.
    assert!(is_refused(verifier(&kit, address)).await);
}

#[tokio::test]
async fn a_certificate_for_another_host_or_time_or_purpose_is_not_believed() {
    let (kit, authority) = (TestApp::new().await, Authority::new());
    let purposes = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    for tls in [
        authority.vouches_for("api.acme.test", |_| {}),
        authority.vouches_for("localhost.evil.test", |_| {}),
        authority.vouches_for("localhost", |params| params.not_after = date_time_ymd(2020, 1, 1)),
        authority.vouches_for("localhost", |params| {
            params.not_before = date_time_ymd(2200, 1, 1)
        }),
        authority.vouches_for("localhost", |params| params.extended_key_usages = purposes),
    ] {
        let address = serve(&kit, tls).await;
        assert!(is_refused(verifier(&kit, address).only_roots(authority.pem())).await);
    }
}

#[tokio::test]
async fn who_does_not_speak_tls_is_not_asked_again_without_it() {
    let (kit, authority) = (TestApp::new().await, Authority::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let keys = kit.stepup.jwks().body.to_string();
    let heard = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 2048];
        let length = stream.read(&mut head).await.unwrap();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{keys}", keys.len());
        let _ = stream.write_all(answer.as_bytes()).await;
        head.truncate(length);
        head
    });
    assert!(is_refused(verifier(&kit, address).only_roots(authority.pem())).await);
    // The hello of TLS, and not a request.
    assert_eq!(heard.await.unwrap().first(), Some(&0x16));
}

#[tokio::test]
async fn what_was_not_believed_at_the_start_verifies_nothing_later() {
    let (kit, authority) = (TestApp::new().await, Authority::new());
    let address = serve(&kit, authority.vouches_for("localhost", |_| {})).await;
    let lazy = verifier(&kit, address)
        .only_roots(Authority::new().pem())
        .start_lazy();
    let lazy = lazy.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!lazy.is_ready());
    assert!(lazy.check::<AnySession>(&token(&kit).await).is_err());
}

#[tokio::test]
async fn what_lasts_ends_with_the_token_and_a_tick_is_there_by_itself() {
    let (kit, authority) = (TestApp::new().await, Authority::new());
    let address = serve(&kit, authority.vouches_for("localhost", |_| {})).await;
    let started = verifier(&kit, address).only_roots(authority.pem()).start();
    let verifier = started.await.unwrap();
    let claims = verifier.check::<Require2fa>(&token(&kit).await).unwrap();
    let mut ended = std::pin::pin!(verifier.until_ended::<Require2fa>(claims.clone()));
    let waits = tokio::time::timeout(Duration::from_millis(700), ended.as_mut()).await;
    assert!(waits.is_err(), "it ended at once: {waits:?}");
    kit.clock.advance(Duration::from_secs(15 * 60));
    let ended = tokio::time::timeout(Duration::from_secs(30), ended).await;
    assert_eq!(ended.unwrap(), Ending::Expired);
}
