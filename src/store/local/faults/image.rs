//! [`Image`]: what recovery finds on a disk, to be held against what was shown and against what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::service::{Outcome, Shown};
use crate::clock::wall_ms;
use crate::journal::Start;
use crate::journal::disk::Disk;
use crate::journal::disk::faulty::FaultyDisk;
use crate::journal::history::{self, Movement};
use crate::journal::holds::Found;
use crate::journal::recovery::{self, Options, Recovered, RecoveryError, Report};
use crate::journal::snapshot;
use crate::journal::watermark::Watermark;
use crate::stock::{Level, Once};

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Image {
    /// Tombstones included.
    pub(super) levels: BTreeMap<String, Level>,
    /// Each idempotency key, and the position of its record.
    pub(super) keys: BTreeMap<u128, u64>,
    /// The number of the next movement.
    pub(super) next_seq: u64,
}

/// All movements that ever were, in their order.
#[derive(Debug)]
pub(super) struct Truth(Vec<Movement>);

impl Image {
    /// What the next start finds on that disk.
    pub(super) fn of(disk: &FaultyDisk) -> Result<Self, RecoveryError> {
        recover(disk).map(|recovered| Self::found(&recovered))
    }

    pub(super) fn found(recovered: &Recovered) -> Self {
        let (mut levels, mut keys) = (BTreeMap::new(), BTreeMap::new());
        recovered.heads.walk(|key, head| _ = levels.insert(key.text().to_owned(), head.level));
        recovered.keys.walk(|key, position| _ = keys.insert(key, position));
        Self { levels, keys, next_seq: recovered.end.next_seq }
    }

    pub(super) fn version(&self, key: &str) -> u64 {
        self.levels.get(key).map_or(0, |level| level.version())
    }

    fn has(&self, changed: &[(String, u64)]) -> usize {
        changed.iter().filter(|(key, version)| *version <= self.version(key)).count()
    }

    /// Nothing that was shown when the image was taken is newer than it (P7): no change, no level in a read or a refusal, no
    /// outcome of a key (P8).
    pub(super) fn assert_holds(&self, shown: &Shown) {
        for (key, versions) in &shown.levels {
            let newest = *versions.last_key_value().expect("a version").0;
            assert!(
                newest <= self.version(key),
                "{key}: version {newest} was shown, and is lost: {:?}",
                self.levels.get(key)
            );
        }
        // The record of a batch may be missing where those of its lines are there.
        let has_lines = |key: u128, outcome: &Outcome| {
            let Outcome::Each(lines) = outcome else { return false };
            let batch = Once { key, fingerprint: [0; 32] };
            let numbered = (0..).zip(lines);
            let mut applied = numbered.map(|(line, outcome)| outcome.is_ok().then(|| batch.line(line).key));
            applied.all(|key| key.is_some_and(|key| self.keys.contains_key(&key)))
        };
        let is_lost =
            |(key, outcome): &(&u128, &Outcome)| !self.keys.contains_key(key) && !has_lines(**key, outcome);
        let lost: Vec<_> = shown.outcomes.iter().filter(is_lost).map(|(key, _)| key).collect();
        assert!(lost.is_empty(), "the outcomes of these keys were told, and are lost: {lost:?}");
    }

    /// Whatever of it is there, is there wholly, and as it was told at any time, also after the image was taken (P4, P6, P8).
    pub(super) fn assert_consistent_with(&self, shown: &Shown) {
        for (key, level) in &self.levels {
            let told = shown.levels.get(key).and_then(|versions| versions.get(&level.version()));
            assert!(told.is_none_or(|told| told == level), "{key}: {level:?} was told as {told:?}");
        }
        for together in &shown.together {
            let there = self.has(together);
            assert!(there == 0 || there == together.len(), "torn: {together:?} in {:?}", self.levels);
        }
        for (key, outcome) in &shown.outcomes {
            let is_there = self.keys.contains_key(key);
            match outcome {
                Outcome::Changed(levels) => {
                    let levels: Vec<_> =
                        levels.iter().map(|(key, level)| (key.clone(), level.version())).collect();
                    let has_effect = self.has(&levels) == levels.len();
                    assert_eq!(
                        is_there, has_effect,
                        "key {key} and its effect {levels:?} in {:?}",
                        self.levels
                    );
                }
                Outcome::Each(lines) => {
                    let applied: Vec<_> =
                        lines.iter().flatten().map(|(key, level)| (key.clone(), level.version())).collect();
                    let witnessed: Vec<_> = lines.iter().filter_map(|line| line.clone().err()).collect();
                    let has = |changed: &[(String, u64)]| self.has(changed) == changed.len();
                    assert!(
                        !is_there || (has(&applied) && has(&witnessed)),
                        "batch {key} is there, and not what came of its lines: {lines:?}"
                    );
                }
                Outcome::Refused(saw) => {
                    let witnessed = self.has(saw) == saw.len();
                    assert!(
                        !is_there || witnessed,
                        "key {key}: the refusal is there, what it saw is not: {saw:?}"
                    );
                }
            }
        }
    }

