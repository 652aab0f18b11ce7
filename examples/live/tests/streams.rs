//! Streams on Axum end with their session.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

mod suite;

use std::net::SocketAddr;

use stepup_testkit::app::TestApp;
use tokio::net::TcpListener;

/// The application, served.
async fn serve(kit: &TestApp) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = live::app(&kit.stepup).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}
