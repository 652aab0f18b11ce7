//! Challenges: one right answer, a bounded number of wrong ones, and codes that are sent again.

use std::sync::Arc;

use stepup_core::error::StoreError;
use stepup_core::record::challenge::{Answer, Binding, Challenge, MACS, Resend, Resent};
use stepup_core::time::Timestamp;

use super::fixture::*;

/// Threat A-OTP-01.
pub async fn a_right_code_is_right_once(store: Store) {
    store.put_challenge(&challenge("c1")).await.unwrap();
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Right);
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Gone);
    assert_eq!(answer(&store, 2, NOW).await.unwrap(), Answer::Gone);
}

/// Threat A-OTP-02: of 32 racing callers one is told that it is right, 31 that there is nothing to answer.
pub async fn a_right_code_is_right_for_exactly_one_of_many(store: Store) {
    for _ in 0..ROUNDS {
        store.put_challenge(&challenge("c1")).await.unwrap();
        let told = race(32, |_| {
            let store = Arc::clone(&store);
            async move { answer(&store, 1, NOW).await.unwrap() }
        })
        .await;
        assert_eq!(count(&told, |one| *one == Answer::Right), 1, "{told:?}");
        assert_eq!(count(&told, |one| *one == Answer::Gone), 31, "{told:?}");
        store.revoke_sessions(&public(), &"ann".into()).await.unwrap();
    }
}

/// How often a race is run: one that is lost by chance may be won by chance.
const ROUNDS: usize = 5;

/// Threat A-OTP-03: 200 guesses at once are five comparisons, and the counter says how many were charged.
pub async fn racing_guesses_are_compared_no_more_often_than_allowed(store: Store) {
    store.put_challenge(&challenge("c1")).await.unwrap();
    let told = race(200, |_| {
        let store = Arc::clone(&store);
        async move { answer(&store, 9, NOW).await }
    })
    .await;
    let mut failures: Vec<_> = told
        .iter()
        .filter_map(|one| match one {
            Ok(Answer::Wrong { failed }) => Some(*failed),
            Ok(Answer::Gone) | Err(StoreError::Unavailable(_)) => None,
            other => panic!("{other:?}"),
        })
        .collect();
    failures.sort_unstable();
    assert_eq!(failures, [1, 2, 3, 4, 5]);
    assert_eq!(
        answer(&store, 1, NOW).await.unwrap(),
        Answer::Gone,
        "the right code came too late"
    );
}

/// Threats A-OTP-11 and A-OTP-26: the write itself judges, to the millisecond.
pub async fn a_code_is_right_up_to_its_expiry_and_expired_from_then_on(store: Store) {
    let end = NOW.plus(5 * MINUTE);
    store.put_challenge(&challenge("c1")).await.unwrap();
    assert_eq!(
        answer(&store, 1, end).await.unwrap(),
        Answer::Expired { failed: 1 }
    );
    assert_eq!(answer(&store, 2, end).await.unwrap(), Answer::Wrong { failed: 2 });
    assert_eq!(answer(&store, 1, end.minus(TICK)).await.unwrap(), Answer::Right);
}

/// Expired tells that the code was right, and costs what a guess costs.
pub async fn an_expired_answer_is_charged_like_a_wrong_one(store: Store) {
    let late = NOW.plus(6 * MINUTE);
    store.put_challenge(&challenge("c1")).await.unwrap();
    for failed in 1..=5 {
        assert_eq!(answer(&store, 1, late).await.unwrap(), Answer::Expired { failed });
    }
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Gone);
}

/// Five failures end it, whatever comes then.
pub async fn nothing_is_answered_after_the_last_failure(store: Store) {
    store.put_challenge(&challenge("c1")).await.unwrap();
    for failed in 1..=5 {
        assert_eq!(answer(&store, 9, NOW).await.unwrap(), Answer::Wrong { failed });
    }
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Gone);
    assert_eq!(answer(&store, 9, NOW).await.unwrap(), Answer::Gone);

    let mut one_try = challenge("c1");
    one_try.binding.session = "s2".into();
    one_try.id = "c2".into();
    one_try.max_failures = 1;
    store.put_challenge(&one_try).await.unwrap();
    let to = one_try.binding;
    let wrong = store
        .answer(&public(), &"c2".into(), &to, &[code(9)], NOW)
        .await
        .unwrap();
    assert_eq!(wrong, Answer::Wrong { failed: 1 });
    let right = store
        .answer(&public(), &"c2".into(), &to, &[code(1)], NOW)
        .await
        .unwrap();
    assert_eq!(right, Answer::Gone);
}

