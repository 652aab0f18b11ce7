//! The application of the adapter suite, on Axum.

use std::any::Any;
use std::net::{SocketAddr, TcpListener};

use axum::Router;
use axum::body::Bytes;
use axum::extract::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::Value;
use stepup::UserId;
use stepup::axum::{AnySession, Fresh, OptionalSession, Rejection, Require2fa, Session, SignIn};
use stepup_testkit::suite::adapter::{Application, Breaks, Due, Login, Never, plan};
use tokio::task::AbortHandle;
use tower_http::catch_panic::CatchPanicLayer;

pub async fn serve(listener: TcpListener, application: Application) -> Option<Stop> {
    Some(serve_router(listener, app(application)))
}

pub fn serve_router(listener: TcpListener, app: Router) -> Stop {
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let serving = tokio::spawn(async move { axum::serve(listener, app).await });
    Stop(serving.abort_handle())
}

/// Ends the server when it is dropped.
pub struct Stop(AbortHandle);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub fn app(application: Application) -> Router {
    let scope = Router::new()
        .route("/scope/in", get(async || "in").post(async || "in"))
        .layer(stepup::axum::require::<Require2fa>());
    let app = Router::new()
        .route("/any", get(any))
        .route("/plain", get(async |_: Session| "in"))
        .route("/secret", get(secret).post(secret))
        .route("/fresh", get(async |_: Session<Fresh<300>>| "in"))
        .route("/refuses", get(async |_: Session<Never>| "in"))
        .route("/panics", get(async |_: OptionalSession<Breaks>| "in"))
        .route("/optional", get(optional))
        .route("/plan", post(merge))
        .route("/plan/refused", post(merge_and_fail))
        .route("/plan/panics", post(merge_and_panic))
        .route("/due", post(async |_: Session<Due>, _: Json<Value>| "in"))
        .route("/leave", post(leave))
        .route("/login", post(log_in))
        .merge(scope)
        .merge(stepup::axum::routes(&application.wire))
        // Inside of stepup's: who catches a panic outside of it loses what is owed.
        .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| {
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }));
    match application.layered {
        true => app.layer(stepup::axum::layer(&application.wire)),
        false => app,
    }
}

async fn any(session: Session<AnySession>) -> String {
    session.user_id().to_string()
}

async fn secret(_: Session<Require2fa>) -> &'static str {
    "in"
}

async fn optional(OptionalSession(session): OptionalSession<AnySession>) -> String {
    session.map_or_else(|| "nobody".to_owned(), |session| session.user_id().to_string())
}

async fn merge(mut session: Session<AnySession>) -> Result<&'static str, Rejection> {
    session.merge_payload(&plan()).await?;
    Ok("merged")
}

async fn merge_and_fail(mut session: Session<AnySession>) -> Result<Response, Rejection> {
    session.merge_payload(&plan()).await?;
    Ok((StatusCode::IM_A_TEAPOT, "failed").into_response())
}

async fn merge_and_panic(mut session: Session<AnySession>) -> Result<Response, Rejection> {
    session.merge_payload(&plan()).await?;
    panic!("the handler broke")
}

async fn leave(session: Session<AnySession>) -> Result<&'static str, StatusCode> {
    let left = session.revoke().await;
    left.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok("left")
}

async fn log_in(mut sign_in: SignIn, body: Bytes) -> Result<Response, Rejection> {
    let typed = Login::read(&body);
    sign_in.throttle(&typed.user).await?;
    if !typed.is_right() {
        sign_in.failed().await?;
        return Ok(StatusCode::UNAUTHORIZED.into_response());
    }
    let external = typed.external();
    sign_in.complete(&UserId::from(typed.user), external).await?;
    Ok("welcome".into_response())
}
