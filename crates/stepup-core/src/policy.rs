//! Policy: what is still missing. One pure function decides it, for every path that makes or refreshes a session
//! (R-MFA-1); nothing else calls a session complete.

use std::time::Duration;

use crate::evidence::{Completed, Completion, Kind};
use crate::id::FactorId;
use crate::record::user::Summary;
use crate::time::Timestamp;

/// What the site demands.
#[derive(Clone, Debug)]
pub struct Policy {
    accepted: Option<Vec<FactorId>>,
    enrollment: EnrollmentMode,
    asked: Asked,
}

/// Where the second factor is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    AtSignIn,
    OnRoutesOnly,
}

/// A list of factors any one of which will do.
#[derive(Clone, Debug)]
pub struct AnyOf(Vec<FactorId>);

/// Any one of `factors`.
pub fn any_of(factors: impl IntoIterator<Item = FactorId>) -> AnyOf {
    AnyOf(factors.into_iter().collect())
}

impl Policy {
    /// Demands a second factor of every user: any one of the listed.
    pub fn second_factor(any_of: AnyOf) -> Self {
        Self {
            accepted: Some(any_of.0),
            enrollment: EnrollmentMode::default(),
            asked: Asked::AtSignIn,
        }
    }

    /// Demands a second factor only of users who have one. Whoever has one is always asked for it (R-MFA-3).
    pub fn when_enrolled() -> Self {
        Self {
            accepted: None,
            enrollment: EnrollmentMode::default(),
            asked: Asked::AtSignIn,
        }
    }

    /// Never satisfied: what holds where nobody can say what does.
    pub(crate) fn never() -> Self {
        Self::second_factor(any_of([]))
    }

    /// Asks for the second factor where a route demands it (`Require2fa`, `Fresh`), and not at sign-in: a session with a
    /// first factor is complete for everything else.
    ///
    /// Whatever changes factors, contacts or sessions still wants the second factor of whoever has one (R-MFA-3): it is
    /// held at `2fa-completed` then. A password is the only thing between a stranger and such a session, and has to be
    /// longer.
    #[must_use]
    pub fn on_routes_only(mut self) -> Self {
        self.asked = Asked::OnRoutesOnly;
        self
    }

    /// Whether a session without a second factor may be complete: none is demanded, or not at sign-in.
    pub fn lets_in_by_one_factor(&self) -> bool {
        self.accepted.is_none() || self.asked == Asked::OnRoutesOnly
    }

    /// How the first second factor of an account comes about.
    #[must_use]
    pub fn with_enrollment(mut self, mode: EnrollmentMode) -> Self {
        self.enrollment = mode;
        self
    }

    /// See [`Policy::with_enrollment`].
    pub fn enrollment(&self) -> EnrollmentMode {
        self.enrollment
    }

    /// The factors that the site demands one of, if it demands any.
    pub fn demanded(&self) -> Option<&[FactorId]> {
        self.accepted.as_deref()
    }
}

/// How the first second factor of an account may be enrolled, and where there is none yet, a provider be added as another way to
/// sign in or a contact be changed. Whoever stole the password could do it first, so each mode narrows when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum EnrollmentMode {
    /// With a first factor no older than the step-up age (5 min), judged when the code is created (R-MFA-4).
    #[default]
    FreshFirstFactor,
    /// Only in the session that signed the account up; a later sign-in cannot (threat A-MFA-41).
    InSignUpSession,
    /// After a link in the account's verified mailbox was followed, whose message names all that it may be for, and only in
    /// the session that asked for it: a password is not enough (threat A-MFA-41).
    ConfirmByEmail,
    /// After an administrator gave leave (`Stepup::approve_enrollment`) to the session that asked. It asks with a first factor
    /// no older than the step-up age, and waits for no longer than it lives.
    Approve,
}

/// Whether stepup itself has a second factor at this site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondFactor {
    /// It does: its claims and views are its own, and nobody else writes them.
    BuiltIn,
    /// None is offered and none is demanded: the names of its claims and views are like any others, and what needs a
    /// second factor admits nobody.
    Absent,
}

impl SecondFactor {
    /// What a site of this policy has.
    pub fn of(policy: &Policy, offered: &[Offered]) -> Self {
        if offered.is_empty() && policy.demanded().is_none() {
            Self::Absent
        } else {
            Self::BuiltIn
        }
    }
}

/// What the application offers as second factors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offered {
    /// The factor.
    pub factor: FactorId,
    /// Its kind.
    pub kind: Kind,
}

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The policy is satisfied: `st-mfa.v`.
    pub satisfied: bool,
    /// The policy is satisfied and two distinct factors were completed: `2fa-completed.v`.
    pub second_factor: bool,
    /// The completion time of the newest accepted second factor; without one, that of the first factor.
    pub at: Timestamp,
    /// The newest accepted second factor.
    pub newest: Option<FactorId>,
    /// Factors any one of which is due next; empty when satisfied, and when the user is stuck.
    pub next: Vec<FactorId>,
    /// Whether a demand is unmet that nothing on offer can meet.
    pub stuck: bool,
}

