//! A server of both versions of HTTP that slow, silent and numerous clients do not wear out (R-RES-1).

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use stepup::wire::Peer;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::App;

/// What clients may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The head of a request has to arrive within this, the first one included, whichever version of HTTP it is.
    pub head: Duration,
    /// A connection is used for so long, and then asked to end: HTTP/2 has no deadline for the heads after the first.
    pub life: Duration,
    /// Connections at once. More wait in the listener's queue.
    pub connections: u32,
    /// How long requests may take to end once their connection is to end.
    pub stop: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            life: Duration::from_secs(600),
            connections: 1024,
            stop: Duration::from_secs(10),
        }
    }
}

/// Serves `app` until `stop` is ready, and lets the requests under way end.
///
/// # Errors
/// The listener's.
pub async fn serve(
    listener: TcpListener,
    app: App,
    bounds: Bounds,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let room = Arc::new(Semaphore::new(bounds.connections as usize));
    let (going_on, ended) = watch::channel(());
    let mut stop = pin!(stop);
    loop {
        // A permit first: a connection that nobody serves must not be accepted.
        let next = async {
            let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
            let (stream, peer) = listener.accept().await?;
            Ok::<_, io::Error>((stream, peer, permit))
        };
        let (stream, peer, permit) = tokio::select! {
            () = &mut stop => break,
            accepted = next => match accepted {
                Ok(accepted) => accepted,
                // A client that went away, or no descriptor left: others have to go first.
                Err(_) => {
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
        };
        // Without the peer's address all clients share one budget.
        let (app, peer, ended) = (app.clone(), Peer(peer.ip()), ended.clone());
        tokio::spawn(async move {
            serve_one(stream, peer, app, bounds, ended).await;
            drop(permit);
        });
    }
    drop(going_on);
    let _ = timeout(bounds.stop, room.acquire_many(bounds.connections)).await;
    Ok(())
}

async fn serve_one(stream: TcpStream, peer: Peer, app: App, bounds: Bounds, mut ended: watch::Receiver<()>) {
    let began = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&began);
    let service = app.map_request(move |mut request: Request<Incoming>| {
        seen.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(peer);
        request
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(bounds.head);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(bounds.head)
        .max_concurrent_streams(100);
    let connection = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    // Until it is known which version a client speaks there is no deadline of hyper's own.
    let used_up = async {
        sleep(bounds.head).await;
        if began.load(Ordering::Relaxed) {
            sleep(bounds.life).await;
        }
    };
    tokio::select! {
        // A client that broke off is no news.
        _ = connection.as_mut() => return,
        () = used_up => {}
        _ = ended.changed() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(bounds.stop, connection).await;
}
