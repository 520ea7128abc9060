//! What a client asked, and what it was told.

/// The name of a reservation or an order: a UUID, as a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(pub u128);

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

/// Units of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Line {
    /// The number of the level.
    pub level: usize,
    /// How many.
    pub units: u64,
}

/// One question and its answer. Attempts under one key are one: from when the first was sent to when the answer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What the ledger refers to it by; unique.
    pub number: u64,
    /// Nanoseconds since some instant, before it was sent.
    pub asked_ns: u64,
    /// After the answer was there; [`u64::MAX`] if none came.
    pub answered_ns: u64,
    /// What was asked.
    pub ask: Ask,
    /// What was answered.
    pub answer: Answer,
}

/// What can be asked. The lines of one question name each level once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the words of the service")]
pub enum Ask {
    /// A level that is not there yet.
    Open {
        level: usize,
        on_hand: u64,
    },
    Adjust {
        level: usize,
        delta: i64,
    },
    Read {
        level: usize,
    },
    Reserve {
        lines: Vec<Line>,
        ttl_ns: u64,
    },
    /// All of it where there are no lines.
    Commit {
        of: Name,
        lines: Option<Vec<Line>>,
    },
    Release {
        of: Name,
    },
    Extend {
        of: Name,
        ttl_ns: u64,
    },
    SeeHold {
        of: Name,
    },
    Order {
        lines: Vec<Line>,
        priority: u8,
        backorder: bool,
    },
    Cancel {
        of: Name,
    },
    /// All that is left where there are no lines.
    Return {
        of: Name,
        lines: Option<Vec<Line>>,
    },
    SeeOrder {
        of: Name,
    },
}

/// What can be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A level.
    Level(Seen),
    /// There is too little, of each of these levels.
    Short(Vec<Shortage>),
    /// A reservation.
    Hold(HoldSeen),
    /// It cannot be done, as the reservation has come to that state.
    HoldIs(HoldState),
    /// An order.
    Order(OrderSeen),
    /// The order is cancelled.
    Cancelled,
    /// It cannot be done, as the order has come to that state, or is not at it yet.
    OrderIs(OrderState),
    /// Not as many units can come back: of these levels only so many are left.
    Left(Vec<Line>),
    /// The queue is full.
    Full,
    /// There is no such reservation or order.
    Missing,
    /// Nobody knows.
    Unknown,
}

/// A level as it was at one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members of a stock level")]
pub struct Seen {
    pub level: usize,
    pub on_hand: u64,
    pub reserved: u64,
    pub version: u64,
}

/// A level that has too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the members of a line of a refusal")]
pub struct Shortage {
    pub level: usize,
    pub requested: u64,
    pub available: u64,
    pub version: u64,
}

/// How far a reservation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words of the service")]
pub enum HoldState {
    Pending,
    Committed,
    Released,
    Expired,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the words of the service")]
pub enum OrderState {
    Queued,
    Backordered,
    Fulfilled,
    Rejected,
    Cancelled,
}

/// A reservation as it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoldSeen {
    /// Its name.
    pub id: Name,
    /// How far it is.
    pub state: HoldState,
    /// What left the house, of one that is committed.
    pub committed: Vec<Line>,
}

/// An order as it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderSeen {
    /// Its name.
    pub id: Name,
    /// How far it is.
    pub state: OrderState,
    /// What was given back of it, in all.
    pub returned: Vec<Line>,
    /// Of one that is rejected: why.
    pub why: Option<Why>,
}

/// Why an order is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// There was too little.
    Short(Vec<Shortage>),
    /// An order that is before it waits for that level.
    Promised(usize),
}

impl Told {
    /// Whether an answer came.
    pub fn is_answered(&self) -> bool {
        self.answer != Answer::Unknown
    }
}

impl HoldState {
    /// As the service says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }
}

impl OrderState {
    /// As the service says it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Backordered => "backordered",
            Self::Fulfilled => "fulfilled",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// Whether it stays so.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Fulfilled | Self::Rejected | Self::Cancelled)
    }
}
