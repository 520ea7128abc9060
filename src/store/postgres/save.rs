//! What a batch has come to, written and committed: one round trip, a statement for each kind of row.
//!
//! Arrays go in, as rows: `INSERT ... SELECT part.p, u.* FROM part, unnest(...) u WHERE part.p = $1` is one that a distributed engine sends to
//! the shard of the partition whole. Idempotency keys come last, ascending by place, after all locks of partitions.

use std::collections::BTreeMap;

use deadpool_postgres::ClientWrapper;
use uuid::Uuid;

use super::failure::{Stage, Trouble};
use super::kept::{KeptOrder, KeptReservation, text_of};
use super::load::prepared;
use super::pipeline::{Param, Pipeline, first_error, param};
use super::rows;
use super::working::{Moved, Shelf, Working};
use crate::stock::{OrderId, ReservationId, StockKey};

const UPSERT_LEVELS: &str = "INSERT INTO inventory.level \
    (p, sku, location, on_hand, reserved, version, present, seq, waits) SELECT part.p, u.* FROM inventory.part, \
    unnest($2::text[], $3::text[], $4::int8[], $5::int8[], $6::int8[], $7::bool[], $8::int8[], $9::int4[]) AS u \
    WHERE part.p = $1 ON CONFLICT (p, sku, location) DO UPDATE SET on_hand = excluded.on_hand, \
    reserved = excluded.reserved, version = excluded.version, present = excluded.present, seq = excluded.seq, \
    waits = excluded.waits";
const INSERT_MOVEMENTS: &str = "INSERT INTO inventory.movement (p, time_ms, seq, prev, kind, sku, location, \
    on_hand_before, reserved_before, on_hand, reserved, version, present, reason, reference, actor, \
    reservation, \"order\") SELECT part.p, $2::int8, u.* FROM inventory.part, \
    unnest($3::int8[], $4::int8[], $5::text[], $6::text[], $7::text[], $8::int8[], $9::int8[], $10::int8[], \
    $11::int8[], $12::int8[], $13::bool[], $14::text[], $15::text[], $16::text[], $17::uuid[], $18::uuid[]) AS u \
    WHERE part.p = $1";
const UPDATE_PART: &str = "UPDATE inventory.part SET head = $2, tick = $3, clock_ms = $4, levels = $5, \
    pending = $6, queued = $7, backordered = $8 WHERE p = $1";
const UPSERT_RESERVATIONS: &str = "INSERT INTO inventory.reservation (p, id, state, expires_ms, ended_ms, body) \
    SELECT part.p, u.* FROM inventory.part, \
    unnest($2::uuid[], $3::text[], $4::int8[], $5::int8[], $6::text[]) AS u WHERE part.p = $1 \
    ON CONFLICT (p, id) DO UPDATE SET state = excluded.state, expires_ms = excluded.expires_ms, \
    ended_ms = excluded.ended_ms, body = excluded.body";
const INSERT_HELD: &str = "INSERT INTO inventory.held (p, reservation, sku, location, quantity, expires_ms) \
    SELECT part.p, u.* FROM inventory.part, \
    unnest($2::uuid[], $3::text[], $4::text[], $5::int8[], $6::int8[]) AS u WHERE part.p = $1";
const DELETE_HELD: &str = "DELETE FROM inventory.held h \
    USING unnest($2::uuid[], $3::text[], $4::text[]) AS u (reservation, sku, location) \
    WHERE h.p = $1 AND h.reservation = ANY($2::uuid[]) AND h.reservation = u.reservation \
    AND h.sku = u.sku COLLATE \"C\" AND h.location = u.location COLLATE \"C\"";
const EXTEND_HELD: &str = "UPDATE inventory.held h SET expires_ms = u.expires_ms \
    FROM unnest($2::uuid[], $3::text[], $4::text[], $5::int8[]) AS u (reservation, sku, location, expires_ms) \
    WHERE h.p = $1 AND h.reservation = ANY($2::uuid[]) AND h.reservation = u.reservation \
    AND h.sku = u.sku COLLATE \"C\" AND h.location = u.location COLLATE \"C\"";
const UPSERT_ORDERS: &str = "INSERT INTO inventory.orders (p, id, state, priority, created_ms, ended_ms, body) \
    SELECT part.p, u.* FROM inventory.part, \
    unnest($2::uuid[], $3::text[], $4::int4[], $5::int8[], $6::int8[], $7::text[]) AS u WHERE part.p = $1 \
    ON CONFLICT (p, id) DO UPDATE SET state = excluded.state, ended_ms = excluded.ended_ms, body = excluded.body";
const INSERT_WAITING: &str = "INSERT INTO inventory.waiting (p, sku, location, id, priority, created_ms) \
    SELECT part.p, u.* FROM inventory.part, \
    unnest($2::text[], $3::text[], $4::uuid[], $5::int4[], $6::int8[]) AS u WHERE part.p = $1";
