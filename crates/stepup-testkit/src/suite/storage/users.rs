//! Users, metadata and credentials.

use std::sync::Arc;

use stepup_core::error::StoreError;
use stepup_core::record::credential::CredentialKind;
use stepup_core::record::user::{User, UserState};
use stepup_core::storage::UserChange;

use super::fixture::*;

/// The tenant is part of the key (threat A-TEN-01).
pub async fn a_user_is_found_by_its_key_and_by_no_other_tenant(store: Store) {
    let ann = with_user(&store, "ann").await;
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    assert_eq!(store.user(&other(), &ann.id).await.unwrap(), None);
    let found = store
        .user_by_identifier(&other(), &email(&address("ann")))
        .await
        .unwrap();
    assert_eq!(found, None);
    let patch = map(serde_json::json!({ "x": 1 }));
    assert_eq!(
        store.merge_metadata(&other(), &ann.id, &patch).await.unwrap(),
        None
    );
    assert!(!store.clear_metadata(&other(), &ann.id).await.unwrap());
    let kind = CredentialKind::Password;
    assert_eq!(store.credentials(&other(), &ann.id, kind).await.unwrap(), []);
    assert!(
        store
            .change_user(&other(), &ann.id, &change(None))
            .await
            .unwrap()
            .is_none()
    );
    assert_eq!(store.delete_user(&other(), &ann.id).await.unwrap(), None);
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann));
}

/// An application's own user becomes a row at its first sign-in, from several requests at once.
pub async fn a_user_is_made_once_however_many_want_to_make_it(store: Store) {
    let told = race(16, |caller| {
        let (store, mut ann) = (Arc::clone(&store), user("ann"));
        ann.metadata = map(serde_json::json!({ "caller": caller }));
        async move { store.ensure_user(&ann).await.unwrap() }
    })
    .await;
    let kept = store.user(&public(), &"ann".into()).await.unwrap().unwrap();
    assert!(told.iter().all(|one| *one == kept));
}

/// One look-up gives all that a sign-in needs.
pub async fn an_identifier_finds_its_user_and_the_password(store: Store) {
    let ann = with_user(&store, "ann").await;
    let mut bob = account(&user("bob"));
    bob.credentials.clear();
    store.create_account(&bob).await.unwrap();

    let found = store
        .user_by_identifier(&public(), &email(&address("ann")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.user, found.password), (ann.clone(), Some(password(&ann))));
    let found = store
        .user_by_identifier(&public(), &email(&address("bob")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.user, found.password), (bob.user, None));
    assert_eq!(
        store
            .user_by_identifier(&public(), &email("x@y.test"))
            .await
            .unwrap(),
        None
    );
}

/// No collation, no wildcard, no trimmed blank makes two keys one (threat A-INJ-03).
pub async fn keys_are_compared_byte_by_byte(store: Store) {
    let names = [
        "ann",
        "Ann",
        "ANN",
        "ánn",
        "a\u{301}nn",
        "ann ",
        " ann",
        "ann\t",
        "a_n",
        "a%",
        "%",
        "_",
        "strasse",
        "straße",
        "STRASSE",
        "\u{1f642}",
        "\u{1f643}",
        "ann\u{200b}",
        "ı",
        "i",
        "İ",
        "'; --",
        "\\",
        "\"",
    ];
    for name in names {
        store.create_account(&account(&user(name))).await.unwrap();
    }
    for name in names {
        let found = store.user(&public(), &name.into()).await.unwrap().unwrap();
        assert_eq!(found.id.as_str(), name);
        let found = store
            .user_by_identifier(&public(), &email(&address(name)))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.user.id.as_str(), name);
        let found = store
            .credentials(&public(), &name.into(), CredentialKind::Password)
            .await
            .unwrap();
        assert_eq!(found.len(), 1, "{name}");
    }
    for name in ["aNn", "a", "an", "annn", "\u{1f644}", ""] {
        assert_eq!(store.user(&public(), &name.into()).await.unwrap(), None, "{name}");
    }
    // Session handles and challenge ids are keys as well.
    let ann = store.user(&public(), &"ann".into()).await.unwrap().unwrap();
    for handle in ["h", "H", "h ", "%", "_"] {
        assert!(store.open_session(&session(&ann, handle)).await.unwrap());
    }
    assert!(store.look(&"h\t".into(), None).await.unwrap().is_none());
    assert_eq!(
        store.revoke_session(&"%".into()).await.unwrap().map(|s| s.handle),
        Some("%".into())
    );
    assert_eq!(store.sessions(&public(), &ann.id, NOW).await.unwrap().len(), 4);
}

