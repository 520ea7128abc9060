//! Where the programs of database servers are. Of the standard library alone, as a build script looks for them, too.

use std::env;
use std::path::{Path, PathBuf};

/// Where Debian keeps PostgreSQL: a folder for each version, none of which is on `PATH`.
pub(crate) const VERSIONS: &str = "/usr/lib/postgresql";

/// `initdb`, beside which are the others of PostgreSQL: the first on `PATH`, or that of the newest version.
pub(crate) fn initdb() -> Option<PathBuf> {
    on_path("initdb").or_else(|| newest(VERSIONS))
}

/// `redis-server`, or Valkey's, which is the same for what is asked of it here.
pub(crate) fn redis() -> Option<PathBuf> {
    on_path("redis-server").or_else(|| on_path("valkey-server"))
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
