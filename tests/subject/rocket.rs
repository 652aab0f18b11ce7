//! The application of the adapter suite, on Rocket.

use std::net::{SocketAddr, TcpListener};

use rocket::http::Status;
use rocket::response::status::Custom;
use rocket::serde::json::Json;
use rocket::shield::Shield;
use rocket::{Build, Config, Rocket, Shutdown, get, post, routes};
use serde_json::Value;
use stepup::UserId;
use stepup::rocket::{AnySession, Fresh, OptionalSession, Rejection, Require2fa, Session, SignIn};
use stepup_testkit::suite::adapter::{Application, Breaks, Due, Login, Never, plan};
use tokio::net::TcpStream;

/// None if the launch aborts, as it does without the fairing.
pub async fn serve(listener: TcpListener, application: Application) -> Option<Stop> {
    // Rocket binds by itself.
    let address = listener.local_addr().unwrap();
    drop(listener);
    let app = rocket::custom(config(address)).mount(
        "/",
        routes![
            any,
            plain,
            secret,
            post_secret,
            fresh,
            refuses,
            panics,
            optional,
            merge,
            merge_and_fail,
            merge_and_panic,
            due,
            leave,
            log_in,
            inside,
            post_inside,
        ],
    );
    // Headers of Rocket's own are the application's affair; this one has none.
    let app = app.attach(Shield::new());
    let app = match application.layered {
        true => app.attach(stepup::rocket::fairing(&application.wire).require::<Require2fa>("/scope")),
        false => app,
    };
    launch(app, address).await
}

/// Serves `app`; none if it does not start.
pub async fn launch(app: Rocket<Build>, address: SocketAddr) -> Option<Stop> {
    let app = match app.ignite().await {
        Ok(app) => app,
        Err(error) => {
            // An error that nobody looks at panics when it is dropped.
            let _ = error.kind();
            return None;
        }
    };
    let stop = Stop(app.shutdown());
    tokio::spawn(app.launch());
    while TcpStream::connect(address).await.is_err() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    Some(stop)
}

/// Ends the server when it is dropped.
pub struct Stop(Shutdown);

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.clone().notify();
    }
}

pub fn config(address: SocketAddr) -> Config {
    let mut config = Config {
        address: address.ip(),
        port: address.port(),
        workers: 2,
        log_level: rocket::config::LogLevel::Off,
        cli_colors: false,
        ..Config::debug_default()
    };
    config.shutdown.ctrlc = false;
    config.shutdown.signals.clear();
    config.shutdown.grace = 0;
    config.shutdown.mercy = 0;
    config
}

#[get("/scope/in")]
fn inside() -> &'static str {
    "in"
}

#[post("/scope/in")]
fn post_inside() -> &'static str {
    "in"
}

#[get("/any")]
fn any(session: Session<AnySession>) -> String {
    session.user_id().to_string()
}

#[get("/plain")]
fn plain(_session: Session) -> &'static str {
    "in"
}

#[get("/secret")]
fn secret(_session: Session<Require2fa>) -> &'static str {
    "in"
}

#[post("/secret")]
fn post_secret(_session: Session<Require2fa>) -> &'static str {
    "in"
}

#[get("/fresh")]
fn fresh(_session: Session<Fresh<300>>) -> &'static str {
    "in"
}

#[get("/refuses")]
fn refuses(_session: Session<Never>) -> &'static str {
    "in"
}

#[get("/panics")]
fn panics(_session: OptionalSession<Breaks>) -> &'static str {
    "in"
}

#[get("/optional")]
fn optional(session: OptionalSession<AnySession>) -> String {
    let OptionalSession(session) = session;
    session.map_or_else(|| "nobody".to_owned(), |session| session.user_id().to_string())
}

#[post("/plan")]
async fn merge(mut session: Session<AnySession>) -> Result<&'static str, Rejection> {
    session.merge_payload(&plan()).await?;
    Ok("merged")
}

#[post("/plan/refused")]
async fn merge_and_fail(mut session: Session<AnySession>) -> Result<Custom<&'static str>, Rejection> {
    session.merge_payload(&plan()).await?;
    Ok(Custom(Status::ImATeapot, "failed"))
}

#[post("/plan/panics")]
async fn merge_and_panic(mut session: Session<AnySession>) -> Result<&'static str, Rejection> {
    session.merge_payload(&plan()).await?;
    panic!("the handler broke")
}

#[post("/due", data = "<_body>")]
fn due(_session: Session<Due>, _body: Json<Value>) -> &'static str {
    "in"
}

#[post("/leave")]
async fn leave(session: Session<AnySession>) -> Result<&'static str, Status> {
    let left = session.revoke().await;
    left.map(|()| "left").map_err(|_| Status::ServiceUnavailable)
}

#[post("/login", data = "<body>")]
async fn log_in(sign_in: SignIn, body: Vec<u8>) -> Result<Custom<&'static str>, Rejection> {
    let mut sign_in = sign_in;
    let typed = Login::read(&body);
    sign_in.throttle(&typed.user).await?;
    if !typed.is_right() {
        sign_in.failed().await?;
        return Ok(Custom(Status::Unauthorized, ""));
    }
    let external = typed.external();
    sign_in.complete(&UserId::from(typed.user), external).await?;
    Ok(Custom(Status::Ok, "welcome"))
}
