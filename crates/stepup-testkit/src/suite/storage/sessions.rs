//! Sessions and their chains of refresh tokens.

use std::sync::Arc;
use std::time::Duration;

use stepup_core::error::StoreError;
use stepup_core::evidence::Completed;
use stepup_core::record::challenge::Answer;
use stepup_core::record::session::{Class, Rise, Rotation};
use stepup_core::record::user::UserState;
use stepup_core::time::Timestamp;

use super::fixture::*;

/// A sign-in that races with a change of the user loses.
pub async fn a_session_opens_only_for_a_live_user_of_its_epoch(store: Store) {
    let ann = with_user(&store, "ann").await;
    let mut stale = session(&ann, "s1");
    stale.epoch = ann.epoch - 1;
    assert!(!store.open_session(&stale).await.unwrap());
    assert!(!store.open_session(&session(&user("bob"), "s1")).await.unwrap());
    let mut foreign = session(&ann, "s1");
    foreign.tenant = other();
    assert!(!store.open_session(&foreign).await.unwrap());
    let disabled = change(Some(UserState::Disabled));
    let ann = store
        .change_user(&public(), &ann.id, &disabled)
        .await
        .unwrap()
        .unwrap();
    assert!(!store.open_session(&session(&ann, "s1")).await.unwrap());
    assert_eq!(stored(&store, "s1").await, None);
    let ann = store
        .change_user(&public(), &ann.id, &change(Some(UserState::Live)))
        .await
        .unwrap()
        .unwrap();
    assert!(store.open_session(&session(&ann, "s1")).await.unwrap());
}

/// Every field, also those that a fresh session has not.
pub async fn a_session_comes_back_as_it_was_stored(store: Store) {
    let ann = with_user(&store, "ann").await;
    let plain = session(&ann, "s1");
    let mut full = session(&ann, "s2");
    full.class = Class::Full;
    full.factors = Completed::from([(PASSWORD, first(NOW)), (TOTP, second(NOW.plus(MINUTE)))]);
    full.chain.generation = 41;
    full.chain.previous = Some(secret(7));
    full.chain.rotated = Some(Rotation {
        at: NOW.minus(MINUTE),
        salt: [9; 16],
        key: "k2".into(),
        origin: plain.origin.clone(),
    });
    full.chain.rise = Some(Rise {
        generation: 40,
        at: NOW.minus(DAY),
    });
    full.chain.tally = 12;
    full.chain.tally_since = Timestamp::from_ms(-1);
    full.origin.network = String::new();
    full.ends_at = Timestamp::from_ms(i64::MAX);
    for session in [plain, full] {
        assert!(store.open_session(&session).await.unwrap());
        assert_eq!(stored(&store, session.handle.as_str()).await, Some(session));
    }
}

/// A handle is fresh; a second one with it is a fault, not a replacement.
pub async fn a_session_handle_is_used_once(store: Store) {
    let (ann, kept) = with_session(&store, "ann").await;
    let mut clash = session(&ann, "s1");
    clash.chain.current = secret(9);
    assert!(matches!(
        store.open_session(&clash).await,
        Err(StoreError::Conflict(_))
    ));
    assert_eq!(stored(&store, "s1").await, Some(kept));
}

/// What comes back is the row as it is stored now, and the user's summary.
pub async fn a_rotation_retires_the_token_and_yields_all_a_new_one_needs(store: Store) {
    let ann = user("ann");
    let mut made = account(&ann);
    made.user.summary = enrolled("phone");
    store.create_account(&made).await.unwrap();
    let mut wanted = session(&ann, "s1");
    assert!(store.open_session(&wanted).await.unwrap());

    let rotate = rotation("s1", 0, NOW.plus(MINUTE));
    let view = store.rotate(&rotate).await.unwrap().unwrap();
    assert!(wanted.rotate(&rotate));
    assert_eq!(view.session, wanted);
    assert_eq!(view.summary, made.user.summary);
    assert_eq!(stored(&store, "s1").await, Some(wanted));
}

/// Threat A-SES-05: of 32 racing refreshes one rotates; the others are to find its successor in the row.
pub async fn of_many_rotations_one_succeeds(store: Store) {
    let (ann, _) = with_session(&store, "ann").await;
    for generation in 0..5 {
        let told = race(32, |caller| {
            let (store, mut rotate) = (Arc::clone(&store), rotation("s1", generation, NOW));
            rotate.rotation.salt = [u8::try_from(caller).unwrap(); 16];
            async move { store.rotate(&rotate).await.unwrap() }
        })
        .await;
        assert_eq!(count(&told, Option::is_some), 1);
        let won = told.into_iter().flatten().next().unwrap().session;
        assert_eq!(won.chain.generation, i64::from(generation) + 1);
        assert_eq!(stored(&store, "s1").await, Some(won));
    }
    assert_eq!(store.sessions(&public(), &ann.id, NOW).await.unwrap().len(), 1);
}

