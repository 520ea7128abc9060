//! A Redis server: in memory, over a socket in a temporary folder.

use nix::sys::signal::Signal;

use crate::daemon::{self, Daemon, StartError};
use crate::programs;

/// A running server, stopped and removed when it is dropped.
#[derive(Debug)]
pub struct Redis {
    daemon: Daemon,
}

impl Redis {
    /// Starts a server that keeps nothing.
    pub fn start() -> Result<Self, StartError> {
        let program = programs::redis()?;
        let folder = daemon::folder()?;
        let mut command = programs::command(&program, folder.path());
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no"]);
        command.arg("--unixsocket").arg(folder.path().join(SOCKET)).arg("--dir").arg(folder.path());
        // Said in two ways by different versions.
        let ready = "eady to accept connections";
        Ok(Self { daemon: Daemon::start(("redis-server", command), ready, Signal::SIGKILL, folder)? })
    }

    /// Its address, as clients of Redis read it.
    pub fn url(&self) -> String {
        format!("redis+unix://{}", self.daemon.folder().join(SOCKET).display())
    }
}

const SOCKET: &str = "redis.sock";
