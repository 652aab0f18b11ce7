//! What undoes a first enrollment: it begins with it, and outlives what ends everything else.

use std::sync::Arc;

use stepup_core::error::StoreError;
use stepup_core::record::challenge::{Answer, Binding, Challenge};
use stepup_core::record::credential::CredentialKind;
use stepup_core::storage::{Enrollment, FactorCompletion, FactorOutcome, Payment, UserChange};

use super::fixture::*;

/// A challenge that no user is bound to, as the link in a notice is.
fn link(id: &str) -> Challenge {
    Challenge {
        binding: Binding {
            purpose: "link:undo".to_owned(),
            user: "".into(),
            session: format!("link:{id}").into(),
        },
        destination: "user:ann".to_owned(),
        ..challenge(id)
    }
}

/// A-MFA-41: the thief who enrolls ends the user's challenges, and whatever he does next ends them again.
pub async fn what_begins_with_an_enrollment_outlives_the_end_of_all_else(store: Store) {
    let (ann, session) = with_session(&store, "ann").await;
    store.put_challenge(&challenge("c1")).await.unwrap();
    let with = |revision, id: &str| {
        let mut enrollment = enrollment(&ann, "phone");
        enrollment.revision = revision;
        enrollment.challenges = vec![link(id)];
        FactorCompletion {
            rise: Some(rise()),
            enrollment: Some(enrollment),
            ..completion(&session, &OTP_PHONE)
        }
    };
    // Outrun, or with an id that is taken: nothing is written.
    let outrun = store
        .complete_factor(&with(ann.revision + 1, "u1"))
        .await
        .unwrap();
    assert_eq!(outrun, FactorOutcome::Outrun);
    assert_eq!(store.challenge(&public(), &"u1".into()).await.unwrap(), None);
    // One that stays: the user's own ends by the same step.
    let other = Challenge {
        id: "taken".into(),
        ..link("other")
    };
    store.put_challenge(&other).await.unwrap();
    let clash = store.complete_factor(&with(ann.revision, "taken")).await;
    assert!(matches!(clash, Err(StoreError::Conflict(_))), "{clash:?}");
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    assert_eq!(store.take_notices(NOW, NOW, 9).await.unwrap(), []);

    let done = store.complete_factor(&with(ann.revision, "u1")).await.unwrap();
    assert!(matches!(done, FactorOutcome::Done(_)), "{done:?}");
    assert_eq!(store.challenge(&public(), &"c1".into()).await.unwrap(), None);
    store
        .change_user(&public(), &ann.id, &change(None))
        .await
        .unwrap()
        .unwrap();
    store.revoke_sessions(&public(), &ann.id).await.unwrap();
    let kept = store.challenge(&public(), &"u1".into()).await.unwrap();
    assert_eq!(kept, Some(link("u1")));
    let answered = store
        .answer(&public(), &"u1".into(), &link("u1").binding, &[code(1)], NOW)
        .await
        .unwrap();
    assert_eq!(answered, Answer::Right);
    assert_eq!(
        store
            .drop_challenges_to(&public(), "link:undo", "user:ann")
            .await
            .unwrap(),
        2
    );
}

/// A-MFA-41: the thief knows the password. Its row says that it opens nothing, and a rehash that is under way misses it.
pub async fn a_retired_password_says_so_until_another_takes_its_place(store: Store) {
    let (ann, bob) = (with_user(&store, "ann").await, with_user(&store, "bob").await);
    let passwords = async |user: &stepup_core::record::user::User| {
        store
            .credentials(&public(), &user.id, CredentialKind::Password)
            .await
            .unwrap()
    };
    let (before, bobs) = (passwords(&ann).await, passwords(&bob).await);
    assert!(before.len() == 1 && !before[0].is_retired());
    let retire = UserChange {
        retire_password: true,
        ..change(None)
    };
    store
        .change_user(&public(), &ann.id, &retire)
        .await
        .unwrap()
        .unwrap();
    let mut wanted = before.clone();
    wanted[0].retire();
    assert_eq!(passwords(&ann).await, wanted);
    assert_eq!(passwords(&bob).await, bobs);
    let (id, version) = (&before[0].id, before[0].version);
    let resealed = store
        .reseal(&public(), &ann.id, CredentialKind::Password, id, version, b"new")
        .await
        .unwrap();
    assert!(!resealed);
    // A second time changes nothing but the version; and no other change takes it back.
    store
        .change_user(&public(), &ann.id, &retire)
        .await
        .unwrap()
        .unwrap();
    store
        .change_user(&public(), &ann.id, &change(None))
        .await
        .unwrap()
        .unwrap();
    let now = passwords(&ann).await;
    assert!(now[0].is_retired() && now[0].version == version + 2 && now[0].sealed == before[0].sealed);
}

