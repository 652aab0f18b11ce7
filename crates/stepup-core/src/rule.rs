//! Rules: what a resource asks of a session, as one value, judged by one evaluator that extractor, layer and
//! middleware share.

use std::fmt;
use std::time::Duration;

use serde_json::{Value, json};

use crate::config::ClaimNames;
use crate::record::JsonMap;
use crate::time::Timestamp;

/// What a resource asks of a session.
#[derive(Clone, Debug)]
pub enum Rule {
    /// A valid session, nothing more.
    Valid,
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

/// A check of a claim `{"v": value, "t": milliseconds}` in the payload.
#[derive(Clone, Debug)]
pub struct ClaimRule {
    /// The claim's key; also the id in the refusal.
    pub key: String,
    /// What must hold.
    pub check: ClaimCheck,
    /// The oldest value that is believed.
    pub max_age: Option<Duration>,
}

/// Checks of a claim's value.
#[derive(Clone, Debug, PartialEq)]
pub enum ClaimCheck {
    /// It equals the value: a boolean, number, string or null.
    Is(Value),
    /// It is an array that includes the value.
    Includes(Value),
    /// It is an array that does not include the value.
    Excludes(Value),
}

impl ClaimRule {
    /// The claim `key` is `value`.
    pub fn is(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            key: key.into(),
            check: ClaimCheck::Is(value.into()),
            max_age: None,
        }
    }

