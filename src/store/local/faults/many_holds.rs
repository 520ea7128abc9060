//! A hundred thousand reservations that run out within one second while others look (P2, P9), on a time that is the test's.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::for_each_strategy;
use super::service::{Service, key, quantity};
use crate::clock::manual::Manual;
use crate::journal::JournalConfig;
use crate::journal::disk::faulty::FaultyDisk;
use crate::stock::{Change, KeySet, Operation, Precondition, Transaction};
use crate::store::{Command, Deed, Outcome, StockQuery, Store as _};
use crate::strategy::StrategyKind;

const NOW_MS: u64 = 1_790_000_000_000;
/// Levels, and reservations of one unit of each.
const LEVELS: usize = 100;
const HOLDS: usize = 1_000;
/// Until the first runs out; the others do within a second from there.
const TTL: Duration = Duration::from_mins(1);
/// A step before that.
const BEFORE: Duration = Duration::from_millis(59_975);
/// So much time passes at once.
const STEP: Duration = Duration::from_millis(25);

/// The service, and of each level when its reservations run out, in order.
struct Held {
    time: Arc<Manual>,
    service: Arc<Service>,
    deadlines: Vec<Vec<u64>>,
}

impl Held {
    async fn all(kind: StrategyKind) -> Self {
        let time = Arc::new(Manual::at(NOW_MS));
        let config = JournalConfig { time: Arc::clone(&time) as _, ..JournalConfig::default() };
        let service = Service::open(kind, &FaultyDisk::new(), &config).await.expect("an empty disk");
        let makers = (0..LEVELS).map(|level| {
            let service = Arc::clone(&service);
            tokio::spawn(async move { hold_all_of(&service, level).await })
        });
        let mut deadlines = Vec::with_capacity(LEVELS);
        for maker in makers.collect::<Vec<_>>() {
            deadlines.push(maker.await.expect("no panic"));
        }
        Self { time, service, deadlines }
    }

    fn now_ms(&self) -> u64 {
        self.service.journal().shared().clock.now_ms()
    }

    /// How many of that level's reservations hold something then.
    fn held_at(&self, level: usize, now_ms: u64) -> u64 {
        let deadlines = &self.deadlines[level];
        (deadlines.len() - deadlines.partition_point(|deadline| *deadline <= now_ms)) as u64
    }

    /// Looks at those levels, one after the other or as of one instant: what is reserved is what was not due at some moment meanwhile.
    async fn look(&self, levels: &[usize], consistent: bool) {
        let keys = Arc::new(KeySet::new(levels.iter().map(|level| key(*level)).collect()));
        let from_ms = self.now_ms();
        let shown = self.service.store.query(StockQuery { keys: Arc::clone(&keys), consistent }).await;
        let (shown, to_ms) = (shown.expect("nobody is at it for long"), self.now_ms());
        for level in levels {
            let reserved = shown[keys.position(&key(*level)).expect("it was asked for")].reserved();
            let may_be = self.held_at(*level, to_ms)..=self.held_at(*level, from_ms);
            assert!(may_be.contains(&reserved), "{reserved} of level {level}, and not {may_be:?}");
        }
    }
}

async fn hold_all_of(service: &Service, level: usize) -> Vec<u64> {
    let create = Change::put(quantity(HOLDS as u64), Precondition::Absent);
    service.store.execute(Command::change(key(level), create)).await.expect("it is judged");
    let mut deadlines = Vec::with_capacity(HOLDS);
    for number in 0..HOLDS as u64 {
        let one = Change::unconditional(Operation::Reserve { quantity: quantity(1) });
        let transaction = Arc::new(Transaction::new(vec![(key(level), one)]).expect("a line"));
        let ttl = TTL + Duration::from_millis(number);
        let made = service.store.execute(Command::new(Deed::Reserve { transaction, ttl })).await;
        match made.expect("it is judged").outcome {
            Outcome::Reservation(Ok(reservation)) => deadlines.push(reservation.term.expires_ms),
            other => panic!("{other:?}"),
        }
    }
    deadlines
}

for_each_strategy! {
    /// P9: no answer shows a reservation that is over, or misses one that is not; and each ends once, by one movement.
    async fn a_hundred_thousand_run_out_while_others_look(kind: StrategyKind) {
        let (held, is_over) = (Arc::new(Held::all(kind).await), Arc::new(AtomicBool::new(false)));
        let lookers = (0..3_usize).map(|looker| {
            let (held, is_over) = (Arc::clone(&held), Arc::clone(&is_over));
            tokio::spawn(async move {
                let mut looks = 0;
                while !is_over.load(Ordering::SeqCst) {
                    let first = (looks * 7 + looker) % LEVELS;
                    held.look(&[first, (first + 31) % LEVELS, (first + 62) % LEVELS], looker > 0).await;
                    looks += 1;
                    tokio::task::yield_now().await;
                }
                looks
            })
        });
        let lookers: Vec<_> = lookers.collect();
        held.time.pass(BEFORE);
        let all: Vec<usize> = (0..LEVELS).collect();
        while held.held_at(0, held.now_ms()) > 0 {
            held.time.pass(STEP);
            held.look(&all, false).await;
        }
        is_over.store(true, Ordering::SeqCst);
        for looker in lookers {
            assert!(looker.await.expect("no panic") > 0);
        }
        for level in all {
            let level = held.service.store.read(&key(level)).await.expect("a level");
            assert_eq!((level.on_hand(), level.reserved()), (HOLDS as u64, 0));
            assert_eq!(level.version(), 1 + 2 * HOLDS as u64, "each was held and let go once");
        }
    }
}
