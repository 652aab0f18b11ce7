//! [`PublicVerifier`]: admits the sessions of a site by its public keys alone, for services beside it.
//!
//! It judges tokens and rules by the same functions as [`Stepup`](crate::Stepup), but has no store and no memory of
//! revocations: a session that the site ended is admitted until its access token expires, an hour at most. What only
//! the site can know is refused here, never guessed.
//!
//! Keys come from outside: whoever fetches them calls [`PublicVerifier::replace_keys`], and is asked for more by
//! [`AskForKeys`]. Verification itself never waits for anybody. Without keys, and with keys that nobody has confirmed
//! for too long, everything is denied.

use std::fmt::{self, Debug};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::config::{ClaimNames, SessionConfig};
use crate::entropy::{Entropy, EntropyError};
use crate::error::Fault;
use crate::event::{Event, EventKind, EventSink, Outcome};
use crate::flow::session::token_facts;
use crate::policy::SecondFactor;
use crate::rule::{ClaimRule, Rule, judge_route};
use crate::session::access::{AccessClaims, AccessReader, AccessRefusal, TokenFlaw};
use crate::session::key_set::{HeldKeys, KeySetError};
use crate::session::keys::{EARLY_POLL_EVERY, SigningAlgorithm};
use crate::session::watch::{Watchers, Whose};
use crate::stepup::{Denied, Ending, LOOK, Trust, is_lost_by_time};
use crate::time::{Clock, Pace, Timestamp};

/// How long keys may be used without being confirmed, unless told otherwise: an hour, the hard limit of an access
/// token's life. If the site itself is gone, no token outlives that anyway; if only the way to it is, a withdrawn key
/// must not go on for longer.
pub const KEEP_KEYS_FOR: Duration = Duration::from_secs(3600);

/// How often who waits for the end of a session looks whether there are keys.
const LOOK_AT_KEYS: Duration = Duration::from_secs(10);

/// What a verifier knows of the site beforehand. Nothing that is fetched changes it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Pinned {
    /// `iss` of its tokens: API origin and base path, compared exactly.
    pub issuer: String,
    /// How its tokens are signed.
    pub algorithm: SigningAlgorithm,
    /// `aud` of its tokens, if it writes one.
    pub audience: Option<String>,
    /// What its claims are called.
    pub names: ClaimNames,
    /// Tolerance on `exp` and `nbf`: 10 s, at most 60 (RFC 7519 §4.1.4).
    pub leeway: Duration,
    /// Whether the site has a second factor of ours. If it has none, what needs one admits nobody, whatever the
    /// application there writes into its payload.
    pub second_factor: SecondFactor,
    /// Claims that are asked of every route, as by [`Builder::require_claim`](crate::Builder::require_claim).
    pub everywhere: Vec<ClaimRule>,
    /// The oldest value that is believed of a claim where a rule names no age: its key, and the age.
    pub claim_ages: Vec<(String, Duration)>,
    /// How long keys may be used without being confirmed: [`KEEP_KEYS_FOR`].
    pub keep_keys_for: Duration,
    /// How many bytes of verified tokens are remembered; none at zero.
    pub remembered_bytes: usize,
}

impl Pinned {
    /// The site that issues as `issuer`, with the defaults of a site.
    pub fn new(issuer: impl Into<String>) -> Self {
        Self {
            issuer: issuer.into(),
            algorithm: SigningAlgorithm::default(),
            audience: None,
            names: ClaimNames::default(),
            leeway: Duration::from_secs(10),
            second_factor: SecondFactor::BuiltIn,
            everywhere: Vec::new(),
            claim_ages: Vec::new(),
            keep_keys_for: KEEP_KEYS_FOR,
            remembered_bytes: SessionConfig::default().remembered_bytes,
        }
    }
}

/// Whoever fetches keys.
pub trait AskForKeys: Debug + Send + Sync + 'static {
    /// A token names a key that is not known: the key set should be fetched soon. It is asked once in
    /// [`EARLY_POLL_EVERY`] at most, in the middle of a request, and must not wait.
    fn ask(&self);
}

/// Verifies by public keys alone. Cheap to clone.
#[derive(Clone)]
pub struct PublicVerifier(Arc<Inner>);

/// The same, without keeping it alive: for whoever fetches its keys.
#[derive(Clone)]
pub struct WeakVerifier(Weak<Inner>);

impl WeakVerifier {
    /// The verifier, if anybody still has it.
    pub fn upgrade(&self) -> Option<PublicVerifier> {
        self.0.upgrade().map(PublicVerifier)
    }
}

impl Debug for WeakVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WeakVerifier")
    }
}

struct Inner {
    reader: AccessReader,
    keys: HeldKeys,
    everywhere: Vec<ClaimRule>,
    claim_ages: Vec<(String, Duration)>,
    early: Pace,
    fetcher: Box<dyn AskForKeys>,
    watchers: Arc<Watchers>,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
}

impl PublicVerifier {
    /// Verifies tokens of the site that is pinned. It has no keys yet, and denies.
    ///
    /// # Errors
    /// Randomness failed.
    pub fn new(
        pinned: Pinned,
        fetcher: impl AskForKeys,
        clock: Arc<dyn Clock>,
        events: Arc<dyn EventSink>,
        entropy: &dyn Entropy,
    ) -> Result<Self, EntropyError> {
        Ok(Self(Arc::new(Inner {
            keys: HeldKeys::new(pinned.algorithm, pinned.keep_keys_for),
            reader: AccessReader::new(
                pinned.issuer,
                pinned.audience,
                pinned.names,
                pinned.leeway,
                pinned.remembered_bytes,
                entropy,
            )?
            .with_second_factor(pinned.second_factor),
            everywhere: pinned.everywhere,
            claim_ages: pinned.claim_ages,
            early: Pace::every(EARLY_POLL_EVERY),
            fetcher: Box::new(fetcher),
            watchers: Arc::default(),
            clock,
            events,
        })))
    }

