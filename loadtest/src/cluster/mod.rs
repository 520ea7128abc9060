//! A PostgreSQL of our own, to be killed: one server, or a primary and a standby that each commit waits for.
//!
//! Everything is in one folder and listens on loopback alone, for who knows a password that was drawn for it. What is acknowledged is on disk, and
//! on that of the standby. It never touches a server that it did not start, and none outlives it.

mod node;

use std::io::Write as _;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{OpenOptionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use databases::programs;
use rand::RngExt;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

use node::Node;

use crate::crash::store::StoreUrl;

/// The superuser.
const USER: &str = "postgres";

/// The database that the service is given.
const DATABASE: &str = "inventory";

/// Ports are drawn from these: below those that a system gives to whoever connects to somewhere, so that nobody has the port of a server while that is down.
const PORTS: std::ops::Range<u16> = 15_000..30_000;

/// How many ports are tried.
const PORTS_TRIED: usize = 200;

/// The longest a program may take that makes or copies a cluster, or that a server takes to be there.
const STEP_MAX: Duration = Duration::from_mins(2);

/// How often it is asked whether a standby has come so far.
const POLL: Duration = Duration::from_millis(50);

/// Settings of every server. Who commits waits for the disk: that is the default, and said here since it is what is tried.
const SETTINGS: &str = "\
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 64MB
fsync = on
full_page_writes = on
synchronous_commit = on
wal_level = replica
hot_standby = on
# A standby that is copied while there is load has to find what came meanwhile.
wal_keep_size = 512MB
";

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Fault {
    /// The primary is killed, and started again on its data.
    Restart,
    /// The primary is killed, and its synchronous standby promoted; the next time that one is the primary, with a fresh standby.
    Failover,
}

/// Why there is no database, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// PostgreSQL is not on this machine, or nobody may run it.
    #[error(transparent)]
    Missing(#[from] databases::StartError),
    /// A file or a process could not be made.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system says.
        source: std::io::Error,
    },
    /// No port is free.
    #[error("no port between {} and {} is free", PORTS.start, PORTS.end)]
    NoPort,
    /// A program of PostgreSQL failed.
    #[error("{program} failed: {said}")]
    Failed {
        /// Which.
        program: &'static str,
        /// What it said.
        said: String,
    },
    /// Something did not come in time.
    #[error("{what} within {max:?}; the log is {log}")]
    Late {
        /// What did not.
        what: &'static str,
        /// How long it was waited for.
        max: Duration,
        /// Where to look.
        log: String,
    },
}

impl ClusterError {
    /// Whether it says in which log to look.
    pub fn has_a_log(&self) -> bool {
        matches!(self, Self::Failed { program: "postgres", .. } | Self::Late { .. })
    }

    fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

impl Fault {
    /// As the command line has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Failover => "failover",
        }
    }
}

/// A running database.
#[derive(Debug)]
pub struct Cluster {
    fault: Fault,
    tools: Tools,
    /// Of the two places, of which the second is used by a standby alone.
    ports: [u16; 2],
    /// Which of them is the primary's.
    primary: usize,
    nodes: [Option<Node>; 2],
    /// How many standbys there were.
    standbys: u32,
}

/// What programs of PostgreSQL are run with.
#[derive(Debug)]
struct Tools {
    programs: PathBuf,
    folder: PathBuf,
    password: String,
    password_file: PathBuf,
}

impl Cluster {
    /// Makes a cluster in a folder, which whoever runs PostgreSQL has to be able to reach, and starts its primary.
    pub async fn start(fault: Fault, folder: &Path) -> Result<Self, ClusterError> {
        let tools = Tools::new(programs::postgres()?, folder)?;
        let ports = free_ports()?;
        let data = folder.join("server-1");
        tools.initialise(&data).await?;
        let primary = Node::start(&tools, data, ports[0]).await?;
        let cluster = Self { fault, tools, ports, primary: 0, nodes: [Some(primary), None], standbys: 0 };
        cluster.nodes[0].as_ref().expect("it was started").takes_changes(STEP_MAX).await?;
        cluster.ask(&format!("CREATE DATABASE {DATABASE}")).await?;
        Ok(cluster)
    }

    /// The address of the database, at whichever of its servers takes changes; the password is in a file.
    pub fn url(&self) -> StoreUrl {
        let hosts = match self.fault {
            Fault::Restart => &self.ports[..1],
            Fault::Failover => &self.ports[..],
        };
        let hosts: Vec<String> = hosts.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let url = format!("postgres://{USER}@{}/{DATABASE}?target_session_attrs=read-write", hosts.join(","));
        url.parse().expect("it begins as one")
    }

