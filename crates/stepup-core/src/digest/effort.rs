//! How much work a check of a password is, so that a check that fails is the same work whoever's it was.
//!
//! The hash of another system takes another time than ours. Who knows only an address could tell by it that there is such a
//! user (threat A-ENU-02). A check that fails therefore does what is missing to the costliest hash of each kind: of those
//! that the application named, and of those that were met.

use std::num::NonZeroU32;
use std::ops::Add;
use std::time::Duration;

use crate::digest::argon::{self, ArgonHash, HashParams, MAX_MEMORY_KIB, MAX_PASSES};
use crate::digest::foreign::{
    self, Digest, ForeignHash, MAX_BCRYPT_COST, MAX_FIREBASE_MEMORY, MAX_FIREBASE_ROUNDS, MAX_ITERATIONS,
    MIN_BCRYPT_COST,
};
use crate::error::Fault;

/// Hashes of another system that users of the application have: the costliest of each kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum ForeignCost {
    /// Argon2id of other parameters.
    Argon2id {
        /// `m`, in KiB.
        memory_kib: u32,
        /// `t`.
        passes: u32,
    },
    /// bcrypt.
    Bcrypt {
        /// The number behind `$2b$`.
        cost: u32,
    },
    /// PBKDF2 with HMAC-SHA-256.
    Pbkdf2Sha256 {
        /// Iterations, times the blocks of 32 bytes that the hash has.
        iterations: u32,
    },
    /// PBKDF2 with HMAC-SHA-512.
    Pbkdf2Sha512 {
        /// Iterations.
        iterations: u32,
    },
    /// The scrypt of Firebase.
    FirebaseScrypt {
        /// `mem_cost`.
        memory_cost: u8,
        /// `rounds`.
        rounds: u32,
    },
}

/// Work, by kind: what is done by one kind makes up for nothing of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effort {
    /// KiB that are filled.
    argon2: u64,
    /// Key expansions.
    bcrypt: u64,
    /// Iterations.
    sha256: u64,
    /// Iterations.
    sha512: u64,
    /// Blocks of 128 bytes that are filled.
    scrypt: u64,
}

impl Effort {
    pub(super) fn of_argon(params: HashParams) -> Self {
        Self {
            argon2: u64::from(params.memory_kib) * u64::from(params.passes),
            ..Self::default()
        }
    }

    pub(super) fn of_argon_hash(hash: &ArgonHash) -> Self {
        Self::of_argon(hash.params)
    }

    pub(super) fn of_foreign(hash: &ForeignHash) -> Self {
        match hash {
            // A long output takes more iterations than any cost that is named.
            ForeignHash::Pbkdf2 {
                digest,
                iterations,
                output,
                ..
            } => Self::of_pbkdf2(*digest, blocks(*digest, iterations.get(), output.len())),
            hash => Self::of(cost_of(hash)),
        }
    }

    /// What is named by the application, at most as much as is ever verified.
    pub(super) fn of(cost: ForeignCost) -> Self {
        match cost {
            ForeignCost::Argon2id { memory_kib, passes } => Self::of_argon(HashParams {
                memory_kib: memory_kib.min(MAX_MEMORY_KIB),
                passes: passes.min(MAX_PASSES),
                lanes: 1,
            }),
            ForeignCost::Bcrypt { cost } => Self {
                bcrypt: 1 << cost.clamp(MIN_BCRYPT_COST, MAX_BCRYPT_COST),
                ..Self::default()
            },
            ForeignCost::Pbkdf2Sha256 { iterations } => {
                // A hash of two blocks is verified as well.
                Self::of_pbkdf2(Digest::Sha256, iterations.min(2 * MAX_ITERATIONS).into())
            }
            ForeignCost::Pbkdf2Sha512 { iterations } => {
                Self::of_pbkdf2(Digest::Sha512, iterations.min(MAX_ITERATIONS).into())
            }
            ForeignCost::FirebaseScrypt { memory_cost, rounds } => Self {
                scrypt: u64::from(rounds.min(MAX_FIREBASE_ROUNDS)) << memory_cost.min(MAX_FIREBASE_MEMORY),
                ..Self::default()
            },
        }
    }

