use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::entropy::OsEntropy;
use crate::evidence::Completed;
use crate::id::{MethodId, TenantId, UserId};
use crate::keyring::{Root, SecretList};
use crate::record::JsonMap;
use crate::record::session::{Chain, Class, Rise, Rotation};
use crate::record::user::Summary;

const NOW: Timestamp = Timestamp::from_ms(1_764_000_000_000);
const SALT: [u8; 16] = [3; 16];

fn keyring() -> Keyring {
    Keyring::new(&SecretList::new(vec![
        Root::random(KeyId::from("k1"), &OsEntropy).unwrap(),
    ]))
    .unwrap()
}

fn origin(network: &str, agent: &str) -> Origin {
    Origin {
        network: network.to_owned(),
        agent: agent.to_owned(),
    }
}

fn home() -> Origin {
    origin("192.0.2.1", "browser")
}

fn token(generation: i64, secret: [u8; 32]) -> RefreshToken {
    RefreshToken::new(SessionHandle::from("h"), generation, Secret::new(secret))
}

/// A session at generation 2, rotated once, just now, from a token of secret `[1; 32]`; and its current token.
fn rotated(keyring: &Keyring) -> (Session, User, RefreshToken) {
    let secret = successor(keyring, &KeyId::from("k1"), &SessionHandle::from("h"), 2, &SALT).unwrap();
    let current = RefreshToken::new(SessionHandle::from("h"), 2, secret);
    let session = Session {
        handle: SessionHandle::from("h"),
        tenant: TenantId::public(),
        user: UserId::from("u"),
        method: MethodId::from("u"),
        epoch: 1,
        factors: Completed::new(),
        payload: JsonMap::new(),
        class: Class::Full,
        created_at: NOW.minus(Duration::from_secs(100)),
        idle_expires_at: NOW.plus(Duration::from_secs(1_000)),
        ends_at: NOW.plus(Duration::from_secs(2_000)),
        chain: Chain {
            generation: 2,
            current: current.digest(),
            previous: Some(token(1, [1; 32]).digest()),
            rotated: Some(Rotation {
                at: NOW,
                salt: SALT,
                key: KeyId::from("k1"),
                origin: home(),
            }),
            rise: None,
            tally_since: NOW,
            tally: 1,
        },
        origin: home(),
    };
    let user = User {
        tenant: TenantId::public(),
        id: UserId::from("u"),
        state: UserState::Live,
        epoch: 1,
        revision: 1,
        methods: Vec::new(),
        summary: Summary::default(),
        metadata: JsonMap::new(),
        created_at: NOW,
    };
    (session, user, current)
}

fn verdict(
    keyring: &Keyring,
    row: Option<(&Session, &User)>,
    token: &RefreshToken,
    from: &Origin,
    later: u64,
) -> &'static str {
    let now = NOW.plus(Duration::from_millis(later));
    match judge(keyring, &SessionConfig::default(), row, token, from, now) {
        Verdict::Ended => "ended",
        Verdict::BeforeRise => "before the rise",
        Verdict::Repeat => "repeat",
        Verdict::Grace(_) => "grace",
        Verdict::Theft => "theft",
    }
}

#[test]
fn a_token_survives_its_text_form() {
    let keyring = keyring();
    let token = token(7, [9; 32]);
    let read = RefreshToken::decode(&keyring, token.encode(&keyring).expose()).unwrap();
    assert_eq!(
        (read.handle.as_str(), read.generation, read.digest()),
        ("h", 7, token.digest())
    );
}

#[test]
fn a_ses_17_no_changed_bit_and_no_foreign_tag_makes_a_token() {
    let keyring = keyring();
    let text = token(1, [9; 32]).encode(&keyring);
    let bytes = URL_SAFE_NO_PAD.decode(text.expose()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut changed = bytes.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(
            RefreshToken::decode(&keyring, &URL_SAFE_NO_PAD.encode(changed)).is_none(),
            "bit {bit}"
        );
    }
    for cut in 0..bytes.len() {
        assert!(
            RefreshToken::decode(&keyring, &URL_SAFE_NO_PAD.encode(&bytes[..cut])).is_none(),
            "cut at {cut}"
        );
    }
    // Another site's keyring tags otherwise.
    assert!(RefreshToken::decode(&self::keyring(), text.expose()).is_none());
    for odd in ["", "=", "a b", &"A".repeat(5_000), &format!("{}=", text.expose())] {
        assert!(RefreshToken::decode(&keyring, odd).is_none());
    }
}

#[test]
fn a_session_that_may_not_live_ends_whatever_the_token() {
    let keyring = keyring();
    let (session, user, current) = rotated(&keyring);
    let ended = |session: &Session, user: &User, later| {
        verdict(&keyring, Some((session, user)), &current, &home(), later) == "ended"
    };
    assert_eq!(verdict(&keyring, None, &current, &home(), 0), "ended");
    assert!(ended(&session, &user, 1_000_000));
    assert!(ended(
        &session,
        &User {
            epoch: 2,
            ..user.clone()
        },
        0
    ));
    for state in [UserState::Disabled, UserState::Deleted] {
        assert!(ended(
            &session,
            &User {
                state,
                ..user.clone()
            },
            0
        ));
    }
    assert!(!ended(&session, &user, 0));
}

