//! The layers that go around an application: one that every guard needs, and one that guards all it surrounds.

use std::fmt;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::VARY;
use http::{HeaderValue, Request, Response};
use http_body_util::{Either, Full};
use pin_project_lite::pin_project;
use stepup_core::require::Requirement;
use tower_layer::Layer;
use tower_service::Service;

use crate::cors::Cors;
use crate::gate::Refused;
use crate::header::{BY_ORIGIN, BY_SESSION, BY_SESSION_AND_ORIGIN, extend_list, never_store};
use crate::keeper::Gate;
use crate::service::{Guard, Peer};

/// The body of a response that may be ours.
pub type MaybeOurs<B> = Either<Full<Bytes>, B>;

/// Carries stepup to the guards inside, pays what they owe to the response, and adds CORS, on every status. It
/// belongs outermost, around the endpoints too.
#[derive(Clone, Debug)]
pub struct SessionLayer(Gate);

impl SessionLayer {
    /// For a site, of which a [`Stepup`](stepup_core::Stepup) or a [`Wire`](crate::Wire) will do, or for a service that
    /// only verifies.
    pub fn new(gate: impl Into<Gate>) -> Self {
        Self(gate.into())
    }
}

impl<S> Layer<S> for SessionLayer {
    type Service = SessionService<S>;

    fn layer(&self, inner: S) -> SessionService<S> {
        SessionService {
            gate: self.0.clone(),
            inner,
        }
    }
}

/// What [`SessionLayer`] makes of a service.
#[derive(Clone, Debug)]
pub struct SessionService<S> {
    gate: Gate,
    inner: S,
}

impl<S, B, C> Service<Request<B>> for SessionService<S>
where
    S: Service<Request<B>, Response = Response<C>>,
{
    type Response = Response<MaybeOurs<C>>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.call_from(request, None)
    }
}

impl<S> SessionService<S> {
    /// The same as `call`, for an adapter that knows the address at the other end of the connection.
    pub fn call_from<B, C>(&mut self, mut request: Request<B>, peer: Option<Peer>) -> Answer<S::Future>
    where
        S: Service<Request<B>, Response = Response<C>>,
    {
        match Guard::begin(&self.gate, peer, request.method(), request.headers()) {
            Begun::Preflight(response) => Answer {
                state: State::Preflight {
                    response: Some(response),
                },
            },
            Begun::Guard(guard) => {
                let origin = guard.origin_of(request.headers()).cloned();
                request.extensions_mut().insert(guard.clone());
                Answer {
                    state: State::Inner {
                        inner: self.inner.call(request),
                        guard,
                        origin,
                    },
                }
            }
        }
    }
}

pin_project! {
    /// The answer of a [`SessionService`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Answer<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    // A preflight is answered without the application; `origin` is the request's, if its pages may read the answer.
    #[project = Projection]
    enum State<F> {
        Preflight { response: Option<Response<Bytes>> },
        Inner { #[pin] inner: F, guard: Guard, origin: Option<HeaderValue> },
    }
}

impl<F> fmt::Debug for Answer<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer(..)")
    }
}

impl<F, C, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<C>, E>>,
{
    type Output = Result<Response<MaybeOurs<C>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            Projection::Preflight { response } => match response.take() {
                Some(response) => Poll::Ready(Ok(response.map(|body| Either::Left(Full::new(body))))),
                // Polled again after it was ready, which futures need not answer.
                None => Poll::Pending,
            },
            Projection::Inner { inner, guard, origin } => {
                let mut response = ready!(inner.poll(cx))?;
                guard.finish(origin.as_ref(), response.headers_mut());
                Poll::Ready(Ok(response.map(Either::Right)))
            }
        }
    }
}

impl Guard {
    /// Begins with a request: answers a preflight, or makes what its guards need.
    pub(crate) fn begin(
        gate: &Gate,
        peer: Option<Peer>,
        method: &http::Method,
        headers: &http::HeaderMap,
    ) -> Begun {
        let cors = gate.rules().cors.as_ref();
        match cors.and_then(|cors| cors.preflight(method, headers)) {
            Some(preflight) => Begun::Preflight(preflight),
            None => Begun::Guard(Self::new(gate.clone(), peer)),
        }
    }

