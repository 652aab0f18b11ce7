//! What the application does to its users: look up, disable, delete, reset factors, metadata.

use std::io;

use serde_json::{Value, json};

use crate::delivery::{Channel, NoticeKind};
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::factor::passwordless;
use crate::flow::link::{self, LinkKind};
use crate::flow::{account, session, upkeep};
use crate::id::{FactorId, TenantId, UserId};
use crate::parts::Parts;
use crate::policy::SecondFactor;
use crate::record::JsonMap;
use crate::record::user::{Changed, User, UserState};
use crate::storage::UserChange;

/// Applies a change. Whether there was such a user.
pub(crate) async fn changed(
    parts: &Parts,
    tenant: &TenantId,
    user: &UserId,
    what: Changed,
) -> Result<bool, Fault> {
    if what == Changed::Deleted {
        forget_messages(parts, tenant, user).await?;
    }
    let there = apply(parts, tenant, user, what).await?;
    if !there && parts.knows(tenant) {
        // Of the application's own table, and never signed in. A sign-in that is under way would make the row in a moment:
        // it has to find that something has changed (A-SES-11).
        let bare = User::bare(tenant, user, parts.now());
        parts.store.ensure_user(&bare).await?;
        apply(parts, tenant, user, what).await?;
    }
    let event = match what {
        Changed::Deleted => parts.event(EventKind::AccountDeleted, Outcome::Noted),
        what => parts
            .event(EventKind::AccountChanged, Outcome::Noted)
            .because(what.as_str()),
    };
    parts.record(&event.of(tenant, user));
    if what == Changed::Deleted {
        let keys = account::limits(parts).account_keys(tenant, user, &factors(parts));
        parts.store.clear(&keys).await?;
    }
    Ok(there)
}

/// Writes a change, and ends what this process remembers. Whether there was such a user.
async fn apply(parts: &Parts, tenant: &TenantId, user: &UserId, what: Changed) -> Result<bool, Fault> {
    let work = async {
        if what == Changed::Deleted {
            return Ok(parts.store.delete_user(tenant, user).await?.is_some());
        }
        let change = UserChange {
            state: what.state(),
            reset_factors: false,
            retire_password: false,
            notices: Vec::new(),
            paid_by: None,
        };
        Ok(parts.store.change_user(tenant, user, &change).await?.is_some())
    };
    let there = session::ending(parts, tenant, user, work).await?;
    session::revoke_tokens(parts, tenant, user, None);
    Ok(there)
}

/// Ends the links that undo an enrollment. They outlive whatever a thief can do in a session; what the site decides by itself
/// they do not (threat A-MFA-41): the factors of afterwards are not those that they were sent for.
async fn forget_undo(parts: &Parts, tenant: &TenantId, user: &UserId) -> Result<(), Fault> {
    let undo = link::undone(user);
    let purpose = LinkKind::Undo.purpose();
    parts.store.drop_challenges_to(tenant, purpose, &undo).await?;
    Ok(())
}

/// Ends the challenges that would sign the user in, which name the contact and nobody by an id; and what undoes an
/// enrollment, which is bound to no user.
async fn forget_messages(parts: &Parts, tenant: &TenantId, user: &UserId) -> Result<(), Fault> {
    forget_undo(parts, tenant, user).await?;
    let row = parts.store.user(tenant, user).await?;
    for method in row.iter().flat_map(|row| &row.methods) {
        let contacts = [(Channel::Email, &method.email), (Channel::Sms, &method.phone)];
        for (channel, contact) in contacts {
            if let Some(contact) = contact {
                let purpose = passwordless::first_factor_purpose(channel);
                parts.store.drop_challenges_to(tenant, &purpose, contact).await?;
            }
        }
    }
    Ok(())
}

fn factors(parts: &Parts) -> Vec<FactorId> {
    parts.offered.iter().map(|o| o.factor.clone()).collect()
}

/// Removes all second factors of a user who lost them: an administrator's act, with a notice, after which the next
/// sign-in enrolls anew (A-MFA-33). The failure counts are kept: history is not lost by removal (A-MFA-38).
pub(crate) async fn reset_factors(parts: &Parts, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
    let Some(row) = parts.store.user(tenant, user).await? else {
        return Ok(false);
    };
    let kind = NoticeKind::FactorsReset { at: parts.now() };
    let notices = upkeep::notices(parts, &row, &kind, None, None).await?;
    let change = UserChange {
        state: None,
        reset_factors: true,
        retire_password: false,
        notices,
        paid_by: None,
    };
    let work = parts.store.change_user(tenant, user, &change);
    let there = session::ending(parts, tenant, user, work).await?.is_some();
    session::revoke_tokens(parts, tenant, user, None);
    if there {
        forget_undo(parts, tenant, user).await?;
        parts.record(
            &parts
                .event(EventKind::FactorReset, Outcome::Noted)
                .of(tenant, user),
        );
        upkeep::wake(parts);
    }
    Ok(there)
}

