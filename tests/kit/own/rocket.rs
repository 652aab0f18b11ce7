use std::io;
use std::net::SocketAddr;

use rocket::config::LogLevel;
use rocket::http::Status;
use rocket::{Config, State, get, post, routes};
use stepup::rocket::{
    AnySession, OnlyThese, OptionalSession, Rejection, Require2fa, Session, SignIn, SitePolicy, Without,
};
use stepup::{External, UserId};

use super::super::thread::Stop;
use super::Own;
use super::claims::{Admin, Anything, RecentAdmin, Seven, Terms};

pub(super) async fn serve(address: SocketAddr, own: Own, stop: Stop) -> io::Result<()> {
    let mut config = Config {
        address: address.ip(),
        port: address.port(),
        workers: 2,
        log_level: LogLevel::Off,
        cli_colors: false,
        ..Config::debug_default()
    };
    config.shutdown.ctrlc = false;
    config.shutdown.signals.clear();
    config.shutdown.grace = 1;
    config.shutdown.mercy = 0;
    let app = rocket::custom(config)
        .manage(own.clone())
        .mount(
            "/",
            routes![
                required,
                optional,
                checked,
                merge,
                merge_and_answer,
                any,
                plain,
                policy,
                second,
                zeta,
                zeta_mine,
                zeta_any,
                admin,
                recent,
                seven,
                terms,
                only,
                any_admin,
                accept,
                withdraw,
                assert,
                log_in
            ],
        )
        .attach(stepup::rocket::fairing(&own.wire));
    let app = app.ignite().await.map_err(io::Error::other)?;
    let shutdown = app.shutdown();
    tokio::spawn(async move {
        stop.await;
        shutdown.notify();
    });
    app.launch().await.map(drop).map_err(io::Error::other)
}

/// Routes that only ask.
macro_rules! asks {
    ($($name:ident $path:literal $session:ty;)*) => {$(
        #[get($path)]
        fn $name(_session: $session) -> &'static str {
            "in"
        }
    )*};
}

asks! {
    any "/any" Session<AnySession>;
    plain "/plain" Session;
    policy "/policy" Session<SitePolicy>;
    second "/second" Session<Require2fa>;
    zeta_mine "/zeta/mine" Session<Anything>;
    zeta_any "/zeta/any" Session<(AnySession, Anything)>;
    admin "/admin" Session<Admin>;
    recent "/recent" Session<RecentAdmin>;
    seven "/seven" Session<Seven>;
    terms "/terms" Session<Without<Terms>>;
    only "/only" Session<OnlyThese<Admin>>;
    any_admin "/any/admin" Session<(AnySession, Admin)>;
}

#[get("/required")]
fn required(session: Session<AnySession>) -> String {
    super::shown(&session)
}

#[get("/optional")]
fn optional(session: OptionalSession<AnySession>) -> String {
    super::shown_if_any(session.0.as_deref())
}

#[get("/checked")]
async fn checked(session: Session<AnySession>) -> Result<&'static str, Rejection> {
    session.ask_store().await?;
    Ok("checked")
}

#[post("/merge", data = "<body>")]
async fn merge(session: Session<AnySession>, body: Vec<u8>) -> (Status, String) {
    merge_and_answer(session, 200, body).await
}

#[post("/merge/<status>", data = "<body>")]
async fn merge_and_answer(mut session: Session<AnySession>, status: u16, body: Vec<u8>) -> (Status, String) {
    match super::merge(&mut session, &body).await {
        Ok(()) => (Status::new(status), "merged".to_owned()),
        Err(why) => (Status::UnprocessableEntity, why),
    }
}

#[post("/zeta")]
async fn zeta(mut session: Session<AnySession>) -> Result<(), Rejection> {
    Ok(super::zeta(&mut session).await?)
}

#[post("/accept")]
async fn accept(mut session: Session<Without<Terms>>) -> Result<(), Rejection> {
    Ok(super::accept(&mut session).await?)
}

#[post("/withdraw")]
async fn withdraw(mut session: Session<Without<Terms>>) -> Result<(), Rejection> {
    Ok(super::withdraw(&mut session).await?)
}

#[post("/assert")]
async fn assert(mut session: Session<AnySession>) -> Result<(), Rejection> {
    Ok(super::assert(&mut session).await?)
}

#[post("/login/<user>/<change>")]
async fn log_in(own: &State<Own>, sign_in: SignIn, user: &str, change: usize) -> Result<Status, Rejection> {
    let user = UserId::from(user);
    super::meanwhile(own, &user, change).await;
    sign_in.complete(&user, External::knowledge()).await?;
    Ok(Status::NoContent)
}
