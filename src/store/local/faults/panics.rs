//! A thread panics between a change and its record (P7, P11): the process ends, and leaves no gap.
//!
//! The process that ends is this test binary, started again for one test that is ignored otherwise.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::for_each_strategy;
use super::image::start;
use super::script::Deed;
use super::service::{command, key, transaction};
use crate::clock::wall_ms;
use crate::journal::data_dir::DataDir;
use crate::journal::lanes::Permit;
use crate::journal::record::RecordKind;
use crate::journal::recovery::{self, Options, Recovered};
use crate::journal::{Journal, JournalConfig};
use crate::said::Said;
use crate::stock::{Change, Changed, HandOff, IfMissing, Operation};
use crate::store::local::Local;
use crate::store::{Keeping, Store as _};
use crate::strategy::{Strategy as _, StrategyConfig, StrategyKind};

const DATA: &str = "INVENTORY_TEST_PANICS_IN";
const STRATEGY: &str = "INVENTORY_TEST_PANICS_STRATEGY";
/// Whether a transaction panics, or a change of one level.
const MANY: &str = "INVENTORY_TEST_PANICS_MANY";

/// A hand-off that owns a permit, and panics before it uses it.
struct Panics {
    _permit: Permit,
}

impl HandOff for Panics {
    fn hand_over<'a, C>(self, changes: C)
    where
        C: ExactSizeIterator<Item = Changed<'a>> + Clone,
    {
        panic!("between a change and its record: {}", changes.len());
    }
}

fn recovered(data: &DataDir) -> Recovered {
    let options = Options { now_ms: wall_ms(), key_retention: Duration::from_hours(24) };
    recovery::recover(&data.disk(), &options, &|_| {}).expect("a directory that was not damaged")
}

/// Run by the test below, in a process of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "ends the process: the tests of this module start it again for it"]
async fn panics_before_it_hands_over() {
    let Ok(folder) = std::env::var(DATA) else { return };
    let kind: StrategyKind = std::env::var(STRATEGY).unwrap().parse().unwrap();
    let data = DataDir::open_or_create(Path::new(&folder)).unwrap();
    let (start, _) = start(recovered(&data));
    let journal = Journal::start(data.disk(), start, &JournalConfig::default()).unwrap();
    let store = Local::new(kind, StrategyConfig::default(), journal, &Keeping::default(), None);
    for level in 0..2 {
        store.execute(command(&Deed::Create(level, 5), None)).await.unwrap();
    }
    let permit = store.0.books.permit(RecordKind::Change, Said::default(), None).await.unwrap();
    let panics = Panics { _permit: permit };
    if std::env::var(MANY).is_ok() {
        let _ = store.0.stock.transact(&transaction(&[(0, 1), (1, 1)]), panics).await;
    } else {
        let add = Operation::Adjust { delta: 1, if_missing: IfMissing::Refuse };
        let _ = store.0.stock.apply(&key(0), Change::unconditional(add), panics).await;
    }
    // Nobody comes here: a process that goes on has a gap in its log.
}

/// How the process ended, and what it said.
fn run(kind: StrategyKind, folder: &Path, many: bool) -> std::process::Output {
    let mut command = Command::new(std::env::current_exe().expect("this test binary"));
    let test = "store::local::faults::panics::panics_before_it_hands_over";
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env(DATA, folder).env(STRATEGY, kind.name()).stdin(Stdio::null());
    if many {
        command.env(MANY, "1");
    }
    command.output().expect("it runs")
}

for_each_strategy! {
    /// P7, P11: the process aborts, and what it leaves is the state before the change, which is gone on with.
    async fn a_panic_between_a_change_and_its_record_ends_the_process(kind: StrategyKind) {
        for many in [false, true] {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let output = run(kind, folder.path(), many);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.signal(), Some(6), "aborted: {said}");
            assert!(said.contains("between a change and its record"), "{said}");
            let data = DataDir::open(folder.path()).expect("the lock went with the process");
            let found = recovered(&data);
            assert!(found.report.cut.is_none());
            let mut versions = Vec::new();
            found.heads.walk(|key, head| versions.push((key.text().to_owned(), head.level.version())));
            versions.sort();
            assert_eq!(versions, [("k0 main".to_owned(), 1), ("k1 main".to_owned(), 1)]);
            let (start, _) = start(found);
            let journal = Journal::start(data.disk(), start, &JournalConfig::default()).expect("threads");
            let store = Local::new(kind, StrategyConfig::default(), journal, &Keeping::default(), None);
            store.execute(command(&Deed::Create(9, 1), None)).await.expect("it goes on");
        }
    }
}
