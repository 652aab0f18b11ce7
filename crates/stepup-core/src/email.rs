//! The claim that says whether the address behind a session was verified.
//!
//! It belongs to the way by which the session was opened, not to the user: who signs in by another address has proved
//! nothing of this one. What the user's row says is the truth; the claim is what was read of it last.

use async_trait::async_trait;
use serde_json::Value;

use crate::error::Source;
use crate::id::MethodId;
use crate::record::user::{Method, User};
use crate::rule::EMAIL_VERIFIED;
use crate::session::claim::ClaimSource;

/// Reads the claim `st-ev`.
#[derive(Debug)]
pub(crate) struct EmailVerified;

#[async_trait]
impl ClaimSource for EmailVerified {
    fn key(&self) -> &str {
        EMAIL_VERIFIED
    }

    async fn fetch(&self, user: &User) -> Result<Option<Value>, Source> {
        let all = user.methods.iter().all(is_verified);
        Ok(Some(all.into()))
    }

    async fn fetch_for(&self, user: &User, method: &MethodId) -> Result<Option<Value>, Source> {
        Ok(Some(is_verified_by(user, method).into()))
    }
}

/// Whether there is nothing left to verify of what opened a session: a method without an address, or of the application's
/// own, counts as verified, since there is nobody whom a link could be sent to.
pub(crate) fn is_verified_by(user: &User, method: &MethodId) -> bool {
    method_of(user, method).is_none_or(is_verified)
}

/// The method that opened a session.
pub(crate) fn method_of<'u>(user: &'u User, method: &MethodId) -> Option<&'u Method> {
    user.methods.iter().find(|own| own.id == *method)
}

fn is_verified(method: &Method) -> bool {
    method.email.is_none() || method.verified
}

/// The methods of a user once `address` is verified; none if nobody signs in by it any more.
///
/// Only this address is: whoever reads it has proved nothing of any other (threat A-MFA-21).
pub(crate) fn verified(user: &User, address: &str) -> Option<Vec<Method>> {
    let is_it = |method: &Method| method.email.as_deref() == Some(address);
    let mark = |method: &Method| Method {
        verified: method.verified || is_it(method),
        ..method.clone()
    };
    let there = user.methods.iter().any(is_it);
    there.then(|| user.methods.iter().map(mark).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{FactorId, TenantId};
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_ms(1_760_000_000_000);

    fn method(id: &str, email: Option<&str>) -> Method {
        Method {
            id: id.into(),
            factor: FactorId::EMAIL_PASSWORD,
            email: email.map(str::to_owned),
            phone: None,
            third_party: None,
            verified: false,
            joined_at: NOW,
        }
    }

    fn user(methods: Vec<Method>) -> User {
        User {
            methods,
            ..User::bare(&TenantId::public(), &"ann".into(), NOW)
        }
    }

    #[test]
    fn a_method_without_an_address_counts_as_verified_and_one_with_an_unproved_address_does_not() {
        let user = user(vec![method("a", Some("a@x.test")), method("b", None)]);
        assert!(!is_verified_by(&user, &"a".into()));
        assert!(is_verified_by(&user, &"b".into()));
        assert!(is_verified_by(&user, &"of the application's own".into()));
    }

    #[test]
    fn one_address_is_verified_and_no_other() {
        let user = user(vec![method("a", Some("a@x.test")), method("b", Some("b@x.test"))]);
        let after = verified(&user, "a@x.test").unwrap();
        assert_eq!([after[0].verified, after[1].verified], [true, false]);
    }

    #[test]
    fn an_address_that_was_changed_is_not_verified_by_what_was_sent_to_the_old_one() {
        let user = user(vec![method("a", Some("new@x.test"))]);
        assert_eq!(verified(&user, "a@x.test"), None);
    }
}
