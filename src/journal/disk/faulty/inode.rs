//! [`Inode`]: a file's bytes as they are read, as they are certain to survive a power cut, and what lies between.
//!
//! After a power cut every sector is as it was at some moment since the last sync, each at a moment of its own; the length
//! changes in order, and what a cut of the file took away is gone once the cut itself is kept. Sectors that were never
//! written take no memory.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

pub(super) use crate::journal::group::SECTOR;

const SECTOR_U64: u64 = SECTOR as u64;

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    /// What is read.
    now: Content,
    /// What is certain to survive.
    synced: Content,
    /// What lies between, in order.
    changes: Vec<Change>,
    /// How many writes there were, to tell the changes of one from those of the next.
    writes: u64,
}

#[derive(Debug, Clone, Default)]
struct Content {
    len: u64,
    sectors: BTreeMap<u64, Arc<Sector>>,
}

type Sector = [u8; SECTOR];

#[derive(Debug, Clone)]
enum Change {
    Sector {
        number: u64,
        /// All of it, after the change.
        content: Arc<Sector>,
        write: u64,
        /// A sync after it has failed: no later sync will write it, unless the sector is changed again.
        lost: bool,
    },
    Len(u64),
}

/// Which of the changes a power cut leaves.
enum Kept {
    None,
    All,
    /// The first so many; of the write in which that ends, any sectors.
    First(usize),
    /// Each sector as it was at any moment.
    Any,
}

impl Inode {
    /// A synced file.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut inode = Self::default();
        inode.write_at(bytes, 0, usize::MAX).expect("there is room");
        inode.sync(true);
        inode
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(self.now.len).expect("it fits into memory")];
        self.read_at(&mut bytes, 0);
        bytes
    }

    pub(super) fn len(&self) -> u64 {
        self.now.len
    }

    /// How many sectors were written, holes left out.
    pub(super) fn sectors(&self) -> usize {
        self.now.sectors.len()
    }

    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> usize {
        let left = usize::try_from(self.now.len.saturating_sub(offset)).expect("it fits into memory");
        let len = buffer.len().min(left);
        for (number, within, part) in parts(offset, len) {
            buffer[part].copy_from_slice(&self.now.sector(number)[within]);
        }
        len
    }

    /// Writes what there is room for: so many sectors more than there are.
    pub(super) fn write_at(&mut self, bytes: &[u8], offset: u64, mut room: usize) -> io::Result<()> {
        let mut fits = 0;
        for (number, _, part) in parts(offset, bytes.len()) {
            if !self.now.sectors.contains_key(&number) {
                let Some(left) = room.checked_sub(1) else { break };
                room = left;
            }
            fits = part.end;
        }
        if fits > 0 && offset + fits as u64 > self.now.len {
            self.now.len = offset + fits as u64;
            self.changes.push(Change::Len(self.now.len));
        }
        self.writes += 1;
        for (number, within, part) in parts(offset, fits) {
            let mut content = self.now.sector(number);
            content[within].copy_from_slice(&bytes[part]);
            self.change_sector(number, Arc::new(content));
        }
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.writes += 1;
        if len < self.now.len {
            self.now.cut(len);
            // The rest of the last sector is written again, as zeros.
            let number = len / SECTOR_U64;
            if let Some(content) = self.now.sectors.get(&number).map(|content| **content) {
                self.change_sector(number, Arc::new(content));
            }
        }
        self.now.len = len;
        self.changes.push(Change::Len(len));
    }

    fn change_sector(&mut self, number: u64, content: Arc<Sector>) {
        self.now.sectors.insert(number, Arc::clone(&content));
        self.changes.push(Change::Sector { number, content, write: self.writes, lost: false });
    }

    /// Makes all changes durable, or, where it fails, loses track of those of content: they may have happened, and will not
    /// happen later. The length is kept by the file system, which does not forget it.
    pub(super) fn sync(&mut self, succeeds: bool) {
        if !succeeds {
            for change in &mut self.changes {
                if let Change::Sector { lost, .. } = change {
                    *lost = true;
                }
            }
            return;
        }
        let written: BTreeSet<u64> = self.changes.iter().filter_map(Change::will_be_written).collect();
        let changes = std::mem::take(&mut self.changes);
        for (index, change) in changes.iter().enumerate() {
            match *change {
                Change::Len(len) => self.synced.cut(len),
                Change::Sector { number, lost, .. } => {
                    let cut_later = changes[index..].iter().any(|later| later.cuts(number));
                    if lost && !written.contains(&number) && !cut_later {
                        self.changes.push(change.clone());
                    }
                }
            }
        }
        for number in written {
            match self.now.sectors.get(&number) {
                Some(content) => self.synced.sectors.insert(number, Arc::clone(content)),
                None => self.synced.sectors.remove(&number),
            };
        }
        self.synced.len = self.now.len;
    }

    pub(super) fn only_synced(&self) -> Self {
        Self::on_platter(self.synced.clone())
    }

    pub(super) fn all_written(&self) -> Self {
        Self::on_platter(self.now.clone())
    }

    pub(super) fn after_power_cut(&self, seeded: &mut Seeded) -> Self {
        let kept = match seeded.below(6) {
            0 => Kept::None,
            1 => Kept::All,
            2 | 3 => Kept::First(seeded.below(self.changes.len() + 1)),
            _ => Kept::Any,
        };
        let (left, touched) = self.left(&kept, seeded);
        let mut content = left;
        if matches!(kept, Kept::First(_) | Kept::Any) && seeded.below(2) == 0 {
            self.garble_one(&mut content, &touched, seeded);
        }
        content.cut(content.len);
        Self::on_platter(content)
    }

    fn on_platter(content: Content) -> Self {
        Self { now: content.clone(), synced: content, ..Self::default() }
    }

    /// What is left after a power cut, and the sectors it had to decide about.
    fn left(&self, kept: &Kept, seeded: &mut Seeded) -> (Content, Vec<u64>) {
        let lens = |changes: &[Change]| changes.iter().filter(|change| change.write().is_none()).count();
        let lens_kept = match *kept {
            Kept::None => 0,
            Kept::All => lens(&self.changes),
            Kept::First(first) => lens(&self.changes[..first]),
            Kept::Any => seeded.below(lens(&self.changes) + 1),
        };
        let torn_write = match *kept {
            Kept::First(first) => self.changes.get(first).and_then(Change::write),
            _ => None,
        };
        let (mut content, mut states) = (self.synced.clone(), BTreeMap::<u64, Vec<State>>::new());
        let (mut lens_seen, mut not_cut_from) = (0, u64::MAX);
        for (index, change) in self.changes.iter().enumerate() {
            match change {
                Change::Len(len) if lens_seen < lens_kept => {
                    lens_seen += 1;
                    content.cut(*len);
                    content.len = *len;
                    states.retain(|number, _| !change.cuts(*number));
                }
                // Whatever was written after a cut that did not happen did not happen to what it cut.
                Change::Len(len) => not_cut_from = not_cut_from.min(*len),
                Change::Sector { number, content, write, .. } => {
                    if number * SECTOR_U64 < not_cut_from {
                        let state = State { index, write: *write, content: Arc::clone(content) };
                        states.entry(*number).or_default().push(state);
                    }
                }
            }
        }
        let touched = states.keys().copied().collect();
        for (number, states) in states {
            let chosen = match *kept {
                Kept::None => None,
                Kept::All => states.last(),
                Kept::First(first) => {
                    let last = states.iter().rfind(|state| state.index < first);
                    let torn = states.iter().rfind(|state| Some(state.write) == torn_write);
                    torn.filter(|_| seeded.below(2) == 0).or(last)
                }
                Kept::Any => seeded.below(states.len() + 1).checked_sub(1).map(|index| &states[index]),
            };
            if let Some(state) = chosen {
                content.sectors.insert(number, Arc::clone(&state.content));
            }
        }
        (content, touched)
    }

    /// Garbles one of the sectors that were changed: one that is as it was before was not being written.
    fn garble_one(&self, content: &mut Content, touched: &[u64], seeded: &mut Seeded) {
        let is_changed = |number: &&u64| content.sector(**number) != self.synced.sector(**number);
        let changed: Vec<u64> = touched.iter().filter(is_changed).copied().collect();
        if changed.is_empty() {
            return;
        }
        let number = changed[seeded.below(changed.len())];
        let (mut garbled, old) = (content.sector(number), self.synced.sector(number));
        let from = seeded.below(SECTOR);
        match seeded.below(3) {
            0 => garbled[from..].copy_from_slice(&old[from..]),
            1 => garbled[..from].copy_from_slice(&old[..from]),
            _ => garbled[from..].iter_mut().for_each(|byte| *byte = seeded.byte()),
        }
        content.sectors.insert(number, Arc::new(garbled));
    }
}