    /// Where the password is.
    pub fn password_file(&self) -> &Path {
        &self.tools.password_file
    }

    /// Sees to it that what is killed next can come back: for a failover that there is a standby, and that from here on each commit waits for it.
    pub async fn arm(&mut self) -> Result<(), ClusterError> {
        let other = 1 - self.primary;
        if self.fault == Fault::Restart || self.nodes[other].is_some() {
            return Ok(());
        }
        self.standbys += 1;
        let name = format!("standby_{}", self.standbys);
        let data = self.tools.folder.join(format!("server-{}", self.standbys + 1));
        self.tools.copy(self.ports[self.primary], &data, &name).await?;
        self.nodes[other] = Some(Node::start(&self.tools, data, self.ports[other]).await?);
        let row = format!("FROM pg_stat_replication WHERE application_name = '{name}'");
        self.until(&format!("SELECT count(*) {row} AND state = 'streaming'")).await?;
        self.ask(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'")).await?;
        self.ask("SELECT pg_reload_conf()").await?;
        self.until(&format!("SELECT count(*) {row} AND sync_state = 'sync'")).await?;
        // What was committed before it was waited for has to be there as well.
        let newest = self.ask("SELECT pg_current_wal_flush_lsn()").await?;
        self.until(&format!("SELECT count(*) {row} AND flush_lsn >= '{newest}'")).await
    }

    /// Kills the primary as a crash would, all of its processes at once. They are gone when this answers.
    pub async fn strike(&mut self) {
        if let Some(mut node) = self.nodes[self.primary].take() {
            node.kill().await;
            if self.fault == Fault::Restart {
                self.nodes[self.primary] = Some(node);
            }
        }
    }

    /// Has another primary take over, or the same again, and waits until it takes changes.
    pub async fn recover(&mut self) -> Result<(), ClusterError> {
        match self.fault {
            Fault::Restart => {
                let Some(node) = self.nodes[self.primary].take() else { return Ok(()) };
                let node = Node::start(&self.tools, node.into_data(), self.ports[self.primary]).await?;
                self.nodes[self.primary].insert(node).takes_changes(STEP_MAX).await
            }
            Fault::Failover => {
                self.primary = 1 - self.primary;
                let Some(node) = &self.nodes[self.primary] else { return Ok(()) };
                // That it takes changes is seen sooner in its log.
                self.tools
                    .run("pg_ctl", |command| command.args(["promote", "-W", "-D"]).arg(node.data()))
                    .await?;
                node.takes_changes(STEP_MAX).await
            }
        }
    }

    /// Stops all of it. Nobody needs it any more.
    pub async fn end(&mut self) {
        for node in self.nodes.iter_mut().flatten() {
            node.kill().await;
        }
    }

    /// What the primary says to one query.
    async fn ask(&self, query: &str) -> Result<String, ClusterError> {
        let port = self.ports[self.primary].to_string();
        let output = self.tools.run("psql", |command| {
            command.args(["-h", "127.0.0.1", "-p", &port, "-U", USER, "-d", "postgres", "-XAtqc", query])
        });
        Ok(String::from_utf8_lossy(&output.await?.stdout).trim().to_owned())
    }

    /// Waits until the primary counts one.
    async fn until(&self, query: &str) -> Result<(), ClusterError> {
        let deadline = Instant::now() + STEP_MAX;
        while self.ask(query).await? != "1" {
            if Instant::now() > deadline {
                let log = self.tools.folder.display().to_string();
                return Err(ClusterError::Late { what: "the standby did not catch up", max: STEP_MAX, log });
            }
            sleep(POLL).await;
        }
        Ok(())
    }
}

impl Tools {
    /// With a fresh password, in a folder that is given to whoever runs the servers.
    fn new(programs: PathBuf, folder: &Path) -> Result<Self, ClusterError> {
        let password: String = format!("{:032x}", rand::rng().random::<u128>());
        std::fs::create_dir_all(folder).map_err(ClusterError::io("making the folder of the database"))?;
        let password_file = folder.join("password");
        let mut options = std::fs::OpenOptions::new();
        let made = options.write(true).create_new(true).mode(0o600).open(&password_file);
        let written = made.and_then(|mut file| writeln!(file, "{password}"));
        written.map_err(ClusterError::io("writing the password of the database"))?;
        if let Some(user) = programs::somebody() {
            let (user, group) = (Some(user.uid.as_raw()), Some(user.gid.as_raw()));
            for path in [folder, &password_file] {
                chown(path, user, group)
                    .map_err(ClusterError::io("giving the folder of the database away"))?;
            }
        }
        Ok(Self { programs, folder: folder.to_owned(), password, password_file })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::from(programs::command(&self.programs.join(program), &self.folder));
        // Ctrl-C on a terminal goes to the whole process group, and is for this program to heed.
        command.process_group(0).env("PGPASSWORD", &self.password).env_remove("PGOPTIONS");
        command.stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs a program to its end.
    async fn run(
        &self,
        program: &'static str,
        arguments: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Result<Output, ClusterError> {
        let mut command = self.command(program);
        arguments(&mut command);
        let late = |_| ClusterError::Failed { program, said: format!("it took more than {STEP_MAX:?}") };
        let output = timeout(STEP_MAX, command.output()).await.map_err(late)?;
        let output = output.map_err(ClusterError::io("starting a program of PostgreSQL"))?;
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).trim().to_owned();
        Err(ClusterError::Failed { program, said })
    }

    async fn initialise(&self, data: &Path) -> Result<(), ClusterError> {
        self.run("initdb", |command| {
            command.arg("-D").arg(data).arg("--pwfile").arg(&self.password_file);
            command.args(["-U", USER, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]);
            command.args(["--no-sync", "--no-instructions"])
        })
        .await?;
        append(&data.join("postgresql.conf"), SETTINGS)
    }

    /// Copies a primary, for a standby of that name.
    async fn copy(&self, primary: u16, data: &Path, name: &str) -> Result<(), ClusterError> {
        let from = format!("host=127.0.0.1 port={primary} user={USER} application_name={name}");
        self.run("pg_basebackup", |command| {
            command.args(["-R", "-X", "stream", "-c", "fast", "-d", &from, "-D"]).arg(data)
        })
        .await?;
        // Nobody stands by it yet. With the names of its primary it would wait for itself, once it is one.
        append(&data.join("postgresql.auto.conf"), "synchronous_standby_names = ''\n")
    }
}

fn append(file: &Path, settings: &str) -> Result<(), ClusterError> {
    let opened = std::fs::OpenOptions::new().append(true).open(file);
    let written = opened.and_then(|mut file| write!(file, "\n{settings}"));
    written.map_err(ClusterError::io("writing settings of PostgreSQL"))
}

/// Two ports that are free.
fn free_ports() -> Result<[u16; 2], ClusterError> {
    let is_free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut rng = rand::rng();
    let mut drawn = (0..PORTS_TRIED).map(|_| rng.random_range(PORTS)).filter(is_free);
    let first = drawn.next().ok_or(ClusterError::NoPort)?;
    let second = drawn.find(|port| *port != first).ok_or(ClusterError::NoPort)?;
    Ok([first, second])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that whoever runs PostgreSQL may reach.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        folder
    }

