//! Rules: what a resource asks of a session, as one value, judged by one evaluator that extractor, layer and
//! middleware share.
//!
//! What a route names is not all that is asked of it: [`judge_route`] adds the site's policy and the claims that the
//! site asks of every route, unless the rule visibly leaves them out.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::ClaimNames;
use crate::record::JsonMap;
use crate::time::Timestamp;

/// What a resource asks of a session.
#[derive(Clone, Debug)]
pub enum Rule {
    /// A valid session. It also leaves out what the site asks of every route: its policy, and its claims.
    Valid,
    /// Holds, and leaves out claims that the site asks of every route; never its policy.
    LeaveOut(LeftOut),
    /// The site's policy is satisfied.
    Site,
    /// The site's policy is satisfied, and two distinct factors were completed in this session.
    SecondFactor,
    /// [`Rule::SecondFactor`], and the newest accepted second factor is no older.
    Fresh(Duration),
    /// A claim of the application's own.
    Claim(ClaimRule),
    /// A decision of the application's own.
    Own(OwnRule),
    /// All of these; an empty list holds.
    All(Vec<Rule>),
    /// At least one of these; an empty list never holds.
    Any(Vec<Rule>),
}

/// What a route leaves out of the claims that the site asks of every route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// All of them.
    All,
    /// Those that read this key.
    Key(&'static str),
}

/// A check of a claim `{"v": value, "t": milliseconds}` in the payload.
///
/// If the claim has a source ([`Builder::claim`](crate::Builder::claim)) and is missing or older than it may be, it is
/// fetched before it is judged.
#[derive(Clone, Debug)]
pub struct ClaimRule {
    /// The claim's key.
    pub key: String,
    /// The id in the refusal, by which clients know their validator; the key, unless named.
    pub id: String,
    /// What must hold.
    pub check: ClaimCheck,
    /// The oldest value that is believed; the claim's own default, if none. Zero fetches every time.
    pub max_age: Option<Duration>,
    /// The oldest value that is believed although it fails the check, so that whoever has just mended it is not refused for
    /// long; as old as any other, if none.
    pub max_age_if_wrong: Option<Duration>,
}

/// The key of the claim that says whether the address behind a session was verified: the protocol's own.
pub const EMAIL_VERIFIED: &str = "st-ev";

/// How long a session that lacks a verified address is believed to lack it still: 10 s, as the clients do.
const BELIEVE_UNVERIFIED: Duration = Duration::from_secs(10);

/// Checks of a claim's value.
#[derive(Clone, Debug)]
pub enum ClaimCheck {
    /// It equals the value: a boolean, number, string or null.
    Is(Value),
    /// It is an array that includes the value.
    Includes(Value),
    /// It is an array that does not include the value.
    Excludes(Value),
    /// It is an array that includes all of these.
    IncludesAll(Vec<Value>),
    /// It is an array that includes at least one of these.
    IncludesAny(Vec<Value>),
    /// It is an array that includes none of these.
    ExcludesAll(Vec<Value>),
    /// The application's own check.
    Own(OwnCheck),
}

/// A check of the application's own: the value in, and if it fails the reason, which the client is shown.
#[derive(Clone)]
pub struct OwnCheck(Arc<Judge>);

type Judge = dyn Fn(&Value) -> Result<(), Value> + Send + Sync;

impl fmt::Debug for OwnCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnCheck(..)")
    }
}

impl ClaimRule {
    /// The claim `key` passes `check`.
    pub fn new(key: impl Into<String>, check: ClaimCheck) -> Self {
        let key = key.into();
        Self {
            id: key.clone(),
            key,
            check,
            max_age: None,
            max_age_if_wrong: None,
        }
    }

    /// The address behind the session was verified ([`Builder::email_verification`](crate::Builder::email_verification)).
    /// That it was not is asked anew after 10 s; that it was is believed, unless [`ClaimRule::within`] says how long.
    pub fn email_verified() -> Self {
        Self::is(EMAIL_VERIFIED, true).doubted_after(BELIEVE_UNVERIFIED)
    }

    /// The claim `key` is `value`.
    pub fn is(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(key, ClaimCheck::Is(value.into()))
    }

    /// The claim `key` is an array that includes `value`.
    pub fn includes(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(key, ClaimCheck::Includes(value.into()))
    }

    /// The claim `key` is an array without `value`; a missing claim fails.
    pub fn excludes(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(key, ClaimCheck::Excludes(value.into()))
    }

    /// The claim `key` is an array that includes all of `values`.
    pub fn includes_all<V: Into<Value>>(key: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self::new(key, ClaimCheck::IncludesAll(list(values)))
    }

    /// The claim `key` is an array that includes at least one of `values`.
    pub fn includes_any<V: Into<Value>>(key: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self::new(key, ClaimCheck::IncludesAny(list(values)))
    }

