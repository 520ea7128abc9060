//! [`Rank`]: who is before whom.

use crate::stock::order::PRIORITY_MAX;
use crate::stock::{Order, OrderId};
use crate::store::{Discipline, Orders};

/// The place of an order among all: the lower is first. It is made of what is recorded of the order, so it is the same after a restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) struct Rank {
    /// By [`Discipline::Priority`], when an order of the highest priority would have had to be placed to be level with this one.
    as_if_placed_ms: u64,
    /// Names are in the order in which orders were placed.
    place: u128,
}

impl Rank {
    /// The rank of an order by that discipline.
    ///
    /// Priority with ageing: an order of priority `p` stands where one of the highest priority would that was placed `9 - p` steps of ageing
    /// later. Ranks never change, so nothing has to be sorted anew, and an order is overtaken only by those placed within nine steps
    /// after it.
    pub(in crate::store) fn of(order: &Order, how: &Orders) -> Self {
        Self::of_placed(order.id, order.priority, how)
    }

    /// The same, of the order of that name and priority.
    pub(in crate::store) fn of_placed(id: OrderId, priority: u8, how: &Orders) -> Self {
        let placed = id.to_bits();
        match how.discipline {
            Discipline::Fifo => Self { as_if_placed_ms: 0, place: placed },
            Discipline::Lifo => Self { as_if_placed_ms: 0, place: !placed },
            Discipline::Priority => {
                let step_ms = u64::try_from(how.ageing.as_millis()).unwrap_or(u64::MAX);
                let behind_ms = step_ms.saturating_mul(u64::from(PRIORITY_MAX.saturating_sub(priority)));
                Self { as_if_placed_ms: placed_ms(id).saturating_add(behind_ms), place: placed }
            }
        }
    }
}

/// When an order was placed, as its name says (RFC 9562: the first 48 bits).
fn placed_ms(id: OrderId) -> u64 {
    u64::try_from(id.to_bits() >> 80).expect("48 bits")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::stock::{Location, OrderLine, OrderState, OrderTimes, Quantity, Sku, StockKey};

    fn rank(placed_ms: u64, priority: u8, discipline: Discipline) -> Rank {
        let key = StockKey::new(&Sku::parse("a").unwrap(), &Location::DEFAULT);
        let order = Order {
            id: OrderId::new(placed_ms, 7),
            state: OrderState::Queued,
            lines: vec![OrderLine { key, quantity: Quantity::new(1).unwrap() }],
            priority,
            backorder: false,
            remark: None,
            actor: None,
            times: OrderTimes::default(),
            returned: Vec::new(),
            problem: None,
        };
        Rank::of(&order, &Orders { discipline, ageing: Duration::from_secs(10), ..Orders::default() })
    }

    #[test]
    fn who_is_first_is_said_by_the_discipline() {
        for (discipline, first_is_first) in [(Discipline::Fifo, true), (Discipline::Lifo, false)] {
            assert_eq!(rank(5, 0, discipline) < rank(6, 9, discipline), first_is_first);
        }
        let rank = |placed_ms, priority| rank(placed_ms, priority, Discipline::Priority);
        assert!(rank(5_000, 9) < rank(5, 8), "the urgent one first");
        assert!(rank(5, 3) < rank(6, 3), "of the same, the first");
    }

    /// No starvation: who was placed nine steps of ageing before is before, whatever its priority; and no sooner than that.
    #[test]
    fn an_order_is_overtaken_only_for_so_long() {
        let rank = |placed_ms, priority| rank(placed_ms, priority, Discipline::Priority);
        assert!(rank(1_000, 0) < rank(91_001, 9));
        assert!(rank(90_999, 9) < rank(1_000, 0));
        assert!(rank(1_000, 4) < rank(11_001, 5) && rank(10_999, 5) < rank(1_000, 4));
    }
}
