//! [`Document`]: what a command has to tell, whatever it is written as.
//!
//! Each command makes one of its figures. Text, Markdown, HTML, `JUnit`, CSV and percentiles are made from it and from nothing else; and
//! it is a part of the JSON, so that `report` can write any of them again, and `diff` can compare two, long after the run and without
//! the program that made them.

use serde::{Deserialize, Serialize};

/// What a document says it is; members may be added within a number, never changed or taken away.
pub const FORMAT: &str = "loadtest-document/1";

/// What a command has to tell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// [`FORMAT`].
    pub format: String,
    /// The headline.
    pub title: String,
    /// In the order to read them.
    pub blocks: Vec<Block>,
    /// What was demanded of the run, and what became of it.
    #[serde(default)]
    pub cases: Vec<Case>,
    /// The figures that two documents can be compared by.
    #[serde(default)]
    pub figures: Vec<Figure>,
    /// Whole distributions.
    #[serde(default)]
    pub spectra: Vec<Spectrum>,
}

/// A part of a document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Block {
    /// A headline.
    Heading {
        /// Without an end of line.
        text: String,
    },
    /// Lines of prose.
    Lines {
        /// One each.
        lines: Vec<String>,
    },
    /// Text whose spaces count.
    Verbatim {
        /// As it is.
        text: String,
    },
    /// A table.
    Table(Table),
    /// The distributions of the document with these names: where there is no picture, that of the first.
    Spectra {
        /// What is distributed.
        title: String,
        /// Names of [`Document::spectra`].
        names: Vec<String>,
    },
    /// A picture, where there are pictures.
    Chart(Chart),
}

/// Rows of as many cells as there are columns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// What CSV calls it: a word.
    pub name: String,
    /// What the columns are. The first names the rows.
    pub header: Vec<String>,
    /// Cells as they are shown.
    pub rows: Vec<Vec<String>>,
}

/// A picture.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "chart", rename_all = "snake_case")]
pub enum Chart {
    /// Lines over a range.
    Lines {
        /// The headline.
        title: String,
        /// What runs to the right.
        x: Axis,
        /// What runs upwards.
        y: Axis,
        /// A place to point out on the horizontal axis, and what it is.
        #[serde(default)]
        mark: Option<(f64, String)>,
        /// What is drawn.
        series: Vec<Series>,
    },
    /// Intervals below one another, against a line that stands for no difference.
    Intervals {
        /// The headline.
        title: String,
        /// What runs to the right.
        x: String,
        /// Where there is no difference.
        reference: f64,
        /// From top to bottom.
        rows: Vec<Interval>,
    },
    /// Operations over time, a lane for each who asked.
    Lanes {
        /// The headline.
        title: String,
        /// What runs to the right.
        x: String,
        /// From top to bottom.
        lanes: Vec<Lane>,
    },
}

/// What one client asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lane {
    /// Who.
    pub name: String,
    /// One below the other, by when they began.
    pub bars: Vec<Bar>,
}

/// An operation from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bar {
    /// When it began.
    pub from: f64,
    /// When it ended.
    pub to: f64,
    /// What is written beside it.
    pub text: String,
    /// Whether it is what the picture is about.
    #[serde(default)]
    pub marked: bool,
    /// Whether nobody knows how it ended.
    #[serde(default)]
    pub open: bool,
}

/// One pair of axes has two.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Axis {
    /// What it measures, with the unit.
    pub label: String,
    /// Whether equal distances are equal factors.
    pub logarithmic: bool,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// What the legend says.
    pub name: String,
    /// Ascending.
    pub points: Vec<Point>,
    /// A curve that was laid through the points, ascending; where there is none, lines go from point to point.
    #[serde(default)]
    pub curve: Vec<(f64, f64)>,
}

/// A place of a line, and the range it is known within.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the coordinates, and the range of y")]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub low: f64,
    pub high: f64,
}

/// A figure and the range it is known within.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "a name, a middle and its range")]
pub struct Interval {
    pub name: String,
    pub low: f64,
    pub middle: f64,
    pub high: f64,
}

/// Something that was demanded: a threshold, a promise of the service, a strategy's correctness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// What kind: `threshold`, `invariant`, `strategy`, `gate`.
    pub class: String,
    /// Which one.
    pub name: String,
    /// What became of it.
    pub outcome: CaseOutcome,
}

/// What became of a demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CaseOutcome {
    /// It was met.
    Passed,
    /// It was not.
    Failed {
        /// In one line.
        message: String,
        /// All there is to say.
        detail: String,
    },
    /// Nobody knows.
    Undecided {
        /// Why, in one line.
        message: String,
    },
}

/// A figure that two documents can be compared by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What it is of, such as `p99 of adjust`: unique in its document.
    pub name: String,
    /// Its unit, such as `us`.
    pub unit: String,
    /// How much.
    pub value: f64,
    /// Which way is good.
    pub better: Better,
}

/// Which way a figure is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Better {
    /// The more the better.
    Higher,
    /// The less the better.
    Lower,
    /// Neither.
    Neither,
}

