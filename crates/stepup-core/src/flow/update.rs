//! Update of a user: other contacts to sign in by, another password. It is the application's own act, on its server.
//!
//! Contacts, methods and password change in one step with what follows from it, and only what signs in changes: a
//! second-factor contact is a credential, which this neither touches nor makes a key (threat A-LEG-07).

use crate::contact::{EmailAddress, PhoneNumber};
use crate::delivery::{Channel, NoticeKind};
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::factor::passwordless;
use crate::flow::password as stored;
use crate::flow::{account, session, upkeep};
use crate::id::{CredentialId, FactorId, MethodId, SessionHandle, TenantId, UserId};
use crate::parts::Parts;
use crate::password::{Password, PasswordFault};
use crate::record::credential::{Credential, CredentialKind};
use crate::record::user::{Changed, ContactEdit, Identifier, IdentifierKind, Method, User, UserState};
use crate::storage::{Beside, UpdateOutcome, UserUpdate};
use crate::time::Timestamp;

/// What is to change about how a user signs in. What is not named stays.
///
/// ```
/// use stepup_core::flow::Update;
///
/// let update = Update::new().email("ann@new.example.com");
/// # let _ = update;
/// ```
#[derive(Debug, Default)]
#[must_use = "nothing changes until it is handed to `Stepup::update_user`"]
pub struct Update {
    pub(crate) email: ContactEdit,
    pub(crate) phone: ContactEdit,
    pub(crate) password: Option<Password>,
}

impl Update {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The e-mail address that takes the place of the one which signs in: with a password, or by codes and links. A user
    /// who signs in by phone gets it as a second way.
    pub fn email(mut self, typed: impl Into<String>) -> Self {
        self.email = ContactEdit::Set(typed.into());
        self
    }

    /// Signs in by e-mail no more. One contact has to be left, and a password needs its address.
    pub fn without_email(mut self) -> Self {
        self.email = ContactEdit::Remove;
        self
    }

    /// The phone number that takes the place of the one which signs in. A user who signs in by codes to a mailbox gets it
    /// as a second way.
    pub fn phone(mut self, typed: impl Into<String>) -> Self {
        self.phone = ContactEdit::Set(typed.into());
        self
    }

    /// Signs in by phone no more. One contact has to be left.
    pub fn without_phone(mut self) -> Self {
        self.phone = ContactEdit::Remove;
        self
    }

    /// The new password of a user who has one.
    pub fn password(mut self, password: Password) -> Self {
        self.password = Some(password);
        self
    }
}

/// Why a user was not updated. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpdateRefusal {
    /// There is no such user, or it was deleted.
    #[error("there is no such user")]
    UnknownUser,
    /// The address is none.
    #[error("not an e-mail address")]
    EmailMalformed,
    /// The number is none.
    #[error("not a phone number")]
    PhoneMalformed,
    /// Another account signs in with this address.
    #[error("the e-mail address is another account's")]
    EmailTaken,
    /// Another account signs in with this number.
    #[error("the phone number is another account's")]
    PhoneTaken,
    /// The password does not follow the rule.
    #[error("the password is not accepted: {0}")]
    Password(PasswordFault),
    /// The contact is a second factor of this user, and must not become a key.
    #[error("the contact is a second factor of this user")]
    SecondFactor,
    /// This user does not sign in that way, or nobody does here; or nothing would be left to sign in by.
    #[error("the user does not sign in that way")]
    NotAllowed,
}

impl UpdateRefusal {
    /// One word for events and hooks.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::UnknownUser => "unknown",
            Self::EmailMalformed | Self::PhoneMalformed => "malformed",
            Self::EmailTaken => "email_taken",
            Self::PhoneTaken => "phone_taken",
            Self::Password(_) => "password",
            Self::SecondFactor => "second_factor",
            Self::NotAllowed => "not_allowed",
        }
    }
}

/// How often a user that changes at the same moment is read anew.
const TRIES: u32 = 3;

/// Updates a user.
pub(crate) async fn update(
    parts: &Parts,
    tenant: &TenantId,
    id: &UserId,
    update: &Update,
) -> Result<Result<User, UpdateRefusal>, Fault> {
    let done = match wanted(parts, tenant, update) {
        Ok(wanted) => write(parts, tenant, id, wanted).await?,
        Err(refusal) => Err(refusal),
    };
    if let Err(refusal) = &done {
        let event = parts.event(EventKind::AccountChanged, Outcome::Refused);
        parts.record(&event.of(tenant, id).because(refusal.word()));
    }
    Ok(done)
}

