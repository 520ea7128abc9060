//! How many files and connections the process may have open: as many as the system lets it.
//!
//! The limit that a process starts with is a low one, for the sake of old programs that cannot count further; each may raise its own up
//! to a second one, which is the administrator's. Connections leave some for the log: who floods the service with them does not
//! keep it from writing.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for what is no connection: the files of the log that are read and written, standard streams, the runtime's own.
const FILES: u64 = 128;

/// Raises the limit as far as it may be raised. Returns how many connections there may be at once, at most `wanted`, and says so where
/// they are fewer.
pub fn for_connections(wanted: usize) -> usize {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // Where it cannot be raised (some systems do not take "unlimited"), the one there is counts.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let Some(descriptors) = getrlimit(Resource::Nofile).current else { return wanted };
    let connections = share(descriptors, wanted);
    if connections < wanted {
        tracing::warn!(
            descriptors,
            connections,
            "the system lets this process open too few files for all connections there may be: further ones wait"
        );
    }
    connections
}

/// The connections' part of so many descriptors: what the log leaves, and of very few half.
fn share(descriptors: u64, wanted: usize) -> usize {
    let connections = descriptors.saturating_sub(FILES).max(descriptors / 2).max(1);
    usize::try_from(connections).unwrap_or(usize::MAX).min(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_descriptors_for_the_log() {
        let shares = [1_000_000, 10_128, 1_024, 200, 48, 0].map(|descriptors| share(descriptors, 10_000));
        assert_eq!(shares, [10_000, 10_000, 896, 100, 24, 1]);
    }
}
