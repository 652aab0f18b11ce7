//! Whether two classes of answers can be told apart by how long they take.
//!
//! Times are never negative and have a long tail to the right, so that it is their logarithms that are compared: by
//! Welch's t, which asks for no equal variances, after the extremes of both ends are cut off. With thousands of samples t
//! finds differences that nobody could use, and with a long tail it misses some; the difference of medians is judged too.

/// A class: how long its answers took, in milliseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample(Vec<f64>);

impl Sample {
    /// Adds a time, in milliseconds. Above zero.
    pub(crate) fn add(&mut self, ms: f64) {
        self.0.push(ms);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The median, in milliseconds; not a number if there is none.
    pub(crate) fn median(&self) -> f64 {
        let sorted = sorted(&self.0);
        let middle = sorted.len() / 2;
        let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
        match sorted.len() % 2 {
            0 if middle > 0 => f64::midpoint(at(middle - 1), at(middle)),
            _ => at(middle),
        }
    }

    /// What Welch's t is made of.
    fn moments(&self) -> Moments {
        let sorted = sorted(&self.0);
        let cut = (sorted.len() as f64 * CUT) as usize;
        let kept = sorted.get(cut..sorted.len() - cut).unwrap_or_default();
        Moments::of(&kept.iter().map(|ms| ms.ln()).collect::<Vec<_>>())
    }
}

/// The share that is cut off at each end.
const CUT: f64 = 0.05;

/// Above it, two classes differ.
pub(crate) const MAX_T: f64 = 4.5;

/// Above this share of a password hash's time, their medians differ.
pub(crate) const MAX_SHARE: f64 = 0.03;

/// What was found of two classes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finding {
    /// Welch's t of the logarithms; positive if the first class is slower.
    pub(crate) t: f64,
    /// Difference of medians, in milliseconds; likewise.
    pub(crate) difference: f64,
    /// The most that it may be.
    pub(crate) allowed: f64,
}

impl Finding {
    /// Compares two classes. `hash` is how long a password hash takes, in milliseconds.
    pub(crate) fn of(a: &Sample, b: &Sample, hash: f64) -> Self {
        Self {
            t: welch(a.moments(), b.moments()),
            difference: a.median() - b.median(),
            allowed: MAX_SHARE * hash,
        }
    }

    /// Whether nobody can tell them apart. What is not a number tells nothing, and so is none.
    pub(crate) fn is_fine(&self) -> bool {
        self.t.abs() < MAX_T && self.difference.abs() < self.allowed
    }
}

/// Mean, variance of the mean.
#[derive(Clone, Copy, Debug)]
struct Moments {
    mean: f64,
    variance_of_mean: f64,
}

impl Moments {
    fn of(values: &[f64]) -> Self {
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        Self {
            mean,
            variance_of_mean: squares / (count - 1.0) / count,
        }
    }
}

/// Welch (1947): the difference of means over the root of the sum of their variances.
fn welch(a: Moments, b: Moments) -> f64 {
    (a.mean - b.mean) / (a.variance_of_mean + b.variance_of_mean).sqrt()
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timing::shuffle::Shuffle;

    fn sample(values: impl IntoIterator<Item = f64>) -> Sample {
        Sample(values.into_iter().collect())
    }

    /// Twelve uniform numbers make nearly a normal one.
    fn around(mean: f64, deviation: f64, shuffle: &mut Shuffle, count: usize) -> Sample {
        let unit = |shuffle: &mut Shuffle| shuffle.below(1 << 20) as f64 / f64::from(1 << 20);
        sample((0..count).map(|_| {
            let normal: f64 = (0..12).map(|_| unit(shuffle)).sum::<f64>() - 6.0;
            mean + deviation * normal
        }))
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(sample([3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(sample([4.0, 1.0, 2.0, 3.0]).median(), 2.5);
        assert!(sample([]).median().is_nan());
    }

    #[test]
    fn welchs_t_is_the_one_of_a_worked_example() {
        // Means 3 and 6, variances 2.5 and 10, five values each: -3 / sqrt(0.5 + 2).
        let a = Moments::of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        let b = Moments::of(&[2.0, 4.0, 6.0, 8.0, 10.0]);
        assert!((welch(a, b) + 3.0 / 2.5_f64.sqrt()).abs() < 1e-12);
        assert!((welch(b, a) - 3.0 / 2.5_f64.sqrt()).abs() < 1e-12);
    }

    #[test]
    fn extremes_at_either_end_are_cut_off() {
        let plain: Vec<f64> = (0..100).map(|n| 10.0 + f64::from(n % 7)).collect();
        let mut wild = plain.clone();
        for (place, value) in [(0, 1e6), (1, 1e6), (2, 1e-6)] {
            wild[place] = value;
        }
        let finding = Finding::of(&sample(plain), &sample(wild), 10.0);
        assert!(finding.t.abs() < 0.5, "{finding:?}");
    }

    #[test]
    fn what_takes_equally_long_is_not_told_apart() {
        let mut shuffle = Shuffle::new(1);
        for _ in 0..20 {
            let a = around(15.0, 1.5, &mut shuffle, 2_000);
            let b = around(15.0, 1.5, &mut shuffle, 2_000);
            let finding = Finding::of(&a, &b, 14.0);
            assert!(finding.is_fine(), "{finding:?}");
        }
    }

    #[test]
    fn a_hash_left_out_and_a_look_at_the_database_are_found() {
        let mut shuffle = Shuffle::new(2);
        let known = around(15.0, 1.5, &mut shuffle, 2_000);
        for slower in [14.0, 0.6] {
            let other = around(15.0 + slower, 1.5, &mut shuffle, 2_000);
            let finding = Finding::of(&known, &other, 14.0);
            assert!(!finding.is_fine() && finding.t < -MAX_T, "{finding:?}");
        }
    }

    #[test]
    fn a_steady_small_difference_is_found_by_t_alone_and_a_few_slow_ones_by_neither() {
        let mut shuffle = Shuffle::new(3);
        let a = around(15.0, 0.3, &mut shuffle, 2_000);
        let b = around(15.1, 0.3, &mut shuffle, 2_000);
        let finding = Finding::of(&a, &b, 14.0);
        assert!(
            finding.difference.abs() < finding.allowed && !finding.is_fine(),
            "{finding:?}"
        );

        let mut stalled = a.clone();
        (0..40).for_each(|n| stalled.0[n * 50] = 200.0);
        assert!(Finding::of(&a, &stalled, 14.0).is_fine());
    }

    #[test]
    fn nothing_measured_is_nothing_proved() {
        assert!(!Finding::of(&sample([]), &sample([1.0]), 14.0).is_fine());
        assert!(!Finding::of(&sample([1.0, 1.0]), &sample([1.0, 1.0]), 14.0).is_fine());
    }
}