async fn write(
    parts: &Parts,
    tenant: &TenantId,
    id: &UserId,
    wanted: Wanted<'_>,
) -> Result<Result<User, UpdateRefusal>, Fault> {
    for _ in 0..TRIES {
        let found = parts.store.user(tenant, id).await?;
        let Some(user) = found.filter(|user| user.state != UserState::Deleted) else {
            return Ok(Err(UpdateRefusal::UnknownUser));
        };
        let fresh = MethodId::new(parts.uuid()?);
        let methods = match methods(&user, &wanted, fresh, parts.now()) {
            Ok(methods) => methods,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if methods == user.methods && wanted.password.is_none() {
            return Ok(Ok(user));
        }
        let password = match &wanted.password {
            None => None,
            Some(typed) => match password(parts, &user, &methods, typed).await? {
                Ok(credential) => Some(credential),
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        let changed = changed(&user.methods, &methods);
        let mut notices = Vec::new();
        for kind in kinds(&changed, password.is_some(), parts.now()) {
            // The user as it was: who took over an account cannot have these sent to an address of their own (R-MFA-10).
            notices.extend(upkeep::notices(parts, &user, &kind, None, None).await?);
        }
        let work = UserUpdate {
            tenant: tenant.clone(),
            user: id.clone(),
            revision: user.revision,
            identifiers: methods.iter().flat_map(identifiers).collect(),
            methods,
            password,
            contacts: changed
                .iter()
                .map(|identifier| identifier.value.clone())
                .collect(),
            notices,
            keep: None,
            beside: Beside::default(),
        };
        let stored = parts.store.update_user(&work);
        match session::ending(parts, tenant, id, stored).await? {
            UpdateOutcome::Done(user) => {
                updated(parts, &user, &changed, work.password.is_some(), None).await?;
                return Ok(Ok(*user));
            }
            UpdateOutcome::Kept(_) => return Err(Fault::Key("a session was kept that nobody named")),
            UpdateOutcome::Gone => return Ok(Err(UpdateRefusal::UnknownUser)),
            UpdateOutcome::IdentifierTaken(IdentifierKind::Email) => {
                return Ok(Err(UpdateRefusal::EmailTaken));
            }
            UpdateOutcome::IdentifierTaken(IdentifierKind::Phone) => {
                return Ok(Err(UpdateRefusal::PhoneTaken));
            }
            // No update brings one, so that it cannot be somebody else's.
            UpdateOutcome::IdentifierTaken(IdentifierKind::ThirdParty) => {
                return Ok(Err(UpdateRefusal::NotAllowed));
            }
            UpdateOutcome::Unpaid(_) => return Err(Fault::Key("an update was paid for that costs nothing")),
            // Another verb changed the user in between; it never does so for long.
            UpdateOutcome::Outrun => {}
        }
    }
    Err(Fault::Busy)
}

/// What follows in this process from an update that is written.
pub(super) async fn updated(
    parts: &Parts,
    user: &User,
    changed: &[Identifier],
    password: bool,
    but: Option<&SessionHandle>,
) -> Result<(), Fault> {
    session::revoke_tokens(parts, &user.tenant, &user.id, but);
    let note = |what: Changed| {
        let event = parts.event(EventKind::AccountChanged, Outcome::Noted);
        parts.record(&event.of(&user.tenant, &user.id).because(what.as_str()));
    };
    if !changed.is_empty() {
        note(Changed::Contact);
    }
    upkeep::wake(parts);
    if password {
        note(Changed::Password);
        // What was guessed at is gone: the lock of `Lockout::UntilReset` was for the old password.
        let key =
            account::limits(parts).sign_in_account_key(&[user.tenant.as_str(), &format!("user:{}", user.id)]);
        parts.store.clear(&[key]).await?;
    }
    Ok(())
}

/// What is wanted, read and in normal form.
struct Wanted<'u> {
    email: Edit,
    phone: Edit,
    password: Option<&'u Password>,
    /// Channels by which contacts sign in in the tenant.
    offered: Vec<Channel>,
}

/// A [`ContactEdit`] in normal form.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Edit {
    Keep,
    Set(String),
    Remove,
}

fn wanted<'u>(parts: &Parts, tenant: &TenantId, update: &'u Update) -> Result<Wanted<'u>, UpdateRefusal> {
    let email = match &update.email {
        ContactEdit::Keep => Edit::Keep,
        ContactEdit::Remove => Edit::Remove,
        ContactEdit::Set(typed) => match EmailAddress::parse(typed) {
            Ok(address) => Edit::Set(address.as_str().to_owned()),
            Err(_) => return Err(UpdateRefusal::EmailMalformed),
        },
    };
    let phone = match &update.phone {
        ContactEdit::Keep => Edit::Keep,
        ContactEdit::Remove => Edit::Remove,
        ContactEdit::Set(typed) => match PhoneNumber::parse(typed) {
            Ok(number) => Edit::Set(number.as_str().to_owned()),
            Err(_) => return Err(UpdateRefusal::PhoneMalformed),
        },
    };
    let signs_in = |channel: &Channel| {
        let opens = |link| parts.opens(tenant, &passwordless::factor_of(*channel, link));
        let factor = parts.passwordless.as_ref();
        factor.is_some_and(|factor| factor.first(*channel).is_some()) && (opens(false) || opens(true))
    };
    Ok(Wanted {
        email,
        phone,
        password: update.password.as_ref(),
        offered: [Channel::Sms, Channel::Email]
            .into_iter()
            .filter(signs_in)
            .collect(),
    })
}

