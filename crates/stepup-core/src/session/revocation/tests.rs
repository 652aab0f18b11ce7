use std::sync::Arc;
use std::thread;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const LEEWAY: Duration = Duration::from_secs(10);
/// An access token's life and twice the leeway.
const LIFE: Duration = Duration::from_secs(15 * 60 + 20);

fn start() -> Timestamp {
    Timestamp::from_ms(1_764_201_600_700)
}

fn token(user: &str, handle: &str, issued_at: Timestamp) -> AccessClaims {
    AccessClaims::for_tests("public", user, handle, issued_at)
}

fn memory(capacity: usize) -> Revocations {
    Revocations::new(capacity, &SessionConfig::default())
}

fn public() -> TenantId {
    TenantId::public()
}

#[test]
fn a_revoked_session_is_refused_at_the_very_next_look_and_no_other_is() {
    // Threat A-SES-18: sign-out, theft, an administrator.
    let memory = memory(8);
    let (ann, bob) = (token("ann", "h1", start()), token("bob", "h2", start()));
    assert_eq!(memory.standing(&ann, start()), Known::Live);
    memory.revoke_handle(ann.handle(), start());
    assert_eq!(memory.standing(&ann, start()), Known::Revoked);
    let reissued = token("ann", "h1", start().plus(SECOND));
    assert_eq!(memory.standing(&reissued, start().plus(SECOND)), Known::Revoked);
    assert_eq!(memory.standing(&bob, start()), Known::Live);
}

#[test]
fn a_revoked_user_loses_all_tokens_but_those_of_the_session_that_did_it() {
    // Threat A-SES-18: change of password, disable, delete, removal of a factor.
    let memory = memory(8);
    let old = start().minus(60 * SECOND);
    memory.revoke_user(&public(), &"ann".into(), Some(&"kept".into()), start());
    assert_eq!(memory.standing(&token("ann", "h1", old), start()), Known::Revoked);
    assert_eq!(memory.standing(&token("ann", "kept", old), start()), Known::Live);
    assert_eq!(memory.standing(&token("bob", "h1", old), start()), Known::Live);
    let elsewhere = AccessClaims::for_tests("other", "ann", "h1", old);
    assert_eq!(memory.standing(&elsewhere, start()), Known::Live);
    let later = start().plus(LEEWAY).plus(SECOND);
    assert_eq!(memory.standing(&token("ann", "h3", later), later), Known::Live);
}

#[test]
fn near_the_moment_of_a_revocation_the_store_is_asked() {
    // A token carries whole seconds: one of the same second may be from before, or from the sign-in after it.
    let memory = memory(8);
    memory.revoke_user(&public(), &"ann".into(), None, start());
    let at = |secs: i64| Timestamp::from_ms((start().as_secs() + secs) * 1000);
    for secs in -10..=10 {
        let claims = token("ann", "h", at(secs));
        assert_eq!(memory.standing(&claims, start()), Known::AskStore, "{secs}");
    }
    assert_eq!(
        memory.standing(&token("ann", "h", at(-11)), start()),
        Known::Revoked
    );
    assert_eq!(memory.standing(&token("ann", "h", at(11)), start()), Known::Live);
}

#[test]
fn a_second_revocation_ends_what_the_first_spared() {
    let memory = memory(8);
    let old = start().minus(60 * SECOND);
    memory.revoke_user(&public(), &"ann".into(), Some(&"kept".into()), start());
    memory.revoke_user(&public(), &"ann".into(), None, start().minus(30 * SECOND));
    assert_eq!(
        memory.standing(&token("ann", "kept", old), start()),
        Known::Revoked
    );
    let between = start().minus(15 * SECOND);
    assert_eq!(
        memory.standing(&token("ann", "h", between), start()),
        Known::Revoked,
        "a clock that went back shortens nothing"
    );
}

#[test]
fn a_session_spared_by_the_revocation_of_its_user_can_still_be_revoked() {
    let memory = memory(8);
    memory.revoke_user(&public(), &"ann".into(), Some(&"kept".into()), start());
    memory.revoke_handle(&"kept".into(), start());
    assert_eq!(
        memory.standing(&token("ann", "kept", start()), start()),
        Known::Revoked
    );
}

