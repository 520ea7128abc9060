//! [`Told`]: what came of a command, as it is kept under its idempotency key: a retry on any replica is answered from it.

use serde::{Deserialize, Serialize};

use super::kept::{KeptApplied, KeptKey, KeptOrder, KeptRefusal, KeptRefused, KeptReservation, text_of};
use crate::store::{Imported, LineOutcome, OrderRefused, Outcome, ReservationRefused};

/// An outcome. What changed nothing and would come out the same again has none: it is not kept.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Told {
    Changed(KeptApplied),
    ChangeRefused(KeptRefusal),
    Transacted(Vec<(KeptKey, KeptApplied)>),
    TransactionRefused(Vec<KeptRefused>),
    Each(Vec<ToldLine>),
    Reservation(KeptReservation),
    ReservationRefused(Vec<KeptRefused>),
    Order(KeptOrder),
    OrderRefused(Vec<KeptRefused>),
    /// Levels that the file named, created, counted, left out.
    Imported(u64, u64, u64, u64),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ToldLine {
    Changed(KeptApplied),
    Refused(KeptRefusal),
}

/// The text of an outcome; `None` where none is kept of it.
pub(super) fn text(outcome: &Outcome) -> Option<String> {
    let refused = |levels: &[crate::stock::RefusedLevel]| levels.iter().map(KeptRefused::of).collect();
    let told = match outcome {
        Outcome::Change(Ok(applied)) => Told::Changed(KeptApplied::of(applied)),
        Outcome::Change(Err(refusal)) => Told::ChangeRefused(KeptRefusal::of(*refusal)),
        Outcome::Transaction(Ok(levels)) => {
            let level = |(key, applied): &(_, _)| (KeptKey::of(key), KeptApplied::of(applied));
            Told::Transacted(levels.iter().map(level).collect())
        }
        Outcome::Transaction(Err(levels)) => Told::TransactionRefused(refused(levels)),
        Outcome::Each(lines) => {
            let line = |line: &LineOutcome| match line {
                LineOutcome::Judged(Ok(applied)) => Some(ToldLine::Changed(KeptApplied::of(applied))),
                LineOutcome::Judged(Err(refusal)) => Some(ToldLine::Refused(KeptRefusal::of(*refusal))),
                LineOutcome::NotDone(_) | LineOutcome::Written(_) => None,
            };
            Told::Each(lines.iter().map(line).collect::<Option<_>>()?)
        }
        Outcome::Reservation(Ok(reservation)) => Told::Reservation(KeptReservation::of(reservation)),
        Outcome::Reservation(Err(ReservationRefused::Levels(levels))) => {
            Told::ReservationRefused(refused(levels))
        }
        Outcome::Order(Ok(order)) => Told::Order(KeptOrder::of(order)),
        Outcome::Order(Err(OrderRefused::Levels(levels))) => Told::OrderRefused(refused(levels)),
        Outcome::Import(it) => Told::Imported(it.levels, it.created, it.counted, it.left_out),
        Outcome::Reservation(Err(_)) | Outcome::Order(Err(_)) | Outcome::Written(_) => return None,
    };
    Some(text_of(&told))
}

