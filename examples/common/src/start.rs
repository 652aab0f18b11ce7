//! What every demo's `main` does, but for serving.

use std::io::{self, IsTerminal, Write};
use std::net::TcpListener;
use std::process::ExitCode;

use tracing_subscriber::EnvFilter;

use crate::{Settings, Site};

/// Binds the address that the environment names, puts the site together, and lets `serve` serve it.
///
/// `serve` returns when it was interrupted and the requests under way have ended.
pub async fn run<S>(serve: impl FnOnce(TcpListener, Site) -> S) -> ExitCode
where
    S: Future<Output = io::Result<()>>,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Standard output belongs to the address and to the codes.
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        // Color codes would only litter a file.
        .with_ansi(io::stderr().is_terminal())
        .init();
    match run_site(serve).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(problems) => {
            let mut out = io::stderr().lock();
            for problem in problems {
                // With standard error closed there is nowhere left to say it.
                let _ = writeln!(out, "error: {problem}");
            }
            ExitCode::FAILURE
        }
    }
}

/// Ends when the process is interrupted: by a person, or by whoever started it.
pub async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // Without signals there is no asking: serve until killed.
        std::future::pending::<()>().await;
    }
}

async fn run_site<S>(serve: impl FnOnce(TcpListener, Site) -> S) -> Result<(), Vec<String>>
where
    S: Future<Output = io::Result<()>>,
{
    let settings = Settings::from_env()?;
    let failed = |e: io::Error| vec![format!("{}: {e}", settings.listen)];
    // Tokio's has a longer queue than std's.
    let listener = tokio::net::TcpListener::bind(settings.listen).await;
    let listener = listener
        .and_then(|listener| listener.into_std())
        .map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let site = Site::start(&settings, bound).await?;
    // The first line on standard output is for whoever started us with port 0. The second is for a person: cookies and
    // origins go by the host's name, so the page works under this address only.
    let page = site.stepup.app().website_origin();
    let said = writeln!(
        io::stdout(),
        "listening on http://{bound}\nopen {page} in a browser"
    );
    said.map_err(|e| vec![format!("standard output: {e}")])?;
    serve(listener, site.clone()).await.map_err(failed)?;
    // What was promised to be sent is sent.
    site.settle().await;
    Ok(())
}
