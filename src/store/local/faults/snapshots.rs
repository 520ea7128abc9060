//! Several levels as of one instant (P4), and deadlines that come just then (P9), on a time that is the test's.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, ThreadId};
use std::time::Duration;

use parking_lot::Mutex;

use super::for_each_strategy;
use super::service::{Service, config, key, quantity};
use crate::clock::TimeSource;
use crate::clock::manual::Manual;
use crate::journal::JournalConfig;
use crate::journal::disk::faulty::FaultyDisk;
use crate::stock::{Change, KeySet, Level, Operation, Precondition, Transaction};
use crate::store::{Command, Deed, Outcome, StockQuery, Store as _};
use crate::strategy::StrategyKind;

const NOW_MS: u64 = 1_790_000_000_000;
const TTL: Duration = Duration::from_secs(10);
const MOMENT: Duration = Duration::from_millis(1);
const JUST_BEFORE: Duration = Duration::from_millis(9_999);

/// A time that, asked by one thread, has something happen right after it was read.
struct Interrupted {
    time: Manual,
    armed: Mutex<Option<(ThreadId, Interruption)>>,
}

type Interruption = Box<dyn FnOnce(&Manual) + Send>;

impl fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.time.fmt(f)
    }
}

impl Interrupted {
    fn arm(&self, interruption: impl FnOnce(&Manual) + Send + 'static) {
        *self.armed.lock() = Some((thread::current().id(), Box::new(interruption)));
    }
}

impl TimeSource for Interrupted {
    fn monotonic(&self) -> Duration {
        let read = self.time.monotonic();
        let due = self.armed.lock().take_if(|(thread, _)| *thread == thread::current().id());
        if let Some((_, interruption)) = due {
            interruption(&self.time);
        }
        read
    }

    fn wall_ms(&self) -> u64 {
        self.time.wall_ms()
    }
}

/// A service whose levels 0 and 1 have five units each, of which a reservation each holds two.
async fn two_held(kind: StrategyKind) -> (Arc<Interrupted>, Arc<Service>) {
    let time = Arc::new(Interrupted { time: Manual::at(NOW_MS), armed: Mutex::new(None) });
    let config = JournalConfig { time: Arc::clone(&time) as _, ..config() };
    let service = Service::open(kind, &FaultyDisk::new(), &config).await.expect("an empty disk");
    for level in 0..2 {
        let create = Change::put(quantity(5), Precondition::Absent);
        let made = service.store.execute(Command::change(key(level), create)).await.expect("it is judged");
        assert!(matches!(made.outcome, Outcome::Change(Ok(_))));
        let two = Change::unconditional(Operation::Reserve { quantity: quantity(2) });
        let transaction = Arc::new(Transaction::new(vec![(key(level), two)]).expect("a line"));
        let held = service.store.execute(Command::new(Deed::Reserve { transaction, ttl: TTL })).await;
        assert!(matches!(held.expect("it is judged").outcome, Outcome::Reservation(Ok(_))));
    }
    (time, service)
}

async fn reserved(service: &Service, consistent: bool) -> Vec<u64> {
    let keys = Arc::new(KeySet::new(vec![key(1), key(0)]));
    let levels =
        service.store.query(StockQuery { keys, consistent }).await.expect("nobody is at it for long");
    levels.iter().map(|level: &Level| level.reserved()).collect()
}

for_each_strategy! {
    /// P9: one instant before the deadline all is held, and from the deadline on nothing, however it is asked for.
    async fn a_query_sees_what_is_due_let_go(kind: StrategyKind) {
        for consistent in [false, true] {
            let (time, service) = two_held(kind).await;
            time.time.pass(JUST_BEFORE);
            assert_eq!(reserved(&service, consistent).await, [2, 2]);
            time.time.pass(MOMENT);
            assert_eq!(reserved(&service, consistent).await, [0, 0]);
        }
    }

    /// P4, P9: a deadline comes when a snapshot has just looked at the time, and somebody else lets one of two reservations go: the
    /// snapshot does not show the one let go and the other not.
    async fn a_deadline_that_comes_amid_a_snapshot_came_for_all(kind: StrategyKind) {
        let (time, service) = two_held(kind).await;
        time.time.pass(JUST_BEFORE);
        let store = service.store.clone();
        time.arm(move |time| {
            time.pass(MOMENT);
            let elsewhere = thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(store.read(&key(0))).expect("a level")
            });
            assert_eq!(elsewhere.join().expect("no panic").reserved(), 0);
        });
        assert_eq!(reserved(&service, true).await, [0, 0]);
        assert!(time.armed.lock().is_none(), "it came amid the snapshot");
    }
}