    /// The claim `key` is an array with none of `values`; a missing claim fails.
    pub fn excludes_all<V: Into<Value>>(key: impl Into<String>, values: impl IntoIterator<Item = V>) -> Self {
        Self::new(key, ClaimCheck::ExcludesAll(list(values)))
    }

    /// The claim `key` passes `check`, which is quick and pure: given the value, it says why not. A missing claim fails.
    pub fn own(
        key: impl Into<String>,
        check: impl Fn(&Value) -> Result<(), Value> + Send + Sync + 'static,
    ) -> Self {
        Self::new(key, ClaimCheck::Own(OwnCheck(Arc::new(check))))
    }

    /// Refuses a value that was set longer ago, in whole seconds on the wire.
    #[must_use]
    pub fn within(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Fetches a value anew that fails and was set longer ago, before anybody is refused by it.
    #[must_use]
    pub fn doubted_after(mut self, max_age: Duration) -> Self {
        self.max_age_if_wrong = Some(max_age);
        self
    }

    /// Names it otherwise than by the claim's key, where a client has several validators of one claim.
    #[must_use]
    pub fn named(mut self, id: impl Into<String>) -> Self {
        self.id = id.into();
        self
    }

    /// Whether its claim is to be fetched before it is judged: it is missing, or older than it may be. `default_age` is
    /// the claim's own, for a value right or wrong.
    pub fn should_refetch(&self, payload: &JsonMap, default_age: Option<Duration>, now: Timestamp) -> bool {
        let stored = payload.get(&self.key).and_then(Value::as_object);
        let Some((entry, actual)) = stored.and_then(|entry| Some((entry, entry.get("v")?))) else {
            return true;
        };
        let is_older = |max_age: Duration| age(entry, now).is_none_or(|age| age > max_age);
        self.max_age.or(default_age).is_some_and(is_older)
            || self.max_age_if_wrong.is_some_and(is_older) && passes(&self.check, actual).is_err()
    }
}

fn list<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Vec<Value> {
    values.into_iter().map(Into::into).collect()
}

/// How long ago an entry was set. One from the future, or without a time, has no age: it counts as expired (A-STU-03).
fn age(entry: &JsonMap, now: Timestamp) -> Option<Duration> {
    let set_at = Timestamp::from_ms(entry.get("t")?.as_i64()?);
    (set_at <= now).then(|| now.since(set_at))
}

impl From<ClaimRule> for Rule {
    fn from(rule: ClaimRule) -> Self {
        Self::Claim(rule)
    }
}

/// A decision of the application's own over the facts of a session. It must be quick and pure.
#[derive(Clone, Copy)]
pub struct OwnRule(pub fn(&Facts<'_>) -> Result<(), ClaimFailure>);

impl fmt::Debug for OwnRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OwnRule(..)")
    }
}

/// What a rule may look at: a verified token, and the time.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// `st-mfa.v`; none if the token has no such claim.
    pub satisfied: Option<bool>,
    /// `2fa-completed.v`.
    pub second_factor: Option<bool>,
    /// `2fa-completed.t`.
    pub second_factor_at: Option<Timestamp>,
    /// The factor behind `second_factor_at`, for the refusal's text.
    pub second_factor_id: Option<&'a str>,
    /// The whole payload.
    pub payload: Payload<'a>,
    /// Now.
    pub now: Timestamp,
    /// The names of the derived claims.
    pub names: &'a ClaimNames,
    /// The oldest value that is believed of each claim whose source says so, where a rule does not.
    pub default_ages: &'a [(String, Duration)],
}

/// The payload of a session, as a map. Most rules never look into it, so it is only read when one does.
#[derive(Clone, Copy)]
pub struct Payload<'a>(&'a dyn Unpack);

/// Has a payload.
pub trait Unpack: Sync {
    /// The payload as a map, read when it is first asked for.
    fn unpack(&self) -> &JsonMap;
}

impl Unpack for JsonMap {
    fn unpack(&self) -> &JsonMap {
        self
    }
}

impl<'a, U: Unpack> From<&'a U> for Payload<'a> {
    fn from(payload: &'a U) -> Self {
        Self(payload)
    }
}

impl Deref for Payload<'_> {
    type Target = JsonMap;

    fn deref(&self) -> &JsonMap {
        self.0.unpack()
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Payload(..)")
    }
}

/// A claim that failed: an entry of `claimValidationErrors`.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimFailure {
    /// Which claim.
    pub id: String,
    /// Why, in the protocol's shape.
    pub reason: Option<Value>,
}

/// Judges `rule`. The list of failures names each claim once; it is empty exactly when the rule holds.
pub fn judge(rule: &Rule, facts: &Facts<'_>) -> Vec<ClaimFailure> {
    let mut failures = Vec::new();
    collect(rule, facts, &mut failures);
    failures
}

