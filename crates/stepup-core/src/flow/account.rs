//! Sign-up, sign-in, and sign-in by the application's own first factor.

use std::time::Duration;

use crate::config::{Disclosure, Lockout};
use crate::contact::{EmailAddress, PhoneNumber};
use crate::delivery::NoticeKind;
use crate::digest::Verdict;
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::evidence::{Completion, Kind};
use crate::factor::password::{self, FieldFault};
use crate::flow::password as stored;
use crate::flow::{Caller, SignedIn, link, session, upkeep};
use crate::id::{CredentialId, FactorId, MethodId, TenantId, UserId};
use crate::limit::{self, Leave, Limits};
use crate::parts::Parts;
use crate::password::Password;
use crate::record::JsonMap;
use crate::record::credential::{Credential, CredentialKind};
use crate::record::session::Session;
use crate::record::user::{Identifier, IdentifierKind, Method, Summary, User, UserState};
use crate::storage::{AccountOutcome, NewAccount};
use crate::time::Timestamp;

/// What became of a sign-up.
#[derive(Debug)]
pub enum SignUpOutcome {
    /// The account was made, and a session opened for it.
    Created(Box<SignedIn>),
    /// Somebody may have made an account; whoever reads mail at the address is told which. The user that is shown is the
    /// new one, or one that looks like it. There is no session (`Disclosure::Hidden`).
    Accepted(Box<User>),
    /// The form was not accepted. Nothing was written.
    Fields(Vec<FieldFault>),
    /// Too many sign-ups from this network.
    Throttled(Duration),
    /// Passwords are not among the first factors of the tenant.
    NotOffered,
}

/// What became of a sign-in.
#[derive(Debug)]
pub enum SignInOutcome {
    /// The password was right.
    SignedIn(Box<SignedIn>),
    /// Address unknown, password wrong, or account disabled: one answer, and one hash computed in each case.
    WrongCredentials,
    /// The address is none.
    Fields(Vec<FieldFault>),
    /// Too many tries. No hash was computed.
    Throttled(Duration),
    /// Passwords are not among the first factors of the tenant.
    NotOffered,
}

/// A question that is limited because its answer tells something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exists {
    /// The answer.
    Known(bool),
    /// The address is none.
    Malformed,
    /// Asked too often.
    Throttled(Duration),
}

pub(crate) fn limits(parts: &Parts) -> Limits<'_> {
    Limits {
        keyring: &parts.keyring,
        config: &parts.config.limits,
    }
}

pub(crate) fn note_throttled(parts: &Parts, caller: &Caller, reason: &'static str) {
    let event = parts.event(EventKind::Throttled, Outcome::Refused);
    parts.record(&event.because(reason).from_network(&caller.origin.network));
}

pub(super) fn first(at: Timestamp, kind: Kind, channel: Option<String>, signed_up: bool) -> Completion {
    Completion {
        at,
        kind,
        channel,
        first: true,
        signed_up,
    }
}

