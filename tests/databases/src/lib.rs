//! Real database servers for tests: started when a test asks for one, and gone without a trace afterwards.
//!
//! [`postgres`] and [`redis`] are what tests call. The rules:
//!
//! * A server listens on a Unix socket in a temporary folder of its own, so that nothing has a port to be taken and no test can
//!   reach a database that somebody needs. Nothing is synced to disk.
//! * A machine without the programs has not failed a test: it is told on standard error, past the test runner's capture, that
//!   the test was skipped. With [`VARIABLE`] set to `required` it is a failure that names what to install, so that a pipeline
//!   that means to run these tests cannot lose them unnoticed.
//! * Servers never run as root, since PostgreSQL refuses to: where the tests do, they run as `postgres` or `nobody`.

mod daemon;
mod postgres;
mod programs;
mod redis;

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError, Weak};

pub use daemon::StartError;
pub use postgres::{Database, Postgres};
pub use redis::Redis;

/// What says whether the tests need their databases: `required`, or unset.
pub const VARIABLE: &str = "INVENTORY_TEST_DATABASES";

/// The PostgreSQL server that the tests of this process share, started by the first that asks and stopped after the last; `None`
/// if there is none here, which has been told. Each test makes a [`Database`] of its own in it.
///
/// # Panics
///
/// If it does not start, or is missing where it is required.
#[must_use]
pub fn postgres() -> Option<Arc<Postgres>> {
    // Making a cluster takes a second, and statics are never dropped: so it is shared, and owned by the tests that use it.
    static SHARED: Mutex<Weak<Postgres>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(running) = shared.upgrade() {
        return Some(running);
    }
    let started = unless_missing(Postgres::start()).map(Arc::new)?;
    *shared = Arc::downgrade(&started);
    Some(started)
}

/// A Redis server of its own, stopped when it is dropped; `None` if there is none here, which has been told.
///
/// # Panics
///
/// If it does not start, or is missing where it is required.
#[must_use]
pub fn redis() -> Option<Redis> {
    unless_missing(Redis::start())
}

/// What was started, or `None` if it is missing and may be.
///
/// # Panics
///
/// If it could not be started, or is missing where it is required.
#[must_use]
pub fn unless_missing<S>(started: Result<S, StartError>) -> Option<S> {
    let demand = std::env::var(VARIABLE).unwrap_or_default();
    match judged(started, &demand) {
        Ok(Ok(server)) => Some(server),
        Ok(Err(missing)) => {
            let name = std::thread::current().name().unwrap_or("a test").to_owned();
            // Not `eprintln!`, which the test runner keeps to itself if the test passes. If nobody can be told, so be it.
            drop(writeln!(std::io::stderr(), "SKIPPED {name}: {missing}"));
            None
        }
        Err(problem) => panic!("{problem}"),
    }
}

/// The same, for a given value of the variable: the server, or what is missing and may be; or why the test fails. A demand that is
/// misspelt must not pass for none.
fn judged<S>(started: Result<S, StartError>, demand: &str) -> Result<Result<S, String>, String> {
    let is_required = match demand {
        "" => false,
        "required" => true,
        other => return Err(format!("{VARIABLE} is `{other}`: it may be `required`, or unset")),
    };
    match started {
        Ok(server) => Ok(Ok(server)),
        Err(missing @ StartError::Missing { .. }) if !is_required => Ok(Err(missing.to_string())),
        Err(problem) => Err(problem.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing() -> Result<(), StartError> {
        Err(StartError::Missing { program: "initdb", package: "postgresql" })
    }

    #[test]
    fn what_is_missing_is_skipped_unless_it_is_required() {
        let skipped = judged(missing(), "").expect("no failure").unwrap_err();
        assert!(skipped.contains("no initdb on this machine"), "{skipped}");
        let refused = judged(missing(), "required").unwrap_err();
        assert!(refused.contains("initdb") && refused.contains("apt-get install postgresql"), "{refused}");
        assert_eq!(judged(Ok(7), "required"), Ok(Ok(7)));
    }

    #[test]
    fn a_misspelt_demand_is_not_taken_for_none() {
        for demand in ["require", "Required", "1"] {
            assert!(judged(Ok(7), demand).unwrap_err().contains(VARIABLE));
        }
    }

    #[test]
    fn what_does_not_start_is_never_skipped() {
        let failed = || Err::<(), _>(StartError::Ended { program: "postgres", log: "no room".to_owned() });
        assert!(judged(failed(), "").unwrap_err().contains("no room"));
    }

    /// All tests of a process share a server while any of them uses it, each with a database of its own.
    #[test]
    fn one_postgresql_server_is_shared_and_stopped_after_its_last_user() {
        let Some(server) = postgres() else { return };
        let [one, other] = [(); 2].map(|()| server.database().expect("a database"));
        assert_ne!(one.url(), other.url());
        let again = postgres().expect("it runs");
        assert!(Arc::ptr_eq(&server, &again));
        let (id, files) = server.process();
        drop((server, again, one));
        assert_eq!(nix::sys::signal::kill(id, None), Ok(()), "a database keeps it running");
        drop(other);
        assert_eq!(nix::sys::signal::kill(id, None), Err(nix::errno::Errno::ESRCH));
        assert!(!files.exists());
    }

    #[test]
    fn each_redis_server_is_its_own() {
        let Some(one) = redis() else { return };
        let other = redis().expect("another");
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
