//! Who is served before whom, as clients and the ledger see it: `--queue-discipline` says so, and nothing else does.
//!
//! All orders here wait for units of one level that has none, and there is one worker. So when goods come in, who is next is a matter of the
//! discipline alone, and not of when anything happened; and the ledger has the orders as they were served.

use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use inventory::store::{Discipline, Orders};
use inventory::strategy::StrategyKind;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::orders::{over, place, receive, waits_for_units};
use crate::support::app::{TestApp, WATCHDOG};
use crate::support::for_each_strategy;

/// What the first, second, ... order asks for: each discipline serves these in an order of its own.
const PRIORITIES: [u8; 4] = [5, 0, 9, 5];

/// So many steps of ageing are between the lowest priority and the highest.
const STEPS: u64 = 9;

/// An order that was placed.
struct Placed {
    path: String,
    at_ms: u64,
}

fn orders(discipline: Discipline, ageing: Duration) -> Orders {
    Orders { discipline, ageing, workers: 1, ..Orders::default() }
}

/// A service that has nothing, and whose orders do not age while anybody looks.
async fn sold_out(kind: StrategyKind, discipline: Discipline) -> TestApp {
    let app = TestApp::with(kind).with_orders(orders(discipline, Duration::from_hours(1))).start().await;
    app.create("A", 0).await;
    app
}

/// Places one for a unit of A.
async fn placed(app: &TestApp, priority: u8) -> Placed {
    let lines = json!([{"sku": "A", "quantity": 1}]);
    let body = json!({"lines": lines, "priority": priority, "backorder": true});
    let answer = app.post("/v1/orders", &body).await;
    let path = place(answer.assert_status(202));
    let created_at = answer.at("/created_at");
    let at = humantime::parse_rfc3339(created_at.as_str().expect("a time")).expect("RFC 3339");
    let at_ms = at.duration_since(UNIX_EPOCH).expect("a time of today").as_millis();
    Placed { path, at_ms: u64::try_from(at_ms).expect("a time of today") }
}

/// Places one of each priority; all of them wait.
async fn waiting(app: &TestApp, priorities: &[u8]) -> Vec<Placed> {
    let mut waiting = Vec::new();
    for priority in priorities {
        let order = placed(app, *priority).await;
        waits_for_units(app, &order.path).await;
        waiting.push(order);
    }
    waiting
}

/// Places one of each priority, again and again, until they were placed when they should be; all of them wait, and the rest are gone.
async fn waiting_when(app: &TestApp, priorities: &[u8], is_when: impl Fn(&[Placed]) -> bool) -> Vec<Placed> {
    let tries = async {
        loop {
            let waiting = waiting(app, priorities).await;
            if is_when(&waiting) {
                return waiting;
            }
            for order in waiting {
                app.delete(&order.path).await.assert_status(204);
            }
        }
    };
    tokio::time::timeout(WATCHDOG, tries).await.expect("time passes, and not much at once")
}

/// Goods come in, for one order and then for all: who was served, in order, each told by when it was placed.
async fn served(app: &TestApp, placed: &[Placed]) -> Vec<usize> {
    receive(app, "A", 1).await;
    let one_is_served = async {
        while taken(app, placed).await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WATCHDOG, one_is_served).await.expect("somebody gets it");
    let first = taken(app, placed).await;
    for (at, order) in placed.iter().enumerate() {
        let state = if first == [at] { "fulfilled" } else { "backordered" };
        assert_eq!(app.get(&order.path).await.at("/state"), state, "order {at} of {first:?}");
    }
    receive(app, "A", placed.len() as u64 - 1).await;
    let served = all_served(app, placed).await;
    assert_eq!(served.first(), first.first(), "the ledger does not change");
    served
}

/// Who was served, once there is something for all.
async fn all_served(app: &TestApp, placed: &[Placed]) -> Vec<usize> {
    for order in placed {
        assert_eq!(over(app, &order.path).await.at("/state"), "fulfilled");
    }
    assert_eq!(app.level("A").await.0, 0);
    taken(app, placed).await
}

