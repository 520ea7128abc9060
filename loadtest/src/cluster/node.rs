//! One server of a cluster: started, killed with all its processes, and listened to for whether it takes changes.
//!
//! Its log goes to a file beside its data. Dropping it kills it; its other processes end by themselves then.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, ChildStderr};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::{ClusterError, Tools};

/// What a server says when it takes changes.
const TAKES_CHANGES: &str = "database system is ready to accept connections";

/// What a standby says, until it is promoted.
const TAKES_READS: &str = "database system is ready to accept read-only connections";

/// What it says when something of the one before is still there.
const IN_THE_WAY: [&str; 2] = ["pre-existing shared memory block", "Address already in use"];

/// How long that is waited for.
const IN_THE_WAY_MAX: Duration = Duration::from_secs(20);

/// How often processes that were killed are looked for.
const POLL: Duration = Duration::from_millis(1);

/// How long they are looked for: what is killed can only be held up in the kernel.
const GONE_MAX: Duration = Duration::from_secs(10);

/// A server.
#[derive(Debug)]
pub(super) struct Node {
    data: PathBuf,
    log: PathBuf,
    child: Child,
    said: watch::Receiver<Said>,
}

/// What a server has said so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Said {
    takes: Takes,
    /// That something is in the way.
    in_the_way: bool,
    /// Nothing more.
    is_over: bool,
}

/// What a server takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Takes {
    #[default]
    Nothing,
    Reads,
    Changes,
}

impl Node {
    /// Starts a server over its data, and waits until it listens, if only for reads.
    pub(super) async fn start(tools: &Tools, data: PathBuf, port: u16) -> Result<Self, ClusterError> {
        let deadline = Instant::now() + IN_THE_WAY_MAX;
        loop {
            let mut node = Self::spawn(tools, &data, port)?;
            let said = node.hears(|said| said.takes >= Takes::Reads || said.is_over, super::STEP_MAX).await?;
            if said.takes >= Takes::Reads {
                return Ok(node);
            }
            let _gone = node.child.wait().await;
            if !said.in_the_way || Instant::now() > deadline {
                let said = format!("it ended; its log is {}", node.log.display());
                return Err(ClusterError::Failed { program: "postgres", said });
            }
            sleep(super::POLL).await;
        }
    }

    fn spawn(tools: &Tools, data: &Path, port: u16) -> Result<Self, ClusterError> {
        let log = data.with_extension("log");
        let file = File::options().create(true).append(true).open(&log);
        let file = file.map_err(ClusterError::io("making a log of PostgreSQL"))?;
        let mut command = tools.command("postgres");
        command.arg("-D").arg(data).args(["-p", &port.to_string()]);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(ClusterError::io("starting PostgreSQL"))?;
        let (tell, said) = watch::channel(Said::default());
        if let Some(errors) = child.stderr.take() {
            tokio::spawn(follow(errors, file, tell));
        }
        Ok(Self { data: data.to_owned(), log, child, said })
    }

    /// Where its data are.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// What is left of it.
    pub(super) fn into_data(self) -> PathBuf {
        self.data
    }

    /// Waits until it takes changes.
    pub(super) async fn takes_changes(&self, max: Duration) -> Result<(), ClusterError> {
        let said = self.hears(|said| said.takes == Takes::Changes || said.is_over, max).await?;
        if said.takes == Takes::Changes {
            return Ok(());
        }
        let said = format!("it ended; its log is {}", self.log.display());
        Err(ClusterError::Failed { program: "postgres", said })
    }

    async fn hears(&self, wanted: impl FnMut(&Said) -> bool, max: Duration) -> Result<Said, ClusterError> {
        let mut said = self.said.clone();
        let late = || ClusterError::Late {
            what: "PostgreSQL did not take connections",
            max,
            log: self.log.display().to_string(),
        };
        match timeout(max, said.wait_for(wanted)).await {
            Ok(Ok(said)) => Ok(*said),
            // Whoever tells has gone, having said that it is over.
            Ok(Err(_)) => Ok(Said { is_over: true, ..Said::default() }),
            Err(_) => Err(late()),
        }
    }

    /// Ends all its processes at once, as a crash of the machine would: none of them gets to do anything more.
    pub(super) async fn kill(&mut self) {
        let Some(server) = self.child.id().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw) else {
            return;
        };
        // Held still it starts no others, and none of its own is anybody else's, as it reaps none.
        let _ = kill(server, Signal::SIGSTOP);
        let processes = children(server.as_raw());
        for process in &processes {
            let _ = kill(Pid::from_raw(*process), Signal::SIGKILL);
        }
        let deadline = Instant::now() + GONE_MAX;
        while processes.iter().any(|process| is_running(*process)) && Instant::now() < deadline {
            sleep(POLL).await;
        }
        let _ = self.child.start_kill();
        let _gone = self.child.wait().await;
    }
}

/// Writes a log down, and tells what of it matters.
async fn follow(errors: ChildStderr, mut file: File, tell: watch::Sender<Said>) {
    let mut lines = BufReader::new(errors).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        // A log that cannot be written is no reason not to go on reading it.
        let _ = file.write_all(&line).and_then(|()| file.write_all(b"\n"));
        let line = String::from_utf8_lossy(&line);
        tell.send_if_modified(|said| {
            let before = *said;
            if line.contains(TAKES_CHANGES) {
                said.takes = Takes::Changes;
            } else if line.contains(TAKES_READS) {
                said.takes = Takes::Reads;
            }
            said.in_the_way |= IN_THE_WAY.iter().any(|words| line.contains(words));
            *said != before
        });
    }
    tell.send_modify(|said| said.is_over = true);
}

/// The processes whose parent that is, where the system tells; elsewhere none, and they end by themselves when they find it gone.
fn children(parent: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    numbers.filter(|process| state(*process).is_some_and(|(_, of)| of == parent)).collect()
}

/// Whether it is more than a name that nobody has asked for.
fn is_running(process: i32) -> bool {
    state(process).is_some_and(|(state, _)| state != 'Z' && state != 'X')
}

/// The state of a process, and its parent.
fn state(process: i32) -> Option<(char, i32)> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // Its name, in parentheses, may hold anything.
    let (_, rest) = text.rsplit_once(')')?;
    let mut words = rest.split_whitespace();
    Some((words.next()?.chars().next()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn children_are_told_by_their_parent() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(children(own).contains(&pid) && is_running(pid));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!children(own).contains(&pid) && !is_running(pid));
    }
}
