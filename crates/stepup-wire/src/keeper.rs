//! [`Gate`]: what every guard judges by, which is who admits, and the rules of the transport.
//!
//! Guards stand at the site itself, and at services beside it that only verify. They are the same guards: what a
//! verifying service cannot do (change a session, ask the store) is an error here, in one place.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue, UPGRADE, USER_AGENT};
use http::request::Parts;
use stepup_core::event::{Event, EventKind, Outcome};
use stepup_core::flow::Renewed;
use stepup_core::network::{Network, client_address};
use stepup_core::record::session::Origin;
use stepup_core::rule::Rule;
use stepup_core::session::access::{AccessClaims, Named};
use stepup_core::time::Timestamp;
use stepup_core::verifier::{OnlyVerifies, PublicVerifier};
use stepup_core::{Denied, Ending, Stepup, Trust};

use crate::csrf::{self, Act, Forgery, Source};
use crate::refusal::Refusal;
use crate::service::{Guard, Peer};
use crate::transport::Rules;

/// What guards judge by. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keeper: Keeper,
    rules: Rules,
    missed_peer: AtomicBool,
    saw_untrusted_proxy: AtomicBool,
}

/// Who admits.
#[derive(Clone, Debug)]
pub(crate) enum Keeper {
    /// The site that opened the session.
    Site(Stepup),
    /// A service beside it, which has the site's public keys and nothing else.
    Elsewhere(PublicVerifier),
}

impl Gate {
    pub(crate) fn new(keeper: Keeper, rules: Rules) -> Self {
        Self(Arc::new(Inner {
            keeper,
            rules,
            missed_peer: AtomicBool::new(false),
            saw_untrusted_proxy: AtomicBool::new(false),
        }))
    }

    /// The gate of a service that only verifies.
    pub fn elsewhere(verifier: PublicVerifier, rules: Rules) -> Self {
        Self::new(Keeper::Elsewhere(verifier), rules)
    }

    /// What every request is judged by.
    pub fn rules(&self) -> &Rules {
        &self.0.rules
    }

