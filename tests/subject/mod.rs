//! The application that an adapter is proved by, once for each framework.

#![allow(dead_code, unreachable_pub, reason = "each suite uses its part of it")]

pub mod actix;
pub mod axum;
pub mod rocket;

use std::any::Any;
use std::net::TcpListener;

use stepup_testkit::suite::adapter::Application;

use crate::framework::Framework;

/// Serves it on the framework of this run, until what is handed back is dropped.
pub async fn serve(listener: TcpListener, application: Application) -> Box<dyn Any + Send> {
    match Framework::chosen() {
        Framework::Actix => Box::new(actix::serve(listener, application).await),
        Framework::Rocket => Box::new(rocket::serve(listener, application).await),
        Framework::Axum => Box::new(axum::serve(listener, application).await),
    }
}
