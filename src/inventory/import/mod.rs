//! Import: the levels of a file get the units that it says, all of them or none.
//!
//! 1. The bytes are taken in by a [`Stage`]: every line is checked, the levels are sorted, none is there twice. Anything wrong, and
//!    nothing was done.
//! 2. The staged file is synced and renamed. *That rename is the moment at which the import happens.*
//! 3. It is applied in chunks of [`CHUNK_LEVELS`], each one transaction and one record, under an idempotency key made from the
//!    import's id and the chunk's number. Readers may see the levels of one chunk before those of the next.
//! 4. The answer is recorded, if the request had a key, and the file is removed.
//!
//! After a crash the next start finds the file and does what is left of steps 3 and 4 before the service opens; chunks that are
//! in the log already are known by their keys, which therefore must not have run out: see [`pending`].
//!
//! A level of which more units are held than the file says stands in the way of the whole import, as long as it has not
//! happened. One on which units are held between the check and its chunk keeps what it has, and is counted as left out.
//!
//! A service that keeps everything in memory imports in the same way, from a temporary folder, without the promise of step 2.

mod apply;
mod entries;
mod line;
mod sort;
mod stage;
mod staged;

use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::{Home, Obstacle};
use crate::journal::disk::{Disk, Folder};

pub use line::{LINE_BYTES_MAX, LineError};
pub use stage::{BYTES_MAX, ERRORS_MAX, Stage};
pub use staged::Staged;

use staged::temporary_name;

/// The levels that are applied together.
pub const CHUNK_LEVELS: usize = 10_000;

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Imported {
    /// The levels that the file named.
    pub levels: u64,
    /// Those that were not there before.
    pub created: u64,
    /// Those that were.
    pub counted: u64,
    /// Those that were left as they are, since more units came to be held meanwhile than the file says.
    pub left_out: u64,
}

/// Why nothing was imported; or, of the last two, perhaps why it is not known to be.
#[derive(Debug, Error)]
pub enum ImportError {
    /// Lines that are wrong.
    #[error("{}", told(.errors, *.total))]
    Lines {
        /// The first of them, ascending.
        errors: Vec<LineError>,
        /// How many there are.
        total: u64,
    },
    /// It has no line.
    #[error("there is no line in it")]
    Empty,
    /// It is longer than it may be.
    #[error("it is longer than {BYTES_MAX} bytes")]
    TooLarge,
    /// Its bytes ended before it was complete.
    #[error("it ended before it was complete")]
    CutOff,
    /// Levels that cannot have the units that the file says.
    #[error("{}", told(.errors, *.total))]
    Refused {
        /// The first of them, in the order of their names.
        errors: Vec<LineError>,
        /// How many there are.
        total: u64,
    },
    /// The disk said so.
    #[error("the import cannot be kept on disk: {0}")]
    Io(io::Error),
    /// It got no answer.
    #[error("the import got no answer: {0:?}")]
    Obstacle(Obstacle),
}

fn told(errors: &[LineError], total: u64) -> String {
    let listed: Vec<String> = errors.iter().take(10).map(ToString::to_string).collect();
    let more = total - listed.len() as u64;
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", listed.join("; "))
}

impl Imported {
    /// The body of the answer.
    pub fn to_json(self) -> String {
        let Self { levels, created, counted, left_out } = self;
        match left_out {
            0 => format!(r#"{{"levels":{levels},"created":{created},"counted":{counted}}}"#),
            _ => format!(
                r#"{{"levels":{levels},"created":{created},"counted":{counted},"left_out":{left_out}}}"#
            ),
        }
    }
}

/// The names of imports that have happened and are not known to be applied, in no order.
///
/// While there are any, recovery has to keep every idempotency key, however old: a chunk whose key is forgotten is applied
/// again, over whatever came after it.
pub fn pending(disk: &Arc<dyn Disk>) -> io::Result<Vec<String>> {
    Ok(disk.list()?.into_iter().filter(|name| staged::is_pending(name)).collect())
}

/// An id for an import that has no idempotency key.
pub fn fresh_id() -> u128 {
    // Each state is seeded by the system's randomness.
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    half() << 64 | half()
}

/// The folder in which an import is staged.
#[derive(Debug)]
pub struct Place {
    /// Its files.
    pub disk: Arc<dyn Disk>,
    /// Where nothing is to be kept: a folder that goes with this value.
    temporary: Option<PathBuf>,
}

impl Place {
    /// The data directory; a temporary folder for a service that has none.
    pub fn of(home: Option<&Home>) -> io::Result<Self> {
        if let Some(home) = home {
            return Ok(Self { disk: Arc::clone(&home.disk), temporary: None });
        }
        let path = std::env::temp_dir().join(format!("inventory-import-{:032x}", fresh_id()));
        let disk = Arc::new(Folder::open_or_create(&path)?);
        Ok(Self { disk, temporary: Some(path) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(path) = &self.temporary {
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

#[cfg(test)]
mod tests;
