use super::*;
use crate::id::CredentialId;
use crate::import::ImportProblem;
use crate::keyring::{Root, SecretList};
use crate::record::user::{Identifier, IdentifierKind};
use crate::storage::memory::MemoryStore;
use crate::storage::{CredentialStore, UserStore};

const HASH: &str = "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS";

fn root(id: &str) -> Root {
    Root::random(id.into(), &OsEntropy).unwrap()
}

async fn desk(store: &Arc<MemoryStore>, roots: &[&Root]) -> Desk {
    let list = SecretList::new(roots.iter().map(|root| (*root).clone()).collect());
    Desk::open(store.clone(), &list).await.unwrap()
}

async fn alone() -> (Arc<MemoryStore>, Desk) {
    let store = Arc::new(MemoryStore::new());
    let desk = desk(&store, &[&root("k1")]).await;
    (store, desk)
}

fn of(json: serde_json::Value) -> ImportedUser {
    ImportedUser::read(json.to_string().as_bytes()).unwrap()
}

async fn created(desk: &Desk, json: serde_json::Value) -> UserId {
    match desk.import_user(&of(json)).await.unwrap().unwrap() {
        Imported::Created(id) => id,
        other => panic!("{other:?}"),
    }
}

async fn problems(desk: &Desk, json: serde_json::Value) -> Vec<ImportProblem> {
    desk.import_user(&of(json)).await.unwrap().unwrap_err().problems
}

fn ann() -> serde_json::Value {
    json!({
        "id": "ann-1", "email": "Ann@Example.com", "emailVerified": true, "passwordHash": HASH, "joinedAt": 1_600_000_000_000_i64,
        "phone": "+41 79 123 45 67", "metadata": { "plan": "gold" }, "requiredFactors": ["otp-phone"], "disabled": true,
        "secondFactors": [{ "factor": "otp-phone", "contact": "+41 79 123 45 68", "id": "ann-second" }],
        "thirdParty": [{ "id": "google", "issuer": "https://accounts.google.com", "subject": "7", "email": "ann@gmail.com" }]
    })
}

#[tokio::test]
async fn a_user_comes_with_all_that_is_known_of_it() {
    let (store, desk) = alone().await;
    let id = created(&desk, ann()).await;
    assert_eq!(id, "ann-1".into());
    let public = TenantId::public();
    let user = store.user(&public, &id).await.unwrap().unwrap();
    assert_eq!(user.state, UserState::Disabled);
    assert_eq!(user.created_at.as_ms(), 1_600_000_000_000);
    assert_eq!(user.metadata["plan"], "gold");
    let ways: Vec<_> = user
        .methods
        .iter()
        .map(|m| (m.factor.as_str(), m.verified))
        .collect();
    assert_eq!(
        ways,
        [
            ("emailpassword", true),
            ("otp-phone", true),
            ("thirdparty", false)
        ]
    );
    assert_eq!(user.methods[0].id.as_str(), "ann-1");
    let second = user.summary.enrolled(&FactorId::OTP_PHONE).unwrap();
    assert_eq!(second.contact.as_deref(), Some("+41791234568"));
    assert_eq!(second.credential, CredentialId::from("ann-second"));
    let contacts = store
        .credentials(&public, &id, CredentialKind::Contact)
        .await
        .unwrap();
    assert_eq!(contacts[0].public["address"], "+41791234568");
    for (kind, value) in [
        (IdentifierKind::Email, "ann@example.com"),
        (IdentifierKind::Phone, "+41791234567"),
    ] {
        let value = value.to_owned();
        let found = store
            .user_by_identifier(&public, &Identifier { kind, value })
            .await
            .unwrap();
        assert_eq!(found.unwrap().user.id, id);
    }
    // What goes out comes in again, but for the hash.
    let (other, second_desk) = alone().await;
    let out = portable(&user);
    assert!(!out.to_string().contains("$2b$"));
    created(&second_desk, out.clone()).await;
    let again = other.user(&public, &id).await.unwrap().unwrap();
    assert_eq!(portable(&again), out);
    assert_eq!((again.summary, again.state), (user.summary, user.state));
}

