//! An answer that comes in pieces, as far as it came: an export that breaks off has shown what it has shown.

use reqwest::{Method, Request};

use super::{Client, Failure};

/// The body of an answer, whole or cut off.
#[derive(Debug)]
pub struct Streamed {
    /// The HTTP status.
    pub status: u16,
    /// Where the events go on after it, if it says so.
    pub event_cursor: Option<String>,
    /// What came of the body.
    pub body: Vec<u8>,
    /// Why nothing more came; `None` if that was all.
    pub cut_off: Option<Failure>,
}

impl Client {
    /// `GET /v1/export`: every level of the service, those of others as well.
    pub async fn export(&self) -> Result<Streamed, Failure> {
        let request = Request::new(Method::GET, self.beside("/v1/export"));
        let mut response = self.http.execute(request).await.map_err(|error| Failure::transport(&error))?;
        let cursor = response.headers().get("event-cursor").and_then(|cursor| cursor.to_str().ok());
        let event_cursor = cursor.map(str::to_owned);
        let status = response.status().as_u16();
        let mut streamed = Streamed { status, event_cursor, body: Vec::new(), cut_off: None };
        loop {
            match response.chunk().await {
                Ok(Some(piece)) => streamed.body.extend_from_slice(&piece),
                Ok(None) => return Ok(streamed),
                Err(error) => {
                    streamed.cut_off = Some(Failure::broken_off(&error));
                    return Ok(streamed);
                }
            }
        }
    }
}
