//! HTTPS: what clients see, that it may be exchanged while the service runs, and who must show a certificate (P10).

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use inventory::app::{App, Listening};
use inventory::config::Config;
use inventory::http::server::listen::Listener;
use inventory::http::server::tls::{Tls, TlsError, TlsFiles};
use inventory::store::{Keeping, Storage};
use inventory::strategy::StrategyKind;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::support::certificates::{Authority, Shown, ask, client_of_all};

/// A service that speaks HTTPS, and its files.
pub(super) struct Service {
    pub(super) address: String,
    tls: Arc<Tls>,
    folder: TempDir,
}

impl Service {
    async fn start(shown: &Shown, clients: Option<&Authority>) -> Self {
        let config =
            Config { storage: Storage::Memory(Keeping::default()), ..Config::new(StrategyKind::Atomic) };
        Self::with(config, shown, clients).await
    }

    /// The same, otherwise configured.
    pub(super) async fn with(config: Config, shown: &Shown, clients: Option<&Authority>) -> Self {
        let folder = TempDir::new().expect("a folder");
        let client_ca = clients.map(|authority| {
            let path = folder.path().join("clients.pem");
            fs::write(&path, authority.pem()).expect("a file");
            path
        });
        let files =
            TlsFiles { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem"), client_ca };
        shown.write(&files.cert, &files.key);
        let tls = Arc::new(Tls::load(files).expect("they fit"));
        let app = App::build(config).expect("a service");
        let opened = app.opened();
        let listener = Listener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.url(true).strip_prefix("https://").expect("a URL").to_owned();
        let listening = Listening { tls: Some(Arc::clone(&tls)), ..Listening::at(listener) };
        tokio::spawn(app.serve(listening, std::future::pending()));
        opened.await;
        Self { address, tls, folder }
    }

    fn shows(&self, shown: &Shown) {
        shown.write(&self.folder.path().join("cert.pem"), &self.folder.path().join("key.pem"));
    }

    async fn connect(&self, client: &TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(&self.address).await?;
        client.connect(ServerName::try_from("localhost").expect("a name"), stream).await
    }
}

/// The certificate is exchanged under clients that ask all the while: none of them fails, those who are connected stay so, and who comes
/// next sees the new one. Files that are spoilt change nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_is_exchanged_without_a_failed_request() {
    let (first, second) = (Authority::new(), Authority::new());
    let service = Arc::new(Service::start(&first.signs("localhost"), None).await);
    let mut stays = service.connect(&first.client(None)).await.expect("it is known");
    let served = ask(&mut stays).await.expect("an answer");
    assert!(served.starts_with("HTTP/1.1 200 "), "{served}");
    assert!(service.connect(&second.client(None)).await.is_err(), "nobody has signed that yet");
    // Knows both, and so has no reason ever to fail.
    let knows_both = client_of_all(&[&first, &second]);
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let busy: Vec<_> = (0..4)
        .map(|_| {
            let (service, knows_both, stopped) = (Arc::clone(&service), knows_both.clone(), stopped.clone());
            tokio::spawn(async move {
                let mut asked = 0;
                while !*stopped.borrow() {
                    let mut stream = service.connect(&knows_both).await.expect("a connection");
                    ask(&mut stream).await.expect("an answer");
                    asked += 1;
                }
                asked
            })
        })
        .collect();
    for round in 0..20 {
        service.shows(&if round % 2 == 0 { second.signs("localhost") } else { first.signs("localhost") });
        service.tls.reload().expect("they fit");
        ask(&mut stays).await.expect("it stays connected");
        let (known, unknown) = if round % 2 == 0 { (&second, &first) } else { (&first, &second) };
        let mut new = service.connect(&known.client(None)).await.expect("it sees the new one");
        ask(&mut new).await.expect("an answer");
        assert!(service.connect(&unknown.client(None)).await.is_err());
    }
    stop.send_replace(true);
    for client in busy {
        assert!(client.await.expect("no request fails") > 0);
    }
    // The key of another certificate, and a file that is none.
    let last = first.signs("localhost");
    fs::write(service.folder.path().join("cert.pem"), &last.chain).expect("a file");
    assert!(matches!(service.tls.reload(), Err(TlsError::Certificate { .. })));
    fs::write(service.folder.path().join("key.pem"), "spoilt").expect("a file");
    let error = service.tls.reload().unwrap_err().to_string();
    assert!(error.starts_with("--tls-key ") && error.contains("key.pem: "), "{error}");
    ask(&mut stays).await.expect("nothing has changed");
}

/// Where clients must show a certificate, one without, or with one that somebody else has signed, gets nothing.
#[tokio::test]
async fn clients_may_have_to_show_who_they_are() {
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let service = Service::start(&servers.signs("localhost"), Some(&clients)).await;
    let asks = async |shown: Option<Shown>| {
        let mut stream = service.connect(&servers.client(shown)).await?;
        ask(&mut stream).await
    };
    asks(Some(clients.signs("till 1"))).await.expect("it is known");
    assert!(asks(None).await.is_err() && asks(Some(strangers.signs("till 1"))).await.is_err());
}

/// P10: who agrees on no TLS in time, or speaks something else, is cut off, and harms nobody.
#[tokio::test]
async fn what_is_no_tls_is_cut_off() {
    let authority = Authority::new();
    let service = Service::start(&authority.signs("localhost"), None).await;
    let mut plain = TcpStream::connect(&service.address).await.expect("a connection");
    plain.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it is sent");
    let silent = TcpStream::connect(&service.address).await.expect("a connection");
    for mut stream in [plain, silent] {
        let mut told = Vec::new();
        let end = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut told)).await;
        let _reset_or_closed = end.expect("it is cut off");
        assert!(!told.starts_with(b"HTTP/"), "nothing is told in the clear");
    }
    let mut stream = service.connect(&authority.client(None)).await.expect("a connection");
    ask(&mut stream).await.expect("an answer");
}
