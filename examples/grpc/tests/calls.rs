//! Over real sockets: what is admitted, how a refusal reads, and ways around the guard.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panic"
)]

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, COOKIE, HeaderMap};
use http::{Method, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use on_grpc::reports::{OrderRequest, ReadRequest, Report, ReportsClient};
use on_grpc::{DOMAIN, app};
use stepup_testkit::app::TestApp;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

const SOON: Duration = Duration::from_secs(30);

struct Site {
    kit: TestApp,
    address: SocketAddr,
    client: ReportsClient<Channel>,
}

impl Site {
    async fn start() -> Self {
        let kit = TestApp::new().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(app(&kit.stepup).serve_with_incoming(TcpIncoming::from(listener)));
        let client = connect(address).await;
        Self { kit, address, client }
    }

    /// The access token of somebody who completed both factors.
    async fn full(&self, name: &str) -> String {
        bearer(self.kit.request_as(name).by_header().complete().await)
    }

    async fn half(&self, name: &str) -> String {
        bearer(self.kit.request_as(name).by_header().half().await)
    }

    async fn read(&self, authorization: Option<&str>) -> Result<Report, Status> {
        let call = with(
            ReadRequest {
                name: "q3".to_owned(),
            },
            authorization,
        );
        self.client
            .clone()
            .read(call)
            .await
            .map(tonic::Response::into_inner)
    }

    async fn order(&self, copies: u32, authorization: &str) -> Result<Report, Status> {
        let order = OrderRequest {
            name: "q3".to_owned(),
            copies,
        };
        let call = with(order, Some(authorization));
        self.client
            .clone()
            .order(call)
            .await
            .map(tonic::Response::into_inner)
    }

    /// A request of our own making.
    async fn raw<B>(&self, request: http::request::Builder, body: B) -> hyper::Result<Response<HeaderMap>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let io = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let exchange = async {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await?;
            tokio::spawn(connection);
            let response = sender.send_request(request.body(body).unwrap()).await?;
            let (parts, body) = response.into_parts();
            let trailers = body.collect().await?.trailers().cloned();
            Ok(Response::from_parts(parts, trailers.unwrap_or_default()))
        };
        timeout(SOON, exchange).await.expect("an answer in time")
    }

    async fn lives(&self) {
        let ann = self.full("ann").await;
        self.read(Some(&ann)).await.unwrap();
    }
}

async fn connect(address: SocketAddr) -> ReportsClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    ReportsClient::new(endpoint.connect().await.unwrap())
}

fn bearer(request: http::request::Builder) -> String {
    let request = request.body(()).unwrap();
    request.headers()[AUTHORIZATION].to_str().unwrap().to_owned()
}

fn with<T>(message: T, authorization: Option<&str>) -> Request<T> {
    let mut call = Request::new(message);
    if let Some(value) = authorization {
        let value: AsciiMetadataValue = value.parse().unwrap();
        call.metadata_mut().insert("authorization", value);
    }
    call
}

