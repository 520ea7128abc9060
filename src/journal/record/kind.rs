//! [`RecordKind`]: what a record is of, and with that, what stands in it.
//!
//! The numbers are those of the log: none is ever given to something else.

/// What a record is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RecordKind {
    /// A change of one level, or the atomic adjustment of several.
    Change = 1,
    /// Units moved between locations.
    Transfer = 2,
    /// An answer kept under an idempotency key, in words: of version 1 of the format. No lines.
    Answer = 3,
    /// Levels brought in from a file.
    Import = 4,
    /// A refusal kept under an idempotency key. No lines.
    Refused = 5,
    /// What came of each line of a batch, kept under the batch's idempotency key. No lines.
    Batch = 6,
    /// What an import did, kept under its idempotency key. No lines.
    Imported = 7,
    /// A chunk of an import of which every level was left out, under the chunk's key. No lines.
    ImportLeftOut = 8,
    /// A reservation was made: its units are held. As of all of its records, it ends with the term.
    Reserved = 9,
    /// A reservation was committed: units left the house, or were let go.
    Committed = 10,
    /// A reservation was released: its units were let go.
    Released = 11,
    /// A reservation expired: its units were let go.
    Expired = 12,
    /// A reservation was extended. No lines: nothing happened to a level.
    Extended = 13,
    /// An order was placed. As of all of its records, it ends with the whole order. No lines.
    Ordered = 14,
    /// An order began to wait for units. No lines.
    Backordered = 15,
    /// An order took its units.
    Fulfilled = 16,
    /// An order was rejected. No lines.
    Rejected = 17,
    /// An order was cancelled. No lines.
    Cancelled = 18,
    /// Units came back that an order took.
    Returned = 19,
    /// What came of a request in the store from where the stock came, kept under its idempotency key. No lines.
    Moved = 20,
}

impl RecordKind {
    /// The kind of that number, if one has it.
    pub(super) fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Change,
            2 => Self::Transfer,
            3 => Self::Answer,
            4 => Self::Import,
            5 => Self::Refused,
            6 => Self::Batch,
            7 => Self::Imported,
            8 => Self::ImportLeftOut,
            9 => Self::Reserved,
            10 => Self::Committed,
            11 => Self::Released,
            12 => Self::Expired,
            13 => Self::Extended,
            14 => Self::Ordered,
            15 => Self::Backordered,
            16 => Self::Fulfilled,
            17 => Self::Rejected,
            18 => Self::Cancelled,
            19 => Self::Returned,
            20 => Self::Moved,
            _ => return None,
        })
    }

    /// Whether a record of this kind is a chunk of an import.
    pub fn is_chunk(self) -> bool {
        matches!(self, Self::Import | Self::ImportLeftOut)
    }

    /// Whether it has lines, of a reservation.
    pub fn is_of_reservation(self) -> bool {
        matches!(self, Self::Reserved | Self::Committed | Self::Released | Self::Expired)
    }

    /// Whether it is of an order, and has lines.
    pub fn moves_an_order(self) -> bool {
        matches!(self, Self::Fulfilled | Self::Returned)
    }

    /// Whether it is of an order, and has none.
    pub fn only_tells_of_an_order(self) -> bool {
        matches!(self, Self::Ordered | Self::Backordered | Self::Rejected | Self::Cancelled)
    }
}
