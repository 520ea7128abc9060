//! The commands that work on stock without a server: `verify`, `export`, `import`, `backup`.
//!
//! In a data directory that nobody serves: each refuses, with one line, while a server holds the directory, and what is no data directory; `verify` changes
//! nothing in it. Or, but for `backup`, in a database, which replicas may serve meanwhile; one in which there is no store is refused. Results go to standard
//! output, progress to standard error.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ValueEnum};

use super::place::{DataDirArgs, PlaceArgs};
use super::progress::Progress;
#[cfg(feature = "sqlite")]
use super::sqlite::{self, SqliteError};
use super::{EXIT_USAGE, carried_out, fail, print};
use crate::app::{self, Intent, Offline, OfflineVerification, Place};
use crate::http::dto::{Export, ExportForm, ImportAnswer, VerifyAnswer};
use crate::store::chores::{ChoreError, ImportError, ImportInto as _, StockForm, VerifyReport};
use crate::store::{Chores, Imported, Outcome, Store as _};

/// Differences or damage were found.
const EXIT_FOUND: u8 = 4;

/// What is read of a file to import at a time.
const PIECE_BYTES: usize = 256 * 1024;

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// As JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    #[command(flatten)]
    to: ExportTo,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct ExportTo {
    /// A line of JSON per stock level, to FILE, or to standard output
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    ndjson: Option<PathBuf>,
    /// Comma-separated values, a line per stock level below a line of names, to FILE, or to standard output
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "-")]
    csv: Option<PathBuf>,
    /// A database of `SQLite`, with the tables `levels` and `movements`
    #[cfg(feature = "sqlite")]
    #[arg(long, value_name = "FILE")]
    sqlite: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    #[command(flatten)]
    pub(super) place: PlaceArgs,
    /// The form of FILE; by its name where left out: CSV if that ends with `.csv`, lines of JSON otherwise
    #[arg(long, value_name = "FORM")]
    format: Option<FileForm>,
    /// Lines as `export` writes them: `sku` and `on_hand` at least. `-` is standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum FileForm {
    Ndjson,
    Csv,
}

impl ImportArgs {
    fn form(&self) -> StockForm {
        let is_csv = match self.format {
            Some(named) => matches!(named, FileForm::Csv),
            None => self.file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv")),
        };
        if is_csv { StockForm::Csv } else { StockForm::Ndjson }
    }
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
    let verified = match args.place.place() {
        Ok(Place::Folder(path)) => {
            let progress = Progress::new();
            let verified = app::verify(&path, &|bytes, bytes_total| progress.at(bytes, bytes_total));
            progress.end();
            verified.map_err(|error| fail(ExitCode::FAILURE, &error.to_string()))
        }
        Ok(place @ Place::Store(_)) => with_stock(&place, Intent::Read, async |stock| {
            stock.store.verify().await.map(OfflineVerification::Report).map_err(|error| error.to_string())
        }),
        Err(error) => Err(fail(ExitCode::from(EXIT_USAGE), &error)),
    };
    let (answer, words) = match verified {
        Ok(OfflineVerification::Report(report)) => (VerifyAnswer::new(&report), in_words(&report)),
        Ok(OfflineVerification::Damaged(why)) => {
            let words = format!("{why}\n");
            (VerifyAnswer::new(&VerifyReport::unreadable(why)), words)
        }
        Err(code) => return code,
    };
    let text = if args.json {
        serde_json::to_string_pretty(&answer).map_or_else(|error| error.to_string(), |json| json + "\n")
    } else {
        words
    };
    let printed = print(&text);
    if answer.clean { printed } else { ExitCode::from(EXIT_FOUND) }
}

fn in_words(report: &VerifyReport) -> String {
    let details = report.findings.iter().map(|finding| &finding.detail);
    let mut text = details.fold(String::new(), |text, detail| text + detail + "\n");
    let listed = report.findings.len() as u64;
    if report.findings_total > listed {
        text = format!("{text}and {} more\n", report.findings_total - listed);
    }
    for note in &report.notes {
        text = format!("{text}note: {note}\n");
    }
    let VerifyReport { segments, groups, records, movements, levels, .. } = report;
    let verdict = match report.findings_total {
        0 => "nothing is wrong".to_owned(),
        1 => "1 finding".to_owned(),
        many => format!("{many} findings"),
    };
    let read = match segments {
        // A database has none.
        0 => format!("{movements} movements"),
        _ => format!("{segments} segments, {groups} groups, {records} records, {movements} movements"),
    };
    text + &format!("{verdict}: {read}; {levels} levels recomputed and compared\n")
}

