//! Counters: who may try again, and when.

use std::sync::Arc;
use std::time::Duration;

use stepup_core::error::StoreError;
use stepup_core::record::counter::{Ask, Charge, CounterKey, ENDLESS};
use stepup_core::time::Timestamp;

use super::fixture::*;

fn key(name: &str) -> CounterKey {
    CounterKey::new(name)
}

fn window(name: &str, limit: u32) -> Ask {
    Ask::window(key(name), limit, MINUTE)
}

fn curve(name: &str, free: u32, limit: u32) -> Ask {
    Ask::curve(
        key(name),
        free,
        Duration::from_secs(30),
        Duration::from_secs(3600),
        limit,
    )
}

fn granted(counts: &[u32]) -> Charge {
    Charge::Granted(counts.to_vec())
}

fn refused(index: usize, secs: u64) -> Charge {
    Charge::Refused {
        index,
        retry_after: Duration::from_secs(secs),
    }
}

async fn charge(store: &Store, asks: &[Ask], now: Timestamp) -> Charge {
    store.charge(asks, now).await.unwrap()
}

/// Ten are granted, and the eleventh is told how long its window lasts.
pub async fn a_window_grants_no_more_than_its_limit(store: Store) {
    let ask = [window("k", 10)];
    for count in 1..=10 {
        assert_eq!(charge(&store, &ask, NOW).await, granted(&[count]));
    }
    assert_eq!(
        charge(&store, &ask, NOW.plus(Duration::from_secs(20))).await,
        refused(0, 40)
    );
    assert_eq!(
        charge(&store, &[window("K", 10)], NOW).await,
        granted(&[1]),
        "another key"
    );
    let none = [window("none", 0)];
    assert_eq!(charge(&store, &none, NOW).await, refused(0, 60));
    let mut many = window("many", 10);
    many.cost = 7;
    assert_eq!(charge(&store, &[many.clone()], NOW).await, granted(&[7]));
    assert_eq!(charge(&store, &[many], NOW).await, refused(0, 60));
    assert_eq!(charge(&store, &[], NOW).await, granted(&[]));
}

/// Threat A-RL-04: 500 at once, ten granted.
pub async fn racing_charges_never_pass_the_limit(store: Store) {
    let told = race(500, |_| {
        let store = Arc::clone(&store);
        async move { store.charge(&[window("k", 10)], NOW).await }
    })
    .await;
    let mut counts: Vec<_> = told
        .iter()
        .filter_map(|one| match one {
            Ok(Charge::Granted(counts)) => Some(counts[0]),
            Ok(Charge::Refused { .. }) | Err(StoreError::Unavailable(_)) => None,
            other => panic!("{other:?}"),
        })
        .collect();
    counts.sort_unstable();
    assert_eq!(counts, (1..=10).collect::<Vec<_>>());
    assert!(matches!(
        charge(&store, &[window("k", 10)], NOW).await,
        Charge::Refused { .. }
    ));
}

/// From its first count to the millisecond.
pub async fn a_window_starts_anew_when_it_is_over(store: Store) {
    let ask = [window("k", 1)];
    assert_eq!(charge(&store, &ask, NOW).await, granted(&[1]));
    let end = NOW.plus(MINUTE);
    assert_eq!(
        charge(&store, &ask, end.minus(TICK)).await,
        Charge::Refused {
            index: 0,
            retry_after: TICK
        }
    );
    assert_eq!(charge(&store, &ask, end).await, granted(&[1]));
    assert_eq!(charge(&store, &ask, end).await, refused(0, 60));
}

