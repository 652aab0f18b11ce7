//! A bounded memory of tokens that were verified, so that a token is verified once and not with every request.
//!
//! It is exact: a token is found by a keyed hash of its last 32 bytes, in which its signature ends, and then compared
//! whole. What is found was verified once; whether it is still accepted is for whoever asks. Only what was verified is
//! ever put in, so a flood of invented tokens finds nothing and displaces nothing.
//!
//! It is bounded by bytes, those included that a value takes up later ([`Charge`]), and by entries. Values that are in use
//! and not remembered are not its own. What is new is on
//! probation: a tenth of the memory, first in, first out. Only what is asked for again while it is there, or soon after, gets a
//! place in the rest, so that a flood of tokens that are used once leaves those alone that are used all the time.
//!
//! # Source
//! The order of eviction is S3-FIFO (Yang et al., SOSP 2023).

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::{self, Debug};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicIsize, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use siphasher::sip::SipHasher13;

use crate::entropy::{self, Entropy, EntropyError};

/// What can be remembered.
pub(super) trait Remember {
    /// The whole token.
    fn token(&self) -> &str;

    /// What it takes up.
    fn charge(&self) -> &Charge;
}

/// Remembers verified tokens, each with what it says.
pub(super) struct Remembered<T> {
    shards: Box<[RwLock<Shard<T>>]>,
    key: [u8; 16],
    budget: usize,
    used: Ledger,
}

impl<T: Remember> Remembered<T> {
    /// Room for `budget` bytes; with zero, nothing is remembered.
    ///
    /// # Errors
    /// Randomness failed.
    pub(super) fn new(budget: usize, entropy: &dyn Entropy) -> Result<Self, EntropyError> {
        // Threads that look up different tokens should seldom meet at a lock; each shard is to hold enough for its
        // order of eviction to mean something.
        let shards = (budget / SHARD_BYTES).clamp(1, MAX_SHARDS).next_power_of_two();
        let most = budget / LEAST_BYTES / shards;
        Ok(Self {
            shards: (0..shards).map(|_| RwLock::new(Shard::new(most))).collect(),
            key: entropy::bytes(entropy)?,
            budget,
            used: Ledger::default(),
        })
    }

    /// What a token says, if it is remembered.
    pub(super) fn find(&self, token: &str) -> Option<Arc<T>> {
        if self.budget == 0 {
            return None;
        }
        let hash = self.hash(token)?;
        let shard = self.shard(hash)?;
        let found = {
            let shard = shard.read().unwrap_or_else(PoisonError::into_inner);
            let slot = shard.slots.get(&hash)?;
            // Not in constant time, and it need not be: who does not hold the last 32 characters, which no comparison has
            // told him, does not get here, and the key of the hash hides whether he is near.
            if slot.value.token() != token {
                return None;
            }
            slot.touch();
            Arc::clone(&slot.value)
        };
        // Values grow while they are used.
        if self.used.bytes() > self.budget {
            self.trim(&mut shard.write().unwrap_or_else(PoisonError::into_inner));
        }
        Some(found)
    }

    /// Remembers a token that was verified, in the place of what was known of it.
    pub(super) fn remember(&self, value: &Arc<T>) {
        let Some(hash) = self.hash(value.token()).filter(|_| self.budget > 0) else {
            return;
        };
        let Some(shard) = self.shard(hash) else { return };
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        shard.add(hash, value);
        self.trim(&mut shard);
    }

    /// What a value takes up that this memory may come to remember; it is kept with the value.
    pub(super) fn charge(&self, bytes: usize) -> Charge {
        Charge::new(self.used.clone(), bytes)
    }

    /// Drops what is too much.
    fn trim(&self, shard: &mut Shard<T>) {
        while self.used.bytes() > self.budget || shard.is_overcrowded() {
            if !shard.evict() {
                break;
            }
        }
    }

    /// The hash of the end of a token; none if it is too short for one.
    fn hash(&self, token: &str) -> Option<u64> {
        let (_, tail) = token.as_bytes().split_last_chunk::<TAIL>()?;
        Some(SipHasher13::new_with_key(&self.key).hash(tail))
    }

    fn shard(&self, hash: u64) -> Option<&RwLock<Shard<T>>> {
        // The number of shards is a power of two. The tables inside use the lowest and the highest bits.
        let index = usize::try_from(hash >> 32).ok()? & (self.shards.len() - 1);
        self.shards.get(index)
    }
}

impl<T> Debug for Remembered<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remembered")
            .field("budget", &self.budget)
            .field("used", &self.used.bytes())
            .finish_non_exhaustive()
    }
}

/// The bytes of all values that one memory remembers. It may be below zero for a moment, while a value that grows is
/// dropped.
#[derive(Clone, Default)]
struct Ledger(Arc<AtomicIsize>);

impl Ledger {
    fn bytes(&self) -> usize {
        usize::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn add(&self, bytes: usize) {
        self.0.fetch_add(bytes.cast_signed(), Ordering::Relaxed);
    }

    fn subtract(&self, bytes: usize) {
        self.0.fetch_sub(bytes.cast_signed(), Ordering::Relaxed);
    }
}

/// What a value takes up: in the books of a memory for as long as it is remembered there. A value that only a request
/// still holds, and be it a stream that lasts for hours, is not the memory's.
#[derive(Default)]
pub(super) struct Charge {
    ledger: Ledger,
    /// The bytes, and [`BOOKED`]: one number, so that what is added while a value is dropped is counted or not, but not
    /// by half.
    state: AtomicUsize,
}

impl Charge {
    fn new(ledger: Ledger, bytes: usize) -> Self {
        Self {
            ledger,
            state: AtomicUsize::new(bytes + ENTRY_BYTES),
        }
    }

