//! From turns to comparisons: each figure of each candidate against its baseline's, round by round.

use serde::{Deserialize, Serialize};

use super::contender::{Contender, Role};
use super::gate::Gate;
use super::metric::Metric;
use super::turn::Turn;
use crate::statistics::{Contrast, Judged, LEVEL, POWER, Rules};

/// How the two sides of comparisons belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Design {
    /// By round: they had their turns in the same rounds.
    Paired,
    /// Not at all: they had rounds of their own.
    Unpaired,
}

/// The figures of one contender in one round, of this run or of an earlier one.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Whose.
    pub contender: String,
    /// The round, from 1.
    pub round: u32,
    /// One for each of [`Metric::ALL`], in that order.
    pub figures: [Option<f64>; Metric::ALL.len()],
}

impl Sample {
    /// Of a turn.
    pub fn of(turn: &Turn) -> Self {
        Self {
            contender: turn.contender.clone(),
            round: turn.round,
            figures: Metric::ALL.map(|metric| metric.of(turn)),
        }
    }
}

/// One figure of all candidates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The figure.
    pub metric: Metric,
    /// How the sides belong together.
    pub design: Design,
    /// The level of tests; intervals are of 1 minus this.
    pub level: f64,
    /// Ratios from 1/(1+margin) to 1+margin are as good as equal.
    pub margin: f64,
    /// How far from 1 the copy of the baseline may be, as its interval has it: 0.04 is 4 %. A gate does not fire within it.
    pub noise: Option<f64>,
    /// The smallest change that would have been called one with a chance of `power`: 0.04 is 4 %.
    pub minimal_detectable: Option<f64>,
    /// See `minimal_detectable`.
    pub power: f64,
    /// The candidates, in the order of the contenders.
    pub candidates: Vec<Row>,
    /// The copy of the baseline.
    pub control: Option<Row>,
}

/// One figure of one candidate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Who.
    pub contender: String,
    /// Why it is there.
    pub role: Role,
    /// With whom it is compared.
    pub against: String,
    /// What came of it; nothing where one side has no such figure.
    pub judged: Option<Judged>,
    /// Whether it is worse than the gate allows; absent where no gate looks at it.
    pub broke_gate: Option<bool>,
}

/// Judges all figures. All comparisons are of one design, that of the copy included: its noise is to be theirs.
pub fn judge(
    samples: &[Sample],
    contenders: &[Contender],
    design: Design,
    gate: Option<&Gate>,
    rules: &Rules,
) -> Vec<Comparison> {
    let compared = |(at, metric): (usize, Metric)| {
        compare(metric, &Figures { samples, at, design }, contenders, gate, rules)
    };
    Metric::ALL.into_iter().enumerate().map(compared).collect()
}

/// One figure of all turns.
struct Figures<'a> {
    samples: &'a [Sample],
    at: usize,
    design: Design,
}

impl Figures<'_> {
    fn of(&self, contender: &str) -> impl Iterator<Item = (u32, f64)> {
        let own = self.samples.iter().filter(move |sample| sample.contender == contender);
        own.filter_map(|sample| Some((sample.round, sample.figures[self.at]?)))
    }

    /// A contender's figures against those of its baseline.
    fn contrast(&self, baseline: &str, candidate: &str) -> Contrast {
        let logs = |contender| self.of(contender).map(|(_, value)| value.ln()).collect();
        match self.design {
            Design::Unpaired => Contrast::Unpaired { baseline: logs(baseline), candidate: logs(candidate) },
            // The log-ratios of the rounds in which both sides have the figure.
            Design::Paired => {
                let ratio = |(round, value): (u32, f64)| {
                    let (_, base) = self.of(baseline).find(|(other, _)| *other == round)?;
                    Some((value / base).ln())
                };
                Contrast::Paired(self.of(candidate).filter_map(ratio).collect())
            }
        }
    }
}

