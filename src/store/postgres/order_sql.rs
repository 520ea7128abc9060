//! [`OrderSql`]: the statements that say who is first, which depend on the discipline. The same order as [`Rank`](crate::store::rank::Rank)'s.

use crate::store::{Discipline, Orders};

/// Statements by rank.
#[derive(Debug)]
pub(super) struct OrderSql {
    /// Of levels, the first that waits: sku, location, id, priority. `$1` is the partition, `$2` and `$3` are skus and locations.
    pub(super) first_waiting: String,
    /// Marks the same for another try.
    pub(super) mark_first: String,
    /// The first of the queue at home in a partition: id, body. `$2` of them at most.
    pub(super) queued: String,
    /// The first that wait and are worth another try, with a level in a partition: id. `$2` of them at most.
    pub(super) ready: String,
}

impl OrderSql {
    /// For that discipline.
    pub(super) fn new(how: &Orders) -> Self {
        let by_rank = |row: &str| match how.discipline {
            Discipline::Fifo => format!("{row}.id"),
            Discipline::Lifo => format!("{row}.id DESC"),
            Discipline::Priority => {
                let ageing_ms = how.ageing.as_millis();
                format!("{row}.created_ms - {row}.priority * {ageing_ms}::int8, {row}.id")
            }
        };
        let first = format!(
            "FROM unnest($2::text[], $3::text[]) AS w (sku, location) CROSS JOIN LATERAL \
             (SELECT x.* FROM inventory.waiting x WHERE x.p = $1 AND x.sku = w.sku COLLATE \"C\" \
             AND x.location = w.location COLLATE \"C\" ORDER BY {} LIMIT 1) l",
            by_rank("x")
        );
        Self {
            first_waiting: format!("SELECT l.sku, l.location, l.id, l.priority {first}"),
            mark_first: format!(
                "UPDATE inventory.waiting y SET ready = true FROM (SELECT l.sku, l.location, l.id {first}) f \
                 WHERE y.p = $1 AND y.sku = ANY($2::text[]) AND y.sku = f.sku AND y.location = f.location AND y.id = f.id AND NOT y.ready"
            ),
            queued: format!(
                "SELECT q.id, q.body FROM inventory.orders q WHERE q.p = $1 AND q.state = 'queued' \
                 ORDER BY {} LIMIT $2",
                by_rank("q")
            ),
            ready: "SELECT DISTINCT q.id FROM inventory.waiting q WHERE q.p = $1 AND q.ready LIMIT $2"
                .to_owned(),
        }
    }

    /// For who does not know the discipline, and gives nobody a turn: all that wait are marked, and whoever gives them theirs finds the first.
    pub(super) fn of_any_discipline() -> Self {
        let mark_first = "UPDATE inventory.waiting y SET ready = true \
            FROM unnest($2::text[], $3::text[]) AS w (sku, location) WHERE y.p = $1 AND y.sku = ANY($2::text[]) \
            AND y.sku = w.sku AND y.location = w.location AND NOT y.ready";
        Self { mark_first: mark_first.to_owned(), ..Self::new(&Orders::default()) }
    }
}
