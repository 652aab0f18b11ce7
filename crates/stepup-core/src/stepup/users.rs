//! What an application asks of its users.

use crate::caller::Caller;
use crate::digest::admit_hash;
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::flow::export;
use crate::flow::import::Importer;
use crate::flow::update::{self, Update, UpdateRefusal};
use crate::flow::user::{self, DerivedKey};
use crate::hook::Step;
use crate::id::{FactorId, TenantId, UserId};
use crate::import::{ImportRefusal, Imported, ImportedUser};
use crate::record::JsonMap;
use crate::record::user::{Changed, Identifier, IdentifierKind, User};
use crate::stepup::{Stepup, other_step};

impl Stepup {
    /// A user, tombstones included.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn user(&self, tenant: &TenantId, user: &UserId) -> Result<Option<User>, Fault> {
        Ok(self.parts.store.user(tenant, user).await?)
    }

    /// The user who signs in with `email`. A malformed address is nobody's.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn user_by_email(&self, tenant: &TenantId, email: &str) -> Result<Option<User>, Fault> {
        let Ok(address) = crate::contact::EmailAddress::parse(email) else {
            return Ok(None);
        };
        let identifier = Identifier {
            kind: IdentifierKind::Email,
            value: address.as_str().to_owned(),
        };
        Ok(self
            .parts
            .store
            .user_by_identifier(tenant, &identifier)
            .await?
            .map(|account| account.user))
    }

    /// Disables a user: sessions and half-logins end, and none is opened until [`Stepup::enable`].
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn disable(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        self.user_changed(tenant, user, Changed::Disabled).await
    }

    /// Lets a disabled user sign in again.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn enable(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        self.user_changed(tenant, user, Changed::Enabled).await
    }

    /// Deletes a user with everything personal. A tombstone stays: the id is never used again.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn delete(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        self.user_changed(tenant, user, Changed::Deleted).await
    }

    /// Erases a user: another name of [`Stepup::delete`], since nothing personal survives that. What stays is the tombstone
    /// (tenant, id, when it was made), and what the application was handed before: its audit log, and messages that went
    /// out.
    ///
    /// # Errors
    /// [`Fault`]: call it again.
    pub async fn erase(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        self.delete(tenant, user).await
    }

    /// All that is kept about a user, as one JSON object: `user`, `metadata`, `credentials`, `sessions`, with times in
    /// milliseconds. Hashes, digests and whatever is sealed are left out. None for an unknown user, and for one who was
    /// deleted. What the application keeps elsewhere is its own to add.
    ///
    /// # Errors
    /// [`Fault`].
    ///
    /// # Source
    /// GDPR articles 15 and 20.
    pub async fn export(&self, tenant: &TenantId, user: &UserId) -> Result<Option<serde_json::Value>, Fault> {
        export::export(&self.parts, tenant, user).await
    }

    /// Tells what the application changed by itself; sessions and half-logins of the user end, and so do sign-ins of the
    /// application's own that began before ([`External::begun`](crate::flow::External::begun)). Call it after the
    /// application's commit. Whether there was such a user; a row is made of one who never signed in.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn user_changed(&self, tenant: &TenantId, user: &UserId, what: Changed) -> Result<bool, Fault> {
        let user = user.clone();
        let turn = self
            .turn(Caller::within(tenant), Step::ChangeUser { user, what })
            .await?;
        let Step::ChangeUser { user, what } = turn.step() else {
            return Err(other_step());
        };
        turn.end(user::changed(&self.parts, tenant, user, *what)).await
    }

    /// Changes by which contacts a user signs in, or its password: all of it or nothing. Its sessions, half-logins and the
    /// open challenges of its contacts end, and it is told where it was reached before. The user as it is then; what
    /// changes nothing ends nothing.
    ///
    /// It is the application's own act: whether who asks for it may, and whether a new contact is theirs, the application
    /// has to know. Second factors are never touched by it, and none of their contacts ever signs in by it.
    ///
    /// # Errors
    /// [`UpdateRefusal`], as the inner error: nothing was changed; [`Fault`].
    ///
    /// # Source
    /// ASVS v5.0.0-6.3.7, 7.4.3; threats A-SES-09, A-LEG-07.
    pub async fn update_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        update: Update,
    ) -> Result<Result<User, UpdateRefusal>, Fault> {
        let step = Step::UpdateUser {
            user: user.clone(),
            email: update.email,
            phone: update.phone,
            password: update.password.is_some(),
        };
        let turn = self.turn(Caller::within(tenant), step).await?;
        let Step::UpdateUser {
            user, email, phone, ..
        } = turn.step()
        else {
            return Err(other_step());
        };
        let (email, phone) = (email.clone(), phone.clone());
        let update = Update {
            email,
            phone,
            ..update
        };
        turn.end(update::update(&self.parts, tenant, user, &update)).await
    }

    /// Brings in a user of another system: its ways to sign in, the hash of its password, its second factors, all in one
    /// step. Nobody is told, and no session is opened. Who is there already is told as such, so that an import that was
    /// broken off is simply run again.
    ///
    /// It is the application's own act: what it says is proved counts as proved, second factors above all.
    ///
    /// # Errors
    /// [`ImportRefusal`], as the inner error: all that is wrong with the user, of whom nothing was written; [`Fault`].
    pub async fn import_user(&self, user: &ImportedUser) -> Result<Result<Imported, ImportRefusal>, Fault> {
        let tenant = user.tenant.clone().unwrap_or_else(TenantId::public);
        let step = Step::ImportUser {
            user: user.id.clone(),
        };
        let turn = self.turn(Caller::within(&tenant), step).await?;
        turn.end(async {
            let parts = &self.parts;
            let hasher = parts.password.as_ref().map(|factor| &factor.hasher);
            let importer = Importer {
                store: &*parts.store,
                keyring: &parts.keyring,
                entropy: &*parts.entropy,
                now: parts.now(),
                knows: &|tenant| parts.knows(tenant),
                admit: &|text| match hasher {
                    Some(hasher) => hasher.admit(text),
                    None => admit_hash(text, None),
                },
            };
            let done = importer.import(user).await?;
            if let Ok(Imported::Created(id)) = &done {
                let event = parts.event(EventKind::AccountCreated, Outcome::Noted);
                parts.record(&event.of(&tenant, id).because("imported"));
            }
            Ok(done)
        })
        .await
    }

    /// Removes all second factors of a user who lost them; sessions end, the user is told, and the next sign-in enrolls
    /// anew. For administrators.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn reset_factors(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        let user = user.clone();
        let turn = self
            .turn(Caller::within(tenant), Step::ResetFactors { user })
            .await?;
        let Step::ResetFactors { user } = turn.step() else {
            return Err(other_step());
        };
        turn.end(user::reset_factors(&self.parts, tenant, user)).await
    }

    /// Gives an account its tries back: at a suspended second factor, and at a password that was guessed at too often
    /// (`Lockout::UntilReset`). For administrators.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn forgive_failures(&self, tenant: &TenantId, user: &UserId) -> Result<(), Fault> {
        let user = user.clone();
        let turn = self
            .turn(Caller::within(tenant), Step::ForgiveFailures { user })
            .await?;
        let Step::ForgiveFailures { user } = turn.step() else {
            return Err(other_step());
        };
        turn.end(user::forgive_failures(&self.parts, tenant, user)).await
    }

    /// Replaces the factors of which this user must use one, beside what the site demands.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn require_factors(
        &self,
        tenant: &TenantId,
        user: &UserId,
        required: &[FactorId],
    ) -> Result<bool, Fault> {
        let (user, factors) = (user.clone(), required.to_vec());
        let turn = self
            .turn(Caller::within(tenant), Step::RequireFactors { user, factors })
            .await?;
        let Step::RequireFactors { user, factors } = turn.step() else {
            return Err(other_step());
        };
        turn.end(user::require_factors(&self.parts, tenant, user, factors))
            .await
    }

    /// What the application keeps about a user, with the views that stepup derives; empty for an unknown user.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn metadata(&self, tenant: &TenantId, user: &UserId) -> Result<JsonMap, Fault> {
        user::metadata(&self.parts, tenant, user).await
    }

    /// Merges `patch` into it on the first level; `null` removes a key. None for an unknown user.
    ///
    /// # Errors
    /// [`DerivedKey`], as the inner error, if a view is to be written; [`Fault`].
    pub async fn merge_metadata(
        &self,
        tenant: &TenantId,
        user: &UserId,
        patch: &JsonMap,
    ) -> Result<Result<Option<JsonMap>, DerivedKey>, Fault> {
        let (user, patch) = (user.clone(), patch.clone());
        let turn = self
            .turn(Caller::within(tenant), Step::MergeMetadata { user, patch })
            .await?;
        let Step::MergeMetadata { user, patch } = turn.step() else {
            return Err(other_step());
        };
        turn.end(user::merge_metadata(&self.parts, tenant, user, patch))
            .await
    }

    /// Forgets it, but for the views.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn clear_metadata(&self, tenant: &TenantId, user: &UserId) -> Result<bool, Fault> {
        let user = user.clone();
        let turn = self
            .turn(Caller::within(tenant), Step::ClearMetadata { user })
            .await?;
        let Step::ClearMetadata { user } = turn.step() else {
            return Err(other_step());
        };
        turn.end(async { Ok(self.parts.store.clear_metadata(tenant, user).await?) })
            .await
    }
}
