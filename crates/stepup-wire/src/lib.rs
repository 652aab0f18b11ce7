//! The HTTP protocol of stepup, written once for every framework: `http::Request<Bytes>` in, `http::Response<Bytes>`
//! out.
//!
//! This crate names headers, cookies, statuses and JSON fields; what they mean is decided in `stepup-core`.
//!
//! * [`Wire`] answers the endpoints, as a function or as the tower service [`WireService`].
//! * [`SessionLayer`] goes around an application: it hands a [`Guard`] to every request, and pays on every response what
//!   the guards owe (tokens, CORS).
//! * [`Visit`] is the same for frameworks that are no tower services, a call at each end of a request.
//! * [`Guard::session`] admits a request and yields a [`Session`]; [`RequireLayer`] does it for all it surrounds.
//!
//! An adapter moves bytes and headers between its framework and these, and decides nothing.

pub mod body;
mod call;
pub mod content;
pub mod cookie;
pub mod cors;
pub mod csrf;
pub mod fdi;
mod gate;
mod guard_types;
mod header;
pub mod json;
mod keeper;
mod language;
mod layer;
pub mod openapi;
mod outbox;
mod page;
mod refusal;
mod reply;
pub mod route;
mod scope;
mod service;
mod session;
mod sign_in;
pub mod site;
pub mod table;
mod ticket;
mod tokens;
pub mod transfer;
mod transport;
mod visit;
pub mod writes;

pub use gate::{Reason, Refused};
pub use keeper::Gate;
pub use layer::{Answer, MaybeOurs, RequireLayer, RequireService, SessionLayer, SessionService};
pub use scope::Scopes;
pub use service::{Guard, Peer, TransportError, Wire, WireService};
pub use session::{Session, SessionError};
pub use sign_in::{SignIn, SignInError};
pub use stepup_core as core;
pub use transport::{Rules, Transport};
pub use visit::{
    GUARD_HEADERS, OTHER_HEADERS, Visit, WRITTEN_HEADERS, address, guard_headers, is_written, other_headers,
    parts, word_of, written_headers,
};
