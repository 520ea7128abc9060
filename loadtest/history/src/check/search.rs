//! Fits writes of unknown outcome into the versions that no recorded change made: a bounded search.
//!
//! Known operations run by themselves as far as they can (see [`super::sweep`]); that never spoils a solution. Only
//! when they are stuck is there a choice: which write of unknown outcome happened next. Writes that ask for the same
//! are one choice. Dead ends are remembered by which writes were tried and what state their levels were in, as all
//! else follows from that.
//!
//! The choice is first kept to writes that could make a missing version that is waited for, or help one of those
//! along. That misses solutions in which a write that is itself of no use has to come early, so when nothing is found
//! and something was left out, the search is repeated with every choice. Its bound counts what was taken back.

use std::collections::HashSet;

use super::cycle::{self, Cycle};
use super::found::Gap;
use super::problem::Problem;
use super::sweep::{Mark, Mode, Progress, Sweep};
use crate::record::Key;

/// What a search concluded.
#[derive(Debug)]
pub(super) enum Explanation {
    /// These many writes of unknown outcome happened, and everything fits.
    Explained {
        /// How many.
        applied: u64,
    },
    /// There is no way to fit them in.
    None(Obstacle),
    /// The bound was reached.
    GaveUp,
}

/// Where the search that got furthest was held up.
#[derive(Debug, Clone)]
pub(super) enum Obstacle {
    /// At versions that nothing explains.
    Missing(Gap),
    /// In a circle.
    Cycle(Cycle),
}

/// Searches; `steps_left` is what may still be wasted, and is reduced by what was.
pub(super) fn explain(problem: &Problem<'_>, steps_left: &mut u64) -> Explanation {
    let mut search = Search::new(problem, false);
    let found = search.run(steps_left);
    if !(search.has_left_out && matches!(found, Explanation::None(_))) {
        return found;
    }
    Search::new(problem, true).run(steps_left)
}

struct Search<'p> {
    sweep: Sweep<'p>,
    /// Rows with missing versions.
    waiting_rows: Vec<u32>,
    /// Rows that any candidate touches.
    candidate_rows: Vec<u32>,
    /// Whether every candidate that can be applied is a choice.
    tries_all: bool,
    /// Whether a choice was left out.
    has_left_out: bool,
    frames: Vec<Frame>,
    dead_ends: HashSet<Vec<u64>>,
    /// How many operations had run at the furthest obstacle, and what it was.
    furthest: Option<(usize, Obstacle)>,
}

/// A choice between candidates.
struct Frame {
    mark: Mark,
    choices: std::vec::IntoIter<u32>,
}

impl<'p> Search<'p> {
    fn new(problem: &'p Problem<'p>, tries_all: bool) -> Self {
        let rows = || (0..).zip(&problem.rows);
        Self {
            sweep: Sweep::new(problem, Mode::States),
            waiting_rows: rows().filter(|(_, row)| row.has_missing).map(|(number, _)| number).collect(),
            candidate_rows: rows()
                .filter(|(_, row)| !row.candidates.is_empty())
                .map(|(number, _)| number)
                .collect(),
            tries_all,
            has_left_out: false,
            frames: Vec::new(),
            dead_ends: HashSet::new(),
            furthest: None,
        }
    }

    fn run(&mut self, steps_left: &mut u64) -> Explanation {
        loop {
            match self.sweep.run() {
                Progress::Done => {
                    let applied = self.sweep.applied.iter().filter(|applied| **applied).count();
                    return Explanation::Explained { applied: applied as u64 };
                }
                Progress::Stuck => {
                    self.note_obstacle();
                    if self.dead_ends.is_empty() || !self.dead_ends.contains(&self.fingerprint()) {
                        let choices = self.choices().into_iter();
                        self.frames.push(Frame { mark: self.sweep.mark(), choices });
                    }
                }
                Progress::Contradicted => {}
            }
            match self.take_next_choice(steps_left) {
                Some(true) => {}
                Some(false) => return self.fail(),
                None => return Explanation::GaveUp,
            }
        }
    }

    /// Goes back to the last choice that has something left to try, and tries it: `false` if there is none, nothing
    /// if the bound is reached.
    fn take_next_choice(&mut self, steps_left: &mut u64) -> Option<bool> {
        while let Some(frame) = self.frames.last_mut() {
            let wasted = self.sweep.undo(frame.mark);
            *steps_left = steps_left.checked_sub(wasted + 1)?;
            if let Some(candidate) = frame.choices.next() {
                self.sweep.apply(candidate);
                return Some(true);
            }
            self.frames.pop();
            let fingerprint = self.fingerprint();
            *steps_left = steps_left.checked_sub(fingerprint.len() as u64)?;
            self.dead_ends.insert(fingerprint);
        }
        Some(false)
    }