/// Makes an account with e-mail and password, and its first session, in one transaction.
pub(crate) async fn sign_up(
    parts: &Parts,
    caller: &Caller,
    email: &str,
    password: Password,
) -> Result<SignUpOutcome, Fault> {
    let Some(factor) = parts.password_in(&caller.tenant) else {
        return Ok(SignUpOutcome::NotOffered);
    };
    let rule = factor.rule(parts.policy_of(&caller.tenant).lets_in_by_one_factor());
    let address = match password::judge_form(&rule, email, &password, parts.app.name()) {
        Ok(address) => address,
        Err(faults) => return Ok(SignUpOutcome::Fields(faults)),
    };
    let now = parts.now();
    let asks = limits(parts).sign_up(&caller.origin.network);
    if let Leave::Refused { retry_after, .. } = limit::ask(&*parts.store, &asks, now).await? {
        note_throttled(parts, caller, "sign_up");
        return Ok(SignUpOutcome::Throttled(retry_after));
    }
    let identifier = Identifier {
        kind: IdentifierKind::Email,
        value: address.as_str().to_owned(),
    };
    let taken = || {
        let event = parts.event(EventKind::AccountCreated, Outcome::Refused);
        parts.record(&event.because("taken").from_network(&caller.origin.network));
        Ok(SignUpOutcome::Fields(vec![FieldFault::EmailTaken]))
    };
    let hidden = parts.config.disclosure == Disclosure::Hidden;
    let existing = parts
        .store
        .user_by_identifier(&caller.tenant, &identifier)
        .await?;
    if let Some(existing) = existing {
        if !hidden {
            return taken();
        }
        // As much work as for a new account, and as little told (R-ENU-1).
        factor.hasher.hash(&password).await?;
        let kind = NoticeKind::SignUpTried { at: now };
        upkeep::tell(parts, caller, &existing.user, &address, &kind).await?;
        return Ok(SignUpOutcome::Accepted(Box::new(new_user(
            parts, caller, &address,
        )?)));
    }
    let hash = factor.hasher.hash(&password).await?;
    drop(password);

    let user = new_user(parts, caller, &address)?;
    let method = MethodId::new(user.id.as_str());
    let credential = CredentialId::new(parts.uuid()?);
    let sealed = stored::seal_hash(parts, &user.tenant, &user.id, &credential, hash.expose())?;
    let opening = if hidden {
        None
    } else {
        let completion = first(now, Kind::Knowledge, None, true);
        Some(session::prepare(parts, &user, &method, &password::ID, completion, caller).await?)
    };
    let account = NewAccount {
        user: user.clone(),
        identifiers: vec![(identifier, method)],
        credentials: vec![Credential {
            tenant: user.tenant.clone(),
            user: user.id.clone(),
            kind: CredentialKind::Password,
            id: credential,
            public: serde_json::json!({}),
            sealed: Some(sealed),
            version: 1,
            created_at: now,
        }],
        session: opening.as_ref().and_then(|opening| opening.session().cloned()),
    };
    match (parts.store.create_account(&account).await?, opening) {
        // Another sign-up with this address was quicker, and its mail is on its way.
        (AccountOutcome::IdentifierTaken, None) => Ok(SignUpOutcome::Accepted(Box::new(user))),
        (AccountOutcome::IdentifierTaken, Some(_)) => taken(),
        (AccountOutcome::Created, opening) => {
            let event = parts.event(EventKind::AccountCreated, Outcome::Granted);
            let event = event.of(&user.tenant, &user.id);
            parts.record(&event.from_network(&caller.origin.network));
            let Some(opening) = opening else {
                let verify = Some(link::verifying(parts, &user, address.as_str()).await?);
                let kind = NoticeKind::AccountMade { at: now, verify };
                upkeep::tell(parts, caller, &user, &address, &kind).await?;
                return Ok(SignUpOutcome::Accepted(Box::new(user)));
            };
            let opened = session::opened(parts, opening, user).await?;
            Ok(SignUpOutcome::Created(Box::new(opened)))
        }
    }
}

/// The user that a sign-up with `address` makes.
fn new_user(parts: &Parts, caller: &Caller, address: &EmailAddress) -> Result<User, Fault> {
    let now = parts.now();
    let id = UserId::new(parts.uuid()?);
    Ok(User {
        tenant: caller.tenant.clone(),
        state: UserState::Live,
        epoch: 1,
        revision: 1,
        methods: vec![Method {
            id: MethodId::new(id.as_str()),
            factor: password::ID,
            email: Some(address.as_str().to_owned()),
            phone: None,
            third_party: None,
            verified: false,
            joined_at: now,
        }],
        id,
        summary: Summary::default(),
        metadata: JsonMap::new(),
        created_at: now,
    })
}

