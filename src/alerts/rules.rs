//! [`Rules`]: which levels have a mark, since when, and what follows from that for a movement.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ALERTS_MAX;
use crate::stock::{Location, Quantity, Sku, StockKey};
use crate::store::{Movement, Seq};

/// How many changes of the mark of one level are remembered, for who reads the ledger again.
const CHANGES_MAX: usize = 16;

/// The form of the document.
const VERSION: u32 = 1;

/// The marks of levels. A value: it is replaced, never changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The changes of each level's mark, oldest first.
    marks: BTreeMap<StockKey, Vec<Mark>>,
    /// How many levels have one now.
    set: usize,
}

/// The mark of a level, or that it has none any more, for movements with numbers above `since`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    since: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    low_at: Option<u64>,
}

/// A movement has carried what is available of its level over the mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crossing {
    /// To which side.
    pub side: Side,
    /// The mark.
    pub low_at: u64,
}

/// Where what is available has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// To the mark or below.
    Low,
    /// Above the mark.
    Replenished,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document<'a> {
    version: u32,
    #[serde(borrow)]
    alerts: Vec<Alert<'a>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Alert<'a> {
    sku: std::borrow::Cow<'a, str>,
    location: std::borrow::Cow<'a, str>,
    marks: Vec<Mark>,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Low, Self::Replenished];

    /// What the event is called that tells of it.
    pub fn event(self) -> &'static str {
        match self {
            Self::Low => "stock.low",
            Self::Replenished => "stock.replenished",
        }
    }
}

impl Rules {
    /// How many levels have a mark.
    pub fn len(&self) -> usize {
        self.set
    }

    /// Whether no level has a mark, or had one that still counts for a movement that is read again.
    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    /// The mark of a level, if it has one now.
    pub fn low_at(&self, key: &StockKey) -> Option<u64> {
        self.marks.get(key)?.last()?.low_at
    }

    /// The levels that have a mark now, in order, and it.
    pub fn iter(&self) -> impl Iterator<Item = (&StockKey, u64)> {
        self.marks.iter().filter_map(|(key, marks)| Some((key, marks.last()?.low_at?)))
    }

    /// The same with another mark for that level, or none, for movements with numbers above `since`.
    #[must_use]
    pub fn with(&self, key: &StockKey, low_at: Option<u64>, since: Seq) -> Self {
        let mut rules = self.clone();
        let marks = rules.marks.entry(key.clone()).or_default();
        marks.push(Mark { since: since.number(), low_at });
        let too_many = marks.len().saturating_sub(CHANGES_MAX);
        marks.drain(..too_many);
        // Those that have none any more are remembered as long as there is room.
        if rules.marks.len() > 2 * ALERTS_MAX {
            rules.marks.retain(|_, marks| marks.last().is_some_and(|mark| mark.low_at.is_some()));
        }
        rules.count()
    }

    /// What a movement has crossed, if anything: by the mark that counted when it was recorded. A level that does not exist has nothing
    /// available.
    pub fn judge(&self, movement: &Movement) -> Option<Crossing> {
        if self.marks.is_empty() {
            return None;
        }
        let marks = self.marks.get(&movement.key)?;
        let counts = |mark: &&Mark| mark.since < movement.seq.number();
        let low_at = marks.iter().rev().find(counts)?.low_at?;
        let (on_hand, reserved) = movement.before;
        let side = match (on_hand.saturating_sub(reserved) > low_at, movement.after.available() > low_at) {
            (true, false) => Side::Low,
            (false, true) => Side::Replenished,
            _ => return None,
        };
        Some(Crossing { side, low_at })
    }

    /// As a document, to be kept.
    pub fn to_document(&self) -> Vec<u8> {
        let alert = |(key, marks): (&'_ StockKey, &Vec<Mark>)| Alert {
            sku: key.sku().to_owned().into(),
            location: key.location().to_owned().into(),
            marks: marks.clone(),
        };
        let document = Document { version: VERSION, alerts: self.marks.iter().map(alert).collect() };
        serde_json::to_vec(&document).expect("it has string keys and plain values")
    }

    /// The rules of a document; `end` is the last movement there is: what was set later, in a history that was taken back, counts from there.
    pub fn from_document(bytes: &[u8], end: Seq) -> Result<Self, String> {
        let document: Document<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if document.version != VERSION {
            return Err(format!(
                "their version is {}, and this service knows version {VERSION}",
                document.version
            ));
        }
        let mut rules = Self::default();
        for Alert { sku, location, mut marks } in document.alerts {
            let named =
                Sku::parse(&sku).and_then(|sku| Ok(StockKey::new(&sku, &Location::parse(&location)?)));
            let key = named.map_err(|error| format!("{sku:?} at {location:?}: {error}"))?;
            for mark in &mut marks {
                mark.since = mark.since.min(end.number());
                mark.low_at
                    .map_or(Some(Quantity::ZERO), Quantity::new)
                    .ok_or_else(|| format!("{key}: its mark"))?;
            }
            rules.marks.insert(key, marks);
        }
        Ok(rules.count())
    }

