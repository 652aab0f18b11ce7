//! Putting a verifier together.

use std::sync::Arc;
use std::time::Duration;

use stepup_core::AppInfo;
use stepup_core::entropy::OsEntropy;
use stepup_core::event::{EventSink, TracingSink};
use stepup_core::rule::ClaimRule;
use stepup_core::time::{Clock, SystemClock};
use stepup_core::verifier::{Pinned, PublicVerifier};
use stepup_wire::site::SameSite;
use stepup_wire::transfer::Allowed;
use stepup_wire::{Gate, Rules, Transport};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::refresh::{self, Bell};
use crate::source::{FetchError, HttpSource, KeySource};
use crate::{SigningAlgorithm, Verifier};

/// The longest that keys may go unconfirmed.
const MAX_KEEP: Duration = Duration::from_secs(24 * 3600);

/// Collects what a verifier has to know, and checks it.
#[derive(Debug)]
#[must_use = "it verifies nothing before it is started"]
pub struct VerifierBuilder {
    source: Source,
    pinned: Pinned,
    app: Option<AppInfo>,
    cookies: Option<SameSite>,
    transport: Transport,
    clock: Arc<dyn Clock>,
    events: Arc<dyn EventSink>,
}

#[derive(Debug)]
enum Source {
    Url { url: String, roots: Option<Vec<u8>> },
    Own(Box<dyn KeySource>),
}

/// Why a verifier was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What is wrong with the configuration; a sentence for each problem, not for the first alone.
    #[error("the verifier cannot work: {}", .0.join("; "))]
    Config(Vec<String>),
    /// The first fetch failed.
    #[error("the site's keys cannot be had")]
    Keys(#[from] FetchError),
}

impl VerifierBuilder {
    pub(crate) fn from_url(url: String) -> Self {
        Self::new(Source::Url { url, roots: None })
    }

    pub(crate) fn from_source(source: Box<dyn KeySource>) -> Self {
        Self::new(Source::Own(source))
    }

    fn new(source: Source) -> Self {
        Self {
            source,
            pinned: Pinned::new(""),
            app: None,
            cookies: None,
            transport: Transport::new(),
            clock: Arc::new(SystemClock),
            events: Arc::new(TracingSink),
        }
    }

    /// Trusts these authorities to name the host of the key set, and no other: certificates in PEM, one or more. By default
    /// those of the system count, any of which could then sign everybody in. Of keys that come another way
    /// ([`Verifier::from_source`]) it says nothing.
    pub fn only_roots(mut self, pem: impl Into<Vec<u8>>) -> Self {
        if let Source::Url { roots, .. } = &mut self.source {
            *roots = Some(pem.into());
        }
        self
    }

    /// Whose tokens are verified: `{api domain}{base path}` of the site, compared exactly. There is no default.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.pinned.issuer = issuer.into();
        self
    }

    /// How the site signs: ES256, unless it was told otherwise. Keys and tokens of any other algorithm count as none.
    pub fn algorithm(mut self, algorithm: SigningAlgorithm) -> Self {
        self.pinned.algorithm = algorithm;
        self
    }

    /// Asks a claim of every route, as the site's `require_claim` does there.
    pub fn require_claim(mut self, claim: ClaimRule) -> Self {
        self.pinned.everywhere.push(claim);
        self
    }

    /// How long keys may be used while the site cannot be reached: an hour, at most a day. For so long a key that was
    /// withdrawn may go on to verify here, if somebody keeps this service from the site.
    pub fn keep_keys_for(mut self, span: Duration) -> Self {
        self.pinned.keep_keys_for = span;
        self
    }

    /// Changes what is pinned beside: audience, claim names, leeway.
    pub fn pin(mut self, change: impl FnOnce(&mut Pinned)) -> Self {
        change(&mut self.pinned);
        self
    }

    /// Where this service lives, and whose pages call it: `AppInfo::new(name, own origin, website)`, and its trusted
    /// origins. They get CORS, and [`VerifierBuilder::cookies`] needs it. Without it no page of another origin can read
    /// answers, unless the service sees to that itself.
    pub fn app(mut self, app: AppInfo) -> Self {
        self.app = Some(app);
        self
    }

    /// Takes access tokens from cookies too. By default only `Authorization: Bearer` counts, which no browser attaches by
    /// itself. `same_site` is what the site marks its cookies with.
    ///
    /// A request that changes something must then come from a page of [`VerifierBuilder::app`], whatever the cookie's
    /// attributes: every other host of the same registrable domain is the same site to a browser.
    pub fn cookies(mut self, same_site: SameSite) -> Self {
        self.cookies = Some(same_site);
        self
    }

    /// Names of cookies, request headers, trusted proxies, and whether there is CORS, as at the site. Which transfer modes
    /// count is for [`VerifierBuilder::cookies`] to say.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Another clock than the system's.
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// Where events go: refused tokens and refused origins. By default to `tracing`.
    pub fn events(mut self, events: impl EventSink) -> Self {
        self.events = Arc::new(events);
        self
    }

    /// Fetches the keys, and goes on fetching in the background of the present Tokio runtime.
    ///
    /// # Errors
    /// [`StartError`]: the configuration is wrong, or the keys cannot be had.
    pub async fn start(self) -> Result<Verifier, StartError> {
        let (verifier, mut keeper) = self.build()?;
        let pause = keeper.fetch(&verifier.public).await?;
        go_on(&verifier, keeper, pause);
        Ok(verifier)
    }

    /// The same without waiting for the keys: the site may come up later. Until then everything is denied with 503.
    ///
    /// # Errors
    /// [`StartError::Config`].
    pub fn start_lazy(self) -> Result<Verifier, StartError> {
        let (verifier, keeper) = self.build()?;
        go_on(&verifier, keeper, Duration::ZERO);
        Ok(verifier)
    }

    fn build(self) -> Result<(Verifier, refresh::Keeper), StartError> {
        let mut problems = Vec::new();
        if Handle::try_current().is_err() {
            problems.push("it must be started inside of a Tokio runtime".to_owned());
        }
        if self.pinned.issuer.is_empty() {
            problems.push("the issuer must be named".to_owned());
        }
        if self.pinned.keep_keys_for > MAX_KEEP {
            problems.push("keys may be kept for a day at most".to_owned());
        }
        let source: Option<Box<dyn KeySource>> = match self.source {
            Source::Own(source) => Some(source),
            Source::Url { url, roots } => match HttpSource::new(&url, roots.as_deref()) {
                Ok(source) => Some(Box::new(source)),
                Err(problem) => {
                    problems.push(problem);
                    None
                }
            },
        };
        let rules = rules(self.app, self.cookies, self.transport).unwrap_or_else(|more| {
            problems.extend(more);
            None
        });
        let (Some(source), Some(rules), true) = (source, rules, problems.is_empty()) else {
            return Err(StartError::Config(problems));
        };
        // One place: who rings while it has rung already is heard with it.
        let (bell, rung) = mpsc::channel(1);
        let public = PublicVerifier::new(self.pinned, Bell(bell), self.clock, self.events, &OsEntropy)
            .map_err(|error| StartError::Config(vec![error.to_string()]))?;
        let gate = Gate::elsewhere(public.clone(), rules);
        Ok((Verifier { public, gate }, refresh::Keeper::new(source, rung)))
    }
}

