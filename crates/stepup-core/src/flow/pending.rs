//! The codes and links of a contact that are open: found, listed and ended for the application's support desk.

use crate::delivery::Channel;
use crate::error::Fault;
use crate::factor::passwordless;
use crate::flow::contact::Contact;
use crate::id::{ChallengeId, TenantId};
use crate::parts::Parts;
use crate::record::challenge::Challenge;
use crate::time::Timestamp;

/// An open challenge of a contact, for the application's support desk. It opens nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its name, the protocol's `preAuthSessionId`.
    pub challenge: ChallengeId,
    /// Wrong codes so far.
    pub failed: u32,
    /// Messages so far.
    pub sends: u32,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When its newest code stops working.
    pub expires_at: Timestamp,
}

/// The open challenges of a contact, newest first.
pub(crate) async fn list(parts: &Parts, tenant: &TenantId, contact: &Contact) -> Result<Vec<Device>, Fault> {
    let now = parts.now();
    let purpose = passwordless::first_factor_purpose(contact.channel());
    let all = parts
        .store
        .challenges_to(tenant, &purpose, contact.as_str())
        .await?;
    let open = all
        .into_iter()
        .filter(|c| !c.closed && c.failed < c.max_failures && now < c.ends_at);
    Ok(open
        .map(|c| Device {
            failed: c.failed,
            sends: c.sends,
            created_at: c.created_at,
            expires_at: c
                .slots
                .first()
                .and_then(|s| *s)
                .map_or(c.ends_at, |s| s.expires_at),
            challenge: c.id,
        })
        .collect())
}

/// Ends all challenges of a contact. How many there were.
pub(crate) async fn revoke_all(parts: &Parts, tenant: &TenantId, contact: &Contact) -> Result<u64, Fault> {
    let purpose = passwordless::first_factor_purpose(contact.channel());
    Ok(parts
        .store
        .drop_challenges_to(tenant, &purpose, contact.as_str())
        .await?)
}

/// Ends one challenge that signs in. Whether there was one.
pub(crate) async fn revoke(parts: &Parts, tenant: &TenantId, id: &ChallengeId) -> Result<bool, Fault> {
    match open_challenge(parts, tenant, id).await? {
        Some(_) => Ok(parts.store.drop_challenge(tenant, id).await?),
        None => Ok(false),
    }
}

/// A challenge that signs in, by whichever channel it was sent.
pub(crate) async fn open_challenge(
    parts: &Parts,
    tenant: &TenantId,
    id: &ChallengeId,
) -> Result<Option<(Challenge, Channel)>, Fault> {
    let Some(challenge) = parts.store.challenge(tenant, id).await? else {
        return Ok(None);
    };
    let channel = [Channel::Sms, Channel::Email]
        .into_iter()
        .find(|channel| challenge.binding == passwordless::first_factor_binding(*channel, id));
    Ok(channel.map(|channel| (challenge, channel)))
}
