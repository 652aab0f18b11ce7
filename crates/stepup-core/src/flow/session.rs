//! Opening, refreshing, checking and ending sessions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::caller::Caller;
use crate::config::ClaimNames;
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::evidence::{Completed, Completion};
use crate::flow::{IssuedRefresh, IssuedTokens, SignedIn};
use crate::hook::SessionDraft;
use crate::id::{FactorId, MethodId, SessionHandle, TenantId, UserId};
use crate::parts::Parts;
use crate::policy::{self, Offered, Standing};
use crate::record::JsonMap;
use crate::record::session::{Chain, Class, Rotate, Rotation, Session};
use crate::record::user::{Summary, User, UserState};
use crate::rule::{EMAIL_VERIFIED, Facts};
use crate::secret::Secret;
use crate::session::access::{AccessClaims, AccessParts, MfaClaim, PayloadError};
use crate::session::claim::{self, ClaimSource, FirstFetch};
use crate::session::refresh::{self, RefreshToken, Verdict};
use crate::storage::{Look, Stored};
use crate::time::Timestamp;

/// A session that is about to be opened, or kept in the place of a new one.
pub(crate) enum Opening {
    /// A session that is not yet stored, with the refresh token whose digest it holds.
    New(Box<Session>, RefreshToken),
    /// The live session of the call, and what goes into its payload.
    Kept(Arc<AccessClaims>, JsonMap),
}

impl Opening {
    /// What is to be stored.
    pub(crate) fn session(&self) -> Option<&Session> {
        match self {
            Self::New(session, _) => Some(session),
            Self::Kept(..) => None,
        }
    }
}

/// Where a session stands, by the one function that decides it.
pub(crate) fn standing(parts: &Parts, tenant: &TenantId, summary: &Summary, done: &Completed) -> Standing {
    policy::assess(&parts.policy_of(tenant), &parts.offered, summary, done)
}

/// Prepares a session that `first` opens for `user`. Handle and tokens are always new (R-SES-1).
pub(crate) async fn prepare(
    parts: &Parts,
    user: &User,
    method: &MethodId,
    factor: &FactorId,
    first: Completion,
    caller: &Caller,
) -> Result<Opening, Fault> {
    let now = parts.now();
    let config = &parts.config.sessions;
    let mut payload = JsonMap::new();
    let at_once = |source: &&Arc<dyn ClaimSource>| source.first_fetch() == FirstFetch::WithSession;
    for source in parts.claims.iter().filter(at_once) {
        if let Some(value) = source.fetch_for(user, method).await.map_err(Fault::Part)? {
            payload.insert(source.key().to_owned(), claim::entry(value, now));
        }
    }
    let mut draft = SessionDraft::new(user, factor, caller.session.as_ref(), now);
    parts.hooks.on_session(caller, &mut draft).await?;
    let (kept, patch) = draft.finish();
    if let Some(access) = kept {
        let alive = check(parts, access, None).await?;
        parts.check_own(&patch)?;
        return match alive {
            Ok(_) => Ok(Opening::Kept(access.clone(), patch)),
            Err(SessionEnded) => Err(Fault::NeedsSession),
        };
    }
    crate::record::user::merge(&mut payload, &patch);
    parts.check_stored(&payload)?;
    let factors = Completed::from([(factor.clone(), first)]);
    let class = if standing(parts, &user.tenant, &user.summary, &factors).satisfied {
        Class::Full
    } else {
        Class::Half
    };
    let ends_at = now.plus(match class {
        Class::Half => config.half,
        Class::Full => config.absolute,
    });
    let handle = SessionHandle::of(&user.tenant, &parts.uuid()?);
    let refresh = RefreshToken::new(handle.clone(), 1, Secret::new(parts.random()?));
    let session = Session {
        handle,
        tenant: user.tenant.clone(),
        user: user.id.clone(),
        method: method.clone(),
        epoch: user.epoch,
        factors,
        payload,
        class,
        created_at: now,
        idle_expires_at: now.plus(config.idle).min(ends_at),
        ends_at,
        chain: Chain {
            generation: 1,
            current: refresh.digest(),
            previous: None,
            rotated: None,
            rise: None,
            tally_since: now,
            tally: 0,
        },
        origin: caller.origin.clone(),
    };
    Ok(Opening::New(Box::new(session), refresh))
}

