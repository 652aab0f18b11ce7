//! Sessions: access tokens, refresh tokens, claims, the keys that sign them, and the memory of what was revoked.

pub mod access;
pub mod claim;
pub mod keys;
pub mod refresh;
pub mod revocation;
mod signature;