fn payment(by: &Challenge, answer: u8) -> Payment {
    Payment {
        challenge: by.id.clone(),
        binding: by.binding.clone(),
        macs: vec![code(answer)],
        now: NOW,
    }
}

fn paid(by: &Challenge, answer: u8) -> UserChange {
    UserChange {
        reset_factors: true,
        paid_by: Some(payment(by, answer)),
        ..change(None)
    }
}

/// R-OTP-3: what pays for a change is spent by it, and by nothing that is not made.
pub async fn a_change_is_made_only_by_what_pays_for_it(store: Store) {
    let (ann, session) = with_session(&store, "ann").await;
    let link = Challenge {
        max_failures: 2,
        ..link("u1")
    };
    store.put_challenge(&link).await.unwrap();
    let change = async |tenant, id: &str, change: UserChange| {
        store.change_user(&tenant, &id.into(), &change).await.unwrap()
    };
    // Wrong, in another tenant, and for nobody.
    assert_eq!(change(public(), "ann", paid(&link, 9)).await, None);
    assert_eq!(change(other(), "ann", paid(&link, 1)).await, None);
    assert_eq!(change(public(), "nobody", paid(&link, 1)).await, None);
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    assert_eq!(store.sessions(&public(), &ann.id, NOW).await.unwrap(), [session]);
    let left = store.challenge(&public(), &link.id).await.unwrap().unwrap();
    assert_eq!((left.failed, left.closed), (1, false));
    // A clash of what goes with it spends nothing.
    store.add_notices(&[notice(&ann, "n1", NOW)]).await.unwrap();
    let clash = UserChange {
        notices: vec![notice(&ann, "n1", NOW)],
        ..paid(&link, 1)
    };
    assert!(store.change_user(&public(), &ann.id, &clash).await.is_err());
    let changed = change(public(), "ann", paid(&link, 1)).await.unwrap();
    assert_eq!(changed.epoch, ann.epoch + 1);
    assert_eq!(change(public(), "ann", paid(&link, 1)).await, None);
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(changed));
}

/// A-MFA-41: leave to enroll is spent by the enrollment, and one that was taken back admits none.
pub async fn an_enrollment_is_made_only_by_what_pays_for_it(store: Store) {
    let (ann, session) = with_session(&store, "ann").await;
    let leave = Challenge {
        max_failures: 2,
        ..challenge("leave")
    };
    let by = |answer| {
        let enrollment = Enrollment {
            paid_by: Some(payment(&leave, answer)),
            ..enrollment(&ann, "phone")
        };
        FactorCompletion {
            rise: Some(rise()),
            enrollment: Some(enrollment),
            ..completion(&session, &OTP_PHONE)
        }
    };
    // Taken back, and wrong.
    assert_eq!(
        store.complete_factor(&by(1)).await.unwrap(),
        FactorOutcome::Outrun
    );
    store.put_challenge(&leave).await.unwrap();
    assert_eq!(
        store.complete_factor(&by(9)).await.unwrap(),
        FactorOutcome::Outrun
    );
    let tenant = public();
    let contacts = store.credentials(&tenant, &ann.id, CredentialKind::Contact);
    assert_eq!(contacts.await.unwrap(), []);
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    let sessions = store.sessions(&public(), &ann.id, NOW).await.unwrap();
    assert_eq!(sessions, std::slice::from_ref(&session));
    let done = store.complete_factor(&by(1)).await.unwrap();
    assert!(matches!(done, FactorOutcome::Done(_)), "{done:?}");
    let left = store.challenge(&public(), &leave.id).await.unwrap();
    assert!(left.is_none_or(|leave| leave.closed));
}

/// Of two clicks on one link the second finds whatever came in between as it is.
pub async fn of_many_changes_that_one_challenge_pays_for_one_is_made(store: Store) {
    let ann = with_user(&store, "ann").await;
    let link = link("u1");
    store.put_challenge(&link).await.unwrap();
    let told = race(8, |_| {
        let (store, ann, link) = (Arc::clone(&store), ann.clone(), link.clone());
        async move {
            let changed = store.change_user(&ann.tenant, &ann.id, &paid(&link, 1)).await;
            changed.unwrap().is_some()
        }
    })
    .await;
    assert_eq!(count(&told, |made| *made), 1);
    let now = store.user(&public(), &ann.id).await.unwrap().unwrap();
    assert_eq!(now.revision, ann.revision + 1);
}
