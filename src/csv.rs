//! Comma-separated values (RFC 4180), a line at a time: its cells, and a cell as it is written. No header, no meaning.
//!
//! Nothing is guessed within a line: a quote that is opened must be closed, and behind it the cell ends. One that stands inside a cell
//! that was not opened by one is a quote, as in `1/2"`.

use std::borrow::Cow;

use thiserror::Error;

/// The end of a line, as RFC 4180 has it.
pub const LINE_END: &str = "\r\n";

/// Why a line has no cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CellError {
    /// A quote opens a cell, and none closes it.
    #[error("a quote (\") opens a cell and none closes it in this line")]
    Open,
    /// A cell in quotes goes on behind them.
    #[error(
        "something stands behind the quote (\") that closes a cell; a quote inside a cell is written twice"
    )]
    Behind,
}

/// The cells of a line, which comes without its end; an empty one has one empty cell.
pub fn cells(line: &str, separator: char) -> Result<Vec<Cow<'_, str>>, CellError> {
    let mut cells = Vec::with_capacity(4);
    let mut rest = Some(line);
    while let Some(text) = rest {
        let cell;
        (cell, rest) = first(text, separator)?;
        cells.push(cell);
    }
    Ok(cells)
}

/// Appends a cell as it is written among others with commas between them: in quotes only where it needs them.
pub fn put(out: &mut Vec<u8>, cell: &str) {
    if !cell.contains([',', '"', '\r', '\n']) {
        out.extend_from_slice(cell.as_bytes());
        return;
    }
    out.push(b'"');
    out.extend_from_slice(cell.replace('"', "\"\"").as_bytes());
    out.push(b'"');
}

/// The first cell, and what is behind the separator after it, if there is one.
fn first(text: &str, separator: char) -> Result<(Cow<'_, str>, Option<&str>), CellError> {
    let Some(quoted) = text.strip_prefix('"') else {
        return Ok(match text.split_once(separator) {
            Some((cell, rest)) => (cell.into(), Some(rest)),
            None => (text.into(), None),
        });
    };
    let mut from = 0;
    let end = loop {
        let at = from + quoted[from..].find('"').ok_or(CellError::Open)?;
        if !quoted[at + 1..].starts_with('"') {
            break at;
        }
        from = at + 2;
    };
    let (cell, behind) = (&quoted[..end], &quoted[end + 1..]);
    // Nothing was written twice if nothing was passed over.
    let cell = if from == 0 { Cow::Borrowed(cell) } else { Cow::Owned(cell.replace("\"\"", "\"")) };
    match behind.strip_prefix(separator) {
        Some(rest) => Ok((cell, Some(rest))),
        None if behind.is_empty() => Ok((cell, None)),
        None => Err(CellError::Behind),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cell() -> impl Strategy<Value = String> {
        prop_oneof!["[a,;\"\t ]{0,6}", "\\PC{0,9}"]
    }

    proptest! {
        /// What another program writes, whatever it puts into quotes and between cells, is read as what it meant.
        #[test]
        fn what_another_writes_is_read(
            row in prop::collection::vec(cell(), 1..6),
            separator in prop::sample::select(vec![b',', b';', b'\t']),
            style in prop::sample::select(vec![
                csv::QuoteStyle::Always, csv::QuoteStyle::Necessary, csv::QuoteStyle::NonNumeric,
            ]),
        ) {
            let mut writer = csv::WriterBuilder::new().delimiter(separator).quote_style(style).from_writer(Vec::new());
            writer.write_record(&row).unwrap();
            let line = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let line = line.strip_suffix('\n').unwrap();
            prop_assert_eq!(cells(line, char::from(separator)).unwrap(), row);
        }

        /// What is written here, another program reads, and so is it here.
        #[test]
        fn what_is_written_another_reads(row in prop::collection::vec(cell(), 2..6)) {
            let mut line = Vec::new();
            for (index, cell) in row.iter().enumerate() {
                if index > 0 {
                    line.push(b',');
                }
                put(&mut line, cell);
            }
            let text = String::from_utf8(line.clone()).unwrap();
            prop_assert_eq!(cells(&text, ',').unwrap(), row.clone());
            line.extend_from_slice(LINE_END.as_bytes());
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_slice());
            let read: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(read[0].iter().collect::<Vec<_>>(), row);
        }

        /// Nothing that a client sends panics.
        #[test]
        fn any_line_has_cells_or_has_none(line in "[a,\"\u{e4}]{0,12}") {
            let _ = cells(&line, ',');
        }
    }

    #[test]
    fn quotes_close_what_they_open() {
        assert_eq!(cells("1/2\",5", ',').unwrap(), ["1/2\"", "5"]);
        assert_eq!(cells("\"1/2\"\"\",5", ',').unwrap(), ["1/2\"", "5"]);
        assert_eq!(cells("\"\",", ',').unwrap(), ["", ""]);
        assert_eq!(cells("", ',').unwrap(), [""]);
        for open in ["\"a", "a,\"", "\"a\"\"", "\"\"\""] {
            assert_eq!(cells(open, ','), Err(CellError::Open), "{open}");
        }
        for behind in ["\"a\"b", "\"a\" ,b", "\"a\";b"] {
            assert_eq!(cells(behind, ','), Err(CellError::Behind), "{behind}");
        }
    }
}