#[test]
fn while_it_is_unsaid_whether_a_user_was_revoked_the_store_is_asked() {
    // Threat A-DB-02: the acknowledgement was lost.
    let memory = memory(8);
    let old = start().minus(60 * SECOND);
    let standing = |issued_at: Timestamp| memory.standing(&token("ann", "h1", issued_at), start());
    assert_eq!(standing(old), Known::Live);
    memory.doubt_user(&public(), &"ann".into(), start());
    memory.doubt_user(&public(), &"ann".into(), start().minus(SECOND));
    assert_eq!(standing(old), Known::AskStore);
    let bob = token("bob", "h2", old);
    assert_eq!(memory.standing(&bob, start()), Known::Live);
    let later = start().plus(LEEWAY).plus(SECOND);
    assert_eq!(standing(later), Known::Live);
    // Of two doubts one was settled.
    memory.settle_user(&public(), &"ann".into());
    assert_eq!(standing(old), Known::AskStore);
    memory.settle_user(&public(), &"ann".into());
    memory.settle_user(&public(), &"ann".into());
    assert_eq!(standing(old), Known::Live);
}

#[test]
fn a_doubt_spares_nobody_and_weakens_no_revocation() {
    let memory = memory(8);
    let old = start().minus(60 * SECOND);
    memory.revoke_user(&public(), &"ann".into(), Some(&"kept".into()), start());
    memory.doubt_user(&public(), &"ann".into(), start());
    assert_eq!(memory.standing(&token("ann", "h1", old), start()), Known::Revoked);
    assert_eq!(
        memory.standing(&token("ann", "kept", old), start()),
        Known::AskStore
    );
    memory.settle_user(&public(), &"ann".into());
    assert_eq!(memory.standing(&token("ann", "kept", old), start()), Known::Live);
    assert_eq!(memory.standing(&token("ann", "h1", old), start()), Known::Revoked);
}

#[test]
fn a_doubt_that_does_not_fit_asks_the_store_about_everybody() {
    let memory = memory(1);
    memory.revoke_handle(&"h9".into(), start());
    memory.doubt_user(&public(), &"ann".into(), start());
    assert_eq!(
        memory.standing(&token("bob", "h2", start()), start()),
        Known::AskStore
    );
}

#[test]
fn a_full_memory_forgets_nothing_and_asks_the_store_about_everybody() {
    // Threat A-SES-18, the overflow.
    let memory = memory(2);
    memory.revoke_handle(&"h1".into(), start());
    memory.revoke_user(&public(), &"ann".into(), None, start());
    assert_eq!(
        memory.standing(&token("bob", "h9", start()), start()),
        Known::Live
    );
    memory.revoke_handle(&"h2".into(), start().plus(SECOND));
    memory.revoke_user(&public(), &"carl".into(), None, start().plus(2 * SECOND));
    let now = start().plus(3 * SECOND);
    assert_eq!(memory.standing(&token("x", "h1", start()), now), Known::Revoked);
    for other in [
        token("x", "h2", start()),
        token("carl", "h3", start()),
        token("bob", "h9", start()),
    ] {
        assert_eq!(memory.standing(&other, now), Known::AskStore);
    }
    // Until the last one that did not fit has outlived every token.
    let last = start().plus(2 * SECOND).plus(LIFE);
    let bob = token("bob", "h9", last);
    assert_eq!(memory.standing(&bob, last.minus(SECOND)), Known::AskStore);
    assert_eq!(memory.standing(&bob, last), Known::Live);
}

#[test]
fn a_full_memory_still_takes_what_it_knows_already() {
    let memory = memory(2);
    memory.revoke_handle(&"h1".into(), start());
    memory.revoke_user(&public(), &"ann".into(), Some(&"kept".into()), start());
    memory.revoke_handle(&"h1".into(), start().plus(SECOND));
    memory.revoke_user(&public(), &"ann".into(), None, start().plus(SECOND));
    let old = start().minus(60 * SECOND);
    assert_eq!(
        memory.standing(&token("ann", "kept", old), start()),
        Known::Revoked
    );
    assert_eq!(
        memory.standing(&token("bob", "h9", start()), start()),
        Known::Live
    );
}

#[test]
fn expired_entries_make_room_and_the_memory_never_grows() {
    let memory = memory(100);
    for round in 0..50_u32 {
        let now = start().plus(LIFE * round);
        for index in 0..100 {
            memory.revoke_handle(&SessionHandle::new(format!("{round}-{index}")), now);
        }
        let entries = memory.entries.read().unwrap();
        assert_eq!(entries.len(), 100);
        assert_eq!(entries.full_until, None);
    }
}