/// Threats A-SES-03 and A-SES-04: neither the retired token, nor a right secret of a wrong generation.
pub async fn only_the_current_token_rotates(store: Store) {
    with_session(&store, "ann").await;
    store.rotate(&rotation("s1", 0, NOW)).await.unwrap().unwrap();
    let kept = stored(&store, "s1").await;
    let mut wrong = vec![
        rotation("s1", 0, NOW),
        rotation("s1", 1, NOW),
        rotation("s1", 1, NOW),
    ];
    wrong[1].current = secret(9);
    wrong[2].generation = 0;
    wrong.push(rotation("S1", 1, NOW));
    wrong.push(rotation("s2", 1, NOW));
    for rotate in &wrong {
        assert_eq!(store.rotate(rotate).await.unwrap(), None);
    }
    assert_eq!(stored(&store, "s1").await, kept);
    assert!(store.rotate(&rotation("s1", 1, NOW)).await.unwrap().is_some());
}

/// R-SES-4: both ends, to the millisecond.
pub async fn a_session_that_is_over_does_not_rotate(store: Store) {
    let ann = with_user(&store, "ann").await;
    let mut idle = session(&ann, "idle");
    idle.idle_expires_at = NOW.plus(MINUTE);
    let mut last = session(&ann, "last");
    last.ends_at = NOW.plus(MINUTE);
    for session in [idle, last] {
        let handle = session.handle.as_str();
        assert!(store.open_session(&session).await.unwrap());
        let late = rotation(handle, 0, NOW.plus(MINUTE));
        assert_eq!(store.rotate(&late).await.unwrap(), None);
        let in_time = rotation(handle, 0, NOW.plus(MINUTE).minus(TICK));
        assert!(store.rotate(&in_time).await.unwrap().is_some());
    }
}

/// R-SES-4: a rotation never lengthens a session past its last end.
pub async fn a_rotation_moves_the_idle_end_but_never_past_the_last_end(store: Store) {
    let ann = with_user(&store, "ann").await;
    let mut short = session(&ann, "s1");
    short.idle_expires_at = NOW.plus(MINUTE);
    short.ends_at = NOW.plus(5 * MINUTE);
    assert!(store.open_session(&short).await.unwrap());
    let mut rotate = rotation("s1", 0, NOW.plus(TICK));
    rotate.idle = 2 * MINUTE;
    let view = store.rotate(&rotate).await.unwrap().unwrap();
    assert_eq!(view.session.idle_expires_at, NOW.plus(TICK).plus(2 * MINUTE));
    let mut rotate = rotation("s1", 1, NOW.plus(MINUTE));
    rotate.idle = Duration::MAX;
    let view = store.rotate(&rotate).await.unwrap().unwrap();
    assert_eq!(
        (view.session.idle_expires_at, view.session.ends_at),
        (short.ends_at, short.ends_at)
    );
}

/// R-MFA-9: the epoch is compared by the statement itself.
pub async fn a_rotation_needs_a_live_user_of_the_same_epoch(store: Store) {
    let (ann, mut session) = with_session(&store, "ann").await;
    for state in [UserState::Disabled, UserState::Live] {
        let ann = store
            .change_user(&public(), &ann.id, &change(Some(state)))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(store.rotate(&rotation("s1", 0, NOW)).await.unwrap(), None);
        // A row that came back from a backup, or from a store that forgot it, is still of the old epoch.
        assert!(!store.open_session(&session).await.unwrap());
        session.epoch = ann.epoch;
        assert_eq!(
            store.open_session(&session).await.unwrap(),
            state == UserState::Live
        );
    }
    assert!(store.rotate(&rotation("s1", 0, NOW)).await.unwrap().is_some());
    store.delete_user(&public(), &ann.id).await.unwrap().unwrap();
    assert_eq!(store.rotate(&rotation("s1", 1, NOW)).await.unwrap(), None);
}

