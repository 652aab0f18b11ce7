//! Whom a provider vouches for, and the accounts here: found, joined, added to, made.
//!
//! Who somebody is goes by provider, issuer and subject. An address never moves an account: it says where a second key may
//! be added, if both sides have proved it, and it is shown (R-OAU-2, threats A-OAU-07, A-OAU-08, A-OAU-12). The second factor
//! of an account stays due whichever way leads to it.

use std::borrow::Cow;
use std::time::Duration;

use crate::config::Disclosure;
use crate::delivery::{Channel, NoticeKind, NoticeLink};
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::evidence::Completion;
use crate::factor::third_party::{Address, ID, KIND, Linking, ThirdPartyFactor};
use crate::factor::{password, passwordless};
use crate::flow::contact::identifier;
use crate::flow::link::{self, LinkKind};
use crate::flow::moved::Added;
use crate::flow::session::Checked;
use crate::flow::{Caller, SignedIn, account, leave, session, update, upkeep};
use crate::id::{MethodId, TenantId, UserId};
use crate::parts::Parts;
use crate::record::user::{Identifier, Method, ThirdParty, User, UserState};
use crate::session::access::AccessClaims;
use crate::storage::{Account, AccountOutcome, Beside, Keep, NewAccount, UpdateOutcome, UserUpdate};

/// Why a provider was not asked, or told nothing that is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderRefusal {
    /// Providers do not sign in in this tenant.
    NotOffered,
    /// There is no such provider, or the tenant does not have it.
    UnknownProvider,
    /// The provider has no such client.
    UnknownClient,
    /// Browsers are not sent back there.
    ForeignRedirect,
    /// Too many calls from this network.
    Throttled(Duration),
    /// Nothing of the kind was begun by this browser, here, at this provider; or it is over, or was used.
    NotBegun,
    /// The provider refused: the user said no there, or the code is not good.
    Refused,
    /// This provider takes a code only.
    CodeOnly,
    /// The provider does not answer.
    Unavailable,
}

impl ProviderRefusal {
    /// One word for hooks.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::NotOffered => "not_offered",
            Self::UnknownProvider => "unknown_provider",
            Self::UnknownClient => "unknown_client",
            Self::ForeignRedirect => "foreign_redirect",
            Self::Throttled(_) => "throttled",
            Self::NotBegun => "not_begun",
            Self::Refused => "refused",
            Self::CodeOnly => "code_only",
            Self::Unavailable => "unavailable",
        }
    }
}

/// Why somebody whom a provider vouches for gets no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// The account may not sign in.
    SignIn,
    /// The address is an account's that signs in by another way, and the two are not made one by an address.
    SignUp,
    /// The provider's account belongs to somebody else here.
    LinkedElsewhere,
    /// Its address does.
    AddressTaken,
}

impl Bar {
    /// One word for events and hooks.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::SignIn => "disabled",
            Self::SignUp => "address_of_another",
            Self::LinkedElsewhere => "linked_elsewhere",
            Self::AddressTaken => "address_taken",
        }
    }
}

/// What became of it.
#[derive(Debug)]
pub enum ProviderOutcome {
    /// Signed in; or, in a live session, added to its user.
    SignedIn {
        /// The user and the tokens.
        signed_in: Box<SignedIn>,
        /// Whether this way to sign in is new.
        created: bool,
    },
    /// The provider tells no address, and here one is needed.
    NoEmail,
    /// Believed, and not let in.
    NotAllowed(Bar),
    /// Not believed.
    Refused(ProviderRefusal),
    /// Something changed in between: start again.
    Restart,
}

/// How often an account that changes at the same moment is read anew.
const TRIES: u32 = 3;

/// Somebody whom a provider vouches for.
#[derive(Clone)]
pub(super) struct Somebody {
    pub(super) who: ThirdParty,
    /// The provider's name for people.
    pub(super) provider: String,
    /// The address in normal form, and whether the provider vouches for it.
    pub(super) email: Option<(String, bool)>,
}

