//! Every adapter passes the adapter suite; what is wrong with one is found out by it.

#[path = "kit/framework.rs"]
mod framework;
mod subject;
#[path = "kit/thread.rs"]
mod thread;

#[path = "adapters/helpers.rs"]
mod helpers;
#[path = "adapters/http2.rs"]
mod http2;
#[path = "adapters/wrong.rs"]
mod wrong;

mod actix {
    stepup_testkit::adapter_suite!(crate::subject::actix::serve);
}

mod rocket {
    stepup_testkit::adapter_suite!(crate::subject::rocket::serve);
}

mod axum {
    stepup_testkit::adapter_suite!(crate::subject::axum::serve);
}
