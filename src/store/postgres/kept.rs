//! What is kept as JSON: bodies of reservations and orders, and outcomes under idempotency keys.
//!
//! Forms of their own, so that what the domain calls something may change and what was kept is read all the same. Whoever looks at the
//! tables reads them, too. Read back, everything is checked: what is none is `None`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::stock::{
    Applied, HeldLine, Level, Order, OrderId, OrderLine, OrderProblem, OrderState, OrderTimes, Precondition,
    Quantity, Reason, Refusal, RefusedLevel, Remark, Reservation, ReservationId, ReservationState, StockKey,
    Term,
};

/// Units on hand, units reserved, version, whether it exists.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct KeptLevel(u64, u64, u64, bool);

/// Sku and location.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeptKey(String, String);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeptLine {
    key: KeptKey,
    quantity: u64,
}

/// A level before and after.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct KeptApplied {
    before: KeptLevel,
    after: KeptLevel,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptReason {
    NotAbsent,
    NotExisting,
    NotAtVersion(u64),
    NotEmpty,
    NotFound,
    AlreadyExists,
    BelowReserved(u64),
    StockReserved,
    NotReserved(u64),
    Insufficient(u64),
    QuantityOverflow(u64),
    VersionsExhausted,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct KeptRefusal {
    reason: KeptReason,
    found: KeptLevel,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeptRefused {
    key: KeptKey,
    line: usize,
    refusal: KeptRefusal,
}

/// What a reservation's row says beside its columns.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeptReservation {
    id: String,
    state: String,
    expires_ms: u64,
    lines: Vec<KeptLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    committed: Vec<KeptLine>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum KeptProblem {
    Levels(Vec<KeptRefused>),
    Promised(KeptKey),
}

/// An order, the whole of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct KeptOrder {
    id: String,
    state: String,
    lines: Vec<KeptLine>,
    priority: u8,
    backorder: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reference: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    created_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backordered_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    returned: Vec<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    problem: Option<KeptProblem>,
}

impl KeptLevel {
    pub(super) fn of(level: Level) -> Self {
        Self(level.on_hand(), level.reserved(), level.version(), level.exists())
    }

    pub(super) fn level(self) -> Option<Level> {
        let Self(on_hand, reserved, version, exists) = self;
        match (exists, version) {
            (true, _) => Level::existing(on_hand, reserved, version),
            (false, 0) => Some(Level::ABSENT),
            (false, _) => Level::tombstone(version),
        }
    }
}

impl KeptKey {
    pub(super) fn of(key: &StockKey) -> Self {
        Self(key.sku().to_owned(), key.location().to_owned())
    }

    pub(super) fn key(&self) -> Option<StockKey> {
        StockKey::kept(&self.0, &self.1)
    }
}

impl KeptLine {
    fn of(key: &StockKey, quantity: Quantity) -> Self {
        Self { key: KeptKey::of(key), quantity: quantity.units() }
    }

    fn parts(&self) -> Option<(StockKey, Quantity)> {
        Some((self.key.key()?, Quantity::new(self.quantity)?))
    }
}

impl KeptApplied {
    pub(super) fn of(applied: &Applied) -> Self {
        Self { before: KeptLevel::of(applied.before), after: KeptLevel::of(applied.after) }
    }

    pub(super) fn applied(self) -> Option<Applied> {
        Some(Applied { before: self.before.level()?, after: self.after.level()? })
    }
}

impl KeptReason {
    fn of(reason: Reason) -> Self {
        match reason {
            Reason::PreconditionFailed(Precondition::Any) => unreachable!("it always holds"),
            Reason::PreconditionFailed(Precondition::Absent) => Self::NotAbsent,
            Reason::PreconditionFailed(Precondition::Exists) => Self::NotExisting,
            Reason::PreconditionFailed(Precondition::Version(version)) => Self::NotAtVersion(version),
            Reason::PreconditionFailed(Precondition::Empty) => Self::NotEmpty,
            Reason::NotFound => Self::NotFound,
            Reason::AlreadyExists => Self::AlreadyExists,
            Reason::BelowReserved { requested } => Self::BelowReserved(requested),
            Reason::StockReserved => Self::StockReserved,
            Reason::NotReserved { requested } => Self::NotReserved(requested),
            Reason::Insufficient { requested } => Self::Insufficient(requested),
            Reason::QuantityOverflow { requested } => Self::QuantityOverflow(requested),
            Reason::VersionsExhausted => Self::VersionsExhausted,
        }
    }

    fn reason(self) -> Reason {
        match self {
            Self::NotAbsent => Reason::PreconditionFailed(Precondition::Absent),
            Self::NotExisting => Reason::PreconditionFailed(Precondition::Exists),
            Self::NotAtVersion(version) => Reason::PreconditionFailed(Precondition::Version(version)),
            Self::NotEmpty => Reason::PreconditionFailed(Precondition::Empty),
            Self::NotFound => Reason::NotFound,
            Self::AlreadyExists => Reason::AlreadyExists,
            Self::BelowReserved(requested) => Reason::BelowReserved { requested },
            Self::StockReserved => Reason::StockReserved,
            Self::NotReserved(requested) => Reason::NotReserved { requested },
            Self::Insufficient(requested) => Reason::Insufficient { requested },
            Self::QuantityOverflow(requested) => Reason::QuantityOverflow { requested },
            Self::VersionsExhausted => Reason::VersionsExhausted,
        }
    }
}

impl KeptRefusal {
    pub(super) fn of(Refusal { reason, found }: Refusal) -> Self {
        Self { reason: KeptReason::of(reason), found: KeptLevel::of(found) }
    }

    pub(super) fn refusal(self) -> Option<Refusal> {
        Some(Refusal { reason: self.reason.reason(), found: self.found.level()? })
    }
}

impl KeptRefused {
    pub(super) fn of(RefusedLevel { key, line, refusal }: &RefusedLevel) -> Self {
        Self { key: KeptKey::of(key), line: *line, refusal: KeptRefusal::of(*refusal) }
    }

    pub(super) fn refused(&self) -> Option<RefusedLevel> {
        let (key, refusal) = (self.key.key()?, self.refusal.refusal()?);
        Some(RefusedLevel { key, line: self.line, refusal })
    }
}

impl KeptReservation {
    pub(super) fn of(reservation: &Reservation) -> Self {
        let lines = |lines: &[HeldLine]| lines.iter().map(|it| KeptLine::of(&it.key, it.quantity)).collect();
        Self {
            id: reservation.term.id.to_string(),
            state: reservation.state.name().to_owned(),
            expires_ms: reservation.term.expires_date_ms,
            lines: lines(&reservation.lines),
            committed: lines(&reservation.committed),
        }
    }

    pub(super) fn reservation(&self) -> Option<Reservation> {
        let held = |line: &KeptLine| line.parts().map(|(key, quantity)| HeldLine { key, quantity });
        let term = Term {
            id: ReservationId::parse(&self.id)?,
            expires_date_ms: self.expires_ms,
            expires_ms: self.expires_ms,
        };
        Some(Reservation {
            term,
            state: ReservationState::named(&self.state)?,
            lines: self.lines.iter().map(held).collect::<Option<_>>()?,
            committed: self.committed.iter().map(held).collect::<Option<_>>()?,
        })
    }
}

impl KeptOrder {
    pub(super) fn of(order: &Order) -> Self {
        let said = |text: &String| Some(text).filter(|text| !text.is_empty()).cloned();
        let remark = order.remark.as_deref();
        Self {
            id: order.id.to_string(),
            state: order.state.name().to_owned(),
            lines: order.lines.iter().map(|line| KeptLine::of(&line.key, line.quantity)).collect(),
            priority: order.priority,
            backorder: order.backorder,
            reason: remark.and_then(|remark| said(&remark.reason)),
            reference: remark.and_then(|remark| said(&remark.reference)),
            actor: order.actor.as_ref().map(ToString::to_string),
            created_ms: order.times.created_ms,
            backordered_ms: order.times.backordered_ms,
            ended_ms: order.times.ended_ms,
            returned: order.returned.iter().map(|quantity| quantity.units()).collect(),
            problem: order.problem.as_ref().map(|problem| match problem {
                OrderProblem::Levels(levels) => {
                    KeptProblem::Levels(levels.iter().map(KeptRefused::of).collect())
                }
                OrderProblem::Promised(key) => KeptProblem::Promised(KeptKey::of(key)),
            }),
        }
    }

    pub(super) fn order(&self) -> Option<Order> {
        let line = |line: &KeptLine| line.parts().map(|(key, quantity)| OrderLine { key, quantity });
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let remark = Remark { reason: text(&self.reason), reference: text(&self.reference) };
        let problem = self.problem.as_ref().map(|problem| match problem {
            KeptProblem::Levels(levels) => {
                let levels = levels.iter().map(KeptRefused::refused).collect::<Option<_>>();
                levels.map(OrderProblem::Levels)
            }
            KeptProblem::Promised(key) => key.key().map(OrderProblem::Promised),
        });
        let problem = match problem {
            Some(None) => return None,
            Some(problem) => problem,
            None => None,
        };
        Some(Order {
            id: OrderId::parse(&self.id)?,
            state: OrderState::named(&self.state)?,
            lines: self.lines.iter().map(line).collect::<Option<_>>()?,
            priority: self.priority,
            backorder: self.backorder,
            remark: (remark != Remark::default()).then(|| Box::new(remark)),
            actor: self.actor.as_deref().map(SmolStr::new),
            times: OrderTimes {
                created_ms: self.created_ms,
                backordered_ms: self.backordered_ms,
                ended_ms: self.ended_ms,
            },
            returned: self.returned.iter().map(|units| Quantity::new(*units)).collect::<Option<_>>()?,
            problem,
        })
    }
}

/// The order in that text.
pub(super) fn order_in(text: &str) -> Option<Arc<Order>> {
    serde_json::from_str::<KeptOrder>(text).ok()?.order().map(Arc::new)
}

/// The reservation in that text.
pub(super) fn reservation_in(text: &str) -> Option<Reservation> {
    serde_json::from_str::<KeptReservation>(text).ok()?.reservation()
}

/// As JSON.
pub(super) fn text_of(kept: &impl Serialize) -> String {
    serde_json::to_string(kept).expect("it has string keys and plain values")
}