impl Somebody {
    /// As far as an account may be looked at and written by it. Where nothing is told of accounts, an address that nobody vouches
    /// for could be anybody's, and what became of it would tell: it is neither compared nor kept (threat A-ENU-09).
    fn discreet(&self, parts: &Parts) -> Cow<'_, Self> {
        let asks = self.email.as_ref().is_some_and(|(_, vouched)| !vouched);
        match asks && parts.config.disclosure == Disclosure::Hidden {
            true => Cow::Owned(Self {
                email: None,
                ..self.clone()
            }),
            false => Cow::Borrowed(self),
        }
    }

    fn identifier(&self) -> Identifier {
        Identifier::third_party(&self.who)
    }

    fn method(&self, parts: &Parts, id: MethodId) -> Method {
        Method {
            id,
            factor: ID,
            email: self.email.as_ref().map(|(address, _)| address.clone()),
            phone: None,
            third_party: Some(self.who.clone()),
            verified: self.email.as_ref().is_some_and(|(_, verified)| *verified),
            joined_at: parts.now(),
        }
    }

    /// What opens a session of `user`. Its channel is the mailbox, which is likely to open the account there as well: it does
    /// not second itself (R-MFA-6). What the provider tells can be chosen by whoever is signed in there, by another scope or
    /// another address; so the address of before counts too, and first of all the one that a second factor goes to.
    fn completion(&self, parts: &Parts, user: Option<&User>, signed_up: bool) -> Completion {
        let stored = user
            .and_then(|user| method_of(user, self))
            .and_then(|method| method.email.as_ref());
        let told = self.email.as_ref().map(|(address, _)| address);
        let channels: Vec<String> = [stored, told]
            .into_iter()
            .flatten()
            .map(|address| parts.channel(Channel::Email, address))
            .collect();
        let seconds = user.map_or(&[][..], |user| &user.summary.enrolled);
        let goes_there = |channel: &&String| {
            seconds
                .iter()
                .any(|second| second.channel.as_ref() == Some(*channel))
        };
        let channel = channels.iter().find(goes_there).or(channels.first()).cloned();
        account::first(parts.now(), KIND, channel, signed_up)
    }
}

/// Opens a session for somebody: of their own account, of one that theirs is added to, or of a new one.
pub(super) async fn enter(
    parts: &Parts,
    caller: &Caller,
    factor: &ThirdPartyFactor,
    somebody: &Somebody,
) -> Result<ProviderOutcome, Fault> {
    for _ in 0..TRIES {
        let own = parts
            .store
            .user_by_identifier(&caller.tenant, &somebody.identifier())
            .await?;
        if let Some(Account { user, .. }) = own {
            return known(parts, caller, somebody, user, false).await;
        }
        if somebody.email.is_none() && factor.address == Address::Required {
            return Ok(ProviderOutcome::NoEmail);
        }
        let other = owner(parts, &caller.tenant, somebody).await?;
        let vouched = somebody.email.as_ref().is_some_and(|(_, verified)| *verified);
        let outcome = match other {
            Some(user) => match joining(factor.linking, &user, somebody).filter(|_| vouched) {
                Some(how) => join(parts, caller, somebody, user, how).await?,
                // Not another account in silence: it would be the address of both, and one person of two.
                None => Some(ProviderOutcome::NotAllowed(Bar::SignUp)),
            },
            // Where nothing is told of accounts, an address that nobody vouches for asks about one.
            None if somebody.email.is_some() && !vouched && parts.config.disclosure == Disclosure::Hidden => {
                Some(ProviderOutcome::NotAllowed(Bar::SignUp))
            }
            None => create(parts, caller, somebody).await?,
        };
        if let Some(outcome) = outcome {
            return Ok(outcome);
        }
        // Another call was quicker, with the same person or the same account.
    }
    Err(Fault::Busy)
}

/// Whose address it is that the provider tells.
async fn owner(parts: &Parts, tenant: &TenantId, somebody: &Somebody) -> Result<Option<User>, Fault> {
    let Some((address, _)) = &somebody.email else {
        return Ok(None);
    };
    let address = identifier(Channel::Email, address);
    let found = parts.store.user_by_identifier(tenant, &address).await?;
    Ok(found.map(|account| account.user))
}

/// How somebody is let into an account by an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Joining {
    /// As it is: nobody signs in to it but by the mailbox.
    AsItIs,
    /// And its password opens nothing any more, until it was reset by the mailbox.
    WithoutPassword,
}

