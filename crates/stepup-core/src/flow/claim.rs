//! Claims that are fetched when a rule asks for them, and by name: of a request's session and by handle.
//!
//! A fetch belongs to whoever asks: nothing is fetched for a route whose rule does not look at the claim, and an error of
//! the source denies that route alone. What was fetched is written to the session's row first, so that a client that
//! keeps an older token causes no second fetch.

use std::sync::Arc;

use crate::error::Fault;
use crate::flow::IssuedTokens;
use crate::flow::session::{self, MergeError, SessionEnded};
use crate::id::SessionHandle;
use crate::parts::Parts;
use crate::record::JsonMap;
use crate::rule::{ClaimFailure, ClaimRule, Payload, Rule, each_claim, judge};
use crate::session::access::AccessClaims;
use crate::session::claim::{self, Claim, ClaimSource};
use crate::storage::Look;

/// A token in the place of one whose claims were missing or too old: new `iat`, old `exp`.
#[derive(Clone, Debug)]
pub struct Renewed {
    /// What it says.
    pub claims: Arc<AccessClaims>,
    /// What the client gets, whatever becomes of its request.
    pub tokens: IssuedTokens,
}

/// Fetches what `rule`, on a route, asks for and the token lacks. None if nothing changed.
pub(crate) async fn fetch_due(
    parts: &Parts,
    access: &AccessClaims,
    rule: &Rule,
) -> Result<Result<Option<Renewed>, SessionEnded>, Fault> {
    let due = due(parts, rule, &parts.everywhere, access.into());
    if due.is_empty() {
        return Ok(Ok(None));
    }
    let look = match session::check(parts, access, None).await? {
        Ok(checked) => checked.look,
        Err(ended) => return Ok(Err(ended)),
    };
    let look = match fetch_into(parts, look, rule, &parts.everywhere).await? {
        Ok(look) => look,
        Err(ended) => return Ok(Err(ended)),
    };
    let is_news = |source: &&Arc<dyn ClaimSource>| {
        look.session.payload.get(source.key()) != access.payload().get(source.key())
    };
    if !due.iter().any(is_news) {
        return Ok(Ok(None));
    }
    let tokens = session::reissue(parts, &look.session, &look.user.summary, access)?;
    let claims = parts.tokens.verify(tokens.access.expose(), parts.now());
    // Our own token, signed a moment ago; whatever ails it, nobody is admitted by it.
    let claims = claims.map_err(|refusal| Fault::Part(Box::new(refusal)))?;
    Ok(Ok(Some(Renewed { claims, tokens })))
}

/// Whether [`fetch_due`] has something to fetch.
pub(crate) fn is_due(parts: &Parts, access: &AccessClaims, rule: &Rule) -> bool {
    // Most sites have no such claims, and then no rule is looked through for them.
    !parts.claims.is_empty() && !due(parts, rule, &parts.everywhere, access.into()).is_empty()
}

/// Judges `rules` by the row of a session, after what they ask for was fetched into it.
pub(crate) async fn judge_by_row(
    parts: &Parts,
    handle: &SessionHandle,
    rules: &[ClaimRule],
) -> Result<Result<Vec<ClaimFailure>, SessionEnded>, Fault> {
    let look = match parts.store.look(handle, None).await? {
        Some(look) if session::is_alive(&look, parts.now()) => look,
        _ => return Ok(Err(SessionEnded)),
    };
    let rule = Rule::All(rules.iter().cloned().map(Rule::Claim).collect());
    Ok(fetch_into(parts, look, &rule, &[]).await?.map(|look| {
        let checked = session::checked_by_row(parts, look);
        judge(&rule, &session::facts_of(parts, &checked))
    }))
}

/// The sources of claims that are to be fetched before `rule` is judged over `payload`, in their order, each once.
fn due<'p>(
    parts: &'p Parts,
    rule: &Rule,
    everywhere: &[ClaimRule],
    payload: Payload<'_>,
) -> Vec<&'p Arc<dyn ClaimSource>> {
    let mut due: Vec<&Arc<dyn ClaimSource>> = Vec::new();
    let now = parts.now();
    each_claim(rule, everywhere, &mut |claim| {
        let source = parts.claims.iter().find(|source| source.key() == claim.key);
        if let Some(source) = source
            && claim.should_refetch(&payload, source.max_age(), now)
            && !due.iter().any(|known| known.key() == source.key())
        {
            due.push(source);
        }
    });
    due
}

/// Fetches what is due by the row, and writes it there. The session as it is then.
async fn fetch_into(
    parts: &Parts,
    look: Look,
    rule: &Rule,
    everywhere: &[ClaimRule],
) -> Result<Result<Look, SessionEnded>, Fault> {
    let mut patch = JsonMap::new();
    for source in due(parts, rule, everywhere, (&look.session.payload).into()) {
        if let Some(entry) = fetched(parts, &**source, &look).await? {
            patch.insert(source.key().to_owned(), entry);
        }
    }
    if patch.is_empty() {
        return Ok(Ok(look));
    }
    match session::merge_into(parts, look, &patch).await? {
        Ok(look) => Ok(Ok(look)),
        Err(MergeError::Ended) => Ok(Err(SessionEnded)),
        // A source whose value fits no token: the application's mistake, and nobody is admitted by it.
        Err(MergeError::Payload(error)) => Err(Fault::Part(Box::new(error))),
    }
}

/// The entry of a claim as its source has it now; none if the source leaves it alone.
async fn fetched(
    parts: &Parts,
    source: &dyn ClaimSource,
    look: &Look,
) -> Result<Option<serde_json::Value>, Fault> {
    let fetching = source.fetch_for(&look.user, &look.session.method);
    let value = fetching.await.map_err(Fault::Part)?;
    Ok(value.map(|value| claim::entry(value, parts.now())))
}

/// A patch that sets `claim` to `value`, now.
pub(crate) fn set<C: Claim>(parts: &Parts, claim: &C, value: &C::Value) -> Result<JsonMap, Fault> {
    let value = serde_json::to_value(value).map_err(|error| Fault::Part(Box::new(error)))?;
    let key = Claim::key(claim).to_owned();
    Ok(JsonMap::from_iter([(key, claim::entry(value, parts.now()))]))
}

/// A patch that removes `claim`.
pub(crate) fn removed<C: Claim>(claim: &C) -> JsonMap {
    JsonMap::from_iter([(Claim::key(claim).to_owned(), serde_json::Value::Null)])
}

/// A patch that sets `claim` to what its source says now of the user of a session; empty if that is nothing.
pub(crate) async fn fetch<C: Claim>(
    parts: &Parts,
    handle: &SessionHandle,
    claim: &C,
) -> Result<Result<JsonMap, SessionEnded>, Fault> {
    let look = match parts.store.look(handle, None).await? {
        Some(look) if session::is_alive(&look, parts.now()) => look,
        _ => return Ok(Err(SessionEnded)),
    };
    let entry = fetched(parts, claim, &look).await?;
    let key = Claim::key(claim).to_owned();
    Ok(Ok(entry.map(|entry| (key, entry)).into_iter().collect()))
}

/// What the row of a session says of `claim`.
pub(crate) async fn read<C: Claim>(
    parts: &Parts,
    handle: &SessionHandle,
    claim: &C,
) -> Result<Result<Option<claim::Stamped<C::Value>>, SessionEnded>, Fault> {
    match parts.store.look(handle, None).await? {
        Some(look) if session::is_alive(&look, parts.now()) => {
            Ok(Ok(claim::read(claim, &look.session.payload)))
        }
        _ => Ok(Err(SessionEnded)),
    }
}
