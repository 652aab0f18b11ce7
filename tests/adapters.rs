//! Every adapter passes the adapter suite; what is wrong with one is found out by it.

#[path = "kit/framework.rs"]
mod framework;
mod subject;

#[path = "adapters/wrong.rs"]
mod wrong;

mod axum {
    stepup_testkit::adapter_suite!(crate::subject::axum::serve);
}
