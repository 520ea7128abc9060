//! [`Shop`]: stock with something of each kind, as clients know it: every answer they were given, and what they were promised.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use axum::http::Method;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::support::app::answer::Answer;
use crate::support::app::{Call, WATCHDOG, client};

/// A service in a process of its own. Killed, by its pid, when dropped.
pub(super) struct Service {
    process: Child,
    client: reqwest::Client,
    url: String,
}

/// A request under an idempotency key, and what it was answered.
struct Asked {
    path: String,
    key: String,
    body: Value,
    answer: Answer,
}

/// What was told.
pub(super) struct Shop {
    asked: Vec<Asked>,
    /// Paths, and what was told there.
    told: Vec<(String, Answer)>,
    /// Orders that wait for units of `wait`, and the order in which they are to get them.
    waiting: Vec<String>,
    pending: Vec<String>,
    fulfilled: Vec<String>,
    movements: u64,
}

/// Completes once something is so.
pub(super) async fn until(is_so: impl AsyncFn() -> bool) {
    let so = async {
        while !is_so().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WATCHDOG, so).await.expect("it comes to that");
}

/// What came after the ledger that the shop knows.
pub(super) async fn after_the_ledger(service: &Service, shop: &Shop) -> Answer {
    service.get(&format!("/v1/movements?after={}&limit=1000", shop.movements)).await
}

impl Service {
    pub(super) fn over_folder(data: &Path) -> Self {
        Self::over(&["--data-dir", data.to_str().expect("UTF-8")])
    }

    pub(super) fn over_store(url: &str) -> Self {
        Self::over(&["--store", url, "--store-allow-async-commit", "--store-connections", "8"])
    }