    /// What everything else follows from: which candidates were applied, and the levels they could have changed.
    fn fingerprint(&self) -> Vec<u64> {
        let word = |bits: &[bool]| bits.iter().fold(0, |word, bit| word << 1 | u64::from(*bit));
        let mut print: Vec<u64> = self.sweep.applied.chunks(64).map(word).collect();
        for row in &self.candidate_rows {
            let level = self.sweep.cursor(*row).level;
            let units = level.stock.map_or((u64::MAX, 0), |units| (units.on_hand, units.reserved));
            print.extend([level.version, units.0, units.1]);
        }
        print
    }

    /// The candidates to try now, one of each class, those that make a missing version first.
    fn choices(&mut self) -> Vec<u32> {
        let problem = self.sweep.problem;
        let near = self.candidates_near();
        let mut is_met = vec![false; problem.candidates.len()];
        let mut choices = Vec::new();
        let mut met = 0;
        let all = 0..u32::try_from(problem.candidates.len()).unwrap_or(u32::MAX);
        for number in near.iter().copied().chain(all.filter(|_| self.tries_all)) {
            if std::mem::replace(&mut is_met[number as usize], true) {
                continue;
            }
            met += 1;
            if self.sweep.can_apply(number) {
                choices.push(number);
            }
        }
        let applied = self.sweep.applied.iter().filter(|applied| **applied).count();
        self.has_left_out |= met + applied < problem.candidates.len();
        let mut classes = HashSet::new();
        choices.retain(|number| classes.insert(problem.candidates[*number as usize].class));
        choices
    }

    /// Candidates that touch a level that waits for a missing version, then those that touch a level whose state
    /// refuses one of these, and so on.
    fn candidates_near(&self) -> Vec<u32> {
        let problem = self.sweep.problem;
        let mut is_near = vec![false; problem.candidates.len()];
        let mut is_wanted = vec![false; problem.rows.len()];
        let mut wanted: Vec<u32> =
            self.waiting_rows.iter().copied().filter(|row| self.sweep.awaits_missing(*row)).collect();
        let mut near = Vec::new();
        let mut next = 0;
        while let Some(row) = wanted.get(next).copied() {
            next += 1;
            if std::mem::replace(&mut is_wanted[row as usize], true) {
                continue;
            }
            for number in &problem.rows[row as usize].candidates {
                let is_old = std::mem::replace(&mut is_near[*number as usize], true);
                if is_old || self.sweep.applied[*number as usize] {
                    continue;
                }
                near.push(*number);
                let candidate = &problem.candidates[*number as usize];
                let refusing = candidate.changes.iter().filter(|(row, change)| {
                    self.sweep.is_free(*row) && self.sweep.cursor(*row).level.after(*change).is_err()
                });
                wanted.extend(refusing.map(|(row, _)| *row));
            }
        }
        near
    }

    fn note_obstacle(&mut self) {
        if self.furthest.as_ref().is_some_and(|(runs, _)| *runs >= self.sweep.runs) {
            return;
        }
        let gap = self.waiting_rows.iter().copied().find(|row| self.sweep.awaits_missing(*row));
        let obstacle = match gap {
            Some(row) => Some(Obstacle::Missing(self.gap(row, self.sweep.cursor(row).level.version + 1))),
            None => cycle::find(&self.sweep).map(Obstacle::Cycle),
        };
        self.furthest = obstacle.map(|obstacle| (self.sweep.runs, obstacle)).or(self.furthest.take());
    }

    /// The missing versions of a level from one on.
    fn gap(&self, row: u32, first: u64) -> Gap {
        let problem = self.sweep.problem;
        let mut last = first;
        let mut shown_by = 0;
        for version in first.. {
            let Some(group) = problem.group(row, version) else { break };
            if group.change.is_none() {
                last = version;
            }
            let looks = (group.looks.0 < group.looks.1).then_some(group.looks.0);
            if let Some(entry) = group.change.or(looks) {
                shown_by = problem.entries[entry as usize].event;
                break;
            }
        }
        let unknown = problem.rows[row as usize].candidates.len() as u64;
        Gap { key: Key(problem.rows[row as usize].key), first, last, shown_by, unknown }
    }

    fn fail(&mut self) -> Explanation {
        let obstacle = self.furthest.take().map(|(_, obstacle)| obstacle);
        let first = || Obstacle::Missing(self.gap(self.waiting_rows.first().copied().unwrap_or(0), 1));
        Explanation::None(obstacle.unwrap_or_else(first))
    }
}
