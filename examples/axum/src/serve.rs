//! A server that slow and numerous clients do not wear out: deadlines for sending the head of a request and for taking the
//! answer, and a bound on connections (R-RES-1). The deadline for the body is the application's, see `app`.
//!
//! `axum::serve` has neither deadline: whoever sends a byte a minute, or reads none, keeps a connection for ever. Copy this
//! file, or put a proxy that has such deadlines in front.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Sleep;
use tower::ServiceExt;

/// What one client may cost.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// The whole head of a request has to arrive within this; a connection that is idle for so long is closed.
    pub head: Duration,
    /// What is sent has to be taken within this. An answer that takes longer on its way, a download or a stream, needs
    /// more.
    pub answer: Duration,
    /// Connections at once. More wait in the listener's queue.
    pub connections: usize,
    /// How long requests may take to end once the server is asked to stop.
    pub stop: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            head: Duration::from_secs(10),
            answer: Duration::from_secs(30),
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
            .serve_connection(
                TokioIo::new(Impatient::new(stream, bounds.answer)),
                TowerToHyperService::new(service),
            );
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

/// A connection that breaks off when what is written to it is not taken in time.
struct Impatient {
    stream: TcpStream,
    patience: Duration,
    /// Runs since a write had to wait, until all that was written is gone: who takes a byte now and then gains nothing.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn new(stream: TcpStream, patience: Duration) -> Self {
        Self {
            stream,
            patience,
            waiting: None,
        }
    }

    fn in_time<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_pending() {
            let patience = self.patience;
            let waiting = self
                .waiting
                .get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
            ready!(waiting.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        written
    }
}

impl AsyncRead for Impatient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.in_time(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Asked for once everything was written.
        self.waiting = None;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
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
