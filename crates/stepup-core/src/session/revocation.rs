//! What this process has revoked, remembered for as long as an access token may live.
//!
//! An access token is verified without a look at the store. So that a revocation by this process holds for its very
//! next request (R-SES-5, threat A-SES-18), the revoked handles and users are kept in memory, bounded. When that memory
//! is full nothing is forgotten and nothing fails open: until what did not fit has expired, every token is looked up in
//! the store.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use super::access::AccessClaims;
use super::watch::Watchers;
use crate::config::SessionConfig;
use crate::id::{SessionHandle, TenantId, UserId};
use crate::time::Timestamp;

/// Revocations of this process.
pub struct Revocations {
    entries: RwLock<Entries>,
    capacity: usize,
    /// How long a token may outlive its revocation.
    life: Duration,
    /// How far the clocks of two nodes may differ.
    skew: Duration,
    version: AtomicU64,
    /// The version as long as nothing was revoked.
    first: u64,
    watchers: Arc<Watchers>,
}

impl Revocations {
    /// Room for `capacity` revocations.
    pub fn new(capacity: usize, config: &SessionConfig) -> Self {
        // No two memories of a process share a version, so that a token which one has cleared is not clear to another.
        let first = VERSIONS.fetch_add(VERSIONS_EACH, Ordering::Relaxed);
        Self {
            entries: RwLock::default(),
            capacity,
            // A token may be dated a leeway ahead, and is accepted a leeway past its expiry.
            life: config
                .access
                .saturating_add(config.leeway)
                .saturating_add(config.leeway),
            skew: config.leeway,
            version: AtomicU64::new(first),
            first,
            watchers: Arc::default(),
        }
    }

    /// Remembers that the session ended. Called once the store has ended it, and before the answer is given.
    pub fn revoke_handle(&self, handle: &SessionHandle, now: Timestamp) {
        self.change(now, |entries, until| {
            if let Some(before) = entries.handles.get_mut(handle) {
                *before = until.max(*before);
            } else if entries.has_room(self.capacity, now) {
                entries.handles.insert(handle.clone(), until);
            } else {
                return false;
            }
            true
        });
        self.watchers.call_session(handle);
    }

    /// Remembers that all sessions of the user ended at `now`, but `except`: the one whose request did it, if it was
    /// given the user's new epoch.
    pub fn revoke_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        except: Option<&SessionHandle>,
        now: Timestamp,
    ) {
        self.change(now, |entries, until| {
            let Some(entry) = entries.of_user(tenant, user, self.capacity, now) else {
                return false;
            };
            // A clock that went back must not shorten what was revoked before.
            entry.ended_at = entry.ended_at.max(Some(now));
            entry.except = except.cloned();
            entry.until = until.max(entry.until);
            true
        });
        self.watchers.call_user(tenant, user);
    }

    /// Who waits for the end of a session.
    pub(crate) fn watchers(&self) -> &Arc<Watchers> {
        &self.watchers
    }

    /// Remembers that the store is about to end all sessions of the user, and may have before anybody is told. Their rows
    /// are asked until [`Revocations::settle_user`] says that they need not be, or their tokens have expired.
    pub fn doubt_user(&self, tenant: &TenantId, user: &UserId, now: Timestamp) {
        self.change(now, |entries, until| {
            let Some(entry) = entries.of_user(tenant, user, self.capacity, now) else {
                return false;
            };
            entry.doubts = entry.doubts.saturating_add(1);
            entry.doubted_at = now.max(entry.doubted_at);
            entry.until = until.max(entry.until);
            true
        });
    }

    /// Takes back one doubt: the store said what it did, and what it ended is revoked here as well.
    pub fn settle_user(&self, tenant: &TenantId, user: &UserId) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        let list = entries.users.get_mut(user);
        if let Some(entry) = list.and_then(|list| list.iter_mut().find(|entry| entry.tenant == *tenant)) {
            entry.doubts = entry.doubts.saturating_sub(1);
        }
    }

    /// Asks the store about every token until then: the clock went back, and a token that had expired may not look so.
    pub(crate) fn ask_store_until(&self, until: Timestamp) {
        {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            entries.full_until = entries.full_until.max(Some(until));
        }
        self.version.fetch_add(1, Ordering::Release);
    }

    /// What is known of a verified token. [`Known::Live`] only says that nothing speaks against it here; a token of which
    /// that was said is not looked for again until something was revoked.
    pub fn standing(&self, claims: &AccessClaims, now: Timestamp) -> Known {
        // Before the look, so that what is revoked meanwhile is looked for with the next request.
        let version = self.version();
        if version == self.first || claims.is_cleared_by(version) {
            return Known::Live;
        }
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let standing = entries.standing(claims, now, self.skew);
        // Once something did not fit, the answer depends on the time as well, and a clock can go back.
        if standing == Known::Live && entries.full_until.is_none() {
            claims.clear_by(version);
        }
        standing
    }

    /// Counts the changes, so that one load shows that nothing was revoked since.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Lets `add` remember something until the given time; whether there was room.
    fn change(&self, now: Timestamp, add: impl FnOnce(&mut Entries, Timestamp) -> bool) {
        let until = now.plus(self.life);
        {
            let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
            if add(&mut entries, until) {
                entries.earliest = Some(entries.earliest.map_or(until, |first| first.min(until)));
            } else {
                entries.full_until = entries.full_until.max(Some(until));
            }
        }
        self.version.fetch_add(1, Ordering::Release);
    }
}

