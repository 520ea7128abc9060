//! The API key that this process shows to the servers it asks, if it was given one: `Authorization: Bearer KEY` with each request.
//!
//! It is said once, at the start, as colours are: every client there is shows the same. It comes from a file or from the environment and never from the
//! command line, which others can read and reports repeat; and it is in no report, no history and no line.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, io};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use thiserror::Error;

/// Where a key may be that no file is named for.
pub const VARIABLE: &str = "LOADTEST_KEY";

/// The longest key, in characters: a file that has more is another.
const CHARS_MAX: usize = 512;

static SHOWN: OnceLock<HeaderValue> = OnceLock::new();

/// Why there is no key to show. Nothing of what was there is repeated.
#[derive(Debug, Error)]
pub enum CredentialError {
    /// The file cannot be read.
    #[error("--auth-key-file {}: {source}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What is there is no key.
    #[error(
        "{place} must have a key and nothing else: one word of visible ASCII, at most {CHARS_MAX} characters long"
    )]
    NoKey {
        /// Where it was looked for.
        place: String,
    },
}

/// Decides for this process which key is shown: that of the file, or else that of [`VARIABLE`], or none.
pub fn decide(file: Option<&Path>) -> Result<(), CredentialError> {
    let (text, place) = match (file, env::var_os(VARIABLE)) {
        (Some(path), _) => {
            let unreadable = |source| CredentialError::Unreadable { path: path.to_owned(), source };
            (fs::read(path).map_err(unreadable)?, format!("--auth-key-file {}", path.display()))
        }
        (None, Some(value)) => (value.into_encoded_bytes(), VARIABLE.to_owned()),
        (None, None) => return Ok(()),
    };
    let shown = bearer(&text).ok_or(CredentialError::NoKey { place })?;
    // Said twice, the first counts; nobody says it twice.
    let _first = SHOWN.set(shown);
    Ok(())
}

/// What is shown of the key; `None` if there is none.
pub fn shown() -> Option<&'static HeaderValue> {
    SHOWN.get()
}

/// The same, as the headers of every request of a client.
pub fn headers() -> HeaderMap {
    shown().map(|key| (AUTHORIZATION, key.clone())).into_iter().collect()
}

fn bearer(text: &[u8]) -> Option<HeaderValue> {
    let key = text.trim_ascii();
    let is_one = (1..=CHARS_MAX).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic);
    let mut value = is_one.then(|| HeaderValue::from_bytes(&[b"Bearer ", key].concat()).ok()).flatten()?;
    // Printed for debugging it is not shown.
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_word_and_is_not_printed() {
        let value = bearer(b"inv_abc\n").expect("a key");
        assert_eq!(value, "Bearer inv_abc");
        assert!(!format!("{value:?}").contains("abc"));
        let long = "k".repeat(CHARS_MAX + 1);
        for wrong in ["", " \n", "till write sha256:00", "a\nb", "k\u{e4}y", &long] {
            assert_eq!(bearer(wrong.as_bytes()), None, "{wrong:?}");
        }
    }
}
