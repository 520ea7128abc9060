//! [`Tls`]: the certificate that the service shows, which may be exchanged while it runs.
//!
//! rustls does it, with its own choice of versions (1.2 and 1.3) and suites. A connection keeps what it began with.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use thiserror::Error;
use tokio_rustls::TlsAcceptor;

/// HTTP/2, as clients ask for it (ALPN).
pub(super) const HTTP2: &[u8] = b"h2";

/// The files of a certificate, each PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate, and those that lead from it to one that clients know.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who signs the certificates of clients, if they must show one.
    pub client_ca: Option<PathBuf>,
}

/// What is shown to clients.
pub struct Tls {
    files: TlsFiles,
    shown: RwLock<Arc<ServerConfig>>,
}

/// Why there is nothing to show.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or has not in it what it must.
    #[error("{flag} {}: {source}", path.display())]
    File {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// What is in the files does not go together.
    #[error("--tls-cert {}: {source}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why.
        source: rustls::Error,
    },
    /// Who signs clients is nobody.
    #[error("--tls-client-ca {}: {reason}", path.display())]
    Clients {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

impl Tls {
    /// Shows what is in the files.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let shown = read(&files)?;
        Ok(Self { files, shown: RwLock::new(shown) })
    }

    /// Shows what is in the files now, to those who come from here on. Fails without a change if that is nothing.
    pub fn reload(&self) -> Result<(), TlsError> {
        let shown = read(&self.files)?;
        *self.shown.write() = shown;
        Ok(())
    }

    /// For one connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        Arc::clone(&self.shown.read()).into()
    }
}

/// Nothing of the key.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

fn read(files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let certificate = |source| TlsError::Certificate { path: files.cert.clone(), source };
    let chain = certificates("--tls-cert", &files.cert)?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(in_file("--tls-key", &files.key))?;
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(certificate)?;
    let builder = match &files.client_ca {
        Some(path) => builder.with_client_cert_verifier(clients(path, &provider)?),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(certificate)?;
    // What the service likes best comes first; a client that names neither is refused, and one that names nothing speaks HTTP/1.1.
    config.alpn_protocols = vec![HTTP2.to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Clients must show a certificate that one of these has signed.
fn clients(
    path: &Path,
    provider: &Arc<rustls::crypto::CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let not = |reason: String| TlsError::Clients { path: path.to_owned(), reason };
    let mut roots = RootCertStore::empty();
    for root in certificates("--tls-client-ca", path)? {
        roots.add(root).map_err(|error| not(error.to_string()))?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    verifier.build().map_err(|error| not(error.to_string()))
}

/// One certificate at least.
fn certificates(flag: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found =
        found.and_then(|found| if found.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(found) });
    found.map_err(in_file(flag, path))
}

fn in_file(flag: &'static str, path: &Path) -> impl FnOnce(pem::Error) -> TlsError {
    move |source| TlsError::File { flag, path: path.to_owned(), source }
}
