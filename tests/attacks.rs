//! Attacks by their row ids, over real HTTP on the demo and an SQLite file.

mod kit;

#[path = "attacks/sessions.rs"]
mod sessions;
