//! A line of an import, whichever its form: what it asks for, and what is said of one that is wrong, in words of whoever keeps the stock.

use super::ndjson;
use super::table::Table;
use crate::stock::{QUANTITY_MAX, Quantity, StockKey, VERSION_MAX};
use crate::store::Numbered;
use crate::store::chores::{LineError, StockForm};

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The level.
    pub(super) key: StockKey,
    /// The units it is to have.
    pub(super) on_hand: Quantity,
    /// The version it must have before, if the line names one; 0: there must be no such level.
    pub(super) expected: Option<Numbered>,
}

/// Reads line after line.
#[derive(Debug)]
pub(super) enum Reader {
    /// Each is JSON, and stands for itself.
    Ndjson,
    /// The first says what the others are.
    Csv(Table),
}

/// Where a text begins that Windows wrote.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

impl Reader {
    /// Of a file of that form.
    pub(super) fn new(form: StockForm) -> Self {
        match form {
            StockForm::Ndjson => Self::Ndjson,
            StockForm::Csv => Self::Csv(Table::default()),
        }
    }

    /// What the next line asks for, which has that number: nothing if nothing is in it. Or everything that is wrong with it.
    pub(super) fn read(&mut self, number: u64, line: &[u8]) -> Result<Option<Wanted>, LineError> {
        let line = if number == 1 { line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line) } else { line };
        let Ok(text) = std::str::from_utf8(line) else {
            return Err(whole(number, "is not UTF-8; save the file as UTF-8"));
        };
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        match self {
            Self::Ndjson => ndjson::parse(number, text).map(Some),
            Self::Csv(table) => table.read(number, text),
        }
    }
}

/// Everything that is wrong with one line.
#[derive(Debug)]
pub(super) struct Faulty {
    line: u64,
    faults: Vec<(String, String)>,
}

/// The most faults of one line that are told.
const FAULTS_MAX: usize = 10;

/// The longest value that is repeated, in characters.
const ECHO_CHARS_MAX: usize = 60;

impl Faulty {
    /// Nothing yet.
    pub(super) fn new(line: u64) -> Self {
        Self { line, faults: Vec::new() }
    }

    /// Something is wrong in that field; an empty one is the whole line.
    pub(super) fn add(&mut self, field: &str, detail: &str) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push((field.to_owned(), detail.to_owned()));
        }
    }

    /// The value of that field; nothing if it is wrong.
    pub(super) fn value<T>(&mut self, field: &str, value: Result<T, String>) -> Option<T> {
        value.map_err(|detail| self.add(field, &detail)).ok()
    }

    /// All of it as one, named after the first, as it is lines that are counted; if there is anything.
    pub(super) fn none(self) -> Result<(), LineError> {
        let mut faults = self.faults.into_iter();
        let Some((field, first)) = faults.next() else { return Ok(()) };
        let others = faults.map(|(field, detail)| match field.as_str() {
            "" => format!("; {detail}"),
            field => format!("; {field}: {detail}"),
        });
        Err(LineError { line: self.line, field, detail: first + &others.collect::<String>() })
    }
}

/// The whole line is wrong.
pub(super) fn whole(line: u64, detail: impl Into<String>) -> LineError {
    LineError { line, field: String::new(), detail: detail.into() }
}

/// A value as it is told, which may be anything.
pub(super) fn quoted(value: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    let (cut, more) = match value.char_indices().nth(ECHO_CHARS_MAX) {
        Some((end, _)) => (&value[..end], "…"),
        None => (value, ""),
    };
    format!("\"{}{more}\"", cut.chars().map(shown).collect::<String>())
}

/// What is said of a value that is no number of units.
pub(super) fn units(value: &str) -> String {
    format!("{value} is not a whole number from 0 to {}", grouped(QUANTITY_MAX))
}

/// What is said of a value that is no version.
pub(super) fn version(value: &str) -> String {
    format!("{value} is not a version, which is a whole number from 0 to {}", grouped(VERSION_MAX))
}

/// A number in groups of three, as people read it.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap_or("")).collect();
    groups.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_for_people() {
        assert_eq!(units("\"ten\""), "\"ten\" is not a whole number from 0 to 1 099 511 627 775");
        assert_eq!((grouped(0), grouped(100), grouped(1_000)), ("0".into(), "100".into(), "1 000".into()));
        assert_eq!(quoted("1/2\"\n"), "\"1/2\"\\n\"");
        assert_eq!(quoted(&"\u{e4}".repeat(100)), format!("\"{}…\"", "\u{e4}".repeat(60)));
    }

    #[test]
    fn a_line_has_all_its_faults_at_once() {
        let mut faulty = Faulty::new(7);
        assert_eq!(faulty.value("sku", Ok(1)), Some(1));
        assert_eq!(faulty.value("on_hand", Err::<u64, _>("is missing".to_owned())), None);
        for _ in 0..100 {
            faulty.add("", "and more");
        }
        let told = faulty.none().unwrap_err();
        assert_eq!(told.to_string(), format!("line 7, on_hand: is missing{}", "; and more".repeat(9)));
        assert_eq!(Faulty::new(7).none(), Ok(()));
    }

    /// A byte order mark begins a file, and nothing else; a line of nothing is none.
    #[test]
    fn a_file_may_begin_with_a_mark_and_have_lines_of_nothing() {
        let marked = "\u{feff}{\"sku\":\"A\",\"on_hand\":1}";
        assert!(Reader::Ndjson.read(1, marked.as_bytes()).unwrap().is_some());
        assert!(Reader::Ndjson.read(2, marked.as_bytes()).is_err());
        for nothing in ["", " ", "\t ", "\r"] {
            assert_eq!(Reader::Ndjson.read(3, nothing.as_bytes()), Ok(None));
        }
        let told = Reader::Ndjson.read(3, b"\xff").unwrap_err().to_string();
        assert_eq!(told, "line 3: is not UTF-8; save the file as UTF-8");
    }
}
