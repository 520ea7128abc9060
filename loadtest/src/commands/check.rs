//! `loadtest check FILE`

use std::sync::Arc;

use history::file::{self, LoadedLog};

use super::fail;
use crate::cli::CheckArgs;
use crate::exit::Exit;
use crate::report::VerdictReport;
use crate::{output, verdict};

/// Verifies a saved history again.
pub(super) async fn check(args: CheckArgs) -> Exit {
    let path = args.file;
    let loaded = match tokio::task::spawn_blocking(move || file::load_log(&path, Arc::default())).await {
        Ok(loaded) => loaded,
        Err(error) => return fail(format!("the file could not be read: {error}")),
    };
    let LoadedLog { log: history, is_whole } = match loaded {
        Ok(loaded) => loaded,
        Err(error) => return fail(format!("{error}; give a file saved by `loadtest run --history FILE`")),
    };
    let meta = &history.meta;
    let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "not told".to_owned());
    let seed = meta.seed.map_or_else(|| "none".to_owned(), |seed| seed.to_string());
    let about = format!("Made by: {}\nStrategy: {}, seed {seed}", told(&meta.command), told(&meta.strategy));
    if !is_whole {
        output::remark(
            "the file is of a version that does not mark its end: if it was cut off, what is missing looks like a violation",
        );
    }
    let (_, checked, took) = verdict::check(history).await;
    let exit = verdict::exit(&checked);
    output::result(&format!("{about}\n\n{}", VerdictReport::new(checked, took).text()));
    exit
}
