//! What a session may know of its factors: the protocol's `mfa/info`.

use std::collections::BTreeMap;

use crate::config::OwnMailbox;
use crate::delivery::Channel;
use crate::error::Fault;
use crate::event::{EventKind, Outcome};
use crate::flow::session::{self, Checked, SessionEnded};
use crate::flow::{IssuedTokens, code, leave};
use crate::id::FactorId;
use crate::parts::Parts;
use crate::policy::{self, EnrollRefusal, FactorChoices};
use crate::session::access::AccessClaims;
use crate::session::claim::{mask_contact, mask_email};

/// Addresses by factor, as the protocol's `emails` and `phoneNumbers` are.
pub type ByFactor = BTreeMap<FactorId, Vec<String>>;

/// What became of the question.
#[derive(Debug)]
pub enum FactorInfoOutcome {
    /// The answer.
    Known(Box<FactorInfo>),
    /// The session is gone.
    Ended,
    /// The user may add a second factor only after signing in again.
    SignInAgain,
    /// A factor is demanded that nothing on offer can meet.
    Stuck,
}

/// What a session may know of its factors.
#[derive(Clone, Debug)]
pub struct FactorInfo {
    /// What is due, set up, and may be set up.
    pub choices: FactorChoices,
    /// E-mail addresses by factor; the client uses the first.
    pub emails: ByFactor,
    /// Phone numbers by factor; the client sends a code to the first.
    pub phones: ByFactor,
    /// A new access token, if the derived claims had changed. It never raises a factor.
    pub tokens: Option<IssuedTokens>,
}

/// Answers for the session behind `access`.
pub(crate) async fn factors(parts: &Parts, access: &AccessClaims) -> Result<FactorInfoOutcome, Fault> {
    let checked = match session::check(parts, access, None).await? {
        Ok(checked) => checked,
        Err(SessionEnded) => return Ok(FactorInfoOutcome::Ended),
    };
    let user = &checked.look.user;
    // The login method behind the session must still be the user's. A user whom the application made in its own
    // transaction has none here: its first factor is the application's.
    let methods = &user.methods;
    if !methods.is_empty() && methods.iter().all(|m| m.id != checked.look.session.method) {
        return Ok(FactorInfoOutcome::Ended);
    }
    let methods: Vec<FactorId> = user.methods.iter().map(|m| m.factor.clone()).collect();
    let leave = leave::of(parts, &checked).await?;
    let enroll = |factor: &FactorId| code::enrollable(parts, &checked, leave, factor);
    // Whoever lacks leave asks for it by trying, and is told then.
    let may_try = |factor: &FactorId| {
        matches!(
            enroll(factor),
            Ok(()) | Err(EnrollRefusal::Confirm | EnrollRefusal::Approval)
        )
    };
    let choices = policy::choices(&parts.offered, &methods, &user.summary, &checked.standing, |f| {
        may_try(f)
    });
    let Some(choices) = choices else {
        let again = checked
            .standing
            .next
            .iter()
            .any(|f| enroll(f) == Err(EnrollRefusal::SignInAgain));
        if again {
            return Ok(FactorInfoOutcome::SignInAgain);
        }
        let event = parts
            .event(EventKind::PolicyStuck, Outcome::Refused)
            .of(&user.tenant, &user.id);
        parts.record(&event.in_session(&checked.look.session.handle));
        return Ok(FactorInfoOutcome::Stuck);
    };
    let (emails, phones) = contacts(parts, &checked, &choices);
    let tokens = if is_stale(&checked, access) {
        Some(session::reissue(
            parts,
            &checked.look.session,
            &user.summary,
            access,
        )?)
    } else {
        None
    };
    Ok(FactorInfoOutcome::Known(Box::new(FactorInfo {
        choices,
        emails,
        phones,
        tokens,
    })))
}

/// Whether the token says of the factors what no longer holds.
fn is_stale(checked: &Checked, access: &AccessClaims) -> bool {
    let standing = &checked.standing;
    let done = &checked.done;
    let Some(mfa) = access.mfa() else { return true };
    mfa.satisfied != standing.satisfied
        || access.second_factor().is_some_and(|claim| claim.completed) != standing.second_factor
        || mfa.completed.len() != done.len()
        || done
            .iter()
            .any(|(id, c)| mfa.completed.get(id).map(|at| at.as_secs()) != Some(c.at.as_secs()))
}

/// The addresses as this session may see them. The client sends back the one of the factor that is due, so that one is in
/// clear unless all are masked; of the others nothing but their shape is needed (threat A-MFA-28).
fn contacts(parts: &Parts, checked: &Checked, choices: &FactorChoices) -> (ByFactor, ByFactor) {
    let user = &checked.look.user;
    let settled = |factor: &FactorId| parts.config.mask_settled && !checked.standing.next.contains(factor);
    let mut emails = ByFactor::new();
    let mut phones = ByFactor::new();
    if parts.password.is_some() {
        let own = user
            .methods
            .iter()
            .filter(|m| m.factor == FactorId::EMAIL_PASSWORD)
            .filter_map(|m| m.email.as_deref());
        let shown = own.map(|email| {
            if settled(&FactorId::EMAIL_PASSWORD) {
                mask_email(email)
            } else {
                email.to_owned()
            }
        });
        emails.insert(FactorId::EMAIL_PASSWORD, shown.collect());
    }
    let Some(codes) = &parts.passwordless else {
        return (emails, phones);
    };
    let stored = |factor: &FactorId| {
        let contact = user.summary.enrolled(factor)?.contact.clone()?;
        let masked = parts.config.mask_contacts || settled(factor);
        Some(if masked { mask_contact(&contact) } else { contact })
    };
    if codes.way(Channel::Sms).is_some() {
        phones.insert(
            FactorId::OTP_PHONE,
            stored(&FactorId::OTP_PHONE).into_iter().collect(),
        );
    }
    if codes.second(Channel::Email).is_some() {
        let mut list: Vec<String> = stored(&FactorId::OTP_EMAIL).into_iter().collect();
        // Nothing is enrolled: what may be is suggested, and the client asks for a code to the first (contract, mfa/info).
        let may_be_own = parts.config.codes.own_mailbox == OwnMailbox::Admitted;
        let due = choices.allowed_to_set_up.contains(&FactorId::OTP_EMAIL) && !settled(&FactorId::OTP_EMAIL);
        if user.summary.enrolled(&FactorId::OTP_EMAIL).is_none() && may_be_own && due {
            // Not the mailbox behind the provider that signed in: it does not second itself (R-MFA-6).
            let opened = |email: &String| {
                let traveled = Some(parts.channel(Channel::Email, email));
                checked
                    .done
                    .values()
                    .any(|done| done.first && done.channel == traveled)
            };
            let own = user.methods.iter().filter_map(|m| m.email.clone());
            list.extend(own.filter(|email| !opened(email)));
        }
        emails.insert(FactorId::OTP_EMAIL, list);
    }
    (emails, phones)
}
