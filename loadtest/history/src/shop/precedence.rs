//! Which movements came before which, for certain.
//!
//! Of one level the ledger says it, and between levels it says it only where its numbers are an order of all ([`Numbered`]). Where they are not, one thing
//! still does: what one question made, each movement of another level, was made at one instant, so what came before or after one of them came
//! before or after all. Levels and such instants make a graph, and what is before what in it is so in every order that explains the
//! ledger. Dates are not used: they are what the accused says of its own clock, which may be set, and between partitions may go back.
//!
//! The graph has no circle, or there is no order of all. It is never closed: what is known of single movements is carried along it, in one pass.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::finding::{Fault, Findings};
use super::{Books, Ledger, Numbered};

/// How many movements of a circle are told.
const TOLD_MAX: usize = 6;

/// What comes before what.
#[derive(Debug)]
pub(super) struct Precedence {
    by_level: Chains,
    /// Where there is an order of all.
    by_number: Option<Chains>,
}

/// What is known of an instant, and of which movement it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) ns: u64,
    pub(super) by: usize,
}

/// Movements by their places in the ledger, each with the one right before it.
#[derive(Debug)]
pub(super) struct Chains {
    /// Movements of one instant each, so that what is before them is before them here, too.
    instants: Vec<Vec<usize>>,
    before: Vec<Option<usize>>,
}

impl Precedence {
    /// Of a ledger; whether there is an order of all is found out in passing.
    pub(super) fn of(books: &Books, ledger: &Ledger<'_>, findings: &mut Findings) -> Self {
        let by_level = Chains::by_level(books, ledger).unwrap_or_else(|circle| {
            findings.add(Fault::BrokenLedger, || {
                let seqs: Vec<String> =
                    circle.iter().take(TOLD_MAX).map(|&at| ledger.at(at).seq.to_string()).collect();
                let seqs = seqs.join(", ");
                format!("there is no order of all: each of the movements {seqs} came before the next, or with it, and the last with the first")
            });
            Chains { instants: alone(ledger), before: before_in_level(books, ledger) }
        });
        let by_number = (books.numbered == Numbered::Throughout).then(|| Chains::by_number(ledger));
        Self { by_level, by_number }
    }

    /// By all that is certain.
    pub(super) fn of_all(&self) -> &Chains {
        self.by_number.as_ref().unwrap_or(&self.by_level)
    }

    /// By levels, and what was made together, alone.
    pub(super) fn by_level(&self) -> &Chains {
        &self.by_level
    }
}

impl Chains {
    fn by_number(ledger: &Ledger<'_>) -> Self {
        let before = (0..ledger.movements().len()).map(|at| at.checked_sub(1)).collect();
        Self { instants: alone(ledger), before }
    }

    /// The movements that are before each other, if there are such.
    fn by_level(books: &Books, ledger: &Ledger<'_>) -> Result<Self, Vec<usize>> {
        let instants = together(ledger);
        let before = before_in_level(books, ledger);
        let mut instant_of = vec![0; before.len()];
        for (number, instant) in instants.iter().enumerate() {
            for &at in instant {
                instant_of[at] = number;
            }
        }
        let mut after: Vec<Option<usize>> = vec![None; before.len()];
        for (at, before) in before.iter().enumerate() {
            if let Some(before) = *before {
                after[before] = Some(at);
            }
        }
        // Kahn, *Topological Sorting of Large Networks*, 1962.
        let mut left: Vec<usize> = instants
            .iter()
            .map(|instant| instant.iter().filter(|&&at| before[at].is_some()).count())
            .collect();
        let mut ready: VecDeque<usize> = (0..instants.len()).filter(|&number| left[number] == 0).collect();
        let mut sorted = Vec::with_capacity(instants.len());
        while let Some(number) = ready.pop_front() {
            for after in instants[number].iter().filter_map(|&at| after[at]) {
                let number = instant_of[after];
                left[number] -= 1;
                if left[number] == 0 {
                    ready.push_back(number);
                }
            }
            sorted.push(number);
        }
        if sorted.len() < instants.len() {
            let is_left = |at: usize| left[instant_of[at]] > 0;
            return Err(circle(&instants, &instant_of, &before, is_left));
        }
        let mut instants: Vec<Option<Vec<usize>>> = instants.into_iter().map(Some).collect();
        let instants = sorted.into_iter().filter_map(|number| instants[number].take()).collect();
        Ok(Self { instants, before })
    }

