use super::*;
use crate::evidence::Kind;

fn done(factors: &[(FactorId, i64)]) -> Completed {
    let completion = |at: i64| Completion {
        at: Timestamp::from_ms(at),
        kind: Kind::Possession,
        channel: None,
        first: false,
        signed_up: false,
    };
    let entry = |(factor, at): &(FactorId, i64)| (factor.clone(), completion(*at));
    factors.iter().map(entry).collect()
}

fn claim(factors: &[(FactorId, i64)]) -> MfaClaim {
    let entry = |(factor, secs): &(FactorId, i64)| (factor.clone(), Timestamp::from_ms(secs * 1000));
    MfaClaim {
        satisfied: true,
        completed: factors.iter().map(entry).collect(),
    }
}

#[test]
fn a_token_vouches_for_no_factor_that_it_does_not_name() {
    let row = done(&[(FactorId::EMAIL_PASSWORD, 1_500), (FactorId::OTP_PHONE, 2_500)]);
    let half = claim(&[(FactorId::EMAIL_PASSWORD, 1)]);
    assert_eq!(
        vouched(&row, Some(&half)),
        done(&[(FactorId::EMAIL_PASSWORD, 1_500)])
    );
    assert_eq!(vouched(&row, None), done(&[]));
}

#[test]
fn a_token_vouches_for_no_time_after_its_own() {
    let row = done(&[(FactorId::OTP_PHONE, 900_000)]);
    let before = claim(&[(FactorId::OTP_PHONE, 2)]);
    assert_eq!(
        vouched(&row, Some(&before)),
        done(&[(FactorId::OTP_PHONE, 2_999)])
    );
    let newest = claim(&[(FactorId::OTP_PHONE, 900)]);
    assert_eq!(vouched(&row, Some(&newest)), row);
}

#[test]
fn what_the_row_has_lost_no_token_brings_back() {
    let both = claim(&[(FactorId::EMAIL_PASSWORD, 1), (FactorId::OTP_PHONE, 2)]);
    let row = done(&[(FactorId::EMAIL_PASSWORD, 1_500)]);
    assert_eq!(vouched(&row, Some(&both)), row);
}

#[test]
fn of_two_factors_of_one_second_the_offered_one_is_the_second() {
    let at = Timestamp::from_ms(1_700_000_000_000);
    let offered = [Offered {
        factor: FactorId::OTP_PHONE,
        kind: Kind::Possession,
    }];
    let mut completed = BTreeMap::from([(FactorId::EMAIL_PASSWORD, at), (FactorId::OTP_PHONE, at)]);
    completed.insert(FactorId::from_static("zeal"), at);
    let late = Timestamp::from_ms(at.as_ms() + 999);
    assert_eq!(
        completed_at(&completed, late, &offered),
        Some(&FactorId::OTP_PHONE)
    );
    completed.remove(&FactorId::OTP_PHONE);
    assert!(completed_at(&completed, late, &offered).is_some());
    let next = Timestamp::from_ms(at.as_ms() + 1_000);
    assert_eq!(completed_at(&completed, next, &offered), None);
}
