//! How many files and connections the process may have open: as many as the system lets it.
//!
//! The limit that a process starts with is a low one, for the sake of old programs that cannot count further; each may raise its own up
//! to a second one, which is the administrator's.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for what is no connection: the files of the log that are read and written, standard streams, the runtime's own.
const FILES: u64 = 128;

/// Raises the limit as far as it may be raised, and says so where it is too low for that many connections at once.
pub fn raise(connections_max: usize) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it cannot be raised (some systems do not take "unlimited"), the one there is counts.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let Some(descriptors) = getrlimit(Resource::Nofile).current else { return };
    if descriptors < FILES + connections_max as u64 {
        tracing::warn!(
            descriptors,
            connections_max,
            "the system lets this process open fewer files than there may be connections: further ones wait"
        );
    }
}
