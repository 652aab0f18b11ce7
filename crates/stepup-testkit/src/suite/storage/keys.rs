//! Signing keys, check values of secrets, and notices.

use std::sync::Arc;

use stepup_core::error::StoreError;
use stepup_core::record::credential::{Credential, CredentialKind};
use stepup_core::record::key::SigningKeyRecord;
use stepup_core::record::notice::Notice;
use stepup_core::storage::{FactorCompletion, FactorOutcome, NewAccount, SealedBy, UserChange};

use super::fixture::*;

fn key(id: &str, slot: i64) -> SigningKeyRecord {
    let created_at = NOW.plus(MINUTE * u32::try_from(slot).unwrap());
    SigningKeyRecord {
        id: id.into(),
        algorithm: "ES256".to_owned(),
        sealed: vec![1, 2, 3],
        created_at,
        signs_until: created_at.plus(DAY),
        verifies_until: created_at.plus(2 * DAY),
        slot,
    }
}

/// A second node that rotates finds the key of the first.
pub async fn a_slot_for_a_signing_key_is_taken_once(store: Store) {
    assert!(store.add_signing_key(&key("d-1", 1)).await.unwrap());
    assert!(!store.add_signing_key(&key("d-2", 1)).await.unwrap());
    assert!(matches!(
        store.add_signing_key(&key("d-1", 2)).await,
        Err(StoreError::Conflict(_))
    ));
    let kept = store.signing_keys().await.unwrap().remove(0);
    let made = key("d-1", 1);
    assert_eq!(
        (kept.id, kept.algorithm, kept.sealed),
        (made.id, made.algorithm, made.sealed)
    );
    assert_eq!(
        (kept.created_at, kept.signs_until),
        (made.created_at, made.signs_until)
    );
    assert_eq!((kept.verifies_until, kept.slot), (made.verifies_until, made.slot));
}

