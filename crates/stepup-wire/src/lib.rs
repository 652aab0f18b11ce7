//! The HTTP protocol of stepup, written once for every framework: `http::Request<Bytes>` in, `http::Response<Bytes>`
//! out.
//!
//! This crate names headers, cookies, statuses and JSON fields; what they mean is decided in `stepup-core`.

pub mod content;
pub mod cookie;
pub mod csrf;
mod header;
pub mod site;
pub mod transfer;
pub mod writes;
