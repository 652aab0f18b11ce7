//! Storage ports: one small trait per record, and [`Flows`], the verbs that cross records.
//!
//! Each method is one atomic step. A store that needs several statements wraps them in a transaction of its own;
//! callers never see one. Races end where the verb ends: of several callers that want the same one-time thing, the
//! store itself tells one of them that it won (R-OTP-3, R-DB-1). [`memory`] is the reference reading of these
//! traits, and the testkit's storage suite proves any other.

pub mod memory;

use async_trait::async_trait;

use crate::error::StoreError;
use crate::evidence::Completion;
use crate::id::{ChallengeId, CredentialId, FactorId, KeyId, NoticeId, SessionHandle, TenantId, UserId};
use crate::record::JsonMap;
use crate::record::challenge::{Answer, Binding, Challenge, Resend, Resent};
use crate::record::counter::{Ask, Charge, CounterKey};
use crate::record::credential::{Credential, CredentialKind};
use crate::record::key::SigningKeyRecord;
use crate::record::notice::Notice;
use crate::record::session::{Class, Rotate, Session, SessionView};
use crate::record::user::{Identifier, IdentifierKind, Method, Summary, User, UserState};
use crate::secret::Mac;
use crate::time::Timestamp;

/// Result of a storage verb.
pub type Stored<T> = Result<T, StoreError>;

/// Keeps users and what may sign in as them.
#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// The user, whatever its state, tombstones included.
    async fn user(&self, tenant: &TenantId, id: &UserId) -> Stored<Option<User>>;

    /// The user that `identifier` may sign in as, with its password credential if it has one. One statement.
    async fn user_by_identifier(&self, tenant: &TenantId, identifier: &Identifier)
    -> Stored<Option<Account>>;

    /// Merges `patch` into the metadata on the first level, as one step: two merges at once lose nothing.
    /// Returns the new metadata, or none if there is no such user (a tombstone is none).
    async fn merge_metadata(
        &self,
        tenant: &TenantId,
        id: &UserId,
        patch: &JsonMap,
    ) -> Stored<Option<JsonMap>>;

    /// Replaces the whole metadata. Whether there was such a user.
    async fn clear_metadata(&self, tenant: &TenantId, id: &UserId) -> Stored<bool>;

    /// Makes `user` unless a row of that id exists, and returns the row that is there afterwards.
    async fn ensure_user(&self, user: &User) -> Stored<User>;

    /// The highest epoch of all users of all tenants; 1 if there is none. What [`Flows::change_user`] raises from now on
    /// it raises above this, so that a change is noticed by whoever did not know yet whose it would be.
    async fn newest_epoch(&self) -> Stored<i64>;

    /// Up to `limit` users that come after `after`, of all tenants, tombstones included, in the order of (tenant, id) as bytes.
    /// To walk through all of them: no more than that, and no page of a list that people look at.
    async fn users_after(&self, after: Option<&(TenantId, UserId)>, limit: u32) -> Stored<Vec<User>>;
}

/// A user and its password credential.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// The user.
    pub user: User,
    /// Its password, if it has one.
    pub password: Option<Credential>,
}

/// Keeps credentials. They are added and removed by [`Flows`], with the summary that speaks of them.
#[async_trait]
pub trait CredentialStore: Send + Sync + 'static {
    /// The credentials of one kind of a user, oldest first.
    async fn credentials(
        &self,
        tenant: &TenantId,
        user: &UserId,
        kind: CredentialKind,
    ) -> Stored<Vec<Credential>>;

    /// Replaces the sealed part if the version is still `version`, which it then raises by one; touches nothing
    /// else. Whether it did (threat A-PWD-06).
    async fn reseal(
        &self,
        tenant: &TenantId,
        user: &UserId,
        kind: CredentialKind,
        id: &CredentialId,
        version: i64,
        sealed: &[u8],
    ) -> Stored<bool>;
}

