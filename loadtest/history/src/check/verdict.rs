//! What a check concludes: the verdict, and the figures that say what it rests on.

use std::fmt;

use serde::Serialize;

use super::violation::{Kind, Violation};

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// What was concluded.
    pub conclusion: Conclusion,
    /// What it was concluded from; filled in whatever the conclusion.
    pub summary: Summary,
}

/// What a check concluded. Violations win over everything, then "indeterminate", then "vacuous".
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "conclusion")]
pub enum Conclusion {
    /// The history is linearizable, versions included, and it showed enough to mean something.
    Consistent,
    /// No order of the operations explains the answers.
    Violations {
        /// How many were found.
        total: u64,
        /// How many of each kind, most telling first; kinds that were not found are left out.
        by_kind: Vec<(Kind, u64)>,
        /// The first of them, most telling first, as many as [`super::Limits::violations_listed`] allows.
        listed: Vec<Violation>,
    },
    /// Operations of unknown outcome could not be fitted in within the allowed search; nothing else was wrong.
    Indeterminate {
        /// What was given up, in one sentence.
        why: String,
        /// What could hide behind it.
        residual: Residual,
    },
    /// Nothing was wrong, but the run showed too little for that to mean anything.
    Vacuous {
        /// What was not shown, a sentence each.
        why: Vec<String>,
    },
}

/// The figures of a history.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Records in the history.
    pub operations: u64,
    /// Reads that were answered.
    pub reads: u64,
    /// Writes that were applied.
    pub applied: u64,
    /// Of these, writes that changed more than one level.
    pub applied_many_line: u64,
    /// Writes that were refused for the state of the stock.
    pub refused: u64,
    /// The reasons given, one count per level named.
    pub reasons: Reasons,
    /// Operations, reads included, that the server or the transport said did not happen.
    pub not_applied: u64,
    /// Writes of which nobody knows whether they happened.
    pub unknown: u64,
    /// Of these, attempts for which another under their idempotency key stands: they leave nothing open by themselves.
    pub unknown_repeated: u64,
    /// Of the others, how many had to have happened to explain what was seen.
    pub unknown_applied: u64,
    /// Records that repeat another under its idempotency key, and are one operation with it; they are counted above as well.
    pub repeated: u64,
    /// Reads that were never answered.
    pub unanswered_reads: u64,
    /// Levels that any answer told of.
    pub levels: u64,
    /// Levels that were changed.
    pub levels_written: u64,
    /// Levels changed by two writes that overlapped in time.
    pub levels_contended: u64,
    /// Levels that were changed, and not read after the last change had been answered.
    pub levels_unread: u64,
    /// Applied writes that overlapped in time with another applied write on one of their levels.
    pub contended_writes: u64,
    /// The most applied writes in flight at one moment on one level.
    pub overlap_max: u64,
    /// From the first invocation to the last answer, in nanoseconds.
    pub span_ns: u64,
    /// Levels of which answers did not tell the version.
    pub levels_unversioned: u64,
    /// Operations on several of these that were judged on each level alone: that they took place on all at one moment was not
    /// decided within the bound of the search, or there were too many to search at all.
    pub judged_apart: u64,
    /// What could be wrong with these unnoticed: an update that was lost looks like an unknown one that was not applied.
    pub residual: Residual,
}

/// What could hide in operations of unknown outcome, by the books of their levels: nothing, where versions tell whether
/// they took effect and the search for them came to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Residual {
    /// How many unknown outcomes it could hide in; a write to several levels is one on each.
    pub unknown: u64,
    /// How many units, at most: those that these operations could have moved. A count or a deletion stands for one.
    pub units_max: u64,
}

impl Residual {
    pub(super) fn add(&mut self, other: Residual) {
        self.unknown += other.unknown;
        self.units_max = self.units_max.saturating_add(other.units_max);
    }
}

impl fmt::Display for Residual {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} units could hide in {} unknown outcomes", self.units_max, self.unknown)
    }
}

/// How often each reason to refuse was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Reasons {
    /// Not enough available.
    pub insufficient: u64,
    /// No such level.
    pub missing: u64,
    /// The level was there already.
    pub exists: u64,
    /// The level was at another version.
    pub version_mismatch: u64,
    /// Units were held.
    pub reserved: u64,
    /// Out of the range of quantities.
    pub overflow: u64,
}

impl Verdict {
    /// Whether the history passed: consistent, determinate, and not vacuous.
    pub fn is_consistent(&self) -> bool {
        self.conclusion == Conclusion::Consistent
    }

    /// Whether the history is proven wrong.
    pub fn is_violated(&self) -> bool {
        matches!(self.conclusion, Conclusion::Violations { .. })
    }

    /// The violations that were listed, most telling first; empty if there is none.
    pub fn violations(&self) -> &[Violation] {
        match &self.conclusion {
            Conclusion::Violations { listed, .. } => listed,
            _ => &[],
        }
    }

    /// How many violations of a kind were found.
    pub fn count(&self, kind: Kind) -> u64 {
        match &self.conclusion {
            Conclusion::Violations { by_kind, .. } => {
                by_kind.iter().find(|(found, _)| *found == kind).map_or(0, |(_, count)| *count)
            }
            _ => 0,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.conclusion {
            Conclusion::Consistent => writeln!(f, "CONSISTENT: no update was lost.")?,
            Conclusion::Violations { total, by_kind, listed } => {
                writeln!(f, "VIOLATED: {total} violation{} found.", if *total == 1 { "" } else { "s" })?;
                for (kind, count) in by_kind {
                    writeln!(f, "  {count:>8}  {kind}")?;
                }
                for (number, violation) in listed.iter().enumerate() {
                    write!(f, "\n[{}] {violation}", number + 1)?;
                }
                let left = total.saturating_sub(listed.len() as u64);
                if left > 0 {
                    writeln!(f, "\n... and {left} more, not listed.")?;
                }
                writeln!(f)?;
            }
            Conclusion::Indeterminate { why, residual } => {
                let hidden = Some(residual).filter(|residual| residual.unknown > 0);
                let hidden = hidden.map_or(String::new(), |residual| format!("; {residual}"));
                writeln!(f, "INDETERMINATE: {why}{hidden}.")?;
            }
            Conclusion::Vacuous { why } => {
                writeln!(f, "VACUOUS: nothing was wrong, but {}.", why.join("; "))?;
            }
        }
        self.summary.fmt(f)
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} operations: {} reads, {} writes applied ({} of many lines), {} refused, {} not applied, {} of unknown \
             outcome (of which {} explain what was seen).",
            self.operations,
            self.reads,
            self.applied,
            self.applied_many_line,
            self.refused,
            self.not_applied,
            self.unknown,
            self.unknown_applied
        )?;
        if self.repeated > 0 {
            writeln!(f, "{} of these repeat another under its idempotency key.", self.repeated)?;
        }
        writeln!(
            f,
            "{} stock levels, {} written, {} by overlapping writes, {} not read after their last change; {} writes \
             overlapped another on the same level, at most {} at once.",
            self.levels,
            self.levels_written,
            self.levels_contended,
            self.levels_unread,
            self.contended_writes,
            self.overlap_max
        )?;
        if self.levels_unversioned > 0 {
            writeln!(
                f,
                "{} levels did not tell versions; of these {}.",
                self.levels_unversioned, self.residual
            )?;
            if self.judged_apart > 0 {
                writeln!(
                    f,
                    "{} operations on several of these were judged on each level alone.",
                    self.judged_apart
                )?;
            }
        }
        Ok(())
    }
}
