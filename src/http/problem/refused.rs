//! Refusals of the domain as problems: which kind, which words, which lines.

use super::{Problem, ProblemKind, ProblemLine};
use crate::stock::{Precondition, Reason, Refusal, RefusedLevel, StockKey, VERSION_MAX};

impl Problem {
    /// A level that is not there to be read.
    pub fn not_found(key: &StockKey, version: u64) -> Self {
        let line = ProblemLine {
            pointer: String::new(),
            sku: key.sku().to_owned(),
            location: key.location().to_owned(),
            requested: None,
            available: None,
            left: None,
            version: Some(version),
        };
        Self { lines: Box::new([line]), ..Self::new(ProblemKind::StockNotFound, missing(key)) }
    }

    /// A change of one level that its state forbids.
    pub fn refused(refusal: Refusal, key: &StockKey, pointer: &str) -> Self {
        let line = line(refusal, key, pointer.to_owned());
        Self { lines: Box::new([line]), ..Self::new(kind(refusal.reason), detail(refusal, key)) }
    }

    /// A transaction that its levels forbid, at least one. Where they do for several reasons, the one that comes first in the order
    /// of precedence is told, with every line it concerns.
    pub fn refused_together(levels: &[RefusedLevel]) -> Self {
        Self::refused_at(levels, |level| format!("/lines/{}", level.line))
    }

    /// [`Problem::refused_together`], where `pointer` says which field of the body asked for a level.
    pub fn refused_at(levels: &[RefusedLevel], pointer: impl Fn(&RefusedLevel) -> String) -> Self {
        let first = levels.iter().min_by_key(|level| level.refusal.reason.precedence());
        let first = first.expect("a refusal names at least one level");
        let told = kind(first.refusal.reason);
        let concerned: Vec<&RefusedLevel> =
            levels.iter().filter(|level| kind(level.refusal.reason) == told).collect();
        let first = concerned.first().expect("the reason told is one of those given");
        let mut detail = detail(first.refusal, &first.key);
        if concerned.len() > 1 {
            detail = format!("{detail} ({} stock levels in all)", concerned.len());
        }
        let lines = concerned.into_iter().map(|level| line(level.refusal, &level.key, pointer(level)));
        Self { lines: lines.collect(), ..Self::new(told, detail) }
    }
}

fn kind(reason: Reason) -> ProblemKind {
    match reason {
        Reason::PreconditionFailed(Precondition::Empty) | Reason::AlreadyExists => {
            ProblemKind::PreconditionRequired
        }
        Reason::PreconditionFailed(_) => ProblemKind::VersionMismatch,
        Reason::NotFound => ProblemKind::StockNotFound,
        Reason::BelowReserved { .. } | Reason::NotReserved { .. } => ProblemKind::BelowReserved,
        Reason::StockReserved => ProblemKind::StockReserved,
        Reason::Insufficient { .. } => ProblemKind::InsufficientStock,
        Reason::QuantityOverflow { .. } | Reason::VersionsExhausted => ProblemKind::QuantityOverflow,
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
        left: None,
        version: Some(found.version()),
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
                "{place} is at version {}; the tag of If-Match is weak, was never one of its own, or is of a history that was taken back by a restore",
                found.version()
            )
        }
        Reason::PreconditionFailed(Precondition::Version(wanted)) => {
            format!("{place} is at version {}, not {wanted}", found.version())
        }
        Reason::PreconditionFailed(Precondition::Empty) => {
            format!(
                "{place} has {} units on hand, at version {}; they would be lost",
                found.on_hand(),
                found.version()
            )
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

/// A level, in words.
pub(super) fn place(key: &StockKey) -> String {
    format!("sku {} at location {}", key.sku(), key.location())
}
