//! Files of stock levels: the first byte says whether it is CSV, and in pieces of which size it comes; the rest is the file.
//!
//! - However it is cut, its lines say the same.
//! - A line of CSV that has cells has those that the crate `csv` finds in it; cells that are written are read.
//! - A line of JSON that asks for something is an object to `serde_json`, and asks for what that says.
//! - A level that is asked for is one, with units that it may have; an error is of a bounded length.

use inventory::csv::{cells, put};
use inventory::stock::{QUANTITY_MAX, Sku, StockKey};
use inventory::store::chores::StockForm;
use inventory::store::import::fuzzing::{Asked, lines};
use serde_json::Value;

/// The longest error of one line, in bytes: ten faults, each with what it repeats.
const ERROR_BYTES_MAX: usize = 8 * 1024;

/// See the module.
pub fn hold(bytes: &[u8]) {
    let Some((first, file)) = bytes.split_first() else { return };
    let (form, cut) =
        (if first % 2 == 0 { StockForm::Csv } else { StockForm::Ndjson }, usize::from(first / 2) + 1);
    let read = lines(form, [file].into_iter());
    assert_eq!(read, lines(form, file.chunks(cut)), "however it is cut");
    assert!(read.len() <= file.len(), "no line is made of nothing");
    assert!((1..).zip(&read).all(|(number, (told, _))| number == *told), "each line has its number");
    for asked in read.iter().filter_map(|(_, asked)| asked.as_ref()) {
        match asked {
            Ok(asked) => asked.iter().for_each(level),
            Err(error) => {
                let told = error.to_string();
                assert!(told.len() <= ERROR_BYTES_MAX, "{told}");
            }
        }
    }
    match form {
        StockForm::Csv => file.split(|&byte| matches!(byte, b'\n' | b'\r')).for_each(row),
        StockForm::Ndjson => {
            for (line, (_, asked)) in file.split(|&byte| byte == b'\n').zip(&read) {
                if let Some(Ok(Some(asked))) = asked {
                    object(line, asked);
                }
            }
        }
    }
}

/// What may be asked for.
fn level(asked: &Asked) {
    assert!(StockKey::from_text(&asked.key).is_some() && asked.on_hand <= QUANTITY_MAX);
}

/// A line of JSON, and what was made of it.
fn object(line: &[u8], asked: &Asked) {
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    let value: Value = serde_json::from_slice(line).expect("it is JSON");
    let sku = value["sku"].as_str().and_then(|sku| Sku::parse(sku).ok()).expect("it names a sku");
    let key = StockKey::from_text(&asked.key).expect("it is a key");
    assert_eq!(key.sku(), sku.as_str());
    let on_hand = &value["on_hand"];
    // Zeros behind a point are read past; a number of that size is exact.
    let is_it = on_hand.as_u64() == Some(asked.on_hand) || on_hand.as_f64() == Some(asked.on_hand as f64);
    assert!(is_it, "{on_hand} is not {}", asked.on_hand);
    assert_eq!(asked.expected.is_some(), value["version"].is_number());
}

/// A line of cells, whatever stands between them.
fn row(line: &[u8]) {
    let Ok(text) = std::str::from_utf8(line) else { return };
    // The other reader passes over empty lines, and over a byte order mark.
    if text.is_empty() || text.starts_with('\u{feff}') {
        return;
    }
    for separator in [b',', b';', b'\t'] {
        let Ok(found) = cells(text, char::from(separator)) else { continue };
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(separator)
            .from_reader(text.as_bytes());
        let records: Vec<csv::StringRecord> =
            reader.records().collect::<Result<_, _>>().expect("another reads it as well");
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].iter().collect::<Vec<_>>(), found, "another finds the same cells");
        let mut written = Vec::new();
        for (index, cell) in found.iter().enumerate() {
            if index > 0 {
                written.push(b',');
            }
            put(&mut written, cell);
        }
        let written = String::from_utf8(written).expect("it was text");
        assert_eq!(cells(&written, ',').as_ref(), Ok(&found), "what is written is read");
    }
}