/// How `user` signs in once what is wanted is done; `fresh` is the id of a way that is new.
fn methods(
    user: &User,
    wanted: &Wanted<'_>,
    fresh: MethodId,
    now: Timestamp,
) -> Result<Vec<Method>, UpdateRefusal> {
    let mut methods = user.methods.clone();
    let mut edits = [(Channel::Email, &wanted.email), (Channel::Sms, &wanted.phone)];
    // What is new comes first, so that one contact can take the place of one of the other kind. Only one of the two can be
    // new: whoever has neither has nothing to add to.
    edits.sort_by_key(|(_, edit)| **edit == Edit::Remove);
    for (channel, edit) in edits {
        let own = methods.iter().position(|method| signs_in_by(method, channel));
        match edit {
            Edit::Keep => {}
            Edit::Remove => {
                if let Some(at) = own {
                    let method = methods.remove(at);
                    if method.factor == FactorId::EMAIL_PASSWORD || !methods.iter().any(has_contact) {
                        return Err(UpdateRefusal::NotAllowed);
                    }
                }
            }
            Edit::Set(value) if own.is_some_and(|at| contact(&methods, at, channel) == Some(value)) => {}
            Edit::Set(value) => {
                let is_second = |contact: Option<&String>| contact == Some(value);
                if user
                    .summary
                    .enrolled
                    .iter()
                    .any(|e| is_second(e.contact.as_ref()))
                {
                    return Err(UpdateRefusal::SecondFactor);
                }
                let by_code =
                    |method: &Method| method.factor != FactorId::EMAIL_PASSWORD && has_contact(method);
                let may_be_added = methods.iter().any(by_code) && wanted.offered.contains(&channel);
                match own.and_then(|at| methods.get_mut(at)) {
                    Some(method) => set(method, channel, value),
                    None if may_be_added => {
                        let mut method = Method {
                            id: fresh.clone(),
                            factor: passwordless::factor_of(channel, false),
                            email: None,
                            phone: None,
                            third_party: None,
                            verified: false,
                            joined_at: now,
                        };
                        set(&mut method, channel, value);
                        methods.push(method);
                    }
                    None => return Err(UpdateRefusal::NotAllowed),
                }
            }
        }
    }
    Ok(methods)
}

/// Whether the contact of `channel` signs in by `method`. A factor of the application's own keeps its contacts elsewhere, and
/// who comes by a provider signs in as who it is there, whatever its address.
pub(super) fn signs_in_by(method: &Method, channel: Channel) -> bool {
    let by_contact = method.factor.is_reserved() && method.third_party.is_none();
    match channel {
        Channel::Email => method.email.is_some() && by_contact,
        Channel::Sms => method.phone.is_some() && by_contact,
    }
}

fn has_contact(method: &Method) -> bool {
    signs_in_by(method, Channel::Email) || signs_in_by(method, Channel::Sms)
}

fn contact(methods: &[Method], at: usize, channel: Channel) -> Option<&String> {
    let method = methods.get(at)?;
    match channel {
        Channel::Email => method.email.as_ref(),
        Channel::Sms => method.phone.as_ref(),
    }
}

/// Nobody has proved a new address yet. The protocol calls every phone that signs in verified.
fn set(method: &mut Method, channel: Channel, value: &str) {
    match channel {
        Channel::Email => method.email = Some(value.to_owned()),
        Channel::Sms => method.phone = Some(value.to_owned()),
    }
    method.verified = channel == Channel::Sms;
}

