//! Updates: other contacts to sign in by, another password.

use std::sync::Arc;

use stepup_core::error::StoreError;
use stepup_core::record::challenge::{Binding, Challenge};
use stepup_core::record::credential::{Credential, CredentialKind};
use stepup_core::record::session::{Rise, Session};
use stepup_core::record::user::{IdentifierKind, ThirdParty, User, UserState};
use stepup_core::storage::{AccountOutcome, Beside, FactorCompletion, Keep, UpdateOutcome, UserUpdate};

use super::fixture::*;

/// `user` signs in with another address from now on.
pub(super) fn moved(user: &User, address: &str) -> UserUpdate {
    let mut methods = user.methods.clone();
    methods[0].email = Some(address.to_owned());
    UserUpdate {
        tenant: user.tenant.clone(),
        user: user.id.clone(),
        revision: user.revision,
        identifiers: vec![(email(address), methods[0].id.clone())],
        methods,
        password: None,
        contacts: Vec::new(),
        notices: Vec::new(),
        keep: None,
        beside: Beside::default(),
    }
}

/// Another password, under an id of its own.
fn fresh(user: &User, id: &str) -> Credential {
    Credential {
        sealed: Some(b"fresh".to_vec()),
        ..credential(user, CredentialKind::Password, id)
    }
}

/// The row as an update leaves it.
pub(super) fn after(user: &User, update: &UserUpdate) -> User {
    User {
        epoch: user.epoch + 1,
        revision: user.revision + 1,
        methods: update.methods.clone(),
        ..user.clone()
    }
}

pub(super) fn done(outcome: UpdateOutcome) -> User {
    match outcome {
        UpdateOutcome::Done(user) => *user,
        other => panic!("{other:?}"),
    }
}

/// The id of the user that signs in with `address`.
pub(super) async fn found(store: &Store, address: &str) -> Option<String> {
    let account = store
        .user_by_identifier(&public(), &email(address))
        .await
        .unwrap();
    account.map(|account| account.user.id.as_str().to_owned())
}

pub(super) async fn passwords(store: &Store, user: &User) -> Vec<Credential> {
    let kind = CredentialKind::Password;
    store.credentials(&user.tenant, &user.id, kind).await.unwrap()
}

/// A stranger's challenge: bound to itself, and to no user.
fn strangers(id: &str, destination: &str) -> Challenge {
    let binding = Binding {
        purpose: "first:otp-email".to_owned(),
        user: "".into(),
        session: ["none", id].join(":").as_str().into(),
    };
    Challenge {
        binding,
        destination: destination.to_owned(),
        ..challenge(id)
    }
}

pub(super) async fn has_challenge(store: &Store, id: &str) -> bool {
    store.challenge(&public(), &id.into()).await.unwrap().is_some()
}

pub(super) fn keep(handle: &str) -> Option<Keep> {
    Some(Keep {
        handle: handle.into(),
        rise: Some(rise()),
        now: NOW,
    })
}

/// Threat A-SES-09: the session in which it was done goes on, by a token that no other leads to; all others end.
pub async fn an_update_keeps_the_session_it_was_done_in_by_a_new_token(store: Store) {
    let (ann, own) = with_session(&store, "ann").await;
    assert!(store.open_session(&session(&ann, "other")).await.unwrap());
    store.put_challenge(&challenge("second")).await.unwrap();
    store.rotate(&rotation("s1", 0, NOW)).await.unwrap().unwrap();
    let update = UserUpdate {
        password: Some(fresh(&ann, "p2")),
        keep: keep("s1"),
        ..moved(&ann, &address("ann"))
    };
    let UpdateOutcome::Kept(kept) = store.update_user(&update).await.unwrap() else {
        panic!("not kept");
    };
    let (kept, user) = *kept;
    assert_eq!(user, after(&ann, &update));
    assert_eq!((kept.epoch, &kept.factors), (user.epoch, &own.factors));
    let chain = &kept.chain;
    assert_eq!((chain.generation, chain.current), (2, rise().secret));
    assert_eq!((&chain.previous, &chain.rotated), (&None, &None));
    let risen = Rise {
        generation: 2,
        at: NOW,
    };
    assert_eq!(chain.rise, Some(risen));
    assert_eq!(
        (kept.idle_expires_at, kept.ends_at),
        (rise().idle_expires_at, rise().ends_at)
    );
    let left: Vec<Session> = store.sessions(&public(), &ann.id, NOW).await.unwrap();
    assert_eq!(left, [kept]);
    assert!(!has_challenge(&store, "second").await);
    // No older token leads on; the new one does, under the new epoch.
    for generation in [0, 1] {
        assert_eq!(
            store.rotate(&rotation("s1", generation, NOW)).await.unwrap(),
            None
        );
    }
    let mut next = rotation("s1", 2, NOW);
    next.current = rise().secret;
    assert!(store.rotate(&next).await.unwrap().is_some());
}

