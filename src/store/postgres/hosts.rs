//! [`Hosts`]: the servers that an address names, of which one takes changes.
//!
//! Each is tried for a time of its own, its greeting and all: one that has gone without a word, or takes connections and says nothing, keeps nobody from
//! the others. The one that took changes last is asked first, so that nobody waits for a dead one again and again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Error, Socket};

use super::connect::CONNECTION_WAIT;

/// How long each of several is tried at least.
const TIME_MIN: Duration = Duration::from_secs(1);

/// Servers of an address.
#[derive(Debug)]
pub(super) struct Hosts {
    each: Vec<Config>,
    /// How long each is tried.
    time: Duration,
    /// The one that took changes last.
    first: AtomicUsize,
}

impl Hosts {
    /// Those of that address.
    pub(super) fn of(config: &Config) -> Self {
        let count = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
        let time = (CONNECTION_WAIT / u32::try_from(count).unwrap_or(u32::MAX)).max(TIME_MIN);
        let mut config = config.clone();
        config.connect_timeout(time);
        // Of one, or none, whatever is wrong with it is told by who connects.
        let each = match count {
            1 => vec![config],
            _ => (0..count).map(|at| only(&config, at)).collect(),
        };
        Self { each, time, first: AtomicUsize::new(0) }
    }

    /// How long it takes to try all of them.
    pub(super) fn time(&self) -> Duration {
        self.time * u32::try_from(self.each.len()).unwrap_or(u32::MAX)
    }

    /// Connects to one that takes changes.
    pub(super) async fn connect<T>(
        &self,
        mode: SslMode,
        tls: T,
    ) -> Result<(Client, Connection<Socket, T::Stream>), Error>
    where
        T: MakeTlsConnect<Socket> + Clone,
    {
        let first = self.first.load(Ordering::Relaxed);
        let mut told = None;
        for at in (0..self.each.len()).map(|step| (first + step) % self.each.len()) {
            let mut config = self.each[at].clone();
            config.ssl_mode(mode);
            match tokio::time::timeout(self.time, config.connect(tls.clone())).await {
                Ok(Ok(connected)) => {
                    self.first.store(at, Ordering::Relaxed);
                    return Ok(connected);
                }
                Ok(Err(error)) => told = Some(error),
                Err(_) => {}
            }
        }
        match told {
            Some(error) => Err(error),
            // None has said anything in time, which is over for whoever waits for this, too.
            None => std::future::pending().await,
        }
    }
}

/// The same of one host alone.
fn only(config: &Config, at: usize) -> Config {
    let mut only = without_hosts(config);
    match config.get_hosts().get(at) {
        Some(Host::Tcp(host)) => drop(only.host(host)),
        Some(Host::Unix(path)) => drop(only.host_path(path)),
        None => {}
    }
    if let Some(address) = config.get_hostaddrs().get(at) {
        only.hostaddr(*address);
    }
    let ports = config.get_ports();
    if let Some(port) = ports.get(at).or_else(|| ports.first()) {
        only.port(*port);
    }
    only
}

/// All that is said but where it is.
fn without_hosts(from: &Config) -> Config {
    let mut config = Config::new();
    if let Some(user) = from.get_user() {
        config.user(user);
    }
    if let Some(password) = from.get_password() {
        config.password(password);
    }
    if let Some(dbname) = from.get_dbname() {
        config.dbname(dbname);
    }
    if let Some(options) = from.get_options() {
        config.options(options);
    }
    if let Some(name) = from.get_application_name() {
        config.application_name(name);
    }
    if let Some(time) = from.get_connect_timeout() {
        config.connect_timeout(*time);
    }
    if let Some(time) = from.get_tcp_user_timeout() {
        config.tcp_user_timeout(*time);
    }
    if let Some(interval) = from.get_keepalives_interval() {
        config.keepalives_interval(interval);
    }
    if let Some(retries) = from.get_keepalives_retries() {
        config.keepalives_retries(retries);
    }
    config
        .keepalives(from.get_keepalives())
        .keepalives_idle(from.get_keepalives_idle())
        .ssl_mode(from.get_ssl_mode())
        .ssl_negotiation(from.get_ssl_negotiation())
        .target_session_attrs(from.get_target_session_attrs())
        .channel_binding(from.get_channel_binding())
        .load_balance_hosts(from.get_load_balance_hosts());
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of several hosts each keeps all that was said of them together.
    #[test]
    fn each_host_is_an_address_of_its_own() {
        let said = "postgres://me:secret@one:1,two:2/shop?application_name=x&options=-c%20a%3Db&sslmode=require\
            &target_session_attrs=read-write&keepalives_idle=7&keepalives_interval=8&keepalives_retries=9\
            &tcp_user_timeout=10&channel_binding=require&load_balance_hosts=random";
        let config: Config = said.parse().unwrap();
        let hosts = Hosts::of(&config);
        assert_eq!(hosts.time(), CONNECTION_WAIT);
        for (at, (host, port)) in [("one", 1), ("two", 2)].into_iter().enumerate() {
            let alone = said.replace("one:1,two:2", &format!("{host}:{port}"));
            let mut alone: Config = alone.parse().unwrap();
            alone.connect_timeout(CONNECTION_WAIT / 2);
            assert_eq!(hosts.each[at], alone);
        }
        let one_port: Config = "host=a,/tmp/b,c port=7".parse().unwrap();
        let ports: Vec<_> = Hosts::of(&one_port).each.iter().map(|one| one.get_ports().to_vec()).collect();
        assert_eq!(ports, [[7], [7], [7]]);
        let many: Config = "host=a,b,c,d,e,f".parse().unwrap();
        assert_eq!(Hosts::of(&many).time(), 6 * TIME_MIN);
    }
}
