//! Runs operations one at a time in an order that the levels and real time allow, for as long as there is one.
//!
//! An operation can run when every operation that was answered before it was sent has run, and each of its levels is
//! exactly where it found it. Running one never keeps another from running: on a level nothing else could be next, as
//! the versions say who is. So running whatever can, in any order, gets as far as any order gets, and whatever is left
//! waits in a circle. With the operations sorted by invocation and by return, each is looked at a constant number of
//! times: real time costs no edges, only a frontier.

use super::problem::{Candidate, Entry, Problem};
use crate::model::Level;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Every operation has run.
    Done,
    /// Some cannot run.
    Stuck,
    /// One ran into a state that its answer contradicts.
    Contradicted,
}

/// Whether missing versions stop a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Missing versions pass by themselves and states are not looked at: only the order is.
    OrderOnly,
    /// A missing version must be made by a candidate, and every answer must fit the state.
    States,
}

/// A sweep under way.
pub(super) struct Sweep<'p> {
    pub(super) problem: &'p Problem<'p>,
    mode: Mode,
    cursors: Vec<Cursor>,
    has_run: Vec<bool>,
    pub(super) runs: usize,
    /// Operations that may have become able to run.
    awake: Vec<u32>,
    /// How many operations, by invocation, have been released by the frontier.
    released: usize,
    /// How many operations, by return, are known to have run.
    answered: usize,
    /// The earliest return of an operation that has not run: whatever was sent later has to wait.
    pub(super) frontier: u64,
    /// What can be taken back; empty until a candidate is applied.
    trail: Vec<Step>,
    saved: Vec<(u32, Level)>,
    is_recording: bool,
    pub(super) applied: Vec<bool>,
}

/// Where a level is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor {
    pub(super) level: Level,
    /// Those who saw this version and have not run.
    pub(super) looks_left: u32,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Look { node: u32 },
    Change { node: u32 },
    Candidate { number: u32 },
}

/// A point to go back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    trail: usize,
    released: usize,
    answered: usize,
    frontier: u64,
}

impl<'p> Sweep<'p> {
    pub(super) fn new(problem: &'p Problem<'p>, mode: Mode) -> Self {
        let mut sweep = Self {
            problem,
            mode,
            cursors: problem.rows.iter().map(|row| Cursor { level: row.base, looks_left: 0 }).collect(),
            has_run: vec![false; problem.nodes.len()],
            runs: 0,
            awake: Vec::new(),
            released: 0,
            answered: 0,
            frontier: 0,
            trail: Vec::new(),
            saved: Vec::new(),
            is_recording: false,
            applied: vec![false; problem.candidates.len()],
        };
        for (row, level) in (0..).zip(&problem.rows) {
            sweep.enter(row, level.base);
        }
        sweep
    }

    /// Runs all that can run.
    pub(super) fn run(&mut self) -> Progress {
        loop {
            while let Some(node) = self.awake.pop() {
                if !self.try_run(node) {
                    self.awake.clear();
                    return Progress::Contradicted;
                }
            }
            if !self.advance_frontier() {
                let is_done = self.runs == self.problem.nodes.len();
                return if is_done { Progress::Done } else { Progress::Stuck };
            }
        }
    }

    /// Moves the frontier to the earliest return of what has not run; `false` if that releases nothing.
    fn advance_frontier(&mut self) -> bool {
        let by_return = &self.problem.by_return;
        while by_return.get(self.answered).is_some_and(|node| self.has_run[*node as usize]) {
            self.answered += 1;
        }
        self.frontier = self.blocking().map_or(u64::MAX, |node| self.problem.returned(node));
        let before = self.released;
        while (self.released < self.problem.nodes.len()) && self.is_released(to32(self.released)) {
            self.awake.push(to32(self.released));
            self.released += 1;
        }
        self.released > before
    }

