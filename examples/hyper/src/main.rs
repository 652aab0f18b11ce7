//! `cargo run -p on-hyper`, then sign up and complete the second factor as the quick start shows; codes are printed here.
//!
//! ```sh
//! curl -i localhost:3000/secret                                                            # 401, by HTTP/1.1
//! curl -i --http2-prior-knowledge localhost:3000/secret -H "authorization: Bearer $TOKEN"  # by HTTP/2: 403, then 200
//! ```

use std::sync::Arc;

use on_hyper::Bounds;
use stepup::delivery::{BackgroundThread, Console};
use stepup::storage::memory::MemoryStore;
use stepup::{AppInfo, FactorId, Password, Passwordless, Policy, SecretFile, Stepup, any_of};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let here = "http://localhost:3000";
    let secrets = SecretFile::new(std::env::temp_dir().join("stepup-on-hyper.secret"));
    let stepup = Stepup::builder(
        AppInfo::new("On hyper", here, here),
        Arc::new(MemoryStore::new()),
        secrets,
    )
    .factor(Password::new())
    .factor(Passwordless::sms(Console)) // prints; on loopback only
    .notices(Console)
    .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
    .background(BackgroundThread::start()?)
    .build()
    .await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    Ok(on_hyper::serve(listener, on_hyper::app(&stepup), Bounds::default(), stop).await?)
}