/// A value replaces, `null` removes, and what lies deeper is not looked into.
pub async fn metadata_merges_on_the_first_level_only(store: Store) {
    let ann = with_user(&store, "ann").await;
    let patch = map(serde_json::json!({ "deep": { "x": 1, "none": null }, "list": [1], "name": null }));
    let merged = store
        .merge_metadata(&public(), &ann.id, &patch)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        merged,
        map(serde_json::json!({ "deep": { "x": 1, "none": null }, "list": [1] }))
    );
    let patch = map(serde_json::json!({ "deep": { "y": 2 }, "%": "_", "it's": "\"\\" }));
    let merged = store
        .merge_metadata(&public(), &ann.id, &patch)
        .await
        .unwrap()
        .unwrap();
    let wanted = map(serde_json::json!({ "deep": { "y": 2 }, "list": [1], "%": "_", "it's": "\"\\" }));
    assert_eq!(merged, wanted);
    let kept = store.user(&public(), &ann.id).await.unwrap().unwrap();
    assert_eq!(kept.metadata, wanted);
    assert_eq!(
        (kept.epoch, kept.revision, kept.summary),
        (ann.epoch, ann.revision, ann.summary)
    );
    assert_eq!(
        store
            .merge_metadata(&public(), &"bob".into(), &patch)
            .await
            .unwrap(),
        None
    );
}

/// Two merges at once are one after the other.
pub async fn metadata_merges_at_once_lose_nothing(store: Store) {
    let ann = with_user(&store, "ann").await;
    let told = race(16, |caller| {
        let (store, id) = (Arc::clone(&store), ann.id.clone());
        async move {
            let patch = map(serde_json::json!({ format!("key{caller}"): caller }));
            store.merge_metadata(&public(), &id, &patch).await
        }
    })
    .await;
    assert!(told.iter().all(|one| matches!(one, Ok(Some(_)))));
    let kept = store.user(&public(), &ann.id).await.unwrap().unwrap().metadata;
    assert_eq!(kept.len(), 17);
    assert!((0..16).all(|caller| kept.get(&format!("key{caller}")) == Some(&caller.into())));
}

/// Who notes the newest epoch sees by it whether any user was changed since (threat A-SES-11).
pub async fn a_change_raises_the_epoch_above_that_of_every_user(store: Store) {
    assert_eq!(store.newest_epoch().await.unwrap(), 1);
    let (ann, bob) = (with_user(&store, "ann").await, with_user(&store, "bob").await);
    let change = UserChange {
        state: None,
        reset_factors: false,
        retire_password: false,
        notices: Vec::new(),
        paid_by: None,
    };
    let mut newest = store.newest_epoch().await.unwrap();
    assert_eq!(newest, ann.epoch.max(bob.epoch));
    for user in [&ann, &ann, &bob, &ann] {
        let changed = store
            .change_user(&public(), &user.id, &change)
            .await
            .unwrap()
            .unwrap();
        assert!(changed.epoch > newest, "{} after {newest}", changed.epoch);
        newest = store.newest_epoch().await.unwrap();
        assert_eq!(newest, changed.epoch);
    }
    let told = race(16, |caller| {
        let store = Arc::clone(&store);
        let id = if caller % 2 == 0 {
            ann.id.clone()
        } else {
            bob.id.clone()
        };
        let change = change.clone();
        async move { store.change_user(&public(), &id, &change).await }
    })
    .await;
    assert!(told.into_iter().all(|one| one.unwrap().unwrap().epoch > newest));
}

/// Clearing keeps the user.
pub async fn metadata_is_cleared_whole(store: Store) {
    let ann = with_user(&store, "ann").await;
    assert!(store.clear_metadata(&public(), &ann.id).await.unwrap());
    let kept = store.user(&public(), &ann.id).await.unwrap().unwrap();
    assert!(kept.metadata.is_empty());
    assert_eq!(kept.methods, ann.methods);
    assert!(!store.clear_metadata(&public(), &"bob".into()).await.unwrap());
}

/// What was deleted stays deleted.
pub async fn a_tombstone_has_no_metadata(store: Store) {
    let ann = with_user(&store, "ann").await;
    store.delete_user(&public(), &ann.id).await.unwrap().unwrap();
    let patch = map(serde_json::json!({ "x": 1 }));
    assert_eq!(
        store.merge_metadata(&public(), &ann.id, &patch).await.unwrap(),
        None
    );
    assert!(!store.clear_metadata(&public(), &ann.id).await.unwrap());
    let kept = store.ensure_user(&ann).await.unwrap();
    assert_eq!(kept.state, UserState::Deleted);
}

/// Nothing is cut, normalized or re-ordered on its way.
pub async fn long_and_odd_values_come_back_as_they_were(store: Store) {
    let mut ann = user(&"a".repeat(190));
    let long = "x\u{1f642}\u{0}é'\"\\\r\n".replace('\u{0}', "").repeat(2_000);
    ann.metadata = map(serde_json::json!({
        "z": long, "a": { "b": { "c": [1.5, -7, 9_007_199_254_740_993_i64, true, null, "\u{7f}\u{1}"] } }, "": {},
    }));
    let mut made = account(&ann);
    made.credentials[0].sealed = Some((0..=255).cycle().take(40_000).collect());
    made.credentials[0].public = serde_json::json!({ "name": long });
    let mut opened = session(&ann, &"h".repeat(128));
    opened.payload = ann.metadata.clone();
    opened.origin.agent = "\u{1f642}".repeat(50);
    made.session = Some(opened.clone());
    store.create_account(&made).await.unwrap();

    let kept = store.user(&public(), &ann.id).await.unwrap().unwrap();
    assert_eq!(kept, ann);
    let look = store.look(&opened.handle, None).await.unwrap().unwrap();
    assert_eq!(look.session, opened);
    // Token and `front-token` have to serialize alike: the order of keys is part of the payload.
    assert!(look.session.payload.keys().eq(["z", "a", ""]));
    let kept = store
        .credentials(&public(), &ann.id, CredentialKind::Password)
        .await
        .unwrap();
    assert_eq!(kept, made.credentials);
}

