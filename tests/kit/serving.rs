//! What serves the demo to a test.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;

use axum::Router;
use demo_axum::serve::{Bounds, serve};
use demo_common::Site;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::framework::{Framework, only_on_axum};

/// What a server serves.
#[derive(Clone, Copy)]
pub enum App {
    /// The demo, on the framework of this run.
    Demo,
    /// An application of the test's own.
    Own(fn(Site) -> Router),
}

/// A server that runs until it is stopped or dropped.
pub struct Serving {
    task: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl Serving {
    /// Serves `site`. It answers when this returns.
    pub async fn start(app: App, listener: TcpListener, site: Site) -> Self {
        match (app, Framework::chosen()) {
            (App::Demo, Framework::Axum) => Self::on_axum(listener, demo_axum::app(site)),
            (App::Own(make), _) => {
                only_on_axum();
                Self::on_axum(listener, make(site))
            }
        }
    }

    fn on_axum(listener: TcpListener, app: Router) -> Self {
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        Self::of(|stop| async { serve(listener, app, Bounds::default(), stop).await })
    }

    fn of<F>(server: impl FnOnce(Stop) -> F) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let (stop, stopped) = oneshot::channel();
        // Who drops the sender says the same.
        let serving = server(Box::pin(async { drop(stopped.await) }));
        Self {
            task: tokio::spawn(async { serving.await.unwrap() }),
            stop,
        }
    }

    /// Stops it where it stands, as a crash does. The port is free when this returns.
    pub async fn stop(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    /// Asks it to stop, and waits for the requests under way.
    pub async fn finish(self) {
        drop(self.stop);
        self.task.await.unwrap();
    }
}

/// Ready when a server is asked to stop.
type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A listener on a free port of this machine.
pub fn listen(address: SocketAddr) -> TcpListener {
    let listener = TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    listener
}

/// Any free port of this machine.
pub fn anywhere() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}