/// Judges what a route asks: the site's policy, the claims that the site asks of every route, and `rule`. Nobody forgets
/// the first two; a rule leaves them out by [`Rule::Valid`] or [`Rule::LeaveOut`], which count where they are asked
/// together with the rest, and not as one of several alternatives.
pub fn judge_route(rule: &Rule, everywhere: &[ClaimRule], facts: &Facts<'_>) -> Vec<ClaimFailure> {
    let mut failures = Vec::new();
    if !opts_out(rule) && !demands_policy(rule) {
        collect(&Rule::Site, facts, &mut failures);
    }
    collect(rule, facts, &mut failures);
    for claim in everywhere.iter().filter(|claim| asks_beside(rule, claim)) {
        judge_claim(claim, facts, &mut failures);
    }
    failures
}

/// Calls `see` with each claim that [`judge_route`] may look at: those of every route first.
pub fn each_claim<'r>(rule: &'r Rule, everywhere: &'r [ClaimRule], see: &mut dyn FnMut(&'r ClaimRule)) {
    everywhere
        .iter()
        .filter(|claim| asks_beside(rule, claim))
        .for_each(&mut *see);
    each_named(rule, see);
}

fn each_named<'r>(rule: &'r Rule, see: &mut dyn FnMut(&'r ClaimRule)) {
    match rule {
        Rule::Claim(claim) => see(claim),
        Rule::All(rules) | Rule::Any(rules) => rules.iter().for_each(|rule| each_named(rule, see)),
        Rule::Valid | Rule::LeaveOut(_) | Rule::Site | Rule::SecondFactor | Rule::Fresh(_) | Rule::Own(_) => {
        }
    }
}

/// Whether a claim of every route is asked beside `rule`.
fn asks_beside(rule: &Rule, claim: &ClaimRule) -> bool {
    match rule {
        Rule::Valid | Rule::LeaveOut(LeftOut::All) => false,
        Rule::LeaveOut(LeftOut::Key(key)) => *key != claim.key,
        Rule::All(rules) => rules.iter().all(|rule| asks_beside(rule, claim)),
        _ => true,
    }
}

/// Whether `rule` visibly asks for a valid session and no more than it names.
fn opts_out(rule: &Rule) -> bool {
    match rule {
        Rule::Valid => true,
        Rule::All(rules) => rules.iter().any(opts_out),
        _ => false,
    }
}

/// Whether nothing meets `rule` that does not meet the site's policy.
fn demands_policy(rule: &Rule) -> bool {
    match rule {
        Rule::Site | Rule::SecondFactor | Rule::Fresh(_) => true,
        Rule::All(rules) => rules.iter().any(demands_policy),
        Rule::Any(rules) => rules.iter().all(demands_policy),
        Rule::Valid | Rule::LeaveOut(_) | Rule::Claim(_) | Rule::Own(_) => false,
    }
}

fn collect(rule: &Rule, facts: &Facts<'_>, out: &mut Vec<ClaimFailure>) {
    match rule {
        Rule::Valid | Rule::LeaveOut(_) => {}
        Rule::Site => {
            if facts.satisfied != Some(true) {
                // Where both claims are false both are named: a frontend looks for the one that it knows.
                both_claims(facts, out);
            }
        }
        Rule::SecondFactor => both_claims(facts, out),
        Rule::Fresh(within) => {
            let before = out.len();
            both_claims(facts, out);
            let fresh = |at: Timestamp| at <= facts.now && facts.now.since(at) <= *within;
            if out.len() == before && !facts.second_factor_at.is_some_and(fresh) {
                push(out, stale(facts, *within));
            }
        }
        Rule::Claim(claim) => judge_claim(claim, facts, out),
        Rule::Own(own) => {
            if let Err(failure) = own.0(facts) {
                push(out, failure);
            }
        }
        Rule::All(rules) => rules.iter().for_each(|rule| collect(rule, facts, out)),
        Rule::Any(rules) => {
            let mut all = Vec::new();
            for rule in rules {
                let failures = judge(rule, facts);
                if failures.is_empty() {
                    return;
                }
                all.extend(failures);
            }
            if all.is_empty() {
                // Nothing on offer: denied, and the refusal must not be empty.
                all.push(ClaimFailure {
                    id: facts.names.mfa.clone(),
                    reason: None,
                });
            }
            all.into_iter().for_each(|failure| push(out, failure));
        }
    }
}

fn judge_claim(claim: &ClaimRule, facts: &Facts<'_>, out: &mut Vec<ClaimFailure>) {
    if let Err(reason) = check(claim, facts) {
        let id = claim.id.clone();
        let reason = Some(reason);
        push(out, ClaimFailure { id, reason });
    }
}

