//! A bare route and a guarded one on Rocket.

use std::net::SocketAddr;

use rocket::config::LogLevel;
use rocket::fairing::AdHoc;
use rocket::{Build, Config, Rocket, get, routes};
use stepup::Stepup;
use stepup::rocket::{Require2fa, Session};

use super::{Served, announce, runtime};

/// Serves until killed.
pub fn run(variant: &str) {
    runtime().block_on(async move {
        let served = Served::warm().await;
        let token = served.token.clone();
        let app = app(variant, &served.site.stepup).attach(AdHoc::on_liftoff("address", move |rocket| {
            Box::pin(async move {
                let config = rocket.config();
                announce(SocketAddr::new(config.address, config.port), &token);
            })
        }));
        app.launch().await.expect("serves");
    });
}

/// The application of `variant`, `rocket-bare` or another.
pub fn app(variant: &str, stepup: &Stepup) -> Rocket<Build> {
    let app = rocket::custom(Config {
        port: 0,
        workers: 1,
        log_level: LogLevel::Off,
        cli_colors: false,
        ..Config::release_default()
    });
    match variant {
        "rocket-bare" => app.mount("/", routes![bare]),
        _ => app
            .mount("/", routes![warm])
            .attach(stepup::rocket::fairing(stepup)),
    }
}

#[get("/")]
fn bare() -> &'static str {
    "hello"
}

#[get("/")]
fn warm(_session: Session<Require2fa>) -> &'static str {
    "hello"
}
