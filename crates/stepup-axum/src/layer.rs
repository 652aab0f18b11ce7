//! The layer around an Axum router.

use std::net::SocketAddr;
use std::task::{Context, Poll};

use axum::extract::ConnectInfo;
use http::{Request, Response};
use stepup_wire::{Answer, Gate, MaybeOurs, Peer, SessionLayer, SessionService};
use tower_layer::Layer;
use tower_service::Service;

/// Carries stepup to the guards inside, and pays what they owe to every response.
#[derive(Clone, Debug)]
pub struct StepupLayer(SessionLayer);

impl StepupLayer {
    pub(crate) fn new(gate: Gate) -> Self {
        Self(SessionLayer::new(gate))
    }
}

impl<S> Layer<S> for StepupLayer {
    type Service = StepupService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StepupService(self.0.layer(inner))
    }
}

/// Tells the protocol the peer's address, which Axum keeps under a type of its own.
#[derive(Clone, Debug)]
pub struct StepupService<S>(SessionService<S>);

impl<S, B, C> Service<Request<B>> for StepupService<S>
where
    S: Service<Request<B>, Response = Response<C>>,
{
    type Response = Response<MaybeOurs<C>>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|ConnectInfo(peer)| Peer(peer.ip()));
        self.0.call_from(request, peer)
    }
}
