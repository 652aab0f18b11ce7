//! What the application under test is made of, beside its framework.

use std::time::Duration;

use serde_json::{Value, json};
use stepup_core::flow::External;
use stepup_core::id::FactorId;
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
/// The handler throttles by `user`. If [`Login::is_right`] it completes the sign-in of that user with [`Login::external`] and
/// answers `welcome`; else it reports the failure and answers 401.
#[derive(Clone, Debug)]
pub struct Login {
    /// The account, which is the user's id too.
    pub user: String,
    password: String,
    kind: String,
    factor: Option<String>,
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
            kind: text("kind"),
            factor: body["factor"].as_str().map(str::to_owned),
        }
    }

    /// Whether the password is right.
    pub fn is_right(&self) -> bool {
        self.password == Self::RIGHT
    }

    /// What was proved by it: knowledge, if nothing else is named.
    pub fn external(&self) -> External {
        let external = match self.kind.as_str() {
            "possession" => External::possession(),
            _ => External::knowledge(),
        };
        match &self.factor {
            Some(name) => external.named(FactorId::new(name)),
            None => external,
        }
    }
}

/// The body of a log-in.
pub fn login(user: &str, password: &str) -> Value {
    json!({ "user": user, "password": password })
}