/// Whoever was signed out meanwhile changes nothing.
pub async fn an_update_by_a_session_that_is_none_writes_nothing(store: Store) {
    let (ann, own) = with_session(&store, "ann").await;
    let bob = with_user(&store, "bob").await;
    assert!(store.open_session(&session(&bob, "bobs")).await.unwrap());
    let tries = [("bobs", NOW), ("nobodys", NOW), ("s1", own.end())];
    for (handle, now) in tries {
        let update = UserUpdate {
            password: Some(fresh(&ann, "p2")),
            keep: keep(handle).map(|keep| Keep { now, ..keep }),
            ..moved(&ann, "new@example.test")
        };
        let told = store.update_user(&update).await.unwrap();
        assert_eq!(told, UpdateOutcome::Gone, "{handle}");
    }
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    assert_eq!(found(&store, &address("ann")).await.as_deref(), Some("ann"));
    assert_eq!(store.sessions(&public(), &ann.id, NOW).await.unwrap(), [own]);
    // A session from before another change is as good as none.
    store.update_user(&moved(&ann, "new@example.test")).await.unwrap();
    let ann = store.user(&public(), &ann.id).await.unwrap().unwrap();
    let late = UserUpdate {
        keep: keep("s1"),
        ..moved(&ann, "newer@example.test")
    };
    assert_eq!(store.update_user(&late).await.unwrap(), UpdateOutcome::Gone);
}

/// Who looks in between sees all of the old, or all of the new.
pub async fn an_update_changes_methods_identifiers_and_password_together(store: Store) {
    let ann = with_user(&store, "ann").await;
    let update = UserUpdate {
        password: Some(fresh(&ann, "p2")),
        notices: vec![notice(&ann, "n1", NOW)],
        ..moved(&ann, "new@example.test")
    };
    let wanted = after(&ann, &update);
    assert_eq!(done(store.update_user(&update).await.unwrap()), wanted);
    assert_eq!(found(&store, &address("ann")).await, None);
    let account = store
        .user_by_identifier(&public(), &email("new@example.test"))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (account.user, account.password),
        (wanted, update.password.clone())
    );
    assert_eq!(passwords(&store, &ann).await, [fresh(&ann, "p2")]);
    assert_eq!(store.take_notices(NOW, NOW, 9).await.unwrap().len(), 1);
    // A rehash of the old password that was under way finds nothing (threat A-PWD-06).
    let kind = CredentialKind::Password;
    let late = store
        .reseal(&public(), &ann.id, kind, &"ann".into(), 1, b"old")
        .await;
    assert!(!late.unwrap());
}

/// What opens no session is changed without a new token.
pub async fn an_update_keeps_its_session_without_a_rise(store: Store) {
    let (ann, own) = with_session(&store, "ann").await;
    assert!(store.open_session(&session(&ann, "elsewhere")).await.unwrap());
    let update = UserUpdate {
        keep: Some(Keep {
            handle: own.handle.clone(),
            rise: None,
            now: NOW,
        }),
        ..moved(&ann, "new@example.test")
    };
    let UpdateOutcome::Kept(kept) = store.update_user(&update).await.unwrap() else {
        panic!("it was not kept");
    };
    let (session, user) = *kept;
    let expected = Session {
        epoch: user.epoch,
        ..own.clone()
    };
    assert_eq!((&session, user.epoch), (&expected, ann.epoch + 1));
    let look = store.look(&own.handle, None).await.unwrap().unwrap();
    assert_eq!((look.session, look.user), (session, user));
    assert!(store.look(&"elsewhere".into(), None).await.unwrap().is_none());
}