    fn count(mut self) -> Self {
        self.set = self.iter().count();
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stock::Level;
    use crate::store::MovementKind;

    fn key(sku: &str) -> StockKey {
        StockKey::new(&Sku::parse(sku).unwrap(), &Location::DEFAULT)
    }

    fn movement(seq: u64, before: (u64, u64), after: (u64, u64)) -> Movement {
        Movement {
            seq: Seq::new(seq),
            time_ms: 0,
            kind: MovementKind::Adjusted,
            key: key("A"),
            before,
            after: Level::existing(after.0, after.1, seq).unwrap(),
            reason: String::new(),
            reference: String::new(),
            actor: String::new(),
            reservation: None,
            order: None,
        }
    }

    #[test]
    fn a_crossing_is_told_by_the_mark_that_counted_then() {
        let rules = Rules::default().with(&key("A"), Some(5), Seq::new(10));
        let side = |rules: &Rules, seq, before, after| {
            rules.judge(&movement(seq, before, after)).map(|crossing| crossing.side)
        };
        for (before, after, told) in [
            ((6, 0), (5, 0), Some(Side::Low)),
            ((6, 0), (6, 1), Some(Side::Low)),
            ((5, 0), (4, 0), None),
            ((5, 0), (6, 0), Some(Side::Replenished)),
            ((9, 4), (9, 3), Some(Side::Replenished)),
            ((7, 0), (6, 0), None),
            ((0, 0), (6, 0), Some(Side::Replenished)),
        ] {
            assert_eq!(side(&rules, 11, before, after), told, "{before:?} {after:?}");
            assert_eq!(side(&rules, 10, before, after), None, "it did not count yet");
        }
        let rules = rules.with(&key("A"), Some(2), Seq::new(20)).with(&key("A"), None, Seq::new(30));
        assert_eq!(side(&rules, 15, (6, 0), (5, 0)), Some(Side::Low));
        assert_eq!(side(&rules, 25, (6, 0), (5, 0)), None);
        assert_eq!(side(&rules, 25, (6, 0), (2, 0)), Some(Side::Low));
        assert_eq!(side(&rules, 31, (6, 0), (0, 0)), None);
        assert_eq!((rules.len(), rules.low_at(&key("A")), rules.iter().count()), (0, None, 0));
    }

    #[test]
    fn a_document_comes_back_as_it_went_and_another_is_refused() {
        let rules =
            Rules::default().with(&key("A"), Some(5), Seq::new(10)).with(&key("A"), None, Seq::new(12));
        let rules = rules.with(&key("B"), Some(0), Seq::new(11));
        assert_eq!(Rules::from_document(&rules.to_document(), Seq::new(12)), Ok(rules.clone()));
        let taken_back = Rules::from_document(&rules.to_document(), Seq::new(3)).unwrap();
        assert_eq!(taken_back.low_at(&key("B")), Some(0));
        assert!(taken_back.judge(&movement(4, (1, 0), (0, 0))).is_none(), "A has none");
        for wrong in [
            "",
            "{}",
            r#"{"version":2,"alerts":[]}"#,
            r#"{"version":1,"alerts":[{"sku":"","location":"main","marks":[]}]}"#,
        ] {
            assert!(Rules::from_document(wrong.as_bytes(), Seq::new(9)).is_err(), "{wrong}");
        }
    }

    proptest! {
        /// Over any run of changes the sides alternate, and the last one told is the side on which the level is.
        #[test]
        fn low_and_replenished_take_turns(available in proptest::collection::vec(0_u64..10, 1..40), low_at in 0_u64..10) {
            let rules = Rules::default().with(&key("A"), Some(low_at), Seq::new(0));
            let (mut before, mut told) = (0, Vec::new());
            for (seq, after) in (1..).zip(&available) {
                told.extend(rules.judge(&movement(seq, (before, 0), (*after, 0))).map(|crossing| crossing.side));
                before = *after;
            }
            let expected = (0..told.len()).map(|at| [Side::Replenished, Side::Low][at % 2]);
            prop_assert!(told.iter().copied().eq(expected));
            prop_assert_eq!(told.len() % 2 == 1, before > low_at);
        }
    }
}
