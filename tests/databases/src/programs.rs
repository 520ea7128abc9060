//! Where the programs of database servers are, and who runs them. `loadtest crash --fault` finds those of PostgreSQL here as well.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Uid, User};

use crate::daemon::StartError;
use crate::found;

/// The folder of PostgreSQL's programs.
pub fn postgres() -> Result<PathBuf, StartError> {
    let missing = StartError::Missing { program: "initdb", package: "postgresql" };
    // Links on `PATH` may be to this program alone; the others are beside what it is a link to.
    let initdb = found::initdb().and_then(|program| program.canonicalize().ok()).ok_or(missing)?;
    Ok(initdb.parent().map(Path::to_owned).unwrap_or_default())
}

/// Redis' server.
pub(crate) fn redis() -> Result<PathBuf, StartError> {
    found::redis().ok_or(StartError::Missing { program: "redis-server", package: "redis-server" })
}

/// Somebody to run a server as, where the tests run as root; `None` where they do not, and it runs as they do.
#[must_use]
pub fn somebody() -> Option<User> {
    let named = |name| User::from_name(name).ok().flatten();
    Uid::effective().is_root().then(|| named("postgres").or_else(|| named("nobody"))).flatten()
}

/// A command for a server whose files are in that folder: run by somebody who is not root, speaking plain English.
#[must_use]
pub fn command(program: &Path, folder: &Path) -> Command {
    let mut command = Command::new(program);
    // The folder that the tests run in may be closed to whoever runs the server.
    command.current_dir(folder).env("LC_ALL", "C");
    if let Some(user) = somebody() {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}
