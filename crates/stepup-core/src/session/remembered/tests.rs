use std::collections::HashMap;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::entropy::OsEntropy;

/// A token with a number in the place of its claims.
struct Item {
    token: String,
    number: u32,
    charge: Charge,
}

impl Remember for Item {
    fn token(&self) -> &str {
        &self.token
    }

    fn charge(&self) -> &Charge {
        &self.charge
    }
}

/// Bytes of an item, all included.
const EACH: usize = 1_000;

fn memory(budget: usize) -> Remembered<Item> {
    Remembered::new(budget, &OsEntropy).unwrap()
}

/// A token whose end is unlike every other's, as signatures are.
fn token(number: u32) -> String {
    format!("header.payload.{number:040}")
}

fn put(memory: &Remembered<Item>, token: String, number: u32) {
    memory.remember(&Arc::new(Item {
        token,
        number,
        charge: memory.charge(EACH - ENTRY_BYTES),
    }));
}

fn put_numbers(memory: &Remembered<Item>, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        put(memory, token(number), number);
    }
}

fn number(memory: &Remembered<Item>, token: &str) -> Option<u32> {
    memory.find(token).map(|item| item.number)
}

fn kept(memory: &Remembered<Item>, numbers: impl IntoIterator<Item = u32>) -> usize {
    let found = |n: &u32| number(memory, &token(*n)).is_some();
    numbers.into_iter().filter(found).count()
}

#[test]
fn a_remembered_token_is_found_and_no_other_that_ends_like_it() {
    let memory = memory(100 * EACH);
    let ours = token(7);
    put(&memory, ours.clone(), 7);
    assert_eq!(number(&memory, &ours), Some(7));
    // The hash is that of the last 32 bytes: all of these share it, or have none.
    let tail = &ours[ours.len() - TAIL..];
    for other in [
        format!("x{ours}"),
        ours[1..].to_owned(),
        ours.replace("payload", "paYload"),
        ours.replace("header", "reader"),
        tail.to_owned(),
        tail[1..].to_owned(),
        String::new(),
    ] {
        assert_eq!(number(&memory, &other), None, "{other}");
    }
}

#[test]
fn a_token_with_any_bit_flipped_is_not_found() {
    let memory = memory(100 * EACH);
    let ours = token(7);
    put(&memory, ours.clone(), 7);
    for place in 0..ours.len() {
        for bit in 0..7 {
            let mut bytes = ours.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            let other = String::from_utf8(bytes).unwrap();
            assert_eq!(number(&memory, &other), None, "{other}");
        }
    }
}

#[test]
fn a_token_too_short_to_be_told_apart_is_not_remembered() {
    let memory = memory(100 * EACH);
    put(&memory, "a.b.c".to_owned(), 1);
    assert_eq!(number(&memory, "a.b.c"), None);
}

#[test]
fn no_two_memories_hash_alike() {
    let hash = |memory: Remembered<Item>| memory.hash(&token(1));
    assert_ne!(hash(memory(EACH)), hash(memory(EACH)));
}

#[test]
fn without_room_nothing_is_remembered() {
    let none = memory(0);
    put_numbers(&none, 0..10);
    assert_eq!(kept(&none, 0..10), 0);
    assert_eq!(none.used.bytes(), 0);
    let little = memory(EACH - 1);
    put_numbers(&little, 0..10);
    assert_eq!(kept(&little, 0..10), 0);
}

#[test]
fn the_memory_holds_what_it_has_room_for_and_not_a_byte_more() {
    for shards in [1, 4] {
        let budget = shards * SHARD_BYTES;
        let memory = memory(budget);
        assert_eq!(memory.shards.len(), shards);
        let fits = u32::try_from(budget / EACH).unwrap();
        put_numbers(&memory, 0..fits);
        assert_eq!(kept(&memory, 0..fits), budget / EACH);
        put_numbers(&memory, fits..10 * fits);
        assert!(memory.used.bytes() <= budget);
        let kept = kept(&memory, 0..10 * fits);
        assert!(kept > budget / EACH * 9 / 10, "{kept} of {fits}");
    }
}

