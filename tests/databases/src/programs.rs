//! Where the programs of database servers are, and who runs them.

use std::env;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};

use crate::daemon::StartError;

/// The folder of PostgreSQL's programs: that of the first `initdb` on `PATH`, or of the newest version where Debian keeps
/// them, which is not on `PATH`.
pub(crate) fn postgres() -> Result<PathBuf, StartError> {
    let missing = StartError::Missing { program: "initdb", package: "postgresql" };
    let initdb = on_path("initdb").or_else(|| newest("/usr/lib/postgresql"));
    // Links on `PATH` may be to this program alone; the others are beside what it is a link to.
    let initdb = initdb.and_then(|program| program.canonicalize().ok()).ok_or(missing)?;
    Ok(initdb.parent().map(Path::to_owned).unwrap_or_default())
}

/// `redis-server`, or Valkey's, which is the same for what is asked of it here.
pub(crate) fn redis() -> Result<PathBuf, StartError> {
    let found = on_path("redis-server").or_else(|| on_path("valkey-server"));
    found.ok_or(StartError::Missing { program: "redis-server", package: "redis-server" })
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// `initdb` of the highest version in a folder that has one folder for each.
fn newest(versions: &str) -> Option<PathBuf> {
    let versions = std::fs::read_dir(versions).ok()?.filter_map(Result::ok);
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let numbered =
        versions.filter_map(|entry| Some((number(&entry.path())?, entry.path().join("bin/initdb"))));
    numbered.filter(|(_, initdb)| initdb.is_file()).max().map(|(_, initdb)| initdb)
}

/// Somebody to run a server as, where the tests run as root; `None` where they do not, and it runs as they do.
pub(crate) fn somebody() -> Option<User> {
    let named = |name| User::from_name(name).ok().flatten();
    Uid::effective().is_root().then(|| named("postgres").or_else(|| named("nobody"))).flatten()
}

/// A command for a server whose files are in that folder: run by somebody who is not root, speaking plain English.
pub(crate) fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    // The folder that the tests run in may be closed to whoever runs the server.
    command.current_dir(folder).env("LC_ALL", "C");
    if let Some(user) = somebody() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}
