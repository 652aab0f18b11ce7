//! [`Wire`]: the protocol at one site, as a function from request to response and as a tower service.

use std::convert::Infallible;
use std::error::Error;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ALLOW, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body::Body as HttpBody;
use http_body_util::Full;
use stepup_core::Stepup;
use stepup_core::flow::Caller;
use stepup_core::id::TenantId;
use tracing::Instrument;
use tracing::field::Empty;

use crate::body::{self, BodyError, MAX_BUFFERED, MAX_PARSED};
use crate::call::Call;
use crate::content::{self, Content};
use crate::cors::Cors;
use crate::csrf::Act;
use crate::keeper::{Gate, Keeper};
use crate::language;
use crate::openapi;
use crate::outbox::Outbox;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::route::{self, ROUTES};
use crate::table::{self, Body, Match};
use crate::transport::{Rules, Transport};

/// The protocol at one site. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wire(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stepup: Stepup,
    gate: Gate,
    document: OnceLock<Bytes>,
}

/// What is wrong with a [`Transport`] for its application; a sentence each.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the transport cannot work here: {}", .0.join("; "))]
pub struct TransportError(pub Vec<String>);

/// The address at the other end of the connection. An adapter hands it to the layer, or puts it into the request's
/// extensions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Wire {
    /// The protocol of `stepup`, carried as `transport` says.
    ///
    /// # Errors
    /// [`TransportError`] lists every problem, not the first.
    pub fn new(stepup: Stepup, transport: &Transport) -> Result<Self, TransportError> {
        let problems = transport.problems(stepup.app());
        if problems.is_empty() {
            Ok(Self::with(stepup, transport))
        } else {
            Err(TransportError(problems))
        }
    }

    fn with(stepup: Stepup, transport: &Transport) -> Self {
        let rules = Rules::new(stepup.app(), transport);
        let gate = Gate::new(Keeper::Site(stepup.clone()), rules);
        Self(Arc::new(Inner {
            stepup,
            gate,
            document: OnceLock::new(),
        }))
    }

    /// What it serves.
    pub fn stepup(&self) -> &Stepup {
        &self.0.stepup
    }

    /// What every request is judged by.
    pub fn rules(&self) -> &Rules {
        self.gate().rules()
    }

    /// What guards of the same site need.
    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    /// The OpenAPI document, put together once.
    pub(crate) fn document(&self) -> Bytes {
        let made = || Bytes::from(openapi::document(self.stepup().app(), self.rules()).to_string());
        self.0.document.get_or_init(made).clone()
    }

    /// Answers a request to an endpoint. It always answers: whatever it cannot understand is a 4xx with a `message`.
    pub async fn handle(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        self.answer(&parts, Ok(body)).await
    }

    /// The same for a body that is still to be read, of which no more is read than [`MAX_BUFFERED`] bytes.
    pub async fn handle_stream<B>(&self, request: Request<B>) -> Response<Bytes>
    where
        B: HttpBody,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let body = body::buffer(body, MAX_BUFFERED).await;
        self.answer(&parts, body).await
    }

    pub(crate) async fn answer(&self, parts: &Parts, body: Result<Bytes, BodyError>) -> Response<Bytes> {
        let cors = self.rules().cors.as_ref();
        if let Some(preflight) = cors.and_then(|cors| cors.preflight(&parts.method, &parts.headers)) {
            return preflight;
        }
        let reply = self.reply(parts, body).await.unwrap_or_else(Refusal::into_reply);
        let public = reply.is_public();
        let mut response = reply.into_response(&self.rules().cookies, self.stepup().now());
        if let Some(cors) = cors {
            let origin = cors.admits(&parts.headers);
            if public {
                Cors::apply_public(origin, response.headers_mut());
            } else {
                Cors::apply(origin, response.headers_mut());
            }
        }
        if parts.method == Method::HEAD {
            *response.body_mut() = Bytes::new();
        }
        response
    }

    /// From what costs least to what costs most: the path, the origin, the body's length and type, and then the
    /// endpoint. Nothing is parsed for a request that is not taken.
    async fn reply(&self, parts: &Parts, body: Result<Bytes, BodyError>) -> Result<Reply, Refusal> {
        let (row, tenant) = match table::find(ROUTES, &self.rules().base, &parts.method, parts.uri.path()) {
            Match::Found(row, tenant) => (row, tenant),
            Match::WrongMethod(methods) if parts.method == Method::OPTIONS => return Ok(options(&methods)),
            Match::WrongMethod(methods) => {
                return Err(Refusal::WrongMethod(methods.into_iter().cloned().collect()));
            }
            Match::Unknown | Match::Elsewhere => return Err(Refusal::NotFound),
        };
        let tenant = tenant.map_or_else(TenantId::public, TenantId::from);
        if !self.stepup().knows_tenant(&tenant) {
            return Err(Refusal::NotFound);
        }
        let has_body = body.as_ref().map_or(true, |body| !body.is_empty());
        if row.body != Body::ForeignForm {
            self.gate().believe(parts, Act::Open, Some(has_body))?;
        }
        let body = match body {
            Ok(body) if body.len() > MAX_PARSED => return Err(Refusal::TooLarge),
            Ok(body) => body,
            Err(BodyError::TooLarge) => return Err(Refusal::TooLarge),
            Err(BodyError::Late) => return Err(Refusal::Late),
            Err(BodyError::Incomplete) => return Err(crate::json::InputError::Malformed.into()),
        };
        let taken = match (row.body, content::of(&parts.headers)) {
            (Body::Ignored, _) | (Body::Json | Body::Form, Content::Json) | (Body::Form, Content::Form) => {
                true
            }
            (Body::ForeignForm, content) => content == Content::Form,
            (Body::Json, _) | (Body::Form, Content::None | Content::Other) => false,
        };
        if !taken {
            return Err(Refusal::WrongType(row.body));
        }
        let caller = Caller {
            tenant,
            origin: self.gate().origin(parts),
            session: None,
            language: language::wanted(&parts.headers, self.stepup().languages()),
        };
        // No id, no address: the span names the endpoint and the tenant alone.
        let tenant = caller.tenant.as_str();
        let span =
            tracing::info_span!(target: "stepup::api", "api", endpoint = row.path, tenant, status = Empty);
        let running = route::run(Call::new(self, parts, body, caller), row);
        let reply = running
            .instrument(span.clone())
            .await
            .unwrap_or_else(Refusal::into_reply);
        span.record("status", reply.code());
        Ok(reply)
    }
}

