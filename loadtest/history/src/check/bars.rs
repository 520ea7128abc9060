//! The operations of a violation, for a picture: the culprits, and what else was asked of their level meanwhile.

use std::collections::BTreeSet;

use super::index::{Event, Role};
use super::violation::Bar;
use super::words::Words;
use crate::record::{Outcome, Record};

/// The most operations of a picture: more than these nobody could tell apart.
const BARS_MAX: usize = 24;

/// The culprits with their numbers, and of the level's events those that were in flight together with one of them; changes
/// before what only looked, and all in the order of their invocation.
pub(super) fn bars(
    words: &Words<'_>,
    culprits: &[(u32, Record)],
    level: &[Event],
    record: impl Fn(u32) -> Option<Record>,
) -> Vec<Bar> {
    let is_meanwhile = |event: &&Event| {
        culprits
            .iter()
            .any(|(_, culprit)| event.invoked <= culprit.returned_ns && culprit.invoked_ns <= event.returned)
    };
    let mut beside: Vec<&Event> = level.iter().filter(is_meanwhile).collect();
    beside.sort_by_key(|event| (event.role != Role::Change, event.invoked, event.record));
    let mut known: BTreeSet<u32> = culprits.iter().map(|(number, _)| *number).collect();
    let beside = beside.into_iter().map(|event| event.record).filter(|number| known.insert(*number));
    let beside = beside.filter_map(|number| Some((number, record(number)?)));
    let mut bars: Vec<Bar> =
        culprits.iter().map(|(number, culprit)| bar(words, *number, culprit, true)).take(BARS_MAX).collect();
    let room = BARS_MAX - bars.len();
    bars.extend(beside.take(room).map(|(number, beside)| bar(words, number, &beside, false)));
    bars.sort_by_key(|bar| (bar.sent_ns, bar.answered_ns, bar.record));
    bars
}

fn bar(words: &Words<'_>, number: u32, record: &Record, is_culprit: bool) -> Bar {
    Bar {
        record: number as usize,
        client: record.client,
        sent_ns: words.since_start(record.invoked_ns),
        answered_ns: words.since_start(record.returned_ns),
        what: Words::short(record),
        is_culprit,
        is_unknown: record.outcome == Outcome::Unknown,
    }
}
