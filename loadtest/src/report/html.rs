//! A document as one HTML file that needs nothing else: no script, no font, no picture from anywhere.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::charts;
use super::document::{Block, Case, CaseOutcome, Document, Table};

const STYLE: &str = include_str!("report.css");

/// The file.
pub fn html(document: &Document) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                // Nothing in the file may fetch anything, whatever a server wrote into what is shown.
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (document.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (document.title) }
                    (cases(&document.cases))
                    @for block in &document.blocks { (self::block(document, block)) }
                }
            }
        }
    };
    page.into_string()
}

fn block(document: &Document, block: &Block) -> Markup {
    let drawn = |svg: Option<String>| html! { @if let Some(svg) = svg { figure { (PreEscaped(svg)) } } };
    match block {
        Block::Heading { text } => html! { h2 { (text) } },
        Block::Lines { lines } => html! { p { @for line in lines { (line) br; } } },
        Block::Verbatim { text } => html! { pre { (text) } },
        Block::Table(table) => self::table(table),
        // What plotters writes is escaped by it.
        Block::Spectra { title, names } => drawn(charts::spectra(document, title, names)),
        Block::Chart(chart) => drawn(charts::svg(chart)),
    }
}

fn table(table: &Table) -> Markup {
    html! {
        div.wide {
            table {
                thead { tr { @for column in &table.header { th scope="col" { (column) } } } }
                tbody {
                    @for row in &table.rows {
                        tr {
                            @for (at, cell) in row.iter().enumerate() {
                                @if at == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn cases(cases: &[Case]) -> Markup {
    html! {
        @if !cases.is_empty() {
            ul.cases {
                @for case in cases {
                    @match &case.outcome {
                        CaseOutcome::Passed => li.passed { b { "passed" } " " (case.class) ": " (case.name) },
                        CaseOutcome::Failed { message, .. } => {
                            li.failed { b { "FAILED" } " " (case.class) ": " (case.name) " — " (message) }
                        },
                        CaseOutcome::Undecided { message } => {
                            li.undecided { b { "undecided" } " " (case.class) ": " (case.name) " — " (message) }
                        },
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::{Interval, Spectrum};
    use super::*;
    use crate::report::document::Chart;

    #[test]
    fn nothing_that_is_told_is_taken_for_markup() {
        let evil = "</pre><script>alert(1)</script>&";
        let mut document = Document::new(evil);
        document.heading(evil);
        document.line(evil);
        document.verbatim(evil);
        document.table(evil, &[evil, evil], vec![vec![evil.into(), evil.into()]]);
        let failed = CaseOutcome::Failed { message: evil.into(), detail: evil.into() };
        document.case(evil, evil, failed);
        document.case(evil, evil, CaseOutcome::Undecided { message: evil.into() });
        document.spectra.push(Spectrum { name: evil.into(), counts: vec![(1, 1), (5, 5)] });
        document.blocks.push(Block::Spectra { title: evil.into(), names: vec![evil.into()] });
        let rows = vec![Interval { name: evil.into(), low: 0.5, middle: 1.0, high: 2.0 }];
        let chart = Chart::Intervals { title: evil.into(), x: evil.into(), reference: 1.0, rows };
        document.blocks.push(Block::Chart(chart));
        let page = html(&document);
        assert!(!page.contains("<script") && page.contains("&lt;script&gt;"), "{page}");
        assert_eq!(page.matches("<svg").count(), 2, "{page}");
        assert!(
            !page.contains("http://")
                || page.matches("http://").count() == page.matches("http://www.w3.org").count()
        );
    }
}
