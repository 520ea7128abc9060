//! Tests of the module above: staging over a disk in memory, whatever the order and the size of the runs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use std::sync::Arc;

use proptest::prelude::*;
use smol_str::SmolStr;

use super::*;
use crate::journal::disk::{Disk, Folder};
use crate::store::Lineage;
use crate::store::chores::{LINE_ERRORS_MAX, StockForm};

/// A temporary folder as a disk; what is left in it by name.
fn folder() -> (tempfile::TempDir, Arc<dyn Disk>) {
    let folder = tempfile::TempDir::new().unwrap();
    let disk = Arc::new(Folder::open(folder.path()).unwrap());
    (folder, disk)
}

fn stage(disk: &Arc<dyn Disk>, run_entries: usize, lines: &[String]) -> Result<Staged, ImportError> {
    let source = Source { id: 7, form: StockForm::Ndjson, lineage: Lineage::FIRST };
    let mut stage = Stage::with_runs_of(Arc::clone(disk), source, Arc::default(), run_entries);
    for line in lines {
        stage.push(line.as_bytes())?;
        stage.push(b"\n")?;
    }
    stage.finish(None, None)
}

fn line(sku: u32, on_hand: u64) -> String {
    format!(r#"{{"sku":"s{sku}","on_hand":{on_hand}}}"#)
}

fn all(staged: &Staged) -> Vec<(String, u64)> {
    let mut entries = staged.entries();
    std::iter::from_fn(|| entries.next().unwrap())
        .map(|entry| (entry.key.text().to_owned(), entry.on_hand))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The staged file has the levels in order; if two lines name the same one, each later one is told, and nothing is left.
    #[test]
    fn what_is_staged_is_sorted_and_once(
        skus in prop::collection::vec((0..200_u32, 0..1000_u64), 1..120),
        run_entries in 1..40_usize,
    ) {
        let (_folder, disk) = folder();
        let lines: Vec<String> = skus.iter().map(|&(sku, on_hand)| line(sku, on_hand)).collect();
        let mut first = BTreeMap::new();
        let mut twice = Vec::new();
        for (number, (sku, on_hand)) in (1_u64..).zip(&skus) {
            let key = format!("s{sku} main");
            match first.entry(key) {
                Entry::Occupied(_) => twice.push(number),
                Entry::Vacant(entry) => {
                    entry.insert(*on_hand);
                }
            }
        }
        match stage(&disk, run_entries, &lines) {
            Ok(mut staged) => {
                prop_assert!(twice.is_empty());
                prop_assert_eq!(staged.levels, first.len() as u64);
                prop_assert_eq!(all(&staged), first.into_iter().collect::<Vec<_>>());
                staged.commit().unwrap();
                prop_assert_eq!(disk.list().unwrap(), pending(&disk).unwrap());
                let again = Staged::open(Arc::clone(&disk), &pending(&disk).unwrap()[0]).unwrap();
                prop_assert_eq!(all(&again), all(&staged));
                prop_assert_eq!((again.id, again.levels, again.once), (7, staged.levels, None));
                staged.remove().unwrap();
            }
            Err(ImportError::Lines { errors, total }) => {
                prop_assert_eq!(total, twice.len() as u64);
                prop_assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), twice);
            }
            Err(error) => prop_assert!(false, "{}", error),
        }
        prop_assert_eq!(disk.list().unwrap(), Vec::<String>::new());
    }
}

/// Who asked for an import is known to whoever completes it; the levels are not longer for it.
#[test]
fn who_asked_for_it_is_kept() {
    let (_folder, disk) = folder();
    for actor in [None, Some("till"), Some("a-name-that-is-longer-than-a-few-words@shop")] {
        let actor = actor.map(SmolStr::new);
        let source = Source { id: 7, form: StockForm::Ndjson, lineage: Lineage::FIRST };
        let mut stage = Stage::with_runs_of(Arc::clone(&disk), source, Arc::default(), 2);
        stage.push((line(1, 1) + "\n" + &line(2, 2)).as_bytes()).unwrap();
        let mut staged = stage.finish(None, actor.clone()).unwrap();
        staged.commit().unwrap();
        let again = Staged::open(Arc::clone(&disk), &pending(&disk).unwrap()[0]).unwrap();
        assert_eq!((&again.actor, all(&again)), (&actor, all(&staged)));
        assert_eq!((again.levels, all(&again).len()), (2, 2));
        staged.remove().unwrap();
    }
}

/// What a line expects is kept through sorting, in runs and in the file; one of another history is known for it.
#[test]
fn versions_are_kept_and_those_of_another_history_are_told_apart() {
    let (_folder, disk) = folder();
    let lineage = Lineage::restored(Some(7));
    let source = Source { id: 7, form: StockForm::Csv, lineage };
    let mut stage = Stage::with_runs_of(Arc::clone(&disk), source, Arc::default(), 2);
    let file = "sku,on_hand,version\ne,1,\nd,1,5\nc,1,0\nb,1,5-0000000000000007\na,1,5-0000000000000008\n";
    stage.push(file.as_bytes()).unwrap();
    let mut staged = stage.finish(None, None).unwrap();
    let expected = |staged: &Staged| {
        let mut entries = staged.entries();
        let next = || entries.next().unwrap().map(|entry| entry.expected);
        std::iter::from_fn(next).collect::<Vec<_>>()
    };
    let other = Some(entries::OTHER_HISTORY);
    assert_eq!(expected(&staged), [other, Some(5), Some(0), other, None]);
    staged.commit().unwrap();
    let again = Staged::open(Arc::clone(&disk), &pending(&disk).unwrap()[0]).unwrap();
    assert_eq!(expected(&again), expected(&staged));
}

/// Wrong lines are listed up to a bound, and counted.
#[test]
fn wrong_lines_are_listed_up_to_a_bound() {
    let (_folder, disk) = folder();
    let lines: Vec<String> = (0..250).map(|_| "{}".to_owned()).collect();
    let Err(ImportError::Lines { errors, total }) = stage(&disk, 10, &lines) else {
        panic!("they are wrong")
    };
    assert_eq!((errors.len(), errors[99].line, total), (LINE_ERRORS_MAX, 100, 250));
    assert!(matches!(stage(&disk, 10, &[]), Err(ImportError::Empty)));
    assert_eq!(disk.list().unwrap(), Vec::<String>::new());
}

/// A staged file that is not what was written is not applied, wherever the difference is.
#[test]
fn a_damaged_file_is_not_opened() {
    let (folder, disk) = folder();
    let source = Source { id: 7, form: StockForm::Ndjson, lineage: Lineage::FIRST };
    let mut stage = Stage::with_runs_of(Arc::clone(&disk), source, Arc::default(), 10);
    stage.push((line(1, 1) + "\n" + &line(2, 2)).as_bytes()).unwrap();
    stage.finish(None, Some("till".into())).unwrap().commit().unwrap();
    let name = pending(&disk).unwrap().remove(0);
    let whole = std::fs::read(folder.path().join(&name)).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        std::fs::write(folder.path().join(&name), &damaged).unwrap();
        assert!(Staged::open(Arc::clone(&disk), &name).is_err(), "byte {at}");
        std::fs::write(folder.path().join(&name), &whole[..at]).unwrap();
        assert!(Staged::open(Arc::clone(&disk), &name).is_err(), "cut at {at}");
    }
}