impl From<&Stepup> for Wire {
    /// With the default [`Transport`]. What cannot work with it is reported as an error, and the rest works.
    fn from(stepup: &Stepup) -> Self {
        let transport = Transport::new();
        for problem in transport.problems(stepup.app()) {
            tracing::error!(target: "stepup", problem, "the transport cannot work here");
        }
        Self::with(stepup.clone(), &transport)
    }
}

impl From<&Stepup> for Gate {
    /// As for [`Wire`].
    fn from(stepup: &Stepup) -> Self {
        Wire::from(stepup).gate().clone()
    }
}

impl From<&Wire> for Gate {
    fn from(wire: &Wire) -> Self {
        wire.gate().clone()
    }
}

impl From<Wire> for Gate {
    fn from(wire: Wire) -> Self {
        wire.gate().clone()
    }
}

impl From<&Wire> for Wire {
    fn from(wire: &Wire) -> Self {
        wire.clone()
    }
}

/// The endpoints as a tower service. It takes bodies of every kind and never fails.
#[derive(Clone, Debug)]
pub struct WireService(pub Wire);

impl<B> tower_service::Service<Request<B>> for WireService
where
    B: HttpBody + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let wire = self.0.clone();
        Box::pin(async move { Ok(wire.handle_stream(request).await.map(Full::new)) })
    }
}

/// What a guard needs, carried in the request's extensions by the layer: the site, and the outbox of the response.
///
/// Clones are handles of the same guard: the layer, the request and its session each hold one.
#[derive(Clone, Debug)]
pub struct Guard(Arc<Post>);

/// Where a guard stands: one for each request.
#[derive(Debug)]
struct Post {
    gate: Gate,
    outbox: Outbox,
    peer: Option<Peer>,
}

impl Guard {
    pub(crate) fn new(gate: Gate, peer: Option<Peer>) -> Self {
        Self(Arc::new(Post {
            gate,
            outbox: Outbox::new(),
            peer,
        }))
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn outbox(&self) -> &Outbox {
        &self.0.outbox
    }

    pub(crate) fn peer(&self) -> Option<Peer> {
        self.0.peer
    }
}

fn options(methods: &[&Method]) -> Reply {
    let reply = Reply::empty(StatusCode::NO_CONTENT);
    match HeaderValue::try_from(crate::refusal::allow(methods.iter().copied())) {
        Ok(allow) => reply.with_header(ALLOW, allow),
        Err(_) => reply,
    }
}
