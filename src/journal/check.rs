//! What makes a group and a line right: the rules that recovery, verification and history share.
//!
//! Pure but for [`Heads`], the levels so far. A [`Finding`] says what is wrong; where it is, the caller knows.

use thiserror::Error;

use super::group::{self, Group, GroupError, HEADER_BYTES};
use super::heads::{Head, Heads};
use super::record::{Line, Record, RecordError};
use super::watermark::GroupEnd;
use crate::stock::{Change, IfMissing, Level, Operation};

/// What is wrong with a part of the log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Finding {
    /// There is no valid group where one has to be.
    #[error("{0}")]
    Group(#[from] GroupError),
    /// It is intact, but was not written after the group before it.
    #[error(
        "the group does not continue the chain: it was written after another group than the one before it"
    )]
    Chain,
    /// Its first movement has another number than the next.
    #[error("the group begins with movement {0}")]
    FirstSeq(u64),
    /// It is older than the group before.
    #[error("the group is older than the one before it")]
    Time,
    /// Its records are not as many, or not as long, as its header says.
    #[error("the group's header and its records differ")]
    Counts,
    /// A record is invalid.
    #[error("{0}")]
    Record(#[from] RecordError),
    /// A record's number is not the next one.
    #[error("a record says that it begins with movement {0}")]
    RecordSeq(u64),
    /// A record's time is not that of its group.
    #[error("a record is older than the group before it, or younger than its own")]
    RecordTime,
    /// A line is of no possible level.
    #[error("a line names no possible stock level: {0:?}")]
    Key(String),
    /// A line does not follow the level's last change.
    #[error("{key}: version {found} follows version {expected}, which is another change")]
    Version {
        /// The level.
        key: String,
        /// The last version before it.
        expected: u64,
        /// Its version.
        found: u64,
    },
    /// A line links to another place than the level's last record.
    #[error(
        "{key}: version {version} says that the change before it is at position {found}; it is at {expected}"
    )]
    Link {
        /// The level.
        key: String,
        /// Its version.
        version: u64,
        /// Where the level's last record is.
        expected: u64,
        /// Where the line says it is.
        found: u64,
    },
    /// A line's level is not what its operation makes of the level before.
    #[error("{key}: the operation of version {version} does not make the level that is recorded")]
    Outcome {
        /// The level.
        key: String,
        /// Its version.
        version: u64,
    },
    /// The same version of a level is there twice, and not the same.
    #[error("{key}: version {version} is not the one that was seen at that position")]
    Repeated {
        /// The level.
        key: String,
        /// Its version.
        version: u64,
    },
    /// A record of a reservation is not what one is.
    #[error("{0}")]
    Reservation(&'static str),
    /// The header of a segment is not what it was when the log was opened.
    #[error("the segment's header is damaged")]
    Header,
    /// The footer of a sealed segment is not intact, or its index is not that of its groups.
    #[error("the segment's footer is damaged; the next start rebuilds its index")]
    Footer,
    /// A segment's first group does not follow the last group before it.
    #[error("the segment continues another group than the last one before it")]
    Missing,
    /// A snapshot was taken after another group than the one that ends there.
    #[error("the snapshot {0} does not belong to this log: the group that ends where it starts is another")]
    SnapshotStart(String),
}

/// What a group must continue: checks its place in the chain, its header and its records, and calls `each` with the position
/// and content of every record. Returns where it ends; the error comes with the offset in the group.
pub fn group(
    group: &Group<'_>,
    before: &GroupEnd,
    position: u64,
    mut each: impl FnMut(u64, &Record<'_>) -> Result<(), Finding>,
) -> Result<GroupEnd, (u64, Finding)> {
    let header = &group.header;
    place(group, before).map_err(|finding| (0, finding))?;
    let (mut at, mut seq, mut records, mut date_ms) = (0, header.first_seq, 0_u32, None);
    while at < group.body.len() {
        let offset = (HEADER_BYTES + at) as u64;
        let here = |finding| (offset, finding);
        let record = Record::read(&group.body[at..]).map_err(|error| here(error.into()))?;
        if record.seq() != seq {
            return Err(here(Finding::RecordSeq(record.seq())));
        }
        // It may be earlier than that of the group before, which a clock that was ahead then wrote.
        if *date_ms.get_or_insert(record.time_ms()) != record.time_ms() {
            return Err(here(Finding::RecordTime));
        }
        each(position.saturating_add(offset), &record).map_err(here)?;
        at += record.len();
        seq = seq.checked_add(record.line_count()).ok_or_else(|| here(Finding::Counts))?;
        records = records.saturating_add(1);
    }
    if records != header.records || seq - header.first_seq != u64::from(header.movements) {
        return Err((0, Finding::Counts));
    }
    let position = position.checked_add(group::size(header.body_len) as u64).ok_or((0, Finding::Counts))?;
    let (time_ms, date_ms) = (header.time_ms, date_ms.unwrap_or(before.date_ms));
    Ok(GroupEnd { position, next_seq: seq, hash: group.hash, time_ms, date_ms })
}

fn place(group: &Group<'_>, before: &GroupEnd) -> Result<(), Finding> {
    let header = &group.header;
    if header.previous != before.hash {
        return Err(Finding::Chain);
    }
    if header.first_seq != before.next_seq {
        return Err(Finding::FirstSeq(header.first_seq));
    }
    if header.time_ms < before.time_ms {
        return Err(Finding::Time);
    }
    Ok(())
}

/// Applies a line to the levels so far. One whose version the level already has (a snapshot saw it) must be that version, and
/// changes nothing; any other must be the next, link to the last one's record, and be what the rules of the stock make of it.
pub fn line(heads: &Heads, line: &Line<'_>, position: u64) -> Result<(), Finding> {
    let key = || line.key.to_owned();
    let version = line.after.version();
    let known = heads.replay(line.key, |head| {
        let before = head.unwrap_or(Head { level: Level::ABSENT, position: 0 });
        let last = before.level.version();
        if version <= last {
            let same = version < last || (before.position == position && before.level == line.after);
            return if same { Ok(None) } else { Err(Finding::Repeated { key: key(), version }) };
        }
        if version != last + 1 {
            return Err(Finding::Version { key: key(), expected: last, found: version });
        }
        if line.previous != before.position {
            let (expected, found) = (before.position, line.previous);
            return Err(Finding::Link { key: key(), version, expected, found });
        }
        match Change::unconditional(line.operation).judge(before.level) {
            Ok(after) if after == line.after && units_fit(line, before.level) => {
                Ok(Some(Head { level: after, position }))
            }
            _ => Err(Finding::Outcome { key: key(), version }),
        }
    })?;
    if known { Ok(()) } else { Err(Finding::Key(key())) }
}

/// Whether the units before, which a count and a delete record, are those of the level before.
fn units_fit(line: &Line<'_>, before: Level) -> bool {
    match line.operation {
        Operation::Count { if_missing: IfMissing::Create, .. } => {
            line.on_hand_before == before.exists().then(|| before.on_hand())
        }
        _ => line.on_hand_before.is_none_or(|on_hand| on_hand == before.on_hand()),
    }
}