/// Whether somebody, for whose address the provider vouches, is let into `user` by it. The account must have proved the
/// address before: who made it may not be who reads the mailbox (CVE-2026-53516, threat A-OAU-08). And another subject of a
/// provider whom the account knows by that provider is another person, by the provider's own word (threat A-OAU-12).
///
/// A code that goes to the mailbox is proof by itself. Nothing else is: a link that verified the address may have been asked for
/// by a squatter and opened by the owner, and it verifies the address wherever the account has it. So a password does not survive
/// the join; and if anything beside the mailbox opens the account (a password and a second factor, a phone, another provider), that
/// could be the squatter's and cannot be told from the owner's. Then nobody is let in, since to remove a second factor by
/// the word of a provider would be a way around it (R-MFA-3). Who has signed in adds the provider there.
///
/// # Source
/// R-OAU-2; ASVS v5.0.0-6.8.1.
fn joining(linking: Linking, user: &User, somebody: &Somebody) -> Option<Joining> {
    let address = somebody.email.as_ref().map(|(address, _)| address.as_str());
    let proved = |method: &Method| {
        method.verified && method.third_party.is_none() && method.email.as_deref() == address
    };
    let knows = |method: &Method| {
        let there = method.third_party.as_ref();
        there.is_some_and(|there| there.provider == somebody.who.provider)
    };
    let may = linking == Linking::VerifiedAddress
        && user.state == UserState::Live
        && user.methods.iter().any(proved)
        && !user.methods.iter().any(knows);
    let by_mailbox = |method: &Method| {
        let codes = [false, true].map(|link| passwordless::factor_of(Channel::Email, link));
        proved(method) && method.phone.is_none() && codes.contains(&method.factor)
    };
    let is_password = |method: &Method| method.factor == password::ID;
    let has_password_alone = matches!(&*user.methods, [only] if is_password(only));
    if !may {
        None
    } else if user.methods.iter().all(by_mailbox) {
        Some(Joining::AsItIs)
    } else if has_password_alone && user.summary.enrolled.is_empty() {
        Some(Joining::WithoutPassword)
    } else {
        None
    }
}

/// Signs in by an account that is known.
async fn known(
    parts: &Parts,
    caller: &Caller,
    somebody: &Somebody,
    user: User,
    created: bool,
) -> Result<ProviderOutcome, Fault> {
    if user.state != UserState::Live {
        return Ok(ProviderOutcome::NotAllowed(Bar::SignIn));
    }
    let user = follow(parts, &somebody.discreet(parts), user).await?;
    let method = method_of(&user, somebody).ok_or(Fault::Key("an identity without its method"))?;
    let method = method.id.clone();
    let first = somebody.completion(parts, Some(&user), false);
    Ok(
        match account::open(parts, caller, user, &method, &ID, first).await? {
            Some(signed_in) => ProviderOutcome::SignedIn {
                signed_in: Box::new(signed_in),
                created,
            },
            // Disabled or changed between reading and writing.
            None => ProviderOutcome::Restart,
        },
    )
}

fn method_of<'u>(user: &'u User, somebody: &Somebody) -> Option<&'u Method> {
    let own = |method: &&Method| method.third_party.as_ref() == Some(&somebody.who);
    user.methods.iter().find(own)
}

/// What the provider tells of an address now. Whoever is at the provider has shown a first factor, no more: so an address that
/// is there stays (R-MFA-4), or a thief at the provider could have the owner's notices and leave to enroll sent elsewhere. It may
/// become verified; and where there is none, the one that is told is taken, unless it is the key of another account.
async fn follow(parts: &Parts, somebody: &Somebody, user: User) -> Result<User, Fault> {
    let (Some(method), Some((told, vouched))) = (method_of(&user, somebody), &somebody.email) else {
        return Ok(user);
    };
    let (email, verified) = match &method.email {
        Some(stored) if stored == told => (told, method.verified || *vouched),
        Some(_) => return Ok(user),
        None => (told, *vouched),
    };
    if method.email.as_ref() == Some(email) && method.verified == verified {
        return Ok(user);
    }
    if method.email.is_none()
        && let Some(other) = owner(parts, &user.tenant, somebody).await?
        && other.id != user.id
    {
        return Ok(user);
    }
    let id = method.id.clone();
    let mut next = user.clone();
    for method in next.methods.iter_mut().filter(|method| method.id == id) {
        (method.email, method.verified) = (Some(email.clone()), verified);
    }
    let stored = parts
        .store
        .set_methods(&user.tenant, &user.id, user.revision, &next.methods)
        .await?;
    // Outrun by another change, it follows at the next sign-in.
    if !stored {
        return Ok(user);
    }
    next.revision += 1;
    Ok(next)
}

