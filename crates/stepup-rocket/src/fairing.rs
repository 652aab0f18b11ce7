//! The fairing: what happens to a request before it is routed, and to its response before it is sent.

use std::time::Duration;

use rocket::fairing::{Fairing, Info, Kind};
use rocket::http::Method::{Connect, Delete, Get, Head, Options, Patch, Post, Put, Trace};
use rocket::http::uri::Origin;
use rocket::http::{Method, Status};
use rocket::route::{Handler, Outcome};
use rocket::{Build, Catcher, Data, Request, Response, Rocket, Route, catcher, fairing};
use stepup_wire::core::require::Requirement;
use stepup_wire::{Gate, Peer, Refused, Scopes, Visit, Wire};

use crate::convert;
use crate::seen::Seen;

/// Carries stepup to the guards, pays what they owe on every response, answers preflights and the endpoints.
#[derive(Debug)]
pub struct StepupFairing {
    gate: Gate,
    answers: Answers,
    scopes: Scopes,
    replaces_pages: bool,
    /// Where requests go that are answered before they are routed.
    aside: Origin<'static>,
}

/// Managed where the fairing is attached, for guards to find out.
pub(crate) struct Attached;

impl StepupFairing {
    pub(crate) fn new(gate: Gate, wire: Option<Wire>) -> Self {
        let aside = Origin::parse_owned(format!("{}{ASIDE}", gate.rules().base));
        Self {
            // The base path was checked when the site was built.
            aside: aside.unwrap_or(Origin::ROOT),
            gate,
            answers: Answers(wire, Duration::from_secs(20)),
            scopes: Scopes::new(),
            replaces_pages: true,
        }
    }

    /// Asks `R` of every request to `path` and below, whatever its method, and whether or not there is a route.
    ///
    /// The path is judged as the router reads it, decoded, and beyond that without regard to case; `..` leads around no scope,
    /// however it is read. No fairing that is attached later may lead a request into a scope.
    #[must_use]
    pub fn require<R: Requirement>(mut self, path: &str) -> Self {
        self.scopes.add::<R>(path);
        self
    }

    /// Leaves the bodies of refusals to the application's catchers. Clients read ours: a 403 without its JSON leads nobody on.
    #[must_use]
    pub fn with_pages_of_catchers(mut self) -> Self {
        self.replaces_pages = false;
        self
    }

    /// How long an endpoint waits for the body of its request; 20 s if nothing else is said.
    #[must_use]
    pub fn body_within(mut self, patience: Duration) -> Self {
        self.answers.1 = patience;
        self
    }

    fn attached_to(&self, rocket: Rocket<Build>) -> Rocket<Build> {
        let base = self.gate.rules().base.as_str();
        let refused = self
            .answers
            .0
            .iter()
            .map(|_| Catcher::new(400, self.answers.clone()));
        let rocket = rocket.manage(Attached).mount(base, self.routes());
        rocket.register(base, refused.collect::<Vec<_>>())
    }

    fn routes(&self) -> Vec<Route> {
        // Before every other route, so that nothing takes what is led there.
        let aside = METHODS.map(|method| Route::ranked(isize::MIN, method, ASIDE, self.answers.clone()));
        // After those of the application under the base path that name their path whole.
        let endpoints = METHODS.map(|method| Route::new(method, "/<_..>", self.answers.clone()));
        let endpoints = endpoints.into_iter().filter(|_| self.answers.0.is_some());
        aside.into_iter().chain(endpoints).collect()
    }
}

/// A name that no endpoint has.
const ASIDE: &str = "/aside";

const METHODS: [Method; 9] = [Get, Put, Post, Delete, Options, Head, Trace, Connect, Patch];

#[rocket::async_trait]
impl Fairing for StepupFairing {
    fn info(&self) -> Info {
        Info {
            name: "stepup",
            kind: Kind::Ignite | Kind::Request | Kind::Response,
        }
    }

    async fn on_ignite(&self, rocket: Rocket<Build>) -> fairing::Result {
        let holds_us = self.answers.0.is_some() && self.scopes.hold(self.aside.path().segments());
        let problem = match rocket.state::<Attached>() {
            Some(_) => "the fairing of stepup is attached twice: name all scopes on one",
            None if holds_us => {
                "a scope is no plain path, or holds the endpoints of stepup: nobody could sign in"
            }
            None => return Ok(self.attached_to(rocket)),
        };
        rocket::error!("{problem}");
        Err(rocket)
    }

    async fn on_request(&self, request: &mut Request<'_>, data: &mut Data<'_>) {
        let parts = convert::parts(request, convert::method(request, data).await);
        let peer = request.remote().map(|remote| Peer(remote.ip()));
        let seen = match Visit::begin(&self.gate, parts, peer) {
            Err(preflight) => Seen::new(None, Some(*preflight)),
            Ok(visit) => {
                let judged = self.scopes.judge(request.uri().path().segments(), &visit).await;
                Seen::new(Some(visit), judged.err().map(Refused::into_response))
            }
        };
        if seen.answer.is_some() {
            request.set_uri(self.aside.clone());
        }
        request.local_cache(|| Some(seen));
    }

    async fn on_response<'r>(&self, request: &'r Request<'_>, response: &mut Response<'r>) {
        let Some(seen) = Seen::of(request) else {
            return;
        };
        if let Some(refusal) = seen.refusal_in_place_of(response)
            && self.replaces_pages
        {
            convert::put(&refusal, response);
        }
        if let Some(visit) = &seen.visit {
            convert::finish(visit, response);
        }
    }
}

/// Answers what has its answer already, and the endpoints. To these the place aside is a path like any other.
#[derive(Clone, Debug)]
struct Answers(Option<Wire>, Duration);

#[rocket::async_trait]
impl Handler for Answers {
    async fn handle<'r>(&self, request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r> {
        let seen = Seen::of(request);
        if let Some(answer) = seen.and_then(|seen| seen.answer.as_ref()) {
            return Outcome::Success(convert::response(answer));
        }
        let (Some(visit), Some(wire)) = (seen.and_then(|seen| seen.visit.as_ref()), &self.0) else {
            return Outcome::forward(data, Status::NotFound);
        };
        let (other, body) = (convert::other(request), convert::body(data, self.1));
        let answer = visit.answer(wire, &other, body).await;
        Outcome::Success(convert::response(&answer))
    }
}

/// Under the base path, answers what Rocket refuses by itself and past all fairings: methods that it does not know.
#[rocket::async_trait]
impl catcher::Handler for Answers {
    async fn handle<'r>(&self, status: Status, request: &'r Request<'_>) -> catcher::Result<'r> {
        let mut response = Response::build().status(status).finalize();
        if let (None, Some(wire)) = (Seen::of(request), &self.0)
            && let Ok(unknown) = http::Method::from_bytes(b"UNKNOWN")
            && let Ok(visit) = Visit::begin(&wire.into(), convert::parts(request, unknown), None)
        {
            let nothing = async { Ok(Default::default()) };
            convert::put(
                &visit.answer(wire, &convert::other(request), nothing).await,
                &mut response,
            );
            convert::finish(&visit, &mut response);
        }
        Ok(response)
    }
}
