//! [`ApiKeys`]: the keys in force, as the file had them when it was last read.

use std::path::{Path, PathBuf};

use arc_swap::ArcSwap;

use super::{AuthFileError, Digest, Keys, Principal};

/// The keys that are in force.
///
/// Every request reads which these are, on every thread, and a reload replaces them: so they are behind an [`ArcSwap`], where a reader
/// writes to a word of its own thread alone. A lock, even for reading, is a word that all threads write.
#[derive(Debug)]
pub struct ApiKeys {
    path: PathBuf,
    keys: ArcSwap<Keys>,
}

impl ApiKeys {
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
    use super::super::{Key, Scope, file};
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
        let keys = ApiKeys::open(&path).unwrap();
        let known = || [&old, &new].map(|key| keys.principal(key.reveal()).is_some());
        assert_eq!(known(), [true, false]);
        file_of(&path, &[&old, &new]);
        assert_eq!(known(), [true, false], "not before it is told to");
        assert_eq!(keys.reload().unwrap(), 2);
        assert_eq!(known(), [true, true]);
        file_of(&path, &[&new]);
        keys.reload().unwrap();
        assert_eq!(known(), [false, true]);
        for spoilt in ["", "a write", "\0"] {
            std::fs::write(&path, spoilt).unwrap();
            keys.reload().unwrap_err();
            assert_eq!(known(), [false, true], "{spoilt:?}");
        }
        std::fs::remove_file(&path).unwrap();
        keys.reload().unwrap_err();
        assert_eq!(known(), [false, true]);
        let principal = keys.principal(new.reveal()).unwrap();
        assert_eq!((principal.name(), principal.scope()), ("a", Scope::Write));
        assert!(!format!("{keys:?}").contains(&new.digest().to_string()[7..]), "no digest is printed");
    }
}
