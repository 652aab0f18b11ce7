//! A server on a thread and a runtime of its own: some frameworks need one, and none should need the test's.

#![allow(dead_code, unreachable_pub, reason = "each suite uses its part of it")]

use std::pin::Pin;
use std::{io, thread};

use tokio::sync::oneshot;

/// A server that runs until it is dropped, or asked to finish.
pub struct OnThread {
    stop: oneshot::Sender<()>,
    ended: oneshot::Receiver<io::Result<()>>,
}

/// Ready when a server is asked to stop.
pub type Stop = Pin<Box<dyn Future<Output = ()> + Send>>;

impl OnThread {
    /// Runs what `server` makes.
    pub fn start<F>(server: impl FnOnce(Stop) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<()>>,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, ended) = oneshot::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap();
            // Who drops the sender says the same.
            let stop = Box::pin(async { drop(stopped.await) });
            let result = runtime.block_on(server(stop));
            // Nobody may be waiting.
            let _ = tell.send(result);
        });
        Self { stop, ended }
    }

    /// Asks it to stop, and waits for the requests under way. The port is free when this returns.
    pub async fn finish(self) {
        drop(self.stop);
        self.ended.await.expect("the server did not panic").unwrap();
    }
}