/// Threat A-SES-09: sessions, half-logins, and what was sent to the old contact and to the new one.
pub async fn an_update_ends_sessions_and_the_challenges_of_its_contacts_and_no_others(store: Store) {
    let (ann, _) = with_session(&store, "ann").await;
    let bob = with_user(&store, "bob").await;
    assert!(store.open_session(&session(&bob, "bobs")).await.unwrap());
    store.put_challenge(&challenge("second")).await.unwrap();
    for (id, destination) in [
        ("old", address("ann")),
        ("new", "new@example.test".to_owned()),
        ("bobs", address("bob")),
    ] {
        store.put_challenge(&strangers(id, &destination)).await.unwrap();
    }
    let mut elsewhere = strangers("elsewhere", &address("ann"));
    elsewhere.tenant = other();
    store.put_challenge(&elsewhere).await.unwrap();
    // A second factor's code of another user, to a phone that they share with the new contact.
    let mut shared = challenge("shared");
    shared.binding = binding(&bob.id, &"bobs".into());
    shared.destination = "new@example.test".to_owned();
    store.put_challenge(&shared).await.unwrap();

    let update = UserUpdate {
        contacts: vec![address("ann"), "new@example.test".to_owned()],
        ..moved(&ann, "new@example.test")
    };
    done(store.update_user(&update).await.unwrap());
    assert_eq!(stored(&store, "s1").await, None);
    assert!(stored(&store, "bobs").await.is_some());
    for (id, stays) in [
        ("second", false),
        ("old", false),
        ("new", false),
        ("bobs", true),
        ("shared", true),
    ] {
        assert_eq!(has_challenge(&store, id).await, stays, "{id}");
    }
    let kept = store.challenge(&other(), &"elsewhere".into()).await.unwrap();
    assert_eq!(kept, Some(elsewhere));
    assert!(
        !store.open_session(&session(&ann, "s2")).await.unwrap(),
        "of the old epoch"
    );
}

/// No contact changes, and none is lost.
pub async fn an_update_of_the_password_alone_keeps_every_identifier(store: Store) {
    let ann = with_user(&store, "ann").await;
    let update = UserUpdate {
        password: Some(fresh(&ann, "p2")),
        ..moved(&ann, &address("ann"))
    };
    done(store.update_user(&update).await.unwrap());
    assert_eq!(found(&store, &address("ann")).await.as_deref(), Some("ann"));
    assert_eq!(passwords(&store, &ann).await, [fresh(&ann, "p2")]);
}

/// Uniqueness is the store's: the caller is told, and both accounts are what they were.
pub async fn an_update_to_anothers_identifier_writes_nothing(store: Store) {
    let (ann, _) = with_session(&store, "ann").await;
    let bob = with_user(&store, "bob").await;
    store
        .put_challenge(&strangers("c2", &address("bob")))
        .await
        .unwrap();
    let mut update = UserUpdate {
        password: Some(fresh(&ann, "p2")),
        contacts: vec![address("bob")],
        notices: vec![notice(&ann, "n1", NOW)],
        ..moved(&ann, "free@example.test")
    };
    update.identifiers.push((email(&address("bob")), "ann".into()));
    let told = store.update_user(&update).await.unwrap();
    assert_eq!(told, UpdateOutcome::IdentifierTaken(IdentifierKind::Email));
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    assert_eq!(store.user(&public(), &bob.id).await.unwrap(), Some(bob));
    assert_eq!(found(&store, &address("ann")).await.as_deref(), Some("ann"));
    assert_eq!(found(&store, &address("bob")).await.as_deref(), Some("bob"));
    assert_eq!(found(&store, "free@example.test").await, None);
    assert_eq!(passwords(&store, &ann).await, [password(&ann)]);
    assert!(stored(&store, "s1").await.is_some() && has_challenge(&store, "c2").await);
    assert_eq!(store.take_notices(NOW, NOW, 9).await.unwrap(), []);
    // In another tenant the same address is free.
    let mut twin = user("ann");
    twin.tenant = other();
    store.create_account(&account(&twin)).await.unwrap();
    done(store.update_user(&moved(&twin, &address("bob"))).await.unwrap());
    assert_eq!(found(&store, &address("bob")).await.as_deref(), Some("bob"));
}

