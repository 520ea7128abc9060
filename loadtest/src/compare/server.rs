//! A server of one's own: started on a free port, stopped by SIGTERM, and never left behind.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::catalogue::Catalogue;
use crate::client::{Client, ClientError, Options, credential};

/// The longest a server may take from its start to its first `200` on `/readyz`.
const START_MAX: Duration = Duration::from_secs(15);

/// The longest a server may take to stop after SIGTERM before it is killed.
const STOP_MAX: Duration = Duration::from_secs(10);

/// How often `/readyz` is asked.
const POLL: Duration = Duration::from_millis(10);

/// Lines of the server's log that are kept for an error message.
const LOG_LINES_MAX: usize = 5;

/// A strategy, as the server lists it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Strategy {
    /// Its name on the server's command line.
    pub name: String,
    /// Whether it keeps the promises; the negative control does not.
    pub correct: bool,
}

/// Why a server could not be used.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program could not be started.
    #[error("{program} could not be started: {source}; give the server with --server-bin")]
    Spawn {
        /// Which program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// There is no place for its data.
    #[error("no data directory could be made in {folder}: {source}; name another folder with --data-in")]
    Folder {
        /// In which folder.
        folder: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// `strategies --json` did not list strategies.
    #[error("{program} strategies --json gave no list of strategies: {problem}; is it the inventory server?")]
    List {
        /// Which program.
        program: String,
        /// What was wrong.
        problem: String,
    },
    /// It started, but never served.
    #[error("the server with strategy {strategy} did not become ready: {problem}{log}")]
    NotReady {
        /// Its strategy.
        strategy: String,
        /// What was missing.
        problem: String,
        /// The last lines of its log.
        log: String,
    },
    /// The address it printed is none.
    #[error("the server printed no usable address: {0}")]
    Address(#[from] ClientError),
}

/// Asks a server program which strategies it has.
pub async fn strategies(program: &Path) -> Result<Vec<Strategy>, ServerError> {
    let name = program.display().to_string();
    let list =
        Command::new(program).args(["strategies", "--json"]).stdin(Stdio::null()).kill_on_drop(true).output();
    let problem = |problem: String| ServerError::List { program: name.clone(), problem };
    let output = match timeout(START_MAX, list).await {
        Ok(Ok(output)) => output,
        Ok(Err(source)) => return Err(ServerError::Spawn { program: name, source }),
        Err(_) => return Err(problem("it did not end".to_owned())),
    };
    if !output.status.success() {
        return Err(problem(format!("it ended with {}", output.status)));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| problem(error.to_string()))
}

/// Where a server keeps its stock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Storage {
    /// In a data directory, as the service does unless it is told otherwise.
    Durable,
    /// In memory.
    Ephemeral,
}

/// How a server is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// The program.
    pub program: PathBuf,
    /// The strategy.
    pub strategy: Strategy,
    /// Where it keeps its stock: a durable one gets a fresh data directory, which is removed after it.
    pub storage: Storage,
    /// Where data directories are made; the system's folder for temporary files if not given.
    pub folder: Option<PathBuf>,
    /// Further arguments of `serve`.
    pub arguments: Vec<String>,
}

impl Launch {
    fn data(&self) -> Result<Option<TempDir>, ServerError> {
        if self.storage == Storage::Ephemeral {
            return Ok(None);
        }
        let folder = data_folder(self.folder.as_deref());
        let made = tempfile::Builder::new().prefix("loadtest-compare-").tempdir_in(&folder);
        made.map(Some).map_err(|source| ServerError::Folder { folder: folder.display().to_string(), source })
    }

    fn command(&self, data: Option<&TempDir>) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["serve", "--strategy", &self.strategy.name, "--listen", "127.0.0.1:0"]);
        match data {
            // A folder in it: the server makes its own, as it likes it.
            Some(data) => command.arg("--data-dir").arg(data.path().join("data")),
            None => command.arg("--ephemeral"),
        };
        if !self.strategy.correct {
            command.arg("--allow-racy");
        }
        command.args(&self.arguments);
        command
    }
}

/// The folder that data directories are made in.
pub fn data_folder(wanted: Option<&Path>) -> PathBuf {
    wanted.map_or_else(std::env::temp_dir, Path::to_path_buf)
}

