//! The files of `loadtest`: recorded histories, a line of JSON each record; the first byte says whether it is compressed.
//!
//! - Read whole and read into the compact form, it is the same, or refused in the same words.
//! - What is read, written and read again, is the same.

use std::path::Path;

use history::file::{load_from, load_log_from, save_to};
use history::{Log, Store};

/// The longest error, in bytes.
const ERROR_BYTES_MAX: usize = 4 * 1024;

/// See the module.
pub fn hold(bytes: &[u8]) {
    let Some((first, file)) = bytes.split_first() else { return };
    let name = Path::new(if first % 4 == 3 { "history.jsonl.gz" } else { "history.jsonl" });
    let compact = load_log_from(name, file, Store::in_memory().into());
    let loaded = match load_from(name, file) {
        Ok(loaded) => loaded,
        Err(error) => {
            let told = error.to_string();
            assert_eq!(compact.err().map(|error| error.to_string()).as_ref(), Some(&told));
            assert!(told.len() <= ERROR_BYTES_MAX, "{} bytes", told.len());
            return;
        }
    };
    let compact = compact.expect("it is read either way");
    assert_eq!(compact.is_whole, loaded.is_whole);
    let history = Log::to_history(&compact.log).expect("it is in memory");
    assert_eq!(history, loaded.history, "the compact form says the same");
    let mut written = Vec::new();
    save_to(&loaded.history, &mut written).expect("memory takes it");
    let again = load_from(Path::new("history.jsonl"), &written).expect("what is written is read");
    assert_eq!(again.history, loaded.history);
    assert!(again.is_whole);
}
