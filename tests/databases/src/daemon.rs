//! A server process: started, waited for until it says that it is ready, and stopped when it is dropped.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::chown;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::programs;

/// How many of its last lines are quoted if a server ends before it is ready.
const LOG_LINES_MAX: usize = 30;

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program is not on this machine.
    #[error(
        "there is no {program} on this machine: `apt-get install {package}`, or what your system calls it"
    )]
    Missing {
        /// What was looked for.
        program: &'static str,
        /// Debian's package that has it.
        package: &'static str,
    },
    /// It ended before it was ready.
    #[error("{program} did not start:\n{log}")]
    Ended {
        /// What was started.
        program: &'static str,
        /// The last lines that it wrote.
        log: String,
    },
    /// A file or a process could not be made.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl StartError {
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// A running server and its files.
#[derive(Debug)]
pub(crate) struct Daemon {
    child: Child,
    /// Sent to stop it.
    stop: Signal,
    /// Removed after it.
    folder: TempDir,
}

/// A temporary folder that whoever runs the servers may write to.
pub(crate) fn folder() -> Result<TempDir, StartError> {
    let folder = tempfile::tempdir().map_err(StartError::io("making a temporary folder"))?;
    give_to_servers(folder.path())?;
    Ok(folder)
}

/// Lets whoever runs the servers write to that folder.
pub fn give_to_servers(folder: &Path) -> Result<(), StartError> {
    let Some(user) = programs::somebody() else { return Ok(()) };
    let (user, group) = (user.uid.as_raw(), user.gid.as_raw());
    chown(folder, Some(user), Some(group)).map_err(StartError::io("giving a folder away"))
}

impl Daemon {
    /// Starts a server over a folder, and waits until a line of what it writes holds `ready`. Nothing is timed: a server that
    /// fails ends, and so does its output.
    pub(crate) fn start(
        (name, mut command): (&'static str, Command),
        ready: &'static str,
        stop: Signal,
        folder: TempDir,
    ) -> Result<Self, StartError> {
        // Both streams into one pipe: servers differ in where they write their log.
        let (log, writer) = io::pipe().map_err(StartError::io("making a pipe"))?;
        let errors = writer.try_clone().map_err(StartError::io("making a pipe"))?;
        command.stdin(Stdio::null()).stdout(writer).stderr(errors);
        let child = command.spawn().map_err(StartError::io("starting a server"))?;
        // The command holds the writing ends, without which the log ends when the server does.
        drop(command);
        let daemon = Self { child, stop, folder };
        await_line(log, ready).map_err(|log| StartError::Ended { program: name, log })?;
        Ok(daemon)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its process.
    #[cfg(test)]
    pub(crate) fn id(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).unwrap())
    }
}

impl Daemon {
    /// Kills it, as a crash would, and waits until it has gone.
    pub(crate) fn kill(&mut self) -> Result<(), StartError> {
        self.child.kill().map_err(StartError::io("killing a server"))?;
        self.child.wait().map_err(StartError::io("waiting for a server")).map(drop)
    }

    /// Starts a server over the folder that it left.
    pub(crate) fn start_again(
        &mut self,
        (name, mut command): (&'static str, Command),
        ready: &'static str,
    ) -> Result<(), StartError> {
        let (log, writer) = io::pipe().map_err(StartError::io("making a pipe"))?;
        let errors = writer.try_clone().map_err(StartError::io("making a pipe"))?;
        command.stdin(Stdio::null()).stdout(writer).stderr(errors);
        self.child = command.spawn().map_err(StartError::io("starting a server"))?;
        drop(command);
        await_line(log, ready).map_err(|log| StartError::Ended { program: name, log })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The process is not waited for yet, so its id is its own. If it is gone, that is what was wanted.
        if let Ok(id) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(id), self.stop);
        }
        drop(self.child.wait());
    }
}

/// Waits for a line that holds `ready`; or the last lines, if the log ends before. A thread reads on to the end, so that the
/// server is never held up by a full pipe.
fn await_line(log: impl Read + Send + 'static, ready: &'static str) -> Result<(), String> {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut last, mut is_ready) = (VecDeque::new(), false);
        for line in BufReader::new(log).split(b'\n').map_while(Result::ok) {
            let line = String::from_utf8_lossy(&line).into_owned();
            if is_ready {
                continue;
            }
            if line.contains(ready) {
                is_ready = true;
                drop(tell.send(Ok(())));
                continue;
            }
            if last.len() == LOG_LINES_MAX {
                last.pop_front();
            }
            last.push_back(line);
        }
        drop(tell.send(Err(Vec::from(last).join("\n"))));
    });
    told.recv().unwrap_or_else(|_| Err(String::new()))
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    fn shell(script: &str) -> (&'static str, Command) {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        ("sh", command)
    }

    #[test]
    fn a_server_that_ends_before_it_is_ready_is_quoted() {
        let script = "for n in $(seq 100); do echo line $n; done; echo no room >&2; exit 1";
        let started = Daemon::start(shell(script), "ready", Signal::SIGKILL, folder().unwrap());
        let said = started.unwrap_err().to_string();
        assert!(said.ends_with("line 100\nno room") && !said.contains("line 71\n"), "{said}");
    }

    /// It is stopped by the signal that it wants, which it gets to see.
    #[test]
    fn what_is_dropped_is_stopped_and_its_files_are_gone() {
        let witness = tempfile::NamedTempFile::new().unwrap();
        let script = format!(
            "trap 'echo quit > {}; exit' QUIT; echo ready; while :; do sleep 0.01; done",
            witness.path().display()
        );
        let daemon = Daemon::start(shell(&script), "ready", Signal::SIGQUIT, folder().unwrap()).unwrap();
        let (id, files) = (daemon.id(), daemon.folder().to_owned());
        assert!(kill(id, None).is_ok() && files.is_dir());
        drop(daemon);
        assert_eq!(kill(id, None), Err(Errno::ESRCH));
        assert!(!files.exists());
        assert_eq!(std::fs::read_to_string(witness.path()).unwrap(), "quit\n");
    }
}
