//! The ledger, as whoever asks sees it: movements, and places among them.
//!
//! Places ([`Seq`], [`MovementCursor`]) are the store's own affair: they are shown and taken back as text, and mean nothing to anybody
//! else. Numbers of movements, like versions, are used again where history was taken back by a restore: which history they are of,
//! the [`Lineage`] says.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use thiserror::Error;

pub use super::movement_kind::MovementKind;
use super::outcome::NotDone;
use super::query::NotACursor;
use crate::stock::{Level, OrderId, ReservationId, StockKey};

/// Which movements, and from where on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MovementQuery {
    /// Those of one level, newest first.
    OfLevel {
        /// The level.
        key: StockKey,
        /// Where the page before ended; from the newest on, if there was none.
        cursor: Option<MovementCursor>,
        /// Which of them. A store looks at the others as well, so many of those make a page short.
        filter: MovementFilter,
        /// How many at most.
        limit: usize,
    },
    /// Those after a number, in order.
    After {
        /// Where to begin.
        from: From,
        /// Which of them. A store looks at the others as well, so many of those make a page short.
        filter: MovementFilter,
        /// How many at most.
        limit: usize,
    },
}

/// Which movements are wanted: all, unless something is named.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MovementFilter {
    /// Only those of this sku.
    pub sku: Option<String>,
    /// Only those at this location.
    pub location: Option<String>,
    /// Only those of these kinds.
    pub kinds: Option<Vec<MovementKind>>,
    /// Only those that refer to this.
    pub reference: Option<String>,
    /// Only those that were made by this one.
    pub actor: Option<String>,
    /// Only those dated at this time or later: milliseconds of Unix time.
    pub from_ms: Option<u64>,
    /// Only those dated before this time.
    pub to_ms: Option<u64>,
}

/// A moment in the history of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Right after the movement of that number, of whichever level, in whichever history: a number alone does not say.
    Seq(Seq),
    /// The same, in that history.
    SeqOf(Seq, Lineage),
    /// That time, in milliseconds of Unix time: after the newest movement that is dated then or before.
    Time(u64),
}

/// Where a walk forward begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// With the oldest movement that is kept.
    Oldest,
    /// After this movement, in whichever history: a number alone does not say.
    Seq(Seq),
    /// After this movement of that history.
    SeqOf(Seq, Lineage),
    /// Where the page before ended.
    Cursor(MovementCursor),
}

/// A page of movements.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MovementPage {
    /// The movements, in order.
    pub movements: Vec<Movement>,
    /// Where the next page starts, if there may be one.
    pub next: Option<MovementCursor>,
    /// Whether there were older movements of the level, which are not kept any more.
    pub compacted: bool,
    /// The history they are of.
    pub lineage: Lineage,
}

/// What happened to one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// Its number.
    pub seq: Seq,
    /// When it was recorded, in milliseconds of Unix time.
    pub time_ms: u64,
    /// What it was.
    pub kind: MovementKind,
    /// The level.
    pub key: StockKey,
    /// Units on hand and reserved before.
    pub before: (u64, u64),
    /// The level after.
    pub after: Level,
    /// What was said about it; empty for nothing.
    pub reason: String,
    /// What it refers to; empty for nothing.
    pub reference: String,
    /// Who made it: the name of a key. Empty for nobody: no key was needed, or the service did it by itself.
    pub actor: String,
    /// Which reservation made it, if one did.
    pub reservation: Option<ReservationId>,
    /// Which order made it, if one did.
    pub order: Option<OrderId>,
}

/// Which history a version, or the number of a movement, is of. There is one, unless a backup was restored: then what was after
/// the backup is taken back, and another lineage begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lineage(Option<u64>);

/// The number of a movement: rises with each, in the order in which they were recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Seq(pub(in crate::store) u64);

/// Where a walk over movements is, and in which history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MovementCursor {
    pub(in crate::store) place: MovementPlace,
    pub(in crate::store) lineage: Lineage,
}

/// What a [`MovementCursor`] says, to the store that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum MovementPlace {
    /// In the history of one level: before that version of it, whose record is at that position.
    Before { position: u64, version: u64 },
    /// In the ledger: after that number, and all that follows from it.
    After(u64),
    /// In the ledger: after the movement of that number, and before what else follows from it.
    Within(u64),
}