/// Several nodes rotate at the same moment.
pub async fn of_many_signing_keys_for_one_slot_one_is_kept(store: Store) {
    let told = race(16, |caller| {
        let store = Arc::clone(&store);
        async move {
            store
                .add_signing_key(&key(&format!("d-{caller}"), 1))
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(count(&told, |won| *won), 1);
    assert_eq!(store.signing_keys().await.unwrap().len(), 1);
}

/// R-TOK-5: a key verifies to its last millisecond, and not beyond.
pub async fn signing_keys_are_listed_newest_first_and_dropped_when_they_verify_no_more(store: Store) {
    for (id, slot) in [("d-2", 2), ("d-1", 1), ("d-3", 3)] {
        assert!(store.add_signing_key(&key(id, slot)).await.unwrap());
    }
    let ids =
        |keys: Vec<SigningKeyRecord>| keys.into_iter().map(|key| key.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids(store.signing_keys().await.unwrap()), ["d-3", "d-2", "d-1"]);
    let end = key("d-2", 2).verifies_until;
    store.drop_signing_keys(end.minus(TICK)).await.unwrap();
    assert_eq!(ids(store.signing_keys().await.unwrap()), ["d-3", "d-2"]);
    store.drop_signing_keys(end).await.unwrap();
    assert_eq!(ids(store.signing_keys().await.unwrap()), ["d-3"]);
}

/// A start with another secret is told by these, so that they are never overwritten.
pub async fn a_secret_check_is_written_once(store: Store) {
    assert_eq!(store.secret_checks().await.unwrap(), []);
    store.add_secret_check(&"k1".into(), &code(1)).await.unwrap();
    store.add_secret_check(&"k2".into(), &code(2)).await.unwrap();
    let told = store.add_secret_check(&"k1".into(), &code(3)).await;
    assert!(matches!(told, Err(StoreError::Conflict(_))));
    let mut kept = store.secret_checks().await.unwrap();
    kept.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(kept, [("k1".into(), code(1)), ("k2".into(), code(2))]);
}

/// What is to be told is told whole.
pub async fn notices_are_added_all_or_none(store: Store) {
    let ann = with_user(&store, "ann").await;
    store.add_notices(&[notice(&ann, "n1", NOW)]).await.unwrap();
    let clash = [notice(&ann, "n2", NOW), notice(&ann, "n1", NOW)];
    let told = store.add_notices(&clash).await;
    assert!(matches!(told, Err(StoreError::Conflict(_))));
    let taken = store.take_notices(NOW, NOW.plus(MINUTE), 9).await.unwrap();
    let ids: Vec<&str> = taken.iter().map(|notice| notice.id.as_str()).collect();
    assert_eq!(ids, ["n1"]);
}

/// Two nodes that drain at once send each message once.
pub async fn a_notice_is_taken_by_one_caller_only(store: Store) {
    let ann = with_user(&store, "ann").await;
    let notices = (0..40).map(|n| notice(&ann, &format!("n{n}"), NOW)).collect();
    let told = UserChange {
        notices,
        ..change(None)
    };
    store
        .change_user(&public(), &ann.id, &told)
        .await
        .unwrap()
        .unwrap();
    let until = NOW.plus(MINUTE);
    let told = race(16, |_| {
        let store = Arc::clone(&store);
        async move { store.take_notices(NOW, until, 3).await.unwrap() }
    })
    .await;
    assert!(told.iter().all(|some| some.len() <= 3));
    let mut ids: Vec<_> = told.iter().flatten().map(|notice| notice.id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 40.min(told.iter().map(Vec::len).sum()), "none twice");
    assert_eq!(ids.len(), 40);
    assert!(
        told.iter()
            .flatten()
            .all(|notice| notice.tries == 1 && notice.due_at == until)
    );
    assert_eq!(store.take_notices(NOW, until, 99).await.unwrap(), []);
}

/// What was not delivered is tried again; what was is gone.
pub async fn a_notice_comes_due_again_until_it_is_finished(store: Store) {
    let (ann, session) = with_session(&store, "ann").await;
    let mut enrollment = enrollment(&ann, "phone");
    enrollment.notices = vec![notice(&ann, "late", NOW.plus(MINUTE)), notice(&ann, "soon", NOW)];
    let completion = FactorCompletion {
        enrollment: Some(enrollment),
        ..completion(&session, &OTP_PHONE)
    };
    let told = store.complete_factor(&completion).await.unwrap();
    assert!(matches!(told, FactorOutcome::Done(_)));

    let (again, end) = (NOW.plus(2 * MINUTE), NOW.plus(DAY));
    assert_eq!(store.take_notices(NOW.minus(TICK), again, 9).await.unwrap(), []);
    let taken = store.take_notices(NOW, again, 9).await.unwrap();
    let mut wanted = notice(&ann, "soon", again);
    wanted.tries = 1;
    assert_eq!(taken, [wanted.clone()]);
    store.finish_notice(&"late".into()).await.unwrap();
    assert_eq!(store.take_notices(again.minus(TICK), end, 9).await.unwrap(), []);
    (wanted.tries, wanted.due_at) = (2, end);
    assert_eq!(store.take_notices(again, end, 9).await.unwrap(), [wanted]);
    store.finish_notice(&"soon".into()).await.unwrap();
    store.finish_notice(&"soon".into()).await.unwrap();
    assert_eq!(store.take_notices(end, end, 9).await.unwrap(), []);
}

/// Two that seal a key anew do not undo each other.
pub async fn a_signing_key_is_sealed_anew_only_as_it_was_read(store: Store) {
    assert!(store.add_signing_key(&key("d-1", 1)).await.unwrap());
    let id = "d-1".into();
    assert!(!store.reseal_signing_key(&id, &[1, 2], &[9]).await.unwrap());
    assert!(store.reseal_signing_key(&id, &[1, 2, 3], &[4, 5]).await.unwrap());
    assert!(!store.reseal_signing_key(&id, &[1, 2, 3], &[9]).await.unwrap());
    assert!(
        !store
            .reseal_signing_key(&"d-2".into(), &[4, 5], &[9])
            .await
            .unwrap()
    );
    let kept = store.signing_keys().await.unwrap().remove(0);
    assert_eq!((kept.sealed, kept.slot), (vec![4, 5], 1));
}

/// What a secret has sealed is counted, wherever it lies (threat A-SEC-05).
pub async fn what_begins_like_the_seal_of_a_secret_is_counted(store: Store) {
    assert!(store.add_signing_key(&key("d-1", 1)).await.unwrap());
    assert!(
        store
            .add_signing_key(&SigningKeyRecord {
                sealed: vec![1, 3],
                ..key("d-2", 2)
            })
            .await
            .unwrap()
    );
    let ann = with_user(&store, "ann").await;
    let sealed = |bytes: &[u8]| Notice {
        sealed: bytes.to_vec(),
        ..notice(&ann, &format!("n{bytes:?}"), NOW)
    };
    let notices = [sealed(&[1, 2]), sealed(&[1, 2, 7]), sealed(&[2, 1])];
    store.add_notices(&notices).await.unwrap();
    let counted = store.sealed_by(&[1, 2]).await.unwrap();
    assert_eq!((counted.signing_keys, counted.notices), (1, 2));
    let all = store.sealed_by(&[]).await.unwrap();
    assert_eq!((all.signing_keys, all.notices), (2, 3));
    assert_eq!(store.sealed_by(&[9]).await.unwrap(), SealedBy::default());
    let password = credential(&ann, CredentialKind::Password, "sealed");
    let before = store.sealed_by(b"sea").await.unwrap().credentials;
    let account = NewAccount {
        user: user("bob"),
        identifiers: Vec::new(),
        credentials: vec![Credential {
            user: "bob".into(),
            sealed: Some(b"sealed".to_vec()),
            ..password
        }],
        session: None,
    };
    store.create_account(&account).await.unwrap();
    assert_eq!(store.sealed_by(b"sea").await.unwrap().credentials, before + 1);
}