/// Keeps challenges: secrets that can be answered once.
#[async_trait]
pub trait ChallengeStore: Send + Sync + 'static {
    /// Adds `challenge`, in the place of any other of the same tenant, session and purpose: at most one is live
    /// (R-OTP-5).
    /// Its id is fresh, so a clash is a [`StoreError::Conflict`].
    async fn put_challenge(&self, challenge: &Challenge) -> Stored<()>;

    /// Charges one attempt, compares, and closes the challenge if one of `macs` is right and has not expired, or if
    /// the attempts are used up: of several racing callers exactly one gets [`Answer::Right`]. Expiry is judged
    /// inside: a right code that is too old is [`Answer::Expired`] and charged. Several macs, because keys rotate,
    /// and at most [`MACS`](crate::record::challenge::MACS): more are a [`StoreError::Conflict`].
    async fn answer(
        &self,
        tenant: &TenantId,
        id: &ChallengeId,
        to: &Binding,
        macs: &[Mac],
        now: Timestamp,
    ) -> Stored<Answer>;

    /// The challenge, whatever its state. It decides nothing: see [`ChallengeStore::answer`].
    async fn challenge(&self, tenant: &TenantId, id: &ChallengeId) -> Stored<Option<Challenge>>;

    /// The challenges of `purpose` that were sent to `destination`, newest first.
    async fn challenges_to(
        &self,
        tenant: &TenantId,
        purpose: &str,
        destination: &str,
    ) -> Stored<Vec<Challenge>>;

    /// Deletes a challenge. Whether there was one.
    async fn drop_challenge(&self, tenant: &TenantId, id: &ChallengeId) -> Stored<bool>;

    /// Deletes the challenges of `purpose` that were sent to `destination`. How many there were.
    async fn drop_challenges_to(&self, tenant: &TenantId, purpose: &str, destination: &str) -> Stored<u64>;

    /// Adds a code to an open challenge if its pause is over, pushes the older ones down and lets those past
    /// `keep` die. Of several racing callers one gets [`Resent::Added`].
    async fn resend(&self, resend: &Resend) -> Stored<Resent>;
}

/// Keeps sessions.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Adds `session` if its user is live and still of the session's epoch. Whether it did.
    async fn open_session(&self, session: &Session) -> Stored<bool>;

    /// Rotates the chain: one conditional statement that requires the presented generation and digest to be the
    /// current ones, the session not over, its tally below the limit, its user live and of the same epoch.
    /// None if any of these fails: the caller then reads once and judges why.
    async fn rotate(&self, rotate: &Rotate) -> Stored<Option<SessionView>>;

    /// Merges `patch` into the payload on the first level, as one step, if the session is there. The new payload.
    async fn merge_payload(&self, handle: &SessionHandle, patch: &JsonMap) -> Stored<Option<JsonMap>>;

    /// The sessions of a user that are not over, newest first.
    async fn sessions(&self, tenant: &TenantId, user: &UserId, now: Timestamp) -> Stored<Vec<Session>>;

    /// Deletes the session with its challenges. The row, if this call deleted it.
    async fn revoke_session(&self, handle: &SessionHandle) -> Stored<Option<Session>>;

    /// Deletes all sessions of a user, with their challenges. The handles.
    async fn revoke_sessions(&self, tenant: &TenantId, user: &UserId) -> Stored<Vec<SessionHandle>>;
}

/// Keeps the tallies of throttles.
#[async_trait]
pub trait CounterStore: Send + Sync + 'static {
    /// Asks all counters for leave in one step, committed by itself: all grant and count, or none counts
    /// ([`Ask`] says when one grants). Two asks of the same key are a [`StoreError::Conflict`].
    async fn charge(&self, asks: &[Ask], now: Timestamp) -> Stored<Charge>;

    /// Forgets the counts of `keys`.
    async fn clear(&self, keys: &[CounterKey]) -> Stored<()>;
}

/// Keeps notices until they are delivered.
#[async_trait]
pub trait NoticeStore: Send + Sync + 'static {
    /// Adds notices of which no other verb is the cause, all or none. Their ids are fresh, so a clash is a
    /// [`StoreError::Conflict`].
    async fn add_notices(&self, notices: &[Notice]) -> Stored<()>;

    /// Takes up to `limit` notices that are due: moves their `due_at` to `until`, counts the try, and returns them
    /// as they now are. Two callers never take the same one.
    async fn take_notices(&self, now: Timestamp, until: Timestamp, limit: u32) -> Stored<Vec<Notice>>;

    /// Deletes a notice that was delivered or given up.
    async fn finish_notice(&self, id: &NoticeId) -> Stored<()>;
}