/// Who has taken units of A, in the order of the ledger.
async fn taken(app: &TestApp, placed: &[Placed]) -> Vec<usize> {
    let page = app.get("/v1/movements?sku=A&limit=1000").await;
    let items = page.assert_status(200).at("/items");
    let oldest_first = items.as_array().expect("movements").iter().rev();
    let orders = oldest_first.filter(|movement| movement["kind"] == "fulfilled").map(|movement| {
        let id = movement["order"].as_str().expect("an order took them");
        placed.iter().position(|order| order.path.ends_with(id)).expect("it was placed here")
    });
    orders.collect()
}

/// A level is set to so many units while nobody serves it.
fn count(data: &TempDir, on_hand: usize) {
    let file = data.path().with_extension("ndjson");
    let line: Value = json!({"sku": "A", "on_hand": on_hand});
    std::fs::write(&file, format!("{line}\n")).expect("a temporary file");
    let mut import = Command::new(env!("CARGO_BIN_EXE_inventory"));
    import.arg("import").arg(&file).arg("--data-dir").arg(data.path());
    let output = import.output().expect("the executable");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::remove_file(&file).expect("it is there");
}

for_each_strategy! {
    /// The first that was placed is first, however urgent the others are.
    async fn fifo_serves_the_oldest(kind: StrategyKind) {
        let app = sold_out(kind, Discipline::Fifo).await;
        let placed = waiting(&app, &PRIORITIES).await;
        assert_eq!(served(&app, &placed).await, [0, 1, 2, 3]);
    }

    /// The last that was placed is first, however urgent the others are.
    async fn lifo_serves_the_newest(kind: StrategyKind) {
        let app = sold_out(kind, Discipline::Lifo).await;
        let placed = waiting(&app, &PRIORITIES).await;
        assert_eq!(served(&app, &placed).await, [3, 2, 1, 0]);
    }

    /// The most urgent is first; of those that are alike, the first that was placed.
    async fn priority_serves_the_most_urgent(kind: StrategyKind) {
        let app = sold_out(kind, Discipline::Priority).await;
        let placed = waiting(&app, &PRIORITIES).await;
        assert_eq!(served(&app, &placed).await, [2, 0, 3, 1]);
    }

    /// Nobody starves: an order of the lowest priority is before one of the highest that is placed nine steps of ageing after it, and behind
    /// one that is placed sooner.
    async fn priority_serves_who_has_waited_long_enough(kind: StrategyKind) {
        let ageing = Duration::from_millis(20);
        let overtaken_ms = STEPS * 20;
        let app = TestApp::with(kind).with_orders(orders(Discipline::Priority, ageing)).start().await;
        app.create("A", 0).await;
        let mut placed = waiting(&app, &[0]).await;
        let until_ms = placed[0].at_ms + overtaken_ms;
        placed.extend(waiting_when(&app, &[9], |young| young[0].at_ms > until_ms).await);
        let soon = |pair: &[Placed]| pair[1].at_ms < pair[0].at_ms + overtaken_ms;
        placed.extend(waiting_when(&app, &[0, 9], soon).await);
        assert_eq!(served(&app, &placed).await, [0, 1, 3, 2]);
    }

    /// Who is next is made anew at each start, as that start says: the orders that were placed first in, first out are served the other way round.
    async fn the_next_start_says_who_is_next(kind: StrategyKind) {
        let app = sold_out(kind, Discipline::Fifo).await;
        let placed = waiting(&app, &PRIORITIES).await;
        let data = app.end().await;
        count(&data, placed.len());
        let lifo = orders(Discipline::Lifo, Duration::from_hours(1));
        let app = TestApp::over(kind, data).with_orders(lifo).start().await;
        assert_eq!(all_served(&app, &placed).await, [3, 2, 1, 0]);
    }
}
