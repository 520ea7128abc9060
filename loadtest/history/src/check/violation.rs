//! One proven contradiction, told so that a reader can follow it without the history at hand.

use std::fmt;

use serde::Serialize;

use crate::record::Key;

/// What kind of contradiction, most telling first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Two acknowledged changes of one level carry one version: at most one of them is in the level.
    LostUpdate,
    /// A request that was sent again under its idempotency key took effect again.
    AppliedTwice,
    /// Two attempts under one idempotency key were answered, and not alike.
    OtherAnswer,
    /// More was taken than was there.
    Oversold,
    /// A refusal whose reason was not true at the version it was judged at.
    FalseRefusal,
    /// An applied change whose answer is not the state before it plus the change.
    WrongChange,
    /// A read, or the state shown by a refusal, that is not the state at its version.
    WrongRead,
    /// An applied change whose precondition did not hold at the version before it.
    BrokenPrecondition,
    /// An operation on several levels that cannot have happened on all of them at one moment; only of levels without versions.
    TornWrite,
    /// A consistent read that shows levels as they never were together.
    TornRead,
    /// A final stock that is not what was there in the beginning and every acknowledged change; only of levels without versions.
    Unbalanced,
    /// Versions that no recorded change made.
    MissingVersion,
    /// An answer older than one that had been returned before it was asked for, or newer than its cause.
    RealTime,
    /// Operations on several levels that each have to come before the next, in a circle.
    Cycle,
    /// An answer that does not fit its request, whatever the state.
    Malformed,
}

/// How many kinds there are.
pub(super) const KINDS: usize = 15;

impl Kind {
    /// Every kind, most telling first.
    pub const ALL: [Kind; KINDS] = [
        Kind::LostUpdate,
        Kind::AppliedTwice,
        Kind::OtherAnswer,
        Kind::Oversold,
        Kind::FalseRefusal,
        Kind::WrongChange,
        Kind::WrongRead,
        Kind::BrokenPrecondition,
        Kind::TornWrite,
        Kind::TornRead,
        Kind::Unbalanced,
        Kind::MissingVersion,
        Kind::RealTime,
        Kind::Cycle,
        Kind::Malformed,
    ];
}

/// One contradiction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// What kind.
    pub kind: Kind,
    /// The level, if it is about one.
    pub key: Option<Key>,
    /// The contradiction in one sentence.
    pub headline: String,
    /// Why it cannot be, and what was there before.
    pub explanation: Vec<String>,
    /// The records that contradict each other, in the order to read them.
    pub culprits: Vec<Culprit>,
    /// Their time as bars, a line each below one that says which time it is; empty if there is only one.
    pub timeline: Vec<String>,
    /// The culprits, and what else was asked of their level meanwhile, for a picture: in the order of invocation, and no more
    /// than can be told apart.
    pub bars: Vec<Bar>,
}

/// One operation as a bar over time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// Its index in the history.
    pub record: usize,
    /// Who asked.
    pub client: u32,
    /// When it was sent, from the beginning of the history.
    pub sent_ns: u64,
    /// When its answer had arrived, or its client gave up.
    pub answered_ns: u64,
    /// What was asked and answered, in a few words.
    pub what: String,
    /// Whether it takes part in the violation.
    pub is_culprit: bool,
    /// Whether nobody knows if it took effect.
    pub is_unknown: bool,
}

/// A record that takes part in a violation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Culprit {
    /// Its index in the history.
    pub record: usize,
    /// Its part in the violation.
    pub role: String,
    /// Who asked what when, and what was answered, a line each.
    pub account: Vec<String>,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::LostUpdate => "LOST UPDATE",
            Kind::AppliedTwice => "APPLIED TWICE",
            Kind::OtherAnswer => "ANSWERED OTHERWISE",
            Kind::Oversold => "OVERSOLD",
            Kind::FalseRefusal => "FALSE REFUSAL",
            Kind::WrongChange => "WRONG CHANGE",
            Kind::WrongRead => "WRONG READ",
            Kind::BrokenPrecondition => "BROKEN PRECONDITION",
            Kind::TornWrite => "TORN WRITE",
            Kind::TornRead => "TORN READ",
            Kind::Unbalanced => "UNBALANCED BOOKS",
            Kind::MissingVersion => "MISSING VERSION",
            Kind::RealTime => "OUT OF REAL TIME",
            Kind::Cycle => "CYCLE",
            Kind::Malformed => "MALFORMED ANSWER",
        })
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.kind, self.headline)?;
        for line in &self.explanation {
            writeln!(f, "    {line}")?;
        }
        for culprit in &self.culprits {
            writeln!(f, "  {}", culprit.role)?;
            for line in &culprit.account {
                writeln!(f, "      {line}")?;
            }
        }
        for line in &self.timeline {
            writeln!(f, "  {line}")?;
        }
        Ok(())
    }
}
