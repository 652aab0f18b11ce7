//! The demo on Rocket: the application, apart from `main`, so that tests can call it.

mod paths;
pub mod serve;

use std::io::Cursor;

use demo_common::answers::{self, AdminOnly, StepUp};
use demo_common::{Answer, Site, Unread};
use rocket::data::{Data, ToByteUnit};
use rocket::http::Status;
use rocket::response::{self, Responder, Response};
use rocket::shield::Shield;
use rocket::{Build, Config, Request, Rocket, State, catch, catchers, get, head, post, routes};
use stepup::rocket::{AnySession, OptionalSession, Require2fa, Session};

use crate::paths::AsWritten;

pub use serve::serve;

/// Everything that the demo serves.
pub fn app(site: Site, config: Config) -> Rocket<Build> {
    let stepup = stepup::rocket::fairing(&site.wire)
        // Guarded as a whole, instead of route by route.
        .require::<Require2fa>("/layered")
        .body_within(answers::PATIENCE);
    rocket::custom(config)
        .manage(site)
        .mount(
            "/",
            routes![
                index,
                by_contact,
                by_contact_head,
                verify_email,
                verify_email_head,
                new_password,
                new_password_head,
                callback,
                callback_head,
                asset,
                me,
                optional,
                secret,
                layered,
                comment,
                transfer,
                admin,
                link_code,
                outbox,
                clock,
                health
            ],
        )
        .mount("/", paths::not_allowed())
        .register("/", catchers![other])
        // Each answer has the headers that it needs.
        .attach(Shield::new())
        .attach(paths::Literal)
        // Last: cookies, headers and CORS, on every status.
        .attach(stepup)
}

#[get("/")]
fn index(site: &State<Site>) -> Written {
    Written(answers::index(site, FRAMEWORK))
}

#[get("/auth/callback/example")]
fn callback(site: &State<Site>, _path: AsWritten) -> Written {
    Written(answers::callback(site, FRAMEWORK))
}

#[head("/auth/callback/example")]
fn callback_head(site: &State<Site>, _path: AsWritten) -> Written {
    Written(answers::callback(site, FRAMEWORK))
}

#[get("/auth/verify")]
fn by_contact(site: &State<Site>, _path: AsWritten) -> Written {
    Written(answers::by_contact(site, FRAMEWORK))
}

// Under the base path HEAD would be an endpoint's.
#[head("/auth/verify")]
fn by_contact_head(site: &State<Site>, _path: AsWritten) -> Written {
    Written(answers::by_contact(site, FRAMEWORK))
}

#[get("/auth/verify-email")]
fn verify_email(site: &State<Site>, _path: AsWritten) -> Written {
    Written(answers::verify_email(site, FRAMEWORK))
}

#[head("/auth/verify-email")]
fn verify_email_head(site: &State<Site>, _path: AsWritten) -> Written {
    Written(answers::verify_email(site, FRAMEWORK))
}

#[get("/auth/reset-password")]
fn new_password(site: &State<Site>, _path: AsWritten) -> Written {
    Written(answers::new_password(site, FRAMEWORK))
}

#[head("/auth/reset-password")]
fn new_password_head(site: &State<Site>, _path: AsWritten) -> Written {
    Written(answers::new_password(site, FRAMEWORK))
}

#[get("/assets/<file>")]
fn asset(file: &str) -> Written {
    Written(answers::asset(file))
}

#[get("/api/me")]
fn me(session: Session<AnySession>) -> Written {
    Written(answers::me(&session))
}

#[get("/api/optional")]
fn optional(session: OptionalSession<AnySession>) -> Written {
    Written(answers::optional(session.0.as_deref()))
}

#[get("/api/secret")]
fn secret(session: Session<Require2fa>) -> Written {
    Written(answers::secret(&session))
}

#[get("/layered/secret")]
fn layered(session: Session<Require2fa>) -> Written {
    Written(answers::secret(&session))
}

#[post("/api/comment", data = "<body>")]
async fn comment(_session: Session<Require2fa>, body: Data<'_>) -> Written {
    Written(answers::comment(read(body).await))
}

#[post("/api/transfer")]
fn transfer(_session: Session<StepUp>) -> Written {
    Written(answers::transfer())
}

#[get("/api/admin")]
fn admin(session: Session<AdminOnly>) -> Written {
    Written(answers::admin(&session))
}

#[post("/api/link-code", data = "<body>")]
async fn link_code(site: &State<Site>, body: Data<'_>) -> Written {
    Written(answers::link_code(site, read(body).await).await)
}

#[get("/dev/outbox")]
async fn outbox(site: &State<Site>) -> Written {
    Written(answers::outbox(site).await)
}

#[post("/dev/clock", data = "<body>")]
async fn clock(site: &State<Site>, body: Data<'_>) -> Written {
    Written(answers::clock(site, read(body).await).await)
}

#[get("/healthz")]
async fn health(site: &State<Site>) -> Written {
    Written(answers::health(site).await)
}

/// What no handler answered.
#[catch(default)]
fn other(status: Status, request: &Request<'_>) -> Refused {
    match status.code {
        404 => Refused(Written(answers::not_found()), None),
        // Rocket's own: a method that it does not know. No handler here leaves a 400 to a catcher.
        400 => match paths::allowed(request.uri().path().as_str()) {
            Some(allow) => Refused(Written(answers::not_allowed()), Some(paths::methods(allow))),
            None => Refused(Written(answers::not_found()), None),
        },
        500.. => Refused(Written(answers::broken()), None),
        code => Refused(Written(Answer::error(code, status.reason_lossy())), None),
    }
}

/// Whoever drips a body byte by byte is told so. Rocket waits for its first bytes as long as they take.
async fn read(body: Data<'_>) -> Result<Vec<u8>, Unread> {
    let bytes = body.open(answers::MAX_BODY.bytes()).into_bytes();
    match tokio::time::timeout(answers::PATIENCE, bytes).await {
        Ok(Ok(bytes)) if bytes.is_complete() => Ok(bytes.into_inner()),
        Ok(Ok(_)) => Err(Unread::TooLong),
        Ok(Err(_)) => Err(Unread::Broken),
        Err(_) => Err(Unread::Late),
    }
}

/// An answer, as Rocket sends it.
struct Written(Answer);

impl<'r> Responder<'r, 'static> for Written {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'static> {
        let mut response = Response::new();
        response.set_status(Status::new(self.0.status));
        for (name, value) in self.0.headers {
            response.set_raw_header(name, value);
        }
        let body = self.0.body.into_owned();
        response.set_sized_body(body.len(), Cursor::new(body));
        Ok(response)
    }
}

/// The same, with the methods that would have been taken.
struct Refused(Written, Option<&'static str>);

impl<'r> Responder<'r, 'static> for Refused {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'static> {
        let mut response = self.0.respond_to(request)?;
        if let Some(allow) = self.1 {
            response.set_raw_header("allow", allow);
        }
        // What Rocket refuses by itself passes no fairing, and is as much an answer to its origin as the others.
        response.set_raw_header("vary", "Origin");
        Ok(response)
    }
}

const FRAMEWORK: &str = "Rocket";
