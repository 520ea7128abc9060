//! What the store counts, as Prometheus reads it. It may be ahead of what is durable.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Parts;
use crate::journal::Journal;
use crate::journal::metrics::GROUP_BOUNDS;
use crate::strategy::Strategy as _;
use crate::telemetry::Exposition;
use crate::telemetry::exposition::Buckets;

/// Appends the store's samples.
pub(super) fn expose(text: &mut Exposition, parts: &Parts) {
    stock(text, parts);
    contention(text, parts);
    let journal = parts.books.journal();
    writing(text, journal);
    order(text, journal);
    snapshots(text, journal);
    orders(text, parts);
}

fn stock(text: &mut Exposition, parts: &Parts) {
    text.gauge("inventory_stock_levels", "Stock levels that exist.");
    text.sample("inventory_stock_levels", &[], parts.index.len());
    let waiters = parts.books.shared().lanes.waiters().count() as u64;
    gauge(
        text,
        "inventory_stock_waiters",
        "Requests that wait for a stock level to change or to have enough.",
        waiters,
    );
    text.counter(
        "inventory_refusals_total",
        "Changes and transactions refused for the state of the stock, by the reason told.",
    );
    for (reason, count) in parts.refusals.all() {
        text.sample("inventory_refusals_total", &[("reason", reason)], count);
    }
}

fn orders(text: &mut Exposition, parts: &Parts) {
    let (orders, ended) = (&parts.books.shared().orders, &parts.pipeline.ended);
    gauge(text, "inventory_orders_queued", "Orders that wait for their turn.", orders.queued() as u64);
    gauge(text, "inventory_orders_backordered", "Orders that wait for units.", orders.backordered() as u64);
    let name = "inventory_orders_ended_total";
    text.counter(name, "Orders that are over since the start, by what became of them.");
    let outcomes =
        [("fulfilled", &ended.fulfilled), ("rejected", &ended.rejected), ("cancelled", &ended.cancelled)];
    for (outcome, count) in outcomes {
        text.sample(name, &[("outcome", outcome)], read(count));
    }
}

fn contention(text: &mut Exposition, parts: &Parts) {
    let seen = parts.stock.contention();
    let labels = [("strategy", parts.stock.kind().name())];
    let counters = [
        (
            "acquisitions",
            "Times a request got in: a lock taken, or a change made without one.",
            seen.acquisitions,
        ),
        ("contended", "Acquisitions that had to wait or to try again.", seen.contended),
        ("timeouts", "Requests that gave up at the lock timeout.", seen.timeouts),
        ("retries", "Compare-and-swaps that had to be tried again.", seen.retries),
    ];
    for (name, help, count) in counters {
        let name = format!("inventory_contention_{name}_total");
        text.counter(&name, help);
        text.sample(&name, &labels, count);
    }
    let name = "inventory_contention_wait_seconds";
    text.histogram(name, "How long contended acquisitions waited.");
    text.distribution(name, &labels, &seen.waits);
    let name = "inventory_contention_hold_seconds";
    text.histogram(name, "How long locks were held: one hold in 64.");
    text.distribution(name, &labels, &seen.holds);
}

fn writing(text: &mut Exposition, journal: &Journal) {
    let (shared, metrics) = (journal.shared(), &journal.shared().metrics);
    let name = "inventory_journal_sync_seconds";
    text.histogram(name, "How long writing and syncing one group took.");
    text.distribution(name, &[], &metrics.syncs.distribution());
    groups(text, &metrics.group_sizes, read(&metrics.records));
    counter(text, "inventory_journal_bytes_total", "Bytes written to the log.", read(&metrics.bytes));
    gauge(text, "inventory_journal_log_bytes", "Bytes of the log.", shared.log.bytes());
    gauge(
        text,
        "inventory_journal_disk_full",
        "1 while the log waits for room on the disk.",
        read(&metrics.full),
    );
    let failed = u64::from(shared.watermark.failed().is_some());
    gauge(text, "inventory_journal_failed", "1 once a write has failed: the service stops.", failed);
    let seq = shared.watermark.end().next_seq - 1;
    gauge(text, "inventory_journal_durable_seq", "The number of the last movement that is on disk.", seq);
    gauge(text, "inventory_idempotency_keys", "Idempotency keys held.", shared.keys.len() as u64);
    let behind = "By how much the dates of movements are behind the system's clock, which they follow: negative where they are ahead.";
    text.gauge("inventory_clock_behind_seconds", behind);
    text.sample("inventory_clock_behind_seconds", &[], shared.clock.behind_ms() as f64 / 1e3);
    let pending = "Reservations that hold units.";
    gauge(text, "inventory_reservations_pending", pending, shared.holds.open_count() as u64);
    let passing = shared.keys.passing() as u64;
    gauge(text, "inventory_idempotency_lines", "Lines of batches with idempotency keys under way.", passing);
}

/// Records per group: a histogram of numbers, not of seconds.
fn groups(text: &mut Exposition, sizes: &[AtomicU64], records: u64) {
    let name = "inventory_journal_group_records";
    text.histogram(name, "Records written and synced in one group.");
    let bounds = (0..GROUP_BOUNDS).map(|power| (1_u64 << power) as f64).collect();
    let counts = sizes.iter().map(read).collect();
    text.buckets(name, &[], Buckets { bounds, counts, sum: records.into(), exemplar: None });
}

fn order(text: &mut Exposition, journal: &Journal) {
    let metrics = &journal.shared().metrics;
    let held = "Records that came before what they depend on, and wait for it.";
    gauge(text, "inventory_journal_held_records", held, read(&metrics.held));
    let name = "inventory_journal_held_age_seconds";
    text.gauge(name, "How long the oldest of them has waited.");
    text.sample(name, &[], read(&metrics.held_age_ns) as f64 / 1e9);
}

fn snapshots(text: &mut Exposition, journal: &Journal) {
    let metrics = journal.snapshots().metrics();
    counter(text, "inventory_snapshots_total", "Snapshots taken.", read(&metrics.taken));
    counter(text, "inventory_snapshots_failed_total", "Snapshots that failed.", read(&metrics.failed));
    let taken_at = read(&metrics.time_ms);
    if taken_at > 0 {
        let age = journal.shared().clock.steady_ms().saturating_sub(taken_at) as f64 / 1e3;
        text.gauge("inventory_snapshot_age_seconds", "Time since the last snapshot was taken.");
        text.sample("inventory_snapshot_age_seconds", &[], age);
        text.gauge("inventory_snapshot_duration_seconds", "How long the last snapshot took.");
        text.sample("inventory_snapshot_duration_seconds", &[], read(&metrics.duration_ms) as f64 / 1e3);
        gauge(text, "inventory_snapshot_bytes", "The size of the last snapshot.", read(&metrics.bytes));
    }
    let held =
        "Bytes of the log past --retain-age or --retain-bytes that stay as idempotency keys may need them.";
    gauge(text, "inventory_retention_held_bytes", held, read(&metrics.held_for_keys_bytes));
    // By the snapshots' thread on disk, by the writer in memory.
    let dropped = read(&metrics.segments_dropped) + read(&journal.shared().metrics.segments_trimmed);
    counter(text, "inventory_journal_segments_dropped_total", "Segments dropped by retention.", dropped);
}

fn counter(text: &mut Exposition, name: &str, help: &str, value: u64) {
    text.counter(name, help);
    text.sample(name, &[], value);
}

fn gauge(text: &mut Exposition, name: &str, help: &str, value: u64) {
    text.gauge(name, help);
    text.sample(name, &[], value);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