pub(super) fn identifiers(method: &Method) -> Vec<(Identifier, MethodId)> {
    let of = |kind, value: &Option<String>| {
        let value = value.clone().filter(|_| has_contact(method))?;
        Some(Identifier { kind, value })
    };
    let all = [
        of(IdentifierKind::Email, &method.email),
        of(IdentifierKind::Phone, &method.phone),
        method.third_party.as_ref().map(Identifier::third_party),
    ];
    all.into_iter()
        .flatten()
        .map(|identifier| (identifier, method.id.clone()))
        .collect()
}

/// The identifiers that are in one of the lists and not in the other: what signed in before, and what does now.
fn changed(before: &[Method], after: &[Method]) -> Vec<Identifier> {
    let of = |methods: &[Method]| -> Vec<Identifier> {
        let all = methods.iter().flat_map(identifiers);
        all.map(|(identifier, _)| identifier).collect()
    };
    let (before, after) = (of(before), of(after));
    let only = |these: &[Identifier], those: &[Identifier]| -> Vec<Identifier> {
        let only = these.iter().filter(|identifier| !those.contains(identifier));
        only.cloned().collect()
    };
    [only(&before, &after), only(&after, &before)].concat()
}

/// What the user is told.
fn kinds(changed: &[Identifier], password: bool, at: Timestamp) -> Vec<NoticeKind> {
    let of = |kind| changed.iter().any(|identifier| identifier.kind == kind);
    let contact = |kind, channel| {
        let undo = None;
        of(kind).then_some(NoticeKind::ContactChanged { channel, at, undo })
    };
    let kinds = [
        contact(IdentifierKind::Email, Channel::Email),
        contact(IdentifierKind::Phone, Channel::Sms),
        password.then_some(NoticeKind::PasswordChanged { at }),
    ];
    kinds.into_iter().flatten().collect()
}