#[test]
fn small_values_are_bounded_by_their_number() {
    let memory = memory(64 * LEAST_BYTES);
    for n in 0..1_000 {
        memory.remember(&Arc::new(Item {
            token: token(n),
            number: n,
            charge: memory.charge(0),
        }));
    }
    assert_eq!(kept(&memory, 0..1_000), 64);
    let shard = memory.shards[0].read().unwrap();
    assert_eq!(shard.probation.len() + shard.tenured.len(), 64);
    assert!(shard.missed.len() <= 64 && shard.missed_set.len() <= 64);
}

#[test]
fn what_a_value_takes_up_later_counts_from_then_on() {
    let memory = memory(100 * EACH);
    put_numbers(&memory, 0..100);
    let grown = memory.find(&token(0)).unwrap();
    grown.charge.add(50 * EACH);
    drop(grown);
    // The next look makes room; the one that grew was asked for and stays.
    assert!(number(&memory, &token(0)).is_some());
    assert!(memory.used.bytes() <= 100 * EACH);
    assert_eq!(kept(&memory, 0..100), 50);
}

#[test]
fn values_in_use_outlive_their_place_and_take_up_none_of_the_room() {
    let memory = memory(10 * EACH);
    // Streams that last for hours hold what their tokens said.
    let held: Vec<_> = (0..1_000)
        .map(|n| {
            put_numbers(&memory, [n]);
            memory.find(&token(n)).unwrap()
        })
        .collect();
    held[0].charge.add(100 * EACH);
    put_numbers(&memory, 1_000..1_010);
    assert_eq!(held[0].number, 0);
    assert_eq!(memory.used.bytes(), 10 * EACH);
    assert_eq!(kept(&memory, 0..1_010), 10);
    drop(held);
    assert_eq!(memory.used.bytes(), 10 * EACH);
}

#[test]
fn the_books_are_right_whatever_grows_while_it_is_dropped() {
    let memory = memory(20 * EACH);
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let memory = &memory;
            scope.spawn(move || {
                for n in 0..2_000 {
                    put_numbers(memory, [1_000_000 * thread + n]);
                    if let Some(item) = memory.find(&token(1_000_000 * thread + n)) {
                        item.charge.add(7);
                    }
                }
            });
        }
    });
    let booked = |shard: &RwLock<Shard<Item>>| {
        let shard = shard.read().unwrap();
        shard
            .slots
            .values()
            .map(|slot| slot.value.charge.bytes())
            .sum::<usize>()
    };
    assert_eq!(
        memory.used.bytes(),
        memory.shards.iter().map(booked).sum::<usize>()
    );
}

#[test]
fn a_token_verified_again_takes_the_place_of_the_first() {
    let memory = memory(10 * EACH);
    put(&memory, token(1), 1);
    put(&memory, token(1), 2);
    assert_eq!(number(&memory, &token(1)), Some(2));
    assert_eq!(memory.used.bytes(), EACH);
}

#[test]
fn a_flood_of_tokens_used_once_leaves_those_that_are_used_all_the_time() {
    let memory = memory(1_000 * EACH);
    put_numbers(&memory, 0..700);
    assert_eq!(kept(&memory, 0..700), 700, "used once more");
    for wave in 0..20 {
        put_numbers(&memory, (0..1_000).map(|n| 10_000 + 1_000 * wave + n));
        if wave % 3 == 0 {
            assert_eq!(kept(&memory, 0..700), 700, "in wave {wave}");
        }
    }
    assert!(memory.used.bytes() <= 1_000 * EACH);
}