/// Signs in with e-mail and password.
pub(crate) async fn sign_in(
    parts: &Parts,
    caller: &Caller,
    email: &str,
    password: Password,
) -> Result<SignInOutcome, Fault> {
    let Some(factor) = parts.password_in(&caller.tenant) else {
        return Ok(SignInOutcome::NotOffered);
    };
    let Ok(address) = EmailAddress::parse(email) else {
        return Ok(SignInOutcome::Fields(vec![FieldFault::EmailMalformed]));
    };
    let identifier = Identifier {
        kind: IdentifierKind::Email,
        value: address.as_str().to_owned(),
    };
    let account = parts
        .store
        .user_by_identifier(&caller.tenant, &identifier)
        .await?;
    // Counted by the account, not by what was typed; an unknown address is counted as itself (R-RL-2).
    let counted = match &account {
        Some(account) => format!("user:{}", account.user.id),
        None => format!("mail:{}", address.as_str()),
    };
    let known = account.as_ref().map(|a| &a.user);
    let try_ = match begin(parts, caller, known, counted).await? {
        Ok(try_) => try_,
        Err(retry_after) => return Ok(SignInOutcome::Throttled(retry_after)),
    };

    let hidden = parts.config.disclosure == Disclosure::Hidden;
    let bar = account
        .as_ref()
        .and_then(|account| password::bar(account, hidden));
    let kept = account.as_ref().and_then(|account| account.password.as_ref());
    let outcome = stored::Outcome::of(bar.is_none());
    let verdict = stored::judge(parts, factor, kept, &password, outcome).await?;
    let (user, rehash) = match (verdict, account) {
        (Verdict::Right { rehash }, Some(account)) if bar.is_none() => (account, rehash),
        (verdict, account) => {
            let reason = match (verdict, &account) {
                (Verdict::Hostile, _) => "hostile_hash",
                (Verdict::Right { .. }, Some(_)) => bar.unwrap_or("barred"),
                (_, None) => "unknown",
                _ => "wrong_password",
            };
            try_.failed(parts, account.as_ref().map(|a| &a.user), reason)
                .await?;
            return Ok(SignInOutcome::WrongCredentials);
        }
    };
    if rehash && !stored::renew(parts, factor, &user, &identifier, &password).await? {
        try_.failed(parts, Some(&user.user), "wrong_password").await?;
        return Ok(SignInOutcome::WrongCredentials);
    }
    drop(password);
    let user = user.user;
    let Some(method) = user
        .methods
        .iter()
        .find(|m| m.factor == password::ID)
        .map(|m| m.id.clone())
    else {
        return Err(Fault::Key("a password without its method"));
    };
    let completion = first(parts.now(), Kind::Knowledge, None, false);
    match open(parts, caller, user, &method, &password::ID, completion).await? {
        Some(signed_in) => {
            try_.succeeded(parts).await?;
            Ok(SignInOutcome::SignedIn(Box::new(signed_in)))
        }
        // Disabled or changed between reading and writing.
        None => Ok(SignInOutcome::WrongCredentials),
    }
}

pub(super) async fn open(
    parts: &Parts,
    caller: &Caller,
    user: User,
    method: &MethodId,
    factor: &FactorId,
    completion: Completion,
) -> Result<Option<SignedIn>, Fault> {
    let opening = session::prepare(parts, &user, method, factor, completion, caller).await?;
    enter(parts, caller, user, factor, opening).await
}

/// Opens a session that is prepared. None if its user was disabled or changed meanwhile.
async fn enter(
    parts: &Parts,
    caller: &Caller,
    user: User,
    factor: &FactorId,
    opening: session::Opening,
) -> Result<Option<SignedIn>, Fault> {
    if let Some(session) = opening.session()
        && !parts.store.open_session(session).await?
    {
        return Ok(None);
    }
    let event = parts.event(EventKind::SignIn, Outcome::Granted);
    let event = event.with_factor(factor).of(&user.tenant, &user.id);
    parts.record(&event.from_network(&caller.origin.network));
    session::opened(parts, opening, user).await.map(Some)
}

/// A try to sign in that was counted before anything was compared. Tell it how it ended.
#[derive(Debug)]
#[must_use = "a try that is not told of its success stays counted as a failure"]
pub struct SignInTry {
    tenant: TenantId,
    counted: String,
    network: String,
}

/// Counts a try to sign in to `counted` (R-OTP-7's order: charge, then compare). Err: how long to wait.
pub(crate) async fn begin(
    parts: &Parts,
    caller: &Caller,
    known: Option<&User>,
    counted: String,
) -> Result<Result<SignInTry, Duration>, Fault> {
    let now = parts.now();
    let limits = limits(parts);
    let network = caller.origin.network.clone();
    let account = [caller.tenant.as_str(), counted.as_str()];
    let counts = match limit::ask(&*parts.store, &limits.sign_in(&network, &account), now).await? {
        Leave::Granted(counts) => counts,
        Leave::Refused { retry_after, .. } => {
            note_throttled(parts, caller, "sign_in");
            return Ok(Err(retry_after));
        }
    };
    let failures = counts.last().copied().unwrap_or(u32::MAX);
    if failures
        > parts
            .config
            .limits
            .password_account
            .saturating_mul(parts.config.limits.scale)
    {
        if parts.config.limits.lockout == Lockout::UntilReset {
            note_throttled(parts, caller, "sign_in_locked");
            return Ok(Err(parts.config.limits.password_slow.window));
        }
        // A stranger may only delay: a network in which the account is signed in is exempt (R-RL-4).
        let at_home = match known {
            Some(user) => is_at_home(parts, user, &network).await?,
            None => false,
        };
        if !at_home {
            let slow = [limits.sign_in_slow(&network, &account)];
            if let Leave::Refused { retry_after, .. } = limit::ask(&*parts.store, &slow, now).await? {
                note_throttled(parts, caller, "sign_in_account");
                return Ok(Err(retry_after));
            }
        }
    }
    Ok(Ok(SignInTry {
        tenant: caller.tenant.clone(),
        counted,
        network,
    }))
}

