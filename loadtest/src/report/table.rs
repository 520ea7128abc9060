//! Tables: the same rows drawn with lines for a terminal, or as Markdown.

use comfy_table::{CellAlignment, Table, presets};

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
    let mut table = Table::new();
    table.load_style(match style {
        Style::Text => presets::UTF8_FULL_CONDENSED,
        Style::Markdown => presets::ASCII_MARKDOWN,
    });
    table.set_header(header);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// The table of operations and their latencies.
pub fn operations(style: Style, rows: &[Row], all: &Row) -> String {
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
    draw(style, &header, rows.iter().chain([all]).map(row).collect())
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
}
