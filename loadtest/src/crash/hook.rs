//! The webhook of a crash test: made in the first life, before the first change, told over all lives, and deleted in the end.

use std::time::{Duration, Instant};

use standardwebhooks::Webhook as Signer;
use tokio::time::timeout;

use super::delivered::{Entry, WebhookAudit};
use super::heir::Reached;
use super::receiver::{Address, Receiver};
use crate::client::failure::Doubt;
use crate::client::{Client, Failure};

/// Movements that one message tells of at most: the most there may be, since in the end there are many to tell.
const BATCH: u8 = 100;

/// How long nothing new may be told, while there is something left.
pub const IDLE_MAX: Duration = Duration::from_mins(2);

/// The same of several replicas, one of which may have died: another has the webhook when a lease of 6 s is over. The rest is for machines that are busy, and for messages
/// that were not taken.
pub const IDLE_MAX_OF_REPLICAS: Duration = Duration::from_secs(20);

/// The longest it takes to have it deleted when the service is lost: several times a lease, which whoever deletes it waits for.
const FORSAKE_MAX: Duration = Duration::from_secs(30);

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

    /// Where in the ledger, and in the stream of events, it began.
    pub fn begins(&self) -> &str {
        &self.begins
    }

    /// How many of its messages were taken so far.
    pub fn messages(&self) -> u64 {
        self.receiver.messages()
    }

    /// Whether it says that nothing is left to be told.
    pub async fn has_told_all(&self, client: &Client) -> bool {
        client.webhook(&self.id).await.is_ok_and(|webhook| webhook.behind == 0)
    }

    /// Is told what is left, and judges it all; the run changes nothing any more.
    pub async fn rest(self, client: &Client, idle_max: Duration) -> WebhookAudit {
        let id = self.id.clone();
        let unread =
            |failure: Failure| WebhookAudit { unread: Some(failure.example), ..WebhookAudit::default() };
        let audit = self.judged(client, idle_max).await.unwrap_or_else(unread);
        WebhookAudit { left: end(client, &id).await.err().map(|failure| failure.example), ..audit }
    }

    /// Nobody will judge what it told: whoever is up deletes it. Answers why nobody did, if so.
    pub async fn forsake(self, up: &[Reached]) -> Option<String> {
        let mut left = "nobody is up who could".to_owned();
        let ended = async {
            for (_, client) in up {
                match end(client, &self.id).await {
                    Ok(()) => return true,
                    Err(failure) => left = failure.example,
                }
            }
            false
        };
        match timeout(FORSAKE_MAX, ended).await {
            Ok(true) => None,
            Ok(false) => Some(left),
            Err(_) => Some(format!("nobody did within {FORSAKE_MAX:?}")),
        }
    }

    async fn judged(mut self, client: &Client, idle_max: Duration) -> Result<WebhookAudit, Failure> {
        let began = Instant::now();
        let before = self.receiver.settle();
        let mut place = self.begins.clone();
        let ledger = ledger(client, &mut place).await?;
        let last = ledger.last().map_or(0, Entry::seq);
        let is_told = self.receiver.wait(last, idle_max).await;
        let rest_ms = began.elapsed().as_secs_f64() * 1e3;
        let stalled = if is_told { None } else { Some(self.state(client).await) };
        let delivered = self.receiver.close();
        let rest = delivered.len().saturating_sub(before);
        let mut later = self::ledger(client, &mut place).await?;
        later.retain(|entry| entry.seq() > last);
        Ok(WebhookAudit { rest, rest_ms, stalled, ..delivered.audit(&ledger, &later) })
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

/// Nobody is told by it any more, in this run or after it.
async fn end(client: &Client, id: &str) -> Result<(), Failure> {
    let mut ended = client.delete_webhook(id).await;
    for _ in 1..ATTEMPTS_MAX {
        if ended.is_ok() {
            break;
        }
        ended = client.delete_webhook(id).await;
    }
    ended
}

/// All movements after a place, which is that before the last page of them from then on.
async fn ledger(client: &Client, after: &mut String) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    loop {
        let mut page = client.ledger_page(after).await;
        for _ in 1..ATTEMPTS_MAX {
            if page.is_ok() {
                break;
            }
            page = client.ledger_page(after).await;
        }
        let page = page?;
        for item in &page.items {
            let wrong = |error| {
                Failure::breach(Doubt::NotApplied, format!("GET /v1/movements tells {item}: {error}"))
            };
            entries.push(Entry::new(item).map_err(wrong)?);
        }
        let Some(next) = page.next_cursor else { return Ok(entries) };
        *after = next;
    }
}
