//! The verbs that cross records.

use std::sync::Arc;

use stepup_core::error::StoreError;
use stepup_core::evidence::Completed;
use stepup_core::id::FactorId;
use stepup_core::record::challenge::Answer;
use stepup_core::record::counter::{Ask, Charge, CounterKey};
use stepup_core::record::credential::CredentialKind;
use stepup_core::record::session::{Class, Rise, Session};
use stepup_core::record::user::{Summary, User, UserState};
use stepup_core::storage::{FactorCompletion, FactorOutcome, UserChange};

use super::fixture::*;

fn done(outcome: FactorOutcome) -> (Session, User) {
    match outcome {
        FactorOutcome::Done(both) => *both,
        other => panic!("{other:?}"),
    }
}

/// Everything that a request about a second factor needs, whatever the state of its parts.
pub async fn a_look_reads_a_session_and_all_that_belongs_to_it(store: Store) {
    let ann = user("ann");
    let mut made = account(&ann);
    made.credentials.push(contact(&ann, "p1"));
    made.credentials.push(contact(&ann, "p2"));
    made.session = Some(session(&ann, "s1"));
    store.create_account(&made).await.unwrap();
    store.put_challenge(&challenge("c1")).await.unwrap();

    let look = store.look(&"s1".into(), None).await.unwrap().unwrap();
    assert_eq!(Some(look.session), made.session);
    assert_eq!((look.user, look.challenge), (ann.clone(), None));
    assert_eq!(look.contacts, made.credentials[1..]);

    let look = store
        .look(&"s1".into(), Some(&"c1".into()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(look.challenge, Some(challenge("c1")));
    let look = store
        .look(&"s1".into(), Some(&"c2".into()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((look.challenge, look.contacts.len()), (None, 2));
    assert_eq!(store.look(&"s2".into(), Some(&"c1".into())).await.unwrap(), None);

    // Over, and of a user without contacts: still there, for the caller to judge.
    let bob = with_user(&store, "bob").await;
    let mut over = session(&bob, "bobs");
    over.ends_at = NOW.minus(DAY);
    assert!(store.open_session(&over).await.unwrap());
    let look = store
        .look(&"bobs".into(), Some(&"c1".into()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((look.session, look.contacts), (over, vec![]));
    assert_eq!(look.challenge, Some(challenge("c1")), "whatever it is bound to");
}

/// Threat A-TEN-01.
pub async fn a_look_finds_no_challenge_of_another_tenant(store: Store) {
    with_session(&store, "ann").await;
    let mut foreign = challenge("c1");
    foreign.tenant = other();
    store.put_challenge(&foreign).await.unwrap();
    let look = store
        .look(&"s1".into(), Some(&"c1".into()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(look.challenge, None);
}

/// The session and the user come back as they are stored.
pub async fn a_completed_factor_is_recorded_by_its_id(store: Store) {
    let (ann, mut wanted) = with_session(&store, "ann").await;
    for factor in [
        OTP_PHONE,
        TOTP,
        FactorId::new("odd:'\"\\$.%_\u{1f642}"),
        FactorId::new("a.b[0]"),
    ] {
        let (session, user) = done(
            store
                .complete_factor(&completion(&wanted, &factor))
                .await
                .unwrap(),
        );
        wanted.factors.insert(factor, second(NOW));
        assert_eq!((&session, &user), (&wanted, &ann));
        assert_eq!(stored(&store, "s1").await.as_ref(), Some(&wanted));
    }
}

/// Nothing of the older one shines through: a factor that opened the session is not one that opened it again.
pub async fn a_completion_replaces_the_older_one_of_the_same_factor(store: Store) {
    let (_, session) = with_session(&store, "ann").await;
    let mut again = completion(&session, &PASSWORD);
    again.completion = second(NOW.plus(MINUTE));
    let (session, _) = done(store.complete_factor(&again).await.unwrap());
    assert_eq!(
        session.factors,
        Completed::from([(PASSWORD, second(NOW.plus(MINUTE)))])
    );
    again.completion = first(NOW.plus(2 * MINUTE));
    let (session, _) = done(store.complete_factor(&again).await.unwrap());
    assert_eq!(
        session.factors,
        Completed::from([(PASSWORD, first(NOW.plus(2 * MINUTE)))])
    );
}

/// Two factors that are completed at the same moment are both there.
pub async fn completions_at_once_lose_nothing(store: Store) {
    let (_, session) = with_session(&store, "ann").await;
    let told = race(12, |caller| {
        let factor = FactorId::new(format!("factor{caller}"));
        let (store, completion) = (Arc::clone(&store), completion(&session, &factor));
        async move { store.complete_factor(&completion).await.unwrap() }
    })
    .await;
    assert_eq!(count(&told, |one| matches!(one, FactorOutcome::Done(_))), 12);
    assert_eq!(stored(&store, "s1").await.unwrap().factors.len(), 13);
}

/// R-SES-1 and threat A-SES-16: no token of the half-login leads to the new ones.
pub async fn a_rise_makes_a_token_that_nothing_derives(store: Store) {
    let (_, session) = with_session(&store, "ann").await;
    store.rotate(&rotation("s1", 0, NOW)).await.unwrap().unwrap();
    let risen = FactorCompletion {
        rise: Some(rise()),
        ..completion(&session, &OTP_PHONE)
    };
    let (raised, _) = done(store.complete_factor(&risen).await.unwrap());
    assert_eq!(raised.class, Class::Full);
    assert_eq!(
        (raised.idle_expires_at, raised.ends_at),
        (rise().idle_expires_at, rise().ends_at)
    );
    let chain = &raised.chain;
    assert_eq!((chain.generation, chain.current), (2, rise().secret));
    assert_eq!((&chain.previous, &chain.rotated), (&None, &None));
    assert_eq!(
        chain.rise,
        Some(Rise {
            generation: 2,
            at: NOW
        })
    );
    assert_eq!(stored(&store, "s1").await, Some(raised.clone()));
    assert_eq!(store.rotate(&rotation("s1", 0, NOW)).await.unwrap(), None);
    assert_eq!(store.rotate(&rotation("s1", 1, NOW)).await.unwrap(), None);
    // An ordinary rotation keeps the memory of the rise.
    let mut next = rotation("s1", 2, NOW);
    next.current = rise().secret;
    let view = store.rotate(&next).await.unwrap().unwrap();
    assert_eq!(view.session.chain.rise, chain.rise);
}

/// Renewing a factor in a complete session leaves its refresh token and its life alone.
pub async fn a_renewal_leaves_the_tokens_alone(store: Store) {
    let (_, session) = with_session(&store, "ann").await;
    let before = store
        .rotate(&rotation("s1", 0, NOW))
        .await
        .unwrap()
        .unwrap()
        .session;
    let (after, _) = done(store.complete_factor(&completion(&session, &TOTP)).await.unwrap());
    assert_eq!(
        (&after.chain, after.class, after.end()),
        (&before.chain, before.class, before.end())
    );
}

/// None of them gets anything, and nothing is written.
pub async fn a_completion_needs_a_living_session_of_a_live_user(store: Store) {
    let (ann, kept) = with_session(&store, "ann").await;
    with_user(&store, "bob").await;
    let good = FactorCompletion {
        rise: Some(rise()),
        enrollment: Some(enrollment(&ann, "phone")),
        clear: vec![CounterKey::new("k")],
        ..completion(&kept, &OTP_PHONE)
    };
    store
        .charge(&[Ask::window(CounterKey::new("k"), 1, MINUTE)], NOW)
        .await
        .unwrap();
    let mut bad = vec![
        good.clone(),
        good.clone(),
        good.clone(),
        good.clone(),
        good.clone(),
    ];
    bad[0].handle = "s2".into();
    bad[1].user = "bob".into();
    bad[2].tenant = other();
    bad[3].now = kept.idle_expires_at;
    bad[4].now = kept.ends_at;
    for mut completion in bad {
        assert_eq!(
            store.complete_factor(&completion).await.unwrap(),
            FactorOutcome::Gone
        );
        completion.enrollment = None;
        assert_eq!(
            store.complete_factor(&completion).await.unwrap(),
            FactorOutcome::Gone
        );
    }
    let refused = store
        .charge(&[Ask::window(CounterKey::new("k"), 1, MINUTE)], NOW)
        .await
        .unwrap();
    assert!(matches!(refused, Charge::Refused { .. }));
    assert_eq!(stored(&store, "s1").await, Some(kept.clone()));
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    assert_eq!(store.take_notices(NOW, NOW, 9).await.unwrap(), []);

    store
        .change_user(&public(), &ann.id, &change(Some(UserState::Disabled)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(store.complete_factor(&good).await.unwrap(), FactorOutcome::Gone);
    let kind = CredentialKind::Contact;
    assert_eq!(store.credentials(&public(), &ann.id, kind).await.unwrap(), []);
}

/// Of this session and this factor, whatever they were for.
pub async fn a_completion_closes_the_challenges_of_its_factor_only(store: Store) {
    let (_, session) = with_session(&store, "ann").await;
    let mut made = vec![
        challenge("c1"),
        challenge("c2"),
        challenge("c3"),
        challenge("c4"),
        challenge("c5"),
    ];
    made[1].binding.purpose = "verify:otp-phone".to_owned();
    made[2].binding.purpose = "second:otp-email".to_owned();
    made[3].binding.session = "s2".into();
    made[4].binding.purpose = "second:xotp-phone".to_owned();
    for challenge in &made {
        store.put_challenge(challenge).await.unwrap();
    }
    done(
        store
            .complete_factor(&completion(&session, &OTP_PHONE))
            .await
            .unwrap(),
    );
    let wanted = [
        Answer::Gone,
        Answer::Gone,
        Answer::Right,
        Answer::Right,
        Answer::Right,
    ];
    for (challenge, wanted) in made.iter().zip(wanted) {
        let told = store
            .answer(&public(), &challenge.id, &challenge.binding, &[code(1)], NOW)
            .await
            .unwrap();
        assert_eq!(told, wanted, "{}", challenge.binding.purpose);
    }
}

/// Only success does (R-OTP-6).
pub async fn a_completion_clears_the_counters_it_names(store: Store) {
    let (_, session) = with_session(&store, "ann").await;
    let ask = |name| Ask::window(CounterKey::new(name), 1, MINUTE);
    store.charge(&[ask("a"), ask("b")], NOW).await.unwrap();
    let mut completion = completion(&session, &OTP_PHONE);
    completion.clear = vec![CounterKey::new("a"), CounterKey::new("unknown")];
    done(store.complete_factor(&completion).await.unwrap());
    assert_eq!(
        store.charge(&[ask("a")], NOW).await.unwrap(),
        Charge::Granted(vec![1])
    );
    assert!(matches!(
        store.charge(&[ask("b")], NOW).await.unwrap(),
        Charge::Refused { .. }
    ));
}

/// A clash in its middle leaves no factor, no epoch and no ended session behind.
pub async fn an_enrollment_writes_all_or_nothing(store: Store) {
    let (ann, session) = with_session(&store, "ann").await;
    let mut bob = account(&user("bob"));
    bob.credentials.push(contact(&bob.user, "phone"));
    store.create_account(&bob).await.unwrap();
    assert!(store.open_session(&self::session(&ann, "s2")).await.unwrap());

    let mut clash = FactorCompletion {
        rise: Some(rise()),
        enrollment: Some(enrollment(&ann, "phone")),
        ..completion(&session, &OTP_PHONE)
    };
    assert!(matches!(
        store.complete_factor(&clash).await,
        Err(StoreError::Conflict(_))
    ));
    assert_eq!(stored(&store, "s1").await, Some(session.clone()));
    assert!(stored(&store, "s2").await.is_some());
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    assert_eq!(store.take_notices(NOW, NOW, 9).await.unwrap(), []);

    clash.enrollment = Some(enrollment(&ann, "own-phone"));
    let (risen, user) = done(store.complete_factor(&clash).await.unwrap());
    assert_eq!(user.summary, enrolled("own-phone"));
    assert_eq!((user.epoch, user.revision), (ann.epoch + 1, ann.revision + 1));
    assert_eq!((risen.epoch, risen.class), (user.epoch, Class::Full));
    let kept = store
        .credentials(&public(), &ann.id, CredentialKind::Contact)
        .await
        .unwrap();
    assert_eq!(kept, [contact(&ann, "own-phone")]);
    assert_eq!(store.take_notices(NOW, NOW, 9).await.unwrap().len(), 1);
}

fn session(user: &User, handle: &str) -> Session {
    super::fixture::session(user, handle)
}

/// Two devices that enroll at once: the second learns that it was outrun, and adds nothing.
pub async fn of_many_enrollments_from_one_revision_one_is_done(store: Store) {
    let (ann, session) = with_session(&store, "ann").await;
    let told = race(32, |caller| {
        let mut enrollment = enrollment(&ann, &format!("phone{caller}"));
        enrollment.end_others = false;
        let completion = FactorCompletion {
            rise: Some(rise()),
            enrollment: Some(enrollment),
            ..completion(&session, &OTP_PHONE)
        };
        let store = Arc::clone(&store);
        async move { store.complete_factor(&completion).await.unwrap() }
    })
    .await;
    assert_eq!(count(&told, |one| matches!(one, FactorOutcome::Done(_))), 1);
    assert_eq!(count(&told, |one| *one == FactorOutcome::Outrun), 31);
    let kept = store
        .credentials(&public(), &ann.id, CredentialKind::Contact)
        .await
        .unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!(store.take_notices(NOW, NOW, 99).await.unwrap().len(), 1);
    assert_eq!(stored(&store, "s1").await.unwrap().chain.generation, 1);
    let user = store.user(&public(), &ann.id).await.unwrap().unwrap();
    assert_eq!(user.summary, enrolled(kept[0].id.as_str()));
}

/// R-MFA-8: who enrolled with a stolen password, or before it, is out.
pub async fn a_first_enrollment_ends_everything_else_that_was_signed_in(store: Store) {
    let (ann, session) = with_session(&store, "ann").await;
    let bob = with_user(&store, "bob").await;
    for other in [
        self::session(&ann, "s2"),
        self::session(&ann, "s3"),
        self::session(&bob, "bobs"),
    ] {
        assert!(store.open_session(&other).await.unwrap());
    }
    store.put_challenge(&challenge("c1")).await.unwrap();
    let mut own = challenge("c2");
    own.binding.purpose = "second:totp".to_owned();
    store.put_challenge(&own).await.unwrap();
    let completion = FactorCompletion {
        rise: Some(rise()),
        enrollment: Some(enrollment(&ann, "phone")),
        ..completion(&session, &OTP_PHONE)
    };
    let (risen, user) = done(store.complete_factor(&completion).await.unwrap());
    let left = store.sessions(&public(), &ann.id, NOW).await.unwrap();
    assert_eq!(left, std::slice::from_ref(&risen));
    assert_eq!((user.epoch, risen.epoch), (ann.epoch + 1, ann.epoch + 1));
    assert!(stored(&store, "bobs").await.is_some());
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Gone);
    let told = store
        .answer(&public(), &own.id, &own.binding, &[code(1)], NOW)
        .await
        .unwrap();
    assert_eq!(told, Answer::Gone);
    let mut next = rotation("s1", 1, NOW);
    next.current = rise().secret;
    let view = store.rotate(&next).await.unwrap().unwrap();
    assert_eq!(view.summary, enrolled("phone"));
    assert!(
        !store.open_session(&self::session(&ann, "s4")).await.unwrap(),
        "a sign-in of before"
    );
}

/// A second one, next to a first, ends nothing.
pub async fn a_later_enrollment_ends_nothing(store: Store) {
    let (ann, session) = with_session(&store, "ann").await;
    assert!(store.open_session(&self::session(&ann, "s2")).await.unwrap());
    let mut enrollment = enrollment(&ann, "phone");
    enrollment.end_others = false;
    let completion = FactorCompletion {
        enrollment: Some(enrollment),
        ..completion(&session, &OTP_PHONE)
    };
    let (session, user) = done(store.complete_factor(&completion).await.unwrap());
    assert_eq!(
        (user.epoch, user.revision, session.epoch),
        (ann.epoch, ann.revision + 1, ann.epoch)
    );
    let view = store.rotate(&rotation("s2", 0, NOW)).await.unwrap().unwrap();
    assert_eq!(
        view.summary,
        enrolled("phone"),
        "the other session learns of it at its next refresh"
    );
}

/// R-SES-5: the application changed a password, a contact, or the user's state.
pub async fn a_changed_user_loses_sessions_challenges_and_keeps_its_password(store: Store) {
    let (ann, _) = with_session(&store, "ann").await;
    store.put_challenge(&challenge("c1")).await.unwrap();
    let told = UserChange {
        notices: vec![notice(&ann, "n1", NOW)],
        ..change(None)
    };
    let changed = store
        .change_user(&public(), &ann.id, &told)
        .await
        .unwrap()
        .unwrap();
    let mut wanted = ann.clone();
    (wanted.epoch, wanted.revision) = (ann.epoch + 1, ann.revision + 1);
    assert_eq!(changed, wanted);
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(wanted));
    assert_eq!(stored(&store, "s1").await, None);
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Gone);
    assert_eq!(store.take_notices(NOW, NOW, 9).await.unwrap().len(), 1);
    let kept = store
        .credentials(&public(), &ann.id, CredentialKind::Password)
        .await
        .unwrap();
    assert_eq!(kept.len(), 1);
    let changed = store
        .change_user(&public(), &ann.id, &change(Some(UserState::Disabled)))
        .await
        .unwrap();
    assert_eq!(changed.unwrap().state, UserState::Disabled);
    let found = store
        .user_by_identifier(&public(), &email(&address("ann")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        found.user.state,
        UserState::Disabled,
        "still found: the caller refuses"
    );
    assert_eq!(
        store
            .change_user(&public(), &"bob".into(), &change(None))
            .await
            .unwrap(),
        None
    );
}

/// The way back for whoever lost the phone, by an administrator.
pub async fn a_change_can_reset_the_second_factors(store: Store) {
    let (ann, session) = with_session(&store, "ann").await;
    let completion = FactorCompletion {
        enrollment: Some(enrollment(&ann, "phone")),
        ..completion(&session, &OTP_PHONE)
    };
    done(store.complete_factor(&completion).await.unwrap());
    let reset = UserChange {
        reset_factors: true,
        ..change(None)
    };
    let changed = store
        .change_user(&public(), &ann.id, &reset)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changed.summary.enrolled, []);
    assert_eq!(
        changed.summary.required,
        [OTP_PHONE],
        "what is demanded of the user stays"
    );
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(changed));
    assert_eq!(
        store
            .credentials(&public(), &ann.id, CredentialKind::Contact)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        store
            .credentials(&public(), &ann.id, CredentialKind::Password)
            .await
            .unwrap()
            .len(),
        1
    );
}

/// Nothing brings a deleted user back, and no change deletes one.
pub async fn a_tombstone_is_not_changed(store: Store) {
    let (ann, _) = with_session(&store, "ann").await;
    let told = store
        .change_user(&public(), &ann.id, &change(Some(UserState::Deleted)))
        .await;
    assert!(matches!(told, Err(StoreError::Conflict(_))));
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    store.delete_user(&public(), &ann.id).await.unwrap().unwrap();
    let buried = store.user(&public(), &ann.id).await.unwrap();
    let live = change(Some(UserState::Live));
    assert_eq!(store.change_user(&public(), &ann.id, &live).await.unwrap(), None);
    let revision = buried.as_ref().unwrap().revision;
    assert!(
        !store
            .require_factors(&public(), &ann.id, revision, &[TOTP])
            .await
            .unwrap()
    );
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), buried);
}

/// Of two administrators that write at once one is told to look again.
pub async fn required_factors_are_set_from_the_revision_they_were_read_in(store: Store) {
    let (ann, _) = with_session(&store, "ann").await;
    assert!(
        !store
            .require_factors(&public(), &ann.id, ann.revision - 1, &[TOTP])
            .await
            .unwrap()
    );
    assert!(
        !store
            .require_factors(&other(), &ann.id, ann.revision, &[TOTP])
            .await
            .unwrap()
    );
    let told = race(8, |_| {
        let (store, ann) = (Arc::clone(&store), ann.clone());
        async move {
            let required = [TOTP, FactorId::new("odd'\"\\")];
            store
                .require_factors(&public(), &ann.id, ann.revision, &required)
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(count(&told, |won| *won), 1);
    let kept = store.user(&public(), &ann.id).await.unwrap().unwrap();
    assert_eq!(kept.summary.required, [TOTP, FactorId::new("odd'\"\\")]);
    assert_eq!((kept.revision, kept.epoch), (ann.revision + 1, ann.epoch));
    let view = store.rotate(&rotation("s1", 0, NOW)).await.unwrap().unwrap();
    assert_eq!(
        view.summary, kept.summary,
        "sessions live on and learn of it at their next refresh"
    );
    assert!(
        store
            .require_factors(&public(), &ann.id, kept.revision, &[])
            .await
            .unwrap()
    );
}

/// The id is never used again; everything else is as if it had never been.
pub async fn a_deleted_user_leaves_a_tombstone_and_nothing_personal(store: Store) {
    let (ann, session) = with_session(&store, "ann").await;
    with_user(&store, "bob").await;
    let completion = FactorCompletion {
        enrollment: Some(enrollment(&ann, "phone")),
        ..completion(&session, &OTP_PHONE)
    };
    done(store.complete_factor(&completion).await.unwrap());
    store.put_challenge(&challenge("c1")).await.unwrap();
    let ended = store.delete_user(&public(), &ann.id).await.unwrap();
    assert_eq!(ended, Some(vec!["s1".into()]));
    let left = store.user(&public(), &ann.id).await.unwrap().unwrap();
    assert_eq!(left.state, UserState::Deleted);
    assert!(left.epoch > ann.epoch + 1 && left.metadata.is_empty());
    assert_eq!((left.methods, left.summary), (vec![], Summary::default()));
    for kind in [CredentialKind::Password, CredentialKind::Contact] {
        assert_eq!(store.credentials(&public(), &ann.id, kind).await.unwrap(), []);
    }
    assert_eq!(
        store
            .user_by_identifier(&public(), &email(&address("ann")))
            .await
            .unwrap(),
        None
    );
    assert_eq!(stored(&store, "s1").await, None);
    assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Gone);
    assert_eq!(store.take_notices(NOW, NOW, 9).await.unwrap(), []);
    assert_eq!(store.delete_user(&public(), &ann.id).await.unwrap(), None);
    assert!(matches!(
        store.create_account(&account(&ann)).await,
        Err(StoreError::Conflict(_))
    ));
    // The address is free again, for another id.
    let mut heir = account(&user("heir"));
    heir.identifiers = vec![(email(&address("ann")), "heir".into())];
    store.create_account(&heir).await.unwrap();
    let found = store
        .user_by_identifier(&public(), &email(&address("ann")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.user.id, heir.user.id);
}

/// Whichever comes first, no session outlives the change.
pub async fn a_session_opened_while_its_user_changes_does_not_survive(store: Store) {
    let ann = with_user(&store, "ann").await;
    race(16, |caller| {
        let (store, ann) = (Arc::clone(&store), ann.clone());
        async move {
            if caller == 7 {
                store
                    .change_user(&public(), &ann.id, &change(None))
                    .await
                    .unwrap();
            } else {
                store
                    .open_session(&session(&ann, &format!("s{caller}")))
                    .await
                    .unwrap();
            }
        }
    })
    .await;
    for caller in 0..16 {
        let rotate = rotation(&format!("s{caller}"), 0, NOW);
        assert_eq!(store.rotate(&rotate).await.unwrap(), None);
    }
    assert_eq!(store.sessions(&public(), &ann.id, NOW).await.unwrap(), []);
}

/// Answering and signing out at once: the code may be spent, but never for a session that ended.
pub async fn a_code_is_answered_or_its_session_revoked_never_half(store: Store) {
    let ann = with_user(&store, "ann").await;
    for round in 0..8 {
        let session = session(&ann, "s1");
        assert!(store.open_session(&session).await.unwrap());
        store.put_challenge(&challenge("c1")).await.unwrap();
        let told = race(2, |caller| {
            let (store, session) = (Arc::clone(&store), session.clone());
            async move {
                if caller == round % 2 {
                    store.revoke_session(&session.handle).await.unwrap();
                    return None;
                }
                if answer(&store, 1, NOW).await.unwrap() != Answer::Right {
                    return None;
                }
                Some(
                    store
                        .complete_factor(&completion(&session, &OTP_PHONE))
                        .await
                        .unwrap(),
                )
            }
        })
        .await;
        for outcome in told.into_iter().flatten() {
            assert!(matches!(outcome, FactorOutcome::Done(_) | FactorOutcome::Gone));
        }
        assert_eq!(stored(&store, "s1").await, None);
        assert_eq!(answer(&store, 1, NOW).await.unwrap(), Answer::Gone);
    }
}

/// Threat A-OTP-26: both sides of its comparisons, for every kind.
pub async fn a_sweep_takes_only_what_is_over(store: Store) {
    let ann = with_user(&store, "ann").await;
    let mut idle = session(&ann, "idle");
    idle.idle_expires_at = NOW;
    let mut last = session(&ann, "last");
    last.ends_at = NOW;
    let mut alive = session(&ann, "alive");
    alive.idle_expires_at = NOW.plus(TICK);
    for session in [idle, last, alive] {
        assert!(store.open_session(&session).await.unwrap());
    }
    let mut over = challenge("c1");
    over.ends_at = NOW;
    let mut open = challenge("c2");
    (open.ends_at, open.binding.session) = (NOW.plus(TICK), "s2".into());
    open.slots = [Some(slot(1, NOW.minus(DAY))), None, None];
    for challenge in [&over, &open] {
        store.put_challenge(challenge).await.unwrap();
    }
    let minute_ago = NOW.minus(MINUTE);
    let plain = |name, limit| Ask::window(CounterKey::new(name), limit, MINUTE);
    let mut delayed = Ask::curve(CounterKey::new("delayed"), 1, 2 * MINUTE, DAY, 9);
    delayed.window = MINUTE;
    store
        .charge(&[plain("over", 1), delayed.clone()], minute_ago)
        .await
        .unwrap();
    store
        .charge(&[plain("running", 1)], minute_ago.plus(TICK))
        .await
        .unwrap();

    assert_eq!(store.sweep(NOW, 100).await.unwrap(), 4);
    assert_eq!(store.sweep(NOW, 100).await.unwrap(), 0);
    for (handle, there) in [("idle", false), ("last", false), ("alive", true)] {
        assert_eq!(stored(&store, handle).await.is_some(), there, "{handle}");
    }
    let earlier = NOW.minus(DAY);
    assert_eq!(answer(&store, 1, earlier).await.unwrap(), Answer::Gone);
    let told = store
        .answer(&public(), &open.id, &open.binding, &[code(1)], NOW)
        .await
        .unwrap();
    assert_eq!(
        told,
        Answer::Expired { failed: 1 },
        "expired is still told from gone"
    );
    let refused = |told| matches!(told, Charge::Refused { .. });
    assert!(refused(store.charge(&[plain("running", 1)], NOW).await.unwrap()));
    assert!(
        refused(store.charge(&[delayed], NOW).await.unwrap()),
        "its delay is longer than its window"
    );
    assert!(
        !refused(store.charge(&[plain("over", 1)], minute_ago).await.unwrap()),
        "swept"
    );
}

/// It never holds up the others for long.
pub async fn a_sweep_is_bounded(store: Store) {
    let ann = with_user(&store, "ann").await;
    for n in 0..5 {
        let mut over = session(&ann, &format!("s{n}"));
        over.ends_at = NOW;
        assert!(store.open_session(&over).await.unwrap());
        let mut over = challenge(&format!("c{n}"));
        (over.ends_at, over.binding.session) = (NOW, format!("s{n}").into());
        store.put_challenge(&over).await.unwrap();
        let ask = Ask::window(CounterKey::new(format!("k{n}")), 1, MINUTE);
        store.charge(&[ask], NOW.minus(MINUTE)).await.unwrap();
    }
    for swept in [6, 6, 3, 0] {
        assert_eq!(store.sweep(NOW, 2).await.unwrap(), swept);
    }
}

/// At the start of a server, and for its health check.
pub async fn a_store_that_is_ready_says_so(store: Store) {
    store.ping().await.unwrap();
}