/// Decides where a session with the factors `done`, of a user with `summary`, stands.
///
/// A completed factor counts as a second one if it did not open the session, and is of another kind and another
/// channel than the one that did (R-MFA-6). Three demands are looked at: that of the site, that of the user
/// (`summary.required`), and the floor: a user with any verified second factor is asked for one (R-MFA-3). A demand that
/// names only unknown factors is never met (R-MFA-14).
///
/// # Source
/// ASVS v5.0.0-6.3.3, 6.3.4; NIST SP 800-63B-4 §2.2.
pub fn assess(policy: &Policy, offered: &[Offered], summary: &Summary, done: &Completed) -> Standing {
    let first = done.values().filter(|c| c.first).min_by_key(|c| c.at);
    let seconds: Vec<(&FactorId, &Completion)> = done
        .iter()
        .filter(|(_, c)| first.is_some_and(|f| is_second_to(c.kind, c.channel.as_deref(), c.first, f)))
        .collect();
    let has = |factor: &FactorId| seconds.iter().any(|(id, _)| *id == factor);

    let floor: Vec<FactorId> = summary.enrolled.iter().map(|e| e.factor.clone()).collect();
    let site = policy.demanded().unwrap_or_default();
    let mut unmet: Vec<&[FactorId]> = Vec::new();
    // The floor comes first: an enrolled factor must be completed before another one can be enrolled (A-MFA-06).
    for demand in [floor.as_slice(), site, summary.required.as_slice()] {
        if !demand.is_empty() && !demand.iter().any(has) {
            unmet.push(demand);
        }
    }
    let demanded_nothing_known = policy.demanded().is_some_and(<[FactorId]>::is_empty);

    let usable = |factor: &FactorId| would_be_second(offered, summary, done, factor);
    let next: Vec<FactorId> = match unmet.first() {
        None => Vec::new(),
        // Of the enrolled ones those first that meet the later demands as well: one code instead of two.
        Some(demand) => {
            let mut wanted: Vec<FactorId> = demand.iter().filter(|f| usable(f)).cloned().collect();
            let both: Vec<FactorId> = wanted
                .iter()
                .filter(|f| unmet.iter().all(|demand| demand.contains(f)))
                .cloned()
                .collect();
            if !both.is_empty() {
                wanted = both;
            }
            wanted
        }
    };

    let met = first.is_some() && unmet.is_empty() && !demanded_nothing_known;
    let satisfied = match policy.asked {
        Asked::AtSignIn => met,
        Asked::OnRoutesOnly => first.is_some() && !demanded_nothing_known,
    };
    let accepted = |factor: &FactorId| {
        let listed = [site, summary.required.as_slice()];
        listed.iter().all(|l| l.is_empty()) || listed.iter().any(|l| l.contains(factor))
    };
    let newest = seconds
        .iter()
        .filter(|(id, _)| accepted(id))
        .max_by_key(|(_, c)| c.at);
    let second_factor = met && newest.is_some();
    Standing {
        satisfied,
        second_factor,
        at: match (second_factor, newest, first) {
            (true, Some((_, c)), _) => c.at,
            (_, _, Some(f)) => f.at,
            _ => Timestamp::from_ms(0),
        },
        newest: newest.map(|(id, _)| (*id).clone()),
        stuck: !satisfied && next.is_empty(),
        // What no route has asked for yet is not due.
        next: if satisfied { Vec::new() } else { next },
    }
}

/// Whether `factor`, once completed, would count as a second one in a session with the factors `done`: what opened a
/// session never does, nor does what is of its kind or comes by its channel (R-MFA-6, threat A-MFA-16).
pub fn would_be_second(offered: &[Offered], summary: &Summary, done: &Completed, factor: &FactorId) -> bool {
    let Some(first) = done.values().filter(|c| c.first).min_by_key(|c| c.at) else {
        return false;
    };
    let known = offered.iter().find(|o| o.factor == *factor);
    match (summary.enrolled(factor), known) {
        (Some(e), _) => is_second_to(e.kind, e.channel.as_deref(), false, first),
        (None, Some(o)) => is_second_to(o.kind, None, false, first),
        (None, None) => false,
    }
}

/// Whether a factor of `kind` over `channel` is a second factor beside `first`.
fn is_second_to(kind: Kind, channel: Option<&str>, opened: bool, first: &Completion) -> bool {
    let same_channel = channel.is_some() && channel == first.channel.as_deref();
    !opened && kind != first.kind && !same_channel
}

/// Whether a sign-in by a first factor of `kind` can ever meet `policy`, by what is on offer.
pub fn can_be_met(policy: &Policy, offered: &[Offered], kind: Kind) -> bool {
    match policy.demanded() {
        Some(demanded) if policy.asked == Asked::AtSignIn => offered
            .iter()
            .any(|o| o.kind != kind && demanded.contains(&o.factor)),
        _ => true,
    }
}

