use super::*;
use crate::id::CredentialId;
use crate::record::user::Enrolled;

const PASSWORD: FactorId = FactorId::from_static("emailpassword");
const PHONE: FactorId = FactorId::from_static("otp-phone");
const TOTP: FactorId = FactorId::from_static("totp");
const MAIL: FactorId = FactorId::from_static("otp-email");

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(ms)
}

fn offered() -> Vec<Offered> {
    [PHONE, TOTP, MAIL]
        .map(|factor| Offered {
            factor,
            kind: Kind::Possession,
        })
        .to_vec()
}

fn completion(ms: i64, kind: Kind, channel: Option<&str>, first: bool) -> Completion {
    Completion {
        at: at(ms),
        kind,
        channel: channel.map(str::to_owned),
        first,
        signed_up: false,
    }
}

fn after_password() -> Completed {
    Completed::from([(PASSWORD, completion(1_000, Kind::Knowledge, None, true))])
}

fn and(mut done: Completed, factor: FactorId, ms: i64) -> Completed {
    done.insert(factor, completion(ms, Kind::Possession, Some("phone:1"), false));
    done
}

fn with(factors: &[FactorId]) -> Summary {
    let enrolled = factors
        .iter()
        .map(|f| Enrolled {
            factor: f.clone(),
            credential: CredentialId::from("c"),
            kind: Kind::Possession,
            channel: Some(format!("{f}:1")),
            contact: None,
            at: at(1),
        })
        .collect();
    Summary {
        enrolled,
        required: Vec::new(),
    }
}

fn site(factors: &[FactorId]) -> Policy {
    Policy::second_factor(any_of(factors.iter().cloned()))
}

#[test]
fn a_site_that_demands_a_second_factor_is_not_satisfied_by_the_first() {
    let standing = assess(
        &site(&[PHONE]),
        &offered(),
        &Summary::default(),
        &after_password(),
    );
    assert!(!standing.satisfied && !standing.second_factor);
    assert_eq!((standing.next, standing.at), (vec![PHONE], at(1_000)));
}

#[test]
fn a_second_factor_completes_the_session_and_gives_it_its_time() {
    let standing = assess(
        &site(&[PHONE]),
        &offered(),
        &with(&[PHONE]),
        &and(after_password(), PHONE, 2_000),
    );
    assert!(standing.satisfied && standing.second_factor);
    assert_eq!(
        (standing.at, standing.newest, standing.next),
        (at(2_000), Some(PHONE), vec![])
    );
}

#[test]
fn a_site_without_a_demand_is_satisfied_but_no_second_factor_is_claimed() {
    let standing = assess(
        &Policy::when_enrolled(),
        &offered(),
        &Summary::default(),
        &after_password(),
    );
    assert!(standing.satisfied && !standing.second_factor && standing.next.is_empty() && !standing.stuck);
}

#[test]
fn an_enrolled_factor_is_demanded_whatever_the_site_says() {
    let standing = assess(
        &Policy::when_enrolled(),
        &offered(),
        &with(&[TOTP]),
        &after_password(),
    );
    assert_eq!((standing.satisfied, standing.next), (false, vec![TOTP]));
}

#[test]
fn an_enrolled_factor_comes_before_the_one_that_the_site_demands() {
    let standing = assess(&site(&[TOTP]), &offered(), &with(&[PHONE]), &after_password());
    assert_eq!((standing.satisfied, standing.next), (false, vec![PHONE]));
    let standing = assess(
        &site(&[TOTP]),
        &offered(),
        &with(&[PHONE]),
        &and(after_password(), PHONE, 2_000),
    );
    assert_eq!((standing.satisfied, standing.next), (false, vec![TOTP]));
}

#[test]
fn of_several_enrolled_factors_those_that_meet_every_demand_are_asked() {
    let standing = assess(
        &site(&[TOTP]),
        &offered(),
        &with(&[PHONE, TOTP]),
        &after_password(),
    );
    assert_eq!(standing.next, vec![TOTP]);
}

#[test]
fn the_factor_that_opened_the_session_never_counts_as_the_second() {
    let done = Completed::from([(MAIL, completion(1, Kind::Possession, Some("mail:1"), true))]);
    let standing = assess(&site(&[MAIL, TOTP]), &offered(), &with(&[MAIL, TOTP]), &done);
    assert!(!standing.satisfied);
    // Another possession factor is of the same kind, so it does not second it either.
    assert!(standing.next.is_empty() && standing.stuck);
}