/// Threat A-LEG-07: the phone of the second factor is neither lost nor a key; and who is disabled stays so.
pub async fn an_update_touches_no_second_factor_and_no_state(store: Store) {
    let (ann, session) = with_session(&store, "ann").await;
    let completion = FactorCompletion {
        enrollment: Some(enrollment(&ann, "phone")),
        ..completion(&session, &OTP_PHONE)
    };
    store.complete_factor(&completion).await.unwrap();
    let change = change(Some(UserState::Disabled));
    let ann = store
        .change_user(&public(), &ann.id, &change)
        .await
        .unwrap()
        .unwrap();
    let update = UserUpdate {
        password: Some(fresh(&ann, "p2")),
        ..moved(&ann, "new@example.test")
    };
    let updated = done(store.update_user(&update).await.unwrap());
    assert_eq!(updated, after(&ann, &update));
    assert_eq!(
        (updated.state, &updated.summary),
        (UserState::Disabled, &enrolled("phone"))
    );
    let kept = store
        .credentials(&public(), &ann.id, CredentialKind::Contact)
        .await
        .unwrap();
    assert_eq!(kept, [contact(&ann, "phone")]);
    let phone = stepup_core::record::user::Identifier {
        kind: IdentifierKind::Phone,
        value: "+15550100".to_owned(),
    };
    assert_eq!(store.user_by_identifier(&public(), &phone).await.unwrap(), None);
}

/// What was computed from an old row is not written over a newer one; and nothing brings a deleted user back.
pub async fn an_update_is_done_from_the_revision_it_was_read_in_and_to_no_tombstone(store: Store) {
    let ann = with_user(&store, "ann").await;
    let stale = UserUpdate {
        revision: ann.revision - 1,
        ..moved(&ann, "new@example.test")
    };
    assert_eq!(store.update_user(&stale).await.unwrap(), UpdateOutcome::Outrun);
    let foreign = UserUpdate {
        tenant: other(),
        ..moved(&ann, "new@example.test")
    };
    assert_eq!(store.update_user(&foreign).await.unwrap(), UpdateOutcome::Gone);
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    store.delete_user(&public(), &ann.id).await.unwrap().unwrap();
    let buried = store.user(&public(), &ann.id).await.unwrap().unwrap();
    let update = UserUpdate {
        revision: buried.revision,
        ..moved(&ann, "new@example.test")
    };
    assert_eq!(store.update_user(&update).await.unwrap(), UpdateOutcome::Gone);
    assert_eq!(found(&store, "new@example.test").await, None);
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(buried));
}

/// A clash of a fresh id, or a credential that is none of this user's passwords, is an error, and half an update is none.
pub async fn an_update_that_clashes_leaves_nothing_behind(store: Store) {
    let (ann, _) = with_session(&store, "ann").await;
    let bob = with_user(&store, "bob").await;
    let wrong = [
        fresh(&ann, "bob"),
        fresh(&bob, "p2"),
        contact(&ann, "p2"),
        Credential {
            tenant: other(),
            ..fresh(&ann, "p2")
        },
    ];
    for password in wrong {
        let update = UserUpdate {
            password: Some(password),
            notices: vec![notice(&ann, "n1", NOW)],
            ..moved(&ann, "new@example.test")
        };
        let told = store.update_user(&update).await;
        assert!(matches!(told, Err(StoreError::Conflict(_))), "{told:?}");
    }
    let twice = UserUpdate {
        notices: vec![notice(&ann, "n1", NOW), notice(&ann, "n1", NOW)],
        ..moved(&ann, "new@example.test")
    };
    let told = store.update_user(&twice).await;
    assert!(matches!(told, Err(StoreError::Conflict(_))), "{told:?}");
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    assert_eq!(found(&store, &address("ann")).await.as_deref(), Some("ann"));
    assert_eq!(found(&store, "new@example.test").await, None);
    assert_eq!(passwords(&store, &ann).await, [password(&ann)]);
    assert!(stored(&store, "s1").await.is_some());
    assert_eq!(store.take_notices(NOW, NOW, 9).await.unwrap(), []);
}

