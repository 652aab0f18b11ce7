//! New accounts.

use std::sync::Arc;

use stepup_core::error::StoreError;
use stepup_core::record::credential::CredentialKind;
use stepup_core::storage::AccountOutcome;

use super::fixture::*;

/// User, identifier, password and session are there together.
pub async fn an_account_is_made_whole(store: Store) {
    let ann = user("ann");
    let mut made = account(&ann);
    made.session = Some(session(&ann, "s1"));
    assert_eq!(
        store.create_account(&made).await.unwrap(),
        AccountOutcome::Created
    );
    let found = store
        .user_by_identifier(&public(), &email(&address("ann")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.user, found.password), (ann.clone(), Some(password(&ann))));
    assert_eq!(stored(&store, "s1").await, made.session);
}

/// The account that was there first is untouched, and of the second nothing is written.
pub async fn an_account_whose_identifier_is_taken_leaves_nothing_behind(store: Store) {
    let ann = with_user(&store, "ann").await;
    let eve = user("eve");
    let mut taken = account(&eve);
    taken.identifiers.push((email(&address("ann")), "eve".into()));
    taken.session = Some(session(&eve, "s1"));
    assert_eq!(
        store.create_account(&taken).await.unwrap(),
        AccountOutcome::IdentifierTaken
    );
    assert_eq!(store.user(&public(), &eve.id).await.unwrap(), None);
    assert_eq!(stored(&store, "s1").await, None);
    assert_eq!(
        store
            .user_by_identifier(&public(), &email(&address("eve")))
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        store
            .credentials(&public(), &eve.id, CredentialKind::Password)
            .await
            .unwrap(),
        []
    );
    let found = store
        .user_by_identifier(&public(), &email(&address("ann")))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.user, ann);
}

/// A clash of a fresh id is an error, and half an account is none.
pub async fn an_account_whose_user_or_session_clashes_leaves_nothing_behind(store: Store) {
    let (ann, _) = with_session(&store, "ann").await;
    let mut again = account(&ann);
    again.identifiers = vec![(email("second@example.test"), "ann".into())];
    assert!(matches!(
        store.create_account(&again).await,
        Err(StoreError::Conflict(_))
    ));
    let found = store
        .user_by_identifier(&public(), &email("second@example.test"))
        .await
        .unwrap();
    assert_eq!(found, None);

    let bob = user("bob");
    let mut clash = account(&bob);
    clash.session = Some(session(&bob, "s1"));
    assert!(matches!(
        store.create_account(&clash).await,
        Err(StoreError::Conflict(_))
    ));
    assert_eq!(store.user(&public(), &bob.id).await.unwrap(), None);
    assert_eq!(
        store
            .user_by_identifier(&public(), &email(&address("bob")))
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        stored(&store, "s1").await.map(|session| session.user),
        Some(ann.id)
    );
}

/// A new account is no way around [`open_session`](stepup_core::storage::SessionStore::open_session).
pub async fn an_account_is_made_only_with_a_session_of_its_own(store: Store) {
    let (ann, _) = with_session(&store, "ann").await;
    let bob = user("bob");
    let mut stale = session(&bob, "s2");
    stale.epoch += 1;
    for foreign in [session(&ann, "s2"), stale] {
        let mut made = account(&bob);
        made.session = Some(foreign);
        let told = store.create_account(&made).await;
        assert!(matches!(told, Err(StoreError::Conflict(_))), "{told:?}");
        assert_eq!(store.user(&public(), &bob.id).await.unwrap(), None);
        assert_eq!(stored(&store, "s2").await, None);
    }
}

/// Two sign-ups at once make one account.
pub async fn of_many_accounts_with_one_identifier_one_is_made(store: Store) {
    let told = race(16, |caller| {
        let (store, mut made) = (Arc::clone(&store), account(&user(&format!("user{caller}"))));
        made.identifiers = vec![(email("same@example.test"), "m".into())];
        made.session = Some(session(&made.user, &format!("s{caller}")));
        async move { store.create_account(&made).await.unwrap() }
    })
    .await;
    assert_eq!(count(&told, |one| *one == AccountOutcome::Created), 1);
    let mut users = 0;
    for caller in 0..16 {
        let id = format!("user{caller}").into();
        users += usize::from(store.user(&public(), &id).await.unwrap().is_some());
    }
    assert_eq!(users, 1);
}

/// Tenants share nothing, not even the taken names.
pub async fn one_identifier_may_sign_in_once_in_each_tenant(store: Store) {
    let ann = with_user(&store, "ann").await;
    let mut twin = user("ann");
    twin.tenant = other();
    twin.epoch = 99;
    assert_eq!(
        store.create_account(&account(&twin)).await.unwrap(),
        AccountOutcome::Created
    );
    for (tenant, wanted) in [(public(), &ann), (other(), &twin)] {
        let found = store
            .user_by_identifier(&tenant, &email(&address("ann")))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(found.user, *wanted);
        assert_eq!(found.password, Some(password(wanted)));
    }
    store.delete_user(&other(), &twin.id).await.unwrap().unwrap();
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann));
}

/// A second-factor contact is no identifier: it signs nobody in, and two users may share a phone.
pub async fn a_contact_may_be_the_second_factor_of_many(store: Store) {
    for id in ["ann", "bob"] {
        let mut made = account(&user(id));
        made.credentials.push(contact(&made.user, &format!("{id}-phone")));
        assert_eq!(
            store.create_account(&made).await.unwrap(),
            AccountOutcome::Created
        );
    }
    let phone = stepup_core::record::user::Identifier {
        kind: stepup_core::record::user::IdentifierKind::Phone,
        value: "+15550100".to_owned(),
    };
    assert_eq!(store.user_by_identifier(&public(), &phone).await.unwrap(), None);
}
