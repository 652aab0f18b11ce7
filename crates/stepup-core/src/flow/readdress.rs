//! Another contact in the place of one, by whoever is signed in: a code goes to the new one, and a right answer in the same
//! session replaces the old one.
//!
//! Until then nothing is changed: codes and links go where they went (threat A-MFA-22). Whose the new contact is, nobody is
//! told: it is written to like any other, and only who reads it hears that it is another account's. The change is one write,
//! which the code pays for; it ends all other sessions (R-MFA-8), and tells the contacts of before, which can undo it.

use std::sync::Arc;

use crate::caller::Caller;
use crate::config::OwnMailbox;
use crate::delivery::{Channel, Content, Deliver, NoticeKind, NoticeLink};
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::factor::passwordless::{self, BoundTo, DeviceId};
use crate::flow::code::{self, CodeRefusal, General, SentCode, country_of, session_for};
use crate::flow::contact::{Contact, identifier};
use crate::flow::dispatch::{Parcel, hand_over};
use crate::flow::link::{self, LinkKind};
use crate::flow::moved::{Contacts, Moved, address};
use crate::flow::own::Role;
use crate::flow::session::{self, Checked};
use crate::flow::{SignedIn, account, kept, key, mailbox, update, upkeep};
use crate::id::{CredentialId, MethodId};
use crate::limit::{self, Leave};
use crate::parts::Parts;
use crate::record::challenge::{Answer, Binding, Challenge, Slot};
use crate::record::session::Session;
use crate::record::user::{Identifier, User};
use crate::secret::Secret;
use crate::session::access::AccessClaims;
use crate::storage::{Beside, Look, Payment, SecondFactors, UpdateOutcome, UserUpdate};

/// What became of an answer that is to replace a contact.
#[derive(Debug)]
pub enum ContactOutcome {
    /// It is replaced. Everything else that was signed in is signed in no more; here are new tokens for this session.
    Changed(Box<SignedIn>),
    /// Wrong.
    Incorrect {
        /// Failures of this challenge so far.
        failed: u32,
        /// How many end it.
        max: u32,
    },
    /// Right, but too late.
    Expired {
        /// Failures of this challenge so far.
        failed: u32,
        /// How many end it.
        max: u32,
    },
    /// Right, and another account signs in with the contact. Only who reads it is told.
    Taken,
    /// Refused.
    Refused(CodeRefusal),
}

/// How often a user that changes at the same moment is read anew.
const TRIES: u32 = 3;

/// Where a contact stands that is to be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    channel: Channel,
    is: String,
    method: Option<(MethodId, bool)>,
    second: Option<CredentialId>,
}

impl Place {
    /// The purpose of a code that replaces it. What follows the colon is no factor, so that the completion of one ends no
    /// change.
    fn purpose(&self) -> String {
        let role = match (&self.method, &self.second) {
            (Some(_), Some(_)) => "both",
            (Some(_), None) => "first",
            (None, _) => "second",
        };
        purpose(self.channel, role)
    }
}

fn purpose(channel: Channel, role: &str) -> String {
    let kind = match channel {
        Channel::Sms => "phone",
        Channel::Email => "mailbox",
    };
    format!("contact:{kind}/{role}")
}

/// The place of the contact of `channel` in `role`. Where no role is named it is the one that signs in, and with it the second
/// factor whose codes go to the same place; or that of the second factor, if nothing signs in by the channel.
fn place(
    parts: &Parts,
    checked: &Checked,
    channel: Channel,
    role: Option<Role>,
) -> Result<Place, CodeRefusal> {
    let Look {
        user,
        session,
        contacts,
        ..
    } = &checked.look;
    let signs_in = user.methods.iter().filter(|m| update::signs_in_by(m, channel));
    // The one that opened this session first, should there be several.
    let method = signs_in
        .max_by_key(|method| method.id == session.method)
        .and_then(|method| {
            let contact = match channel {
                Channel::Sms => &method.phone,
                Channel::Email => &method.email,
            };
            Some((contact.clone()?, (method.id.clone(), method.verified)))
        });
    let factor = passwordless::factor_of(channel, false);
    let enrolled = user.summary.enrolled(&factor).map(|enrolled| {
        let credential = contacts.iter().find(|c| c.id == enrolled.credential);
        let own = credential.and_then(address).map(str::to_owned);
        // Nobody may put another one in the place of a credential that vanished (A-LEG-03).
        let own = own.ok_or(CodeRefusal::General(General::Unusable))?;
        Ok((own, enrolled.credential.clone()))
    });
    let second = enrolled.transpose()?;
    let of_method = |(is, method), second| Place {
        channel,
        is,
        method: Some(method),
        second,
    };
    let of_second = |(is, second)| Place {
        channel,
        is,
        method: None,
        second: Some(second),
    };
    let found = match (role, method, second) {
        (Some(Role::First), method, _) => method.map(|method| of_method(method, None)),
        (Some(Role::Second), _, second) => second.map(of_second),
        (None, Some(method), second) => {
            // Where a mailbox that signs in may be no second factor, none is made one by moving along.
            let along = parts.config.codes.own_mailbox == OwnMailbox::Admitted;
            let second = second
                .filter(|(is, _)| along && *is == method.0)
                .map(|(_, id)| id);
            Some(of_method(method, second))
        }
        (None, None, second) => second.map(of_second),
    };
    found.ok_or(CodeRefusal::NotOffered)
}