/// A distribution, whole: counts by the highest value that is counted so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spectrum {
    /// What it is of.
    pub name: String,
    /// Highest value of the bucket in nanoseconds, and how many are in it; ascending, none empty.
    pub counts: Vec<(u64, u64)>,
}

impl Document {
    /// An empty one.
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            title: title.into(),
            blocks: Vec::new(),
            cases: Vec::new(),
            figures: Vec::new(),
            spectra: Vec::new(),
        }
    }

    /// Adds a headline.
    pub fn heading(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Heading { text: text.into() });
    }

    /// Adds a line of prose, to those before it if they are the last thing that was added.
    pub fn line(&mut self, line: impl Into<String>) {
        if let Some(Block::Lines { lines }) = self.blocks.last_mut() {
            lines.push(line.into());
        } else {
            self.blocks.push(Block::Lines { lines: vec![line.into()] });
        }
    }

    /// The next line of prose stands apart from those before it.
    pub fn break_off(&mut self) {
        self.blocks.push(Block::Lines { lines: Vec::new() });
    }

    /// Adds text whose spaces count.
    pub fn verbatim(&mut self, text: impl Into<String>) {
        self.blocks.push(Block::Verbatim { text: text.into() });
    }

    /// Adds a part.
    pub fn push(&mut self, block: impl Into<Block>) {
        self.blocks.push(block.into());
    }

    /// Adds a table.
    pub fn table(&mut self, name: &str, header: &[&str], rows: Vec<Vec<String>>) {
        self.blocks.push(Block::Table(Table::new(name, header, rows)));
    }

    /// Adds a demand.
    pub fn case(&mut self, class: &str, name: impl Into<String>, outcome: CaseOutcome) {
        self.cases.push(Case { class: class.to_owned(), name: name.into(), outcome });
    }

    /// Adds a figure to compare by.
    pub fn figure(&mut self, name: impl Into<String>, unit: &str, value: f64, better: Better) {
        self.figures.push(Figure { name: name.into(), unit: unit.to_owned(), value, better });
    }

    /// The distribution of that name.
    pub fn spectrum(&self, name: &str) -> Option<&Spectrum> {
        self.spectra.iter().find(|spectrum| spectrum.name == name)
    }
}

impl Table {
    /// A table of that name.
    pub fn new(name: &str, header: &[&str], rows: Vec<Vec<String>>) -> Self {
        let header = header.iter().map(|&column| column.to_owned()).collect();
        Self { name: name.to_owned(), header, rows }
    }
}

impl From<Table> for Block {
    fn from(table: Table) -> Self {
        Self::Table(table)
    }
}

impl From<Chart> for Block {
    fn from(chart: Chart) -> Self {
        Self::Chart(chart)
    }
}

impl Spectrum {
    /// How many there are in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().map(|(_, count)| count).sum()
    }

    /// The least value that a share of all, from 0 to 1, does not exceed, in nanoseconds; `None` of nothing.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a count is a count, far below 2^53"
    )]
    pub fn at(&self, share: f64) -> Option<u64> {
        let wanted = ((self.total() as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        self.counts.iter().find_map(|(value, count)| {
            seen += count;
            (seen >= wanted).then_some(*value)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_survives_its_json() {
        let mut document = Document::new("All <kinds> of \"things\"");
        document.heading("Part");
        document.line("one");
        document.line("two");
        document.verbatim("a\n  b");
        document.table("t", &["a", "b"], vec![vec!["x".into(), "1".into()]]);
        document.blocks.push(Block::Spectra { title: "Latency".into(), names: vec!["all".into()] });
        document.blocks.push(Block::Chart(Chart::Intervals {
            title: "c".into(),
            x: "ratio".into(),
            reference: 1.0,
            rows: vec![Interval { name: "m".into(), low: 0.5, middle: 1.0, high: 2.0 }],
        }));
        let failed = CaseOutcome::Failed { message: "m".into(), detail: "d".into() };
        for outcome in [CaseOutcome::Passed, failed, CaseOutcome::Undecided { message: "m".into() }] {
            document.case("threshold", "p99", outcome);
        }
        document.figure("p99", "us", 1.5, Better::Lower);
        document.spectra.push(Spectrum { name: "all".into(), counts: vec![(10, 2), (20, 1)] });
        let json = serde_json::to_string(&document).unwrap();
        assert_eq!(serde_json::from_str::<Document>(&json).unwrap(), document);
        assert!(matches!(&document.blocks[1], Block::Lines { lines } if lines.len() == 2));
    }

    #[test]
    fn a_share_of_a_distribution_is_a_value_of_it() {
        let spectrum = Spectrum { name: String::new(), counts: vec![(10, 98), (20, 1), (900, 1)] };
        let at = |share| spectrum.at(share).unwrap();
        assert_eq!((at(0.0), at(0.98), at(0.981), at(0.99), at(0.991), at(1.0)), (10, 10, 20, 20, 900, 900));
        assert_eq!(Spectrum { name: String::new(), counts: Vec::new() }.at(0.5), None);
    }
}