const DELETE_WAITING: &str = "DELETE FROM inventory.waiting WHERE p = $1 AND id = ANY($2::uuid[])";
const TRIED_WAITING: &str =
    "UPDATE inventory.waiting SET ready = false WHERE p = $1 AND id = ANY($2::uuid[]) AND ready";
const DELETE_KEYS: &str = "DELETE FROM inventory.once WHERE k = $1 AND key = ANY($2::uuid[])";
const INSERT_KEYS: &str = "INSERT INTO inventory.once (k, key, fingerprint, outcome, until_ms) \
    SELECT part.p, u.*, $5::int8 FROM inventory.part, unnest($2::uuid[], $3::bytea[], $4::text[]) AS u \
    WHERE part.p = $1";
/// A statement that is cancelled by its timeout while a standby is waited for would be committed here and nowhere else, so a commit has none. Where
/// a statement before has failed, the first of the two does, too, and so the whole says that it failed.
pub(super) const COMMIT: &str = "SET LOCAL statement_timeout = 0; COMMIT";

/// Keys, what each request asks, and what came of it.
type Keys = (Vec<Uuid>, Vec<Vec<u8>>, Vec<String>);

/// What is written, statement by statement.
struct Writing<'c, 'w> {
    client: &'c ClientWrapper,
    pipeline: Pipeline<'c>,
    working: &'w Working,
}

/// Writes all that has become of a batch, and commits it.
pub(super) async fn commit(client: &ClientWrapper, working: &mut Working) -> Result<(), Trouble> {
    stamp(working);
    let mut writing = Writing { client, pipeline: Pipeline::of(client), working };
    writing.levels().await?;
    writing.movements().await?;
    writing.reservations().await?;
    writing.held().await?;
    writing.orders().await?;
    writing.lines().await?;
    writing.parts().await?;
    writing.keys().await?;
    let mut pipeline = writing.pipeline;
    let committed = pipeline.words(COMMIT);
    let mut answers = pipeline.sent().await;
    match first_error(&mut answers) {
        None => Ok(()),
        Some((at, error)) if at == committed => Err(Trouble::of(&error, Stage::Commit)),
        Some((_, error)) => Err(Trouble::of(&error, Stage::Within)),
    }
}

/// Each partition that is written moves on.
fn stamp(working: &mut Working) {
    let now_ms = working.now_ms.cast_signed();
    for p in &working.writes.parts {
        if let Some(part) = working.parts.get_mut(p) {
            part.tick += 1;
            part.clock_ms = now_ms;
        }
    }
}

/// Rows by the partition of their level.
fn by_part<'r, R>(
    working: &Working,
    rows: impl IntoIterator<Item = &'r R>,
    key: impl Fn(&R) -> &StockKey,
) -> BTreeMap<i32, Vec<&'r R>> {
    let mut by_part: BTreeMap<i32, Vec<&R>> = BTreeMap::new();
    for row in rows {
        by_part.entry(working.how.partitions.of_key(key(row))).or_default().push(row);
    }
    by_part
}

fn uuid<T>(id: crate::stock::Id<T>) -> Uuid {
    Uuid::from_u128(id.to_bits())
}

/// A text has no NUL in this database: what stands for it (U+2400) is kept in its place.
pub(super) fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.replace('\0', "\u{2400}"))
}

fn number(number: u64) -> i64 {
    number.cast_signed()
}

impl Writing<'_, '_> {
    async fn write(&mut self, query: &str, params: Vec<Param>) -> Result<(), Trouble> {
        self.pipeline.ask(prepared(self.client, query).await?, params);
        Ok(())
    }

    async fn levels(&mut self) -> Result<(), Trouble> {
        for (p, keys) in by_part(self.working, &self.working.writes.levels, |key| key) {
            let shelves: Vec<Shelf> = keys.iter().map(|key| self.working.levels[*key]).collect();
            let (skus, locations) = rows::names(keys.into_iter());
            let all = |of: fn(&Shelf) -> i64| shelves.iter().map(of).collect::<Vec<_>>();
            let present: Vec<bool> = shelves.iter().map(|it| it.level.exists()).collect();
            let waits: Vec<i32> = shelves.iter().map(|it| it.waits).collect();
            let params = vec![
                param(p),
                param(skus),
                param(locations),
                param(all(|it| number(it.level.on_hand()))),
                param(all(|it| number(it.level.reserved()))),
                param(all(|it| number(it.level.version()))),
                param(present),
                param(all(|it| it.seq)),
                param(waits),
            ];
            self.write(UPSERT_LEVELS, params).await?;
        }
        Ok(())
    }