/// A running server. Dropping it kills it, and removes its data.
#[derive(Debug)]
pub struct ServerProcess {
    child: Child,
    pid: u32,
    url: String,
    strategy: String,
    /// After the child, so that it is removed after it was killed.
    _data: Option<TempDir>,
}

impl ServerProcess {
    /// Starts a server on a free port, and waits until it is ready.
    pub async fn start(launch: &Launch) -> Result<Self, ServerError> {
        let Launch { program, strategy, .. } = launch;
        let data = launch.data()?;
        let mut command = launch.command(data.as_ref());
        isolate(&mut command);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| ServerError::Spawn { program: program.display().to_string(), source })?;
        let log = Log::default();
        if let Some(stderr) = child.stderr.take() {
            tokio::spawn(log.clone().follow(BufReader::new(stderr).lines()));
        }
        let not_ready = |problem: String| ServerError::NotReady {
            strategy: strategy.name.clone(),
            problem,
            log: log.text(),
        };
        let deadline = Instant::now() + START_MAX;
        let url = match timeout_at(deadline, address(&mut child)).await {
            Ok(Some(url)) => url,
            Ok(None) => {
                // It has ended, or is about to: what it said last is the reason.
                let _ = timeout_at(deadline, child.wait()).await;
                return Err(not_ready("it printed no address".to_owned()));
            }
            Err(_) => return Err(not_ready(format!("no address within {START_MAX:?}"))),
        };
        let pid = child.id().ok_or_else(|| not_ready("it ended at once".to_owned()))?;
        let server = Self { child, pid, url, strategy: strategy.name.clone(), _data: data };
        match timeout_at(deadline, server.ready()).await {
            Ok(ready) => ready.map(|()| server),
            Err(_) => Err(not_ready(format!("/readyz did not answer 200 within {START_MAX:?}"))),
        }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Stops it: SIGTERM, and after a while SIGKILL. Answers a remark if it did not stop as it should.
    pub async fn stop(&mut self) -> Option<String> {
        // The child is not reaped before `wait`, so its id cannot belong to anybody else yet.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let strategy = &self.strategy;
        match timeout(STOP_MAX, self.child.wait()).await {
            Ok(Ok(status)) if status.success() => None,
            Ok(Ok(status)) => Some(format!("the server with strategy {strategy} ended with {status}")),
            Ok(Err(error)) => {
                Some(format!("the server with strategy {strategy} could not be awaited: {error}"))
            }
            Err(_) => {
                let _ = self.child.kill().await;
                Some(format!(
                    "the server with strategy {strategy} did not stop within {STOP_MAX:?} and was killed"
                ))
            }
        }
    }

    async fn ready(&self) -> Result<(), ServerError> {
        let catalogue = Arc::new(Catalogue::default());
        let client = Client::new(&self.url, catalogue, Options { connections: 1, timeout: START_MAX })?;
        loop {
            if client.get("/readyz").await.is_ok_and(|answer| answer.status == 200) {
                return Ok(());
            }
            sleep(POLL).await;
        }
    }
}

/// Makes a server of its own out of a command: nobody else stops it, configures it or is left with it.
pub fn isolate(command: &mut Command) {
    // Ctrl-C on a terminal goes to the whole process group. The server must outlast it until what it did has been
    // read back and verified; it is stopped by this program alone.
    command.process_group(0);
    // Settings meant for another server must not reach this one.
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("INVENTORY_"))
    {
        command.env_remove(name);
    }
    // It knows keys by their digests.
    command.env_remove(credential::VARIABLE);
    // What it logs is shown to people.
    command.env("INVENTORY_LOG_FORMAT", "text");
    command.stdin(Stdio::null()).kill_on_drop(true);
}

/// The first line on its stdout. The rest is read and thrown away, so that the server never blocks on a full pipe.
pub async fn address(child: &mut Child) -> Option<String> {
    let mut lines = BufReader::new(child.stdout.take()?).lines();
    let line = lines.next_line().await.ok().flatten()?;
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    Some(line.trim().to_owned())
}

/// The last lines of a log.
#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    async fn follow<R: AsyncBufRead + Unpin>(self, mut lines: Lines<R>) {
        while let Ok(Some(line)) = lines.next_line().await {
            let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == LOG_LINES_MAX {
                kept.pop_front();
            }
            kept.push_back(line);
        }
    }

    fn text(&self) -> String {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().flat_map(|line| ["\n  ", line]).collect()
    }
}
