//! [`Turns`]: what the lanes held, record by record, in the order in which it was handed over.
//!
//! All lanes are emptied at one instant ([`Lanes::take_all`]). So whatever is taken now was handed over before whatever is taken
//! next, and among what is taken the stamps tell. In memory nobody waits for the log, and a client may have its answer before the
//! writer knows of the change; the stamp is what keeps that change before those which came after the answer. On disk an answer
//! waits until its change is numbered: nothing is stamped there, and the lanes come one after the other.
//!
//! It never looks into a record, but for its length and its stamp.

use tokio::sync::oneshot;

use super::lanes::{Lanes, Queue};
use super::record;

/// What was taken from all lanes, and how far it was dealt with.
#[derive(Debug, Default)]
pub struct Turns {
    /// Swapped with the lanes' own queues, so that neither allocates.
    queues: Box<[Queue]>,
    rest: Box<[Rest]>,
    /// The lane whose turn it is.
    lane: usize,
    /// It keeps its turn as long as its next record has no later stamp.
    until: u64,
}

/// What is left of a lane's queue.
#[derive(Debug, Clone, Copy, Default)]
struct Rest {
    at: usize,
    /// The stamp of the next record; [`NONE`] after the last.
    stamp: u64,
}

/// Later than every stamp.
const NONE: u64 = u64::MAX;

/// A record whose turn it is.
#[derive(Debug)]
pub struct Turn<'a> {
    /// Its bytes, unsealed.
    pub record: &'a [u8],
    /// The lane it was in.
    pub lane: usize,
    /// Who is told when it is on disk, if it is a stored answer.
    pub told: Option<oneshot::Sender<()>>,
}

impl Turns {
    /// Nothing, from that many lanes.
    pub fn new(lanes: usize) -> Self {
        let rest = vec![Rest { at: 0, stamp: NONE }; lanes].into();
        Self { queues: (0..lanes).map(|_| Queue::default()).collect(), rest, lane: 0, until: 0 }
    }

    /// Takes what the lanes hold. All that was taken before must have had its turn.
    pub fn take(&mut self, lanes: &Lanes) {
        debug_assert!(self.rest.iter().all(|rest| rest.stamp == NONE), "what was taken was used");
        for queue in &mut self.queues {
            queue.records.clear();
        }
        lanes.take_all(&mut self.queues);
        for (queue, rest) in self.queues.iter_mut().zip(&mut self.rest) {
            // The first is told first, and taken from the end.
            queue.told.reverse();
            *rest = Rest::at(0, &queue.records);
        }
        self.choose();
    }

    /// The next record: `None` once all had their turn.
    pub fn next_turn(&mut self) -> Option<Turn<'_>> {
        if self.rest[self.lane].stamp > self.until {
            self.choose();
        }
        let (lane, rest) = (self.lane, &mut self.rest[self.lane]);
        if rest.stamp == NONE {
            return None;
        }
        let Queue { records, told } = &mut self.queues[lane];
        let len = record::len_of(&records[rest.at..]).expect("the hand-off writes whole records");
        let record = &records[rest.at..rest.at + len];
        *rest = Rest::at(rest.at + len, records);
        let told = if record::trusted_line_count(record) == 0 { told.pop() } else { None };
        Some(Turn { record, lane, told })
    }

    /// The turn goes to the lane with the earliest record, until another lane has an earlier one.
    fn choose(&mut self) {
        (self.lane, self.until) = (0, NONE);
        for (lane, rest) in self.rest.iter().enumerate().skip(1) {
            let earliest = self.rest[self.lane].stamp;
            if rest.stamp < earliest {
                (self.lane, self.until) = (lane, earliest);
            } else {
                self.until = self.until.min(rest.stamp);
            }
        }
        // Whoever has nothing is no reason to stop.
        self.until = self.until.min(NONE - 1);
    }
}

impl Rest {
    fn at(at: usize, records: &[u8]) -> Self {
        let next = &records[at..];
        Self { at, stamp: if next.is_empty() { NONE } else { record::trusted_stamp(next) } }
    }
}

#[cfg(test)]
mod tests;
