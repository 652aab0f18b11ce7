//! The application that an adapter is proved by, once for each framework.

#![allow(unreachable_pub, reason = "the suites use it")]

pub mod axum;