/// Keeps signing keys and what tells a wrong secret from the right one.
#[async_trait]
pub trait KeyStore: Send + Sync + 'static {
    /// All signing keys, newest first.
    async fn signing_keys(&self) -> Stored<Vec<SigningKeyRecord>>;

    /// Adds `key` unless its slot is taken. Whether it did.
    async fn add_signing_key(&self, key: &SigningKeyRecord) -> Stored<bool>;

    /// Deletes the keys that verify no more at `now`.
    async fn drop_signing_keys(&self, now: Timestamp) -> Stored<()>;

    /// Replaces the sealed part of a key if it is still `old`. Whether it did.
    async fn reseal_signing_key(&self, id: &KeyId, old: &[u8], sealed: &[u8]) -> Stored<bool>;

    /// All check values of secrets that this store has seen.
    async fn secret_checks(&self) -> Stored<Vec<(KeyId, Mac)>>;

    /// Adds a check value. A clash of the id is a [`StoreError::Conflict`].
    async fn add_secret_check(&self, id: &KeyId, check: &Mac) -> Stored<()>;
}

/// A new account, all of it.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// The user.
    pub user: User,
    /// What it may sign in by.
    pub identifiers: Vec<(Identifier, crate::id::MethodId)>,
    /// Its credentials.
    pub credentials: Vec<Credential>,
    /// Its first session.
    pub session: Option<Session>,
}

/// Whether an account was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccountOutcome {
    /// Made.
    Created,
    /// One of its identifiers is another account's; nothing was written.
    IdentifierTaken,
}

/// A session with its user, the user's second-factor contacts and, if asked for, one challenge. One statement.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The session.
    pub session: Session,
    /// Its user, whatever its state.
    pub user: User,
    /// The user's second-factor contacts.
    pub contacts: Vec<Credential>,
    /// The challenge, whatever it is bound to: the caller compares.
    pub challenge: Option<Challenge>,
}

/// A factor that was completed in a session, and all that follows from it.
#[derive(Clone, Debug)]
pub struct FactorCompletion {
    /// The tenant of the user.
    pub tenant: TenantId,
    /// The session in which it was completed.
    pub handle: SessionHandle,
    /// Its user.
    pub user: UserId,
    /// The factor.
    pub factor: FactorId,
    /// When, and by which channel. Merged into the session's record by factor id.
    pub completion: Completion,
    /// The rise in assurance, unless the session was complete before and is only renewed.
    pub rise: Option<RiseTo>,
    /// The enrollment that this completion verifies.
    pub enrollment: Option<Enrollment>,
    /// Counters that success clears.
    pub clear: Vec<CounterKey>,
    /// Now.
    pub now: Timestamp,
}

/// What a rise writes to the session: a new generation whose token nothing derives, and its longer life.
#[derive(Clone, Debug)]
pub struct RiseTo {
    /// Digest of the new refresh token's secret.
    pub secret: Mac,
    /// The new class.
    pub class: Class,
    /// The new idle end.
    pub idle_expires_at: Timestamp,
    /// The new absolute end.
    pub ends_at: Timestamp,
}

/// A second factor that becomes the user's.
#[derive(Clone, Debug)]
pub struct Enrollment {
    /// The user's revision that the new summary was computed from.
    pub revision: i64,
    /// The credential.
    pub credential: Credential,
    /// The summary that includes it.
    pub summary: Summary,
    /// What the user is told, over other channels.
    pub notices: Vec<Notice>,
    /// Whether other sessions, half-logins and trusted devices end, by a new epoch that only this session takes
    /// (R-MFA-8).
    pub end_others: bool,
    /// What pays for it, and is spent in the same step; nothing has to be paid if none. If it is not right, the enrollment is
    /// [`FactorOutcome::Outrun`] and nothing else is written.
    pub paid_by: Option<Payment>,
    /// Challenges that begin with it, behind the end of the others: what undoes it. Their ids are fresh, so a clash is a
    /// [`StoreError::Conflict`].
    pub challenges: Vec<Challenge>,
}

/// What became of a completion.
#[derive(Clone, Debug, PartialEq)]
pub enum FactorOutcome {
    /// Recorded. The session and the user as they are now.
    Done(Box<(Session, User)>),
    /// The session or its user is gone, over, disabled, or of another epoch. Nothing was written.
    Gone,
    /// The user changed since the enrollment began (another enrollment won). Nothing was written.
    Outrun,
}

