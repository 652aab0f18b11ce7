use std::io;
use std::net::TcpListener;

use actix_web::http::StatusCode;
use actix_web::web::{self, Bytes, Data, Path};
use actix_web::{App, HttpResponse, HttpServer};
use stepup::actix::{
    AnySession, OnlyThese, OptionalSession, Rejection, Require2fa, Session, SignIn, SitePolicy, Without,
};
use stepup::{External, Requirement, UserId};

use super::super::thread::Stop;
use super::Own;
use super::claims::{Admin, Anything, RecentAdmin, Seven, Terms};

pub(super) async fn serve(listener: TcpListener, own: Own, stop: Stop) -> io::Result<()> {
    let app = move || {
        App::new()
            .app_data(Data::new(own.clone()))
            .route("/required", web::get().to(required))
            .route("/optional", web::get().to(optional))
            .route("/checked", web::get().to(checked))
            .route("/merge", web::post().to(merge))
            .route("/merge/{status}", web::post().to(merge_and_answer))
            .route("/any", web::get().to(asks::<AnySession>))
            .route("/plain", web::get().to(asks_nothing))
            .route("/policy", web::get().to(asks::<SitePolicy>))
            .route("/second", web::get().to(asks::<Require2fa>))
            .route("/zeta", web::post().to(zeta))
            .route("/zeta/mine", web::get().to(asks::<Anything>))
            .route("/zeta/any", web::get().to(asks::<(AnySession, Anything)>))
            .route("/admin", web::get().to(asks::<Admin>))
            .route("/recent", web::get().to(asks::<RecentAdmin>))
            .route("/seven", web::get().to(asks::<Seven>))
            .route("/terms", web::get().to(asks::<Without<Terms>>))
            .route("/only", web::get().to(asks::<OnlyThese<Admin>>))
            .route("/any/admin", web::get().to(asks::<(AnySession, Admin)>))
            .route("/accept", web::post().to(accept))
            .route("/withdraw", web::post().to(withdraw))
            .route("/assert", web::post().to(assert))
            .route("/login/{user}/{change}", web::post().to(log_in))
            .configure(stepup::actix::configure(&own.wire))
            .wrap(stepup::actix::middleware(&own.wire))
    };
    HttpServer::new(app)
        .workers(2)
        .shutdown_signal(stop)
        .shutdown_timeout(1)
        .listen(listener)?
        .run()
        .await
}

async fn asks<R: Requirement>(_: Session<R>) -> &'static str {
    "in"
}

async fn asks_nothing(_: Session) -> &'static str {
    "in"
}

async fn required(session: Session<AnySession>) -> String {
    super::shown(&session)
}

async fn optional(OptionalSession(session): OptionalSession<AnySession>) -> String {
    super::shown_if_any(session.as_deref())
}

async fn checked(session: Session<AnySession>) -> Result<&'static str, Rejection> {
    session.ask_store().await?;
    Ok("checked")
}

async fn merge(session: Session<AnySession>, body: Bytes) -> HttpResponse {
    merge_and_answer(session, Path::from(200), body).await
}

async fn merge_and_answer(mut session: Session<AnySession>, status: Path<u16>, body: Bytes) -> HttpResponse {
    match super::merge(&mut session, &body).await {
        Ok(()) => HttpResponse::build(StatusCode::from_u16(*status).unwrap()).body("merged"),
        Err(why) => HttpResponse::UnprocessableEntity().body(why),
    }
}

async fn zeta(mut session: Session<AnySession>) -> Result<&'static str, Rejection> {
    super::zeta(&mut session).await?;
    Ok("")
}

async fn accept(mut session: Session<Without<Terms>>) -> Result<&'static str, Rejection> {
    super::accept(&mut session).await?;
    Ok("")
}

async fn withdraw(mut session: Session<Without<Terms>>) -> Result<&'static str, Rejection> {
    super::withdraw(&mut session).await?;
    Ok("")
}

async fn assert(mut session: Session<AnySession>) -> Result<&'static str, Rejection> {
    super::assert(&mut session).await?;
    Ok("")
}

async fn log_in(
    own: Data<Own>,
    sign_in: SignIn,
    path: Path<(String, usize)>,
) -> Result<HttpResponse, Rejection> {
    let (user, change) = path.into_inner();
    let user = UserId::from(user.as_str());
    super::meanwhile(&own, &user, change).await;
    sign_in.complete(&user, External::knowledge()).await?;
    Ok(HttpResponse::NoContent().finish())
}
