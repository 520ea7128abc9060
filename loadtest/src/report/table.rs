//! Tables: the same rows drawn with lines for a terminal, or as Markdown.

use comfy_table::{CellAlignment, presets};
use console::measure_text_width;

use super::document::Table;

use crate::measure::{Quantiles, Row};

/// How a table is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For a terminal.
    Text,
    /// For a page.
    Markdown,
}

/// Draws a table; every column but the first is aligned to the right.
pub fn draw(style: Style, header: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = comfy_table::Table::new();
    table.load_style(match style {
        Style::Text => presets::UTF8_FULL_CONDENSED,
        Style::Markdown => presets::ASCII_MARKDOWN,
    });
    match style {
        Style::Text => {
            table.set_header(header);
            table.add_rows(rows);
        }
        // A bar in a cell would end it.
        Style::Markdown => {
            let escaped = |cell: &str| cell.replace('|', "\\|");
            table.set_header(header.iter().map(|cell| escaped(cell)));
            table.add_rows(rows.iter().map(|row| row.iter().map(|cell| escaped(cell)).collect::<Vec<_>>()));
        }
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// Draws a table for a terminal of that many columns: one that is wider becomes several, one below the other, each with the first
/// column, which names the rows. No line is broken, and nothing is left out.
pub fn fit(table: &Table, columns: Option<usize>) -> String {
    let widths: Vec<usize> = (0..table.header.len()).map(|column| width(table, column)).collect();
    let mut parts: Vec<Vec<usize>> = Vec::new();
    let first = widths.first().copied().unwrap_or(0);
    let mut taken = usize::MAX;
    for (column, width) in widths.iter().enumerate().skip(1) {
        if parts.is_empty() || columns.is_some_and(|columns| taken.saturating_add(*width) > columns) {
            parts.push(vec![0]);
            // The border on the left comes once.
            taken = 1 + first;
        }
        taken += width;
        if let Some(part) = parts.last_mut() {
            part.push(column);
        }
    }
    if parts.is_empty() {
        parts.push(vec![0]);
    }
    let drawn: Vec<String> = parts.iter().map(|part| part_of(table, part)).collect();
    drawn.join("\n")
}

/// The width of a column, with a space on either side and one border.
fn width(table: &Table, column: usize) -> usize {
    let cells = table.rows.iter().filter_map(|row| row.get(column)).chain(table.header.get(column));
    cells.map(|cell| measure_text_width(cell)).max().unwrap_or(0) + 3
}

fn part_of(table: &Table, columns: &[usize]) -> String {
    let pick = |row: &Vec<String>| {
        columns.iter().map(|&column| row.get(column).cloned().unwrap_or_default()).collect::<Vec<_>>()
    };
    let header = pick(&table.header);
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    draw(Style::Text, &header, table.rows.iter().map(pick).collect())
}

/// The table of operations and their latencies.
pub fn operations(rows: &[Row], all: &Row) -> Table {
    let header = [
        "operation",
        "requests",
        "done",
        "refused",
        "failed",
        "p50 ms",
        "p90 ms",
        "p99 ms",
        "p99.9 ms",
        "max ms",
    ];
    let row = |row: &Row| {
        let Quantiles { p50_us, p90_us, p99_us, p99_9_us, max_us } = row.latency;
        let counts = [row.requests, row.done, row.refused, row.failed].map(|count| count.to_string());
        let latencies = [p50_us, p90_us, p99_us, p99_9_us, max_us].map(millis);
        [row.operation.clone()].into_iter().chain(counts).chain(latencies).collect()
    };
    Table::new("operations", &header, rows.iter().chain([all]).map(row).collect())
}

/// Microseconds as milliseconds, to three places.
pub fn millis(micros: f64) -> String {
    format!("{:.3}", micros / 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_is_a_markdown_table() {
        let table = draw(Style::Markdown, &["a", "b"], vec![vec!["x".into(), "1".into()]]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3, "{table}");
        assert!(lines.iter().all(|line| line.starts_with('|') && line.ends_with('|')), "{table}");
    }

    #[test]
    fn a_table_fits_the_terminal_and_loses_nothing() {
        let header: Vec<String> = (0..12).map(|column| format!("column {column}")).collect();
        let rows: Vec<Vec<String>> =
            (0..3).map(|row| (0..12).map(|column| format!("cell {row}/{column} ä")).collect()).collect();
        let table = Table { name: "t".into(), header: header.clone(), rows: rows.clone() };
        for columns in [40, 80, 81, 120] {
            let text = fit(&table, Some(columns));
            for line in text.lines() {
                assert!(measure_text_width(line) <= columns, "{columns}:\n{text}");
            }
            for cell in header.iter().chain(rows.iter().flatten()) {
                assert!(text.contains(&format!(" {cell} ")), "{cell} is missing at {columns}:\n{text}");
            }
        }
        assert_eq!(fit(&table, None).lines().count(), 3 + 3 + 1);
        // Where not even two columns fit, there are two, and the terminal breaks the line.
        assert_eq!(fit(&table, Some(1)).matches("cell 0/0").count(), 11);
    }
}