/// Threat A-OTP-26: nothing hangs on the sweep having run.
pub async fn a_challenge_past_its_end_is_gone_though_nobody_swept_it(store: Store) {
    let mut long = challenge("c1");
    long.slots[0] = Some(slot(1, NOW.plus(DAY)));
    store.put_challenge(&long).await.unwrap();
    assert_eq!(answer(&store, 1, long.ends_at).await.unwrap(), Answer::Gone);
    assert_eq!(
        answer(&store, 1, long.ends_at.minus(TICK)).await.unwrap(),
        Answer::Right
    );
}

/// R-OTP-4: another purpose, user, session, tenant or id meets nothing, and charges nothing.
pub async fn a_code_is_useless_under_another_binding(store: Store) {
    store.put_challenge(&challenge("c1")).await.unwrap();
    let (right, id) = (to(), "c1".into());
    let mut wrong = vec![right.clone(), right.clone(), right.clone(), right.clone()];
    wrong[0].purpose = "verify:otp-phone".to_owned();
    wrong[1].user = "eve".into();
    wrong[2].session = "s2".into();
    wrong[3].session = "S1".into();
    for to in &wrong {
        for number in [1, 9] {
            let told = store
                .answer(&public(), &id, to, &[code(number)], NOW)
                .await
                .unwrap();
            assert_eq!(told, Answer::Gone);
        }
    }
    let told = store
        .answer(&other(), &id, &right, &[code(1)], NOW)
        .await
        .unwrap();
    assert_eq!(told, Answer::Gone);
    let told = store
        .answer(&public(), &"C1".into(), &right, &[code(1)], NOW)
        .await
        .unwrap();
    assert_eq!(told, Answer::Gone);
    assert_eq!(answer(&store, 9, NOW).await.unwrap(), Answer::Wrong { failed: 1 });
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Right);
}

/// Keys rotate while codes are under way; which of them made the code makes no difference.
pub async fn an_answer_may_come_under_any_of_the_keys(store: Store) {
    for place in 0..MACS {
        store.put_challenge(&challenge("c1")).await.unwrap();
        let mut macs = [code(9); MACS];
        assert_eq!(
            store
                .answer(&public(), &"c1".into(), &to(), &macs, NOW)
                .await
                .unwrap(),
            Answer::Wrong { failed: 1 }
        );
        macs[place] = code(1);
        let told = store
            .answer(&public(), &"c1".into(), &to(), &macs, NOW)
            .await
            .unwrap();
        assert_eq!(told, Answer::Right);
        store.revoke_sessions(&public(), &"ann".into()).await.unwrap();
    }
    store.put_challenge(&challenge("c1")).await.unwrap();
    let told = store
        .answer(&public(), &"c1".into(), &to(), &[], NOW)
        .await
        .unwrap();
    assert_eq!(told, Answer::Wrong { failed: 1 }, "no digest is no right one");
}

/// A caller that would have digests left out has to learn it.
pub async fn too_many_digests_are_refused_and_nothing_is_charged(store: Store) {
    store.put_challenge(&challenge("c1")).await.unwrap();
    let macs = [code(1); MACS + 1];
    let told = store.answer(&public(), &"c1".into(), &to(), &macs, NOW).await;
    assert!(matches!(told, Err(StoreError::Conflict(_))));
    assert_eq!(answer(&store, 9, NOW).await.unwrap(), Answer::Wrong { failed: 1 });
}

/// R-OTP-5: one live challenge for a session and purpose, and asking anew is no way to more of them.
pub async fn a_new_challenge_takes_the_place_of_the_old_one(store: Store) {
    store.put_challenge(&challenge("c1")).await.unwrap();
    assert_eq!(answer(&store, 9, NOW).await.unwrap(), Answer::Wrong { failed: 1 });
    let mut new = challenge("c2");
    new.slots = [
        Some(slot(2, NOW.plus(MINUTE))),
        Some(slot(3, NOW.plus(MINUTE))),
        None,
    ];
    store.put_challenge(&new).await.unwrap();
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Gone);
    let told = store
        .answer(&public(), &"c2".into(), &to(), &[code(1)], NOW)
        .await
        .unwrap();
    assert_eq!(told, Answer::Wrong { failed: 1 });
    let told = store
        .answer(&public(), &"c2".into(), &to(), &[code(3)], NOW)
        .await
        .unwrap();
    assert_eq!(told, Answer::Right);
    // A closed one makes room too.
    store.put_challenge(&challenge("c1")).await.unwrap();
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Right);
}