    /// It is the state after the first so many movements (P6, P7).
    pub(super) fn assert_prefix_of(&self, truth: &Truth) {
        let mut levels = BTreeMap::new();
        for movement in truth.0.iter().take_while(|movement| movement.seq < self.next_seq) {
            levels.insert(movement.key.text().to_owned(), movement.after);
        }
        assert_eq!(self.levels, levels, "the first {} movements", self.next_seq - 1);
    }
}

impl Truth {
    /// The ledger of a disk: its movements are numbered from 1 and each follows its level's last (P6).
    pub(super) fn of(disk: &FaultyDisk) -> Self {
        let recovered = recover(disk).expect("a whole log");
        let movements = movements(&recovered).expect("a whole log");
        let mut levels: BTreeMap<&str, Level> = BTreeMap::new();
        for (expected, movement) in (1..).zip(&movements) {
            let before = levels.insert(movement.key.text(), movement.after).unwrap_or(Level::ABSENT);
            assert_eq!(movement.seq, expected);
            assert_eq!(movement.after.version(), before.version() + 1, "{movement:?}");
            assert_eq!(movement.before, (before.on_hand(), before.reserved()), "{movement:?}");
        }
        assert_eq!(movements.len() as u64, recovered.end.next_seq - 1);
        Self(movements)
    }

    pub(super) fn movements(&self) -> &[Movement] {
        &self.0
    }

    /// Every key has one effect at most: no two records carry it.
    pub(super) fn assert_changed(&self, shown: &Shown) {
        let versions: BTreeSet<_> =
            self.0.iter().map(|movement| (movement.key.text(), movement.after.version())).collect();
        let mut told = BTreeSet::new();
        for (key, version) in shown.together.iter().flatten() {
            assert!(
                told.insert((key.as_str(), *version)),
                "{key}: version {version} was told to two clients"
            );
            assert!(
                versions.contains(&(key.as_str(), *version)),
                "{key}: version {version} is not in the ledger"
            );
        }
    }
}

/// Everything that can be asked of a disk.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Everything {
    pub(super) image: Image,
    pub(super) movements: Vec<Movement>,
    /// The newest first, as a client walks it.
    pub(super) of_levels: BTreeMap<String, Vec<Movement>>,
    pub(super) records: BTreeMap<u128, Vec<u8>>,
    /// What a start found of reservations.
    pub(super) holds: Vec<Found>,
}

/// Reads all that was recovered; the first thing that is refused or reported ends it.
pub(super) fn everything(
    recovered: Result<Recovered, RecoveryError>,
) -> Result<(Everything, Recovered), String> {
    let recovered = recovered.map_err(|error| error.to_string())?;
    let image = Image::found(&recovered);
    let told = |error: history::HistoryError| error.to_string();
    let watermark = Watermark::new(recovered.end);
    let mut of_levels = BTreeMap::new();
    for key in image.levels.keys() {
        let level = crate::stock::StockKey::from_text(key).expect("a key");
        let (mut all, mut from) = (Vec::new(), None);
        loop {
            let newest = recovered.heads.get(level.text(), recovered.heads.hash(level.text()));
            let page = history::of_level(&recovered.log, newest, &watermark, &level, from, 1000, |_| true);
            let page = page.map_err(told)?;
            all.extend(page.movements);
            from = page.next;
            if from.is_none() {
                break;
            }
        }
        of_levels.insert(key.clone(), all);
    }
    let mut records = BTreeMap::new();
    for (key, position) in &image.keys {
        records.insert(*key, history::record_at(&recovered.log, *position).map_err(told)?);
    }
    let movements = movements(&recovered).map_err(told)?;
    let holds = recovered.holds.clone().into_sorted();
    Ok((Everything { image, movements, of_levels, records, holds }, recovered))
}

/// All movements of what was recovered.
pub(super) fn movements(recovered: &Recovered) -> Result<Vec<Movement>, history::HistoryError> {
    let watermark = Watermark::new(recovered.end);
    let (mut all, mut seq) = (Vec::new(), 0);
    loop {
        let page = history::after(&recovered.log, &watermark, seq, history::PAGE_MAX, |_, _| true)?;
        all.extend(page.movements);
        match page.next {
            Some(next) => seq = next,
            None => return Ok(all),
        }
    }
}

/// What a journal goes on from, and what recovery reported.
pub(super) fn start(recovered: Recovered) -> (Start, Report) {
    let Recovered { heads, keys, holds, orders, log, tail, end, control, report } = recovered;
    let covered = report.snapshot.as_deref().and_then(snapshot::start_of).unwrap_or(0);
    (Start { heads, keys, holds, orders, log, tail, end, covered, control, only_reads: false }, report)
}

/// What the service goes on from.
pub(super) fn start_of(disk: &Arc<dyn Disk>) -> Result<(Start, Report), RecoveryError> {
    let options = Options { now_ms: wall_ms(), key_retention: Duration::from_hours(24) };
    Ok(start(recovery::recover(disk, &options, &|_| {})?))
}

pub(super) fn recover(disk: &FaultyDisk) -> Result<Recovered, RecoveryError> {
    recover_at(disk, wall_ms())
}

/// As of another time.
pub(super) fn recover_at(disk: &FaultyDisk, now_ms: u64) -> Result<Recovered, RecoveryError> {
    let options = Options { now_ms, key_retention: Duration::from_hours(24) };
    recovery::recover(&Arc::clone(&disk.disk()), &options, &|_| {})
}