    /// Ends with its response: pays what the guards owe, and adds CORS for the admitted `origin`
    /// ([`Guard::origin_of`]).
    pub(crate) fn finish(&self, origin: Option<&HeaderValue>, headers: &mut http::HeaderMap) {
        let rules = self.gate().rules();
        let private = self
            .outbox()
            .commit(&rules.cookies, || self.gate().now(), headers);
        if private {
            never_store(headers);
        }
        if rules.cors.is_some() {
            Cors::name(origin, headers);
        }
        // In one go, since this is most of what the layer does to a response.
        match (private, rules.cors.is_some()) {
            (true, true) => extend_list(headers, VARY, BY_SESSION_AND_ORIGIN),
            (true, false) => extend_list(headers, VARY, BY_SESSION),
            (false, true) => extend_list(headers, VARY, BY_ORIGIN),
            (false, false) => {}
        }
    }

    /// The origin of a request, if its pages may read the answer.
    pub(crate) fn origin_of<'a>(&self, headers: &'a http::HeaderMap) -> Option<&'a HeaderValue> {
        self.gate().rules().cors.as_ref()?.admits(headers)
    }
}

/// How a request begins.
#[derive(Debug)]
pub(crate) enum Begun {
    /// A preflight; this is its answer.
    Preflight(Response<Bytes>),
    /// Any other; this goes into its extensions, and to its response.
    Guard(Guard),
}

/// Admits only requests whose session meets `R`, to all that it surrounds. It stands inside of [`SessionLayer`].
///
/// What is inside finds the [`Session<R>`](crate::Session) in the request's extensions. To refuse in another language than
/// HTTP's, put a layer around this one: a refusal is `Either::Left`, and its extensions hold the
/// [`Reason`](crate::Reason).
pub struct RequireLayer<R>(PhantomData<fn() -> R>);

impl<R> RequireLayer<R> {
    /// Asks `R` of every session.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R> Default for RequireLayer<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> Clone for RequireLayer<R> {
    fn clone(&self) -> Self {
        Self::new()
    }
}

impl<R> fmt::Debug for RequireLayer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequireLayer")
    }
}

impl<S, R> Layer<S> for RequireLayer<R> {
    type Service = RequireService<S, R>;

    fn layer(&self, inner: S) -> RequireService<S, R> {
        RequireService {
            inner,
            asks: PhantomData,
        }
    }
}

/// What [`RequireLayer`] makes of a service.
pub struct RequireService<S, R> {
    inner: S,
    asks: PhantomData<fn() -> R>,
}

impl<S: Clone, R> Clone for RequireService<S, R> {
    fn clone(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            asks: PhantomData,
        }
    }
}

impl<S, R> fmt::Debug for RequireService<S, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RequireService")
    }
}

impl<S, R, B, C> Service<Request<B>> for RequireService<S, R>
where
    S: Service<Request<B>, Response = Response<C>> + Clone + Send + 'static,
    S::Future: Send,
    R: Requirement,
    B: Send + 'static,
{
    type Response = Response<MaybeOurs<C>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The clone that was polled ready is the one to call.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let head = parts.method == http::Method::HEAD;
            let admitted = match parts.extensions.get::<Guard>() {
                Some(guard) => guard.session::<R>(&parts).await,
                None => Err(Refused::missing_layer("the `SessionLayer`")),
            };
            match admitted {
                Ok(session) => {
                    parts.extensions.insert(session);
                    let request = Request::from_parts(parts, body);
                    Ok(inner.call(request).await?.map(Either::Right))
                }
                Err(refused) => Ok(refused.into_response().map(|body| {
                    // hyper sends a body by HTTP/2 whatever was asked, and the client takes the stream for broken.
                    let body = if head { Bytes::new() } else { body };
                    Either::Left(Full::new(body))
                })),
            }
        })
    }
}