/// A change of a user that ends what was signed in before.
#[derive(Clone, Debug)]
pub struct UserChange {
    /// The new state; unchanged if none. [`UserState::Deleted`] is a [`StoreError::Conflict`]: see
    /// [`Flows::delete_user`].
    pub state: Option<UserState>,
    /// Removes all credentials but the password, and empties the list of enrolled factors.
    pub reset_factors: bool,
    /// Retires the password, if there is one: it opens nothing until another takes its place
    /// ([`Credential::is_retired`]). Its version rises by one.
    pub retire_password: bool,
    /// What the user is told.
    pub notices: Vec<Notice>,
    /// What pays for it, where it is not the site that decides: the change is made only if this spends it.
    pub paid_by: Option<Payment>,
}

/// A challenge that is spent by the verb that it is good for, in the same step: neither is done without the other.
#[derive(Clone, Debug)]
pub struct Payment {
    /// The challenge.
    pub challenge: ChallengeId,
    /// What it must be bound to.
    pub binding: Binding,
    /// The digests of the answer, as for [`ChallengeStore::answer`], at most [`MACS`](crate::record::challenge::MACS).
    pub macs: Vec<Mac>,
    /// Now.
    pub now: Timestamp,
}

/// Other contacts by which a user signs in, or another password.
#[derive(Clone, Debug)]
pub struct UserUpdate {
    /// The tenant of the user.
    pub tenant: TenantId,
    /// The user.
    pub user: UserId,
    /// The user's revision that all this was computed from.
    pub revision: i64,
    /// How the user signs in from now on.
    pub methods: Vec<Method>,
    /// What it signs in by from now on, all of it.
    pub identifiers: Vec<(Identifier, crate::id::MethodId)>,
    /// The password that takes the place of what was there.
    pub password: Option<Credential>,
    /// Addresses and numbers. Challenges of strangers to them, bound to no user, end.
    pub contacts: Vec<String>,
    /// What the user is told, where it was reached before.
    pub notices: Vec<Notice>,
    /// The session in which the user did it, which goes on.
    pub keep: Option<Keep>,
    /// What else is done in the same step; mostly nothing.
    pub beside: Beside,
}

/// What an update of a user does beside it.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// The second factors from now on.
    pub second: Option<SecondFactors>,
    /// Retires the password, as [`UserChange::retire_password`] does.
    pub retire_password: bool,
    /// Challenges that begin with it, behind the end of the others: what undoes it. Their ids are fresh, so a clash is a
    /// [`StoreError::Conflict`].
    pub begin: Vec<Challenge>,
    /// Challenges of the same tenant that end with it.
    pub end: Vec<ChallengeId>,
    /// What pays for it: it is done only if this spends it.
    pub paid_by: Option<Payment>,
}

/// The second factors of a user, all of them.
#[derive(Clone, Debug)]
pub struct SecondFactors {
    /// The summary that speaks of them.
    pub summary: Summary,
    /// The credentials that take the place of all that the user has of [`CredentialKind::Contact`].
    pub contacts: Vec<Credential>,
}

/// A session that outlives an update of its user.
#[derive(Clone, Debug)]
pub struct Keep {
    /// The session.
    pub handle: SessionHandle,
    /// Its new generation, so that no token from before leads on; none where nothing that opens sessions was replaced.
    pub rise: Option<RiseTo>,
    /// Now.
    pub now: Timestamp,
}

/// What one secret has sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SealedBy {
    /// Hashes of passwords, and what else credentials keep.
    pub credentials: u64,
    /// Signing keys.
    pub signing_keys: u64,
    /// Messages that are not delivered yet.
    pub notices: u64,
}

/// What became of an update.
#[derive(Clone, Debug, PartialEq)]
pub enum UpdateOutcome {
    /// Done. The user as it is now.
    Done(Box<User>),
    /// Done. The session that was kept and the user, as they are now.
    Kept(Box<(Session, User)>),
    /// There is no such user, or only a tombstone; or the session to keep is gone, over, another user's or of another
    /// epoch. Nothing was written.
    Gone,
    /// The user changed since it was read. Nothing was written.
    Outrun,
    /// An identifier of this kind is another account's. Nothing was written.
    IdentifierTaken(IdentifierKind),
    /// What was to pay for it was not right. The answer is charged as [`ChallengeStore::answer`] does, and nothing else was
    /// written.
    Unpaid(Answer),
}

