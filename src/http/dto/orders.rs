//! The bodies of orders.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::fields::{Object, Text};
use super::lines::{QuantityLine, QuantityLineAnswer, ReturnedLine};
use super::requests::{check_count, each_line, line_error, remark};
use super::time;
use crate::http::problem::Problem;
use crate::json::Whole;
use crate::stock::order::{ORDER_LINES_MAX, PRIORITY_DEFAULT, PRIORITY_MAX, combined};
use crate::stock::{Order, OrderLine, OrderState, Remark, StockKey};
use crate::store::ReturnLine;

/// A priority.
pub(super) type Priority = Whole<9>;
const _: () = assert!(PRIORITY_MAX == 9, "the document and the type say so");

/// Units that are to leave the house.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest<'a> {
    /// What is ordered: all lines or none. Lines that name the same level are one.
    #[serde(borrow)]
    #[schema(value_type = Vec<QuantityLine<'static>>, min_items = 1, max_items = 1_000)]
    pub lines: Vec<Object<QuantityLine<'a>>>,
    /// How urgent it is, from 0 to 9, the most urgent; 0 where it is left out. It counts where the queue has the discipline `priority`.
    #[serde(default)]
    #[schema(value_type = Option<u8>, minimum = 0, maximum = 9, example = 0)]
    priority: Option<Priority>,
    /// Whether it waits for stock, in turn, where it finds too little, rather than be rejected.
    #[serde(default)]
    #[schema(example = false)]
    pub backorder: bool,
    /// Why: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 64)]
    reason: Option<Text<'a>>,
    /// What it belongs to, in the client's own books: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128, example = "order 4711")]
    reference: Option<Text<'a>>,
}

/// What of an order comes back.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReturnRequest<'a> {
    /// What comes back; all that is not back yet, to where it was taken from, where it is left out.
    #[serde(borrow, default)]
    #[schema(value_type = Option<Vec<ReturnedLine<'static>>>, min_items = 1, max_items = 1_000)]
    pub lines: Option<Vec<Object<ReturnedLine<'a>>>>,
    /// Why: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 64, example = "does not fit")]
    reason: Option<Text<'a>>,
    /// What it belongs to, in the client's own books: free text.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>, max_length = 128)]
    reference: Option<Text<'a>>,
}

/// An order.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrderAnswer<'a> {
    /// Its name: a UUID; names sort by the time of their making.
    #[schema(example = "0193a6f0-5b7c-7c3a-9d1e-3f6a2b8c4d5e")]
    id: String,
    /// How far it is.
    state: OrderStateAnswer,
    /// What is ordered: one for each level, ascending by sku, then location.
    lines: Vec<QuantityLineAnswer<'a>>,
    /// How urgent it is, from 0 to 9, the most urgent.
    #[schema(minimum = 0, maximum = 9, example = 0)]
    priority: u8,
    /// Whether it waits for stock where it finds too little.
    backorder: bool,
    /// Why, in the words of who placed it.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = Option<String>, max_length = 64)]
    reason: &'a str,
    /// What it belongs to, in the words of who placed it.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schema(value_type = Option<String>, max_length = 128)]
    reference: &'a str,
    /// When it was placed (RFC 3339, UTC).
    #[schema(example = "2026-11-22T14:05:00.123Z")]
    created_at: String,
    /// Of one that found too little and waits, or waited: since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    backordered_at: Option<String>,
    /// Of one that is fulfilled: since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    fulfilled_at: Option<String>,
    /// Of one that is rejected: since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    rejected_at: Option<String>,
    /// Of one that is cancelled: since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<String>,
    /// What was given back of it, if anything was: of each level in all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Option<Vec<QuantityLineAnswer<'static>>>)]
    returned: Vec<QuantityLineAnswer<'a>>,
    /// Of one that is rejected: why. Pointers are into `lines`.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Problem>,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum OrderStateAnswer {
    /// It is not its turn yet.
    Queued,
    /// It found too little, and waits for stock.
    Backordered,
    /// Its units have left the house.
    Fulfilled,
    /// It found too little, and took nothing.
    Rejected,
    /// It was cancelled before it took anything.
    Cancelled,
}