    /// The claim `key` is an array that includes `value`.
    pub fn includes(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            key: key.into(),
            check: ClaimCheck::Includes(value.into()),
            max_age: None,
        }
    }

    /// The claim `key` is an array without `value`; a missing claim fails.
    pub fn excludes(key: impl Into<String>, value: impl Into<Value>) -> Self {
        Self {
            key: key.into(),
            check: ClaimCheck::Excludes(value.into()),
            max_age: None,
        }
    }

    /// Refuses a value that was set longer ago, in whole seconds on the wire.
    #[must_use]
    pub fn within(mut self, max_age: Duration) -> Self {
        self.max_age = Some(max_age);
        self
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
    pub payload: &'a JsonMap,
    /// Now.
    pub now: Timestamp,
    /// The names of the derived claims.
    pub names: &'a ClaimNames,
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

fn collect(rule: &Rule, facts: &Facts<'_>, out: &mut Vec<ClaimFailure>) {
    match rule {
        Rule::Valid => {}
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
        Rule::Claim(claim) => {
            if let Err(reason) = check(claim, facts) {
                push(
                    out,
                    ClaimFailure {
                        id: claim.key.clone(),
                        reason: Some(reason),
                    },
                );
            }
        }
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

fn stale(facts: &Facts<'_>, within: Duration) -> ClaimFailure {
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

fn check(claim: &ClaimRule, facts: &Facts<'_>) -> Result<(), Value> {
    let (label, expected) = match &claim.check {
        ClaimCheck::Is(value) => ("expectedValue", value),
        ClaimCheck::Includes(value) => ("expectedToInclude", value),
        ClaimCheck::Excludes(value) => ("expectedToNotInclude", value),
    };
    let stored = facts.payload.get(&claim.key).and_then(Value::as_object);
    let Some(actual) = stored.and_then(|c| c.get("v")) else {
        return Err(json!({ "message": "value does not exist", label: expected }));
    };
    if let Some(max_age) = claim.max_age {
        let set_at = stored
            .and_then(|c| c.get("t"))
            .and_then(Value::as_i64)
            .map(Timestamp::from_ms);
        // A value from the future, or without a time, counts as expired (A-STU-03).
        let age = set_at.filter(|t| *t <= facts.now).map(|t| facts.now.since(t));
        if age.is_none_or(|age| age > max_age) {
            let seconds = age.map(|age| age.as_millis() as f64 / 1000.0);
            return Err(json!({
                "message": "expired",
                "ageInSeconds": seconds,
                "maxAgeInSeconds": max_age.as_secs(),
            }));
        }
    }
    let holds = match &claim.check {
        ClaimCheck::Is(value) => actual == value,
        ClaimCheck::Includes(value) => actual.as_array().is_some_and(|a| a.contains(value)),
        ClaimCheck::Excludes(value) => actual.as_array().is_some_and(|a| !a.contains(value)),
    };
    if holds {
        Ok(())
    } else {
        Err(json!({ "message": "wrong value", label: expected, "actualValue": actual }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::user::object;

    fn facts<'a>(
        satisfied: bool,
        second: Option<i64>,
        payload: &'a JsonMap,
        names: &'a ClaimNames,
    ) -> Facts<'a> {
        Facts {
            satisfied: Some(satisfied),
            second_factor: Some(second.is_some()),
            second_factor_at: Some(Timestamp::from_ms(second.unwrap_or(1))),
            second_factor_id: second.map(|_| "otp-phone"),
            payload,
            now: Timestamp::from_ms(1_000_000),
            names,
        }
    }

    fn ids(rule: &Rule, facts: &Facts<'_>) -> Vec<String> {
        judge(rule, facts).into_iter().map(|f| f.id).collect()
    }

    #[test]
    fn a_refusal_names_every_failing_claim_once() {
        let (payload, names) = (JsonMap::new(), ClaimNames::default());
        let half = facts(false, None, &payload, &names);
        let rule = Rule::All(vec![
            Rule::Site,
            Rule::SecondFactor,
            Rule::Fresh(Duration::from_secs(300)),
            Rule::Claim(ClaimRule::includes("role", "admin")),
        ]);
        assert_eq!(ids(&rule, &half), ["st-mfa", "2fa-completed", "role"]);
        assert_eq!(ids(&Rule::Valid, &half), Vec::<String>::new());
    }

    #[test]
    fn a_satisfied_policy_without_a_second_factor_passes_the_site_but_not_require_2fa() {
        let (payload, names) = (JsonMap::new(), ClaimNames::default());
        let one = facts(true, None, &payload, &names);
        assert!(judge(&Rule::Site, &one).is_empty());
        assert_eq!(ids(&Rule::SecondFactor, &one), ["2fa-completed"]);
        assert_eq!(
            ids(&Rule::Fresh(Duration::from_secs(300)), &one),
            ["2fa-completed"]
        );
    }

    #[test]
    fn freshness_ends_after_its_seconds_and_never_begins_in_the_future() {
        let (payload, names) = (JsonMap::new(), ClaimNames::default());
        let rule = Rule::Fresh(Duration::from_secs(300));
        assert!(judge(&rule, &facts(true, Some(700_000), &payload, &names)).is_empty());
        for stale in [699_999, 1_000_001, 1_700_000_000_000] {
            let failures = judge(&rule, &facts(true, Some(stale), &payload, &names));
            assert_eq!(failures.len(), 1);
            assert_eq!(failures[0].id, "st-mfa");
            assert_eq!(failures[0].reason.as_ref().unwrap()["factorId"], "otp-phone");
        }
    }

    #[test]
    fn an_alternative_holds_if_one_side_does_and_an_empty_one_never() {
        let (payload, names) = (JsonMap::new(), ClaimNames::default());
        let one = facts(true, None, &payload, &names);
        assert!(judge(&Rule::Any(vec![Rule::SecondFactor, Rule::Site]), &one).is_empty());
        assert_eq!(ids(&Rule::Any(vec![]), &one), ["st-mfa"]);
    }

    #[test]
    fn claims_are_checked_by_value_and_age() {
        let names = ClaimNames::default();
        let payload = object(serde_json::json!({
            "role": {"v": ["admin"], "t": 900_000}, "plan": {"v": "pro", "t": 900_000}, "bare": true,
        }))
        .unwrap();
        let f = facts(true, None, &payload, &names);
        let holds = |rule: ClaimRule| judge(&Rule::Claim(rule), &f).is_empty();
        assert!(holds(ClaimRule::includes("role", "admin")));
        assert!(!holds(ClaimRule::includes("role", "root")));
        assert!(holds(ClaimRule::excludes("role", "root")));
        assert!(!holds(ClaimRule::excludes("missing", "root")));
        assert!(holds(
            ClaimRule::is("plan", "pro").within(Duration::from_secs(100))
        ));
        assert!(!holds(
            ClaimRule::is("plan", "pro").within(Duration::from_secs(99))
        ));
        // A bare value is no claim: the clients read it as undefined.
        assert!(!holds(ClaimRule::is("bare", true)));
    }
}
