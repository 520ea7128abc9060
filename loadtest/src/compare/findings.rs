//! What a comparison means: findings in words, each with its exit code. Correctness first; then what the gate says; then what
//! a reader of the figures must know.

use super::contender::{Contender, Role};
use super::gate::Gate;
use super::judge::{Comparison, Design, Row};
use super::turn::Turn;
use crate::exit::Exit;

/// Findings of correctness: what the histories of each contender prove.
pub fn correctness(contenders: &[Contender], turns: &[Turn]) -> Vec<(Exit, String)> {
    contenders.iter().flat_map(|contender| proofs(contender, turns)).collect()
}

fn proofs(contender: &Contender, turns: &[Turn]) -> Vec<(Exit, String)> {
    let own: Vec<&Turn> = turns.iter().filter(|turn| turn.contender == contender.label).collect();
    let (name, rounds) = (&contender.label, own.len());
    let count = |result: &str| own.iter().filter(|turn| turn.result() == result).count();
    let mut findings = Vec::new();
    let violated = count("violated");
    if violated > 0 {
        findings
            .push((Exit::Violation, format!("{name} broke its promises in {violated} of {rounds} rounds")));
    } else if !contender.strategy.correct && rounds > 0 {
        findings
            .push((Exit::Inconclusive, format!("{name} loses updates, and was not caught: prove harder")));
    }
    let failed: u64 =
        own.iter().map(|turn| turn.failed + turn.paced.as_ref().map_or(0, |paced| paced.failed)).sum();
    if failed > 0 {
        findings.push((Exit::Ok, format!("{name}: {failed} requests failed, which the figures leave out")));
    }
    let open = count("vacuous") + count("indeterminate");
    let holes = own.iter().filter(|turn| turn.breaches > 0 || turn.unread > 0).count();
    if contender.strategy.correct && open + holes > 0 {
        let what = format!("{name}: {open} rounds prove nothing, {holes} have holes in their proof");
        findings.push((Exit::Inconclusive, what));
    }
    // As of a single run.
    let unheard = own.iter().map(|turn| turn.unheard).max().unwrap_or(0);
    if unheard > 0 {
        let what = format!(
            "{name}: up to {unheard} clients were never answered, so this was not the load that was asked for"
        );
        findings.push((Exit::CouldNotRun, what));
    }
    let unsent =
        own.iter().filter(|turn| turn.paced.as_ref().is_some_and(|paced| paced.not_sent > 0)).count();
    if unsent > 0 {
        let what = format!(
            "{name} could not keep up with the fixed rate in {unsent} of {rounds} rounds: its latencies there are \
             lower bounds"
        );
        findings.push((Exit::Ok, what));
    }
    findings
}

/// Findings of the gate: every candidate and figure that is worse than it allows, and whether it could have told.
pub fn gated(gate: &Gate, comparisons: &[Comparison]) -> Vec<(Exit, String)> {
    let mut findings = Vec::new();
    for comparison in comparisons.iter().filter(|comparison| gate.metrics.contains(&comparison.metric)) {
        for row in &comparison.candidates {
            findings.extend(verdict(gate, comparison, row));
        }
        let allowed = comparison.metric.better().allowed(gate.allowed);
        let too_large = comparison.minimal_detectable.filter(|effect| effect.ln_1p() > allowed);
        if let Some(effect) = too_large {
            let what = format!(
                "the gate of {} on {} is finer than what was detectable here (a ratio of {:.2}): more rounds or a quieter \
                 machine would help",
                percent(gate.allowed),
                comparison.metric,
                1.0 + effect
            );
            findings.push((Exit::Ok, what));
        }
    }
    findings.extend(control(comparisons));
    findings
}

fn verdict(gate: &Gate, comparison: &Comparison, row: &Row) -> Option<(Exit, String)> {
    let (name, metric) = (&row.contender, comparison.metric);
    let Some(judged) = &row.judged else {
        return Some((Exit::Inconclusive, format!("gate on {metric}: {name} has no such figure")));
    };
    let interval = judged.interval.filter(|_| row.broke_gate == Some(true))?;
    let what = format!(
        "REGRESSION: {metric} of {name} is {:.3} times that of {} [{:.3}, {:.3}], beyond the gate of {} and the noise \
         of {}",
        judged.ratio,
        row.against,
        interval.low,
        interval.high,
        percent(gate.allowed),
        comparison.noise.map_or_else(|| "?".to_owned(), percent)
    );
    Some((Exit::Regression, what))
}

/// A control that no gate caught takes the meaning from its silence.
fn control(comparisons: &[Comparison]) -> Option<(Exit, String)> {
    let rows = || comparisons.iter().flat_map(|comparison| &comparison.candidates);
    let mut delayed = rows().filter(|row| row.role == Role::DelayControl).peekable();
    let name = delayed.peek()?.contender.clone();
    if delayed.any(|row| row.broke_gate == Some(true)) {
        return Some((Exit::Ok, format!("the gate caught {name}, as it had to: it can fire")));
    }
    Some((Exit::Inconclusive, format!("the gate did not catch {name}: that it is silent means nothing")))
}

/// A share as a percentage.
pub fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// What else a reader of the figures must know.
pub fn circumstances(contenders: &[Contender], comparisons: &[Comparison]) -> Vec<(Exit, String)> {
    let in_memory = |contender: &&Contender| !contender.strategy.correct && contender.role != Role::Copy;
    let mut notes: Vec<(Exit, String)> = contenders
        .iter()
        .filter(in_memory)
        .map(|contender| {
            let name = &contender.label;
            (Exit::Ok, format!("{name} ran in memory, since it keeps no ledger, and is not judged for speed"))
        })
        .collect();
    if comparisons.iter().any(|comparison| comparison.design == Design::Unpaired) {
        let what = "the baseline ran at another time: if the machine has changed since, that is in every ratio, and a change \
                    that all strategies share is likely to be the machine's";
        notes.push((Exit::Ok, what.to_owned()));
    }
    for comparison in comparisons {
        let Some(Row { judged: Some(judged), against, .. }) = &comparison.control else { continue };
        let excludes = judged.interval.is_some_and(|interval| !interval.contains(1.0));
        if judged.p_value <= comparison.level && excludes {
            let what = format!(
                "{} of {against} differs from its own copy, by chance (one in twenty does) or because the machine changed \
                 under it: nothing within {} is called different there",
                comparison.metric,
                comparison.noise.map_or_else(|| "?".to_owned(), percent)
            );
            notes.push((Exit::Ok, what));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::contender::Field;
    use super::super::server::{Storage, Strategy};
    use super::*;

    /// Fewer clients than were asked for are another load, whose figures are not those that were asked for.
    #[test]
    fn clients_that_were_never_answered_are_told() {
        let field = Field { program: Path::new("inventory"), storage: Storage::Durable, delay: None };
        let strategy = Strategy { name: "mutex".to_owned(), correct: true };
        let contenders = field.against_one(&[strategy], None).expect("a field");
        let turns = |unheard: u32| {
            let mut turns: Vec<Turn> =
                contenders.iter().map(|contender| Turn::made_up(contender, 1, 100.0)).collect();
            turns[0].unheard = unheard;
            correctness(&contenders, &turns)
        };
        assert!(turns(0).iter().all(|(exit, _)| *exit == Exit::Ok));
        let (exit, told) = turns(3).into_iter().find(|(exit, _)| *exit != Exit::Ok).expect("a finding");
        assert_eq!(exit, Exit::CouldNotRun);
        assert!(told.contains("3 clients were never answered"), "{told}");
    }
}
