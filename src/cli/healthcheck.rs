//! `inventory healthcheck URL`: one GET, for container images that have no shell and no curl.
//!
//! Follows no redirect and asks no proxy: the answer must be the service's own.

use std::error::Error;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Response, StatusCode, Uri, body::Incoming};
use hyper_util::client::legacy::connect::HttpConnector;
use thiserror::Error;
use tokio::io::AsyncWriteExt as _;
use tower::ServiceExt as _;

use crate::http::server::PROXY_OF_ITS_OWN;

/// How long each step may take: to find the service and connect, and to be answered.
const STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// Which service is asked.
#[derive(Debug, Args)]
pub(super) struct HealthcheckArgs {
    /// Such as <http://127.0.0.1:8080/readyz>
    url: String,
    /// Begin with the header of the PROXY protocol, as a proxy does that asks for itself: for an address of `serve --proxy-protocol`
    #[arg(long, env = "INVENTORY_PROXY_PROTOCOL", value_parser = BoolishValueParser::new(), num_args = 0..=1, require_equals = true, default_value = "false", default_missing_value = "true", hide_default_value = true, action = ArgAction::Set)]
    proxy_protocol: bool,
}

/// Why a service is not well.
#[derive(Debug, Error)]
pub(super) enum Unwell {
    /// The URL is not one this can ask.
    #[error("{0:?} is not a URL such as http://127.0.0.1:8080/readyz")]
    Url(String),
    /// No answer.
    #[error("no answer: {0}")]
    Io(#[from] io::Error),
    /// An answer other than 200.
    #[error("the service answered {0:?}")]
    Status(String),
}

/// Whether the URL answers 200.
pub(super) fn check(args: &HealthcheckArgs) -> Result<(), Unwell> {
    let HealthcheckArgs { url, proxy_protocol } = args;
    let uri = url.parse().ok().filter(|uri: &Uri| uri.scheme_str() == Some("http"));
    let uri = uri.ok_or_else(|| Unwell::Url(url.clone()))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answered = runtime.block_on(ask(uri, *proxy_protocol));
    // A name is looked up on a thread that cannot be told to stop: it is not waited for.
    runtime.shutdown_background();
    let answer = answered?;
    match answer.status() {
        StatusCode::OK => Ok(()),
        status => Err(Unwell::Status(format!("{:?} {}", answer.version(), status.as_str()))),
    }
}

/// The head of the answer; nobody reads its body.
async fn ask(uri: Uri, proxy_protocol: bool) -> io::Result<Response<Incoming>> {
    let mut request = Request::new(Empty::<Bytes>::new());
    if let Some(host) = uri.authority().and_then(|authority| authority.as_str().parse().ok()) {
        request.headers_mut().insert(HOST, host);
    }
    *request.uri_mut() = uri.path_and_query().cloned().map(Uri::from).unwrap_or_default();
    let mut connector = HttpConnector::new();
    // Shared among the addresses of a name, so that one which is silent leaves time for the next.
    connector.set_connect_timeout(Some(STEP_TIMEOUT));
    let mut stream = within_step(connector.oneshot(uri)).await?;
    if proxy_protocol {
        within_step(stream.inner_mut().write_all(&PROXY_OF_ITS_OWN)).await?;
    }
    let (mut sender, connection) = within_step(http1::handshake(stream)).await?;
    // It ends with the runtime; what goes wrong with it is told to who waits for the answer.
    let _driven = tokio::spawn(connection);
    within_step(sender.send_request(request)).await
}

/// What a step comes to. A failure is told by its first cause: the layers above it say only that there was one.
async fn within_step<T, E: Error>(step: impl Future<Output = Result<T, E>>) -> io::Result<T> {
    let Ok(done) = tokio::time::timeout(STEP_TIMEOUT, step).await else {
        return Err(io::ErrorKind::TimedOut.into());
    };
    done.map_err(|error| {
        let mut told = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            told = cause.to_string();
            source = cause.source();
        }
        io::Error::other(told)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// A service that takes the connection and says nothing is not waited for without end.
    #[tokio::test(start_paused = true)]
    async fn silence_is_no_answer() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/readyz", silent.local_addr().unwrap());
        let error = ask(url.parse().unwrap(), false).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
