//! What an update does beside it: other second factors, what undoes it, and what pays for it.

use stepup_core::error::StoreError;
use stepup_core::record::challenge::{Answer, Binding, Challenge};
use stepup_core::record::credential::{Credential, CredentialKind};
use stepup_core::record::session::Session;
use stepup_core::record::user::{IdentifierKind, Summary, User};
use stepup_core::storage::{Beside, FactorCompletion, Payment, SecondFactors, UpdateOutcome, UserUpdate};

use super::fixture::*;
use super::updates::{after, done, found, has_challenge, keep, moved, passwords};

/// The link in a notice: it is bound to no user, and outlives what ends everything else.
fn undo(id: &str) -> Challenge {
    Challenge {
        binding: Binding {
            purpose: "link:undo".to_owned(),
            user: "".into(),
            session: ["link:", id, ":{\"from\":\"o'dd@x\"}"].concat().as_str().into(),
        },
        destination: "user:ann".to_owned(),
        ..challenge(id)
    }
}

fn paid_by(challenge: &Challenge, number: u8) -> Option<Payment> {
    Some(Payment {
        challenge: challenge.id.clone(),
        binding: challenge.binding.clone(),
        macs: vec![code(number)],
        now: NOW,
    })
}

/// With a phone as second factor.
async fn with_phone(store: &Store) -> (User, Session) {
    let (ann, session) = with_session(store, "ann").await;
    let enrolled = FactorCompletion {
        enrollment: Some(enrollment(&ann, "phone")),
        ..completion(&session, &OTP_PHONE)
    };
    store.complete_factor(&enrolled).await.unwrap();
    let look = store.look(&session.handle, None).await.unwrap().unwrap();
    (look.user, look.session)
}

/// The second factor has its codes sent elsewhere from now on.
fn elsewhere(user: &User, to: &str) -> SecondFactors {
    let mut summary = user.summary.clone();
    summary.enrolled[0].contact = Some(to.to_owned());
    let mut contact = contact(user, "phone");
    contact.public = serde_json::json!({ "address": to });
    contact.version += 1;
    SecondFactors {
        summary,
        contacts: vec![contact],
    }
}

/// Threat A-MFA-22: the second factor changes with the rest, and what undoes it begins behind the end of all else.
pub async fn an_update_replaces_second_factors_and_begins_what_undoes_it(store: Store) {
    let (ann, own) = with_phone(&store).await;
    let pending = challenge("pending");
    for other in [&pending, &undo("older"), &undo("newer")] {
        store.put_challenge(other).await.unwrap();
    }
    let second = elsewhere(&ann, "+15550199");
    let update = UserUpdate {
        keep: keep("s1"),
        beside: Beside {
            second: Some(second.clone()),
            retire_password: true,
            begin: vec![undo("u1")],
            end: vec!["newer".into(), "nobody's".into()],
            paid_by: paid_by(&pending, 1),
        },
        ..moved(&ann, "new@example.test")
    };
    let UpdateOutcome::Kept(kept) = store.update_user(&update).await.unwrap() else {
        panic!("not kept");
    };
    let (session, user) = *kept;
    let wanted = User {
        summary: second.summary,
        ..after(&ann, &update)
    };
    assert_eq!((&user, session.handle), (&wanted, own.handle));
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(wanted));
    let kind = CredentialKind::Contact;
    let contacts = store.credentials(&public(), &ann.id, kind).await.unwrap();
    assert_eq!(contacts, second.contacts);
    assert!(passwords(&store, &ann).await[0].is_retired());
    for (id, stays) in [
        ("pending", false),
        ("older", true),
        ("newer", false),
        ("u1", true),
    ] {
        assert_eq!(has_challenge(&store, id).await, stays, "{id}");
    }
    let begun = store.challenge(&public(), &"u1".into()).await.unwrap();
    assert_eq!(begun, Some(undo("u1")));
    // None left is none left.
    let none = SecondFactors {
        summary: Summary::default(),
        contacts: Vec::new(),
    };
    let update = UserUpdate {
        beside: Beside {
            second: Some(none),
            ..Beside::default()
        },
        ..moved(&user, "new@example.test")
    };
    assert!(
        done(store.update_user(&update).await.unwrap())
            .summary
            .enrolled
            .is_empty()
    );
    assert_eq!(store.credentials(&public(), &ann.id, kind).await.unwrap(), []);
}

/// R-OTP-3: what pays for an update is spent by it, and by nothing that is not done; whether an identifier is free is told to
/// nobody else.
pub async fn an_update_is_done_only_by_what_pays_for_it(store: Store) {
    let (ann, own) = with_phone(&store).await;
    let bob = with_user(&store, "bob").await;
    let pending = challenge("pending");
    store.put_challenge(&pending).await.unwrap();
    let paid = |to: &str, number| UserUpdate {
        keep: keep("s1"),
        beside: Beside {
            second: Some(elsewhere(&ann, "+15550199")),
            begin: vec![undo("u1")],
            paid_by: paid_by(&pending, number),
            ..Beside::default()
        },
        ..moved(&ann, to)
    };
    let update = async |update: UserUpdate| store.update_user(&update).await.unwrap();
    // Wrong, to a free address and to one that is somebody's alike.
    for (failed, to) in [(1, "new@example.test".to_owned()), (2, address("bob"))] {
        let wrong = UpdateOutcome::Unpaid(Answer::Wrong { failed });
        assert_eq!(update(paid(&to, 9)).await, wrong);
    }
    // Right, to one that is somebody's: nothing is spent.
    let taken = UpdateOutcome::IdentifierTaken(IdentifierKind::Email);
    assert_eq!(update(paid(&address("bob"), 1)).await, taken);
    // Right, with something that clashes.
    let others = [
        vec![contact(&bob, "phone2")],
        vec![Credential {
            tenant: other(),
            ..contact(&ann, "phone2")
        }],
        vec![password(&ann)],
    ];
    for contacts in others {
        let mut clash = paid("new@example.test", 1);
        clash.beside.second.as_mut().unwrap().contacts = contacts;
        let told = store.update_user(&clash).await;
        assert!(matches!(told, Err(StoreError::Conflict(_))), "{told:?}");
    }
    let mut clash = paid("new@example.test", 1);
    clash.beside.begin = vec![Challenge {
        id: "pending2".into(),
        ..undo("pending2")
    }];
    store.put_challenge(&clash.beside.begin[0]).await.unwrap();
    clash.beside.begin[0].binding.session = "link:another".into();
    assert!(store.update_user(&clash).await.is_err());
    assert_eq!(store.user(&public(), &ann.id).await.unwrap(), Some(ann.clone()));
    assert_eq!(store.sessions(&public(), &ann.id, NOW).await.unwrap(), [own]);
    let left = store.challenge(&public(), &pending.id).await.unwrap().unwrap();
    assert_eq!((left.failed, left.closed), (2, false));
    assert!(!has_challenge(&store, "u1").await);

    assert!(matches!(
        update(paid("new@example.test", 1)).await,
        UpdateOutcome::Kept(_)
    ));
    assert_eq!(found(&store, "new@example.test").await.as_deref(), Some("ann"));
    assert_eq!(update(paid("newer@example.test", 1)).await, UpdateOutcome::Outrun);
    let ann = store.user(&public(), &ann.id).await.unwrap().unwrap();
    let again = UserUpdate {
        revision: ann.revision,
        ..paid("newer@example.test", 1)
    };
    assert_eq!(update(again).await, UpdateOutcome::Unpaid(Answer::Gone));
}
