//! The HTTP protocol of stepup, written once for every framework: `http::Request<Bytes>` in, `http::Response<Bytes>`
//! out.
//!
//! This crate names headers, cookies, statuses and JSON fields; what they mean is decided in `stepup-core`.

pub mod body;
pub mod content;
pub mod cookie;
pub mod cors;
pub mod csrf;
pub mod fdi;
mod header;
pub mod json;
pub mod outbox;
pub mod refusal;
pub mod reply;
pub mod site;
pub mod table;
pub mod transfer;
pub mod transport;
pub mod writes;
