//! How a simulated shop keeps its ledger: as one log, or as partitions of a database that are numbered later.

use super::{LEVELS, Shop};
use crate::shop::{Ask, Movement, Numbered};

/// How the ledger is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeping {
    /// One log: a movement has its number when it is made.
    Log,
    /// One partition: the same, but that a line of a reservation which is over is let go only when somebody comes to its level.
    Partition,
    /// Several partitions, of which now and then somebody makes one row: what each has that is not in it yet is appended, one partition after the
    /// other.
    Partitions,
}

/// How many there are, if there are several: two levels share one.
const PARTITIONS: usize = LEVELS - 1;

impl Keeping {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Log, Self::Partition, Self::Partitions];

    /// What the shop says of its numbers.
    pub fn numbered(self) -> Numbered {
        if self == Self::Partitions { Numbered::EachLevel } else { Numbered::Throughout }
    }

    pub(super) fn lets_go_late(self) -> bool {
        self != Self::Log
    }
}

impl Shop {
    /// A movement has its number.
    pub(super) fn number(&mut self, mut movement: Movement) {
        movement.seq = self.books.movements.len() as u64 + 1;
        self.books.movements.push(movement);
    }

    /// Somebody comes to a level: what counts already is written down first.
    pub(super) fn write_down(&mut self, level: usize) {
        for movement in self.ahead.extract_if(.., |movement| movement.level == level).collect::<Vec<_>>() {
            self.number(movement);
        }
    }

    /// Somebody comes to the levels that a question is about. Who only looks at an order comes to none, and who looks at a reservation only if nothing says yet
    /// that it is over.
    pub(super) fn come_to(&mut self, ask: &Ask) {
        let levels: Vec<usize> = match ask {
            Ask::Open { level, .. } | Ask::Adjust { level, .. } | Ask::Read { level } => vec![*level],
            Ask::Reserve { lines, .. } | Ask::Order { lines, .. } => {
                lines.iter().map(|line| line.level).collect()
            }
            Ask::Commit { of, .. } | Ask::Release { of } | Ask::Extend { of, .. } => {
                self.holds[of].lines.iter().map(|line| line.level).collect()
            }
            Ask::Cancel { of } | Ask::Return { of, .. } => {
                self.orders[of].lines.iter().map(|line| line.level).collect()
            }
            Ask::SeeHold { of } => {
                let lines = &self.holds[of].lines;
                let ahead = self.ahead.iter().filter(|movement| movement.hold == Some(*of)).count();
                let is_unsaid = ahead == lines.len();
                lines.iter().filter(|_| is_unsaid).map(|line| line.level).collect()
            }
            Ask::SeeOrder { .. } => Vec::new(),
        };
        for level in levels {
            self.write_down(level);
        }
    }

    /// Makes one row of what was made in partitions.
    pub(super) fn in_parts(&mut self) {
        for level in 0..LEVELS {
            self.write_down(level);
        }
        if self.keeping != Keeping::Partitions {
            return;
        }
        let mut of_each: Vec<Vec<Movement>> = vec![Vec::new(); PARTITIONS];
        for movement in std::mem::take(&mut self.books.movements) {
            // Hardly ever does anybody read the ledger: a partition is far ahead of another then.
            if self.draw(150) == 0 {
                for movement in of_each.iter_mut().flat_map(|part| part.drain(..)) {
                    self.number(movement);
                }
            }
            of_each[movement.level % PARTITIONS].push(movement);
        }
        for movement in of_each.into_iter().flatten() {
            self.number(movement);
        }
    }
}
