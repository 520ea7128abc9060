//! The only place that prints: results to stdout, errors and progress to stderr.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use console::Term;
use serde::Serialize;

pub use crate::progress::{Progress, Way};
use crate::report::document::Document;
use crate::report::plain::{self, Look};
use crate::report::{csv, hgrm, html, json, junit};

/// Prints a result. A reader that has gone away is no reason to fail: the exit code still tells.
pub fn result(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
}

/// Prints an error or a remark, one line; once the terminal is given back, if there is a view on it.
pub fn remark(text: &str) {
    if crate::view::hold(text) {
        return;
    }
    let _ = writeln!(std::io::stderr().lock(), "loadtest: {text}");
}

/// The name that stands for standard output in place of a file.
const STANDARD_OUTPUT: &str = "-";

/// What a report can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Every figure, and the document that all others are written from.
    Json,
    /// For a page.
    Markdown,
    /// One file with pictures.
    Html,
    /// For pipelines: a case for each demand.
    Junit,
    /// For spreadsheets: a line for each cell.
    Csv,
    /// For HdrHistogram's plotters: the percentiles of each distribution.
    Hgrm,
}

/// Where a report is written to: `json=FILE,html=FILE` and so on, one of which may be `-`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Out {
    files: Vec<(Format, PathBuf)>,
    json_shown: bool,
}

/// A list of files that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutError {
    /// A part of it names no format, or no file.
    #[error("`{0}` is no output: use FORMAT=FILE, several with commas between; formats are {names}; - is standard output", names = names())]
    NoOutput(String),
    /// A format is there twice.
    #[error("{0} is there twice")]
    Twice(&'static str),
    /// Several are to go the same way.
    #[error("only one can be -, standard output: name files for the others")]
    OneOutput,
}

impl Format {
    const ALL: [Self; 6] = [Self::Json, Self::Markdown, Self::Html, Self::Junit, Self::Csv, Self::Hgrm];

    /// As `--out` has it.
    fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Markdown => "md",
            Self::Html => "html",
            Self::Junit => "junit",
            Self::Csv => "csv",
            Self::Hgrm => "hgrm",
        }
    }
}

fn names() -> String {
    Format::ALL.map(Format::name).join(", ")
}

impl Out {
    /// The JSON is what is shown, whatever else is written.
    #[must_use]
    pub fn with_json_shown(mut self) -> Self {
        self.json_shown = true;
        self
    }
}

impl FromStr for Out {
    type Err = OutError;

    fn from_str(text: &str) -> Result<Self, OutError> {
        let mut out = Self::default();
        for part in text.split(',') {
            let named = part.split_once('=').filter(|(_, file)| !file.is_empty());
            let format = |name: &str| Format::ALL.into_iter().find(|format| format.name() == name);
            let (format, file) = named
                .and_then(|(name, file)| Some((format(name)?, file)))
                .ok_or_else(|| OutError::NoOutput(part.to_owned()))?;
            if out.files.iter().any(|(other, _)| *other == format) {
                return Err(OutError::Twice(format.name()));
            }
            out.files.push((format, file.into()));
        }
        if out.files.iter().filter(|(_, path)| is_standard_output(path)).count() > 1 {
            return Err(OutError::OneOutput);
        }
        Ok(out)
    }
}

fn is_standard_output(path: &Path) -> bool {
    path.as_os_str() == STANDARD_OUTPUT
}

/// The name of a file that is written besides the result, so that it cannot be standard output.
pub fn file(name: &str) -> Result<PathBuf, &'static str> {
    if name == STANDARD_OUTPUT {
        Err("the result goes to standard output: name a file")
    } else {
        Ok(name.into())
    }
}

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The file cannot be written.
    #[error("{path} cannot be written: {source}; choose another file")]
    File {
        /// Which one.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is nothing to write.
    #[error("hgrm: this report has no distribution of latencies")]
    NoDistribution,
}