#[test]
fn a_flood_takes_no_more_than_the_room_of_those_on_probation() {
    for shards in [1, 4] {
        let budget = shards * SHARD_BYTES;
        let memory = memory(budget);
        let fits = u32::try_from(budget / EACH).unwrap();
        put_numbers(&memory, 0..fits);
        assert_eq!(kept(&memory, 0..fits), budget / EACH, "used once more");
        // Nobody uses them meanwhile.
        put_numbers(&memory, fits..50 * fits);
        let kept = kept(&memory, 0..fits);
        let share = budget / EACH / PROBATION_SHARE;
        assert!(
            kept >= budget / EACH - share - 2 * shards,
            "{kept} of {fits}, {shards} shards"
        );
    }
}

#[test]
fn what_comes_back_soon_after_it_was_dropped_is_off_probation() {
    let memory = memory(100 * EACH);
    put_numbers(&memory, 0..90);
    assert_eq!(kept(&memory, 0..90), 90);
    put_numbers(&memory, 90..300);
    assert_eq!(number(&memory, &token(250)), None);
    put_numbers(&memory, [250]);
    put_numbers(&memory, 300..500);
    assert_eq!(number(&memory, &token(250)), Some(250));
}

#[test]
fn what_nobody_asks_for_any_more_makes_room_in_the_end() {
    let memory = memory(100 * EACH);
    put_numbers(&memory, 0..100);
    for _ in 0..4 {
        assert_eq!(kept(&memory, 0..100), 100);
    }
    for _ in 0..10 {
        for n in 1_000..1_100 {
            put_numbers(&memory, [n]);
            number(&memory, &token(n));
        }
    }
    assert_eq!(kept(&memory, 0..100), 0);
    assert!(kept(&memory, 1_000..1_100) > 80);
}

#[test]
fn many_threads_at_once_find_only_what_is_right() {
    let memory = memory(300 * EACH);
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let memory = &memory;
            scope.spawn(move || {
                for n in 0..20_000_u32 {
                    let n = n.wrapping_mul(2_654_435_761).wrapping_add(thread) % 600;
                    match memory.find(&token(n)) {
                        Some(item) => assert_eq!(item.number, n),
                        None => put_numbers(memory, [n]),
                    }
                }
            });
        }
    });
    assert!(memory.used.bytes() <= 300 * EACH);
    drop(memory);
}

#[test]
fn it_shows_no_token() {
    let memory = memory(EACH * 10);
    put_numbers(&memory, [1]);
    assert_eq!(
        format!("{memory:?}"),
        "Remembered { budget: 10000, used: 1000, .. }"
    );
}

#[derive(Clone, Debug)]
enum Step {
    Put(u32),
    Find(u32),
    Grow(u32, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let name = 0..60_u32;
    let step = prop_oneof![
        3 => name.clone().prop_map(Step::Put),
        3 => name.clone().prop_map(Step::Find),
        1 => (name, 0..3 * EACH).prop_map(|(name, bytes)| Step::Grow(name, bytes)),
    ];
    proptest::collection::vec(step, 0..400)
}

proptest! {
    #[test]
    fn whatever_is_done_what_is_found_is_what_was_last_put_and_the_bound_holds(
        steps in steps(),
        room in 0..40_usize,
    ) {
        let memory = memory(room * EACH);
        let mut model: HashMap<String, u32> = HashMap::new();
        for (at, step) in (0_u32..).zip(steps) {
            match step {
                Step::Put(name) => {
                    put(&memory, token(name), at);
                    model.insert(token(name), at);
                }
                Step::Find(name) => {
                    if let Some(found) = number(&memory, &token(name)) {
                        prop_assert_eq!(Some(&found), model.get(&token(name)));
                    }
                }
                Step::Grow(name, bytes) => {
                    if let Some(item) = memory.find(&token(name)) {
                        item.charge.add(bytes);
                    }
                    // Whoever looks next pays.
                    number(&memory, &token(name));
                }
            }
            prop_assert!(memory.used.bytes() <= room * EACH);
        }
    }
}