/// Issues the first tokens of a session that was stored; or puts into the kept one what is to be put, with a new access
/// token for it.
pub(crate) async fn opened(parts: &Parts, opening: Opening, user: User) -> Result<SignedIn, Fault> {
    let (session, tokens) = match opening {
        Opening::New(session, refresh) => {
            let tokens = issue(parts, &session, &user.summary, &refresh)?;
            let event = parts.event(EventKind::SessionOpened, Outcome::Granted);
            parts.record(
                &event
                    .of(&user.tenant, &user.id)
                    .in_session(&session.handle)
                    .from_network(&session.origin.network),
            );
            (*session, tokens)
        }
        Opening::Kept(access, patch) => {
            let look = match merge_payload(parts, access.handle(), &patch).await? {
                Ok(look) => look,
                // It ended a moment ago.
                Err(MergeError::Ended) => return Err(Fault::NeedsSession),
                Err(MergeError::Payload(error)) => return Err(Fault::Part(Box::new(error))),
            };
            let tokens = reissue(parts, &look.session, &look.user.summary, &access)?;
            (look.session, tokens)
        }
    };
    Ok(SignedIn {
        user,
        session,
        tokens,
    })
}

/// An access token for `session` together with its refresh token.
pub(crate) fn issue(
    parts: &Parts,
    session: &Session,
    summary: &Summary,
    refresh: &RefreshToken,
) -> Result<IssuedTokens, Fault> {
    let now = parts.now();
    let config = &parts.config.sessions;
    let life = match session.class {
        Class::Half => config.half_access,
        Class::Full => config.access,
    };
    let token = refresh.encode(&parts.keyring);
    let hash: String = Sha256::digest(token.expose())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    let expires_at = now.plus(life).min(session.end());
    let mut tokens = sign(parts, session, summary, &session.factors, &hash, expires_at)?;
    tokens.refresh = Some(IssuedRefresh {
        token,
        expires_at: session.end(),
    });
    Ok(tokens)
}

/// A new access token in the place of `old`: a new `iat`, the old `exp`, the refresh token unchanged. It says no more of
/// the factors than `old` did.
pub(crate) fn reissue(
    parts: &Parts,
    session: &Session,
    summary: &Summary,
    old: &AccessClaims,
) -> Result<IssuedTokens, Fault> {
    let done = vouched(&session.factors, old.mfa());
    let (hash, expires_at) = (old.refresh_hash(), old.expires_at());
    sign(parts, session, summary, &done, hash, expires_at)
}

/// The same for whoever has just completed a factor again: it says all that the row says.
pub(crate) fn renew(
    parts: &Parts,
    session: &Session,
    summary: &Summary,
    old: &AccessClaims,
) -> Result<IssuedTokens, Fault> {
    let (hash, expires_at) = (old.refresh_hash(), old.expires_at());
    sign(parts, session, summary, &session.factors, hash, expires_at)
}

/// What a token may claim of the factors that its session has completed by now: none that it does not name itself, and
/// none at a newer time. A copy of it from before a completion gains nothing by that (R-SES-1, threat A-SES-02).
fn vouched(done: &Completed, token: Option<&MfaClaim>) -> Completed {
    let Some(MfaClaim { completed: named, .. }) = token else {
        return Completed::new();
    };
    let capped = |(factor, completion): (&FactorId, &Completion)| {
        // Tokens count in whole seconds; within the second the row is as precise as it gets.
        let newest = Timestamp::from_ms(named.get(factor)?.as_secs().saturating_mul(1000) + 999);
        let at = completion.at.min(newest);
        Some((
            factor.clone(),
            Completion {
                at,
                ..completion.clone()
            },
        ))
    };
    done.iter().filter_map(capped).collect()
}

