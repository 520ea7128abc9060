//! The event stream: `GET /v1/events`, read as the WHATWG says (HTML, 9.2.6), as far as it comes.

use reqwest::{Method, Request, Response};
use serde::Deserialize;

use super::failure::Doubt;
use super::{Client, Failure};

/// The longest block that is read: a hundred times what an event has to say.
const BLOCK_MAX: usize = 64 * 1024;

/// A stream of events.
#[derive(Debug)]
pub struct Events {
    response: Response,
    received: Vec<u8>,
    /// The place that the stream named last.
    id: String,
}

/// A block that tells something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the stream.
    pub id: String,
    /// What is told, as JSON.
    pub data: String,
}

/// What every event tells.
#[derive(Debug, Deserialize)]
pub struct Head {
    /// What happened.
    kind: String,
    /// To which sku.
    pub sku: String,
}

/// What is told of a movement.
#[derive(Debug, Deserialize)]
pub struct Movement {
    /// Its number.
    pub seq: u64,
    /// What it was.
    pub kind: String,
    /// The sku.
    pub sku: String,
    /// The location.
    pub location: String,
    /// The units after it.
    pub after: Units,
    /// The version of the level after it.
    pub version: u64,
}

/// Units of a level.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Units {
    /// On hand.
    pub on_hand: u64,
    /// Of these, held.
    pub reserved: u64,
}

impl Head {
    /// Whether it is no movement, but a mark that one has crossed.
    pub fn is_alert(&self) -> bool {
        self.kind.starts_with("stock.")
    }
}

impl Client {
    /// Everything after a place in the stream.
    pub async fn events(&self, after: &str) -> Result<Events, Failure> {
        let mut request = Request::new(Method::GET, self.beside("/v1/events"));
        let place =
            after.parse().map_err(|_| breach(&format!("the id {after:?}, which no header can carry")))?;
        request.headers_mut().insert("last-event-id", place);
        let response = self.http.execute(request).await.map_err(|error| Failure::transport(&error))?;
        let status = response.status().as_u16();
        match status {
            200 => Ok(Events { response, received: Vec::new(), id: after.to_owned() }),
            500..600 => {
                let example = format!("GET /v1/events answered {status}");
                Err(Failure { kind: status.to_string().into(), example, doubt: Doubt::NotApplied })
            }
            status => Err(breach(&format!("status {status}"))),
        }
    }
}

impl Events {
    /// What is told next; `None` when the stream is over, however it ended. Given up at any time, nothing is lost.
    pub async fn next(&mut self) -> Result<Option<Event>, Failure> {
        loop {
            while let Some(block) = self.block()? {
                if let Some(event) = self.event(&block)? {
                    return Ok(Some(event));
                }
            }
            match self.response.chunk().await {
                Ok(Some(piece)) => self.received.extend_from_slice(&piece),
                Ok(None) | Err(_) => return Ok(None),
            }
        }
    }

    fn block(&mut self) -> Result<Option<String>, Failure> {
        let end = self.received.windows(2).position(|two| two == b"\n\n");
        let Some(end) = end else {
            let is_endless = self.received.len() > BLOCK_MAX;
            return if is_endless { Err(breach("a block without an end")) } else { Ok(None) };
        };
        let rest = self.received.split_off(end + 2);
        let block = std::mem::replace(&mut self.received, rest);
        String::from_utf8(block).map(Some).map_err(|_| breach("a block that is not UTF-8"))
    }

    fn event(&mut self, block: &str) -> Result<Option<Event>, Failure> {
        let mut data = None;
        for line in block.lines().filter(|line| !line.is_empty() && !line.starts_with(':')) {
            match line.split_once(": ") {
                Some(("id", id)) => id.clone_into(&mut self.id),
                Some(("data", text)) => data = Some(text.to_owned()),
                Some(("event" | "retry", _)) => {}
                _ => return Err(breach(&format!("the line {line:?}"))),
            }
        }
        Ok(data.map(|data| Event { id: self.id.clone(), data }))
    }
}

fn breach(what: &str) -> Failure {
    Failure::breach(Doubt::NotApplied, format!("GET /v1/events answered {what}"))
}
