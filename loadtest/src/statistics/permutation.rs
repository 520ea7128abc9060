//! Whether there is a difference at all: exact tests by enumeration (R. A. Fisher, "The Design of Experiments", 1935).
//!
//! Nothing is assumed of the noise but what the design gives. In a round both sides have their turn in an order drawn by
//! lot, so if there is no difference, each round's log-ratio is as likely as its negative: all 2^n assignments of signs are
//! equally likely ([`sign_flip`]). Two sets of rounds that were not run together could have been dealt out in any way
//! ([`exchange`]), if nothing else has changed between them, which no test can know.
//!
//! What is dealt out are ranks, not the values themselves ([`signed_rank`], [`rank_sum`]): on normal noise the tests are as good as
//! with values (0.955 of the efficiency), but one round in which the machine was busy elsewhere cannot drown all others.
//! On a machine that others used as well, a median of 1.39 with an interval from 1.06 to 3.5 had p = 0.52 on values.
//!
//! Both are two-sided. Where there are too many ways to count them all, they are drawn from the seed, and the p-value is
//! (1 + as extreme) / (1 + drawn): never 0, and never too small (B. Phipson and G. K. Smyth, "Permutation P-values Should
//! Never Be Zero", 2010).

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, RngExt, SeedableRng};

use super::mean;

/// The most rounds whose signs are all enumerated, half a million after symmetry.
pub const SIGNS_EXACT_MAX: usize = 20;

/// The most ways to deal out two sets of rounds that are all enumerated: 12 and 12 rounds have 2 704 156.
pub const DEALS_EXACT_MAX: u64 = 3_000_000;

/// How many are drawn where there are more.
const DRAWS: u32 = 100_000;

/// Sums within this share of each other's size are equal: adding in another order may not make a way less extreme.
const ROUNDING: f64 = 1e-12;

/// The p-value of Wilcoxon's signed-rank test (F. Wilcoxon, "Individual Comparisons by Ranking Methods", 1945): the sign-flip
/// test on the ranks of the distances from 0, with the signs of the values. Equal distances share their ranks.
pub fn signed_rank(differences: &[f64], seed: u64) -> f64 {
    let distances: Vec<f64> = differences.iter().map(|value| value.abs()).collect();
    let sign = |value: f64| if value == 0.0 { 0.0 } else { value.signum() };
    let signed: Vec<f64> =
        ranks(&distances).into_iter().zip(differences).map(|(rank, value)| rank * sign(*value)).collect();
    sign_flip(&signed, seed)
}

/// The p-value of the rank-sum test (H. B. Mann and D. R. Whitney, 1947; Wilcoxon, 1945): the two-sample permutation test on
/// the ranks of all values together. Equal values share their ranks.
pub fn rank_sum(baseline: &[f64], candidate: &[f64], seed: u64) -> f64 {
    let all: Vec<f64> = baseline.iter().chain(candidate).copied().collect();
    let ranks = ranks(&all);
    let (baseline, candidate) = ranks.split_at(baseline.len());
    exchange(baseline, candidate, seed)
}

/// The rank of each value, from 1; equal ones get the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let below = |value: f64| values.iter().filter(|other| **other < value).count() as f64;
    let equal = |value: f64| values.iter().filter(|other| **other <= value).count() as f64 - below(value);
    values.iter().map(|value| below(*value) + f64::midpoint(equal(*value), 1.0)).collect()
}