    /// The value takes up more than before.
    pub(super) fn add(&self, bytes: usize) {
        if self.state.fetch_add(bytes, Ordering::Relaxed) & BOOKED != 0 {
            self.ledger.add(bytes);
        }
    }

    /// All that it takes up.
    pub(super) fn bytes(&self) -> usize {
        self.state.load(Ordering::Relaxed) & !BOOKED
    }

    fn book(&self) {
        let before = self.state.fetch_or(BOOKED, Ordering::Relaxed);
        if before & BOOKED == 0 {
            self.ledger.add(before);
        }
    }

    fn strike(&self) {
        let before = self.state.fetch_and(!BOOKED, Ordering::Relaxed);
        if before & BOOKED != 0 {
            self.ledger.subtract(before & !BOOKED);
        }
    }
}

impl Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Charge").field(&self.bytes()).finish()
    }
}

/// A part of the memory, behind a lock of its own.
struct Shard<T> {
    slots: HashMap<u64, Slot<T>, BuildHasherDefault<AsItIs>>,
    /// What is new, oldest first.
    probation: VecDeque<u64>,
    /// What was asked for again, next to be judged first.
    tenured: VecDeque<u64>,
    /// What left probation lately without having been asked for, oldest first.
    missed: VecDeque<u64>,
    missed_set: HashSet<u64, BuildHasherDefault<AsItIs>>,
    /// The most entries.
    most: usize,
}

struct Slot<T> {
    value: Arc<T>,
    /// How often it was asked for since it was last judged, at most [`MAX_USES`].
    uses: AtomicU8,
}

impl<T> Slot<T> {
    fn new(value: &Arc<T>) -> Self {
        Self {
            value: Arc::clone(value),
            uses: AtomicU8::new(0),
        }
    }

    fn touch(&self) {
        let uses = self.uses.load(Ordering::Relaxed);
        // What is asked for all the time is only read here, so that no cache line travels between cores. A use that is
        // lost to a race is a use less.
        if uses < MAX_USES {
            self.uses.store(uses + 1, Ordering::Relaxed);
        }
    }
}

impl<T: Remember> Shard<T> {
    fn new(most: usize) -> Self {
        Self {
            slots: HashMap::default(),
            probation: VecDeque::new(),
            tenured: VecDeque::new(),
            missed: VecDeque::new(),
            missed_set: HashSet::default(),
            most,
        }
    }

    fn add(&mut self, hash: u64, value: &Arc<T>) {
        match self.slots.entry(hash) {
            // Verified again: by two requests at once, or because its key had gone and came back.
            Entry::Occupied(mut occupied) => {
                let former = std::mem::replace(&mut occupied.get_mut().value, Arc::clone(value));
                former.charge().strike();
            }
            Entry::Vacant(vacant) => {
                vacant.insert(Slot::new(value));
                if self.missed_set.remove(&hash) {
                    self.tenured.push_back(hash);
                } else {
                    self.probation.push_back(hash);
                }
            }
        }
        value.charge().book();
    }

    fn is_overcrowded(&self) -> bool {
        self.slots.len() > self.most
    }

    /// Drops one value. Whether there was one.
    fn evict(&mut self) -> bool {
        loop {
            let on_probation =
                self.probation.len() * PROBATION_SHARE >= self.slots.len() || self.tenured.is_empty();
            let queue = match on_probation {
                true => &mut self.probation,
                false => &mut self.tenured,
            };
            let Some(hash) = queue.pop_front() else {
                return false;
            };
            let Entry::Occupied(mut slot) = self.slots.entry(hash) else {
                continue;
            };
            let uses = slot.get_mut().uses.get_mut();
            // Each turn takes a value from probation for good, or a use from one behind it: the loop ends.
            if *uses > 0 {
                *uses = if on_probation { 0 } else { *uses - 1 };
                self.tenured.push_back(hash);
                continue;
            }
            let value = slot.remove().value;
            if on_probation {
                self.miss(hash);
            }
            value.charge().strike();
            return true;
        }
    }

    fn miss(&mut self, hash: u64) {
        self.missed.push_back(hash);
        self.missed_set.insert(hash);
        if self.missed.len() > self.slots.len().max(LEAST_MISSED)
            && let Some(oldest) = self.missed.pop_front()
        {
            self.missed_set.remove(&oldest);
        }
    }
}

/// Keys of the tables are hashes already.
#[derive(Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// In [`Charge::state`]: the value is in the books.
const BOOKED: usize = 1 << (usize::BITS - 1);
/// As many bytes of a token's end are hashed: 192 bits of its signature.
const TAIL: usize = 32;
const MAX_SHARDS: usize = 64;
const SHARD_BYTES: usize = 256 * 1024;
/// No value takes up less, which bounds the entries.
const LEAST_BYTES: usize = 512;
/// What an entry takes up beside its value: its slot, its place in a queue, and a missed one's.
const ENTRY_BYTES: usize = 96;
/// One in so many entries is on probation.
const PROBATION_SHARE: usize = 10;
const MAX_USES: u8 = 3;
const LEAST_MISSED: usize = 16;

#[cfg(test)]
mod tests;