    /// The operation that was answered first of those that have not run.
    pub(super) fn blocking(&self) -> Option<u32> {
        self.problem.by_return.get(self.answered).copied()
    }

    pub(super) fn is_released(&self, node: u32) -> bool {
        self.problem.invoked(node) <= self.frontier
    }

    pub(super) fn has_run(&self, node: u32) -> bool {
        self.has_run[node as usize]
    }

    pub(super) fn cursor(&self, row: u32) -> Cursor {
        self.cursors[row as usize]
    }

    /// Runs an operation if it can run; `false` if its answer contradicts the state it finds.
    fn try_run(&mut self, node: u32) -> bool {
        if self.has_run(node) || !self.is_released(node) {
            return true;
        }
        let problem = self.problem;
        let touches = problem.touches(node);
        let can_run = touches.iter().all(|touch| {
            let cursor = self.cursors[touch.row as usize];
            let entry = problem.entries[touch.entry as usize];
            if entry.is_change {
                cursor.looks_left == 0 && cursor.level.version + 1 == entry.version
            } else {
                cursor.level.version == entry.version
            }
        });
        if !can_run {
            return true;
        }
        if self.mode == Mode::States && !touches.iter().all(|touch| self.agrees(touch.row, touch.entry)) {
            return false;
        }
        self.has_run[node as usize] = true;
        self.runs += 1;
        // What looks changes nothing, however many levels it looks at.
        if touches.iter().all(|touch| !problem.entries[touch.entry as usize].is_change) {
            self.record(Step::Look { node });
            for touch in touches {
                self.cursors[touch.row as usize].looks_left -= 1;
                self.leave(touch.row);
            }
        } else {
            self.record(Step::Change { node });
            for touch in touches {
                let next = self.after(touch.row, touch.entry);
                self.save(touch.row);
                self.enter(touch.row, next);
            }
        }
        true
    }

    /// Whether an answer fits the level as it is.
    fn agrees(&self, row: u32, entry: u32) -> bool {
        let index = self.problem.index;
        let Entry { event, is_change, .. } = self.problem.entries[entry as usize];
        let event = &index.events[event as usize];
        let level = self.cursors[row as usize].level;
        if !is_change {
            return level.shows(index.stock(event)) && index.is_justified(event, level);
        }
        let after = index.change(event).map(|change| level.after(change));
        after.is_some_and(|after| after.is_ok_and(|after| after.shows(index.stock(event))))
    }

    fn after(&self, row: u32, entry: u32) -> Level {
        let index = self.problem.index;
        let level = self.cursors[row as usize].level;
        let next = Level { version: level.version + 1, stock: None };
        if self.mode == Mode::OrderOnly {
            return next;
        }
        let event = &index.events[self.problem.entries[entry as usize].event as usize];
        index.change(event).and_then(|change| level.after(change).ok()).unwrap_or(next)
    }

    /// Brings a level to a state, and wakes those who wait for it.
    fn enter(&mut self, row: u32, level: Level) {
        let problem = self.problem;
        let (start, end) = problem.group(row, level.version).map_or((0, 0), |group| group.looks);
        self.cursors[row as usize] = Cursor { level, looks_left: end - start };
        self.awake.extend(problem.entries[start as usize..end as usize].iter().map(|entry| entry.node));
        self.leave(row);
    }

    /// Wakes the change that comes next, if everyone has seen the version at hand.
    fn leave(&mut self, row: u32) {
        let cursor = self.cursors[row as usize];
        if cursor.looks_left > 0 {
            return;
        }
        let version = cursor.level.version + 1;
        let Some(next) = self.problem.group(row, version) else { return };
        match next.change {
            Some(entry) => self.awake.push(self.problem.entries[entry as usize].node),
            // Missing versions in a row are as many as writes of unknown outcome: too many for the stack.
            None if self.mode == Mode::OrderOnly => self.pass_missing(row, version),
            None => {}
        }
    }