/// What a sector once was.
struct State {
    index: usize,
    write: u64,
    content: Arc<Sector>,
}

impl Change {
    /// The sector that the next sync writes for it.
    fn will_be_written(&self) -> Option<u64> {
        match *self {
            Self::Sector { number, lost: false, .. } => Some(number),
            _ => None,
        }
    }

    /// The write it is a part of, if it is one.
    fn write(&self) -> Option<u64> {
        match *self {
            Self::Sector { write, .. } => Some(write),
            Self::Len(_) => None,
        }
    }

    /// Whether it ends the file before that sector.
    fn cuts(&self, number: u64) -> bool {
        matches!(*self, Self::Len(len) if len <= number * SECTOR_U64)
    }
}

impl Content {
    fn sector(&self, number: u64) -> Sector {
        self.sectors.get(&number).map_or([0; SECTOR], |content| **content)
    }

    /// Forgets what is past that length.
    fn cut(&mut self, len: u64) {
        self.sectors.split_off(&len.div_ceil(SECTOR_U64));
        let kept = usize::try_from(len % SECTOR_U64).expect("less than a sector");
        if let Some(last) = self.sectors.get_mut(&(len / SECTOR_U64)) {
            Arc::make_mut(last)[kept..].fill(0);
        }
    }
}

/// The sectors that a range of a file touches: the number of each, which of its bytes, and which of the range's.
fn parts(
    offset: u64,
    len: usize,
) -> impl Iterator<Item = (u64, std::ops::Range<usize>, std::ops::Range<usize>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        (at < len).then(|| {
            let from = offset + at as u64;
            let within = usize::try_from(from % SECTOR_U64).expect("less than a sector");
            let end = len.min(at + SECTOR - within);
            let part = at..end;
            at = end;
            (from / SECTOR_U64, within..within + part.len(), part)
        })
    })
}

/// A small generator of numbers (Steele, Lea, Flood: `SplitMix64`): the same for a seed, for ever.
pub(super) struct Seeded(u64);

impl Seeded {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    /// Any number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("below a usize")
    }
}
