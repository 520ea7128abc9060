//! What deeds on orders come to, beyond one level: pure, and the same for every store.

use std::sync::Arc;

use super::{OrderRefused, ReturnLine};
use crate::said::Said;
use crate::stock::{
    Change, IfMissing, Operation, Order, OrderLine, OrderState, Quantity, Reason, RefusedLevel, Transaction,
};

/// What was said of an order is said of its movements, and who placed it has made them.
pub(in crate::store) fn said_of(order: &Order) -> Said {
    let remark = order.remark.as_deref().map(|remark| Arc::new(remark.clone()));
    Said { remark, actor: order.actor.clone() }
}

/// Whether an order may wait until nothing of that stands in its way any more: only for units.
pub(in crate::store) fn can_wait(order: &Order, levels: &[RefusedLevel]) -> bool {
    let is_missing =
        |level: &RefusedLevel| matches!(level.refusal.reason, Reason::Insufficient { .. } | Reason::NotFound);
    order.backorder && levels.iter().all(is_missing)
}

/// What gives these lines of an order back, or all that is left of it; and what is given back of each line after it.
pub(in crate::store) fn giving_back(
    order: &Order,
    lines: Option<&[ReturnLine]>,
) -> Result<(Transaction, Vec<Quantity>), OrderRefused> {
    if order.state != OrderState::Fulfilled {
        return Err(OrderRefused::State(Box::new(order.clone())));
    }
    let all_that_is_left;
    let lines = match lines {
        Some(lines) => lines,
        None => {
            all_that_is_left = left_of(order)?;
            &all_that_is_left[..]
        }
    };
    let mut returned = order.returned.clone();
    returned.resize(order.lines.len(), Quantity::ZERO);
    for ReturnLine { key, quantity, .. } in lines {
        let at = order.lines.binary_search_by(|line| line.key.cmp(key));
        let at = at.map_err(|_| OrderRefused::NotOrdered { key: key.clone() })?;
        let left = order.left(at);
        let sum = returned[at].units() + quantity.units();
        let fits = Quantity::new(sum).filter(|sum| *sum <= order.lines[at].quantity);
        returned[at] = fits.ok_or_else(|| OrderRefused::Returned { key: key.clone(), left })?;
    }
    let change = |line: &ReturnLine| {
        let delta = line.quantity.units().cast_signed();
        let operation = Operation::Adjust { delta, if_missing: IfMissing::Create };
        (line.to.clone(), Change::unconditional(operation))
    };
    let transaction = Transaction::new(lines.iter().map(change).collect());
    Ok((transaction.expect("what comes in to one level is added up"), returned))
}

/// All that was not given back yet; there must be some.
fn left_of(order: &Order) -> Result<Vec<ReturnLine>, OrderRefused> {
    let left = order.lines.iter().enumerate().filter_map(|(at, OrderLine { key, .. })| {
        let quantity = Quantity::new(order.left(at)).filter(|left| left.units() > 0)?;
        Some(ReturnLine { key: key.clone(), quantity, to: key.clone() })
    });
    let left: Vec<_> = left.collect();
    if left.is_empty() {
        let key = order.lines[0].key.clone();
        return Err(OrderRefused::Returned { key, left: 0 });
    }
    Ok(left)
}