/// Whether a session may change factors, or see what only a complete session sees.
///
/// Policy satisfied is not enough once the user has a second factor: then it must have been completed (design §4).
pub fn is_complete(standing: &Standing, summary: &Summary) -> bool {
    standing.satisfied && (summary.enrolled.is_empty() || standing.second_factor)
}

/// Why a second factor may not be enrolled now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EnrollRefusal {
    /// Another factor has to be completed first, or this one is not what the policy waits for: 403 (A-MFA-05).
    Gate,
    /// The first factor is too old, or this is not the sign-up session: sign in again (R-MFA-4).
    SignInAgain,
    /// The wish is to be confirmed from the mailbox first.
    Confirm,
    /// An administrator is to give leave first.
    Approval,
    /// The session is complete, but its second factor is too old: step up first (A-MFA-10).
    StepUp,
    /// The user has this factor already; changing it is another flow.
    Enrolled,
}

/// Whether `factor` may be enrolled in a session that stands so. `signed_up` tells whether this session made the account.
pub fn may_enroll(
    policy: &Policy,
    summary: &Summary,
    standing: &Standing,
    factor: &FactorId,
    session: SessionAge,
    step_up: Duration,
    now: Timestamp,
) -> Result<(), EnrollRefusal> {
    let fresh = |at: Timestamp| at <= now && now.since(at) <= step_up;
    if summary.enrolled(factor).is_some() {
        return Err(EnrollRefusal::Enrolled);
    }
    if !summary.enrolled.is_empty() {
        if !is_complete(standing, summary) {
            return Err(EnrollRefusal::Gate);
        }
        return if fresh(standing.at) {
            Ok(())
        } else {
            Err(EnrollRefusal::StepUp)
        };
    }
    if !standing.satisfied && !standing.next.contains(factor) {
        return Err(EnrollRefusal::Gate);
    }
    let (admitted, refusal) = match (policy.enrollment(), session.leave) {
        (EnrollmentMode::FreshFirstFactor, _) => (fresh(session.first_factor_at), EnrollRefusal::SignInAgain),
        (EnrollmentMode::InSignUpSession, _) => (session.signed_up, EnrollRefusal::SignInAgain),
        (EnrollmentMode::ConfirmByEmail, leave) => (leave == Leave::Given, EnrollRefusal::Confirm),
        // The first factor is fresh when leave is asked for: whoever came by an old session cannot ask.
        (EnrollmentMode::Approve, Leave::Given) => (true, EnrollRefusal::Approval),
        (EnrollmentMode::Approve, Leave::None) if fresh(session.first_factor_at) => {
            (false, EnrollRefusal::Approval)
        }
        (EnrollmentMode::Approve, Leave::None) => (false, EnrollRefusal::SignInAgain),
    };
    if admitted { Ok(()) } else { Err(refusal) }
}

/// What [`may_enroll`] needs to know of a session.
#[derive(Clone, Copy, Debug)]
pub struct SessionAge {
    /// When its first factor was completed.
    pub first_factor_at: Timestamp,
    /// Whether it made the account.
    pub signed_up: bool,
    /// Whether it has leave to add the first second factor, where that needs one.
    pub leave: Leave,
}

/// Leave to add the first second factor: confirmed from the mailbox, or given by an administrator, for this
/// session.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leave {
    /// Nobody gave it.
    #[default]
    None,
    /// It is given, and lasts still.
    Given,
}

/// What may be shown to a session about its factors: the body of the protocol's `mfa/info`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FactorChoices {
    /// Any one of these is due.
    pub next: Vec<FactorId>,
    /// What the user has, first factors included.
    pub already_set_up: Vec<FactorId>,
    /// What may be enrolled now.
    pub allowed_to_set_up: Vec<FactorId>,
}

/// Lists them. None if the session is stuck.
pub fn choices(
    offered: &[Offered],
    methods: &[FactorId],
    summary: &Summary,
    standing: &Standing,
    mut may_enroll: impl FnMut(&FactorId) -> bool,
) -> Option<FactorChoices> {
    if standing.stuck {
        return None;
    }
    let complete = is_complete(standing, summary);
    let allowed: Vec<FactorId> = offered
        .iter()
        .map(|o| &o.factor)
        // Once complete the clients want the enrolled ones listed too.
        .filter(|f| (complete && summary.enrolled(f).is_some()) || may_enroll(f))
        .cloned()
        .collect();
    let mut already: Vec<FactorId> = methods.to_vec();
    for enrolled in &summary.enrolled {
        if !already.contains(&enrolled.factor) {
            already.push(enrolled.factor.clone());
        }
    }
    let next: Vec<FactorId> = standing
        .next
        .iter()
        .filter(|f| allowed.contains(f) || summary.enrolled(f).is_some())
        .cloned()
        .collect();
    (standing.satisfied || !next.is_empty()).then_some(FactorChoices {
        next,
        already_set_up: already,
        allowed_to_set_up: allowed,
    })
}

#[cfg(test)]
mod tests;
