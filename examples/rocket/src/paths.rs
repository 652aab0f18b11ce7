//! The demo's paths, and who may ask for them how.
//!
//! Rocket takes `//api/%6De/` for `/api/me`, which the demo's other servers do not, and answers 404 where a path is there
//! and the method is not.

use rocket::fairing::{Fairing, Info, Kind};
use rocket::http::Method::{Connect, Delete, Get, Head, Options, Patch, Post, Put, Trace};
use rocket::http::uri::Origin;
use rocket::http::{Method, Status};
use rocket::request::{self, FromRequest};
use rocket::route::{Handler, Outcome, Route};
use rocket::{Data, Request};

use crate::{Refused, Written, answers};

/// Each path, and the methods that it takes.
const PATHS: [(&str, &str); 17] = [
    ("/", READ),
    ("/auth/verify", READ),
    ("/auth/verify-email", READ),
    ("/auth/reset-password", READ),
    ("/auth/callback/example", READ),
    ("/assets/<file>", READ),
    ("/api/me", READ),
    ("/api/optional", READ),
    ("/api/secret", READ),
    ("/api/comment", POST),
    ("/api/transfer", POST),
    ("/api/admin", READ),
    ("/api/link-code", POST),
    ("/layered/secret", READ),
    ("/dev/outbox", READ),
    ("/dev/clock", POST),
    ("/healthz", READ),
];

/// The methods, and where requests by others are led: a path that is none of ours to whoever asks for it.
const READ: &str = "/GET,HEAD";
const POST: &str = "/POST";

const METHODS: [Method; 9] = [Get, Put, Post, Delete, Options, Head, Trace, Connect, Patch];

/// The methods that a path takes, if it is one of ours, letter by letter.
pub(crate) fn allowed(path: &str) -> Option<&'static str> {
    let is_it = |ours: &str| match ours.split_once('<') {
        Some((start, _)) => path
            .strip_prefix(start)
            .is_some_and(|file| !file.is_empty() && !file.contains('/')),
        None => ours == path,
    };
    PATHS
        .iter()
        .find(|(ours, _)| is_it(ours))
        .map(|(_, allow)| *allow)
}

/// Leads what is none of our paths, letter by letter, to nowhere, and a method that is not taken to where that is said.
pub(crate) struct Literal;

#[rocket::async_trait]
impl Fairing for Literal {
    fn info(&self) -> Info {
        Info {
            name: "literal paths",
            kind: Kind::Request,
        }
    }

    async fn on_request(&self, request: &mut Request<'_>, _: &mut Data<'_>) {
        let path = request.uri().path();
        let to = match allowed(path.as_str()) {
            Some(allow) if takes(allow, request.method()) => return,
            Some(allow) => allow,
            // Endpoints read their paths by themselves.
            None if path.starts_with("/auth/") => return,
            None => NOWHERE,
        };
        request.set_uri(Origin::const_new(to, None));
    }
}

/// A path that is none of ours either.
const NOWHERE: &str = "/nowhere";

/// A path under `/auth`, letter by letter: what else Rocket takes for it is left to the endpoints.
pub(crate) struct AsWritten;

#[rocket::async_trait]
impl<'r> FromRequest<'r> for AsWritten {
    type Error = ();

    async fn from_request(request: &'r Request<'_>) -> request::Outcome<Self, ()> {
        match allowed(request.uri().path().as_str()) {
            Some(_) => request::Outcome::Success(Self),
            None => request::Outcome::Forward(Status::NotFound),
        }
    }
}

/// Where requests are led whose method is not taken.
pub(crate) fn not_allowed() -> Vec<Route> {
    let routes = |allow| METHODS.map(|method| Route::new(method, allow, NotAllowed(allow)));
    [READ, POST].into_iter().flat_map(routes).collect()
}

fn takes(allow: &'static str, method: Method) -> bool {
    methods(allow).split(',').any(|taken| taken == method.as_str())
}

/// The methods, as the header `Allow` names them.
pub(crate) fn methods(allow: &'static str) -> &'static str {
    allow.trim_start_matches('/')
}

#[derive(Clone)]
struct NotAllowed(&'static str);

#[rocket::async_trait]
impl Handler for NotAllowed {
    async fn handle<'r>(&self, request: &'r Request<'_>, _: Data<'r>) -> Outcome<'r> {
        let refused = Refused(Written(answers::not_allowed()), Some(methods(self.0)));
        Outcome::from(request, refused)
    }
}
