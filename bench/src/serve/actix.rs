//! A bare route and a guarded one on Actix Web.

use std::net::TcpListener;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::{App, Error, HttpServer, rt, web};
use stepup::actix::{Require2fa, Session, Wire};

use super::{Served, announce};

/// Serves until killed.
pub fn run(variant: &str) {
    let is_bare = variant == "actix-bare";
    let served: std::io::Result<()> = rt::System::new().block_on(async move {
        let served = Served::warm().await;
        let wire = Wire::from(&served.site.stepup);
        let listener = TcpListener::bind("127.0.0.1:0")?;
        announce(listener.local_addr()?, &served.token);
        match is_bare {
            true => HttpServer::new(bare).workers(1).listen(listener)?.run().await,
            false => {
                let app = move || warm(&wire);
                HttpServer::new(app).workers(1).listen(listener)?.run().await
            }
        }
    });
    served.expect("serves");
}

/// Whoever asks is answered.
pub fn bare() -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = Error,
        InitError = (),
    >,
> {
    App::new().route("/", web::get().to(async || "hello"))
}

/// Only with both factors.
pub fn warm(
    wire: &Wire,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    App::new()
        .route("/", web::get().to(async |_: Session<Require2fa>| "hello"))
        .wrap(stepup::actix::middleware(wire))
}
