//! The statistics of comparisons: pure functions over a few numbers, with no I/O and no randomness but from a seed.
//!
//! What is compared are logarithms of ratios, so that twice as fast and half as fast are equally far from nothing. There
//! are few of them (a round takes seconds, so there are 6 to 20), some are hit by whatever else the machine did, and many
//! strategies and figures are looked at together. So:
//!
//! * [`contrast`] holds the two sides of one comparison, paired by round or not, and gives its figures;
//! * [`interval`] is where the median lies: a bootstrap, widened for small samples;
//! * [`permutation`] is whether there is a difference at all: exact tests on ranks, which assume no distribution;
//! * [`holm`] corrects for how many were looked at;
//! * [`judgement`] puts these together into words;
//! * [`power`] is what could have been seen, had it been there.

pub mod contrast;
pub mod holm;
pub mod interval;
pub mod judgement;
pub mod permutation;
pub mod power;

#[cfg(test)]
mod simulation;

pub use contrast::Contrast;
pub use interval::Interval;
pub use judgement::{Better, Finding, Judged, Judgement, Rules};

/// The level of every test and, as its complement, of every interval.
pub const LEVEL: f64 = 0.05;

/// The chance with which the minimal detectable effect is detected.
pub const POWER: f64 = 0.8;

/// The fewest rounds that a comparison can say something with. With fewer than 6, not even the interval from the least to
/// the largest value holds the median with 95 % (it does with 1 - 2^(1-n)), and no exact test reaches 5 % (the least
/// two-sided p-value of n signs is 2^(1-n)).
pub const ROUNDS_MIN: usize = 6;

/// The mean; 0 of nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() { 0.0 } else { values.iter().sum::<f64>() / values.len() as f64 }
}

/// The variance of a population that these are a sample of (n - 1 below); 0 of fewer than two values.
pub fn variance(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let mean = mean(values);
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() - 1) as f64
}

/// The middle value; of an even number of values the mean of the middle two; `None` of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    median_in_place(&mut values.to_vec())
}

/// The same, without a copy: the values are in another order afterwards.
fn median_in_place(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    if values.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(values[middle - 1], upper)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_a_middle_and_a_spread() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        // Of 1, 2, 3, 4: mean 2.5, squares 2.25 + 0.25 + 0.25 + 2.25 = 5, over 3.
        assert!((variance(&[1.0, 2.0, 3.0, 4.0]) - 5.0 / 3.0).abs() < 1e-12);
        assert!(variance(&[7.0]).abs() < f64::EPSILON && mean(&[]).abs() < f64::EPSILON);
    }
}
