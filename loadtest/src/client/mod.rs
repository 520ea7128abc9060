//! The HTTP client: one [`Call`] becomes one request, never two.
//!
//! Nothing here retries. A request that was repeated behind the recorder's back could take effect twice, and the
//! proof would blame the server for it. (The connection pool re-sends only a request of which no byte was written.)
//! Redirects and proxies are off for the same reason. Who wants to send a write again gives it an [`IdempotencyKey`]
//! ([`Client::prepare_keyed`]), and records all attempts as one operation.

pub mod answer;
pub mod body;
pub mod call;
pub mod credential;
pub mod events;
pub mod failure;
pub mod faults;
pub mod key;
pub mod plain;
pub mod replicas;
pub mod streamed;
pub mod webhooks;
pub mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use reqwest::header::{CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use reqwest::{Method, Request, Url};

pub use answer::{Judgement, Outcomes, Problems};
pub use call::{Call, Change, Kind, Move};
pub use failure::Failure;
pub use key::IdempotencyKey;
pub use replicas::Replicas;

use crate::catalogue::Catalogue;
use crate::target::Target;
use key::{KEY_HEADER, REPLAYED_HEADER};

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not an `http://host:port` URL.
    #[error("{url}: {reason}; give the address of the server as http://HOST:PORT")]
    Url {
        /// What was given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP library would not start.
    #[error("the HTTP client could not start: {0}")]
    Start(#[source] reqwest::Error),
}

/// What sends the requests of a run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Sender {
    /// A pool of connections for each thread, as services use it.
    #[default]
    Reqwest,
    /// One bare connection for each client, which costs a fraction.
    Hyper,
}

impl fmt::Display for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reqwest => "reqwest",
            Self::Hyper => "hyper",
        })
    }
}

/// How a client behaves.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Connections kept alive: as many as there are requests in flight.
    pub connections: usize,
    /// The longest wait for one answer, after which its outcome is unknown.
    pub timeout: Duration,
}

/// The largest body of an answer: a hundred times what the service has to say. Whoever says more is not listened to any longer.
pub const BODY_MAX: usize = 16 << 20;

/// The most that is reserved for a body because its head says how long it is.
const BODY_RESERVED_MAX: u64 = 1 << 20;

/// How much to reserve for a body of this length, as far as it is known.
fn reserved(length: Option<u64>) -> usize {
    usize::try_from(length.unwrap_or(0).min(BODY_RESERVED_MAX)).unwrap_or(0)
}

/// An answer as it came off the wire.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The version in the `ETag`, where there is one.
    pub etag: Option<u64>,
    /// Whether it is the stored answer to an earlier request with the same idempotency key.
    pub replayed: bool,
    /// All headers, as they came.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
}

/// A client of one server for the levels of one catalogue. Cheap to share: clients of a run use one pool.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    wire: Arc<Addresses>,
}

/// Everything that can be said of a server and a catalogue once, however many pools of connections there are.
#[derive(Debug)]
struct Addresses {
    base: Url,
    targets: Vec<Addressed>,
    batch: Url,
    transfer: Url,
    query: Url,
    json: HeaderMap,
    catalogue: Arc<Catalogue>,
    described: Option<Arc<Target>>,
}

/// The parsed addresses of one level.
#[derive(Debug)]
struct Addressed {
    stock: Url,
    adjust: Url,
}

impl Client {
    /// A client for the server at `base`.
    pub fn new(base: &str, catalogue: Arc<Catalogue>, options: Options) -> Result<Self, ClientError> {
        Self::of(base, catalogue, None, options)
    }

