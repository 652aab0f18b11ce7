//! Records: what is stored, one kind a file. They hold data and the pure functions that read it, never a port.

pub mod challenge;
pub mod counter;
pub mod credential;
pub mod key;
pub mod notice;
pub mod session;
pub mod user;

/// A JSON object whose keys keep their order: token and `front-token` must serialize alike.
pub type JsonMap = serde_json::Map<String, serde_json::Value>;
