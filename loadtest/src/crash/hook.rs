//! The webhook of a crash test: made in the first life, before the first change, and told over all lives.

use std::time::{Duration, Instant};

use standardwebhooks::Webhook as Signer;

use super::delivered::{Entry, WebhookAudit};
use super::receiver::{Address, Receiver};
use crate::client::failure::Doubt;
use crate::client::{Client, Failure};

/// Movements that one message tells of at most: the most there may be, since in the end there are many to tell.
const BATCH: u8 = 100;

/// How long nothing new may be told, while there is something left.
const IDLE_MAX: Duration = Duration::from_mins(2);

/// How often a page of the ledger that was not answered is asked for.
const ATTEMPTS_MAX: u32 = 5;

/// A webhook, and who receives what it tells.
#[derive(Debug)]
pub struct Hook {
    id: String,
    /// Where in the ledger it began.
    begins: String,
    receiver: Receiver,
}

impl Hook {
    /// Has one made. Everything from now on has to be told.
    pub async fn make(client: &Client, name: &str, seed: u64) -> Result<Self, String> {
        let address = Address::reserve(name).await.map_err(|error| format!("no port is free: {error}"))?;
        let made = client.create_webhook(address.url(), BATCH).await.map_err(|failure| failure.example)?;
        let secret = made.secret.ok_or("the answer has no secret")?;
        let signer = Signer::new(&secret).map_err(|error| format!("its secret: {error}"))?;
        Ok(Self { id: made.id, begins: made.position, receiver: address.receive(signer, seed) })
    }

    /// Is told what is left, and judges it all; nothing changes any more.
    pub async fn rest(mut self, client: &Client) -> WebhookAudit {
        let began = Instant::now();
        let before = self.receiver.settle();
        let ledger = match ledger(client, self.begins.clone()).await {
            Ok(ledger) => ledger,
            Err(failure) => return WebhookAudit { unread: Some(failure.example), ..WebhookAudit::default() },
        };
        let last = ledger.last().map_or(0, Entry::seq);
        let is_told = self.receiver.wait(last, IDLE_MAX).await;
        let rest_ms = began.elapsed().as_secs_f64() * 1e3;
        let stalled = if is_told { None } else { Some(self.state(client).await) };
        let delivered = self.receiver.close();
        let rest = delivered.len().saturating_sub(before);
        WebhookAudit { rest, rest_ms, stalled, ..delivered.audit(&ledger) }
    }

    /// Why nothing comes any more, as far as the service says.
    async fn state(&self, client: &Client) -> String {
        match client.webhook(&self.id).await {
            Ok(webhook) => {
                let error = webhook.last_error.unwrap_or_else(|| "no error".to_owned());
                format!("it is {}, {} movements behind, with {error}", webhook.state, webhook.behind)
            }
            Err(failure) => failure.example,
        }
    }
}

/// All movements after a place.
async fn ledger(client: &Client, mut after: String) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    loop {
        let mut page = client.ledger_page(&after).await;
        for _ in 1..ATTEMPTS_MAX {
            if page.is_ok() {
                break;
            }
            page = client.ledger_page(&after).await;
        }
        let page = page?;
        for item in &page.items {
            let wrong = |error| {
                Failure::breach(Doubt::NotApplied, format!("GET /v1/movements tells {item}: {error}"))
            };
            entries.push(Entry::new(item).map_err(wrong)?);
        }
        let Some(next) = page.next_cursor else { return Ok(entries) };
        after = next;
    }
}
