//! One operation of a described target: its request, and the rules for its answers.

use hyper::Method;
use hyper::header::HeaderName;

use super::reading::{Place, Reading, Rule};
use super::template::{Slot, Template};

/// The operations that a description can have, as its tables are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Create,
    Read,
    Adjust,
    Take,
    Give,
    Transfer,
    Count,
    CountIfVersion,
    Remove,
}

/// What a rule says of the answers that fit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It was done.
    Applied,
    /// There were too few units.
    Refused,
    /// There is no such level.
    Missing,
    /// There is one already.
    Exists,
    /// It is at another version.
    Stale,
    /// Nothing was done, for another reason.
    NotApplied,
    /// Nobody knows.
    Unknown,
}

/// One operation.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) role: Role,
    pub(super) method: Method,
    pub(super) path: Template,
    pub(super) body: Option<Template>,
    pub(super) headers: Vec<(HeaderName, Template)>,
    /// Those that ask for more come first.
    pub(super) rules: Vec<(Rule, Meaning)>,
    pub(super) quantity: Told,
    pub(super) version: Told,
    pub(super) refused_version: Option<Place>,
    pub(super) available: Option<Place>,
    /// A transfer makes the destination if it is not there.
    pub(super) creates: bool,
}

/// Where a number is told of the levels that an operation changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Told {
    /// Of the level; of a transfer, of that which units leave.
    pub(super) from: Option<Place>,
    /// Of that where they arrive.
    pub(super) to: Option<Place>,
}

impl Role {
    /// The name of its table.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Read => "read",
            Self::Adjust => "adjust",
            Self::Take => "take",
            Self::Give => "give",
            Self::Transfer => "transfer",
            Self::Count => "count",
            Self::CountIfVersion => "count_if_version",
            Self::Remove => "remove",
        }
    }

    /// What a request has to name.
    pub(super) fn needs(self, has_locations: bool) -> Vec<Slot> {
        let mut slots = match self {
            Self::Create | Self::Take | Self::Give | Self::Count => vec![Slot::Sku, Slot::Quantity],
            Self::Read | Self::Remove => vec![Slot::Sku],
            Self::Adjust => vec![Slot::Sku, Slot::Delta],
            Self::CountIfVersion => vec![Slot::Sku, Slot::Quantity, Slot::Version],
            Self::Transfer => vec![Slot::From, Slot::To, Slot::Quantity],
        };
        match (self, has_locations) {
            (Self::Transfer, true) => slots.push(Slot::Sku),
            (_, true) => slots.push(Slot::Location),
            (_, false) => {}
        }
        slots
    }

    /// Whether a rule can mean this of its answers.
    pub(super) const fn can(self, meaning: Meaning) -> bool {
        match meaning {
            Meaning::Applied | Meaning::NotApplied | Meaning::Unknown => true,
            Meaning::Refused => matches!(self, Self::Adjust | Self::Take | Self::Transfer),
            Meaning::Missing => !matches!(self, Self::Create),
            Meaning::Exists => matches!(self, Self::Create),
            Meaning::Stale => matches!(self, Self::CountIfVersion),
        }
    }
}

impl Meaning {
    /// All of them.
    pub(super) const ALL: [Self; 7] = [
        Self::Applied,
        Self::Refused,
        Self::Missing,
        Self::Exists,
        Self::Stale,
        Self::NotApplied,
        Self::Unknown,
    ];

    /// The key that its rules stand under.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Refused => "refused",
            Self::Missing => "missing",
            Self::Exists => "exists",
            Self::Stale => "stale",
            Self::NotApplied => "not_applied",
            Self::Unknown => "unknown",
        }
    }
}

impl Operation {
    /// What an answer means; `None` if no rule covers it.
    pub(super) fn meaning(&self, reading: &Reading<'_>) -> Option<Meaning> {
        self.rules.iter().find(|(rule, _)| reading.fits(rule)).map(|(_, meaning)| *meaning)
    }

    /// Whether it has a rule for this.
    pub(super) fn tells(&self, meaning: Meaning) -> bool {
        self.rules.iter().any(|(_, own)| *own == meaning)
    }

    /// Whether its request names something.
    pub(super) fn names(&self, slot: Slot) -> bool {
        let headers = self.headers.iter().map(|(_, template)| template);
        [Some(&self.path), self.body.as_ref()]
            .into_iter()
            .flatten()
            .chain(headers)
            .any(|template| template.slots().any(|own| own == slot))
    }
}