    /// Moves a level over missing versions, up to one that someone saw or to just below a known change.
    fn pass_missing(&mut self, row: u32, mut version: u64) {
        let problem = self.problem;
        let is_bare =
            |version| problem.group(row, version).is_some_and(|group| group.looks.0 == group.looks.1);
        let is_missing = |version| problem.group(row, version).is_some_and(|group| group.change.is_none());
        while is_bare(version) && is_missing(version + 1) {
            version += 1;
        }
        self.enter(row, Level { version, stock: None });
    }

    /// Whether a level waits for a version that nothing is recorded to have made.
    pub(super) fn awaits_missing(&self, row: u32) -> bool {
        let cursor = self.cursors[row as usize];
        let next = self.problem.group(row, cursor.level.version + 1);
        cursor.looks_left == 0 && next.is_some_and(|group| group.change.is_none())
    }

    /// Whether the next version of a level is free for a candidate: missing, or beyond all that was seen.
    pub(super) fn is_free(&self, row: u32) -> bool {
        let cursor = self.cursors[row as usize];
        let next = self.problem.group(row, cursor.level.version + 1);
        cursor.looks_left == 0 && next.is_none_or(|group| group.change.is_none())
    }

    /// Whether a write of unknown outcome could happen now.
    pub(super) fn can_apply(&self, number: u32) -> bool {
        let Candidate { invoked, changes, .. } = &self.problem.candidates[number as usize];
        let fits =
            |(row, change): &(u32, _)| self.is_free(*row) && self.cursor(*row).level.after(*change).is_ok();
        !self.applied[number as usize] && *invoked <= self.frontier && changes.iter().all(fits)
    }

    /// Lets a write of unknown outcome happen; from here on everything can be taken back.
    pub(super) fn apply(&mut self, number: u32) {
        self.is_recording = true;
        self.record(Step::Candidate { number });
        self.applied[number as usize] = true;
        let problem = self.problem;
        for (row, change) in &problem.candidates[number as usize].changes {
            let level = self.cursors[*row as usize].level;
            self.save(*row);
            self.enter(*row, level.after(*change).unwrap_or(level));
        }
    }

    fn record(&mut self, step: Step) {
        if self.is_recording {
            self.trail.push(step);
        }
    }

    fn save(&mut self, row: u32) {
        if self.is_recording {
            self.saved.push((row, self.cursors[row as usize].level));
        }
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            trail: self.trail.len(),
            released: self.released,
            answered: self.answered,
            frontier: self.frontier,
        }
    }

    /// Takes back everything since the mark; answers how many steps that was.
    pub(super) fn undo(&mut self, mark: Mark) -> u64 {
        let steps = self.trail.len() - mark.trail;
        for step in self.trail.split_off(mark.trail).into_iter().rev() {
            match step {
                Step::Look { node } => {
                    self.has_run[node as usize] = false;
                    self.runs -= 1;
                    for touch in self.problem.touches(node) {
                        self.cursors[touch.row as usize].looks_left += 1;
                    }
                }
                Step::Change { node } => {
                    self.has_run[node as usize] = false;
                    self.runs -= 1;
                    self.restore(self.problem.touches(node).len());
                }
                Step::Candidate { number } => {
                    self.applied[number as usize] = false;
                    self.restore(self.problem.candidates[number as usize].changes.len());
                }
            }
        }
        self.awake.clear();
        (self.released, self.answered, self.frontier) = (mark.released, mark.answered, mark.frontier);
        steps as u64
    }

    /// Puts the levels saved last back; a level is only left when everyone has seen it.
    fn restore(&mut self, levels: usize) {
        for (row, level) in self.saved.split_off(self.saved.len() - levels) {
            self.cursors[row as usize] = Cursor { level, looks_left: 0 };
        }
    }
}

/// Everything is counted in 32 bits: see [`super::check_log`].
fn to32(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(super::index::NONE)
}