/// Whether a contender is one of those that a correction counts.
pub fn is_candidate(contender: &Contender) -> bool {
    contender.against.is_some() && contender.role != Role::Copy
}

fn compare(
    metric: Metric,
    figures: &Figures<'_>,
    contenders: &[Contender],
    gate: Option<&Gate>,
    rules: &Rules,
) -> Comparison {
    let contrast = |contender| contrast(figures, contender);
    let candidates: Vec<_> = contenders.iter().filter(|c| is_candidate(c)).map(contrast).collect();
    let copy = contenders.iter().find(|contender| contender.role == Role::Copy).map(contrast);
    let contrasts: Vec<Contrast> = candidates.iter().map(|(_, contrast, _)| contrast.clone()).collect();
    let judgement = rules.judge(metric.better(), &contrasts, copy.as_ref().map(|(_, contrast, _)| contrast));
    let gate = gate.filter(|gate| gate.metrics.contains(&metric));
    let row = |contender: &Contender, against: String, judged: Option<Judged>| Row {
        contender: contender.label.clone(),
        role: contender.role,
        against,
        broke_gate: gate.zip(judged.as_ref()).map(|(gate, judged)| judgement.breaks(gate.allowed, judged)),
        judged,
    };
    let control = copy.map(|(contender, _, against)| Row {
        broke_gate: None,
        ..row(contender, against, judgement.control.clone())
    });
    let judged = candidates.into_iter().zip(judgement.candidates.iter().cloned());
    Comparison {
        metric,
        design: figures.design,
        level: LEVEL,
        margin: rules.margin,
        noise: judgement.noise,
        minimal_detectable: judgement.minimal_detectable,
        power: POWER,
        candidates: judged.map(|((contender, _, against), judged)| row(contender, against, judged)).collect(),
        control,
    }
}