    /// A client for the server at `base`, which is spoken to as a description says, if there is one.
    pub fn of(
        base: &str,
        catalogue: Arc<Catalogue>,
        described: Option<Arc<Target>>,
        options: Options,
    ) -> Result<Self, ClientError> {
        let base = parse_base(base)?;
        let at = |path: &str| {
            base.join(path)
                .map_err(|error| ClientError::Url { url: path.to_owned(), reason: error.to_string() })
        };
        let target = |key| {
            let entry = catalogue.entry(key);
            Ok(Addressed { stock: at(&entry.stock_path)?, adjust: at(&entry.adjust_path)? })
        };
        let wire = Addresses {
            targets: catalogue.keys().map(target).collect::<Result<_, ClientError>>()?,
            batch: at("/v1/adjustments")?,
            transfer: at("/v1/transfers")?,
            query: at("/v1/stock/query")?,
            json: HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]),
            base,
            catalogue,
            described,
        };
        Ok(Self { http: pool(options)?, wire: Arc::new(wire) })
    }

    /// A client of the same server with connections of its own.
    pub fn sibling(&self, options: Options) -> Result<Self, ClientError> {
        Ok(Self { http: pool(options)?, wire: Arc::clone(&self.wire) })
    }

    /// The levels this client knows.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.wire.catalogue
    }

    /// How the server is spoken to, if not as this service is.
    pub fn described(&self) -> Option<&Arc<Target>> {
        self.wire.described.as_ref()
    }

    /// The address of the server.
    pub fn base(&self) -> &Url {
        &self.wire.base
    }

    /// The server as `host:port`.
    pub fn authority(&self) -> String {
        let base = &self.wire.base;
        format!("{}:{}", base.host_str().unwrap_or_default(), base.port_or_known_default().unwrap_or(80))
    }

    /// Everything that can be done before the clock starts.
    pub fn prepare(&self, call: &Call) -> Request {
        let wire = &*self.wire;
        if let Some(described) = &wire.described {
            return self.follow(described.request(call, &wire.catalogue, None));
        }
        let target = |key: history::Key| &wire.targets[key.0 as usize];
        let (method, url) = match call {
            Call::Read(key) => (Method::GET, &target(*key).stock),
            Call::Delete(key) => (Method::DELETE, &target(*key).stock),
            Call::Create { key, .. } | Call::Count { key, .. } => (Method::PUT, &target(*key).stock),
            Call::Adjust(change) => (Method::POST, &target(change.key).adjust),
            Call::Batch(_) | Call::Independent(_) => (Method::POST, &wire.batch),
            Call::Transfer(_) => (Method::POST, &wire.transfer),
            Call::Query(_) => (Method::POST, &wire.query),
        };
        let mut request = Request::new(method, url.clone());
        if !matches!(call, Call::Read(_) | Call::Delete(_)) {
            request.headers_mut().clone_from(&wire.json);
            *request.body_mut() = Some(body::body(call, &wire.catalogue).into());
        }
        precondition(call, request.headers_mut());
        request
    }

    /// A request that a description made, with the whole address.
    fn follow(&self, made: hyper::Request<Vec<u8>>) -> Request {
        let (head, content) = made.into_parts();
        let mut url = self.wire.base.clone();
        url.set_path(head.uri.path());
        url.set_query(head.uri.query());
        let mut request = Request::new(head.method, url);
        *request.headers_mut() = head.headers;
        if !content.is_empty() {
            *request.body_mut() = Some(content.into());
        }
        request
    }

    /// A write that may be sent again: the same call with the same key is the same request, byte for byte.
    ///
    /// Only for calls that take a key ([`Call::takes_key`]).
    pub fn prepare_keyed(&self, call: &Call, key: &IdempotencyKey) -> Request {
        debug_assert!(call.takes_key(), "{call:?} takes no key");
        if let Some(described) = &self.wire.described {
            return self.follow(described.request(call, &self.wire.catalogue, Some(key)));
        }
        let mut request = self.prepare(call);
        request.headers_mut().insert(KEY_HEADER, key.header().clone());
        request
    }

    /// A deletion of just that version: sent again it deletes nothing else. The service demands a precondition of whoever
    /// deletes a level that is not empty.
    pub fn prepare_delete(&self, key: history::Key, version: u64) -> Request {
        let mut request = self.prepare(&Call::Delete(key));
        request.headers_mut().insert(IF_MATCH, if_match(Some(version)));
        request
    }

    /// Sends a prepared request and waits for the whole answer.
    pub async fn send(&self, request: Request) -> Result<Answer, Failure> {
        let mut response = self.http.execute(request).await.map_err(|error| Failure::transport(&error))?;
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let etag = headers.get(ETAG).and_then(etag_version);
        let replayed = headers.get(REPLAYED_HEADER).is_some_and(|value| value == "true");
        let mut body = Vec::with_capacity(reserved(response.content_length()));
        // A body that breaks off is as good as no answer: what it would have said is not known.
        while let Some(piece) = response.chunk().await.map_err(|error| Failure::broken_off(&error))? {
            if body.len() + piece.len() > BODY_MAX {
                return Err(Failure::endless());
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer { status, etag, replayed, headers, body })
    }

    /// A request outside the catalogue: `GET path`.
    pub async fn get(&self, path: &str) -> Result<Answer, Failure> {
        self.send(Request::new(Method::GET, self.beside(path))).await
    }

    /// One page of the listing of all levels whose sku begins with a prefix.
    pub async fn list(&self, sku_prefix: &str, limit: u32, cursor: Option<&str>) -> Result<Answer, Failure> {
        let mut url = self.beside("/v1/stock");
        url.query_pairs_mut().append_pair("sku_prefix", sku_prefix).append_pair("limit", &limit.to_string());
        if let Some(cursor) = cursor {
            url.query_pairs_mut().append_pair("cursor", cursor);
        }
        self.send(Request::new(Method::GET, url)).await
    }

    /// A request outside the catalogue: a batch with a body of its own.
    pub async fn post_adjustments(&self, body: Vec<u8>) -> Result<Answer, Failure> {
        let mut request = Request::new(Method::POST, self.wire.batch.clone());
        request.headers_mut().clone_from(&self.wire.json);
        *request.body_mut() = Some(body.into());
        self.send(request).await
    }

    fn beside(&self, path: &str) -> Url {
        let mut url = self.wire.base.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(path);
        url.set_query(query);
        url
    }
}

