//! A document as text for a terminal, and as Markdown for a page (a GitHub job summary takes it as it is).

use std::fmt::Write;

use console::{Style as Paint, Term};

use super::document::{Block, Case, CaseOutcome, Document, Spectrum, Table};
use super::table::{self, Style};

/// How text is to look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// The columns of the terminal; `None` is as wide as need be.
    pub columns: Option<usize>,
    /// Whether there may be colours.
    pub colours: bool,
}

impl Look {
    /// On that terminal, if it is one.
    pub fn of(terminal: &Term, colours: bool) -> Self {
        let columns = terminal.size_checked().map(|(_, columns)| usize::from(columns));
        Self { columns: columns.filter(|columns| *columns > 0), colours }
    }
}

/// Lines of a histogram in text.
const BARS: usize = 12;
/// The longest bar, in characters.
const BAR_WIDTH: usize = 40;

/// What became of a demand takes this much in text, so that the demands begin below one another.
const WORD_WIDTH: usize = 9;

/// For a terminal.
pub fn text(document: &Document, look: Look) -> String {
    let bold = Paint::new().bold().force_styling(look.colours);
    let mut out = String::new();
    for block in &document.blocks {
        // Writing to a String cannot fail.
        let _ = match block {
            Block::Heading { text } => writeln!(out, "{}\n", bold.apply_to(text)),
            Block::Lines { lines } => writeln!(out, "{}\n", wrapped(&lines.join("\n"), look.columns)),
            Block::Verbatim { text } => writeln!(out, "{}\n", wrapped(text.trim_end(), look.columns)),
            Block::Table(table) => writeln!(out, "{}\n", table::fit(table, look.columns)),
            Block::Spectra { title, names } => match first(document, names) {
                Some(spectrum) => writeln!(out, "{title} ({})\n{}", spectrum.name, histogram(spectrum)),
                None => Ok(()),
            },
            Block::Chart(_) => Ok(()),
        };
    }
    for case in &document.cases {
        out.push_str(&wrapped(&told(case, WORD_WIDTH, look.colours), look.columns));
        out.push('\n');
    }
    out.trim_end().to_owned() + "\n"
}

/// The lines of a text, those that are too long broken between words, and what is broken off two columns further in.
fn wrapped(text: &str, columns: Option<usize>) -> String {
    let Some(columns) = columns else { return text.trim_end().to_owned() };
    let line = |line: &str| {
        let indent = " ".repeat(line.len() - line.trim_start().len() + 2);
        // A name that is longer than a line is left whole, to be copied; the terminal breaks it.
        let options = textwrap::Options::new(columns.max(20)).subsequent_indent(&indent).break_words(false);
        textwrap::fill(line, options)
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n").trim_end().to_owned()
}

/// A demand as a line: what became of it first, so that the eye finds it.
fn told(case: &Case, width: usize, colours: bool) -> String {
    let (word, paint, more) = match &case.outcome {
        CaseOutcome::Passed => ("passed", Paint::new().green(), ""),
        CaseOutcome::Failed { message, .. } => ("FAILED", Paint::new().red().bold(), message.as_str()),
        CaseOutcome::Undecided { message } => ("undecided", Paint::new().yellow(), message.as_str()),
    };
    let word = paint.force_styling(colours).apply_to(format!("{word:<width$}"));
    let more = if more.is_empty() { String::new() } else { format!(": {more}") };
    format!("{word} {}: {}{more}\n", case.class, case.name)
}

/// For a page.
pub fn markdown(document: &Document) -> String {
    let mut out = format!("# {}\n\n", document.title);
    for block in &document.blocks {
        let _ = match block {
            Block::Heading { text } => writeln!(out, "## {text}\n"),
            Block::Lines { lines } => writeln!(out, "{}\n", lines.join("  \n")),
            Block::Verbatim { text } => writeln!(out, "{}\n", fenced(text)),
            Block::Table(Table { header, rows, .. }) => {
                let header: Vec<&str> = header.iter().map(String::as_str).collect();
                writeln!(out, "{}\n", table::draw(Style::Markdown, &header, rows.clone()))
            }
            Block::Spectra { title, names } => match first(document, names) {
                Some(spectrum) => {
                    writeln!(out, "{title} ({}):\n\n{}\n", spectrum.name, fenced(&histogram(spectrum)))
                }
                None => Ok(()),
            },
            Block::Chart(_) => Ok(()),
        };
    }
    for case in &document.cases {
        let line = told(case, 0, false).trim_end().replace('|', "\\|");
        let _ = writeln!(out, "- {line}");
    }
    out.trim_end().to_owned() + "\n"
}

fn first<'d>(document: &'d Document, names: &[String]) -> Option<&'d Spectrum> {
    names.iter().find_map(|name| document.spectrum(name)).filter(|spectrum| !spectrum.counts.is_empty())
}

/// A block of code that what is in it cannot end.
fn fenced(text: &str) -> String {
    let mut fence = "```".to_owned();
    while text.contains(&fence) {
        fence.push('`');
    }
    format!("{fence}text\n{}\n{fence}", text.trim_end())
}

