//! The servers that are measured, each a process of its own with one worker.

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
use tower::layer::util::Identity;

use crate::site::Site;

/// Serves `variant` until killed. Prints the URL and the header.
pub fn run(variant: &str, rest: &[&str]) {
    let hashing = rest.contains(&"hashing");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(async {
        let algorithm = match variant {
            "cold-rs256" => SigningAlgorithm::Rs256,
            "cold-eddsa" => SigningAlgorithm::EdDsa,
            _ => SigningAlgorithm::Es256,
        };
        let cold = variant.starts_with("cold");
        let folder = tempfile::tempdir().expect("a folder");
        let store: Arc<dyn Storage> = match variant {
            "accounts" => {
                let url = format!("sqlite://{}?mode=rwc", folder.path().join("bench.db").display());
                let store = SqliteStore::connect(&url).await.expect("a store");
                store.migrate().await.expect("tables");
                Arc::new(store)
            }
            _ => Arc::new(MemoryStore::new()),
        };
        let site = Site::new(store, algorithm, |builder| {
            builder.configure(|config| {
                if cold {
                    config.sessions.remembered_bytes = 0;
                }
            })
        })
        .await;
        let token = site.complete("ann").await;
        let app = app(variant, &site.stepup);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        if hashing {
            site.hash_for_ever();
        }
        println!("http://{}/", listener.local_addr().expect("an address"));
        println!("authorization: Bearer {token}");
        axum::serve(listener, app).await.expect("serves");
    });
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
