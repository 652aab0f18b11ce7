//! Serves the demo. Rocket 0.5 takes no listener: it binds the address that its configuration names.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;

use demo_common::Site;
use demo_common::start::At;
use rocket::config::{Ident, LogLevel};
use rocket::error::ErrorKind;
use rocket::fairing::AdHoc;
use rocket::{Config, Shutdown};
use socket2::{Domain, Socket, Type};

/// Serves the demo at `address` until `stop` is ready, and lets the requests under way end. When it is dropped, it stops.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    site: Site,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve_and_say(address, site, || Ok(()), stop).await
}

/// The same, saying when it listens. If that cannot be said, it stops.
///
/// # Errors
/// As [`serve`].
pub async fn serve_and_say(
    address: SocketAddr,
    site: Site,
    say: impl FnOnce() -> io::Result<()> + Send + 'static,
    stop: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let say = Mutex::new(Some(say));
    let says = AdHoc::on_liftoff("says that it listens", move |rocket| {
        let say = say.lock().ok().and_then(|mut say| say.take());
        if say.is_some_and(|say| say().is_err()) {
            rocket.shutdown().notify();
        }
        Box::pin(async {})
    });
    let rocket = crate::app(site, config(address)).attach(says);
    let rocket = rocket.ignite().await.map_err(|error| failed(&error))?;
    let stopping = Stopping(rocket.shutdown());
    let mut launched = std::pin::pin!(rocket.launch());
    let ended = tokio::select! {
        ended = &mut launched => ended,
        () = stop => {
            stopping.0.clone().notify();
            launched.await
        }
    };
    match ended {
        Ok(_) => Ok(()),
        // Somebody was still there when the time was up.
        Err(error) if matches!(error.kind(), ErrorKind::Shutdown(..)) => Ok(()),
        Err(error) => Err(failed(&error)),
    }
}

/// A port that nobody else gets while whoever wants it is not ready to bind it. Nobody can connect to it yet.
#[derive(Debug)]
pub struct Port {
    /// Bound and not listening, which Linux lets another socket of ours bind over.
    _socket: Socket,
    address: SocketAddr,
}

impl Port {
    /// Reserves `address`; port 0 stands for a free one.
    ///
    /// # Errors
    /// It is in use.
    pub fn reserve(address: SocketAddr) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        let bound = socket.local_addr()?.as_socket();
        Ok(Self {
            address: bound.ok_or(io::ErrorKind::AddrNotAvailable)?,
            _socket: socket,
        })
    }

    /// The address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl At for Port {
    fn at(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Connections are served by tasks of their own, which a server that is dropped would leave behind.
struct Stopping(Shutdown);

impl Drop for Stopping {
    fn drop(&mut self) {
        self.0.clone().notify();
    }
}

fn config(address: SocketAddr) -> Config {
    let mut config = Config {
        address: address.ip(),
        port: address.port(),
        // The demo's other servers do not say what they are.
        ident: Ident::none(),
        // Standard output belongs to the address and to the codes.
        log_level: LogLevel::Off,
        cli_colors: false,
        ..Config::release_default()
    };
    // Whoever serves the demo knows when to stop.
    config.shutdown.ctrlc = false;
    config.shutdown.signals.clear();
    config.shutdown.force = false;
    // In seconds: for requests under way, and then for whoever does not take the answer.
    config.shutdown.grace = 3;
    config.shutdown.mercy = 1;
    config
}

fn failed(error: &rocket::Error) -> io::Error {
    match error.kind() {
        ErrorKind::Bind(error) | ErrorKind::Io(error) => io::Error::new(error.kind(), error.to_string()),
        other => io::Error::other(other.to_string()),
    }
}
