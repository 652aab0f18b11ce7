//! What the application under test is made of, beside its framework.

use std::time::Duration;

use serde_json::{Value, json};
use stepup_core::record::JsonMap;
use stepup_core::require::Requirement;
use stepup_core::rule::{OwnRule, Rule};
use stepup_core::session::claim::PrimitiveClaim;
use stepup_wire::Wire;

/// What an adapter is to serve.
#[derive(Clone, Debug)]
pub struct Application {
    /// The protocol, and what guards need.
    pub wire: Wire,
    /// Whether the adapter's layer goes around it. It is forgotten once, to see what happens.
    pub layered: bool,
}

impl Application {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, layered: true }
    }

    pub(super) fn without_layer(self) -> Self {
        Self {
            layered: false,
            ..self
        }
    }
}

/// Asks for a claim that is fetched when it is due: the guard owes a new token to the response.
#[derive(Debug)]
pub struct Due;

impl Requirement for Due {
    fn rule() -> Rule {
        level().is(7).into()
    }
}

/// A claim that is a minute old at most.
pub(super) fn level() -> PrimitiveClaim<i64> {
    PrimitiveClaim::new("level", |_| async { Ok(Some(7)) }).with_max_age(Duration::from_secs(60))
}

/// A requirement that nobody meets.
#[derive(Debug)]
pub struct Never;

impl Requirement for Never {
    fn rule() -> Rule {
        Rule::Any(Vec::new())
    }
}

/// A requirement of the application's own that panics.
#[derive(Debug)]
pub struct Breaks;

impl Requirement for Breaks {
    fn rule() -> Rule {
        Rule::Own(OwnRule(|_| panic!("the application's rule broke")))
    }
}

/// What `/plan` merges.
pub fn plan() -> JsonMap {
    JsonMap::from_iter([("plan".to_owned(), Value::from("pro"))])
}

/// What was typed into the application's own log-in.
///
/// The handler throttles by `user`. If the password is [`Login::RIGHT`] it completes the sign-in of that user, by knowledge,
/// and answers `welcome`; else it reports the failure and answers 401.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The account, which is the user's id too.
    pub user: String,
    /// What was typed.
    pub password: String,
}

impl Login {
    /// Everybody's password.
    pub const RIGHT: &'static str = "correct horse battery";

    /// Reads a body; of what is no log-in, nothing is right.
    pub fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Self {
            user: text("user"),
            password: text("password"),
        }
    }

    /// Whether the password is right.
    pub fn is_right(&self) -> bool {
        self.password == Self::RIGHT
    }
}

/// The body of a log-in.
pub fn login(user: &str, password: &str) -> Value {
    json!({ "user": user, "password": password })
}
