//! A server that slow and numerous clients do not wear out: a deadline for the head of a request, and a bound on
//! connections (R-RES-1). The deadline for the body is the application's, see `app`.
//!
//! `axum::serve` has no deadline for the head: whoever sends a byte a minute keeps a connection for ever. Copy this file,
//! or put a proxy that has such deadlines in front.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tower::ServiceExt;

/// What one client may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The whole head of a request has to arrive within this; a connection that is idle for so long is closed.
    pub head: Duration,
    /// Connections at once. More wait in the listener's queue.
    pub connections: usize,
    /// How long requests may take to end once the server is asked to stop.
    pub stop: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            connections: 1024,
            stop: Duration::from_secs(10),
        }
    }
}

/// Serves `app` until `stop` is ready, and lets the requests under way end.
///
/// # Errors
/// The listener's, where it is broken for good.
pub async fn serve(
    listener: TcpListener,
    app: Router,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(bounds.connections));
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            // A permit first: a connection that nobody serves must not be accepted.
            let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
            listener
                .accept()
                .await
                .map(|(stream, peer)| (stream, peer, permit))
        };
        let (stream, peer, permit) = tokio::select! {
            () = &mut stop => break,
            accepted = next => match accepted {
                Ok(accepted) => accepted,
                Err(error) if is_passing(&error) => {
                    // Out of descriptors, mostly: others have to go first.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
                Err(error) => return Err(error),
            },
        };
        let service = app.clone().map_request(move |mut request: Request<Incoming>| {
            // The peer's address has to reach stepup, or all callers share one throttle.
            request.extensions_mut().insert(ConnectInfo(peer));
            request
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(bounds.head)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            // A client that broke off is no news.
            let _ = connection.await;
            drop(permit);
        });
    }
    let _ = tokio::time::timeout(bounds.stop, graceful.shutdown()).await;
    Ok(())
}

/// Whether the listener itself is sound: a client went away before it was accepted, or there is no descriptor left.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, WouldBlock};
    let gone = [
        ConnectionAborted,
        ConnectionRefused,
        ConnectionReset,
        Interrupted,
        WouldBlock,
    ];
    // ENFILE and EMFILE, which have no kind.
    gone.contains(&error.kind()) || matches!(error.raw_os_error(), Some(23 | 24))
}
