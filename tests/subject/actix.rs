//! The application of the adapter suite, on Actix Web.

use std::net::TcpListener;
use std::panic::AssertUnwindSafe;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::middleware::{Condition, Next, from_fn};
use actix_web::web::{self, Bytes, Json};
use actix_web::{App, Error, HttpResponse, HttpServer};
use futures_util::FutureExt;
use serde_json::Value;
use stepup::UserId;
use stepup::actix::{AnySession, Fresh, OptionalSession, Rejection, Require2fa, Session, SignIn};
use stepup_testkit::suite::adapter::{Application, Breaks, Due, Login, Never, plan};

use crate::thread::OnThread;

pub async fn serve(listener: TcpListener, application: Application) -> Option<OnThread> {
    Some(OnThread::start(move |stop| async move {
        let app = move || {
            let scope = web::scope("/scope")
                .wrap(stepup::actix::require::<Require2fa>())
                .route("/in", web::get().to(inside))
                .route("/in", web::head().to(inside))
                .route("/in", web::post().to(inside));
            App::new()
                .route("/any", web::get().to(any))
                .route("/plain", web::get().to(plain))
                .route("/secret", web::get().to(secret))
                .route("/secret", web::head().to(secret))
                .route("/secret", web::post().to(secret))
                .route("/fresh", web::get().to(fresh))
                .route("/refuses", web::get().to(refuses))
                .route("/panics", web::get().to(panics))
                .route("/optional", web::get().to(optional))
                .route("/plan", web::post().to(merge))
                .route("/plan/refused", web::post().to(merge_and_fail))
                .route("/plan/panics", web::post().to(merge_and_panic))
                .route("/due", web::post().to(due))
                .route("/leave", web::post().to(leave))
                .route("/login", web::post().to(log_in))
                .service(scope)
                .configure(stepup::actix::configure(&application.wire))
                // Inside of stepup's: who catches a panic outside of it loses what is owed.
                .wrap(from_fn(caught))
                .wrap(Condition::new(
                    application.layered,
                    stepup::actix::middleware(&application.wire),
                ))
        };
        HttpServer::new(app)
            .workers(2)
            .shutdown_signal(stop)
            .shutdown_timeout(1)
            .listen(listener)?
            .run()
            .await
    }))
}

async fn inside() -> &'static str {
    "in"
}

async fn any(session: Session<AnySession>) -> String {
    session.user_id().to_string()
}

async fn plain(_: Session) -> &'static str {
    "in"
}

async fn secret(_: Session<Require2fa>) -> &'static str {
    "in"
}

async fn fresh(_: Session<Fresh<300>>) -> &'static str {
    "in"
}

async fn refuses(_: Session<Never>) -> &'static str {
    "in"
}

async fn panics(_: OptionalSession<Breaks>) -> &'static str {
    "in"
}

async fn optional(OptionalSession(session): OptionalSession<AnySession>) -> String {
    session.map_or_else(|| "nobody".to_owned(), |session| session.user_id().to_string())
}

async fn merge(mut session: Session<AnySession>) -> Result<&'static str, Rejection> {
    session.merge_payload(&plan()).await?;
    Ok("merged")
}

async fn merge_and_fail(mut session: Session<AnySession>) -> Result<&'static str, Error> {
    session.merge_payload(&plan()).await.map_err(Rejection::from)?;
    Err(InternalError::new("failed", StatusCode::IM_A_TEAPOT).into())
}

async fn merge_and_panic(mut session: Session<AnySession>) -> Result<&'static str, Rejection> {
    session.merge_payload(&plan()).await?;
    panic!("the handler broke")
}

async fn due(_: Session<Due>, _: Json<Value>) -> &'static str {
    "in"
}

async fn leave(session: Session<AnySession>) -> HttpResponse {
    match session.revoke().await {
        Ok(()) => HttpResponse::Ok().body("left"),
        Err(_) => HttpResponse::ServiceUnavailable().finish(),
    }
}

async fn log_in(mut sign_in: SignIn, body: Bytes) -> Result<HttpResponse, Rejection> {
    let typed = Login::read(&body);
    sign_in.throttle(&typed.user).await?;
    if !typed.is_right() {
        sign_in.failed().await?;
        return Ok(HttpResponse::Unauthorized().finish());
    }
    let external = typed.external();
    sign_in.complete(&UserId::from(typed.user), external).await?;
    Ok(HttpResponse::Ok().body("welcome"))
}

async fn caught(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let outcome = AssertUnwindSafe(async { next.call(request).await });
    match outcome.catch_unwind().await {
        Ok(outcome) => outcome,
        Err(_) => Err(InternalError::from_response("", HttpResponse::InternalServerError().finish()).into()),
    }
}
