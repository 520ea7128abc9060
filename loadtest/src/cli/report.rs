//! The command line of `report` and `diff`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::output::Out;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// A report that was written with --out json=FILE.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: PathBuf,
    /// Write it: FORMAT=FILE, several with commas between; json, md, html, junit, csv, hgrm; - is standard output.
    #[arg(long, value_name = "FILES")]
    pub out: Option<Out>,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The report from before.
    #[arg(value_name = "BEFORE", value_hint = ValueHint::FilePath)]
    pub before: PathBuf,
    /// The report from after.
    #[arg(value_name = "AFTER", value_hint = ValueHint::FilePath)]
    pub after: PathBuf,
    /// Write the difference: FORMAT=FILE, several with commas between; json, md, html, junit, csv; - is standard output.
    #[arg(long, value_name = "FILES")]
    pub out: Option<Out>,
}
