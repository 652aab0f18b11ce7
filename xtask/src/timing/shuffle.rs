//! The order in which classes are asked: another one in each round, the same in each run.

/// Numbers that look random and are the same for the same start. Nothing secret depends on them.
#[derive(Debug)]
pub(crate) struct Shuffle(u64);

impl Shuffle {
    /// Starts anywhere.
    pub(crate) fn new(start: u64) -> Self {
        Self(start.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }

    /// A number below `end`, which is above zero.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // Marsaglia (2003), xorshift64.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % end
    }

    /// The numbers below `end` in some order.
    pub(crate) fn order(&mut self, end: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..end).collect();
        // Fisher and Yates, from the end.
        for last in (1..end).rev() {
            order.swap(last, self.below(last as u64 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_its_turn_in_each_round_and_each_order_comes_about_as_often() {
        let mut shuffle = Shuffle::new(7);
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..6_000 {
            let order = shuffle.order(3);
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2]);
            *seen.entry(order).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(
            seen.values().all(|count| (850..1_150).contains(count)),
            "{seen:?}"
        );
    }
}