/// The p-value of the sign-flip test on the mean: of all assignments of signs, the share whose mean is at least as far from
/// 0. Exact for up to [`SIGNS_EXACT_MAX`] values, 1 of none.
pub fn sign_flip(differences: &[f64], seed: u64) -> f64 {
    let Some((last, rest)) = differences.split_last() else { return 1.0 };
    let size: f64 = differences.iter().map(|value| value.abs()).sum();
    let bound = differences.iter().sum::<f64>().abs() - size * ROUNDING;
    if differences.len() <= SIGNS_EXACT_MAX {
        // An assignment and its opposite are equally extreme, so the last sign stays. The others are gone through in Gray
        // code: the n-th step flips the sign at the number of trailing zeros of n.
        let mut signs = vec![1.0; rest.len()];
        let mut sum: f64 = rest.iter().sum::<f64>() + last;
        let all = 1_u64 << rest.len();
        let mut extreme = u64::from(sum.abs() >= bound);
        for step in 1..all {
            let flipped = step.trailing_zeros() as usize;
            signs[flipped] = -signs[flipped];
            sum += 2.0 * signs[flipped] * rest[flipped];
            extreme += u64::from(sum.abs() >= bound);
        }
        return extreme as f64 / all as f64;
    }
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let drawn = |rng: &mut Xoshiro256PlusPlus| -> f64 {
        differences.iter().map(|value| if rng.random_bool(0.5) { *value } else { -value }).sum()
    };
    let extreme = (0..DRAWS).filter(|_| drawn(&mut rng).abs() >= bound).count();
    (extreme + 1) as f64 / f64::from(DRAWS + 1)
}

/// The p-value of the two-sample permutation test on the difference of means: of all ways to deal the values out to the two
/// sides, the share whose means are at least as far apart. Exact for up to [`DEALS_EXACT_MAX`] ways, 1 if a side is empty.
pub fn exchange(baseline: &[f64], candidate: &[f64], seed: u64) -> f64 {
    let (few, many) =
        if baseline.len() <= candidate.len() { (baseline, candidate) } else { (candidate, baseline) };
    if few.is_empty() {
        return 1.0;
    }
    let all: Vec<f64> = few.iter().chain(many).copied().collect();
    // The means are the further apart the further the sum of the smaller side is from its share of the whole.
    let expected = mean(&all) * few.len() as f64;
    let size: f64 = all.iter().map(|value| value.abs()).sum();
    let bound = (few.iter().sum::<f64>() - expected).abs() - size * ROUNDING;
    let is_extreme = |sum: f64| (sum - expected).abs() >= bound;
    if let Some(ways) = choose(all.len(), few.len()).filter(|ways| *ways <= DEALS_EXACT_MAX) {
        let extreme = Deals::new(all.len(), few.len()).filter(|deal| is_extreme(sum(&all, *deal))).count();
        return extreme as f64 / ways as f64;
    }
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut dealt = all;
    let extreme = (0..DRAWS).filter(|_| is_extreme(deal(&mut dealt, few.len(), &mut rng))).count();
    (extreme + 1) as f64 / f64::from(DRAWS + 1)
}

/// The least p-value that `rounds` paired rounds can have: that of all signs being equal.
pub fn sign_flip_least(rounds: usize) -> f64 {
    0.5_f64.powf(rounds as f64 - 1.0).min(1.0)
}

/// The least p-value that two sets of rounds can have: that of one side being all below the other. (Two-sided, the
/// opposite deal is as extreme where both have equally many; counting it always is on the safe side.)
pub fn exchange_least(baseline: usize, candidate: usize) -> f64 {
    choose(baseline + candidate, baseline).map_or(0.0, |ways| 2.0 / ways as f64).min(1.0)
}

/// In how many ways `few` can be chosen of `all`; `None` if that is past counting, or of more than 64 things.
fn choose(all: usize, few: usize) -> Option<u64> {
    if all > 64 || few > all {
        return None;
    }
    // Each intermediate value is itself a binomial coefficient, so the division leaves nothing over.
    (0..few as u64).try_fold(1_u64, |ways, at| Some(ways.checked_mul(all as u64 - at)? / (at + 1)))
}

/// All ways to choose `few` of `all`, as sets of bits in ascending order.
struct Deals {
    next: Option<u64>,
    end: u32,
}

