//! Tests over real sockets: a provider that lies in every way, and each provider that people know.

pub(crate) mod fake;
mod known;
mod lies;
mod network;
mod world;
