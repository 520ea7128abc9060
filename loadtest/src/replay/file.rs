//! Reading order lines: `invoice,sku,quantity,at`, gzipped or not.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use csv::ByteRecord;
use flate2::read::MultiGzDecoder;

use crate::catalogue::{is_sku, normal};

/// The columns, in this order.
const COLUMNS: [&str; 4] = ["invoice", "sku", "quantity", "at"];

/// The largest quantity of a line: more than a level can hold makes no sense.
const QUANTITY_MAX: i64 = (1 << 40) - 1;

/// Why orders could not be read.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The file cannot be opened.
    #[error("{path}: {source}; give a file of order lines, as CSV or gzipped CSV")]
    Open {
        /// The file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A line is not what it should be.
    #[error("{path}, line {line}: {problem}; the columns are invoice,sku,quantity,at (2010-12-01T08:26Z)")]
    Line {
        /// The file.
        path: String,
        /// Its number, from 1.
        line: u64,
        /// What is wrong.
        problem: String,
    },
    /// Not one order line.
    #[error("{path} holds no order")]
    Empty {
        /// The file.
        path: String,
    },
}

/// All orders of a file.
#[derive(Debug, Default)]
pub struct Orders {
    /// In time order of their first lines.
    pub invoices: Vec<Invoice>,
    /// The names of the skus, sorted by bytes.
    pub skus: Vec<String>,
    /// Order lines read, those left out included.
    pub lines: u64,
    /// Invoices of which every line was left out.
    pub emptied: u64,
    /// Lines that no server would take, by the name of their sku.
    pub left_out: BTreeMap<String, LeftOut>,
    /// Lines that change nothing (quantity 0), which the service refuses by rule.
    pub zero_lines: u64,
}

/// One invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invoice {
    /// Its number.
    pub id: String,
    /// When its first line was written, in minutes since 1970.
    pub minute: i64,
    /// Its lines, in the order of the file.
    pub lines: Vec<OrderLine>,
}

/// One line of an invoice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderLine {
    /// Index into [`Orders::skus`].
    pub sku: u32,
    /// Units added to the stock; negative where they leave. Never 0.
    pub delta: i64,
}

/// Lines that were left out because of their sku's name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// How many.
    pub lines: u64,
    /// The change of the first one, to try it on its own.
    pub first_delta: i64,
}

/// Reads the orders of a file.
pub fn load(path: &Path) -> Result<Orders, FileError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|source| FileError::Open { path: name.clone(), source })?;
    let zipped = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    if zipped {
        read(&name, MultiGzDecoder::new(BufReader::new(file)))
    } else {
        read(&name, BufReader::new(file))
    }
}

/// Reads orders; `name` is for messages.
pub fn read(name: &str, source: impl Read) -> Result<Orders, FileError> {
    let mut reader = csv::ReaderBuilder::new().from_reader(source);
    let wrong = |line: u64, problem: String| FileError::Line { path: name.to_owned(), line, problem };
    let header = reader.byte_headers().map_err(|error| wrong(1, error.to_string()))?;
    if header != &ByteRecord::from(COLUMNS.as_slice()) {
        return Err(wrong(1, "not the expected header".to_owned()));
    }
    let mut building = Building::default();
    let mut record = ByteRecord::new();
    loop {
        let line = reader.position().line();
        match reader.read_byte_record(&mut record) {
            Ok(true) => building.add(&record).map_err(|problem| wrong(line, problem))?,
            Ok(false) => break,
            Err(error) => return Err(wrong(line, error.to_string())),
        }
    }
    let orders = building.finish();
    if orders.invoices.is_empty() { Err(FileError::Empty { path: name.to_owned() }) } else { Ok(orders) }
}

/// Orders while the file is read: skus are numbered as they come, and sorted in the end.
#[derive(Default)]
struct Building {
    orders: Orders,
    invoices: HashMap<String, usize>,
    skus: HashMap<String, u32>,
}

