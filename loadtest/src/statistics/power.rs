//! What could have been seen: the minimal detectable effect, from the noise that was there.
//!
//! A comparison that finds no difference says little unless it is known which difference it would have found. That is
//! told at [`super::POWER`] and [`super::LEVEL`], for the strictest step of the correction for many comparisons.

use statrs::distribution::{ContinuousCDF, Normal};

use super::interval::student;
use super::permutation::sign_flip_least;
use super::{LEVEL, POWER, ROUNDS_MIN};

/// The standard error of a median above that of a mean, of normal noise: √(π/2) (Fisher, 1920). An effect is called one
/// only where the interval around the median leaves 0 out, too.
const MEDIAN_EXCESS: f64 = 1.253_314_137_315_500_1;

/// Up to so many rounds, the interval is from the least to the largest: it leaves 0 out if all signs are equal.
const WHOLE_MAX: usize = 7;

/// What decides how small an effect could be and still be seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Noise {
    /// Standard error of the mean log-ratio.
    pub standard_error: f64,
    /// Degrees of freedom of what that is computed from.
    pub degrees: f64,
    /// Degrees of freedom that intervals are expanded by: those of the smaller side.
    pub degrees_least: f64,
    /// Rounds that are each worth one sign; `None` where sides are not paired.
    pub signs: Option<usize>,
    /// The least p-value that this many rounds can have.
    pub p_least: f64,
}

impl Noise {
    /// The smallest true log-ratio that is called a difference with a chance of [`POWER`], when as many `comparisons` are
    /// made and corrected for; `None` if none can, however large, because there are too few rounds.
    ///
    /// Two conditions have to hold. The test has to reject at level/comparisons: as of Student's test, (t(1-α/2) + t(power))
    /// standard errors, to which the exact tests on ranks are close; but their p-values come in steps, so α is
    /// rounded down to one of them. And the interval has to leave 0 out: the same with the standard error of a median,
    /// uncorrected. Each alone is given a chance of √[`POWER`], so that both together have [`POWER`] even if they had
    /// nothing to do with each other; and where either means that all signs must be equal, that is counted as it is.
    ///
    /// Simulated on normal noise, the chance is 80 to 93 %; where one round in ten is five times as noisy, 78 % were seen.
    pub fn minimal_detectable(&self, comparisons: usize) -> Option<f64> {
        let steps = (LEVEL / comparisons.max(1) as f64 / self.p_least + 1e-9).floor();
        if steps < 1.0 {
            return None;
        }
        let beyond = |tail: f64, degrees: f64| {
            Some(student(1.0 - tail / 2.0, degrees)? + student(POWER.sqrt(), degrees)?)
        };
        let tested = beyond(steps * self.p_least, self.degrees)?;
        let enclosed = beyond(LEVEL, self.degrees_least)? * MEDIAN_EXCESS;
        let decided_by_all = |rounds: &usize| steps < 2.0 || *rounds <= WHOLE_MAX;
        let signed = self.signs.filter(decided_by_all).map_or(0.0, all_signs_equal);
        Some(self.standard_error * tested.max(enclosed).max(signed))
    }
}

/// The effect, in standard errors of the mean of `rounds`, with which all of them have the same sign with a chance of [`POWER`].
fn all_signs_equal(rounds: usize) -> f64 {
    let rounds = rounds as f64;
    Normal::standard().inverse_cdf(POWER.powf(1.0 / rounds)) * rounds.sqrt()
}

/// The fewest paired rounds with which one of so many comparisons can be called a difference at all: the n with
/// 2^(1-n) x comparisons at the level or below.
pub fn rounds_needed(comparisons: usize) -> usize {
    // 2^-60 is below any number of comparisons that can be asked for.
    (ROUNDS_MIN..60)
        .find(|rounds| sign_flip_least(*rounds) * comparisons.max(1) as f64 <= LEVEL)
        .unwrap_or(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paired(rounds: usize) -> Noise {
        let n = rounds as f64;
        Noise {
            standard_error: 1.0 / n.sqrt(),
            degrees: n - 1.0,
            degrees_least: n - 1.0,
            signs: Some(rounds),
            p_least: sign_flip_least(rounds),
        }
    }

    /// From tables: t(0.975; 19) = 2.0930 and t(0.8944; 19) = 1.2942; times 1.2533, over √20, is 0.9492.
    #[test]
    fn one_comparison_of_twenty_rounds_is_bounded_by_its_interval() {
        assert!((paired(20).minimal_detectable(1).unwrap() - 0.949_2).abs() < 1e-3);
    }

    /// Six rounds decide only if all signs are equal: Φ(x)^6 = 0.8 at x = 1.7929.
    #[test]
    fn at_the_last_step_all_signs_must_be_equal() {
        assert!((all_signs_equal(6) / 6.0_f64.sqrt() - 1.792_9).abs() < 1e-3);
        assert!(paired(6).minimal_detectable(1).unwrap() >= 1.792);
    }

    #[test]
    fn too_few_rounds_detect_nothing() {
        assert_eq!(paired(5).minimal_detectable(1), None);
        assert_eq!(paired(8).minimal_detectable(7), None);
        assert!(paired(9).minimal_detectable(7).is_some());
        // 2^(1-n) times the number of comparisons has to be 0.05 at most.
        assert_eq!([1, 2, 3, 6, 7, 12, 25].map(rounds_needed), [6, 7, 7, 8, 9, 9, 10]);
    }

    #[test]
    fn more_noise_and_more_comparisons_hide_more() {
        let noise = paired(12);
        let twice = Noise { standard_error: 2.0 * noise.standard_error, ..noise };
        let seen = noise.minimal_detectable(7).unwrap();
        assert!((twice.minimal_detectable(7).unwrap() / seen - 2.0).abs() < 1e-9);
        assert!(noise.minimal_detectable(1).unwrap() < seen);
    }
}