/// Whether `user` is signed in in this network.
pub(super) async fn is_at_home(parts: &Parts, user: &User, network: &str) -> Result<bool, Fault> {
    let sessions = parts.store.sessions(&user.tenant, &user.id, parts.now()).await?;
    let lives_here =
        |s: &Session| !network.is_empty() && s.origin.network == network && s.epoch == user.epoch;
    Ok(sessions.iter().any(lives_here))
}

impl SignInTry {
    /// The first factor was right: the account's failures are forgotten.
    pub(crate) async fn succeeded(self, parts: &Parts) -> Result<(), Fault> {
        let keys = limits(parts).sign_in_keys(&self.network, &[self.tenant.as_str(), &self.counted]);
        Ok(parts.store.clear(&keys).await?)
    }

    /// It was wrong: the network's failures count one more.
    pub(crate) async fn failed(
        self,
        parts: &Parts,
        user: Option<&User>,
        reason: &'static str,
    ) -> Result<(), Fault> {
        let mut event = parts
            .event(EventKind::SignIn, Outcome::Refused)
            .because(reason)
            .from_network(&self.network);
        event.tenant = Some(self.tenant.clone());
        if let Some(user) = user {
            event = event.of(&user.tenant, &user.id);
        }
        parts.record(&event);
        let asks = limits(parts).sign_in_failed(&self.network);
        // Refused means full, and full is what it was to become.
        limit::ask(&*parts.store, &asks, parts.now()).await?;
        Ok(())
    }
}

/// Whether an e-mail address may sign up, as the protocol lets clients ask.
pub(crate) async fn email_exists(parts: &Parts, caller: &Caller, email: &str) -> Result<Exists, Fault> {
    let Ok(address) = EmailAddress::parse(email) else {
        return Ok(Exists::Malformed);
    };
    let identifier = Identifier {
        kind: IdentifierKind::Email,
        value: address.as_str().to_owned(),
    };
    exists(parts, caller, identifier, |_| true).await
}

/// Whether a phone number may sign in. A second-factor phone may not, so it does not exist (A-LEG-07).
pub(crate) async fn phone_exists(parts: &Parts, caller: &Caller, phone: &str) -> Result<Exists, Fault> {
    let Ok(number) = PhoneNumber::parse(phone) else {
        return Ok(Exists::Malformed);
    };
    let identifier = Identifier {
        kind: IdentifierKind::Phone,
        value: number.as_str().to_owned(),
    };
    exists(parts, caller, identifier, |_| true).await
}

/// Answers a question about an identifier, once it was counted.
pub(super) async fn exists(
    parts: &Parts,
    caller: &Caller,
    identifier: Identifier,
    counts: impl FnOnce(&User) -> bool,
) -> Result<Exists, Fault> {
    if parts.config.disclosure == Disclosure::Hidden {
        return Ok(Exists::Known(false));
    }
    let asks = limits(parts).exists(&caller.origin.network);
    if let Leave::Refused { retry_after, .. } = limit::ask(&*parts.store, &asks, parts.now()).await? {
        note_throttled(parts, caller, "exists");
        return Ok(Exists::Throttled(retry_after));
    }
    let found = parts
        .store
        .user_by_identifier(&caller.tenant, &identifier)
        .await?;
    Ok(Exists::Known(found.is_some_and(|found| counts(&found.user))))
}

/// A first factor that the application checked by itself.
#[derive(Clone, Debug)]
pub struct External {
    factor: FactorId,
    kind: Kind,
    begun: Option<CheckBegun>,
}

/// That the application began to check a first factor: what was changed of a user since then goes before what was found.
/// Made by `Stepup::begin_check`.
#[derive(Clone, Copy, Debug)]
pub struct CheckBegun {
    newest_epoch: i64,
}

/// Notes where the epochs of all users stand, since nobody knows yet who it will be.
pub(crate) async fn begin_check(parts: &Parts) -> Result<CheckBegun, Fault> {
    let newest_epoch = parts.store.newest_epoch().await?;
    Ok(CheckBegun { newest_epoch })
}

