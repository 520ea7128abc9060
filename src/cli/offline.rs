//! The commands that work on a data directory that nobody serves: `verify`, `export`, `import`, `backup`.
//!
//! Each refuses while a server holds the directory, with one line. Results go to standard output, progress to standard error.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::sqlite::{self, SqliteError};
use super::{fail, print};
use crate::app::{self, Offline, OfflineError};
use crate::config::DATA_DIR_DEFAULT;
use crate::http::dto::VerifyAnswer;
use crate::inventory::export::{self, Export};
use crate::inventory::import::{self, Imported, Place, Stage};
use crate::journal::recovery::RecoveryError;
use crate::journal::segment::HeaderError;
use crate::journal::verify::Report;

/// Differences or damage were found.
const EXIT_FOUND: u8 = 4;

/// What is read of a file to import at a time.
const PIECE_BYTES: usize = 256 * 1024;

#[derive(Debug, Args)]
pub(super) struct DataDirArgs {
    /// Where the stock is kept; no server may be using it
    #[arg(long, env = "INVENTORY_DATA_DIR", value_name = "DIR", default_value = DATA_DIR_DEFAULT)]
    data_dir: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    data: DataDirArgs,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    data: DataDirArgs,
    #[command(flatten)]
    to: ExportTo,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ExportTo {
    /// A line of JSON per stock level, to FILE, or to standard output
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    ndjson: Option<PathBuf>,
    /// A database of `SQLite`, with the tables `levels` and `movements`
    #[arg(long, value_name = "FILE")]
    sqlite: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    data: DataDirArgs,
    /// Lines as `export` writes them: `sku` and `on_hand` at least. `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    #[command(flatten)]
    data: DataDirArgs,
    /// A folder that does not exist yet; a server can be started on it
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

/// Exits 0 if nothing is wrong, 4 if something is, 1 if that is not known.
pub(super) fn verify(args: &VerifyArgs) -> ExitCode {
    let bar = io::stderr().is_terminal().then(progress_bar);
    let verified = app::verify(&args.data.data_dir, &|progress| {
        if let Some(bar) = &bar {
            bar.set_length(progress.bytes_total);
            bar.set_position(progress.bytes);
        }
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let (answer, words) = match verified {
        Ok(report) => (VerifyAnswer::new(&report), in_words(&report)),
        Err(OfflineError::Recovery(error)) if is_damage(&error) => {
            (VerifyAnswer::unreadable(error.to_string()), format!("{error}\n"))
        }
        Err(error) => return fail(ExitCode::FAILURE, &error.to_string()),
    };
    let text = if args.json {
        serde_json::to_string_pretty(&answer).map_or_else(|error| error.to_string(), |json| json + "\n")
    } else {
        words
    };
    let printed = print(&text);
    if answer.clean { printed } else { ExitCode::from(EXIT_FOUND) }
}

fn progress_bar() -> ProgressBar {
    let style = ProgressStyle::with_template("verifying {wide_bar} {bytes}/{total_bytes} {eta}");
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
    if let Ok(style) = style { bar.with_style(style) } else { bar }
}

/// Whether a start is refused for what is on disk, rather than for want of the disk or of another version.
fn is_damage(error: &RecoveryError) -> bool {
    match error {
        RecoveryError::Io { .. } | RecoveryError::Snapshot(_) => false,
        RecoveryError::Header { source, .. } => !matches!(source, HeaderError::Version(_)),
        _ => true,
    }
}

fn in_words(report: &Report) -> String {
    let mut text = report.problems.iter().fold(String::new(), |text, problem| text + &format!("{problem}\n"));
    let listed = report.problems.len() as u64;
    if report.problems_total > listed {
        text = format!("{text}and {} more\n", report.problems_total - listed);
    }
    let Report { segments, groups, records, movements, levels, .. } = report;
    let verdict = match report.problems_total {
        0 => "nothing is wrong".to_owned(),
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    };
    let read = format!("{segments} segments, {groups} groups, {records} records, {movements} movements");
    text + &format!("{verdict}: {read}; {levels} levels recomputed and compared\n")
}

pub(super) fn export(args: &ExportArgs) -> ExitCode {
    with_stock(&args.data, false, async |stock| match (&args.to.ndjson, &args.to.sqlite) {
        (Some(file), _) if file == Path::new("-") => {
            let mut out = io::stdout().lock();
            write_lines(stock, &mut out).await.map_err(|error| error.to_string())
        }
        (Some(file), _) => {
            let written = async {
                let partial = Partial::beside(file);
                let mut out = File::create(&partial.0)?;
                write_lines(stock, &mut out).await?;
                out.sync_all()?;
                partial.becomes(file)
            };
            written.await.map_err(|error| format!("{}: {error}", file.display()))
        }
        (None, Some(file)) => {
            let written = async {
                let partial = Partial::beside(file);
                sqlite::write(stock, &partial.0).await?;
                partial.becomes(file).map_err(SqliteError::Io)
            };
            written.await.map_err(|error| format!("{}: {error}", file.display()))
        }
        (None, None) => Err("which form?".to_owned()),
    })
}

async fn write_lines(stock: &Offline, out: &mut impl Write) -> io::Result<()> {
    let mut export = Export::default();
    while let Some(levels) =
        export.page(&stock.inventory).await.map_err(|obstacle| io::Error::other(format!("{obstacle:?}")))?
    {
        out.write_all(export::lines(&levels).as_bytes())?;
    }
    out.flush()
}

/// A file under a temporary name, removed unless it gets its own.
struct Partial(PathBuf);

impl Partial {
    fn beside(file: &Path) -> Self {
        let mut name = file.as_os_str().to_owned();
        name.push(format!(".{}.partial", std::process::id()));
        Self(PathBuf::from(name))
    }

    /// Gives it its name, replacing what had it.
    fn becomes(self, file: &Path) -> io::Result<()> {
        std::fs::rename(&self.0, file)?;
        let above = file.parent().filter(|above| !above.as_os_str().is_empty());
        File::open(above.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // It is not there any more if it got its name.
        let _ = std::fs::remove_file(&self.0);
    }
}

pub(super) fn import(args: &ImportArgs) -> ExitCode {
    let name =
        if args.file == Path::new("-") { "standard input".into() } else { args.file.display().to_string() };
    let input: Box<dyn Read> = if args.file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        match File::open(&args.file) {
            Ok(file) => Box::new(file),
            Err(error) => return fail(ExitCode::FAILURE, &format!("{name}: {error}")),
        }
    };
    with_stock(&args.data, true, async |stock| {
        let imported = import_from(stock, input).await.map_err(|error| format!("{name}: {error}"))?;
        let _printed = print(&format!("{}\n", imported.to_json()));
        Ok(())
    })
}

async fn import_from(stock: &Offline, mut input: Box<dyn Read>) -> Result<Imported, import::ImportError> {
    let place = Place::of(stock.inventory.chores().home()).map_err(import::ImportError::Io)?;
    let mut stage = Stage::begin(Arc::clone(&place.disk), import::fresh_id());
    let mut piece = vec![0; PIECE_BYTES];
    loop {
        match input.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => stage.push(&piece[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(import::ImportError::Io(error)),
        }
    }
    stock.inventory.import(stage.finish(None)?, None).await
}

pub(super) fn backup(args: &BackupArgs) -> ExitCode {
    with_stock(&args.data, false, async |stock| {
        let copied = stock.inventory.back_up(args.to.clone()).await.map_err(|error| error.to_string())?;
        let last = copied.next_seq.saturating_sub(1);
        let (path, bytes) = (copied.path.display(), copied.bytes);
        let _printed = print(&format!("{path}: {bytes} bytes, up to movement {last}\n"));
        Ok(())
    })
}

/// Runs a command over the stock in a data directory, and ends it properly.
fn with_stock(
    data: &DataDirArgs,
    create: bool,
    act: impl AsyncFnOnce(&Offline) -> Result<(), String>,
) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(ExitCode::FAILURE, &format!("cannot start the runtime: {error}")),
    };
    let outcome = runtime.block_on(async {
        let stock = Offline::open(&data.data_dir, create).await.map_err(|error| error.to_string())?;
        let outcome = act(&stock).await;
        stock.close().await;
        outcome
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => fail(ExitCode::FAILURE, &message),
    }
}
