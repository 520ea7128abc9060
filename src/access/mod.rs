//! Who may do what: named keys, each with a scope, in a file that has no more than their digests.
//!
//! [`Access`] is what a service asks: whose key is this? [`Keys`] is the file ([`mod@file`] has its form), [`Key`] a key that was just made,
//! [`Scope`] how much one may do. What needs which scope is not said here: that is a matter of routes.

pub mod file;
mod key;
mod scope;

use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;
use smol_str::SmolStr;

pub use file::{AuthFileError, Keys};
pub use key::{Digest, Key};
pub use scope::Scope;

/// Who asks: the name of a key. Whoever has either of its two keys is the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    // A name of up to 23 bytes stands in here: who asks is handed on with each request, and a reference count would be one more
    // word that all threads write.
    name: SmolStr,
    scope: Scope,
}

/// The keys that are in force.
///
/// Every request reads which these are, on every thread, and a reload replaces them: so they are behind an [`ArcSwap`], where a reader
/// writes to a word of its own thread alone. A lock, even for reading, is a word that all threads write.
#[derive(Debug)]
pub struct Access {
    path: PathBuf,
    keys: ArcSwap<Keys>,
}

impl Principal {
    /// Of that name, with that scope.
    pub fn new(name: SmolStr, scope: Scope) -> Self {
        Self { name, scope }
    }

    /// Its name, which is no secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its name, to be kept: no allocation, see the field.
    pub fn actor(&self) -> SmolStr {
        self.name.clone()
    }

    /// How much its key may do.
    pub fn scope(&self) -> Scope {
        self.scope
    }
}

impl Access {
    /// By the keys of that file.
    pub fn open(path: &Path) -> Result<Self, AuthFileError> {
        let keys = ArcSwap::from_pointee(Keys::read(path)?);
        Ok(Self { path: path.to_owned(), keys })
    }

    /// Reads the file again: how many keys are in force from here on. If the file cannot be read, or is not as it must be, those that
    /// were in force still are.
    pub fn reload(&self) -> Result<usize, AuthFileError> {
        let keys = Keys::read(&self.path)?;
        let count = keys.len();
        self.keys.store(keys.into());
        Ok(count)
    }

    /// Whose key that is; `None` if it is nobody's.
    pub fn principal(&self, shown: &str) -> Option<Principal> {
        let digest = Digest::of_shown(shown)?;
        self.keys.load().find(&digest).cloned()
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_of(path: &Path, keys: &[&Key]) {
        let a = Principal::new("a".into(), Scope::Write);
        let lines: Vec<String> = keys.iter().map(|key| file::line_of(&a, &key.digest())).collect();
        std::fs::write(path, lines.join("\n")).unwrap();
    }

    /// One key gives way to the next with both in force meanwhile; a file that is spoilt changes nothing.
    #[test]
    fn keys_are_replaced_all_at_once_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let (old, new) = (Key::random().unwrap(), Key::random().unwrap());
        file_of(&path, &[&old]);
        let access = Access::open(&path).unwrap();
        let known = || [&old, &new].map(|key| access.principal(key.reveal()).is_some());
        assert_eq!(known(), [true, false]);
        file_of(&path, &[&old, &new]);
        assert_eq!(known(), [true, false], "not before it is told to");
        assert_eq!(access.reload().unwrap(), 2);
        assert_eq!(known(), [true, true]);
        file_of(&path, &[&new]);
        access.reload().unwrap();
        assert_eq!(known(), [false, true]);
        for spoilt in ["", "a write", "\0"] {
            std::fs::write(&path, spoilt).unwrap();
            access.reload().unwrap_err();
            assert_eq!(known(), [false, true], "{spoilt:?}");
        }
        std::fs::remove_file(&path).unwrap();
        access.reload().unwrap_err();
        assert_eq!(known(), [false, true]);
        let principal = access.principal(new.reveal()).unwrap();
        assert_eq!((principal.name(), principal.scope()), ("a", Scope::Write));
        assert!(!format!("{access:?}").contains(&new.digest().to_string()[7..]), "no digest is printed");
    }
}
