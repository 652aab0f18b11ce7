//! A WebSocket and an event stream that end with their session. `cargo run -p live-rocket`, then sign up and complete the
//! second factor as the quick start shows, with `B=http://localhost:3000`; codes are printed here.
//!
//! ```sh
//! curl -N localhost:3000/events -H "authorization: Bearer $A"                   # ticks ..
//! curl -X POST localhost:3000/auth/signout -H "authorization: Bearer $A"        # .. until this, from another terminal
//! ```

use std::sync::Arc;

use rocket::Config;
use stepup::delivery::{BackgroundThread, Console};
use stepup::storage::memory::MemoryStore;
use stepup::{AppInfo, FactorId, Password, Passwordless, Policy, SecretFile, Stepup, any_of};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = "http://localhost:3000";
    let secrets = SecretFile::new(std::env::temp_dir().join("stepup-live.secret"));
    let stepup = Stepup::builder(
        AppInfo::new("Live", here, here),
        Arc::new(MemoryStore::new()),
        secrets,
    )
    .factor(Password::new())
    .factor(Passwordless::sms(Console)) // prints; on loopback only
    .notices(Console)
    .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
    .background(BackgroundThread::start()?) // its tick is what ends streams in time
    .build()
    .await?;
    let config = Config {
        port: 3000,
        ..Config::debug_default()
    };
    live_rocket::app(&stepup, config).launch().await?;
    Ok(())
}
