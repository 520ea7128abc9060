//! Webhooks of the service, and the ledger that they are told from: as much as it takes to have one made and to judge what it was told.

use reqwest::{Method, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use serde_json::value::RawValue;

use super::failure::Doubt;
use super::{Answer, Client, Failure};

/// Movements a page: the most there are.
const PAGE: u32 = 1_000;

/// A webhook, and how it does.
#[derive(Debug, Clone, Deserialize)]
pub struct Webhook {
    /// Its name.
    pub id: String,
    /// The place in the ledger up to which it has been told.
    pub position: String,
    /// How it does, in a word.
    pub state: String,
    /// How many movements there are after its place.
    pub behind: u64,
    /// What came of the last attempt, if it failed.
    pub last_error: Option<String>,
    /// What signs its messages; in the answer to who had it made, and in no other.
    pub secret: Option<String>,
}

/// A page of the ledger.
#[derive(Debug, Deserialize)]
pub struct LedgerPage {
    /// The movements, as they were told.
    pub items: Vec<Box<RawValue>>,
    /// Where the next page starts; absent on the last.
    pub next_cursor: Option<String>,
}

impl Client {
    /// Has a webhook made that is told of everything from now on, of so many movements in a message at most.
    pub async fn create_webhook(&self, url: &str, batch: u8) -> Result<Webhook, Failure> {
        let mut request = Request::new(Method::POST, self.beside("/v1/webhooks"));
        request.headers_mut().clone_from(&self.wire.json);
        *request.body_mut() = Some(json!({ "url": url, "batch": batch }).to_string().into());
        read("POST /v1/webhooks", &self.send(request).await?, 201)
    }

    /// How a webhook does.
    pub async fn webhook(&self, id: &str) -> Result<Webhook, Failure> {
        let path = format!("/v1/webhooks/{id}");
        read(&format!("GET {path}"), &self.get(&path).await?, 200)
    }

    /// Has a webhook told of nothing any more. That there is none is as good.
    pub async fn delete_webhook(&self, id: &str) -> Result<(), Failure> {
        let path = format!("/v1/webhooks/{id}");
        let answer = self.send(Request::new(Method::DELETE, self.beside(&path))).await?;
        if matches!(answer.status, 204 | 404) {
            return Ok(());
        }
        Err(Failure::breach(Doubt::Unknown, format!("DELETE {path} answered {}", answer.status)))
    }

    /// What the ledger says after a place.
    pub async fn ledger_page(&self, after: &str) -> Result<LedgerPage, Failure> {
        let path = format!("/v1/movements?limit={PAGE}&cursor={after}");
        read("GET /v1/movements", &self.get(&path).await?, 200)
    }
}

fn read<T: DeserializeOwned>(asked: &str, answer: &Answer, status: u16) -> Result<T, Failure> {
    let breach = |what: String| Failure::breach(Doubt::Unknown, format!("{asked} answered {what}"));
    if answer.status != status {
        return Err(breach(format!("{}: {}", answer.status, String::from_utf8_lossy(&answer.body))));
    }
    serde_json::from_slice(&answer.body).map_err(|error| breach(error.to_string()))
}
