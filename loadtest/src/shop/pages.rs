//! The ledger of the service, page by page, and what it says of its queue.

use std::collections::BTreeSet;

use history::shop::{Movement, MovementKind, Numbered, Turns};
use serde::Deserialize;

use super::desk::Desk;
use super::wire::parse_name;

/// Why the ledger could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// A page never came.
    #[error("the server did not answer any more: a page of the ledger never came")]
    Missing,
    /// A page is none.
    #[error("a page of the ledger could not be read: {0}")]
    Wrong(String),
    /// The service keeps fewer movements than the run made.
    #[error("the service has dropped movements of this run: give it a longer retention, or ask for less")]
    Compacted,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    next_cursor: Option<String>,
}

#[derive(Deserialize)]
struct Item {
    seq: u64,
    kind: String,
    sku: String,
    location: String,
    before: Units,
    after: Units,
    version: u64,
    reference: Option<String>,
    reservation: Option<String>,
    order: Option<String>,
}

#[derive(Deserialize)]
struct Units {
    on_hand: u64,
    reserved: u64,
}

#[derive(Deserialize)]
struct Status {
    strategy: Option<String>,
    ledger_order: Option<String>,
    orders: Option<Queue>,
}

#[derive(Deserialize)]
struct Queue {
    discipline: String,
    ageing_ms: u64,
}

/// The number of the last movement of a level.
pub async fn newest_of(desk: &Desk, level: usize) -> Result<u64, LedgerError> {
    let page = page(desk, &format!("/v1/movements?limit=1&sku={}", desk.names().sku(level))).await?;
    page.items.first().map(|item| item.seq).ok_or_else(|| LedgerError::Wrong("it is empty".to_owned()))
}

/// The movements of the levels of this run after that number.
pub async fn ledger(desk: &Desk, after: u64) -> Result<Vec<Movement>, LedgerError> {
    let mut movements = Vec::new();
    let mut path = format!("/v1/movements?limit=1000&after={after}");
    loop {
        let page = page(desk, &path).await?;
        movements.extend(page.items.iter().filter_map(|item| movement(desk, item)));
        let Some(cursor) = page.next_cursor else { return Ok(movements) };
        path = format!("/v1/movements?limit=1000&cursor={cursor}");
    }
}

async fn page(desk: &Desk, path: &str) -> Result<Page, LedgerError> {
    match desk.page(path).await {
        None => Err(LedgerError::Missing),
        Some((200, body)) => {
            serde_json::from_slice(&body).map_err(|error| LedgerError::Wrong(error.to_string()))
        }
        Some((410, _)) => Err(LedgerError::Compacted),
        Some((status, _)) => Err(LedgerError::Wrong(format!("it was answered {status}"))),
    }
}

fn movement(desk: &Desk, item: &Item) -> Option<Movement> {
    let names = desk.names();
    let level = names.level(&item.sku).filter(|_| item.location == "main")?;
    let name = |name: &Option<String>| name.as_deref().and_then(parse_name);
    Some(Movement {
        seq: item.seq,
        kind: kind(&item.kind),
        level,
        before: (item.before.on_hand, item.before.reserved),
        after: (item.after.on_hand, item.after.reserved),
        version: item.version,
        number: item.reference.as_deref().and_then(|reference| names.number(reference)),
        hold: name(&item.reservation),
        order: name(&item.order),
    })
}

fn kind(name: &str) -> MovementKind {
    match name {
        "created" => MovementKind::Created,
        "adjusted" => MovementKind::Adjusted,
        "reserved" => MovementKind::Reserved,
        "released" => MovementKind::Released,
        "shipped" => MovementKind::Shipped,
        "expired" => MovementKind::Expired,
        "fulfilled" => MovementKind::Fulfilled,
        "returned" => MovementKind::Returned,
        _ => MovementKind::Other,
    }
}

/// What a server tells of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Itself {
    /// Its strategy.
    pub strategy: Option<String>,
    /// The discipline of its queue.
    pub turns: Turns,
    /// How far the numbers of its ledger say which came first.
    pub numbered: Numbered,
}

/// The strategy of a service, the discipline of its queue, and what the order of its ledger is worth, as far as its servers tell.
pub async fn told_of_itself(desk: &Desk) -> Itself {
    let mut told = Vec::new();
    for replica in desk.of_each() {
        told.push(told_by_one(&replica).await);
    }
    together(told)
}

/// What is true of all replicas of a service: a discipline only if it is that of each, since whoever is served anywhere is served out of
/// one queue; and likewise that the ledger is in one order.
fn together(told: Vec<Itself>) -> Itself {
    let turns = told.first().map_or(Turns::Untold, |first| first.turns);
    let turns = if told.iter().all(|one| one.turns == turns) { turns } else { Turns::Untold };
    let is_one = told.iter().all(|one| one.numbered == Numbered::Throughout);
    let numbered = if is_one { Numbered::Throughout } else { Numbered::EachLevel };
    let strategies: BTreeSet<String> = told.into_iter().filter_map(|one| one.strategy).collect();
    let names: Vec<String> = strategies.into_iter().collect();
    Itself { strategy: (!names.is_empty()).then(|| names.join(", ")), turns, numbered }
}

async fn told_by_one(desk: &Desk) -> Itself {
    let (_, body) = desk.page("/v1/status").await.unwrap_or_default();
    let Ok(Status { strategy, ledger_order, orders }) = serde_json::from_slice(&body) else {
        return Itself::default();
    };
    let turns = orders.map_or(Turns::Untold, |queue| match queue.discipline.as_str() {
        "fifo" => Turns::Fifo,
        "lifo" => Turns::Lifo,
        "priority" => Turns::Priority { ageing_ms: queue.ageing_ms },
        _ => Turns::Untold,
    });
    // Of one that does not say so nobody knows that the numbers are the order of all.
    let numbered = match ledger_order.as_deref() {
        Some("all") => Numbered::Throughout,
        _ => Numbered::EachLevel,
    };
    Itself { strategy, turns, numbered }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_replicas_only_what_is_true_of_all_is_taken() {
        let says =
            |strategy: &str, turns, numbered| Itself { strategy: Some(strategy.to_owned()), turns, numbered };
        let one = || says("mutex", Turns::Fifo, Numbered::Throughout);
        assert_eq!(together(vec![one()]), one());
        assert_eq!(together(vec![one(), one()]), one());
        let other = says("atomic", Turns::Lifo, Numbered::EachLevel);
        assert_eq!(together(vec![one(), other]), says("atomic, mutex", Turns::Untold, Numbered::EachLevel));
        // Who tells nothing may have any discipline.
        assert_eq!(
            together(vec![one(), Itself::default()]),
            says("mutex", Turns::Untold, Numbered::EachLevel)
        );
    }
}
