//! The demo on Axum. `cargo run -p demo-axum`, then open <http://localhost:3000>.
//!
//! ```sh
//! curl -i localhost:3000/api/secret                        # 401: nobody is signed in
//! curl -i localhost:3000/auth/signup -H 'content-type: application/json' -d '{"formFields":[{"id":"email","value":"ann@example.com"},{"id":"password","value":"a long enough one"}]}'
//! ```

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use demo_axum::serve::Bounds;
use demo_common::{Settings, Site};
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Standard output belongs to the address and to the codes.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Color codes would only litter a file.
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            let mut out = std::io::stderr().lock();
            for problem in problems {
                // With standard error closed there is nowhere left to say it.
                let _ = writeln!(out, "error: {problem}");
            }
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Vec<String>> {
    let settings = Settings::from_env()?;
    let failed = |e: std::io::Error| vec![format!("{}: {e}", settings.listen)];
    let listener = TcpListener::bind(settings.listen).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let site = Site::start(&settings, bound).await?;
    // The first line on standard output is for whoever started us with port 0. The second is for a person: cookies and
    // origins go by the host's name, so the page works under this address only.
    let page = site.stepup.app().website_origin();
    let said = writeln!(
        std::io::stdout(),
        "listening on http://{bound}\nopen {page} in a browser"
    );
    said.map_err(|e| vec![format!("standard output: {e}")])?;

    let app = demo_axum::app(site.clone());
    demo_axum::serve::serve(listener, app, Bounds::default(), interrupted())
        .await
        .map_err(failed)?;
    // What was promised to be sent is sent.
    site.settle().await;
    Ok(())
}

async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without signals there is no asking: serve until killed.
        std::future::pending::<()>().await;
    }
}
