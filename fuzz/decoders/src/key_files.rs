//! The file of keys.
//!
//! - What is taken has a key for each line that has a word before its comment, and finds each by its digest under its name; the lines,
//!   written again, are taken again.
//! - No error repeats what may be a key: nothing of the file but names.

use inventory::access::Digest;
use inventory::access::file::{KEYS_MAX, Keys, is_name, line_of};

use crate::told;

/// See the module.
pub fn hold(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    let rows: Vec<Vec<&str>> = lines
        .map(|line| line.split_ascii_whitespace().collect())
        .filter(|row: &Vec<_>| !row.is_empty())
        .collect();
    match Keys::parse(text) {
        Ok(keys) => {
            assert!(keys.len() == rows.len() && (1..=KEYS_MAX).contains(&keys.len()));
            let mut written = String::new();
            for row in &rows {
                let &[name, scope, digest] = row.as_slice() else { panic!("a line has three words") };
                let digest = Digest::parse(digest).expect("the third is a digest");
                let principal = keys.find(&digest).expect("each is found");
                assert!(principal.name() == name && principal.scope().to_string() == scope && is_name(name));
                written += &(line_of(principal, &digest) + "\n");
            }
            assert_eq!(Keys::parse(&written).map(|keys| keys.len()), Ok(rows.len()));
        }
        Err(wrong) => {
            let error = wrong.to_string();
            told::text(&error);
            let is_secret = |word: &&str| word.len() > 16 && !is_name(word);
            for word in rows.iter().flatten().copied().filter(is_secret) {
                assert!(!error.contains(word), "{error} repeats {word}");
            }
        }
    }
}
