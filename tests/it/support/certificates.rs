//! Certificates: who signs them, what one side shows, and clients that know who signed.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::app::WATCHDOG;

/// Somebody who signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// What one side shows.
pub(crate) struct Shown {
    pub(crate) chain: String,
    key: KeyPair,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("a certificate"),
        )
    }

    pub(crate) fn signs(&self, name: &str) -> Shown {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let chain = params.signed_by(&key, &self.0).expect("a certificate").pem();
        Shown { chain, key }
    }

    /// Its own certificate.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A client that knows this authority, and speaks these.
    pub(crate) fn client_of(&self, protocols: &[&str]) -> TlsConnector {
        let mut config = config(&[self], None);
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config).into()
    }

    /// A client that knows this authority, and shows what it has.
    pub(crate) fn client(&self, shown: Option<Shown>) -> TlsConnector {
        Arc::new(config(&[self], shown)).into()
    }
}

/// A client that knows all of them.
pub(crate) fn client_of_all(authorities: &[&Authority]) -> TlsConnector {
    Arc::new(config(authorities, None)).into()
}

fn config(authorities: &[&Authority], shown: Option<Shown>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.0.der().clone()).expect("a root");
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.expect("versions").with_root_certificates(roots);
    match shown {
        Some(Shown { chain, key }) => {
            use rustls::pki_types::pem::PemObject as _;
            let chain = CertificateDer::from_pem_slice(chain.as_bytes()).expect("a certificate");
            let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).expect("a key");
            builder.with_client_auth_cert(vec![chain], key).expect("they fit")
        }
        None => builder.with_no_client_auth(),
    }
}

impl Shown {
    /// Its key, as it is in a file.
    pub(crate) fn key(&self) -> String {
        self.key.serialize_pem()
    }

    /// Into files.
    pub(crate) fn write(&self, cert: &Path, key: &Path) {
        fs::write(cert, &self.chain).expect("a file");
        fs::write(key, self.key()).expect("a file");
    }
}

/// What comes of a request; an error where the connection is none.
pub(crate) async fn ask(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n").await?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"alive\n") {
        if tokio::time::timeout(WATCHDOG, stream.read_buf(&mut answer)).await.expect("an answer")? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(String::from_utf8(answer).expect("text"))
}
