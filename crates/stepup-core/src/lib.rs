//! Sessions, factors and policy: what stepup decides, without HTTP, SQL or a framework.
//!
//! Data flows one way: a call comes in with plain values, is decided by pure functions over records, and goes out as
//! a value. Time, randomness, storage, delivery and background work are ports that are handed in.

pub mod app;
pub mod background;
mod builder;
mod caller;
pub mod config;
pub mod contact;
pub mod delivery;
pub mod desk;
pub mod digest;
mod email;
pub mod entropy;
pub mod error;
pub mod event;
pub mod evidence;
pub mod factor;
pub mod flow;
pub mod hook;
pub mod id;
pub mod import;
pub mod json;
pub mod keyring;
pub mod language;
mod limit;
pub mod network;
pub mod offload;
mod parts;
pub mod password;
pub mod policy;
pub mod profile;
pub mod provider;
pub mod record;
pub mod require;
pub mod rule;
pub mod secret;
pub mod secret_file;
pub mod session;
mod stepup;
pub mod storage;
pub mod tenant;
pub mod time;
pub mod verifier;

pub use app::AppInfo;
pub use builder::{BuildError, Builder};
pub use stepup::{Denied, Ending, Stepup, Trust};