fn sign(
    parts: &Parts,
    session: &Session,
    summary: &Summary,
    done: &Completed,
    refresh_hash: &str,
    expires_at: Timestamp,
) -> Result<IssuedTokens, Fault> {
    let standing = standing(parts, &session.tenant, summary, done);
    let mut derived = claim::derived(&parts.config, parts.second_factor, &standing, summary, done);
    // Kept in the row, and ours nevertheless: the application's part never has it.
    let verified = session
        .payload
        .get(EMAIL_VERIFIED)
        .filter(|_| parts.verifies_email());
    derived.extend(verified.map(|entry| (EMAIL_VERIFIED.to_owned(), entry.clone())));
    let now = parts.now();
    let payload = parts.tokens.payload(&AccessParts {
        issued_at: now,
        expires_at,
        user: &session.user,
        method: &session.method,
        tenant: &session.tenant,
        handle: &session.handle,
        refresh_hash,
        derived: &derived,
        own: &own_payload(parts, session),
    });
    let payload = payload.map_err(|error| Fault::Part(Box::new(error)))?;
    let signed = parts.tokens.sign(&payload, now)?;
    Ok(IssuedTokens {
        access: signed.token,
        payload,
        user: session.user.clone(),
        // The token counts in whole seconds, and the client must not believe it lives longer.
        expires_at: Timestamp::from_ms(expires_at.as_secs() * 1000),
        refresh: None,
    })
}

/// The application's part of a session's payload. A key that is ours since the site turned on a second factor was the
/// application's when it was written: it is left out, so that it proves nothing and locks nobody out.
fn own_payload<'s>(parts: &Parts, session: &'s Session) -> Cow<'s, JsonMap> {
    let payload = &session.payload;
    if !payload.keys().any(|key| parts.tokens.is_reserved(key)) {
        return Cow::Borrowed(payload);
    }
    let own = payload.iter().filter(|(key, _)| !parts.tokens.is_reserved(key));
    Cow::Owned(own.map(|(key, value)| (key.clone(), value.clone())).collect())
}

/// What became of a refresh.
#[derive(Debug)]
pub enum RefreshOutcome {
    /// New tokens, or the successor once more.
    Refreshed(Box<IssuedTokens>),
    /// No session behind the token: sign in again.
    Ended,
    /// The token is from before a rise in assurance, just now: refused, but nothing may be cleared.
    BeforeRise,
    /// The token was used before; the session is ended.
    Theft,
}

/// Uses the one of several refresh tokens that belongs to a living session: a browser may hold leftovers under the name
/// of the live one, and which of them comes first says nothing (R-COO-2). A leftover is a leftover here, not a theft.
/// Two living sessions are one too many, and end in [`RefreshOutcome::Ended`] with both left alone.
pub(crate) async fn refresh_one_of(
    parts: &Parts,
    texts: &[&str],
    caller: &Caller,
) -> Result<RefreshOutcome, Fault> {
    if let [text] = texts {
        return refresh(parts, text, caller).await;
    }
    let now = parts.now();
    let mut live: Option<(&str, RefreshToken)> = None;
    let mut before_rise = false;
    for text in texts {
        let Some(token) = RefreshToken::decode(&parts.keyring, text) else {
            continue;
        };
        let look = parts.store.look(&token.handle, None).await?;
        let row = look.as_ref().map(|l| (&l.session, &l.user));
        let config = &parts.config.sessions;
        match refresh::judge(&parts.keyring, config, row, &token, &caller.origin, now) {
            // Current, or the predecessor of the current one within the grace.
            Verdict::Repeat | Verdict::Grace(_) => {}
            // Its successors may be on their way to the client: nothing may be cleared.
            Verdict::BeforeRise => {
                before_rise = true;
                continue;
            }
            Verdict::Ended | Verdict::Theft => continue,
        }
        match &live {
            None => live = Some((text, token)),
            Some((_, other)) if other.handle != token.handle => return Ok(RefreshOutcome::Ended),
            Some((_, other)) if token.generation > other.generation => live = Some((text, token)),
            Some(_) => {}
        }
    }
    match live {
        Some((text, _)) => refresh(parts, text, caller).await,
        None if before_rise => Ok(RefreshOutcome::BeforeRise),
        None => Ok(RefreshOutcome::Ended),
    }
}