/// The outcome in that text; `None` where it is none.
pub(super) fn outcome(text: &str) -> Option<Outcome> {
    let refused = |levels: Vec<KeptRefused>| levels.iter().map(KeptRefused::refused).collect::<Option<_>>();
    Some(match serde_json::from_str(text).ok()? {
        Told::Changed(applied) => Outcome::Change(Ok(applied.applied()?)),
        Told::ChangeRefused(refusal) => Outcome::Change(Err(refusal.refusal()?)),
        Told::Transacted(levels) => {
            let level = |(key, applied): (KeptKey, KeptApplied)| Some((key.key()?, applied.applied()?));
            Outcome::Transaction(Ok(levels.into_iter().map(level).collect::<Option<_>>()?))
        }
        Told::TransactionRefused(levels) => Outcome::Transaction(Err(refused(levels)?)),
        Told::Each(lines) => {
            let line = |line: ToldLine| {
                Some(LineOutcome::Judged(match line {
                    ToldLine::Changed(applied) => Ok(applied.applied()?),
                    ToldLine::Refused(refusal) => Err(refusal.refusal()?),
                }))
            };
            Outcome::Each(lines.into_iter().map(line).collect::<Option<_>>()?)
        }
        Told::Reservation(reservation) => Outcome::Reservation(Ok(Box::new(reservation.reservation()?))),
        Told::ReservationRefused(levels) => {
            Outcome::Reservation(Err(ReservationRefused::Levels(refused(levels)?)))
        }
        Told::Order(order) => Outcome::Order(Ok(Box::new(order.order()?))),
        Told::OrderRefused(levels) => Outcome::Order(Err(OrderRefused::Levels(refused(levels)?))),
        Told::Imported(levels, created, counted, left_out) => {
            Outcome::Import(Imported { levels, created, counted, left_out })
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::level::tests::any_level;
    use crate::stock::{
        Applied, HeldLine, Level, Location, Order, OrderId, OrderLine, OrderProblem, OrderState, OrderTimes,
        Precondition, Quantity, Reason, Refusal, RefusedLevel, Remark, Reservation, ReservationId,
        ReservationState, Sku, StockKey, Term,
    };
    use proptest::prelude::*;

    fn any_refusal() -> impl Strategy<Value = Refusal> {
        let reason = prop_oneof![
            Just(Reason::PreconditionFailed(Precondition::Absent)),
            Just(Reason::PreconditionFailed(Precondition::Exists)),
            Just(Reason::PreconditionFailed(Precondition::Empty)),
            (1..9_u64).prop_map(|version| Reason::PreconditionFailed(Precondition::Version(version))),
            Just(Reason::NotFound),
            Just(Reason::AlreadyExists),
            Just(Reason::StockReserved),
            Just(Reason::VersionsExhausted),
            any::<u64>().prop_map(|requested| Reason::BelowReserved { requested }),
            any::<u64>().prop_map(|requested| Reason::NotReserved { requested }),
            any::<u64>().prop_map(|requested| Reason::Insufficient { requested }),
            any::<u64>().prop_map(|requested| Reason::QuantityOverflow { requested }),
        ];
        (reason, any_level()).prop_map(|(reason, found)| Refusal { reason, found })
    }

    fn any_key() -> impl Strategy<Value = StockKey> {
        "[a-z]{1,3}|1/2\"|a b|\u{e4}"
            .prop_map(|sku| StockKey::new(&Sku::parse(&sku).unwrap(), &Location::DEFAULT))
    }

    fn any_applied() -> impl Strategy<Value = Applied> {
        (any_level(), any_level()).prop_map(|(before, after)| Applied { before, after })
    }

    fn any_refused() -> impl Strategy<Value = Vec<RefusedLevel>> {
        let one = (any_key(), 0..9_usize, any_refusal());
        let one = one.prop_map(|(key, line, refusal)| RefusedLevel { key, line, refusal });
        prop::collection::vec(one, 1..4)
    }

    fn any_reservation() -> impl Strategy<Value = Reservation> {
        let state = prop::sample::select(vec!["pending", "committed", "released", "expired"]);
        let line = (any_key(), 0..9_u64);
        let line = line.prop_map(|(key, units)| HeldLine { key, quantity: Quantity::new(units).unwrap() });
        let lines = prop::collection::vec(line, 0..3).boxed();
        (any::<u64>(), any::<u64>(), state, lines.clone(), lines).prop_map(
            |(id, ms, state, lines, committed)| {
                let id = ReservationId::from_bits(u128::from(id));
                let term = Term { id, expires_date_ms: ms, expires_ms: ms };
                Reservation { term, state: ReservationState::named(state).unwrap(), lines, committed }
            },
        )
    }

    fn any_order() -> impl Strategy<Value = Order> {
        let line = (any_key(), 1..9_u64);
        let line = line.prop_map(|(key, units)| OrderLine { key, quantity: Quantity::new(units).unwrap() });
        let problem = prop_oneof![
            any_refused().prop_map(OrderProblem::Levels),
            any_key().prop_map(OrderProblem::Promised)
        ];
        let times = (any::<u64>(), any::<Option<u64>>(), any::<Option<u64>>());
        let remark = prop::option::of(("[a-z]{1,3}", "[a-z\n]{0,3}"));
        let rest = (prop::option::of("[a-z]{1,30}"), prop::option::of(problem), any::<bool>(), 0..=9_u8);
        let state = prop::sample::select(OrderState::ALL.to_vec());
        let lines = prop::collection::vec(line, 1..3);
        (any::<u64>(), state, lines, times, remark, rest).prop_map(
            |(id, state, lines, times, remark, rest)| {
                let (created_ms, backordered_ms, ended_ms) = times;
                let (actor, problem, backorder, priority) = rest;
                let returned = lines.iter().map(|line: &OrderLine| line.quantity).collect();
                Order {
                    id: OrderId::from_bits(u128::from(id)),
                    state,
                    lines,
                    priority,
                    backorder,
                    remark: remark.map(|(reason, reference)| Box::new(Remark { reason, reference })),
                    actor: actor.map(Into::into),
                    times: OrderTimes { created_ms, backordered_ms, ended_ms },
                    returned,
                    problem,
                }
            },
        )
    }

    fn any_outcome() -> impl Strategy<Value = Outcome> {
        let line = prop_oneof![any_applied().prop_map(Ok), any_refusal().prop_map(Err)];
        prop_oneof![
            line.clone().prop_map(Outcome::Change),
            prop::collection::vec((any_key(), any_applied()), 1..4)
                .prop_map(|it| Outcome::Transaction(Ok(it))),
            any_refused().prop_map(|it| Outcome::Transaction(Err(it))),
            prop::collection::vec(line.prop_map(LineOutcome::Judged), 1..4).prop_map(Outcome::Each),
            any_reservation().prop_map(|it| Outcome::Reservation(Ok(Box::new(it)))),
            any_refused().prop_map(|it| Outcome::Reservation(Err(ReservationRefused::Levels(it)))),
            any_order().prop_map(|it| Outcome::Order(Ok(Box::new(it)))),
            any_refused().prop_map(|it| Outcome::Order(Err(OrderRefused::Levels(it)))),
            any::<[u64; 4]>().prop_map(|[levels, created, counted, left_out]| {
                Outcome::Import(Imported { levels, created, counted, left_out })
            }),
        ]
    }

    proptest! {
        /// P8: a retry is told exactly what the first was.
        #[test]
        fn what_is_kept_is_read_back(told in any_outcome()) {
            prop_assert_eq!(outcome(&text(&told).unwrap()), Some(told));
        }
    }

    #[test]
    fn what_breaks_the_rules_of_a_level_is_no_outcome() {
        let applied = Applied { before: Level::ABSENT, after: Level::existing(5, 0, 1).unwrap() };
        let kept = text(&Outcome::Change(Ok(applied))).unwrap();
        assert_eq!(kept, r#"{"changed":{"before":[0,0,0,false],"after":[5,0,1,true]}}"#);
        assert_eq!(outcome(&kept.replace("[5,0", "[5,6")), None, "more reserved than there is");
        assert_eq!(outcome("{}"), None);
    }
}
