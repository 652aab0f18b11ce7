//! Sessions: access tokens, refresh tokens, claims, the keys that sign them, and the memories of what was
//! verified and of what was revoked.

pub mod access;
pub mod claim;
pub mod key_set;
pub mod keys;
pub mod refresh;
mod remembered;
pub mod revocation;
mod signature;
mod verified;
pub(crate) mod watch;