/// Uses a refresh token: one signature and one statement, unless it is no longer the current one.
pub(crate) async fn refresh(parts: &Parts, text: &str, caller: &Caller) -> Result<RefreshOutcome, Fault> {
    let Some(token) = RefreshToken::decode(&parts.keyring, text) else {
        return Ok(RefreshOutcome::Ended);
    };
    // The handle is under the token's seal, and names the tenant.
    let tenant = token.handle.tenant();
    if !caller.reaches(&tenant) || !parts.knows(&tenant) {
        return Ok(RefreshOutcome::Ended);
    }
    let now = parts.now();
    let config = &parts.config.sessions;
    let salt = parts.random()?;
    let key = parts.keyring.newest().clone();
    let Some(generation) = token.generation.checked_add(1) else {
        return Ok(RefreshOutcome::Ended);
    };
    let secret = refresh::successor(&parts.keyring, &key, &token.handle, generation, &salt)
        .ok_or(Fault::Key("the newest key derives nothing"))?;
    let next = RefreshToken::new(token.handle.clone(), generation, secret);
    let rotated = parts
        .store
        .rotate(&Rotate {
            handle: token.handle.clone(),
            generation: token.generation,
            current: token.digest(),
            next: next.digest(),
            rotation: Rotation {
                at: now,
                salt,
                key,
                origin: caller.origin.clone(),
            },
            idle: config.idle,
            tally_limit: config.tally,
            tally_window: config.tally_window,
        })
        .await?;
    if let Some(view) = rotated {
        let event = parts.event(EventKind::SessionRefreshed, Outcome::Granted);
        parts.record(
            &event
                .of(&view.session.tenant, &view.session.user)
                .in_session(&view.session.handle)
                .from_network(&caller.origin.network),
        );
        return Ok(RefreshOutcome::Refreshed(Box::new(issue(
            parts,
            &view.session,
            &view.summary,
            &next,
        )?)));
    }
    let look = parts.store.look(&token.handle, None).await?;
    let row = look.as_ref().map(|l| (&l.session, &l.user));
    let verdict = refresh::judge(&parts.keyring, config, row, &token, &caller.origin, now);
    let note = |kind, outcome, reason| {
        let mut event = parts
            .event(kind, outcome)
            .in_session(&token.handle)
            .because(reason);
        if let Some((session, user)) = row {
            event = event.of(&session.tenant, &user.id);
        }
        parts.record(&event.from_network(&caller.origin.network));
    };
    let successor = match verdict {
        Verdict::Ended => {
            note(EventKind::SessionRefused, Outcome::Refused, "ended");
            return Ok(RefreshOutcome::Ended);
        }
        Verdict::BeforeRise => {
            note(EventKind::SessionRefused, Outcome::Refused, "before_rise");
            return Ok(RefreshOutcome::BeforeRise);
        }
        Verdict::Theft => {
            // Both networks belong into the record: one of the two is the thief's.
            note(EventKind::SessionTheft, Outcome::Refused, "reuse");
            if let Some((session, user)) = row {
                let last = session
                    .chain
                    .rotated
                    .as_ref()
                    .map_or(&session.origin, |r| &r.origin);
                let event = parts
                    .event(EventKind::SessionTheft, Outcome::Noted)
                    .because("last_rotation_from");
                parts.record(
                    &event
                        .of(&session.tenant, &user.id)
                        .in_session(&session.handle)
                        .from_network(&last.network),
                );
            }
            end(parts, &token.handle).await?;
            return Ok(RefreshOutcome::Theft);
        }
        Verdict::Repeat => {
            note(EventKind::SessionGrace, Outcome::Granted, "too_often");
            token.clone()
        }
        Verdict::Grace(next) => {
            note(EventKind::SessionGrace, Outcome::Granted, "same_successor");
            next
        }
    };
    match look {
        Some(look) => {
            let tokens = issue(parts, &look.session, &look.user.summary, &successor)?;
            Ok(RefreshOutcome::Refreshed(Box::new(tokens)))
        }
        None => Ok(RefreshOutcome::Ended),
    }
}

