//! What serves the demo to a test: the framework that `STEPUP_TEST_FRAMEWORK` names, Axum if it names none.
//!
//! The suites are compiled once and run once for each framework. A test that brings an Axum application of its own, or
//! serves nothing, has nothing to say about another framework: it is named in `axum-only.txt`, which the other passes
//! leave out and count.

use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::LazyLock;
use std::{env, io};

use axum::Router;
use demo_axum::serve::{Bounds, serve};
use demo_common::Site;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A web framework that the demo is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    Axum,
}

impl Framework {
    /// The one that this run is about.
    ///
    /// # Panics
    /// On a name that is none of them: a typing error must not pass for a run on Axum.
    pub fn chosen() -> Self {
        static CHOSEN: LazyLock<Framework> = LazyLock::new(|| {
            let name = env::var_os(VARIABLE).map(|name| name.to_string_lossy().into_owned());
            match name.as_deref() {
                None | Some("axum") => Framework::Axum,
                Some(other) => panic!("{VARIABLE}: there is no demo on `{other}`"),
            }
        });
        *CHOSEN
    }
}

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

/// Fails a test that would say nothing about the framework of this run.
pub fn only_on_axum() {
    assert_eq!(
        Framework::chosen(),
        Framework::Axum,
        "the test brings an application of its own, which is on Axum: name it in tests/kit/axum-only.txt"
    );
}

const VARIABLE: &str = "STEPUP_TEST_FRAMEWORK";
