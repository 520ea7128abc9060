//! [`Nginx`]: nginx in front of services, over a socket of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use super::checker::NGINX;

/// Nothing here takes that long: what does hangs.
const WATCHDOG: Duration = Duration::from_secs(20);

/// nginx, until it is dropped.
pub(crate) struct Nginx {
    process: Child,
    folder: TempDir,
}

impl Nginx {
    /// With a configuration that is told a folder for all it writes, and the socket it is to listen at; it has to stay in the foreground, as one process. `None` where
    /// there is no nginx.
    pub(crate) async fn start(configuration: impl FnOnce(&str, &str) -> String) -> Option<Self> {
        let folder = TempDir::new().expect("a folder");
        let path = folder.path().join("nginx.conf");
        let socket = socket_in(folder.path());
        let place = folder.path().to_str().expect("a path");
        fs::write(&path, configuration(place, socket.to_str().expect("a path"))).expect("a file");
        let process = NGINX.start(&["-c", path.to_str().expect("a path"), "-e", "stderr"])?;
        let nginx = Self { process, folder };
        let is_there = async {
            while UnixStream::connect(nginx.socket()).await.is_err() {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(WATCHDOG, is_there).await.expect("nginx listens");
        Some(nginx)
    }

    fn socket(&self) -> PathBuf {
        socket_in(self.folder.path())
    }

    /// All that comes of these bytes, until either side has enough.
    pub(crate) async fn answers(&self, bytes: &[u8]) -> String {
        let mut connection = UnixStream::connect(self.socket()).await.expect("nginx listens");
        // It may answer, and close, before it has all.
        let _closed = connection.write_all(bytes).await;
        let _closed = connection.shutdown().await;
        let mut all = Vec::new();
        let _reset = timeout(WATCHDOG, connection.read_to_end(&mut all)).await.expect("an end");
        String::from_utf8_lossy(&all).into_owned()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn socket_in(folder: &Path) -> PathBuf {
    folder.join("socket")
}
