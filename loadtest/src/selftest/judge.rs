//! What a trial proves of a server, by which check, and how soon.

use std::collections::BTreeMap;

use history::{Conclusion, History, Verdict};
use serde::Serialize;

use super::trials::Trial;

/// Violations that are looked at to find the first of each kind.
pub const LISTED_MAX: usize = 10_000;

/// The check that adds up: versions that no answer carried, or that two did.
pub const BOOKS: &str = "books";

/// The check that asks twice: the second answer under a key was not the first.
pub const REPLAYED_ANSWER: &str = "replayed answer";

/// One kind of objection to one trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kill {
    /// Which trial.
    pub trial: &'static str,
    /// The check, or the kind of violation that the checker of histories found.
    pub check: String,
    /// How many violations of that kind.
    pub violations: u64,
    /// Operations that had been answered when the first of them was proved.
    pub operations: u64,
    /// Milliseconds from the first request of the trial until then.
    pub after_ms: f64,
}

/// A trial, judged by all checks.
#[derive(Debug, Clone)]
pub struct Judged {
    /// Its name.
    pub trial: &'static str,
    /// Operations in its history.
    pub operations: u64,
    /// Every kind of objection; none if the server kept its promises.
    pub kills: Vec<Kill>,
    /// Why it proves nothing, if nothing was objected to and it does not.
    pub doubt: Option<String>,
}

/// Judges a trial.
pub fn judge(trial: &Trial) -> Judged {
    let verdict = history::check_with(&trial.history, &trial.limits());
    let mut kills = kills(trial.name, &trial.history, &verdict);
    let mut whole = |check: &str, violations: u64| {
        if violations > 0 {
            let (operations, after_ms) =
                (trial.history.records.len() as u64, millis(span_ns(&trial.history)));
            kills.push(Kill { trial: trial.name, check: check.to_owned(), violations, operations, after_ms });
        }
    };
    let books = trial.books.as_ref().map_or(0, |books| books.missing + books.doubled + books.torn);
    whole(BOOKS, books);
    whole(REPLAYED_ANSWER, trial.replays_differing);
    let doubt = match &verdict.conclusion {
        Conclusion::Indeterminate { why, .. } => Some(why.clone()),
        Conclusion::Vacuous { why } => Some(why.join("; ")),
        _ if trial.holes > 0 => {
            Some(format!("{} answers are missing or did not fit the contract", trial.holes))
        }
        _ => None,
    };
    let doubt = doubt.filter(|_| kills.is_empty());
    Judged { trial: trial.name, operations: trial.history.records.len() as u64, kills, doubt }
}

/// What the checker of histories objects to: for each kind how often, and how soon the first was proved.
pub fn kills(trial: &'static str, history: &History, verdict: &Verdict) -> Vec<Kill> {
    let Conclusion::Violations { by_kind, listed, .. } = &verdict.conclusion else { return Vec::new() };
    let start_ns = history.records.iter().map(|record| record.invoked_ns).min().unwrap_or(0);
    let mut first: BTreeMap<history::Kind, u64> = BTreeMap::new();
    for violation in listed {
        // It is proved once the last of its culprits was answered; one that names none, at the end.
        let answered = violation.culprits.iter().map(|culprit| history.records[culprit.record].returned_ns);
        let proved_ns = answered.max().unwrap_or(start_ns + span_ns(history));
        first.entry(violation.kind).and_modify(|first| *first = proved_ns.min(*first)).or_insert(proved_ns);
    }
    let kill = |(kind, violations): &(history::Kind, u64)| {
        let proved_ns = first.get(kind).copied().unwrap_or(start_ns + span_ns(history));
        let operations = history.records.iter().filter(|record| record.returned_ns <= proved_ns).count();
        Kill {
            trial,
            check: check(*kind),
            violations: *violations,
            operations: operations as u64,
            after_ms: millis(proved_ns.saturating_sub(start_ns)),
        }
    };
    by_kind.iter().map(kill).collect()
}

/// The name of a kind of violation, as a check.
pub fn check(kind: history::Kind) -> String {
    kind.to_string().to_lowercase()
}

fn span_ns(history: &History) -> u64 {
    let start_ns = history.records.iter().map(|record| record.invoked_ns).min().unwrap_or(0);
    let end_ns = history.records.iter().map(|record| record.returned_ns).max().unwrap_or(0);
    end_ns.saturating_sub(start_ns)
}

/// To the hundredth, which is more than the clocks are good for.
fn millis(nanos: u64) -> f64 {
    (nanos as f64 / 1e4).round() / 100.0
}

#[cfg(test)]
mod tests {
    use history::plant::Fault;
    use history::sample::{self, Shape};

    use super::*;

    fn trial(history: History) -> Trial {
        Trial {
            name: "storm",
            history,
            is_small: false,
            is_contended: true,
            holes: 0,
            books: None,
            replays_differing: 0,
        }
    }

    fn good() -> History {
        sample::history(&Shape { unknown_percent: 0, ..Shape::default() })
    }

    #[test]
    fn a_good_trial_is_neither_objected_to_nor_doubted() {
        let judged = judge(&trial(good()));
        assert_eq!((judged.kills, judged.doubt, judged.operations), (vec![], None, 1_020));
    }

    #[test]
    fn a_fault_is_told_by_kind_with_the_moment_at_which_it_was_proved() {
        let bad = Fault::LoseUpdate.plant(&good(), 3).unwrap();
        let judged = judge(&trial(bad.clone()));
        let lost = judged.kills.iter().find(|kill| kill.check == "lost update").expect("a lost update");
        let all = bad.records.len() as u64;
        assert!(
            lost.violations >= 1 && (20..all).contains(&lost.operations) && lost.after_ms > 0.0,
            "{lost:?}"
        );
    }

    #[test]
    fn holes_are_doubts_and_differing_replays_objections() {
        let holes = judge(&Trial { holes: 2, ..trial(good()) });
        assert!(holes.kills.is_empty() && holes.doubt.is_some());
        let differing = judge(&Trial { replays_differing: 3, ..trial(good()) });
        assert_eq!((differing.kills[0].check.as_str(), differing.kills[0].violations), (REPLAYED_ANSWER, 3));
        let books = crate::crash::accounts::Accounts { doubled: 2, ..Default::default() };
        let doubled = judge(&Trial { books: Some(books), ..trial(good()) });
        assert_eq!((doubled.kills[0].check.as_str(), doubled.kills[0].violations), (BOOKS, 2));
    }

    #[test]
    fn what_never_contended_is_a_doubt() {
        let judged =
            judge(&trial(sample::history(&Shape { clients: 1, unknown_percent: 0, ..Shape::default() })));
        assert!(judged.kills.is_empty() && judged.doubt.is_some(), "{judged:?}");
    }
}
