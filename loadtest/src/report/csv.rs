//! A document as CSV: one line for each cell of its tables and each of its figures, so that one file holds tables of any shape.
//!
//! Columns: `table,row,column,value`. A row is named by its first cell; figures are the table `figures`, their column is their unit.

use super::document::{Block, Document};

/// The file.
pub fn csv(document: &Document) -> String {
    let mut out = ::csv::Writer::from_writer(Vec::new());
    // Into memory, nothing can fail.
    let _ = out.write_record(["table", "row", "column", "value"]);
    for block in &document.blocks {
        let Block::Table(table) = block else { continue };
        for row in &table.rows {
            let Some(name) = row.first() else { continue };
            for (column, value) in table.header.iter().zip(row).skip(1) {
                let _ = out.write_record([&table.name, name, column, value]);
            }
        }
    }
    for figure in &document.figures {
        let _ = out.write_record(["figures", &figure.name, &figure.unit, &figure.value.to_string()]);
    }
    let bytes = out.into_inner().unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::document::Better;
    use super::*;

    #[test]
    fn every_cell_and_figure_is_a_line() {
        let mut document = Document::new("t");
        document.table(
            "ops",
            &["operation", "p50 ms", "n"],
            vec![vec!["a,\"b\"".into(), "1".into(), "2".into()]],
        );
        document.figure("p99", "us", 1.5, Better::Lower);
        let text = csv(&document);
        let mut reader = ::csv::Reader::from_reader(text.as_bytes());
        let lines: Vec<Vec<String>> =
            reader.records().map(|line| line.unwrap().iter().map(str::to_owned).collect()).collect();
        assert_eq!(
            lines,
            [
                ["ops", "a,\"b\"", "p50 ms", "1"],
                ["ops", "a,\"b\"", "n", "2"],
                ["figures", "p99", "us", "1.5"]
            ]
        );
    }
}