fn push(out: &mut Vec<ClaimFailure>, failure: ClaimFailure) {
    if !out.iter().any(|f| f.id == failure.id) {
        out.push(failure);
    }
}

fn both_claims(facts: &Facts<'_>, out: &mut Vec<ClaimFailure>) {
    if facts.satisfied != Some(true) {
        let reason = json!({ "message": "a required factor has not been completed in this session" });
        push(
            out,
            ClaimFailure {
                id: facts.names.mfa.clone(),
                reason: Some(reason),
            },
        );
    }
    if facts.second_factor != Some(true) {
        let reason = match facts.second_factor {
            None => json!({ "message": "value does not exist", "expectedValue": true }),
            Some(_) => json!({ "message": "wrong value", "expectedValue": true, "actualValue": false }),
        };
        push(
            out,
            ClaimFailure {
                id: facts.names.second_factor.clone(),
                reason: Some(reason),
            },
        );
    }
}

pub(crate) fn stale(facts: &Facts<'_>, within: Duration) -> ClaimFailure {
    let mut reason = json!({
        "message": "the second factor was completed too long ago",
        "maxAgeInSeconds": within.as_secs(),
    });
    if let (Some(map), Some(factor)) = (reason.as_object_mut(), facts.second_factor_id) {
        map.insert("factorId".to_owned(), factor.into());
    }
    ClaimFailure {
        id: facts.names.mfa.clone(),
        reason: Some(reason),
    }
}

/// In the order of the clients: missing, expired, wrong.
fn check(claim: &ClaimRule, facts: &Facts<'_>) -> Result<(), Value> {
    let stored = facts.payload.get(&claim.key).and_then(Value::as_object);
    let Some((entry, actual)) = stored.and_then(|entry| Some((entry, entry.get("v")?))) else {
        // A value that is not there cannot be one of several; the clients call that by the same word as all of them.
        return Err(match expected(&claim.check) {
            Some((_, label, value)) => json!({ "message": "value does not exist", label: value }),
            None => json!({ "message": "value does not exist" }),
        });
    };
    let default = facts.default_ages.iter().find(|(key, _)| *key == claim.key);
    if let Some(max_age) = claim.max_age.or(default.map(|(_, age)| *age)) {
        let age = age(entry, facts.now);
        if age.is_none_or(|age| age > max_age) {
            let seconds = age.map(|age| age.as_millis() as f64 / 1000.0);
            return Err(json!({
                "message": "expired",
                "ageInSeconds": seconds,
                "maxAgeInSeconds": max_age.as_secs(),
            }));
        }
    }
    passes(&claim.check, actual)
}

/// Whether a value passes; the reason if not.
fn passes(check: &ClaimCheck, actual: &Value) -> Result<(), Value> {
    // What is no array includes nothing, and excludes nothing either: it denies.
    let items = actual.as_array();
    let among = |value: &Value| items.is_some_and(|items| items.contains(value));
    let absent = |value: &Value| items.is_some_and(|items| !items.contains(value));
    let holds = match check {
        ClaimCheck::Is(value) => actual == value,
        ClaimCheck::Includes(value) => among(value),
        ClaimCheck::Excludes(value) => absent(value),
        ClaimCheck::IncludesAll(values) => items.is_some() && values.iter().all(among),
        ClaimCheck::IncludesAny(values) => values.iter().any(among),
        ClaimCheck::ExcludesAll(values) => items.is_some() && values.iter().all(absent),
        ClaimCheck::Own(own) => return (own.0)(actual),
    };
    if holds {
        return Ok(());
    }
    Err(match expected(check) {
        Some((label, _, value)) => json!({ "message": "wrong value", label: value, "actualValue": actual }),
        None => json!({ "message": "wrong value" }),
    })
}

/// What a check expects: its word for a wrong value, its word for a missing one, and the value.
fn expected(check: &ClaimCheck) -> Option<(&'static str, &'static str, Value)> {
    let one = |label, value: &Value| Some((label, label, value.clone()));
    let many = |label, missing, values: &Vec<Value>| Some((label, missing, Value::Array(values.clone())));
    match check {
        ClaimCheck::Is(value) => one("expectedValue", value),
        ClaimCheck::Includes(value) => one(INCLUDE, value),
        ClaimCheck::Excludes(value) => one(EXCLUDE, value),
        ClaimCheck::IncludesAll(values) => many(INCLUDE, INCLUDE, values),
        ClaimCheck::IncludesAny(values) => many("expectedToIncludeAtLeastOneOf", INCLUDE, values),
        ClaimCheck::ExcludesAll(values) => many(EXCLUDE, EXCLUDE, values),
        ClaimCheck::Own(_) => None,
    }
}

const INCLUDE: &str = "expectedToInclude";
const EXCLUDE: &str = "expectedToNotInclude";

#[cfg(test)]
mod tests;
