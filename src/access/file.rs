//! The file of keys: how it is read, and how a line is added to it.
//!
//! One key a line: a name, a scope and the digest of the key, with spaces or tabs between; what follows a `#` is for people. It is
//! read whole or not at all. No error repeats what stands in it: somebody may have put a key there.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use smol_str::SmolStr;
use subtle::{ConditionallySelectable as _, ConstantTimeEq as _};
use thiserror::Error;

use super::key::{Digest, PREFIX};
use super::{Principal, Scope};

/// Keys in a file: each is compared with what a request shows.
pub const KEYS_MAX: usize = 1_000;
/// Live keys of a name: the old one and the new one, while the one replaces the other.
pub const KEYS_OF_A_NAME_MAX: usize = 2;
/// The longest name, in characters.
pub const NAME_CHARS_MAX: usize = 64;
/// A file that is longer is no file of keys.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Who made it may read and write it.
const MODE_MADE: u32 = 0o600;
/// Somebody else may write it.
const MODE_WRITABLE: u32 = 0o022;

/// Why there are no keys.
#[derive(Debug, Error)]
pub enum AuthFileError {
    /// The file cannot be read, or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// It is too long.
    #[error("{}: a file of keys has at most {FILE_BYTES_MAX} bytes", path.display())]
    TooLong {
        /// Which.
        path: PathBuf,
    },
    /// It is not as it must be.
    #[error("{}: {wrong}", path.display())]
    Wrong {
        /// Which.
        path: PathBuf,
        /// What is wrong, and on which line.
        wrong: Wrong,
    },
}

/// What is wrong with a text that should be keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    /// Counted from 1; `None` if it is no single line.
    line: Option<usize>,
    what: String,
}

/// The keys of a file.
#[derive(Debug)]
pub struct Keys(Vec<Kept>);

#[derive(Debug)]
struct Kept {
    principal: Principal,
    digest: Digest,
}

impl Keys {
    /// The keys of that file. One that others may write is taken, with a warning: whoever writes it may do anything.
    pub fn read(path: &Path) -> Result<Self, AuthFileError> {
        let failed = |error| AuthFileError::Io { path: path.to_owned(), error };
        let mut file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        let text = read_to_end(&mut file, path)?;
        let keys =
            Self::parse(&text).map_err(|wrong| AuthFileError::Wrong { path: path.to_owned(), wrong })?;
        if mode & MODE_WRITABLE != 0 {
            tracing::warn!(path = %path.display(), "the file of keys can be written by others; chmod go-w keeps them out");
        }
        Ok(keys)
    }

    /// The keys of that text; at least one.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let mut keys: Vec<Kept> = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let wrong = |what: String| Wrong { line: Some(at + 1), what };
            let Some(key) = kept(line).map_err(wrong)? else { continue };
            let namesakes = keys.iter().filter(|other| other.principal.name() == key.principal.name());
            if namesakes.count() == KEYS_OF_A_NAME_MAX {
                let name = key.principal.name();
                return Err(wrong(format!(
                    "{name} has {KEYS_OF_A_NAME_MAX} keys already; remove the line of the one that is used no more"
                )));
            }
            if keys.iter().any(|other| other.digest.ct_eq(&key.digest).into()) {
                return Err(wrong("the same key is on a line before".to_owned()));
            }
            keys.push(key);
            if keys.len() > KEYS_MAX {
                return Err(wrong(format!("a file has at most {KEYS_MAX} keys")));
            }
        }
        if keys.is_empty() {
            let what = "there is no key in it; `inventory key new` makes one".to_owned();
            return Err(Wrong { line: None, what });
        }
        Ok(Self(keys))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none, which is never.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose key that is. All are looked at, each whole, so that the time it takes says nothing of how near a guess was.
    pub fn find(&self, shown: &Digest) -> Option<&Principal> {
        let mut found = 0;
        for (number, kept) in (1..).zip(&self.0) {
            found = u32::conditional_select(&found, &number, kept.digest.ct_eq(shown));
        }
        let at = usize::try_from(found).ok()?.checked_sub(1)?;
        self.0.get(at).map(|kept| &kept.principal)
    }
}

/// The line of a key.
pub fn line_of(principal: &Principal, digest: &Digest) -> String {
    format!("{} {} {digest}", principal.name(), principal.scope())
}

/// Adds the line of a key to a file, which is made where it is missing; not if the file would not be read with it.
pub fn add(path: &Path, line: &str) -> Result<(), AuthFileError> {
    let failed = |error| AuthFileError::Io { path: path.to_owned(), error };
    let mut options = OpenOptions::new();
    let mut file = options.read(true).append(true).create(true).mode(MODE_MADE).open(path).map_err(failed)?;
    let text = read_to_end(&mut file, path)?;
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let added = format!("{end}{line}\n");
    Keys::parse(&(text + &added)).map_err(|wrong| AuthFileError::Wrong { path: path.to_owned(), wrong })?;
    file.write_all(added.as_bytes()).and_then(|()| file.sync_all()).map_err(failed)
}

