//! The second factor by hand. `cargo run -p by-hand`, then:
//!
//! ```sh
//! J='content-type: application/json'
//! curl -i localhost:3000/auth/signup -H "$J" -d '{"formFields":[{"id":"email","value":"ann@example.com"},{"id":"password","value":"a password long enough"}]}'
//! curl -i localhost:3000/api/secret -H "authorization: Bearer $TOKEN"    # 403: `2fa-completed` is false
//! ```
//!
//! `README.md` says what the built-in second factor does that this cannot.

use std::env;
use std::error::Error;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use by_hand::{app, builder};
use stepup::delivery::{BackgroundThread, Console};
use stepup::sqlite::SqliteStore;
use stepup::{AppInfo, SecretFile};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let file = env::var("DATABASE").unwrap_or_else(|_| "by-hand.sqlite".to_owned());
    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    let url = format!("http://localhost:{}", listener.local_addr()?.port());
    let store = SqliteStore::connect(&format!("sqlite://{file}?mode=rwc")).await?;
    store.migrate().await?;
    let info = AppInfo::new("By hand", &url, &url);
    let stepup = builder(info, Arc::new(store), SecretFile::beside(&file), Console)
        .background(BackgroundThread::start()?)
        .build()
        .await?;
    writeln!(std::io::stdout(), "listening on {url}")?;
    let service = app(&stepup).into_make_service_with_connect_info::<SocketAddr>();
    Ok(axum::serve(listener, service).await?)
}
