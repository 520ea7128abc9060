//! How many requests are carried out at once, and what becomes of the others (P10): who waits, who is refused, who needs no place, and who gives
//! its own up. Places are taken by the tests themselves, so that none depends on how fast anything is.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::http::Method;
use inventory::access::{Key, Principal, Scope, file};
use inventory::http::admission::{Entry, Occupancy, Permit};
use inventory::strategy::StrategyKind;
use serde_json::json;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::support::app::raw::Raw;
use crate::support::app::{TestApp, WATCHDOG};

const ATOMIC: StrategyKind = StrategyKind::Atomic;
/// Short, so that what is refused after it is: nothing that is to be let in is up against it.
const SHORT: Duration = Duration::from_millis(50);

const READ_A: &str = "GET /v1/stock/A HTTP/1.1\r\nHost: x\r\n\r\n";
const ADJUST_A: &str = "POST /v1/stock/A/adjust HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n";

/// With so many places, and so many in line for them for that long; and five of A.
async fn start(in_flight_max: usize, capacity: usize, failfast: Duration) -> TestApp {
    let app = TestApp::with(ATOMIC).with_admission(in_flight_max, capacity, failfast).start().await;
    app.create("A", 5).await;
    app
}

/// Takes a place.
fn place(app: &TestApp) -> Permit {
    match app.state.admission.enter() {
        Entry::Inside(permit) => permit,
        other => panic!("{other:?}"),
    }
}

/// Returns once it is so.
async fn until(app: &TestApp, is_so: impl Fn(Occupancy) -> bool) {
    let now = || app.state.admission.now();
    let soon = async {
        while !is_so(now()) {
            tokio::task::yield_now().await;
        }
    };
    timeout(WATCHDOG, soon).await.unwrap_or_else(|_| panic!("{:?}", now()));
}

/// Returns once the metrics have that line.
async fn until_metric(app: &TestApp, line: &str) {
    let soon = async {
        while !app.get("/metrics").await.text().lines().any(|told| told == line) {
            tokio::task::yield_now().await;
        }
    };
    timeout(WATCHDOG, soon).await.unwrap_or_else(|_| panic!("{line}"));
}

/// A request that waits for a place, and will for as long as it takes.
async fn in_line(app: &TestApp) -> Raw {
    let before = app.state.admission.now().waiting;
    let mut waiting = app.connect().await;
    waiting.write(READ_A).await;
    until(app, |now| now.waiting == before + 1).await;
    waiting
}

/// So many are carried out, so many wait, and one more is told so; what says how the service is is answered as ever.
#[tokio::test]
async fn who_finds_no_place_waits_and_who_finds_no_room_to_wait_is_refused() {
    let app = start(2, 1, WATCHDOG).await;
    let (first, second) = (place(&app), place(&app));
    let mut waiting = in_line(&app).await;
    let refused = app.post("/v1/stock/A/adjust", &json!({ "delta": -1 })).await;
    assert_eq!(refused.assert_problem(503, "overloaded").at("/applied"), "no");
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().expect("seconds")));
    assert!(refused.at("/detail").to_string().contains("nothing was changed"), "{}", refused.text());
    for path in ["/livez", "/readyz", "/metrics", "/openapi.json", "/docs"] {
        app.get(path).await.assert_status(200);
    }
    let status = app.get("/v1/status").await;
    let expected = json!({ "in_flight": 2, "in_flight_max": 2, "waiting": 1, "waiting_max": 1, "shed": 1 });
    assert_eq!(status.assert_status(200).at("/admission"), expected);
    assert!(waiting.has_nothing());
    drop(first);
    waiting.answer().await.assert_level(200, 5, 1);
    drop(second);
    assert_eq!(app.level("A").await, (5, 1), "what was refused changed nothing");
    let metrics = app.get("/metrics").await;
    for line in [
        "inventory_admission_in_flight 0",
        "inventory_admission_in_flight_max 2",
        "inventory_admission_waiting 0",
        "inventory_admission_waiting_max 1",
        "inventory_admission_shed_total{reason=\"full\"} 1",
        "inventory_admission_shed_total{reason=\"late\"} 0",
        "inventory_admission_wait_seconds_count 1",
    ] {
        assert!(metrics.text().lines().any(|told| told == line), "{line}");
    }
}

/// Who has waited for too long is refused; and so is who is refused by the way of a slow body, on a connection that goes on.
#[tokio::test]
async fn who_waits_for_too_long_is_refused() {
    let app = start(1, 9, SHORT).await;
    let taken = place(&app);
    let late = app.get("/v1/stock/A").await;
    assert_eq!(late.assert_problem(503, "overloaded").at("/applied"), "no");
    assert!(late.at("/detail").to_string().contains("50 ms"), "{}", late.text());
    drop(taken);
    let mut slow = app.connect().await;
    slow.write(ADJUST_A).await;
    until_metric(&app, "http_server_active_requests 2").await;
    let taken = place(&app);
    slow.write("{\"delta\":1}").await;
    assert_eq!(slow.answer().await.assert_problem(503, "overloaded").at("/applied"), "no");
    drop(taken);
    slow.write(format!("{ADJUST_A}{{\"delta\":2}}")).await;
    slow.answer().await.assert_level(200, 7, 2);
    until_metric(&app, "inventory_admission_shed_total{reason=\"late\"} 2").await;
}