fn pool(options: Options) -> Result<reqwest::Client, ClientError> {
    let builder = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .pool_max_idle_per_host(options.connections)
        .default_headers(credential::headers())
        .timeout(options.timeout);
    builder.build().map_err(ClientError::Start)
}

fn parse_base(text: &str) -> Result<Url, ClientError> {
    let wrong = |reason: String| ClientError::Url { url: text.to_owned(), reason };
    let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
    if url.scheme() != "http" {
        return Err(wrong("only http is spoken".to_owned()));
    }
    if !matches!(url.path(), "" | "/") {
        return Err(wrong("a path is not expected".to_owned()));
    }
    Ok(url)
}

/// What the service is to find, or not to find, for the call to take effect.
fn precondition(call: &Call, headers: &mut HeaderMap) {
    match call {
        Call::Create { .. } => {
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static("*"));
        }
        Call::Count { if_version, .. } => {
            headers.insert(IF_MATCH, if_match(*if_version));
        }
        // Whatever units are there go with it, which the service wants to be told.
        Call::Delete(_) => {
            headers.insert(IF_MATCH, if_match(None));
        }
        _ => {}
    }
}

fn if_match(version: Option<u64>) -> HeaderValue {
    let Some(version) = version else { return HeaderValue::from_static("*") };
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("*"))
}

fn etag_version(value: &HeaderValue) -> Option<u64> {
    value.to_str().ok()?.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

#[cfg(test)]
mod wire_tests;

#[cfg(test)]
mod tests {
    use history::Key;

    use super::*;

    fn client(base: &str) -> Result<Client, ClientError> {
        let catalogue = Catalogue::new(vec![("a".into(), "annex".into()), ("a".into(), "main".into())]);
        Client::new(base, Arc::new(catalogue), Options { connections: 1, timeout: Duration::from_secs(1) })
    }

    #[test]
    fn only_plain_http_addresses_are_taken() {
        assert!(client("http://127.0.0.1:8080").is_ok());
        for wrong in ["https://127.0.0.1:8080", "127.0.0.1:8080", "http://127.0.0.1:8080/v1"] {
            assert!(client(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn preconditions_are_in_the_headers() {
        let client = client("http://127.0.0.1:1").unwrap();
        let count = client.prepare(&Call::Count { key: Key(0), on_hand: 1, if_version: Some(7) });
        assert_eq!(count.headers()[IF_MATCH], "\"7\"");
        assert_eq!(count.url().as_str(), "http://127.0.0.1:1/v1/stock/a?location=annex");
        let create = client.prepare(&Call::Create { key: Key(1), on_hand: 1 });
        assert_eq!(create.headers()[IF_NONE_MATCH], "*");
        assert_eq!(create.method(), Method::PUT);
        let delete = client.prepare_delete(Key(1), 7);
        assert_eq!(
            (delete.method(), &delete.headers()[IF_MATCH]),
            (&Method::DELETE, &"\"7\"".parse().unwrap())
        );
    }

    #[test]
    fn a_keyed_write_is_the_same_request_each_time() {
        let client = client("http://127.0.0.1:1").unwrap();
        let key = IdempotencyKey::quoted("one").unwrap();
        let call = Call::Adjust(Change { key: Key(0), delta: -3 });
        let [first, again] = [(), ()].map(|()| client.prepare_keyed(&call, &key));
        assert_eq!(first.headers()["Idempotency-Key"], "\"one\"");
        assert_eq!(first.headers(), again.headers());
        let body = |request: &Request| request.body().and_then(|body| body.as_bytes()).map(<[u8]>::to_vec);
        assert_eq!(body(&first), body(&again));
    }
}
