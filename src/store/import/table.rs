//! A CSV file of stock levels, as spreadsheets write them: which cell is what, the first line says.
//!
//! Columns stand in any order, and commas between cells, or semicolons or tabs, as spreadsheets of many countries write them. Cells
//! without a value stand for nothing; a line of such cells is none, as is a column without a name that has no value anywhere.

use std::borrow::Cow;

use super::line::{Faulty, Wanted, quoted, units, version, whole};
use crate::csv;
use crate::stock::{Location, Quantity, Sku, StockKey, VERSION_MAX};
use crate::store::Numbered;
use crate::store::chores::LineError;

/// What stands in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Sku,
    Location,
    OnHand,
    Version,
}

/// The columns there are, in the order of [`Column`]; the third says whether it has to be there.
const COLUMNS: [(&str, Column, bool); 4] = [
    ("sku", Column::Sku, true),
    ("location", Column::Location, false),
    ("on_hand", Column::OnHand, true),
    ("version", Column::Version, false),
];

/// What may stand between cells. A header has one of them at most, as none is in a name of a column.
const SEPARATORS: [char; 3] = [',', ';', '\t'];

/// The lines of a file, one after another.
#[derive(Debug, Default)]
pub(super) enum Table {
    /// The header has not come yet.
    #[default]
    Begun,
    /// It has, and is none: that is told, and of the lines below it nothing is known.
    Unknown,
    /// It has.
    Known(Layout),
}

/// What the header says.
#[derive(Debug)]
pub(super) struct Layout {
    separator: char,
    /// What stands in each column; nothing where it has no name.
    columns: Vec<Option<Column>>,
}

impl Table {
    /// What the next line asks for; nothing if it is the header, or empty.
    pub(super) fn read(&mut self, number: u64, text: &str) -> Result<Option<Wanted>, LineError> {
        match self {
            Self::Known(layout) => layout.row(number, text),
            Self::Unknown => Ok(None),
            Self::Begun => {
                *self = Self::Unknown;
                *self = Self::Known(Layout::of(number, text)?);
                Ok(None)
            }
        }
    }
}

impl Layout {
    fn of(line: u64, header: &str) -> Result<Self, LineError> {
        let separator = SEPARATORS.into_iter().find(|&separator| header.contains(separator)).unwrap_or(',');
        let names = csv::cells(header, separator).map_err(|error| whole(line, error.to_string()))?;
        let mut faulty = Faulty::new(line);
        let mut columns = Vec::with_capacity(names.len());
        for name in &names {
            let name = name.trim();
            let column = COLUMNS.iter().find(|(known, ..)| *known == name).map(|(_, column, _)| *column);
            if column.is_none() && !name.is_empty() {
                faulty.add(name, "there is no such column; there are sku, location, on_hand and version");
            }
            if column.is_some() && columns.contains(&column) {
                faulty.add(name, "the column is there twice");
            }
            columns.push(column);
        }
        for (name, column, is_needed) in COLUMNS {
            if is_needed && !columns.contains(&Some(column)) {
                faulty.add(
                    name,
                    "the column is missing: the first line names the columns, sku and on_hand at least",
                );
            }
        }
        faulty.none()?;
        Ok(Self { separator, columns })
    }

    fn row(&self, line: u64, text: &str) -> Result<Option<Wanted>, LineError> {
        let cells = csv::cells(text, self.separator).map_err(|error| whole(line, error.to_string()))?;
        if cells.iter().all(|cell| cell.is_empty()) {
            return Ok(None);
        }
        let mut faulty = Faulty::new(line);
        self.nameless(&cells, &mut faulty);
        let sku = match self.cell(Column::Sku, &cells) {
            "" => faulty.value("sku", Err("is missing".to_owned())),
            text => {
                faulty.value("sku", Sku::parse(text).map_err(|error| format!("{} {error}", quoted(text))))
            }
        };
        let location = match self.cell(Column::Location, &cells) {
            "" => Some(Location::DEFAULT),
            text => {
                let location = Location::parse(text).map_err(|error| format!("{} {error}", quoted(text)));
                faulty.value("location", location)
            }
        };
        let on_hand = faulty.value("on_hand", on_hand(self.cell(Column::OnHand, &cells)));
        let expected = match self.cell(Column::Version, &cells) {
            "" => None,
            text => faulty.value("version", expected(text)),
        };
        faulty.none()?;
        let (Some(sku), Some(location), Some(on_hand)) = (sku, location, on_hand) else { return Ok(None) };
        Ok(Some(Wanted { key: StockKey::new(&sku, &location), on_hand, expected }))
    }

