//! What was founded is what a start finds, verifies and reads (P6, P7, P8).

use std::time::Duration;

use tempfile::TempDir;

use super::*;
use crate::journal::disk::Folder;
use crate::journal::history;
use crate::journal::moved::Moved;
use crate::journal::recovery::{self, Options, Recovered};
use crate::journal::verify::{self, Live};
use crate::stock::{Applied, HeldLine, IfMissing, Location, Operation, Reservation, ReservationState, Sku};

const NOW_MS: u64 = 1_700_000_100_000;
const ONCE: Once = Once { key: 7, fingerprint: [9; 32] };

fn key(sku: &str) -> StockKey {
    StockKey::new(&Sku::parse(sku).unwrap(), &Location::DEFAULT)
}

fn level(on_hand: u64, reserved: u64, version: u64) -> Level {
    Level::existing(on_hand, reserved, version).unwrap()
}

/// A movement by which a level has a unit more.
fn more(key: &StockKey, before: Level, date_ms: u64) -> Told<'_> {
    let if_missing = if before.exists() { IfMissing::Refuse } else { IfMissing::Create };
    let operation = Operation::Adjust { delta: 1, if_missing };
    let after = level(before.on_hand() + 1, before.reserved(), before.version() + 1);
    Told {
        kind: RecordKind::Change,
        changed: Changed { key, operation, before, after },
        date_ms,
        reason: "more",
        reference: "",
        actor: "shop",
        reservation: None,
        order: None,
    }
}

fn found() -> holds::Found {
    let id = ReservationId::new(NOW_MS, 5);
    let lines = [HeldLine { key: key("a"), quantity: Quantity::new(2).unwrap() }].into();
    holds::Found {
        term: Term { id, expires_date_ms: NOW_MS + 9, expires_ms: NOW_MS + 9 },
        state: ReservationState::Pending,
        lines,
        committed: [].into(),
        finished_ms: 0,
    }
}

/// Movements 11 to 14, of which the second is dated before the first; a tombstone and a level of which nothing is in the ledger any more; a reservation; a key.
fn founded(disk: &Arc<dyn Disk>) {
    let beginning = Beginning { lineage: Some(77), first_seq: 11, now_ms: NOW_MS };
    let mut founding = Founding::begin(disk, beginning).unwrap();
    let (a, b) = (key("a"), key("b c"));
    founding.movement(&more(&a, level(5, 2, 3), NOW_MS - 50)).unwrap();
    founding.movement(&more(&b, Level::ABSENT, NOW_MS - 60)).unwrap();
    founding.movement(&more(&b, level(1, 0, 1), NOW_MS - 60)).unwrap();
    founding.movement(&more(&a, level(6, 2, 4), NOW_MS - 40)).unwrap();
    assert!(founding.movement(&more(&a, level(6, 2, 4), NOW_MS)).is_err(), "told twice");
    assert_eq!(founding.level(&a), Some(level(7, 2, 5)));
    founding.enter(&a, level(7, 2, 5));
    founding.enter(&b, level(2, 0, 2));
    founding.enter(&key("gone"), Level::tombstone(8).unwrap());
    founding.reservation(found());
    let applied = Applied { before: level(6, 2, 4), after: level(7, 2, 5) };
    let stored = Stored::Moved(Moved::Change(Ok(applied)));
    founding.key(ONCE, RecordKind::Moved, &stored, NOW_MS - 3_600_000).unwrap();
    founding.finish().unwrap();
}

fn recovered(disk: &Arc<dyn Disk>, key_retention: Duration) -> Recovered {
    let options = Options { now_ms: NOW_MS, key_retention };
    recovery::recover(disk, &options, &|_| ()).unwrap()
}

fn on_disk() -> (TempDir, Arc<dyn Disk>) {
    let folder = TempDir::new().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Folder::open_or_create(folder.path()).unwrap());
    (folder, disk)
}