    fn of_pbkdf2(digest: Digest, iterations: u64) -> Self {
        match digest {
            Digest::Sha256 => Self {
                sha256: iterations,
                ..Self::default()
            },
            Digest::Sha512 => Self {
                sha512: iterations,
                ..Self::default()
            },
        }
    }

    /// About how long it takes, all kinds together, by one measure for all machines: the default Argon2id is 16 ms by it.
    pub(super) fn takes(self) -> Duration {
        let Self {
            argon2,
            bcrypt,
            sha256,
            sha512,
            scrypt,
        } = self;
        let of_each = [
            (argon2, NANOS_OF_KIB),
            (bcrypt, NANOS_OF_EXPANSION),
            (sha256, NANOS_OF_SHA256),
            (sha512, NANOS_OF_SHA512),
            (scrypt, NANOS_OF_BLOCK),
        ];
        let nanos = of_each.map(|(count, each)| count.saturating_mul(each));
        Duration::from_nanos(nanos.into_iter().fold(0, u64::saturating_add))
    }

    /// Whether hashes of others may cost it, all kinds of them together.
    pub(super) fn is_bearable(self) -> bool {
        self.takes() <= MOST
    }

    /// The greater of each kind.
    pub(super) fn max(self, other: Self) -> Self {
        self.with(other, u64::max)
    }

    /// The same for each of `forms` in which a password is tried.
    pub(super) fn times(self, forms: u64) -> Self {
        self.with(self, |kind, _| kind * forms)
    }

    /// What is left of it when `spent` is done.
    pub(super) fn minus(self, spent: Self) -> Self {
        self.with(spent, u64::saturating_sub)
    }

    fn with(self, other: Self, each: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            argon2: each(self.argon2, other.argon2),
            bcrypt: each(self.bcrypt, other.bcrypt),
            sha256: each(self.sha256, other.sha256),
            sha512: each(self.sha512, other.sha512),
            scrypt: each(self.scrypt, other.scrypt),
        }
    }

    /// What its parts allocate at most, in KiB, where Argon2id runs with `params`.
    pub(super) fn memory_kib(self, params: HashParams) -> u32 {
        let scrypt = self
            .scrypt
            .min(u64::from(SCRYPT_ROUNDS) << MAX_FIREBASE_MEMORY)
            .div_ceil(8);
        params.memory_kib.max(u32::try_from(scrypt).unwrap_or(u32::MAX))
    }

    /// Does it, and forgets what came of it.
    pub(super) fn burn(self, params: HashParams, salt: &[u8; 16], password: &str) -> Result<(), Fault> {
        let memory = u64::from(params.memory_kib);
        let passes = u32::try_from(self.argon2 / memory).unwrap_or(u32::MAX);
        if passes > 0 {
            let whole = HashParams { passes, ..params };
            argon::derive(whole, password, salt, argon::OUTPUT_LEN)?;
        }
        let rest = u32::try_from(self.argon2 % memory).unwrap_or_default();
        if rest >= 8 {
            let rest = HashParams {
                memory_kib: rest,
                passes: 1,
                lanes: 1,
            };
            argon::derive(rest, password, salt, argon::OUTPUT_LEN)?;
        }
        for cost in powers(self.bcrypt, MIN_BCRYPT_COST, MAX_BCRYPT_COST) {
            foreign::bcrypt(cost, *salt, password.as_bytes());
        }
        for (digest, iterations) in [(Digest::Sha256, self.sha256), (Digest::Sha512, self.sha512)] {
            let iterations = u32::try_from(iterations).unwrap_or(u32::MAX);
            if let Some(iterations) = NonZeroU32::new(iterations) {
                foreign::pbkdf2(digest, iterations, salt, password.as_bytes(), digest.block());
            }
        }
        let scrypt = self.scrypt / u64::from(SCRYPT_ROUNDS);
        for memory_cost in powers(scrypt, 1, MAX_FIREBASE_MEMORY.into()) {
            let memory_cost = u8::try_from(memory_cost).unwrap_or(MAX_FIREBASE_MEMORY);
            foreign::scrypt(memory_cost, SCRYPT_ROUNDS, salt, password.as_bytes())?;
        }
        Ok(())
    }
}

