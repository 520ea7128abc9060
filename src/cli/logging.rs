//! The log of a process: where its lines go, and that none is lost at its end.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};

use clap::ValueEnum;
use serde_json::json;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use crate::telemetry::log;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Text where standard error is a terminal, else JSON
    Auto,
    /// For people
    Text,
    /// For machines, one object a line
    Json,
}

/// Whether the line that says why the process ends is JSON, as the lines before it.
static IS_JSON: AtomicBool = AtomicBool::new(false);

/// From here on, [`last_words`] are in that format. Until then they are text.
pub(super) fn choose(format: LogFormat) {
    IS_JSON.store(format.is_json(), Ordering::Relaxed);
}

/// Whatever becomes of standard error, who logs goes on; and so does who panics, whose message is a line of the log.
pub(super) fn start(filter: EnvFilter, format: LogFormat) -> io::Result<()> {
    let writer = log::to_stderr()?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || writer.clone());
    if format.is_json() {
        subscriber.json().init();
    } else {
        subscriber.with_ansi(io::stderr().is_terminal()).init();
    }
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(%panic, %backtrace, "a thread panicked");
    }));
    Ok(())
}

/// Says why the process ends, after whatever was logged and whatever the filter leaves out.
pub(super) fn last_words(message: &str) {
    if IS_JSON.load(Ordering::Relaxed) {
        log::write_line(&as_json(message));
    } else {
        log::write_line(&format!("error: {message}"));
    }
}

/// A line as the log has them.
fn as_json(message: &str) -> String {
    let mut timestamp = String::new();
    // A clock that cannot be written leaves it empty.
    let _told = SystemTime.format_time(&mut Writer::new(&mut timestamp));
    let fields = json!({ "message": message });
    format!(r#"{{"timestamp":"{timestamp}","level":"ERROR","fields":{fields},"target":"inventory"}}"#)
}

impl LogFormat {
    /// What a command line asks for that may be none, so that what is wrong with it can be told as asked.
    pub(super) fn asked_for(args: &[OsString]) -> Self {
        const FLAG: &str = "--log-format";
        let by_flag = args.iter().enumerate().rev().find_map(|(at, arg)| {
            let arg = arg.to_str()?;
            if arg == FLAG { args.get(at + 1)?.to_str() } else { arg.strip_prefix(FLAG)?.strip_prefix('=') }
        });
        let by_variable = std::env::var_os("INVENTORY_LOG_FORMAT");
        let said = by_flag.or_else(|| by_variable.as_deref().and_then(OsStr::to_str));
        said.and_then(|name| Self::from_str(name, false).ok()).unwrap_or(Self::Auto)
    }

    fn is_json(self) -> bool {
        match self {
            Self::Auto => !io::stderr().is_terminal(),
            Self::Text => false,
            Self::Json => true,
        }
    }
}

/// What was logged is written before the process ends.
pub(super) struct Flushed;

impl Drop for Flushed {
    fn drop(&mut self) {
        log::flush();
    }
}
