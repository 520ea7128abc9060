//! From contrasts to words: faster, slower, equivalent or inconclusive; and whether a gate fires.
//!
//! One figure (CPU time, throughput, ...) is judged for all candidates at once, beside a control: the baseline against a copy
//! of itself, which differs from it in nothing but noise.

use serde::{Deserialize, Serialize};

use super::contrast::{Contrast, pooled};
use super::interval::{Interval, RESAMPLES};
use super::{LEVEL, holm};

/// Which direction of a figure is the good one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// Such as a latency.
    Lower,
    /// Such as a throughput.
    Higher,
}

impl Better {
    /// How large a logarithm of a ratio may be in the bad direction, for a share of 0.1: 1.1 times a latency, or 0.9 times a
    /// throughput.
    pub fn allowed(self, share: f64) -> f64 {
        match self {
            Self::Lower => share.ln_1p(),
            Self::Higher => -(-share).ln_1p(),
        }
    }
}

/// What is said of one candidate in one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Better, and by more than the margin or by an unknown amount that is not nothing.
    Faster,
    /// Worse, likewise.
    Slower,
    /// The whole interval lies within the margin: whatever difference there is does not matter.
    Equivalent,
    /// Neither a difference nor its absence has been shown.
    Inconclusive,
}

/// How to judge.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// Ratios from 1/(1+margin) to 1+margin are as good as equal.
    pub margin: f64,
    /// Resamples of an interval.
    pub resamples: usize,
    /// The seed of intervals, and of tests past enumeration.
    pub seed: u64,
}

/// One candidate in one figure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The candidate's figure divided by the baseline's: the median.
    pub ratio: f64,
    /// Where the true ratio lies with 95 %; absent of fewer than six rounds.
    pub interval: Option<Interval>,
    /// Of the test of no difference, before correction.
    pub p_value: f64,
    /// After Holm's correction over the candidates; the control's is not corrected.
    pub p_adjusted: f64,
    /// What that means.
    pub finding: Finding,
    /// Rounds that went in; of the smaller side where the sides have their own.
    pub rounds: usize,
}

/// One figure, judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// Which direction is good.
    pub better: Better,
    /// Of each candidate, in the order given; none where it has no such figure.
    pub candidates: Vec<Option<Judged>>,
    /// Of the copy of the baseline.
    pub control: Option<Judged>,
    /// How far from 1 the true ratio of the control may be, as its interval has it: 0.04 is 4 %. Absent where that is not known.
    pub noise: Option<f64>,
    /// The smallest change that would have been called one with 80 % chance at the 5 % level, corrected for all candidates:
    /// 0.04 is 4 %. Absent where there are too few rounds for any.
    pub minimal_detectable: Option<f64>,
}

impl Rules {
    /// Rules with as many resamples as a published interval has.
    pub const fn new(margin: f64, seed: u64) -> Self {
        Self { margin, resamples: RESAMPLES, seed }
    }

    /// Judges one figure.
    pub fn judge(&self, better: Better, candidates: &[Contrast], control: Option<&Contrast>) -> Judgement {
        let known: Vec<&Contrast> = candidates.iter().filter(|contrast| contrast.rounds() > 0).collect();
        let p_values: Vec<f64> = known.iter().map(|contrast| contrast.p_value(self.seed)).collect();
        let adjusted = holm::adjust(&p_values);
        let control_judged = control.and_then(|contrast| {
            let p_value = contrast.p_value(self.seed);
            self.weigh(better, contrast, p_value, p_value, 0.0)
        });
        // The control is the baseline. If it comes out as different from it all the same, something is not as the tests
        // assume, or chance had it so: then nothing that is no further from 1 is called different.
        let is_off = control_judged.as_ref().is_some_and(|control| {
            control.p_value <= LEVEL && control.interval.is_some_and(|interval| !interval.contains(1.0))
        });
        let noise = control_judged.as_ref().and_then(|control| control.interval).map(reach);
        let bar = noise.filter(|_| is_off).unwrap_or(0.0);
        let mut figures = p_values.into_iter().zip(adjusted);
        let judged = candidates.iter().map(|contrast| {
            let (p_value, p_adjusted) = if contrast.rounds() > 0 { figures.next()? } else { return None };
            self.weigh(better, contrast, p_value, p_adjusted, bar)
        });
        let candidates_judged = judged.collect();
        let all: Vec<Contrast> = known.iter().copied().chain(control).cloned().collect();
        let minimal = pooled(&all).and_then(|noise| noise.minimal_detectable(known.len().max(1)));
        Judgement {
            better,
            candidates: candidates_judged,
            control: control_judged,
            noise: noise.map(f64::exp_m1),
            minimal_detectable: minimal.map(f64::exp_m1),
        }
    }

