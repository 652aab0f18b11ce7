//! A desk beside a running site: users in and out, and secrets, for a command line tool or a job of the application's own.
//!
//! It works on the store alone. It serves no request, sends no message, signs nothing, and knows nothing of the site's
//! factors, tenants and policy; what depends on these is decided by the site when the user signs in.

use std::fmt;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::digest::{FirebaseKey, HashFault, admit_hash};
use crate::entropy::OsEntropy;
use crate::error::{Fault, StoreError};
use crate::flow::import::Importer;
use crate::flow::password::hash_place;
use crate::id::{FactorId, KeyId, TenantId, UserId};
use crate::import::{ImportRefusal, Imported, ImportedUser};
use crate::keyring::{Keyring, SecretMismatch, Secrets, WeakSecret, admit_secrets};
use crate::record::credential::{Credential, CredentialKind};
use crate::record::user::{Method, User, UserState};
use crate::session::keys;
use crate::storage::{SealedBy, Storage};
use crate::tenant::is_tenant_id;
use crate::time::{Clock, SystemClock};

/// See the [module](self).
pub struct Desk {
    store: Arc<dyn Storage>,
    keyring: Keyring,
    firebase: Option<FirebaseKey>,
    entropy: OsEntropy,
    clock: SystemClock,
}

/// Why there is no desk.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The secrets are no good; all that is wrong with them.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Weak(Vec<WeakSecret>),
    /// The store knows other secrets, or does not answer.
    #[error(transparent)]
    Mismatch(#[from] SecretMismatch),
    /// The store has not the tables of this version, or does not answer.
    #[error("the store cannot be used")]
    Store(#[from] StoreError),
}

/// What was sealed anew.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Resealed {
    /// Credentials.
    pub credentials: u64,
    /// Signing keys.
    pub signing_keys: u64,
    /// Those that somebody else changed at the same moment: the newest secret has sealed them by now, or the next call does.
    pub outrun: u64,
}

/// Why a secret cannot be taken out of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StillNeeded {
    /// It seals what is new.
    #[error("it is the newest of the list: put another one in front of it first")]
    Newest,
    /// There is none of that name.
    #[error("there is no such secret in the list")]
    Unknown,
    /// What it sealed would be lost.
    #[error(
        "it has sealed {} credentials, {} signing keys and {} messages that are not delivered",
        .0.credentials, .0.signing_keys, .0.notices
    )]
    Seals(SealedBy),
}

impl Desk {
    /// A desk at `store`, with the secrets of the site.
    ///
    /// # Errors
    /// [`DeskError`]. With other secrets than the site's nothing may be written.
    pub async fn open(store: Arc<dyn Storage>, secrets: &dyn Secrets) -> Result<Self, DeskError> {
        let keyring = Keyring::new(secrets).map_err(DeskError::Weak)?;
        store.ping().await?;
        admit_secrets(&keyring, &*store).await?;
        Ok(Self {
            store,
            keyring,
            firebase: None,
            entropy: OsEntropy,
            clock: SystemClock,
        })
    }

    /// With the signer key of the Firebase project that users come from.
    #[must_use]
    pub fn with_firebase_key(mut self, key: FirebaseKey) -> Self {
        self.firebase = Some(key);
        self
    }

    /// Brings in a user: see [`Stepup::import_user`](crate::Stepup::import_user). A tenant is taken by its form alone.
    ///
    /// # Errors
    /// [`ImportRefusal`], as the inner error; [`Fault`].
    pub async fn import_user(&self, user: &ImportedUser) -> Result<Result<Imported, ImportRefusal>, Fault> {
        let admit = |text: &str| -> Result<_, HashFault> { admit_hash(text, self.firebase.as_ref()) };
        let importer = Importer {
            store: &*self.store,
            keyring: &self.keyring,
            entropy: &self.entropy,
            now: self.clock.now(),
            knows: &|tenant| is_tenant_id(tenant.as_str()),
            admit: &admit,
        };
        importer.import(user).await
    }

