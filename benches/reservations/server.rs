//! The server that is measured: a process of its own over a data directory of its own, and what the system says of it.
//!
//! It is killed, by its pid, when it is dropped, and its directory removed. Linux only: `/proc` is read.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};
use tempfile::TempDir;

use super::client::Connection;

/// What each level begins with: more than is ever taken.
const UNITS: u64 = 1_000_000_000;

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    process: Child,
    pub(crate) address: SocketAddr,
    /// On the disk of the target folder: what is temporary elsewhere may be in memory.
    _data: TempDir,
}

impl Server {
    /// `inventory serve`, durable, with that many levels. `SERVER` in the environment names another binary.
    pub(crate) async fn with_levels(levels: u64) -> io::Result<Self> {
        let server = Self::start()?;
        let mut lines = String::new();
        for level in 0..levels {
            let _ = writeln!(lines, r#"{{"sku":"{}","on_hand":{UNITS}}}"#, sku(level));
        }
        let mut connection = Connection::open(server.address).await?;
        connection.post("/v1/import", "application/x-ndjson", &lines).await?.body_of(200)?;
        Ok(server)
    }

    fn start() -> io::Result<Self> {
        let data = TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?;
        let binary = std::env::var_os("SERVER").unwrap_or_else(|| env!("CARGO_BIN_EXE_inventory").into());
        let mut command = Command::new(binary);
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data-dir"]).arg(data.path());
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut url = String::new();
        let stdout = process.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        let address = BufReader::new(stdout).read_line(&mut url).and_then(|_| {
            let address = url.trim().strip_prefix("http://").and_then(|address| address.parse().ok());
            address.ok_or_else(|| io::Error::other("the server did not say where it listens"))
        });
        match address {
            Ok(address) => Ok(Self { process, address, _data: data }),
            Err(error) => {
                process.kill()?;
                process.wait()?;
                Err(error)
            }
        }
    }

    /// The memory it has, in bytes.
    pub(crate) fn resident_bytes(&self) -> io::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next());
        let kib: Option<u64> = kib.and_then(|kib| kib.parse().ok());
        kib.map(|kib| kib * 1024).ok_or_else(|| io::Error::other("its memory is not told"))
    }

    /// The CPU time it took until now.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id()))?;
        // After the name, which may hold spaces: the state, and ten more, before user and system time.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
        let ticks: Option<u64> =
            fields.and_then(|fields| fields.map(|field| field.parse::<u64>().ok()).sum());
        let per_second = sysconf(SysconfVar::CLK_TCK)?.and_then(|ticks| u64::try_from(ticks).ok());
        let (ticks, per_second) =
            ticks.zip(per_second).ok_or_else(|| io::Error::other("its CPU time is not told"))?;
        Ok(Duration::from_millis(ticks * 1_000 / per_second))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The name of a level.
pub(crate) fn sku(level: u64) -> String {
    format!("S-{level:07}")
}

/// One of so many levels, for the `nth` time: all of them equally often, in no order.
pub(crate) fn pick(nth: u64, levels: u64) -> u64 {
    (nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24) % levels
}