/// A contender, its figures against those of its baseline, and the label of that.
fn contrast<'a>(figures: &Figures<'_>, contender: &'a Contender) -> (&'a Contender, Contrast, String) {
    let against = contender.against.clone().unwrap_or_default();
    (contender, figures.contrast(&against, &contender.label), against)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::contender::Field;
    use super::super::findings;
    use super::super::server::{Storage, Strategy};
    use super::*;
    use crate::exit::Exit;
    use crate::statistics::Finding;

    const RULES: Rules = Rules { margin: 0.05, resamples: 1_000, seed: 3 };

    /// `mutex`, then `slow` at 0.7 of its throughput, `racy`, and the copy of `mutex`; nine rounds of rising speed, in which a
    /// comparison that did not pair rounds would see nothing.
    fn example() -> (Vec<Contender>, Vec<Turn>) {
        let strategy = |name: &str, correct| Strategy { name: name.to_owned(), correct };
        let strategies = [strategy("mutex", true), strategy("slow", true), strategy("racy", false)];
        let field = Field { program: Path::new("inventory"), storage: Storage::Durable, delay: None };
        let contenders = field.against_one(&strategies, None).unwrap();
        let mut turns = Vec::new();
        for round in 1..=9 {
            let machine = 2_f64.powi(i32::try_from(round).unwrap());
            let wobble = 1.0 + 0.01 * f64::from(round % 3);
            for (contender, speed) in contenders.iter().zip([1.0, 0.7 * wobble, 5.0, 1.0 / wobble + 0.01]) {
                turns.push(Turn::made_up(contender, round, 1_000.0 * machine * speed));
            }
        }
        (contenders, turns)
    }

    fn judged(turns: &[Turn], contenders: &[Contender], gate: Option<&Gate>) -> Vec<Comparison> {
        let samples: Vec<Sample> = turns.iter().map(Sample::of).collect();
        judge(&samples, contenders, Design::Paired, gate, &RULES)
    }

    fn gate(allowed: f64) -> Gate {
        Gate { allowed, metrics: vec![Metric::Throughput, Metric::P99] }
    }

    #[test]
    fn rounds_are_paired_and_each_figure_is_judged_in_its_own_direction() {
        let (contenders, turns) = example();
        let comparisons = judged(&turns, &contenders, None);
        assert_eq!(comparisons.len(), 4);
        for comparison in &comparisons {
            let [slow] = &comparison.candidates[..] else { panic!("racy is no candidate: {comparison:?}") };
            let judged = slow.judged.as_ref().unwrap();
            assert_eq!((judged.finding, slow.broke_gate), (Finding::Slower, None), "{comparison:?}");
            let ratio = if comparison.metric == Metric::Throughput { 0.707 } else { 1.0 / 0.707 };
            assert!((judged.ratio - ratio).abs() < 1e-9, "{judged:?}");
            let control = comparison.control.as_ref().unwrap();
            assert_eq!(control.contender, "mutex (A/A)");
            assert_eq!(control.judged.as_ref().unwrap().finding, Finding::Equivalent);
            assert!(comparison.minimal_detectable.is_some_and(|effect| effect < 0.1), "{comparison:?}");
        }
    }

    /// The same rounds, not paired: the machine's own doubling from round to round hides everything.
    #[test]
    fn sides_that_ran_apart_are_not_paired() {
        let (contenders, turns) = example();
        let samples: Vec<Sample> = turns.iter().map(Sample::of).collect();
        for comparison in judge(&samples, &contenders, Design::Unpaired, None, &RULES) {
            let judged = comparison.candidates[0].judged.as_ref().unwrap();
            assert_eq!((judged.finding, comparison.design), (Finding::Inconclusive, Design::Unpaired));
        }
    }

    #[test]
    fn a_gate_names_each_figure_that_it_looks_at_and_no_other() {
        let (contenders, turns) = example();
        let told = |allowed: f64| {
            let gate = gate(allowed);
            let comparisons = judged(&turns, &contenders, Some(&gate));
            findings::gated(&gate, &comparisons)
        };
        let findings = told(0.1);
        assert_eq!(findings.len(), 2, "{findings:?}");
        for (metric, (exit, what)) in ["throughput", "p99"].iter().zip(&findings) {
            assert_eq!(*exit, Exit::Regression);
            assert!(what.starts_with(&format!("REGRESSION: {metric} of slow is")), "{what}");
        }
        // 0.707 of the throughput is within a gate of 35 %; 1.41 times the latency is not.
        assert_eq!(told(0.35).len(), 1);
        assert!(told(0.5).is_empty());
    }

    #[test]
    fn a_gated_figure_that_nobody_measured_is_no_pass() {
        let (contenders, mut turns) = example();
        for turn in &mut turns {
            turn.paced = None;
        }
        let gate = Gate { allowed: 0.5, metrics: vec![Metric::P99] };
        let comparisons = judged(&turns, &contenders, Some(&gate));
        let findings = findings::gated(&gate, &comparisons);
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].0 == Exit::Inconclusive && findings[0].1.contains("slow has no such figure"));
    }

    #[test]
    fn a_copy_that_differs_from_its_original_is_told() {
        let (contenders, mut turns) = example();
        assert_eq!(findings::circumstances(&contenders, &judged(&turns, &contenders, None)).len(), 1);
        for turn in turns.iter_mut().filter(|turn| turn.role == Role::Copy) {
            turn.throughput_per_s *= 1.5;
        }
        let comparisons = judged(&turns, &contenders, None);
        let notes = findings::circumstances(&contenders, &comparisons);
        assert_eq!(notes.len(), 2, "{notes:?}");
        assert!(notes[0].1.starts_with("racy ran in memory"), "{notes:?}");
        assert!(notes[1].1.starts_with("throughput of mutex differs from its own copy"), "{notes:?}");
        // What is no further from the baseline than its copy is not called different: 0.7 is within 1/1.5.
        let throughput = &comparisons[1].candidates[0].judged.as_ref().unwrap();
        assert_eq!(throughput.finding, Finding::Inconclusive);
    }
}
