//! Orders: units that are to leave the house, in turn, and what became of them.
//!
//! An order is *queued* until it is its turn. Then it finds all its units and takes them (*fulfilled*), or it finds too little: it is
//! *rejected*, or, if it is one that waits, *backordered*, until units come in. Until it has taken its units it can be *cancelled*. What a
//! fulfilled order took can be given back, each unit once.

use smol_str::SmolStr;

use super::id::Id;
use super::key::StockKey;
use super::operation::{Change, IfMissing, Operation};
use super::quantity::Quantity;
use super::remark::Remark;
use super::transaction::{RefusedLevel, Transaction};

/// The most lines of an order.
pub const ORDER_LINES_MAX: usize = 1_000;
/// The highest priority: orders of it are first.
pub const PRIORITY_MAX: u8 = 9;
/// The priority of an order that says none.
pub const PRIORITY_DEFAULT: u8 = 0;

/// The name of an order.
pub type OrderId = Id<Order>;

/// Units of one level that an order is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderLine {
    /// The level. Each is in an order once.
    pub key: StockKey,
    /// The units; at least one.
    pub quantity: Quantity,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// It is not its turn yet.
    Queued,
    /// It was its turn, and it waits for units.
    Backordered,
    /// Its units have left the house.
    Fulfilled,
    /// It found too little, and does not wait.
    Rejected,
    /// Somebody cancelled it before it took its units.
    Cancelled,
}

/// When an order came to its states, in milliseconds of Unix time.
#[expect(clippy::struct_field_names, reason = "the unit is in the name")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OrderTimes {
    /// When it was placed.
    pub created_ms: u64,
    /// When it began to wait for units, if it ever did.
    pub backordered_ms: Option<u64>,
    /// When it was fulfilled, rejected or cancelled.
    pub ended_ms: Option<u64>,
}

/// Why an order was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderProblem {
    /// These levels stood in the way; at least one. A line is told by its place in [`Order::lines`].
    Levels(Vec<RefusedLevel>),
    /// An order that came before it waits for units of this level, and is first.
    Promised(StockKey),
}

/// An order as it is, or was when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its name.
    pub id: OrderId,
    /// How far it is.
    pub state: OrderState,
    /// What it is for: ascending by key.
    pub lines: Vec<OrderLine>,
    /// From 0 to [`PRIORITY_MAX`], the most urgent.
    pub priority: u8,
    /// Whether it waits for units where it finds too little.
    pub backorder: bool,
    /// What was said about it when it was placed.
    pub remark: Option<Box<Remark>>,
    /// Who placed it: the name of a key, if keys are asked for. What it does when it is its turn is done in that name.
    pub actor: Option<SmolStr>,
    /// When it came to its states.
    pub times: OrderTimes,
    /// Of a fulfilled one, how many units of each line were given back, in the order of its lines; empty if none was.
    pub returned: Vec<Quantity>,
    /// Of a rejected one, why.
    pub problem: Option<OrderProblem>,
}

impl OrderState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Queued, Self::Backordered, Self::Fulfilled, Self::Rejected, Self::Cancelled];

    /// Its name, as it is told.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Backordered => "backordered",
            Self::Fulfilled => "fulfilled",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether nothing more becomes of an order that is there: it is neither queued nor waits.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Backordered)
    }
}

impl Order {
    /// The change of the levels that fulfils it: all of its units leave the house, or none.
    pub fn taking(&self) -> Transaction {
        let change = |line: &OrderLine| {
            let delta = -line.quantity.units().cast_signed();
            let operation = Operation::Adjust { delta, if_missing: IfMissing::Refuse };
            (line.key.clone(), Change::unconditional(operation))
        };
        Transaction::new(self.lines.iter().map(change).collect()).expect("each level is there once")
    }

    /// How many units of a line can still be given back.
    pub fn left(&self, line: usize) -> u64 {
        let returned = self.returned.get(line).map_or(0, |quantity| quantity.units());
        self.lines[line].quantity.units() - returned
    }
}

/// Lines in the order of their keys, those of one level combined. Of two lines whose sum is no quantity, the places of both.
pub fn combined(lines: Vec<OrderLine>) -> Result<Vec<OrderLine>, (usize, usize)> {
    let mut numbered: Vec<(usize, OrderLine)> = lines.into_iter().enumerate().collect();
    // Stable: of one level, the first line stays the first.
    numbered.sort_by(|(_, a), (_, b)| a.key.cmp(&b.key));
    let mut combined: Vec<(usize, OrderLine)> = Vec::with_capacity(numbered.len());
    for (at, line) in numbered {
        match combined.last_mut().filter(|(_, last)| last.key == line.key) {
            Some((first, last)) => {
                let sum = last.quantity.units() + line.quantity.units();
                last.quantity = Quantity::new(sum).ok_or((*first, at))?;
            }
            None => combined.push((at, line)),
        }
    }
    Ok(combined.into_iter().map(|(_, line)| line).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::{Location, QUANTITY_MAX, Sku};

    fn line(sku: &str, units: u64) -> OrderLine {
        let key = StockKey::new(&Sku::parse(sku).unwrap(), &Location::DEFAULT);
        OrderLine { key, quantity: Quantity::new(units).unwrap() }
    }

    #[test]
    fn lines_of_one_level_are_one() {
        let lines = vec![line("b", 1), line("a", 2), line("b", 3)];
        assert_eq!(combined(lines), Ok(vec![line("a", 2), line("b", 4)]));
        let too_much = vec![line("a", 1), line("b", QUANTITY_MAX), line("b", 1)];
        assert_eq!(combined(too_much), Err((1, 2)));
    }

    #[test]
    fn states_are_told_by_their_names() {
        for state in OrderState::ALL {
            assert_eq!(OrderState::named(state.name()), Some(state));
        }
        assert_eq!(OrderState::named("Queued"), None);
    }
}