    fn weigh(
        &self,
        better: Better,
        contrast: &Contrast,
        p_value: f64,
        p_adjusted: f64,
        bar: f64,
    ) -> Option<Judged> {
        let estimate = contrast.estimate()?;
        let interval = contrast.interval_of(self.resamples, self.seed);
        let finding = interval.map_or(Finding::Inconclusive, |interval| {
            let cost = cost(better, interval);
            let differs = p_adjusted <= LEVEL;
            if cost.reach() <= self.margin.ln_1p() {
                Finding::Equivalent
            } else if differs && cost.low > bar {
                Finding::Slower
            } else if differs && cost.high < -bar {
                Finding::Faster
            } else {
                Finding::Inconclusive
            }
        });
        let ratios = |Interval { low, high }: Interval| Interval { low: low.exp(), high: high.exp() };
        Some(Judged {
            ratio: estimate.exp(),
            interval: interval.map(ratios),
            p_value,
            p_adjusted,
            finding,
            rounds: contrast.rounds(),
        })
    }
}

impl Judgement {
    /// Whether a candidate is worse than a gate allows: beyond the gate (0.1 lets a latency be a tenth higher, or a
    /// throughput a tenth lower), beyond the noise of the control, and not by chance. All of the interval has to be.
    ///
    /// Without a control nothing is known of the noise, and no gate fires.
    pub fn breaks(&self, gate: f64, judged: &Judged) -> bool {
        let (Some(interval), Some(noise)) = (judged.interval, self.noise) else { return false };
        let logs = Interval { low: interval.low.ln(), high: interval.high.ln() };
        judged.p_adjusted <= LEVEL
            && cost(self.better, logs).low > self.better.allowed(gate).max(noise.ln_1p())
    }
}

/// An interval of log-ratios, turned so that above 0 is worse.
fn cost(better: Better, interval: Interval) -> Interval {
    match better {
        Better::Lower => interval,
        Better::Higher => interval.negated(),
    }
}