/// Code, message, reason, and the claims that fail.
fn told(status: &Status) -> (Code, &str, String, Vec<String>) {
    let details = status.get_error_details();
    let info = details.error_info().expect("a reason");
    assert_eq!(info.domain, DOMAIN, "{status:?}");
    let violations = details
        .precondition_failure()
        .into_iter()
        .flat_map(|failure| &failure.violations);
    let claims = violations.map(|violation| {
        assert_eq!(violation.r#type, "CLAIM");
        violation.subject.clone()
    });
    let info = info.clone();
    (status.code(), status.message(), info.reason, claims.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_by_its_code_whether_signing_in_helps_and_names_the_claims_that_fail() {
    let site = Site::start().await;
    let nobody = site.read(None).await.unwrap_err();
    let over = (
        Code::Unauthenticated,
        "unauthorised",
        "UNAUTHORISED".to_owned(),
        vec![],
    );
    assert_eq!(told(&nobody), over);

    let half = site.half("ann").await;
    let denied = site.read(Some(&half)).await.unwrap_err();
    let claims = vec!["st-mfa".to_owned(), "2fa-completed".to_owned()];
    let lacks = (
        Code::PermissionDenied,
        "invalid claim",
        "INVALID_CLAIM".to_owned(),
        claims,
    );
    assert_eq!(told(&denied), lacks);

    let full = site.full("ann").await;
    let report = site.read(Some(&full)).await.unwrap();
    assert_eq!(report.text, format!("q3, for {}", site.kit.user_id("ann").await));

    site.kit.advance(Duration::from_secs(3600)).await;
    let expired = site.read(Some(&full)).await.unwrap_err();
    let reason = "TRY_REFRESH_TOKEN".to_owned();
    assert_eq!(
        told(&expired),
        (Code::Unauthenticated, "try refresh token", reason, vec![])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_asks_more_where_its_message_says_that_more_is_at_stake() {
    let site = Site::start().await;
    let ann = site.full("ann").await;
    assert!(site.order(2, &ann).await.is_ok());
    site.kit.advance(Duration::from_secs(301)).await;
    assert!(site.order(1, &ann).await.is_ok());
    let stale = site.order(2, &ann).await.unwrap_err();
    let (code, _, reason, claims) = told(&stale);
    assert_eq!((code, reason.as_str()), (Code::PermissionDenied, "INVALID_CLAIM"));
    assert_eq!(claims, ["st-mfa"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_lasts_ends_with_its_session() {
    let site = Site::start().await;
    let ann = site.full("ann").await;
    let call = with(
        ReadRequest {
            name: "q3".to_owned(),
        },
        Some(&ann),
    );
    let mut reports = site.client.clone().follow(call).await.unwrap().into_inner();
    assert_eq!(reports.message().await.unwrap().unwrap().text, "q3");
    let claims = site.kit.stepup.verify(ann.trim_start_matches("Bearer ")).unwrap();
    site.kit.stepup.revoke(claims.handle()).await.unwrap();
    let ended = timeout(SOON, async {
        loop {
            match reports.message().await {
                Ok(report) => assert!(report.is_some(), "it ended without a status"),
                Err(status) => return status,
            }
        }
    });
    assert_eq!(ended.await.unwrap().code(), Code::Unauthenticated);
    // And nobody begins another with the same token.
    assert_eq!(
        site.read(Some(&ann)).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    let call = with(
        ReadRequest {
            name: "q3".to_owned(),
        },
        None,
    );
    let refused = site.client.clone().follow(call).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_exist_is_guarded_like_what_does() {
    let site = Site::start().await;
    let ann = site.full("ann").await;
    for path in [
        "/acme.reports.v1.Reports/Read",
        "/acme.reports.v1.Reports/Nothing",
        "/acme.reports.v1.Reports/",
        "/acme.reports.v1.Reports/Read/",
        "//acme.reports.v1.Reports/Read",
        "/acme.reports.v1.reports/Read",
        "/acme.reports.v1.Reports/%52ead",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/",
    ] {
        for method in [Method::POST, Method::GET, Method::PUT, Method::OPTIONS] {
            let call = |authorization: Option<&str>| {
                let request = http::Request::builder()
                    .method(method.clone())
                    .uri(format!("http://localhost{path}"))
                    .header("content-type", "application/grpc")
                    .header("te", "trailers");
                match authorization {
                    Some(value) => request.header(AUTHORIZATION, value),
                    None => request,
                }
            };
            let refused = site.raw(call(None), Full::new(Bytes::new())).await.unwrap();
            assert_eq!(refused.status(), 200, "{method} {path}");
            assert_eq!(refused.headers()["grpc-status"], "16", "{method} {path}");
            assert_eq!(refused.headers()["content-type"], "application/grpc");
            assert!(!refused.headers().contains_key("x-content-type-options"));
            let unknown = site.raw(call(Some(&ann)), Full::new(Bytes::new())).await.unwrap();
            let status = unknown
                .headers()
                .get("grpc-status")
                .or(unknown.body().get("grpc-status"));
            assert!(
                status.is_none_or(|status| status != "0" && status != "16"),
                "{method} {path}: {unknown:?}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_metadata_admits_nobody() {
    let site = Site::start().await;
    let ann = site.full("ann").await;
    let token = ann.trim_start_matches("Bearer ").to_owned();
    for value in [
        "",
        "Bearer",
        "Bearer ",
        token.as_str(),
        "Basic YTpi",
        "Bearer x",
        "Bearer a.b.c",
        &format!("Bearer {token}, Bearer {token}"),
        &format!("Bearer {token}x"),
        &format!("Basic {token}"),
        &format!("Bearer {}", &token[..token.len() - 1]),
    ] {
        let refused = site.read(Some(value)).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{value:?}");
    }
    // Two lines, whichever comes first.
    for (first, second) in [(ann.as_str(), "Bearer x"), ("Bearer x", ann.as_str())] {
        let mut call = with(ReadRequest::default(), Some(first));
        call.metadata_mut()
            .append("authorization", second.parse().unwrap());
        let refused = site.client.clone().read(call).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{first:?}");
    }
    // Its name, spelled as binary metadata or as another header.
    for name in ["x-authorization", "proxy-authorization", "st-access-token"] {
        let mut call = with(ReadRequest::default(), None);
        call.metadata_mut().insert(name, ann.parse().unwrap());
        let refused = site.client.clone().read(call).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unauthenticated, "{name}");
    }
    site.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_counts_only_from_a_page_of_the_site() {
    let site = Site::start().await;
    let request = site.kit.request_as("ann").complete().await.body(()).unwrap();
    let cookie = request.headers()[COOKIE].to_str().unwrap().to_owned();
    let read = async |origin: Option<&str>| {
        let mut call = with(ReadRequest::default(), None);
        call.metadata_mut().insert("cookie", cookie.parse().unwrap());
        if let Some(origin) = origin {
            call.metadata_mut().insert("origin", origin.parse().unwrap());
        }
        site.client
            .clone()
            .read(call)
            .await
            .map(drop)
            .map_err(|status| status.code())
    };
    assert_eq!(read(Some("http://localhost:3000")).await, Ok(()));
    assert_eq!(read(Some("http://evil.test")).await, Err(Code::PermissionDenied));
    // Nothing tells that no form sent it.
    assert_eq!(read(None).await, Err(Code::InvalidArgument));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_a_trailer_is_no_token() {
    let site = Site::start().await;
    let ann = site.full("ann").await;
    let mut trailers = HeaderMap::new();
    trailers.insert(AUTHORIZATION, ann.parse().unwrap());
    let body = Full::new(Bytes::from_static(&[0; 5])).with_trailers(async { Some(Ok(trailers)) });
    let call = http::Request::post("http://localhost/acme.reports.v1.Reports/Read");
    let call = call
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let refused = site.raw(call, Box::pin(body)).await.unwrap();
    assert_eq!(refused.headers()["grpc-status"], "16");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_is_told_so_before_the_message_is_read() {
    let site = Site::start().await;
    let call = http::Request::post("http://localhost/acme.reports.v1.Reports/Read");
    let call = call
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    let refused = site.raw(call, Box::pin(Endless)).await.unwrap();
    assert_eq!(refused.headers()["grpc-status"], "16");
    site.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_without_measure_is_refused_and_the_process_lives() {
    let site = Site::start().await;
    for name in ["authorization", "cookie", "x"] {
        let call = http::Request::post("http://localhost/acme.reports.v1.Reports/Read")
            .header("content-type", "application/grpc")
            .header(name, format!("Bearer {}", "a".repeat(1 << 20)));
        match site.raw(call, Full::new(Bytes::new())).await {
            Ok(answer) => assert!(answer.status().is_client_error(), "{answer:?}"),
            Err(error) => assert!(!error.is_timeout(), "{error:?}"),
        }
    }
    site.lives().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_session_layer_everything_is_denied() {
    use on_grpc::ReportsOf;
    use on_grpc::reports::ReportsServer;
    use tonic::transport::Server;

    let site = Site::start().await;
    let ann = site.full("ann").await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().add_service(ReportsServer::new(ReportsOf));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let mut client = connect(address).await;
    let denied = client
        .read(with(ReadRequest::default(), Some(&ann)))
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Code::Internal);
    let denied = client
        .follow(with(ReadRequest::default(), Some(&ann)))
        .await
        .unwrap_err();
    assert_eq!(denied.code(), Code::Internal);
}

/// A message without end.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 1024])))))
    }
}