impl Building {
    fn add(&mut self, record: &ByteRecord) -> Result<(), String> {
        let field = |index: usize| {
            std::str::from_utf8(&record[index]).map_err(|_| format!("{} is no UTF-8", COLUMNS[index]))
        };
        let (id, sku, quantity, at) = (field(0)?, &*normal(field(1)?), field(2)?, field(3)?);
        let quantity: i64 = quantity.parse().map_err(|_| format!("`{quantity}` is no quantity"))?;
        if quantity.abs() > QUANTITY_MAX {
            return Err(format!("{quantity} is out of range"));
        }
        let minute = minute(at).ok_or_else(|| format!("`{at}` is no time"))?;
        let delta = delta(id, quantity);
        self.orders.lines += 1;
        let invoice = self.invoice(id, minute);
        if !is_sku(sku) {
            let left_out = self.orders.left_out.entry(sku.to_owned()).or_default();
            left_out.lines += 1;
            if left_out.first_delta == 0 {
                left_out.first_delta = delta;
            }
        } else if delta == 0 {
            self.orders.zero_lines += 1;
        } else {
            let sku = self.sku(sku)?;
            self.orders.invoices[invoice].lines.push(OrderLine { sku, delta });
        }
        Ok(())
    }

    fn invoice(&mut self, id: &str, minute: i64) -> usize {
        if let Some(&index) = self.invoices.get(id) {
            return index;
        }
        let index = self.orders.invoices.len();
        self.orders.invoices.push(Invoice { id: id.to_owned(), minute, lines: Vec::new() });
        self.invoices.insert(id.to_owned(), index);
        index
    }

    fn sku(&mut self, name: &str) -> Result<u32, String> {
        if let Some(&number) = self.skus.get(name) {
            return Ok(number);
        }
        let number = u32::try_from(self.skus.len()).map_err(|_| "too many skus".to_owned())?;
        self.orders.skus.push(name.to_owned());
        self.skus.insert(name.to_owned(), number);
        Ok(number)
    }

    fn finish(self) -> Orders {
        let mut orders = self.orders;
        let mut sorted: Vec<u32> = (0..).take(orders.skus.len()).collect();
        sorted.sort_unstable_by(|a, b| orders.skus[*a as usize].cmp(&orders.skus[*b as usize]));
        let mut rank = vec![0; sorted.len()];
        for (place, old) in (0..).zip(&sorted) {
            rank[*old as usize] = place;
        }
        for line in orders.invoices.iter_mut().flat_map(|invoice| &mut invoice.lines) {
            line.sku = rank[line.sku as usize];
        }
        orders.skus.sort_unstable();
        let all = orders.invoices.len();
        orders.invoices.retain(|invoice| !invoice.lines.is_empty());
        orders.emptied = (all - orders.invoices.len()) as u64;
        // Stable: invoices of one minute stay in the order of the file.
        orders.invoices.sort_by_key(|invoice| invoice.minute);
        orders
    }
}

/// What a line does to the stock: everything of a cancellation is turned round, write-offs and sales both leave.
fn delta(invoice: &str, quantity: i64) -> i64 {
    if invoice.starts_with('C') { -quantity } else { -quantity.abs() }
}

/// `2010-12-01T08:26Z` in minutes since 1970.
fn minute(at: &str) -> Option<i64> {
    let bytes = at.as_bytes();
    let punctuation = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b'Z')];
    if bytes.len() != 17 || punctuation.iter().any(|&(index, mark)| bytes[index] != mark) {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = &bytes[from..to];
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    };
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute) = (number(11, 13)?, number(14, 16)?);
    let valid = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
    valid.then(|| days_from_civil(year, month, day) * 1_440 + hour * 60 + minute)
}

