//! One life of the server after another, on the same data: started on a free port, ended by SIGKILL or SIGTERM.
//!
//! Every life writes its log (stderr) to a file of its own. Whatever happens to this program short of its own SIGKILL,
//! no server outlives it: dropping a life kills it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::store::StoreUrl;
use crate::catalogue::Catalogue;
use crate::client::{Client, ClientError, Options};
use crate::compare::server::{address, isolate};

/// The longest a server may take to stop after SIGTERM before it is killed.
const STOP_MAX: Duration = Duration::from_secs(15);

/// How often `/readyz` is asked: recovery times are known to this.
const POLL: Duration = Duration::from_millis(2);

/// The end of a log in which the last lines are looked for: who waits for a database is asked often whether it is ready, and logs each time.
const LOG_BYTES_MAX: u64 = 4 << 20;

/// What a line holds that is of our own asking.
const OWN_ASKING: &str = "/readyz";

/// The last lines of a log that are quoted.
const LOG_LINES_MAX: usize = 12;

/// How every life is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The server program.
    pub program: PathBuf,
    /// Its strategy; its own default if none is given.
    pub strategy: Option<String>,
    /// Where it keeps its data, the same for all lives.
    pub place: Place,
    /// Where the logs go, a file for each life.
    pub logs: PathBuf,
    /// Further arguments of `serve`.
    pub arguments: Vec<String>,
    /// The longest a life may take from its start to its first `200` on `/readyz`.
    pub recovery_max: Duration,
}

/// Where a server keeps its data.
#[derive(Debug, Clone)]
pub enum Place {
    /// In a directory of its own.
    Folder(PathBuf),
    /// In a database, which it shares with other replicas.
    Database {
        /// Where that is.
        url: StoreUrl,
        /// Its password, if it is not in the address.
        password_file: Option<PathBuf>,
    },
}

/// Why a life did not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The program could not be started.
    #[error("{program} could not be started: {source}; give the server with --server-bin")]
    Spawn {
        /// Which program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no place for its log.
    #[error("the log {path} could not be made: {source}")]
    Log {
        /// Which file.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// It started, but was never ready.
    #[error(
        "start {number} of the server did not become ready: {problem}; the end of its log ({path}):{log}"
    )]
    NotReady {
        /// Which start, from 1.
        number: u32,
        /// What was missing.
        problem: String,
        /// The file of its log.
        path: String,
        /// The last lines of it.
        log: String,
    },
    /// The address it printed is none.
    #[error("the server printed no usable address: {0}")]
    Address(#[from] ClientError),
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    number: u32,
    child: Child,
    started: Instant,
    recovery_max: Duration,
    log: PathBuf,
}

impl Launch {
    /// The database that it shares, without a password; `None` if it has its data for itself.
    pub fn store(&self) -> Option<String> {
        match &self.place {
            Place::Folder(_) => None,
            Place::Database { url, .. } => Some(url.to_string()),
        }
    }

    /// Starts a life. It is not ready yet, and may not even listen.
    pub fn start(&self, number: u32) -> Result<Server, StartError> {
        let log = self.logs.join(format!("life-{number:04}.log"));
        let failed = |source| StartError::Log { path: log.display().to_string(), source };
        let stderr = File::create(&log).map_err(failed)?;
        let mut command = Command::new(&self.program);
        command.args(["serve", "--listen", "127.0.0.1:0"]);
        if let Some(strategy) = &self.strategy {
            command.args(["--strategy", strategy]);
        }
        isolate(&mut command);
        match &self.place {
            Place::Folder(path) => drop(command.arg("--data-dir").arg(path)),
            Place::Database { url, password_file } => {
                // Not an argument, which everybody on the machine may read.
                command.env("INVENTORY_STORE", url.secret());
                if let Some(file) = password_file {
                    command.arg("--store-password-file").arg(file);
                }
            }
        }
        let started = Instant::now();
        let child =
            command.args(&self.arguments).stdout(Stdio::piped()).stderr(stderr).spawn().map_err(
                |source| StartError::Spawn { program: self.program.display().to_string(), source },
            )?;
        Ok(Server { number, child, started, recovery_max: self.recovery_max, log })
    }
}