/// The place is that of tenant, session and purpose together.
pub async fn a_challenge_of_another_purpose_or_session_stays(store: Store) {
    store.put_challenge(&challenge("c1")).await.unwrap();
    let mut beside = vec![challenge("c2"), challenge("c3"), challenge("c1")];
    beside[0].binding.session = "s2".into();
    beside[1].binding.purpose = "second:otp-email".to_owned();
    beside[2].tenant = other();
    for one in &beside {
        store.put_challenge(one).await.unwrap();
    }
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Right);
    for one in &beside {
        let told = store
            .answer(&one.tenant, &one.id, &one.binding, &[code(1)], NOW)
            .await
            .unwrap();
        assert_eq!(told, Answer::Right);
    }
}

/// An id is the digest of a fresh secret; a second one with it is a fault, not a replacement.
pub async fn a_challenge_id_is_used_once(store: Store) {
    store.put_challenge(&challenge("c1")).await.unwrap();
    let mut clash = challenge("c1");
    clash.binding.session = "s2".into();
    clash.slots = [Some(slot(2, NOW.plus(MINUTE))), None, None];
    assert!(matches!(
        store.put_challenge(&clash).await,
        Err(StoreError::Conflict(_))
    ));
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Right);
}

fn resend(number: u8, keep: usize, now: Timestamp) -> Resend {
    Resend {
        tenant: public(),
        id: "c1".into(),
        binding: to(),
        slot: slot(number, now.plus(5 * MINUTE)),
        keep,
        base: PAUSE,
        cap: PAUSE * 16,
        now,
    }
}

/// Threat A-OTP-10, straight at the store: a resend never revives, and what is pushed out is a wrong code.
pub async fn a_resend_adds_a_code_and_lets_the_oldest_die(store: Store) {
    for (keep, alive) in [(1, 1), (2, 2), (3, 3), (0, 1), (9, 3)] {
        let mut long = challenge("c1");
        long.max_failures = 9;
        long.ends_at = NOW.plus(DAY);
        long.slots[0] = Some(slot(1, NOW.plus(DAY)));
        store.put_challenge(&long).await.unwrap();
        let mut now = NOW;
        for (number, pause) in [(2, 15), (3, 30), (4, 60)] {
            now = now.plus(std::time::Duration::from_secs(pause));
            let told = store.resend(&resend(number, keep, now)).await.unwrap();
            assert_eq!(told, Resent::Added { sends: number.into() });
        }
        for dead in 1..=(4 - alive) {
            let told = answer(&store, dead, now).await.unwrap();
            assert_eq!(
                told,
                Answer::Wrong { failed: dead.into() },
                "keep {keep}, code {dead}"
            );
        }
        assert_eq!(
            answer(&store, 5 - alive, now).await.unwrap(),
            Answer::Right,
            "keep {keep}"
        );
        assert_eq!(
            answer(&store, 4, now).await.unwrap(),
            Answer::Gone,
            "success ends all"
        );
        store.revoke_sessions(&public(), &"ann".into()).await.unwrap();
    }
}

/// The three newest live side by side, share one budget, and expire one by one.
pub async fn three_codes_live_at_once_each_with_its_own_expiry(store: Store) {
    let mut three = challenge("c1");
    three.slots = [
        Some(slot(3, NOW.plus(3 * MINUTE))),
        Some(slot(2, NOW.plus(2 * MINUTE))),
        Some(slot(1, NOW.plus(MINUTE))),
    ];
    for right in 1..=3_u8 {
        store.put_challenge(&three).await.unwrap();
        let end = NOW.plus(MINUTE * right.into());
        assert_eq!(
            answer(&store, right, end).await.unwrap(),
            Answer::Expired { failed: 1 }
        );
        assert_eq!(answer(&store, 9, end).await.unwrap(), Answer::Wrong { failed: 2 });
        assert_eq!(
            answer(&store, right, end.minus(TICK)).await.unwrap(),
            Answer::Right
        );
        store.revoke_sessions(&public(), &"ann".into()).await.unwrap();
    }
}

/// Too early changes nothing: the codes, the count and the moment stay.
pub async fn a_resend_that_comes_too_early_is_told_when(store: Store) {
    store.put_challenge(&challenge("c1")).await.unwrap();
    let at = NOW.plus(PAUSE);
    assert_eq!(
        store.resend(&resend(2, 3, at.minus(TICK))).await.unwrap(),
        Resent::TooEarly { at }
    );
    assert_eq!(answer(&store, 2, NOW).await.unwrap(), Answer::Wrong { failed: 1 });
    assert_eq!(
        store.resend(&resend(2, 3, at)).await.unwrap(),
        Resent::Added { sends: 2 }
    );
    assert_eq!(answer(&store, 2, at).await.unwrap(), Answer::Right);
}

