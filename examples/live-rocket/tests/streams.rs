//! Streams on Rocket end with their session.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

#[path = "../../live/tests/suite/mod.rs"]
mod suite;

use std::net::SocketAddr;
use std::sync::Mutex;

use rocket::Config;
use rocket::config::LogLevel;
use rocket::fairing::AdHoc;
use stepup_testkit::app::TestApp;
use tokio::sync::oneshot;

/// The application, served. It ends with its runtime.
async fn serve(kit: &TestApp) -> SocketAddr {
    let mut config = Config {
        port: 0,
        log_level: LogLevel::Off,
        ..Config::debug_default()
    };
    config.shutdown.ctrlc = false;
    config.shutdown.signals.clear();
    let (tell, told) = oneshot::channel();
    let tell = Mutex::new(Some(tell));
    let tells = AdHoc::on_liftoff("tells where", move |rocket| {
        let address = SocketAddr::new(rocket.config().address, rocket.config().port);
        tell.lock().unwrap().take().unwrap().send(address).unwrap();
        Box::pin(async {})
    });
    tokio::spawn(live_rocket::app(&kit.stepup, config).attach(tells).launch());
    told.await.unwrap()
}
