//! One comparison: two sides, paired by round or not, and what they say.

use super::interval::{self, Interval, RESAMPLES};
use super::permutation::{self, rank_sum, signed_rank};
use super::power::Noise;
use super::{mean, median, variance};

/// The logarithms of what is compared. Positive differences mean that the candidate's figure is larger.
#[derive(Debug, Clone, PartialEq)]
pub enum Contrast {
    /// The sides ran in the same rounds: each round's log-ratio, in which what the machine did to the whole round cancels.
    Paired(Vec<f64>),
    /// The sides ran apart: the logarithms of each.
    Unpaired {
        /// Of the side that is compared with.
        baseline: Vec<f64>,
        /// Of the side that is compared.
        candidate: Vec<f64>,
    },
}

impl Contrast {
    /// The typical log-ratio: the median of the rounds' own, or the difference of the sides' medians.
    pub fn estimate(&self) -> Option<f64> {
        match self {
            Self::Paired(ratios) => median(ratios),
            Self::Unpaired { baseline, candidate } => Some(median(candidate)? - median(baseline)?),
        }
    }

    /// Where the true one lies; `None` of too few rounds.
    pub fn interval(&self, seed: u64) -> Option<Interval> {
        self.interval_of(RESAMPLES, seed)
    }

    /// The same, with as many resamples as are given.
    pub fn interval_of(&self, resamples: usize, seed: u64) -> Option<Interval> {
        match self {
            Self::Paired(ratios) => interval::of_median(ratios, resamples, seed),
            Self::Unpaired { baseline, candidate } => {
                interval::of_difference(baseline, candidate, resamples, seed)
            }
        }
    }

    /// The p-value of there being no difference.
    pub fn p_value(&self, seed: u64) -> f64 {
        match self {
            Self::Paired(ratios) => signed_rank(ratios, seed),
            Self::Unpaired { baseline, candidate } => rank_sum(baseline, candidate, seed),
        }
    }

    /// Rounds; where the sides have their own, of the smaller one.
    pub fn rounds(&self) -> usize {
        match self {
            Self::Paired(ratios) => ratios.len(),
            Self::Unpaired { baseline, candidate } => baseline.len().min(candidate.len()),
        }
    }

    /// The noise of this comparison alone.
    pub fn noise(&self) -> Noise {
        match self {
            Self::Paired(ratios) => Noise {
                standard_error: (variance(ratios) / ratios.len().max(1) as f64).sqrt(),
                degrees: ratios.len() as f64 - 1.0,
                degrees_least: ratios.len() as f64 - 1.0,
                signs: Some(ratios.len()),
                p_least: permutation::sign_flip_least(ratios.len()),
            },
            Self::Unpaired { baseline, candidate } => {
                let share = |side: &[f64]| variance(side) / side.len().max(1) as f64;
                Noise {
                    standard_error: (share(baseline) + share(candidate)).sqrt(),
                    degrees: (baseline.len() + candidate.len()) as f64 - 2.0,
                    degrees_least: self.rounds() as f64 - 1.0,
                    signs: None,
                    p_least: permutation::exchange_least(baseline.len(), candidate.len()),
                }
            }
        }
    }
}

/// The noise of comparisons of one design, pooled: the mean of their variances (each of which is known from a few rounds
/// only), and the rounds of the one that has the fewest. `None` of no comparison.
pub fn pooled(contrasts: &[Contrast]) -> Option<Noise> {
    let noises: Vec<Noise> = contrasts.iter().map(Contrast::noise).collect();
    let fewest = noises.iter().copied().min_by(|a, b| a.degrees.total_cmp(&b.degrees))?;
    let squares: Vec<f64> = noises.iter().map(|noise| noise.standard_error.powi(2)).collect();
    Some(Noise { standard_error: mean(&squares).sqrt(), ..fewest })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_and_sides_are_estimated_by_medians() {
        assert_eq!(Contrast::Paired(vec![0.1, 0.3, 0.9]).estimate(), Some(0.3));
        let apart = Contrast::Unpaired { baseline: vec![1.0, 2.0, 9.0], candidate: vec![2.5, 2.5] };
        assert_eq!((apart.estimate(), apart.rounds()), (Some(0.5), 2));
        assert_eq!(Contrast::Paired(Vec::new()).estimate(), None);
    }

    /// Variances of 1 2 3 (1) and 0 2 (2), over 3 and 2 values: standard errors √(1/3), 1, and √(4/3) of the difference.
    #[test]
    fn standard_errors_are_as_by_hand() {
        let paired = Contrast::Paired(vec![1.0, 2.0, 3.0]).noise();
        assert!((paired.standard_error.powi(2) - 1.0 / 3.0).abs() < 1e-12);
        let apart = Contrast::Unpaired { baseline: vec![1.0, 2.0, 3.0], candidate: vec![0.0, 2.0] };
        assert!((apart.noise().standard_error.powi(2) - 4.0 / 3.0).abs() < 1e-12);
        assert!((apart.noise().degrees - 3.0).abs() < 1e-12);
        let both = pooled(&[Contrast::Paired(vec![1.0, 2.0, 3.0]), Contrast::Paired(vec![0.0; 9])]).unwrap();
        assert!((both.standard_error.powi(2) - 1.0 / 6.0).abs() < 1e-12);
        assert!((both.degrees - 2.0).abs() < 1e-12, "the one of fewest rounds counts");
        assert_eq!(pooled(&[]), None);
    }
}