/// Prints a result, and writes the files that were asked for. Where one of them is standard output, it has that alone, for a
/// program to read, and the result goes to standard error.
pub fn publish(out: Option<&Out>, document: &Document, report: &impl Serialize) -> Result<(), WriteError> {
    let Out { files, json_shown } = out.cloned().unwrap_or_default();
    let taken = files.iter().any(|(_, path)| is_standard_output(path));
    match (json_shown, taken) {
        (true, _) => result(&json(report, document)),
        (false, false) => {
            let look = Look::of(&Term::stdout(), console::colors_enabled());
            result(&plain::text(document, look));
        }
        (false, true) => {
            let look = Look::of(&Term::stderr(), console::colors_enabled_stderr());
            let _ = writeln!(std::io::stderr().lock(), "{}", plain::text(document, look).trim_end());
        }
    }
    for (format, path) in files {
        let text = match format {
            Format::Json => json(report, document),
            Format::Markdown => plain::markdown(document),
            Format::Html => html::html(document),
            Format::Junit => junit::junit(document),
            Format::Csv => csv::csv(document),
            Format::Hgrm => {
                hgrm_files(document, &path)?;
                continue;
            }
        };
        write_or_print(&path, &text)?;
    }
    Ok(())
}

/// The first distribution goes to the file, the others beside it, each with its name in that of its file.
fn hgrm_files(document: &Document, path: &Path) -> Result<(), WriteError> {
    let (first, others) = document.spectra.split_first().ok_or(WriteError::NoDistribution)?;
    write_or_print(path, &hgrm::hgrm(first))?;
    if is_standard_output(path) {
        return Ok(());
    }
    for spectrum in others {
        let of = |part: Option<&std::ffi::OsStr>| part.unwrap_or_default().to_string_lossy().into_owned();
        let name: String = spectrum.name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect();
        let beside = format!("{}.{name}.{}", of(path.file_stem()), of(path.extension()));
        write(&path.with_file_name(beside.trim_end_matches('.')), &hgrm::hgrm(spectrum))?;
    }
    Ok(())
}

fn write_or_print(path: &Path, text: &str) -> Result<(), WriteError> {
    if is_standard_output(path) {
        result(text);
        Ok(())
    } else {
        write(path, text)
    }
}

/// Writes a text file, in a folder that is made if it is missing.
pub fn write(path: &Path, text: &str) -> Result<(), WriteError> {
    if let Some(folder) = path.parent() {
        // If it cannot be made, neither can the file, which says so.
        let _ = std::fs::create_dir_all(folder);
    }
    let text = format!("{}\n", text.trim_end());
    std::fs::write(path, text).map_err(|source| WriteError::File { path: path.display().to_string(), source })
}

/// When text has colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Colours {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl Colours {
    /// Decides it for this process.
    pub fn decide(self) {
        if self != Self::Auto {
            console::set_colors_enabled(self == Self::Always);
            console::set_colors_enabled_stderr(self == Self::Always);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_by_kind() {
        let out: Out = "json=a.json,md=b.md,html=c.html".parse().unwrap();
        let expected = [(Format::Json, "a.json"), (Format::Markdown, "b.md"), (Format::Html, "c.html")]
            .map(|(format, file)| (format, file.into()));
        assert_eq!(out.files, expected);
        for wrong in ["", "json", "json=", "pdf=x"] {
            assert_eq!(wrong.parse::<Out>(), Err(OutError::NoOutput(wrong.to_owned())));
        }
        assert_eq!("json=a,json=b".parse::<Out>(), Err(OutError::Twice("json")));
        assert_eq!("json=-,md=-".parse::<Out>(), Err(OutError::OneOutput));
        assert!("json=-,md=b.md".parse::<Out>().is_ok());
        assert!(OutError::NoOutput(String::new()).to_string().contains("json, md, html, junit, csv, hgrm"));
    }
}