#[test]
fn what_was_founded_is_found() {
    let (_folder, disk) = on_disk();
    founded(&disk);
    let Recovered { heads, keys, holds, log, end, control, .. } = recovered(&disk, Duration::from_hours(2));
    let of = |sku: &str| heads.get(key(sku).text(), heads.hash(key(sku).text())).unwrap();
    assert_eq!((of("a").level, of("b c").level), (level(7, 2, 5), level(2, 0, 2)));
    assert_eq!(of("gone").level, Level::tombstone(8).unwrap());
    assert_eq!((end.next_seq, end.time_ms, control.date_at(end)), (15, NOW_MS, NOW_MS));
    assert_eq!(Control::unwritten(control).restored(), Some(77));
    let expected: Reservation = found().reservation();
    assert_eq!(holds.into_sorted().iter().map(holds::Found::reservation).collect::<Vec<_>>(), [expected]);

    let watermark = Watermark::new(end);
    let page = history::after(&log, &watermark, 10, 9, |_, _| true).unwrap();
    let told: Vec<_> =
        page.movements.iter().map(|it| (it.seq, it.time_ms + 100 - NOW_MS, it.after)).collect();
    let expected = [
        (11, 50, level(6, 2, 4)),
        (12, 40, level(1, 0, 1)),
        (13, 40, level(2, 0, 2)),
        (14, 60, level(7, 2, 5)),
    ];
    assert_eq!(told, expected);
    assert!(history::after(&log, &watermark, 9, 9, |_, _| true).unwrap().compacted);
    let all = |sku: &str| {
        let key = key(sku);
        let head = heads.get(key.text(), heads.hash(key.text()));
        history::of_level(&log, head, &watermark, &key, None, 9, |_| true).unwrap()
    };
    let (a, b, gone) = (all("a"), all("b c"), all("gone"));
    assert_eq!((a.movements.len(), a.compacted), (2, true), "its first were dropped");
    assert_eq!((b.movements.len(), b.compacted), (2, false));
    assert_eq!((gone.movements.len(), gone.compacted), (0, true));

    let live = |key: &StockKey| Ok(heads.get(key.text(), heads.hash(key.text())).map(|head| head.level));
    let live = Live { level: &live, changing: false };
    let report = verify::verify(disk.as_ref(), &log, end, live, &AtomicBool::new(false), &|_| ()).unwrap();
    assert!(report.is_clean() && report.movements == 4, "{report:?}");
    let super::super::keys::Taken::At(position) = keys.get(ONCE.key).unwrap() else { panic!("it was used") };
    let bytes = history::record_at(&log, position).unwrap();
    let record = record::Record::read(&bytes).unwrap();
    assert_eq!(record.note().once, Some(ONCE));
    assert!(matches!(record.stored(), Some(Stored::Moved(Moved::Change(Ok(_))))));
}

/// A key is as old here as it was there.
#[test]
fn a_key_runs_out_when_it_would_have() {
    for (retention, is_held) in [(Duration::from_hours(2), true), (Duration::from_mins(30), false)] {
        let (_folder, disk) = on_disk();
        founded(&disk);
        assert_eq!(recovered(&disk, retention).keys.len(), usize::from(is_held), "{retention:?}");
    }
}

/// What was cut short is no log, whatever of it is on disk.
#[test]
fn what_was_not_finished_is_refused() {
    let (_folder, disk) = on_disk();
    let beginning = Beginning { lineage: None, first_seq: 1, now_ms: NOW_MS };
    let options = Options { now_ms: NOW_MS, key_retention: Duration::MAX };
    let mut founding = Founding::begin(&disk, beginning).unwrap();
    assert!(recovery::look(&disk, &options, &|_| ()).is_err(), "before anything was written");
    founding.movement(&more(&key("a"), Level::ABSENT, NOW_MS)).unwrap();
    founding.commit().unwrap();
    assert!(recovery::look(&disk, &options, &|_| ()).is_err(), "without what is not in the ledger");
    founding.finish().unwrap();
    assert!(recovery::look(&disk, &options, &|_| ()).is_ok());
}

#[test]
fn a_stock_in_which_nothing_ever_was_is_founded() {
    let (_folder, disk) = on_disk();
    Founding::begin(&disk, Beginning { lineage: None, first_seq: 1, now_ms: NOW_MS })
        .unwrap()
        .finish()
        .unwrap();
    let Recovered { heads, end, control, .. } = recovered(&disk, Duration::MAX);
    assert_eq!((heads.len(), end.next_seq, Control::unwritten(control).restored()), (0, 1, None));
}