/// Thirty rotations a minute; what comes beyond is for the caller to answer from the row.
pub async fn a_full_tally_stops_rotation_until_its_window_is_over(store: Store) {
    with_session(&store, "ann").await;
    let limited = |generation, at| {
        let mut rotate = rotation("s1", generation, at);
        rotate.tally_limit = 3;
        rotate
    };
    for generation in 0..3 {
        let view = store.rotate(&limited(generation, NOW)).await.unwrap().unwrap();
        assert_eq!(view.session.chain.tally, u32::from(generation) + 1);
    }
    let full = stored(&store, "s1").await;
    let last = NOW.plus(MINUTE).minus(TICK);
    assert_eq!(store.rotate(&limited(3, last)).await.unwrap(), None);
    assert_eq!(stored(&store, "s1").await, full, "nothing was written");
    let view = store
        .rotate(&limited(3, NOW.plus(MINUTE)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (view.session.chain.tally, view.session.chain.tally_since),
        (1, NOW.plus(MINUTE))
    );
}

/// Two handlers of one session that write at once are one after the other.
pub async fn payload_merges_at_once_lose_nothing(store: Store) {
    with_session(&store, "ann").await;
    let told = race(16, |caller| {
        let store = Arc::clone(&store);
        async move {
            let patch = map(serde_json::json!({ format!("key{caller}"): { "deep": null }, "z": null }));
            store.merge_payload(&"s1".into(), &patch).await
        }
    })
    .await;
    assert!(told.iter().all(|one| matches!(one, Ok(Some(_)))));
    let kept = stored(&store, "s1").await.unwrap().payload;
    assert_eq!(kept.len(), 17);
    assert_eq!(kept.get("key7"), Some(&serde_json::json!({ "deep": null })));
    assert!(!kept.contains_key("z"));
    let patch = map(serde_json::json!({ "x": 1 }));
    assert_eq!(store.merge_payload(&"s2".into(), &patch).await.unwrap(), None);
}

/// R-SES-7: one's own, and those that still live.
pub async fn a_user_sees_its_own_living_sessions_newest_first(store: Store) {
    let ann = with_user(&store, "ann").await;
    let bob = with_user(&store, "bob").await;
    for (handle, age) in [("old", 3), ("young", 1), ("middle", 2)] {
        let mut session = session(&ann, handle);
        session.created_at = NOW.minus(MINUTE * age);
        assert!(store.open_session(&session).await.unwrap());
    }
    let mut idle = session(&ann, "idle");
    idle.idle_expires_at = NOW;
    let mut last = session(&ann, "last");
    last.ends_at = NOW;
    for session in [idle, last, session(&bob, "bobs")] {
        assert!(store.open_session(&session).await.unwrap());
    }
    let found = store.sessions(&public(), &ann.id, NOW).await.unwrap();
    let handles: Vec<_> = found.iter().map(|session| session.handle.as_str()).collect();
    assert_eq!(handles, ["young", "middle", "old"]);
    assert_eq!(store.sessions(&other(), &ann.id, NOW).await.unwrap(), []);
    assert_eq!(
        store
            .sessions(&public(), &ann.id, NOW.minus(TICK))
            .await
            .unwrap()
            .len(),
        5
    );
}

/// Of two sign-outs one is told that it ended the session.
pub async fn a_session_is_revoked_once_and_takes_its_challenges_along(store: Store) {
    let (ann, kept) = with_session(&store, "ann").await;
    assert!(store.open_session(&session(&ann, "s2")).await.unwrap());
    store.put_challenge(&challenge("c1")).await.unwrap();
    let mut beside = challenge("c2");
    beside.binding.session = "s2".into();
    store.put_challenge(&beside).await.unwrap();
    let told = race(8, |_| {
        let store = Arc::clone(&store);
        async move { store.revoke_session(&"s1".into()).await.unwrap() }
    })
    .await;
    let ended: Vec<_> = told.into_iter().flatten().collect();
    assert_eq!(ended, [kept]);
    assert_eq!(stored(&store, "s1").await, None);
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Gone);
    let told = store
        .answer(&public(), &"c2".into(), &beside.binding, &[code(1)], NOW)
        .await
        .unwrap();
    assert_eq!(told, Answer::Right);
    assert_eq!(store.rotate(&rotation("s1", 0, NOW)).await.unwrap(), None);
}

/// Sign-out everywhere.
pub async fn all_sessions_of_a_user_are_revoked_and_nobody_elses(store: Store) {
    let (ann, _) = with_session(&store, "ann").await;
    assert!(store.open_session(&session(&ann, "s2")).await.unwrap());
    let bob = with_user(&store, "bob").await;
    assert!(store.open_session(&session(&bob, "bobs")).await.unwrap());
    store.put_challenge(&challenge("c1")).await.unwrap();
    assert_eq!(store.revoke_sessions(&other(), &ann.id).await.unwrap(), []);
    let mut ended = store.revoke_sessions(&public(), &ann.id).await.unwrap();
    ended.sort();
    assert_eq!(ended, ["s1".into(), "s2".into()]);
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Gone);
    assert!(stored(&store, "bobs").await.is_some());
    assert_eq!(store.revoke_sessions(&public(), &ann.id).await.unwrap(), []);
}
