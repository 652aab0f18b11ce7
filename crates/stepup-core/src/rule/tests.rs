use super::*;
use crate::record::user::object;

fn facts<'a>(satisfied: bool, second: Option<i64>, payload: &'a JsonMap, names: &'a ClaimNames) -> Facts<'a> {
    Facts {
        satisfied: Some(satisfied),
        second_factor: Some(second.is_some()),
        second_factor_at: Some(Timestamp::from_ms(second.unwrap_or(1))),
        second_factor_id: second.map(|_| "otp-phone"),
        payload: payload.into(),
        now: Timestamp::from_ms(1_000_000),
        names,
        default_ages: &[],
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

fn reason(rule: ClaimRule, facts: &Facts<'_>) -> Value {
    let failures = judge(&Rule::Claim(rule), facts);
    failures
        .into_iter()
        .next()
        .map_or(Value::Null, |f| f.reason.unwrap())
}

#[test]
fn every_check_of_an_array_has_the_reasons_of_the_protocol() {
    let names = ClaimNames::default();
    let payload = object(json!({ "role": {"v": ["a", "b"], "t": 1}, "text": {"v": "a", "t": 1} })).unwrap();
    let f = facts(true, None, &payload, &names);
    type Make = fn(&str, [&str; 2]) -> ClaimRule;
    type Check = (Make, [&'static str; 2], [&'static str; 2], &'static str);
    let checks: [Check; 3] = [
        (
            |k, v| ClaimRule::includes_all(k, v),
            ["a", "b"],
            ["a", "c"],
            "expectedToInclude",
        ),
        (
            |k, v| ClaimRule::includes_any(k, v),
            ["c", "b"],
            ["c", "d"],
            "expectedToIncludeAtLeastOneOf",
        ),
        (
            |k, v| ClaimRule::excludes_all(k, v),
            ["c", "d"],
            ["c", "a"],
            "expectedToNotInclude",
        ),
    ];
    for (make, right, wrong, label) in checks {
        let missing = label.replace("AtLeastOneOf", "");
        assert_eq!(reason(make("role", right), &f), Value::Null);
        assert_eq!(
            reason(make("role", wrong), &f),
            json!({ "message": "wrong value", label: wrong, "actualValue": ["a", "b"] })
        );
        assert_eq!(
            reason(make("none", right), &f),
            json!({ "message": "value does not exist", (missing): right })
        );
        // What is no array holds nothing and lacks nothing.
        assert_ne!(reason(make("text", right), &f), Value::Null);
    }
    assert_eq!(
        reason(ClaimRule::is("text", "b"), &f),
        json!({ "message": "wrong value", "expectedValue": "b", "actualValue": "a" })
    );
    let empty: [&str; 0] = [];
    assert_ne!(reason(ClaimRule::includes_any("role", empty), &f), Value::Null);
}

#[test]
fn an_own_check_gives_its_own_reason_and_no_missing_value() {
    let names = ClaimNames::default();
    let payload = object(json!({ "age": {"v": 17, "t": 1} })).unwrap();
    let f = facts(true, None, &payload, &names);
    let adult = |key: &str| {
        ClaimRule::own(key, |age| {
            if age.as_i64() >= Some(18) {
                Ok(())
            } else {
                Err(json!({ "message": "too young" }))
            }
        })
    };
    assert_eq!(reason(adult("age"), &f), json!({ "message": "too young" }));
    assert_eq!(
        reason(adult("none"), &f),
        json!({ "message": "value does not exist" })
    );
    let failures = judge(&Rule::Claim(adult("age").named("adult")), &f);
    assert_eq!(failures[0].id, "adult");
}

#[test]
fn a_default_age_counts_where_the_rule_names_none() {
    let names = ClaimNames::default();
    let payload = object(json!({ "plan": {"v": "pro", "t": 900_000} })).unwrap();
    let ages = [("plan".to_owned(), Duration::from_secs(99))];
    let f = Facts {
        default_ages: &ages,
        ..facts(true, None, &payload, &names)
    };
    let plan = || ClaimRule::is("plan", "pro");
    assert_eq!(reason(plan(), &f)["message"], "expired");
    assert_eq!(reason(plan(), &f)["ageInSeconds"], 100.0);
    assert_eq!(reason(plan().within(Duration::from_secs(100)), &f), Value::Null);
}

#[test]
fn a_claim_is_fetched_again_when_it_is_missing_or_old() {
    let now = Timestamp::from_ms(1_000_000);
    let payload = object(json!({
        "plan": {"v": "pro", "t": 900_000}, "bare": true, "undated": {"v": 1}, "future": {"v": 1, "t": 1_000_001},
        "null": {"v": null, "t": 1},
    }))
    .unwrap();
    let secs = Duration::from_secs;
    let again = |rule: ClaimRule, default| rule.should_refetch(&payload, default, now);
    assert!(again(ClaimRule::is("none", 1), None));
    assert!(again(ClaimRule::is("bare", true), None));
    assert!(!again(ClaimRule::is("null", Value::Null), None));
    assert!(!again(ClaimRule::is("plan", "pro"), None));
    assert!(again(ClaimRule::is("plan", "pro"), Some(secs(99))));
    assert!(!again(
        ClaimRule::is("plan", "pro").within(secs(100)),
        Some(secs(99))
    ));
    assert!(again(ClaimRule::is("plan", "pro").within(secs(0)), None));
    for key in ["undated", "future"] {
        assert!(again(ClaimRule::is(key, 1).within(secs(99)), None), "{key}");
    }
}

#[test]
fn what_fails_is_doubted_sooner_than_what_holds() {
    let now = Timestamp::from_ms(1_000_000);
    let again = |verified: bool, age_ms: i64, rule: ClaimRule| {
        let entry = json!({ EMAIL_VERIFIED: {"v": verified, "t": now.as_ms() - age_ms} });
        rule.should_refetch(&object(entry).unwrap(), None, now)
    };
    let rule = ClaimRule::email_verified;
    assert!(!again(false, 10_000, rule()) && again(false, 10_001, rule()));
    assert!(!again(true, 1_000_000, rule()));
    // An age counts for both, and the shorter one for what fails.
    let within = || rule().within(Duration::from_secs(60));
    assert!(again(true, 60_001, within()) && !again(true, 60_000, within()));
    assert!(again(false, 10_001, within()));
    // One from the future was set by nobody.
    assert!(again(false, -1, rule()));
    assert!(rule().should_refetch(&JsonMap::new(), None, now));
}

#[test]
fn a_route_asks_for_the_sites_policy_whatever_it_names() {
    let (payload, names) = (JsonMap::new(), ClaimNames::default());
    let half = facts(false, None, &payload, &names);
    let holds = OwnRule(|_| Ok(()));
    let route =
        |rule: Rule| -> Vec<String> { judge_route(&rule, &[], &half).into_iter().map(|f| f.id).collect() };
    let both = ["st-mfa", "2fa-completed"];
    assert_eq!(route(Rule::Own(holds)), both);
    assert_eq!(route(Rule::Any(vec![Rule::Own(holds), Rule::SecondFactor])), both);
    assert_eq!(route(Rule::LeaveOut(LeftOut::All)), both);
    assert_eq!(route(Rule::All(vec![])), both);
    // The visible opt-out; as one of two alternatives it opts out of nothing.
    assert_eq!(route(Rule::Valid), [""; 0]);
    assert_eq!(route(Rule::All(vec![Rule::Valid, Rule::Own(holds)])), [""; 0]);
    assert_eq!(route(Rule::Any(vec![Rule::Valid, Rule::Own(holds)])), both);
}

#[test]
fn a_route_asks_for_the_claims_of_every_route_unless_it_leaves_them_out() {
    let (payload, names) = (JsonMap::new(), ClaimNames::default());
    let one = facts(true, None, &payload, &names);
    let everywhere = [ClaimRule::is("terms", 3), ClaimRule::is("email", true)];
    let route = |rule: Rule| -> Vec<String> {
        let mut seen = Vec::new();
        each_claim(&rule, &everywhere, &mut |claim| seen.push(claim.key.clone()));
        let failed: Vec<String> = judge_route(&rule, &everywhere, &one)
            .into_iter()
            .map(|f| f.id)
            .collect();
        // What is judged is what may be fetched.
        assert_eq!(failed.iter().filter(|id| seen.contains(id)).count(), failed.len());
        failed
    };
    let role = || Rule::Claim(ClaimRule::includes("role", "admin"));
    assert_eq!(route(Rule::Site), ["terms", "email"]);
    assert_eq!(route(role()), ["role", "terms", "email"]);
    let without = |what| Rule::All(vec![Rule::LeaveOut(what), Rule::Site]);
    assert_eq!(route(without(LeftOut::Key("terms"))), ["email"]);
    assert_eq!(route(without(LeftOut::All)), [""; 0]);
    assert_eq!(route(Rule::All(vec![without(LeftOut::All), role()])), ["role"]);
    assert_eq!(route(Rule::Valid), [""; 0]);
    assert_eq!(
        route(Rule::Any(vec![without(LeftOut::All), role()])),
        ["terms", "email"]
    );
}
