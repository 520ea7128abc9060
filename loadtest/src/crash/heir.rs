//! Who tells a webhook on when its sender dies. After the last cycle, while clients go on, whoever tells it is found by what each replica counts, and killed; another has to have told
//! something before it is started again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use super::hook::IDLE_MAX_OF_REPLICAS;
use crate::client::Client;
use crate::interrupt::Stop;

/// What each replica counts: the messages that were taken from it.
const DELIVERIES: &str = "inventory_webhook_deliveries_total ";

/// How often they are asked.
const LOOK: Duration = Duration::from_millis(20);

/// A replica, by its place, and how it is asked.
pub type Reached = (usize, Arc<Client>);

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Succession {
    /// The replica that told the webhook, and was killed; absent if none was found.
    pub sender: Option<usize>,
    /// The one that told something next; absent if none did in time.
    pub heir: Option<usize>,
    /// How long that was after the sender was gone, in milliseconds.
    pub after_ms: Option<f64>,
}

impl Succession {
    /// Whether nobody took over.
    pub fn is_broken(&self) -> bool {
        self.sender.is_some() && self.heir.is_none()
    }

    /// Waits for the heir of a sender that is gone.
    pub async fn of(sender: usize, others: &[Reached], stop: &Stop) -> Self {
        let gone = Instant::now();
        let heir = teller(others, stop).await;
        let after_ms = heir.map(|_| gone.elapsed().as_secs_f64() * 1e3);
        Self { sender: Some(sender), heir, after_ms }
    }
}

impl fmt::Display for Succession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.sender, self.heir.zip(self.after_ms)) {
            (None, _) => write!(f, "nobody was found who tells it"),
            (Some(sender), Some((heir, ms))) => {
                write!(
                    f,
                    "replica {sender} told it and was killed, replica {heir} told on after {:.1} s",
                    ms / 1e3
                )
            }
            (Some(sender), None) => {
                write!(
                    f,
                    "replica {sender} told it and was killed, nobody told on within {IDLE_MAX_OF_REPLICAS:?}"
                )
            }
        }
    }
}

/// The first of them from which a message is taken from now on; `None` if that takes too long, or the user does not want to any longer.
pub async fn teller(replicas: &[Reached], stop: &Stop) -> Option<usize> {
    let first = async {
        let mut counts = vec![None; replicas.len()];
        while !stop.requested() {
            for ((at, client), before) in replicas.iter().zip(&mut counts) {
                let now = deliveries(client).await;
                if now.zip(*before).is_some_and(|(now, before)| now > before) {
                    return Some(*at);
                }
                *before = before.or(now);
            }
            sleep(LOOK).await;
        }
        None
    };
    timeout(IDLE_MAX_OF_REPLICAS, first).await.ok().flatten()
}

async fn deliveries(client: &Client) -> Option<u64> {
    let answer = client.get("/metrics").await.ok()?;
    let text = std::str::from_utf8(&answer.body).ok()?;
    text.lines().find_map(|line| line.strip_prefix(DELIVERIES)?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sender_that_nobody_follows_is_a_violation() {
        let followed = Succession { sender: Some(2), heir: Some(0), after_ms: Some(5_812.0) };
        let orphaned = Succession { heir: None, after_ms: None, ..followed.clone() };
        let untried = Succession::default();
        for (succession, is_broken, wanted) in [
            (followed, false, "replica 2 told it and was killed, replica 0 told on after 5.8 s"),
            (orphaned, true, "nobody told on within 20s"),
            (untried, false, "nobody was found who tells it"),
        ] {
            let told = succession.to_string();
            assert!(succession.is_broken() == is_broken && told.contains(wanted), "{told}");
        }
    }
}