/// Why there are no movements to show.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum HistoryError {
    /// The cursor is that of another walk.
    #[error(transparent)]
    Cursor(#[from] NotACursor),
    /// Movements right after that place are not kept any more.
    #[error("the oldest movement that is kept is number {oldest}")]
    Compacted {
        /// The oldest movement that is.
        oldest: Seq,
    },
    /// That place is in a history that was taken back.
    #[error(
        "that place is in a history that is not this one's: a backup was restored, and what came after it was taken back; \
         read the stock again, and begin with the oldest movement"
    )]
    OtherLineage,
    /// There is no such movement yet, so whoever names it has it from a history that was taken back.
    #[error("there is no movement {asked}: the newest is number {newest}; read the stock again")]
    Ahead {
        /// The movement that was named.
        asked: Seq,
        /// The newest there is.
        newest: Seq,
    },
    /// It got no answer.
    #[error(transparent)]
    NotDone(#[from] NotDone),
}

impl Lineage {
    /// The first, which is never named.
    pub const FIRST: Self = Self(None);

    /// One that began when a backup was restored.
    pub(in crate::store) fn restored(id: Option<u64>) -> Self {
        Self(id)
    }

    /// What it is named by, wherever something of it is: nothing for the first.
    pub fn id(self) -> Option<u64> {
        self.0
    }

    /// A number of this lineage, as it is shown.
    pub fn number(self, number: u64) -> Numbered {
        Numbered { number, lineage: self }
    }
}

/// A version, or the number of a movement, with its lineage: `7`, or `7-00c0ffee00c0ffee` after a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbered {
    /// The number.
    pub number: u64,
    /// Of which history.
    pub lineage: Lineage,
}

impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.lineage {
            Lineage(None) => self.number.fmt(f),
            Lineage(Some(id)) => write!(f, "{}-{id:016x}", self.number),
        }
    }
}

/// Why a text is no [`Numbered`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be a number, perhaps with a dash and a lineage")]
pub struct NotNumbered;

/// The most digits of a number: so many always fit, and no log gets near.
const DIGITS_MAX: usize = 19;

impl FromStr for Numbered {
    type Err = NotNumbered;

    /// Exactly what is written, but for zeros in front: digits, and of a lineage all sixteen.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (number, lineage) = match text.split_once('-') {
            None => (text, Lineage(None)),
            Some((number, id)) => {
                let is_one = id.len() == 16 && id.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'));
                let id = is_one.then(|| u64::from_str_radix(id, 16).ok()).flatten();
                (number, Lineage(Some(id.ok_or(NotNumbered)?)))
            }
        };
        let is_number = number.len() <= DIGITS_MAX && number.bytes().all(|byte| byte.is_ascii_digit());
        let number = is_number.then(|| number.parse().ok()).flatten();
        Ok(Self { number: number.ok_or(NotNumbered)?, lineage })
    }
}

