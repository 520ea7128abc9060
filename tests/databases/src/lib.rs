//! Real database servers for tests: started when a test asks for one, and gone without a trace afterwards.
//!
//! [`postgres`] and [`redis`] are what tests call. The rules:
//!
//! * A server listens on a Unix socket in a temporary folder of its own, so that nothing has a port to be taken and no test can
//!   reach a database that somebody needs. Nothing is synced to disk.
//! * A machine without the programs has not failed a test: the runner reports each that is marked by [`macro@needs`] as ignored, by
//!   name and with the reason. With `INVENTORY_TEST_DATABASES=required` the tests are not even built, and what to install is named,
//!   so that a pipeline that means to run them cannot lose them unnoticed. One that is run all the same fails.
//! * Servers never run as root, since PostgreSQL refuses to: where the tests do, they run as `postgres` or `nobody`.

mod daemon;
mod found;
mod postgres;
pub mod programs;
mod redis;

use std::sync::{Arc, Mutex, PoisonError, Weak};

pub use daemon::{StartError, give_to_servers};
pub use databases_needs::needs;
pub use postgres::{Database, Postgres};
pub use redis::Redis;

/// The PostgreSQL server that the tests of this process share, started by the first that asks and stopped after the last. Each test makes a [`Database`] of its own in it.
///
/// # Panics
///
/// If it does not start, or is missing.
#[must_use]
pub fn postgres() -> Arc<Postgres> {
    // Making a cluster takes a second, and statics are never dropped: so it is shared, and owned by the tests that use it.
    static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return running;
    }
    let started = Arc::new(started(Postgres::start()));
    *shared = Arc::downgrade(&started);
    started
}

/// A Redis server of its own, stopped when it is dropped.
///
/// # Panics
///
/// If it does not start, or is missing.
#[must_use]
pub fn redis() -> Redis {
    started(Redis::start())
}

/// What was started: where it may be missing nobody asks for it, as the tests that do are ignored.
///
/// # Panics
///
/// If it could not be started, or is missing: then the test lacks [`macro@needs`], or was run although it is ignored.
#[must_use]
pub fn started<S>(started: Result<S, StartError>) -> S {
    started.unwrap_or_else(|problem| panic!("{problem}"))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// All tests of a process share a server while any of them uses it, each with a database of its own.
    #[needs(Postgres)]
    #[test]
    fn one_postgresql_server_is_shared_and_stopped_after_its_last_user() {
        let server = postgres();
        let [one, other] = [(); 2].map(|()| server.database().expect("a database"));
        assert_ne!(one.url(), other.url());
        let again = postgres();
        assert!(Arc::ptr_eq(&server, &again));
        let (id, files) = server.process();
        drop((server, again, one));
        assert_eq!(nix::sys::signal::kill(id, None), Ok(()), "a database keeps it running");
        drop(other);
        assert_eq!(nix::sys::signal::kill(id, None), Err(nix::errno::Errno::ESRCH));
        assert!(!files.exists());
    }

    #[needs(Redis)]
    #[test]
    fn each_redis_server_is_its_own() {
        let one = redis();
        let other = redis();
        assert_ne!(one.url(), other.url());
        for server in [&one, &other] {
            let socket = server.url().replace("redis+unix://", "");
            let mut stream = std::os::unix::net::UnixStream::connect(socket).expect("it listens");
            stream.write_all(b"PING\r\n").expect("it is asked");
            let mut answer = [0; 7];
            std::io::Read::read_exact(&mut stream, &mut answer).expect("it answers");
            assert_eq!(&answer, b"+PONG\r\n");
        }
    }
}