    #[databases::needs(Postgres)]
    #[tokio::test]
    async fn what_was_committed_is_on_the_promoted_standby_and_again_on_the_next() {
        let folder = folder();
        let mut cluster = Cluster::start(Fault::Failover, &folder.path().join("database")).await.unwrap();
        assert!(cluster.url().to_string().contains(','), "it names both: {}", cluster.url());
        cluster.ask("CREATE TABLE t (n int)").await.unwrap();
        for n in 1..=2 {
            cluster.arm().await.unwrap();
            cluster.ask(&format!("INSERT INTO t VALUES ({n})")).await.unwrap();
            cluster.strike().await;
            assert!(cluster.ask("SELECT 1").await.is_err(), "it is dead");
            cluster.recover().await.unwrap();
            assert_eq!(cluster.ask("SELECT count(*) FROM t").await.unwrap(), n.to_string());
        }
        cluster.end().await;
    }

    #[databases::needs(Postgres)]
    #[tokio::test]
    async fn what_was_committed_is_there_after_a_restart() {
        let folder = folder();
        let mut cluster = Cluster::start(Fault::Restart, &folder.path().join("database")).await.unwrap();
        assert!(!cluster.url().to_string().contains(','), "there is one: {}", cluster.url());
        cluster.arm().await.unwrap();
        cluster.ask("CREATE TABLE t (n int)").await.unwrap();
        cluster.strike().await;
        assert!(cluster.ask("SELECT 1").await.is_err(), "it is dead");
        cluster.recover().await.unwrap();
        assert_eq!(cluster.ask("SELECT count(*) FROM t").await.unwrap(), "0");
        cluster.end().await;
    }
}