/// Two users may exchange addresses by way of a third, and a new account may take what was left.
pub async fn an_identifier_that_was_given_up_is_free(store: Store) {
    let ann = with_user(&store, "ann").await;
    let bob = with_user(&store, "bob").await;
    let ann = done(
        store
            .update_user(&moved(&ann, "between@example.test"))
            .await
            .unwrap(),
    );
    done(store.update_user(&moved(&bob, &address("ann"))).await.unwrap());
    done(store.update_user(&moved(&ann, &address("bob"))).await.unwrap());
    assert_eq!(found(&store, &address("ann")).await.as_deref(), Some("bob"));
    assert_eq!(found(&store, &address("bob")).await.as_deref(), Some("ann"));
    let mut new = account(&user("eve"));
    new.identifiers = vec![(email("between@example.test"), "eve".into())];
    assert_eq!(store.create_account(&new).await.unwrap(), AccountOutcome::Created);
}

/// Two changes that were computed from the same row do not undo each other.
pub async fn of_many_updates_from_one_revision_one_is_done(store: Store) {
    let ann = with_user(&store, "ann").await;
    let told = race(16, |caller| {
        let (store, ann) = (Arc::clone(&store), ann.clone());
        let update = UserUpdate {
            password: Some(fresh(&ann, &format!("p{caller}"))),
            ..moved(&ann, &format!("new{caller}@example.test"))
        };
        async move { store.update_user(&update).await.unwrap() }
    })
    .await;
    assert_eq!(count(&told, |one| matches!(one, UpdateOutcome::Done(_))), 1);
    assert_eq!(count(&told, |one| *one == UpdateOutcome::Outrun), 15);
    let kept = store.user(&public(), &ann.id).await.unwrap().unwrap();
    assert_eq!(kept.revision, ann.revision + 1);
    let winner = kept.methods[0].email.clone().unwrap();
    assert_eq!(found(&store, &winner).await.as_deref(), Some("ann"));
    assert_eq!(found(&store, &address("ann")).await, None);
    let number = winner.trim_start_matches("new").split('@').next().unwrap();
    assert_eq!(
        passwords(&store, &ann).await,
        [fresh(&ann, &format!("p{number}"))]
    );
}

/// Nobody's address is two accounts', however many ask for it at once.
pub async fn of_many_users_that_want_one_identifier_one_gets_it(store: Store) {
    let mut users = Vec::new();
    for n in 0..16 {
        users.push(with_user(&store, &format!("user{n}")).await);
    }
    let told = race(16, |caller| {
        let (store, update) = (Arc::clone(&store), moved(&users[caller], "one@example.test"));
        async move { store.update_user(&update).await.unwrap() }
    })
    .await;
    assert_eq!(count(&told, |one| matches!(one, UpdateOutcome::Done(_))), 1);
    let taken = UpdateOutcome::IdentifierTaken(IdentifierKind::Email);
    assert_eq!(count(&told, |one| *one == taken), 15);
    let owner = found(&store, "one@example.test").await.unwrap();
    for user in users {
        let now = store.user(&public(), &user.id).await.unwrap().unwrap();
        let own = if user.id.as_str() == owner {
            "one@example.test".to_owned()
        } else {
            assert_eq!(now, user, "untouched");
            address(user.id.as_str())
        };
        assert_eq!(now.methods[0].email.as_deref(), Some(own.as_str()));
        assert_eq!(found(&store, &own).await.as_deref(), Some(user.id.as_str()));
    }
}