/// A page of orders, in the order in which they were placed. Each is current when it was read.
#[derive(Debug, Serialize, ToSchema)]
pub struct OrdersAnswer<'a> {
    /// The orders. A filter may leave a page short, or empty, although more follow.
    #[schema(max_items = 1_000)]
    pub items: Vec<OrderAnswer<'a>>,
    /// Where the next page starts; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
}

impl OrderRequest<'_> {
    /// The reason and the reference, checked.
    pub fn remark(&self) -> Result<Option<Arc<Remark>>, Problem> {
        remark(self.reason.as_ref(), self.reference.as_ref())
    }

    /// How urgent it is.
    pub fn priority(&self) -> u8 {
        let priority = self.priority.and_then(|Whole(priority)| u8::try_from(priority).ok());
        priority.unwrap_or(PRIORITY_DEFAULT)
    }

    /// What is ordered: ascending by key, each level once.
    pub fn lines(&self) -> Result<Vec<OrderLine>, Problem> {
        check_count(self.lines.len(), ORDER_LINES_MAX)?;
        let keys = each_line(&self.lines, |index, Object(line), errors| line.key(index, errors))?;
        let line = |(key, Object(line)): (StockKey, &Object<QuantityLine<'_>>)| OrderLine {
            key,
            quantity: line.quantity(),
        };
        combined(keys.into_iter().zip(&self.lines).map(line).collect()).map_err(|(first, second)| {
            let detail = format!("is with the same level of line {first} more than a level can have");
            Problem::fields(vec![line_error(second, "quantity", &detail)])
        })
    }
}

impl ReturnRequest<'_> {
    /// The reason and the reference, checked.
    pub fn remark(&self) -> Result<Option<Arc<Remark>>, Problem> {
        remark(self.reason.as_ref(), self.reference.as_ref())
    }

    /// What comes back, in the order of the request.
    pub fn lines(&self) -> Result<Option<Vec<ReturnLine>>, Problem> {
        let Some(lines) = &self.lines else { return Ok(None) };
        check_count(lines.len(), ORDER_LINES_MAX)?;
        let keys = each_line(lines, |index, Object(line), errors| line.keys(index, errors))?;
        let line = |((key, to), Object(line)): ((StockKey, StockKey), &Object<ReturnedLine<'_>>)| {
            ReturnLine { key, quantity: line.quantity(), to }
        };
        Ok(Some(keys.into_iter().zip(lines).map(line).collect()))
    }
}

impl<'a> OrderAnswer<'a> {
    /// An order, as it is told.
    pub fn new(order: &'a Order) -> Self {
        let ended_as = |state| order.times.ended_ms.filter(|_| order.state == state).map(time);
        let lines = order.lines.iter();
        let remark = order.remark.as_deref();
        let returned = lines.clone().zip(&order.returned).filter(|(_, quantity)| quantity.units() > 0);
        Self {
            id: order.id.to_string(),
            state: order.state.into(),
            lines: lines.map(|line| QuantityLineAnswer::new(&line.key, line.quantity)).collect(),
            priority: order.priority,
            backorder: order.backorder,
            reason: remark.map_or("", |remark| &remark.reason),
            reference: remark.map_or("", |remark| &remark.reference),
            created_at: time(order.times.created_ms),
            backordered_at: order.times.backordered_ms.map(time),
            fulfilled_at: ended_as(OrderState::Fulfilled),
            rejected_at: ended_as(OrderState::Rejected),
            cancelled_at: ended_as(OrderState::Cancelled),
            returned: returned.map(|(line, units)| QuantityLineAnswer::new(&line.key, *units)).collect(),
            problem: Problem::of_order(order),
        }
    }
}

impl From<OrderState> for OrderStateAnswer {
    fn from(state: OrderState) -> Self {
        match state {
            OrderState::Queued => Self::Queued,
            OrderState::Backordered => Self::Backordered,
            OrderState::Fulfilled => Self::Fulfilled,
            OrderState::Rejected => Self::Rejected,
            OrderState::Cancelled => Self::Cancelled,
        }
    }
}