/// A rehash never overwrites a password that was changed meanwhile (threat A-PWD-06).
pub async fn a_credential_is_resealed_only_from_the_version_it_was_read_in(store: Store) {
    let ann = with_user(&store, "ann").await;
    let (kind, id) = (CredentialKind::Password, "ann".into());
    let reseal = |tenant, user, version, sealed: &'static [u8]| {
        let (store, id) = (Arc::clone(&store), &id);
        async move {
            store
                .reseal(&tenant, &user, kind, id, version, sealed)
                .await
                .unwrap()
        }
    };
    assert!(!reseal(public(), ann.id.clone(), 0, b"stale").await);
    assert!(!reseal(other(), ann.id.clone(), 1, b"foreign").await);
    assert!(!reseal(public(), "bob".into(), 1, b"foreign").await);
    assert!(reseal(public(), ann.id.clone(), 1, b"fresh").await);
    assert!(!reseal(public(), ann.id.clone(), 1, b"again").await);
    let kept = store
        .credentials(&public(), &ann.id, kind)
        .await
        .unwrap()
        .remove(0);
    assert_eq!((kept.sealed.as_deref(), kept.version), (Some(&b"fresh"[..]), 2));
    let user = store.user(&public(), &ann.id).await.unwrap().unwrap();
    assert_eq!((user.epoch, user.revision), (ann.epoch, ann.revision));
}

/// Threat A-PWD-06.
pub async fn of_many_reseals_of_one_version_one_wins(store: Store) {
    let ann = with_user(&store, "ann").await;
    let told = race(32, |caller| {
        let (store, id) = (Arc::clone(&store), ann.id.clone());
        let kind = CredentialKind::Password;
        async move {
            let sealed = [u8::try_from(caller).unwrap()];
            store
                .reseal(&public(), &id, kind, &"ann".into(), 1, &sealed)
                .await
                .unwrap()
        }
    })
    .await;
    assert_eq!(count(&told, |won| *won), 1);
    let kept = store
        .credentials(&public(), &ann.id, CredentialKind::Password)
        .await
        .unwrap()
        .remove(0);
    assert!(told[usize::from(kept.sealed.unwrap()[0])]);
    assert_eq!(kept.version, 2);
}

/// Two of one kind keep their order, and another kind does not show.
pub async fn credentials_are_listed_by_kind_oldest_first(store: Store) {
    let ann = user("ann");
    let mut made = account(&ann);
    for (id, age) in [("c", 3), ("a", 1), ("b", 2)] {
        let mut contact = contact(&ann, id);
        contact.created_at = NOW.minus(MINUTE * age);
        contact.sealed = None;
        made.credentials.push(contact);
    }
    store.create_account(&made).await.unwrap();
    let found = store
        .credentials(&public(), &ann.id, CredentialKind::Contact)
        .await
        .unwrap();
    let ids: Vec<_> = found.iter().map(|contact| contact.id.as_str()).collect();
    assert_eq!(ids, ["c", "b", "a"]);
    assert!(found.iter().all(|contact| contact.sealed.is_none()));
    let clash = {
        let mut bob = account(&user("bob"));
        bob.credentials.push(contact(&bob.user, "a"));
        bob
    };
    let told = store.create_account(&clash).await;
    assert!(
        matches!(told, Err(StoreError::Conflict(_))),
        "an id is unique among the users of a tenant"
    );
}

/// A walk sees every user of every tenant once, tombstones too, whatever its step.
pub async fn a_walk_through_the_users_sees_each_of_them_once(store: Store) {
    for name in ["bob", "ann", "eve", "B", "a b"] {
        store.ensure_user(&user(name)).await.unwrap();
    }
    let elsewhere = User {
        tenant: other(),
        ..user("ann")
    };
    store.ensure_user(&elsewhere).await.unwrap();
    store.delete_user(&public(), &"eve".into()).await.unwrap();
    let mut expected: Vec<(String, String)> = ["B", "a b", "ann", "bob", "eve"]
        .iter()
        .map(|id| (public().to_string(), (*id).to_owned()))
        .chain([(other().to_string(), "ann".to_owned())])
        .collect();
    expected.sort();
    for step in [1, 2, 100] {
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let users = store.users_after(after.as_ref(), step).await.unwrap();
            assert!(users.len() <= step as usize);
            let Some(last) = users.last() else { break };
            after = Some((last.tenant.clone(), last.id.clone()));
            seen.extend(
                users
                    .iter()
                    .map(|user| (user.tenant.to_string(), user.id.to_string())),
            );
        }
        assert_eq!(seen, expected, "{step} at a time");
    }
}