#[tokio::test]
async fn the_same_user_is_there_once_however_often_it_is_imported() {
    let (store, desk) = alone().await;
    let by_mail = json!({ "email": "bob@example.com", "passwordHash": HASH });
    let by_phone = json!({ "phone": "+41791234569" });
    for line in [ann(), by_mail.clone(), by_phone] {
        let id = created(&desk, line.clone()).await;
        for _ in 0..2 {
            let again = desk.import_user(&of(line.clone())).await.unwrap();
            assert_eq!(again, Ok(Imported::AlreadyThere(id.clone())));
        }
    }
    // Twice at once.
    let line = of(json!({ "email": "eve@example.com" }));
    let (one, other) = tokio::join!(desk.import_user(&line), desk.import_user(&line));
    let (one, other) = (one.unwrap().unwrap(), other.unwrap().unwrap());
    assert_ne!(one, other);
    assert_eq!(store.users_after(None, 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_user_without_an_id_is_recognized_after_the_secrets_were_changed() {
    let (old, new) = (root("k1"), root("k2"));
    let store = Arc::new(MemoryStore::new());
    let line = json!({ "email": "bob@example.com" });
    let id = created(&desk(&store, &[&old]).await, line.clone()).await;
    let later = desk(&store, &[&new, &old]).await;
    let again = later.import_user(&of(line)).await.unwrap();
    assert_eq!(again, Ok(Imported::AlreadyThere(id)));
}

#[tokio::test]
async fn somebody_elses_address_id_or_second_factor_is_no_earlier_import() {
    let (store, desk) = alone().await;
    created(&desk, ann()).await;
    // Whoever signed up with the address before the import is not the user that is imported.
    let line = json!({ "email": "ann@example.com" });
    assert_eq!(problems(&desk, line).await, [ImportProblem::Taken("email")]);
    let line = json!({ "id": "ann-1", "email": "other@example.com" });
    assert_eq!(problems(&desk, line).await, [ImportProblem::IdTaken]);
    let line = json!({
        "id": "new", "secondFactors": [{ "factor": "otp-phone", "contact": "+41791234560", "id": "ann-second" }]
    });
    assert_eq!(problems(&desk, line).await, [ImportProblem::FactorIdTaken]);
    // Of another tenant she is another.
    let mut elsewhere = ann();
    elsewhere["tenant"] = "acme".into();
    created(&desk, elsewhere).await;
    // A user who was deleted does not come back.
    let public = TenantId::public();
    crate::storage::Flows::delete_user(&*store, &public, &"ann-1".into())
        .await
        .unwrap();
    assert_eq!(problems(&desk, ann()).await, [ImportProblem::Deleted]);
}

#[tokio::test]
async fn all_that_is_wrong_with_a_user_is_told_and_nothing_is_written() {
    let (store, desk) = alone().await;
    created(&desk, json!({ "email": "taken@example.com" })).await;
    let wrong = json!({
        "tenant": "a b", "id": "", "email": "taken@example.com", "emailFactor": "otp-phone", "phone": "12",
        "passwordHash": "$2b$31$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", "joinedAt": 99_999_999_999_999_i64,
        "secondFactors": [
            { "factor": "totp", "contact": "x" }, { "factor": "otp-email", "contact": "x" },
            { "factor": "otp-phone", "contact": "+41791234567" }, { "factor": "otp-phone", "contact": "+41791234568" }
        ],
        "thirdParty": [{ "id": "", "issuer": "x", "subject": "y" }],
        "metadata": { "passwordlessUserId": "x" }, "requiredFactors": ["a b"]
    });
    let told = problems(&desk, wrong).await;
    for problem in [
        ImportProblem::UnknownTenant,
        ImportProblem::Malformed("id"),
        ImportProblem::Malformed("emailFactor"),
        ImportProblem::Malformed("phone"),
        ImportProblem::Hash(HashFault::TooCostly),
        ImportProblem::Malformed("joinedAt"),
        ImportProblem::Malformed("factor of secondFactors"),
        ImportProblem::Malformed("contact of secondFactors"),
        ImportProblem::Twice("secondFactors"),
        ImportProblem::Malformed("thirdParty"),
        ImportProblem::DerivedMetadata("passwordlessUserId"),
        ImportProblem::Malformed("requiredFactors"),
    ] {
        assert!(told.contains(&problem), "{problem} of {told:?}");
    }
    for (line, problem) in [
        (json!({}), ImportProblem::NothingSignsIn),
        (
            json!({ "phone": "+41791234567", "passwordHash": HASH }),
            ImportProblem::HashWithoutEmail,
        ),
        (
            json!({ "email": "x@example.com", "emailFactor": "otp-email", "passwordHash": HASH }),
            ImportProblem::HashWithoutEmail,
        ),
        (
            json!({ "phone": "+41791234567", "secondFactors": [{ "factor": "otp-phone", "contact": "+41791234567" }] }),
            ImportProblem::SecondFactorSignsIn,
        ),
    ] {
        assert_eq!(problems(&desk, line).await, [problem]);
    }
    assert_eq!(store.users_after(None, 10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_walk_goes_through_all_users_but_those_that_were_deleted() {
    let (store, desk) = alone().await;
    for n in 0..7 {
        created(&desk, json!({ "id": format!("u{n}") })).await;
    }
    let (public, gone) = (TenantId::public(), UserId::from("u3"));
    crate::storage::Flows::delete_user(&*store, &public, &gone)
        .await
        .unwrap();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let (users, next) = desk.users_after(after.as_ref(), 2).await.unwrap();
        seen.extend(users.into_iter().map(|user| user.id.as_str().to_owned()));
        match next {
            Some(place) => after = Some(place),
            None => break,
        }
    }
    assert_eq!(seen, ["u0", "u1", "u2", "u4", "u5", "u6"]);
}

#[tokio::test]
async fn a_sec_05_what_an_older_secret_sealed_is_sealed_anew_and_only_then_may_it_be_dropped() {
    let (old, new) = (root("k1"), root("k2"));
    let store = Arc::new(MemoryStore::new());
    let before = desk(&store, &[&old]).await;
    created(&before, ann()).await;
    let both = desk(&store, &[&new, &old]).await;
    let needed = SealedBy {
        credentials: 1,
        ..SealedBy::default()
    };
    assert_eq!(
        both.may_drop(&"k1".into()).await.unwrap(),
        Err(StillNeeded::Seals(needed))
    );
    assert_eq!(
        both.may_drop(&"k2".into()).await.unwrap(),
        Err(StillNeeded::Newest)
    );
    assert_eq!(
        both.may_drop(&"k3".into()).await.unwrap(),
        Err(StillNeeded::Unknown)
    );
    let done = both.reseal().await.unwrap();
    assert_eq!((done.credentials, done.outrun), (1, 0));
    assert_eq!(both.may_drop(&"k1".into()).await.unwrap(), Ok(()));
    // A second time there is nothing to do, and the new secret alone opens everything.
    assert_eq!(both.reseal().await.unwrap(), Resealed::default());
    let kept = &store
        .credentials(&TenantId::public(), &"ann-1".into(), CredentialKind::Password)
        .await
        .unwrap()[0];
    let alone = desk(&store, &[&new]).await;
    let place = hash_place(&kept.tenant, &kept.user, &kept.id);
    let opened = alone.keyring.open(&place, kept.sealed.as_ref().unwrap()).unwrap();
    assert_eq!(opened.as_slice(), HASH.as_bytes());
    // Without the secret that sealed it nothing is touched.
    let (foreign, third) = (desk(&store, &[&root("k3"), &new]).await, root("k4"));
    foreign.reseal().await.unwrap();
    let blind = desk(&store, &[&third, &new]).await;
    assert!(matches!(blind.reseal().await, Err(Fault::Key(_))));
}

#[tokio::test]
async fn a_sec_16_with_other_secrets_than_the_sites_there_is_no_desk() {
    let (store, _) = alone().await;
    let list = SecretList::new(vec![root("k9")]);
    let refused = Desk::open(store, &list).await.unwrap_err();
    assert!(
        matches!(refused, DeskError::Mismatch(SecretMismatch::Foreign)),
        "{refused}"
    );
}