impl Seq {
    /// The movement of that number.
    pub fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number, to be shown.
    pub fn number(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Seq {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl MovementFilter {
    /// Whether it wants all there are.
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it wants this one.
    pub fn has(&self, movement: &Movement) -> bool {
        self.has_of_any_kind(movement) && self.has_kind(movement.kind)
    }

    /// Whether it would want this one if it were of one of its kinds.
    pub fn has_of_any_kind(&self, movement: &Movement) -> bool {
        let Movement { key, time_ms, reference, actor, .. } = movement;
        self.has_level(key.sku(), key.location()) && self.has_change(*time_ms, reference, actor)
    }

    /// Whether it wants any of that kind.
    pub fn has_kind(&self, kind: MovementKind) -> bool {
        self.kinds.as_ref().is_none_or(|kinds| kinds.contains(&kind))
    }

    /// Whether it wants any of that level.
    pub fn has_level(&self, sku: &str, location: &str) -> bool {
        is(self.sku.as_ref(), sku) && is(self.location.as_ref(), location)
    }

    /// Whether it wants one dated then, with that reference, made by that one, if it wants its level and its kind.
    pub fn has_change(&self, time_ms: u64, reference: &str, actor: &str) -> bool {
        is(self.reference.as_ref(), reference)
            && is(self.actor.as_ref(), actor)
            && self.from_ms.is_none_or(|from| time_ms >= from)
            && self.to_ms.is_none_or(|to| time_ms < to)
    }
}

fn is(wanted: Option<&String>, part: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == part)
}

impl MovementCursor {
    /// Right after that movement of that history, and all that follows from it: where a walk over all of them goes on.
    pub fn after(seq: Seq, lineage: Lineage) -> Self {
        Self { place: MovementPlace::After(seq.0), lineage }
    }

    /// After that movement, and before what else follows from it, such as an alert.
    pub fn within(seq: Seq, lineage: Lineage) -> Self {
        Self { place: MovementPlace::Within(seq.0), lineage }
    }

    /// Whether what follows from its movement is still to come.
    pub fn is_within(self) -> bool {
        matches!(self.place, MovementPlace::Within(_))
    }

    /// The movement it is right after, if it is of a walk over all of them.
    pub fn seq(self) -> Option<Seq> {
        match self.place {
            MovementPlace::After(seq) | MovementPlace::Within(seq) => Some(Seq(seq)),
            MovementPlace::Before { .. } => None,
        }
    }

    /// The history it is of.
    pub fn lineage(self) -> Lineage {
        self.lineage
    }
}

/// The odd bytes of a cursor, by which its length is no multiple of a number's: what follows is a lineage.
const LINEAGE: u8 = 1;
/// What follows is a place within a movement.
const WITHIN: u8 = 2;

impl fmt::Display for MovementCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mark, numbers) = match self.place {
            MovementPlace::Before { position, version } => (None, vec![position, version]),
            MovementPlace::After(seq) => (None, vec![seq]),
            MovementPlace::Within(seq) => (Some(WITHIN), vec![seq]),
        };
        let bytes = mark.into_iter().chain(numbers.into_iter().flat_map(u64::to_be_bytes));
        // A lineage is an odd byte and a number before them.
        let lineage =
            self.lineage.0.into_iter().flat_map(|id| [vec![LINEAGE], id.to_be_bytes().to_vec()].concat());
        let bytes: Vec<u8> = lineage.chain(bytes).collect();
        f.write_str(&URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl FromStr for MovementCursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| NotACursor)?;
        let number = |bytes: &[u8; 8]| u64::from_be_bytes(*bytes);
        let (lineage, bytes) = match bytes.as_slice() {
            [LINEAGE, rest @ ..] if bytes.len() % 8 != 0 => {
                let (id, rest) = rest.split_first_chunk().ok_or(NotACursor)?;
                (Lineage(Some(number(id))), rest)
            }
            bytes => (Lineage(None), bytes),
        };
        let (is_within, bytes) = match bytes {
            [WITHIN, rest @ ..] if bytes.len() % 8 == 1 => (true, rest),
            bytes => (false, bytes),
        };
        let place = match bytes.as_chunks() {
            ([seq], []) if is_within => MovementPlace::Within(number(seq)),
            ([position, version], []) if !is_within => {
                MovementPlace::Before { position: number(position), version: number(version) }
            }
            ([seq], []) => MovementPlace::After(number(seq)),
            _ => return Err(NotACursor),
        };
        Ok(Self { place, lineage })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back_as_they_went_and_nothing_else_is_one() {
        let before = MovementPlace::Before { position: 700, version: 3 };
        let others = [0, 1, 2, u64::MAX].map(|seq| [MovementPlace::After(seq), MovementPlace::Within(seq)]);
        for place in others.into_iter().flatten().chain([before]) {
            for lineage in [Lineage::FIRST, Lineage(Some(0)), Lineage(Some(u64::MAX))] {
                let cursor = MovementCursor { place, lineage };
                assert_eq!(cursor.to_string().parse(), Ok(cursor));
            }
        }
        for (number, shown) in [
            (Lineage::FIRST.number(7), "7"),
            (Lineage(Some(0xC0_FFEE)).number(10_u64.pow(19) - 1), "9999999999999999999-0000000000c0ffee"),
        ] {
            assert_eq!(number.to_string(), shown);
            assert_eq!(shown.parse(), Ok(number));
        }
        for wrong in [
            "",
            "-",
            "7-",
            "-7",
            "+7",
            "x",
            "7-x",
            "7-1",
            "7-+000000000c0ffee",
            "7-0000000000C0FFEE",
            "7-00000000000000001",
            "7-1-1",
            "10000000000000000000",
        ] {
            assert_eq!(wrong.parse::<Numbered>(), Err(NotNumbered), "{wrong}");
        }
        for wrong in ["", "x", "AAAA", "%", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            assert_eq!(wrong.parse::<MovementCursor>(), Err(NotACursor), "{wrong}");
        }
    }
}