impl Deals {
    fn new(all: usize, few: usize) -> Self {
        // Bounded by the number of ways before: neither is anywhere near 64.
        Self { next: Some((1_u64 << few) - 1), end: u32::try_from(all).unwrap_or(u32::MAX) }
    }
}

impl Iterator for Deals {
    type Item = u64;

    /// Gosper's hack (HAKMEM 175): the next larger number with as many ones.
    fn next(&mut self) -> Option<u64> {
        let deal = self.next.filter(|deal| *deal != 0 && deal.ilog2() < self.end)?;
        let lowest = deal & deal.wrapping_neg();
        self.next = deal.checked_add(lowest).map(|ripple| ripple | (((deal ^ ripple) >> 2) / lowest));
        Some(deal)
    }
}

fn sum(values: &[f64], mut deal: u64) -> f64 {
    let mut sum = 0.0;
    while deal != 0 {
        sum += values[deal.trailing_zeros() as usize];
        deal &= deal - 1;
    }
    sum
}

/// Deals some of the values out, at random, and answers their sum: the first steps of a Fisher-Yates shuffle.
fn deal(values: &mut [f64], few: usize, rng: &mut impl Rng) -> f64 {
    for at in 0..few {
        values.swap(at, rng.random_range(at..values.len()));
    }
    values[..few].iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn assert_near(actual: f64, expected: f64, within: f64) {
        assert!((actual - expected).abs() < within, "{actual} is not {expected}");
    }

    /// By hand: of the 8 sums ±1 ±2 ±3, only 6 and -6 are as far out as 6; of ±1 ±2 ±4 with sum -3 + ... see the case.
    #[test]
    fn signs_are_counted_as_by_hand() {
        assert_near(sign_flip(&[1.0, 2.0, 3.0], 0), 2.0 / 8.0, 1e-12);
        // Sums of ±1 ±2 ±4: 7, 5, 3, 1 and their negatives; 5 = -1 + 2 + 4 is reached or passed by ±7 and ±5.
        assert_near(sign_flip(&[-1.0, 2.0, 4.0], 0), 4.0 / 8.0, 1e-12);
        // Ties: ±1 ±1 ±1 is at least 1 away from 0 always.
        assert_near(sign_flip(&[1.0, 1.0, -1.0], 0), 1.0, 1e-12);
        assert_near(sign_flip(&[0.1; 10], 0), 2.0 / 1024.0, 1e-12);
        assert_near(sign_flip(&[], 0), 1.0, 1e-12);
    }

    /// Darwin's maize, as Fisher analysed it ("The Design of Experiments", section 21): of 32 768 assignments, 863 have a sum of
    /// at least 314 eighths of an inch on its side, so the two-sided p-value is 1726 / 32768 = 5.267 %.
    #[test]
    fn darwins_maize_gives_fishers_figure() {
        let eighths =
            [49.0, -67.0, 8.0, 16.0, 6.0, 23.0, 28.0, 41.0, 14.0, 29.0, 56.0, 24.0, 75.0, 60.0, -48.0];
        assert_near(sign_flip(&eighths, 0), 1_726.0 / 32_768.0, 1e-12);
    }

    /// A value of 0 has a sign that nothing hangs on, so that the p-value stays; with 21 values, it is drawn.
    #[test]
    fn past_enumeration_signs_are_drawn() {
        let mut values: Vec<f64> = (0..SIGNS_EXACT_MAX).map(|at| 0.4 + (at as f64).sin()).collect();
        let exact = sign_flip(&values, 0);
        values.push(0.0);
        assert_near(sign_flip(&values, 11), exact, 0.005);
        assert!(sign_flip(&[1.0; 64], 5) > 0.0, "a p-value is never 0");
        assert_eq!(sign_flip(&values, 11).to_bits(), sign_flip(&values, 11).to_bits());
    }

    /// By hand: 1 2 | 3 4 is one of C(4,2) = 6 deals, and as extreme as its opposite alone.
    #[test]
    fn deals_are_counted_as_by_hand() {
        assert_near(exchange(&[1.0, 2.0], &[3.0, 4.0], 0), 2.0 / 6.0, 1e-12);
        // Of 5 deals of one value, only that of the 9 is as far from the mean of the others.
        assert_near(exchange(&[9.0], &[1.0, 2.0, 3.0, 4.0], 0), 1.0 / 5.0, 1e-12);
        assert_near(exchange(&[1.0, 2.0, 3.0, 4.0], &[9.0], 0), 1.0 / 5.0, 1e-12);
        assert_near(exchange(&[1.0, 1.0], &[1.0, 1.0], 0), 1.0, 1e-12);
        assert_near(exchange(&[], &[1.0], 0), 1.0, 1e-12);
    }

    /// 6 against 6 have 924 deals; 13 against 13 have ten millions and are drawn.
    #[test]
    fn past_enumeration_deals_are_drawn() {
        let side = |shift: f64, count: u32| -> Vec<f64> {
            (0..count).map(|at| shift + f64::from(at).sin()).collect()
        };
        let (few, many) =
            (exchange(&side(0.0, 6), &side(0.9, 6), 0), exchange(&side(0.0, 13), &side(0.9, 13), 0));
        assert!(few > many && many > 0.0, "{few} {many}");
        assert_near(exchange(&side(0.0, 13), &side(0.0, 13), 3), 1.0, 1e-12);
    }

    /// By hand: distances 1 2 2 5 have ranks 1, 2.5, 2.5, 4 (signs - + + +, sum 8). Of 16 assignments, ±10 and ±8 are at least as
    /// far from 0.
    #[test]
    fn ranks_are_dealt_out_as_by_hand() {
        assert_eq!(ranks(&[1.0, 2.0, 2.0, 5.0]), [1.0, 2.5, 2.5, 4.0]);
        assert_near(signed_rank(&[-1.0, 2.0, 2.0, 5.0], 0), 4.0 / 16.0, 1e-12);
        assert_near(signed_rank(&[0.0, 0.0], 0), 1.0, 1e-12);
        assert_near(rank_sum(&[1.0, 2.0], &[3.0, 400.0], 0), 2.0 / 6.0, 1e-12);
        // Of 8 rounds, seven agree and one was disturbed by a hundred times as much: its rank is 8, as it would be at once
        // as much. Below a sum of 8 lie the subsets of 1..8 that sum up to at most 8: 25 of 256, both ways.
        let disturbed = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, -100.0];
        assert_near(signed_rank(&disturbed, 0), 2.0 * 25.0 / 256.0, 1e-12);
        assert!(sign_flip(&disturbed, 0) > 0.9, "which is what it is for");
    }

    /// Darwin's maize once more: the ranks of the negative values, 67 and 48 eighths, are 14 and 10, so T = 24. Of 32 768
    /// assignments 676 have a sum as small, and as many one as large: 4.1 %, which is the published figure.
    #[test]
    fn darwins_maize_has_its_published_rank_test() {
        let eighths =
            [49.0, -67.0, 8.0, 16.0, 6.0, 23.0, 28.0, 41.0, 14.0, 29.0, 56.0, 24.0, 75.0, 60.0, -48.0];
        assert_near(signed_rank(&eighths, 0), 1_352.0 / 32_768.0, 1e-12);
    }

    #[test]
    fn the_least_p_values_are_reached() {
        assert_near(sign_flip_least(6), 2.0 / 64.0, 1e-12);
        assert_near(sign_flip(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 0), sign_flip_least(6), 1e-12);
        assert_near(exchange_least(3, 3), 2.0 / 20.0, 1e-12);
        assert_near(exchange(&[1.0, 2.0, 3.0], &[4.0, 5.0, 6.0], 0), exchange_least(3, 3), 1e-12);
        assert_eq!(choose(24, 12), Some(2_704_156));
        assert_eq!(choose(64, 32), None);
    }
}