#[test]
fn a_factor_over_the_channel_of_the_first_one_does_not_count() {
    let done = Completed::from([
        (PASSWORD, completion(1, Kind::Knowledge, Some("mail:1"), true)),
        (MAIL, completion(2, Kind::Possession, Some("mail:1"), false)),
    ]);
    assert!(!assess(&site(&[MAIL]), &offered(), &Summary::default(), &done).satisfied);
}

#[test]
fn a_factor_without_a_first_one_completes_nothing() {
    let done = Completed::from([(PHONE, completion(2, Kind::Possession, None, false))]);
    let standing = assess(&Policy::when_enrolled(), &offered(), &Summary::default(), &done);
    assert!(!standing.satisfied && !standing.second_factor);
}

#[test]
fn an_empty_or_unknown_demand_denies_instead_of_passing() {
    let nobody = FactorId::from_static("nobody");
    for policy in [site(&[]), site(&[nobody])] {
        let standing = assess(&policy, &offered(), &Summary::default(), &after_password());
        assert!(!standing.satisfied && standing.stuck, "{policy:?}");
    }
}

#[test]
fn a_factor_that_the_user_must_use_is_demanded_beside_the_sites() {
    let mut summary = with(&[PHONE]);
    summary.required = vec![TOTP];
    let standing = assess(
        &site(&[PHONE]),
        &offered(),
        &summary,
        &and(after_password(), PHONE, 2_000),
    );
    assert_eq!((standing.satisfied, standing.next), (false, vec![TOTP]));
}

/// Every combination of three factors enrolled and completed, for three policies: A-MFA-27 and A-MFA-35.
#[test]
fn whoever_has_a_second_factor_is_never_complete_without_one() {
    let all = [PHONE, TOTP, MAIL];
    for enrolled in 0..8_u8 {
        for done in 0..8_u8 {
            for policy in [Policy::when_enrolled(), site(&[PHONE]), site(&[TOTP, MAIL])] {
                let pick = |bits: u8| {
                    all.iter()
                        .enumerate()
                        .filter(move |(i, _)| bits & (1 << i) != 0)
                        .map(|(_, f)| f)
                };
                let summary = with(&pick(enrolled).cloned().collect::<Vec<_>>());
                let mut completed = after_password();
                for factor in pick(done) {
                    completed = and(completed, factor.clone(), 2_000);
                }
                let standing = assess(&policy, &offered(), &summary, &completed);
                if enrolled != 0 && enrolled & done == 0 {
                    assert!(
                        !is_complete(&standing, &summary),
                        "{enrolled:03b} {done:03b} {policy:?}"
                    );
                    assert!(!standing.next.is_empty());
                    assert!(standing.next.iter().all(|f| summary.enrolled(f).is_some()));
                }
                if done == 0 {
                    assert!(!standing.second_factor);
                }
            }
        }
    }
}

fn age(first: i64, signed_up: bool) -> SessionAge {
    SessionAge {
        first_factor_at: at(first),
        signed_up,
        leave: Leave::None,
    }
}

const STEP_UP: Duration = Duration::from_secs(300);

#[test]
fn the_first_second_factor_needs_a_fresh_first_one() {
    let policy = site(&[PHONE]);
    let summary = Summary::default();
    let standing = assess(&policy, &offered(), &summary, &after_password());
    let judge = |now: i64| {
        may_enroll(
            &policy,
            &summary,
            &standing,
            &PHONE,
            age(1_000, false),
            STEP_UP,
            at(now),
        )
    };
    assert_eq!(judge(301_000), Ok(()));
    assert_eq!(judge(301_001), Err(EnrollRefusal::SignInAgain));
    // A first factor from the future is no fresh one (A-STU-03).
    assert_eq!(judge(999), Err(EnrollRefusal::SignInAgain));
}

/// What is said of a first enrollment where the first factor was completed a second, or ten minutes, ago.
fn with_leave(mode: EnrollmentMode, leave: Leave) -> [Result<(), EnrollRefusal>; 2] {
    let policy = site(&[PHONE]).with_enrollment(mode);
    let summary = Summary::default();
    let standing = assess(&policy, &offered(), &summary, &after_password());
    [1_001, 600_000].map(|now| {
        let age = SessionAge {
            leave,
            ..age(1_000, true)
        };
        may_enroll(&policy, &summary, &standing, &PHONE, age, STEP_UP, at(now))
    })
}

#[test]
fn where_the_mailbox_confirms_nothing_else_does_and_its_word_is_enough() {
    let refused = Err(EnrollRefusal::Confirm);
    assert_eq!(
        with_leave(EnrollmentMode::ConfirmByEmail, Leave::None),
        [refused, refused]
    );
    assert_eq!(
        with_leave(EnrollmentMode::ConfirmByEmail, Leave::Given),
        [Ok(()), Ok(())]
    );
}

