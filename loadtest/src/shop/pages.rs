//! The ledger of the service, page by page, and what it says of its queue.

use history::shop::{Movement, MovementKind, Turns};
use serde::Deserialize;

use super::desk::Desk;
use super::wire::parse_name;

/// Why the ledger could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LedgerError {
    /// A page never came.
    #[error("a page of the ledger never came")]
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
    #[serde(default)]
    compacted: bool,
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
    orders: Option<Queue>,
}

#[derive(Deserialize)]
struct Queue {
    discipline: String,
    ageing_ms: u64,
}

/// The number of the newest movement of all, as far as it is known: where this run begins.
pub async fn newest(desk: &Desk) -> Result<u64, LedgerError> {
    let mut newest = 0;
    walk(desk, 0, |item| newest = item.seq).await.map(|_| newest)
}

/// The movements of the levels of this run after that number.
pub async fn ledger(desk: &Desk, after: u64) -> Result<Vec<Movement>, LedgerError> {
    let mut movements = Vec::new();
    let compacted = walk(desk, after, |item| movements.extend(movement(desk, item))).await?;
    // Of a level of this run the first version is here, or the service has dropped it.
    let mut is_opened = vec![false; desk.names().count()];
    for movement in &movements {
        is_opened[movement.level] |= movement.version == 1;
    }
    if compacted && !is_opened.iter().all(|is_opened| *is_opened) {
        return Err(LedgerError::Compacted);
    }
    Ok(movements)
}

/// Calls `each` with every movement after that number. Whether there were some before that are dropped.
async fn walk(desk: &Desk, after: u64, mut each: impl FnMut(&Item)) -> Result<bool, LedgerError> {
    let mut path = format!("/v1/movements?limit=1000&after={after}");
    loop {
        let body = desk.page(&path).await.ok_or(LedgerError::Missing)?;
        let page: Page =
            serde_json::from_slice(&body).map_err(|error| LedgerError::Wrong(error.to_string()))?;
        page.items.iter().for_each(&mut each);
        let Some(cursor) = page.next_cursor else { return Ok(page.compacted) };
        path = format!("/v1/movements?limit=1000&cursor={cursor}");
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

/// The strategy of the server and the discipline of its queue, as far as it tells.
pub async fn told_of_itself(desk: &Desk) -> (Option<String>, Turns) {
    let body = desk.page("/v1/status").await.unwrap_or_default();
    let Ok(Status { strategy, orders }) = serde_json::from_slice(&body) else { return (None, Turns::Untold) };
    let turns = orders.map_or(Turns::Untold, |queue| match queue.discipline.as_str() {
        "fifo" => Turns::Fifo,
        "lifo" => Turns::Lifo,
        "priority" => Turns::Priority { ageing_ms: queue.ageing_ms },
        _ => Turns::Untold,
    });
    (strategy, turns)
}