impl Debug for Revocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Revocations")
            .field("entries", &entries.len())
            .field("full_until", &entries.full_until)
            .finish_non_exhaustive()
    }
}

/// What this process knows of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing speaks against it.
    Live,
    /// It was revoked.
    Revoked,
    /// It may have been: only the session's row tells. If the store fails, the request is refused.
    AskStore,
}

#[derive(Default)]
struct Entries {
    handles: HashMap<SessionHandle, Timestamp>,
    users: HashMap<UserId, Vec<UserEntry>>,
    /// Entries in all lists of `users`.
    user_entries: usize,
    /// No entry expires before.
    earliest: Option<Timestamp>,
    /// Until when the store is asked about every token: the last revocation that did not fit has expired then.
    full_until: Option<Timestamp>,
}

impl Entries {
    fn len(&self) -> usize {
        self.handles.len() + self.user_entries
    }

    fn standing(&self, claims: &AccessClaims, now: Timestamp, skew: Duration) -> Known {
        if self.handles.contains_key(claims.handle()) {
            return Known::Revoked;
        }
        let of_user = self.users.get(claims.user_id());
        let by_user = of_user
            .into_iter()
            .flatten()
            .find(|entry| entry.tenant == *claims.tenant_id())
            .map_or(Known::Live, |entry| entry.standing(claims, now, skew));
        match by_user {
            Known::Live if self.full_until.is_some_and(|until| now < until) => Known::AskStore,
            other => other,
        }
    }

    /// The entry of a user, made if it is missing; none if there is no room for it.
    fn of_user(
        &mut self,
        tenant: &TenantId,
        user: &UserId,
        capacity: usize,
        now: Timestamp,
    ) -> Option<&mut UserEntry> {
        let at = |list: &Vec<UserEntry>| list.iter().position(|entry| entry.tenant == *tenant);
        if self.users.get(user).and_then(at).is_none() {
            if !self.has_room(capacity, now) {
                return None;
            }
            self.user_entries += 1;
            self.users.entry(user.clone()).or_default().push(UserEntry {
                tenant: tenant.clone(),
                ended_at: None,
                except: None,
                doubts: 0,
                doubted_at: now,
                until: now,
            });
        }
        let list = self.users.get_mut(user)?;
        list.iter_mut().find(|entry| entry.tenant == *tenant)
    }

    /// Whether one more fits. What has expired is dropped only when room is needed: a clock that leaps ahead and back
    /// then revives nothing.
    fn has_room(&mut self, capacity: usize, now: Timestamp) -> bool {
        if self.len() >= capacity && self.earliest.is_some_and(|first| first <= now) {
            self.handles.retain(|_, until| now < *until);
            self.users.retain(|_, entries| {
                entries.retain(|entry| now < entry.until);
                !entries.is_empty()
            });
            self.user_entries = self.users.values().map(Vec::len).sum();
            let handles = self.handles.values().copied();
            let users = self.users.values().flatten().map(|entry| entry.until);
            self.earliest = handles.chain(users).min();
        }
        self.len() < capacity
    }
}

struct UserEntry {
    tenant: TenantId,
    /// When the sessions ended, but `except`.
    ended_at: Option<Timestamp>,
    except: Option<SessionHandle>,
    /// How many times all of them may have ended, as far as nobody has said.
    doubts: u32,
    /// When last.
    doubted_at: Timestamp,
    until: Timestamp,
}

impl UserEntry {
    /// Tokens carry whole seconds, and another node's clock may differ: near the moment of the revocation only the row
    /// tells whether a token came before or after. So it does when the clock went back behind the revocation.
    fn standing(&self, claims: &AccessClaims, now: Timestamp, skew: Duration) -> Known {
        let second = |at: Timestamp| Timestamp::from_ms(at.as_secs().saturating_mul(1000));
        let is_later = |at: Timestamp| claims.issued_at() > second(at).plus(skew);
        let ended_at = self
            .ended_at
            .filter(|at| self.except.as_ref() != Some(claims.handle()) && !is_later(*at));
        match ended_at {
            Some(at) if claims.issued_at() < second(at).minus(skew) && at <= now.plus(skew) => Known::Revoked,
            Some(_) => Known::AskStore,
            None if self.doubts > 0 && !is_later(self.doubted_at) => Known::AskStore,
            None => Known::Live,
        }
    }
}

const VERSIONS_EACH: u64 = 1 << 40;
static VERSIONS: AtomicU64 = AtomicU64::new(VERSIONS_EACH);

#[cfg(test)]
mod tests;