    /// Up to `limit` users behind `after`, in the order of tenant and id, without those that were deleted; and where to go
    /// on, which is nowhere after the last.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn users_after(
        &self,
        after: Option<&Place>,
        limit: u32,
    ) -> Result<(Vec<User>, Option<Place>), Fault> {
        let users = self.store.users_after(after.map(|place| &place.0), limit).await?;
        let next = users
            .last()
            .map(|user| Place((user.tenant.clone(), user.id.clone())));
        let live = users.into_iter().filter(|user| user.state != UserState::Deleted);
        Ok((live.collect(), next))
    }

    /// Seals anew what older secrets have sealed, so that they can be dropped once no message of theirs is left. It may be
    /// broken off and called again, and the site may run.
    ///
    /// # Errors
    /// [`Fault`]: something does not open, and was left as it is.
    pub async fn reseal(&self) -> Result<Resealed, Fault> {
        let mut done = Resealed::default();
        let mut after = None;
        loop {
            let users = self.store.users_after(after.as_ref(), PAGE).await?;
            let Some(last) = users.last() else { break };
            after = Some((last.tenant.clone(), last.id.clone()));
            for user in &users {
                for kind in CredentialKind::ALL {
                    for credential in self.store.credentials(&user.tenant, &user.id, kind).await? {
                        self.reseal_credential(&credential, &mut done).await?;
                    }
                }
            }
        }
        for key in self.store.signing_keys().await? {
            if let Some(sealed) = keys::resealed(&self.keyring, &self.entropy, &key)? {
                let replaced = self
                    .store
                    .reseal_signing_key(&key.id, &key.sealed, &sealed)
                    .await?;
                count(replaced, &mut done.signing_keys, &mut done.outrun);
            }
        }
        Ok(done)
    }

    async fn reseal_credential(&self, credential: &Credential, done: &mut Resealed) -> Result<(), Fault> {
        let Some(sealed) = &credential.sealed else {
            return Ok(());
        };
        if !self.keyring.is_outdated(sealed) {
            return Ok(());
        }
        let Credential {
            tenant,
            user,
            kind,
            id,
            version,
            ..
        } = credential;
        let place = match kind {
            CredentialKind::Password => hash_place(tenant, user, id),
            CredentialKind::Contact => return Err(Fault::Key("a contact has a sealed part")),
        };
        let plain = self.keyring.open(&place, sealed)?;
        let anew = self.keyring.seal(&place, &plain, &self.entropy)?;
        let replaced = self
            .store
            .reseal(tenant, user, *kind, id, *version, &anew)
            .await?;
        count(replaced, &mut done.credentials, &mut done.outrun);
        Ok(())
    }

    /// Whether the secret named `id` can be taken out of the list: nothing that it sealed is left. Sessions whose client has
    /// not refreshed them since another one is the newest end with it, and codes that are under way.
    ///
    /// # Errors
    /// [`StillNeeded`], as the inner error; [`Fault`].
    pub async fn may_drop(&self, id: &KeyId) -> Result<Result<(), StillNeeded>, Fault> {
        if self.keyring.newest() == id {
            return Ok(Err(StillNeeded::Newest));
        }
        if !self.keyring.checks().iter().any(|(known, _)| known == id) {
            return Ok(Err(StillNeeded::Unknown));
        }
        let sealed = self.store.sealed_by(&Keyring::head(id)?).await?;
        Ok(match sealed == SealedBy::default() {
            true => Ok(()),
            false => Err(StillNeeded::Seals(sealed)),
        })
    }
}

/// Where a walk through all users stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place((TenantId, UserId));

fn count(replaced: bool, done: &mut u64, outrun: &mut u64) {
    *if replaced { done } else { outrun } += 1;
}

/// What is known of `user`, as [`ImportedUser::read`] reads it: everything but secrets. Hashes stay where they are.
pub fn portable(user: &User) -> Value {
    let own = |method: &&Method| method.third_party.is_none() && method.factor.is_reserved();
    let by = |has: fn(&Method) -> bool| user.methods.iter().filter(own).find(|method| has(method));
    let email = by(|method| method.email.is_some());
    let phone = by(|method| method.phone.is_some());
    let identities: Vec<Value> = user
        .methods
        .iter()
        .filter_map(|method| {
            let who = method.third_party.as_ref()?;
            Some(json!({
                "id": who.provider, "issuer": who.issuer, "subject": who.subject,
                "email": method.email, "emailVerified": method.verified,
            }))
        })
        .collect();
    let seconds: Vec<Value> = user
        .summary
        .enrolled
        .iter()
        .filter(|enrolled| [FactorId::OTP_PHONE, FactorId::OTP_EMAIL].contains(&enrolled.factor))
        .map(|enrolled| {
            json!({ "factor": enrolled.factor, "contact": enrolled.contact, "id": enrolled.credential })
        })
        .collect();
    json!({
        "tenant": user.tenant,
        "id": user.id,
        "email": email.and_then(|method| method.email.as_ref()),
        "emailVerified": email.is_some_and(|method| method.verified),
        "emailFactor": email.map(|method| &method.factor),
        "phone": phone.and_then(|method| method.phone.as_ref()),
        "phoneVerified": phone.map(|method| method.verified),
        "thirdParty": identities,
        "secondFactors": seconds,
        "requiredFactors": user.summary.required,
        "metadata": user.metadata,
        "disabled": user.state == UserState::Disabled,
        "joinedAt": user.created_at.as_ms(),
    })
}

impl fmt::Debug for Desk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Desk")
            .field("keyring", &self.keyring)
            .finish_non_exhaustive()
    }
}

/// Users that are read at a time.
const PAGE: u32 = 500;

#[cfg(test)]
mod tests;