/// A distribution as bars of text, over equal factors of the value, from the least to the most.
pub fn histogram(spectrum: &Spectrum) -> String {
    let (Some(&(least, _)), Some(&(most, _))) = (spectrum.counts.first(), spectrum.counts.last()) else {
        return String::new();
    };
    let (least, most) = (least.max(1) as f64, most.max(1) as f64);
    let factor = (most / least).powf(1.0 / BARS as f64);
    let mut bars = [0_u64; BARS];
    for &(value, count) in &spectrum.counts {
        bars[bar(value as f64, least, factor)] += count;
    }
    let longest = bars.iter().copied().max().unwrap_or(1).max(1);
    let total = spectrum.total() as f64;
    let mut out = String::new();
    let mut edge = least;
    for count in bars {
        edge *= factor;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a part of the longest bar is no longer than that"
        )]
        let width = (count as f64 / longest as f64 * BAR_WIDTH as f64).ceil() as usize;
        let share = count as f64 * 100.0 / total;
        let _ = writeln!(out, "  <= {:>9.3} ms {:<BAR_WIDTH$} {share:>5.1}%", edge / 1e6, "#".repeat(width));
    }
    out
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "values are not below the least, and the result is bounded"
)]
fn bar(value: f64, least: f64, factor: f64) -> usize {
    if factor <= 1.0 || value <= least {
        return 0;
    }
    // A value on an edge belongs below it; the logarithm alone would put some of them above.
    let at = ((value / least).ln() / factor.ln() - 1e-9).floor() as usize;
    at.min(BARS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> Document {
        let mut document = Document::new("Title");
        document.heading("Part");
        document.line("one");
        document.line("two");
        document.verbatim("a\n```\nb");
        document.table("t", &["name", "n"], vec![vec!["x|y".into(), "1".into()]]);
        document.blocks.push(Block::Spectra { title: "Latency".into(), names: vec!["all".into()] });
        document.spectra.push(Spectrum { name: "all".into(), counts: vec![(1_000_000, 3), (64_000_000, 1)] });
        document
    }

    #[test]
    fn text_has_everything_in_its_order() {
        let text = text(&document(), Look::default());
        let places: Vec<usize> = ["Part", "one\ntwo", "a\n```\nb", "x|y", "Latency (all)", "75.0%", "25.0%"]
            .iter()
            .map(|part| text.find(part).unwrap_or_else(|| panic!("{part} is missing: {text}")))
            .collect();
        assert!(places.is_sorted(), "{text}");
    }

    #[test]
    fn long_lines_are_broken_between_words() {
        let mut document = Document::new("t");
        let long = ["word"; 40].join(" ");
        document.line(long.clone());
        document.verbatim(format!("  {long}"));
        document.case("invariant", long.clone(), CaseOutcome::Passed);
        let text = text(&document, Look { columns: Some(60), colours: true });
        assert!(text.lines().all(|line| console::measure_text_width(line) <= 60), "{text}");
        assert!(text.contains("\n  word") && text.contains("\n    word"), "{text}");
        assert_eq!(text.matches("word").count(), 120);
    }

    #[test]
    fn demands_come_last_and_colours_only_where_they_may() {
        let mut document = document();
        document.case(
            "threshold",
            "p99<1ms",
            CaseOutcome::Failed { message: "2 ms".into(), detail: String::new() },
        );
        document.case("invariant", "no update was lost", CaseOutcome::Passed);
        let plain = text(&document, Look::default());
        let end = "FAILED    threshold: p99<1ms: 2 ms\npassed    invariant: no update was lost\n";
        assert!(plain.ends_with(end) && !plain.contains('\u{1b}'), "{plain}");
        let coloured = text(&document, Look { colours: true, columns: None });
        assert!(coloured.contains('\u{1b}'), "{coloured}");
        assert_eq!(console::strip_ansi_codes(&coloured), plain);
        assert!(markdown(&document).ends_with("- passed invariant: no update was lost\n"));
    }

    #[test]
    fn markdown_cannot_be_broken_out_of() {
        let markdown = markdown(&document());
        assert!(markdown.starts_with("# Title\n\n## Part\n\none  \ntwo\n"), "{markdown}");
        assert!(markdown.contains("````text\na\n```\nb\n````"), "{markdown}");
        assert!(markdown.contains("x\\|y"), "{markdown}");
    }

    #[test]
    fn every_value_is_in_one_bar() {
        for counts in [vec![(5, 7)], vec![(1, 1), (2, 1), (4, 1)], vec![(1, 9), (u64::MAX, 1)], vec![(0, 2)]]
        {
            let spectrum = Spectrum { name: String::new(), counts };
            let text = histogram(&spectrum);
            let shares: f64 = text
                .lines()
                .map(|line| line.rsplit(' ').next().unwrap().trim_end_matches('%').parse::<f64>().unwrap())
                .sum();
            assert!((shares - 100.0).abs() < 1.0 && text.lines().count() == BARS, "{text}");
        }
    }
}