/// Whether `new` may stand in `place`, by what is the user's own. Whose it is else, is not asked.
async fn may_stand(
    parts: &Parts,
    checked: &Checked,
    place: &Place,
    new: &str,
) -> Result<Result<(), General>, Fault> {
    if place.is == new {
        return Ok(Err(General::Unchanged));
    }
    let user = &checked.look.user;
    if place.second.is_some() {
        // As at an enrollment: what opened the session proves nothing more (R-MFA-6).
        let traveled = Some(parts.channel(place.channel, new));
        let opened = checked
            .done
            .values()
            .any(|done| done.first && done.channel == traveled);
        let refuses_own = parts.config.codes.own_mailbox == OwnMailbox::Refused;
        let is_own = place.channel == Channel::Email && refuses_own;
        if opened || (is_own && code::signs_in_with(parts, user, new).await?) {
            return Ok(Err(General::OwnMailbox));
        }
    }
    let mut others = user
        .summary
        .enrolled
        .iter()
        .filter(|e| Some(&e.credential) != place.second.as_ref());
    // A second factor never becomes a key (threat A-LEG-07).
    if place.method.is_some() && others.any(|other| other.contact.as_deref() == Some(new)) {
        return Ok(Err(General::SecondFactor));
    }
    Ok(Ok(()))
}

/// What carries codes by `channel`, whether or not they are a factor here.
fn carrier(parts: &Parts, channel: Channel) -> Option<Arc<dyn Deliver>> {
    let factor = parts.passwordless.as_ref();
    let way = factor
        .and_then(|factor| factor.way(channel))
        .map(|way| way.deliver.clone());
    way.or_else(|| parts.notices.clone().filter(|deliver| deliver.carries(channel)))
}

fn note(
    parts: &Parts,
    caller: &Caller,
    checked: &Checked,
    kind: EventKind,
    outcome: Outcome,
    reason: &'static str,
) {
    let Look { user, session, .. } = &checked.look;
    let event = parts
        .event(kind, outcome)
        .of(&user.tenant, &user.id)
        .because(reason);
    parts.record(
        &event
            .in_session(&session.handle)
            .from_network(&caller.origin.network),
    );
}