/// Makes an account. None if somebody was quicker.
async fn create(
    parts: &Parts,
    caller: &Caller,
    somebody: &Somebody,
) -> Result<Option<ProviderOutcome>, Fault> {
    let now = parts.now();
    let id = UserId::new(parts.uuid()?);
    let method = MethodId::new(id.as_str());
    let user = User {
        methods: vec![somebody.method(parts, method.clone())],
        ..User::bare(&caller.tenant, &id, now)
    };
    let first = somebody.completion(parts, None, true);
    let opening = session::prepare(parts, &user, &method, &ID, first, caller).await?;
    let new = NewAccount {
        user: user.clone(),
        // The address is no key: who it is goes by the provider's word.
        identifiers: vec![(somebody.identifier(), method)],
        credentials: Vec::new(),
        session: opening.session().cloned(),
    };
    match parts.store.create_account(&new).await? {
        AccountOutcome::IdentifierTaken => Ok(None),
        AccountOutcome::Created => {
            for kind in [EventKind::AccountCreated, EventKind::SignIn] {
                let event = parts.event(kind, Outcome::Granted).with_factor(&ID);
                let event = event.of(&user.tenant, &user.id);
                parts.record(&event.from_network(&caller.origin.network));
            }
            Ok(Some(ProviderOutcome::SignedIn {
                signed_in: Box::new(session::opened(parts, opening, user).await?),
                created: true,
            }))
        }
    }
}

/// Adds somebody to an account that proved the same address, and signs in to it. None if it changed meanwhile.
async fn join(
    parts: &Parts,
    caller: &Caller,
    somebody: &Somebody,
    user: User,
    how: Joining,
) -> Result<Option<ProviderOutcome>, Fault> {
    let mut work = addition(parts, caller, somebody, &user, None).await?;
    if how == Joining::WithoutPassword {
        work.beside.retire_password = true;
    }
    let stored = parts.store.update_user(&work);
    match session::ending(parts, &user.tenant, &user.id, stored).await? {
        UpdateOutcome::Done(user) => {
            session::revoke_tokens(parts, &user.tenant, &user.id, None);
            linked(parts, caller, &user);
            known(parts, caller, somebody, *user, true).await.map(Some)
        }
        UpdateOutcome::Kept(_)
        | UpdateOutcome::Gone
        | UpdateOutcome::Outrun
        | UpdateOutcome::Unpaid(_)
        | UpdateOutcome::IdentifierTaken(_) => Ok(None),
    }
}