/// The credential of a new password, if it follows the rule.
pub(super) async fn password(
    parts: &Parts,
    user: &User,
    methods: &[Method],
    typed: &Password,
) -> Result<Result<Credential, UpdateRefusal>, Fault> {
    let own = methods
        .iter()
        .find(|method| method.factor == FactorId::EMAIL_PASSWORD);
    let (Some(method), Some(factor)) = (own, parts.password_in(&user.tenant)) else {
        return Ok(Err(UpdateRefusal::NotAllowed));
    };
    let rule = factor.rule(parts.policy_of(&user.tenant).lets_in_by_one_factor());
    let address = method
        .email
        .as_deref()
        .and_then(|email| EmailAddress::parse(email).ok());
    if let Err(fault) = rule.judge(typed, address.as_ref(), parts.app.name()) {
        return Ok(Err(UpdateRefusal::Password(fault)));
    }
    let hash = factor.hasher.hash(typed).await?;
    // A new id, not a new version of the old row: a rehash of the old password that is under way finds nothing (A-PWD-06).
    let id = CredentialId::new(parts.uuid()?);
    let sealed = stored::seal_hash(parts, &user.tenant, &user.id, &id, hash.expose())?;
    Ok(Ok(Credential {
        tenant: user.tenant.clone(),
        user: user.id.clone(),
        kind: CredentialKind::Password,
        id,
        public: serde_json::json!({}),
        sealed: Some(sealed),
        version: 1,
        created_at: parts.now(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Kind;
    use crate::record::JsonMap;
    use crate::record::user::{Enrolled, Summary};

    const NOW: Timestamp = Timestamp::from_ms(1_760_000_000_000);
    const PHONE: &str = "+41791234567";
    const SECOND: &str = "+41791234568";

    fn method(factor: FactorId, email: Option<&str>, phone: Option<&str>) -> Method {
        Method {
            id: MethodId::new(factor.as_str()),
            factor,
            email: email.map(str::to_owned),
            phone: phone.map(str::to_owned),
            third_party: None,
            verified: true,
            joined_at: NOW,
        }
    }

    fn user(methods: Vec<Method>) -> User {
        let mut summary = Summary::default();
        summary.enrolled.push(Enrolled {
            factor: FactorId::OTP_PHONE,
            credential: "c".into(),
            kind: Kind::Possession,
            channel: None,
            contact: Some(SECOND.to_owned()),
            at: NOW,
        });
        User {
            tenant: TenantId::public(),
            id: "ann".into(),
            state: UserState::Live,
            epoch: 1,
            revision: 1,
            methods,
            summary,
            metadata: JsonMap::new(),
            created_at: NOW,
        }
    }

    fn with_password() -> User {
        user(vec![method(FactorId::EMAIL_PASSWORD, Some("a@x.test"), None)])
    }

    fn by_mail() -> User {
        user(vec![method(FactorId::OTP_EMAIL, Some("a@x.test"), None)])
    }

    fn external() -> User {
        user(vec![method(
            FactorId::from_static("external"),
            Some("a@x.test"),
            None,
        )])
    }

    fn after(
        user: &User,
        email: Edit,
        phone: Edit,
        offered: &[Channel],
    ) -> Result<Vec<Method>, UpdateRefusal> {
        let wanted = Wanted {
            email,
            phone,
            password: None,
            offered: offered.to_vec(),
        };
        methods(user, &wanted, "fresh".into(), NOW)
    }

    fn to(value: &str) -> Edit {
        Edit::Set(value.to_owned())
    }

    const BOTH: [Channel; 2] = [Channel::Sms, Channel::Email];

    #[test]
    fn an_address_that_is_changed_keeps_its_way_and_is_unverified() {
        for user in [with_password(), by_mail()] {
            let now = after(&user, to("b@x.test"), Edit::Keep, &[]).unwrap();
            let mut wanted = user.methods.clone();
            wanted[0].email = Some("b@x.test".to_owned());
            wanted[0].verified = false;
            assert_eq!(now, wanted);
        }
    }

    #[test]
    fn what_is_there_already_changes_nothing() {
        let now = after(&by_mail(), to("a@x.test"), Edit::Remove, &BOTH).unwrap();
        assert_eq!(now, by_mail().methods);
    }

    #[test]
    fn a_second_way_is_added_where_codes_sign_in_and_to_who_signs_in_by_them() {
        let now = after(&by_mail(), Edit::Keep, to(PHONE), &BOTH).unwrap();
        assert_eq!(now.len(), 2);
        assert_eq!(
            (&now[1].id, &now[1].factor),
            (&"fresh".into(), &FactorId::OTP_PHONE)
        );
        for (user, offered) in [
            (by_mail(), vec![Channel::Email]),
            (with_password(), BOTH.to_vec()),
        ] {
            let refused = after(&user, Edit::Keep, to(PHONE), &offered);
            assert_eq!(refused, Err(UpdateRefusal::NotAllowed));
        }
    }

    #[test]
    fn one_way_to_sign_in_is_always_left_and_a_password_keeps_its_address() {
        for user in [by_mail(), with_password()] {
            assert_eq!(
                after(&user, Edit::Remove, Edit::Keep, &BOTH),
                Err(UpdateRefusal::NotAllowed)
            );
        }
        let two = user(after(&by_mail(), Edit::Keep, to(PHONE), &BOTH).unwrap());
        let now = after(&two, Edit::Remove, Edit::Keep, &BOTH).unwrap();
        assert!(now.len() == 1 && now[0].factor == FactorId::OTP_PHONE);
        assert_eq!(
            after(&two, Edit::Remove, Edit::Remove, &BOTH),
            Err(UpdateRefusal::NotAllowed)
        );
        let moved = after(&by_mail(), Edit::Remove, to(PHONE), &BOTH).unwrap();
        assert!(moved.len() == 1 && moved[0].phone.as_deref() == Some(PHONE));
    }

    #[test]
    fn a_leg_07_a_second_factor_never_becomes_a_way_to_sign_in() {
        let refused = after(&by_mail(), Edit::Keep, to(SECOND), &BOTH);
        assert_eq!(refused, Err(UpdateRefusal::SecondFactor));
    }

    #[test]
    fn a_factor_of_the_applications_own_is_not_ours_to_change() {
        for (email, phone) in [(to("b@x.test"), Edit::Keep), (Edit::Keep, to(PHONE))] {
            assert_eq!(
                after(&external(), email, phone, &BOTH),
                Err(UpdateRefusal::NotAllowed)
            );
        }
        assert!(external().methods.iter().flat_map(identifiers).next().is_none());
    }

    #[test]
    fn what_changed_is_the_old_contact_and_the_new_one() {
        let before = with_password().methods;
        let now = after(&with_password(), to("b@x.test"), Edit::Keep, &[]).unwrap();
        let values: Vec<_> = changed(&before, &now).into_iter().map(|i| i.value).collect();
        assert_eq!(values, ["a@x.test", "b@x.test"]);
        assert!(changed(&now, &now).is_empty());
    }
}