/// P10: thousands of bodies that come slowly take no place from anybody. Each has one before anything is done with what it says.
#[tokio::test]
async fn a_slow_body_takes_no_place() {
    const SLOW: usize = 50;
    let app = start(1, 100, WATCHDOG).await;
    let mut slow = Vec::new();
    for number in 0..SLOW {
        let mut connection = app.connect().await;
        // All of it but its end, in both ways in which there may be one; or nothing of it.
        let begun = match number % 3 {
            0 => ADJUST_A.to_owned(),
            1 => format!("{ADJUST_A}{{\"delta\":"),
            _ => {
                ADJUST_A.replace("Content-Length: 11", "Transfer-Encoding: chunked")
                    + "b\r\n{\"delta\":1}\r\n"
            }
        };
        connection.write(begun).await;
        slow.push(connection);
    }
    until_metric(&app, &format!("http_server_active_requests {}", SLOW + 1)).await;
    until(&app, |now| now.in_flight == 0 && now.waiting == 0).await;
    app.get("/v1/stock/A").await.assert_level(200, 5, 1);
    let taken = place(&app);
    for (number, connection) in slow.iter_mut().enumerate() {
        connection.write(["{\"delta\":1}", "1}", "0\r\n\r\n"][number % 3]).await;
    }
    until(&app, |now| now.waiting == SLOW as u64).await;
    assert!(slow.iter_mut().all(Raw::has_nothing));
    drop(taken);
    for connection in &mut slow {
        connection.answer().await.assert_status(200);
    }
    assert_eq!(app.level("A").await, (5 + SLOW as u64, 1 + SLOW as u64), "each of them once");
}

/// Who sleeps until there is stock, or until an order is over, and who watches, holds up nobody.
#[tokio::test]
async fn who_sleeps_takes_no_place() {
    let app = start(1, 9, WATCHDOG).await;
    let mut reads = Vec::new();
    for count in 1..=3 {
        let read = app.call(Method::GET, "/v1/stock/A?min_available=6").header("prefer", "wait=25");
        reads.push(tokio::spawn(read.send()));
        until_metric(&app, &format!("inventory_stock_waiters {count}")).await;
    }
    let lines = json!([{ "sku": "B", "quantity": 1 }]);
    let order = app.call(Method::POST, "/v1/orders").header("prefer", "wait=25");
    let order = tokio::spawn(order.json(&json!({ "lines": lines, "backorder": true })).send());
    let watcher = app.watch("/v1/events", "").await;
    let waits = async {
        while app.get("/v1/status").await.number("/orders/backordered") != 1 {
            tokio::task::yield_now().await;
        }
    };
    timeout(WATCHDOG, waits).await.expect("the order waits for stock");
    until(&app, |now| now.in_flight == 0).await;
    app.post("/v1/stock/A/adjust", &json!({ "delta": 1 })).await.assert_level(200, 6, 2);
    // Who wakes asks for no place: what it asked for is done.
    let taken = place(&app);
    for read in reads {
        read.await.expect("no panic").assert_level(200, 6, 2);
    }
    drop(taken);
    app.create("B", 1).await;
    let order = order.await.expect("no panic");
    assert_eq!(order.assert_status(200).at("/state"), "fulfilled");
    drop(watcher);
}

/// P8: what was refused under a key was not done, and is done once when it is sent again.
#[tokio::test]
async fn what_was_refused_is_sent_again_with_its_key() {
    let app = start(1, 1, SHORT).await;
    let sell = || {
        let call = app.call(Method::POST, "/v1/stock/A/adjust").json(&json!({ "delta": -1 }));
        call.header("idempotency-key", "order-1").send()
    };
    let taken = place(&app);
    sell().await.assert_problem(503, "overloaded");
    drop(taken);
    let done = sell().await;
    done.assert_level(200, 4, 2);
    assert_eq!(done.header("idempotent-replayed"), "");
    let again = sell().await;
    again.assert_level(200, 4, 2);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(app.level("A").await, (4, 2));
}