/// A sign-up and a change of address that meet at one address: one of them is told.
pub async fn an_update_and_a_new_account_never_share_an_identifier(store: Store) {
    for round in 0..8 {
        let address = format!("one{round}@example.test");
        let ann = with_user(&store, &format!("ann{round}")).await;
        let mut new = account(&user(&format!("eve{round}")));
        new.identifiers = vec![(email(&address), new.user.methods[0].id.clone())];
        let update = moved(&ann, &address);
        let told = race(2, |caller| {
            let (store, new, update) = (Arc::clone(&store), new.clone(), update.clone());
            async move {
                match caller {
                    0 => store.create_account(&new).await.unwrap() == AccountOutcome::Created,
                    _ => matches!(store.update_user(&update).await.unwrap(), UpdateOutcome::Done(_)),
                }
            }
        })
        .await;
        assert_eq!(count(&told, |won| *won), 1, "round {round}");
        let owner = found(&store, &address).await.unwrap();
        assert_eq!(owner, format!("{}{round}", if told[0] { "eve" } else { "ann" }));
        let eve = store.user(&public(), &new.user.id).await.unwrap();
        assert_eq!(eve.is_some(), told[0]);
    }
}

/// A sign-in with the old password that comes through at the same moment opens nothing that lasts.
pub async fn a_session_opened_while_its_user_is_updated_does_not_survive(store: Store) {
    for round in 0..8 {
        let ann = with_user(&store, &format!("ann{round}")).await;
        race(2, |caller| {
            let (store, ann) = (Arc::clone(&store), ann.clone());
            async move {
                match caller {
                    0 => drop(
                        store
                            .open_session(&session(&ann, &format!("s{round}")))
                            .await
                            .unwrap(),
                    ),
                    _ => drop(
                        store
                            .update_user(&moved(&ann, &format!("n{round}@x.test")))
                            .await
                            .unwrap(),
                    ),
                }
            }
        })
        .await;
        let left = store.sessions(&public(), &ann.id, NOW).await.unwrap();
        assert_eq!(left, [], "round {round}");
    }
}

/// An address that was verified, or that a provider tells now: nothing ends, and the same identifiers sign in.
pub async fn what_is_known_of_a_method_is_set_and_signs_nobody_out(store: Store) {
    let (ann, session) = with_session(&store, "ann").await;
    let mut methods = ann.methods.clone();
    methods[0].verified = !methods[0].verified;
    methods[0].email = Some("odd'\"\\@example.org".to_owned());
    methods[0].third_party = Some(ThirdParty {
        provider: "acme".to_owned(),
        issuer: "https://id.example".to_owned(),
        subject: "odd'\"\\".to_owned(),
    });
    let set = async |tenant, revision| {
        store
            .set_methods(&tenant, &ann.id, revision, &methods)
            .await
            .unwrap()
    };
    assert!(!set(other(), ann.revision).await, "the tenant is part of the key");
    assert!(!set(public(), ann.revision - 1).await);
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    assert!(set(public(), ann.revision).await);
    let kept = store.user(&public(), &ann.id).await.unwrap().unwrap();
    let expected = User {
        revision: ann.revision + 1,
        methods: methods.clone(),
        ..ann.clone()
    };
    assert_eq!(kept, expected);
    let living = store.sessions(&public(), &ann.id, NOW).await.unwrap();
    assert_eq!(living, [session]);
    assert_eq!(found(&store, &address("ann")).await.as_deref(), Some("ann"));
    assert_eq!(found(&store, "odd'\"\\@example.org").await, None);
    store.delete_user(&public(), &ann.id).await.unwrap();
    let buried = store.user(&public(), &ann.id).await.unwrap().unwrap();
    assert!(!set(public(), buried.revision).await, "a tombstone");
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(buried));
}

/// Who read the row before somebody else wrote it has to look again.
pub async fn of_many_that_set_methods_from_one_revision_one_does(store: Store) {
    let (ann, _) = with_session(&store, "ann").await;
    let told = race(8, |at| {
        let (store, ann) = (Arc::clone(&store), ann.clone());
        async move {
            let mut methods = ann.methods.clone();
            methods[0].email = Some(address(&["ann", &at.to_string()].concat()));
            let set = store
                .set_methods(&ann.tenant, &ann.id, ann.revision, &methods)
                .await;
            set.unwrap().then_some(methods)
        }
    })
    .await;
    let won: Vec<_> = told.into_iter().flatten().collect();
    let kept = store.user(&public(), &ann.id).await.unwrap().unwrap();
    assert_eq!((won, kept.revision), (vec![kept.methods], ann.revision + 1));
}
