//! The real server in a process of its own.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use inventory::strategy::Kind;
use tempfile::TempDir;

/// `inventory serve` on a free port. Killed, by its pid, when dropped.
pub(crate) struct Server {
    process: Child,
    /// Where its stock is; removed with it.
    data: TempDir,
    /// Its base URL.
    pub(crate) url: String,
}

impl Server {
    pub(crate) fn start(kind: Kind) -> Self {
        let data = TempDir::new().expect("a temporary folder");
        let mut process = Command::new(env!("CARGO_BIN_EXE_inventory"))
            .args(["serve", "--listen", "127.0.0.1:0", "--strategy", kind.name(), "--data-dir"])
            .arg(data.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the server starts");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut url).expect("the server says where it listens");
        Self { process, data, url: url.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
