//! Undoing the first second factor of an account, a change of one of its contacts, or a provider's account that was added, by
//! the link in its notice.
//!
//! Whoever stole a password could enroll a factor before its owner does, and whoever stole a session could have the account's
//! messages sent elsewhere. Only somebody who reads the account's mailboxes of before has the link. It takes back what it was
//! sent for *and all that came after it*: contacts that were changed since, and second factors and ways to sign in that were
//! added since, or shortly before, in whatever order the thief did it; ends whatever is signed in; and retires the password,
//! which the thief knows or has reset (threats A-MFA-22, A-MFA-41).

use crate::delivery::NoticeKind;
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::flow::link::{self, LinkKind, LiveLink};
use crate::flow::moved::{Added, Contacts, Moved};
use crate::flow::{Caller, session, update, upkeep};
use crate::parts::Parts;
use crate::record::challenge::Challenge;
use crate::record::credential::{Credential, CredentialKind};
use crate::record::user::{Method, User, UserState};
use crate::storage::{Beside, SecondFactors, UpdateOutcome, UserChange, UserUpdate};
use crate::time::Timestamp;

/// What a link undoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undoable {
    /// The first second factor.
    Factor,
    /// A change of a contact.
    Contact,
    /// A provider's account, which signs in as well.
    Identity,
}

/// What became of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UndoOutcome {
    /// It is taken back, and nothing is signed in any more.
    Done(Undoable, AfterUndo),
    /// The token is none, or used, or too old.
    InvalidToken,
}

/// What there is to sign in by after an undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterUndo {
    /// The password of the account is retired: it opens nothing until another took its place.
    PasswordRetired,
    /// The account has no password here. Whatever checks its first factor, a provider or the application, lets its owner in as
    /// before, and whoever else it lets in.
    NoPassword,
}

/// How often a user that changes at the same moment is read anew.
const TRIES: u32 = 3;

/// What `token` undoes still, and what that leaves. It spends nothing.
pub(crate) async fn what(
    parts: &Parts,
    caller: &Caller,
    token: &str,
) -> Result<Option<(Undoable, AfterUndo)>, Fault> {
    let Some((link, user)) = found(parts, caller, token).await? else {
        return Ok(None);
    };
    Ok(Some((undoable(&link), after(parts, &user).await?)))
}

async fn after(parts: &Parts, user: &User) -> Result<AfterUndo, Fault> {
    let kind = CredentialKind::Password;
    let passwords = parts.store.credentials(&user.tenant, &user.id, kind).await?;
    Ok(match passwords.is_empty() {
        true => AfterUndo::NoPassword,
        false => AfterUndo::PasswordRetired,
    })
}

fn undoable(link: &LiveLink) -> Undoable {
    match (link::note(&link.challenge), Added::undone_by(&link.challenge)) {
        (None, _) => Undoable::Factor,
        (Some(_), Some(_)) => Undoable::Identity,
        (Some(_), None) => Undoable::Contact,
    }
}

/// Undoes what `token` was sent for.
pub(crate) async fn undo(parts: &Parts, caller: &Caller, token: &str) -> Result<UndoOutcome, Fault> {
    for _ in 0..TRIES {
        let Some((link, user)) = found(parts, caller, token).await? else {
            note(
                parts,
                caller,
                EventKind::FactorUndone,
                Outcome::Refused,
                "no_such_token",
                None,
            );
            return Ok(UndoOutcome::InvalidToken);
        };
        let what = undoable(&link);
        let left = after(parts, &user).await?;
        let kind = match what {
            Undoable::Factor => EventKind::FactorUndone,
            Undoable::Contact => EventKind::ContactUndone,
            Undoable::Identity => EventKind::IdentityUndone,
        };
        match take_back(parts, caller, &link, &user).await? {
            Taken::Outrun => {}
            Taken::Back(reason) => {
                session::revoke_tokens(parts, &user.tenant, &user.id, None);
                note(parts, caller, kind, Outcome::Granted, reason, Some(&user));
                upkeep::wake(parts);
                return Ok(UndoOutcome::Done(what, left));
            }
            Taken::Not(reason) => {
                note(parts, caller, kind, Outcome::Refused, reason, Some(&user));
                return Ok(UndoOutcome::InvalidToken);
            }
        }
    }
    Err(Fault::Busy)
}