    /// What stands in that column; nothing where it is not there, or the line ends before it.
    fn cell<'c>(&self, column: Column, cells: &'c [Cow<'_, str>]) -> &'c str {
        let at = self.columns.iter().position(|&named| named == Some(column));
        at.and_then(|at| cells.get(at)).map_or("", |cell| cell)
    }

    /// Cells of which nothing says what they are.
    fn nameless(&self, cells: &[Cow<'_, str>], faulty: &mut Faulty) {
        let named = |at: usize| self.columns.get(at).is_some_and(Option::is_some);
        for (at, cell) in cells.iter().enumerate().filter(|(at, cell)| !named(*at) && !cell.is_empty()) {
            let separator =
                if self.separator == '\t' { "tab".to_owned() } else { quoted(&self.separator.to_string()) };
            faulty.add("", &format!(
                "{} stands in column {}, which has no name; a value with a {separator} in it stands in quotes",
                quoted(cell),
                at + 1
            ));
        }
    }
}

fn on_hand(text: &str) -> Result<Quantity, String> {
    if text.is_empty() {
        return Err("is missing".to_owned());
    }
    digits(text).and_then(Quantity::new).ok_or_else(|| units(&quoted(text)))
}

/// A version as an export writes it: a number, with the lineage behind it after a restore.
fn expected(text: &str) -> Result<Numbered, String> {
    let number = text.split_once('-').map_or(text, |(number, _)| number);
    let known = digits(number).and_then(|_| text.parse::<Numbered>().ok());
    known.filter(|known| known.number <= VERSION_MAX).ok_or_else(|| version(&quoted(text)))
}

/// A number of digits and nothing else.
fn digits(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::chores::StockForm;
    use crate::store::import::line::Reader;
    use crate::store::import::lines::Lines;

    /// What every line of a file asks for: sku, location, units, version; and what is wrong with the others.
    fn read(file: &str) -> (Vec<String>, Vec<String>) {
        let (mut lines, mut reader) = (Lines::of(StockForm::Csv), Reader::new(StockForm::Csv));
        let (mut wanted, mut wrong) = (Vec::new(), Vec::new());
        let mut each = |number, line: Option<&[u8]>| {
            match reader.read(number, line.unwrap()) {
                Ok(None) => {}
                Ok(Some(Wanted { key, on_hand, expected })) => {
                    let expected = expected.map(|expected| format!(" at {expected}")).unwrap_or_default();
                    wanted.push(format!("{key}: {}{expected}", on_hand.units()));
                }
                Err(error) => wrong.push(error.to_string()),
            }
            Ok::<_, ()>(())
        };
        lines.push(file.as_bytes(), &mut each).unwrap();
        lines.finish(&mut each).unwrap();
        (wanted, wrong)
    }

    fn told(file: &str) -> String {
        let (wanted, wrong) = read(file);
        assert_eq!((wanted.len(), wrong.len()), (0, 1), "{wanted:?} {wrong:?}");
        wrong.concat()
    }

    /// Files as spreadsheets write them; in all of them stands the same.
    #[test]
    fn files_of_spreadsheets_are_read() {
        let excel = "\u{feff}sku;location;on_hand;version\r\n\"1/2\"\"\";main;5;3\r\nBANK CHARGES;b\u{e4}ck;0;\r\na,b;;7;\r\n";
        let excel_with_commas = "\u{feff}sku,location,on_hand,version\r\n\"1/2\"\"\",main,5,3\r\nBANK CHARGES,b\u{e4}ck,0,\r\n\"a,b\",,7,\r\n,,,\r\n";
        let libre_office = "\"sku\",\"location\",\"on_hand\",\"version\"\n\"1/2\"\"\",\"main\",5,3\n\"BANK CHARGES\",\"b\u{e4}ck\",0,\n\"a,b\",,7,\n";
        let numbers =
            "sku;location;on_hand;version;\r\n1/2\";main;5;3;\r\nBANK CHARGES;b\u{e4}ck;0;;\r\na,b;main;7;;";
        let tabs = "sku\tlocation\ton_hand\tversion\r\"1/2\"\"\"\tmain\t5\t3\rBANK CHARGES\tba\u{308}ck\t0\t\ra,b\t\t7\r";
        let by_hand =
            "\n on_hand ,version,sku,location\n\n5,3,1/2\",main\n0,,BANK CHARGES,b\u{e4}ck\n   \n7,,\"a,b\"";
        for file in [excel, excel_with_commas, libre_office, numbers, tabs, by_hand] {
            let (wanted, wrong) = read(file);
            assert_eq!(wrong, Vec::<String>::new(), "{file}");
            assert_eq!(wanted, ["1/2\"@main: 5 at 3", "BANK CHARGES@b\u{e4}ck: 0", "a,b@main: 7"], "{file}");
        }
        assert_eq!(read("sku,on_hand\n007,1\n").0, ["007@main: 1"], "a name is a text");
        assert_eq!(
            read("sku,on_hand,version\nA,1,7-00c0ffee00c0ffee\n").0,
            ["A@main: 1 at 7-00c0ffee00c0ffee"]
        );
        assert_eq!(read("sku,on_hand\n"), (vec![], vec![]));
    }

    #[test]
    fn every_wrong_line_is_told_in_words() {
        let file = "sku,location,on_hand,version\nA,,ten,\n,main,5,\nB,,,\nC,,1099511627776,x\n\"D,,5,\nE,,5,,6\n a,,-1,\nF,,5,1\n";
        let (_, wrong) = read(file);
        let units = "is not a whole number from 0 to 1 099 511 627 775";
        assert_eq!(
            wrong,
            [
                format!("line 2, on_hand: \"ten\" {units}"),
                "line 3, sku: is missing".to_owned(),
                "line 4, on_hand: is missing".to_owned(),
                format!("line 5, on_hand: \"1099511627776\" {units}; version: \"x\" is not a version, which is a whole number from 0 to 17 592 186 044 415"),
                "line 6: a quote (\") opens a cell and none closes it in this line".to_owned(),
                "line 7: \"6\" stands in column 5, which has no name; a value with a \",\" in it stands in quotes".to_owned(),
                format!("line 8, sku: \" a\" must not begin or end with white space, found U+0020; on_hand: \"-1\" {units}"),
            ]
        );
        for not_digits in ["+5", "5.0", "5,0", "1e3", "1 000", "0x5", "\u{0665}"] {
            assert!(read(&format!("sku;on_hand\nA;{not_digits}\n")).1[0].contains(units), "{not_digits}");
        }
        for not_a_version in ["+5", "-5", "5-", "5-xyz", "17592186044416"] {
            assert_eq!(
                read(&format!("sku;on_hand;version\nA;5;{not_a_version}\n")).1.len(),
                1,
                "{not_a_version}"
            );
        }
    }

    /// Of lines below a header that is none nothing is known, so nothing is said.
    #[test]
    fn a_header_that_is_none_is_told_once() {
        let known = "there is no such column; there are sku, location, on_hand and version";
        assert_eq!(told("sku,on_hand,colour\nA,5,red\nB,6,blue\n"), format!("line 1, colour: {known}"));
        assert_eq!(told("sku,on_hand,sku\nA,5,B\n"), "line 1, sku: the column is there twice");
        assert!(told("location,version\nA,5\n").starts_with("line 1, sku: the column is missing: "));
        assert!(told("A,5\nB,6\n").starts_with("line 1, A: there is no such column"));
        assert!(told("SKU,on_hand\nB,6\n").contains("SKU: there is no such column"));
        assert!(told("\"sku,on_hand\nB,6\n").starts_with("line 1: a quote"));
    }
}