#[test]
fn a_user_in_many_tenants_counts_as_often() {
    let memory = memory(10);
    for tenant in 0..20 {
        memory.revoke_user(&TenantId::new(format!("t{tenant}")), &"ann".into(), None, start());
    }
    let entries = memory.entries.read().unwrap();
    assert_eq!(entries.len(), 10);
    assert!(entries.full_until.is_some());
}

#[test]
fn a_clock_that_leaps_ahead_and_back_revives_nothing() {
    // Threat A-CLK-01.
    let memory = memory(8);
    memory.revoke_handle(&"h1".into(), start());
    memory.revoke_handle(&"h2".into(), start().plus(1000 * LIFE));
    assert_eq!(
        memory.standing(&token("ann", "h1", start()), start()),
        Known::Revoked
    );
    for extreme in [i64::MIN, 0, i64::MAX] {
        memory.revoke_user(&public(), &"ann".into(), None, Timestamp::from_ms(extreme));
        let _ = memory.standing(&token("ann", "h1", Timestamp::from_ms(extreme)), start());
    }
}

#[test]
fn a_user_revoked_while_the_clock_stood_ahead_is_not_locked_out_when_it_is_set_right() {
    let memory = memory(8);
    memory.revoke_user(&public(), &"ann".into(), None, start().plus(1000 * LIFE));
    assert_eq!(
        memory.standing(&token("ann", "h1", start()), start()),
        Known::AskStore
    );
}

#[test]
fn every_change_shows_in_the_version() {
    let memory = memory(1);
    let mut seen = vec![memory.version()];
    memory.revoke_handle(&"h1".into(), start());
    seen.push(memory.version());
    memory.revoke_handle(&"h2".into(), start());
    seen.push(memory.version());
    memory.revoke_user(&public(), &"ann".into(), None, start());
    seen.push(memory.version());
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

#[test]
fn a_token_that_was_looked_for_is_looked_for_again_after_any_revocation() {
    let memory = memory(8);
    let (ann, bob) = (token("ann", "h1", start()), token("bob", "h2", start()));
    memory.revoke_handle(&"h3".into(), start());
    for claims in [&ann, &bob] {
        assert!(!claims.is_cleared_by(memory.version()));
        assert_eq!(memory.standing(claims, start()), Known::Live);
        assert!(claims.is_cleared_by(memory.version()));
    }
    memory.revoke_handle(ann.handle(), start());
    assert_eq!(memory.standing(&ann, start()), Known::Revoked);
    assert_eq!(memory.standing(&ann, start()), Known::Revoked);
    assert_eq!(memory.standing(&bob, start()), Known::Live);
    memory.revoke_user(&public(), &"bob".into(), None, start());
    assert_eq!(memory.standing(&bob, start()), Known::AskStore);
    assert!(!bob.is_cleared_by(memory.version()));
}

#[test]
fn once_the_memory_was_full_no_token_is_cleared_ahead_of_the_clock() {
    let memory = memory(1);
    memory.revoke_handle(&"h1".into(), start());
    memory.revoke_handle(&"h2".into(), start());
    let claims = token("ann", "h2", start());
    let ahead = start().plus(1000 * LIFE);
    assert_eq!(memory.standing(&claims, ahead), Known::Live);
    assert_eq!(memory.standing(&claims, start()), Known::AskStore);
}

#[test]
fn what_one_memory_has_cleared_is_not_clear_to_another() {
    let (ours, theirs) = (memory(8), memory(8));
    let claims = token("ann", "h1", start());
    ours.revoke_handle(&"h2".into(), start());
    theirs.revoke_handle(claims.handle(), start());
    assert_eq!(ours.standing(&claims, start()), Known::Live);
    assert_eq!(theirs.standing(&claims, start()), Known::Revoked);
}

#[test]
fn a_revocation_is_seen_by_every_thread_that_looks_after_it() {
    let memory = Arc::new(memory(10_000));
    thread::scope(|scope| {
        for worker in 0..4 {
            let memory = Arc::clone(&memory);
            scope.spawn(move || {
                for index in 0..1_000 {
                    let claims = token("ann", &format!("{worker}-{index}"), start());
                    assert_eq!(memory.standing(&claims, start()), Known::Live);
                    memory.revoke_handle(claims.handle(), start());
                    assert_eq!(memory.standing(&claims, start()), Known::Revoked);
                }
            });
        }
    });
}
