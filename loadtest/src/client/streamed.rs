//! An answer that comes in pieces, as far as it came: an export that breaks off has shown what it has shown.

use reqwest::{Method, Request};

use super::{Client, Failure};

/// The body of an answer, whole or cut off.
#[derive(Debug)]
pub struct Streamed {
    /// The HTTP status.
    pub status: u16,
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
        let mut streamed = Streamed { status: response.status().as_u16(), body: Vec::new(), cut_off: None };
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
