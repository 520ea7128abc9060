//! Two documents side by side: what became of each demand, and by what factor each figure changed.
//!
//! It tells differences and judges none: two runs are two samples, and whether a difference is more than noise is what `compare` is for.

use super::document::{Better, CaseOutcome, Document, Figure};

/// The difference from one document to another, as a document.
pub fn diff(before: &Document, after: &Document) -> Document {
    let mut document = Document::new(format!("{}, and after: {}", before.title, after.title));
    document.line("One run each: a difference may be noise; `loadtest compare` tells what is more.");
    let names = names(before.figures.iter(), after.figures.iter(), |figure| &figure.name);
    let rows: Vec<Vec<String>> = names
        .iter()
        .map(|&name| {
            let of =
                |document: &'_ Document| document.figures.iter().find(|figure| figure.name == name).cloned();
            figure_row(name, of(before).as_ref(), of(after).as_ref())
        })
        .collect();
    if !rows.is_empty() {
        document.heading("Figures");
        document.table("figures", &["figure", "unit", "before", "after", "after / before", "is"], rows);
    }
    let class = |document: &Document, name: &str| {
        let case = document.cases.iter().find(|case| format!("{}: {}", case.class, case.name) == name)?;
        Some(word(&case.outcome))
    };
    let all = |document: &Document| -> Vec<String> {
        document.cases.iter().map(|case| format!("{}: {}", case.class, case.name)).collect()
    };
    let (ours, theirs) = (all(before), all(after));
    let names = self::names(ours.iter(), theirs.iter(), |name| name.as_str());
    let rows: Vec<Vec<String>> = names
        .iter()
        .map(|&name| {
            let of = |document| class(document, name).unwrap_or("-").to_owned();
            vec![name.to_owned(), of(before), of(after)]
        })
        .collect();
    if !rows.is_empty() {
        document.heading("Demands");
        document.table("demands", &["demand", "before", "after"], rows);
    }
    document
}

/// Every name once: those of the one in its order, then what only the other has.
fn names<'a, T: 'a>(
    ones: impl Iterator<Item = &'a T>,
    others: impl Iterator<Item = &'a T>,
    name: impl Fn(&'a T) -> &'a str,
) -> Vec<&'a str> {
    let mut names: Vec<&str> = Vec::new();
    for name in ones.chain(others).map(name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

fn figure_row(name: &str, before: Option<&Figure>, after: Option<&Figure>) -> Vec<String> {
    let shown = |figure: Option<&Figure>| {
        figure.map_or_else(|| "-".to_owned(), |figure| format!("{:.1}", figure.value))
    };
    let unit = before.or(after).map(|figure| figure.unit.clone()).unwrap_or_default();
    let both = before.zip(after).filter(|(before, after)| before.unit == after.unit && before.value != 0.0);
    let ratio = both.map(|(before, after)| after.value / before.value);
    let word = both.zip(ratio).map_or("", |((before, _), ratio)| match before.better {
        Better::Higher if ratio > 1.0 => "better",
        Better::Higher if ratio < 1.0 => "worse",
        Better::Lower if ratio < 1.0 => "better",
        Better::Lower if ratio > 1.0 => "worse",
        _ => "",
    });
    let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
    vec![name.to_owned(), unit, shown(before), shown(after), ratio, word.to_owned()]
}

fn word(outcome: &CaseOutcome) -> &'static str {
    match outcome {
        CaseOutcome::Passed => "passed",
        CaseOutcome::Failed { .. } => "FAILED",
        CaseOutcome::Undecided { .. } => "undecided",
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::Block;
    use super::*;

    #[test]
    fn what_changed_is_told_and_what_is_missing_too() {
        let mut before = Document::new("before");
        before.figure("p99", "us", 100.0, Better::Lower);
        before.figure("throughput", "1/s", 10.0, Better::Higher);
        before.figure("gone", "us", 1.0, Better::Lower);
        before.case("threshold", "p99<1ms", CaseOutcome::Passed);
        let mut after = Document::new("after");
        after.figure("throughput", "1/s", 20.0, Better::Higher);
        after.figure("p99", "us", 150.0, Better::Lower);
        after.figure("new", "us", 0.0, Better::Neither);
        after.case(
            "threshold",
            "p99<1ms",
            CaseOutcome::Failed { message: String::new(), detail: String::new() },
        );
        let told = diff(&before, &after);
        let tables: Vec<&Vec<Vec<String>>> = told
            .blocks
            .iter()
            .filter_map(|block| if let Block::Table(table) = block { Some(&table.rows) } else { None })
            .collect();
        assert_eq!(
            tables[0][..],
            [
                ["p99", "us", "100.0", "150.0", "1.500", "worse"],
                ["throughput", "1/s", "10.0", "20.0", "2.000", "better"],
                ["gone", "us", "1.0", "-", "-", ""],
                ["new", "us", "-", "0.0", "-", ""],
            ]
        );
        assert_eq!(tables[1][..], [["threshold: p99<1ms", "passed", "FAILED"]]);
    }
}
