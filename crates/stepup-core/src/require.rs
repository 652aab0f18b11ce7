//! Requirements as types: what a route's signature asks of a session.

use std::any::TypeId;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::OnceLock;
use std::time::Duration;

use crate::rule::{ClaimRule, EMAIL_VERIFIED, LeftOut, Rule};

/// What a route asks of a session, as a type: `Session<Require2fa>`.
///
/// Implement it for a type of your own to name a requirement of the application:
///
/// ```
/// use stepup_core::require::Requirement;
/// use stepup_core::rule::{ClaimRule, Rule};
///
/// struct Admin;
///
/// impl Requirement for Admin {
///     fn rule() -> Rule {
///         Rule::Claim(ClaimRule::includes("role", "admin"))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not something a session can be asked for",
    label = "not a requirement",
    note = "use `AnySession`, `SitePolicy`, `Require2fa`, `Fresh<SECONDS>`, `VerifiedEmail`, a tuple of those, `Or<A, B>`, or implement `Requirement` for a type of your own"
)]
pub trait Requirement: Send + Sync + 'static {
    /// The rule that it stands for. A route asks for the site's policy, and for the claims that the site asks of every
    /// route, beside it ([`judge_route`](crate::rule::judge_route)).
    ///
    /// What it says first is kept ([`rule_of`]): what may change while the process runs belongs into
    /// [`Rule::Own`], which is asked with every request.
    fn rule() -> Rule;
}

/// The rule of `R`, made when it is first asked for and kept for the life of the process: judging a request allocates
/// nothing.
///
/// As many rules are kept as a program names types. They are found without a lock, which every request of every core
/// would meet at.
pub fn rule_of<R: Requirement>() -> &'static Rule {
    let asked = TypeId::of::<R>();
    let mut place = &KEPT;
    let mut mine = None;
    loop {
        if place.get().is_none() {
            // Made outside of the list, since a rule may be made of others. Of two threads that are first at once one finds
            // the place taken, perhaps by another type, and goes on.
            let node = mine.take().unwrap_or_else(|| {
                Box::new(Kept {
                    of: asked,
                    rule: R::rule(),
                    next: OnceLock::new(),
                })
            });
            mine = place.set(node).err();
        }
        match place.get() {
            Some(kept) if kept.of == asked => return &kept.rule,
            Some(kept) => place = &kept.next,
            None => {}
        }
    }
}

struct Kept {
    of: TypeId,
    rule: Rule,
    next: OnceLock<Box<Kept>>,
}

static KEPT: OnceLock<Box<Kept>> = OnceLock::new();

/// A valid session; its factors are not looked at, nor the claims that the site asks of every route. The visible opt-out
/// from both; in a tuple, what stands beside it is asked all the same.
#[derive(Clone, Copy, Debug)]
pub struct AnySession;

/// The site's policy is satisfied: what a session without a parameter asks.
#[derive(Clone, Copy, Debug)]
pub struct SitePolicy;

/// Two distinct factors were completed in this session, and the site's policy is satisfied.
#[derive(Clone, Copy, Debug)]
pub struct Require2fa;

/// `R`, and a second factor completed within the last `SECONDS` seconds (step-up).
///
/// # Source
/// RFC 9470; ASVS v5.0.0-7.5.3.
pub struct Fresh<const SECONDS: u64, R = Require2fa>(PhantomData<fn() -> R>);

/// The address behind the session was verified, beside the site's policy: `Session<(Require2fa, VerifiedEmail)>`. Where the
/// site asks it of every route, `Without<VerifiedEmail>` leaves it out. It needs
/// [`Builder::email_verification`](crate::Builder::email_verification); without that nobody is admitted.
///
/// # Source
/// ASVS v5.0.0-6.4.3: an address that nobody proved is not relied on.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedEmail;

/// `R`, without the claim `C` that the site asks of every route ([`Builder::require_claim`](crate::Builder::require_claim)).
/// The site's policy is never left out by it.
pub struct Without<C, R = SitePolicy>(PhantomData<fn() -> (C, R)>);

