//! What is known of a request, kept in its local cache from the fairing on.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rocket::http::Cookie;
use rocket::{Request, Response};
use stepup_wire::Visit;

use crate::convert::{self, Ours};

/// A request that the fairing has seen.
pub(crate) struct Seen {
    /// None for a preflight, which has no guards.
    pub(crate) visit: Option<Visit>,
    /// The answer, if there was one before the request was routed.
    pub(crate) answer: Option<Ours>,
    refusal: Mutex<Option<Ours>>,
}

impl Seen {
    pub(crate) fn new(visit: Option<Visit>, answer: Option<Ours>) -> Self {
        Self {
            visit,
            answer,
            refusal: Mutex::default(),
        }
    }

    /// None where no fairing is attached.
    pub(crate) fn of<'r>(request: &'r Request<'_>) -> Option<&'r Self> {
        request.local_cache(|| None::<Self>).as_ref()
    }

    /// Keeps what a guard said, until it is known whether anybody says it better.
    pub(crate) fn refuse(&self, request: &Request<'_>, refusal: &Ours) {
        if lock(&self.refusal).replace(refusal.clone()).is_none() {
            request.cookies().add(Cookie::new(HANDLED, ""));
        }
    }

    /// The refusal, if `response` is the page that a catcher made of it. A handler that took the guard's error as a value has
    /// answered by itself, and its answer stays.
    pub(crate) fn refusal_in_place_of(&self, response: &mut Response<'_>) -> Option<Ours> {
        let refusal = lock(&self.refusal).take()?;
        let is_handled = convert::take_cookie(HANDLED, response);
        (!is_handled && response.status().code == refusal.status().as_u16()).then_some(refusal)
    }
}

fn lock<T>(kept: &Mutex<T>) -> MutexGuard<'_, T> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A cookie that is set when a guard refuses, and never sent: Rocket forgets cookies before it asks a catcher, so that one
/// that arrives at the response tells that a handler has made it.
const HANDLED: &str = "stepup-handled";