    async fn movements(&mut self) -> Result<(), Trouble> {
        let now_ms = number(self.working.now_ms);
        for (p, moved) in &self.working.writes.moved {
            let (skus, locations) = rows::names(moved.iter().map(|it| &it.key));
            let all = |of: fn(&Moved) -> i64| moved.iter().map(of).collect::<Vec<_>>();
            let said = |of: fn(&crate::stock::Remark) -> &str| -> Vec<Option<String>> {
                moved.iter().map(|it| it.said.remark.as_deref().and_then(|remark| text(of(remark)))).collect()
            };
            let actors: Vec<Option<String>> =
                moved.iter().map(|it| it.said.actor.as_deref().and_then(text)).collect();
            let kinds: Vec<&str> = moved.iter().map(|it| it.kind.name()).collect();
            let present: Vec<bool> = moved.iter().map(|it| it.applied.after.exists()).collect();
            let reservations: Vec<Option<Uuid>> = moved.iter().map(|it| it.reservation.map(uuid)).collect();
            let orders: Vec<Option<Uuid>> = moved.iter().map(|it| it.order.map(uuid)).collect();
            let params = vec![
                param(*p),
                param(now_ms),
                param(all(|it| it.seq)),
                param(all(|it| it.prev)),
                param(kinds),
                param(skus),
                param(locations),
                param(all(|it| number(it.applied.before.on_hand()))),
                param(all(|it| number(it.applied.before.reserved()))),
                param(all(|it| number(it.applied.after.on_hand()))),
                param(all(|it| number(it.applied.after.reserved()))),
                param(all(|it| number(it.applied.after.version()))),
                param(present),
                param(said(|remark| &remark.reason)),
                param(said(|remark| &remark.reference)),
                param(actors),
                param(reservations),
                param(orders),
            ];
            self.write(INSERT_MOVEMENTS, params).await?;
        }
        Ok(())
    }

    async fn reservations(&mut self) -> Result<(), Trouble> {
        let mut homes: BTreeMap<i32, Vec<ReservationId>> = BTreeMap::new();
        for id in &self.working.writes.reservations {
            homes.entry(self.working.how.partitions.of_id(*id)).or_default().push(*id);
        }
        for (home, ids) in homes {
            let all: Vec<_> = ids.iter().filter_map(|id| self.working.reservations.get(id)).collect();
            let states: Vec<&str> = all.iter().map(|kept| kept.it.state.name()).collect();
            let params = vec![
                param(home),
                param(all.iter().map(|kept| uuid(kept.it.term.id)).collect::<Vec<_>>()),
                param(states),
                param(all.iter().map(|kept| number(kept.it.term.expires_ms)).collect::<Vec<_>>()),
                param(all.iter().map(|kept| kept.ended_ms.map(number)).collect::<Vec<_>>()),
                param(all.iter().map(|kept| text_of(&KeptReservation::of(&kept.it))).collect::<Vec<_>>()),
            ];
            self.write(UPSERT_RESERVATIONS, params).await?;
        }
        Ok(())
    }

    async fn held(&mut self) -> Result<(), Trouble> {
        let writes = &self.working.writes;
        for (p, lines) in by_part(self.working, &writes.let_go, |(_, key)| key) {
            let ids: Vec<Uuid> = lines.iter().map(|(id, _)| uuid(*id)).collect();
            let (skus, locations) = rows::names(lines.iter().map(|(_, key)| key));
            self.write(DELETE_HELD, vec![param(p), param(ids), param(skus), param(locations)]).await?;
        }
        for (p, lines) in by_part(self.working, &writes.held, |(_, key, ..)| key) {
            let ids: Vec<Uuid> = lines.iter().map(|(id, ..)| uuid(*id)).collect();
            let (skus, locations) = rows::names(lines.iter().map(|(_, key, ..)| key));
            let units: Vec<i64> = lines.iter().map(|(_, _, units, _)| number(*units)).collect();
            let until: Vec<i64> = lines.iter().map(|(.., until_ms)| number(*until_ms)).collect();
            let params =
                vec![param(p), param(ids), param(skus), param(locations), param(units), param(until)];
            self.write(INSERT_HELD, params).await?;
        }
        // Each line once, as it was left: of two rows for one a statement takes either.
        let extended: Vec<_> = writes.extended.iter().collect();
        for (p, lines) in by_part(self.working, &extended, |((_, key), _)| key) {
            let ids: Vec<Uuid> = lines.iter().map(|((id, _), _)| uuid(*id)).collect();
            let (skus, locations) = rows::names(lines.iter().map(|((_, key), _)| key));
            let until: Vec<i64> = lines.iter().map(|(_, until_ms)| number(**until_ms)).collect();
            let params = vec![param(p), param(ids), param(skus), param(locations), param(until)];
            self.write(EXTEND_HELD, params).await?;
        }
        Ok(())
    }