/// The work of a check that fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// Of hashes that were made here, of the strongest parameters that were met.
    own: Effort,
    /// Of hashes of others, the costliest of each kind. It is never more than is bearable.
    foreign: Effort,
}

impl Expected {
    pub(super) fn of(params: HashParams) -> Self {
        Self {
            own: Effort::of_argon(params),
            foreign: Effort::default(),
        }
    }

    pub(super) fn raise_own(&mut self, effort: Effort) {
        self.own = self.own.max(effort);
    }

    /// Expects a hash of others as well; false if it would be too much with those that are expected, and then it is not.
    #[must_use]
    pub(super) fn raise_foreign(&mut self, effort: Effort) -> bool {
        let raised = self.foreign.max(effort);
        let is_bearable = raised.is_bearable();
        if is_bearable {
            self.foreign = raised;
        }
        is_bearable
    }

    /// For a password in so many `forms`. Ours are compared with one of them.
    pub(super) fn work(self, forms: u64) -> Effort {
        self.own.max(self.foreign.times(forms))
    }
}

/// Whether hashes of these costs are verified side by side: a check that fails takes the costliest of each kind, one behind
/// the other, and half a second of it at most (threat A-RES-03).
pub fn are_bearable(costs: &[ForeignCost]) -> bool {
    let costs = costs.iter().map(|cost| Effort::of(*cost));
    costs.fold(Effort::default(), Effort::max).is_bearable()
}

/// The cost of `hash`, in the words of an application.
pub(super) fn cost_of(hash: &ForeignHash) -> ForeignCost {
    match hash {
        ForeignHash::Bcrypt { cost, .. } => ForeignCost::Bcrypt { cost: *cost },
        ForeignHash::Pbkdf2 {
            digest,
            iterations,
            output,
            ..
        } => {
            let iterations = blocks(*digest, iterations.get(), output.len());
            let iterations = u32::try_from(iterations).unwrap_or(u32::MAX);
            match digest {
                Digest::Sha256 => ForeignCost::Pbkdf2Sha256 { iterations },
                Digest::Sha512 => ForeignCost::Pbkdf2Sha512 { iterations },
            }
        }
        ForeignHash::Firebase {
            memory_cost, rounds, ..
        } => ForeignCost::FirebaseScrypt {
            memory_cost: *memory_cost,
            rounds: *rounds,
        },
    }
}

/// Iterations for an output of `len` bytes.
fn blocks(digest: Digest, iterations: u32, len: usize) -> u64 {
    u64::from(iterations) * len.div_ceil(digest.block()) as u64
}

impl Add for Effort {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.with(other, u64::saturating_add)
    }
}

/// Exponents between `least` and `most` whose powers of two sum up to `sum`, but for what is below the least of them.
fn powers(mut sum: u64, least: u32, most: u32) -> impl Iterator<Item = u32> {
    std::iter::from_fn(move || {
        let power = sum.checked_ilog2()?.min(most);
        sum -= 1 << power;
        (power >= least).then_some(power)
    })
}

/// The most that hashes of others may cost a check that fails, for one form of the password. Every stranger can cause it, and
/// the pool is bounded.
const MOST: Duration = Duration::from_millis(500);

/// Of one core of a server of the year 2024, rounded up.
const NANOS_OF_KIB: u64 = 400;
const NANOS_OF_EXPANSION: u64 = 60_000;
const NANOS_OF_SHA256: u64 = 300;
const NANOS_OF_SHA512: u64 = 600;
const NANOS_OF_BLOCK: u64 = 400;