    /// stepup itself, where the session can be changed and the store be asked.
    pub(crate) fn stepup(&self) -> Result<&Stepup, OnlyVerifies> {
        match &self.0.keeper {
            Keeper::Site(stepup) => Ok(stepup),
            Keeper::Elsewhere(_) => Err(OnlyVerifies),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        match &self.0.keeper {
            Keeper::Site(stepup) => stepup.now(),
            Keeper::Elsewhere(verifier) => verifier.now(),
        }
    }

    /// Reads and verifies an access token. Does not wait.
    pub(crate) fn read(&self, token: &str) -> Result<Arc<AccessClaims>, Denied> {
        match &self.0.keeper {
            Keeper::Site(stepup) => stepup.verify(token),
            Keeper::Elsewhere(verifier) => verifier.verify(token),
        }
    }

    /// The session of a token that was ours and is expired. Elsewhere nothing is bound to one.
    pub(crate) fn lapsed(&self, token: &str) -> Option<Named> {
        match &self.0.keeper {
            Keeper::Site(stepup) => stepup.lapsed(token),
            Keeper::Elsewhere(_) => None,
        }
    }

    /// Admits the bearer of `access` to a route that asks `rule`, if neither a claim is to be fetched nor the store to be
    /// asked for it; none if one of them is.
    pub(crate) fn admit_at_once(
        &self,
        access: &AccessClaims,
        rule: &Rule,
        trust: Trust,
    ) -> Option<Result<(), Denied>> {
        match &self.0.keeper {
            Keeper::Site(stepup) => stepup.admit_route_at_once(access, rule, trust),
            Keeper::Elsewhere(verifier) => Some(verifier.admit_route(access, rule, trust)),
        }
    }

    /// Fetches what a route asks for and the token lacks. Elsewhere nobody can: the claims are judged as they are.
    pub(crate) async fn fetch_due_claims(
        &self,
        access: &AccessClaims,
        rule: &Rule,
    ) -> Result<Option<Renewed>, Denied> {
        match &self.0.keeper {
            Keeper::Site(stepup) => stepup.fetch_due_claims(access, rule).await,
            Keeper::Elsewhere(_) => Ok(None),
        }
    }

    /// Admits the bearer of `access` to a route that asks `rule`.
    pub(crate) async fn admit_route(
        &self,
        access: &AccessClaims,
        rule: &Rule,
        trust: Trust,
    ) -> Result<(), Denied> {
        match &self.0.keeper {
            Keeper::Site(stepup) => stepup.admit_route(access, rule, trust).await.map(drop),
            Keeper::Elsewhere(verifier) => verifier.admit_route(access, rule, trust),
        }
    }

    /// Waits until the bearer of `access` would not be admitted to a route that asks `rule` any more.
    pub(crate) async fn until_ended(self, access: Arc<AccessClaims>, rule: &Rule) -> Ending {
        match &self.0.keeper {
            Keeper::Site(stepup) => stepup.clone().until_ended(access, rule).await,
            Keeper::Elsewhere(verifier) => verifier.clone().until_ended(access, rule).await,
        }
    }

    fn record(&self, event: &Event) {
        match &self.0.keeper {
            Keeper::Site(stepup) => stepup.record(event),
            Keeper::Elsewhere(verifier) => verifier.record(event),
        }
    }

    /// Judges where a request comes from.
    pub(crate) fn believe(&self, parts: &Parts, act: Act, body: Option<bool>) -> Result<(), Refusal> {
        if !csrf::matters(&parts.method, act, || parts.headers.contains_key(UPGRADE)) {
            return Ok(());
        }
        csrf::judge(&self.rules().csrf, &Source::of(parts, body), act).map_err(|forgery| {
            let reason = match forgery {
                Forgery::ForeignOrigin => "foreign_origin",
                Forgery::CrossSite => "cross_site",
                Forgery::NoCustomHeader => "no_custom_header",
                Forgery::FormBody => "form_body",
            };
            self.note(EventKind::OriginRefused, Outcome::Refused, reason, parts);
            Refusal::Forged(forgery)
        })
    }

    /// Records an event of this layer.
    pub(crate) fn note(&self, kind: EventKind, outcome: Outcome, reason: &'static str, parts: &Parts) {
        let event = Event::new(kind, outcome, self.now()).because(reason);
        self.record(&event.from_network(&self.origin(parts).network));
    }

    /// Records that a session was refused by its claims (ASVS v5.0.0-16.3.2). In the middle of a handler, nobody knows any more
    /// which network it came from.
    pub(crate) fn note_denied(&self, access: &AccessClaims, parts: Option<&Parts>) {
        let event = Event::new(EventKind::AccessDenied, Outcome::Refused, self.now()).because("claims");
        let event = event
            .of(access.tenant_id(), access.user_id())
            .in_session(access.handle());
        self.record(&match parts {
            Some(parts) => event.from_network(&self.network(parts)),
            None => event,
        });
    }

    /// Who sends a request, as far as throttles and sessions are concerned.
    pub(crate) fn origin(&self, parts: &Parts) -> Origin {
        Origin {
            network: self.network(parts),
            agent: agent(&parts.headers),
        }
    }

    /// The client's network, empty if it cannot be told. All such clients share the budget of one network.
    fn network(&self, parts: &Parts) -> String {
        let told = || parts.extensions.get::<Guard>()?.peer();
        let Some(Peer(peer)) = parts.extensions.get::<Peer>().copied().or_else(told) else {
            if !self.0.missed_peer.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    target: "stepup",
                    "requests carry no peer address: all clients share one budget; see the adapter's documentation"
                );
            }
            return String::new();
        };
        let trusted = &self.rules().trusted_proxies;
        let is_proxy = trusted.iter().any(|proxy| proxy.contains(peer));
        if !is_proxy && FORWARDING.iter().any(|name| parts.headers.contains_key(name)) {
            // Either a proxy that was not configured, and then `peer` is no client, or a client that plays one.
            if !self.0.saw_untrusted_proxy.swap(true, Ordering::Relaxed) {
                tracing::error!(
                    target: "stepup",
                    "a forwarding header came from a peer that is no trusted proxy: such clients share one budget"
                );
            }
            return String::new();
        }
        let lines = parts.headers.get_all(&X_FORWARDED_FOR).iter();
        let hops: Vec<&str> = lines.map(|line| line.to_str().unwrap_or_default()).collect();
        client_address(Some(peer), &hops, trusted)
            .map_or_else(String::new, |client| Network::of(client).to_string())
    }
}

/// The user agent, at most 200 bytes of it.
fn agent(headers: &HeaderMap) -> String {
    let bytes = headers.get(USER_AGENT).map_or(&b""[..], HeaderValue::as_bytes);
    let start = bytes.get(..bytes.len().min(MAX_AGENT)).unwrap_or_default();
    start.utf8_chunks().map(|chunk| chunk.valid()).collect()
}

const MAX_AGENT: usize = 200;

pub(crate) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

pub(crate) const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Headers by which proxies tell whom they speak for. Only the first is read.
const FORWARDING: [HeaderName; 3] = [X_FORWARDED_FOR, FORWARDED, X_REAL_IP];