    async fn orders(&mut self) -> Result<(), Trouble> {
        let mut homes: BTreeMap<i32, Vec<OrderId>> = BTreeMap::new();
        for id in &self.working.writes.orders {
            homes.entry(self.working.how.partitions.of_id(*id)).or_default().push(*id);
        }
        for (home, ids) in homes {
            let all: Vec<_> = ids.iter().filter_map(|id| self.working.orders.get(id)).collect();
            let states: Vec<&str> = all.iter().map(|kept| kept.it.state.name()).collect();
            let params = vec![
                param(home),
                param(all.iter().map(|kept| uuid(kept.it.id)).collect::<Vec<_>>()),
                param(states),
                param(all.iter().map(|kept| i32::from(kept.it.priority)).collect::<Vec<_>>()),
                param(all.iter().map(|kept| number(kept.it.times.created_ms)).collect::<Vec<_>>()),
                param(all.iter().map(|kept| kept.ended_ms.map(number)).collect::<Vec<_>>()),
                param(all.iter().map(|kept| text_of(&KeptOrder::of(&kept.it))).collect::<Vec<_>>()),
            ];
            self.write(UPSERT_ORDERS, params).await?;
        }
        Ok(())
    }

    /// Lines of those who wait: left, joined, tried, and at last whose first is to be tried.
    async fn lines(&mut self) -> Result<(), Trouble> {
        let working = self.working;
        for (query, ids) in
            [(DELETE_WAITING, &working.writes.waits_no_more), (TRIED_WAITING, &working.writes.tried)]
        {
            let mut by_part: BTreeMap<i32, Vec<Uuid>> = BTreeMap::new();
            for id in ids {
                let Some(order) = working.orders.get(id) else { continue };
                let parts: std::collections::BTreeSet<i32> =
                    order.it.lines.iter().map(|line| working.how.partitions.of_key(&line.key)).collect();
                for p in parts {
                    by_part.entry(p).or_default().push(uuid(*id));
                }
            }
            for (p, ids) in by_part {
                self.write(query, vec![param(p), param(ids)]).await?;
            }
        }
        let joining = working.writes.waits.iter().filter_map(|id| working.orders.get(id));
        let joining: Vec<(&StockKey, &crate::stock::Order)> =
            joining.flat_map(|order| order.it.lines.iter().map(|line| (&line.key, &*order.it))).collect();
        for (p, lines) in by_part(working, &joining, |(key, _)| key) {
            let (skus, locations) = rows::names(lines.iter().map(|(key, _)| *key));
            let params = vec![
                param(p),
                param(skus),
                param(locations),
                param(lines.iter().map(|(_, order)| uuid(order.id)).collect::<Vec<_>>()),
                param(lines.iter().map(|(_, order)| i32::from(order.priority)).collect::<Vec<_>>()),
                param(lines.iter().map(|(_, order)| number(order.times.created_ms)).collect::<Vec<_>>()),
            ];
            self.write(INSERT_WAITING, params).await?;
        }
        for (p, keys) in by_part(working, &working.writes.freed, |key| key) {
            let (skus, locations) = rows::names(keys.into_iter());
            self.write(&working.how.sql.mark_first, vec![param(p), param(skus), param(locations)]).await?;
        }
        Ok(())
    }

    async fn parts(&mut self) -> Result<(), Trouble> {
        for p in &self.working.writes.parts {
            let part = self.working.parts[p];
            let params = vec![
                param(*p),
                param(part.head),
                param(part.tick),
                param(part.clock_ms),
                param(part.levels),
                param(part.pending),
                param(part.queued),
                param(part.backordered),
            ];
            self.write(UPDATE_PART, params).await?;
        }
        Ok(())
    }

    async fn keys(&mut self) -> Result<(), Trouble> {
        let writes = &self.working.writes;
        let mut run_out: BTreeMap<i32, Vec<Uuid>> = BTreeMap::new();
        for (k, key) in &writes.keys_run_out {
            run_out.entry(*k).or_default().push(Uuid::from_u128(*key));
        }
        for (k, keys) in run_out {
            self.write(DELETE_KEYS, vec![param(k), param(keys)]).await?;
        }
        let mut places: BTreeMap<i32, Keys> = BTreeMap::new();
        for ((k, key), (fingerprint, outcome)) in &writes.keys {
            let (keys, fingerprints, outcomes) = places.entry(*k).or_default();
            keys.push(Uuid::from_u128(*key));
            fingerprints.push(fingerprint.to_vec());
            outcomes.push(outcome.clone());
        }
        let retention = super::deeds::milliseconds(self.working.how.keeping.keys_retention);
        let until_ms = number(self.working.now_ms.saturating_add(retention));
        for (k, (keys, fingerprints, outcomes)) in places {
            let params = vec![param(k), param(keys), param(fingerprints), param(outcomes), param(until_ms)];
            self.write(INSERT_KEYS, params).await?;
        }
        Ok(())
    }
}