#[test]
fn the_current_token_is_repeated_when_only_the_tally_stopped_it() {
    let keyring = keyring();
    let (session, user, current) = rotated(&keyring);
    assert_eq!(
        verdict(&keyring, Some((&session, &user)), &current, &home(), 0),
        "repeat"
    );
    let guessed = token(2, [8; 32]);
    assert_eq!(
        verdict(&keyring, Some((&session, &user)), &guessed, &home(), 0),
        "theft"
    );
}

#[test]
fn the_predecessor_gets_the_same_successor_for_thirty_seconds() {
    let keyring = keyring();
    let (session, user, current) = rotated(&keyring);
    let before = token(1, [1; 32]);
    let Verdict::Grace(next) = judge(
        &keyring,
        &SessionConfig::default(),
        Some((&session, &user)),
        &before,
        &home(),
        NOW,
    ) else {
        panic!("no grace")
    };
    assert_eq!(next.encode(&keyring).expose(), current.encode(&keyring).expose());
    assert_eq!(
        verdict(&keyring, Some((&session, &user)), &before, &home(), 30_000),
        "grace"
    );
    assert_eq!(
        verdict(&keyring, Some((&session, &user)), &before, &home(), 30_001),
        "theft"
    );
}

#[test]
fn a_clock_that_jumped_back_brings_no_grace_back() {
    let keyring = keyring();
    let (session, user, _) = rotated(&keyring);
    let before = token(1, [1; 32]);
    let told = |earlier: u64| {
        let now = NOW.minus(Duration::from_millis(earlier));
        judge(
            &keyring,
            &SessionConfig::default(),
            Some((&session, &user)),
            &before,
            &home(),
            now,
        )
    };
    assert!(matches!(told(10_000), Verdict::Grace(_)));
    assert!(matches!(told(10_001), Verdict::Theft));
}

#[test]
fn the_grace_needs_the_network_or_the_agent_of_the_rotation() {
    let keyring = keyring();
    let (session, user, _) = rotated(&keyring);
    let before = token(1, [1; 32]);
    for (network, agent, told) in [
        ("198.51.100.1", "browser", "grace"),
        ("192.0.2.1", "another", "grace"),
        ("198.51.100.1", "another", "theft"),
    ] {
        let from = origin(network, agent);
        assert_eq!(
            verdict(&keyring, Some((&session, &user)), &before, &from, 1),
            told,
            "{network} {agent}"
        );
    }
}

#[test]
fn a_ses_04_an_older_generation_is_theft_at_once() {
    let keyring = keyring();
    let (mut session, user, _) = rotated(&keyring);
    session.chain.generation = 3;
    let older = token(1, [1; 32]);
    assert_eq!(
        verdict(&keyring, Some((&session, &user)), &older, &home(), 0),
        "theft"
    );
    // A successor that does not hash to the current token is no successor.
    let (mut session, user, _) = rotated(&keyring);
    session.chain.current = Mac::new([5; 32]);
    assert_eq!(
        verdict(&keyring, Some((&session, &user)), &older, &home(), 0),
        "theft"
    );
}

#[test]
fn a_ses_16_a_token_from_before_a_rise_is_refused_quietly_and_is_theft_after_a_minute() {
    let keyring = keyring();
    let (mut session, user, _) = rotated(&keyring);
    session.chain.rise = Some(Rise {
        generation: 2,
        at: NOW,
    });
    session.chain.rotated = None;
    session.chain.previous = None;
    let before = token(1, [1; 32]);
    assert_eq!(
        verdict(&keyring, Some((&session, &user)), &before, &home(), 59_999),
        "before the rise"
    );
    assert_eq!(
        verdict(&keyring, Some((&session, &user)), &before, &home(), 60_000),
        "theft"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_text_is_no_refresh_token(text in prop_oneof!["\\PC{0,200}", "[A-Za-z0-9_-]{0,300}"]) {
        prop_assert!(RefreshToken::decode(&keyring(), &text).is_none());
    }

    #[test]
    fn a_refresh_token_is_written_in_one_way_and_any_other_is_refused(
        handle in "[ -~]{0,60}",
        generation in any::<i64>(),
        secret in any::<[u8; 32]>(),
        at in any::<prop::sample::Index>(),
        other in "[A-Za-z0-9_=+/. -]",
    ) {
        let keyring = keyring();
        let token = RefreshToken::new(SessionHandle::from(handle.as_str()), generation, Secret::new(secret));
        let text = token.encode(&keyring).expose().clone();
        let read = RefreshToken::decode(&keyring, &text).unwrap();
        prop_assert_eq!((read.handle.as_str(), read.generation), (handle.as_str(), generation));
        prop_assert_eq!(read.digest(), token.digest());
        let again = read.encode(&keyring);
        prop_assert_eq!(again.expose(), &text);

        let mut changed = text.clone();
        let at = at.index(text.len());
        changed.replace_range(at..=at, &other);
        prop_assert_eq!(RefreshToken::decode(&keyring, &changed).is_some(), changed == text);
        for cut in [&text[..at], &text[at + 1..]] {
            prop_assert!(RefreshToken::decode(&keyring, cut).is_none());
        }
        for longer in [format!("{text}{other}"), format!("{other}{text}"), format!("{text}=")] {
            prop_assert!(RefreshToken::decode(&keyring, &longer).is_none(), "{}", longer);
        }
    }
}