#[test]
fn where_an_administrator_approves_the_first_factor_has_to_be_fresh_to_ask() {
    let (refused, stale) = (Err(EnrollRefusal::Approval), Err(EnrollRefusal::SignInAgain));
    assert_eq!(with_leave(EnrollmentMode::Approve, Leave::None), [refused, stale]);
    assert_eq!(
        with_leave(EnrollmentMode::Approve, Leave::Given),
        [Ok(()), Ok(())]
    );
}

#[test]
fn leave_counts_for_nothing_where_none_is_wanted() {
    let stale = Err(EnrollRefusal::SignInAgain);
    assert_eq!(
        with_leave(EnrollmentMode::FreshFirstFactor, Leave::Given),
        [Ok(()), stale]
    );
    assert_eq!(
        with_leave(EnrollmentMode::InSignUpSession, Leave::None),
        [Ok(()), Ok(())]
    );
}

#[test]
fn in_sign_up_session_mode_a_later_sign_in_cannot_enroll() {
    let policy = site(&[PHONE]).with_enrollment(EnrollmentMode::InSignUpSession);
    let summary = Summary::default();
    let standing = assess(&policy, &offered(), &summary, &after_password());
    let judge = |signed_up| {
        may_enroll(
            &policy,
            &summary,
            &standing,
            &PHONE,
            age(1_000, signed_up),
            STEP_UP,
            at(1_001),
        )
    };
    assert_eq!(judge(true), Ok(()));
    assert_eq!(judge(false), Err(EnrollRefusal::SignInAgain));
}

#[test]
fn an_enrolled_factor_closes_enrollment_until_it_is_completed() {
    let policy = site(&[PHONE, TOTP]);
    let summary = with(&[TOTP]);
    let before = assess(&policy, &offered(), &summary, &after_password());
    let judge = |standing: &Standing, factor: &FactorId, now: i64| {
        may_enroll(
            &policy,
            &summary,
            standing,
            factor,
            age(1_000, true),
            STEP_UP,
            at(now),
        )
    };
    assert_eq!(judge(&before, &PHONE, 1_001), Err(EnrollRefusal::Gate));
    assert_eq!(judge(&before, &TOTP, 1_001), Err(EnrollRefusal::Enrolled));
    let after = assess(&policy, &offered(), &summary, &and(after_password(), TOTP, 2_000));
    assert_eq!(judge(&after, &PHONE, 3_000), Ok(()));
    assert_eq!(judge(&after, &PHONE, 303_000), Err(EnrollRefusal::StepUp));
}

#[test]
fn a_factor_that_is_not_next_cannot_be_enrolled_in_a_half_login() {
    let policy = site(&[PHONE]);
    let summary = Summary::default();
    let standing = assess(&policy, &offered(), &summary, &after_password());
    assert_eq!(
        may_enroll(
            &policy,
            &summary,
            &standing,
            &TOTP,
            age(1_000, true),
            STEP_UP,
            at(1_001)
        ),
        Err(EnrollRefusal::Gate)
    );
}

#[test]
fn choices_are_none_for_a_user_who_is_stuck() {
    let policy = site(&[FactorId::from_static("nobody")]);
    let standing = assess(&policy, &offered(), &Summary::default(), &after_password());
    assert_eq!(
        choices(&offered(), &[PASSWORD], &Summary::default(), &standing, |_| true),
        None
    );
}

#[test]
fn choices_offer_only_what_is_next_in_a_half_login_and_everything_afterwards() {
    let policy = site(&[PHONE]);
    let summary = with(&[PHONE]);
    let half = assess(&policy, &offered(), &summary, &after_password());
    let shown = choices(&offered(), &[PASSWORD], &summary, &half, |_| false).unwrap();
    assert_eq!((shown.next, shown.allowed_to_set_up), (vec![PHONE], vec![]));
    assert_eq!(shown.already_set_up, vec![PASSWORD, PHONE]);
    let full = assess(
        &policy,
        &offered(),
        &summary,
        &and(after_password(), PHONE, 2_000),
    );
    let shown = choices(&offered(), &[PASSWORD], &summary, &full, |f| *f == TOTP).unwrap();
    assert_eq!((shown.next, shown.allowed_to_set_up), (vec![], vec![PHONE, TOTP]));
}

// Asked on routes only

