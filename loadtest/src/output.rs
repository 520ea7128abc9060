//! The only place that prints: results to stdout, errors and progress to stderr.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::schedule::Limit;

/// How often a bar is redrawn.
const TICK: Duration = Duration::from_millis(100);

/// Prints a result. A reader that has gone away is no reason to fail: the exit code still tells.
pub fn result(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{}", text.trim_end()).and_then(|()| out.flush());
}

/// Prints an error or a remark, one line.
pub fn remark(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "loadtest: {text}");
}

/// The progress of a run, on a terminal; nothing elsewhere. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// Shows a bar if stderr is a terminal. Elsewhere there is none at all: even a hidden one would cost every request
    /// an update of a shared counter.
    pub fn new() -> Self {
        Self(std::io::stderr().is_terminal().then(ProgressBar::new_spinner))
    }

    /// What comes before every stage, such as the name of the strategy.
    pub fn prefix(&self, prefix: String) {
        if let Some(bar) = &self.0 {
            bar.set_prefix(prefix);
        }
    }

    /// A new stage begins.
    pub fn begin(&self, stage: &'static str, limit: Option<Limit>) {
        let Some(bar) = &self.0 else { return };
        bar.reset();
        bar.set_style(style(match limit {
            Some(Limit::Requests(_)) => "{prefix} {msg} {wide_bar} {pos}/{len} {per_sec} {eta}",
            _ => "{spinner} {prefix} {msg}: {pos} done, {elapsed}",
        }));
        match limit {
            Some(Limit::Requests(requests)) => {
                bar.set_length(requests);
                bar.set_message(stage);
            }
            Some(Limit::For(duration)) => {
                bar.set_message(format!("{stage} for {:.1} s", duration.as_secs_f64()));
            }
            None => bar.set_message(stage),
        }
        bar.enable_steady_tick(TICK);
    }

    /// One more request is done.
    pub fn advance(&self) {
        if let Some(bar) = &self.0 {
            bar.inc(1);
        }
    }

    /// The bar disappears.
    pub fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

impl Default for Progress {
    fn default() -> Self {
        Self::new()
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// The name that stands for standard output in place of a file.
const STANDARD_OUTPUT: &str = "-";

/// Where a report is written to: `json=FILE,md=FILE`, one of which may be `-`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Out {
    /// Where the JSON goes.
    pub json: Option<PathBuf>,
    /// Where the Markdown goes.
    pub markdown: Option<PathBuf>,
}

/// A list of files that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutError {
    /// A part of it names neither kind, or no file.
    #[error("`{0}` is no output: use json=FILE, md=FILE, or both with a comma between; - is standard output")]
    NoOutput(String),
    /// Both are to go the same way.
    #[error("only one of json and md can be -, standard output: name a file for the other")]
    OneOutput,
}

impl FromStr for Out {
    type Err = OutError;

    fn from_str(text: &str) -> Result<Self, OutError> {
        let mut out = Self::default();
        for part in text.split(',') {
            match part.split_once('=') {
                Some(("json", file)) if !file.is_empty() => out.json = Some(file.into()),
                Some(("md", file)) if !file.is_empty() => out.markdown = Some(file.into()),
                _ => return Err(OutError::NoOutput(part.to_owned())),
            }
        }
        if [&out.json, &out.markdown].into_iter().flatten().filter(|path| is_standard_output(path)).count()
            > 1
        {
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
#[error("{path} cannot be written: {source}; choose another file")]
pub struct WriteError {
    path: String,
    source: std::io::Error,
}

/// Prints a result, and writes the files that were asked for. Where one of them is standard output, it has that alone, for a
/// program to read, and the result goes to standard error.
pub fn publish(out: Option<&Out>, text: &str, json: &str, markdown: &str) -> Result<(), WriteError> {
    let files = out.map(|out| [(out.json.as_deref(), json), (out.markdown.as_deref(), markdown)]);
    let files: Vec<(&Path, &str)> =
        files.into_iter().flatten().filter_map(|(path, text)| path.map(|path| (path, text))).collect();
    if files.iter().any(|(path, _)| is_standard_output(path)) {
        let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
    } else {
        result(text);
    }
    for (path, text) in files {
        if is_standard_output(path) {
            result(text);
        } else {
            write(path, text)?;
        }
    }
    Ok(())
}

/// Writes a text file, in a folder that is made if it is missing.
pub fn write(path: &Path, text: &str) -> Result<(), WriteError> {
    if let Some(folder) = path.parent() {
        // If it cannot be made, neither can the file, which says so.
        let _ = std::fs::create_dir_all(folder);
    }
    let text = format!("{}\n", text.trim_end());
    std::fs::write(path, text).map_err(|source| WriteError { path: path.display().to_string(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_named_by_kind() {
        let out: Out = "json=a.json,md=b.md".parse().unwrap();
        assert_eq!((out.json, out.markdown), (Some("a.json".into()), Some("b.md".into())));
        for wrong in ["", "json", "json=", "html=x"] {
            assert_eq!(wrong.parse::<Out>(), Err(OutError::NoOutput(wrong.to_owned())));
        }
        assert_eq!("json=-,md=-".parse::<Out>(), Err(OutError::OneOutput));
        assert!("json=-,md=b.md".parse::<Out>().is_ok());
    }
}