/// Adds somebody to the user of a session, which goes on; the user's other sessions end.
pub(super) async fn add(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
    checked: Checked,
    somebody: &Somebody,
) -> Result<ProviderOutcome, Fault> {
    let somebody = &*somebody.discreet(parts);
    // Leave is good for one addition, as it is for one enrollment.
    let paid_by = leave::payment(parts, &checked, parts.now());
    let user = checked.look.user;
    let held_by = parts
        .store
        .user_by_identifier(&user.tenant, &somebody.identifier())
        .await?;
    let is_own = match held_by {
        Some(account) if account.user.id != user.id => {
            return Ok(ProviderOutcome::NotAllowed(Bar::LinkedElsewhere));
        }
        held_by => held_by.is_some(),
    };
    if let Some(other) = owner(parts, &user.tenant, somebody).await?
        && other.id != user.id
    {
        return Ok(ProviderOutcome::NotAllowed(Bar::AddressTaken));
    }
    let (user, session) = if is_own {
        (follow(parts, somebody, user).await?, checked.look.session)
    } else {
        let mut work = addition(parts, caller, somebody, &user, Some(access)).await?;
        work.beside.paid_by = paid_by;
        let stored = parts.store.update_user(&work);
        let (session, user) = match session::ending(parts, &user.tenant, &user.id, stored).await? {
            UpdateOutcome::Kept(kept) => *kept,
            UpdateOutcome::IdentifierTaken(_) => {
                return Ok(ProviderOutcome::NotAllowed(Bar::LinkedElsewhere));
            }
            UpdateOutcome::Done(_)
            | UpdateOutcome::Gone
            | UpdateOutcome::Outrun
            | UpdateOutcome::Unpaid(_) => {
                return Ok(ProviderOutcome::Restart);
            }
        };
        session::revoke_tokens(parts, &user.tenant, &user.id, Some(access.handle()));
        linked(parts, caller, &user);
        (user, session)
    };
    let tokens = session::reissue(parts, &session, &user.summary, access)?;
    Ok(ProviderOutcome::SignedIn {
        signed_in: Box::new(SignedIn {
            user,
            session,
            tokens,
        }),
        created: !is_own,
    })
}

/// The user with one more way to sign in. It is told where it was reached before.
async fn addition(
    parts: &Parts,
    caller: &Caller,
    somebody: &Somebody,
    user: &User,
    keep: Option<&AccessClaims>,
) -> Result<UserUpdate, Fault> {
    let id = MethodId::new(parts.uuid()?);
    // Whoever stole a password could add a key of his own by it: the owner hears of it elsewhere, and can undo it.
    let undo = link::make_undo(parts, user, &Added(id.clone()).text())?;
    let url = link::url(parts, LinkKind::Undo, &user.tenant, &undo.token);
    let kind = NoticeKind::IdentityLinked {
        provider: somebody.provider.clone(),
        at: parts.now(),
        undo: Some(NoticeLink::new(&url)),
    };
    let notices = upkeep::notices(parts, user, &kind, None, caller.language).await?;
    // A token that nobody was sent is no use to anybody.
    let undo = Some(undo).filter(|_| !notices.is_empty());
    let mut methods = user.methods.clone();
    methods.push(somebody.method(parts, id));
    Ok(UserUpdate {
        tenant: user.tenant.clone(),
        user: user.id.clone(),
        revision: user.revision,
        identifiers: methods.iter().flat_map(update::identifiers).collect(),
        methods,
        password: None,
        contacts: Vec::new(),
        notices,
        keep: keep.map(|access| Keep {
            handle: access.handle().clone(),
            rise: None,
            now: parts.now(),
        }),
        beside: Beside {
            begin: undo.into_iter().map(|link| link.challenge).collect(),
            ..Beside::default()
        },
    })
}