/// The verbs that cross records. Each is one transaction.
#[async_trait]
pub trait Flows: Send + Sync + 'static {
    /// Makes an account with its identifiers, credentials and first session, or nothing. A clash of anything but
    /// an identifier is a [`StoreError::Conflict`].
    async fn create_account(&self, account: &NewAccount) -> Stored<AccountOutcome>;

    /// Reads a session and what belongs to it in one statement. A session that is over is still returned.
    async fn look(&self, handle: &SessionHandle, challenge: Option<&ChallengeId>) -> Stored<Option<Look>>;

    /// Records a completed factor, with the rise and the enrollment that it brings; closes the session's other
    /// challenges of that factor ([`Binding::factor`]); clears counters. Requires the session to be there, not over, its user live and
    /// of the same epoch.
    ///
    /// A rise sets the generation one higher, `current` to the new digest, `previous` and the last rotation to
    /// none, the rise to (new generation, now). An enrollment with `end_others` raises the user's epoch, gives it to
    /// this session, and deletes all other sessions and challenges of the user.
    async fn complete_factor(&self, completion: &FactorCompletion) -> Stored<FactorOutcome>;

    /// Applies `change`, raises the epoch above that of every user ([`UserStore::newest_epoch`]) and the revision by one, deletes all sessions and challenges, writes the notices. The
    /// user as it is now; none if there is none (a tombstone is none), or if what pays for it was not right: then nothing of
    /// the user is touched, and the answer is charged as [`ChallengeStore::answer`] does.
    async fn change_user(
        &self,
        tenant: &TenantId,
        user: &UserId,
        change: &UserChange,
    ) -> Stored<Option<User>>;

    /// Replaces how a user signs in: methods, identifiers and, if one is given, the password credential; raises epoch and
    /// revision as [`Flows::change_user`] does, deletes all sessions and challenges of the user and those of strangers to the named contacts, writes the
    /// notices. The session to keep, if there is one, is left: it takes the new epoch and, if there is one, a rise, as in
    /// [`Flows::complete_factor`]. Whether an identifier is free is decided by its primary key. Second factors stay as they are
    /// unless [`Beside`] names others, and the state of the user stays in any case.
    ///
    /// What pays for it is judged before it is asked whether an identifier is free, so that only a right answer is told; and is
    /// spent only if all the rest is done.
    async fn update_user(&self, update: &UserUpdate) -> Stored<UpdateOutcome>;

    /// Replaces the list of factors required of a user, if its revision is still `revision`; touches the user's
    /// session rows, so that a refresh at the same time sees it. Whether it did.
    async fn require_factors(
        &self,
        tenant: &TenantId,
        user: &UserId,
        revision: i64,
        required: &[FactorId],
    ) -> Stored<bool>;

    /// Replaces what is known of the ways a user signs in (an address that was verified, the one that a provider tells now),
    /// if its revision is still `revision`. What it signs in by stays as it is, and so do its sessions: see
    /// [`Flows::update_user`] for another contact. Whether it did.
    async fn set_methods(
        &self,
        tenant: &TenantId,
        user: &UserId,
        revision: i64,
        methods: &[Method],
    ) -> Stored<bool>;

    /// Deletes everything of a user but a tombstone: identifiers, credentials, challenges, sessions, notices,
    /// metadata, methods. The handles of the ended sessions; none if there was no such user, or only a tombstone.
    async fn delete_user(&self, tenant: &TenantId, user: &UserId) -> Stored<Option<Vec<SessionHandle>>>;

    /// How many credentials, signing keys and notices keep a sealed value that begins with `head`: what would be lost with
    /// the secret that sealed them.
    async fn sealed_by(&self, head: &[u8]) -> Stored<SealedBy>;

    /// Deletes up to `limit` rows each of sessions that are over, challenges past their end, and counters whose
    /// window and delay are over. How many rows went.
    async fn sweep(&self, now: Timestamp, limit: u32) -> Stored<u64>;

    /// The clock of the database, if it has one of its own: nodes are compared with it at their start (threat A-CLK-02).
    /// What is stored is never judged by it. A database inside the process has none.
    async fn clock(&self) -> Stored<Option<Timestamp>> {
        Ok(None)
    }

    /// Whether the store answers, and has the tables of this version ([`StoreError::Schema`]).
    async fn ping(&self) -> Stored<()>;
}

/// A whole store.
pub trait Storage:
    UserStore + CredentialStore + ChallengeStore + SessionStore + CounterStore + NoticeStore + KeyStore + Flows
{
}

impl<T> Storage for T where
    T: UserStore
        + CredentialStore
        + ChallengeStore
        + SessionStore
        + CounterStore
        + NoticeStore
        + KeyStore
        + Flows
{
}
