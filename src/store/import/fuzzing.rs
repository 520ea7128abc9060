//! The door to the lines of imports, for `fuzz/decoders`: the bytes of a file in, what each of its lines asks for out. Only with the feature
//! `fuzzing`; nothing is staged, and nothing is decided here.

use super::line::{Reader, Wanted};
use super::lines::Lines;
use crate::store::chores::{LineError, StockForm};

/// What a line asks for: the level, the units it is to have, and the version it must have before, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The text of a `StockKey`.
    pub key: String,
    /// The units.
    pub on_hand: u64,
    /// The version, with its lineage, if the line names one.
    pub expected: Option<String>,
}

/// A line: its number, and what it asks for, if it asks for anything. `None` for a line that is too long.
pub type Read = (u64, Option<Result<Option<Asked>, LineError>>);

/// What the lines of a file ask for that comes in these pieces.
pub fn lines<'p>(form: StockForm, pieces: impl Iterator<Item = &'p [u8]>) -> Vec<Read> {
    let (mut lines, mut reader, mut read) = (Lines::of(form), Reader::new(form), Vec::new());
    let mut each = |number: u64, line: Option<&[u8]>| {
        let asked = line.map(|line| reader.read(number, line).map(|wanted| wanted.map(Asked::from)));
        read.push((number, asked));
        Ok::<(), std::convert::Infallible>(())
    };
    for piece in pieces {
        let Ok(()) = lines.push(piece, &mut each);
    }
    let Ok(()) = lines.finish(&mut each);
    read
}

impl From<Wanted> for Asked {
    fn from(wanted: Wanted) -> Self {
        let Wanted { key, on_hand, expected } = wanted;
        let expected = expected.map(|numbered| numbered.to_string());
        Self { key: key.text().to_owned(), on_hand: on_hand.units(), expected }
    }
}
