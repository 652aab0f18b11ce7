//! Stored passwords: where their hashes open, how a typed one is judged by them, and how old ones are replaced.

use crate::digest::Verdict;
use crate::entropy::Entropy;
use crate::error::Fault;
use crate::factor::password::PasswordFactor;
use crate::id::{CredentialId, TenantId, UserId};
use crate::keyring::Keyring;
use crate::parts::Parts;
use crate::password::Password;
use crate::record::credential::{Credential, CredentialKind};
use crate::record::user::Identifier;
use crate::storage::Account;

/// The associated data of a password's hash: it opens only in the row that it was sealed for (A-SEC-03).
pub(crate) fn hash_place<'a>(tenant: &'a TenantId, user: &'a UserId, id: &'a CredentialId) -> [&'a [u8]; 4] {
    [
        b"password",
        tenant.as_str().as_bytes(),
        user.as_str().as_bytes(),
        id.as_str().as_bytes(),
    ]
}

pub(crate) fn seal_hash(
    parts: &Parts,
    tenant: &TenantId,
    user: &UserId,
    id: &CredentialId,
    hash: &str,
) -> Result<Vec<u8>, Fault> {
    seal(&parts.keyring, &*parts.entropy, (tenant, user, id), hash)
}

/// The same with these parts alone.
pub(crate) fn seal(
    keyring: &Keyring,
    entropy: &dyn Entropy,
    (tenant, user, id): (&TenantId, &UserId, &CredentialId),
    hash: &str,
) -> Result<Vec<u8>, Fault> {
    keyring.seal(&hash_place(tenant, user, id), hash.as_bytes(), entropy)
}

/// Whether a right password signs in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It does.
    Open,
    /// The answer will be no, and takes as long as that to a wrong one.
    Barred,
}

impl Outcome {
    pub(super) const fn of(is_open: bool) -> Self {
        if is_open { Self::Open } else { Self::Barred }
    }
}

/// Judges `password` by the stored one. It takes as long whatever that is, and whether there is one (R-ENU-1).
pub(super) async fn judge(
    parts: &Parts,
    factor: &PasswordFactor,
    credential: Option<&Credential>,
    password: &Password,
    outcome: Outcome,
) -> Result<Verdict, Fault> {
    let Some(credential) = credential else {
        factor.hasher.burn(password).await?;
        return Ok(Verdict::Wrong);
    };
    let text = stored(parts, credential)?;
    match (&text, outcome) {
        (None, _) => {
            factor.hasher.burn(password).await?;
            Ok(Verdict::Hostile)
        }
        (Some(text), Outcome::Open) => factor.hasher.verify(text, password).await,
        (Some(text), Outcome::Barred) => factor.hasher.verify_in_vain(text, password).await,
    }
}

/// The text of the hash that `credential` keeps; none if it is no text.
fn stored(parts: &Parts, credential: &Credential) -> Result<Option<zeroize::Zeroizing<String>>, Fault> {
    let place = hash_place(&credential.tenant, &credential.user, &credential.id);
    let sealed = credential
        .sealed
        .as_deref()
        .ok_or(Fault::Key("a password without a hash"))?;
    let opened = parts.keyring.open(&place, sealed)?;
    Ok(std::str::from_utf8(&opened)
        .ok()
        .map(|text| zeroize::Zeroizing::new(text.to_owned())))
}

/// Stores a hash of today's of `password`, which is right, in the place of an old one. Whether it still is right: by a hash
/// that takes the beginning of a password for the whole of it one password is right, and it becomes the password (threat
/// A-PWD-01).
pub(super) async fn renew(
    parts: &Parts,
    factor: &PasswordFactor,
    account: &Account,
    identifier: &Identifier,
    password: &Password,
) -> Result<bool, Fault> {
    let Some(credential) = &account.password else {
        return Ok(false);
    };
    let hash = factor.hasher.hash(password).await?;
    let of = &account.user;
    let sealed = seal_hash(parts, &of.tenant, &of.id, &credential.id, hash.expose())?;
    // Compare-and-set: a change of the password in between is never overwritten (A-PWD-06).
    let stored_it = parts
        .store
        .reseal(
            &of.tenant,
            &of.id,
            CredentialKind::Password,
            &credential.id,
            credential.version,
            &sealed,
        )
        .await?;
    let text = stored(parts, credential)?;
    let cuts = text.is_some_and(|text| factor.hasher.cuts(&text, password));
    if stored_it || !cuts {
        return Ok(true);
    }
    let now = parts.store.user_by_identifier(&of.tenant, identifier).await?;
    let now = now.as_ref().and_then(|account| account.password.as_ref());
    let verdict = judge(parts, factor, now, password, Outcome::Open).await?;
    Ok(matches!(verdict, Verdict::Right { .. }))
}