    fn over(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_inventory"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--log", "error"]).args(args);
        command.args([
            "--queue-discipline",
            "priority",
            "--order-ageing",
            "1h",
            "--webhook-allow",
            "127.0.0.0/8",
        ]);
        let mut process =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut url = String::new();
        let stdout = process.stdout.take().expect("standard output is piped");
        BufReader::new(stdout).read_line(&mut url).expect("the server says where it listens");
        Self { process, client: client(), url: url.trim().to_owned() }
    }

    fn call(&self, method: Method, path: &str) -> Call {
        Call::new(&self.client, method, &self.url, path)
    }

    /// The answer, once the service is ready for it.
    pub(super) async fn get(&self, path: &str) -> Answer {
        until(async || {
            let ready = reqwest::get(format!("{}/readyz", self.url)).await;
            ready.is_ok_and(|ready| ready.status().is_success())
        })
        .await;
        self.call(Method::GET, path).send().await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.get("/v1/status").await.assert_status(200);
        self.call(Method::PUT, path).json(body).send().await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.call(Method::POST, path).json(body).send().await
    }

    pub(super) fn kill(mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ends");
    }

    pub(super) fn stop(mut self) {
        let pid = i32::try_from(self.process.id()).expect("a pid");
        kill(Pid::from_raw(pid), Signal::SIGTERM).expect("it runs");
        assert_eq!(self.process.wait().expect("it ends").code(), Some(0));
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

fn line(sku: &str, quantity: u64) -> Value {
    json!({ "sku": sku, "quantity": quantity })
}

/// Whether something is about a level of which a shop holds units for a second.
fn is_of_a_second(value: &Value) -> bool {
    ["\"short a\"", "\"short b\""].iter().any(|sku| value.to_string().contains(sku))
}

/// An answer as it can be compared: what each client goes by. What a shop holds for a second is another matter.
fn compared(answer: &Answer) -> (u16, String, String, String) {
    let text = match serde_json::from_slice::<Value>(&answer.body) {
        Ok(mut body) => {
            if let Some(items) = body.get_mut("items").and_then(Value::as_array_mut) {
                items.retain(|item| !is_of_a_second(item));
            }
            // Where the events go on after what is shown: what is held for a second moves that on.
            body.as_object_mut().and_then(|body| body.remove("event_cursor"));
            body.to_string()
        }
        Err(_) => {
            answer.text().lines().filter(|line| !line.contains("\"short ")).collect::<Vec<_>>().join("\n")
        }
    };
    (answer.status, answer.header("etag").to_owned(), answer.header("content-type").to_owned(), text)
}

impl Shop {
    /// Opens one: levels of all kinds of names, and something of all that may happen to them.
    pub(super) async fn opened(service: &Service) -> Self {
        let mut shop = Self {
            asked: Vec::new(),
            told: Vec::new(),
            waiting: Vec::new(),
            pending: Vec::new(),
            fulfilled: Vec::new(),
            movements: 0,
        };
        for path in [
            "A",
            "A?location=back%20room",
            "B",
            "BANK%20CHARGES",
            "1%2F2%22",
            "%C3%A4",
            "gone",
            "again",
            "wait",
        ] {
            let units = if path == "wait" { 0 } else { 100 };
            let made = service.put(&format!("/v1/stock/{path}"), &json!({ "on_hand": units })).await;
            made.assert_status(201);
        }
        for path in ["/v1/stock/gone", "/v1/stock/again"] {
            let removed = service.call(Method::DELETE, path).header("if-match", "*").send().await;
            removed.assert_status(204);
        }
        service.put("/v1/stock/again", &json!({"on_hand": 7})).await.assert_status(201);
        shop.changes(service).await;
        shop.reserves(service).await;
        shop.orders(service).await;
        for path in ["/v1/alerts/A", "/v1/alerts/B"] {
            let kept = service.call(Method::PUT, path).json(&json!({"low_at": 5})).send().await;
            // A store in a database keeps none yet.
            assert!([200, 201, 501].contains(&kept.status), "{}", kept.text());
        }
        shop.is_seen(service).await;
        shop
    }

    /// Asks under a key, and keeps what is answered.
    async fn asks(&mut self, service: &Service, path: &str, body: Value, status: u16) -> Answer {
        let key = format!("key-{}", self.asked.len());
        let call = service.call(Method::POST, path).header("idempotency-key", &key);
        let answer = call.json(&body).send().await;
        answer.assert_status(status);
        let path = path.to_owned();
        self.asked.push(Asked { path, key, body, answer: answer.clone() });
        answer
    }

    async fn changes(&mut self, service: &Service) {
        let said = |delta: i64| json!({"delta": delta, "reason": "sold", "reference": "r \u{e4}"});
        self.asks(service, "/v1/stock/A/adjust", said(-3), 200).await;
        self.asks(service, "/v1/stock/A/adjust", said(-300), 409).await;
        self.asks(service, "/v1/stock/nothing/adjust", said(1), 404).await;
        let lines = |lines: &[(&str, i64)]| -> Value {
            lines.iter().map(|(sku, delta)| json!({"sku": sku, "delta": delta})).collect()
        };
        for (mode, some, status) in [
            ("atomic", &[("B", -1)][..], 200),
            ("atomic", &[("B", -1), ("\u{e4}", 5), ("1/2\"", -2), ("B", -1)], 200),
            ("atomic", &[("B", -1), ("A", -1_000)], 409),
            ("independent", &[("B", -1), ("A", -1_000), ("nothing", 1), ("B", 2)], 200),
            ("independent", &[("A", 1)], 200),
        ] {
            let body = json!({"mode": mode, "lines": lines(some), "reason": "count"});
            self.asks(service, "/v1/adjustments", body, status).await;
        }
        let moves = json!([{"sku": "A", "quantity": 4, "from": "main", "to": "back room"}]);
        self.asks(service, "/v1/transfers", json!({ "lines": moves }), 200).await;
    }

    async fn reserves(&mut self, service: &Service) {
        let holds = |lines: Vec<Value>| json!({"lines": lines, "ttl_seconds": 80_000});
        let path =
            |answer: &Answer| format!("/v1/reservations/{}", answer.at("/id").as_str().expect("a name"));
        let three = || vec![line("A", 2), line("BANK CHARGES", 3), line("\u{e4}", 4)];
        for _ in 0..4 {
            let made = self.asks(service, "/v1/reservations", holds(three()), 201).await;
            self.pending.push(path(&made));
        }
        self.asks(service, "/v1/reservations", holds(vec![line("A", 1), line("B", 9_999)]), 409).await;
        let (part, released) = (self.pending.remove(0), self.pending.remove(0));
        let some = json!({"lines": [{"sku": "A", "quantity": 1}], "reason": "part"});
        self.asks(service, &format!("{part}/commit"), some, 200).await;
        self.asks(service, &format!("{released}/release"), json!({}), 200).await;
        let longer = json!({"ttl_seconds": 86_000});
        self.asks(service, &format!("{}/extend", self.pending[0]), longer, 200).await;
    }

    async fn orders(&mut self, service: &Service) {
        let path = |answer: &Answer| format!("/v1/orders/{}", answer.at("/id").as_str().expect("a name"));
        let state = async |path: &str, state: &str| {
            until(async || service.get(path).await.at("/state") == state).await;
        };
        let taken = json!({"lines": [line("B", 5), line("A", 1)], "priority": 3, "reference": "web \u{e4}"});
        let taken = path(&self.asks(service, "/v1/orders", taken, 202).await);
        state(&taken, "fulfilled").await;
        let back = json!({"lines": [{"sku": "B", "quantity": 2}], "reason": "too big"});
        self.asks(service, &format!("{taken}/returns"), back, 200).await;
        self.fulfilled.push(taken);
        let rejected = json!({"lines": [line("B", 5_000)]});
        let rejected = path(&self.asks(service, "/v1/orders", rejected, 202).await);
        state(&rejected, "rejected").await;
        for priority in [5, 0, 9, 5] {
            let body = json!({"lines": [line("wait", 2)], "priority": priority, "backorder": true});
            let waiting = path(&self.asks(service, "/v1/orders", body, 202).await);
            state(&waiting, "backordered").await;
            self.waiting.push(waiting);
        }
        // The most urgent first; of the same, who was first.
        let [first, last, urgent, second] = &self.waiting[..] else { panic!("four wait") };
        self.waiting = [urgent, first, second, last].map(Clone::clone).to_vec();
        let other = json!({"lines": [line("never was", 1)], "backorder": true});
        let other = path(&self.asks(service, "/v1/orders", other, 202).await);
        state(&other, "backordered").await;
        let cancelled = json!({"lines": [line("wait", 1)], "backorder": true});
        let cancelled = path(&self.asks(service, "/v1/orders", cancelled, 202).await);
        state(&cancelled, "backordered").await;
        service.call(Method::DELETE, &cancelled).send().await.assert_status(204);
    }

    /// Looks at everything there is, and keeps what is told.
    pub(super) async fn is_seen(&mut self, service: &Service) {
        let all = service.get("/v1/movements?after=0&limit=1000").await;
        self.movements = all.assert_status(200).count("/items") as u64;
        let mut paths: Vec<String> = [
            "/v1/stock?limit=1000",
            "/v1/export",
            "/v1/reservations?limit=1000",
            "/v1/orders?limit=1000",
            "/v1/stock/gone",
            "/v1/stock/nothing",
            "/v1/movements?sku=gone",
            "/v1/movements?sku=A",
            "/v1/movements?sku=A&location=back%20room",
            "/v1/movements?sku=%C3%A4&limit=2",
        ]
        .map(str::to_owned)
        .to_vec();
        paths.push(format!("/v1/movements?after=0&limit={}", self.movements));
        paths.push(format!("/v1/movements?after={}&limit=3", self.movements - 3));
        for (sku, at) in [("A", 12), ("again", 11), ("B", 30)] {
            paths.push(format!("/v1/stock/{sku}?at={at}"));
        }
        for sku in ["A", "A?location=back%20room", "again", "1%2F2%22", "%C3%A4", "BANK%20CHARGES", "wait"] {
            paths.push(format!("/v1/stock/{sku}"));
        }
        for all in ["/v1/orders", "/v1/reservations"] {
            let page = service.get(&format!("{all}?limit=1000")).await;
            for one in page.at("/items").as_array().expect("a list").iter().filter(|one| !is_of_a_second(one))
            {
                paths.push(format!("{all}/{}", one["id"].as_str().expect("a name")));
            }
        }
        self.told.clear();
        for path in paths {
            let answer = service.get(&path).await;
            self.told.push((path, answer));
        }
    }

    /// P6, P9: every look shows what it showed.
    pub(super) async fn is_as_it_was(&self, service: &Service) {
        for (path, then) in &self.told {
            let now = service.get(path).await;
            assert_eq!(cut(path, compared(&now)), cut(path, compared(then)), "{path}");
        }
    }

    /// P8: every retry is answered as the first was, to the letter, and changes nothing.
    pub(super) async fn knows_every_retry(&self, service: &Service) {
        let before = service.get("/v1/movements?after=0&limit=1000").await.count("/items");
        for Asked { path, key, body, answer } in &self.asked {
            let call = service.call(Method::POST, path).header("idempotency-key", key);
            let again = call.json(body).send().await;
            assert_eq!(again.header("idempotent-replayed"), "true", "{path} {body}: {}", again.text());
            assert_eq!(compared(&again), compared(answer), "{path} {body}");
            assert_eq!(again.header("location"), answer.header("location"), "{path} {body}");
            let other = service.call(Method::POST, "/v1/stock/A/adjust").header("idempotency-key", key);
            other.json(&json!({"delta": 41})).send().await.assert_problem(422, "idempotency-key-reused");
        }
        let after = service.get("/v1/movements?after=0&limit=1000").await.count("/items");
        assert_eq!(before, after);
    }

    /// What was promised is kept, whichever replica is asked; and more is done under keys.
    pub(super) async fn goes_on(&mut self, replicas: &[Service; 2]) {
        let [one, other] = replicas;
        // P6: no version is given twice.
        let made = one.put("/v1/stock/gone", &json!({"on_hand": 1})).await;
        assert_eq!(made.assert_status(201).number("/version"), 3);
        let pending = self.pending.remove(0);
        self.asks(other, &format!("{pending}/commit"), json!({}), 200).await;
        let back = json!({"lines": [{"sku": "B", "quantity": 1}]});
        let fulfilled = self.fulfilled[0].clone();
        self.asks(one, &format!("{fulfilled}/returns"), back, 200).await;
        self.asks(one, "/v1/stock/B/adjust", json!({"delta": -2}), 200).await;
        self.asks(one, "/v1/stock/B/adjust", json!({"delta": -2_000}), 409).await;
        let lines = json!([{"sku": "A", "delta": -1}, {"sku": "B", "delta": -9_999}]);
        self.asks(other, "/v1/adjustments", json!({"mode": "independent", "lines": lines}), 200).await;
        let lines = json!([{"sku": "A", "delta": -1}, {"sku": "B", "delta": -1}]);
        self.asks(other, "/v1/adjustments", json!({"lines": lines}), 200).await;
        let holds = json!({"lines": [line("A", 1), line("B", 1), line("again", 1)], "ttl_seconds": 80_000});
        let made = self.asks(other, "/v1/reservations", holds, 201).await;
        self.pending.push(format!("/v1/reservations/{}", made.at("/id").as_str().expect("a name")));
        // Two of those that wait get their units, the most urgent first.
        self.two_are_served(one).await;
    }

    /// Units for two of those that wait come in: these get them, in their order.
    async fn two_are_served(&mut self, service: &Service) {
        let before = service.get("/v1/movements?after=0&limit=1000").await.count("/items");
        service.post("/v1/stock/wait/adjust", &json!({"delta": 4})).await.assert_status(200);
        let served: Vec<String> = self.waiting.drain(..2).collect();
        for path in &served {
            until(async || service.get(path).await.at("/state") == "fulfilled").await;
        }
        let path = format!("/v1/movements?after={before}&limit=1000&kind=fulfilled");
        let ledger = service.get(&path).await;
        let of = |item: &Value| format!("/v1/orders/{}", item["order"].as_str().expect("a name"));
        let ledger: Vec<String> = ledger.at("/items").as_array().expect("a list").iter().map(of).collect();
        assert_eq!(ledger, served);
        for path in &self.waiting {
            assert_eq!(service.get(path).await.at("/state"), "backordered");
        }
    }

    /// All that is still open comes to its end.
    pub(super) async fn ends(&mut self, service: &Service) {
        self.two_are_served(service).await;
        for path in std::mem::take(&mut self.pending) {
            service.post(&format!("{path}/release"), &json!({})).await.assert_status(200);
        }
        for level in service.get("/v1/stock?limit=1000").await.at("/items").as_array().expect("a list") {
            assert_eq!(level["reserved"], 0, "{level}");
        }
        let gone = service.call(Method::DELETE, "/v1/stock/gone").header("if-match", "\"3\"").send().await;
        gone.assert_status(204);
        let back = self.fulfilled[0].clone();
        service.post(&format!("{back}/returns"), &json!({})).await.assert_status(200);
        self.is_seen(service).await;
    }

    /// Holds units of a level of that name, and of another, for a second. Returns its path.
    pub(super) async fn holds_for_a_second(&self, service: &Service, sku: &str) -> String {
        let path = format!("/v1/stock/{}", sku.replace(' ', "%20"));
        service.put(&path, &json!({"on_hand": 5})).await.assert_status(201);
        let body = json!({"lines": [line(sku, 2)], "ttl_seconds": 1});
        let made = service.post("/v1/reservations", &body).await;
        format!("/v1/reservations/{}", made.assert_status(201).at("/id").as_str().expect("a name"))
    }

    /// How many movements there were when it was seen last.
    pub(super) fn movements(&self) -> u64 {
        self.movements
    }
}

/// The cursor of a page of one level is the store's own, and is for who asked it.
fn cut(path: &str, mut compared: (u16, String, String, String)) -> (u16, String, String, String) {
    if path.contains("movements")
        && let Ok(mut body) = serde_json::from_str::<Value>(&compared.3)
        && let Some(body) = body.as_object_mut()
    {
        body.remove("next_cursor");
        compared.3 = json!(body).to_string();
    }
    compared
}
