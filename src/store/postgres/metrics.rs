//! What the store counts of batches and connections.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::batch::WAITED;
use super::connect::Pools;
use super::working::How;
use crate::strategy::ContentionReport;
use crate::telemetry::exposition::Buckets;
use crate::telemetry::{Exposition, Histogram};

/// Upper bounds of the sizes of batches: powers of two.
const SIZES: usize = 11;

/// What is counted of batches.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    sizes: [AtomicU64; SIZES + 1],
    commands: AtomicU64,
    again: AtomicU64,
    waited: AtomicU64,
    dropped: AtomicU64,
    time: Histogram,
    lock_wait: Histogram,
    pub(super) commit: Histogram,
}

impl Metrics {
    /// A batch of so many commands took so long, of which it waited so long for its locks.
    pub(super) fn batch(&self, commands: usize, time: Duration, lock_wait: Duration) {
        let power = commands.max(1).next_power_of_two().trailing_zeros() as usize;
        self.sizes[power.min(SIZES)].fetch_add(1, Ordering::Relaxed);
        self.commands.fetch_add(commands as u64, Ordering::Relaxed);
        self.waited.fetch_add(u64::from(lock_wait > WAITED), Ordering::Relaxed);
        self.time.observe(time);
        self.lock_wait.observe(lock_wait);
    }

    /// A batch is carried out again, as it met another.
    pub(super) fn again(&self) {
        self.again.fetch_add(1, Ordering::Relaxed);
    }

    /// So many movements were kept long enough, and are removed.
    pub(super) fn dropped(&self, movements: u64) {
        self.dropped.fetch_add(movements, Ordering::Relaxed);
    }

    /// What partitions have cost: a lock that took longer than a round trip was waited for.
    pub(super) fn contention(&self) -> ContentionReport {
        let waits = self.lock_wait.distribution();
        ContentionReport {
            acquisitions: waits.count,
            contended: self.waited.load(Ordering::Relaxed),
            timeouts: 0,
            retries: self.again.load(Ordering::Relaxed),
            waits,
            holds: self.time.distribution(),
        }
    }

    /// Appends the samples.
    pub(super) fn expose(&self, text: &mut Exposition, how: &How, pools: &Pools, waiting: usize) {
        let counts = &how.counts;
        let gauges = [
            ("inventory_stock_levels", "Stock levels that exist.", counts.total(|part| part.levels)),
            (
                "inventory_reservations_pending",
                "Reservations that hold units.",
                counts.total(|part| part.pending),
            ),
            ("inventory_orders_queued", "Orders that wait for their turn.", counts.total(|part| part.queued)),
            (
                "inventory_orders_backordered",
                "Orders that wait for units.",
                counts.total(|part| part.backordered),
            ),
            ("inventory_idempotency_keys", "Idempotency keys held.", how.keys_held()),
            ("inventory_store_waiting", "Commands that wait for their batch.", waiting),
        ];
        for (name, help, count) in gauges {
            text.gauge(name, help);
            text.sample(name, &[], count);
        }
        let name = "inventory_refusals_total";
        text.counter(
            name,
            "Changes and transactions refused for the state of the stock, by the reason told.",
        );
        for (reason, count) in how.refusals.all() {
            text.sample(name, &[("reason", reason)], count);
        }
        let name = "inventory_store_batch_commands";
        text.histogram(name, "Commands that were carried out together.");
        let bounds = (0..SIZES).map(|power| (1_u64 << power) as f64).collect();
        let counts = self.sizes.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        let sum = self.commands.load(Ordering::Relaxed).into();
        text.buckets(name, &[], Buckets { bounds, counts, sum, exemplar: None });
        for (name, help, seen) in [
            ("inventory_store_batch_seconds", "How long a batch took, locks and all.", &self.time),
            (
                "inventory_store_lock_wait_seconds",
                "How long a batch waited for its partitions.",
                &self.lock_wait,
            ),
            ("inventory_store_commit_seconds", "How long writing and committing a batch took.", &self.commit),
        ] {
            text.histogram(name, help);
            text.distribution(name, &[], &seen.distribution());
        }
        let name = "inventory_store_batches_again_total";
        text.counter(name, "Batches that were carried out again, as they met others.");
        text.sample(name, &[], self.again.load(Ordering::Relaxed));
        let name = "inventory_retention_movements_total";
        text.counter(
            name,
            "Movements that this replica has removed from the ledger, as they were kept long enough.",
        );
        text.sample(name, &[], self.dropped.load(Ordering::Relaxed));
        let name = "inventory_store_connections";
        text.gauge(name, "Connections to the database, and those who wait for one, by what they are for.");
        for (pool, status) in pools.status() {
            text.sample(name, &[("pool", pool), ("state", "open")], status.size);
            text.sample(name, &[("pool", pool), ("state", "idle")], status.available);
            text.sample(name, &[("pool", pool), ("state", "wanted")], status.waiting);
        }
    }
}