/// Days since 1970-01-01 in the Gregorian calendar (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders(lines: &str) -> Orders {
        read("test", format!("invoice,sku,quantity,at\n{lines}").as_bytes()).unwrap()
    }

    fn sku(orders: &Orders, name: &str) -> u32 {
        u32::try_from(orders.skus.iter().position(|sku| sku == name).unwrap()).unwrap()
    }

    #[test]
    fn sales_and_write_offs_leave_and_cancellations_come_back() {
        let orders = orders(
            "1,b,6,2010-12-01T08:26Z\n1,a,2,2010-12-01T08:26Z\nC2,b,-4,2010-12-01T08:27Z\n3,a,-5,2010-12-01T08:28Z\n",
        );
        let (a, b) = (sku(&orders, "a"), sku(&orders, "b"));
        assert_eq!((a, b), (0, 1), "skus are numbered in wire order");
        let lines: Vec<_> = orders.invoices.iter().map(|invoice| invoice.lines.clone()).collect();
        assert_eq!(lines[0], [OrderLine { sku: b, delta: -6 }, OrderLine { sku: a, delta: -2 }]);
        assert_eq!(lines[1], [OrderLine { sku: b, delta: 4 }]);
        assert_eq!(lines[2], [OrderLine { sku: a, delta: -5 }]);
    }

    #[test]
    fn two_spellings_of_one_sku_are_one() {
        let orders = orders("1,a\u{308} b,6,2010-12-01T08:26Z\n1,\u{e4} b,2,2010-12-01T08:26Z\n");
        assert_eq!(orders.skus, ["\u{e4} b"]);
    }

    #[test]
    fn a_sku_may_come_twice_in_one_invoice() {
        let orders = orders("1,a,6,2010-12-01T08:26Z\n1,a,2,2010-12-01T08:26Z\n");
        assert_eq!(orders.invoices[0].lines.len(), 2);
    }

    #[test]
    fn what_is_no_sku_is_left_out_and_counted() {
        let orders = orders(
            "1,a,6,2010-12-01T08:26Z\n1,BANK\tCHARGES,1,2010-12-01T08:26Z\n2,BANK\tCHARGES,1,2010-12-01T08:27Z\n\
             3,a,0,2010-12-01T08:28Z\n",
        );
        assert_eq!(orders.left_out["BANK\tCHARGES"], LeftOut { lines: 2, first_delta: -1 });
        assert_eq!((orders.invoices.len(), orders.emptied, orders.zero_lines, orders.lines), (1, 2, 1, 4));
    }

    #[test]
    fn invoices_are_in_time_order_of_their_first_lines() {
        let orders = orders(
            "2,a,1,2010-12-01T09:00Z\n1,a,1,2010-12-01T08:26Z\n2,b,1,2010-12-01T08:00Z\n3,a,1,2010-12-01T08:26Z\n",
        );
        let ids: Vec<_> = orders.invoices.iter().map(|invoice| invoice.id.as_str()).collect();
        assert_eq!(ids, ["1", "3", "2"]);
    }

    #[test]
    fn times_are_minutes_since_1970() {
        assert_eq!(minute("1970-01-01T00:00Z"), Some(0));
        assert_eq!(minute("2010-12-01T08:26Z"), Some(1_291_191_960 / 60));
        for wrong in ["2010-12-01 08:26", "2010-13-01T08:26Z", "2010-12-01T24:00Z", "2010-12-01T08:2xZ", ""] {
            assert_eq!(minute(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn errors_name_the_line() {
        let error = read(
            "f.csv",
            &b"invoice,sku,quantity,at\n1,a,1,2010-12-01T08:26Z\n1,a,x,2010-12-01T08:26Z\n"[..],
        );
        assert!(error.unwrap_err().to_string().starts_with("f.csv, line 3: `x` is no quantity"));
        assert!(read("f.csv", &b"a,b\n"[..]).is_err());
        assert!(matches!(read("f.csv", &b"invoice,sku,quantity,at\n"[..]), Err(FileError::Empty { .. })));
    }
}