pub(super) fn export(args: &ExportArgs) -> ExitCode {
    with_stock_at(&args.place, Intent::Read, async |stock| {
        #[cfg(feature = "sqlite")]
        if let Some(file) = &args.to.sqlite {
            let written = async {
                let partial = Partial::beside(file);
                sqlite::write(stock, &partial.0).await?;
                partial.becomes(file).map_err(SqliteError::Io)
            };
            return written.await.map_err(|error| format!("{}: {error}", file.display()));
        }
        let (file, form) = match (&args.to.ndjson, &args.to.csv) {
            (Some(file), _) => (file, StockForm::Ndjson),
            (None, Some(file)) => (file, StockForm::Csv),
            (None, None) => return Err("which form?".to_owned()),
        };
        if file == Path::new("-") {
            let mut out = io::stdout().lock();
            write_lines(stock, form, &mut out).await.map_err(|error| error.to_string())
        } else {
            let written = async {
                let partial = Partial::beside(file);
                let mut out = File::create(&partial.0)?;
                write_lines(stock, form, &mut out).await?;
                out.sync_all()?;
                partial.becomes(file)
            };
            written.await.map_err(|error| format!("{}: {error}", file.display()))
        }
    })
}

async fn write_lines(stock: &Offline, form: StockForm, out: &mut impl Write) -> io::Result<()> {
    let form = ExportForm::new(form, stock.store.lineage());
    out.write_all(&form.head())?;
    let (mut export, mut lines) = (Export::default(), Vec::new());
    while let Some(levels) = export.page(&stock.store).await.map_err(io::Error::other)? {
        form.write(&levels, &mut lines);
        out.write_all(&lines)?;
        lines.clear();
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
    with_stock_at(&args.place, Intent::Change, async |stock| {
        let imported =
            import_from(stock, args.form(), input).await.map_err(|error| format!("{name}: {error}"))?;
        let told = serde_json::to_string(&ImportAnswer::new(imported)).map_err(|error| error.to_string())?;
        let _printed = print(&(told + "\n"));
        Ok(())
    })
}

async fn import_from(
    stock: &Offline,
    form: StockForm,
    mut input: Box<dyn Read>,
) -> Result<Imported, ImportError> {
    let mut import = stock.store.begin_import(form)?;
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        match input.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => {
                piece.truncate(read);
                if !import.push(piece.into()).await {
                    break;
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ImportError::Io(error)),
        }
    }
    match import.finish(None, None).await?.outcome {
        Outcome::Import(imported) => Ok(imported),
        other => unreachable!("an import without a key is never a replay: {other:?}"),
    }
}

pub(super) fn backup(args: &BackupArgs) -> ExitCode {
    let place = Place::Folder(args.data.data_dir.clone());
    let backed_up = with_stock(&place, Intent::Read, async |stock| {
        // From where the command was given, not from the data directory.
        let to = std::path::absolute(&args.to).map_err(|error| format!("{}: {error}", args.to.display()))?;
        let backup = stock.store.back_up(to).await.map_err(|error| not_backed_up(&args.to, &error))?;
        let (path, bytes, last) = (args.to.display(), backup.bytes, backup.last_seq);
        let _printed = print(&format!("{path}: {bytes} bytes, up to movement {last}\n"));
        Ok(())
    });
    code_of(backed_up)
}

fn not_backed_up(to: &Path, error: &ChoreError) -> String {
    match error {
        ChoreError::Exists(_) => format!("{} exists: a backup overwrites nothing", to.display()),
        error => error.to_string(),
    }
}

/// Runs a command over the stock that is there. How it ended.
fn with_stock_at(
    place: &PlaceArgs,
    intent: Intent,
    act: impl AsyncFnOnce(&Offline) -> Result<(), String>,
) -> ExitCode {
    match place.place() {
        Ok(place) => code_of(with_stock(&place, intent, act)),
        Err(error) => fail(ExitCode::from(EXIT_USAGE), &error),
    }
}

fn code_of(ended: Result<(), ExitCode>) -> ExitCode {
    ended.err().unwrap_or(ExitCode::SUCCESS)
}

/// Runs a command over the stock that is there, and ends it properly. Where it fails, why has been said.
fn with_stock<T>(
    place: &Place,
    intent: Intent,
    act: impl AsyncFnOnce(&Offline) -> Result<T, String>,
) -> Result<T, ExitCode> {
    // What a crash left is cut, or passed over, and that is said.
    let outcome = carried_out(async {
        let opened = match place {
            Place::Folder(path) => Offline::open(path, intent).await,
            Place::Store(database) => Offline::visit(database, intent).await,
        };
        let stock = opened.map_err(|error| {
            let code =
                if error.is_misdirected() && matches!(place, Place::Store(_)) { EXIT_USAGE } else { 1 };
            (code, error.to_string())
        })?;
        let outcome = act(&stock).await;
        stock.close().await;
        outcome.map_err(|message| (1, message))
    })?;
    outcome.map_err(|(code, message)| fail(ExitCode::from(code), &message))
}