/// How far from 1 an interval of ratios reaches, as a logarithm.
fn reach(interval: Interval) -> f64 {
    Interval { low: interval.low.ln(), high: interval.high.ln() }.reach()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { margin: 0.05, resamples: 1_000, seed: 1 };

    /// Ten rounds around a ratio, each a little off.
    fn around(ratio: f64, spread: f64) -> Contrast {
        Contrast::Paired((0..10).map(|at| ratio.ln() + spread * (f64::from(at) - 4.5) / 4.5).collect())
    }

    fn finding(better: Better, contrast: Contrast) -> Finding {
        RULES.judge(better, &[contrast], Some(&around(1.0, 0.01))).candidates[0].as_ref().unwrap().finding
    }

    #[test]
    fn the_four_words() {
        assert_eq!(finding(Better::Lower, around(1.3, 0.02)), Finding::Slower);
        assert_eq!(finding(Better::Lower, around(0.7, 0.02)), Finding::Faster);
        assert_eq!(finding(Better::Higher, around(1.3, 0.02)), Finding::Faster);
        assert_eq!(finding(Better::Higher, around(0.7, 0.02)), Finding::Slower);
        assert_eq!(finding(Better::Lower, around(1.01, 0.01)), Finding::Equivalent);
        assert_eq!(finding(Better::Lower, around(1.02, 0.3)), Finding::Inconclusive);
    }

    #[test]
    fn too_few_rounds_are_inconclusive_however_far_apart() {
        let few = Contrast::Paired(vec![2.0; 5]);
        let judgement = RULES.judge(Better::Lower, &[few], Some(&Contrast::Paired(vec![0.0; 5])));
        let judged = judgement.candidates[0].as_ref().unwrap();
        assert_eq!((judged.finding, judged.interval), (Finding::Inconclusive, None));
        assert_eq!(judgement.minimal_detectable, None);
        assert!(!judgement.breaks(0.1, judged));
    }

    #[test]
    fn the_correction_counts_the_candidates() {
        // Of 7 candidates, 8 rounds that all agree are not enough (2/2^8 x 7 = 0.055); of 6, they are (0.047).
        let eight =
            |ratio: f64| Contrast::Paired((0..8).map(|at| ratio.ln() + f64::from(at) * 0.001).collect());
        let same = Contrast::Paired((0..8).map(|at| 0.01 * (f64::from(at) - 3.5)).collect());
        let with = |others: usize| {
            let mut candidates = vec![same.clone(); others];
            candidates.push(eight(1.5));
            RULES.judge(Better::Lower, &candidates, Some(&same)).candidates.pop().flatten().unwrap().finding
        };
        assert_eq!((with(5), with(6)), (Finding::Slower, Finding::Inconclusive));
    }

    #[test]
    fn a_gate_wants_the_whole_interval_beyond_gate_and_noise() {
        let fires = |better, contrast: Contrast, control: Contrast| {
            let judgement = RULES.judge(better, &[contrast], Some(&control));
            judgement.breaks(0.1, judgement.candidates[0].as_ref().unwrap())
        };
        let quiet = || around(1.0, 0.01);
        assert!(fires(Better::Lower, around(1.3, 0.02), quiet()));
        assert!(!fires(Better::Lower, around(0.7, 0.02), quiet()), "better is never a regression");
        assert!(!fires(Better::Lower, around(1.08, 0.01), quiet()), "within the gate");
        assert!(!fires(Better::Lower, around(1.12, 0.2), quiet()), "the interval reaches below the gate");
        assert!(!fires(Better::Lower, around(1.3, 0.02), around(1.0, 0.5)), "no more than the noise");
        // A tenth less is allowed: 0.905 is within, 0.895 is not. A cost of 1/0.905 would not be.
        assert!(!fires(Better::Higher, around(0.905, 0.001), quiet()));
        assert!(fires(Better::Higher, around(0.895, 0.001), quiet()));
        let alone = RULES.judge(Better::Lower, &[around(2.0, 0.01)], None);
        assert!(!alone.breaks(0.1, alone.candidates[0].as_ref().unwrap()), "nothing is known of the noise");
    }

    #[test]
    fn a_control_that_is_off_raises_the_bar() {
        let judge = |control: Contrast| {
            let judgement = RULES.judge(Better::Lower, &[around(1.2, 0.02)], Some(&control));
            judgement.candidates[0].as_ref().unwrap().finding
        };
        assert_eq!(judge(around(1.0, 0.3)), Finding::Slower, "it is noisy, but not off");
        assert_eq!(judge(around(1.3, 0.02)), Finding::Inconclusive);
    }

    #[test]
    fn a_candidate_without_the_figure_is_left_out_of_the_correction() {
        let judgement = RULES.judge(Better::Lower, &[Contrast::Paired(Vec::new()), around(1.5, 0.01)], None);
        assert_eq!(judgement.candidates[0], None);
        let judged = judgement.candidates[1].as_ref().unwrap();
        assert!((judged.p_adjusted - judged.p_value).abs() < f64::EPSILON);
    }
}