/// A burst of resends is one message.
pub async fn of_many_resends_one_adds_a_code(store: Store) {
    store.put_challenge(&challenge("c1")).await.unwrap();
    let now = NOW.plus(PAUSE);
    let told = race(100, |_| {
        let store = Arc::clone(&store);
        async move { store.resend(&resend(2, 3, now)).await.unwrap() }
    })
    .await;
    assert_eq!(count(&told, |one| *one == Resent::Added { sends: 2 }), 1);
    let at = now.plus(2 * PAUSE);
    assert_eq!(count(&told, |one| *one == Resent::TooEarly { at }), 99);
}

/// 15, 30, 60, 120, 240 s, and no longer.
pub async fn the_pause_between_resends_doubles_to_its_cap(store: Store) {
    let mut long = challenge("c1");
    long.ends_at = NOW.plus(DAY);
    store.put_challenge(&long).await.unwrap();
    let mut now = NOW;
    for (sends, pause) in [(2, 15), (3, 30), (4, 60), (5, 120), (6, 240), (7, 240)] {
        let at = now.plus(std::time::Duration::from_secs(pause));
        assert_eq!(
            store.resend(&resend(2, 3, at.minus(TICK))).await.unwrap(),
            Resent::TooEarly { at }
        );
        assert_eq!(
            store.resend(&resend(2, 3, at)).await.unwrap(),
            Resent::Added { sends }
        );
        now = at;
    }
}

/// R-OTP-4 again: nobody else's challenge can be made to send.
pub async fn nothing_is_resent_to_a_challenge_that_is_closed_foreign_or_over(store: Store) {
    let now = NOW.plus(PAUSE);
    assert_eq!(store.resend(&resend(2, 3, now)).await.unwrap(), Resent::Gone);
    let open = challenge("c1");
    store.put_challenge(&open).await.unwrap();
    let mut foreign = resend(2, 3, now);
    foreign.binding.session = "s2".into();
    assert_eq!(store.resend(&foreign).await.unwrap(), Resent::Gone);
    let mut foreign = resend(2, 3, now);
    foreign.tenant = other();
    assert_eq!(store.resend(&foreign).await.unwrap(), Resent::Gone);
    assert_eq!(
        store.resend(&resend(2, 3, open.ends_at)).await.unwrap(),
        Resent::Gone
    );
    assert_eq!(answer(&store, 1, now).await.unwrap(), Answer::Right);
    assert_eq!(store.resend(&resend(2, 3, now)).await.unwrap(), Resent::Gone);
}

/// What signs in by a contact is bound to no session, so that it is found, and ended, by the contact (threat A-RL-07).
pub async fn challenges_are_found_by_where_they_were_sent_newest_first(store: Store) {
    let own = challenge("c1");
    let of = |id: &str| Challenge {
        binding: Binding {
            session: format!("none:{id}").into(),
            ..own.binding.clone()
        },
        created_at: NOW.plus(TICK),
        ..challenge(id)
    };
    let elsewhere = Challenge {
        destination: "+41790000009".to_owned(),
        ..of("c3")
    };
    let otherwise = Challenge {
        binding: Binding {
            purpose: "first:otp-email".to_owned(),
            ..of("c4").binding
        },
        ..of("c4")
    };
    let foreign = Challenge {
        tenant: other(),
        ..of("c5")
    };
    for made in [&own, &of("c2"), &elsewhere, &otherwise, &foreign] {
        store.put_challenge(made).await.unwrap();
    }
    let (purpose, to) = (own.binding.purpose.as_str(), own.destination.as_str());
    let found = store.challenges_to(&public(), purpose, to).await.unwrap();
    assert_eq!(found, [of("c2"), own.clone()]);
    assert_eq!(store.drop_challenges_to(&public(), purpose, to).await.unwrap(), 2);
    assert_eq!(store.challenges_to(&public(), purpose, to).await.unwrap(), []);
    for (tenant, left) in [
        (public(), &elsewhere),
        (public(), &otherwise),
        (other(), &foreign),
    ] {
        let found = store.challenge(&tenant, &left.id).await.unwrap();
        assert_eq!(found.as_ref(), Some(left));
    }
    assert_eq!(store.drop_challenges_to(&public(), purpose, to).await.unwrap(), 0);
}

/// What was ended by hand stays ended.
pub async fn a_challenge_is_dropped_once_and_answers_nothing_after(store: Store) {
    store.put_challenge(&challenge("c1")).await.unwrap();
    assert!(!store.drop_challenge(&other(), &"c1".into()).await.unwrap());
    assert!(store.drop_challenge(&public(), &"c1".into()).await.unwrap());
    assert!(!store.drop_challenge(&public(), &"c1".into()).await.unwrap());
    assert_eq!(store.challenge(&public(), &"c1".into()).await.unwrap(), None);
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Gone);
}