/// `R` and none of the claims that the site asks of every route. The site's policy is never left out by it.
pub struct OnlyThese<R>(PhantomData<fn() -> R>);

/// Names a claim in a type, for [`Without`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` names no claim",
    note = "implement `ClaimKey` for it: `const KEY: &'static str = \"..\";`"
)]
pub trait ClaimKey: 'static {
    /// The claim's key.
    const KEY: &'static str;
}

/// `A` or `B`.
pub struct Or<A, B>(PhantomData<fn() -> (A, B)>);

impl<const SECONDS: u64, R> Debug for Fresh<SECONDS, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Fresh<{SECONDS}>")
    }
}

impl<A, B> Debug for Or<A, B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Or")
    }
}

impl<C, R> Debug for Without<C, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Without")
    }
}

impl<R> Debug for OnlyThese<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OnlyThese")
    }
}

impl Requirement for AnySession {
    fn rule() -> Rule {
        Rule::Valid
    }
}

impl Requirement for SitePolicy {
    fn rule() -> Rule {
        Rule::Site
    }
}

impl Requirement for Require2fa {
    fn rule() -> Rule {
        Rule::SecondFactor
    }
}

impl Requirement for VerifiedEmail {
    fn rule() -> Rule {
        Rule::Claim(ClaimRule::email_verified())
    }
}

impl ClaimKey for VerifiedEmail {
    const KEY: &'static str = EMAIL_VERIFIED;
}

impl<const SECONDS: u64, R: Requirement> Requirement for Fresh<SECONDS, R> {
    fn rule() -> Rule {
        Rule::All(vec![R::rule(), Rule::Fresh(Duration::from_secs(SECONDS))])
    }
}

impl<C: ClaimKey, R: Requirement> Requirement for Without<C, R> {
    fn rule() -> Rule {
        Rule::All(vec![Rule::LeaveOut(LeftOut::Key(C::KEY)), R::rule()])
    }
}

impl<R: Requirement> Requirement for OnlyThese<R> {
    fn rule() -> Rule {
        Rule::All(vec![Rule::LeaveOut(LeftOut::All), R::rule()])
    }
}

impl<A: Requirement, B: Requirement> Requirement for Or<A, B> {
    fn rule() -> Rule {
        Rule::Any(vec![A::rule(), B::rule()])
    }
}

macro_rules! all_of {
    ($($name:ident),+) => {
        impl<$($name: Requirement),+> Requirement for ($($name,)+) {
            fn rule() -> Rule {
                Rule::All(vec![$($name::rule()),+])
            }
        }
    };
}

all_of!(A);
all_of!(A, B);
all_of!(A, B, C);
all_of!(A, B, C, D);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_thread_finds_the_same_rule_of_a_type_and_no_other() {
        struct Numbered<const N: u64>;
        impl<const N: u64> Requirement for Numbered<N> {
            fn rule() -> Rule {
                // A rule may be made of others while the list is being written to.
                let inner = rule_of::<Require2fa>().clone();
                Rule::All(vec![inner, Rule::Fresh(Duration::from_secs(N))])
            }
        }
        let look = || {
            let rules = [
                rule_of::<Numbered<1>>(),
                rule_of::<Numbered<2>>(),
                rule_of::<Numbered<3>>(),
            ];
            for (n, rule) in (1..).zip(rules) {
                assert_eq!(format!("{rule:?}"), format!("All([SecondFactor, Fresh({n}s)])"));
            }
            rules.map(std::ptr::from_ref)
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| look().map(|rule| rule as usize)))
                .collect();
            let here = look().map(|rule| rule as usize);
            for thread in threads {
                assert_eq!(thread.join().unwrap(), here);
            }
        });
    }

    #[test]
    fn types_compose_into_one_rule() {
        let rule = <(AnySession, Or<Require2fa, SitePolicy>, Fresh<300>)>::rule();
        let shown = format!("{rule:?}");
        assert_eq!(
            shown,
            "All([Valid, Any([SecondFactor, Site]), All([SecondFactor, Fresh(300s)])])"
        );
    }
}