/// Of several reasons the first is told: who it is, then whether there is room, then what is asked.
#[tokio::test]
async fn admission_comes_after_authentication_and_before_syntax() {
    let folder = TempDir::new().expect("a temporary folder");
    let (path, key) = (folder.path().join("keys"), Key::random().expect("randomness"));
    let line = file::line_of(&Principal::new("till".into(), Scope::Write), &key.digest()) + "\n";
    std::fs::write(&path, line).expect("a file");
    let app = TestApp::with(ATOMIC).with_admission(1, 1, WATCHDOG).with_auth_file(path).start().await;
    let bearer = format!("Bearer {}", key.reveal());
    let ask = |method: Method, path: &str| app.call(method, path).header("authorization", &bearer);
    let taken = place(&app);
    let waiting = tokio::spawn(ask(Method::GET, "/v1/stock").send());
    until(&app, |now| now.waiting == 1).await;
    app.get("/v1/stock").await.assert_problem(401, "unauthenticated");
    for path in ["/v1/stock?limit=none", "/v1/stock/%ff", "/v1/nothing"] {
        ask(Method::GET, path).send().await.assert_problem(503, "overloaded");
    }
    ask(Method::POST, "/v1/transfers").body("{").send().await.assert_problem(503, "overloaded");
    // A body that nobody would read is no way in.
    ask(Method::GET, "/v1/stock/A").body("{}").send().await.assert_problem(503, "overloaded");
    drop(taken);
    waiting.await.expect("no panic").assert_status(200);
    ask(Method::GET, "/v1/stock?limit=none").send().await.assert_parameter("limit");
}

/// P11: who goes away leaves the line, or its place.
#[tokio::test]
async fn who_goes_away_leaves_the_line() {
    let app = start(1, 9, WATCHDOG).await;
    let taken = place(&app);
    let first = in_line(&app).await;
    let mut second = in_line(&app).await;
    first.reset();
    until(&app, |now| now.waiting == 1).await;
    drop(taken);
    second.answer().await.assert_level(200, 5, 1);
    until(&app, |now| now.in_flight == 0 && now.waiting == 0).await;
}

/// P10, P1: however many ask, never more than may are inside; all are let in in turn, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn never_more_than_may_are_inside() {
    const CLIENTS: u64 = 64;
    const EACH: u64 = 25;
    let app = start(3, 1_000, WATCHDOG).await;
    let (state, is_over) = (app.state, AtomicBool::new(false));
    let most = std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(state.admission.now().in_flight);
                std::thread::yield_now();
            }
            most
        });
        let working = async {
            let mut clients = Vec::new();
            for _ in 0..CLIENTS {
                let mut connection = app.connect().await;
                clients.push(tokio::spawn(async move {
                    for _ in 0..EACH {
                        connection.write(format!("{ADJUST_A}{{\"delta\":1}}")).await;
                        connection.answer().await.assert_status(200);
                    }
                }));
            }
            for client in clients {
                client.await.expect("no panic");
            }
        };
        tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(working));
        is_over.store(true, Ordering::Relaxed);
        looking.join().expect("no panic")
    });
    assert!((1..=3).contains(&most), "{most}");
    assert_eq!(app.level("A").await, (5 + CLIENTS * EACH, 1 + CLIENTS * EACH));
    let now = app.state.admission.now();
    assert_eq!((now.in_flight, now.waiting, now.shed), (0, 0, 0));
    let metrics = app.get("/metrics").await;
    assert!(!metrics.text().contains("inventory_admission_wait_seconds_count 0\n"), "some had to wait");
}

/// P10: so many exports at once, and one more when one has ended, or its client has gone away.
#[tokio::test]
async fn there_are_so_many_exports_at_once() {
    const LEVELS: usize = 20_000;
    let app = TestApp::with(ATOMIC).with_exports_max(1).start().await;
    let line = |number| json!({ "sku": format!("{number:064}"), "location": "x".repeat(32), "on_hand": 1 });
    let lines: String = (0..LEVELS).map(|number| line(number).to_string() + "\n").collect();
    let import = app.call(Method::POST, "/v1/import").header("content-type", "application/x-ndjson");
    import.body(lines).send().await.assert_status(200);
    // It takes nothing of it, and there is more of it than anything in between holds.
    let mut stopped = Raw::connect_narrow(app.address).await;
    stopped.write("GET /v1/export HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until_metric(&app, "inventory_exports 1").await;
    let refused = app.get("/v1/export?format=none").await;
    assert_eq!(refused.assert_problem(503, "overloaded").at("/applied"), "no");
    assert!((1..=60).contains(&refused.header("retry-after").parse::<u64>().expect("seconds")));
    assert_eq!(app.state.admission.now().in_flight, 0, "what is streamed takes no place");
    stopped.reset();
    until_metric(&app, "inventory_exports 0").await;
    for _ in 0..3 {
        let whole = app.get("/v1/export").await;
        assert_eq!(whole.assert_status(200).text().lines().count(), LEVELS);
    }
    app.get("/v1/export?format=none").await.assert_parameter("format");
    let head = app.call(Method::HEAD, "/v1/export").send().await;
    head.assert_status(200);
    until_metric(&app, "inventory_exports 0").await;
    until_metric(&app, "inventory_exports_refused_total 1").await;
}
