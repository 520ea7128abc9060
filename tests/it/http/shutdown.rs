//! Shutdown: what was accepted is finished, within a bound; what was not is refused.

use std::time::Duration;

use inventory::http::server::Drained;
use inventory::strategy::StrategyKind;
use serde_json::json;
use tokio::net::TcpStream;

use crate::support::app::raw::Raw;
use crate::support::app::{TestApp, WATCHDOG};
use crate::support::for_each_strategy;

const BODY: &str = "{\"delta\":41}";

/// A request of which the service has begun to read the body, and half of that is sent. It says that it has begun, with
/// `100 Continue`, so no test has to guess.
async fn half_sent(app: &TestApp) -> Raw {
    let mut connection = app.connect().await;
    let length = BODY.len();
    let head = format!(
        "POST /v1/stock/A/adjust HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
    );
    connection.write(head).await;
    connection.answer().await.assert_status(100);
    connection.write(&BODY[..5]).await;
    connection
}

/// Returns when nobody accepts connections any more. Until the service has noticed the shutdown, it does.
async fn refuses_connections(app: &TestApp) {
    let refused = async {
        while TcpStream::connect(app.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WATCHDOG, refused).await.expect("new connections are refused during a shutdown");
}

for_each_strategy! {
    /// A request that was accepted is answered after the shutdown began, new connections are refused, idle ones end.
    async fn what_was_accepted_is_finished(kind: StrategyKind) {
        let mut app = TestApp::stocked(kind, &[("A", 1)]).await;
        let mut idle = app.connect().await;
        idle.write("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
        idle.answer().await.assert_status(200);
        let mut slow = half_sent(&app).await;
        app.begin_shutdown();
        // While the slow request goes on.
        refuses_connections(&app).await;
        assert!(idle.rest().await.is_empty(), "an idle connection ends");
        slow.write(&BODY[5..]).await;
        let answer = slow.answer().await;
        answer.assert_level(200, 42, 2);
        assert_eq!(answer.header("connection"), "close");
        assert!(slow.rest().await.is_empty());
        assert_eq!(app.drained().await, Drained::Clean);
    }
}

/// P10: the drain is bounded; whoever is not done by then is cut off, and the service says so.
#[tokio::test]
async fn a_drain_is_bounded() {
    let app = TestApp::with(StrategyKind::Atomic).with_shutdown_grace(Duration::from_millis(50));
    let mut app = app.start().await;
    app.create("A", 1).await;
    let _slow = half_sent(&app).await;
    app.begin_shutdown();
    assert_eq!(app.drained().await, Drained::CutOff);
}

/// A request whose head has begun to come is finished as well; while the service drains, it is not ready.
///
/// On one thread: what connected first is accepted, and read from, before what connected next is answered.
#[tokio::test]
async fn a_service_that_drains_is_not_ready() {
    let mut app = TestApp::stocked(StrategyKind::Atomic, &[("A", 1)]).await;
    let mut probe = app.connect().await;
    probe.write("GET /readyz HTTP/1.1\r\nHost: x\r\n").await;
    let mut slow = half_sent(&app).await;
    app.begin_shutdown();
    refuses_connections(&app).await;
    probe.write("\r\n").await;
    let answer = probe.answer().await;
    assert_eq!(answer.assert_problem(503, "not-ready").at("/applied"), "no");
    slow.write(&BODY[5..]).await;
    slow.answer().await.assert_level(200, 42, 2);
    assert_eq!(app.drained().await, Drained::Clean);
}

/// A service with nothing to finish stops at once, its idle connections with it.
#[tokio::test]
async fn nothing_to_finish() {
    let mut app = TestApp::start(StrategyKind::Mutex).await;
    app.get("/livez").await.assert_status(200);
    app.begin_shutdown();
    assert_eq!(app.drained().await, Drained::Clean);
}

/// Fault 8: where there is a delay, `/readyz` falls first, while requests are taken as before, each answer saying that it is the last of its
/// connection; and then the service stops.
#[tokio::test]
async fn readiness_falls_before_the_service_stops() {
    let app = TestApp::with(StrategyKind::Atomic).with_drain_delay(Duration::from_secs(2));
    let mut app = app.start().await;
    app.create("A", 1).await;
    let mut idle = app.connect().await;
    app.begin_shutdown();
    let falls = async {
        while app.get("/readyz").await.status == 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WATCHDOG, falls).await.expect("it is not ready any more");
    app.get("/livez").await.assert_status(200);
    idle.write("GET /v1/stock/A HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let answer = idle.answer().await;
    answer.assert_level(200, 1, 1);
    assert_eq!(answer.header("connection"), "close");
    assert!(idle.rest().await.is_empty());
    app.post("/v1/stock/A/adjust", &json!({"delta": 41})).await.assert_level(200, 42, 2);
    assert_eq!(app.drained().await, Drained::Clean);
}
