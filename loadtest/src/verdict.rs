//! From a recorded history to pass or fail.

use std::time::{Duration, Instant};

use history::{Conclusion, Limits, Log, LogError, Residual, Summary, Verdict};

use crate::exit::Exit;

/// Violations that are told in full; the rest are counted. A racy server makes thousands, and all tell the same story.
const LISTED_MAX: usize = 3;

/// The name of a conclusion in tables and reports: these words are a promise to scripts.
pub fn name(verdict: &Verdict) -> &'static str {
    match verdict.conclusion {
        Conclusion::Consistent => "consistent",
        Conclusion::Violations { .. } => "violated",
        Conclusion::Indeterminate { .. } => "indeterminate",
        Conclusion::Vacuous { .. } => "vacuous",
    }
}

/// How bad a conclusion of that name is, to tell the worst of several.
pub fn severity(name: &str) -> u8 {
    match name {
        "violated" => 3,
        "indeterminate" => 2,
        "vacuous" => 1,
        _ => 0,
    }
}

/// The exit code of a verdict.
pub fn exit(verdict: &Verdict) -> Exit {
    match verdict.conclusion {
        Conclusion::Consistent => Exit::Ok,
        Conclusion::Violations { .. } => Exit::Violation,
        Conclusion::Indeterminate { .. } | Conclusion::Vacuous { .. } => Exit::Inconclusive,
    }
}

/// Checks a history off the runtime's threads, and tells how long it took.
pub async fn check(history: Log) -> (Log, Verdict, Duration) {
    let work = move || {
        let start = Instant::now();
        let limits = Limits { violations_listed: LISTED_MAX, ..Limits::default() };
        let verdict =
            history::check_log(&history, &limits).unwrap_or_else(|error| unreadable(&history, &error));
        (history, verdict, start.elapsed())
    };
    match tokio::task::spawn_blocking(work).await {
        Ok(checked) => checked,
        // The checker panicked: pass the panic on, since there is no verdict to report.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// Nothing is proved of a history of which a part is gone.
fn unreadable(history: &Log, error: &LogError) -> Verdict {
    Verdict {
        conclusion: Conclusion::Indeterminate { why: error.to_string(), residual: Residual::default() },
        summary: Summary { operations: history.len(), ..Summary::default() },
    }
}