fn note(
    parts: &Parts,
    caller: &Caller,
    kind: EventKind,
    outcome: Outcome,
    reason: &'static str,
    user: Option<&User>,
) {
    let event = parts.event(kind, outcome).because(reason);
    let event = event.from_network(&caller.origin.network);
    parts.record(&match user {
        Some(user) => event.of(&user.tenant, &user.id),
        None => event,
    });
}

/// What one try came to, and why.
enum Taken {
    Back(&'static str),
    Not(&'static str),
    Outrun,
}

async fn take_back(parts: &Parts, caller: &Caller, link: &LiveLink, user: &User) -> Result<Taken, Fault> {
    let (tenant, id, now) = (&user.tenant, &user.id, parts.now());
    let purpose = LinkKind::Undo.purpose();
    // After the user was read: a change that is not among them raised the revision, and this is outrun.
    let all = parts
        .store
        .challenges_to(tenant, purpose, &link::undone(id))
        .await?;
    let later: Vec<Challenge> = all
        .into_iter()
        .filter(|other| is_later(other, &link.challenge))
        .collect();
    let contacts = parts
        .store
        .credentials(tenant, id, CredentialKind::Contact)
        .await?;
    let since = link.challenge.created_at.minus(parts.config.links.undo);
    let Some(before) = before(user, contacts, &link.challenge, &later, since) else {
        return Ok(Taken::Not("changed_since"));
    };
    let restored = User {
        methods: before.methods,
        summary: before.summary,
        ..user.clone()
    };
    let kind = match Moved::undone_by(&link.challenge) {
        None => NoticeKind::FactorsReset { at: now },
        Some(Moved { channel, .. }) => NoticeKind::ContactChanged {
            channel,
            at: now,
            undo: None,
        },
    };
    // Not to what is taken back: that is where the thief reads.
    let notices = upkeep::notices(parts, &restored, &kind, None, caller.language).await?;
    let undone = later.iter().chain([&link.challenge]).filter_map(Moved::undone_by);
    let undone = undone.flat_map(|moved| [moved.from, moved.to]);
    let added = user
        .methods
        .iter()
        .filter(|method| restored.methods.iter().all(|kept| kept.id != method.id));
    let added = added
        .flat_map(|method| [&method.email, &method.phone])
        .flatten()
        .cloned();
    let contacts = undone.chain(added).collect();
    let update = UserUpdate {
        tenant: tenant.clone(),
        user: id.clone(),
        revision: user.revision,
        identifiers: restored.methods.iter().flat_map(update::identifiers).collect(),
        methods: restored.methods,
        password: None,
        contacts,
        notices,
        keep: None,
        beside: Beside {
            second: Some(SecondFactors {
                summary: restored.summary,
                contacts: before.credentials,
            }),
            retire_password: true,
            begin: Vec::new(),
            // The links to whom a thief had the account's messages sent.
            end: later.into_iter().map(|other| other.id).collect(),
            // Spent in the same step: should anything fail, the owner can try again, and what is done is done once.
            paid_by: Some(link.payment(now)),
        },
    };
    let stored = parts.store.update_user(&update);
    match session::ending(parts, tenant, id, stored).await? {
        UpdateOutcome::Done(_) => Ok(Taken::Back("by_link")),
        UpdateOutcome::Outrun => Ok(Taken::Outrun),
        UpdateOutcome::IdentifierTaken(_) => match reclaim(parts, link, user, &update).await? {
            // Free now; and the link is not spent.
            true => Ok(Taken::Outrun),
            false => close(parts, link, user, &update).await,
        },
        UpdateOutcome::Unpaid(_) | UpdateOutcome::Gone | UpdateOutcome::Kept(_) => Ok(Taken::Not("spent")),
    }
}

/// Whether `other` is a link that was made after `link`. One that was used counts as well: it may have closed the account
/// without moving anything, and what it did put back is not put back twice ([`Moved::put_back`]).
fn is_later(other: &Challenge, link: &Challenge) -> bool {
    other.id != link.id && other.created_at >= link.created_at
}

/// The contacts, ways to sign in and second factors of a user as they were before `link` was made and whatever is `later`,
/// newest first; none if there is nothing to take back.
///
/// What was added after `since` is taken for the same hand's, or a thief would add what is to stay before she does what is
/// undone. Only the first factor and the first way to sign in are not: the one has a link of its own, and without the other
/// nobody would come in.
fn before(
    user: &User,
    credentials: Vec<Credential>,
    link: &Challenge,
    later: &[Challenge],
    since: Timestamp,
) -> Option<Contacts> {
    let mut now = Contacts {
        methods: user.methods.clone(),
        summary: user.summary.clone(),
        credentials,
    };
    for moved in later.iter().filter_map(Moved::undone_by) {
        // What the site set since stays.
        moved.put_back(&mut now);
    }
    let enrolled = now.summary.enrolled.iter();
    let first = enrolled.map(|enrolled| enrolled.at).min();
    let taken_back = match (Moved::undone_by(link), Added::undone_by(link)) {
        (Some(moved), _) => Some(moved.put_back(&mut now)),
        (None, Some(added)) => Some(added.take_away(&mut now)),
        (None, None) => None,
    };
    match taken_back {
        Some(false) => return None,
        Some(true) => now.summary.enrolled.retain(|enrolled| {
            enrolled.at < link.created_at && (enrolled.at < since || Some(enrolled.at) == first)
        }),
        // The first one came first, so that all the others are the same hand's.
        None => now.summary.enrolled.clear(),
    }
    // A provider or a phone of the thief's would outlive the undo, and stand beside the address of the password, to which no
    // link for a new one would go then.
    let first = now.methods.iter().map(|method| method.joined_at).min();
    let is_earlier = |method: &Method| {
        let joined = method.joined_at;
        joined <= link.created_at && (joined < since || Some(joined) == first)
    };
    if now.methods.iter().any(is_earlier) {
        now.methods.retain(is_earlier);
    }
    let enrolled = &now.summary.enrolled;
    now.credentials
        .retain(|credential| enrolled.iter().any(|e| e.credential == credential.id));
    Some(now)
}

/// Whether `method` took a contact that `link` gives back and did not prove it: whoever replaced the contact could sign up with
/// it, and so turn the undo against the owner.
fn is_squatter(method: &Method, link: &Challenge) -> bool {
    !method.verified && method.third_party.is_none() && method.joined_at >= link.created_at
}

/// Takes contacts that are given back from accounts that took them since and proved nothing. Whether there was one.
async fn reclaim(parts: &Parts, link: &LiveLink, user: &User, update: &UserUpdate) -> Result<bool, Fault> {
    let mut reclaimed = false;
    for (identifier, _) in &update.identifiers {
        let found = parts.store.user_by_identifier(&user.tenant, identifier).await?;
        let Some(other) = found
            .map(|account| account.user)
            .filter(|other| other.id != user.id)
        else {
            continue;
        };
        let names = |method: &Method| {
            update::identifiers(method)
                .iter()
                .any(|(own, _)| own == identifier)
        };
        let (squatters, methods): (Vec<_>, Vec<_>) = other.methods.into_iter().partition(names);
        if !squatters
            .iter()
            .all(|method| is_squatter(method, &link.challenge))
        {
            continue;
        }
        let work = UserUpdate {
            tenant: other.tenant.clone(),
            user: other.id.clone(),
            revision: other.revision,
            identifiers: methods.iter().flat_map(update::identifiers).collect(),
            methods,
            password: None,
            contacts: vec![identifier.value.clone()],
            // It is reached where the owner of the contact reads.
            notices: Vec::new(),
            keep: None,
            beside: Beside {
                retire_password: true,
                ..Beside::default()
            },
        };
        let stored = parts.store.update_user(&work);
        let done = session::ending(parts, &other.tenant, &other.id, stored).await?;
        if let UpdateOutcome::Done(_) = done {
            session::revoke_tokens(parts, &other.tenant, &other.id, None);
            let event = parts.event(EventKind::ContactUndone, Outcome::Noted);
            parts.record(&event.of(&other.tenant, &other.id).because("contact_reclaimed"));
        }
        // Else it was changed at the same moment, and is looked at again.
        reclaimed = true;
    }
    Ok(reclaimed)
}

/// Another account has the contact by now, and has proved it. It cannot be given back, and must not be left to
/// whoever took it: the account opens for nobody until the site has decided.
async fn close(parts: &Parts, link: &LiveLink, user: &User, update: &UserUpdate) -> Result<Taken, Fault> {
    let change = UserChange {
        state: Some(UserState::Disabled),
        reset_factors: false,
        retire_password: true,
        notices: update.notices.clone(),
        paid_by: Some(link.payment(parts.now())),
    };
    let (tenant, id) = (&user.tenant, &user.id);
    let work = parts.store.change_user(tenant, id, &change);
    Ok(match session::ending(parts, tenant, id, work).await? {
        Some(_) => Taken::Back("contact_taken"),
        None => Taken::Not("spent"),
    })
}

async fn found(parts: &Parts, caller: &Caller, token: &str) -> Result<Option<(LiveLink, User)>, Fault> {
    let tenant = &caller.tenant;
    let Some(link) = link::find(parts, LinkKind::Undo, tenant, token).await? else {
        return Ok(None);
    };
    let Some(id) = link::undoes(&link) else {
        return Ok(None);
    };
    let user = parts.store.user(tenant, &id).await?;
    let user = user.filter(|user| user.state != UserState::Deleted && link.is_of(LinkKind::Undo, user));
    Ok(user.map(|user| (link, user)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::delivery::Channel;
    use crate::evidence::Kind;
    use crate::id::{FactorId, TenantId};
    use crate::record::challenge::{Binding, SLOTS};
    use crate::record::user::Enrolled;
    use crate::time::Timestamp;

    /// What was added from then on is undone with what came after it.
    const SINCE: i64 = 7;

    const fn at(ms: i64) -> Timestamp {
        Timestamp::from_ms(ms)
    }

    /// A link that was made at `ms`; what it keeps, unless it is of an enrollment.
    fn link(id: &str, ms: i64, moved: Option<&Moved>) -> Challenge {
        let note = moved
            .map(|moved| format!(":{}", moved.text().unwrap()))
            .unwrap_or_default();
        Challenge {
            tenant: TenantId::public(),
            id: id.into(),
            binding: Binding {
                purpose: LinkKind::Undo.purpose().to_owned(),
                user: "".into(),
                session: format!("link:{id}{note}").into(),
            },
            destination: "user:ann".to_owned(),
            failed: 0,
            max_failures: 1,
            slots: [None; SLOTS],
            sends: 1,
            next_send_at: at(ms),
            closed: false,
            created_at: at(ms),
            ends_at: at(ms + 1_000),
        }
    }

    fn moved(from: &str, to: &str) -> Moved {
        Moved {
            channel: Channel::Email,
            from: from.to_owned(),
            to: to.to_owned(),
            method: Some(("m".into(), true)),
            second: None,
        }
    }

    /// Signs in with `email`, and enrolled a factor at each of these times.
    fn account(email: &str, enrolled: &[i64]) -> (User, Vec<Credential>) {
        let mut user = User::bare(&TenantId::public(), &"ann".into(), at(0));
        user.methods.push(Method {
            id: "m".into(),
            factor: FactorId::EMAIL_PASSWORD,
            email: Some(email.to_owned()),
            phone: None,
            third_party: None,
            verified: true,
            joined_at: at(0),
        });
        let mut credentials = Vec::new();
        for ms in enrolled {
            let id = ms.to_string();
            user.summary.enrolled.push(Enrolled {
                factor: FactorId::new(&*id),
                credential: id.as_str().into(),
                kind: Kind::Possession,
                channel: None,
                contact: None,
                at: at(*ms),
            });
            credentials.push(Credential {
                tenant: user.tenant.clone(),
                user: user.id.clone(),
                kind: CredentialKind::Contact,
                id: id.as_str().into(),
                public: serde_json::json!({}),
                sealed: None,
                version: 1,
                created_at: at(*ms),
            });
        }
        (user, credentials)
    }

    /// The address and the factors that are left, which have to have their credentials.
    fn left(email: &str, enrolled: &[i64], link: &Challenge, later: &[Challenge]) -> Option<(String, usize)> {
        let (user, credentials) = account(email, enrolled);
        let before = before(&user, credentials, link, later, at(SINCE))?;
        let named = before.summary.enrolled.iter().map(|e| &e.credential);
        assert!(named.eq(before.credentials.iter().map(|c| &c.id)));
        Some((
            before.methods[0].email.clone().unwrap(),
            before.summary.enrolled.len(),
        ))
    }

    #[test]
    fn a_change_is_taken_back_with_what_came_after_it_and_nothing_before_it() {
        let (first, second) = (moved("a", "b"), moved("b", "c"));
        let (first, second) = (link("1", 10, Some(&first)), link("2", 20, Some(&second)));
        let later = std::slice::from_ref(&second);
        assert_eq!(left("c", &[5, 15], &first, later), Some(("a".to_owned(), 1)));
        assert_eq!(left("c", &[5, 6, 25], &second, &[]), Some(("b".to_owned(), 2)));
        // A used one that closed the account moved nothing.
        let closed = Challenge {
            closed: true,
            ..second
        };
        assert_eq!(left("c", &[5], &first, &[closed]), Some(("a".to_owned(), 1)));
    }

    #[test]
    fn a_mfa_22_what_was_added_shortly_before_a_change_goes_with_it_but_for_the_first() {
        let link = link("1", 10, Some(&moved("a", "b")));
        assert_eq!(left("b", &[5, 8], &link, &[]), Some(("a".to_owned(), 1)));
        assert_eq!(left("b", &[5, 6, 7, 9], &link, &[]), Some(("a".to_owned(), 2)));
        // The first one is undone by a link of its own.
        assert_eq!(left("b", &[8, 9], &link, &[]), Some(("a".to_owned(), 1)));
        assert_eq!(left("b", &[11], &link, &[]), Some(("a".to_owned(), 0)));
    }

    #[test]
    fn an_enrollment_is_taken_back_with_every_factor_and_with_the_changes_since() {
        let changed = link("2", 20, Some(&moved("a", "b")));
        let enrollment = link("1", 10, None);
        assert_eq!(
            left("b", &[10, 25], &enrollment, &[changed]),
            Some(("a".to_owned(), 0))
        );
        assert_eq!(left("a", &[10], &enrollment, &[]), Some(("a".to_owned(), 0)));
    }

    #[test]
    fn what_the_site_set_since_stays() {
        let changed = link("2", 20, Some(&moved("a", "b")));
        assert_eq!(left("site", &[5], &changed, &[]), None);
        assert_eq!(
            left("site", &[10], &link("1", 10, None), &[changed]),
            Some(("site".to_owned(), 0))
        );
    }

    #[test]
    fn later_is_what_was_made_afterwards_whether_or_not_it_was_used() {
        let own = link("1", 10, None);
        let used = Challenge {
            closed: true,
            ..link("4", 20, None)
        };
        let others = [
            own.clone(),
            link("2", 9, None),
            link("3", 10, None),
            used,
            link("5", 20, None),
        ];
        let later = others.iter().filter(|other| is_later(other, &own));
        assert_eq!(
            later.map(|other| other.id.as_str()).collect::<Vec<_>>(),
            ["3", "4", "5"]
        );
    }

    #[test]
    fn a_mfa_22_only_who_took_a_contact_since_and_never_proved_it_loses_it_again() {
        let link = link("l", 10, None);
        let (user, _) = account("a@x.test", &[]);
        for (verified, ms, loses) in [(false, 10, true), (false, 9, false), (true, 11, false)] {
            let method = Method {
                verified,
                joined_at: at(ms),
                ..user.methods[0].clone()
            };
            assert_eq!(is_squatter(&method, &link), loses, "{verified} {ms}");
        }
    }

    #[test]
    fn a_mfa_41_what_was_added_after_the_factor_goes_and_what_was_there_before_stays() {
        let left = |joined: &[i64]| {
            let (mut user, credentials) = account("a@x.test", &[]);
            let own = user.methods.remove(0);
            user.methods.extend(joined.iter().map(|ms| Method {
                joined_at: at(*ms),
                ..own.clone()
            }));
            let left = before(&user, credentials, &link("l", 10, None), &[], at(SINCE)).unwrap();
            left.methods
                .iter()
                .map(|method| method.joined_at.as_ms())
                .collect::<Vec<_>>()
        };
        assert_eq!(left(&[5, 11]), [5]);
        assert_eq!(left(&[12, 10, 20]), [10]);
        assert_eq!(left(&[5, 6, 10]), [5, 6]);
        assert_eq!(left(&[8, 9]), [8]);
        // Nothing would be left to sign in by.
        assert_eq!(left(&[11, 12]), [11, 12]);
    }
}
