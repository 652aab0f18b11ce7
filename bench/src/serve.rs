//! The servers that are measured, each a process of its own with one worker.

pub mod actix;
pub mod rocket;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::routing::get;
use stepup::Stepup;
use stepup::axum::{Require2fa, Session};
use stepup::session::keys::SigningAlgorithm;
use stepup::sqlite::SqliteStore;
use stepup::storage::Storage;
use stepup::storage::memory::MemoryStore;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tower::layer::util::Identity;

use crate::site::Site;

/// Serves `variant` until killed. Prints the URL and the header.
pub fn run(variant: &str, rest: &[&str]) {
    match variant.split_once('-') {
        Some(("actix", _)) => actix::run(variant),
        Some(("rocket", _)) => rocket::run(variant),
        _ => run_axum(variant, rest.contains(&"hashing")),
    }
}

fn run_axum(variant: &str, hashing: bool) {
    runtime().block_on(async {
        let folder = tempfile::tempdir().expect("a folder");
        let served = match variant {
            "accounts" => Served::new(sqlite(folder.path()).await, SigningAlgorithm::Es256, false).await,
            "cold-rs256" => Served::new(memory(), SigningAlgorithm::Rs256, true).await,
            "cold-es256" => Served::new(memory(), SigningAlgorithm::Es256, true).await,
            "cold-eddsa" => Served::new(memory(), SigningAlgorithm::EdDsa, true).await,
            _ => Served::warm().await,
        };
        let app = app(variant, &served.site.stepup);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        if hashing {
            served.site.hash_for_ever();
        }
        announce(listener.local_addr().expect("an address"), &served.token);
        axum::serve(listener, app).await.expect("serves");
    });
}

/// One worker, as every server here has.
fn runtime() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime starts")
}

/// Tells where the server listens, and what to send.
fn announce(address: SocketAddr, token: &str) {
    println!("http://{address}/");
    println!("authorization: Bearer {token}");
}

/// A site to serve, and the access token of somebody with both factors.
struct Served {
    site: Site,
    token: String,
}

impl Served {
    /// One that remembers tokens.
    async fn warm() -> Self {
        Self::new(memory(), SigningAlgorithm::Es256, false).await
    }

    async fn new(store: Arc<dyn Storage>, algorithm: SigningAlgorithm, cold: bool) -> Self {
        let site = Site::new(store, algorithm, |builder| {
            builder.configure(|config| {
                if cold {
                    config.sessions.remembered_bytes = 0;
                }
            })
        })
        .await;
        let token = site.complete("ann").await;
        Self { site, token }
    }
}

fn memory() -> Arc<dyn Storage> {
    Arc::new(MemoryStore::new())
}

/// A store in a file of `folder`.
pub async fn sqlite(folder: &Path) -> Arc<dyn Storage> {
    let url = format!("sqlite://{}?mode=rwc", folder.join("bench.db").display());
    let store = SqliteStore::connect(&url).await.expect("a store");
    store.migrate().await.expect("tables");
    Arc::new(store)
}

/// The application of `variant`.
pub fn app(variant: &str, stepup: &Stepup) -> Router {
    let header = Router::new().route("/", get(async |_: Header| "hello"));
    match variant {
        "bare" => Router::new().route("/", get(async || "hello")),
        "header" => header,
        "layered" => header.layer(Identity::new()),
        "accounts" => Router::new()
            .merge(stepup::axum::routes(stepup))
            .layer(stepup::axum::layer(stepup)),
        _ => guarded().layer(stepup::axum::layer(stepup)),
    }
}

/// A guarded route, without the layer that it needs around it.
pub fn guarded() -> Router {
    Router::new().route("/", get(async |_: Session<Require2fa>| "hello"))
}

/// An extractor that only looks whether the header is there: what any guard costs at least.
struct Header;

impl<S: Sync> FromRequestParts<S> for Header {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        match parts
            .headers
            .get(AUTHORIZATION)
            .is_some_and(|value| value.len() > 7)
        {
            true => Ok(Self),
            false => Err(StatusCode::UNAUTHORIZED),
        }
    }
}
