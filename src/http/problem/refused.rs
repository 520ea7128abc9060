//! Refusals of the domain as problems: which kind, which words, which lines.

use super::{Kind, Problem, ProblemLine};
use crate::inventory::{ChangeError, TransactError, most_telling};
use crate::stock::{Precondition, Reason, Refusal, StockKey, Transaction, VERSION_MAX};
use crate::strategy::TransactRefused;

impl Problem {
    /// A change of one level that was not made. `pointer` names the field of the body that asked for it.
    pub fn rejected(error: ChangeError, key: &StockKey, pointer: &str) -> Self {
        match error {
            ChangeError::Refused(refusal) => Self::refused(refusal, key, pointer),
            ChangeError::Obstacle(obstacle) => obstacle.into(),
        }
    }

    /// A level that is not there to be read.
    pub fn not_found(key: &StockKey, version: u64) -> Self {
        let line = ProblemLine {
            pointer: String::new(),
            sku: key.sku().to_owned(),
            location: key.location().to_owned(),
            requested: None,
            available: None,
            version,
        };
        Self { lines: vec![line], ..Self::new(Kind::StockNotFound, missing(key)) }
    }

    /// A change of one level that its state forbids.
    pub fn refused(refusal: Refusal, key: &StockKey, pointer: &str) -> Self {
        let line = line(refusal, key, pointer.to_owned());
        Self { lines: vec![line], ..Self::new(kind(refusal.reason), detail(refusal, key)) }
    }

    /// A transaction that was not made. Where its levels are refused for several reasons, the one that comes first
    /// in the order of precedence is told, with every line it concerns.
    pub fn transaction_rejected(error: TransactError, transaction: &Transaction) -> Self {
        match error {
            TransactError::Refused(refused) => Self::transaction_refused(&refused, transaction),
            TransactError::Obstacle(obstacle) => obstacle.into(),
        }
    }

    fn transaction_refused(refused: &TransactRefused, transaction: &Transaction) -> Self {
        let told = kind(most_telling(&refused.refusals).reason);
        let concerned = || refused.refusals.iter().filter(|entry| kind(entry.refusal.reason) == told);
        let lines: Vec<ProblemLine> = concerned()
            .map(|refused| {
                let entry = &transaction.entries()[refused.entry];
                line(refused.refusal, &entry.key, format!("/lines/{}", entry.line))
            })
            .collect();
        let first = concerned().next().expect("the reason told is one of those given");
        let mut detail = detail(first.refusal, &transaction.entries()[first.entry].key);
        if lines.len() > 1 {
            detail = format!("{detail} ({} stock levels in all)", lines.len());
        }
        Self { lines, ..Self::new(told, detail) }
    }
}

fn kind(reason: Reason) -> Kind {
    match reason {
        Reason::PreconditionFailed(_) => Kind::VersionMismatch,
        Reason::NotFound => Kind::StockNotFound,
        Reason::AlreadyExists => Kind::PreconditionRequired,
        Reason::BelowReserved { .. } | Reason::NotReserved { .. } => Kind::BelowReserved,
        Reason::StockReserved => Kind::StockReserved,
        Reason::Insufficient { .. } => Kind::InsufficientStock,
        Reason::QuantityOverflow { .. } | Reason::VersionsExhausted => Kind::QuantityOverflow,
    }
}

fn line(refusal: Refusal, key: &StockKey, pointer: String) -> ProblemLine {
    let found = refusal.found;
    ProblemLine {
        pointer,
        sku: key.sku().to_owned(),
        location: key.location().to_owned(),
        requested: requested(refusal.reason),
        available: found.exists().then(|| found.available()),
        version: found.version(),
    }
}

fn requested(reason: Reason) -> Option<u64> {
    match reason {
        Reason::BelowReserved { requested }
        | Reason::NotReserved { requested }
        | Reason::Insufficient { requested }
        | Reason::QuantityOverflow { requested } => Some(requested),
        _ => None,
    }
}

fn detail(refusal: Refusal, key: &StockKey) -> String {
    let Refusal { reason, found } = refusal;
    let place = place(key);
    match reason {
        Reason::PreconditionFailed(_) if !found.exists() => format!("{place} does not exist"),
        Reason::PreconditionFailed(Precondition::Version(wanted)) if wanted > VERSION_MAX => {
            format!(
                "{place} is at version {}; the tag of If-Match is weak, or was never one of its own",
                found.version()
            )
        }
        Reason::PreconditionFailed(Precondition::Version(wanted)) => {
            format!("{place} is at version {}, not {wanted}", found.version())
        }
        Reason::PreconditionFailed(_) | Reason::AlreadyExists => {
            format!("{place} exists, at version {}", found.version())
        }
        Reason::NotFound => missing(key),
        Reason::BelowReserved { requested } => {
            format!("{place} has {} units reserved, more than the {requested} counted", found.reserved())
        }
        Reason::NotReserved { requested } => {
            format!("{place} has {} units reserved, fewer than {requested}", found.reserved())
        }
        Reason::StockReserved => format!("{place} has {} units reserved", found.reserved()),
        Reason::Insufficient { requested } => {
            format!("{place} has {} units available, {requested} were requested", found.available())
        }
        Reason::QuantityOverflow { requested } => {
            format!(
                "{place} has {} units on hand, {requested} more would exceed 1099511627775",
                found.on_hand()
            )
        }
        Reason::VersionsExhausted => format!("{place} has used up its versions"),
    }
}

fn missing(key: &StockKey) -> String {
    format!("{} does not exist", place(key))
}

fn place(key: &StockKey) -> String {
    format!("sku {} at location {}", key.sku(), key.location())
}
