//! A certificate as an operator has it: given to `serve` as two files, replaced by SIGHUP, and its key in no log (P10).

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::signal::Signal;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Served, inventory, refused, serve};
use crate::support::app::WATCHDOG;
use crate::support::certificates::{Authority, Shown, ask};

/// Where a service has its certificate and its key.
struct Files {
    cert: PathBuf,
    key: PathBuf,
    folder: TempDir,
}

impl Files {
    fn of(shown: &Shown) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        shown.write(&cert, &key);
        Self { cert, key, folder }
    }

    fn to(&self, command: &mut Command) {
        command.arg("--tls-cert").arg(&self.cert).arg("--tls-key").arg(&self.key);
    }
}

async fn connect(served: &Served, client: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    let address = served.url.strip_prefix("https://").expect("it says that it speaks HTTPS");
    let stream = TcpStream::connect(address).await.expect("it listens");
    client.connect(ServerName::try_from("localhost").expect("a name"), stream).await
}

/// Asks until a client that knows only this authority is answered: what a signal brings about is there soon, and nobody is told when.
async fn until_known(served: &Served, authority: &Authority) {
    let (client, began) = (authority.client(None), Instant::now());
    loop {
        if let Ok(mut stream) = connect(served, &client).await {
            ask(&mut stream).await.expect("an answer");
            return;
        }
        assert!(began.elapsed() < WATCHDOG, "it never shows the new one");
    }
}

fn until_logged(log: &Path, text: &str) {
    let began = Instant::now();
    loop {
        let logged = std::fs::read_to_string(log).expect("a log");
        if logged.contains(text) {
            return;
        }
        assert!(began.elapsed() < WATCHDOG, "it never says {text}: {logged}");
        std::thread::yield_now();
    }
}

/// SIGHUP has it read again: who comes next sees the new one, who is connected stays so; one that is spoilt is told in the log, and changes
/// nothing. No key is in the log, however much is logged, not even one that does not fit.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_replaced_by_a_signal() {
    let (first, second) = (Authority::new(), Authority::new());
    let (before, after, misplaced) =
        (first.signs("localhost"), second.signs("localhost"), first.signs("localhost"));
    let files = Files::of(&before);
    let log = files.folder.path().join("log");
    let mut command = inventory(&["serve", "--listen", "127.0.0.1:0", "--ephemeral", "--log", "trace"]);
    files.to(&mut command);
    let served = Served::logging_to(Stdio::from(File::create(&log).expect("a file")), &mut command);
    let mut stays = connect(&served, &first.client(None)).await.expect("it is known");
    ask(&mut stays).await.expect("an answer");
    assert!(connect(&served, &second.client(None)).await.is_err(), "nobody has signed that yet");

    after.write(&files.cert, &files.key);
    served.signal(Signal::SIGHUP);
    until_known(&served, &second).await;
    until_logged(&log, "the certificate was read again");
    ask(&mut stays).await.expect("it stays connected");
    assert!(connect(&served, &first.client(None)).await.is_err(), "the old one is shown no more");

    std::fs::write(&files.key, misplaced.key()).expect("a file");
    served.signal(Signal::SIGHUP);
    until_logged(&log, "the certificate stays as it was");
    until_known(&served, &second).await;
    ask(&mut stays).await.expect("it stays connected");

    served.signal(Signal::SIGTERM);
    assert_eq!(served.end().0, Some(0));
    let logged = std::fs::read_to_string(&log).expect("a log");
    for shown in [&before, &after, &misplaced] {
        let key = shown.key();
        let mut lines = key.lines().filter(|line| !line.starts_with("-----"));
        assert!(lines.clone().next().is_some() && lines.all(|line| !logged.contains(line)), "{logged}");
    }
}

/// By variables as well; with keys, to others than this machine; and clients may have to show one, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_given_by_variables() {
    let (servers, clients) = (Authority::new(), Authority::new());
    let files = Files::of(&servers.signs("localhost"));
    let ca = files.folder.path().join("clients.pem");
    std::fs::write(&ca, clients.pem()).expect("a file");
    let mut command = serve(&[]);
    command.env("INVENTORY_TLS_CERT", &files.cert).env("INVENTORY_TLS_KEY", &files.key);
    let served = Served::start(command.env("INVENTORY_TLS_CLIENT_CA", &ca));
    let known = servers.client(Some(clients.signs("till 1")));
    let mut stream = connect(&served, &known).await.expect("a connection");
    ask(&mut stream).await.expect("an answer");
    // Whether the refusal meets the client when it connects or when it asks is up to TLS 1.3.
    if let Ok(mut stream) = connect(&served, &servers.client(None)).await {
        assert!(ask(&mut stream).await.is_err(), "it has shown nothing");
    }
}

/// Before anything is served, and by the name of the flag.
#[test]
fn a_certificate_that_is_none_is_told() {
    let authority = Authority::new();
    let files = Files::of(&authority.signs("localhost"));
    let (cert, key) = (files.cert.to_str().expect("UTF-8"), files.key.to_str().expect("UTF-8"));
    let start = |args: &[&str]| {
        refused(&[&["serve", "--ephemeral", "--listen", "127.0.0.1:0"][..], args].concat(), 2)
    };
    for (args, named) in [
        (&["--tls-cert", "/none", "--tls-key", key][..], "--tls-cert /none: "),
        (&["--tls-cert", cert, "--tls-key", "/none"], "--tls-key /none: "),
        (&["--tls-cert", key, "--tls-key", key], "--tls-cert "),
        (&["--tls-cert", cert, "--tls-key", cert], "--tls-key "),
        (&["--tls-cert", cert], "--tls-key"),
    ] {
        let line = start(args);
        assert!(line.contains(named), "{args:?}: {line}");
    }
    authority.signs("localhost").write(&files.folder.path().join("other.pem"), &files.key);
    let line = start(&["--tls-cert", cert, "--tls-key", key]);
    assert!(line.contains("--tls-cert") || line.contains("--tls-key"), "{line}");
}