/// What goes on beside requests, until the last verifier is dropped.
fn go_on(verifier: &Verifier, keeper: refresh::Keeper, pause: Duration) {
    tokio::spawn(keeper.run(verifier.public.downgrade(), pause));
    tokio::spawn(refresh::tick(verifier.public.downgrade()));
}

/// The rules of the transport, or a sentence for each problem.
fn rules(
    app: Option<AppInfo>,
    cookies: Option<SameSite>,
    transport: Transport,
) -> Result<Option<Rules>, Vec<String>> {
    let transport = match cookies {
        Some(same_site) => transport.with_mode(Allowed::Any).with_same_site(same_site),
        None => transport.with_mode(Allowed::Header),
    };
    match app {
        Some(app) => {
            let app = app.checked()?;
            let problems = transport.problems(&app);
            if problems.is_empty() {
                Ok(Some(Rules::new(&app, &transport)))
            } else {
                Err(problems)
            }
        }
        None if cookies.is_some() => Err(vec![
            "cookies need `app`: without it there is no telling whose pages may act for a user".to_owned(),
        ]),
        None => Ok(Some(Rules::without_pages(&transport))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app() -> AppInfo {
        AppInfo::new("Reports", "https://reports.acme.test", "https://acme.test")
    }

    #[test]
    fn by_default_only_headers_carry_tokens_and_no_page_of_another_origin_reads_answers() {
        let rules = rules(None, None, Transport::new()).unwrap().unwrap();
        assert_eq!(rules.allowed, Allowed::Header);
        assert!(rules.cors.is_none() && rules.csrf.origins.is_empty());
    }

    #[test]
    fn pages_are_named_by_app_and_cookies_by_themselves() {
        let named = rules(Some(app()), None, Transport::new()).unwrap().unwrap();
        assert_eq!(named.allowed, Allowed::Header);
        assert!(named.cors.is_some());
        let cookies = rules(Some(app()), Some(SameSite::None), Transport::new())
            .unwrap()
            .unwrap();
        assert_eq!(cookies.allowed, Allowed::Any);
        assert_eq!(cookies.csrf.same_site, SameSite::None);
        assert_eq!(cookies.csrf.origins.len(), 2);
    }

    #[test]
    fn cookies_without_pages_are_refused() {
        assert!(rules(None, Some(SameSite::Lax), Transport::new()).is_err());
    }

    #[tokio::test]
    async fn every_problem_is_named_at_once() {
        let refused = Verifier::from_jwks("http://api.acme.test/auth/jwt/jwks.json")
            .keep_keys_for(MAX_KEEP * 2)
            .cookies(SameSite::Lax)
            .start_lazy();
        let Err(StartError::Config(problems)) = refused else {
            panic!("it was started");
        };
        assert_eq!(problems.len(), 4, "{problems:?}");
    }

    #[test]
    fn outside_of_a_runtime_it_is_refused_and_does_not_panic() {
        let refused = Verifier::from_jwks("https://api.acme.test/auth/jwt/jwks.json")
            .issuer("https://api.acme.test/auth")
            .start_lazy();
        assert!(matches!(refused, Err(StartError::Config(_))));
    }
}
