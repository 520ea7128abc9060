//! One call to the service, before it is a request: what is asked, and what the history has to remember of it.

use history::{Effect, Key, Line, Request};

/// One line of a batch: a relative change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The level it changes.
    pub key: Key,
    /// Units added, or taken where negative; never 0.
    pub delta: i64,
}

/// One line of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// Where the units leave. Of the same sku as `to`.
    pub from: Key,
    /// Where they arrive.
    pub to: Key,
    /// How many; never 0.
    pub quantity: u32,
}

/// One call to the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// `GET /v1/stock/{sku}`
    Read(Key),
    /// `POST /v1/stock/query`, all as of one instant: keys in wire order, each once
    Query(Vec<Key>),
    /// `PUT` with `If-None-Match: *`
    Create {
        /// The level, which must be absent.
        key: Key,
        /// Its first stock.
        on_hand: u64,
    },
    /// `PUT` with `If-Match`
    Count {
        /// The level, which must be there.
        key: Key,
        /// The stock that was counted.
        on_hand: u64,
        /// The version demanded; `None` sends `*`.
        if_version: Option<u64>,
    },
    /// `POST .../adjust`
    Adjust(Change),
    /// `POST /v1/adjustments`, all lines or none
    Batch(Vec<Change>),
    /// `POST /v1/adjustments` in mode `independent`, each line on its own
    Independent(Vec<Change>),
    /// `POST /v1/transfers`
    Transfer(Vec<Move>),
    /// `DELETE /v1/stock/{sku}`
    Delete(Key),
}

/// The kinds of calls, for measuring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the call of the same name")]
pub enum Kind {
    Read,
    Query,
    Create,
    Count,
    Adjust,
    Batch,
    Independent,
    Transfer,
    Delete,
}

impl Kind {
    /// All kinds, in the order of tables.
    pub const ALL: [Self; 9] = [
        Self::Adjust,
        Self::Read,
        Self::Query,
        Self::Batch,
        Self::Independent,
        Self::Transfer,
        Self::Count,
        Self::Create,
        Self::Delete,
    ];

    /// The name in tables and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Query => "query",
            Self::Create => "create",
            Self::Count => "count",
            Self::Adjust => "adjust",
            Self::Batch => "batch",
            Self::Independent => "independent",
            Self::Transfer => "transfer",
            Self::Delete => "delete",
        }
    }
}

impl Call {
    /// Which kind of call it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Read(_) => Kind::Read,
            Self::Query(_) => Kind::Query,
            Self::Create { .. } => Kind::Create,
            Self::Count { .. } => Kind::Count,
            Self::Adjust(_) => Kind::Adjust,
            Self::Batch(_) => Kind::Batch,
            Self::Independent(_) => Kind::Independent,
            Self::Transfer(_) => Kind::Transfer,
            Self::Delete(_) => Kind::Delete,
        }
    }

    /// Whether it changes nothing, so that a lost answer leaves no doubt.
    pub const fn is_read(&self) -> bool {
        matches!(self, Self::Read(_) | Self::Query(_))
    }

    /// Whether the service takes an idempotency key with it: it does with every POST that changes anything.
    pub const fn takes_key(&self) -> bool {
        matches!(self, Self::Adjust(_) | Self::Batch(_) | Self::Independent(_) | Self::Transfer(_))
    }

    /// The levels it names, each once, in wire order.
    pub fn keys(&self) -> Vec<Key> {
        let mut keys: Vec<Key> = match self {
            Self::Read(key) | Self::Delete(key) | Self::Create { key, .. } | Self::Count { key, .. } => {
                vec![*key]
            }
            Self::Query(keys) => keys.clone(),
            Self::Adjust(change) => vec![change.key],
            Self::Batch(changes) | Self::Independent(changes) => {
                changes.iter().map(|line| line.key).collect()
            }
            Self::Transfer(moves) => moves.iter().flat_map(|line| [line.from, line.to]).collect(),
        };
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// What the history remembers as asked. An independent batch is as many separate requests as it has lines;
    /// everything else is one.
    pub fn into_requests(self) -> Vec<Request> {
        let add = |change: Change| Line { key: change.key, effect: Effect::Add(change.delta) };
        let one = |key, effect| vec![Request::Write(vec![Line { key, effect }])];
        match self {
            Self::Read(key) => vec![Request::Read(key)],
            Self::Query(keys) => vec![Request::Snapshot(keys)],
            Self::Create { key, on_hand } => one(key, Effect::Create(on_hand)),
            Self::Count { key, on_hand, if_version } => one(key, Effect::Count { on_hand, if_version }),
            Self::Delete(key) => one(key, Effect::Delete),
            Self::Adjust(change) => vec![Request::Write(vec![add(change)])],
            Self::Batch(changes) => vec![Request::Write(changes.into_iter().map(add).collect())],
            Self::Independent(changes) => {
                changes.into_iter().map(|change| Request::Write(vec![add(change)])).collect()
            }
            Self::Transfer(moves) => vec![Request::Write(moves.into_iter().flat_map(Move::lines).collect())],
        }
    }
}

impl Move {
    fn lines(self) -> [Line; 2] {
        let quantity = i64::from(self.quantity);
        [
            Line { key: self.from, effect: Effect::Add(-quantity) },
            Line { key: self.to, effect: Effect::AddOrCreate(quantity) },
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_independent_batch_is_as_many_requests_as_lines() {
        let changes = vec![Change { key: Key(1), delta: -2 }, Change { key: Key(0), delta: 3 }];
        assert_eq!(Call::Independent(changes.clone()).into_requests().len(), 2);
        assert_eq!(Call::Batch(changes).into_requests().len(), 1);
    }

    #[test]
    fn keys_are_named_once_and_in_wire_order() {
        let moves = vec![
            Move { from: Key(5), to: Key(4), quantity: 1 },
            Move { from: Key(4), to: Key(5), quantity: 2 },
        ];
        assert_eq!(Call::Transfer(moves).keys(), [Key(4), Key(5)]);
    }
}