impl External {
    /// Something the user knows: the application's own password check.
    pub fn knowledge() -> Self {
        Self {
            factor: FactorId::from_static("external"),
            kind: Kind::Knowledge,
            begun: None,
        }
    }

    /// Something the user has: a card, a certificate.
    pub fn possession() -> Self {
        Self {
            factor: FactorId::from_static("external"),
            kind: Kind::Possession,
            begun: None,
        }
    }

    /// When its check began, which is before the application read what it compares with. Should the user be changed from
    /// then on, a new password above all, no session is opened: what was right is right no more.
    #[must_use]
    pub fn begun(mut self, begun: CheckBegun) -> Self {
        self.begun = Some(begun);
        self
    }

    /// Names it, for claims and events. The names of our own factors are refused.
    #[must_use]
    pub fn named(mut self, factor: FactorId) -> Self {
        self.factor = factor;
        self
    }
}

/// Why an external sign-in was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExternalRefusal {
    /// The user is disabled.
    #[error("the user is disabled")]
    Disabled,
    /// The user was deleted; its id is never used again.
    #[error("the user was deleted")]
    Deleted,
    /// The user was changed while the first factor was checked: what it was checked against is old.
    #[error("the user was changed meanwhile")]
    Changed,
    /// The factor's name is one of ours, or none.
    #[error("the factor's name is reserved")]
    ReservedFactor,
    /// There is no such tenant, or it lists its first factors and this is none of them.
    #[error("the tenant takes no such first factor")]
    NotOffered,
}

/// The longest id of a user that an application may bring, in bytes: it stands in keys of tables and in every token.
const MAX_USER_ID: usize = 255;

/// Opens a session for a user of the application's own table. An unknown id makes a user row.
pub(crate) async fn sign_in_external(
    parts: &Parts,
    caller: &Caller,
    user_id: &UserId,
    external: External,
) -> Result<Result<SignedIn, ExternalRefusal>, Fault> {
    let name = external.factor.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if external.factor.is_reserved() || name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        return Ok(Err(ExternalRefusal::ReservedFactor));
    }
    if !parts.opens(&caller.tenant, &external.factor) {
        return Ok(Err(ExternalRefusal::NotOffered));
    }
    if !(1..=MAX_USER_ID).contains(&user_id.as_str().len()) {
        return Err(Fault::Part("a user's id must have 1 to 255 bytes".into()));
    }
    let now = parts.now();
    let method = MethodId::new(user_id.as_str());
    let fresh = User {
        methods: vec![Method {
            id: method.clone(),
            factor: external.factor.clone(),
            email: None,
            phone: None,
            third_party: None,
            verified: false,
            joined_at: now,
        }],
        ..User::bare(&caller.tenant, user_id, now)
    };
    // A hook that refuses leaves nothing behind: with hooks, the row of a new user is written after they were asked.
    let hooked = !parts.hooks.is_empty();
    let user = match hooked {
        true => parts.store.user(&caller.tenant, user_id).await?,
        false => None,
    };
    let user = match user {
        None if hooked => fresh.clone(),
        None => parts.store.ensure_user(&fresh).await?,
        Some(user) => user,
    };
    let state = user.state;
    // `open_session` holds to the epoch that was read here; this holds to the one of before the check (A-SES-11).
    let is_old = external
        .begun
        .is_some_and(|begun| user.epoch > begun.newest_epoch);
    let completion = first(now, external.kind, None, false);
    let factor = &external.factor;
    let opened = match state {
        UserState::Live if is_old => None,
        UserState::Live => {
            let opening = session::prepare(parts, &user, &method, factor, completion, caller).await?;
            if hooked {
                parts.store.ensure_user(&fresh).await?;
            }
            enter(parts, caller, user, factor, opening).await?
        }
        UserState::Disabled | UserState::Deleted => None,
    };
    Ok(opened.ok_or_else(|| {
        let (refusal, reason) = match state {
            UserState::Deleted => (ExternalRefusal::Deleted, "deleted"),
            UserState::Disabled => (ExternalRefusal::Disabled, "disabled"),
            UserState::Live => (ExternalRefusal::Changed, "changed"),
        };
        let event = parts.event(EventKind::SignIn, Outcome::Refused).because(reason);
        let event = event.of(&caller.tenant, user_id).with_factor(&external.factor);
        parts.record(&event.from_network(&caller.origin.network));
        refusal
    }))
}