    /// A handle that does not keep it alive.
    pub fn downgrade(&self) -> WeakVerifier {
        WeakVerifier(Arc::downgrade(&self.0))
    }

    /// The present moment by the clock that was handed in.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// Verifies by the keys of `document`, a JWK set, from now on. `asked_at` is when it was asked for: it is as old as
    /// that.
    ///
    /// # Errors
    /// [`KeySetError`]: the keys known before stay, and grow older.
    pub fn replace_keys(&self, document: &[u8], asked_at: Timestamp) -> Result<(), KeySetError> {
        self.0.keys.replace(document, asked_at)
    }

    /// Whether there are keys that may be used now.
    pub fn is_ready(&self) -> bool {
        self.0.keys.are_fresh(self.now())
    }

    /// Reads and verifies an access token. Does not wait.
    ///
    /// # Errors
    /// [`Denied::NotOurs`], [`Denied::TryRefresh`], and [`Denied::Fault`] while there are no keys to judge by.
    pub fn verify(&self, token: &str) -> Result<Arc<AccessClaims>, Denied> {
        let now = self.now();
        let judged = self.0.reader.verify(&self.0.keys, token, now);
        judged.map_err(|refusal| match refusal {
            AccessRefusal::NotOurs => Denied::NotOurs,
            AccessRefusal::TryRefresh(flaw) => {
                let fresh = self.0.keys.are_fresh(now);
                if (flaw == TokenFlaw::UnknownKey || !fresh) && self.0.early.take(now) {
                    self.0.fetcher.ask();
                }
                if !fresh {
                    return Denied::Fault(Fault::NoKeys);
                }
                // Every session's token expires every few minutes: no event.
                if flaw != TokenFlaw::Expired {
                    let event = Event::new(EventKind::TokenInvalid, Outcome::Refused, now);
                    self.record(&event.because(flaw.as_str()));
                }
                Denied::TryRefresh
            }
        })
    }

    /// Admits the bearer of `access` to a route that asks `rule`, by [`judge_route`]. Claims are judged as they are: only
    /// the site can fetch them.
    ///
    /// # Errors
    /// [`Denied::Claims`]; [`Denied::Fault`] where the store is to be asked, since there is none.
    pub fn admit_route(&self, access: &AccessClaims, rule: &Rule, trust: Trust) -> Result<(), Denied> {
        if trust == Trust::Store {
            return Err(Fault::from(OnlyVerifies).into());
        }
        let names = self.0.reader.names();
        // Which factors are on offer is the site's affair, and only words the refusal.
        let facts = token_facts(access, names, &self.0.claim_ages, &[], self.now());
        let failures = judge_route(rule, &self.0.everywhere, &facts);
        if failures.is_empty() {
            Ok(())
        } else {
            Err(Denied::Claims(failures))
        }
    }

    /// Waits until the bearer of `access` would not be admitted here any more: its token has expired, `rule` is lost, or there
    /// are no keys left to judge by. That the site ended the session cannot be told before the token expires.
    ///
    /// It takes no time of its own: whoever fetches the keys calls [`PublicVerifier::tick`], and without that it waits for ever.
    ///
    /// # Source
    /// ASVS v5.0.0-4.4.4, 7.4.1.
    pub async fn until_ended(self, access: Arc<AccessClaims>, rule: &Rule) -> Ending {
        let watch = self.0.watchers.watch(Whose {
            session: access.handle().clone(),
            tenant: access.tenant_id().clone(),
            user: access.user_id().clone(),
        });
        let ages = is_lost_by_time(rule) || !self.0.everywhere.is_empty();
        let look = if ages { LOOK } else { LOOK_AT_KEYS };
        loop {
            watch.begin();
            let now = self.now();
            if now >= access.expires_at() {
                return Ending::Expired;
            }
            if !self.is_ready() {
                return Ending::Fault;
            }
            match self.admit_route(&access, rule, Trust::Token) {
                Ok(()) => {}
                Err(Denied::Claims(_)) => return Ending::Requirement,
                Err(Denied::Fault(_)) => return Ending::Fault,
                Err(Denied::Ended | Denied::NotOurs | Denied::TryRefresh) => return Ending::Revoked,
            }
            watch.called(access.expires_at().min(now.plus(look))).await;
        }
    }

    /// Calls those whose session may have ended, of [`PublicVerifier::until_ended`]. Costs some nanoseconds for each of them;
    /// a stream ends so late as this is called.
    pub fn tick(&self) {
        self.0.watchers.call_due(self.now());
    }

    /// Records an event of the layers above.
    pub fn record(&self, event: &Event) {
        self.0.events.record(event);
    }
}

impl Debug for PublicVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublicVerifier")
            .field("keys", &self.0.keys)
            .finish_non_exhaustive()
    }
}

/// What was asked can be answered by the site that issued the session only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this service only verifies: the session is kept by the site that issued it")]
pub struct OnlyVerifies;

impl From<OnlyVerifies> for Fault {
    fn from(error: OnlyVerifies) -> Self {
        Self::Part(Box::new(error))
    }
}

#[cfg(test)]
mod tests;
