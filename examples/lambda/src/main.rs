//! On AWS Lambda behind an API Gateway, a function URL or a load balancer; here, one event after the other:
//!
//! ```sh
//! cd examples/lambda
//! cargo run -q -p on-lambda < events/secret.json    # 401: no session
//! cargo run -q -p on-lambda < events/sign-up.json   # tokens; put them into events/secret.json: 403
//! ```
//!
//! `README.md` says what a real deployment needs: this one keeps its users in a file of its own, and prints its codes.

use std::env;
use std::error::Error;
use std::io::Write;
use std::sync::Arc;

use lambda_http::http::Response;
use lambda_http::{Body, IntoResponse};
use on_lambda::App;
use stepup::delivery::{Console, Manual};
use stepup::sqlite::SqliteStore;
use stepup::{AppInfo, FactorId, Password, Passwordless, Policy, SecretFile, Stepup, any_of};
use tokio::io::AsyncReadExt;
use tower::ServiceExt;

// One request at a time is what Lambda sends.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let here = "http://localhost:3000";
    // The only folder of a function that can be written, and gone with it.
    let file = env::var("DATABASE").map_or_else(|_| env::temp_dir().join("on-lambda.sqlite"), Into::into);
    let store = SqliteStore::connect(&format!("sqlite://{}?mode=rwc", file.display())).await?;
    store.migrate().await?;
    let background = Manual::new();
    let stepup = Stepup::builder(
        AppInfo::new("On Lambda", here, here),
        Arc::new(store),
        SecretFile::beside(&file),
    )
    .factor(Password::new())
    .factor(Passwordless::sms(Console)) // prints; on loopback only
    .notices(Console)
    .policy(Policy::second_factor(any_of([FactorId::OTP_PHONE])))
    .background(background.clone())
    .build()
    .await?;
    let app = on_lambda::app(&stepup, &background);
    match env::var_os("AWS_LAMBDA_RUNTIME_API") {
        Some(_) => lambda_http::run(app).await,
        None => answer_one(app).await,
    }
}

/// Answers the event on standard input.
async fn answer_one(app: App) -> Result<(), Box<dyn Error + Send + Sync>> {
    let mut event = String::new();
    tokio::io::stdin().read_to_string(&mut event).await?;
    let request = lambda_http::request::from_str(&event)?;
    let answer: Response<Body> = app.oneshot(request).await?.into_response().await;
    let (parts, body) = answer.into_parts();
    let mut out = std::io::stdout();
    writeln!(out, "{}", parts.status)?;
    for (name, value) in &parts.headers {
        writeln!(out, "{name}: {}", value.to_str()?)?;
    }
    writeln!(out, "\n{}", String::from_utf8_lossy(&body))?;
    Ok(())
}
