//! The log of a process: where its lines go, and that none is lost at its end.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

use crate::telemetry::log;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// For people
    Text,
    /// For machines, one object a line
    Json,
}

/// Whatever becomes of standard error, who logs goes on; and so does who panics, whose message is a line of the log.
pub(super) fn start(filter: EnvFilter, format: LogFormat) -> io::Result<()> {
    let writer = log::to_stderr()?;
    let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || writer.clone());
    match format {
        LogFormat::Text => subscriber.with_ansi(io::stderr().is_terminal()).init(),
        LogFormat::Json => subscriber.json().init(),
    }
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(%panic, %backtrace, "a thread panicked");
    }));
    Ok(())
}

/// What was logged is written before the process ends.
pub(super) struct Flushed;

impl Drop for Flushed {
    fn drop(&mut self) {
        log::flush();
    }
}
