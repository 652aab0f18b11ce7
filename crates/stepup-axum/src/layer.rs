//! The layer around an Axum router.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use axum::BoxError;
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::ConnectInfo;
use http::{Request, Response};
use pin_project_lite::pin_project;
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
    C: HttpBody<Data = Bytes> + Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = StepupFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let peer = peer.map(|ConnectInfo(peer)| Peer(peer.ip()));
        StepupFuture {
            answer: self.0.call_from(request, peer),
        }
    }
}

pin_project! {
    /// The answer of a [`StepupService`].
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct StepupFuture<F> {
        #[pin]
        answer: Answer<F>,
    }
}

impl<F, C, E> Future for StepupFuture<F>
where
    F: Future<Output = Result<Response<C>, E>>,
    C: HttpBody<Data = Bytes> + Send + 'static,
    C::Error: Into<BoxError>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = ready!(self.project().answer.poll(cx))?;
        // A body that is Axum's already stays as it is, where any other is put into a box.
        Poll::Ready(Ok(response.map(|body| match body {
            MaybeOurs::Left(ours) => Body::new(ours),
            MaybeOurs::Right(theirs) => Body::new(theirs),
        })))
    }
}