/// Threats §3.3: free, then 30 s doubling to an hour, then shut.
pub async fn a_curve_waits_twice_as_long_each_time(store: Store) {
    let ask = [curve("k", 2, 11)];
    let mut now = NOW;
    for (count, wait) in [0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
        .into_iter()
        .enumerate()
    {
        let count = u32::try_from(count).unwrap() + 1;
        assert_eq!(charge(&store, &ask, now).await, granted(&[count]));
        if wait > 0 {
            assert_eq!(charge(&store, &ask, now).await, refused(0, wait));
            now = now.plus(Duration::from_secs(wait));
            let early = charge(&store, &ask, now.minus(TICK)).await;
            assert_eq!(
                early,
                Charge::Refused {
                    index: 0,
                    retry_after: TICK
                }
            );
        }
    }
    assert_eq!(charge(&store, &ask, now).await, granted(&[11]));
    for days in [0, 1, 100] {
        let told = charge(&store, &ask, now.plus(DAY * days)).await;
        assert_eq!(
            told,
            Charge::Refused {
                index: 0,
                retry_after: ENDLESS
            }
        );
    }
}

/// A count that could be worn down by guessing slowly would be no limit (R-OTP-6).
pub async fn a_full_curve_opens_after_half_a_year_of_silence(store: Store) {
    let ask = [curve("k", 9, 2)];
    assert_eq!(charge(&store, &ask, NOW).await, granted(&[1]));
    let later = NOW.plus(ENDLESS).minus(TICK);
    assert_eq!(charge(&store, &ask, later).await, granted(&[2]));
    let shut = Charge::Refused {
        index: 0,
        retry_after: ENDLESS,
    };
    assert_eq!(
        charge(&store, &ask, NOW.plus(ENDLESS)).await,
        shut,
        "not half a year from the first"
    );
    assert_eq!(charge(&store, &ask, later.plus(ENDLESS).minus(TICK)).await, shut);
    assert_eq!(charge(&store, &ask, later.plus(ENDLESS)).await, granted(&[1]));
}

/// Else an address that is refused could use up the budget of the whole site.
pub async fn a_refused_charge_counts_nothing(store: Store) {
    let (ip, site) = (window("ip", 1), window("site", 100));
    assert_eq!(
        charge(&store, &[ip.clone(), site.clone()], NOW).await,
        granted(&[1, 1])
    );
    for asks in [[ip.clone(), site.clone()], [site.clone(), ip.clone()]] {
        for _ in 0..20 {
            assert!(matches!(charge(&store, &asks, NOW).await, Charge::Refused { .. }));
        }
    }
    assert_eq!(
        charge(&store, &[site.clone(), window("new", 9)], NOW).await,
        granted(&[2, 1])
    );
    assert!(matches!(
        charge(&store, &[window("new2", 9), ip], NOW).await,
        Charge::Refused { .. }
    ));
    assert_eq!(
        charge(&store, &[window("new2", 9)], NOW).await,
        granted(&[1]),
        "no row was begun"
    );
}

/// In the order asked, whatever the store's own order is.
pub async fn the_first_counter_that_refuses_is_named(store: Store) {
    for name in ["b", "a"] {
        charge(&store, &[window(name, 1)], NOW).await;
    }
    let (a, b, free) = (window("a", 1), window("b", 1), window("free", 5));
    assert_eq!(
        charge(&store, &[free.clone(), b.clone(), a.clone()], NOW).await,
        refused(1, 60)
    );
    assert_eq!(charge(&store, &[a, free, b], NOW).await, refused(0, 60));
    // Delay and window together: the longer wait.
    let mut both = curve("both", 1, 1);
    both.window = Duration::from_secs(10);
    assert_eq!(charge(&store, &[both.clone()], NOW).await, granted(&[1]));
    assert_eq!(charge(&store, &[both], NOW).await, refused(0, 30));
}

/// Looking is free, and refuses exactly when a count would be refused.
pub async fn a_look_counts_nothing(store: Store) {
    let ask = curve("k", 2, 5);
    assert_eq!(charge(&store, &[ask.clone().look()], NOW).await, granted(&[0]));
    assert_eq!(
        charge(&store, std::slice::from_ref(&ask), NOW).await,
        granted(&[1])
    );
    for _ in 0..9 {
        assert_eq!(charge(&store, &[ask.clone().look()], NOW).await, granted(&[1]));
    }
    assert_eq!(
        charge(&store, std::slice::from_ref(&ask), NOW).await,
        granted(&[2])
    );
    assert_eq!(charge(&store, &[ask.clone().look()], NOW).await, refused(0, 30));
    assert_eq!(charge(&store, &[window("w", 1)], NOW).await, granted(&[1]));
    assert_eq!(
        charge(&store, &[window("w", 1).look()], NOW).await,
        refused(0, 60),
        "one more would be"
    );
    assert_eq!(
        charge(&store, &[window("w", 1).look()], NOW.plus(MINUTE)).await,
        granted(&[0])
    );
}

/// Counts come back in the order asked.
pub async fn looks_and_counts_mix_in_one_charge(store: Store) {
    charge(&store, &[window("seen", 9)], NOW).await;
    let asks = [
        window("seen", 9).look(),
        window("new", 9),
        window("never", 9).look(),
        window("seen2", 9),
    ];
    assert_eq!(charge(&store, &asks, NOW).await, granted(&[1, 1, 0, 1]));
    assert_eq!(charge(&store, &asks, NOW).await, granted(&[1, 2, 0, 2]));
    let full = [window("new", 3).look(), window("other", 9), window("new2", 0)];
    assert_eq!(charge(&store, &full, NOW).await, refused(2, 60));
    assert_eq!(charge(&store, &[window("other", 9)], NOW).await, granted(&[1]));
    charge(&store, &[curve("shut", 1, 9)], NOW).await;
    let asks = [window("other", 9), curve("shut", 1, 9).look()];
    assert_eq!(charge(&store, &asks, NOW).await, refused(1, 30));
    assert_eq!(charge(&store, &[window("other", 9)], NOW).await, granted(&[2]));
}

/// The statement could not count it twice, so that it must not seem to.
pub async fn one_counter_is_not_asked_twice(store: Store) {
    let told = store.charge(&[window("k", 9), window("k", 5)], NOW).await;
    assert!(matches!(told, Err(StoreError::Conflict(_))));
    assert_eq!(charge(&store, &[window("k", 9)], NOW).await, granted(&[1]));
}

/// Callers that share one counter and differ in another neither pass the limit nor lock each other out for good.
pub async fn racing_charges_over_several_counters_stay_together(store: Store) {
    let told = race(64, |caller| {
        let store = Arc::clone(&store);
        let own = window(&format!("ip{}", caller % 8), 3);
        // In different orders: whoever locks row by row has to sort them.
        let asks = if caller % 2 == 0 {
            [own, window("site", 20)]
        } else {
            [window("site", 20), own]
        };
        async move { store.charge(&asks, NOW).await }
    })
    .await;
    let granted = count(&told, |one| matches!(one, Ok(Charge::Granted(_))));
    assert!((1..=20).contains(&granted), "{granted} of 20");
    assert_eq!(count(&told, |one| matches!(one, Err(StoreError::Conflict(_)))), 0);
    let Charge::Granted(seen) = charge(&store, &[window("site", 100).look()], NOW).await else {
        panic!("a look below the limit is granted");
    };
    assert!(seen[0] as usize >= granted, "what was granted was counted");
}

/// Only those that are named.
pub async fn success_clears_counters_and_no_others(store: Store) {
    for name in ["a", "b", "a%", "%"] {
        charge(&store, &[curve(name, 1, 1)], NOW).await;
    }
    store.clear(&[key("a"), key("%"), key("unknown")]).await.unwrap();
    store.clear(&[]).await.unwrap();
    for (name, open) in [("a", true), ("%", true), ("b", false), ("a%", false)] {
        let told = charge(&store, &[curve(name, 1, 1).look()], NOW).await;
        assert_eq!(matches!(told, Charge::Granted(_)), open, "{name}");
    }
}

/// Nodes share counters and not their clocks: a count that costs no delay closes nothing to the one that is behind.
pub async fn a_caller_whose_clock_is_behind_waits_for_no_delay_that_is_not_there(store: Store) {
    let asks = [window("w", 2), curve("c", 5, 9)];
    charge(&store, &asks, NOW).await;
    let behind = NOW.minus(Duration::from_millis(300));
    assert_eq!(charge(&store, &asks, behind).await, Charge::Granted(vec![2, 2]));
}

/// Threat A-CLK-01: a wait gets longer then, never shorter.
pub async fn a_counter_jumps_no_wait_when_the_clock_jumps_back(store: Store) {
    charge(&store, &[window("w", 1), curve("c", 1, 9)], NOW).await;
    let before = NOW.minus(MINUTE);
    assert_eq!(charge(&store, &[window("w", 1)], before).await, refused(0, 120));
    assert_eq!(charge(&store, &[curve("c", 1, 9)], before).await, refused(0, 90));
}
