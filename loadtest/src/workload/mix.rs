//! How operations are drawn: a list of weights, such as `adjust=70,read=20`.

use std::fmt;
use std::str::FromStr;

use rand::{Rng, RngExt};

/// What a client may do next. Some operations are two calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Sell or restock one level.
    Adjust,
    /// Read one level.
    Read,
    /// Two to eight changes, all or nothing.
    Batch,
    /// Two to eight changes, each on its own.
    Independent,
    /// One to three moves between locations.
    Transfer,
    /// A physical count, half of them after a read and with its version.
    Put,
    /// Delete a level and create it again.
    CreateDelete,
    /// Look at several levels at one instant.
    Query,
}

impl Operation {
    /// All of them, in the order they are documented.
    pub const ALL: [Self; 8] = [
        Self::Adjust,
        Self::Read,
        Self::Batch,
        Self::Independent,
        Self::Transfer,
        Self::Put,
        Self::CreateDelete,
        Self::Query,
    ];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Adjust => "adjust",
            Self::Read => "read",
            Self::Batch => "batch",
            Self::Independent => "independent",
            Self::Transfer => "transfer",
            Self::Put => "put",
            Self::CreateDelete => "create-delete",
            Self::Query => "query",
        }
    }
}

/// The mix of a run that was given none: mostly single sales and restocks, with some of everything else.
pub const DEFAULT: &str = "adjust=63,read=20,batch=5,independent=3,transfer=5,put=3,create-delete=1";

/// Weights of operations, and what they look like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mix {
    weights: Vec<(Operation, u32)>,
    total: u32,
    shape: Shape,
}

/// What operations look like. The pairs are the least and the most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Lines of a batch.
    pub lines: (usize, usize),
    /// How many of a hundred changes are sales.
    pub sale_percent: u32,
    /// Units of a sale.
    pub sale: (i64, i64),
    /// How many of a hundred sales are of more units, which these are.
    pub bulk: (u32, (i64, i64)),
    /// Lines of a transfer.
    pub moves: (u32, u32),
    /// Units of a restock.
    pub restock: (i64, i64),
    /// How many of a hundred counts read first, and demand the version they saw.
    pub read_first_percent: u32,
    /// Whether one level in ten is asked for at the second location; else only transfers go there.
    pub has_annex: bool,
    /// Whether a batch brings as many units as it takes.
    pub is_balanced: bool,
    /// Levels of a query; `None` for all there are, up to the most that one may name.
    pub queried: Option<(usize, usize)>,
}

impl Default for Shape {
    /// 65 of 100 changes are sales of 1 to 6 (2.3 units out on average), 35 are restocks of 2 to 10 (2.1 units in).
    fn default() -> Self {
        Self {
            lines: (2, 8),
            moves: (1, 3),
            sale_percent: 65,
            sale: (1, 6),
            bulk: (0, (1, 6)),
            restock: (2, 10),
            read_first_percent: 50,
            has_annex: true,
            is_balanced: false,
            queried: Some((2, 8)),
        }
    }
}

/// A mix that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MixError {
    /// Not `name=weight`.
    #[error("`{0}` is no weight: use NAME=WEIGHT with a weight from 0 to 1000000, such as adjust=70")]
    Weight(String),
    /// No operation of that name.
    #[error(
        "`{0}` is no operation: use adjust, read, batch, independent, transfer, put, create-delete, query"
    )]
    Name(String),
    /// Named twice.
    #[error("`{0}` is given twice")]
    Twice(String),
    /// Nothing to do.
    #[error("at least one weight must be above 0")]
    Nothing,
}

impl Mix {
    /// Of weights that are not all 0.
    pub(super) fn new(weights: Vec<(Operation, u32)>, shape: Shape) -> Self {
        let total = weights.iter().map(|(_, weight)| weight).sum();
        Self { weights, total, shape }
    }

    /// The same operations, looking otherwise.
    #[must_use]
    pub fn shaped(self, shape: Shape) -> Self {
        Self { shape, ..self }
    }

    /// The same weights of these operations, and nothing of the others; `None` if nothing is left.
    pub fn only(&self, operations: &[Operation]) -> Option<Self> {
        let kept = |(operation, weight): &(Operation, u32)| operations.contains(operation) && *weight > 0;
        let weights: Vec<_> = self.weights.iter().copied().filter(kept).collect();
        (!weights.is_empty()).then(|| Self::new(weights, self.shape))
    }

    /// What the operations look like.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// How often an operation is drawn, against the others.
    pub fn weight(&self, of: Operation) -> u32 {
        self.weights.iter().find(|(operation, _)| *operation == of).map_or(0, |(_, weight)| *weight)
    }

    /// One operation, as often as its weight says.
    pub fn draw(&self, rng: &mut impl Rng) -> Operation {
        let mut rest = rng.random_range(0..self.total);
        for (operation, weight) in &self.weights {
            if rest < *weight {
                return *operation;
            }
            rest -= weight;
        }
        Operation::Adjust
    }
}

impl Default for Mix {
    fn default() -> Self {
        let weights = vec![
            (Operation::Adjust, 63),
            (Operation::Read, 20),
            (Operation::Batch, 5),
            (Operation::Independent, 3),
            (Operation::Transfer, 5),
            (Operation::Put, 3),
            (Operation::CreateDelete, 1),
        ];
        Self::new(weights, Shape::default())
    }
}

impl FromStr for Mix {
    type Err = MixError;

    fn from_str(text: &str) -> Result<Self, MixError> {
        let mut weights: Vec<(Operation, u32)> = Vec::new();
        for part in text.split(',') {
            let wrong = || MixError::Weight(part.to_owned());
            let (name, weight) = part.trim().split_once('=').ok_or_else(wrong)?;
            let weight = weight.parse().ok().filter(|weight| *weight <= 1_000_000).ok_or_else(wrong)?;
            let operation = Operation::ALL.into_iter().find(|operation| operation.name() == name);
            let operation = operation.ok_or_else(|| MixError::Name(name.to_owned()))?;
            if weights.iter().any(|(known, _)| *known == operation) {
                return Err(MixError::Twice(name.to_owned()));
            }
            weights.push((operation, weight));
        }
        let mix = Self::new(weights, Shape::default());
        if mix.total == 0 { Err(MixError::Nothing) } else { Ok(mix) }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (operation, weight)) in self.weights.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            write!(f, "{comma}{}={weight}", operation.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand::rngs::Xoshiro256PlusPlus;

    use super::*;

    #[test]
    fn the_default_is_the_documented_one() {
        assert_eq!(DEFAULT.parse(), Ok(Mix::default()));
        assert_eq!(Mix::default().to_string(), DEFAULT);
    }

    #[test]
    fn operations_come_as_often_as_their_weights_say() {
        let mix: Mix = "adjust=3,read=1,put=0".parse().unwrap();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        let drawn: Vec<_> = (0..10_000).map(|_| mix.draw(&mut rng)).collect();
        let count = |wanted| drawn.iter().filter(|operation| **operation == wanted).count();
        assert!((7_300..7_700).contains(&count(Operation::Adjust)));
        assert_eq!(count(Operation::Put), 0);
        assert_eq!(count(Operation::Adjust) + count(Operation::Read), 10_000);
    }

    #[test]
    fn nonsense_is_refused() {
        for wrong in [
            "",
            "adjust",
            "adjust=x",
            "adjust=-1",
            "sell=1",
            "adjust=0",
            "adjust=1,adjust=2",
            "adjust=9999999",
        ] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong}");
        }
    }
}