/// Sends a code to the contact that is to take the place of the one in `role`.
pub(crate) async fn ask(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
    contact: &Contact,
    role: Option<Role>,
) -> Result<Result<SentCode, CodeRefusal>, Fault> {
    let channel = contact.channel();
    let Some(deliver) = carrier(parts, channel) else {
        return Ok(Err(CodeRefusal::NotOffered));
    };
    let checked = match session_for(parts, access, None).await? {
        Ok(checked) => checked,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let refuse = |refusal, reason| {
        note(
            parts,
            caller,
            &checked,
            EventKind::ContactAsked,
            Outcome::Refused,
            reason,
        );
        Ok(Err(refusal))
    };
    if let Err(refusal) = key::admitted(parts, caller, &checked, channel).await? {
        return refuse(refusal, "change_closed");
    }
    let place = match place(parts, &checked, channel, role) {
        Ok(place) => place,
        Err(refusal) => return refuse(refusal, "no_such_contact"),
    };
    let to = contact.as_str();
    if let Err(general) = may_stand(parts, &checked, &place, to).await? {
        return refuse(CodeRefusal::General(general), "own_contact");
    }
    if let Contact::Phone(number) = contact
        && !parts
            .passwordless
            .as_ref()
            .is_some_and(|factor| factor.countries.admit(number))
    {
        return refuse(CodeRefusal::General(General::NotServed), "not_served");
    }
    let unsent = match code::budget(parts, caller, &checked, channel, to, false).await? {
        Ok(unsent) => unsent,
        Err(spent) => return refuse(CodeRefusal::General(spent), "budget"),
    };
    code::announce(parts, caller, &checked, channel, to).await?;
    let device = DeviceId::random(&*parts.entropy)?;
    let (challenge, code) = challenge(parts, &checked, &device, place.purpose(), to)?;
    parts.store.put_challenge(&challenge).await?;
    let lifetime = parts.config.codes.lifetime;
    let user = &checked.look.user;
    let content = Content::Code {
        code,
        lifetime,
        // It opens nothing: no carrier should call it a code to sign in by.
        second_factor: true,
    };
    let about = parts.event(EventKind::DeliverySent, Outcome::Noted);
    let parcel = Parcel {
        deliver,
        message: upkeep::message(parts, channel, &challenge, content, caller.language),
        about: about.of(&user.tenant, &user.id),
        unsent,
    };
    if hand_over(parts, parcel).is_err() {
        return refuse(CodeRefusal::General(General::Busy), "queue_full");
    }
    note(
        parts,
        caller,
        &checked,
        EventKind::ContactAsked,
        Outcome::Granted,
        "sent",
    );
    Ok(Ok(SentCode {
        device,
        challenge: challenge.id,
    }))
}

/// A challenge to `to`, bound to the session that asks, and its code.
fn challenge(
    parts: &Parts,
    checked: &Checked,
    device: &DeviceId,
    purpose: String,
    to: &str,
) -> Result<(Challenge, Secret<String>), Fault> {
    let Look { user, session, .. } = &checked.look;
    let (now, codes) = (parts.now(), &parts.config.codes);
    let id = device.challenge();
    let binding = Binding {
        purpose,
        user: user.id.clone(),
        session: session.handle.clone(),
    };
    let bound = BoundTo {
        tenant: &user.tenant,
        challenge: &id,
        binding: &binding,
        destination: to,
    };
    let code = passwordless::draw(&*parts.entropy, &parts.keyring, codes.digits, &bound)?;
    let slot = Slot {
        mac: code.mac,
        expires_at: now.plus(codes.lifetime),
    };
    let challenge = Challenge {
        tenant: user.tenant.clone(),
        id,
        binding,
        destination: to.to_owned(),
        failed: 0,
        max_failures: codes.attempts,
        slots: [Some(slot), None, None],
        sends: 1,
        next_send_at: now.plus(codes.resend_base),
        closed: false,
        created_at: now,
        ends_at: now.plus(codes.challenge).min(session.end()),
    };
    Ok((challenge, code.text))
}

/// Judges an answer, and replaces the contact if it is right.
pub(crate) async fn confirm(
    parts: &Parts,
    caller: &Caller,
    access: &AccessClaims,
    device: &DeviceId,
    typed: &str,
) -> Result<ContactOutcome, Fault> {
    let id = device.challenge();
    let mut checked = match session_for(parts, access, Some(&id)).await? {
        Ok(checked) => checked,
        Err(refusal) => return Ok(ContactOutcome::Refused(refusal)),
    };
    // Charged before anything is compared, and whether or not the challenge is this session's.
    let Look { user, challenge, .. } = &checked.look;
    let to = challenge.as_ref().map_or("", |challenge| &challenge.destination);
    let limits = account::limits(parts);
    let asks = [
        limits.new_contact(&user.tenant, &user.id),
        limits.new_contact_at(&user.tenant, &user.id, to),
    ];
    if let Leave::Refused { retry_after, .. } = limit::ask(&*parts.store, &asks, parts.now()).await? {
        note(
            parts,
            caller,
            &checked,
            EventKind::Throttled,
            Outcome::Refused,
            "new_contact",
        );
        return Ok(ContactOutcome::Refused(CodeRefusal::General(General::Throttled(
            retry_after,
        ))));
    }
    for _ in 0..TRIES {
        let (outcome, reason) = match answer(parts, caller, &checked, typed).await? {
            Answered::Outrun => {
                // Another verb changed the user in between; it never does so for long.
                checked = match session_for(parts, access, Some(&id)).await? {
                    Ok(checked) => checked,
                    Err(refusal) => return Ok(ContactOutcome::Refused(refusal)),
                };
                continue;
            }
            Answered::Changed(signed_in) => (ContactOutcome::Changed(signed_in), ""),
            Answered::Not(outcome, reason) => (outcome, reason),
        };
        if let ContactOutcome::Changed(_) = &outcome {
            let [by_account, _] = asks;
            parts.store.clear(&[by_account.key]).await?;
            note(
                parts,
                caller,
                &checked,
                EventKind::ContactChanged,
                Outcome::Granted,
                "by_code",
            );
        } else {
            note(
                parts,
                caller,
                &checked,
                EventKind::ContactChanged,
                Outcome::Refused,
                reason,
            );
        }
        return Ok(outcome);
    }
    Err(Fault::Busy)
}

/// What one try came to.
enum Answered {
    Changed(Box<SignedIn>),
    Not(ContactOutcome, &'static str),
    Outrun,
}

/// The place that the code of a challenge replaces, if the challenge is this session's and the place is still there.
fn place_of(parts: &Parts, checked: &Checked, challenge: &Challenge) -> Option<Place> {
    let Look { user, session, .. } = &checked.look;
    let Binding {
        purpose: named,
        user: of,
        session: handle,
    } = &challenge.binding;
    if *of != user.id || *handle != session.handle || challenge.tenant != user.tenant {
        return None;
    }
    let roles = [
        ("first", Some(Role::First)),
        ("second", Some(Role::Second)),
        ("both", None),
    ];
    for channel in [Channel::Sms, Channel::Email] {
        for (name, role) in roles {
            if *named == purpose(channel, name) {
                let place = place(parts, checked, channel, role).ok()?;
                return (place.purpose() == *named).then_some(place);
            }
        }
    }
    None
}

async fn answer(parts: &Parts, caller: &Caller, checked: &Checked, typed: &str) -> Result<Answered, Fault> {
    let refused = |refusal, reason| Ok(Answered::Not(ContactOutcome::Refused(refusal), reason));
    let Look {
        user,
        session: old,
        contacts,
        challenge,
    } = &checked.look;
    let found = challenge
        .as_ref()
        .and_then(|challenge| Some((challenge, place_of(parts, checked, challenge)?)));
    let Some((challenge, place)) = found else {
        return refused(CodeRefusal::Restart, "no_such_challenge");
    };
    // Leave may have ended, or been taken back, since the code was sent.
    if let Err(refusal) = key::admitted(parts, caller, checked, place.channel).await? {
        return refused(refusal, "change_closed");
    }
    let to = &challenge.destination;
    if let Err(general) = may_stand(parts, checked, &place, to).await? {
        return refused(CodeRefusal::General(general), "own_contact");
    }
    let moved = Moved {
        channel: place.channel,
        from: place.is,
        to: to.clone(),
        method: place.method,
        second: place.second,
    };
    let mut now_stands = Contacts {
        methods: user.methods.clone(),
        summary: user.summary.clone(),
        credentials: contacts.clone(),
    };
    if !moved.apply(&mut now_stands) {
        return refused(CodeRefusal::Restart, "no_such_contact");
    }
    let bound = BoundTo {
        tenant: &user.tenant,
        challenge: &challenge.id,
        binding: &challenge.binding,
        destination: to,
    };
    let macs = match passwordless::is_code(typed, parts.config.codes.digits) {
        true => passwordless::macs(&parts.keyring, &bound, typed),
        false => Vec::new(),
    };
    let now = parts.now();
    let undo = link::make_undo(parts, user, &moved.text()?)?;
    let url = link::url(parts, LinkKind::Undo, &user.tenant, &undo.token);
    let kind = NoticeKind::ContactChanged {
        channel: moved.channel,
        at: now,
        undo: Some(NoticeLink::new(&url)),
    };
    // The user as it was: what the new contact reads must not be how the change is undone (R-MFA-10).
    let notices = upkeep::notices(parts, user, &kind, None, caller.language).await?;
    let secret: Secret<[u8; 32]> = Secret::new(parts.random()?);
    let work = UserUpdate {
        tenant: user.tenant.clone(),
        user: user.id.clone(),
        revision: user.revision,
        identifiers: now_stands.methods.iter().flat_map(update::identifiers).collect(),
        methods: now_stands.methods,
        password: None,
        contacts: vec![moved.from.clone(), moved.to.clone()],
        notices,
        keep: Some(kept::going_on(parts, old, &secret, now)),
        beside: Beside {
            second: moved.second.is_some().then_some(SecondFactors {
                summary: now_stands.summary,
                contacts: now_stands.credentials,
            }),
            begin: vec![undo.challenge],
            paid_by: Some(Payment {
                challenge: challenge.id.clone(),
                binding: challenge.binding.clone(),
                macs,
                now,
            }),
            ..Beside::default()
        },
    };
    let max = challenge.max_failures;
    let stored = parts.store.update_user(&work);
    let (session, user) = match session::ending(parts, &user.tenant, &user.id, stored).await? {
        UpdateOutcome::Kept(kept) => *kept,
        UpdateOutcome::Outrun => return Ok(Answered::Outrun),
        UpdateOutcome::Gone | UpdateOutcome::Done(_) => return refused(CodeRefusal::Ended, "ended"),
        UpdateOutcome::IdentifierTaken(_) => return Ok(Answered::Not(ContactOutcome::Taken, "taken")),
        UpdateOutcome::Unpaid(answer) => return Ok(wrong(answer, max)),
    };
    changed(parts, &moved, session, user, secret).await
}

/// What an answer is told that paid for nothing.
fn wrong(answer: Answer, max: u32) -> Answered {
    let (outcome, reason) = match answer {
        Answer::Wrong { failed } | Answer::Expired { failed } if failed >= max => {
            (ContactOutcome::Refused(CodeRefusal::Restart), "used_up")
        }
        Answer::Wrong { failed } => (ContactOutcome::Incorrect { failed, max }, "wrong"),
        Answer::Expired { failed } => (ContactOutcome::Expired { failed, max }, "expired"),
        Answer::Gone | Answer::Right => (ContactOutcome::Refused(CodeRefusal::Restart), "gone"),
    };
    Answered::Not(outcome, reason)
}

/// What follows in this process from a change that is written, and the tokens by which its session goes on.
async fn changed(
    parts: &Parts,
    moved: &Moved,
    session: Session,
    user: User,
    secret: Secret<[u8; 32]>,
) -> Result<Answered, Fault> {
    let signs_in = moved
        .method
        .is_some()
        .then(|| identifier(moved.channel, &moved.to));
    let signs_in: Vec<Identifier> = signs_in.into_iter().collect();
    update::updated(parts, &user, &signs_in, false, Some(&session.handle)).await?;
    if moved.channel == Channel::Sms {
        let answered = account::limits(parts).verified(&country_of(&moved.to));
        limit::ask(&*parts.store, &[answered], parts.now()).await?;
    }
    let (mut session, mut user) = (session, user);
    if parts.verifies_email() {
        let look = Look {
            session: session.clone(),
            user: user.clone(),
            contacts: Vec::new(),
            challenge: None,
        };
        if let Some(look) = mailbox::claimed(parts, look).await? {
            (session, user) = (look.session, look.user);
        }
    }
    let signed_in = kept::gone_on(parts, session, user, secret)?;
    Ok(Answered::Changed(Box::new(signed_in)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::factor::passwordless::factor_of;

    #[test]
    fn each_place_has_a_purpose_of_its_own_and_none_is_a_factors() {
        let mut purposes = Vec::new();
        for channel in [Channel::Sms, Channel::Email] {
            for (method, second) in [(true, true), (true, false), (false, true)] {
                let place = Place {
                    channel,
                    is: "a".to_owned(),
                    method: method.then(|| ("m".into(), true)),
                    second: second.then(|| "c".into()),
                };
                purposes.push(place.purpose());
            }
        }
        for (at, purpose) in purposes.iter().enumerate() {
            assert!(!purposes[..at].contains(purpose), "{purpose}");
            let factor = Binding {
                purpose: purpose.clone(),
                user: "u".into(),
                session: "s".into(),
            }
            .factor();
            for channel in [Channel::Sms, Channel::Email] {
                // A factor that is completed in the meantime would end the change.
                assert_ne!(factor, factor_of(channel, false), "{purpose}");
            }
        }
    }

    #[test]
    fn the_last_wrong_answer_ends_the_challenge() {
        let told = |answer| match wrong(answer, 5) {
            Answered::Not(ContactOutcome::Incorrect { failed, max: 5 }, "wrong") => failed,
            Answered::Not(ContactOutcome::Expired { failed, max: 5 }, "expired") => 10 + failed,
            Answered::Not(ContactOutcome::Refused(CodeRefusal::Restart), _) => 0,
            _ => 99,
        };
        let answers = [
            Answer::Wrong { failed: 4 },
            Answer::Expired { failed: 4 },
            Answer::Wrong { failed: 5 },
            Answer::Expired { failed: 5 },
            Answer::Gone,
        ];
        assert_eq!(answers.map(told), [4, 14, 0, 0, 0]);
    }
}
