//! Streams on Actix Web end with their session.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

#[path = "../../live/tests/suite/mod.rs"]
mod suite;

use std::net::{SocketAddr, TcpListener};

use actix_web::HttpServer;
use stepup::actix::Wire;
use stepup_testkit::app::TestApp;

/// The application, served.
async fn serve(kit: &TestApp) -> SocketAddr {
    let site = Wire::from(&kit.stepup);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = HttpServer::new(move || live_actix::app(&site)).workers(1);
    tokio::spawn(server.disable_signals().listen(listener).unwrap().run());
    address
}
