//! The real server in a process of its own, which may be killed and started again over the stock it left.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::Instant;

use axum::http::Method;
use inventory::strategy::StrategyKind;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::app::answer::Answer;
use super::app::{Call, WATCHDOG, client};

/// `inventory serve` on a free port. Killed, by its pid, when dropped.
pub(crate) struct Server {
    process: Child,
    kind: StrategyKind,
    /// Where its stock is; removed with the last that uses it. `None` where it is in memory only.
    data: Option<Arc<TempDir>>,
    client: reqwest::Client,
    /// Its base URL.
    pub(crate) url: String,
}

impl Server {
    /// Over a data directory of its own.
    pub(crate) fn start(kind: StrategyKind) -> Self {
        Self::over(kind, Arc::new(TempDir::new().expect("a temporary folder")))
    }

    /// Over stock that another process left.
    pub(crate) fn over(kind: StrategyKind, data: Arc<TempDir>) -> Self {
        let command = serve_over(kind, &data);
        Self::run(command, kind, Some(data))
    }

    /// The same, with further arguments.
    pub(crate) fn with_arguments(kind: StrategyKind, data: Arc<TempDir>, arguments: &[&str]) -> Self {
        let mut command = serve_over(kind, &data);
        command.args(arguments);
        Self::run(command, kind, Some(data))
    }

    /// With stock in memory only.
    pub(crate) fn ephemeral(kind: StrategyKind) -> Self {
        let mut command = serve(kind);
        command.arg("--ephemeral");
        Self::run(command, kind, None)
    }

    /// Ends it as a crash would, at whatever it is, and starts another over what it left.
    pub(crate) fn kill_and_restart(self) -> Self {
        let kind = self.kind;
        Self::over(kind, self.kill())
    }

    /// `SIGKILL`; returns what it left.
    pub(crate) fn kill(mut self) -> Arc<TempDir> {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
        self.data.take().expect("a data directory")
    }

    /// `SIGTERM`; returns its exit code, and what it said of its end.
    pub(crate) fn terminate(mut self) -> (Option<i32>, String) {
        let pid = i32::try_from(self.process.id()).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
        let mut said = String::new();
        self.process
            .stderr
            .take()
            .expect("standard error is piped")
            .read_to_string(&mut said)
            .expect("a pipe");
        (self.process.wait().expect("it ends").code(), said)
    }

    /// Where its stock is.
    pub(crate) fn data(&self) -> Arc<TempDir> {
        Arc::clone(self.data.as_ref().expect("a data directory"))
    }

    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        Call::new(&self.client, method, &self.url, path)
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).send().await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::PUT, path).json(body).send().await
    }

    /// A POST with an idempotency key.
    pub(crate) async fn post_once(&self, path: &str, key: &str, body: &Value) -> Answer {
        self.call(Method::POST, path).header("idempotency-key", key).json(body).send().await
    }

    fn run(mut command: Command, kind: StrategyKind, data: Option<Arc<TempDir>>) -> Self {
        let mut process = command.stderr(Stdio::piped()).spawn().expect("the server starts");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut url).expect("the server says where it listens");
        let server = Self { process, kind, data, client: client(), url: url.trim().to_owned() };
        server.wait_until_ready();
        server
    }

    /// The address is announced before a long recovery is over, and on a busy machine any may be long.
    fn wait_until_ready(&self) {
        let address = self.url.strip_prefix("http://").expect("a URL");
        let began = Instant::now();
        while !is_ready(address).expect("it listens") {
            assert!(began.elapsed() < WATCHDOG, "it is never ready");
            std::thread::yield_now();
        }
    }
}

fn is_ready(address: &str) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    // One that starts on a full disk is ready for all but changes.
    Ok(answer.starts_with("HTTP/1.1 200 ") || answer.contains("the disk is full"))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// How a server ends that cannot start over that data directory.
pub(crate) fn refused_start(kind: StrategyKind, data: &TempDir) -> Output {
    let mut process = serve_over(kind, data).stderr(Stdio::piped()).spawn().expect("the executable");
    let mut line = String::new();
    let stdout = process.stdout.take().expect("standard output is piped");
    BufReader::new(stdout).read_line(&mut line).expect("a pipe");
    if !line.is_empty() {
        let _ = process.kill();
    }
    let output = process.wait_with_output().expect("an end");
    assert!(line.is_empty(), "it serves at {line}");
    output
}

fn serve_over(kind: StrategyKind, data: &TempDir) -> Command {
    let mut command = serve(kind);
    command.arg("--data-dir").arg(data.path());
    command
}

fn serve(kind: StrategyKind) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_inventory"));
    command.args(["serve", "--listen", "127.0.0.1:0", "--log-format", "text", "--strategy", kind.name()]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}
