use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use stepup::axum::{
    AnySession, OnlyThese, OptionalSession, Rejection, Require2fa, Session, SignIn, SitePolicy, Without,
};
use stepup::{External, UserId};

use super::Own;
use super::claims::{Admin, Anything, RecentAdmin, Seven, Terms};

pub(super) fn app(own: Own) -> Router {
    Router::new()
        .route("/required", get(required))
        .route("/optional", get(optional))
        .route("/checked", get(checked))
        .route("/merge", post(merge))
        .route("/merge/{status}", post(merge_and_answer))
        .route("/any", get(async |_: Session<AnySession>| "in"))
        .route("/plain", get(async |_: Session| "in"))
        .route("/policy", get(async |_: Session<SitePolicy>| "in"))
        .route("/second", get(async |_: Session<Require2fa>| "in"))
        .route("/zeta", post(zeta))
        .route("/zeta/mine", get(async |_: Session<Anything>| "in"))
        .route("/zeta/any", get(async |_: Session<(AnySession, Anything)>| "in"))
        .route("/admin", get(async |_: Session<Admin>| "in"))
        .route("/recent", get(async |_: Session<RecentAdmin>| "in"))
        .route("/seven", get(async |_: Session<Seven>| "in"))
        .route("/terms", get(async |_: Session<Without<Terms>>| "in"))
        .route("/only", get(async |_: Session<OnlyThese<Admin>>| "in"))
        .route("/any/admin", get(async |_: Session<(AnySession, Admin)>| "in"))
        .route("/accept", post(accept))
        .route("/withdraw", post(withdraw))
        .route("/assert", post(assert))
        .route("/login/{user}/{change}", post(log_in))
        .with_state(own.clone())
        .merge(stepup::axum::routes(&own.wire))
        .layer(stepup::axum::layer(&own.wire))
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

async fn merge(session: Session<AnySession>, body: Bytes) -> (StatusCode, String) {
    merge_and_answer(session, Path(200), body).await
}

async fn merge_and_answer(
    mut session: Session<AnySession>,
    Path(status): Path<u16>,
    body: Bytes,
) -> (StatusCode, String) {
    match super::merge(&mut session, &body).await {
        Ok(()) => (StatusCode::from_u16(status).unwrap(), "merged".to_owned()),
        Err(why) => (StatusCode::UNPROCESSABLE_ENTITY, why),
    }
}

async fn zeta(mut session: Session<AnySession>) -> Result<(), Rejection> {
    Ok(super::zeta(&mut session).await?)
}

async fn accept(mut session: Session<Without<Terms>>) -> Result<(), Rejection> {
    Ok(super::accept(&mut session).await?)
}

async fn withdraw(mut session: Session<Without<Terms>>) -> Result<(), Rejection> {
    Ok(super::withdraw(&mut session).await?)
}

async fn assert(mut session: Session<AnySession>) -> Result<(), Rejection> {
    Ok(super::assert(&mut session).await?)
}

async fn log_in(
    State(own): State<Own>,
    sign_in: SignIn,
    Path((user, change)): Path<(String, usize)>,
) -> Result<StatusCode, Rejection> {
    let user = UserId::from(user.as_str());
    super::meanwhile(&own, &user, change).await;
    sign_in.complete(&user, External::knowledge()).await?;
    Ok(StatusCode::NO_CONTENT)
}