/// What Firebase uses.
const SCRYPT_ROUNDS: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_made_up_for_exactly() {
        for (sum, least, most) in [
            (1024, 4, 14),
            (768, 4, 14),
            (3 << 14, 4, 14),
            (16, 4, 14),
            (0, 4, 14),
        ] {
            let made: u64 = powers(sum, least, most).map(|power| 1 << power).sum();
            assert_eq!(made, sum, "{sum}");
        }
        assert_eq!(powers(3 << 14, 4, 14).collect::<Vec<_>>(), [14, 14, 14]);
        // Below the least there is nothing to run.
        assert_eq!(powers(15, 4, 14).count(), 0);
    }

    #[test]
    fn a_enu_02_a_hash_of_any_kind_and_its_padding_are_the_work_of_no_hash_at_all() {
        let bcrypt = |cost| Effort::of(ForeignCost::Bcrypt { cost });
        let pbkdf2 = |iterations| Effort::of(ForeignCost::Pbkdf2Sha256 { iterations });
        let firebase = Effort::of(ForeignCost::FirebaseScrypt {
            memory_cost: 14,
            rounds: 8,
        });
        let own = Effort::of_argon(HashParams::default());
        let mut expected = Expected::of(HashParams::default());
        for foreign in [bcrypt(12), pbkdf2(600_000), firebase] {
            assert!(expected.raise_foreign(foreign));
        }
        for forms in [1, 2] {
            let wanted = expected.work(forms);
            for stored in [bcrypt(12), bcrypt(10), pbkdf2(260_000), firebase] {
                let spent = stored.times(forms);
                assert_eq!(spent + wanted.minus(spent), wanted);
            }
            assert_eq!(own + wanted.minus(own), wanted);
        }
    }

    #[test]
    fn a_res_03_hashes_of_others_cost_a_check_half_a_second_at_most_all_kinds_together() {
        let bcrypt = |cost| ForeignCost::Bcrypt { cost };
        let sha256 = |iterations| ForeignCost::Pbkdf2Sha256 { iterations };
        let firebase = ForeignCost::FirebaseScrypt {
            memory_cost: 14,
            rounds: 8,
        };
        let argon = |memory_kib, passes| ForeignCost::Argon2id { memory_kib, passes };
        // What other systems make today, each alone and some beside each other.
        assert!(
            are_bearable(&[bcrypt(13)]) && are_bearable(&[sha256(1_600_000)]) && are_bearable(&[firebase])
        );
        assert!(are_bearable(&[argon(256 * 1024, 4)]) && are_bearable(&[]));
        assert!(are_bearable(&[bcrypt(12), sha256(600_000), firebase]));
        // The costliest of each kind counts, not each.
        assert!(are_bearable(&[bcrypt(10), bcrypt(11), bcrypt(12), bcrypt(12)]));
        assert!(!are_bearable(&[bcrypt(13), firebase]));
        assert!(!are_bearable(&[sha256(2_000_000)]) && !are_bearable(&[argon(256 * 1024, 10)]));

        let mut expected = Expected::of(HashParams::default());
        assert!(expected.raise_foreign(Effort::of(bcrypt(12))));
        let before = expected;
        assert!(!expected.raise_foreign(Effort::of(argon(256 * 1024, 4))));
        assert_eq!(expected, before);
        // Another form of the password doubles the work of others' hashes, and none of ours.
        let own = Effort::of_argon(HashParams::default());
        assert_eq!(expected.work(1), own + Effort::of(bcrypt(12)));
        assert_eq!(expected.work(2), own + Effort::of(bcrypt(13)));
    }

    #[test]
    fn what_an_application_names_is_no_more_than_is_ever_verified() {
        let most = [
            (ForeignCost::Bcrypt { cost: 31 }, ForeignCost::Bcrypt { cost: 13 }),
            (
                ForeignCost::Pbkdf2Sha512 { iterations: u32::MAX },
                ForeignCost::Pbkdf2Sha512 {
                    iterations: 2_000_000,
                },
            ),
            (
                ForeignCost::FirebaseScrypt {
                    memory_cost: 255,
                    rounds: u32::MAX,
                },
                ForeignCost::FirebaseScrypt {
                    memory_cost: 14,
                    rounds: 8,
                },
            ),
            (
                ForeignCost::Argon2id {
                    memory_kib: u32::MAX,
                    passes: u32::MAX,
                },
                ForeignCost::Argon2id {
                    memory_kib: 256 * 1024,
                    passes: 10,
                },
            ),
        ];
        for (named, capped) in most {
            assert_eq!(Effort::of(named), Effort::of(capped));
        }
    }
}
