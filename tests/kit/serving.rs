//! What serves the demo to a test.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use axum::Router;
use demo_axum::serve::{Bounds, serve};
use demo_common::Site;
use stepup::wire::transfer::Allowed;
use stepup::wire::{Transport, Wire};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::framework::{Framework, only_on_axum};
use super::own::{self, Own};
use super::thread::OnThread;

/// What a server serves.
#[derive(Clone, Copy)]
pub enum App {
    /// The demo, on the framework of this run.
    Demo,
    /// The one of [`own`], with the transfer modes that it allows.
    Own(Allowed),
    /// An application of the test's own, on Axum.
    Router(fn(Site) -> Router),
}

/// A server that runs until it is stopped or dropped.
pub enum Serving {
    /// Beside the test.
    Task {
        task: JoinHandle<()>,
        stop: oneshot::Sender<()>,
    },
    /// On a thread of its own.
    Thread(OnThread),
}

impl Serving {
    /// Serves `site`. It answers when this returns.
    pub async fn start(app: App, listener: TcpListener, site: Site) -> Self {
        match (app, Framework::chosen()) {
            (App::Demo, Framework::Axum) => Self::on_axum(listener, demo_axum::app(site)),
            (App::Demo, Framework::Actix) => {
                Self::Thread(OnThread::start(|stop| demo_actix::serve(listener, site, stop)))
            }
            (App::Demo, Framework::Rocket) => {
                // Rocket binds by itself.
                let address = listener.local_addr().unwrap();
                drop(listener);
                let thread = OnThread::start(move |stop| demo_rocket::serve(address, site, stop));
                answers(address).await;
                Self::Thread(thread)
            }
            (App::Own(allowed), _) => {
                let transport = Transport::new().with_mode(allowed);
                let wire = Wire::new(site.stepup.clone(), &transport).unwrap();
                let stepup = site.stepup;
                own::serve(listener, Own { stepup, wire }).await
            }
            (App::Router(make), _) => {
                only_on_axum();
                Self::on_axum(listener, make(site))
            }
        }
    }

    pub fn on_axum(listener: TcpListener, app: Router) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        // Who drops the sender says the same.
        let stopped = async { drop(stopped.await) };
        let task = tokio::spawn(async {
            serve(listener, app, Bounds::default(), stopped).await.unwrap();
        });
        Self::Task { task, stop }
    }

    /// Stops it, as abruptly as it can be. The port is free when this returns.
    pub async fn stop(self) {
        match self {
            Self::Task { task, .. } => {
                task.abort();
                let _ = task.await;
            }
            Self::Thread(thread) => thread.finish().await,
        }
    }

    /// Asks it to stop, and waits for the requests under way.
    pub async fn finish(self) {
        match self {
            Self::Task { task, stop } => {
                drop(stop);
                task.await.unwrap();
            }
            Self::Thread(thread) => thread.finish().await,
        }
    }
}

/// Waits until somebody listens.
pub async fn answers(address: SocketAddr) {
    for _ in 0..2_000 {
        if tokio::net::TcpStream::connect(address).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("nobody listens on {address}");
}

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
