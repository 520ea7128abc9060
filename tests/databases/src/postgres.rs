//! A PostgreSQL server: a fresh cluster in a temporary folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::Signal;

use crate::daemon::{self, Daemon, StartError};
use crate::programs;

/// The superuser of a cluster; whoever reaches the socket is trusted.
const USER: &str = "postgres";

/// Settings of a server whose data nobody needs: nothing is synced, and no address but the socket's.
const SETTINGS: [&str; 9] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "listen_addresses=",
    "max_connections=200",
    "shared_buffers=32MB",
    "log_min_messages=warning",
    // Tests make deadlocks on purpose; by default each would cost a second.
    "deadlock_timeout=10ms",
    // So that no row lock that a test holds ends in an error of its own.
    "lock_timeout=0",
];

/// Settings of a server that a test kills: what it has acknowledged is there afterwards.
const DURABLE: [&str; 3] = ["fsync=on", "synchronous_commit=on", "full_page_writes=on"];

/// What a server says when it takes clients.
const READY: &str = "database system is ready to accept connections";

/// How often one is started again while something of the one before is still there.
const RESTARTS_MAX: usize = 100;

/// A running server, stopped and removed when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    daemon: Daemon,
    programs: PathBuf,
    databases: AtomicU32,
    settings: Vec<&'static str>,
}

/// A database of a [`Postgres`], fresh and empty. It keeps its server running.
#[derive(Debug)]
pub struct Database {
    server: Arc<Postgres>,
    name: String,
}

impl Postgres {
    /// Makes a cluster and starts a server over it.
    pub fn start() -> Result<Self, StartError> {
        Self::start_with(SETTINGS.to_vec())
    }

    /// The same, of which a crash takes nothing back that was acknowledged: to be killed, with [`Postgres::kill`].
    pub fn start_durable() -> Result<Self, StartError> {
        Self::start_with([&SETTINGS[..], &DURABLE[..]].concat())
    }

    fn start_with(settings: Vec<&'static str>) -> Result<Self, StartError> {
        let programs = programs::postgres()?;
        let folder = daemon::folder()?;
        let data = folder.path().join("data");
        initialise(&programs, folder.path(), &data)?;
        let command = server(&programs, folder.path(), &settings);
        // An immediate shutdown: there is nothing to write back, and no client to wait for.
        let daemon = Daemon::start(("postgres", command), READY, Signal::SIGQUIT, folder)?;
        Ok(Self { daemon, programs, databases: AtomicU32::new(0), settings })
    }

    /// Ends it as a crash would, at whatever it is.
    pub fn kill(&mut self) -> Result<(), StartError> {
        self.daemon.kill()
    }

    /// Starts it again over what it left. What is left of its processes ends by itself first.
    pub fn restart(&mut self) -> Result<(), StartError> {
        let mut tries = 0;
        loop {
            let command = server(&self.programs, self.daemon.folder(), &self.settings);
            match self.daemon.start_again(("postgres", command), READY) {
                Err(StartError::Ended { .. }) if tries < RESTARTS_MAX => tries += 1,
                started => return started,
            }
        }
    }

    /// The address of the database that each cluster has from the beginning, of a server that is not shared.
    pub fn url(&self) -> String {
        format!("postgresql:///postgres?host={}&user={USER}", self.daemon.folder().display())
    }

    /// Makes a database. Its [`Database::url`] is what clients are given.
    pub fn database(self: &Arc<Self>) -> Result<Database, StartError> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut command = programs::command(&self.programs.join("createdb"), self.daemon.folder());
        command.arg("-h").arg(self.daemon.folder()).args(["-U", USER, &name]);
        finish("createdb", command)?;
        Ok(Database { server: Arc::clone(self), name })
    }

    /// Its process, and the folder of its files.
    #[cfg(test)]
    pub(crate) fn process(&self) -> (nix::unistd::Pid, PathBuf) {
        (self.daemon.id(), self.daemon.folder().to_owned())
    }
}

impl Database {
    /// Its address, as libpq and tokio-postgres read it.
    pub fn url(&self) -> String {
        let folder = self.server.daemon.folder().display();
        format!("postgresql:///{}?host={folder}&user={USER}", self.name)
    }
}

fn server(programs: &Path, folder: &Path, settings: &[&str]) -> Command {
    let mut command = programs::command(&programs.join("postgres"), folder);
    command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    for setting in settings {
        command.args(["-c", setting]);
    }
    command
}

fn initialise(programs: &Path, folder: &Path, data: &Path) -> Result<(), StartError> {
    let mut command = programs::command(&programs.join("initdb"), folder);
    command.arg("-D").arg(data).args(["-U", USER, "--auth=trust", "--encoding=UTF8", "--locale=C"]);
    command.args(["--no-sync", "--no-instructions"]);
    finish("initdb", command)
}

/// Runs a program to its end; what it said, if it fails.
fn finish(program: &'static str, mut command: Command) -> Result<(), StartError> {
    let output = command.output().map_err(StartError::io("starting a program of PostgreSQL"))?;
    if output.status.success() {
        return Ok(());
    }
    let log = [output.stdout, output.stderr].concat();
    Err(StartError::Ended { program, log: String::from_utf8_lossy(&log).into_owned() })
}
