//! [`Counts`]: the rows of all partitions as they were seen last: by a commit of this process, or by the look that is taken now and then.
//!
//! They are what waits are woken by and what totals are made of. Never newer than what is committed, and of a single process never older.

use parking_lot::Mutex;
use tokio::sync::watch;

use super::working::Part;

/// All partitions, as they were seen last.
#[derive(Debug)]
pub(super) struct Counts {
    parts: Mutex<Vec<Part>>,
    /// Raised whenever any has moved on.
    moved: watch::Sender<u64>,
}

impl Counts {
    /// Of so many partitions nothing was seen yet.
    pub(super) fn new(partitions: i32) -> Self {
        let count = usize::try_from(partitions).unwrap_or(0);
        Self { parts: Mutex::new(vec![Part::default(); count]), moved: watch::Sender::new(0) }
    }

    /// A partition was seen so. What was seen later stays.
    pub(super) fn saw(&self, all: impl IntoIterator<Item = (i32, Part)>) {
        let mut parts = self.parts.lock();
        let mut has_moved = false;
        for (p, part) in all {
            let Some(seen) = usize::try_from(p).ok().and_then(|p| parts.get_mut(p)) else { continue };
            if part.tick > seen.tick {
                *seen = part;
                has_moved = true;
            }
        }
        drop(parts);
        if has_moved {
            self.moved.send_modify(|moves| *moves += 1);
        }
    }

    /// Each, by its number.
    pub(super) fn all(&self) -> Vec<Part> {
        self.parts.lock().clone()
    }

    /// How often that partition was committed to, as far as is known.
    pub(super) fn tick(&self, p: i32) -> i64 {
        let parts = self.parts.lock();
        usize::try_from(p).ok().and_then(|p| parts.get(p)).map_or(0, |part| part.tick)
    }

    /// The sum of something over all.
    pub(super) fn total(&self, of: impl Fn(&Part) -> i64) -> usize {
        usize::try_from(self.parts.lock().iter().map(of).sum::<i64>()).unwrap_or(0)
    }

    /// Told of whenever any has moved on; how many listen is known.
    pub(super) fn listen(&self) -> watch::Receiver<u64> {
        self.moved.subscribe()
    }

    /// Whether anybody waits for anything to move on.
    pub(super) fn is_listened_to(&self) -> bool {
        self.moved.receiver_count() > 0
    }
}
