//! stepup on a tonic gRPC service: every call is guarded, and a refusal is a gRPC status that says which claims fail.
//!
//! The application, apart from the server, so that tests can call it. Tokens come in the metadata `authorization: Bearer ..`.

mod refusal;
pub mod reports;

use std::pin::Pin;
use std::time::Duration;

use stepup::wire::{Gate, Peer, RequireLayer, Session, SessionLayer};
use stepup::{Ending, Fresh, Require2fa};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpConnectInfo};
use tonic::{Request, Response, Status};
use tower::layer::util::{Identity, Stack};
use tower::util::{MapRequestLayer, MapResponseLayer};

use crate::reports::{OrderRequest, ReadRequest, Report, Reports, ReportsServer};

pub use refusal::DOMAIN;

/// Everything that is served: for a site ([`Stepup`](stepup::Stepup)), or for a service beside it
/// ([`Verifier`](stepup::verify::Verifier)).
pub fn app(gate: impl Into<Gate>) -> Router<Layers> {
    Server::builder()
        // Outermost first.
        .layer(MapRequestLayer::new(with_peer as WithPeer))
        .layer(SessionLayer::new(gate))
        .layer(MapResponseLayer::new(refusal::as_grpc as AsGrpc))
        // Around all services: a method that is added later is guarded too, and so is one that does not exist.
        .layer(RequireLayer::<Require2fa>::new())
        .add_service(ReportsServer::new(ReportsOf))
}

/// The layers of [`app`], innermost first.
pub type Layers = Stack<
    RequireLayer<Require2fa>,
    Stack<MapResponseLayer<AsGrpc>, Stack<SessionLayer, Stack<MapRequestLayer<WithPeer>, Identity>>>,
>;

type WithPeer = fn(http::Request<Body>) -> http::Request<Body>;
type AsGrpc =
    fn(http::Response<stepup::wire::MaybeOurs<Body>>) -> http::Response<stepup::wire::MaybeOurs<Body>>;

/// Tells stepup who is at the other end, which tonic keeps under a type of its own: events name the network.
fn with_peer(mut request: http::Request<Body>) -> http::Request<Body> {
    let peer = request.extensions().get::<TcpConnectInfo>();
    if let Some(peer) = peer.and_then(TcpConnectInfo::remote_addr) {
        request.extensions_mut().insert(Peer(peer.ip()));
    }
    request
}

/// The service.
#[derive(Clone, Debug)]
pub struct ReportsOf;

#[tonic::async_trait]
impl Reports for ReportsOf {
    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Report>, Status> {
        let session = session(&request)?;
        let name = request.into_inner().name;
        Ok(report(format!("{name}, for {}", session.user_id())))
    }

    async fn order(&self, request: Request<OrderRequest>) -> Result<Response<Report>, Status> {
        let mut session = session(&request)?;
        let OrderRequest { name, copies } = request.into_inner();
        // Only the message tells how much is at stake.
        if copies > 1 {
            session.require::<Fresh<300>>().await.map_err(refusal::refused)?;
        }
        Ok(report(format!("{copies} of {name}, for {}", session.user_id())))
    }

    type FollowStream = Pin<Box<dyn Stream<Item = Result<Report, Status>> + Send>>;

    async fn follow(&self, request: Request<ReadRequest>) -> Result<Response<Self::FollowStream>, Status> {
        // The guard judged how the call begins. It must also end with the session.
        let ended = session(&request)?.until_ended();
        let name = request.into_inner().name;
        let (send, reports) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            let tick = async {
                loop {
                    let report = Report { text: name.clone() };
                    if send.send(Ok(report)).await.is_err() {
                        return; // the client has gone
                    }
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            };
            tokio::select! {
                why = ended => drop(send.send(Err(end(why))).await),
                () = tick => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(reports))))
    }
}

/// The session that the layer admitted.
fn session<T>(request: &Request<T>) -> Result<Session<Require2fa>, Status> {
    // Every error denies: without the layer there is none.
    let session = request.extensions().get::<Session<Require2fa>>();
    session
        .cloned()
        .ok_or_else(|| Status::internal("the session layer is missing"))
}

/// How a call that lasts ends.
fn end(why: Ending) -> Status {
    match why {
        // The client refreshes at the site and calls again.
        Ending::Expired => Status::unauthenticated("try refresh token"),
        Ending::Revoked => Status::unauthenticated("unauthorised"),
        Ending::Requirement => Status::permission_denied("invalid claim"),
        Ending::Fault => Status::unavailable("temporarily unavailable"),
    }
}

fn report(text: String) -> Response<Report> {
    Response::new(Report { text })
}
