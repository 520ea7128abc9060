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

/// What a standby is called by its primary.
const STANDBY: &str = "standby";

/// What a server says when it takes clients.
const READY: &str = "database system is ready to accept connections";

/// The same of a standby, which shows what it has.
const READY_TO_SHOW: &str = "database system is ready to accept read-only connections";

/// How often one is started again while something of the one before is still there.
const RESTARTS_MAX: usize = 100;

/// A running server, stopped and removed when it is dropped.
#[derive(Debug)]
pub struct Postgres {
    daemon: Daemon,
    programs: PathBuf,
    databases: AtomicU32,
    settings: Vec<String>,
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
        Self::start_with(&[&SETTINGS])
    }

    /// The same, of which a crash takes nothing back that was acknowledged: to be killed, with [`Postgres::kill`].
    pub fn start_durable() -> Result<Self, StartError> {
        Self::start_with(&[&SETTINGS, &DURABLE])
    }

    /// The same, of which a change is acknowledged once its [`Postgres::standby`] has it on disk, too: until there is one, none is.
    pub fn start_primary() -> Result<Self, StartError> {
        let waits = format!("synchronous_standby_names={STANDBY}");
        Self::start_with(&[&SETTINGS, &DURABLE, &[&waits]])
    }

    fn start_with(settings: &[&[&str]]) -> Result<Self, StartError> {
        let settings: Vec<String> = settings.concat().into_iter().map(str::to_owned).collect();
        let programs = programs::postgres()?;
        let folder = daemon::folder()?;
        let data = folder.path().join("data");
        initialise(&programs, folder.path(), &data)?;
        let command = server(&programs, folder.path(), &settings);
        // An immediate shutdown: there is nothing to write back, and no client to wait for.
        let daemon = Daemon::start(("postgres", command), READY, Signal::SIGQUIT, folder)?;
        Ok(Self { daemon, programs, databases: AtomicU32::new(0), settings })
    }

    /// A standby of this one, which shows what it has and takes no changes.
    pub fn standby(&self) -> Result<Self, StartError> {
        let folder = daemon::folder()?;
        let mut copy = programs::command(&self.programs.join("pg_basebackup"), folder.path());
        copy.arg("-D").arg(folder.path().join("data")).args(["-R", "-X", "stream", "--checkpoint=fast"]);
        copy.arg("--no-sync").arg("-h").arg(self.daemon.folder()).args(["-U", USER]);
        finish("pg_basebackup", copy)?;
        // By the name of its cluster it is known to the primary.
        let mut settings: Vec<String> =
            [&SETTINGS[..], &DURABLE[..]].concat().into_iter().map(str::to_owned).collect();
        settings.push(format!("cluster_name={STANDBY}"));
        let command = server(&self.programs, folder.path(), &settings);
        let daemon = Daemon::start(("postgres", command), READY_TO_SHOW, Signal::SIGQUIT, folder)?;
        Ok(Self { daemon, programs: self.programs.clone(), databases: AtomicU32::new(0), settings })
    }

    /// Makes a standby the one that takes changes.
    pub fn promote(&self) -> Result<(), StartError> {
        let mut command = programs::command(&self.programs.join("pg_ctl"), self.daemon.folder());
        command.arg("-D").arg(self.daemon.folder().join("data")).args(["-w", "promote"]);
        finish("pg_ctl", command)
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

    /// The folder of its socket, which is a host of its address.
    pub fn socket(&self) -> PathBuf {
        self.daemon.folder().to_owned()
    }

    /// Makes a database. Its [`Database::url`] is what clients are given.
    pub fn database(self: &Arc<Self>) -> Result<Database, StartError> {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut command = programs::command(&self.programs.join("createdb"), self.daemon.folder());
        command.arg("-h").arg(self.daemon.folder()).args(["-U", USER, &name]);
        finish("createdb", command)?;
        Ok(Database { server: Arc::clone(self), name })
    }

    /// Makes a database whose tables are in that folder, which is empty and belongs to whoever runs the servers. What is in it is gone with the folder.
    pub fn database_in(self: &Arc<Self>, tablespace: &str, folder: &Path) -> Result<Database, StartError> {
        let make = format!("CREATE TABLESPACE {tablespace} LOCATION '{}'", folder.display());
        let mut command = programs::command(&self.programs.join("psql"), self.daemon.folder());
        command.arg("-h").arg(self.daemon.folder()).args(["-U", USER, "-d", "postgres", "-c", &make]);
        finish("psql", command)?;
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let mut command = programs::command(&self.programs.join("createdb"), self.daemon.folder());
        command.arg("-h").arg(self.daemon.folder()).args(["-U", USER, "-D", tablespace, &name]);
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

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The folder of the socket of its server.
    pub fn socket(&self) -> PathBuf {
        self.server.socket()
    }
}

fn server(programs: &Path, folder: &Path, settings: &[String]) -> Command {
    let mut command = programs::command(&programs.join("postgres"), folder);
    command.arg("-D").arg(folder.join("data")).arg("-k").arg(folder);
    for setting in settings {
        command.arg("-c").arg(setting);
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