#[test]
fn on_routes_only_a_first_factor_is_complete_and_two_factors_are_something_else() {
    for policy in [site(&[PHONE]), Policy::when_enrolled()] {
        assert!(!site(&[PHONE]).lets_in_by_one_factor());
        let policy = policy.on_routes_only();
        assert!(policy.lets_in_by_one_factor());
        for summary in [Summary::default(), with(&[PHONE])] {
            let first = assess(&policy, &offered(), &summary, &after_password());
            assert!(
                first.satisfied && !first.second_factor && !first.stuck,
                "{first:?}"
            );
            assert_eq!((first.next, first.at), (vec![], at(1_000)));
            let done = and(after_password(), PHONE, 2_000);
            let both = assess(&policy, &offered(), &summary, &done);
            assert!(both.satisfied && both.second_factor, "{both:?}");
            assert_eq!((both.newest, both.at), (Some(PHONE), at(2_000)));
        }
    }
}

#[test]
fn on_routes_only_the_floor_is_held_at_the_second_factor() {
    // Enrolled: the phone. Completed beside the password: only what the user does not have.
    let policy = Policy::when_enrolled().on_routes_only();
    let summary = with(&[PHONE]);
    let other = assess(&policy, &offered(), &summary, &and(after_password(), TOTP, 2_000));
    assert!(other.satisfied && !other.second_factor, "{other:?}");
    assert!(!is_complete(&other, &summary));
    // Nothing at all was completed.
    let none = assess(&policy, &offered(), &summary, &Completed::new());
    assert!(!none.satisfied && !none.second_factor, "{none:?}");
    // What accepts nothing stays shut.
    let shut = assess(
        &Policy::never().on_routes_only(),
        &offered(),
        &summary,
        &after_password(),
    );
    assert!(!shut.satisfied && !shut.second_factor, "{shut:?}");
}

#[test]
fn on_routes_only_whoever_has_a_second_factor_completes_it_before_factors_change() {
    let policy = site(&[PHONE, TOTP]).on_routes_only();
    let judge = |summary: &Summary, standing: &Standing, factor: &FactorId| {
        let age = age(1_000, false);
        may_enroll(&policy, summary, standing, factor, age, STEP_UP, at(2_001))
    };
    let enrolled = with(&[TOTP]);
    let first = assess(&policy, &offered(), &enrolled, &after_password());
    assert!(!is_complete(&first, &enrolled));
    assert_eq!(judge(&enrolled, &first, &PHONE), Err(EnrollRefusal::Gate));
    let both = assess(
        &policy,
        &offered(),
        &enrolled,
        &and(after_password(), TOTP, 2_000),
    );
    assert!(is_complete(&both, &enrolled));
    assert_eq!(judge(&enrolled, &both, &PHONE), Ok(()));
    // Whoever has none may add the first one, while the first factor is fresh.
    let nobody = Summary::default();
    let first = assess(&policy, &offered(), &nobody, &after_password());
    assert!(is_complete(&first, &nobody));
    assert_eq!(judge(&nobody, &first, &PHONE), Ok(()));
}

#[test]
fn what_opened_a_session_or_is_of_its_kind_would_be_no_second_factor() {
    let (offered, none) = (offered(), Summary::default());
    let by_mail = Completed::from([(MAIL, completion(1, Kind::Possession, Some("mailbox:1"), true))]);
    for factor in [PHONE, TOTP, MAIL] {
        assert!(would_be_second(&offered, &none, &after_password(), &factor));
        assert!(would_be_second(
            &offered,
            &with(std::slice::from_ref(&factor)),
            &after_password(),
            &factor
        ));
        assert!(!would_be_second(&offered, &none, &by_mail, &factor));
        assert!(!would_be_second(&offered, &none, &Completed::new(), &factor));
        assert!(!would_be_second(&[], &none, &after_password(), &factor));
    }
    // A first factor that came by the very channel, of whatever kind it calls itself.
    let by_channel = Completed::from([(
        PASSWORD,
        completion(1, Kind::Knowledge, Some("otp-email:1"), true),
    )]);
    assert!(!would_be_second(&offered, &with(&[MAIL]), &by_channel, &MAIL));
    assert!(would_be_second(&offered, &with(&[PHONE]), &by_channel, &PHONE));
}

#[test]
fn a_demand_of_possession_is_met_after_a_password_and_never_after_a_code() {
    let met = |policy: &Policy, kind| can_be_met(policy, &offered(), kind);
    assert!(met(&site(&[PHONE]), Kind::Knowledge));
    assert!(!met(&site(&[PHONE]), Kind::Possession));
    // Nothing is demanded at sign-in.
    assert!(met(&Policy::when_enrolled(), Kind::Possession));
    assert!(met(&site(&[PHONE]).on_routes_only(), Kind::Possession));
    assert!(!met(&site(&[FactorId::from_static("webauthn")]), Kind::Knowledge));
}