    /// Of each movement the greatest of what is known of it and of all before it.
    pub(super) fn latest(&self, own_ns: impl Fn(usize) -> u64) -> Vec<Mark> {
        let mut latest: Vec<Mark> =
            (0..self.before.len()).map(|at| Mark { ns: own_ns(at), by: at }).collect();
        for instant in &self.instants {
            let before = instant.iter().filter_map(|&at| self.before[at]);
            // Of several that say the same, it is the first that says it.
            let all = before.chain(instant.iter().copied()).map(|at| latest[at]);
            let greatest = all.reduce(|one, other| if other.ns > one.ns { other } else { one });
            for &at in instant {
                latest[at] = greatest.unwrap_or(latest[at]);
            }
        }
        latest
    }

    /// Of each movement the least of what is known of it and of all after it.
    pub(super) fn earliest(&self, own_ns: impl Fn(usize) -> u64) -> Vec<Mark> {
        let mut earliest: Vec<Mark> =
            (0..self.before.len()).map(|at| Mark { ns: own_ns(at), by: at }).collect();
        for instant in self.instants.iter().rev() {
            let least = instant.iter().map(|&at| earliest[at]).min_by_key(|bound| bound.ns);
            let Some(least) = least else { continue };
            for &at in instant {
                earliest[at] = least;
                if let Some(before) = self.before[at]
                    && least.ns < earliest[before].ns
                {
                    earliest[before] = least;
                }
            }
        }
        earliest
    }
}

/// Each movement an instant of its own.
fn alone(ledger: &Ledger<'_>) -> Vec<Vec<usize>> {
    (0..ledger.movements().len()).map(|at| vec![at]).collect()
}

/// What one question made is of one instant. Not so what is there twice, which is told of elsewhere.
fn together(ledger: &Ledger<'_>) -> Vec<Vec<usize>> {
    let mut of_deed: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut instants = Vec::new();
    for (at, deed) in ledger.deeds().into_iter().enumerate() {
        match deed {
            Some(deed) => of_deed.entry(deed).or_default().push(at),
            None => instants.push(vec![at]),
        }
    }
    for made in of_deed.into_values() {
        let levels: BTreeSet<usize> = made.iter().map(|&at| ledger.at(at).level).collect();
        if levels.len() == made.len() {
            instants.push(made);
        } else {
            instants.extend(made.into_iter().map(|at| vec![at]));
        }
    }
    // In the order of the ledger, so that what is told is told alike each time.
    instants.sort_unstable();
    instants
}

fn before_in_level(books: &Books, ledger: &Ledger<'_>) -> Vec<Option<usize>> {
    let mut before = vec![None; ledger.movements().len()];
    for level in 0..books.levels.len() {
        for pair in ledger.of_level(level).windows(2) {
            before[pair[1]] = Some(pair[0]);
        }
    }
    before
}

/// Movements each of which came before the next, or together with it, and the last together with the first.
fn circle(
    instants: &[Vec<usize>],
    instant_of: &[usize],
    before: &[Option<usize>],
    is_left: impl Fn(usize) -> bool,
) -> Vec<usize> {
    // Whatever is left waits for something that is left: so going back comes round.
    let back = |number: usize| {
        instants[number]
            .iter()
            .find_map(|&at| before[at].filter(|&before| is_left(before)).map(|before| (at, before)))
    };
    let (mut path, mut seen) = (Vec::new(), HashMap::new());
    let mut next = (0..instant_of.len()).find(|&at| is_left(at)).map(|at| instant_of[at]);
    while let Some(number) = next {
        if let Some(begin) = seen.insert(number, path.len()) {
            path.drain(..begin);
            break;
        }
        let step = back(number);
        path.extend(step);
        next = step.map(|(_, before)| instant_of[before]);
    }
    path.reverse();
    path.into_iter().flat_map(|(at, before)| [before, at]).collect()
}