/// Whether that may be the name of a key. Names are told; so what may be a key, put where the name should be, is none.
pub fn is_name(name: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_.@".contains(c);
    (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(is_allowed) && !name.starts_with(PREFIX)
}

/// What a name must be.
pub const NAME_IS: &str = "1 to 64 letters, digits, or any of - _ . @, and not begin as a key does";

fn read_to_end(file: &mut File, path: &Path) -> Result<String, AuthFileError> {
    let mut text = String::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    let bytes = read.map_err(|error| AuthFileError::Io { path: path.to_owned(), error })?;
    if bytes as u64 > FILE_BYTES_MAX {
        return Err(AuthFileError::TooLong { path: path.to_owned() });
    }
    Ok(text)
}

/// The key of a line; none where it is empty or for people.
fn kept(line: &str) -> Result<Option<Kept>, String> {
    let code = line.split('#').next().unwrap_or_default();
    let mut fields = code.split_ascii_whitespace();
    let Some(name) = fields.next() else { return Ok(None) };
    if !is_name(name) {
        return Err(format!("the name must be {NAME_IS}"));
    }
    let scope =
        fields.next().and_then(Scope::named).ok_or("the second field must be read, write or admin")?;
    let digest = fields.next().and_then(Digest::parse);
    let digest =
        digest.ok_or("the third field must be sha256: and 64 hexadecimal digits, not the key itself")?;
    if fields.next().is_some() {
        return Err("there are three fields: name, scope, digest".to_owned());
    }
    Ok(Some(Kept { principal: Principal::new(SmolStr::new(name), scope), digest }))
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::Key;
    use super::*;

    fn line(name: &str, scope: Scope) -> (Key, String) {
        let key = Key::random().unwrap();
        let line = line_of(&Principal::new(name.into(), scope), &key.digest());
        (key, line)
    }

    #[test]
    fn each_key_of_a_file_is_found_and_no_other() {
        let lines = [line("till", Scope::Write), line("till", Scope::Write), line("boss@shop", Scope::Admin)];
        let text =
            format!("# who may come in\n\n{}\t# the new one\r\n  {}\n{}", lines[0].1, lines[1].1, lines[2].1);
        let keys = Keys::parse(&text).unwrap();
        let found = lines.map(|(key, _)| {
            let found = keys.find(&key.digest()).unwrap();
            (found.name().to_owned(), found.scope())
        });
        let expected = [("till", Scope::Write), ("till", Scope::Write), ("boss@shop", Scope::Admin)];
        assert_eq!(found, expected.map(|(name, scope)| (name.to_owned(), scope)));
        assert!(keys.find(&Key::random().unwrap().digest()).is_none());
        assert_eq!((keys.len(), keys.is_empty()), (3, false));
    }

    #[test]
    fn what_is_wrong_is_told_by_line_and_never_repeated() {
        let (key, good) = line("a", Scope::Read);
        let digest = key.digest().to_string();
        for (wrong, told) in [
            (format!("a/b read {digest}"), "the name must be"),
            (format!("{} read {digest}", "n".repeat(65)), "the name must be"),
            (format!("b READ {digest}"), "read, write or admin"),
            (format!("b {digest}"), "read, write or admin"),
            ("b".to_owned(), "read, write or admin"),
            (format!("b read {}", key.reveal()), "sha256:"),
            ("b read".to_owned(), "sha256:"),
            (format!("b read {digest} more"), "three fields"),
            (key.reveal().to_owned(), "the name must be"),
            (format!("{} read {digest}", key.reveal()), "the name must be"),
            (format!("b read {digest}"), "the same key"),
        ] {
            let error = Keys::parse(&format!("{good}\n{wrong}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 2: ") && error.contains(told), "{wrong}: {error}");
            assert!(!error.contains(key.reveal()) && !error.contains(&digest), "{error}");
        }
        let third = [line("a", Scope::Read).1, line("a", Scope::Read).1].join("\n");
        let error = Keys::parse(&format!("{good}\n{third}")).unwrap_err().to_string();
        assert!(error.starts_with("line 3: a has 2 keys already"), "{error}");
        for empty in ["", "\n# nobody\n"] {
            assert!(Keys::parse(empty).unwrap_err().to_string().contains("inventory key new"));
        }
        let many: Vec<String> = (0..=KEYS_MAX).map(|n| line(&format!("n{n}"), Scope::Read).1).collect();
        assert!(Keys::parse(&many[1..].join("\n")).is_ok());
        let error = Keys::parse(&many.join("\n")).unwrap_err().to_string();
        assert_eq!(error, "line 1001: a file has at most 1000 keys");
    }

    #[test]
    fn a_line_is_added_unless_it_spoils_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let lines = [(); 3].map(|()| line("a", Scope::Read).1);
        add(&path, &lines[0]).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, MODE_MADE);
        std::fs::write(&path, &lines[0]).unwrap();
        add(&path, &lines[1]).unwrap();
        let two = std::fs::read_to_string(&path).unwrap();
        assert_eq!(two, format!("{}\n{}\n", lines[0], lines[1]), "its last line had no end");
        let error = add(&path, &lines[2]).unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("keys"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), two);
        assert!(Keys::read(&folder.path().join("none")).unwrap_err().to_string().contains("none"));
        std::fs::write(&path, vec![b'#'; 1024 * 1024 + 1]).unwrap();
        assert!(matches!(Keys::read(&path), Err(AuthFileError::TooLong { .. })));
    }
}
