//! What every demo's `main` does, but for serving.

use std::io::{self, IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};
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
    run_with(bound, |listener, site, announce| async {
        announce.now()?;
        serve(listener, site).await
    })
    .await
}

/// The same for a server that cannot be handed a listener: `reserve` keeps an address, and `serve` announces it as soon as
/// it listens there.
pub async fn run_with<P: At, S>(
    reserve: impl AsyncFnOnce(SocketAddr) -> io::Result<P>,
    serve: impl FnOnce(P, Site, Announce) -> S,
) -> ExitCode
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
    match run_site(reserve, serve).await {
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

/// Something at an address.
pub trait At {
    /// The address.
    ///
    /// # Errors
    /// It has none.
    fn at(&self) -> io::Result<SocketAddr>;
}

impl At for TcpListener {
    fn at(&self) -> io::Result<SocketAddr> {
        self.local_addr()
    }
}

/// Where the demo is to be found.
#[derive(Debug)]
pub struct Announce(String);

impl Announce {
    /// Says it. The first line on standard output is for whoever started us with port 0. The second is for a person: cookies
    /// and origins go by the host's name, so the page works under this address only.
    ///
    /// # Errors
    /// Standard output's.
    pub fn now(self) -> io::Result<()> {
        writeln!(io::stdout(), "{}", self.0)
    }
}

async fn bound(address: SocketAddr) -> io::Result<TcpListener> {
    // Tokio's has a longer queue than std's.
    tokio::net::TcpListener::bind(address).await?.into_std()
}

async fn run_site<P: At, S>(
    reserve: impl AsyncFnOnce(SocketAddr) -> io::Result<P>,
    serve: impl FnOnce(P, Site, Announce) -> S,
) -> Result<(), Vec<String>>
where
    S: Future<Output = io::Result<()>>,
{
    let settings = Settings::from_env()?;
    let failed = |e: io::Error| vec![format!("{}: {e}", settings.listen)];
    let reserved = reserve(settings.listen).await.map_err(failed)?;
    let bound = reserved.at().map_err(failed)?;
    let site = Site::start(&settings, bound).await?;
    let page = site.stepup.app().website_origin();
    let announce = Announce(format!("listening on http://{bound}\nopen {page} in a browser"));
    serve(reserved, site.clone(), announce).await.map_err(failed)?;
    // What was promised to be sent is sent.
    site.settle().await;
    Ok(())
}