/// Replaces the factors that are required of one user. Whether there was such a user.
pub(crate) async fn require_factors(
    parts: &Parts,
    tenant: &TenantId,
    user: &UserId,
    required: &[FactorId],
) -> Result<bool, Fault> {
    // Another verb may change the row in between; it never does so for long.
    for _ in 0..3 {
        let Some(row) = parts.store.user(tenant, user).await? else {
            return Ok(false);
        };
        if row.state == UserState::Deleted {
            return Ok(false);
        }
        if parts
            .store
            .require_factors(tenant, user, row.revision, required)
            .await?
        {
            return Ok(true);
        }
    }
    Err(Fault::Busy)
}

/// Keys of metadata that are views of what stepup keeps elsewhere, where it has a second factor of its own.
pub(super) const VIEWS: [&str; 2] = ["passwordlessUserId", "_supertokens"];

/// The metadata key is a view, and cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the metadata key is derived and cannot be written: {0}")]
pub struct DerivedKey(pub String);

fn with_views(user: &User, mut metadata: JsonMap) -> JsonMap {
    let contact = [FactorId::OTP_PHONE, FactorId::OTP_EMAIL]
        .iter()
        .find_map(|factor| user.summary.enrolled(factor));
    if let Some(contact) = contact {
        metadata.insert(
            "passwordlessUserId".to_owned(),
            Value::from(contact.credential.as_str()),
        );
    }
    if !user.summary.required.is_empty() {
        metadata.insert(
            "_supertokens".to_owned(),
            json!({ "requiredSecondaryFactors": user.summary.required }),
        );
    }
    metadata
}

/// The metadata of a user with its views; empty for an unknown one.
pub(crate) async fn metadata(parts: &Parts, tenant: &TenantId, user: &UserId) -> Result<JsonMap, Fault> {
    let row = parts.store.user(tenant, user).await?;
    Ok(row.map_or_else(JsonMap::new, |user| match parts.second_factor {
        SecondFactor::BuiltIn => with_views(&user, user.metadata.clone()),
        SecondFactor::Absent => user.metadata,
    }))
}

/// Merges `patch` on the first level; `null` removes a key. The new metadata with its views, or none for an unknown user.
pub(crate) async fn merge_metadata(
    parts: &Parts,
    tenant: &TenantId,
    user: &UserId,
    patch: &JsonMap,
) -> Result<Result<Option<JsonMap>, DerivedKey>, Fault> {
    let is_view =
        |key: &&String| parts.second_factor == SecondFactor::BuiltIn && VIEWS.contains(&key.as_str());
    if let Some(key) = patch.keys().find(is_view) {
        return Ok(Err(DerivedKey(key.clone())));
    }
    if !fits(patch, MAX_PATCH) {
        return Err(Fault::Part("a patch of metadata of more than 1 MiB".into()));
    }
    if parts.store.merge_metadata(tenant, user, patch).await?.is_none() {
        return Ok(Ok(None));
    }
    metadata(parts, tenant, user).await.map(|map| Ok(Some(map)))
}

/// The longest patch, as JSON, that is handed to a database: drivers have broken at far longer values (threat A-INJ-02).
pub(super) const MAX_PATCH: usize = 1 << 20;

/// Whether `patch` is at most `most` bytes long as JSON. What is longer is not written out to its end.
pub(super) fn fits(patch: &JsonMap, most: usize) -> bool {
    struct Room(usize);

    impl io::Write for Room {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or(io::ErrorKind::StorageFull)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    serde_json::to_writer(Room(most), patch).is_ok()
}

/// Gives an account its tries back: at a suspended second factor, and at a password that is locked. For an administrator
/// who knows that it was the owner who failed.
pub(crate) async fn forgive_failures(parts: &Parts, tenant: &TenantId, user: &UserId) -> Result<(), Fault> {
    let limits = account::limits(parts);
    let mut keys = limits.second_factor_keys(tenant, user, &factors(parts));
    keys.push(limits.sign_in_account_key(&[tenant.as_str(), &format!("user:{user}")]));
    Ok(parts.store.clear(&keys).await?)
}
