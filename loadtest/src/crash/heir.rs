//! Who tells a webhook on when its sender dies. After the last cycle, while clients go on, whoever tells it is found by what each replica counts, and killed; another has to have told
//! something before it is started again.
//!
//! A replica counts what all webhooks take, and others may be told from the same database. So whoever counts more is believed only if the receiver of the run was told meanwhile, and nobody
//! else counts more. Where that cannot be had, nothing was tried.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep, timeout};

use super::hook::{Hook, IDLE_MAX_OF_REPLICAS};
use crate::client::Client;
use crate::interrupt::Stop;

/// What each replica counts: the messages that were taken from it, by any webhook.
const DELIVERIES: &str = "inventory_webhook_deliveries_total ";

/// How often they are asked.
const LOOK: Duration = Duration::from_millis(20);

/// Messages after which one was certainly sent, and counted, by whoever tells the webhook now: one may have been under way when its sender was killed, and the last may not be counted yet.
const HEARD_MIN: u64 = 2;

/// A replica, by its place, and how it is asked.
pub type Reached = (usize, Arc<Client>);

/// How many messages each replica counts, where it says so.
type Counted = Vec<(usize, Option<u64>)>;

/// Who tells the webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Teller {
    /// The replica at that place.
    At(usize),
    /// It is told, but it cannot be said by whom.
    Unclear,
    /// It is not told.
    Nobody,
}

/// What came of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Succession {
    /// The replica that told the webhook, and was killed; absent if none was found, or it is not clear who told on.
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
    pub async fn of(sender: usize, others: &[Reached], hook: &Hook, stop: &Stop) -> Self {
        let gone = Instant::now();
        let heir = teller(others, hook, stop).await;
        Self::from(sender, heir, gone.elapsed())
    }

    fn from(sender: usize, heir: Teller, after: Duration) -> Self {
        let sender = Some(sender);
        match heir {
            Teller::At(heir) => Self { sender, heir: Some(heir), after_ms: Some(after.as_secs_f64() * 1e3) },
            Teller::Unclear => Self::default(),
            Teller::Nobody => Self { sender, ..Self::default() },
        }
    }
}

impl fmt::Display for Succession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.sender, self.heir.zip(self.after_ms)) {
            (None, _) => write!(f, "nobody was found who alone tells it"),
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

/// Which of them tells the webhook from now on; nobody, if that takes too long, or the user does not want to any longer.
pub async fn teller(replicas: &[Reached], hook: &Hook, stop: &Stop) -> Teller {
    let mut is_told = false;
    let found = async {
        while !stop.requested() {
            // What is heard after that is counted after it.
            let before = counted(replicas).await;
            let enough = hook.messages() + HEARD_MIN;
            while hook.messages() < enough {
                if stop.requested() {
                    return None;
                }
                sleep(LOOK).await;
            }
            is_told = true;
            let alone = only(&before, &counted(replicas).await);
            if alone.is_some() {
                return alone;
            }
        }
        None
    };
    let found = timeout(IDLE_MAX_OF_REPLICAS, found).await.ok().flatten();
    let unknown = if is_told { Teller::Unclear } else { Teller::Nobody };
    found.map_or(unknown, Teller::At)
}

/// The only one that counts more than before; `None` as well if one did not say, as it may be that one.
fn only(before: &Counted, now: &Counted) -> Option<usize> {
    let mut only = None;
    for ((at, before), (_, now)) in before.iter().zip(now) {
        if now.as_ref()? > before.as_ref()? && only.replace(*at).is_some() {
            return None;
        }
    }
    only
}

async fn counted(replicas: &[Reached]) -> Counted {
    let mut counted = Counted::with_capacity(replicas.len());
    for (at, client) in replicas {
        counted.push((*at, deliveries(client).await));
    }
    counted
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
            (untried, false, "nobody was found who alone tells it"),
        ] {
            let told = succession.to_string();
            assert!(succession.is_broken() == is_broken && told.contains(wanted), "{told}");
        }
    }

    #[test]
    fn who_counts_more_is_believed_only_if_nobody_else_may() {
        let of = |counts: [Option<u64>; 3]| [0, 1, 4].into_iter().zip(counts).collect::<Counted>();
        let before = of([Some(7), Some(0), Some(5)]);
        for (now, wanted) in [
            ([Some(7), Some(0), Some(6)], Some(4)),
            ([Some(7), Some(3), Some(5)], Some(1)),
            ([Some(7), Some(0), Some(5)], None),
            // Another webhook may be told by one of them.
            ([Some(8), Some(0), Some(6)], None),
            ([None, Some(0), Some(6)], None),
            // It was started again.
            ([Some(1), Some(0), Some(6)], Some(4)),
        ] {
            assert_eq!(only(&before, &of(now)), wanted, "{now:?}");
        }
        assert_eq!(only(&of([None, Some(0), Some(5)]), &before), None);
    }

    #[test]
    fn an_heir_that_is_not_clear_is_none_that_was_tried() {
        let of = |heir| Succession::from(2, heir, Duration::from_millis(5_812));
        assert_eq!(of(Teller::Unclear), Succession::default());
        assert!(of(Teller::Nobody).is_broken() && !of(Teller::At(0)).is_broken());
        assert_eq!(of(Teller::At(0)).heir, Some(0));
    }
}
