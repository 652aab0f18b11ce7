//! E-mail and password: a first factor.

use std::borrow::Cow;

use crate::contact::EmailAddress;
use crate::digest::{FirebaseKey, ForeignCost, HashParams, PasswordHasher};
use crate::id::FactorId;
use crate::password::{PasswordFault, PasswordRule};
use crate::record::credential::Credential;
use crate::record::user::{Method, UserState};
use crate::storage::Account;

/// The factor's id.
pub const ID: FactorId = FactorId::EMAIL_PASSWORD;

/// Sign-up and sign-in by e-mail and password.
#[derive(Debug, Default)]
pub struct Password {
    pub(crate) rule: Option<PasswordRule>,
    pub(crate) params: HashParams,
    pub(crate) imported: Vec<ForeignCost>,
    pub(crate) firebase: Option<FirebaseKey>,
}

impl Password {
    /// With the default rule (8 to 256 code points, a block list, no rule of composition) and the default cost.
    pub fn new() -> Self {
        Self::default()
    }

    /// Replaces the rule.
    #[must_use]
    pub fn with_rule(mut self, rule: PasswordRule) -> Self {
        self.rule = Some(rule);
        self
    }

    /// Replaces the cost of hashing. [`HashParams`] takes no value below the floor.
    #[must_use]
    pub fn with_hash_params(mut self, params: HashParams) -> Self {
        self.params = params;
        self
    }

    /// Names hashes that users brought along from another system, by their kinds and costs.
    ///
    /// A sign-in that fails then takes as long as one against the costliest of each kind, from the first one on, so that
    /// users who still have such a hash are not told from others and from nobody (threat A-ENU-02). All kinds together may cost
    /// half a second ([`are_bearable`](crate::digest::are_bearable)): more is a problem that `build` names. Hashes that are not
    /// named are verified as well; that they are there is noticed, in each process, when the first of them is met. Take
    /// this out when all have signed in: until then each wrong password costs that much.
    #[must_use]
    pub fn with_imported(mut self, costs: impl IntoIterator<Item = ForeignCost>) -> Self {
        self.imported.extend(costs);
        self
    }

    /// The signer key of the Firebase project that users come from, for hashes that do not name it.
    #[must_use]
    pub fn with_firebase_key(mut self, key: FirebaseKey) -> Self {
        self.firebase = Some(key);
        self
    }
}

/// The factor at work.
#[derive(Debug)]
pub(crate) struct PasswordFactor {
    pub(crate) rule: Option<PasswordRule>,
    pub(crate) hasher: PasswordHasher,
}

impl PasswordFactor {
    /// The rule for a new password. One that stands alone has to be longer (R-PWD-2).
    pub(crate) fn rule(&self, stands_alone: bool) -> Cow<'_, PasswordRule> {
        match &self.rule {
            Some(own) => Cow::Borrowed(own),
            None if stands_alone => Cow::Owned(PasswordRule::sole_factor()),
            None => Cow::Owned(PasswordRule::with_second_factor()),
        }
    }
}

/// Why a form was not accepted; one for each field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldFault {
    /// The e-mail address is none.
    EmailMalformed,
    /// An account with this address exists. The protocol says so at sign-up.
    EmailTaken,
    /// The password does not follow the rule.
    Password(PasswordFault),
}

/// Judges the two fields of a sign-up form, both at once.
pub(crate) fn judge_form(
    rule: &PasswordRule,
    email: &str,
    password: &crate::password::Password,
    service: &str,
) -> Result<EmailAddress, Vec<FieldFault>> {
    let address = EmailAddress::parse(email);
    let judged = rule.judge(password, address.as_ref().ok(), service);
    match (address, judged) {
        (Ok(address), Ok(())) => Ok(address),
        (Ok(_), Err(fault)) => Err(vec![FieldFault::Password(fault)]),
        (Err(_), judged) => Err([
            Some(FieldFault::EmailMalformed),
            judged.err().map(FieldFault::Password),
        ]
        .into_iter()
        .flatten()
        .collect()),
    }
}

/// Why a right password does not open an account; none if it does. Whoever knows it is told no more than with a wrong one.
///
/// `hidden`: whether strangers are told nothing of accounts. Who signed up would see by signing in that the address was new,
/// so that an account opens once its address is verified (threat A-ENU-05).
pub(crate) fn bar(account: &Account, hidden: bool) -> Option<&'static str> {
    let user = &account.user;
    let is_proved = |method: &Method| method.factor == ID && method.verified;
    if user.state != UserState::Live {
        Some("disabled")
    } else if account.password.as_ref().is_some_and(Credential::is_retired) {
        // Whoever enrolled a factor that was undone knows it.
        Some("retired")
    } else if hidden && !user.methods.iter().any(is_proved) {
        Some("unverified")
    } else {
        None
    }
}