/// Deletes a session, and makes its access tokens fail at once in this process.
pub(crate) async fn end(parts: &Parts, handle: &SessionHandle) -> Result<bool, Fault> {
    // Memory first: should the store fail, the token fails all the same.
    parts.revocations.revoke_handle(handle, parts.now());
    let row = parts.store.revoke_session(handle).await?;
    // Who had to ask the store in between asks again.
    parts.revocations.watchers().call_session(handle);
    if let Some(session) = &row {
        let event = parts.event(EventKind::SessionEnded, Outcome::Noted);
        parts.record(&event.of(&session.tenant, &session.user).in_session(handle));
    }
    Ok(row.is_some())
}

/// Deletes all sessions of a user.
pub(crate) async fn end_all(
    parts: &Parts,
    tenant: &TenantId,
    user: &UserId,
) -> Result<Vec<SessionHandle>, Fault> {
    let work = parts.store.revoke_sessions(tenant, user);
    let handles = ending(parts, tenant, user, work).await?;
    for handle in &handles {
        parts.revocations.revoke_handle(handle, parts.now());
    }
    parts.record(
        &parts
            .event(EventKind::SessionEnded, Outcome::Noted)
            .of(tenant, user)
            .because("all"),
    );
    Ok(handles)
}

/// Ends what this process remembers of a user's tokens, but for one session.
pub(crate) fn revoke_tokens(parts: &Parts, tenant: &TenantId, user: &UserId, but: Option<&SessionHandle>) {
    parts.revocations.revoke_user(tenant, user, but, parts.now());
}

/// Has the store do what ends sessions of a user. If it does not say that it has, or nobody is there any more to be told,
/// the rows are asked from then on: what was done holds for the very next request (R-SES-5, threats A-SES-18, A-DB-02).
/// The caller revokes next, before it waits for anything.
pub(crate) async fn ending<T>(
    parts: &Parts,
    tenant: &TenantId,
    user: &UserId,
    work: impl Future<Output = Stored<T>>,
) -> Stored<T> {
    parts.revocations.doubt_user(tenant, user, parts.now());
    let done = work.await?;
    parts.revocations.settle_user(tenant, user);
    Ok(done)
}

/// The session was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session has ended")]
pub struct SessionEnded;

/// A session as the store knows it, for routes that must not trust a token alone.
#[derive(Clone, Debug)]
pub struct Checked {
    /// The session, its user, and what was read with them.
    pub look: Look,
    /// Where its token stands now: by the row, as far as the token itself vouches for it.
    pub standing: Standing,
    /// The factors behind that.
    pub done: Completed,
}

/// The same for whoever has no token at hand: the session as the row has it.
pub(crate) fn checked_by_row(parts: &Parts, look: Look) -> Checked {
    let done = look.session.factors.clone();
    let standing = standing(parts, &look.user.tenant, &look.user.summary, &done);
    Checked { look, standing, done }
}

/// Whether the session and its user live, of one epoch.
pub(crate) fn is_alive(look: &Look, now: Timestamp) -> bool {
    !look.session.is_over(now) && look.user.state == UserState::Live && look.user.epoch == look.session.epoch
}

/// Asks the store whether the session behind a token lives, and where the token stands. Both must agree: what the row
/// has lost the token has lost, and what the row has won since is not the token's.
pub(crate) async fn check(
    parts: &Parts,
    access: &AccessClaims,
    challenge: Option<&crate::id::ChallengeId>,
) -> Result<Result<Checked, SessionEnded>, Fault> {
    let look = parts.store.look(access.handle(), challenge).await?;
    let now = parts.now();
    Ok(match look {
        Some(look) if lives(&look, access, now) && parts.knows(&look.user.tenant) => {
            let done = vouched(&look.session.factors, access.mfa());
            let standing = standing(parts, &look.user.tenant, &look.user.summary, &done);
            Ok(Checked { look, standing, done })
        }
        _ => Err(SessionEnded),
    })
}

fn lives(look: &Look, access: &AccessClaims, now: Timestamp) -> bool {
    look.session.user == *access.user_id()
        && look.session.tenant == *access.tenant_id()
        && is_alive(look, now)
}

