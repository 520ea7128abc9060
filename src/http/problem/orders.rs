//! What stands in the way of orders, and what an order that was rejected says of itself, as problems.

use super::refused::place;
use super::{Problem, ProblemKind, ProblemLine};
use crate::stock::{Order, OrderId, OrderProblem, OrderState, StockKey};

impl Problem {
    /// There is no order of that name.
    pub fn order_not_found(id: OrderId) -> Self {
        let detail = format!("there is no order {id}, or it was over long ago");
        Self::new(ProblemKind::OrderNotFound, detail)
    }

    /// An order that cannot be cancelled: it is fulfilled or rejected.
    pub fn order_not_cancelled(order: &Order) -> Self {
        let (id, state) = (order.id, order.state.name());
        let kind = match order.state {
            OrderState::Rejected => ProblemKind::OrderRejected,
            // Until it is over it can be cancelled, and what is cancelled can be so again.
            _ => ProblemKind::OrderFulfilled,
        };
        Self::new(kind, format!("order {id} was {state} before; nothing was changed"))
    }

    /// An order of which nothing can be given back: it has taken nothing.
    pub fn order_not_fulfilled(order: &Order) -> Self {
        let (id, state) = (order.id, order.state.name());
        let detail = format!("order {id} is {state}: it has taken nothing that could be given back");
        Self::new(ProblemKind::OrderNotFulfilled, detail)
    }

    /// Not as many units of that level are left to be given back. `requested` and `pointer` say how many the body asks for, if it says
    /// so, and where.
    pub fn returned_already(key: &StockKey, left: u64, requested: Option<u64>, pointer: String) -> Self {
        let line = ProblemLine { left: Some(left), ..unjudged(key, requested, pointer) };
        let detail = format!("of {} {left} units are left to be given back; nothing was changed", place(key));
        Self { lines: Box::new([line]), ..Self::new(ProblemKind::ReturnedAlready, detail) }
    }

    /// Why an order was rejected, if it was. Pointers are into its lines, as they are told.
    pub fn of_order(order: &Order) -> Option<Self> {
        match order.problem.as_ref()? {
            OrderProblem::Levels(levels) => Some(Self::refused_together(levels)),
            OrderProblem::Promised(key) => Some(Self::promised(order, key)),
        }
    }

    fn promised(order: &Order, key: &StockKey) -> Self {
        let line = order.lines.iter().position(|line| line.key == *key);
        let requested = line.map(|line| order.lines[line].quantity.units());
        let pointer = line.map_or_else(String::new, |line| format!("/lines/{line}"));
        let detail = format!("an order that came before waits for units of {}", place(key));
        let line = unjudged(key, requested, pointer);
        Self { lines: Box::new([line]), ..Self::new(ProblemKind::StockPromised, detail) }
    }
}

/// A line about a level that was not what was judged.
fn unjudged(key: &StockKey, requested: Option<u64>, pointer: String) -> ProblemLine {
    ProblemLine {
        pointer,
        sku: key.sku().to_owned(),
        location: key.location().to_owned(),
        requested,
        available: None,
        left: None,
        version: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::{
        Level, Location, OrderLine, OrderTimes, Quantity, Reason, Refusal, RefusedLevel, Sku,
    };

    fn key(sku: &str) -> StockKey {
        StockKey::new(&Sku::parse(sku).unwrap(), &Location::DEFAULT)
    }

    fn rejected(problem: Option<OrderProblem>) -> Order {
        let line = |(sku, units)| OrderLine { key: key(sku), quantity: Quantity::new(units).unwrap() };
        Order {
            id: OrderId::new(0, 1),
            state: OrderState::Rejected,
            lines: [("A", 2), ("B", 3)].map(line).to_vec(),
            priority: 0,
            backorder: false,
            remark: None,
            actor: None,
            times: OrderTimes::default(),
            returned: Vec::new(),
            problem,
        }
    }

    fn told(problem: OrderProblem) -> serde_json::Value {
        serde_json::to_value(Problem::of_order(&rejected(Some(problem)))).unwrap()
    }

    #[test]
    fn a_rejected_order_says_which_of_its_lines_stood_in_the_way() {
        let promised = told(OrderProblem::Promised(key("B")));
        assert_eq!(
            (&promised["type"], &promised["status"]),
            (&"/problems/stock-promised".into(), &409.into())
        );
        let line = serde_json::json!({"pointer": "/lines/1", "sku": "B", "location": "main", "requested": 3});
        assert_eq!(promised["lines"], serde_json::json!([line]));
        let refusal = Refusal {
            reason: Reason::Insufficient { requested: 3 },
            found: Level::existing(2, 0, 7).unwrap(),
        };
        let short = told(OrderProblem::Levels(vec![RefusedLevel { key: key("B"), line: 1, refusal }]));
        assert_eq!(short["type"], "/problems/insufficient-stock");
        assert_eq!(
            (&short["lines"][0]["pointer"], &short["lines"][0]["requested"]),
            (&"/lines/1".into(), &3.into())
        );
        assert!(Problem::of_order(&rejected(None)).is_none());
    }
}
