//! The orders of a simulated shop.

use std::collections::BTreeMap;

use super::{Broken, LEVELS, MS, Order, Shop};
use crate::shop::{Answer, Ask, Line, MovementKind, Name, OrderSeen, OrderState, Turns, Why};

impl Shop {
    fn rank(&self, id: Name) -> (u64, u128) {
        match self.books.turns {
            Turns::Untold | Turns::Fifo => (0, id.0),
            Turns::Lifo => (0, !id.0),
            Turns::Priority { ageing_ms } => {
                let placed_ms = u64::try_from(id.0 >> 80).expect("48 bits");
                (placed_ms + ageing_ms * u64::from(9 - self.orders[&id].priority), id.0)
            }
        }
    }

    /// Orders that wait, the best first.
    fn waiting(&self) -> Vec<Name> {
        let waits = |order: &Order| order.state == OrderState::Backordered;
        let mut waiting: Vec<Name> =
            self.orders.iter().filter(|(_, order)| waits(order)).map(|(&id, _)| id).collect();
        waiting.sort_by_key(|&id| self.rank(id));
        waiting
    }

    pub(super) fn order(&mut self) {
        let priority = u8::try_from(self.draw(10)).expect("one digit");
        let (lines, backorder) = (self.some_lines(), self.draw(3) > 0);
        self.deed(Ask::Order { lines: lines.clone(), priority, backorder }, |shop, number| {
            let id = shop.name();
            let state = OrderState::Queued;
            let order = Order { lines: lines.clone(), priority, number, state, returned: BTreeMap::new() };
            shop.orders.insert(id, order);
            let before = shop.before(id, &lines);
            let short = shop.short(&lines);
            let wanted = before.is_some() && short.is_none();
            let first = wanted && shop.newcomer_may(&lines) && shop.breaks(Broken::NewcomerServedFirst);
            let (state, why) = match (before.filter(|_| !first), short) {
                (None, None) => {
                    shop.take(id);
                    return shop.told_of(id, None);
                }
                _ if backorder => (OrderState::Backordered, None),
                (Some(level), _) => (OrderState::Rejected, Some(Why::Promised(level))),
                (None, Some(short)) => (OrderState::Rejected, Some(Why::Short(short))),
            };
            shop.orders.get_mut(&id).expect("it is there").state = state;
            shop.told_of(id, why)
        });
    }

    /// The level for which an order waits that is before this one.
    fn before(&self, id: Name, lines: &[Line]) -> Option<usize> {
        let rank = self.rank(id);
        let before: Vec<Name> = self.waiting().into_iter().filter(|&other| self.rank(other) < rank).collect();
        let is_wanted = |level| {
            before.iter().any(|other| self.orders[other].lines.iter().any(|line| line.level == level))
        };
        lines.iter().map(|line| line.level).find(|&level| is_wanted(level))
    }

    /// Whether one that waits for these levels was shown to, and waits on.
    fn newcomer_may(&self, lines: &[Line]) -> bool {
        let waits = |id: &Name| {
            let told = self.books.told.iter().any(|told| {
                told.answered_ns + MS < self.now_ns
                    && matches!(&told.answer, Answer::Order(seen) if seen.id == *id && seen.state == OrderState::Backordered)
            });
            told && self.orders[id]
                .lines
                .iter()
                .any(|line| lines.iter().any(|wanted| wanted.level == line.level))
        };
        self.books.turns == Turns::Fifo && self.waiting().iter().any(waits)
    }

    fn take(&mut self, id: Name) {
        let order = self.orders[&id].clone();
        for line in &order.lines {
            let units = -line.units.cast_signed();
            self.change(line.level, (units, 0), MovementKind::Fulfilled, Some(order.number), Some(id));
        }
        if self.short(&order.lines).is_none() && self.breaks(Broken::OrderFulfilledTwice) {
            for line in &order.lines {
                let units = -line.units.cast_signed();
                self.change(line.level, (units, 0), MovementKind::Fulfilled, Some(order.number), Some(id));
            }
        }
        self.orders.get_mut(&id).expect("it is there").state = OrderState::Fulfilled;
    }

    /// Orders that wait have what is there, in turn.
    pub(super) fn serve_waiting(&mut self) {
        if self.broken == Some(Broken::WakesNobody) {
            return;
        }
        let mut has_first = [false; LEVELS];
        let mut waiting = self.waiting();
        if self.broken == Some(Broken::WorstServedFirst) {
            waiting.reverse();
        }
        for id in waiting {
            let lines = self.orders[&id].lines.clone();
            let is_first = lines.iter().all(|line| !has_first[line.level]);
            if is_first && self.short(&lines).is_none() {
                self.take(id);
            } else {
                for line in &lines {
                    has_first[line.level] = true;
                }
            }
        }
    }

    pub(super) fn told_of(&self, id: Name, why: Option<Why>) -> Answer {
        let order = &self.orders[&id];
        let returned = order.returned.iter().map(|(&level, &units)| Line { level, units }).collect();
        Answer::Order(OrderSeen { id, state: order.state, returned, why })
    }

    fn some_order(&mut self) -> Option<Name> {
        let count = self.orders.len().min(8);
        let back = (count > 0).then(|| self.place(count))?;
        self.orders.keys().rev().nth(back).copied()
    }

    pub(super) fn cancel(&mut self) {
        let Some(of) = self.some_order() else { return };
        self.deed(Ask::Cancel { of }, |shop, _| {
            if shop.breaks(Broken::OrderLost) {
                return Answer::Missing;
            }
            let state = shop.orders[&of].state;
            if state.is_final() && state != OrderState::Cancelled {
                if state == OrderState::Fulfilled && shop.breaks(Broken::CancelledAndFulfilled) {
                    return Answer::Cancelled;
                }
                return Answer::OrderIs(state);
            }
            shop.orders.get_mut(&of).expect("it is there").state = OrderState::Cancelled;
            Answer::Cancelled
        });
    }

    pub(super) fn give_back(&mut self) {
        let Some(of) = self.some_order() else { return };
        let line = self.orders[&of].lines[0];
        let units = 1 + self.draw(line.units);
        let lines = vec![Line { units, ..line }];
        self.deed(Ask::Return { of, lines: Some(lines) }, |shop, number| {
            let order = &shop.orders[&of];
            if order.state != OrderState::Fulfilled {
                return Answer::OrderIs(order.state);
            }
            let back = order.returned.get(&line.level).copied().unwrap_or(0);
            let left = line.units.saturating_sub(back);
            if left < units && !shop.breaks(Broken::ReturnedTwice) {
                return Answer::Left(vec![Line { units: left, ..line }]);
            }
            shop.change(line.level, (units.cast_signed(), 0), MovementKind::Returned, Some(number), Some(of));
            *shop.orders.get_mut(&of).expect("it is there").returned.entry(line.level).or_default() += units;
            shop.told_of(of, None)
        });
    }

    pub(super) fn see_order(&mut self) {
        let Some(of) = self.some_order() else { return };
        self.deed(Ask::SeeOrder { of }, |shop, _| shop.told_of(of, None));
    }
}