fn linked(parts: &Parts, caller: &Caller, user: &User) {
    let event = parts.event(EventKind::IdentityLinked, Outcome::Granted);
    let event = event.of(&user.tenant, &user.id).with_factor(&ID);
    parts.record(&event.from_network(&caller.origin.network));
    upkeep::wake(parts);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Kind;
    use crate::id::CredentialId;
    use crate::record::user::Enrolled;
    use crate::time::Timestamp;

    fn ann(method: Method) -> User {
        let tenant = TenantId::public();
        User {
            methods: vec![method],
            ..User::bare(&tenant, &UserId::from("ann"), Timestamp::from_ms(1))
        }
    }

    fn by_mail(verified: bool) -> Method {
        Method {
            id: MethodId::from("m"),
            factor: if verified {
                passwordless::factor_of(Channel::Email, false)
            } else {
                password::ID
            },
            email: Some("ann@example.test".to_owned()),
            phone: None,
            third_party: None,
            verified,
            joined_at: Timestamp::from_ms(1),
        }
    }

    fn somebody(provider: &str, subject: &str) -> Somebody {
        Somebody {
            who: ThirdParty {
                provider: provider.to_owned(),
                issuer: "https://issuer.test".to_owned(),
                subject: subject.to_owned(),
            },
            provider: "Example".to_owned(),
            email: Some(("ann@example.test".to_owned(), true)),
        }
    }

    fn joins(linking: Linking, user: &User, there: &Somebody) -> bool {
        joining(linking, user, there).is_some()
    }

    #[test]
    fn a_password_does_not_survive_a_join_and_what_stands_beside_it_forbids_one() {
        let there = somebody("example", "1");
        let how = |user: &User| joining(Linking::VerifiedAddress, user, &there);
        let by_link = Method {
            factor: password::ID,
            ..by_mail(true)
        };
        assert_eq!(how(&ann(by_mail(true))), Some(Joining::AsItIs));
        assert_eq!(how(&ann(by_link.clone())), Some(Joining::WithoutPassword));
        let mut enrolled = ann(by_link.clone());
        enrolled.summary.enrolled.push(Enrolled {
            factor: passwordless::factor_of(Channel::Sms, false),
            credential: CredentialId::from("c"),
            kind: Kind::Possession,
            channel: None,
            contact: None,
            at: Timestamp::from_ms(1),
        });
        assert_eq!(how(&enrolled), None);
        for other in [
            by_mail(true),
            Method {
                third_party: Some(somebody("other", "squatter").who),
                email: None,
                ..by_mail(false)
            },
        ] {
            let mut more = ann(by_link.clone());
            more.methods.push(other);
            assert_eq!(how(&more), None);
        }
    }

    #[test]
    fn an_account_that_proved_the_address_is_joined_and_no_other() {
        let there = somebody("example", "1");
        let proved = ann(by_mail(true));
        assert!(joins(Linking::VerifiedAddress, &proved, &there));
        assert!(!joins(Linking::SignedIn, &proved, &there));
        assert!(!joins(Linking::VerifiedAddress, &ann(by_mail(false)), &there));
        for state in [UserState::Disabled, UserState::Deleted] {
            let user = User {
                state,
                ..proved.clone()
            };
            assert!(!joins(Linking::VerifiedAddress, &user, &there));
        }
        let elsewhere = Somebody {
            email: Some(("bob@example.test".to_owned(), true)),
            ..somebody("example", "1")
        };
        assert!(!joins(Linking::VerifiedAddress, &proved, &elsewhere));
    }

    #[test]
    fn an_account_without_a_password_is_joined_only_if_the_mailbox_alone_opens_it() {
        let there = somebody("example", "1");
        let how = |user: &User| joining(Linking::VerifiedAddress, user, &there);
        let by_link = Method {
            id: MethodId::from("l"),
            factor: passwordless::factor_of(Channel::Email, true),
            ..by_mail(true)
        };
        let mut both = ann(by_mail(true));
        both.methods.push(by_link);
        assert_eq!(how(&both), Some(Joining::AsItIs));
        let other = |change: fn(&mut Method)| {
            let mut method = by_mail(true);
            change(&mut method);
            method
        };
        for other in [
            other(|method| {
                method.factor = passwordless::factor_of(Channel::Sms, false);
                (method.email, method.phone) = (None, Some("+41791234567".to_owned()));
            }),
            // A link verifies an address wherever the account has it.
            other(|method| {
                method.factor = ID;
                method.third_party = Some(somebody("other", "squatter").who);
            }),
            other(|method| method.email = Some("mallory@example.test".to_owned())),
            other(|method| method.phone = Some("+41791234567".to_owned())),
        ] {
            let mut more = ann(by_mail(true));
            more.methods.push(other);
            assert_eq!(how(&more), None, "{:?}", more.methods);
        }
    }

    #[test]
    fn another_subject_of_a_provider_that_knows_the_account_is_somebody_else() {
        let mut user = ann(by_mail(true));
        user.methods.push(Method {
            third_party: Some(somebody("example", "1").who),
            ..by_mail(true)
        });
        assert!(!joins(Linking::VerifiedAddress, &user, &somebody("example", "2")));
        // Nor does anybody else, while the account is opened by something beside the mailbox.
        assert!(!joins(Linking::VerifiedAddress, &user, &somebody("other", "2")));
    }

    #[test]
    fn an_address_that_only_a_provider_proved_joins_nothing() {
        let user = ann(Method {
            third_party: Some(somebody("example", "1").who),
            ..by_mail(true)
        });
        assert!(!joins(Linking::VerifiedAddress, &user, &somebody("other", "2")));
    }
}
