//! Sessions: their tokens, the keys that sign them, and the memory of what was revoked.

pub mod access;
pub mod keys;
