//! `loadtest report FILE` and `loadtest diff BEFORE AFTER`

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use serde_json::{Map, Value};

use super::fail;
use crate::cli::report::{DiffArgs, ReportArgs};
use crate::exit::Exit;
use crate::output;
use crate::report::diff::diff as difference;
use crate::report::document::{Document, FORMAT};

/// Why a file is no report that can be told again.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error("{path}: {source}; give a report that was written with --out json=FILE")]
    Io { path: String, source: std::io::Error },
    #[error("{path} is no report: {problem}; give one that was written with --out json=FILE")]
    NoReport { path: String, problem: String },
    #[error("{path} is a report without a document: it was written by an earlier version of this program")]
    NoDocument { path: String },
}

/// Writes a saved report again.
pub(super) fn report(args: &ReportArgs) -> Exit {
    let told = read(&args.file)
        .map_err(fail)
        .and_then(|(report, document)| output::publish(args.out.as_ref(), &document, &report).map_err(fail));
    told.map_or_else(|exit| exit, |()| Exit::Ok)
}

/// Shows two saved reports side by side.
pub(super) fn diff(args: &DiffArgs) -> Exit {
    let both = read(&args.before).and_then(|before| Ok((before, read(&args.after)?)));
    let told = both.map_err(fail).and_then(|((_, before), (_, after))| {
        let report = Map::from_iter([("format".to_owned(), Value::from("loadtest-diff/1"))]);
        output::publish(args.out.as_ref(), &difference(&before, &after), &report).map_err(fail)
    });
    told.map_or_else(|exit| exit, |()| Exit::Ok)
}

/// A report's own members, and its document.
fn read(path: &Path) -> Result<(Map<String, Value>, Document), ReadError> {
    let name = || path.display().to_string();
    let file = File::open(path).map_err(|source| ReadError::Io { path: name(), source })?;
    let no_report = |problem: String| ReadError::NoReport { path: name(), problem };
    let mut report: Map<String, Value> =
        serde_json::from_reader(BufReader::new(file)).map_err(|error| no_report(error.to_string()))?;
    let document = report.remove("document").ok_or_else(|| ReadError::NoDocument { path: name() })?;
    match document.get("format").and_then(Value::as_str) {
        Some(FORMAT) => {}
        other => {
            let other = other.unwrap_or("nothing");
            return Err(no_report(format!(
                "its document is of format {other}, and this program reads {FORMAT}"
            )));
        }
    }
    let document = serde_json::from_value(document).map_err(|error| no_report(error.to_string()))?;
    Ok((report, document))
}