/// What a rule may look at, from a verified token.
pub(crate) fn facts<'a>(parts: &'a Parts, access: &'a AccessClaims, now: Timestamp) -> Facts<'a> {
    token_facts(
        access,
        &parts.config.claims,
        &parts.claim_ages,
        &parts.offered,
        now,
    )
}

/// The same for whoever has no parts. `offered` are the factors that the site offers, as far as they are known.
pub(crate) fn token_facts<'a>(
    access: &'a AccessClaims,
    names: &'a ClaimNames,
    default_ages: &'a [(String, Duration)],
    offered: &[Offered],
    now: Timestamp,
) -> Facts<'a> {
    let second = access.second_factor();
    let behind = access
        .mfa()
        .zip(second)
        .and_then(|(mfa, second)| completed_at(&mfa.completed, second.at, offered));
    Facts {
        satisfied: access.mfa().map(|mfa| mfa.satisfied),
        second_factor: second.map(|claim| claim.completed),
        second_factor_at: second.map(|claim| claim.at),
        second_factor_id: behind.map(FactorId::as_str),
        payload: access.into(),
        now,
        names,
        default_ages,
    }
}

/// The factor whose completion the boolean claim's time is. `st-mfa.c` counts in seconds, so it is met to the second; of
/// two factors that a quick client completed in one second, the one that is offered as a second factor.
fn completed_at<'a>(
    completed: &'a BTreeMap<FactorId, Timestamp>,
    at: Timestamp,
    offered: &[Offered],
) -> Option<&'a FactorId> {
    let mut then = completed
        .iter()
        .filter(|(_, t)| t.as_secs() == at.as_secs())
        .map(|(factor, _)| factor);
    let first = then.next()?;
    let offers = |factor: &FactorId| offered.iter().any(|o| o.factor == *factor);
    // Nearly always it is the only one, and then nobody has to know who is offered.
    Some(then.fold(first, |best, other| {
        if offers(other) || !offers(best) {
            other
        } else {
            best
        }
    }))
}

/// What a rule may look at, from the store: the token's payload for the application's claims, the row for the rest.
pub(crate) fn facts_of<'a>(parts: &'a Parts, checked: &'a Checked) -> Facts<'a> {
    Facts {
        satisfied: Some(checked.standing.satisfied),
        second_factor: Some(checked.standing.second_factor),
        second_factor_at: Some(checked.standing.at),
        second_factor_id: checked.standing.newest.as_ref().map(FactorId::as_str),
        payload: (&checked.look.session.payload).into(),
        now: parts.now(),
        names: &parts.config.claims,
        default_ages: &parts.claim_ages,
    }
}

/// Why a merge into the payload was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// The patch, or what would come of it, is no payload: a claim that decides is never the application's to write
    /// (R-TOK-4), and a token that outgrows a cookie is dropped by browsers without a word.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// The session is gone.
    #[error("the session has ended")]
    Ended,
}

/// Merges `patch` into the application's part of a session's payload; `null` removes a key. The session as it is then.
pub(crate) async fn merge_payload(
    parts: &Parts,
    handle: &SessionHandle,
    patch: &JsonMap,
) -> Result<Result<Look, MergeError>, Fault> {
    if let Err(error) = parts.tokens.check_own(patch) {
        return Ok(Err(error.into()));
    }
    match parts.store.look(handle, None).await? {
        Some(look) => merge_into(parts, look, patch).await,
        None => Ok(Err(MergeError::Ended)),
    }
}

/// The same for a session that was just read, and with claims of ours among what is merged.
pub(crate) async fn merge_into(
    parts: &Parts,
    look: Look,
    patch: &JsonMap,
) -> Result<Result<Look, MergeError>, Fault> {
    let mut merged = look.session.payload.clone();
    crate::record::user::merge(&mut merged, patch);
    for map in [patch, &merged] {
        if let Err(error) = parts.tokens.check_own(&parts.without_ours(map)) {
            return Ok(Err(error.into()));
        }
    }
    match parts.store.merge_payload(&look.session.handle, patch).await? {
        Some(payload) => {
            let session = Session {
                payload,
                ..look.session
            };
            Ok(Ok(Look { session, ..look }))
        }
        None => Ok(Err(MergeError::Ended)),
    }
}

#[cfg(test)]
mod tests;