impl Server {
    /// Which start this is, from 1.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// Its address, as soon as it listens, as a client for the levels of a run.
    pub async fn client(
        &mut self,
        catalogue: &Arc<Catalogue>,
        options: Options,
    ) -> Result<Client, StartError> {
        match timeout_at(self.deadline(), address(&mut self.child)).await {
            Ok(Some(url)) => Ok(Client::new(&url, Arc::clone(catalogue), options)?),
            Ok(None) => {
                // It has ended, or is about to: what it said last is the reason.
                let _ = timeout_at(self.deadline(), self.child.wait()).await;
                Err(self.not_ready("it printed no address"))
            }
            Err(_) => Err(self.not_ready("it printed no address in time")),
        }
    }

    /// Waits until it is ready; answers how long that took from its start.
    pub async fn ready(&mut self, client: &Client) -> Result<Duration, StartError> {
        let deadline = self.deadline();
        let asked = async {
            while !client.get("/readyz").await.is_ok_and(|answer| answer.status == 200) {
                sleep(POLL).await;
            }
        };
        let problem = tokio::select! {
            ready = timeout_at(deadline, asked) => match ready {
                Ok(()) => return Ok(self.started.elapsed()),
                Err(_) => format!("/readyz did not answer 200 within {:?}", self.recovery_max),
            },
            ended = self.child.wait() => format!("it ended with {}", status(ended)),
        };
        Err(self.not_ready(&problem))
    }

    /// Waits until it ends by itself; answers how.
    pub async fn ended(&mut self) -> String {
        status(self.child.wait().await)
    }

    /// How it ended, if it has.
    pub fn has_ended(&mut self) -> Option<String> {
        self.child.try_wait().transpose().map(status)
    }

    /// Sends SIGKILL. It is dead when [`Self::ended`] answers; its connections may break a moment later than this.
    pub fn kill(&mut self) {
        // An error means that it has ended by itself.
        let _ = self.child.start_kill();
    }

    /// Stops it by SIGTERM, which it has to obey with exit code 0; answers what was wrong, if anything was.
    pub async fn terminate(&mut self) -> Option<String> {
        // The child is not reaped before `wait`, so its id cannot belong to anybody else yet.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        match timeout(STOP_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => None,
            Ok(ended) => Some(format!("life {} ended with {} after SIGTERM", self.number, status(ended))),
            Err(_) => {
                let _ = self.child.kill().await;
                Some(format!(
                    "life {} did not stop within {STOP_MAX:?} of SIGTERM and was killed",
                    self.number
                ))
            }
        }
    }

    fn deadline(&self) -> Instant {
        self.started + self.recovery_max
    }

    fn not_ready(&self, problem: &str) -> StartError {
        StartError::NotReady {
            number: self.number,
            problem: problem.to_owned(),
            path: self.log.display().to_string(),
            log: tail(&self.log),
        }
    }
}

fn status(ended: std::io::Result<ExitStatus>) -> String {
    ended.map_or_else(|error| format!("an unknown status ({error})"), |status| status.to_string())
}

/// The last lines of a file, each on a line of its own.
fn tail(path: &Path) -> String {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES_MAX)))?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = read().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_else(|error| format!("(unreadable: {error})"));
    let lines: Vec<&str> = text.lines().filter(|line| !line.contains(OWN_ASKING)).collect();
    let last = &lines[lines.len().saturating_sub(LOG_LINES_MAX)..];
    if last.is_empty() {
        " (empty)".to_owned()
    } else {
        last.iter().flat_map(|line| ["\n  ", line]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_log_is_quoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let lines: Vec<String> = (0..2_000).map(|line| format!("line {line}")).collect();
        let asked = "\nrequest failed route=\"/readyz\" status=503".repeat(20_000);
        std::fs::write(&path, lines.join("\n") + &asked).unwrap();
        let quoted = tail(&path);
        assert!(quoted.ends_with("\n  line 1999"), "{quoted}");
        assert_eq!(quoted.matches('\n').count(), LOG_LINES_MAX);
        std::fs::write(&path, "").unwrap();
        assert_eq!(tail(&path), " (empty)");
    }
}
